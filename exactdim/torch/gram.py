"""Weighted Gram matrices of the Jacobian modulo a small prime, built on a device.

The mathematics is that of `exactdim.nets.gram`: the same weights are drawn from the same source in
the same order, so that both give the same residues.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch

from exactdim.arith.elimination import INNER, Tick, centred
from exactdim.errors import TooLarge
from exactdim.nets.gram import Folding, JacobianEntries, exact_residues
from exactdim.nets.jacobian import JacobianFactors, head_matrix
from exactdim.torch.device import Chunks, Device, exact_device, out_of_memory
from exactdim.torch.linalg import matmul_mod, multiply_mod, piece, reduce_in_place

__all__ = ["column_gram", "modular_factors", "weighted_gram"]

Factors: TypeAlias = list[tuple[torch.Tensor, torch.Tensor]]


def modular_factors(problem: JacobianFactors, p: int, *, device: Device) -> Factors:
    """Compute the factors of the Jacobian modulo a prime of at most 23 bits.

    Parameters
    ----------
    problem : JacobianFactors
        Weights and batch are reduced on the host, exactly; the rest happens on the device.
    p : int
    device : str or torch.device

    Returns
    -------
    list of (float64 tensor of shape (n * d, N_{l+1}), float64 tensor of shape (n, N_l or N_l + 1))
        Per layer the sensitivities and the features, as centred residues.
    """
    net, d, on = problem.net, problem.outputs, exact_device(device)

    def moved(A: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(A).to(on)

    weights = [moved(exact_residues(W, p)) for W in net.weights]
    masks = [moved(np.array(mask, dtype=np.float64)) for mask in problem.pattern.layers]
    h, features = moved(exact_residues(problem.batch, p)), []
    for layer, bias in enumerate(net.biases):
        z = matmul_mod(h, weights[layer].T, p)
        if bias is not None:
            z += moved(exact_residues(bias, p))
            h = torch.hstack([h, h.new_ones((len(h), 1))])
        features.append(h)
        if layer < net.depth - 1:
            h = z * masks[layer]
            reduce_in_place(h, p)
    head = moved(exact_residues(head_matrix(problem.head, net.widths[-1]), p))
    sensitivities = [head.repeat(len(h), 1)]
    for layer in range(net.depth - 2, -1, -1):
        below = matmul_mod(sensitivities[-1], weights[layer + 1], p)
        below *= masks[layer].repeat_interleave(d, dim=0)
        sensitivities.append(below)
    return list(zip(sensitivities[::-1], features, strict=True))


def weighted_gram(
    problem: JacobianFactors,
    p: int,
    rng: random.Random | None = None,
    *,
    device: Device,
    fold: int | None = None,
    tick: Tick | None = None,
) -> torch.Tensor:
    """Build ``J D J^T`` modulo a prime of at most 23 bits on a device.

    Parameters
    ----------
    problem : JacobianFactors
    p : int
    rng : random.Random, optional
        Source of the weights; the operating system's entropy by default.
    device : str or torch.device
    fold : int, optional
        Add rows up, at random and with random weights, to so many: ``F J D J^T F^T``.
    tick : callable, optional
        Called as ``tick(rows done, rows)``; may raise to stop.

    Returns
    -------
    float64 tensor of shape (n * d, n * d) or (fold, fold)
        Centred residues, on the device.

    Raises
    ------
    TooLarge
        If the matrix does not fit the memory of the device.

    Notes
    -----
    Modulo p the same matrix as `exactdim.nets.gram.weighted_gram` builds from the same source of
    weights. Rows are built in strips that shrink when memory runs out.

    Examples
    --------
    >>> import random, exactdim as ed
    >>> from exactdim.nets.jacobian import jacobian_factors
    >>> problem = jacobian_factors(ed.ReLUNetwork([[[2]]], [[1]]), [[3], [4]])
    >>> gram = weighted_gram(problem, 8388593, random.Random(0), device="cpu")
    >>> gram.shape, bool((gram == gram.T).all())
    (torch.Size([2, 2]), True)
    """
    rng = rng or random.SystemRandom()
    rows = problem.shape[0]
    strips = _Strips(problem, p, rng, device)
    folding = Folding(rows, fold, p, rng) if fold is not None and fold < rows else None
    size = rows if folding is None else folding.size
    gram = _zeros(size, strips.device)

    def build(start: int, stop: int) -> None:
        if tick is not None:
            tick(start, size)
        if folding is None:
            strip = strips.form(torch.arange(start, stop, device=strips.device))
        else:
            strip = _folded(strips, folding, start, stop)
        gram[start:stop] = strip

    Chunks(piece(strips.device)).run(build, 0, size, rows)
    return gram


class _Strips:
    """Rows of the weighted Gram matrix, formed when they are asked for."""

    def __init__(
        self, problem: JacobianFactors, p: int, rng: random.Random, device: Device
    ) -> None:
        self.p, self.d = p, problem.outputs
        self._terms = []
        for M, h in modular_factors(problem, p, device=device):
            weighted = _weighted(h, p, rng)  # first h, then M: the order of the draws
            self._terms.append((_weighted(M, p, rng), M, weighted, h))
        self.device = self._terms[0][1].device

    def form(self, picked: torch.Tensor) -> torch.Tensor:
        samples, place = torch.unique(picked // self.d, return_inverse=True)
        n = len(self._terms[0][3])
        strip = torch.zeros((len(picked), n, self.d), dtype=torch.float64, device=self.device)
        for number, (left, M, weighted, h) in enumerate(self._terms, start=1):
            outputs = multiply_mod(left[picked], M.T, self.p).view(strip.shape)
            inputs = multiply_mod(weighted[samples], h.T, self.p)
            strip.addcmul_(outputs, inputs[place][:, :, None])
            if number % INNER == 0:  # so many products of residues stay below 2**53
                reduce_in_place(strip, self.p)
        reduce_in_place(strip, self.p)
        return strip.view(len(picked), n * self.d)


def _folded(strips: _Strips, folding: Folding, start: int, stop: int) -> torch.Tensor:
    """Add up rows and columns of their groups."""
    orders = torch.from_numpy(folding.order).to(strips.device)
    factors = torch.from_numpy(folding.weights).to(strips.device)
    out = torch.zeros((stop - start, folding.size), dtype=torch.float64, device=strips.device)
    for row, weight in zip(orders[:, start:stop], factors[:, start:stop], strict=True):
        strip = strips.form(row)
        for column, factor in zip(orders, factors, strict=True):
            part = strip[:, column] * factor
            reduce_in_place(part, strips.p)
            out.addcmul_(part, weight[:, None])
            reduce_in_place(out, strips.p)
    return out


def column_gram(
    problem: JacobianFactors,
    p: int,
    columns: Sequence[int],
    rng: random.Random | None = None,
    *,
    device: Device,
    tick: Tick | None = None,
) -> torch.Tensor:
    """Build ``J^T D J`` at some columns modulo a prime of at most 23 bits on a device.

    Parameters
    ----------
    problem : JacobianFactors
    p : int
    columns : sequence of int
    rng : random.Random, optional
        Source of the diagonal D; the operating system's entropy by default.
    device : str or torch.device
    tick : callable, optional
        Called as ``tick(rows done, rows)``; may raise to stop.

    Returns
    -------
    float64 tensor of shape (len(columns), len(columns))
        Centred residues, on the device.

    Raises
    ------
    TooLarge
        If the matrix does not fit the memory of the device.

    Notes
    -----
    Modulo p the same matrix as `exactdim.nets.gram.column_gram` builds from the same source of
    weights; rows of the Jacobian are formed 448 at a time.

    Examples
    --------
    >>> import random, exactdim as ed
    >>> from exactdim.nets.jacobian import jacobian_factors
    >>> problem = jacobian_factors(ed.ReLUNetwork([[[2]]], [[1]]), [[3], [4], [5]])
    >>> column_gram(problem, 8388593, [0, 1], random.Random(0), device="cpu").shape
    torch.Size([2, 2])
    """
    rng = rng or random.SystemRandom()
    on, rows, width = exact_device(device), problem.shape[0], len(columns)
    jacobian = _Rows(problem, p, columns, on)
    gram = _zeros(width, on)
    chunks = Chunks(piece(on))
    for first in range(0, rows, INNER):
        if tick is not None:
            tick(first, rows)
        part = jacobian.form(first, min(first + INNER, rows))
        weighted = _weighted(part.T, p, rng)

        def build(
            start: int, stop: int, part: torch.Tensor = part, weighted: torch.Tensor = weighted
        ) -> None:
            strip = torch.addmm(gram[start:stop], weighted[start:stop], part)
            reduce_in_place(strip, p)
            gram[start:stop] = strip

        chunks.run(build, 0, width, width)
    return gram


class _Rows:
    """Rows of the Jacobian at some columns, formed on a device from its factors."""

    def __init__(
        self, problem: JacobianFactors, p: int, columns: Sequence[int], device: torch.device
    ) -> None:
        entries = JacobianEntries(problem, p, columns)
        self._p, self._d, self._width = p, entries.d, entries.width
        self._layers = [
            tuple(torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in layer)
            for layer in entries.layers
        ]

    def form(self, start: int, stop: int) -> torch.Tensor:
        device = self._layers[0][0].device
        samples = torch.arange(start, stop, device=device) // self._d
        out = torch.empty((stop - start, self._width), dtype=torch.float64, device=device)
        for where, M, unit, h, source in self._layers:
            part = M[start:stop].index_select(1, unit)
            part *= h.index_select(0, samples).index_select(1, source)
            reduce_in_place(part, self._p)
            out.index_copy_(1, where, part)
        return out


def _weighted(A: torch.Tensor, p: int, rng: random.Random) -> torch.Tensor:
    drawn = np.array([rng.randrange(p) for _ in range(A.shape[1])], dtype=np.int64)
    out = A * torch.from_numpy(centred(drawn, p)).to(A.device)
    reduce_in_place(out, p)
    return out


def _zeros(order: int, device: torch.device) -> torch.Tensor:
    try:
        return torch.zeros((order, order), dtype=torch.float64, device=device)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    raise TooLarge(
        f"a Gram matrix of order {order}, {8 * order**2 / 2**30:.1f} GiB, does not fit the memory "
        f"of device={str(device)!r}; take fewer samples or device='cpu'"
    )
