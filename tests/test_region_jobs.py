"""Regions on several processes or machines, in checkpoint folders, within limits."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from fractions import Fraction

import psutil
import pytest

import exactdim as ed
from exactdim import Domain, cli, errors
from exactdim.nets.formats import write_network
from exactdim.regions import jobs, ledger

# Python warns where a process with threads forks; the pools here have no other choice.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

BOX = (-1, 1)
PLANE = ed.ReLUNetwork.random((2, 24, 8, 1), seed=0)
SPACE = ed.ReLUNetwork.random((3, 6, 5, 1), seed=1)
LARGE = ed.ReLUNetwork.random((3, 60, 40, 1), seed=0)  # about a second


def named(regions):
    """The regions by their patterns: volume, neighbours, vertices."""
    return {
        region.pattern: (
            region.volume if region.is_bounded else None,
            {regions[f.neighbour].pattern for f in region.facets if f.neighbour is not None},
            set(region.vertices),
        )
        for region in regions
    }


def agree(regions, expected):
    """The same regions, whatever their order."""
    assert len(regions) == len(expected)
    assert regions.face_counts == expected.face_counts
    assert regions.euler_characteristic == expected.euler_characteristic
    assert sorted(regions.vertices()) == sorted(expected.vertices())
    assert named(regions) == named(expected)


@pytest.fixture(scope="module")
def whole():
    return ed.activation_regions(PLANE, BOX)


@pytest.fixture(scope="module")
def large_count():
    return ed.count_regions(LARGE, BOX)


class Here:
    """An executor that does nothing but the least: submit, and later a result."""

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


# -- executors --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["processes", "threads", "here", 1, 2, 3], ids=str)
def test_the_same_regions_on_any_executor(kind, whole):
    make = {
        "processes": lambda: ProcessPoolExecutor(2),
        "threads": lambda: ThreadPoolExecutor(2),
        "here": Here,
    }
    if isinstance(kind, int):
        agree(ed.activation_regions(PLANE, BOX, executor=kind), whole)
        assert ed.count_regions(PLANE, BOX, executor=kind) == len(whole)
        return
    executor = make[kind]()
    agree(ed.activation_regions(PLANE, BOX, executor=executor), whole)
    assert ed.count_regions(PLANE, BOX, executor=executor) == len(whole)  # it is still usable
    if kind != "here":
        assert executor.submit(abs, -1).result() == 1
        executor.shutdown()


@pytest.mark.parametrize(
    "domain",
    [
        None,
        Domain.polytope([[1, 1, 1]], [1]),
        Domain.plane([0, 0, 0], [1, 0, 1], [0, 1, "1/3"], lower=-2, upper=2),
        Domain.segment([-1, -2, -3], [3, 2, 1]),
    ],
    ids=repr,
)
def test_other_domains(domain, tmp_path):
    expected = ed.activation_regions(SPACE, domain)
    with ThreadPoolExecutor(2) as pool:
        found = ed.activation_regions(SPACE, domain, executor=pool)
    agree(found, expected)
    agree(ed.activation_regions(SPACE, domain, checkpoint=tmp_path / "c"), expected)


DEGENERATE = {
    "no hidden layer": ed.ReLUNetwork([[[1, 2]]]),
    "one neuron": ed.ReLUNetwork([[[1, 2]], [[1]]]),
    "dead": ed.ReLUNetwork([[[1, 1]] * 3, [[-1] * 3] * 2, [[1, 1]]], [[0, 1, 1], [-1, 0], [0]]),
    "all through one point": ed.ReLUNetwork([
        [[1, k] for k in range(6)],
        [[1, -1] * 3] * 3,
        [[1] * 3],
    ]),
    "parallel": ed.ReLUNetwork(
        [[[1, 0]] * 5, [[1, -2, 2, -2, 1]] * 2, [[1, 1]]], [[*range(5)], *[None] * 2]
    ),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("domain", [None, BOX], ids=["everywhere", "box"])
def test_degenerate_networks_in_parts(name, domain, tmp_path):
    """Faces that several parts have are recognised as the same."""
    net = DEGENERATE[name]
    expected = ed.activation_regions(net, domain)
    with ThreadPoolExecutor(1) as pool:
        found = ed.activation_regions(net, domain, executor=pool, checkpoint=tmp_path / "c")
    agree(found, expected)
    assert ed.verify(found.certificate())
    assert ed.count_regions(net, domain, checkpoint=tmp_path / "c") == len(expected)


def test_what_is_done_with_regions_from_parts(whole, tmp_path):
    """Certificate, graph, linear regions, points: all as if computed in one piece."""
    found = ed.activation_regions(PLANE, BOX, executor=2, checkpoint=tmp_path / "c")
    assert ed.verify(found.certificate())
    graph, expected = found.graph(), whole.graph()
    assert set(graph) == set(expected)
    assert set(map(frozenset, graph.edges)) == set(map(frozenset, expected.edges))
    pieces = [
        {frozenset(regions[i].pattern for i in x.regions) for x in regions.linear_regions()}
        for regions in (found, whole)
    ]
    assert pieces[0] == pieces[1]
    for region in found:
        assert found.region_at(region.interior_point).index == region.index
    assert found.volume == 4


def test_patterns_are_in_the_order_of_regions():
    """They are known before faces are put together, and stay where they are."""
    found = ed.activation_regions(PLANE, BOX, executor=2)
    before, n = found.patterns.copy(), len(found)
    points = [region.interior_point for region in found]
    assert len(found) == n
    assert (ed.activation_pattern(PLANE, points).mask == before).all()


def test_comparisons_in_parts(tmp_path):
    other = ed.permute(ed.rescale(PLANE, 0, 3, "7/5"), 0, range(23, -1, -1))
    answer = ed.same_function(PLANE, other, BOX, executor=2)
    assert answer
    assert answer.n_regions == ed.count_regions(PLANE, BOX)
    for option in ({"executor": 2}, {"checkpoint": tmp_path / "same"}):
        assert ed.same_function(PLANE, other, BOX, **option)
    worse = ed.ReLUNetwork(
        PLANE.weights, [*PLANE.biases[:2], [PLANE.biases[2][0, 0] + Fraction(1, 2**40)]]
    )
    for option in ({"executor": 2}, {"checkpoint": tmp_path / "worse"}):
        answer = ed.same_function(PLANE, worse, BOX, **option)
        assert not answer
        assert ed.verify(answer.certificate())
        assert ed.max_difference(PLANE, worse, BOX, **option).value == Fraction(1, 2**40)
    third = ed.ReLUNetwork.random((2, 9, 1), seed=7)
    expected = ed.max_difference(PLANE, third, BOX)
    with ThreadPoolExecutor(2) as pool:
        found = ed.max_difference(PLANE, third, BOX, executor=pool)
    assert found.value == expected.value


@pytest.mark.parametrize("kind", ["processes", "folder", "here"])
def test_progress(kind, tmp_path):
    """What is done of how much: in order, and the last word is the end."""
    options = {"processes": {"executor": 2}, "folder": {"checkpoint": tmp_path / "c"}, "here": {}}
    told = []
    ed.activation_regions(PLANE, BOX, progress=lambda *a: told.append(a), **options[kind])
    done = [d for d, _, _ in told]
    assert done == list(range(1, len(told) + 1))
    assert {total for _, total, _ in told} == {done[-1]}
    assert all(isinstance(note, str) for _, _, note in told)


def test_executors_that_make_no_sense():
    for executor in (0, -1):
        with pytest.raises(errors.InvalidInput, match="executor"):
            ed.count_regions(PLANE, BOX, executor=executor)


# -- processes that die -----------------------------------------------------------------------


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_killed_in_the_middle(deaths, large_count, monkeypatch):
    """It is killed right after a part is done; its job is begun again by a new process."""
    monkeypatch.setattr(jobs, "PART", 1 << 16)
    killed, seen = [], set()

    def progress(done, total, note):
        seen.update(child.pid for child in multiprocessing.active_children())
        if len(killed) < deaths and done < total:
            child = multiprocessing.active_children()[0]
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            killed.append(child.pid)

    assert ed.count_regions(LARGE, BOX, executor=2, progress=progress) == large_count
    assert len(killed) == deaths
    assert len(seen) > 2


@pytest.mark.skipif(sys.platform != "linux", reason="workers inherit the patch by fork")
def test_work_that_is_begun_again_counts_once(large_count, monkeypatch):
    """Were a region counted twice, there would seem to be more than there are."""
    monkeypatch.setattr(jobs, "SHARED", 0)
    monkeypatch.setattr(jobs, "PART", 1 << 15)
    monkeypatch.setattr(jobs, "jobs_for", lambda _: 1)
    told, killed = ledger.Ledger.told, []

    def kill_and_tell(self, number, n):
        more = told(self, number, n)
        if more > large_count // 3 and len(killed) < 2:
            killed.append(min(multiprocessing.active_children(), key=lambda p: p.pid))
            killed[-1].kill()
        return more

    monkeypatch.setattr(ledger.Ledger, "told", kill_and_tell)
    found = ed.count_regions(LARGE, BOX, executor=2, max_regions=large_count)
    assert found == large_count
    assert len(killed) == 2


def test_regions_survive_a_killed_worker(whole, tmp_path):
    """With a checkpoint folder, too; no job is counted twice."""
    killed = []

    def progress(done, total, note):
        if not killed:
            killed.append(multiprocessing.active_children()[0])
            os.kill(killed[0].pid, signal.SIGKILL)

    options = {"executor": 2, "checkpoint": tmp_path / "c"}
    agree(ed.activation_regions(PLANE, BOX, progress=progress, **options), whole)
    assert killed
    agree(ed.activation_regions(PLANE, BOX, **options), whole)


class Breaking(Executor):
    """Does three jobs, and has then lost its workers."""

    def __init__(self):
        self.left = 3

    def submit(self, function, /, *arguments):
        future = Future()
        self.left -= 1
        if self.left >= 0:
            future.set_result(function(*arguments))
        else:
            future.set_exception(BrokenExecutor("a process was killed"))
        return future


def test_a_foreign_pool_that_breaks_says_so(large_count, tmp_path):
    """The caller's executor is not started again; what is done is kept in the folder."""
    folder = tmp_path / "c"
    with pytest.raises(BrokenExecutor, match=r"a process was killed.*start a new one"):
        ed.count_regions(LARGE, BOX, executor=Breaking(), checkpoint=folder)
    with ThreadPoolExecutor(2) as pool:
        assert ed.count_regions(LARGE, BOX, executor=pool, checkpoint=folder) == large_count


