"""The atlas of ranks (T2, T4, T5, T15-T17, T39): histograms, ranks all over a region, graphs."""

import json
import random
from collections import Counter
from fractions import Fraction
from math import comb

import networkx
import pytest
from histograms import HISTOGRAMS

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.regions.dichotomies import dichotomies

TOYS = [
    ((1, 1, 1), [[0], [1], [2]], True),
    ((1, 2, 1), [[-1], [0], [2]], True),
    ((1, 2, 2), [[-1], [0], [2]], True),
    ((2, 2, 1), [[1, 0], [1, 1], [0, 1]], False),
    ((2, 2, 1), [[0, 0], [1, 0], [1, 0], [0, 1]], True),  # a repeated sample, and the origin
    ((2, 2, 1), [[0, 0], [1, 1], [2, 2]], (False, True)),  # collinear, zero
    ((1, 2, 1), [[0], [1], [3], [4]], (True, False)),
    ((1, 1, 1, 1), [[-1], [2]], True),
    ((1, 1, 1, 1), [[-1], [2]], False),
    ((1, 2, 1, 1), [[-1], [0], [2]], True),
    ((1, 2, 1, 2), [[-1], [2]], (True, False, True)),
]

MORE_TOYS = [
    ((1, 2, 2, 1), [[-1], [0], [2]], True),
    ((1, 2, 2, 1), [[-1], [1], [2]], False),
    ((2, 2, 2, 1), [[0, 0], [1, 0], [0, 1]], True),
    ((1, 3, 1), [[0], [1], [3], [4]], (True, False)),
    ((1, 1, 1, 1, 1), [[-1], [0], [2]], True),
    ((1, 2, 1, 2), [[-1], [0], [2]], (True, False, True)),
]


@pytest.mark.parametrize(("X", "units", "histogram"), HISTOGRAMS)
def test_golden_histograms(X, units, histogram):
    """T17, and the fractions of regions with full row rank that follow."""
    atlas = ed.parameter_regions((2, units, 1), X, bias=False)
    assert atlas.histogram() == histogram
    assert atlas.n_regions == sum(histogram.values())
    assert atlas.full_rank_fraction == Fraction(histogram[len(X)], atlas.n_regions)
    assert atlas.image_dimension == max(histogram)


def test_full_rank_fractions():
    fractions = [
        ed.parameter_regions((2, units, 1), X, bias=False).full_rank_fraction
        for X, units, _ in HISTOGRAMS[:4]
    ]
    assert fractions == [
        Fraction(14, 36), Fraction(144, 216), Fraction(12, 64), Fraction(246, 512),
    ]  # fmt: skip


@pytest.mark.parametrize(("widths", "X", "bias"), [*TOYS, *MORE_TOYS])
def test_every_region_of_every_toy(widths, X, bias, large):
    """Witness and random points lie in the region; the rank is r_A off a null set, never above.

    Every region of the toys; every 25th of some more, all with --large.
    """
    atlas = ed.parameter_regions(widths, X, bias=bias)
    regions = list(atlas)
    assert len(regions) == atlas.n_orbits == len({region.words for region in regions})
    assert sum(region.multiplicity for region in regions) == atlas.n_regions
    shallow = len(widths) == 3
    for region in regions[:: 1 if large or (widths, X, bias) in TOYS else 25]:
        mask = region.pattern.mask
        assert ed.activation_pattern(region.witness, X) == region.pattern
        assert ed.local_dimension(region.witness, X).value <= region.rank
        assert atlas.region_of(region.witness).words == region.words
        outputs, at_rank = [], 0
        walk = list(region.networks(20, seed=1))
        for net in walk:
            assert (ed.activation_pattern(net, X).mask == mask).all()
            rank = ed.local_dimension(net, X).value
            assert rank <= region.rank
            at_rank += rank == region.rank
            outputs.append([x for row in net(X).tolist() for x in row])
        assert at_rank == len(walk)
        if shallow and widths[-1] == 1:
            # T5: the image is a union of cones that spans a linear space of its own dimension
            assert QMatrix(outputs).rank() == region.rank
        assert QMatrix(outputs).rank() >= region.rank  # the image lies in the span of itself


def test_two_outputs_have_a_determinantal_image():
    """T5, T18: all samples on, one unit: outputs minus the bias have rank one, dimension 2 + 2."""
    X = [[0], [1], [2]]
    atlas = ed.parameter_regions((1, 1, 2), X)
    region = atlas.region_of(ed.ReLUNetwork([[[1]], [[1], [1]]], [[1], [0, 0]]))
    assert region.rank == 1 * (1 + 2 - 1) + 2
    for net in region.networks(20, seed=3):
        f = net(X)
        assert (f[[0]] - f[[1]] * 2 + f[[2]]).is_zero()  # affine in the sample: 4 dimensions
    assert QMatrix([
        [x for row in net(X).tolist() for x in row] for net in region.networks(20, seed=3)
    ]).rank() == 4  # fmt: skip


def test_the_bias_free_exception():
    """T2: with strict signs there would be no region around W = (1), (1), (1), x = -1."""
    atlas = ed.parameter_regions((1, 1, 1, 1), [[-1]], bias=False)
    net = ed.ReLUNetwork([[[1]], [[1]], [[1]]], [None, None, None])
    region = atlas.region_of(net)
    assert region.words == (("0",), ("0",))
    assert (region.rank, net([[-1]]).is_zero()) == (0, True)
    # z_2 is zero there and everywhere near, whatever w_2 is: neither sign is strict
    for near in (Fraction(1, 10), Fraction(-1, 10)):
        moved = net.with_parameters([[1 + near, 1 - near, 1]])
        assert atlas.region_of(moved).words == region.words
        hidden = ed.ReLUNetwork(list(moved.weights[:2]), [None, None])
        assert hidden([[-1]]).is_zero()
    assert atlas.histogram() == {0: 2, 1: 1}


