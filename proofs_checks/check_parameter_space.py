"""Regions of the parameters: their dimensions, in closed form where there is one, and numbers.

Inside one region of the parameters the rank is the same almost everywhere (T4), the dimension of
the set of outputs (T5), and tells whether the batch identifies the parameters (T14). For one hidden
layer it is known in closed form (T15, T16); for samples in general position it depends on the mask
alone (T17); for any depth it is known where all samples share one mask (T18). The regions of the
first layer are counted by Cover's formula (T39), those of input space by Zaslavsky's (T40) and
bounded by depth (T41).

Notation: widths N_0, ..., N_L, P parameters, H hidden units, n samples; X~ is the batch with a
column of ones if the hidden layer has biases, and x~ a row of it; J_A is the Jacobian of a mask A,
realised or not, and r_A its rank at almost every parameter. For one hidden layer: w~_k are weights
and bias of unit k, v_k its column of output weights, a its column of the mask, D_a = diag(a), U_a
the column space of D_a X~, h_k = D_a X~ w~_k.

T4, T5 and T14 are stated in full, with proofs, in check_partition, check_rank_and_bounds and
check_symmetry. Here they are compared with counts, constructions and the answers of the package.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, islice, pairwise, product

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
    Circuits,
    block_jacobian,
    masks,
    patterns_of_the_inputs,
    plain_rank,
    sympy_rank,
    ternary_networks,
)
from hypothesis import given
from hypothesis import strategies as st

import exactdim as ed
from exactdim import QMatrix
from exactdim.dimension.shallow import ShallowRanks
from exactdim.regions.dichotomies import dichotomies
from exactdim.testing import strategies

PRIME = 2**61 - 1
"""Ranks at random parameters modulo this prime are generic, but for about one case in 10^16."""


def architectures(large):
    """List the architectures of the small family that have hidden units."""
    return [a for a in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()) if len(a[0]) > 2]


def random_parameters(net, source):
    """Return the network at random parameters modulo PRIME."""
    return net.with_parameters([[source.randrange(PRIME) for _ in range(net.n_parameters)]])


def generic_rank(widths, bias, X, mask, seed=0):
    """Return r_A of an integer batch: the rank at random parameters modulo PRIME."""
    net = ed.ReLUNetwork.random(widths, seed=0, bias=bias)
    at = random_parameters(net, random.Random(seed))
    return plain_rank(block_jacobian(at, X, mask).tolist(), PRIME)


def same_pattern(net, other, X):
    """Tell whether two networks lie in one region, both off kinks."""
    patterns = [ed.activation_pattern(x, X, on_kink="zero") for x in (net, other)]
    return patterns[0] == patterns[1] and not patterns[0].kinks and not patterns[1].kinks


# -- T4 --------------------------------------------------------------------------------------------


def test_T4_generic_rank_and_rank_at_a_point(large):
    """T4: `generic_dimension` is the largest rank of a mask, `is_generic` says who attains it.

    Statement. r_A, the rank of J_A over Q(theta), is the largest rank at any theta, and the rank at
    almost every theta. Proof in check_partition.

    Check. Brute force: the largest rank over all weights in {-1, 0, 1}, which is r_A here. For the
    networks off kinks, the verdict is that of the comparison; both verdicts occur.
    """
    seen = Counter()
    for widths, bias in architectures(large):
        X, networks = SAMPLES[widths[0]][:2], list(ternary_networks(widths, bias))
        largest = {}
        for mask in masks(2, sum(widths[1:-1])):
            r_A = max(sympy_rank(block_jacobian(net, X, mask)) for net in networks)
            largest[mask.tobytes()] = r_A
            assert ed.generic_dimension(widths, mask, X, bias=bias).value == r_A
        for net in networks:
            pattern = ed.activation_pattern(net, X, on_kink="zero")
            if not pattern.kinks:
                rank = sympy_rank(block_jacobian(net, X, pattern.mask))
                generic = rank == largest[pattern.mask.tobytes()]
                assert ed.is_generic(net, X, proof="full").verdict is generic
                seen[generic] += 1
    assert seen[True] > seen[False] > 0


def test_T4_the_mask_determines_the_rank_only_if_the_batch_is_fixed():
    """T4: one realised mask, one theta, two batches, two generic ranks.

    GE1 is on at X = (1, 2) and at X = (1, 1): ranks 2 and 1. Two units in the plane that are on at
    three samples: rank 3 in general position, 2 on a line.
    """
    for X, rank in (([[1], [2]], 2), ([[1], [1]], 1)):
        assert ed.activation_pattern(GE1, X).mask.all()
        assert sympy_rank(block_jacobian(GE1, X, [[1], [1]])) == rank
        assert ed.generic_dimension(GE1, None, X).value == rank
        assert ed.local_dimension(GE1, X).value == rank
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[1, 1], [0]])
    for X, rank in (([[0, 0], [1, 0], [0, 1]], 3), ([[0, 0], [1, 1], [2, 2]], 2)):
        assert ed.activation_pattern(net, X).mask.all()
        assert generic_rank((2, 2, 1), True, X, [[1, 1]] * 3) == rank
        assert ed.generic_dimension(net, None, X).value == rank


# -- T5 --------------------------------------------------------------------------------------------


def with_ones(X, bias=True):
    """Append a 1 to each sample if there are biases."""
    return [[*x, 1] if bias else list(x) for x in X]


def units_of_each_word(X, bias, source, each=6):
    """Draw units until no more dichotomies of the batch turn up; keep several of each."""
    found = defaultdict(list)
    for _ in range(3000):
        unit = [source.randint(-60, 60) for _ in range(len(X[0]) + bias)]
        values = [sum(u * x for u, x in zip(unit, row, strict=True)) for row in with_ones(X, bias)]
        if all(values) and len(found[tuple(v > 0 for v in values)]) < each:
            found[tuple(v > 0 for v in values)].append(unit)
    return found


def relu_outputs(units, v, c, features):
    """Return v . relu(W~ x~) + c at each sample."""
    h = np.maximum(np.array(features, object) @ np.array(units, object).T, 0)
    return (h @ np.array(v, object) + c).tolist()


def shallow_network(units, v, c, bias):
    """Return the network with one hidden layer, one output, and an output bias."""
    hidden = [unit[:-1] if bias else unit for unit in units]
    return ed.ReLUNetwork([hidden, [v]], [[unit[-1] for unit in units] if bias else None, [c]])


@pytest.mark.parametrize(
    ("X", "bias", "regions"),
    [
        ([[0], [1], [2]], True, 36),
        ([[-2], [0], [1], [5]], True, 64),
        ([[1, 0], [1, 1], [0, 1]], False, 36),
        ([[1, 0], [0, 1], [-1, -1]], False, 36),
        ([[0, 0], [1, 1], [2, 2]], True, 36),
        ([[0, 0], [1, 0], [0, 1], [1, 1]], True, 196),
    ],
)
def test_T5_outputs_of_a_shallow_region_fill_a_cone_with_interior(X, bias, regions):
    """T5 for one hidden layer and one output: the image of a region spans r_A dimensions, exactly.

    Statement. Let R_A be a region, and S = sum_a U_a + span(1) over the columns a of A (without the
    1 if there is no output bias). f(R_A) lies in S, is closed under multiplication by t > 0, and
    has interior points in S. So its linear span is S, and r_A = dim S.

    Source. Derived here.

    Proof. f = sum_k v_k D_a X~ w~_k + c 1 lies in S; multiply all v_k and c by t. Where no v_k is
    0, the map (w~_1, ..., w~_H, c) -> f is linear and onto S, and R_A restricts the w~_k to open
    cones: a linear map onto S is open.

    Check. All regions of two units are gone through, with their units drawn at random (the number
    of regions says that none is missing). Outputs of the network itself at several parameters of
    the region span exactly r_A dimensions; and small steps of weights, biases and c, which do not
    leave the region, move the outputs in dim S independent directions.
    """
    source = random.Random(5)
    features = with_ones(X, bias)
    by_word = units_of_each_word(X, bias, source)
    by_word = {word: units for word, units in by_word.items() if units}
    assert len(by_word) ** 2 == regions
    for words in product(by_word, repeat=2):
        mask = np.array(words).T
        images = []
        for _ in range(len(X) + 3):
            units = [source.choice(by_word[word]) for word in words]
            v = [source.choice([-1, 1]) * source.randint(1, 50) for _ in units]
            c = source.randint(-50, 50)
            images.append(relu_outputs(units, v, c, features))
        net = shallow_network(units, v, c, bias)
        J = block_jacobian(net, X, mask)
        r_A = sympy_rank(J)
        assert plain_rank(images, PRIME) == r_A
        assert net(X).T.tolist() == [images[-1]]
        assert ed.generic_dimension(net, None, X).value == r_A
        base, small, moves = images[-1], Fraction(1, 1000), []
        for k, j in product(range(2), range(len(features[0]))):
            moved = [list(map(Fraction, unit)) for unit in units]
            moved[k][j] += small
            outputs = relu_outputs(moved, v, c, features)
            moves.append([(y - y0) / small for y, y0 in zip(outputs, base, strict=True)])
        moves.append([1] * len(X))
        assert plain_rank(moves, PRIME) == r_A


def number_of_outputs(widths, bias, X, mask, q):
    """Count the values of f_A(theta; X) over all theta with entries modulo q."""
    P = sum((n + bias) * m for n, m in pairwise(widths))
    theta = np.indices((q,) * P).reshape(P, -1)
    code = np.zeros(theta.shape[1], np.int64)
    for x, row in zip(X, mask, strict=True):
        entries, bits = iter(theta), iter(row)
        h = [np.full(theta.shape[1], v % q) for v in x]
        for layer, (n, m) in enumerate(pairwise(widths)):
            W = [[next(entries) for _ in range(n)] for _ in range(m)]
            b = [next(entries) if bias else 0 for _ in range(m)]
            h = [
                (sum(w * u for w, u in zip(weights, h, strict=True)) + shift) % q
                for weights, shift in zip(W, b, strict=True)
            ]
            if layer < len(widths) - 2:
                h = [z * int(next(bits)) for z in h]
        for y in h:
            code = code * q + y
    return len(np.unique(code))


def test_T5_number_of_outputs_over_finite_fields(large):
    """T5 by counting: f_A takes q^(r_A) values over a field of q elements, in all cases here.

    Statement. For one hidden layer and one output: exactly q^r, with r the dimension over F_q of
    S = sum_a U_a + span(1); r = r_A for all but finitely many primes q.

    Source. Derived here.

    Proof. With v_k = 1 the outputs fill S, and they never leave it (preceding statement). A minor
    of [D_a X~ | 1] that is not 0 is divisible by finitely many primes.

    Checked only: the same number for (1, 1, 2) and for three layers of width one. (For several
    outputs in general, the number is that of matrices of bounded rank: T16 and T18 below.) A rank
    that were off by one would be off by a factor q here.
    """
    cases = [(w, b) for w, b in ARCHITECTURES if len(w) > 2]
    for widths, bias in [*cases, *([((1, 1, 1, 1), True)] if large else [])]:
        n = 3 if widths == (1, 1, 1) else 2
        X = [[1], [-2], [3]][:n] if widths[0] == 1 else [[1, 0], [1, 2]]
        for mask in masks(n, sum(widths[1:-1])):
            r_A = generic_rank(widths, bias, X, mask)
            for q in (7, 11):
                assert number_of_outputs(widths, bias, X, mask, q) == q**r_A


def test_T5_control_a_prime_that_makes_samples_equal():
    """T5 by counting: modulo 5 the samples -2 and 3 are equal, and 25 values are left of 125."""
    X, mask = [[1], [-2], [3]], [[0], [1], [1]]
    assert generic_rank((1, 1, 1), True, X, mask) == 3
    assert number_of_outputs((1, 1, 1), True, X, mask, 7) == 7**3
    assert number_of_outputs((1, 1, 1), True, X, mask, 5) == 5**2


def test_T5_caveat_a_parameter_that_is_not_generic():
    """T5, caveat (i): rank 2 at GE2, and yet a cube of outputs as near to f(GE2) as one likes.

    At v = e in place of 0, the outputs y of the region are those of w = (y_3 - y_2) / e,
    b = (2 y_2 - y_3 - y_1) / e, c = y_1, as long as the pattern stays 0, 1, 1.
    """
    assert sympy_rank(block_jacobian(GE2, BATCH, [[0], [1], [1]])) == 2
    for e in (Fraction(1, 10), Fraction(1, 10**6)):
        centre = [y for (y,) in GE2.with_parameters([[2, -1, e, 5]])(BATCH).tolist()]
        for corner in product((-e / 9, 0, e / 9), repeat=3):
            y = [u + t for u, t in zip(centre, corner, strict=True)]
            theta = [(y[2] - y[1]) / e, (2 * y[1] - y[2] - y[0]) / e, e, y[0]]
            near = GE2.with_parameters([theta])
            assert near(BATCH).tolist() == [[u] for u in y]
            assert same_pattern(near, GE2, BATCH)
            assert max(abs(u - t) for u, t in zip(theta, (2, -1, 0, 5), strict=True)) < 1


def test_T5_caveat_other_regions_reach_the_same_outputs():
    """T5, caveat (ii): a region with a line of outputs, at a corner of a three-dimensional set.

    theta = (-1, -1, 1, 5) is off at X = (0, 1, 2): its region has the outputs c (1, 1, 1), rank 1.
    GE1's region has all outputs (c, c + s, c + t) with t > 2 s > 0: they come as near to (5, 5, 5)
    as one likes.
    """
    dead = ed.ReLUNetwork([[[-1]], [[1]]], [[-1], [5]])
    assert dead(BATCH).tolist() == [[5], [5], [5]]
    assert sympy_rank(block_jacobian(dead, BATCH, [[0]] * 3)) == 1
    assert ed.is_generic(dead, BATCH).verdict is True
    for k, c, s, t in product((1, 10**9), (-1, 0, 1), (1, 2), (5, 7)):
        v = Fraction(1, k)
        other = GE1.with_parameters([[t - s, 2 * s - t, v, 5 + c * v]])
        assert other(BATCH).tolist() == [[5 + c * v], [5 + (c + s) * v], [5 + (c + t) * v]]
        assert same_pattern(other, GE1, BATCH)


# -- T14 -------------------------------------------------------------------------------------------


def edges(net):
    """Yield (tail, head, parameter); inputs, outputs and the tail of a bias are None."""
    for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        for k, row in enumerate(W.tolist()):
            head = (layer, k) if layer < net.depth - 1 else None
            for j, weight in enumerate(row):
                yield (layer - 1, j) if layer else None, head, weight
            if b is not None:
                yield None, head, b[0, k]


def is_rescaling(net, other):
    """Tell whether some factors > 0 of the hidden units turn one network into the other.

    A parameter that is not 0 fixes the ratio of the factors of its ends; a group of units whose
    factors nothing fixes can be given any.
    """
    pairs = [(*e, f[2]) for e, f in zip(edges(net), edges(other), strict=True)]
    if any((u > 0, u < 0) != (v > 0, v < 0) for *_, u, v in pairs):
        return False
    ratios = [(tail, head, v / u) for tail, head, u, v in pairs if u]
    factors = {None: Fraction(1)}
    while True:
        for tail, head, r in ratios:
            if tail in factors and head not in factors:
                factors[head] = factors[tail] * r
            elif head in factors and tail not in factors:
                factors[tail] = factors[head] / r
            else:
                continue
            break
        else:
            free = [
                unit for tail, head, _ in ratios for unit in (tail, head) if unit not in factors
            ]
            if not free:
                return all(factors[head] == factors[tail] * r for tail, head, r in ratios)
            factors[free[0]] = Fraction(1)


def solution(columns, y):
    """Return c with sum c_j column_j = y, by sympy, or None."""
    A = sympy.Matrix(len(y), len(columns), lambda i, j: sympy.Rational(*ratio(columns[j][i])))
    b = sympy.Matrix([sympy.Rational(*ratio(v)) for v in y])
    unknowns = sympy.symbols(f"c:{len(columns)}")
    for found in sympy.linsolve((A, b), *unknowns):
        return [Fraction(int(v.p), int(v.q)) for v in found.subs(dict.fromkeys(unknowns, 0))]
    return None


def ratio(v):
    """Split a rational."""
    return Fraction(v).numerator, Fraction(v).denominator


def others_in_the_fibre(net, X):
    """Yield networks nearby with the same pattern and outputs, exactly.

    One layer solves linear equations, the outputs being affine in it (T3): either it moves alone,
    or it makes up for a small step of one parameter of another layer.
    """
    J, offsets = ed.jacobian(net, X), net.parameter_offsets()
    theta = net.parameters().tolist()[0]
    target = [y for row in net(X).tolist() for y in row]
    for start, end in pairwise(offsets):
        layer = list(range(start, end))
        steps = [[Fraction(0)] * start + row + [Fraction(0)] * (len(theta) - end)
                 for row in J[:, layer].kernel().tolist()]  # fmt: skip
        for step, scale in product(steps, (4, 64, 1024)):
            other = net.with_parameters([[t + s / scale for t, s in zip(theta, step, strict=True)]])
            if same_pattern(net, other, X):
                yield other
                break
        for p in set(range(len(theta))) - set(layer):
            moved = list(theta)
            moved[p] += Fraction(1, 50)
            shifted = net.with_parameters([moved])
            if not same_pattern(net, shifted, X):
                continue
            outputs = [y for row in shifted(X).tolist() for y in row]
            missing = [t - y for t, y in zip(target, outputs, strict=True)]
            step = solution(ed.jacobian(shifted, X)[:, layer].T.tolist(), missing)
            if step is not None:
                for j, s in zip(layer, step, strict=True):
                    moved[j] += s
                other = net.with_parameters([moved])
                if same_pattern(net, other, X):
                    yield other


def assert_identifiable_or_not(net, X):
    """Check the verdict of the package; where it is no, find a network that is no rescaling."""
    found = ed.identifiability(net, X)
    mask = ed.activation_pattern(net, X).mask
    rank = sympy_rank(block_jacobian(net, X, mask))
    largest = net.n_parameters - net.n_hidden
    generic = ed.generic_dimension(net, mask, X).value
    assert found.verdict is (True if rank == largest else False if rank == generic else None)
    others = (other for other in others_in_the_fibre(net, X) if other(X) == net(X))
    if found.verdict is False:
        other = next(other for other in others if not is_rescaling(net, other))
        assert not ed.are_equivalent(net, other)
    elif found.verdict is True:
        assert all(is_rescaling(net, other) for other in others)
    return found.verdict


def test_T14_networks_that_are_not_identifiable_have_others_nearby(large):
    """T14: with rank P - H only rescalings have the same outputs nearby; if less, others.

    Statement and proof in check_symmetry: theta off kinks is identifiable from X up to rescaling if
    rank J = P - H, and is not if rank J < P - H and theta is generic.

    Check. Wherever `identifiability` says no, a network nearby is found with exactly the same
    outputs and pattern that is no rescaling. Wherever it says yes, the search finds rescalings at
    most. Where it is undecided the rank is below P - H and below r_A. All three occur.
    """
    seen = Counter()
    for widths, bias in architectures(large):
        X = SAMPLES[widths[0]]
        for net in ternary_networks(widths, bias):
            if not ed.activation_pattern(net, X, on_kink="zero").kinks:
                seen[assert_identifiable_or_not(net, X)] += 1
    assert min(seen[True], seen[False], seen[None]) > 0


@given(
    strategies.networks_with_batches(
        networks=strategies.relu_networks(min_depth=2, max_depth=2, max_width=2, output_width=1),
        max_size=3,
        kinks=False,
    )
)
def test_T14_networks_nearby_at_random(problem):
    """T14, the same for random networks with one hidden layer and one output.

    Derived here: with all v_k nonzero a network is found whenever the verdict is no. Proof: the
    derivatives in v_k are combinations of those in w~_k, so the rank is that of the columns of the
    first layer and of c. There are P - H of these (N_0 + [bias] for each unit and the one of c), so
    a smaller rank gives a line in the fibre on which v is constant; a rescaling would be trivial.
    """
    net, X = problem
    if all(net.weights[1].tolist()[0]):
        assert_identifiable_or_not(net, X)


def test_T14_goldens():
    """T14: GE1 at (0, 1, 2) is identifiable; at (1, 2, 3) its fibre is a surface.

    There f = 6 x + 2, and (w, b, v, c) = (2, -1 + s, 3, 5 - 3 s) has these outputs for s < 0 too,
    while the pattern stays. At GE2 nothing is decided: its rank 2 jumps to 3 nearby.
    """
    assert ed.identifiability(GE1, BATCH).verdict is True
    X = [[1], [2], [3]]
    assert ed.identifiability(GE1, X).verdict is False
    for s in (Fraction(-1, 1000), Fraction(1, 1000)):
        other = GE1.with_parameters([[2, -1 + s, 3, 5 - 3 * s]])
        assert other(X) == GE1(X)
        assert not is_rescaling(GE1, other)
        assert is_rescaling(GE1, ed.rescale(GE1, 0, 0, 1 + s))
    assert ed.identifiability(GE2, BATCH).verdict is None


# -- T15 -------------------------------------------------------------------------------------------


def columns_of(mask):
    """Return the column of the mask of each unit, as a tuple."""
    return [tuple(int(bit) for bit in column) for column in np.array(mask).T]


def switched(a, features):
    """Return D_a X~."""
    return [list(row) if bit else [Fraction(0)] * len(row)
            for bit, row in zip(a, features, strict=True)]  # fmt: skip


def side_by_side(blocks, n):
    """Write blocks of n rows side by side."""
    return QMatrix([[Fraction(v) for block in blocks for v in block[i]] for i in range(n)])


def rank_of(blocks, n):
    """Return the rank of blocks of n rows side by side, by sympy."""
    width = sum(len(block[0]) for block in blocks)
    return sympy_rank(side_by_side(blocks, n)) if width else 0


def shallow_parts(net, X):
    """Return X~, the units w~_k and the columns v_k of a network with one hidden layer."""
    features = with_ones(QMatrix(X).tolist(), net.has_bias[0])
    hidden, bias = net.weights[0].tolist(), net.biases[0]
    if bias is not None:
        hidden = [[*w, b] for w, b in zip(hidden, bias.tolist()[0], strict=True)]
    return features, hidden, net.weights[1].T.tolist()


def activations(a, features, unit):
    """Return h_k as one column."""
    return [[bit * sum(u * x for u, x in zip(unit, row, strict=True))]
            for bit, row in zip(a, features, strict=True)]  # fmt: skip


def one_output_rank(net, X, mask):
    """Evaluate T15."""
    features, units, v = shallow_parts(net, X)
    words = columns_of(mask)
    read = {a for a, (weight,) in zip(words, v, strict=True) if weight}
    blocks = [switched(a, features) for a in sorted(read)]
    blocks += [
        activations(a, features, unit)
        for a, unit, (weight,) in zip(words, units, v, strict=True)
        if not weight
    ]
    blocks += [[[1]] * len(X)] if net.has_bias[1] else []
    return rank_of(blocks, len(X)) if blocks else 0


def assert_one_output(net, X, mask):
    """Check T15, its bound, and the package's formula for r_A."""
    rank = sympy_rank(block_jacobian(net, X, mask))
    assert rank == one_output_rank(net, X, mask)
    words = columns_of(mask)
    patterns = {a for a in words if any(a)}
    assert rank <= (net.widths[0] + 1) * len(patterns) + 1
    features = QMatrix(with_ones(QMatrix(X).tolist(), net.has_bias[0]))
    formula = ShallowRanks(features, 1, net.has_bias[1]).of("".join(map(str, a)) for a in words)
    assert formula.attained
    assert rank <= formula.value
    if all(v for (v,) in net.weights[1].T.tolist()):
        assert rank == formula.value


