"""The space of parameters, cut up by what a fixed batch sees.

A batch X of n samples is fixed and the parameters theta vary. The signs of the hidden
pre-activations at the samples cut the space of parameters into regions. Inside a region the outputs
are polynomials in theta, affine in each parameter and in each layer (T3). The regions are open,
finitely many, and leave out a null set only (T2); in each of them the rank of the Jacobian is the
same almost everywhere and smaller on an algebraic subset (T4).

Notation: h_0 = x, z_l = W_l h_{l-1} + b_l, h_l = a_l z_l with masks a_l = [z_l > 0], outputs z_L; P
parameters, H hidden units; J the Jacobian of the n N_L outputs in the parameters. The mask of a
batch has a row for each sample and a column for each hidden unit; one that is prescribed rather
than computed is called formal. A kink is a pre-activation that is 0 at a sample, unless it is 0 for
all parameters nearby: that takes a layer without bias whose inputs are all 0 with no kink before.
"""

from __future__ import annotations

import functools
import itertools
import random
from fractions import Fraction

import numpy as np
import pytest
import sympy
from family import (
    ARCHITECTURES,
    BATCH,
    GE1,
    GE2,
    LARGE_ARCHITECTURES,
    SAMPLES,
    block_jacobian,
    layers,
    masked_outputs,
    masks,
    point,
    ternary_networks,
)
from hypothesis import given
from hypothesis import strategies as st
from sympy.polys.matrices import DomainMatrix

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.arith import modular
from exactdim.nets.symbolic import symbolic
from exactdim.testing import strategies

shallow_or_deep = strategies.relu_networks(min_depth=2) | strategies.degenerate_networks()
problems = strategies.networks_with_batches(networks=shallow_or_deep)
problems_off_kinks = strategies.networks_with_batches(networks=shallow_or_deep, kinks=False)
small = strategies.relu_networks(max_width=2) | strategies.degenerate_networks(max_width=2)
small_problems_off_kinks = strategies.networks_with_batches(networks=small, max_size=3, kinks=False)


def family(large):
    """Go through all networks with weights in -1, 0, 1 of the small architectures."""
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        for net in ternary_networks(widths, bias):
            yield net, SAMPLES[widths[0]]


def family_off_kinks(large):
    """Leave out the networks that have a kink at the batch."""
    for net, X in family(large):
        if not ed.activation_pattern(net, X, on_kink="zero").kinks:
            yield net, X


# -- plain arithmetic, independent of the engine ---------------------------------------------------


def preactivations(net, x):
    """Return z_1, ..., z_{L-1} at one sample."""
    h, found = point(x), []
    for W, b in layers(net):
        found.append(W @ h + b)
        h = np.maximum(found[-1], 0)
    return found[:-1]


def moved(net, direction, step=1):
    """Return the network at theta + step * direction."""
    return net.with_parameters(net.parameters() + Fraction(step) * QMatrix([list(direction)]))


def drift(net, x, r):
    """Bound how far z_1, ..., z_{L-1} move at a sample if no parameter moves by more than r.

    With e_j a bound for h_j: |z' - z| <= sum_j (|w_j| + r) e_j + r sum_j |h_j| + r, and ReLU brings
    numbers no further apart.
    """
    h, e, found = point(x), np.zeros(len(x), int), []
    for W, b in layers(net):
        e = (abs(W) + r) @ e + r * abs(h).sum() + r
        h = np.maximum(W @ h + b, 0)
        found.append(e)
    return found[:-1]


def radius(net, X):
    """Return r > 0: no strict sign at X changes if no parameter moves by more than r."""
    r = Fraction(1)
    for x in X:
        z = np.hstack([*preactivations(net, x), ()])
        while any(
            z[k] and abs(z[k]) <= e for k, e in enumerate(np.hstack([*drift(net, x, r), ()]))
        ):
            r /= 4
    return r


def random_point_nearby(net, r):
    """Return the network at a random point of the box of radius r; always the same one."""
    source, fine = random.Random(net.n_parameters), 2**40
    return moved(
        net, [Fraction(source.randint(-fine, fine), fine) for _ in range(net.n_parameters)], r
    )


