"""Assertions in the manner of ``numpy.testing``, decided in exact arithmetic.

Each raises ``AssertionError`` with the exact numbers and a reason that can be re-checked by hand.
Input that cannot be read (a ragged matrix, a sample on a kink) raises the package's own errors;
what the code under test returned, whatever it is, is judged and never raises anything else.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from exactdim.arith import modular
from exactdim.arith.matrix import QMatrix
from exactdim.arith.primes import descending_primes
from exactdim.arith.rationals import ArrayLike, Number, to_fraction
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.errors import DenominatorDivisible, InvalidInput
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import Head, jacobian
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import KinkChoice, activation_pattern
from exactdim.regions.domain import DomainLike
from exactdim.regions.equality import same_function
from exactdim.testing.invariance import Move, Quantity, Under, check_invariance

__all__ = [
    "assert_dimension",
    "assert_invariant",
    "assert_jacobian_equal",
    "assert_rank_equal",
    "assert_same_function",
]

SPELLED = 30
"""Minors and relations among up to this many rows are written out in a message."""

FLOAT_FORMATS: dict[str, type[np.floating[Any]]] = {
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
}

Tolerance: TypeAlias = tuple[Fraction, Fraction]
"""Relative and absolute."""


def assert_rank_equal(actual: object, A: ArrayLike) -> None:
    """Assert that a number returned by some rank code is the rank of a matrix.

    Parameters
    ----------
    actual : int
        What the code under test returned: an int, or a numpy or torch integer scalar.
    A : ArrayLike of shape (m, n)
        Floats are the dyadic rationals that they spell; there is no tolerance.

    Raises
    ------
    AssertionError
        If the numbers differ. The message names a nonzero minor that is too large for `actual`, or
        an exact linear relation that `actual` leaves no room for.
    InvalidInput
        If the matrix cannot be read.

    Examples
    --------
    >>> assert_rank_equal(1, [[1, 2], [2, 4]])
    >>> assert_rank_equal(2, [[1, 2], [2, 4]])
    Traceback (most recent call last):
        ...
    AssertionError: this is not the rank of the matrix
     actual: 2
     exact:  1
     shape:  (2, 2)
     why:    row 1 = 2 * row 0
    """
    __tracebackhide__ = True
    matrix = QMatrix(A)
    exact = matrix.rank()
    claimed = integer_or_none(actual)
    if claimed == exact:
        return
    if claimed is None:
        why = f"a rank is an integer, but this is of type {type(actual).__name__}"
    elif claimed < 0:
        why = "a rank is never negative"
    elif claimed < exact:
        why = _nonzero_minor(matrix, exact, claimed + 1)
    else:
        why = _dependence(matrix, exact)
    raise AssertionError(
        "this is not the rank of the matrix\n"
        f" actual: {actual}\n exact:  {exact}\n shape:  {matrix.shape}\n why:    {why}"
    )


def assert_dimension(
    net: NetworkLike,
    X: ArrayLike,
    expected: int,
    *,
    head: Head = "logits",
    proof: ProofEffort = "auto",
    on_kink: KinkChoice = "raise",
) -> None:
    """Assert that the local dimension of a network at a batch is proved to be a number.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    expected : int
        An integer, or a `Dimension` that is proved.
    head : {"logits", "softmax"}
    proof : {"fast", "auto", "full"}
        As in `local_dimension`; ``"full"`` decides every case, however long it takes.
    on_kink : {"raise", "zero", "drop"}

    Raises
    ------
    AssertionError
        If another number is proved, if `expected` lies outside the proved bracket, or if the
        bracket stays open: then nothing is known, and the message says so.
    InvalidInput
        If an argument cannot be read, `expected` is no integer, or a sample lies on a kink.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> assert_dimension(net, [[0], [1], [2]], 3)
    >>> assert_dimension(net, [[0], [1], [2]], 4)
    Traceback (most recent call last):
        ...
    AssertionError: the local dimension is another number
     expected: 4
     exact:    3 of 4 parameters, proved: full row rank
    """
    __tracebackhide__ = True
    wanted = integer_or_none(expected)
    if wanted is None:
        raise InvalidInput(f"expected={expected!r:.60} is no integer; give the dimension you claim")
    found = local_dimension(net, X, head=head, proof=proof, on_kink=on_kink)
    if found.status == "proved" and found.value == wanted:
        return
    if not found.lower <= wanted <= found.upper:
        problem = "the local dimension is another number"
    else:
        problem = "the local dimension is not decided; try proof='full' or fewer samples"
    raise AssertionError(f"{problem}\n expected: {wanted}\n exact:    {found}")


def assert_invariant(
    quantity: Quantity | str,
    net: NetworkLike,
    X: ArrayLike,
    *,
    under: Under = "symmetries",
    transform: Callable[[Move, Any], Any] | None = None,
    examples: int = 100,
    seed: int | None = 0,
) -> None:
    """Assert that a quantity does not change under the symmetries of a network.

    Parameters
    ----------
    quantity, net, X, under, transform, examples
        As for `check_invariance`: ``quantity(net, X)`` is computed before and after random moves.
    seed : int or None
        The same moves in every run; ``None`` draws new ones each time.

    Raises
    ------
    AssertionError
        If the quantity changes. The message gives a simple move, the network, the samples and
        both values.
    InvalidInput
        If an argument cannot be read.

    Notes
    -----
    T6, T19. The singular values of a Jacobian are not invariant, its rank is: a numeric rank that
    fails here is refuted.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> assert_invariant("local_dimension", net, [[0], [1], [2]], examples=10)
    >>> def first_weight(net, X):
    ...     return str(net.weights[0][0, 0])
    >>> assert_invariant(first_weight, net, [[0], [1], [2]])
    Traceback (most recent call last):
        ...
    AssertionError: first_weight is not invariant under symmetries: 4 instead of 2 after ...
      net = ReLUNetwork([[['2']], [['3']]], [['-1'], ['5']])
      X = [['2']]
    """
    __tracebackhide__ = True
    report = check_invariance(
        quantity, net, X, under=under, transform=transform, examples=examples, seed=seed
    )
    if not report:
        raise AssertionError(str(report))


def assert_same_function(a: NetworkLike, b: NetworkLike, domain: DomainLike = None) -> None:
    """Assert that two networks are equal as functions.

    Parameters
    ----------
    a, b : ReLUNetwork or anything `as_network` reads
        With the same numbers of inputs and outputs.
    domain : Domain, pair or list of pairs, optional
        Where they are to agree; by default on the whole input space.

    Raises
    ------
    AssertionError
        If they differ somewhere on the domain. The message gives such an input, as rational
        numbers that a network can be called with, and both outputs.
    ShapeMismatch
        If the numbers of inputs or outputs differ.
    InvalidInput
        If a network or the domain cannot be read.

    Notes
    -----
    All common activation regions are enumerated, see `same_function`.

    Examples
    --------
    >>> double = ReLUNetwork([[[2]], [[1]]], [[-2], [0]])  # relu(2 x - 2)
    >>> assert_same_function(double, ReLUNetwork([[[1]], [[2]]], [[-1], [0]]))
    >>> assert_same_function(double, ReLUNetwork([[[2]], [[1]]], [[-3], [0]]))
    Traceback (most recent call last):
        ...
    AssertionError: the networks differ on Domain(all of R^1)
     x    = ['4']
     a(x) = ['6']
     b(x) = ['5']
    """
    __tracebackhide__ = True
    answer = same_function(a, b, domain)
    if answer:
        return
    assert answer.point is not None
    assert answer.values is not None
    inputs = answer.domain.to_inputs(QMatrix([list(answer.point)])).tolist()[0]
    left, right = answer.values
    raise AssertionError(
        f"the networks differ on {answer.domain}\n x    = {_strings(inputs)}\n"
        f" a(x) = {_strings(left)}\n b(x) = {_strings(right)}"
    )


def assert_jacobian_equal(
    actual: ArrayLike,
    net: NetworkLike,
    X: ArrayLike,
    *,
    head: Head = "logits",
    wrt: Literal["parameters", "input"] = "parameters",
    on_kink: KinkChoice = "raise",
    rtol: Number = 0,
    atol: Number = 0,
) -> None:
    """Assert that a Jacobian returned by some code is the Jacobian of a batch.

    Parameters
    ----------
    actual : ArrayLike of shape (n * d, P), or of shape (n, d, N_0) for ``wrt="input"``
        What the code under test returned, with rows and columns as in `jacobian`.
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    head : {"logits", "softmax"}
        For ``"softmax"`` the exact side is ``(I (x) [I | -1]) J``, see `jacobian`.
    wrt : {"parameters", "input"}
    on_kink : {"raise", "zero", "drop"}
    rtol, atol : Number
        How far the code under test may be off: an entry passes if it differs from the exact one by
        at most ``atol + rtol * |exact|``. By default no error is forgiven: entries of a float16,
        float32 or float64 array must be the exact ones rounded to the nearest number of that
        format, all others must be equal to the exact ones.

    Raises
    ------
    AssertionError
        If the shape or an entry is wrong. The message names sample, output and parameter of the
        first wrong entry and of the worst one.
    InvalidInput
        If the network, the batch or a tolerance cannot be read, or a sample lies on a kink.

    Notes
    -----
    All comparisons are made in rational numbers; the exact side has no error. An operation in
    float32 has a relative error of at most 2**-24, one in float64 of at most 2**-53, and `rtol`
    should be some multiple of that; where terms cancel, only an `atol` helps.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> assert_jacobian_equal([[3, 3, 1, 1]], net, [[1]])
    >>> assert_jacobian_equal([[3, 3, 2, 1]], net, [[1]])
    Traceback (most recent call last):
        ...
    AssertionError: wrong in the Jacobian: 1 of 4 entries
     first: [0, 2] (sample 0, output 0; weights[1][0, 0]): actual 2, exact 1
    """
    __tracebackhide__ = True
    network = as_network(net)
    tolerance = _tolerance(rtol, atol)
    if wrt == "input":
        exact = jacobian(network, X, head=head, wrt=wrt, on_kink=on_kink)
        blocks = _blocks(actual, len(exact))
    else:
        exact = [jacobian(network, X, head=head, wrt=wrt, on_kink=on_kink)]
        blocks = [actual]
    wrong = [
        _WrongEntry(k, i, j, a, e)
        for k, (block, right) in enumerate(zip(blocks, exact, strict=True))
        for i, j, a, e in _differences(block, right, tolerance)
    ]
    if not wrong:
        return
    kept = activation_pattern(network, X, on_kink=on_kink).kept
    d = network.widths[-1] - (head == "softmax")

    def described(entry: _WrongEntry) -> str:
        k, i, j, a, e = entry
        if wrt == "input":
            place = f"[{k}, {i}, {j}] (sample {kept[k]}, output {i}; input {j})"
        else:
            name = parameter_name(network, j)
            place = f"[{i}, {j}] (sample {kept[i // d]}, output {i % d}; {name})"
        return f"{place}: actual {_number(a)}, exact {_number(e)}"

    entries = sum(right.shape[0] * right.shape[1] for right in exact)
    message = f"wrong in the Jacobian: {len(wrong)} of {entries} entries"
    message += f"\n first: {described(wrong[0])}"
    worst = max(wrong, key=lambda entry: abs(entry.actual - entry.exact))
    if worst is not wrong[0]:
        message += f"\n worst: {described(worst)}"
    raise AssertionError(message)


def integer_or_none(value: object) -> int | None:
    """Read an integer scalar of any library.

    Parameters
    ----------
    value : object

    Returns
    -------
    int or None
        ``None`` if it is no integer, floats with integer values and truth values included.
    """
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except Exception:  # whatever a foreign scalar raises
        return None


def parameter_name(net: ReLUNetwork, column: int) -> str:
    """Name the parameter that a column of the Jacobian belongs to.

    Parameters
    ----------
    net : ReLUNetwork
    column : int

    Returns
    -------
    str

    Examples
    --------
    >>> net = ReLUNetwork([[[1, 2]], [[3]]], [[4], None])
    >>> [parameter_name(net, column) for column in range(4)]
    ['weights[0][0, 0]', 'weights[0][0, 1]', 'biases[0][0]', 'weights[1][0, 0]']
    """
    offsets = net.parameter_offsets()
    layer = next(k for k in count() if column < offsets[k + 1])
    units, inputs = net.weights[layer].shape
    place = column - offsets[layer]
    if place < units * inputs:
        return f"weights[{layer}][{place // inputs}, {place % inputs}]"
    return f"biases[{layer}][{place - units * inputs}]"


# -- why a rank is wrong ---------------------------------------------------------------------------


def _nonzero_minor(matrix: QMatrix, rank: int, order: int) -> str:
    """Name a minor of some order, at most the rank, that is not zero."""
    p, rows, _ = _basis(matrix, rank)
    rows = rows[:order]
    _, columns = modular.pivots(matrix[rows], p)
    minor = f"the minor of rows {_runs(rows)} and columns {_runs(columns)}"
    if order > SPELLED:
        return f"{minor} is not zero, not even modulo {p}"
    return f"{minor} is {_number(matrix.minor(rows, columns))}, not zero"


def _dependence(matrix: QMatrix, rank: int) -> str:
    """Say why the rank is no larger than it is."""
    if rank == min(matrix.shape):
        return f"a matrix of shape {matrix.shape} has no larger rank"
    what, short = ("row", matrix) if matrix.shape[0] <= matrix.shape[1] else ("column", matrix.T)
    _, basis, _ = _basis(short, rank)
    other = next(i for i in count() if i not in basis)
    relation = _relation(short, basis, other, what) if rank <= SPELLED else None
    said = relation or f"{what} {other} is a combination of {what}s {_runs(basis)}"
    more = short.shape[0] - rank - 1
    if more:
        others = f"the {more} others" if more > 1 else "the other one"
        said += f"; likewise {others} beside {what}s {_runs(basis)}" if basis else f"; so {others}"
    return said


def _relation(matrix: QMatrix, basis: list[int], other: int, what: str) -> str | None:
    """Write a row as a combination of independent rows, unless that is long."""
    (vector,) = matrix[[*basis, other]].T.kernel().tolist()
    terms = [(-c / vector[-1], i) for c, i in zip(vector, basis, strict=False) if c]
    if not terms:
        return f"{what} {other} is zero"
    text = " + ".join(f"{what} {i}" if c == 1 else f"{c} * {what} {i}" for c, i in terms)
    return f"{what} {other} = {text.replace('+ -', '- ')}" if len(text) <= 400 else None


def _basis(matrix: QMatrix, rank: int) -> tuple[int, list[int], list[int]]:
    """Find a prime modulo which the rank stays, and independent rows and columns."""
    for p in descending_primes():
        try:
            rows, columns = modular.pivots(matrix, p)
        except DenominatorDivisible:
            continue
        if len(rows) == rank:
            return p, rows, columns
    raise AssertionError("there are infinitely many primes")


# -- entries of a Jacobian -------------------------------------------------------------------------


class _WrongEntry(NamedTuple):
    block: int
    row: int
    column: int
    actual: Fraction
    exact: Fraction


def _tolerance(rtol: Number, atol: Number) -> Tolerance:
    relative, absolute = to_fraction(rtol), to_fraction(atol)
    if relative < 0 or absolute < 0:
        raise InvalidInput(f"rtol={relative}, atol={absolute}: a tolerance is never negative")
    return relative, absolute


def _differences(
    actual: ArrayLike, exact: QMatrix, tolerance: Tolerance
) -> Iterator[tuple[int, int, Fraction, Fraction]]:
    """Yield the entries that are not those of the exact matrix, see `assert_jacobian_equal`."""
    found = _read(actual, exact.shape)
    relative, absolute = tolerance
    rounded_to = None if relative or absolute else _float_format(actual)
    for i, (row, right) in enumerate(zip(found.tolist(), exact.tolist(), strict=True)):
        for j, (a, e) in enumerate(zip(row, right, strict=True)):
            if abs(a - e) <= absolute + relative * abs(e):
                continue
            if rounded_to is None or not _is_nearest(a, e, rounded_to):
                yield i, j, a, e


def _float_format(actual: ArrayLike) -> type[np.floating[Any]] | None:
    """Return the IEEE format of an array's numbers, if they have one; Python's is float64."""
    try:
        dtype = actual.dtype if hasattr(actual, "dtype") else np.asarray(actual).dtype
    except (RuntimeError, TypeError, ValueError):  # a list of what numpy does not know
        return None
    return FLOAT_FORMATS.get(str(dtype).rsplit(".", maxsplit=1)[-1])


def _is_nearest(value: Fraction, exact: Fraction, kind: type[np.floating[Any]]) -> bool:
    """Tell whether no number of a float format is nearer to the exact one."""
    error = abs(value - exact)
    with np.errstate(all="ignore"):
        at = kind(float(value))
        sides = [np.nextafter(at, kind(end)) for end in (-np.inf, np.inf)]
    return all(error <= abs(to_fraction(x) - exact) for x in sides if np.isfinite(x))


def _read(actual: ArrayLike, shape: tuple[int, int]) -> QMatrix:
    """Read what the code under test returned; that it cannot be read is a failure of the code."""
    try:
        found = QMatrix(actual, name="the Jacobian")
    except InvalidInput as error:
        raise AssertionError(str(error)) from None
    if found.shape != shape:
        raise AssertionError(
            f"the Jacobian has shape {found.shape}, it should have {shape}: "
            "a row per sample and output, a column per variable"
        )
    return found


def _blocks(actual: ArrayLike, n: int) -> list[ArrayLike]:
    try:
        blocks = list(actual)
    except TypeError:
        raise AssertionError(f"the Jacobian is a {type(actual).__name__}, not an array") from None
    if len(blocks) != n:
        raise AssertionError(f"{len(blocks)} input Jacobians were returned for {n} samples")
    return blocks


# -- spelling --------------------------------------------------------------------------------------


def _number(value: Fraction) -> str:
    """Spell a number, or say how long it is."""
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    return str(value) if bits <= 200 else f"a rational number of {bits} bits"


def _strings(values: Sequence[Fraction]) -> list[str]:
    return [str(x) for x in values]


def _runs(numbers: Sequence[int]) -> str:
    """Spell increasing numbers, consecutive ones as a range."""
    parts: list[list[int]] = []
    for k in numbers:
        if parts and parts[-1][-1] == k - 1:
            parts[-1].append(k)
        else:
            parts.append([k])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
