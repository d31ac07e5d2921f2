"""Conformance checks for other people's rank and Jacobian code.

A `Check` is called with the function under test and raises ``AssertionError`` with a counterexample
that can be pasted into Python. What the right answer is follows from how a matrix is made and is
decided again by `exactdim.matrix_rank`; the checks for Jacobians are laws that every Jacobian of a
ReLU network obeys (T3, T6, T7), and equality with `exactdim.jacobian`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from exactdim.errors import InvalidInput, MissingDependency
from exactdim.testing._checks.check import Check, Level, check_level
from exactdim.testing._checks.jacobians import jacobian_checks
from exactdim.testing._checks.ranks import rank_checks

__all__ = [
    "Check",
    "Level",
    "jacobian_checks",
    "parametrize_with_checks",
    "rank_checks",
    "run_checks",
]

F = TypeVar("F", bound=Callable[..., Any])


def run_checks(
    function: Callable[..., Any],
    *,
    checks: Iterable[Callable[..., None]] | None = None,
    level: Level = "exact",
) -> list[tuple[str, Exception | None]]:
    """Run checks on a function, without pytest.

    Parameters
    ----------
    function : callable
    checks : iterable of Check, optional
        `rank_checks` by default. Any callable that takes the function is a check.
    level : {"exact", "any"}
        Checks of a higher level are left out.

    Returns
    -------
    list of (str, Exception or None)
        The name of each check, and what it or the function raised.

    Raises
    ------
    InvalidInput
        If `function` or a check cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> from exactdim import matrix_rank
    >>> [name for name, error in run_checks(matrix_rank) if error]
    []
    >>> failed = [name for name, error in run_checks(np.linalg.matrix_rank) if error]
    >>> "rescaled_network_float32" in failed, "duplicated_rows" in failed
    (True, False)
    """
    _require_callables([function], "the function under test")
    results: list[tuple[str, Exception | None]] = []
    for check in _chosen(checks, level):
        try:
            check(function)
        except Exception as error:
            results.append((_name(check), error))
        else:
            results.append((_name(check), None))
    return results


def parametrize_with_checks(
    functions: Iterable[Callable[..., Any]],
    *,
    checks: Iterable[Callable[..., None]] | None = None,
    level: Level = "exact",
) -> Callable[[F], F]:
    """Turn one pytest function into a test per function and check.

    Parameters
    ----------
    functions : iterable of callable
        The functions under test. A test is named after its function and its check, for instance
        ``matrix_rank-duplicated_rows``, or ``matrix_rank(tol=0)-all_ones`` for a
        `functools.partial`.
    checks : iterable of Check, optional
        `rank_checks` by default; give `jacobian_checks` for Jacobians. Any callable that takes the
        function under test is a check.
    level : {"exact", "any"}
        Checks of a higher level are left out.

    Returns
    -------
    decorator
        For a test function or method with an argument ``check``. The function under test goes to
        its first other argument (but ``self``); further arguments are fixtures, as usual.

    Raises
    ------
    InvalidInput
        If there is no function or no check, if one cannot be called, or if the decorated function
        does not take them.
    MissingDependency
        If pytest is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from exactdim import matrix_rank
    >>> @parametrize_with_checks([np.linalg.matrix_rank, matrix_rank], level="any")
    ... def test_rank(rank, check):
    ...     check(rank)
    """
    try:
        import pytest
    except ImportError:
        raise MissingDependency(
            "parametrize_with_checks needs pytest: pip install pytest"
        ) from None
    if callable(functions):
        raise InvalidInput("give a list of functions, even where there is one only")
    under_test, chosen = list(functions), _chosen(checks, level)
    _require_callables(under_test, "the function under test")
    if not under_test or not chosen:
        raise InvalidInput(
            f"{len(under_test)} functions and {len(chosen)} checks make no test; give some of each"
        )

    def decorate(test: F) -> F:
        names = [name for name in inspect.signature(test).parameters if name != "self"]
        others = [name for name in names if name != "check"]
        if "check" not in names or not others:
            raise InvalidInput(
                f"{_name(test)} takes ({', '.join(names)}); it must take the function under test "
                "and 'check', as in def test_rank(rank, check)"
            )
        mark = pytest.mark.parametrize
        by_function = mark(others[0], under_test, ids=_distinct(map(_name, under_test)))
        by_check = mark("check", chosen, ids=_distinct(map(_name, chosen)))
        decorated: F = by_check(by_function(test))
        return decorated

    return decorate


def _chosen(
    checks: Iterable[Callable[..., None]] | None, level: Level
) -> list[Callable[..., None]]:
    check_level(level)
    if checks is None:
        return list(rank_checks(level=level))
    given = list(checks)
    _require_callables(given, "a check")
    return [c for c in given if level == "exact" or getattr(c, "level", "any") == "any"]


def _require_callables(things: Iterable[object], role: str) -> None:
    for thing in things:
        if not callable(thing):
            raise InvalidInput(f"{thing!r} is given as {role}, but it cannot be called")


def _name(function: Callable[..., Any]) -> str:
    """Name a callable of any kind, for people."""
    if isinstance(function, Check):
        return function.name
    if isinstance(function, partial):
        given = [repr(x) for x in function.args]
        given += [f"{key}={value!r}" for key, value in function.keywords.items()]
        return f"{_name(function.func)}({', '.join(given)})"
    name = str(getattr(function, "__name__", type(function).__name__))
    return "lambda" if name == "<lambda>" else name


def _distinct(names: Iterable[str]) -> list[str]:
    """Append a number to names that occur again."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return out
