"""Checks of arguments, made when a strategy is used; all raise Hypothesis's InvalidArgument."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from exactdim.arith.rationals import to_fraction
from exactdim.errors import InvalidInput
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork

__all__ = ["at_least", "flag", "integers", "network", "number", "ordered", "strategy"]


def at_least(least: int, **named: object) -> None:
    """Refuse arguments that are no integers of at least the given size."""
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidArgument(f"{name}={value!r} must be an integer, at least {least}")


def integers(name: str, values: Any, *, least: int, fewest: int) -> tuple[int, ...]:
    """Read integers, at least so many and so large."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) < fewest:
        raise InvalidArgument(f"{name}={values!r} must be a sequence of {fewest} or more integers")
    for value in values:
        at_least(least, **{name: value})
    return tuple(values)


def ordered(**named: Any) -> None:
    """Refuse two bounds of which the first is larger."""
    (low_name, low), (high_name, high) = named.items()
    if low > high:
        raise InvalidArgument(f"{low_name}={low!r} must not exceed {high_name}={high!r}")


def flag(*allowed: object, **named: object) -> None:
    """Refuse arguments that are none of a few constants."""
    for name, value in named.items():
        if not any(value is constant for constant in allowed):
            raise InvalidArgument(f"{name}={value!r} must be one of {allowed}")


def strategy(**named: object) -> None:
    """Refuse arguments that are no strategies."""
    for name, value in named.items():
        if not isinstance(value, SearchStrategy):
            raise InvalidArgument(f"{name}={value!r} must be a strategy, not a value")


def number(name: str, value: object) -> Fraction:
    """Read an exact number."""
    try:
        return to_fraction(value)
    except InvalidInput as error:
        raise InvalidArgument(f"{name}: {error}") from None


def network(net: NetworkLike) -> ReLUNetwork:
    """Read a network."""
    try:
        return as_network(net)
    except InvalidInput as error:
        raise InvalidArgument(f"net: {error}") from None
