"""The full dimension by random samples (T12): the estimate, its bound, its exact failure."""

import itertools
import math
import random
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import networks

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.arith import modular
from exactdim.dimension import laws, sampling
from exactdim.dimension import line as line_module
from exactdim.dimension.full import decisive_set
from exactdim.dimension.sampling import binomial_tail, sample_dimension

BEND = ed.ReLUNetwork([[[2]], [[3]]], [["-1/5"], [5]])  # f(x) = 3 relu(2 x - 1/5) + 5


def tail(n, p, r):
    return sum(
        (math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(min(r, n + 1))), Fraction(0)
    )


def largest(net, domain, head="logits"):
    """r*, by the exact rank at the decisive set; None where a neuron vanishes on a region."""
    try:
        return ed.jacobian(net, decisive_set(ed.activation_regions(net, domain)), head=head).rank()
    except errors.OnKink:
        return None


def rank_at(net, X, head="logits"):
    return ed.jacobian(net, X, head=head).rank()


# -- the golden ------------------------------------------------------------------------------------


def test_a_bend_at_a_tenth():
    """T12: failure 0.9^50 + 0.1^50 + 50 0.9 0.1^49, and P(Bin(50, 1/10) < 3) = 0.1117..."""
    found = sample_dimension(BEND, (0, 1), 50, seed=0)
    assert found.full.value == found.dimension.value == 3
    assert found.reached is True
    assert found.smallest_mass == Fraction(1, 10)
    # one inner facet in one dimension, and one hyperplane
    assert found.chance == Fraction(1, 10) - Fraction(2, 2**64)
    golden = Fraction(9, 10) ** 50 + Fraction(1, 10) ** 50 + 50 * Fraction(9, 10**50)
    assert found.failure_probability == golden
    assert f"{float(golden):.6f}" == "0.005154"
    exact = tail(50, Fraction(1, 10), 3)
    assert f"{float(exact):.4f}" == "0.1117"
    assert 0 < found.failure_bound - exact < Fraction(1, 10**15)
    assert 0 < found.expected_samples - 30 < Fraction(1, 10**15)
    assert (found.n, found.law, found.points.shape) == (50, "uniform", (50, 1))


def test_the_mean_number_of_samples():
    """E[samples until r*] is the sum over n of the probability to miss it with n samples."""
    found = sample_dimension(BEND, (0, 1), 1, seed=0)
    line = line_module.LineFailure(BEND, "logits", found.regions, 3)
    mean = sum(line.failure(n) for n in range(400))
    # first a sample on either side; then, if needed, another on the right: 1/(p q) - 1 and less
    assert 10 < mean < found.expected_samples
    assert line.failure(0) == line.failure(1) == line.failure(2) == 1


# -- the binomial tail -----------------------------------------------------------------------------


@given(
    st.integers(0, 30),
    st.fractions(min_value=0, max_value=1, max_denominator=99),
    st.integers(-1, 40),
)
def test_the_tail_is_a_sum(n, p, r):
    assert binomial_tail(n, p, r) == tail(n, p, r)


def test_the_tail_of_many_trials():
    """Golden by symmetry and by complement, with a chance of 60 bits."""
    p = Fraction(2**59 + 12345, 2**60)
    n = 2000
    assert binomial_tail(n, p, 700) + binomial_tail(n, 1 - p, n - 699) == 1
    assert binomial_tail(2001, Fraction(1, 2), 1001) == Fraction(1, 2)


@given(st.fractions(min_value=0, max_value=1), st.integers(1, 80), st.integers(1, 9))
def test_rounding_the_chance_down_weakens_the_bound(p, n, r):
    p = p**7  # long denominators
    short = sampling._rounded_down(p)
    assert p * (1 - Fraction(1, 2**60)) <= short <= p
    assert short.denominator.bit_length() <= 64 or short.denominator & (short.denominator - 1) == 0
    assert short.numerator.bit_length() <= 66
    assert binomial_tail(n, short, r) >= binomial_tail(n, p, r)


