"""Matrices of polynomials: generic rank, minors, and where the minors vanish.

A matrix is a list of rows of elements of one sympy polynomial ring over the rationals. Rows and
columns that are rational combinations of others may be left out: that changes neither the rank
over the field of fractions nor the ideal of the minors of any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, TypeAlias

from exactdim.errors import TooLarge

__all__ = ["Matrix", "common_zeros", "compressed", "generic_rank", "groebner", "minors"]

Polynomial: TypeAlias = Any
"""An element of a sympy polynomial ring over the rationals."""

Matrix: TypeAlias = list[list[Polynomial]]

MAX_ELIMINATION_TERMS = 4000
"""Most monomials in a matrix from which a pivot is eliminated."""

MAX_MINORS = 1000
"""Most minors that are written down."""

MAX_MINOR_TERMS = 20_000
"""Most monomials in all minors together."""

MAX_GROEBNER_TERMS = 120
"""Most monomials in polynomials of which a Groebner basis is computed."""


def load_sympy() -> Any:
    """Import sympy when it is needed, not before."""
    import sympy  # type: ignore[import-untyped]

    return sympy


def compressed(matrix: Matrix) -> Matrix:
    """Keep rows, then columns, that no rational combination of the others kept gives.

    Parameters
    ----------
    matrix : list of rows

    Returns
    -------
    list of rows
        Of the same rank over the field of fractions, whose minors of each order span the same
        rational space as those of the matrix. Without rows if the matrix is zero.
    """
    for _ in range(2):
        kept = _independent(matrix)
        matrix = [list(column) for column in zip(*kept, strict=True)]
    return matrix


def generic_rank(matrix: Matrix, lower: int) -> int:
    """Compute the rank over the field of fractions of the ring, always proved.

    Parameters
    ----------
    matrix : list of rows
    lower : int
        A proved lower end, for instance the rank at some point; 0 will do.

    Returns
    -------
    int

    Raises
    ------
    TooLarge
        If more than 4000 monomials are left to eliminate; the message names the two ends.

    Notes
    -----
    Elimination without fractions. After each step the rank is at most the number of pivots and of
    the rows or columns left, so that there is nothing to eliminate where the ends meet at once.
    """
    matrix = compressed(matrix)
    pivots = 0
    while matrix:
        upper = pivots + min(len(matrix), len(matrix[0]))
        if upper == lower:
            return lower
        terms = _count_terms(matrix)
        if terms > MAX_ELIMINATION_TERMS:
            raise TooLarge(
                f"the generic rank is at least {lower} and at most {upper}; {terms} monomials are "
                f"left to eliminate and {MAX_ELIMINATION_TERMS} is the limit. Take fewer samples "
                "or a narrower network"
            )
        matrix = _eliminated(matrix)
        pivots += 1
    return pivots


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
        If there are more than 1000 minors, or more than 20000 monomials in them, after an entry
        that is a number has been used to eliminate its row and column as long as there is one.
    """
    one = matrix[0][0].ring.one
    matrix = compressed(matrix)
    while order and (unit := _number_in(matrix)):
        matrix = compressed(_cleared(matrix, *unit))
        order -= 1
    if not order:
        return [one]
    rows, columns = len(matrix), len(matrix[0]) if matrix else 0
    count = math.comb(rows, order) * math.comb(columns, order)
    if count > MAX_MINORS:
        raise TooLarge(
            f"there are {count} minors of order {order} in a {rows} x {columns} matrix; no more "
            f"than {MAX_MINORS} are written down. Take fewer samples or a narrower network"
        )
    table: dict[tuple[tuple[int, ...], tuple[int, ...]], Polynomial] = {}

    def minor(picked: tuple[int, ...], across: tuple[int, ...]) -> Polynomial:
        """Expand along the first row; smaller minors are shared."""
        if not picked:
            return one
        if (picked, across) not in table:
            total = 0 * one
            for position, column in enumerate(across):
                if entry := matrix[picked[0]][column]:
                    rest = minor(picked[1:], across[:position] + across[position + 1 :])
                    total += (-1) ** position * entry * rest
            table[picked, across] = total
        return table[picked, across]

    found: dict[Polynomial, None] = {}
    size = 0
    for picked in combinations(range(rows), order):
        for across in combinations(range(columns), order):
            value = minor(picked, across)
            if value and value.monic() not in found:
                found[value.monic()] = None
                size += len(value)
                if size > MAX_MINOR_TERMS:
                    raise TooLarge(
                        f"the minors of order {order} have more than {MAX_MINOR_TERMS} monomials; "
                        "take fewer samples or a narrower network"
                    )
    return list(found)


