"""Patterns of a batch: possible with a witness, or impossible."""

import itertools
import os
import random
import signal
import sys
import threading
from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import batches, entries, networks

import exactdim as ed
from exactdim import errors
from exactdim.arith.matrix import QMatrix
from exactdim.regions import solver as solver_module
from exactdim.regions.parameters import ParameterRegions
from exactdim.regions.realisability import (
    Beginning,
    LowerLayers,
    ParameterSpace,
    Solver,
    realise_parameters,
)

LINE = [[-1], [0], [2]]
PLANE = [[0, 0], [1, 0], [0, 1], [2, 3]]

# Asked about the third hidden unit alone, z3 does not come to an end in ten seconds.
HARD = ((1, 2, 2, 1, 1), [[-1], [0], [2], [3]], (("0111", "1110"), ("1111", "1111"), ("0101",)))


def columns(*words):
    """The mask with these words in its columns."""
    return np.array([[letter == "1" for letter in word] for word in words], bool).T


def mask_of(net, X):
    """The pattern of a network in plain Fractions; nothing on a kink."""
    layers = oracles.layers_of(net)
    assert not any(oracles.kinked(layers, x) for x in X)
    rows = [[z > 0 for layer in oracles.forward(layers, x)[1] for z in layer] for x in X]
    return np.array(rows, bool).reshape(len(X), net.n_hidden)


def check(found, X, mask, verdict, method=None):
    """Whether the answer is that, and its witness has the pattern."""
    assert found.verdict == verdict
    assert method is None or found.method == method
    assert bool(found) == (verdict == "realised")
    assert np.array_equal(found.pattern.mask, mask)
    assert [len(layer) for layer in found.words] == list(found.space.widths[1:-1])
    if verdict == "realised":
        assert found.witness.widths == found.space.widths
        assert found.witness.has_bias == found.space.has_bias
        assert not found.witness.weights[-1].is_zero()
        assert np.array_equal(mask_of(found.witness, QMatrix(X).tolist()), mask)
    else:
        assert found.witness is None


# -- what there is, is found ------------------------------------------------------------------


@given(st.data())
def test_the_pattern_of_a_network_is_possible(data):
    net = data.draw(networks(max_width=3))
    X = data.draw(batches(net, max_size=4))
    layers = oracles.layers_of(net)
    assume(not any(oracles.kinked(layers, x) for x in X))
    mask = mask_of(net, X)
    found = realise_parameters(net.widths, X, mask, bias=net.has_bias)
    check(found, X, mask, "realised")
    again = realise_parameters(net.widths, X, ed.activation_pattern(net, X), bias=net.has_bias)
    assert again.witness == found.witness


def test_samples_that_a_pattern_has_dropped_are_left_out():
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    X = [[-1], [0], [2]]
    pattern = ed.activation_pattern(net, X, on_kink="drop")
    found = realise_parameters((1, 1, 1), X, pattern)
    assert found.space.batch == QMatrix([[-1], [2]])
    check(found, [[-1], [2]], columns("01"), "realised")


def test_thin_dichotomies_have_exact_witnesses():
    X = [[0], [1], [1 + Fraction(1, 2**60)], [2]]
    for method in ("auto", "smt"):
        mask = columns("0011", "1110", "0110", "0100")
        found = realise_parameters((1, 2, 2, 1), X, mask, method=method)
        check(found, X, mask, "realised")


# -- a single layer is linear -----------------------------------------------------------------


@given(st.data())
def test_one_layer_against_vertices(data):
    """A word is possible if and only if nothing positive combines the samples to zero."""
    inputs = data.draw(st.integers(1, 2))
    bias = data.draw(st.booleans())
    X = data.draw(
        st.lists(st.lists(entries, min_size=inputs, max_size=inputs), min_size=1, max_size=5)
    )
    features = [[Fraction(v) for v in x] + [Fraction(1)] * bias for x in X]
    for word in map("".join, itertools.product("01", repeat=len(X))):
        found = realise_parameters((inputs, 1, 1), X, columns(word), bias=bias)
        verdict = "realised" if divides(features, word) else "impossible"
        check(found, X, columns(word), verdict, "linear program")


