"""The torch backend: the truths of test_elimination, test_gram and test_patterns on any device."""

import random
import subprocess
import sys
from fractions import Fraction

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import problems
from residues import PRIMES, P, flint, residue_matrices

import exactdim as ed
from exactdim import errors
from exactdim.arith import elimination
from exactdim.arith.elimination import centred
from exactdim.arith.modular import rank_of_residues
from exactdim.nets import gram as host_gram
from exactdim.nets import patterns as host_patterns
from exactdim.nets.jacobian import float_jacobian, jacobian_factors
from exactdim.torch import (
    certain_signs,
    column_gram,
    exact_device,
    jacobian_spectrum,
    linalg,
    matmul_mod,
    rank_profile,
    reduce_in_place,
    resolve_device,
    spectrum,
    weighted_gram,
)
from exactdim.torch import device as devices
from exactdim.torch import gram as device_gram
from exactdim.torch.device import Chunks

HALF = (P - 1) // 2
heads = st.sampled_from(["logits", "softmax"])

no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
on_each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=no_cuda)])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On a busy machine each small product would wait for the slowest thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[linalg.BLOCK, 4], ids=["real blocks", "tiny blocks"])
def block_sizes(request, monkeypatch):
    """Small matrices must walk through the block logic, and through several pieces, too."""
    monkeypatch.setattr(linalg, "BLOCK", request.param)
    if request.param == 4:
        monkeypatch.setattr(elimination, "SMALL", 2)
        monkeypatch.setattr(linalg, "CPU_PIECE", 60)
        monkeypatch.setattr(linalg, "DEVICE_PIECE", 60)


def tensor(A, p, device):
    return torch.from_numpy(centred(A, p)).to(device)


def check(A, p, device, **options):
    rank = rank_of_residues(flint(A, p))
    rows, columns = rank_profile(tensor(A, p, device), p, **options)
    assert len(rows) == len(columns) == min(rank, options.get("enough", rank))
    assert rows == sorted(set(rows))
    assert columns == sorted(set(columns))
    if rows:
        assert flint(A[np.ix_(rows, columns)], p).rank() == len(rows)
    return len(rows)


def product(rng, m, r, n):
    return rng.integers(0, P, (m, r)) @ rng.integers(0, P, (r, n)) % P


# -- rank -------------------------------------------------------------------------------------


@on_each_device
@pytest.mark.usefixtures("block_sizes")
@given(residue_matrices(), st.one_of(st.just(99), st.integers(0, 12)))
def test_rank_and_pivots_agree_with_flint(device, problem, enough):
    A, p = problem
    check(A, p, device)
    check(A, p, device, enough=enough)


@on_each_device
@given(residue_matrices(), st.one_of(st.none(), st.integers(0, 12)))
def test_the_same_rows_and_columns_as_numpy(device, problem, enough):
    A, p = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elimination, "FLINT_ENTRIES", -1)
        patch.setattr(elimination, "BLOCK", 8)
        patch.setattr(linalg, "BLOCK", 8)
        expected = elimination.rank_profile(centred(A, p), p, enough=enough)
        assert rank_profile(tensor(A, p, device), p, enough=enough) == expected


@on_each_device
@pytest.mark.usefixtures("block_sizes")
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (1, 300), (300, 1), (3, 500)])
def test_thin_shapes(device, shape):
    rng = np.random.default_rng(0)
    check(rng.integers(0, P, shape), P, device)
    check(np.zeros(shape, dtype=int), P, device)


@on_each_device
@pytest.mark.parametrize("n", [255, 256, 257, 447, 448, 449])
def test_sizes_around_the_borders_of_blocks(device, n):
    rng = np.random.default_rng(n)
    assert check(rng.integers(0, P, (n, n)), P, device) == n
    assert check(product(rng, n, n - 1, n), P, device) == n - 1
    check(rng.choice([HALF, HALF + 1, 0], (n, n + 3)), P, device, enough=n - 2)


