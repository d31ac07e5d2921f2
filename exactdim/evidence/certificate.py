"""Certificates: claims about networks as JSON files that a stranger can check.

The format is described in ``proofs_checks/FORMAT.md``. A certificate restates the whole problem, or
names files with their digests; it holds no float, and is checked by ``exactdim.evidence.checker``,
which shares no code with the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exactdim.errors import InvalidInput, MalformedCertificate, UnreadableFile
from exactdim.evidence import checker, recheck
from exactdim.evidence.checker import Verdict

__all__ = ["Certificate", "Verdict", "verify", "write_whole"]

FORMAT, VERSION = "exactdim/certificate", 1


@dataclass(frozen=True)
class Certificate:
    """A claim, the problem it is about, and the witness that proves it.

    Attributes
    ----------
    claim, problem, witness : mapping
        As described in ``proofs_checks/FORMAT.md``.
    digest : str
        SHA-256 of the canonical JSON of the three; an identity, not a security feature.
    """

    claim: Mapping[str, Any]
    problem: Mapping[str, Any]
    witness: Mapping[str, Any]
    digest: str

    @classmethod
    def seal(
        cls, claim: Mapping[str, Any], problem: Mapping[str, Any], witness: Mapping[str, Any]
    ) -> Certificate:
        """Put the parts together and compute the digest.

        Parameters
        ----------
        claim, problem, witness : mapping

        Returns
        -------
        Certificate
        """
        return cls(claim, problem, witness, checker.digest(claim, problem, witness))

    def to_json(self) -> str:
        """Return the text of the file.

        Returns
        -------
        str
        """
        return json.dumps(
            {
                "format": FORMAT,
                "version": VERSION,
                "claim": self.claim,
                "problem": self.problem,
                "witness": self.witness,
                "digest": self.digest,
            },
            indent=None,
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the certificate to a file, completely or not at all.

        Parameters
        ----------
        path : path

        Returns
        -------
        Path

        Raises
        ------
        UnreadableFile
            If the path is a folder or its folder does not exist.
        """
        return write_whole(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Read a certificate; its claim is not checked (see `verify`).

        Parameters
        ----------
        path : path

        Returns
        -------
        Certificate

        Raises
        ------
        MalformedCertificate
            If the file cannot be read, is truncated, too large or no certificate.
        """
        try:
            data = checker.read(os.fspath(path))
            checker.check_frame(data)
        except checker.Malformed as error:
            raise MalformedCertificate(f"{os.fspath(path)}: {error}") from None
        return cls(data["claim"], data["problem"], data["witness"], data["digest"])

    @property
    def checking_seconds(self) -> float:
        """Rough time that `verify` will take."""
        return recheck.seconds({"claim": self.claim, "witness": self.witness})

    def __repr__(self) -> str:
        return f"<Certificate {checker.claim_text(self.claim)}>"


def verify(certificate: Certificate | str | os.PathLike[str]) -> Verdict:
    """Check a certificate with the independent checker.

    Parameters
    ----------
    certificate : Certificate or path

    Returns
    -------
    Verdict
        True if accepted; otherwise `Verdict.reason` says why not.

    Raises
    ------
    MalformedCertificate
        If the file cannot be read or is no certificate of this format at all.
    InvalidInput
        If it is neither a certificate nor a path.

    Notes
    -----
    Up to rank 300 the standard-library checker does everything, in two seconds at most. Above,
    FLINT takes the ranks modulo a prime: 15 s at 6000, minutes at 20000. Files that the certificate
    refers to are looked for beside it, or in the current folder if it is no file.

    Examples
    --------
    >>> verify("no-such-file.json")
    Traceback (most recent call last):
    exactdim.errors.MalformedCertificate: cannot read no-such-file.json: No such file or directory
    """
    try:
        if isinstance(certificate, Certificate):
            return recheck.check(checker.parse(certificate.to_json()), Path())
        if not isinstance(certificate, str | os.PathLike):
            raise InvalidInput(
                f"verify takes a Certificate or a path, not {type(certificate).__name__}"
            )
        path = os.fspath(certificate)
        return recheck.check(checker.read(path), Path(path).parent)
    except checker.Malformed as error:
        raise MalformedCertificate(str(error)) from None


def write_whole(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file completely or not at all.

    Parameters
    ----------
    path : path
    text : str

    Returns
    -------
    Path

    Raises
    ------
    UnreadableFile
        If the path is a folder or its folder does not exist.
    """
    file = Path(path)
    if not file.name or file.is_dir() or not file.parent.is_dir():
        raise UnreadableFile(f"cannot write {file}: name a file in a folder that exists")
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return file