def test_counts_without_enumerating():
    """T39: C(n, d + 1)**N regions."""
    X = [[t, t * t, t**3] for t in range(6)]
    atlas = ed.parameter_regions((3, 50, 1), X)
    assert (atlas.n_regions, atlas.n_orbits) == (52**50, comb(101, 50))
    assert sum(1 for _, _ in zip(atlas, range(100), strict=False)) == 100  # lazily


def test_sampled_parameters_lie_in_listed_regions():
    source = random.Random(2)
    X = [[-1], [0], [2]]
    atlas = ed.parameter_regions((1, 2, 2, 1), X)
    ranks = Counter()
    size = 13
    for _ in range(400):
        theta = [[Fraction(source.randint(-50, 50), source.randint(1, 9)) for _ in range(size)]]
        net = ed.ReLUNetwork.random((1, 2, 2, 1), seed=0).with_parameters(theta)
        try:
            region = atlas.region_of(net)
        except errors.OnKink:
            continue
        assert ed.local_dimension(net, X).value <= region.rank
        ranks[region.rank] += 1
    assert len(ranks) >= 3


def test_the_graph_of_one_unit_is_that_of_its_dichotomies():
    X = [[0, 0], [1, 0], [0, 1], [3, 5]]
    graph = ed.parameter_regions((2, 1, 1), X).graph()
    found = dichotomies(QMatrix([[*x, 1] for x in X]))
    edges = {
        frozenset((found.words[i], found.words[j]))
        for i, beside in enumerate(found.neighbours)
        for _, j in beside
    }
    assert {frozenset(w[0][0] for w in edge) for edge in graph.edges} == edges
    assert networkx.is_connected(graph)
    for ((word,),), data in graph.nodes(data=True):
        on = word.count("1")
        # the constants are in the span of the kept samples only if all are kept
        assert data["rank"] == (3 if on == 4 else min(on, 3) + 1)


@pytest.mark.parametrize(("widths", "X", "bias"), TOYS)
def test_edges_are_flips_of_one_unit(widths, X, bias):
    atlas = ed.parameter_regions(widths, X, bias=bias)
    graph = atlas.graph()
    assert set(graph.nodes) == {region.words for region in atlas}
    for left, right, data in graph.edges(data=True):
        assert [a == b for a, b in zip(left, right, strict=True)].count(False) == 1
        layer = data["layer"]
        (old,) = (Counter(left[layer]) - Counter(right[layer])).elements()
        (new,) = (Counter(right[layer]) - Counter(left[layer])).elements()
        assert tuple(i for i in range(len(X)) if old[i] != new[i]) == data["samples"]
    if all(atlas.space.has_bias):
        assert networkx.is_connected(graph)


def test_repeated_samples_flip_together():
    graph = ed.parameter_regions((1, 1, 1), [[1], [1], [2]]).graph()
    samples = {data["samples"] for _, _, data in graph.edges(data=True)}
    assert samples == {(0, 1), (2,)}


def test_saved_atlas(tmp_path):
    atlas = ed.parameter_regions((2, 2, 1), [[1, 0], [1, 1], [0, "1/3"]], bias=False)
    atlas.save(tmp_path / "atlas.json")
    data = json.loads((tmp_path / "atlas.json").read_text())
    assert {int(k): v for k, v in data["histogram"].items()} == atlas.histogram()
    assert data["inputs"][2] == ["0", "1/3"]
    for entry, region in zip(data["regions"], atlas, strict=True):
        net = ed.as_network([(layer["weight"], layer["bias"]) for layer in entry["witness"]])
        assert net == region.witness
        assert (entry["rank"], entry["multiplicity"]) == (region.rank, region.multiplicity)
    atlas.write_graph(tmp_path / "atlas.graphml")
    graph = networkx.read_graphml(tmp_path / "atlas.graphml")
    assert networkx.is_isomorphic(graph, atlas.graph())
    with pytest.raises(errors.InvalidInput, match="graphml"):
        atlas.write_graph(tmp_path / "atlas.dot")


def test_errors():
    atlas = ed.parameter_regions((1, 2, 1), [[1], [2]])
    with pytest.raises(errors.InvalidInput, match="architecture"):
        atlas.region_of(ed.ReLUNetwork.random((1, 3, 1), seed=0))
    with pytest.raises(errors.OnKink):
        atlas.region_of(ed.ReLUNetwork([[[1], [1]], [[1, 1]]], [[-1, 0], [0]]))
    with pytest.raises(errors.ShapeMismatch):
        ed.parameter_regions((2, 2, 1), [[1]])
    assert repr(atlas) == "<Atlas of 1-2-1 for 2 samples>"


def test_a_network_in_an_undecided_region():
    X = [[0, 0], [1, 0], [0, 1], [2, 3]]
    undecided = ed.parameter_regions((2, 2, 2, 1), X, solver_seconds=1e-9)
    words = {found.words for found in undecided.undecided}
    region = next(r for r in ed.parameter_regions((2, 2, 2, 1), X) if r.words in words)
    with pytest.raises(errors.Undecided):
        undecided.region_of(region.witness)
    with pytest.raises(errors.Undecided):
        undecided.histogram()


def test_what_rests_on_the_solver_is_counted_before_it_is_listed():
    X = [[0, 0], [1, 0], [0, 1], [2, 3]]
    atlas = ed.parameter_regions((2, 2, 2, 1), X)
    assert atlas.believed == 6
    assert not atlas.undecided
    assert sum(1 for _ in atlas) == atlas.n_orbits == 9979
    assert atlas.believed == 6
    assert ed.parameter_regions((2, 2, 1), X).believed == 0
