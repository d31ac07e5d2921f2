"""The regions as a graph, and the linear regions that they form."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import FloatArray
from exactdim.errors import InvalidInput
from exactdim.evidence.certificate import write_whole
from exactdim.regions.faces import BoolArray, Ints
from exactdim.regions.forms import forms_of_layer, passes

if TYPE_CHECKING:
    import networkx

    from exactdim.regions.complex import RegionComplex

__all__ = [
    "LinearRegion",
    "linear_regions",
    "region_graph",
    "surely_different_outputs",
    "write_graph",
    "write_graphml",
]


@dataclass(frozen=True)
class LinearRegion:
    """A maximal set of regions, joined through facets, on which the network is one affine map.

    Attributes
    ----------
    regions : tuple of int
        Numbers of the activation regions.
    gradient : QMatrix of shape (N_L, d)
    constant : QMatrix of shape (1, N_L)
        In the coordinates of the domain.
    """

    regions: tuple[int, ...]
    gradient: QMatrix
    constant: QMatrix


def region_graph(regions: RegionComplex) -> networkx.Graph:
    """Return the graph of regions that share a facet.

    Parameters
    ----------
    regions : RegionComplex

    Returns
    -------
    networkx.Graph
        Nodes are patterns (tuples of words), with attribute ``index``; edges have ``units``, the
        neurons ``(layer, unit)`` whose state differs, and ``facet``, the number of the facet.
        ``graph.graph["complete"]`` is True: no region or edge is missing.
    """
    import networkx

    graph = networkx.Graph(complete=True)
    patterns = [regions.layout.pattern(mask) for mask in regions.patterns]
    graph.add_nodes_from((pattern, {"index": i}) for i, pattern in enumerate(patterns))
    facets = inner_facets(regions)
    left, right = regions.facet_cells[facets].T
    for some in passes(len(facets), max(1, regions.patterns.shape[1])):
        which, column = np.nonzero(regions.patterns[left[some]] != regions.patterns[right[some]])
        crossed: list[list[tuple[int, int]]] = [[] for _ in range(len(facets[some]))]
        for i, unit in zip(which.tolist(), column.tolist(), strict=True):
            crossed[i].append(regions.layout.unit(unit))
        graph.add_edges_from(
            (patterns[a], patterns[b], {"units": tuple(units), "facet": facet})
            for a, b, facet, units in zip(
                left[some].tolist(),
                right[some].tolist(),
                facets[some].tolist(),
                crossed,
                strict=True,
            )
        )
    return graph


def write_graph(regions: RegionComplex, path: str | os.PathLike[str]) -> Path:
    """Write the adjacency graph as GraphML.

    Parameters
    ----------
    regions : RegionComplex
    path : path
        With the suffix .graphml.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If the path has another suffix.
    """
    import networkx

    plain = networkx.Graph(complete=True)
    graph = region_graph(regions)
    for pattern, data in graph.nodes(data=True):
        plain.add_node(" ".join(pattern), **data)
    for left, right, data in graph.edges(data=True):
        units = " ".join(f"{layer},{unit}" for layer, unit in data["units"])
        plain.add_edge(" ".join(left), " ".join(right), units=units, facet=data["facet"])
    return write_graphml(plain, path)


def write_graphml(graph: networkx.Graph, path: str | os.PathLike[str]) -> Path:
    """Write a graph whose nodes are strings as GraphML, the whole file or nothing.

    Parameters
    ----------
    graph : networkx.Graph
    path : path
        With the suffix .graphml.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If the path has another suffix.
    """
    import networkx

    file = Path(path)
    if file.suffix != ".graphml":
        raise InvalidInput(f"cannot write {file}: the graph is written as GraphML, to .graphml")
    write_whole(file, "\n".join(networkx.generate_graphml(graph)) + "\n")
    return file


def linear_regions(regions: RegionComplex) -> list[LinearRegion]:
    """Merge regions that share a facet and carry the same affine map.

    Parameters
    ----------
    regions : RegionComplex

    Returns
    -------
    list of LinearRegion
        In the order of their first regions.

    Notes
    -----
    Two affine maps that float bounds tell apart are different; the others are compared exactly,
    so that a cancellation between neurons is never missed and never invented.
    """
    import networkx

    facets = inner_facets(regions)
    pairs = regions.facet_cells[facets]
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(regions)))
    masks = regions.patterns
    different = surely_different_outputs(regions, (pairs[:, 0], 0), (pairs[:, 1], 0))
    for a, b in pairs[~different].tolist():
        if regions.output_forms(masks[a]) == regions.output_forms(masks[b]):
            graph.add_edge(a, b)
    groups = sorted(sorted(group) for group in networkx.connected_components(graph))
    found = []
    for group in groups:
        gradient, constant = regions[group[0]].affine_map()
        found.append(LinearRegion(tuple(group), gradient, constant))
    return found


def inner_facets(regions: RegionComplex) -> Ints:
    """Return the numbers of the facets between two regions.

    Parameters
    ----------
    regions : RegionComplex

    Returns
    -------
    integer array
    """
    return np.flatnonzero(regions.facet_cells[:, 1] >= 0)


def surely_different_outputs(
    regions: RegionComplex, left: tuple[Ints, int], right: tuple[Ints, int]
) -> BoolArray:
    """Tell where floats prove two affine maps on regions different.

    Parameters
    ----------
    regions : RegionComplex
    left, right : pairs of an integer array of shape (n,) and int
        Regions, and the network whose outputs are meant.

    Returns
    -------
    boolean array of shape (n,)
    """
    out = np.zeros(len(left[0]), np.bool_)
    for some in passes(len(out), regions.layout.widest):
        (a, a_error), (b, b_error) = (
            _output_forms(regions, cells[some], net) for cells, net in (left, right)
        )
        with np.errstate(all="ignore"):
            apart = np.abs(a - b)
            doubt = (a_error + b_error) * (1 + 2.0**-50) + apart * 2.0**-50
            out[some] = (apart > doubt).any(axis=(1, 2))
    return out


def _output_forms(regions: RegionComplex, cells: Ints, net: int) -> tuple[FloatArray, FloatArray]:
    network = regions.layout.nets[net]
    mask = regions.patterns[cells, regions.layout.starts[net] :]
    return forms_of_layer(network, network.depth - 1, mask)