def divides(features, word):
    """Whether a hyperplane divides vectors so, by trying all that are spanned by some of them."""
    if any(bit == "1" and not any(f) for f, bit in zip(features, word, strict=True)):
        return False
    rows = [
        [v if bit == "1" else -v for v in f]
        for f, bit in zip(features, word, strict=True)
        if any(f)
    ]
    k = len(features[0])
    # Gordan: there is no solution if and only if a positive combination is zero; by Caratheodory
    # one of at most k + 1 vectors, independent but for that relation.
    for size in range(1, min(len(rows), k + 1) + 1):
        for some in itertools.combinations(rows, size):
            kernel = QMatrix([list(row) for row in some]).T.kernel()
            if kernel.shape[0] == 1:
                signs = {(v > 0) - (v < 0) for v in kernel.tolist()[0]}
                if signs in ({1}, {-1}):
                    return False
    return True


def test_identically_zero_is_off():
    # T2: x = -1, no biases, w_1 > 0: the first unit is off and z_2 is zero whatever w_2 is.
    X, bias = [[-1]], False
    check(
        realise_parameters((1, 1, 1, 1), X, [[0, 0]], bias=bias), X, columns("0", "0"), "realised"
    )
    check(
        realise_parameters((1, 1, 1, 1), X, [[0, 1]], bias=bias),
        X,
        columns("0", "1"),
        "impossible",
        "linear program",
    )
    check(
        realise_parameters((1, 1, 1, 1), X, [[0, 1]], bias=bias, method="smt"),
        X,
        columns("0", "1"),
        "impossible",
        "smt",
    )
    # A zero sample is off in a first layer without bias, and reads the bias of the next.
    bias = (False, True, True)
    for word, verdict in (("0", "realised"), ("1", "impossible")):
        for above in "01":
            found = realise_parameters((1, 1, 1, 1), [[0]], columns(word, above), bias=bias)
            check(found, [[0]], columns(word, above), verdict)


def test_no_unit_without_bias_is_off_at_opposite_samples():
    found = realise_parameters((1, 1, 1, 1), [[-1], [1]], columns("00", "00"), bias=False)
    check(found, [[-1], [1]], columns("00", "00"), "impossible", "linear program")


# -- two layers -------------------------------------------------------------------------------


def test_middle_alone_above_one_increasing_unit():
    # h = (0, p, q) with q > 3 p: the second unit cannot be on at the middle sample only.
    for words, verdict in (
        (("011", "010"), "impossible"),
        (("011", "001"), "realised"),
        (("011", "110"), "realised"),
        (("011", "101"), "impossible"),
    ):
        for method in ("auto", "smt"):
            found = realise_parameters((1, 1, 1, 1), LINE, columns(*words), method=method)
            check(found, LINE, columns(*words), verdict)


def test_two_units_with_one_word_are_read_as_any_vector():
    # h_1 - h_2 is (0, p, -p): impossible above one unit 011, possible above two.
    mask = columns("011", "011", "010")
    check(realise_parameters((1, 2, 1, 1), LINE, mask), LINE, mask, "realised", "linear program")


def test_words_that_exclude_each_other():
    # h = (0, p, q). To be on at the second sample only takes p > q, at the third only q > p.
    X = PLANE[:3]
    for words, verdict in (
        (("011", "010", "010"), "realised"),
        (("011", "001", "001"), "realised"),
        (("011", "010", "001"), "impossible"),
        (("011", "101", "001"), "impossible"),
        (("011", "010", "111"), "realised"),
    ):
        mask = columns(*words)
        check(realise_parameters((2, 1, 2, 1), X, mask), X, mask, verdict, "linear program")
        check(realise_parameters((2, 1, 2, 1), X, mask, method="smt"), X, mask, verdict, "smt")


def test_words_that_exclude_each_other_by_a_product():
    # h = (0, 0), (0, p), (q, 0), (r, s). With a bias c < 0, to be on at the last sample only takes
    # r/q + s/p > 1: the weights are below -c/q and -c/p. To be on at the other two takes weights
    # above these, and then to be off at the last sample r/q + s/p < 1.
    for upper, verdict, method in (
        (("0001", "0001"), "realised", "linear program"),
        (("0110", "0110"), "realised", "linear program"),
        (("0001", "0110"), "impossible", "smt"),
        (("1110", "0110"), "impossible", "smt"),
        (("1001", "0001"), "impossible", "smt"),
    ):
        mask = columns("0011", "0101", *upper)
        check(realise_parameters((2, 2, 2, 1), PLANE, mask), PLANE, mask, verdict, method)


