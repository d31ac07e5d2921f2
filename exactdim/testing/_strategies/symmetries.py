"""Symmetries of networks."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from exactdim.nets.formats import NetworkLike
from exactdim.nets.symmetry import Symmetry
from exactdim.testing._strategies import arguments
from exactdim.testing._strategies.numbers import FACTORS

__all__ = ["any_symmetries", "symmetries"]


@st.composite
def symmetries(
    draw: DrawFn, net: NetworkLike, *, rescalings: bool = True, permutations: bool = True
) -> Symmetry:
    """Generate symmetries of a network: they change its parameters and not its function.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
        Only its widths matter.
    rescalings : bool
        Whether factors other than 1 occur.
    permutations : bool
        Whether units are moved.

    Returns
    -------
    SearchStrategy of Symmetry
        Shrinks to the identity.

    Raises
    ------
    InvalidArgument
        When used, if an argument is of another type.

    Notes
    -----
    T6. The function, the pattern up to order, and the rank of the Jacobian stay as they are;
    singular values, sharpness and the like do not.

    Examples
    --------
    >>> from hypothesis import find
    >>> from exactdim import ReLUNetwork
    >>> net = ReLUNetwork([[[1], [2]], [[3, 4]]])
    >>> find(symmetries(net), lambda s: s(net) != net and s.orders == ((0, 1),)).factors
    ((Fraction(1, 1), Fraction(2, 1)),)
    """
    widths = arguments.network(net).widths
    arguments.flag(True, False, rescalings=rescalings, permutations=permutations)
    return _draw_symmetry(draw, widths, rescalings, permutations)


def _draw_symmetry(
    draw: DrawFn, widths: Sequence[int], rescalings: bool, permutations: bool
) -> Symmetry:
    orders, factors = [], []
    for width in widths[1:-1]:
        units = range(width)
        orders.append(draw(st.permutations(units)) if permutations else units)
        factors.append([draw(FACTORS) if rescalings else 1 for _ in units])
    return Symmetry(widths, orders, factors)


@st.composite
def any_symmetries(draw: DrawFn) -> Symmetry:
    widths = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    return _draw_symmetry(draw, widths, rescalings=True, permutations=True)
