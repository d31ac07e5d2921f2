"""Symmetries of ReLU networks: rescaling, permutation, and the kernel vectors they give.

Source: arXiv 2402.08269 (invariance of the local dimension); T6 and T7.
"""

from __future__ import annotations

from collections.abc import Sequence

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import Number, to_fraction
from exactdim.errors import InvalidInput
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork

__all__ = ["gauge_vectors", "permute", "rescale"]


def rescale(net: NetworkLike, layer: int, unit: int, factor: Number) -> ReLUNetwork:
    """Multiply what enters a hidden unit by a positive factor and divide what leaves it.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    layer, unit : int
        Zero-based hidden layer and unit.
    factor : Number
        Positive.

    Returns
    -------
    ReLUNetwork
        The same function, exactly.

    Raises
    ------
    InvalidInput
        If there is no such unit or the factor is not positive.

    Notes
    -----
    T6a: with S the diagonal matrix of the factors, theta' = S theta and
    J(theta') = J(theta) S^{-1}.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> rescale(net, 0, 0, 7).parameters()
    QMatrix([['14', '-7', '3/7', '5']])
    """
    net = as_network(net)
    scale = to_fraction(factor)
    if scale <= 0:
        raise InvalidInput(
            f"factor {scale} is not positive; a ReLU commutes with positive ones only"
        )
    _check_unit(net, layer, unit)
    weights = [W.tolist() for W in net.weights]
    biases = [None if b is None else b.tolist()[0] for b in net.biases]
    weights[layer][unit] = [x * scale for x in weights[layer][unit]]
    bias = biases[layer]
    if bias is not None:
        bias[unit] *= scale
    for row in weights[layer + 1]:
        row[unit] /= scale
    return ReLUNetwork(weights, biases)


def permute(net: NetworkLike, layer: int, order: Sequence[int]) -> ReLUNetwork:
    """Reorder the units of a hidden layer.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    layer : int
        Zero-based hidden layer.
    order : sequence of int
        New unit k is old unit ``order[k]``.

    Returns
    -------
    ReLUNetwork
        The same function, exactly.

    Raises
    ------
    InvalidInput
        If there is no such layer or `order` is no permutation of its units.

    Notes
    -----
    T6b.

    Examples
    --------
    >>> net = ReLUNetwork([[[1], [2]], [[3, 4]]])
    >>> permute(net, 0, [1, 0]).weights
    (QMatrix([['2'], ['1']]), QMatrix([['4', '3']]))
    """
    net = as_network(net)
    _check_unit(net, layer, 0)
    units = net.widths[layer + 1]
    if sorted(order) != list(range(units)):
        raise InvalidInput(f"{list(order)} is no permutation of the {units} units of layer {layer}")
    weights, biases = list(net.weights), list(net.biases)
    weights[layer] = weights[layer][list(order)]
    weights[layer + 1] = weights[layer + 1][:, list(order)]
    bias = biases[layer]
    if bias is not None:
        biases[layer] = bias[:, list(order)]
    return ReLUNetwork(weights, biases)


def gauge_vectors(net: NetworkLike) -> QMatrix:
    """Return the directions of the rescaling symmetry, one per hidden unit.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads

    Returns
    -------
    QMatrix of shape (H, P)
        Row k holds +w and +b at the parameters that enter unit k and -v at those that leave it.

    Notes
    -----
    T7: the Jacobian of every pattern and batch maps each row to zero. The rows are
    independent unless a part of the network is cut off from inputs, biases and outputs.

    Examples
    --------
    >>> gauge_vectors(ReLUNetwork([[[2]], [[3]]], [[-1], [5]]))
    QMatrix([['2', '-1', '-3', '0']])
    """
    net = as_network(net)
    entries: list[int] = []
    theta = net.parameters()
    numbers = theta.numerators()
    for layer in range(net.depth - 1):
        for unit in range(net.widths[layer + 1]):
            signs = gauge_signs(net, layer, unit)
            row = [0] * net.n_parameters
            for column, sign in signs.items():
                row[column] = sign * numbers[column]
            entries.extend(row)
    return QMatrix.from_integers(entries, theta.denominator, (net.n_hidden, net.n_parameters))


def gauge_signs(net: ReLUNetwork, layer: int, unit: int) -> dict[int, int]:
    """Return the sign with which each parameter enters a unit's gauge vector.

    Parameters
    ----------
    net : ReLUNetwork
    layer, unit : int
        Zero-based hidden layer and unit.

    Returns
    -------
    dict of int to int
        Parameter column to +1 (enters the unit) or -1 (leaves it).
    """
    start, after, _ = net.parameter_offsets()[layer : layer + 3]
    units, inputs = net.weights[layer].shape
    signs = dict.fromkeys(range(start + unit * inputs, start + (unit + 1) * inputs), 1)
    if net.biases[layer] is not None:
        signs[start + units * inputs + unit] = 1
    for row in range(net.widths[layer + 2]):
        signs[after + row * units + unit] = -1
    return signs


def _check_unit(net: ReLUNetwork, layer: int, unit: int) -> None:
    if not 0 <= layer < net.depth - 1:
        raise InvalidInput(
            f"layer {layer} is not hidden; this network has hidden layers 0..{net.depth - 2}"
        )
    if not 0 <= unit < net.widths[layer + 1]:
        raise InvalidInput(
            f"layer {layer} has no unit {unit}; it has units 0..{net.widths[layer + 1] - 1}"
        )
