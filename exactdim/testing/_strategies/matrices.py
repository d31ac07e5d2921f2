"""Matrices of known rank."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import Number
from exactdim.testing._strategies import arguments
from exactdim.testing._strategies.drafts import draw_distinct
from exactdim.testing._strategies.numbers import exact_elements

__all__ = ["any_matrices", "matrices_of_rank"]


@st.composite
def matrices_of_rank(
    draw: DrawFn,
    shape: tuple[int, int],
    rank: int,
    *,
    elements: SearchStrategy[Number] | None = None,
) -> QMatrix:
    """Generate matrices of exactly one rank, known by construction.

    Parameters
    ----------
    shape : (int, int)
        Either may be 0.
    rank : int
        From 0 to the smaller of the two.
    elements : strategy of Number, optional
        For the factors, see the notes: integers give integer matrices. By default small rational
        numbers.

    Returns
    -------
    SearchStrategy of QMatrix
        Shrinks to an identity block and zeros.

    Raises
    ------
    InvalidArgument
        When used, if no matrix of that shape has that rank or `elements` is no strategy.

    Notes
    -----
    A sum of `rank` terms ``s u v^T`` with s nonzero; the last nonzero entry of each u and each v
    is 1, no two u have it in the same row and no two v in the same column. So the matrix is L S U
    with L and U unitriangular and S with at most one nonzero entry in each row and column; by the
    Bruhat decomposition every matrix is one.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(matrices_of_rank((2, 3), 2), lambda A: True)
    QMatrix([['1', '0', '0'], ['0', '1', '0']])
    >>> find(matrices_of_rank((2, 2), 1), lambda A: A[1, 1] != 0)
    QMatrix([['0', '0'], ['0', '1']])
    """
    sides = arguments.integers("shape", shape, least=0, fewest=2)
    arguments.at_least(0, rank=rank)
    if len(sides) > 2:
        raise InvalidArgument(f"shape={shape!r} must be two integers")
    rows, columns = sides
    if rank > min(rows, columns):
        raise InvalidArgument(f"rank={rank} is impossible for shape={tuple(shape)}")
    entries = exact_elements(elements)
    table = [[Fraction(0)] * columns for _ in range(rows)]
    last_rows, last_columns = draw_distinct(draw, rows, rank), draw_distinct(draw, columns, rank)
    for row, column in zip(last_rows, last_columns, strict=True):
        scale = draw(entries) or Fraction(1)
        u = [*(draw(entries) for _ in range(row)), Fraction(1)]
        v = [*(draw(entries) for _ in range(column)), Fraction(1)]
        for i, a in enumerate(u):
            for j, b in enumerate(v):
                table[i][j] += scale * a * b
    return QMatrix(table) if rows else QMatrix.zeros(rows, columns)


@st.composite
def any_matrices(draw: DrawFn) -> QMatrix:
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    return draw(matrices_of_rank(shape, draw(st.integers(0, min(shape)))))
