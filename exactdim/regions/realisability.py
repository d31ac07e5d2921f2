"""Whether any parameters have a given activation pattern on a batch.

A pattern gives every hidden unit a word: one letter per sample, 1 where the unit is on. Once the
layers below have their parameters, a word of the next unit is a dichotomy of fixed features, one
exact linear program. Over all parameters of the first layer with given words, one unit of the
second layer is still linear: a unit's weights times the weight that it leaves with are again in the
cone of its word, or in minus that cone. Several units of the second layer at once, and deeper ones,
are systems of polynomial inequalities; for these an SMT solver is asked. What it proposes is
checked exactly; that it finds nothing is its word, and the answer says so.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import factorial, prod
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from exactdim.arith.lp import interior_point
from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, MissingDependency, ShapeMismatch, Undecided
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import ActivationPattern, activation_pattern
from exactdim.nets.symbolic import formal_mask
from exactdim.regions.faces import BoolArray

__all__ = [
    "Beginning",
    "LowerLayers",
    "Method",
    "ParameterRealisation",
    "ParameterSpace",
    "Solver",
    "Verdict",
    "Words",
    "realise_parameters",
]

Words: TypeAlias = tuple[tuple[str, ...], ...]
"""For each hidden layer one word per unit, one letter per sample."""

Verdict: TypeAlias = Literal["realised", "impossible", "unknown"]
Method: TypeAlias = Literal["linear program", "smt"]

EXCURSIONS = 12
"""Parameters of the lower layers that are tried before the solver is asked."""

MOST_BITS = 1 << 14
"""Bits to which a number of the solver is rounded before it is given up."""


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
        cls, widths: Sequence[int], X: ArrayLike, bias: bool | Sequence[bool] = True
    ) -> ParameterSpace:
        """Read widths, a batch, and one flag for the biases or one per layer.

        Parameters
        ----------
        widths : sequence of int
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
        n = h.shape[0]
        return QMatrix.hstack([h, QMatrix.from_integers([1] * n, 1, (n, 1))])

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
            mask = np.array([[letter == "1" for letter in word] for word in words], np.bool_).T
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
        if not _fits(word, self.free):
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


class Answer(NamedTuple):
    """Whether words are possible together, how that is known, and parameters below them."""

    verdict: Verdict
    method: Method
    lower: LowerLayers | None = None


