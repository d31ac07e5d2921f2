"""The commands regions and same, and show and verify for what they write."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import networkx
import numpy as np
import psutil
import pytest

import exactdim as ed
from exactdim import cli
from exactdim.nets.formats import write_network

GOLDEN = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])


def run(*arguments):
    return cli.run([str(a) for a in arguments])


def spelled(value):
    """How a case is called."""
    return " ".join(value) if isinstance(value, list) else str(value)


@pytest.fixture
def golden(tmp_path):
    """relu(relu(x) + relu(y) - 1)"""
    write_network(GOLDEN, tmp_path / "golden.json")
    return str(tmp_path / "golden.json")


@pytest.fixture
def pair(tmp_path, golden):
    """The same network, rescaled and permuted; and one that is not the same."""
    other = ed.permute(ed.rescale(GOLDEN, 0, 0, "2/3"), 0, [1, 0])
    write_network(other, tmp_path / "other.json")
    biases = [[0, 0], [-1 - Fraction(1, 2**40)], None]
    write_network(ed.ReLUNetwork(GOLDEN.weights, biases), tmp_path / "third.json")
    return str(tmp_path / "other.json"), str(tmp_path / "third.json")


def report(capsys):
    """The one JSON object on stdout."""
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["schema"] == "exactdim/report"
    return found


def regions_json(capsys, *arguments, code=0):
    assert run("regions", *arguments, "--json") == code
    found = report(capsys)
    assert found["command"] == "regions"
    return found["result"]


def refused(capsys, arguments, *words):
    """Exit code 2, nothing on stdout, and a message that says what is wrong."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for word in words:
        assert word in captured.err
    assert "Traceback" not in captured.err


# -- regions ----------------------------------------------------------------------------------


def test_regions_in_words(golden, capsys):
    assert run("regions", golden, "--box", "-2:2") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0].startswith("7 activation regions in ")
    assert "[-2, 2] x [-2, 2]" in lines[0]
    assert "7 bounded, 0 unbounded" in captured.out
    assert "13 of dimension 0, 19 of dimension 1, 7 of dimension 2" in captured.out
    assert "Euler characteristic 1" in captured.out


def test_regions_as_json(golden, capsys):
    assert run("regions", golden, "--box", "-2:2", "--json") == 0
    found = report(capsys)
    assert found["status"] == "proved"
    assert found["certificate"] is None
    assert found["result"]["regions"] == found["result"]["bounded"] == 7
    assert found["result"]["faces"] == [13, 19, 7]
    assert found["result"]["euler_characteristic"] == 1
    assert sorted(found["result"]["patterns"]) == [
        "00 0",
        "01 0",
        "01 1",
        "10 0",
        "10 1",
        "11 0",
        "11 1",
    ]
    assert "linear_regions" not in found["result"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], 7),
        (["--all"], 7),
        (["--box", "-2:2"], 7),
        (["--box=-2:2"], 7),
        (["--box", "-1/3:1/3"], 4),
        (["--box", "-0.3:0.3"], 4),
        (["--box", "0:2"], 2),
        (["--box", "0:2,-1:0"], 2),
        (["--box", "0:1,-1:0"], 1),
        (["--box", "1/2:1e1,-7:-1/7"], 2),
    ],
    ids=spelled,
)
def test_boxes(golden, capsys, options, expected):
    assert regions_json(capsys, golden, *options)["regions"] == expected


def test_linear_regions(golden, capsys):
    assert regions_json(capsys, golden, "--box", "-2:2", "--linear")["linear_regions"] == 4
    assert run("regions", golden, "--box", "-2:2", "--linear") == 0
    assert "4 linear regions" in capsys.readouterr().out


def test_counting_alone(golden, capsys):
    assert run("regions", golden, "--count") == 0
    assert capsys.readouterr().out.startswith("7 activation regions")
    assert regions_json(capsys, golden, "--count", "--box", "-1/3:1/3") == {"regions": 4}


