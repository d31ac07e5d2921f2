"""Symmetries: parameters that give the same function, and what they say about ranks.

Hidden units can be rescaled and permuted without changing the function (T6). The tangents of the
rescalings lie in the kernel of every Jacobian (T7), because outputs depend on the parameters only
through their products along paths (T8). Where these tangents are the whole kernel, the batch
identifies the parameters up to rescaling (T14). Units can also be split, added and removed with no
change of the rank (T19); and among the parameters that symmetries relate one can be singled out
(canonical forms).

Notation: h_0 = x, z_l = W_l h_{l-1} + b_l, h_l = a_l z_l with masks a_l = [z_l > 0], outputs z_L; P
parameters, H hidden units; J the Jacobian of the n N_L outputs in the parameters, J_A that of a
mask A that is prescribed (a formal mask). An input, a hidden unit or an output is written
(level, k), with level 0 for the inputs and L for the outputs. A parameter belongs to a pair
(tail, head): a weight leads from its tail to its head, and the tail of a bias is None.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import pytest
import sympy
from family import (
    ARCHITECTURES,
    BATCH,
    GE1,
    LARGE_ARCHITECTURES,
    SAMPLES,
    masks,
    ternary_networks,
)
from hypothesis import given
from hypothesis import strategies as st

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.nets.jacobian import JacobianFactors
from exactdim.nets.moves import add_unit, split_unit
from exactdim.nets.paths import lifting_rank, n_paths
from exactdim.nets.symbolic import symbolic
from exactdim.nets.symmetry import unanchored_components
from exactdim.testing import strategies

with_hidden_units = strategies.relu_networks(min_depth=2) | strategies.degenerate_networks()
problems = strategies.networks_with_batches(networks=with_hidden_units)
problems_off_kinks = strategies.networks_with_batches(networks=with_hidden_units, kinks=False)


def family(large):
    """Go through all networks with weights in -1, 0, 1 of the small architectures."""
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        yield from ternary_networks(widths, bias)


def family_with_masks(large):
    """Go through the family with all formal masks at two samples."""
    for net in family(large):
        X = SAMPLES[net.widths[0]][:2]
        for mask in masks(2, net.n_hidden):
            yield net, X, mask


def family_with_hidden_units(large):
    """Go through the networks of the family that have hidden layers, with a batch."""
    for net in family(large):
        if net.depth > 1:
            yield net, SAMPLES[net.widths[0]]


def formal_jacobian(net, X, mask):
    """Return J_A, the Jacobian of a prescribed mask."""
    formal = symbolic(net, X, mask)
    return JacobianFactors(net, formal.batch, formal.pattern, "logits").dense


def jacobian(net, X):
    """Return the Jacobian with the mask [z > 0], on kinks too."""
    return ed.jacobian(net, X, on_kink="zero")


def parameters(net):
    """Return (tail, head) for each parameter, in the order of the columns of J."""
    found = []
    for level, (inputs, units) in enumerate(itertools.pairwise(net.widths)):
        heads = [(level + 1, k) for k in range(units)]
        found += [((level, j), head) for head in heads for j in range(inputs)]
        found += [(None, head) for head in heads if net.has_bias[level]]
    return found


def hidden_units(net):
    """Return (level, k) for each hidden unit, in the order of the columns of a mask."""
    return [(level, k) for level in range(1, net.depth) for k in range(net.widths[level])]


def nonzero(net):
    """Return (tail, head) for each parameter that is not zero."""
    return [e for e, v in zip(parameters(net), theta(net), strict=True) if v]


def theta(net):
    """Return the parameters as a list."""
    return net.parameters().tolist()[0]


def flat(outputs):
    """Write outputs as one column, sample by sample."""
    return QMatrix([[v] for row in outputs.tolist() for v in row])


def diagonal(numbers):
    """Return a diagonal matrix."""
    numbers = list(numbers)
    return QMatrix([[v * (i == j) for j in range(len(numbers))] for i, v in enumerate(numbers)])


def same_column_space(A, B):
    """Tell whether two matrices have the same column space."""
    return A.rank() == B.rank() == QMatrix.hstack([A, B]).rank()


# -- T6 --------------------------------------------------------------------------------------------


def symmetry_matrix(net, orders, factors):
    """Return the matrix S of a symmetry: theta' = S theta.

    New unit k of a hidden layer is the old unit orders[layer][k], times factors[layer][k] != 0.
    What enters it is multiplied by the factor, what leaves it is divided.
    """

    def old(unit):
        inside = unit is not None and 0 < unit[0] < net.depth
        return (unit[0], orders[unit[0] - 1][unit[1]]) if inside else unit

    def factor(unit):
        inside = unit is not None and 0 < unit[0] < net.depth
        return Fraction(factors[unit[0] - 1][unit[1]]) if inside else Fraction(1)

    names = parameters(net)
    return QMatrix([
        [factor(head) / factor(tail) * (name == (old(tail), old(head))) for name in names]
        for tail, head in names
    ])


def moved_mask(net, mask, orders):
    """Permute the columns of a mask."""
    start = {level: sum(net.widths[1:level]) for level in range(1, net.depth)}
    return mask[:, [start[level] + orders[level - 1][k] for level, k in hidden_units(net)]]


def some_symmetries(net):
    """Return all orders of the hidden units, each with one choice of factors."""
    hidden = net.widths[1:-1]
    factors = [[Fraction(7, 2 + 3 * k + layer) for k in range(n)] for layer, n in enumerate(hidden)]
    for orders in itertools.product(*(itertools.permutations(range(n)) for n in hidden)):
        yield ed.Symmetry(net.widths, orders, factors)


def assert_symmetry(net, X, s):
    """Check f' = f, A' = A permuted, and J' S = J, with S written down by hand."""
    S, after = symmetry_matrix(net, s.orders, s.factors), s(net)
    assert after.parameters().T == S @ net.parameters().T
    assert after(X) == net(X)
    before, mask = (ed.activation_pattern(x, X, on_kink="zero").mask for x in (net, after))
    assert (mask == moved_mask(net, before, s.orders)).all()
    assert jacobian(after, X) @ S == jacobian(net, X)
    assert s.on_jacobian(jacobian(net, X), has_bias=net.has_bias) == jacobian(after, X)


