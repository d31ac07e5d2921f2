"""Whether a quantity stays the same under the symmetries of ReLU networks.

Moves are drawn at random, and a counterexample is made as simple as is cheap. Hypothesis is not
used here, so that a check can be made inside a Hypothesis test; `strategies.symmetries` is there
for tests that want it to choose the symmetry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from random import Random
from typing import Any, Literal, TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension.full import full_dimension
from exactdim.dimension.local import local_dimension
from exactdim.errors import InvalidInput
from exactdim.evidence.spelling import rationals
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import jacobian
from exactdim.nets.moves import split_unit
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import ActivationPattern, activation_pattern
from exactdim.nets.symmetry import Symmetry

__all__ = ["Counterexample", "InvarianceReport", "check_invariance"]

Quantity: TypeAlias = Callable[[ReLUNetwork, QMatrix], Any]
"""Called with a network and a batch."""

Move: TypeAlias = Callable[[ReLUNetwork], ReLUNetwork]
"""What is done to a network; a `Symmetry`, for example."""

Under: TypeAlias = Literal["symmetries", "rescalings", "permutations", "splittings"]


@dataclass(frozen=True)
class Counterexample:
    """A move under which a quantity is not what it should be.

    Attributes
    ----------
    move : callable
        A `Symmetry`, or a splitting of a unit; shrunk.
    net : ReLUNetwork
        The network that was given; ``move(net)`` is the other one.
    X : QMatrix
        Samples that are needed to see it.
    expected, found
        The quantity as it should be and as it is after the move.
    """

    move: Move
    net: ReLUNetwork
    X: QMatrix
    expected: Any
    found: Any

    def __str__(self) -> str:
        weights = [rationals(W) for W in self.net.weights]
        biases = [None if b is None else rationals(b)[0] for b in self.net.biases]
        return (
            f"{self.found} instead of {self.expected} after {self.move}\n"
            f"  net = ReLUNetwork({weights}, {biases})\n"
            f"  X = {rationals(self.X)}"
        )


@dataclass(frozen=True)
class InvarianceReport:
    """What `check_invariance` found; true if no counterexample.

    Attributes
    ----------
    quantity, under : str
    examples : int
        Moves that were tried before the first counterexample, or altogether.
    counterexample : Counterexample or None
    """

    quantity: str
    under: str
    examples: int
    counterexample: Counterexample | None

    def __bool__(self) -> bool:
        return self.counterexample is None

    def __str__(self) -> str:
        if self:
            return f"{self.quantity} was the same under {self.examples} {self.under}"
        return f"{self.quantity} is not invariant under {self.under}: {self.counterexample}"


def check_invariance(
    quantity: Quantity | str,
    net: NetworkLike,
    X: ArrayLike,
    *,
    under: Under = "symmetries",
    transform: Callable[[Any, Any], Any] | None = None,
    examples: int = 100,
    seed: int | None = None,
) -> InvarianceReport:
    """Look for a symmetry of the network under which a quantity changes.

    Parameters
    ----------
    quantity : callable or str
        ``quantity(net, X)`` gets a `ReLUNetwork` and a `QMatrix` (``X.to_numpy(float)`` rounds
        it) and returns anything that can be compared, arrays included; floats are compared as they
        are, so round them if they are to be approximately equal. Or one of
        ``"local_dimension"``, ``"full_dimension"``, ``"function"`` (the outputs at X),
        ``"activation_pattern"`` and ``"jacobian"``, the last two of which are transformed as they
        should be.
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    under : {"symmetries", "rescalings", "permutations", "splittings"}
        What is done to the network; splitting a unit (T19a) makes it wider.
    transform : callable, optional
        ``transform(move, value)`` is what the value should become; by default it stays.
    examples : int, default 100
        Moves to try.
    seed : int, optional
        Repeats a run.

    Returns
    -------
    InvarianceReport
        True if nothing was found. A counterexample comes with the simplest move that could be
        found and without the samples that it does not need.

    Raises
    ------
    InvalidInput
        If there is no such quantity or kind of move, or the network has no hidden unit to split.
    Exception
        Whatever the quantity raises.

    Notes
    -----
    T6, T19. A quantity passes because no counterexample was found, which proves nothing.

    Examples
    --------
    >>> net, X = ReLUNetwork([[[2]], [[3]]], [[-1], [5]]), [[0], [1], [2]]
    >>> print(check_invariance("local_dimension", net, X, examples=20, seed=0))
    local_dimension was the same under 20 symmetries
    >>> report = check_invariance(lambda net, X: net.weights[0][0, 0], net, X, seed=0)
    >>> bool(report), report.counterexample.move
    (False, Symmetry((1, 1, 1), orders=[[0]], factors=[['2']]))
    """
    net = as_network(net)
    batch = as_batch(X, net.widths[0])
    if under not in _MOVES:
        raise InvalidInput(f"under={under!r} is none of {', '.join(_MOVES)}")
    if not examples >= 1:
        raise InvalidInput(f"examples={examples!r} tries nothing; give 1 or more")
    if under == "splittings" and not net.n_hidden:
        raise InvalidInput("the network has no hidden unit that could be split")
    name = quantity if isinstance(quantity, str) else getattr(quantity, "__name__", repr(quantity))
    if isinstance(quantity, str):
        if quantity not in _QUANTITIES:
            raise InvalidInput(f"quantity={quantity!r} is none of {', '.join(_QUANTITIES)}")
        quantity, shipped = _QUANTITIES[quantity]
        transform = transform or shipped
    if not callable(quantity):
        raise InvalidInput(f"quantity={quantity!r} cannot be called; give quantity(net, X)")
    if transform is not None and under == "splittings":
        raise InvalidInput("only symmetries can transform a value; choose another kind of move")
    should_be = transform or _same

    def compared(move: Move, samples: QMatrix) -> Counterexample | None:
        expected = should_be(move, quantity(net, samples))
        found = quantity(move(net), samples)
        if _equal(expected, found):
            return None
        return Counterexample(move, net, samples, expected, found)

    source = Random(seed)
    for number in range(examples):
        first = compared(_MOVES[under](net, source), batch)
        if first is not None:
            simplest = _simplest(partial(compared, samples=batch), first)
            fewest = _fewest_samples(partial(compared, simplest.move), simplest)
            return InvarianceReport(name, under, number + 1, fewest)
    return InvarianceReport(name, under, examples, None)


def _simplest(
    compared: Callable[[Move], Counterexample | None], worst: Counterexample
) -> Counterexample:
    """Simplify the move step by step, as long as there is a difference."""
    steps = True
    while steps:
        steps = False
        for move in _simpler(worst.move):
            again = _tried(compared, move)
            if again is not None:
                worst, steps = again, True
                break
    return worst


def _fewest_samples(
    compared: Callable[[QMatrix], Counterexample | None], worst: Counterexample
) -> Counterexample:
    """Leave out samples one by one, as long as there is a difference."""
    batch = worst.X
    kept = list(range(batch.shape[0]))
    for sample in range(batch.shape[0]):
        fewer = [i for i in kept if i != sample]
        again = _tried(compared, batch[fewer]) if fewer else None
        if again is not None:
            kept, worst = fewer, again
    return worst


def _tried(compared: Callable[[Any], Counterexample | None], simpler: Any) -> Counterexample | None:
    """Compare at something simpler, which the quantity may refuse."""
    try:
        return compared(simpler)
    except Exception:
        return None


@dataclass(frozen=True)
class _Splitting:
    layer: int
    unit: int
    share: Fraction

    def __call__(self, net: ReLUNetwork) -> ReLUNetwork:
        return split_unit(net, self.layer, self.unit, self.share)

    def __str__(self) -> str:
        return f"split_unit(net, {self.layer}, {self.unit}, {str(self.share)!r})"


def _simpler(move: Move) -> Iterator[Move]:
    """Yield moves that are simpler, the simplest first."""
    if isinstance(move, Symmetry):
        one = Symmetry.identity(move.widths)
        for layer in range(len(move.orders)):
            if move.orders[layer] != one.orders[layer]:
                yield replace(move, orders=_changed(move.orders, layer, one.orders[layer]))
                for order in _one_step_nearer(move.orders[layer]):
                    yield replace(move, orders=_changed(move.orders, layer, order))
            for unit, factor in enumerate(move.factors[layer]):
                for simple in _simpler_factors(factor):
                    row = _changed(move.factors[layer], unit, simple)
                    yield replace(move, factors=_changed(move.factors, layer, row))
    elif isinstance(move, _Splitting):
        simplest = _Splitting(0, 0, Fraction(1, 2))
        if move != simplest:
            yield simplest
        if move.share != simplest.share:
            yield replace(move, share=simplest.share)


def _one_step_nearer(order: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield permutations with one more fixed point than this one."""
    for k, unit in enumerate(order):
        if unit != k:
            swapped = list(order)
            swapped[k], swapped[order.index(k)] = k, unit
            if sum(a == b for a, b in enumerate(swapped)) < len(order):
                yield tuple(swapped)


