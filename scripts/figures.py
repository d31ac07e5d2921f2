"""Draw the pictures of the README: python scripts/figures.py."""

import itertools
from pathlib import Path

import numpy as np

import exactdim as ed
from exactdim.regions.slices import ParameterSlice
from exactdim.viz import plot_parameter_slice, plot_regions, save_figure

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
    cut = slice_of_parameters()
    ax = plot_parameter_slice(cut, (-1, 1))
    save_figure(ax, DOCS / "parameter_slice.png")
    print(len(cut.regions((-1, 1))), "regions of parameter space")


def slice_of_parameters() -> ParameterSlice:
    """A random plane in the first layer's parameters, and six samples."""
    rng = np.random.default_rng(5)
    net = ed.ReLUNetwork.random((2, 4, 3, 1), seed=8)
    directions = np.zeros((2, net.n_parameters), dtype=int)
    directions[:, :12] = rng.integers(-9, 10, (2, 12))
    return ed.parameter_slice(net, rng.integers(-6, 7, (6, 2)), directions)


if __name__ == "__main__":
    main()
