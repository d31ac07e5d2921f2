"""Independent answers: plain Fractions, sympy, brute force. Nothing here uses exactdim's engine."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from sympy import QQ
from sympy.polys.matrices import DomainMatrix

Matrix = list[list[Fraction]]
Layers = list[tuple[Matrix, list[Fraction] | None]]


def layers_of(net) -> Layers:
    """Weights and biases of a ReLUNetwork as lists of Fractions."""
    return [
        (W.tolist(), None if b is None else b.tolist()[0])
        for W, b in zip(net.weights, net.biases, strict=True)
    ]


def forward(layers: Layers, x: Sequence[Fraction]) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Output and the pre-activations of the hidden layers."""
    h, hidden = [Fraction(v) for v in x], []
    for index, (W, b) in enumerate(layers):
        z = [sum((w * v for w, v in zip(row, h, strict=True)), Fraction(0)) for row in W]
        if b is not None:
            z = [v + c for v, c in zip(z, b, strict=True)]
        if index == len(layers) - 1:
            return z, hidden
        hidden.append(z)
        h = [max(v, Fraction(0)) for v in z]
    raise AssertionError


def kinked(layers: Layers, x: Sequence[Fraction]) -> bool:
    """Whether a pre-activation is 0 without being identically 0 nearby (T2)."""
    _, hidden = forward(layers, x)
    h = list(x)
    for (_, b), z in zip(layers, hidden, strict=False):
        harmless = b is None and not any(h)
        if any(v == 0 for v in z) and not harmless:
            return True
        h = [max(v, Fraction(0)) for v in z]
    return False


def jacobian(layers: Layers, X: Matrix, *, softmax: bool = False) -> Matrix:
    """Jacobian of the formal mask a = [z > 0], one entry at a time by the chain rule."""
    rows: Matrix = []
    outputs = len(layers[-1][0])
    for x in X:
        _, hidden = forward(layers, x)
        inputs = [list(x)] + [[max(v, Fraction(0)) for v in z] for z in hidden]
        block = []
        for j in range(outputs):
            grad = [Fraction(int(j == k)) for k in range(outputs)]
            parts: list[list[Fraction]] = []
            for index in range(len(layers) - 1, -1, -1):
                W, b = layers[index]
                weight = [g * v for g in grad for v in inputs[index]]
                parts.append(weight + (grad if b is not None else []))
                if index:
                    back = [
                        sum((grad[m] * W[m][k] for m in range(len(W))), Fraction(0))
                        for k in range(len(W[0]))
                    ]
                    grad = [
                        g if z > 0 else Fraction(0)
                        for g, z in zip(back, hidden[index - 1], strict=True)
                    ]
            block.append([v for part in reversed(parts) for v in part])
        if softmax:
            last = block.pop()
            block = [[u - v for u, v in zip(row, last, strict=True)] for row in block]
        rows += block
    return rows


def rank(matrix: Matrix) -> int:
    """Rank over the rationals by sympy."""
    if not matrix or not matrix[0]:
        return 0
    shape = (len(matrix), len(matrix[0]))
    entries = [[QQ(v.numerator, v.denominator) for v in map(Fraction, row)] for row in matrix]
    return DomainMatrix(entries, shape, QQ).rank()


def fraction_rank(matrix: Matrix) -> int:
    """Rank by textbook elimination with Fractions: a second opinion beside sympy."""
    rows = [[Fraction(v) for v in row] for row in matrix]
    done = 0
    for c in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(done, len(rows)) if rows[i][c]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        for i in range(done + 1, len(rows)):
            factor = rows[i][c] / rows[done][c]
            rows[i] = [u - factor * v for u, v in zip(rows[i], rows[done], strict=True)]
        done += 1
    return done