@functools.cache
def region(widths, bias, mask):
    """Return the outputs as polynomials on the region of a mask, at the usual batch."""
    return symbolic(widths, SAMPLES[widths[0]], mask, bias=bias)


def region_of(net, X):
    """Return the outputs as polynomials on the region of a network of the family."""
    mask = ed.activation_pattern(net, X).mask
    return region(net.widths, net.has_bias, tuple(map(tuple, mask.tolist())))


# -- T2 --------------------------------------------------------------------------------------------


def assert_signs_persist(net, X, direction):
    """Check that strict signs are the same at theta + r * direction, direction in [-1, 1]^P."""
    near = moved(net, direction, radius(net, X))
    for x in X:
        for z, w in zip(preactivations(net, x), preactivations(near, x), strict=True):
            assert all((u > 0) == (v > 0) for u, v in zip(z, w, strict=True) if u)
            assert all((u < 0) == (v < 0) for u, v in zip(z, w, strict=True) if u)


def test_t2_regions_are_open(large):
    """T2, the regions are open.

    Let all hidden layers have a bias. For s in {+1, -1}^{n x H} let R_s be the set of theta such
    that z_k(x_i) has the sign s_ik for all samples i and hidden units k. The R_s are finitely many
    disjoint open semialgebraic sets.

    Source: arXiv 2402.08269 states that the space is a finite union of open regions and a null set;
    statement in this form and proof derived here.

    Proof. There are 2^{nH} sign patterns, a theta has at most one, and the pre-activations are
    continuous and piecewise polynomial in theta. The check gives each point a box of its own in
    which no strict sign changes: bound the motion of all z layer by layer, see `drift`.
    """
    for net, X in family(large):
        for corner in (1, -1):
            signs = itertools.cycle((corner, 1, -corner))
            assert_signs_persist(net, X, list(itertools.islice(signs, net.n_parameters)))


@given(problems, st.data())
def test_t2_regions_are_open_at_random(problem, data):
    """T2, the same for random networks, on kinks or not."""
    net, X = problem
    size = net.n_parameters
    corner = st.lists(st.sampled_from([-1, 1, Fraction(1, 3)]), min_size=size, max_size=size)
    assert_signs_persist(net, X, data.draw(corner))


def assert_own_bias_shifts(net, X, layer, unit, t):
    """Check that t more of a unit's bias is t more of its z, and moves no other z so low."""
    start, inputs = net.parameter_offsets()[layer], net.widths[layer]
    column = start + inputs * net.widths[layer + 1] + unit
    shifted = moved(net, [int(c == column) for c in range(net.n_parameters)], t)
    for x in X:
        before, after = preactivations(net, x), preactivations(shifted, x)
        before[layer][unit] += t
        assert all((before[m] == after[m]).all() for m in range(layer + 1))


def biased_units(net):
    """Return the hidden units that have a bias."""
    return [
        (layer, unit)
        for layer in range(net.depth - 1)
        for unit in range(net.widths[layer + 1])
        if net.has_bias[layer]
    ]


def test_t2_what_the_regions_leave_out_is_a_null_set(large):
    """T2, the regions fill the space: what they leave out is closed and a Lebesgue null set.

    Source: as above.

    Proof. It is the union of the zero sets of the z_k(x_i). Let all other parameters be fixed: what
    enters unit k does not depend on b_k, so z_k(x_i) is b_k plus a constant. Hence b_k takes one
    forbidden value for each sample, and by Fubini the zero set is null. Closed: the R_s are open.
    The checks: the shift by the own bias, exactly; and a random point of any box, around a kink or
    not, is on no kink.
    """
    for net, X in family(large):
        for layer, unit in biased_units(net):
            assert_own_bias_shifts(net, X, layer, unit, Fraction(-5, 7))
        ed.activation_pattern(random_point_nearby(net, radius(net, X)), X)  # raises on a kink


@given(problems, st.data(), strategies.rationals(-3, 3))
def test_t2_what_the_regions_leave_out_is_a_null_set_at_random(problem, data, t):
    """T2, the same for random networks, on kinks or not."""
    net, X = problem
    if units := biased_units(net):
        assert_own_bias_shifts(net, X, *data.draw(st.sampled_from(units)), t)
    near = random_point_nearby(net, radius(net, X))
    assert not ed.activation_pattern(near, X, on_kink="zero").kinks


