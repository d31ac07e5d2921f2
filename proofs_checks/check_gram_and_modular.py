"""From residues to proofs: Gram matrices, one prime, many primes, the softmax head (T24 to T28).

The rank of the Jacobian J is computed modulo primes, of J itself or of a Gram matrix that is built
from its Kronecker factors (T25). Over the rationals a Gram matrix keeps the rank, over a finite
field it may not, and random weights repair it (T24). A rank modulo a prime never exceeds the rank,
and a random prime misses it rarely (T26). Equality is proved from above by counting (T7, T9), by
kernel vectors, or by so many primes that no larger minor can be nonzero (T27). The softmax head
costs one output, whatever the probabilities are (T28).

Notation as in STATEMENTS.md: widths N_0, ..., N_L, P parameters, H hidden units, n samples, J of
shape n N_L x P with rows sample by sample. M_l is the derivative of the outputs in the
pre-activations of layer l, shape n N_L x N_l; H~_{l-1} are the inputs of layer l, with a column of
ones if it has a bias, shape n x (N_{l-1} + [bias]). Masks need not be realised (formal masks).
"""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest
import sympy
from family import (
    ARCHITECTURES,
    BATCH,
    GE1,
    LARGE_ARCHITECTURES,
    masks,
    sympy_rank,
    ternary_networks,
)
from hypothesis import example, given
from hypothesis import strategies as st

import exactdim as ed
from exactdim.arith import modular
from exactdim.arith.elimination import rank_profile
from exactdim.arith.manyprimes import ManyPrimes, log2_minor_bound, scaled_integers
from exactdim.arith.primes import failure_probability, prime_count
from exactdim.dimension import closing
from exactdim.dimension.bounds import StructuralBounds
from exactdim.nets.gram import column_gram, weighted_gram
from exactdim.nets.jacobian import JacobianFactors, head_matrix, jacobian_factors
from exactdim.nets.patterns import ActivationPattern
from exactdim.testing.strategies import (
    activation_patterns,
    batches,
    degenerate_networks,
    matrices_of_rank,
    relu_networks,
)

SAMPLES = {1: [[1], [-2], [3]], 2: [[1, 0], [1, 2], [-1, 1]]}
"""Batches for the small family, by the number of inputs."""

MERSENNE = 2**31 - 1


# -- matrices and Jacobians -----------------------------------------------------------------------


def formal(net, X, mask, head="logits"):
    """Return the factors of the Jacobian of a prescribed mask."""
    layers = np.split(np.array(mask, np.bool_), np.cumsum(net.widths[1:-1]), axis=1)[:-1]
    pattern = ActivationPattern(tuple(layers), (), (), len(mask), 0, "zero")
    return JacobianFactors(net, ed.QMatrix(X), pattern, head)


@st.composite
def problems(draw, networks=None, max_size=5):
    """Generate networks at batches, random and degenerate, with realised and formal masks."""
    net = draw(relu_networks() | degenerate_networks() if networks is None else networks)
    if draw(st.booleans()):
        return jacobian_factors(net, draw(batches(net, max_size=max_size)), on_kink="zero")
    mask = draw(activation_patterns(net, max_size=max_size))
    return formal(net, draw(batches(net, min_size=len(mask), max_size=len(mask))), mask)


def small_problems(large, samples=2):
    """Go through all networks with weights -1, 0, 1 and all masks of a few samples."""
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        for net in ternary_networks(widths, bias):
            for mask in masks(samples, net.n_hidden):
                yield formal(net, SAMPLES[widths[0]][:samples], mask)


@st.composite
def matrices(draw, elements=None, most=5):
    """Generate a matrix with its rank, known by construction."""
    shape = draw(st.tuples(st.integers(1, most), st.integers(1, most)))
    rank = draw(st.integers(0, min(shape)))
    return draw(matrices_of_rank(shape, rank, elements=elements)), rank


integers = st.integers(-3, 3) | st.sampled_from([5, 7, 30, 143, 1001])


def minors(A, order):
    """List all minors of one order."""
    rows, columns = A.shape
    return [
        A.minor(picked, across)
        for picked in combinations(range(rows), order)
        for across in combinations(range(columns), order)
    ]


def squared_norms(A):
    """List the squared Euclidean norms of the rows, largest first."""
    return sorted((sum(x * x for x in row) for row in A.tolist()), reverse=True)


def kronecker(A, B):
    """Return A (x) B."""
    return ed.QMatrix([
        [a * b for a in row for b in other] for row in A.tolist() for other in B.tolist()
    ])


# -- T24 ------------------------------------------------------------------------------------------


@given(matrices())
def test_T24_gram_matrix_over_the_rationals(matrix):
    """T24: rank A A^T = rank A^T A = rank A over an ordered field.

    Source. Standard.
    Proof. If A A^T y = 0 then (A^T y)^T (A^T y) = 0, a sum of squares, so A^T y = 0: A A^T and A^T
    have the same kernel.
    """
    A, rank = matrix
    assert A.rank() == sympy_rank(A) == rank
    assert (A @ A.T).rank() == (A.T @ A).rank() == rank


def test_T24_gram_matrices_of_small_matrices_completely():
    """T24 for all 2 x 3 matrices with entries -1, 0, 1."""
    for entries in product((-1, 0, 1), repeat=6):
        A = ed.QMatrix([entries[:3], entries[3:]])
        assert (A @ A.T).rank() == (A.T @ A).rank() == A.rank() == sympy_rank(A)


@given(matrices(), st.sampled_from([3, 5, 7, 11, 13, 101]))
def test_T24_gram_matrix_modulo_a_prime(matrix, p):
    """T24: rank_p(A A^T) <= rank_p A <= rank A, for every prime that divides no denominator.

    Source. Standard.
    Proof. A product has no larger rank than its factors. A minor that is nonzero modulo p is
    nonzero.
    """
    A, rank = matrix
    A = A * A.denominator
    assert modular.rank(A @ A.T, p) <= modular.rank(A, p) <= rank


