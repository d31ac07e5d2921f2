import math
import random
from contextlib import contextmanager
from fractions import Fraction
from types import SimpleNamespace

import highspy
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from networks import entries
from scipy.optimize import linprog

from exactdim import QMatrix, errors
from exactdim.arith import lp
from exactdim.arith.simplex import End

PATHS = ["exact", "floats", "lies"]
TINY = Fraction(1, 2**30)


@contextmanager
def forced(path):
    """Decide without floats, with floats whatever the size, or with floats that are nonsense."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exactdim.arith.simplex.SMALL", math.inf if path == "exact" else 0)
        if path == "lies":
            patch.setattr(lp, "proposals", lies)
        yield


def lies(system, cost):
    rng = random.Random(len(system.rows))
    m, n = len(system.rows), system.width
    yield [rng.randrange(m) for _ in range(rng.randint(0, m))] if m else [], ([0] * n, 1)
    yield rng.sample(range(m), m), ([rng.randint(-(10**30), 10**30) for _ in range(n)], 10**20)


# -- systems, random and degenerate ---------------------------------------------------------------


@st.composite
def systems(draw, max_rows: int = 7, max_columns: int = 3, inside: bool = False):
    """Coefficients and offsets; with `inside` some point makes every form positive."""
    d, m = draw(st.integers(0, max_columns)), draw(st.integers(0, max_rows))
    row = st.lists(entries, min_size=d, max_size=d)
    A = [[Fraction(v) for v in draw(row)] for _ in range(m)]
    c = [Fraction(draw(entries)) for _ in range(m)]
    x0 = [Fraction(v) for v in draw(row)]
    if draw(st.booleans()):  # every hyperplane through one point
        c = [-dot(a, x0) for a in A]
    for _ in range(draw(st.integers(0, 3)) if m else 0):
        kind = draw(st.sampled_from(["zero", "multiple", "opposite", "near", "line", "huge"]))
        i, j = draw(st.integers(0, m - 1)), draw(st.integers(0, m - 1))
        factor = draw(st.sampled_from([Fraction(1), Fraction(2, 3), Fraction(2) ** 200]))
        if kind == "zero":
            A[i] = [Fraction(0)] * d
        elif kind in {"multiple", "opposite", "near"} and i != j:
            sign = factor if kind == "multiple" else -factor
            A[i], c[i] = [sign * v for v in A[j]], sign * c[j]
            c[i] += draw(st.sampled_from([-TINY, 0, TINY, TINY**2])) if kind == "near" else 0
        elif kind == "line" and d:
            for a in A:
                a[i % d] = a[j % d] * 3
        elif kind == "huge":
            A[i], c[i] = [factor * v for v in A[i]], factor * c[i]
            for a in A if d else []:
                a[j % d] *= Fraction(1, 2**200)
    if inside:
        slack = draw(st.lists(st.sampled_from([1, TINY, "1/3", 5]), min_size=m, max_size=m))
        c = [max(v, Fraction(s) - dot(a, x0)) for a, v, s in zip(A, c, slack, strict=True)]
    return A, c, d


def matrices(A, c, d):
    return (
        QMatrix(A) if A else QMatrix.zeros(0, d),
        QMatrix([[v] for v in c]) if c else QMatrix.zeros(0, 1),
    )


def dot(u, v):
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


def forms(A, c, x):
    return [dot(a, x) + v for a, v in zip(A, c, strict=True)]


def entries_of(point, d):
    assert point.shape == (d, 1)
    return [point[j, 0] for j in range(d)]


def combination(A, c, weights, d):
    total = [sum((w * A[i][j] for i, w in weights.items()), Fraction(0)) for j in range(d)]
    return total, sum((w * c[i] for i, w in weights.items()), Fraction(0))


# -- the oracle: Fourier-Motzkin elimination ------------------------------------------------------


def has_point(rows):
    """Whether some x has ``a x + c >= 0`` (``> 0`` if strict) for all rows (a, c, strict)."""
    rows = set(map(normal, rows))
    width = max((len(a) for a, _, _ in rows), default=0)
    for _ in range(width):
        up = [r for r in rows if r[0][-1] > 0]
        down = [r for r in rows if r[0][-1] < 0]
        new = {normal((a[:-1], c, s)) for a, c, s in rows if a[-1] == 0}
        for a, c, s in up:
            for b, e, t in down:
                u, v = -b[-1], a[-1]
                both = tuple(u * x + v * y for x, y in zip(a[:-1], b[:-1], strict=True))
                new.add(normal((both, u * c + v * e, s or t)))
        rows = new
    return all(c > 0 or (c == 0 and not s) for _, c, s in rows)


def normal(row):
    a, c, strict = row
    size = max(map(abs, (*a, c)), default=0) or 1
    return tuple(v / size for v in a), c / size, strict


def ordinary(A, c, strict):
    return [(tuple(a), v, strict) for a, v in zip(A, c, strict=True)]


# -- feasibility ----------------------------------------------------------------------------------


def check_feasibility(A, c, d, found, *, strict):
    if found.point is not None:
        values = forms(A, c, entries_of(found.point, d))
        assert min(values, default=1) > 0 if strict else min(values, default=1) >= 0
        assert found.multipliers == {}
        return True
    weights = found.multipliers
    assert 0 < len(weights) <= d + 1
    assert all(isinstance(w, int) and w > 0 for w in weights.values())
    assert math.gcd(*weights.values()) == 1
    form, constant = combination(A, c, weights, d)
    assert not any(form)
    assert constant <= 0 if strict else constant < 0
    return False


@given(systems())
@example(([], [], 0))
@example(([], [], 2))
@example(([[], []], [Fraction(1), Fraction(0)], 0))
def test_a_point_or_a_proof_that_there_is_none(system):
    A, c, d = system
    for strict, decide in [(True, lp.interior_point), (False, lp.feasible_point)]:
        expected = has_point(ordinary(A, c, strict))
        for path in PATHS:
            with forced(path):
                found = decide(*matrices(A, c, d))
            assert check_feasibility(A, c, d, found, strict=strict) == expected


@given(systems(max_rows=16, max_columns=6))
def test_larger_systems_have_one_answer_on_every_path(system):
    A, c, d = system
    for strict, decide in [(True, lp.interior_point), (False, lp.feasible_point)]:
        answers = set()
        for path in PATHS:
            with forced(path):
                found = decide(*matrices(A, c, d))
            answers.add(check_feasibility(A, c, d, found, strict=strict))
        assert len(answers) == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("exponent", [-400, -60, 0, 60, 400])
def test_hyperplanes_a_hair_apart(path, exponent):
    rng = random.Random(exponent)
    unit, hair = Fraction(2) ** exponent, Fraction(1, 2**60)
    A = [[Fraction(rng.randint(-99, 99), 100) for _ in range(4)] for _ in range(10)]
    c = [Fraction(rng.randint(1, 99)) * unit for _ in A]
    x = [Fraction(rng.randint(-9, 9), 1000) * unit for _ in range(4)]
    A += [A[0], [-v for v in A[0]]]
    for gap in [hair, Fraction(0), -hair]:
        ends = [*c, -dot(A[0], x) + gap * unit, dot(A[0], x) + gap * unit]
        with forced(path):
            inside = lp.interior_point(*matrices(A, ends, 4))
            closed = lp.feasible_point(*matrices(A, ends, 4))
        assert check_feasibility(A, ends, 4, inside, strict=True) == (gap > 0)
        assert check_feasibility(A, ends, 4, closed, strict=False) == (gap >= 0)
        if gap < 0:
            assert closed.multipliers == {10: 1, 11: 1}


@pytest.mark.parametrize("path", PATHS)
def test_numbers_of_very_different_size(path):
    big = Fraction(2) ** 200
    A = [[big, 1 / big], [-big, 1 / big], [Fraction(0), -1 / big], [1 / big, Fraction(0)]]
    c = [Fraction(0), Fraction(0), 1 / big, 1 / big**3 / 2]  # the left corner is at -(2**-400)
    with forced(path):
        found = lp.interior_point(*matrices(A, c, 2))
        assert check_feasibility(A, c, 2, found, strict=True)
        found = lp.interior_point(*matrices(A, [*c[:3], -1 / big], 2))
        assert not check_feasibility(A, [*c[:3], -1 / big], 2, found, strict=True)
        cube = lp.redundant_rows(*matrices(A, c, 2))
        assert cube.kept == (0, 1, 2, 3)


@pytest.mark.parametrize("path", PATHS)
def test_numbers_beyond_the_range_of_floats(path):
    far, near = Fraction(2) ** 3000, Fraction(1, 2**3000)
    A = [[Fraction(1), near], [Fraction(-1), near], [far, Fraction(-1)], [Fraction(0), far]]
    for c in [[far, -far + near, near, far], [near, -near, far, near], [near, near, near, -far]]:
        with forced(path):
            inside = lp.interior_point(*matrices(A, c, 2))
            best = lp.minimise(*matrices(A, c, 2), QMatrix([[far, near]]))
        expected = has_point(ordinary(A, c, True))
        assert check_feasibility(A, c, 2, inside, strict=True) == expected
        check_optimum(A, c, 2, [far, near], best)


def test_points_are_short():
    # 40 rows of 53-bit numbers, but the cell is about a tenth wide.
    rng = np.random.default_rng(0)
    for d in [2, 8]:
        A = rng.standard_normal((40, d))
        c = -A @ rng.standard_normal(d) + rng.uniform(0.1, 0.3, 40)
        for path in PATHS:
            with forced(path):
                point = lp.interior_point(QMatrix(A), QMatrix(c[:, None])).point
            assert point.denominator.bit_length() <= 12
            assert max(map(abs, point.numerators())).bit_length() <= 14


def test_an_unlucky_prime_is_noticed():
    p = 2**61 - 1
    A = [[Fraction(p), Fraction(0)], [Fraction(0), Fraction(1)], [Fraction(-p), Fraction(-p)]]
    for path in PATHS:
        with forced(path):
            for c in [[Fraction(0)] * 3, [Fraction(0), Fraction(0), Fraction(1)]]:
                found = lp.interior_point(*matrices(A, c, 2))
                assert check_feasibility(A, c, 2, found, strict=True) == (c[2] > 0)


# -- minimisation ---------------------------------------------------------------------------------


def check_optimum(A, c, d, objective, best):
    weights = best.multipliers
    assert len(weights) <= d + 1
    assert all(w > 0 for w in weights.values())
    form, constant = combination(A, c, weights, d)
    if best.status == "infeasible":
        assert not any(form)
        assert constant < 0
        assert best.point is best.ray is best.value is None
        return
    x = entries_of(best.point, d)
    assert min(forms(A, c, x), default=0) >= 0
    if best.status == "optimal":
        assert form == objective
        assert best.value == dot(objective, x) == -constant
        assert best.ray is None
    else:
        assert best.status == "unbounded"
        ray = entries_of(best.ray, d)
        assert min((dot(a, ray) for a in A), default=0) >= 0
        assert dot(objective, ray) < 0
        assert best.value is None
        assert weights == {}


@given(st.data())
def test_an_optimum_a_ray_or_a_contradiction(data):
    A, c, d = data.draw(systems(max_rows=6))
    if A and data.draw(st.booleans()):  # likely bounded
        weights = data.draw(st.lists(st.integers(0, 2), min_size=len(A), max_size=len(A)))
        objective = [sum(w * a[j] for w, a in zip(weights, A, strict=True)) for j in range(d)]
    else:
        objective = [Fraction(v) for v in data.draw(st.lists(entries, min_size=d, max_size=d))]
    row = QMatrix([objective])
    answers = set()
    for path in PATHS:
        with forced(path):
            best = lp.minimise(*matrices(A, c, d), row)
        check_optimum(A, c, d, objective, best)
        answers.add((best.status, best.value))
    assert len(answers) == 1
    assert (best.status != "infeasible") == has_point(ordinary(A, c, False))


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_polyhedron_has_no_ray(path):
    A, objective = [[Fraction(1), Fraction(0)], [Fraction(-1), Fraction(0)]], QMatrix([[0, 1]])
    for constant, status in [(0, "unbounded"), (-1, "infeasible")]:
        c = [Fraction(0), Fraction(constant)]
        with forced(path):
            best = lp.minimise(*matrices(A, c, 2), objective)
        assert best.status == status
        check_optimum(A, c, 2, [Fraction(0), Fraction(1)], best)


@pytest.mark.parametrize("path", ["floats", "lies"])
@pytest.mark.parametrize("seed", range(4))
def test_the_minimum_is_that_of_another_solver(path, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((24, 5))
    A = np.vstack([A, np.eye(5), -np.eye(5)])
    c = -A @ rng.standard_normal(5) + rng.random(34)
    objective = rng.standard_normal(5)
    other = linprog(objective, A_ub=-A, b_ub=c, bounds=(None, None))
    with forced(path):
        best = lp.minimise(QMatrix(A), QMatrix(c[:, None]), QMatrix(objective[None]))
    assert float(best.value) == pytest.approx(other.fun, rel=1e-7, abs=1e-7)
    rows = QMatrix(A).tolist()
    check_optimum(rows, [Fraction(v) for v in c], 5, [Fraction(v) for v in objective], best)


def test_a_degenerate_vertex_does_not_cycle():
    # Every facet of a 5-dimensional cross-polytope's cone meets in the origin.
    signs = [[(-1) ** (k >> j & 1) for j in range(5)] for k in range(32)]
    A = [[*map(Fraction, row), Fraction(1)] for row in signs]
    for path in PATHS:
        with forced(path):
            best = lp.minimise(QMatrix(A), QMatrix.zeros(32, 1), QMatrix([[0, 0, 0, 0, 0, 1]]))
            assert best.value == 0
            check_optimum(A, [Fraction(0)] * 32, 6, [Fraction(0)] * 5 + [Fraction(1)], best)
            flat = lp.interior_point(QMatrix([*A, [0, 0, 0, 0, 0, -1]]), QMatrix.zeros(33, 1))
        assert (
            check_feasibility(
                [*A, [Fraction(0)] * 5 + [Fraction(-1)]], [Fraction(0)] * 33, 6, flat, strict=True
            )
            is False
        )


# -- redundancy -----------------------------------------------------------------------------------


def kept_by_brute_force(A, c):
    first = {}
    for i, (a, v) in enumerate(zip(A, c, strict=True)):
        if any(a):
            first.setdefault(normal((tuple(a), v, False)), i)
    rows = sorted(first.values())
    needed = []
    for i in rows:
        others = [(tuple(A[j]), c[j], False) for j in rows if j != i]
        if has_point([*others, (tuple(-v for v in A[i]), -c[i], True)]):
            needed.append(i)
    return tuple(needed)


def check_facets(A, c, d, facets):
    assert set(facets.kept) == set(facets.points)
    assert sorted([*facets.kept, *facets.multipliers]) == list(range(len(A)))
    for i in facets.kept:
        values = forms(A, c, entries_of(facets.points[i], d))
        assert values[i] == 0
        assert all(values[j] > 0 for j in facets.kept if j != i)
        assert min(values) >= 0
    for i, weights in facets.multipliers.items():
        assert set(weights) <= set(facets.kept)
        assert all(w > 0 for w in weights.values())
        form, constant = combination(A, c, weights, d)
        assert form == A[i]
        assert constant <= c[i]


CORNER = [[Fraction(v) for v in row] for row in [[-1, 0], [1, 1], [1, 0], [0, -1]]]


@given(systems(max_rows=6, inside=True))
@example((CORNER, [Fraction(v) for v in [2, 1, 1, 1]], 2))  # a ray meets two facets at once
def test_the_rows_that_are_kept_are_the_facets(system):
    A, c, d = system
    expected = kept_by_brute_force(A, c)
    for path in PATHS:
        with forced(path):
            facets = lp.redundant_rows(*matrices(A, c, d))
        check_facets(A, c, d, facets)
        assert facets.kept == expected


@pytest.mark.parametrize("path", PATHS)
def test_facets_of_a_cube_among_many_rows(path):
    # From the centre, rays to vertices and edges leave through several facets at once.
    cube = [[Fraction(s * (i == j)) for j in range(4)] for i in range(4) for s in (1, -1)]
    corners = [[Fraction((-1) ** (k >> j & 1)) for j in range(4)] for k in range(16)]
    A, c = [*corners, *cube, *cube], [*[Fraction(4)] * 16, *[Fraction(1)] * 8, *[Fraction(1)] * 8]
    with forced(path):
        facets = lp.redundant_rows(*matrices(A, c, 4))
    check_facets(A, c, 4, facets)
    assert facets.kept == tuple(range(16, 24))
    assert facets.multipliers[24] == {16: 1}


def test_redundancy_needs_an_interior():
    A, c = QMatrix([[1], [-1]]), QMatrix([[0], [0]])
    with pytest.raises(errors.InvalidInput, match="interior"):
        lp.redundant_rows(A, c)


# -- inputs, outputs and checks -------------------------------------------------------------------


def test_larger_systems():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((90, 40))
    x = rng.standard_normal(40)
    A[-1] = -rng.random(89) @ A[:-1]
    rows = QMatrix(A).tolist()
    for width in [1.0, 1e-12]:
        c = -A @ x + width * rng.random(90)
        offsets = [Fraction(v) for v in c]
        found = lp.interior_point(QMatrix(A), QMatrix(c[:, None]))
        check_feasibility(rows, offsets, 40, found, strict=True)
        best = lp.minimise(QMatrix(A), QMatrix(c[:, None]), QMatrix(A[:1]))
        check_optimum(rows, offsets, 40, rows[0], best)
    c = -A @ x - rng.random(90)
    found = lp.feasible_point(QMatrix(A), QMatrix(c[:, None]))
    check_feasibility(rows, [Fraction(v) for v in c], 40, found, strict=False)


def test_a_float_solver_that_fails_costs_nothing_but_time(monkeypatch):
    A, c = QMatrix([[1, 2], [-1, 1], [0, -1]]), QMatrix([[0], [1], [5]])
    failed = highspy.HighsStatus.kError
    for name in ["passModel", "run", "getSolution"]:
        with forced("floats"), monkeypatch.context() as patch:
            if name == "getSolution":
                patch.setattr(
                    highspy.Highs, name, lambda _: SimpleNamespace(col_value=[np.nan] * 3)
                )
            else:
                patch.setattr(highspy.Highs, name, lambda *_: failed)
            assert lp.interior_point(A, c).point is not None


def test_nothing_is_printed(capfd):
    with forced("floats"):
        lp.interior_point(QMatrix([[1], [-1]]), QMatrix([[0], [1]]))
        lp.minimise(QMatrix([[1]]), QMatrix([[0]]), QMatrix([[-1]]))
    assert capfd.readouterr() == ("", "")


def test_shapes_that_do_not_fit_are_named():
    A, c = QMatrix([[1, 2]]), QMatrix([[0]])
    with pytest.raises(errors.ShapeMismatch, match=r"\(1, 2\)"):
        lp.interior_point(A, QMatrix([[0, 0]]))
    with pytest.raises(errors.ShapeMismatch, match=r"\(2, 1\)"):
        lp.minimise(A, c, QMatrix([[0], [0]]))


def test_a_wrong_answer_of_the_exact_method_is_refused(monkeypatch):
    A, c = QMatrix([[1], [-1]]), QMatrix([[0], [1]])
    lie = End([0, 1], None, {1: Fraction(1), 2: Fraction(2)})
    monkeypatch.setattr(lp, "simplex", lambda *_, **__: lie)
    with pytest.raises(AssertionError, match="contradiction"):
        lp.interior_point(A, c)