def test_t2_one_polynomial_and_almost_everywhere_one_rank_for_each_region(large):
    """T2, one polynomial and one rank for each region.

    On R_s the outputs at X are polynomials in theta (T3), and there is an open U_s in R_s, with
    null complement in R_s, on which the rank of J is r_s, the largest rank in R_s.

    Source: as above; arXiv 2402.08269 states that the rank is constant on open regions.

    Proof. With the mask fixed a forward pass only adds and multiplies. The rank is below r_s where
    all minors of order r_s vanish. Some minor is nonzero somewhere in R_s, so it is a nonzero
    polynomial, and its zero set is null. The checks take one polynomial for each mask and compare
    it with all networks that have this mask; next to each of them a random point has rank r_s,
    which is the generic rank of the mask (T4).
    """
    ranks = []
    for net, X in family_off_kinks(large):
        polynomials = region_of(net, X)
        values = polynomials.outputs.xreplace(polynomials.substitution(net))
        assert values.tolist() == net(X).tolist()
        r_s, near = polynomials.generic_rank(), random_point_nearby(net, radius(net, X))
        assert ed.activation_pattern(near, X) == ed.activation_pattern(net, X)
        assert ed.jacobian(net, X).rank() <= ed.jacobian(near, X).rank() == r_s
        ranks.append(ed.jacobian(net, X).rank() < r_s)
    assert any(ranks)  # there are points outside of U_s in the family
    assert not all(ranks)


@given(small_problems_off_kinks)
def test_t2_one_polynomial_and_almost_everywhere_one_rank_at_random(problem):
    """T2, the same for random networks."""
    net, X = problem
    polynomials, near = symbolic(net, X), random_point_nearby(net, radius(net, X))
    for theta in (net, near):
        values = polynomials.outputs.xreplace(polynomials.substitution(theta))
        assert values.tolist() == theta(X).tolist()
    rank = ed.jacobian(net, X).rank()
    assert rank <= ed.jacobian(near, X).rank() == polynomials.generic_rank()


@pytest.mark.parametrize(
    ("X", "regions"),
    [
        (BATCH, 6),
        ([[0, 0], [1, 0], [0, 1], [1, 1]], 14),
        ([[0, 0], [1, 1], [2, 2]], 6),  # collinear; in general position there are 8
        ([[0, 0], [1, 1], [2, 3]], 8),
    ],
)
def test_t2_goldens_first_layer(X, regions):
    """T2, the number of regions of one unit of the first layer.

    They are cut out of the (w, b)-space by n hyperplanes through 0 with normals (x_i, 1), so there
    are 2 (C(n-1, 0) + ... + C(n-1, N_0)) in general position (Cover). The samples play the part of
    weights: the count is that of the activation regions of a network with these hyperplanes.
    """
    dual = ed.ReLUNetwork([[[*x, 1] for x in X], [[1] * len(X)]])
    assert ed.count_regions(dual) == regions


def patterns_on_a_grid(widths, grids):
    """Return the masks at BATCH of all networks with (weights, biases) of layers from grids."""
    zeros = ed.ReLUNetwork.random(widths, seed=0)
    hidden = [
        axis
        for layer, (weights, biases) in enumerate(grids)
        for axis in [weights] * (widths[layer] * widths[layer + 1]) + [biases] * widths[layer + 1]
    ]
    last = [[1]] * (zeros.n_parameters - len(hidden))
    return {
        ed.activation_pattern(zeros.with_parameters([theta]), BATCH).mask.tobytes()
        for theta in itertools.product(*hidden, *last)
    }


def test_t2_goldens_all_regions_of_two_architectures():
    """T2, goldens: at X = (0, 1, 2) widths (1, 2, 1) have 36 regions, (1, 1, 1, 1) has 28.

    The 36 = 6^2: one for each pair of regions of one unit.

    The 28: a unit behind m distinct features has 2 m patterns. The six first-layer masks 000, 111,
    001, 100, 011, 110 make 1, 3, 2, 2, 3, 3 distinct features, in an order that is the same, or
    reversed, in the whole region; 2 + 6 + 4 + 4 + 6 + 6 = 28. No grid can find more than there are.
    """
    halves = [Fraction(k, 2) for k in (-5, -3, -1, 1, 3, 5)]
    quarters = [Fraction(2 * k + 1, 4) for k in range(-10, 10)]
    assert len(patterns_on_a_grid((1, 1, 1), [([1, -1], halves)])) == 6
    assert len(patterns_on_a_grid((1, 2, 1), [([1, -1], halves)])) == 36
    deep = [([1, -1], halves), ([1, -1], quarters)]
    assert len(patterns_on_a_grid((1, 1, 1, 1), deep)) == 28


