import pickle
from fractions import Fraction

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from networks import problems

import exactdim as ed
from exactdim import errors


@given(problems())
def test_evaluation_is_exact(problem):
    net, X = problem
    layers = oracles.layers_of(net)
    assert net(X).tolist() == [oracles.forward(layers, x)[0] for x in X]


def test_shape_properties():
    net = ed.ReLUNetwork.random((3, 5, 4, 2), seed=1, bias=[True, False, True])
    assert net.widths == (3, 5, 4, 2)
    assert net.depth == 3
    assert net.n_hidden == 9
    assert net.has_bias == (True, False, True)
    assert net.n_parameters == 5 * 4 + 4 * 5 + 2 * 5
    assert net.parameter_offsets() == [0, 20, 40, 50]
    assert "no bias in layers [1]" in repr(net)


def test_parameters_come_layer_by_layer_weights_first():
    net = ed.ReLUNetwork([[[1, 2], [3, 4]], [[5, 6]]], [[7, 8], None])
    assert net.parameters() == ed.QMatrix([[1, 2, 3, 4, 7, 8, 5, 6]])
    assert net.with_parameters(net.parameters()) == net
    assert net.with_parameters([list(range(8))]).biases == (ed.QMatrix([[4, 5]]), None)
    with pytest.raises(errors.ShapeMismatch, match=r"\(1, 8\)"):
        net.with_parameters([[1, 2]])


def test_random_networks_replay_and_have_no_zero_weight():
    net = ed.ReLUNetwork.random((4, 6, 3), seed=5, bits=3)
    assert net == ed.ReLUNetwork.random((4, 6, 3), seed=5, bits=3)
    assert net != ed.ReLUNetwork.random((4, 6, 3), seed=6, bits=3)
    values = net.parameters().tolist()[0]
    assert all(v and abs(v) < 1 and (v * 8).denominator == 1 for v in values)
    # Pinned, so that the seed means the same network on every machine and in every version.
    assert ed.ReLUNetwork.random((1, 1), seed=0).parameters() == ed.QMatrix([
        ["177/256", "-59/256"]
    ])


def test_a_network_is_a_value():
    net = ed.ReLUNetwork([[[0.5]], [[1]]], [[0], [1]])
    same = ed.ReLUNetwork([[["1/2"]], [[1]]], [[0], [1]])
    assert net == same
    assert hash(net) == hash(same)
    assert pickle.loads(pickle.dumps(net)) == net
    assert net != ed.ReLUNetwork([[[0.5]], [[1]]], [[0], None])
    with pytest.raises(AttributeError):
        net.weights = ()


@pytest.mark.parametrize(
    ("weights", "biases", "words"),
    [
        ([], None, "at least one layer"),
        ([[[1, 2]], [[1, 2]]], None, r"\(1, 2\).*\(1, 2\)"),
        ([[[1, 2]]], [[1, 2]], "2 entries.*1 rows"),
        ([[[1, 2]]], [1], "one number per unit"),
        ([[[1, 2]]], [[1], [2]], "one bias per layer"),
        ([[]], None, "at least one unit"),
        ([[[]]], None, "at least one unit"),
        ([[[1, 2], [3]]], None, "ragged"),
        ([np.array([[1.0, np.nan]])], None, r"weights\[0\].*\[0, 1\]"),
        ([[[1]], [[1]]], [[np.inf], [0]], r"biases\[0\]"),
    ],
)
def test_what_is_no_network(weights, biases, words):
    with pytest.raises(errors.InvalidInput, match=words):
        ed.ReLUNetwork(weights, biases)


@pytest.mark.parametrize("widths", [(3,), (2, 0, 1), ()])
def test_random_needs_real_widths(widths):
    with pytest.raises(errors.InvalidInput):
        ed.ReLUNetwork.random(widths)


def test_batches_that_do_not_fit():
    net = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    with pytest.raises(errors.ShapeMismatch, match=r"\(1, 3\).*2 inputs"):
        net([[1, 2, 3]])
    with pytest.raises(errors.InvalidInput, match="empty"):
        net(np.zeros((0, 2)))
    with pytest.raises(errors.InvalidInput, match="empty"):
        net([])
    with pytest.raises(errors.ShapeMismatch, match="ragged"):
        net([[1, 2], [3]])
    with pytest.raises(errors.NotFinite, match=r"\[1, 1\] of X|X holds nan at \[1, 1\]"):
        ed.local_dimension(net, np.array([[0.0, 1.0], [2.0, np.nan]]))


def test_images_are_flattened():
    net = ed.ReLUNetwork.random((4, 3, 1), seed=0)
    images = np.arange(8.0).reshape(2, 2, 2)
    assert net(images) == net(images.reshape(2, 4))


@given(problems())
def test_torch_round_trip(problem):
    net, _ = problem
    try:
        module = net.to_torch()
    except errors.InvalidInput:
        values = net.parameters().tolist()[0]
        assert any(Fraction(float(v)) != v for v in values)
        return
    assert ed.as_network(module) == net


def test_to_torch_refuses_to_round():
    net = ed.ReLUNetwork([[["1/3"]]])
    with pytest.raises(errors.InvalidInput, match="representable"):
        net.to_torch()
    fine = ed.ReLUNetwork([[[1 + 2**-30]]])
    with pytest.raises(errors.InvalidInput, match="float32"):
        fine.to_torch(torch.float32)
    assert ed.as_network(fine.to_torch(torch.float64)) == fine
