"""Where a matrix of polynomials has less than its generic rank: minors and their common zeros."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, TypeAlias

from flint import Ordering, fmpz_mpoly_ctx

from exactdim.errors import TooLarge
from exactdim.nets.polynomials import (
    Matrix,
    Polynomial,
    compressed,
    count_terms,
    domain_matrix,
    load_sympy,
)

__all__ = ["RankDropLocus", "common_zeros", "groebner", "minors"]

Expression: TypeAlias = Any
"""A sympy expression."""

MAX_MINORS = 1000
"""Most minors that are written down."""

MAX_MINOR_TERMS = 20_000
"""Most monomials in all minors together, with the smaller ones that they are expanded by."""

MAX_GROEBNER_TERMS = 120
"""Most monomials in polynomials of which a Groebner basis is computed."""


@dataclass(frozen=True, eq=False, repr=False)
class RankDropLocus:
    """The points at which a matrix of polynomials has less than its generic rank.

    All minors of the order of that rank cut it out (T2, T4). They are computed when they are asked
    for; `contains` needs none of them.

    Attributes
    ----------
    rank : int
        The generic rank.
    matrix : list of rows
        Elements of a sympy polynomial ring.
    nonvanishing : tuple of polynomials
        Those that vanish nowhere in the region of interest.
    rank_at : callable
        Gives the rank at a point.
    """

    rank: int
    matrix: Matrix
    nonvanishing: tuple[Polynomial, ...]
    rank_at: Callable[[Any], int]

    def contains(self, theta: Any) -> bool:
        """Decide exactly whether the rank drops at a point, in the region or not.

        Parameters
        ----------
        theta : ReLUNetwork, QMatrix of shape (1, P), or P numbers
            As `SymbolicNetwork.rank_at` reads it.

        Returns
        -------
        bool
        """
        return self.rank_at(theta) < self.rank

    @property
    def minors(self) -> tuple[Expression, ...]:
        """Generators of the ideal of all minors of the order of the generic rank.

        Raises
        ------
        TooLarge
            If there are more than 1000 minors, or more than 20000 monomials in them and in those
            that they are expanded by.
        """
        return tuple(p.as_expr() for p in self._minors)

    @property
    def equations(self) -> tuple[Expression, ...]:
        """Polynomials in factored form whose common zeros are the locus.

        They vanish together where the minors do, over the complex numbers too. Multiplicities are
        removed, so they may generate a larger ideal. ``(1,)`` means that the rank never drops.

        Raises
        ------
        TooLarge
            As `minors`.
        """
        return tuple(map(_factored, self._equations))

    @property
    def equations_in_region(self) -> tuple[Expression, ...]:
        """The same for points of the region only, where no pre-activation vanishes.

        Factors of pre-activations are cancelled, so these equations are shorter. They say nothing
        about points outside the region.

        Raises
        ------
        TooLarge
            As `minors`.
        """
        return tuple(map(_factored, common_zeros(self._equations, self.nonvanishing)))

    def groebner_basis(self) -> tuple[Expression, ...]:
        """Compute the reduced Groebner basis of the ideal that `equations` generates.

        Returns
        -------
        tuple of sympy expressions
            For the order grevlex, the parameters in their usual order.

        Raises
        ------
        TooLarge
            As `minors`, or if the equations have more than 120 monomials.
        """
        return tuple(p.as_expr() for p in groebner(self._equations))

    def __repr__(self) -> str:
        return f"<RankDropLocus: rank below {self.rank}>"

    @cached_property
    def _minors(self) -> list[Polynomial]:
        return minors(self.matrix, self.rank)

    @cached_property
    def _equations(self) -> list[Polynomial]:
        return common_zeros(self._minors)


def minors(matrix: Matrix, order: int) -> list[Polynomial]:
    """Generate the ideal of all minors of one order.

    Parameters
    ----------
    matrix : list of rows
        With at least one entry.
    order : int

    Returns
    -------
    list of polynomials
        Nonzero, monic and distinct.

    Raises
    ------
    TooLarge
        If there are more than 1000 minors, or more than 20000 monomials in them and in those that
        they are expanded by.

    Notes
    -----
    As long as an entry is a number, it clears its row and column, which are then left out:
    elimination over the ring changes no such ideal.
    """
    one = matrix[0][0].ring.one
    matrix = compressed(matrix)
    while order and (unit := _number_in(matrix)):
        matrix = compressed(_cleared(matrix, *unit))
        order -= 1
    rows, columns = len(matrix), len(matrix[0]) if matrix else 0
    count = math.comb(rows, order) * math.comb(columns, order)
    if count > MAX_MINORS:
        raise TooLarge(
            f"there are {count} minors of order {order} in a {rows} x {columns} matrix; no more "
            f"than {MAX_MINORS} are written down. Take fewer samples or a narrower network"
        )
    table: dict[tuple[tuple[int, ...], tuple[int, ...]], Polynomial] = {}
    terms = 0

    def minor(picked: tuple[int, ...], across: tuple[int, ...]) -> Polynomial:
        """Expand along the first row; smaller minors are shared."""
        nonlocal terms
        if not picked:
            return one
        if (picked, across) not in table:
            total = 0 * one
            for position, column in enumerate(across):
                if entry := matrix[picked[0]][column]:
                    rest = minor(picked[1:], across[:position] + across[position + 1 :])
                    total += (-1) ** position * entry * rest
            terms += len(total)
            if terms > MAX_MINOR_TERMS:
                raise TooLarge(
                    f"the minors of order {order} of a {rows} x {columns} matrix have more than "
                    f"{MAX_MINOR_TERMS} monomials. Take fewer samples or a narrower network"
                )
            table[picked, across] = total
        return table[picked, across]

    values = (
        minor(picked, across)
        for picked in combinations(range(rows), order)
        for across in combinations(range(columns), order)
    )
    return list(dict.fromkeys(value.monic() for value in values if value))


def common_zeros(
    polynomials: Sequence[Polynomial], nonzero: Iterable[Polynomial] = ()
) -> list[Polynomial]:
    """Write the common zeros of polynomials by few short ones.

    Parameters
    ----------
    polynomials : sequence of polynomials
        Nonzero ones of one ring; at least one.
    nonzero : iterable of polynomials
        Known to vanish nowhere that matters: their factors are cancelled.

    Returns
    -------
    list of polynomials
        Squarefree, with coprime integer coefficients, none a multiple of another. The polynomial 1
        alone means that there is no common zero.

    Notes
    -----
    Three steps that keep the zeros, over the complex numbers too, repeated while they shorten the
    system: squarefree parts, a reduced basis of the rational span, and a Groebner basis where the
    system is small.
    """
    one = polynomials[0].ring.one
    cancelled = {factor for p in nonzero if p for factor in _factors(p)}

    def radical(system: Iterable[Polynomial]) -> list[Polynomial]:
        kept: list[frozenset[Polynomial]] = []
        for factors in sorted({_factors(p) - cancelled for p in system}, key=_length):
            if not any(divisor <= factors for divisor in kept):
                kept.append(factors)
        return [math.prod(sorted(factors, key=str), start=one) for factors in kept]

    shortest = radical(polynomials)
    while True:
        candidates = [radical(_reduced_span(shortest))]
        if count_terms([shortest]) <= MAX_GROEBNER_TERMS:
            candidates.append(radical(groebner(shortest)))
        best = min(candidates, key=_system_length)
        if _system_length(best) >= _system_length(shortest):
            return shortest
        shortest = best


def groebner(polynomials: Sequence[Polynomial]) -> list[Polynomial]:
    """Compute the reduced Groebner basis for the order grevlex.

    Parameters
    ----------
    polynomials : sequence of polynomials
        At least one.

    Returns
    -------
    list of polynomials

    Raises
    ------
    TooLarge
        If there are more than 120 monomials in them.
    """
    terms = count_terms([polynomials])
    if terms > MAX_GROEBNER_TERMS:
        raise TooLarge(
            f"a Groebner basis is computed up to {MAX_GROEBNER_TERMS} monomials; these equations "
            f"have {terms}. Take fewer samples or a narrower network"
        )
    ring = polynomials[0].ring
    graded = ring.clone(order="grevlex")
    basis = load_sympy().polys.groebnertools.groebner(
        [p.set_ring(graded) for p in polynomials], graded
    )
    return [p.set_ring(ring) for p in basis]


def _number_in(matrix: Matrix) -> tuple[int, int] | None:
    """Find an entry that is a number and not zero."""
    return next(
        (
            (i, j)
            for i, row in enumerate(matrix)
            for j, entry in enumerate(row)
            if entry and entry.is_ground
        ),
        None,
    )


def _cleared(matrix: Matrix, i: int, j: int) -> Matrix:
    """Use a number to clear its row and column, and take both away."""
    inverse = 1 / matrix[i][j].LC
    rows = [
        [e - row[j] * p * inverse for e, p in zip(row, matrix[i], strict=True)]
        for row in matrix[:i] + matrix[i + 1 :]
    ]
    return [row[:j] + row[j + 1 :] for row in rows]


def _reduced_span(polynomials: Sequence[Polynomial]) -> list[Polynomial]:
    """Reduce a basis of the rational span to echelon form, leading monomials first."""
    ring = polynomials[0].ring
    monomials = sorted({m for p in polynomials for m in p.monoms()}, key=ring.order, reverse=True)
    position = {m: j for j, m in enumerate(monomials)}
    table = {i: {position[m]: c for m, c in p.terms()} for i, p in enumerate(polynomials)}
    echelon, pivots = domain_matrix(table, (len(polynomials), len(monomials))).rref()
    basis: list[dict[tuple[int, ...], Any]] = [{} for _ in pivots]
    for (i, j), coefficient in echelon.to_dok().items():
        basis[i][monomials[j]] = coefficient
    return [ring.from_dict(p) for p in basis]


def _factors(p: Polynomial) -> frozenset[Polynomial]:
    """Find the irreducible factors, with coprime integer coefficients; FLINT is the fastest."""
    ring = p.ring
    context = fmpz_mpoly_ctx.get([str(symbol) for symbol in ring.symbols], Ordering.lex)
    _, integral = p.clear_denoms()
    _, factors = context.from_dict({m: int(c) for m, c in integral.terms()}).factor()
    return frozenset(
        ring.from_dict({m: ring.domain(int(c)) for m, c in factor.to_dict().items()})
        for factor, _ in factors
    )


def _factored(p: Polynomial) -> Expression:
    factors = sorted(_factors(p), key=lambda factor: (len(factor), str(factor)))
    return load_sympy().Mul(*(factor.as_expr() for factor in factors))


def _length(factors: Iterable[Polynomial]) -> tuple[int, int, list[str]]:
    """Put short products first, in an order that does not depend on how sets are stored."""
    factors = list(factors)
    return sum(map(len, factors)), len(factors), sorted(map(str, factors))


def _system_length(system: Sequence[Polynomial]) -> tuple[int, int]:
    return sum(_length(_factors(p))[0] for p in system), len(system)