def test_t2_negative_control_layers_without_bias():
    """T2 needs biases: without them the R_s with strict signs do not fill the space.

    Widths (1, 1, 1, 1), x = -1: for w_1 > 0, an open set, h_1 = 0 and so z_2 = 0, whatever w_2 is.
    Golden: weights 1, z = -1, 0, f = 0, J = (0, 0, 0).
    """
    ones, x = ed.ReLUNetwork([[[1]], [[1]], [[1]]]), [[-1]]
    assert [z.tolist() for z in preactivations(ones, x[0])] == [[-1], [0]]
    assert ones(x) == QMatrix([[0]])
    assert ed.jacobian(ones, x) == QMatrix([[0, 0, 0]])
    for seed in range(20):
        anywhere = ed.ReLUNetwork.random((1, 1, 1, 1), seed=seed, bias=False)
        if anywhere.weights[0][0, 0] > 0:
            assert preactivations(anywhere, x[0])[1] == [0]
    (first, second) = ([[0, 0]], [[0, 1]])
    assert symbolic((1, 1, 1, 1), x, second, bias=False).region_conditions()[-1] == sympy.false
    assert len(symbolic((1, 1, 1, 1), x, first, bias=False).region_conditions()) == 1
    biased = ed.ReLUNetwork([[[1]], [[1]], [[1]]], [[0], [0], None])
    with pytest.raises(errors.OnKink):  # with a bias, 0 is a kink
        ed.activation_pattern(biased, x)


def harmless_zeros(net, X):
    """Tell where z is 0 because the layer has no bias and all of its inputs are 0."""
    rows = []
    for x in X:
        inputs = [point(x), *(np.maximum(z, 0) for z in preactivations(net, x))]
        still = [not net.has_bias[k] and not any(h) for k, h in enumerate(inputs[:-1])]
        rows.append(np.repeat(still, net.widths[1:-1]).astype(bool))
    return np.array(rows)


def assert_harmless_zeros_do_not_matter(net, X):
    """Check that f and J stay if all such units, or some, are called on, and that z = 0 nearby."""
    mask, zeros = ed.activation_pattern(net, X).mask, harmless_zeros(net, X)
    assert (zeros == [[z == 0 for z in np.hstack(preactivations(net, x))] for x in X]).all()
    for flipped in (mask ^ zeros, mask ^ (zeros & (np.indices(zeros.shape).sum(axis=0) % 2 == 0))):
        assert masked_outputs(net, X, flipped) == net(X).tolist()
        assert block_jacobian(net, X, flipped) == ed.jacobian(net, X)
    near = random_point_nearby(net, radius(net, X))
    assert (harmless_zeros(near, X) == zeros).all()
    return bool(zeros.any())


def test_t2_remedy_for_layers_without_bias(large):
    """T2 without the hypothesis on biases, if kinks are left out instead of zeros.

    Let R_A be the set of theta with mask A = [z > 0] and without kinks. Then T2 holds for all
    networks: what the R_A leave out is closed and null, and the value of the mask at a zero that is
    no kink changes neither f nor J. (The checks of T2 above run over networks without biases too.)

    Derived here.

    Proof. Let the inputs of a layer without bias be 0 at a sample for all parameters nearby. Then
    so is z, and all units of the layer give 0 whether they are called on or off. The derivatives of
    z in its own weights are those inputs, so 0, and nothing arrives from below: the units there are
    off, or their layer is such a layer again. In all other cases z_k is b_k plus something without
    b_k, or w_k h_{l-1} with an h_{l-1} that is not the zero polynomial on the region of the mask so
    far; so z_k is not the zero polynomial, and its zeros are null.
    """
    seen = [
        assert_harmless_zeros_do_not_matter(net, X)
        for net, X in family_off_kinks(large)
        if net.n_hidden
    ]
    assert any(seen)


