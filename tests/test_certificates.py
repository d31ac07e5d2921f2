"""The checker accepts what is true and rejects every kind of tampering."""

import ast
import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import oracles
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from networks import problems

import exactdim as ed
from exactdim import errors
from exactdim.arith.manyprimes import ManyPrimes
from exactdim.dimension import closing
from exactdim.dimension.bounds import StructuralBounds
from exactdim.evidence import checker
from exactdim.nets.jacobian import jacobian_factors

heads = st.sampled_from(["logits", "softmax"])
CHECKER = Path(checker.__file__)


def reseal(data):
    data["digest"] = checker.digest(data["claim"], data["problem"], data["witness"])
    return data


def check(data):
    return checker.check_text(json.dumps(data))


@given(problems(), heads, st.sampled_from(["zero", "drop"]), st.sampled_from(["fast", "auto"]))
def test_every_certificate_is_accepted(problem, head, on_kink, proof):
    net, X = problem
    try:
        d = ed.local_dimension(net, X, head=head, on_kink=on_kink, proof=proof)
    except errors.InvalidInput:
        return  # every sample on a kink
    certificate = d.certificate()
    verdict = ed.verify(certificate)
    assert verdict, verdict
    assert verdict.accepted
    data = json.loads(certificate.to_json())
    assert data["claim"]["kind"] == ("jacobian-rank" if d.status == "proved" else "rank-at-least")


@given(problems(), heads, st.data())
def test_every_bound_is_recomputed_to_the_same_number(problem, head, data):
    """A certificate whose rank and bound agree stays accepted with any bound that is sharp."""
    net, X = problem
    d = ed.local_dimension(net, X, head=head, on_kink="zero")
    factors = jacobian_factors(net, X, head=head, on_kink="zero")
    plan = ManyPrimes(closing.scaled_integers(factors.dense), d.value, data.draw(st.booleans()))
    kernel = closing.KernelProof(factors, d.value, d.evidence.lower.modulus).run(None)
    reasons = [
        {"reason": "kernel", **kernel.witness},
        {
            "reason": "many-primes",
            "matrix": "gram" if plan.gram else "jacobian",
            "primes": [str(p) for p in plan.primes()],
        },
    ]
    reasons += [
        {"reason": b.name, **b.witness}
        for b in ed.dimension_bounds(net, X, head=head, on_kink="zero")
        if b.value == d.value
    ]
    certificate = json.loads(d.certificate().to_json())
    for reason in reasons:
        certificate["witness"]["upper"] = reason
        assert check(reseal(certificate)), reason
    for b in ed.dimension_bounds(net, X, head=head, on_kink="zero"):
        if b.value != d.value:
            certificate["witness"]["upper"] = {"reason": b.name, **b.witness}
            verdict = check(reseal(certificate))
            assert not verdict
            assert f"gives {b.value}," in verdict.reason


NET = ed.ReLUNetwork([[["1/2"], [3]], [[3, -1]]], [[-1, "-1/3"], [5]])
X = [[0], [1], [3], [4], [7]]


@pytest.fixture
def honest():
    d = ed.local_dimension(NET, X)
    assert d.status == "proved"
    data = json.loads(d.certificate().to_json())
    assert check(data)
    return data


@pytest.fixture
def with_kernel():
    """The same claim with its upper end proved by kernel vectors."""
    d = ed.local_dimension(NET, X)
    kernel = closing.KernelProof(jacobian_factors(NET, X), d.value, 2**61 - 1).run(None)
    data = json.loads(d.certificate().to_json())
    data["witness"]["upper"] = {"reason": "kernel", **kernel.witness}
    assert check(reseal(data))
    return data


def at(data, *path):
    for key in path:
        data = data[key]
    return data


