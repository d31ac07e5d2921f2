"""README's blocks run, and its table and commands are what the package does."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import Phase, settings

import exactdim
from exactdim.demo import demo_rows
from exactdim.evidence import checker

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_blocks():
    assert len(BLOCKS) == 8


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {})
    printed = capsys.readouterr().out
    for expected in re.findall(r"print\(d\)\s+# (.*)", BLOCKS[number]):
        assert expected in printed
    if "activation_regions" in BLOCKS[number]:
        assert "7 16 (13, 19, 7)\n" in printed
        assert "('11', '0') 1/2 " in printed
        assert "4 Graph with 7 nodes and 9 edges\n" in printed
    if "parameter_regions" in BLOCKS[number]:
        assert "{0: 1, 1: 14, 2: 57, 3: 144} 2/3\n" in printed
        assert "101: impossible" in printed
        assert printed.count("yes, proved") == 2


def test_the_numeric_rank_is_falsified_by_a_minimal_network():
    """The hero example: Hypothesis finds what README says."""
    block = next(block for block in BLOCKS if "def test_numeric_rank" in block)
    namespace = {}
    exec(compile(block, "README hero", "exec"), namespace)
    quick = settings(
        database=None,
        deadline=None,
        derandomize=True,
        max_examples=1000,
        phases=[Phase.generate, Phase.shrink],
    )
    with pytest.raises(AssertionError) as caught:
        quick(namespace["test_numeric_rank"])()
    falsified = "\n".join(caught.value.__notes__)
    spelled = re.search(r"ReLUNetwork(\(.*?\]\]\], .*?\]\))", falsified, re.DOTALL)[1]
    assert exactdim.ReLUNetwork(*ast.literal_eval(spelled)).widths == (1, 1, 1)
    assert falsified.count("[Fraction(") == 2
    assert 40 < int(re.search(r"k=(\d+)", falsified)[1]) < 56


def test_the_conformance_block_collects(tmp_path):
    """README's other test, as pytest runs it in somebody else's repository."""
    block = next(block for block in BLOCKS if "parametrize_with_checks" in block)
    (tmp_path / "test_mine.py").write_text(block)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) > 20


def test_first_two_commands_are_the_set_up():
    commands = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    assert "exactdim demo" in commands[0]
    assert "pytest" in commands[1]
    assert "constraints.txt" in commands[1]


def test_the_table_is_the_demos():
    rows = re.findall(
        r"^\| (initial|trained) \| (\w+) \| \*\*(\d+) proved\*\*", README, re.MULTILINE
    )
    names = {"init": "initial", "trained": "trained"}
    found = [(names[r.stage], r.head, str(r.exact.value)) for r in demo_rows()]
    assert [tuple(r) for r in rows] == found


def test_every_public_name_is_in_the_api_table():
    table = README.split("## The whole API")[1].split("##")[0]
    for name in exactdim.__all__:
        if name not in {"__version__", "Dimension"}:
            assert f"`{name}" in table, name
    assert "`Dimension`" in table


def test_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == exactdim.__version__
    assert f"version: {exactdim.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {exactdim.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_reason_is_in_the_format_and_in_the_checker():
    text = (ROOT / "proofs_checks" / "FORMAT.md").read_text()
    for reason in checker.UPPER:
        assert f"| `{reason}` |" in text


def test_the_example_in_the_format_is_accepted():
    text = (ROOT / "proofs_checks" / "FORMAT.md").read_text()
    whole, region = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert checker.check_text(whole)
    listed = json.loads(region)
    net = exactdim.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])
    regions = exactdim.activation_regions(net, (-2, 2))
    assert [list(regions.region_at(listed["point"]).pattern)] == listed["pattern"]