@pytest.mark.parametrize("bound", ["3/2", 1.5, "1.5", "15e-1"])
def test_polytopes(golden, tmp_path, capsys, bound):
    """The triangle 0 <= x, 0 <= y, x + y <= 3/2."""
    file = tmp_path / "triangle.json"
    file.write_text(json.dumps({"A": [[-1, 0], [0, "-1"], [1, 1.0]], "b": [0, 0, bound]}))
    found = regions_json(capsys, golden, "--polytope", file)
    assert found["regions"] == 2
    assert sorted(found["patterns"]) == ["11 0", "11 1"]
    assert found["bounded"] == 2


def test_decimals_in_a_polytope_are_what_they_say(tmp_path, capsys):
    """relu(10 x - 1) for x <= 0.1, which is 1/10 and not the nearest float."""
    net, file = tmp_path / "net.json", tmp_path / "half-line.json"
    write_network(ed.ReLUNetwork([[[10]], [[1]]], [[-1], [0]]), net)
    for bound in ('"1/10"', '"0.1"', "0.1"):
        file.write_text('{"A": [[1]], "b": [' + bound + "]}")
        assert regions_json(capsys, net, "--polytope", file)["regions"] == 1, bound
    assert regions_json(capsys, net, "--box", "-1:0.1")["regions"] == 1


def test_slices(golden, tmp_path, capsys):
    np.savetxt(tmp_path / "diagonal.csv", [[-1, -1], [1, 1]], delimiter=",")
    (tmp_path / "plane.json").write_text(json.dumps([["1/2", 0], ["1/2", 1], ["3/2", 0]]))
    diagonal, plane = tmp_path / "diagonal.csv", tmp_path / "plane.json"
    assert regions_json(capsys, golden, "--slice", diagonal)["regions"] == 3
    found = regions_json(capsys, golden, "--slice", diagonal, "--box", "0:1")
    assert found["bounded"] == found["regions"] == 3
    assert regions_json(capsys, golden, "--slice", diagonal, "--box", "1/2:2")["regions"] == 2
    assert regions_json(capsys, golden, "--slice", plane)["regions"] == 7
    assert regions_json(capsys, golden, "--slice", plane, "--all")["regions"] == 7
    triangle = tmp_path / "triangle.json"
    triangle.write_text(json.dumps({"A": [[-1, 0], [0, -1], [1, 1]], "b": [0, 0, 1]}))
    assert regions_json(capsys, golden, "--slice", plane, "--polytope", triangle)["regions"] == 2


@pytest.mark.parametrize(
    "options", [[], ["--box", "-2:2"], ["--box", "-2:2", "--json"], ["--box", "-2:2", "--quiet"]]
)
def test_certificates_of_complete_lists(golden, tmp_path, capsys, options):
    out = tmp_path / "regions.cert.json"
    assert run("regions", golden, *options, "--out", out) == 0
    captured = capsys.readouterr()
    if "--json" in options:
        assert json.loads(captured.out)["certificate"] == str(out)
    assert str(out) in captured.out + captured.err
    assert run("verify", out) == 0
    assert "accepted" in (text := capsys.readouterr().out)
    assert "exactly 7 activation regions" in text
    assert run("show", out) == 0
    text = capsys.readouterr().out
    assert "regions-complete" in text
    assert "2-2-1-1" in text
    assert "7 regions listed" in text
    assert f"exactdim verify {out}" in text
    assert run("show", out, "--json") == 0
    assert report(capsys)["result"]["claim"] == {"kind": "regions-complete", "count": 7}
    data = json.loads(out.read_text())
    data["claim"]["count"] = 6
    out.write_text(json.dumps(data))
    assert run("verify", out) == 1
    assert "REJECTED" in capsys.readouterr().out


def test_show_and_verify_for_single_patterns(tmp_path, capsys):
    for words, answer in ((["11", "1"], "region-nonempty"), (["00", "1"], "region-empty")):
        out = tmp_path / f"{answer}.json"
        ed.realise(GOLDEN, words).certificate().save(out)
        assert run("verify", out) == 0
        assert answer in capsys.readouterr().out
        assert run("show", out) == 0
        text = capsys.readouterr().out
        assert answer in text
        assert "2-2-1-1" in text
    assert "multipliers" in text


def test_graphs(golden, tmp_path, capsys):
    file = tmp_path / "regions.graphml"
    assert run("regions", golden, "--box", "-2:2", "--graph", file) == 0
    assert str(file) in capsys.readouterr().err
    graph = networkx.read_graphml(file)
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (7, 9)
    assert "11 1" in graph