def test_T15_one_hidden_layer_one_output(large):
    """T15, all small networks and masks.

    Statement. One hidden layer, one output, any mask. rank J_A is the rank of the matrix with the
    columns D_a X~ for the *distinct* columns a of units with v_k != 0, the columns h_k of units
    with v_k = 0, and 1 if there is an output bias. So units that share a column (aligned ones)
    count once, dead ones not at all, and rank J <= (N_0 + 1) #{distinct columns a != 0} + 1.

    Source. Derived here.

    Proof. The columns of J that belong to unit k are v_k D_a X~ and h_k, and h_k is a combination
    of the columns of D_a X~.
    """
    shallow = [((1, 1, 1), True), ((1, 2, 1), False), ((2, 1, 1), False)]
    for widths, bias in [*shallow, *([((1, 2, 1), True), ((2, 2, 1), False)] if large else [])]:
        X = SAMPLES[widths[0]]
        for net in ternary_networks(widths, bias):
            for mask in masks(2, widths[1]) if widths[1] > 1 else masks(3, 1):
                assert_one_output(net, X[: len(mask)], mask)


@given(
    strategies.relu_networks(min_depth=2, max_depth=2, output_width=1)
    | strategies.degenerate_networks(max_depth=2, output_width=1),
    st.data(),
)
def test_T15_one_hidden_layer_one_output_at_random(net, data):
    """T15, the same for random networks, with realised and with formal masks."""
    X = data.draw(strategies.batches(net, max_size=5))
    mask = ed.activation_pattern(net, X, on_kink="zero").mask
    if data.draw(st.booleans()):
        n = QMatrix(X).shape[0]
        mask = data.draw(strategies.activation_patterns(net, min_size=n, max_size=n))
    assert_one_output(net, X, mask)


