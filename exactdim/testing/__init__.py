"""For people who test their own rank, Jacobian and network code.

Assertions with exact explanations, laws under symmetries, a conformance suite for rank and Jacobian
functions; and `exactdim.testing.strategies`, which generates networks, batches and matrices with
Hypothesis (import it by itself: nothing else here needs Hypothesis).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from exactdim.testing.assertions import (
    assert_dimension,
    assert_invariant,
    assert_jacobian_equal,
    assert_rank_equal,
    assert_same_function,
)
from exactdim.testing.conformance import (
    Check,
    jacobian_checks,
    parametrize_with_checks,
    rank_checks,
    run_checks,
)
from exactdim.testing.invariance import check_invariance

if TYPE_CHECKING:
    from exactdim.testing import strategies as strategies

__all__ = [
    "Check",
    "assert_dimension",
    "assert_invariant",
    "assert_jacobian_equal",
    "assert_rank_equal",
    "assert_same_function",
    "check_invariance",
    "jacobian_checks",
    "parametrize_with_checks",
    "rank_checks",
    "run_checks",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module("exactdim.testing.strategies")
    raise AttributeError(f"module 'exactdim.testing' has no attribute {name!r}")
