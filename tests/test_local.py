import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import errors
from exactdim.arith import modular
from exactdim.arith.manyprimes import ManyPrimes
from exactdim.arith.primes import random_prime
from exactdim.dimension import closing, local
from exactdim.nets.jacobian import jacobian_factors

heads = st.sampled_from(["logits", "softmax"])


@given(problems(), heads, st.sampled_from(["fast", "auto", "full"]))
def test_bracket_contains_the_rank_and_proofs_are_right(problem, head, proof):
    net, X = problem
    exact = oracles.jacobian(oracles.layers_of(net), X, softmax=head == "softmax")
    rank = oracles.rank(exact)
    assert rank == ed.jacobian(net, X, head=head, on_kink="zero").rank()
    d = ed.local_dimension(net, X, head=head, proof=proof, on_kink="zero")
    assert d.lower <= rank <= d.upper
    assert d.likely == rank
    if d.status == "proved":
        assert d.value == int(d) == rank
        assert d.failure_probability == 0
    else:
        assert proof == "fast"
        assert d.status == "probable"
        assert d.failure_probability <= 2**-40
        with pytest.raises(errors.Undecided) as caught:
            int(d)
        assert (caught.value.lower, caught.value.upper) == (d.lower, d.upper)


def gap_problem():
    """Rank 33: relations between units of different layers, which no structural bound here sees."""
    net = ed.ReLUNetwork.random((3, 5, 4, 2), seed=7)
    X = np.round(np.random.default_rng(7).standard_normal((30, 3)) * 8) / 8
    return net, X


def test_a_gap_is_closed_and_says_how():
    net, X = gap_problem()
    fast = ed.local_dimension(net, X, proof="fast")
    assert fast.status == "probable"
    assert fast.lower < fast.upper
    d = ed.local_dimension(net, X)
    assert d.status == "proved"
    assert d.value == fast.likely
    assert d.evidence.upper.name == "kernel"
    assert "proved: kernel" in repr(d)


@given(problems(), heads)
def test_kernel_and_many_primes_close_every_gap(problem, head):
    net, X = problem
    d = ed.local_dimension(net, X, head=head, proof="fast", on_kink="zero")
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    plan = closing.estimate(factors, d.lower, d.evidence.lower.modulus)
    assert plan.seconds >= 0
    kernel = closing.KernelProof(factors, d.lower, d.evidence.lower.modulus).run(None)
    assert kernel.value == d.lower
    primes = ManyPrimes.plan(closing.scaled_integers(factors.dense), d.lower)
    assert primes.run() == d.lower


def test_a_claim_below_the_rank_is_refuted_by_both_closings():
    # 7 divides the minors of the rescaled network below, so rank modulo 7 is too small.
    small = ed.ReLUNetwork([[[14]], [[21]]], [[-7], [35]])
    factors = jacobian_factors(small, [[0], [1], [2]])
    low = modular.rank(factors.dense, 7)
    assert low < factors.dense.rank() == 3
    assert closing.KernelProof(factors, low, 7).run(None) is None
    assert ManyPrimes.plan(closing.scaled_integers(factors.dense), low).run() == 3


def test_an_unlucky_prime_is_found_out(monkeypatch):
    """The first primes divide what they must not; the proof still comes out right."""
    net = ed.ReLUNetwork([[[14]], [[21]]], [[-7], [35]])
    X = [[0], [1], [2], [3]]
    draws = iter([7, 7, 11, 2**61 - 1])
    monkeypatch.setattr(local, "random_prime", lambda bits, rng: next(draws))
    d = ed.local_dimension(net, X)
    assert d.value == 3
    assert d.evidence.primes[0] == 7


def test_primes_that_divide_a_denominator_are_drawn_again(monkeypatch):
    net = ed.ReLUNetwork([[["1/7"]], [[3]]], [[-1], [5]])
    draws = iter([7, 2**61 - 1])
    monkeypatch.setattr(local, "random_prime", lambda bits, rng: next(draws))
    d = ed.local_dimension(net, [[0], [8], [20], [30]])
    assert d.value == 3
    assert d.evidence.primes == (2**61 - 1,)


def test_many_primes_run_on_an_executor(monkeypatch):
    monkeypatch.setattr(closing, "LARGEST_WITNESS", -1)  # no kernel is small enough
    net = ed.ReLUNetwork.random((3, 5, 4, 2), seed=3)
    X = np.random.default_rng(3).standard_normal((60, 3)).astype(np.float32)
    with ThreadPoolExecutor(2) as executor:
        d = ed.local_dimension(net, X, head="softmax", executor=executor)
    assert d.evidence.upper.name == "many-primes"
    assert d.value == oracles.rank(ed.jacobian(net, X, head="softmax").tolist())


