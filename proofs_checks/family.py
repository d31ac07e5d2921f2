"""What the checks share: a small family to be gone through completely, and plain arithmetic.

The plain arithmetic uses nothing of the package but the numbers in a network. It is what the
package is compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy
from sympy.polys.matrices import DomainMatrix

import exactdim as ed

__all__ = [
    "ARCHITECTURES",
    "BATCH",
    "GE1",
    "GE2",
    "LARGE_ARCHITECTURES",
    "SAMPLES",
    "Circuits",
    "block_jacobian",
    "layers",
    "masked_outputs",
    "masked_pass",
    "masks",
    "patterns_of_the_inputs",
    "plain_rank",
    "point",
    "sympy_rank",
    "ternary_networks",
    "words",
]

GE1 = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
"""f(x) = 3 relu(2 x - 1) + 5, theta = (w, b, v, c) = (2, -1, 3, 5)."""

GE2 = ed.ReLUNetwork([[[2]], [[0]]], [[-1], [5]])
"""The same with v = 0."""

BATCH = [[0], [1], [2]]
"""The batch of both; its mask is 0, 1, 1."""

SAMPLES = {1: [["1/3"], ["-3/2"], [2]], 2: [["1/3", 2], ["-3/2", "1/2"], [2, -3]]}
"""Batches for the small family, by the number of inputs; some of its networks have kinks there."""

ARCHITECTURES: tuple[tuple[tuple[int, ...], bool], ...] = (
    ((1, 1), True),
    ((1, 1, 1), True),
    ((1, 2, 1), False),
    ((2, 1, 1), False),
    ((1, 1, 2), False),
    ((1, 1, 1, 1), False),
)
"""Widths up to 2, with or without biases, small enough for every choice of weights in -1, 0, 1."""

LARGE_ARCHITECTURES = (((1, 2, 1), True), ((2, 2, 1), False), ((1, 1, 1, 1), True))
"""Thousands of networks each."""


def ternary_networks(widths: Sequence[int], bias: bool) -> Iterator[ed.ReLUNetwork]:
    """All networks with weights and biases in {-1, 0, 1}."""
    zeros = ed.ReLUNetwork(
        [[[0] * n for _ in range(m)] for n, m in itertools.pairwise(widths)],
        [[0] * m if bias else None for m in widths[1:]],
    )
    for theta in itertools.product((-1, 0, 1), repeat=zeros.n_parameters):
        yield zeros.with_parameters([theta])


def masks(samples: int, units: int) -> Iterator[npt.NDArray[np.bool_]]:
    """All formal masks of some samples and hidden units."""
    for bits in itertools.product((False, True), repeat=samples * units):
        yield np.array(bits, np.bool_).reshape(samples, units)


# -- plain arithmetic ------------------------------------------------------------------------------


def layers(net: ed.ReLUNetwork) -> Iterator[tuple[Any, Any]]:
    """Yield weights and biases as arrays of Fractions; zeros stand for a missing bias."""
    for W, b in zip(net.weights, net.biases, strict=True):
        yield W.to_numpy(object), np.zeros(W.shape[0], int) if b is None else b.to_numpy(object)[0]


def point(x: Iterable[Any]) -> Any:
    """Return a sample as an array of Fractions."""
    return np.array([Fraction(v) for v in x], object)


def words(net: ed.ReLUNetwork, row: Any) -> list[Any]:
    """Cut a row of a mask into hidden layers."""
    ends = itertools.accumulate(net.widths[1:-1])
    return [np.array(row[e - n : e], int) for n, e in zip(net.widths[1:-1], ends, strict=True)]


def masked_pass(net: ed.ReLUNetwork, x: Any, row: Any) -> tuple[list[Any], Any]:
    """Return h_0, ..., h_{L-1} and the outputs z_L of a formal mask at one sample."""
    inputs = [point(x)]
    for (W, b), a in zip(layers(net), [*words(net, row), 1], strict=True):
        inputs.append((W @ inputs[-1] + b) * a)
    return inputs[:-1], inputs[-1]


def masked_outputs(net: ed.ReLUNetwork, X: Any, mask: Any) -> list[list[Fraction]]:
    """Return the outputs of a formal mask."""
    return [list(masked_pass(net, x, row)[1]) for x, row in zip(X, mask, strict=True)]


def block_jacobian(net: ed.ReLUNetwork, X: Any, mask: Any) -> ed.QMatrix:
    """Return the Jacobian of a formal mask.

    Row blocks are [ M_1 (x) h~_0 | ... | M_L (x) h~_{L-1} ] with M_l = dz_L / dz_l, so M_L = I and
    M_l = M_{l+1} W_{l+1} diag(a_l); h~ is h, with a 1 appended if the next layer has a bias.
    Columns go layer by layer, the weight row-major and then the bias.
    """
    weights, rows = [W for W, _ in layers(net)], []
    for x, row in zip(X, mask, strict=True):
        inputs, outputs = masked_pass(net, x, row)
        M, blocks = np.eye(len(outputs), dtype=int).astype(object), []
        for level in reversed(range(net.depth)):
            bias = [M] if net.has_bias[level] else []
            blocks = [np.kron(M, inputs[level]), *bias, *blocks]
            if level:
                M = M @ weights[level] * words(net, row)[level - 1]
        rows.append(np.hstack(blocks))
    return ed.QMatrix(np.vstack(rows).tolist())


def sympy_rank(A: ed.QMatrix) -> int:
    """Compute the rank over the rationals by another program."""
    table = [[sympy.QQ(x.numerator, x.denominator) for x in row] for row in A.tolist()]
    return int(DomainMatrix(table, A.shape, sympy.QQ).rank())


def plain_rank(rows: Iterable[Iterable[Any]], p: int) -> int:
    """Compute the rank of an integer matrix modulo a prime, by elimination."""
    left = [[int(v) % p for v in row] for row in rows]
    rank = 0
    while left:
        row = left.pop()
        pivot = next((j for j, v in enumerate(row) if v), None)
        if pivot is None:
            continue
        rank += 1
        inverse = pow(row[pivot], -1, p)
        left = [
            [(v - other[pivot] * inverse * u) % p for u, v in zip(row, other, strict=True)]
            for other in left
        ]
    return rank


def relation(rows: Sequence[Sequence[Any]]) -> list[Fraction] | None:
    """Return c with sum c_i row_i = 0 and c_last = 1 if only the last row is dependent."""
    basis: list[tuple[int, list[Fraction], list[Fraction]]] = []
    for i, row in enumerate(rows):
        v, c = [Fraction(x) for x in row], [Fraction(i == j) for j in range(len(rows))]
        for pivot, u, d in basis:
            if v[pivot]:
                f = v[pivot] / u[pivot]
                v = [x - f * y for x, y in zip(v, u, strict=True)]
                c = [x - f * y for x, y in zip(c, d, strict=True)]
        pivot = next((j for j, x in enumerate(v) if x), None)
        if pivot is None:
            return c
        basis.append((pivot, v, c))
    return None


class Circuits:
    """Which signs vectors can have under a linear form, by Gordan's theorem.

    For vectors x_1, ..., x_n there is a u with x_i . u > 0 for all i, unless sum c_i x_i = 0 with
    c >= 0, not all zero (Gordan). Such a c of smallest support belongs to a circuit: vectors that
    are dependent while any fewer of them are not; its relation is unique up to a factor. So signs
    s_i are possible unless s_i c_i has one sign on some circuit.
    """

    def __init__(self, vectors: Sequence[Sequence[Any]]) -> None:
        self.vectors = [list(v) for v in vectors]

    @cached_property
    def relations(self) -> list[dict[int, int]]:
        """The signs of the relation of each circuit."""
        found: list[dict[int, int]] = []
        n, largest = len(self.vectors), len(self.vectors[0]) + 1 if self.vectors else 0
        for size in range(1, min(n, largest) + 1):
            for chosen in itertools.combinations(range(n), size):
                if any(circuit.keys() <= set(chosen) for circuit in found):
                    continue
                c = relation([self.vectors[i] for i in chosen])
                if c is not None:
                    found.append({i: 1 if x > 0 else -1 for i, x in zip(chosen, c, strict=True)})
        return found

    def possible(self, word: Sequence[int]) -> bool:
        """Tell whether a form is positive where the word has 1 and negative where it has 0."""
        signs = [1 if bit else -1 for bit in word]
        return not any(
            len({sign * signs[i] for i, sign in circuit.items()}) == 1 for circuit in self.relations
        )

    def words(self, start: Sequence[int] = ()) -> Iterator[tuple[int, ...]]:
        """List the possible words that begin in some way."""
        for rest in itertools.product((0, 1), repeat=len(self.vectors) - len(start)):
            if self.possible((*start, *rest)):
                yield (*start, *rest)


def patterns_of_the_inputs(net: ed.ReLUNetwork) -> Iterator[tuple[tuple[int, ...], bool]]:
    """Yield the masks of all activation regions of input space, and if units vanish there.

    A unit whose affine form is identically zero is off; it vanishes if it would not stay zero for
    all parameters nearby (T2). Other forms must be positive where on and negative where off.
    """
    stack: list[tuple[tuple[int, ...], list[list[Fraction]], bool]] = [
        ((), [[Fraction(0)] * net.widths[0] + [Fraction(1)]], False)
    ]
    affine = list(layers(net))
    while stack:
        mask, rows, vanishing = stack.pop()
        level = len([e for e in itertools.accumulate(net.widths[1:-1]) if e <= len(mask)])
        if level == net.depth - 1:
            yield mask, vanishing
            continue
        forms = np.eye(net.widths[0] + 1, dtype=int).astype(object)[:-1]
        start, a = 0, np.ones(net.widths[0], int)
        for (W, b), width in zip(affine[: level + 1], net.widths[1:], strict=False):
            shift = np.zeros((width, net.widths[0] + 1), object)
            shift[:, -1] = b
            forms = W @ (forms * np.reshape(a, (-1, 1))) + shift
            a = np.array(mask[start : start + width], int)
            start += width
        below = mask[len(mask) - net.widths[level] :] if level else (1,)
        zero = [not any(form) for form in forms.tolist()]
        vanishing |= any(zero) and (net.has_bias[level] or any(below))
        here = [form for form, none in zip(forms.tolist(), zero, strict=True) if not none]
        for word in Circuits([*rows, *here]).words([1] * len(rows)):
            bits = iter(word[len(rows) :])
            layer = tuple(0 if none else next(bits) for none in zero)
            signed = [
                [v if bit else -v for v in form]
                for form, bit in zip(here, word[len(rows) :], strict=True)
            ]
            stack.append((mask + layer, rows + signed, vanishing))