class Beginning:
    """The words of the first layers, and which words the next layer can have above them.

    Parameters
    ----------
    lowers : sequence of LowerLayers
        One or more, with the same words.
    solver : Solver

    Notes
    -----
    Which words go together depends on the set of words only, and not on their order: units with the
    same word may be equal. Nor does it matter if a word is replaced by its opposite, since a unit
    may be negated. Words that go together at some parameters of the lower layers are kept with
    them, so few sets are new questions.
    """

    def __init__(self, lowers: Sequence[LowerLayers], solver: Solver) -> None:
        self.lowers = list(lowers)
        self.space, self.words, self.free = lowers[0].space, lowers[0].words, lowers[0].free
        self.solver = solver
        self._answers: dict[frozenset[str], Answer] = {}
        self._excursions_made = False

    def decide(self, words: Collection[str]) -> Answer:
        """Decide whether units of the next layer can have these words, all at once."""
        if not self.words:
            root = self.lowers[0]
            verdict: Verdict = "realised" if root.make(words) else "impossible"
            return Answer(verdict, "linear program", root if verdict == "realised" else None)
        if not all(_fits(word, self.free) for word in words):
            return Answer("impossible", "linear program")
        return self._decide(frozenset(map(self._representative, words)))

    def above(self, words: Sequence[str]) -> Beginning:
        """Return the beginning that is longer by a layer with these words, which are possible."""
        able = [lower for lower in self.lowers if lower.make(words)]
        return Beginning([lower.extended(words) for lower in able], self.solver)

    def _representative(self, word: str) -> str:
        """Return the word or its opposite, whichever is off at the first sample that counts."""
        if not self.free or word[self.free[0]] == "0":
            return word
        flipped = set(self.free)
        return "".join("10"[int(c)] if i in flipped else c for i, c in enumerate(word))

    def _decide(self, words: frozenset[str]) -> Answer:
        seen = self._seen(words)
        if seen is None and words not in self._answers:
            self._answers[words] = self._found(words)
        return seen or self._answers[words]

    def _seen(self, words: Collection[str]) -> Answer | None:
        """Look for known parameters above which the words occur together."""
        for lower in self.lowers:
            if lower.make(words):
                return Answer("realised", lower.method, lower)
        return None

    def _found(self, words: frozenset[str]) -> Answer:
        if len(self.words) == 1 and _are_linear(self.words[0], words):
            return self._linear(sorted(words))
        for word in sorted(words) if len(words) > 1 else ():
            part = self._decide(words - {word})
            if part.verdict != "realised":
                return part
        if not self._excursions_made:
            self._excursions_made = True
            self._make_excursions()
        seen = self._seen(words)
        if seen is not None:
            return seen
        if self._ruled_out(sorted(words)):
            return Answer("impossible", "linear program")
        verdict, lower = self.solver.decide(self.space, (*self.words, tuple(sorted(words))))
        if lower is not None:
            self.lowers.append(lower)
        return Answer(verdict, "smt", lower)

    def _linear(self, words: Sequence[str]) -> Answer:
        """Decide words of the second layer by linear programs."""
        for units in _linear_choices(self._root(1), self.words[0], self.free, words):
            lower = LowerLayers(self.space, self.words, (units,))
            _require(lower.are_right() and lower.make(words))
            self.lowers.append(lower)
            return Answer("realised", "linear program", lower)
        return Answer("impossible", "linear program")

    def _ruled_out(self, words: Sequence[str]) -> bool:
        """Whether a part of the question that is linear is impossible already."""
        # Samples that agree in the layers from `depth` on are read from the layer below these
        # by one linear form, perhaps any.
        for depth in range(1, len(self.words) + 1):
            root, below = self._root(depth), self.words[depth - 1]
            for samples in self._alike(depth):
                parts: list[tuple[Sequence[str], Sequence[int]]] = []
                if _are_linear(below, words):
                    parts.append((below, samples))
                for k, unit in enumerate(below):
                    others = below[:k] + below[k + 1 :]
                    alone = [i for i in samples if all(other[i] == "0" for other in others)]
                    parts.append(((unit,), alone))
                if any(next(_linear_choices(root, *part, words), None) is None for part in parts):
                    return True
        return False

    def _root(self, depth: int) -> LowerLayers:
        """Return what layer number `depth` reads: the batch, or above that anything at all."""
        space = self.space
        has_bias = (space.has_bias[0], any(space.has_bias[depth : len(self.words) + 1]), True)
        batch = space.batch
        if depth > 1:
            batch, has_bias = QMatrix.identity(space.n_samples), (False, *has_bias[1:])
        widths = (batch.shape[1], space.widths[depth], 1, 1)
        return LowerLayers(ParameterSpace(widths, has_bias, batch))

    def _alike(self, depth: int) -> Iterable[list[int]]:
        """Part the samples by what the layers from `depth` on are at them."""
        classes: dict[tuple[str, ...], list[int]] = {}
        for i in self.free:
            row = tuple(word[i] for layer in self.words[depth:] for word in layer)
            classes.setdefault(row, []).append(i)
        return classes.values()

    def _make_excursions(self) -> None:
        """Look at other parameters with the same words."""
        rng = random.Random(0)
        starts = list(self.lowers)
        for number in range(EXCURSIONS):
            lower = starts[number % len(starts)]
            for _ in range(3 * len(lower.layers)):
                lower = lower.moved(rng, rng.randrange(len(lower.layers)))
            _require(lower.are_right())
            self.lowers.append(lower)


