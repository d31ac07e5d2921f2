"""Draw the picture of the README: python scripts/figures.py."""

import itertools
from pathlib import Path

import numpy as np

import exactdim as ed
from exactdim.viz import plot_regions, save_figure

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    rng = np.random.default_rng(3)
    layers = []
    for inputs, outputs in itertools.pairwise((2, 10, 10, 1)):
        W = rng.standard_normal((outputs, inputs)) * np.sqrt(2 / inputs)
        layers.append((np.round(W, 3), np.round(rng.uniform(-1, 1, outputs) / np.sqrt(inputs), 3)))
    regions = ed.activation_regions(ed.as_network(layers), (-2, 2))
    save_figure(plot_regions(regions, boundaries="layer"), DOCS / "regions.svg")
    print(len(regions), "regions")


if __name__ == "__main__":
    main()