# -- the grid --------------------------------------------------------------------------------------


@given(st.data())
def test_a_hyperplane_cuts_few_cells_and_holds_few_points(data):
    """At most m^d - (m-1)^d <= d m^(d-1) open cells, and m^(d-1) of the points in their middles."""
    d = data.draw(st.integers(1, 3))
    m = data.draw(st.integers(2, 5))
    row = data.draw(st.lists(st.integers(-4, 4), min_size=d, max_size=d).filter(any))
    constant = data.draw(st.integers(-12, 12))
    cells = list(itertools.product(range(m), repeat=d))
    cut = on = 0
    for cell in cells:
        corners = [
            2 * sum(g * (k + e) for g, k, e in zip(row, cell, corner, strict=True)) + constant
            for corner in itertools.product((0, 1), repeat=d)
        ]
        cut += min(corners) < 0 < max(corners)
        on += sum(g * (2 * k + 1) for g, k in zip(row, cell, strict=True)) + constant == 0
    assert cut <= m**d - (m - 1) ** d <= d * m ** (d - 1)
    assert on <= m ** (d - 1)


def law_points(law):
    """The first coordinates of all cells, as the law draws them."""

    class One(random.Random):
        cell = 0

        def getrandbits(self, bits):
            assert bits == laws.GRID_BITS
            return self.cell

    source, points = One(), []
    for source.cell in range(2**laws.GRID_BITS):
        points.append(law.draw(source, 1)[0, 0])
    return points


@pytest.mark.parametrize("distribution", [(-1, 2), "normal"])
@pytest.mark.parametrize("widths", [(1, 4, 2), (2, 3, 2, 1)])
def test_no_region_has_fewer_points_than_said(widths, distribution, monkeypatch):
    """All points of a coarse grid, counted: a region holds mass - (F d + 1)/m of them, off any
    hyperplane, and less than mass + F d / m."""
    monkeypatch.setattr(laws, "GRID_BITS", 4)
    m, d = 16, widths[0]
    law = laws.as_law(distribution, d)
    grid = list(itertools.product(law_points(law), repeat=d))
    needed = 0
    for seed in range(4):
        net = ed.ReLUNetwork.random(widths, seed=seed, bits=5)
        for region in ed.activation_regions(net, law.domain):
            inside = [x for x in grid if region.contains(x)]
            mass, inner = law.mass(region), sum(not f.walls for f in region.facets)
            share = Fraction(len(inside), m**d)
            assert share >= mass - Fraction(inner * d, m)
            if distribution != "normal" or d == 1:
                assert share <= mass + Fraction(inner * d, m) + Fraction(1, 2**60)
            for axis in range(d):
                most = max(Counter(x[axis] for x in inside).values(), default=0)
                off = Fraction(len(inside) - most, m**d)
                assert off >= mass - laws.lost_to_the_grid(region)
                needed += off < mass
    assert needed


BENDS = [
    BEND,
    ed.ReLUNetwork([[[2]], [[3]]], [["-17/16"], [5]]),  # at 17/32, a point of the box's grid
    ed.ReLUNetwork([[[1], [-1]], [[1, 2]]], [["-1/3", "2/3"], [0]]),
    ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [["-1/2", "-1/2"], [0]]),
    ed.ReLUNetwork([[[1]], [[1], [2]]], [["-1/4"], [0, 1]]),
]


