import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import exactdim as ed
from exactdim import cli
from exactdim.nets.formats import write_network
from exactdim.numeric import RECIPES


@pytest.fixture
def files(tmp_path):
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    write_network(net, tmp_path / "net.json")
    np.savez(tmp_path / "data.npz", X=np.array([[0.0], [1.0], [2.0], [3.0]]))
    return str(tmp_path / "net.json"), str(tmp_path / "data.npz")


def run(*arguments):
    return cli.run([str(a) for a in arguments])


def test_dim_prints_a_sentence_and_writes_a_certificate(files, tmp_path, capsys):
    out = tmp_path / "c.json"
    assert run("dim", *files, "--out", out) == 0
    text = capsys.readouterr().out
    assert "3 of 4 parameters, proved" in text
    assert "at least 3" in text
    assert "at most  3" in text
    assert run("verify", out) == 0
    assert "accepted: jacobian-rank = 3" in capsys.readouterr().out
    assert run("show", out) == 0
    shown = capsys.readouterr().out
    assert "network    1-1-1" in shown
    assert "upper end  parameters" in shown


def test_dim_json_is_one_object(files, capsys):
    assert run("dim", *files, "--json", "--head", "softmax") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["schema"] == "exactdim/report"
    assert report["command"] == "dim"
    assert report["status"] == "proved"
    assert report["result"]["lower"] == report["result"]["upper"] == 0
    assert captured.err == ""


@pytest.mark.parametrize("command", ["dim", "bounds", "crosscheck"])
def test_samples_option(files, capsys, command):
    run(command, *files, "--samples", 2, "--json")
    report = json.loads(capsys.readouterr().out)
    text = json.dumps(report["result"])
    assert '"rows", "value": 2' in text
    assert run(command, *files, "--samples", 9) == 2
    assert "between 1 and the 4" in capsys.readouterr().err


def test_bounds(files, capsys):
    assert run("bounds", *files) == 0
    out = capsys.readouterr().out
    assert "parameters 4 - rescalings 1" in out
    assert run("bounds", *files, "--json") == 0
    values = [b["value"] for b in json.loads(capsys.readouterr().out)["result"]["bounds"]]
    assert values == sorted(values)


def test_crosscheck_exits_one_when_a_recipe_disagrees(files, capsys):
    assert run("crosscheck", *files) == 1
    out = capsys.readouterr().out
    assert "float64, eps64" in out
    assert "after rescaling unit (0, 0)" in out
    assert run("crosscheck", *files, "--scales", "0", "--json") in {0, 1}
    report = json.loads(capsys.readouterr().out)
    assert report["status"] in {"agrees", "disagrees"}
    assert {x["recipe"] for x in report["result"]["numeric"]} == {r.name for r in RECIPES}
    assert run("crosscheck", *files, "--scales", "0,x") == 2
    assert "--scales" in capsys.readouterr().err


def test_verify_tells_rejected_from_unreadable(files, tmp_path, capsys):
    good, bad, rubbish = (tmp_path / f"{n}.json" for n in ("good", "bad", "rubbish"))
    run("dim", *files, "--out", good)
    data = json.loads(good.read_text())
    data["claim"]["rank"] = 2
    bad.write_text(json.dumps(data))
    rubbish.write_text("{")
    capsys.readouterr()
    assert run("verify", good, bad) == 1
    assert "REJECTED" in capsys.readouterr().out
    assert run("verify", good, rubbish, tmp_path / "absent.json") == 2
    captured = capsys.readouterr()
    assert "accepted" in captured.out
    assert "truncated" in captured.err
    assert "No such file" in captured.err
    assert run("verify", good, bad, rubbish, "--json") == 2
    found = json.loads(capsys.readouterr().out)["result"]["files"]
    assert [f["accepted"] for f in found] == [True, False, False]


def test_demo(tmp_path, capsys):
    assert run("demo", "--out", tmp_path / "demo.json") == 0
    out = capsys.readouterr().out
    assert "225 proved" in out
    assert "accepted by the independent checker" in out
    assert len(out.splitlines()) <= 24  # one screen
    assert ed.verify(tmp_path / "demo.json")
    assert (tmp_path / "demo.json").stat().st_size < 200_000
    assert run("demo", "--out", tmp_path / "again.json", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["result"]["rows"]
    assert [r["exact"]["lower"] for r in rows] == [240, 230, 237, 225]


def test_doctor(capsys):
    assert run("doctor") == 0
    assert "self-test: a rank proved" in capsys.readouterr().out
    assert run("doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["result"]["self_test"] is True


def test_open_brackets_exit_three(tmp_path, capsys):
    write_network(ed.ReLUNetwork.random((3, 5, 4, 2), seed=7), tmp_path / "net.npz")
    X = np.round(np.random.default_rng(7).standard_normal((30, 3)) * 8) / 8
    np.save(tmp_path / "x.npy", X)
    paths = (tmp_path / "net.npz", tmp_path / "x.npy")
    assert run("dim", *paths, "--max-seconds", 0, "--seed", 1) == 3
    captured = capsys.readouterr()
    assert "stopped early" in captured.out
    assert run("dim", *paths, "--proof", "fast") == 0
    assert "probably 33" in capsys.readouterr().out
    assert run("dim", *paths, "--proof", "fast", "--seed", 1) == 3
    captured = capsys.readouterr()
    assert "bracketed" in captured.out
    assert "--proof full" in captured.err
    assert run("dim", *paths, "--proof", "full", "--jobs", 2) == 0
    assert run("dim", *paths, "--max-seconds", -1) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dmo"], 'Did you mean "demo"'),
        (["dim"], "requires an argument"),
        (["dim", "a.npz", "b.npz", "--head", "tanh"], "softmax"),
        (["dim", "a.npz", "b.npz", "--nonsense"], "nonsense"),
        (["dim", "absent.npz", "b.npz"], "cannot read absent.npz"),
        (["dim", "absent.onnx", "b.npz"], "cannot read absent.onnx"),
        (["verify"], "requires an argument"),
        (["show", "absent.json"], "absent.json"),
        (["dim", "a", "b", "--jobs", "0"], "--jobs"),
    ],
)
def test_usage_errors_exit_two(arguments, words, capsys):
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_errors_as_json(files, capsys):
    assert run("dim", "absent.npz", files[1], "--json") == 2
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["status"] == "error"
    assert report["result"]["error"] == "UnreadableFile"
    assert "absent.npz" in captured.err


