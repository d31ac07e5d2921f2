"""The full functional dimension: the largest local dimension over all batches.

Source: arXiv 2402.08269 ("computable full functional dimension"); T10. It is attained at a finite
set of inputs, which the activation regions of the network give.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from exactdim.arith.matrix import QMatrix
from exactdim.arith.modular import rank
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.dimension.result import Dimension, Status
from exactdim.errors import OnKink
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import Head, jacobian
from exactdim.regions.complex import RegionComplex, activation_regions
from exactdim.regions.region import Point, Region

if TYPE_CHECKING:
    from exactdim.regions.jobs import Progress
    from exactdim.regions.workers import Workers

__all__ = ["FullDimension", "decisive_set", "full_dimension"]

MOST_TRIALS = 200
"""Points of a small set that are tried for dropping one by one."""


@dataclass(frozen=True)
class FullDimension:
    """The largest local dimension over all batches, as far as it is proved.

    Attributes
    ----------
    dimension : Dimension
        The local dimension at the decisive set, with its evidence.
    regions : RegionComplex
        The activation regions from which the decisive set was made.
    points : QMatrix of shape (m, N_0)
        A small batch whose local dimension is the proved lower end.

    Notes
    -----
    As with `Dimension`, ``int(d)`` and ``d.value`` work if it is proved and raise `Undecided`
    otherwise.
    """

    dimension: Dimension
    regions: RegionComplex
    points: QMatrix

    @property
    def lower(self) -> int:
        """Proved: some batch, `points` for one, has this local dimension."""
        return self.dimension.lower

    @property
    def upper(self) -> int:
        """Proved: no batch has a larger local dimension."""
        return self.dimension.upper

    @property
    def status(self) -> Status:
        """As that of the `Dimension`."""
        return self.dimension.status

    @property
    def value(self) -> int:
        """The full functional dimension, if it is proved."""
        return self.dimension.value

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def __repr__(self) -> str:
        return (
            f"FullDimension({self.dimension}; {len(self.regions)} activation regions, attained at "
            f"{self.points.shape[0]} points)"
        )


def full_dimension(
    net: NetworkLike,
    *,
    head: Head = "logits",
    proof: ProofEffort = "full",
    seed: int | None = None,
    executor: Workers = None,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> FullDimension:
    """Compute the largest rank of the Jacobian over all batches, exactly.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    head : {"logits", "softmax"}
    proof : {"fast", "auto", "full"}
        How hard to close a gap between the proved ends, see `local_dimension`.
    seed : int, optional
        Replays the primes of an earlier run.
    executor, max_regions, max_seconds, checkpoint, progress
        For the enumeration of the activation regions, see `activation_regions`.

    Returns
    -------
    FullDimension

    Raises
    ------
    OnKink
        If a neuron vanishes identically on a region though nearby parameters make it positive
        there, such as one with zero weights and bias 0: no batch with samples there has a Jacobian.
    BudgetExceeded, TooLarge
        If there are more regions than allowed or than can be enumerated.

    Notes
    -----
    T10: on one activation region each row of the Jacobian is affine in the sample, so N_0 + 1
    affinely independent points of it span the rows of all. Those of all regions, unbounded ones
    too, are decisive: no batch has a larger rank, and every batch's row space is contained in
    theirs. One set per *linear* region would not do.

    Examples
    --------
    >>> import exactdim as ed
    >>> cancelling = ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]])  # relu(x) - relu(x)
    >>> found = ed.full_dimension(cancelling)
    >>> found.value, found.points.shape[0]
    (3, 3)
    """
    net = as_network(net)
    regions = activation_regions(
        net,
        executor=executor,
        max_regions=max_regions,
        max_seconds=max_seconds,
        checkpoint=checkpoint,
        progress=progress,
    )
    X = decisive_set(regions)
    try:
        dimension = local_dimension(net, X, head=head, proof=proof, seed=seed)
    except OnKink as error:
        sample, layer, unit = error.kinks[0]
        region = regions[sample // (net.widths[0] + 1)]
        raise OnKink(
            f"unit {unit} of layer {layer} is identically zero on the region "
            f"{' '.join(region.pattern)}, but not for nearby parameters: the network has no "
            "Jacobian there. Change its bias",
            error.kinks,
        ) from None
    return FullDimension(dimension, regions, _small_set(dimension, X))


def decisive_set(regions: RegionComplex) -> QMatrix:
    """Return affinely independent points in every activation region, d + 1 in each.

    Parameters
    ----------
    regions : RegionComplex
        Of one network, in the whole space or any other domain.

    Returns
    -------
    QMatrix of shape ((d + 1) len(regions), N_0)
        In input coordinates, region by region.

    Notes
    -----
    T10. They decide among the batches in the domain: no such batch has a larger local dimension.

    Examples
    --------
    >>> import exactdim as ed
    >>> decisive_set(ed.activation_regions(ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]]), (-2, 2)))
    QMatrix([['1'], ['3/2'], ['-1'], ['-1/2']])
    """
    points = [point for region in regions for point in _simplex_inside(region)]
    return regions.domain.to_inputs(QMatrix(points))


def _simplex_inside(region: Region) -> list[Point]:
    """Return an interior point and one beside it along every axis."""
    center = region.interior_point
    step = Fraction(1)
    for *gradient, constant in region.inequalities.tolist():
        slack = sum((g * x for g, x in zip(gradient, center, strict=True)), constant)
        largest = max((abs(g) for g in gradient), default=Fraction(0))
        while largest * step >= slack and largest:
            step /= 2
    return [
        center,
        *(
            tuple(x + step if i == axis else x for i, x in enumerate(center))
            for axis in range(len(center))
        ),
    ]


def _small_set(dimension: Dimension, X: QMatrix) -> QMatrix:
    """Return some of the samples, as few as are easily found, at which the lower end is reached."""
    rows = dimension.evidence.lower.rows
    if rows is None:
        return X
    if not rows:
        return X[[0]]
    outputs = dimension.n_rows // X.shape[0]
    kept = sorted({row // outputs for row in rows})
    if len(kept) > MOST_TRIALS:
        return X[kept]
    e = dimension.evidence
    p = e.lower.modulus
    J = jacobian(e.net, X[kept], head=e.head)
    alive = list(range(len(kept)))
    for sample in reversed(range(len(kept))):
        fewer = [i for i in alive if i != sample]
        chosen = [i * outputs + j for i in fewer for j in range(outputs)]
        if fewer and rank(J[chosen], p) == dimension.lower:
            alive = fewer
    return X[[kept[i] for i in alive]]