def test_T24_goldens_and_controls():
    """T24: where equality fails. The order of the field is needed, and any prime can be unlucky.

    GE1 has the Gram matrix [[1, 1, 1], [1, 20, 31], [1, 31, 55]] of determinant 126 = 2 3^2 7:
    modulo 7, rank J = 3 and rank J J^T = 2; modulo 3 both are 2. The linear network (2, 1) at
    x = (2, 2041534867) has J = (2, 2041534867, 1), isotropic modulo 2^31 - 1: ranks 1 and 0. Over
    the complex numbers, (1, i) is isotropic.
    """
    J = ed.jacobian(GE1, BATCH)
    gram = J @ J.T
    assert gram.tolist() == [[1, 1, 1], [1, 20, 31], [1, 31, 55]]
    assert gram.minor(range(3), range(3)) == 126 == 2 * 3**2 * 7
    ranks = {p: (modular.rank(J, p), modular.rank(gram, p)) for p in (3, 5, 7, 11)}
    assert ranks == {3: (2, 2), 5: (3, 3), 7: (3, 2), 11: (3, 3)}
    J = ed.jacobian(ed.ReLUNetwork([[[1, 1]]], [[0]]), [[2, 2041534867]])
    assert J.tolist() == [[2, 2041534867, 1]]
    assert (J.rank(), modular.rank(J, MERSENNE), modular.rank(J @ J.T, MERSENNE)) == (1, 1, 0)
    isotropic = sympy.Matrix([[1, sympy.I]])
    assert (isotropic.rank(), (isotropic * isotropic.T).rank()) == (1, 0)


@given(matrices(integers, most=4))
def test_T24_primes_that_are_bad_for_a_gram_matrix(matrix):
    """T24: few primes lower the rank of the plain Gram matrix of an integer matrix.

    Statement. Let S be r = rank A independent rows. Every prime with rank_p(A A^T) < r divides the
    positive integer det(A_S A_S^T) <= prod_{i in S} |A_i|^2. So at most
    log2(prod |A_i|^2) / k such primes are 2^k or larger.
    Source. Derived here; the inequality is Hadamard's.
    Proof. The determinant is a principal minor of A A^T of order r. It is positive because A_S has
    independent rows.
    """
    A, rank = matrix
    S, _ = modular.pivots(A, 2**61 - 1)
    assert len(S) == rank
    picked = A[S] if S else ed.QMatrix.zeros(0, A.shape[1])
    determinant = (picked @ picked.T).minor(range(rank), range(rank))
    height = math.prod(squared_norms(picked))
    assert 0 < determinant <= height
    divisors = set(sympy.factorint(int(determinant)))
    bad = {p for p in divisors if modular.rank(A @ A.T, p) < rank}
    for p in sympy.primerange(50):
        assert p in divisors or modular.rank(A @ A.T, p) == rank
    for k in range(1, 8):
        assert 2 ** (k * sum(p >= 2**k for p in bad)) <= height


def weight_places(net):
    """Tell which u and which s belong to each column of J, and how many of both there are."""
    places, units, inputs = [], 0, 0
    for (width, after), has_bias in zip(pairwise(net.widths), net.has_bias, strict=True):
        places += [(units + k, inputs + m) for k in range(after) for m in range(width)]
        places += [(units + k, inputs + width) for k in range(after) if has_bias]
        units, inputs = units + after, inputs + width + has_bias
    return places, units, inputs


def grams_of_all_weights(net, J, p):
    """Return J D J^T modulo p for all u and s, one matrix for each."""
    places, units, inputs = weight_places(net)
    grid = np.indices((p,) * (units + inputs)).reshape(units + inputs, -1)
    u, s = np.array(places).T
    D = grid[u] * grid[units + s] % p
    J = np.array([[int(x) % p for x in row] for row in J.tolist()])
    return np.einsum("ic,cw,jc->wij", J, D, J) % p


def determinants(grams, p):
    """Compute the determinants modulo p of a stack of matrices, by Leibniz."""
    order = grams.shape[1]
    total = np.zeros(len(grams), np.int64)
    for sigma in permutations(range(order)):
        sign = (-1) ** sum(a > b for a, b in combinations(sigma, 2))
        term = np.full(len(grams), sign)
        for i, j in enumerate(sigma):
            term = term * grams[:, i, j] % p
        total = (total + term) % p
    return total


def failing_weights(net, J, p):
    """Count the weights for which J D J^T has a smaller rank than J modulo p, and all weights."""
    rows, _ = modular.pivots(J, p)
    if not rows:
        return 0, 1
    # The other rows of J are combinations of these, so J D J^T has the rank of this block.
    found = determinants(grams_of_all_weights(net, J[rows], p), p)
    return int((found == 0).sum()), len(found)