@pytest.mark.parametrize("distribution", [(0, 1), "normal"])
def test_the_bound_holds_for_the_points_that_are_drawn(distribution, monkeypatch):
    """All draws from a grid of 16 points: how many raise the rank, and how many miss r*."""
    monkeypatch.setattr(laws, "GRID_BITS", 4)
    law = laws.as_law(distribution, 1)
    points = law_points(law)
    assert len(set(points)) == 16
    telling = 0
    for net in BENDS:
        full = largest(net, law.domain)
        smooth = [i for i, x in enumerate(points) if not kinked(net, x)]
        J = ed.jacobian(net, [[points[i]] for i in smooth])
        rows = {
            i: range(net.widths[-1] * j, net.widths[-1] * (j + 1)) for j, i in enumerate(smooth)
        }
        ranks = {}

        def rank_of(chosen, J=J, rows=rows, ranks=ranks):
            key = frozenset(i for i in chosen if i in rows)
            if key not in ranks:
                ranks[key] = J[[row for i in key for row in rows[i]]].rank() if key else 0
            return ranks[key]

        for n in (0, 1, 2, 3, 4):
            found = sample_dimension(net, distribution, max(n, 1), seed=1)
            missed = Fraction(0)
            for chosen in itertools.combinations_with_replacement(range(16), n):
                here = rank_of(chosen)
                if here < full:
                    missed += Fraction(ways(chosen), 16**n)
                    raising = sum(rank_of([*chosen, i]) > here for i in range(16))
                    assert Fraction(raising, 16) >= found.chance
            assert n == 0 or missed <= found.failure_bound
            telling += found.failure_bound < 1
    assert telling >= 2


def ways(chosen):
    """In how many orders the same samples can be drawn."""
    total = math.factorial(len(chosen))
    for count in Counter(chosen).values():
        total //= math.factorial(count)
    return total


def kinked(net, x):
    return bool(ed.activation_pattern(net, [[x]], on_kink="zero").kinks)


# -- the sampled dimension -------------------------------------------------------------------------


@settings(max_examples=40)
@given(networks(max_depth=3, max_width=3), st.integers(1, 8), st.integers(0, 2**32))
def test_never_above_the_full_dimension(net, n, seed):
    for head in ("logits", "softmax"):
        full = largest(net, (-2, 2), head)
        if full is None:
            with pytest.raises(errors.OnKink, match="identically zero on an activation region"):
                sample_dimension(net, (-2, 2), n, head=head, seed=seed)
            continue
        found = sample_dimension(net, (-2, 2), n, head=head, seed=seed, proof="full")
        assert found.dimension.value <= found.full.value == full == found.upper
        assert found.reached == (found.dimension.value == full)
        assert all(-2 < x < 2 for row in found.points.tolist() for x in row)
        assert rank_at(net, found.points, head) == found.dimension.value
        assert 0 <= found.failure_bound <= 1
        assert found.smallest_mass >= found.chance


def test_a_tiny_bound_is_kept():
    """Wherever the bound is below 1e-9 the samples have the largest dimension."""
    sure = 0
    for seed in range(40):
        widths = [(1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 1), (1, 2, 2, 1)][seed % 5]
        net = ed.ReLUNetwork.random(widths, seed=seed, bits=6)
        found = sample_dimension(net, (-2, 2), 400, seed=seed, proof="full")
        assert found.dimension.value <= found.full.value
        if found.failure_bound <= Fraction(1, 10**9):
            assert found.dimension.value == found.full.value
            sure += 1
    assert sure >= 10


def test_a_sliver_is_missed_and_the_bound_says_so():
    """Exponential convergence, at a rate that may be astronomically slow."""
    mass = Fraction(1, 10**12)
    net = ed.ReLUNetwork([[[1]], [[1]]], [[mass - 1], [0]])
    found = sample_dimension(net, (0, 1), 600, seed=7)
    assert (found.dimension.value, found.full.value) == (1, 3)
    assert found.reached is False
    assert found.smallest_mass == mass
    assert found.failure_bound > 1 - Fraction(1, 10**15)
    none_or_one = (1 - mass) ** 600 + 600 * mass * (1 - mass) ** 599
    assert found.failure_probability == none_or_one + mass**600
    assert found.expected_samples > 10**12
    many = 2 * 10**13
    assert (1 - 1e-12) ** many < 1e-8  # it does converge


