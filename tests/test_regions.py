"""Which activation regions there are: known counts, brute force, theorems, hostile input."""

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import oracles
import pytest
import region_oracles
from common_networks import ARRANGEMENTS, common_layers, digest, random_layers
from hypothesis import given
from hypothesis import strategies as st
from networks import networks

import exactdim as ed
from exactdim import Domain, QMatrix, errors

COUNTS = json.loads((Path(__file__).parent / "data" / "region_counts.json").read_text())


def words(regions):
    """The activation patterns, each as one word."""
    return ["".join(region.pattern) for region in regions]


def network(layers):
    return ed.ReLUNetwork([W for W, _ in layers], [b for _, b in layers])


def one_layer(W, b):
    """A network whose hidden units are given hyperplanes."""
    return ed.ReLUNetwork([W, [[1] * len(W)]], [b, [0]])


def common_network(name, seed=0):
    return network(common_layers(name, seed))


def regions_by_brute_force(net):
    return region_oracles.patterns(oracles.layers_of(net))


# -- known counts ----------------------------------------------------------------------------


@pytest.mark.parametrize("key", COUNTS)
def test_common_networks(key):
    name, seed, where = key.split("|")
    net = common_network(name, int(seed))
    regions = ed.activation_regions(net, (-1, 1) if where == "box" else None)
    count, expected = COUNTS[key]
    bits = (regions.patterns + np.uint8(ord("0"))).astype(np.uint8)
    assert len(regions) == count
    assert digest(row.tobytes().decode() for row in bits) == expected


@pytest.mark.parametrize("key", [key for key, (count, _) in COUNTS.items() if count < 600])
def test_counting_alone_and_single_regions_agree(key):
    name, seed, where = key.split("|")
    net, domain = common_network(name, int(seed)), (-1, 1) if where == "box" else None
    count, expected = COUNTS[key]
    assert ed.count_regions(net, domain) == count
    assert digest(words(ed.activation_regions(net, domain))) == expected


def test_regions_and_affine_maps_differ():
    """A bias-free network of ternary weights: 45 activation regions carry 25 affine maps."""
    regions = ed.activation_regions(common_network("int0_3"))
    assert len(regions) == 45
    assert len({region.affine_map() for region in regions}) == 25
    linear = regions.linear_regions()
    assert sorted(i for found in linear for i in found.regions) == list(range(45))
    assert 25 <= len(linear) <= 45


# -- brute force -----------------------------------------------------------------------------


def agree(problem):
    expected = problem.patterns()
    if not expected:
        with pytest.raises(errors.InvalidInput, match="no interior"):
            ed.activation_regions(problem.net, problem.domain)
        return
    found = words(ed.activation_regions(problem.net, problem.domain))
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.mark.parametrize("block", range(10))
def test_random_networks_against_brute_force(block, many):
    each = 50 if many else 5
    for seed in range(block * each, (block + 1) * each):
        agree(region_oracles.random_problem(seed))


@given(networks(max_depth=4, max_width=4))
def test_accidents_against_brute_force(net):
    assert set(words(ed.activation_regions(net))) == regions_by_brute_force(net)


@st.composite
def polyhedra(draw, d):
    """Rows of A y <= b, some of them redundant, repeated, trivial or contradictory."""
    row = st.lists(st.integers(-2, 2), min_size=d + 1, max_size=d + 1)
    rows = draw(st.lists(row, min_size=1, max_size=5))
    for _ in range(draw(st.integers(0, 2))):
        factor = draw(st.sampled_from([1, 2, Fraction(1, 3)]))
        rows.append([factor * v for v in draw(st.sampled_from(rows))])
    return rows


@given(networks(max_depth=3, max_width=3), st.data())
def test_polyhedra_against_brute_force(net, data):
    d = net.widths[0]
    rows = data.draw(polyhedra(d))
    domain = Domain.polytope([row[:d] for row in rows], [row[d] for row in rows])
    inequalities = [[*(Fraction(-v) for v in row[:d]), Fraction(row[d])] for row in rows]
    agree(region_oracles.Problem(net, domain, oracles.layers_of(net), inequalities, d))


