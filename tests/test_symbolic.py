import random
import re
import subprocess
import sys
from fractions import Fraction
from itertools import combinations

import numpy as np
import oracles
import pytest
import sympy
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser
from networks import batches, entries, problems
from sympy.polys.matrices import DomainMatrix

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.nets.polynomials import compressed
from exactdim.nets.rank_drop import common_zeros
from exactdim.nets.symbolic import symbolic

W1, b1, W2, b2 = sympy.symbols("W1_1_1 b1_1 W2_1_1 b2_1")
THETA = (2, -1, 3, 5)


# -- oracles: plain Fractions, one formal forward pass and its differences ------------------------


def formal_outputs(widths, has_bias, theta, X, mask):
    """All logits with prescribed activations, sample by sample."""
    values = []
    for x, row in zip(X, mask, strict=True):
        numbers, on = iter(theta), iter(row)
        h = list(x)
        for layer, biased in enumerate(has_bias):
            weight = [[next(numbers) for _ in h] for _ in range(widths[layer + 1])]
            shift = [next(numbers) if biased else 0 for _ in weight]
            z = [
                sum((w * v for w, v in zip(r, h, strict=True)), Fraction(b))
                for r, b in zip(weight, shift, strict=True)
            ]
            h = [v if layer == len(has_bias) - 1 or next(on) else Fraction(0) for v in z]
        values += h
    return values


