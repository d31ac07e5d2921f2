"""Certificates: claims about networks as JSON files that a stranger can check.

The format is described in ``proofs_checks/FORMAT.md``. A certificate restates the whole problem,
holds no float, and is checked by ``exactdim.evidence.checker``, which shares no code with the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from exactdim.errors import InvalidInput, MalformedCertificate, UnreadableFile
from exactdim.evidence import checker
from exactdim.evidence.checker import Verdict

__all__ = ["Certificate", "Verdict", "rationals", "spell", "verify", "write_whole"]

FORMAT, VERSION = "exactdim/certificate", 1

LONGEST_DECIMAL = 4000
"""Digits beyond which numbers are written in hexadecimal (Python refuses longer decimals)."""


class _Rational(Protocol):
    def tolist(self) -> list[list[Any]]: ...


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
    The checker is pure Python: 0.5 s for a minor of order 200, 4 s at 400, 35 s at 800.

    Examples
    --------
    >>> verify("no-such-file.json")
    Traceback (most recent call last):
    exactdim.errors.MalformedCertificate: cannot read no-such-file.json: No such file or directory
    """
    try:
        if isinstance(certificate, Certificate):
            return checker.check_text(certificate.to_json())
        if not isinstance(certificate, str | os.PathLike):
            raise InvalidInput(
                f"verify takes a Certificate or a path, not {type(certificate).__name__}"
            )
        return checker.check_file(os.fspath(certificate))
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


def rationals(matrix: _Rational) -> list[list[str]]:
    """Write a matrix of Fractions as rows of number strings.

    Parameters
    ----------
    matrix : QMatrix

    Returns
    -------
    list of list of str
    """
    return [[rational(x.numerator, x.denominator) for x in row] for row in matrix.tolist()]


def rational(numerator: int, denominator: int = 1) -> str:
    """Write one rational number, in hexadecimal if it is very long.

    Parameters
    ----------
    numerator, denominator : int

    Returns
    -------
    str
        Such as ``"-3"``, ``"2/3"`` or ``"0x1f/0x10"``.
    """
    text = _integer(numerator)
    return text if denominator == 1 else f"{text}/{_integer(denominator)}"


def spell(vector: Mapping[int, int]) -> dict[str, str]:
    """Write a sparse integer vector as JSON wants it.

    Parameters
    ----------
    vector : mapping of int to int

    Returns
    -------
    dict of str to str
    """
    return {str(j): _integer(x) for j, x in vector.items()}


def _integer(x: int) -> str:
    return str(x) if x.bit_length() < 3 * LONGEST_DECIMAL else hex(x)
