"""The weighted Gram matrix of the Jacobian modulo a small prime, without the Jacobian.

For large networks the Jacobian itself does not fit. ``J D J^T`` with a random diagonal D of
Kronecker structure is built layer by layer from small factors; its rank never exceeds that of J and
equals the rank of J modulo p with probability at least ``1 - 2 rank / p`` (T24).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from exactdim.arith.elimination import INNER, PRIME_BITS, centred, matmul_mod, reduce_in_place
from exactdim.arith.matrix import QMatrix
from exactdim.arith.parallel import strip_workers
from exactdim.arith.primes import descending_primes
from exactdim.arith.rationals import FloatArray
from exactdim.errors import DenominatorDivisible
from exactdim.nets.jacobian import JacobianFactors, head_matrix

__all__ = [
    "Folding",
    "JacobianEntries",
    "column_gram",
    "exact_residues",
    "jacobian_block",
    "live_columns",
    "modular_factors",
    "usable_prime",
    "weighted_gram",
]

STRIP = 128

TILE = 1024


def usable_prime(problem: JacobianFactors) -> int:
    """Return the largest prime of 23 bits that divides no denominator of network and batch.

    Parameters
    ----------
    problem : JacobianFactors

    Returns
    -------
    int
        For choices that need no chance; random primes are drawn elsewhere.
    """
    net = problem.net
    parts = [problem.batch, *net.weights, *(b for b in net.biases if b is not None)]
    denominators = {part.denominator for part in parts}
    return next(p for p in descending_primes(2**PRIME_BITS) if all(den % p for den in denominators))


def modular_factors(problem: JacobianFactors, p: int) -> list[tuple[FloatArray, FloatArray]]:
    """Compute the factors of the Jacobian modulo a prime of at most 23 bits.

    Parameters
    ----------
    problem : JacobianFactors
        Its exact factors are not computed: with the pattern known, evaluation is linear algebra.
    p : int

    Returns
    -------
    list of (float64 array of shape (n * d, N_{l+1}), float64 array of shape (n, N_l or N_l + 1))
        Per layer the sensitivities and the features, as centred residues.
    """
    net, layers = problem.net, problem.pattern.layers
    n, d = problem.batch.shape[0], problem.outputs
    weights = [exact_residues(W, p) for W in net.weights]
    h, features = exact_residues(problem.batch, p), []
    for layer in range(net.depth):
        bias = net.biases[layer]
        z = matmul_mod(h, weights[layer].T, p)
        if bias is not None:
            z += exact_residues(bias, p)
            h = np.hstack([h, np.ones((n, 1))])
        features.append(h)
        if layer < net.depth - 1:
            h = np.where(layers[layer], z, 0.0)
            reduce_in_place(h, p)
    current = np.tile(exact_residues(head_matrix(problem.head, net.widths[-1]), p), (n, 1))
    sensitivities = [current]
    for layer in range(net.depth - 2, -1, -1):
        mask = np.repeat(layers[layer], d, axis=0)
        current = np.where(mask, matmul_mod(current, weights[layer + 1], p), 0.0)
        sensitivities.append(current)
    return list(zip(sensitivities[::-1], features, strict=True))


def live_columns(problem: JacobianFactors, p: int) -> list[int]:
    """List the columns of the Jacobian that are not zero by zeros of the factors modulo p.

    Parameters
    ----------
    problem : JacobianFactors
    p : int

    Returns
    -------
    list of int
        Columns as in `ReLUNetwork.parameters`.
    """
    n, d = problem.batch.shape[0], problem.outputs
    live = []
    for layer, (M, h) in enumerate(modular_factors(problem, p)):
        moved = (M != 0).reshape(n, d, M.shape[1]).any(axis=1)
        met = moved.T.astype(np.float32) @ (h != 0).astype(np.float32) > 0
        inputs = problem.net.widths[layer]
        live += [met[:, :inputs].ravel(), met[:, inputs:].ravel()]
    return [int(j) for j in np.flatnonzero(np.concatenate(live))]


def jacobian_block(
    problem: JacobianFactors,
    p: int,
    rows: Sequence[int] | None = None,
    columns: Sequence[int] | None = None,
) -> FloatArray:
    """Form a part of the Jacobian modulo a prime of at most 23 bits.

    Parameters
    ----------
    problem : JacobianFactors
    p : int
    rows, columns : sequence of int, optional
        All by default.

    Returns
    -------
    float64 array of shape (len(rows), len(columns))
        Centred residues; columns as in `ReLUNetwork.parameters`.
    """
    return JacobianEntries(problem, p, columns).block(
        range(problem.shape[0]) if rows is None else rows
    )


class JacobianEntries:
    """Entries of the Jacobian modulo p at some columns.

    Parameters
    ----------
    problem : JacobianFactors
    p : int
    columns : sequence of int or None
        All by default.
    """

    def __init__(self, problem: JacobianFactors, p: int, columns: Sequence[int] | None) -> None:
        self.p, self.d = p, max(problem.outputs, 1)
        widths, has_bias = problem.net.widths, problem.net.has_bias
        places = []  # unit and input of each column, by layer
        for layer, inputs in enumerate(widths[:-1]):
            units = widths[layer + 1]
            unit, source = np.divmod(np.arange(units * inputs), max(inputs, 1))
            if has_bias[layer]:
                unit = np.concatenate([unit, np.arange(units)])
                source = np.concatenate([source, np.full(units, inputs)])
            places.append(np.stack([unit, source]))
        wanted = np.arange(problem.shape[1]) if columns is None else np.asarray(columns, dtype=int)
        first, self.layers = 0, []
        for (M, h), place in zip(modular_factors(problem, p), places, strict=True):
            inside = (first <= wanted) & (wanted < first + place.shape[1])
            unit, source = place[:, wanted[inside] - first]
            self.layers.append((np.flatnonzero(inside), M, unit, h, source))
            first += place.shape[1]
        self.width = len(wanted)

    def block(self, rows: Sequence[int]) -> FloatArray:
        """Form some rows.

        Parameters
        ----------
        rows : sequence of int

        Returns
        -------
        float64 array of shape (len(rows), columns)
            Centred residues.
        """
        picked = np.asarray(rows, dtype=np.intp)
        out = np.empty((len(picked), self.width))
        for where, M, unit, h, source in self.layers:
            part = M[np.ix_(picked, unit)] * h[np.ix_(picked // self.d, source)]
            reduce_in_place(part, self.p)
            out[:, where] = part
        return out


def column_gram(
    problem: JacobianFactors,
    p: int,
    columns: Sequence[int],
    rng: random.Random | None = None,
    *,
    tick: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Build ``J^T D J`` at some columns modulo a prime of at most 23 bits, rows streamed.

    Parameters
    ----------
    problem : JacobianFactors
    p : int
    columns : sequence of int
    rng : random.Random, optional
        Source of the diagonal D; the operating system's entropy by default.
    tick : callable, optional
        Called as ``tick(rows done, rows)``; may raise to stop.

    Returns
    -------
    float64 array of shape (len(columns), len(columns))
        Centred residues.

    Notes
    -----
    2 n d len(columns)**2 operations. By Cauchy and Binet each minor is a polynomial of degree r in
    D that is not zero where the Jacobian's rank is r, so the rank is kept with probability at least
    1 - r / p.
    """
    rng = rng or random.SystemRandom()
    entries, rows = JacobianEntries(problem, p, columns), problem.shape[0]
    gram = np.zeros((len(columns), len(columns)))
    with strip_workers() as for_each:
        for first in range(0, rows, INNER):
            if tick is not None:
                tick(first, rows)
            part = entries.block(range(first, min(first + INNER, rows)))
            weighted = np.ascontiguousarray(_weighted(part.T, p, rng))

            def build(start: int, part: FloatArray = part, weighted: FloatArray = weighted) -> None:
                strip = gram[start : start + STRIP]
                strip += weighted[start : start + STRIP] @ part
                reduce_in_place(strip, p)

            for_each(build, range(0, len(columns), STRIP))
    return gram


