"""Dense rank modulo a small prime at the speed of float64 matrix products.

Residues are centred, so that 448 products of two of them add up below 2**53 and a float64 matrix
product over that inner length is exact in whatever order it sums. Gaussian elimination is arranged
so that nearly all work is such products: a block of pivots is inverted by FLINT, the rest of the
matrix is updated and reduced strip by strip while it is in the cache. `find_pivots` decides which
block is next; the products themselves belong to a `Workspace`, so that the matrix may also live on
another device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from flint import nmod_mat

from exactdim.arith.modular import pivot_columns, pivots_of_residues
from exactdim.arith.parallel import ForEach, strip_workers
from exactdim.arith.rationals import FloatArray
from exactdim.errors import InvalidInput

__all__ = [
    "INNER",
    "PRIME_BITS",
    "Places",
    "Tick",
    "Workspace",
    "centred",
    "check_prime",
    "find_pivots",
    "independent_columns",
    "inverse_mod",
    "matmul_mod",
    "rank_profile",
    "reduce_in_place",
]

PRIME_BITS = 23
"""Width of the primes: 448 products of centred residues stay below 2**53."""

INNER = 448
"""Longest inner dimension of one exact product."""

BLOCK = 256
"""Pivots eliminated at a time."""

SMALL = 16
"""Order up to which FLINT inverts a block; above, it is halved."""

FEW = 8
"""A pivot block of which less than this part is pivots is searched over its whole width."""

FLINT_ENTRIES = 10_000
"""Size up to which FLINT alone is faster: measured in ``benchmarks/rank_mod_p.py``."""

STRIP = 128
"""Rows updated at a time, so that product and reduction meet in the cache."""

Places: TypeAlias = slice | npt.NDArray[np.intp]
"""Positions of rows or of columns."""

Tick: TypeAlias = Callable[[int, int], None]
"""Called as ``tick(done, at most)`` now and then; may raise to stop."""


def check_prime(p: int) -> None:
    """Refuse a modulus whose residues would not multiply exactly.

    Parameters
    ----------
    p : int

    Raises
    ------
    InvalidInput
        If p has more than 23 bits or is even.
    """
    if not 2 < p < 2**PRIME_BITS or p % 2 == 0:
        raise InvalidInput(f"fast elimination wants an odd prime below 2**{PRIME_BITS}, not {p}")


def centred(a: npt.NDArray[Any], p: int) -> FloatArray:
    """Reduce integers to centred residues, as floats.

    Parameters
    ----------
    a : integer array
    p : int
        An odd prime of at most 23 bits.

    Returns
    -------
    float64 array
        Integers from ``-(p - 1) / 2`` to ``(p - 1) / 2``.

    Notes
    -----
    Refuses p as `check_prime` does.
    """
    check_prime(p)
    residues = np.asarray(a) % p
    return np.where(residues > p // 2, residues - p, residues).astype(np.float64)


def reduce_in_place(a: FloatArray, p: int) -> None:
    """Reduce integers below 2**53 modulo p, to absolute values of at most p / 2 + 2.

    Parameters
    ----------
    a : float64 array
        Changed in place.
    p : int
    """
    quotient = a * (1.0 / p)
    np.rint(quotient, out=quotient)
    quotient *= p
    a -= quotient


def matmul_mod(A: FloatArray, B: FloatArray, p: int) -> FloatArray:
    """Multiply two matrices of centred residues modulo p, exactly.

    Parameters
    ----------
    A : float64 array of shape (m, k)
    B : float64 array of shape (k, n)
    p : int

    Returns
    -------
    float64 array of shape (m, n)
        Centred residues, of absolute value at most p / 2 + 2.

    Examples
    --------
    >>> matmul_mod(np.array([[3.0, -2.0]]), np.array([[5.0], [4.0]]), 11)
    array([[-4.]])
    """
    out = np.zeros((A.shape[0], B.shape[1]))
    for k in range(0, A.shape[1], INNER):
        for i in range(0, A.shape[0], STRIP):
            strip = out[i : i + STRIP]
            strip += A[i : i + STRIP, k : k + INNER] @ B[k : k + INNER]
            reduce_in_place(strip, p)
    return out


def inverse_mod(S: FloatArray, p: int) -> FloatArray:
    """Invert a square matrix modulo p, by halves, so that few numbers are converted.

    Parameters
    ----------
    S : float64 array of shape (n, n)
        Centred residues.
    p : int

    Returns
    -------
    float64 array of shape (n, n)

    Raises
    ------
    ZeroDivisionError
        If the determinant is zero modulo p.
    """
    if len(S) <= SMALL:
        return _flint_inverse(S, p)
    h = len(S) // 2
    try:
        top = inverse_mod(S[:h, :h], p)
        left = matmul_mod(S[h:, :h], top, p)
        schur = S[h:, h:] - matmul_mod(left, S[:h, h:], p)
        reduce_in_place(schur, p)
        corner = inverse_mod(schur, p)
    except ZeroDivisionError:  # a leading minor is zero, the block itself need not be singular
        return _flint_inverse(S, p)
    right = matmul_mod(top, S[:h, h:], p)
    out = np.empty_like(S)
    out[h:, h:] = corner
    out[h:, :h] = -matmul_mod(corner, left, p)
    out[:h, h:] = -matmul_mod(right, corner, p)
    out[:h, :h] = top - matmul_mod(right, out[h:, :h], p)
    reduce_in_place(out, p)
    return out


def independent_columns(A: FloatArray, p: int) -> list[int]:
    """Find the lexicographically first columns that span all of them modulo p.

    Parameters
    ----------
    A : float64 array of shape (m, n)
        Centred residues.
    p : int

    Returns
    -------
    list of int
        Increasing.
    """
    return pivot_columns(_to_flint(A, p))


class Workspace(Protocol):
    """A matrix of centred residues under elimination, wherever it lives."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def block(self) -> int:
        """Pivots to eliminate at a time, at most `INNER`."""
        ...

    def pull(self, rows: slice, columns: slice) -> FloatArray:
        """Return a part of the matrix on the host, to be read only."""
        ...

    def is_zero(self, rows: slice, columns: slice) -> bool:
        """Tell whether a part of the matrix is zero modulo p."""
        ...

    def reorder(self, target: Places, order: npt.NDArray[np.intp], axis: int) -> None:
        """Put the rows (columns) that are at `order` to `target`, a permutation of them."""
        ...

    def eliminate(self, at: int, found: int, live: int, inverse: FloatArray) -> None:
        """Subtract from rows ``at + found`` to `live` what clears the pivot columns.

        The pivots are the block of order `found` that starts at row and column `at`; `inverse` is
        its inverse. The pivot columns themselves need not be cleared: they are not read again.
        """
        ...


