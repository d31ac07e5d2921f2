"""A colour for every activation pattern."""

from __future__ import annotations

import numpy as np

from exactdim.arith.rationals import FloatArray
from exactdim.regions.complex import RegionComplex
from exactdim.regions.faces import Ints

__all__ = ["pattern_colors"]

OKLAB_TO_LMS = (
    (1, 0.3963377774, 0.2158037573),
    (1, -0.1055613458, -0.0638541728),
    (1, -0.0894841775, -1.2914855480),
)
LMS_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


def pattern_colors(regions: RegionComplex, numbers: Ints) -> FloatArray:
    """Return a colour per region, to which each neuron that is on adds a large step of its own.

    Parameters
    ----------
    regions : RegionComplex
    numbers : integer array of shape (n,)

    Returns
    -------
    float array of shape (n, 3)
        Red, green and blue, between 0 and 1.

    Notes
    -----
    Hue and lightness are sums of such steps modulo 1, so regions that differ in one neuron do not
    look alike. The sums are in integers, to be the same on every machine; a step depends on the
    layer and the unit alone, so that a pattern has one colour in all pictures. The colours are of
    even chroma in the space Oklab.
    """
    turns = np.zeros((2, len(numbers)), np.int64)
    for column, on in enumerate(regions.patterns[numbers].T):
        layer, unit = regions.layout.unit(column)
        for turn, ratio in zip(turns, (40503, 25117), strict=True):
            spread = (ratio * (unit + 1) + 13849 * layer) % 65536
            turn += on * (16384 + spread // 2)  # a quarter to three quarters of a turn
    hue, light = turns % 65536 / 65536
    hue, light = 2 * np.pi * hue, 0.74 + 0.18 * np.abs(2 * light - 1)
    lab = np.stack([light, 0.07 * np.cos(hue), 0.07 * np.sin(hue)], axis=1)
    rgb = np.clip((lab @ np.array(OKLAB_TO_LMS).T) ** 3 @ np.array(LMS_TO_RGB).T, 0, 1)
    out: FloatArray = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return out