@given(networks(max_depth=3, max_width=3), st.data())
def test_slices_against_brute_force(net, data):
    inputs = net.widths[0]
    d = data.draw(st.integers(1, inputs))
    vector = st.lists(st.integers(-2, 2), min_size=inputs, max_size=inputs)
    origin = data.draw(vector)
    directions = data.draw(st.lists(vector, min_size=d, max_size=d))
    if oracles.fraction_rank(directions) < d:
        with pytest.raises(errors.InvalidInput, match="span dimension"):
            Domain.affine([origin], directions)
        return
    layers = region_oracles.restricted(
        oracles.layers_of(net),
        [Fraction(v) for v in origin],
        [[Fraction(v) for v in axis] for axis in directions],
    )
    domain = Domain.affine([origin], directions)
    agree(region_oracles.Problem(net, domain, layers, [], d))


# -- theorems --------------------------------------------------------------------------------


def moment_curve(m, d):
    """Hyperplanes in general position: all minors are Vandermonde determinants."""
    return [[t**k for k in range(d)] for t in range(1, m + 1)], [t**d for t in range(1, m + 1)]


def total_and_bounded(net):
    regions = ed.activation_regions(net)
    return len(regions), int(regions.bounded.sum())


@pytest.mark.parametrize(
    ("m", "d", "expected"),
    [(3, 2, (7, 1)), (4, 2, (11, 3)), (5, 3, (26, 4)), (1, 3, (2, 0)), (4, 4, (16, 0))],
)
def test_zaslavsky_golden(m, d, expected):
    """T40."""
    assert region_oracles.zaslavsky(m, d) == expected
    assert total_and_bounded(one_layer(*moment_curve(m, d))) == expected


@pytest.mark.parametrize(
    ("m", "d"),
    [(2, 1), (64, 1), (65, 1), (200, 1), (9, 2), (65, 2), (9, 3), (7, 4), (7, 5), (7, 6)],
)
def test_zaslavsky(m, d):
    """T40."""
    assert total_and_bounded(one_layer(*moment_curve(m, d))) == region_oracles.zaslavsky(m, d)


BRAID = [
    [int(k == i) - int(k == j) for k in range(3)] for i, j in itertools.combinations(range(4), 2)
]


@pytest.mark.parametrize(
    ("W", "b", "expected"),
    [
        (BRAID, [0] * 6, (24, 0)),  # x_i = x_j with x_3 = 0: one region per order of four numbers
        ([[1, 0], [0, 1], [1, 1], [1, -1]], [0] * 4, (8, 0)),  # the mirrors of a square
        ([[1, 0], [1, 0], [0, 1], [0, 1]], [0, 1, 0, 1], (9, 1)),  # a grid
        ([[1, 0], [0, 1], [1, 1]], [0, 0, 0], (6, 0)),
        ([[1, 0], [1, 0], [1, 0]], [0, 1, 2], (4, 0)),  # strips: bounded in one direction only
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], [0, 0, 0, -1], (15, 1)),  # a tetrahedron
        ([[1, 0], [2, 0], [-1, 0], [0, 1]], [1, 2, -1, 0], (4, 0)),  # three times the same line
        ([[0, 0], [0, 0], [1, 0]], [0, 1, 0], (2, 0)),
    ],
)
def test_special_arrangements(W, b, expected):
    """T40: the characteristic polynomial at -1 and 1."""
    rows = [[*row, c] for row, c in zip(W, b, strict=True)]
    assert region_oracles.arrangement_regions(rows, len(W[0])) == expected
    assert total_and_bounded(one_layer(W, b)) == expected


@given(st.integers(1, 3), st.data())
def test_arrangements_by_characteristic_polynomial(d, data):
    """T40."""
    row = st.lists(st.integers(-1, 2), min_size=d + 1, max_size=d + 1)
    rows = data.draw(st.lists(row, min_size=1, max_size=7))
    net = one_layer([row[:d] for row in rows], [row[d] for row in rows])
    assert total_and_bounded(net) == region_oracles.arrangement_regions(rows, d)


