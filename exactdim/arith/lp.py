"""Exact linear feasibility and optimisation over the rational numbers.

A system is a matrix A and a column c; row i is the affine form ``g_i(x) = A_i x + c_i``. A float
solver may propose a point or a basis; only rational arithmetic decides, with no tolerance. The
deciding method is a dual simplex method on bases of rows, with Bland's rule wherever it stalls, so
it terminates from every start and a bad proposal costs time only. Every answer is multiplied out
before it is returned.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from flint import fmpq, fmpz_mat

from exactdim.arith.matrix import QMatrix
from exactdim.arith.simplex import (
    Point,
    System,
    dot,
    leaders,
    proposals,
    require,
    simplex,
)
from exactdim.errors import InvalidInput, ShapeMismatch

__all__ = [
    "Facets",
    "Feasibility",
    "Optimum",
    "feasible_point",
    "interior_point",
    "minimise",
    "redundant_rows",
]


@dataclass(frozen=True)
class Feasibility:
    """A point of a polyhedron, or a proof that there is none.

    Parameters
    ----------
    point : QMatrix of shape (d, 1) or None
        ``None`` if there is no point.
    multipliers : dict of int to int
        Empty if there is a point. Otherwise row to coefficient: positive, without a common factor,
        for at most d + 1 rows; their combination is the contradiction.
    """

    point: QMatrix | None
    multipliers: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimum:
    """The outcome of a linear minimisation.

    Parameters
    ----------
    status : str
        ``"optimal"``, ``"unbounded"`` or ``"infeasible"``.
    value : Fraction or None
        The minimum, if there is one.
    point : QMatrix of shape (d, 1) or None
        An optimal point; if unbounded, a feasible one.
    ray : QMatrix of shape (d, 1) or None
        If unbounded, r with ``A r >= 0`` and ``objective r < 0``.
    multipliers : dict of int to Fraction
        Positive, for at most d + 1 rows. If optimal, ``objective = sum l_i A_i`` and
        ``value = -sum l_i c_i``; if infeasible, ``sum l_i A_i = 0`` and ``sum l_i c_i < 0``.
    """

    status: str
    value: Fraction | None = None
    point: QMatrix | None = None
    ray: QMatrix | None = None
    multipliers: dict[int, Fraction] = field(default_factory=dict)


@dataclass(frozen=True)
class Facets:
    """An irredundant part of a system that describes the same full-dimensional polyhedron.

    Parameters
    ----------
    kept : tuple of int
        Increasing.
    points : dict of int to QMatrix of shape (d, 1)
        For each kept row a point where it is zero and every other kept row is positive.
    multipliers : dict of int to (dict of int to Fraction)
        For each dropped row i positive coefficients of kept rows with ``A_i = sum l_j A_j`` and
        ``c_i >= sum l_j c_j``.
    """

    kept: tuple[int, ...]
    points: dict[int, QMatrix]
    multipliers: dict[int, dict[int, Fraction]]


def interior_point(A: QMatrix, c: QMatrix) -> Feasibility:
    """Find a point where all affine forms are positive, or prove that there is none.

    Parameters
    ----------
    A : QMatrix of shape (m, d)
        Any rows, zero and repeated ones too; m or d may be 0.
    c : QMatrix of shape (m, 1)

    Returns
    -------
    Feasibility
        A point with ``A x + c > 0`` and short numerators, or multipliers, not all zero, with
        ``sum l_i A_i = 0`` and ``sum l_i c_i <= 0`` (Motzkin; Gordan for c = 0).

    Raises
    ------
    ShapeMismatch
        If the shapes do not fit.

    Notes
    -----
    Maximises the least of the forms, each over a power of two near its norm; see Schrijver, Theory
    of Linear and Integer Programming, sections 7.8 and 11.4. One exact solve of order d + 1 per
    pivot; most often there is none when the floats are right, and a point needs no solve at all.

    Examples
    --------
    >>> triangle = QMatrix([[1, 0], [0, 1], [-1, -1]])
    >>> interior_point(triangle, QMatrix([[0], [0], [1]])).point
    QMatrix([['1/4'], ['1/4']])
    >>> interior_point(triangle, QMatrix([[0], [0], [0]])).multipliers
    {0: 1, 1: 1, 2: 1}
    """
    return _decide(A, c, strict=True)


def feasible_point(A: QMatrix, c: QMatrix) -> Feasibility:
    """Find a point where no affine form is negative, or prove that there is none.

    Parameters
    ----------
    A : QMatrix of shape (m, d)
    c : QMatrix of shape (m, 1)

    Returns
    -------
    Feasibility
        A point with ``A x + c >= 0``, or multipliers with ``sum l_i A_i = 0`` and
        ``sum l_i c_i < 0`` (Farkas).

    Raises
    ------
    ShapeMismatch
        If the shapes do not fit.

    Notes
    -----
    Method and cost are those of `interior_point`. The point is interior if there is an interior.

    Examples
    --------
    >>> A = QMatrix([[1], [-1]])
    >>> feasible_point(A, QMatrix([["-1/3"], ["1/3"]])).point
    QMatrix([['1/3']])
    >>> feasible_point(A, QMatrix([["-2/3"], ["1/3"]])).multipliers
    {0: 1, 1: 1}
    """
    return _decide(A, c, strict=False)


def minimise(A: QMatrix, c: QMatrix, objective: QMatrix) -> Optimum:
    """Minimise a linear form over ``A x + c >= 0``.

    Parameters
    ----------
    A : QMatrix of shape (m, d)
    c : QMatrix of shape (m, 1)
    objective : QMatrix of shape (1, d)

    Returns
    -------
    Optimum

    Raises
    ------
    ShapeMismatch
        If the shapes do not fit.

    Notes
    -----
    First the recession cone yields a dual feasible basis or a ray, then the dual simplex method
    runs (Schrijver, sections 7.4 and 11.7). One exact solve of order d per pivot.

    Examples
    --------
    >>> A, c = QMatrix([[1, 0], [0, 1], [-1, -1]]), QMatrix([[0], [0], [1]])
    >>> best = minimise(A, c, QMatrix([[-2, -1]]))
    >>> best.value, best.point, best.multipliers
    (Fraction(-2, 1), QMatrix([['1'], ['0']]), {1: Fraction(1, 1), 2: Fraction(2, 1)})
    >>> minimise(A[:2], c[:2], QMatrix([[-2, -1]])).status
    'unbounded'
    """
    system = System.read(A, c)
    if objective.shape != (1, system.width):
        raise ShapeMismatch(f"objective of shape {objective.shape} beside A of shape {A.shape}")
    cost = objective.numerators()
    order = [0]
    for proposed, _ in itertools.islice(proposals(system, cost), 1):
        order = [i + 1 for i in proposed]
    # The cone of directions, cut off where the objective is -1.
    cone = System([cost, *system.rows], [1] + [0] * A.shape[0], system.width)
    end = simplex(cone, cost, order, capped=True)
    assert end.point is not None  # the origin
    ray = end.point[0]
    if dot(cost, ray) < 0:
        require(min(cone.values(ray, 0)[1:], default=0) >= 0, "a ray leaves the cone")
        found = feasible_point(A, c)
        if found.point is None:
            proof = {i: Fraction(w) for i, w in found.multipliers.items()}
            return Optimum("infeasible", multipliers=proof)
        return Optimum("unbounded", point=found.point, ray=_column(*end.point))
    end = simplex(system, cost, [i - 1 for i in end.basis], capped=False)
    if end.point is None:
        integers = system.contradiction(end.weights, strict=False)
        return Optimum("infeasible", multipliers={i: Fraction(w) for i, w in integers.items()})
    x, den = end.point
    value = Fraction(dot(cost, x), den)
    require(min(system.values(x, den), default=0) >= 0, "an optimal point is not feasible")
    require(min(end.weights.values(), default=1) > 0, "a multiplier is not positive")
    require(system.combine(end.weights) == [*cost, -value], "the duality gap is not zero")
    # The integer rows and the integer objective are multiples of the given ones.
    factor = Fraction(system.scale, objective.denominator)
    return Optimum(
        "optimal",
        value / objective.denominator,
        _column(x, den),
        multipliers={i: w * factor for i, w in sorted(end.weights.items())},
    )


def redundant_rows(A: QMatrix, c: QMatrix) -> Facets:
    """Split the rows of a full-dimensional polyhedron into facets and consequences of these.

    Parameters
    ----------
    A : QMatrix of shape (m, d)
    c : QMatrix of shape (m, 1)

    Returns
    -------
    Facets
        Of rows that are positive multiples of each other at most the first is kept.

    Raises
    ------
    ShapeMismatch
        If the shapes do not fit.
    InvalidInput
        If no point satisfies ``A x + c > 0``.

    Notes
    -----
    Clarkson's method (More output-sensitive geometric algorithms, FOCS 1994): a row is tested
    against the facets found so far only, and if it is no consequence of these, a ray from the
    interior to a point that violates it leaves the polyhedron through a new facet. At most 2 m
    linear programs with one row more than there are facets.

    Examples
    --------
    >>> facets = redundant_rows(QMatrix([[1], [2], [-1], [1]]), QMatrix([[0], [0], [1], [5]]))
    >>> facets.kept, facets.points[2], facets.multipliers[1]
    ((0, 2), QMatrix([['1']]), {0: Fraction(2, 1)})
    """
    system = System.read(A, c)
    start = interior_point(A, c).point
    if start is None:
        raise InvalidInput("no point satisfies A x + c > 0; redundancy needs an interior")
    leading = leaders(system)
    candidates = sorted({k for k, _ in leading.values()})
    search = _Clarkson(system.part(candidates), (start.numerators(), start.denominator))
    for i in range(len(candidates)):
        search.settle(i)
    kept = {candidates[k]: search.points[k] for k in sorted(search.points)}
    proofs: dict[int, dict[int, Fraction]] = {}
    for i in (i for i in range(A.shape[0]) if i not in kept):
        leader, ratio = leading.get(i, (i, Fraction(1)))
        if leader in kept:
            proofs[i] = {leader: ratio}
        elif i in leading:
            base = search.proofs[candidates.index(leader)]
            proofs[i] = {candidates[k]: ratio * w for k, w in sorted(base.items())}
        else:
            proofs[i] = {}  # a positive constant
        *form, constant = system.combine(proofs[i])
        implied = form == system.rows[i] and constant <= system.offsets[i]
        positive = min(proofs[i].values(), default=1) > 0
        require(implied and positive and proofs[i].keys() <= kept.keys(), "no redundant row")
    facets = system.part(list(kept))
    for k, i in enumerate(kept):
        values = facets.values(*kept[i])
        require(values.pop(k) == 0 and min(values, default=1) > 0, "no point of a facet")
    return Facets(tuple(kept), {i: _column(*kept[i]) for i in kept}, proofs)


def _decide(A: QMatrix, c: QMatrix, *, strict: bool) -> Feasibility:
    system = System.read(A, c)
    d = system.width
    # Maximise t with g_i(x) >= t 2**k_i, where t is at most a typical distance from the origin.
    pairs = zip(system.offsets, system.log_norms, strict=True)
    logs = [offset.bit_length() - k for offset, k in pairs if offset]
    typical = statistics.median_low(logs) if logs else 0
    cap = [0] * d + [-1 << max(0, -typical)]
    rows = [[*row, -1 << k] for row, k in zip(system.rows, system.log_norms, strict=True)]
    program = System([cap, *rows], [1 << max(0, typical), *system.offsets], d + 1)
    order = [0]
    for order, ((*x, t), den) in proposals(program, cap):  # noqa: B007
        point = _shorten(system, x, den)
        if point is not None:
            return Feasibility(_column(*point))
        if Fraction(t, den) < -(Fraction(2) ** (typical - 20)):
            break
    end = simplex(program, cap, order, capped=True, goal=0, beyond=not strict)
    if end.point is None:
        weights = {i - 1: w for i, w in end.weights.items() if i}
        return Feasibility(None, system.contradiction(weights, strict=strict))
    (*x, t), den = end.point
    if t > 0:
        point = _shorten(system, x, den)
        assert point is not None
        return Feasibility(_column(*point))
    require(not strict and min(system.values(x, den)) >= 0, "a point is not feasible")
    return Feasibility(_column(x, den))


def _shorten(system: System, x: Sequence[int], den: int) -> Point | None:
    """Round a point where all forms are positive to few bits; ``None`` if one is not positive."""
    room = _room(system, x, den)
    if room is None:
        return None
    for bits in range(-room - 4, system.width.bit_length() - room + 1):
        up, down = max(0, bits), max(0, -bits)
        half, whole = den << down, 2 * den << down
        short = [((2 * v << up) + half) // whole << down for v in x]
        if min(system.values(short, 1 << up), default=1) > 0:
            return short, 1 << up
    raise AssertionError("a rounding that cannot leave the interior left it")


def _room(system: System, x: Sequence[int], den: int) -> int | None:
    """Find k such that every move by less than 2**k, summed over coordinates, stays inside."""
    values = system.values(x, den)
    if min(values, default=1) <= 0:
        return None
    pairs = zip(values, system.log_norms, strict=True)
    return min((int(v.bit_length()) - k for v, k in pairs), default=1) - 1 - den.bit_length()


def _column(x: Sequence[int], den: int) -> QMatrix:
    return QMatrix.from_integers(x, den, (len(x), 1))


class _Clarkson:
    """The facets found so far among rows of which no two have the same direction."""

    def __init__(self, system: System, start: Point) -> None:
        self.system = system
        self.start = self.origin = start
        self.points: dict[int, Point] = {}
        self.proofs: dict[int, dict[int, Fraction]] = {}
        self.random = random.Random(0)
        self.moves = 0

    def settle(self, i: int) -> None:
        """Find a point on facet i, or facets of which row i is a consequence."""
        excess = max(0, self.system.log_norms[i] - 10)
        hit = self._exit([-x >> excess for x in self.system.rows[i]])
        if hit:
            self.points.setdefault(*hit)
        while i not in self.points:
            target = self._violation(i)
            if target is None:
                return
            x, den = target
            while True:
                y, scale = self.origin
                hit = self._exit([u * scale - v * den for u, v in zip(x, y, strict=True)])
                if hit:
                    break
                self._move()
            require(hit[0] not in self.points, "a known facet is violated")
            self.points.update([hit])

    def _violation(self, i: int) -> Point | None:
        """Find a point where row i is negative and the known facets are positive."""
        row, offset, known = self.system.rows[i], self.system.offsets[i], list(self.points)
        rest = self.system.part(known)
        y, scale = self.start
        depth = (dot(row, y) + offset * scale) // scale + 1
        cut = System([row, *rest.rows], [offset + depth, *rest.offsets], len(row))
        order = [0]
        for order, (x, den) in proposals(cut, row):  # noqa: B007
            target = self._inwards(i, rest, x, den)
            if target is not None:
                return target
            if dot(row, x) + offset * den > depth * den >> 20:
                break
        end = simplex(cut, row, order, capped=True, goal=-offset)
        if end.point is None:
            whole = 1 - end.weights.pop(0, Fraction(0))
            self.proofs[i] = {known[j - 1]: w / whole for j, w in end.weights.items()}
            return None
        x, den = end.point
        target = self._inwards(i, rest, x, den)
        assert target is not None
        return target

    def _inwards(self, i: int, rest: System, x: list[int], den: int) -> Point | None:
        """Go from x towards the interior until row i has half its negative value, and shorten."""
        row, offset = self.system.rows[i], self.system.offsets[i]
        y, scale = self.start
        low, high = dot(row, x) + offset * den, dot(row, y) + offset * scale
        if low >= 0:
            return None
        # In units of 1 / (den * scale) the row goes from low * scale to high * den.
        near, far = 2 * high * den - low * scale, -low * scale
        middle = [near * scale * u + far * den * v for u, v in zip(x, y, strict=True)]
        region = System([*rest.rows, [-v for v in row]], [*rest.offsets, -offset], len(row))
        return _shorten(region, middle, (near + far) * den * scale)

    def _exit(self, direction: list[int]) -> tuple[int, Point] | None:
        """Find the row that alone vanishes first on the ray from the origin, and where."""
        x, den = self.origin
        slopes = (self.system.matrix * fmpz_mat(len(x), 1, direction)).entries()
        pairs = enumerate(zip(self.system.values(x, den), slopes, strict=True))
        times = sorted((fmpq(v, -s), k) for k, (v, s) in pairs if s < 0)
        if not times or (len(times) > 1 and times[0][0] == times[1][0]):
            return None
        p, q = int(times[0][0].p), int(times[0][0].q)
        return times[0][1], ([q * u + p * v for u, v in zip(x, direction, strict=True)], q * den)

    def _move(self) -> None:
        """Take another origin near the first; a generic one meets one facet at a time."""
        self.moves += 1
        x, den = self.start
        room = _room(self.system, x, den)
        assert room is not None
        shift = room - len(x).bit_length() - self.moves - 1
        up, down = max(0, shift), max(0, -shift)
        steps = [self.random.randint(-(1 << self.moves), 1 << self.moves) << up for _ in x]
        moved = [(u << down) + den * s for u, s in zip(x, steps, strict=True)]
        self.origin = moved, den << down
