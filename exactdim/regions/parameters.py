"""Activation regions of parameter space: the patterns that a batch can have.

The set of parameters that give a batch one activation pattern is open, and what is left over has
measure zero (T2). Permuting the units of a layer permutes the columns of that layer's mask and
nothing else, so patterns come in orbits. One of each orbit is enumerated, the one with the words of
each layer in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations_with_replacement, product
from math import comb

import numpy as np
import numpy.typing as npt

from exactdim.arith.rationals import ArrayLike, is_whole
from exactdim.errors import InvalidInput, Undecided
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.dichotomies import Dichotomies, dichotomies
from exactdim.regions.faces import BoolArray
from exactdim.regions.jobs import Progress
from exactdim.regions.parameter_space import LowerLayers, ParameterSpace, Verdict, Words
from exactdim.regions.realisability import Answer, Beginning, ParameterRealisation
from exactdim.regions.solver import Solver

__all__ = ["ParameterCount", "ParameterRegions", "sampled_patterns"]

QUESTION_SECONDS = 60.0
"""Time that the solver has for one question."""

MANTISSA, EXPONENT = 63, 7
"""Sampled parameters are an integer of at most this size times a power of two up to this one."""

CHUNK = 1 << 14
"""Parameters that are drawn at a time."""


@dataclass(frozen=True)
class ParameterCount:
    """How many activation regions parameter space has; an int if no question is open.

    Attributes
    ----------
    patterns : int
        Realised patterns.
    orbits : int
        The same up to the order of units in each layer.
    open_patterns, open_orbits : int
        Those that could not be decided.
    solver_answers : int
        "Impossible" as the SMT solver says, on which the upper end rests.
    undecided : tuple of ParameterRealisation
        The open orbits themselves.
    """

    patterns: int
    orbits: int
    open_patterns: int = 0
    open_orbits: int = 0
    solver_answers: int = 0
    undecided: tuple[ParameterRealisation, ...] = field(default=(), repr=False)

    def __int__(self) -> int:
        if self.open_patterns:
            upper = self.patterns + self.open_patterns
            raise Undecided(
                f"there are {self.patterns} to {upper} patterns: {self.open_orbits} orbits are "
                "open. Allow the solver more time",
                self.patterns,
                upper,
            )
        return self.patterns


class ParameterRegions:
    """All activation patterns that parameters can give a batch, one of each orbit.

    An iterable of `ParameterRealisation`, each "realised", or "unknown" if neither linear programs
    nor the solver in the time that it had could tell. Impossible patterns are left out.

    Parameters
    ----------
    widths : sequence of int
        ``(N_0, ..., N_L)``.
    X : ArrayLike of shape (n, N_0)
        Samples in rows.
    bias : bool or sequence of bool
        For all layers, or one per layer.
    solver_seconds : float, optional
        After so much time the SMT solver is not asked any more. The linear part goes on.
    question_seconds : float or None
        Time that the solver has for one question.
    progress : callable, optional
        Called as ``progress(done, total, note)`` for the words of the first layer.

    Raises
    ------
    InvalidInput
        If the arguments make no network or no batch, or a time is not positive.
    ShapeMismatch
        If a sample does not have N_0 numbers.

    Notes
    -----
    Source: arXiv 2402.08269; T2 and T39. The words of the first layer are any dichotomies of the
    batch. Then layer by layer: parameters are kept for each pattern of the layers below, and words
    that occur together above them are possible. Other words are decided as in
    `realise_parameters`; with one or two units, or one hidden layer, that takes no solver.

    Examples
    --------
    >>> regions = ParameterRegions((1, 2, 1), [[-1], [0], [2]])
    >>> [" ".join(region.words[0]) for region in regions][:8]
    ['000 000', '000 001', '000 011', '000 100', '000 110', '000 111', '001 001', '001 011']
    >>> regions.solver_answers
    {}
    """

    def __init__(
        self,
        widths: Sequence[int] | ReLUNetwork,
        X: ArrayLike,
        *,
        bias: bool | Sequence[bool] = True,
        solver_seconds: float | None = None,
        question_seconds: float | None = QUESTION_SECONDS,
        progress: Progress | None = None,
    ) -> None:
        self.space = ParameterSpace.read(widths, X, bias)
        self._solver = Solver(question_seconds, solver_seconds)
        self._progress = progress

    @property
    def solver_answers(self) -> dict[Verdict, int]:
        """How often the SMT solver has given each verdict so far.

        That no pattern is missing rests on its answers "impossible", and on linear programs.
        """
        return dict(self._solver.answers)

    def __iter__(self) -> Iterator[ParameterRealisation]:
        space = self.space
        root = LowerLayers(space)
        if not space.hidden_widths:
            yield self._record((), Answer("realised", "linear program", root))
            return
        found = self._dichotomies
        root.units.update((word, found.units[[i]]) for i, word in enumerate(found.words))
        yield from self._above(Beginning([root], self._solver), found.words)

    def count(self) -> ParameterCount:
        """Count the patterns, without enumerating them if there is one hidden layer.

        Returns
        -------
        ParameterCount

        Notes
        -----
        T39: one hidden layer of N units has C**N patterns in ``binom(C + N - 1, N)`` orbits, where
        C is the number of dichotomies of the batch.

        Examples
        --------
        >>> ParameterRegions((1, 50, 1), [[-1], [0], [2]]).count().patterns == 6**50
        True
        >>> ParameterRegions((1, 2, 2, 1), [[-1], [0], [2]]).count()
        ParameterCount(patterns=1760, orbits=559, open_patterns=0, open_orbits=0, solver_answers=0)
        """
        if len(self.space.hidden_widths) == 1:
            (units,) = self.space.hidden_widths
            number = len(self._dichotomies)
            return ParameterCount(number**units, comb(number + units - 1, units))
        patterns = dict.fromkeys(("realised", "unknown"), 0)
        orbits = dict(patterns)
        undecided = []
        for region in self:
            patterns[region.verdict] += region.multiplicity
            orbits[region.verdict] += 1
            if region.verdict == "unknown":
                undecided.append(region)
        return ParameterCount(
            patterns["realised"],
            orbits["realised"],
            patterns["unknown"],
            orbits["unknown"],
            self.solver_answers.get("impossible", 0),
            tuple(undecided),
        )

    def bound(self) -> int:
        """Bound the number of patterns from above without enumerating them.

        Returns
        -------
        int
            A product over hidden layers, of the numbers of patterns that a layer can have above one
            pattern of the layers below. Exact for one hidden layer.

        Notes
        -----
        The first layer has C**N_1, where C is the number of dichotomies. On a pattern of the
        layers below, the m = n N_l pre-activations of layer l are polynomials of degree l in the v
        parameters so far. They have at most 2**m strict sign patterns and, if v <= m, at most
        (4 e l m / v)**v (Warren, Lower bounds for approximation by nonlinear manifolds, 1968).
        Cover's number of dichotomies in dimension N_{l-1} is no bound for a word of layer l: it
        holds at fixed parameters of the layers below, and others have other words.

        Examples
        --------
        >>> ParameterRegions((1, 2, 2, 1), [[-1], [0], [2]]).bound()
        2304
        """
        space = self.space
        bound = 1
        variables = 0
        for layer, width in enumerate(space.hidden_widths):
            variables += width * (space.widths[layer] + space.has_bias[layer])
            if not layer:
                bound *= len(self._dichotomies) ** width
                continue
            forms = space.n_samples * width
            signs = 1 << forms
            if variables <= forms:  # e < 2.71829
                numerator = 4 * 271829 * (layer + 1) * forms
                signs = min(signs, numerator**variables // (100000 * variables) ** variables)
            bound *= signs
        return bound

    @cached_property
    def _dichotomies(self) -> Dichotomies:
        return dichotomies(self.space.features(self.space.batch, 0))

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.space.widths))
        return f"<ParameterRegions of {widths} at {self.space.n_samples} samples>"

    def _above(
        self, beginning: Beginning, candidates: Sequence[str]
    ) -> Iterator[ParameterRealisation]:
        """Yield the patterns that begin so, with some of these words in the next layer."""
        widths = self.space.hidden_widths
        depth = len(beginning.words)
        total = comb(len(candidates) + widths[depth] - 1, widths[depth])
        for number, words in enumerate(combinations_with_replacement(candidates, widths[depth])):
            if self._progress and not depth:
                self._progress(number, total, " ".join(words))
            answer = beginning.decide(words)
            whole = (*beginning.words, words)
            if answer.verdict == "impossible":
                continue
            if len(whole) == len(widths):
                yield self._record(whole, answer)
            elif answer.verdict == "unknown":
                yield from self._open(whole)
            else:
                longer = beginning.above(words)
                singly = (
                    word
                    for word in _all_words(self.space, whole)
                    if longer.decide([word]).verdict != "impossible"
                )
                yield from self._above(longer, list(singly))

    def _open(self, words: Words) -> Iterator[ParameterRealisation]:
        """Yield the patterns that begin so, when that is open already."""
        if len(words) == len(self.space.hidden_widths):
            yield self._record(words, Answer("unknown", "smt"))
            return
        width = self.space.hidden_widths[len(words)]
        for layer in combinations_with_replacement(_all_words(self.space, words), width):
            yield from self._open((*words, layer))

    def _record(self, words: Words, answer: Answer) -> ParameterRealisation:
        return ParameterRealisation(self.space, words, *answer)


def sampled_patterns(
    widths: Sequence[int],
    X: ArrayLike,
    n_points: int,
    *,
    seed: int | None = None,
    bias: bool | Sequence[bool] = True,
) -> BoolArray:
    """Collect the activation patterns of random parameters, every sign exact.

    Parameters
    ----------
    widths : sequence of int
        ``(N_0, ..., N_L)``.
    X : ArrayLike of shape (n, N_0)
    n_points : int
        Parameters to draw. Those at which a pre-activation is zero without need are left out.
    seed : int, optional
        Replays a draw.
    bias : bool or sequence of bool

    Returns
    -------
    boolean array of shape (number, n, H)
        The different patterns seen, in lexicographic order. Each of them is possible; there may be
        others.

    Raises
    ------
    InvalidInput
        If the arguments make no network or no batch, or `n_points` is negative.
    ShapeMismatch
        If a sample does not have N_0 numbers.

    Notes
    -----
    Parameters are integers of different sizes. The arithmetic is that of 64-bit integers where a
    bound on all numbers says that they fit, and of Python's integers elsewhere.

    Examples
    --------
    >>> sampled_patterns((1, 1, 1), [[-1], [1]], 1000, seed=0)[:, :, 0].tolist()
    [[False, False], [False, True], [True, False], [True, True]]
    """
    space = ParameterSpace.read(widths, X, bias)
    if not is_whole(n_points) or n_points < 0:
        raise InvalidInput(f"n_points={n_points} is no number of points; give 0 or more")
    rng = np.random.default_rng(seed)
    bits = space.n_samples * space.n_hidden
    seen = np.zeros((0, (bits + 7) // 8), np.uint8)
    for start in range(0, n_points, CHUNK):
        masks = _draw(space, min(CHUNK, n_points - start), rng)
        packed = np.packbits(masks.reshape(len(masks), bits), axis=1)
        seen = np.unique(np.vstack([seen, packed]), axis=0)
    masks = np.unpackbits(seen, axis=1, count=bits).astype(np.bool_)
    return masks.reshape(len(seen), space.n_samples, space.n_hidden)


def _draw(space: ParameterSpace, n_points: int, rng: np.random.Generator) -> BoolArray:
    """Draw parameters and return the patterns of those that are not on a boundary."""
    dtype = _integer_type(space)
    den = space.batch.denominator
    batch = np.array(space.batch.numerators(), dtype).reshape(space.batch.shape)
    h = np.broadcast_to(batch, (n_points, *batch.shape))  # den times the inputs of the layer
    layers = [np.zeros((n_points, space.n_samples, 0), np.bool_)]
    inside = np.ones(n_points, np.bool_)
    for layer, width in enumerate(space.hidden_widths):
        weights = _integers(rng, (n_points, space.widths[layer], width)).astype(dtype)
        z = h @ weights
        if space.has_bias[layer]:
            z = z + den * _integers(rng, (n_points, 1, width)).astype(dtype)
            needed = np.zeros((n_points, space.n_samples, 1), np.bool_)
        else:
            needed = (h == 0).all(axis=2, keepdims=True)
        inside &= ~((z == 0) & ~needed).any(axis=(1, 2))
        on = np.asarray(z > 0, np.bool_)
        layers.append(on)
        h = z * on
    return np.concatenate(layers, axis=2)[inside]


def _integers(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return rng.integers(-MANTISSA, MANTISSA + 1, shape) << rng.integers(0, EXPONENT + 1, shape)


def _integer_type(space: ParameterSpace) -> npt.DTypeLike:
    """Return the integers in which no number of the forward pass overflows."""
    den = space.batch.denominator
    parameter = MANTISSA << EXPONENT
    size = max(map(abs, space.batch.numerators()))
    for inputs in space.widths[:-2]:
        size = parameter * (inputs * size + den)
    return np.int64 if size < 1 << 62 else np.object_


def _all_words(space: ParameterSpace, words: Words) -> list[str]:
    """List the words of a layer that are off where its pre-activations are identically zero."""
    free = set(space.free(words))
    letters = ["01" if i in free else "0" for i in range(space.n_samples)]
    return ["".join(word) for word in product(*letters)]
