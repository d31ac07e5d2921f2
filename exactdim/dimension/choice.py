"""Which samples and features to count apart from the units.

The bound of `UnitSpans` holds for every choice; finding the best one is a minimisation over sets of
samples of a sum of ranks, some with a minus sign. Without the latter it is submodular, and Wolfe's
minimum norm point finds the least value; with them it still proposes well. Everything here works
modulo a prime and in floats: it only proposes, and the bound is proved afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exactdim.arith.elimination import (
    independent_columns,
    inverse_mod,
    matmul_mod,
    rank_profile,
    reduce_in_place,
)
from exactdim.arith.rationals import FloatArray
from exactdim.dimension.units import Feature, Rows, UnitSpans, rows_of_samples

__all__ = ["choose"]

MOST_ELEMENTS = 400
"""Samples, the rarest first, that may be counted with all their rows."""

RARE = 64
"""Samples at which a feature may be nonzero to be counted for all units together."""

MOST_STEPS = 60

PATIENCE = 10
"""Steps without a better choice after which the search ends."""


def choose(
    spans: UnitSpans, enough: int = 0, tick: Callable[[int, int], None] | None = None
) -> tuple[list[int], list[Feature]]:
    """Propose samples to count with all their rows and features to count for all units together.

    Parameters
    ----------
    spans : UnitSpans
    enough : int
        Stop once the bound should be as small as this.
    tick : callable, optional
        Called as ``tick(steps, at most)``; may raise to stop.

    Returns
    -------
    removed : list of int
    shared : list of (int, int)

    Notes
    -----
    Each step costs one elimination per hidden unit of a matrix with a row for each of at most 400
    samples and a column for each dimension that the other samples leave open.
    """
    shared = sharing_features(spans, spans.samples)
    elements = _rarest(spans)
    rest = np.setdiff1d(spans.samples, elements)
    constant, parts = spans.d * len(elements), []
    for part in _parts(spans, shared):
        rank, reduced = _contract(part, rest, elements, spans.p)
        constant += part.weight * rank
        parts.append(reduced)
    problem = _Problem(len(elements), spans.d, parts, spans.p)
    kept = problem.minimise(enough - constant, tick)
    removed = np.delete(elements, kept).tolist()
    left = spans.without(removed)
    still_lit = [feature for feature in shared if len(spans.lit(feature, left))]
    # Features were judged one by one, and together may cost more than they save.
    choices = [(removed, still_lit), (removed, []), ([], [])]
    return min(choices, key=lambda choice: spans.estimate(*choice))


def sharing_features(spans: UnitSpans, samples: Rows) -> list[Feature]:
    """List the rare features whose columns span less together than the units' shares of them.

    Parameters
    ----------
    spans : UnitSpans
    samples : array of int

    Returns
    -------
    list of (int, int)
    """
    out = list[Feature]()
    for layer, mask in enumerate(spans.factors.pattern.layers):
        lit = spans.nonzero[layer][samples].sum(axis=0)
        rare = np.flatnonzero((lit > 0) & (lit <= RARE))
        shares = np.zeros(len(rare), dtype=int)
        for unit in range(mask.shape[1]):
            rows = spans.rows_of(layer, unit, samples)
            span = spans.span(layer, unit, rows)
            width = spans.features(layer).shape[1]
            relation = _left_kernel_vector(span[:, width:], spans.p)
            shares += matmul_mod(relation, span[:, rare], spans.p).any(axis=0)
        for j, share in zip(rare.tolist(), shares.tolist(), strict=True):
            lit = spans.lit((layer, j), samples)
            if share > spans.rank(spans.shared_columns((layer, j), lit)):
                out.append((layer, j))
    return out


def _left_kernel_vector(A: FloatArray, p: int) -> FloatArray:
    """Draw one random vector of the left kernel, as a row."""
    rows, columns = map(np.array, rank_profile(A.copy(), p))
    free = np.setdiff1d(np.arange(len(A)), rows)
    out = np.zeros((1, len(A)))
    if len(free):
        out[0, free] = np.random.default_rng(len(A)).integers(-(p // 2), p // 2, len(free))
        if len(rows):
            onto = matmul_mod(out[:, free], A[np.ix_(free, columns)], p)
            out[:, rows] = -matmul_mod(onto, inverse_mod(A[np.ix_(rows, columns)], p), p)
    return out


def _rarest(spans: UnitSpans) -> Rows:
    """Return the samples that light the rarest features."""
    rarity = np.full(len(spans.samples), len(spans.samples))
    for nonzero in spans.nonzero[:-1]:
        rows = nonzero[spans.samples]
        counts = np.where(rows, rows.sum(axis=0), len(rows))
        rarity = np.minimum(rarity, counts.min(axis=1, initial=len(rows)))
    return np.sort(spans.samples[np.argsort(rarity, kind="stable")[:MOST_ELEMENTS]])


# -- the sum of ranks ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A term of the bound: `weight` times the rank of the rows of the samples that are kept."""

    matrix: FloatArray  # `size` rows a sample
    weight: int
    size: int


