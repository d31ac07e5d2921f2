"""The checks: right functions pass, and for each check there is a wrong function that it finds."""

import inspect
import subprocess
import sys
import textwrap
from fractions import Fraction
from functools import partial

import numpy as np
import oracles
import pytest
import torch
from numpy.lib.stride_tricks import as_strided

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.arith import modular
from exactdim.nets.jacobian import float_jacobian
from exactdim.testing._checks.ranks import _Case
from exactdim.testing.conformance import (
    Check,
    jacobian_checks,
    parametrize_with_checks,
    rank_checks,
    run_checks,
)

P31 = 2**31 - 1
RANK_CHECKS = {check.name: check for check in rank_checks()}
JACOBIAN_CHECKS = {check.name: check for check in jacobian_checks()}
EXACT_ONLY = [check.name for check in rank_checks() if check.level == "exact"]


def failures(function, checks=None, **options) -> dict[str, Exception]:
    return {name: error for name, error in run_checks(function, checks=checks, **options) if error}


# -- right functions -------------------------------------------------------------------------------


def sympy_rank(A) -> int:
    return oracles.rank(QMatrix(A).tolist())


def fraction_rank(A) -> int:
    return oracles.fraction_rank(QMatrix(A).tolist())


def numpy_float32(A) -> int:
    return np.linalg.matrix_rank(A.astype(np.float32))


def torch_rank(A) -> torch.Tensor:
    return torch.linalg.matrix_rank(torch.from_numpy(A).double())


@parametrize_with_checks([ed.matrix_rank, sympy_rank, fraction_rank])
def test_exact_rank(rank, check):
    check(rank)


@parametrize_with_checks([np.linalg.matrix_rank, numpy_float32, torch_rank], level="any")
def test_float_rank(rank, check):
    check(rank)


def autograd(net, X):
    """The code that the docstring of `jacobian_checks` gives for torch."""
    source = inspect.getdoc(jacobian_checks).split("::\n")[1].split("Examples")[0]
    scope = {"torch": torch}
    exec(textwrap.dedent(source), scope)
    return scope["jac"](net, X)


def chain_rule(net, X):
    return oracles.jacobian(oracles.layers_of(net), QMatrix(X).tolist())


@parametrize_with_checks(
    [ed.jacobian, chain_rule, autograd, float_jacobian, partial(float_jacobian, dtype=np.float32)],
    checks=jacobian_checks(),
)
def test_exact_jacobian(jac, check):
    check(jac)


def test_no_seed_makes_a_check_unfair(many):
    """The matrices for float code are well conditioned by construction, whatever is drawn."""
    for seed in range(1, 200 if many else 5):
        checks = rank_checks(seed=seed)
        assert failures(ed.matrix_rank, checks) == {}
        for rank in (np.linalg.matrix_rank, numpy_float32):
            assert failures(rank, checks, level="any") == {}
        for jac in (ed.jacobian, float_jacobian, partial(float_jacobian, dtype=np.float32)):
            assert failures(jac, jacobian_checks(seed=seed)) == {}


# -- wrong rank functions --------------------------------------------------------------------------


def writes_into_its_argument(A):
    rank = ed.matrix_rank(A)
    A[:] = 0
    return rank


def distinct_singular_values(A):
    s = np.linalg.svd(A, compute_uv=False).round(6)
    return len({x for x in s.tolist() if x})


def normalises_rows(A):
    with np.errstate(all="ignore"):
        B = A / np.linalg.norm(A, axis=1, keepdims=True)
    return 0 if np.isnan(B).any() else ed.matrix_rank(A)


def counts_repeated_rows(A):
    return ed.matrix_rank(A) + len(A) - len(np.unique(A, axis=0))


def without_pivoting(A):
    rows = QMatrix(A).tolist()
    k = 0
    while k < min(A.shape) and rows[k][k]:
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [u - factor * v for u, v in zip(rows[i], rows[k], strict=True)]
        k += 1
    return k


