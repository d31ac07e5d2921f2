"""Lists of regions with their certificates; the graph of regions; linear regions."""

import copy
import itertools
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import networkx
import oracles
import pytest
import region_witness
from hypothesis import given
from hypothesis import strategies as st
from networks import networks

import exactdim as ed
from exactdim import Domain, QMatrix, errors
from exactdim.evidence import checker
from exactdim.regions.graph import write_graph

GOLDEN = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])


def net(*layers):
    """A network from pairs (weight, bias)."""
    return ed.ReLUNetwork([W for W, _ in layers], [b for _, b in layers])


def accepted(regions):
    """Demand that the checker accepts the list and every single region."""
    certificate = regions.certificate()
    verdict = ed.verify(certificate)
    assert verdict, verdict
    assert verdict.claim.startswith("regions-complete")
    assert f"exactly {len(regions)} activation region" in verdict.claim
    assert certificate.claim["count"] == len(regions)
    return certificate


# -- complete lists ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "widths", [(1, 7, 1), (1, 5, 4, 2), (2, 6, 1), (2, 4, 4, 1), (3, 5, 1), (3, 4, 3, 1), (2, 3)]
)
@pytest.mark.parametrize("domain", [None, (-1, 1)], ids=["everywhere", "box"])
def test_random_networks(widths, domain):
    for seed in range(3):
        accepted(ed.activation_regions(ed.ReLUNetwork.random(widths, seed=seed), domain))


def test_some_hundred_regions():
    regions = ed.activation_regions(ed.ReLUNetwork.random((2, 16, 12, 1), seed=1), (-2, 2))
    assert len(regions) > 150
    assert accepted(regions).witness["polygons"] is not None
    in_space = ed.activation_regions(ed.ReLUNetwork.random((3, 8, 4, 1), seed=1))
    assert len(in_space) > 150
    accepted(in_space)


@given(networks(min_depth=2, max_depth=3, max_width=3), st.data())
def test_degenerate_networks(a, data):
    """Coinciding and constant units, dead layers, rational weights; some domains."""
    d = a.widths[0]
    unit = [[int(i == k) for i in range(d)] for k in range(d)]
    domain = data.draw(
        st.sampled_from([
            None,
            (-1, 1),
            ("-1/3", "5/7"),
            Domain.polytope([[1] * d], [1]),
            Domain.polytope([[-x for x in row] for row in unit] + [[1] * d], [0] * d + [2]),
            Domain.polytope([*unit, *[[2 * x for x in row] for row in unit]], [1] * d + [2] * d),
            Domain.segment([-1] * d, range(1, d + 1)),
            Domain.affine([[1] * d], [[1] + [2] * (d - 1)]),
        ])
    )
    accepted(ed.activation_regions(a, domain))


@given(networks(min_depth=2, max_depth=3, max_width=3), st.data())
def test_single_regions(a, data):
    """Every region by itself; its point is good for no other pattern."""
    regions = ed.activation_regions(a, data.draw(st.sampled_from([None, (-1, 1)])))
    certificates = [region.certificate() for region in regions]
    for certificate in certificates:
        verdict = ed.verify(certificate)
        assert verdict, verdict
        assert verdict.claim.startswith("region-nonempty")
    for one, other in itertools.islice(itertools.permutations(certificates, 2), 6):
        assert not ed.verify(ed.Certificate.seal(one.claim, one.problem, other.witness))


@pytest.mark.parametrize(
    ("domain", "count"),
    [
        ((-2, 2), 7),
        (None, 7),
        (("-1/3", "1/3"), 4),
        (Domain.polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 3]), 2),
        (Domain.polytope([[-1, 0], [0, -1]], [0, 0]), 2),
        (Domain.polytope([[1, 1]], [1]), 6),
        (Domain.plane([0, 0], [1, 0], [0, 1], lower=-2, upper=2), 7),
        (Domain.segment([-1, -1], [1, 1]), 3),
        (Domain.affine([[0, "1/2"]], [[1, 0]]), 3),
        (Domain.affine([[2, 2]], [[1, 1], [1, -1]]), 7),
    ],
    ids=repr,
)
def test_the_golden_network(domain, count):
    """T29, in domains of all sorts."""
    regions = ed.activation_regions(GOLDEN, domain)
    assert len(regions) == count
    accepted(regions)
    for region in regions:
        assert ed.verify(region.certificate())


