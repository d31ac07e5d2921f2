"""Finished jobs on disk, so that a run killed at any moment goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
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
    """Finished jobs on disk: one npz file each, and a note of what they belong to.

    Attributes
    ----------
    n_jobs : int
        Into how many jobs the computation was divided when it began.
    """

    def __init__(self, path: Path, layout: Layout, inequalities: QMatrix, n_jobs: int) -> None:
        self.path = path
        text = json.dumps(
            {
                "format": "exactdim/regions-checkpoint",
                "version": 1,
                "networks": [layers_of(net) for net in layout.nets],
                "inequalities": rationals(inequalities),
            },
            sort_keys=True,
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        note = path / PLAN
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not note.exists():
                if any(not file.name.startswith(".") for file in path.iterdir()):
                    raise InvalidInput(
                        f"{path} holds other files and no {PLAN}; give an empty or new folder"
                    )
                plan = {"digest": digest, "jobs": n_jobs}
                write_whole(note, json.dumps(plan) + "\n")
            plan = json.loads(note.read_text(encoding="utf-8"))
            if plan["digest"] != digest:
                raise InvalidInput(
                    f"the checkpoint folder {path} belongs to another network, domain or version "
                    "of exactdim; give another folder, or delete it"
                )
            self.n_jobs = int(plan["jobs"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise UnreadableFile(f"cannot use {path} as checkpoint folder: {error}") from None

    def _file(self, number: int) -> Path:
        return self.path / f"job-{number:05d}.npz"

    def load(self, number: int) -> CellComplex | None:
        """Return a finished job, or None if there is none or the file is damaged."""
        try:
            with np.load(self._file(number), allow_pickle=False) as arrays:
                return CellComplex.from_arrays({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
            return None

    def save(self, number: int, part: CellComplex) -> None:
        """Write a finished job; the file appears whole or not at all."""
        target = self._file(number)
        scratch = target.with_suffix(f".{os.getpid()}.tmp")
        with open(scratch, "wb") as file:
            np.savez(file, allow_pickle=False, **part.to_arrays())
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)
