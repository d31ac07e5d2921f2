"""The question whether polynomial inequalities have a solution, put to an SMT solver."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from exactdim.arith.matrix import QMatrix
from exactdim.errors import InvalidInput, MissingDependency
from exactdim.regions.parameter_space import LowerLayers, ParameterSpace, Verdict, Words

__all__ = ["Solver"]

MOST_BITS = 1 << 14
"""Bits to which a number of the solver is rounded before it is given up."""


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
        How many questions got each verdict; none is asked twice.

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
        self._known: dict[Any, tuple[Verdict, LowerLayers | None]] = {}

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
        question = (space.widths, space.has_bias, space.batch, words, whole)
        if question not in self._known:
            self._known[question] = answer = self._ask(_System(space, words, whole))
            self.answers[answer[0]] += 1
        return self._known[question]

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
