"""The exact simplex method behind `lp`, and the floats that propose where it starts.

A dual simplex method on bases of rows, solved in rational numbers, with Bland's rule wherever it
stalls: it terminates from every start, so a bad proposal costs time only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from flint import fmpq, fmpq_mat, fmpz, fmpz_mat, nmod_mat

from exactdim.arith.manyprimes import proved_rank
from exactdim.arith.matrix import QMatrix
from exactdim.arith.modular import pivot_columns
from exactdim.arith.primes import descending_primes
from exactdim.errors import ShapeMismatch

__all__ = [
    "End",
    "Point",
    "System",
    "dot",
    "independent",
    "leaders",
    "positive",
    "proposals",
    "require",
    "simplex",
    "solve",
]


SMALL = 800
"""Programs of m rows in n unknowns with m n n at most this are no slower without floats."""

Point: TypeAlias = "tuple[list[int], int]"
"""Numerators and their positive common denominator."""


# -- a system as integers -------------------------------------------------------------------------


@dataclass(frozen=True)
class System:
    """Affine forms with integer coefficients: `scale` times the given ones."""

    rows: list[list[int]]
    offsets: list[int]
    width: int
    scale: int = 1

    @classmethod
    def read(cls, A: QMatrix, c: QMatrix) -> System:
        """Scale a system to integers."""
        m, d = A.shape
        if c.shape != (m, 1):
            raise ShapeMismatch(f"c has shape {c.shape}; beside A of {A.shape} it must be {(m, 1)}")
        scale = math.lcm(A.denominator, c.denominator)
        up, down = scale // A.denominator, scale // c.denominator
        flat = A.numerators() if up == 1 else [up * x for x in A.numerators()]
        rows = [flat[i * d : (i + 1) * d] for i in range(m)]
        return cls(rows, [down * x for x in c.numerators()], d, scale)

    def part(self, rows: Sequence[int]) -> System:
        """Keep some rows."""
        return System([self.rows[i] for i in rows], [self.offsets[i] for i in rows], self.width)

    @cached_property
    def matrix(self) -> fmpz_mat:
        """The rows as a FLINT matrix."""
        return fmpz_mat(len(self.rows), self.width, [x for row in self.rows for x in row])

    @cached_property
    def column(self) -> fmpz_mat:
        """The offsets as a FLINT column."""
        return fmpz_mat(len(self.rows), 1, self.offsets)

    @cached_property
    def log_norms(self) -> list[int]:
        """Per row a k such that every coefficient is below 2**k; no larger than needed."""
        return [max(map(abs, row), default=0).bit_length() for row in self.rows]

    def values(self, x: Sequence[int], den: int) -> list[fmpz]:
        """Evaluate all forms, times `den`, at the point ``x / den``."""
        return (self.matrix * fmpz_mat(self.width, 1, x) + self.column * den).entries()

    def combine(self, weights: Mapping[int, Fraction]) -> list[Fraction]:
        """Add multiples of rows up; the last number belongs to the offsets."""
        den = math.lcm(*(w.denominator for w in weights.values()))
        scaled = {i: int(w * den) for i, w in weights.items()}
        part = fmpz_mat(len(scaled), self.width, [x for i in scaled for x in self.rows[i]])
        total = (fmpz_mat(1, len(scaled), list(scaled.values())) * part).entries()
        constant = sum(w * self.offsets[i] for i, w in scaled.items())
        return [*(Fraction(int(x), den) for x in total), Fraction(constant, den)]

    def contradiction(self, weights: Mapping[int, Fraction], *, strict: bool) -> dict[int, int]:
        """Check multipliers that prove emptiness and make them integers without common factor."""
        *form, constant = self.combine(weights)
        negative = constant < 0 or (strict and constant == 0)
        require(negative and not any(form) and min(weights.values()) > 0, "no contradiction")
        den = math.lcm(*(w.denominator for w in weights.values()))
        integers = {i: int(w * den) for i, w in sorted(weights.items())}
        common = math.gcd(*integers.values())
        return {i: w // common for i, w in integers.items()}


def require(condition: bool, otherwise: str) -> None:
    """Stop if an internal check fails: that is a bug, never an answer."""
    if not condition:
        raise AssertionError(otherwise)


def dot(u: Sequence[int], v: Sequence[int]) -> int:
    """Multiply two vectors."""
    return sum(a * b for a, b in zip(u, v, strict=True))


# -- the exact method -----------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    """The last basis, with an optimal point, and multipliers of the optimum, goal or emptiness."""

    basis: list[int]
    point: Point | None
    weights: dict[int, Fraction]


def simplex(
    system: System,
    cost: list[int],
    order: Sequence[int],
    *,
    capped: bool,
    goal: int | None = None,
    beyond: bool = False,
) -> End:
    """Minimise ``cost x`` where no form is negative, by the dual simplex method.

    The first basis has the first independent rows of `order`, and then of all. It must be dual
    feasible unless `capped`: then row 0 has the coefficients `cost` and can repair every basis.
    Multipliers that prove that the minimum is at least the `goal`, or `beyond` it, end the search.

    Returns
    -------
    End
    """
    m = len(system.rows)
    basis, columns = independent(system, list(dict.fromkeys([*order, *range(m)])))
    n = len(columns)
    rows, G = system.rows, system.matrix
    if n < system.width:  # the polyhedron contains lines; the other coordinates stay 0
        rows, cost = [[row[j] for j in columns] for row in rows], [cost[j] for j in columns]
        G = fmpz_mat(m, n, [x for row in rows for x in row])
    h = system.column
    weights: list[fmpq] = []
    if not (capped and 0 in basis):
        square = fmpz_mat(n, n, [x for i in basis for x in rows[i]])
        weights = solve(square.transpose(), cost).entries()
        if min(weights, default=0) < 0:
            require(capped, "the first basis is not dual feasible")
            basis[min(range(n), key=weights.__getitem__)] = 0
    if capped and 0 in basis:
        weights = [fmpq(int(i == 0)) for i in basis]
    stalled = False
    while True:
        if goal is not None:
            terms = (w * system.offsets[i] for i, w in zip(basis, weights, strict=True))
            bound = -sum(terms, fmpq(goal))  # of the minimum, above the goal
            if bound > 0 or (bound == 0 and not beyond):
                return End(basis, None, positive(basis, weights))
        square = fmpz_mat(n, n, [x for i in basis for x in rows[i]])
        x, den = solve(square, [-system.offsets[i] for i in basis]).numer_denom()
        values = (G * x + h * den).entries()
        # Largest violation, but Bland's rule from a step without progress to the next with some.
        least = min(values, default=fmpz(0))
        if least >= 0:
            point = [0] * system.width
            for j, v in zip(columns, x.entries(), strict=True):
                point[j] = int(v)
            return End(basis, (point, int(den)), positive(basis, weights))
        enter = next(i for i, v in enumerate(values) if v < 0) if stalled else values.index(least)
        row = solve(square.transpose(), rows[enter]).entries()
        ratios = [(weights[j] / v, basis[j], j) for j, v in enumerate(row) if v > 0]
        if not ratios:  # minus the row is a nonnegative combination, which contradicts its value
            return End(basis, None, positive([enter, *basis], [fmpq(1), *(-v for v in row)]))
        step, _, leave = min(ratios)
        weights = [w - step * v for w, v in zip(weights, row, strict=True)]
        basis[leave], weights[leave] = enter, step
        stalled = step == 0


def solve(square: fmpz_mat, right: Sequence[int]) -> fmpq_mat:
    """Solve an invertible system over the rational numbers."""
    solution: Any = square.solve(fmpz_mat(len(right), 1, right))
    return solution  # type: ignore[no-any-return]


def positive(rows: Iterable[int], weights: Iterable[fmpq]) -> dict[int, Fraction]:
    """Collect the weights that are not zero, by row."""
    return {i: Fraction(int(w.p), int(w.q)) for i, w in zip(rows, weights, strict=True) if w != 0}


def independent(system: System, order: list[int]) -> tuple[list[int], list[int]]:
    """Find a basis of the rows, the first in the given order, and as many independent columns."""
    d = system.width
    matrix = system.matrix
    if order != list(range(len(order))):
        matrix = fmpz_mat(len(order), d, [x for i in order for x in system.rows[i]])
    for p in descending_primes(2**61):
        residues = nmod_mat(matrix, p)
        picked = pivot_columns(residues.transpose())
        if len(picked) == d:
            return [order[i] for i in picked], list(range(d))
        if len(picked) in {len(order), proved_rank(QMatrix._make(matrix, 1))}:
            return [order[i] for i in picked], pivot_columns(residues)
    raise AssertionError("there are infinitely many primes")


# -- the float proposal ---------------------------------------------------------------------------


def proposals(system: System, cost: list[int]) -> Iterator[tuple[list[int], Point]]:
    """Minimise in floats: rows by tightness, those of the basis first, and a dyadic point.

    Rows and columns are scaled by powers of two. Each further proposal looks at the surroundings of
    the last point, through exact values there, under a microscope (iterative refinement).

    Yields
    ------
    order : list of int
    point : Point
    """
    m, n = len(system.rows), system.width
    if m * n * n <= max(SMALL, 0):
        return
    import highspy

    table = [[*row, c] for row, c in zip(system.rows, system.offsets, strict=True)] + [[*cost, 0]]
    excess = [max(0, max(map(abs, row)).bit_length() - 1000) for row in table]
    floats = np.array([[x >> e for x in r] for r, e in zip(table, excess, strict=True)], np.float64)
    zero = -(10**6)  # its exponent
    exponents = np.where(floats == 0, zero, np.frexp(floats)[1])
    body, columns = exponents[:, :n], np.zeros(n, np.int64)
    for _ in range(2):
        rows = (body - columns).max(axis=1)
        rows[rows < zero // 2] = 0
        columns = (body - rows[:, None]).max(axis=0)
        columns[columns < zero // 2] = 0
    known = (exponents[:, n] - rows)[floats[:, n] != 0]
    unit = int(np.median(known)) if known.size else 0
    scaled = np.ldexp(floats[:, :n], -(rows[:, None] + columns))

    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in _OPTIONS.items():
        solver.setOptionValue(option, value)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = n, m
    model.col_cost_ = scaled[m]
    model.col_lower_, model.col_upper_ = np.full(n, -np.inf), np.full(n, np.inf)
    model.row_lower_, model.row_upper_ = np.full(m, -np.inf), np.full(m, np.inf)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.arange(m + 1) * n
    model.a_matrix_.index_ = np.tile(np.arange(n), m)
    model.a_matrix_.value_ = scaled[:m].ravel()
    if solver.passModel(model) == highspy.HighsStatus.kError:
        return
    point = [Fraction(0)] * n
    values: Sequence[int | fmpz] = system.offsets
    log_den = 0
    for _ in range(3):
        shifts = [max(0, v.bit_length() - 60) for v in values]
        powers = np.array(shifts) - np.array(excess[:m]) - rows[:m] - unit - log_den
        mantissas = np.array([int(v >> s) for v, s in zip(values, shifts, strict=True)], np.float64)
        with np.errstate(all="ignore"):  # what overflows is far away
            lower = -np.clip(np.ldexp(mantissas, powers), -1e15, 1e15)
        solver.changeRowsBounds(m, np.arange(m, dtype=np.int32), lower, np.full(m, np.inf))
        solver.run()
        x = np.array(solver.getSolution().col_value)
        status = solver.getBasis().row_status
        if x.shape != (n,) or len(status) != m or not np.isfinite(x).all():
            return
        loose = [s == highspy.HighsBasisStatus.kBasic for s in status]
        order = np.lexsort((scaled[:m] @ x - lower, loose))
        moves = zip(x.tolist(), (unit - columns).tolist(), strict=True)
        point = [u + Fraction(v) * Fraction(2) ** e for u, (v, e) in zip(point, moves, strict=True)]
        den = max(u.denominator for u in point)
        numerators = [int(u * den) for u in point]
        yield order.tolist(), (numerators, den)
        values, log_den = system.values(numerators, den), den.bit_length() - 1
        unit -= 24


_OPTIONS: dict[str, Any] = {
    "output_flag": False,
    "presolve": "off",
    "solver": "simplex",
    "parallel": "off",
    "simplex_iteration_limit": 100_000,
    "primal_feasibility_tolerance": 1e-9,
    "dual_feasibility_tolerance": 1e-9,
}


# -- redundancy -----------------------------------------------------------------------------------


def leaders(system: System) -> dict[int, tuple[int, Fraction]]:
    """Per nonzero row the tightest row of the same direction, and how much longer the row is."""
    contents = [math.gcd(*row) for row in system.rows]
    classes: dict[tuple[int, ...], list[int]] = {}
    for i, content in enumerate(contents):
        if content:
            classes.setdefault(tuple(x // content for x in system.rows[i]), []).append(i)
    out = {}
    for members in classes.values():
        leader = min(members, key=lambda i: Fraction(system.offsets[i], contents[i]))
        out.update({i: (leader, Fraction(contents[i], contents[leader])) for i in members})
    return out
