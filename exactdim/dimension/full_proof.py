"""Certificates of the full functional dimension, for the independent checker.

The layout is described in ``proofs_checks/FORMAT.md``, the theorem (T48) in
``proofs_checks/STATEMENTS.md``.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from exactdim.arith.primes import random_prime
from exactdim.dimension.bounds import Bound
from exactdim.dimension.closing import LARGEST_WITNESS, KernelProof
from exactdim.dimension.local import local_dimension
from exactdim.errors import CertificateError
from exactdim.evidence.certificate import Certificate
from exactdim.nets.jacobian import JacobianFactors

if TYPE_CHECKING:
    from exactdim.dimension.full import FullDimension

__all__ = ["full_certificate"]

PRIME_BITS = 62
"""Width of the primes that propose kernel vectors."""


def full_certificate(found: FullDimension) -> Certificate:
    """Certify the largest rank over all batches, as far as it is proved.

    Parameters
    ----------
    found : FullDimension

    Returns
    -------
    Certificate
        Of kind ``full-dimension`` if it is proved, else ``rank-at-least``.

    Raises
    ------
    CertificateError
        If the witness would be too large for the checker.

    Notes
    -----
    One local dimension, at the small set of points; where parameters less symmetries are not the
    answer, also a kernel over the rationals and the certificate that no region is missing.
    """
    attained = _attained(found)
    claim = {**attained.claim, "kind": "rank-at-least"}
    witness = {key: attained.witness[key] for key in ("dropped", "patterns", "lower")}
    if found.status == "proved":
        claim["kind"] = "full-dimension"
        witness["upper"] = _upper_end(found)
    return Certificate.seal(claim, attained.problem, witness)


def _attained(found: FullDimension) -> Certificate:
    """Certify the rank at the small set of points; another prime is drawn after an unlucky one."""
    evidence = found.dimension.evidence
    while True:
        here = local_dimension(evidence.net, found.points, head=evidence.head, proof="fast")
        if here.lower >= found.lower:
            return here.certificate()


def _upper_end(found: FullDimension) -> dict[str, Any]:
    # Other structural bounds hold for one batch only.
    if any(b.name == "parameters" and b.value == found.upper for b in found.dimension.bounds):
        return {"reason": "parameters"}
    listed = found.regions.certificate().witness["regions"]
    return {"reason": "regions", "regions": listed, "vectors": _kernel(found)}


def _kernel(found: FullDimension) -> list[dict[str, Any]]:
    """Return independent vectors, as many as the rank leaves, on which all regions' rows vanish."""
    e = found.dimension.evidence
    factors = JacobianFactors(e.net, e.batch, e.pattern, e.head)
    bound: Bound | None = None
    while bound is None:  # the prime was unlucky
        p = random_prime(PRIME_BITS, random.SystemRandom())
        proof = _ColumnKernel(factors, found.upper, p)
        if proof.witness_bytes > LARGEST_WITNESS:
            raise CertificateError(
                f"the vectors that prove the upper end would take {proof.witness_bytes} bytes, and "
                f"{LARGEST_WITNESS} is the limit; take a narrower network or shorter numbers"
            )
        bound = proof.run(None)
    vectors: list[dict[str, Any]] = bound.witness["vectors"]
    return vectors


class _ColumnKernel(KernelProof):
    """Kernel vectors of the columns, even where those of the rows are fewer."""

    side = "columns"
