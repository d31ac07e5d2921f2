import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from residues import PRIMES, P, flint, residue_matrices

from exactdim import errors
from exactdim.arith import elimination
from exactdim.arith.elimination import centred, matmul_mod, rank_profile, reduce_in_place
from exactdim.arith.matrix import QMatrix
from exactdim.arith.modular import rank_of_residues


def check(A, p):
    expected = rank_of_residues(flint(A, p))
    rows, columns = rank_profile(centred(A, p), p)
    assert len(rows) == len(columns) == expected
    assert rows == sorted(set(rows))
    assert columns == sorted(set(columns))
    if expected:
        assert flint(A[np.ix_(rows, columns)], p).rank() == expected
    return expected


@pytest.fixture(
    autouse=True,
    params=[(256, 64, 10_000), (256, 64, -1), (4, 2, -1)],
    ids=["as it is", "never FLINT alone", "tiny blocks"],
)
def block_sizes(request, monkeypatch):
    """Small matrices must walk through the block logic too."""
    block, small, flint_entries = request.param
    monkeypatch.setattr(elimination, "FLINT_ENTRIES", flint_entries)
    monkeypatch.setattr(elimination, "BLOCK", block)
    monkeypatch.setattr(elimination, "SMALL", small)
    monkeypatch.setattr(elimination, "STRIP", max(3, block // 2))


@given(residue_matrices())
def test_rank_and_pivots_agree_with_flint(problem):
    check(*problem)


def degenerate_integers(rng):
    """One small integer matrix of a random kind, entries small beside the prime."""
    m, n, r = rng.integers(1, 25, 3)
    kind = rng.integers(8)
    if kind == 0:
        return rng.integers(-9, 10, (m, r)) @ rng.integers(-9, 10, (r, n))  # low rank
    if kind == 1:
        return rng.integers(-9, 10, (m, n))[rng.integers(0, m, m)]  # repeated rows
    if kind == 2:
        return rng.integers(-9, 10, (m, n))[:, rng.integers(0, n, n)] * rng.integers(0, 2, n)
    if kind == 3:
        return rng.integers(-9, 10, (1, n))
    if kind == 4:
        return rng.integers(-9, 10, (m, 1))
    if kind == 5:
        A = rng.integers(-9, 10, (m, n))
        A[: m // 2, : n // 2] = 0
        A[m // 2 :, n // 2 :] = 0
        return A
    if kind == 6:
        return rng.choice([-(P - 1) // 2, 0, (P - 1) // 2], (m, n))  # extreme residues
    return rng.integers(-1, 2, (m, n)) * (rng.random((m, n)) < 0.2)  # sparse


def test_two_thousand_matrices_against_flint_and_the_exact_engine():
    """Entries are so small that the prime divides no minor by chance; seeds are fixed."""
    rng = np.random.default_rng(2412)
    empty = [np.zeros((0, 0), int), np.zeros((0, 4), int), np.zeros((4, 0), int)]
    ranks = set()
    for A in [*empty, *(degenerate_integers(rng) for _ in range(1000))]:
        found = check(A, P)
        assert found == QMatrix.from_integers(A.ravel().tolist(), 1, A.shape).rank()
        ranks.add((found, found == min(A.shape)))
    assert {full for _, full in ranks} == {True, False}
    assert len({rank for rank, _ in ranks}) > 15


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (1, 300), (300, 1), (3, 700)])
def test_thin_shapes(shape):
    rng = np.random.default_rng(0)
    check(rng.integers(0, P, shape), P)
    check(np.zeros(shape, dtype=int), P)


def test_matrices_larger_than_a_block():
    rng = np.random.default_rng(1)
    for m, n, r in ((300, 280, 280), (400, 300, 130), (290, 520, 257)):
        A = (rng.integers(0, P, (m, r)).astype(object) @ rng.integers(0, P, (r, n))) % P
        A = A.astype(np.int64)
        assert check(A, P) == min(m, n, r)
        A[:, :260] = 0  # the leading blocks are singular
        check(A, P)
        A[:200] = A[0]
        check(A, P)


def test_permutation_matrices_have_singular_leading_blocks():
    rng = np.random.default_rng(2)
    order = rng.permutation(310)
    assert check(np.eye(310, dtype=np.int64)[order] * 5, P) == 310
    assert check(np.eye(310, dtype=np.int64)[::-1].copy(), P) == 310
    assert check(np.triu(np.ones((270, 270), dtype=np.int64), 1), P) == 269


def test_stops_at_a_known_upper_bound():
    rng = np.random.default_rng(3)
    A = rng.integers(0, P, (40, 40))
    A[:7, :7] = 0  # the first seven pivot rows and columns meet in zeros
    rows, columns = rank_profile(centred(A, P), P, enough=7)
    assert len(rows) == len(columns) == 7
    assert flint(A[np.ix_(rows, columns)], P).rank() == 7


def test_can_be_stopped():
    class Enough(Exception):
        pass

    def tick(done, most):
        assert 0 <= done <= most == 600
        if done:
            raise Enough

    A = np.random.default_rng(4).integers(0, P, (600, 600))
    with pytest.raises(Enough):
        rank_profile(centred(A, P), P, tick=tick)


@given(residue_matrices(), st.integers(0, 30))
def test_products_agree_with_python_integers(problem, columns):
    A, p = problem
    B = np.random.default_rng(columns).integers(0, p, (A.shape[1], columns))
    exact = (
        (A.astype(object) @ B.astype(object)) % p
        if A.size and B.size
        else np.zeros((A.shape[0], columns))
    )
    product = matmul_mod(centred(A, p), centred(B, p), p)
    assert (np.mod(product, p) == exact).all()


def test_the_longest_inner_product_is_exact_at_the_extremes():
    """448 products of residues at p / 2 + 2, the worst that a reduced matrix holds."""
    half = (P - 1) // 2 + 2
    k = elimination.INNER
    assert k * half * half + half < 2**53
    A = np.full((1, k), float(half))
    assert (A @ A.T)[0, 0] == k * half * half
    value = matmul_mod(A, A.T, P)[0, 0]
    assert int(value) % P == k * half * half % P


@given(st.integers(-(2**53), 2**53), st.sampled_from(PRIMES))
def test_reduction(x, p):
    a = np.array([float(x)])
    reduce_in_place(a, p)
    assert (int(a[0]) - x) % p == 0
    assert abs(a[0]) <= p / 2 + 2


@pytest.mark.parametrize("p", [2, 4, 2**23 + 9, 2**31 - 1])
def test_moduli_that_are_too_large_or_even(p):
    with pytest.raises(errors.InvalidInput, match="prime"):
        centred(np.zeros((1, 1), dtype=int), p)


@given(residue_matrices(), st.integers(0, 12))
def test_a_minor_cut_short_is_still_nonzero(problem, enough):
    A, p = problem
    rank = rank_of_residues(flint(A, p))
    rows, columns = rank_profile(centred(A, p), p, enough=enough)
    assert len(rows) == len(columns) == min(rank, enough)
    if rows:
        assert flint(A[np.ix_(rows, columns)], p).rank() == len(rows)


def test_a_minor_cut_short_inside_a_block():
    """The whole block is a nonzero minor, its leading part is zero."""
    A = np.eye(10, dtype=np.int64)[::-1].copy()
    rows, columns = rank_profile(centred(A, P), P, enough=4)
    assert flint(A[np.ix_(rows, columns)], P).rank() == 4