def test_seed_replays_and_is_no_coin():
    net, X = gap_problem()
    first = ed.local_dimension(net, X, proof="fast", seed=4)
    again = ed.local_dimension(net, X, proof="fast", seed=4)
    assert first.evidence.primes == again.evidence.primes
    assert first.status == "bracketed"
    assert first.failure_probability is None
    free = ed.local_dimension(net, X, proof="fast")
    assert free.status == "probable"
    assert set(free.evidence.primes).isdisjoint(first.evidence.primes)


def test_a_smaller_error_takes_more_primes():
    net, X = gap_problem()
    few = ed.local_dimension(net, X, proof="fast", error=1e-3)
    many = ed.local_dimension(net, X, proof="fast", error=1e-60)
    assert len(few.evidence.primes) < len(many.evidence.primes)
    assert many.failure_probability <= 1e-60


def test_max_seconds_returns_the_bracket_reached():
    net, X = gap_problem()
    d = ed.local_dimension(net, X, max_seconds=0)
    assert d.evidence.stopped == "max_seconds"
    assert d.lower <= 33 <= d.upper
    assert "stopped early" in str(d)
    with pytest.raises(errors.Undecided):
        int(d)


def test_ctrl_c_returns_the_bracket_reached():
    net, X = gap_problem()

    def progress(done, total, note):
        if "closing" in note or "rank in" in note:
            raise KeyboardInterrupt

    d = ed.local_dimension(net, X, progress=progress)
    assert d.evidence.stopped == "interrupted"
    assert d.lower == 33 < d.upper
    assert ed.verify(d.certificate())
    assert "rank-at-least" in repr(d.certificate())


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals on this system")
def test_a_real_signal_is_a_ctrl_c():
    net, X = gap_problem()
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        start = time.monotonic()
        d = ed.local_dimension(net, X, head="softmax")
        assert d.evidence.stopped == "interrupted" or d.status == "proved"
        assert time.monotonic() - start < 60
    except KeyboardInterrupt:
        pass  # it came while there was no bracket yet
    finally:
        timer.cancel()
        timer.join()


def test_progress_is_reported():
    net, X = gap_problem()
    seen = []
    ed.local_dimension(net, X, progress=lambda done, total, note: seen.append((done, total, note)))
    assert any("closing by kernel" in note for _, _, note in seen)
    assert all(0 <= done <= total for done, total, _ in seen)


def test_statuses_read_like_sentences():
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    assert repr(ed.local_dimension(net, [[0], [1]])) == (
        "Dimension(2 of 4 parameters, proved: full row rank)"
    )
    formal = ed.local_dimension(net, [["1/2"], [1]], on_kink="zero")
    assert "formal, 1 kink counted as off" in repr(formal)
    assert formal.formal
    dropped = ed.local_dimension(net, [["1/2"], [1]], on_kink="drop")
    assert "1 sample on kinks dropped" in repr(dropped)
    assert dropped.n_rows == 1
    soft = ed.local_dimension(ed.ReLUNetwork.random((2, 2, 2), seed=0), [[1, 2]], head="softmax")
    assert "softmax" in repr(soft)
    assert range(5)[ed.local_dimension(net, [[0], [1]])] == 2  # proved, so it is an index


def test_kinks_are_refused_by_default():
    """relu(x) at X = (0,1,2): rank 3 with a(0) = 0, 2 with a(0) = 1, so there is no answer."""
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    with pytest.raises(errors.OnKink):
        ed.local_dimension(net, [[0], [1], [2]])
    assert ed.local_dimension(net, [[0], [1], [2]], on_kink="zero").value == 3
    assert ed.local_dimension(net, [[0], [1], [2]], on_kink="drop").value == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"proof": "quick"}, "proof"),
        ({"error": 0}, "probability"),
        ({"error": 1.5}, "probability"),
        ({"head": "tanh"}, "head"),
        ({"on_kink": "skip"}, "on_kink"),
    ],
)
def test_bad_arguments(options, words):
    net = ed.ReLUNetwork([[[1]]])
    with pytest.raises(errors.InvalidInput, match=words):
        ed.local_dimension(net, [[1]], **options)


