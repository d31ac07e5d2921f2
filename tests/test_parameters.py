"""All activation patterns that parameters can give a batch."""

import functools
import itertools
import random
from collections import Counter
from fractions import Fraction
from math import comb

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import entries

from exactdim import errors
from exactdim.arith.matrix import QMatrix
from exactdim.regions import parameters, realisability
from exactdim.regions.dichotomies import dichotomies
from exactdim.regions.parameters import ParameterRegions, sampled_patterns
from exactdim.regions.realisability import realise_parameters

LINE = [[-1], [0], [2]]
PLANE = [[0, 0], [1, 0], [0, 1], [2, 3]]
POSSIBLE_ON_LINE = ["000", "001", "011", "100", "110", "111"]


def cover(n, k):
    """Cover's number for n vectors in general position in dimension k."""
    return 2 * sum(comb(n - 1, j) for j in range(k))


def columns(words):
    table = [[letter == "1" for letter in word] for word in words]
    return np.array(table, bool).T


def flat(words):
    return tuple(word for layer in words for word in layer)


def orbit_of(mask, hidden):
    """The words of a mask of shape (n, H), in order in each layer."""
    words = ["".join("01"[bit] for bit in column) for column in np.asarray(mask).T.astype(int)]
    cuts = itertools.pairwise([0, *itertools.accumulate(hidden)])
    return tuple(tuple(sorted(words[start:stop])) for start, stop in cuts)


def check_witness(region):
    layers = oracles.layers_of(region.witness)
    X = region.space.batch.tolist()
    assert not any(oracles.kinked(layers, x) for x in X)
    rows = [[z > 0 for layer in oracles.forward(layers, x)[1] for z in layer] for x in X]
    mask = np.array(rows, bool)
    words = ["".join("01"[bit] for bit in column) for column in mask.T.tolist()]
    assert words == list(flat(region.words))
    assert np.array_equal(mask, region.pattern.mask)


def complete(widths, X, **options):
    """The orbits, after checks of every one."""
    regions = list(ParameterRegions(widths, X, **options))
    hidden = widths[1:-1]
    for region in regions:
        assert region.verdict == "realised"
        assert region.words == orbit_of(columns(flat(region.words)), hidden)
        check_witness(region)
    orbits = [region.words for region in regions]
    assert orbits == sorted(set(orbits))
    return set(orbits)


def candidates(hidden, first, n):
    """All multisets of words, those of the first layer from a list."""
    words = list(map("".join, itertools.product("01", repeat=n)))
    choices = [
        itertools.combinations_with_replacement(first if not layer else words, width)
        for layer, width in enumerate(hidden)
    ]
    return itertools.product(*choices)


# -- (1, 2, 2, 1) at three samples, by hand ---------------------------------------------------


def words_above(a, b):
    """How many words the second layer has above two first-layer words, by hand, for X = LINE.

    The rows (h_1, h_2, 1) are independent at some parameters, and then all 8 words are possible,
    unless both units are affine on the samples where they are not zero, and that in the same way.
    """
    if {a, b} == {"000"}:
        return 2  # h = 0
    if a == b == "111":
        return 6  # h is affine in x
    if "000" in {a, b}:
        one = max(a, b)
        return 4 if one.count("1") == 1 else 6  # one nonzero sample, or three values in order
    if a == b and a.count("1") == 1:
        return 4
    return 8


@functools.cache
def on_line():
    return complete((1, 2, 2, 1), LINE)


def test_by_hand():
    orbits = on_line()
    numbers = Counter(first for first, _ in orbits)
    pairs = list(itertools.combinations_with_replacement(POSSIBLE_ON_LINE, 2))
    assert len(pairs) == 21
    assert numbers == {pair: comb(words_above(*pair) + 1, 2) for pair in pairs}
    assert sum(numbers.values()) == 559
    patterns = sum(words_above(a, b) ** 2 for a in POSSIBLE_ON_LINE for b in POSSIBLE_ON_LINE)
    count = ParameterRegions((1, 2, 2, 1), LINE).count()
    assert (count.patterns, count.orbits) == (patterns, 559) == (1760, 559)
    assert int(count) == 1760
    assert count.solver_answers == 0


def test_every_candidate_is_in_the_list_or_impossible():
    orbits = on_line()
    answers = Counter()
    for words in candidates((2, 2), POSSIBLE_ON_LINE, 3):
        found = realise_parameters((1, 2, 2, 1), LINE, columns(flat(words)))
        alone = realise_parameters((1, 2, 2, 1), LINE, columns(flat(words)), method="smt")
        assert bool(found) == bool(alone) == (words in orbits)
        assert (found.method, alone.method) == ("linear program", "smt")
        answers[found.verdict] += 1
    assert answers == {"realised": 559, "impossible": 756 - 559}


