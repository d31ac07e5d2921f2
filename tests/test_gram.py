import random

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import errors
from exactdim.arith.elimination import rank_profile
from exactdim.arith.modular import rank_of_residues
from exactdim.dimension import local, lower
from exactdim.dimension.lower import suitable_source
from exactdim.nets.gram import (
    column_gram,
    jacobian_block,
    live_columns,
    modular_factors,
    weighted_gram,
)
from exactdim.nets.jacobian import jacobian_factors

P = 8388593
heads = st.sampled_from(["logits", "softmax"])


@given(problems(), heads)
def test_modular_factors_are_the_exact_factors(problem, head):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    exact = list(zip(factors.sensitivities, factors.features, strict=True))
    for (M, h), (exact_M, exact_h) in zip(modular_factors(factors, P), exact, strict=True):
        for found, expected in ((M, exact_M), (h, exact_h)):
            assert found.shape == expected.shape
            residues = [x * pow(expected.denominator, -1, P) % P for x in expected.numerators()]
            assert (found.astype(np.int64) % P).ravel().tolist() == residues


@given(problems(), heads, st.integers(0, 2**32))
def test_weighted_gram_has_the_rank_of_the_jacobian(problem, head, seed):
    """T24 with a 23-bit prime: below always, equal up to 2 rank / p."""
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    gram = weighted_gram(factors, P, random.Random(seed))
    assert gram.shape == (factors.shape[0],) * 2
    assert (gram == gram.T).all()
    rank = rank_of_residues(factors.residues(P))
    rows, _ = rank_profile(gram, P)
    assert len(rows) == rank
    assert oracles.rank([factors.dense.tolist()[r] for r in rows]) == rank


@given(problems(), heads, st.integers(0, 2**32))
def test_weighted_gram_is_a_lower_bound_modulo_any_prime(problem, head, seed):
    """T24: with a small prime it fails now and then, but never upwards."""
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    full = rank_of_residues(factors.residues(2**61 - 1))
    for p in (11, 101):
        parts = [*factors.features, *factors.sensitivities, factors.batch, *net.weights]
        parts += [b for b in net.biases if b is not None]
        if all(part.denominator % p for part in parts):
            small = rank_of_residues(factors.residues(p))
            found = len(rank_profile(weighted_gram(factors, p, random.Random(seed)), p)[0])
            assert found <= small <= full


@given(problems(), heads, st.data())
def test_rows_of_the_jacobian(problem, head, data):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    n_rows = factors.shape[0]
    rows = data.draw(st.lists(st.integers(0, n_rows - 1), max_size=4)) if n_rows else []
    found = jacobian_block(factors, P, rows)
    exact = factors.residues(P).tolist()
    assert found.shape == (len(rows), net.n_parameters)
    assert (found.astype(np.int64) % P).tolist() == [[int(x) for x in exact[r]] for r in rows]


@given(problems(), heads, st.data())
def test_any_part_of_the_jacobian(problem, head, data):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    exact = [[int(x) for x in row] for row in factors.residues(P).tolist()]
    columns = data.draw(st.lists(st.integers(0, net.n_parameters - 1), max_size=6))
    found = jacobian_block(factors, P, None, columns).astype(np.int64) % P
    assert found.tolist() == [[row[j] for j in columns] for row in exact]
    live = live_columns(factors, P)
    assert live == [j for j in range(net.n_parameters) if any(row[j] for row in exact)]


@given(problems(), heads, st.integers(0, 2**32))
def test_the_gram_matrix_of_the_columns_has_the_rank_too(problem, head, seed):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    columns = live_columns(factors, P)
    gram = column_gram(factors, P, columns, random.Random(seed))
    assert ((gram - gram.T) % P == 0).all()
    rank = rank_of_residues(factors.residues(P))
    picked, _ = rank_profile(gram, P)
    assert len(picked) == rank
    named = [columns[j] for j in picked]
    assert oracles.rank([[row[j] for j in named] for row in factors.dense.tolist()]) == rank


@given(problems(), heads, st.integers(1, 12), st.integers(0, 2**32))
def test_folded_rows_never_have_a_larger_rank(problem, head, fold, seed):
    net, X = problem
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    gram = weighted_gram(factors, P, random.Random(seed), fold=fold)
    assert gram.shape == (min(fold, factors.shape[0]),) * 2
    rank = rank_of_residues(factors.residues(P))
    found = len(rank_profile(gram, P)[0])
    assert found <= min(rank, fold)
    if fold >= factors.shape[0]:
        assert found == rank


def test_folding_keeps_the_rank_where_there_is_room():
    """Rank 61 - 15 = 46 of 400 rows survives in 60 sums of rows, for every seed tried."""
    net = ed.ReLUNetwork.random((2, 15, 1), seed=0)
    X = np.random.default_rng(0).standard_normal((400, 2))
    factors = jacobian_factors(net, X)
    rank = rank_of_residues(factors.residues(P))
    for seed in range(10):
        gram = weighted_gram(factors, P, random.Random(seed), fold=60)
        assert len(rank_profile(gram, P)[0]) == rank


