from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import QMatrix, errors

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
def test_gauge_vectors_are_independent_iff_every_component_is_anchored(problem):
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
    independent = all(anchored & part for part in nx.connected_components(graph))
    assert (ed.gauge_vectors(net).rank() == net.n_hidden) == independent


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
