"""Threads: strips of a matrix are updated by as many as there are cores; BLAS itself uses one.

A threaded BLAS splits every product over its own threads and waits for the slowest, which on a busy
machine makes small products many times slower. Here each thread takes the next strip when it is
ready and calls a single-threaded BLAS, so that nobody waits, and the work between the products runs
in parallel too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import TypeAlias

from threadpoolctl import ThreadpoolController

__all__ = ["ForEach", "one_blas_thread", "strip_workers"]

ForEach: TypeAlias = Callable[[Callable[[int], None], Iterable[int]], None]
"""Calls a function for each starting row, in any order, and returns when all are done."""


_LIMITED = threading.Lock()
"""Held by whoever has limited BLAS, which is one setting of the whole process."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let the BLAS of numpy use one thread; until the first one of several users leaves.

    Notes
    -----
    On a machine that others use, too, the threads of many small products wait for each other: a
    product then takes several times as long as on one thread. And they keep a core busy for a tenth
    of a second while they wait for work, from the moment they are started: in a new process that is
    when it first asks for a number of threads, be it one. So nothing is asked for that is so.
    """
    if not _LIMITED.acquire(blocking=False):  # else the last to leave might restore one thread
        yield
        return
    try:
        blas = _blas()
        if all(library.num_threads == 1 for library in blas.lib_controllers):
            yield
        else:
            with blas.limit(limits=1):
                yield
    finally:
        _LIMITED.release()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")  # looks through all loaded libraries


@contextmanager
def strip_workers() -> Iterator[ForEach]:
    """Start the threads; within the context BLAS itself uses one.

    Yields
    ------
    callable
        ``for_each(function, starts)``; an exception of the function is raised again, and strips
        that have not begun are then left out.
    """
    with one_blas_thread():
        pool = ThreadPoolExecutor(_cores())

        def for_each(function: Callable[[int], None], starts: Iterable[int]) -> None:
            jobs = [pool.submit(function, start) for start in starts]
            try:
                wait(jobs)
            finally:
                for job in jobs:
                    job.cancel()
            for job in jobs:
                job.result()

        try:
            yield for_each
        finally:
            pool.shutdown(cancel_futures=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
