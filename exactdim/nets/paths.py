"""Path lifting: the outputs as a matrix of activations times a vector of products along paths.

A path starts at an input or at a bias, runs through one unit of every later layer and ends at an
output. With phi(theta) the products of the parameters along the paths, and alpha(X; theta) what the
activations and the inputs make of them, ``f_theta(X) = alpha phi`` and ``J = alpha D phi``; alpha
is constant where the activation pattern is. Paths are exponentially many in the depth, so this is
for small networks; only `n_paths` and `lifting_rank`, which enumerate nothing, are for all.

Sources: arXiv 2107.09370 and 2206.07424; T8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, TooLarge
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import MAX_ENTRIES
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import BoolArray, KinkChoice, activation_pattern

__all__ = [
    "Path",
    "PathLifting",
    "activation_operator",
    "lifting_rank",
    "n_paths",
    "path_lifting",
]

MAX_PATHS = 100_000
"""Paths that are enumerated without being asked for more."""

Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Path:
    """A path from an input or a bias to an output.

    Attributes
    ----------
    input : int or None
        The input where it starts; None if it starts at the bias of its first unit.
    units : tuple of (int, int)
        The units ``(layer, unit)`` that it passes, one in each layer from the first to the last;
        the last one is the output. The bias of an output is a path of one unit.

    Examples
    --------
    >>> Path(0, ((0, 2), (1, 1)))  # input 0, hidden unit 2, output 1
    Path(input=0, units=((0, 2), (1, 1)))
    >>> Path(None, ((1, 1),))  # the bias of output 1
    Path(input=None, units=((1, 1),))
    """

    input: int | None
    units: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PathLifting:
    """The products of the parameters along all paths, exact; made by `path_lifting`.

    Attributes
    ----------
    net : ReLUNetwork

    Examples
    --------
    >>> lifting = path_lifting(ReLUNetwork([[[2]], [[3]]], [[-1], [5]]))
    >>> lifting.values  # w v, b v, c
    QMatrix([['6'], ['-3'], ['5']])
    >>> lifting.jacobian()
    QMatrix([['3', '0', '2', '0'], ['0', '3', '-1', '0'], ['0', '0', '0', '1']])
    >>> [path.input for path in lifting.paths]
    [0, None, None]
    """

    net: ReLUNetwork

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The paths in their order: from the inputs, then from the biases of layer 0, 1, ...

        Within each of these groups the order is that of the tuples (input, units).
        """
        widths = self.net.widths
        found = []
        for nodes in _path_nodes(self.net).tolist():
            start = next(level for level, node in enumerate(nodes) if node < widths[level])
            units = tuple((level - 1, nodes[level]) for level in range(max(start, 1), len(nodes)))
            found.append(Path(nodes[0] if start == 0 else None, units))
        return tuple(found)

    @cached_property
    def values(self) -> QMatrix:
        """The column phi(theta), of shape (number of paths, 1)."""
        products = self._factors.prod(axis=1).tolist()
        denominator = self.net.parameters().denominator ** self.net.depth
        return QMatrix.from_integers(products, denominator, (len(products), 1))

    def jacobian(self) -> QMatrix:
        """Return D phi(theta), the derivative of `values` in the parameters.

        Returns
        -------
        QMatrix of shape (number of paths, P)
            Columns as in `ReLUNetwork.parameters`. Its rank is `lifting_rank`.

        Raises
        ------
        TooLarge
            If the matrix would have more than 40 million entries.
        """
        count, width = len(self._columns), self.net.n_parameters
        _refuse_large_matrix("D phi", count, width)
        table: npt.NDArray[Any] = np.zeros((count, width + 1), dtype=object)
        for step in range(self.net.depth):
            others = np.delete(self._factors, step, axis=1)
            table[np.arange(count), self._columns[:, step]] = others.prod(axis=1)
        denominator = self.net.parameters().denominator ** (self.net.depth - 1)
        return QMatrix.from_integers(table[:, :-1].ravel().tolist(), denominator, (count, width))

    @cached_property
    def _columns(self) -> Ints:
        """The parameter of each step of each path, of shape (paths, L); P where it has none."""
        net, nodes = self.net, _path_nodes(self.net)
        steps = []
        for layer, (inputs, units) in enumerate(pairwise(net.widths)):
            start, tail, head = net.parameter_offsets()[layer], nodes[:, layer], nodes[:, layer + 1]
            weight, bias = start + head * inputs + tail, start + units * inputs + head
            column = np.where(tail < inputs, weight, bias)
            steps.append(np.where(head < units, column, net.n_parameters))
        return np.stack(steps, axis=1)

    @cached_property
    def _factors(self) -> npt.NDArray[Any]:
        """The numerator of the factor of each step; a step without a parameter has factor 1."""
        theta = self.net.parameters()
        return np.array([*theta.numerators(), theta.denominator], dtype=object)[self._columns]


