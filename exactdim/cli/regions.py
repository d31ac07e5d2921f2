"""Commands about activation regions: enumerate, draw, compare two networks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from exactdim.cli.common import DISAGREES, OK, JsonFlag, QuietFlag, app, check_writable
from exactdim.cli.where import Flag, How, Where
from exactdim.errors import InvalidInput
from exactdim.evidence.spelling import plural
from exactdim.nets.formats import read_network
from exactdim.regions.complex import activation_regions, count_regions
from exactdim.regions.equality import same_function
from exactdim.regions.graph import write_graph
from exactdim.report import (
    comparison_json,
    note,
    print_json,
    print_regions,
    regions_json,
    write,
)

PICTURES = (".svg", ".png", ".pdf")


@app.command
def regions(
    net: Path,
    /,
    *,
    where: Where | None = None,
    count: Flag = False,
    linear: Flag = False,
    out: Path | None = None,
    plot: Path | None = None,
    color: Literal["pattern", "gradient", "rank", "dimension"] = "pattern",
    graph: Path | None = None,
    how: How | None = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Enumerate the activation regions of a network exactly.

    Parameters
    ----------
    net
        The network: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
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
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    start = time.perf_counter()
    where, how = where or Where(), how or How()
    for file in (out, plot, graph):
        check_writable(file)
    if plot is not None and plot.suffix not in PICTURES:
        raise InvalidInput(f"cannot draw {plot}: give a file that ends in {', '.join(PICTURES)}")
    if graph is not None and graph.suffix != ".graphml":
        raise InvalidInput(f"cannot write {graph}: the graph is written as GraphML, to .graphml")
    if count and (out or plot or graph or linear):
        raise InvalidInput("--count keeps no regions: leave it out for --out, --plot, --graph")
    how.check()
    network = read_network(net)
    domain = where.domain(network)
    if plot is not None and domain.dimension > 2:
        raise InvalidInput(
            f"--plot draws one or two dimensions, not {domain.dimension}; give a plane with --slice"
        )
    if count:
        with how.options(quiet=json or quiet) as options:
            number = count_regions(network, domain, **options)
        if json:
            print_json("regions", "proved", {"regions": number}, start=start)
        else:
            write(f"{plural(number, 'activation region')} in {domain}")
        return OK
    with how.options(quiet=json or quiet) as options:
        found = activation_regions(network, domain, **options)
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
    where: Where | None = None,
    out: Path | None = None,
    how: How | None = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Decide whether two networks are equal as functions; exit 1 if they are not.

    Parameters
    ----------
    a
        A network: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
    b
        Another one, with as many inputs and outputs.
    out
        Write a certificate of the answer to this file.
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    start = time.perf_counter()
    where, how = where or Where(), how or How()
    check_writable(out)
    how.check()
    left, right = read_network(a), read_network(b)
    domain = where.domain(left)
    with how.options(quiet=json or quiet) as options:
        answer = same_function(left, right, domain, **options)
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