def symmetric_means_definite(A):
    square = A.shape[0] == A.shape[1]
    if square and (A == A.T).all() and (np.diag(A) > 0).all():
        return len(A)
    return ed.matrix_rank(A)


def casts_integers_to_bytes(A):
    return ed.matrix_rank(A.astype(np.uint8) if A.dtype.kind == "i" else A)


def float_elimination(A, tolerance=0.0):
    """Gaussian elimination with partial pivoting, which counts every pivot that is not zero."""
    rows, rank = A.astype(np.float64), 0
    for column in range(A.shape[1]):
        if rank == len(rows):
            break
        best = rank + int(np.abs(rows[rank:, column]).argmax())
        if abs(rows[best, column]) <= tolerance:
            continue
        rows[[rank, best]] = rows[[best, rank]]
        rows[rank + 1 :] -= np.outer(rows[rank + 1 :, column] / rows[rank, column], rows[rank])
        rank += 1
    return rank


def one_block_only(A):
    """Rank of the connected component of the first nonzero entry."""
    if not A.any():
        return 0
    rows, columns = {int(np.argwhere(A)[0][0])}, set()
    while True:
        more = {int(j) for i in rows for j in np.flatnonzero(A[i])}
        again = {int(i) for j in more for i in np.flatnonzero(A[:, j])}
        if (more, again) == (columns, rows):
            return ed.matrix_rank(A[np.ix_(sorted(rows), sorted(columns))])
        rows, columns = rows | again, more


def stops_at_the_first_dependent_row(A):
    """A part may then have a larger rank than the whole."""
    ranks = [ed.matrix_rank(A[: k + 1]) for k in range(len(A))]
    return next((k for k, rank in enumerate(ranks) if rank <= k), len(A))


def float32_with_threshold_of_float64(A):
    """Section 8: singular values in float32, noise judged by the threshold of float64."""
    s = torch.linalg.svdvals(torch.from_numpy(A.astype(np.float32))).double()
    return int((s > s.max() * max(A.shape) * 2.0**-52).sum()) if A.size else 0


def reads_memory_in_c_order(A):
    size = A.itemsize
    return ed.matrix_rank(as_strided(A, strides=(size * A.shape[1], size)))


def modulo(A):
    return modular.rank(QMatrix(A * 16 if A.dtype.kind == "f" else A), P31)


def gram_modulo(A):
    M = QMatrix(A)
    return modular.rank(M @ M.T, P31)


def short_fractions(A):
    table = [[x.limit_denominator(1000) for x in row] for row in QMatrix(A).tolist()]
    return ed.matrix_rank(table)


def gram_in_floats(A):
    B = A.astype(np.float64)
    return np.linalg.matrix_rank(B @ B.T)


def through_floats(A):
    return ed.matrix_rank(A.astype(np.float64))


def flushes_small_numbers(A):
    B = A.copy()
    if B.dtype.kind == "f":
        B[np.abs(B) < 2.0**-1022] = 0
    return ed.matrix_rank(B)


def numpy_rank(A):
    """Threshold rules may warn of overflow, which is not what is tested here."""
    with np.errstate(all="ignore"):
        return np.linalg.matrix_rank(A)


def gram_in_int64(A):
    B = A.astype(np.int64) if A.dtype.kind == "i" else A
    return ed.matrix_rank(B @ B.T)


KNOWN = {str(case): case.rank for case in RANK_CHECKS["products"].cases()}


def right_on_products(rank):
    """The same mistake, but not on the matrices that the others are made of."""

    def mostly_wrong(A):
        return KNOWN.get(str(_Case(A, 0))) or rank(A)

    return mostly_wrong


NO_TOLERANCE = partial(np.linalg.matrix_rank, tol=0)