def test_degenerate_networks():
    dead = ed.ReLUNetwork([[[1], [1]], [[1, 1], [1, 2]]], [[-9, -9], [0, 0]])
    assert ed.local_dimension(dead, [[1], [2]]).value == 2  # a dead layer leaves the output bias
    assert ed.local_dimension(dead, [[1], [2]], head="softmax").value == 1
    linear = ed.ReLUNetwork([[[1, 2], [3, 4]]], [[0, 0]])
    assert ed.local_dimension(linear, [[0, 0], [1, 0], [0, 1], [5, 7]]).value == 6
    one_output = ed.local_dimension(ed.ReLUNetwork([[[1]]]), [[1]], head="softmax")
    assert one_output.value == 0
    assert one_output.n_rows == 0
    origin = ed.ReLUNetwork.random((2, 3, 2), seed=0, bias=False)
    assert ed.local_dimension(origin, [[0, 0]]).value == 0
    zero = ed.ReLUNetwork([[[0]], [[0]]], [[-1], [0]])
    assert ed.local_dimension(zero, [[1], [2]]).value == 1


@given(problems(), st.data())
def test_order_and_repetition_of_samples_do_not_matter(problem, data):
    net, X = problem
    shuffled = data.draw(st.permutations(X + X[:2]))
    first = ed.local_dimension(net, X, on_kink="zero")
    assert ed.local_dimension(net, shuffled, on_kink="zero").likely == first.likely
    fewer = ed.local_dimension(net, X[:-1] or X, on_kink="zero")
    assert fewer.likely <= first.likely <= fewer.likely + net.widths[-1]


def test_an_interrupt_never_counts_a_prime_whose_rank_was_lost(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "lower_end", interrupted)
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    d = ed.local_dimension(net, [[0], [1], [2]])
    assert d.evidence.stopped == "interrupted"
    assert d.status == "bracketed"
    assert d.evidence.primes == ()
    assert d.failure_probability is None


def test_what_signs_rest_on_cannot_be_changed():
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    with pytest.raises(ValueError, match="read-only"):
        net.float_layers[0][0][...] = -1
    for on_kink in ("zero", "drop"):
        pattern = ed.activation_pattern(net, [[0], [1]], on_kink=on_kink)
        for array in (*pattern.layers, pattern.mask):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = False


def test_a_prime_that_cannot_be_bad_proves_even_in_a_hurry():
    net = ed.ReLUNetwork([[[1]], [[1]], [[1]], [[1]]], [[1], [1], [1], [1]])
    d = ed.local_dimension(net, [[1], [2], [3]], proof="fast")
    assert d.value == 2


def test_structural_bounds_prove_without_closing_anything():
    """T16's golden: two aligned always-on units, rank 11; "fast" never closes a gap."""
    net = ed.ReLUNetwork([[[1, 2, 0], [0, 1, 1]], [[1, 0], [0, 1], [1, 1]]], [[10, 10], [0, 0, 0]])
    X = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    d = ed.local_dimension(net, X, proof="fast")
    assert d.value == 11
    assert d.evidence.upper.name == "unit-relations"
    assert [b.value for b in d.bounds] == sorted(b.value for b in d.bounds)


def killed_after(monkeypatch, what, times):
    """Let a function of the search die at its so-and-so-manyth call, as a kill would."""
    real, calls = getattr(local._Search, what), []

    def method(self, *arguments):
        calls.append(arguments)
        if len(calls) > times:
            raise SystemExit("killed")
        return real(self, *arguments)

    monkeypatch.setattr(local._Search, what, method)


@pytest.mark.parametrize(("what", "times"), [("draw", 0), ("draw", 1), ("_tick", 0), ("_tick", 4)])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch, what, times):
    net, X = gap_problem()
    file = tmp_path / "run.json"
    with pytest.MonkeyPatch.context() as patch:
        killed_after(patch, what, times)
        with contextlib.suppress(SystemExit):
            ed.local_dimension(net, X, proof="full", checkpoint=file)
    saved = json.loads(file.read_text())
    d = ed.local_dimension(net, X, proof="full", checkpoint=file)
    assert d.value == 33
    assert list(d.evidence.primes[: len(saved["primes"])]) == saved["primes"]
    assert ed.verify(d.certificate())
    seen = []
    again = ed.local_dimension(
        net, X, proof="full", checkpoint=file, progress=lambda a, b, note: seen.append(note)
    )
    assert again.value == 33
    assert again.evidence.primes == d.evidence.primes
    assert not any("closing" in note or "modulo" in note for note in seen)


