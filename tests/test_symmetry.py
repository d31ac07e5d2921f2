from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import QMatrix, Symmetry, errors
from exactdim.nets.symmetry import unanchored_components
from exactdim.testing import strategies

factors = st.fractions(min_value=Fraction(1, 9), max_value=9, max_denominator=9)


def hidden_units(net):
    return [(layer, k) for layer in range(net.depth - 1) for k in range(net.widths[layer + 1])]


@given(problems(min_depth=2), st.data(), factors)
def test_rescaling_divides_columns_and_changes_nothing_else(problem, data, factor):
    """T6a: J(theta') = J(theta) S^{-1} with theta' = S theta, entry by entry."""
    net, X = problem
    layer, unit = data.draw(st.sampled_from(hidden_units(net)))
    scaled = ed.rescale(net, layer, unit, factor)
    assert scaled(X) == net(X)
    J = ed.jacobian(net, X, on_kink="zero")
    after = ed.jacobian(scaled, X, on_kink="zero")
    gauge = ed.gauge_vectors(net)[[hidden_units(net).index((layer, unit))]].tolist()[0]
    theta = net.parameters().tolist()[0]
    theta_after = scaled.parameters().tolist()[0]
    for column, (g, old, new) in enumerate(zip(gauge, theta, theta_after, strict=True)):
        s = 1 if not g else factor if g == old else 1 / factor
        assert new == s * old
        if old:
            assert after[:, [column]] == J[:, [column]] * (1 / Fraction(s))
    assert ed.local_dimension(scaled, X, on_kink="zero").lower == J.rank()


@given(problems(min_depth=2), st.data())
def test_permutation_permutes_columns(problem, data):
    """T6b."""
    net, X = problem
    layer = data.draw(st.integers(0, net.depth - 2))
    order = data.draw(st.permutations(range(net.widths[layer + 1])))
    moved = ed.permute(net, layer, order)
    assert moved(X) == net(X)
    before = sorted(zip(*ed.jacobian(net, X, on_kink="zero").tolist(), strict=True))
    after = sorted(zip(*ed.jacobian(moved, X, on_kink="zero").tolist(), strict=True))
    assert before == after
    inverse = sorted(range(len(order)), key=order.__getitem__)
    assert ed.permute(moved, layer, inverse) == net


@given(problems())
def test_gauge_vectors_are_in_the_kernel(problem):
    """T7: J t_k = 0 for every network, mask and batch, kinks included."""
    net, X = problem
    T = ed.gauge_vectors(net)
    assert T.shape == (net.n_hidden, net.n_parameters)
    for head in ("logits", "softmax"):
        J = ed.jacobian(net, X, head=head, on_kink="zero")
        assert (J @ T.T).is_zero()


@given(problems(min_depth=2))
def test_gauge_vectors_are_independent_but_for_components_that_are_not_anchored(problem):
    """T7: each component of hidden units must touch an input weight, a bias or an output weight."""
    net, _ = problem
    graph = nx.Graph()
    anchored = set()
    for layer, unit in hidden_units(net):
        graph.add_node((layer, unit))
        bias = net.biases[layer]
        if bias is not None and bias[0, unit]:
            anchored.add((layer, unit))
        for k, w in enumerate(net.weights[layer].tolist()[unit]):
            if w and layer:
                graph.add_edge((layer, unit), (layer - 1, k))
            elif w:
                anchored.add((layer, unit))
        if layer == net.depth - 2 and any(row[unit] for row in net.weights[-1].tolist()):
            anchored.add((layer, unit))
    loose = [part for part in nx.connected_components(graph) if not anchored & part]
    assert ed.gauge_vectors(net).rank() == net.n_hidden - len(loose)
    assert {frozenset(part) for part in unanchored_components(net)} == set(map(frozenset, loose))


def test_golden_t6_and_t7():
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    scaled = ed.rescale(net, 0, 0, 7)
    assert scaled.parameters() == QMatrix([[14, -7, "3/7", 5]])
    X = [[0], [1], [2]]
    S_inverse = QMatrix([["1/7", 0, 0, 0], [0, "1/7", 0, 0], [0, 0, 7, 0], [0, 0, 0, 1]])
    assert ed.jacobian(scaled, X) == ed.jacobian(net, X) @ S_inverse
    assert ed.gauge_vectors(net) == QMatrix([[2, -1, -3, 0]])


@given(problems(), st.data())
def test_an_invertible_matrix_on_the_outputs_keeps_the_rank(problem, data):
    """T6c."""
    net, X = problem
    n_out = net.widths[-1]
    T = QMatrix([[data.draw(st.integers(-2, 2)) for _ in range(n_out)] for _ in range(n_out)])
    assume(T.rank() == n_out)
    bias = net.biases[-1]
    changed = ed.ReLUNetwork(
        [*net.weights[:-1], T @ net.weights[-1]],
        [*net.biases[:-1], None if bias is None else bias @ T.T],
    )
    before = ed.jacobian(net, X, on_kink="zero").rank()
    assert ed.jacobian(changed, X, on_kink="zero").rank() == before