class Solver:
    """The SMT solver z3, asked about polynomial inequalities over the reals.

    Parameters
    ----------
    question_seconds : float or None
        Time for one question.
    max_seconds : float or None
        Time from now on; afterwards no question is asked any more.

    Attributes
    ----------
    answers : Counter
        How often it gave each verdict.

    Notes
    -----
    z3 decides nonlinear real arithmetic by a conflict-driven search over the cells of a cylindrical
    algebraic decomposition (Jovanovic and de Moura, Solving Non-linear Arithmetic, IJCAR 2012).
    """

    def __init__(
        self, question_seconds: float | None = None, max_seconds: float | None = None
    ) -> None:
        for name, seconds in (("question", question_seconds), ("max", max_seconds)):
            if seconds is not None and not seconds > 0:
                raise InvalidInput(f"{name}_seconds={seconds} must be positive")
        self.question_seconds = question_seconds
        self.deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self.answers: Counter[Verdict] = Counter()

    def decide(
        self, space: ParameterSpace, words: Words, *, whole: bool = False
    ) -> tuple[Verdict, LowerLayers | None]:
        """Decide whether a pattern, or the beginning of one, is possible.

        Parameters
        ----------
        space : ParameterSpace
        words : tuple of tuples of str
        whole : bool
            Whether to put every inequality to the solver, also those that do not matter.

        Returns
        -------
        verdict : str
        lower : LowerLayers or None
            Below the last of these layers, which can have its words there; checked exactly.

        Raises
        ------
        MissingDependency
            If z3 is needed and not installed.
        """
        verdict, lower = self._ask(_System(space, words, whole))
        self.answers[verdict] += 1
        return verdict, lower

    def _ask(self, system: _System) -> tuple[Verdict, LowerLayers | None]:
        seconds = self._seconds()
        if seconds is not None and seconds <= 0:
            return "unknown", None
        solver = system.solver()
        if seconds is not None:
            solver.set("timeout", max(1, int(1000 * min(seconds, 1e6))))
        answer = str(solver.check())
        if answer == "unsat":
            return "impossible", None
        if answer == "sat":
            lower = system.lower(solver.model())
            return ("unknown", None) if lower is None else ("realised", lower)
        if "interrupted" in solver.reason_unknown():  # z3 keeps Ctrl-C to itself
            raise KeyboardInterrupt
        return "unknown", None

    def _seconds(self) -> float | None:
        """Return how long the next question may take."""
        limits = [] if self.question_seconds is None else [self.question_seconds]
        if self.deadline is not None:
            limits.append(self.deadline - time.monotonic())
        return min(limits, default=None)


class _System:
    """The inequalities that parameters with given words satisfy, for z3."""

    def __init__(self, space: ParameterSpace, words: Words, whole: bool) -> None:
        self.z3 = _load_z3()
        self.context = self.z3.Context()
        self.space, self.words, self.whole = space, words, whole
        self.symbols: dict[tuple[int, int], list[Any]] = {}  # by layer and unit

    def solver(self) -> Any:
        """Return a solver that knows all inequalities; the same method and seed every time."""
        z3, context = self.z3, self.context
        nlsat = z3.With(z3.Tactic("qfnra-nlsat", ctx=context), seed=0)
        solver = z3.Then(z3.Tactic("simplify", ctx=context), nlsat, ctx=context).solver()
        solver.add(*self._conditions())
        return solver

    def lower(self, model: Any) -> LowerLayers | None:
        """Round a model to short numbers that have the words, of all layers but the last."""
        values = {
            place: [model.eval(symbol, model_completion=True) for symbol in symbols]
            for place, symbols in self.symbols.items()
        }
        below, bits = self.words[:-1], 8
        while bits <= MOST_BITS:
            layers = tuple(
                QMatrix.vstack([
                    QMatrix([[_number(value, bits) for value in values[layer, k]]])
                    if (layer, k) in values
                    else self._off(layer, word)
                    for k, word in enumerate(words)
                ])
                for layer, words in enumerate(below)
            )
            lower = LowerLayers(self.space, below, layers, "smt")
            if lower.are_right() and lower.make(self.words[-1]):
                return lower
            bits *= 2
        return None

    def _off(self, layer: int, word: str) -> QMatrix:
        """Return a unit that is never on."""
        if layer:
            columns = self._columns(layer)
            return QMatrix.from_integers([-1] * columns, 1, (1, columns))
        unit = LowerLayers(self.space).unit(word)
        assert unit is not None  # words of the first layer are dichotomies
        return unit

    def _columns(self, layer: int) -> int:
        return self.space.widths[layer] + self.space.has_bias[layer]

    def _conditions(self) -> Iterator[Any]:
        """Yield one inequality per unit and sample, except where there is none."""
        z3, context = self.z3, self.context
        inputs = [
            [z3.Q(x.numerator, x.denominator, ctx=context) if x else None for x in row]
            for row in self.space.batch.tolist()
        ]
        for layer, words in enumerate(self.words):
            free = set(self.space.free(self.words[:layer]))
            outputs: list[list[Any]] = [[None] * len(words) for _ in inputs]
            for k, word in enumerate(words):
                if not self.whole and "1" not in word:
                    continue  # a unit that is never on bears on no other, and there is one
                names = [f"w{layer}_{k}_{j}" for j in range(self._columns(layer))]
                symbols = [z3.Real(name, ctx=context) for name in names]
                self.symbols[layer, k] = symbols
                for i, letter in enumerate(word):
                    z = self._preactivation(symbols, inputs[i], layer)
                    if letter == "1":
                        yield z > 0
                        outputs[i][k] = z
                    elif i in free:
                        yield z < 0
            inputs = outputs

    def _preactivation(self, symbols: Sequence[Any], row: Sequence[Any], layer: int) -> Any:
        terms = [s * x for s, x in zip(symbols, row, strict=False) if x is not None]
        if self.space.has_bias[layer]:
            terms.append(symbols[-1])
        return self.z3.Sum(terms) if terms else self.z3.RealVal(0, ctx=self.context)