def test_slices_through_many_inputs():
    a = ed.ReLUNetwork.random((9, 6, 4, 2), seed=3)
    points = [[0] * 9, [1] * 9, [1, -1] * 4 + ["1/3"], [0, 2] * 4 + [5]]
    accepted(ed.activation_regions(a, Domain.segment(*points[:2])))
    accepted(ed.activation_regions(a, Domain.plane(*points[:3], lower=-3, upper=3)))
    accepted(ed.activation_regions(a, Domain.flat(points, within=(-1, 1))))
    accepted(ed.activation_regions(a, Domain.flat(points)))


def test_networks_without_hidden_layer():
    a = ed.ReLUNetwork([[["1/3", 2]]], [[1]])
    for domain in (None, (0, 1), Domain.segment([0, 0], [1, 1])):
        (region,) = regions = ed.activation_regions(a, domain)
        accepted(regions)
        assert ed.verify(region.certificate())
        assert regions.graph().number_of_edges() == 0
        assert len(regions.linear_regions()) == 1


def test_long_rationals():
    """Thirds and sevenths, numbers of 200 bits, corners at 2^100."""
    big = Fraction(2**200 + 1, 3**90)
    a = net(
        ([["1/3", "-2/7"], [big, 1], [1, Fraction(1, 2**100)]], ["1/9", 0, "-1/11"]),
        ([["5/13", -1, Fraction(1, 10**40)]] * 2, ["1/17", -big]),
        ([[1, "1/3"]], None),
    )
    accepted(ed.activation_regions(a))
    accepted(ed.activation_regions(a, ("-1/3", "10/7")))


def test_two_networks_together():
    """The common regions, as same_function finds them."""
    a = ed.ReLUNetwork.random((2, 4, 1), seed=0)
    b = ed.permute(ed.rescale(a, 0, 1, "2/3"), 0, [3, 1, 0, 2])
    common = ed.same_function(a, b, (-1, 1)).regions
    accepted(common)
    for region in common:
        assert ed.verify(region.certificate())


@pytest.mark.timeout(30)
@pytest.mark.parametrize("b", [1, 0])
def test_inequalities_that_say_nothing(b):
    """0 <= 1 and 0 <= 0 hold everywhere."""
    domain = Domain.polytope([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], [b, 2, 2, 2, 2])
    regions = ed.activation_regions(GOLDEN, domain)
    assert len(regions) == 7
    assert sum(region.volume for region in regions) == 16
    for region in regions:
        assert all(any(facet.inequality[:-1]) for facet in region.facets)
        assert regions.region_at(region.interior_point).index == region.index
    accepted(regions)


