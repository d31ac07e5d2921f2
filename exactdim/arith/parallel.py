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
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

from threadpoolctl import ThreadpoolController

__all__ = ["ForEach", "one_blas_thread", "strip_workers"]

ForEach: TypeAlias = Callable[[Callable[[int], None], Iterable[int]], None]
"""Calls a function for each starting row, in any order, and returns when all are done."""


class _OneThread:
    """Keeps the BLAS of numpy at one thread while anybody wants it so.

    Each of several threads restoring what it found would leave behind what another one had set.
    """

    def __init__(self) -> None:
        self._users = 0
        self.unlock()
        self._blas: ThreadpoolController | None = None

    def unlock(self) -> None:
        """Forget that a thread was just entering or leaving; a new process has no such thread."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                if self._blas is None:  # looks through all loaded libraries: milliseconds
                    self._blas = ThreadpoolController().select(user_api="blas")
                self._limit = self._blas.limit(limits=1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()


_one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread.unlock)


def one_blas_thread() -> AbstractContextManager[None]:
    """Let the BLAS of numpy use one thread, whoever calls it.

    Returns
    -------
    context manager

    Notes
    -----
    On a machine that others use, too, the threads of many small products wait for each other: a
    product then takes several times as long as on one thread.
    """
    return _one_thread


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
