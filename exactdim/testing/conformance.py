"""Conformance checks for other people's rank and Jacobian code.

A `Check` is called with the function under test and raises ``AssertionError`` with a counterexample
that can be pasted into Python. What the right answer is follows from how a matrix is made and is
decided again by `exactdim.matrix_rank`; the checks for Jacobians are laws that every Jacobian of a
ReLU network obeys (T3, T6, T7), and equality with `exactdim.jacobian`.
"""

from __future__ import annotations

import inspect
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from exactdim.arith.matrix import QMatrix, matrix_rank
from exactdim.arith.rationals import Number, to_fraction
from exactdim.errors import InvalidInput, MissingDependency
from exactdim.nets.jacobian import jacobian
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import activation_pattern
from exactdim.nets.symmetry import gauge_signs, gauge_vectors, permute, rescale
from exactdim.testing.assertions import integer_or_none, parameter_name

__all__ = [
    "Check",
    "Level",
    "jacobian_checks",
    "parametrize_with_checks",
    "rank_checks",
    "run_checks",
]

Level: TypeAlias = Literal["any", "exact"]
"""``"any"``: must hold for every sensible function. ``"exact"``: only exact code, or luck, passes;
a float function with a threshold is allowed to fail."""

Array: TypeAlias = npt.NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Check:
    """One law that a function must obey; call it with the function.

    What the function itself raises passes through, with a note that names the input.

    Attributes
    ----------
    name : str
    level : {"any", "exact"}
    law : str
        One sentence.

    Examples
    --------
    >>> by_name = {check.name: check for check in rank_checks()}
    >>> by_name["transposes"]
    Check(name='transposes', level='any', law='A matrix and its transpose have the same rank.')
    >>> by_name["zero_matrices"](lambda A: max(1, np.linalg.matrix_rank(A)))
    Traceback (most recent call last):
        ...
    AssertionError: zero_matrices: A matrix of zeros has rank 0.
    returned 1, the exact rank is 0, for
    A = np.array([[0]], dtype=np.float64)
    """

    name: str
    level: Level
    law: str
    cases: Callable[[], Iterator[Any]] = field(repr=False)
    judge: Callable[[Any, Any], str | None] = field(repr=False)

    def __call__(self, function: Callable[..., Any]) -> None:
        """Check one function.

        Parameters
        ----------
        function : callable
            A rank function or a Jacobian function, see `rank_checks` and `jacobian_checks`.

        Raises
        ------
        AssertionError
            If the function breaks the law.
        """
        __tracebackhide__ = True
        for case in self.cases():
            spelled = str(case)  # before the function can write into it
            try:
                complaint = self.judge(function, case)
            except Exception as error:
                error.add_note(f"raised in the check {self.name}, for\n{spelled}")
                raise
            if complaint is not None:
                raise AssertionError(f"{self.name}: {self.law}\n{complaint}, for\n{spelled}")


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
    _check_level(level)
    return [make(seed) for at, make in _RANK_CHECKS if at == "any" or level == "exact"]


def jacobian_checks(*, atol: Number = 0, seed: int = 0) -> list[Check]:
    """Return the checks for a function that computes parameter Jacobians of ReLU networks.

    The function is called as ``jac(net, X)`` with a `ReLUNetwork` and a float64 array of shape
    (n, N_0). It returns an array of shape (n N_L, P) with rows sample by sample and columns layer
    by layer: the weight row-major (out x in), then the bias if there is one.

    Parameters
    ----------
    atol : Number
        Absolute error allowed in each entry of what the function returns. None is needed by
        default: weights and samples are so short that neither float64 nor float32 rounds anything.
        The laws allow for what errors of this size can do, and for no more.
    seed : int
        Other seeds give other networks of the same kinds.

    Returns
    -------
    list of Check

    Raises
    ------
    InvalidInput
        If the tolerance is negative or no number.

    Notes
    -----
    Torch code is adapted like this; ``named_parameters`` has the order of the columns::

        def jac(net, X):
            module, x = net.to_torch(), torch.from_numpy(X)
            weights = {name: p.detach() for name, p in module.named_parameters()}
            f = lambda weights: torch.func.functional_call(module, weights, x)
            J = torch.func.jacrev(f)(weights)
            return torch.cat([J[name].flatten(2) for name in weights], 2).flatten(0, 1)

    Examples
    --------
    >>> [check.name for check in jacobian_checks()][:3]
    ['shapes', 'column_order', 'gauge_vectors_in_kernel']
    >>> run_checks(jacobian, checks=jacobian_checks())[0]
    ('shapes', None)
    """
    error = to_fraction(atol)
    if error < 0:
        raise InvalidInput(f"atol={error} is negative; give 0 or the error that you allow")
    return [make(seed, error) for make in _JACOBIAN_CHECKS]


