"""The full functional dimension by decisive sets (T10, T11, T13, T48)."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import batches, networks, problems

import exactdim as ed
from exactdim import QMatrix, Symmetry, errors
from exactdim.dimension import full as module
from exactdim.dimension.full import decisive_set, spanning_regions
from exactdim.nets.jacobian import JacobianFactors
from exactdim.nets.patterns import ActivationPattern


def full(net, **options):
    """None if some neuron vanishes on a whole region."""
    try:
        return ed.full_dimension(net, **options)
    except errors.OnKink:
        return None


@given(problems(max_depth=3, max_width=3))
def test_no_batch_has_more(problem):
    """T10: the row space of every batch is contained in that of the decisive set."""
    net, X = problem
    for head in ("logits", "softmax"):
        found = full(net, head=head)
        try:
            J = ed.jacobian(net, X, head=head)
        except errors.OnKink:
            continue
        if found is None:
            continue
        assert J.rank() <= found.value
        every = decisive_set(found.regions)
        assert every.shape[0] == len(found.regions) * (net.widths[0] + 1)
        few = decisive_set(found.regions, spanning_regions(found.regions))
        assert few == found.dimension.evidence.batch
        K, S = (ed.jacobian(net, points, head=head) for points in (every, few))
        assert K.rank() == S.rank() == found.value == QMatrix.vstack([J, K, S]).rank()
        assert ed.local_dimension(net, found.points, head=head, proof="full").value == found.value


@given(problems(max_depth=3, max_width=3), st.integers(0, 2**32))
def test_symmetries_do_not_change_it(problem, seed):
    net, _ = problem
    found = full(net)
    moved = full(Symmetry.random(net.widths, seed=seed)(net))
    assert (found is None) == (moved is None)
    if found is not None:
        assert moved.value == found.value <= net.n_parameters - net.n_hidden


# -- fewer regions (T11, T48) --------------------------------------------------------------------


def formal_jacobian(net, X, masks, head="logits"):
    """The Jacobian with a prescribed mask, one row of bits over all hidden units per sample."""
    ends = np.cumsum([0, *net.widths[1:-1]]).tolist()
    table = np.array(masks, dtype=bool).reshape(len(masks), -1)
    layers = tuple(table[:, a:b] for a, b in itertools.pairwise(ends))
    pattern = ActivationPattern(layers, (), (), len(masks), 0, "zero")
    return JacobianFactors(net, QMatrix(X), pattern, head).dense


def tails(net, mask):
    """Products of mask bits along all ways from a layer that paths enter to the last one."""
    ends = np.cumsum([0, *net.widths[1:-1]]).tolist()
    layers = [mask[a:b] for a, b in itertools.pairwise(ends)]
    entered = [i for i, bias in enumerate(net.biases) if bias is not None or i == 0]
    return [
        math.prod(int(bit) for bit in bits)
        for first in entered
        for bits in itertools.product(*layers[first:])
    ]


def masks_of(net, data, count):
    bits = st.lists(st.booleans(), min_size=net.n_hidden, max_size=net.n_hidden)
    return data.draw(st.lists(bits, min_size=count, max_size=count))


def crossing(net, x, mask, one, other):
    """J^11 - J^10 - J^01 + J^00 in the bits of two units."""
    masks = []
    for bits in ((1, 1), (1, 0), (0, 1), (0, 0)):
        masks.append(list(mask))
        masks[-1][one], masks[-1][other] = map(bool, bits)
    J = formal_jacobian(net, [x] * 4, masks)
    n = net.widths[-1]
    a, b, c, d = (J[i * n : (i + 1) * n] for i in range(4))
    return a - b - c + d


@given(networks(min_depth=2, max_depth=4), st.data())
def test_vertex_relation_of_two_units_of_one_layer(net, data):
    """T11, at every point, for every mask of the other units."""
    layer = data.draw(st.integers(0, net.depth - 2))
    start, width = sum(net.widths[1 : layer + 1]), net.widths[layer + 1]
    if width < 2:
        return
    one, other = data.draw(st.sampled_from(list(itertools.combinations(range(width), 2))))
    (mask,) = masks_of(net, data, 1)
    x = data.draw(batches(net, max_size=1))[0]
    assert crossing(net, x, mask, start + one, start + other).is_zero()


@pytest.mark.parametrize("bias", [True, False])
def test_no_vertex_relation_across_layers(bias):
    """T11's negative control."""
    for seed in range(10):
        net = ed.ReLUNetwork.random((2, 3, 3, 2), seed=seed, bits=6, bias=bias)
        assert not crossing(net, [3, -2], [True] * 6, 1, 4).is_zero()
        assert crossing(net, [3, -2], [True] * 6, 4, 5).is_zero()


