"""Strips of a matrix, updated by as many threads as there are cores.

A threaded BLAS splits every product over its own threads and waits for the slowest, which on a busy
machine makes small products many times slower. Here each thread takes the next strip when it is
ready and calls a single-threaded BLAS, so that nobody waits, and the work between the products runs
in parallel too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeAlias

from threadpoolctl import threadpool_limits

__all__ = ["ForEach", "strip_workers"]

ForEach: TypeAlias = Callable[[Callable[[int], None], Iterable[int]], None]
"""Calls a function for each starting row, in any order, and returns when all are done."""


@contextmanager
def strip_workers() -> Iterator[ForEach]:
    """Start the threads; within the context BLAS itself uses one.

    Yields
    ------
    callable
        ``for_each(function, starts)``; an exception of the function is raised again, and strips
        that have not begun are then left out.
    """
    with threadpool_limits(limits=1, user_api="blas"):
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