@pytest.mark.parametrize(
    ("widths", "serra", "product", "lower"),
    [
        ((2, 3), 7, 7, 7),
        ((2, 3, 3), 40, 49, 7),
        ((2, 4, 3), 77, 77, 28),
        ((1, 3, 2, 2), 36, 36, 18),
        ((1, 2, 2), 9, 9, 6),
        ((1, 3, 3), 16, 16, 12),
    ],
)
def test_depth_bounds(widths, serra, product, lower):
    """T41, and no network has more regions."""
    assert region_oracles.serra_bound(widths) == serra
    assert region_oracles.product_bound(widths) == product
    assert region_oracles.lower_bound(widths) == lower
    most = max(
        ed.count_regions(ed.ReLUNetwork.random((*widths, 1), seed=seed)) for seed in range(40)
    )
    assert most <= serra
    if len(widths) == 2:
        assert most == serra


def test_the_depth_bound_is_attained_in_one_dimension():
    """T41: widths (1, 3, 3), 16 regions."""
    zigzag = ed.ReLUNetwork(
        [[[-1], [1], [1]], [[-1, -2, "3/2"]] * 3, [[1, 1, 1]]],
        [[2, 0, -1], ["29/10", "11/4", "13/5"], [0]],
    )
    assert ed.count_regions(zigzag) == region_oracles.serra_bound((1, 3, 3)) == 16


@pytest.mark.parametrize("widths", [(1, 9, 6), (2, 6, 6), (2, 4, 4, 4), (3, 5, 5), (4, 5, 3)])
def test_no_more_regions_than_the_depth_bound(widths):
    for seed in range(5):
        count = ed.count_regions(network(random_layers((*widths, 1), seed)))
        assert count <= region_oracles.serra_bound(widths) <= region_oracles.product_bound(widths)


@given(networks(max_depth=3, max_width=4))
def test_euler_characteristic(net):
    """T42: 1 for a polytope, (-1)^d for all of R^d; here for degenerate networks, too."""
    d = net.widths[0]
    assert ed.activation_regions(net).euler_characteristic == (-1) ** d
    assert ed.activation_regions(net, (-1, 2)).euler_characteristic == 1
    half_space = Domain.polytope([[1] + [0] * (d - 1)], [1])
    assert ed.activation_regions(net, half_space).euler_characteristic == 0


@given(networks(max_depth=3, max_width=3))
def test_volumes_add_up(net):
    """T42."""
    d = net.widths[0]
    sides = [(Fraction(-1), Fraction(1, 3)), (0, 2), (Fraction(-5, 7), 1)][:d]
    assert (
        ed.activation_regions(net, sides).volume
        == [
            Fraction(4, 3),
            Fraction(8, 3),
            Fraction(32, 7),
        ][d - 1]
    )


@pytest.mark.parametrize("name", ["2,8,8,1", "3,8,8,1", "int1_3", "grid2", "dup3", "near9", "far2"])
def test_volumes_of_common_networks_add_up(name):
    regions = ed.activation_regions(common_network(name), (-1, 1))
    assert regions.volume == 2**regions.dimension
    assert all(region.volume > 0 for region in regions)


def test_volume_of_a_simplex():
    for d in range(1, 6):
        rows = [[-int(i == j) for j in range(d)] for i in range(d)] + [[1] * d]
        corner = Domain.polytope(rows, [0] * d + [1])
        net = one_layer([[1] + [0] * (d - 1)], ["-1/2"])
        volumes = sorted(region.volume for region in ed.activation_regions(net, corner))
        whole = Fraction(1, int(np.prod(range(1, d + 1))))
        assert volumes == sorted([whole / 2**d, whole - whole / 2**d])


