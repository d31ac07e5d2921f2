"""Certain signs of pre-activations from one float64 pass on a device.

The bound on the error is that of `exactdim.nets.patterns`: it holds for sums in any order, with or
without fused operations, so for any device whose float64 is IEEE's. What it leaves open is for
exact arithmetic on the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from exactdim.arith.rationals import ArrayLike
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import as_batch
from exactdim.nets.patterns import HUGE, TINY, UNIT_ROUNDOFF, BoolArray
from exactdim.torch.device import Device, exact_device

__all__ = ["CertainSigns", "certain_signs"]


@dataclass(frozen=True, eq=False)
class CertainSigns:
    """Signs of the hidden pre-activations as far as floats can tell.

    Attributes
    ----------
    positive : tuple of boolean arrays of shape (n, N_l)
        One per hidden layer; true where the pre-activation is certainly positive.
    open : tuple of boolean arrays of shape (n, N_l)
        True where the sign is not certain: exact arithmetic must decide. Where neither is true the
        pre-activation is certainly negative.
    """

    positive: tuple[BoolArray, ...]
    open: tuple[BoolArray, ...]

    @property
    def n_open(self) -> int:
        """Number of signs that are not certain."""
        return sum(int(layer.sum()) for layer in self.open)


def certain_signs(net: NetworkLike, X: ArrayLike, *, device: Device) -> CertainSigns:
    """Find the signs of pre-activations that a float64 pass on a device settles.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    device : str or torch.device

    Returns
    -------
    CertainSigns

    Notes
    -----
    Behind an open sign the pass goes on with ``max(z, 0)`` and the bound on the error of z: the
    ReLU brings no two numbers further apart. So the whole pass needs no exact arithmetic, one
    transfer in and one out. Refuses devices as `exact_device` does.

    Examples
    --------
    >>> import exactdim as ed
    >>> net = ed.ReLUNetwork([[[1, -1]], [[1]]], [["1/3"], [0]])
    >>> signs = certain_signs(net, [[2, 1], [1, 2], ["2/3", 1]], device="cpu")
    >>> signs.positive[0].tolist(), signs.open[0].tolist()
    ([[True], [False], [False]], [[False], [False], [True]])
    """
    net = as_network(net)
    on = exact_device(device)
    h = torch.from_numpy(as_batch(X, net.widths[0]).to_numpy(np.float64)).to(on)
    error = h.abs() * (4 * UNIT_ROUNDOFF) + TINY  # rounding of rational samples to floats
    positive, still_open = [], []
    for W, b in net.float_layers[:-1]:
        weight, bias = (torch.from_numpy(np.array(part)).to(on) for part in (W, b))
        z, z_error = _affine_with_error(weight, bias, h, error)
        above, below = z > z_error, z < -z_error
        positive.append(above)
        still_open.append(~(above | below))
        h = torch.where(below, 0.0, z.clamp(min=0.0))
        error = torch.where(below, 0.0, z_error)
    return CertainSigns(_on_host(positive), _on_host(still_open))


def _affine_with_error(
    W: torch.Tensor, b: torch.Tensor, h: torch.Tensor, error: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute W h + b and a bound on its error, as `exactdim.nets.patterns` does and proves."""
    n = W.shape[1]
    z = h @ W.T + b
    size, reach = W.abs(), h.abs() + error
    magnitude = reach @ size.T + b.abs()
    gamma = (2 * n + 16) * UNIT_ROUNDOFF
    bound = gamma * magnitude + (1 + gamma) * (error @ size.T)
    underflow = TINY * (n + 1 + size.sum(dim=1) + reach.sum(dim=1, keepdim=True))
    bound = (1 + gamma) * bound + 2 * underflow
    return z, torch.where(magnitude < HUGE, bound, torch.inf)


def _on_host(layers: list[torch.Tensor]) -> tuple[BoolArray, ...]:
    return tuple(layer.cpu().numpy() for layer in layers)
