"""What a check is, and how arrays are spelled for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy.typing as npt

from exactdim.errors import InvalidInput

__all__ = ["Array", "Check", "Level", "check_level", "spelled"]

Array: TypeAlias = npt.NDArray[Any]

Level: TypeAlias = Literal["any", "exact"]
"""``"any"``: must hold for every sensible function. ``"exact"``: only exact code, or luck, passes;
a float function with a threshold is allowed to fail."""


@dataclass(frozen=True)
class Check:
    """One law that a function must obey; call it with the function.

    What the function itself raises passes through, with a note that names the input.

    Attributes
    ----------
    name : str
    level : {"any", "exact"}
    law : str
        One sentence.

    Examples
    --------
    >>> import numpy as np
    >>> from exactdim.testing.conformance import rank_checks
    >>> by_name = {check.name: check for check in rank_checks()}
    >>> by_name["transposes"]
    Check(name='transposes', level='any', law='A matrix and its transpose have the same rank.')
    >>> by_name["zero_matrices"](lambda A: max(1, np.linalg.matrix_rank(A)))
    Traceback (most recent call last):
        ...
    AssertionError: zero_matrices: A matrix of zeros has rank 0.
    returned 1, the exact rank is 0, for
    A = np.array([[0]], dtype=np.float64)
    """

    name: str
    level: Level
    law: str
    cases: Callable[[], Iterator[Any]] = field(repr=False)
    judge: Callable[[Any, Any], str | None] = field(repr=False)

    def __call__(self, function: Callable[..., Any]) -> None:
        """Check one function.

        Parameters
        ----------
        function : callable
            A rank function or a Jacobian function, see `rank_checks` and `jacobian_checks`.

        Raises
        ------
        AssertionError
            If the function breaks the law.
        """
        __tracebackhide__ = True
        for case in self.cases():
            spelled = str(case)  # before the function can write into it
            try:
                complaint = self.judge(function, case)
            except Exception as error:
                error.add_note(f"raised in the check {self.name}, for\n{spelled}")
                raise
            if complaint is not None:
                raise AssertionError(f"{self.name}: {self.law}\n{complaint}, for\n{spelled}")


def check_level(level: Level) -> None:
    if level not in get_args(Level):
        raise InvalidInput(f"level={level!r} is unknown; choose 'any' or 'exact'")


def spelled(matrix: Array) -> str:
    if not matrix.size:
        return f"np.zeros({matrix.shape}, dtype=np.{matrix.dtype})"
    rows = ", ".join("[" + ", ".join(map(_literal, row)) + "]" for row in matrix.tolist())
    return f"np.array([{rows}], dtype=np.{matrix.dtype})"


def _literal(x: float) -> str:
    """Spell a number so that Python reads the same one, briefly."""
    if isinstance(x, int) or (x.is_integer() and abs(x) < 2**53 and str(x) != "-0.0"):
        return str(int(x))
    mantissa, exponent = math.frexp(x)
    power = f"{'-' if x < 0 else ''}2.0**{exponent - 1}"
    return power if abs(mantissa) == 0.5 and len(power) < len(repr(x)) else repr(x)
