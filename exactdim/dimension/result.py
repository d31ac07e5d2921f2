"""The answer: a bracket with its evidence, and the word that says how much it is worth."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from exactdim.arith.matrix import QMatrix
from exactdim.dimension.bounds import Bound
from exactdim.dimension.lower import LowerEnd, complete_minor
from exactdim.errors import CertificateError, Undecided
from exactdim.evidence.certificate import Certificate
from exactdim.evidence.recheck import content_digest
from exactdim.evidence.spelling import inputs_of, layers_of, plural
from exactdim.nets.jacobian import Head, JacobianFactors
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import ActivationPattern, words_of

__all__ = ["Dimension", "Evidence", "Status", "check_ends"]

Status: TypeAlias = Literal["proved", "probable", "bracketed", "numeric"]


@dataclass(frozen=True)
class Evidence:
    """Everything that the answer rests on.

    Attributes
    ----------
    net : ReLUNetwork
    batch : QMatrix of shape (n, N_0)
        As given, before samples were dropped.
    pattern : ActivationPattern
    head : {"logits", "softmax"}
    lower : LowerEnd
    upper : Bound
        The smallest proved upper bound.
    primes : tuple of int
        The primes that were drawn, in order.
    seed : int or None
        The seed that replayed them; ``None`` if the operating system's entropy drew them.
    stopped : {"interrupted", "max_seconds"} or None
        What cut the work short, if anything did.
    generic : bool
        Whether this is about almost every parameter with the pattern, of which `net` is one that
        was drawn at random, and the minor is one of its formal Jacobian.
    """

    net: ReLUNetwork
    batch: QMatrix
    pattern: ActivationPattern
    head: Head
    lower: LowerEnd
    upper: Bound
    primes: tuple[int, ...]
    seed: int | None
    stopped: Literal["interrupted", "max_seconds"] | None
    generic: bool = False


@dataclass(frozen=True)
class Dimension:
    """The local dimension of a network at a batch, as far as it is proved.

    Attributes
    ----------
    lower, upper : int
        Proved ends: ``lower <= rank J <= upper``.
    n_parameters, n_rows : int
        P and n d, the shape of the Jacobian turned around.
    status : {"proved", "probable", "bracketed", "numeric"}
        ``proved``: the ends meet. ``probable``: they do not, and `failure_probability` bounds the
        probability, over the random primes, that `lower` is not the rank. ``bracketed``: neither.
        ``numeric``: a float said so (see `likely`).
    evidence : Evidence
    bounds : tuple of Bound
        All upper bounds that were computed, smallest first.
    failure_probability : float or None
        0 if proved; ``None`` where no theorem gives one.

    Notes
    -----
    ``int(d)`` and ``d.value`` work if the status is ``proved`` and raise `Undecided` otherwise; to
    compare with a number, write ``d.value == 3``.
    """

    lower: int
    upper: int
    n_parameters: int
    n_rows: int
    status: Status
    evidence: Evidence = field(repr=False)
    bounds: tuple[Bound, ...] = field(repr=False)
    failure_probability: float | None

    def __post_init__(self) -> None:
        check_ends(self.lower, self.upper)

    @property
    def value(self) -> int:
        """The rank, if it is proved."""
        if self.status != "proved":
            advice = (
                "its likely value is .likely"
                if self.status == "probable"
                else "give more time, or proof='full'"
            )
            raise Undecided(
                f"the rank is proved to lie in {self.lower}..{self.upper} only ({self.status}); "
                f"{advice}",
                self.lower,
                self.upper,
            )
        return self.lower

    @property
    def likely(self) -> int:
        """The rank if proved, else the value that the evidence favours; never a proof by itself."""
        return self.lower

    @property
    def formal(self) -> bool:
        """Whether samples lie on kinks, so that this is a claim about autodiff's formal mask."""
        return self.evidence.pattern.on_kink == "zero" and bool(self.evidence.pattern.kinks)

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def certificate(
        self,
        *,
        network: str | os.PathLike[str] | None = None,
        batch: str | os.PathLike[str] | None = None,
    ) -> Certificate:
        """Write the evidence down as a file that can be checked without exactdim.

        Parameters
        ----------
        network, batch : path, optional
            Name these files, with the digest of what they hold, instead of spelling the network or
            the batch out. They must be what the answer is about.

        Returns
        -------
        Certificate
            Of kind ``jacobian-rank`` if proved, ``rank-at-least`` otherwise.

        Raises
        ------
        CertificateError
            If nothing is proved (status ``numeric``), rows were added up to fit the memory, so
            that no minor is named, or this is the dimension of almost every parameter.

        Examples
        --------
        >>> import exactdim as ed
        >>> net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
        >>> ed.verify(ed.local_dimension(net, [[0], [1], [2]]).certificate())
        Verdict(accepted, jacobian-rank = 3)
        """
        if self.status == "numeric":
            raise CertificateError("a numeric rank has no certificate; ask for an exact one")
        if self.evidence.generic:
            raise CertificateError(
                "there is no certificate for almost every parameter of a pattern; the local "
                "dimension of a network has one"
            )
        e = self.evidence
        lower = self._minor()
        claim = {
            "kind": "jacobian-rank" if self.status == "proved" else "rank-at-least",
            "rank": self.lower,
            "head": e.head,
            "wrt": "parameters",
            "on_kink": e.pattern.on_kink,
        }
        layers, inputs = layers_of(e.net), inputs_of(e.batch)
        problem: dict[str, Any] = {
            **({"layers": layers} if network is None else {"network": _named(network, layers)}),
            **({"inputs": inputs} if batch is None else {"batch": _named(batch, inputs)}),
        }
        witness: dict[str, Any] = {
            "dropped": list(e.pattern.dropped),
            "patterns": _pattern_strings(e.pattern),
            "lower": {
                "modulus": str(lower.modulus),
                "rows": list(lower.rows or ()),
                "columns": list(lower.columns or ()),
            },
        }
        if self.status == "proved":
            witness["upper"] = {"reason": e.upper.name, **e.upper.witness}
        return Certificate.seal(claim, problem, witness)

    def _minor(self) -> LowerEnd:
        """Complete the independent rows or columns to a minor, where only one side is known."""
        e = self.evidence
        if e.lower.rows is None and e.lower.columns is None:
            raise CertificateError(
                "rows were added up at random to fit the memory, which proves the rank but names "
                "no minor; take fewer samples for a certificate"
            )
        return complete_minor(
            JacobianFactors(e.net, e.pattern.select(e.batch), e.pattern, e.head), e.lower
        )

    def __repr__(self) -> str:
        return f"Dimension({self})"

    def __str__(self) -> str:
        number = str(self.lower) if self.lower == self.upper else f"{self.lower}..{self.upper}"
        what = f"{number} of {self.n_parameters} parameters"
        if self.evidence.head == "softmax":
            what += ", softmax"
        if self.status == "proved":
            reason = "full row rank" if self.lower == self.n_rows else self.evidence.upper.name
            what += f", proved: {reason}"
        elif self.status == "probable":
            what += f", probably {self.likely}: wrong with probability below "
            what += f"{self.failure_probability:.1e}"
        else:
            what += f", {self.status}"
        if self.formal:
            what += f"; formal, {plural(len(self.evidence.pattern.kinks), 'kink')} counted as off"
        if self.evidence.pattern.dropped:
            what += f"; {plural(len(self.evidence.pattern.dropped), 'sample')} on kinks dropped"
        if self.evidence.generic:
            what += "; at almost every parameter of the pattern"
        if self.evidence.stopped and self.status != "proved":
            what += "; stopped early"
        return what


def check_ends(lower: int, upper: int) -> None:
    """Fail loudly where two proofs contradict each other.

    Parameters
    ----------
    lower, upper : int

    Raises
    ------
    AssertionError
        If the lower end is above the upper end: a bug, never an answer.
    """
    if lower > upper:
        raise AssertionError(
            f"a proved lower end {lower} above a proved upper end {upper}: a bug in exactdim, "
            "please report it with the network and the batch"
        )


def _named(path: str | os.PathLike[str], contents: list[Any]) -> dict[str, str]:
    return {"file": Path(path).as_posix(), "sha256": content_digest(contents)}


def _pattern_strings(pattern: ActivationPattern) -> list[list[str]]:
    """Per kept sample and hidden layer, a word of 0 and 1."""
    words = [words_of(layer) for layer in pattern.layers]
    n = pattern.n_samples - len(pattern.dropped)
    return [[layer[i] for layer in words] for i in range(n)]