@given(networks(min_depth=1, max_depth=4, max_width=3), st.data())
def test_the_jacobian_is_linear_in_the_products_along_paths(net, data):
    """T48: every relation between the products is one between the Jacobians, at any point."""
    masks = masks_of(net, data, 7)
    x = data.draw(batches(net, max_size=1))[0]
    head = data.draw(st.sampled_from(["logits", "softmax"]))
    products = QMatrix([tails(net, mask) for mask in masks])
    J = formal_jacobian(net, [x] * len(masks), masks, head)
    d = net.widths[-1] - (head == "softmax")
    blocks = QMatrix([
        [v for row in J[i * d : (i + 1) * d].tolist() for v in row] for i in range(len(masks))
    ])
    assert (products.T.kernel() @ blocks).is_zero()
    assert module._gram_of_tails(net, np.array(masks).reshape(len(masks), -1)).tolist() == [
        [int(v) for v in row] for row in (products @ products.T).tolist()
    ]


def test_what_the_rows_of_a_bias_need():
    """The products along whole paths alone do not do if a later layer has a bias."""
    masks = [[False, False], [True, False]]
    net = ed.ReLUNetwork.random((1, 1, 1, 1), seed=0)
    assert tails(net, masks[0]) == [0, 0, 1]
    rows = [formal_jacobian(net, [[1]], [mask]) for mask in masks]
    assert rows[0] == rows[1] != QMatrix.zeros(1, 6)  # the last bias alone
    last = [True, True]
    assert formal_jacobian(net, [[1]], [last]).rank() == 1
    assert QMatrix.vstack([rows[0], formal_jacobian(net, [[1]], [last])]).rank() == 2
    regions = ed.activation_regions(ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]]))
    assert spanning_regions(regions) == [0, 1]
    without = ed.activation_regions(ed.ReLUNetwork([[[1]], [[1]]]))
    assert len(without) == 2
    assert [without[i].pattern for i in spanning_regions(without)] == [("1",)]
    dead = ed.activation_regions(ed.ReLUNetwork([[[0]], [[1]]], [[-1], None]))
    assert spanning_regions(dead) == [0]
    assert ed.full_dimension(ed.ReLUNetwork([[[0]], [[1]]], [[-1], None])).value == 0


@given(problems(min_depth=2, max_depth=3, max_width=4), st.integers(1, 9))
def test_the_products_of_the_chosen_regions_span_all(problem, block):
    net, _ = problem
    regions = ed.activation_regions(net)
    every = QMatrix([tails(net, mask) for mask in regions.patterns])
    with pytest.MonkeyPatch.context() as patch:
        whole = spanning_regions(regions)
        patch.setattr(module, "BLOCK", block)
        parts = spanning_regions(regions)
    for chosen in (whole, parts):
        assert chosen == sorted(set(chosen))
        assert every[chosen].rank() == every.rank()
    assert len(whole) == max(1, every.rank())


def test_one_hidden_layer_needs_few_regions():
    for widths, count in (((2, 12, 1), 79), ((3, 8, 2), 93)):
        regions = ed.activation_regions(ed.ReLUNetwork.random(widths, seed=0))
        assert len(regions) == count
        assert len(spanning_regions(regions)) == widths[1] + 1
    without_bias = ed.activation_regions(ed.ReLUNetwork.random((2, 6, 1), seed=0, bias=False))
    assert len(without_bias) == 12
    assert len(spanning_regions(without_bias)) == 6