WRONG_RANKS = {
    "zero_matrices": lambda A: max(1, ed.matrix_rank(A)),
    "integer_scalars": lambda A: float(ed.matrix_rank(A)),
    "unchanged_input": writes_into_its_argument,
    "empty_matrices": lambda A: ed.matrix_rank(A) if A.size else 1,
    "identities": distinct_singular_values,
    "single_rows_and_columns": lambda A: 1 if 1 in A.shape else ed.matrix_rank(A),
    "outer_products": lambda A: min(len(np.unique(A, axis=0)), len(np.unique(A.T, axis=0))),
    "products": lambda A: min(A.shape),
    "zero_rows_and_columns": right_on_products(normalises_rows),
    "duplicated_rows": right_on_products(counts_repeated_rows),
    "duplicated_columns": right_on_products(lambda A: counts_repeated_rows(A.T)),
    "permutations": right_on_products(without_pivoting),
    "transposes": right_on_products(stops_at_the_first_dependent_row),
    "gram_matrices": right_on_products(symmetric_means_definite),
    "integer_dtype": casts_integers_to_bytes,
    "int64_overflow": gram_in_int64,
    "scaled_matrices": partial(np.linalg.matrix_rank, tol=0.01),
    "mildly_scaled_rows_and_columns": partial(np.linalg.matrix_rank, rtol=0.05),
    "slices": right_on_products(stops_at_the_first_dependent_row),
    "block_diagonals": one_block_only,
    "all_ones": NO_TOLERANCE,
    "small_integers": float_elimination,
    "float32_dtype": float32_with_threshold_of_float64,
    "memory_layouts": reads_memory_in_c_order,
    "multiples_of_primes": modulo,
    "isotropic_rows": gram_modulo,
    "scaled_rows": numpy_rank,
    "scaled_columns": numpy_rank,
    "rescaled_network_float32": numpy_rank,
    "rescaled_network_float64": numpy_rank,
    "tiny_diagonals": partial(float_elimination, tolerance=1e-12),
    "unit_triangles": numpy_rank,
    "hilbert_matrices": numpy_rank,
    "lauchli_matrices": gram_in_floats,
    "neighbouring_floats": short_fractions,
    "large_int64": through_floats,
    "decimal_fractions": short_fractions,
    "extreme_exponents": flushes_small_numbers,
}

ALONE = ["integer_scalars", "unchanged_input", "empty_matrices", "memory_layouts"]
ALONE += ["large_int64", "extreme_exponents"]


def test_there_is_a_wrong_function_for_every_rank_check():
    assert set(WRONG_RANKS) == set(RANK_CHECKS)
    assert set(WRONG_JACOBIANS) == set(JACOBIAN_CHECKS)


@pytest.mark.parametrize("name", RANK_CHECKS)
def test_each_rank_check_finds_its_wrong_function(name):
    with pytest.raises(AssertionError, match=f"^{name}: "):
        RANK_CHECKS[name](WRONG_RANKS[name])


@pytest.mark.parametrize("name", ALONE)
def test_checks_that_no_other_check_replaces(name):
    assert list(failures(WRONG_RANKS[name])) == [name]


@pytest.mark.parametrize("p", [2, 3, 101, 65537, 998244353, P31, 2**61 - 1, 2**63 - 25])
def test_ranks_modulo_a_prime_are_found(p):
    with pytest.raises(AssertionError, match="returned 0, the exact rank is 2"):
        RANK_CHECKS["multiples_of_primes"](lambda A: modular.rank(QMatrix(A), p))


@pytest.mark.parametrize("p", [2, 3, 5, 13, P31])
def test_gram_matrices_modulo_a_prime_are_found(p):
    """T24: rank_p(J J^T) may be below rank_p J; the last prime is the example given there."""
    with pytest.raises(AssertionError, match="returned 0, the exact rank is 1"):
        RANK_CHECKS["isotropic_rows"](lambda A: modular.rank(QMatrix(A) @ QMatrix(A).T, p))


def test_both_layouts_occur_and_are_needed():
    flags = {
        (A.flags.c_contiguous, A.flags.f_contiguous)
        for A, *_ in RANK_CHECKS["memory_layouts"].cases()
    }
    assert {(False, True), (False, False)} <= flags


