"""Every error of exactdim, grouped by the reason why there is no answer.

Each class is also the builtin that an ordinary handler expects. Internal consistency checks raise
plain ``AssertionError`` and mean a bug in exactdim.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BudgetExceeded",
    "CertificateError",
    "DenominatorDivisible",
    "ExactDimError",
    "InvalidInput",
    "MalformedCertificate",
    "MissingDependency",
    "NotFinite",
    "OnKink",
    "ShapeMismatch",
    "TooLarge",
    "Undecided",
    "UnreadableFile",
    "UnsupportedLayer",
]


class ExactDimError(Exception):
    """Root of every error that exactdim raises on purpose."""


class InvalidInput(ExactDimError, ValueError):
    """What was given cannot be used."""


class ShapeMismatch(InvalidInput):
    """Two shapes that must agree do not; the message names both."""


class NotFinite(InvalidInput):
    """A NaN or an infinity, which is no rational number; the message names its index."""


class DenominatorDivisible(InvalidInput):
    """The modulus divides a denominator, so the number has no residue; draw another prime."""


class UnreadableFile(InvalidInput):
    """A file is missing, truncated, of an unknown kind, or would need unpickling."""


class UnsupportedLayer(InvalidInput, TypeError):
    """A torch module holds a layer that is not part of a ReLU network as defined here."""


class OnKink(InvalidInput):
    """A hidden pre-activation is exactly zero at a sample, so there is no Jacobian there.

    Parameters
    ----------
    message : str
        What, where and what to do.
    kinks : sequence of (int, int, int)
        Triples ``(sample, layer, unit)``, zero-based.

    Attributes
    ----------
    kinks : tuple of (int, int, int)
    """

    def __init__(self, message: str, kinks: Sequence[tuple[int, int, int]]) -> None:
        super().__init__(message)
        self.kinks = tuple(kinks)

    def __reduce__(self) -> tuple[type[OnKink], tuple[str, tuple[tuple[int, int, int], ...]]]:
        return type(self), (str(self), self.kinks)


class TooLarge(ExactDimError, RuntimeError):
    """The exact method would need more memory than its stated limit."""


class BudgetExceeded(ExactDimError, RuntimeError):
    """A limit set by the caller was reached before the answer.

    Parameters
    ----------
    message : str
        Which limit, what is known so far, and how to go on.
    at_least : int
        What is known: there are at least so many.

    Attributes
    ----------
    at_least : int
    """

    def __init__(self, message: str, at_least: int) -> None:
        super().__init__(message)
        self.at_least = at_least

    def __reduce__(self) -> tuple[type[BudgetExceeded], tuple[str, int]]:
        return type(self), (str(self), self.at_least)


class Undecided(ExactDimError, RuntimeError):
    """The question is open: the proved lower and upper ends do not meet.

    Parameters
    ----------
    message : str
        The bracket and how to close it.
    lower, upper : int
        The proved ends.

    Attributes
    ----------
    lower, upper : int
    """

    def __init__(self, message: str, lower: int, upper: int) -> None:
        super().__init__(message)
        self.lower = lower
        self.upper = upper

    def __reduce__(self) -> tuple[type[Undecided], tuple[str, int, int]]:
        return type(self), (str(self), self.lower, self.upper)


class CertificateError(ExactDimError):
    """Something is wrong with a certificate, or none can be written."""


class MalformedCertificate(CertificateError, ValueError):
    """A certificate file is not one: truncated, not JSON, oversized, or of another format."""


class MissingDependency(ExactDimError, ImportError):
    """An optional package is needed; the message gives the command that installs it."""
