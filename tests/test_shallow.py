"""Closed formulas for one hidden layer (T15-T17) against the rank of the formal Jacobian."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from histograms import HISTOGRAMS
from hypothesis import given
from hypothesis import strategies as st
from networks import entries

import exactdim as ed
from exactdim import QMatrix
from exactdim.dimension.shallow import ShallowRanks
from exactdim.regions.dichotomies import dichotomies


def features_of(X, bias):
    return QMatrix([[*x, 1] if bias else list(x) for x in X])


def largest_rank(widths, X, mask, bias, draws=3):
    """The rank at random parameters: below the generic rank with probability about 1e-5."""
    formal = ed.symbolic(widths, X, mask, bias=bias)
    source = random.Random(1)
    size = len(formal.parameters)
    return max(
        formal.rank_at([source.randint(-(10**6), 10**6) for _ in range(size)]) for _ in range(draws)
    )


@given(st.data())
def test_formula_and_formal_jacobian(data):
    d, m = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 4))
    n_outputs = data.draw(st.sampled_from([1, 2, 3]))
    bias = [data.draw(st.sampled_from([True, True, False])) for _ in range(2)]
    X = data.draw(st.lists(st.lists(entries, min_size=d, max_size=d), min_size=1, max_size=5))
    column = st.lists(st.integers(0, 1), min_size=len(X), max_size=len(X))
    few = data.draw(st.lists(column, min_size=1, max_size=2))  # so that units are aligned
    columns = data.draw(st.lists(st.one_of(st.sampled_from(few), column), min_size=m, max_size=m))
    words = ["".join(map(str, c)) for c in columns]
    found = ShallowRanks(features_of(X, bias[0]), n_outputs, bias[1]).of(words)
    rank = largest_rank((d, m, n_outputs), X, np.array(columns).T, bias)
    assert rank <= found.value
    if n_outputs == 1:
        assert found.attained
    if found.attained:
        assert rank == found.value


def test_aligned_units_share_a_symmetry():
    """T16: (3,2,3) with all samples on has rank 11, not P - H = 15."""
    X = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    found = ShallowRanks(features_of(X, True), 3, True).of(["11111", "11111"])
    assert (found.value, found.attained) == (11, True)
    net = ed.ReLUNetwork([[[1, 2, 0], [0, 1, 1]], [[1, 0], [0, 1], [1, 1]]], [[10, 10], [0, 0, 0]])
    assert ed.local_dimension(net, X).value == 11


@pytest.mark.parametrize("aligned", [1, 2, 3])
def test_aligned_units_lose_the_square_of_their_number(aligned):
    """m aligned units in general position contribute m (u + N - m)."""
    X = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    found = ShallowRanks(features_of(X, True), 3, False).of(["11111"] * aligned)
    assert found.value == aligned * (4 + 3 - aligned)


@pytest.mark.parametrize(("X", "units", "histogram"), HISTOGRAMS)
def test_golden_histograms_by_going_through_all_regions(X, units, histogram):
    """T17: bias-free, every tuple of dichotomies."""
    words = dichotomies(features_of(X, False)).words
    ranks = ShallowRanks(features_of(X, False), 1, False)
    found = Counter(ranks.of(region).value for region in itertools.product(words, repeat=units))
    assert found == histogram


def rk(rows):
    return QMatrix(rows).rank() if rows else 0


def matroid_union(N0, rows, multiplicities, hidden_bias, output_bias):
    """T17's formula for generic inputs."""
    best = None
    for chosen in itertools.product((False, True), repeat=len(rows)):
        A = [row for row, used in zip(rows, chosen, strict=True) if used]
        A1 = [[*row, 1] for row in A]
        g = N0 * rk(A)
        if hidden_bias:
            g += rk(A1) if output_bias else rk(A)
        else:
            g += bool(A) if output_bias else 0
        rest = sum(n for n, used in zip(multiplicities, chosen, strict=True) if not used)
        best = g + rest if best is None else min(best, g + rest)
    return best


def test_matroid_union_golden():
    quadrants = [[1, 1], [1, 0], [0, 1], [0, 0]]
    assert matroid_union(2, quadrants, [5, 1, 1, 2], True, True) == 6


@given(st.data())
def test_matroid_union_for_generic_inputs(data):
    """T17: with algebraically generic samples the rank depends on the pattern alone."""
    N0, units = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    row = st.lists(st.integers(0, 1), min_size=units, max_size=units)
    rows = data.draw(st.lists(row, min_size=1, max_size=4, unique_by=tuple))
    counts = [data.draw(st.integers(1, 4)) for _ in rows]
    hidden_bias, output_bias = data.draw(st.booleans()), data.draw(st.booleans())
    mask = [row for row, n in zip(rows, counts, strict=True) for _ in range(n)]
    source = random.Random(7)
    X = [[source.randint(-(10**9), 10**9) for _ in range(N0)] for _ in mask]
    words = ["".join(map(str, column)) for column in np.array(mask).T.tolist()]
    found = ShallowRanks(features_of(X, hidden_bias), 1, output_bias).of(words)
    assert found.value == matroid_union(N0, rows, counts, hidden_bias, output_bias)


def test_more_perceived_regions_may_mean_a_smaller_rank():
    """T17: two crossing lines and a dead unit against three units that are on one at a time."""
    source = random.Random(3)

    def rank(rows):
        mask = [row for row in rows for _ in range(3)]
        X = [[source.randint(-(10**6), 10**6) for _ in range(2)] for _ in mask]
        words = ["".join(map(str, column)) for column in np.array(mask).T.tolist()]
        return ShallowRanks(features_of(X, True), 1, True).of(words).value

    assert rank([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]) == 7
    assert rank([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) == 9
