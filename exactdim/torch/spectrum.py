"""Singular values of the Jacobian in floats, at sizes that only a device can decompose.

Numeric throughout: nothing here proves anything about the rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch

from exactdim.arith.rationals import ArrayLike, FloatArray
from exactdim.errors import InvalidInput, NotFinite, TooLarge
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import Head, head_matrix
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.torch.device import Chunks, Device, out_of_memory, resolve_device
from exactdim.torch.linalg import piece

__all__ = ["Spectrum", "SpectrumMethod", "jacobian_spectrum"]

SpectrumMethod: TypeAlias = Literal["auto", "jacobian", "gram"]

CPU_BYTES = 4 * 2**30
"""Memory on the CPU that the decomposition of the Jacobian may take."""

COPIES = 3
"""Matrices of the Jacobian's size that its decomposition holds: itself, a copy, workspace."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of the Jacobian as floats give them.

    Attributes
    ----------
    singular_values : float64 array
        Descending; as many as the smaller side of the Jacobian.
    shape : (int, int)
        Of the Jacobian.
    method : {"jacobian", "gram"}
        What was decomposed.
    device : str
    dtype : str
        Format in which the Jacobian's entries were computed.
    """

    singular_values: FloatArray
    shape: tuple[int, int]
    method: Literal["jacobian", "gram"]
    device: str
    dtype: str

    def rank(self, rcond: float | None = None) -> int:
        """Count singular values above a threshold. Numeric: a threshold proves nothing.

        Parameters
        ----------
        rcond : float, optional
            Threshold over the largest singular value. By default ``max(shape) * eps`` of the
            format; from a Gram matrix at least ``sqrt(max(shape) * eps)`` of float64, below which
            there is only noise.

        Returns
        -------
        int
        """
        if not self.singular_values.size:
            return 0
        if rcond is None:
            rcond = self._noise
        return int((self.singular_values > rcond * self.singular_values[0]).sum())

    @property
    def _noise(self) -> float:
        entries = max(self.shape) * float(np.finfo(self.dtype).eps)
        squares = math.sqrt(max(self.shape) * float(np.finfo(np.float64).eps))
        return max(entries, squares) if self.method == "gram" else entries


def jacobian_spectrum(
    net: NetworkLike,
    X: ArrayLike,
    *,
    head: Head = "logits",
    device: Device = "cpu",
    dtype: torch.dtype = torch.float64,
    method: SpectrumMethod = "auto",
    chunk: int | None = None,
) -> Spectrum:
    """Compute the singular values of the Jacobian in floats, on a device.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    head : {"logits", "softmax"}
        ``"softmax"`` is the Jacobian of the probabilities themselves, with all N_L rows a sample.
    device : str or torch.device
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float64``; weights and samples are rounded to it first.
    method : {"auto", "jacobian", "gram"}
        ``"jacobian"`` decomposes the Jacobian, ``"gram"`` the smaller of J J^T and J^T J, which
        halves the digits: singular values below 1e-8 of the largest are noise. ``"auto"`` takes the
        Jacobian if it fits the memory.
    chunk : int, optional
        Samples at a time; by default what suits the device, and fewer when memory runs out.

    Returns
    -------
    Spectrum

    Raises
    ------
    InvalidInput
        If an argument is not understood.
    NotFinite
        If an entry of the Jacobian overflowed.
    TooLarge
        If the matrix to decompose does not fit the memory of the device.

    Notes
    -----
    Numeric, never a proof: for the rank itself see `exactdim.local_dimension`. The Gram matrix is
    summed in float64 whatever the dtype; J J^T is built layer by layer without forming J.

    Examples
    --------
    >>> import exactdim as ed
    >>> net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> spectrum = jacobian_spectrum(net, [[0], [1], [2], [3]])
    >>> spectrum.singular_values.round(6).tolist(), spectrum.rank()
    ([13.658078, 2.137785, 0.941689, 0.0], 3)
    """
    net = as_network(net)
    head_matrix(head, net.widths[-1])
    if method not in get_args(SpectrumMethod):
        raise InvalidInput(f"method={method!r} is unknown; choose 'auto', 'jacobian' or 'gram'")
    if dtype not in {torch.float32, torch.float64}:
        raise InvalidInput(f"dtype={dtype} is not supported; choose torch.float32 or torch.float64")
    if chunk is not None and chunk < 1:
        raise InvalidInput(f"chunk={chunk} samples make no progress; give at least 1")
    on = resolve_device(device)
    factors = _FloatFactors(net, X, head, on, dtype)
    values, taken = _decompose(factors, method, chunk)
    return Spectrum(values, factors.shape, taken, str(on), str(dtype).removeprefix("torch."))


def _decompose(
    factors: _FloatFactors, method: SpectrumMethod, chunk: int | None
) -> tuple[FloatArray, Literal["jacobian", "gram"]]:
    if method == "jacobian" or (method == "auto" and factors.fits):
        values = _or_none(lambda: _from_jacobian(factors, chunk))
        if values is not None:
            return values, "jacobian"
    if method != "jacobian":
        values = _or_none(lambda: _from_gram(factors, chunk))
        if values is not None:
            return values, "gram"
    hint = "method='gram', " if method == "jacobian" else ""
    raise TooLarge(
        f"the decomposition for a Jacobian of shape {factors.shape} does not fit the memory of "
        f"device={str(factors.device)!r}; use {hint}fewer samples or device='cpu'"
    )


def _or_none(compute: Callable[[], FloatArray]) -> FloatArray | None:
    """Return what is computed, or None if memory ran out."""
    try:
        return compute()
    except TooLarge:
        return None
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return None


class _FloatFactors:
    """Factors of the Jacobian in floats, on a device: per layer M (n, c, N_{l+1}) and h (n, N_l).

    A bias is a last column of ones of h.
    """

    def __init__(
        self, net: ReLUNetwork, X: ArrayLike, head: Head, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.net, self.device, self.dtype = net, device, dtype
        layers = [
            tuple(torch.from_numpy(np.array(part)).to(device, dtype) for part in layer)
            for layer in net.float_layers
        ]
        h = torch.from_numpy(as_batch(X, net.widths[0]).to_numpy(np.float64)).to(device, dtype)
        self.features, masks = [], []
        for W, b in layers:
            self.features.append(h)
            z = h @ W.T + b
            masks.append(z > 0)
            h = torch.where(masks[-1], z, 0.0)
        classes = net.widths[-1]
        M = torch.eye(classes, device=device, dtype=dtype).expand(len(h), classes, classes)
        if head == "softmax":
            p = torch.softmax(z, dim=1)
            M = p[:, :, None] * M - p[:, :, None] * p[:, None, :]
        self.sensitivities = [M]
        for layer in range(net.depth - 1, 0, -1):
            M = (M @ layers[layer][0]) * masks[layer - 1][:, None, :]
            self.sensitivities.insert(0, M)
        self.shape = (len(h) * classes, net.n_parameters)

    @property
    def fits(self) -> bool:
        """Whether the Jacobian can be decomposed in the memory of the device."""
        size = COPIES * math.prod(self.shape) * self.dtype.itemsize
        if self.device.type == "cpu":
            return size <= CPU_BYTES
        return size <= torch.cuda.mem_get_info(self.device)[0]

    def blocks(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        """Yield the rows of some samples, layer by layer, as matrices."""
        rows = (stop - start) * self.net.widths[-1]
        for M, h, has_bias in zip(
            self.sensitivities, self.features, self.net.has_bias, strict=True
        ):
            part = M[start:stop]
            yield torch.einsum("ijk,im->ijkm", part, h[start:stop]).reshape(rows, -1)
            if has_bias:
                yield part.reshape(rows, -1)


def _from_jacobian(factors: _FloatFactors, chunk: int | None) -> FloatArray:
    classes = factors.net.widths[-1]
    J = torch.empty(factors.shape, device=factors.device, dtype=factors.dtype)

    def fill(start: int, stop: int) -> None:
        at = 0
        for block in factors.blocks(start, stop):
            J[start * classes : stop * classes, at : at + block.shape[1]] = block
            at += block.shape[1]

    _over_samples(factors, chunk, fill)
    _check_finite(J)
    values: FloatArray = torch.linalg.svdvals(J).double().cpu().numpy()
    return values


def _from_gram(factors: _FloatFactors, chunk: int | None) -> FloatArray:
    rows, columns = factors.shape
    gram = _row_gram(factors) if rows <= columns else _column_gram(factors, chunk)
    _check_finite(gram)
    squares = torch.linalg.eigvalsh(gram).flip(0)
    values: FloatArray = squares.clamp(min=0.0).sqrt().cpu().numpy()
    return values


def _row_gram(factors: _FloatFactors) -> torch.Tensor:
    """Sum ``(M M^T) o (h h^T (x) 1 1^T)`` over the layers."""
    n, classes = len(factors.features[0]), factors.net.widths[-1]
    gram = torch.empty((n, classes, n, classes), device=factors.device, dtype=torch.float64)
    terms = [
        (M.double().flatten(0, 1), h.double(), float(has_bias))
        for M, h, has_bias in zip(
            factors.sensitivities, factors.features, factors.net.has_bias, strict=True
        )
    ]

    def build(start: int, stop: int) -> None:
        strip = torch.zeros_like(gram[start:stop])
        for M, h, one in terms:
            outputs = M[start * classes : stop * classes] @ M.T
            inputs = h[start:stop] @ h.T + one
            strip += outputs.view_as(strip) * inputs[:, None, :, None]
        gram[start:stop] = strip

    Chunks(piece(factors.device)).run(build, 0, n, n * classes**2)
    return gram.view(n * classes, n * classes)


def _column_gram(factors: _FloatFactors, chunk: int | None) -> torch.Tensor:
    columns = factors.shape[1]
    gram = torch.zeros((columns, columns), device=factors.device, dtype=torch.float64)

    def add(start: int, stop: int) -> None:
        J = torch.hstack(list(factors.blocks(start, stop))).double()
        gram.add_(J.T @ J)

    _over_samples(factors, chunk, add)
    return gram


def _over_samples(
    factors: _FloatFactors, chunk: int | None, step: Callable[[int, int], None]
) -> None:
    per_sample = factors.net.widths[-1] * factors.shape[1]
    entries = piece(factors.device) if chunk is None else chunk * per_sample
    Chunks(entries).run(step, 0, len(factors.features[0]), per_sample)


def _check_finite(A: torch.Tensor) -> None:
    if not torch.isfinite(A).all():
        raise NotFinite(
            "the float Jacobian overflows or is not a number; rescale the network, or use "
            "dtype=torch.float64"
        )
