"""The weighted Gram matrix of the Jacobian modulo a small prime, without the Jacobian.

For large networks the Jacobian itself does not fit. ``J D J^T`` with a random diagonal D of
Kronecker structure is built layer by layer from small factors; its rank never exceeds that of J and
equals the rank of J modulo p with probability at least ``1 - 2 rank / p`` (T24).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from exactdim.arith.elimination import centred, matmul_mod, reduce_in_place
from exactdim.arith.matrix import QMatrix
from exactdim.arith.parallel import strip_workers
from exactdim.arith.rationals import FloatArray
from exactdim.errors import DenominatorDivisible
from exactdim.nets.jacobian import JacobianFactors, head_matrix

__all__ = ["jacobian_rows", "modular_factors", "weighted_gram"]

STRIP = 128


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
    weights = [_residues(W, p) for W in net.weights]
    h, features = _residues(problem.batch, p), []
    for layer in range(net.depth):
        bias = net.biases[layer]
        z = matmul_mod(h, weights[layer].T, p)
        if bias is not None:
            z += _residues(bias, p)
            h = np.hstack([h, np.ones((n, 1))])
        features.append(h)
        if layer < net.depth - 1:
            h = np.where(layers[layer], z, 0.0)
            reduce_in_place(h, p)
    current = np.tile(_residues(head_matrix(problem.head, net.widths[-1]), p), (n, 1))
    sensitivities = [current]
    for layer in range(net.depth - 2, -1, -1):
        mask = np.repeat(layers[layer], d, axis=0)
        current = np.where(mask, matmul_mod(current, weights[layer + 1], p), 0.0)
        sensitivities.append(current)
    return list(zip(sensitivities[::-1], features, strict=True))


def jacobian_rows(problem: JacobianFactors, rows: Sequence[int], p: int) -> FloatArray:
    """Form some rows of the Jacobian modulo a prime of at most 23 bits.

    Parameters
    ----------
    problem : JacobianFactors
    rows : sequence of int
    p : int

    Returns
    -------
    float64 array of shape (len(rows), P)
        Centred residues; columns as in `ReLUNetwork.parameters`.
    """
    picked = np.asarray(rows, dtype=np.intp)
    samples = picked // max(problem.outputs, 1)
    blocks = []
    for layer, (M, h) in enumerate(modular_factors(problem, p)):
        left, inputs = M[picked], h[samples, : problem.net.widths[layer]]
        weight = left[:, :, None] * inputs[:, None, :]
        weight = weight.reshape(len(picked), left.shape[1] * inputs.shape[1])
        reduce_in_place(weight, p)
        blocks.append(weight)
        if problem.net.biases[layer] is not None:
            blocks.append(left)
    return np.hstack(blocks)


def weighted_gram(
    problem: JacobianFactors,
    p: int,
    rng: random.Random | None = None,
    *,
    tick: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Build ``J D J^T`` modulo a prime of at most 23 bits.

    Parameters
    ----------
    problem : JacobianFactors
    p : int
    rng : random.Random, optional
        Source of the weights; the operating system's entropy by default.
    tick : callable, optional
        Called as ``tick(rows done, rows)``; may raise to stop.

    Returns
    -------
    float64 array of shape (n * d, n * d)
        Centred residues.

    Notes
    -----
    Layer by layer ``(M diag(u) M^T) o (h~ diag(s) h~^T (x) 1 1^T)`` with uniform u and s: O((n d)^2
    sum N_l + n^2 sum N_l) operations, independent of P, and one matrix of that size in memory. A
    plain Gram matrix (D = I) can lose rank modulo arbitrarily large primes.
    """
    rng = rng or random.SystemRandom()
    rows, d = problem.shape[0], problem.outputs
    terms = []
    for M, h in modular_factors(problem, p):
        weighted = _weighted(h, p, rng)
        terms.append((_weighted(M, p, rng), M, matmul_mod(weighted, h.T, p)))
    gram = np.zeros((rows, rows))

    def build(start: int) -> None:
        strip = gram[start : start + STRIP]
        samples = np.arange(start, min(start + STRIP, rows)) // d
        for weighted, M, inputs in terms:
            outputs = matmul_mod(weighted[start : start + STRIP], M.T, p)
            outputs *= np.repeat(inputs[samples], d, axis=1)
            strip += outputs
            reduce_in_place(strip, p)

    with strip_workers() as for_each:
        for first in range(0, rows, 16 * STRIP):
            if tick is not None:
                tick(first, rows)
            for_each(build, range(first, min(first + 16 * STRIP, rows), STRIP))
    return gram


def _weighted(A: FloatArray, p: int, rng: random.Random) -> FloatArray:
    weights = centred(np.array([rng.randrange(p) for _ in range(A.shape[1])], dtype=np.int64), p)
    out = A * weights
    reduce_in_place(out, p)
    return out


def _residues(A: QMatrix, p: int) -> FloatArray:
    if A.denominator % p == 0:
        raise DenominatorDivisible(f"{p} divides a denominator; take another prime")
    inverse = pow(A.denominator, -1, p)
    flat = np.array([x % p for x in A.numerators()], dtype=np.int64) * inverse
    return centred(flat.reshape(A.shape), p)