def test_the_known_failures_are_found():
    """Numpy's default on a rescaled two-point network; no tolerance on a matrix of ones."""
    found = failures(numpy_rank)
    assert set(found) <= set(EXACT_ONLY)
    message = str(found["rescaled_network_float32"])
    assert "returned 1, the exact rank is 2" in message
    assert "dtype=np.float32" in message
    assert "rescaled_network_float64" in found
    noise = failures(NO_TOLERANCE, level="any")
    assert "the exact rank is 1, for\nA = np.ones(" in str(noise["all_ones"])


# -- counterexamples -------------------------------------------------------------------------------


def pasted(message: str):
    """Evaluate the matrix of a message as a reader would."""
    return eval(message.split("A = ")[1], {"np": np})


@pytest.mark.parametrize("name", RANK_CHECKS)
def test_every_counterexample_can_be_pasted_and_is_one(name):
    """Whichever matrix of a check fails first, the message spells it, bit for bit."""
    check, seen = RANK_CHECKS[name], []

    def watch(A):
        seen.append(A.copy())
        return sympy_rank(A)

    check(watch)
    for k, matrix in enumerate(seen):
        calls = iter(range(len(seen)))

        def wrong(A, k=k, calls=calls):
            if next(calls) < k:
                return ed.matrix_rank(A)
            A += 1
            return "wrong"

        with pytest.raises(AssertionError) as caught:
            check(wrong)
        message = str(caught.value)
        again = pasted(message)
        assert again.dtype == matrix.dtype
        assert again.shape == matrix.shape
        assert again.tobytes() == matrix.tobytes()
        if name != "unchanged_input":
            assert f"returned 'wrong', the exact rank is {sympy_rank(matrix)}" in message


def test_what_the_function_raises_passes_through_with_the_matrix():
    def refuses(A):
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError, match="no") as caught:
        RANK_CHECKS["transposes"](refuses)
    (note,) = caught.value.__notes__
    assert note.startswith("raised in the check transposes, for\nA = ")
    assert pasted(note).shape == (2, 2)
    RANK_CHECKS["empty_matrices"](refuses)  # refusing these is allowed
    assert {type(error) for error in failures(refuses).values()} == {ZeroDivisionError}
    assert len(failures(refuses)) == len(RANK_CHECKS) - 1


@pytest.mark.parametrize("answer", [None, "2", np.array([1, 2]), torch.tensor([1, 2]), np.nan, [1]])
def test_answers_that_are_no_numbers(answer):
    found = failures(lambda A: answer)
    assert len(found) == len(RANK_CHECKS) - 1  # nothing was written into the argument
    assert {type(error) for error in found.values()} == {AssertionError}


def test_integral_floats_are_told_apart_from_wrong_ranks():
    assert list(failures(lambda A: np.float64(ed.matrix_rank(A)))) == ["integer_scalars"]
    for kind in (np.int8, np.array, torch.tensor):
        assert failures(lambda A, kind=kind: kind(ed.matrix_rank(A))) == {}


# -- wrong Jacobians -------------------------------------------------------------------------------


def backpropagated(net, X, *, slope=0, forward_only=False, activation=lambda z: z, columns="ours"):
    """A Jacobian by the chain rule in float64, with places for mistakes."""
    layers = net.float_layers
    h, inputs, masks = X, [], []
    for layer, (W, b) in enumerate(layers):
        inputs.append(h)
        z = h @ W.T + b
        if layer < net.depth - 1:
            masks.append(np.where(z > 0, 1.0, slope))
            h = activation(z) * masks[-1]
    n, d = len(X), net.widths[-1]
    M = np.broadcast_to(np.eye(d), (n, d, d))
    weights, biases = [], []
    for layer in range(net.depth - 1, -1, -1):
        block = np.einsum("ijk,im->ijkm", M, inputs[layer])
        weights.insert(0, (block.swapaxes(2, 3) if columns == "keras" else block))
        biases.insert(0, M if net.has_bias[layer] else M[:, :, :0])
        if layer:
            M = M @ layers[layer][0]
            M = M if forward_only else M * masks[layer - 1][:, None, :]
    weights = [block.reshape(n * d, -1) for block in weights]
    biases = [block.reshape(n * d, -1) for block in biases]
    if columns == "ours":
        return np.hstack([part for pair in zip(weights, biases, strict=True) for part in pair])
    return np.hstack([*weights, *biases])