@pytest.mark.parametrize("color", ["pattern", "gradient", "rank", "dimension", None])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plots(golden, tmp_path, capsys, color, suffix):
    file = tmp_path / f"regions.{suffix}"
    options = [] if color is None else ["--color", color]
    assert run("regions", golden, "--box", "-2:2", "--plot", file, *options) == 0
    assert str(file) in capsys.readouterr().err
    if suffix == "png":
        assert file.read_bytes().startswith(b"\x89PNG\r\n")
    else:
        assert ElementTree.parse(file).getroot().tag.endswith("svg")


def test_plots_of_lines_and_slices(golden, tmp_path):
    np.savetxt(tmp_path / "diagonal.csv", [[-1, -1], [1, 1]], delimiter=",")
    file = tmp_path / "line.pdf"
    options = ["--slice", tmp_path / "diagonal.csv", "--box", "0:1"]
    assert run("regions", golden, *options, "--plot", file) == 0
    assert file.read_bytes().startswith(b"%PDF")
    assert run("regions", golden, "--plot", tmp_path / "space.png") == 0


def test_everything_at_once(golden, tmp_path, capsys):
    files = [tmp_path / name for name in ("c.json", "g.graphml", "p.svg")]
    options = ["--out", files[0], "--graph", files[1], "--plot", files[2], "--linear", "--json"]
    assert run("regions", golden, "--box", "-2:2", *options, "--jobs", 2) == 0
    assert report(capsys)["result"]["linear_regions"] == 4
    assert all(file.stat().st_size for file in files)
    assert ed.verify(files[0])


def test_several_processes(golden, capsys):
    assert regions_json(capsys, golden, "--jobs", 2)["regions"] == 7
    assert regions_json(capsys, golden, "--jobs", 2, "--count")["regions"] == 7


def test_checkpoints(golden, tmp_path, capsys):
    folder = tmp_path / "parts"
    options = [golden, "--box", "-2:2", "--checkpoint", folder]
    refused(capsys, ["regions", *options, "--resume"], "--resume", "--checkpoint")
    assert regions_json(capsys, *options)["regions"] == 7
    jobs = {file: file.stat().st_mtime_ns for file in folder.glob("*.npz")}
    assert jobs
    refused(capsys, ["regions", *options], str(folder), "--resume")
    assert regions_json(capsys, *options, "--resume")["regions"] == 7
    assert regions_json(capsys, *options, "--resume", "--count", "--jobs", 2)["regions"] == 7
    assert {file: file.stat().st_mtime_ns for file in folder.glob("*.npz")} == jobs
    other = ["regions", golden, "--box", "-3:3", "--checkpoint", folder, "--resume"]
    refused(capsys, other, "another network, domain or version")
    refused(capsys, ["regions", golden, "--resume"], "--resume", "--checkpoint")


@pytest.mark.parametrize("extra", [[], ["--count"], ["--jobs", "2"]], ids=spelled)
def test_limits_exit_three(golden, capsys, extra):
    assert run("regions", golden, "--max-regions", 3, *extra) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "more than max_regions=3" in captured.err
    assert run("regions", golden, "--max-regions", 7, *extra) == 0
    capsys.readouterr()
    assert run("regions", golden, "--max-seconds", "1e-9", *extra) == 3
    assert "max_seconds" in capsys.readouterr().err
    assert run("regions", golden, "--max-regions", 3, *extra, "--json") == 3
    found = report(capsys)
    assert found["status"] == "error"
    assert found["result"]["error"] == "BudgetExceeded"


def test_what_would_never_end_is_refused(tmp_path, capsys):
    write_network(ed.ReLUNetwork.random((50, 50, 1), seed=0), tmp_path / "net.json")
    refused(capsys, ["regions", tmp_path / "net.json"], "slice", "dimension 50")


# -- same -------------------------------------------------------------------------------------


