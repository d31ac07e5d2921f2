"""Where the vertices of a complex are, and on which side of a function they lie.

A vertex is the common zero of d affine forms; these rows define it exactly. Floats with a rigorous
error bound settle nearly every sign; what they leave open is decided in rational arithmetic.

The whole space is enclosed in a simplex of size M, where M is larger than every number: a vertex on
its boundary has coordinates a + b M, and an affine form has there the sign of its M-part or, if
that vanishes, of its constant part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import FloatArray
from exactdim.nets.patterns import HUGE, TINY, UNIT_ROUNDOFF
from exactdim.regions.faces import BoolArray, Growing, IntArray, Ints

__all__ = ["ExactPoint", "Rows", "VertexTable"]


def _value_with_error(
    form: FloatArray, form_error: FloatArray, x: FloatArray, x_error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Evaluate affine forms at points; the last number of a form is its constant.

    Parameters
    ----------
    form, form_error, x, x_error : arrays of shape (n, d + 1)

    Returns
    -------
    value, bound : arrays of shape (n,)

    Notes
    -----
    As `affine_with_error`, for a different form at each point.
    """
    terms = form.shape[1]
    reach = np.abs(x) + x_error
    value = form[:, 0] * x[:, 0]
    size = np.abs(form[:, 0])
    magnitude = size * reach[:, 0]
    spread = size * x_error[:, 0] + form_error[:, 0] * reach[:, 0]
    underflow = size + reach[:, 0] + form_error[:, 0]
    for k in range(1, terms):
        value += form[:, k] * x[:, k]
        size = np.abs(form[:, k])
        magnitude += size * reach[:, k]
        spread += size * x_error[:, k] + form_error[:, k] * reach[:, k]
        underflow += size + reach[:, k] + form_error[:, k]
    gamma = (2 * terms + 16) * UNIT_ROUNDOFF
    bound = (1 + gamma) * (gamma * magnitude + (1 + gamma) * spread)
    bound += 2 * TINY * (terms + 1 + underflow)
    bound[~(magnitude + spread < HUGE)] = np.inf
    return value, bound


class Rows:
    """Affine forms whose zero sets carry the faces: domain inequalities and units of neurons.

    Attributes
    ----------
    form, error : Growing of float, shape (n, d + 1)
    at_infinity : Growing of int8, shape (n,)
        Factor of M in the constant: 1 for the walls of the enclosing simplex, else 0.
    block, cell, unit : Growing of int32, shape (n,)
        The unit `unit` of the block, as it is on cell `cell` of the complex at the start of that
        block. Block -1 holds the domain's own inequalities.
    """

    __slots__ = ("at_infinity", "block", "cell", "error", "form", "unit")

    def __init__(self, d: int) -> None:
        self.form = Growing(np.zeros((0, d + 1)))
        self.error = Growing(np.zeros((0, d + 1)))
        self.at_infinity = Growing(np.zeros(0, np.int8))
        self.block = Growing(np.zeros(0, np.int32))
        self.cell = Growing(np.zeros(0, np.int32))
        self.unit = Growing(np.zeros(0, np.int32))

    def __len__(self) -> int:
        return self.form.n

    def copy(self) -> Rows:
        """Return rows that can grow on their own."""
        out = object.__new__(Rows)
        for name in self.__slots__:
            setattr(out, name, Growing(getattr(self, name).view))
        return out

    def add(
        self, form: FloatArray, error: FloatArray, block: int, cell: Ints, unit: Ints, m: int = 0
    ) -> IntArray:
        """Append rows and return their numbers."""
        n, more = self.form.n, len(form)
        self.form.append(form)
        self.error.append(error)
        self.at_infinity.append(np.full(more, m, np.int8))
        self.block.append(np.full(more, block, np.int32))
        self.cell.append(cell)
        self.unit.append(unit)
        return np.arange(n, n + more, dtype=np.int32)


