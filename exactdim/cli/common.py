"""What the commands have in common: the application, exit codes, progress, checks of options."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import exactdim
from exactdim.dimension.local import Progress as ProgressCallback
from exactdim.errors import InvalidInput

OK, DISAGREES, USAGE, UNDECIDED, MISSING, BUG = 0, 1, 2, 3, 4, 70
SHOW_PROGRESS_AFTER = 2.0

JsonFlag = Annotated[bool, Parameter(name="--json", negative="")]
QuietFlag = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")]
Files = Annotated[Sequence[Path], Parameter(negative="")]

app = App(
    name="exactdim",
    version=exactdim.__version__,
    help="Exact geometry of ReLU networks, with proofs that a stranger can check.",
    suppress_keyboard_interrupt=False,
)


def beside(out: Path, file: Path) -> str:
    """Say where a file lies, seen from the folder of another."""
    return os.path.relpath(file, out.parent)


def check_writable(out: Path | None) -> None:
    """Refuse a path that cannot be written before the work, not after it."""
    if out is not None and (not out.name or out.is_dir() or not out.parent.is_dir()):
        raise InvalidInput(f"cannot write {out}: name a file in a folder that exists")


def first_samples(batch: exactdim.QMatrix, samples: int | None) -> exactdim.QMatrix:
    """Keep the first so many samples of a batch."""
    if samples is None:
        return batch
    if not 1 <= samples <= batch.shape[0]:
        raise InvalidInput(
            f"--samples {samples} is not between 1 and the {batch.shape[0]} in the file"
        )
    return batch[slice(0, samples)]


@contextmanager
def shown_progress(off: bool) -> Iterator[ProgressCallback | None]:
    """Show progress on stderr once the work has taken two seconds."""
    if off or not sys.stderr.isatty():
        yield None
        return
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = display.add_task("starting", total=1)
    timer = threading.Timer(SHOW_PROGRESS_AFTER, display.start)
    timer.daemon = True
    timer.start()

    def tick(done: int, total: int, note: str) -> None:
        display.update(task, completed=done, total=total, description=escape(note))

    try:
        yield tick
    finally:
        timer.cancel()
        display.stop()


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    """Start so many processes; none if one is enough."""
    if jobs < 1:
        raise InvalidInput(f"--jobs {jobs} is not positive")
    with nullcontext() if jobs == 1 else ProcessPoolExecutor(jobs) as pool:
        yield pool
