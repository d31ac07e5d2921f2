"""`check_invariance` finds what symmetries change, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from networks import problems

import exactdim as ed
from exactdim import QMatrix, Symmetry, errors
from exactdim.testing.invariance import check_invariance

NET = ed.ReLUNetwork([[[2, 1], [1, -1]], [[3, -2]]], [[-1, 0], [5]])
X = [[1, 2], [2, -1], [-3, 1]]


@pytest.mark.parametrize("under", ["symmetries", "rescalings", "permutations"])
@pytest.mark.parametrize(
    "quantity",
    ["local_dimension", "full_dimension", "function", "activation_pattern", "jacobian"],
)
def test_what_ships_is_invariant(quantity, under):
    report = ed.check_invariance(quantity, NET, X, under=under, examples=30, seed=1)
    assert report
    assert report.counterexample is None
    assert quantity in str(report)


@given(problems(min_depth=2))
@settings(max_examples=20)
def test_the_rank_is_invariant_on_degenerate_networks(problem):
    def rank(net, X):
        return ed.jacobian(net, X, on_kink="zero").rank()

    for under in ("symmetries", "splittings"):
        assert check_invariance(rank, *problem, under=under, examples=10, seed=0)


def test_a_norm_is_not_invariant_under_rescaling_but_is_under_permutation():
    def squared_norm(net, X):
        return sum(v * v for v in net.parameters().tolist()[0])

    report = check_invariance(squared_norm, NET, X, under="rescalings", seed=0)
    assert not report
    found = report.counterexample
    assert found.move.orders == ((0, 1),)
    assert sum(x != 1 for x in found.move.factors[0]) == 1  # shrunk to one unit
    assert found.expected == squared_norm(NET, X)
    assert found.found == squared_norm(found.move(NET), X)
    assert found.X.shape[0] == 1  # no sample is needed to see it
    assert check_invariance(squared_norm, NET, X, under="permutations", seed=0)


def test_a_counterexample_is_shrunk_and_says_what_it_is():
    def first_unit(net, X):
        return ed.activation_pattern(net, X).mask[:, 0]

    report = check_invariance(first_unit, NET, X, under="symmetries", seed=0)
    found = report.counterexample
    assert found.move == Symmetry(NET.widths, [(1, 0)], [(1, 1)])
    assert found.X.shape == (1, 2)
    assert found.X.tolist()[0] in QMatrix(X).tolist()
    assert "Symmetry((2, 2, 1), orders=[[1, 0]]" in str(report)
    spelled = {"ReLUNetwork": ed.ReLUNetwork}
    exec("\n".join(line.strip() for line in str(found).splitlines()[1:]), spelled)
    assert (spelled["net"], QMatrix(spelled["X"])) == (NET, found.X)
    assert "first_unit is not invariant under symmetries" in str(report)
    # and with the right transformation there is none
    everything = check_invariance(
        lambda net, X: ed.activation_pattern(net, X).mask,
        NET,
        X,
        transform=lambda s, mask: s.on_pattern(mask),
    )
    assert everything


def test_a_float_rank_is_refuted():
    """Float32 with its default threshold: a factor that is large enough."""

    def float_rank(net, X):
        return int(np.linalg.matrix_rank(ed.jacobian(net, X).to_numpy(np.float32)))

    report = check_invariance(float_rank, NET, X, under="rescalings", examples=500, seed=0)
    assert not report
    assert report.counterexample.found < report.counterexample.expected


def test_splitting_changes_the_number_of_parameters():
    report = check_invariance(lambda net, X: net.n_parameters, NET, X, under="splittings", seed=0)
    assert report.counterexample.found == 9 + 2 + 2
    assert "split_unit(net, 0, 0, '1/2')" in str(report)


def test_what_a_quantity_may_be():
    """Arrays of any shape, containers of arrays, NaN."""

    def of_another_shape(net, X):
        return np.ones(net.n_parameters)

    assert not check_invariance(of_another_shape, NET, X, under="splittings", seed=0)
    for value in ((np.ones(2), 1), [np.nan, {"a": np.array([np.nan])}], float("nan")):
        assert check_invariance(lambda net, X, value=value: value, NET, X, examples=5, seed=0)

    def layers(net, X):
        return ed.activation_pattern(net, X).layers

    assert not check_invariance(layers, NET, X, under="permutations", seed=0)
    assert check_invariance(layers, NET, X, under="rescalings", seed=0)


def test_a_quantity_may_refuse_small_batches():
    def first_weight(net, X):
        if X.shape[0] < 2:
            raise ValueError("too few samples")
        return net.weights[0][0, 0]

    report = check_invariance(first_weight, NET, X, under="rescalings", seed=0)
    assert report.counterexample.X.shape[0] == 2


def test_bad_arguments():
    with pytest.raises(errors.InvalidInput, match="examples="):
        check_invariance("function", NET, X, examples=0)
    with pytest.raises(errors.InvalidInput, match="under="):
        check_invariance("function", NET, X, under="rotations")
    with pytest.raises(errors.InvalidInput, match="quantity="):
        check_invariance("sharpness", NET, X)
    with pytest.raises(errors.InvalidInput, match="only symmetries"):
        check_invariance("jacobian", NET, X, under="splittings")
    with pytest.raises(errors.InvalidInput, match="no hidden unit"):
        check_invariance("function", ed.ReLUNetwork([[[1]]]), [[1]], under="splittings")
    with pytest.raises(ZeroDivisionError):
        check_invariance(lambda net, X: 1 / 0, NET, X)