@pytest.mark.parametrize("widths", [(1, 8, 8), (2, 6, 6), (2, 10), (3, 6, 4), (4, 6)])
def test_average_degree(widths):
    """T42: at most 2 N_0 in R^d."""
    for seed in range(4):
        regions = ed.activation_regions(network(random_layers((*widths, 1), seed)))
        graph = regions.graph()
        assert graph.graph["complete"]
        assert set(graph) == {region.pattern for region in regions}
        assert 2 * graph.number_of_edges() <= 2 * widths[0] * len(regions)


@given(networks(max_depth=3, max_width=4), st.booleans())
def test_the_function_is_continuous(net, whole):
    """T42: across every facet, at its vertices and along its rays; and the maps are the network."""
    regions = ed.activation_regions(net, None if whole else (-1, 1))
    cells = regions.cells
    maps = [region.affine_map() for region in regions]
    for facet, (left, right) in enumerate(regions.facet_cells.tolist()):
        if right < 0:
            continue
        gradient, constant = (u - v for u, v in zip(maps[left], maps[right], strict=True))
        for number in regions.closure(cells.d - 1, facet)[0].tolist():
            corner = regions.vertex(number)  # its coordinates are a + M b for all large M
            assert (gradient @ QMatrix([corner.coordinates()]).T + constant.T).is_zero()
            assert (gradient @ QMatrix([corner.direction()]).T).is_zero()
    for region, (gradient, constant) in zip(regions, maps, strict=True):
        at = QMatrix([list(region.interior_point)])
        assert net(at) == at @ gradient.T + constant


@given(networks(max_depth=3, max_width=4), st.data())
def test_the_function_on_a_slice(net, data):
    """Points, maps and volumes are in the coordinates of the flat."""
    point = st.lists(st.integers(-3, 3), min_size=net.widths[0], max_size=net.widths[0])
    start, end = data.draw(point), data.draw(point)
    if start == end:
        with pytest.raises(errors.InvalidInput, match="span"):
            Domain.segment(start, end)
        return
    segment = Domain.segment(start, end)
    regions = ed.activation_regions(net, segment)
    assert regions.volume == 1
    for region in regions:
        at = QMatrix([list(region.interior_point)])
        gradient, constant = region.affine_map()
        x = segment.to_inputs(at)
        t = at[0, 0]
        assert x.tolist() == [[(1 - t) * u + t * v for u, v in zip(start, end, strict=True)]]
        assert net(x) == at @ gradient.T + constant


def stably_unactivated(net):
    """Whether the one neuron of the second layer is positive nowhere."""
    return not ed.activation_regions(net).patterns[:, -1].any()


@pytest.mark.parametrize(
    ("d", "width", "probability"),
    [(1, 1, 1 / 4), (2, 1, 1 / 4), (2, 2, 1 / 8), (1, 2, 3 / 16), (2, 3, 5 / 64)],
)
def test_stably_unactivated_neurons(d, width, probability):
    """T43: 2^-(N_1 + 1) for N_1 <= N_0, and (2^N_0 + 1) / 4^(N_0 + 1) for N_1 = N_0 + 1."""
    draws = 400
    found = 0
    for seed in range(draws):
        net = ed.ReLUNetwork.random((d, width, 1, 1), seed=seed)
        off = stably_unactivated(net)
        found += off
        if width <= d:  # all patterns of the first layer occur: nothing may ever lift the neuron
            lifts = [*net.weights[1].numerators(), *net.biases[1].numerators()]
            assert off == (max(lifts) <= 0)
    deviation = (draws * probability * (1 - probability)) ** 0.5
    assert abs(found - draws * probability) < 3.5 * deviation