def test_a_million_samples_are_in_the_list():
    orbits = on_line()
    seen = sampled_patterns((1, 2, 2, 1), LINE, 1_000_000, seed=1)
    found = {orbit_of(mask, (2, 2)) for mask in seen}
    assert found <= orbits
    assert len(found) > 0.95 * len(orbits)


# -- other batches and architectures ----------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "X", "bias", "patterns"),
    [
        ((1, 2, 2, 1), [[0], [1], ["5/2"]], True, 1760),
        ((1, 2, 2, 1), [[-1], [-1], [2]], True, None),  # a sample twice: as two samples
        ((1, 2, 2, 1), [[0], [0], [0]], True, 4 * 4),
        ((1, 2, 2, 1), LINE, (False, True, True), None),
        ((1, 2, 2, 1), LINE, (True, False, True), None),
        ((1, 3, 2, 1), [[-1], [2]], True, None),
        ((2, 2, 2, 1), [[0, 0], [1, 1], [2, 2]], True, 1760),  # collinear: as on a line
        ((2, 2, 2, 1), [[0, 0], [1, 0], [1, 0]], False, None),
        ((2, 1, 2, 1), [[0, 0], [1, 0], [0, 1]], True, None),
        ((1, 1, 1, 1, 1), LINE, True, None),
        ((1, 1, 2, 1, 1), [[-1], [2]], (True, False, True, False), None),
    ],
)
def test_the_solver_alone_finds_the_same(widths, X, bias, patterns, large):
    orbits = complete(widths, X, bias=bias)
    count = ParameterRegions(widths, X, bias=bias).count()
    assert count.orbits == len(orbits)
    assert patterns in {None, count.patterns}
    words = list(map("".join, itertools.product("01", repeat=len(X))))
    everything = list(candidates(widths[1:-1], words, len(X)))
    if not large:
        everything = random.Random(0).sample(everything, min(80, len(everything)))
    for words in everything:
        found = realise_parameters(widths, X, columns(flat(words)), bias=bias, method="smt")
        assert bool(found) == (words in orbits)
    seen = sampled_patterns(widths, X, 20_000, seed=2, bias=bias)
    assert {orbit_of(mask, widths[1:-1]) for mask in seen} <= orbits


@pytest.mark.parametrize(
    ("widths", "X", "patterns", "orbits", "by_solver"),
    [
        ((1, 2, 2, 1), [[-1], [0], [2], [3]], 7508, 2185, 0),
        ((1, 3, 2, 1), LINE, 12728, 1752, 0),
        ((2, 2, 2, 1), PLANE[:3], 3556, 1095, 0),
        ((2, 2, 2, 1), PLANE, 35664, 9979, 6),
        ((1, 2, 2, 2, 1), [[-1], [0]], 3676, 846, 0),
    ],
)
def test_counts_found_once(widths, X, patterns, orbits, by_solver):
    count = ParameterRegions(widths, X, question_seconds=None).count()
    assert (count.patterns, count.orbits) == (patterns, orbits)
    assert count.solver_answers == by_solver
    assert not count.open_orbits
    assert patterns <= ParameterRegions(widths, X).bound()
    seen = sampled_patterns(widths, X, 50_000, seed=3)
    assert patterns / 10 < len(seen) <= patterns


def test_larger_counts(large):
    cube = sum(words_above(a, b) ** 3 for a in POSSIBLE_ON_LINE for b in POSSIBLE_ON_LINE)
    pairs = itertools.combinations_with_replacement(POSSIBLE_ON_LINE, 2)
    cases = [((1, 2, 3, 1), LINE, cube, sum(comb(words_above(*p) + 2, 3) for p in pairs))]
    if large:
        cases += [
            ((1, 3, 2, 1), [[-1], [0], [2], [3]], 97620, 11235),
            ((1, 2, 2, 2, 1), LINE, 92032, 15757),
            ((2, 3, 2, 1), PLANE, 641096, 67220),
            ((2, 2, 2, 1), [*PLANE, [-1, 2]], 198316, 52980),
            ((1, 2, 2, 2, 1), [[-1], [0], [2], [3]], 1207324, 179162),
        ]
    for widths, X, patterns, orbits in cases:
        regions = list(ParameterRegions(widths, X))
        assert {region.verdict for region in regions} == {"realised"}
        total = sum(region.multiplicity for region in regions)
        assert (total, len(regions)) == (patterns, orbits)
        for region in random.Random(0).sample(regions, 500):
            check_witness(region)
        known = {region.words for region in regions}
        seen = sampled_patterns(widths, X, 50_000, seed=4)
        assert {orbit_of(mask, widths[1:-1]) for mask in seen} <= known