def test_T15_controls():
    """T15: what the distinctions are for.

    Two aligned units at three samples: rank 2, and 4 if each counted. A unit with v = 0 that is on
    at two samples adds 1, not 2. Without output bias the 1 does not count.
    """
    twins = ed.ReLUNetwork([[[1], [2]], [[1, 1]]], [[1, 1], None])
    X = [[1], [2], [4]]
    assert sympy_rank(block_jacobian(twins, X, [[1, 1]] * 3)) == 2
    assert ed.local_dimension(twins, X).value == 2
    assert [ed.local_dimension(net, BATCH).value for net in (GE1, GE2)] == [3, 2]
    assert one_output_rank(GE2, BATCH, [[0], [1], [1]]) == 2
    no_bias = ed.ReLUNetwork([[[2]], [[3]]], [[-1], None])
    assert ed.local_dimension(no_bias, BATCH).value == 2


# -- T16 -------------------------------------------------------------------------------------------


def aligned_units(net, X, mask):
    """Return for each column a != 0 of the mask: D_a X~, the v_k and the h_k of its units."""
    features, units, v = shallow_parts(net, X)
    groups = {}
    for a, unit, weights in zip(columns_of(mask), units, v, strict=True):
        if any(a):
            _, outgoing, h = groups.setdefault(a, (switched(a, features), [], []))
            outgoing.append(weights)
            h.append([value for (value,) in activations(a, features, unit)])
    return list(groups.values())