TAMPERING = {
    "claim too large": lambda c: c["claim"].update(rank=c["claim"]["rank"] + 1),
    "claim too small": lambda c: c["claim"].update(rank=c["claim"]["rank"] - 1),
    "claim a boolean": lambda c: c["claim"].update(rank=True),
    "claim a string": lambda c: c["claim"].update(rank="4"),
    "claim negative": lambda c: c["claim"].update(rank=-1),
    "claim of another kind": lambda c: c["claim"].update(kind="matrix-rank"),
    "claim of an odd kind": lambda c: c["claim"].update(kind=["jacobian-rank"]),
    "another head": lambda c: c["claim"].update(head="softmax"),
    "unknown head": lambda c: c["claim"].update(head="probits"),
    "wrt the input": lambda c: c["claim"].update(wrt="input"),
    "weight": lambda c: at(c, "problem", "layers", 0, "weight", 0).__setitem__(0, "-1/2"),
    "weight a float": lambda c: at(c, "problem", "layers", 0, "weight", 0).__setitem__(0, 0.5),
    "weight an int": lambda c: at(c, "problem", "layers", 0, "weight", 1).__setitem__(0, 3),
    "denominator zero": lambda c: at(c, "problem", "layers", 0, "weight", 0).__setitem__(0, "1/0"),
    "no number": lambda c: at(c, "problem", "layers", 0, "weight", 0).__setitem__(0, "1e3"),
    "NaN": lambda c: at(c, "problem", "layers", 0, "weight", 0).__setitem__(0, float("nan")),
    "bias missing": lambda c: at(c, "problem", "layers", 1).update(bias=None),
    "bias too long": lambda c: at(c, "problem", "layers", 1)["bias"].append("0"),
    "ragged weights": lambda c: at(c, "problem", "layers", 1, "weight", 0).append("1"),
    "no layers": lambda c: c["problem"].update(layers=[]),
    "input moved onto a kink": lambda c: c["problem"]["inputs"].__setitem__(1, ["2"]),
    "input repeated": lambda c: c["problem"]["inputs"].__setitem__(1, ["0"]),
    "input left out": lambda c: c["problem"]["inputs"].pop(),
    "no inputs": lambda c: c["problem"].update(inputs=[]),
    "pattern": lambda c: c["witness"]["patterns"].__setitem__(0, ["11"]),
    "pattern of another length": lambda c: c["witness"]["patterns"].__setitem__(0, ["000"]),
    "pattern left out": lambda c: c["witness"]["patterns"].pop(),
    "dropped a sample": lambda c: c["witness"].update(dropped=[0]),
    "dropped no list": lambda c: c["witness"].update(dropped=None),
    "row repeated": lambda c: at(c, "witness", "lower").update(rows=[1, 1, 2, 3]),
    "row out of range": lambda c: at(c, "witness", "lower", "rows").__setitem__(0, 99),
    "row negative": lambda c: at(c, "witness", "lower", "rows").__setitem__(0, -1),
    "row left out": lambda c: at(c, "witness", "lower", "rows").pop(),
    "columns of another minor": lambda c: at(c, "witness", "lower").update(columns=[0, 2, 4, 5]),
    "column out of range": lambda c: at(c, "witness", "lower", "columns").__setitem__(0, 7),
    "modulus 0": lambda c: at(c, "witness", "lower").update(modulus="0"),
    "modulus 1": lambda c: at(c, "witness", "lower").update(modulus="1"),
    "modulus negative": lambda c: at(c, "witness", "lower").update(modulus="-7"),
    "modulus composite": lambda c: at(c, "witness", "lower").update(modulus=str(2**61 + 1)),
    "modulus pseudoprime": lambda c: at(c, "witness", "lower").update(modulus="3215031751"),
    "modulus beyond 64 bits": lambda c: at(c, "witness", "lower").update(modulus=str(2**89 - 1)),
    "modulus an int": lambda c: at(c, "witness", "lower").update(modulus=101),
    "modulus in a denominator": lambda c: at(c, "witness", "lower").update(modulus="3"),
    "upper of another reason": lambda c: c["witness"].update(upper={"reason": "rows"}),
    "upper unknown": lambda c: c["witness"].update(upper={"reason": "because"}),
    "upper no object": lambda c: c["witness"].update(upper=["rows"]),
    "upper missing": lambda c: c["witness"].pop("upper"),
    "lower missing": lambda c: c["witness"].pop("lower"),
    "extra key in the claim": lambda c: c["claim"].update(note="trust me"),
    "extra key in the problem": lambda c: c["problem"].update(note="trust me"),
    "extra key in the witness": lambda c: c["witness"].update(note="trust me"),
    "extra key in a layer": lambda c: at(c, "problem", "layers", 0).update(activation="tanh"),
    "extra key at the top": lambda c: c.update(note="trust me"),
    "missing key in the claim": lambda c: c["claim"].pop("on_kink"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_rejected_even_with_a_fresh_digest(honest, kind):
    original = copy.deepcopy(honest)
    TAMPERING[kind](honest)
    assert honest != original
    verdict = check(reseal(honest))
    assert not verdict
    assert verdict.reason


@pytest.mark.parametrize("part", ["claim", "problem", "witness"])
def test_a_stale_digest_is_rejected(honest, part):
    honest[part]["x"] = "y"
    assert "digest" in check(honest).reason


KERNEL_TAMPERING = {
    "entry": lambda u: next(v for v in u["vectors"] if "gauge" in v).update({
        "entries": {"0": "1"},
        "gauge": [0, 0],
    }),
    "vector replaced": lambda u: u["vectors"].__setitem__(0, {"entries": {"0": "1", "6": "1"}}),
    "vector zero": lambda u: u["vectors"].__setitem__(0, {"entries": {"0": "0"}}),
    "vector empty": lambda u: u["vectors"].__setitem__(0, {"entries": {}}),
    "vector repeated": lambda u: u["vectors"].append(copy.deepcopy(u["vectors"][0])),
    "vector left out": lambda u: u["vectors"].pop(),
    "no zero column": lambda u: u["vectors"].append({"unit": 6}),
    "gauge of no unit": lambda u: u["vectors"].__setitem__(0, {"gauge": [0, 5]}),
    "gauge of the last layer": lambda u: u["vectors"].__setitem__(0, {"gauge": [1, 0]}),
    "gauge a string": lambda u: u["vectors"].__setitem__(0, {"gauge": "00"}),
    "unknown kind": lambda u: u["vectors"].__setitem__(0, {"vector": [1]}),
    "float entry": lambda u: u["vectors"].__setitem__(0, {"entries": {"0": 1.0}}),
    "coordinate out of range": lambda u: u["vectors"].__setitem__(0, {"entries": {"99": "1"}}),
    "coordinate negative": lambda u: u["vectors"].__setitem__(0, {"entries": {"-1": "1"}}),
    "coordinate twice": lambda u: u["vectors"].__setitem__(0, {"entries": {"00": "1", "0": "1"}}),
    "side": lambda u: u.update(side="rows"),
    "side odd": lambda u: u.update(side=["columns"]),
    "too many": lambda u: u["vectors"].extend([{"unit": 0}] * 9),
}


@pytest.mark.parametrize("kind", KERNEL_TAMPERING)
def test_tampering_with_a_kernel_is_rejected(with_kernel, kind):
    assert any("gauge" in v for v in with_kernel["witness"]["upper"]["vectors"])
    KERNEL_TAMPERING[kind](with_kernel["witness"]["upper"])
    assert not check(reseal(with_kernel))


def spelled_out_kernel():
    net = ed.ReLUNetwork.random((3, 5, 4, 2), seed=7)
    batch = np.round(np.random.default_rng(7).standard_normal((30, 3)) * 8) / 8
    return json.loads(ed.local_dimension(net, batch).certificate().to_json())


def test_a_changed_entry_of_a_spelled_out_vector_is_rejected():
    data = spelled_out_kernel()
    assert check(data)
    vectors = data["witness"]["upper"]["vectors"]
    entries = next(v["entries"] for v in vectors if "entries" in v)
    key = next(iter(entries))
    entries[key] = str(int(entries[key], 0) + 1)
    assert "not in the kernel" in check(reseal(data)).reason


def test_tampering_with_many_primes(honest):
    factors = jacobian_factors(NET, X)
    rank = honest["claim"]["rank"]
    for gram in (False, True):
        plan = ManyPrimes(closing.scaled_integers(factors.dense), rank, gram)
        primes = [str(p) for p in plan.primes()]
        good = {"reason": "many-primes", "matrix": "gram" if gram else "jacobian", "primes": primes}
        honest["witness"]["upper"] = good
        assert check(reseal(honest))
        for bad in (
            {"primes": []},
            {"primes": [primes[0], primes[0]]},
            {"primes": ["4", *primes]},
            {"primes": ["101"]},
            {"primes": [int(p) for p in primes]},
            {"matrix": "hessian"},
            {"matrix": None},
        ):
            honest["witness"]["upper"] = {**good, **bad}
            assert not check(reseal(honest)), bad


def test_output_span_relations_are_checked():
    net = ed.ReLUNetwork.random((6, 5, 4, 7), seed=4)
    batch = np.random.default_rng(4).standard_normal((8, 6))
    d = ed.local_dimension(net, batch)
    assert d.evidence.upper.name == "output-span"
    data = json.loads(d.certificate().to_json())
    relations = data["witness"]["upper"]["relations"]
    assert relations
    number, relation = next((i, r) for i, r in enumerate(relations) if len(r) > 1)
    key = next(iter(relation))
    for change in (
        lambda r: r[number].update({key: "12345"}),
        lambda r: r.append(dict(r[0])),
        lambda r: r.pop(),
        lambda r: r.append({"0": "1"}),
        lambda r: r.append({}),
    ):
        tampered = copy.deepcopy(data)
        change(tampered["witness"]["upper"]["relations"])
        assert not check(reseal(tampered))


def test_removed_samples_are_checked():
    batch = np.round(np.random.default_rng(3).standard_normal((40, 9)) * 64) / 64
    batch[:, 4:] = 0
    batch[7, 4:] = 1
    net = ed.ReLUNetwork.random((9, 6, 1), seed=3)
    bounds = StructuralBounds(jacobian_factors(net, batch))
    bound = bounds.unit_relations([7])
    data = json.loads(ed.local_dimension(net, batch).certificate().to_json())
    assert bound.value == data["claim"]["rank"]
    for removed, fine in (
        (bound.witness["removed"], True),
        ([], False),
        ([7, 7], False),
        ([40], False),
        ([-1], False),
        (["7"], False),
        ("7", False),
    ):
        data["witness"]["upper"] = {"reason": bound.name, **bound.witness, "removed": removed}
        assert bool(check(reseal(data))) == fine, removed


def related_units(side):
    """Equal inputs, or few samples on common rays: relations between columns, or rows."""
    rng = np.random.default_rng(0)
    if side == "columns":
        batch = rng.integers(-3, 4, (25, 4)) / 2
        batch[:, 3] = batch[:, 0] - 2 * batch[:, 1]
        return ed.ReLUNetwork.random((4, 5, 3, 1), seed=0, bias=False), batch
    batch = rng.integers(-3, 4, (8, 12)) / 2
    batch[4:] = 3 * batch[:4]
    return ed.ReLUNetwork.random((12, 5, 3, 1), seed=0, bias=False), batch


@pytest.mark.parametrize("side", ["columns", "rows"])
def test_relations_of_units_are_checked(side):
    net, batch = related_units(side)
    bounds = StructuralBounds(jacobian_factors(net, batch, on_kink="drop"))
    bound = bounds.unit_relations((), [(1, 0)])
    assert side in {entry["side"] for entry in bound.witness["relations"]}
    honest = json.loads(ed.local_dimension(net, batch, on_kink="drop").certificate().to_json())
    upper = {"reason": bound.name, **bound.witness}
    problem = checker.read_problem(
        honest["claim"], honest["problem"], honest["witness"]["dropped"],
        honest["witness"]["patterns"],
    )  # fmt: skip
    value = checker.by_unit_relations(problem, upper)
    assert value == bound.value

    def outcome(change):
        tampered = copy.deepcopy(upper)
        change(tampered)
        try:
            return checker.by_unit_relations(problem, tampered)
        except checker.Rejected:
            return None

    for place, entry in enumerate(upper["relations"]):
        vector = entry["vectors"][0]
        key = next(iter(vector))

        def edit(change, place=place):
            return lambda u: change(u["relations"][place])

        changes = [
            edit(lambda e, key=key: e["vectors"][0].update({key: "12345678"})),
            edit(lambda e: e["vectors"].append(e["vectors"][0])),
            edit(lambda e: e["vectors"].append({})),
            edit(lambda e: e["vectors"].append({"999999": "1"})),
            edit(lambda e: e.update(side="rows" if e["side"] == "columns" else "columns")),
            edit(lambda e: e.update(side="diagonals")),
            edit(lambda e: e.update(unit=[0, 99])),
            edit(lambda e: e.update(unit=[0])),
            edit(lambda e: e.update(extra=1)),
            lambda u, place=place: u["relations"].append(u["relations"][place]),
            lambda u: u.update(shared=[[0, 0], [0, 0]]),
            lambda u: u.update(shared=[[9, 0]]),
            lambda u: u.update(shared=[[0]]),
            lambda u: u.update(shared=[0]),
            lambda u: u.update(removed=[0, 0]),
        ]
        for number, change in enumerate(changes):
            assert outcome(change) is None, (place, number)
        # Without its relations a unit counts for more.
        assert outcome(lambda u, place=place: u["relations"].pop(place)) >= value


def test_zero_columns_and_rows_that_are_off_are_no_relations():
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]])
    batch = [[1, 0], [2, 0], [3, -1], [-1, -2], [-2, -3]]
    honest = json.loads(ed.local_dimension(net, batch, on_kink="zero").certificate().to_json())
    problem = checker.read_problem(
        honest["claim"], honest["problem"], [], honest["witness"]["patterns"]
    )
    bounds = StructuralBounds(jacobian_factors(net, batch, on_kink="zero"))
    bound = bounds.unit_relations()
    known = {repr(e["unit"]): e for e in bound.witness["relations"]}
    assert checker.by_unit_relations(problem, dict(bound.witness)) == bound.value
    for unit in ([0, 0], [0, 1], None):
        if repr(unit) in known:
            continue
        for side, vectors in (
            ("columns", [{"1": "1"}]),  # zero wherever the unit is on
            ("rows", [{"3": "1", "4": "-1"}]),  # both are off, and equal there
            ("rows", [{"3": "1"}]),
        ):
            entry = {"unit": unit, "side": side, "vectors": vectors}
            witness = {**bound.witness, "relations": [*bound.witness["relations"], entry]}
            try:
                value = checker.by_unit_relations(problem, witness)
            except checker.Rejected:
                continue
            assert value >= bound.value, (unit, side)


