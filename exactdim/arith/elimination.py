"""Dense rank modulo a small prime at the speed of float64 matrix products.

Residues are centred, so that 448 products of two of them add up below 2**53 and a float64 matrix
product over that inner length is exact in whatever order it sums. Gaussian elimination is arranged
so that nearly all work is such products: a block of pivots is inverted by FLINT, the rest of the
matrix is updated and reduced strip by strip while it is in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    "centred",
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

SMALL = 64
"""Order up to which FLINT inverts a block; above, it is halved."""

STRIP = 128
"""Rows updated at a time, so that product and reduction meet in the cache."""


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

    Raises
    ------
    InvalidInput
        If p has more than 23 bits or is even.
    """
    if not 2 < p < 2**PRIME_BITS or p % 2 == 0:
        raise InvalidInput(f"fast elimination wants an odd prime below 2**{PRIME_BITS}, not {p}")
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


def rank_profile(
    A: FloatArray,
    p: int,
    *,
    enough: int | None = None,
    tick: Callable[[int, int], None] | None = None,
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
    About ``2 m n r - (m + n) r**2 + 2/3 r**3`` float64 operations for rank r. A block of rows and
    columns that turns out singular is passed over for the moment if half of it is pivots, and else
    searched for pivots over its whole width.

    Examples
    --------
    >>> rank_profile(np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0], [1.0, 0.0, 0.0]]), 8388593)
    ([0, 2], [0, 1])
    """
    with strip_workers() as for_each:
        return _rank_profile(A, p, enough, tick, for_each)


def _rank_profile(
    A: FloatArray,
    p: int,
    enough: int | None,
    tick: Callable[[int, int], None] | None,
    for_each: ForEach,
) -> tuple[list[int], list[int]]:
    m, n = A.shape
    most = min(m, n) if enough is None else min(m, n, enough)
    row_at, column_at = np.arange(m), np.arange(n)
    done, live = 0, m  # rows from `live` on are known to be zero
    while done < most and done < live:
        if tick is not None:
            tick(done, most)
        # No larger than what is still wanted: part of a pivot block need not be a nonzero minor.
        size = min(BLOCK, live - done, most - done)
        rows, columns, inverse = _pivot_block(A[done : done + size, done : done + size], p)
        wide = len(rows) < max(1, size // 2)
        if wide:
            rows, columns = _pivots_of(A[done : done + size, done:], p)
            rows, columns = rows[:size], columns[:size]
            if rows:
                part = A[np.ix_(np.add(rows, done), np.add(columns, done))]
                inverse = inverse_mod(part, p)
        _bring_to_front(A, row_at, done, rows, axis=0)
        _bring_to_front(A, column_at, done, columns, axis=1)
        found = len(rows)
        if found:
            _eliminate(A, done, found, live, inverse, p, for_each)
        left = size - found
        if wide:
            # The other rows of the block depend on the pivots, over the whole width: now zero.
            live = _retire(A, row_at, done + found, left, live)
        elif left:
            _send_to_back(A, row_at, done + found, left, live, axis=0)
            _send_to_back(A, column_at, done + found, left, n, axis=1)
        done += found
    return sorted(row_at[:done].tolist()), sorted(column_at[:done].tolist())


def _eliminate(
    A: FloatArray, k: int, r: int, live: int, inverse: FloatArray, p: int, for_each: ForEach
) -> None:
    """Subtract from the rows below what clears the columns of the pivot block."""
    right = np.ascontiguousarray(A[k : k + r, k + r :])

    def update(start: int) -> None:
        strip = slice(start, min(start + STRIP, live))
        factor = A[strip, k : k + r] @ inverse
        reduce_in_place(factor, p)
        rest = A[strip, k + r :]
        rest -= factor @ right
        reduce_in_place(rest, p)

    for_each(update, range(k + r, live, STRIP))


def _pivot_block(S: FloatArray, p: int) -> tuple[list[int], list[int], FloatArray]:
    """Find pivots inside a square block, and the inverse of the pivot minor."""
    try:
        return list(range(len(S))), list(range(len(S))), inverse_mod(S, p)
    except ZeroDivisionError:
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
    A: FloatArray, labels: npt.NDArray[np.intp], start: int, picked: list[int], *, axis: int
) -> None:
    """Move picked rows (columns), counted from `start`, to `start`, keeping their order."""
    if picked == list(range(len(picked))):
        return
    last = max(picked) + 1
    chosen = set(picked)
    order = start + np.array([*picked, *(i for i in range(last) if i not in chosen)])
    _reorder(A, labels, slice(start, start + last), order, axis)


def _send_to_back(
    A: FloatArray, labels: npt.NDArray[np.intp], start: int, count: int, end: int, *, axis: int
) -> None:
    """Exchange `count` rows (columns) at `start` with the last ones before `end`."""
    count = min(count, (end - start) // 2)
    if count <= 0:
        return
    front, back = np.arange(start, start + count), np.arange(end - count, end)
    both = np.concatenate([front, back])
    _reorder(A, labels, both, np.concatenate([back, front]), axis)


def _reorder(
    A: FloatArray,
    labels: npt.NDArray[np.intp],
    target: slice | npt.NDArray[np.intp],
    order: npt.NDArray[np.intp],
    axis: int,
) -> None:
    labels[target] = labels[order]
    if axis == 0:
        A[target] = A[order]
    else:
        A[:, target] = A[:, order]


def _retire(A: FloatArray, labels: npt.NDArray[np.intp], start: int, count: int, live: int) -> int:
    """Put `count` zero rows at `start` behind the live ones; return how many are live."""
    kept = live - count
    moving = min(count, kept - start)
    if moving > 0:
        source, target = np.arange(live - moving, live), np.arange(start, start + moving)
        both = np.concatenate([target, source])
        _reorder(A, labels, both, np.concatenate([source, target]), 0)
    return kept