def test_equal_networks(golden, pair, tmp_path, capsys):
    out = tmp_path / "equal.json"
    assert run("same", golden, pair[0], "--out", out) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("equal: proved on all 7 common regions")
    assert str(out) in captured.err
    assert run("verify", out) == 0
    assert "same-function" in capsys.readouterr().out
    assert run("show", out) == 0
    shown = capsys.readouterr().out
    assert shown.count("network    2-2-1-1") == 2
    assert "7 regions listed" in shown
    assert run("same", golden, pair[0], "--json") == 0
    found = report(capsys)
    assert found["status"] == "equal"
    assert found["result"] == {"equal": True, "common_regions": 7}


def test_different_networks_exit_one(golden, pair, tmp_path, capsys):
    out = tmp_path / "different.json"
    assert run("same", golden, pair[1], "--out", out) == 1
    text = capsys.readouterr().out
    assert text.startswith("different at (")
    assert golden in text
    assert pair[1] in text
    assert run("verify", out) == 0
    assert "counterexample" in capsys.readouterr().out
    assert run("show", out) == 0
    assert "the point (" in capsys.readouterr().out
    assert run("same", golden, pair[1], "--json") == 1
    found = report(capsys)
    assert found["status"] == "different"
    assert found["result"]["equal"] is False
    point = [Fraction(x) for x in found["result"]["point"]]
    values = [[Fraction(x) for x in row] for row in found["result"]["values"]]
    assert values[0] != values[1]
    for file, value in zip((golden, pair[1]), values, strict=True):
        assert ed.as_network(file)([point]).tolist() == [value]


def test_equal_in_a_part_of_the_space(golden, pair, tmp_path, capsys):
    """The third network has its kink a little further out."""
    assert run("same", golden, pair[1], "--box", "-1/2:1/2") == 0
    assert run("same", golden, pair[1], "--box", "-2:1,-2:0") == 0
    assert run("same", golden, pair[1], "--box", "-2:1,-2:1/2") == 1
    assert run("same", golden, pair[1], "--all") == 1
    triangle = tmp_path / "triangle.json"
    triangle.write_text(json.dumps({"A": [[-1, 0], [0, -1], [1, 1]], "b": [0, 0, 1]}))
    assert run("same", golden, pair[1], "--polytope", triangle) == 0
    np.savetxt(tmp_path / "diagonal.csv", [[-1, -1], [1, 1]], delimiter=",")
    flat = ["--slice", tmp_path / "diagonal.csv"]
    assert run("same", golden, pair[1], *flat) == 1
    assert run("same", golden, pair[1], *flat, "--box", "0:3/4") == 0
    assert run("same", golden, golden, "--jobs", 2) == 0
    capsys.readouterr()


def test_limits_of_comparisons_exit_three(golden, pair, capsys):
    assert run("same", golden, pair[0], "--max-regions", 3) == 3
    assert run("same", golden, pair[0], "--max-regions", 3, "--json") == 3
    assert run("same", golden, pair[0], "--max-seconds", "1e-9", "--quiet") == 3
    captured = capsys.readouterr()
    assert "max_regions=3" in captured.err
    assert run("same", golden, pair[0], "--max-regions", 7) == 0


