"""Matrices of polynomials and their generic rank, the rank over the field of fractions.

A matrix is a list of rows of elements of one sympy polynomial ring over the rationals. Rows and
columns that are rational combinations of others may be left out: that changes neither the generic
rank nor the ideal of the minors of any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from exactdim.errors import TooLarge

__all__ = [
    "Matrix",
    "Polynomial",
    "compressed",
    "count_terms",
    "domain_matrix",
    "generic_rank",
    "load_sympy",
]

Polynomial: TypeAlias = Any
"""An element of a sympy polynomial ring over the rationals."""

Matrix: TypeAlias = list[list[Polynomial]]

MAX_ELIMINATION_TERMS = 4000
"""Most monomials in a matrix from which a pivot is eliminated."""


def load_sympy() -> Any:
    """Import sympy when it is needed, not before.

    Returns
    -------
    module
    """
    import sympy  # type: ignore[import-untyped]

    return sympy


def domain_matrix(entries: Any, shape: tuple[int, int]) -> Any:
    """Build a sympy matrix over the rationals.

    Parameters
    ----------
    entries : list of rows, or dict of rows that are dicts
    shape : (int, int)

    Returns
    -------
    sympy.polys.matrices.DomainMatrix
    """
    sympy = load_sympy()
    return sympy.polys.matrices.DomainMatrix(entries, shape, sympy.QQ)


def count_terms(rows: Iterable[Iterable[Polynomial]]) -> int:
    """Count the monomials in all entries.

    Parameters
    ----------
    rows : iterable of rows

    Returns
    -------
    int
    """
    return sum(len(entry) for row in rows for entry in row)


def compressed(matrix: Matrix) -> Matrix:
    """Leave out rows, then columns, that are rational combinations of the others, long ones first.

    Parameters
    ----------
    matrix : list of rows

    Returns
    -------
    list of rows
        Of the same generic rank; its minors of each order span the same rational space as those of
        the matrix. Without rows if the matrix is zero.
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
    Elimination without fractions, on entries whose zeros are recognised exactly. The pivots and
    the rows or columns left bound the rank from above at every step, so it may end early.
    """
    matrix = compressed(matrix)
    pivots = 0
    while matrix:
        upper = pivots + min(len(matrix), len(matrix[0]))
        if upper == lower:
            return lower
        terms = count_terms(matrix)
        if terms > MAX_ELIMINATION_TERMS:
            raise TooLarge(
                f"the generic rank is at least {lower} and at most {upper}; {terms} monomials are "
                f"left to eliminate and {MAX_ELIMINATION_TERMS} is the limit. Take fewer samples "
                "or a narrower network"
            )
        matrix = _eliminated(matrix)
        pivots += 1
    return pivots


def _independent(rows: Matrix) -> Matrix:
    """Pick a basis of the rational span of the rows, short ones first."""
    rows = sorted(rows, key=lambda row: count_terms([row]))
    positions: dict[tuple[int, tuple[int, ...]], int] = {}
    table: dict[int, dict[int, Any]] = {}
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            for monomial, coefficient in entry.terms() if entry else ():
                position = positions.setdefault((j, monomial), len(positions))
                table.setdefault(position, {})[i] = coefficient
    if not positions:
        return []
    _, pivots = domain_matrix(table, (len(positions), len(rows))).rref()
    return [rows[i] for i in pivots]


def _eliminated(matrix: Matrix) -> Matrix:
    """Take away one pivot, its row and its column, and the rows that become zero."""
    row_counts = [sum(map(bool, row)) for row in matrix]
    column_counts = [sum(map(bool, column)) for column in zip(*matrix, strict=True)]
    _, i, j = min(
        (len(entry) * (row_counts[i] - 1) * (column_counts[j] - 1), i, j)
        for i, row in enumerate(matrix)
        for j, entry in enumerate(row)
        if entry
    )  # a short pivot that few other entries meet keeps the polynomials short
    pivot_row, pivot = matrix[i], matrix[i][j]
    rest = []
    for row in matrix[:i] + matrix[i + 1 :]:
        if row[j]:
            _, scale, factor = pivot.cofactors(row[j])
            row = [scale * e - factor * p for e, p in zip(row, pivot_row, strict=True)]
        rest.append(_without_content(row[:j] + row[j + 1 :]))
    return [row for row in rest if any(row)]


def _without_content(row: list[Polynomial]) -> list[Polynomial]:
    """Divide a row by the greatest common divisor of its entries."""
    content = 0
    for entry in sorted(filter(None, row), key=len):
        content = entry.gcd(content) if content else entry
        if content.is_ground:
            return row
    return [entry.exquo(content) if entry else entry for entry in row]