def test_masses_that_do_not_matter_are_left_out():
    """The bound is about the heaviest regions that reach r*: no heavier choice would do."""
    lighter = 0
    for seed in range(60):
        widths = [(1, 4, 1), (2, 3, 1), (1, 3, 3, 1)][seed % 3]
        net = ed.ReLUNetwork.random(widths, seed=seed, bits=6)
        found = sample_dimension(net, (-3, 3), 1, seed=seed, proof="full")
        each = widths[0] + 1
        X = decisive_set(found.regions)
        shares = [region.volume / 6 ** widths[0] for region in found.regions]

        def rank_of(chosen, X=X, net=net, each=each):
            rows = [i * each + j for i in chosen for j in range(each)]
            return rank_at(net, X[rows]) if rows else 0

        enough = [i for i, share in enumerate(shares) if share >= found.smallest_mass]
        heavier = [i for i, share in enumerate(shares) if share > found.smallest_mass]
        assert rank_of(enough) == found.full.value > rank_of(heavier)
        lighter += found.smallest_mass > min(shares)
    assert lighter >= 5


# -- the failure probability -----------------------------------------------------------------------


def failure_by_enumeration(net, domain, n, head="logits"):
    """Every way that n samples can fall into the regions, the rank at random positions."""
    regions = ed.activation_regions(net, domain)
    X = decisive_set(regions)
    full = rank_at(net, X, head)
    lengths = [region.volume for region in regions]
    rng = random.Random(1)
    spots = [
        [
            [
                X[2 * i, 0]
                + (X[2 * i + 1, 0] - X[2 * i, 0]) * Fraction(rng.randrange(1, 10**6), 10**6)
            ]
            for _ in range(n)
        ]
        for i in range(len(regions))
    ]
    failed = Fraction(0)
    for counts in itertools.product(range(n + 1), repeat=len(regions)):
        if sum(counts) != n:
            continue
        here = [spots[i][j] for i, count in enumerate(counts) for j in range(count)]
        if rank_at(net, here, head) < full:
            ways = Fraction(math.factorial(n))
            for count, length in zip(counts, lengths, strict=True):
                ways *= (length / sum(lengths)) ** count / math.factorial(count)
            failed += ways
    return failed


LINES = [(1, 2, 1), (1, 3, 1), (1, 2, 2), (1, 2, 3), (1, 3, 2, 1), (1, 2, 2, 2), (1, 2, 2, 3)]


@pytest.mark.parametrize("widths", LINES)
def test_exact_failure_against_all_ways_to_fall(widths):
    open_cases = 0
    for seed in range(3):
        net = ed.ReLUNetwork.random(widths, seed=seed, bits=4)
        for head in ("logits", "softmax"):
            for n in (2, 4, 7):
                found = sample_dimension(net, (-1, 2), n, seed=seed, head=head, proof="full")
                expected = failure_by_enumeration(net, (-1, 2), n, head)
                assert found.failure_probability == expected
                assert expected <= found.failure_bound + Fraction(n, 2**60)
                open_cases += 0 < expected < 1
    assert open_cases >= 2


@settings(max_examples=25)
@given(networks(max_depth=3, max_width=3, min_depth=2), st.integers(1, 4))
def test_exact_failure_of_degenerate_networks(net, n):
    net = ed.ReLUNetwork([net.weights[0][:, [0]], *net.weights[1:]], net.biases)
    if largest(net, (-2, 2)) is None:
        return
    found = sample_dimension(net, (-2, 2), n, seed=0, proof="full")
    assert found.failure_probability == failure_by_enumeration(net, (-2, 2), n)


@pytest.mark.parametrize("skipped", ["prime", "bound", "both"])
def test_every_way_to_decide_a_configuration_agrees(skipped, monkeypatch):
    """An unlucky prime, or a bound that says nothing, leaves the positions to be tried."""
    nets = [ed.ReLUNetwork.random(w, seed=2, bits=4) for w in [(1, 2, 1), (1, 2, 2), (1, 2, 2, 2)]]
    expected = [failure_by_enumeration(net, (-1, 2), 5) for net in nets]
    assert any(0 < p < 1 for p in expected)
    if skipped != "bound":
        monkeypatch.setattr(modular, "rank", lambda A, p: -1)
    if skipped != "prime":
        monkeypatch.setattr(line_module.LineFailure, "_at_most", lambda *a: 10**6)
    for net, p in zip(nets, expected, strict=True):
        regions = ed.activation_regions(net, (-1, 2))
        line = line_module.LineFailure(net, "logits", regions, largest(net, (-1, 2)))
        assert line.failure(5) == p


