"""What the commands print: text and tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import exactdim
from exactdim.demo import STAGES, DemoRow
from exactdim.dimension.atlas import Atlas
from exactdim.dimension.bounds import Bound
from exactdim.dimension.lower import LowerEnd
from exactdim.dimension.result import Dimension
from exactdim.evidence.certificate import Certificate
from exactdim.evidence.spelling import plural
from exactdim.numeric import RECIPES, CrosscheckReport
from exactdim.regions.complex import RegionComplex
from exactdim.regions.equality import Comparison
from exactdim.regions.parameter_space import spelled


def print_dimension(d: Dimension) -> None:
    """Print a local dimension with both ends and their reasons."""
    write(str(d))
    upper, lower = d.evidence.upper, d.evidence.lower
    why = f"{_named(lower)} modulo {lower.modulus}"
    write(f"  at least {d.lower}: {why if d.lower else 'nothing is less'}")
    write(fill(f"  at most  {upper.value}: {upper.statement}", _width(), subsequent_indent="    "))
    pattern = d.evidence.pattern
    write(
        f"  {pattern.distinct} distinct patterns, {len(pattern.dead)} dead and "
        f"{len(pattern.always_on)} always-on units, {pattern.n_exact} signs decided exactly"
    )


_SOURCES = {
    "jacobian": "the Jacobian",
    "row-gram": "the weighted Gram matrix of the rows",
    "column-gram": "the weighted Gram matrix of the columns",
    "folded-gram": "a weighted Gram matrix of sums of rows",
}


def _named(lower: LowerEnd) -> str:
    if lower.rows is not None and lower.columns is not None:
        return "a minor of that order is nonzero"
    return f"the rank of {_SOURCES[lower.source]}"


def print_crosscheck(report: CrosscheckReport) -> None:
    """Print numeric ranks beside the exact ones."""
    table = Table(title="rank of the parameter Jacobian", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("recipe")
    for head in report.exact:
        table.add_column(head, justify="right")
    table.add_column("moved by\nrescaling")
    table.add_column("used by")
    table.add_row("exact", *(_exact_text(d) for d in report.exact.values()), "never", "")
    moved = set(report.moved)
    for recipe in RECIPES:
        cells = [
            _rank_text(x.rank, x.error) for x in report.numeric if x.recipe.name == recipe.name
        ]
        table.add_row(recipe.name, *cells, "yes" if recipe.name in moved else "no", recipe.source)
    print_table(table)
    for head in report.exact:
        kept, dropped = report.gap(head)
        write(
            f"{head}: a threshold is right if it is between {dropped:.1e} and {kept:.1e} of the "
            "largest singular value (float64)"
        )
    if report.rescalings:
        unit = report.rescalings[0].unit
        title = f"logits rank after rescaling unit {unit} by 2**k"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("recipe")
        for scaling in report.rescalings:
            table.add_column(f"k={scaling.exponent}", justify="right")
        for recipe in RECIPES:
            ranks = [scaling.ranks[recipe.name] for scaling in report.rescalings]
            table.add_row(recipe.name, *("overflow" if r is None else str(r) for r in ranks))
        print_table(table)
    wrong = sorted({x.recipe.name for x in report.wrong})
    write(fill(f"wrong: {'; '.join(wrong) or 'none'}", _width()))
    write(fill(f"moved by rescaling: {'; '.join(report.moved) or 'none'}", _width()))


def print_demo(rows: list[DemoRow]) -> None:
    """Print the demo's table and what it means, in 80 columns."""
    shown = ("float32, eps32", "float32 J, eps64", "float64, eps64", "float64, gap")
    d, width = rows[0].exact, min(_width(), 88)
    write(
        fill(
            "A 64-12-12-12-10 ReLU network on 8x8 digits, 30 samples: the rank of its "
            f"{d.n_rows} x {d.n_parameters} Jacobian, exactly and by the usual recipes (error in "
            "brackets). eps32, eps64: singular values above max(m, n) eps sigma_max count; gap: "
            "those before the largest gap.",
            width,
        )
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("network, head")
    for name in ("exact", *shown):
        table.add_column(name.replace(", ", "\n"), justify="right")
    for row in rows:
        cells = [
            _rank_text(row.numeric[name], _error(row.numeric[name], row.exact)) for name in shown
        ]
        stage = {"init": "initial", "trained": "trained"}[row.stage]
        table.add_row(f"{stage} {row.head}", _exact_text(row.exact), *cells)
    print_table(table)
    before, after = (next(r for r in rows if r.stage == s and r.head == "softmax") for s in STAGES)
    write(
        fill(
            "Softmax rank through training: exactly "
            f"{before.exact.value} -> {after.exact.value}; a float32 "
            f"threshold reports {before.numeric[shown[0]]} -> {after.numeric[shown[0]]}, a float64 "
            f"threshold {before.numeric[shown[2]]} -> {after.numeric[shown[2]]}. Saturation "
            "shrinks singular values, not the rank.",
            width,
        )
    )
    write(
        fill(
            f"Why {after.exact.value}: a minor of that order is nonzero modulo a prime, and the "
            f"rank is at most {after.exact.evidence.upper.statement}.",
            width,
        )
    )


def _exact_text(d: Dimension) -> str:
    number = str(d.lower) if d.lower == d.upper else f"{d.lower}..{d.upper}"
    return f"{number} {d.status}"


def _error(rank: int | None, d: Dimension) -> int | None:
    return None if rank is None else max(rank - d.upper, 0) + min(rank - d.lower, 0)


def _rank_text(rank: int | None, error: int | None) -> str:
    if rank is None:
        return "overflow"
    return str(rank) if not error else f"{rank} ({error:+d})"


def _width() -> int:
    """Columns of the terminal, or of the COLUMNS variable; 120 where there is neither."""
    return get_terminal_size((120, 24)).columns


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal."""
    console = Console(width=_width(), highlight=False)
    with console.capture() as captured:  # so that only this module writes to stdout
        console.print(table)
    sys.stdout.write(captured.get())


def note_slow_check(certificate: Certificate, where: str = "") -> None:
    """Say how long a check takes if it takes long."""
    seconds = certificate.checking_seconds
    if seconds > 3:
        note(f"{where}rank {certificate.claim['rank']}: checking takes about {seconds:.0f} s")


def write(text: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(text + "\n")


# -- JSON ------------------------------------------------------------------------------------

_started = time.perf_counter()


def print_json(
    command: str,
    status: str,
    result: Any,
    *,
    certificate: Path | None = None,
    start: float | None = None,
) -> None:
    """Print the one JSON object of a command."""
    elapsed = time.perf_counter() - (_started if start is None else start)
    report = {
        "schema": "exactdim/report",
        "version": 1,
        "command": command,
        "status": status,
        "result": result,
        "certificate": None if certificate is None else str(certificate),
        "elapsed_s": round(elapsed, 3),
        "versions": {"exactdim": exactdim.__version__, **versions("numpy", "python-flint")},
    }
    write(json.dumps(report))


def print_regions(found: RegionComplex, linear: int | None) -> None:
    """Print what was found about activation regions."""
    write(f"{plural(len(found), 'activation region')} in {found.domain}")
    if linear is not None:
        write(f"  {plural(linear, 'linear region')}")
    write(f"  {int(found.bounded.sum())} bounded, {int((~found.bounded).sum())} unbounded")
    counts = ", ".join(f"{n} of dimension {k}" for k, n in enumerate(found.face_counts))
    write(fill(f"  faces: {counts}", _width(), subsequent_indent="    "))
    write(f"  Euler characteristic {found.euler_characteristic}")


def regions_json(found: RegionComplex, linear: int | None) -> dict[str, Any]:
    """Return what was found about activation regions, for JSON."""
    result = {
        "regions": len(found),
        "bounded": int(found.bounded.sum()),
        "faces": list(found.face_counts),
        "euler_characteristic": found.euler_characteristic,
        "patterns": [" ".join(region.pattern) for region in found],
    }
    return result if linear is None else {**result, "linear_regions": linear}


def print_atlas(atlas: Atlas) -> None:
    """Print how many regions of parameter space have which rank."""
    widths = "-".join(map(str, atlas.space.widths))
    write(
        f"{plural(atlas.n_regions, 'region')} of the parameters of {widths} for "
        f"{plural(atlas.space.n_samples, 'sample')}, {atlas.n_orbits} up to the order of units"
    )
    table = Table("rank", "regions", "share", box=None, pad_edge=False)
    for rank, count in atlas.histogram().items():
        table.add_row(str(rank), str(count), str(atlas.fraction(rank)))
    print_table(table)
    rows = atlas.space.n_samples * atlas.space.widths[-1]
    write(
        f"full row rank in {atlas.full_rank_fraction} of the regions; the outputs that networks "
        f"can have fill {atlas.image_dimension} of {rows} dimensions"
    )
    if atlas.believed:
        write(f"what is not listed rests on {plural(atlas.believed, 'answer')} of the SMT solver")


def print_partial_atlas(atlas: Atlas) -> None:
    """Print what is known of an atlas in which patterns are undecided."""
    known = atlas.histogram(partial=True)
    regions, patterns = sum(known.values()), len(atlas.undecided)
    write(f"at least {plural(regions, 'region')}, {plural(patterns, 'pattern')} open")
    for rank, count in known.items():
        write(f"  rank {rank}: at least {count}")


def partial_atlas_json(atlas: Atlas) -> dict[str, Any]:
    """Return what is known of an atlas in which patterns are undecided, for JSON."""
    known = atlas.histogram(partial=True)
    return {
        "regions_at_least": sum(known.values()),
        "histogram_at_least": {str(rank): count for rank, count in known.items()},
        "undecided": [spelled(x.words) for x in atlas.undecided],
    }


def atlas_json(atlas: Atlas) -> dict[str, Any]:
    """Return the counts of an atlas, for JSON."""
    return {
        "regions": atlas.n_regions,
        "orbits": atlas.n_orbits,
        "histogram": {str(rank): count for rank, count in atlas.histogram().items()},
        "full_rank_fraction": str(atlas.full_rank_fraction),
        "image_dimension": atlas.image_dimension,
        "answers_of_smt_solver": atlas.believed,
    }


def comparison_json(answer: Comparison) -> dict[str, Any]:
    """Return the answer of a comparison of two networks, for JSON."""
    result: dict[str, Any] = {"equal": answer.equal, "common_regions": answer.n_regions}
    if answer.point is not None and answer.values is not None:
        result["point"] = [str(x) for x in answer.point]
        result["values"] = [[str(x) for x in value] for value in answer.values]
    return result


def dimension_json(d: Dimension) -> dict[str, Any]:
    """Describe a local dimension."""
    return {
        "lower": d.lower,
        "upper": d.upper,
        "status": d.status,
        "likely": d.likely,
        "head": d.evidence.head,
        "on_kink": d.evidence.pattern.on_kink,
        "n_parameters": d.n_parameters,
        "n_rows": d.n_rows,
        "failure_probability": d.failure_probability,
        "reason": d.evidence.upper.name,
        "bounds": bounds_json(d.bounds),
        "rank_of": d.evidence.lower.source,
        "primes": [str(p) for p in d.evidence.primes],
        "kinks": [list(k) for k in d.evidence.pattern.kinks],
        "dropped": list(d.evidence.pattern.dropped),
        "signs_decided_exactly": d.evidence.pattern.n_exact,
        "stopped": d.evidence.stopped,
    }


def bounds_json(found: Sequence[Bound]) -> list[dict[str, Any]]:
    """Describe upper bounds."""
    return [{"name": b.name, "value": b.value, "reason": b.statement} for b in found]


def crosscheck_json(report: CrosscheckReport) -> dict[str, Any]:
    """Describe a comparison."""
    return {
        "exact": {head: dimension_json(d) for head, d in report.exact.items()},
        "numeric": [
            {"recipe": x.recipe.name, "head": x.head, "rank": x.rank, "error": x.error}
            for x in report.numeric
        ],
        "moved_by_rescaling": list(report.moved),
        "rescalings": [{"exponent": s.exponent, "ranks": s.ranks} for s in report.rescalings],
    }


def agreement(report: CrosscheckReport) -> str:
    """Say in a word whether all recipes agree."""
    return "agrees" if report.agrees else "disagrees"


def versions(*names: str) -> dict[str, str | None]:
    """Look up installed versions; None where a package is missing."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