def _simpler_factors(factor: Fraction) -> Iterator[Fraction]:
    if factor != 1:
        yield Fraction(1)
        if factor < 1:
            yield 1 / factor
        elif factor > 2:
            yield Fraction(2)
            yield Fraction(2 ** ((factor.__ceil__() - 1).bit_length() - 1))


def _changed(row: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*row[:place], value, *row[place + 1 :])


def _symmetry(
    net: ReLUNetwork, source: Random, *, rescalings: bool = True, permutations: bool = True
) -> Symmetry:
    """Draw a symmetry; factors are small fractions, and powers of 2 that may be large."""

    def factor() -> Fraction:
        small = Fraction(source.randint(1, 9), source.randint(1, 9))
        return source.choice([Fraction(1), small, Fraction(2) ** source.randint(-40, 40)])

    orders, factors = [], []
    for width in net.widths[1:-1]:
        units = range(width)
        orders.append(source.sample(units, width) if permutations else units)
        factors.append([factor() if rescalings else 1 for _ in units])
    return Symmetry(net.widths, orders, factors)


def _splitting(net: ReLUNetwork, source: Random) -> _Splitting:
    unit = source.choice([(i, k) for i, n in enumerate(net.widths[1:-1]) for k in range(n)])
    return _Splitting(*unit, share=Fraction(source.randint(-9, 9), source.randint(1, 9)))