@given(
    strategies.networks_with_batches(
        networks=strategies.relu_networks(min_depth=2, bias=False)
        | strategies.degenerate_networks(),
        kinks=False,
    )
)
def test_t2_remedy_for_layers_without_bias_at_random(problem):
    """T2, the same for random networks."""
    assert_harmless_zeros_do_not_matter(*problem)


# -- T3 --------------------------------------------------------------------------------------------


def columns_of_layer(net, layer):
    """Return the columns of the parameters of a layer."""
    start, end = net.parameter_offsets()[layer : layer + 2]
    return range(start, end)


def flat(outputs):
    """Write outputs as one column, sample by sample."""
    return QMatrix([[v] for row in outputs.tolist() for v in row])


def assert_difference_quotients(net, X):
    """Check (f(theta + eps e_p) - f(theta)) / eps = J[:, p], with no limit."""
    J, eps = ed.jacobian(net, X), radius(net, X)
    for p in range(net.n_parameters):
        unit = [int(q == p) for q in range(net.n_parameters)]
        change = flat(moved(net, unit, eps)(X)) - flat(net(X))
        assert change * (1 / eps) == J[:, [p]]


def test_t3_difference_quotients(large):
    """T3, the outputs are affine in each parameter and in each layer.

    On R_s each output at each sample is a polynomial in theta, affine in each single parameter, and
    affine in all parameters of one layer together. Hence as long as theta + delta is in R_s and
    delta moves the parameters of one layer only, f(theta + delta) - f(theta) = J delta exactly.

    Derived here.

    Proof. f = W_L a_{L-1} W_{L-1} ... a_1 W_1 x + ...: with the masks fixed it is built from the
    layers by composing affine maps, and the parameters of a layer enter one of them, affinely. An
    affine function equals its derivative, whatever the size of the step.
    """
    for net, X in family_off_kinks(large):
        assert_difference_quotients(net, X)


@given(problems_off_kinks, st.data())
def test_t3_difference_quotients_at_random(problem, data):
    """T3, all columns, and a step in all parameters of one layer."""
    net, X = problem
    assert_difference_quotients(net, X)
    layer, steps = data.draw(st.integers(0, net.depth - 1)), strategies.rationals(-1, 1)
    step = [
        data.draw(steps) if p in columns_of_layer(net, layer) else 0
        for p in range(net.n_parameters)
    ]
    eps = radius(net, X)
    change = flat(moved(net, step, eps)(X)) - flat(net(X))
    assert change == ed.jacobian(net, X) @ QMatrix([step]).T * eps


def test_t3_golden():
    """T3, golden: widths (2, 3, 3, 2), all 29 columns, with eps = 10^-9."""
    net, X = ed.ReLUNetwork.random((2, 3, 3, 2), seed=5), SAMPLES[2]
    J, eps = ed.jacobian(net, X), Fraction(1, 10**9)
    assert J.shape == (6, 29)
    for p in range(29):
        change = flat(moved(net, [int(q == p) for q in range(29)], eps)(X)) - flat(net(X))
        assert change * 10**9 == J[:, [p]]


def test_t3_negative_controls():
    """T3 needs its hypotheses: a step that changes the mask, and a step in two layers."""
    J = ed.jacobian(GE1, BATCH)
    over_a_kink = flat(moved(GE1, [0, 1, 0, 0], 2)(BATCH)) - flat(GE1(BATCH))
    assert over_a_kink == QMatrix([[3], [6], [6]]) != J[:, [1]] * 2
    both = QMatrix([[1, 0, 1, 0]])
    for t in (Fraction(1, 9), Fraction(1, 2)):
        change = flat(moved(GE1, [1, 0, 1, 0], t)(BATCH)) - flat(GE1(BATCH))
        assert change - J @ both.T * t == QMatrix([[0], [1], [2]]) * t**2