def formal_jacobian(widths, has_bias, theta, X, mask):
    """Affine in each single parameter (T3), so a difference with step 1 is the derivative."""
    value = formal_outputs(widths, has_bias, theta, X, mask)
    columns = []
    for p in range(len(theta)):
        moved = [v + (k == p) for k, v in enumerate(theta)]
        after = formal_outputs(widths, has_bias, moved, X, mask)
        columns.append([u - v for u, v in zip(after, value, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def largest_rank(widths, has_bias, X, mask, *, draws=6):
    """Brute force for r_A: the largest rank at random integer parameters."""
    rng = random.Random(1)
    P = len(symbolic(widths, X, mask, bias=has_bias).parameters)
    thetas = [[Fraction(rng.randint(-(10**4), 10**4)) for _ in range(P)] for _ in range(draws)]
    return max(
        oracles.fraction_rank(formal_jacobian(widths, has_bias, theta, X, mask)) for theta in thetas
    )


@st.composite
def masked(draw, *, max_width=3, max_depth=3, max_samples=4):
    """Architecture, batch, and a mask that need not be realisable; units are often aligned."""
    widths = draw(st.lists(st.integers(1, max_width), min_size=2, max_size=max_depth + 1))
    has_bias = [draw(st.sampled_from([True, True, True, False])) for _ in widths[1:]]
    net = ed.ReLUNetwork.random(widths, seed=0, bias=has_bias)
    X = draw(batches(net, max_size=max_samples))
    column = st.lists(st.booleans(), min_size=len(X), max_size=len(X))
    palette = [[True] * len(X), draw(column), draw(column)]
    columns = [draw(st.sampled_from(palette) | column) for _ in range(net.n_hidden)]
    return (
        tuple(widths),
        tuple(has_bias),
        X,
        [list(row) for row in zip(*columns, strict=True)] or [[] for _ in X],
    )


def build(problem):
    widths, has_bias, X, mask = problem
    return symbolic(widths, X, mask, bias=has_bias)


def thetas(f, elements=entries):
    P = len(f.parameters)
    return st.lists(elements, min_size=P, max_size=P).map(lambda t: [Fraction(v) for v in t])


def at(f, matrix, theta):
    """A matrix of polynomials at a parameter, as a QMatrix."""
    values = matrix.xreplace(f.substitution(theta))
    return QMatrix([
        [Fraction(int(v.p), int(v.q)) for v in values.row(i)] for i in range(values.rows)
    ])


# -- goldens ----------------------------------------------------------------------------------


def test_golden_ge1_and_ge2():
    f = symbolic((1, 1, 1), [[0], [1], [2]], [[0], [1], [1]])
    assert f.parameters == (W1, b1, W2, b2)
    assert list(f.outputs) == [
        b2,
        sympy.expand(W2 * (W1 + b1) + b2),
        sympy.expand(W2 * (2 * W1 + b1) + b2),
    ]
    assert f.jacobian == sympy.Matrix([
        [0, 0, 0, 1],
        [W2, W2, W1 + b1, 1],
        [2 * W2, W2, 2 * W1 + b1, 1],
    ])
    assert at(f, f.outputs, THETA) == QMatrix([[5], [8], [14]])
    assert at(f, f.jacobian, THETA) == QMatrix([[0, 0, 0, 1], [3, 3, 1, 1], [6, 3, 3, 1]])
    assert (f.generic_rank(), f.rank_at(THETA), f.rank_at((2, -1, 0, 5))) == (3, 3, 2)
    assert f.region_conditions() == (b1 < 0, W1 + b1 > 0, 2 * W1 + b1 > 0)
    locus = f.rank_drop_locus()
    assert locus.rank == 3
    assert locus.equations == locus.equations_in_region == locus.groebner_basis() == (W2,)
    assert set(locus.minors) == {W2**2, W2 * W1, W2 * b1}
    assert locus.contains((2, -1, 0, 5))
    assert not locus.contains(THETA)


def test_golden_the_rank_of_a_mask_depends_on_the_batch():
    """T4: the same A = (1, 1)."""
    apart = symbolic((1, 1, 1), [[1], [2]], [[1], [1]])
    assert apart.generic_rank() == apart.rank_at(THETA) == 2
    assert apart.rank_drop_locus().equations == (W1, W2)
    equal = symbolic((1, 1, 1), [[1], [1]], [[1], [1]])
    assert equal.generic_rank() == equal.rank_at(THETA) == 1
    assert equal.rank_drop_locus().equations == (1,)


def test_golden_a_pre_activation_that_is_identically_zero():
    """T2: without biases, z_2 and z_3 vanish on an open set; both choices of the mask agree."""
    f = symbolic((1, 1, 1, 1), [[-1]], [[0, 0]], bias=False)
    assert list(f.outputs) == [0]
    assert list(f.jacobian) == [0, 0, 0]
    assert f.region_conditions() == (-W1 < 0,)
    assert f.generic_rank() == 0
    assert f.rank_drop_locus().equations == (1,)
    own = symbolic(ed.ReLUNetwork([[[1]], [[1]], [[1]]]), [[-1]])
    assert own.pattern == f.pattern
    other = symbolic((1, 1, 1, 1), [[-1]], [[0, 1]], bias=False)
    assert (other.outputs, other.jacobian) == (f.outputs, f.jacobian)
    assert other.region_conditions() == (-W1 < 0, sympy.false)


def test_golden_image_of_three_samples_in_one_region():
    """T5: f(1) - 2 f(2) + f(3) = 0 as polynomials, and the image has dimension 2."""
    f = symbolic((1, 2, 2, 1), [[1], [2], [3]], [[1, 0, 1, 1]] * 3)
    assert sympy.expand(f.outputs[0] - 2 * f.outputs[1] + f.outputs[2]) == 0
    assert f.generic_rank() == 2


def corners(n_inputs):
    points = [[int(i == k) for i in range(n_inputs)] for k in range(n_inputs)]
    return [[0] * n_inputs, *points, [1] * n_inputs]


def clusters(number):
    """Three affinely independent samples around each of some points."""
    centres = [(3, 3), (3, -9), (-9, 3), (-9, -9)][:number]
    return [[x + i, y + 2 * j] for x, y in centres for i, j in ((0, 0), (1, 0), (0, 1))]


def thrice(*rows):
    return [row for row in rows for _ in range(3)]


@pytest.mark.parametrize(
    ("widths", "X", "mask", "bias", "rank"),
    [
        # T16: two aligned units with three outputs cost m^2 = 4 and two shifts, not m = 2.
        ((3, 2, 3), corners(3), [[1, 1]] * 5, True, 11),
        # T17: clusters in four quadrants, generic inputs; the minimiser is S = {++, --}.
        (
            (2, 2, 1),
            [[3, 5], [7, 2], [11, 1], [4, 13], [9, 8], [2, -7], [-5, 3], [-3, -2], [-8, -5]],
            [[1, 1]] * 5 + [[1, 0], [0, 1], [0, 0], [0, 0]],
            True,
            6,
        ),
        # T18: one perceived region, rank rho (q + N_L - rho) + N_L.
        ((2, 3, 2, 2), corners(2), [[1, 1, 1, 1, 1]] * 4, True, 2 * (2 + 2 - 2) + 2),
        ((2, 3, 2, 2), corners(2), [[1, 1, 1, 1, 0]] * 4, True, 1 * (2 + 2 - 1) + 2),
        ((2, 3, 2, 2), corners(2), [[0, 0, 0, 1, 1]] * 4, True, 2),
        ((2, 3, 2, 2), corners(2), [[1, 1, 1, 1, 0]] * 4, False, 1 * (2 + 2 - 1)),
        # T17, not monotone: two crossing lines and a dead unit, then three disjoint units.
        ((2, 3, 1), clusters(4), thrice([1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]), True, 7),
        ((2, 3, 1), clusters(3), thrice([1, 0, 0], [0, 1, 0], [0, 0, 1]), True, 9),
    ],
)  # fmt: skip
def test_golden_closed_formulas(widths, X, mask, bias, rank):
    assert symbolic(widths, X, mask, bias=bias).generic_rank() == rank


# -- the polynomials --------------------------------------------------------------------------


KINKED = ed.ReLUNetwork([[[1], [1]], [[1, 2]]], [[0, 1], [0]]), [[0], [1], [-1], [2]]


@given(problems(max_width=3), st.sampled_from(["zero", "drop"]))
@example(KINKED, "zero")
@example(KINKED, "drop")
def test_a_network_on_its_own_pattern(problem, on_kink):
    net, X = problem
    try:
        J = ed.jacobian(net, X, on_kink=on_kink)
    except errors.InvalidInput:
        assume(False)  # no sample is left
    f = symbolic(net, X, on_kink=on_kink)
    pattern = ed.activation_pattern(net, X, on_kink=on_kink)
    assert f.pattern == pattern
    assert f.batch == pattern.select(QMatrix(X))
    assert at(f, f.outputs, net) == net(f.batch)
    assert at(f, f.jacobian, net) == J
    assert f.rank_at(net) == oracles.rank(J.tolist()) <= f.generic_rank()


@given(masked(), st.data())
def test_any_mask_at_any_parameter(problem, data):
    """Entries agree with a forward pass and its differences in plain Fractions."""
    widths, has_bias, X, mask = problem
    f = build(problem)
    theta = data.draw(thetas(f))
    flat = [v for row in at(f, f.outputs, theta).tolist() for v in row]
    assert flat == formal_outputs(widths, has_bias, theta, X, mask)
    J = formal_jacobian(widths, has_bias, theta, X, mask)
    assert at(f, f.jacobian, theta).tolist() == J
    assert f.rank_at(theta) == f.rank_at(QMatrix([theta])) == oracles.fraction_rank(J)


@given(masked())
def test_degrees(problem):
    """T3: degree at most L, affine in each parameter and in each layer's block together."""
    widths, has_bias, _, _ = problem
    f = build(problem)
    layers = [int(str(symbol)[1 : str(symbol).index("_")]) for symbol in f.parameters]
    assert sorted(set(layers)) == list(range(1, len(widths)))
    for output in f.outputs:
        for monomial in sympy.Poly(output, *f.parameters).monoms():
            assert max(monomial) <= 1
            assert sum(monomial) <= len(has_bias)
            used = [layer for layer, e in zip(layers, monomial, strict=True) if e]
            assert len(used) == len(set(used))


@given(masked(), st.data())
def test_affine_in_the_sample(problem, data):
    """T3: for one mask, outputs and all entries of J are affine in x, as polynomials."""
    widths, has_bias, X, mask = problem
    x, y = data.draw(st.sampled_from(X)), data.draw(st.sampled_from(X))
    t = data.draw(st.fractions(-2, 2, max_denominator=5))
    between = [t * u + (1 - t) * v for u, v in zip(x, y, strict=True)]
    f = symbolic(widths, [x, y, between], [mask[0]] * 3, bias=has_bias)
    t = sympy.Rational(t.numerator, t.denominator)
    n = widths[-1]
    for whole in (f.outputs.reshape(3 * n, 1), f.jacobian):
        first, second, third = (whole[i * n : (i + 1) * n, :] for i in range(3))
        assert (t * first + (1 - t) * second - third).expand().is_zero_matrix


@given(masked(max_width=2))
def test_difference_quotients_are_the_derivatives(problem):
    """T3, as polynomials: no limit, whatever the step."""
    f = build(problem)
    step = sympy.Symbol("step")
    values = f.outputs.reshape(len(f.outputs), 1)
    for p, symbol in enumerate(f.parameters):
        quotient = (values.xreplace({symbol: symbol + step}) - values) / step
        assert (quotient - f.jacobian[:, p]).applyfunc(sympy.cancel).is_zero_matrix


@given(masked(), st.data())
def test_conditions_hold_exactly_in_the_region(problem, data):
    """T2: they are what it means that a parameter has the pattern, off kinks."""
    widths, has_bias, X, mask = problem
    f = build(problem)
    net = ed.ReLUNetwork.random(widths, seed=0, bias=has_bias)
    net = net.with_parameters([data.draw(thetas(f))])
    if data.draw(st.booleans()):  # a mask that is realised, and its neighbours
        mask = ed.activation_pattern(net, X, on_kink="zero").mask.copy()
        for i, k in data.draw(
            st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=1)
        ):
            if mask.size:
                mask[i % mask.shape[0], k % mask.shape[1]] ^= True
        f = symbolic(net, X, mask)
    pattern = ed.activation_pattern(net, X, on_kink="zero")
    inside = not pattern.kinks and pattern == f.pattern
    values = [c.xreplace(f.substitution(net)) for c in f.region_conditions()]
    assert all(v in {sympy.true, sympy.false} for v in values)
    assert all(values) == inside


# -- generic rank -----------------------------------------------------------------------------

HARD = ((2, 1, 2), (True, True), [[-1, 1], [0, -2], [-2, -1]], [[0], [1], [1]])
"""No symmetry of the mask and no rational relation shows that the rank is 5 of 6 rows."""


@given(masked())
@example(HARD)
def test_generic_rank_is_the_largest_rank(problem):
    """T4, against brute force."""
    widths, has_bias, X, mask = problem
    assert build(problem).generic_rank() == largest_rank(widths, has_bias, X, mask)


def test_rational_combinations_are_left_out():
    """Collinear samples and a constant pixel: two of three rows and four of five columns do."""
    f = symbolic((2, 1, 1), [[1, 5], [2, 5], [3, 5]], [[1]] * 3)
    J = f._forward.jacobian
    assert (len(J), len(J[0])) == (3, 5)
    kept = compressed(J)
    assert [len(row) for row in kept] == [4, 4]
    assert {entry for row in kept for entry in row} <= {entry for row in J for entry in row}


@given(masked(max_width=2, max_depth=2))
def test_generic_rank_is_the_rank_over_the_field_of_fractions(problem):
    """T4, against sympy's DomainMatrix over Q(theta)."""
    f = build(problem)
    field = sympy.QQ.frac_field(*f.parameters)
    assert f.generic_rank() == DomainMatrix.from_Matrix(f.jacobian).convert_to(field).rank()


@given(masked(), st.data())
def test_no_parameter_has_a_larger_rank(problem, data):
    f = build(problem)
    theta = data.draw(thetas(f))
    assert f.rank_at(theta) <= f.generic_rank()


# -- where the rank drops ---------------------------------------------------------------------


@given(masked(max_width=2, max_samples=3), st.data())
@settings(max_examples=40)
def test_locus_by_rank_by_minors_and_by_equations(problem, data):
    """At any parameter, many of them with zeros: four descriptions of one set."""
    f = build(problem)
    locus = f.rank_drop_locus()
    theta = data.draw(thetas(f))
    for p in data.draw(st.lists(st.integers(0, len(theta) - 1), max_size=3)):
        theta[p] = Fraction(0)
    values = f.substitution(theta)

    def vanish(polynomials):
        return all(p.xreplace(values) == 0 for p in map(sympy.sympify, polynomials))

    with pytest.MonkeyPatch.context() as patch:
        if not data.draw(st.booleans(), label="with Groebner bases"):
            patch.setattr("exactdim.nets.rank_drop.MAX_GROEBNER_TERMS", 0)
        try:
            equations = locus.equations
        except errors.TooLarge:
            assume(False)
    assert locus.contains(theta) == vanish(equations) == vanish(locus.minors)
    try:
        assert vanish(locus.groebner_basis()) == locus.contains(theta)
    except errors.TooLarge:
        assert sum(len(sympy.Poly(e, *f.parameters).terms()) for e in equations) > 120


@given(problems(min_depth=2, max_depth=2, max_width=2), st.data())
@settings(max_examples=40)
def test_equations_in_the_region(problem, data):
    net, X = problem
    for p in data.draw(st.lists(st.integers(0, net.n_parameters - 1), max_size=3)):
        theta = net.parameters().tolist()[0]
        theta[p] = Fraction(0)
        net = net.with_parameters([theta])
    assume(not ed.activation_pattern(net, X, on_kink="zero").kinks)
    f = symbolic(net, X)
    locus = f.rank_drop_locus()
    try:
        equations = locus.equations_in_region
    except errors.TooLarge:
        assume(False)
    values = f.substitution(net)
    vanish = all(sympy.sympify(e).xreplace(values) == 0 for e in equations)
    assert vanish == locus.contains(net) == (f.rank_at(net) < f.generic_rank())


@given(masked(max_width=2, max_depth=2, max_samples=3))
@settings(max_examples=25)
def test_minors_generate_the_whole_ideal(problem):
    """The ideal of all minors of the whole Jacobian, by its Groebner basis in sympy."""
    f = build(problem)
    locus = f.rank_drop_locus()
    J, r = f.jacobian, locus.rank
    assume(r <= 3 and J.rows <= 4 and J.cols <= 7)
    every = [
        J[list(rows), list(columns)].det(method="berkowitz").expand()
        for rows in combinations(range(J.rows), r)
        for columns in combinations(range(J.cols), r)
    ]
    options = {"order": "grevlex", "domain": "QQ"}
    whole = sympy.groebner(every, *f.parameters, **options)
    assert whole == sympy.groebner(locus.minors, *f.parameters, **options)


@given(masked(max_width=2, max_samples=3), st.sampled_from([0, 120]))
@settings(max_examples=40)
def test_equations_are_reduced(problem, groebner_terms):
    """Squarefree, factored over the rationals, integral, and none a multiple of another."""
    f = build(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exactdim.nets.rank_drop.MAX_GROEBNER_TERMS", groebner_terms)
        try:
            equations = f.rank_drop_locus().equations
        except errors.TooLarge:
            assume(False)
    assert equations
    polynomials = [sympy.Poly(e, *f.parameters, domain="QQ") for e in equations]
    for equation, polynomial in zip(equations, polynomials, strict=True):
        content, factors = sympy.factor_list(polynomial)
        assert content == 1
        assert all(exponent == 1 for _, exponent in factors)
        shown = set(sympy.Mul.make_args(sympy.sympify(equation))) - {sympy.S.One}
        assert shown == {factor.as_expr() for factor, _ in factors}
    if len(polynomials) > 1:
        assert not any(u.rem(v).is_zero for u in polynomials for v in polynomials if u is not v)


@pytest.mark.parametrize("groebner_terms", [0, 120])
def test_common_zeros_by_hand(monkeypatch, groebner_terms):
    monkeypatch.setattr("exactdim.nets.rank_drop.MAX_GROEBNER_TERMS", groebner_terms)
    ring, v, w, b = sympy.ring("v w b", sympy.QQ)
    assert common_zeros([v - w + b, v - w - b]) == [b, v - w]
    assert common_zeros([-v * b / 2, 3 * v**2 * w, v * b * w]) == [v * b, v * w]
    assert common_zeros([v * (w + 1) ** 2, v * b], [w**2 + w, ring.zero]) == [v]
    assert common_zeros([v * (w + 1), b], [b * w]) == [ring.one]
    assert common_zeros([v**2 - 2 * w**2]) == [v**2 - 2 * w**2]  # irreducible over the rationals


def test_golden_locus_in_the_region_is_shorter():
    """Unit 2 is off at 0 and unit 1 is off at 2, so b_2 and 2 w_1 + b_1 are not zero there."""
    f = symbolic((1, 2, 1), [[0], [1], [2], [3]], [[1, 0], [1, 1], [0, 1], [1, 1]])
    b2_, v1, v2 = sympy.symbols("b1_2 W2_1_1 W2_1_2")
    locus = f.rank_drop_locus()
    assert locus.rank == 4
    assert set(locus.equations) == {v1 * v2, v1 * b2_, v2 * (2 * W1 + b1)}
    assert set(locus.equations_in_region) == {v1, v2}
    assert locus.contains([1, 1, 2, 0, 1, 0, 5])  # b_2 = 0 and v_2 = 0, outside
    assert not locus.contains([1, 1, 2, -1, 1, 0, 5])


def test_golden_locus_of_two_aligned_units():
    """Two determinants: the units' weights, and what leaves them."""
    f = symbolic((2, 2, 2), [[0, 0], [1, 2], [2, 1], [1, 5]], [[1, 1]] * 4)
    W = [[sympy.Symbol(f"W{layer}_{j}_{k}") for j in (1, 2) for k in (1, 2)] for layer in (1, 2)]
    determinants = {a * d - b * c for a, b, c, d in W}
    assert f.generic_rank() == 6
    assert set(f.rank_drop_locus().equations) == determinants


# -- spelling ---------------------------------------------------------------------------------


def braces_balance(text):
    depth = 0
    for character in text.replace(r"\{", "").replace(r"\}", ""):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


@given(masked())
@settings(max_examples=30)
def test_latex_is_well_formed(problem):
    widths, _, X, _ = problem
    f = build(problem)
    text = f.latex()
    assert braces_balance(text)
    for name in ("align*", "equation*", "array"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}")
    assert text.count(r"\left[") == text.count(r"\right]") == 1
    outputs = text[: text.index(r"\end{align*}")].splitlines()[1:]
    assert len(outputs) == len(X) * widths[-1]
    assert all(line.endswith(r" \\") for line in outputs[:-1])
    assert not outputs[-1].endswith("\\")
    P, rows = len(f.parameters), len(X) * widths[-1]
    matrix = text[text.index(r"\begin{array}") : text.index(r"\end{array}")]
    assert matrix.startswith(rf"\begin{{array}}{{{'c' * P}}}")
    assert [row.count("&") for row in matrix.split(r"\\")] == [P - 1] * rows
    parser = MathTextParser("path")
    first_row = matrix.removeprefix(rf"\begin{{array}}{{{'c' * P}}}").split(r"\\")[0]
    for line in (outputs[0].removesuffix(r"\\"), first_row):
        parser.parse(f"${line.replace('&', ' ')}$")


def test_names_are_one_based_and_latex_too():
    f = symbolic((2, 3, 1), [[1, 2]], [[1, 0, 1]], bias=[True, False])
    assert " ".join(map(str, f.parameters)) == (
        "W1_1_1 W1_1_2 W1_2_1 W1_2_2 W1_3_1 W1_3_2 b1_1 b1_2 b1_3 W2_1_1 W2_1_2 W2_1_3"
    )
    net = ed.ReLUNetwork([[[1, 2], [3, 4], [5, 6]], [[7, 8, 9]]], [[10, 11, 12], None])
    value = f.substitution(net)
    assert value[sympy.Symbol("W1_3_2")] == net.weights[0][2, 1] == 6
    assert value[sympy.Symbol("b1_2")] == net.biases[0][0, 1] == 11
    assert f.latex_names[sympy.Symbol("W1_3_2")] == "W^{(1)}_{3,2}"
    assert f.latex_names[sympy.Symbol("b1_2")] == "b^{(1)}_{2}"
    squared = sympy.latex(sympy.Symbol("b1_2") ** 2, symbol_names=f.latex_names)
    MathTextParser("path").parse(f"${squared}$")  # no double superscript
    assert r"z^{(1)}_{3}(x_{1}) &= W^{(1)}_{3,1} + 2 W^{(1)}_{3,2} + b^{(1)}_{3} > 0" in f.latex()
    assert r"z^{(1)}_{2}(x_{1}) &= W^{(1)}_{2,1} + 2 W^{(1)}_{2,2} + b^{(1)}_{2} < 0" in f.latex()
    assert repr(f) == "<SymbolicNetwork 2-3-1: 12 parameters, mask of 3 hidden units at 1 samples>"
    assert repr(f.rank_drop_locus()) == "<RankDropLocus: rank below 1>"


def test_all_ways_to_give_a_mask_and_a_parameter():
    net = ed.ReLUNetwork.random((2, 2, 2, 1), seed=5)
    X = [["1/2", 1], [-1, 3], [2, -2]]
    pattern = ed.activation_pattern(net, X)
    f = symbolic(net, X)
    for mask in (pattern, pattern.mask, pattern.mask.astype(int).tolist()):
        assert symbolic(net, X, mask).jacobian == f.jacobian
        assert symbolic(net.widths, X, mask).jacobian == f.jacobian
    assert [part.shape for part in f.pattern.layers] == [(3, 2), (3, 2)]
    theta = net.parameters()
    flat = theta.tolist()[0]
    rank = f.rank_at(net)
    assert rank == f.rank_at(theta) == f.rank_at(flat) == f.rank_at(theta.to_numpy(np.float64)[0])
    assert f.rank_at([str(v) for v in flat]) == rank
    affine = symbolic((2, 1), [[1, 2], [3, 4]], [[], []])
    assert affine.generic_rank() == 2
    assert affine.region_conditions() == ()
    assert affine.latex().count("align*") == 2


def test_bad_arguments():
    net = ed.ReLUNetwork.random((1, 2, 1), seed=0)
    with pytest.raises(errors.InvalidInput, match="give the mask as well"):
        symbolic((1, 2, 1), [[1]])
    with pytest.raises(errors.InvalidInput, match="leave out bias="):
        symbolic(net, [[1]], bias=True)
    with pytest.raises(errors.ShapeMismatch, match=r"mask has shape \(1, 3\).*need \(1, 2\)"):
        symbolic(net, [[1]], [[1, 0, 1]])
    with pytest.raises(errors.ShapeMismatch, match="different lengths"):
        symbolic(net, [[1], [2]], [[1, 0], [1]])
    with pytest.raises(errors.InvalidInput, match="entries 0 and 1"):
        symbolic(net, [[1]], [[1, 2]])
    with pytest.raises(errors.ShapeMismatch, match="of 2 samples and X has 1"):
        symbolic(net, [[1]], ed.activation_pattern(net, [[1], [2]]))
    with pytest.raises(errors.ShapeMismatch, match="takes 1 inputs"):
        symbolic(net, [[1, 2]])
    with pytest.raises(errors.InvalidInput, match="bias flags"):
        symbolic((1, 2, 1), [[1]], [[1, 0]], bias=[True])
    with pytest.raises(errors.OnKink, match="exactly zero"):
        symbolic(ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]]), [[0]])
    f = symbolic(net, [[1]])
    with pytest.raises(errors.ShapeMismatch, match="needs"):
        f.rank_at([1, 2, 3])
    with pytest.raises(errors.ShapeMismatch, match="this architecture is"):
        f.rank_at(ed.ReLUNetwork.random((1, 2, 1), seed=0, bias=False))


