"""Commands about parameter space and all batches: the atlas of ranks, the full dimension."""

from __future__ import annotations

import time
from pathlib import Path

from exactdim.cli.common import (
    OK,
    UNDECIDED,
    JsonFlag,
    QuietFlag,
    app,
    check_writable,
    shown_progress,
)
from exactdim.cli.where import Flag, How
from exactdim.dimension.atlas import Atlas, parameter_regions
from exactdim.dimension.full import full_dimension
from exactdim.dimension.local import ProofEffort
from exactdim.errors import InvalidInput
from exactdim.evidence.spelling import plural
from exactdim.nets.formats import read_batch, read_network
from exactdim.nets.jacobian import Head
from exactdim.report import (
    atlas_json,
    dimension_json,
    note,
    partial_atlas_json,
    print_atlas,
    print_dimension,
    print_json,
    print_partial_atlas,
    write,
)


@app.command
def atlas(
    widths: str,
    data: Path,
    /,
    *,
    no_bias: Flag = False,
    solver_seconds: float | None = None,
    out: Path | None = None,
    graph: Path | None = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Cut parameter space into the activation regions of a batch, and count them by exact rank.

    Parameters
    ----------
    widths
        The architecture, such as 2,3,1: inputs, hidden layers, outputs.
    data
        The batch, one sample per row: .npy, .npz (array X), .csv, .json.
    no_bias
        No layer has a bias.
    solver_seconds
        Leave patterns undecided that need the SMT solver (deep networks) after so many seconds of
        its time.
    out
        Write all regions with ranks and networks to this .json file.
    graph
        Write which regions differ by one sign flip to this .graphml file.
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    start = time.perf_counter()
    for file, suffix in ((out, ".json"), (graph, ".graphml")):
        check_writable(file)
        if file is not None and file.suffix != suffix:
            raise InvalidInput(f"cannot write {file}: give a file that ends in {suffix}")
    numbers = _widths(widths)
    with shown_progress(json or quiet) as progress:
        found = parameter_regions(
            numbers,
            read_batch(data),
            bias=not no_bias,
            solver_seconds=solver_seconds,
            progress=progress,
        )
        found.histogram(partial=True)
        if found.undecided:
            return _partial(found, json=json, start=start)
        if out is not None:
            found.save(out)
        if graph is not None:
            found.write_graph(graph)
    if json:
        status = "smt" if found.believed else "proved"
        print_json("atlas", status, atlas_json(found), start=start)
    else:
        print_atlas(found)
    for what, file in (("atlas", out), ("graph", graph)):
        if file is not None:
            note(f"{what}: {file}")
    return OK


@app.command
def full(
    net: Path,
    /,
    *,
    head: Head = "logits",
    proof: ProofEffort = "full",
    seed: int | None = None,
    out: Path | None = None,
    how: How | None = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Compute the full functional dimension: the largest local dimension over all batches.

    Parameters
    ----------
    net
        The network: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
    head
        Outputs to differentiate: logits, or softmax (class probabilities).
    proof
        fast: structural bounds only; auto: also close the gap if that takes seconds; full: always.
    seed
        Replay the primes of an earlier run.
    out
        Write the certificate to this file.
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    start = time.perf_counter()
    how = how or How()
    check_writable(out)
    how.check()
    network = read_network(net)
    with how.options(quiet=json or quiet) as options:
        found = full_dimension(network, head=head, proof=proof, seed=seed, **options)
    if out is not None:
        found.certificate().save(out)
    points = [[str(x) for x in row] for row in found.points.tolist()]
    if json:
        result = dimension_json(found.dimension)
        result |= {"regions": len(found.regions), "points": points}
        print_json("full", found.status, result, certificate=out, start=start)
    else:
        print_dimension(found.dimension)
        write(
            f"  over all batches: {plural(len(found.regions), 'activation region')}, attained at "
            f"{plural(len(points), 'point')}"
        )
        for point in points[:12]:
            write(f"    ({', '.join(point)})")
        if len(points) > 12:
            write(f"    and {len(points) - 12} more (--json lists them)")
    if out is not None:
        note(f"certificate: {out}")
    return OK if found.status in {"proved", "probable"} else UNDECIDED


def _partial(found: Atlas, *, json: bool, start: float) -> int:
    """Report what is known of an atlas in which patterns are undecided."""
    if json:
        print_json("atlas", "bracketed", partial_atlas_json(found), start=start)
    else:
        print_partial_atlas(found)
    return UNDECIDED


def _widths(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput(f"{text!r} is no architecture; write widths such as 2,3,1") from None
