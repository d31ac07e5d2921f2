"""Subdivisions as jobs: in bounded memory, on several processes or machines, resumable.

The cells of the first layers are independent jobs. Each is finished on its own and gives a
`CellComplex`; `cellular.joined` puts them together. Finished jobs can be kept in a folder: a run
that is killed at any moment goes on from there.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from threadpoolctl import threadpool_limits

from exactdim.arith.matrix import QMatrix
from exactdim.errors import InvalidInput, TooLarge
from exactdim.regions.budget import Budget
from exactdim.regions.cellular import CellComplex, joined
from exactdim.regions.folder import JobFolder
from exactdim.regions.layout import Layout
from exactdim.regions.subdivision import Subdivision

__all__ = [
    "Progress",
    "Workers",
    "complexes",
    "jobs_for",
    "number_of_cells",
    "size_estimate",
]

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with (jobs or neurons done, how many there are, a note)."""

Workers: TypeAlias = "Executor | int | None"
"""Where jobs run: an executor, a number of processes, or here."""

JOBS_PER_WORKER = 5
"""Jobs per worker of a computation."""

FORM_BYTES = 1 << 24
"""Memory for the affine forms of one block of neurons on all cells of a part."""

MOST_FACES = 10**9
"""Estimated faces above which a computation without limits is not started."""

MOST_FACES_AT_ONCE = 2**16
"""Faces of a simplex above which even the empty complex does not fit into memory."""

RESTARTS = 3
"""How often a pool of processes of our own is started again after one of them died."""


def size_estimate(layout: Layout, d: int) -> int:
    """Estimate the number of faces that the first layers alone make.

    Parameters
    ----------
    layout : Layout
    d : int
        Dimension of the domain.

    Returns
    -------
    int
        2^d times the number of regions of generic hyperplanes (T40, Zaslavsky): in the whole space
        a lower bound for generic networks, in a small domain perhaps far too large.
    """
    units = sum(net.widths[1] for net in layout.nets if net.depth > 1)
    return int(2**d * sum(math.comb(units, k) for k in range(min(d, units) + 1)))


