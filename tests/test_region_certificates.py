"""Certificates about activation regions: what is true is accepted, everything else rejected."""

import ast
import copy
import itertools
import json
import random
import subprocess
import sys
from fractions import Fraction as F
from pathlib import Path

import pytest
import region_witness as rw
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import entries

import exactdim as ed
from exactdim import errors
from exactdim.evidence import checker, region_checker

CHECKER, REGIONS = Path(checker.__file__), Path(region_checker.__file__)
many = settings(max_examples=5 * settings.default.max_examples)

GOLDEN = [([[1, 0], [0, 1]], None), ([[1, 1]], [-1]), ([[1]], None)]


def reseal(data):
    data["digest"] = checker.digest(data["claim"], data["problem"], data["witness"])
    return data


def check(data):
    return checker.check_text(json.dumps(reseal(data)))


def nonempty(problem, pattern, point):
    claim = {"kind": "region-nonempty", "pattern": [list(words) for words in pattern]}
    return rw.certificate(claim, problem, {"point": [rw.text(v) for v in point]})


def empty(problem, pattern, multipliers=None):
    pattern = [list(words) for words in pattern]
    if multipliers is None:
        parsed = rw.Problem(problem)
        multipliers = rw.contradiction(parsed.rows(pattern), parsed.d)
    claim = {"kind": "region-empty", "pattern": pattern}
    return rw.certificate(claim, problem, {"multipliers": multipliers})


def same(problem, **options):
    witness = rw.completeness_witness(problem, **options)
    return rw.certificate({"kind": "same-function"}, problem, witness)


def different(problem, point):
    outputs = rw.Problem(problem).run([F(v) for v in point])[1]
    witness = {
        "point": [rw.text(v) for v in point],
        "outputs": [[rw.text(v) for v in row] for row in outputs],
    }
    return rw.certificate({"kind": "counterexample"}, problem, witness)


def count(networks, *domain, **options):
    data = rw.complete(rw.problem_json(networks, *domain), **options)
    verdict = check(data)
    assert verdict, verdict
    assert rw.valid(data)
    assert verdict.claim.endswith(f"exactly {data['claim']['count']} activation regions")
    return data["claim"]["count"]


# -- by hand -----------------------------------------------------------------------------------


def test_golden_areas():
    data = rw.complete(rw.problem_json([GOLDEN], rw.box(2)), polygons=True)
    assert check(data)
    polygons = data["witness"]["polygons"]
    areas = sorted(map(rw.area, polygons["regions"]))
    assert areas == [F(1, 2), 2, 2, 2, 2, F(7, 2), 4]
    assert sum(areas) == rw.area(polygons["domain"]) == 16


def test_a_certificate_written_by_hand():
    """One unit relu(2x - 1) on the line."""
    problem = rw.problem_json([[([[2]], [-1]), ([[3]], [5])]])
    facet = {"row": 0, "point": ["1/2"]}
    regions = [
        {
            "pattern": [["0"]],
            "point": ["0"],
            "facets": [{**facet, "neighbour": 1}],
            "redundant": [],
        },
        {
            "pattern": [["1"]],
            "point": ["1"],
            "facets": [{**facet, "neighbour": 0}],
            "redundant": [],
        },
    ]
    claim = {"kind": "regions-complete", "count": 2}
    data = rw.certificate(claim, problem, {"regions": regions, "polygons": None})
    assert check(data)
    assert rw.completeness_witness(problem)["regions"][0]["facets"] == regions[0]["facets"]


def test_numbers_of_regions():
    lines = [([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], None)]
    assert count([lines]) == 7  # in general position
    assert count([lines], rw.box(2, F(1, 4))) == 4
    through_one_point = [([[1, 0], [0, 1], [1, 1]], None), ([[1, 1, 1]], None)]
    assert count([through_one_point]) == 6
    assert count([[([[1, 0, 0], [0, 1, 0], [0, 0, 1]], None), ([[1, 1, 1]], None)]]) == 8
    parallel = [([[1, 0], [1, 0], [2, 0]], [0, 1, 4]), ([[1, 1, 1]], None)]
    assert count([parallel]) == 4
    assert count([parallel], rw.box(2)) == 3  # one line is the border of the box
    affine = [([[1, 2]], [3])]
    assert count([affine]) == 1
    assert count([affine], rw.box(2)) == 1
    assert count([affine, lines], rw.box(2, 3)) == 7


def test_degenerate_units():
    def units(*rows, bias=None):
        return [(list(rows), bias), ([[1] * len(rows)], None)]

    assert count([units([1], [1], [3])]) == 2  # duplicates
    assert count([units([1], [-1], [2])]) == 2  # opposites
    assert count([units([1], [0], [0], bias=[0, 1, -1])]) == 2  # constants
    assert count([units([1], [0])]) == 2  # identically zero
    twice = [([[1]], None), ([[1]], None), ([[1]], None)]
    assert count([twice]) == 2  # the second unit is identically zero where the first is off
    shifted = [([[1]], None), ([[1]], [0]), ([[1]], None)]
    assert count([shifted]) == 2
    assert count([twice], [[1, 0]]) == 1  # the kink is the border of the domain
    assert count([twice], [[1, 0], [2, 0], [1, 5], [0, 1]]) == 1  # said twice, redundant, trivial
    dead = [([[1, 1]], [0]), ([[0], [-1], [2]], [-1, 0, -4]), ([[1, 1, 1]], None)]
    assert count([dead]) == 3
    saw = [
        ([[-1], [1], [1]], [2, 0, -1]),
        ([[-1, -2, F(3, 2)]] * 3, [F(29, 10), F(11, 4), F(13, 5)]),
    ]
    assert count([[*saw, ([[1, 1, 1]], None)]]) == 16  # the most that widths (1, 3, 3) allow


