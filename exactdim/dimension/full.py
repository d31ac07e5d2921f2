"""The full functional dimension: the largest local dimension over all batches.

Source: arXiv 2402.08269 ("computable full functional dimension"); T10. It is attained at a finite
set of inputs, which the activation regions of the network give; few of the regions suffice (T48).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from exactdim.arith.elimination import centred, inverse_mod, matmul_mod, rank_profile
from exactdim.arith.matrix import QMatrix
from exactdim.arith.modular import rank
from exactdim.arith.rationals import FloatArray
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.dimension.lower import complete_minor
from exactdim.dimension.result import Dimension, Status
from exactdim.errors import OnKink
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import Head, JacobianFactors, jacobian
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import BoolArray
from exactdim.regions.complex import RegionComplex, activation_regions
from exactdim.regions.region import Point, Region

if TYPE_CHECKING:
    from exactdim.evidence.certificate import Certificate
    from exactdim.regions.jobs import Progress
    from exactdim.regions.workers import Workers

__all__ = ["FullDimension", "decisive_set", "full_dimension", "spanning_regions"]

MOST_TRIALS = 200
"""Points of a small set that are tried for dropping one by one."""

BLOCK = 1500
"""Regions among which relations are sought at a time."""

PRIME = 8388593
"""Modulo this relations are proposed; any other odd prime below 2**23 would do."""

MULTIPLES = (1, 2, 3, 4)
"""Relations are sought with coefficients that become integers by one of these factors."""

EXACT = 2**53
"""Below this float64 sums of integers are exact, in any order."""


@dataclass(frozen=True)
class FullDimension:
    """The largest local dimension over all batches, as far as it is proved.

    Attributes
    ----------
    dimension : Dimension
        The local dimension at a decisive set, with its evidence.
    regions : RegionComplex
        All activation regions; the decisive set lies in those of `spanning_regions`.
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

    def certificate(self) -> Certificate:
        """Write the evidence down as a file that can be checked without exactdim.

        Returns
        -------
        Certificate
            Of kind ``full-dimension`` if proved; else ``rank-at-least``, about `points`.

        Raises
        ------
        CertificateError
            If the witness would be too large for the checker.
        TooLarge
            If a Jacobian would have more than 40 million entries.

        Notes
        -----
        T48. The lower end is a minor at `points`. The upper end is parameters less symmetries where
        that meets it; else the complete list of activation regions, and vectors on which all their
        rows vanish.

        Examples
        --------
        >>> import exactdim as ed
        >>> cancelling = ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]])
        >>> ed.verify(ed.full_dimension(cancelling).certificate())
        Verdict(accepted, full-dimension = 3)
        """
        from exactdim.dimension.full_proof import full_certificate

        return full_certificate(self)

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
        The first of its ``kinks`` is (number of the region, layer, unit).
    BudgetExceeded, TooLarge
        If there are more regions than allowed or than can be enumerated.

    Notes
    -----
    T10: on one activation region each row of the Jacobian is affine in the sample, so N_0 + 1
    affinely independent points of it span the rows of all. Those of all regions, unbounded ones
    too, are decisive: no batch has a larger rank, and every batch's row space is contained in
    theirs. One set per *linear* region would not do. Only the regions of `spanning_regions` are
    taken: at most N_1 + 1 for most networks with one hidden layer, however many regions there are.

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
    _refuse_vanishing_units(regions)
    X = decisive_set(regions, spanning_regions(regions))
    dimension = local_dimension(net, X, head=head, proof=proof, seed=seed)
    return FullDimension(dimension, regions, _small_set(dimension, X))