@on_each_device
def test_matrices_larger_than_a_block(device):
    rng = np.random.default_rng(1)
    for m, n, r in ((500, 470, 470), (600, 500, 130), (480, 700, 449)):
        A = product(rng, m, r, n)
        assert check(A, P, device) == min(m, n, r)
        A[:, :450] = 0  # the leading blocks are singular
        check(A, P, device)
        A[:200] = A[0]
        check(A, P, device)


@on_each_device
def test_singular_leading_blocks(device):
    rng = np.random.default_rng(2)
    order = rng.permutation(500)
    assert check(np.eye(500, dtype=np.int64)[order] * 5, P, device) == 500
    assert check(np.eye(470, dtype=np.int64)[::-1].copy(), P, device) == 470
    assert check(np.eye(500, dtype=np.int64)[::-1].copy(), P, device, enough=460) == 460
    assert check(np.triu(np.ones((460, 460), dtype=np.int64), 1), P, device) == 459


@on_each_device
def test_part_of_a_larger_tensor_is_eliminated_in_its_place(device):
    rng = np.random.default_rng(3)
    A = rng.integers(0, P, (60, 40))
    whole = torch.full((80, 100), 7.0, dtype=torch.float64, device=device)
    whole[10:70, 20:60] = tensor(A, P, device)
    rows, _ = rank_profile(whole[10:70, 20:60], P)
    assert len(rows) == 40
    outside = whole.clone()
    outside[10:70, 20:60] = 7.0
    assert (outside == 7.0).all()
    assert len(rank_profile(tensor(A, P, device).T, P)[0]) == 40


def test_can_be_stopped():
    class Enough(Exception):
        pass

    def tick(done, most):
        assert 0 <= done <= most == 600
        if done:
            raise Enough

    A = np.random.default_rng(4).integers(0, P, (600, 600))
    with pytest.raises(Enough):
        rank_profile(tensor(A, P, "cpu"), P, tick=tick)


@on_each_device
def test_mixed_precision_around_it_changes_nothing(device):
    """A training loop may run under autocast; float64 is not eligible for it."""
    A = np.random.default_rng(5).integers(0, P, (470, 470))
    with torch.autocast(device):
        check(A, P, device)


def test_what_cannot_be_eliminated():
    with pytest.raises(errors.InvalidInput, match=r"float64 matrix, not torch\.float32"):
        rank_profile(torch.zeros(2, 2), P)
    with pytest.raises(errors.InvalidInput, match="prime"):
        rank_profile(torch.zeros(2, 2, dtype=torch.float64), 2**31 - 1)
    with pytest.raises(errors.InvalidInput, match=r"\(3,\)"):
        matmul_mod(torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), P)


def test_a_block_that_changes_on_its_way_is_noticed(monkeypatch):
    """Else a fault between host and device would end as a wrong rank."""
    pull = linalg._OnDevice.pull

    def faulty(self, rows, columns):
        part = pull(self, rows, columns).copy()
        part[0, 0] += 1
        return part

    monkeypatch.setattr(linalg._OnDevice, "pull", faulty)
    A = np.random.default_rng(6).integers(0, P, (20, 20))
    with pytest.raises(AssertionError, match="pivot block"):
        rank_profile(tensor(A, P, "cpu"), P)


# -- products and reduction -------------------------------------------------------------------


@on_each_device
@given(residue_matrices(), st.integers(0, 30))
def test_products_agree_with_python_integers(device, problem, columns):
    A, p = problem
    B = np.random.default_rng(columns).integers(0, p, (A.shape[1], columns))
    found = matmul_mod(tensor(A, p, device), tensor(B, p, device), p).cpu().numpy()
    exact = (
        (A.astype(object) @ B.astype(object)) % p if A.size and B.size else np.zeros(found.shape)
    )
    assert found.shape == (A.shape[0], columns)
    assert (np.mod(found, p) == exact).all()
    assert (np.abs(found) <= p / 2 + 2).all()


