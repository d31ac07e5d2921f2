"""One network per orbit of the symmetries, and whether two networks are in the same orbit.

The orbit is that of permutations and positive rescalings of hidden units (T6). Factors are chosen
so that weights entering a unit add up to 1 in absolute value, which keeps them rational. What is
left is a layered graph with weights on its edges up to isomorphism: units are coloured by what they
are joined to, the colouring is refined until it is stable, and where colours tie all choices are
tried.

Two networks of different orbits can still be the same function: ask `same_function`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

from exactdim.errors import InvalidInput, TooLarge
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.symmetry import Symmetry, unanchored_components

__all__ = ["Equivalence", "are_equivalent", "canonical_form", "canonical_symmetry"]

MOST_WORK = 5 * 10**7
"""Weights that are looked at before giving up: about a minute."""

Unit: TypeAlias = tuple[int, int]
Colours: TypeAlias = dict[Unit, int]


def canonical_form(net: NetworkLike) -> ReLUNetwork:
    """Return the representative of all networks that permutations and rescalings lead to.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads

    Returns
    -------
    ReLUNetwork
        The same function. Two networks have equal canonical forms if and only if a `Symmetry`
        takes one to the other.

    Raises
    ------
    InvalidInput
        If several units joined by weights are cut off from inputs, biases and outputs: their scale
        means nothing. The message names them; `remove_units` takes them away.
    TooLarge
        If too many units tie, for example those of many equal copies of a part of the network.

    Notes
    -----
    T6; `canonical_symmetry` also gives the way. A unit is fed if a path of nonzero weights leads to
    it from an input or a bias. What enters a fed unit from inputs, bias and fed units has absolute
    values that add up to 1. Time: about the number of weights times its logarithm and the depth,
    if no units tie but equal ones.

    Examples
    --------
    >>> net = ReLUNetwork([[[1], [6]], [[3, 4]]], [[0, -2], [1]])
    >>> form = canonical_form(net)
    >>> form.weights[0], form.biases[0]
    (QMatrix([['3/4'], ['1']]), QMatrix([['-1/4', '0']]))
    >>> from exactdim.nets.symmetry import rescale
    >>> canonical_form(rescale(net, 0, 1, 7)) == form
    True
    """
    net = as_network(net)
    return canonical_symmetry(net)(net)


def canonical_symmetry(net: NetworkLike) -> Symmetry:
    """Return a symmetry that takes a network to its `canonical_form`.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads

    Returns
    -------
    Symmetry

    Raises
    ------
    InvalidInput, TooLarge
        As those of `canonical_form`.

    Examples
    --------
    >>> canonical_symmetry(ReLUNetwork([[[2]], [[3]]], [[-1], [5]]))
    Symmetry((1, 1, 1), orders=[[0]], factors=[['1/3']])
    """
    net = as_network(net)
    scaling = _unit_scale(net)
    return _Search(_Graph(scaling(net))).best() @ scaling


@dataclass(frozen=True)
class Equivalence:
    """Whether a symmetry takes one network to another; true if one does.

    Attributes
    ----------
    symmetry : Symmetry or None
        Takes the first network to the second.
    reason : str
        Why there is none; empty if there is one.
    """

    symmetry: Symmetry | None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.symmetry is not None

    def __repr__(self) -> str:
        answer = self.symmetry if self else self.reason
        return f"Equivalence({'' if self else 'none: '}{answer})"


def are_equivalent(a: NetworkLike, b: NetworkLike) -> Equivalence:
    """Decide whether permutations and positive rescalings of hidden units take `a` to `b`.

    Parameters
    ----------
    a, b : ReLUNetwork or anything `as_network` reads

    Returns
    -------
    Equivalence
        True with a `Symmetry` s such that ``s(a) == b``, or false with a reason.

    Raises
    ------
    InvalidInput, TooLarge
        As those of `canonical_form`.

    Notes
    -----
    T6. Not equivalent does not mean another function: `same_function` decides that.

    Examples
    --------
    >>> a = ReLUNetwork([[[1], [2]], [[3, 4]]])
    >>> b = ReLUNetwork([[[4], [1]], [[2, 3]]])
    >>> are_equivalent(a, b)
    Equivalence(Symmetry((1, 2, 1), orders=[[1, 0]], factors=[['2', '1']]))
    >>> are_equivalent(a, ReLUNetwork([[[4], [1]], [[2, 5]]])).reason
    'unit 0 of layer 0 of the first network has no counterpart in the second'
    """
    a, b = as_network(a), as_network(b)
    if a == b:
        return Equivalence(Symmetry.identity(a.widths))
    if a.widths != b.widths:
        return Equivalence(None, f"the widths {a.widths} and {b.widths} differ")
    if a.has_bias != b.has_bias:
        return Equivalence(None, "other layers have biases; a bias of zeros is a bias")
    scale_a, scale_b = _unit_scale(a), _unit_scale(b)
    graph_a, graph_b = _Graph(scale_a(a)), _Graph(scale_b(b))
    for units_a, units_b in zip(graph_a.neighbourhoods(), graph_b.neighbourhoods(), strict=False):
        missing = Counter(units_a.values()) - Counter(units_b.values())
        if missing:
            layer, unit = min(unit for unit, seen in units_a.items() if seen in missing)
            where = f"unit {unit} of layer {layer}" if layer < a.depth - 1 else f"output {unit}"
            return Equivalence(
                None, f"{where} of the first network has no counterpart in the second"
            )
    order_a, order_b = _Search(graph_a).best(), _Search(graph_b).best()
    if order_a(graph_a.net) != order_b(graph_b.net):
        return Equivalence(
            None, "every unit has counterparts, but they cannot all be matched at once"
        )
    return Equivalence((order_b @ scale_b).inverse() @ order_a @ scale_a)


def _unit_scale(net: ReLUNetwork) -> Symmetry:
    """Return the rescaling after which what enters a unit adds up to 1 in absolute value."""
    # Only entries from units whose own scale is known count; a unit that no input or bias reaches
    # is scaled by what leaves it instead.
    loose = [part for part in unanchored_components(net) if len(part) > 1]
    if loose:
        raise InvalidInput(
            f"units {', '.join(map(str, loose[0]))} (layer, unit) are joined to each other but cut "
            "off from inputs, biases and outputs, so their scale means nothing; they contribute "
            "nothing either: leave them out with remove_units"
        )
    depth = net.depth
    weights = [[[abs(w) for w in row] for row in W.tolist()] for W in net.weights]
    biases = [b.tolist()[0] if b is not None else None for b in net.biases]
    # None: not known yet; inputs and outputs keep their scale
    factors: list[list[Fraction | None]] = [[None] * n for n in net.widths]
    factors[0], factors[-1] = [Fraction(1)] * net.widths[0], [Fraction(1)] * net.widths[-1]

    def entering(layer: int, unit: int) -> Fraction:
        bias = biases[layer]
        total = abs(bias[unit]) if bias is not None else Fraction(0)
        for w, factor in zip(weights[layer][unit], factors[layer], strict=True):
            if factor is not None:
                total += w / factor
        return total

    def leaving(layer: int, unit: int) -> Fraction:
        return sum(
            (
                row[unit] * factor
                for row, factor in zip(weights[layer + 1], factors[layer + 2], strict=True)
                if factor is not None
            ),
            Fraction(0),
        )

    unknown = {(layer, unit) for layer in range(depth - 1) for unit in range(net.widths[layer + 1])}
    while unknown:
        # all units of a layer at once: a choice among them would depend on their order
        found = {}
        for layer in range(depth - 1):
            sums = {unit: entering(*unit) for unit in unknown if unit[0] == layer}
            new = {unit: 1 / total for unit, total in sums.items() if total}
            for (_, unit), factor in new.items():
                factors[layer + 1][unit] = factor
            found.update(new)
        unknown -= found.keys()
        sums = {unit: leaving(*unit) for unit in unknown}
        found = {unit: total for unit, total in sums.items() if total}
        for (layer, unit), factor in found.items():
            factors[layer + 1][unit] = factor
        if not found:
            break
        unknown -= found.keys()
    for layer, unit in unknown:  # joined to nothing
        factors[layer + 1][unit] = Fraction(1)
    hidden: Any = factors[1:-1]
    return Symmetry(net.widths, Symmetry.identity(net.widths).orders, hidden)


class _Graph:
    """Units of all layers but the inputs, and their nonzero weights."""

    def __init__(self, net: ReLUNetwork) -> None:
        self.net = net
        self.units = [(layer, k) for layer, n in enumerate(net.widths[1:]) for k in range(n)]
        self.below: dict[Unit, list[tuple[Fraction, Unit]]] = {unit: [] for unit in self.units}
        self.above: dict[Unit, list[tuple[Fraction, Unit]]] = {unit: [] for unit in self.units}
        self.fixed: dict[Unit, tuple[Any, ...]] = {}
        self.work = 0
        for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
            for k, row in enumerate(W.tolist()):
                own = k if layer == net.depth - 1 else -1  # outputs keep their places
                inputs = tuple(row) if not layer else ()
                self.fixed[layer, k] = (layer, own, b[0, k] if b is not None else None, inputs)
                for j, w in enumerate(row):
                    if w and layer:
                        self.below[layer, k].append((w, (layer - 1, j)))
                        self.above[layer - 1, j].append((w, (layer, k)))

    @cached_property
    def start(self) -> Colours:
        """Colours by layer, bias and input weights."""
        return _ranked(self.fixed)

    def seen(self, colours: Colours) -> dict[Unit, tuple[Any, ...]]:
        """Return what each unit sees: its colour, and the weights to every colour."""
        self.work += sum(map(len, self.below.values())) + sum(map(len, self.above.values()))
        if self.work > MOST_WORK:
            raise TooLarge(
                "too many units look alike, in ways that depend on each other; leave out equal "
                "copies of a part of the network, or what contributes nothing (remove_units)"
            )
        return {
            unit: (
                colours[unit],
                tuple(sorted((colours[other], w) for w, other in self.below[unit])),
                tuple(sorted((colours[other], w) for w, other in self.above[unit])),
            )
            for unit in self.units
        }

    def neighbourhoods(self) -> Iterator[dict[Unit, tuple[Any, ...]]]:
        """Yield what each unit sees, farther and farther, until nothing new is seen."""
        yield self.fixed
        colours, n = self.start, 0
        while len(set(colours.values())) > n:
            n = len(set(colours.values()))
            seen = self.seen(colours)
            yield seen
            colours = _ranked(seen)

    def refined(self, colours: Colours) -> Colours:
        """Return the coarsest finer colouring in which equal colours see the same."""
        while True:
            finer = _ranked(self.seen(colours))
            if len(set(finer.values())) == len(set(colours.values())):
                return finer
            colours = finer

    def twins_apart(self, colours: Colours) -> Colours:
        """Give units with the same neighbours different colours, in any order."""
        # exchanging them changes nothing, so that the order makes no difference either
        seen = Counter[Any]()
        keys = {}
        for unit in self.units:
            twins = (self.fixed[unit], tuple(self.below[unit]), tuple(self.above[unit]))
            keys[unit] = (colours[unit], seen[twins])
            seen[twins] += 1
        return _ranked(keys)


def _ranked(keys: dict[Unit, tuple[Any, ...]]) -> Colours:
    numbers = {key: i for i, key in enumerate(sorted(set(keys.values()), key=_sortable))}
    return {unit: numbers[key] for unit, key in keys.items()}


def _sortable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((x is not None, x) for x in key)


class _Search:
    """All ways to order the units that respect a stable colouring; the smallest form wins."""

    def __init__(self, graph: _Graph) -> None:
        self.graph = graph

    def best(self) -> Symmetry:
        """Return the permutation to the smallest form."""
        stable = self.graph.refined(self.graph.start)
        return self._best(self.graph.refined(self.graph.twins_apart(stable)))[1]

    def _best(self, colours: Colours) -> tuple[Any, Symmetry]:
        tied = self._tied(colours)
        if not tied:
            return self._leaf(colours)
        explored: list[Any] = []
        results = []
        for unit in tied:
            finer = self._single_out(colours, unit)
            # a unit from which the same network can be reached is the image of an explored one
            # under an automorphism, and so are all further choices
            first = self._first(finer)
            if first in explored:
                continue
            explored.append(first)
            results.append(self._best(finer))
        return min(results, key=lambda result: result[0])

    def _first(self, colours: Colours) -> Any:
        while tied := self._tied(colours):
            colours = self._single_out(colours, tied[0])
        return self._leaf(colours)[0]

    def _tied(self, colours: Colours) -> Sequence[Unit]:
        """Return the units of the smallest colour that several have."""
        counts = Counter(colours.values())
        several = [colour for colour, n in counts.items() if n > 1]
        if not several:
            return ()
        return [unit for unit, colour in colours.items() if colour == min(several)]

    def _single_out(self, colours: Colours, unit: Unit) -> Colours:
        single = {other: 2 * colour + 1 for other, colour in colours.items()}
        single[unit] -= 1
        return self.graph.refined(single)

    def _leaf(self, colours: Colours) -> tuple[Any, Symmetry]:
        net = self.graph.net
        orders = [
            sorted(range(n), key=lambda k, layer=layer: colours[layer, k])  # type: ignore[misc]
            for layer, n in enumerate(net.widths[1:-1])
        ]
        order = Symmetry(net.widths, orders, Symmetry.identity(net.widths).factors)
        return order(net).parameters().tolist(), order
