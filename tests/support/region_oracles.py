"""Activation regions by brute force, counting formulas, and random problems to compare on.

Only layers of Fractions and integers are used, nothing of exactdim but its public constructors.

Half-spaces are rows of integers (g, c) for ``g . x + c > 0``; points are homogeneous integers whose
last coordinate is positive. Whether finitely many open half-spaces have a common point is decided
by descending the dimension: if p lies in an open convex set and not in the half-space, then the
half-space meets the set exactly if its boundary hyperplane does.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from oracles import fraction_rank, layers_of

import exactdim as ed

Row = tuple[int, ...]
Layers = Sequence[tuple[Sequence[Sequence[Fraction]], Sequence[Fraction] | None]]

# -- open polyhedra --------------------------------------------------------------------------


def integral(row: Sequence[Fraction | int]) -> Row:
    """The shortest integer row with the same half-space."""
    fractions = [Fraction(v) for v in row]
    scale = math.lcm(*(v.denominator for v in fractions))
    numbers = [int(v * scale) for v in fractions]
    divisor = math.gcd(*numbers) or 1
    return tuple(v // divisor for v in numbers)


def value(row: Row, point: Row) -> int:
    """The form at a point, up to a positive factor."""
    return sum(a * x for a, x in zip(row, point, strict=True))


def on_hyperplane(row: Row, rows: Sequence[Row]) -> Row | None:
    """A point with ``row = 0`` and all rows positive, or None; the gradient is not zero."""
    k = max(i for i in range(len(row) - 1) if row[i])
    size, sign = abs(row[k]), 1 if row[k] > 0 else -1
    lower = []
    for a in rows:
        b = [size * u - sign * a[k] * v for u, v in zip(a, row, strict=True)]
        del b[k]
        divisor = math.gcd(*b)
        if not divisor:
            return None
        lower.append(tuple(v // divisor for v in b))
    point = common_point(lower, len(row) - 2)
    if point is None:
        return None
    rest = sum(a * x for a, x in zip(row[:k] + row[k + 1 :], point, strict=True))
    lifted = [size * x for x in point]
    lifted.insert(k, -sign * rest)
    divisor = math.gcd(*lifted)
    return tuple(v // divisor for v in lifted)


def beyond(row: Row, point: Row, rows: Sequence[Row], side: int) -> Row:
    """A point with ``side * row > 0`` and all rows positive, near one where row is 0."""
    slack = [(value(a, point), side * sum(map(int.__mul__, a[:-1], row[:-1]))) for a in rows]
    step = min((Fraction(s, -2 * v) for s, v in slack if v < 0), default=Fraction(point[-1]))
    near = [x + side * step * g for x, g in zip(point, (*row[:-1], 0), strict=True)]
    return integral(near)


def common_point(rows: Sequence[Row], d: int) -> Row | None:
    """A point of R^d at which all rows are positive, or None."""
    if d == 0:
        return (1,) if all(c > 0 for (c,) in rows) else None
    if d == 1:
        return _of_interval(rows)
    point: Row = (*[0] * d, 1)
    for i, row in enumerate(rows):
        if value(row, point) > 0:
            continue
        if not any(row[:-1]):
            return None
        found = on_hyperplane(row, rows[:i])
        if found is None:
            return None
        point = beyond(row, found, rows[:i], 1)
    return point


def _of_interval(rows: Sequence[Row]) -> Row | None:
    low = high = None
    for a, c in rows:
        if a > 0:
            low = Fraction(-c, a) if low is None else max(low, Fraction(-c, a))
        elif a < 0:
            high = Fraction(-c, a) if high is None else min(high, Fraction(-c, a))
        elif c <= 0:
            return None
    if low is None and high is None:
        return (0, 1)
    if high is None:
        return integral([low + 1, 1])
    if low is None:
        return integral([high - 1, 1])
    return integral([(low + high) / 2, 1]) if low < high else None


# -- cells of a network ----------------------------------------------------------------------


def restricted(
    layers: Layers, origin: Sequence[Fraction], directions: Sequence[Sequence[Fraction]]
) -> Layers:
    """The network on ``origin + y @ directions``, as a network of y."""
    (W, b), *rest = layers
    first = [
        [sum(map(Fraction.__mul__, row, axis), Fraction(0)) for axis in directions] for row in W
    ]
    shift = [sum(map(Fraction.__mul__, row, origin), Fraction(0)) for row in W]
    return [(first, shift if b is None else [u + v for u, v in zip(shift, b, strict=True)]), *rest]


def forms(layers: Layers, pattern: str, d: int) -> list[list[Fraction]]:
    """Pre-activations of the layer after those in the pattern, as affine forms."""
    h = [[Fraction(int(i == j)) for j in range(d + 1)] for i in range(d)]
    at = 0
    for W, b in layers:
        z = [[Fraction(0)] * d + [Fraction(0) if b is None else b[k]] for k in range(len(W))]
        for form, weights in zip(z, W, strict=True):
            for weight, below in zip(weights, h, strict=True):
                if weight:
                    for i, v in enumerate(below):
                        form[i] += weight * v
        if at == len(pattern):
            return z
        on = pattern[at : at + len(W)]
        h = [f if bit == "1" else [Fraction(0)] * (d + 1) for f, bit in zip(z, on, strict=True)]
        at += len(W)
    raise AssertionError


def cells(
    layers: Layers, inequalities: Sequence[Sequence[Fraction]], d: int
) -> Iterator[tuple[str, Row, list[Row]]]:
    """Every activation region: its pattern, a point in it, and the rows that are positive there."""
    walls = [integral(row) for row in inequalities]
    walls = [row for row in walls if any(row[:-1]) or row[-1] < 0]
    start = common_point(walls, d)
    found = [] if start is None else [("", start, walls)]
    for _ in layers[:-1]:
        after = []
        for pattern, point, rows in found:
            pieces = [("", point, rows)]
            for form in forms(layers, pattern, d):
                row = integral(form)
                pieces = [half for piece in pieces for half in _halves(row, *piece)]
            after += [(pattern + bits, q, inside) for bits, q, inside in pieces]
        found = after
    yield from found


def _halves(
    row: Row, bits: str, point: Row, rows: list[Row]
) -> Iterator[tuple[str, Row, list[Row]]]:
    at = value(row, point)
    if not any(row[:-1]):
        yield bits + ("1" if at > 0 else "0"), point, rows
        return
    edge = on_hyperplane(row, rows) if at else point
    for side in (1, -1):
        inside = [*rows, row if side > 0 else tuple(-v for v in row)]
        if side * at > 0:
            yield bits + "01"[side > 0], point, inside
        elif edge is not None:
            yield bits + "01"[side > 0], beyond(row, edge, rows, side), inside


def patterns(
    layers: Layers, inequalities: Sequence[Sequence[Fraction]] = (), d: int | None = None
) -> set[str]:
    """The activation patterns of all regions."""
    dimension = len(layers[0][0][0]) if d is None else d
    listed = [pattern for pattern, _, _ in cells(layers, inequalities, dimension)]
    assert len(listed) == len(set(listed))
    return set(listed)


def signs_far_out(
    layers: Layers, finite: Sequence[Fraction], infinite: Sequence[Fraction]
) -> list[int]:
    """Signs of all hidden pre-activations at ``finite + M infinite``, for all large M."""
    zero = (Fraction(0), Fraction(0))
    h = list(zip(infinite, finite, strict=True))
    signs = []
    for W, b in layers[:-1]:
        z = []
        for k, row in enumerate(W):
            far = sum((w * v for w, (v, _) in zip(row, h, strict=True)), Fraction(0))
            near = sum((w * v for w, (_, v) in zip(row, h, strict=True)), Fraction(0))
            z.append((far, near + (0 if b is None else b[k])))
        signs += [(v > zero) - (v < zero) for v in z]
        h = [max(v, zero) for v in z]
    return signs


# -- counting formulas -----------------------------------------------------------------------


def zaslavsky(m: int, d: int) -> tuple[int, int]:
    """Regions, and bounded ones, of m hyperplanes in general position in R^d."""
    return sum(math.comb(m, k) for k in range(d + 1)), math.comb(m - 1, d)


def arrangement_regions(rows: Sequence[Sequence[Fraction | int]], d: int) -> tuple[int, int]:
    """Regions, and bounded ones, of any hyperplanes ``g . x + c = 0`` (Zaslavsky, Whitney)."""
    primitive = {integral(row) for row in rows if any(row[:-1])}
    different = {max(row, tuple(-v for v in row)) for row in primitive}
    coefficients = [0] * (d + 1)  # of the characteristic polynomial
    rank = fraction_rank([row[:-1] for row in different])
    for size in range(len(different) + 1):
        for chosen in itertools.combinations(sorted(different), size):
            gradients = fraction_rank([row[:-1] for row in chosen])
            if gradients == fraction_rank(list(chosen)):  # they have a common point
                coefficients[d - gradients] += (-1) ** size
    at = [sum(c * t**k for k, c in enumerate(coefficients)) for t in (-1, 1)]
    return (-1) ** d * at[0], (-1) ** rank * at[1] if rank == d else 0


def serra_bound(widths: Sequence[int]) -> int:
    """Upper bound for ``(N_0; N_1, ..., N_{L-1})`` by Serra, Tjandraatmadja and Ramalingam."""

    def total(layer: int, room: int) -> int:
        if layer == len(widths):
            return 1
        width = widths[layer]
        return sum(
            math.comb(width, j) * total(layer + 1, min(room, width - j))
            for j in range(min(room, width) + 1)
        )

    return total(1, widths[0])


def product_bound(widths: Sequence[int]) -> int:
    """Upper bound by Montufar: layer by layer, in the smallest dimension so far."""
    return math.prod(
        sum(math.comb(width, j) for j in range(min(widths[: layer + 2]) + 1))
        for layer, width in enumerate(widths[1:])
    )


def lower_bound(widths: Sequence[int]) -> int:
    """Regions that some network of these widths has at least."""
    d = widths[0]
    folds = math.prod((width // d) ** d for width in widths[1:-1])
    return folds * sum(math.comb(widths[-1], k) for k in range(d + 1))


# -- random problems -------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """A network on a domain, and the same for brute force: layers and rows in d coordinates."""

    net: ed.ReLUNetwork
    domain: ed.Domain | None
    layers: Layers
    inequalities: Sequence[Sequence[Fraction]]
    d: int

    def patterns(self) -> set[str]:
        return patterns(self.layers, self.inequalities, self.d)


def box_rows(lower: Sequence[Fraction], upper: Sequence[Fraction]) -> list[list[Fraction]]:
    """A box as inequalities (g, c)."""
    rows = []
    for i, (lo, hi) in enumerate(zip(lower, upper, strict=True)):
        unit = [Fraction(int(i == j)) for j in range(len(lower))]
        rows += [[*unit, Fraction(-lo)], [*(-v for v in unit), Fraction(hi)]]
    return rows


def random_problem(seed: int) -> Problem:
    """At most 10 hidden units, at most 3 inputs; about one half is degenerate."""
    rng = random.Random(seed)
    net = _random_network(rng)
    layers, inputs = layers_of(net), net.widths[0]
    kind = rng.choice(["everywhere", "box", "polytope", "polytope", "flat"])
    if kind == "everywhere":
        return Problem(net, None, layers, [], inputs)
    if kind == "box":
        low = [Fraction(rng.randint(-4, 0), rng.randint(1, 3)) for _ in range(inputs)]
        high = [v + Fraction(rng.randint(1, 8), rng.randint(1, 3)) for v in low]
        return Problem(net, ed.Domain.box(low, high), layers, box_rows(low, high), inputs)
    if kind == "polytope":  # perhaps unbounded, redundant, flat or empty
        A = [[rng.randint(-2, 2) for _ in range(inputs)] for _ in range(rng.randint(1, 6))]
        b = [Fraction(rng.randint(-1, 4), rng.randint(1, 2)) for _ in A]
        for _ in range(rng.randint(0, 2)):
            row, factor = rng.randrange(len(A)), rng.randint(1, 3)
            A.append([factor * v for v in A[row]])
            b.append(factor * b[row] + rng.choice([0, 0, 1]))
        rows = [[*(Fraction(-v) for v in row), c] for row, c in zip(A, b, strict=True)]
        return Problem(net, ed.Domain.polytope(A, b), layers, rows, inputs)
    d = rng.randint(1, inputs)
    directions = [[Fraction(0)] * inputs] * d
    while fraction_rank(directions) < d:
        directions = [[Fraction(rng.randint(-2, 2)) for _ in range(inputs)] for _ in range(d)]
    origin = [Fraction(rng.randint(-2, 2), 2) for _ in range(inputs)]
    within = rng.choice([None, (-2, 2)])
    domain = ed.Domain.affine([origin], directions, within=within)
    rows = box_rows([Fraction(-2)] * d, [Fraction(2)] * d) if within else []
    return Problem(net, domain, restricted(layers, origin, directions), rows, d)


def _random_network(rng: random.Random) -> ed.ReLUNetwork:
    left, hidden = rng.randint(1, 10), []
    for layers_left in range(rng.randint(0, 3), 0, -1):
        if left:
            hidden.append(left if layers_left == 1 else rng.randint(1, left))
            left -= hidden[-1]
    widths = [rng.randint(1, 3), *hidden, rng.randint(1, 2)]
    kind = rng.choice(["ternary", "small", "dyadic", "rational", "near"])

    def number() -> Fraction:
        if kind == "near":  # parallel and concurrent up to very little
            little = Fraction(rng.randint(-2, 2), 2 ** rng.choice([3, 50, 200, 600]))
            return rng.choice([-1, 0, 1]) + little
        if kind == "rational":
            return Fraction(rng.randint(-5, 5), rng.randint(1, 7))
        size = {"ternary": 1, "small": 2, "dyadic": 64}[kind]
        return Fraction(rng.randint(-size, size), 32 if kind == "dyadic" else 1)

    weights, biases = [], []
    for inputs, outputs in itertools.pairwise(widths):
        W = [[number() for _ in range(inputs)] for _ in range(outputs)]
        b = [number() for _ in range(outputs)] if rng.random() < 0.75 else None
        for _ in range(rng.randint(0, 2)):  # parallel, equal, opposite or zero neurons
            one, other = rng.randrange(outputs), rng.randrange(outputs)
            factor = rng.choice([1, -1, 2, 0, Fraction(1, 3)])
            W[one] = [factor * v for v in W[other]]
            if b is not None:
                b[one] = factor * b[other]
        weights.append(W)
        biases.append(b)
    if rng.random() < 0.2:  # one neuron far larger or smaller than the others
        layer, exponent = rng.randrange(len(weights)), rng.choice([-900, -300, -60, 60, 300, 900])
        unit = rng.randrange(len(weights[layer]))
        weights[layer][unit] = [v * Fraction(2) ** exponent for v in weights[layer][unit]]
    return ed.ReLUNetwork(weights, biases)
