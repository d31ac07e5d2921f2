"""The full functional dimension by random samples, and how often that fails (T12)."""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Context, Decimal
from fractions import Fraction
from functools import cached_property
from typing import Literal

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import Number, is_whole, to_fraction
from exactdim.dimension.full import decisive_set
from exactdim.dimension.laws import Distribution, Law, as_law, lost_to_the_grid
from exactdim.dimension.line import LineFailure
from exactdim.dimension.local import ProofEffort, local_dimension
from exactdim.dimension.result import Dimension
from exactdim.errors import BudgetExceeded, InvalidInput, OnKink, TooLarge
from exactdim.evidence.spelling import plural
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import Head
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.complex import RegionComplex, activation_regions
from exactdim.regions.domain import Domain

__all__ = ["SampledDimension", "binomial_tail", "sample_dimension"]

LONG_BITS = 1 << 14
"""Bits of a denominator up to which a probability is given exactly."""

SHORT_BITS = 64
"""Significant bits to which a long probability is rounded down before powers of it are taken."""


@dataclass(frozen=True)
class SampledDimension:
    """The local dimension at random samples, and how likely it is to miss the largest one.

    Attributes
    ----------
    dimension : Dimension
        The local dimension at the samples: a lower bound of the full dimension, nothing more.
    points : QMatrix of shape (n, N_0)
        The samples as drawn, those on kinks too; ``dimension.evidence.pattern.dropped`` names them.
    law : {"uniform", "normal", "function"}
    regions : RegionComplex or None
        The activation regions where samples can fall, if they were enumerated.
    full : Dimension or None
        r*, the largest local dimension over all batches in the domain of the law, from `regions`.
    smallest_mass : Fraction or None
        The smallest mass among enough regions for r*: a choice of regions, heaviest first, whose
        rows together reach r*. Exact for a box, a lower bound for the normal law; otherwise what
        the caller said.
    chance : Fraction or None
        Lower bound of the probability that one more draw raises the rank while it is below r*: the
        same mass, less what the grid of the points that are drawn can take away.

    Notes
    -----
    All probabilities are about the draws before they are made. With a seed the draws are what they
    are, and the numbers say how a seed chosen by chance would do.
    """

    dimension: Dimension
    points: QMatrix = field(repr=False)
    law: Literal["uniform", "normal", "function"]
    regions: RegionComplex | None = field(repr=False)
    full: Dimension | None
    smallest_mass: Fraction | None
    chance: Fraction | None

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.points.shape[0]

    @property
    def upper(self) -> int:
        """Proved upper end of r*: from the regions, or P - H (T7) if they are not known."""
        net = self.dimension.evidence.net
        return net.n_parameters - net.n_hidden if self.full is None else self.full.upper

    @property
    def reached(self) -> bool | None:
        """Whether these samples have the largest dimension; None if that is not proved."""
        if self.dimension.lower == self.upper:
            return True
        missed = self.full is not None and self.dimension.upper < self.full.lower
        return False if missed else None

    @cached_property
    def failure_bound(self) -> Fraction | None:
        """Upper bound of the probability that n draws have a rank below r*; None if there is none.

        T12: ``P(Bin(n, chance) < r*)``. It decreases in the chance and increases in r*, so that
        `upper` may stand for r*, and a chance with a long denominator is rounded down.
        """
        if self.chance is None:
            return None
        return _rounded_up(*_tail(self.n, _rounded_down(self.chance), self.upper))

    @property
    def expected_samples(self) -> Fraction | None:
        """Upper bound ``r* / chance`` of the mean number of draws until the rank is r*."""
        return Fraction(self.upper) / self.chance if self.chance else None

    def samples_for(self, failure: Number) -> int:
        """Return how many samples the bound asks for, to miss r* with at most a given probability.

        Parameters
        ----------
        failure : Number
            Between 0 and 1.

        Returns
        -------
        int
            The least n with ``P(Bin(n, chance) < r*) <= failure``. Fewer may do.

        Raises
        ------
        InvalidInput
            If the chance of a draw is not known, or `failure` is no probability.
        """
        limit = to_fraction(failure, where=" as failure")
        if not 0 < limit <= 1:
            raise InvalidInput(f"failure={failure} is no probability above 0")
        if not self.chance:
            raise InvalidInput("no bound of the chance of a draw is known; give a box as the law")
        chance = _rounded_down(self.chance)

        def enough(n: int) -> bool:
            tail, whole = _tail(n, chance, self.upper)
            return tail * limit.denominator <= limit.numerator * whole

        high = max(self.upper, 1)
        while not enough(high):
            high *= 2
        return bisect_left(range(high), True, key=enough)

    @cached_property
    def failure_probability(self) -> Fraction | None:
        """The probability itself that n draws have a rank below r*, exactly.

        It is that of the continuous uniform law on an interval; None for any other law.

        Raises
        ------
        TooLarge
            If there are more than 12 regions, or more positions to try than 4096.
        Undecided
            If r* is not proved; ask with ``proof="full"``.

        Notes
        -----
        Two points of a region of a line span the rows of all. So only whether a region holds no,
        one, or more of the samples matters, apart from positions of probability zero.
        Exponential in the number of regions.
        """
        if self.law != "uniform" or self.regions is None or self.full is None:
            return None
        if self.regions.dimension != 1:
            return None
        e = self.dimension.evidence
        return LineFailure(e.net, e.head, self.regions, self.full.value).failure(self.n)

    def __repr__(self) -> str:
        text = f"{self.dimension}, at {plural(self.n, 'sample')}; "
        if self.full is None:
            text += f"full dimension at most {self.upper}"
        elif self.full.lower == self.full.upper:
            text += f"full dimension {self.full.upper}"
        else:
            text += f"full dimension in {self.full.lower}..{self.full.upper}"
        if self.failure_bound is not None:
            text += f", missed with probability at most {_spelled_up(self.failure_bound)}"
            if self.law == "function" or self.regions is None:
                text += f" if the masses are at least {self.smallest_mass}, as said"
        return f"SampledDimension({text})"


