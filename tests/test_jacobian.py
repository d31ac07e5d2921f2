from fractions import Fraction

import numpy as np
import oracles
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.arith import modular
from exactdim.arith.modular import rank_of_residues
from exactdim.nets.jacobian import float_jacobian, jacobian_factors

P61 = 2**61 - 1
heads = st.sampled_from(["logits", "softmax"])


@given(problems(), heads)
def test_jacobian_agrees_with_the_chain_rule(problem, head):
    net, X = problem
    expected = oracles.jacobian(oracles.layers_of(net), X, softmax=head == "softmax")
    J = ed.jacobian(net, X, head=head, on_kink="zero")
    assert J.tolist() == expected
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    assert factors.shape == J.shape
    assert rank_of_residues(factors.residues(P61)) == modular.rank(J, P61)


@given(problems(), st.data())
def test_difference_quotients_equal_the_jacobian(problem, data):
    """T3: affine in each parameter, so a quotient needs no limit while the pattern holds."""
    net, X = problem
    kinks = ed.activation_pattern(net, X, on_kink="zero").kinks
    assume(not kinks)
    J, value = ed.jacobian(net, X), net(X)
    theta = net.parameters().tolist()[0]
    column = data.draw(st.integers(0, net.n_parameters - 1))
    step = Fraction(1)
    while True:  # shrink until the pattern is unchanged
        moved = net.with_parameters([[v + step * (c == column) for c, v in enumerate(theta)]])
        if ed.activation_pattern(moved, X, on_kink="zero") == ed.activation_pattern(net, X):
            break
        step /= 16
    quotient = (moved(X) - value) * (1 / step)
    assert [x for row in quotient.tolist() for x in row] == [
        row[0] for row in J[:, [column]].tolist()
    ]


def test_golden_t3_all_columns_of_a_deep_net():
    net = ed.ReLUNetwork.random((2, 3, 3, 2), seed=3)
    X = [["1/3", 2], [-1, "1/7"], [3, -2]]
    J, value = ed.jacobian(net, X), net(X)
    assert J.shape == (6, 29)
    theta = net.parameters().tolist()[0]
    step = Fraction(1, 10**9)
    for column in range(29):
        moved = net.with_parameters([[v + step * (c == column) for c, v in enumerate(theta)]])
        quotient = ((moved(X) - value) * 10**9).tolist()
        assert [x for row in quotient for x in row] == [row[0] for row in J[:, [column]].tolist()]


@given(problems())
def test_input_jacobian_by_difference_quotients(problem):
    net, X = problem
    # A zero that is harmless for the parameters (no bias, zero input) is a kink for the sample.
    layers = oracles.layers_of(net)
    assume(all(z for x in X for layer in oracles.forward(layers, x)[1] for z in layer))
    blocks = ed.jacobian(net, X, wrt="input")
    assert len(blocks) == len(X)
    for x, block in zip(X, blocks, strict=True):
        for m in range(len(x)):
            step = Fraction(1)
            while True:
                y = [v + step * (k == m) for k, v in enumerate(x)]
                if ed.activation_pattern(net, [y], on_kink="zero") == ed.activation_pattern(
                    net, [x]
                ):
                    break
                step /= 16
            quotient = ((net([y]) - net([x])) * (1 / step)).tolist()[0]
            assert [row[0] for row in block[:, [m]].tolist()] == quotient


@given(problems())
def test_softmax_head_has_the_rank_of_the_probabilities(problem):
    """T28: diag(p) - p p^T in front, for arbitrary positive rational p that sum to one."""
    net, X = problem
    classes = net.widths[-1]
    J = ed.jacobian(net, X, on_kink="zero")
    rows = []
    for i in range(len(X)):
        weights = [Fraction(1 + (i + k) % 5) for k in range(classes)]
        p = [w / sum(weights) for w in weights]
        S = [[p[a] * (a == b) - p[a] * p[b] for b in range(classes)] for a in range(classes)]
        rows.append(QMatrix(S) @ J[slice(i * classes, (i + 1) * classes)])
    C = ed.jacobian(net, X, head="softmax", on_kink="zero")
    assert QMatrix.vstack(rows).rank() == C.rank()
    assert J.rank() - len(X) <= C.rank() <= min(J.rank(), len(X) * (classes - 1))


@given(problems())
def test_torch_autograd_agrees(problem):
    net, X = problem
    assume(all(v.denominator & (v.denominator - 1) == 0 for v in net.parameters().tolist()[0]))
    assume(not ed.activation_pattern(net, X, on_kink="zero").kinks)
    module = net.to_torch()
    batch = torch.tensor([[float(v) for v in x] for x in X], dtype=torch.float64)
    rows = []
    for out in module(batch).reshape(-1):
        gradients = torch.autograd.grad(
            out, list(module.parameters()), retain_graph=True, allow_unused=True
        )
        rows.append(np.concatenate([g.reshape(-1).numpy() for g in gradients]))
    expected = ed.jacobian(net, X).to_numpy(np.float64)
    assert np.allclose(np.array(rows), expected, rtol=1e-9, atol=1e-9)
    assert np.allclose(float_jacobian(net, X), expected, rtol=1e-9, atol=1e-9)


def test_float_softmax_jacobian_against_torch():
    net = ed.ReLUNetwork.random((3, 4, 3), seed=2)
    X = np.random.default_rng(0).standard_normal((2, 3))
    module = net.to_torch()
    out = torch.softmax(module(torch.from_numpy(X)), dim=1).reshape(-1)
    rows = [
        torch.cat([
            g.reshape(-1)
            for g in torch.autograd.grad(o, list(module.parameters()), retain_graph=True)
        ])
        for o in out
    ]
    assert np.allclose(
        torch.stack(rows).numpy(), float_jacobian(net, X, head="softmax"), atol=1e-14
    )


@given(problems())
def test_gram_identity(problem):
    """T25: J J^T is the sum over layers of (M M^T) o (h~ h~^T)."""
    net, X = problem
    factors = jacobian_factors(net, X, on_kink="zero")
    J, d = factors.dense, factors.outputs
    expected = (J @ J.T).tolist()
    grams = [
        (M @ M.T, h @ h.T) for M, h in zip(factors.sensitivities, factors.features, strict=True)
    ]
    for r, row in enumerate(expected):
        for s, entry in enumerate(row):
            assert entry == sum(M[r, s] * h[r // d, s // d] for M, h in grams)


@given(problems())
def test_squared_row_norms_bound_the_scaled_rows(problem):
    net, X = problem
    factors = jacobian_factors(net, X, on_kink="zero")
    for norm, row in zip(factors.squared_row_norms(), factors.dense.tolist(), strict=True):
        assert (norm == 0) == (not any(row))
        assert norm >= 0


def test_bad_arguments():
    net = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    with pytest.raises(errors.InvalidInput, match="head"):
        ed.jacobian(net, [[1, 2]], head="probits")
    with pytest.raises(errors.InvalidInput, match="wrt"):
        ed.jacobian(net, [[1, 2]], wrt="weights")


def test_too_large_a_jacobian_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr("exactdim.nets.jacobian.MAX_ENTRIES", 10)
    net = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    with pytest.raises(errors.TooLarge, match="1 x 13"):
        ed.jacobian(net, [[1, 2]])


def test_dropped_samples_have_no_rows():
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    assert ed.jacobian(net, [[0], [1]], on_kink="drop") == ed.jacobian(net, [[1]])
