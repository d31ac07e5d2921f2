"""Checks for functions that compute the rank of a matrix."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from exactdim.arith.matrix import matrix_rank
from exactdim.nets.jacobian import jacobian
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.symmetry import rescale
from exactdim.testing._checks.check import Array, Check, Level, check_level, spelled
from exactdim.testing.assertions import integer_or_none

__all__ = ["rank_checks"]


def rank_checks(*, level: Level = "exact", seed: int = 0) -> list[Check]:
    """Return the checks for a function that computes the rank of a matrix.

    The function is called with one numpy array, two-dimensional, float64 unless the name of the
    check says otherwise. Wrap what wants something else:
    ``lambda A: torch.linalg.matrix_rank(torch.from_numpy(A).double())``.

    Parameters
    ----------
    level : {"exact", "any"}
        ``"any"`` leaves out what only exact code can pass. Its matrices are well conditioned: the
        smallest nonzero singular value is far above the rounding noise of float32, and the default
        of ``numpy.linalg.matrix_rank`` passes.
    seed : int
        Other seeds give other matrices of the same kinds.

    Returns
    -------
    list of Check

    Notes
    -----
    A function may refuse matrices without rows or columns, by any exception; if it answers, the
    answer is 0. Everything else must be answered.

    To leave out what is known to fail, filter by name and say so in your tests:
    ``[check for check in rank_checks() if check.name not in known]``.

    Examples
    --------
    >>> len(rank_checks()) > len(rank_checks(level="any")) > 20
    True
    """
    check_level(level)
    return [make(seed) for at, make in _RANK_CHECKS if at == "any" or level == "exact"]


# -- ranks: cases and judges -----------------------------------------------------------------------


class _Case(NamedTuple):
    """A matrix of known rank; `formula` spells it where its entries would be too many."""

    matrix: Array
    rank: int
    formula: str | None = None

    def __str__(self) -> str:
        return f"A = {self.formula or spelled(self.matrix)}"


Cases: TypeAlias = Callable[[random.Random], Iterator[_Case]]
RankJudge: TypeAlias = Callable[[Callable[[Array], Any], _Case], str | None]


def _wrong_rank(rank: Callable[[Array], Any], case: _Case) -> str | None:
    exact = matrix_rank(case.matrix)
    if exact != case.rank:
        raise AssertionError(
            f"rank {case.rank} by construction, {exact} computed: a bug in exactdim"
        )
    found = rank(case.matrix)
    return None if _equal(found, exact) else _returned(found, exact)


def _no_integer(rank: Callable[[Array], Any], case: _Case) -> str | None:
    found = rank(case.matrix)
    if integer_or_none(found) is not None:
        return None
    return f"{_returned(found, case.rank)}; this is of type {type(found).__name__}"


def _written_into(rank: Callable[[Array], Any], case: _Case) -> str | None:
    before = case.matrix.copy()
    rank(case.matrix)
    if before.tobytes() == case.matrix.tobytes():
        return None
    return f"the argument was changed to {spelled(case.matrix)}"


def _wrong_if_answered(rank: Callable[[Array], Any], case: _Case) -> str | None:
    try:
        found = rank(case.matrix)
    except Exception:
        return None
    return None if _equal(found, case.rank) else _returned(found, case.rank)


def _returned(found: object, exact: int) -> str:
    number = integer_or_none(found)
    answer = repr(found) if number is None else str(number)
    return f"returned {answer}, the exact rank is {exact}"


def _equal(found: object, exact: int) -> bool:
    try:
        return bool(found == exact)
    except Exception:  # an array of several numbers, whatever its library raises
        return False


_RANK_CHECKS: list[tuple[Level, Callable[[int], Check]]] = []


def _register(name: str, level: Level, law: str, cases: Cases, judge: RankJudge) -> None:
    def make(seed: int) -> Check:
        return Check(name, level, law, lambda: cases(random.Random(seed)), judge)

    _RANK_CHECKS.append((level, make))


def _rank_check(level: Level, law: str, judge: RankJudge = _wrong_rank) -> Callable[[Cases], Cases]:
    """Register cases as a check, under their own name."""

    def register(cases: Cases) -> Cases:
        _register(cases.__name__.removeprefix("_"), level, law, cases, judge)
        return cases

    return register


def _same_rank(
    name: str, law: str, change: Callable[[Array], Iterable[Array]], level: Level = "any"
) -> None:
    """Register a change that keeps the rank of every matrix."""

    def cases(draw: random.Random) -> Iterator[_Case]:
        for A, r in _samples(draw):
            for changed in change(A):
                yield _Case(changed, r)

    _register(name, level, law, cases, _wrong_rank)


def _samples(draw: random.Random) -> Iterator[tuple[Array, int]]:
    """Draw matrices of known rank, the small ones first.

    Yields
    ------
    A : float64 array
        With small integer entries.
    r : int
        Its rank. ``A = L R`` where L holds the identity of order r among its rows and R among its
        columns, so that all r nonzero singular values are at least 1.
    """
    for rows, columns, rank in (
        (2, 2, 1), (2, 3, 2), (3, 2, 1), (3, 3, 2), (4, 4, 4), (4, 6, 3), (6, 4, 2), (7, 5, 5),
        (9, 9, 6),
    ):  # fmt: skip
        L, R = (_holding_identity(draw, length, rank) for length in (rows, columns))
        yield (L @ R.T).astype(np.float64), rank


def _holding_identity(draw: random.Random, rows: int, columns: int) -> Array:
    table = [[int(i == j) for j in range(columns)] for i in range(columns)]
    table += [[draw.randint(-1, 1) for _ in range(columns)] for _ in range(rows - columns)]
    draw.shuffle(table)
    return np.array(table, dtype=np.int64)


def _floats(*rows: Sequence[float]) -> Array:
    return np.array(rows, dtype=np.float64)


# -- ranks: what every sensible function must get right --------------------------------------------


@_rank_check("any", "A matrix of zeros has rank 0.")
def _zero_matrices(draw: random.Random) -> Iterator[_Case]:
    for shape in ((1, 1), (1, 4), (3, 1), (2, 2), (5, 3)):
        yield _Case(np.zeros(shape), 0)


@_rank_check("any", "A rank is an integer scalar, one that can be an index.", _no_integer)
def _integer_scalars(draw: random.Random) -> Iterator[_Case]:
    yield from (_Case(A, r) for A, r in _samples(draw))


@_rank_check("any", "The argument is left as it was.", _written_into)
def _unchanged_input(draw: random.Random) -> Iterator[_Case]:
    yield from (_Case(A, r) for A, r in _samples(draw))


@_rank_check(
    "any",
    "A matrix without rows or columns has rank 0, unless the function refuses it.",
    _wrong_if_answered,
)
def _empty_matrices(draw: random.Random) -> Iterator[_Case]:
    for shape in ((0, 0), (0, 3), (3, 0)):
        yield _Case(np.zeros(shape), 0)


@_rank_check("any", "The identity of order n has rank n.")
def _identities(draw: random.Random) -> Iterator[_Case]:
    for n in (1, 2, 3, 5, 8, 16):
        yield _Case(np.eye(n), n, f"np.eye({n})")


@_rank_check("any", "A vector has rank 1, or 0 if all its entries are zero.")
def _single_rows_and_columns(draw: random.Random) -> Iterator[_Case]:
    for vector in ([3], [0, 2], [0, 0, 0], [1, 1, 1, 1], [-5, 0, 0, 7, 0]):
        yield _Case(_floats(vector), int(any(vector)))
        yield _Case(_floats(vector).T.copy(), int(any(vector)))


@_rank_check("any", "The product of a column and a row, neither of them zero, has rank 1.")
def _outer_products(draw: random.Random) -> Iterator[_Case]:
    for shape in ((2, 2), (3, 5), (6, 4), (8, 8)):
        column, row = (_floats([draw.randint(1, 9) for _ in range(n)])[0] for n in shape)
        yield _Case(np.outer(column, row), 1)


_same_rank(
    "products",
    "L R has rank r if L has r independent columns and R has r independent rows.",
    lambda A: [A],
)
_same_rank(
    "zero_rows_and_columns",
    "Rows and columns of zeros add nothing.",
    lambda A: [np.insert(A, at, 0, axis) for axis in (0, 1) for at in (0, 1, A.shape[axis])],
)
_same_rank(
    "duplicated_rows",
    "Rows that occur again add nothing.",
    lambda A: [np.vstack([A, A[-1:]]), np.repeat(A, 2, axis=0)],
)
_same_rank(
    "duplicated_columns",
    "Columns that occur again add nothing.",
    lambda A: [np.hstack([A, A[:, -1:]]), np.repeat(A, 2, axis=1)],
)
_same_rank(
    "permutations",
    "The order of rows and of columns does not matter.",
    lambda A: [A[::-1].copy(), A[:, ::-1].copy(), np.roll(A, (1, 1), axis=(0, 1))],
)
_same_rank(
    "transposes",
    "A matrix and its transpose have the same rank.",
    lambda A: [A, A.T.copy()],
)
_same_rank(
    "gram_matrices",
    "A A^T and A^T A have the rank of A (T24).",
    lambda A: [A @ A.T, A.T @ A],
)
_same_rank(
    "integer_dtype",
    "An array of int64 has the rank of the same numbers in float64.",
    lambda A: [A.astype(np.int64)],
)
_same_rank(
    "int64_overflow",
    "Multiplying int64 entries by 2**40 changes nothing, though products of two leave int64.",
    lambda A: [A.astype(np.int64) << 40],
)
_same_rank(
    "scaled_matrices",
    "Multiplying a matrix by a number other than 0 changes nothing.",
    lambda A: [A * factor for factor in (-1, 2.0**-10, 2.0**-40, 2.0**40)],
)
_same_rank(
    "mildly_scaled_rows_and_columns",
    "Multiplying rows and columns by 1/4 to 4 changes nothing.",
    lambda A: [_powers(A, 0, 2) * A * _powers(A, 1, 2)],
)


def _powers(A: Array, axis: int, step: int) -> Array:
    """Return a factor per row or per column: 1, 2**step and 2**-step in turn."""
    cycle = (np.arange(A.shape[axis]) + 1) % 3 - 1
    return 2.0 ** (step * (cycle[:, None] if axis == 0 else cycle))


@_rank_check("any", "A part of a matrix has its own rank, never more than the whole.")
def _slices(draw: random.Random) -> Iterator[_Case]:
    for A, r in _samples(draw):
        yield _Case(A, r)
        for part in (A[:-1], A[::2], A[:, 1:], A[1:, :-1]):
            yield _Case(part.copy(), matrix_rank(part))


@_rank_check("any", "The ranks of diagonal blocks add up.")
def _block_diagonals(draw: random.Random) -> Iterator[_Case]:
    for (A, r), (B, s) in itertools.pairwise(_samples(draw)):
        blocks = np.zeros((len(A) + len(B), A.shape[1] + B.shape[1]))
        blocks[: len(A), : A.shape[1]] = A
        blocks[len(A) :, A.shape[1] :] = B
        yield _Case(blocks, r + s)


@_rank_check("any", "A matrix of ones has rank 1.")
def _all_ones(draw: random.Random) -> Iterator[_Case]:
    for n in (*range(1, 17), 24, 32):
        for shape in ((n, n), (n, n + 3)):
            yield _Case(np.ones(shape), 1, f"np.ones({shape})")


@_rank_check("any", "Small integer matrices may hide a relation, as in reports of wrong ranks.")
def _small_integers(draw: random.Random) -> Iterator[_Case]:
    yield _Case(_floats([1, 2, 3], [4, 5, 6], [7, 8, 9]), 2)
    yield _Case(np.arange(1.0, 17).reshape(4, 4), 2)
    rows = _floats([2, 4, 1, 3, 0, 5], [1, 7, 3, 2, 6, 4], [5, 3, 9, 8, 1, 2])
    yield _Case(np.vstack([rows, rows[0] - 2 * rows[1] + rows[2]]), 3)
    rows = _floats(
        [1, 0, 2, -1, 3, 0, 1, 4, -2],
        [0, 3, 1, 5, -1, 2, 0, 1, 6],
        [2, 1, 0, 0, 4, -3, 1, 1, 0],
        [0, 1, 1, -2, 0, 5, 3, -1, 2],
    )
    yield _Case(np.vstack([rows, rows[0] + rows[1] + rows[2] - rows[3]]), 4)


@_rank_check("any", "An array of float32 has the rank of the same numbers in float64.")
def _float32_dtype(draw: random.Random) -> Iterator[_Case]:
    for A, r in _samples(draw):
        yield _Case((A / 16).astype(np.float32), r)
        column, row = ([draw.randint(1, 99) for _ in range(n)] for n in A.shape)
        yield _Case(np.outer(column, row).astype(np.float32), 1)


@_rank_check("any", "How an array lies in memory does not matter.")
def _memory_layouts(draw: random.Random) -> Iterator[_Case]:
    for A, r in _samples(draw):
        yield _Case(np.asfortranarray(A), r, f"np.asfortranarray({spelled(A)})")
        wide = np.arange(2.0 * A.size).reshape(len(A), -1)
        wide[:, ::2] = A
        yield _Case(wide[:, ::2], r, f"{spelled(wide)}[:, ::2]")


@_rank_check("any", "A prime times a matrix has the rank of the matrix, though it is 0 modulo p.")
def _multiples_of_primes(draw: random.Random) -> Iterator[_Case]:
    for p in (
        2, 3, 5, 7, 11, 13, 101, 127, 251, 257, 32003, 32749, 65521, 65537, 8388593, 999983,
        1000003, 998244353, 10**9 + 7, 2**31 - 1, 2**32 - 5, 2**61 - 1, 2**62 - 57, 2**63 - 25,
    ):  # fmt: skip
        yield _Case(np.array([[p, p, 0], [0, p, p]], dtype=np.int64), 2)


@_rank_check("any", "No rational row is orthogonal to itself, as some are modulo a prime (T24).")
def _isotropic_rows(draw: random.Random) -> Iterator[_Case]:
    for row in ([1, 1], [1, 2], [2, 3], [1, 1, 1], [2, 2041534867, 1]):
        zeros = [0] * len(row)
        yield _Case(_floats(row), 1)
        yield _Case(_floats(row + zeros, zeros + row), 2)


# -- ranks: what only exact code gets right --------------------------------------------------------


_same_rank(
    "scaled_rows",
    "Multiplying rows by powers of two changes nothing, however large they are.",
    lambda A: [_powers(A, 0, 80) * A],
    "exact",
)
_same_rank(
    "scaled_columns",
    "Multiplying columns by powers of two changes nothing, however large they are.",
    lambda A: [A * _powers(A, 1, 80)],
    "exact",
)


def _rescaled_network(exponents: Iterable[int], dtype: npt.DTypeLike) -> Iterator[_Case]:
    """Yield Jacobians of x -> relu(0 x + 1) at two points, its unit rescaled by powers of two."""
    net, X = ReLUNetwork([[[0]], [[1]]], [[1], [0]]), [["1/2"], ["3/2"]]
    for k in exponents:
        yield _Case(jacobian(rescale(net, 0, 0, 2**k), X).to_numpy(dtype), 2)


@_rank_check("exact", "Rescaling a unit keeps the rank of a network's Jacobian (T6); in float32.")
def _rescaled_network_float32(draw: random.Random) -> Iterator[_Case]:
    yield from _rescaled_network((0, 4, 8, 10, 12, 16, 24), np.float32)


@_rank_check("exact", "Rescaling a unit keeps the rank of a network's Jacobian (T6); in float64.")
def _rescaled_network_float64(draw: random.Random) -> Iterator[_Case]:
    yield from _rescaled_network((0, 12, 20, 26, 30, 40, 60), np.float64)


@_rank_check("exact", "A triangular matrix with n nonzero diagonal entries has rank n.")
def _tiny_diagonals(draw: random.Random) -> Iterator[_Case]:
    for k in (10, 20, 30, 60, 300):
        e = 2.0**-k
        yield _Case(_floats([1, 1], [0, e]), 2)
        yield _Case(_floats([e, 1, 1], [0, e, 1], [0, 0, e]), 3)


@_rank_check("exact", "1 on the diagonal, -1 above: of rank n, but a tiny corner makes it n - 1.")
def _unit_triangles(draw: random.Random) -> Iterator[_Case]:
    for n in (
        4,
        8,
        16,
        24,
        32,
        40,
        48,
        56,
        64,
    ):  # as with Kahan's matrix, no entry shows how near it is to singular
        A = np.eye(n) - np.triu(np.ones((n, n)), 1)
        text = f"np.eye({n}) - np.triu(np.ones(({n}, {n})), 1)"
        yield _Case(A.copy(), n, text)
        A[-1, 0] = -(2.0 ** (2 - n))  # A (2**(n-2), ..., 4, 2, 1, 1)^T = 0
        corner = f"2.0**{2 - n} * np.outer(np.eye({n})[-1], np.eye({n})[0])"
        yield _Case(A, n - 1, f"{text} - {corner}")


@_rank_check("exact", "The Hilbert matrix, times a common denominator, has full rank.")
def _hilbert_matrices(draw: random.Random) -> Iterator[_Case]:
    for n in range(2, 14):
        common = math.lcm(*range(1, 2 * n))
        rows = [[common // (i + j + 1) for j in range(n)] for i in range(n)]
        formula = f"{common} // (np.add.outer(np.arange({n}), np.arange({n})) + 1.0)"
        yield _Case(_floats(*rows), n, formula)


@_rank_check("exact", "A row of ones over a small multiple of the identity of order n has rank n.")
def _lauchli_matrices(draw: random.Random) -> Iterator[_Case]:
    for k in (8, 16, 27, 40, 60):
        yield _Case(np.vstack([np.ones(3), np.eye(3) * 2.0**-k]), 3)


@_rank_check("exact", "Floats that differ in their last place only are different numbers.")
def _neighbouring_floats(draw: random.Random) -> Iterator[_Case]:
    for a, d in ((1.0, 2.0**-50), (2.0**53 - 2, 1.0), (2.0**60, 2.0**8)):
        yield _Case(_floats([a + d, a], [a, a - d]), 2)
        yield _Case(_floats([a + d, a], [2 * a + 2 * d, 2 * a]), 1)


@_rank_check("exact", "An int64 beyond 2**53 is the integer that it is, not the nearest float64.")
def _large_int64(draw: random.Random) -> Iterator[_Case]:
    for a in (2**53, 2**62, 2**63 - 2):
        yield _Case(np.array([[a + 1, a], [a, a - 1]], dtype=np.int64), 2)
        yield _Case(np.array([[a + 1, a - 1, 3], [-a - 1, 1 - a, -3]], dtype=np.int64), 1)


@_rank_check("exact", "The float 0.1 is not 1/10, but the dyadic number that its bits spell.")
def _decimal_fractions(draw: random.Random) -> Iterator[_Case]:
    for n in (3, 10, 49):
        yield _Case(_floats([1, 1 / n], [n, 1]), 2)  # no float is 1/n, so the minor is not 0
        yield _Case(_floats([1, 1 / n], [2, 2 / n]), 1)


@_rank_check("exact", "Numbers at the ends of the range of float64 are neither 0 nor infinite.")
def _extreme_exponents(draw: random.Random) -> Iterator[_Case]:
    tiny, huge = 2.0**-1074, 2.0**1023
    yield _Case(_floats([tiny]), 1)
    yield _Case(_floats([tiny, 2 * tiny], [2 * tiny, 4 * tiny]), 1)
    yield _Case(_floats([tiny, 2 * tiny], [2 * tiny, 5 * tiny]), 2)
    yield _Case(_floats([huge, huge], [huge, huge]), 1)
    yield _Case(_floats([huge, huge], [huge, -huge]), 2)
    yield _Case(_floats([tiny, 0], [0, huge]), 2)