def test_the_golden_network_of_the_plane():
    """T29: relu(relu(x) + relu(y) - 1) on [-2, 2]^2."""
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])
    regions = ed.activation_regions(net, (-2, 2))
    areas = [Fraction(1, 2), 2, 2, 2, 2, Fraction(7, 2), 4]
    assert sorted(region.volume for region in regions) == areas
    assert {region.pattern: region.volume for region in regions} == {
        ("00", "0"): 4,
        ("10", "0"): 2,
        ("01", "0"): 2,
        ("10", "1"): 2,
        ("01", "1"): 2,
        ("11", "0"): Fraction(1, 2),
        ("11", "1"): Fraction(7, 2),
    }
    lengths = {}  # squared, of the segments between two regions
    for facet, (left, right) in enumerate(regions.facet_cells.tolist()):
        if right >= 0:
            ends = [regions.vertex(v).coordinates() for v in regions.closure(1, facet)[0].tolist()]
            lengths[left, right] = sum((u - v) ** 2 for u, v in zip(*ends, strict=True))
    assert sorted(lengths.values()) == [1, 1, 1, 1, 2, 4, 4, 4, 4]  # together 12 + sqrt(2)
    linear = regions.linear_regions()
    group = {i: number for number, found in enumerate(linear) for i in found.regions}
    assert sorted(sum(regions[i].volume for i in found.regions) for found in linear) == [
        2,
        2,
        Fraction(7, 2),
        Fraction(17, 2),
    ]
    locus = [length for (a, b), length in lengths.items() if group[a] != group[b]]
    assert sorted(locus) == [1, 1, 2, 4, 4]


@given(networks(max_depth=3, max_width=4), st.data())
def test_what_does_not_change_the_regions(net, data):
    """Scaling a neuron up and its readers down, and other coordinates of the input space."""
    expected = set(words(ed.activation_regions(net)))
    if net.depth > 1:
        layer = data.draw(st.integers(0, net.depth - 2))
        unit = data.draw(st.integers(0, net.widths[layer + 1] - 1))
        scaled = ed.rescale(net, layer, unit, data.draw(st.sampled_from(["1/3", 7, 2**70])))
        assert set(words(ed.activation_regions(scaled))) == expected
    d = net.widths[0]
    shear = [[int(i == j) + 2 * int(i < j) for j in range(d)] for i in range(d)]
    coordinates = Domain.affine([["1/3"] * d], shear)
    assert set(words(ed.activation_regions(net, coordinates))) == expected


@pytest.mark.parametrize("name", ["2,8,8,1", "3,8,8,1", "int1_2", "int1_3", "antipar2"])
def test_regions_of_two_halves(name):
    """A region of the box meets one of its two halves or both."""
    net = common_network(name)
    d = net.widths[0]
    halves = [
        set(words(ed.activation_regions(net, [side, *[(-1, 1)] * (d - 1)])))
        for side in ((-1, "1/7"), ("1/7", 1))
    ]
    assert halves[0] | halves[1] == set(words(ed.activation_regions(net, (-1, 1))))


# -- degenerate and hostile ------------------------------------------------------------------


