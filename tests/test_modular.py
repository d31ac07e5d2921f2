import math
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import mpmath
import oracles
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from networks import matrices

from exactdim import QMatrix, errors
from exactdim.arith import modular, primes
from exactdim.arith.circuits import Circuits
from exactdim.arith.manyprimes import ManyPrimes, log2_minor_bound, scaled_integers

P31, P61 = 2**31 - 1, 2**61 - 1


@given(matrices(), st.sampled_from([5, 7, 101, P31, P61]))
def test_modular_rank_never_exceeds_the_rank(table, p):
    A = QMatrix(table)
    if A.denominator % p == 0:
        with pytest.raises(errors.DenominatorDivisible):
            modular.rank(A, p)
        return
    found = modular.rank(A, p)
    assert found <= oracles.rank(table)
    rows, columns = modular.pivots(A, p)
    assert len(rows) == len(columns) == found
    assert rows == sorted(set(rows))
    assert columns == sorted(set(columns))
    minor = A.minor(rows, columns)
    assert minor.numerator % p != 0


@given(matrices(), st.sampled_from([7, P31, P61]))
def test_residues_are_residues(table, p):
    A = QMatrix(table)
    if A.denominator % p:
        for row, residues in zip(table, modular.residues(table, p), strict=True):
            for x, r in zip(row, residues, strict=True):
                assert (r * x.denominator - x.numerator) % p == 0
                assert 0 <= r < p


@pytest.mark.parametrize("p", [0, 1, -7, 4, 2**61 + 1, 2**64 + 13])
def test_moduli_that_are_no_word_size_primes(p):
    with pytest.raises(errors.InvalidInput):
        modular.rank(QMatrix([[1]]), p)


