"""Jobs on processes of our own: every answer, every error, and nobody left behind."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exactdim as ed
from exactdim import errors
from exactdim.regions.channel import Channel
from exactdim.regions.ledger import Ledger
from exactdim.regions.workers import DIVIDED, NOBODY, Work, _OthersByChannel, results


class Unportable(Exception):
    """Cannot be pickled, whatever other packages have taught pickle about exceptions."""

    def __init__(self, text):
        super().__init__(text)
        self.unportable = lambda: 0


def do(job, order, others):
    if not isinstance(job, str):
        return job, order
    if job == "raise":
        raise ZeroDivisionError("a job")
    if job == "unportable":
        raise Unportable("1 and 2")
    if job == "lambda":
        return lambda: 0
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "sleep":
        time.sleep(60)
    return job, order


def work(patience=None, overdue=lambda running: None):
    return Work(do, order=lambda: "now", patience=lambda: patience, overdue=overdue)


@pytest.fixture(autouse=True)
def nobody_left():
    before = set(multiprocessing.active_children())
    yield
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize("executor", [None, 1, 3, np.int64(2)])
def test_every_job_is_done_once(executor):
    jobs = {number: f"job {number}" for number in range(17)}
    found = sorted(results(work(), jobs, executor))
    assert found == [(number, [(job, "now")]) for number, job in jobs.items()]


def divide(job, order, others):
    """Take the numbers of a range one by one, and hand over half of what is left on request."""
    start, end, death = job
    done = []
    while start < end:
        done.append(start)
        start += 1
        if end - start > 1 and others.idle:
            middle = (start + end) // 2
            others.give((middle, end, death))
            end = middle
            if death and not os.path.exists(death):
                open(death, "w").close()
                os._exit(1)
        if start % 10 == 0:
            others.tell(10)
        time.sleep(1e-3)
    return os.getpid(), done


@pytest.mark.parametrize("died", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_jobs_are_divided(processes, died, tmp_path):
    """Every number is met exactly once, also if a process dies that has handed over a part."""
    jobs = {
        7: (0, 400, tmp_path / "death" if died and processes > 1 else None),
        5: (0, 40, None),
    }
    heard = []
    dividing = Work(
        divide, order=lambda: 0, patience=lambda: None, overdue=print, heard=heard.append
    )
    found = dict(results(dividing, jobs, processes))
    assert found.keys() == jobs.keys()
    for number, (start, end, _) in jobs.items():
        numbers = [n for _, done in found[number] for n in done]
        assert sorted(numbers) == list(range(start, end))
    at_work = {process for process, _ in found[7]}
    assert (len(at_work) > 1) == (processes > 1)
    assert (len(found[7]) > 1) == (processes > 1)
    assert (tmp_path / "death").exists() == (died and processes > 1)
    assert heard
    assert max(heard) <= 440


@given(st.integers(1, 3), st.integers(0, 2**32))
def test_a_ledger_of_divided_jobs(n_jobs, seed):
    """Whoever dies, whatever was handed over: each number is in exactly one result that counts."""
    choose = random.Random(seed)
    ledger = Ledger(range(n_jobs))
    running, found, deaths = [], {}, 0
    told = dict.fromkeys(range(n_jobs), 0)  # of jobs that are not finished
    while ledger.waiting or running:
        event = choose.choice(
            ["start", "divide", "tell", "finish", "die"][: 5 if deaths < 9 else 4]
        )
        if event == "start" and ledger.waiting:
            part = ledger.waiting.pop(choose.randrange(len(ledger.waiting)))
            running.append((part, set(range(20)) if part.job is None else part.job))
        elif event != "start" and running:
            part, numbers = running.pop(choose.randrange(len(running)))
            if event == "divide":
                half = {number for number in numbers if choose.random() < 0.5}
                ledger.divided(part.number, half)
                running.append((part, numbers - half))
            elif event == "tell":
                told[part.number] += len(numbers)
                assert ledger.told(part.number, len(numbers)) == sum(told.values())
                running.append((part, numbers))
            elif event == "finish":
                finished = ledger.finished(part.number, numbers)
                if finished is not None:
                    assert part.number not in found
                    found[part.number] = finished
                    told[part.number] = 0
            else:
                deaths += 1
                told[part.number] = 0
                running = [(other, of) for other, of in running if other.number != part.number]
                ledger.lost(part.number)
    assert found.keys() == set(range(n_jobs))
    for parts in found.values():
        assert sorted(number for part in parts for number in part) == list(range(20))


def crumble(job, order, others):
    """Hand over one number at a time, whenever somebody asks for a part."""
    done = []
    while job:
        done.append(job.pop())
        time.sleep(1e-3)
        if len(job) > 1 and others.idle:
            others.give([job.pop()])
    return done


def test_whoever_gave_a_part_is_asked_again():
    work = Work(crumble, order=lambda: None, patience=lambda: None, overdue=print)
    [(_, found)] = results(work, {0: list(range(300))}, 2)
    assert sorted(number for done in found for number in done) == list(range(300))
    assert len(found) > 3


def test_a_part_is_given_once_for_each_request():
    master, worker = Channel.pair()
    others = _OthersByChannel(worker)
    assert not others.idle
    for part in ("one", "another"):
        master.send(None)
        assert others.idle
        assert others.idle  # until it is given
        others.give(part)
        assert not others.idle
        assert master.receive() == (DIVIDED, part)
    master.close()
    worker.close()


def stall(job, order, others):
    """The first time, hand over a part and die as soon as whoever has it has come to a stop."""
    if job == "part":
        (order / "stopped").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    elif not (order / "stopped").exists():
        while not others.idle:
            time.sleep(1e-3)
        others.give("part")
        while not (order / "stopped").exists():
            time.sleep(1e-3)
        os._exit(1)
    return job


def test_who_works_in_vain_is_stopped(tmp_path):
    """A part of a job that is begun again is nobody's business any more."""
    stalling = Work(stall, order=lambda: tmp_path, patience=lambda: None, overdue=print)
    assert list(results(stalling, {3: "whole"}, 2)) == [(3, ["whole"])]


