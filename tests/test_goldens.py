"""The golden numbers of the statements, each worked out by hand or by another system."""

import itertools
from fractions import Fraction

import numpy as np
import oracles
import pytest
import sympy
from hypothesis import given
from networks import problems
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

import exactdim as ed
from exactdim import QMatrix
from exactdim.arith import modular
from exactdim.arith.elimination import rank_profile
from exactdim.nets.gram import weighted_gram
from exactdim.nets.jacobian import jacobian_factors

GE1 = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
GE2 = ed.ReLUNetwork([[[2]], [[0]]], [[-1], [5]])
X = [[0], [1], [2]]


def test_ge1():
    """T4."""
    assert GE1(X).tolist() == [[5], [8], [14]]
    assert ed.activation_pattern(GE1, X).mask.tolist() == [[False], [True], [True]]
    assert ed.jacobian(GE1, X) == QMatrix([[0, 0, 0, 1], [3, 3, 1, 1], [6, 3, 3, 1]])
    assert ed.local_dimension(GE1, X).value == 3
    assert ed.dimension_bounds(GE1, X)[0].value == 3  # P - H = 3 attained


def test_ge2_same_pattern_smaller_rank():
    """T4, T5: with v = 0 the rank is 2, below the generic rank 3 of the same pattern."""
    assert ed.activation_pattern(GE2, X) == ed.activation_pattern(GE1, X)
    assert ed.local_dimension(GE2, X).value == 2


def test_the_pattern_alone_does_not_fix_the_rank():
    """T4: A = (1,1) at X = (1,2) and at X = (1,1)."""
    for batch, rank in (([[1], [2]], 2), ([[1], [1]], 1)):
        assert ed.activation_pattern(GE1, batch).mask.tolist() == [[True], [True]]
        assert ed.local_dimension(GE1, batch).value == rank


@pytest.mark.parametrize(("targets", "rank"), [((5, 8, 14), 3), ((5, 8, 15), 4)])
def test_hessian_at_and_off_interpolation(targets, rank):
    """T20: at interpolation rank Hess = rank J = 3; off it, 4."""
    w, b, v, c = sympy.symbols("w b v c")
    outputs = [c, v * (w * 1 + b) + c, v * (w * 2 + b) + c]  # the pattern of GE1
    loss = sum((f - y) ** 2 for f, y in zip(outputs, targets, strict=True))
    theta = dict(zip((w, b, v, c), (2, -1, 3, 5), strict=True))
    hessian = sympy.hessian(loss, (w, b, v, c)).subs(theta)
    assert DomainMatrix.from_Matrix(hessian).convert_to(QQ).rank() == rank
    table = [[Fraction(int(x)) for x in hessian.row(i)] for i in range(4)]
    assert QMatrix(table).rank() == rank
    if targets == (5, 8, 14):
        J = ed.jacobian(GE1, X)
        assert QMatrix(table) == 2 * (J.T @ J)
        assert ed.local_dimension(GE1, X).value == rank


def test_gram_loses_rank_modulo_seven():
    """T24: det 126 = 2 * 3^2 * 7."""
    J = ed.jacobian(GE1, X)
    G = J @ J.T
    assert QMatrix([[1, 1, 1], [1, 20, 31], [1, 31, 55]]) == G
    assert G.minor([0, 1, 2], [0, 1, 2]) == 126
    assert G.rank() == J.rank() == 3
    assert (modular.rank(J, 7), modular.rank(G, 7)) == (3, 2)
    assert (modular.rank(J, 3), modular.rank(G, 3)) == (2, 2)


def test_gram_can_vanish_modulo_a_large_prime():
    """T24: an isotropic row modulo 2^31 - 1; the weighted Gram matrix is not fooled."""
    p = 2**31 - 1
    net = ed.ReLUNetwork([[[1, 1]]], [[0]])
    x = [[2, 2041534867]]
    J = ed.jacobian(net, x)
    assert QMatrix([[2, 2041534867, 1]]) == J
    assert modular.rank(J, p) == 1
    assert modular.rank(J @ J.T, p) == 0
    # The same of a width that the engine draws: 4 + y^2 + 1 = 0 modulo q.
    q, y = 8388587, 3732846
    J = ed.jacobian(net, [[2, y]])
    assert modular.rank(J, q) == 1
    assert modular.rank(J @ J.T, q) == 0
    factors = jacobian_factors(net, [[2, y]])
    for _ in range(20):
        assert rank_profile(weighted_gram(factors, q), q) == ([0], [0])


@given(problems())
def test_gram_has_the_rank_of_the_jacobian_over_the_rationals(problem):
    """T24."""
    net, batch = problem
    J = ed.jacobian(net, batch, on_kink="zero")
    assert (J @ J.T).rank() == (J.T @ J).rank() == J.rank()


