"""Seeded random networks: He normal weights, uniform biases, rounded to multiples of 2**-10."""

import itertools

import numpy as np

Layers = list[tuple[np.ndarray, np.ndarray]]


def random_layers(widths: tuple[int, ...], seed: int = 0) -> Layers:
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        W = rng.standard_normal((outputs, inputs)) * np.sqrt(2.0 / inputs)
        b = rng.uniform(-1, 1, outputs) / np.sqrt(inputs)
        layers.append((np.round(W * 1024) / 1024, np.round(b * 1024) / 1024))
    return layers