def test_kinks_on_the_command_line(tmp_path, files, capsys):
    np.save(tmp_path / "kink.npy", np.array([[0.5], [1.0]]))
    kink = tmp_path / "kink.npy"
    assert run("dim", files[0], kink) == 2
    assert "on_kink" in capsys.readouterr().err
    assert run("dim", files[0], kink, "--on-kink", "drop") == 0
    assert "1 sample on kinks dropped" in capsys.readouterr().out


def test_a_missing_optional_package_exits_four(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    (tmp_path / "net.safetensors").write_bytes(b"x" * 100)
    np.save(tmp_path / "x.npy", np.zeros((1, 1)))
    assert run("dim", tmp_path / "net.safetensors", tmp_path / "x.npy") == 4
    assert "pip install 'exactdim[formats]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["dim", "bounds", "crosscheck", "verify", "show", "demo", "doctor"]
)
def test_every_command_has_a_help_page(command, capsys):
    assert run(command, "--help") == 0
    out = capsys.readouterr().out
    assert "Usage: exactdim" in out
    assert run("--version") == 0


def test_no_arguments_show_the_help(capsys):
    assert run() == 2
    assert "crosscheck" in capsys.readouterr().out


def exactdim(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "exactdim", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_ctrl_c_in_a_real_process(tmp_path):
    """A job of minutes, interrupted: the bracket on stdout, exit code 3, no traceback."""
    net = ed.ReLUNetwork.random((30, 16, 16, 16, 10), seed=1, bits=40)
    write_network(net, tmp_path / "net.npz")
    X = np.random.default_rng(0).standard_normal((150, 30))
    np.save(tmp_path / "x.npy", X)
    state = tmp_path / "state"
    files = [tmp_path / "net.npz", tmp_path / "x.npy"]
    process = exactdim("dim", *files, "--proof", "full", "--checkpoint", state)
    deadline = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)  # a busy machine needs seconds to load the libraries
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    if process.returncode == 0:
        assert "proved" in out  # it was faster
    else:
        assert process.returncode == 3
        assert "stopped early" in out or "interrupted" in err


def test_a_closed_pipe_is_no_error(files):
    process = exactdim("bounds", *files)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 0


def test_narrow_and_colourless_terminals(files):
    process = exactdim("bounds", *files, env={**os.environ, "NO_COLOR": "1", "COLUMNS": "40"})
    out, _ = process.communicate(timeout=60)
    assert "\x1b" not in out
    assert process.returncode == 0


@pytest.mark.parametrize("command", ["dim", "demo"])
def test_paths_that_cannot_be_written_are_refused_before_the_work(files, tmp_path, capsys, command):
    arguments = files if command == "dim" else ()
    for out in (tmp_path, tmp_path / "absent" / "c.json", "."):
        assert run(command, *arguments, "--out", out) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert f"cannot write {out}" in captured.err
    with pytest.raises(ed.errors.UnreadableFile, match="cannot write"):
        ed.local_dimension(*files_as_objects(files)).certificate().save(tmp_path)


def files_as_objects(files):
    return ed.as_network(files[0]), np.load(files[1])["X"]


def test_interrupted_comparisons_exit_three(files, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("exactdim.numeric.local_dimension", interrupted)
    assert run("crosscheck", *files) == 3
    assert run("demo", "--out", "never.json") == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "interrupted" in captured.err


def test_a_bug_exits_seventy(files, monkeypatch, capsys):
    def broken(*arguments, **options):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("exactdim.cli.ranks.dimension_bounds", broken)
    monkeypatch.setattr(sys, "argv", ["exactdim", "bounds", *files])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 70
    assert "this is a bug" in capsys.readouterr().err


def test_usage_errors_as_json(files, capsys):
    assert run("dim", *files, "--head", "tanh", "--json") == 2
    assert json.loads(capsys.readouterr().out)["status"] == "error"
