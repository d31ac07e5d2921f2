"""Slices of parameter space: the activation regions of a batch while one layer moves.

All outputs are affine in the parameters of one layer as long as no unit switches (T3). So on an
affine slice through a network along which one layer moves, the activation patterns of a batch are
those of a network whose inputs are the coordinates of the slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike, Number
from exactdim.errors import InvalidInput, OnKink, ShapeMismatch
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import activation_pattern
from exactdim.regions.complex import RegionComplex, activation_regions
from exactdim.regions.domain import DomainLike

if TYPE_CHECKING:
    from exactdim.regions.region import Region

__all__ = ["ParameterSlice", "parameter_slice"]


@dataclass(frozen=True, eq=False)
class ParameterSlice:
    """An affine slice of parameter space along which one layer moves. Made by `parameter_slice`.

    Attributes
    ----------
    net : ReLUNetwork
        The network at the origin of the slice.
    batch : QMatrix of shape (n, N_0)
    directions : QMatrix of shape (m, P)
    layer : int
        The layer that moves.
    """

    net: ReLUNetwork
    batch: QMatrix
    directions: QMatrix
    layer: int

    def at(self, y: Sequence[Number]) -> ReLUNetwork:
        """Return the network at a point of the slice.

        Parameters
        ----------
        y : sequence of m Numbers
            Its parameters are those of `net` plus the combination of the directions.

        Returns
        -------
        ReLUNetwork

        Raises
        ------
        ShapeMismatch
            If there are not m numbers.
        """
        point = QMatrix([list(y)], name="y")
        if point.shape[1] != self.directions.shape[0]:
            raise ShapeMismatch(
                f"the point has {point.shape[1]} coordinates; the slice has "
                f"{self.directions.shape[0]} directions"
            )
        return self.net.with_parameters(self.net.parameters() + point @ self.directions)

    @cached_property
    def network(self) -> ReLUNetwork:
        """The network from the slice to the outputs at all samples, side by side.

        Its hidden layers hold the units of the layers from the one that moves on, once per sample:
        unit ``i * N + k`` is unit k at sample i.
        """
        net, n = self.net, self.batch.shape[0]
        m, layer = self.directions.shape[0], self.layer
        h = self._features
        moves = [self._preactivations(h, self.at(row)) for row in np.eye(m, dtype=int).tolist()]
        start = self._preactivations(h, net)
        columns = [move - start for move in moves]
        weights: list[QMatrix] = [QMatrix.vstack(columns).T]
        biases: list[QMatrix | None] = [start]
        for above in range(layer + 1, net.depth):
            weights.append(_block_diagonal(net.weights[above], n))
            bias = net.biases[above]
            biases.append(None if bias is None else QMatrix.hstack([bias] * n))
        return ReLUNetwork(weights, biases)

    @cached_property
    def _features(self) -> QMatrix:
        """The inputs of the layer that moves; nothing below it does."""
        masks = activation_pattern(self.net, self.batch, on_kink="zero").layers
        h = self.batch
        for below in range(self.layer):
            h = self.net.affine(below, h).masked(masks[below])
        return h

    def _preactivations(self, h: QMatrix, net: ReLUNetwork) -> QMatrix:
        z = net.affine(self.layer, h)
        return QMatrix.from_integers(z.numerators(), z.denominator, (1, z.shape[0] * z.shape[1]))

    def regions(
        self,
        domain: DomainLike = None,
        *,
        max_regions: int | None = None,
        max_seconds: float | None = None,
    ) -> RegionComplex:
        """Enumerate the activation regions of the batch on the slice, exactly.

        Parameters
        ----------
        domain : Domain, pair, list of pairs or None
            In the coordinates of the slice; all of it by default.
        max_regions, max_seconds : optional
            Limits, see `activation_regions`.

        Returns
        -------
        RegionComplex
            Of `network`. A unit that is zero on all of a region counts as off there; the networks
            there lie on a kink then, and have no Jacobian.

        Raises
        ------
        BudgetExceeded, TooLarge
            As `activation_regions`.
        """
        return activation_regions(
            self.network, domain, max_regions=max_regions, max_seconds=max_seconds
        )

    def network_in(self, region: Region) -> ReLUNetwork:
        """Return the network at the interior point of a region of the slice.

        Parameters
        ----------
        region : Region
            Of `regions`.

        Returns
        -------
        ReLUNetwork
        """
        return self.at(region.interior_point)


def parameter_slice(net: NetworkLike, X: ArrayLike, directions: ArrayLike) -> ParameterSlice:
    """Cut parameter space along directions in which one layer moves.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
        The origin of the slice.
    X : ArrayLike of shape (n, N_0)
        The batch whose activation patterns are looked at.
    directions : ArrayLike of shape (m, P)
        In the column order of `exactdim.jacobian`. All their nonzero entries belong to one hidden
        layer.

    Returns
    -------
    ParameterSlice

    Raises
    ------
    ShapeMismatch
        If directions or batch do not fit the network.
    InvalidInput
        If the directions move several layers, in which case the regions are bounded by curves, or
        no hidden layer, or are dependent.
    OnKink
        If a sample lies on a kink of a layer below the one that moves.

    Notes
    -----
    Source: arXiv 2402.08269; T2 and T3. Each layer's pre-activations are affine in the parameters
    of that layer, and piecewise affine in those of the layers below.

    Examples
    --------
    >>> net = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    >>> cut = parameter_slice(net, [[-1], [2]], [[1, 0, 0, 0], [0, 1, 0, 0]])  # weight and bias
    >>> sorted(region.pattern for region in cut.regions())
    [('00',), ('01',), ('10',), ('11',)]
    """
    network = as_network(net)
    batch = as_batch(X, network.widths[0])
    moves = QMatrix(directions, name="directions")
    if moves.shape[1] != network.n_parameters:
        raise ShapeMismatch(
            f"directions have shape {moves.shape}; this network has {network.n_parameters} "
            "parameters, so each direction needs as many entries"
        )
    offsets = network.parameter_offsets()
    moved = [
        layer
        for layer in range(network.depth)
        if not moves[:, offsets[layer] : offsets[layer + 1]].is_zero()
    ]
    if len(moved) != 1 or moved[0] == network.depth - 1:
        what = f"layers {moved}" if moved else "no layer"
        raise InvalidInput(
            f"the directions move {what}; choose directions in which exactly one hidden layer "
            "moves (the pre-activations would be polynomials otherwise, or never change)"
        )
    if moves.rank() < moves.shape[0]:
        raise InvalidInput("the directions are linearly dependent; leave out those that repeat")
    fixed = activation_pattern(network, batch, on_kink="zero")
    below = [kink for kink in fixed.kinks if kink[1] < moved[0]]
    if below:
        raise OnKink(
            f"samples lie on kinks of layers below layer {moved[0]}, which stay there all over the "
            f"slice: {below[:4]} as (sample, layer, unit); move the samples",
            below,
        )
    return ParameterSlice(network, batch, moves, moved[0])


def _block_diagonal(W: QMatrix, n: int) -> QMatrix:
    out, inputs = W.shape
    zero = QMatrix.zeros(out, inputs)
    return QMatrix.vstack([
        QMatrix.hstack([W if j == i else zero for j in range(n)]) for i in range(n)
    ])
