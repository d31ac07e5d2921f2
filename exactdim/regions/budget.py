"""Limits of a computation that a caller sets: so many regions, so much time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from exactdim.errors import BudgetExceeded, InvalidInput

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """Limits of a computation.

    Attributes
    ----------
    max_regions : int or None
    deadline : float or None
        As `time.monotonic` tells it.
    known : int
        Regions found elsewhere, which count, too.
    """

    max_regions: int | None = None
    deadline: float | None = None
    known: int = 0

    @classmethod
    def of(
        cls, max_regions: int | None = None, max_seconds: float | None = None, known: int = 0
    ) -> Budget:
        """Return the limits from now on."""
        if max_regions is not None and max_regions < 1:
            raise InvalidInput(f"max_regions={max_regions} allows no region; give 1 or more")
        if max_seconds is not None and not max_seconds > 0:
            raise InvalidInput(f"max_seconds={max_seconds} must be positive")
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        return cls(max_regions, deadline, known)

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.max_regions is not None or self.deadline is not None

    def check(self, n: int) -> None:
        """Stop if n more regions, or the time, exceed the limits."""
        found = self.known + n
        if self.max_regions is not None and found > self.max_regions:
            raise BudgetExceeded(
                f"there are more than max_regions={self.max_regions} activation regions; raise the "
                "limit, or choose a smaller domain or a slice",
                found,
            )
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise BudgetExceeded(
                f"max_seconds is over; there are at least {found} activation regions. Allow more "
                "time; with a checkpoint folder the finished parts are not computed again",
                found,
            )

    def after(self, n: int) -> Budget:
        """Return the budget when n more regions are known."""
        return replace(self, known=self.known + n)

    def sent(self) -> tuple[int | None, float | None, int]:
        """Return the arguments of `of` that mean the same on another machine."""
        seconds = None if self.deadline is None else max(self.deadline - time.monotonic(), 1e-3)
        return self.max_regions, seconds, self.known
