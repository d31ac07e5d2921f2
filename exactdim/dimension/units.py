"""What each hidden unit can add: the bound of T9.6, T9.7 and the shared features beyond it.

With A the inputs of a unit's layer at the samples where the unit is on, and B the outputs of that
layer, a change of the unit's weights that stays in col(B) is undone by the next layer. So a unit
adds ``rank [A | B] - rank B``. Two things are cheaper to count otherwise: the d rows of a sample
that alone carries many directions, and a feature so rare that its columns, for all units of the
layer together, span less than one dimension a unit.

Ranks that are added are bounded from above by nonzero columns, rows and explicit relations; ranks
that are subtracted are bounded from below modulo a prime.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from exactdim.arith.circuits import Circuit, Circuits
from exactdim.arith.elimination import rank_profile, reduce_in_place
from exactdim.arith.matrix import QMatrix
from exactdim.arith.primes import descending_primes
from exactdim.arith.rationals import FloatArray
from exactdim.evidence.spelling import spell
from exactdim.nets.gram import modular_factors, usable_prime
from exactdim.nets.jacobian import JacobianFactors
from exactdim.nets.patterns import BoolArray

__all__ = ["Feature", "Rows", "UnitSpans", "UnitSum", "rows_of_samples"]

Feature: TypeAlias = tuple[int, int]
"""A hidden layer and one of its inputs; the constant of the bias is the last."""

Rows: TypeAlias = npt.NDArray[np.intp]

MOST_OPERATIONS = 1e11
"""Work on the relations of one unit beyond which they are left out: the bound is then weaker."""


Relations: TypeAlias = dict[str, Any]
"""Relations between columns or rows of one matrix, as a certificate spells them."""


def rows_of_samples(samples: Rows, size: int) -> Rows:
    """Return the rows of some samples, `size` for each."""
    return (samples[:, None] * size + np.arange(size)).ravel()


@dataclass(frozen=True)
class UnitSum:
    """The bound with its parts.

    Attributes
    ----------
    value : int
    relations : list
        As a certificate's ``unit-relations`` lists them.
    """

    value: int
    relations: list[Relations]


class UnitSpans:
    """The matrices ``[A | B]`` of all hidden units of a batch, exact and modulo a prime.

    Parameters
    ----------
    factors : JacobianFactors
    samples : sequence of int
        The samples to look at; equal ones count once.
    """

    def __init__(self, factors: JacobianFactors, samples: Sequence[int]) -> None:
        self.factors = factors
        self.samples = np.asarray(samples, dtype=np.intp)
        self.d = factors.outputs

    @cached_property
    def p(self) -> int:
        """The prime that ranks are taken modulo."""
        return usable_prime(self.factors)

    @cached_property
    def _residues(self) -> list[tuple[FloatArray, FloatArray]]:
        return modular_factors(self.factors, self.p)

    def features(self, layer: int) -> FloatArray:
        """Return the inputs of a layer modulo the prime."""
        return self._residues[layer][1]

    def sensitivities(self, layer: int) -> FloatArray:
        """Return the derivatives in a layer's pre-activations modulo the prime."""
        return self._residues[layer][0]

    @cached_property
    def nonzero(self) -> list[BoolArray]:
        """Where the exact features differ from zero, by layer."""
        return [
            np.array([bool(x) for x in h.numerators()], dtype=bool).reshape(h.shape)
            for h in self.factors.features
        ]

    def units(self) -> Iterator[tuple[int, int]]:
        """List the hidden units as (layer, unit)."""
        for layer, mask in enumerate(self.factors.pattern.layers):
            for unit in range(mask.shape[1]):
                yield layer, unit

    def rows_of(self, layer: int, unit: int, samples: Rows) -> Rows:
        """Return the samples, of those given, at which the unit's activation moves an output."""
        matters: BoolArray = self.factors.reach[layer][samples, unit]
        return samples[matters]

    def span(self, layer: int, unit: int, rows: Rows) -> FloatArray:
        """Build ``[A | B]`` modulo the prime."""
        on = self.factors.pattern.layers[layer][rows, unit]
        inputs = np.where(on[:, None], self.features(layer)[rows], 0.0)
        return np.hstack([inputs, self.features(layer + 1)[rows]])

    def rank(self, A: FloatArray) -> int:
        """Compute a rank modulo the prime: a lower bound of the rank."""
        part = A[:, A.any(axis=0)]
        return len(rank_profile(part.copy(), self.p)[0])

    def bound(
        self,
        removed: Iterable[int] = (),
        shared: Sequence[Feature] = (),
        tick: Callable[[int, int], None] | None = None,
    ) -> UnitSum:
        """Compute the upper bound of the rank of the Jacobian.

        Parameters
        ----------
        removed : iterable of int
            Samples counted with all their rows. Any choice gives a valid bound.
        shared : sequence of (int, int)
            Features ``(layer, input)`` whose columns are counted for all units together. Any choice
            gives a valid bound.
        tick : callable, optional
            Called as ``tick(units done, units)``; may raise to stop.

        Returns
        -------
        UnitSum

        Notes
        -----
        One elimination modulo p of an n x (N_{l-1} + N_l + 2) matrix per hidden unit, and exact
        relations where it is not of full rank.
        """
        left = self.without(removed)
        value = self.d * (len(self.samples) - len(left))
        value += sum(self.shared_rank(feature, left) for feature in shared)
        relations: list[Relations] = []
        units = list(self.units())
        for done, (layer, unit) in enumerate(units):
            if tick is not None:
                tick(done, len(units))
            rows = self.rows_of(layer, unit, left)
            if not self.factors.pattern.layers[layer][rows, unit].any():
                continue  # A is zero
            above, found = self._unit_rank(layer, unit, rows)
            value += above - self._rank_from_below(layer, self.span(layer, unit, rows), shared)
            relations += found
        above, found = self._last_rank(left)
        return UnitSum(value + self.d * above, relations + found)

    def estimate(self, removed: Iterable[int] = (), shared: Sequence[Feature] = ()) -> int:
        """Compute `bound` with every rank modulo the prime: nearly always the same, never a proof.

        Parameters
        ----------
        removed : iterable of int
        shared : sequence of (int, int)

        Returns
        -------
        int
        """
        left = self.without(removed)
        value = self.d * (len(self.samples) - len(left))
        value += sum(self.rank(self.shared_columns(x, self.lit(x, left))) for x in shared)
        for layer, unit in self.units():
            rows = self.rows_of(layer, unit, left)
            if self.factors.pattern.layers[layer][rows, unit].any():
                span = self.span(layer, unit, rows)
                value += self.rank(span) - self._rank_from_below(layer, span, shared)
        return value + self.d * self.rank(self.features(-1)[left])

    def _rank_from_below(self, layer: int, span: FloatArray, shared: Sequence[Feature]) -> int:
        """Bound the rank of `fixed` from below."""
        return self.rank(self.fixed(layer, span, shared))

    def fixed(self, layer: int, span: FloatArray, shared: Sequence[Feature]) -> FloatArray:
        """Pick ``[A_F | B]`` from ``[A | B]``, with A_F the shared columns of A."""
        known = [j for at, j in shared if at == layer]
        return span[:, [*known, *range(self.features(layer).shape[1], span.shape[1])]]

    def lit(self, feature: Feature, samples: Rows) -> Rows:
        """Return the samples, of those given, at which a feature is not zero.

        Parameters
        ----------
        feature : (int, int)
        samples : array of int

        Returns
        -------
        array of int
        """
        layer, j = feature
        nonzero: BoolArray = self.nonzero[layer][samples, j]
        return samples[nonzero]

    def shared_columns(self, feature: Feature, samples: Rows) -> FloatArray:
        """Build the columns that belong to one input of a layer, d rows a sample.

        Parameters
        ----------
        feature : (int, int)
        samples : array of int

        Returns
        -------
        float64 array of shape (len(samples) * d, N_{l+1})
        """
        layer, j = feature
        rows = rows_of_samples(samples, self.d)
        weights = np.repeat(self.features(layer)[samples, j], self.d)
        out: FloatArray = self.sensitivities(layer)[rows] * weights[:, None]
        reduce_in_place(out, self.p)
        return out

    def without(self, removed: Iterable[int]) -> Rows:
        """Return the samples that are left when some are removed.

        Parameters
        ----------
        removed : iterable of int

        Returns
        -------
        array of int
        """
        gone = set(removed)
        return np.array([i for i in self.samples.tolist() if i not in gone], dtype=np.intp)

    def shared_rank(self, feature: Feature, samples: Rows) -> int:
        """Compute the exact rank of the columns that belong to one input of a layer.

        Parameters
        ----------
        feature : (int, int)
        samples : array of int

        Returns
        -------
        int
        """
        layer, j = feature
        M, h = self.factors.sensitivities[layer], self.factors.features[layer]
        width, left, right = M.shape[1], M.numerators(), h.numerators()
        lit = self.lit(feature, samples).tolist()
        entries = [
            right[i * h.shape[1] + j] * x
            for i in lit
            for x in left[i * self.d * width : (i + 1) * self.d * width]
        ]
        return QMatrix.from_integers(entries, 1, (len(lit) * self.d, width)).rank()

    # -- ranks bounded from above by a proof ------------------------------------------------------

    def _unit_rank(self, layer: int, unit: int, rows: Rows) -> tuple[int, list[Relations]]:
        """Bound ``rank [A | B]`` from above."""
        # The unit's own column of B is A times the unit's weights, so it is left out. Where the
        # unit is off A is zero, and such rows count no more than the rank of B there.
        mask, width = self.factors.pattern.layers[layer][rows, unit], self.features(layer).shape[1]
        on, off = rows[mask], rows[~mask]
        following = self.features(layer + 1)
        counted = np.concatenate([
            self.nonzero[layer][on].any(axis=0),
            self.nonzero[layer + 1][rows].any(axis=0),
        ])
        counted[width + unit] = False
        columns = np.flatnonzero(counted)
        others = [j for j in range(following.shape[1]) if j != unit]
        basis = off[rank_profile(following[np.ix_(off, others)], self.p)[0]]
        some = np.concatenate([basis, on])
        residues = self.span(layer, unit, some)[:, columns]

        def off_rank() -> int:
            return self.factors.features[layer + 1][off, others].rank() if len(off) else 0

        def exact() -> QMatrix:
            A, B = self.factors.features[layer][some], self.factors.features[layer + 1][some]
            live = self.factors.pattern.layers[layer][some, unit]
            A = A.masked(np.repeat(live[:, None], width, axis=1))
            return QMatrix.hstack([A, B])[:, columns]

        return self._from_above([layer, unit], residues, columns, some, len(on), off_rank, exact)

    def _last_rank(self, rows: Rows) -> tuple[int, list[Relations]]:
        """Bound the rank of the last layer's inputs from above."""
        columns = np.flatnonzero(self.nonzero[-1][rows].any(axis=0))
        residues = self.features(-1)[np.ix_(rows, columns)]

        def exact() -> QMatrix:
            return self.factors.features[-1][rows, columns]

        return self._from_above(None, residues, columns, rows, len(rows), lambda: 0, exact)

    def _from_above(
        self,
        unit: list[int] | None,
        residues: FloatArray,
        columns: Rows,
        rows: Rows,
        n_on: int,
        off_rank: Callable[[], int],
        exact: Callable[[], QMatrix],
    ) -> tuple[int, list[Relations]]:
        """Bound a rank by its columns, or by its last `n_on` rows plus the rank of the others."""
        # Where neither count is the rank modulo p, relations make up for the difference, between
        # columns or between rows, whichever needs fewer.
        rank = self.rank(residues)
        if rank == len(columns):
            return rank, []
        most = n_on + off_rank()
        if rank == most or len(rows) < most:
            # In the second case rows were left out that depend on the others modulo p only:
            # relations found on those that are here would prove nothing.
            return min(len(columns), most), []
        table = exact()
        if len(columns) <= most:
            side, names, count = "columns", columns.tolist(), len(columns)
            vectors = _circuits(table.T)
        else:
            side, names, count = "rows", rows.tolist(), most
            vectors = _circuits(table)  # the first rows are pivots, so each begins in the others
        named = [spell({names[i]: x for i, x in vector.items()}) for vector in vectors]
        place: Relations = {"unit": unit, "side": side, "vectors": named}
        return count - len(vectors), [place] if named else []


def _circuits(A: QMatrix) -> list[Circuit]:
    """Find relations between the rows of a matrix, as many as can be had."""
    n, flat = A.shape[1], A.numerators()
    rows = [flat[i * n : (i + 1) * n] for i in range(A.shape[0])]
    circuits = Circuits(rows, next(descending_primes()))
    if circuits.operations > MOST_OPERATIONS:
        return []
    found = (circuits.solve(k) for k in range(len(circuits.supports)))
    return [vector for vector in found if vector is not None]