@on_each_device
@pytest.mark.parametrize("inner", [447, 448, 449, 897])
def test_the_longest_inner_products_are_exact_at_the_extremes(device, inner):
    half = HALF + 2  # the worst that a reduced matrix holds
    A = torch.full((3, inner), float(half), dtype=torch.float64, device=device)
    found = matmul_mod(A, A.T, P)
    assert {int(x) % P for x in found.ravel()} == {inner * half * half % P}


@given(st.integers(-(2**52), 2**52), st.sampled_from(PRIMES))
def test_reduction(x, p):
    a = torch.tensor([float(x)], dtype=torch.float64)
    reduce_in_place(a, p)
    assert (int(a[0]) - x) % p == 0
    assert abs(a[0]) <= p / 2 + 2


# -- memory -----------------------------------------------------------------------------------


def scarce(patch, owner, name, times):
    """Let a function run out of memory the first times that it is called."""
    real, left = getattr(owner, name), [times]

    def wrapped(*args, **kwargs):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*args, **kwargs)

    patch.setattr(owner, name, wrapped)
    return left


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (torch, "addmm"),
        (torch, "sub"),
        (torch, "fmod"),
        (torch.Tensor, "index_select"),
        (torch.Tensor, "index_copy_"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_the_elimination_survives_lack_of_memory(monkeypatch, owner, name, times):
    monkeypatch.setattr(linalg, "BLOCK", 8)
    rng = np.random.default_rng(7)
    A = product(rng, 60, 37, 70)
    A[:, :20] = 0
    expected = rank_profile(tensor(A, P, "cpu"), P)
    if name == "fmod":  # also used to check inverses, which is not tried again
        monkeypatch.setattr(linalg._OnDevice, "_check_inverse", lambda *_: None)
    left = scarce(monkeypatch, owner, name, times)
    assert rank_profile(tensor(A, P, "cpu"), P) == expected
    assert left == [0]


def test_the_update_shrinks_until_it_fits(monkeypatch):
    real, sizes = torch.addmm, []

    def addmm(rest, *args, **kwargs):
        sizes.append(len(rest))
        if len(rest) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(rest, *args, **kwargs)

    monkeypatch.setattr(linalg, "BLOCK", 30)
    monkeypatch.setattr(torch, "addmm", addmm)
    A = np.random.default_rng(8).integers(0, P, (90, 90))
    check(A, P, "cpu")
    assert sizes[:5] == [60, 30, 15, 7, 3]
    assert sizes[4:24] == [3] * 20  # for good


def test_lack_of_memory_for_a_single_row_is_reported(monkeypatch):
    monkeypatch.setattr(linalg, "BLOCK", 30)
    scarce(monkeypatch, torch, "addmm", 100)
    with pytest.raises(errors.TooLarge, match="one row of 60 entries"):
        rank_profile(tensor(np.random.default_rng(9).integers(0, P, (90, 90)), P, "cpu"), P)


def test_other_errors_are_not_taken_for_lack_of_memory():
    def broken(start, stop):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        Chunks(10).run(broken, 0, 5, 1)


@given(st.integers(0, 40), st.integers(0, 9), st.integers(1, 50), st.integers(0, 5))
def test_pieces_cover_a_range_once_whatever_fails(length, width, entries, limit):
    done = []

    def step(start, stop):
        if stop - start > limit + 1:
            raise RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")
        done.extend(range(start, stop))

    Chunks(entries).run(step, 3, 3 + length, width)
    assert done == list(range(3, 3 + length))


# -- devices ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense", "'nonsense' is unknown; available here: 'cpu'"),
        (3.5, "unknown"),
        ("meta", "'meta' is not supported"),
        pytest.param(
            "cuda",
            "no CUDA device; available here: 'cpu'",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device here"),
        ),
        pytest.param("cuda:99", "does not exist", marks=no_cuda),
    ],
)
def test_devices_that_are_not_there(name, message):
    with pytest.raises(errors.InvalidInput, match=message):
        resolve_device(name)
    with pytest.raises(errors.InvalidInput, match=message):
        weighted_gram(small_problem(), P, device=name)