@dataclass(frozen=True)
class ExactPoint:
    """A vertex in homogeneous integers: (finite + M * infinite) / scale.

    Attributes
    ----------
    scale : int
        Positive.
    finite, infinite : tuple of int
    """

    scale: int
    finite: tuple[int, ...]
    infinite: tuple[int, ...]

    @property
    def is_finite(self) -> bool:
        """Whether M does not occur."""
        return not any(self.infinite)

    def coordinates(self) -> tuple[Fraction, ...]:
        """Return the coordinates of a finite point, else its finite part."""
        return tuple(Fraction(x, self.scale) for x in self.finite)

    def direction(self) -> tuple[Fraction, ...]:
        """Return the M-part."""
        return tuple(Fraction(x, self.scale) for x in self.infinite)

    def slope(self, form: Sequence[int]) -> int:
        """Return the M-part of an integer form, times a positive number."""
        return sum(g * b for g, b in zip(form, self.infinite, strict=False))

    def sign(self, form: Sequence[int]) -> int:
        """Return the sign of an integer form: -1, 0 or 1."""
        value = self.slope(form) or (
            sum(g * a for g, a in zip(form, self.finite, strict=False)) + form[-1] * self.scale
        )
        return (value > 0) - (value < 0)


def _solve_with_error(
    form: FloatArray, error: FloatArray, right: FloatArray, right_error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve many small linear systems in floats, each with a bound on its error.

    Parameters
    ----------
    form, error : arrays of shape (n, d, d)
        Matrices, and how far each entry may be from the exact one.
    right, right_error : arrays of shape (n, d)

    Returns
    -------
    x, bound : arrays of shape (n, d)
        The exact solution is within the bound, which is infinite where nothing can be said.

    Notes
    -----
    With an approximate inverse Y of the exact matrix R and |I - Y R| <= A entrywise, where the
    largest row sum k of A is below 1, R is invertible and the solution x* satisfies
    |x* - x| <= |Y| r + k / (1 - k) max(|Y| r) with r a bound on the residual of x
    (Rump, Verification methods, Acta Numerica 2010, section 10).
    """
    d = form.shape[1]
    gamma = (2 * d + 16) * UNIT_ROUNDOFF
    Y = _inverses(form)
    x = np.einsum("nij,nj->ni", Y, right)
    size, absolute = np.abs(form), np.abs(Y)
    residual = np.abs(right - np.einsum("nij,nj->ni", form, x))
    reach = np.einsum("nij,nj->ni", gamma * size + error, np.abs(x))
    residual = (1 + gamma) * (residual + reach + gamma * np.abs(right) + right_error)
    residual += 4 * TINY * (d + 1 + (size.sum(axis=2) + 1) * (1 + np.abs(x).sum(axis=1)[:, None]))
    away = np.abs(np.eye(d) - Y @ form) + absolute @ (gamma * size + error)
    away += (
        gamma * np.eye(d)
        + TINY * (1 + absolute.sum(axis=2) + size.sum(axis=2)).sum(axis=1)[:, None, None]
    )
    k = (1 + gamma) * away.sum(axis=2).max(axis=1)
    step = (1 + gamma) * np.einsum("nij,nj->ni", absolute, residual)
    step += TINY * (1 + absolute.sum(axis=2)) * (1 + residual.sum(axis=1))[:, None]
    bound = step + (k / (1 - k) * step.max(axis=1))[:, None]
    bound = 1.0001 * bound + TINY
    bound[~((k < 0.5) & (bound.max(axis=1) < HUGE))] = np.inf
    x[~np.isfinite(x)] = 0.0
    return x, bound


def _inverses(matrices: FloatArray) -> FloatArray:
    """Invert each matrix approximately; NaN where that fails."""
    try:
        return np.asarray(np.linalg.inv(matrices), np.float64)
    except np.linalg.LinAlgError:
        out = np.full_like(matrices, np.nan)
        for i, matrix in enumerate(matrices):
            try:
                out[i] = np.linalg.inv(matrix)
            except np.linalg.LinAlgError:
                continue
        return out


def _common_zero(
    rows: Rows, meeting: IntArray, infinite: BoolArray, direction: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve for the common zeros of rows, or for their M-parts, with room for one coordinate more.

    Parameters
    ----------
    rows : Rows
    meeting : int32 array of shape (n, d)
    infinite : boolean array of shape (n,)
        Where the M-part is meant, the solution with `direction` on the right.
    direction : float array of shape (n, d)

    Returns
    -------
    x, bound : arrays of shape (n, d + 1)
    """
    n, d = meeting.shape
    form, error = rows.form.view[meeting], rows.error.view[meeting]
    right = np.where(infinite[:, None], direction, -form[:, :, d])
    right_error = np.where(infinite[:, None], 0.0, error[:, :, d])
    x, bound = np.zeros((n, d + 1)), np.zeros((n, d + 1))
    with np.errstate(all="ignore"):
        x[:, :d], bound[:, :d] = _solve_with_error(
            form[:, :, :d], error[:, :, :d], right, right_error
        )
    return x, bound


class VertexTable:
    """Coordinates of the vertices of a complex.

    Attributes
    ----------
    x, error : Growing of float, shape (n, d + 1)
        Homogeneous coordinates: the last is 1, or 0 for a vertex on the enclosing simplex, whose
        direction (M-part) is then in front.
    """

    __slots__ = ("_exact", "d", "error", "x")

    def __init__(self, d: int) -> None:
        self.d = d
        self.x = Growing(np.zeros((0, d + 1)))
        self.error = Growing(np.zeros((0, d + 1)))
        self._exact: dict[int, ExactPoint] = {}

    def __len__(self) -> int:
        return self.x.n

    def part(self, vertices: Ints) -> VertexTable:
        """Return some of the vertices, renumbered."""
        out = VertexTable(self.d)
        out.x = Growing(self.x.view[vertices])
        out.error = Growing(self.error.view[vertices])
        return out

    def add(self, rows: Rows, meeting: IntArray) -> None:
        """Append the common zeros of d rows each."""
        m = rows.at_infinity.view[meeting]
        infinite: BoolArray = np.asarray(m.any(axis=1))
        x, bound = _common_zero(rows, meeting, infinite, -m.astype(float))
        x[:, self.d] = ~infinite
        self.x.append(x)
        self.error.append(bound)

    def signs(
        self, vertices: Ints, form: FloatArray, error: FloatArray
    ) -> tuple[BoolArray, BoolArray, BoolArray]:
        """Find the signs that floats settle; forms as in `_value_with_error`.

        Returns
        -------
        positive, negative : boolean arrays
            The sign is open where neither holds.
        level : boolean array
            Where the form is constant, so that it has this sign also at infinity.
        """
        with np.errstate(all="ignore"):
            value, bound = _value_with_error(
                form, error, self.x.view[vertices], self.error.view[vertices]
            )
            above, below = value > bound, value < -bound
        level = np.zeros_like(above)
        doubtful = np.flatnonzero(~(above | below))
        form, error = form[doubtful], error[doubtful]
        constant = ~((form != 0) | (error != 0))[:, : self.d].any(axis=1)
        value, bound = form[:, self.d], error[:, self.d]
        level[doubtful] = constant & (np.abs(value) > bound)
        above[doubtful] = level[doubtful] & (value > 0)
        below[doubtful] = level[doubtful] & (value < 0)
        return above, below, level

    def finite_signs(
        self, rows: Rows, meeting: IntArray, form: FloatArray, error: FloatArray
    ) -> tuple[BoolArray, BoolArray]:
        """Find signs as `signs` does, of the finite parts of the common zeros of some rows."""
        nowhere = np.zeros(len(meeting), np.bool_)
        x, bound = _common_zero(rows, meeting, nowhere, np.zeros(meeting.shape))
        x[:, self.d] = 1.0
        with np.errstate(all="ignore"):
            value, doubt = _value_with_error(form, error, x, bound)
            return value > doubt, value < -doubt

    def exact(
        self, vertex: int, rows: Callable[[], Sequence[tuple[Sequence[int], int]]]
    ) -> ExactPoint:
        """Solve for one vertex exactly.

        Parameters
        ----------
        vertex : int
            Its number, under which the answer is kept.
        rows : callable
            Gives d forms with integer coefficients, each with its factor of M, if they are needed.

        Returns
        -------
        ExactPoint
        """
        point = self._exact.get(vertex)
        if point is None:
            d, meeting = self.d, rows()
            matrix = QMatrix.from_integers([x for form, _ in meeting for x in form[:d]], 1, (d, d))
            ends = [-x for form, m in meeting for x in (form[d], m)]
            solution = matrix.solve(QMatrix.from_integers(ends, 1, (d, 2)))
            numbers = solution.numerators()
            point = ExactPoint(solution.denominator, tuple(numbers[::2]), tuple(numbers[1::2]))
            self._exact[vertex] = point
        return point
