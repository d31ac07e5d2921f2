"""Exact numbers in and out.

Every number that enters exactdim passes through this module. A float is the dyadic rational that
its bits spell; nothing is rounded, and NaN and infinities are refused with their index.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from fractions import Fraction
from numbers import Integral, Rational
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from exactdim.errors import InvalidInput, NotFinite, ShapeMismatch

__all__ = [
    "ArrayLike",
    "FloatArray",
    "IntMatrix",
    "Number",
    "integer_matrix",
    "is_whole",
    "to_fraction",
]

Number: TypeAlias = "int | float | str | Fraction | Rational | np.generic"
"""What counts as one exact number: int, float, Fraction, ``"2/3"``, ``"0.1"``, a numpy scalar."""

ArrayLike: TypeAlias = Any
"""Nested lists of `Number`, numpy arrays, torch tensors (anything with ``detach``)."""

FloatArray: TypeAlias = npt.NDArray[np.float64]

IntMatrix: TypeAlias = tuple[list[int], int, tuple[int, int]]
"""Row-major integers, their positive common denominator, and the shape (rows, columns)."""


def to_fraction(value: object, *, where: str = "") -> Fraction:
    """Read one number at its exact value.

    Parameters
    ----------
    value : Number
        ``int``, ``float`` (its dyadic value), ``Fraction``, ``str`` such as ``"2/3"`` or
        ``"-1.5e3"`` (its decimal value, not the nearest float), or a numpy scalar.
    where : str, optional
        Place to name in an error, for instance ``" at [0, 3]"``.

    Returns
    -------
    Fraction

    Raises
    ------
    NotFinite
        If the value is NaN or infinite.
    InvalidInput
        If the value is not a number.

    Examples
    --------
    >>> to_fraction(0.1) == Fraction(1, 10), to_fraction("0.1") == Fraction(1, 10)
    (False, True)
    """
    if isinstance(value, np.generic | np.ndarray) and getattr(value, "ndim", 0) == 0:
        scalar: Any = value
        if scalar.dtype == np.longdouble and scalar.dtype.itemsize > 8:
            return _longdouble(scalar[()], where)
        if scalar.dtype.kind == "f":
            if np.isfinite(scalar):
                (entry,), den = _dyadic(np.asarray(scalar).reshape(1, 1), "value")
                return Fraction(entry, den)
            value = float(scalar)
        else:
            value = scalar.item()
    if isinstance(value, bool | Integral):
        return Fraction(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotFinite(f"{value}{where} is not a rational number; remove or replace it")
        (entry,), den = _dyadic(np.array([[value]]), "value")
        return Fraction(entry, den)
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, str):
        exponent = re.search(r"[eE]([+-]?\d+)\s*$", value)
        if exponent and len(exponent[1]) > 5:
            raise InvalidInput(f"{value!r:.40}{where} has an exponent beyond 9999; is that meant?")
        try:
            return Fraction(value)
        except ValueError:
            if value.strip().lower().lstrip("+-") in {"nan", "inf", "infinity"}:
                raise NotFinite(
                    f"{value!r}{where} is not a rational number; remove or replace it"
                ) from None
            raise InvalidInput(
                f"{value!r:.60}{where} is not a number; write it as '3', '2/3' or '0.25'"
            ) from None
        except ZeroDivisionError:
            raise InvalidInput(f"{value!r:.60}{where} has denominator zero") from None
    raise InvalidInput(
        f"{type(value).__name__} {value!r:.60}{where} is not a number; "
        "give int, float, Fraction or a string such as '2/3'"
    )


def _longdouble(value: np.longdouble, where: str) -> Fraction:
    if not np.isfinite(value):
        raise NotFinite(f"{value}{where} is not a rational number; remove or replace it")
    return Fraction(*value.as_integer_ratio())


def integer_matrix(data: ArrayLike, *, name: str = "matrix") -> IntMatrix:
    """Read a two-dimensional array as integers over one positive denominator.

    Parameters
    ----------
    data : ArrayLike of shape (m, n)
        Nested sequences of numbers, a numpy array, or a torch tensor (CPU or not, any dtype).
    name : str
        What to call it in an error.

    Returns
    -------
    entries : list of int
        Row-major numerators.
    denominator : int
        Positive; ``entries[i * n + j] / denominator`` is the number.
    shape : (int, int)

    Raises
    ------
    ShapeMismatch
        If the rows have different lengths or the array is not two-dimensional.
    NotFinite
        If an entry is NaN or infinite; the index is named.
    InvalidInput
        If an entry is not a number; the index is named.

    Notes
    -----
    Float arrays take a vectorised path of O(m n); a column of floats with exponents far apart
    still comes out exact, as long integers.

    Examples
    --------
    >>> integer_matrix([[0.5, 1], ["1/3", 2]])
    ([3, 6, 2, 12], 6, (2, 2))
    """
    data = _detached(data)
    if isinstance(data, np.ndarray):
        if data.ndim != 2:
            raise ShapeMismatch(f"{name} has shape {data.shape}; it must have two dimensions")
        shape = (int(data.shape[0]), int(data.shape[1]))
        if data.dtype.kind in "iub":
            return [int(x) for x in data.ravel().tolist()], 1, shape
        if data.dtype.kind == "f" and data.dtype.itemsize <= 8:
            entries, denominator = _dyadic(data, name)
            return entries, denominator, shape
        if data.dtype.kind == "c":
            raise InvalidInput(f"{name} is complex; exactdim works over the rational numbers")
        if data.dtype.kind not in "fOUT":
            raise InvalidInput(f"{name} has dtype {data.dtype}, which holds no numbers")
        data = data.tolist() if data.dtype != np.longdouble else [list(row) for row in data]
    rows = _rectangle(data, name)
    shape = (len(rows), len(rows[0]) if rows else 0)
    fractions = [
        to_fraction(x, where=f" at [{i}, {j}] of {name}")
        for i, row in enumerate(rows)
        for j, x in enumerate(row)
    ]
    denominator = math.lcm(*(f.denominator for f in fractions))
    return [f.numerator * (denominator // f.denominator) for f in fractions], denominator, shape


def _detached(data: ArrayLike) -> ArrayLike:
    """Turn a torch tensor, without importing torch, or an odd numpy array into a plain array."""
    if isinstance(data, np.ma.MaskedArray):
        raise InvalidInput("the array is masked; fill or drop the masked entries first")
    if isinstance(data, np.matrix):
        return np.asarray(data)
    if not (hasattr(data, "detach") and hasattr(data, "cpu")):
        return data
    try:
        data = data.detach().cpu().resolve_conj().resolve_neg()
        name = str(data.dtype)
        if name == "torch.bfloat16":  # the upper half of a float32; through the bits, as in _dyadic
            int16 = data.new_zeros(1).short().dtype
            bits = data.contiguous().view(int16).numpy().astype(np.int32)
            return (bits << 16).view(np.float32)
        if "float8" in name:
            data = data.float()  # exact, and far from the subnormal range
        return data.numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise InvalidInput(f"the tensor cannot be read as numbers: {error}") from None


def _rectangle(data: ArrayLike, name: str) -> list[Sequence[object]]:
    if isinstance(data, str) or not hasattr(data, "__iter__"):
        raise ShapeMismatch(f"{name} is a single {type(data).__name__}; give a list of rows")
    if isinstance(data, Mapping | Set):
        raise ShapeMismatch(f"{name} is a {type(data).__name__}; give a list of rows")
    rows: list[Sequence[object]] = []
    for i, row in enumerate(data):
        row = _detached(row)
        if (
            isinstance(row, str | Mapping | Set)
            or not hasattr(row, "__iter__")
            or getattr(row, "ndim", 1) == 0
        ):
            raise ShapeMismatch(
                f"row {i} of {name} is {row!r:.40}, not a row; "
                f"write [[...]] even where there is one row only"
            )
        rows.append(list(row))
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ShapeMismatch(
                f"{name} is ragged: row 0 has {len(rows[0])} entries, row {i} has {len(row)}"
            )
        for j, x in enumerate(row):
            if isinstance(x, list | tuple) or getattr(x, "ndim", 0) > 0:
                raise ShapeMismatch(
                    f"entry [{i}, {j}] of {name} is itself a sequence; give two dimensions"
                )
    return rows


_LAYOUTS = {2: (np.uint16, 10, 5), 4: (np.uint32, 23, 8), 8: (np.uint64, 52, 11)}
"""Per size in bytes of an IEEE float: the integer of that size, fraction bits, exponent bits."""


def _dyadic(a: npt.NDArray[np.floating[Any]], name: str) -> tuple[list[int], int]:
    """Write finite floats as integers over a common power of two.

    Returns
    -------
    entries : list of int
    denominator : int

    Raises
    ------
    NotFinite
        If one is NaN or infinite.

    Notes
    -----
    The bits are decoded as integers: float operations, even a conversion to a wider format, may
    flush subnormal numbers to zero if some library has switched the processor to that mode.
    """
    finite = np.isfinite(a)
    if not finite.all():
        i, j = (int(x) for x in np.argwhere(~finite)[0])
        raise NotFinite(
            f"{name} holds {a[i, j]} at [{i}, {j}] ({int((~finite).sum())} such entries); "
            "these are no rational numbers: remove or replace them"
        )
    container, fraction_bits, exponent_bits = _LAYOUTS[a.dtype.itemsize]
    native = np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("="))
    bits = native.ravel().view(container).astype(np.uint64)
    fraction = (bits & np.uint64((1 << fraction_bits) - 1)).astype(np.int64)
    stored = ((bits >> np.uint64(fraction_bits)) & np.uint64((1 << exponent_bits) - 1)).astype(
        np.int64
    )
    negative = (bits >> np.uint64(fraction_bits + exponent_bits)).astype(bool)
    integer = fraction | np.where(stored > 0, 1 << fraction_bits, 0)
    bias = (1 << (exponent_bits - 1)) - 1
    exponent = np.maximum(stored, 1) - bias - fraction_bits
    nonzero = integer != 0
    if not nonzero.any():
        return [0] * integer.size, 1
    # Strip trailing zero bits, so that integers and short fractions get a short denominator.
    lowest = np.where(nonzero, integer & -integer, 1)
    trailing = np.log2(lowest.astype(np.float64)).astype(np.int64)  # exact: a power of two
    integer >>= trailing
    exponent += trailing
    shift = min(0, int(exponent[nonzero].min()))
    left = np.where(nonzero, exponent - shift, 0)
    integer = np.where(negative, -integer, integer)
    widest = int((fraction_bits + 1 - trailing + left)[nonzero].max())
    if widest <= 62:
        return (integer << left).tolist(), 1 << -shift
    shifted = zip(integer.tolist(), left.tolist(), strict=True)
    return [x << k for x, k in shifted], 1 << -shift


def is_whole(value: object) -> bool:
    """Return whether a value is an integer, of Python or numpy, and no boolean.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
