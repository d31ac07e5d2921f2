"""Rank modulo a 23-bit prime on torch tensors: `exactdim.arith.elimination` on any device.

The elimination itself is `find_pivots`, shared with numpy. Here is what differs: the blocks of
pivots travel to the host and their inverses back, the rest of the matrix stays on the device and is
updated in pieces as large as its memory allows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from exactdim.arith.elimination import INNER, Places, Tick, check_prime, find_pivots
from exactdim.arith.parallel import one_blas_thread
from exactdim.arith.rationals import FloatArray
from exactdim.errors import InvalidInput
from exactdim.torch.device import Chunks, exact_device

__all__ = ["matmul_mod", "multiply_mod", "piece", "rank_profile", "reduce_in_place"]

BLOCK = INNER
"""Pivots eliminated at a time: as many as are exact, since each block travels to the host."""

CPU_PIECE = 2**19
"""Entries updated at a time on the CPU, so that product and reduction meet in the cache."""

DEVICE_PIECE = 2**24
"""Entries updated at a time on other devices: temporaries of 128 MiB each."""


def piece(device: torch.device) -> int:
    """Return how many entries to work on at a time, as long as memory suffices.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    int
    """
    return CPU_PIECE if device.type == "cpu" else DEVICE_PIECE


def reduce_in_place(a: torch.Tensor, p: int) -> None:
    """Reduce integers below 2**53 modulo p, to absolute values of at most p / 2 + 2.

    Parameters
    ----------
    a : float64 tensor
        Changed in place, once all memory is allocated.
    p : int

    Examples
    --------
    >>> a = torch.tensor([5.0, 6.0, 22.0], dtype=torch.float64)
    >>> reduce_in_place(a, 11)
    >>> a.tolist()
    [5.0, -5.0, 0.0]
    """
    a.sub_((a * (1.0 / p)).round_(), alpha=p)


def multiply_mod(A: torch.Tensor, B: torch.Tensor, p: int) -> torch.Tensor:
    """Multiply as `matmul_mod` does, in one piece.

    Parameters
    ----------
    A : float64 tensor of shape (m, k)
    B : float64 tensor of shape (k, n)
    p : int

    Returns
    -------
    float64 tensor of shape (m, n)
    """
    out = A[:, :INNER] @ B[:INNER]
    reduce_in_place(out, p)
    for k in range(INNER, A.shape[1], INNER):
        out.addmm_(A[:, k : k + INNER], B[k : k + INNER])
        reduce_in_place(out, p)
    return out


def matmul_mod(A: torch.Tensor, B: torch.Tensor, p: int) -> torch.Tensor:
    """Multiply two matrices of centred residues modulo p, exactly.

    Parameters
    ----------
    A : float64 tensor of shape (m, k)
    B : float64 tensor of shape (k, n)
        On the same device.
    p : int
        A prime of at most 23 bits.

    Returns
    -------
    float64 tensor of shape (m, n)
        Centred residues, of absolute value at most p / 2 + 2.

    Notes
    -----
    Inner blocks of 448, and as many rows at a time as the memory of the device allows.

    Examples
    --------
    >>> A = torch.tensor([[3.0, -2.0]], dtype=torch.float64)
    >>> matmul_mod(A, torch.tensor([[5.0], [4.0]], dtype=torch.float64), 11)
    tensor([[-4.]], dtype=torch.float64)
    """
    _check(A, p)
    _check(B, p)
    A, B = A.detach(), B.detach()
    out = A.new_zeros((A.shape[0], B.shape[1]))

    def step(start: int, stop: int) -> None:
        out[start:stop] = multiply_mod(A[start:stop], B, p)

    Chunks(piece(A.device)).run(step, 0, A.shape[0], B.shape[1])
    return out


def rank_profile(
    A: torch.Tensor, p: int, *, enough: int | None = None, tick: Tick | None = None
) -> tuple[list[int], list[int]]:
    """Find rows and columns of a largest minor that is nonzero modulo p.

    Parameters
    ----------
    A : float64 tensor of shape (m, n)
        Centred residues, on any device. Used as workspace: its contents are lost.
    p : int
        A prime of at most 23 bits.
    enough : int, optional
        Stop once this many pivots are found, for instance at a known upper bound.
    tick : callable, optional
        Called as ``tick(pivots, at most)`` after each block; may raise to stop.

    Returns
    -------
    rows, columns : list of int
        Equally long, increasing.

    Raises
    ------
    AssertionError
        If what came back from the host is not the inverse of the block that lies on the device: a
        fault of the hardware or a bug.

    Notes
    -----
    Operations as in `exactdim.arith.elimination.rank_profile`; each block of pivots makes one trip
    to the host. When memory runs out, the update is tried again in smaller pieces; `TooLarge` means
    that not even one row would fit. On a CPU that is shared with others numpy's elimination, which
    gives its threads work of their own, is many times faster than torch's threaded products.

    Examples
    --------
    >>> A = torch.tensor([[0, 1, 2], [0, 2, 4], [1, 0, 0]], dtype=torch.float64)
    >>> rank_profile(A, 8388593)
    ([0, 2], [0, 1])
    """
    _check(A, p)
    # Threads of numpy's BLAS, waiting beside those of torch, make both many times slower.
    with one_blas_thread():
        return find_pivots(_OnDevice(A.detach(), p), p, enough=enough, tick=tick)


def _check(A: torch.Tensor, p: int) -> None:
    check_prime(p)
    if A.dtype != torch.float64 or A.ndim != 2:
        raise InvalidInput(
            f"arithmetic modulo p wants a float64 matrix, not {A.dtype} of shape {tuple(A.shape)}"
        )
    exact_device(A.device)


class _OnDevice:
    """A tensor under elimination."""

    def __init__(self, A: torch.Tensor, p: int) -> None:
        self._A, self._p = A, p
        self._chunks = Chunks(piece(A.device))

    @property
    def shape(self) -> tuple[int, int]:
        m, n = self._A.shape
        return m, n

    @property
    def block(self) -> int:
        return BLOCK

    def pull(self, rows: slice, columns: slice) -> FloatArray:
        part: FloatArray = self._A[rows, columns].cpu().numpy()
        return part

    def is_zero(self, rows: slice, columns: slice) -> bool:
        part, seen = self._A[rows, columns], False

        def step(start: int, stop: int) -> None:
            nonlocal seen
            seen = seen or bool(torch.fmod(part[start:stop], self._p).any())

        self._chunks.run(step, 0, part.shape[0], part.shape[1])
        return not seen

    def reorder(self, target: Places, order: npt.NDArray[np.intp], axis: int) -> None:
        A = self._A
        places = np.arange(A.shape[axis])[target] if isinstance(target, slice) else target
        to, source = (torch.from_numpy(index).to(A.device) for index in (places, order))

        def step(start: int, stop: int) -> None:
            part = A.narrow(1 - axis, start, stop - start)
            part.index_copy_(axis, to, part.index_select(axis, source))

        self._chunks.run(step, 0, A.shape[1 - axis], len(order))

    def eliminate(self, at: int, found: int, live: int, inverse: FloatArray) -> None:
        A, p, k = self._A, self._p, at + found
        on_device = torch.from_numpy(inverse).to(A.device)
        self._check_inverse(A[at:k, at:k], on_device)
        right = A[at:k, k:]

        def step(start: int, stop: int) -> None:
            factor = A[start:stop, at:k] @ on_device
            reduce_in_place(factor, p)
            rest = A[start:stop, k:]
            updated = torch.addmm(rest, factor, right, alpha=-1)
            quotient = (updated * (1.0 / p)).round_()
            # All memory is there: only now may the matrix change.
            torch.sub(updated, quotient, alpha=p, out=rest)

        self._chunks.run(step, k, live, A.shape[1] - k)

    def _check_inverse(self, block: torch.Tensor, inverse: torch.Tensor) -> None:
        product = multiply_mod(block, inverse, self._p)
        product.diagonal().sub_(1.0)
        if torch.fmod(product, self._p).any():
            raise AssertionError("the inverse of a pivot block does not fit the block")