def test_kinks_are_told_apart():
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    batch = [[0], [1], [2]]
    for on_kink in ("zero", "drop"):
        data = json.loads(ed.local_dimension(net, batch, on_kink=on_kink).certificate().to_json())
        assert check(data)
        assert ("formal" in check(data).claim) == (on_kink == "zero")
        for other in {"raise", "zero", "drop"} - {on_kink}:
            data["claim"]["on_kink"] = other
            assert not check(reseal(data)), (on_kink, other)
    harmless = ed.ReLUNetwork([[[1]], [[1]], [[1]]])
    assert ed.verify(ed.local_dimension(harmless, [[-1], [1]]).certificate())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ('{"format": "exactdim/certificate"', "not JSON"),
        ("[1, 2]", "not an exactdim certificate"),
        ("{}", "not an exactdim certificate"),
        ('{"format": "exactdim/certificate", "version": 2}', "version 2"),
        ('{"format": "exactdim/certificate", "version": true}', "version True"),
        ('{"format": "exactdim/certificate", "version": 1, "claim": {}}', "incomplete"),
        ('{"format": "exactdim/certificate", "version": 1, "version": 1}', "twice"),
        ("[" * 100_000, "not JSON"),
        ('{"format": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_what_is_no_certificate(tmp_path, text, words):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(errors.MalformedCertificate, match=words):
        ed.verify(path)
    with pytest.raises(errors.MalformedCertificate, match=words):
        ed.Certificate.load(path)


@pytest.mark.parametrize("thing", [{}, 3, None, [1]])
def test_what_is_neither_certificate_nor_path(thing):
    with pytest.raises(errors.InvalidInput, match="takes a Certificate or a path"):
        ed.verify(thing)


def test_truncated_oversized_and_binary_files(tmp_path, honest, monkeypatch):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(honest)[:-100])
    with pytest.raises(errors.MalformedCertificate, match="truncated"):
        ed.verify(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.MalformedCertificate, match="UTF-8"):
        ed.verify(path)
    with pytest.raises(errors.MalformedCertificate, match="cannot read"):
        ed.verify(tmp_path)
    path.write_text(json.dumps(honest))
    monkeypatch.setattr(checker, "MAX_BYTES", 100)
    with pytest.raises(errors.MalformedCertificate, match="limit"):
        ed.verify(path)


