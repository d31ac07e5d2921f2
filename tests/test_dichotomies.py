"""Dichotomies of a batch (T39, T40): counts, witnesses, neighbours, degenerate batches."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import entries

from exactdim import QMatrix, errors
from exactdim.arith.lp import interior_point
from exactdim.regions import dichotomies as module
from exactdim.regions.dichotomies import dichotomies


def cover(n, k):
    """Strict dichotomies of n points in general position by k weights (T39)."""
    return 2 * sum(math.comb(n - 1, i) for i in range(k))


def moment_curve(n, k, *, bias):
    """Points in general position, exactly."""
    exponents = range(k - 1, -1, -1) if bias else range(k, 0, -1)
    return QMatrix([[t**e for e in exponents] for t in range(1, n + 1)])


def by_linear_programs(features):
    """Every word, decided one by one."""
    n, k = features.shape
    found = set()
    for word in itertools.product((0, 1), repeat=n):
        rows = []
        for i, on in enumerate(word):
            if features[[i]].is_zero():
                if on:
                    break
            else:
                rows.append(features[[i]] if on else -features[[i]])
        else:
            system = QMatrix.vstack([QMatrix.zeros(0, k), *rows])
            answer = interior_point(system, QMatrix.zeros(len(rows), 1))
            if answer.point is not None:
                found.add("".join(map(str, word)))
    return found


def check(features):
    """What must hold whatever the batch is."""
    found = dichotomies(features)
    assert list(found.words) == sorted(set(found.words))
    values = features @ found.units.T
    for i in range(features.shape[0]):
        for j, word in enumerate(found.words):
            assert (values[i, j] > 0) == (word[i] == "1")
            assert values[i, j] != 0 or features[[i]].is_zero()
    return found


@pytest.mark.parametrize(("n", "d", "count"), [(3, 1, 6), (4, 2, 14), (5, 2, 22), (6, 3, 52)])
def test_golden_counts(n, d, count):
    assert len(check(moment_curve(n, d + 1, bias=True))) == count == cover(n, d + 1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_covers_count(n, k, bias):
    assert len(check(moment_curve(n, k, bias=bias))) == cover(n, k)


def test_collinear_points_have_fewer():
    triple = [[0, 0, 1], [1, 1, 1], [2, 2, 1]]
    assert len(check(QMatrix(triple))) == 6
    assert len(check(QMatrix([*triple, [0, 1, 1]]))) == 12 < cover(4, 3)


def test_repeated_opposite_and_zero_samples():
    assert check(QMatrix([[0, 0], [1, 0], [1, 0], [2, 0]])).words == ("0000", "0111")
    assert check(QMatrix([[1], [-2]])).words == ("01", "10")
    assert check(QMatrix([[0, 0]])).words == ("0",)
    assert check(QMatrix([[0, 0, 0], [0, 0, 0]])).words == ("00",)
    assert check(QMatrix.zeros(2, 0)).words == ("00",)
    assert check(QMatrix.zeros(0, 2)).words == ("",)


@given(st.data())
def test_agrees_with_linear_programs(data):
    n, k = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    row = st.lists(entries, min_size=k, max_size=k)
    rows = data.draw(st.lists(row, min_size=n, max_size=n))
    for i in range(n):
        if data.draw(st.sampled_from([False, False, True])):
            factor = data.draw(st.sampled_from([0, 1, -1, 2, Fraction(-1, 2)]))
            rows[i] = [factor * x for x in rows[0]]
    features = QMatrix(rows)
    found = check(features)
    assert set(found.words) == by_linear_programs(features)
    # neighbours: the two share a facet, where exactly one hyperplane is met
    for number, beside in enumerate(found.neighbours):
        for c, other in beside:
            differing = np.flatnonzero(found.masks[number] != found.masks[other])
            assert tuple(differing) == found.classes[c]
            assert (c, number) in found.neighbours[other]
            assert features[list(found.classes[c])].rank() == 1


def test_neighbours_of_lines_through_the_origin():
    """In the plane, 2m sectors in a ring."""
    found = check(moment_curve(5, 2, bias=False))
    assert [len(beside) for beside in found.neighbours] == [2] * 10


def test_many_dimensions_go_through_linear_programs(monkeypatch):
    features = moment_curve(7, 5, bias=True)
    expected = dichotomies(features).words
    monkeypatch.setattr(module, "MOST_DIMENSIONS", 2)
    assert check(features).words == expected


def test_as_many_points_as_weights_are_all_divided():
    assert len(dichotomies(QMatrix.identity(10))) == 2**10


@pytest.mark.parametrize("dimensions", [module.MOST_DIMENSIONS, 1])
def test_limits(monkeypatch, dimensions):
    monkeypatch.setattr(module, "MOST_DIMENSIONS", dimensions)
    with pytest.raises(errors.BudgetExceeded):
        dichotomies(moment_curve(8, 3, bias=True), max_regions=10)