@dataclass(frozen=True, eq=False, repr=False)
class ParameterRealisation:
    """Whether some parameters have an activation pattern on a batch; true if they do.

    Attributes
    ----------
    widths : tuple of int
        ``(N_0, ..., N_L)``.
    has_bias : tuple of bool
        One per layer.
    batch : QMatrix of shape (n, N_0)
    words : tuple of tuples of str
        For each hidden layer one word per unit, one letter per sample.
    verdict : {"realised", "impossible", "unknown"}
        Unknown if the time was over.
    method : {"linear program", "smt"}
        What the verdict comes from. A realised pattern has a witness whichever it is. An impossible
        one is proved by exact linear programs, or rests on the word of the SMT solver.
    """

    widths: tuple[int, ...]
    has_bias: tuple[bool, ...]
    batch: QMatrix
    words: Words
    verdict: Verdict
    method: Method
    _lower: LowerLayers | None = None

    @cached_property
    def pattern(self) -> ActivationPattern:
        """The pattern as a mask of shape (n, H), cut into layers."""
        letters = [[letter == "1" for letter in word] for layer in self.words for word in layer]
        mask = np.array(letters, np.bool_).reshape(len(letters), self.batch.shape[0]).T
        return formal_mask(mask, mask.shape, self.widths)

    @cached_property
    def witness(self) -> ReLUNetwork | None:
        """A network that has the pattern, found exactly to have it; None without a yes.

        Only its hidden layers matter. The last layer has ones for weights and zeros for biases.
        """
        if self.hidden_layers is None:
            return None
        last = [1] * self.widths[-2] + [0] * self.has_bias[-1]
        net = self.hidden_layers.network(last * self.widths[-1])
        _require(activation_pattern(net, self.batch) == self.pattern)
        return net

    @cached_property
    def hidden_layers(self) -> LowerLayers | None:
        """Parameters of all hidden layers that have the pattern; None without a yes."""
        if self._lower is None or not self.words:
            return self._lower
        return self._lower.extended(self.words[-1])

    @property
    def multiplicity(self) -> int:
        """Number of patterns that differ from this one by the order of units in their layers."""
        return prod(
            factorial(len(layer)) // prod(map(factorial, Counter(layer).values()))
            for layer in self.words
        )

    def __bool__(self) -> bool:
        if self.verdict == "unknown":
            raise Undecided(
                f"whether the pattern {self._spelled} is possible is open: the time was over. "
                "Allow more max_seconds",
                0,
                1,
            )
        return self.verdict == "realised"

    @property
    def _spelled(self) -> str:
        return " | ".join(" ".join(layer) for layer in self.words)

    def __repr__(self) -> str:
        return f"ParameterRealisation({self._spelled}: {self.verdict}, {self.method})"


