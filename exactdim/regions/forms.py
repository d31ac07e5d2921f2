"""The neurons of a network as affine forms, on the cells on which their lower layers are affine.

In floats with bounds on the errors, for many cells at a time, and exactly, one by one. A point has
homogeneous coordinates: the last is 1, or 0 for a direction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import FloatArray
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import HUGE, TINY, UNIT_ROUNDOFF, affine_with_error
from exactdim.regions.faces import BoolArray, Ints, WordArray
from exactdim.regions.layout import Layout

__all__ = ["ExactForms", "forms_of_layer", "forms_of_units", "passes", "values_of_units"]

CHUNK = 1 << 17
"""Numbers in the largest temporary array of a pass: few enough for the cache of a core."""


def passes(n: int, numbers: int) -> Iterator[slice]:
    """Divide n rows into passes whose temporary arrays are small.

    Parameters
    ----------
    n : int
    numbers : int
        Numbers per row in such an array.

    Returns
    -------
    iterator of slice
    """
    step = max(1, CHUNK // numbers)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def values_of_units(
    net: ReLUNetwork, layer: int, units: slice, mask: BoolArray, x: FloatArray, error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Evaluate the forms of some units at points, each on a cell of its own.

    Parameters
    ----------
    net : ReLUNetwork
    layer : int
    units : slice
        Which units of the layer.
    mask : boolean array of shape (n, neurons below, or more)
        Activation pattern of each point's cell.
    x, error : arrays of shape (n, d + 1)
        Homogeneous coordinates, and how far each may be from the exact one; the last are exact.

    Returns
    -------
    value, bound : arrays of shape (n, units)
    """
    scale, first = x[:, -1:], 0
    h, off_by = x[:, :-1], error.max(axis=1, initial=0.0)
    with np.errstate(all="ignore"):
        for W, b in net.float_layers[:layer]:
            z, bound = _applied(W, b, scale, h, off_by)
            # not a product: a number beyond the range of floats is off, too
            h = np.where(mask[:, first : first + len(W)], z, 0.0)
            off_by = bound.max(axis=1)
            first += len(W)
        W, b = net.float_layers[layer]
        return _applied(W[units], b[units], scale, h, off_by)