@pytest.mark.parametrize("bias", [True, (True, False, True, True), (False, True, False, True)])
def test_what_is_ruled_out_by_linear_parts_the_solver_finds_impossible(bias, monkeypatch):
    widths, X = (1, 1, 2, 1, 1), [[-1], [1], [2]]
    regions = ParameterRegions(widths, X, bias=bias)
    orbits = {region.words: region.verdict for region in regions}
    monkeypatch.setattr(realisability.Beginning, "_ruled_out", lambda self, words: False)
    alone = ParameterRegions(widths, X, bias=bias)
    assert {region.words: region.verdict for region in alone} == orbits
    by_solver = [answers.solver_answers.get("impossible", 0) for answers in (regions, alone)]
    assert by_solver[0] < by_solver[1]


@pytest.mark.parametrize("n", range(1, 7))
def test_one_unit_per_layer_on_a_line(n):
    # Above a unit that is on at k samples of n > k, and above its mirror image, h has k + 1
    # different values in order. A line with n points, k = n, has n, and k = 0 has one.
    expected = 2 * sum(2 * (k + 1) for k in range(1, n)) + 2 * n + 2
    X = [[i * i] for i in range(n)]
    assert ParameterRegions((1, 1, 1, 1), X).count().patterns == expected


def test_without_biases_what_is_identically_zero_counts_as_off():
    # T2: no parameters have strict signs in both layers and w_1 > 0 at x = -1.
    orbits = complete((1, 1, 1, 1), [[-1]], bias=False)
    assert orbits == {(("0",), ("0",)), (("1",), ("0",)), (("1",), ("1",))}
    seen = sampled_patterns((1, 1, 1, 1), [[-1]], 1000, seed=0, bias=False)
    assert {orbit_of(mask, (1, 1)) for mask in seen} == orbits


def test_no_hidden_layer_has_one_region():
    (region,) = ParameterRegions((2, 3), PLANE)
    assert region.words == ()
    assert region.multiplicity == 1
    check_witness(region)
    assert int(ParameterRegions((2, 3), PLANE).count()) == 1
    assert sampled_patterns((2, 3), PLANE, 10, seed=0).shape == (1, 4, 0)
    assert ParameterRegions((2, 3), PLANE).bound() == 1


@given(st.data())
def test_random_batches(data):
    """Lists are complete for samples of parameters, and closed under what must leave them."""
    widths = data.draw(st.sampled_from([(1, 2, 1), (2, 1, 1), (1, 1, 2, 1), (2, 2, 1, 1)]))
    bias = data.draw(st.lists(st.booleans(), min_size=len(widths) - 1, max_size=len(widths) - 1))
    point = st.lists(entries, min_size=widths[0], max_size=widths[0])
    X = data.draw(st.lists(point, min_size=1, max_size=2))
    X.append([2 * v for v in data.draw(st.sampled_from(X))])
    orbits = complete(widths, X, bias=bias)
    seen = sampled_patterns(widths, X, 300, seed=data.draw(st.integers(0, 99)), bias=bias)
    assert {orbit_of(mask, widths[1:-1]) for mask in seen} <= orbits
    assert len(seen) <= ParameterRegions(widths, X, bias=bias).count().patterns
    # Samples in another order.
    order = data.draw(st.permutations(range(len(X))))
    moved = {orbit_of(columns(flat(words))[list(order)], widths[1:-1]) for words in orbits}
    again = ParameterRegions(widths, [X[i] for i in order], bias=bias)
    assert moved == {region.words for region in again}


# -- shallow networks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "bias", "number"),
    [
        (LINE, True, cover(3, 2)),
        ([[i] for i in range(9)], True, cover(9, 2)),
        (PLANE, True, cover(4, 3)),
        ([[0, 0], [1, 1], [2, 2]], True, 6),  # collinear, not 8
        ([[1, 0], [0, 1], [1, 1]], False, cover(3, 2)),
        ([[1], [1], [0]], False, 2),
    ],
)
def test_covers_number_to_the_power_of_the_width(X, bias, number):
    for units in (1, 2, 3):
        widths = (len(X[0]), units, 2)
        orbits = complete(widths, X, bias=bias)
        count = ParameterRegions(widths, X, bias=bias).count()
        assert len(orbits) == count.orbits == comb(number + units - 1, units)
        regions = ParameterRegions(widths, X, bias=bias)
        assert sum(region.multiplicity for region in regions) == count.patterns == number**units
        assert ParameterRegions(widths, X, bias=bias).bound() == number**units
    seen = sampled_patterns((len(X[0]), 1, 1), X, 20_000, seed=0, bias=bias)
    assert len(seen) == number