def test_the_frequency_of_failure():
    """As often as the exact probability says, within five standard deviations."""
    net = ed.ReLUNetwork([[[1], [1]], [[1, 2]]], [["-1/4", "-1/2"], [1]])
    n, trials = 12, 500
    p = sample_dimension(net, (0, 1), n, seed=0).failure_probability
    assert Fraction(1, 20) < p < Fraction(1, 2)
    regions = ed.activation_regions(net, (0, 1))
    missed = sum(
        sample_dimension(net, (0, 1), n, seed=seed, regions=regions).reached is False
        for seed in range(trials)
    )
    assert (missed - trials * p) ** 2 < 25 * trials * p * (1 - p)


def test_where_there_is_no_exact_probability():
    plane = ed.ReLUNetwork.random((2, 2, 1), seed=0)
    assert sample_dimension(plane, (0, 1), 3, seed=0).failure_probability is None
    assert sample_dimension(BEND, "normal", 3, seed=0).failure_probability is None
    assert sample_dimension(BEND, uniform, 3, seed=0).failure_probability is None
    few = sample_dimension(BEND, (0, 1), 3, seed=0, max_regions=1)
    assert few.regions is few.full is few.failure_probability is None
    steps = ed.ReLUNetwork([[[1]] * 13, [[1] * 13]], [[-k for k in range(1, 14)], [0]])
    many = sample_dimension(steps, (0, 20), 3, seed=0)
    assert len(many.regions) == 14
    with pytest.raises(
        errors.TooLarge, match="14 regions on a line is out of reach; the limit is 12"
    ):
        _ = many.failure_probability


def test_too_many_positions_are_refused(monkeypatch):
    monkeypatch.setattr(modular, "rank", lambda A, p: -1)
    monkeypatch.setattr(line_module.LineFailure, "_at_most", lambda *a: 10**6)
    monkeypatch.setattr(line_module, "MAX_POSITIONS", 1)
    found = sample_dimension(BEND, (0, 1), 3, seed=0)
    with pytest.raises(errors.TooLarge, match="needs 2 positions"):
        _ = found.failure_probability


# -- laws ------------------------------------------------------------------------------------------


def uniform(rng, n):
    return [[rng.random()] for _ in range(n)]


def test_a_law_given_as_a_function():
    found = sample_dimension(BEND, uniform, 40, seed=3)
    rng = random.Random(3)
    assert found.points == QMatrix([[rng.random()] for _ in range(40)])
    assert found.regions is found.full is found.chance is None
    assert found.failure_bound is found.expected_samples is None
    assert found.reached is True  # P - H is reached, so nothing is larger
    said = sample_dimension(BEND, uniform, 40, seed=3, smallest_mass="1/10")
    assert said.failure_bound == tail(40, Fraction(1, 10), 3)
    assert said.expected_samples == 30
    assert repr(said).endswith("if the masses are at least 1/10, as said)")


def test_a_function_and_regions():
    """The regions tell r*, so that fewer successes are asked for than P - H."""
    dead = ed.ReLUNetwork([[[2], [-1]], [[3, 1]]], [["-1/5", -5], [5]])
    regions = ed.activation_regions(dead, (0, 1))
    found = sample_dimension(dead, uniform, 9, seed=1, regions=regions, smallest_mass="1/10")
    blind = sample_dimension(dead, uniform, 9, seed=1, smallest_mass="1/10")
    assert (found.upper, blind.upper) == (3, 5)
    assert found.failure_bound == tail(9, Fraction(1, 10), 3) < blind.failure_bound
    assert found.smallest_mass == found.chance == Fraction(1, 10)


