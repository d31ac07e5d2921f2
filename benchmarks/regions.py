"""Activation regions: exactdim against relucent, affinitree and regioncam, one process, one run.

pip install relucent==1.0.0 affinitree==0.23.0 regioncam==0.5.2     # for this script only
python benchmarks/regions.py             # the common networks, against the peers that are installed
python benchmarks/regions.py --growth    # growth with width, and a network of a million regions
python benchmarks/regions.py --processes # one process against two

Times are from weights to the list of regions, best of three for calls under a second (the first
call of each tool is not counted: it loads libraries). A peer is left out where it takes minutes.
"""

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import machine
from region_networks import Layers, random_layers

import exactdim as ed

SPACE = [
    (2, 8, 8, 1), (2, 16, 16, 1), (2, 32, 32, 1), (2, 64, 64, 1), (3, 8, 8, 1), (3, 12, 12, 1),
    (3, 16, 16, 16, 1), (4, 8, 8, 1), (4, 12, 12, 1), (5, 10, 10, 1), (6, 8, 8, 1),
]  # fmt: skip
RELUCENT = {
    (2, 8, 8, 1), (2, 16, 16, 1), (2, 32, 32, 1), (3, 8, 8, 1), (3, 12, 12, 1), (4, 8, 8, 1),
}  # fmt: skip
GROWTH = [
    (3, 16, 16, 16, 1), (3, 24, 24, 24, 1), (3, 32, 32, 32, 1), (3, 48, 48, 48, 1),
    (3, 64, 64, 64, 1), (3, 80, 80, 80, 1),
]  # fmt: skip

SHARED = [(4, 24, 24, 1), (2, 300, 300, 1), (3, 40, 40, 40, 1), (3, 64, 64, 64, 1)]


@contextlib.contextmanager
def quiet():
    """Send what libraries print to nowhere."""
    saved = [os.dup(1), os.dup(2)]
    with open(os.devnull, "w") as nowhere:
        try:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            for number, old in zip((1, 2), saved, strict=True):
                os.dup2(old, number)
                os.close(old)


def best_of(job: Callable[[], int]) -> tuple[int, float]:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        count = job()
        seconds.append(time.perf_counter() - start)
        if seconds[-1] > 1:
            break
    return count, min(seconds)


def exactdim_job(layers: Layers, box: bool) -> Callable[[], int]:
    def job() -> int:
        net = ed.ReLUNetwork([W for W, _ in layers], [b for _, b in layers])
        return len(ed.activation_regions(net, (-1, 1) if box else None))

    return job


def relucent_job(layers: Layers, box: bool) -> Callable[[], int]:
    import numpy as np
    import relucent
    from relucent.model.model import LinearLayer, ReLULayer, ReLUNetwork

    def job() -> int:
        parts = []
        for W, b in layers[:-1]:
            parts += [LinearLayer(W, b), ReLULayer()]
        parts.append(LinearLayer(*layers[-1]))
        found = relucent.Complex(ReLUNetwork(parts))
        start = np.full(layers[0][0].shape[1], 0.0123)
        limits = {"cube_radius": 1.0, "cube_mode": "intersect"} if box else {}
        found.bfs(start, nworkers=1, verbose=0, **limits)
        return len(found)

    return job


def affinitree_job(layers: Layers, box: bool) -> Callable[[], int]:
    import affinitree
    from affinitree import builder

    def job() -> int:
        d = layers[0][0].shape[1]
        network = affinitree.Architecture(d)
        for W, b in layers[:-1]:
            network.linear(affinitree.AffFunc.from_mats(W, b))
            network.relu()
        network.linear(affinitree.AffFunc.from_mats(*layers[-1]))
        if not box:
            return builder.from_layers(network).num_terminals()
        cube = affinitree.Polytope.hyperrectangle(d, [(-1.0, 1.0)] * d)
        inside = affinitree.AffTree.from_poly(cube, affinitree.AffFunc.identity(d), None)
        return builder.from_layers(network, inside).num_terminals()

    return job


def regioncam_job(layers: Layers, box: bool) -> Callable[[], int]:
    import numpy as np
    import regioncam

    def job() -> int:
        found = regioncam.Regioncam(1)
        for W, b in layers[:-1]:
            found.linear(W.T.astype(np.float32), b.astype(np.float32))
            found.relu()
        found.linear(layers[-1][0].T.astype(np.float32), layers[-1][1].astype(np.float32))
        return found.num_faces

    return job


PEERS = {"relucent": relucent_job, "affinitree": affinitree_job, "regioncam": regioncam_job}