def test_t6_rescaling_and_permutation(large):
    """T6a and T6b, rescaling and permutation of hidden units.

    Let theta' come from theta by permuting the units of each hidden layer, then multiplying what
    enters unit k (weights and bias) by a number lambda_k > 0 and dividing what leaves it by the
    same number. Then theta' = S theta with a monomial matrix S, the function is the same, the
    columns of the mask are permuted, and J(theta') = J(theta) S^{-1} for every batch; so the rank
    is the same.

    Source: invariance in arXiv 2402.08269; the relation of the Jacobians is derived here.

    Proof. relu(lambda z) = lambda relu(z) for lambda > 0, so the factors cancel between one layer
    and the next. f(S theta) = f(theta) for all theta, and S does not depend on theta:
    differentiate. On kinks the relation holds for the mask [z > 0], which is permuted there too.
    """
    for net, X in family_with_hidden_units(large):
        for s in some_symmetries(net):
            assert_symmetry(net, X, s)


@given(problems, st.data())
def test_t6_rescaling_and_permutation_at_random(problem, data):
    """T6a and T6b, the same for random networks, on kinks or not."""
    net, X = problem
    assert_symmetry(net, X, data.draw(strategies.symmetries(net)))


def test_t6_any_factor_for_formal_masks(large):
    """T6 for formal masks: J_{A'}(S theta) S = J_A(theta), A' being A permuted, if no factor is 0.

    Derived here. Proof: with the mask prescribed nothing has to commute with relu. The outputs of
    the mask are polynomials in theta that do not change under S.
    """
    for net, X, mask in family_with_masks(large):
        orders = [range(n)[::-1] for n in net.widths[1:-1]]
        factors = [[Fraction(-3, 2 + k) for k in range(n)] for n in net.widths[1:-1]]
        S = symmetry_matrix(net, orders, factors)
        after = net.with_parameters((S @ net.parameters().T).T)
        J = formal_jacobian(after, X, moved_mask(net, mask, orders))
        assert formal_jacobian(net, X, mask) == J @ S


def test_t6_negative_control_negative_factors():
    """T6 needs lambda > 0: for lambda = -1 mask and function change, and the rank drops.

    GE1 becomes -3 relu(1 - 2 x) + 5, which is on at x = 0 only.
    """
    S = symmetry_matrix(GE1, [[0]], [[-1]])
    after = GE1.with_parameters((S @ GE1.parameters().T).T)
    assert after(BATCH) == QMatrix([[2], [5], [5]]) != GE1(BATCH)
    assert (jacobian(after, BATCH).rank(), jacobian(GE1, BATCH).rank()) == (2, 3)
    with pytest.raises(errors.InvalidInput, match="not positive"):
        ed.rescale(GE1, 0, 0, -1)


def test_t6_golden():
    """T6, golden: GE1 with lambda = 7, and a quantity that is not invariant.

    theta' = (14, -7, 3/7, 5), J' = J diag(1/7, 1/7, 7, 1). The sum of the squared singular values,
    trace J J^T, changes: of all that is computed from J only ranks and kernels are invariant.
    """
    after = ed.rescale(GE1, 0, 0, 7)
    assert after.parameters() == QMatrix([[14, -7, "3/7", 5]])
    J, K = ed.jacobian(GE1, BATCH), ed.jacobian(after, BATCH)
    assert J @ diagonal([Fraction(1, 7), Fraction(1, 7), 7, 1]) == K
    traces = [sum(v * v for row in A.tolist() for v in row) for A in (J, K)]
    assert traces == [76, Fraction(45 + 18, 49) + 49 * 10 + 3]


def with_changed_outputs(net, T):
    """Return the network whose outputs are T times as large, and Q with theta' = Q theta."""
    bias = net.biases[-1]
    changed = ed.ReLUNetwork(
        [*net.weights[:-1], T @ net.weights[-1]],
        [*net.biases[:-1], None if bias is None else bias @ T.T],
    )
    names = parameters(net)
    Q = [
        [
            T[head[1], other[1]] if head[0] == net.depth and tail == start and other[0] == head[0]
            else int((tail, head) == (start, other))
            for start, other in names
        ]
        for tail, head in names
    ]  # fmt: skip
    return changed, QMatrix(Q)


