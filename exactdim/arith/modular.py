"""Rank and pivots modulo a word-size prime.

Whatever the prime, the rank modulo p never exceeds the rank over the rationals (a minor that is
nonzero modulo p is nonzero), so every value found here is a proved lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from flint import fmpz_mat, nmod_mat

from exactdim.arith.primes import is_prime
from exactdim.arith.rationals import ArrayLike, integer_matrix
from exactdim.errors import DenominatorDivisible, InvalidInput

__all__ = ["ExactMatrix", "pivots", "rank", "reduce", "residues"]


class ExactMatrix(Protocol):
    """What this floor needs of `QMatrix`, which lives on the floor above."""

    _num: fmpz_mat

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def denominator(self) -> int:
        """Common denominator."""
        ...

    @property
    def T(self) -> Self:
        """Transpose."""
        ...

    def numerators(self) -> list[int]:
        """Row-major integers."""
        ...

    def __matmul__(self, other: Self) -> Self: ...

    @classmethod
    def from_integers(
        cls, entries: Sequence[int], denominator: int, shape: tuple[int, int]
    ) -> Self:
        """Build a matrix."""
        ...


def reduce(A: ExactMatrix, p: int) -> nmod_mat:
    """Reduce a rational matrix modulo a prime.

    Parameters
    ----------
    A : QMatrix
    p : int
        A prime below 2**63.

    Returns
    -------
    flint.nmod_mat
        For use inside exactdim; it is mutable.

    Notes
    -----
    Raises `InvalidInput` if p is no prime below 2**63 and `DenominatorDivisible` if it divides a
    denominator.
    """
    _check_modulus(A.denominator, p)
    return nmod_mat(A._num, p) * pow(A.denominator, -1, p)


def _check_modulus(den: int, p: int) -> None:
    if not is_prime(p) or p >= 2**63:
        raise InvalidInput(f"the modulus must be a prime below 2**63, not {p}")
    if den % p == 0:
        raise DenominatorDivisible(
            f"{p} divides a denominator of the matrix, so it has no residues; take another prime"
        )


def residues(a: ArrayLike, p: int) -> list[list[int]]:
    """Reduce a dyadic or rational array modulo a prime.

    Parameters
    ----------
    a : ArrayLike of shape (m, n)
        Floats are read at their exact dyadic value.
    p : int
        A prime below 2**63.

    Returns
    -------
    list of list of int
        Residues from 0 to p - 1.

    Examples
    --------
    >>> residues([[0.5, "2/3", -1]], 7)
    [[4, 3, 6]]
    """
    entries, den, (rows, columns) = integer_matrix(a)
    _check_modulus(den, p)
    inverse = pow(den, -1, p)
    flat = [x * inverse % p for x in entries]
    return [flat[i * columns : (i + 1) * columns] for i in range(rows)]


def residues_of_integers(rows: Sequence[Sequence[int]], width: int, p: int) -> nmod_mat:
    """Reduce rows of integers modulo a prime.

    Parameters
    ----------
    rows : sequence of sequence of int
    width : int
        Length of every row; needed where there is none.
    p : int

    Returns
    -------
    flint.nmod_mat
    """
    return nmod_mat(len(rows), width, [x % p for row in rows for x in row], p)


def rank(A: ExactMatrix, p: int) -> int:
    """Compute the rank modulo a prime: a proved lower bound of the rank.

    Parameters
    ----------
    A : QMatrix of shape (m, n)
    p : int
        A prime below 2**63.

    Returns
    -------
    int

    Notes
    -----
    O(m n rank) word operations; raises as `reduce`.

    Examples
    --------
    >>> from exactdim.arith.matrix import QMatrix
    >>> rank(QMatrix([[1, 2], [3, 13]]), 7), rank(QMatrix([[1, 2], [3, 13]]), 11)
    (1, 2)
    """
    return rank_of_residues(reduce(A, p))


def rank_of_residues(residues: nmod_mat) -> int:
    """Compute the rank of a matrix of residues, of any shape.

    Parameters
    ----------
    residues : flint.nmod_mat

    Returns
    -------
    int
    """
    return residues.rank() if residues.nrows() and residues.ncols() else 0


def pivots(A: ExactMatrix, p: int) -> tuple[list[int], list[int]]:
    """Find rows and columns of a largest minor that is nonzero modulo a prime.

    Parameters
    ----------
    A : QMatrix of shape (m, n)
    p : int
        A prime below 2**63.

    Returns
    -------
    rows, columns : list of int
        Increasing, equally long; columns are the lexicographically first independent ones.

    Notes
    -----
    Two reduced echelon forms, O(m n rank) word operations; raises as `reduce`.

    Examples
    --------
    >>> from exactdim.arith.matrix import QMatrix
    >>> pivots(QMatrix([[0, 0, 0], [0, 1, 2], [0, 2, 4], [1, 0, 0]]), 101)
    ([1, 3], [0, 1])
    """
    return pivots_of_residues(reduce(A, p))


def pivots_of_residues(residues: nmod_mat) -> tuple[list[int], list[int]]:
    """Find the rows and columns of a largest nonzero minor of a matrix of residues.

    Parameters
    ----------
    residues : flint.nmod_mat

    Returns
    -------
    rows, columns : list of int
    """
    # Any basis of the rows and any basis of the columns meet in a nonzero minor: the chosen columns
    # span all columns, hence also those of the chosen rows, which have full row rank.
    return pivot_columns(residues.transpose()), pivot_columns(residues)


def pivot_columns(residues: nmod_mat) -> list[int]:
    """Find the lexicographically first independent columns of a matrix of residues.

    Parameters
    ----------
    residues : flint.nmod_mat

    Returns
    -------
    list of int
    """
    if not residues.nrows() or not residues.ncols():
        return []
    echelon, found = residues.rref()
    columns: list[int] = []
    j = 0
    for i in range(found):
        while not int(echelon[i, j]):
            j += 1
        columns.append(j)
        j += 1
    return columns
