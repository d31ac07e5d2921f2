"""Jobs on processes of our own, on any executor, or here; in any order, and stopped at once.

`concurrent.futures.ProcessPoolExecutor` cannot be stopped while its processes are at work: killing
them leaves its thread reading half a message, or races with it at exit. Here every process has a
channel of its own, so that killing one harms nothing else.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from exactdim.errors import InvalidInput, TooLarge
from exactdim.regions.channel import Channel

__all__ = ["Work", "Workers", "results"]

Workers: TypeAlias = "Executor | int | None"
"""Where jobs run: an executor, a number of processes, or here."""

MOST_DEATHS = 4
"""Processes of our own that may die before we give up."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Options of `mallopt`, as <malloc.h> of the GNU C library numbers them."""

Job = TypeVar("Job")
Order = TypeVar("Order")
Result = TypeVar("Result")


class Work(Generic[Job, Order, Result]):
    """What is to be done with jobs.

    Parameters
    ----------
    do : callable
        ``do(job, order)``, wherever this runs: it must survive pickling.
    order : callable
        Called when a job is handed out, for what it has to know at that moment.
    patience : callable
        How many seconds to wait for the next result; None for as long as it takes.
    overdue : callable
        Called with the numbers of the running jobs when none has come in that time; may raise.
    """

    def __init__(
        self,
        do: Callable[[Job, Order], Result],
        order: Callable[[], Order],
        patience: Callable[[], float | None],
        overdue: Callable[[list[int]], None],
    ) -> None:
        self.do = do
        self.order = order
        self.patience = patience
        self.overdue = overdue


def results(
    work: Work[Job, Order, Result], jobs: Mapping[int, Job], workers: Workers
) -> Generator[tuple[int, Result], None, None]:
    """Yield the results of jobs by their numbers, as they come.

    Parameters
    ----------
    work : Work
    jobs : mapping of int to job
    workers : Executor, int or None

    Yields
    ------
    (int, result)
        Close the generator to stop: processes of our own are then gone when `close` returns.

    Raises
    ------
    InvalidInput
        If no process is to be started.
    TooLarge
        If too many processes of our own die.
    BrokenExecutor
        If a foreign executor lost its workers.
    """
    if workers is None:
        for number, job in jobs.items():
            yield number, work.do(job, work.order())
    elif isinstance(workers, int | np.integer):
        yield from _own_processes(work, jobs, int(workers))
    elif not hasattr(workers, "submit"):
        raise InvalidInput(
            f"executor={workers!r} is no executor; give a number of processes, or an object with "
            "the methods of concurrent.futures.Executor"
        )
    else:
        yield from _foreign(work, jobs, workers)


def _foreign(
    work: Work[Job, Order, Result], jobs: Mapping[int, Job], executor: Executor
) -> Iterator[tuple[int, Result]]:
    futures: dict[Future[Result], int] = {}
    try:
        for number, job in jobs.items():
            futures[executor.submit(work.do, job, work.order())] = number
        running = set(futures)
        while running:
            done, running = wait(running, work.patience(), FIRST_COMPLETED)
            if not done:
                work.overdue([futures[future] for future in running])
            for future in done:
                yield futures[future], future.result()
    except BrokenExecutor as error:
        raise BrokenExecutor(
            f"the executor lost its workers ({error}); start a new one and run again - with a "
            "checkpoint folder only the unfinished jobs are repeated"
        ) from error
    finally:
        for future in futures:
            future.cancel()


def _own_processes(
    work: Work[Job, Order, Result], jobs: Mapping[int, Job], processes: int
) -> Iterator[tuple[int, Result]]:
    """Run jobs on processes of our own; those of one that dies are done by another."""
    if processes < 1:
        raise InvalidInput(f"executor={processes} starts no process; give 1 or more")
    if multiprocessing.current_process().daemon:
        raise InvalidInput(
            f"executor={processes}, but this process is a daemonic worker itself and must not "
            "start others; leave out executor"
        )
    waiting = list(jobs)[::-1]
    team: dict[Channel, _Process[Job, Order, Result]] = {}
    deaths = 0
    try:
        while waiting or team:
            while waiting and len(team) < processes:
                with _interrupts_held():  # a process that is started is in the team
                    process = _Process(work.do, jobs)
                    team[process.channel] = process
                process.begin(waiting.pop(), work.order())
            ready = connection.wait(list(team), work.patience())  # type: ignore[arg-type]
            if not ready:
                work.overdue([process.job for process in team.values()])
            for channel in ready:
                process = team[channel]  # type: ignore[index]
                number = process.job
                try:
                    good, result = process.channel.receive()
                except (EOFError, OSError):
                    deaths += 1
                    if deaths > MOST_DEATHS:
                        raise TooLarge(
                            f"{deaths} processes died, perhaps for lack of memory; use fewer, and "
                            "a checkpoint folder to keep what is done"
                        ) from None
                    waiting.append(number)
                    process.stop()
                    del team[process.channel]
                    continue
                if not good:
                    raise result
                if waiting:
                    process.begin(waiting.pop(), work.order())
                else:
                    process.stop()
                    del team[process.channel]
                yield number, result
    finally:
        _dismiss_all(team)


class _Process(Generic[Job, Order, Result]):
    """A process of our own that does one job after another."""

    job: int

    def __init__(self, do: Callable[[Job, Order], Result], jobs: Mapping[int, Job]) -> None:
        self.channel, theirs = Channel.pair()
        self.process: BaseProcess = multiprocessing.Process(
            target=_serve, args=(theirs, do, jobs, os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the stream

    def begin(self, job: int, order: Order) -> None:
        """Hand out a job; if the process is dead, its channel will say so when it is read."""
        self.job = job
        with suppress(OSError):
            self.channel.send((job, order))

    def stop(self) -> None:
        """End the process, whatever it is doing; a second time does no harm."""
        self.process.kill()
        self.process.join()
        self.channel.close()


def _dismiss_all(team: dict[Channel, _Process[Job, Order, Result]]) -> None:
    """End all processes, also if Ctrl-C is pressed again meanwhile."""
    try:
        for channel in list(team):
            team[channel].stop()
            del team[channel]
    except KeyboardInterrupt:
        _dismiss_all(team)
        raise


def _serve(
    channel: Channel, do: Callable[[Job, Order], Any], jobs: Mapping[int, Job], master: int
) -> None:
    """Do jobs in a process of our own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the master decides
    _let_interrupts_through()
    _keep_memory()
    if os.getppid() == master:  # else the process was started by a server, which ends it
        threading.Thread(target=_end_with, args=(master,), daemon=True).start()
    while True:
        try:
            job, order = channel.receive()
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = True, do(jobs[job], order)
        except Exception as error:  # it is raised again where the results are read
            answer = False, _portable(error)
        try:
            channel.send(answer)
        except Exception as error:
            channel.send((False, TypeError(f"the result of a job cannot be sent back: {error}")))


def _keep_memory() -> None:
    """Let this process keep what it frees, where the C library can be told so.

    To hand memory back to the system and to ask for it again takes a tenth of the time of a job.
    """
    with suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(TRIM_THRESHOLD, 1 << 30)
        set_option(MMAP_THRESHOLD, 1 << 25)


def _portable(error: Exception) -> Exception:
    """Return an exception that survives pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with(master: int) -> None:
    while os.getppid() == master:
        time.sleep(1)
    os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait; processes that are started meanwhile begin with it waiting, too."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _let_interrupts_through() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