def layers_of_monomials(polynomials):
    """Yield for each monomial of the outputs its variables, as (layer, is a bias), sorted."""
    names = [str(symbol) for symbol in polynomials.parameters]
    for f in polynomials.outputs:
        for exponents in sympy.Poly(f, *polynomials.parameters).monoms() if f else ():
            assert max(exponents) <= 1
            used = [name for name, exponent in zip(names, exponents, strict=True) if exponent]
            yield sorted((int(name[1:].split("_")[0]), name[0] == "b") for name in used)


def assert_path(used, depth):
    """Check that there is one variable of each layer from the first to the last."""
    (first, starts_at_bias), *rest = used
    assert first == 1 or starts_at_bias
    assert rest == [(layer, False) for layer in range(first + 1, depth + 1)]


def test_t3_each_monomial_is_a_path(large):
    """T3, each monomial is a path.

    For every formal mask each monomial of an output has one weight of each layer, or one bias of a
    layer l and one weight of each of the layers l+1, ..., L. So the degree is at most L, and
    L - l + 1 for a monomial with a bias of layer l.

    Derived here. Proof: expand the product of the layers; a factor 1 from an h~ ends the path.
    """
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        depth = len(widths) - 1
        for mask in masks(1, sum(widths[1:-1])):
            polynomials = symbolic(widths, SAMPLES[widths[0]][:1], mask, bias=bias)
            for used in layers_of_monomials(polynomials):
                assert_path(used, depth)


@given(small_problems_off_kinks)
def test_t3_each_monomial_is_a_path_at_random(problem):
    """T3, the same for random networks."""
    net, X = problem
    for used in layers_of_monomials(symbolic(net, X)):
        assert_path(used, net.depth)


@given(problems, st.data())
def test_t3_the_jacobian_of_a_formal_mask_is_affine_in_the_sample(problem, data):
    """T3, the samples: for fixed theta and row of a mask, outputs and row block are affine in x.

    Derived here. Proof: the M_l do not depend on x, and the h_l are affine in x, by induction.
    """
    net, X = problem
    row = data.draw(strategies.activation_patterns(net, max_size=1))
    x, y, t = point(X[0]), point(X[-1]), data.draw(strategies.rationals(-3, 3))
    at_x, at_y, between = (
        QMatrix.hstack([block_jacobian(net, [p], row), QMatrix(masked_outputs(net, [p], row)).T])
        for p in (x, y, x + t * (y - x))
    )
    assert between == at_x * (1 - t) + at_y * t


@given(problems_off_kinks)
def test_t3_samples_with_one_pattern(problem):
    """T3, the samples: activation regions of the input space are convex, and J is affine in them.

    So the row block of the midpoint of two samples with the same pattern is the mean of theirs.

    Derived here. Proof: with the mask fixed, all z are affine in x; at the midpoint they are means.
    """
    net, X = problem
    mask = ed.activation_pattern(net, X).mask
    alike = [
        (x, y)
        for (x, a), (y, b) in itertools.combinations(zip(X, mask, strict=True), 2)
        if (a == b).all()
    ]
    for x, y in alike:
        middle = [list((point(x) + point(y)) / 2)]
        assert ed.activation_pattern(net, middle) == ed.activation_pattern(net, [x])
        mean = (ed.jacobian(net, [x]) + ed.jacobian(net, [y])) * Fraction(1, 2)
        assert ed.jacobian(net, middle) == mean


def test_t3_negative_control_samples_of_two_patterns():
    """T3 needs one pattern: across a boundary J is not affine in the sample."""
    ends = ed.jacobian(GE1, [[0]]) + ed.jacobian(GE1, [[2]])
    assert ed.jacobian(GE1, [[1]]) != ends * Fraction(1, 2)


def test_t3_the_jacobian_has_the_block_form(large):
    """T3, the formula of the Jacobian.

    Row block i of J is [ M_{1,i} (x) h~_{0,i} | ... | M_{L,i} (x) h~_{L-1,i} ], where M_{l,i} is
    dz_L / dz_l at sample i. The polynomials of a formal mask have the same matrix as derivative.

    Derived here. Proof: dz_L / dW_l[k, j] = (dz_L / dz_l[k]) h_{l-1}[j].
    """
    for net, X in family_off_kinks(large):
        assert ed.jacobian(net, X) == block_jacobian(net, X, ed.activation_pattern(net, X).mask)
    for widths, bias in ARCHITECTURES:
        net = ed.ReLUNetwork.random(widths, seed=3, bias=bias)
        for mask in masks(2, net.n_hidden):
            X = SAMPLES[widths[0]][:2]
            polynomials = symbolic(net, X, mask)
            derivative = polynomials.jacobian.xreplace(polynomials.substitution(net))
            assert derivative.tolist() == block_jacobian(net, X, mask).tolist()