def several_outputs_rank(net, X, mask):
    """Evaluate T16: the upper bound, and whether it is claimed to be the rank."""
    n, outputs, bias = len(X), net.widths[-1], net.has_bias[1]
    groups = aligned_units(net, X, mask)
    total, free = 0, []
    spans = [span for span, _, _ in groups]
    for number, (span, v, h) in enumerate(groups):
        u, d, e = rank_of([span], n), sympy_rank(QMatrix(v)), sympy_rank(QMatrix(h))
        total += u * d + e * (outputs - d)
        free.append((number, v, [list(column) for column in zip(*h, strict=True)]))
    dimensions = [rank_of([span], n) for span in spans]
    together = rank_of(spans, n) if spans else 0
    if together < sum(dimensions):
        return total + outputs * bias, False
    if not bias:
        return total, True
    ones = [[1]] * n
    if rank_of([*spans, ones], n) > together:
        return total + outputs, True
    annihilators = []
    for number, v, h in free:
        rest = spans[:number] + spans[number + 1 :]
        if rank_of([*rest, h, ones], n) > rank_of([*rest, h], n):
            kernel = sympy.Matrix([
                [sympy.Rational(*ratio(x)) for x in row] for row in v
            ]).nullspace()
            annihilators += [list(vector) for vector in kernel]
    beta = sympy.Matrix(annihilators).rank() if annihilators else 0
    return total + beta, True


def assert_several_outputs(net, X, mask):
    """Check T16 and the package's formula for r_A; return whether equality was claimed."""
    rank = sympy_rank(block_jacobian(net, X, mask))
    value, attained = several_outputs_rank(net, X, mask)
    assert rank <= value
    if attained:
        assert rank == value
    features = QMatrix(with_ones(QMatrix(X).tolist(), net.has_bias[0]))
    words = ["".join(map(str, a)) for a in columns_of(mask)]
    formula = ShallowRanks(features, net.widths[-1], net.has_bias[1]).of(words)
    assert rank <= formula.value
    assert formula.attained == attained or net.widths[-1] == 1
    return attained


def test_T16_one_hidden_layer_several_outputs(large):
    """T16, all masks of small networks (of every third network; of all with `--large`).

    Statement. One hidden layer, N outputs, any mask. For a column a != 0 of the mask let V_a be the
    span of the v_k and H_a that of the h_k of its units, u_a = dim U_a, d_a = dim V_a,
    h_a = dim H_a. Then rank J_A <= sum_a [u_a d_a + h_a (N - d_a)] + N [output bias], and if the
    U_a of distinct a are independent,
      rank J_A = sum_a [u_a d_a + h_a (N - d_a)] + beta,
    with beta = 0 without output bias; N if 1 is not in the sum of the U_a; otherwise
    N - dim(intersection of the V_a over all a with 1_a not in H_a), where 1 = sum 1_a, 1_a in U_a.

    Source. Derived here.

    Proof. The columns of unit k span U_a (x) v_k + h_k (x) R^N; those of all units with column a
    span U_a (x) V_a + H_a (x) R^N, of dimension u_a d_a + h_a N - h_a d_a. If the U_a are
    independent, so are these. Then 1 (x) y is in their sum if and only if each 1_a (x) y is in
    U_a (x) V_a + H_a (x) R^N, that is, if y is in V_a or 1_a in H_a.
    """
    seen = Counter()
    cases = [((1, 1, 2), False), ((1, 1, 2), True), *([((1, 2, 2), False)] if large else [])]
    for widths, bias in cases:
        networks = ternary_networks(widths, bias)
        for net in islice(networks, 0, None, 1 if large else 3):
            for mask in masks(2, widths[1]):
                seen[assert_several_outputs(net, SAMPLES[1][:2], mask)] += 1
    assert seen[True]


@given(
    strategies.relu_networks(min_depth=2, max_depth=2, max_width=3, output_width=2)
    | strategies.relu_networks(min_depth=2, max_depth=2, max_width=3, output_width=3)
    | strategies.degenerate_networks(max_depth=2, output_width=2),
    st.data(),
)
def test_T16_one_hidden_layer_several_outputs_at_random(net, data):
    """T16, the same for random networks whose units often share their columns."""
    X = data.draw(strategies.batches(net, max_size=4))
    n = QMatrix(X).shape[0]
    column = st.tuples(*[st.integers(0, 1)] * n)
    few = data.draw(st.lists(column, min_size=1, max_size=2))
    mask = np.array([data.draw(st.sampled_from(few)) for _ in range(net.n_hidden)], bool).T
    assert_several_outputs(net, X, mask)


def test_T16_golden_and_controls():
    """T16, golden: (3, 2, 3) with all five samples on has rank 11; P = 17, P - H = 15.

    u = 4, d = h = 2: 4 2 + 2 (3 - 2) = 10; 1 lies in U and not in H, so beta = 3 - 2 = 1. Where 1
    lies in H too (a unit that is constant on the batch), beta = 0: rank 10. And where the U_a are
    dependent the bound need not be attained.
    """
    X = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    V = [[1, 0], [0, 1], [1, 1]]
    net = ed.ReLUNetwork([[[1, 2, 0], [0, 1, 1]], V], [[10, 10], [0, 0, 0]])
    assert ed.activation_pattern(net, X).mask.all()
    assert several_outputs_rank(net, X, [[1, 1]] * 5) == (11, True)
    assert ed.local_dimension(net, X).value == 11
    assert (net.n_parameters, net.n_parameters - net.n_hidden) == (17, 15)
    constant = ed.ReLUNetwork([[[1, 2, 0], [0, 0, 0]], V], [[10, 10], [0, 0, 0]])
    assert several_outputs_rank(constant, X, [[1, 1]] * 5) == (10, True)
    assert ed.local_dimension(constant, X).value == 10
    line = ed.ReLUNetwork([[[1], [1], [-1]], [[1, 2, 3], [1, 1, 0]]], [[5, 0, 0], None])
    mask = [[1, 0, 1], [1, 0, 1], [1, 1, 0], [1, 1, 0]]
    Y = [[-2], [-1], [1], [2]]
    assert (ed.activation_pattern(line, Y).mask == mask).all()
    value, attained = several_outputs_rank(line, Y, mask)
    assert not attained
    assert sympy_rank(block_jacobian(line, Y, mask)) < value


