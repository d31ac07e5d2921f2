"""Subdivisions as jobs: in bounded memory, on several processes or machines, resumable.

The cells of the first layers are independent jobs. Each is finished on its own and gives a
`CellComplex`; `cellular.joined` puts them together. Finished jobs can be kept in a folder: a run
that is killed at any moment goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.errors import BudgetExceeded, InvalidInput, TooLarge, UnreadableFile
from exactdim.evidence.certificate import write_whole
from exactdim.evidence.spelling import layers_of, rationals
from exactdim.regions.cellular import CellComplex, joined
from exactdim.regions.layout import Layout
from exactdim.regions.subdivision import Subdivision

__all__ = ["Budget", "Progress", "Workers", "complexes", "has_plan", "size_estimate"]

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with (jobs or neurons done, how many there are, a note)."""

Workers: TypeAlias = "Executor | int | None"
"""Where jobs run: an executor, a number of processes, or here."""

JOBS = 96
"""Jobs per computation: enough to keep some dozens of workers busy to the end."""

FORM_BYTES = 1 << 24
"""Memory for the affine forms of one block of neurons on all cells of a part."""

MOST_FACES = 10**9
"""Estimated faces above which a computation without limits is not started."""

RESTARTS = 3
"""How often a pool of processes of our own is started again after one of them died."""


@dataclass(frozen=True)
class Budget:
    """Limits of a computation.

    Attributes
    ----------
    max_regions : int or None
    deadline : float or None
        As `time.monotonic` tells it.
    """

    max_regions: int | None = None
    deadline: float | None = None

    @classmethod
    def of(cls, max_regions: int | None, max_seconds: float | None) -> Budget:
        """Return the limits from now on."""
        if max_regions is not None and max_regions < 1:
            raise InvalidInput(f"max_regions={max_regions} allows no region; give 1 or more")
        if max_seconds is not None and not max_seconds > 0:
            raise InvalidInput(f"max_seconds={max_seconds} must be positive")
        return cls(max_regions, None if max_seconds is None else time.monotonic() + max_seconds)

    def check(self, n: int) -> None:
        """Stop if the n regions known so far, or the time, exceed the limits."""
        if self.max_regions is not None and n > self.max_regions:
            raise BudgetExceeded(
                f"there are more than max_regions={self.max_regions} activation regions; raise the "
                "limit, or choose a smaller domain or a slice",
                self.max_regions + 1,
            )
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise BudgetExceeded(
                f"max_seconds is over; so far there are at least {n} activation regions. Allow "
                "more time; with a checkpoint folder the finished part is not computed again",
                n,
            )

    def left(self, n: int) -> Budget:
        """Return the budget after n regions."""
        return self if self.max_regions is None else replace(self, max_regions=self.max_regions - n)

    def sent(self) -> tuple[int | None, float | None]:
        """Return the budget in a form that means the same on another machine."""
        seconds = None if self.deadline is None else self.deadline - time.monotonic()
        return self.max_regions, None if seconds is None else max(seconds, 1e-3)


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
    d = inequalities.shape[1] - 1
    estimate = size_estimate(layout, d)
    if estimate > MOST_FACES and limits == Budget():
        raise TooLarge(
            f"in dimension {d} the neurons of the first layer alone can make about "
            f"10^{len(str(estimate)) - 1} faces, which would not end. "
            "Choose a slice (Domain.plane, Domain.segment), or set max_regions or max_seconds to "
            "try it on a small domain"
        )
    start = Subdivision(layout, inequalities)
    if not start.n_cells:
        raise InvalidInput(
            "the domain has no interior point: its inequalities contradict each other, or leave "
            "only a lower-dimensional set (use Domain.affine for that)"
        )
    if executor is None and folder is None:
        yield from _stream(start, limits, _by_neuron(start, progress))
        return
    jobs = _plan(start, limits)
    store = None if folder is None else _Folder(Path(folder), layout, inequalities, len(jobs))
    yield from _run(jobs, executor, store, limits, progress)


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
                for finished in _stream(waiting.pop(), limits.left(done), tick):
                    done += finished.n_cells
                    yield finished
            return
        _cut_block(sub, limits, tick)
    yield sub.result()


def _plan(start: Subdivision, limits: Budget) -> list[Subdivision]:
    """Cut with the first layers until there are cells for enough jobs; the same on every run."""
    while not start.finished and (start.block == 0 or start.n_cells < JOBS):
        _cut_block(start, limits, _silent)
    return start.split(JOBS)


def _job(sub: Subdivision, limits: tuple[int | None, float | None]) -> dict[str, Any]:
    """Do one job, wherever this runs."""
    return joined(list(_stream(sub, Budget.of(*limits), _silent))).to_arrays()