def complexes(
    layout: Layout,
    inequalities: QMatrix,
    *,
    executor: Workers = None,
    folder: str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Iterator[CellComplex]:
    """Subdivide a domain, part by part.

    Parameters
    ----------
    layout : Layout
        Networks on the coordinates of the domain.
    inequalities : QMatrix of shape (m, d + 1)
    executor : Executor or int, optional
        Where the jobs run; a number starts so many processes. Here by default.
    folder : path, optional
        Keeps finished jobs, one file each; they are not computed again.
    budget : Budget, optional
    progress : callable, optional

    Yields
    ------
    CellComplex
        Disjoint parts, to be put together by `joined`; the cells of all of them are the activation
        regions.

    Raises
    ------
    BudgetExceeded
        If a limit is reached.
    TooLarge
        If no limit is set and the estimate is beyond reach.
    InvalidInput
        If the domain has no interior, or the folder belongs to another computation.
    """
    limits = budget or Budget()
    if executor is None and folder is None:
        start = _start(layout, inequalities, limits)
        yield from _stream(start, limits, _by_neuron(start, progress))
        return
    n_jobs, store = jobs_for(executor), None
    if folder is not None:
        store = JobFolder(Path(folder), layout, inequalities, n_jobs)
        n_jobs = store.n_jobs
    jobs = _plan(_start(layout, inequalities, limits), limits, n_jobs)
    regions = 0
    waiting: dict[int, Subdivision] = {}
    for number, job in enumerate(jobs):
        kept = store.load(number) if store else None
        if kept is None:
            waiting[number] = job
            continue
        regions += kept.n_cells
        limits.check(regions)
        yield kept
    budget_now = limits.after(regions)
    for number, part in _results(waiting, executor, _whole, budget_now, len(jobs), progress):
        if store:
            store.save(number, part)
        yield part


def number_of_cells(
    layout: Layout,
    inequalities: QMatrix,
    *,
    executor: Workers = None,
    folder: str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> int:
    """Subdivide a domain and count the cells; arguments and errors as those of `complexes`."""
    limits = budget or Budget()
    if executor is None or folder is not None:
        parts = complexes(
            layout,
            inequalities,
            executor=executor,
            folder=folder,
            budget=limits,
            progress=progress,
        )
        return sum(part.n_cells for part in parts)
    jobs = _plan(_start(layout, inequalities, limits), limits, jobs_for(executor))
    results = _results(dict(enumerate(jobs)), executor, _number, limits, len(jobs), progress)
    return sum(n for _, n in results)


def _start(layout: Layout, inequalities: QMatrix, limits: Budget) -> Subdivision:
    d = inequalities.shape[1] - 1
    if 2**d > MOST_FACES_AT_ONCE:
        raise TooLarge(
            f"in dimension {d} a single region has 2^{d} faces or more. Choose a slice "
            "(Domain.plane, Domain.segment), or go through single regions "
            "(regions.programs.iter_patterns, realise), for which the dimension hardly matters"
        )
    estimate = size_estimate(layout, d)
    if estimate > MOST_FACES and not limits.limited:
        raise TooLarge(
            f"in dimension {d} the neurons of the first layer alone can make about "
            f"10^{len(str(estimate)) - 1} faces, which would not end. Choose a slice "
            "(Domain.plane, Domain.segment), set max_regions or max_seconds to try it on a small "
            "domain, or go through single regions (regions.programs.iter_patterns)"
        )
    start = Subdivision(layout, inequalities, limits.check)
    if not start.n_cells:
        raise InvalidInput(
            "the domain has no interior point: its inequalities contradict each other, or leave "
            "only a lower-dimensional set (use Domain.affine for that)"
        )
    return start


Tick: TypeAlias = Callable[[Subdivision, int], None]


def _by_neuron(start: Subdivision, progress: Progress | None) -> Tick:
    total = start.layout.n_hidden

    def tick(sub: Subdivision, done: int) -> None:
        if progress:
            progress(done, total, f"{sub.n_cells} cells")

    return tick


def _silent(sub: Subdivision, done: int) -> None:
    """Report nothing."""


def _cut_block(sub: Subdivision, limits: Budget, tick: Tick) -> None:
    blocks = sub.layout.blocks
    before = sum(block.width for block in blocks[: sub.block])
    width = blocks[sub.block].width
    sub.start_block()
    for unit in range(width):
        sub.cut_unit(unit)
        limits.check(sub.n_cells)
        tick(sub, before + unit + 1)
    sub.finish_block()


def _stream(sub: Subdivision, limits: Budget, tick: Tick) -> Iterator[CellComplex]:
    """Finish a subdivision depth first, in parts whose affine forms fit into memory."""
    while not sub.finished:
        block = sub.layout.blocks[sub.block]
        width = max(sub.layout.nets[block.net].widths[block.layer], block.width)
        parts = -(-sub.n_cells * (sub.d + 1) * width * 16 // FORM_BYTES)
        if parts > 1 and sub.n_cells > 1:
            done = 0
            waiting = sub.split(parts)[::-1]
            del sub
            while waiting:
                for finished in _stream(waiting.pop(), limits.after(done), tick):
                    done += finished.n_cells
                    yield finished
            return
        _cut_block(sub, limits, tick)
    yield sub.result()


def jobs_for(executor: Workers) -> int:
    """Return into how many jobs a computation is divided.

    Parameters
    ----------
    executor : Executor, int or None

    Returns
    -------
    int
        Some per worker, so that all are busy to the end; every job costs a little.
    """
    workers = executor if isinstance(executor, int) else getattr(executor, "_max_workers", 8)
    return JOBS_PER_WORKER * max(2, int(workers))


def _plan(start: Subdivision, limits: Budget, n_jobs: int) -> list[Subdivision]:
    """Cut with the first layers until there are cells for all jobs; the same on every run."""
    while not start.finished and (start.block == 0 or start.n_cells < n_jobs):
        _cut_block(start, limits, _silent)
    return start.split(n_jobs)


Result = TypeVar("Result", bound="CellComplex | int")

Summary: TypeAlias = Callable[[Iterator[CellComplex]], Result]
"""What is made of the parts of a job, and sent back."""

Task: TypeAlias = "tuple[Subdivision, Summary[Result]]"


def _whole(parts: Iterator[CellComplex]) -> CellComplex:
    return joined(list(parts))


def _number(parts: Iterator[CellComplex]) -> int:
    return sum(part.n_cells for part in parts)


def _job(
    sub: Subdivision, summary: Summary[Result], limits: tuple[int | None, float | None, int]
) -> Result:
    """Do one job, wherever this runs."""
    with threadpool_limits(1, "blas"):  # the other cores have jobs of their own
        return summary(_stream(sub, Budget.of(*limits), _silent))


def _results(
    jobs: dict[int, Subdivision],
    executor: Workers,
    summary: Summary[Result],
    limits: Budget,
    total: int,
    progress: Progress | None,
) -> Iterator[tuple[int, Result]]:
    """Yield finished jobs in any order, within the limits."""
    done, regions = total - len(jobs), 0

    def job_limits() -> Budget:
        return limits.after(regions)

    results: Iterator[tuple[int, Result]]
    if executor is None:
        results = (
            (number, _job(job, summary, job_limits().sent())) for number, job in jobs.items()
        )
    elif isinstance(executor, int):
        results = _own_processes(jobs, executor, summary, job_limits)
    else:
        results = _foreign(jobs, executor, summary, job_limits)
    for number, result in results:
        done += 1
        regions += result if isinstance(result, int) else result.n_cells
        yield number, result  # before anything else, so that it is kept
        limits.check(regions)
        if progress:
            progress(done, total, f"{limits.known + regions} regions")


Limits: TypeAlias = Callable[[], Budget]


def _foreign(
    jobs: dict[int, Subdivision], executor: Executor, summary: Summary[Result], limits: Limits
) -> Iterator[tuple[int, Result]]:
    futures: dict[Future[Result], int] = {}
    try:
        for number, job in jobs.items():
            futures[executor.submit(_job, job, summary, limits().sent())] = number
        yield from _finished(jobs, futures, limits)
    except BrokenExecutor as error:
        raise BrokenExecutor(
            f"the executor lost its workers ({error}); start a new one and run again - with a "
            "checkpoint folder only the unfinished jobs are repeated"
        ) from error
    finally:
        for future in futures:
            future.cancel()


def _own_processes(
    jobs: dict[int, Subdivision], processes: int, summary: Summary[Result], limits: Limits
) -> Iterator[tuple[int, Result]]:
    """Run jobs on processes of our own, which are started again if one of them dies."""
    if processes < 1:
        raise InvalidInput(f"executor={processes} starts no process; give 1 or more")
    left = dict(jobs)
    for attempt in range(RESTARTS + 1):
        pool = ProcessPoolExecutor(
            processes, initializer=_serve, initargs=(left, summary, os.getpid())
        )
        try:
            futures: dict[Future[Result], int] = {
                pool.submit(_served_job, number, limits().sent()): number for number in left
            }
            for number, result in _finished(jobs, futures, limits):
                del left[number]
                yield number, result
            return
        except BrokenExecutor as error:
            if attempt == RESTARTS:
                raise TooLarge(
                    f"the processes died {RESTARTS + 1} times ({error}), perhaps for lack of "
                    "memory; use fewer processes, and a checkpoint folder to keep what is done"
                ) from error
        finally:
            _stop(pool)


_served: dict[int, Callable[[tuple[int | None, float | None, int]], CellComplex | int]] = {}
"""In a process of our own: the jobs, which need not be sent one by one."""


def _serve(jobs: dict[int, Subdivision], summary: Summary[Result], master: int) -> None:
    """Prepare a process of our own: it leaves interrupts to its master, and ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number, job in jobs.items():
        _served[number] = partial(_job, job, summary)

    def watch() -> None:
        while os.getppid() == master:
            time.sleep(1)
        os._exit(1)

    if os.getppid() == master:  # else the process was started by a server, which ends it
        threading.Thread(target=watch, daemon=True).start()


def _served_job(number: int, limits: tuple[int | None, float | None, int]) -> Any:
    return _served[number](limits)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End a pool of processes at once, also those that are still starting or at work."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    for process in processes:
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def _finished(
    jobs: dict[int, Subdivision], futures: dict[Future[Result], int], limits: Limits
) -> Iterator[tuple[int, Result]]:
    """Yield the results of futures as they come, until the time is over."""
    running = set(futures)
    while running:
        done, running = wait(running, limits().sent()[1], FIRST_COMPLETED)
        if not done:  # every job that runs has at least the cells that it began with
            limits().check(sum(jobs[futures[future]].n_cells for future in running))
        for future in done:
            yield futures[future], future.result()