def path_lifting(net: NetworkLike, *, max_paths: int = MAX_PATHS) -> PathLifting:
    """Compute the product of the parameters along each path of a network.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    max_paths : int
        Refuse networks with more paths.

    Returns
    -------
    PathLifting
        With ``.values``, the column phi; ``.paths``; and ``.jacobian()``, the matrix D phi.

    Raises
    ------
    TooLarge
        If there are more paths; none is enumerated then.

    Notes
    -----
    Source: arXiv 2107.09370 and 2206.07424; T8. phi is multi-affine in the parameters
    and does not change under rescaling of hidden units. O(L) multiplications a path.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])  # f(x) = 3 relu(2 x - 1) + 5
    >>> phi, alpha = path_lifting(net), activation_operator(net, [[1], [2]])
    >>> alpha @ phi.values  # the outputs, sample by sample
    QMatrix([['8'], ['14']])
    >>> alpha @ phi.jacobian()  # their Jacobian
    QMatrix([['3', '3', '1', '1'], ['6', '3', '3', '1']])
    """
    net = as_network(net)
    _refuse_many_paths(net, max_paths)
    return PathLifting(net)


def activation_operator(
    net: NetworkLike, X: ArrayLike, *, on_kink: KinkChoice = "raise", max_paths: int = MAX_PATHS
) -> QMatrix:
    """Compute the matrix alpha(X; theta) that takes the path lifting to the outputs.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    on_kink : {"raise", "zero", "drop"}
        As in `activation_pattern`; with ``"drop"`` the kinked samples have no rows.
    max_paths : int
        Refuse networks with more paths.

    Returns
    -------
    QMatrix of shape (n * N_L, number of paths)
        Row ``i * N_L + j`` is output j of sample i, columns are as in `PathLifting.paths`. The
        entry is the input coordinate where the path starts (1 if at a bias) if all hidden units of
        the path are on at the sample and its output is j, else 0.

    Raises
    ------
    OnKink
        As `activation_pattern`.
    InvalidInput
        As `activation_pattern`.
    TooLarge
        If there are more paths, or the matrix would have more than 40 million entries; nothing is
        enumerated then.

    Notes
    -----
    Source: arXiv 2107.09370 and 2206.07424; T8. It depends on theta through the activation pattern
    only, so ``J = alpha D phi`` and rank J is at most the smaller of both ranks.
    O(L) operations for each sample and path.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> activation_operator(net, [[0], [1], [2]])
    QMatrix([['0', '0', '1'], ['1', '1', '1'], ['2', '1', '1']])
    """
    net = as_network(net)
    _refuse_many_paths(net, max_paths)
    batch = as_batch(X, net.widths[0])
    _refuse_large_matrix("the activation operator", batch.shape[0] * net.widths[-1], n_paths(net))
    pattern = activation_pattern(net, batch, on_kink=on_kink)
    batch = pattern.select(batch)
    n, one = batch.shape[0], batch.denominator
    nodes = _path_nodes(net)
    # The constant 1 is one more input, and one more unit of each layer that is always on.
    samples: npt.NDArray[Any] = np.full((n, net.widths[0] + 1), one, dtype=object)
    samples[:, :-1] = np.array(batch.numerators(), dtype=object).reshape(batch.shape)
    on = np.ones((n, len(nodes)), dtype=np.bool_)
    for layer, mask in enumerate(pattern.layers):
        on &= np.pad(mask, ((0, 0), (0, 1)), constant_values=True)[:, nodes[:, layer + 1]]
    table: npt.NDArray[Any] = np.zeros((n, net.widths[-1], len(nodes)), dtype=object)
    table[:, nodes[:, -1], np.arange(len(nodes))] = np.where(on, samples[:, nodes[:, 0]], 0)
    return QMatrix.from_integers(table.ravel().tolist(), one, (n * net.widths[-1], len(nodes)))


def lifting_rank(net: NetworkLike) -> int:
    """Compute the rank of D phi(theta) by counting, for networks of any size.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads

    Returns
    -------
    int
        For all batches and kink choices an upper bound of the rank of the Jacobian at theta.

    Notes
    -----
    T8, extended to parameters that are zero. Call a unit *fed* if nonzero parameters lead to it
    from an input or a bias, and *read* if nonzero weights lead from it to an output; inputs are fed
    and outputs are read. Then rank D phi is the number of weights from a fed to a read unit and of
    biases of read units, less the number of hidden units that are fed and read. Without zeros
    that is P - H.

    Proof: a path with two zeros has a zero row. The path with the single zero e has one nonzero
    entry, in column e, where no path without zeros has one; so each zero weight from a fed to a
    read unit, and each zero bias of a read unit, adds 1 to the rank, and other zeros add nothing.
    What is left are the paths without zeros: up to nonzero factors of rows and columns, their
    0/1 incidence with the nonzero parameters between fed and read units. A vector in its kernel
    sums to 0 along every such path, so its sum along the way to a fed and read unit does not depend
    on the way; these sums, one free number for each such hidden unit, describe the kernel.

    O(P) operations.

    Examples
    --------
    >>> lifting_rank(ReLUNetwork.random((784, 30, 30, 30, 10), seed=0))  # 25720 - 90
    25630
    >>> lifting_rank(ReLUNetwork([[[1], [0]], [[2, 0]]]))  # unit 1 is neither fed nor read
    1
    """
    net = as_network(net)
    fed, read = _fed(net), _read(net)
    rank = 0
    for level, has_bias in enumerate(net.has_bias):
        rank += int(read[level + 1].sum()) * (int(fed[level].sum()) + has_bias)
    for level in range(1, net.depth):
        rank -= int((fed[level] & read[level]).sum())
    return rank