_MOVES: Mapping[str, Callable[[ReLUNetwork, Random], Move]] = {
    "symmetries": _symmetry,
    "rescalings": partial(_symmetry, permutations=False),
    "permutations": partial(_symmetry, rescalings=False),
    "splittings": _splitting,
}

_QUANTITIES: Mapping[str, tuple[Quantity, Callable[[Symmetry, Any], Any] | None]] = {
    "local_dimension": (lambda net, X: int(local_dimension(net, X, proof="full")), None),
    "full_dimension": (lambda net, X: int(full_dimension(net)), None),
    "function": (lambda net, X: net(X), None),
    "activation_pattern": (activation_pattern, Symmetry.on_pattern),
    "jacobian": (
        lambda net, X: (jacobian(net, X), net.has_bias),
        lambda s, value: (s.on_jacobian(value[0], has_bias=value[1]), value[1]),
    ),
}


def _same(_: Move, value: Any) -> Any:
    return value


def _equal(a: Any, b: Any) -> bool:
    """Compare what a quantity may be: numbers, arrays, and containers of these; NaN is NaN."""
    if isinstance(a, ActivationPattern):
        return bool(a == b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if hasattr(a, "shape") and not isinstance(a, QMatrix):
        x, y = (np.asarray(v.detach().cpu() if hasattr(v, "detach") else v) for v in (a, b))
        return x.shape == y.shape and bool(np.all((x == y) | ((x != x) & (y != y))))
    return bool(a == b) or bool(a != a and b != b)
