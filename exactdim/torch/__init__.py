"""Large networks on torch tensors, on the CPU or on a CUDA device.

The same mathematics as in `exactdim.arith` and `exactdim.nets`: ranks modulo a 23-bit prime and
certain signs are exact here too, because float64 products of small integers are, on every device
that passes the check of `exact_device`. Only `jacobian_spectrum` is numeric, and says so.
"""

from __future__ import annotations

from exactdim.errors import MissingDependency

try:
    import torch as torch
except ImportError:
    raise MissingDependency("exactdim.torch needs torch: pip install exactdim[torch]") from None

from exactdim.torch.device import exact_device, resolve_device
from exactdim.torch.gram import column_gram, weighted_gram
from exactdim.torch.linalg import matmul_mod, rank_profile, reduce_in_place
from exactdim.torch.patterns import CertainSigns, certain_signs
from exactdim.torch.spectrum import Spectrum, jacobian_spectrum

__all__ = [
    "CertainSigns",
    "Spectrum",
    "certain_signs",
    "column_gram",
    "exact_device",
    "jacobian_spectrum",
    "matmul_mod",
    "rank_profile",
    "reduce_in_place",
    "resolve_device",
    "weighted_gram",
]