@pytest.mark.parametrize(
    ("widths", "softmax", "logits"),
    [((2, 3, 3), 14, 18), ((2, 4, 3), 18, 23), ((3, 5, 4, 3), 45, 50)],
)
def test_softmax_bound_is_attained(widths, softmax, logits):
    """T28: P - H - (N_{L-1} + 1) is reached by some network."""
    rng = np.random.default_rng(0)
    for seed in range(60):
        net = ed.ReLUNetwork.random(widths, seed=seed)
        batch = rng.standard_normal((80, widths[0])) * 2
        assert net.n_parameters - net.n_hidden == logits
        found = ed.local_dimension(net, batch, head="softmax").value
        assert found <= softmax
        if found == softmax:
            return
    raise AssertionError("never attained")


# -- T8: path lifting, by brute force -----------------------------------------------------------


def paths(net):
    """Paths from an input or a bias to an output, as lists of parameter columns."""
    offsets, widths = net.parameter_offsets(), net.widths
    found = []
    for start in range(net.depth):
        sources = range(widths[0]) if start == 0 else []
        for units in itertools.product(*(range(w) for w in widths[start + 1 :])):
            rest = [
                offsets[layer] + units[layer - start] * widths[layer] + units[layer - start - 1]
                for layer in range(start + 1, net.depth)
            ]
            found += [
                ("input", m, start, units, [offsets[start] + units[0] * widths[start] + m, *rest])
                for m in sources
            ]
            bias = offsets[start] + widths[start + 1] * widths[start] + units[0]
            found.append(("bias", 0, start, units, [bias, *rest]))
    return found


@pytest.mark.parametrize(
    ("widths", "count", "parameters", "rank"),
    [
        ((1, 1, 1), 3, 4, 3),
        ((2, 2, 1), 7, 9, 7),
        ((2, 3, 2), 20, 17, 14),
        ((2, 2, 2, 1), 15, 15, 11),
        ((2, 3, 2, 2), 42, 23, 18),
    ],
)
def test_path_lifting_table(widths, count, parameters, rank):
    """T8: f = alpha phi and J = alpha Dphi exactly; rank Dphi = P - H for nonzero parameters."""
    net = ed.ReLUNetwork.random(widths, seed=11)
    theta = net.parameters().tolist()[0]
    lifted = paths(net)
    assert len(lifted) == count
    assert net.n_parameters == parameters
    phi = [[Fraction(np.prod([theta[c] for c in columns], dtype=object))] for *_, columns in lifted]
    derivative = [
        [phi[i][0] / theta[c] if c in columns else Fraction(0) for c in range(parameters)]
        for i, (*_, columns) in enumerate(lifted)
    ]
    assert oracles.rank(derivative) == QMatrix(derivative).rank() == rank
    assert rank == net.n_parameters - net.n_hidden
    batch = [[Fraction(i + 1, 3) * (-1) ** (i * k) for k in range(widths[0])] for i in range(5)]
    pattern = ed.activation_pattern(net, batch)
    alpha = []
    for i, x in enumerate(batch):
        for j in range(widths[-1]):
            row = []
            for kind, m, start, units, _ in lifted:
                on = all(
                    pattern.layers[start + step][i, unit] for step, unit in enumerate(units[:-1])
                )
                value = x[m] if kind == "input" else Fraction(1)
                row.append(value * on * (units[-1] == j))
            alpha.append(row)
    flat = QMatrix([[v] for row in net(batch).tolist() for v in row])
    assert QMatrix(alpha) @ QMatrix(phi) == flat
    J = ed.jacobian(net, batch)
    assert QMatrix(alpha) @ QMatrix(derivative) == J
    assert J.rank() <= min(QMatrix(alpha).rank(), rank)


# -- section 8: what thresholds do -----------------------------------------------------------------


def test_ranks_above_the_theoretical_maximum():
    """The recipe of 2402.08269's code exceeds P - H, which no true rank can."""
    rng = np.random.default_rng(0)
    layers = []
    for a, b in itertools.pairwise((10, 8, 8, 8, 5)):
        W = (rng.standard_normal((b, a)) * np.sqrt(2 / a)).astype(np.float32)
        layers.append((W, rng.uniform(-0.3, 0.3, b).astype(np.float32)))
    net = ed.as_network(layers)
    batch = rng.standard_normal((200, 10)).astype(np.float32)
    report = ed.crosscheck(net, batch, scales=())
    exact = report.exact["logits"].value
    assert exact <= net.n_parameters - net.n_hidden == 253
    ranks = {x.recipe.name: x.rank for x in report.numeric if x.head == "logits"}
    assert ranks["float32 J, eps64"] > 253
    assert report.exact["softmax"].value <= 244