def rank_profile(
    A: FloatArray,
    p: int,
    *,
    enough: int | None = None,
    tick: Tick | None = None,
) -> tuple[list[int], list[int]]:
    """Find rows and columns of a largest minor that is nonzero modulo p.

    Parameters
    ----------
    A : float64 array of shape (m, n)
        Centred residues. Used as workspace: its contents are lost.
    p : int
        A prime of at most 23 bits.
    enough : int, optional
        Stop once this many pivots are found, for instance at a known upper bound.
    tick : callable, optional
        Called as ``tick(pivots, at most)`` after each block; may raise to stop.

    Returns
    -------
    rows, columns : list of int
        Equally long, increasing.

    Notes
    -----
    About ``2 m n r - (m + n) r**2 + 2/3 r**3`` float64 operations for rank r. What is left of a
    singular block of rows and columns is passed over for the moment, or for good if it is zero now;
    with less than an eighth of pivots it is searched over its whole width.

    Examples
    --------
    >>> rank_profile(np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0], [1.0, 0.0, 0.0]]), 8388593)
    ([0, 2], [0, 1])
    """
    if A.size <= FLINT_ENTRIES:
        return _small_rank_profile(A, p, enough)
    with strip_workers() as for_each:
        return find_pivots(_Strips(A, p, for_each), p, enough=enough, tick=tick)


def _small_rank_profile(A: FloatArray, p: int, enough: int | None) -> tuple[list[int], list[int]]:
    check_prime(p)
    rows, columns = _pivots_of(A, p)
    if enough is not None and enough < len(rows):
        rows = rows[:enough]
        columns = independent_columns(A[rows], p)  # part of a nonzero minor need not be one
    return rows, columns


