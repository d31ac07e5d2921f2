"""How the time of `local_dimension` grows with samples and with width, beside its floor.

    python benchmarks/mnist_growth.py [--rare [--certificate]] [--epochs E]

(784, w, w, w, 10) networks on MNIST images. The floor is the number of float64 operations,
2 (n d)^2 sum N_l for the Gram matrix and 2/3 (n d)^3 for its elimination, at the measured rate.
With ``--rare``: 2000 test images, where rare pixels keep the rank below the number of rows and
the upper end needs the units' relations; initial and trained network. With ``--certificate`` also
its certificate and the check of that, ten minutes more each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import mnist_local_dimension as mnist
import numpy as np


def measure(net: str, first: int, n: int, certificate: bool) -> None:
    import exactdim as ed

    X, _ = mnist.images()
    steps: dict[str, float] = {}
    start = last = time.perf_counter()
    before = "start"

    def progress(done: int, total: int, note: str) -> None:
        nonlocal last, before
        now = time.perf_counter()
        steps[before] = round(steps.get(before, 0.0) + now - last, 2)
        last, before = now, note.split(",")[0] if "rank in" not in note else "upper end"

    d = ed.local_dimension(net, X[first : first + n], progress=progress)
    seconds = time.perf_counter() - start
    steps[before] = round(steps.get(before, 0.0) + time.perf_counter() - last, 2)
    report = {
        "n": n,
        "rank": d.likely,
        "status": d.status,
        "by": d.evidence.upper.statement,
        "seconds": round(seconds, 2),
        "steps": steps,
        "peak_gib": mnist.peak_gib(),
    }
    if certificate:
        start = time.perf_counter()
        written = d.certificate()
        report["certificate_seconds"] = round(time.perf_counter() - start, 1)
        report["certificate_mb"] = round(len(written.to_json()) / 1e6, 1)
        start = time.perf_counter()
        report["accepted"] = bool(ed.verify(written))
        report["check_seconds"] = round(time.perf_counter() - start, 1)
    print(json.dumps(report))


def run(net: Path, first: int, n: int, *flags: str) -> dict:
    command = [sys.executable, __file__, "--measure", str(net), str(first), str(n), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rare", action="store_true")
    parser.add_argument("--certificate", action="store_true")
    parser.add_argument("--epochs", type=int, default=680)
    parser.add_argument("--measure", nargs=3)
    options = parser.parse_args()
    if options.measure:
        net, first, n = options.measure
        measure(net, int(first), int(n), options.certificate)
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        net = Path(folder) / "net.npz"
        if options.rare:
            for epochs in (0, options.epochs):
                np.savez(net, **mnist.train(epochs))
                flags = ["--certificate"] if options.certificate else []
                found = {"epochs": epochs, **run(net, 600, 2000, *flags)}
                print(json.dumps(found), flush=True)
                results.append(found)
            machine.save("mnist_rare", results)
            return
        rate = machine.gemm_rate()
        for width, n in [(30, 100), (30, 200), (30, 400), (30, 600), (10, 400), (100, 400)]:
            np.savez(net, **mnist.train(0, width=width))
            rows = 10 * n
            operations = 2 * rows**2 * (3 * width + 10) + 2 / 3 * rows**3
            found = {"width": width, **run(net, 0, n)}
            found["floor_seconds"] = round(operations / rate, 2)
            print(json.dumps(found), flush=True)
            results.append(found)
        machine.save("mnist_growth", results)


if __name__ == "__main__":
    main()