def _applied(
    W: FloatArray, b: FloatArray, scale: FloatArray, h: FloatArray, off_by: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Compute W h + b in floats, with bounds on the errors if no entry of h is off by more.

    Parameters
    ----------
    W, b : arrays of shapes (units, inputs) and (units,)
    scale : array of shape (n, 1)
        Factors of b, 0 or 1.
    h : array of shape (n, inputs)
    off_by : array of shape (n,)

    Returns
    -------
    z, bound : arrays of shape (n, units)

    Notes
    -----
    The bound of `affine_with_error` with norms in place of products of absolute values: wider for
    inputs of different sizes, but without matrix products.
    """
    n = W.shape[1]
    z = h @ W.T + scale * b
    size = np.abs(W).sum(axis=1)
    reach = (np.abs(h).max(axis=1, initial=0.0) + off_by)[:, None]
    magnitude = reach * size + np.abs(b)
    gamma = (2 * n + 16) * UNIT_ROUNDOFF
    bound = gamma * magnitude + (1 + gamma) * (off_by[:, None] * size)
    bound = (1 + gamma) * bound + 2 * TINY * (n + 1 + size + n * reach)
    bound[~(magnitude < HUGE)] = np.inf
    return z, bound


def forms_of_units(
    net: ReLUNetwork, layer: int, units: Ints, mask: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return the affine forms of units of a layer, each on a cell of its own.

    Parameters
    ----------
    net : ReLUNetwork
    layer : int
    units : integer array of shape (n,)
    mask : boolean array of shape (n, neurons below, or more)
        Activation pattern of each cell.

    Returns
    -------
    form, bound : arrays of shape (n, d + 1)
        Gradient and constant, and how far each number may be from the exact one. Where all units
        of a layer below are off, there is no gradient, and no doubt about that.

    Notes
    -----
    From the unit down, layer by layer: as many products as the widths of two layers, whatever d is.
    """
    W, b = net.float_layers[layer]
    form = np.column_stack([W, b])[units]
    with np.errstate(all="ignore"):  # weights and biases are rounded
        error = np.abs(form) * (4 * UNIT_ROUNDOFF) + TINY
    end = sum(len(W) for W, _ in net.float_layers[:layer])
    for W, b in net.float_layers[:layer][::-1]:
        off = ~mask[:, end - len(W) : end]
        end -= len(W)
        for numbers in (form, error):  # not a product: also forms beyond the range of floats
            np.copyto(numbers[:, :-1], 0.0, where=off)
        none = ~((form != 0) | (error != 0))[:, :-1].any(axis=1)
        down = np.zeros((W.shape[1] + 1, len(W) + 1))
        down[:, :-1] = np.column_stack([W, b]).T
        down[-1, -1] = 1.0
        with np.errstate(all="ignore"):
            form, error = affine_with_error(down, 0.0, form, error)
        form[none, :-1] = error[none, :-1] = 0.0
    return form, error


def forms_of_layer(net: ReLUNetwork, layer: int, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the affine forms of all units of a layer on some cells, as `forms_of_units`.

    Parameters
    ----------
    net : ReLUNetwork
    layer : int
    mask : boolean array of shape (n, neurons below, or more)

    Returns
    -------
    form, bound : arrays of shape (n, units, d + 1)
    """
    n, width = len(mask), net.widths[layer + 1]
    out = np.empty((2, n, width, net.widths[0] + 1))
    for unit in range(width):
        out[:, :, unit] = forms_of_units(net, layer, np.full(n, unit), mask)
    return out[0], out[1]


class ExactForms:
    """Exact affine forms of the neurons on cells.

    Parameters
    ----------
    layout : Layout
        Networks on the coordinates of the domain.
    walls : QMatrix of shape (m, d + 1)
        The rows of block -1: the enclosing simplex, then the domain's inequalities.
    """

    def __init__(self, layout: Layout, walls: QMatrix) -> None:
        self.layout = layout
        self.d = walls.shape[1] - 1
        self.walls = _integer_rows(walls)
        identity = QMatrix.identity(self.d)
        self._inputs = QMatrix.hstack([identity, QMatrix.zeros(self.d, 1)])
        self._cache: dict[tuple[int, int, bytes], tuple[QMatrix, list[list[int]]]] = {}
        self._blocks: dict[tuple[int, bytes], list[list[int]]] = {}

    def row(self, block: int, words: WordArray, unit: int) -> list[int]:
        """Return one form times a positive number, in integers.

        Parameters
        ----------
        block : int
            -1 for the walls.
        words : uint64 array
            Pattern of a cell in the blocks before.
        unit : int
            Number within the block.

        Returns
        -------
        list of d + 1 ints
        """
        if block < 0:
            return self.walls[unit]
        key = (block, words.tobytes())
        rows = self._blocks.get(key)
        if rows is None:
            place = self.layout.blocks[block]
            mask = self.layout.masks(words[None])[0]
            rows = self._forms(place.net, place.layer, mask)[1][place.first : place.last]
            if len(self._blocks) > CACHED_CELLS:
                self._blocks.clear()
            self._blocks[key] = rows
        return rows[unit]

    def of_layer(self, net: int, layer: int, mask: BoolArray) -> QMatrix:
        """Return the forms of all units of a layer.

        Parameters
        ----------
        net, layer : int
        mask : boolean array
            The pattern of all neurons, or at least of those before this layer.

        Returns
        -------
        QMatrix of shape (units, d + 1)
            Gradient and constant.
        """
        return self._forms(net, layer, mask)[0]

    def _forms(self, net: int, layer: int, mask: BoolArray) -> tuple[QMatrix, list[list[int]]]:
        network, start = self.layout.nets[net], self.layout.starts[net]
        end = start + sum(network.widths[1 : layer + 1])
        key = (net, layer, np.packbits(mask[start:end]).tobytes())
        found = self._cache.get(key)
        if found is not None:
            return found
        if layer:
            h = self._forms(net, layer - 1, mask)[0]
            on = mask[end - network.widths[layer] : end]
            h = h.masked(np.repeat(on[:, None], self.d + 1, axis=1))
        else:
            h = self._inputs
        z = network.weights[layer] @ h
        bias = network.biases[layer]
        if bias is not None:
            z += QMatrix.hstack([QMatrix.zeros(bias.shape[1], self.d), bias.T])
        if len(self._cache) > CACHED_CELLS:
            self._cache.clear()
        self._cache[key] = found = z, _integer_rows(z)
        return found


CACHED_CELLS = 20_000
"""Exact forms kept per process."""


def _integer_rows(matrix: QMatrix) -> list[list[int]]:
    numbers, width = matrix.numerators(), matrix.shape[1]
    return [numbers[i : i + width] for i in range(0, len(numbers), width)]
