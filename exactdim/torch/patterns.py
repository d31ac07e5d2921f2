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
from exactdim.nets.patterns import BoolArray, pass_with_error
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
    def layers(self) -> list[tuple[BoolArray, BoolArray]]:
        """Positive and open signs of each hidden layer."""
        return list(zip(self.positive, self.open, strict=True))

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
    layers = (
        (torch.from_numpy(np.array(W)).to(on), torch.from_numpy(np.array(b)).to(on))
        for W, b in net.float_layers[:-1]
    )
    pairs = list(pass_with_error(layers, h))
    return CertainSigns(_on_host([above for above, _ in pairs]), _on_host([o for _, o in pairs]))


def _on_host(layers: list[torch.Tensor]) -> tuple[BoolArray, ...]:
    return tuple(layer.cpu().numpy() for layer in layers)
