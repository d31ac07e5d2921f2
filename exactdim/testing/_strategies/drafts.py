"""Layers of a network while they are being drawn, and the accidents that can befall them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from exactdim.nets.network import ReLUNetwork
from exactdim.testing._strategies import arguments

__all__ = ["Architecture", "Draft", "draw_accident", "draw_distinct", "draw_layers", "draw_more"]


@dataclass(frozen=True)
class Architecture:
    """Which networks are wanted; the options of `relu_networks`."""

    widths: Sequence[int] | None
    min_depth: int
    max_depth: int
    max_width: int
    input_width: int | None
    output_width: int | None
    bias: bool | None
    elements: SearchStrategy[Fraction]

    def __post_init__(self) -> None:
        arguments.at_least(1, min_depth=self.min_depth, max_depth=self.max_depth)
        arguments.at_least(1, max_width=self.max_width)
        arguments.ordered(min_depth=self.min_depth, max_depth=self.max_depth)
        arguments.flag(None, True, False, bias=self.bias)
        ends = {"input_width": self.input_width, "output_width": self.output_width}
        for name, end in ends.items():
            if end is not None:
                arguments.at_least(1, **{name: end})
        if self.widths is None:
            return
        widths = arguments.integers("widths", self.widths, least=1, fewest=2)
        for (name, end), width in zip(ends.items(), (widths[0], widths[-1]), strict=True):
            if end not in {None, width}:
                raise InvalidArgument(f"{name}={end} contradicts widths={self.widths}")

    @property
    def depths(self) -> tuple[int, int]:
        """The least and the largest number of affine layers."""
        if self.widths is None:
            return self.min_depth, self.max_depth
        return (len(self.widths) - 1,) * 2

    def bounds(self, depth: int, *, last: bool) -> tuple[int, int]:
        """Bound the width behind so many affine layers."""
        if self.widths is not None:
            return (self.widths[depth],) * 2
        fixed = self.input_width if depth == 0 else self.output_width if last else None
        return (1, self.max_width) if fixed is None else (fixed, fixed)


@dataclass
class Draft:
    """The weights and biases of a network, to be changed in place."""

    weights: list[list[list[Fraction]]]
    biases: list[list[Fraction] | None]

    def network(self) -> ReLUNetwork:
        """Return the network as it stands."""
        return ReLUNetwork(self.weights, self.biases)

    def unit(self, layer: int, unit: int) -> list[Fraction]:
        """Return what enters a unit, its bias last if the layer has one."""
        bias = self.biases[layer]
        return [*self.weights[layer][unit], *([] if bias is None else [bias[unit]])]

    def set_unit(self, layer: int, unit: int, entering: list[Fraction]) -> None:
        """Replace what enters a unit."""
        bias, inputs = self.biases[layer], len(self.weights[layer][unit])
        self.weights[layer][unit] = entering[:inputs]
        if bias is not None:
            bias[unit] = entering[inputs]


def draw_more(draw: DrawFn, room: int) -> bool:
    """Decide whether to go on where `room` more are allowed; shrinks to no."""
    return draw(st.integers(0, room)) > 0


def draw_distinct(draw: DrawFn, size: int, count: int) -> list[int]:
    """Draw different numbers below `size`; shrinks to 0, 1, 2, ..."""
    left = list(range(size))
    return [left.pop(draw(st.integers(0, len(left) - 1))) for _ in range(count)]


def draw_layers(draw: DrawFn, wanted: Architecture) -> Draft:
    """Draw a network layer by layer and unit by unit."""
    # Shrinking deletes blocks behind a number that it lowers. So each number of layers and units
    # stands before them, and for each unit as many weights are drawn as it could need, and a bias.
    # What it has no use for is left out, on the left: the others keep their place when a unit below
    # is deleted.
    low, high = wanted.bounds(0, last=False)
    inputs = draw(st.integers(low, high))
    depth = draw(st.integers(*wanted.depths))
    draft = Draft([], [])
    for layer in range(1, depth + 1):
        has_bias = draw_more(draw, 3) if wanted.bias is None else wanted.bias
        row = st.lists(wanted.elements, min_size=high, max_size=high)
        unit = st.tuples(row, st.just(Fraction(0)) if wanted.bias is False else wanted.elements)
        unused = high - inputs
        low, high = wanted.bounds(layer, last=layer == depth)
        inputs = draw(st.integers(low, high))
        units = draw(st.lists(unit, min_size=inputs, max_size=inputs))
        draft.weights.append([row[unused:] for row, _ in units])
        draft.biases.append([bias for _, bias in units] if has_bias else None)
    return draft


# -- accidents ------------------------------------------------------------------------------------

Accident: TypeAlias = Callable[[DrawFn, Draft, int, int], None]
"""Changes a hidden unit of a draft, or its layer, so that something is degenerate for certain."""

signs = st.sampled_from([Fraction(1), Fraction(-1)])
factors = st.sampled_from([
    Fraction(x) for x in ("2", "-2", "3", "-3", "1/2", "-1/2", "2/7", "-1/8")
])


def draw_accident(draw: DrawFn, draft: Draft, *, keep_widths: bool) -> None:
    """Let something happen to a hidden layer that can happen to it."""
    layer = draw(st.integers(0, len(draft.weights) - 2))
    width, has_bias = len(draft.weights[layer]), draft.biases[layer] is not None
    possible: list[Accident] = [_unread_unit, _zero_unit, _unread_input]
    if has_bias or layer:
        possible += [_dead_unit, _dead_layer]
    if has_bias:
        possible.append(_constant_sign)
    if width > 1:
        possible += [_twin, _multiple]
    if width > 1 and has_bias:
        possible.append(_parallel)
    if width > 2 and len(draft.unit(layer, 0)) > 2:
        possible.append(_dependent)
    if width > 1 and not keep_widths:
        possible.append(_bottleneck)
    unit = draw(st.integers(0, width - 1))
    draw(st.sampled_from(possible))(draw, draft, layer, unit)


def _others(draw: DrawFn, draft: Draft, layer: int, unit: int, count: int) -> list[int]:
    found = draw_distinct(draw, len(draft.weights[layer]) - 1, count)
    return [k + (k >= unit) for k in found]


def _unread_unit(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    for row in draft.weights[layer + 1]:
        row[unit] = Fraction(0)


def _unread_input(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    column = draw(st.integers(0, len(draft.weights[layer][0]) - 1))
    for row in draft.weights[layer]:
        row[column] = Fraction(0)


def _zero_unit(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    """Zero everywhere, so that every point is on a kink unless the layer below is off."""
    draft.set_unit(layer, unit, [Fraction(0)] * len(draft.unit(layer, unit)))


def _dead_unit(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    _settle(draw, draft, layer, unit, -1)


def _constant_sign(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    _settle(draw, draft, layer, unit, 1)


def _dead_layer(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    for each in range(len(draft.weights[layer])):
        _settle(draw, draft, layer, each, -1)


def _settle(draw: DrawFn, draft: Draft, layer: int, unit: int, sign: int) -> None:
    """Keep a unit on (+1) or off (-1) for all inputs; what a hidden layer passes on is >= 0."""
    weights = [sign * abs(w) for w in draft.weights[layer][unit]]
    if layer == 0 or not draw(st.booleans()):
        weights = [Fraction(0)] * len(weights)
    bias = draft.biases[layer]
    if bias is not None:
        weights.append(sign * (abs(bias[unit]) or Fraction(1)))
    draft.set_unit(layer, unit, weights)


def _twin(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    """Duplicates and opposites."""
    _copy_unit(draw, draft, layer, unit, draw(signs))


def _multiple(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    _copy_unit(draw, draft, layer, unit, draw(factors))


def _copy_unit(draw: DrawFn, draft: Draft, layer: int, unit: int, factor: Fraction) -> None:
    (other,) = _others(draw, draft, layer, unit, 1)
    draft.set_unit(layer, other, [factor * x for x in draft.unit(layer, unit)])


def _parallel(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    """Parallel hyperplanes."""
    (other,) = _others(draw, draft, layer, unit, 1)
    if not any(draft.weights[layer][unit]):
        draft.weights[layer][unit][0] = Fraction(1)
    factor, shift = draw(signs | factors), draw(factors)
    *weights, bias = (factor * x for x in draft.unit(layer, unit))
    draft.set_unit(layer, other, [*weights, bias + shift])


def _dependent(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    """Three hyperplanes with a common point at infinity or not."""
    other, third = _others(draw, draft, layer, unit, 2)
    factor, sign = draw(factors), draw(signs)
    pairs = zip(draft.unit(layer, unit), draft.unit(layer, other), strict=True)
    draft.set_unit(layer, third, [sign * u + factor * v for u, v in pairs])


def _bottleneck(draw: DrawFn, draft: Draft, layer: int, unit: int) -> None:
    """Make a layer of width one."""
    bias = draft.biases[layer]
    draft.weights[layer] = [draft.weights[layer][unit]]
    draft.biases[layer] = None if bias is None else [bias[unit]]
    draft.weights[layer + 1] = [[row[unit]] for row in draft.weights[layer + 1]]