def realise_parameters(
    widths: Sequence[int],
    X: ArrayLike,
    pattern: ActivationPattern | ArrayLike,
    *,
    bias: bool | Sequence[bool] = True,
    max_seconds: float | None = None,
    method: Literal["auto", "smt"] = "auto",
) -> ParameterRealisation:
    """Decide whether some parameters have an activation pattern on a batch.

    Parameters
    ----------
    widths : sequence of int
        ``(N_0, ..., N_L)``.
    X : ArrayLike of shape (n, N_0)
        Samples in rows.
    pattern : ActivationPattern or array of booleans of shape (n, H)
    bias : bool or sequence of bool
        For all layers, or one per layer.
    max_seconds : float, optional
        Time for the SMT solver; the verdict is "unknown" when it is over.
    method : {"auto", "smt"}
        ``"smt"`` puts every inequality to the solver as it is, for a second opinion.

    Returns
    -------
    ParameterRealisation

    Raises
    ------
    InvalidInput
        If the arguments make no network, batch or mask, or `method` is another word.
    ShapeMismatch
        If batch or mask do not fit the architecture.
    MissingDependency
        If the SMT solver is needed and not installed.

    Notes
    -----
    Source: arXiv 2402.08269; T2. The parameters with a pattern form an open set. A pre-activation
    that is zero for all parameters nearby, which takes a layer without bias, counts as off; every
    other zero is a boundary.

    One hidden layer is one exact linear program per unit. In the second hidden layer a single word
    is a linear problem for each choice of the signs with which it reads the units below: their
    weights, times the size of the weight they are read with, fill the cone of their word. Words
    that occur together at some tried parameters are possible, and a pattern of which a linear part
    is impossible is so, too. The rest is left to the SMT solver z3, which decides polynomial
    inequalities; the time for that has no useful bound.

    Examples
    --------
    >>> X = [[-1], [0], [2]]
    >>> found = realise_parameters((1, 2, 1), X, [[0, 1], [0, 1], [1, 1]])
    >>> found
    ParameterRealisation(001 111: realised, linear program)
    >>> activation_pattern(found.witness, X) == found.pattern
    True
    >>> realise_parameters((1, 1, 1), X, [[0], [1], [0]])
    ParameterRealisation(010: impossible, linear program)
    """
    space = ParameterSpace.read(widths, X, bias)
    if isinstance(pattern, ActivationPattern):
        if pattern.n_samples != space.n_samples:
            raise ShapeMismatch(
                f"the pattern is of {pattern.n_samples} samples and X has {space.n_samples}"
            )
        space = replace(space, batch=pattern.select(space.batch))
    mask = formal_mask(pattern, (space.n_samples, space.n_hidden), space.widths)
    words = tuple(_words(layer) for layer in mask.layers)
    solver = Solver(max_seconds=max_seconds)
    if method == "smt" and words:
        verdict, lower = solver.decide(space, words, whole=True)
        answer = Answer(verdict, "smt", lower)
    elif method in {"auto", "smt"}:
        answer = _decided(space, words, solver)
    else:
        raise InvalidInput(f"method={method!r} is unknown; choose 'auto' or 'smt'")
    return ParameterRealisation(
        space.widths,
        space.has_bias,
        space.batch,
        words,
        answer.verdict,
        answer.method,
        answer.lower,
    )


def _decided(space: ParameterSpace, words: Words, solver: Solver) -> Answer:
    """Decide a pattern layer by layer."""
    beginning = Beginning([LowerLayers(space)], solver)
    answer = Answer("realised", "linear program", beginning.lowers[0])
    for layer in words:
        answer = beginning.decide(layer)
        if answer.verdict != "realised":
            break
        beginning = beginning.above(layer)
    return answer


def _words(mask: BoolArray) -> tuple[str, ...]:
    return tuple("".join("01"[bit] for bit in column) for column in mask.T.tolist())


def _fits(word: str, free: Sequence[int]) -> bool:
    """Whether a word is off wherever a pre-activation is identically zero."""
    return word.count("1") == sum(word[i] == "1" for i in free)


def _are_linear(lower: Sequence[str], words: Collection[str]) -> bool:
    """Whether words of the second layer above words of the first are a linear question."""
    return len(words) == 1 or sum("1" in word for word in lower) <= 1


