"""Symmetries of ReLU networks: rescaling, permutation, and the kernel vectors they give.

Source: arXiv 2402.08269 (invariance of the local dimension); T6 and T7.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike, Number, to_fraction
from exactdim.errors import InvalidInput, ShapeMismatch
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import ActivationPattern

__all__ = ["Symmetry", "gauge_vectors", "permute", "rescale", "unanchored_components"]

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Symmetry:
    """A permutation of the units of every hidden layer, followed by positive rescalings.

    A value that acts on everything which has parameters or hidden units: networks, parameters,
    activation patterns, Jacobians. Symmetries of the same widths form a group under ``@``.

    Parameters
    ----------
    widths : sequence of int
        ``(N_0, ..., N_L)``.
    orders : sequence of sequence of int
        One per hidden layer: new unit k is old unit ``orders[layer][k]``.
    factors : sequence of sequence of Number
        One per hidden layer: what enters new unit k is multiplied by the positive
        ``factors[layer][k]``, what leaves it is divided.

    Raises
    ------
    ShapeMismatch
        If the numbers of layers and units do not fit the widths.
    InvalidInput
        If an order is no permutation or a factor is not positive.

    Notes
    -----
    T6: with theta' = s(theta) and S its (monomial) matrix, f and the function are unchanged, the
    columns of the pattern are permuted, and J(theta') = J(theta) S^{-1}.

    Examples
    --------
    >>> net = ReLUNetwork([[[1], [2]], [[3, 4]]])
    >>> s = Symmetry(net.widths, orders=[(1, 0)], factors=[(5, 1)])
    >>> s(net).weights
    (QMatrix([['10'], ['1']]), QMatrix([['4/5', '3']]))
    >>> s.inverse()(s(net)) == net, s.inverse() @ s == Symmetry.identity(net.widths)
    (True, True)
    """

    widths: tuple[int, ...]
    orders: tuple[tuple[int, ...], ...]
    factors: tuple[tuple[Fraction, ...], ...]

    def __init__(
        self,
        widths: Sequence[int],
        orders: Sequence[Sequence[int]],
        factors: Sequence[Sequence[Number]],
    ) -> None:
        if len(widths) < 2 or min(widths) < 1:
            raise InvalidInput(f"{widths} are no widths; give (N_0, ..., N_L), all positive")
        hidden = tuple(widths[1:-1])
        for name, table in (("orders", orders), ("factors", factors)):
            try:
                given = tuple(len(row) for row in table)
            except TypeError:
                raise InvalidInput(f"{name} must be one list per hidden layer") from None
            if given != hidden:
                raise ShapeMismatch(
                    f"{name} has lengths {given} but the hidden layers have widths {hidden}; "
                    "give one entry per hidden unit, layer by layer"
                )
        for layer, order in enumerate(orders):
            if Counter(order) != Counter(range(hidden[layer])):
                raise InvalidInput(
                    f"{list(order)} is no permutation of the {hidden[layer]} units of layer {layer}"
                )
        exact = tuple(tuple(to_fraction(x) for x in row) for row in factors)
        for row in exact:
            for factor in row:
                if factor <= 0:
                    raise InvalidInput(
                        f"factor {factor} is not positive; a ReLU commutes with positive ones only"
                    )
        object.__setattr__(self, "widths", tuple(widths))
        object.__setattr__(self, "orders", tuple(tuple(map(int, order)) for order in orders))
        object.__setattr__(self, "factors", exact)

    @classmethod
    def identity(cls, widths: Sequence[int]) -> Symmetry:
        """Return the symmetry that changes nothing.

        Parameters
        ----------
        widths : sequence of int

        Returns
        -------
        Symmetry
        """
        hidden = widths[1:-1]
        return cls(widths, [range(n) for n in hidden], [(1,) * n for n in hidden])

    @classmethod
    def random(cls, widths: Sequence[int], *, seed: int, max_factor: int = 9) -> Symmetry:
        """Draw orders and factors independently and uniformly.

        Parameters
        ----------
        widths : sequence of int
        seed : int
        max_factor : int, default 9
            Factors are quotients of two integers from 1 to this.

        Returns
        -------
        Symmetry
        """
        source = random.Random(seed)

        def factor() -> Fraction:
            return Fraction(source.randint(1, max_factor), source.randint(1, max_factor))

        hidden = widths[1:-1]
        orders = [source.sample(range(n), n) for n in hidden]
        return cls(widths, orders, [[factor() for _ in range(n)] for n in hidden])

    def __call__(self, net: NetworkLike) -> ReLUNetwork:
        """Return the network with the units moved and rescaled: the same function, exactly."""
        net = as_network(net)
        if net.widths != self.widths:
            raise ShapeMismatch(
                f"this symmetry is for widths {self.widths}, the network has {net.widths}"
            )
        orders = [range(self.widths[0]), *self.orders, range(self.widths[-1])]
        factors = [(), *self.factors, ()]
        weights = []
        biases = []
        for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
            rows, columns = orders[layer + 1], orders[layer]
            entering, leaving = factors[layer + 1], [1 / x for x in factors[layer]]
            weights.append(_scaled(W[rows, columns], entering, leaving))
            biases.append(None if b is None else _scaled(b[:, rows], (), entering))
        return ReLUNetwork(weights, biases)

    def __matmul__(self, first: Symmetry) -> Symmetry:
        """Return the symmetry that does `first` and then this one."""
        if first.widths != self.widths:
            raise ShapeMismatch(f"widths {self.widths} and {first.widths} differ")
        orders = [
            [before[k] for k in order]
            for order, before in zip(self.orders, first.orders, strict=True)
        ]
        factors = [
            [x * before[k] for k, x in zip(order, row, strict=True)]
            for order, row, before in zip(self.orders, self.factors, first.factors, strict=True)
        ]
        return Symmetry(self.widths, orders, factors)

    def inverse(self) -> Symmetry:
        """Return the symmetry that undoes this one.

        Returns
        -------
        Symmetry
        """
        orders = [sorted(range(len(order)), key=order.__getitem__) for order in self.orders]
        factors = [
            [1 / row[k] for k in order] for order, row in zip(orders, self.factors, strict=True)
        ]
        return Symmetry(self.widths, orders, factors)

    @property
    def is_identity(self) -> bool:
        """Whether it changes no network."""
        return self == Symmetry.identity(self.widths)

    def on_parameters(
        self, parameters: ArrayLike, *, has_bias: Sequence[bool] | None = None
    ) -> QMatrix:
        """Act on parameter vectors: theta' = S theta.

        Parameters
        ----------
        parameters : ArrayLike of shape (m, P)
            Rows of parameters, in the order of `ReLUNetwork.parameters`.
        has_bias : sequence of bool, optional
            Whether each layer has a bias; by default all have.

        Returns
        -------
        QMatrix of shape (m, P)

        Raises
        ------
        ShapeMismatch
            If the number of columns is not that of the parameters.

        Examples
        --------
        >>> Symmetry((1, 1, 1), [[0]], [[7]]).on_parameters([[2, -1, 3, 5]])
        QMatrix([['14', '-7', '3/7', '5']])
        """
        index, scale = self._columns(has_bias)
        return _scaled(_as_columns(parameters, len(index))[:, index], (), scale)

    def on_jacobian(self, J: ArrayLike, *, has_bias: Sequence[bool] | None = None) -> QMatrix:
        """Act on Jacobians in the parameters: J' = J S^{-1}.

        Parameters
        ----------
        J : ArrayLike of shape (m, P)
        has_bias : sequence of bool, optional
            Whether each layer has a bias; by default all have.

        Returns
        -------
        QMatrix of shape (m, P)

        Raises
        ------
        ShapeMismatch
            If the number of columns is not that of the parameters.

        Examples
        --------
        >>> Symmetry((1, 1, 1), [[0]], [[7]]).on_jacobian([[3, 3, 1, 1]])
        QMatrix([['3/7', '3/7', '7', '1']])
        """
        index, scale = self._columns(has_bias)
        return _scaled(_as_columns(J, len(index))[:, index], (), [1 / x for x in scale])

    @overload
    def on_pattern(self, pattern: ActivationPattern) -> ActivationPattern: ...

    @overload
    def on_pattern(self, pattern: npt.ArrayLike) -> BoolArray: ...

    def on_pattern(self, pattern: ActivationPattern | npt.ArrayLike) -> Any:
        """Act on activation patterns: units change places.

        Parameters
        ----------
        pattern : ActivationPattern, or boolean array of shape (n, H)

        Returns
        -------
        ActivationPattern or boolean array of shape (n, H)
            What was given, permuted.

        Raises
        ------
        ShapeMismatch
            If there are not H columns.
        """
        if isinstance(pattern, ActivationPattern):
            widths = tuple(layer.shape[1] for layer in pattern.layers)
            if widths != self.widths[1:-1]:
                raise ShapeMismatch(
                    f"the pattern has hidden layers of widths {widths}, not {self.widths[1:-1]}"
                )
            layers = [
                layer[:, order] for layer, order in zip(pattern.layers, self.orders, strict=True)
            ]
            for layer in layers:
                layer.setflags(write=False)
            inverse = self.inverse().orders
            kinks = [(i, layer, inverse[layer][unit]) for i, layer, unit in pattern.kinks]
            kinks.sort(key=lambda kink: (kink[1], kink[0], kink[2]))  # layer by layer
            return replace(pattern, layers=tuple(layers), kinks=tuple(kinks))
        mask = np.asarray(pattern, dtype=np.bool_)
        units = sum(self.widths[1:-1])
        if mask.ndim != 2 or mask.shape[1] != units:
            raise ShapeMismatch(
                f"a pattern of {units} hidden units has shape (n, {units}), not {mask.shape}"
            )
        starts = np.cumsum((0, *self.widths[1:-1]))
        columns = [starts[layer] + k for layer, order in enumerate(self.orders) for k in order]
        return mask[:, columns]

    def __repr__(self) -> str:
        factors = [[str(x) for x in row] for row in self.factors]
        orders = [list(order) for order in self.orders]
        return f"Symmetry({self.widths}, orders={orders}, factors={factors})"

    def _columns(self, has_bias: Sequence[bool] | None) -> tuple[list[int], list[Fraction]]:
        """Return where each new parameter comes from, and by what it is multiplied."""
        bias = [True] * (len(self.widths) - 1) if has_bias is None else list(has_bias)
        if len(bias) != len(self.widths) - 1:
            raise ShapeMismatch(f"has_bias has {len(bias)} entries, not one per affine layer")
        zeros = ReLUNetwork(
            [QMatrix.zeros(m, n) for n, m in zip(self.widths, self.widths[1:], strict=False)],
            [[0] * n if b else None for n, b in zip(self.widths[1:], bias, strict=True)],
        )
        P = zeros.n_parameters
        moved = replace(self, factors=Symmetry.identity(self.widths).factors)
        scaled = replace(self, orders=Symmetry.identity(self.widths).orders)
        index = moved(zeros.with_parameters([list(range(P))])).parameters().tolist()[0]
        scale = scaled(zeros.with_parameters([[1] * P])).parameters().tolist()[0]
        return [int(i) for i in index], scale


def _scaled(A: QMatrix, rows: Sequence[Fraction], columns: Sequence[Fraction]) -> QMatrix:
    """Multiply rows and columns; an empty sequence multiplies by nothing."""
    if all(x == 1 for x in rows) and all(x == 1 for x in columns):
        return A
    table = A.tolist()
    if rows:
        table = [[x * y for y in row] for x, row in zip(rows, table, strict=True)]
    if columns:
        table = [[x * y for x, y in zip(row, columns, strict=True)] for row in table]
    return QMatrix(table)


def _as_columns(data: ArrayLike, columns: int) -> QMatrix:
    A = QMatrix(data)
    if A.shape[1] != columns:
        raise ShapeMismatch(
            f"{A.shape[1]} columns for {columns} parameters; give has_bias if a layer has no bias"
        )
    return A


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
    check_unit(net, layer, unit)
    s = Symmetry.identity(net.widths)
    factors = [list(row) for row in s.factors]
    factors[layer][unit] = to_fraction(factor)
    return Symmetry(s.widths, s.orders, factors)(net)


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
    check_unit(net, layer, 0)
    s = Symmetry.identity(net.widths)
    orders = [*s.orders[:layer], order, *s.orders[layer + 1 :]]
    return Symmetry(s.widths, orders, s.factors)(net)


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
    T7: the Jacobian of every pattern and batch maps each row to zero. Their rank is H less the
    number of `unanchored_components`.

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


def unanchored_components(net: NetworkLike) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return the groups of hidden units that are cut off from inputs, biases and outputs.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads

    Returns
    -------
    tuple of tuple of (layer, unit)
        The connected components, joined by nonzero weights, in which no unit has a nonzero input
        weight, a nonzero bias or a nonzero output weight. They contribute nothing to the function.

    Notes
    -----
    T7, with the number: the gauge vectors have rank H less the number of these components. A
    relation sum_k c_k t_k = 0 says c_j = c_k along every nonzero weight between hidden units and
    c_k = 0 at every nonzero input weight, bias or output weight; so c is one free constant on each
    unanchored component and 0 elsewhere.

    Examples
    --------
    >>> unanchored_components(ReLUNetwork([[[1], [0]], [[3, 0]]]))
    (((0, 1),),)
    """
    import networkx as nx

    net = as_network(net)
    anchor = (-1, 0)
    graph = nx.Graph()
    graph.add_node(anchor)

    def node(layer: int, unit: int) -> tuple[int, int]:
        return (layer, unit) if 0 <= layer < net.depth - 1 else anchor

    for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        rows = W.tolist()
        bias = b.tolist()[0] if b is not None else [Fraction(0)] * len(rows)
        for unit, row in enumerate(rows):
            graph.add_node(node(layer, unit))
            if bias[unit]:
                graph.add_edge(anchor, node(layer, unit))
            graph.add_edges_from(
                (node(layer - 1, k), node(layer, unit)) for k, w in enumerate(row) if w
            )
    parts = (sorted(part) for part in nx.connected_components(graph) if anchor not in part)
    return tuple(sorted(tuple(part) for part in parts))


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


def check_unit(net: ReLUNetwork, layer: int, unit: int) -> None:
    """Demand that a hidden unit exists; `InvalidInput` says which ones do."""
    if not 0 <= layer < net.depth - 1:
        raise InvalidInput(
            f"layer {layer} is not hidden; this network has hidden layers 0..{net.depth - 2}"
        )
    if not 0 <= unit < net.widths[layer + 1]:
        raise InvalidInput(
            f"layer {layer} has no unit {unit}; it has units 0..{net.widths[layer + 1] - 1}"
        )