def test_every_spelling_of_a_box():
    box = ed.Domain.box([0], [1])
    written = ed.Domain.polytope([[3], [1], [-2], [-1]], [3, 7, 0, 1])
    assert laws._sides(written) == [(0, 1)]
    found = [sample_dimension(BEND, d, 5, seed=1) for d in ((0, 1), [(0, 1)], box, written)]
    assert len({f.points for f in found}) == len({f.failure_bound for f in found}) == 1


def test_a_segment_of_the_plane():
    """The uniform law on a flat; r* is over the batches in it."""
    net = ed.ReLUNetwork([[[1, 2]], [[3]]], [[-1], [5]])
    segment = ed.Domain.segment([0, 0], [1, 1])
    found = sample_dimension(net, segment, 60, seed=1)
    assert found.full.value == found.dimension.value == 3 < ed.full_dimension(net).value == 4
    assert all(x == y and 0 < x < 1 for x, y in found.points.tolist())
    third = Fraction(1, 3)
    assert found.failure_probability == third**60 + (1 - third) ** 60 + 60 * third**59 * (1 - third)


def test_samples_on_kinks_are_dropped(monkeypatch):
    """Two points an axis, 1/4 and 3/4, one of them on the kink; and a function that hits one."""
    monkeypatch.setattr(laws, "GRID_BITS", 1)
    net = ed.ReLUNetwork([[[4]], [[1]]], [[-1], [0]])
    found = sample_dimension(net, (0, 1), 20, seed=1)
    dropped = found.dimension.evidence.pattern.dropped
    assert {found.points[i, 0] for i in dropped} == {Fraction(1, 4)}
    assert found.dimension.value == 1 < found.full.value == 3
    assert (found.chance, found.failure_bound) == (0, 1)
    assert found.expected_samples is None
    touching = sample_dimension(net, lambda rng, n: [["1/4"], [1], [2]], 3, seed=1)
    assert touching.dimension.evidence.pattern.dropped == (0,)
    assert (touching.n, touching.dimension.value) == (3, 2)


def test_the_normal_law_on_a_line():
    cdf = NormalDist().cdf
    net = ed.ReLUNetwork([[[1], [1]], [[1, 2]]], [[0, -1], [1]])
    found = sample_dimension(net, "normal", 300, seed=1)
    law = laws.as_law("normal", 1)
    masses = [law.mass(region) for region in found.regions]
    assert sorted(map(float, masses)) == pytest.approx(sorted([0.5, cdf(1) - 0.5, 1 - cdf(1)]))
    assert 0 <= 1 - sum(masses) < Fraction(1, 2**100)
    assert found.smallest_mass == min(masses)
    assert found.chance == min(masses) - Fraction(2, 2**64)
    assert found.dimension.value == found.full.value == ed.full_dimension(net).value == 5
    assert found.failure_bound < Fraction(1, 10**12)
    assert 0 < sum(x > 0 for x in found.points.numerators()) < 300


def test_normal_quantiles():
    rng = random.Random(5)
    cells = sorted([0, 1, 2**63, 2**64 - 1, *(rng.getrandbits(64) for _ in range(60))])
    points = [laws._normal_quantile(cell) for cell in cells]
    assert points == sorted(set(points))
    for cell, x in zip(cells, points, strict=True):
        u = (2 * cell + 1) / 2**65
        if 1e-9 < u < 1 - 1e-9:
            assert float(x) == pytest.approx(NormalDist().inv_cdf(u), rel=1e-6, abs=1e-12)
    assert points[0] == -points[-1]
    assert -9.2 < points[0] < -9.1  # Phi(-9.15) = 2^-65 about