def test_a_linear_part_that_is_impossible_is_enough():
    # Samples 0 to 2 are as in the case above that is linear, whatever the other unit does at 3.
    mask = columns("0001", "0111", "0010", "0100")
    found = realise_parameters((2, 2, 2, 1), PLANE, mask)
    check(found, PLANE, mask, "impossible", "linear program")
    widths, X, words = HARD
    mask = columns(*(word for layer in words for word in layer))
    check(realise_parameters(widths, X, mask), X, mask, "impossible", "linear program")


@given(st.data())
def test_the_same_verdict_as_the_solver_alone(data):
    """Lower layers are those of a network, so that the last words are what decides."""
    net = data.draw(networks(max_width=2, max_depth=4, min_depth=2))
    X = data.draw(batches(net, max_size=3))
    layers = oracles.layers_of(net)
    assume(not any(oracles.kinked(layers, x) for x in X))
    mask = mask_of(net, X)
    for k in range(net.n_hidden - net.widths[-2], net.n_hidden):
        mask[:, k] = data.draw(st.lists(st.booleans(), min_size=len(X), max_size=len(X)))
    found = realise_parameters(net.widths, X, mask, bias=net.has_bias, max_seconds=10)
    alone = realise_parameters(net.widths, X, mask, bias=net.has_bias, method="smt", max_seconds=2)
    check(found, X, mask, found.verdict)
    assert alone.verdict in {found.verdict, "unknown"}
    assert alone.method == "smt"
    if alone.verdict == "realised":
        check(alone, X, mask, "realised")


@given(st.data())
def test_no_linear_part_of_what_a_network_has_is_ruled_out(data):
    net = data.draw(networks(max_width=3, max_depth=4, min_depth=3))
    X = data.draw(batches(net, max_size=3))
    layers = oracles.layers_of(net)
    assume(not any(oracles.kinked(layers, x) for x in X))
    check_nothing_is_ruled_out(net, X)


def test_nothing_is_ruled_out_above_bent_features():
    # h_2 is (0, 2), (1/2, 1), (5/2, 0) at the samples: all words, although h_1 is affine.
    net = ed.ReLUNetwork([[[1]], [[1], [-1]], [[1, 1]], [[1]]], [[2], ["-3/2", 3], [1], [0]])
    check_nothing_is_ruled_out(net, LINE)
    for region in random.Random(0).sample(list(ParameterRegions((1, 1, 2, 1, 1), LINE)), 30):
        check_nothing_is_ruled_out(region.witness, LINE)


def check_nothing_is_ruled_out(net, X):
    """Whether words that the next layer can have above a network's layers are not ruled out."""
    units = [
        W if b is None else QMatrix.hstack([W, b.T])
        for W, b in zip(net.weights, net.biases, strict=True)
    ]
    space = ParameterSpace.read(net.widths, X, net.has_bias)
    letters = ["".join("01"[bit] for bit in column) for column in mask_of(net, X).T.tolist()]
    cuts = itertools.pairwise(itertools.accumulate((0, *net.widths[1:-1])))
    words = tuple(tuple(letters[start:stop]) for start, stop in cuts)
    for layer in range(1, len(words)):
        lower = LowerLayers(space, words[:layer], tuple(units[:layer]))
        assert lower.are_right()
        assert lower.make(words[layer])
        for word in map("".join, itertools.product("01", repeat=len(X))):
            if lower.make([word]):
                assert not Beginning([lower], Solver())._ruled_out([word, *words[layer][:-1]])


# -- the solver -------------------------------------------------------------------------------


def test_a_question_that_takes_too_long_stays_open():
    widths, X, words = HARD
    mask = columns(*(word for layer in words for word in layer))
    found = realise_parameters(widths, X, mask, method="smt", max_seconds=0.1)
    assert (found.verdict, found.method, found.witness) == ("unknown", "smt", None)
    with pytest.raises(errors.Undecided, match=r"1110 \| 1111 1111 \| 0101") as caught:
        bool(found)
    assert (caught.value.lower, caught.value.upper) == (0, 1)
    assert "unknown" in repr(found)
    solver = Solver(max_seconds=1e-6)
    space = ParameterSpace.read((1, 1, 1), [[1]])
    assert solver.decide(space, (("1",),)) == ("unknown", None)  # easy, but the time is over
    assert solver.answers == {"unknown": 1}


