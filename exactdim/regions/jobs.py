"""Subdivisions as jobs: in bounded memory, on several processes or machines, resumable.

The cells of the first layers are independent jobs. Each is finished on its own and gives one or
several `CellComplex`; `cellular.joined` puts all of them together. A process that has nothing left
to do takes over half of what another one has left. Finished jobs can be kept in a folder: a run
that is killed at any moment goes on from there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.errors import InvalidInput, TooLarge
from exactdim.regions.budget import Budget
from exactdim.regions.cellular import CellComplex, joined
from exactdim.regions.folder import JobFolder
from exactdim.regions.layout import Layout
from exactdim.regions.subdivision import Subdivision
from exactdim.regions.workers import NOBODY, Others, Work, Workers, results

__all__ = [
    "Progress",
    "complexes",
    "jobs_for",
    "number_of_cells",
    "size_estimate",
]

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with (jobs or neurons done, how many there are, a note)."""

JOBS_PER_WORKER = 2
"""Jobs per worker of an executor, which cannot divide them later as our own processes do."""

KEPT_JOBS = 10
"""Jobs, at least, of a computation that keeps those that are finished."""

PART = 1 << 19
"""Cells, times neurons of the next block, of one part that is cut by itself."""

SHARED = 1 << 18
"""Cells, times neurons left to cut with, of a subdivision of which a half is given to others."""

MOST_FACES = 10**9
"""Estimated faces above which a computation without limits is not started."""

MOST_FACES_AT_ONCE = 2**16
"""Faces of a simplex above which even the empty complex does not fit into memory."""


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
        store = JobFolder(Path(folder), layout, inequalities, max(n_jobs, KEPT_JOBS))
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
    finished = _results(
        waiting, executor, _whole if store else list, _number, budget_now, len(jobs), progress
    )
    with closing(finished):
        for number, found in finished:
            parts = list(chain.from_iterable(found))
            if store:
                parts = _whole(parts)
                store.save(number, *parts)
            yield from parts


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
    finished = _results(dict(enumerate(jobs)), executor, _number, int, limits, len(jobs), progress)
    return sum(sum(found) for _, found in finished)


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


Tick: TypeAlias = Callable[[Subdivision], None]
"""Called after every cut."""


def _by_neuron(start: Subdivision, progress: Progress | None) -> Tick:
    total = start.layout.n_hidden

    def tick(sub: Subdivision) -> None:
        if progress:
            progress(sub.n_cut, total, f"{sub.n_cells} cells")

    return tick


def _silent(sub: Subdivision) -> None:
    """Report nothing."""


def _stream(
    sub: Subdivision, limits: Budget, tick: Tick, others: Others[Subdivision] = NOBODY
) -> Iterator[CellComplex]:
    """Finish a subdivision depth first, in parts that fit into memory; let others help."""
    waiting, done = [sub], 0
    del sub
    while waiting:
        sub = waiting.pop()
        while not sub.finished:
            parts = -(-sub.n_cells * sub.layout.blocks[sub.block].width // PART)
            if sub.unit == 0 and parts > 1 and sub.n_cells > 1:
                waiting += sub.split(parts)[::-1]
                sub = waiting.pop()
            sub.cut()
            limits.check(done + sub.n_cells)
            tick(sub)
            if (waiting or _worth_sharing(sub)) and others.idle:
                if not waiting:
                    sub, other = sub.split(2)
                    waiting.append(other)
                others.give(waiting.pop(0))
        part = sub.result()
        del sub
        done += part.n_cells
        if waiting:
            others.tell(part.n_cells)
        yield part


def _worth_sharing(sub: Subdivision) -> bool:
    """Return whether so much is left to do that it pays to hand over one half."""
    return sub.n_cells > 1 and sub.n_cells * (sub.layout.n_hidden - sub.n_cut) >= SHARED


def jobs_for(executor: Workers) -> int:
    """Return into how many jobs a computation is divided.

    Parameters
    ----------
    executor : Executor, int or None

    Returns
    -------
    int
        One per process of our own; some per worker of an executor, so that all are busy for long.
        Every job costs a little.
    """
    if isinstance(executor, int | np.integer):
        return max(1, int(executor))
    return JOBS_PER_WORKER * max(2, int(getattr(executor, "_max_workers", 8)))


def _plan(start: Subdivision, limits: Budget, n_jobs: int) -> list[Subdivision]:
    """Cut with the first layers until there are cells for all jobs; the same on every run."""
    while not start.finished and (start.block == 0 or start.unit or start.n_cells < n_jobs):
        start.cut()
        limits.check(start.n_cells)
    return start.split(n_jobs)


Result = TypeVar("Result", list[CellComplex], int)

Summary: TypeAlias = Callable[[Iterable[CellComplex]], Result]
"""What is made of the parts of a job, and sent back."""

Limits: TypeAlias = "tuple[int | None, float | None, int]"
"""A budget as it is sent."""


def _whole(parts: Iterable[CellComplex]) -> list[CellComplex]:
    return [joined(list(parts))]


def _number(parts: Iterable[CellComplex]) -> int:
    return sum(part.n_cells for part in parts)


def _job(
    summary: Summary[Result], sub: Subdivision, limits: Limits, others: Others[Subdivision]
) -> Result:
    """Do one job, wherever this runs."""
    return summary(_stream(sub, Budget.of(*limits), _silent, others))


def _results(
    jobs: dict[int, Subdivision],
    executor: Workers,
    summary: Summary[Result],
    size: Callable[[Result], int],
    limits: Budget,
    total: int,
    progress: Progress | None,
) -> Generator[tuple[int, list[Result]], None, None]:
    """Yield finished jobs in any order, within the limits; the size of a result is its regions."""
    done, regions = total - len(jobs), 0

    def overdue(running: list[int]) -> None:  # each has at least the cells that it began with
        limits.check(regions + sum(jobs[number].n_cells for number in running))

    def report(more: int = 0) -> None:
        limits.check(regions + more)
        if progress:
            progress(done, total, f"{limits.known + regions + more} regions")

    first = next(iter(jobs.values()), None)
    work = Work(
        partial(_job, summary),
        order=lambda: limits.after(regions).sent(),
        patience=lambda: limits.sent()[1],
        overdue=overdue,
        heard=report,
        known=[first.layout, first.exact] if first else [],
    )
    with closing(results(work, jobs, executor)) as finished:
        for number, found in finished:
            done += 1
            regions += sum(map(size, found))
            yield number, found  # before anything else, so that it is kept
            report()