def run_checks(
    function: Callable[..., Any],
    *,
    checks: Iterable[Callable[..., None]] | None = None,
    level: Level = "exact",
) -> list[tuple[str, Exception | None]]:
    """Run checks on a function, without pytest.

    Parameters
    ----------
    function : callable
    checks : iterable of Check, optional
        `rank_checks` by default. Any callable that takes the function is a check.
    level : {"exact", "any"}
        Checks of a higher level are left out.

    Returns
    -------
    list of (str, Exception or None)
        The name of each check, and what it or the function raised.

    Examples
    --------
    >>> [name for name, error in run_checks(matrix_rank) if error]
    []
    >>> failed = [name for name, error in run_checks(np.linalg.matrix_rank) if error]
    >>> "rescaled_network_float32" in failed, "duplicated_rows" in failed
    (True, False)
    """
    results: list[tuple[str, Exception | None]] = []
    for check in _chosen(checks, level):
        try:
            check(function)
        except Exception as error:
            results.append((_name(check), error))
        else:
            results.append((_name(check), None))
    return results


def parametrize_with_checks(
    functions: Iterable[Callable[..., Any]],
    *,
    checks: Iterable[Callable[..., None]] | None = None,
    level: Level = "exact",
) -> Callable[[F], F]:
    """Turn one pytest function into a test per function and check.

    Parameters
    ----------
    functions : iterable of callable
        The functions under test. A test is named after its function and its check, for instance
        ``matrix_rank-duplicated_rows``, or ``matrix_rank(tol=0)-all_ones`` for a
        `functools.partial`.
    checks : iterable of Check, optional
        `rank_checks` by default; give `jacobian_checks` for Jacobians. Any callable that takes the
        function under test is a check.
    level : {"exact", "any"}
        Checks of a higher level are left out.

    Returns
    -------
    decorator
        For a test function or method with an argument ``check``. The function under test goes to
        its first other argument (but ``self``); further arguments are fixtures, as usual.

    Raises
    ------
    InvalidInput
        If there is no function or no check, or the decorated function does not take them.
    MissingDependency
        If pytest is not installed.

    Examples
    --------
    >>> @parametrize_with_checks([np.linalg.matrix_rank, matrix_rank], level="any")
    ... def test_rank(rank, check):
    ...     check(rank)
    """
    try:
        import pytest
    except ImportError:
        raise MissingDependency(
            "parametrize_with_checks needs pytest: pip install pytest"
        ) from None
    if callable(functions):
        raise InvalidInput("give a list of functions, even where there is one only")
    under_test, chosen = list(functions), _chosen(checks, level)
    if not under_test or not chosen:
        raise InvalidInput(
            f"{len(under_test)} functions and {len(chosen)} checks make no test; give some of each"
        )

    def decorate(test: F) -> F:
        names = [name for name in inspect.signature(test).parameters if name != "self"]
        others = [name for name in names if name != "check"]
        if "check" not in names or not others:
            raise InvalidInput(
                f"{_name(test)} takes ({', '.join(names)}); it must take the function under test "
                "and 'check', as in def test_rank(rank, check)"
            )
        mark = pytest.mark.parametrize
        by_function = mark(others[0], under_test, ids=_distinct(map(_name, under_test)))
        by_check = mark("check", chosen, ids=_distinct(map(_name, chosen)))
        decorated: F = by_check(by_function(test))
        return decorated

    return decorate


