import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim.dimension.bounds import StructuralBounds
from exactdim.dimension.choice import choose
from exactdim.nets.jacobian import jacobian_factors

heads = st.sampled_from(["logits", "softmax"])


@given(problems(), heads, st.data())
def test_every_bound_holds(problem, head, data):
    """T7, T9, T28 on random and degenerate networks, kinks counted as off."""
    net, X = problem
    rank = oracles.rank(oracles.jacobian(oracles.layers_of(net), X, softmax=head == "softmax"))
    for bound in ed.dimension_bounds(net, X, head=head, on_kink="zero"):
        assert bound.value >= rank, bound
        assert str(bound.value) in str(bound)
    bounds = StructuralBounds(jacobian_factors(net, X, head=head, on_kink="zero"))
    if net.depth > 1:
        assert bounds.output_span().value >= rank  # also where it is not offered
    removed = data.draw(st.sets(st.integers(0, len(X) - 1)))
    assert bounds.unit_relations(tuple(removed)).value >= rank


@given(problems(min_depth=2), heads)
def test_bounds_hold_for_formal_masks_too(problem, head):
    """Masks that no parameter realises: the bounds are theorems about the mask's Jacobian."""
    from exactdim.nets.jacobian import JacobianFactors
    from exactdim.nets.patterns import ActivationPattern

    net, X = problem
    rng = np.random.default_rng(net.n_parameters + len(X))
    layers = tuple(rng.random((len(X), w)) < 0.6 for w in net.widths[1:-1])
    pattern = ActivationPattern(layers, (), (), len(X), 0, "zero")
    factors = JacobianFactors(net, ed.QMatrix(X), pattern, head)
    rank = oracles.rank(factors.dense.tolist())
    bounds = StructuralBounds(factors)
    for bound in bounds:
        assert bound.value >= rank, bound
    assert bounds.output_span().value >= rank


def relu_random(widths, seed, n, bias=True):
    net = ed.ReLUNetwork.random(widths, seed=seed, bias=bias)
    X = np.random.default_rng(seed).standard_normal((n, widths[0]))
    return net, X


def named(net, X, **options):
    found = {}
    for b in ed.dimension_bounds(net, X, **options):
        found.setdefault(b.name, b.value)
    return found


def test_parameters_bound_is_p_minus_h():
    net, X = relu_random((3, 5, 4, 2), 0, 6)
    assert named(net, X)["parameters"] == net.n_parameters - 9
    assert named(net, X, head="softmax")["parameters"] == net.n_parameters - 9 - 4 - 1


def test_mnist_numbers_of_the_paper():
    """T28: (784,30,30,30,10) has P = 25720, P - H = 25630, and 25599 for softmax."""
    net = ed.ReLUNetwork.random((784, 30, 30, 30, 10), seed=0, bits=2)
    X = np.zeros((1, 784))
    for head, value in (("logits", 25630), ("softmax", 25599)):
        factors = jacobian_factors(net, X, head=head, on_kink="zero")
        assert net.n_parameters == 25720
        assert StructuralBounds(factors).parameters().value == value


def test_softmax_shift_is_one_less_without_output_bias():
    """T28: bias-free (1,1,2), weights 1 and (1,2), x = 1: softmax rank 1 = P - H - N_{L-1}."""
    net = ed.ReLUNetwork([[[1]], [[1], [2]]])
    d = ed.local_dimension(net, [[1]], head="softmax")
    assert d.value == 1
    assert named(net, [[1]], head="softmax")["parameters"] == 1


def test_softmax_deduction_does_not_apply_to_the_other_bounds():
    """T9: L = 1, one sample, N = (2,3): softmax rank 2, although P_eff - H - (N_0 + 1) = 0."""
    net = ed.ReLUNetwork([[[1, 0], [0, 1], [1, 1]]], [[1, 2, 3]])
    d = ed.local_dimension(net, [[1, 2]], head="softmax")
    assert d.value == 2
    assert all(b.value >= 2 for b in d.bounds)
    p_eff = 3 * 1
    assert p_eff - 0 - 3 == 0


def test_equal_samples_and_rays_count_once():
    net, X = relu_random((2, 4, 1), 1, 3)
    doubled = np.vstack([X, X])
    assert named(net, doubled)["rows"] == named(net, X)["rows"] == 3
    free = ed.ReLUNetwork.random((2, 4, 1), seed=1, bias=False)
    rays = np.vstack([X, 4 * X])
    assert named(free, rays)["rows"] == 3
    assert named(net, rays)["rows"] == 6


def test_constant_pixels_cost_the_first_layer_a_rank():
    net, X = relu_random((4, 3, 1), 2, 30)
    X = np.round(8 * X) / 8  # so that the sum below is exact
    X[:, 1] = 0.5
    X[:, 3] = X[:, 0] + 1
    P_eff = 3 * 3 + 4
    assert named(net, X)["input-rank"] == P_eff - 3


def test_unit_relations_contain_always_on_units():
    """Aligned, always-on units give m (u + N_2 - m), not m (u + N_2) - m (T16)."""
    net = ed.ReLUNetwork([[[1, 2, 0], [0, 1, 1]], [[1, 0], [0, 1], [1, 1]]], [[10, 10], [0, 0, 0]])
    X = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    d = ed.local_dimension(net, X)
    assert d.value == 11  # the golden of T16
    assert named(net, X)["unit-relations"] == 11
    assert net.n_parameters - net.n_hidden == 15


