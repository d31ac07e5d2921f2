"""Dichotomies: the ways in which hyperplanes can divide a batch.

A unit with weights w and bias b is on at a sample x if ``w . x + b > 0``. The sets of samples at
which it can be on are the dichotomies of the batch (Cover 1965). They are the regions of the
arrangement that the samples make in the unit's own parameters, and a region of the parameters of
a whole layer is a tuple of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import BoolArray, activation_pattern, words_of
from exactdim.regions.budget import Budget
from exactdim.regions.complex import RegionComplex, activation_regions
from exactdim.regions.programs import iter_patterns
from exactdim.regions.region import Point

__all__ = ["Dichotomies", "dichotomies", "parallel_rows"]

MOST_DIMENSIONS = 8
"""Dimension of the arrangement beyond which linear programs are faster than faces."""


@dataclass(frozen=True, eq=False)
class Dichotomies:
    """All dichotomies of a batch by open half-spaces, each with a unit that makes it.

    Attributes
    ----------
    features : QMatrix of shape (n, k)
        The samples, with a column of ones if there is a bias.
    masks : boolean array of shape (number, n)
        The dichotomies in lexicographic order.
    units : QMatrix of shape (number, k)
        For each the weights, then the bias if there is one, of a unit that makes it. None of its
        values at the samples is zero, but at samples that are zero themselves.
    """

    features: QMatrix
    masks: BoolArray
    units: QMatrix

    def __len__(self) -> int:
        return len(self.masks)

    def __repr__(self) -> str:
        n, k = self.features.shape
        return f"<Dichotomies: {len(self)} of {n} samples, {k} weights and biases>"

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The masks as words of 0 and 1, one letter per sample."""
        return tuple(words_of(self.masks))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """Samples whose hyperplanes coincide, so that they change together; none that is zero."""
        return parallel_rows(self.features)

    @cached_property
    def neighbours(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Per dichotomy, those beside it: ``(class that changes, number)``.

        Two regions of an arrangement that lie on different sides of one hyperplane only share a
        facet in it: the segment between two points of them in general position meets no other.
        """
        packed = {row.tobytes(): i for i, row in enumerate(np.packbits(self.masks, axis=1))}
        found: list[list[tuple[int, int]]] = [[] for _ in range(len(self))]
        for c, members in enumerate(self.classes):
            flipped = np.array(self.masks)
            flipped[:, list(members)] ^= True
            for i, row in enumerate(np.packbits(flipped, axis=1)):
                other = packed.get(row.tobytes())
                if other is not None:
                    found[i].append((c, other))
        return tuple(tuple(entries) for entries in found)


def dichotomies(
    features: QMatrix, *, max_regions: int | None = None, max_seconds: float | None = None
) -> Dichotomies:
    """Enumerate the dichotomies of a batch exactly.

    Parameters
    ----------
    features : QMatrix of shape (n, k)
        Samples in rows, with a column of ones for units that have a bias. Repeated, collinear and
        zero samples are welcome.
    max_regions, max_seconds : optional
        Limits, see `activation_regions`.

    Returns
    -------
    Dichotomies

    Raises
    ------
    BudgetExceeded
        If a limit is reached.

    Notes
    -----
    T39. The hyperplanes ``x_i . u = 0`` pass through the origin, so the regions come in opposite
    pairs, and those on the positive side of one sample are the regions of an affine arrangement of
    one dimension less; coordinates in which the samples are not of full rank are left out first.
    Up to eight dimensions by subdivision, beyond by one exact linear program per sample and
    dichotomy. A sample that is zero is off for every u.

    Examples
    --------
    >>> found = dichotomies(QMatrix([[-1, 1], [0, 1], [1, 1]]))  # -1, 0, 1 on the line
    >>> found.words
    ('000', '001', '011', '100', '110', '111')
    >>> found.units[[1]]
    QMatrix([['3/4', '-1/4']])
    """
    n, k = features.shape
    nonzero = [i for i in range(n) if not features[[i]].is_zero()]
    columns = features.T.independent_rows()
    masks = np.zeros((0 if nonzero else 1, n), np.bool_)
    units = QMatrix.zeros(len(masks), k)
    if nonzero:
        budget = Budget.of(max_regions, max_seconds)
        half, points = _positive_side(features[nonzero, columns], budget)
        masks = np.zeros((2 * len(half), n), np.bool_)
        masks[:, nonzero] = np.vstack([half, ~half])
        inserted = QMatrix.identity(k)[columns]
        units = QMatrix.vstack([points @ inserted, -points @ inserted])
    order = np.lexsort(masks.T[::-1]) if n else np.arange(1)
    masks = masks[order]
    masks.setflags(write=False)
    return Dichotomies(features, masks, units[order.tolist()])


def _positive_side(samples: QMatrix, budget: Budget) -> tuple[BoolArray, QMatrix]:
    """Return the dichotomies that have the first sample on, and a unit for each."""
    # Columns are independent and no sample is zero, so a unit can be scaled to the value 1 at the
    # first sample, which leaves a coordinate less.
    n, k = samples.shape
    first = samples.tolist()[0]
    pivot = max(j for j in range(k) if first[j])
    identity = QMatrix.identity(k)
    others = [j for j in range(k) if j != pivot]
    unit_pivot = QMatrix([[*(-first[j] / first[pivot] for j in others), 1 / first[pivot]]])
    moves = QMatrix.vstack([
        QMatrix.hstack([identity[others, others], QMatrix.zeros(k - 1, 1)]),
        unit_pivot,
    ])  # from (t, 1) to the other coordinates of u, then the pivot's
    forms = samples[:, [*others, pivot]] @ moves
    found = list(_arrangement(forms, budget))
    masks = np.array([mask for mask, _ in found], np.bool_).reshape(len(found), n)
    points = QMatrix([[*point, 1] for _, point in found]) @ moves.T
    back = np.argsort([*others, pivot]).tolist()
    return masks, points[:, back]


def _arrangement(forms: QMatrix, budget: Budget) -> Iterator[tuple[Sequence[bool], Point]]:
    """Yield the regions of an affine arrangement: the sides they lie on, and a point in each."""
    m, dimension = forms.shape[0], forms.shape[1] - 1
    if not dimension:
        yield [x > 0 for x in forms.numerators()], ()
        return
    net = ReLUNetwork([forms[:, :dimension], [[1] * m]], [forms[:, [dimension]].T, None])
    if dimension <= MOST_DIMENSIONS:
        regions = activation_regions(
            net, max_regions=budget.max_regions, max_seconds=budget.sent()[1]
        )
        yield from zip(regions.patterns.tolist(), _points_inside(regions), strict=True)
        return
    for count, (pattern, point) in enumerate(iter_patterns(net), start=1):
        budget.check(count)
        yield [bit == "1" for bit in pattern[0]], point


def _points_inside(regions: RegionComplex) -> list[Point]:
    """Return a point inside each region of an arrangement, faster than `Region.interior_point`."""
    # All regions together propose points, and certified signs tell which lie inside.
    found: list[Point | None] = [None] * len(regions)
    proposals = {region.index: region.near_middle() for region in regions}
    while proposals:
        points = {i: next(candidates, None) for i, candidates in proposals.items()}
        for i in [i for i, point in points.items() if point is None]:
            found[i] = regions[i].interior_point
            del points[i], proposals[i]
        if not points:
            break
        batch = [[Fraction(x, p[1]) for x in p[0]] for p in points.values() if p]
        signs = activation_pattern(regions.net, QMatrix(batch), on_kink="zero")
        right = (signs.mask == regions.patterns[list(points)]).all(axis=1)
        right[[kink[0] for kink in signs.kinks]] = False
        for i, point, inside in zip(points, batch, right.tolist(), strict=True):
            if inside:
                found[i] = tuple(point)
                del proposals[i]
    return [point for point in found if point is not None]


def parallel_rows(features: QMatrix) -> tuple[tuple[int, ...], ...]:
    """Group the rows that are multiples of each other, whose hyperplanes coincide.

    Parameters
    ----------
    features : QMatrix of shape (n, k)

    Returns
    -------
    tuple of tuple of int
        Row numbers, without those of zero rows.

    Examples
    --------
    >>> parallel_rows(QMatrix([[1, 2], [0, 0], [-2, -4], [1, 0]]))
    ((0, 2), (3,))
    """
    found: dict[tuple[int, ...], list[int]] = {}
    n, k = features.shape
    flat = features.numerators()
    for i in range(n):
        row = flat[i * k : (i + 1) * k]
        first = next((x for x in row if x), 0)
        if first:
            content = gcd(*row) * (1 if first > 0 else -1)
            found.setdefault(tuple(x // content for x in row), []).append(i)
    return tuple(tuple(members) for members in found.values())
