"""Whether two networks are the same function, and how far apart they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import FloatArray
from exactdim.errors import InvalidInput, ShapeMismatch
from exactdim.evidence.certificate import Certificate
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import affine_with_error
from exactdim.regions.budget import Budget
from exactdim.regions.complex import RegionComplex
from exactdim.regions.domain import Domain, DomainLike, as_domain
from exactdim.regions.forms import passes
from exactdim.regions.graph import surely_different_outputs
from exactdim.regions.jobs import Progress, complexes
from exactdim.regions.layout import Layout
from exactdim.regions.proofs import counterexample_certificate, same_function_certificate
from exactdim.regions.region import Point, Region
from exactdim.regions.workers import Workers

__all__ = ["Comparison", "LargestDifference", "max_difference", "same_function"]


@dataclass(frozen=True)
class Comparison:
    """The answer of `same_function`; true if the networks are equal on the domain.

    Attributes
    ----------
    equal : bool
    a, b : ReLUNetwork
    domain : Domain
    n_regions : int
        Common activation regions that were looked at: all of them if the networks are equal.
    point : tuple of Fraction or None
        A point of the domain, in its coordinates, where the networks differ.
    values : pair of tuples of Fraction, or None
        Outputs of a and b there.
    regions : RegionComplex or None
        The common activation regions, if the networks are equal.
    """

    equal: bool
    a: ReLUNetwork
    b: ReLUNetwork
    domain: Domain
    n_regions: int
    point: Point | None = None
    values: tuple[Point, Point] | None = None
    regions: RegionComplex | None = None

    def __bool__(self) -> bool:
        return self.equal

    def certificate(self) -> Certificate:
        """Return a certificate of the answer, of kind ``same-function`` or ``counterexample``.

        Returns
        -------
        Certificate
        """
        if self.regions is not None:
            return same_function_certificate(self.regions)
        assert self.point is not None
        assert self.values is not None
        return counterexample_certificate((self.a, self.b), self.domain, self.point, self.values)

    def __repr__(self) -> str:
        if self.equal:
            return (
                f"Comparison(equal, proved on all {self.n_regions} common regions of {self.domain})"
            )
        assert self.point is not None
        return f"Comparison(different, at {_spelled(self.point)})"


@dataclass(frozen=True)
class LargestDifference:
    """The answer of `max_difference`.

    Attributes
    ----------
    value : Fraction
        Largest ``|a_j(y) - b_j(y)|`` over the domain and all outputs j.
    point : tuple of Fraction
        Where it is attained, in the coordinates of the domain.
    output : int
        The output j.
    values : pair of tuples of Fraction
        Outputs of a and b there.
    """

    value: Fraction
    point: Point
    output: int
    values: tuple[Point, Point]

    def __repr__(self) -> str:
        return f"LargestDifference({self.value}, output {self.output} at {_spelled(self.point)})"


def same_function(
    a: NetworkLike,
    b: NetworkLike,
    domain: DomainLike = None,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    executor: Workers = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Decide whether two networks are equal as functions on a domain.

    Parameters
    ----------
    a, b : ReLUNetwork or anything `as_network` reads
        With the same numbers of inputs and outputs; depths and widths may differ.
    domain, max_regions, max_seconds, executor, checkpoint, progress
        As for `activation_regions`. By default the whole input space.

    Returns
    -------
    Comparison
        With a rational point where they differ, if they do.

    Raises
    ------
    ShapeMismatch
        If the numbers of inputs or outputs differ.
    BudgetExceeded, InvalidInput, TooLarge
        As `activation_regions`.

    Notes
    -----
    The domain is cut by the neurons of both networks. On each common region both are affine: they
    are equal there if and only if their affine maps are.

    Examples
    --------
    >>> double = ReLUNetwork([[[2]], [[1]]], [[-2], [0]])  # relu(2 x - 2)
    >>> outside = ReLUNetwork([[[1]], [[2]]], [[-1], [0]])  # 2 relu(x - 1)
    >>> same_function(double, outside)
    Comparison(equal, proved on all 2 common regions of Domain(all of R^1))
    >>> same_function(double, ReLUNetwork([[[2]], [[1]]], [[-3], [0]]))
    Comparison(different, at (4))
    """
    nets = _comparable(a, b)
    where = as_domain(domain, nets[0].widths[0])
    layout = Layout(tuple(where.restrict(net) for net in nets))
    budget = Budget.of(max_regions, max_seconds)
    kept = []
    looked = 0
    for part in complexes(
        layout,
        where.inequalities,
        executor=executor,
        folder=checkpoint,
        budget=budget,
        progress=progress,
    ):
        regions = RegionComplex(nets, where, [part])
        looked += len(regions)
        for cell in _in_doubt(regions):
            budget.check(looked)
            point = _where_different(regions[cell])
            if point is not None:
                at = where.to_inputs(QMatrix([list(point)]))
                values = tuple(tuple(net(at).tolist()[0]) for net in nets)
                return Comparison(False, *nets, where, looked, point, (values[0], values[1]))
        kept.append(part)
    return Comparison(True, *nets, where, looked, regions=RegionComplex(nets, where, kept))