def test_what_the_solver_proposes_is_not_trusted(monkeypatch):
    mask = columns("0011", "0101", "0110")
    assert realise_parameters((2, 2, 1, 1), PLANE, mask, method="smt")
    monkeypatch.setattr(solver_module, "_number", lambda value, bits: Fraction(1))
    found = realise_parameters((2, 2, 1, 1), PLANE, mask, method="smt")
    assert found.verdict == "unknown"


def test_rounding_goes_on_until_the_next_layer_fits(monkeypatch):
    # Two equal units x + 1/2 have their words, but the one above does not have its own.
    exact, coarse = solver_module._number, itertools.cycle([Fraction(1), Fraction(1, 2)])
    monkeypatch.setattr(
        solver_module,
        "_number",
        lambda value, bits: next(coarse) if bits == 8 else exact(value, bits),
    )
    mask = columns("011", "011", "010")
    found = realise_parameters((1, 2, 1, 1), LINE, mask, method="smt")
    check(found, LINE, mask, "realised", "smt")


def test_algebraic_numbers_are_rounded_better_and_better():
    import z3

    x = z3.Real("x")
    solver = z3.Solver()
    solver.add(x * x == 2, x > 0)
    assert solver.check() == z3.sat
    for bits in (8, 64, 500):
        value = solver_module._number(solver.model()[x], bits)
        assert abs(value**2 - 2) < Fraction(1, 2 ** (bits - 3))
        assert value.denominator & (value.denominator - 1) == 0
        assert value.denominator <= 2**bits
    assert solver_module._number(z3.RealVal("-3/1024"), 8) == Fraction(-3, 1024)
    assert solver_module._number(z3.RealVal(0), 8) == 0


def test_ctrl_c_reaches_the_caller():
    widths, X, words = HARD
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        Solver(60).decide(ParameterSpace.read(widths, X), words)


def test_without_z3_only_what_needs_it_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "z3", None)
    assert realise_parameters((1, 2, 1, 1), LINE, columns("011", "011", "010"))
    with pytest.raises(errors.MissingDependency, match=r"exactdim\[smt\]"):
        realise_parameters((2, 2, 2, 1), PLANE, columns("0011", "0101", "0001", "0110"))


# -- what is refused --------------------------------------------------------------------------


def test_multiplicity_counts_orders_of_units():
    mask = columns("011", "011", "001", "010", "100")
    assert realise_parameters((1, 3, 2, 1), LINE, mask, max_seconds=60).multiplicity == 3 * 2
    assert realise_parameters((1, 1), LINE, np.zeros((3, 0))).multiplicity == 1


def test_no_hidden_layer():
    for method in ("auto", "smt"):
        found = realise_parameters((1, 2), LINE, np.zeros((3, 0)), method=method)
        check(found, LINE, np.zeros((3, 0), bool), "realised")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (((1, 1, 1), LINE, [[0, 1]] * 3), errors.ShapeMismatch, "mask"),
        (((1, 1, 1), LINE, [[0], [1], [2]]), errors.InvalidInput, "0 and 1"),
        (((2, 1, 1), LINE, [[0]] * 3), errors.ShapeMismatch, "inputs"),
        (((1, 1, 1), [], np.zeros((0, 1))), errors.InvalidInput, "empty|no"),
        (((1,), LINE, [[0]] * 3), errors.InvalidInput, "widths"),
    ],
)
def test_bad_input_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        realise_parameters(*arguments)


def test_bad_options_are_refused():
    with pytest.raises(errors.InvalidInput, match="guess"):
        realise_parameters((1, 1, 1), LINE, columns("001"), method="guess")
    with pytest.raises(errors.InvalidInput, match="max_seconds=0"):
        realise_parameters((1, 1, 1), LINE, columns("001"), max_seconds=0)
    with pytest.raises(errors.InvalidInput, match="flags"):
        realise_parameters((1, 1, 1), LINE, columns("001"), bias=[True])
    pattern = ed.activation_pattern(ed.ReLUNetwork.random((1, 1, 1), seed=0), [[1]])
    with pytest.raises(errors.ShapeMismatch, match="1 samples and X has 3"):
        realise_parameters((1, 1, 1), LINE, pattern)
