"""The full functional dimension by decisive sets (T10, T13)."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import QMatrix, Symmetry, errors
from exactdim.dimension.full import decisive_set


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
        decisive = decisive_set(found.regions)
        assert decisive.shape[0] == len(found.regions) * (net.widths[0] + 1)
        K = ed.jacobian(net, decisive, head=head)
        assert K.rank() == found.value == QMatrix.vstack([J, K]).rank()
        assert ed.local_dimension(net, found.points, head=head, proof="full").value == found.value


@given(problems(max_depth=3, max_width=3), st.integers(0, 2**32))
def test_symmetries_do_not_change_it(problem, seed):
    net, _ = problem
    found = full(net)
    moved = full(Symmetry.random(net.widths, seed=seed)(net))
    assert (found is None) == (moved is None)
    if found is not None:
        assert moved.value == found.value <= net.n_parameters - net.n_hidden


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
    """Never below the rank at random points (200 networks at 2000 points with --many)."""
    networks, samples = (200, 2000) if many else (12, 300)
    source = random.Random(3)
    for seed in range(networks):
        widths = [source.randint(1, 3) for _ in range(source.randint(3, 4))]
        net = ed.ReLUNetwork.random(widths, seed=seed, bits=8)
        found = full(net)
        if found is None:
            continue
        X = [
            [Fraction(source.randint(-(2**20), 2**20), 2**16) for _ in range(widths[0])]
            for _ in range(samples)
        ]
        here = ed.local_dimension(net, X, on_kink="drop")
        assert here.lower <= found.value
        assert found.points.shape[0] <= found.value


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
