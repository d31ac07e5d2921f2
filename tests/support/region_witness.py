"""Certificates about regions from brute force, and a second opinion on them.

Everything is in plain Fractions and starts from the parsed problem of a certificate; nothing here
uses exactdim. Regions are found by splitting cells unit by unit with a small exact simplex method.
"""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction

F = Fraction


# -- a small exact simplex method ------------------------------------------------------------


def _pivot(table, basis, nonbasis, i, j):
    """Exchange the basic variable i with the nonbasic variable j; the objective is row -1."""
    factor = table[i][j]
    row = [-v / factor for v in table[i]]
    row[j] = 1 / factor
    table[i] = row
    for k, other in enumerate(table):
        if k != i and other[j]:
            c = other[j]
            table[k] = [v + c * w for v, w in zip(other, row, strict=True)]
            table[k][j] = c * row[j]
    basis[i], nonbasis[j] = nonbasis[j], basis[i]


def _run(table, basis, nonbasis):
    """Maximise from a feasible dictionary by Bland's rule; False if unbounded."""
    while True:
        entering = [j for j in range(len(nonbasis)) if table[-1][j] > 0]
        if not entering:
            return True
        j = min(entering, key=nonbasis.__getitem__)
        ratios = [(-row[-1] / row[j], basis[i]) for i, row in enumerate(table[:-1]) if row[j] < 0]
        if not ratios:
            return False
        _pivot(table, basis, nonbasis, basis.index(min(ratios)[1]), j)


def interior(rows, d):
    """A point at which all rows are positive, or None."""
    if any(not any(row[:-1]) and row[-1] <= 0 for row in rows):
        return None
    # Variables 0..d-1 and d..2d-1 are the parts of y, 2d is u; row + u >= 1, and u is minimised.
    table = [[*row[:-1], *(-v for v in row[:-1]), F(1), row[-1] - 1] for row in rows]
    table.append([F(0)] * (2 * d) + [F(-1), F(0)])
    basis, nonbasis = list(range(2 * d + 1, 2 * d + 1 + len(rows))), list(range(2 * d + 1))
    worst = min(range(len(rows)), key=lambda i: table[i][-1], default=None)
    if worst is not None and table[worst][-1] < 0:
        _pivot(table, basis, nonbasis, worst, 2 * d)
        assert _run(table, basis, nonbasis)
    value = dict.fromkeys(range(2 * d + 1), F(0))
    value.update({v: row[-1] for v, row in zip(basis, table[:-1], strict=True)})
    point = [value[k] - value[d + k] for k in range(d)]
    return point if all(at(row, point) > 0 for row in rows) else None


def on_hyperplane(row, rows, d):
    """A point with row = 0 and all rows > 0, or None."""
    k = next(k for k in range(d) if row[k])

    def without(other):  # y_k = -(the others) / row[k]
        return [
            v - other[k] * w / row[k]
            for i, (v, w) in enumerate(zip(other, row, strict=True))
            if i != k
        ]

    point = interior([without(other) for other in rows], d - 1)
    if point is None:
        return None
    point.insert(k, F(0))
    point[k] = -at(row, point) / row[k]
    return point


def derive(row, facets, inner):
    """Multipliers of facet rows with row = sum + constant >= 0; inner is a point inside."""
    d = len(inner)
    table = [[*f[:-1], *(-v for v in f[:-1]), at(f, inner)] for f in facets]
    table.append([*(-v for v in row[:-1]), *row[:-1], -at(row, inner)])
    basis, nonbasis = list(range(2 * d, 2 * d + len(facets))), list(range(2 * d))
    if not _run(table, basis, nonbasis):
        return None
    assert table[-1][-1] <= 0
    return {v - 2 * d: -table[-1][j] for j, v in enumerate(nonbasis) if v >= 2 * d and table[-1][j]}


def at(form, point):
    return sum((a * b for a, b in zip(form, point, strict=False)), form[-1])


# -- the problem -----------------------------------------------------------------------------


