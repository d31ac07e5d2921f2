"""Bookkeeping of jobs that are divided while they are done, by processes that may die."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["Ledger", "Part"]

Result = TypeVar("Result")


class Part(NamedTuple):
    """A part of a job, as it is handed out.

    Attributes
    ----------
    number : int
        Of the job.
    job
        What is to be done; None for the whole job, which every process has.
    """

    number: int
    job: Any


class Ledger(Generic[Result]):
    """What is still to be done of which jobs.

    A part that was handed over is missing in the job that it came from. So if a process dies, all
    parts of its job are forgotten, and the job is begun again.

    Attributes
    ----------
    waiting : list of Part
        What nobody is at work on; the next is the last.

    Parameters
    ----------
    numbers : iterable of int
        The jobs.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self.waiting = [Part(number, None) for number in numbers][::-1]
        self._results: dict[int, list[Result]] = {part.number: [] for part in self.waiting}
        self._open = dict.fromkeys(self._results, 1)
        self._told = dict.fromkeys(self._results, 0)

    def divided(self, number: int, job: object) -> None:
        """Note that a part of a job is to be done by somebody else."""
        self._open[number] += 1
        self.waiting.append(Part(number, job))

    def finished(self, number: int, result: Result) -> list[Result] | None:
        """Note the result of a part; return those of the whole job if there are no more to come."""
        self._results[number].append(result)
        self._open[number] -= 1
        if self._open[number]:
            return None
        self._told[number] = 0
        return self._results.pop(number)

    def told(self, number: int, n: int) -> int:
        """Note that n more are done in a job; return how many are in unfinished jobs."""
        self._told[number] += n
        return sum(self._told.values())

    def lost(self, number: int) -> None:
        """Note that a process died that was at work on a part, and begin the job again.

        Nobody may be at work on another part of it any more.
        """
        self.waiting = [part for part in self.waiting if part.number != number]
        self.waiting.append(Part(number, None))
        self._open[number], self._told[number], self._results[number] = 1, 0, []