def with_clipped_weights(net, X):
    theta = np.clip(net.parameters().to_numpy(np.float64), -1, 1)
    return backpropagated(net.with_parameters(theta), X)


def without_the_first_hidden_unit(net, X):
    J = backpropagated(net, X)
    if net.n_hidden:
        J[:, : net.widths[0]] = 0
    return J


def halving_later_rows(net, X):
    J = backpropagated(net, X)
    return J / (1 + np.arange(len(J)) // (3 * net.widths[-1]))[:, None]


WRONG_JACOBIANS = {
    "shapes": lambda net, X: backpropagated(net, X)[:, :-1],
    "column_order": partial(backpropagated, columns="keras"),
    "gauge_vectors_in_kernel": partial(backpropagated, forward_only=True),
    "rescaled_units": with_clipped_weights,
    "permuted_units": without_the_first_hidden_unit,
    "repeated_samples": halving_later_rows,
    "single_samples": lambda net, X: backpropagated(net, X - X.mean(axis=0)),
    "affine_pieces": partial(backpropagated, activation=lambda z: z * z),
    "finite_differences": lambda net, X: 2 * backpropagated(net, X),
    "dead_units": partial(backpropagated, slope=2.0**-7),
}


@pytest.mark.parametrize("name", JACOBIAN_CHECKS)
def test_each_jacobian_check_finds_its_wrong_function(name):
    JACOBIAN_CHECKS[name](backpropagated)  # without mistakes
    with pytest.raises(AssertionError, match=f"^{name}: "):
        JACOBIAN_CHECKS[name](WRONG_JACOBIANS[name])


def test_mistakes_that_laws_alone_cannot_see():
    """Twice the Jacobian obeys every law but the two that know the scale."""
    found = failures(WRONG_JACOBIANS["finite_differences"], jacobian_checks())
    assert list(found) == ["column_order", "finite_differences"]
    assert "in another order" not in str(found["column_order"])
    (only,) = {
        name
        for name, error in failures(WRONG_JACOBIANS["column_order"], jacobian_checks()).items()
        if "the columns are right but in another order" in str(error)
    }
    assert only == "column_order"


@pytest.mark.parametrize("name", JACOBIAN_CHECKS)
def test_counterexamples_of_jacobian_checks_can_be_pasted(name):
    with pytest.raises(AssertionError) as caught:
        JACOBIAN_CHECKS[name](WRONG_JACOBIANS[name])
    network, batch = str(caught.value).split("net = ")[1].split("\nX = ")
    net = eval(network, {"ReLUNetwork": ed.ReLUNetwork})
    X = eval(batch, {"np": np})
    assert not ed.activation_pattern(net, X, on_kink="zero").kinks
    assert QMatrix(WRONG_JACOBIANS[name](net, X)) != ed.jacobian(net, X) or name in {
        "repeated_samples",  # wrong only where a sample comes again
        "rescaled_units",  # wrong only after rescaling
    }


def test_what_is_no_jacobian():
    for answer, complaint in (
        (np.zeros((2, 2, 2)), "two dimensions"),
        (None, "give a list of rows"),
        (np.full((1, 1), np.nan), "nan"),
    ):
        found = failures(lambda net, X, answer=answer: answer, jacobian_checks())
        assert set(found) == set(JACOBIAN_CHECKS)
        assert all(complaint in str(error) for error in found.values())


@pytest.mark.parametrize("part", [slice(None, -1), slice(1, None), slice(None, None, 2)])
def test_missing_rows_are_found(part):
    with pytest.raises(AssertionError, match="it should have"):
        JACOBIAN_CHECKS["shapes"](lambda net, X: backpropagated(net, X)[part])


def test_a_function_that_writes_into_its_batch_is_judged_by_its_answer():
    def overwriting(net, X):
        J = ed.jacobian(net, X)
        X[:] = 0
        return J

    assert failures(overwriting, jacobian_checks()) == {}


@pytest.mark.parametrize("exponent", [10, 30])
def test_an_error_within_the_tolerance_breaks_no_law(exponent):
    """The worst case: every entry off by exactly atol, with alternating and with random signs."""
    atol = Fraction(1, 2**exponent)
    rng = np.random.default_rng(0)

    def off(net, X):
        J = ed.jacobian(net, X)
        signs = rng.choice([-1, 1], size=J.shape)
        return J + QMatrix(signs) * atol

    checks = jacobian_checks(atol=atol)
    for _ in range(5):
        assert failures(off, checks) == {}
    assert set(failures(off, jacobian_checks())) == set(JACOBIAN_CHECKS) - {"shapes"}
    for name, wrong in WRONG_JACOBIANS.items():
        if (name, exponent) != ("dead_units", 10):  # a slope of 2**-7 may hide below 2**-10
            assert name in failures(wrong, checks)


def test_float_code_that_rounds_needs_a_tolerance():
    def differences(net, X):
        """Central differences in float64."""
        theta, h = net.parameters().to_numpy(np.float64)[0], 1e-6
        columns = []
        for k in range(len(theta)):
            ends = [theta + sign * h * (np.arange(len(theta)) == k) for sign in (1, -1)]
            up, down = (net.with_parameters([t])(X).to_numpy(np.float64).ravel() for t in ends)
            columns.append((up - down) / (2 * h))
        return np.array(columns).T

    assert "column_order" in failures(differences, jacobian_checks())
    assert failures(differences, jacobian_checks(atol=1e-6)) == {}


# -- running ---------------------------------------------------------------------------------------


def test_checks_are_the_same_every_time():
    for make in (rank_checks, jacobian_checks):
        first, again, other = (
            [[str(x) for x in c.cases()] for c in make(seed=s)] for s in (0, 0, 1)
        )
        assert first == again
        assert first != other
        assert [c.name for c in make()] == [c.name for c in make(seed=1)]
        assert len({c.name for c in make()}) == len(make())


def test_levels():
    assert [c.name for c in rank_checks(level="any")] == [
        c.name for c in rank_checks() if c.level == "any"
    ]
    assert {c.level for c in jacobian_checks()} == {"any"}
    some = [RANK_CHECKS["products"], RANK_CHECKS["large_int64"]]
    assert [name for name, _ in run_checks(len, checks=some)] == ["products", "large_int64"]
    assert [name for name, _ in run_checks(len, checks=some, level="any")] == ["products"]
    for call in (rank_checks, partial(run_checks, len), partial(parametrize_with_checks, [len])):
        with pytest.raises(errors.InvalidInput, match="level='all' is unknown"):
            call(level="all")
    with pytest.raises(errors.InvalidInput, match="atol=-1 is negative"):
        jacobian_checks(atol=-1)


def test_run_checks_returns_what_was_raised():
    def own_check(rank):
        assert rank(np.eye(2)) == 2, "not two"

    assert [name for name, _ in run_checks(len, checks=[own_check], level="any")] == ["own_check"]
    results = run_checks(len, checks=[own_check, RANK_CHECKS["zero_matrices"]])
    assert [name for name, _ in results] == ["own_check", "zero_matrices"]
    assert results[0][1] is None
    assert isinstance(results[1][1], AssertionError)

    def stops(rank):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_checks(len, checks=[stops])


class Solver:
    def __call__(self, A):
        return ed.matrix_rank(A)

    def rank(self, A):
        return ed.matrix_rank(A)


def ids(functions, checks=None):
    @parametrize_with_checks(functions, checks=checks)
    def test(rank, check):
        raise AssertionError

    marks = {mark.args[0]: mark.kwargs["ids"] for mark in test.pytestmark}
    assert set(marks) == {"rank", "check"}
    return marks


def test_names_of_tests():
    functions = [
        np.linalg.matrix_rank,
        partial(np.linalg.matrix_rank, tol=0),
        partial(partial(max, 1), key=None),
        lambda A: 1,
        lambda A: 2,
        Solver(),
        Solver,
        Solver().rank,
        torch.linalg.matrix_rank,
    ]
    assert ids(functions)["rank"] == [
        "matrix_rank",
        "matrix_rank(tol=0)",
        "max(1, key=None)",
        "lambda",
        "lambda_2",
        "Solver",
        "Solver_2",
        "rank",
        "linalg_matrix_rank",
    ]
    assert ids([len])["check"] == list(RANK_CHECKS)
    assert ids([len], jacobian_checks())["check"] == list(JACOBIAN_CHECKS)
    assert ids([len], [len, RANK_CHECKS["products"]])["check"] == ["len", "products"]


class TestInAClass:
    @parametrize_with_checks([ed.matrix_rank], checks=rank_checks()[:2])
    def test_the_check_may_come_first(self, check, rank):
        assert rank is ed.matrix_rank
        assert isinstance(check, Check)

    @parametrize_with_checks([ed.matrix_rank], checks=rank_checks()[:2])
    def test_fixtures_come_after(self, rank, tmp_path, check):
        assert tmp_path.is_dir()
        check(rank)


def test_what_cannot_be_parametrized():
    with pytest.raises(errors.InvalidInput, match="a list of functions"):
        parametrize_with_checks(len)
    with pytest.raises(errors.InvalidInput, match="0 functions"):
        parametrize_with_checks([])
    with pytest.raises(errors.InvalidInput, match="0 checks"):
        parametrize_with_checks([len], checks=[RANK_CHECKS["large_int64"]], level="any")
    for test in (lambda rank: None, lambda check: None, lambda rank, checks: None):
        with pytest.raises(errors.InvalidInput, match="must take the function under test"):
            parametrize_with_checks([len])(test)


def test_what_cannot_be_called():
    with pytest.raises(errors.InvalidInput, match="3 is given as the function under test"):
        run_checks(3)
    with pytest.raises(errors.InvalidInput, match="3 is given as the function under test"):
        parametrize_with_checks([len, 3])
    for use in (run_checks, lambda rank, checks: parametrize_with_checks([rank], checks=checks)):
        with pytest.raises(errors.InvalidInput, match="'zeros' is given as a check"):
            use(ed.matrix_rank, checks=["zeros"])


def test_without_pytest(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(errors.MissingDependency, match="pip install pytest"):
        parametrize_with_checks([len])
    assert failures(ed.matrix_rank) == {}


def test_nothing_heavy_is_imported():
    code = (
        "import sys, exactdim.testing.conformance as c, exactdim.testing.assertions; "
        "c.run_checks(len); print(*{'pytest', 'torch', 'sympy', 'networkx'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_a_run_of_pytest(tmp_path):
    """Plain pytest, no plugin: one test per function and check, failures with their matrices."""
    file = tmp_path / "test_ranks.py"
    file.write_text(
        textwrap.dedent(
            """
            from functools import partial
            import numpy as np
            from exactdim import matrix_rank
            from exactdim.testing.conformance import parametrize_with_checks

            ranks = [partial(np.linalg.matrix_rank, tol=0), matrix_rank]

            @parametrize_with_checks(ranks, level="any")
            def test_rank(rank, check):
                check(rank)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", file.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "FAILED test_ranks.py::test_rank[matrix_rank(tol=0)-all_ones]" in done.stdout
    assert "PASSED test_ranks.py::test_rank[matrix_rank-all_ones]" in done.stdout
    assert "PASSED test_ranks.py::test_rank[matrix_rank(tol=0)-identities]" in done.stdout
    assert "A = np.ones((" in done.stdout
    assert "FAILED test_ranks.py::test_rank[matrix_rank-" not in done.stdout
