"""The generic rank of a pattern (T4), genericity of a network, identifiability (T14)."""

import itertools
import random

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import errors
from exactdim.dimension import generic as module
from exactdim.dimension.generic import Genericity

GE1 = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
GE2 = ed.ReLUNetwork([[[2]], [[0]]], [[-1], [5]])
AT = [[0], [1], [2]]


def off_kinks(net, X):
    try:
        return ed.activation_pattern(net, X)
    except errors.OnKink:
        return None


def test_goldens():
    """T4: the same pattern, rank 3 almost everywhere and 2 where v = 0; and only for fixed X."""
    assert ed.local_dimension(GE2, AT).value == 2
    for net in (GE1, GE2):
        assert ed.generic_dimension(net, None, AT).value == 3
    assert ed.generic_dimension((1, 1, 1), [[0], [1], [1]], AT).value == 3
    assert ed.generic_dimension(GE1, None, [[1], [2]]).value == 2
    assert ed.generic_dimension(GE1, None, [[1], [1]]).value == 1
    assert ed.is_generic(GE1, AT).verdict is True
    assert ed.is_generic(GE2, AT).verdict is False


@given(problems(max_depth=3, max_width=3))
def test_against_elimination_over_the_polynomials(problem):
    net, X = problem
    if off_kinks(net, X) is None:
        return
    found = ed.generic_dimension(net, None, X)
    assert found.status == "proved"
    assert found.value == ed.symbolic(net, X).generic_rank()
    here = ed.is_generic(net, X)
    rank = ed.local_dimension(net, X, proof="full").value
    assert here.verdict is (rank == found.value)
    assert rank <= found.value <= min(b.value for b in found.bounds)


@given(st.data())
def test_formal_masks(data):
    """Of any mask, realised or not: T18's determinantal formula where all samples share one."""
    widths = tuple(data.draw(st.lists(st.integers(1, 3), min_size=3, max_size=5)))
    bias = data.draw(st.booleans())
    n = data.draw(st.integers(1, 6))
    entry = st.integers(-3, 3)
    X = [[data.draw(entry) for _ in range(widths[0])] for _ in range(n)]
    row = [data.draw(st.integers(0, 1)) for _ in range(sum(widths[1:-1]))]
    found = ed.generic_dimension(widths, [row] * n, X, bias=bias)
    cuts = np.cumsum([0, *widths[1:-1]])
    on = [sum(row[a:b]) for a, b in itertools.pairwise(cuts)]
    q = ed.QMatrix([[*x, 1] for x in X]).rank() - 1 if bias else ed.QMatrix(X).rank()
    rho = min(q, *on, widths[-1])
    outputs = widths[-1]
    if 0 in on:
        expected = outputs if bias else 0
    else:
        expected = rho * (q + outputs - rho) + (outputs if bias else 0)
    assert found.value == expected


def test_without_elimination_the_answer_is_a_bracket_or_probable(monkeypatch):
    """An open gap is never called proved, and the probability is that of Schwartz and Zippel."""
    monkeypatch.setattr(module, "SYMBOLIC_ENTRIES", 0)
    X = [[3], [-1], [-2], [2]]
    mask = [[0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1]]
    truth = ed.symbolic((1, 2, 2, 2), X, mask).generic_rank()
    found = ed.generic_dimension((1, 2, 2, 2), mask, X)
    assert (found.lower, found.status) == (truth, "probable")
    assert found.lower < found.upper
    assert 0 < found.failure_probability <= 2**-40
    assert found.likely == truth
    with pytest.raises(errors.Undecided):
        _ = found.value
    replayed = ed.generic_dimension((1, 2, 2, 2), mask, X, seed=1)
    assert (replayed.status, replayed.failure_probability) == ("bracketed", None)
    assert replayed.lower == truth


def test_the_bound_on_the_coefficients():
    """Minors of the formal Jacobian, expanded, are within the bound on their coefficients."""
    source = random.Random(4)
    for widths in ((1, 2, 1), (2, 1, 2), (1, 1, 1, 1)):
        X = [[source.randint(-5, 5) for _ in range(widths[0])] for _ in range(3)]
        mask = [[1] * sum(widths[1:-1])] * 3
        formal = ed.symbolic(widths, X, mask)
        search = module._Search(formal, 0.5, None)
        J = sympy.Matrix(formal.jacobian)
        for r in (1, 2):
            rows, columns = range(r), source.sample(range(J.shape[1]), r)
            minor = sympy.Poly(J.extract(list(rows), columns).det(), *formal.parameters)
            size = sum(abs(int(c)) for c in minor.coeffs())
            assert size.bit_length() <= search._height(r)
            assert minor.total_degree() <= r * (len(widths) - 2)