def test_T16_aligned_units_lose_the_square_of_their_number():
    """T16: m aligned units, all else generic, add m (u + N - m) = (their parameters) - m^2.

    For m <= min(u, N): d = h = m, so u m + m (N - m). The units have m (u + N) parameters that
    matter; what is lost is GL_m, since V W = (V G^{-1}) (G W). (Here u = N_0 + 1.)
    """
    X = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 3, 5]]
    for m, outputs in product((1, 2, 3, 4), (1, 2, 3, 4)):
        r = min(m, 4, outputs)
        net = ed.ReLUNetwork(
            [[[0] * 3] * m, [[0] * m] * outputs],
            [[0] * m, None],
        )
        at = random_parameters(net, random.Random(m))
        rank = plain_rank(block_jacobian(at, X, [[1] * m] * 5).tolist(), PRIME)
        assert rank == r * (4 + outputs - r)
        if m == r:
            assert rank == net.n_parameters - m**2


def matrices_of_rank(rows, columns, r, q):
    """Count the matrices of a rank over a field of q elements."""
    count = Fraction(1)
    for i in range(r):
        count *= Fraction((q**rows - q**i) * (q**columns - q**i), q**r - q**i)
    return int(count)


def matrices_of_rank_at_most(rows, columns, r, q):
    """Count the matrices of bounded rank: a polynomial in q of degree r (rows + columns - r)."""
    return sum(matrices_of_rank(rows, columns, i, q) for i in range(min(r, rows, columns) + 1))


def test_T16_number_of_outputs_over_finite_fields():
    """T16 by counting: outputs are sums of matrices of rank at most m_a in independent spaces.

    Statement. Without output bias, U_a independent over F_q, m_a units with column a: the number of
    values of f_A over F_q is the product over a of the number of u_a x N matrices of rank at most
    m_a. It is a polynomial in q of degree sum_a rho (u_a + N - rho), rho = min(m_a, u_a, N): that
    is r_A.

    Source. Derived here; the number of matrices is classical.

    Proof. f_A = sum_a D_a X~ W_a V_a, with W_a of m_a columns: D_a X~ has the column space U_a, and
    W_a V_a runs through the matrices of rank at most m_a.

    The check counts all parameters. Its first part is that the degree is as said.
    """
    q = sympy.Symbol("q")
    for rows, columns, r in product((1, 2, 3), (1, 2, 3), (0, 1, 2, 3)):
        s = min(r, rows, columns)
        points = [(t, matrices_of_rank_at_most(rows, columns, r, t)) for t in range(2, 13)]
        count = sympy.Poly(sympy.interpolate(points, q), q)
        assert (count.degree(), count.LC()) == (s * (rows + columns - s), 1)
    for widths, X, mask, parts in (
        ((2, 1, 2), [[1, 0], [1, 1]], [[1], [1]], [(2, 1)]),
        ((2, 2, 2), [[1, 0], [1, 1]], [[1, 1], [1, 1]], [(2, 2)]),
        ((2, 2, 2), [[1, 0], [1, 1]], [[1, 0], [0, 1]], [(1, 1), (1, 1)]),
        ((2, 1, 3), [[1, 0], [0, 1]], [[1], [1]], [(2, 1)]),
        ((1, 2, 2), [[1], [1], [2]], [[1, 0], [1, 0], [0, 1]], [(1, 1), (1, 1)]),
    ):
        degree = sum(min(m, u) * (u + widths[-1] - min(m, u)) for u, m in parts)
        assert generic_rank(widths, False, X, mask) == degree
        for p in (3, 5) if widths[0] * widths[1] < 4 else (3,):
            expected = math.prod(matrices_of_rank_at_most(u, widths[-1], m, p) for u, m in parts)
            assert number_of_outputs(widths, False, X, mask, p) == expected


# -- T17 -------------------------------------------------------------------------------------------


def fast_rank(rows):
    """Return the rank of a 0/1 matrix."""
    return plain_rank(rows, PRIME) if rows else 0


def perceived_regions_rank(N0, rows, multiplicities, hidden_bias, output_bias):
    """Evaluate T17: the minimum over all subsets S of the distinct rows of the mask."""
    values = []
    for chosen in product((False, True), repeat=len(rows)):
        A = [list(row) for row, used in zip(rows, chosen, strict=True) if used]
        extended = [
            [*(row if hidden_bias else []), *([1] if output_bias else [])] for row in A
        ]  # the last copy of the matroid
        g = N0 * fast_rank(A) + fast_rank(extended)
        rest = sum(n for n, used in zip(multiplicities, chosen, strict=True) if not used)
        values.append(g + rest)
    return min(values)


def span_rank(mask, X, hidden_bias, output_bias):
    """Return r_A of one hidden layer with one output, by T15, modulo PRIME."""
    features = with_ones(X, hidden_bias)
    blocks = [switched(a, features) for a in sorted(set(columns_of(mask)))]
    blocks += [[[1]] * len(X)] if output_bias else []
    return plain_rank([[v for block in blocks for v in block[i]] for i in range(len(X))], PRIME)


def in_general_position(n, N0, seed=0):
    """Draw samples modulo PRIME."""
    source = random.Random(seed)
    return [[source.randrange(PRIME) for _ in range(N0)] for _ in range(n)]


def test_T17_samples_in_general_position(large):
    """T17, all masks of a few samples and units.

    Statement. One hidden layer, one output, all v_k != 0, samples in general position (their
    coordinates algebraically independent). Let the distinct rows of the mask, the perceived
    regions, be A_r with n_r samples each. Then
      rank J_A = min over sets S of perceived regions of [ g(S) + sum_{r not in S} n_r ],
      g(S) = N_0 rk A_S + rk [A_S | 1]   with biases at hidden units and output,
             (N_0 + 1) rk A_S            with biases at hidden units only,
             N_0 rk A_S + [S not empty]  with a bias at the output only,
             N_0 rk A_S                  without biases.

    Source. Derived here; arXiv 2402.08269 announces a relation to the perceived regions.

    Proof. By T15 row i is (a_i (x) x~_i, 1). Multiplied by a free number it is a_i (x) y_i, y_i
    generic of length N_0, beside s (a_i, 1), s generic: the generic representation of the union of
    N_0 copies of the linear matroid of the rows of A and one of those of [A | 1] (or [A], [1],
    nothing). Its rank is given by the matroid union theorem (Nash-Williams, Edmonds); parallel rows
    may be grouped, since rk does not count them twice.

    The check goes through all masks up to the order of samples: the rank modulo 2^61 - 1 at random
    samples against the formula.
    """
    for units, most in ((1, 5), (2, 7 if large else 5), (3, 5 if large else 4)):
        rows = list(product((0, 1), repeat=units))
        for n in range(1, most + 1):
            for mask in combinations_with_replacement(rows, n):
                counts = Counter(mask)
                for N0, hidden_bias, output_bias in product((1, 2), (True, False), (True, False)):
                    expected = perceived_regions_rank(
                        N0, list(counts), list(counts.values()), hidden_bias, output_bias
                    )
                    X = in_general_position(n, N0)
                    assert span_rank(mask, X, hidden_bias, output_bias) == expected


@given(st.data())
def test_T17_samples_in_general_position_at_random(data):
    """T17, the same for more units and regions; the Jacobian itself, and the package's r_A."""
    N0, units = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    row = st.tuples(*[st.integers(0, 1)] * units)
    rows = data.draw(st.lists(row, min_size=1, max_size=5, unique=True))
    counts = [data.draw(st.integers(1, 4)) for _ in rows]
    bias = [data.draw(st.booleans()), data.draw(st.booleans())]
    mask = [row for row, n in zip(rows, counts, strict=True) for _ in range(n)]
    X = in_general_position(len(mask), N0, 1)
    expected = perceived_regions_rank(N0, rows, counts, *bias)
    assert span_rank(mask, X, *bias) == expected
    assert generic_rank((N0, units, 1), bias, X, mask) == expected
    found = ed.generic_dimension((N0, units, 1), mask, X, bias=bias)
    assert found.lower == expected


@given(st.data())
def test_T17_regions_with_enough_samples(data):
    """T17, corollary: N_0 + 1 affinely independent samples in each region, general or not.

    Then, with biases, rank J = N_0 rk A + rk [A | 1]; so rank J <= (N_0 + 1) #{regions}, and
    <= (N_0 + 1) #{distinct columns} + 1. Proof: the rows (a (x) x~, 1) of one region span
    {(a (x) y, y_last) : y in R^(N_0 + 1)}, so the choice of samples does not matter, and for those
    in general position more than N_0 + 1 in one region S = everything is the minimum.
    """
    N0, units = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    row = st.tuples(*[st.integers(0, 1)] * units)
    rows = data.draw(st.lists(row, min_size=1, max_size=5, unique=True))
    small = st.lists(st.integers(-2, 2), min_size=N0, max_size=N0)
    corner = data.draw(small)
    simplex = [corner, *([c + (i == j) for j, c in enumerate(corner)] for i in range(N0))]
    X = [x for _ in rows for x in [*simplex, data.draw(small)]]
    mask = [row for row in rows for _ in range(N0 + 2)]
    rank = span_rank(mask, X, True, True)
    assert rank == N0 * fast_rank(rows) + fast_rank([[*row, 1] for row in rows])
    assert rank <= (N0 + 1) * len(rows)
    assert rank <= (N0 + 1) * len(set(columns_of(rows))) + 1