def test_orbits_are_disjoint_and_cover_everything():
    widths = (1, 2, 2, 1)
    masks = Counter()
    for region in ParameterRegions(widths, LINE):
        first, second = region.words
        whole = {
            (*a, *b) for a in itertools.permutations(first) for b in itertools.permutations(second)
        }
        assert len(whole) == region.multiplicity
        masks.update(whole)
    assert set(masks.values()) == {1}
    assert len(masks) == 1760


def test_the_list_is_lazy_and_always_the_same():
    wide = ParameterRegions((2, 30, 1), PLANE)
    first = list(itertools.islice(wide, 40))
    again = list(itertools.islice(wide, 40))
    assert [region.words for region in first] == [region.words for region in again]
    assert [region.witness for region in first] == [region.witness for region in again]
    check_witness(first[-1])
    deep = [list(ParameterRegions((2, 2, 2, 1), PLANE[:3])) for _ in range(2)]
    assert [r.words for r in deep[0]] == [r.words for r in deep[1]]
    assert [r.witness for r in deep[0]] == [r.witness for r in deep[1]]


def test_a_hundred_thousand_regions():
    X = [[i * i] for i in range(10)]
    regions = ParameterRegions((1, 5, 1), X)
    number = 0
    for number, region in enumerate(regions, start=1):  # noqa: B007
        pass
    assert number == comb(20 + 4, 5) == 42504
    check_witness(region)


def test_progress_goes_through_the_first_layer():
    calls = []
    regions = ParameterRegions(
        (1, 2, 1, 1), LINE, progress=lambda *arguments: calls.append(arguments)
    )
    assert len(list(regions)) > len(calls) == 21
    assert [done for done, _, _ in calls] == list(range(21))
    assert {total for _, total, _ in calls} == {21}
    assert calls[0][2] == "000 000"
    assert "1-2-1-1 at 3 samples" in repr(regions)


# -- open questions ---------------------------------------------------------------------------


def test_open_patterns_are_listed_not_dropped():
    everything = {r.words for r in ParameterRegions((2, 2, 2, 1), PLANE)}
    regions = ParameterRegions((2, 2, 2, 1), PLANE, solver_seconds=1e-6)
    verdicts = {region.words: region.verdict for region in regions}
    still_open = {words for words, verdict in verdicts.items() if verdict == "unknown"}
    realised = verdicts.keys() - still_open
    assert realised <= everything <= verdicts.keys()
    assert realised != everything
    assert (("0011", "0101"), ("0001", "0110")) in still_open
    assert regions.solver_answers.keys() == {"unknown"}


def test_what_is_open_below_stays_open_above_with_every_word(monkeypatch):
    # Words that exclude each other by linear programs, here left to a solver without time.
    monkeypatch.setattr(realisability, "_are_linear", lambda lower, words: len(words) == 1)
    monkeypatch.setattr(realisability.Beginning, "_ruled_out", lambda self, words: False)
    regions = ParameterRegions((2, 1, 2, 1, 1), PLANE[:3], solver_seconds=1e-6)
    above = {}
    for region in regions:
        if region.verdict == "unknown":
            above.setdefault(region.words[:2], []).append(region.words[2][0])
    excluded = [
        ((first,), tuple(sorted(pair)))
        for first, middle, last in (
            ("011", "010", "001"),
            ("101", "100", "001"),
            ("110", "100", "010"),
        )
        for pair in itertools.product((middle, opposite(middle)), (last, opposite(last)))
    ]
    words = list(map("".join, itertools.product("01", repeat=3)))
    assert [above[words] for words in excluded] == [words] * 12
    # Above 000, a word of weight 1, one of weight 2 and 111; of weight 2, but for those excluded.
    exact = 2**2 + 3 * 4**2 + 3 * (8**2 - 8) + 8**2
    count = ParameterRegions((2, 1, 2, 1), PLANE[:3], solver_seconds=1e-6).count()
    assert (count.patterns, count.open_orbits, count.open_patterns) == (exact, 12, 24)
    with pytest.raises(errors.Undecided, match="12 orbits are open") as caught:
        int(count)
    assert (caught.value.lower, caught.value.upper) == (exact, exact + 24)
    # One open word is listed as well.
    deep = ParameterRegions((1, 1, 1, 1, 1), LINE, solver_seconds=1e-6)
    verdicts = {region.words: region.verdict for region in deep}
    assert verdicts[("011",), ("011",), ("010",)] == "unknown"