def n_paths(
    net_or_widths: NetworkLike | Sequence[int], *, bias: bool | Sequence[bool] | None = None
) -> int:
    """Count the paths of an architecture without enumerating them.

    Parameters
    ----------
    net_or_widths : ReLUNetwork, anything `as_network` reads, or a sequence of int
        A network, or the widths ``(N_0, ..., N_L)``.
    bias : bool or sequence of bool, optional
        For widths: whether all layers have a bias, or one flag per layer; by default all have.

    Returns
    -------
    int
        The product of all widths, for the paths from inputs, and for each layer with a bias the
        product of the widths of this layer and the later ones (T8).

    Raises
    ------
    InvalidInput
        If the widths or the number of flags make no network, or `bias` is given with a network.

    Examples
    --------
    >>> n_paths((2, 3, 2, 2)), n_paths((2, 3, 2, 2), bias=False)
    (42, 24)
    >>> n_paths(ReLUNetwork([[[1, 2]]], [[3]]))
    3
    """
    widths, flags = _architecture(net_or_widths, bias)
    from_biases = (math.prod(widths[layer + 1 :]) for layer, flag in enumerate(flags) if flag)
    return math.prod(widths) + sum(from_biases)


def _architecture(
    net_or_widths: NetworkLike | Sequence[int], bias: bool | Sequence[bool] | None
) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return the widths and which layers have biases."""
    if not isinstance(net_or_widths, list | tuple) or not all(
        isinstance(width, int | np.integer) for width in net_or_widths
    ):
        if bias is not None:
            raise InvalidInput("bias is for widths; a network says itself which layers have one")
        net = as_network(net_or_widths)
        return net.widths, net.has_bias
    widths = tuple(int(width) for width in net_or_widths)
    bias = True if bias is None else bias
    if len(widths) < 2 or min(widths) < 1:
        raise InvalidInput(f"widths {widths} make no network: give two or more, all >= 1")
    depth = len(widths) - 1
    flags = (bias,) * depth if isinstance(bias, bool) else tuple(bias)
    if len(flags) != depth:
        raise InvalidInput(f"{len(flags)} bias flags against {depth} layers")
    return widths, flags


def _fed(net: ReLUNetwork) -> list[BoolArray]:
    """Tell for inputs and units, level by level, whether nonzero parameters lead to them."""
    fed: list[BoolArray] = [np.ones(net.widths[0], dtype=np.bool_)]
    for W, b in zip(net.weights, net.biases, strict=True):
        reached = np.any(_nonzero(W) & fed[-1], axis=1)
        fed.append(reached if b is None else reached | _nonzero(b)[0])
    return fed


def _read(net: ReLUNetwork) -> list[BoolArray]:
    """Tell for inputs and units, level by level, whether nonzero weights lead to an output."""
    read: list[BoolArray] = [np.ones(net.widths[-1], dtype=np.bool_)]
    for W in reversed(net.weights):
        read.append(np.any(_nonzero(W).T & read[-1], axis=1))
    return read[::-1]


def _nonzero(matrix: QMatrix) -> BoolArray:
    return np.array([x != 0 for x in matrix.numerators()], dtype=np.bool_).reshape(matrix.shape)


def _path_nodes(net: ReLUNetwork) -> Ints:
    """Return the input and the unit of each layer on each path, of shape (paths, L + 1)."""
    # Before a path starts at a bias it runs along the constant 1: input N_0, unit N_l of layer l.
    widths = net.widths
    groups = [_tuples(widths)]
    for layer, has_bias in enumerate(net.has_bias):
        if has_bias:
            units = _tuples(widths[layer + 1 :])
            constant = np.broadcast_to(np.array(widths[: layer + 1]), (len(units), layer + 1))
            groups.append(np.hstack([constant, units]))
    return np.vstack(groups)


def _tuples(lengths: tuple[int, ...]) -> Ints:
    """Return all index tuples of a box, in lexicographic order, one per row."""
    return np.indices(lengths).reshape(len(lengths), -1).T


def _refuse_many_paths(net: ReLUNetwork, max_paths: int) -> None:
    count = n_paths(net)
    if count > max_paths:
        raise TooLarge(
            f"this network has {count} paths and max_paths is {max_paths}; take a narrower or "
            "shallower network or raise max_paths. jacobian, local_dimension, n_paths and "
            "lifting_rank need no paths and answer for this one"
        )


def _refuse_large_matrix(name: str, rows: int, columns: int) -> None:
    if rows * columns > MAX_ENTRIES:
        raise TooLarge(
            f"{name} has {rows} x {columns} entries; the dense exact method stops at "
            f"{MAX_ENTRIES}. Take a smaller network or fewer samples"
        )