HOSTILE = {
    "a neuron that is zero": ([[[1], [0]], [[1, 1], [0, 0]], [[1, 1]]], [[0, 0], [-1, 0], [0]]),
    "zero on a half-line": ([[[1], [1]], [[1, 0], [1, -1]], [[1, 1]]], [[0, 0], [0, 0], [0]]),
    "zero with nothing around": ([[[1], [-1]], [[1, 1], [-1, -1]], [[1, 1]]], None),
    "opposite neurons": ([[[1, 2], [-1, -2], [2, 4]], [[1, 1, 1]]], [[1, -1, 2], [0]]),
    "duplicates": ([[[1, 2]] * 4, [[1, -1, 1, 0]] * 3, [[1, 1, 1]]], [[1] * 4, [-1] * 3, [0]]),
    "constant last layer": ([[[1], [-1]], [[0, 0], [0, 0]], [[1, 1]]], [[1, 2], [1, -1], [0]]),
    "dead first layer": ([[[0, 0], [0, 0]], [[1, 1], [-1, 3]], [[1, 1]]], [[-1, 0], [2, -2], [0]]),
    "touching from above": ([[[1], [-1]], [[1, 1], [1, 1]], [[1, 1]]], [[0, 0], [0, -1], [0]]),
    "2^-50 apart": ([[[1, 0], [1, 0], [0, 1]], [[1] * 3]], [[0, Fraction(-1, 2**50), 0], [0]]),
    "2^-1080 apart": ([[[1, 0], [1, 0], [0, 1]], [[1] * 3]], [[0, Fraction(-1, 2**1080), 0], [0]]),
    "a corner at 2^60": ([[[1, 0], [1, Fraction(1, 2**60)]], [[1, 1]]], [[0, -1], [0]]),
    "a corner at 2^1100": ([[[1, 0], [1, Fraction(1, 2**1100)]], [[1, 1]]], [[0, -1], [0]]),
    "2^300 and 2^-300": (
        [
            [[2**300, 1], [Fraction(1, 2**300), Fraction(1, 2**299)], [1, -1]],
            [[Fraction(1, 2**300), 2**300, 1], [1, 1, 1]],
            [[1, 1]],
        ],
        [[1, Fraction(1, 2**300), 0], [-3, -(2**300)], [0]],
    ),
    "2^900 and 2^-900": (
        [
            [[2**900, 2**899], [Fraction(1, 2**900), -Fraction(1, 2**899)]],
            [[Fraction(1, 2**900), 2**900], [2**900, -(2**900)]],
            [[1, 1]],
        ],
        [[2**900, 0], [-3, 5], [0]],
    ),
    "thirds": (
        [[[1, 0], [0, 1], [1, 1]], [["1/3", "2/7", "-5/11"]], [[1]]],
        [["-1/3", "-1/3", "-2/3"], ["-1/13"], [0]],
    ),
    "thin": (
        [[[1, 0], [1, Fraction(1, 2**70)], [1, Fraction(-1, 2**70)]], [[1] * 3]],
        [[0, 0, 0], [0]],
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_networks(name):
    net = ed.ReLUNetwork(*HOSTILE[name])
    layers, d = oracles.layers_of(net), net.widths[0]
    box = region_oracles.box_rows([Fraction(-1)] * d, [Fraction(1)] * d)
    for domain, rows in ((None, []), ((-1, 1), box)):
        regions = ed.activation_regions(net, domain)
        assert set(words(regions)) == region_oracles.patterns(layers, rows)
        assert regions.euler_characteristic == (1 if rows else (-1) ** d)
        for region in regions:
            assert regions.region_at(region.interior_point).index == region.index
        if rows:
            assert regions.volume == 2**d


@pytest.mark.parametrize("exponents", [(1100, 0), (0, 1100), (700, 700), (-1100, 1100)])
@pytest.mark.parametrize("domain", [None, (-1, 1)])
def test_weights_beyond_the_range_of_floats(exponents, domain):
    """The answers are as right as ever, and no float warning reaches the caller."""
    first, second = (Fraction(2) ** e for e in exponents)
    weights = [[[first, 2 * first], [1, -1]], [[second, second], [1, -second]], [[1, 1]]]
    net = ed.ReLUNetwork(weights, [[first, 0], [-second, 1], [0]])
    rows = region_oracles.box_rows([Fraction(-1)] * 2, [Fraction(1)] * 2) if domain else []
    regions = ed.activation_regions(net, domain)
    assert set(words(regions)) == region_oracles.patterns(oracles.layers_of(net), rows)
    assert all(regions.region_at(region.interior_point).index == region.index for region in regions)
    linear = regions.linear_regions()
    assert sorted(i for found in linear for i in found.regions) == list(range(len(regions)))


def test_domains_beyond_the_range_of_floats():
    net = one_layer([[1, 1], [1, -1]], [0, "1/3"])
    for size in (2**1023, 2**1100, Fraction(1, 2**1100)):
        regions = ed.activation_regions(net, (-size, size))
        assert regions.volume == 4 * size * size
        for region in regions:
            assert regions.region_at(region.interior_point).index == region.index
        slab = Domain.polytope([[size, 0], [-size, 0]], [size, size])
        assert len(ed.activation_regions(net, slab)) == 4


def test_numbers_are_what_they_are_given_as():
    """Three lines through a point in thirds or tenths; the nearest floats miss each other."""
    lines = [[1, 0], [0, 1], [1, 1]]
    assert ed.count_regions(one_layer(lines, ["-1/10", "-2/10", "-3/10"])) == 6
    assert ed.count_regions(one_layer(lines, [-0.1, -0.2, -0.3])) == 7
    assert ed.count_regions(one_layer(lines, ["-1/3", "-1/3", "-2/3"])) == 6


def test_hyperplanes_close_together():
    little = Fraction(1, 2**50)
    regions = ed.activation_regions(one_layer([[1], [1]], [0, -little]), (-1, 1))
    assert sorted(region.volume for region in regions) == [little, 1 - little, 1]
    assert [region.pattern for region in regions if region.volume == little] == [("10",)]


def test_corners_far_away():
    net = one_layer([[1, 0], [1, Fraction(1, 2**60)]], [0, -1])
    regions = ed.activation_regions(net)
    assert regions.vertices() == [(0, 2**60)]
    assert all(not region.is_bounded for region in regions)
    assert {region.vertices for region in regions} == {((0, 2**60),)}


@pytest.mark.parametrize("width", [1, 63, 64, 65, 127, 128, 129, 200])
def test_wide_layers_on_a_line(width):
    """Unit k is on to the right of k (even) or to the left of it (odd)."""
    signs = [1 if k % 2 == 0 else -1 for k in range(width)]
    net = one_layer([[s] for s in signs], [-s * k for k, s in enumerate(signs)])
    expected = {
        "".join("1" if (k < cells) == (s > 0) else "0" for k, s in enumerate(signs))
        for cells in range(width + 1)
    }
    regions = ed.activation_regions(net)
    assert set(words(regions)) == expected
    assert regions.face_counts == (width, width + 1)
    assert regions.bounded.sum() == width - 1
    middle = regions.region_at([Fraction(2 * width - 3, 2)])
    assert sum(middle.pattern[0][k] == "1" for k in range(0, width, 2)) == len(
        range(0, width - 1, 2)
    )


@pytest.mark.parametrize("widths", [(1, 65, 65), (1, 3, 130), (1, 70, 3, 65), (2, 3, 66)])
def test_several_blocks_of_units_against_brute_force(widths):
    net = network(random_layers((*widths, 1), 0))
    assert set(words(ed.activation_regions(net))) == regions_by_brute_force(net)


def test_networks_without_hidden_units():
    net = ed.ReLUNetwork([[[1, 2], [3, 4], [5, 6]]], [[7, 8, 9]])
    everywhere = ed.activation_regions(net)
    assert len(everywhere) == ed.count_regions(net) == 1
    assert everywhere.patterns.shape == (1, 0)
    (region,) = everywhere
    assert region.pattern == ()
    assert region.facets == region.vertices == ()
    assert not region.is_bounded
    assert region.affine_map() == (net.weights[0], net.biases[0])
    (square,) = ed.activation_regions(net, (-1, 1))
    assert square.volume == 4
    assert len(square.facets) == len(square.vertices) == 4
    assert len(ed.activation_regions(net, (-1, 1)).linear_regions()) == 1


def test_a_constant_last_layer():
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[0, 0], [0, 0]], [[3, 5]]], [[0, 0], [2, -2], [1]])
    regions = ed.activation_regions(net)
    assert {region.pattern for region in regions} == {
        (first, "10") for first in ("00", "01", "10", "11")
    }
    (linear,) = regions.linear_regions()
    assert linear.gradient.is_zero()
    assert linear.constant == QMatrix([[7]])


