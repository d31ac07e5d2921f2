"""Closing the gap between the proved ends of the bracket.

Two ways, both unconditional: explicit kernel vectors over the rationals, or ranks modulo so many
primes that no larger minor can be nonzero (T27, 3 and 3'). Their costs are estimated before
anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from exactdim.arith.circuits import Circuits
from exactdim.arith.manyprimes import ManyPrimes, scaled_integers
from exactdim.arith.matrix import QMatrix
from exactdim.arith.modular import pivots_of_residues, residues_of_integers
from exactdim.dimension.bounds import Bound
from exactdim.evidence.spelling import spell
from exactdim.nets.jacobian import JacobianFactors
from exactdim.nets.symmetry import gauge_vectors

__all__ = ["Closing", "estimate"]

OPERATIONS_PER_SECOND = 1e9
"""Word multiplications a second, to turn operation counts into rough seconds."""

LARGEST_WITNESS = 32 * 2**20
"""Bytes of kernel entries beyond which a certificate would not be practical."""


@dataclass(frozen=True)
class Closing:
    """A planned proof that the rank is at most `rank`, with its estimated cost.

    Attributes
    ----------
    seconds : float
        A rough estimate.
    method : {"kernel", "many-primes"}
    """

    seconds: float
    method: Literal["kernel", "many-primes"]
    _kernel: KernelProof
    _primes: ManyPrimes[QMatrix]

    def run(
        self,
        *,
        executor: Executor | None = None,
        tick: Callable[[int, int], None] | None = None,
        done: int = 0,
    ) -> Bound | None:
        """Carry the proof out.

        Parameters
        ----------
        executor : concurrent.futures.Executor, optional
            For the ranks modulo many primes.
        tick : callable, optional
            Called as ``tick(done, total)``; may raise to stop.
        done : int
            Primes that an earlier run has done.

        Returns
        -------
        Bound or None
            ``None`` if the rank is larger than claimed: the prime behind the claim was unlucky.
        """
        if self.method == "kernel":
            bound = self._kernel.run(tick)
            if bound is not None:
                return bound
        plan = self._primes
        if plan.run(executor=executor, tick=tick, done=done) > plan.rank:
            return None
        primes = [str(p) for p in plan.primes()]
        return Bound(
            "many-primes",
            plan.rank,
            f"rank at most {plan.rank} modulo {len(primes)} primes, whose product exceeds every "
            f"larger minor (below 2**{plan.log2_bound})",
            {"matrix": "gram" if plan.gram else "jacobian", "primes": primes},
        )


def estimate(factors: JacobianFactors, rank: int, p: int) -> Closing:
    """Plan the cheaper proof that the rank is at most a given number.

    Parameters
    ----------
    factors : JacobianFactors
    rank : int
        The rank modulo p, to be proved as an upper end.
    p : int

    Returns
    -------
    Closing
    """
    primes = ManyPrimes.plan(scaled_integers(factors.dense), rank)
    kernel = KernelProof(factors, rank, p)
    # A kernel is checked by one product, many primes by all the work again: prefer the kernel.
    if kernel.operations < 4 * primes.operations and kernel.witness_bytes < LARGEST_WITNESS:
        return Closing(kernel.operations / OPERATIONS_PER_SECOND, "kernel", kernel, primes)
    return Closing(primes.operations / OPERATIONS_PER_SECOND, "many-primes", kernel, primes)


@dataclass(frozen=True)
class KernelProof:
    """Explicit independent kernel vectors, as many as the claimed rank leaves.

    The kernel of the columns is used, or that of the rows if it is smaller. Zero columns and
    rescaling directions are named, not spelled out; the rest are circuits: each free column is
    expressed by as few pivot columns as it takes modulo p, and that small system is solved exactly.
    """

    factors: JacobianFactors
    rank: int
    p: int

    @cached_property
    def side(self) -> Literal["columns", "rows"]:
        """Which kernel has fewer vectors to spell out."""
        rows, columns = self.factors.shape
        return "columns" if columns - self.factors.net.n_hidden <= rows else "rows"

    @cached_property
    def _columns(self) -> list[list[int]]:
        """Columns of J, or of its transpose, as integers over one denominator."""
        J = self.factors.dense
        flat, n = J.numerators(), J.shape[1]
        if self.side == "columns":
            return [flat[j::n] for j in range(n)]
        return [flat[i * n : (i + 1) * n] for i in range(J.shape[0])]

    @cached_property
    def _named(self) -> tuple[list[dict[str, Any]], list[int]]:
        """Named kernel vectors, independent, and the coordinates that they eliminate."""
        n = len(self._columns)
        zero = [j for j, column in enumerate(self._columns) if not any(column)]
        candidates: list[dict[str, Any]] = [{"unit": j} for j in zero]
        rows = [[int(c == j) for c in range(n)] for j in zero]
        if self.side == "columns":
            net = self.factors.net
            gauge = gauge_vectors(net).numerators()
            rows += [gauge[k * n : (k + 1) * n] for k in range(net.n_hidden)]
            candidates += [
                {"gauge": [layer, unit]}
                for layer in range(net.depth - 1)
                for unit in range(net.widths[layer + 1])
            ]
        chosen, eliminated = pivots_of_residues(residues_of_integers(rows, n, self.p))
        return [candidates[i] for i in chosen], eliminated

    @cached_property
    def _circuits(self) -> Circuits:
        return Circuits(self._columns, self.p, frozenset(self._named[1]))

    @property
    def operations(self) -> int:
        """Word multiplications, roughly."""
        return self._circuits.operations

    @property
    def witness_bytes(self) -> int:
        """Rough size of the vectors that are spelled out."""
        return self._circuits.total_bits * 3 // 10

    def run(self, tick: Callable[[int, int], None] | None) -> Bound | None:
        """Find and verify the vectors.

        Parameters
        ----------
        tick : callable, optional
            Called as ``tick(done, total)`` after each vector; may raise to stop.

        Returns
        -------
        Bound or None
            ``None`` if a vector that exists modulo p does not exist over the rationals.
        """
        named = self._named[0]
        vectors = list(named)
        total = len(self._circuits.supports)
        for k in range(total):
            circuit = self._circuits.solve(k)
            if circuit is None:
                return None
            vectors.append({"entries": spell(circuit)})
            if tick is not None:
                tick(k + 1, total)
        n = len(self._columns)
        return Bound(
            "kernel",
            n - len(vectors),
            f"{len(vectors)} independent vectors in the kernel of the {n} {self.side} "
            f"({len(named)} named, {len(vectors) - len(named)} spelled out)",
            {"side": self.side, "vectors": vectors},
        )
