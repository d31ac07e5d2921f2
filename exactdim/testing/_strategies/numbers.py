"""Rational numbers, and the small ones that everything else is made of."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from exactdim.arith.rationals import Number
from exactdim.testing._strategies import arguments

__all__ = ["DYADICS", "ENTRIES", "FACTORS", "exact_elements", "rationals"]


@st.composite
def rationals(
    draw: DrawFn,
    min_value: Number | None = None,
    max_value: Number | None = None,
    *,
    max_denominator: int = 8,
) -> Fraction:
    """Generate rational numbers, integers about half the time.

    Parameters
    ----------
    min_value, max_value : Number, optional
        Ends of a closed interval; no limit without them. A float is its dyadic value.
    max_denominator : int
        In lowest terms. The ends must not have larger ones.

    Returns
    -------
    SearchStrategy of Fraction
        Shrinks towards small denominators, then towards zero.

    Raises
    ------
    InvalidArgument
        When used, if the interval is empty or an end is no such number.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(rationals(-3, 3), lambda x: x > 1)
    Fraction(2, 1)
    """
    arguments.at_least(1, max_denominator=max_denominator)
    ends = {"min_value": min_value, "max_value": max_value}
    exact = {name: arguments.number(name, x) for name, x in ends.items() if x is not None}
    for name, end in exact.items():
        if end.denominator > max_denominator:
            raise InvalidArgument(
                f"{name}={end} has a denominator above max_denominator={max_denominator}"
            )
    low, high = exact.get("min_value"), exact.get("max_value")
    if low is not None and high is not None:
        arguments.ordered(min_value=low, max_value=high)
    denominator = max(1, draw(st.integers(0, 2 * max_denominator - 1)) - max_denominator + 1)
    first = None if low is None else math.ceil(low * denominator)
    last = None if high is None else math.floor(high * denominator)
    if low is not None and first is not None and last is not None and first > last:
        return low  # nothing between the ends has this denominator
    numerators = st.integers(first, last)
    if first is None and last is None:
        numerators = st.integers(-9, 9) | numerators  # else a small one would be rare
    return Fraction(draw(numerators), denominator)


def simple_fractions(largest: int, max_denominator: int) -> list[Fraction]:
    """Return all up to a size, simple ones first."""
    found = {Fraction(p, q) for q in range(1, max_denominator + 1) for p in range(largest * q + 1)}
    found |= {-x for x in found}
    return sorted(found, key=lambda x: (x.denominator, abs(x), x < 0))


# One choice per number, so that nothing that comes later moves when a number shrinks.
small = simple_fractions(2, 1)
ENTRIES = st.sampled_from(25 * small + simple_fractions(3, 8))
DYADICS = st.sampled_from(
    10 * small + [x for x in simple_fractions(3, 8) if 8 % x.denominator == 0]
)
FACTORS = st.sampled_from([
    *(x for x in simple_fractions(9, 9) if x >= Fraction(1, 9)),
    # exact in floats, and large enough to show in what floats compute
    *(Fraction(2) ** k for n in range(4, 61) for k in (n, -n)),
])


def exact_elements(elements: SearchStrategy[Number] | None) -> SearchStrategy[Fraction]:
    """Return a strategy for entries: the one given, read exactly, or small rational numbers."""
    if elements is None:
        return ENTRIES
    arguments.strategy(elements=elements)
    return elements.map(partial(arguments.number, "elements"))
