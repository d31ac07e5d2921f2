"""Hypothesis strategies for exact networks, batches, kinks, symmetries and matrices.

Importing this module also registers `ReLUNetwork`, `QMatrix` and `Symmetry` with
`hypothesis.strategies.from_type`. Arguments are checked when a strategy is first used; impossible
ones raise `hypothesis.errors.InvalidArgument`.

Examples
--------
>>> from hypothesis import given
>>> from exactdim import jacobian
>>> @given(networks_with_batches(kinks=False))
... def test_rank_is_bounded_by_the_identifiable_parameters(problem):
...     net, X = problem
...     assert jacobian(net, X).rank() <= net.n_parameters - net.n_hidden
>>> test_rank_is_bounded_by_the_identifiable_parameters()
"""

from __future__ import annotations

from hypothesis import strategies as st

from exactdim.arith.matrix import QMatrix
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.symmetry import Symmetry
from exactdim.testing._strategies.matrices import any_matrices, matrices_of_rank
from exactdim.testing._strategies.networks import degenerate_networks, relu_networks, torch_modules
from exactdim.testing._strategies.numbers import rationals
from exactdim.testing._strategies.samples import (
    activation_patterns,
    batches,
    boundary_points,
    networks_with_batches,
)
from exactdim.testing._strategies.symmetries import any_symmetries, symmetries

__all__ = [
    "activation_patterns",
    "batches",
    "boundary_points",
    "degenerate_networks",
    "matrices_of_rank",
    "networks_with_batches",
    "rationals",
    "relu_networks",
    "symmetries",
    "torch_modules",
]

st.register_type_strategy(ReLUNetwork, relu_networks() | degenerate_networks())
st.register_type_strategy(QMatrix, any_matrices())
st.register_type_strategy(Symmetry, any_symmetries())
