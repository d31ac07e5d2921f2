from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import errors
from exactdim.nets import patterns

extreme = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-4, 4, width=16),
    st.sampled_from([5e-324, 2.0**-1022, 2.0**1000, -(2.0**1000), 1e308, 1.0, 1 + 2.0**-52]),
)


def expected_mask(net, X):
    layers = oracles.layers_of(net)
    return [[z > 0 for layer in oracles.forward(layers, x)[1] for z in layer] for x in X]


@given(problems())
def test_signs_and_kinks_agree_with_fractions(problem):
    net, X = problem
    kinked = [i for i, x in enumerate(X) if oracles.kinked(oracles.layers_of(net), x)]
    pattern = ed.activation_pattern(net, X, on_kink="zero")
    assert pattern.mask.tolist() == expected_mask(net, X)
    assert sorted({i for i, _, _ in pattern.kinks}) == kinked
    if kinked:
        with pytest.raises(errors.OnKink) as caught:
            ed.activation_pattern(net, X)
        assert {i for i, _, _ in caught.value.kinks} == set(kinked)
    else:
        assert ed.activation_pattern(net, X) == pattern
    if 0 < len(kinked) < len(X):
        dropped = ed.activation_pattern(net, X, on_kink="drop")
        assert list(dropped.dropped) == kinked
        assert dropped.mask.tolist() == pattern.mask[dropped.kept].tolist()


@given(st.data())
def test_no_float_range_can_mislead_a_sign(data):
    """Subnormal, huge, cancelling: the sign is that of the exact value."""
    n, width, units = (data.draw(st.integers(1, 3)) for _ in range(3))
    draw = lambda rows, columns: [[data.draw(extreme) for _ in range(columns)] for _ in range(rows)]  # noqa: E731
    net = ed.ReLUNetwork(
        [draw(units, width), draw(2, units), [[1, 1]]], [draw(1, units)[0], draw(1, 2)[0], [0]]
    )
    X = draw(n, width)
    pattern = ed.activation_pattern(net, X, on_kink="zero")
    assert pattern.mask.tolist() == expected_mask(net, [[Fraction(v) for v in x] for x in X])


@example(shift=2**-80, bias=-(2.0**-90))
@example(shift=-(2**-1060), bias=2.0**-1074)
@given(
    shift=st.integers(-1100, 0).map(lambda k: Fraction(1, 2**-k)),
    bias=st.floats(-(2.0**-60), 2.0**-60),
)
def test_weights_below_the_float_range_times_huge_samples(shift, bias):
    """A weight that rounds to zero still decides the sign when the sample is huge."""
    x = Fraction(2) ** 1000
    weight = Fraction(shift) / x
    net = ed.ReLUNetwork([[[weight]], [[1]]], [[bias], [0]])
    positive = weight * x + Fraction(bias) > 0
    assert ed.activation_pattern(net, [[x]], on_kink="zero").mask.tolist() == [[positive]]
    swapped = ed.ReLUNetwork([[[x]], [[1]]], [[bias], [0]])
    assert ed.activation_pattern(swapped, [[weight]], on_kink="zero").mask.tolist() == [[positive]]


def test_cancellation_is_decided_exactly_and_counted():
    net = ed.ReLUNetwork([[[1e16, 1, -1e16]], [[1]]], [["-1/3"], [0]])
    pattern = ed.activation_pattern(net, [[1, "1/3", 1], [1, 1, 1], [0, 5, 0]], on_kink="zero")
    assert pattern.mask.tolist() == [[False], [True], [True]]
    assert pattern.kinks == ((0, 0, 0),)
    assert pattern.n_exact >= 1
    easy = ed.activation_pattern(net, [[0, 5, 0]])
    assert easy.n_exact == 0


def test_golden_t2_harmless_zeros_without_bias():
    """T2: W = (1), (1), (1), x = -1: z = (-1, 0, 0), and the zero is no kink."""
    net = ed.ReLUNetwork([[[1]], [[1]], [[1]]])
    assert ed.activation_pattern(net, [[-1]]).mask.tolist() == [[False, False]]
    assert ed.jacobian(net, [[-1]]) == ed.QMatrix([[0, 0, 0]])
    # A bias of zeros is a bias: moving it moves the kink.
    with pytest.raises(errors.OnKink):
        ed.activation_pattern(ed.ReLUNetwork([[[1]], [[1]], [[1]]], [None, [0], None]), [[-1]])
    # The origin of a network without biases is harmless, with a first-layer bias of 0 it is not.
    assert ed.activation_pattern(net, [[0]]).mask.tolist() == [[False, False]]
    with pytest.raises(errors.OnKink):
        ed.activation_pattern(ed.ReLUNetwork([[[1]], [[1]]], [[0], None]), [[0]])
    # Zero weights and zero bias: differentiable nowhere nearby, refused.
    with pytest.raises(errors.OnKink):
        ed.activation_pattern(ed.ReLUNetwork([[[0]], [[0]]], [[0], [0]]), [[1]])


def test_zeros_downstream_of_a_kink_are_kinks():
    net = ed.ReLUNetwork([[[1]], [[1]], [[1]]], [[0], None, None])
    with pytest.raises(errors.OnKink) as caught:
        ed.activation_pattern(net, [[0]])
    assert caught.value.kinks == ((0, 0, 0), (0, 1, 0))


def test_on_kink_message_names_sample_unit_and_remedy():
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    with pytest.raises(errors.OnKink, match=r"sample 1 at unit \(0, 0\).*on_kink='drop'"):
        ed.activation_pattern(net, [[1], [0]])
    with pytest.raises(errors.InvalidInput, match="all 1 samples"):
        ed.activation_pattern(net, [[0]], on_kink="drop")
    with pytest.raises(errors.InvalidInput, match="unknown"):
        ed.activation_pattern(net, [[1]], on_kink="ignore")


def test_summary_of_a_pattern():
    net = ed.ReLUNetwork([[[1], [-1], [0]], [[1, 1, 1]]], [[0, 0, -1], [0]])
    pattern = ed.activation_pattern(net, [[1], [2], [3]])
    assert pattern.distinct == 1
    assert pattern.dead == ((0, 1), (0, 2))
    assert pattern.always_on == ((0, 0),)
    assert np.array(pattern).shape == (3, 3)
    assert "2 dead units" in repr(pattern)


def test_the_float_bound_is_needed():
    """Without the error bound the float sign is wrong: the test above can fail."""
    W, b = np.array([[1e16, 1.0, -1e16]]), np.zeros(1)
    h = np.array([[1.0, 1.0 / 3, 1.0]])
    z, bound = patterns.affine_with_error(W, b, h, np.zeros_like(h))
    assert abs(z[0, 0] - 1 / 3) <= bound[0, 0]
    assert bound[0, 0] > abs(z[0, 0]) or abs(z[0, 0] - 1 / 3) < 1e-3


def test_zero_samples_are_told_apart_by_their_place_in_the_batch():
    """Without first-layer bias the origin is harmless, an orthogonal sample is on a kink."""
    net = ed.ReLUNetwork([[[1, 1], [2, 1]], [[1, 1]]])
    X = [[1, 1], [0, 0], [1, -1], [3, 1], [0, 0]]
    pattern = ed.activation_pattern(net, X, on_kink="zero")
    assert pattern.kinks == ((2, 0, 0),)
    assert ed.activation_pattern(net, [X[i] for i in (0, 1, 3, 4)]).kinks == ()
    with pytest.raises(errors.OnKink, match="sample 3"):
        ed.activation_pattern(net, [[0, 0], [1, 1], [0, 0], [-1, 1]])
