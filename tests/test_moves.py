"""Moves that change the widths (T19)."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import entries, problems

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.nets.moves import add_unit, remove_dead_units, remove_units, split_unit

shares = st.fractions(min_value=-2, max_value=2, max_denominator=7)


def column_space(J):
    """A canonical basis: the kernel of the kernel's transpose."""
    return J.T.kernel().kernel()


def hidden_unit(draw, net):
    layer = draw(st.integers(0, net.depth - 2))
    return layer, draw(st.integers(0, net.widths[layer + 1] - 1))


@given(problems(min_depth=2), st.data(), shares)
def test_splitting_keeps_function_and_column_space(problem, data, share):
    """T19a, for every share, kinks included."""
    net, X = problem
    layer, unit = hidden_unit(data.draw, net)
    wider = split_unit(net, layer, unit, share)
    assert wider(X) == net(X)
    assert wider.widths[layer + 1] == net.widths[layer + 1] + 1
    J, K = (ed.jacobian(x, X, on_kink="zero") for x in (net, wider))
    assert K.rank() == J.rank() == QMatrix.hstack([J, K]).rank()
    assert column_space(J) == column_space(K)
    assert ed.local_dimension(wider, X, on_kink="zero", proof="full").value == J.rank()


@given(problems(min_depth=2), st.data())
def test_a_dead_unit_keeps_the_column_space(problem, data):
    """T19b: whatever leaves it."""
    net, X = problem
    layer = data.draw(st.integers(0, net.depth - 2))
    assume(net.biases[layer] is not None)
    outputs = net.widths[layer + 2]
    outgoing = data.draw(st.lists(entries, min_size=outputs, max_size=outputs))
    wider = add_unit(net, layer, outgoing=outgoing)
    assert wider(X) == net(X)
    J, K = (ed.jacobian(x, X, on_kink="zero") for x in (net, wider))
    assert column_space(J) == column_space(K)
    assert remove_units(wider, [(layer, net.widths[layer + 1])]) == net


@given(problems(min_depth=2), st.data())
def test_a_unit_that_nothing_leaves_raises_the_rank_by_the_next_width_at_most(problem, data):
    """T19c."""
    net, X = problem
    layer = data.draw(st.integers(0, net.depth - 2))
    n = net.widths[layer]
    incoming = data.draw(st.lists(entries, min_size=n, max_size=n))
    bias = None if net.biases[layer] is None else data.draw(entries)
    wider = add_unit(net, layer, incoming, bias=bias)
    assert wider(X) == net(X)
    before, after = (ed.jacobian(x, X, on_kink="zero").rank() for x in (net, wider))
    assert before <= after <= before + net.widths[layer + 2]


def test_the_bound_for_units_that_nothing_leaves_is_attained():
    """T19c: the new unit is on at one sample where no other is."""
    net = ed.ReLUNetwork([[[1]], [[1], [1]]], [[0], None])
    wider = add_unit(net, 0, [-1], bias=0)
    X = [[1], [-1]]
    assert (ed.local_dimension(net, X).value, ed.local_dimension(wider, X).value) == (2, 4)


@given(problems(min_depth=2))
def test_removing_dead_units_keeps_outputs_and_column_space(problem):
    net, X = problem
    try:
        pattern = ed.activation_pattern(net, X)
    except errors.OnKink:
        with pytest.raises(errors.OnKink):
            remove_dead_units(net, X)
        return
    smaller = remove_dead_units(net, X)
    assert smaller(X) == net(X)
    assert column_space(ed.jacobian(smaller, X)) == column_space(ed.jacobian(net, X))
    left = ed.activation_pattern(smaller, X).dead
    assert all(smaller.widths[layer + 1] == 1 for layer, _ in left)
    alone = sum(1 for layer, _ in left)
    assert smaller.n_hidden == net.n_hidden - len(pattern.dead) + alone


def test_bad_arguments():
    net = ed.ReLUNetwork([[[2], [1]], [[3, 0]]], [[-1, 0], None])
    bare = ed.ReLUNetwork([[[2]], [[3]]])
    with pytest.raises(errors.InvalidInput, match="no unit 2"):
        split_unit(net, 0, 2)
    with pytest.raises(errors.InvalidInput, match="not hidden"):
        add_unit(net, 1)
    with pytest.raises(errors.InvalidInput, match="has no bias"):
        add_unit(bare, 0, bias=1)
    with pytest.raises(errors.ShapeMismatch, match="incoming"):
        add_unit(net, 0, [1, 2])
    with pytest.raises(errors.ShapeMismatch, match="outgoing"):
        add_unit(net, 0, outgoing=[1, 2])
    with pytest.raises(errors.InvalidInput, match="pairs"):
        remove_units(net, [0])
    for incoming in ([7], [[7]], QMatrix([[7]]), np.array([7]), np.array([[7.0]])):
        assert add_unit(net, 0, incoming).weights[0][2, 0] == 7
    with pytest.raises(errors.InvalidInput, match="without units"):
        remove_units(net, [(0, 0), (0, 1)])
    with pytest.raises(errors.InvalidInput, match="no unit 5"):
        remove_units(net, [(0, 5)])