def test_T17_golden_quadrants():
    """T17: W = I, b = 0, v = (1, 2); 5, 1, 1, 2 samples in the quadrants ++, +-, -+, --: rank 6.

    The minimum is at S = {++, --}, 2 1 + 2 + 2 = 6; S = everything has 7, nothing 9, {++} 7.
    """
    rows, counts = [(1, 1), (1, 0), (0, 1), (0, 0)], [5, 1, 1, 2]

    def value(*chosen):
        A = [row for row in rows if row in chosen]
        rest = sum(n for row, n in zip(rows, counts, strict=True) if row not in chosen)
        return 2 * fast_rank(A) + fast_rank([[*row, 1] for row in A]) + rest

    assert (value((1, 1), (0, 0)), value(*rows), value(), value((1, 1))) == (6, 7, 9, 7)
    assert perceived_regions_rank(2, rows, counts, True, True) == 6
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 2]]], [[0, 0], [1]])
    source = random.Random(2)
    signs = [(1, 1)] * 5 + [(1, -1), (-1, 1)] + [(-1, -1)] * 2
    X = [[s * source.randint(1, 10**6) for s in pair] for pair in signs]
    mask = ed.activation_pattern(net, X).mask
    assert sympy_rank(block_jacobian(net, X, mask)) == 6 == ed.local_dimension(net, X).value


HISTOGRAMS = [
    ([(1, 0), (1, 1), (0, 1)], 2, {0: 1, 1: 6, 2: 15, 3: 14}),
    ([(1, 0), (1, 1), (0, 1)], 3, {0: 1, 1: 14, 2: 57, 3: 144}),
    ([(1, 0), (2, 1), (1, 3), (-1, 2)], 2, {0: 1, 1: 6, 2: 21, 3: 24, 4: 12}),
    ([(1, 0), (2, 1), (1, 3), (-1, 2)], 3, {0: 1, 1: 14, 2: 71, 3: 180, 4: 246}),
    ([(1, 0), (0, 1), (-1, -1)], 2, {1: 3, 2: 21, 3: 12}),
    ([(1, 0), (0, 1), (-1, -1)], 3, {1: 3, 2: 75, 3: 138}),
]


@pytest.mark.parametrize(("X", "units", "histogram"), HISTOGRAMS)
def test_T17_golden_histograms(X, units, histogram):
    """T17, goldens: ranks of all regions of the parameters, without biases, N_0 = 2.

    A region is a tuple of dichotomies. They are enumerated by Gordan's theorem; the rank of a
    region is computed from a network in it, whose units a random search finds. These samples are
    not algebraically independent, so that T17 only promises the upper bound (T9.5); the formula
    gives each rank nevertheless.
    """
    by_word = units_of_each_word(X, False, random.Random(1), each=1)
    words = list(Circuits(X).words())
    assert {word for word, found in by_word.items() if found} == set(words)
    ranks, formula = Counter(), Counter()
    for region in product(words, repeat=units):
        W = [by_word[word][0] for word in region]
        net = ed.ReLUNetwork([W, [list(range(1, units + 1))]])
        mask = list(zip(*region, strict=True))
        rank = plain_rank(block_jacobian(net, X, mask).tolist(), PRIME)
        counts = Counter(mask)
        bound = perceived_regions_rank(2, list(counts), list(counts.values()), False, False)
        assert rank == span_rank(mask, X, False, False) == bound
        ranks[rank] += 1
        formula[bound] += 1
    assert ranks == histogram
    assert sum(histogram.values()) == len(words) ** units
    assert formula == histogram


def test_T17_not_monotone_in_the_number_of_perceived_regions():
    """T17: four perceived regions with rank 7, three with rank 9, both with three units.

    Two crossing lines and a dead unit, three samples in each of the four cells: 2 2 + 3 = 7. Three
    units that are on one at a time, three samples for each: 2 3 + 3 = 9. "More perceived regions,
    larger local dimension" is false; rk A and rk [A | 1] count.
    """
    source = random.Random(4)
    crossing = ed.ReLUNetwork([[[1, 0], [0, 1], [0, 0]], [[1, 2, 3]]], [[0, 0, -1], [1]])
    X = [[s * source.randint(1, 999), t * source.randint(1, 999)]
         for s, t in product((1, -1), repeat=2) for _ in range(3)]  # fmt: skip
    corners = ed.ReLUNetwork([[[1, 0], [0, 1], [-1, -1]], [[1, 2, 3]]], [[-10] * 3, [1]])
    Y = [[x + source.randint(-30, 30), y + source.randint(-30, 30)]
         for x, y in ((100, -70), (-70, 100), (-70, -70)) for _ in range(3)]  # fmt: skip
    for net, batch, regions, rank in ((crossing, X, 4, 7), (corners, Y, 3, 9)):
        mask = ed.activation_pattern(net, batch).mask
        assert len({tuple(row) for row in mask.tolist()}) == regions
        assert sympy_rank(block_jacobian(net, batch, mask)) == rank
        assert ed.local_dimension(net, batch).value == rank


def test_T17_controls():
    """T17: general position, v_k != 0 and one output are needed.

    Three samples on a line, one unit on: rank 2 instead of 3. With v = 0: GE2. Two outputs: rank 4,
    although no minimum is above the number 2 of samples.
    """
    mask, counts = [(1,)] * 3, [3]
    assert perceived_regions_rank(2, [(1,)], counts, True, True) == 3
    assert span_rank(mask, in_general_position(3, 2), True, True) == 3
    assert span_rank(mask, [[0, 0], [1, 1], [2, 2]], True, True) == 2
    assert perceived_regions_rank(1, [(0,), (1,)], [1, 2], True, True) == 3
    assert ed.local_dimension(GE2, BATCH).value == 2
    assert generic_rank((2, 2, 2), True, in_general_position(2, 2), [(1, 1)] * 2) == 4


# -- T18 -------------------------------------------------------------------------------------------


def one_region_rank(X, on, outputs, bias):
    """Evaluate T18: samples X that share one mask, with on_l units on in each layer."""
    if 0 in on:
        return outputs if bias else 0
    q = fast_rank(with_ones(X, bias)) - bias
    rho = min(q, *on, outputs)
    return rho * (q + outputs - rho) + outputs * bias


def test_T18_samples_that_share_one_mask(large):
    """T18, all masks of networks with up to three hidden layers.

    Statement. All samples have the same row of the mask, with s_l units on in layer l; either all
    layers have biases or none. Let q = rank [X | 1] - 1 with biases, rank X without, and
    rho = min(q, s_1, ..., s_{L-1}, N_L). Then r_A = rho (q + N_L - rho) + N_L [biases]; if some s_l
    is 0 it is N_L [biases].

    Source. Derived here. It is the dimension of the variety of q x N_L matrices of rank <= rho.

    Proof. f_A(x) = M x + c with M = W_L D W_{L-1} ... D W_1 any matrix of rank at most
    min(s_l, N_0, N_L), and with biases c is free. On X, M matters only on the span of differences
    of samples (of samples without biases), of dimension q. By T5, r_A is the dimension of the
    image.
    """
    batches = {
        1: ([[3]], [[1], [4], [9]], [[0], [0]]),
        2: ([[1, 2]], [[1, 2], [2, 4], [3, 6]], [[1, 0], [2, 5], [3, 3], [4, 1]]),
        3: ([[1, 2, 0], [2, 5, 1], [3, 7, 1]], [[1, 0, 0], [0, 1, 0], [2, 7, 1], [1, 1, 9]]),
    }
    sizes = (1, 2, 3)
    cases = [
        (N0, hidden, outputs)
        for depth in (1, 2, 3)
        for N0, outputs in product(sizes, sizes)
        for hidden in product(sizes[:2] if depth == 3 else sizes, repeat=depth)
    ]
    for number, (N0, hidden, outputs) in enumerate(cases):
        if not large and number % 4:
            continue
        for bias, X in product((True, False), batches[N0]):
            for on in product(*({0, n - 1, n} for n in hidden)):
                row = [int(k < s) for s, n in zip(on, hidden, strict=True) for k in range(n)]
                rank = generic_rank((N0, *hidden, outputs), bias, X, [row] * len(X))
                assert rank == one_region_rank(X, on, outputs, bias)