def test_a_process_of_its_own(tmp_path):
    """The checker alone, without this package."""
    a = ed.ReLUNetwork.random((2, 5, 3, 1), seed=2)
    for name, domain in (
        ("box", (-1, 1)),
        ("space", None),
        ("flat", Domain.segment([0, 0], [3, 1])),
    ):
        file = tmp_path / f"{name}.json"
        regions = ed.activation_regions(a, domain)
        regions.certificate().save(file)
        found = subprocess.run(
            [sys.executable, "-I", str(Path(checker.__file__)), str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        assert f"exactly {len(regions)} activation regions" in found.stdout


# -- false lists ------------------------------------------------------------------------------


def lists():
    """Certificates to spoil: bounded and not, of one, two and three inputs, in a flat."""
    a = ed.ReLUNetwork.random((3, 4, 1), seed=1)
    return [
        ed.activation_regions(GOLDEN, (-2, 2)),
        ed.activation_regions(GOLDEN),
        ed.activation_regions(ed.ReLUNetwork.random((1, 4, 3, 1), seed=0)),
        ed.activation_regions(a, (-1, 1)),
        ed.activation_regions(a, Domain.plane([0, 0, 0], [1, 0, 1], [0, 1, 0], lower=-1)),
    ]


def sealed(certificate, witness, count=None):
    claim = dict(certificate.claim)
    if count is not None:
        claim["count"] = count
    return ed.Certificate.seal(claim, certificate.problem, witness)


def spoiled(certificate):
    return copy.deepcopy(dict(certificate.witness))


@pytest.mark.parametrize("regions", lists(), ids=repr)
def test_no_region_can_be_left_out(regions):
    """However the neighbours of the missing region are renamed, with or without areas."""
    certificate = regions.certificate()
    n = len(regions)
    for missing in range(n):
        for instead in (None, missing, (missing + 1) % n, (missing + 2) % n):
            for areas in (True, False):
                witness = spoiled(certificate)
                del witness["regions"][missing]
                for region in witness["regions"]:
                    for facet in region["facets"]:
                        if facet["neighbour"] == missing:
                            facet["neighbour"] = instead
                        if facet["neighbour"] is not None and facet["neighbour"] > missing:
                            facet["neighbour"] -= 1
                        if facet["neighbour"] == n - 1:
                            facet["neighbour"] = 0
                if not areas:
                    witness["polygons"] = None
                elif witness["polygons"] is not None:
                    del witness["polygons"]["regions"][missing]
                assert not ed.verify(sealed(certificate, witness, n - 1))
                assert not ed.verify(sealed(certificate, witness))


@pytest.mark.parametrize("regions", lists(), ids=repr)
def test_the_count_is_part_of_the_claim(regions):
    certificate = regions.certificate()
    for count in (0, len(regions) - 1, len(regions) + 1, str(len(regions)), None, True):
        wrong = sealed(certificate, certificate.witness, count)
        if count is not None:
            assert not ed.verify(wrong)
    twice = spoiled(certificate)
    twice["regions"].append(twice["regions"][0])
    assert not ed.verify(sealed(certificate, twice, len(regions) + 1))


@pytest.mark.parametrize("regions", lists(), ids=repr)
def test_no_neighbour_can_be_swapped(regions):
    certificate = regions.certificate()
    n = len(regions)
    for i, region in enumerate(certificate.witness["regions"]):
        for j, facet in enumerate(region["facets"]):
            for other in {None, 0, i, (facet["neighbour"] or 0) + 1, n - 1} - {facet["neighbour"]}:
                witness = spoiled(certificate)
                witness["regions"][i]["facets"][j]["neighbour"] = other
                assert not ed.verify(sealed(certificate, witness))


@pytest.mark.parametrize("regions", lists(), ids=repr)
def test_nothing_else_can_be_changed(regions):
    """A bit of a pattern, a point, a facet left out, areas."""
    certificate = regions.certificate()
    rng = random.Random(0)
    for _ in range(30):
        witness = spoiled(certificate)
        region = rng.choice(witness["regions"])
        kind = rng.choice(["bit", "point", "facet", "redundant", "polygon"])
        if kind == "bit":
            layer = rng.randrange(len(region["pattern"][0]))
            word = list(region["pattern"][0][layer])
            unit = rng.randrange(len(word))
            word[unit] = "10"[int(word[unit])]
            region["pattern"][0][layer] = "".join(word)
        elif kind == "point":
            region["point"] = rng.choice([r for r in witness["regions"] if r != region])["point"]
        elif kind in {"facet", "redundant"}:
            entries = region["facets" if kind == "facet" else "redundant"]
            if not entries:
                continue
            del entries[rng.randrange(len(entries))]
        elif witness["polygons"] is not None:
            corners = rng.choice(witness["polygons"]["regions"])
            del corners[rng.randrange(len(corners))]
        else:
            continue
        assert not ed.verify(sealed(certificate, witness)), kind


def test_one_region_for_another():
    region, other = list(ed.activation_regions(GOLDEN, (-2, 2)))[:2]
    good, wrong = region.certificate(), other.certificate()
    assert not ed.verify(ed.Certificate.seal(good.claim, good.problem, wrong.witness))
    on_the_border = region.facet_point(region.facets[0])
    witness = {"point": [str(x) for x in on_the_border]}
    assert not ed.verify(ed.Certificate.seal(good.claim, good.problem, witness))


# -- the graph of regions ---------------------------------------------------------------------


def brute_force(a, rows=()):
    """Regions and which of them share a facet, by splitting cells in plain Fractions."""
    data = region_witness.problem_json([oracles.layers_of(a)], rows)
    listed = region_witness.completeness_witness(data)["regions"]
    patterns = [tuple(region["pattern"][0]) for region in listed]
    edges = {
        frozenset((patterns[i], patterns[facet["neighbour"]]))
        for i, region in enumerate(listed)
        for facet in region["facets"]
        if facet["neighbour"] is not None
    }
    return region_witness.Problem(data), patterns, edges


def differing_units(one, other):
    return tuple(
        (layer, unit)
        for layer, (u, v) in enumerate(zip(one, other, strict=True))
        for unit, (x, y) in enumerate(zip(u, v, strict=True))
        if x != y
    )


@given(networks(min_depth=2, max_depth=3, max_width=3), st.booleans())
def test_graphs_against_brute_force(a, everywhere):
    rows = [] if everywhere or a.widths[0] > 2 else region_witness.box(a.widths[0])
    _, patterns, edges = brute_force(a, rows)
    regions = ed.activation_regions(a, (-2, 2) if rows else None)
    graph = regions.graph()
    assert isinstance(graph, networkx.Graph)
    assert graph.graph["complete"] is True
    assert set(graph) == set(patterns)
    assert set(map(frozenset, graph.edges)) == edges
    assert networkx.is_connected(graph)
    for pattern, data in graph.nodes(data=True):
        assert regions[data["index"]].pattern == pattern
    for one, other, data in graph.edges(data=True):
        assert data["units"] == differing_units(one, other)
        assert data["units"]
        sides = {graph.nodes[one]["index"], graph.nodes[other]["index"]}
        assert set(regions.facet_cells[data["facet"]].tolist()) == sides
    for region in regions:
        beyond = {regions[f.neighbour].pattern for f in region.facets if f.neighbour is not None}
        assert beyond == set(graph[region.pattern])


def test_several_units_at_one_facet():
    """Coinciding lines, and a second layer that changes with the first."""
    a = net(([[1], [2], [-1], [1]], [0, 0, 0, -1]), ([[1, 0, -1, 0]], None), ([[1]], None))
    graph = ed.activation_regions(a).graph()
    units = {frozenset(data["units"]) for _, _, data in graph.edges(data=True)}
    assert units == {frozenset({(0, 0), (0, 1), (0, 2), (1, 0)}), frozenset({(0, 3)})}


def test_the_graph_of_a_grid():
    lines = [[1, 0], [1, 0], [0, 1], [0, 1]]
    regions = ed.activation_regions(net((lines, [0, 1, 0, 1]), ([[1] * 4], [0])))
    assert networkx.is_isomorphic(regions.graph(), networkx.grid_2d_graph(3, 3))


@pytest.mark.parametrize("domain", [None, (-2, 2), Domain.segment([-1, -1], [1, 1])], ids=repr)
def test_graphml(tmp_path, domain):
    regions = ed.activation_regions(GOLDEN, domain)
    file = write_graph(regions, tmp_path / "regions.graphml")
    back = networkx.read_graphml(file)
    graph = regions.graph()
    assert set(back) == {" ".join(pattern) for pattern in graph}
    assert back.number_of_edges() == graph.number_of_edges()
    for pattern, data in graph.nodes(data=True):
        assert back.nodes[" ".join(pattern)]["index"] == data["index"]
    for one, other, data in graph.edges(data=True):
        edge = back.edges[" ".join(one), " ".join(other)]
        units = tuple(tuple(map(int, pair.split(","))) for pair in edge["units"].split())
        assert units == data["units"]
        assert edge["facet"] == data["facet"]


def test_graphml_of_one_region(tmp_path):
    regions = ed.activation_regions(ed.ReLUNetwork([[[1, 1]]]), (0, 1))
    back = networkx.read_graphml(write_graph(regions, tmp_path / "one.graphml"))
    assert back.number_of_nodes() == 1


def test_other_graph_files_are_refused(tmp_path):
    regions = ed.activation_regions(GOLDEN, (-2, 2))
    for name in ("g.gexf", "g.json", "g", "graphml"):
        with pytest.raises(errors.InvalidInput, match="graphml"):
            write_graph(regions, tmp_path / name)
    assert not list(tmp_path.iterdir())


# -- linear regions ---------------------------------------------------------------------------


def merged(problem, patterns, edges):
    """Regions joined through facets that carry the same affine map, by brute force."""
    maps = {pattern: problem.layer(0, pattern) for pattern in patterns}
    graph = networkx.Graph()
    graph.add_nodes_from(patterns)
    graph.add_edges_from(
        (one, other) for one, other in map(tuple, edges) if maps[one] == maps[other]
    )
    return {frozenset(group) for group in networkx.connected_components(graph)}, maps


def groups_of(regions):
    """Linear regions as sets of patterns; each has the affine map of all its regions."""
    found = regions.linear_regions()
    numbers = [i for linear in found for i in linear.regions]
    assert sorted(numbers) == list(range(len(regions)))
    assert [linear.regions[0] for linear in found] == sorted(min(x.regions) for x in found)
    for linear in found:
        for i in linear.regions:
            assert regions[i].affine_map() == (linear.gradient, linear.constant)
    return {frozenset(regions[i].pattern for i in linear.regions) for linear in found}


@given(networks(min_depth=2, max_depth=3, max_width=3), st.booleans())
def test_linear_regions_against_brute_force(a, everywhere):
    rows = [] if everywhere or a.widths[0] > 2 else region_witness.box(a.widths[0])
    groups, maps = merged(*brute_force(a, rows))
    regions = ed.activation_regions(a, (-2, 2) if rows else None)
    assert groups_of(regions) == groups
    for region in regions:
        gradient, constant = region.affine_map()
        assert QMatrix.hstack([gradient, constant.T]).tolist() == maps[region.pattern]


CANCELLING = {
    "x+ - x+": (net(([[1], [1]], None), ([[1, -1]], None)), 2, 1),
    "x+ - x+ + y+": (net(([[1, 0], [1, 0], [0, 1]], None), ([[1, -1, 1]], None)), 4, 2),
    "|x| - |x|": (net(([[1], [-1], [2], [-2]], None), ([[2, 2, -1, -1]], None)), 2, 1),
    "x+ - x-, that is x": (net(([[1], [-1]], None), ([[1, -1]], None)), 2, 1),
    "3 (x/3)+ - x+": (net(([["1/3"], [1]], None), ([[3, -1]], None)), 2, 1),
    "0.1 + 0.2 - 0.3": (
        net(([["1/10"], ["2/10"], ["3/10"]], None), ([[1, 1, -1]], None)),
        2,
        1,
    ),
    "0.1 + 0.2 - 0.3 in floats": (net(([[0.1], [0.2], [0.3]], None), ([[1, 1, -1]], None)), 2, 2),
    "all but 2^-80": (net(([[1], [1]], None), ([[1, -1 + Fraction(1, 2**80)]], None)), 2, 2),
    "read with weight 0": (net(([[1], [1]], [0, -1]), ([[0, 1]], None)), 3, 2),
    "dead below": (net(([[1], [-1]], None), ([[-1, -1]], [0]), ([[5]], [1])), 2, 1),
    "a hat, zero on both sides": (net(([[1], [1], [1]], [0, -1, -2]), ([[1, -2, 1]], [0])), 4, 4),
    "zero on opposite quadrants": (
        net(([[1, 0], [0, 1], [1, 1]], None), ([[1, 1, -1]], None)),
        6,
        6,
    ),
    "two outputs, one kink each": (net(([[1], [1]], [0, -1]), ([[1, 0], [0, 1]], None)), 3, 3),
    "T29": (GOLDEN, 7, 4),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_what_cancels(name):
    """Activation regions and linear regions, counted by hand and by brute force."""
    a, activation, linear = CANCELLING[name]
    regions = ed.activation_regions(a)
    assert (len(regions), len(regions.linear_regions())) == (activation, linear)
    groups, _ = merged(*brute_force(a))
    assert groups_of(regions) == groups
    accepted(regions)


def test_linear_regions_in_a_slice():
    """Coordinates of the slice: the gradient along it."""
    regions = ed.activation_regions(GOLDEN, Domain.segment([-1, -1], [1, 1]))
    found = regions.linear_regions()
    assert [linear.gradient for linear in found] in (
        [QMatrix([[0]]), QMatrix([[4]])],
        [QMatrix([[4]]), QMatrix([[0]])],
    )
    assert sum(regions[i].volume for linear in found for i in linear.regions) == 1


@pytest.mark.parametrize("seed", range(3))
def test_rewriting_does_not_change_linear_regions(seed):
    """Rescaling, permutation and splitting of units keep the function, so they keep its pieces."""
    a = ed.ReLUNetwork.random((2, 5, 4, 1), seed=seed)
    (W, b), *rest = oracles.layers_of(a)
    (V, c), last = rest
    split = net(
        ([*W, W[0], [-2 * v for v in W[1]]], [*b, b[0], -2 * b[1]]),
        ([[row[0] - 3, *row[1:], 3, 0] for row in V], c),
        last,
    )
    other = ed.permute(ed.rescale(split, 1, 2, "7/3"), 1, [2, 0, 3, 1])
    assert ed.same_function(a, other, (-2, 2))
    pieces = []
    for network in (a, other):
        regions = ed.activation_regions(network, (-2, 2))
        pieces.append(
            sorted(
                (linear.gradient.tolist(), sum(regions[i].volume for i in linear.regions))
                for linear in regions.linear_regions()
            )
        )
    assert pieces[0] == pieces[1]
