"""Primes drawn at random, how many there are, and what one random prime can miss.

A rank modulo a prime is a lower bound of the rank over the rationals whatever the prime is. Only
the statement "it is probably the rank" needs a coin, and the coin must be real: primes come from
the operating system's entropy unless the caller replays a recorded run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from fractions import Fraction

from flint import fmpz

from exactdim.errors import InvalidInput

__all__ = [
    "MAX_BITS",
    "MIN_BITS",
    "descending_primes",
    "failure_probability",
    "is_prime",
    "prime_count",
    "random_prime",
]

MIN_BITS, MAX_BITS = 4, 62
"""Widths that `random_prime` offers; FLINT's word-size matrices want moduli below 2**63."""

# Number of primes up to 2**k for k = 3, ..., 62 (OEIS A007053).
_PRIMES_BELOW_POWER_OF_TWO = (
    4, 6, 11, 18, 31, 54, 97, 172, 309, 564, 1028, 1900, 3512, 6542, 12251, 23000, 43390, 82025,
    155611, 295947, 564163, 1077871, 2063689, 3957809, 7603553, 14630843, 28192750, 54400028,
    105097565, 203280221, 393615806, 762939111, 1480206279, 2874398515, 5586502348, 10866266172,
    21151907950, 41203088796, 80316571436, 156661034233, 305761713237, 597116381732,
    1166746786182, 2280998753949, 4461632979717, 8731188863470, 17094432576778, 33483379603407,
    65612899915304, 128625503610475, 252252704148404, 494890204904784, 971269945245201,
    1906879381028850, 3745011184713964, 7357400267843990, 14458792895301660, 28423094496953330,
    55890484045084135, 109932807585469973,
)  # fmt: skip


def is_prime(n: int) -> bool:
    """Decide whether an integer is prime.

    Parameters
    ----------
    n : int

    Returns
    -------
    bool

    Examples
    --------
    >>> is_prime(2**61 - 1), is_prime(2**61 + 1), is_prime(1)
    (True, False, False)
    """
    return n > 1 and bool(fmpz(n).is_prime())


def prime_count(bits: int) -> int:
    """Count the primes p with ``2**(bits - 1) < p < 2**bits``, exactly.

    Parameters
    ----------
    bits : int
        From `MIN_BITS` to `MAX_BITS`.

    Returns
    -------
    int

    Examples
    --------
    >>> prime_count(4), prime_count(31)  # 11 and 13; fifty million
    (2, 50697537)
    """
    _check_bits(bits)
    return _PRIMES_BELOW_POWER_OF_TWO[bits - 3] - _PRIMES_BELOW_POWER_OF_TWO[bits - 4]


def random_prime(bits: int = 62, rng: random.Random | None = None) -> int:
    """Draw a prime uniformly among all primes of a given width.

    Parameters
    ----------
    bits : int
        From `MIN_BITS` to `MAX_BITS`; the prime lies between ``2**(bits - 1)`` and ``2**bits``.
    rng : random.Random, optional
        Source of randomness; the operating system's entropy by default. A generator whose seed
        depends on the matrix voids `failure_probability`.

    Returns
    -------
    int

    Examples
    --------
    >>> random_prime(31).bit_length()
    31
    """
    _check_bits(bits)
    rng = rng or random.SystemRandom()
    while True:
        candidate = rng.getrandbits(bits - 1) | (1 << (bits - 1))
        if is_prime(candidate):
            return candidate


def descending_primes(below: int = 2**62) -> Iterator[int]:
    """Yield primes in descending order; for proofs that need distinct primes, not random ones.

    Parameters
    ----------
    below : int

    Yields
    ------
    int

    Examples
    --------
    >>> next(descending_primes(2**31))
    2147483647
    """
    candidate = below - 1
    while candidate > 1:
        if is_prime(candidate):
            yield candidate
        candidate -= 1


def failure_probability(log2_height: int, bits: int, *, gram_rank: int = 0) -> float:
    """Bound the probability that the rank modulo one random prime is not the rank.

    Parameters
    ----------
    log2_height : int
        Base-2 logarithm, rounded up, of a bound on every minor of the integer matrix whose order
        is at most the rank (Hadamard's bound at the upper end of a proved bracket).
    bits : int
        Width of the prime, which was drawn uniformly by `random_prime`.
    gram_rank : int
        Upper bound of the rank if a randomly weighted Gram matrix was used (T24); 0 if the
        rank of the matrix itself was computed.

    Returns
    -------
    float
        At most 1, rounded upwards.

    Notes
    -----
    T26. A nonzero minor of at most ``log2_height`` bits has at most
    ``log2_height / (bits - 1)`` prime divisors of that width. For several independent primes the
    probability that *all* of them miss the rank is at most the product.

    Examples
    --------
    >>> failure_probability(28176, 31), failure_probability(28176, 62)
    (1.85...e-05, 8.5...e-15)
    """
    bad = log2_height // (bits - 1)
    bound = Fraction(bad, prime_count(bits)) + Fraction(2 * gram_rank, 2 ** (bits - 1))
    return 1.0 if bound >= 1 else math.nextafter(float(bound), 1.0) if bound else 0.0


def _check_bits(bits: int) -> None:
    if not MIN_BITS <= bits <= MAX_BITS:
        raise InvalidInput(f"primes of {bits} bits are not offered; choose {MIN_BITS}..{MAX_BITS}")
