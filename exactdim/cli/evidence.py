"""Commands about certificates, and the state of the installation."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import exactdim
from exactdim.cli.common import DISAGREES, OK, USAGE, Files, JsonFlag, QuietFlag, app
from exactdim.dimension.local import local_dimension
from exactdim.errors import InvalidInput, MalformedCertificate
from exactdim.evidence.certificate import Certificate
from exactdim.evidence.certificate import verify as verify_certificate
from exactdim.report import note, note_slow_check, print_json, versions, write


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
    if "networks" in loaded.problem:
        return _show_regions(loaded, certificate)
    layers = loaded.problem.get("layers", [])
    lower, upper = loaded.witness.get("lower", {}), loaded.witness.get("upper")
    rank = loaded.claim.get("rank")
    lines = [
        f"claim      {loaded!r}".replace("<Certificate ", "").rstrip(">"),
        f"network    {_widths(layers)}",
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


def _show_regions(loaded: Certificate, path: Path) -> int:
    domain = loaded.problem.get("domain", {})
    lines = [f"claim      {loaded!r}".replace("<Certificate ", "").rstrip(">")]
    lines += [f"network    {_widths(net.get('layers', []))}" for net in loaded.problem["networks"]]
    flat = " in a flat" if domain.get("flat") else ""
    lines.append(f"domain     {len(domain.get('inequalities', []))} inequalities{flat}")
    for key, what in (("regions", "regions listed"), ("multipliers", "multipliers")):
        if key in loaded.witness:
            lines.append(f"witness    {len(loaded.witness[key])} {what}")
    if "point" in loaded.witness:
        lines.append(f"witness    the point ({', '.join(map(str, loaded.witness['point'][:6]))})")
    lines += [
        f"digest     {loaded.digest}",
        f"file       {path.stat().st_size} bytes",
        f"check it   exactdim verify {path}",
    ]
    write("\n".join(lines))
    return OK


def _widths(layers: Sequence[dict[str, Any]]) -> str:
    if not layers:
        return "none"
    first = len(layers[0]["weight"][0])
    return "-".join(map(str, [first, *(len(layer["weight"]) for layer in layers)]))


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
        "torch",
        "safetensors",
        "matplotlib",
        "hypothesis",
        "sympy",
        "networkx",
        "highspy",
        "z3-solver",
        "distributed",
        "lightning",
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