def test_a_box_in_every_region():
    """Inside the region, so that its normal mass is a lower bound; exact for quadrants."""
    quadrants = ed.activation_regions(ed.ReLUNetwork([[[1, 0], [0, -1]], [[1, 1]]], [[0, 0], [0]]))
    law = laws.as_law("normal", 2)
    assert all(0 <= Fraction(1, 4) - law.mass(r) < Fraction(1, 2**100) for r in quadrants)
    for seed in range(6):
        net = ed.ReLUNetwork.random((3, 4, 2, 1), seed=seed, bits=6)
        regions = ed.activation_regions(net)
        law = laws.as_law("normal", 3)
        assert 0 < sum(law.mass(r) for r in regions) < 1
        for region in regions:
            sides = laws._box_inside(region)
            far = [
                (-(10**9) if lo is None else lo, 10**9 if hi is None else hi) for lo, hi in sides
            ]
            assert all(lo < hi for lo, hi in far)
            for corner in itertools.product(*far):
                values = QMatrix([[*corner, 1]]) @ region.inequalities.T
                assert min(values.numerators()) >= 0


def test_no_hidden_layer_and_no_rows():
    affine = sample_dimension(ed.ReLUNetwork([[[2, 1]]], [[1]]), "normal", 5, seed=0)
    assert affine.dimension.value == affine.full.value == 3
    assert 1 - affine.smallest_mass < Fraction(1, 2**100)
    nothing = sample_dimension(BEND, (0, 1), 2, head="softmax", seed=0)
    assert (nothing.full.value, nothing.failure_bound, nothing.failure_probability) == (0, 0, 0)


# -- the interface ---------------------------------------------------------------------------------


def test_open_ends_weaken_what_is_said(monkeypatch):
    """With r* known only as a bracket its upper end counts, and so do all regions."""
    net = ed.ReLUNetwork.random((2, 3, 3, 1), seed=5, bits=6)
    closed = sample_dimension(net, (-2, 2), 60, seed=1, proof="full")
    shares = [region.volume / 16 for region in closed.regions]
    assert closed.smallest_mass > min(shares)

    def undecided(*args, **options):
        found = ed.local_dimension(*args, **options)
        return replace(found, upper=found.lower + 1, status="bracketed")

    monkeypatch.setattr(sampling, "local_dimension", undecided)
    found = sample_dimension(net, (-2, 2), 60, seed=1, regions=closed.regions)
    assert found.upper == closed.upper + 1
    assert found.smallest_mass == min(shares)
    assert found.failure_bound > closed.failure_bound
    assert "; full dimension in " in repr(found)
    low = replace(found.dimension, lower=found.full.lower - 1, upper=found.full.lower)
    assert replace(found, dimension=low).reached is None
    line = sample_dimension(BEND, (0, 1), 9, seed=1)
    with pytest.raises(errors.Undecided):
        _ = line.failure_probability


def test_replay_and_repr():
    first, again, other, free, free_again = (
        sample_dimension(BEND, (0, 1), 50, seed=seed) for seed in (1, 1, 2, None, None)
    )
    assert first.points == again.points != other.points
    assert free.points != free_again.points
    assert repr(first) == (
        "SampledDimension(3 of 4 parameters, proved: parameters, at 50 samples; full dimension 3, "
        "missed with probability at most 0.1118)"
    )
    blind = sample_dimension(BEND, (0, 1), 1, seed=1, max_regions=1)
    assert repr(blind) == (
        "SampledDimension(1 of 4 parameters, proved: full row rank, at 1 sample; full dimension at "
        "most 3)"
    )


@pytest.mark.parametrize("n", [1, 3, 40, 500, 3000])
def test_the_printed_bound_never_claims_more(n):
    """Also far below the least float."""
    net = ed.ReLUNetwork([[[1]], [[1]]], [["-1/2"], [0]])
    found = sample_dimension(
        net, lambda rng, n: [[k % 2] for k in range(n)], n, smallest_mass="1/2", seed=0
    )
    (printed,) = re.findall(r"at most (\S+) if", repr(found))
    assert found.failure_bound <= Fraction(Decimal(printed)) <= found.failure_bound * 1002 / 1000


