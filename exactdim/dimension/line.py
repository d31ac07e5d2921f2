"""The exact probability that random samples on a line miss the full functional dimension."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from fractions import Fraction

from exactdim.arith import modular
from exactdim.arith.matrix import QMatrix
from exactdim.arith.primes import random_prime
from exactdim.dimension.full import decisive_set
from exactdim.errors import TooLarge
from exactdim.nets.jacobian import Head, jacobian
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.complex import RegionComplex

__all__ = ["LineFailure"]

MAX_LINE_REGIONS = 12
"""Regions of a line up to which the failure probability is computed."""

MAX_POSITIONS = 4096
"""Choices of positions that are tried for one configuration of samples on a line."""


class LineFailure:
    """Which configurations of samples in the regions of a line have the largest rank.

    A configuration says for each region whether it holds no, one, or more samples. Sets of regions
    are bit masks: `ones` hold one sample each, `more` two or more.
    """

    def __init__(self, net: ReLUNetwork, head: Head, regions: RegionComplex, target: int) -> None:
        if len(regions) > MAX_LINE_REGIONS:
            raise TooLarge(
                f"the exact failure probability of {len(regions)} regions on a line is out of "
                f"reach; the limit is {MAX_LINE_REGIONS}. Use failure_bound, or a shorter interval"
            )
        self.target = target
        lengths = [region.volume for region in regions]
        shares = [length / sum(lengths) for length in lengths]
        self.total = math.lcm(*(share.denominator for share in shares))
        self.weights = [int(share * self.total) for share in shares]

        J = jacobian(net, decisive_set(regions), head=head)
        J = J * J.denominator
        rng = random.Random(0)
        self.prime = random_prime(62, rng)
        while len(columns := modular.pivots(J, self.prime)[1]) < target:
            self.prime = random_prime(62, rng)
        # The row space has dimension `target`: these columns, independent, tell its vectors apart.
        J = J[:, columns]
        self.outputs = J.shape[0] // (2 * len(regions))
        blocks = [
            J[[i * self.outputs + j for j in range(self.outputs)]] for i in range(2 * len(regions))
        ]
        # At the position t of a region its rows are start + t * step.
        self.starts = blocks[::2]
        self.steps = [b - a for a, b in zip(self.starts, blocks[1::2], strict=True)]
        self.positions = [rng.randrange(1 << 30) for _ in regions]
        self._ranks: dict[int, int] = {}
        self._known: dict[tuple[int, int], bool] = {}

    def failure(self, n: int) -> Fraction:
        """Return the probability that n samples have a rank below the target."""
        value = sum(
            coefficient * math.perm(n, k) * rate ** (n - k)
            for (rate, k), coefficient in self._failing(0, 0, 0).items()
            if k <= n
        )
        return Fraction(value, self.total**n)

    def _failing(self, i: int, ones: int, more: int) -> dict[tuple[int, int], int]:
        """Return the generating function of the failing ways to fill the regions from i on."""
        # Coefficients of t^k e^(rate t), by (rate, k), with masses as integers: a region of mass p
        # with no, one or more samples contributes 1, p t or e^(p t) - 1 - p t, and n! times the
        # coefficient of t^n in the product is the probability.
        rest = range(i, len(self.weights))
        if self.reaches(ones, more):
            return {}  # more samples never lower the rank
        if not self.reaches(ones, more | sum(1 << j for j in rest)):
            return {(sum(self.weights[j] for j in rest), 0): 1}
        bit, p = 1 << i, self.weights[i]
        out: defaultdict[tuple[int, int], int] = defaultdict(int)
        for (rate, k), c in self._failing(i + 1, ones, more).items():
            out[rate, k] += c
        for (rate, k), c in self._failing(i + 1, ones | bit, more).items():
            out[rate, k + 1] += p * c
        for (rate, k), c in self._failing(i + 1, ones, more | bit).items():
            out[rate + p, k] += c
            out[rate, k] -= c
            out[rate, k + 1] -= p * c
        return {key: c for key, c in out.items() if c}

    def reaches(self, ones: int, more: int) -> bool:
        """Return whether almost all samples of a configuration have the largest rank."""
        known = self._known.get((ones, more))
        if known is None:
            known = self._known[ones, more] = self._decide(ones, more)
        return known

    def _decide(self, ones: int, more: int) -> bool:
        singles = [i for i in range(len(self.weights)) if ones >> i & 1]
        here = self._rows(more, [(i, self.positions[i]) for i in singles])
        if modular.rank(here, self.prime) == self.target:
            return True  # one choice of positions shows it for almost all
        if any(self._at_most(more, singles, chosen) < self.target for chosen in _masks(singles)):
            return False
        return self._everywhere(more, singles)

    def _at_most(self, more: int, singles: list[int], chosen: int) -> int:
        """Bound the rank by giving some single samples company and counting the others' rows."""
        # With one output the least of these bounds is the rank at almost all positions (Rado's
        # theorem for subspaces; Lovasz 1977): one sample is a general vector of its region's span.
        rest = sum(min(self.outputs, self.rank(1 << i)) for i in singles if not chosen >> i & 1)
        return self.rank(more | chosen) + rest

    def _everywhere(self, more: int, singles: list[int]) -> bool:
        """Try so many positions that a minor, of degree at most d in each, cannot vanish at all."""
        tries = (self.outputs + 1) ** len(singles)
        if tries > MAX_POSITIONS:
            raise TooLarge(
                f"one configuration needs {tries} positions of its single samples; the limit is "
                f"{MAX_POSITIONS}. Use failure_bound, or a shorter interval"
            )
        for code in range(tries):
            at = [(i, code // (self.outputs + 1) ** j % (self.outputs + 1))
                  for j, i in enumerate(singles)]  # fmt: skip
            if self._rows(more, at).rank() == self.target:
                return True
        return False

    def rank(self, regions: int) -> int:
        """Return the rank of all rows of some regions, exactly."""
        found = self._ranks.get(regions)
        if found is None:
            found = self._ranks[regions] = self._rows(regions, []).rank()
        return found

    def _rows(self, more: int, single: list[tuple[int, int]]) -> QMatrix:
        everything = [i for i in range(len(self.weights)) if more >> i & 1]
        return QMatrix.vstack([
            QMatrix.zeros(0, self.starts[0].shape[1]),
            *(block for i in everything for block in (self.starts[i], self.steps[i])),
            *(self.starts[i] + self.steps[i] * t for i, t in single),
        ])


def _masks(members: list[int]) -> list[int]:
    """Return all subsets as bit masks."""
    out = [0]
    for i in members:
        out += [mask | 1 << i for mask in out]
    return out