def weighted_gram(
    problem: JacobianFactors,
    p: int,
    rng: random.Random | None = None,
    *,
    fold: int | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Build ``J D J^T`` modulo a prime of at most 23 bits.

    Parameters
    ----------
    problem : JacobianFactors
    p : int
    rng : random.Random, optional
        Source of the weights; the operating system's entropy by default.
    fold : int, optional
        Add rows up, at random and with random weights, to so many: ``F J D J^T F^T``.
    tick : callable, optional
        Called as ``tick(rows done, rows)``; may raise to stop.

    Returns
    -------
    float64 array of shape (n * d, n * d) or (fold, fold)
        Centred residues.

    Notes
    -----
    Layer by layer ``(M diag(u) M^T) o (h~ diag(s) h~^T (x) 1 1^T)`` with uniform u and s: O((n d)^2
    sum N_l + n^2 sum N_l) operations, independent of P, and one matrix of that size in memory. A
    plain Gram matrix (D = I) can lose rank modulo arbitrarily large primes.
    """
    rng = rng or random.SystemRandom()
    rows, n, d = problem.shape[0], problem.n, problem.outputs
    step = max(TILE // max(d, 1), 1)
    terms = []
    for M, h in modular_factors(problem, p):
        weighted = _weighted(h, p, rng)
        terms.append((_weighted(M, p, rng), M, matmul_mod(weighted, h.T, p)))
    folding = Folding(rows, fold, p, rng) if fold is not None and fold < rows else None
    size = rows if folding is None else folding.size
    gram = np.zeros((size, size))

    def strip_of(picked: npt.NDArray[np.intp]) -> FloatArray:
        strip = np.zeros((len(picked), rows))
        for first in range(0, n, step):  # by tiles, whose temporaries stay in the cache
            samples = slice(first, min(first + step, n))
            columns = slice(samples.start * d, samples.stop * d)
            tile = strip[:, columns]
            for weighted, M, inputs in terms:
                outputs = matmul_mod(weighted[picked], M[columns].T, p)
                outputs *= np.repeat(inputs[picked // d, samples], d, axis=1)
                tile += outputs
                reduce_in_place(tile, p)
        return strip

    def build(start: int) -> None:
        places = np.arange(start, min(start + STRIP, size))
        gram[places] = strip_of(places) if folding is None else folding.fold(strip_of, places)

    with strip_workers() as for_each:
        for first in range(0, size, 16 * STRIP):
            if tick is not None:
                tick(first, size)
            for_each(build, range(first, min(first + 16 * STRIP, size), STRIP))
    return gram


class Folding:
    """Sums of rows with random weights; each row is in two of them.

    In one only, two rows that alone carry a direction each would often meet in a sum.

    Parameters
    ----------
    rows : int
    size : int
        Number of sums.
    p : int
    rng : random.Random
    """

    def __init__(self, rows: int, size: int, p: int, rng: random.Random) -> None:
        self.size, self.p = size, p
        depth = -(-rows // size)
        orders, weights = list[int](), list[int]()
        for _ in range(2):
            order = list(range(rows))
            rng.shuffle(order)
            padding = [0] * (depth * size - rows)
            orders += order + padding
            weights += [rng.randrange(1, p) for _ in range(rows)] + padding
        self.order = np.array(orders).reshape(2 * depth, size)
        self.weights = centred(np.array(weights, dtype=np.int64), p).reshape(2 * depth, size)

    def fold(
        self, strip_of: Callable[[npt.NDArray[np.intp]], FloatArray], places: npt.NDArray[np.intp]
    ) -> FloatArray:
        """Add up the rows, and the columns, that belong to some of the sums.

        Parameters
        ----------
        strip_of : callable
            Makes rows of the matrix.
        places : array of int
            The sums.

        Returns
        -------
        float64 array of shape (len(places), size)
        """
        out = np.zeros((len(places), self.size))
        for picked, weights in zip(self.order[:, places], self.weights[:, places], strict=True):
            strip = strip_of(picked)
            for columns, factors in zip(self.order, self.weights, strict=True):
                part = strip[:, columns] * factors
                reduce_in_place(part, self.p)
                part *= weights[:, None]
                out += part
                reduce_in_place(out, self.p)
        return out


def _weighted(A: FloatArray, p: int, rng: random.Random) -> FloatArray:
    weights = centred(np.array([rng.randrange(p) for _ in range(A.shape[1])], dtype=np.int64), p)
    out = A * weights
    reduce_in_place(out, p)
    return out


def exact_residues(A: QMatrix, p: int) -> FloatArray:
    """Reduce a rational matrix to centred residues.

    Parameters
    ----------
    A : QMatrix of shape (m, n)
    p : int
        A prime of at most 23 bits.

    Returns
    -------
    float64 array of shape (m, n)

    Raises
    ------
    DenominatorDivisible
        If the prime divides the denominator.
    """
    if A.denominator % p == 0:
        raise DenominatorDivisible(f"{p} divides a denominator; take another prime")
    inverse = pow(A.denominator, -1, p)
    flat = np.array([x % p for x in A.numerators()], dtype=np.int64) * inverse
    return centred(flat.reshape(A.shape), p)