def _run(
    jobs: list[Subdivision],
    executor: Workers,
    store: _Folder | None,
    limits: Budget,
    progress: Progress | None,
) -> Iterator[CellComplex]:
    done = regions = 0
    open_jobs: dict[int, Subdivision] = {}
    for number, job in enumerate(jobs):
        kept = store.load(number) if store else None
        if kept is None:
            open_jobs[number] = job
            continue
        done += 1
        regions += kept.n_cells
        yield kept
    results = _results(open_jobs, executor, lambda: limits.left(regions).sent())
    for number, arrays in results:
        part = CellComplex.from_arrays(arrays)
        if store:
            store.save(number, part)
        done += 1
        regions += part.n_cells
        limits.check(regions)
        if progress:
            progress(done, len(jobs), f"{regions} regions")
        yield part


Limits: TypeAlias = Callable[[], tuple["int | None", "float | None"]]


def _results(
    jobs: dict[int, Subdivision], executor: Workers, limits: Limits
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield finished jobs in any order."""
    if executor is None:
        for number, job in jobs.items():
            yield number, _job(job, limits())
    elif isinstance(executor, int):
        yield from _own_processes(jobs, executor, limits)
    else:
        try:
            yield from _submitted(jobs, executor, limits)
        except BrokenExecutor as error:
            raise BrokenExecutor(
                f"the executor lost its workers ({error}); start a new one and run again - with a "
                "checkpoint folder only the unfinished jobs are repeated"
            ) from error


def _own_processes(
    jobs: dict[int, Subdivision], processes: int, limits: Limits
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run jobs on processes of our own, which are started again if one of them dies."""
    if processes < 1:
        raise InvalidInput(f"executor={processes} starts no process; give 1 or more")
    left = dict(jobs)
    for attempt in range(RESTARTS + 1):
        pool = ProcessPoolExecutor(processes)
        try:
            for number, arrays in _submitted(left, pool, limits):
                del left[number]
                yield number, arrays
            return
        except BrokenExecutor:
            if attempt == RESTARTS:
                raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _submitted(
    jobs: dict[int, Subdivision], executor: Executor, limits: Limits
) -> Iterator[tuple[int, dict[str, Any]]]:
    running: dict[Future[dict[str, Any]], int] = {}
    try:
        for number, job in jobs.items():
            running[executor.submit(_job, job, limits())] = number
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                number = running.pop(future)
                yield number, future.result()
    finally:
        for future in running:
            future.cancel()


def has_plan(folder: Path) -> bool:
    """Return whether a folder holds jobs of an earlier run.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    bool
    """
    return (folder / PLAN).exists()


PLAN = "plan.json"


class _Folder:
    """Finished jobs on disk: one npz file each, and a note of what they belong to."""

    def __init__(self, path: Path, layout: Layout, inequalities: QMatrix, n_jobs: int) -> None:
        self.path = path
        text = json.dumps(
            {
                "format": "exactdim/regions-checkpoint",
                "version": 1,
                "networks": [layers_of(net) for net in layout.nets],
                "inequalities": rationals(inequalities),
                "jobs": n_jobs,
            },
            sort_keys=True,
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        note = path / PLAN
        try:
            path.mkdir(parents=True, exist_ok=True)
            if note.exists():
                if json.loads(note.read_text(encoding="utf-8")).get("digest") != digest:
                    raise InvalidInput(
                        f"the checkpoint folder {path} belongs to another network, domain or "
                        "version of exactdim; give another folder, or delete it"
                    )
            else:
                if any(not file.name.startswith(".") for file in path.iterdir()):
                    raise InvalidInput(
                        f"{path} holds other files and no plan.json; give an empty or new folder"
                    )
                write_whole(note, json.dumps({"digest": digest, "jobs": n_jobs}) + "\n")
        except (OSError, ValueError, AttributeError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise UnreadableFile(f"cannot use {path} as checkpoint folder: {error}") from None

    def _file(self, number: int) -> Path:
        return self.path / f"job-{number:05d}.npz"

    def load(self, number: int) -> CellComplex | None:
        """Return a finished job, or None if there is none or the file is damaged."""
        try:
            with np.load(self._file(number), allow_pickle=False) as arrays:
                return CellComplex.from_arrays({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
            return None

    def save(self, number: int, part: CellComplex) -> None:
        """Write a finished job; the file appears whole or not at all."""
        target = self._file(number)
        scratch = target.with_suffix(f".{os.getpid()}.tmp")
        with open(scratch, "wb") as file:
            np.savez(file, allow_pickle=False, **part.to_arrays())
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)
