"""Check certificates that are too large for pure Python.

Everything is decided by the standard-library checker as before, the forward pass in integers
included; only ranks modulo a prime are taken by FLINT. Networks and batches that a certificate
refers to are read from their files and must have the digest that it names.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from flint import nmod_mat

from exactdim.errors import InvalidInput, MalformedCertificate
from exactdim.evidence import checker
from exactdim.evidence.checker import Verdict
from exactdim.evidence.spelling import inputs_of, layers_of
from exactdim.nets.formats import read_batch, read_network

__all__ = ["check", "content_digest", "seconds", "with_contents"]

PLAIN_RANK = 300
"""Order of a minor up to which pure Python checks everything: two seconds."""


def check(data: Any, folder: Path) -> Verdict:
    """Check a parsed certificate of any size.

    Parameters
    ----------
    data : parsed JSON
    folder : Path
        Where files that the certificate refers to are looked for.

    Returns
    -------
    Verdict

    Raises
    ------
    MalformedCertificate
        If a file that it refers to cannot be read.
    """
    checker.check_frame(data)
    try:
        data = with_contents(data, folder)
    except checker.Rejected as error:
        return Verdict(False, checker.claim_text(data["claim"]), str(error))
    rank = data["claim"].get("rank")
    if type(rank) is not int or rank <= PLAIN_RANK:
        return checker.check(data)
    token = checker.RANK_MOD.set(_flint_rank)
    try:
        return checker.check(data)
    finally:
        checker.RANK_MOD.reset(token)


def seconds(data: Any) -> float:
    """Estimate how long `check` will take.

    Parameters
    ----------
    data : parsed JSON

    Returns
    -------
    float
        From the order of the minor and the numbers of regions and of kernel vectors alone, for one
        core of 2024.
    """
    witness = data.get("witness", {})
    regions = witness.get("regions")
    if isinstance(regions, list):
        return 1e-3 * len(regions)
    rank = data["claim"].get("rank")
    if type(rank) is not int or rank < 0:
        return 0.0
    upper = _seconds_of_regions(witness.get("upper"))
    if rank <= PLAIN_RANK:
        return upper + 0.5 * (rank / 200) ** 3
    return upper + 6e-11 * rank**3 + 1e-6 * rank**2


def _seconds_of_regions(upper: Any) -> float:
    """Estimate the time for an upper end by kernel vectors on all activation regions."""
    regions, vectors = (
        len(part) if isinstance(part, list) else 0
        for part in map((upper if isinstance(upper, dict) else {}).get, ("regions", "vectors"))
    )
    return (1e-3 + 2e-5 * vectors) * regions


def content_digest(contents: Any) -> str:
    """Name layers or inputs by the SHA-256 of their canonical JSON text.

    Parameters
    ----------
    contents : list
        As ``problem.layers`` or ``problem.inputs`` of a certificate.

    Returns
    -------
    str
    """
    text = json.dumps(contents, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def with_contents(data: Any, folder: Path) -> Any:
    """Put the contents of files where a certificate refers to them.

    Parameters
    ----------
    data : parsed JSON
    folder : Path

    Returns
    -------
    parsed JSON
        With a digest of its own; the certificate's digest is checked here.

    Raises
    ------
    MalformedCertificate
        If a file cannot be read.
    """
    problem = data["problem"]
    if not {"network", "batch"} & set(problem):
        return data
    if data["digest"] != checker.digest(data["claim"], problem, data["witness"]):
        checker.reject("the digest does not belong to the contents")
    whole = dict(problem)
    for key, name in (("network", "layers"), ("batch", "inputs")):
        if key not in problem:
            continue
        if name in problem:
            checker.reject(f"the problem has both '{key}' and '{name}'")
        reference = checker.keys(whole.pop(key), f"problem.{key}", "file sha256")
        file = reference["file"]
        if not isinstance(file, str) or not file:
            checker.reject(f"problem.{key} names no file")
        try:
            contents = _read(key, folder / file)
        except (InvalidInput, OSError, ValueError) as error:
            raise MalformedCertificate(
                f"the certificate refers to {file}, looked for in {folder}: {error}"
            ) from None
        if content_digest(contents) != reference["sha256"]:
            checker.reject(f"{file} is not the {key} that the certificate is about")
        whole[name] = contents
    return {
        **data,
        "problem": whole,
        "digest": checker.digest(data["claim"], whole, data["witness"]),
    }


def _read(key: str, path: Path) -> list[Any]:
    return layers_of(read_network(path)) if key == "network" else inputs_of(read_batch(path))


def _flint_rank(table: checker.Rows, p: int) -> int:
    rows = iter(table)
    first = next(rows, None)
    if not first:
        return 0
    residues = nmod_mat(len(table), len(first), p)
    for j, x in enumerate(first):
        residues[0, j] = x % p
    for i, row in enumerate(rows, start=1):
        for j, x in enumerate(row):
            if x:
                residues[i, j] = x % p
    return residues.rank()