KILLED_RUN = """
import os, signal, sys
import exactdim as ed

folder, stop, executor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) or None
told = 0

def progress(done, total, note):
    global told
    told += 1
    print(done, total, flush=True)
    if told == stop:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    net = ed.ReLUNetwork.random((2, 24, 8, 1), seed=0)
    regions = ed.activation_regions(
        net, (-1, 1), checkpoint=folder, executor=executor, progress=progress
    )
    print("finished", len(regions))
"""


def killed_run(folder, stop, executor=0):
    """Start a run in a process of its own that dies after so many jobs; leave nothing behind."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, str(folder), str(stop), str(executor)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line.split())
            if len(lines) == stop:
                break
        process.wait(60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
    return process.returncode, lines


def state_of(folder):
    return {
        file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.glob("*.npz")
    }


@pytest.mark.parametrize("executor", [0, 2])
def test_a_run_killed_in_the_middle_goes_on(executor, whole, tmp_path):
    folder = tmp_path / "c"
    code, lines = killed_run(folder, 4, executor)
    assert code == -signal.SIGKILL
    total = int(lines[-1][1])
    kept = state_of(folder)
    assert 3 <= len(kept) < total
    told = []
    regions = ed.activation_regions(
        PLANE, BOX, checkpoint=folder, progress=lambda done, *rest: told.append((done, rest[0]))
    )
    agree(regions, whole)
    assert told == [(done, total) for done in range(len(kept) + 1, total + 1)]
    after = state_of(folder)
    assert len(after) == total
    assert {name: after[name] for name in kept} == kept  # not written, not computed again


def test_killed_again_and_again(whole, tmp_path):
    """Each run does a little more than nothing; the last one finishes."""
    folder = tmp_path / "c"
    sizes = []
    for _ in range(3):
        code, _ = killed_run(folder, 3)
        assert code == -signal.SIGKILL
        sizes.append(len(state_of(folder)))
    assert sizes == sorted(set(sizes))
    agree(ed.activation_regions(PLANE, BOX, checkpoint=folder, executor=2), whole)
    assert ed.count_regions(PLANE, BOX, checkpoint=folder) == len(whole)


def test_no_worker_outlives_a_killed_run(tmp_path):
    """Nobody is left to tell the workers that they are not needed any more."""
    arguments = [str(tmp_path / "c"), "1000", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        process.stdout.readline()  # a job is done
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(60)
        _, alive = psutil.wait_procs(workers, timeout=15)
        assert not alive
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


# -- checkpoint folders -----------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "finished"
    ed.count_regions(PLANE, BOX, checkpoint=folder)
    return folder


def test_a_finished_folder_is_read_and_not_computed(finished, whole):
    before, told = state_of(finished), []
    for executor in (None, 2):
        agree(
            ed.activation_regions(
                PLANE,
                BOX,
                checkpoint=finished,
                executor=executor,
                progress=lambda *a: told.append(a),
            ),
            whole,
        )
    assert state_of(finished) == before
    assert not [done for done, total, _ in told if done < total]


def test_the_same_folder_with_another_number_of_workers(whole, tmp_path):
    """The division into jobs belongs to the folder, not to the executor."""
    folder = tmp_path / "c"
    killed_run(folder, 3, 0)
    for executor in (5, None, 2):
        assert ed.count_regions(PLANE, BOX, checkpoint=folder, executor=executor) == len(whole)
        for file in sorted(folder.glob("*.npz"))[::2]:
            file.unlink()
    agree(ed.activation_regions(PLANE, BOX, checkpoint=folder, executor=2), whole)


@pytest.mark.parametrize("part", [0, 1, 100, 0.2, 0.5, 0.9, -1, "rubbish", "missing"])
def test_a_damaged_job_is_done_again(finished, whole, part):
    files = sorted(finished.glob("*.npz"))
    data = files[1].read_bytes()
    if part == "rubbish":
        files[1].write_bytes(bytes(range(256)) * 10)
    elif part == "missing":
        files[1].unlink()
    else:
        keep = int(part * len(data)) if isinstance(part, float) else part
        files[1].write_bytes(data[:keep])
    agree(ed.activation_regions(PLANE, BOX, checkpoint=finished), whole)
    assert files[1].read_bytes() == data


@pytest.mark.parametrize("offset", [8, 10, 6, 46], ids=["flags", "method", "version", "name"])
@pytest.mark.parametrize("entry", [0, -1])
def test_a_flipped_bit_in_a_job_is_noticed(finished, whole, offset, entry):
    """In the table of contents of the file, which no checksum covers."""
    file = sorted(finished.glob("*.npz"))[2]
    data = bytearray(file.read_bytes())
    places = [i for i in range(len(data)) if data[i : i + 4] == b"PK\x01\x02"]
    data[places[entry] + offset] ^= 0x41
    file.write_bytes(data)
    agree(ed.activation_regions(PLANE, BOX, checkpoint=finished), whole)


def test_flipped_bits_in_the_numbers_are_noticed(finished, whole):
    file = sorted(finished.glob("*.npz"))[0]
    data = file.read_bytes()
    for place in range(60, len(data) * 3 // 4, len(data) // 8):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert ed.count_regions(PLANE, BOX, checkpoint=finished) == len(whole)
        assert {r.pattern for r in ed.activation_regions(PLANE, BOX, checkpoint=finished)} == {
            r.pattern for r in whole
        }


def test_folders_of_other_computations_are_refused(finished, tmp_path):
    other = ed.ReLUNetwork.random((2, 24, 8, 1), seed=1)
    before = state_of(finished)
    for net, domain in ((other, BOX), (PLANE, (-2, 2)), (PLANE, None)):
        for executor in (None, 2):
            with pytest.raises(errors.InvalidInput, match="another network, domain or version"):
                ed.count_regions(net, domain, checkpoint=finished, executor=executor)
    with pytest.raises(errors.InvalidInput, match="another network"):
        ed.same_function(PLANE, other, BOX, checkpoint=finished)
    assert state_of(finished) == before


def test_folders_that_are_none_of_ours_are_left_alone(tmp_path):
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "thesis.tex").write_text("years of work")
    with pytest.raises(errors.InvalidInput, match="other files"):
        ed.count_regions(PLANE, BOX, checkpoint=papers)
    assert [file.name for file in papers.iterdir()] == ["thesis.tex"]
    with pytest.raises(errors.UnreadableFile, match="checkpoint folder"):
        ed.count_regions(PLANE, BOX, checkpoint=papers / "thesis.tex")
    for rubbish in ("", "{", "[]", "{}", "7", '{"digest": 1, "jobs": "many"}'):
        folder = tmp_path / "rubbish"
        folder.mkdir(exist_ok=True)
        (folder / "plan.json").write_text(rubbish)
        with pytest.raises(errors.InvalidInput):
            ed.count_regions(PLANE, BOX, checkpoint=folder)


def test_folders_are_made(tmp_path, whole):
    deep = tmp_path / "a" / "b" / "c"
    assert ed.count_regions(PLANE, BOX, checkpoint=str(deep)) == len(whole)
    assert (deep / "plan.json").exists()
    assert not list(deep.glob("*.tmp"))


# -- limits -----------------------------------------------------------------------------------


def options_for(kind, tmp_path):
    return {
        "here": {},
        "folder": {"checkpoint": tmp_path / "c"},
        "threads": {"executor": ThreadPoolExecutor(2)},
        "processes": {"executor": 2},
    }[kind]


@pytest.mark.parametrize("kind", ["here", "folder", "threads", "processes"])
def test_max_regions(kind, tmp_path, whole):
    """Every limit that is too low is reported as such, with a count that is true."""
    n = len(whole)
    limits = (1, 2, 30, n // 2, n - 1) if kind == "processes" else (*range(1, n, n // 10), n - 1)
    for find in (ed.count_regions, ed.activation_regions):
        for limit in limits:
            shutil.rmtree(tmp_path / "c", ignore_errors=True)
            options = options_for(kind, tmp_path)
            with pytest.raises(errors.BudgetExceeded, match=f"max_regions={limit} ") as caught:
                find(PLANE, BOX, max_regions=limit, **options)
            assert limit < caught.value.at_least <= n
        options = options_for(kind, tmp_path)
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        found = find(PLANE, BOX, max_regions=n, **options)
        assert (found if isinstance(found, int) else len(found)) == n


def test_a_limit_holds_for_what_is_in_the_folder_too(finished, whole):
    for limit in (1, 60, len(whole) // 2, len(whole) - 1):
        with pytest.raises(errors.BudgetExceeded, match=f"max_regions={limit} ") as caught:
            ed.count_regions(PLANE, BOX, checkpoint=finished, max_regions=limit)
        assert limit < caught.value.at_least <= len(whole)
    assert ed.count_regions(PLANE, BOX, checkpoint=finished, max_regions=len(whole)) == len(whole)


def test_after_a_limit_the_folder_is_of_use(whole, tmp_path):
    folder = tmp_path / "c"
    with pytest.raises(errors.BudgetExceeded):
        ed.count_regions(PLANE, BOX, checkpoint=folder, max_regions=len(whole) * 3 // 4)
    kept = state_of(folder)
    assert kept
    agree(ed.activation_regions(PLANE, BOX, checkpoint=folder), whole)
    after = state_of(folder)
    assert {name: after[name] for name in kept} == kept


HUGE = ed.ReLUNetwork.random((4, 90, 90, 1), seed=0)


@pytest.mark.parametrize("seconds", [1e7, 1e300, float("inf")])
@pytest.mark.parametrize("kind", [None, 2, "threads"])
def test_limits_beyond_all_clocks(kind, seconds, whole):
    with ThreadPoolExecutor(2) as pool:
        executor = pool if kind == "threads" else kind
        found = ed.count_regions(PLANE, BOX, executor=executor, max_seconds=seconds)
    assert found == len(whole)


@pytest.mark.parametrize("kind", ["here", "folder", "threads", "processes"])
def test_max_seconds(kind, tmp_path):
    """A computation of many minutes, after a moment."""
    options = options_for(kind, tmp_path)
    for seconds in (1e-3, 1):
        start = time.monotonic()
        before = set(multiprocessing.active_children())
        with pytest.raises(errors.BudgetExceeded, match="max_seconds") as caught:
            ed.count_regions(HUGE, (-3, 3), max_seconds=seconds, **options)
        assert not set(multiprocessing.active_children()) - before
        assert caught.value.at_least >= int(seconds == 1)
        assert time.monotonic() - start < seconds + 12
    if kind == "threads":
        options["executor"].shutdown()


# -- a cluster --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as found:
        yield found
    assert not [
        child for child in psutil.Process().children(recursive=True) if "dask" in child.name()
    ]


@pytest.fixture
def client(cluster):
    from distributed import Client

    cluster.scale(2)
    with Client(cluster) as found:
        found.wait_for_workers(2, timeout=30)
        yield found


def test_the_same_regions_on_a_cluster(client, whole, tmp_path):
    executor = client.get_executor(retries=3)
    agree(ed.activation_regions(PLANE, BOX, executor=executor), whole)
    folder = tmp_path / "c"
    assert ed.count_regions(PLANE, BOX, executor=executor, checkpoint=folder) == len(whole)
    agree(ed.activation_regions(PLANE, BOX, checkpoint=folder), whole)
    assert ed.same_function(PLANE, ed.rescale(PLANE, 0, 0, 3), BOX, executor=executor)


def test_a_worker_of_a_cluster_is_killed(client, large_count):
    """After the first job; its results are lost and computed by the others."""
    workers = client.run(os.getpid)
    assert len(set(workers.values())) == 2
    killed = []

    def progress(done, total, note):
        if not killed:
            killed.append(next(iter(workers.values())))
            os.kill(killed[0], signal.SIGKILL)

    executor = client.get_executor(retries=3)
    assert ed.count_regions(LARGE, BOX, executor=executor, progress=progress) == large_count
    assert killed
    client.wait_for_workers(2, timeout=30)
    assert killed[0] not in client.run(os.getpid).values()


def test_limits_on_a_cluster(client, whole):
    executor = client.get_executor(retries=3)
    with pytest.raises(errors.BudgetExceeded, match="max_regions=100 ") as caught:
        ed.count_regions(PLANE, BOX, executor=executor, max_regions=100)
    assert 100 < caught.value.at_least <= len(whole)


def test_the_command_line_on_a_cluster(client, whole, tmp_path, capsys):
    file = tmp_path / "net.json"
    write_network(PLANE, file)
    arguments = [str(file), "--box", "-1:1", "--scheduler", client.scheduler.address, "--json"]
    assert cli.run(["regions", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)["result"]
    assert found["regions"] == len(whole)
    assert set(found["patterns"]) == {" ".join(region.pattern) for region in whole}
    assert cli.run(["regions", *arguments, "--count"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["regions"] == len(whole)
    assert cli.run(["same", str(file), *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "equal"


def test_no_scheduler_at_that_address(tmp_path, capsys):
    file = tmp_path / "net.json"
    write_network(PLANE, file)
    assert cli.run(["regions", str(file), "--scheduler", "nonsense://127.0.0.1:1"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no Dask scheduler" in captured.err
    assert "nonsense://127.0.0.1:1" in captured.err
