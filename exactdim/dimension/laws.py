"""Laws from which samples are drawn, and the mass that they give to an activation region.

The uniform and the normal law send each cell of a regular grid with m = 2^64 steps per axis to one
point, by an increasing map per axis: equal spacing in a box, the quantiles for the normal law. What
follows is about the points that are really drawn, not about an idealised law.

* A hyperplane contains at most m^(d-1) of the m^d points: where its normal has a nonzero
  coordinate, that coordinate of a point is determined by the others.
* A hyperplane cuts at most m^d - (m-1)^d <= d m^(d-1) cells: turn the axes so that its normal has
  no negative coordinate; then it cuts at most one cell of each diagonal (c, c + 1, c + 2, ...),
  along which the form increases from cell to cell, and there are as many diagonals as first cells,
  those with a coordinate 0. A cell that is not cut has its point on the side where it lies.
* So the points strictly inside a region with F facets within the domain, off any one hyperplane,
  are at least a share of its mass minus (F d + 1) / m. Walls of a box lie between cells.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, TypeAlias

from flint import arb, ctx, fmpq

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, ShapeMismatch
from exactdim.nets.network import as_batch
from exactdim.regions.domain import Domain, DomainLike, as_domain
from exactdim.regions.region import Region

__all__ = ["Distribution", "Law", "as_law", "lost_to_the_grid"]

Distribution: TypeAlias = DomainLike | Callable[[random.Random, int], ArrayLike]
"""A bounded box, ``"normal"``, or a function that draws a batch."""

GRID_BITS = 64
"""Random bits of a coordinate; ``m = 2**GRID_BITS`` points per axis."""


class Law(Protocol):
    """Where samples fall, and with which probability."""

    @property
    def name(self) -> Literal["uniform", "normal", "function"]:
        """Which kind of law it is."""

    @property
    def domain(self) -> Domain | None:
        """The points that can be drawn; None if that is not known."""

    def draw(self, rng: random.Random, n: int) -> QMatrix:
        """Draw n samples, in input coordinates."""

    def mass(self, region: Region) -> Fraction:
        """Return the probability of a region of the domain, or a lower bound of it."""


@dataclass(frozen=True)
class _Uniform:
    domain: Domain
    sides: Sequence[tuple[Fraction, Fraction]]
    name: Literal["uniform"] = "uniform"

    def draw(self, rng: random.Random, n: int) -> QMatrix:
        points = [
            [lo + (hi - lo) * _middle(rng.getrandbits(GRID_BITS)) for lo, hi in self.sides]
            for _ in range(n)
        ]
        return self.domain.to_inputs(QMatrix(points))

    def mass(self, region: Region) -> Fraction:
        return region.volume / math.prod(hi - lo for lo, hi in self.sides)


@dataclass(frozen=True)
class _Normal:
    domain: Domain
    name: Literal["normal"] = "normal"

    def draw(self, rng: random.Random, n: int) -> QMatrix:
        d = self.domain.dimension
        return QMatrix([
            [_normal_quantile(rng.getrandbits(GRID_BITS)) for _ in range(d)] for _ in range(n)
        ])

    def mass(self, region: Region) -> Fraction:
        """Bound it from below by that of a box inside; in one dimension the box is the region."""
        return math.prod((_normal_mass(*side) for side in _box_inside(region)), start=Fraction(1))


@dataclass(frozen=True)
class _Function:
    function: Callable[[random.Random, int], ArrayLike]
    n_inputs: int
    domain: None = None
    name: Literal["function"] = "function"

    def draw(self, rng: random.Random, n: int) -> QMatrix:
        points = as_batch(self.function(rng, n), self.n_inputs)
        if points.shape[0] != n:
            raise ShapeMismatch(f"the distribution gave {points.shape[0]} samples instead of {n}")
        return points

    def mass(self, region: Region) -> Fraction:
        raise AssertionError("the masses of an unknown law are unknown")


def as_law(distribution: Distribution, n_inputs: int) -> Law:
    """Read a law for samples of so many coordinates.

    Parameters
    ----------
    distribution : box, "normal", or callable
        As for `exactdim.sample_dimension`.
    n_inputs : int

    Returns
    -------
    Law

    Raises
    ------
    InvalidInput
        If it is none of these.
    """
    if callable(distribution):
        return _Function(distribution, n_inputs)
    if isinstance(distribution, str):
        if distribution != "normal":
            raise InvalidInput(
                f"distribution={distribution!r} is unknown; give a box, 'normal' or a function"
            )
        return _Normal(Domain.everywhere(n_inputs))
    domain = as_domain(distribution, n_inputs)
    return _Uniform(domain, _sides(domain))


def _sides(domain: Domain) -> list[tuple[Fraction, Fraction]]:
    """Return the sides of a bounded box, however its inequalities are written."""
    low: dict[int, Fraction] = {}
    high: dict[int, Fraction] = {}
    for *gradient, constant in domain.inequalities.tolist():
        axes = [i for i, g in enumerate(gradient) if g]
        if len(axes) > 1:
            raise InvalidInput(f"{domain} is no box; give a box, 'normal' or a function")
        for i in axes:
            bound = -constant / gradient[i]
            if gradient[i] > 0:
                low[i] = max(bound, low.get(i, bound))
            else:
                high[i] = min(bound, high.get(i, bound))
    if not len(low) == len(high) == domain.dimension:
        raise InvalidInput(f"there is no uniform law on {domain}; give a bounded box, or 'normal'")
    if any(low[i] >= high[i] for i in low):
        raise InvalidInput(f"{domain} has no interior")
    return [(low[i], high[i]) for i in range(domain.dimension)]


def _middle(cell: int) -> Fraction:
    return Fraction(2 * cell + 1, 2 << GRID_BITS)


def _normal_quantile(cell: int) -> Fraction:
    """Return a number whose normal probability lies inside a cell of [0, 1]."""
    u = 2 * _middle(cell) - 1
    with ctx.workprec(4 * GRID_BITS):
        center = arb(2).sqrt() * arb(fmpq(u.numerator, u.denominator)).erfinv()
        # 2.5 / m is the least distance of quantiles: a few more bits are enough.
        x = Fraction(round(_exactly(center.mid()) * (64 << GRID_BITS)), 64 << GRID_BITS)
        left, right = _exactly(_phi(x).lower()), _exactly(_phi(x).upper())
    if not cell < left * (1 << GRID_BITS) <= right * (1 << GRID_BITS) < cell + 1:
        raise AssertionError(f"the quantile of cell {cell} is not precise enough: a bug, report it")
    return x


def _phi(x: Fraction) -> arb:
    """Enclose the probability that a standard normal number is below x."""
    return (-arb(fmpq(x.numerator, x.denominator)) / arb(2).sqrt()).erfc() / 2


def _normal_mass(lower: Fraction | None, upper: Fraction | None) -> Fraction:
    """Return a lower bound of the normal probability of an interval; None is infinite."""
    with ctx.workprec(4 * GRID_BITS):
        left = arb(0) if lower is None else _phi(lower)
        right = arb(1) if upper is None else _phi(upper)
        return max(_exactly((right - left).lower()), Fraction(0))


def _exactly(x: arb) -> Fraction:
    """Return the value of an arb that is one number."""
    mantissa, exponent = x.man_exp()
    return int(mantissa) * Fraction(2) ** int(exponent)


def _box_inside(region: Region) -> list[tuple[Fraction | None, Fraction | None]]:
    """Return the sides of a box in a region, None for infinite: a cube that is then stretched."""
    rows = [facet.inequality for facet in region.facets]
    center = region.interior_point
    room = [
        (row[-1] + sum(g * x for g, x in zip(row, center, strict=False))) / sum(map(abs, row[:-1]))
        for row in rows
    ]
    radius = min(room, default=Fraction(1))
    low: list[Fraction | None] = [x - radius for x in center]
    high: list[Fraction | None] = [x + radius for x in center]

    def least(row: Sequence[Fraction], without: int) -> Fraction:
        """Return the least value on the box of a form without its part in one coordinate."""
        total = row[-1]
        for j, g in enumerate(row[:-1]):
            end = low[j] if g > 0 else high[j]
            if g and j != without:
                assert end is not None, "the box left the region"
                total += g * end
        return total

    for i in range(len(center)):
        low[i] = max((-least(row, i) / row[i] for row in rows if row[i] > 0), default=None)
        high[i] = min((-least(row, i) / row[i] for row in rows if row[i] < 0), default=None)
    return list(zip(low, high, strict=True))


def lost_to_the_grid(region: Region) -> Fraction:
    """Bound the share of points that the grid takes from a region, a hyperplane included.

    Parameters
    ----------
    region : Region

    Returns
    -------
    Fraction
        ``(F d + 1) / m`` with F facets within the domain.
    """
    inner = sum(not facet.walls for facet in region.facets)
    return Fraction(inner * region.complex.dimension + 1, 1 << GRID_BITS)