@on_each_device
def test_devices_that_are_there(device):
    assert resolve_device(device).type == device
    assert resolve_device(torch.device(device)) == resolve_device(device)
    assert exact_device(device) == resolve_device(device)


def short_products(A, B):
    return torch.mm(A.float(), B.float()).double()


def sliced_products(A, B):
    """53 bits below the largest entry of a row: normwise as good as IEEE's, not entry by entry."""
    unit = A.abs().amax(dim=1, keepdim=True) * 2.0**-53
    return torch.mm((A / unit).round() * unit, B)


@pytest.mark.parametrize("emulated", [short_products, sliced_products])
def test_emulated_double_precision_is_noticed(monkeypatch, emulated):
    probe = devices._multiplies_exactly.__wrapped__
    assert probe(torch.device("cpu"))
    monkeypatch.setattr(devices, "_multiplies_exactly", probe)
    monkeypatch.setattr(torch.Tensor, "__matmul__", emulated)
    with pytest.raises(errors.InvalidInput, match=r"not exact.*device='cpu'"):
        exact_device("cpu")


def test_without_torch_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import exactdim\n"
        "try:\n    import exactdim.torch\n"
        "except exactdim.errors.MissingDependency as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install exactdim[torch]" in done.stdout


# -- Gram matrices ----------------------------------------------------------------------------


def small_problem(head="logits", samples=7, widths=(5, 4, 3)):
    net = ed.ReLUNetwork.random(widths, seed=1)
    X = np.random.default_rng(1).standard_normal((samples, widths[0]))
    return jacobian_factors(net, X, head=head)


def residues(A, p):
    return np.mod(A.cpu().numpy() if isinstance(A, torch.Tensor) else A, p)


@on_each_device
@given(problems(), heads, st.sampled_from([11, 101, P]), st.integers(0, 2**32))
def test_gram_matrices_are_those_of_numpy(device, problem, head, p, seed):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    for modulus in (p, P):
        try:
            expected = host_gram.weighted_gram(factors, modulus, random.Random(seed))
        except errors.DenominatorDivisible:
            with pytest.raises(errors.DenominatorDivisible):
                weighted_gram(factors, modulus, device=device)
            continue
        found = weighted_gram(factors, modulus, random.Random(seed), device=device)
        assert found.shape == (factors.shape[0],) * 2
        assert (residues(found, modulus) == residues(expected, modulus)).all()
        assert (found.abs() <= modulus / 2 + 2).all()
    rank = rank_of_residues(factors.residues(P))
    rows, _ = rank_profile(found, P)
    assert len(rows) == rank
    assert oracles.rank([factors.dense.tolist()[r] for r in rows]) == rank


@on_each_device
@given(problems(), heads, st.integers(1, 12), st.integers(0, 2**32))
def test_folded_gram_matrices_are_those_of_numpy(device, problem, head, fold, seed):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    expected = host_gram.weighted_gram(factors, P, random.Random(seed), fold=fold)
    found = weighted_gram(factors, P, random.Random(seed), fold=fold, device=device)
    assert found.shape == expected.shape
    assert (residues(found, P) == residues(expected, P)).all()
    assert (found.abs() <= P / 2 + 2).all()


@on_each_device
@given(problems(), heads, st.integers(0, 2**32))
def test_factors_are_those_of_numpy(device, problem, head, seed):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    pairs = zip(
        device_gram.modular_factors(factors, P, device=device),
        host_gram.modular_factors(factors, P),
        strict=True,
    )
    for found, expected in pairs:
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape
            assert (residues(a, P) == residues(b, P)).all()


