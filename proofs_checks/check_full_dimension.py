"""The largest local dimension of a network over all batches: T10 to T13.

The full functional dimension of a network is max rank J(theta; X) over all finite batches X off
kinks. On an activation region of input space each row of J is affine in the sample; so finitely
many points are decisive (T10), and a relation between regions saves some of them (T11). Random
samples reach the maximum after a time that the smallest region bounds (T12). How large it can be
depends on the widths (T13).

Notation: widths N_0, ..., N_L, P parameters, H hidden units. J_a(x) are the rows of the Jacobian at
a sample x with the mask a, realised or not: P columns, one row for each output.

All is computed here with formal masks. As J_a(x) is affine in x, its values on an open set span the
same as its values at 0 and the unit vectors, wherever the region may lie.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from family import (
    ARCHITECTURES,
    GE1,
    LARGE_ARCHITECTURES,
    block_jacobian,
    layers,
    masked_pass,
    masks,
    patterns_of_the_inputs,
    plain_rank,
    point,
    sympy_rank,
    ternary_networks,
)
from hypothesis import given
from hypothesis import strategies as st

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.dimension.full import decisive_set, spanning_regions
from exactdim.testing import strategies

PRIME = 2**61 - 1
"""Ranks of large random networks are taken modulo this prime; they are lower bounds."""

CANCELLING = ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]])
"""f(x) = relu(x) - relu(x) = 0."""


# -- regions and rows, in plain arithmetic ---------------------------------------------------------


def simplex(d):
    """Return 0 and the unit vectors of R^d: affinely independent points."""
    return [[0] * d, *([int(i == j) for j in range(d)] for i in range(d))]


def rows_of_pattern(net, mask):
    """Return rows that span the J_a(x) of one mask over all x."""
    X = simplex(net.widths[0])
    return block_jacobian(net, X, [mask] * len(X))


def decisive_rows(net):
    """Return rows that span the J(x) of all regions; None if a unit vanishes on a region (T2)."""
    patterns = list(patterns_of_the_inputs(net))
    if any(vanishing for _, vanishing in patterns):
        return None
    return QMatrix.vstack([rows_of_pattern(net, mask) for mask, _ in patterns])


def differences(rows, outputs):
    """Return the rows of the softmax head: each output less the last one, sample by sample."""
    table = rows.tolist()
    found = []
    for start in range(0, len(table), outputs):
        last = table[start + outputs - 1]
        found += [
            [u - v for u, v in zip(row, last, strict=True)]
            for row in table[start : start + outputs - 1]
        ]
    return QMatrix(found) if found else QMatrix.zeros(0, rows.shape[1])


def mask_at(net, x):
    """Return the mask of a sample, or None on a kink."""
    h, mask = point(x), []
    for (W, b), has_bias in list(zip(layers(net), net.has_bias, strict=True))[:-1]:
        z = W @ h + b
        if not all(z) and (has_bias or any(h)):
            return None
        mask += [int(v > 0) for v in z]
        h = np.maximum(z, 0)
    return mask


def rows_at(net, X):
    """Return J(theta; X), samples on kinks left out."""
    found = [(x, mask_at(net, x)) for x in X]
    kept = [(x, mask) for x, mask in found if mask is not None]
    if not kept:
        return QMatrix.zeros(0, net.n_parameters)
    return block_jacobian(net, *map(list, zip(*kept, strict=True)))


def contains(outer, inner):
    """Tell whether the row space of a matrix lies in that of another."""
    return sympy_rank(QMatrix.vstack([outer, inner])) == sympy_rank(outer)


def integer_networks(widths, source, bias=True, size=30):
    """Yield networks with random nonzero integers as parameters."""
    zeros = ed.ReLUNetwork.random(widths, seed=0, bias=bias)
    while True:
        yield zeros.with_parameters([
            [source.choice([-1, 1]) * source.randint(1, size) for _ in range(zeros.n_parameters)]
        ])


def full_dimension_from_below(net):
    """Return the rank of the decisive rows of an integer network modulo PRIME; None as above."""
    rows = decisive_rows(net)
    return None if rows is None else plain_rank(rows.tolist(), PRIME)


# -- T10 -------------------------------------------------------------------------------------------


def fine_grid(d):
    """Return samples in all regions of the small networks, several in each."""
    axis = [Fraction(2 * k + 1, 8) for k in range(-20, 20)]
    if d == 1:
        return [[x] for x in axis]
    return [[x, y + Fraction(1, 64)] for x in axis[::4] for y in axis[::4]]


def assert_decisive(net, X):
    """Check T10 against the package and a batch; return if a unit vanishes on a region."""
    D = decisive_rows(net)
    if D is None:
        with pytest.raises(errors.OnKink, match="identically zero on the region"):
            ed.full_dimension(net)
        return True
    found = ed.full_dimension(net)
    assert found.value == sympy_rank(D) <= net.n_parameters - net.n_hidden
    assert contains(D, rows_at(net, X))
    for points in (decisive_set(found.regions), found.points):
        J = rows_at(net, points.tolist())
        assert J.shape[0] == points.shape[0] * net.widths[-1]
        assert sympy_rank(J) == found.value
        assert contains(D, J)
    outputs = net.widths[-1]
    softmax = ed.full_dimension(net, head="softmax").value
    assert softmax == sympy_rank(differences(D, outputs))
    return False


def test_T10_decisive_sets(large):
    """T10, the full functional dimension is attained at a decisive set. All small networks.

    Statement. Let no unit vanish identically on a region of input space without doing so for all
    parameters nearby. Take N_0 + 1 affinely independent points in each activation region (N_0
    linearly independent ones without biases). Then the row space of J(theta; X) lies in that of
    J(theta; X*) for every batch X off kinks, X* being these points. So rank J(theta; X*) is the
    largest local dimension; more samples add nothing, and regions without interior contribute
    nothing.

    Source. arXiv 2402.08269 (determined by the achievable patterns), 2209.04036 (decisive sets);
    proof derived here.

    Proof. In a region each row J_j(x) is affine in x (T3), linear without biases. Every x is an
    affine (linear) combination of the points in its region, and J(x) is the same combination. A
    sample off kinks has an open neighbourhood with the same mask, so it lies in a region.

    Check. Masks of the regions by Gordan's theorem; their rows at 0 and the unit vectors. The
    largest rank by brute force: a fine grid attains it, and its rows lie in that space. The
    package's value, decisive set and small set agree.
    """
    vanishing = Counter()
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        for net in ternary_networks(widths, bias):
            X = fine_grid(widths[0])
            vanishes = assert_decisive(net, X)
            vanishing[vanishes] += 1
            if not vanishes:
                assert sympy_rank(rows_at(net, X)) == ed.full_dimension(net).value
    assert vanishing[False] > vanishing[True] > 0


@given(
    strategies.networks_with_batches(
        networks=strategies.relu_networks(max_depth=3, max_width=2)
        | strategies.degenerate_networks(max_depth=3, max_width=2)
    )
)
def test_T10_decisive_sets_at_random(problem):
    """T10, the same for random and degenerate networks at any batch."""
    net, X = problem
    assert_decisive(net, QMatrix(X).tolist())


def test_T10_any_points_of_the_regions_will_do():
    """T10: other affinely independent points of the regions have the same row space; fewer may not.

    Both directions at random 2-dimensional networks: three points in general position of each
    region span what 0, e_1, e_2 span under its mask; one point of each spans less at least once.
    """
    source, smaller = random.Random(1), 0
    for net in itertools.islice(integer_networks((2, 3, 1), source), 8):
        D = decisive_rows(net)
        cloud = [[Fraction(source.randint(-(10**4), 10**4), 10**3) for _ in range(2)]
                 for _ in range(400)]  # fmt: skip
        by_mask = {}
        for x in cloud:
            mask = mask_at(net, x)
            if mask is not None:
                by_mask.setdefault(tuple(mask), []).append(x)
        assert set(by_mask) <= {mask for mask, _ in patterns_of_the_inputs(net)}
        for mask, members in by_mask.items():
            if len(members) >= 3 and sympy_rank(QMatrix([[*x, 1] for x in members[:3]])) == 3:
                mine = rows_at(net, members[:3])
                theirs = rows_of_pattern(net, mask)
                assert contains(mine, theirs)
                assert contains(theirs, mine)
        one = rows_at(net, [members[0] for members in by_mask.values()])
        smaller += sympy_rank(one) < sympy_rank(D)
    assert smaller


def test_T10_refuted_points_in_linear_regions():
    """T10, a variant that is false: N_0 + 1 points in each *linear* region.

    relu(x) - relu(x) = 0 has one linear region. Two points below 0: rank 1; above: 2; a pair on
    each side: 3. So two regions with one affine function must be told apart.
    """
    regions = ed.activation_regions(CANCELLING)
    assert len(regions) == len(list(patterns_of_the_inputs(CANCELLING))) == 2
    assert len(regions.linear_regions()) == 1
    below, above = [[-2], [-1]], [[1], [2]]
    assert [sympy_rank(rows_at(CANCELLING, X)) for X in (below, above, below + above)] == [1, 2, 3]
    assert rows_at(CANCELLING, below + above).tolist() == [
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [1, -1, 1, -1, 1, 1, 1],
        [2, -2, 1, -1, 2, 2, 1],
    ]
    assert ed.full_dimension(CANCELLING).value == sympy_rank(decisive_rows(CANCELLING)) == 3


def test_T10_golden_as_many_points_as_dimensions_and_one_more():
    """T10: N_0 + 1 points are needed. (2, 1, 1), w = (1, 2), b = -1, v = 3, c = 5.

    Two points where the unit is on and one where it is off: rank 3. A third one where it is on: 4,
    which is P - H. Without biases N_0 points are enough: rank 2 of P - H = 2.
    """
    net = ed.ReLUNetwork([[[1, 2]], [[3]]], [[-1], [5]])
    X = [[2, 0], [0, 2], [-2, 0]]
    assert [mask_at(net, x) for x in X] == [[1], [1], [0]]
    assert sympy_rank(rows_at(net, X)) == ed.local_dimension(net, X).value == 3
    assert sympy_rank(rows_at(net, [*X, [3, 3]])) == 4 == ed.full_dimension(net).value
    cone = ed.ReLUNetwork([[[1, 2]], [[3]]])
    assert sympy_rank(rows_at(cone, [[1, 0], [0, 1]])) == 2 == ed.full_dimension(cone).value


def test_T10_determined_by_the_achievable_patterns():
    """T10: for almost every theta the full dimension is a function of the set of patterns.

    Statement. It is at most the rank of the stacked J_a(x), a in the set of patterns of theta and x
    in 0, e_1, ..., over Q(theta), and equal to it outside an algebraic set of measure 0.
    Source. arXiv 2402.08269; derived here. Proof. The stack is a matrix of polynomials in theta
    that depends on the set only.

    Check. The rank at the network, against the rank at random parameters with the same *formal*
    masks. For random networks they agree; for networks with weights -1, 0, 1 it may drop.
    """

    def both(net):
        patterns = [mask for mask, _ in patterns_of_the_inputs(net)]
        source = random.Random(5)
        theta = [[source.randrange(PRIME) for _ in range(net.n_parameters)]]
        elsewhere = net.with_parameters(theta)
        return tuple(
            plain_rank(QMatrix.vstack([rows_of_pattern(x, a) for a in patterns]).tolist(), PRIME)
            for x in (net, elsewhere)
        )

    sets, source = {}, random.Random(3)
    for widths in ((1, 2, 1), (2, 2, 1), (1, 2, 2, 1), (2, 2, 2, 1)):
        for net in itertools.islice(integer_networks(widths, source, size=10**9), 15):
            here, generic = both(net)
            assert here == generic
            key = widths, frozenset(mask for mask, _ in patterns_of_the_inputs(net))
            assert sets.setdefault(key, here) == here
    assert len(sets) < 60
    drops = Counter()
    for net in ternary_networks((1, 1, 1), True):
        if decisive_rows(net) is not None:
            here, generic = both(net)
            assert here <= generic
            drops[here < generic] += 1
    assert drops[True]
    assert drops[False]


# -- T11 -------------------------------------------------------------------------------------------


def crossing(net, x, mask, one, other):
    """Return J^11 - J^10 - J^01 + J^00 in the bits of two units."""
    total = QMatrix.zeros(net.widths[-1], net.n_parameters)
    for sign, bits in ((1, (1, 1)), (-1, (1, 0)), (-1, (0, 1)), (1, (0, 0))):
        changed = list(mask)
        changed[one], changed[other] = bits
        total += block_jacobian(net, [x], [changed]) * sign
    return total


def pairs_of_units(net, *, same_layer):
    """Yield pairs of hidden units, as columns of a mask."""
    level = [layer for layer, width in enumerate(net.widths[1:-1]) for _ in range(width)]
    for one, other in combinations(range(len(level)), 2):
        if (level[one] == level[other]) == same_layer:
            yield one, other


def test_T11_vertex_relation(large):
    """T11, two units of one layer: all small networks and masks.

    Statement. For units k, k' of one layer, all other bits of the mask and the sample x fixed,
    J^11 - J^10 - J^01 + J^00 = 0, the upper indices being the bits of k and k'. So the rows of
    three of the four regions around a point where their (bent) hyperplanes cross span those of the
    fourth.

    Source. A claim in a third-party post on 2209.04036 for N_0 = 2; general proof derived here.

    Proof. f is a sum over paths, each with the product of the bits of its units. A path uses one
    unit of each layer, so no product contains the bits of both k and k': f, and with it J, is
    affine in them with no mixed term.
    """
    cases = [((1, 2, 1), False), ((1, 2, 1), True)]
    for widths, bias in [*cases, *([((2, 2, 1), False)] if large else [])]:
        X = [[3], [-1]] if widths[0] == 1 else [[3, -1]]
        for net in itertools.islice(ternary_networks(widths, bias), 0, None, 1 if large else 7):
            for x in X:
                assert crossing(net, x, [0, 0], 0, 1).is_zero()
    deep = ed.ReLUNetwork.random((2, 2, 2, 2), seed=0, bits=6)
    for mask in masks(1, 4):
        for one, other in pairs_of_units(deep, same_layer=True):
            assert crossing(deep, [3, -2], mask[0].astype(int), one, other).is_zero()


@given(strategies.relu_networks(min_depth=2, max_depth=3, max_width=3), st.data())
def test_T11_vertex_relation_at_random(net, data):
    """T11, random networks, masks and samples; three cells span the fourth."""
    mask = data.draw(strategies.activation_patterns(net, min_size=1, max_size=1))[0].astype(int)
    x = data.draw(strategies.batches(net, min_size=1, max_size=1))
    x = QMatrix(x).tolist()[0]
    for one, other in pairs_of_units(net, same_layer=True):
        assert crossing(net, x, mask, one, other).is_zero()
        cells = []
        for bits in ((1, 1), (1, 0), (0, 1), (0, 0)):
            changed = list(mask)
            changed[one], changed[other] = bits
            cells.append(rows_of_pattern(net, changed))
        for left in range(4):
            rest = QMatrix.vstack(cells[:left] + cells[left + 1 :])
            assert contains(rest, cells[left])


def test_T11_control_units_of_different_layers():
    """T11 is false for units of different layers: a path may use both.

    For (1, 1, 1, 1) without biases and no weight 0 the mixed term is J of the only path. For random
    networks it is never 0 here; and three cells do not span the fourth: one parameter is moved by
    J^11 only.
    """
    for net in ternary_networks((1, 1, 1, 1), False):
        weights = net.parameters().tolist()[0]
        zeros = sum(not w for w in weights)
        assert crossing(net, [2], [0, 0], 0, 1).is_zero() == (zeros > 1)
    for seed, bias in product(range(10), (True, False)):
        net = ed.ReLUNetwork.random((2, 2, 2, 2), seed=seed, bits=6, bias=bias)
        for one, other in pairs_of_units(net, same_layer=False):
            assert not crossing(net, [3, -2], [1] * 4, one, other).is_zero()
    net = ed.ReLUNetwork([[[1]], [[1]], [[1]]], [[0], [0], [0]])
    cells = [rows_of_pattern(net, bits) for bits in ((1, 1), (1, 0), (0, 1), (0, 0))]
    assert not contains(QMatrix.vstack(cells[1:]), cells[0])


def test_T11_few_regions_are_enough(large):
    """T11, consequence for one hidden layer: regions whose (a, 1) span suffice, N_1 + 1 at most.

    Statement. One hidden layer. If the vector (a, 1) of a region is a combination of those of other
    regions, with a its mask, its rows are combinations of theirs. So the rows of at most N_1 + 1
    regions span all.
    Source. Derived here. Proof. J_a(x) is affine in a by T11: it is a linear image of (a, 1).

    Check. Every set of regions whose (a, 1) have full rank, for small networks; and the regions
    that the package chooses, for deep networks too.
    """
    source, fewer = random.Random(2), 0
    for widths in ((1, 3, 1), (2, 3, 1), (2, 2, 2)):
        for net in itertools.islice(integer_networks(widths, source), 20 if large else 3):
            patterns = [mask for mask, _ in patterns_of_the_inputs(net)]
            D = decisive_rows(net)
            rank = plain_rank([[*a, 1] for a in patterns], PRIME)
            for chosen in combinations(patterns, rank):
                if plain_rank([[*a, 1] for a in chosen], PRIME) == rank:
                    assert contains(QMatrix.vstack([rows_of_pattern(net, a) for a in chosen]), D)
                    fewer += rank < len(patterns)
    assert fewer
    for widths in ((1, 4, 1), (2, 4, 1), (2, 3, 2, 1), (1, 3, 3, 2)):
        for net in itertools.islice(integer_networks(widths, source), 4):
            regions = ed.activation_regions(net)
            chosen = [tuple(map(int, regions.patterns[i])) for i in spanning_regions(regions)]
            rows = QMatrix.vstack([rows_of_pattern(net, a) for a in chosen])
            assert plain_rank(rows.tolist(), PRIME) == full_dimension_from_below(net)


# -- T12 -------------------------------------------------------------------------------------------


def intervals(net, a, b):
    """Return the regions that an interval meets, as (mask, start, end); None if a unit vanishes."""
    found = [((), Fraction(a), Fraction(b))]
    start = 0
    for level, width in enumerate(net.widths[1:-1]):
        finer = []
        for mask, left, right in found:
            ends = []
            for x in (left, right):
                row = [*mask, *[1] * (net.n_hidden - start)]
                inputs, _ = masked_pass(net, [x], row)
                W, shift = list(layers(net))[level]
                ends.append(W @ inputs[level] + shift)
            if any(not u and not v for u, v in zip(*ends, strict=True)):
                return None
            cuts = {left, right} | {
                left + (right - left) * u / (u - v) for u, v in zip(*ends, strict=True) if u * v < 0
            }
            for x, y in itertools.pairwise(sorted(cuts)):
                t = ((x + y) / 2 - left) / (right - left)
                word = tuple(int(u + t * (v - u) > 0) for u, v in zip(*ends, strict=True))
                finer.append(((*mask, *word), x, y))
        found, start = finer, start + width
    return found


class Sampling:
    """Independent uniform samples of an interval, and the rank they reach.

    Two different samples of a region on the line are decisive for it. So all that counts is the
    number of samples in each region, 0, 1 or at least 2, and where a single one is: the rank is the
    same for almost all positions, since it drops on an algebraic set only. Positions are drawn
    once.
    """

    def __init__(self, net, a, b, seed=0):
        source = random.Random(seed)
        pieces = intervals(net, a, b)
        total = Fraction(b) - Fraction(a)
        self.chances = [(y - x) / total for _, x, y in pieces]
        self.rows = []
        for mask, x, y in pieces:
            points = [[x + (y - x) * Fraction(source.randint(1, 2**40), 2**40 + 1)] for _ in "12"]
            self.rows.append([block_jacobian(net, [p], [mask]) for p in points])
        self.ranks = {}
        self.empty = (0,) * len(pieces)
        self.largest = self.rank((2,) * len(pieces))

    def rank(self, state):
        """Return the rank with so many samples in each region."""
        if state not in self.ranks:
            chosen = [row for n, rows in zip(state, self.rows, strict=True) for row in rows[:n]]
            self.ranks[state] = sympy_rank(QMatrix.vstack(chosen)) if chosen else 0
        return self.ranks[state]

    def after(self, state):
        """Yield what one more sample can lead to, with its probability."""
        for r, p in enumerate(self.chances):
            yield (*state[:r], min(state[r] + 1, 2), *state[r + 1 :]), p

    def failures(self, n):
        """Return the exact probabilities that 0, 1, ..., n samples do not reach the maximum."""
        law, found = {self.empty: Fraction(1)}, []
        for _ in range(n + 1):
            law = {s: p for s, p in law.items() if self.rank(s) < self.largest}
            found.append(sum(law.values()))
            new = Counter()
            for state, p in law.items():
                for s, q in self.after(state):
                    new[s] += p * q
            law = new
        return found

    def expected_samples(self, state=None):
        """Return the exact expectation of the number of samples up to the maximum."""
        state = self.empty if state is None else state
        if self.rank(state) == self.largest:
            return Fraction(0)
        stay = sum(p for s, p in self.after(state) if s == state)
        go = sum(p * self.expected_samples(s) for s, p in self.after(state) if s != state)
        return (1 + go) / (1 - stay)


def fewer_than(r, n, p):
    """Return P(Bin(n, p) < r)."""
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(min(r, n + 1)))


def assert_sampling_bound(sampling, n):
    """Check T12 for 0, ..., n samples."""
    p_min, r = min(sampling.chances), sampling.largest
    failures = sampling.failures(n)
    for k, failure in enumerate(failures):
        assert failure <= fewer_than(r, k, p_min)
    assert sampling.expected_samples() <= r / p_min
    for state in product((0, 1, 2), repeat=len(sampling.chances)):
        rank = sampling.rank(state)
        if rank < r:
            assert sum(p for s, p in sampling.after(state) if sampling.rank(s) > rank) >= p_min
    full = (2,) * len(sampling.chances)
    for i, p in enumerate(sampling.chances):
        if sampling.rank((*full[:i], 0, *full[i + 1 :])) < r:
            assert all(failure >= (1 - p) ** k for k, failure in enumerate(failures))
    return failures


def test_T12_sampling(large):
    """T12, how many random samples reach the full dimension; the failure probability exactly.

    Statement. Samples x_1, x_2, ... independent with a density; p_min the smallest probability of a
    region that the law meets, r* the largest local dimension of batches in these regions. Then
    P(rank J(x_1..x_n) < r*) <= P(Bin(n, p_min) < r*), and the expected number of samples to reach
    r* is at most r* / p_min. If r* is not reached without a region of probability p, the failure
    probability is at least (1 - p)^n.

    Source. arXiv 2402.08269 (existence, fast convergence); this form derived here.

    Proof. Let the row space S of the samples so far have dimension < r*. By T10 some region has
    samples whose rows are not in S. Those of its samples whose rows are in S form a proper affine
    subspace, a null set, so the next sample raises the rank with probability >= p_min. The number
    of rises is thus at least that of successes of independent trials until r* is reached.

    Check. Exact rational probabilities for networks on the line: nothing but the number of samples
    in each region counts, 0, 1, or more (see `Sampling`).
    """
    source, checked = random.Random(6), 0
    for widths in ((1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2), (1, 1, 1, 1), (1, 2, 2, 1)):
        nets = integer_networks(widths, source, size=9)
        for net in itertools.islice(nets, 20 if large else 5):
            sampling = Sampling(net, -2, 2)
            if len(sampling.chances) <= (6 if large else 5):
                assert_sampling_bound(sampling, 12)
                checked += len(sampling.chances) > 1
                assert sampling.largest <= full_dimension_from_below(net)
    assert checked > 8


def test_T12_golden():
    """T12: a unit that turns on at 1/10, uniform samples of [0, 1], r* = 3, n = 50.

    The rank is 3 once one sample is below 1/10 and two are above. So the failure probability is
    0.9^50 + 0.1^50 + 50 0.9 0.1^49 = 0.00515...; the bound is P(Bin(50, 1/10) < 3) = 0.1117... The
    expected number of samples is that of the later of two times, E max = E T + E T' - E min, with
    E T = 10 for one below, E T' = 20/9 for two above, E min = 1/10 + 2 9/10: 929/90 <= 3 10.
    """
    net = ed.ReLUNetwork([[[10]], [[3]]], [[-1], [5]])
    sampling = Sampling(net, 0, 1)
    assert sampling.chances == [Fraction(1, 10), Fraction(9, 10)]
    assert sampling.largest == ed.full_dimension(net).value == 3
    failure = assert_sampling_bound(sampling, 50)[50]
    p, q = Fraction(1, 10), Fraction(9, 10)
    assert failure == q**50 + p**50 + 50 * q * p**49
    assert Fraction(515, 10**5) < failure < Fraction(516, 10**5)
    assert Fraction(1116, 10**4) < fewer_than(3, 50, p) < Fraction(1118, 10**4)
    assert sampling.expected_samples() == 1 / p + 2 / q - (p + 2 * q) == Fraction(929, 90)


def test_T12_controls():
    """T12: with r* - 1 in place of r*, or the mean of the p in place of p_min, it is false.

    One region, one output: two samples are needed, and P(Bin(1, 1) < 1) = 0. The golden network has
    a mean of 1/2. And a law that misses a region never reaches the full dimension of the network.
    """
    line = Sampling(ed.ReLUNetwork([[[2]]], [[1]]), 0, 1)
    assert line.failures(2) == [1, 1, 0] == [fewer_than(2, n, Fraction(1)) for n in range(3)]
    assert line.failures(1)[1] > fewer_than(1, 1, Fraction(1))
    golden = Sampling(ed.ReLUNetwork([[[10]], [[3]]], [[-1], [5]]), 0, 1)
    assert golden.failures(20)[20] > fewer_than(3, 20, Fraction(1, 2))
    missed = Sampling(GE1, 1, 2)
    assert missed.largest == 2 < ed.full_dimension(GE1).value == 3


# -- T13 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(2, 2, 1), (2, 2, 2), (2, 3, 2), (2, 2, 2, 1), (2, 2, 3, 1)])
def test_T13_a_wide_networks_reach_the_bound(widths):
    """T13a: with two or more inputs, and units in each hidden layer, P - H on an open set.

    Source. arXiv 2605.03601 (abstract); recalled, not proved here.

    Check. A network with the full dimension P - H in some architectures, by the plain rank and by
    the package; it stays so for networks nearby, since a minor that is not 0 stays so off kinks.
    """
    source = random.Random(sum(widths))
    for net in itertools.islice(integer_networks(widths, source), 200):
        bound = net.n_parameters - net.n_hidden
        if full_dimension_from_below(net) == bound:
            break
    else:
        raise AssertionError(f"P - H = {bound} not found")
    found = ed.full_dimension(net)
    assert found.value == bound
    theta = net.parameters().tolist()[0]
    for _ in range(4):
        moved = [t + Fraction(source.randint(-(10**3), 10**3), 10**9) for t in theta]
        near = net.with_parameters([moved])
        J = rows_at(near, found.points.tolist())
        assert J.shape[0] == found.points.shape[0] * widths[-1]
        assert J.rank() == bound


@pytest.mark.parametrize("N0", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_T13_e_networks_of_width_one(N0, k, large):
    """T13e: with k hidden layers of one unit and one output, at most min(N_0 + k + 1, N_0 + 3).

    Statement. Widths (N_0, 1, ..., 1, 1) with biases: the largest full dimension is
    min(N_0 + k + 1, N_0 + 3), while P - H = N_0 + k + 1. So the hypothesis of T13a on the hidden
    widths is needed from k = 3 on.

    Source. Derived here.

    Proof. Let t = w . x + b. Each h_l is a monotone function of t, and {h_l = 0} is a ray, empty or
    everything. On {h_l = 0} all later units are constant, so for m > l the set {h_m = 0} contains
    it or is disjoint from it. Hence l is the last unit that is off somewhere only if its set is
    disjoint from those of all later units; the sets of such l are disjoint rays, so there are at
    most two. The output is affine in x where all units are on, and one of at most two constants
    elsewhere. Near theta the outputs at a batch off kinks are thus a smooth function of N_0 + 1 +
    2 numbers: rank J <= N_0 + 3. And rank J <= P - H (T7). The maximum is attained by examples.
    """
    bound = min(N0 + k + 1, N0 + 3)
    source, counts = random.Random(N0 + 10 * k), Counter()
    nets = integer_networks((N0, *[1] * k, 1), source)
    for net in itertools.islice(nets, 400 if large else 80):
        counts[full_dimension_from_below(net) or 0] += 1  # 0 if a unit vanishes on a region
        assert net.n_parameters - net.n_hidden == N0 + k + 1
    assert max(counts) == bound
    if k < 3 and N0 == 1:
        assert ed.full_dimension(net).value == full_dimension_from_below(net)


def test_T13_e_small_networks_completely(large):
    """T13e for all weights and biases in -1, 0, 1."""
    for k in (1, 2) if large else (1,):
        ranks = set()
        for net in ternary_networks((1, *[1] * k, 1), True):
            D = decisive_rows(net)
            if D is not None:
                ranks.add(sympy_rank(D))
        assert max(ranks) <= min(k + 2, 4)
    assert {1, 2, 3} <= ranks


@pytest.mark.parametrize(
    ("widths", "largest"),
    [
        ((1, 1, 1, 1), 4),
        ((1, 2, 2, 1), 9),
        ((1, 3, 3, 1), 16),
        ((1, 2, 2, 2, 1), 13),
        ((2, 1, 2, 1), 7),
        ((2, 2, 1, 1), 8),
    ],
)
def test_T13_f_narrow_networks_that_reach_the_bound(widths, largest):
    """T13f: one input, or one unit in a layer, need not keep the full dimension below P - H.

    Checked only: a random search finds networks that attain P - H (which is the bound, T7).
    """
    source = random.Random(sum(widths))
    for net in itertools.islice(integer_networks(widths, source), 3000):
        assert net.n_parameters - net.n_hidden == largest
        if full_dimension_from_below(net) == largest:
            assert ed.full_dimension(net).value == largest
            return
    raise AssertionError(f"{largest} not found")


def test_T13_g_random_networks_have_many_full_dimensions(large):
    """T13g: the full dimension is far from constant for almost all theta.

    Checked only. Random (2, 2, 2, 1) networks have 1, 7, 8, 10 and 11 = P - H; 1 where the last
    layer is off everywhere. Random (2, 3, 2, 2, 1) networks have values from 1 to 19 = P - H
    (`--large`).
    """
    source = random.Random(9)
    nets = itertools.islice(integer_networks((2, 2, 2, 1), source), 150)
    counts = Counter(full_dimension_from_below(net) for net in nets)
    assert {1, 7, 8, 10, 11} <= set(counts)
    assert max(counts) == 11
    if large:
        nets = itertools.islice(integer_networks((2, 3, 2, 2, 1), source), 300)
        counts = Counter(map(full_dimension_from_below, nets))
        assert (min(counts), max(counts)) == (1, 19)
        assert len(counts) > 8