def test_regions_of_a_box():
    """A decisive set for the batches in the box, not for all batches."""
    net = ed.ReLUNetwork.random((2, 6, 4, 1), seed=2)
    regions = ed.activation_regions(net, (-1, 1))
    chosen = spanning_regions(regions)
    assert len(chosen) < len(regions)
    few, every = decisive_set(regions, chosen), decisive_set(regions)
    assert few.shape == (3 * len(chosen), 2)
    assert all(abs(v) < 1 for row in few.tolist() for v in row)
    J, K = ed.jacobian(net, few), ed.jacobian(net, every)
    assert J.rank() == K.rank() == QMatrix.vstack([J, K]).rank()
    assert J.rank() < ed.full_dimension(net).value


vectors = st.integers(1, 6).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(-3, 3), min_size=width, max_size=width), min_size=1, max_size=14
    )
)


@given(vectors, st.sampled_from([3, 5, 101, 8388593]))
def test_nothing_outside_the_span_is_left_out(rows, p):
    """Whatever the prime: what it proposes is verified over the integers."""
    V = np.array(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PRIME", p)
        chosen = module._spanning_rows((V @ V.T).astype(float))
    rank = oracles.fraction_rank(rows)
    assert oracles.fraction_rank([rows[i] for i in chosen]) == rank


def test_fractions_in_relations():
    twice = np.array([[2.0, 0], [0, 2], [1, 1], [1, 0]])
    assert module._spanning_rows(twice @ twice.T) == [0, 1]
    sevenfold = np.array([[7.0], [1]])  # a seventh is not looked for
    assert module._spanning_rows(sevenfold @ sevenfold.T) == [0, 1]


def test_products_too_large_for_floats_are_all_kept():
    assert module._spanning_rows(np.full((3, 3), 2.0**53)) == [0, 1, 2]
    assert module._spanning_rows(np.full((3, 3), 2.0**52)) == [0, 1, 2]
    assert module._spanning_rows(np.full((3, 3), 2.0**50)) == [0]
    assert module._spanning_rows(np.zeros((3, 3))) == [0]


@given(problems(max_depth=3, max_width=3))
def test_units_that_vanish_on_any_region_are_refused(problem):
    """Also where the region is not one of those that span."""
    net, _ = problem
    regions = ed.activation_regions(net)
    try:
        ed.jacobian(net, decisive_set(regions))
    except errors.OnKink as error:
        sample, layer, unit = error.kinks[0]
        with pytest.raises(errors.OnKink, match=f"unit {unit} of layer {layer} ") as raised:
            ed.full_dimension(net)
        assert raised.value.kinks == ((sample // (net.widths[0] + 1), layer, unit),)
    else:
        assert full(net) is not None


def test_many_rows_and_few_columns_still_give_few_points(monkeypatch):
    """A Gram matrix of the columns names no rows; they are found afterwards."""
    from exactdim.dimension import lower

    net = ed.ReLUNetwork.random((2, 6, 4, 2), seed=1)
    expected = ed.full_dimension(net)
    monkeypatch.setattr(lower, "DENSE_ENTRIES", 0)
    found = ed.full_dimension(net)
    assert found.dimension.evidence.lower.source == "column-gram"
    assert found.points.shape[0] <= found.lower <= expected.value
    assert ed.local_dimension(net, found.points).lower == found.lower


# -- golden values -------------------------------------------------------------------------------


def test_cancelling_units_need_points_in_both_regions():
    """T10's refuted variant: f = relu(x) - relu(x) = 0 has one linear region; two points there
    are not decisive."""
    net = ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]])
    found = ed.full_dimension(net)
    assert len(found.regions) == 2
    assert len(found.regions.linear_regions()) == 1
    ranks = [ed.local_dimension(net, X).value for X in ([[-2], [-1]], [[1], [2]])]
    assert ranks == [1, 2]
    X = [[-2], [-1], [1], [2]]
    # exactdim's columns: w1, w2, b1, b2, v1, v2, c
    assert ed.jacobian(net, X) == QMatrix([
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [1, -1, 1, -1, 1, 1, 1],
        [2, -2, 1, -1, 2, 2, 1],
    ])
    assert found.value == ed.local_dimension(net, X).value == 3


def test_as_many_points_as_dimensions_and_one_more_are_needed():
    """T10: (2,1,1) with W_1 = (1,2), b = -1, v = 3, c = 5."""
    net = ed.ReLUNetwork([[[1, 2]], [[3]]], [[-1], [5]])
    X = [[2, 0], [0, 2], [-2, 0]]
    assert ed.local_dimension(net, X).value == 3
    assert ed.local_dimension(net, [*X, [3, 3]]).value == 4 == ed.full_dimension(net).value