def decisive_set(regions: RegionComplex, chosen: Sequence[int] | None = None) -> QMatrix:
    """Return affinely independent points in every activation region, d + 1 in each.

    Parameters
    ----------
    regions : RegionComplex
        Of one network, in the whole space or any other domain.
    chosen : sequence of int, optional
        Only in these regions, such as those of `spanning_regions`.

    Returns
    -------
    QMatrix of shape ((d + 1) len(chosen), N_0)
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
    numbers = range(len(regions)) if chosen is None else chosen
    points = [point for i in numbers for point in _simplex_inside(regions[i])]
    return regions.domain.to_inputs(QMatrix(points))


def spanning_regions(regions: RegionComplex) -> list[int]:
    """Choose activation regions whose rows of the Jacobian span those of all regions.

    Parameters
    ----------
    regions : RegionComplex
        Of one network, in the whole space or any other domain.

    Returns
    -------
    list of int
        Increasing. Points in these regions are as decisive as points in all.

    Notes
    -----
    T11 and T48. A path uses one unit of each layer, so the rows of a region are linear in the
    products of its mask bits along the ends of paths, and relations between these products carry
    over to the rows. For one hidden layer they span at most N_1 + 1 dimensions. Relations are
    proposed modulo a prime and verified over the integers; a region without one stays. About n^3
    float operations for up to 1500 regions, more are treated 1500 at a time.

    Examples
    --------
    >>> import exactdim as ed
    >>> three_lines = ed.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, -1], [0]])
    >>> regions = ed.activation_regions(three_lines)
    >>> len(regions), len(spanning_regions(regions))
    (7, 4)
    """
    patterns = regions.patterns
    # Few units on come first: then relations tend to have small integer coefficients.
    kept = np.argsort(patterns.sum(axis=1), kind="stable")
    while True:
        blocks = [kept[i : i + BLOCK] for i in range(0, len(kept), BLOCK)]
        fewer = np.concatenate([
            block[_spanning_rows(_gram_of_tails(regions.net, patterns[block]))] for block in blocks
        ])
        if len(blocks) == 1 or len(fewer) > 0.9 * len(kept):
            return sorted(fewer.tolist())
        kept = fewer


def _gram_of_tails(net: ReLUNetwork, patterns: BoolArray) -> FloatArray:
    """Return the inner products of the regions' mask bits, multiplied along paths.

    Paths start at an input or at a bias, and pass the units from that layer on.

    Returns
    -------
    float64 array of shape (n, n)
        Integers, exact wherever they are below 2**53.
    """
    gram = np.zeros((len(patterns), len(patterns)))
    ends = np.cumsum([0, *net.widths[1:-1]])
    for layer, (start, end) in enumerate(pairwise(ends.tolist())):
        bits = patterns[:, start:end].astype(np.float64)
        gram = (gram + (layer == 0 or net.has_bias[layer])) * (bits @ bits.T)
    return gram + (net.depth == 1 or net.has_bias[-1])


def _spanning_rows(gram: FloatArray) -> list[int]:
    """Choose some of the integer vectors with a given Gram matrix that span all of them.

    Integers c with c_1 G_1 + ... + c_k G_k = m G_f give c_1 v_1 + ... + c_k v_k = m v_f: the
    difference of the two sides is a combination of the vectors and orthogonal to all of them.

    Returns
    -------
    list of int
        Increasing.
    """
    largest = gram.max()
    if not 0 < largest < EXACT:
        return list(range(len(gram) if largest else 1))
    basis = np.array(rank_profile(centred(gram, PRIME), PRIME)[0], dtype=np.intp)
    open_rows = np.setdiff1d(np.arange(len(gram)), basis)
    inverse = inverse_mod(centred(gram[np.ix_(basis, basis)], PRIME), PRIME)
    weights = matmul_mod(centred(gram[np.ix_(open_rows, basis)], PRIME), inverse, PRIME)
    for m in MULTIPLES:
        integers = centred(m * weights, PRIME)
        sizes = np.abs(integers).sum(axis=1) + m
        holds = sizes * largest < EXACT
        holds &= (integers @ gram[basis] == m * gram[open_rows]).all(axis=1)
        open_rows, weights = open_rows[~holds], weights[~holds]
    return sorted([*basis.tolist(), *open_rows.tolist()])


def _refuse_vanishing_units(regions: RegionComplex) -> None:
    """Raise if a unit is identically zero on a region, but not for nearby parameters (T2)."""
    net, layout = regions.net, regions.layout
    for i, mask in enumerate(regions.patterns):
        positive, negative, _ = regions.signs(regions.dimension, i)
        for column in np.flatnonzero(~(positive | negative)).tolist():
            layer, unit = layout.unit(column)
            below = mask[slice(*layout.ends[layer - 1 : layer + 1])] if layer else [True]
            if net.has_bias[layer] or np.any(below):
                raise OnKink(
                    f"unit {unit} of layer {layer} is identically zero on the region "
                    f"{' '.join(regions[i].pattern)}, but not for nearby parameters: the network "
                    "has no Jacobian there. Change its bias",
                    [(i, layer, unit)],
                )


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
    e = dimension.evidence
    lower = e.lower
    if lower.rows is None and lower.columns is not None:
        lower = complete_minor(JacobianFactors(e.net, X, e.pattern, e.head), lower)
    rows = lower.rows
    if rows is None:
        return X
    if not rows:
        return X[[0]]
    outputs = dimension.n_rows // X.shape[0]
    kept = sorted({row // outputs for row in rows})
    if len(kept) > MOST_TRIALS:
        return X[kept]
    p = lower.modulus
    J = jacobian(e.net, X[kept], head=e.head)
    alive = list(range(len(kept)))
    for sample in reversed(range(len(kept))):
        if (len(alive) - 1) * outputs < dimension.lower:
            break
        fewer = [i for i in alive if i != sample]
        chosen = [i * outputs + j for i in fewer for j in range(outputs)]
        if fewer and rank(J[chosen], p) == dimension.lower:
            alive = fewer
    return X[[kept[i] for i in alive]]