def problem_json(networks, inequalities=(), flat=None):
    """The problem of a certificate; networks are lists of (weight, bias or None)."""
    return {
        "networks": [
            {
                "layers": [
                    {
                        "weight": [[text(v) for v in row] for row in W],
                        "bias": None if b is None else [text(v) for v in b],
                    }
                    for W, b in layers
                ]
            }
            for layers in networks
        ],
        "domain": {
            "inequalities": [[text(v) for v in row] for row in inequalities],
            "flat": None
            if flat is None
            else {
                "origin": [text(v) for v in flat[0]],
                "directions": [[text(v) for v in row] for row in flat[1]],
            },
        },
    }


def text(value):
    value = F(value)
    if value.denominator == 1:
        return integer(value.numerator)
    return f"{integer(value.numerator)}/{integer(value.denominator)}"


def integer(value):
    return str(value) if value.bit_length() < 10_000 else hex(value)


def box(d, side=2):
    """The inequalities of [-side, side]^d."""
    rows = []
    for k in range(d):
        rows.extend([sign * int(i == k) for i in range(d)] + [side] for sign in (1, -1))
    return rows


def independent(rows):
    """Whether one or two rows are independent."""
    if len(rows) == 1:
        return any(rows[0])
    first, second = rows
    pairs = itertools.combinations(range(len(first)), 2)
    return any(first[i] * second[j] != first[j] * second[i] for i, j in pairs)


class Problem:
    """A parsed problem, with its networks as affine forms on patterns."""

    def __init__(self, data):
        self.networks = [
            [
                (
                    [[F(v) for v in row] for row in layer["weight"]],
                    [F(v) for v in layer["bias"] or ["0"] * len(layer["weight"])],
                )
                for layer in network["layers"]
            ]
            for network in data["networks"]
        ]
        self.widths = [[len(b) for _, b in layers[:-1]] for layers in self.networks]
        flat = data["domain"]["flat"]
        n = len(self.networks[0][0][0][0])
        if flat is None:
            self.d = n
            self.inputs = [[F(int(i == k)) for i in range(n + 1)] for k in range(n)]
        else:
            self.d = len(flat["directions"])
            rows = [[F(v) for v in row] for row in (*flat["directions"], flat["origin"])]
            assert all(len(row) == n for row in rows)
            assert independent(rows[:-1])
            self.inputs = [[row[m] for row in rows] for m in range(n)]
        self.domain = [[F(v) for v in row] for row in data["domain"]["inequalities"]]
        assert all(len(row) == self.d + 1 for row in self.domain)
        self.hidden = sum(map(sum, self.widths))

    def layer(self, n, words):
        """Affine forms of the layer after some words."""
        h = self.inputs
        for i, (W, b) in enumerate(self.networks[n]):
            z = [
                [sum((w * g[c] for w, g in zip(row, h, strict=True)), F(0)) for c in range(self.d)]
                + [sum((w * g[-1] for w, g in zip(row, h, strict=True)), F(0)) + bias]
                for row, bias in zip(W, b, strict=True)
            ]
            if i == len(words):
                return z
            h = [
                form if bit == "1" else [F(0)] * (self.d + 1)
                for form, bit in zip(z, words[i], strict=True)
            ]
        raise AssertionError

    def rows(self, pattern):
        """Rows of a pattern (or of the beginning of one) that are not identically zero and off."""
        out, row = {}, 0
        for n, words in enumerate(pattern):
            for i, width in enumerate(self.widths[n]):
                if i < len(words):
                    assert len(words[i]) == width
                    for k, form in enumerate(self.layer(n, words[:i])):
                        if words[i][k] == "1":
                            out[row + k] = form
                        elif any(form):
                            out[row + k] = [-v for v in form]
                row += width
        return out | {row + i: form for i, form in enumerate(self.domain)}

    def run(self, point):
        """Pattern of the signs z > 0 and outputs at a point."""
        pattern, outputs = [], []
        for layers in self.networks:
            h = [at(form, point) for form in self.inputs]
            words = []
            for W, b in layers[:-1]:
                z = [at([*row, c], h) for row, c in zip(W, b, strict=True)]
                words.append("".join("01"[v > 0] for v in z))
                h = [max(v, F(0)) for v in z]
            W, b = layers[-1]
            outputs.append([at([*row, c], h) for row, c in zip(W, b, strict=True)])
            pattern.append(tuple(words))
        return tuple(pattern), outputs

    @functools.cached_property
    def cells(self):
        """All activation regions: pattern and a point inside."""
        out = {}
        places = [(n, i) for n, widths in enumerate(self.widths) for i in range(len(widths))]

        def split(pattern, word, rows, point):
            done = sum(map(len, pattern))
            if done == len(places):
                out[tuple(map(tuple, pattern))] = point
                return
            n, i = places[done]
            if len(word) == self.widths[n][i]:
                longer = [words + [word] * (m == n) for m, words in enumerate(pattern)]
                split(longer, "", rows, point)
                return
            form = self.layer(n, pattern[n])[len(word)]
            for bit in "01":
                row = form if bit == "1" else [-v for v in form]
                if bit == "0" and not any(form):
                    split(pattern, word + bit, rows, point)
                elif at(row, point) > 0:
                    split(pattern, word + bit, [*rows, row], point)
                elif (other := interior([*rows, row], self.d)) is not None:
                    split(pattern, word + bit, [*rows, row], other)

        start = interior(self.domain, self.d)
        if start is not None:
            split([[] for _ in self.networks], "", self.domain, start)
        return out

    @functools.cached_property
    def cell_rows(self):
        """The rows of all activation regions."""
        return {pattern: list(self.rows(pattern).values()) for pattern in self.cells}