def common_zeros(
    polynomials: Sequence[Polynomial], nonzero: Iterable[Polynomial] = ()
) -> list[list[Polynomial]]:
    """Write the common zeros of polynomials as short equations in factored form.

    Parameters
    ----------
    polynomials : sequence of polynomials
        Nonzero ones of one ring; at least one.
    nonzero : iterable of polynomials
        Known to vanish nowhere that matters: their factors are cancelled.

    Returns
    -------
    list of lists of polynomials
        Each equation is a product of distinct irreducible polynomials with coprime integer
        coefficients. The empty product is the equation 1 = 0: there is no zero.

    Notes
    -----
    Three steps that keep the zeros, over the complex numbers too, repeated while they shorten the
    system: squarefree parts, a reduced basis of the rational span, and a Groebner basis where the
    system is small.
    """
    cancelled = {factor for p in nonzero if p for factor in _factors(p)}

    def radical(system: Iterable[Polynomial]) -> list[frozenset[Polynomial]]:
        products = sorted({_factors(p) - cancelled for p in system}, key=_length)
        kept: list[frozenset[Polynomial]] = []
        for product in products:
            if not any(divisor <= product for divisor in kept):
                kept.append(product)
        return kept

    shortest = radical(polynomials)
    one = polynomials[0].ring.one
    while True:
        system = [math.prod(equation, start=one) for equation in shortest]
        candidates = [radical(_reduced_span(system))]
        if _count_terms([system]) <= MAX_GROEBNER_TERMS:
            candidates.append(radical(groebner(system)))
        best = min(candidates, key=_system_length)
        if _system_length(best) >= _system_length(shortest):
            return [sorted(equation, key=_display_order) for equation in shortest]
        shortest = best


def groebner(polynomials: Sequence[Polynomial]) -> list[Polynomial]:
    """Compute the reduced Groebner basis.

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
    terms = _count_terms([polynomials])
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


def _eliminated(matrix: Matrix) -> Matrix:
    """Take away one pivot, its row and its column, and the rows that become zero."""
    row_counts = [sum(map(bool, row)) for row in matrix]
    column_counts = [sum(map(bool, column)) for column in zip(*matrix, strict=True)]
    _, i, j = min(
        (len(entry) * (row_counts[i] - 1) * (column_counts[j] - 1), i, j)
        for i, row in enumerate(matrix)
        for j, entry in enumerate(row)
        if entry
    )  # a short pivot that few other entries depend on keeps the polynomials short
    pivot_row, pivot = matrix[i], matrix[i][j]
    rest = []
    for row in matrix[:i] + matrix[i + 1 :]:
        if row[j]:
            _, factor, other = pivot.cofactors(row[j])
            row = [factor * e - other * p for e, p in zip(row, pivot_row, strict=True)]
        rest.append(_without_content(row[:j] + row[j + 1 :]))
    return [row for row in rest if any(row)]


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


def _without_content(row: list[Polynomial]) -> list[Polynomial]:
    """Divide a row by the greatest common divisor of its entries."""
    content = 0
    for entry in sorted(filter(None, row), key=len):
        content = entry.gcd(content) if content else entry
        if content.is_ground:
            return row
    return [entry.exquo(content) if entry else entry for entry in row]


def _independent(rows: Matrix) -> Matrix:
    """Rows that are a basis of the rational span of all, the shortest first."""
    rows = sorted(rows, key=lambda row: _count_terms([row]))
    positions: dict[tuple[int, tuple[int, ...]], int] = {}
    table: dict[int, dict[int, Any]] = {}
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            for monomial, coefficient in entry.terms() if entry else ():
                position = positions.setdefault((j, monomial), len(positions))
                table.setdefault(position, {})[i] = coefficient
    if not positions:
        return []
    _, pivots = _domain_matrix(table, (len(positions), len(rows)), load_sympy().QQ).rref()
    return [rows[i] for i in pivots]


def _reduced_span(polynomials: Sequence[Polynomial]) -> list[Polynomial]:
    """Reduce a basis of the rational span to echelon form, leading monomials first."""
    ring = polynomials[0].ring
    monomials = sorted({m for p in polynomials for m in p.monoms()}, key=ring.order, reverse=True)
    position = {m: j for j, m in enumerate(monomials)}
    table = {i: {position[m]: c for m, c in p.terms()} for i, p in enumerate(polynomials)}
    shape = len(polynomials), len(monomials)
    echelon, pivots = _domain_matrix(table, shape, load_sympy().QQ).rref()
    rows = echelon.to_dok()
    basis: list[dict[tuple[int, ...], Any]] = [{} for _ in pivots]
    for (i, j), coefficient in rows.items():
        basis[i][monomials[j]] = coefficient
    return [ring.from_dict(p) for p in basis]


def _factors(p: Polynomial) -> frozenset[Polynomial]:
    """Distinct irreducible factors with coprime integer coefficients, leading ones positive."""
    found = []
    for factor, _ in p.factor_list()[1]:
        _, whole = factor.monic().clear_denoms()
        found.append(whole)
    return frozenset(found)


def _domain_matrix(entries: Any, shape: tuple[int, int], domain: Any) -> Any:
    return load_sympy().polys.matrices.DomainMatrix(entries, shape, domain)


def _count_terms(rows: Iterable[Iterable[Polynomial]]) -> int:
    return sum(len(entry) for row in rows for entry in row)


def _length(factors: Iterable[Polynomial]) -> tuple[int, int, list[str]]:
    """Short equations first, in an order that does not depend on how sets are stored."""
    factors = list(factors)
    return sum(map(len, factors)), len(factors), sorted(map(str, factors))


def _system_length(system: Iterable[Iterable[Polynomial]]) -> tuple[int, int]:
    lengths = [_length(equation)[0] for equation in system]
    return sum(lengths), len(lengths)


def _display_order(factor: Polynomial) -> tuple[int, str]:
    return len(factor), str(factor)
