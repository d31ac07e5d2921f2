"""Closed formulas for the rank of one-hidden-layer networks.

For almost every parameter with a given activation pattern, the rank of the Jacobian depends on the
batch and on the columns of the pattern only: each unit contributes the span of the samples at which
it is on. Units that share a column are *aligned* and share that span.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.nets.patterns import masks_of

__all__ = ["ShallowRank", "ShallowRanks"]


@dataclass(frozen=True)
class ShallowRank:
    """What the formulas say about the generic rank of one pattern.

    Attributes
    ----------
    value : int
        An upper bound, for every parameter.
    attained : bool
        Whether it is the rank at almost every parameter with this pattern.
    statement : str
        The reason as a sentence.
    """

    value: int
    attained: bool
    statement: str


class ShallowRanks:
    """Generic ranks of all patterns of a one-hidden-layer network at one batch.

    Parameters
    ----------
    features : QMatrix of shape (n, N_0 + 1) or (n, N_0)
        The samples, with a column of ones if the hidden layer has a bias.
    n_outputs : int
    output_bias : bool

    Notes
    -----
    Source: arXiv 2402.08269; T15 and T16. With U_a the span of the samples that pattern a keeps,
    the column space of J is the sum over the units of ``U_a (x) v + h (x) R^N`` and of
    ``1 (x) R^N``: v is the unit's column of output weights, h its activations. One output: the sum
    of the U_a over the distinct patterns, whatever their number of units. Several: a pattern with m
    units adds ``u d + h (N - d)``, ``u = dim U_a``, ``d = min(m, N)``, ``h = min(m, u)``, exactly
    if the U_a are independent. What is computed once per pattern is kept.

    Examples
    --------
    >>> line = QMatrix([[0, 1], [1, 1], [2, 1]])
    >>> ShallowRanks(line, 1, True).of(["011"]).value
    3
    """

    def __init__(self, features: QMatrix, n_outputs: int, output_bias: bool) -> None:
        self.features = features
        self.n_outputs = n_outputs
        self.ones = QMatrix.ones(features.shape[0], 1)
        self.output_bias = output_bias
        self._kept: dict[str, tuple[QMatrix, int]] = {}

    def of(self, columns: Iterable[str]) -> ShallowRank:
        """Return the generic rank of the pattern with these columns, one word per unit.

        Parameters
        ----------
        columns : iterable of str
            One letter 0 or 1 per sample.

        Returns
        -------
        ShallowRank
            Always attained if there is one output.
        """
        units = Counter(column for column in columns if "1" in column)
        spans = QMatrix.hstack([
            QMatrix.zeros(self.features.shape[0], 0),
            *(self._span(word)[0] for word in units),
        ])
        if self.n_outputs == 1:
            together = QMatrix.hstack([spans, self.ones]) if self.output_bias else spans
            return ShallowRank(
                together.rank(),
                True,
                f"span of the samples kept by each of {len(units)} distinct unit patterns",
            )
        return self._several_outputs(units, spans)

    def _several_outputs(self, units: Counter[str], spans: QMatrix) -> ShallowRank:
        n_outputs, total, apart = self.n_outputs, 0, 0
        for word, m in units.items():
            u = self._span(word)[1]
            d, h = min(m, n_outputs), min(m, u)
            total += u * d + h * (n_outputs - d)
            apart += u
        independent = spans.rank() == apart
        bias = n_outputs if self.output_bias else 0
        if bias and independent and self._with_ones(units.keys()) == apart:
            # The ones are a sum of parts 1_a in the U_a. A part is there already with every output
            # if it is zero or the activations fill U_a, else with the span of its units' v only.
            lost = 0
            for word, m in units.items():
                u = self._span(word)[1]
                if m < min(u, n_outputs) and self._with_ones(units.keys() - {word}) > apart - u:
                    lost += n_outputs - m
            bias = min(n_outputs, lost)
        return ShallowRank(
            total + bias,
            independent,
            f"spans kept by {len(units)} distinct unit patterns, each with the outputs and "
            "activations that its units can fill",
        )

    def _with_ones(self, words: Iterable[str]) -> int:
        """Return the dimension of the sum of spans, with the constant vector."""
        return QMatrix.hstack([self.ones, *(self._span(word)[0] for word in words)]).rank()

    def _span(self, word: str) -> tuple[QMatrix, int]:
        """Return the samples that a pattern keeps, and the dimension of their span."""
        found = self._kept.get(word)
        if found is None:
            on = np.repeat(masks_of([word]).T, self.features.shape[1], axis=1)
            kept = self.features.masked(on)
            self._kept[word] = found = kept, kept.rank()
        return found
