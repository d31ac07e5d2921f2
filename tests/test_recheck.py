"""Certificates too large for pure Python, and certificates that refer to files."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exactdim as ed
from exactdim import cli, errors
from exactdim.evidence import checker, recheck
from exactdim.evidence.certificate import Certificate
from exactdim.nets.formats import write_network

small = st.integers(-9, 9)


def wide():
    net = ed.ReLUNetwork.random((100, 60, 60, 10), seed=0)
    return net, np.random.default_rng(0).standard_normal((40, 100)).astype(np.float32)


@given(st.integers(0, 6), st.integers(0, 6), st.data(), st.sampled_from([3, 101, 2**61 - 1]))
def test_both_ranks_modulo_a_prime_agree(m, n, data, p):
    table = [data.draw(st.lists(small, min_size=n, max_size=n)) for _ in range(m)]
    table += [[x + p * y for x, y in zip(row, row[::-1], strict=True)] for row in table[:2]]
    assert recheck._flint_rank(table, p) == checker.plain_rank_mod(table, p)


@pytest.fixture(scope="module")
def honest():
    net, X = wide()
    return json.loads(ed.local_dimension(net, X).certificate().to_json())


def reseal(data):
    return Certificate.seal(data["claim"], data["problem"], data["witness"])


def test_a_rank_of_four_hundred_is_rechecked(honest):
    assert honest["claim"]["rank"] == 400 > recheck.PLAIN_RANK
    assert ed.verify(reseal(honest))
    assert checker.RANK_MOD.get() is checker.plain_rank_mod


def repeat_a_column(c):
    columns = c["witness"]["lower"]["columns"]
    columns[0] = columns[1]


@pytest.mark.parametrize(
    "change",
    [
        repeat_a_column,
        lambda c: c["witness"]["lower"].update(modulus="8388607"),
        lambda c: c["claim"].update(rank=401),
        lambda c: c["claim"].update(rank=399),
        lambda c: c["witness"]["patterns"][3].__setitem__(0, "1" * 60),
        lambda c: c["problem"]["inputs"].__setitem__(0, c["problem"]["inputs"][1]),
        lambda c: c["problem"]["layers"][2].update(weight=[["0"] * 60] * 10),
        lambda c: c["witness"]["upper"].update(reason="parameters"),
    ],
)
def test_tampering_with_a_large_certificate(honest, change):
    data = copy.deepcopy(honest)
    change(data)
    assert not ed.verify(reseal(data))
    assert checker.RANK_MOD.get() is checker.plain_rank_mod  # also after a rejection


def test_the_standard_library_checker_states_its_limit(honest):
    data = copy.deepcopy(honest)
    data["claim"]["rank"] = checker.MAX_RANK + 1
    text = reseal(data).to_json()
    with pytest.raises(checker.Malformed, match="too large for this checker"):
        checker.check_text(text)
    assert not ed.verify(reseal(data))


def referring(folder):
    net = ed.ReLUNetwork.random((3, 4, 2), seed=1)
    X = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    write_network(net, folder / "net.npz")
    np.save(folder / "x.npy", X)
    certificate = ed.local_dimension(net, X).certificate(network="net.npz", batch="x.npy")
    return certificate.save(folder / "claim.json"), net, X


def test_files_are_referred_to_by_digest(tmp_path, capsys):
    path, net, X = referring(tmp_path)
    data = json.loads(path.read_text())
    assert set(data["problem"]) == {"network", "batch"}
    assert ed.verify(path)
    assert checker.main([str(path)]) == 2
    assert "exactdim verify" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", 2 * X)
    assert "x.npy is not the batch" in ed.verify(path).reason
    np.save(tmp_path / "x.npy", X.astype(float))  # the same numbers
    assert ed.verify(path)
    write_network(ed.rescale(net, 0, 0, 2), tmp_path / "net.npz")
    assert "net.npz is not the network" in ed.verify(path).reason
    (tmp_path / "net.npz").unlink()
    with pytest.raises(errors.MalformedCertificate, match=r"refers to net\.npz"):
        ed.verify(path)


@pytest.mark.parametrize(
    "reference",
    [
        None,
        "net.npz",
        {},
        {"file": "net.npz"},
        {"file": 3, "sha256": ""},
        {"file": "", "sha256": ""},
        {"file": "net.npz", "sha256": None},
        {"file": "net.npz", "sha256": "0" * 64, "more": 1},
    ],
)
def test_rubbish_references(tmp_path, reference):
    path, _, _ = referring(tmp_path)
    data = json.loads(path.read_text())
    data["problem"]["network"] = reference
    reseal(data).save(path)
    assert not ed.verify(path)


def test_a_reference_with_a_broken_seal(tmp_path):
    path, _, _ = referring(tmp_path)
    data = json.loads(path.read_text())
    data["claim"]["rank"] -= 1
    path.write_text(json.dumps(data))
    assert "digest" in ed.verify(path).reason
    data["problem"]["layers"] = []
    reseal(data).save(path)
    assert not ed.verify(path)


def test_the_command_line_refers_and_says_how_long(tmp_path, capsys, monkeypatch):
    net, X = wide()
    write_network(net, tmp_path / "net.npz")
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "claim.json"
    arguments = ["dim", tmp_path / "net.npz", tmp_path / "x.npy", "--out", out, "--refer"]
    assert cli.run([str(a) for a in arguments]) == 0
    assert json.loads(out.read_text())["problem"]["network"]["file"] == "../net.npz"
    monkeypatch.setattr(recheck, "seconds", lambda data: 99.0)
    capsys.readouterr()
    assert cli.run(["verify", str(out)]) == 0
    captured = capsys.readouterr()
    assert "checking takes about 99 s" in captured.err
    assert "accepted" in captured.out