def assert_outputs_change(net, X, T):
    """Check J' Q = (I (x) T) J."""
    changed, Q = with_changed_outputs(net, T)
    assert changed.parameters().T == Q @ net.parameters().T
    J, n, m = jacobian(net, X), len(X), net.widths[-1]
    blocks = [
        [T[i % m, j % m] if i // m == j // m else 0 for j in range(n * m)] for i in range(n * m)
    ]
    assert jacobian(changed, X) @ Q == QMatrix(blocks) @ J
    return jacobian(changed, X).rank(), J.rank()


@given(problems, st.data())
def test_t6_invertible_matrices_on_the_outputs(problem, data):
    """T6c. Let T be an invertible matrix of order N_L, W_L' = T W_L and b_L' = T b_L.

    Then theta' = Q theta with an invertible Q, J(theta') Q = (I_n (x) T) J(theta), and the rank is
    the same.

    Derived here. Proof: f(Q theta) = T f(theta); differentiate.
    """
    net, X = problem
    size = net.widths[-1]
    row = st.lists(strategies.rationals(-2, 2), min_size=size, max_size=size)
    T = QMatrix(data.draw(st.lists(row, min_size=size, max_size=size)))
    before, after = assert_outputs_change(net, X, T)
    assert T.rank() < size or before == after


def test_t6_negative_control_singular_matrices_on_the_outputs():
    """T6c needs T to be invertible: with T = 0 the relation holds and the rank drops."""
    net = ed.ReLUNetwork([[[2]], [[3], [1]]], [[-1], [5, 0]])
    assert assert_outputs_change(net, BATCH, QMatrix.zeros(2, 2)) == (4, 5)


# -- T7 --------------------------------------------------------------------------------------------


def gauge_vector(net, unit):
    """Return t_k: +w and +b at what enters the unit, -v at what leaves it, 0 elsewhere."""
    return [
        ((head == unit) - (tail == unit)) * value
        for (tail, head), value in zip(parameters(net), theta(net), strict=True)
    ]


def components(net):
    """Return the sets of hidden units that nonzero weights join, and whether they are anchored.

    Anchored: some nonzero parameter joins the set to an input, to a bias or to an output.
    """
    hidden, parts = set(hidden_units(net)), [{unit} for unit in hidden_units(net)]
    for e in nonzero(net):
        joined = [part for part in parts if part & set(e)]
        parts = [part for part in parts if part not in joined]
        parts += [set().union(*joined)] if joined else []
    return [(part, any(set(e) & part and set(e) - hidden for e in nonzero(net))) for part in parts]


def assert_relations(net):
    """Check that the relations between the t_k are the indicators of the unanchored components."""
    units = hidden_units(net)
    T = QMatrix([gauge_vector(net, unit) for unit in units])
    assert ed.gauge_vectors(net) == T
    loose = [part for part, anchored in components(net) if not anchored]
    for part in loose:
        assert (QMatrix([[int(unit in part) for unit in units]]) @ T).is_zero()
    assert T.rank() == net.n_hidden - len(loose)
    engine = [{(layer + 1, k) for layer, k in part} for part in unanchored_components(net)]
    assert sorted(map(sorted, loose)) == sorted(map(sorted, engine))


def assert_gauge_bound(net, J):
    """Check J t_k = 0 and the bounds that follow; return the rank of J and the bound P - H."""
    assert (J @ ed.gauge_vectors(net).T).is_zero()
    loose = set().union(*(part for part, anchored in components(net) if not anchored))
    around = sum(bool(loose & {tail, head}) for tail, head in parameters(net))
    bound = net.n_parameters - net.n_hidden
    assert J.rank() <= bound - around + len(loose)
    assert around > len(loose) or not loose
    return J.rank(), bound


def test_t7_kernel_of_the_rescalings(large):
    """T7, the tangents of the rescalings, their rank, and P - H.

    For a hidden unit k let t_k have entries +w and +b at the parameters that enter k, and -v at
    those that leave it. Join hidden units by their nonzero weights, and call a component anchored
    if a nonzero parameter joins it to an input, a bias or an output.

    1. J_A t_k = 0 for every theta, batch and mask.
    2. The relations between the t_k have the indicators of the unanchored components as a basis; so
       the t_k have rank H - (number of unanchored components).
    3. rank J_A <= P - H for every theta, batch and mask.
    4. More precisely, with U the set of units in unanchored components and p_U the number of
       parameters that enter or leave units of U: rank J_A <= (P - p_U) - (H - |U|), and p_U > |U|
       if U is not empty. So rank J_A = P - H implies that the t_k are independent.

    Source: 3 is in arXiv 2402.08269 (the authors' code prints it) and arXiv 2209.04036; 2 and 4 are
    derived here.

    Proof. 1. Differentiate T6a at lambda_k = 1. 2. In a relation sum_k c_k t_k = 0 the entry of a
    weight w from j to k is (c_k - c_j) w, with c = 0 for what is not a hidden unit. So c is
    constant on components, and 0 on anchored ones. 4. By T8 the column of a parameter e in J_A is 0
    unless some path through e has no zero but perhaps e. Such a path joins the head of e to an
    output and its tail to an input or a bias; so e does not touch U, and the p_U columns are 0. By
    1 and 2 the t_k of the H - |U| other units are in the kernel, independent, and 0 at the p_U
    columns. Each unit of U has an incoming weight, and the weights that leave the uppermost of them
    enter no unit of U, so p_U > |U|. 3 is a consequence.
    """
    for net in family(large):
        if net.n_hidden:
            assert_relations(net)
    attained = Counter(
        rank == bound
        for rank, bound in itertools.starmap(
            lambda net, X, mask: assert_gauge_bound(net, formal_jacobian(net, X, mask)),
            family_with_masks(large),
        )
    )
    assert attained[True]
    assert attained[False]


@given(problems, st.data())
def test_t7_kernel_of_the_rescalings_at_random(problem, data):
    """T7, the same for random networks and masks."""
    net, X = problem
    assert_relations(net)
    mask = data.draw(strategies.activation_patterns(net, min_size=len(X), max_size=len(X)))
    assert_gauge_bound(net, formal_jacobian(net, X, mask))
    assert_gauge_bound(net, jacobian(net, X))


def test_t7_goldens():
    """T7, goldens: GE1 has t = (2, -1, -3, 0) and attains P - H = 3; an unanchored pair of units.

    In the second network only the weight between the two hidden units is not zero: t_1 = -t_2.
    """
    assert gauge_vector(GE1, (1, 0)) == [2, -1, -3, 0]
    J = ed.jacobian(GE1, BATCH)
    assert (J @ QMatrix([[2], [-1], [-3], [0]])).is_zero()
    assert J.rank() == GE1.n_parameters - GE1.n_hidden == 3
    loose = ed.ReLUNetwork([[[0]], [[2]], [[0]]])
    assert ed.gauge_vectors(loose) == QMatrix([[0, -2, 0], [0, 2, 0]])
    assert components(loose) == [({(1, 0), (2, 0)}, False)]


def test_t7_negative_control_signs():
    """T7 needs the sign: with +v instead of -v the vector is not in the kernel."""
    assert not (ed.jacobian(GE1, BATCH) @ QMatrix([[2], [-1], [3], [0]])).is_zero()


# -- T8 --------------------------------------------------------------------------------------------


def paths(net):
    """Return all paths as lists of nodes: from an input or None (a bias) to an output."""
    levels = [[(level, k) for k in range(n)] for level, n in enumerate(net.widths)]
    found = [list(nodes) for nodes in itertools.product(*levels)]
    for level, has_bias in enumerate(net.has_bias, start=1):
        if has_bias:
            found += [[None, *nodes] for nodes in itertools.product(*levels[level:])]
    return found


def lifting(net):
    """Return phi(theta), as a column, and D phi(theta) by the product rule."""
    value = dict(zip(parameters(net), theta(net), strict=True))
    ways = [list(itertools.pairwise(nodes)) for nodes in paths(net)]
    phi = [[math.prod(value[e] for e in way)] for way in ways]
    derivative = [
        [math.prod(value[e] for e in way if e != name) if name in way else 0 for name in value]
        for way in ways
    ]
    return QMatrix(phi), QMatrix(derivative)


def operator(net, X, mask):
    """Return alpha: where a path starts (1 for a bias), if its hidden units are on, by output."""
    rows = []
    for x, row in zip(X, mask, strict=True):
        on = dict(zip(hidden_units(net), row, strict=True))
        for output in range(net.widths[-1]):
            entries = []
            for start, *units in paths(net):
                open_path = all(on[u] for u in units[:-1]) and units[-1][1] == output
                entries.append((Fraction(x[start[1]]) if start else 1) if open_path else 0)
            rows.append(entries)
    return QMatrix(rows)


def assert_factorisation(net, X):
    """Check f = alpha phi and J = alpha D phi by hand, and that the engine has the same factors."""
    mask = ed.activation_pattern(net, X, on_kink="zero").mask
    alpha, (phi, D) = operator(net, X, mask), lifting(net)
    assert alpha @ phi == flat(net(X))
    assert alpha @ D == jacobian(net, X)
    assert jacobian(net, X).rank() <= min(alpha.rank(), D.rank())
    engine = ed.path_lifting(net)
    assert (engine.values, engine.jacobian()) == (phi, D)
    assert ed.activation_operator(net, X, on_kink="zero") == alpha
    assert n_paths(net) == len(paths(net))
    assert lifting_rank(net) == D.rank() <= net.n_parameters - net.n_hidden


def test_t8_path_lifting(large):
    """T8, outputs are linear in the products along paths.

    A path starts at an input or at a bias and runs through one unit of each later layer to an
    output. Let phi(theta) have the products of the parameters along all paths. Let alpha have the
    rows (sample, output) with entries x_i (1 at a bias) times the masks of the hidden units on the
    path, 0 for other outputs. Then f = alpha phi and J = alpha D phi, for formal masks too; alpha
    depends on theta only through the mask. So rank J <= min(rank alpha, rank D phi).

    Source: existence in arXiv 2107.09370 and arXiv 2206.07424 (abstracts); details derived here.

    Proof. Expand the product of the layers, see T3; for a fixed mask differentiate.
    """
    for net in family(large):
        assert_factorisation(net, SAMPLES[net.widths[0]])
    for net, X, mask in family_with_masks(large):
        assert operator(net, X, mask) @ lifting(net)[1] == formal_jacobian(net, X, mask)


@given(strategies.networks_with_batches(max_size=3))
def test_t8_path_lifting_at_random(problem):
    """T8, the same for random networks, on kinks or not."""
    assert_factorisation(*problem)


GOLDEN_LIFTINGS = [  # widths, paths, parameters, rank of D phi
    ((1, 1, 1), 3, 4, 3),
    ((2, 2, 1), 7, 9, 7),
    ((2, 3, 2), 20, 17, 14),
    ((2, 2, 2, 1), 15, 15, 11),
    ((2, 3, 2, 2), 42, 23, 18),
]


@pytest.mark.parametrize(("widths", "count", "size", "rank"), GOLDEN_LIFTINGS)
def test_t8_goldens(widths, count, size, rank):
    """T8, the golden table, with biases everywhere."""
    net = ed.ReLUNetwork.random(widths, seed=1)
    D = lifting(net)[1]
    assert (D.shape, D.rank(), lifting_rank(net)) == ((count, size), rank, rank)
    assert rank == net.n_parameters - net.n_hidden


def incidence(net):
    """Return the 0/1 matrix of the parameters on each path."""
    ways = [list(itertools.pairwise(nodes)) for nodes in paths(net)]
    return QMatrix([[int(name in way) for name in parameters(net)] for way in ways])


@given(
    strategies.relu_networks(
        min_depth=2, max_width=3, elements=strategies.rationals(-3, 3).filter(bool)
    ),
    st.data(),
)
def test_t8_parameters_without_zeros(net, data):
    """T8, the rank and the fibres of phi. Let no parameter of theta be 0.

    1. rank D phi = rank of the 0/1 incidence matrix of paths and parameters = P - H; the kernel of
       the incidence matrix is spanned by the potential differences c_head - c_tail, where c is 0 at
       inputs, biases and outputs.
    2. phi(theta') = phi(theta) if and only if theta' is theta rescaled by factors lambda_k != 0; by
       positive ones, if theta and theta' have the same signs.

    Derived here.

    Proof. 1. D phi = diag(phi) B diag(1/theta) with the incidence matrix B. A vector in the kernel
    of B sums to 0 along each path, so its sum from the start to a unit does not depend on the way:
    this is c. 2. The same with the quotients theta'_e / theta_e and products.
    """
    (phi, D), B = lifting(net), incidence(net)
    assert D @ diagonal(theta(net)) == diagonal(v for (v,) in phi.tolist()) @ B
    assert D.rank() == B.rank() == net.n_parameters - net.n_hidden
    differences = QMatrix([
        [(head == unit) - (tail == unit) for tail, head in parameters(net)]
        for unit in hidden_units(net)
    ])
    assert (B @ differences.T).is_zero()
    assert differences.rank() == net.n_hidden
    factors = [
        [data.draw(strategies.rationals(-3, 3).filter(bool)) for _ in range(n)]
        for n in net.widths[1:-1]
    ]
    S = symmetry_matrix(net, [range(n) for n in net.widths[1:-1]], factors)
    after = net.with_parameters((S @ net.parameters().T).T)
    assert lifting(after)[0] == phi


def test_t8_fibres_without_zeros(large):
    """T8, the fibres of phi among all networks with weights -1 and 1: orbits of signs."""
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        nets = [net for net in ternary_networks(widths, bias) if all(theta(net))]
        fibres = {}
        for net in nets:
            fibres.setdefault(lifting(net)[0], set()).add(net)
        orders = [range(n) for n in widths[1:-1]]
        for net in nets:
            signs = itertools.product([1, -1], repeat=net.n_hidden)
            orbit = set()
            for choice in signs:
                left = iter(choice)
                factors = [[next(left) for _ in range(n)] for n in widths[1:-1]]
                S = symmetry_matrix(net, orders, factors)
                orbit.add(net.with_parameters((S @ net.parameters().T).T))
            assert orbit == fibres[lifting(net)[0]]
            assert len(orbit) == 2**net.n_hidden


def test_t8_negative_controls_zeros():
    """T8 needs nonzero parameters for rank D phi = P - H and for the fibres.

    With v = 0 in GE1 the products are 0, 0, c whatever w and b are, and rank D phi = 2 < 3. So the
    rank of GE2 (T4) drops for every batch.
    """
    without_v = GE1.with_parameters([[2, -1, 0, 5]])
    other = GE1.with_parameters([[7, 4, 0, 5]])
    assert lifting(without_v)[0] == lifting(other)[0] == QMatrix([[0], [0], [5]])
    assert lifting(without_v)[1].rank() == lifting_rank(without_v) == 2
    assert not ed.are_equivalent(without_v, other)


# -- T14 -------------------------------------------------------------------------------------------


def assert_kernel_is_gauge(net, J):
    """Check: rank J = P - H if and only if the t_k are independent and span the kernel of J."""
    T, kernel = ed.gauge_vectors(net), J.kernel()
    spans = T.rank() == kernel.shape[0] == net.n_hidden
    identifiable = J.rank() == net.n_parameters - net.n_hidden
    assert identifiable == spans
    assert QMatrix.vstack([T, kernel]).rank() == kernel.shape[0]
    return identifiable


def test_t14_kernel_of_an_identifiable_network(large):
    """T14, local identifiability. Let theta be on no kink of the batch X.

    1. If rank J(theta) = P - H, then all theta' near theta with f_theta'(X) = f_theta(X) are
       rescalings of theta (T6a). That the t_k are independent is not a further hypothesis (T7.4).
    2. If rank J(theta) < P - H and theta is generic in its region (in U_s, T2), there are theta' as
       near as one likes with f_theta'(X) = f_theta(X) that are no rescalings of theta.
    3. If rank J(theta) < P - H and theta is not generic, both can happen.

    Source: arXiv 2206.07424 (abstract: conditions that are tested by ranks); this form is derived
    here, and the conditions there may differ.

    Proof. In 1 and 2 the rank is constant near theta: nearby it is not smaller, and in 1 not larger
    than P - H; in 2 by choice of U_s. So the fibre is near theta a manifold of dimension
    P - rank J. It contains the orbit of the rescalings, which is near theta a manifold of dimension
    rank {t_k} <= H. In 1 both have dimension H, so they agree near theta. In 2 the fibre has a
    larger dimension than the orbit.

    This check: rank J_A = P - H exactly if the t_k are a basis of the kernel of J_A.
    """
    found = Counter(
        assert_kernel_is_gauge(net, formal_jacobian(net, X, mask))
        for net, X, mask in family_with_masks(large)
        if net.n_hidden
    )
    assert found[True]
    assert found[False]


@given(problems_off_kinks)
def test_t14_kernel_of_an_identifiable_network_at_random(problem):
    """T14, the same for random networks."""
    net, X = problem
    assert_kernel_is_gauge(net, ed.jacobian(net, X))


@pytest.mark.parametrize("widths", [(1, 2, 1), (2, 2, 1), (2, 2, 2), (2, 3, 1), (2, 2, 2, 1)])
def test_t14_identifiable_networks_exist(widths):
    """T14.1 is not empty: networks whose kernel is spanned by the t_k, at a grid of samples."""
    grid = itertools.product(
        [Fraction(3001 * k, 10007) for k in range(-9, 10, 2)], repeat=widths[0]
    )
    X = [list(x) for x in grid]
    found = []
    for seed in range(60):
        net = ed.ReLUNetwork.random(widths, seed=seed)
        found.append(assert_kernel_is_gauge(net, ed.jacobian(net, X)))
    assert any(found)


def test_t14_golden_identifiable():
    """T14.1, golden: GE1 at X = (0, 1, 2) is identifiable, in its whole region.

    The equations f_theta'(X) = (5, 8, 14) with GE1's mask generate the same ideal as those of the
    path products, v w = 6, v b = -3, c = 5; so the fibre is {(2 t, -t, 3/t, 5)}, and t > 0 in the
    region. In general: if rank alpha is the number of paths, f determines phi (T8), and phi
    determines theta up to rescaling if no parameter is 0.
    """
    w, b, v, c = symbolic(GE1, BATCH).parameters
    outputs = [z for row in symbolic(GE1, BATCH).outputs.tolist() for z in row]
    fibre = [z - target for z, target in zip(outputs, (5, 8, 14), strict=True)]
    assert sympy.groebner(fibre, w, b, v, c) == sympy.groebner(
        [v * w - 6, v * b + 3, c - 5], w, b, v, c
    )
    alpha = operator(GE1, BATCH, ed.activation_pattern(GE1, BATCH).mask)
    assert alpha.rank() == len(paths(GE1)) == 3
    for t in (Fraction(1, 9), 1, 4):
        other = GE1.with_parameters([[2 * t, -t, Fraction(3) / t, 5]])
        assert other(BATCH) == GE1(BATCH)
        assert other == ed.rescale(GE1, 0, 0, t)


def test_t14_golden_not_identifiable():
    """T14.2, golden: GE1 at X = (1, 2) has rank 2 < 3, is generic, and is not identifiable.

    Its fibre in the region is {v w = 6, v b + c = 2}, of dimension 2. Each vector of the kernel of
    J is the tangent of a rational curve in the fibre; the orbit is where v b = -3.
    """
    X = [[1], [2]]
    J = ed.jacobian(GE1, X)
    assert J.rank() == symbolic(GE1, X).generic_rank() == 2
    assert J.kernel().shape[0] == 2
    for dw, db, dv, dc in J.kernel().tolist():
        assert (dw, dc) == (-Fraction(6, 9) * dv, -3 * db + dv)  # derivatives of 6 / v, 2 - v b
        for s in (Fraction(1, 20), Fraction(-1, 50)):
            b, v = -1 + s * db, 3 + s * dv
            other = GE1.with_parameters([[6 / v, b, v, 2 - v * b]])
            assert ed.activation_pattern(other, X) == ed.activation_pattern(GE1, X)
            assert other(X) == GE1(X)
            assert bool(ed.are_equivalent(GE1, other)) == (v * b == -3)
            assert v * b != -3


def straight_lines(net, X):
    """Yield other networks of the region with the same outputs, one layer being different.

    Vectors of the kernel of J that move one layer only are the directions of straight lines in the
    fibre, because outputs are affine in a layer (T3). Yields the direction too.
    """
    J, offsets = ed.jacobian(net, X), net.parameter_offsets()
    for start, end in itertools.pairwise(offsets):
        for step in J[:, list(range(start, end))].kernel().tolist():
            direction = QMatrix([[0] * start + step + [0] * (offsets[-1] - end)])
            size = Fraction(1, 4)
            while True:
                other = net.with_parameters(net.parameters() + direction * size)
                same = ed.activation_pattern(other, X, on_kink="zero")
                if same == ed.activation_pattern(net, X) and not same.kinks:
                    yield other, direction
                    break
                size /= 4


def test_t14_straight_lines_in_the_fibre(large):
    """T14.2, wherever one layer alone is not identifiable: exactly equal outputs, no rescaling."""
    left = 0
    for net in family(large):
        X = SAMPLES[net.widths[0]]
        if net.depth > 1 and not ed.activation_pattern(net, X, on_kink="zero").kinks:
            left += assert_lines_leave_the_orbit(net, X)
    assert left


def assert_lines_leave_the_orbit(net, X):
    """Check that outputs stay and that path products change, unless D phi is 0 in the direction."""
    (phi, D), left = lifting(net), 0
    for other, direction in straight_lines(net, X):
        assert other(X) == net(X)
        moves = not (D @ direction.T).is_zero()
        assert moves == (lifting(other)[0] != phi)
        left += moves
    return left


@given(
    strategies.networks_with_batches(
        networks=strategies.relu_networks(min_depth=2, max_width=2)
        | strategies.degenerate_networks(max_width=2),
        kinks=False,
        max_size=3,
    )
)
def test_t14_straight_lines_in_the_fibre_at_random(problem):
    """T14.2, the same for random networks."""
    assert_lines_leave_the_orbit(*problem)


def test_t14_not_generic_and_not_identifiable():
    """T14.3, first case: GE1 with v = 0 is neither generic nor identifiable.

    The rank is 2 < 3 = r_A. Near theta the fibre is {v = 0, c = 5}, of dimension 2; the orbit is
    {(2 t, -t, 0, 5)}.
    """
    net = GE1.with_parameters([[2, -1, 0, 5]])
    assert ed.jacobian(net, BATCH).rank() == 2 < symbolic(net, BATCH).generic_rank()
    other = GE1.with_parameters([["21/10", "-9/10", 0, 5]])
    assert other(BATCH) == net(BATCH)
    assert not ed.are_equivalent(net, other)


def test_t14_not_generic_but_identifiable():
    """T14.3, second case: a fold. The rank is 5 < 6 = P - H = r_A, and the fibre is the orbit.

    So a smaller rank at a point that is not generic does not decide.

    Derived here. Proof. The kernel of J is spanned by the independent t_k and one more vector d.
    Let y J = 0 and y f''(d, d) != 0. Suppose that theta_i -> theta are in the fibre and not in the
    orbit. Rescaled, they have theta_i - theta orthogonal to the t_k, and still tend to theta. The
    directions of theta_i - theta have a limit u, up to choice of a subsequence; J u = 0, so u = d +
    sum_k c_k t_k up to a factor. From J t_k = 0 for all theta, f''(t_k, .) = -J Dt_k, so
    y f''(u, u) = y f''(d, d) != 0. But 0 = y (f(theta_i) - f(theta)) is y f''(u, u) / 2 times the
    square of the distance, up to higher order: a contradiction.
    """
    net = ed.ReLUNetwork([[[2, -2], [3, 3]], [[-1, 1], [3, -1]], [[-3, -1]]])
    X = [[1, 0], [1, -3], [-1, 3], [2, 1], [1, 4], [3, -2]]
    J, T, mask = ed.jacobian(net, X), ed.gauge_vectors(net), ed.activation_pattern(net, X).mask
    assert (J.rank(), T.rank(), net.n_parameters - net.n_hidden) == (5, 4, 6)
    assert symbolic(net, X).generic_rank() == 6
    d = QMatrix([[22, -30, 0, 0, 7, 0, 0, 0, 0, 14]])
    assert (J @ d.T).is_zero()
    assert QMatrix.vstack([T, d]).rank() == J.kernel().shape[0] == 5
    ahead, here, behind = (
        operator(net, X, mask) @ lifting(net.with_parameters(net.parameters() + d * s))[0]
        for s in (1, 0, -1)
    )
    assert here == flat(net(X))
    second = ahead + behind - here * 2  # f''(d, d): outputs have degree 3, odd terms cancel
    y = J.T.kernel()
    assert y.shape == (1, 6)
    assert not (y @ second).is_zero()


# -- T19 -------------------------------------------------------------------------------------------


SHARES = [Fraction(1, 3), 0, 1, -2]


def assert_splitting(net, X, unit, share):
    """Check that splitting a unit keeps the outputs and the column space of J."""
    wider = split_unit(net, *unit, share)
    assert wider(X) == net(X)
    J, K = jacobian(net, X), jacobian(wider, X)
    assert same_column_space(J, K)
    assert (J.T.kernel() @ K).is_zero()  # so J^T g = 0 implies K^T g = 0: critical stays critical
    layer = unit[0]
    more = net.widths[layer] + net.has_bias[layer] + net.widths[layer + 2]
    assert wider.n_parameters == net.n_parameters + more


def test_t19_splitting_a_unit(large):
    """T19a, splitting a unit.

    Replace a hidden unit (w, b, v) by two units (w, b, s v) and (w, b, (1 - s) v), for any number
    s. The function is the same, and for every batch the column space of J is the same; so the rank
    is the same, and theta is critical for a loss of the outputs if and only if the wider network
    is.

    Derived here.

    Proof. Both units have the pre-activation and the mask of the old one, and what they pass on
    adds up to the same. The columns of v occur twice; those of w and b once times s and once times
    1 - s, of which one is not 0; all others are unchanged. The gradient of a loss is J^T g.
    """
    for net, X in family_with_hidden_units(large):
        for (level, k), share in itertools.product(hidden_units(net), SHARES):
            assert_splitting(net, X, (level - 1, k), share)


@given(problems, st.data(), strategies.rationals(-3, 3))
def test_t19_splitting_a_unit_at_random(problem, data, share):
    """T19a, the same for random networks, on kinks or not."""
    net, X = problem
    level, k = data.draw(st.sampled_from(hidden_units(net)))
    assert_splitting(net, X, (level - 1, k), share)


def test_t19_negative_control_other_parts():
    """T19a needs two units that are on together: parts with other biases raise the rank.

    GE1 as 3 relu(2 x - 1) = relu(2 x - 1) + 2 relu(2 x - 1), the second bias moved to -3.
    """
    assert jacobian(GE1, BATCH).rank() == jacobian(split_unit(GE1, 0, 0, "1/3"), BATCH).rank() == 3
    X = [*BATCH, [3], [4]]
    apart = ed.ReLUNetwork([[[2], [2]], [[1, 2]]], [[-1, -3], [5]])
    assert jacobian(GE1, X).rank() == jacobian(split_unit(GE1, 0, 0, "1/3"), X).rank() == 3
    assert jacobian(apart, X).rank() == 4


def added_units(net, layer):
    """Go through the units with weights in -1, 0, 1 that can be added to a layer."""
    biases = (-1, 0, 1) if net.has_bias[layer] else (None,)
    for incoming in itertools.product((-1, 0, 1), repeat=net.widths[layer]):
        for bias in biases:
            yield list(incoming), bias


def assert_added_unit(net, X, layer, incoming, bias, outgoing):
    """Check T19b or T19c; return which, and by how much the rank rises."""
    wider = add_unit(net, layer, incoming, bias=bias, outgoing=outgoing)
    off = not ed.activation_pattern(wider, X, on_kink="zero").layers[layer][:, -1].any()
    if not off and any(outgoing):
        return "neither", None
    assert wider(X) == net(X)
    J, K = jacobian(net, X), jacobian(wider, X)
    if off:
        assert same_column_space(J, K)
        return "b", 0
    assert QMatrix.hstack([J, K]).rank() == K.rank()  # the columns of J are still there
    rise = K.rank() - J.rank()
    assert 0 <= rise <= net.widths[layer + 2]
    return "c", rise


def test_t19_adding_a_unit(large):
    """T19b and T19c, adding a unit to a hidden layer l.

    b. If it is off at all samples, outputs and column space of J at X are the same, whatever its
    weights are.
    c. If nothing leaves it (v = 0), the function is the same, the column space of J grows or stays,
    and the rank rises by at most N_{l+1}.

    Derived here.

    Proof. b. What the unit passes on and the derivatives in all of its parameters are 0 at X, and
    nothing else changes. c. The derivatives in w and b are multiples of v = 0. Those in v are
    N_{l+1} new columns, h_new times the derivative in the pre-activations of layer l+1.
    """
    seen = Counter()
    for net, X in family_with_hidden_units(large):
        for layer in range(net.depth - 1):
            for incoming, bias in added_units(net, layer):
                outgoing = [0] * net.widths[layer + 2]
                seen[assert_added_unit(net, X, layer, incoming, bias, outgoing)] += 1
                kind, _ = assert_added_unit(net, X, layer, incoming, bias, [5, -2][: len(outgoing)])
                seen[kind, "read"] += 1
    assert seen["b", "read"]
    assert {rise for kind, rise in seen if kind == "c"} >= {0, 1, 2}


@given(problems, st.data())
def test_t19_adding_a_unit_at_random(problem, data):
    """T19b and T19c, the same for random networks, on kinks or not."""
    net, X = problem
    layer = data.draw(st.integers(0, net.depth - 2))
    numbers = strategies.rationals(-3, 3)
    inputs, outputs = net.widths[layer], net.widths[layer + 2]
    incoming = data.draw(st.lists(numbers, min_size=inputs, max_size=inputs))
    outgoing = data.draw(
        st.just([0] * outputs) | st.lists(numbers, min_size=outputs, max_size=outputs)
    )
    bias = data.draw(numbers) if net.has_bias[layer] else None
    assert_added_unit(net, X, layer, incoming, bias, outgoing)
    assert_added_unit(net, X, layer, incoming, bias, [0] * outputs)


def test_t19_goldens_and_negative_controls():
    """T19b and T19c, goldens: the bound N_{l+1} is attained, and both hypotheses are needed.

    f(x) = (relu(x), relu(x)) at X = (1, -1), without output biases, has rank 2. A unit -x that
    nothing leaves is on at the second sample and makes it 4 = 2 + N_2. In f(x) = relu(x) at
    X = (1, 2, -1, -2) a unit -x with outgoing weight 1 makes the rank 4 = 2 + 2, with N_2 = 1.
    """
    twice = ed.ReLUNetwork([[[1]], [[1], [1]]], [[0], None])
    assert jacobian(twice, [[1], [-1]]).rank() == 2
    assert assert_added_unit(twice, [[1], [-1]], 0, [-1], 0, [0, 0]) == ("c", 2)
    once, X = ed.ReLUNetwork([[[1]], [[1]]], [[0], None]), [[1], [2], [-1], [-2]]
    assert jacobian(once, X).rank() == 2
    read = add_unit(once, 0, [-1], bias=0, outgoing=[1])
    assert jacobian(read, X).rank() == 4
    assert read(X) != once(X)


# -- canonical forms -------------------------------------------------------------------------------


def permuted(net):
    """Return all networks that permutations of hidden units make."""
    ones = [(1,) * n for n in net.widths[1:-1]]
    orders = itertools.product(*(itertools.permutations(range(n)) for n in net.widths[1:-1]))
    return {ed.Symmetry(net.widths, choice, ones)(net) for choice in orders}


def has_no_scale(net):
    """Tell whether some unanchored component has several units: its scale means nothing."""
    return any(not anchored and len(part) > 1 for part, anchored in components(net))


def assert_canonical(net, s):
    """Check that the canonical form is in the orbit and that a symmetry does not change it."""
    if has_no_scale(net):
        with pytest.raises(errors.InvalidInput, match="scale means nothing"):
            ed.canonical_form(net)
        return
    form, after = ed.canonical_form(net), s(net)
    assert ed.canonical_form(after) == form == ed.canonical_form(form)
    way = ed.are_equivalent(net, form).symmetry
    assert way is not None
    assert way(net) == form
    back = ed.are_equivalent(net, after).symmetry
    assert back is not None
    assert back(net) == after


def test_canonical_forms_of_orbits(large):
    """Orbits: canonical forms are equal if and only if a symmetry (T6) relates the networks.

    Hypothesis: no unanchored component (T7) has several units; the engine refuses others, whose
    scale nothing fixes. The canonical form is itself in the orbit.

    Derived here.

    Proof. On an anchored component factors are fixed by demanding that the weights and the bias
    that enter a unit add up to 1 in absolute value, from the inputs on; or, for units that no
    input or bias leads to, that the weights which leave it do, from the outputs on. This picks one
    point of the orbit of the rescalings, whatever the order of the units. Permutations are finitely
    many, and the smallest result is taken.

    The check uses that among weights in {-1, 0, 1} rescalings relate only equal networks if all
    components are anchored or single units: nonzero weights have quotient 1, so factors are 1 on
    anchored components. So orbits within the family are those of permutations.
    """
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        forms = {}
        for net in ternary_networks(widths, bias):
            for s in some_symmetries(net):
                assert_canonical(net, s)
            if not has_no_scale(net):
                forms.setdefault(ed.canonical_form(net), set()).add(net)
        for orbit in forms.values():
            assert orbit == permuted(next(iter(orbit)))
        for a, b in itertools.pairwise(forms):
            assert not ed.are_equivalent(a, b)


@given(with_hidden_units, st.data())
def test_canonical_forms_of_orbits_at_random(net, data):
    """Orbits, the same for random networks."""
    assert_canonical(net, data.draw(strategies.symmetries(net)))


def test_canonical_forms_negative_control():
    """Orbits: equal functions need not be in one orbit.

    x = relu(x) - relu(-x) = relu(x + 1) - relu(-x - 1) - 1. So canonical forms decide about
    symmetries, not about functions.
    """
    a = ed.ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]])
    b = ed.ReLUNetwork([[[1], [-1]], [[1, -1]]], [[1, -1], [-1]])
    assert ed.same_function(a, b)
    assert not ed.are_equivalent(a, b)
    assert ed.canonical_form(a) != ed.canonical_form(b)