# -- witnesses -------------------------------------------------------------------------------


def completeness_witness(data, *, polygons=False, prefer_domain=False):
    """The witness for regions-complete or same-function."""
    problem = Problem(data)
    patterns = list(problem.cells)
    regions = []
    for pattern, inner in problem.cells.items():
        rows = {r: form for r, form in problem.rows(pattern).items() if any(form[:-1])}
        order = sorted(rows, reverse=prefer_domain)
        first = {}  # one row of each half-space
        for r in order:
            pivot = abs(next(v for v in rows[r] if v))
            first.setdefault(tuple(v / pivot for v in rows[r]), r)
        facets = {}
        for r in first.values():
            point = on_hyperplane(rows[r], [rows[s] for s in first.values() if s != r], problem.d)
            if point is not None:
                facets[r] = point
        redundant = []
        names = list(facets)
        for r in rows.keys() - facets.keys():
            multipliers = derive(rows[r], [rows[s] for s in names], inner)
            redundant.append({
                "row": r,
                "multipliers": {str(names[j]): text(v) for j, v in multipliers.items()},
            })
        regions.append({
            "pattern": [list(words) for words in pattern],
            "point": [text(v) for v in inner],
            "facets": [
                {
                    "row": r,
                    "point": [text(v) for v in point],
                    "neighbour": neighbour(problem, patterns, pattern, point),
                }
                for r, point in facets.items()
            ],
            "redundant": redundant,
        })
    return {"regions": regions, "polygons": all_polygons(problem) if polygons else None}


def neighbour(problem, patterns, own, point):
    """The other region whose closure contains a point inside a facet; None on the border."""
    if any(any(g[:-1]) and at(g, point) == 0 for g in problem.domain):
        return None
    touching = [
        cell
        for cell, rows in problem.cell_rows.items()
        if all(at(form, point) >= 0 for form in rows)
    ]
    (other,) = set(touching) - {own}
    return patterns.index(other)


def all_polygons(problem):
    """The polygons of all regions and of the domain, which must be bounded."""
    return {
        "regions": [
            polygon(problem.rows(pattern).values(), inner)
            for pattern, inner in problem.cells.items()
        ],
        "domain": polygon(problem.domain, interior(problem.domain, 2)),
    }