def test_T18_number_of_outputs_over_finite_fields():
    """T18 and T5 by counting: over F_q the outputs are the matrices of rank at most rho, exactly.

    Proof as above; every matrix of rank at most rho <= s_l is a product of factors of these sizes.
    With biases each is shifted by any of the q^(N_L) rows c. Deeper networks included.
    """
    for widths, X, rho in (
        ((2, 1, 2), [[1, 0], [0, 1]], 1),
        ((2, 2, 2), [[1, 0], [0, 1]], 2),
        ((2, 1, 1, 2), [[1, 0], [0, 1]], 1),
        ((1, 2, 1, 2), [[1], [2]], 1),
        ((2, 2, 1), [[1, 1], [2, 2], [1, 2]], 1),
    ):
        d, outputs = fast_rank(X), widths[-1]
        mask = [[1] * sum(widths[1:-1])] * len(X)
        count = number_of_outputs(widths, False, X, mask, 3)
        assert count == matrices_of_rank_at_most(d, outputs, rho, 3)
        degree = rho * (d + outputs - rho)
        assert one_region_rank(X, widths[1:-1], outputs, False) == degree
        assert generic_rank(widths, False, X, mask) == degree
    for widths, X, d in (((1, 1, 2), [[0], [1]], 1), ((1, 1, 1, 1), [[0], [1], [2]], 1)):
        mask = [[1] * sum(widths[1:-1])] * len(X)
        for p in (5, 7):
            count = number_of_outputs(widths, True, X, mask, p)
            assert count == matrices_of_rank_at_most(d, widths[-1], 1, p) * p ** widths[-1]


def test_T18_controls():
    """T18: one region and biases everywhere or nowhere are needed.

    GE1 at (0, 1, 2) sees two regions: 3, not 2. With a bias at the hidden unit only, (1, 1, 2) has
    the outputs V (w x + b), 2 x 2 matrices of rank 1: 3, while the formula gives 4 with biases and
    2 without.
    """
    assert one_region_rank(BATCH, (1,), 1, True) == 2
    assert ed.local_dimension(GE1, BATCH).value == 3
    X = [[1], [2]]
    assert generic_rank((1, 1, 2), [True, False], X, [[1], [1]]) == 3
    assert [one_region_rank(X, (1,), 2, bias) for bias in (True, False)] == [4, 2]


# -- T39 -------------------------------------------------------------------------------------------


def cover(n, k):
    """Return Cover's number for n samples and k weights."""
    return 2 * sum(math.comb(n - 1, i) for i in range(k))


def cover_by_recursion(n, k):
    """Count by adding one sample at a time; each dichotomy it can touch is doubled."""
    if n == 0:
        return 1
    if k == 0:
        return 0
    if n == 1:
        return 2
    return cover_by_recursion(n - 1, k) + cover_by_recursion(n - 1, k - 1)


def moment_curve(n, k, bias):
    """Return n samples in general position, exactly, for k weights, the bias among them."""
    exponents = range(k - 1, -1, -1) if bias else range(k, 0, -1)
    return [[t**e for e in exponents] for t in range(1, n + 1)]


def whitney(vectors):
    """Count the regions of the hyperplanes through 0 with these normals by |chi(-1)|."""
    nonzero = [v for v in vectors if any(v)]
    return sum(
        (-1) ** (size - fast_rank([integral(v) for v in chosen]))
        for size in range(len(nonzero) + 1)
        for chosen in combinations(nonzero, size)
    )


def integral(v):
    """Multiply a vector by its common denominator."""
    common = math.lcm(*(Fraction(x).denominator for x in v), 1)
    return [int(Fraction(x) * common) for x in v]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_T39_cover(k, bias, large):
    """T39, the number of dichotomies of samples in general position.

    Statement. n samples, units with k weights (a bias among them or not), any min(n, k) of the
    vectors x~_i independent: there are C(n, k) = 2 sum_{i < k} binom(n - 1, i) sets of samples at
    which a unit can be on, if it vanishes at none. A layer of N_1 units has C(n, k)^{N_1} regions
    of its parameters.

    Source. Cover 1965 (recalled).

    Proof. C(n, k) = C(n-1, k) + C(n-1, k-1): the hyperplane of a new sample cuts as many of the
    old regions in two as the others cut it into, and it is a space of dimension k - 1 in which they
    are in general position again. The units are independent of each other.

    Check. The sum, the recursion, the enumeration by Gordan's theorem, and the package agree.
    """
    for n in range(1, (8 if large else 6) + 1):
        X = moment_curve(n, k, bias)
        words = list(Circuits(X).words())
        found = dichotomies(QMatrix(X))
        assert cover(n, k) == cover_by_recursion(n, k) == len(words) == len(found)
        assert words == [tuple(map(int, word)) for word in found.words]


@given(st.data())
def test_T39_any_samples(data):
    """T39 in general: the number is |chi(-1)|, and the package lists the words that Gordan allows.

    Statement. For any samples, equal, opposite, collinear or zero ones included, a word is possible
    unless signs agree with a circuit (see `Circuits`), and there are sum_B (-1)^(|B| - rk B) of
    them, B running through the sets of samples that are not zero.
    Source. Whitney, Zaslavsky (recalled); Gordan.
    """
    n, k = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3))
    row = st.lists(st.integers(-2, 2), min_size=k, max_size=k)
    X = data.draw(st.lists(row, min_size=n, max_size=n))
    found = dichotomies(QMatrix(X))
    nonzero = [i for i, x in enumerate(X) if any(x)]
    expected = []
    for word in Circuits([X[i] for i in nonzero]).words() if nonzero else [()]:
        full = [0] * n
        for i, bit in zip(nonzero, word, strict=True):
            full[i] = bit
        expected.append("".join(map(str, full)))
    assert sorted(expected) == list(found.words)
    assert len(expected) == whitney(X) <= cover(n, k)


def test_T39_goldens():
    """T39: (n, N_0) = (3, 1): 6, (4, 2): 14, (5, 2): 22, (6, 3): 52; collinear triple: 6, not 8.

    And the regions of all weights and biases of a layer: a slice of parameter space has C^{N_1}.
    """
    for n, d, count in ((3, 1, 6), (4, 2, 14), (5, 2, 22), (6, 3, 52)):
        assert cover(n, d + 1) == count
    triple = [[0, 0, 1], [1, 1, 1], [2, 2, 1]]
    assert len(list(Circuits(triple).words())) == len(dichotomies(QMatrix(triple))) == 6
    assert cover(3, 3) == 8
    for units, count in ((1, 6), (2, 36)):
        net = ed.ReLUNetwork.random((1, units, 1), seed=0)
        directions = np.eye(2 * units, net.n_parameters, dtype=int).tolist()
        regions = ed.parameter_slice(net, BATCH, directions).regions()
        assert len(regions) == count == cover(3, 2) ** units


# -- T40 -------------------------------------------------------------------------------------------


def flats_through_a_point(forms):
    """Yield (size, rank) of the sets of hyperplanes g . x + c = 0 that have a point in common."""
    for size in range(len(forms) + 1):
        for chosen in combinations(forms, size):
            normals = fast_rank([form[:-1] for form in chosen])
            if normals == fast_rank(list(chosen)):
                yield size, normals


def arrangement(forms):
    """Return a network whose activation regions are those of the hyperplanes."""
    return ed.ReLUNetwork(
        [[form[:-1] for form in forms], [[1] * len(forms)]], [[form[-1] for form in forms], None]
    )


def assert_zaslavsky(forms):
    """Check the number of regions, and of bounded ones if the normals span the space."""
    flats = list(flats_through_a_point(forms))
    count = sum((-1) ** (size - rank) for size, rank in flats)
    bounded = abs(sum((-1) ** size for size, _ in flats))
    net, d = arrangement(forms), len(forms[0]) - 1
    regions = ed.activation_regions(net)
    masks = {mask for mask, _ in patterns_of_the_inputs(net)}
    assert count == len(regions) == len(masks) == ed.count_regions(net)
    assert masks == {tuple(map(int, mask)) for mask in regions.patterns}
    if fast_rank([form[:-1] for form in forms]) == d:
        assert bounded == sum(regions.bounded)
    return count, bounded