def test_huge_denominators_are_refused_before_they_fill_the_memory(honest, monkeypatch):
    monkeypatch.setattr(checker, "MAX_BITS", 100)
    honest["problem"]["inputs"][0] = ["1/" + str(2**200 + 1)]
    assert "too large to check" in check(reseal(honest)).reason


@pytest.mark.parametrize("bad", ["\ud800", "x\nforged: accepted: jacobian-rank = 3\x1b[2K", "é"])
def test_strings_in_a_claim_cannot_forge_output(honest, bad, tmp_path):
    for key in ("kind", "head", "on_kink", "rank"):
        data = copy.deepcopy(honest)
        data["claim"][key] = bad
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(reseal(data)))
        done = subprocess.run(
            [sys.executable, "-I", str(CHECKER), str(path)],
            capture_output=True,
            text=True,
            env={"PYTHONIOENCODING": "ascii"},
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1
        assert "REJECTED" in done.stdout


def test_certificates_survive_a_file(tmp_path, honest):
    d = ed.local_dimension(NET, X)
    path = d.certificate().save(tmp_path / "c.json")
    loaded = ed.Certificate.load(path)
    assert loaded.to_json() == path.read_text().strip()
    assert repr(loaded) == "<Certificate jacobian-rank = 4>"
    assert ed.verify(path)
    assert ed.verify(str(path)) == ed.verify(loaded)
    assert list(tmp_path.iterdir()) == [path]


def test_long_numbers_are_hexadecimal_and_accepted():
    big = 3**20000
    net = ed.ReLUNetwork([[[big]], [[1]]], [[-1], [0]])
    certificate = ed.local_dimension(net, [[1], [2]]).certificate()
    assert hex(big) in certificate.to_json()
    assert ed.verify(certificate)


def test_no_float_and_no_bare_number_of_the_mathematics(honest):
    def walk(value):
        assert not isinstance(value, float)
        children = (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        )
        for child in children:
            walk(child)

    walk(honest)
    text = json.dumps(honest["problem"])
    assert all(c.isascii() for c in text)


def test_the_checker_runs_alone(tmp_path, honest):
    """In an isolated interpreter that cannot see exactdim, numpy or flint."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(honest))
    honest["claim"]["rank"] -= 1
    bad.write_text(json.dumps(reseal(honest)))
    alone = tmp_path / "checker.py"
    alone.write_text(CHECKER.read_text())

    def run(*files):
        return subprocess.run(
            [sys.executable, "-I", "-S", str(alone), *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
        )

    assert run(good).returncode == 0
    assert "accepted: jacobian-rank = 4" in run(good).stdout
    rejected = run(good, bad)
    assert rejected.returncode == 1
    assert "REJECTED" in rejected.stdout
    missing = run(tmp_path / "absent.json", good)
    assert missing.returncode == 2
    assert "accepted" in missing.stdout
    assert run().returncode == 2
    assert run("--help").returncode == 0


def test_the_checker_imports_the_standard_library_only():
    names = set()
    for node in ast.walk(ast.parse(CHECKER.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert names <= set(sys.stdlib_module_names) | {"__future__"}


def test_the_checkers_primality_test():
    for n in [*range(-3, 3000), 3215031751, 3825123056546413051, 2**61 - 1, 2**64 - 59, 2**64 - 57]:
        assert checker.is_prime(n) == (n < 2**64 and bool(sympy.isprime(n))), n
    assert not checker.is_prime(2**89 - 1)  # prime, but beyond the limit


@given(problems())
def test_the_checkers_linear_algebra(problem):
    net, batch = problem
    A = ed.jacobian(net, batch, on_kink="zero")
    table = [[int(v * A.denominator) for v in row] for row in A.tolist()]
    rank = oracles.fraction_rank(A.tolist())
    assert checker.exact_rank([list(row) for row in table]) == rank
    assert checker.bareiss_rank([list(row) for row in table]) == rank
    for y in checker.left_kernel([list(row) for row in table]):
        assert not any(
            sum(a * b for a, b in zip(y, c, strict=True)) for c in zip(*table, strict=True)
        )
    assert len(checker.left_kernel([list(row) for row in table])) == len(table) - rank