def polygon(rows, inner):
    """Vertices of a bounded polygon, counterclockwise around a point inside."""
    rows = list(rows)
    vertices = set()
    for (a, b, c), (e, f, g) in itertools.combinations(rows, 2):
        det = a * f - b * e
        if det:
            v = ((b * g - c * f) / det, (c * e - a * g) / det)
            if all(at(row, v) >= 0 for row in rows):
                vertices.add(v)

    def compare(p, q):
        (a, b), (c, d) = ((x - inner[0], y - inner[1]) for x, y in (p, q))
        halves = (b < 0 or (b == 0 and a < 0)) - (d < 0 or (d == 0 and c < 0))
        cross = b * c - a * d
        return halves or (cross > 0) - (cross < 0)

    return [[text(x), text(y)] for x, y in sorted(vertices, key=functools.cmp_to_key(compare))]


def area(vertices):
    """Area of a polygon given by strings."""
    points = [(F(x), F(y)) for x, y in vertices]
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return sum((a * d - b * c for (a, b), (c, d) in pairs), F(0)) / 2


def contradiction(rows, d):
    """Multipliers of rows that add up to a contradiction, if the strict system has none inside."""
    zero = next((r for r, form in rows.items() if not any(form[:-1]) and form[-1] <= 0), None)
    if zero is not None:
        return {str(zero): "1"}
    names = list(rows)
    for size in range(2, d + 2):  # by Caratheodory, few rows suffice
        for chosen in itertools.combinations(names, size):
            solution = _null(chosen, rows, d)
            if solution and sum(v * rows[r][-1] for r, v in solution.items()) <= 0:
                return {str(r): text(v) for r, v in solution.items()}
    return None


def _null(chosen, rows, d):
    """The positive relation between the gradients of a minimal dependent set, or None."""
    table = [[rows[r][c] for r in chosen] for c in range(d)]
    pivots = []
    for c in range(len(chosen)):
        i = next((i for i in range(len(pivots), d) if table[i][c]), None)
        if i is None:
            continue
        k = len(pivots)
        table[i], table[k] = table[k], table[i]
        table[k] = [v / table[k][c] for v in table[k]]
        for m in range(d):
            if m != k and table[m][c]:
                table[m] = [v - table[m][c] * w for v, w in zip(table[m], table[k], strict=True)]
        pivots.append(c)
    free = [c for c in range(len(chosen)) if c not in pivots]
    if len(free) != 1:
        return None
    values = {chosen[free[0]]: F(1)}
    values |= {chosen[c]: -table[k][free[0]] for k, c in enumerate(pivots)}
    return values if all(v > 0 for v in values.values()) else None


def certificate(claim, problem, witness):
    """An unsealed certificate."""
    return {
        "format": "exactdim/certificate",
        "version": 1,
        "claim": claim,
        "problem": problem,
        "witness": witness,
        "digest": "",
    }


def complete(problem, **options):
    count = len(Problem(problem).cells)
    witness = completeness_witness(problem, **options)
    return certificate({"kind": "regions-complete", "count": count}, problem, witness)


# -- a second opinion ------------------------------------------------------------------------


def true(data):
    """Whether the claim is true, by brute force."""
    claim, problem = data["claim"], Problem(data["problem"])
    if claim["kind"] == "region-nonempty":
        return tuple(map(tuple, claim["pattern"])) in problem.cells
    if claim["kind"] == "region-empty":
        return not any(
            all(
                list(words[: len(begin)]) == begin
                for words, begin in zip(cell, claim["pattern"], strict=True)
            )
            for cell in problem.cells
        )
    if claim["kind"] == "regions-complete":
        return claim["count"] == len(problem.cells) > 0
    if claim["kind"] == "same-function":
        return bool(problem.cells) and all(
            problem.layer(0, words[0]) == problem.layer(1, words[1]) for words in problem.cells
        )
    raise AssertionError