def test_random_primes_have_the_width_and_are_prime():
    for bits in (4, 5, 8, 23, 31, 46, 62):
        p = primes.random_prime(bits)
        assert p.bit_length() == bits
        assert sympy.isprime(p)
    assert {primes.random_prime(4) for _ in range(60)} == {11, 13}
    again = [primes.random_prime(62, random.Random(7)) for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(errors.InvalidInput, match="bits"):
        primes.random_prime(63)


def test_prime_counts_by_sieve_and_by_riemann():
    for bits in range(primes.MIN_BITS, 25):
        assert primes.prime_count(bits) == sympy.primepi(2**bits) - sympy.primepi(2 ** (bits - 1))
    assert primes.prime_count(31) == sympy.primepi(2**31) - sympy.primepi(2**30)
    # Beyond sieves, the Riemann function is within about sqrt(x) of the count.
    with mpmath.workdps(40):
        for bits in range(25, primes.MAX_BITS + 1):
            expected = mpmath.riemannr(2**bits) - mpmath.riemannr(2 ** (bits - 1))
            assert abs(primes.prime_count(bits) - expected) < 2 ** (bits / 2)


def test_failure_bound_golden():
    """T26: log2 of Hadamard's bound 28176."""
    assert primes.failure_probability(28176, 31) == pytest.approx(1.9e-5, rel=0.03)
    assert primes.failure_probability(28176, 62) == pytest.approx(8.6e-15, rel=0.01)
    mnist = 5400 * 267  # rank and bits a row of the MNIST estimate
    assert primes.failure_probability(mnist, 31) == pytest.approx(9.6e-4, rel=0.02)
    assert primes.failure_probability(mnist, 62) == pytest.approx(4.4e-13, rel=0.01)
    assert primes.failure_probability(0, 62) == 0
    assert primes.failure_probability(10**9, 8) == 1
    bigger = primes.failure_probability(28176, 62, gram_rank=253)
    assert bigger > primes.failure_probability(28176, 62)


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_failure_bound_covers_every_bad_prime(bits):
    """Exhaustively: the product of all primes of a width, as a 1 x 1 matrix."""
    width = [p for p in range(2 ** (bits - 1), 2**bits) if sympy.isprime(p)]
    for k in range(len(width) + 1):
        minor = math.prod(width[:k])
        bad = sum(minor % p == 0 for p in width)
        assert bad / len(width) <= primes.failure_probability(minor.bit_length(), bits)


@given(matrices())
def test_hadamard_bounds_every_minor(table):
    A = scaled_integers(QMatrix(table))
    rank = oracles.rank(table)
    assert A.rank() == rank
    assert A.denominator == 1
    rows, columns = modular.pivots(A, P61)
    assert abs(A.minor(rows, columns)) <= 2 ** log2_minor_bound(A, rank)


@given(matrices(), st.integers(1, 50))
def test_scaling_does_not_depend_on_column_scaling(table, factor):
    scaled = [
        [v * Fraction(factor, 3) if j == 0 else v for j, v in enumerate(row)] for row in table
    ]
    assert scaled_integers(QMatrix(table)) == scaled_integers(QMatrix(scaled))


@given(matrices(), st.booleans())
def test_many_primes_prove_the_rank_and_nothing_less(table, gram):
    scaled = scaled_integers(QMatrix(table))
    rank = oracles.rank(table)
    plan = ManyPrimes(scaled, rank, gram)
    assert plan.run() == rank
    primes_used = list(plan.primes())
    assert len(primes_used) == len(set(primes_used))
    assert all(sympy.isprime(p) for p in primes_used)
    assert math.prod(primes_used) > 2**plan.log2_bound
    if rank:
        assert ManyPrimes(scaled, rank - 1, gram).run() == rank


def test_one_prime_is_not_enough_for_a_large_rank_claim():
    """A minor that vanishes modulo the first primes of the proof is nonzero all the same."""
    product = 1
    stream = primes.descending_primes(2**62)
    for _ in range(3):
        product *= next(stream)
    A = QMatrix([[1, 0], [0, product]])
    assert ManyPrimes(scaled_integers(A), 1, gram=False).run() == 2
    # Unscaled, so that the bound and not the scaling has to see it.
    assert ManyPrimes(A, 1, gram=False).run() == 2
    assert ManyPrimes(A, 1, gram=True).run() == 2
    assert A.rank() == 2


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_many_primes_on_an_executor(pool):
    A = QMatrix([[(i * j + i) % 7 for j in range(12)] for i in range(10)])
    rank = oracles.rank(A.tolist())
    with pool(2) as executor:
        assert ManyPrimes.plan(scaled_integers(A), rank).run(executor=executor) == rank
        assert ManyPrimes(scaled_integers(A), rank - 1, False).run(executor=executor) == rank


def test_many_primes_report_and_can_be_stopped():
    A = scaled_integers(QMatrix([[3**i * j**i for j in range(1, 9)] for i in range(8)]))
    seen = []

    class Enough(Exception):
        pass

    def tick(done, total):
        seen.append((done, total))
        if done == 2:
            raise Enough

    plan = ManyPrimes(A, 8, gram=True)
    assert plan.prime_total > 2
    with pytest.raises(Enough):
        plan.run(tick=tick)
    assert [done for done, _ in seen] == [1, 2]


@given(matrices(), st.sampled_from([5, 101, P61]))
def test_circuits_are_kernel_vectors(table, p):
    A = scaled_integers(QMatrix(table))
    columns = [[int(v) for v in column] for column in A.T.tolist()]
    circuits = Circuits(columns, p)
    found = [circuits.solve(k) for k in range(len(circuits.supports))]
    assert len(found) == A.shape[1] - modular.rank(A, p)
    for circuit in found:
        if circuit is not None:
            vector = [circuit.get(j, 0) for j in range(A.shape[1])]
            assert (A @ QMatrix([vector]).T).is_zero()
    if modular.rank(A, p) == oracles.rank(table) and p > 1000:
        assert None not in found


def test_circuits_skip_columns():
    columns = [[1, 0], [2, 0], [0, 1], [0, 3]]
    circuits = Circuits(columns, P61, frozenset({1}))
    assert [circuits.solve(k) for k in range(len(circuits.supports))] == [{2: 3, 3: -1}]