def find_pivots(
    work: Workspace, p: int, *, enough: int | None = None, tick: Tick | None = None
) -> tuple[list[int], list[int]]:
    """Eliminate a matrix block by block: `rank_profile`, wherever the matrix lives.

    Parameters
    ----------
    work : Workspace
        Holds centred residues; they are lost.
    p : int
        A prime of at most 23 bits.
    enough : int, optional
        Stop once this many pivots are found.
    tick : callable, optional
        Called as ``tick(pivots, at most)`` after each block; may raise to stop.

    Returns
    -------
    rows, columns : list of int
        Equally long, increasing.
    """
    m, n = work.shape
    most = min(m, n) if enough is None else min(m, n, enough)
    row_at, column_at = np.arange(m), np.arange(n)
    done, live, width = (
        0,
        m,
        n,
    )  # rows from `live` on, columns from `width` on, are known to be zero
    while done < min(most, live, width):
        if tick is not None:
            tick(done, most)
        # No larger than what is still wanted: part of a pivot block need not be a nonzero minor.
        size = min(work.block, live - done, width - done, most - done)
        here, everywhere = slice(done, done + size), slice(done, width)
        rows, columns, inverse = _pivot_block(work.pull(here, here), p)
        if not rows and work.is_zero(slice(done, live), everywhere):
            break
        wide = len(rows) < max(1, size // FEW)
        if wide:
            rows, columns, inverse = _pivots_over(work.pull(here, everywhere), p)
        _bring_to_front(work, row_at, done, rows, axis=0)
        _bring_to_front(work, column_at, done, columns, axis=1)
        found = len(rows)
        if found:
            work.eliminate(done, found, live, inverse)
        done += found
        left = size - found
        rest = slice(done, done + left)
        # After a wide search the other rows depend on the pivots. After a narrow one they may, as
        # in a Gram matrix, where the columns do so too.
        if wide or (left and work.is_zero(rest, slice(done, width))):
            live = _retire(work, row_at, done, left, live, axis=0)
        elif left:
            _send_to_back(work, row_at, done, left, live, axis=0)
        if not wide and left:
            if work.is_zero(slice(done, live), rest):
                width = _retire(work, column_at, done, left, width, axis=1)
            else:
                _send_to_back(work, column_at, done, left, width, axis=1)
    return sorted(row_at[:done].tolist()), sorted(column_at[:done].tolist())


class _Strips:
    """A numpy matrix, updated strip by strip by as many threads as there are cores."""

    def __init__(self, A: FloatArray, p: int, for_each: ForEach) -> None:
        self._A, self._p, self._for_each = A, p, for_each

    @property
    def shape(self) -> tuple[int, int]:
        m, n = self._A.shape
        return m, n

    @property
    def block(self) -> int:
        return BLOCK

    def pull(self, rows: slice, columns: slice) -> FloatArray:
        return self._A[rows, columns]

    def is_zero(self, rows: slice, columns: slice) -> bool:
        # Strip by strip, since the first one mostly settles it.
        part = self._A[rows, columns]
        strips = (part[i : i + STRIP] for i in range(0, len(part), STRIP))
        return not any(np.fmod(strip, self._p).any() for strip in strips)

    def reorder(self, target: Places, order: npt.NDArray[np.intp], axis: int) -> None:
        if axis == 0:
            self._A[target] = self._A[order]
        else:
            self._A[:, target] = self._A[:, order]

    def eliminate(self, at: int, found: int, live: int, inverse: FloatArray) -> None:
        A, p, k = self._A, self._p, at + found
        right = np.ascontiguousarray(A[at:k, k:])

        def update(start: int) -> None:
            strip = slice(start, min(start + STRIP, live))
            factor = A[strip, at:k] @ inverse
            reduce_in_place(factor, p)
            rest = A[strip, k:]
            rest -= factor @ right
            reduce_in_place(rest, p)

        self._for_each(update, range(k, live, STRIP))


def _pivot_block(S: FloatArray, p: int) -> tuple[list[int], list[int], FloatArray]:
    """Find pivots inside a square block, and the inverse of the pivot minor."""
    try:
        return list(range(len(S))), list(range(len(S))), inverse_mod(S, p)
    except ZeroDivisionError:
        return _pivots_over(S, p)


def _pivots_over(S: FloatArray, p: int) -> tuple[list[int], list[int], FloatArray]:
    """Find the pivots of a wide strip, and the inverse of the pivot minor."""
    rows, columns = _pivots_of(S, p)
    return rows, columns, inverse_mod(S[np.ix_(rows, columns)], p) if rows else S[:0, :0]


def _pivots_of(S: FloatArray, p: int) -> tuple[list[int], list[int]]:
    return pivots_of_residues(_to_flint(S, p))


def _flint_inverse(S: FloatArray, p: int) -> FloatArray:
    flat = [int(x) for x in _to_flint(S, p).inv().entries()]
    return centred(np.array(flat, dtype=np.int64).reshape(S.shape), p)


def _to_flint(S: FloatArray, p: int) -> nmod_mat:
    entries = (S.astype(np.int64) % p).ravel().tolist()
    return nmod_mat(S.shape[0], S.shape[1], entries, p)


def _bring_to_front(
    work: Workspace, labels: npt.NDArray[np.intp], start: int, picked: list[int], *, axis: int
) -> None:
    """Move picked rows (columns), counted from `start`, to `start`, keeping their order."""
    if picked == list(range(len(picked))):
        return
    last = max(picked) + 1
    chosen = set(picked)
    order = start + np.array([*picked, *(i for i in range(last) if i not in chosen)])
    _reorder(work, labels, slice(start, start + last), order, axis)


def _send_to_back(
    work: Workspace, labels: npt.NDArray[np.intp], start: int, count: int, end: int, *, axis: int
) -> None:
    """Exchange `count` rows (columns) at `start` with the last ones before `end`."""
    count = min(count, (end - start) // 2)
    if count <= 0:
        return
    front, back = np.arange(start, start + count), np.arange(end - count, end)
    both = np.concatenate([front, back])
    _reorder(work, labels, both, np.concatenate([back, front]), axis)


def _retire(
    work: Workspace, labels: npt.NDArray[np.intp], start: int, count: int, end: int, *, axis: int
) -> int:
    """Put `count` zero rows (columns) at `start` behind those before `end`; return the new end."""
    kept = end - count
    moving = min(count, kept - start)
    if moving > 0:
        source, target = np.arange(end - moving, end), np.arange(start, start + moving)
        both = np.concatenate([target, source])
        _reorder(work, labels, both, np.concatenate([source, target]), axis)
    return kept


def _reorder(
    work: Workspace,
    labels: npt.NDArray[np.intp],
    target: Places,
    order: npt.NDArray[np.intp],
    axis: int,
) -> None:
    labels[target] = labels[order]
    work.reorder(target, order, axis)