def valid(data):
    """Whether the witness does what the format asks of it, by definition and without hurry."""
    try:
        return _valid(data["claim"], Problem(data["problem"]), data["witness"])
    except (AssertionError, ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return False


def _valid(claim, problem, witness):
    kind = claim["kind"]
    if kind == "counterexample":
        point = [F(v) for v in witness["point"]]
        assert len(point) == problem.d
        outputs = problem.run(point)[1]
        given = [[F(v) for v in row] for row in witness["outputs"]]
        inside = all(at(row, point) >= 0 for row in problem.domain)
        return inside and given == outputs and outputs[0] != outputs[1]
    if kind == "region-nonempty":
        point = [F(v) for v in witness["point"]]
        assert len(point) == problem.d
        assert shaped(problem, claim["pattern"])
        return all(at(form, point) > 0 for form in problem.rows(claim["pattern"]).values())
    if kind == "region-empty":
        assert len(claim["pattern"]) == len(problem.widths)
        assert all(len(a) <= len(b) for a, b in zip(claim["pattern"], problem.widths, strict=True))
        rows = problem.rows(claim["pattern"])
        values = {rows_index(r): F(v) for r, v in witness["multipliers"].items()}
        total = [sum(v * rows[r][c] for r, v in values.items()) for c in range(problem.d + 1)]
        return (
            min(values.values()) >= 0
            and any(values.values())
            and not any(total[:-1])
            and total[-1] <= 0
        )
    regions = witness["regions"]
    patterns = [tuple(map(tuple, region["pattern"])) for region in regions]
    assert regions
    assert len(set(patterns)) == len(patterns)
    if kind == "regions-complete":
        assert claim["count"] == len(regions)
    else:
        assert all(problem.layer(0, a) == problem.layer(1, b) for a, b in patterns)
    return all(
        _valid_region(problem, patterns, pattern, region)
        for pattern, region in zip(patterns, regions, strict=True)
    ) and _valid_polygons(problem, patterns, witness["polygons"])


def rows_index(key):
    assert key == str(int(key))
    return int(key)


def shaped(problem, pattern):
    return [[len(word) for word in words] for words in pattern] == problem.widths


def _valid_region(problem, patterns, pattern, region):
    assert shaped(problem, pattern)
    rows = problem.rows(pattern)
    point = [F(v) for v in region["point"]]
    assert len(point) == problem.d
    assert all(at(form, point) > 0 for form in rows.values())
    facets = [entry["row"] for entry in region["facets"]]
    named = facets + [entry["row"] for entry in region["redundant"]]
    assert sorted(named) == sorted(r for r, form in rows.items() if any(form[:-1]))
    for entry in region["redundant"]:
        multipliers = {rows_index(r): F(v) for r, v in entry["multipliers"].items()}
        assert set(multipliers) <= set(facets)
        assert min(multipliers.values()) >= 0
        rest = [
            v - sum(x * rows[r][c] for r, x in multipliers.items())
            for c, v in enumerate(rows[entry["row"]])
        ]
        assert not any(rest[:-1])
        assert rest[-1] >= 0
    for entry in region["facets"]:
        q = [F(v) for v in entry["point"]]
        assert len(q) == problem.d
        assert at(rows[entry["row"]], q) == 0
        assert all(at(rows[r], q) > 0 for r in facets if r != entry["row"])
        assert type(entry["neighbour"]) in {int, type(None)}
        assert entry["neighbour"] is None or 0 <= entry["neighbour"] < len(patterns)
        assert entry["neighbour"] == neighbour(problem, patterns, pattern, q)
    return True


def _valid_polygons(problem, patterns, polygons):
    if polygons is None:
        return True
    assert problem.d == 2
    inner = interior(problem.domain, 2)

    def hull(rows, given, exact):
        vertices = polygon(rows, inner)
        rows = list(rows)
        given = [[F(v) for v in vertex] for vertex in given]
        assert all(at(row, vertex) >= 0 for row in rows for vertex in given)
        if exact:
            assert sorted(given) == sorted([F(v) for v in vertex] for vertex in vertices)
        n = len(given)
        assert n > 2
        for i in range(n):
            (a, b), (c, d) = given[i], given[(i + 1) % n]
            assert all(
                (c - a) * (y - b) > (d - b) * (x - a)
                for k, (x, y) in enumerate(given)
                if k not in {i, (i + 1) % n}
            )
        return area([[text(v) for v in vertex] for vertex in given])

    parts = [
        hull(problem.rows(pattern).values(), given, False)
        for pattern, given in zip(patterns, polygons["regions"], strict=True)
    ]
    return sum(parts) == hull(problem.domain, polygons["domain"], True)