def test_T24_all_weights_of_small_networks(large):
    """T24, the weighted Gram matrix: it keeps the rank with probability at least 1 - 2 r / p.

    Statement. Draw u^(l) in F_p^{N_l} and s^(l) in F_p^{N_{l-1} + [bias]}, all independent and
    uniform, and let D be the diagonal matrix with u^(l)_k s^(l)_m at the parameter of layer l that
    leads from input m to unit k. Then rank J D J^T <= rank_p J always, and with r = rank_p J they
    agree with probability at least 1 - 2 r / p.

    Source. Derived here.

    Proof. Let S be r independent rows. By Cauchy and Binet, det(J_S D J_S^T) is the sum over sets T
    of r columns of det(J_{S,T})^2 prod_{t in T} d_t, a polynomial of degree 2 r in (u, s). It is
    not the zero polynomial: put u^(l)_k = tau^a, s^(l)_m = tau^b with exponents such that the sums
    a + b at different columns are different (all a multiples of a number above all b). Columns of
    different weight have one basis T of least weight, so the lowest power of tau that occurs has
    the coefficient det(J_{S,T})^2, which is not 0. A nonzero polynomial of degree 2 r vanishes with
    probability at most 2 r / p (Schwartz and Zippel).

    Check. All weights in turn, for all networks with weights -1, 0, 1.
    """
    p, bad = 7 if large else 5, 0
    for widths, bias in ARCHITECTURES:
        seen = {}
        for net in ternary_networks(widths, bias):
            J = ed.jacobian(net, SAMPLES[widths[0]], on_kink="zero")
            if J not in seen:
                failed, cases = seen[J] = failing_weights(net, J, p)
                assert failed * p <= 2 * modular.rank(J, p) * cases
                bad += failed > 0
    assert bad > 20


def test_T24_golden_weights_repair_what_is_isotropic():
    """T24: GE1 modulo 7, where the plain Gram matrix has rank 2, and the isotropic row.

    Modulo 7 the bound 2 r / p = 6/7 says little, but most weights are good. The isotropic row has
    rank 1 with all weights but a few.
    """
    J = ed.jacobian(GE1, BATCH)
    failed, cases = failing_weights(GE1, J, 7)
    assert cases == 7**6
    assert 0 < failed < cases / 2
    net, X = ed.ReLUNetwork([[[1, 1]]], [[0]]), [[2, 2041534867]]
    (row,) = ed.jacobian(net, X).tolist()
    rng = random.Random(0)
    for _ in range(100):
        weights = [rng.randrange(MERSENNE) for _ in row]
        assert sum(d * int(x) ** 2 for d, x in zip(weights, row, strict=True)) % MERSENNE


class Script:
    """Random numbers that were written down before."""

    def __init__(self, numbers):
        self.numbers = iter(numbers)

    def randrange(self, p):
        """Return the next one."""
        return next(self.numbers)


@pytest.mark.parametrize(
    ("net", "X"),
    [
        (ed.ReLUNetwork([[[1, -2]]], [[1]]), [[1, 2], [0, 3]]),
        (ed.ReLUNetwork([[[1]], [[1]]]), [[1], [2]]),
        (ed.ReLUNetwork([[[1]], [[2], [-1]]]), [[1]]),
    ],
)
def test_T24_the_package_draws_all_weights_alike(net, X):
    """T24: over all draws, `weighted_gram` yields J D J^T for each choice of weights once."""
    p, factors = 3, jacobian_factors(net, X)
    _, units, inputs = weight_places(net)
    expected = grams_of_all_weights(net, factors.dense, p)
    found = [
        weighted_gram(factors, p, Script(numbers)).astype(np.int64) % p
        for numbers in product(range(p), repeat=units + inputs)
    ]
    assert sorted(g.ravel().tolist() for g in found) == sorted(g.ravel().tolist() for g in expected)


@given(problems(), st.sampled_from([11, 101, 10007, 8388593]), st.integers(0, 2**32))
def test_T24_gram_matrices_of_the_package(factors, p, seed):
    """T24 for random networks: never a larger rank, and with a large prime no smaller one.

    Three draws with p = 8388593 all fail with a probability below (2 r / p)^3.
    """
    if not has_residues(factors, p):
        return
    rng = random.Random(seed)
    rank, every = modular.rank(factors.dense, p), range(factors.net.n_parameters)
    assert rank <= factors.dense.rank()
    rows = [weighted_gram(factors, p, rng) for _ in range(3)]
    columns = [column_gram(factors, p, every, rng) for _ in range(3)]
    sums = [weighted_gram(factors, p, rng, fold=3)]
    for grams in (rows, columns, sums):
        found = max(len(rank_profile(gram, p)[0]) for gram in grams)
        assert found <= rank
        assert found == rank or p < 10**6 or grams is sums


def has_residues(factors, p):
    """Tell whether p divides no denominator of network and batch."""
    net = factors.net
    parts = [factors.batch, *net.weights, *(b for b in net.biases if b is not None)]
    return all(part.denominator % p for part in parts)


