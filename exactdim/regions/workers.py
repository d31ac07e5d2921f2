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
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from exactdim.arith.parallel import one_blas_thread
from exactdim.errors import InvalidInput, TooLarge
from exactdim.regions.channel import Channel
from exactdim.regions.ledger import Ledger, Part

__all__ = ["NOBODY", "Others", "Work", "Workers", "results"]

Workers: TypeAlias = "Executor | int | None"
"""Where jobs run: an executor, a number of processes, or here."""

LONGEST_WAIT = 3600.0
"""Seconds that are waited at a time; operating systems cannot count far."""

MOST_DEATHS = 4
"""Processes of our own that may die before we give up."""

DONE, DIVIDED, TOLD, FAILED = "done", "divided", "told", "failed"
"""What comes from a process: a result, a part for somebody else, a number, an exception."""

_STARTING = threading.Lock()
"""A process inherits all that is open. Were two started at a time, each would keep a channel of the
other open, whose end would then not be noticed."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Options of `mallopt`, as <malloc.h> of the GNU C library numbers them."""

Job = TypeVar("Job")
Job_contra = TypeVar("Job_contra", contravariant=True)
Order = TypeVar("Order")
Result = TypeVar("Result")


class Others(Protocol[Job_contra]):
    """Those who work on the same jobs, as the one that does a job sees them."""

    @property
    def idle(self) -> bool:
        """Whether somebody waits for a part of the job."""
        ...

    def give(self, part: Job_contra) -> None:
        """Hand over a part of the job; its result is then not of this job any more."""
        ...

    def tell(self, n: int) -> None:
        """Report that n more of whatever is counted are done."""
        ...


class _Nobody:
    idle = False

    def give(self, part: object) -> None:
        raise RuntimeError("nobody has asked for a part")

    def tell(self, n: int) -> None:
        pass


NOBODY = _Nobody()
"""Where a job is done without the others knowing: it cannot be divided."""


class Work(Generic[Job, Order, Result]):
    """What is to be done with jobs.

    Parameters
    ----------
    do : callable
        ``do(job, order, others)``, wherever this runs: it must survive pickling. It may hand over
        parts of the job to others that are idle, and tell how far it is.
    order : callable
        Called when a job is handed out, for what it has to know at that moment.
    patience : callable
        How many seconds to wait for the next result; None for as long as it takes. An hour is
        waited at most before it is asked again.
    overdue : callable
        Called with the numbers of the running jobs when none has come in that time; may raise.
    heard : callable
        Called with how many are done in jobs that are not finished, when that is told; may raise.
    known : sequence, optional
        Objects that all jobs share, and that need not be sent with each part.
    """

    def __init__(
        self,
        do: Callable[[Job, Order, Others[Job]], Result],
        order: Callable[[], Order],
        patience: Callable[[], float | None],
        overdue: Callable[[list[int]], None],
        heard: Callable[[int], None] = lambda _: None,
        known: Sequence[object] = (),
    ) -> None:
        self.do = do
        self.order = order
        self.patience = patience
        self.overdue = overdue
        self.heard = heard
        self.known = known