# -- limits -----------------------------------------------------------------------------------


def test_too_large():
    wide = symbolic((2, 150, 150, 1), [[1, 2]], [[1] * 300])
    assert wide.generic_rank() == 1  # proved without a polynomial
    with pytest.raises(errors.TooLarge, match="outputs have 67651 monomials"):
        _ = wide.outputs
    with pytest.raises(errors.TooLarge, match="outputs have 67651"):
        wide.rank_drop_locus()
    X = [[1, 2], [-1, 1], [2, 0], [1, 1]]
    mask = [[1, 0, 1, 0, 1, 1], [1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 1], [1, 1, 1, 0, 0, 1]]
    deep = symbolic((2, 3, 3, 1), X, mask)
    locus = deep.rank_drop_locus()
    with pytest.raises(errors.TooLarge, match=r"there are \d+ minors of order \d in a \d x \d+"):
        _ = locus.equations
    assert locus.contains([0] * 25)  # needs no minor
    shallow = symbolic((2, 2, 2), X, [[1, 0], [1, 1], [1, 0], [1, 1]]).rank_drop_locus()
    assert shallow.equations
    with pytest.raises(errors.TooLarge, match=r"up to 120 monomials; these equations have \d+"):
        shallow.groebner_basis()


def test_too_large_to_eliminate_or_to_expand(monkeypatch):
    """The message of an open generic rank names both proved ends, and the true rank is between."""
    widths, has_bias, X, mask = HARD
    true = largest_rank(widths, has_bias, X, mask)
    monkeypatch.setattr("exactdim.nets.polynomials.MAX_ELIMINATION_TERMS", 20)
    with pytest.raises(errors.TooLarge, match="left to eliminate and 20 is the limit") as caught:
        build(HARD).generic_rank()
    lower, upper = map(int, re.findall(r"at (?:least|most) (\d+)", str(caught.value)))
    assert (lower, true, upper) == (5, 5, 6)
    monkeypatch.setattr("exactdim.nets.rank_drop.MAX_MINOR_TERMS", 3)
    small = symbolic((1, 2, 1), [[0], [1], [2]], [[1, 1], [1, 0], [0, 1]]).rank_drop_locus()
    with pytest.raises(errors.TooLarge, match="more than 3 monomials"):
        _ = small.minors


def test_importing_the_module_does_not_load_sympy():
    code = "import sys, exactdim.nets.symbolic; print('sympy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