# -- nonsense ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--box", "1:-1"], ["lower bound must be below"]),
        (["--box", "1:1"], ["lower bound must be below"]),
        (["--box", "a:b"], ["'a'", "--box"]),
        (["--box", "-1:1,"], ["lo:hi"]),
        (["--box", "1"], ["lo:hi"]),
        (["--box", "-1:1:2"], ["--box"]),
        (["--box", "nan:1"], ["nan"]),
        (["--box", "-inf:1"], ["inf"]),
        (["--box", "-1:1,0:1,0:1"], ["3", "2"]),
        (["--box", ""], ["--box"]),
        (["--all", "--box", "-1:1"], ["--all", "--box"]),
        (["--max-regions", "0"], ["max_regions=0"]),
        (["--max-regions", "-5"], ["max_regions=-5"]),
        (["--max-regions", "many"], ["--max-regions", "many"]),
        (["--max-seconds", "0"], ["max_seconds"]),
        (["--max-seconds", "nan"], ["max_seconds"]),
        (["--jobs", "0"], ["--jobs 0"]),
        (["--jobs", "-2"], ["--jobs -2"]),
        (["--out", "absent/file.json"], ["cannot write absent"]),
    ],
    ids=spelled,
)
@pytest.mark.parametrize("command", ["regions", "same"])
def test_nonsense(golden, capsys, command, options, words):
    networks = [golden] if command == "regions" else [golden, golden]
    assert run(command, *networks, *options) == 2
    captured = capsys.readouterr()
    for word in words:
        assert word in captured.out + captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--count", "--out", "c.json"], ["--count", "--out"]),
        (["--count", "--plot", "c.png"], ["--count", "--plot"]),
        (["--count", "--graph", "c.graphml"], ["--count", "--graph"]),
        (["--count", "--linear"], ["--count"]),
        (["--plot", "absent/x.png"], ["cannot write absent"]),
        (["--graph", "."], ["cannot write"]),
        (["--color", "blue", "--plot", "x.png"], ["blue", "gradient"]),
        (["--resume"], ["--checkpoint"]),
        (["--plot", "picture.txt"], [".txt", ".svg", ".png"]),
        (["--graph", "graph.json"], ["graph.json", ".graphml"]),
    ],
    ids=spelled,
)
def test_nonsense_of_regions(golden, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert run("regions", golden, *options) == 2
    captured = capsys.readouterr()
    for word in words:
        assert word in captured.out + captured.err
    assert "Traceback" not in captured.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "options",
    [["--plot", "picture.txt"], ["--graph", "graph.json"], ["--plot", "space.png", "--linear"]],
    ids=spelled,
)
def test_errors_are_one_json_object(tmp_path, monkeypatch, capsys, options):
    """Files that cannot be written are refused before the work, or instead of the answer."""
    monkeypatch.chdir(tmp_path)
    write_network(ed.ReLUNetwork.random((3, 4, 1), seed=0), "net.json")
    assert run("regions", "net.json", *options, "--json") == 2
    found = report(capsys)
    assert found["status"] == "error"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '{"A": [[1, 0]]}',
        '{"A": [], "b": []}',
        '{"A": 3, "b": [1]}',
        '{"A": [[1, 0]], "b": 1}',
        '{"A": [[1, 0]], "b": null}',
        '{"A": [[1, 0]], "b": [null]}',
        '{"A": [[1, 0]], "b": [[1]]}',
        '{"A": [[1, 0]], "b": [1, 2]}',
        '{"A": [[1, 0], [1]], "b": [1, 2]}',
        '{"A": [[1, 0, 0]], "b": [1]}',
        '{"A": [[1, NaN]], "b": [1]}',
        '{"A": [[1, "x"]], "b": [1]}',
        '{"A": [[1, 0], [-1, 0]], "b": [-1, 0]}',
    ],
)
def test_nonsense_polytopes(golden, tmp_path, capsys, text):
    file = tmp_path / "polytope.json"
    file.write_text(text)
    refused(capsys, ["regions", golden, "--polytope", file])
    refused(capsys, ["same", golden, golden, "--polytope", file])


def test_nonsense_files(golden, tmp_path, capsys):
    absent = tmp_path / "absent.json"
    refused(capsys, ["regions", absent], "cannot read", "absent.json")
    refused(capsys, ["same", golden, absent], "cannot read", "absent.json")
    refused(capsys, ["regions", golden, "--polytope", absent], "cannot read", "absent.json")
    refused(capsys, ["regions", golden, "--slice", absent], "absent.json")
    (tmp_path / "point.json").write_text("[[1, 1]]")
    refused(capsys, ["regions", golden, "--slice", tmp_path / "point.json"], "one point", "axis")
    (tmp_path / "line.json").write_text("[[0, 0], [1, 1], [2, 2]]")
    refused(capsys, ["regions", golden, "--slice", tmp_path / "line.json"], "dimension 1")
    (tmp_path / "space.json").write_text("[[0, 0, 0], [1, 1, 1]]")
    refused(capsys, ["regions", golden, "--slice", tmp_path / "space.json"], "3", "2")
    both = ["--box", "-1:1", "--polytope", tmp_path / "line.json"]
    refused(capsys, ["regions", golden, *both], "--box or --polytope")
    refused(capsys, ["regions", golden, "--out", tmp_path], "cannot write")


