"""The command line: one command, one function of the package.

Results go to stdout, progress and notes to stderr. Exit codes: 0 holds, 1 rejected or disagrees,
2 usage or unreadable input, 3 undecided or interrupted, 4 a missing optional package, 70 a bug.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import exactdim
from exactdim.demo import demo_rows
from exactdim.dimension.bounds import dimension_bounds
from exactdim.dimension.local import Progress as ProgressCallback
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.errors import (
    ExactDimError,
    InvalidInput,
    MalformedCertificate,
    MissingDependency,
    Undecided,
)
from exactdim.evidence.certificate import Certificate
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
    versions,
    write,
)

OK, DISAGREES, USAGE, UNDECIDED, MISSING, BUG = 0, 1, 2, 3, 4, 70
SHOW_PROGRESS_AFTER = 2.0

JsonFlag = Annotated[bool, Parameter(name="--json", negative="")]
QuietFlag = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")]
Files = Annotated[Sequence[Path], Parameter(negative="")]

app = App(
    name="exactdim",
    version=exactdim.__version__,
    help="Exact local dimension of ReLU networks, with proofs that a stranger can check.",
    suppress_keyboard_interrupt=False,
)


# -- commands --------------------------------------------------------------------------------


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
    _check_writable(out)
    with _progress(json or quiet) as progress, _executor(jobs) as executor:
        result = local_dimension(
            read_network(net),
            _first(read_batch(data), samples),
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
            network=_beside(out, net) if refer else None,
            batch=_beside(out, data) if refer and samples is None else None,
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
        read_network(net), _first(read_batch(data), samples), head=head, on_kink=on_kink
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
    with _progress(json or quiet) as progress:
        report = compare(
            read_network(net),
            _first(read_batch(data), samples),
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
def verify(certificates: Files, /, *, json: JsonFlag = False, quiet: QuietFlag = False) -> int:
    """Check certificate files with the independent checker.

    Parameters
    ----------
    certificates
        Files to check; exit 1 if one is rejected, 2 if one cannot be read.
    json
        Print one JSON object instead of text.
    quiet
        Do not announce slow checks.
    """
    if not certificates:
        raise InvalidInput("name at least one certificate file")
    code, found = OK, []
    for path in certificates:
        try:
            if not (json or quiet):
                note_slow_check(Certificate.load(path), f"{path}: ")
            verdict = verify_certificate(path)
        except MalformedCertificate as error:
            found.append({"file": str(path), "accepted": False, "reason": str(error)})
            if not json:
                note(str(error) if str(path) in str(error) else f"{path}: {error}")
            code = USAGE
            continue
        found.append({
            "file": str(path),
            "accepted": bool(verdict),
            "claim": verdict.claim,
            "reason": verdict.reason,
        })
        if not json:
            word = "accepted" if verdict else "REJECTED"
            write(f"{path}: {word}: {verdict.claim}" + ("" if verdict else f": {verdict.reason}"))
        code = max(code, OK if verdict else DISAGREES)
    if json:
        status = {OK: "accepted", DISAGREES: "rejected", USAGE: "unreadable"}[code]
        print_json("verify", status, {"files": found})
    return code


@app.command
def show(certificate: Path, /, *, json: JsonFlag = False) -> int:
    """Describe a certificate in words, without checking it.

    Parameters
    ----------
    certificate
        The file.
    json
        Print one JSON object instead of text: the claim, without network and batch.
    """
    loaded = Certificate.load(certificate)
    if json:
        claim = {"claim": dict(loaded.claim), "digest": loaded.digest}
        print_json("show", "unchecked", claim, certificate=certificate)
        return OK
    layers = loaded.problem.get("layers", [])
    lower, upper = loaded.witness.get("lower", {}), loaded.witness.get("upper")
    rank = loaded.claim.get("rank")
    widths = [len(layers[0]["weight"][0]), *(len(x["weight"]) for x in layers)] if layers else []
    lines = [
        f"claim      {loaded!r}".replace("<Certificate ", "").rstrip(">"),
        f"network    {'-'.join(map(str, widths))}",
        f"batch      {len(loaded.problem.get('inputs', []))} samples",
        f"lower end  a minor of order {rank} that is nonzero modulo {lower.get('modulus')}",
    ]
    if upper is None:
        lines.append("upper end  none claimed")
    else:
        parts = ", ".join(f"{len(v)} {k}" for k, v in upper.items() if isinstance(v, list))
        lines.append(f"upper end  {upper.get('reason')}" + (f" ({parts})" if parts else ""))
    lines += [
        f"digest     {loaded.digest}",
        f"file       {certificate.stat().st_size} bytes",
        f"check it   exactdim verify {certificate}",
    ]
    write("\n".join(lines))
    return OK


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
    _check_writable(out)
    with _progress(json or quiet) as progress:
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


@app.command
def doctor(*, json: JsonFlag = False) -> int:
    """Report versions, optional packages and a self-test.

    Parameters
    ----------
    json
        Print one JSON object instead of text.
    """
    net = exactdim.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    found = local_dimension(net, [[0], [1], [2], [3]])
    healthy = bool(verify_certificate(found.certificate())) and found.value == 3
    packages = versions("numpy", "python-flint", "cyclopts", "rich")
    extras = versions(
        "torch", "safetensors", "matplotlib", "hypothesis", "sympy", "networkx", "cvxpy"
    )
    if json:
        result = {
            "packages": packages,
            "optional": extras,
            "cores": os.cpu_count(),
            "self_test": healthy,
        }
        print_json("doctor", "accepted" if healthy else "rejected", result)
        return OK if healthy else DISAGREES
    python = platform.python_version()
    lines = [f"exactdim {exactdim.__version__}, Python {python}, {os.cpu_count()} cores"]
    lines += [f"  {name:14} {number or 'MISSING'}" for name, number in packages.items()]
    lines += [
        f"  {name:14} {number or 'not installed (optional)'}" for name, number in extras.items()
    ]
    lines.append(
        f"self-test: {'a rank proved and its certificate accepted' if healthy else 'FAILED'}"
    )
    write("\n".join(lines))
    return OK if healthy else DISAGREES


# -- running ---------------------------------------------------------------------------------


def _beside(out: Path, file: Path) -> str:
    """Say where a file lies, seen from the folder of another."""
    return os.path.relpath(file, out.parent)


def _check_writable(out: Path | None) -> None:
    """Refuse a path that cannot be written before the work, not after it."""
    if out is not None and (not out.name or out.is_dir() or not out.parent.is_dir()):
        raise InvalidInput(f"cannot write {out}: name a file in a folder that exists")


def _first(batch: exactdim.QMatrix, samples: int | None) -> exactdim.QMatrix:
    if samples is None:
        return batch
    if not 1 <= samples <= batch.shape[0]:
        raise InvalidInput(
            f"--samples {samples} is not between 1 and the {batch.shape[0]} in the file"
        )
    return batch[slice(0, samples)]


@contextmanager
def _progress(off: bool) -> Iterator[ProgressCallback | None]:
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
def _executor(jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    if jobs < 1:
        raise InvalidInput(f"--jobs {jobs} is not positive")
    with nullcontext() if jobs == 1 else ProcessPoolExecutor(jobs) as pool:
        yield pool


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and translate every outcome into an exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if not tokens:
        app.help_print([])
        return USAGE
    try:
        result = app(tokens, exit_on_error=False, print_error=True, result_action="return_value")
    except MissingDependency as error:
        return _fail(error, MISSING, tokens)
    except Undecided as error:
        return _fail(error, UNDECIDED, tokens)
    except BrokenPipeError:
        raise  # the reader has gone: main() knows what to do
    except (ExactDimError, OSError) as error:
        return _fail(error, USAGE, tokens)
    except KeyboardInterrupt:
        note("interrupted before a bracket was reached")
        return UNDECIDED
    except CycloptsError as error:
        if "--json" in tokens:
            print_json(tokens[0], "error", {"error": "Usage", "message": str(error)})
        return USAGE
    return result if isinstance(result, int) else OK


def _fail(error: Exception, code: int, tokens: list[str]) -> int:
    note(f"exactdim: {error}")
    if "--json" in tokens:
        print_json(tokens[0], "error", {"error": type(error).__name__, "message": str(error)})
    return code


def main() -> None:
    """Entry point of the ``exactdim`` command."""
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except Exception:
        traceback.print_exc()
        note("exactdim: this is a bug; please report it with the lines above")
        code = BUG
    sys.exit(code)


if __name__ == "__main__":
    main()