def test_where_jobs_are_not_divided():
    jobs = {0: (0, 30, None), 1: (0, 20, None)}
    found = dict(results(Work(divide, lambda: 0, lambda: None, print), jobs, None))
    assert [len(found[number]) for number in jobs] == [1, 1]
    with pytest.raises(RuntimeError, match="asked"):
        NOBODY.give((0, 1, None))


def test_large_results():
    jobs = {number: np.full(10**6, number) for number in range(4)}
    for number, [(array, _)] in results(work(), jobs, 2):
        assert np.array_equal(array, jobs[number])


@pytest.mark.parametrize(
    ("job", "error", "text"),
    [
        ("raise", ZeroDivisionError, "a job"),
        ("unportable", RuntimeError, "Unportable: 1 and 2"),
        ("lambda", TypeError, "cannot be sent back"),
        ("die", errors.TooLarge, "processes died"),
    ],
)
def test_what_goes_wrong_in_a_job_is_raised_here(job, error, text):
    with pytest.raises(error, match=text):
        list(results(work(), {0: "good", 1: job, 2: "good"}, 2))


def test_stopped_at_once():
    running = results(work(), {0: "good", 1: "sleep", 2: "sleep"}, 2)
    assert next(running)[0] == 0
    start = time.monotonic()
    running.close()
    assert time.monotonic() - start < 30


def test_overdue_jobs_are_named():
    seen = []

    def overdue(running):
        seen.append(running)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        list(results(work(0.2, overdue), {7: "sleep", 8: "sleep", 9: "sleep"}, 2))
    assert [sorted(running) for running in seen] == [[7, 8]] or sorted(seen[0]) == [8, 9]


BURST = """
import os, psutil, signal, sys, threading, time
from exactdim.regions.workers import Work, results

def do(job, order, others):
    time.sleep(60)

left = 3

def interrupt(number, frame):
    global left
    left -= 1
    if left >= 0:
        raise KeyboardInterrupt

def burst():
    for _ in range(50):
        time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, interrupt)
work = Work(do, order=lambda: None, patience=lambda: None, overdue=print)
running = results(work, dict.fromkeys(range(9)), 6)
threading.Timer(1, burst).start()
for _ in range(4):
    try:
        next(running, None)
        running.close()
        time.sleep(1)
    except KeyboardInterrupt:
        pass
sys.exit(sum(child.status() != psutil.STATUS_ZOMBIE for child in psutil.Process().children()))
"""


def test_a_burst_of_interrupts_leaves_nobody():
    run = subprocess.run(
        [sys.executable, "-c", BURST], capture_output=True, timeout=90, check=False
    )
    assert run.returncode == 0, run.stderr.decode()


STARTED = """
import os, psutil, random, signal, sys, threading, time
from exactdim.regions.workers import Work, results

def do(job, order, others):
    return job

threading.Thread(target=time.sleep, args=(999,), daemon=True).start()  # it may get the signal
work = Work(do, order=lambda: None, patience=lambda: None, overdue=print)
interrupted = 0
for _ in range(40):
    interrupter = os.fork()
    if not interrupter:
        time.sleep(random.uniform(0, 0.03))
        os.kill(os.getppid(), signal.SIGINT)
        os._exit(0)
    try:
        while os.waitpid(interrupter, os.WNOHANG) == (0, 0):
            list(results(work, dict.fromkeys(range(3)), 3))
    except KeyboardInterrupt:  # Python swallows one that meets it in a weak reference's callback
        interrupted += 1
left = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
print(f"{interrupted} interrupts, {len(left)} processes left", file=sys.stderr)
os._exit(bool(left) or interrupted < 10)
"""


def test_interrupts_while_processes_are_started_leave_nobody():
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STARTED],
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()


def nested(pipe):
    try:
        ed.count_regions(ed.ReLUNetwork.random((1, 3, 1), seed=0), executor=2)
    except errors.InvalidInput as error:
        pipe.send(str(error))


def test_a_daemonic_process_is_told_that_it_cannot():
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=nested, args=(theirs,), daemon=True)
    process.start()
    assert ours.poll(60)
    assert "daemonic" in ours.recv()
    process.join()


@pytest.mark.parametrize("executor", ["2", 1.5, [], object()])
def test_what_is_no_executor(executor):
    with pytest.raises(errors.InvalidInput, match="executor"):
        ed.count_regions(ed.ReLUNetwork.random((1, 3, 1), seed=0), executor=executor)


START = """
import multiprocessing, sys
import exactdim as ed
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    net = ed.ReLUNetwork.random((2, 6, 4, 1), seed=0)
    found = ed.activation_regions(net, (-1, 1), executor=2)
    assert len(found) == ed.count_regions(net, (-1, 1))
    assert len(found) == ed.count_regions(net, (-1, 1), executor=2)
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_started_in_any_way(method, tmp_path):
    script = tmp_path / "start.py"  # which new interpreters can read
    script.write_text(START)
    run = subprocess.run(
        [sys.executable, "-W", "error", script, method],
        capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr.decode()
