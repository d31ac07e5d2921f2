"""Which device, whether its arithmetic is exact, and work in pieces that fit its memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch

from exactdim.arith.elimination import INNER
from exactdim.errors import InvalidInput, TooLarge

__all__ = ["Chunks", "Device", "exact_device", "out_of_memory", "resolve_device"]

Device = str | torch.device
"""``"cpu"``, ``"cuda"``, ``"cuda:1"`` or the torch object."""

LARGEST = 2**22 + 2
"""Bound of the residues that are multiplied: p / 2 + 2."""

PROBES = {"cpu": 256, "cuda": 2048}
"""Order of the products that probe a device: large, since small ones may take another path."""


def resolve_device(name: Device) -> torch.device:
    """Find a device by name.

    Parameters
    ----------
    name : str or torch.device
        ``"cpu"``, ``"cuda"`` (the current one) or ``"cuda:1"``.

    Returns
    -------
    torch.device
        With its number, if there may be several.

    Raises
    ------
    InvalidInput
        If there is no such device here, or it has no float64 arithmetic.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise InvalidInput(f"device={name!r} is unknown; {_available()}") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise InvalidInput(f"device={str(device)!r} is not supported; {_available()}")
    if not _cuda_devices():
        raise InvalidInput(f"device={str(device)!r}: torch finds no CUDA device; {_available()}")
    number = device.index if ":" in str(device) else torch.cuda.current_device()
    if number >= _cuda_devices():
        raise InvalidInput(f"device={str(device)!r} does not exist; {_available()}")
    return torch.device("cuda", number)


def _cuda_devices() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _available() -> str:
    names = ["'cpu'", *(f"'cuda:{i}'" for i in range(_cuda_devices()))]
    return f"available here: {', '.join(names)}"


def exact_device(name: Device) -> torch.device:
    """Find a device, and make sure that its float64 products can be relied on.

    Parameters
    ----------
    name : str or torch.device

    Returns
    -------
    torch.device

    Raises
    ------
    InvalidInput
        If there is no such device, or its products are not those of IEEE double precision.

    Notes
    -----
    Libraries can be told to emulate double precision with shorter formats, with an error that is
    small beside the largest entry of a row but not beside each product. Neither exact residues nor
    the bound on the error of a sign survive that. The probe, once per device, multiplies matrices
    in which such an emulation must show; the formats of torch for float32 (TF32) do not matter.
    """
    device = resolve_device(name)
    if not _multiplies_exactly(device):
        raise InvalidInput(
            f"float64 products on device={str(device)!r} are not exact; switch off the emulation "
            "of double precision in the linear algebra library, or use device='cpu'"
        )
    return device


@lru_cache
def _multiplies_exactly(device: torch.device) -> bool:
    """Whether products add up exactly, and small terms survive beside vanishing huge ones."""
    at = torch.arange(PROBES[device.type], dtype=torch.float64, device=device)
    left, right = LARGEST - at, LARGEST - 3 * at
    inner = torch.ones(INNER, dtype=torch.float64, device=device)
    longest = torch.outer(left, inner) @ torch.outer(inner, right)
    exact = INNER * torch.outer(left.long(), right.long())
    half = INNER // 2
    A, B = torch.outer(left, inner), torch.outer(inner, right)
    A[:, :half] *= 2.0**100
    B[:half] = 0.0
    spread = A @ B
    return bool((longest.long() == exact).all() and (2 * spread.long() == exact).all())


class Chunks:
    """Work on rows, in pieces as large as the memory of the device allows.

    Parameters
    ----------
    entries : int
        Size of a piece at first, in entries; halved whenever memory runs out, for good.

    Attributes
    ----------
    entries : int
    """

    def __init__(self, entries: int) -> None:
        self.entries = entries

    def run(self, step: Callable[[int, int], None], start: int, stop: int, width: int) -> None:
        """Call ``step(first, last)`` on consecutive pieces of a range of rows.

        Parameters
        ----------
        step : callable
            Must change nothing until all its memory is allocated, since it is called again, with
            fewer rows, after memory ran out.
        start, stop : int
        width : int
            Entries per row.

        Raises
        ------
        TooLarge
            If a single row does not fit.
        """
        while start < stop:
            rows = max(1, self.entries // max(1, width))
            end = min(stop, start + rows)
            # Out of the handler before another try: the traceback keeps the temporaries alive.
            if _fits(step, start, end):
                start = end
            elif end - start > 1:
                self.entries = (end - start) // 2 * max(1, width)
            else:
                raise TooLarge(
                    f"the device has no memory left for one row of {width} entries; free some, "
                    "take fewer samples or use device='cpu'"
                )


def _fits(step: Callable[[int, int], None], start: int, end: int) -> bool:
    try:
        step(start, end)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return False
    return True


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error of torch means that memory ran out.

    Parameters
    ----------
    error : RuntimeError

    Returns
    -------
    bool
    """
    signs = ("STATUS_ALLOC_FAILED", "DefaultCPUAllocator")
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(s in str(error) for s in signs)
