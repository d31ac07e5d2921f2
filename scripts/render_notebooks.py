"""Execute the notebooks and write them with their outputs, or check that they are still true.

``python scripts/render_notebooks.py`` executes every ``notebooks/*.py`` in a fresh kernel and
writes the ``.ipynb`` beside it. With ``--check`` it writes nothing, and fails unless the committed
file has the same cells and the same text in its outputs (pictures are not compared). Names choose
notebooks: ``render_notebooks.py --check 01``.
"""

import argparse
import difflib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
SECONDS_PER_CELL = 300
ENVIRONMENT = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYTHONHASHSEED": "0",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}


def read_source(source: Path) -> NotebookNode:
    """Read a percent script as a notebook in which nothing is left to chance."""
    notebook = jupytext.read(source, fmt="py:percent")
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02}"
        cell.metadata = NotebookNode()
    notebook.metadata = nbformat.from_dict({
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    })
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(source: Path) -> NotebookNode:
    """Execute a notebook in a fresh kernel and an empty folder."""
    notebook = read_source(source)
    metadata = notebook.metadata.copy()
    with TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=SECONDS_PER_CELL,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute(env={**os.environ, **ENVIRONMENT})
    notebook.metadata = metadata  # without the version of this interpreter
    nbformat.validate(notebook)
    return notebook


def texts(cell: NotebookNode) -> list[str]:
    """Return what a reader of the outputs of a cell reads; of a picture, that it is there."""
    found = []
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            found.append(f"{output.name}: {output.text}")
        elif output.output_type == "error":
            found.append(f"error: {output.ename}: {output.evalue}")
        else:
            for kind, data in sorted(output.data.items()):
                found.append(f"{kind}: {data if kind.startswith('text/') else '...'}")
    return found


def differences(committed: NotebookNode, executed: NotebookNode) -> Iterator[str]:
    """Yield what differs between two notebooks, apart from pictures."""
    if len(committed.cells) != len(executed.cells):
        yield f"{len(committed.cells)} cells are committed, the source has {len(executed.cells)}"
    for number, (old, new) in enumerate(
        zip(committed.cells, executed.cells, strict=False), start=1
    ):
        if old.cell_type != new.cell_type:
            yield f"cell {number}: {old.cell_type} is committed, the source has {new.cell_type}"
        for what, before, after in (
            ("source", [old.source], [new.source]),
            ("output", texts(old), texts(new)),
        ):
            if before != after:
                lines = difflib.unified_diff(
                    "\n".join(before).splitlines(),
                    "\n".join(after).splitlines(),
                    "committed",
                    "now",
                    lineterm="",
                )
                yield "\n".join([f"cell {number}: the {what} differs", *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; compare")
    parser.add_argument("names", nargs="*", help="how the names begin; by default all")
    arguments = parser.parse_args()
    sources = sorted(FOLDER.glob("*.py"))
    if arguments.names:
        sources = [s for s in sources if s.name.startswith(tuple(arguments.names))]
    if not sources:
        print(f"no such notebook in {FOLDER.name}", file=sys.stderr)
        return 2
    failed = False
    for source in sources:
        target = source.with_suffix(".ipynb")
        try:
            executed = execute(source)
        except CellExecutionError as error:
            print(f"{source.name} fails: {error}", file=sys.stderr)
            failed = True
            continue
        if not arguments.check:
            nbformat.write(executed, target)
            print(f"{target.name}: {target.stat().st_size // 1000} kB")
        elif not target.exists():
            print(f"{target.name} is missing; run scripts/render_notebooks.py", file=sys.stderr)
            failed = True
        else:
            found = list(differences(nbformat.read(target, as_version=4), executed))
            print(f"{target.name}: {'differs' if found else 'is up to date'}")
            print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
            failed |= bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