def test_an_open_question_says_so(monkeypatch):
    monkeypatch.setattr(module, "SYMBOLIC_ENTRIES", 0)
    net = ed.ReLUNetwork.random((2, 2, 2, 1), seed=0)
    X = [[-8, -1], [6, -7], [-7, -5], [-5, -8]]
    here = ed.is_generic(net, X)
    assert here.verdict is None
    with pytest.raises(errors.Undecided, match="decides nothing"):
        bool(here)


def test_no_certificate_of_what_holds_almost_everywhere():
    with pytest.raises(errors.CertificateError, match="almost every"):
        ed.generic_dimension(GE1, None, AT).certificate()


def test_errors():
    with pytest.raises(errors.InvalidInput, match="probability"):
        ed.generic_dimension(GE1, None, AT, error=2)
    with pytest.raises(errors.InvalidInput, match="mask"):
        ed.generic_dimension((1, 1, 1), None, AT)
    with pytest.raises(errors.ShapeMismatch):
        ed.generic_dimension((1, 1, 1), [[1]], AT)
    with pytest.raises(errors.OnKink):
        ed.is_generic(ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]]), [[0]])


# -- identifiability --------------------------------------------------------------------------


def test_identifiable_goldens():
    found = ed.identifiability(GE1, AT)
    assert found.verdict is True
    assert found.hidden_symmetries.shape == (0, 4)
    assert ed.identifiability(GE1).verdict is True
    one_piece = ed.identifiability(GE1, [[1], [2], [3]])
    assert one_piece.verdict is False
    assert one_piece.hidden_symmetries.shape == (1, 4)


def test_where_the_rank_jumps_nothing_is_decided():
    found = ed.identifiability(GE2, AT)
    assert found.verdict is None
    assert found.hidden_symmetries.shape == (1, 4)
    with pytest.raises(errors.Undecided, match="larger rank"):
        bool(found)


def test_the_fold():
    """A deficient rank that jumps nearby, yet identifiable: bias-free (2,2,2,1), rank 5 < 6."""
    fold = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [1, 1]], [[1, 1]]], [None, None, None])
    X = [[1, 2], [2, 1], [3, 1]]
    found = ed.identifiability(fold, X)
    assert found.dimension.value < fold.n_parameters - fold.n_hidden
    assert found.verdict is not True


@given(problems(max_depth=3, max_width=3))
def test_hidden_symmetries_complete_the_rescalings(problem):
    """T14: with the gauge vectors they are a basis of the kernel; none is needed at P - H."""
    net, X = problem
    if off_kinks(net, X) is None:
        return
    found = ed.identifiability(net, X)
    J, gauge, hidden = ed.jacobian(net, X), ed.gauge_vectors(net), found.hidden_symmetries
    assert (J @ hidden.T).is_zero()
    assert (gauge @ hidden.T).is_zero()
    assert gauge.rank() == found.n_rescalings
    assert hidden.rank() == hidden.shape[0] == J.shape[1] - J.rank() - gauge.rank()
    largest = net.n_parameters - net.n_hidden
    assert (found.verdict is True) == (J.rank() == largest)
    if found.verdict is True:
        assert gauge.rank() == net.n_hidden
    elif found.verdict is False:
        assert isinstance(found.genericity, Genericity)
        assert bool(found.genericity)


def test_not_identifiable_networks_have_others_nearby():
    """Where the verdict is no, a network nearby with the same outputs is no rescaling."""
    net = ed.ReLUNetwork([[[1]], [[2]]], [[5], [1]])
    X = [[0], [1], [2]]
    assert ed.identifiability(net, X).verdict is False
    # f = v (w x + b) + c = 2 x + 11 on the batch: move b and c against each other
    other = ed.ReLUNetwork([[[1]], [[2]]], [["51/10"], ["4/5"]])
    assert other(X) == net(X)
    assert ed.are_equivalent(net, other) is None or not ed.are_equivalent(net, other)


def test_from_the_function():
    cancelling = ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]])
    found = ed.identifiability(cancelling)
    assert found.from_function
    assert found.verdict is None
    assert found.hidden_symmetries.shape[0] == 7 - 3 - 2
