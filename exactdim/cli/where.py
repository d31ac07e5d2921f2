"""Options that several commands about regions share: where to look, and how to work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from exactdim.arith.rationals import to_fraction
from exactdim.cli.common import shown_progress
from exactdim.errors import InvalidInput, MissingDependency
from exactdim.nets.formats import read_batch
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.domain import Domain, as_domain
from exactdim.regions.folder import has_plan
from exactdim.regions.workers import Workers

__all__ = ["Flag", "How", "Where"]

Flag = Annotated[bool, Parameter(negative="")]
Text = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Where to look.

    Parameters
    ----------
    box
        Look in a box: "-1:1" for a cube, or one range per coordinate, "-1:1,0:1/2".
    all
        Look in the whole input space (the default without --box, --polytope and --slice).
    polytope
        Look where A y <= b: a .json file with {"A": [[...], ...], "b": [...]}.
    slice
        Look in the flat through some inputs: a batch file with the origin and one point per axis.
        --box and --polytope are then in its coordinates: 0 at the origin, 1 at the axis points.
    """

    box: Text = None
    all: Flag = False
    polytope: Path | None = None
    slice: Path | None = None

    def domain(self, net: ReLUNetwork) -> Domain:
        """Read the options."""
        if self.all and (self.box is not None or self.polytope):
            raise InvalidInput("--all is the whole space: leave out --box and --polytope")
        if self.box is not None and self.polytope:
            raise InvalidInput("give --box or --polytope, not both")
        points = None if self.slice is None else read_batch(self.slice)
        d = net.widths[0] if points is None else points.shape[0] - 1
        if d < 1:
            raise InvalidInput(
                f"{self.slice} has one point; a slice needs the origin and a point per axis"
            )
        inside = Domain.everywhere(d)
        if self.box is not None:
            inside = as_domain(_ranges(self.box), d)
        elif self.polytope:
            inside = _read_polytope(self.polytope)
        if points is None:
            return inside
        return Domain.flat(points, within=inside)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """How to work.

    Parameters
    ----------
    jobs
        Number of processes.
    scheduler
        Address of a Dask scheduler to work on, such as tcp://host:8786.
    checkpoint
        Keep finished parts in this folder.
    resume
        Go on from the parts in the checkpoint folder.
    max_regions
        Give up beyond so many regions.
    max_seconds
        Give up after so many seconds.
    """

    jobs: int = 1
    scheduler: str | None = None
    checkpoint: Path | None = None
    resume: Flag = False
    max_regions: int | None = None
    max_seconds: float | None = None

    def check(self) -> None:
        """Refuse a folder that would be a surprise, before the work."""
        begun = self.checkpoint is not None and has_plan(self.checkpoint)
        if self.resume and not begun:
            raise InvalidInput("--resume needs --checkpoint with the folder of an earlier run")
        if begun and not self.resume:
            raise InvalidInput(
                f"{self.checkpoint} holds parts of an earlier run; add --resume to go on from it"
            )

    @contextmanager
    def options(self, *, quiet: bool) -> Iterator[dict[str, Any]]:
        """Yield the keyword arguments of the package's functions."""
        with shown_progress(quiet) as progress, self._workers() as executor:
            yield {
                "max_regions": self.max_regions,
                "max_seconds": self.max_seconds,
                "executor": executor,
                "checkpoint": self.checkpoint,
                "progress": progress,
            }

    @contextmanager
    def _workers(self) -> Iterator[Workers]:
        if self.jobs < 1:
            raise InvalidInput(f"--jobs {self.jobs} is not positive")
        if self.scheduler is None:
            yield self.jobs if self.jobs > 1 else None
            return
        try:
            distributed: Any = import_module("distributed")
        except ImportError:
            raise MissingDependency(
                "--scheduler needs Dask: pip install 'exactdim[dask]'"
            ) from None
        try:
            client = distributed.Client(self.scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"no Dask scheduler answers at {self.scheduler}: {error}") from None
        try:
            yield client.get_executor(retries=3)
        finally:
            client.close()


def _ranges(text: str) -> list[tuple[str, str]] | tuple[str, str]:
    sides = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        if not colon:
            raise InvalidInput(f"--box {text!r}: {part!r} is no range; write lo:hi, such as -1:1/2")
        for bound in (low, high):
            to_fraction(bound, where=f" in --box {text!r}")
        sides.append((low, high))
    return sides if len(sides) > 1 else sides[0]


def _read_polytope(path: Path) -> Domain:
    import json

    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_float=str)  # 0.1 is 1/10
        rows, bounds = data["A"], data["b"]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f'{path} is no polytope: write {{"A": [[...]], "b": [...]}}') from None
    return Domain.polytope(rows, bounds)