@pytest.mark.parametrize(
    ("widths", "largest"),
    [
        ((1, 1, 1, 1), 4),
        ((1, 1, 1, 1, 1), 4),
        ((1, 1, 1, 1, 1, 1), 4),
        ((2, 1, 1, 1), 5),
        ((2, 1, 1, 1, 1), 5),
        ((1, 2, 2, 1), 9),
        ((2, 1, 2, 1), 7),
        ((2, 2, 1, 1), 8),
    ],
)
def test_the_largest_values_of_narrow_networks(widths, largest):
    """T13e, f: min(N_0 + k + 1, N_0 + 3) for width one, P - H for the others; found by search."""
    source = random.Random(sum(widths))
    best = 0
    for _ in range(400):
        theta = [
            Fraction(source.choice([-1, 1]) * source.randint(1, 30), 10)
            for _ in range(ed.ReLUNetwork.random(widths, seed=0).n_parameters)
        ]
        net = ed.ReLUNetwork.random(widths, seed=0).with_parameters([theta])
        best = max(best, ed.full_dimension(net).value)
        assert best <= largest
        if best == largest:
            return
    raise AssertionError(f"best {best} of {largest}")


def test_random_networks_against_many_points(many):
    """Never below the rank at random points, and equal where T12 says that they do not miss it.

    200 networks at 2000 points with --many.
    """
    networks, samples = (200, 2000) if many else (12, 300)
    source = random.Random(3)
    certain = 0
    for seed in range(networks):
        widths = [source.randint(1, 3) for _ in range(source.randint(3, 4))]
        net = ed.ReLUNetwork.random(widths, seed=seed, bits=8)
        found = full(net)
        if found is None:
            continue
        sampled = ed.sample_dimension(net, "normal", samples, seed=seed, proof="full")
        assert sampled.dimension.lower <= found.value == sampled.full.value
        if sampled.failure_bound <= Fraction(1, 10**9):
            certain += 1
            assert sampled.dimension.value == found.value
        X = [
            [Fraction(source.randint(-(2**20), 2**20), 2**16) for _ in range(widths[0])]
            for _ in range(samples)
        ]
        assert ed.local_dimension(net, X, on_kink="drop").lower <= found.value
        assert found.points.shape[0] <= found.value
    assert certain >= networks // 10


def test_points_are_in_the_regions_and_affinely_independent():
    net = ed.ReLUNetwork.random((2, 4, 3, 1), seed=1)
    regions = ed.activation_regions(net)
    X = decisive_set(regions).tolist()
    for region, start in zip(regions, range(0, len(X), 3), strict=True):
        points = X[start : start + 3]
        assert all(regions.region_at(x) == region for x in points)
        assert QMatrix([[*x, 1] for x in points]).rank() == 3


def test_a_neuron_that_vanishes_on_a_region_is_named():
    net = ed.ReLUNetwork([[[1], [0]], [[1, 1]]], [[0, 0], [0]])
    with pytest.raises(errors.OnKink, match="unit 1 of layer 0 is identically zero on the region"):
        ed.full_dimension(net)
    # without biases a layer that is off makes the next one vanish, harmlessly
    assert ed.full_dimension(ed.ReLUNetwork([[[1]], [[1]], [[1]]])).value == 1


def test_dimension_zero_is_attained_anywhere():
    found = ed.full_dimension(ed.ReLUNetwork.random((1, 3, 1), seed=0), head="softmax")
    assert (found.value, found.points.shape[0]) == (0, 1)


def test_limits_and_repr():
    net = ed.ReLUNetwork.random((2, 6, 6, 1), seed=0)
    with pytest.raises(errors.BudgetExceeded):
        ed.full_dimension(net, max_regions=3)
    found = ed.full_dimension(ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]]), seed=5)
    assert repr(found) == (
        "FullDimension(3 of 4 parameters, proved: parameters; 2 activation regions, attained at "
        "3 points)"
    )
    assert int(found) == found.lower == found.upper == 3
    assert found.status == "proved"
    assert ed.verify(found.dimension.certificate())
    assert ed.verify(found.regions.certificate())
