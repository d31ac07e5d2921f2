"""The commands atlas and full."""

import json
from dataclasses import replace

import networkx
import pytest

import exactdim as ed
from exactdim import cli
from exactdim.dimension.atlas import Atlas
from exactdim.nets.formats import write_network
from exactdim.regions.parameters import ParameterRegions


def run(*arguments):
    return cli.run([str(a) for a in arguments])


@pytest.fixture
def batch(tmp_path):
    path = tmp_path / "X.json"
    path.write_text('[[1, 0], [1, 1], [0, "1"]]')
    return path


@pytest.fixture
def net(tmp_path):
    """relu(x) - relu(x): full dimension 3 of 7 parameters."""
    path = tmp_path / "net.json"
    write_network(ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]]), path)
    return path


def test_atlas_in_words(capsys, batch):
    assert run("atlas", "2,2,1", batch, "--no-bias") == 0
    out = capsys.readouterr().out
    assert "36 regions of the parameters of 2-2-1 for 3 samples, 21 up to" in out
    assert "7/18" in out
    assert "solver" not in out


def test_atlas_as_json_and_files(capsys, batch, tmp_path):
    out, graph = tmp_path / "atlas.json", tmp_path / "atlas.graphml"
    code = run("atlas", "2,2,1", batch, "--no-bias", "--json", "--out", out, "--graph", graph)
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["status"]) == ("atlas", "proved")
    assert found["result"] == {
        "regions": 36,
        "orbits": 21,
        "histogram": {"0": 1, "1": 6, "2": 15, "3": 14},
        "full_rank_fraction": "7/18",
        "image_dimension": 3,
        "answers_of_smt_solver": 0,
    }
    saved = json.loads(out.read_text())
    assert len(saved["regions"]) == len(networkx.read_graphml(graph)) == 21


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2,x,1", "X.json"], "no architecture; write widths such as 2,3,1"),
        (["1,2,1", "X.json"], "takes 1 inputs"),
        (["2,2,1", "none.json"], "cannot read"),
        (["2,2,1", "X.json", "--out", "a.txt"], "ends in .json"),
        (["2,2,1", "X.json", "--graph", "a.dot"], "ends in .graphml"),
        (["2,2,1", "X.json", "--out", "no/a.json"], "name a file in a folder that exists"),
    ],
)
def test_atlas_refuses(capsys, batch, monkeypatch, arguments, message):
    monkeypatch.chdir(batch.parent)
    assert run("atlas", *arguments) == 2
    assert message in capsys.readouterr().err


def test_an_atlas_with_open_patterns_is_reported_as_such(capsys, batch, monkeypatch):
    """As if one of the 21 orbits had stayed open; tests/test_atlas.py has some that really do."""
    first, *others = ParameterRegions((2, 2, 1), [[1, 0], [1, 1], [0, 1]], bias=False)
    records = [replace(first, verdict="unknown"), *others]
    monkeypatch.setattr(ParameterRegions, "__iter__", lambda self: iter(records))
    monkeypatch.setattr(Atlas, "undecided", (records[0],))
    arguments = ("atlas", "2,2,1", batch, "--no-bias")
    assert run(*arguments) == 3
    assert "at least 35 regions, 1 pattern open" in capsys.readouterr().out
    assert run(*arguments, "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "bracketed"
    result = found["result"]
    assert result["histogram_at_least"] == {"1": 6, "2": 15, "3": 14}
    assert (result["regions_at_least"], result["undecided"]) == (35, ["000 000"])


def test_what_rests_on_the_solver_is_not_called_proved(capsys, batch, monkeypatch):
    """As if the solver had ruled something out; tests/test_atlas.py has a case where it does."""
    monkeypatch.setattr(Atlas, "believed", 2)
    assert run("atlas", "2,2,1", batch, "--no-bias", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["result"]["answers_of_smt_solver"]) == ("smt", 2)
    assert run("atlas", "2,2,1", batch, "--no-bias") == 0
    assert "rests on 2 answers of the SMT solver" in capsys.readouterr().out


def test_full_in_words_and_certificate(capsys, net, tmp_path):
    file = tmp_path / "full.json"
    assert run("full", net, "--out", file) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 of 7 parameters, proved")
    assert "over all batches: 2 activation regions, attained at 3 points" in out
    assert run("verify", file) == 0
    assert "accepted: full-dimension = 3" in capsys.readouterr().out
    assert run("show", file) == 0
    assert "full-dimension" in capsys.readouterr().out


def test_full_as_json(capsys, net):
    assert run("full", net, "--json", "--head", "logits") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["status"]) == ("full", "proved")
    result = found["result"]
    assert (result["lower"], result["upper"], result["regions"]) == (3, 3, 2)
    points = [[int(p) if "/" not in p else p for p in row] for row in result["points"]]
    assert ed.local_dimension(ed.as_network(net), points).value == 3


def test_full_within_limits(capsys, net):
    assert run("full", net, "--max-regions", "1") == 3
    assert "max_regions=1" in capsys.readouterr().err


def test_full_where_a_unit_vanishes(capsys, tmp_path):
    path = tmp_path / "zero.json"
    write_network(ed.ReLUNetwork([[[0]], [[1]]], [[0], [0]]), path)
    assert run("full", path) == 2
    assert "identically zero" in capsys.readouterr().err