def _chosen(
    checks: Iterable[Callable[..., None]] | None, level: Level
) -> list[Callable[..., None]]:
    _check_level(level)
    if checks is None:
        return list(rank_checks(level=level))
    return [c for c in checks if level == "exact" or getattr(c, "level", "any") == "any"]


def _check_level(level: Level) -> None:
    if level not in get_args(Level):
        raise InvalidInput(f"level={level!r} is unknown; choose 'any' or 'exact'")


def _name(function: Callable[..., Any]) -> str:
    """Name a callable of any kind, for people."""
    if isinstance(function, Check):
        return function.name
    if isinstance(function, partial):
        given = [repr(x) for x in function.args]
        given += [f"{key}={value!r}" for key, value in function.keywords.items()]
        return f"{_name(function.func)}({', '.join(given)})"
    name = str(getattr(function, "__name__", type(function).__name__))
    return "lambda" if name == "<lambda>" else name


def _distinct(names: Iterable[str]) -> list[str]:
    """Append a number to names that occur again."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return out


# -- ranks: cases and judges -----------------------------------------------------------------------


class _Case(NamedTuple):
    """A matrix of known rank; `formula` spells it where its entries would be too many."""

    matrix: Array
    rank: int
    formula: str | None = None

    def __str__(self) -> str:
        return f"A = {self.formula or _spelled(self.matrix)}"


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
    return f"the argument was changed to {_spelled(case.matrix)}"


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


def _spelled(matrix: Array) -> str:
    if not matrix.size:
        return f"np.zeros({matrix.shape}, dtype=np.{matrix.dtype})"
    rows = ", ".join("[" + ", ".join(map(_literal, row)) + "]" for row in matrix.tolist())
    return f"np.array([{rows}], dtype=np.{matrix.dtype})"


def _literal(x: float) -> str:
    """Spell a number so that Python reads the same one, briefly."""
    if isinstance(x, int) or (x.is_integer() and abs(x) < 2**53 and str(x) != "-0.0"):
        return str(int(x))
    mantissa, exponent = math.frexp(x)
    power = f"{'-' if x < 0 else ''}2.0**{exponent - 1}"
    return power if abs(mantissa) == 0.5 and len(power) < len(repr(x)) else repr(x)


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
        yield _Case(np.asfortranarray(A), r, f"np.asfortranarray({_spelled(A)})")
        wide = np.arange(2.0 * A.size).reshape(len(A), -1)
        wide[:, ::2] = A
        yield _Case(wide[:, ::2], r, f"{_spelled(wide)}[:, ::2]")


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


# -- Jacobians: problems and how an answer is read -------------------------------------------------


class _Problem(NamedTuple):
    """A network and a batch without kinks, so short that float32 rounds nothing."""

    net: ReLUNetwork
    X: Array

    def __str__(self) -> str:
        weights = [[_strings(row) for row in W.tolist()] for W in self.net.weights]
        biases = [None if b is None else _strings(b.tolist()[0]) for b in self.net.biases]
        return f"net = ReLUNetwork({weights}, {biases})\nX = {_spelled(self.X)}"


Read: TypeAlias = Callable[[ReLUNetwork, Array], QMatrix]
"""The function under test; what it returns is read exactly and has the right shape."""

Law: TypeAlias = Callable[[Read, _Problem, Fraction], str | None]
"""The last argument is the error allowed in an entry."""

Problems: TypeAlias = Callable[[random.Random], Iterator[_Problem]]


class _NoJacobianError(Exception):
    """What the function returned cannot be read or has another shape."""


def _problems(draw: random.Random) -> Iterator[_Problem]:
    """Draw networks with and without biases, hidden layers and several outputs."""
    for widths, bias in (
        ((1, 1, 1), (True, True)),
        ((2, 2), (True,)),
        ((2, 3, 1), (True, True)),
        ((2, 3, 2), (False, False)),
        ((2, 2, 2, 1), (True, True, True)),
        ((1, 2, 3, 2), (True, False, True)),
    ):
        while True:
            net = ReLUNetwork.random(widths, seed=draw.getrandbits(32), bits=3, bias=bias)
            rows = [[(2 * draw.getrandbits(3) - 7) / 4 for _ in range(widths[0])] for _ in range(3)]
            if not activation_pattern(net, rows, on_kink="zero").kinks:
                break
        yield _Problem(net, np.array(rows))


def _problems_with_dead_units(draw: random.Random) -> Iterator[_Problem]:
    for net, X in _problems(draw):
        bias = net.biases[0]
        if net.n_hidden and bias is not None:
            low = [-64, *bias.tolist()[0][1:]]
            dead = ReLUNetwork(net.weights, [low, *net.biases[1:]])
            if not activation_pattern(dead, X, on_kink="zero").kinks:
                yield _Problem(dead, X)


_JACOBIAN_CHECKS: list[Callable[[int, Fraction], Check]] = []


def _jacobian_check(sentence: str, problems: Problems = _problems) -> Callable[[Law], Law]:
    """Register a law as a check, under its own name."""

    def register(law: Law) -> Law:
        def make(seed: int, error: Fraction) -> Check:
            def judge(jac: Callable[[ReLUNetwork, Array], Any], problem: _Problem) -> str | None:
                try:
                    return law(partial(_read, jac), problem, error)
                except _NoJacobianError as fault:
                    return str(fault)

            name = law.__name__.removeprefix("_")
            return Check(name, "any", sentence, lambda: problems(random.Random(seed)), judge)

        _JACOBIAN_CHECKS.append(make)
        return law

    return register


def _read(jac: Callable[[ReLUNetwork, Array], Any], net: ReLUNetwork, X: Array) -> QMatrix:
    answer = jac(net, X.copy())
    try:
        found = QMatrix(answer, name="the Jacobian")
    except InvalidInput as error:
        raise _NoJacobianError(str(error)) from None
    shape = (len(X) * net.widths[-1], net.n_parameters)
    if found.shape != shape:
        raise _NoJacobianError(f"the Jacobian has shape {found.shape}, it should have {shape}")
    return found


def _first_difference(
    found: QMatrix, wanted: QMatrix, net: ReLUNetwork, error: Fraction
) -> str | None:
    """Describe the first entry that is further off than allowed."""
    for i, (row, right) in enumerate(zip(found.tolist(), wanted.tolist(), strict=True)):
        for j, (a, e) in enumerate(zip(row, right, strict=True)):
            if abs(a - e) > error:
                sample, output = divmod(i, net.widths[-1])
                return (
                    f"the entry at sample {sample}, output {output}, column {j} "
                    f"({parameter_name(net, j)}) is {a}, it should be {e}"
                )
    return None


def _hidden_units(net: ReLUNetwork) -> list[tuple[int, int]]:
    return [(layer, k) for layer in range(net.depth - 1) for k in range(net.widths[layer + 1])]


def _strings(row: list[Fraction]) -> list[str]:
    return [str(x) for x in row]


# -- Jacobians: laws -------------------------------------------------------------------------------


@_jacobian_check(
    "There is a row per sample and output and a column per parameter, biases included."
)
def _shapes(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    jac(problem.net, problem.X)
    jac(problem.net, problem.X[:1])
    return None


@_jacobian_check(
    "Every entry is that of `exactdim.jacobian`: weights row-major, then biases, per layer."
)
def _column_order(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    found, exact = jac(*problem), jacobian(*problem)
    difference = _first_difference(found, exact, problem.net, error)
    if difference and sorted(found.T.tolist()) == sorted(exact.T.tolist()):
        return f"the columns are right but in another order: {difference}"
    return difference


@_jacobian_check(
    "J t = 0 if t has +w and +b at what enters a hidden unit, -v at what leaves it (T7)."
)
def _gauge_vectors_in_kernel(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    gauge = gauge_vectors(net)
    products = (jac(net, X) @ gauge.T).T.tolist()
    for unit, t, product in zip(_hidden_units(net), gauge.tolist(), products, strict=True):
        for row, value in enumerate(product):
            if abs(value) > error * sum(map(abs, t)):
                return f"J t is {value} in row {row} for t of unit {unit}, t = {_strings(t)}"
    return None


@_jacobian_check(
    "Rescaling a hidden unit divides the columns as it multiplies the parameters (T6a)."
)
def _rescaled_units(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    before = jac(net, X)
    ones = net.with_parameters([[1] * net.n_parameters])
    for layer, unit in _hidden_units(net):
        scale = rescale(ones, layer, unit, 4).parameters().tolist()[0]
        wanted = QMatrix([
            [x / s for x, s in zip(row, scale, strict=True)] for row in before.tolist()
        ])
        after = jac(rescale(net, layer, unit, 4), X)
        # the smallest scale is 1/4, so an error in `before` may have grown to four times itself
        difference = _first_difference(after, wanted, net, 5 * error)
        if difference:
            return f"after rescaling unit {(layer, unit)} by 4, {difference}"
    return None


@_jacobian_check(
    "Reordering the units of a hidden layer reorders the columns as it does the parameters (T6b)."
)
def _permuted_units(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    before = jac(net, X)
    numbered = net.with_parameters([list(range(net.n_parameters))])
    for layer in range(net.depth - 1):
        order = [*range(1, net.widths[layer + 1]), 0]
        source = [int(x) for x in permute(numbered, layer, order).parameters().tolist()[0]]
        after = jac(permute(net, layer, order), X)
        difference = _first_difference(after, before[:, source], net, 2 * error)
        if difference:
            return f"after reordering the units of layer {layer} to {order}, {difference}"
    return None


@_jacobian_check("Equal samples have equal rows.")
def _repeated_samples(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    n, d = len(X), net.widths[-1]
    J = jac(net, np.vstack([X, X[::-1]]))
    again = [(2 * n - 1 - i) * d + j for i in range(n) for j in range(d)]
    difference = _first_difference(J[again], J[list(range(n * d))], net, 2 * error)
    return difference and f"where the samples are given again in reverse, {difference}"


@_jacobian_check("The rows of a sample do not depend on the rest of the batch.")
def _single_samples(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    rows = QMatrix.vstack(jac(net, x[None]) for x in X)
    difference = _first_difference(jac(net, X), rows, net, 2 * error)
    return difference and f"going by the samples one at a time, {difference}"


@_jacobian_check(
    "J(x) - 2 J(y) + J(z) = 0 if y is the midpoint of x and z, all in one activation region (T3)."
)
def _affine_pieces(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    d = net.widths[-1]
    for x in X:
        step = 0.25
        while True:
            points = np.array([x - step, x, x + step])
            pattern = activation_pattern(net, points, on_kink="zero")
            if pattern.distinct == 1 and not pattern.kinks:
                break
            step /= 2
        J = jac(net, points)
        first, middle, last = (J[list(range(k * d, (k + 1) * d))] for k in range(3))
        difference = _first_difference(first + last, middle * 2, net, 4 * error)
        if difference:
            return f"at the points {points.tolist()}, in J(x) + J(z) against 2 J(y), {difference}"
    return None


@_jacobian_check(
    "Within a region an output is affine in each parameter: a difference quotient is exact (T3)."
)
def _finite_differences(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    pattern, outputs, theta = activation_pattern(net, X), net(X), net.parameters().tolist()[0]
    columns = []
    for k in range(net.n_parameters):
        step = Fraction(1, 16)
        while True:
            moved = net.with_parameters([[*theta[:k], theta[k] + step, *theta[k + 1 :]]])
            after = activation_pattern(moved, X, on_kink="zero")
            if after == pattern and not after.kinks:
                break
            step /= 2
        change = (moved(X) - outputs) * (1 / step)
        columns.append([x for row in change.tolist() for x in row])
    return _first_difference(jac(net, X), QMatrix(columns).T, net, error)


@_jacobian_check(
    "The weights and the bias into a unit that is off, and the weights out of it, do nothing.",
    _problems_with_dead_units,
)
def _dead_units(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    J = jac(net, X)
    columns = {c for u in activation_pattern(net, X).dead for c in gauge_signs(net, *u)}
    keep = np.array([[column not in columns for column in range(J.shape[1])]] * J.shape[0])
    return _first_difference(J, J.masked(keep), net, error)