@given(problems_off_kinks)
def test_t3_the_jacobian_has_the_block_form_at_random(problem):
    """T3, the same for random networks."""
    net, X = problem
    assert ed.jacobian(net, X) == block_jacobian(net, X, ed.activation_pattern(net, X).mask)


# -- T4 --------------------------------------------------------------------------------------------


def rank_over_rational_functions(polynomials):
    """Compute the rank over Q(theta) by elimination in sympy's fraction field."""
    field = sympy.QQ.frac_field(*polynomials.parameters)
    return DomainMatrix.from_Matrix(polynomials.jacobian).convert_to(field).rank()


def test_t4_generic_rank_of_a_mask(large):
    """T4, the generic rank of a mask.

    For a formal mask A at a batch let r_A be the rank of its Jacobian J_A over Q(theta). Then
    rank J_A(theta) <= r_A for every theta, with equality outside a proper algebraic subset; r_A is
    the largest rank. If A is the mask of a region, r_A is the r_s of T2.

    Source: derived here; arXiv 2410.17191 makes the same distinction.

    Proof. Minors of J_A are polynomials in theta. Those of order r_A + 1 are the zero polynomial.
    One of order r_A is not, so its zeros are a proper algebraic subset, and cannot contain a
    region, which is open. The check takes r_A from the engine and from elimination over Q(theta),
    and compares both with the largest rank among all weights in {-1, 0, 1}, which attain it here.
    """
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        X, networks = SAMPLES[widths[0]][:2], list(ternary_networks(widths, bias))
        for mask in masks(2, sum(widths[1:-1])):
            polynomials = symbolic(widths, X, mask, bias=bias)
            r_A = polynomials.generic_rank()
            assert r_A == rank_over_rational_functions(polynomials)
            ranks = [block_jacobian(net, X, mask).rank() for net in networks]
            assert max(ranks) == r_A
            assert ranks == [polynomials.rank_at(net) for net in networks]
            locus, drops = polynomials.rank_drop_locus(), [rank < r_A for rank in ranks]
            assert drops == [locus.contains(net) for net in networks]
            equations = sympy.lambdify(polynomials.parameters, locus.equations)
            values = [equations(*net.parameters().tolist()[0]) for net in networks]
            assert drops == [not any(equal_0) for equal_0 in values]


@given(strategies.networks_with_batches(networks=small, max_size=3), st.data())
def test_t4_generic_rank_of_a_mask_at_random(problem, data):
    """T4, the same for random networks and masks."""
    net, X = problem
    mask = data.draw(strategies.activation_patterns(net, min_size=len(X), max_size=len(X)))
    polynomials = symbolic(net, X, mask)
    r_A = polynomials.generic_rank()
    assert block_jacobian(net, X, mask).rank() <= r_A
    assert block_jacobian(random_point_nearby(net, Fraction(1)), X, mask).rank() == r_A


@given(
    strategies.networks_with_batches(
        networks=strategies.relu_networks(max_width=2, output_width=1)
        | strategies.degenerate_networks(max_width=2, output_width=1),
        max_size=2,
        kinks=False,
    )
)
def test_t4_the_rank_drops_where_the_equations_hold(problem):
    """T4, the algebraic subset: its equations hold at theta if and only if the rank is smaller."""
    net, X = problem
    polynomials = symbolic(net, X)
    equations = polynomials.rank_drop_locus().equations
    assert all(equations)
    values = [e.xreplace(polynomials.substitution(net)) for e in equations]
    assert (ed.jacobian(net, X).rank() < polynomials.generic_rank()) == (not any(values))


