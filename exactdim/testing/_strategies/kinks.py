"""Where a network is on a kink, found exactly along lines of input space.

A line is followed from one sign change to the next. Up to the first zero ahead no unit changes
sign, so all pre-activations are affine up to there and, by continuity, the zero is a real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import activation_pattern
from exactdim.regions.programs import iter_patterns

__all__ = ["Point", "is_on_kink", "kinks_on_line", "some_kinks", "some_point_off_kinks"]

Point: TypeAlias = list[Fraction]

MAX_CHANGES = 6
"""Sign changes followed in either direction."""


def is_on_kink(net: ReLUNetwork, x: Point) -> bool:
    """Tell whether a pre-activation is zero at x but not around it."""
    return bool(activation_pattern(net, [x], on_kink="zero").kinks)


def kinks_on_line(
    net: ReLUNetwork, start: Sequence[Fraction], direction: Sequence[Fraction]
) -> list[Point]:
    """Return points on kinks on the line ``start + t direction``, small |t| first."""
    ahead = islice(_ray(net, start, direction), 2 * MAX_CHANGES)
    behind = islice(_ray(net, start, [-v for v in direction]), 2 * MAX_CHANGES)
    times = sorted({Fraction(0), *ahead, *(-t for t in behind)}, key=lambda t: (abs(t), t < 0))
    points = [[u + t * v for u, v in zip(start, direction, strict=True)] for t in times]
    kinks = activation_pattern(net, points, on_kink="zero").kinks
    return [points[i] for i in sorted({sample for sample, _, _ in kinks})]


def some_kinks(net: ReLUNetwork) -> list[Point]:
    """Return points on kinks; none only if the network has none at all."""
    inputs = net.widths[0]
    axis = next((j for row in net.weights[0].tolist() for j, w in enumerate(row) if w), None)
    start, direction = [Fraction(0)] * inputs, [Fraction(0)] * inputs
    if axis is not None and inputs > 1:
        # The line meets a hyperplane of the first layer, and never the origin.
        start[axis - 1] = direction[axis] = Fraction(1)
    else:
        # There is one line only, or the first layer looks at no input and every line is like it.
        direction[0] = Fraction(1)
    return kinks_on_line(net, start, direction)


def some_point_off_kinks(net: ReLUNetwork) -> Point | None:
    """Return a point on no kink, or None if there is no such point at all."""
    # Off kinks every unit keeps its sign nearby, but for the first layers at the origin if they
    # have no bias: so the origin and one point of every region are enough.
    origin = [Fraction(0)] * net.widths[0]
    if not is_on_kink(net, origin):
        return origin
    inside = (list(point) for _, point in iter_patterns(net))
    return next((x for x in inside if not is_on_kink(net, x)), None)


def _ray(
    net: ReLUNetwork, start: Sequence[Fraction], direction: Sequence[Fraction]
) -> Iterator[Fraction]:
    """Yield the times of all sign changes along a ray, and between them a time in each piece."""
    time = Fraction(0)
    while True:
        at = [u + time * v for u, v in zip(start, direction, strict=True)]
        step = _time_to_sign_change(net, at, direction)
        if step is None:
            yield time + 1
            return
        yield time + step / 2
        time += step
        yield time


def _time_to_sign_change(
    net: ReLUNetwork, start: Sequence[Fraction], direction: Sequence[Fraction]
) -> Fraction | None:
    """Return the first time > 0 at which a unit is zero that is not zero just before, if any."""
    value, slope = QMatrix([list(start)]), QMatrix([list(direction)])
    steps: list[Fraction] = []
    for layer in range(net.depth - 1):
        value, slope = net.affine(layer, value), slope @ net.weights[layer].T
        pairs = list(zip(value.tolist()[0], slope.tolist()[0], strict=True))
        steps += [-z / v for z, v in pairs if z * v < 0]
        on = np.array([[z > 0 or (z == 0 and v > 0) for z, v in pairs]], dtype=np.bool_)
        value, slope = value.masked(on), slope.masked(on)
    return min(steps, default=None)
