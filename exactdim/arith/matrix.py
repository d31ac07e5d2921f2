"""Immutable matrices over the rational numbers.

`QMatrix` is the one exact matrix type of exactdim. Inside it holds a FLINT integer matrix and one
positive denominator in lowest terms; FLINT objects are mutable and never leave ``arith``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from flint import fmpq_mat, fmpz_mat

from exactdim.arith import manyprimes, modular
from exactdim.arith.primes import descending_primes
from exactdim.arith.rationals import ArrayLike, Number, integer_matrix, is_whole, to_fraction
from exactdim.errors import InvalidInput, ShapeMismatch

__all__ = ["QMatrix", "kernel", "matrix_rank"]

Index: TypeAlias = "int | slice | Sequence[int] | npt.NDArray[np.intp]"


class QMatrix:
    """An immutable, hashable matrix of rational numbers.

    Parameters
    ----------
    data : ArrayLike of shape (m, n)
        Nested lists of int, float, Fraction or ``"2/3"``; numpy arrays; torch tensors; a
        `QMatrix`. Floats are read at their exact dyadic value.
    name : str, optional
        What to call the data in an error message.

    Raises
    ------
    ShapeMismatch
        If the data is ragged or not two-dimensional.
    NotFinite
        If an entry is NaN or infinite.
    InvalidInput
        If an entry is not a number.

    Notes
    -----
    Indexing with two integers gives a `fractions.Fraction`; with slices or index lists it gives a
    `QMatrix`. Products, sums and ``==`` are exact.

    Examples
    --------
    >>> A = QMatrix([[1, "1/2"], [2, 1]])
    >>> A.rank(), A[0, 1], A @ A.T
    (1, Fraction(1, 2), QMatrix([['5/4', '5/2'], ['5/2', '5']]))
    """

    __slots__ = ("_den", "_hash", "_num")

    _num: fmpz_mat
    _den: int
    _hash: int | None

    def __init__(self, data: ArrayLike, *, name: str = "matrix") -> None:
        if isinstance(data, QMatrix):
            num, den = data._num, data._den
        else:
            entries, den, (rows, columns) = integer_matrix(data, name=name)
            num, den = _lowest_terms(entries, den, rows, columns)
        self._set(num, den)

    def _set(self, num: fmpz_mat, den: int) -> None:
        object.__setattr__(self, "_num", num)
        object.__setattr__(self, "_den", den)
        object.__setattr__(self, "_hash", None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a QMatrix is immutable; build a new one")

    def __reduce__(self) -> tuple[Any, ...]:
        return QMatrix.from_integers, (self.numerators(), self._den, self.shape)

    # -- making one ---------------------------------------------------------------------------

    @classmethod
    def from_integers(
        cls, entries: Sequence[int], denominator: int, shape: tuple[int, int]
    ) -> QMatrix:
        """Build from row-major integers over one positive denominator.

        Parameters
        ----------
        entries : sequence of int
            Row-major, ``shape[0] * shape[1]`` of them.
        denominator : int
            Positive.
        shape : (int, int)

        Returns
        -------
        QMatrix
        """
        _check_shape(shape)
        return cls._make(*_lowest_terms(entries, denominator, *shape))

    @classmethod
    def _make(cls, num: fmpz_mat, den: int) -> QMatrix:
        self = object.__new__(cls)
        self._set(num, den)
        return self

    @classmethod
    def _reduced(cls, num: fmpz_mat, den: int) -> QMatrix:
        if den == 1:
            return cls._make(num, 1)
        entries = [int(x) for x in num.entries()]
        return cls._make(*_lowest_terms(entries, den, num.nrows(), num.ncols()))

    @classmethod
    def identity(cls, n: int) -> QMatrix:
        """Return the identity matrix of order `n`.

        Parameters
        ----------
        n : int

        Returns
        -------
        QMatrix
        """
        return cls.from_integers([int(i == j) for i in range(n) for j in range(n)], 1, (n, n))

    @classmethod
    def zeros(cls, rows: int, columns: int) -> QMatrix:
        """Return a zero matrix; either dimension may be 0.

        Parameters
        ----------
        rows, columns : int

        Returns
        -------
        QMatrix
        """
        _check_shape((rows, columns))
        return cls._make(fmpz_mat(rows, columns), 1)

    @classmethod
    def ones(cls, rows: int, columns: int) -> QMatrix:
        """Return a matrix of ones.

        Parameters
        ----------
        rows, columns : int

        Returns
        -------
        QMatrix
        """
        return cls.from_integers([1] * (rows * columns), 1, (rows, columns))

    @classmethod
    def hstack(cls, blocks: Iterable[QMatrix]) -> QMatrix:
        """Put matrices with equally many rows side by side.

        Parameters
        ----------
        blocks : iterable of QMatrix
            At least one.

        Returns
        -------
        QMatrix

        Raises
        ------
        ShapeMismatch
            If the numbers of rows differ.
        """
        return cls.vstack([b.T for b in blocks]).T

    @classmethod
    def vstack(cls, blocks: Iterable[QMatrix]) -> QMatrix:
        """Put matrices with equally many columns on top of each other.

        Parameters
        ----------
        blocks : iterable of QMatrix
            At least one.

        Returns
        -------
        QMatrix

        Raises
        ------
        ShapeMismatch
            If the numbers of columns differ.
        InvalidInput
            If there is no matrix.
        """
        parts = list(blocks)
        if not parts:
            raise InvalidInput("there is nothing to stack; give at least one matrix")
        columns = parts[0].shape[1]
        for part in parts:
            if part.shape[1] != columns:
                raise ShapeMismatch(
                    f"cannot stack shapes {parts[0].shape} and {part.shape}: "
                    "the lengths that must agree differ"
                )
        den = math.lcm(*(part._den for part in parts))
        entries: list[int] = []
        for part in parts:
            factor = den // part._den
            entries.extend(factor * x for x in part.numerators())
        return cls.from_integers(entries, den, (sum(p.shape[0] for p in parts), columns))

    # -- looking at it ------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._num.nrows(), self._num.ncols()

    @property
    def T(self) -> QMatrix:
        """The transpose."""
        return QMatrix._make(self._num.transpose(), self._den)

    @property
    def denominator(self) -> int:
        """The least positive common denominator of all entries."""
        return self._den

    def numerators(self) -> list[int]:
        """Return the row-major integers ``denominator * entry``.

        Returns
        -------
        list of int
        """
        return [int(x) for x in self._num.entries()]

    def tolist(self) -> list[list[Fraction]]:
        """Return the rows as lists of `fractions.Fraction`.

        Returns
        -------
        list of list of Fraction
        """
        columns = self.shape[1]
        flat = [Fraction(x, self._den) for x in self.numerators()]
        return [flat[i * columns : (i + 1) * columns] for i in range(self.shape[0])]

    def to_numpy(self, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Round every entry to the nearest float of a dtype that you name.

        Parameters
        ----------
        dtype : numpy dtype
            ``float64``, ``float32`` or ``object`` (Fractions, nothing rounded). Rounding goes
            through float64. Entries beyond the range of float64 become infinite.

        Returns
        -------
        numpy.ndarray
        """
        if np.dtype(dtype) == np.dtype(object):
            out = np.empty(self.shape, dtype=object)
            out[:] = self.tolist() if out.size else out
            return out
        if self._den & (self._den - 1) == 0 and self._den.bit_length() <= 1000:
            numbers = (_to_float(x, self._den) for x in self.numerators())
        else:
            numbers = (_to_float(f.numerator, f.denominator) for r in self.tolist() for f in r)
        with np.errstate(over="ignore"):
            return np.fromiter(numbers, np.float64).reshape(self.shape).astype(dtype)

    @overload
    def __getitem__(self, index: tuple[int, int]) -> Fraction: ...  # type: ignore[overload-overlap]
    @overload
    def __getitem__(self, index: Index | tuple[Index, Index]) -> QMatrix: ...

    def __getitem__(self, index: Index | tuple[Index, Index]) -> QMatrix | Fraction:
        pair: tuple[Index, Index] = index if isinstance(index, tuple) else (index, slice(None))
        if len(pair) != 2:
            raise InvalidInput(f"a matrix takes two indices, not {len(pair)}")
        i, j = pair
        rows, columns = self.shape
        if isinstance(i, int | np.integer) and isinstance(j, int | np.integer):
            r, c = _positions(i, rows)[0], _positions(j, columns)[0]
            return Fraction(int(self._num[r, c]), self._den)
        picked_rows, picked_columns = _positions(i, rows), _positions(j, columns)
        if 4 * len(picked_rows) * len(picked_columns) < rows * columns:
            entries = [int(self._num[r, c]) for r in picked_rows for c in picked_columns]
        else:  # all at once is four times faster
            table = self.numerators()
            entries = [table[r * columns + c] for r in picked_rows for c in picked_columns]
        return QMatrix.from_integers(entries, self._den, (len(picked_rows), len(picked_columns)))

    def __iter__(self) -> Iterator[QMatrix]:
        """Go through the rows, matrices of shape (1, n)."""
        return (self[[i]] for i in range(self.shape[0]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if dtype is None:
            raise TypeError("a QMatrix is exact; say what to round to: A.to_numpy(float)")
        return self.to_numpy(dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QMatrix):
            return NotImplemented
        return self._den == other._den and self.shape == other.shape and self._num == other._num

    def __hash__(self) -> int:
        if self._hash is None:
            value = hash((self.shape, self._den, tuple(self.numerators())))
            object.__setattr__(self, "_hash", value)
            return value
        return self._hash

    def __repr__(self) -> str:
        rows, columns = self.shape
        if (
            rows * columns > 64
            or max(map(int.bit_length, [0, self._den, *self.numerators()])) > 400
        ):
            return f"<QMatrix of shape {self.shape}, rational entries>"
        return f"QMatrix({[[str(x) for x in row] for row in self.tolist()]})"

    def __bool__(self) -> bool:
        raise TypeError("the truth of a matrix is ambiguous; ask is_zero() or compare with ==")

    def is_zero(self) -> bool:
        """Tell whether every entry is zero.

        Returns
        -------
        bool
        """
        return not any(self._num.entries())

    # -- arithmetic ---------------------------------------------------------------------------

    def __matmul__(self, other: QMatrix) -> QMatrix:
        if not isinstance(other, QMatrix):
            return NotImplemented
        if self.shape[1] != other.shape[0]:
            raise ShapeMismatch(
                f"cannot multiply shape {self.shape} by shape {other.shape}: "
                f"{self.shape[1]} columns against {other.shape[0]} rows"
            )
        return QMatrix._reduced(self._num * other._num, self._den * other._den)

    def __add__(self, other: QMatrix) -> QMatrix:
        if not isinstance(other, QMatrix):
            return NotImplemented
        if self.shape != other.shape:
            raise ShapeMismatch(f"cannot add shapes {self.shape} and {other.shape}")
        den = math.lcm(self._den, other._den)
        return QMatrix._reduced(
            self._num * (den // self._den) + other._num * (den // other._den), den
        )

    def __neg__(self) -> QMatrix:
        return QMatrix._make(-self._num, self._den)

    def __sub__(self, other: QMatrix) -> QMatrix:
        if not isinstance(other, QMatrix):
            return NotImplemented
        return self + (-other)

    def __mul__(self, scalar: Number) -> QMatrix:
        f = to_fraction(scalar)
        return QMatrix._reduced(self._num * f.numerator, self._den * f.denominator)

    __rmul__ = __mul__

    def masked(self, mask: npt.NDArray[np.bool_]) -> QMatrix:
        """Keep the entries where a boolean array is true and put zeros elsewhere.

        Parameters
        ----------
        mask : boolean array of the same shape

        Returns
        -------
        QMatrix

        Raises
        ------
        ShapeMismatch
            If the shapes differ.
        """
        if mask.shape != self.shape:
            raise ShapeMismatch(f"mask of shape {mask.shape} against a matrix of {self.shape}")
        kept = [
            x if m else 0 for x, m in zip(self.numerators(), mask.ravel().tolist(), strict=True)
        ]
        return QMatrix.from_integers(kept, self._den, self.shape)

    # -- linear algebra -----------------------------------------------------------------------

    def rank(self) -> int:
        """Compute the rank over the rational numbers, always proved.

        Returns
        -------
        int

        Notes
        -----
        The rank modulo a 61-bit prime is a lower bound. If it equals the number of nonzero rows or
        columns it is the rank; otherwise the many-primes argument (T27, 3') proves the
        upper end: enough primes agree for their product to exceed the Hadamard bound of every
        larger minor.

        Examples
        --------
        >>> QMatrix([[1, 2], [2, 4]]).rank()
        1
        """
        return manyprimes.proved_rank(self)

    def independent_rows(self) -> list[int]:
        """Choose rows that form a basis of the row space, early rows rather than late ones.

        Returns
        -------
        list of int
            As many as the rank, ascending.

        Examples
        --------
        >>> QMatrix([[1, 2], [2, 4], [0, 1]]).independent_rows()
        [0, 2]
        """
        rank, integers = self.rank(), QMatrix.from_integers(self.numerators(), 1, self.shape)
        found = (modular.pivots(integers, p)[0] for p in descending_primes())
        return next(rows for rows in found if len(rows) == rank)

    def kernel(self) -> QMatrix:
        """Compute a basis of the right kernel, ``{x : A x = 0}``.

        Returns
        -------
        QMatrix
            One primitive integer basis vector per row; shape (n - rank, n).

        Examples
        --------
        >>> QMatrix([[1, 2, 3]]).kernel() @ QMatrix([[1], [2], [3]])
        QMatrix([['0'], ['0']])
        """
        columns = self.shape[1]
        basis, nullity = self._num.nullspace()
        table = basis.transpose().entries()
        entries: list[int] = []
        for k in range(nullity):
            entries.extend(primitive([int(x) for x in table[k * columns : (k + 1) * columns]]))
        return QMatrix.from_integers(entries, 1, (nullity, columns))

    def minor(self, rows: Sequence[int], columns: Sequence[int]) -> Fraction:
        """Compute the determinant of a square submatrix.

        Parameters
        ----------
        rows, columns : sequence of int
            Equally many of each.

        Returns
        -------
        Fraction

        Raises
        ------
        ShapeMismatch
            If there are not as many rows as columns.
        """
        if len(rows) != len(columns):
            raise ShapeMismatch(
                f"a minor is square: {len(rows)} rows against {len(columns)} columns were given"
            )
        part = self[list(rows), list(columns)]
        return Fraction(int(part._num.det()), part._den ** len(rows))

    def solve(self, right: QMatrix) -> QMatrix:
        """Solve ``A X = B`` for a square invertible A, by p-adic lifting.

        Parameters
        ----------
        right : QMatrix of shape (n, k)

        Returns
        -------
        QMatrix of shape (n, k)

        Raises
        ------
        ShapeMismatch
            If A is not square or B has the wrong number of rows.
        InvalidInput
            If A is singular.
        """
        rows, columns = self.shape
        if rows != columns or right.shape[0] != rows:
            raise ShapeMismatch(f"cannot solve with shapes {self.shape} and {right.shape}")
        try:
            solution = fmpq_mat(self._num).solve(fmpq_mat(right._num), "dixon")
        except ZeroDivisionError:
            raise InvalidInput("the matrix is singular; there is no unique solution") from None
        num, den = solution.numer_denom()
        return QMatrix._reduced(num * self._den, int(den) * right._den)


def matrix_rank(A: ArrayLike) -> int:
    """Compute the rank of a matrix over the rational numbers, always proved.

    Parameters
    ----------
    A : ArrayLike of shape (m, n)
        Floats are read at their exact binary value: there is no tolerance.

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> matrix_rank(np.array([[1.0, 0.1], [10.0, 1.0]]))  # 10 * 0.1 is not 1 exactly
    2
    >>> matrix_rank([[1, "0.1"], [10, 1]])
    1
    """
    return QMatrix(A).rank()


def kernel(A: ArrayLike) -> QMatrix:
    """Compute a basis of the right kernel of a matrix, as rows.

    Parameters
    ----------
    A : ArrayLike of shape (m, n)

    Returns
    -------
    QMatrix of shape (n - rank, n)
        Primitive integer vectors.

    Examples
    --------
    >>> kernel([[1, -1]])
    QMatrix([['1', '1']])
    """
    return QMatrix(A).kernel()


def primitive(vector: Sequence[int]) -> list[int]:
    """Divide an integer vector by its content and make its first nonzero entry positive.

    Parameters
    ----------
    vector : sequence of int

    Returns
    -------
    list of int
    """
    content = math.gcd(*vector)
    if content == 0:
        return list(vector)
    lead = next(x for x in vector if x)
    return [x // (content if lead > 0 else -content) for x in vector]


def _check_shape(shape: tuple[int, int]) -> None:
    if min(shape) < 0:  # FLINT would abort the interpreter
        raise InvalidInput(f"a matrix of shape {shape} has a negative dimension")


def _lowest_terms(
    entries: Sequence[int], den: int, rows: int, columns: int
) -> tuple[fmpz_mat, int]:
    common = math.gcd(den, *entries) if den > 1 else 1
    if common > 1:
        entries, den = [x // common for x in entries], den // common
    return fmpz_mat(rows, columns, entries), den


def _positions(index: Index, length: int) -> list[int]:
    if isinstance(index, slice):
        return list(range(length))[index]
    picked: Any = [index] if is_whole(index) else index
    if not hasattr(picked, "__len__") or not all(is_whole(k) for k in picked):
        raise InvalidInput(f"{index!r:.60} is no index; give an int, a slice or a list of ints")
    out = []
    for k in map(int, picked):
        if not -length <= k < length:
            raise IndexError(f"index {k} is out of range for a length of {length}")
        out.append(k % length)
    return out


def _to_float(numerator: int, denominator: int) -> float:
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if (numerator > 0) == (denominator > 0) else -math.inf