def applies(peer: str, widths: tuple[int, ...], box: bool) -> bool:
    if find_spec(peer) is None:
        return False
    if peer == "relucent":
        return not box and widths in RELUCENT
    return peer == "affinitree" or (box and widths[0] == 2)


def against_peers() -> None:
    results = []
    for make in (exactdim_job, *(PEERS[p] for p in PEERS if find_spec(p))):
        with quiet():
            make(random_layers((2, 4, 4, 1)), True)()
    for box in (False, True):
        for widths in SPACE:
            layers = random_layers(widths)
            count, seconds = best_of(exactdim_job(layers, box))
            row = {
                "widths": widths,
                "domain": "box" if box else "space",
                "regions": count,
                "exactdim_seconds": round(seconds, 4),
            }
            for peer, make in PEERS.items():
                if not applies(peer, widths, box):
                    continue
                try:
                    with quiet():
                        theirs, needed = best_of(make(layers, box))
                except Exception as error:
                    row[f"{peer}_error"] = f"{type(error).__name__}: {error}"[:200]
                    continue
                row[f"{peer}_regions"] = theirs
                row[f"{peer}_seconds"] = round(needed, 4)
                row[f"times_{peer}"] = round(needed / seconds, 2)
            results.append(row)
            print(row, flush=True)
    peers = {name: machine.installed(name) for name in PEERS}
    machine.save("regions", [{"peers": peers}, *results])


def network(widths: tuple[int, ...]) -> ed.ReLUNetwork:
    layers = random_layers(widths)
    return ed.ReLUNetwork([W for W, _ in layers], [b for _, b in layers])


def growth() -> None:
    results = []
    for widths in GROWTH:
        net = network(widths)
        start = time.perf_counter()
        count = len(ed.activation_regions(net, (-1, 1)))
        seconds = time.perf_counter() - start
        results.append({
            "widths": widths,
            "regions": count,
            "seconds": round(seconds, 3),
            "microseconds_per_region": round(1e6 * seconds / count, 2),
            "nanoseconds_per_region_and_neuron": round(1e9 * seconds / count / net.n_hidden, 1),
            "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        })
        print(results[-1], flush=True)
    machine.save("regions_growth", results)


def processes() -> None:
    """Time the default, one process and two, each in a new interpreter: memory is new to all.

    Two unrelated calls at the same time tell what the machine can gain by two cores.
    """
    results = []
    for widths in SHARED:
        row: dict = {"widths": widths, "regions": ed.count_regions(network(widths), (-1, 1))}
        for name in ("activation_regions", "count_regions"):
            times: dict[str, list[float]] = {key: [] for key in ("0", "1", "2", "both")}
            for _ in range(5):  # in turns, so that all meet the same disturbances
                for workers in "012":
                    times[workers] += finished(started(name, workers, widths))
                both = [started(name, "0", widths), started(name, "0", widths)]
                times["both"].append(max(finished(*both)))
            here, one, two, both = (min(seconds) for seconds in times.values())
            row[name] = {
                "seconds_by_default": round(here, 2),
                "seconds_one_process": round(one, 2),
                "seconds_two_processes": round(two, 2),
                "seconds_two_calls_at_once": round(both, 2),
                "gain_over_one": round(one / two, 2),
                "gain_over_default": round(here / two, 2),
                "gain_of_two_calls": round(2 * here / both, 2),
            }
        results.append(row)
        print(row, flush=True)
    machine.save("regions_processes", results)


def started(name: str, workers: str, widths: tuple[int, ...]) -> subprocess.Popen[str]:
    """Start a call in a new interpreter."""
    command = [sys.executable, __file__, "--call", name, workers, *map(str, widths)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(*calls: subprocess.Popen[str]) -> list[float]:
    """Wait for calls, and return their seconds."""
    return [float(call.communicate()[0]) for call in calls]


def call(name: str, workers: int, widths: tuple[int, ...]) -> None:
    """Print how many seconds a call takes that finds the regions of a network."""
    net = network(widths)
    ed.count_regions(ed.ReLUNetwork.random((2, 8, 8, 1), seed=0))
    start = time.perf_counter()
    getattr(ed, name)(net, (-1, 1), executor=workers or None)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    if "--growth" in sys.argv:
        growth()
    elif "--processes" in sys.argv:
        processes()
    elif "--call" in sys.argv:
        name, workers, *widths = sys.argv[sys.argv.index("--call") + 1 :]
        call(name, int(workers), tuple(map(int, widths)))
    else:
        against_peers()