def test_many_inequalities():
    """A polygon of 80 sides, given twice, with 40 more rows that never matter."""
    t = [Fraction(k, 10) for k in range(-39, 41)]
    points = [((1 - s * s) / (1 + s * s), 2 * s / (1 + s * s)) for s in t]  # on the unit circle
    rows = [list(p) for p in points] * 2 + [list(p) for p in points[:40]]
    domain = Domain.polytope(rows, [1] * 160 + [2] * 40)
    inequalities = [
        [*(-v for v in row), Fraction(c)] for row, c in zip(rows, [1] * 160 + [2] * 40, strict=True)
    ]
    net = one_layer([[1, 0], [0, 1]], [0, 0])
    regions = ed.activation_regions(net, domain)
    assert set(words(regions)) == region_oracles.patterns(oracles.layers_of(net), inequalities)
    sides = [facet for region in regions for facet in region.facets if facet.neighbour is None]
    assert {min(facet.walls) for facet in sides} == set(range(80))
    assert regions.euler_characteristic == 1


def test_domains_without_interior():
    net = one_layer([[1, 0], [0, 1]], [0, 0])
    corner = [[-1, 0], [0, -1], [1, 1]]
    for rows, bounds in (
        (corner, [0, 0, 0]),  # a point
        ([[1, 0], [-1, 0]], [1, -1]),  # a line
        (corner, [0, 0, -1]),  # nothing
        ([[0, 0]], [-1]),
        ([[1, 0], [-1, 0]], [1, -1 - Fraction(1, 2**80)]),
    ):
        domain = Domain.polytope(rows, bounds)
        for find in (ed.activation_regions, ed.count_regions):
            with pytest.raises(errors.InvalidInput, match="no interior"):
                find(net, domain)
    thin = Domain.polytope([[1, 0], [-1, 0]], [1, -1 + Fraction(1, 2**80)])
    assert ed.count_regions(net, thin) == 2