def sample_dimension(
    net: NetworkLike,
    distribution: Distribution,
    n: int,
    *,
    head: Head = "logits",
    proof: ProofEffort = "auto",
    seed: int | None = None,
    smallest_mass: Number | None = None,
    regions: RegionComplex | None = None,
    max_regions: int | None = None,
    max_seconds: float | None = None,
) -> SampledDimension:
    """Estimate the full functional dimension by random samples, with its failure probability.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    distribution : box, "normal", or callable
        A bounded box as `activation_regions` takes it (``(lo, hi)``, one pair per input, or a
        `Domain`, also a flat) means the uniform law on it. ``"normal"`` means independent
        standard normal coordinates. A callable gets a `random.Random` and n and returns a batch of
        n samples, drawn independently from any law.
    n : int
        Number of samples.
    head : {"logits", "softmax"}
    proof : {"fast", "auto", "full"}
        How hard to close a gap between the proved ends, see `local_dimension`.
    seed : int, optional
        Replays the draws and primes of an earlier run; the operating system's entropy by default.
    smallest_mass : Number, optional
        A number that the probability of a draw in any one activation region of positive mass, off
        any one hyperplane, is never below. It is believed, and used where such a number
        is not computed: for a callable, and where the regions are too many.
    regions : RegionComplex, optional
        The activation regions of this network in the box, if they are known already. With a
        callable: in any domain, not a flat, that holds all its samples.
    max_regions, max_seconds : optional
        Limits of the enumeration of the regions. Beyond them the largest dimension stays unknown.

    Returns
    -------
    SampledDimension

    Raises
    ------
    InvalidInput
        If an argument is not understood, or (`OnKink`) a neuron vanishes identically on a region
        though nearby parameters make it positive there; or all samples are on kinks.
    ShapeMismatch
        If the callable returns another number of samples, or of coordinates.

    Notes
    -----
    Source: arXiv 2402.08269 (sampling "computable full functional dimension"); T12. If
    the rank is below r*, some region has points with rows outside the span so far, and all of it
    but a proper affine subspace has. So a draw raises the rank with at least the mass of
    that region, whatever was drawn before. Convergence is exponential, but at the rate of the
    smallest region that is needed, which may be tiny: the sampled dimension is only a lower bound.

    Coordinates are drawn with 64 random bits, and the bound is for the points that are really
    drawn. Samples on kinks are dropped, which counts as a draw that raises nothing.

    Examples
    --------
    >>> import exactdim as ed
    >>> net = ed.ReLUNetwork([[[2]], [[3]]], [["-1/5"], [5]])  # bends at 1/10
    >>> found = sample_dimension(net, (0, 1), 50, seed=1)
    >>> found
    SampledDimension(3 of 4 parameters, proved: parameters, at 50 samples; full dimension 3,
        missed with probability at most 0.1118)
    >>> found.failure_probability == Fraction(9**50 + 1 + 50 * 9, 10**50)
    True
    """
    net = as_network(net)
    law = as_law(distribution, net.widths[0])
    if not is_whole(n) or n < 1:
        raise InvalidInput(f"n={n} is no number of samples; give 1 or more")
    count = int(n)
    mass = None if smallest_mass is None else to_fraction(smallest_mass, where=" as smallest_mass")
    if mass is not None and not 0 < mass <= 1:
        raise InvalidInput(f"smallest_mass={mass} is no probability above 0")
    if regions is not None:
        _check_regions(regions, net, law)
    elif law.domain is not None:
        try:
            regions = activation_regions(
                net, law.domain, max_regions=max_regions, max_seconds=max_seconds
            )
        except (BudgetExceeded, TooLarge):
            regions = None
    points = law.draw(random.SystemRandom() if seed is None else random.Random(seed), count)
    full, chance = None, mass
    if regions is not None:
        if law.domain is None:
            _check_inside(points, regions.domain)
            full = _largest(net, decisive_set(regions), head, proof, seed)
        else:
            full, mass, chance = _largest_and_chance(net, law, regions, head, proof, seed)
    return SampledDimension(
        local_dimension(net, points, head=head, proof=proof, on_kink="drop", seed=seed),
        points,
        law.name,
        regions,
        full,
        mass,
        chance,
    )


