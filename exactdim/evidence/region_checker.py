"""Check claims about the activation regions of input space: the second file of the checker.

``checker.py`` loads this file when such a claim comes. It takes the readers of numbers and layers
and the factors of Jacobians from there, nothing else from exactdim, and nothing from outside the
standard library.

What it does: compute the pre-activations of a pattern as affine forms in integers. That a region is
there is shown by a point of it; that it is not, by multipliers that add its inequalities up to a
contradiction. A list of regions is complete if every facet of every listed region leads to a
listed region or lies on the boundary of the domain: the facets come with points on them, all other
inequalities with multipliers that derive them, and the pattern just across a facet is computed. In
the plane the areas may be added up besides. With a complete list no batch has a larger rank than
the vectors leave on which the Jacobian of every listed pattern vanishes. The format is described in
``proofs_checks/FORMAT.md``, the theorems in ``proofs_checks/STATEMENTS.md``.

Three hundred regions of 32 units in the plane take 0.2 s. Beyond an estimate of ten minutes it
declines, as well as numbers of more than 10000 characters in the witness or the domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING or __package__:
    from exactdim.evidence.checker import (
        P61,
        Layer,
        Malformed,
        Row,
        Table,
        check_independent,
        index,
        integers,
        kernel_vectors,
        keys,
        listed,
        rank_mod,
        read_layers,
        reject,
        right_product,
        sparse_numbers,
        with_derivatives,
    )
    from exactdim.evidence.checker import Problem as RankProblem
else:  # beside checker.py, which has given itself this name
    from checker import (
        P61,
        Layer,
        Malformed,
        Row,
        Table,
        check_independent,
        index,
        integers,
        kernel_vectors,
        keys,
        listed,
        rank_mod,
        read_layers,
        reject,
        right_product,
        sparse_numbers,
        with_derivatives,
    )
    from checker import Problem as RankProblem

MAX_CHARACTERS = 10_000  # of one number in the witness or the domain
MAX_WORK = 6 * 10**9  # products of short integers: four to ten minutes

Pattern: TypeAlias = "tuple[tuple[str, ...], ...]"  # network, hidden layer
Point: TypeAlias = "list[int]"  # numerators, then their common denominator
Multipliers: TypeAlias = "dict[int, tuple[int, int]]"  # row: numerator, denominator


@dataclass
class Half:
    """An open half-space ``form / scale > 0``; the constant stands last in the form."""

    form: Row
    scale: int

    @property
    def slanted(self) -> bool:
        """Whether it is bounded by a hyperplane: whether the gradient is not zero."""
        return any(self.form[:-1])


@dataclass
class Problem:
    """Networks, and a domain in the coordinates y of input space or of a flat in it.

    Attributes
    ----------
    networks : list of list of Layer
    d : int
        Number of coordinates.
    inputs : Table or None
        The inputs of the networks as affine forms in y over ``unit``; None if they are y itself.
    unit : int
    domain : list of Half
    """

    networks: list[list[Layer]]
    d: int
    inputs: Table | None
    unit: int
    domain: list[Half]
    known: dict[tuple[int, tuple[str, ...]], tuple[Table, int]] = field(default_factory=dict)

    @property
    def depths(self) -> list[int]:
        """Hidden layers of each network."""
        return [len(layers) - 1 for layers in self.networks]

    @cached_property
    def units(self) -> list[tuple[int, int, int]]:
        """The hidden units in order, as network, layer and unit."""
        return [
            (n, i, k)
            for n, layers in enumerate(self.networks)
            for i, layer in enumerate(layers[:-1])
            for k in range(len(layer.weight))
        ]

    @property
    def n_rows(self) -> int:
        """Number of rows: the hidden units, then the inequalities of the domain."""
        return len(self.units) + len(self.domain)

    def name(self, row: int) -> str:
        """Say which unit or inequality a row belongs to."""
        units = self.units
        if row >= len(units):
            return f"inequality {row - len(units)}"
        n, i, k = units[row]
        return f"unit {k} of layer {i}" + (f" of network {n}" if len(self.networks) > 1 else "")

    def forms(self, network: int, words: tuple[str, ...]) -> tuple[Table, int]:
        """Compute the layer after some words: affine forms in y over a positive denominator."""
        key = network, words
        if key in self.known:
            return self.known[key]
        layer = self.networks[network][len(words)]
        bias = layer.bias or [0] * len(layer.weight)
        if words or self.inputs is not None:
            if words:
                below, unit = self.forms(network, words[:-1])
                on = [k for k, bit in enumerate(words[-1]) if bit == "1"]
            else:
                below, unit = self.inputs or [], self.unit
                on = list(range(len(below)))
            columns = [[below[k][c] for k in on] for c in range(self.d + 1)]
            table = []
            for row, b in zip(layer.weight, bias, strict=True):
                weights = [row[k] for k in on]
                table.append([sum(map(int.__mul__, weights, column)) for column in columns])
                table[-1][-1] += b * unit
        else:
            unit = 1
            table = [[*row, b] for row, b in zip(layer.weight, bias, strict=True)]
        self.known[key] = table, unit * layer.scale
        return self.known[key]

    def rows(self, pattern: Pattern) -> dict[int, Half]:
        """Compute the inequalities of a pattern, or of the beginning of one."""
        out: dict[int, Half] = {}
        row = 0
        for n, (words, layers) in enumerate(zip(pattern, self.networks, strict=True)):
            for i, layer in enumerate(layers[:-1]):
                if i < len(words):
                    table, scale = self.forms(n, words[:i])
                    for k, (form, bit) in enumerate(zip(table, words[i], strict=True)):
                        if bit == "1":
                            out[row + k] = Half(form, scale)
                        elif any(form):  # where the form is zero, the unit is off
                            out[row + k] = Half([-x for x in form], scale)
                row += len(layer.weight)
        return out | dict(enumerate(self.domain, start=row))

    def across(self, gradient: Row, point: Point) -> Pattern:
        """Compute the pattern just beyond a point, against a gradient."""
        step = [*(-x for x in gradient), 0]
        out = []
        for n, depth in enumerate(self.depths):
            words: tuple[str, ...] = ()
            for _ in range(depth):
                table, _ = self.forms(n, words)
                on = (dot(form, point) or dot(form, step) for form in table)
                words += ("".join("01"[value > 0] for value in on),)
            out.append(words)
        return tuple(out)

    def outputs(self, point: Point) -> list[list[Fraction]]:
        """Compute the outputs of the networks at a point."""
        out = []
        for layers in self.networks:
            h, unit = point[:-1], point[-1]
            if self.inputs is not None:
                h, unit = [dot(form, point) for form in self.inputs], unit * self.unit
            for i, layer in enumerate(layers):
                bias = layer.bias or [0] * len(layer.weight)
                z = [dot(row, h) + b * unit for row, b in zip(layer.weight, bias, strict=True)]
                h = [max(x, 0) for x in z] if i < len(layers) - 1 else z
                unit *= layer.scale
            out.append([Fraction(x, unit) for x in h])
        return out


def dot(form: Row, point: Row) -> int:
    """Multiply two rows: an affine form times its denominators at a point, or along a step."""
    return sum(map(int.__mul__, form, point))


# -- reading ---------------------------------------------------------------------------------


def read_problem(data: Any) -> Problem:
    """Read networks and domain."""
    keys(data, "problem", "networks domain")
    networks = []
    for n, item in enumerate(listed(data["networks"], "networks")):
        keys(item, f"network {n}", "layers")
        networks.append(read_layers(item["layers"], f" of network {n}"))
    if len(networks) not in {1, 2}:
        reject(f"there are {len(networks)} networks, not one or two")
    width = len(networks[0][0].weight[0])
    for layers in networks[1:]:
        if len(layers[0].weight[0]) != width:
            reject(f"the networks take {width} and {len(layers[0].weight[0])} inputs")

    domain = keys(data["domain"], "domain", "inequalities flat")
    d, inputs, unit = width, None, 1
    if domain["flat"] is not None:
        flat = keys(domain["flat"], "flat", "origin directions")
        directions = listed(flat["directions"], "directions")
        short(origin := listed(flat["origin"], "origin"), "the origin")
        for direction in directions:
            short(direction, "a direction")
        (*table, first), unit = integers([*directions, origin], "origin and directions")
        d = len(table)
        if len(first) != width:
            reject(f"the origin has {len(first)} numbers; the network takes {width}")
        if d**2 * width > MAX_WORK:
            raise Malformed(f"{d} directions are too many for this checker")
        if not d or rank_mod(table, P61) < d:
            reject("there are no directions, or they are not independent modulo 2**61 - 1")
        inputs = [list(column) for column in zip(*table, first, strict=True)]
    halves = []
    for i, item in enumerate(listed(domain["inequalities"], "inequalities")):
        short(item, f"inequality {i}")
        (form,), scale = integers([item], f"inequality {i}")
        if len(form) != d + 1:
            reject(f"inequality {i} has {len(form)} numbers, not {d + 1}")
        halves.append(Half(form, scale))
    return Problem(networks, d, inputs, unit, halves)


def short(texts: Any, where: str) -> None:
    """Decline numbers that are too long."""
    for text in texts if isinstance(texts, list) else ():
        if isinstance(text, str) and len(text) > MAX_CHARACTERS:
            raise Malformed(
                f"a number of {where} has {len(text)} characters; this checker stops at "
                f"{MAX_CHARACTERS}"
            )


def read_pattern(problem: Problem, value: Any, where: str, *, beginning: bool = False) -> Pattern:
    """Read a pattern: for each network one word of 0 and 1 for each hidden layer."""
    if len(listed(value, where)) != len(problem.networks):
        reject(f"{where} is for {len(value)} networks, not {len(problem.networks)}")
    out = []
    for words, layers in zip(value, problem.networks, strict=True):
        depth = len(listed(words, where))
        if depth > len(layers) - 1 or (depth < len(layers) - 1 and not beginning):
            reject(f"{where} has {depth} words for {len(layers) - 1} hidden layers")
        for word, layer in zip(words, layers, strict=False):
            if not isinstance(word, str) or set(word) - set("01"):
                reject(f"{where} has {word!a:.40}, not a word of 0 and 1")
            if len(word) != len(layer.weight):
                reject(f"{where} has a word of {len(word)} for {len(layer.weight)} units")
        out.append(tuple(words))
    return tuple(out)


def read_point(problem: Problem, value: Any, where: str) -> Point:
    """Read a point as numerators and their common denominator."""
    return read_numbers(value, problem.d, where)


def read_numbers(value: Any, length: int, where: str) -> Point:
    """Read rational numbers as numerators and their common denominator."""
    if len(listed(value, where)) != length:
        reject(f"{where} has {len(value)} coordinates, not {length}")
    short(value, where)
    (row,), den = integers([value], where)
    return [*row, den]


def read_multipliers(item: Any, size: int, where: str) -> Multipliers:
    """Read multipliers of rows, none of them negative."""
    if isinstance(item, dict):
        short(list(item.values()), where)
    out = sparse_numbers(item, size, where)
    if any(n < 0 for n, _ in out.values()):
        reject(f"{where}: a multiplier is negative")
    return out


@dataclass
class Facet:
    """A row that bounds a region, a point of it there, and the region across if there is one."""

    point: Point
    neighbour: int | None


@dataclass
class Region:
    """A region as a certificate lists it."""

    pattern: Pattern
    point: Point
    facets: dict[int, Facet]
    redundant: dict[int, Multipliers]


def read_region(problem: Problem, item: Any, n_regions: int, i: int) -> Region:
    """Read one listed region."""
    where = f"region {i}"
    keys(item, where, "pattern point facets redundant")
    n_rows = problem.n_rows
    facets: dict[int, Facet] = {}
    redundant: dict[int, Multipliers] = {}
    for entry in listed(item["facets"], f"facets of {where}"):
        keys(entry, f"a facet of {where}", "row point neighbour")
        row = index(entry["row"], n_rows, f"the row of a facet of {where}")
        on = f"facet {row} of {where}"
        if row in facets:
            reject(f"{on} is listed twice")
        neighbour = entry["neighbour"]
        if neighbour is not None:
            neighbour = index(neighbour, n_regions, f"the neighbour at {on}")
        facets[row] = Facet(read_point(problem, entry["point"], f"the point of {on}"), neighbour)
    for entry in listed(item["redundant"], f"redundant rows of {where}"):
        keys(entry, f"a redundant row of {where}", "row multipliers")
        row = index(entry["row"], n_rows, f"a redundant row of {where}")
        if row in redundant or row in facets:
            reject(f"row {row} of {where} is listed twice")
        redundant[row] = read_multipliers(
            entry["multipliers"], n_rows, f"row {row} of {where}, said to be redundant"
        )
    return Region(
        read_pattern(problem, item["pattern"], f"the pattern of {where}"),
        read_point(problem, item["point"], f"the point of {where}"),
        facets,
        redundant,
    )


# -- what is too much ------------------------------------------------------------------------


def decline_beyond_limit(
    problem: Problem, products: int, bits: Iterable[int], regions: int = 1
) -> None:
    """Decline what takes long, from the number and the lengths of the integers to multiply.

    Parameters
    ----------
    problem : Problem
    products : int
        Products to form besides those for the forms.
    bits : iterable of int
        Lengths of the integers in the witness.
    regions : int
        Number of patterns for which the forms are computed.

    Raises
    ------
    Malformed
        If it takes long.
    """
    sizes = [[len(x.weight) * len(x.weight[0]) for x in layers] for layers in problem.networks]
    products += sum(first * (1 if problem.inputs is None else problem.d + 1) for first, *_ in sizes)
    products += sum(map(sum, (deep for _, *deep in sizes))) * (problem.d + 1) * regions
    factor = max(
        *bits, *(length(row) for layers in problem.networks for x in layers for row in x.weight)
    )
    work = products * (1 + form_bits(problem) * factor // 2**16)
    if work > MAX_WORK:
        raise Malformed(
            f"this is too large for this checker: it takes about {work:.0e} products of short "
            f"integers, and the checker stops at {MAX_WORK:.0e}"
        )


def form_bits(problem: Problem) -> int:
    """Bound the bits of the integers in affine forms."""
    out = [length(half.form) for half in problem.domain]
    for layers in problem.networks:
        bits = problem.unit.bit_length() + max(map(length, problem.inputs or ()), default=1)
        for layer in layers:
            rows = (*layer.weight, layer.bias or (), [layer.scale])
            bits += max(map(length, rows)) + len(layer.weight[0]).bit_length()
        out.append(bits)
    return max(out)


def length(row: Iterable[int]) -> int:
    """Compute the bits of the longest integer."""
    return max(map(int.bit_length, row), default=0)


def lengths(multipliers: Multipliers) -> list[int]:
    """Bound the bits of multipliers over a common denominator."""
    return [
        length(n for n, _ in multipliers.values())
        + sum(d.bit_length() for _, d in multipliers.values())
    ]


def decline_many_regions(
    problem: Problem, regions: list[Region], polygons: list[list[Point]]
) -> None:
    """Decline lists of regions that take long."""
    products, bits = 0, [0]
    for region in regions:
        facets = len(region.facets)
        products += problem.n_rows * (4 + 2 * facets) + facets**2
        products += sum(4 * len(x) for x in region.redundant.values())
        bits.append(length(region.point))
        bits.extend(length(x.point) for x in region.facets.values())
        bits.extend(b for x in region.redundant.values() for b in lengths(x))
    for polygon in polygons:
        products += len(polygon) * (problem.n_rows + 4 * len(polygon))
        bits.extend(map(length, polygon))
    products *= problem.d + 1
    areas = sum(vertex[-1].bit_length() for polygon in polygons for vertex in polygon)
    decline_beyond_limit(problem, products + areas**2 // 2**14, bits, len(regions))


# -- checking --------------------------------------------------------------------------------


def check_inside(problem: Problem, rows: dict[int, Half], point: Point, where: str) -> None:
    """Demand that a point fulfils all inequalities strictly."""
    for row, half in rows.items():
        if dot(half.form, point) <= 0:
            reject(f"{where}: {problem.name(row)} is not strictly on its side")


def check_empty(problem: Problem, rows: dict[int, Half], multipliers: Multipliers) -> None:
    """Demand that multipliers add inequalities up to a contradiction."""
    for row in multipliers:
        if row not in rows:
            reject(f"the pattern gives no inequality for row {row}")
    if not any(n for n, _ in multipliers.values()):
        reject("all multipliers are zero")
    scale = math.lcm(*(rows[row].scale * den for row, (_, den) in multipliers.items()))
    total = [0] * (problem.d + 1)
    for row, (n, den) in multipliers.items():
        factor = n * (scale // (rows[row].scale * den))
        total = [x + factor * y for x, y in zip(total, rows[row].form, strict=True)]
    if any(total[:-1]):
        reject("the multipliers do not cancel the coordinates")
    if total[-1] > 0:
        reject("the multipliers add up to a positive constant: no contradiction")


def check_region(problem: Problem, regions: list[Region], i: int) -> None:
    """Check the point, the facets and the redundant rows of one region."""
    region = regions[i]
    rows = problem.rows(region.pattern)
    check_inside(problem, rows, region.point, f"the point of region {i}")
    wanted = {row for row, half in rows.items() if half.slanted}
    listed_rows = region.facets.keys() | region.redundant.keys()
    for row in sorted(wanted ^ listed_rows):
        missing = "neither a facet nor redundant" if row in wanted else "no hyperplane, but listed"
        reject(f"region {i}: {problem.name(row)} is {missing}")
    for row, multipliers in region.redundant.items():
        check_redundant(problem, rows, region, row, multipliers, f"region {i}")
    for row, facet in region.facets.items():
        where = f"facet {row} of region {i}"
        others = {other: rows[other] for other in region.facets if other != row}
        if dot(rows[row].form, facet.point):
            reject(f"the point of {where} is not on it")
        check_inside(problem, others, facet.point, f"the point of {where}")
        check_across(problem, regions, rows[row].form, facet, where)


def check_redundant(
    problem: Problem,
    rows: dict[int, Half],
    region: Region,
    row: int,
    multipliers: Multipliers,
    where: str,
) -> None:
    """Demand that a row is a sum of facet rows with multipliers, and of a constant."""
    for other in multipliers:
        if other not in region.facets:
            reject(f"{where}: row {row} is derived from row {other}, which is no facet")
    scale = math.lcm(*(rows[other].scale * den for other, (_, den) in multipliers.items()))
    left = [scale * x for x in rows[row].form]
    for other, (n, den) in multipliers.items():
        factor = n * rows[row].scale * (scale // (rows[other].scale * den))
        left = [x - factor * y for x, y in zip(left, rows[other].form, strict=True)]
    if any(left[:-1]) or left[-1] < 0:
        reject(f"{where}: the multipliers do not derive {problem.name(row)}")


def check_across(
    problem: Problem, regions: list[Region], form: Row, facet: Facet, where: str
) -> None:
    """Check what is said to lie across a facet."""
    outer = any(half.slanted and not dot(half.form, facet.point) for half in problem.domain)
    if outer != (facet.neighbour is None):
        reject(f"{where} lies {'on the boundary of' if outer else 'inside'} the domain")
    if facet.neighbour is not None:
        pattern = problem.across(form[:-1], facet.point)
        if pattern != regions[facet.neighbour].pattern:
            reject(f"across {where} the pattern is not that of region {facet.neighbour}")


def check_regions(problem: Problem, witness: dict[str, Any]) -> list[Region]:
    """Demand that the listed regions are all regions of the domain."""
    items = listed(witness["regions"], "regions")
    regions = [read_region(problem, item, len(items), i) for i, item in enumerate(items)]
    if not regions:
        reject("no region is listed")
    polygons = None
    if witness["polygons"] is not None:
        polygons = read_polygons(problem, witness["polygons"], len(regions))
    decline_many_regions(problem, regions, polygons or [])
    seen: dict[Pattern, int] = {}
    for i, region in enumerate(regions):
        if seen.setdefault(region.pattern, i) < i:
            reject(f"regions {seen[region.pattern]} and {i} have the same pattern")
    for i in range(len(regions)):
        check_region(problem, regions, i)
    if polygons is not None:
        check_polygons(problem, regions, polygons)
    return regions


def read_polygons(problem: Problem, item: Any, n_regions: int) -> list[list[Point]]:
    """Read the polygons of the regions, and that of the domain at the end."""
    keys(item, "polygons", "regions domain")
    if problem.d != 2:
        reject(f"polygons are for two coordinates, not {problem.d}")
    if len(listed(item["regions"], "polygons")) != n_regions:
        reject(f"there are {len(item['regions'])} polygons for {n_regions} regions")
    return [
        [
            read_point(problem, vertex, f"a vertex of {polygon_name(i, n_regions)}")
            for vertex in listed(polygon, polygon_name(i, n_regions))
        ]
        for i, polygon in enumerate([*item["regions"], item["domain"]])
    ]


def polygon_name(i: int, n_regions: int) -> str:
    """Say what a polygon belongs to."""
    return f"the polygon of region {i}" if i < n_regions else "the polygon of the domain"


def check_polygons(problem: Problem, regions: list[Region], polygons: list[list[Point]]) -> None:
    """Demand that the areas of polygons inside the regions add up to that of the domain."""
    for i, polygon in enumerate(polygons):
        where = polygon_name(i, len(regions))
        check_convex(polygon, where)
        rows = problem.rows(regions[i].pattern) if i < len(regions) else domain_rows(problem)
        for j, vertex in enumerate(polygon):
            for row, half in rows.items():
                if dot(half.form, vertex) < 0:
                    reject(f"vertex {j} of {where} is on the wrong side of {problem.name(row)}")
    for j, (a, b) in enumerate(edges(polygons[-1])):
        if not any(
            half.slanted and not dot(half.form, a) and not dot(half.form, b)
            for half in problem.domain
        ):
            reject(f"edge {j} of the polygon of the domain lies on no inequality")
    *parts, whole = [double_area(polygon) for polygon in polygons]
    if total(parts) != whole:
        reject("the areas of the regions do not add up to that of the domain")


def domain_rows(problem: Problem) -> dict[int, Half]:
    """Give the inequalities of the domain their row numbers."""
    return dict(enumerate(problem.domain, start=len(problem.units)))


def edges(polygon: list[Point]) -> Iterator[tuple[Point, Point]]:
    """Go through the pairs of successive vertices."""
    return zip(polygon, polygon[1:] + polygon[:1], strict=True)


def check_convex(polygon: list[Point], where: str) -> None:
    """Demand that every edge has all other vertices strictly on its left.

    Then each edge is one of the convex hull, run counterclockwise, so the path runs round once.
    """
    if len(polygon) < 3:
        reject(f"{where} has fewer than three vertices")
    for j, (a, b) in enumerate(edges(polygon)):
        left = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        following = (j + 1) % len(polygon)
        for k, vertex in enumerate(polygon):
            if k not in {j, following} and dot(left, vertex) <= 0:
                reject(f"{where}: vertex {k} is not on the left of edge {j}")


def double_area(polygon: list[Point]) -> Fraction:
    """Compute twice the area enclosed by a path run counterclockwise."""
    return total([Fraction(a[0] * b[1] - a[1] * b[0], a[2] * b[2]) for a, b in edges(polygon)])


def total(terms: list[Fraction]) -> Fraction:
    """Add in pairs, so that few of the sums are long."""
    while len(terms) > 1:
        terms = [sum(terms[i : i + 2], Fraction(0)) for i in range(0, len(terms), 2)]
    return terms[0]


# -- the largest rank over all batches -------------------------------------------------------


def largest_rank(batch: RankProblem, witness: dict[str, Any]) -> int:
    """Bound the rank at all batches: parameters minus vectors in the kernels of all regions.

    Parameters
    ----------
    batch : RankProblem
        Network and head are taken from it.
    witness : dict
        With the keys ``regions``, a complete list for the whole input space, and ``vectors``.

    Returns
    -------
    int
    """
    size = batch.n_parameters
    vectors = kernel_vectors(batch, witness["vectors"], "columns", size)
    problem = Problem([batch.layers], batch.widths[0], None, 1, [])
    decline_long_kernels(problem, batch, vectors, len(listed(witness["regions"], "regions")))
    regions = check_regions(problem, {"regions": witness["regions"], "polygons": None})
    for i, region in enumerate(regions):
        refuse_vanishing_units(problem, region.pattern[0], i)
        jacobian = factors_on(batch, region.pattern[0])
        for j, vector in enumerate(vectors):
            if any(right_product(jacobian, vector)):
                reject(f"kernel vector {j} is not in the kernel on region {i}")
    check_independent(vectors, "kernel vectors")
    return size - len(vectors)


def decline_long_kernels(
    problem: Problem, batch: RankProblem, vectors: list[dict[int, int]], regions: int
) -> None:
    """Decline what takes long, from the sizes of network, vectors and list."""
    weights = sum(len(x.weight) * len(x.weight[0]) for x in batch.layers)
    at_a_point = weights * (1 + batch.d)
    at_a_point += sum(len(v) + batch.d * sum(batch.widths[1:]) for v in vectors)
    products = regions * (problem.d + 1) * at_a_point
    products += len(vectors) ** 2 * len({c for v in vectors for c in v})
    decline_beyond_limit(problem, products, [0, *(length(v.values()) for v in vectors)], regions)


def refuse_vanishing_units(problem: Problem, words: tuple[str, ...], i: int) -> None:
    """Demand that a unit is identically zero on a region only where parameters cannot change it."""
    for layer, word in enumerate(words):
        harmless = problem.networks[0][layer].bias is None and layer and "1" not in words[layer - 1]
        table, _ = problem.forms(0, words[:layer])
        for k in range(len(word)):
            if not any(table[k]) and not harmless:
                reject(f"unit {k} of layer {layer} is identically zero on region {i}")


def factors_on(batch: RankProblem, words: tuple[str, ...]) -> RankProblem:
    """Compute the Jacobian of a prescribed mask at the origin and at the unit vectors.

    Its entries are affine in the sample, so what vanishes at these points vanishes everywhere.

    Returns
    -------
    RankProblem
    """
    width = batch.widths[0]
    points = [[int(j == i) for j in range(width)] for i in range(-1, width)]
    masks = [[[bit == "1" for bit in word] for _ in points] for word in words]
    features: list[Table] = [[] for _ in batch.layers]
    for point in points:
        h, unit = point, 1
        for i, layer in enumerate(batch.layers):
            features[i].append([*h, unit] if layer.bias is not None else h)
            if i < len(words):
                bias = layer.bias or [0] * len(layer.weight)
                h = [
                    dot(row, h) + b * unit if bit == "1" else 0
                    for row, b, bit in zip(layer.weight, bias, words[i], strict=True)
                ]
                unit *= layer.scale
    return with_derivatives(batch.layers, points, masks, features, softmax=batch.softmax)


# -- the kinds of claims ---------------------------------------------------------------------


def region_nonempty(problem: Problem, claim: dict[str, Any], witness: dict[str, Any]) -> None:
    """Check that a pattern has a region, by a point of it."""
    pattern = read_pattern(problem, claim["pattern"], "the pattern")
    point = read_point(problem, witness["point"], "the point")
    decline_beyond_limit(problem, problem.d * problem.n_rows, [length(point)])
    check_inside(problem, problem.rows(pattern), point, "the point")


def region_empty(problem: Problem, claim: dict[str, Any], witness: dict[str, Any]) -> None:
    """Check that no region has a pattern with this beginning, by multipliers."""
    pattern = read_pattern(problem, claim["pattern"], "the pattern", beginning=True)
    multipliers = read_multipliers(witness["multipliers"], problem.n_rows, "multipliers")
    decline_beyond_limit(problem, problem.d * len(multipliers), lengths(multipliers))
    check_empty(problem, problem.rows(pattern), multipliers)


def regions_complete(problem: Problem, claim: dict[str, Any], witness: dict[str, Any]) -> None:
    """Check that the listed regions are all, and their number."""
    count = len(listed(witness["regions"], "regions"))
    if type(claim["count"]) is not int or claim["count"] != count:
        reject(f"{count} regions are listed, but the claim is {claim['count']!a:.40}")
    check_regions(problem, witness)


def same_function(problem: Problem, _: dict[str, Any], witness: dict[str, Any]) -> None:
    """Check that two networks agree on all regions of both together."""
    check_pair(problem)
    for i, region in enumerate(check_regions(problem, witness)):
        (one, a), (two, b) = (problem.forms(n, words) for n, words in enumerate(region.pattern))
        for output, (form, other) in enumerate(zip(one, two, strict=True)):
            if [x * b for x in form] != [x * a for x in other]:
                reject(f"output {output} differs on region {i}")


def counterexample(problem: Problem, _: dict[str, Any], witness: dict[str, Any]) -> None:
    """Check that two networks differ at a point of the domain."""
    check_pair(problem)
    point = read_point(problem, witness["point"], "the point")
    decline_beyond_limit(problem, problem.d * problem.n_rows, [length(point)])
    for row, half in domain_rows(problem).items():
        if dot(half.form, point) < 0:
            reject(f"the point is outside the domain: {problem.name(row)}")
    outputs = problem.outputs(point)
    if len(listed(witness["outputs"], "outputs")) != 2:
        reject("the outputs are not those of two networks")
    for n, (values, item) in enumerate(zip(outputs, witness["outputs"], strict=True)):
        *given, den = read_numbers(item, len(values), f"the outputs of network {n}")
        if [Fraction(x, den) for x in given] != values:
            reject(f"the outputs of network {n} are not those at the point")
    if outputs[0] == outputs[1]:
        reject("the networks agree at the point")


def check_pair(problem: Problem) -> None:
    """Demand two networks with equally many outputs."""
    if len(problem.networks) != 2:
        reject("the claim is about two networks, but there is one")
    one, two = (len(layers[-1].weight) for layers in problem.networks)
    if one != two:
        reject(f"the networks have {one} and {two} outputs")


RULES = {
    "region-nonempty": (region_nonempty, "kind pattern", "point"),
    "region-empty": (region_empty, "kind pattern", "multipliers"),
    "regions-complete": (regions_complete, "kind count", "regions polygons"),
    "same-function": (same_function, "kind", "regions polygons"),
    "counterexample": (counterexample, "kind", "point outputs"),
}


def check_claim(claim: Any, problem: Any, witness: Any) -> None:
    """Check claim, problem and witness against each other."""
    rule, claim_keys, witness_keys = RULES[claim["kind"]]
    keys(claim, "claim", claim_keys)
    keys(witness, "witness", witness_keys)
    rule(read_problem(problem), claim, witness)
