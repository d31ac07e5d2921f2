"""Parameters of the first layers, and the words that their units have on a batch.

A pattern gives every hidden unit a word: one letter per sample, 1 where the unit is on.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from exactdim.arith.lp import interior_point
from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput
from exactdim.nets.network import ReLUNetwork, are_widths, as_batch
from exactdim.nets.patterns import masks_of

__all__ = [
    "LowerLayers",
    "Method",
    "ParameterSpace",
    "Verdict",
    "Words",
    "fits",
    "require",
    "spelled",
]

Words: TypeAlias = tuple[tuple[str, ...], ...]
"""For each hidden layer one word per unit, one letter per sample."""

Verdict: TypeAlias = Literal["realised", "impossible", "unknown"]
Method: TypeAlias = Literal["linear program", "smt"]


@dataclass(frozen=True, eq=False)
class ParameterSpace:
    """An architecture and a batch: what parameters are cut up by.

    Attributes
    ----------
    widths : tuple of int
        ``(N_0, ..., N_L)``.
    has_bias : tuple of bool
        One per layer.
    batch : QMatrix of shape (n, N_0)
    """

    widths: tuple[int, ...]
    has_bias: tuple[bool, ...]
    batch: QMatrix

    @classmethod
    def read(
        cls, widths: Sequence[int] | ReLUNetwork, X: ArrayLike, bias: bool | Sequence[bool] = True
    ) -> ParameterSpace:
        """Read widths, a batch, and one flag for the biases or one per layer.

        Parameters
        ----------
        widths : sequence of int or ReLUNetwork
            Of a network the architecture counts, and its biases instead of `bias`.
        X : ArrayLike of shape (n, N_0)
        bias : bool or sequence of bool

        Returns
        -------
        ParameterSpace

        Raises
        ------
        InvalidInput
            If widths and flags make no network, or the batch is empty.
        ShapeMismatch
            If a sample does not have N_0 numbers.
        """
        if isinstance(widths, ReLUNetwork):
            bias, widths = widths.has_bias, widths.widths
        _check(widths, bias)
        net = ReLUNetwork.random(widths, seed=0, bias=bias)
        return cls(net.widths, net.has_bias, as_batch(X, net.widths[0]))

    @property
    def n_samples(self) -> int:
        """Number n of samples."""
        return self.batch.shape[0]

    @property
    def n_hidden(self) -> int:
        """Number H of hidden units."""
        return sum(self.widths[1:-1])

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """``(N_1, ..., N_{L-1})``."""
        return self.widths[1:-1]

    def features(self, h: QMatrix, layer: int) -> QMatrix:
        """Return what a layer multiplies its parameters with: h, and ones if it has a bias."""
        if not self.has_bias[layer]:
            return h
        return QMatrix.hstack([h, QMatrix.ones(h.shape[0], 1)])

    def free(self, words: Words) -> tuple[int, ...]:
        """List the samples at which the layer above the given ones is not identically zero."""
        n, layer = self.n_samples, len(words)
        if self.has_bias[layer]:
            return tuple(range(n))
        if not layer:
            return tuple(i for i in range(n) if not self.batch[[i]].is_zero())
        return tuple(i for i in range(n) if any(word[i] == "1" for word in words[-1]))


@dataclass(frozen=True, eq=False)
class LowerLayers:
    """Parameters of the first hidden layers, with the words that they are to have.

    Attributes
    ----------
    space : ParameterSpace
    words : tuple of tuples of str
    layers : tuple of QMatrix of shape (N_l, N_{l-1} + 1), or (N_l, N_{l-1}) without bias
        One row per unit: the weights, then the bias.
    method : str
        How they were found.
    units : dict of str to QMatrix of shape (1, k) or None
        What is known of the words of the next layer: a unit that has it.
    """

    space: ParameterSpace
    words: Words = ()
    layers: tuple[QMatrix, ...] = ()
    method: Method = "linear program"
    units: dict[str, QMatrix | None] = field(default_factory=dict)

    @cached_property
    def _forward(self) -> tuple[tuple[QMatrix, ...], QMatrix]:
        """The pre-activations, with the words as masks, and the features of the next layer."""
        inputs = self.space.features(self.space.batch, 0)
        values: list[QMatrix] = []
        for layer, (units, words) in enumerate(zip(self.layers, self.words, strict=True)):
            z = inputs @ units.T
            values.append(z)
            mask = masks_of(words).T
            inputs = self.space.features(z.masked(mask), layer + 1)
        return tuple(values), inputs

    @property
    def features(self) -> QMatrix:
        """What the next layer multiplies its parameters with, one row per sample."""
        return self._forward[1]

    @cached_property
    def free(self) -> tuple[int, ...]:
        """The samples at which the next layer is not identically zero."""
        return self.space.free(self.words)

    def are_right(self) -> bool:
        """Compute exactly whether every unit has its word."""
        for layer, (z, words) in enumerate(zip(self._forward[0], self.words, strict=True)):
            free = set(self.space.free(self.words[:layer]))
            values = z.numerators()
            for i in range(self.space.n_samples):
                for k, word in enumerate(words):
                    value = values[i * len(words) + k]
                    on = word[i] == "1"
                    if (value <= 0 if on else value >= 0) and (on or value or i in free):
                        return False
        return True

    def unit(self, word: str) -> QMatrix | None:
        """Find a unit of the next layer that has a word, by one exact linear program."""
        if word not in self.units:
            self.units[word] = self._program(word)
        return self.units[word]

    def _program(self, word: str) -> QMatrix | None:
        if not fits(word, self.free):
            return None
        off = [i for i in self.free if word[i] == "0"]
        on = [i for i in self.free if word[i] == "1"]
        system = QMatrix.vstack([self.features[on], -self.features[off]])
        found = interior_point(system, QMatrix.zeros(len(self.free), 1)).point
        return None if found is None else found.T

    def make(self, words: Iterable[str]) -> bool:
        """Whether the next layer can have units with all these words."""
        return all(self.unit(word) is not None for word in words)

    def extended(self, words: Sequence[str]) -> LowerLayers:
        """Add a layer with these words, which it can have."""
        units = [unit for unit in map(self.unit, words) if unit is not None]
        return LowerLayers(
            self.space,
            (*self.words, tuple(words)),
            (*self.layers, QMatrix.vstack(units)),
            self.method,
        )

    def moved(self, rng: random.Random, layer: int) -> LowerLayers:
        """Move a layer along a random line, to a random place where all words are the same."""
        shape = self.layers[layer].shape
        numbers = [rng.randint(-8, 8) for _ in range(shape[0] * shape[1])]
        step = QMatrix.from_integers(numbers, 1, shape)
        there = self._with(layer, self.layers[layer] + step)
        low: list[Fraction] = []
        high: list[Fraction] = []
        # On one pattern, pre-activations are affine in the parameters of a layer (T3).
        for z, w in zip(self._forward[0], there._forward[0], strict=True):
            changes = (w - z).tolist()
            for row, slopes in zip(z.tolist(), changes, strict=True):
                for value, slope in zip(row, slopes, strict=True):
                    if slope:
                        (low if value * slope > 0 else high).append(-value / slope)
        return self._with(layer, self.layers[layer] + step * _between(low, high, rng))

    def network(self, last: Sequence[int]) -> ReLUNetwork:
        """Put a last layer on top: per output its weights, then its bias if there is one."""
        widths, has_bias = self.space.widths, self.space.has_bias
        top = QMatrix.from_integers(last, 1, (widths[-1], widths[-2] + has_bias[-1]))
        weights: list[QMatrix] = []
        biases: list[QMatrix | None] = []
        for units, inputs, biased in zip((*self.layers, top), widths, has_bias, strict=False):
            weights.append(units[:, range(inputs)])
            biases.append(units[:, [inputs]].T if biased else None)
        return ReLUNetwork(weights, biases)

    def _with(self, layer: int, units: QMatrix) -> LowerLayers:
        layers = (*self.layers[:layer], units, *self.layers[layer + 1 :])
        return replace(self, layers=layers, units={})


def spelled(words: Words) -> str:
    """Write the words of all layers in one line."""
    return " | ".join(" ".join(layer) for layer in words)


def _check(widths: Any, bias: Any) -> None:
    if not are_widths(widths):
        raise InvalidInput(f"{widths!r} are no widths; give integers (N_0, ..., N_L)")
    if isinstance(bias, str) or not isinstance(bias, bool | np.bool_ | Sequence):
        raise InvalidInput(f"bias={bias!r} is no flag; give True, False or one flag per layer")


def fits(word: str, free: Sequence[int]) -> bool:
    """Whether a word is off wherever a pre-activation is identically zero."""
    return word.count("1") == sum(word[i] == "1" for i in free)


def _between(low: Sequence[Fraction], high: Sequence[Fraction], rng: random.Random) -> Fraction:
    """Return a short random number above all of some numbers and below all of others."""
    reach = Fraction(2) ** rng.randint(-2, 5)
    start = max(low) if low else (min(high) if high else 0) - reach
    end = min(high) if high else start + reach
    size = (end - start).numerator.bit_length() - (end - start).denominator.bit_length()
    grid = Fraction(2) ** (size - 7)  # at most a sixty-fourth of the way
    return round((start + (end - start) * Fraction(rng.randint(1, 15), 16)) / grid) * grid


def require(holds: bool) -> None:
    """Fail loudly where parameters do not have the words that they were made for: a bug."""
    if not holds:
        raise AssertionError("parameters do not have the words that they were made for")
