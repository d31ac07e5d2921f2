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
    attempt : int
        How often the job was begun before.
    job
        What is to be done; None for the whole job, which every process has.
    """

    number: int
    attempt: int
    job: Any


class Ledger(Generic[Result]):
    """What is still to be done of which jobs.

    A part that was handed over is missing in the job that it came from. So if a process dies, all
    parts of its job are forgotten, wherever they are, and the job is begun again.

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
        self.waiting = [Part(number, 0, None) for number in numbers][::-1]
        self._attempt = {part.number: 0 for part in self.waiting}
        self._open = dict.fromkeys(self._attempt, 1)
        self._told = dict.fromkeys(self._attempt, 0)
        self._results: dict[int, list[Result]] = {number: [] for number in self._attempt}

    def _counts(self, part: Part) -> bool:
        return part.attempt == self._attempt[part.number]

    def divided(self, part: Part, job: object) -> None:
        """Note that a part of a part is to be done by somebody else."""
        if self._counts(part):
            self._open[part.number] += 1
            self.waiting.append(part._replace(job=job))

    def finished(self, part: Part, result: Result) -> list[Result] | None:
        """Note a result; return all results of the job if there are no more to come."""
        if not self._counts(part):
            return None
        self._results[part.number].append(result)
        self._open[part.number] -= 1
        if self._open[part.number]:
            return None
        self._told[part.number] = 0
        return self._results.pop(part.number)

    def told(self, part: Part, n: int) -> int:
        """Note that n more are done in a part; return how many are in unfinished jobs."""
        if self._counts(part):
            self._told[part.number] += n
        return sum(self._told.values())

    def lost(self, part: Part) -> None:
        """Note that the process died that was at work on a part."""
        if self._counts(part):
            number, attempt = part.number, part.attempt + 1
            self.waiting = [other for other in self.waiting if other.number != number]
            self.waiting.append(Part(number, attempt, None))
            self._attempt[number], self._open[number] = attempt, 1
            self._told[number], self._results[number] = 0, []
