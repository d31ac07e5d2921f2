"""Finished jobs on disk, so that a run killed at any moment goes on from there."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.errors import InvalidInput, UnreadableFile
from exactdim.evidence.certificate import write_whole
from exactdim.evidence.spelling import layers_of, rationals
from exactdim.regions.cellular import CellComplex
from exactdim.regions.layout import Layout

__all__ = ["JobFolder", "has_plan"]

PLAN = "plan.json"
DIGEST_BYTES = 32
"""Length of the SHA-256 digest at the end of each file."""


def has_plan(folder: Path) -> bool:
    """Return whether a folder holds jobs of an earlier run.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    bool
    """
    return (folder / PLAN).exists()


class JobFolder:
    """Finished jobs on disk: an npz file and its digest each, and a note of what they belong to.

    Attributes
    ----------
    n_jobs : int
        Into how many jobs the computation was divided when it began.
    """

    def __init__(self, path: Path, layout: Layout, inequalities: QMatrix, n_jobs: int) -> None:
        self.path = path
        problem = {
            "format": "exactdim/regions-checkpoint",
            "version": 1,
            "networks": [layers_of(net) for net in layout.nets],
            "inequalities": rationals(inequalities),
        }
        note = path / PLAN
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not note.exists():
                if any(not file.name.startswith(".") for file in path.iterdir()):
                    raise InvalidInput(
                        f"{path} holds other files and no {PLAN}; give an empty or new folder"
                    )
                plan = {"jobs": n_jobs, "digest": _digest(problem, n_jobs)}
                write_whole(note, json.dumps(plan) + "\n")
            plan = json.loads(note.read_text(encoding="utf-8"))
            self.n_jobs, self._plan = plan["jobs"], plan["digest"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise UnreadableFile(f"cannot use {path} as checkpoint folder: {error}") from None
        if self._plan != _digest(problem, self.n_jobs):
            raise InvalidInput(
                f"the checkpoint folder {path} belongs to another network, domain or version of "
                "exactdim, or is damaged; give another folder, or delete it"
            )

    def _file(self, number: int) -> Path:
        return self.path / f"job-{number:05d}.npz"

    def load(self, number: int) -> CellComplex | None:
        """Return a finished job, or None if there is none or the file is damaged."""
        try:
            data = self._file(number).read_bytes()
        except OSError:
            return None
        contents, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if self._seal(number, contents) != digest:
            return None
        with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
            return CellComplex.from_arrays({name: arrays[name] for name in arrays.files})

    def save(self, number: int, part: CellComplex) -> None:
        """Write a finished job; the file appears whole or not at all."""
        target = self._file(number)
        scratch = target.with_name(f".{target.name}.{os.getpid()}.partial")
        contents = io.BytesIO()
        np.savez(contents, allow_pickle=False, **part.to_arrays())
        with open(scratch, "wb") as file:
            file.write(contents.getvalue())
            file.write(self._seal(number, contents.getvalue()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)

    def _seal(self, number: int, contents: bytes) -> bytes:
        """Return the digest that ends the file of a job of this computation."""
        return hashlib.sha256(f"{self._plan} {number} ".encode() + contents).digest()


def _digest(problem: dict[str, object], n_jobs: object) -> str:
    text = json.dumps({**problem, "jobs": n_jobs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
