"""A small family of networks and masks, to be gone through completely."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

import exactdim as ed

__all__ = ["ARCHITECTURES", "LARGE_ARCHITECTURES", "masks", "ternary_networks"]

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