def test_networks_that_cannot_be_compared(golden, tmp_path, capsys):
    write_network(ed.ReLUNetwork.random((3, 2, 1), seed=0), tmp_path / "a.json")
    write_network(ed.ReLUNetwork.random((2, 2, 2), seed=0), tmp_path / "b.json")
    refused(capsys, ["same", golden, tmp_path / "a.json"], "2 inputs", "3")
    refused(capsys, ["same", golden, tmp_path / "b.json"], "1 outputs", "2")


def test_a_missing_package_exits_four(golden, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("regions", golden, "--plot", tmp_path / "p.png") == 4
    assert "pip install 'exactdim[plot]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert run("regions", golden, "--scheduler", "tcp://127.0.0.1:1") == 4
    assert "pip install 'exactdim[dask]'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["regions", "same"])
def test_help_pages(command, capsys):
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    options = ["--box", "--all", "--polytope", "--slice", "--out", "--jobs", "--scheduler"]
    options += ["--max-regions", "--max-seconds", "--json", "--quiet"]
    if command == "regions":
        options += ["--count", "--linear", "--plot", "--color", "--graph", "--checkpoint"]
        options += ["--resume"]
    for option in options:
        assert option in text


# -- a real process ---------------------------------------------------------------------------


def heed_interrupts():
    """A shell lets what it runs in the background ignore them, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "exactdim", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )


@pytest.fixture
def long_run(tmp_path):
    """Some hundred thousand regions: many seconds, with a part finished every second."""
    write_network(ed.ReLUNetwork.random((4, 34, 24, 1), seed=0), tmp_path / "long.json")
    return tmp_path / "long.json"


def wait_for(happened, process):
    deadline = time.monotonic() + 60
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()
    assert happened()


def interrupted(process, send):
    """Interrupt a process; demand exit code 3 and a word instead of a traceback, soon."""
    try:
        send()
        out, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 3
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err


def test_ctrl_c(long_run, tmp_path, capsys):
    """After the first part is done, which is kept."""
    folder = tmp_path / "parts"
    options = [long_run, "--box", "-3:3", "--count", "--checkpoint", folder]
    process = start("regions", *options)
    wait_for(lambda: list(folder.glob("*.npz")), process)
    interrupted(process, lambda: process.send_signal(signal.SIGINT))
    assert list(folder.glob("*.npz"))
    refused(capsys, ["regions", *options], "--resume")


def family(process):
    """The processes that a process has started, and those that these have."""
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("moment", ["starting", "working"])
def test_ctrl_c_with_several_processes(long_run, moment):
    """As a terminal sends it: to the command and all of its processes."""
    process = start("regions", long_run, "--box", "-3:3", "--count", "--jobs", 2)
    wait_for(lambda: len(family(process)) >= 2, process)
    children = family(process)
    if moment == "working":
        wait_for(lambda: sum(child.cpu_times().user for child in children) > 1, process)
    interrupted(process, lambda: os.killpg(process.pid, signal.SIGINT))
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_the_installed_command(golden, pair, tmp_path):
    out = tmp_path / "c.json"
    for arguments, code, text in (
        (["regions", golden, "--box", "-2:2", "--out", out], 0, "7 activation regions"),
        (["verify", out], 0, "accepted"),
        (["same", golden, pair[1]], 1, "different at"),
        (["regions", golden, "--max-regions", 2], 3, ""),
        (["regions", Path("absent.json")], 2, ""),
    ):
        process = start(*arguments)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == code, stderr
        assert text in stdout
        assert "Traceback" not in stderr


def test_an_interrupt_says_how_to_go_on(golden, monkeypatch, capsys, tmp_path):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("exactdim.cli.regions.activation_regions", interrupted)
    assert run("regions", golden, "--json") == 3
    assert report(capsys)["result"]["error"] == "Interrupted"
    assert run("regions", golden, f"--checkpoint={tmp_path / 'c'}") == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--resume" in captured.err


def test_a_comparison_goes_on_from_a_folder(golden, pair, capsys, tmp_path):
    folder, nets = str(tmp_path / "c"), (golden, pair[0])
    assert run("same", *nets, "--checkpoint", folder) == 0
    first = capsys.readouterr().out
    assert run("same", *nets, "--checkpoint", folder) == 2
    assert "--resume" in capsys.readouterr().err
    assert run("same", *nets, "--checkpoint", folder, "--resume") == 0
    assert capsys.readouterr().out == first
