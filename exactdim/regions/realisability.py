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
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import factorial, prod
from typing import Literal, NamedTuple

from exactdim.arith.lp import interior_point
from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, ShapeMismatch, Undecided
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import ActivationPattern, activation_pattern, masks_of, words_of
from exactdim.nets.symbolic import formal_mask
from exactdim.regions.parameter_space import (
    LowerLayers,
    Method,
    ParameterSpace,
    Verdict,
    Words,
    fits,
    require,
    spelled,
)
from exactdim.regions.solver import Solver

__all__ = ["Answer", "Beginning", "ParameterRealisation", "realise_parameters"]

EXCURSIONS = 12
"""Parameters of the lower layers that are tried before the solver is asked."""


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
        if not all(fits(word, self.free) for word in words):
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
            require(lower.are_right() and lower.make(words))
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
            require(lower.are_right())
            self.lowers.append(lower)


@dataclass(frozen=True, eq=False, repr=False)
class ParameterRealisation:
    """Whether some parameters have an activation pattern on a batch; true if they do.

    Attributes
    ----------
    space : ParameterSpace
        Widths, biases and the batch.
    words : tuple of tuples of str
        For each hidden layer one word per unit, one letter per sample.
    verdict : {"realised", "impossible", "unknown"}
        Unknown if the time was over.
    method : {"linear program", "smt"}
        What the verdict comes from. A realised pattern has a witness whichever it is. An impossible
        one is proved by exact linear programs, or rests on the word of the SMT solver.
    """

    space: ParameterSpace
    words: Words
    verdict: Verdict
    method: Method
    _lower: LowerLayers | None = None

    @cached_property
    def pattern(self) -> ActivationPattern:
        """The pattern as a mask of shape (n, H), cut into layers."""
        words = [word for layer in self.words for word in layer]
        mask = masks_of(words).reshape(len(words), self.space.n_samples).T
        return formal_mask(mask, mask.shape, self.space.widths)

    @cached_property
    def witness(self) -> ReLUNetwork | None:
        """A network that has the pattern, found exactly to have it; None without a yes.

        Only its hidden layers matter. The last layer has ones for weights and zeros for biases.
        """
        if self.hidden_layers is None:
            return None
        widths = self.space.widths
        last = [1] * widths[-2] + [0] * self.space.has_bias[-1]
        net = self.hidden_layers.network(last * widths[-1])
        require(activation_pattern(net, self.space.batch) == self.pattern)
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
                f"whether the pattern {spelled(self.words)} is possible is open: the time was "
                "over. Allow more max_seconds",
                0,
                1,
            )
        return self.verdict == "realised"

    def __repr__(self) -> str:
        return f"ParameterRealisation({spelled(self.words)}: {self.verdict}, {self.method})"


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
    words = tuple(tuple(words_of(layer.T)) for layer in mask.layers)
    solver = Solver(max_seconds=max_seconds)
    if method == "smt" and words:
        verdict, lower = solver.decide(space, words, whole=True)
        answer = Answer(verdict, "smt", lower)
    elif method in {"auto", "smt"}:
        answer = _decided(space, words, solver)
    else:
        raise InvalidInput(f"method={method!r} is unknown; choose 'auto' or 'smt'")
    return ParameterRealisation(space, words, *answer)


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