def test_t4_goldens():
    """T4, goldens GE1 and GE2.

    GE1: X = (0, 1, 2), f = (5, 8, 14), mask 0, 1, 1, rank 3 = r_A. GE2, in the same region, has
    rank 2: it lies in R_s and not in U_s, since v = 0 is where the rank drops.
    """
    assert GE1(BATCH) == QMatrix([[5], [8], [14]])
    assert ed.activation_pattern(GE1, BATCH).mask.ravel().tolist() == [False, True, True]
    assert ed.activation_pattern(GE2, BATCH) == ed.activation_pattern(GE1, BATCH)
    assert ed.jacobian(GE1, BATCH) == QMatrix([[0, 0, 0, 1], [3, 3, 1, 1], [6, 3, 3, 1]])
    polynomials = symbolic(GE1, BATCH)
    ranks = [ed.jacobian(net, BATCH).rank() for net in (GE1, GE2)]
    assert (ranks, polynomials.generic_rank()) == ([3, 2], 3)
    assert polynomials.rank_drop_locus().equations == (sympy.Symbol("W2_1_1"),)


def test_t4_golden_the_mask_alone_does_not_determine_the_rank():
    """T4, golden: the mask (1, 1) has generic rank 2 at X = (1, 2) and 1 at X = (1, 1).

    So the mask alone does not determine the rank, not even at a generic theta.
    """
    for X, rank in (([[1], [2]], 2), ([[1], [1]], 1)):
        assert ed.activation_pattern(GE1, X).mask.all()
        assert ed.jacobian(GE1, X).rank() == symbolic(GE1, X).generic_rank() == rank


def modular_ranks(widths, bias, X, mask, p):
    """Return the ranks modulo p of a mask's Jacobian at all parameters modulo p."""
    zeros = ed.ReLUNetwork.random(widths, seed=0, bias=bias)
    return [
        modular.rank(block_jacobian(zeros.with_parameters([theta]), X, mask), p)
        for theta in itertools.product(range(p), repeat=zeros.n_parameters)
    ]


@pytest.mark.parametrize(
    ("widths", "bias", "X", "mask", "p"),
    [
        ((1, 1, 1), True, BATCH, [[0], [1], [1]], 5),
        ((1, 1, 1, 1), False, [[1], [2]], [[1, 1], [1, 0]], 7),
        ((2, 1, 1), False, [[1, 2], [-1, 1]], [[1], [1]], 7),
        ((1, 2, 1), False, [[1], [-1]], [[1, 0], [0, 1]], 5),
        ((1, 1, 2), False, [[1], [3]], [[1], [1]], 7),
    ],
)
def test_t4_a_random_parameter_modulo_a_prime(widths, bias, X, mask, p):
    """T4, the algorithm: draw theta modulo a prime p and take the rank modulo p.

    Let p be a prime that divides not all coefficients of all minors of order r_A of J_A. Then the
    rank of J_A(theta) modulo p is r_A for all theta modulo p but a fraction of at most
    r_A (L - 1) / p, and never larger.

    Derived here. Proof: entries of J_A have degree at most L - 1, so minors of order r_A have
    degree at most r_A (L - 1). One of them is a nonzero polynomial modulo p, and Schwartz and
    Zippel bound its zeros; all larger minors are zero. The check counts all theta modulo p.
    """
    r_A = symbolic(widths, X, mask, bias=bias).generic_rank()
    ranks = modular_ranks(widths, bias, X, mask, p)
    smaller = sum(rank < r_A for rank in ranks)
    assert max(ranks) == r_A
    assert 0 < smaller <= len(ranks) * Fraction(r_A * (len(widths) - 2), p) < len(ranks)


def test_t4_golden_and_negative_control_modulo_a_prime():
    """T4, the algorithm: golden, and its hypothesis on p is needed.

    GE1's mask modulo 5: v = 0 for 125 of 625 theta, five of which have w = b = 0 as well. And
    where p divides all minors, here because the samples 0 and 5 are equal modulo 5, no theta has
    the rank r_A = 2.
    """
    ranks = modular_ranks((1, 1, 1), True, BATCH, [[0], [1], [1]], 5)
    assert [ranks.count(r) for r in range(4)] == [0, 5, 120, 500]
    assert symbolic((1, 1, 1), [[0], [5]], [[1], [1]]).generic_rank() == 2
    assert set(modular_ranks((1, 1, 1), True, [[0], [5]], [[1], [1]], 5)) == {1}
