"""Networks whose activation regions are known: seeded random ones, and degenerate ones by name.

``region_counts.json`` holds, under ``"name|seed|domain"``, the number of activation regions in the
box [-1, 1]^d ("box") or in R^d ("Rd") and a digest of their patterns. They were found by splitting
cells in exact integers, without any of the code tested here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable

import numpy as np

Layers = list[tuple[np.ndarray, np.ndarray]]

# One hidden layer: rows of W, then b.
ARRANGEMENTS = {
    "conc2": ([[1, 0], [0, 1], [1, 1], [1, -1], [2, 1]], [0] * 5),
    "conc3": ([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 2, 3], [1, -1, 2], [3, 1, -2]], [0] * 6),
    "conc2x": ([[1, 0], [0, 1], [1, 1], [1, 3], [2, -1]], [-0.25, -0.25, -0.5, 0.75, 0.625]),
    "far9": ([[1, 0], [1, 2.0**-30]], [0, 1]),
    "wide2": ([[1, 0], [1, 0], [0, 1], [0, 1]], [1e4, -1e4, 1e4, -1e4]),
    "thin15": ([[1, 0], [1, 0], [0, 1]], [-1.0, -1.0 - 2.0**-50, 0]),
}


def digest(patterns: Iterable[str]) -> str:
    """The first half of SHA-256 of the sorted patterns, one per line."""
    return hashlib.sha256("\n".join(sorted(patterns)).encode()).hexdigest()[:16]


def random_layers(widths: Iterable[int], seed: int) -> Layers:
    """He normal weights and uniform biases, rounded to multiples of 1/1024."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        W = rng.standard_normal((outputs, inputs)) * np.sqrt(2.0 / inputs)
        b = rng.uniform(-1, 1, outputs) / np.sqrt(inputs)
        layers.append((np.round(W * 1024) / 1024, np.round(b * 1024) / 1024))
    return layers


def ternary_layers(widths: Iterable[int], seed: int, *, bias: bool) -> Layers:
    """Weights, and biases if wanted, in {-1, 0, 1}: many zeros at vertices and on cells."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        W = rng.integers(-1, 2, (outputs, inputs)).astype(float)
        b = rng.integers(-1, 2, outputs).astype(float) if bias else np.zeros(outputs)
        layers.append((W, b))
    return layers


def common_layers(name: str, seed: int = 0) -> Layers:
    """The layers of a network given by widths such as "2,8,8,1", or by its name."""
    if name[0].isdigit():
        return random_layers(map(int, name.split(",")), seed)
    if name in ARRANGEMENTS:
        W, b = (np.array(part, float) for part in ARRANGEMENTS[name])
        return [(W, b), (np.ones((1, len(W))), np.zeros(1))]
    if name == "abs2":  # |x| + |y|, and twice the same function of it but for the bias
        W = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
        return [
            (W, np.zeros(4)),
            (np.ones((2, 4)), np.array([-0.5, -0.75])),
            (np.ones((1, 2)), np.zeros(1)),
        ]
    d = 3 if name.endswith("3") else 2
    if name.startswith("int"):
        return ternary_layers((d, 8, 8, 1), seed, bias=name[3] == "1")
    layers = random_layers((d, 8, 8, 1), seed)
    _change(name, layers)
    return layers


def _change(name: str, layers: Layers) -> None:
    """Make an accident happen to a random network."""
    (W, b), (V, c), _ = layers
    if name.startswith("dup"):
        W[1], b[1] = W[0], b[0]
        W[5], b[5] = 2 * W[4], 2 * b[4]
        V[1], c[1] = V[0], c[0]
    elif name == "antipar2":
        W[1], b[1] = -W[0], -b[0]
        W[3], b[3] = -W[2], -b[2]
    elif name == "zero2":
        W[:3], b[:3] = 0, [0, 1, -1]
        V[0], c[0] = 0, 0
    elif name == "grid2":
        W[:] = [[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [1, 1], [1, -1]]
        b[:] = [0, 0.5, -0.5, 0, 0.5, -0.5, 0, 0]
        V[:], c[:] = np.round(V * 2) / 2, np.round(c * 2) / 2
    elif name.startswith("near"):  # parallel lines, 2^-30 or 2^-23 apart
        W[1], b[1] = W[0], b[0] + 2.0 ** {"near9": -30, "near7": -23}[name]
    elif name == "tri9":  # a triangle of size 2^-30
        W[:3], b[:3] = [[1, 0], [0, 1], [1, 1]], [0, 0, -(2.0**-30)]
    elif name == "scale_up":
        W *= 2.0**20
        b *= 2.0**20
    elif name == "scale_dn":
        W *= 2.0**-20
        b *= 2.0**-20
        c *= 2.0**-20
    elif name == "far2":  # nearly parallel lines
        W[1], b[1] = W[0] + [1 / 1024, 0], b[0] + 1
        W[3], b[3] = W[2] + [0, 2.0**-20], b[2] - 1
    else:
        raise ValueError(f"unknown network {name!r}")
