"""Slices of parameter space on which one layer moves (T2, T3)."""

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.regions.slices import parameter_slice


def words(net, X, on_kink="raise"):
    """Signs of all pre-activations, layer by layer: all samples of a layer side by side."""
    masks = ed.activation_pattern(net, X, on_kink=on_kink).layers
    return tuple("".join("01"[bit] for bit in layer.ravel().tolist()) for layer in masks)


@given(problems(max_depth=3, max_width=3, min_depth=2), st.data())
def test_the_network_of_the_slice_has_the_patterns_of_the_batch(problem, data):
    net, X = problem
    layer = data.draw(st.integers(0, net.depth - 2))
    offsets = net.parameter_offsets()
    row = np.zeros((2, net.n_parameters), dtype=int)
    for direction in row:
        for column in range(offsets[layer], offsets[layer + 1]):
            direction[column] = data.draw(st.integers(-2, 2))
    try:
        cut = parameter_slice(net, X, row)
    except errors.OnKink:
        kinks = ed.activation_pattern(net, X, on_kink="zero").kinks
        event("kink below")
        assert any(kink[1] < layer for kink in kinks)
        return
    except errors.InvalidInput:
        assert QMatrix(row).rank() < 2
        return
    y = [data.draw(st.fractions(-2, 2, max_denominator=7)) for _ in range(2)]
    moved = cut.at(y)
    assert moved.parameters() == net.parameters() + QMatrix([y]) @ QMatrix(row)
    assert cut.network([y]).numerators() == moved(X).numerators()
    try:
        expected = words(moved, X)
    except errors.OnKink:
        return
    # a unit that is zero on all of the slice is no kink where it is zero for all parameters
    assert words(cut.network, [y], on_kink="zero") == expected[layer:]


def test_regions_of_the_first_layer_are_dichotomies():
    """Weight and bias of one unit at n points on a line: 2n sectors around the origin (T39)."""
    net = ed.ReLUNetwork([[[0]], [[1]]], [[0], [0]])
    X = [[-1], [0], [3], [5]]
    cut = parameter_slice(net, X, [[1, 0, 0, 0], [0, 1, 0, 0]])
    found = sorted(region.pattern[0] for region in cut.regions())
    assert found == ["0000", "0001", "0011", "0111", "1000", "1100", "1110", "1111"]


def test_ranks_are_constant_on_a_region_but_for_a_null_set():
    """T2, T4 on a slice through a (2,3,2,1) network: 20 random points of every region."""
    source = random.Random(5)
    net = ed.ReLUNetwork.random((2, 2, 2, 1), seed=4)
    X = [[source.randint(-4, 4) for _ in range(2)] for _ in range(4)]
    directions = [[0] * net.n_parameters for _ in range(2)]
    for direction in directions:
        direction[:6] = [source.randint(-9, 9) for _ in range(6)]
    cut = parameter_slice(net, X, directions)
    regions = cut.regions((-2, 2))
    assert len(regions) > 10
    for region in regions:
        at = cut.network_in(region)
        assert words(at, X) == region.pattern
        rank = ed.local_dimension(at, X).value
        generic = ed.generic_dimension(at, None, X).value
        assert rank <= generic
        for _ in range(5):
            weights = [Fraction(source.randint(1, 1000)) for _ in region.vertices]
            point = [
                sum(w * v[i] for w, v in zip(weights, region.vertices, strict=True)) / sum(weights)
                for i in range(2)
            ]
            assert words(cut.at(point), X) == region.pattern
            assert ed.local_dimension(cut.at(point), X).value == rank


def test_errors():
    net = ed.ReLUNetwork.random((1, 2, 2, 1), seed=1)
    size = net.n_parameters
    unit = np.eye(size, dtype=int)
    with pytest.raises(errors.ShapeMismatch, match="needs as many entries"):
        parameter_slice(net, [[1]], [[1, 2]])
    with pytest.raises(errors.InvalidInput, match=r"layers \[0, 1\]"):
        parameter_slice(net, [[1]], [unit[0] + unit[5]])
    with pytest.raises(errors.InvalidInput, match=r"layers \[2\]"):
        parameter_slice(net, [[1]], [unit[-1]])
    with pytest.raises(errors.InvalidInput, match="no layer"):
        parameter_slice(net, [[1]], [0 * unit[0]])
    with pytest.raises(errors.InvalidInput, match="dependent"):
        parameter_slice(net, [[1]], [unit[0], 2 * unit[0]])
    with pytest.raises(errors.ShapeMismatch, match="2 directions"):
        parameter_slice(net, [[1]], unit[:2]).at([1])
    kinked = ed.ReLUNetwork([[[1]], [[1]], [[1]]], [[0], [0], [0]])
    with pytest.raises(errors.OnKink, match="below layer 1"):
        parameter_slice(kinked, [[0], [1]], [[0, 0, 1, 0, 0, 0]])
