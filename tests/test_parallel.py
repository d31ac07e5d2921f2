"""Threads of BLAS: as few as are asked for, whoever else asks, and all of them back afterwards."""

import multiprocessing
import threading
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from exactdim.arith import parallel
from exactdim.arith.parallel import one_blas_thread, strip_workers
from exactdim.regions.workers import Work, results


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def three_threads():
    with threadpool_limits(3, "blas"):
        yield
        assert blas_threads() == {3}


def test_one_thread_within_and_as_many_as_before_afterwards():
    with one_blas_thread():
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {3}
    with strip_workers():
        assert blas_threads() == {1}
    assert blas_threads() == {3}
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert blas_threads() == {3}


class SlowBlas:
    """Three threads, and a first user that is slow to limit them after it has looked at them."""

    def __init__(self):
        self.num_threads = 3
        self.lib_controllers = [self]
        self.first_is_slow, self.first_is_done = threading.Event(), threading.Event()
        self.second_is_done = threading.Event()

    @contextmanager
    def limit(self, limits):
        is_first = not self.first_is_slow.is_set()
        if is_first:
            self.first_is_slow.set()
            self.second_is_done.wait(0.5)
        before, self.num_threads = self.num_threads, limits
        (self.first_is_done if is_first else self.second_is_done).set()
        yield
        self.num_threads = before


def test_two_threads_that_limit_it_restore_it(monkeypatch):
    """Both find three threads; neither may take the other's one for what it has to restore."""
    blas, second_has_left = SlowBlas(), threading.Event()
    monkeypatch.setattr(parallel, "_blas", lambda: blas)

    def first():
        with one_blas_thread():
            second_has_left.wait()

    thread = threading.Thread(target=first)
    thread.start()
    blas.first_is_slow.wait()
    with one_blas_thread():
        blas.first_is_done.wait()
    second_has_left.set()
    thread.join()
    assert blas.num_threads == 3


def multiplied(job, order, others):
    matrix = np.ones((600, 600))
    (matrix @ matrix).sum()
    return blas_threads(), psutil.Process().num_threads()


@pytest.mark.skipif(
    multiprocessing.get_start_method() != "fork", reason="a new interpreter starts them by itself"
)
def test_processes_start_no_threads_of_blas():
    """Threads that wait for work keep a core busy for a while: just when all of them are needed."""
    work = Work(multiplied, order=lambda: None, patience=lambda: None, overdue=print)
    for _, [(limit, threads)] in results(work, dict.fromkeys(range(4)), 2):
        assert limit == {1}
        assert threads <= 2  # it works, and it watches whether its master is alive
    assert blas_threads() == {3}
