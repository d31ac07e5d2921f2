"""The local dimension: bracket it by proofs, then close the gap.

``lower`` is the rank of the Jacobian modulo a random prime, ``upper`` the smallest structural
bound. Most often they meet, which proves the rank; otherwise the gap is closed by kernel vectors or
by many primes where that is affordable (T26, T27 in ``proofs_checks/STATEMENTS.md``).
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from exactdim.arith.manyprimes import half_log2_of_largest
from exactdim.arith.primes import failure_probability, random_prime
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension import closing
from exactdim.dimension.bounds import Bound, StructuralBounds
from exactdim.dimension.checkpoint import Checkpoint
from exactdim.dimension.lower import (
    LowerEnd,
    Source,
    lower_end,
    prime_bits,
    suitable_source,
)
from exactdim.dimension.result import Dimension, Evidence, Status, check_ends
from exactdim.errors import DenominatorDivisible, InvalidInput
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import MAX_ENTRIES, Head, JacobianFactors, head_matrix
from exactdim.nets.network import as_batch
from exactdim.nets.patterns import FloatPass, KinkChoice, float_signs, pattern_from

__all__ = ["Progress", "ProofEffort", "local_dimension"]

ProofEffort: TypeAlias = Literal["fast", "auto", "full"]
Progress: TypeAlias = Callable[[int, int, str], None]

AUTO_SECONDS = 30.0
"""Estimated cost up to which ``proof="auto"`` closes a gap."""


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
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | None = None,
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
    checkpoint : path, optional
        A file that keeps what has been found: killed and started again, the run goes on from there.
        It belongs to this network, batch and head.
    device : str, optional
        Torch device, such as ``"cuda"``, on which Gram matrices are built and eliminated; numpy on
        the CPU by default. The arithmetic is exact there too.
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
    UnreadableFile
        If the checkpoint cannot be read or written.
    MissingDependency
        If a device is named and torch is not installed.

    Notes
    -----
    Source: arXiv 2402.08269 ("local dimension", "batch functional dimension"). One elimination of
    an (n d) x P matrix modulo a 62-bit prime, one elimination of an n x (N_{l-1} + N_l + 2) matrix
    per hidden unit, and the closing where it is needed. Above 4 million entries a weighted Gram
    matrix modulo a 23-bit prime takes the Jacobian's place, of the rows or of the columns,
    whichever are fewer, and rows are added up at random where both are more than 25000; the
    evidence says which (`LowerEnd.source`). Equal samples are looked at once.

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
    float_pass: FloatPass = float_signs
    if device is not None:
        float_pass, device = _on_device(device)
    clock = _Clock(max_seconds, progress)
    batch = as_batch(X, net.widths[0])
    clock.tick(0, 4, "activation pattern")
    pattern = pattern_from(net, batch, on_kink, float_pass)
    factors = JacobianFactors(net, pattern.select(batch), pattern, head)
    search = _Search(
        factors,
        clock,
        Checkpoint.open(checkpoint, factors),
        error=error,
        seed=seed,
        device=device,
    )
    stopped: Literal["interrupted", "max_seconds"] | None = None
    try:
        search.bracket(proof)
        if not search.closed and search.failure_probability == 0:
            search.close("full", None)  # so small that the prime which was drawn cannot be bad
        if not search.closed and proof != "fast":
            search.close(proof, executor)
        if not search.closed:
            search.gain_confidence(proof)
    except _OutOfTime:
        stopped = "max_seconds"
    except KeyboardInterrupt:
        stopped = "interrupted"
    rows, columns = factors.shape
    return Dimension(
        lower=search.lower.rank,
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


def _on_device(name: str) -> tuple[FloatPass, str]:
    from exactdim.torch import certain_signs, exact_device

    device = str(exact_device(name))
    return lambda net, batch: certain_signs(net, batch, device=device).layers, device


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
        self,
        factors: JacobianFactors,
        clock: _Clock,
        found: Checkpoint,
        *,
        error: float,
        seed: int | None,
        device: str | None,
    ) -> None:
        self.factors = factors
        self.clock = clock
        self.error = error
        self.seed = seed
        self.device = device
        self.found = found
        self._rng = random.SystemRandom() if seed is None else random.Random(seed)
        self.structural = StructuralBounds(factors)
        self.bounds = [*self.structural.cheap(), *found.bounds]
        # Before any prime: the empty minor, which is 1 modulo everything.
        self.lower = found.lower or LowerEnd(2**61 - 1, 0, (), ())
        self.seconds_per_prime = 0.0

    @cached_property
    def distinct(self) -> JacobianFactors:
        """The factors without samples that repeat earlier ones."""
        chosen = self.factors.distinct
        return self.factors if len(chosen) == self.factors.n else self.factors.pick(chosen)

    @cached_property
    def source(self) -> Source:
        """The matrix whose rank is taken."""
        return suitable_source(self.distinct, self.device)

    @property
    def primes(self) -> list[int]:
        return self.found.primes

    @property
    def upper(self) -> Bound:
        return min(self.bounds, key=lambda bound: bound.value)

    @property
    def closed(self) -> bool:
        check_ends(self.lower.rank, self.upper.value)
        return self.lower.rank == self.upper.value

    @property
    def status(self) -> Status:
        if self.closed:
            return "proved"
        failure = self.failure_probability
        return "probable" if failure is not None and failure <= self.error else "bracketed"

    @property
    def failure_probability(self) -> float | None:
        """Probability that every prime drawn by chance so far misses the rank."""
        if self.closed:
            return 0.0
        known_too_small = self.lower.rank <= self.found.refuted
        if self.seed is not None or known_too_small or not self.has_chances:
            return None
        upper = self.upper.value
        height = half_log2_of_largest(self._squared_row_norms, upper) + self._denominator_bits
        # Primes that divide a denominator were drawn again: counting them as bad covers that.
        one = failure_probability(
            height, prime_bits(self.source), gram_rank=0 if self.source == "jacobian" else upper
        )
        return one**self.found.coins if one < 1 else None

    @property
    def has_chances(self) -> bool:
        """Whether a theorem bounds the probability that the primes miss the rank."""
        return self.found.coins > 0

    @cached_property
    def _squared_row_norms(self) -> list[int]:
        return self.factors.squared_row_norms()

    @property
    def _denominator_bits(self) -> int:
        net = self.factors.net
        parts = [*self.factors.features, *self.factors.sensitivities, self.factors.batch]
        parts += [*net.weights, *(b for b in net.biases if b is not None)]
        return sum(part.denominator.bit_length() for part in parts)

    def _tick(self, done: int, total: int, note: str) -> None:
        self.clock.tick(done, total, note)
        self.clock.check()

    def bracket(self, proof: ProofEffort) -> None:
        """One modular run, then structural bounds until one meets it."""
        if not self.primes:
            self.clock.tick(1, 4, "rank modulo a prime")
            self.draw()
        known = {bound.name for bound in self.found.bounds}
        for bound in self._costly(proof):
            if bound.name not in known:
                self.bounds.append(bound)
                self.found.bounds.append(bound)
                self.found.save()
            self._tick(2, 4, f"rank in {self.lower.rank}..{self.upper.value}")
            if self.closed:
                return

    def _costly(self, proof: ProofEffort) -> Iterator[Bound]:
        if self.closed:
            return

        def tick(done: int, total: int) -> None:
            self._tick(done, total, f"rank in {self.lower.rank}..{self.upper.value}, units")

        if self.source == "jacobian":
            yield from self.structural.costly(self.lower.rank, tick)
        elif proof != "fast":
            # The others need exact ranks of all samples together, and rarely are smaller.
            known = {bound.name for bound in self.found.bounds}
            if self.structural.lost_outputs and "output-span" not in known:
                yield self.structural.output_span()
            if "unit-relations" not in known:
                yield self.structural.best_unit_relations(self.lower.rank, tick)

    def draw(self) -> None:
        """Take the rank modulo one more random prime; keep the larger."""
        start = time.monotonic()
        while True:
            p = random_prime(prime_bits(self.source), self._rng)
            try:
                found = lower_end(
                    self.distinct,
                    self.source,
                    p,
                    self._rng,
                    self.upper.value,
                    self._tick,
                    self.device,
                )
                break
            except DenominatorDivisible:
                continue
        self.seconds_per_prime = time.monotonic() - start
        if found.rank > self.lower.rank:
            self.lower = self.found.lower = self._among_all_samples(found)
        self.primes.append(p)  # last: an interrupt must not count a prime whose rank was lost
        # Sums of rows come with no probability, also for a later run that needs none.
        self.found.coins += self.seed is None and self.source != "folded-gram"
        self.found.save()

    def _among_all_samples(self, found: LowerEnd) -> LowerEnd:
        """Give the rows the numbers that they have with all samples."""
        if found.rows is None or self.distinct is self.factors:
            return found
        d, chosen = self.factors.outputs, self.factors.distinct
        return replace(found, rows=tuple(chosen[r // d] * d + r % d for r in found.rows))

    def close(self, proof: ProofEffort, executor: Executor | None) -> None:
        """Prove the lower end from above, if the estimated cost allows."""
        rows, columns = self.factors.shape
        if rows * columns > MAX_ENTRIES or (proof == "auto" and self.source != "jacobian"):
            return
        while not self.closed:
            self.clock.check()
            rank = self.lower.rank
            plan = closing.estimate(self.factors, rank, self.lower.modulus)
            if proof == "auto" and plan.seconds > AUTO_SECONDS:
                return
            note = f"rank in {rank}..{self.upper.value}, closing by {plan.method}"
            saved = self.found.closing
            earlier = saved.get("done", 0) if saved.get("rank") == rank else 0

            def tick(done: int, total: int, note: str = note, rank: int = rank) -> None:
                if "primes" in note:
                    self.found.closing = {"rank": rank, "done": done}
                    self.found.save()
                self._tick(done, total, note)

            bound = plan.run(executor=executor, tick=tick, done=earlier)
            if bound is not None:
                self.bounds.append(bound)
                self.found.bounds.append(bound)
                self.found.save()
            else:
                self.found.refuted = rank
                self.found.save()
            while bound is None and self.lower.rank == rank:
                self.draw()  # the prime was unlucky: the rank is larger than it said

    def gain_confidence(self, proof: ProofEffort) -> None:
        """Draw primes until the failure probability is as small as asked for."""
        if self.seed is not None or self.source == "folded-gram":
            return
        if self.found.coins == 0:  # an earlier run had a seed
            self.draw()
        while self.status == "bracketed":
            self.clock.check()
            failure = self.failure_probability
            if failure is None or failure >= 0.5**self.found.coins:
                return  # more primes of this width would not help soon
            wanted = math.log(self.error) / math.log(failure) * self.found.coins
            if proof != "full" and wanted * self.seconds_per_prime > 10 * AUTO_SECONDS:
                return
            self.draw()