def test_T24_all_weights_of_the_rows_of_small_networks():
    """T24, the same with columns: J^T D J keeps the rank with probability at least 1 - r / p.

    Statement. D = diag(d) with independent uniform d_i for the rows of J. Then rank J^T D J <=
    rank_p J, with equality with probability at least 1 - r / p.
    Source. Derived here.
    Proof. For r independent columns T, det(J_T^T D J_T) is the sum over sets S of r rows of
    det(J_{S,T})^2 prod_{i in S} d_i: degree r, and no two S share a monomial.
    """
    p, sharp = 5, 0
    for widths, bias in ARCHITECTURES:
        X = SAMPLES[widths[0]][: 4 // widths[-1]]
        for net in ternary_networks(widths, bias):
            J = ed.jacobian(net, X, on_kink="zero")
            rows, columns = modular.pivots(J, p)
            if rows:
                d = np.indices((p,) * J.shape[0]).reshape(J.shape[0], -1)
                picked = np.array([[int(x) for x in row] for row in J[:, columns].tolist()])
                grams = np.einsum("ik,iw,im->wkm", picked, d, picked) % p
                failed = int((determinants(grams, p) == 0).sum())
                assert failed * p <= len(rows) * len(grams)
                sharp += failed * p == len(rows) * len(grams)
    assert sharp > 20  # one row: D = 0 with probability 1 / p


# -- T25 ------------------------------------------------------------------------------------------


def switched_outputs(factors, theta):
    """Evaluate f_A(theta; X) sample by sample: the mask is in place of ReLU."""
    net, h = factors.net.with_parameters([theta]), factors.batch
    for layer in range(net.depth - 1):
        h = net.affine(layer, h).masked(factors.pattern.layers[layer])
    return [z for row in net.affine(net.depth - 1, h).tolist() for z in row]


def difference_jacobian(factors):
    """Compute J_A by differences, exact as f_A is affine in each single parameter (T3)."""
    theta = factors.net.parameters().tolist()[0]
    start = switched_outputs(factors, theta)
    columns = []
    for p in range(len(theta)):
        moved = switched_outputs(factors, [*theta[:p], theta[p] + 1, *theta[p + 1 :]])
        columns.append([u - v for u, v in zip(moved, start, strict=True)])
    return ed.QMatrix(columns).T


def layer_columns(net, layer):
    """List the columns of a layer's parameters, unit by unit, each with its bias last."""
    (units, inputs), start = net.weights[layer].shape, net.parameter_offsets()[layer]
    after = start + units * inputs
    return [
        column
        for k in range(units)
        for column in [
            *range(start + k * inputs, start + (k + 1) * inputs),
            *([after + k] if net.has_bias[layer] else []),
        ]
    ]


def check_kronecker(factors):
    """Check T25 for one problem."""
    net, d, J = factors.net, factors.outputs, difference_jacobian(factors)
    assert factors.dense == J
    gram = ed.QMatrix.zeros(J.shape[0], J.shape[0])
    for layer, (M, H) in enumerate(zip(factors.sensitivities, factors.features, strict=True)):
        repeated = kronecker(H, ed.QMatrix([[1]] * d))
        block = [
            [a * b for a in left for b in right]
            for left, right in zip(M.tolist(), repeated.tolist(), strict=True)
        ]
        assert J[:, layer_columns(net, layer)].tolist() == block
        pairs = zip((M @ M.T).tolist(), (repeated @ repeated.T).tolist(), strict=True)
        gram += ed.QMatrix([[a * b for a, b in zip(*rows, strict=True)] for rows in pairs])
    assert gram == J @ J.T
    assert factors.sensitivities[-1] == ed.QMatrix.vstack([ed.QMatrix.identity(d)] * factors.n)


@given(problems())
def test_T25_kronecker_structure(factors):
    """T25: a layer's block of J is a row-wise Kronecker product, and J J^T needs factors only.

    Statement. Order the parameters of layer l by unit, then by input, the bias as last input. Its
    columns of J are the row-wise Kronecker product (face-splitting, transposed Khatri-Rao) of M_l
    with H~_{l-1} (x) 1, each row of H~_{l-1} repeated N_L times. Hence
      J J^T = sum_l (M_l M_l^T) o (H~_{l-1} H~_{l-1}^T (x) 1 1^T),
    with o the entrywise product. M_L stacks identity matrices: sample i has I (x) h~_{L-1,i}.

    Source. Derived here.

    Proof. z_l is W~_l h~_{l-1}, and h~_{l-1} does not depend on W~_l, so by the chain rule the
    derivative of output j in W~_l[k, m] is M_l[j, k] h~_{l-1}[m]. The inner product of two rows
    a (x) b and a' (x) b' is (a.a') (b.b').
    """
    check_kronecker(factors)


def test_T25_small_networks_completely(large):
    """T25 for all networks with weights -1, 0, 1 and all masks of two samples."""
    for factors in small_problems(large):
        check_kronecker(factors)


shallow_networks = relu_networks(min_depth=2, max_depth=2, output_width=1) | degenerate_networks(
    max_depth=2, output_width=1
)


def shallow_columns(factors):
    """Return the columns of T15 that span those of J."""
    net, X1, mask = factors.net, factors.features[0].tolist(), factors.pattern.mask
    v = net.weights[1].tolist()[0]
    blocks = [
        [[a * x for x in row] for a, row in zip(word, X1, strict=True)]
        for word in sorted({tuple(map(int, mask[:, k])) for k in range(len(v)) if v[k]})
    ]
    hidden = factors.features[1].tolist()
    blocks += [[[row[k]] for row in hidden] for k in range(len(v)) if not v[k]]
    blocks += [[[1]] for _ in hidden] and [[[1] for _ in hidden]] if net.has_bias[1] else []
    return ed.QMatrix.hstack(ed.QMatrix(block) for block in blocks)


@given(problems(shallow_networks))
def test_T25_shallow_networks_with_one_output(factors):
    """T25, T15: for L = 2 and N_2 = 1, J has the columns of A * X~, each distinct pattern once.

    Statement. The columns of J span the same space as diag(a) X~ for the distinct columns a of the
    mask at units with v_k != 0, h_k for units with v_k = 0, and 1 if the output has a bias. So
    units with equal patterns and v_k != 0 count once.
    Source. Derived here.
    Proof. By T25 unit k has the columns v_k diag(a_k) X~ in its own parameters and h_k = diag(a_k)
    X~ w~_k in v_k, which lies in their span if v_k != 0.
    """
    J, span = factors.dense, shallow_columns(factors)
    assert ed.QMatrix.hstack([J, span]).rank() == J.rank() == span.rank()


def test_T25_controls():
    """T25: units with equal patterns count once for one output only; and M belongs to the mask.

    With two outputs and v_1, v_2 independent, two equal units that are on have rank 2, not 1. The
    factors of one mask do not fit the Jacobian of another.
    """
    net = ed.ReLUNetwork([[[1], [1]], [[1, 0], [0, 1]]])
    assert ed.jacobian(net, [[1]]).rank() == 2
    assert ed.jacobian(ed.ReLUNetwork([[[1], [1]], [[1, 1]]]), [[1]]).rank() == 1
    on, off = (formal(GE1, [[1]], [[bit]]) for bit in (1, 0))
    assert on.sensitivities[0] != off.sensitivities[0]
    assert difference_jacobian(on) != difference_jacobian(off)


# -- T26 ------------------------------------------------------------------------------------------


@given(matrices(integers, most=4))
def test_T26_bad_primes(matrix):
    """T26: rank_p A <= rank A, with equality unless p divides every r-minor; few primes do.

    Statement. A is an integer matrix of rank r. (a) rank_p A <= r, and rank_p A < r if and only if
    p divides all minors of order r. (b) Let Hd be the product of the r largest row norms, or column
    norms. At most log2(Hd) / k such primes are 2^k or larger. (c) If |entries| < 2^B and A has P
    columns, Hd <= (2^B sqrt(P))^r.

    Source. Standard.

    Proof. (a) Reduction commutes with minors, and the rank is the largest order of a nonzero minor.
    (b) Take a nonzero r-minor: all these primes divide it, so their product is at most its absolute
    value, which Hadamard bounds by Hd. (c) A row has norm at most 2^B sqrt(P).
    """
    A, r = matrix
    divisor = math.gcd(*(int(x) for x in minors(A, r)))
    assert divisor > 0
    bad = [p for p in sympy.primerange(200) if modular.rank(A, p) < r]
    assert bad == [p for p in sympy.primerange(200) if divisor % p == 0]
    assert all(modular.rank(A, p) <= r for p in sympy.primerange(20))
    squared_height = min(math.prod(squared_norms(B)[:r]) for B in (A, A.T))
    assert max(x * x for x in minors(A, r)) <= squared_height
    every = sympy.primefactors(divisor)
    for k in range(1, 12):
        assert 4 ** (k * sum(p >= 2**k for p in every)) <= squared_height
    bits = max(abs(x) for x in A.numerators()).bit_length()
    assert squared_height <= (4**bits * max(A.shape)) ** r
    assert 4 ** log2_minor_bound(A, r) >= squared_height


@given(matrices(integers, most=4), st.integers(0, 2))
def test_T26_failure_probability(matrix, slack):
    """T26: a uniform prime of k bits fails with probability at most log2(Hd) / (k - 1) / #primes.

    Statement. Hd bounds all minors of order up to an upper bound of the rank. The number of primes
    of k bits is counted, not estimated.
    Source. Derived here from (b) above: primes of k bits are at least 2^(k-1).

    Check. All primes of k bits in turn, for k = 4 to 9.
    """
    A, r = matrix
    height = log2_minor_bound(A, r + slack)
    for k in range(4, 10):
        primes = list(sympy.primerange(2 ** (k - 1), 2**k))
        assert len(primes) == prime_count(k)
        failing = sum(modular.rank(A, p) < r for p in primes)
        assert Fraction(failing, len(primes)) <= failure_probability(height, k)


def test_T26_controls():
    """T26: the height must be that of the upper end, and the coin must be real.

    A = (143) has rank 1, but 0 modulo 11 and 13, the two primes of four bits. Hadamard's bound for
    the rank that was found, 0, would claim that failure is impossible. A prime that is known before
    the matrix always fails for its multiples. And no residue tells the sign of a pre-activation:
    1 and 1 - p agree modulo p.
    """
    A = ed.QMatrix([[143]])
    assert [modular.rank(A, p) for p in sympy.primerange(8, 16)] == [0, 0]
    assert failure_probability(log2_minor_bound(A, 0), 4) == 0
    assert failure_probability(log2_minor_bound(A, 1), 4) == 1
    assert modular.rank(ed.QMatrix([[MERSENNE]]), MERSENNE) == 0
    net = ed.ReLUNetwork([[[1]], [[1]]])
    near, far = ([[x]] for x in (1, 1 - MERSENNE))
    assert modular.residues(near, MERSENNE) == modular.residues(far, MERSENNE)
    assert ed.activation_pattern(net, near) != ed.activation_pattern(net, far)


def test_T26_goldens():
    """T26: numbers for (10, 8, 8, 8, 5) with log2 Hd = 28176 and for MNIST, 267 bits a row.

    With 2^(k-1) / (k ln 2) for the number of primes: 1.9e-5 for 31 bits and 8.6e-15 for 62; for
    5400 rows of 267 bits 9.6e-4 and 4.4e-13. That estimate is too large for k = 4, 6, 7, 8 and for
    no other k up to 62, so primes are counted. At r = 16522 the bound for a weighted Gram matrix
    modulo a prime of 23 bits is 0.76; for 2^-40 it takes 99 of these, 5 of 31 bits, or 2 of 46.
    """

    def estimate(k):
        return 2 ** (k - 1) / (k * math.log(2))

    for height, k, expected in (
        (28176, 31, 1.9e-5),
        (28176, 62, 8.6e-15),
        (5400 * 267, 31, 9.6e-4),
        (5400 * 267, 62, 4.4e-13),
    ):
        assert height / (k - 1) / estimate(k) == pytest.approx(expected, rel=0.02)
        assert failure_probability(height, k) == pytest.approx(expected, rel=0.03)
    assert [k for k in range(4, 63) if estimate(k) > prime_count(k)] == [4, 6, 7, 8]
    rank, needed = 16522, {}
    for k in (23, 31, 46):
        failure = failure_probability(267 * rank, k, gram_rank=rank)
        needed[k] = math.ceil(40 / -math.log2(failure))
    assert failure_probability(267 * rank, 23, gram_rank=rank) == pytest.approx(0.76, abs=0.005)
    assert needed == {23: 99, 31: 5, 46: 2}


@st.composite
def dyadic_problems(draw):
    """Generate a network and a batch with entries in Z / 8."""
    dyadics = st.sampled_from([Fraction(x, 8) for x in range(-24, 25)])
    net = draw(relu_networks(elements=dyadics))
    point = st.lists(dyadics, min_size=net.widths[0], max_size=net.widths[0])
    return net, draw(st.lists(point, min_size=1, max_size=3))


@given(dyadic_problems())
@example((ed.ReLUNetwork([[[1, 1, 1]], [[1]]], [[1], [1]]), [[1, 1, 1]]))
def test_T26_bits_of_the_entries(problem):
    """T26: a bound on the entries of J, made integral, for dyadic weights and samples.

    Statement. Let layer l (weights and bias) have entries in 2^-s_l Z of absolute value at most
    2^m_l, the samples in 2^-s_x Z and at most 2^m_x. Then 2^(s_x + sum s_l) J is integral, and its
    entries are at most 2^B with
    B = sum_l (s_l + max(m_l, 0) + log2(N_{l-1} + 1)) + s_x + max(m_x, 0).
    Source. Derived here.
    Proof. An entry is a sum of products of at most one entry of each layer and one coordinate of
    the sample, or 1. A product with layer l multiplies the largest absolute value by at most
    (N_{l-1} + 1) 2^max(m_l, 0).

    In the example all s and m are 0, and a hidden unit has the value N_0 + 1 = 4: the logarithms
    are needed.
    """
    net, X = problem[0], ed.QMatrix(problem[1])

    def scale(*parts):
        numbers = [x for part in parts if part is not None for row in part.tolist() for x in row]
        largest = max(1, *(math.ceil(abs(x)) for x in numbers))
        return math.lcm(*(x.denominator for x in numbers)), 1 << (largest - 1).bit_length()

    pairs = [scale(X), *(scale(W, b) for W, b in zip(net.weights, net.biases, strict=True))]
    denominator = math.prod(s for s, _ in pairs)
    bound = math.prod(s * m for s, m in pairs) * math.prod(n + 1 for n in net.widths[:-1])
    J = ed.jacobian(net, X, on_kink="zero") * denominator
    assert J.denominator == 1
    assert max(abs(x) for x in J.numerators()) <= bound


# -- T27 ------------------------------------------------------------------------------------------


def proves_rank_at_most(A, r, primes):
    """Apply T27 (3'): distinct primes, all ranks at most r, and a product above Hadamard."""
    height = min(math.prod(squared_norms(B)[: r + 1]) for B in (A, A.T))
    distinct = len(set(primes)) == len(primes)
    low = all(modular.rank(A, p) <= r for p in primes)
    return distinct and low and math.prod(primes) ** 2 > height


def test_T27_many_primes_for_small_matrices_completely():
    """T27 (3'): distinct primes whose product exceeds Hadamard's bound prove a rank from above.

    Statement. A is an integer matrix, and Hd the product of the r + 1 largest row norms, or column
    norms. If rank_p A <= r for distinct primes whose product is larger than Hd, then rank A <= r.
    Source. Derived here.
    Proof. Each minor of order r + 1 is divisible by all these primes, hence by their product, and
    in absolute value at most Hd, which is smaller. So all are 0.

    Check. All 2 x 2 matrices with entries up to 3 and all sets of primes up to 11.
    """
    pool = (2, 3, 5, 7, 11)
    sets = [chosen for size in range(6) for chosen in combinations(pool, size)]
    squared = {chosen: math.prod(chosen) ** 2 for chosen in sets}
    proofs = 0
    for a, b, c, d in product(range(-3, 4), repeat=4):
        determinant = a * d - b * c
        rank = 2 if determinant else 1 if any((a, b, c, d)) else 0
        rows, columns = (a * a + b * b, c * c + d * d), (a * a + c * c, b * b + d * d)
        heights = [min(max(rows), max(columns)), min(math.prod(rows), math.prod(columns))]
        ranks = {p: 2 if determinant % p else int(any(x % p for x in (a, b, c, d))) for p in pool}
        for r, height in enumerate(heights):
            low = {p for p in pool if ranks[p] <= r}
            for chosen in sets:
                if low.issuperset(chosen) and squared[chosen] > height:
                    assert rank <= r
                    proofs += 1
    assert proofs > 1000


def test_T27_controls():
    """T27 (3'): a product equal to the bound, or a prime used twice, proves nothing.

    diag(1, 6) has rank 1 modulo 2 and modulo 3, and 2 * 3 = 6 is Hadamard's bound: rank 2. With 2,
    2, 2 the product is 8, but 2 is one prime only. For Gram matrices principal minors suffice, for
    other symmetric matrices not: [[0, 1], [1, 0]] has rank 2 and principal minors 0, 0 of order 1.
    """
    A = ed.QMatrix([[1, 0], [0, 6]])
    assert math.prod(squared_norms(A)) == 6**2
    assert [modular.rank(A, p) for p in (2, 3)] == [1, 1]
    assert A.rank() == 2
    assert not proves_rank_at_most(A, 1, [2, 3])
    assert not proves_rank_at_most(A, 1, [2, 2, 2])
    assert not proves_rank_at_most(A, 1, [2, 3, 5])
    assert proves_rank_at_most(ed.QMatrix([[1, 6], [0, 0]]), 1, [2, 3])
    swap = ed.QMatrix([[0, 1], [1, 0]])
    assert swap.rank() == 2
    assert [swap.minor([i], [i]) for i in (0, 1)] == [0, 0]


@given(matrices(), st.booleans())
def test_T27_many_primes_of_the_package(matrix, gram):
    """T27 (3'), as the package does it, for the matrix and for its Gram matrix.

    Statement. For a Gram matrix G = A A^T it is enough that the product exceeds that of the r + 1
    largest diagonal entries.
    Source. Derived here.
    Proof. G is positive semidefinite, so if rank G > r some principal minor of order r + 1 is not 0
    (A A^T restricted to r + 1 independent rows of A). It is divisible by the product of the primes
    and at most the product of its diagonal, by Hadamard.

    Check. The run proves the rank, refuses every smaller claim, and uses primes enough; another
    useful height is (trace / order)^order, by the means of the eigenvalues.
    """
    A, rank = matrix
    scaled = scaled_integers(A)
    assert scaled.denominator == 1
    assert scaled.rank() == rank
    for claim in range(rank + 1):
        plan = ManyPrimes(scaled, claim, gram=gram)
        assert (plan.run() == claim) == (claim == rank)
    primes = list(plan.primes())
    assert len(set(primes)) == len(primes)
    if not gram:
        assert proves_rank_at_most(scaled, rank, primes)
        return
    G = plan.matrix
    diagonal = sorted((G[i, i] for i in range(G.shape[0])), reverse=True)
    assert math.prod(primes) > math.prod(diagonal[: rank + 1])
    for order in range(1, min(G.shape) + 1):
        for picked in combinations(range(G.shape[0]), order):
            minor, entries = G.minor(picked, picked), [G[i, i] for i in picked]
            assert 0 <= minor <= math.prod(entries) <= (sum(entries) / Fraction(order)) ** order


def spelled_out(factors, witness):
    """Return the kernel vectors that a bound names or writes down, one per row."""
    length = factors.shape[witness["side"] == "columns"]
    units = [(layer, k) for layer, w in enumerate(factors.net.widths[1:-1]) for k in range(w)]
    gauge = dict(zip(units, ed.gauge_vectors(factors.net).tolist(), strict=True))
    vectors = []
    for vector in witness["vectors"]:
        entries = vector.get("entries", {})
        row = [Fraction(entries.get(str(i), 0)) for i in range(length)]
        if "unit" in vector:
            row[vector["unit"]] = Fraction(1)
        vectors.append(gauge[tuple(vector["gauge"])] if "gauge" in vector else row)
    return ed.QMatrix(vectors) if vectors else ed.QMatrix.zeros(0, length)


def check_kernel_proof(factors):
    """Check T27 (3) for one problem."""
    J, p = factors.dense, 2**61 - 1
    rank = modular.rank(J, p)
    assert rank == sympy_rank(J)
    bound = closing.KernelProof(factors, rank, p).run(None)
    assert bound is not None
    vectors = spelled_out(factors, bound.witness)
    side = J if bound.witness["side"] == "columns" else J.T
    assert (side @ vectors.T).is_zero()
    assert sympy_rank(vectors) == vectors.shape[0] == side.shape[1] - rank
    assert bound.value == rank


@given(problems())
def test_T27_kernel_vectors(factors):
    """T27 (3): independent vectors in the kernel bound the rank, and P - r of them settle it.

    Statement. If J v = 0 for s independent v, rank J <= P - s; if v J = 0, rank J <= n N_L - s.
    Such vectors exist with s = P - rank J, with rational entries, and are found from a prime p with
    rank_p J = rank J: each column outside a set of pivot columns modulo p is a rational combination
    of these.
    Source. Standard.
    Proof. Rank and nullity. If rank_p J = rank J = r, columns that are independent modulo p are
    independent, and r of them are a basis of the column space.
    """
    check_kernel_proof(factors)


def test_T27_kernel_vectors_of_small_networks_completely():
    """T27 (3) for all networks with weights -1, 0, 1 and all masks of one sample."""
    for factors in small_problems(False, samples=1):
        check_kernel_proof(factors)


def test_T27_control_vectors_must_be_checked_over_the_rationals():
    """T27: GE1 modulo 3 has rank 2, so two kernel vectors modulo 3, but only one rational one.

    The package finds no proof for the rank that this prime suggests, by kernels or many primes.
    """
    factors = jacobian_factors(GE1, BATCH)
    assert modular.rank(factors.dense, 3) == 2 < factors.dense.rank() == 3
    assert factors.dense.kernel().tolist() == [[2, -1, -3, 0]]
    assert closing.KernelProof(factors, 2, 3).run(None) is None
    assert closing.estimate(factors, 2, 3).run() is None
    assert closing.estimate(factors, 3, 7).run().value == 3


def test_T27_ladder():
    """T27: the ladder ends in a proof, whose certificate the separate checker accepts.

    Statement. (1) max_p rank_p J <= rank J. (2) rank J <= every bound of T7, T9 and T28. Where they
    meet, the rank is proved. (3) and (3') close what is left.

    Check. For all networks with weights -1, 0, 1 the bounds meet the rank. At the golden of T17
    they stop at 7, and kernel vectors prove 6.
    """
    for widths, bias in ARCHITECTURES:
        X = SAMPLES[widths[0]]
        for number, net in enumerate(ternary_networks(widths, bias)):
            d = ed.local_dimension(net, X, on_kink="zero", proof="full")
            assert d.value == sympy_rank(ed.jacobian(net, X, on_kink="zero"))
            assert d.evidence.upper.name not in {"kernel", "many-primes"}
            if number % 10 == 0:
                assert ed.verify(d.certificate()).accepted
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 2]]], [[0, 0], [1]])
    X = [[1, 2], [3, 1], [2, 7], [5, 3], [4, 9], [1, -2], [-3, 2], [-1, -5], [-2, -3]]
    d = ed.local_dimension(net, X)
    assert (d.value, d.evidence.upper.name, d.bounds[1].value) == (6, "kernel", 7)
    assert ed.verify(d.certificate()).accepted