@pytest.mark.parametrize(
    ("source", "device"),
    [
        ("row-gram", None),
        ("column-gram", None),
        ("folded-gram", None),
        ("row-gram", "cpu"),
        ("column-gram", "cpu"),
    ],
)
@given(problem=problems(), head=heads)
def test_the_large_paths_bracket_the_same_numbers(source, device, problem, head):
    net, X = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "suitable_source", lambda *_: source)
        d = ed.local_dimension(net, X, head=head, on_kink="zero", device=device)
    rank = oracles.rank(oracles.jacobian(oracles.layers_of(net), X, softmax=head == "softmax"))
    assert d.lower <= rank <= d.upper
    assert d.evidence.lower.source == source or d.lower == 0
    assert d.status in {"proved", "bracketed"} or d.failure_probability <= 2**-40
    if source != "folded-gram":
        assert ed.verify(d.certificate())
    elif d.lower:
        with pytest.raises(errors.CertificateError, match="names no minor"):
            d.certificate()


@given(problems(), heads)
def test_a_gap_on_a_large_path_can_be_closed(problem, head):
    net, X = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "suitable_source", lambda *_: "row-gram")
        d = ed.local_dimension(net, X, head=head, on_kink="zero", proof="full")
    assert d.value == oracles.rank(
        oracles.jacobian(oracles.layers_of(net), X, softmax=head == "softmax")
    )
    assert ed.verify(d.certificate())


def test_the_source_follows_the_size(monkeypatch):
    few = ed.ReLUNetwork.random((100, 60, 60, 10), seed=0)
    X = np.random.default_rng(0).standard_normal((900, 100)).astype(np.float32)
    assert suitable_source(jacobian_factors(few, X[:20])) == "jacobian"
    assert suitable_source(jacobian_factors(few, X[:120])) == "row-gram"
    X[:, 10:] = 0  # most columns are zero: 5000 are left for 9000 rows
    assert suitable_source(jacobian_factors(few, X)) == "column-gram"
    monkeypatch.setattr(lower, "GRAM_ORDER", 100)
    assert suitable_source(jacobian_factors(few, X)) == "folded-gram"


def test_few_columns_less_are_not_worth_forming_rows():
    """The Gram matrix of the rows comes from factors: much cheaper at nearly the same order."""
    net = ed.ReLUNetwork.random((60, 30, 30, 10), seed=0)
    X = np.random.default_rng(0).standard_normal((310, 60)).astype(np.float32)
    assert net.n_parameters < 3100
    assert suitable_source(jacobian_factors(net, X)) == "row-gram"


def test_more_rows_than_parameters():
    """Columns are the smaller side; equal samples are looked at once."""
    net = ed.ReLUNetwork.random((30, 20, 20, 4), seed=1)
    X = np.random.default_rng(1).standard_normal((1200, 30)).astype(np.float32)
    d = ed.local_dimension(net, np.vstack([X, X[:100]]))
    assert d.evidence.lower.source == "column-gram"
    assert d.value == net.n_parameters - net.n_hidden
    assert d.n_rows == 5200


def test_a_failure_probability_needs_several_small_primes():
    """No structural bound reaches 33 here; small primes are drawn until 2**-40."""
    net = ed.ReLUNetwork.random((3, 5, 4, 2), seed=7)
    X = np.round(np.random.default_rng(7).standard_normal((30, 3)) * 8) / 8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "suitable_source", lambda *_: "row-gram")
        d = ed.local_dimension(net, X)
    assert d.status == "probable"
    assert (d.lower, d.upper) == (33, 35)
    assert len(d.evidence.primes) > 3
    assert 0 < d.failure_probability <= 2**-40


def test_a_jacobian_of_fifty_million_entries():
    """5000 x 10170: more than is ever formed; full row rank, proved from the Gram matrix."""
    net = ed.ReLUNetwork.random((100, 60, 60, 10), seed=0)
    X = np.random.default_rng(0).standard_normal((120, 100)).astype(np.float32)
    seen = []
    d = ed.local_dimension(net, X, progress=lambda done, total, note: seen.append(note))
    assert d.n_rows * d.n_parameters > lower.DENSE_ENTRIES
    assert d.value == 1200
    assert "full row rank" in repr(d)
    assert any("Gram" in note for note in seen)
    assert len(d.evidence.primes) == 1
    fewer = ed.local_dimension(net, X[:40])
    assert fewer.n_rows * fewer.n_parameters > lower.DENSE_ENTRIES
    assert fewer.evidence.lower.columns is None
    assert fewer.value == 400
    assert ed.verify(fewer.certificate())


def test_the_large_path_can_be_stopped():
    net = ed.ReLUNetwork.random((100, 60, 60, 10), seed=0)
    X = np.random.default_rng(0).standard_normal((120, 100)).astype(np.float32)
    d = ed.local_dimension(net, X, max_seconds=0)
    assert d.evidence.stopped == "max_seconds"
    assert (d.lower, d.upper) == (0, 1200)


@given(problems(), heads)
def test_dropped_samples_on_the_large_path(problem, head):
    net, X = problem
    layers = oracles.layers_of(net)
    kept = [x for x in X if not oracles.kinked(layers, x)]
    if not kept:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "suitable_source", lambda *_: "row-gram")
        d = ed.local_dimension(net, X, head=head, on_kink="drop", proof="full")
    assert d.value == oracles.rank(oracles.jacobian(layers, kept, softmax=head == "softmax"))
    assert ed.verify(d.certificate())
