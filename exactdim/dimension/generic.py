"""The generic rank of an activation pattern, and whether a network attains it.

On the parameters with one activation pattern the outputs are polynomials, so the rank of the
Jacobian is the same almost everywhere and smaller only on a proper algebraic subset (T4). A network
off that subset is generic in its region.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, log2

from exactdim.arith.primes import failure_probability, random_prime
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension.bounds import Bound, StructuralBounds
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.dimension.lower import LowerEnd, lower_end, prime_bits, suitable_source
from exactdim.dimension.result import Dimension, Evidence, check_ends
from exactdim.dimension.shallow import ShallowRanks
from exactdim.errors import DenominatorDivisible, InvalidInput, TooLarge, Undecided
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import MAX_ENTRIES, JacobianFactors
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import ActivationPattern, words_of
from exactdim.nets.symbolic import SymbolicNetwork, symbolic

__all__ = ["Genericity", "generic_dimension", "is_generic"]

MOST_DRAWS = 8
"""Primes drawn to bring the failure probability down."""

SYMBOLIC_ENTRIES = 2000
"""Entries of the Jacobian up to which elimination over the polynomials is tried."""


def generic_dimension(
    net_or_widths: NetworkLike | Sequence[int],
    pattern: ActivationPattern | ArrayLike | None,
    X: ArrayLike,
    *,
    bias: bool | Sequence[bool] | None = None,
    error: float = 2**-40,
    seed: int | None = None,
) -> Dimension:
    """Compute the rank that the Jacobian has at almost every parameter with a pattern.

    Parameters
    ----------
    net_or_widths : ReLUNetwork, anything `as_network` reads, or (N_0, ..., N_L)
        Of a network only the architecture counts, and its own pattern if none is given.
    pattern : ActivationPattern, array of booleans of shape (n, H), or None
        Realisable or not; with the columns of all hidden layers side by side.
    X : ArrayLike of shape (n, N_0)
    bias : bool or sequence of bool, optional
        With widths only: for all layers (default: true), or one per layer.
    error : float
        Largest failure probability with which an open bracket is called ``probable``.
    seed : int, optional
        Replays parameters and primes of an earlier run; such a run gives no probability.

    Returns
    -------
    Dimension
        Of the mask's Jacobian over the field of rational functions in the parameters. It is the
        largest rank at any parameter and the rank at almost every one; if the mask is realised, the
        local dimension almost everywhere in that region.

    Raises
    ------
    InvalidInput
        As `exactdim.symbolic`.
    ShapeMismatch
        As `exactdim.symbolic`.

    Notes
    -----
    Source: arXiv 2402.08269; T4. The rank at random parameters modulo a random prime is a lower
    end. Upper ends are the bounds that hold for all parameters (T7, T9.1-3), the formulas for one
    hidden layer (T15, T16) and, for small problems, elimination over the polynomials. If they do
    not meet, the probability that the lower end is not the rank is bounded by Schwartz-Zippel and
    T26: a nonzero minor of order r has degree at most r (L - 1) in the parameters.

    Examples
    --------
    >>> generic_dimension((1, 1, 1), [[0], [1], [1]], [[0], [1], [2]])
    Dimension(3 of 4 parameters, proved: full row rank; at almost every parameter of the pattern)
    >>> generic_dimension((1, 1, 1), [[1], [1]], [[1], [1]]).value
    1
    """
    if not 0 < error < 1:
        raise InvalidInput(f"error={error} is no probability; give a number between 0 and 1")
    problem = symbolic(net_or_widths, X, pattern, bias=bias)
    return _Search(problem, error, seed).result()


@dataclass(frozen=True)
class Genericity:
    """Whether a network has the generic rank of its region; true, false, or open.

    Attributes
    ----------
    dimension : Dimension
        The local dimension of the network at the batch.
    generic : Dimension
        That of almost every network with the same activation pattern there.

    Notes
    -----
    ``bool(g)`` works if the question is decided and raises `Undecided` otherwise.
    """

    dimension: Dimension
    generic: Dimension

    @property
    def verdict(self) -> bool | None:
        """True or false if proved, None if open."""
        if self.dimension.lower == self.generic.upper:
            return True
        return False if self.dimension.upper < self.generic.lower else None

    def __bool__(self) -> bool:
        verdict = self.verdict
        if verdict is None:
            d, g = self.dimension, self.generic
            advice = (
                "the second is closed for small problems only"
                if d.status == "proved"
                else "proof='full' narrows the first"
            )
            raise Undecided(
                f"the rank is proved to lie in {d.lower}..{d.upper} and the generic rank in "
                f"{g.lower}..{g.upper}, which decides nothing; {advice}",
                d.lower,
                g.upper,
            )
        return verdict

    def __repr__(self) -> str:
        word = {True: "yes, proved", False: "no, proved", None: "open"}[self.verdict]
        return f"Genericity({word}: here {self.dimension}; generic {self.generic})"


def is_generic(
    net: NetworkLike,
    X: ArrayLike,
    *,
    proof: ProofEffort = "auto",
    seed: int | None = None,
) -> Genericity:
    """Decide whether the network's local dimension is that of almost all networks of its region.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    proof : {"fast", "auto", "full"}
        For the rank at the network, see `local_dimension`.
    seed : int, optional
        Replays the primes of an earlier run.

    Returns
    -------
    Genericity
        Its truth value is the answer, if it is decided.

    Raises
    ------
    OnKink
        If a sample lies on a kink.

    Notes
    -----
    T4: generic means ``rank J = r_A``; the parameters that are not form a null set in each region,
    but gradient descent may well go there.

    Examples
    --------
    >>> at = [[0], [1], [2]]
    >>> bool(is_generic(ReLUNetwork([[[2]], [[3]]], [[-1], [5]]), at))
    True
    >>> is_generic(ReLUNetwork([[[2]], [[0]]], [[-1], [5]]), at).verdict  # a zero output weight
    False
    """
    network = as_network(net)
    here = local_dimension(network, X, proof=proof, seed=seed)
    e = here.evidence
    return Genericity(here, generic_dimension(network, e.pattern, e.batch, seed=seed))


class _Search:
    """The bracket of a generic rank while it narrows."""

    def __init__(self, problem: SymbolicNetwork, error: float, seed: int | None) -> None:
        self.problem, self.error, self.seed = problem, error, seed
        self.rng = random.SystemRandom() if seed is None else random.Random(seed)
        self.net = ReLUNetwork.random(problem.widths, seed=0, bias=problem.has_bias)
        self.factors = JacobianFactors(self.net, problem.batch, problem.pattern, "logits")
        self.structural = StructuralBounds(self.factors)
        self.bounds = self.structural.cheap()
        self.lower = LowerEnd(2**61 - 1, 0, (), ())
        self.primes: list[int] = []
        self.missed = 1.0

    @property
    def upper(self) -> Bound:
        return min(self.bounds, key=lambda bound: bound.value)

    @property
    def closed(self) -> bool:
        check_ends(self.lower.rank, self.upper.value)
        return self.lower.rank == self.upper.value

    def result(self) -> Dimension:
        self._draw()
        for bound in () if self.closed else self._costly():
            self.bounds.append(bound)
            if self.closed:
                break
        while not self.closed and len(self.primes) < MOST_DRAWS and self.missed > self.error:
            self._draw()
        chance = None if self.seed is not None or self.missed >= 1 else self.missed
        rows, columns = self.factors.shape
        probable = chance is not None and chance <= self.error
        return Dimension(
            lower=self.lower.rank,
            upper=self.upper.value,
            n_parameters=columns,
            n_rows=rows,
            status="proved" if self.closed else "probable" if probable else "bracketed",
            evidence=Evidence(
                self.net,
                self.problem.batch,
                self.problem.pattern,
                "logits",
                self.lower,
                self.upper,
                tuple(self.primes),
                self.seed,
                None,
                generic=True,
            ),
            bounds=tuple(sorted(self.bounds, key=lambda bound: bound.value)),
            failure_probability=0.0 if self.closed else chance,
        )

    def _costly(self) -> Iterator[Bound]:
        """Yield more bounds that hold for every parameter, each computed when it is asked for."""
        rows, columns = self.factors.shape
        if self.net.depth == 2 and rows * columns <= MAX_ENTRIES:
            found = ShallowRanks(
                self.factors.features[0], self.net.widths[-1], self.net.has_bias[-1]
            ).of(words_of(self.problem.pattern.mask.T))
            yield Bound("aligned-units", found.value, found.statement)
        yield self.structural.affine_pieces()
        yield self.structural.input_rank()
        if rows * columns <= SYMBOLIC_ENTRIES:
            with suppress(TooLarge):
                value = self.problem.generic_rank()
                yield Bound("elimination", value, "elimination over the rational functions")

    def _draw(self) -> None:
        """Take the rank at random parameters modulo a random prime; keep the larger."""
        source = suitable_source(self.factors)
        bits = prime_bits(source)
        while True:
            p = random_prime(bits, self.rng)
            theta = [[self.rng.randrange(p) for _ in range(self.net.n_parameters)]]
            at = JacobianFactors(
                self.net.with_parameters(theta), self.factors.batch, self.factors.pattern, "logits"
            )
            try:
                found = lower_end(at, source, p, self.rng, self.upper.value, _silent)
                break
            except DenominatorDivisible:
                continue
        if not self.primes or found.rank > self.lower.rank:
            self.lower, self.net = found, at.net
        self.primes.append(p)
        self.missed = min(1.0, self.missed * self._miss(bits, source != "jacobian"))

    def _miss(self, bits: int, by_gram: bool) -> float:
        """Bound the probability that one draw misses the generic rank."""
        # A nonzero minor of that order r is a polynomial of degree at most r (L - 1) whose integer
        # coefficients sum to at most the product of the sums over its rows of J: the prime divides
        # them all, or the point is a zero, or the weights of the Gram matrix are bad.
        r = self.upper.value
        degree = r * (self.net.depth - 1)
        one = failure_probability(self._height(r), bits, gram_rank=r if by_gram else 0)
        return min(1.0, one + degree / 2.0 ** (bits - 1))

    def _height(self, r: int) -> int:
        """Bound the bits of the coefficients of a minor of order r, denominators cleared."""
        batch, layers = self.factors.batch, self.problem.widths
        paths = 1
        for width in layers[1:]:
            paths *= width + 1
        largest = max(map(abs, batch.numerators()), default=0) + batch.denominator
        row = log2(max(1, self.net.n_parameters)) + log2(paths) + largest.bit_length()
        row += log2(layers[0] + 1)
        return ceil(r * row) + 1 + batch.denominator.bit_length()


def _silent(done: int, total: int, note: str) -> None:
    """Report nothing."""
