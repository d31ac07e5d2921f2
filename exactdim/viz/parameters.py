"""Pictures of slices of parameter space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from exactdim.dimension.local import local_dimension
from exactdim.errors import InvalidInput, OnKink
from exactdim.regions.domain import DomainLike
from exactdim.regions.region import Region
from exactdim.regions.slices import ParameterSlice
from exactdim.viz.regions import plot_regions

__all__ = ["plot_parameter_slice"]


def plot_parameter_slice(
    cut: ParameterSlice,
    domain: DomainLike = None,
    *,
    color: Literal["dimension", "pattern"] = "dimension",
    window: Sequence[Any] | None = None,
    boundaries: Literal["thin", "layer"] | None = "thin",
    max_regions: int | None = None,
    ax: Any = None,
) -> Any:
    """Draw a slice of parameter space in one or two dimensions, coloured by exact rank.

    Parameters
    ----------
    cut : ParameterSlice
        From `exactdim.parameter_slice`, with one or two directions.
    domain : Domain, pair, list of pairs or None
        What to enumerate, in the coordinates of the slice; all of it by default.
    color : {"dimension", "pattern"}
        ``"dimension"``: the exact local dimension, at the batch, of the network at the interior
        point of each region; hatched where there is no Jacobian as a unit is zero all over it.
        ``"pattern"``: as in `plot_regions`.
    window, boundaries, ax
        As in `plot_regions`.
    max_regions : int, optional
        Stop with an error beyond so many regions.

    Returns
    -------
    matplotlib Axes
        With a cross where the network of the slice is.

    Raises
    ------
    InvalidInput
        If the slice has more than two directions, or an argument is not understood.
    BudgetExceeded, MissingDependency, TooLarge
        As `activation_regions` and `plot_regions`.

    Notes
    -----
    T2, T4: the rank is constant on each region but for a null set, which a straight slice may lie
    in; what is drawn is the rank at a point of the slice. A few milliseconds per region.

    Examples
    --------
    >>> import exactdim as ed
    >>> net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    >>> cut = ed.parameter_slice(net, [[-1], [2]], [[1, 0, 0, 0], [0, 1, 0, 0]])
    >>> plot_parameter_slice(cut, (-2, 2)).get_xlabel()
    'direction 1'
    """
    if color not in {"dimension", "pattern"}:
        raise InvalidInput(f"color={color!r} is unknown; choose 'dimension' or 'pattern'")

    def dimension(region: Region) -> int | None:
        try:
            found = local_dimension(cut.network_in(region), cut.batch)
        except OnKink:
            return None
        return found.value if found.status == "proved" else None

    regions = cut.regions(domain, max_regions=max_regions)
    ax = plot_regions(
        regions,
        color=dimension if color == "dimension" else "pattern",
        window=window,
        boundaries=boundaries,
        label="local dimension" if color == "dimension" else None,
        ax=ax,
    )
    ax.plot([0], [0], marker="+", markersize=9, color="black", zorder=10)
    ax.set_xlabel("direction 1")
    if regions.dimension == 2:
        ax.set_ylabel("direction 2", rotation="vertical", ha="center", labelpad=4)
    return ax
