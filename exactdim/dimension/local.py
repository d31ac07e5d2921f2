"""The local dimension: bracket it by proofs, then close the gap.

``lower`` is the rank of the Jacobian modulo a random prime, ``upper`` the smallest structural
bound. Most often they meet, which proves the rank; otherwise the gap is closed by kernel vectors or
by many primes where that is affordable (T26, T27 in ``proofs_checks/STATEMENTS.md``).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from exactdim.arith import elimination
from exactdim.arith.manyprimes import half_log2_of_largest
from exactdim.arith.modular import pivots_of_residues
from exactdim.arith.primes import failure_probability, random_prime
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension import closing
from exactdim.dimension.bounds import Bound, StructuralBounds
from exactdim.dimension.result import Dimension, Evidence, LowerEnd, Status
from exactdim.errors import DenominatorDivisible, InvalidInput
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.gram import weighted_gram
from exactdim.nets.jacobian import Head, JacobianFactors, head_matrix
from exactdim.nets.network import as_batch
from exactdim.nets.patterns import KinkChoice, activation_pattern

__all__ = ["Progress", "ProofEffort", "local_dimension"]

ProofEffort: TypeAlias = Literal["fast", "auto", "full"]
Progress: TypeAlias = Callable[[int, int, str], None]

PRIME_BITS = 62
AUTO_SECONDS = 30.0
"""Estimated cost up to which ``proof="auto"`` closes a gap."""

DENSE_ENTRIES = 4_000_000
"""Size up to which the Jacobian is formed; above, its weighted Gram matrix takes its place."""

GRAM_ROWS = 25_000
"""Largest Gram matrix that is formed: 5 GB."""


def local_dimension(
    net: NetworkLike,
    X: ArrayLike,
    *,
    head: Head = "logits",
    proof: ProofEffort = "auto",
    on_kink: KinkChoice = "raise",
    error: float = 2**-40,
    seed: int | None = None,
    executor: Executor | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Dimension:
    """Compute the rank of the Jacobian of the batch output in the parameters, with evidence.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
        Samples in rows; floats are read at their exact value.
    head : {"logits", "softmax"}
        ``"softmax"`` is the rank of the Jacobian of the class probabilities (T28), exact
        and independent of saturation.
    proof : {"fast", "auto", "full"}
        One modular run and structural bounds; also close the gap if the estimated cost is seconds;
        close it whatever it takes.
    on_kink : {"raise", "zero", "drop"}
        What to do with samples at which a pre-activation is exactly zero, see
        `activation_pattern`. With ``"zero"`` the answer is a claim about the formal mask.
    error : float
        Largest failure probability with which an open bracket is called ``probable``.
    seed : int, optional
        Replays the primes of an earlier run. A replay is no coin: an open bracket is then called
        ``bracketed``, never ``probable``. By default primes come from the operating system.
    executor : concurrent.futures.Executor, optional
        For the ranks modulo many primes.
    max_seconds : float, optional
        Return the bracket reached by then (checked between steps).
    progress : callable, optional
        Called as ``progress(done, total, note)``.

    Returns
    -------
    Dimension
        Ctrl-C also returns the bracket reached so far, once there is one.

    Raises
    ------
    OnKink
        If a sample lies on a kink and `on_kink` is ``"raise"``.
    InvalidInput
        If an argument is not understood, a shape is wrong or a number is not finite.
    TooLarge
        If the dense Jacobian would not fit.

    Notes
    -----
    Source: arXiv 2402.08269 ("local dimension", "batch functional dimension"). One elimination of
    an (n d) x P matrix modulo a 62-bit prime, one exact rank of an n x (N_{l-1} + N_l + 2) matrix
    per hidden unit, and the closing where it is needed. Above 4 million entries the weighted Gram
    matrix, (n d) x (n d), modulo a 23-bit prime takes the Jacobian's place, and only the bounds
    ``rows`` and ``parameters`` are tried unless ``proof="full"``.

    Examples
    --------
    >>> import exactdim as ed
    >>> net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])  # f(x) = 3 relu(2 x - 1) + 5
    >>> local_dimension(net, [[0], [1], [2]])
    Dimension(3 of 4 parameters, proved: full row rank)
    >>> int(local_dimension(net, [[0], [1], [2], [3]]))
    3
    """
    net = as_network(net)
    if proof not in get_args(ProofEffort):
        raise InvalidInput(f"proof={proof!r} is unknown; choose 'fast', 'auto' or 'full'")
    if not 0 < error < 1:
        raise InvalidInput(f"error={error} is no probability; give a number between 0 and 1")
    if max_seconds is not None and not max_seconds >= 0:
        raise InvalidInput(f"max_seconds={max_seconds} is negative")
    head_matrix(head, net.widths[-1])
    clock = _Clock(max_seconds, progress)
    batch = as_batch(X, net.widths[0])
    clock.tick(0, 4, "activation pattern")
    pattern = activation_pattern(net, batch, on_kink=on_kink)
    factors = JacobianFactors(net, pattern.select(batch), pattern, head)
    search = _Search(factors, clock, error=error, seed=seed)
    stopped: Literal["interrupted", "max_seconds"] | None = None
    try:
        search.bracket(proof)
        if not search.closed and search.failure_probability == 0:
            search.close("full", None)  # so small that the prime which was drawn cannot be bad
        if not search.closed and proof != "fast":
            search.close(proof, executor)
        if not search.closed:
            search.gain_confidence()
    except _OutOfTime:
        stopped = "max_seconds"
    except KeyboardInterrupt:
        stopped = "interrupted"
    rows, columns = factors.shape
    return Dimension(
        lower=len(search.lower.rows),
        upper=search.upper.value,
        n_parameters=columns,
        n_rows=rows,
        status=search.status,
        evidence=Evidence(
            net,
            batch,
            pattern,
            head,
            search.lower,
            search.upper,
            tuple(search.primes),
            seed,
            stopped,
        ),
        bounds=tuple(sorted(search.bounds, key=lambda bound: bound.value)),
        failure_probability=search.failure_probability,
    )


class _OutOfTime(Exception):
    """The time that the caller gave is over."""


class _Clock:
    """Reports progress and raises `_OutOfTime` once the time is over."""

    def __init__(self, max_seconds: float | None, progress: Progress | None) -> None:
        self._end = math.inf if max_seconds is None else time.monotonic() + max_seconds
        self._progress = progress

    def tick(self, done: int, total: int, note: str) -> None:
        if self._progress is not None:
            self._progress(done, total, note)

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise _OutOfTime


class _Search:
    """The bracket of one batch while it narrows; consistent whenever it is interrupted."""

    def __init__(
        self, factors: JacobianFactors, clock: _Clock, *, error: float, seed: int | None
    ) -> None:
        self.factors = factors
        self.clock = clock
        self.error = error
        self.seed = seed
        self.primes: list[int] = []
        self._rng = random.SystemRandom() if seed is None else random.Random(seed)
        self.structural = StructuralBounds(factors)
        self.bounds = self.structural.cheap()
        # Before any prime: the empty minor, which is 1 modulo everything.
        self.lower = LowerEnd(2**61 - 1, (), ())

    @property
    def upper(self) -> Bound:
        return min(self.bounds, key=lambda bound: bound.value)

    @property
    def closed(self) -> bool:
        return len(self.lower.rows) == self.upper.value

    @property
    def status(self) -> Status:
        if self.closed:
            return "proved"
        failure = self.failure_probability
        return "probable" if failure is not None and failure <= self.error else "bracketed"

    @property
    def failure_probability(self) -> float | None:
        """Probability that every prime drawn so far misses the rank."""
        if self.closed:
            return 0.0
        if self.seed is not None or not self.primes or self.large:
            return None
        height = half_log2_of_largest(self._squared_row_norms, self.upper.value)
        # Primes that divide a denominator were drawn again: counting them as bad covers that.
        return failure_probability(height + self._denominator_bits, PRIME_BITS) ** len(self.primes)

    @cached_property
    def _squared_row_norms(self) -> list[int]:
        return self.factors.squared_row_norms()

    @property
    def _denominator_bits(self) -> int:
        parts = [*self.factors.features, *self.factors.sensitivities]
        return sum(part.denominator.bit_length() for part in parts)

    @property
    def large(self) -> bool:
        """Whether the Gram matrix takes the place of the Jacobian."""
        rows, columns = self.factors.shape
        return rows * columns > DENSE_ENTRIES and rows <= GRAM_ROWS

    def bracket(self, proof: ProofEffort) -> None:
        """One modular run, then structural bounds until one meets it."""
        self.clock.tick(1, 4, "rank modulo a prime")
        self.draw()
        if self.large and proof != "full":
            return
        costly = self.structural.costly()
        while not self.closed:
            self.clock.check()
            self.clock.tick(2, 4, f"rank in {len(self.lower.rows)}..{self.upper.value}")
            bound = next(costly, None)
            if bound is None:
                return
            self.bounds.append(bound)

    def draw(self) -> None:
        """Take the rank modulo one more random prime; keep the larger minor."""
        while True:
            p = random_prime(elimination.PRIME_BITS if self.large else PRIME_BITS, self._rng)
            try:
                found = self._independent_rows(p)
                break
            except DenominatorDivisible:
                continue
        if len(found.rows) > len(self.lower.rows):
            self.lower = found
        self.primes.append(p)  # last: an interrupt must not count a prime whose rank was lost

    def _independent_rows(self, p: int) -> LowerEnd:
        if not self.large:
            rows, columns = pivots_of_residues(self.factors.residues(p))
            return LowerEnd(p, tuple(rows), tuple(columns))

        def tick(done: int, total: int, note: str) -> None:
            self.clock.tick(done, total, note)
            self.clock.check()

        gram = weighted_gram(
            self.factors, p, self._rng, tick=lambda a, b: tick(a, b, "Gram matrix, rows")
        )
        rows, _ = elimination.rank_profile(
            gram, p, enough=self.upper.value, tick=lambda a, b: tick(a, b, "rank modulo p, pivots")
        )
        return LowerEnd(p, tuple(rows), None)

    def close(self, proof: ProofEffort, executor: Executor | None) -> None:
        """Prove the lower end from above, if the estimated cost allows."""
        rows, columns = self.factors.shape
        if proof == "auto" and rows * columns > DENSE_ENTRIES:
            return
        while not self.closed:
            self.clock.check()
            rank = len(self.lower.rows)
            plan = closing.estimate(self.factors, rank, self.lower.modulus)
            if proof == "auto" and plan.seconds > AUTO_SECONDS:
                return
            note = f"rank in {rank}..{self.upper.value}, closing by {plan.method}"

            def tick(done: int, total: int, note: str = note) -> None:
                self.clock.tick(done, total, note)
                self.clock.check()

            bound = plan.run(executor=executor, tick=tick)
            if bound is not None:
                self.bounds.append(bound)
            while bound is None and len(self.lower.rows) == rank:
                self.draw()  # the prime was unlucky: the rank is larger than it said

    def gain_confidence(self) -> None:
        """Draw primes until the failure probability is as small as asked for."""
        if self.seed is not None:
            return
        while self.status == "bracketed":
            self.clock.check()
            failure = self.failure_probability
            if failure is None or failure >= 0.5:  # more primes of this width would not help soon
                return
            self.draw()