def opposite(word):
    return word.translate(str.maketrans("01", "10"))


# -- sampling and bounds ----------------------------------------------------------------------


def test_samples_do_not_overflow():
    # The same draws, and the same signs, where 64 bits are enough and where they are not.
    for factor in (1, 10**15, 10**25):
        X = [[factor], [-factor], [0]]
        seen = sampled_patterns((1, 3, 2, 1), X, 2000, seed=5, bias=False)
        if factor == 1:
            expected = seen
        assert np.array_equal(seen, expected)
    X = [[Fraction(1, 3)], [Fraction(1, 3) + Fraction(1, 10**30)], [2]]
    seen = sampled_patterns((1, 1, 1, 1), X, 2000, seed=5)
    orbits = complete((1, 1, 1, 1), X)
    assert {orbit_of(mask, (1, 1)) for mask in seen} <= orbits
    assert parameters._integer_type(parameters.ParameterSpace.read((1, 1, 1, 1), X)) is np.object_


def test_samples_on_a_boundary_are_left_out():
    # Weights (0, w) are zero at both of the opposite samples, one of which is on all around.
    seen = sampled_patterns((2, 1, 1), [[1, 0], [-1, 0], [0, 1]], 50_000, seed=0, bias=False)
    assert {tuple(mask[:, 0]) for mask in seen} == {
        (first, not first, last) for first in (False, True) for last in (False, True)
    }


def test_samples_are_sorted_and_replayed():
    seen = sampled_patterns((1, 2, 2, 1), LINE, 3000, seed=7)
    rows = [tuple(mask.ravel()) for mask in seen]
    assert rows == sorted(set(rows))
    assert np.array_equal(seen, sampled_patterns((1, 2, 2, 1), LINE, 3000, seed=7))
    assert not np.array_equal(seen, sampled_patterns((1, 2, 2, 1), LINE, 3000, seed=8))
    assert seen.shape[1:] == (3, 4)
    assert sampled_patterns((1, 2, 2, 1), LINE, 0).shape == (0, 3, 4)
    with pytest.raises(errors.InvalidInput, match="n_points=-1"):
        sampled_patterns((1, 2, 2, 1), LINE, -1)


@pytest.mark.parametrize("n", [3, 20, 60, 200])
def test_the_bound_for_many_samples_is_a_polynomial(n):
    # See test_one_unit_per_layer_on_a_line.
    count = 2 * sum(2 * (k + 1) for k in range(1, n)) + 2 * n + 2
    bound = ParameterRegions((1, 1, 1, 1), [[i] for i in range(n)]).bound()
    assert count <= bound <= 2 * n * min(2**n, (6 * n) ** 4)


def test_covers_number_bounds_no_union_over_parameters_below():
    # One choice of h in the plane has 14 words at four samples; all choices together have 16.
    first = ("0011", "0101")
    words = set()
    for region in ParameterRegions((2, 2, 1, 1), PLANE):
        if region.words[0] == first:
            features = dichotomies(QMatrix([[*row, 1] for row in _hidden(region.witness, PLANE)]))
            assert len(features) <= cover(4, 3) == 14
            words.add(region.words[1])
    assert len(words) == 16


def _hidden(net, X):
    layers = oracles.layers_of(net)
    return [[max(z, Fraction(0)) for z in oracles.forward(layers, x)[1][0]] for x in X]


def test_bad_input_is_refused():
    with pytest.raises(errors.ShapeMismatch):
        ParameterRegions((2, 2, 1), LINE)
    with pytest.raises(errors.InvalidInput, match="flags"):
        ParameterRegions((1, 2, 1), LINE, bias=[True])
    for widths in (3, "1,2,1", (1.5, 2, 1)):
        with pytest.raises(errors.InvalidInput, match="widths"):
            ParameterRegions(widths, LINE)
    with pytest.raises(errors.InvalidInput, match="bias"):
        ParameterRegions((1, 2, 1), LINE, bias="no")
    with pytest.raises(errors.InvalidInput, match="question_seconds=0"):
        ParameterRegions((1, 2, 1), LINE, question_seconds=0)