# -- T28 ------------------------------------------------------------------------------------------


def test_T28_kernel_of_the_softmax_derivative():
    """T28: S = diag(p) - p p^T has rank N - 1 and kernel span(1), for all p > 0 with sum 1.

    Source. Standard.
    Proof. If S y = 0 then p_j (y_j - p.y) = 0 for all j, so y_j = p.y: y is constant; and S 1 = p -
    p = 0.

    Check. With symbols: S 1 = 0, and the leading minor of order N - 1 is the product of all p_j.
    Controls: a probability that is 0 lowers the rank, and without sum 1 there is no kernel.
    """
    for N in range(2, 6):
        p = sympy.Matrix(sympy.symbols(f"p:{N}"))
        S = sympy.diag(*p) - p * p.T
        last = {p[N - 1]: 1 - sum(p[: N - 1])}
        assert (S * sympy.ones(N, 1)).subs(last).expand().is_zero_matrix
        determinant = S[: N - 1, : N - 1].det(method="berkowitz")
        assert sympy.expand(determinant - sympy.prod(p).subs(last)) == 0
    saturated, unnormalised = sympy.Matrix([1, 1, 0]) / 2, sympy.Matrix([2, 1]) / 4
    assert (sympy.diag(*saturated) - saturated * saturated.T).rank() == 1
    assert (sympy.diag(*unnormalised) - unnormalised * unnormalised.T).rank() == 2