def test_a_flat_in_input_space():
    net = [([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, -1]), ([[1, 1, 1]], None)]
    problem = rw.problem_json([net], [], ([0, 0, 0], [[1, 0, 1], [0, 1, 1]]))
    assert check(rw.complete(problem))
    assert rw.complete(problem)["claim"]["count"] == 7
    line = rw.problem_json([net], rw.box(1, 5), ([F(1, 3), 0, 0], [[1, F(1, 2), 1]]))
    assert check(rw.complete(line))
    for flat in (
        ([0, 0, 0], []),
        ([0, 0, 0], [[1, 0, 1], [2, 0, 2]]),
        ([0, 0, 0], [[0, 0, 0]]),
        ([0, 0], [[1, 0]]),
        ([0, 0, 0], [[1, 0]]),
        ([], []),
        ([0, 0, 0], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]),
    ):
        data = copy.deepcopy(rw.complete(problem))
        data["problem"]["domain"]["flat"] = rw.problem_json([net], [], flat)["domain"]["flat"]
        assert not check(data), flat


def test_the_pattern_just_across_looks_through_all_layers():
    """At x = 0 both units of layer 0 and the unit of layer 1 change at once."""
    net = [([[1], [-1]], None), ([[1, -1]], [0]), ([[1]], None)]
    data = rw.complete(rw.problem_json([net]))
    assert check(data)
    patterns = [region["pattern"] for region in data["witness"]["regions"]]
    assert sorted(patterns) == [[["01", "0"]], [["10", "1"]]]


def test_empty_beginnings():
    problem = rw.problem_json([GOLDEN], rw.box(2))
    for pattern in ([["00", "1"]], [["11"]], [["10"]], [[]]):
        data = empty(problem, pattern)
        if data["witness"]["multipliers"] is None:  # there is such a region
            assert not check(empty(problem, pattern, {"0": "1"}))
            continue
        assert check(data)
        assert "begins with" in check(data).claim
    tiny = rw.problem_json([GOLDEN], rw.box(2, F(1, 3)))
    assert check(empty(tiny, [["11", "1"]]))
    nothing = rw.problem_json([GOLDEN], [[1, 0, -1], [-1, 0, 0]])
    assert check(empty(nothing, [[]]))
    assert check(empty(nothing, [["11"]], {"3": "2", "4": "2"}))
    assert "depth" not in check(empty(nothing, [["11"]], {"3": "2", "4": "2"})).reason
    degenerate = rw.problem_json([GOLDEN], [[0, 0, 0]])
    assert check(empty(degenerate, [[]], {"3": "1"}))
    zero = rw.problem_json([[([[0, 0]], None), ([[1]], None)]])
    assert check(empty(zero, [["1"]], {"0": "1"}))
    assert "no inequality" in check(empty(zero, [["0"]], {"0": "1"})).reason
    for bad in (
        {"3": "1"},
        {"3": "2", "4": "1"},
        {"3": "-2", "4": "-2"},
        {"3": "0"},
        {},
        {"5": "1"},
    ):
        assert not check(empty(nothing, [["11"]], bad)), bad
    assert not check(empty(nothing, [["11"]], {"2": "1", "3": "1", "4": "1"}))  # of a later layer


def test_an_empty_domain_has_no_complete_list():
    for inequalities in ([[1, 0, -1], [-1, 0, 0]], [[1, 0, 0], [-1, 0, 0]], [[0, 0, 0]]):
        problem = rw.problem_json([GOLDEN], inequalities)
        data = rw.complete(problem)
        assert data["claim"]["count"] == 0
        assert "no region is listed" in check(data).reason
        full = rw.complete(rw.problem_json([GOLDEN]))
        full["problem"] = problem
        assert not check(full)


def test_same_function_and_counterexample():
    swapped = [([[0, 3], [2, 0]], None), ([[F(1, 3), F(1, 2)]], [-1]), ([[1]], [0])]
    problem = rw.problem_json([GOLDEN, swapped], rw.box(2))
    data = same(problem, polygons=True)
    assert check(data)
    assert check(data).claim == "same-function: the two networks agree on the domain"
    assert not check(different(problem, (1, 1)))
    assert "agree" in check(different(problem, (1, 1))).reason
    moved = copy.deepcopy(swapped)
    moved[1][1][0] = F(-1001, 1000)
    problem = rw.problem_json([GOLDEN, moved], rw.box(2))
    assert "output 0 differs" in check(same(problem)).reason
    assert check(different(problem, (1, 1)))
    assert check(different(problem, (2, 2)))  # on the border
    assert "outside" in check(different(problem, (3, 2))).reason
    # Apart only where the domain is not.
    problem = rw.problem_json([GOLDEN, moved], [[-1, 0, F(1, 2)], [0, -1, F(1, 2)]])
    assert check(same(problem))
    two_outputs = [([[1, 0]], None), ([[1], [1]], None)]
    problem = rw.problem_json([two_outputs, two_outputs[:1]])
    assert "2 and 1 outputs" in check(same(problem)).reason
    problem = rw.problem_json([two_outputs, [([[1, 0]], None), ([[1], [2]], None)]])
    assert "output 1 differs" in check(same(problem)).reason
    assert check(different(problem, (1, 1)))
    for kind in (same, lambda p: different(p, (1, 1))):
        alone = rw.problem_json([GOLDEN])
        assert "two networks" in check(kind(alone)).reason
    problem = rw.problem_json([GOLDEN, [([[1]], None)]])
    assert (
        "take 2 and 1 inputs"
        in check(
            different(problem, (1, 1))
            if 0
            else rw.certificate(
                {"kind": "counterexample"},
                problem,
                {"point": ["1", "1"], "outputs": [["1"], ["1"]]},
            )
        ).reason
    )