def test_removing_a_rare_sample_pays():
    """T9.7: one sample alone lights many pixels; counting its single row is cheaper."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 9))
    X[:, 4:] = 0
    X[7, 4:] = 1
    net = ed.ReLUNetwork.random((9, 6, 1), seed=3)
    bounds = StructuralBounds(jacobian_factors(net, X))
    removed, shared = choose(bounds.units)
    assert 7 in removed
    sharper = bounds.unit_relations(removed, shared)
    assert sharper.value < bounds.unit_relations().value
    rank = oracles.rank(ed.jacobian(net, X).tolist())
    assert sharper.value >= rank


def test_a_feature_that_few_samples_light_pays():
    """A unit that is on at one sample only gives each unit of the next layer one direction, but
    all of them together move no more than the one output."""
    rng = np.random.default_rng(5)
    hidden = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    mixed = rng.integers(-3, 4, (6, 4))
    mixed[:, 0] = rng.integers(1, 4, 6)
    biases = [[-5, 1, 1, 1], [0.25] * 6, [0]]
    net = ed.ReLUNetwork([hidden, mixed.tolist(), [[1, 2, 3, 4, 5, 6]]], biases)
    X = rng.integers(0, 4, (30, 3))
    X[0, 2] = 9  # alone above the threshold of the first unit
    bounds = StructuralBounds(jacobian_factors(net, X))
    plain = bounds.unit_relations().value
    shared = bounds.unit_relations((), [(1, 0)]).value
    removed = bounds.unit_relations((0,)).value
    rank = oracles.rank(ed.jacobian(net, X).tolist())
    assert rank <= min(shared, removed)
    assert shared < plain
    assert bounds.unit_relations(*choose(bounds.units)).value <= min(shared, removed, plain)


@given(problems(min_depth=2), heads, st.data())
def test_every_choice_of_samples_and_features_is_a_bound(problem, head, data):
    """T9.8 is a theorem about every choice of samples and features."""
    net, X = problem
    bounds = StructuralBounds(jacobian_factors(net, X, head=head, on_kink="zero"))
    rank = oracles.rank(bounds.factors.dense.tolist())
    features = [
        (layer, j)
        for layer in range(net.depth - 1)
        for j in range(bounds.factors.features[layer].shape[1])
    ]
    removed = data.draw(st.sets(st.integers(0, len(X) - 1)))
    shared = data.draw(st.lists(st.sampled_from(features), unique=True))
    assert bounds.unit_relations(removed, shared).value >= rank
    removed, shared = choose(bounds.units)
    assert bounds.unit_relations(removed, shared).value >= rank


def test_output_span_beats_rows_in_narrow_networks():
    net, X = relu_random((6, 5, 4, 7), 4, 8)
    d = ed.local_dimension(net, X)
    assert d.value == oracles.rank(ed.jacobian(net, X).tolist())
    assert named(net, X)["output-span"] < named(net, X)["rows"]


def test_bounds_at_a_single_perceived_region():
    """T5: all samples in one region of a (1,1,1) net, X = (1,2,3): f(1) - 2 f(2) + f(3) = 0."""
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    out = net([[1], [2], [3]]).tolist()
    assert out[0][0] - 2 * out[1][0] + out[2][0] == 0
    assert ed.local_dimension(net, [[1], [2], [3]]).value == 2
    assert named(net, [[1], [2], [3]])["affine-pieces"] == 2


@pytest.mark.parametrize("head", ["logits", "softmax"])
def test_bounds_come_smallest_first(head):
    net, X = relu_random((3, 4, 3), 5, 5)
    values = [b.value for b in ed.dimension_bounds(net, X, head=head)]
    assert values == sorted(values)


P = 8388593


@pytest.mark.parametrize(
    ("weights", "X"),
    [
        ([[[1, -1], [1, 1]], [[2, -2], [0, -1]]], [[0, -1], [P, 2 * P], [2, -1]]),
        (
            [[[-2, 1, -1], [-1, 1, 1]], [[2, 0], [2, 0], [2, -2], [-1, -1]]],
            [
                [P, 2 * P, 2 * P],
                [-2 * P, -P, -2 * P],
                [1, -2, 0],
                [2, -2, 1],
                [-1, 1, 2],
                [-1, 0, 0],
            ],
        ),
    ],
)
def test_samples_that_vanish_modulo_the_prime_of_the_units(weights, X):
    """Rows that depend on others modulo the prime only must not be left out of relations."""
    net = ed.ReLUNetwork(weights, [None] * len(weights))
    rank = oracles.rank(ed.jacobian(net, X).tolist())
    for bound in ed.dimension_bounds(net, X):
        assert bound.value >= rank, bound
    assert ed.local_dimension(net, X, proof="full").value == rank


@given(problems(min_depth=2, max_depth=3), heads, st.data())
def test_bounds_hold_where_the_prime_is_bad(problem, head, data):
    """Samples, weights and units times the very prime that the search works with."""
    net, X = problem
    scales = st.sampled_from([1, 1, P, -2 * P])
    X = [[data.draw(scales) * x for x in row] for row in X]
    net = ed.ReLUNetwork(
        [ed.QMatrix([[data.draw(scales) * x for x in row] for row in W.tolist()])
         for W in net.weights],
        list(net.biases),
    )  # fmt: skip
    bounds = StructuralBounds(jacobian_factors(net, X, head=head, on_kink="zero"))
    rank = oracles.rank(bounds.factors.dense.tolist())
    for bound in bounds:
        assert bound.value >= rank, bound
