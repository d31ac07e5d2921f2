"""What a window shows of the regions in one or two dimensions: convex polygons, for pictures.

Which polygons there are and what lies between them is exact; where their corners are is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import FloatArray, to_fraction
from exactdim.errors import InvalidInput
from exactdim.regions.complex import RegionComplex
from exactdim.regions.faces import IntArray, Ints
from exactdim.regions.layout import Layout

__all__ = ["View", "block_layers", "view_of"]

ASTRAY = 1e-10
"""Relative residual from which on the float coordinates of a vertex are replaced."""

FAR = 1e6
"""Cells with corners so many windows away are cut out of the window by their inequalities."""

NOTHING = 1e-13
"""Area, relative to the window, below which a clipped cell only touches it."""

Shown: TypeAlias = tuple[int, FloatArray, Ints]


@dataclass(frozen=True)
class View:
    """Polygons in a window.

    Attributes
    ----------
    window : float array of shape (d, 2)
        Lower and upper end of each coordinate.
    numbers : integer array of shape (n,)
        The regions that are seen.
    polygons : list of float arrays of shape (k, 2)
        Their corners in order; in one dimension boxes of height 1 over the intervals.
    facets : list of integer arrays of shape (k,)
        The facet that runs from each corner to the next; -1 where the window cuts.
    """

    window: FloatArray
    numbers: Ints
    polygons: list[FloatArray]
    facets: list[Ints]

    def segments(self) -> tuple[FloatArray, Ints]:
        """Return the facets that are seen, each once.

        Returns
        -------
        ends : float array of shape (m, 2, 2)
        facets : integer array of shape (m,)
        """
        sizes = np.array([len(polygon) for polygon in self.polygons])
        start, after = np.concatenate(self.polygons), np.arange(1, sizes.sum() + 1)
        after[np.cumsum(sizes) - 1] -= sizes
        facets, first = np.unique(np.concatenate(self.facets), return_index=True)
        first, facets = first[facets >= 0], facets[facets >= 0]
        return np.stack([start[first], start[after[first]]], axis=1), facets

    def centroids(self) -> FloatArray:
        """Return the centroid of each polygon, a point inside."""
        return np.array([_centroid(polygon) for polygon in self.polygons])

    def typical_size(self) -> float:
        """Return the median of the roots of the areas, relative to the window."""
        roots = [abs(_area(polygon)) ** 0.5 for polygon in self.polygons]
        window = np.prod(np.ptp(self.window, axis=1))
        return float(np.median(roots) / window**0.5)


def block_layers(layout: Layout) -> list[int]:
    """Return the number of the hidden layer of each block, those of all networks in a row."""
    return list(accumulate((block.ends_layer for block in layout.blocks), initial=0))[:-1]


def view_of(regions: RegionComplex, window: Sequence[Any] | None = None) -> View:
    """Return what a window shows of the regions.

    Parameters
    ----------
    regions : RegionComplex
        Of dimension 1 or 2.
    window : ((x0, x1), (y0, y1)), or (x0, x1) in one dimension, optional
        By default everything that is bounded; of unbounded regions the surroundings of the
        vertices, but for vertices that lie far from all others.

    Returns
    -------
    View

    Raises
    ------
    InvalidInput
        If it is no window, or no region meets it.

    Notes
    -----
    Cells inside the window are taken from `CellComplex.x`. Those that leave it are clipped in
    floats; unbounded ones by their exact inequalities, a millisecond each.
    """
    d, x = regions.dimension, _coordinates(regions)
    seen = _default_window(regions, x) if window is None else _read_window(window, d)
    shown = _intervals(regions, x, seen) if d == 1 else _polygons(regions, x, seen)
    if not shown:
        raise InvalidInput(
            f"no region meets the window {seen.tolist()}: they fill {regions.domain}"
        )
    numbers, polygons, facets = zip(*sorted(shown, key=lambda cell: cell[0]), strict=True)
    return View(seen, np.array(numbers), list(polygons), list(facets))


def _coordinates(regions: RegionComplex) -> FloatArray:
    """Return `CellComplex.x`, with exact solutions where floats went astray."""
    cells, d = regions.cells, regions.dimension
    x = cells.x.copy()
    layer_of = np.array([*block_layers(regions.layout), -1])
    first_of = np.array([*(b.first for b in regions.layout.blocks), -d - 1])  # walls: see enclosed
    finite = np.flatnonzero(x[:, d] == 1)
    for start in range(0, len(finite), 1 << 14):
        some = finite[start : start + (1 << 14)]
        rows = cells.vertex_rows[some]
        layer, column = layer_of[cells.row_block[rows]], first_of[cells.row_block[rows]]
        column = column + cells.row_unit[rows]
        right = np.ones(rows.shape, np.bool_)  # what vanishes at a vertex must nearly do so here
        with np.errstate(all="ignore"):
            for number, z, size in _functions(regions, x[some, :d]):
                at = np.nonzero(layer == number)
                which = at[0], column[at]
                right[at] = (np.abs(z[which]) <= ASTRAY * size[which]) & (size[which] < np.inf)
        for v in some[~right.all(axis=1)].tolist():
            x[v, :d] = _floats(regions.vertex(v).coordinates())
    return x


def _functions(
    regions: RegionComplex, x: FloatArray
) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Evaluate the inequalities of the domain (layer -1) and all hidden layers at points.

    Yields
    ------
    layer : int
    values, sizes : float arrays of shape (points, units)
        The size bounds the terms of the sum.
    """
    walls = regions.domain.inequalities.to_numpy(np.float64)
    yield -1, *_affine(x, walls[:, :-1], walls[:, -1])
    layer = 0
    for net in regions.layout.nets:
        h = x
        for W, b in net.float_layers[:-1]:
            z, size = _affine(h, W, b)
            yield layer, z, size
            h, layer = np.maximum(z, 0), layer + 1