def _parts(spans: UnitSpans, shared: Sequence[Feature]) -> list[_Part]:
    everything = np.arange(spans.factors.batch.shape[0])
    out = [_Part(spans.features(-1), spans.d, 1)]
    for layer, reach in enumerate(spans.factors.reach):
        units = reach.shape[1]
        simple = all(at != layer for at, _ in shared) and bool(reach[spans.samples].all())
        if simple:  # the same for every unit
            out.append(_Part(spans.features(layer + 1), -units, 1))
        for unit in range(units):
            span = spans.span(layer, unit, everything)
            span[~reach[:, unit]] = 0
            out.append(_Part(span, 1, 1))
            if not simple:
                out.append(_Part(spans.fixed(layer, span, shared), -1, 1))
    out += [_Part(spans.shared_columns(x, everything), 1, spans.d) for x in shared]
    return out


def _contract(part: _Part, rest: Rows, elements: Rows, p: int) -> tuple[int, _Part]:
    """Reduce the rows of some samples modulo the span of the others', whose rank comes first."""
    A, size = part.matrix, part.size
    A = A[:, A.any(axis=0)]
    kept, rows = rows_of_samples(rest, size), rows_of_samples(elements, size)
    found, columns = map(np.array, rank_profile(A[kept], p))
    free = np.setdiff1d(np.arange(A.shape[1]), columns)
    out = A[np.ix_(rows, free)]
    if len(found) and len(free):
        square = inverse_mod(A[np.ix_(kept[found], columns)], p)
        across = matmul_mod(square, A[np.ix_(kept[found], free)], p)
        out = out - matmul_mod(A[np.ix_(rows, columns)], across, p)
        reduce_in_place(out, p)
    return len(found), _Part(out[:, out.any(axis=0)], part.weight, size)


@dataclass(frozen=True)
class _Problem:
    """The part of the bound that depends on which of some samples are kept."""

    n: int
    d: int
    parts: list[_Part]
    p: int

    def marginals(self, order: Rows) -> FloatArray:
        """Return what each sample adds to the bound when they are kept one after the other."""
        out = np.full(self.n, -float(self.d))
        for part in self.parts:
            rows = rows_of_samples(order, part.size)
            for place in independent_columns(part.matrix[rows].T, self.p):
                out[order[place // part.size]] += part.weight
        return out

    def minimise(self, enough: int, tick: Callable[[int, int], None] | None) -> list[int]:
        """Find samples to keep (Wolfe's algorithm, with integer vertices)."""
        everything = np.arange(self.n)
        point = self.marginals(everything)
        best, kept = float(point.sum()), everything.tolist()
        corral, weights = [point], np.ones(1)
        found_at = 0
        for step in range(MOST_STEPS):
            if step - found_at > PATIENCE:
                break
            if tick is not None:
                tick(step, MOST_STEPS)
            order = np.argsort(point, kind="stable")
            vertex = self.marginals(order)
            sums = np.concatenate([[0.0], np.cumsum(vertex[order])])
            if sums.min() < best:
                best, kept = float(sums.min()), order[: int(sums.argmin())].tolist()
                found_at = step
            if best <= enough or point @ vertex >= point @ point - 1e-9:
                break
            point, corral, weights = _nearest([*corral, vertex], np.append(weights, 0.0))
        return kept


def _nearest(
    corral: list[FloatArray], weights: FloatArray
) -> tuple[FloatArray, list[FloatArray], FloatArray]:
    """Return the point of least norm in the hull of the corral, and the points that it needs."""
    while True:
        table = np.array(corral)
        gram = table @ table.T + 1.0 + 1e-9 * np.eye(len(table))
        affine = np.linalg.solve(gram, np.ones(len(table)))
        affine /= affine.sum()
        outside = affine <= 1e-10
        if not outside.any():
            return np.array(affine @ table), corral, np.array(affine)
        steps = weights[outside] / np.maximum(weights[outside] - affine[outside], 1e-300)
        weights = weights + steps.min() * (affine - weights)
        needed = weights > 1e-10
        corral = [v for v, need in zip(corral, needed, strict=True) if need]
        weights = weights[needed] / weights[needed].sum()