def test_domains_that_do_not_fit():
    net = one_layer([[1, 0], [0, 1]], [0, 0])
    with pytest.raises(errors.InvalidInput, match="lower bound"):
        ed.activation_regions(net, (1, 1))
    with pytest.raises(errors.InvalidInput, match="lower bound"):
        ed.activation_regions(net, [(0, 1), (2, 1)])
    for domain in (Domain.box([0], [1]), [(0, 1)] * 3, Domain.everywhere(3)):
        with pytest.raises(errors.ShapeMismatch, match="coordinates"):
            ed.activation_regions(net, domain)
    for points in ([[0, 0], [0, 0]], [[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 0], [0, 1], [1, 1]]):
        with pytest.raises(errors.InvalidInput, match="span"):
            Domain.flat(points)
    for no_domain in (7, "box", [1, 2, 3], [(1, 2, 3), (1, 2)]):
        with pytest.raises(errors.InvalidInput):
            ed.activation_regions(net, no_domain)


@pytest.mark.parametrize(("d", "width"), [(40, 40), (784, 0), (784, 100), (784, 784)])
def test_what_would_never_end_is_refused(d, width):
    """With an estimate and a way out."""
    hidden = [QMatrix.zeros(width, d), QMatrix.zeros(1, width)]
    net = ed.ReLUNetwork(hidden if width else [QMatrix.zeros(1, d)])
    for find in (ed.activation_regions, ed.count_regions):
        with pytest.raises(errors.TooLarge, match=rf"dimension {d} .*faces.*slice"):
            find(net)


def test_a_slice_through_many_dimensions():
    net = ed.ReLUNetwork.random((30, 40, 1), seed=0)
    with pytest.raises(errors.TooLarge, match="slice"):
        ed.count_regions(net)
    points = [[1] * 30, [2] + [1] * 29, [1] * 29 + [2]]
    plane = Domain.plane(*points, lower=-50, upper=50)
    assert set(words(ed.activation_regions(net, plane))) == region_oracles.patterns(
        region_oracles.restricted(
            oracles.layers_of(net),
            [Fraction(1)] * 30,
            [[Fraction(int(i == k)) for i in range(30)] for k in (0, 29)],
        ),
        region_oracles.box_rows([Fraction(-50)] * 2, [Fraction(50)] * 2),
    )


def test_arrangements_of_the_common_networks():
    """A second opinion on the recorded counts, by the characteristic polynomial."""
    for name, (W, b) in ARRANGEMENTS.items():
        rows = [[*map(Fraction, row), Fraction(c)] for row, c in zip(W, b, strict=True)]
        assert region_oracles.arrangement_regions(rows, len(W[0]))[0] == COUNTS[f"{name}|0|Rd"][0]