def test_many_primes_resume_prime_by_prime(tmp_path, monkeypatch):
    net, X = gap_problem()
    file = tmp_path / "run.json"
    monkeypatch.setattr(closing, "LARGEST_WITNESS", -1)  # no kernel: many primes it must be
    steps = []

    def die(done, total, note):
        if "many-primes" in note:
            steps.append((done, total))
            if len(steps) == 3:
                raise SystemExit("killed")

    with pytest.raises(SystemExit):
        ed.local_dimension(net, X, proof="full", checkpoint=file, progress=die)
    assert steps[-1][0] == 3 < steps[-1][1]
    steps.clear()
    d = ed.local_dimension(
        net,
        X,
        proof="full",
        checkpoint=file,
        progress=lambda a, b, note: steps.append((a, b)) if "many" in note else None,
    )
    assert steps[0][0] == 4
    assert d.value == 33
    assert d.evidence.upper.name == "many-primes"
    assert ed.verify(d.certificate())


def test_a_checkpoint_belongs_to_its_problem(tmp_path):
    net, X = gap_problem()
    file = tmp_path / "run.json"
    ed.local_dimension(net, X, checkpoint=file)
    for other in (
        lambda: ed.local_dimension(net, X[:-1], checkpoint=file),
        lambda: ed.local_dimension(net, X, head="softmax", checkpoint=file),
        lambda: ed.local_dimension(ed.rescale(net, 0, 0, 2), X, checkpoint=file),
    ):
        with pytest.raises(errors.InvalidInput, match="belongs to another"):
            other()
    for rubbish in ("", "{}", "[1]", '{"format": "exactdim/checkpoint", "version": 9}', "\x00"):
        file.write_text(rubbish)
        with pytest.raises(errors.UnreadableFile, match="no checkpoint"):
            ed.local_dimension(net, X, checkpoint=file)
    with pytest.raises(errors.UnreadableFile, match="folder"):
        ed.local_dimension(net, X, checkpoint=tmp_path / "no" / "such" / "folder.json")


def test_a_process_killed_for_good_resumes(tmp_path):
    """SIGKILL in the middle of the many-primes proof, then the same call again."""
    code = """
import sys, numpy as np, exactdim as ed
from exactdim.dimension import closing
closing.LARGEST_WITNESS = -1
net = ed.ReLUNetwork.random((3, 5, 4, 2), seed=7)
X = np.round(np.random.default_rng(7).standard_normal((30, 3)) * 8) / 8
def progress(done, total, note):
    if "many" in note:
        print(done, total, flush=True)
print(int(ed.local_dimension(net, X, proof="full", checkpoint=sys.argv[1], progress=progress)))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "run.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        first = child.stdout.readline().split()
        child.kill()
        child.wait()
    assert first[0] == "1"
    done = json.loads((tmp_path / "run.json").read_text())["closing"]["done"]
    assert done >= 1
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert out[-2] == "33"
    if done < int(first[1]):
        assert int(out[0].split()[0]) > done


def test_seeded_primes_of_a_checkpoint_are_no_coins(tmp_path):
    """The prime of seed 0 makes the rank too small here; resumed, it says nothing."""
    q = random_prime(62, random.Random(0))
    weights = [[[q, 0], [0, -1], [q, -1]], [[q, 1, -1], [0, -1, q + 1]], [[-q, 1], [-q, q]]]
    net = ed.ReLUNetwork(weights, [[1, 1, 1], [1, 1], [0, 0]])
    X = [[-2, -3], [0, -2], [-3, 2]]
    rank = oracles.rank(ed.jacobian(net, X).tolist())
    file = tmp_path / "run.json"
    first = ed.local_dimension(net, X, seed=0, proof="fast", checkpoint=file)
    assert first.lower < rank
    assert first.status == "bracketed"
    again = ed.local_dimension(net, X, proof="fast", checkpoint=file)
    assert again.lower == rank
    assert len(again.evidence.primes) > 1


def test_ends_that_cross_are_a_bug_not_an_answer():
    d = ed.local_dimension(ed.ReLUNetwork([[[1]]], [[0]]), [[1], [2]])
    with pytest.raises(AssertionError, match="please report"):
        replace(d, lower=d.upper + 1)


def test_primes_of_folded_rows_are_no_coins_later(tmp_path):
    net, X = gap_problem()
    file = tmp_path / "run.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "suitable_source", lambda *_: "folded-gram")
        first = ed.local_dimension(net, X, proof="fast", checkpoint=file)
    assert first.status == "bracketed"
    assert json.loads(file.read_text())["coins"] == 0
    again = ed.local_dimension(net, X, proof="fast", checkpoint=file)
    assert json.loads(file.read_text())["coins"] == len(again.evidence.primes) - 1