@pytest.mark.parametrize(("m", "d", "golden"), [(3, 2, (7, 1)), (4, 2, (11, 3)), (5, 3, (26, 4))])
def test_T40_zaslavsky_goldens(m, d, golden):
    """T40, hyperplanes in general position: (3, 2): 7 and 1 bounded, (4, 2): 11 and 3, (5, 3): 26.

    Statement. m hyperplanes in general position cut R^d into sum_{k <= d} binom(m, k) regions, of
    which binom(m - 1, d) are bounded. For others the numbers are |chi(-1)|, and |chi(1)| if the
    normals span R^d, with chi(t) = sum_B (-1)^|B| t^(d - rk B), over the sets B of hyperplanes that
    have a point in common.

    Source. Zaslavsky 1975, Whitney (recalled). Not proved here.
    """
    source = random.Random(m)
    forms = [[source.randint(-50, 50) for _ in range(d + 1)] for _ in range(m)]
    expected = sum(math.comb(m, k) for k in range(d + 1)), math.comb(m - 1, d)
    assert assert_zaslavsky(forms) == expected == golden


@given(st.data())
def test_T40_zaslavsky_for_any_hyperplanes(data):
    """T40: parallel and equal hyperplanes, and several through one point."""
    d, m = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    normal = st.lists(st.integers(-1, 1), min_size=d, max_size=d).filter(any)
    forms = [[*data.draw(normal), data.draw(st.integers(-1, 1))] for _ in range(m)]
    count, _ = assert_zaslavsky(forms)
    assert count <= sum(math.comb(m, k) for k in range(d + 1))


# -- T41 -------------------------------------------------------------------------------------------


def serra(N0, hidden):
    """Sum prod binom(N_l, j_l) over j_l <= min(N_0, N_1 - j_1, ..., N_{l-1} - j_{l-1}, N_l)."""

    def rest(level, room):
        if level == len(hidden):
            return 1
        n = hidden[level]
        return sum(
            math.comb(n, j) * rest(level + 1, min(room, n - j)) for j in range(min(room, n) + 1)
        )

    return rest(0, N0)


def montufar(N0, hidden):
    """Multiply sum_{j <= min(N_0, ..., N_l)} binom(N_l, j) over the layers."""
    return math.prod(
        sum(math.comb(n, j) for j in range(min(N0, *hidden[: level + 1]) + 1))
        for level, n in enumerate(hidden)
    )


def folding(N0, hidden):
    """Multiply floor(N_l / N_0)^N_0 over the layers but the last, which adds a full arrangement."""
    *folds, last = hidden
    return math.prod((n // N0) ** N0 for n in folds) * sum(
        math.comb(last, k) for k in range(N0 + 1)
    )


TABLE = [  # inputs, hidden layers, Serra, product, lower bound
    (2, (3,), 7, 7, 7),
    (2, (3, 3), 40, 49, 7),
    (2, (4, 3), 77, 77, 28),
    (1, (3, 2, 2), 36, 36, 18),
]


@pytest.mark.parametrize(("N0", "hidden", "upper", "product_bound", "lower"), TABLE)
def test_T41_bounds_by_depth(N0, hidden, upper, product_bound, lower, large):
    """T41: the table, and networks that never have more activation regions.

    Statement. The hidden layers (N_1, ..., N_{L-1}) cut R^{N_0} into at most Serra's number of
    activation regions, which is at most the product of Montufar, and some network has at least the
    lower bound.

    Source. Serra et al. 1711.02114, Montufar et al. 2014 (recalled). Not proved here.

    Check. Regions are counted by Gordan's theorem, layer by layer, and by the package.
    """
    assert (serra(N0, hidden), montufar(N0, hidden), folding(N0, hidden)) == (
        upper, product_bound, lower,
    )  # fmt: skip
    source, counts = random.Random(N0), []
    for _ in range(40 if large else 8):
        net = ed.ReLUNetwork.random((N0, *hidden, 1), seed=source.randrange(10**6))
        patterns = list(patterns_of_the_inputs(net))
        assert len({mask for mask, _ in patterns}) == len(patterns) == ed.count_regions(net)
        counts.append(len(patterns))
    assert max(counts) <= upper
    if len(hidden) == 1:
        assert set(counts) == {upper}


def test_T41_bounds_for_small_widths():
    """T41: folding <= Serra <= product, and for N_0 = 1 often equal.

    They are equal for N_0 = 1 if all hidden layers but the last have at least two units. With one
    unit they differ: for (1; 1, 1) Serra has 3, the true maximum, and the product 4.
    """
    assert (serra(1, (1, 1)), montufar(1, (1, 1))) == (3, 4)
    ramp = ed.ReLUNetwork([[[1]], [[1]], [[1]]], [[0], [-1], [0]])
    assert len(list(patterns_of_the_inputs(ramp))) == ed.count_regions(ramp) == 3
    for N0, depth in product((1, 2, 3), (1, 2, 3)):
        for hidden in product((1, 2, 3, 4), repeat=depth):
            assert folding(N0, hidden) <= serra(N0, hidden) <= montufar(N0, hidden)
            if N0 == 1 and min(hidden[:-1], default=2) >= 2:
                assert serra(1, hidden) == montufar(1, hidden) == math.prod(n + 1 for n in hidden)
            if depth == 1:
                assert serra(N0, hidden) == sum(math.comb(hidden[0], j) for j in range(N0 + 1))


def test_T41_the_lower_bound_by_folding():
    """T41: (2; 4, 3) has 28 regions where |x| and |y| meet three lines; 28 <= 77.

    The lines meet pairwise at points of the open quadrant, near which all 7 of their regions are;
    folding makes four copies.
    """
    lines = [[1, 1, 1, 1, -10], [1, 1, 2, 2, -16], [2, 2, 1, 1, -13]]
    net = ed.ReLUNetwork(
        [[[1, 0], [-1, 0], [0, 1], [0, -1]], [line[:4] for line in lines], [[1, 1, 1]]],
        [[0] * 4, [line[4] for line in lines], [0]],
    )
    masks = {mask for mask, _ in patterns_of_the_inputs(net)}
    assert len(masks) == ed.count_regions(net) == 28 == folding(2, (4, 3))


def test_T41_one_input_golden():
    """T41: widths (1, 3, 3) attain the bound 16."""
    net = ed.ReLUNetwork(
        [[[-1], [1], [1]], [[-1, -2, "3/2"]] * 3, [[1, 1, 1]]],
        [[2, 0, -1], ["29/10", "11/4", "13/5"], [0]],
    )
    assert len(list(patterns_of_the_inputs(net))) == ed.count_regions(net) == 16 == serra(1, (3, 3))


def test_T41_two_units_cannot_zigzag(large):
    """T41: for widths (1, 2, 2) the bound 9 is not attained; the largest number is 7.

    Statement. Hidden layers of two units each on the line have at most 7 activation regions.
    Source. Derived here.
    Proof. Two units of the first layer cut the line into at most three intervals. A pre-activation
    of the second layer is affine on each, so it changes its sign there at most once, and a region
    ends where a unit of the first or second layer changes its sign. For more than 7 regions one of
    the second layer's units would have to change its sign inside all three intervals, so its slopes
    would alternate. If both units of the first layer are on to the right (or to the left) one outer
    slope is 0. If they are on to opposite sides, the inner slope is 0 if neither is on there, and
    the sum of the outer slopes otherwise; so it does not have the sign opposite to both.

    Check. A grid of networks, up to scaling: never more than 7, and 7 occurs.
    """
    counts = Counter()
    values = (-2, -1, 1, 2) if large else (-2, 1)
    for signs, v in product(((1, 1), (1, -1), (-1, 1)), product(values, repeat=4)):
        for shift in product((-1, Fraction(3, 2)), repeat=2):
            net = ed.ReLUNetwork(
                [[[signs[0]], [signs[1]]], [v[:2], v[2:]], [[1, 1]]], [[1, 1], shift, [0]]
            )
            counts[len(list(patterns_of_the_inputs(net)))] += 1
    source = random.Random(8)
    for _ in range(400 if large else 100):
        net = ed.ReLUNetwork.random((1, 2, 2, 1), seed=source.randrange(10**6))
        counts[len(list(patterns_of_the_inputs(net)))] += 1
    assert max(counts) == 7 < serra(1, (2, 2)) == 9
