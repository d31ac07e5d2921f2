"""Commands about ranks: the local dimension, its bounds, numeric recipes beside it, the demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from exactdim.cli.common import (
    DISAGREES,
    OK,
    UNDECIDED,
    JsonFlag,
    QuietFlag,
    app,
    beside,
    check_writable,
    first_samples,
    processes,
    shown_progress,
)
from exactdim.demo import demo_rows
from exactdim.dimension.bounds import dimension_bounds
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.errors import InvalidInput
from exactdim.evidence.certificate import verify as verify_certificate
from exactdim.nets.formats import read_batch, read_network
from exactdim.nets.jacobian import Head
from exactdim.nets.patterns import KinkChoice
from exactdim.numeric import crosscheck as compare
from exactdim.report import (
    agreement,
    bounds_json,
    crosscheck_json,
    dimension_json,
    note,
    note_slow_check,
    print_crosscheck,
    print_demo,
    print_dimension,
    print_json,
    print_table,
    write,
)


@app.command
def dim(
    net: Path,
    data: Path,
    /,
    *,
    head: Head = "logits",
    proof: ProofEffort = "auto",
    on_kink: KinkChoice = "raise",
    error: Annotated[float, Parameter(show_default=lambda _: "2**-40")] = 2**-40,
    seed: int | None = None,
    samples: int | None = None,
    jobs: int = 1,
    max_seconds: float | None = None,
    checkpoint: Path | None = None,
    device: str | None = None,
    out: Path | None = None,
    refer: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Compute the local dimension of a network at a batch, with evidence.

    Parameters
    ----------
    net
        The network: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
    data
        The batch, one sample per row: .npy, .npz (array X), .csv, .json.
    head
        Outputs to differentiate: logits, or softmax (class probabilities).
    proof
        fast: structural bounds only; auto: also close the gap if that takes seconds; full: always.
    on_kink
        If a pre-activation is exactly 0 at a sample: refuse, call the unit off, or drop the sample.
    error
        Failure probability below which an open bracket is called probable.
    seed
        Replay the primes of an earlier run; an open bracket is then only "bracketed".
    samples
        Use the first so many samples only.
    jobs
        Processes for the ranks modulo many primes.
    max_seconds
        Stop then and report the bracket reached.
    checkpoint
        Keep what is found in this file; killed and started again, the run goes on from there.
    device
        Torch device for large Gram matrices, such as cuda; numpy by default.
    out
        Write the certificate to this file.
    refer
        Let the certificate name NET and DATA with their digests instead of containing them.
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    check_writable(out)
    with shown_progress(json or quiet) as progress, processes(jobs) as executor:
        result = local_dimension(
            read_network(net),
            first_samples(read_batch(data), samples),
            head=head,
            proof=proof,
            on_kink=on_kink,
            error=error,
            seed=seed,
            executor=executor,
            max_seconds=max_seconds,
            checkpoint=checkpoint,
            device=device,
            progress=progress,
        )
    if not json:
        print_dimension(result)
        if result.status == "bracketed" and not result.evidence.stopped and proof != "full":
            note("the bracket is open: try --proof full")
    if out is not None:
        certificate = result.certificate(
            network=beside(out, net) if refer else None,
            batch=beside(out, data) if refer and samples is None else None,
        )
        certificate.save(out)
        if not json:
            write(f"certificate: {out}")
        note_slow_check(certificate)
    if json:
        print_json("dim", result.status, dimension_json(result), certificate=out)
    if result.evidence.stopped == "interrupted":
        return UNDECIDED
    return OK if result.status in {"proved", "probable"} else UNDECIDED


@app.command
def bounds(
    net: Path,
    data: Path,
    /,
    *,
    head: Head = "logits",
    on_kink: KinkChoice = "raise",
    samples: int | None = None,
    json: JsonFlag = False,
) -> int:
    """List the structural upper bounds of the local dimension, each with its reason.

    Parameters
    ----------
    net
        The network: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
    data
        The batch, one sample per row: .npy, .npz (array X), .csv, .json.
    head
        Outputs to differentiate: logits, or softmax (class probabilities).
    on_kink
        If a pre-activation is exactly 0 at a sample: refuse, call the unit off, or drop the sample.
    samples
        Use the first so many samples only.
    json
        Print one JSON object instead of text.
    """
    found = dimension_bounds(
        read_network(net), first_samples(read_batch(data), samples), head=head, on_kink=on_kink
    )
    if json:
        print_json("bounds", "proved", {"bounds": bounds_json(found)})
        return OK
    table = Table(title=f"rank J is at most ({head})", title_justify="left")
    table.add_column("bound", justify="right")
    table.add_column("name")
    table.add_column("reason")
    for bound in found:
        table.add_row(str(bound.value), bound.name, bound.statement)
    print_table(table)
    return OK


@app.command
def crosscheck(
    net: Path,
    data: Path,
    /,
    *,
    scales: str = "0,4,8,12,16,20,24",
    on_kink: KinkChoice = "raise",
    samples: int | None = None,
    max_seconds: float | None = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Compare numeric ranks by every usual recipe with the exact rank.

    Exits with 1 if a recipe is wrong, or changes its answer when a neuron is rescaled.

    Parameters
    ----------
    net
        The network: .npz (W1, b1, ...), .json, .pt (state dict), .safetensors.
    data
        The batch, one sample per row: .npy, .npz (array X), .csv, .json.
    scales
        Exponents k: one neuron is rescaled by 2**k, which changes neither function nor rank.
    on_kink
        If a pre-activation is exactly 0 at a sample: refuse, call the unit off, or drop the sample.
    samples
        Use the first so many samples only.
    max_seconds
        For each exact rank.
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    try:
        exponents = [int(k) for k in scales.split(",") if k.strip()]
    except ValueError:
        raise InvalidInput(f"--scales {scales!r} is no list of integers such as 0,8,16") from None
    with shown_progress(json or quiet) as progress:
        report = compare(
            read_network(net),
            first_samples(read_batch(data), samples),
            scales=exponents,
            on_kink=on_kink,
            max_seconds=max_seconds,
            progress=progress,
        )
    if json:
        print_json("crosscheck", agreement(report), crosscheck_json(report))
    else:
        print_crosscheck(report)
    if any(d.evidence.stopped == "interrupted" for d in report.exact.values()):
        return UNDECIDED
    return OK if report.agrees else DISAGREES


@app.command
def demo(*, out: Path = Path("demo.json"), json: JsonFlag = False, quiet: QuietFlag = False) -> int:
    """Run the main job on the embedded digits network and verify the certificate it writes.

    Parameters
    ----------
    out
        Where to write the certificate.
    json
        Print one JSON object instead of text.
    quiet
        Show no progress.
    """
    start = time.perf_counter()
    check_writable(out)
    with shown_progress(json or quiet) as progress:
        rows = list(demo_rows(progress))
    headline = rows[-1]
    file = headline.exact.certificate().save(out)
    begin = time.perf_counter()
    verdict = verify_certificate(file)
    checking = time.perf_counter() - begin
    if json:
        result = {
            "rows": [
                {
                    "stage": row.stage,
                    "head": row.head,
                    "exact": dimension_json(row.exact),
                    "numeric": row.numeric,
                    "seconds": round(row.seconds, 3),
                }
                for row in rows
            ],
            "verified": bool(verdict),
        }
        print_json(
            "demo", "accepted" if verdict else "rejected", result, certificate=out, start=start
        )
        return OK if verdict else DISAGREES
    print_demo(rows)
    word = "accepted" if verdict else "REJECTED"
    write(f"{out}: {word} by the independent checker in {checking:.2f} s: {verdict.claim}")
    write(f"All in {time.perf_counter() - start:.1f} s. Check it again: exactdim verify {out}")
    return OK if verdict else DISAGREES