def results(
    work: Work[Job, Order, Result], jobs: Mapping[int, Job], workers: Workers
) -> Generator[tuple[int, list[Result]], None, None]:
    """Yield the results of jobs by their numbers, as they come.

    Parameters
    ----------
    work : Work
    jobs : mapping of int to job
    workers : Executor, int or None

    Yields
    ------
    (int, list of results)
        The results of all parts of a job; it has one only, unless processes of our own divided it.
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
            yield number, [work.do(job, work.order(), NOBODY)]
    elif isinstance(workers, int | np.integer):
        with one_blas_thread():  # before processes are started, which then need no threads at all
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
) -> Iterator[tuple[int, list[Result]]]:
    futures: dict[Future[Result], int] = {}
    try:
        for number, job in jobs.items():
            futures[executor.submit(work.do, job, work.order(), NOBODY)] = number
        running = set(futures)
        while running:
            done, running = wait(running, _short(work.patience()), FIRST_COMPLETED)
            if not done:
                work.overdue([futures[future] for future in running])
            for future in done:
                yield futures[future], [future.result()]
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
) -> Iterator[tuple[int, list[Result]]]:
    """Run jobs on processes of our own; those of one that dies are done by another."""
    if processes < 1:
        raise InvalidInput(f"executor={processes} starts no process; give 1 or more")
    if multiprocessing.current_process().daemon:
        raise InvalidInput(
            f"executor={processes}, but this process is a daemonic worker itself and must not "
            "start others; leave out executor"
        )
    ledger: Ledger[Result] = Ledger(jobs)
    team: dict[Channel, _Process[Job, Order, Result]] = {}
    deaths = 0
    try:
        while True:
            idle = [process for process in team.values() if process.part is None]
            while ledger.waiting and (idle or len(team) < processes):
                if not idle:
                    with _STARTING, _interrupts_held():  # a process that is started is in the team
                        process = _Process(work, jobs)
                        team[process.channel] = process
                    idle.append(process)
                idle.pop().begin(ledger.waiting.pop(), work.order())
            busy = {process.channel: process.part for process in team.values() if process.part}
            if not busy:
                return
            _ask_for_parts([team[channel] for channel in busy], processes - len(busy))
            ready: list[Any] = connection.wait(list(busy), _short(work.patience()))  # type: ignore[arg-type]
            if not ready:
                work.overdue(sorted({part.number for part in busy.values()}))
            for channel in ready:
                if channel not in team:  # stopped a moment ago
                    continue
                process, number = team[channel], busy[channel].number
                try:
                    what, thing = process.channel.receive()
                except (EOFError, OSError):
                    deaths += 1
                    if deaths > MOST_DEATHS:
                        raise TooLarge(
                            f"{deaths} processes died, perhaps for lack of memory; use fewer, and "
                            "a checkpoint folder to keep what is done"
                        ) from None
                    _stop_work_on(number, team)
                    ledger.lost(number)
                    continue
                if what == FAILED:
                    raise thing
                if what == TOLD:
                    work.heard(ledger.told(number, thing))
                    continue
                process.asked = False
                if what == DIVIDED:
                    ledger.divided(number, thing)
                    continue
                process.part = None
                found = ledger.finished(number, thing)
                if found is not None:
                    yield number, found
    finally:
        _dismiss_all(team)


def _stop_work_on(number: int, team: dict[Channel, _Process[Any, Any, Any]]) -> None:
    """End the processes that are at work on parts of a job."""
    at_work = [p for p in team.values() if p.part is not None and p.part.number == number]
    for process in at_work:
        process.stop()
        del team[process.channel]


def _short(patience: float | None) -> float | None:
    return None if patience is None else min(patience, LONGEST_WAIT)


def _ask_for_parts(busy: list[_Process[Any, Any, Any]], idle: int) -> None:
    """Ask for one part for each idle process, first whoever has been at work the longest."""
    open_requests = sum(process.asked for process in busy)
    unasked = [process for process in busy if not process.asked]
    unasked.sort(key=lambda process: process.began)
    for process in unasked[: max(0, idle - open_requests)]:
        process.ask()


class _Process(Generic[Job, Order, Result]):
    """A process of our own that does one job after another."""

    def __init__(self, work: Work[Job, Order, Result], jobs: Mapping[int, Job]) -> None:
        self.channel, theirs = Channel.pair(work.known)
        self.part: Part | None = None
        self.began = 0.0
        self.asked = False
        self.process: BaseProcess = multiprocessing.Process(
            target=_serve, args=(theirs, work.do, jobs, os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the stream

    def begin(self, part: Part, order: Order) -> None:
        """Hand out a part; if the process is dead, its channel will say so when it is read."""
        self.part, self.began = part, time.monotonic()
        with suppress(OSError):
            self.channel.send((part.number, part.job, order))

    def ask(self) -> None:
        """Ask the process to hand over a part of what it is doing."""
        self.asked = True
        with suppress(OSError):
            self.channel.send(None)

    def stop(self) -> None:
        """End the process, whatever it is doing; a second time does no harm."""
        self.process.kill()
        self.process.join()
        self.channel.close()


def _dismiss_all(team: dict[Channel, _Process[Job, Order, Result]]) -> None:
    """End all processes, also if Ctrl-C is pressed again meanwhile."""
    try:
        for process in team.values():
            process.process.kill()  # all at once: it takes a while to give back their memory
        for channel in list(team):
            team[channel].stop()
            del team[channel]
    except KeyboardInterrupt:
        _dismiss_all(team)
        raise


class _OthersByChannel:
    """`Others`, at the other end of a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._asked = False

    @property
    def idle(self) -> bool:
        if not self._asked and self._channel.ready():
            self._asked = self._channel.receive() is None
        return self._asked

    def give(self, part: object) -> None:
        self._channel.send((DIVIDED, part))
        self._asked = False

    def tell(self, n: int) -> None:
        self._channel.send((TOLD, n))


def _serve(
    channel: Channel,
    do: Callable[[Job, Order, Others[Job]], Any],
    jobs: Mapping[int, Job],
    master: int,
) -> None:
    """Do jobs in a process of our own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the master decides
    _let_interrupts_through()
    _keep_memory()
    if os.getppid() == master:  # else the process was started by a server, which ends it
        threading.Thread(target=_end_with, args=(master,), daemon=True).start()
    with suppress(EOFError, OSError):  # nobody is there any more
        while True:
            _answer(channel, do, jobs)


def _answer(
    channel: Channel, do: Callable[[Job, Order, Others[Job]], Any], jobs: Mapping[int, Job]
) -> None:
    """Do what is asked for next; neither the part nor its result is kept."""
    request = channel.receive()
    if request is None:  # for a part of a job that was done in the meantime
        return
    number, part, order = request
    job = jobs[number] if part is None else part
    try:
        answer: tuple[str, Any] = DONE, do(job, order, _OthersByChannel(channel))
    except Exception as error:  # it is raised again where the results are read
        answer = FAILED, _portable(error)
    try:
        channel.send(answer)
    except OSError:
        raise
    except Exception as error:
        why = f"the result of a job cannot be sent back: {type(error).__name__}: {error}"
        channel.send((FAILED, TypeError(why)))


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
    came: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if in_main_thread and handler:  # it runs here, whichever thread the signal goes to
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        if in_main_thread and handler:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _let_interrupts_through() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