def softmax_jacobian(J, outputs, weights):
    """blockdiag(diag(p_i) - p_i p_i^T) J with p_i proportional to some positive integers."""
    rows, table = [], J.tolist()
    for i in range(len(table) // outputs):
        p = [Fraction(w, sum(weights[i])) for w in weights[i]]
        S = [[p[j] * ((j == k) - p[k]) for k in range(outputs)] for j in range(outputs)]
        rows.append(ed.QMatrix(S) @ ed.QMatrix(table[i * outputs : (i + 1) * outputs]))
    return ed.QMatrix.vstack(rows)


def check_softmax(factors, weights):
    """Check T28 for one problem."""
    net, J, N = factors.net, factors.dense, factors.outputs
    rank = softmax_jacobian(J, N, weights).rank()
    head = JacobianFactors(net, factors.batch, factors.pattern, "softmax")
    C = kronecker(ed.QMatrix.identity(factors.n), head_matrix("softmax", N))
    assert head.dense == C @ J
    assert head.dense.rank() == rank
    assert J.rank() - factors.n <= rank <= min(J.rank(), factors.n * (N - 1))
    shifts = net.widths[-2] + net.has_bias[-1]
    bound = net.n_parameters - net.n_hidden - shifts
    assert rank <= bound == StructuralBounds(head).parameters().value
    return rank


@given(problems(relu_networks(output_width=3) | degenerate_networks(output_width=2)), st.data())
def test_T28_softmax_head(factors, data):
    """T28: the softmax head, exactly and whatever the probabilities are.

    Statement. The Jacobian of softmax(f) is blockdiag(diag(p_i) - p_i p_i^T) J, where p_i are the
    probabilities at sample i. With C = [I | -1] of shape (N_L - 1) x N_L its rank is that of
    (I (x) C) J: no exponential is needed, and saturation changes nothing. Moreover
      rank J - n <= rank J_softmax <= min(rank J, n (N_L - 1)),
      rank J_softmax <= P - H - (N_{L-1} + [last layer has a bias]),
    the latter for every theta, mask and batch. For N_L = 1 the rank is 0.

    Source. Derived here.

    Proof. S = diag(p) - p p^T and C both have kernel span(1), so S = E C with an injective matrix
    E, block by block, and the ranks agree. C takes one dimension from each sample, hence the lower
    end. C f is the output of the network with last layer C W_L, C b_L, and these depend on W_L, b_L
    by a linear surjection, so (I (x) C) J has the column space of that network's Jacobian. That
    network has N_{L-1} + [bias] parameters less: T7 for it is the bound if N_L >= 2.

    Check. Random rational probabilities in place of the true ones, some near 0 and 1.
    """
    N = factors.outputs
    positive = st.integers(1, 5) | st.sampled_from([10**6, 10**30])
    one = st.lists(positive, min_size=N, max_size=N)
    samples = st.lists(one, min_size=factors.n, max_size=factors.n)
    assert check_softmax(factors, data.draw(samples)) == check_softmax(factors, data.draw(samples))


def test_T28_small_networks_completely():
    """T28 for all networks with weights -1, 0, 1 and all masks; rank 0 where N_L = 1."""
    for factors in small_problems(False):
        if factors.outputs == 2:
            check_softmax(factors, [[1, 2], [3, 10**9]])
        else:
            assert softmax_jacobian(factors.dense, 1, [[1], [2]]).rank() == 0


def test_T28_goldens():
    """T28: the bound is attained, and one more cannot be taken off without an output bias.

    (2, 3, 3): 14 of P - H = 18; (2, 4, 3): 18 of 23; (3, 5, 4, 3): 45 of 50. For MNIST with (784,
    30, 30, 30, 10): P = 25720, H = 90, P - H = 25630, softmax 25599. Without biases, (1, 1, 2) with
    weights 1 and (1, 2) at x = 1 has softmax rank 1 = P - H - N_{L-1}.
    """
    for widths, rank, without_head in (
        ((2, 3, 3), 14, 18),
        ((2, 4, 3), 18, 23),
        ((3, 5, 4, 3), 45, 50),
    ):
        net = ed.ReLUNetwork.random(widths, seed=0, bits=4)
        X = np.random.default_rng(0).integers(-40, 41, (60, widths[0]))
        d = ed.local_dimension(net, X, head="softmax", on_kink="drop")
        assert (d.value, net.n_parameters - net.n_hidden) == (rank, without_head)
        assert rank == without_head - (widths[-2] + 1)
    widths = (784, 30, 30, 30, 10)
    P = sum((a + 1) * b for a, b in pairwise(widths))
    assert (P, P - 90, P - 90 - 31) == (25720, 25630, 25599)
    net = ed.ReLUNetwork([[[1]], [[1], [2]]])
    rank = ed.local_dimension(net, [[1]], head="softmax").value
    assert rank == 1 == net.n_parameters - net.n_hidden - 1
