"""What a long run has found so far, on the disk.

The file is as trusted as the memory of the running program: it is read back as it was written,
for the same problem only. A certificate of the answer is checked without it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from exactdim.dimension.bounds import Bound
from exactdim.dimension.lower import LowerEnd
from exactdim.errors import InvalidInput, UnreadableFile
from exactdim.evidence.certificate import write_whole
from exactdim.nets.jacobian import JacobianFactors

__all__ = ["Checkpoint", "problem_digest"]

FORMAT = {"format": "exactdim/checkpoint", "version": 1}


def problem_digest(factors: JacobianFactors) -> str:
    """Name network, samples, pattern and head by a SHA-256.

    Parameters
    ----------
    factors : JacobianFactors

    Returns
    -------
    str
    """
    net, out = factors.net, hashlib.sha256()
    parts = [factors.batch]
    for W, b in zip(net.weights, net.biases, strict=True):
        parts += [W] if b is None else [W, b]
    for part in parts:
        text = f"{part.shape} {part.denominator} {part.numerators()}\n"
        out.update(text.encode("ascii"))
    out.update(f"{net.has_bias} {factors.head}\n".encode("ascii"))
    out.update(factors.pattern.mask.tobytes())
    return out.hexdigest()


@dataclass
class Checkpoint:
    """The findings of a run, saved after each.

    Attributes
    ----------
    path : Path or None
        ``None``: nothing is saved.
    problem : str
        See `problem_digest`.
    primes : list of int
        Drawn so far.
    coins : int
        How many of them the operating system drew; only those count as chance.
    refuted : int
        A rank that is known to be too small, or -1.
    lower : LowerEnd or None
    bounds : list of Bound
        The costly ones.
    closing : dict
        ``rank`` and ``done``: primes of the many-primes proof of that rank that are done.
    """

    path: Path | None
    problem: str = ""
    primes: list[int] = field(default_factory=list)
    coins: int = 0
    refuted: int = -1
    lower: LowerEnd | None = None
    bounds: list[Bound] = field(default_factory=list)
    closing: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, factors: JacobianFactors) -> Checkpoint:
        """Read the file, or start a new one.

        Parameters
        ----------
        path : path or None
        factors : JacobianFactors

        Returns
        -------
        Checkpoint

        Raises
        ------
        UnreadableFile
            If the file cannot be read, or is no checkpoint.
        InvalidInput
            If it belongs to another problem.
        """
        if path is None:
            return cls(None)
        file, problem = Path(path), problem_digest(factors)
        if not file.exists():
            fresh = cls(file, problem)
            fresh.save()  # now, not after an hour, is the time to learn that it cannot be written
            return fresh
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            found = cls._decode(file, data)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UnreadableFile(
                f"{file} is no checkpoint of this version ({error}); name another file"
            ) from None
        if found.problem != problem:
            raise InvalidInput(
                f"{file} belongs to another network, batch or head; name another file, or delete it"
            )
        return found

    @classmethod
    def _decode(cls, file: Path, data: Any) -> Checkpoint:
        if {key: data[key] for key in FORMAT} != FORMAT:
            raise ValueError("another format")
        lower = data["lower"]
        if lower is not None:
            lower = LowerEnd(**{k: _tuple(v) for k, v in lower.items()})
        bounds = [Bound(**bound) for bound in data["bounds"]]
        return cls(
            file,
            data["problem"],
            data["primes"],
            data["coins"],
            data["refuted"],
            lower,
            bounds,
            data["closing"],
        )

    def save(self) -> None:
        """Write the file, completely or not at all."""
        if self.path is None:
            return
        data = {
            **FORMAT,
            "problem": self.problem,
            "primes": self.primes,
            "coins": self.coins,
            "refuted": self.refuted,
            "lower": None if self.lower is None else asdict(self.lower),
            "bounds": [{**vars(bound), "witness": dict(bound.witness)} for bound in self.bounds],
            "closing": self.closing,
        }
        write_whole(self.path, json.dumps(data))


def _tuple(value: Any) -> Any:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(value) if is_list else value