# -- what is random ----------------------------------------------------------------------------


@st.composite
def nets(draw, inputs, max_hidden=5, outputs=1):
    """Up to five hidden units, often dead, repeated, opposite or without bias."""
    hidden = draw(
        st.lists(st.integers(1, 3), min_size=0, max_size=3).filter(lambda w: sum(w) <= max_hidden)
    )
    layers, below = [], inputs
    for width in [*hidden, outputs]:
        row = st.lists(entries, min_size=below, max_size=below)
        W = draw(st.lists(row, min_size=width, max_size=width))
        b = draw(st.none() | st.lists(entries, min_size=width, max_size=width))
        kind = draw(st.sampled_from(["", "", "", "copy", "opposite", "constant", "zero"]))
        if kind in {"copy", "opposite"}:
            sign = draw(st.sampled_from([1, 2])) * (1 if kind == "copy" else -1)
            W[-1] = [sign * v for v in W[0]]
            if b is not None:
                b[-1] = sign * b[0]
        elif kind in {"constant", "zero"}:
            W[0] = [0] * below
            if b is not None and kind == "zero":
                b[0] = 0
        layers.append((W, b))
        below = width
    return layers


@st.composite
def domains(draw, d):
    kind = draw(st.sampled_from(["all", "box", "box", "half", "simplex", "any", "clumsy"]))
    if kind == "all":
        return []
    if kind == "half":
        return [[1] + [0] * (d - 1) + [draw(entries)]]
    if kind == "simplex":
        corner = [[F(int(i == k)) for i in range(d)] + [F(1)] for k in range(d)]
        return [*corner, [-1] * d + [2]]
    rows = rw.box(d, draw(st.sampled_from([1, 2, F(5, 2)])))
    if kind == "clumsy":
        rows += [[3 * v for v in rows[0]], [*rows[1][:-1], 9], [0] * d + [1]]
    if kind == "any":
        row = st.lists(entries, min_size=d + 1, max_size=d + 1)
        rows += draw(st.lists(row, min_size=1, max_size=2))
    return rows


@st.composite
def problems(draw, networks=1, max_hidden=5, outputs=1):
    d = draw(st.integers(1, 2))
    inputs, flat = d, None
    if draw(st.integers(0, 3)) == 0:
        inputs = draw(st.integers(d, 3))
        numbers = st.lists(entries, min_size=inputs, max_size=inputs)
        directions = [draw(numbers) for _ in range(d)]
        assume(rw.independent(directions))
        flat = draw(numbers), directions
    out = [draw(nets(inputs, max_hidden, outputs)) for _ in range(networks)]
    return rw.problem_json(out, draw(domains(d)), flat)


def bounded(problem):
    parsed = rw.Problem(problem)
    return parsed.d == 2 and len(parsed.domain) > 2 and bool(parsed.cells)


@given(problems(), st.booleans())
def test_complete_lists_are_accepted(problem, prefer_domain):
    data = rw.complete(problem, polygons=bounded(problem), prefer_domain=prefer_domain)
    verdict = check(data)
    assert bool(verdict) == bool(data["claim"]["count"]), verdict
    assert bool(verdict) == rw.valid(data)


@given(problems(), st.data())
def test_single_patterns(problem, data):
    """Each pattern is either shown to have a region or shown to have none, never both."""
    parsed = rw.Problem(problem)
    pattern = [
        ["".join(data.draw(st.sampled_from("01")) for _ in range(w)) for w in widths]
        for widths in parsed.widths
    ]
    pattern = tuple(map(tuple, pattern))
    point = parsed.cells.get(pattern)
    multipliers = rw.contradiction(parsed.rows(pattern), parsed.d)
    assert (point is None) == (multipliers is not None)
    if point is None:
        assert check(empty(problem, pattern, multipliers))
        assert not check(nonempty(problem, pattern, [0] * parsed.d))
    else:
        assert check(nonempty(problem, pattern, point))
        assert not check(
            empty(problem, pattern, {str(k): "1" for k in parsed.rows(pattern)} or {"0": "1"})
        )
    for depth in range(len(pattern[0])):
        begin = [list(pattern[0][:depth])]
        multipliers = rw.contradiction(parsed.rows(begin), parsed.d)
        if multipliers is not None:
            certificate = empty(problem, begin, multipliers)
            assert check(certificate)
            assert rw.true(certificate)


@st.composite
def relatives(draw):
    """A network and one with its units rescaled, permuted and split, perhaps slightly changed."""
    d = draw(st.integers(1, 2))
    (W, b), (V, c) = draw(nets(d, 2, 2).filter(lambda n: len(n) == 2))
    order = draw(st.permutations(range(len(W))))
    scales = [draw(st.sampled_from([1, 2, F(1, 3)])) for _ in W]
    bias = b or [0] * len(W)
    W2 = [[scales[k] * v for v in W[k]] for k in order]
    b2 = [scales[k] * bias[k] for k in order]
    V2 = [[F(row[k]) / scales[k] for k in order] for row in V]
    if draw(st.booleans()):  # split the first unit in two
        W2.append(W2[0])
        b2.append(b2[0])
        V2 = [[row[0] / 2, *row[1:], row[0] / 2] for row in V2]
    if draw(st.integers(0, 2)) == 0:
        V2[0][0] += draw(entries)
    second = [(W2, b2), (V2, c)]
    return rw.problem_json([[(W, b), (V, c)], second], draw(domains(d)))