@st.composite
def moved_problems(draw):
    """A network, a batch, and two symmetries of the network."""
    net, X = draw(problems())
    return net, X, draw(strategies.symmetries(net)), draw(strategies.symmetries(net))


@given(moved_problems())
def test_a_symmetry_acts_on_everything_alike(problem):
    """T6: function, parameters, pattern and Jacobian, kinks included."""
    net, X, s, _ = problem
    moved = s(net)
    assert moved(X) == net(X)
    has = {"has_bias": net.has_bias}
    assert s.on_parameters(net.parameters(), **has) == moved.parameters()
    J = ed.jacobian(net, X, on_kink="zero")
    assert s.on_jacobian(J, **has) == ed.jacobian(moved, X, on_kink="zero")
    before = ed.activation_pattern(net, X, on_kink="zero")
    after = ed.activation_pattern(moved, X, on_kink="zero")
    assert s.on_pattern(before) == after
    assert s.on_pattern(before).kinks == after.kinks
    assert (s.on_pattern(before.mask) == after.mask).all()


@given(moved_problems())
def test_symmetries_are_a_group_that_acts(problem):
    net, X, s, t = problem
    one = Symmetry.identity(net.widths)
    assert (s @ t)(net) == s(t(net))
    assert (s @ t) @ s == s @ (t @ s)
    assert s @ one == one @ s == s
    assert s @ s.inverse() == s.inverse() @ s == one
    assert one(net) == net
    assert one.is_identity
    assert s.is_identity == (s == one)
    J = ed.jacobian(net, X, on_kink="zero")
    has = {"has_bias": net.has_bias}
    assert (s @ t).on_jacobian(J, **has) == s.on_jacobian(t.on_jacobian(J, **has), **has)
    pattern = ed.activation_pattern(net, X, on_kink="zero")
    assert (s @ t).on_pattern(pattern) == s.on_pattern(t.on_pattern(pattern))


@given(moved_problems())
def test_parameters_and_jacobian_are_dual(problem):
    """J' theta' = J theta: the pairing of gradients and parameters does not see a symmetry."""
    net, X, s, _ = problem
    theta, has = net.parameters(), {"has_bias": net.has_bias}
    J = ed.jacobian(net, X, on_kink="zero")
    assert s.on_jacobian(J, **has) @ s.on_parameters(theta, **has).T == J @ theta.T


def test_symmetries_that_are_none():
    with pytest.raises(errors.ShapeMismatch, match="orders"):
        Symmetry((1, 2, 1), [(0, 1), (0,)], [(1, 1)])
    with pytest.raises(errors.ShapeMismatch, match="factors"):
        Symmetry((1, 2, 1), [(0, 1)], [(1,)])
    with pytest.raises(errors.InvalidInput, match="no permutation"):
        Symmetry((1, 2, 1), [(1, 1)], [(1, 1)])
    for widths in ((-1, 2), (), (2,), (1, 0, 1)):
        with pytest.raises(errors.InvalidInput, match="no widths"):
            Symmetry(widths, [], [])
    with pytest.raises(errors.InvalidInput, match="one list per hidden layer"):
        Symmetry((1, 1, 1), [0], [1])
    with pytest.raises(errors.InvalidInput, match="no permutation"):
        Symmetry((1, 1, 1), [[None]], [[1]])
    with pytest.raises(errors.InvalidInput, match="not positive"):
        Symmetry((1, 2, 1), [(0, 1)], [(1, 0)])
    s = Symmetry.random((1, 2, 1), seed=0)
    with pytest.raises(errors.ShapeMismatch, match="widths"):
        s(ed.ReLUNetwork.random((1, 3, 1), seed=0))
    with pytest.raises(errors.ShapeMismatch, match="widths"):
        s @ Symmetry.identity((1, 3, 1))
    with pytest.raises(errors.ShapeMismatch, match="has_bias"):
        s.on_parameters([[1, 2, 3, 4]])
    assert s.on_parameters([[1, 2, 3, 4]], has_bias=[False, False]).shape == (1, 4)
    with pytest.raises(errors.ShapeMismatch, match="has_bias"):
        s.on_jacobian([[1]], has_bias=[True])
    with pytest.raises(errors.ShapeMismatch, match="hidden units"):
        s.on_pattern([[True]])
    pattern = ed.activation_pattern(ed.ReLUNetwork.random((1, 2, 1), seed=0), [[1]])
    with pytest.raises(errors.ShapeMismatch, match="hidden layers of widths"):
        Symmetry.identity((1, 1, 1, 1)).on_pattern(pattern)
    with pytest.raises(ValueError, match="read-only"):
        s.on_pattern(pattern).layers[0][0, 0] = True


def test_bad_arguments():
    net = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    with pytest.raises(errors.InvalidInput, match="not positive"):
        ed.rescale(net, 0, 0, -2)
    with pytest.raises(errors.InvalidInput, match=r"hidden layers 0\.\.0"):
        ed.rescale(net, 1, 0, 2)
    with pytest.raises(errors.InvalidInput, match=r"units 0\.\.2"):
        ed.rescale(net, 0, 3, 2)
    with pytest.raises(errors.InvalidInput, match="no permutation"):
        ed.permute(net, 0, [0, 0, 1])
