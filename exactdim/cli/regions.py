"""Commands about activation regions: enumerate, draw, compare two networks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from exactdim.arith.rationals import to_fraction
from exactdim.cli.common import (
    DISAGREES,
    OK,
    JsonFlag,
    QuietFlag,
    app,
    check_writable,
    shown_progress,
)
from exactdim.errors import InvalidInput, MissingDependency
from exactdim.nets.formats import read_batch, read_network
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.complex import activation_regions, count_regions
from exactdim.regions.domain import Domain, as_domain
from exactdim.regions.equality import same_function
from exactdim.regions.folder import has_plan
from exactdim.regions.graph import write_graph
from exactdim.regions.workers import Workers
from exactdim.report import (
    comparison_json,
    note,
    plural,
    print_json,
    print_regions,
    regions_json,
    write,
)

Text = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
PICTURES = (".svg", ".png", ".pdf")

Flag = Annotated[bool, Parameter(negative="")]


@app.command
def regions(
    net: Path,
    /,
    *,
    box: Text = None,
    all: Flag = False,
    polytope: Path | None = None,
    slice: Path | None = None,
    count: Flag = False,
    linear: Flag = False,
    out: Path | None = None,
    plot: Path | None = None,
    color: Literal["pattern", "gradient", "rank", "dimension"] = "pattern",
    graph: Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    checkpoint: Path | None = None,
    resume: Flag = False,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Enumerate the activation regions of a network exactly.

    Parameters
    ----------
    net
        The network: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
    box
        Look in a box: "-1:1" for a cube, or one range per coordinate, "-1:1,0:1/2".
    all
        Look in the whole input space (the default without --box, --polytope and --slice).
    polytope
        Look where A y <= b: a .json file with {"A": [[...], ...], "b": [...]}.
    slice
        Look in the flat through some inputs: a batch file with the origin and one point per axis.
        --box and --polytope are then in its coordinates: 0 at the origin, 1 at the axis points.
    count
        Only count, in bounded memory.
    linear
        Merge regions with the same affine map into linear regions, too.
    out
        Write a certificate that the list is complete to this file.
    plot
        Draw the regions (in one or two dimensions) to this .svg, .png or .pdf file.
    color
        What the picture's colours show.
    graph
        Write the adjacency graph to this .graphml file.
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
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    start = time.perf_counter()
    for file in (out, plot, graph):
        check_writable(file)
    if plot is not None and plot.suffix not in PICTURES:
        raise InvalidInput(f"cannot draw {plot}: give a file that ends in {', '.join(PICTURES)}")
    if graph is not None and graph.suffix != ".graphml":
        raise InvalidInput(f"cannot write {graph}: the graph is written as GraphML, to .graphml")
    if count and (out or plot or graph or linear):
        raise InvalidInput("--count keeps no regions: leave it out for --out, --plot, --graph")
    _check_checkpoint(checkpoint, resume)
    network = read_network(net)
    domain = read_domain(network, box, polytope, slice, everywhere=all)
    if plot is not None and domain.dimension > 2:
        raise InvalidInput(
            f"--plot draws one or two dimensions, not {domain.dimension}; give a plane with --slice"
        )
    with shown_progress(json or quiet) as progress, workers(jobs, scheduler) as executor:
        if count:
            number = count_regions(
                network,
                domain,
                max_regions=max_regions,
                max_seconds=max_seconds,
                executor=executor,
                checkpoint=checkpoint,
                progress=progress,
            )
            if json:
                print_json("regions", "proved", {"regions": number}, start=start)
            else:
                write(f"{plural(number, 'activation region')} in {domain}")
            return OK
        found = activation_regions(
            network,
            domain,
            max_regions=max_regions,
            max_seconds=max_seconds,
            executor=executor,
            checkpoint=checkpoint,
            progress=progress,
        )
    pieces = len(found.linear_regions()) if linear else None
    if plot is not None:
        from exactdim.viz import plot_regions, save_figure

        save_figure(plot_regions(found, color=color), plot)
    if graph is not None:
        write_graph(found, graph)
    if out is not None:
        found.certificate().save(out)
    if json:
        print_json("regions", "proved", regions_json(found, pieces), certificate=out, start=start)
    else:
        print_regions(found, pieces)
    for what, file in (("picture", plot), ("graph", graph), ("certificate", out)):
        if file is not None:
            note(f"{what}: {file}")
    return OK


@app.command
def same(
    a: Path,
    b: Path,
    /,
    *,
    box: Text = None,
    all: Flag = False,
    polytope: Path | None = None,
    slice: Path | None = None,
    out: Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Decide whether two networks are equal as functions; exit 1 if they are not.

    Parameters
    ----------
    a, b
        The networks: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
    box
        Compare in a box: "-1:1" for a cube, or one range per coordinate, "-1:1,0:1/2".
    all
        Compare in the whole input space (the default without --box, --polytope and --slice).
    polytope
        Compare where A y <= b: a .json file with {"A": [[...], ...], "b": [...]}.
    slice
        Compare in the flat through some inputs: a batch file with the origin and one point per
        axis.
    out
        Write a certificate of the answer to this file.
    jobs
        Number of processes.
    scheduler
        Address of a Dask scheduler to work on, such as tcp://host:8786.
    max_regions
        Give up beyond so many common regions.
    max_seconds
        Give up after so many seconds.
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    start = time.perf_counter()
    check_writable(out)
    left, right = read_network(a), read_network(b)
    domain = read_domain(left, box, polytope, slice, everywhere=all)
    with shown_progress(json or quiet) as progress, workers(jobs, scheduler) as executor:
        answer = same_function(
            left,
            right,
            domain,
            max_regions=max_regions,
            max_seconds=max_seconds,
            executor=executor,
            progress=progress,
        )
    if out is not None:
        answer.certificate().save(out)
    if json:
        status = "equal" if answer else "different"
        print_json("same", status, comparison_json(answer), certificate=out, start=start)
    elif answer:
        write(f"equal: proved on all {answer.n_regions} common regions of {domain}")
    else:
        assert answer.point is not None
        assert answer.values is not None
        write(f"different at ({', '.join(map(str, answer.point))}):")
        for name, value in zip((a, b), answer.values, strict=True):
            write(f"  {name}: ({', '.join(map(str, value))})")
    if out is not None:
        note(f"certificate: {out}")
    return OK if answer else DISAGREES


# -- options ---------------------------------------------------------------------------------


def read_domain(
    net: ReLUNetwork,
    box: str | None,
    polytope: Path | None,
    flat: Path | None,
    *,
    everywhere: bool,
) -> Domain:
    """Read the options that say where to look."""
    if everywhere and (box is not None or polytope):
        raise InvalidInput("--all is the whole space: leave out --box and --polytope")
    if box is not None and polytope:
        raise InvalidInput("give --box or --polytope, not both")
    points = None if flat is None else read_batch(flat)
    d = net.widths[0] if points is None else points.shape[0] - 1
    if d < 1:
        raise InvalidInput(f"{flat} has one point; a slice needs the origin and a point per axis")
    inside = Domain.everywhere(d)
    if box is not None:
        inside = as_domain(_ranges(box), d)
    elif polytope:
        inside = _read_polytope(polytope)
    if points is None:
        return inside
    return Domain.flat(points, within=inside)


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


def _check_checkpoint(folder: Path | None, resume: bool) -> None:
    if resume and (folder is None or not has_plan(folder)):
        raise InvalidInput("--resume needs --checkpoint with the folder of an earlier run")
    if folder is not None and not resume and has_plan(folder):
        raise InvalidInput(f"{folder} holds parts of an earlier run; add --resume to go on from it")


@contextmanager
def workers(jobs: int, scheduler: str | None) -> Iterator[Workers]:
    """Return where to work, and leave it when done."""
    if jobs < 1:
        raise InvalidInput(f"--jobs {jobs} is not positive")
    if scheduler is None:
        yield jobs if jobs > 1 else None
        return
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise MissingDependency("--scheduler needs Dask: pip install 'exactdim[dask]'") from None
    try:
        client = distributed.Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"no Dask scheduler answers at {scheduler}: {error}") from None
    try:
        yield client.get_executor(retries=3)
    finally:
        client.close()