def _largest(
    net: ReLUNetwork, decisive: QMatrix, head: Head, proof: ProofEffort, seed: int | None
) -> Dimension:
    try:
        return local_dimension(net, decisive, head=head, proof=proof, seed=seed)
    except OnKink as error:
        _, layer, unit = error.kinks[0]
        raise OnKink(
            f"unit {unit} of layer {layer} is identically zero on an activation region, but not "
            "for nearby parameters: the network has no Jacobian there. Change its bias",
            error.kinks,
        ) from None


def _largest_and_chance(
    net: ReLUNetwork,
    law: Law,
    regions: RegionComplex,
    head: Head,
    proof: ProofEffort,
    seed: int | None,
) -> tuple[Dimension, Fraction, Fraction]:
    """Return r*, the smallest mass among enough regions for it, and the chance of a draw."""
    each = regions.dimension + 1
    masses = [law.mass(region) for region in regions]
    chances = [
        mass - lost_to_the_grid(region) for mass, region in zip(masses, regions, strict=True)
    ]
    order = sorted(range(len(regions)), key=lambda i: -chances[i])
    decisive = decisive_set(regions)[[i * each + j for i in order for j in range(each)]]
    full = _largest(net, decisive, head, proof, seed)
    # Independent rows are found from first to last: the lightest region with one is as heavy as
    # possible. If rows outside the span so far exist at all, then in one of these regions.
    rows = full.evidence.lower.rows
    matter = order
    if rows and full.lower == full.upper:
        samples = full.n_rows // decisive.shape[0] * each
        matter = [order[place] for place in sorted({row // samples for row in rows})]
    return (
        full,
        min(masses[i] for i in matter),
        max(min(chances[i] for i in matter), Fraction(0)),
    )


def _check_regions(regions: RegionComplex, net: ReLUNetwork, law: Law) -> None:
    if regions.nets != (net,):
        raise InvalidInput("the regions are those of another network")
    if law.domain is not None and regions.domain != law.domain:
        raise InvalidInput(f"the regions are in {regions.domain}; the samples in {law.domain}")
    if law.domain is None and regions.domain.directions is not None:
        raise InvalidInput("the regions are in a flat; give those of a domain of full dimension")


def _check_inside(points: QMatrix, domain: Domain) -> None:
    for i, point in enumerate(points):
        if not domain.contains(point):
            raise InvalidInput(f"sample {i} lies outside {domain}, where the regions are")


def binomial_tail(n: int, p: Fraction, r: int) -> Fraction:
    """Compute the probability of fewer than r successes in n independent trials, exactly.

    Parameters
    ----------
    n : int
        Number of trials.
    p : Fraction
        Probability of one success.
    r : int

    Returns
    -------
    Fraction
        Decreasing in p, increasing in r.

    Notes
    -----
    r terms, each from the one before, in integers of n times the length of p.

    Examples
    --------
    >>> binomial_tail(3, Fraction(1, 2), 2)
    Fraction(1, 2)
    """
    return Fraction(*_tail(n, p, r))


def _tail(n: int, p: Fraction, r: int) -> tuple[int, int]:
    """Return numerator and denominator of the tail, not in lowest terms."""
    if r > n:
        return 1, 1
    success, total = p.numerator, p.denominator
    failure = total - success
    if r <= 0 or not failure:
        return 0, 1
    term = tail = failure**n
    for k in range(1, r):
        term = term * ((n - k + 1) * success) // (k * failure)  # exact: C(n, k) s^k f^(n - k)
        tail += term
    return tail, total**n


def _rounded_up(numerator: int, denominator: int) -> Fraction:
    """Return a fraction, or if its numbers are very long one a little above it with short ones."""
    if denominator.bit_length() <= LONG_BITS:
        return Fraction(numerator, denominator)
    shift = denominator.bit_length() - numerator.bit_length() + SHORT_BITS
    return Fraction(-((-numerator << shift) // denominator), 1 << shift)


def _rounded_down(p: Fraction) -> Fraction:
    """Shorten a probability with a long denominator to a dyadic number not above it."""
    if p.denominator.bit_length() <= SHORT_BITS or not p:
        return p
    bits = SHORT_BITS + p.denominator.bit_length() - p.numerator.bit_length()
    return Fraction((p.numerator << bits) // p.denominator, 1 << bits)


def _spelled_up(p: Fraction) -> str:
    up = Context(prec=4, rounding=ROUND_CEILING, Emin=MIN_EMIN, Emax=MAX_EMAX)
    return str(up.divide(Decimal(p.numerator), Decimal(p.denominator))).lower()