def _linear_choices(
    root: LowerLayers, lower: Sequence[str], samples: Sequence[int], words: Sequence[str]
) -> Iterator[QMatrix]:
    """Yield first layers with given words above which units are as other words say at samples."""
    # A unit that is alone with its word is read with either sign, and the size of that weight is
    # scaled away: in a single reader by scaling the unit below, in a single read unit by scaling
    # the reader. Two or more units with the same word are read, by a single reader, as any vector
    # at all, since it is a difference of two in their cone.
    numbers = Counter(lower)
    live = sorted(word for word in numbers if "1" in word)
    alone = [word for word in live if numbers[word] == 1]
    features, den = root.features, root.features.denominator
    k, flat = features.shape[1], features.numerators()
    n_biases = len(words) if root.space.has_bias[1] else 0

    def form(blocks: dict[str, int], i: int) -> list[int]:
        """Put multiples of sample i in the blocks of some words."""
        sample = flat[i * k : (i + 1) * k]
        return [blocks.get(word, 0) * x for word in live for x in sample]

    cones = [form({a: _sign(a[i])}, i) + [0] * n_biases for a in alone for i in root.free]
    for signs in product((1, -1), repeat=len(alone) * len(words)):
        system = list(cones)
        for j, word in enumerate(words):
            read = dict.fromkeys(live, 1)
            read |= dict(zip(alone, signs[j * len(alone) :], strict=False))
            for i in samples:
                side = _sign(word[i])
                blocks = {a: side * read[a] for a in live if a[i] == "1"}
                bias = [side * den * (j == other) for other in range(n_biases)]
                system.append(form(blocks, i) + bias)
        shape = (len(system), k * len(live) + n_biases)
        A = QMatrix.from_integers([x for row in system for x in row], 1, shape)
        point = interior_point(A, QMatrix.zeros(len(system), 1)).point
        if point is None:
            continue
        vectors = {a: point.T[:, range(j * k, (j + 1) * k)] for j, a in enumerate(live)}
        units: list[QMatrix] = []
        for word in lower:
            unit = root.unit(word)
            assert unit is not None  # words of the first layer are dichotomies
            if word in vectors:
                vector = vectors.pop(word)
                unit = vector if word in alone else _into_cone(vector, unit, root)
            units.append(unit)
        yield QMatrix.vstack(units)


def _into_cone(vector: QMatrix, inside: QMatrix, root: LowerLayers) -> QMatrix:
    """Add a multiple of a unit to a vector, to give it the word of the unit."""
    values = (root.features @ vector.T).tolist()
    wanted = (root.features @ inside.T).tolist()
    least = max(-values[i][0] / wanted[i][0] for i in root.free)
    return vector + inside * max(0, least.__floor__() + 1)


def _sign(letter: str) -> int:
    return 1 if letter == "1" else -1


def _between(low: Sequence[Fraction], high: Sequence[Fraction], rng: random.Random) -> Fraction:
    """Return a short random number above all of some numbers and below all of others."""
    reach = Fraction(2) ** rng.randint(-2, 5)
    start = max(low) if low else (min(high) if high else 0) - reach
    end = min(high) if high else start + reach
    size = (end - start).numerator.bit_length() - (end - start).denominator.bit_length()
    grid = Fraction(2) ** (size - 7)  # at most a sixty-fourth of the way
    return round((start + (end - start) * Fraction(rng.randint(1, 15), 16)) / grid) * grid


def _number(value: Any, bits: int) -> Fraction:
    """Round a number of z3 to so many bits."""
    if not hasattr(value, "numerator_as_long"):
        value = value.approx(bits // 3)
    exact = Fraction(value.numerator_as_long(), value.denominator_as_long())
    if not exact:
        return exact
    grid = Fraction(2) ** (exact.numerator.bit_length() - exact.denominator.bit_length() - bits)
    return round(exact / grid) * grid


def _load_z3() -> Any:
    try:
        import z3
    except ImportError:
        raise MissingDependency(
            "this pattern needs an SMT solver: pip install 'exactdim[smt]'"
        ) from None
    return z3


def _require(holds: bool) -> None:
    if not holds:
        raise AssertionError("parameters do not have the words that they were made for")