@on_each_device
@given(problems(), heads, st.data())
def test_column_gram_matrices_are_those_of_numpy(device, problem, head, data):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    columns = sorted(data.draw(st.sets(st.integers(0, net.n_parameters - 1), max_size=8)))
    expected = host_gram.column_gram(factors, P, columns, random.Random(3))
    found = column_gram(factors, P, columns, random.Random(3), device=device)
    assert found.shape == (len(columns),) * 2
    assert (residues(found, P) == residues(expected, P)).all()


@on_each_device
def test_gram_matrices_of_several_strips(device, monkeypatch):
    problem = small_problem("softmax", samples=260)
    expected = host_gram.weighted_gram(problem, P, random.Random(5))
    columns = range(0, problem.shape[1], 2)
    thin = host_gram.column_gram(problem, P, columns, random.Random(5))
    monkeypatch.setattr(linalg, "CPU_PIECE", 521 * 7)  # strips end within samples
    monkeypatch.setattr(linalg, "DEVICE_PIECE", 521 * 7)
    seen = []
    found = weighted_gram(
        problem, P, random.Random(5), device=device, tick=lambda *at: seen.append(at)
    )
    assert (residues(found, P) == residues(expected, P)).all()
    assert seen[:2] == [(0, 520), (7, 520)]
    found = column_gram(
        problem, P, columns, random.Random(5), device=device, tick=lambda *at: seen.append(at)
    )
    assert (residues(found, P) == residues(thin, P)).all()
    assert seen[-2:] == [(0, 520), (448, 520)]


def test_gram_matrices_survive_lack_of_memory(monkeypatch):
    problem = small_problem()
    expected = weighted_gram(problem, P, random.Random(5), device="cpu")
    thin = column_gram(problem, P, range(20), random.Random(5), device="cpu")
    sizes = []

    def limited(A, B, p):
        sizes.append(len(A))
        if len(A) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return linalg.multiply_mod(A, B, p)

    monkeypatch.setattr(device_gram, "multiply_mod", limited)
    found = weighted_gram(problem, P, random.Random(5), device="cpu")
    assert torch.equal(found, expected)
    assert max(sizes) == 21
    left = scarce(monkeypatch, torch, "addmm", 3)
    assert torch.equal(column_gram(problem, P, range(20), random.Random(5), device="cpu"), thin)
    assert left == [0]


def test_a_gram_matrix_that_cannot_be_held_is_reported(monkeypatch):
    real = torch.zeros

    def zeros(shape, **options):
        if shape == (21, 21):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(shape, **options)

    monkeypatch.setattr(torch, "zeros", zeros)
    with pytest.raises(errors.TooLarge, match=r"order 21, .* GiB"):
        weighted_gram(small_problem(), P, device="cpu")


def test_gram_matrices_can_be_stopped():
    def tick(done, rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weighted_gram(small_problem(), P, device="cpu", tick=tick)
    with pytest.raises(KeyboardInterrupt):
        column_gram(small_problem(), P, [1, 2], device="cpu", tick=tick)


def test_networks_deeper_than_an_exact_sum_is_long(monkeypatch):
    monkeypatch.setattr(device_gram, "INNER", 2)
    problem = small_problem(widths=(3, 3, 3, 3, 3, 2))
    expected = host_gram.weighted_gram(problem, P, random.Random(0))
    found = weighted_gram(problem, P, random.Random(0), device="cpu")
    assert (residues(found, P) == residues(expected, P)).all()


# -- signs ------------------------------------------------------------------------------------


def check_signs(net, X, device):
    """Certain signs are right; what is open is not wrong either."""
    signs = certain_signs(net, X, device=device)
    layers = oracles.layers_of(net)
    for i, x in enumerate(X):
        hidden = oracles.forward(layers, [Fraction(v) for v in x])[1]
        for layer, z in enumerate(hidden):
            for unit, value in enumerate(z):
                if not signs.open[layer][i, unit]:
                    assert value != 0
                    assert signs.positive[layer][i, unit] == (value > 0)
                else:
                    assert not signs.positive[layer][i, unit]
    return signs


@on_each_device
@given(problems())
def test_certain_signs_are_right(device, problem):
    check_signs(*problem, device)


extreme = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-4, 4, width=16),
    st.sampled_from([5e-324, 2.0**-1022, 2.0**1000, -(2.0**1000), 1e308, 1.0, 1 + 2.0**-52]),
)


