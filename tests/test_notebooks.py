"""The notebooks: each is its source with true outputs, and says nothing of the machine.

Whether the outputs are still true is for ``scripts/render_notebooks.py --check``, which executes
them; here is what can be seen without that, and that the check itself would notice.
"""

import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))
PATHS = re.compile(
    r"(?<![\w./:])/(home|root|tmp|usr|var|opt|mnt|work|Users|private)\b|[A-Za-z]:\\\w"
)
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


def script():
    file = ROOT / "scripts" / "render_notebooks.py"
    spec = importlib.util.spec_from_file_location("render_notebooks", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


render = script()
each = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


def rendered(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def test_names_are_numbers_and_titles():
    assert SOURCES
    assert [p.stem for p in SOURCES] == [p.stem for p in sorted(FOLDER.glob("*.ipynb"))]
    assert all(re.fullmatch(r"\d\d_[a-z0-9]+(_[a-z0-9]+)*", p.stem) for p in SOURCES)
    assert len({p.stem[:2] for p in SOURCES}) == len(SOURCES)


@each
def test_source_and_rendering_hold_the_same_cells(source):
    written, found = render.read_source(source).cells, rendered(source).cells
    assert [(c.cell_type, c.source, c.id) for c in found] == [
        (c.cell_type, c.source, c.id) for c in written
    ]


@each
def test_every_cell_was_executed_in_order_and_none_failed(source):
    code = [cell for cell in rendered(source).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert {output.output_type for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")


@each
def test_nothing_of_the_machine_is_left(source):
    notebook = rendered(source)
    assert notebook.metadata == render.read_source(source).metadata
    assert all(not cell.metadata for cell in notebook.cells)
    for cell in notebook.cells:
        for text in (cell.source, *render.texts(cell)):
            assert not PATHS.search(text), text
            assert not ADDRESS.search(text), text


@each
def test_files_are_small(source):
    assert source.with_suffix(".ipynb").stat().st_size < 300_000


@pytest.mark.parametrize(
    "text", ["see /tmp/x.json", "'/root/v'", "C:\\Users\\me", 'File "/usr/lib']
)
def test_paths_are_recognised(text):
    assert PATHS.search(text)


@pytest.mark.parametrize("text", ["1/2", "https://arxiv.org/home/x", "a/tmp/b", "$1/\\root{2}$"])
def test_other_slashes_are_not_paths(text):
    assert not PATHS.search(text)


def example(*, said="3\n", picture="iVBO", source="print(3)"):
    data = {"text/plain": "<Figure>"} | ({"image/png": picture} if picture else {})
    outputs = [new_output("stream", name="stdout", text=said), new_output("display_data", data)]
    return new_notebook(cells=[new_markdown_cell("Three."), new_code_cell(source, outputs=outputs)])


def test_equal_notebooks_do_not_differ_and_pictures_do_not_count():
    assert not list(render.differences(example(), example()))
    assert not list(render.differences(example(), example(picture="iVBP")))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"said": "4\n"}, "output"),
        ({"picture": None}, "output"),
        ({"source": "print(4)"}, "source"),
    ],
)
def test_what_differs_is_named(change, where):
    (found,) = render.differences(example(), example(**change))
    assert found.startswith(f"cell 2: the {where} differs")


def test_an_error_a_missing_cell_and_another_kind_of_cell_differ():
    failed = example()
    failed.cells[1].outputs[0] = new_output("error", ename="E", evalue="no", traceback=[])
    assert list(render.differences(example(), failed))
    shorter = example()
    del shorter.cells[1]
    assert any("2 cells" in line for line in render.differences(example(), shorter))
    other = example()
    other.cells[0] = new_code_cell("Three.")
    assert any("markdown is committed" in line for line in render.differences(example(), other))


def test_rendering_repeats_itself_and_the_check_sees_a_change(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(render, "FOLDER", tmp_path)
    source, target = tmp_path / "07_three.py", tmp_path / "07_three.ipynb"
    source.write_text("# %% [markdown]\n# Three.\n\n# %%\nprint(1 + 2)\nprint({'a', 'b', 'c'})\n")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["render_notebooks.py", *arguments])
        return render.main()

    assert run("--check") == 1  # nothing is rendered yet
    assert not target.exists()
    assert run() == 0
    written = target.read_bytes()
    assert b"3\\n" in written
    assert nbformat.read(target, as_version=4).metadata == render.read_source(source).metadata
    assert run("--check", "07") == 0
    assert run("--check", "08") == 2

    source.write_text(source.read_text().replace("1 + 2", "2 + 2"))
    assert run("--check") == 1
    assert "cell 2: the output differs" in capsys.readouterr().err
    source.write_text("# %%\n1 / 0\n")
    assert run("--check") == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert target.read_bytes() == written
