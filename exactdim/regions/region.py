"""One activation region: inequalities, facets, vertices, volume, the affine map on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import FloatArray
from exactdim.errors import InvalidInput
from exactdim.regions.faces import BoolArray
from exactdim.regions.vertices import ExactPoint

if TYPE_CHECKING:
    from exactdim.evidence.certificate import Certificate
    from exactdim.regions.complex import RegionComplex

__all__ = ["Facet", "Pattern", "Point", "Region"]

Pattern: TypeAlias = tuple[str, ...]
"""One word of 0 and 1 per hidden layer."""

Point: TypeAlias = tuple[Fraction, ...]


@dataclass(frozen=True)
class Facet:
    """A facet of an activation region.

    Attributes
    ----------
    inequality : tuple of Fraction
        (g, c) with ``g . y + c >= 0`` on the region and 0 on the facet.
    units : tuple of (int, int)
        Neurons ``(layer, unit)`` that vanish on the facet but not on the region.
    walls : tuple of int
        Inequalities of the domain that vanish on the facet, by number.
    neighbour : int or None
        Number of the region on the other side; None on the boundary of the domain.
    face : int
        Number of the facet in the complex.
    """

    inequality: Point
    units: tuple[tuple[int, int], ...]
    walls: tuple[int, ...]
    neighbour: int | None
    face: int


class Region:
    """One activation region of a `RegionComplex`.

    Attributes
    ----------
    complex : RegionComplex
    index : int
        Its number there.
    """

    __slots__ = ("__dict__", "complex", "index")

    def __init__(self, whole: RegionComplex, index: int) -> None:
        self.complex = whole
        self.index = index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Region):
            return NotImplemented
        return self.complex is other.complex and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.complex), self.index))

    def __repr__(self) -> str:
        return f"<Region {self.index}: {' '.join(self.pattern)}>"

    @cached_property
    def pattern(self) -> Pattern:
        """Which neurons are on: one word of 0 and 1 per hidden layer."""
        return self.complex.layout.pattern(self._mask)

    @cached_property
    def _mask(self) -> BoolArray:
        return np.asarray(self.complex.patterns[self.index], np.bool_)

    # -- as an intersection of half-spaces ----------------------------------------------------

    @cached_property
    def inequalities(self) -> QMatrix:
        """All rows (g, c) with ``g . y + c >= 0`` on the region: neurons, then the domain's.

        Neurons whose pre-activation is identically zero on the region have zero rows.
        """
        forms = self.complex.forms(self._mask)
        on = np.repeat(self._mask[:, None], forms.shape[1], axis=1)
        return QMatrix.vstack([
            forms.masked(on) - forms.masked(~on),
            self.complex.domain.inequalities,
        ])

    @cached_property
    def facets(self) -> tuple[Facet, ...]:
        """The irredundant inequalities: one per facet, with what is on the other side."""
        cells = self.complex.cells
        numbers = self.complex.boundary(cells.d, self.index)
        return tuple(
            self._facet(int(face)) for face in numbers if not cells.at_infinity[cells.d - 1][face]
        )

    def _facet(self, face: int) -> Facet:
        whole = self.complex
        d = whole.dimension
        pos, neg, inside = whole.signs(d - 1, face)
        own_pos, own_neg, _ = whole.signs(d, self.index)
        columns = np.flatnonzero((own_pos | own_neg) & ~(pos | neg)).tolist()
        walls = tuple(np.flatnonzero(~inside).tolist())
        row = columns[0] if columns else len(own_pos) + walls[0]
        left, right = whole.facet_cells[face].tolist()
        other = right if left == self.index else left
        return Facet(
            self._inequality(row),
            tuple(whole.layout.unit(i) for i in columns),
            walls,
            None if other < 0 else other,
            face,
        )

    def contains(self, y: Sequence[Fraction]) -> bool:
        """Return whether a point lies strictly inside.

        Parameters
        ----------
        y : sequence of d Fractions

        Returns
        -------
        bool
        """
        scale = math.lcm(*(x.denominator for x in y))
        return _inside(self._rows, [int(x * scale) for x in y], scale)

    @cached_property
    def _rows(self) -> list[list[int]]:
        return [_integers(facet.inequality) for facet in self.facets]

    def _inequality(self, row: int) -> Point:
        whole = self.complex
        n_hidden = whole.layout.n_hidden
        if row >= n_hidden:
            return tuple(whole.domain.inequalities[[row - n_hidden]].tolist()[0])
        form = whole.form(row, self._mask).tolist()[0]
        return tuple(form if self._mask[row] else (-x for x in form))

    # -- as a convex hull ---------------------------------------------------------------------

    @cached_property
    def _corners(self) -> list[ExactPoint]:
        whole = self.complex
        return [whole.vertex(int(v)) for v in whole.closure(whole.cells.d, self.index)[0]]

    @cached_property
    def vertices(self) -> tuple[Point, ...]:
        """The vertices, exactly; an unbounded region may have none."""
        return tuple(p.coordinates() for p in self._corners if p.is_finite)

    @cached_property
    def rays(self) -> tuple[Point, ...]:
        """Directions that generate the recession cone; none if the region is bounded.

        Each is given once, with coprime integers, but may be a combination of others. A region
        that has vertices is generated by them and these directions.
        """
        found: dict[tuple[int, ...], Point] = {}
        for corner in self._corners:
            if not corner.is_finite:
                divisor = math.gcd(*corner.infinite)
                shortest = tuple(x // divisor for x in corner.infinite)
                found[shortest] = tuple(Fraction(x) for x in shortest)
        return tuple(found.values())

    @property
    def is_bounded(self) -> bool:
        """Whether the region is bounded."""
        return bool(self.complex.bounded[self.index])

    @cached_property
    def interior_point(self) -> Point:
        """A rational point strictly inside, with short numbers where that is possible."""
        for numerators, denominator in self.near_middle():
            if _inside(self._rows, numerators, denominator):
                return tuple(Fraction(x, denominator) for x in numerators)
        return _mean_inside(self._corners, self._rows)

    def near_middle(self) -> Iterator[tuple[list[int], int]]:
        """Propose short points near the middle, from rough to fine; perhaps not inside, or none.

        Returns
        -------
        iterator of (list of int, int)
            Numerators, and their common denominator, a power of two.
        """
        whole = self.complex
        return _proposals(whole.cells.x[whole.closure(whole.dimension, self.index)[0]])

    def facet_point(self, facet: Facet) -> Point:
        """Return a rational point inside a facet: the mean of its corners.

        Parameters
        ----------
        facet : Facet
            One of `facets`.

        Returns
        -------
        tuple of Fraction
        """
        whole = self.complex
        corners = [whole.vertex(int(v)) for v in whole.closure(whole.dimension - 1, facet.face)[0]]
        others = [row for row, other in zip(self._rows, self.facets, strict=True) if other != facet]
        return _mean_inside(corners, others)

    def simple_corners(self) -> tuple[FloatArray, list[list[int]]]:
        """Return the vertices in which exactly d facets meet.

        Returns
        -------
        corners : float array of shape (n, d + 1)
            Approximate homogeneous coordinates.
        meeting : list of list of int
            For each the places of its facets in `facets`.
        """
        whole, d = self.complex, self.complex.dimension
        meeting: dict[int, list[int]] = {}
        for i, facet in enumerate(self.facets):
            for vertex in whole.closure(d - 1, facet.face)[0].tolist():
                meeting.setdefault(vertex, []).append(i)
        infinite = whole.cells.at_infinity[0]
        chosen = [v for v, facets in meeting.items() if len(facets) == d and not infinite[v]]
        return whole.cells.x[chosen], [meeting[v] for v in chosen]

    @cached_property
    def polygon(self) -> tuple[Point, ...]:
        """The vertices of a bounded region in the plane, counterclockwise.

        Raises
        ------
        InvalidInput
            If the region is unbounded or not two-dimensional.
        """
        whole = self.complex
        if whole.dimension != 2 or not self.is_bounded:
            raise InvalidInput("only a bounded region in the plane has a polygon")
        beside: dict[int, list[int]] = {}
        for edge in whole.boundary(2, self.index).tolist():
            a, b = whole.boundary(1, edge).tolist()
            beside.setdefault(a, []).append(b)
            beside.setdefault(b, []).append(a)
        path = [min(beside)]
        path.append(beside[path[0]][0])
        while len(path) < len(beside):
            one, other = beside[path[-1]]
            path.append(other if one == path[-2] else one)
        corners = [whole.vertex(v).coordinates() for v in path]
        (ax, ay), (bx, by), (cx, cy) = corners[:3]
        left = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        return tuple(corners if left > 0 else corners[::-1])

    @cached_property
    def volume(self) -> Fraction:
        """Exact volume (length, area) in the coordinates of the domain.

        Raises
        ------
        InvalidInput
            If the region is unbounded.

        Notes
        -----
        The sum over the simplices of a pulling triangulation: every face is the union of the
        cones from its first vertex over those of its facets that do not contain it.
        """
        if not self.is_bounded:
            raise InvalidInput(
                f"region {self.index} is unbounded and has no volume; choose a bounded domain"
            )
        whole, d = self.complex, self.complex.dimension
        total = Fraction(0)
        for simplex in self._simplices(d, self.index):
            corners = [whole.vertex(v) for v in simplex]
            matrix = QMatrix([[*corner.finite, corner.scale] for corner in corners])
            everything = range(d + 1)
            scale = math.prod(corner.scale for corner in corners)
            total += abs(matrix.minor(everything, everything)) / scale
        return total / math.factorial(d)

    def _simplices(self, k: int, face: int) -> list[tuple[int, ...]]:
        if k == 0:
            return [(face,)]
        whole = self.complex
        apex = int(whole.closure(k, face)[0][0])
        return [
            (apex, *simplex)
            for side in whole.boundary(k, face).tolist()
            if apex not in whole.closure(k - 1, side)[0]
            for simplex in self._simplices(k - 1, side)
        ]

    # -- evidence -----------------------------------------------------------------------------

    def certificate(self) -> Certificate:
        """Return a certificate that this region exists.

        Returns
        -------
        Certificate
        """
        from exactdim.regions.proofs import point_certificate

        whole = self.complex
        return point_certificate(whole.nets, whole.domain, self.pattern, self.interior_point)

    # -- the function on it -------------------------------------------------------------------

    def affine_map(self) -> tuple[QMatrix, QMatrix]:
        """Return the affine map that the network is on this region.

        Returns
        -------
        gradient : QMatrix of shape (N_L, d)
        constant : QMatrix of shape (1, N_L)
            ``f(y) = gradient @ y + constant`` in the coordinates of the domain.
        """
        forms = self.complex.output_forms(self._mask)
        d = self.complex.dimension
        return forms[:, :d], forms[:, [d]].T


def _integers(form: Sequence[Fraction]) -> list[int]:
    scale = math.lcm(*(x.denominator for x in form))
    return [int(x * scale) for x in form]


def _inside(rows: list[list[int]], numerators: Sequence[int], denominator: int) -> bool:
    """Decide whether all rows are positive at a point."""
    return all(
        sum(g * x for g, x in zip(row, numerators, strict=False)) + row[-1] * denominator > 0
        for row in rows
    )


def _mean_inside(corners: Sequence[ExactPoint], rows: list[list[int]]) -> Point:
    """Return the mean of some corners, with M replaced by a number large enough.

    Parameters
    ----------
    corners : sequence of ExactPoint
    rows : list of list of int
        Forms that are positive there if M is large.

    Returns
    -------
    tuple of Fraction
    """
    far = 1
    while True:
        total = [Fraction(0)] * len(corners[0].finite)
        for corner in corners:
            for i, (a, b) in enumerate(zip(corner.finite, corner.infinite, strict=True)):
                total[i] += Fraction(a + far * b, corner.scale)
        point = tuple(x / len(corners) for x in total)
        scale = math.lcm(*(x.denominator for x in point))
        if _inside(rows, [int(x * scale) for x in point], scale):
            return point
        far *= 2


def _proposals(corners: FloatArray) -> Iterator[tuple[list[int], int]]:
    """Propose points near the middle of a polyhedron, from rough to fine.

    Parameters
    ----------
    corners : float array of shape (n, d + 1)
        Homogeneous coordinates of vertices and directions.

    Yields
    ------
    numerators : list of int
    denominator : int
        A power of two.
    """
    finite = corners[corners[:, -1] != 0, :-1]
    directions = corners[corners[:, -1] == 0, :-1]
    if not len(finite):
        return
    with np.errstate(all="ignore"):  # beyond the range of floats nothing is proposed
        middle = finite.mean(axis=0)
        if len(directions):
            step = 1 + np.abs(finite).max()
            middle = middle + step * directions.sum(axis=0) / np.abs(directions).max()
        size = np.ptp(finite, axis=0).max() if len(finite) > 1 and not len(directions) else 1.0
    if not (np.isfinite(middle).all() and 2.0**-900 < size < 2.0**900):
        return
    first = -math.frexp(size)[1]
    for bits in range(first, first + PROPOSED_BITS):
        scaled = [Fraction(x) * Fraction(2) ** bits for x in middle.tolist()]
        numerators = [round(x) for x in scaled]
        yield ([x << -bits for x in numerators], 1) if bits < 0 else (numerators, 1 << bits)


PROPOSED_BITS = 30
"""Precision, relative to the size of a region, up to which short points are tried."""