@on_each_device
@given(st.data())
def test_no_float_range_can_mislead_a_sign(device, data):
    n, width, units = (data.draw(st.integers(1, 3)) for _ in range(3))
    draw = lambda rows, columns: [[data.draw(extreme) for _ in range(columns)] for _ in range(rows)]  # noqa: E731
    net = ed.ReLUNetwork(
        [draw(units, width), draw(2, units), [[1, 1]]], [draw(1, units)[0], draw(1, 2)[0], [0]]
    )
    check_signs(net, draw(n, width), device)


@on_each_device
@given(st.integers(0, 2**32), st.integers(-3, 3), st.booleans())
def test_preactivations_that_nearly_vanish(device, seed, ulps, deep):
    """A bias that cancels the rest up to some units in the last place, or wholly."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((3, 40)) * 2.0 ** rng.integers(-30, 30, 40)
    X = rng.standard_normal((2, 40))
    bias = [-sum(Fraction(w) * Fraction(x) for w, x in zip(row, X[0], strict=True)) for row in W]
    bias = [b + ulps * abs(b) / 2**53 for b in bias]
    weights, biases = [W, rng.standard_normal((1, 3))], [bias, [0]]
    if deep:  # the sign in the second layer hangs on the open one in the first
        weights.insert(1, [[1, 0, 0], [0, -1, 0], [0, 0, 2**40]])
        biases.insert(1, [0, Fraction(1, 2**80), -Fraction(1, 2**60)])
    signs = check_signs(ed.ReLUNetwork(weights, biases), X.tolist(), device)
    assert signs.open[0][0].all()
    assert signs.n_open >= 3


@on_each_device
def test_most_signs_of_an_ordinary_network_are_certain(device):
    net = ed.ReLUNetwork.random((50, 40, 30, 5), seed=2)
    X = np.random.default_rng(2).standard_normal((60, 50))
    signs = certain_signs(net, X, device=device)
    assert signs.n_open == 0
    assert np.array_equal(np.hstack(signs.positive), ed.activation_pattern(net, X).mask)


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_the_bound_is_that_of_the_host(seed, n):
    rng = np.random.default_rng(seed)
    W, b, h = rng.standard_normal((4, n)), rng.standard_normal(4), rng.standard_normal((3, n))
    error = np.abs(rng.standard_normal((3, n))) * 1e-12
    _, expected = host_patterns.affine_with_error(W, b, h, error)
    _, found = host_patterns.affine_with_error(*map(torch.from_numpy, (W, b, h, error)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


# -- spectra ----------------------------------------------------------------------------------


SHAPES = [((6, 5, 4, 3), 12), ((3, 4, 2), 40), ((4, 3), 5), ((30, 20, 4), 6)]


@on_each_device
@pytest.mark.parametrize("head", ["logits", "softmax"])
@pytest.mark.parametrize(("widths", "samples"), SHAPES)
def test_spectra_agree_with_numpy(device, head, widths, samples):
    flags = [True, False, True][: len(widths) - 1]
    net = ed.ReLUNetwork.random(widths, seed=3, bias=flags)
    X = np.random.default_rng(3).standard_normal((samples, widths[0]))
    J = float_jacobian(net, X, head=head)
    expected = np.linalg.svd(J, compute_uv=False)
    for method, digits in (("jacobian", 1e-12), ("gram", 1e-6)):
        found = jacobian_spectrum(net, X, head=head, device=device, method=method, chunk=5)
        assert (found.shape, found.method, found.dtype) == (J.shape, method, "float64")
        assert found.singular_values.shape == expected.shape
        assert (np.diff(found.singular_values) <= 0).all()
        np.testing.assert_allclose(found.singular_values, expected, atol=digits * expected[0])
        if head == "logits":
            assert found.rank() == np.linalg.matrix_rank(J)
    assert jacobian_spectrum(net, X, head=head, device=device).method == "jacobian"


@on_each_device
def test_spectra_in_float32(device):
    net = ed.ReLUNetwork.random((6, 5, 3), seed=4)
    X = np.random.default_rng(4).standard_normal((10, 6)).astype(np.float32)
    J = float_jacobian(net, X, dtype="float32")
    expected = np.linalg.svd(J, compute_uv=False)
    for method in ("jacobian", "gram"):
        found = jacobian_spectrum(net, X, device=device, dtype=torch.float32, method=method)
        assert found.dtype == "float32"
        assert found.singular_values.dtype == np.float64
        # Products of float32 may be rounded to fewer digits on a device.
        atol = (1e-5 if device == "cpu" else 5e-3) * expected[0]
        np.testing.assert_allclose(found.singular_values, expected, atol=atol)


def test_a_numeric_rank_depends_on_its_threshold():
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    found = jacobian_spectrum(net, [[0], [1], [2], [3]])
    assert [found.rank(), found.rank(0.1), found.rank(0.5), found.rank(1.0)] == [3, 2, 1, 0]
    dead = jacobian_spectrum(ed.ReLUNetwork([[[0]]], None), [[0], [0]])
    assert dead.rank() == 0
    empty = spectrum.Spectrum(np.zeros(0), (0, 3), "jacobian", "cpu", "float64")
    assert empty.rank() == 0


def test_spectra_survive_lack_of_memory(monkeypatch):
    net = ed.ReLUNetwork.random((3, 4, 2), seed=5)
    X = np.random.default_rng(5).standard_normal((30, 3))
    expected = {
        m: jacobian_spectrum(net, X, method=m).singular_values for m in ("jacobian", "gram")
    }
    real, sizes = spectrum._FloatFactors.blocks, []

    def limited(self, start, stop):
        sizes.append(stop - start)
        if stop - start > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, start, stop)

    monkeypatch.setattr(spectrum._FloatFactors, "blocks", limited)
    for method, values in expected.items():
        found = jacobian_spectrum(net, X, method=method)
        np.testing.assert_allclose(found.singular_values, values, atol=1e-6)
    assert sizes[:4] == [30, 15, 7, 3]

    scarce(monkeypatch, torch.linalg, "svdvals", 10**6)
    assert jacobian_spectrum(net, X).method == "gram"
    with pytest.raises(errors.TooLarge, match="method='gram'"):
        jacobian_spectrum(net, X, method="jacobian")
    scarce(monkeypatch, torch.linalg, "eigvalsh", 10**6)
    with pytest.raises(errors.TooLarge, match="fewer samples"):
        jacobian_spectrum(net, X)


def test_a_jacobian_larger_than_the_memory_is_not_formed(monkeypatch):
    monkeypatch.setattr(spectrum, "CPU_BYTES", 1000)
    net = ed.ReLUNetwork.random((3, 4, 2), seed=5)
    X = np.random.default_rng(5).standard_normal((30, 3))
    assert jacobian_spectrum(net, X).method == "gram"
    assert jacobian_spectrum(net, X, method="jacobian").method == "jacobian"


def test_what_has_no_spectrum():
    net = ed.ReLUNetwork.random((3, 2), seed=5)
    X = [[1, 2, 3]]
    for options in ({"method": "qr"}, {"dtype": torch.float16}, {"chunk": 0}, {"head": "other"}):
        with pytest.raises(errors.InvalidInput, match=r"unknown|not supported|at least 1"):
            jacobian_spectrum(net, X, **options)
    huge = ed.ReLUNetwork([[[1e300]], [[1e300]]])
    for method in ("jacobian", "gram"):
        with pytest.raises(errors.NotFinite, match="overflows"):
            jacobian_spectrum(huge, [[1e300]], method=method)
