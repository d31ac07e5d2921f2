"""Hypothesis strategies for networks and batches, random and degenerate alike."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import strategies as st

import exactdim as ed

small_integers = st.integers(-2, 2)
fractions = st.fractions(min_value=-3, max_value=3, max_denominator=8)
entries = st.one_of(small_integers, small_integers, fractions)


@st.composite
def matrices(draw, max_side: int = 6) -> list[list[Fraction]]:
    """Rational matrices, often of deficient rank."""
    rows, columns = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    row = st.lists(entries, min_size=columns, max_size=columns)
    table = [[Fraction(v) for v in draw(row)] for _ in range(rows)]
    for _ in range(draw(st.integers(0, 3))):  # force dependent rows
        i, j, k = (draw(st.integers(0, rows - 1)) for _ in range(3))
        table[i] = [u - 2 * v for u, v in zip(table[j], table[k], strict=True)]
    return table


@st.composite
def networks(draw, *, max_depth: int = 3, max_width: int = 4, min_depth: int = 1) -> ed.ReLUNetwork:
    """Any depth down to one affine layer, any biases, and every accident of section 12."""
    widths = draw(
        st.lists(st.integers(1, max_width), min_size=min_depth + 1, max_size=max_depth + 1)
    )
    weights, biases = [], []
    for inputs, outputs in itertools.pairwise(widths):
        row = st.lists(entries, min_size=inputs, max_size=inputs)
        weights.append(draw(st.lists(row, min_size=outputs, max_size=outputs)))
        has_bias = draw(st.sampled_from([True, True, True, False]))
        bias = st.lists(entries, min_size=outputs, max_size=outputs)
        biases.append(draw(bias) if has_bias else None)
    for layer in range(len(weights) - 1):
        accident = draw(
            st.sampled_from([
                "none",
                "none",
                "duplicate",
                "opposite",
                "dead",
                "constant",
                "unread",
                "dead layer",
            ])
        )
        W, b, after = weights[layer], biases[layer], weights[layer + 1]
        unit = draw(st.integers(0, len(W) - 1))
        other = draw(st.integers(0, len(W) - 1))
        if accident in {"duplicate", "opposite"}:
            sign = 1 if accident == "duplicate" else -1
            W[unit] = [sign * v for v in W[other]]
            if b is not None:
                b[unit] = sign * b[other]
        elif accident in {"dead", "constant"} and b is not None:
            W[unit] = [0] * len(W[unit])
            b[unit] = -1 if accident == "dead" else 1
        elif accident == "unread":
            for row in after:
                row[unit] = 0
        elif accident == "dead layer" and b is not None:
            for k in range(len(W)):
                W[k], b[k] = [0] * len(W[k]), -1
    return ed.ReLUNetwork(weights, biases)


@st.composite
def batches(draw, net: ed.ReLUNetwork, *, max_size: int = 6) -> list[list[Fraction]]:
    """Samples with repeats, multiples, collinear ones and the origin."""
    width = net.widths[0]
    point = st.lists(entries, min_size=width, max_size=width)
    X = draw(st.lists(point, min_size=1, max_size=max_size))
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["repeat", "multiple", "zero", "midpoint"]))
        first, second = draw(st.sampled_from(X)), draw(st.sampled_from(X))
        if kind == "repeat":
            X.append(list(first))
        elif kind == "multiple":
            X.append([3 * v for v in first])
        elif kind == "zero":
            X.append([0] * width)
        else:
            X.append([Fraction(u + v) / 2 for u, v in zip(first, second, strict=True)])
    return [[Fraction(v) for v in x] for x in X]


@st.composite
def problems(draw, **options) -> tuple[ed.ReLUNetwork, list[list[Fraction]]]:
    """A network with a batch."""
    net = draw(networks(**options))
    return net, draw(batches(net))