def test_what_is_refused():
    def refused(match, *args, error=errors.InvalidInput, **options):
        with pytest.raises(error, match=match):
            sample_dimension(*args, **options)

    other = ed.activation_regions(BEND, (0, 2))
    plane = ed.ReLUNetwork.random((2, 2, 1), seed=0)
    refused("n=0 is no number of samples", BEND, (0, 1), 0)
    refused("no uniform law on", BEND, None, 3)
    refused("no uniform law on", BEND, ed.Domain.polytope([[1]], [0]), 3)
    refused("is no box", plane, ed.Domain.polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1]), 3)
    refused("has no interior", BEND, ed.Domain.polytope([[1], [-1]], [0, 0]), 3)
    refused("distribution='gaussian' is unknown", BEND, "gaussian", 3)
    refused("smallest_mass=0 is no", BEND, uniform, 3, smallest_mass=0)
    refused("smallest_mass=2 is no", BEND, uniform, 3, smallest_mass=2)
    refused("the regions are in", BEND, (0, 1), 3, regions=other)
    refused("those of another network", plane, (0, 1), 3, regions=other)
    refused("gave 4 samples instead of 3", BEND, lambda r, n: [[1]] * 4, 3,
            error=errors.ShapeMismatch)  # fmt: skip
    refused("sample 1 lies outside", BEND, lambda r, n: [[1], [3]], 2, regions=other)
    refused("all 2 samples lie on kinks", BEND, lambda r, n: [["1/10"]] * n, 2)
    flat = ed.activation_regions(plane, ed.Domain.segment([0, 0], [1, 1]))
    refused("are in a flat", plane, lambda r, n: [[0, 0]] * n, 2, regions=flat)
    zero = ed.ReLUNetwork([[[1], [0]], [[1, 1]]], [[0, 0], [0]])
    refused("unit 1 of layer 0 is identically", zero, (-1, 1), 2, error=errors.OnKink)


def test_limits_leave_the_largest_dimension_open():
    net = ed.ReLUNetwork.random((2, 6, 6, 1), seed=0)
    found = sample_dimension(net, (-1, 1), 30, seed=0, max_regions=3, smallest_mass=Fraction(1, 3))
    assert found.full is None
    assert found.upper == net.n_parameters - net.n_hidden
    assert found.failure_bound == tail(30, Fraction(1, 3), found.upper)
    known = ed.activation_regions(net, (-1, 1))
    again = sample_dimension(net, (-1, 1), 30, seed=0, regions=known)
    assert again.points == found.points
    assert again.upper == largest(net, (-1, 1)) < found.upper


@pytest.mark.parametrize("failure", ["1/2", "1/100", Fraction(1, 10**9)])
def test_how_many_samples_the_bound_asks_for(failure):
    found = sample_dimension(BEND, (0, 1), 3, seed=1)
    n = found.samples_for(failure)
    tail = [binomial_tail(m, found.chance, found.upper) for m in (n - 1, n)]
    assert tail[1] <= Fraction(failure) < tail[0]


def test_how_many_samples_takes_a_probability_and_a_known_law():
    found = sample_dimension(BEND, (0, 1), 3, seed=1)
    for failure in (0, 2):
        with pytest.raises(errors.InvalidInput, match="no probability"):
            found.samples_for(failure)
    unknown = sample_dimension(BEND, lambda rng, n: [[rng.random()] for _ in range(n)], 3, seed=1)
    with pytest.raises(errors.InvalidInput, match="give a box"):
        unknown.samples_for("1/2")


def test_long_probabilities_are_rounded_up():
    for n in (3, 200, 2000):
        exact = sampling._tail(n, Fraction(12345, 2**20 + 7), 3)
        rounded = sampling._rounded_up(*exact)
        assert Fraction(*exact) <= rounded <= Fraction(*exact) * (1 + Fraction(1, 2**62))
    assert sampling._rounded_up(0, 1) == 0
    assert "1.048e-1366" in repr(sample_dimension(BEND, (0, 1), 30_000, seed=1))


@pytest.mark.parametrize("n", [1.5, True, "3", 0])
def test_the_number_of_samples_is_a_positive_integer(n):
    with pytest.raises(errors.InvalidInput, match="number of samples"):
        sample_dimension(BEND, (0, 1), n)
