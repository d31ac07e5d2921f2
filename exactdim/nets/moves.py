"""Moves that change the widths of a network and keep its function or its local dimension.

Source: T19; splitting and adding units embeds a network into wider ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike, Number, to_fraction
from exactdim.errors import InvalidInput, ShapeMismatch
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import activation_pattern
from exactdim.nets.symmetry import check_unit

__all__ = ["add_unit", "remove_dead_units", "remove_units", "split_unit"]


def split_unit(net: NetworkLike, layer: int, unit: int, share: Number = "1/2") -> ReLUNetwork:
    """Replace a hidden unit by two that compute the same and share what leaves it.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    layer, unit : int
        Zero-based hidden layer and unit.
    share : Number, default 1/2
        Any number, 0 and 1 and negative ones included: the unit keeps ``share`` of its outgoing
        weights, the new unit, the last one of the layer, gets ``1 - share`` of them.

    Returns
    -------
    ReLUNetwork
        The same function, with one more unit in the layer.

    Raises
    ------
    InvalidInput
        If there is no such unit.

    Notes
    -----
    T19a: the column space of the Jacobian at every batch is the same too, and so are its rank and
    whether a loss is critical; the wider network has N_{l-1} + [bias] + N_{l+1} more parameters.

    Examples
    --------
    >>> split_unit(ReLUNetwork([[[2]], [[3]]], [[-1], [5]]), 0, 0, "1/3")
    <ReLUNetwork 1-2-1: 7 parameters>
    >>> split_unit(ReLUNetwork([[[2]], [[3]]], [[-1], [5]]), 0, 0, "1/3").weights[1]
    QMatrix([['1', '2']])
    """
    net = as_network(net)
    check_unit(net, layer, unit)
    kept = to_fraction(share)
    after, bias = net.weights[layer + 1], net.biases[layer]
    leaving = after[:, [unit]]
    wider = add_unit(
        net,
        layer,
        net.weights[layer][[unit]],
        bias=bias[0, unit] if bias is not None else None,
        outgoing=leaving * (1 - kept),
    )
    table = wider.weights[layer + 1].tolist()
    for row, w in zip(table, leaving.tolist(), strict=True):
        row[unit] = kept * w[0]
    weights = [*wider.weights[: layer + 1], table, *wider.weights[layer + 2 :]]
    return ReLUNetwork(weights, wider.biases)


def add_unit(
    net: NetworkLike,
    layer: int,
    incoming: ArrayLike | None = None,
    *,
    bias: Number | None = None,
    outgoing: ArrayLike | None = None,
) -> ReLUNetwork:
    """Add a unit to a hidden layer, as its last one.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    layer : int
        Zero-based hidden layer.
    incoming : ArrayLike of N_{l-1} numbers, optional
        Weights that enter it; zeros by default.
    bias : Number, optional
        Its bias. By default -1, which with incoming zeros makes a unit that is dead at every input.
        A layer without bias takes none.
    outgoing : ArrayLike of N_{l+1} numbers, optional
        Weights that leave it; zeros by default.

    Returns
    -------
    ReLUNetwork
        The same function, if the unit is dead or nothing leaves it.

    Raises
    ------
    InvalidInput
        If there is no such layer, or a bias is given to a layer without.
    ShapeMismatch
        If there are not as many weights as units before or after.

    Notes
    -----
    T19: at a batch where the unit is off, the column space of the Jacobian is unchanged (b). Where
    it is on and nothing leaves it, the rank may rise, by N_{l+1} at most (c).

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> dead = add_unit(net, 0, outgoing=[4])
    >>> dead([[0], [1], ["3/2"]]) == net([[0], [1], ["3/2"]])
    True
    """
    net = as_network(net)
    check_unit(net, layer, 0)
    weights, biases = list(net.weights), list(net.biases)
    row = _numbers(incoming, net.widths[layer], "incoming")
    column = _numbers(outgoing, net.widths[layer + 2], "outgoing").T
    old = biases[layer]
    if old is not None:
        biases[layer] = QMatrix.hstack([old, QMatrix([[-1 if bias is None else bias]])])
    elif bias is not None:
        raise InvalidInput(f"layer {layer} has no bias, so its new unit cannot have one")
    weights[layer] = QMatrix.vstack([weights[layer], row])
    weights[layer + 1] = QMatrix.hstack([weights[layer + 1], column])
    return ReLUNetwork(weights, biases)


def remove_units(net: NetworkLike, units: Iterable[tuple[int, int]]) -> ReLUNetwork:
    """Leave out hidden units with everything that enters and leaves them.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    units : iterable of (layer, unit)

    Returns
    -------
    ReLUNetwork
        Another function, in general; the same at every input where the units are off, or if nothing
        leaves them.

    Raises
    ------
    InvalidInput
        If there is no such unit, or a layer would be left without units.

    Examples
    --------
    >>> net = ReLUNetwork([[[2], [1]], [[3, 0]]], [[-1, 0], [5]])
    >>> remove_units(net, [(0, 1)]) == ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    True
    """
    net = as_network(net)
    try:
        gone = {(layer, unit) for layer, unit in units}
    except TypeError:
        raise InvalidInput("units are pairs (layer, unit), such as [(0, 3), (1, 0)]") from None
    for layer, unit in gone:
        check_unit(net, layer, unit)
    weights, biases = list(net.weights), list(net.biases)
    for layer in range(net.depth - 1):
        kept = [k for k in range(net.widths[layer + 1]) if (layer, k) not in gone]
        if not kept:
            raise InvalidInput(
                f"layer {layer} would be left without units; keep one (one dead unit changes "
                "nothing)"
            )
        bias = biases[layer]
        weights[layer] = weights[layer][kept]
        weights[layer + 1] = weights[layer + 1][:, kept]
        biases[layer] = None if bias is None else bias[:, kept]
    return ReLUNetwork(weights, biases)


def remove_dead_units(net: NetworkLike, X: ArrayLike) -> ReLUNetwork:
    """Leave out the hidden units that are off at every sample; the outputs there stay the same.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)

    Returns
    -------
    ReLUNetwork
        If all units of a layer are off, its first one stays: a layer needs a unit.

    Raises
    ------
    OnKink
        If a pre-activation is exactly 0 at a sample: nearby the unit is not dead.

    Notes
    -----
    T19b: the column space of the Jacobian at X stays the same. Elsewhere the function may change.

    Examples
    --------
    >>> net = ReLUNetwork([[[1], [-1]], [[3, 4]]], [[0, 0], [5]])
    >>> remove_dead_units(net, [[1], [2]]) == ReLUNetwork([[[1]], [[3]]], [[0], [5]])
    True
    """
    net = as_network(net)
    dead = set(activation_pattern(net, X).dead)
    for layer in range(net.depth - 1):
        if all((layer, k) in dead for k in range(net.widths[layer + 1])):
            dead.remove((layer, 0))
    return remove_units(net, dead)


def _numbers(data: ArrayLike | None, n: int, name: str) -> QMatrix:
    """Read n numbers, given flat or as a matrix, as a row."""
    if data is None:
        return QMatrix.zeros(1, n)
    if not isinstance(data, QMatrix) and hasattr(data, "reshape"):
        data = data.reshape(1, -1)
    elif isinstance(data, Sequence) and not any(isinstance(x, Sequence) for x in data):
        data = [data]
    A = QMatrix(data, name=name)
    if A.shape[0] * A.shape[1] != n:
        raise ShapeMismatch(f"{name} has shape {A.shape}; give {n} numbers")
    return QMatrix.from_integers(A.numerators(), A.denominator, (1, n))