@given(relatives())
def test_pairs(problem):
    parsed = rw.Problem(problem)
    assume(parsed.cells)
    certificate = same(problem, polygons=bounded(problem))
    verdict = check(certificate)
    assert bool(verdict) == rw.true(certificate) == rw.valid(certificate), verdict
    for inner in parsed.cells.values():
        point = inner
        outputs = parsed.run(point)[1]
        claim = different(problem, point)
        assert bool(check(claim)) == (outputs[0] != outputs[1]) == rw.valid(claim)


def changes(value, draw):
    """Another value of the same sort."""
    if isinstance(value, str):
        x = F(value)
        others = [x + 1, -x, 2 * x, x + F(1, 1000), x - F(1, 3), F(0), 1 / x if x else F(1)]
        return rw.text(draw(st.sampled_from(others)))
    if value is None:
        return draw(st.integers(0, 5))
    return draw(st.sampled_from([value + 1, value - 1, value + 2, None, 0]))


def places(value, path=()):
    """All places of numbers, words, indices and lists below."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*path, key))
    else:
        yield path
        if isinstance(value, list):
            for i, child in enumerate(value):
                yield from places(child, (*path, i))


def mutate(data, draw):
    """Change one thing."""
    part = draw(st.sampled_from(["claim", "problem", "witness", "witness", "witness"]))
    found = [
        p for p in places(data[part]) if p and p[-1] not in {"kind", "flat", "bias", "polygons"}
    ]
    keep = [p for p in found if "networks" not in p or not isinstance(at(data[part], p), list)]
    assume(keep)
    # First the kind of place, so that the many numbers do not hide the rest.
    kinds = sorted({tuple(x for x in p if isinstance(x, str) and not x.isdigit()) for p in keep})
    kind = draw(st.sampled_from(kinds))
    path = draw(
        st.sampled_from([
            p for p in keep if tuple(x for x in p if isinstance(x, str) and not x.isdigit()) == kind
        ])
    )
    parent = at(data[part], path[:-1])
    value = parent[path[-1]]
    if isinstance(value, list):
        other = list(value)
        how = draw(st.sampled_from(["drop", "repeat", "swap"]))
        if other and how == "drop":
            other.pop(draw(st.integers(0, len(other) - 1)))
        elif other and how == "repeat":
            other.append(copy.deepcopy(draw(st.sampled_from(other))))
        elif len(other) > 1:
            i = draw(st.integers(1, len(other) - 1))
            other[0], other[i] = other[i], other[0]
    elif isinstance(value, str) and "pattern" in path:
        i = draw(st.integers(0, len(value) - 1))
        other = value[:i] + "10"[int(value[i])] + value[i + 1 :]
    else:
        other = changes(value, draw)
    parent[path[-1]] = other
    if "count" in data["claim"] and part == "witness" and draw(st.booleans()):
        data["claim"]["count"] = len(data["witness"]["regions"])


def at(data, path):
    for key in path:
        data = data[key]
    return data


@st.composite
def certificates(draw):
    kind = draw(st.sampled_from(["complete", "complete", "complete", "pair", "empty", "nonempty"]))
    if kind == "pair":
        problem = draw(relatives())
        parsed = rw.Problem(problem)
        assume(parsed.cells)
        if draw(st.booleans()):
            return same(problem, polygons=bounded(problem))
        return different(problem, next(iter(parsed.cells.values())))
    problem = draw(problems(max_hidden=4))
    parsed = rw.Problem(problem)
    assume(parsed.cells)
    if kind == "complete":
        return rw.complete(problem, polygons=bounded(problem) and draw(st.booleans()))
    cells = list(parsed.cells)
    if kind == "nonempty":
        pattern = draw(st.sampled_from(cells))
        return nonempty(problem, pattern, parsed.cells[pattern])
    every = itertools.product(*[
        map("".join, itertools.product("01", repeat=w)) for w in parsed.widths[0]
    ])
    others = [(words,) for words in every if (words,) not in cells]
    assume(others)
    return empty(problem, draw(st.sampled_from(others)))


@many
@given(certificates(), st.data())
def test_what_is_changed_is_rejected_unless_it_is_still_right(data, choices):
    changed = copy.deepcopy(data)
    mutate(changed, choices.draw)
    verdict = check(changed)
    assert bool(verdict) == rw.valid(changed), verdict
    if verdict and changed["claim"]["kind"] != "counterexample":
        assert changed["witness"] != data["witness"] or rw.true(changed)
    if not verdict:
        assert verdict.reason
        assert "\n" not in verdict.reason


def without(data, gone, answer):
    """The certificate without a region; facets towards it get another neighbour."""
    data = copy.deepcopy(data)
    regions = data["witness"]["regions"]
    del regions[gone]
    for region in regions:
        for facet in list(region["facets"]):
            if facet["neighbour"] == gone:
                choice = answer([None, "redundant", *range(len(regions))])
                if choice == "redundant":
                    region["facets"].remove(facet)
                    others = [str(f["row"]) for f in region["facets"]]
                    multipliers = {row: answer(["0", "1", "2", "1/2"]) for row in others}
                    region["redundant"].append({"row": facet["row"], "multipliers": multipliers})
                else:
                    facet["neighbour"] = choice
            elif facet["neighbour"] is not None:
                facet["neighbour"] -= facet["neighbour"] > gone
    if data["witness"]["polygons"] is not None:
        del data["witness"]["polygons"]["regions"][gone]
    if "count" in data["claim"]:
        data["claim"]["count"] -= 1
    return data


@given(problems(), st.data())
def test_a_missing_region_is_always_noticed(problem, choices):
    parsed = rw.Problem(problem)
    assume(len(parsed.cells) > 1)
    data = rw.complete(problem)
    gone = choices.draw(st.integers(0, len(parsed.cells) - 1))
    for _ in range(5):
        verdict = check(without(data, gone, lambda options: choices.draw(st.sampled_from(options))))
        assert not verdict


def test_a_missing_region_of_the_golden_network():
    data = rw.complete(rw.problem_json([GOLDEN], rw.box(2)), polygons=True)
    rng = random.Random(0)
    for gone in range(7):
        for _ in range(40):
            assert not check(without(data, gone, rng.choice))
    for kept in itertools.combinations(range(7), 3):
        fewer = copy.deepcopy(data)
        fewer["witness"]["regions"] = [data["witness"]["regions"][i] for i in kept]
        fewer["claim"]["count"] = 3
        fewer["witness"]["polygons"] = None
        assert not check(fewer)


# -- polygons ----------------------------------------------------------------------------------


def polygons_alone(data):
    """The areas without the facets: None if they prove that the list is complete."""
    problem = region_checker.read_problem(data["problem"])
    items = data["witness"]["regions"]
    regions = [region_checker.read_region(problem, x, 99, i) for i, x in enumerate(items)]
    try:
        polygons = region_checker.read_polygons(problem, data["witness"]["polygons"], len(items))
        region_checker.check_polygons(problem, regions, polygons)
    except checker.Rejected as rejected:
        return str(rejected)
    return None


def test_areas_alone_prove_completeness():
    data = rw.complete(rw.problem_json([GOLDEN], rw.box(2)), polygons=True)
    assert polygons_alone(data) is None
    for gone in range(7):
        assert "add up" in polygons_alone(without(data, gone, lambda options: options[0]))

    def changed(change):
        other = copy.deepcopy(data)
        change(other["witness"]["polygons"])
        reason = polygons_alone(other)
        assert reason == check(other).reason
        return reason

    triangle = next(i for i, p in enumerate(data["witness"]["polygons"]["regions"]) if len(p) == 3)
    assert "left of edge" in changed(lambda p: p["regions"][triangle].reverse())
    assert "left of edge" in changed(lambda p: p["regions"][0].extend(p["regions"][0]))
    assert "left of edge" in changed(lambda p: p["regions"][0].insert(0, p["regions"][0][0]))
    assert "fewer than three" in changed(lambda p: p["regions"][0].__delitem__(slice(2, None)))
    assert "fewer than three" in changed(lambda p: p["domain"].clear())
    assert "wrong side" in changed(lambda p: p.update(regions=p["regions"][::-1]))
    assert "no inequality" in changed(lambda p: p["domain"].pop())
    assert "add up" in changed(lambda p: next(q for q in p["regions"] if len(q) > 3).pop())
    assert "7 regions" in changed(lambda p: p["regions"].pop())
    smaller = [["-1", "-1"], ["1", "-1"], ["1", "1"], ["-1", "1"]]
    assert "no inequality" in changed(lambda p: p.update(domain=smaller))
    larger = [["-3", "-3"], ["3", "-3"], ["3", "3"], ["-3", "3"]]
    assert "wrong side" in changed(lambda p: p.update(domain=larger))


def test_a_path_that_runs_round_twice_is_no_polygon():
    star = [(0, 3, 1), (-2, -3, 1), (3, 1, 1), (-3, 1, 1), (2, -3, 1)]
    with pytest.raises(checker.Rejected, match="left of edge"):
        region_checker.check_convex([list(p) for p in star], "the star")
    assert region_checker.double_area([list(p) for p in star]) > 0


def test_polygons_are_for_the_plane():
    data = rw.complete(rw.problem_json([[([[1]], None), ([[1]], None)]], rw.box(1)))
    data["witness"]["polygons"] = {"regions": [[], []], "domain": []}
    assert "two coordinates" in check(data).reason
    unbounded = rw.complete(rw.problem_json([GOLDEN], [[1, 0, 2]]))
    golden = rw.complete(rw.problem_json([GOLDEN], rw.box(2)), polygons=True)
    unbounded["witness"]["polygons"] = golden["witness"]["polygons"]
    assert "no inequality" in check(unbounded).reason


# -- malformed ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden():
    return rw.complete(rw.problem_json([GOLDEN], rw.box(2)), polygons=True)


def region(c, i=0):
    return c["witness"]["regions"][i]


def facet(c):
    return region(c)["facets"][0]


def others(c):
    return next(r["redundant"] for r in c["witness"]["regions"] if r["redundant"])


def layer(c):
    return c["problem"]["networks"][0]["layers"][0]


def domain(c):
    return c["problem"]["domain"]


def polygons(c):
    return c["witness"]["polygons"]["regions"]


def put(change, **values):
    """Set keys of the part that a function picks."""
    return lambda c: change(c).update(values)


def claims(n, **witness):
    return lambda c: (c["claim"].update(count=n), c["witness"].update(witness, polygons=None))


def networks(change):
    return lambda c: c["problem"].update(networks=change(c["problem"]["networks"]))


def flat(**parts):
    return lambda c: domain(c).update(flat=parts)


ONE, ZERO = [["1", "0"], ["0", "1"]], ["0", "0"]
TAMPERING = {
    "count a boolean": lambda c: c["claim"].update(count=True),
    "count a string": lambda c: c["claim"].update(count="7"),
    "count a float": lambda c: c["claim"].update(count=7.0),
    "count too large": lambda c: c["claim"].update(count=8),
    "count too small": lambda c: c["claim"].update(count=6),
    "count missing": lambda c: c["claim"].pop("count"),
    "extra key in the claim": lambda c: c["claim"].update(rank=7),
    "another kind": lambda c: c["claim"].update(kind="regions"),
    "kind a list": lambda c: c["claim"].update(kind=["regions-complete"]),
    "kind of a rank": lambda c: c["claim"].update(kind="jacobian-rank"),
    "kind of a pair": lambda c: c.update(claim={"kind": "same-function"}),
    "no networks": networks(lambda n: []),
    "networks no list": networks(lambda n: n[0]),
    "network a list": networks(lambda n: [n[0]["layers"]]),
    "three networks": networks(lambda n: n * 3),
    "second network": networks(lambda n: n * 2),
    "no layers": networks(lambda n: [{"layers": []}]),
    "extra key in a network": networks(lambda n: [{**n[0], "name": "golden"}]),
    "layer left out": networks(lambda n: [{"layers": n[0]["layers"][:2]}]),
    "a weight": put(layer, weight=[["-1", "0"], ["0", "1"]]),
    "a weight a float": put(layer, weight=[["1", 0.0], ["0", "1"]]),
    "domain missing": lambda c: c["problem"].pop("domain"),
    "domain null": lambda c: c["problem"].update(domain=None),
    "inequalities null": put(domain, inequalities=None),
    "inequality too short": lambda c: domain(c)["inequalities"][0].pop(),
    "inequality too long": lambda c: domain(c)["inequalities"][0].append("1"),
    "inequality empty": lambda c: domain(c)["inequalities"].append([]),
    "inequality of ints": lambda c: domain(c)["inequalities"].append([1, 0, 7]),
    "inequality a string": lambda c: domain(c)["inequalities"].append("111"),
    "inequality more": lambda c: domain(c)["inequalities"].append(["1", "0", "7"]),
    "inequality less": lambda c: domain(c)["inequalities"].pop(),
    "inequality impossible": lambda c: domain(c)["inequalities"].append(["0", "0", "-1"]),
    "flat a list": put(domain, flat=[]),
    "flat without directions": flat(origin=ZERO),
    "flat of floats": flat(origin=[0.0, 0.0], directions=ONE),
    "flat turned": flat(origin=ZERO, directions=ONE[::-1]),
    "polygons missing": lambda c: c["witness"].pop("polygons"),
    "polygons false": lambda c: c["witness"].update(polygons=False),
    "polygons a list": lambda c: c["witness"].update(polygons=[]),
    "polygon null": lambda c: polygons(c).__setitem__(0, None),
    "vertex null": lambda c: polygons(c)[0].__setitem__(0, None),
    "vertex of ints": lambda c: polygons(c)[0].__setitem__(0, [0, 0]),
    "regions null": lambda c: c["witness"].update(regions=None),
    "regions empty": claims(0, regions=[]),
    "region null": lambda c: c["witness"]["regions"].__setitem__(0, None),
    "region with another key": put(region, area="4"),
    "region repeated": lambda c: claims(8, regions=[*c["witness"]["regions"], region(c)])(c),
    "pattern null": put(region, pattern=None),
    "pattern for no network": put(region, pattern=[]),
    "pattern for two networks": put(region, pattern=[["00", "0"]] * 2),
    "pattern a beginning": put(region, pattern=[["00"]]),
    "pattern too deep": put(region, pattern=[["00", "0", "0"]]),
    "word too long": put(region, pattern=[["000", "0"]]),
    "word of other letters": put(region, pattern=[["0?", "0"]]),
    "word of other digits": put(region, pattern=[["00", "\u0660"]]),
    "word an int": put(region, pattern=[["00", 0]]),
    "word a list": put(region, pattern=[[["0", "0"], "0"]]),
    "words a string": put(region, pattern=["00"]),
    "word flipped": put(region, pattern=[["00", "1"]]),
    "point null": put(region, point=None),
    "point of ints": put(region, point=[-1, -1]),
    "point of floats": put(region, point=[-1.0, -1.0]),
    "point too long": put(region, point=["-1", "-1", "0"]),
    "point on the border": put(region, point=["0", "-1"]),
    "point elsewhere": put(region, point=["1", "1"]),
    "facets null": put(region, facets=None),
    "facet null": lambda c: region(c)["facets"].__setitem__(0, None),
    "facet left out": lambda c: region(c)["facets"].pop(),
    "facet repeated": lambda c: region(c)["facets"].append(facet(c)),
    "facet with another key": put(facet, length="2"),
    "facet of a boolean": put(facet, row=False),
    "facet of a string": put(facet, row="0"),
    "facet of a negative row": put(facet, row=-1),
    "facet of no row": put(facet, row=7),
    "facet of a zero row": put(facet, row=2),
    "facet with a point beside it": put(facet, point=["1/9", "-1"]),
    "facet with a point at its end": put(facet, point=["0", "0"]),
    "facet with a short point": put(facet, point=["0"]),
    "neighbour a string": put(facet, neighbour="1"),
    "neighbour a boolean": put(facet, neighbour=True),
    "neighbour a float": put(facet, neighbour=1.0),
    "neighbour out of range": put(facet, neighbour=7),
    "neighbour negative": put(facet, neighbour=-1),
    "neighbour none": put(facet, neighbour=None),
    "neighbour itself": put(facet, neighbour=0),
    "neighbour missing": lambda c: facet(c).pop("neighbour"),
    "neighbour outside": put(lambda c: region(c)["facets"][-1], neighbour=0),
    "redundant null": put(region, redundant=None),
    "redundant without multipliers": lambda c: others(c)[0].update(multipliers={}),
    "redundant with a list": lambda c: others(c)[0].update(multipliers=["1"]),
    "redundant by itself": lambda c: others(c)[0].update(multipliers={"2": "1"}),
    "redundant by no row": lambda c: others(c)[0].update(multipliers={"99": "1"}),
    "redundant by an odd key": lambda c: others(c)[0].update(multipliers={"00": "1"}),
    "redundant by an int": lambda c: others(c)[0].update(multipliers={"0": 1}),
    "redundant by nothing": lambda c: others(c)[0].update(multipliers={"0": "0"}),
    "redundant by a negative": lambda c: others(c)[0]["multipliers"].update({"0": "-1"}),
    "redundant repeated": lambda c: others(c).append(others(c)[0]),
    "redundant left out": lambda c: others(c).pop(),
    "facet said to be redundant": lambda c: region(c)["redundant"].append({
        "row": region(c)["facets"].pop()["row"],
        "multipliers": {"0": "1"},
    }),
    "facet also redundant": put(region, redundant=[{"row": 0, "multipliers": {"1": "1"}}]),
    "zero row redundant": put(region, redundant=[{"row": 2, "multipliers": {"0": "1"}}]),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_rejected_even_with_a_fresh_digest(golden, kind):
    data = copy.deepcopy(golden)
    assert region(data)["pattern"] == [["00", "0"]]
    assert [f["row"] for f in region(data)["facets"]] == [0, 1, 3, 5]
    TAMPERING[kind](data)
    assert json.dumps(data) != json.dumps(golden)
    verdict = check(data)
    assert not verdict
    assert verdict.reason
    assert "\n" not in verdict.reason
    assert len(verdict.reason) < 300


SMALL = {
    "point null": ("nonempty", lambda c: c["witness"].update(point=None)),
    "point of ints": ("nonempty", lambda c: c["witness"].update(point=[1, 1])),
    "point on a border": ("nonempty", lambda c: c["witness"].update(point=["2", "1"])),
    "point outside": ("nonempty", lambda c: c["witness"].update(point=["3", "1"])),
    "pattern short": ("nonempty", lambda c: c["claim"]["pattern"][0].pop()),
    "pattern flipped": ("nonempty", lambda c: c["claim"].update(pattern=[["11", "0"]])),
    "pattern a string": ("nonempty", lambda c: c["claim"].update(pattern="11")),
    "pattern missing": ("nonempty", lambda c: c["claim"].pop("pattern")),
    "kind": ("nonempty", lambda c: c["claim"].update(kind="region-empty")),
    "multipliers null": ("empty", lambda c: c["witness"].update(multipliers=None)),
    "multipliers a list": ("empty", lambda c: c["witness"].update(multipliers=[["0", "1"]])),
    "multipliers none": ("empty", lambda c: c["witness"].update(multipliers={})),
    "multipliers zero": ("empty", lambda c: c["witness"].update(multipliers={"2": "0"})),
    "multipliers negative": ("empty", lambda c: c["witness"].update(multipliers={"2": "-1"})),
    "multipliers a float": ("empty", lambda c: c["witness"].update(multipliers={"2": 1.0})),
    "multipliers a boolean": ("empty", lambda c: c["witness"].update(multipliers={"2": True})),
    "multipliers of others": ("empty", lambda c: c["witness"].update(multipliers={"0": "1"})),
    "multipliers of no row": ("empty", lambda c: c["witness"].update(multipliers={"7": "1"})),
    "pattern deep": ("empty", lambda c: c["claim"]["pattern"][0].append("1")),
    "pattern shorter": ("empty", lambda c: c["claim"]["pattern"][0].pop()),
    "outputs null": ("different", lambda c: c["witness"].update(outputs=None)),
    "outputs of one": ("different", lambda c: c["witness"]["outputs"].pop()),
    "outputs short": ("different", lambda c: c["witness"]["outputs"][0].pop()),
    "outputs long": ("different", lambda c: c["witness"]["outputs"][0].append("1")),
    "outputs swapped": ("different", lambda c: c["witness"]["outputs"].reverse()),
    "outputs ints": ("different", lambda c: c["witness"].update(outputs=[[1], [2]])),
    "point a float": ("different", lambda c: c["witness"].update(point=[1.0, 1.0])),
    "point elsewhere": ("different", lambda c: c["witness"].update(point=["2", "2"])),
    "claim with a point": ("different", lambda c: c["claim"].update(point=["1", "1"])),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_tampering_with_the_small_kinds(name):
    kind, change = SMALL[name]
    problem = rw.problem_json([GOLDEN], rw.box(2))
    doubled = [*GOLDEN[:2], ([[2]], None)]
    data = {
        "nonempty": lambda: nonempty(problem, [["11", "1"]], [1, 1]),
        "empty": lambda: empty(problem, [["00", "1"]]),
        "different": lambda: different(rw.problem_json([GOLDEN, doubled], rw.box(2)), [1, 1]),
    }[kind]()
    assert check(data)
    assert rw.valid(data)
    change(data)
    verdict = check(data)
    assert not verdict
    assert verdict.reason


def test_claims_in_one_line():
    problem = rw.problem_json([GOLDEN], rw.box(2))
    for data, line in (
        (
            nonempty(problem, [["11", "1"]], [1, 1]),
            "region-nonempty: an activation region has the pattern [['11', '1']]",
        ),
        (
            empty(problem, [["00", "1"]]),
            "region-empty: no activation region has a pattern that begins with [['00', '1']]",
        ),
        (rw.complete(problem), "regions-complete: the domain has exactly 7 activation regions"),
    ):
        assert check(data).claim == line
    for odd in ("\ud800", "x\nforged\x1b[2K", ["é"], None, 10**500, {}):
        for key, kind in (("pattern", "region-empty"), ("count", "regions-complete")):
            data = rw.certificate({"kind": kind, key: odd}, problem, {})
            verdict = check(data)
            assert not verdict
            assert verdict.claim.isascii()
            assert verdict.claim.isprintable()
            assert len(verdict.claim) < 150


def test_what_is_too_large_is_declined(golden, monkeypatch):
    data = copy.deepcopy(golden)
    with monkeypatch.context() as patch:
        patch.setattr(region_checker, "MAX_WORK", 1000)
        with pytest.raises(checker.Malformed, match="too large for this checker"):
            check(data)
    long = "0x" + "1" * 10_000
    for change in (
        lambda c: region(c)["point"].__setitem__(0, long),
        lambda c: others(c)[0]["multipliers"].update({"0": "1/" + long}),
        lambda c: c["problem"]["domain"]["inequalities"][0].__setitem__(0, long),
    ):
        data = copy.deepcopy(golden)
        change(data)
        with pytest.raises(checker.Malformed, match=r"of 1000\d characters|has 1000\d characters"):
            check(data)
    # A wide network on many regions, and a domain of many sides.
    wide = [([["1", "0"]] * 2000, None), ([["1"] * 2000] * 2000, None), ([["1"] * 2000], None)]
    problem = region_checker.read_problem(rw.problem_json([GOLDEN], rw.box(2)))
    layers = [checker.Layer([list(map(int, row)) for row in W], None, 1) for W, _ in wide]
    problem.networks = [layers]
    region_checker.decline_beyond_limit(problem, 0, [64], 100)
    with pytest.raises(checker.Malformed, match="too large"):
        region_checker.decline_beyond_limit(problem, 0, [64], 1000)
    with pytest.raises(checker.Malformed, match="too large"):
        region_checker.decline_beyond_limit(problem, 0, [2**20], 100)


def test_long_numbers_are_fine(golden):
    data = copy.deepcopy(golden)
    region(data)["point"][0] = "-1/" + hex(7**3000)
    assert check(data)
    big = 3**5000
    net = [([[big, 0], [0, F(1, big)]], None), ([[F(1, big), big]], [-1]), ([[1]], None)]
    data = rw.complete(rw.problem_json([[*map(tuple, net)]], rw.box(2)), polygons=True)
    assert check(data)
    assert data["claim"]["count"] == 7


def test_the_example_in_the_description(golden):
    text = (Path(__file__).parents[1] / "proofs_checks" / "FORMAT.md").read_text()
    assert json.loads(text.split("```json")[-1].split("```")[0]) == region(golden)


# -- as a file ---------------------------------------------------------------------------------


def test_certificates_of_regions_survive_a_file(tmp_path, golden):
    sealed = ed.Certificate.seal(golden["claim"], golden["problem"], golden["witness"])
    path = sealed.save(tmp_path / "regions.json")
    assert ed.verify(path)
    assert ed.verify(sealed) == ed.verify(str(path))
    loaded = ed.Certificate.load(path)
    assert loaded == sealed
    assert (
        repr(loaded)
        == "<Certificate regions-complete: the domain has exactly 7 activation regions>"
    )
    assert loaded.checking_seconds >= 0
    region(golden := copy.deepcopy(golden))["point"] = ["9", "9"]
    assert not ed.verify(ed.Certificate.seal(golden["claim"], golden["problem"], golden["witness"]))


def test_the_two_files_run_alone(tmp_path, golden):
    """In an isolated interpreter: in place, as a module, and copied; without the second file."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(reseal(golden)))
    worse = copy.deepcopy(golden)
    facet(worse)["neighbour"] = 0
    bad.write_text(json.dumps(reseal(worse)))
    copied = tmp_path / "checker.py"
    copied.write_text(CHECKER.read_text())
    (tmp_path / "region_checker.py").write_text(REGIONS.read_text())

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False
        )

    for how in (["-I", "-S", CHECKER], ["-I", "-S", copied], ["-m", "exactdim.evidence.checker"]):
        done = run(*how, good, bad)
        assert done.returncode == 1
        assert "accepted: regions-complete: the domain has exactly 7" in done.stdout
        assert "REJECTED" in done.stdout
        assert "not that of region 0" in done.stdout
        assert done.stderr == ""
        assert run(*how, good).returncode == 0
    (tmp_path / "region_checker.py").unlink()
    done = run("-I", "-S", copied, good)
    assert done.returncode == 2
    assert "region_checker.py, which is not there" in done.stderr


def test_the_second_file_imports_the_first_and_the_standard_library_only():
    names = set()
    for node in ast.walk(ast.parse(REGIONS.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    own = {"exactdim.evidence.checker", "checker"}
    assert own <= names
    assert {name.split(".")[0] for name in names - own} <= set(sys.stdlib_module_names)


def test_what_is_declined_is_no_certificate_for_verify(golden, monkeypatch):
    monkeypatch.setattr(region_checker, "MAX_WORK", 10)
    with pytest.raises(errors.MalformedCertificate, match="too large"):
        ed.verify(ed.Certificate.seal(golden["claim"], golden["problem"], golden["witness"]))