def _affine(h: FloatArray, W: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    return h @ W.T + b, np.abs(h) @ np.abs(W).T + np.abs(b)


# -- windows ----------------------------------------------------------------------------------


def _read_window(window: Sequence[Any], d: int) -> FloatArray:
    try:
        sides = [window] if d == 1 and np.ndim(window[0]) == 0 else window
        ends = np.array([[float(to_fraction(x)) for x in (lo, hi)] for lo, hi in sides])
    except (IndexError, OverflowError, TypeError, ValueError):
        ends = np.zeros((0, 2))
    if ends.shape != (d, 2) or not (ends[:, 0] < ends[:, 1]).all():
        form = "((x0, x1), (y0, y1))" if d == 2 else "(x0, x1)"
        raise InvalidInput(f"{window!r:.60} is no window; give {form}, lower ends first")
    return ends


def _default_window(regions: RegionComplex, x: FloatArray) -> FloatArray:
    d = regions.dimension
    points = x[x[:, d] == 1, :d]
    bounded = bool(regions.bounded.all())
    if not bounded:
        points = _landmarks(regions, _without_outliers(points))
    low, high = points.min(axis=0), points.max(axis=0)
    if not bounded:
        size = (high - low).max() or 2 * max(1.0, 1e-3 * np.abs(points).max())
        half = np.maximum((high - low) / 2 + 0.15 * size, size / 2)
        low, high = (low + high) / 2 - half, (low + high) / 2 + half
    if not np.isfinite([low, high]).all():
        raise InvalidInput("there are vertices beyond the range of floats; choose a window")
    return np.column_stack([low, high])


def _without_outliers(points: FloatArray) -> FloatArray:
    """Leave out points that lie far from the middle four fifths."""
    if not len(points):
        return points
    low, high = np.quantile(points, [0.1, 0.9], axis=0)
    reach = (high - low).max() / 2 or np.inf
    near: FloatArray = points[((points >= low - reach) & (points <= high + reach)).all(axis=1)]
    return near


def _landmarks(regions: RegionComplex, points: FloatArray) -> FloatArray:
    """Add to the vertices a point on each facet without any; the origin if there is nothing."""
    found = [points]
    if regions.dimension == 2:
        infinite_vertex, infinite_edge, _ = regions.cells.at_infinity
        lines = infinite_vertex[regions.cells.boundary[1]].reshape(-1, 2).all(axis=1)
        for face in np.flatnonzero(lines & ~infinite_edge).tolist():
            region = regions[int(regions.facet_cells[face, 0])]
            *g, c = next(facet.inequality for facet in region.facets if facet.face == face)
            found.append(_floats([-c * a / (g[0] ** 2 + g[1] ** 2) for a in g])[None])
    every = np.concatenate(found)
    return every if len(every) else np.zeros((1, regions.dimension))


# -- cells ------------------------------------------------------------------------------------


def _intervals(regions: RegionComplex, x: FloatArray, window: FloatArray) -> list[Shown]:
    (start, stop), ends = window[0], regions.cells.boundary[1].reshape(-1, 2)
    places = np.where(x[:, 1] == 1, x[:, 0], np.copysign(np.inf, x[:, 0]))
    ends = np.take_along_axis(ends, places[ends].argsort(axis=1), axis=1)
    low, high = np.clip(places[ends], start, stop).T
    left, right = np.where((places[ends] >= start) & (places[ends] <= stop), ends, -1).T
    return [
        (
            i,
            np.array([(low[i], 0), (high[i], 0), (high[i], 1), (low[i], 1)]),
            np.array([-1, right[i], -1, left[i]]),
        )
        for i in np.flatnonzero(low < high).tolist()
    ]


def _polygons(regions: RegionComplex, x: FloatArray, window: FloatArray) -> list[Shown]:
    (low, high), count = window.T, regions.cells.count[2]
    frame = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    sides = [(1.0, 0.0, -low[0]), (-1.0, 0.0, high[0]), (0.0, 1.0, -low[1]), (0.0, -1.0, high[1])]
    shown: list[Shown] = []
    for n in np.unique(count).tolist():
        some = np.flatnonzero(count == n)
        vertices, edges = _walks(regions, some, n)
        corners = x[vertices][:, :, :2]
        reach = np.abs(corners - (low + high) / 2).max(axis=1)
        near = (x[vertices, 2] == 1).all(axis=1) & (reach < FAR * (high - low)).all(axis=1)
        inside = near & ((corners >= low) & (corners <= high)).all(axis=(1, 2))
        aside = near & ((corners.max(axis=1) <= low) | (corners.min(axis=1) >= high)).any(axis=1)
        shown += [(int(some[i]), corners[i], edges[i]) for i in np.flatnonzero(inside)]
        for i in np.flatnonzero(~inside & ~aside):
            if near[i]:
                polygon, marks, rows = corners[i], edges[i], [(side, -1) for side in sides]
            else:
                facets = regions[int(some[i])].facets
                polygon, marks = frame, np.full(4, -1)
                rows = [(_scaled(facet.inequality), facet.face) for facet in facets]
            for row, mark in rows:
                polygon, marks = _clipped(polygon, marks, row, mark)
            if abs(_area(polygon)) > NOTHING * np.prod(high - low):
                shown.append((int(some[i]), polygon, marks))
    return shown


def _walks(regions: RegionComplex, some: Ints, n: int) -> tuple[IntArray, IntArray]:
    """Walk around cells that have n edges: the vertices in order, and the edge after each."""
    cells = regions.cells
    edges = cells.boundary[2][cells.begin(2)[some][:, None] + np.arange(n)]
    ends = cells.boundary[1].reshape(-1, 2)[edges]
    every, at = np.arange(len(some)), np.zeros(len(some), np.intp)
    used = np.zeros(edges.shape, np.bool_)
    vertices, order = np.empty_like(edges), np.empty_like(edges)
    here = ends[:, 0, 0]
    for k in range(n):
        used[every, at] = True
        vertices[:, k], order[:, k] = here, edges[every, at]
        here = ends[every, at].sum(axis=1) - here
        at = ((ends == here[:, None, None]).any(axis=2) & ~used).argmax(axis=1)
    return vertices, order


def _clipped(
    polygon: FloatArray, marks: Ints, row: Sequence[float], mark: int
) -> tuple[FloatArray, Ints]:
    """Cut a convex polygon by a half-plane; the new side gets a mark."""
    values = (polygon @ row[:2] + row[2]).tolist()
    points: list[FloatArray] = []
    kept: list[int] = []
    for i, (value, edge) in enumerate(zip(values, marks.tolist(), strict=True)):
        j = (i + 1) % len(values)
        if value >= 0:
            points.append(polygon[i])
            kept.append(mark if value == 0 > values[j] else edge)
        if value > 0 > values[j] or value < 0 < values[j]:
            share = value / (value - values[j])
            points.append((1 - share) * polygon[i] + share * polygon[j])
            kept.append(mark if value > 0 else edge)
    return np.array(points).reshape(-1, 2), np.array(kept, np.int64)


def _area(polygon: FloatArray) -> float:
    x, y = (polygon - polygon[:1]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _centroid(polygon: FloatArray) -> FloatArray:
    after = np.roll(polygon, -1, axis=0) - polygon[0]
    before = polygon - polygon[0]
    twice = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    if not twice.sum():
        return np.asarray(polygon.mean(axis=0))
    return np.asarray(polygon[0] + twice @ (before + after) / (3 * twice.sum()))


def _scaled(inequality: Sequence[Any]) -> Any:
    largest = max(abs(x) for x in inequality[:-1])
    return _floats([x / largest for x in inequality])


def _floats(numbers: Sequence[Any]) -> Any:
    return QMatrix([list(numbers)]).to_numpy(np.float64)[0]