def max_difference(
    a: NetworkLike,
    b: NetworkLike,
    domain: DomainLike,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    executor: Workers = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> LargestDifference:
    """Find the largest difference of two networks on a bounded domain, exactly.

    Parameters
    ----------
    a, b : ReLUNetwork or anything `as_network` reads
        With the same numbers of inputs and outputs.
    domain : Domain, pair or list of pairs
        Bounded.
    max_regions, max_seconds, executor, checkpoint, progress
        As for `activation_regions`.

    Returns
    -------
    LargestDifference

    Raises
    ------
    InvalidInput
        If the domain is unbounded, empty, or has no interior.
    ShapeMismatch
        If the numbers of inputs or outputs differ.
    BudgetExceeded, TooLarge
        As `activation_regions`.

    Notes
    -----
    A difference of networks is affine on every common region, so its absolute value is largest at
    a vertex. Float bounds leave a few vertices; those are evaluated exactly.

    Examples
    --------
    >>> a = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    >>> max_difference(a, ReLUNetwork([[["1/2"]]]), (-1, 1))
    LargestDifference(1/2, output 0 at (1))
    """
    nets = _comparable(a, b)
    where = as_domain(domain, nets[0].widths[0])
    layout = Layout(tuple(where.restrict(net) for net in nets))
    best: LargestDifference | None = None
    for part in complexes(
        layout,
        where.inequalities,
        executor=executor,
        folder=checkpoint,
        budget=Budget.of(max_regions, max_seconds),
        progress=progress,
    ):
        regions = RegionComplex(nets, where, [part])
        if not regions.bounded.all():
            raise InvalidInput(
                f"{where} is unbounded, so the difference may be, too; give a box or a polytope"
            )
        for vertex in _candidates(regions, best.value if best else Fraction(-1)):
            point = regions.vertex(vertex).coordinates()
            at = QMatrix([list(point)])
            left, right = (tuple(net(at).tolist()[0]) for net in layout.nets)
            for output, (u, v) in enumerate(zip(left, right, strict=True)):
                if best is None or abs(u - v) > best.value:
                    best = LargestDifference(abs(u - v), point, output, (left, right))
    assert best is not None  # a bounded domain has a vertex
    return best


def _comparable(a: NetworkLike, b: NetworkLike) -> tuple[ReLUNetwork, ReLUNetwork]:
    left, right = as_network(a), as_network(b)
    for what, place in (("inputs", 0), ("outputs", -1)):
        if left.widths[place] != right.widths[place]:
            raise ShapeMismatch(
                f"one network has {left.widths[place]} {what}, the other {right.widths[place]}; "
                "such networks cannot be compared"
            )
    return left, right


def _in_doubt(regions: RegionComplex) -> Iterator[int]:
    """Yield all regions, those first on which floats prove the networks different."""
    later: list[int] = []
    for part in passes(len(regions), regions.layout.widest):
        some = np.arange(part.start, part.stop)
        different = surely_different_outputs(regions, (some, 0), (some, 1))
        yield from some[different].tolist()
        later += some[~different].tolist()
    yield from later


def _where_different(region: Region) -> Point | None:
    """Return a point inside a region where the networks differ, or None if they do not."""
    whole = region.complex
    mask = whole.patterns[region.index]
    difference = whole.output_forms(mask, 0) - whole.output_forms(mask, 1)
    if difference.is_zero():
        return None
    inside = region.interior_point
    form = next(row for row in difference.tolist() if any(row))
    step = Fraction(0)  # along the gradient, if the two happen to agree at the first point
    while True:
        point = tuple(x + step * g for x, g in zip(inside, form, strict=False))
        if region.contains(point) and sum(
            (g * x for g, x in zip(form, point, strict=False)), form[-1]
        ):
            return point
        step = step / 2 or Fraction(1)


def _candidates(regions: RegionComplex, best: Fraction) -> list[int]:
    """Return the vertices at which the difference can be largest, the likeliest first."""
    cells, d = regions.cells, regions.dimension
    vertices = np.flatnonzero(cells.x[:, d] != 0)
    bound = np.zeros(len(vertices))
    sure = 0.0
    for part in passes(len(vertices), regions.layout.widest):
        some = vertices[part]
        with np.errstate(all="ignore"):
            (left, left_error), (right, right_error) = (
                _outputs(net, cells.x[some, :d], cells.x_error[some, :d])
                for net in regions.layout.nets
            )
            apart = np.abs(left - right)
            doubt = (left_error + right_error) * (1 + 2.0**-50) + apart * 2.0**-50
            sure = max(sure, float(np.nan_to_num(apart - doubt, nan=0.0, posinf=0.0).max()))
            upper = (apart + doubt).max(axis=1)
            bound[part] = np.where(np.isnan(upper), np.inf, upper)
    # one of these vertices certainly has the difference `sure`, and an earlier one has `best`
    known = max(sure, _below(best))
    possible = np.flatnonzero(~(bound < known))
    order = np.argsort(-bound[possible], kind="stable")
    return [int(vertex) for vertex in vertices[possible[order]]]


def _below(number: Fraction) -> float:
    """Return a float that is not above a rational number."""
    try:
        return float(number) * (1 - 2.0**-50) if number > 0 else -1.0
    except OverflowError:
        return sys.float_info.max


def _outputs(net: ReLUNetwork, x: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Evaluate a network in floats, with bounds on the distance from the exact outputs."""
    h, h_error = x, error
    for layer, (W, b) in enumerate(net.float_layers):
        z, z_error = affine_with_error(W, b, h, h_error)
        h, h_error = z, z_error
        if layer < net.depth - 1:
            h = z * (z > 0)  # the ReLU brings no two numbers further apart
    return h, h_error


def _spelled(point: Point) -> str:
    return "(" + ", ".join(str(x) for x in point[:6]) + (", ..." if len(point) > 6 else "") + ")"
