"""Pictures of activation regions in one and two dimensions, and of slices of larger spaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike, FloatArray
from exactdim.dimension.local import local_dimension
from exactdim.errors import InvalidInput, MissingDependency, OnKink, ShapeMismatch
from exactdim.nets.patterns import activation_pattern
from exactdim.regions.complex import RegionComplex
from exactdim.regions.region import Region
from exactdim.viz.palette import pattern_colors
from exactdim.viz.window import View, block_layers, view_of

__all__ = ["plot_graph", "plot_regions", "save_figure"]

Color: TypeAlias = (
    Literal["pattern", "gradient", "rank", "dimension"]
    | Callable[[Region], float | None]
    | Sequence[float | None]
    | npt.NDArray[Any]
    | None
)

RASTERIZED = 5000
"""From so many regions on, vector files hold them as an image."""

LAYERS = ("#1d1d2c", "#d1102a", "#0072c3", "#e68200", "#7a3fa0", "#1f7a4d")
DARK, GREY, LIGHT, PALE = "#3d405b", "#8d93a1", "#c9ccd3", "#eceef1"


def plot_regions(
    regions: RegionComplex,
    *,
    color: Color = "pattern",
    window: Sequence[Any] | None = None,
    boundaries: Literal["thin", "layer"] | None = "thin",
    anchor: ArrayLike | None = None,
    cmap: str = "viridis",
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the activation regions of a network in one or two dimensions.

    In one dimension a strip shows the regions; if the network has one output, its graph is drawn
    above, through the exact breakpoints.

    Parameters
    ----------
    regions : RegionComplex
        From `activation_regions`; for a network with more inputs, on a `Domain.plane` or
        `Domain.segment`.
    color : {"pattern", "gradient", "rank", "dimension"}, callable, sequence or None
        ``"pattern"``: regions that differ in one neuron look different, and a pattern looks the
        same in every picture. ``"gradient"``: the Frobenius norm of the gradient, on a slice in its
        coordinates. ``"rank"``: the exact rank of the gradient. ``"dimension"``: the exact local
        dimension of the batch of `anchor` and a point inside the region. Or numbers of your own,
        computed from each `Region` or one per region. Regions without a number are hatched: None
        and NaN, a dimension that is not proved, or no Jacobian as a neuron is identically zero
        there. None leaves all regions white.
    window : ((x0, x1), (y0, y1)), or (x0, x1) in one dimension, optional
        What to show. By default everything that is bounded; of unbounded regions the surroundings
        of the vertices, but for vertices that lie far from all others.
    boundaries : {"thin", "layer"} or None
        White lines; or one colour per layer, that of the first neuron that changes across the line.
    anchor : ArrayLike of shape (d,) or (n, d), optional
        One point or more for ``"dimension"``, in the coordinates of the domain; by default a
        point inside the first region where no neuron is identically zero. In a region that contains
        it, its partner is another point.
    cmap : str
        The matplotlib colormap for numbers.
    label : str, optional
        What the colorbar says.
    ax : matplotlib Axes, optional
        By default those of a new figure, ``ax.figure``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InvalidInput
        If there are more than two dimensions, no region meets the window, or an argument is not
        understood.
    OnKink
        If an anchor lies on the boundary of a region.
    ShapeMismatch
        If there is not one number per region, or an anchor has the wrong number of coordinates.
    MissingDependency
        If matplotlib is not installed.

    See Also
    --------
    plot_graph : which regions are neighbours.
    save_figure : write a picture to a file.

    Notes
    -----
    Linear in the number of regions: some 50 microseconds each to draw, 0.2 milliseconds for a
    gradient or a rank, milliseconds for a local dimension, of the regions in the window only.

    Examples
    --------
    >>> import exactdim as ed
    >>> net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])
    >>> ax = plot_regions(ed.activation_regions(net, (-2, 2)))
    >>> len(ax.collections[0].get_paths())
    7
    """
    _check(regions)
    if boundaries not in {"thin", "layer", None}:
        raise InvalidInput(f"boundaries={boundaries!r} is unknown; choose 'thin', 'layer' or None")
    view = view_of(regions, window)
    paint = _paint_of(regions, view, color, anchor, label)
    ax = _axes(ax, regions, view, paint)
    handles = _draw_cells(ax, regions, view, paint, cmap)
    if boundaries is not None:
        handles += _draw_boundaries(ax, regions, view, boundaries == "layer", color is None)
    if _has_curve(regions):
        _draw_curve(ax, regions, view)
    _legend(ax, handles)
    return ax


def plot_graph(
    regions: RegionComplex,
    *,
    color: Color = "pattern",
    window: Sequence[Any] | None = None,
    cells: bool = True,
    anchor: ArrayLike | None = None,
    cmap: str = "viridis",
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the adjacency graph of the regions of a network in two dimensions.

    Parameters
    ----------
    regions, color, window, anchor, cmap, label, ax
        As for `plot_regions`; it is the nodes that are coloured.
    cells : bool
        Whether to draw the regions too, in grey lines.

    Returns
    -------
    matplotlib Axes
        A node lies at the centroid of what is seen of the region; an edge passes through the middle
        of the common facet, so that no two edges cross.

    Raises
    ------
    InvalidInput
        As `plot_regions`, and for regions on a line.
    OnKink, ShapeMismatch, MissingDependency
        As `plot_regions`.

    See Also
    --------
    RegionComplex.graph : the graph itself, in any dimension.

    Examples
    --------
    >>> import exactdim as ed
    >>> three_lines = ed.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, -1], [0]])
    >>> ax = plot_graph(ed.activation_regions(three_lines))
    >>> edges, nodes = ax.collections[-2:]
    >>> len(nodes.get_offsets()), len(edges.get_paths())
    (7, 9)
    """
    _check(regions)
    if regions.dimension < 2:
        raise InvalidInput("the graph of regions on a line is a path; use plot_regions")
    view = view_of(regions, window)
    paint = _paint_of(regions, view, color, anchor, label)
    ax = _axes(ax, regions, view, paint)
    if cells:
        _draw_boundaries(ax, regions, view, by_layer=False, on_white=True)
    place = np.full(len(regions) + 1, -1)  # the last stands for no region
    place[view.numbers] = np.arange(len(view.numbers))
    ends, facets = view.segments()
    pairs = place[regions.facet_cells[facets]]
    inner = (pairs >= 0).all(axis=1)
    centres = view.centroids()
    first, second = centres[pairs[inner].T]
    paths = np.stack([first, ends[inner].mean(axis=1), second], axis=1)
    n, width = len(centres), _line_width(view)
    lines = _matplotlib(".collections").LineCollection
    style = {"colors": DARK, "linewidths": width, "joinstyle": "round", "label": "_edges"}
    ax.add_collection(lines(paths, zorder=2, rasterized=n > RASTERIZED, **style), autolim=False)
    style = {"edgecolors": DARK, "linewidths": 0.8 * width, "label": "_nodes"}
    nodes = ax.scatter(
        *centres.T, s=min(28, 9000 / n), zorder=3, rasterized=n > RASTERIZED, **style
    )
    _apply(ax, paint, nodes, cmap)
    if None in (paint.values or ()):
        key = {"linestyle": "", "marker": "o", "markerfacecolor": PALE, "markeredgecolor": DARK}
        _legend(ax, [_matplotlib(".lines").Line2D([], [], label=paint.missing, **key)])
    return ax


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file, cut to what is drawn; equal pictures give equal files.

    Parameters
    ----------
    figure : matplotlib Figure or Axes
    path : path
        Ending in ``.svg``, ``.pdf`` or ``.png``.

    Raises
    ------
    InvalidInput
        If the path has another ending.
    MissingDependency
        If matplotlib is not installed.

    Examples
    --------
    >>> import exactdim as ed, tempfile
    >>> fold = ed.ReLUNetwork([[[1], [-1]], [[1, 1]]])  # |x|
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(plot_regions(ed.activation_regions(fold, (-1, 1))), f"{folder}/fold.svg")
    """
    dates: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    dates[".png"] = {}
    suffix = Path(path).suffix.lower()
    if suffix not in dates:
        raise InvalidInput(
            f"{os.fspath(path)!r} ends in {suffix or 'no suffix'}; figures are written as "
            + ", ".join(dates)
        )
    while not hasattr(figure, "savefig"):  # from axes and subfigures up
        figure = figure.figure
    with _matplotlib().rc_context({"svg.hashsalt": "exactdim"}):
        options = {"dpi": 300, "bbox_inches": "tight", "pad_inches": 0.03}
        figure.savefig(path, format=suffix[1:], metadata=dates[suffix], **options)


# -- what is told by colour -------------------------------------------------------------------


@dataclass(frozen=True)
class _Paint:
    """Colours, or numbers that colours stand for, of the regions in view; neither: white."""

    label: str = ""
    colors: FloatArray | None = None
    values: Sequence[Any] | None = None
    missing: str = "no value"

    @property
    def whole(self) -> tuple[int, int] | None:
        """The range of the numbers, if all of them are integers and there are few."""
        known = [v for v in self.values or () if v is not None]
        if not known or not all(isinstance(v, int | np.integer | np.bool_) for v in known):
            return None
        low, high = int(min(known)), int(max(known))
        return (low, high) if high - low < 12 else None


def _paint_of(
    regions: RegionComplex, view: View, color: Color, anchor: ArrayLike | None, label: str | None
) -> _Paint:
    if color is None:
        return _Paint()
    if isinstance(color, str) and color == "pattern":
        return _Paint(colors=pattern_colors(regions, view.numbers))
    title, missing = "", "no value"
    if isinstance(color, str):
        title, measure = _measure(regions, color, anchor)
        missing = "no proved value"
        values = [measure(regions[int(i)]) for i in view.numbers]
    elif callable(color):
        values = [color(regions[int(i)]) for i in view.numbers]
    elif not hasattr(color, "__len__"):
        raise InvalidInput(f"color={color!r:.60} is no colouring; see plot_regions")
    elif len(color) != len(regions):
        raise ShapeMismatch(f"color has {len(color)} numbers for {len(regions)} regions")
    else:
        values = [color[int(i)] for i in view.numbers]
    try:
        values = [None if v is None or not np.isfinite(float(v)) else v for v in values]
    except (OverflowError, TypeError, ValueError):
        raise InvalidInput("color must give a number, or None, for every region") from None
    return _Paint(title if label is None else label, None, values, missing)


def _measure(
    regions: RegionComplex, name: str, anchor: ArrayLike | None
) -> tuple[str, Callable[[Region], float | None]]:
    if name == "gradient":
        return "norm of the gradient", _gradient_norm
    if name == "rank":
        return "rank of the gradient", lambda region: region.affine_map()[0].rank()
    if name != "dimension":
        raise InvalidInput(
            f"color={name!r} is unknown; choose 'pattern', 'gradient', 'rank' or 'dimension', or "
            "give a function of a region, or one number per region"
        )
    if anchor is None:
        start = next((region for region in regions if not _on_kinks(region)), regions[0])
        points = QMatrix([start.interior_point])
    else:
        points = QMatrix(anchor if np.ndim(anchor) > 1 else [anchor], name="anchor")
    if points.shape[1] != regions.dimension:
        raise ShapeMismatch(
            f"anchor has {points.shape[1]} coordinates; the domain has {regions.dimension}"
        )
    try:
        activation_pattern(regions.net, regions.domain.to_inputs(points))
    except OnKink as error:
        (sample, layer, unit), *_ = error.kinks
        raise OnKink(
            f"anchor {sample} has no Jacobian: neuron {(layer, unit)} is zero there; choose "
            "another point",
            error.kinks,
        ) from None
    return "local dimension", lambda region: _dimension_with(points, region)


def _gradient_norm(region: Region) -> float:
    return float(np.linalg.norm(region.affine_map()[0].to_numpy(np.float64)))


def _dimension_with(anchors: QMatrix, region: Region) -> int | None:
    """Return the local dimension of some points and another one inside the region, if proved."""
    if _on_kinks(region):
        return None
    point, taken = region.interior_point, anchors.tolist()
    while list(point) in taken:
        if region.vertices:  # halfway to a corner, else further out
            point = tuple((a + b) / 2 for a, b in zip(point, region.vertices[0], strict=True))
        else:
            point = tuple(a + b for a, b in zip(point, region.rays[0], strict=True))
    whole = region.complex
    batch = whole.domain.to_inputs(QMatrix.vstack([anchors, QMatrix([point])]))
    found = local_dimension(whole.net, batch)
    return found.lower if found.status == "proved" else None


def _on_kinks(region: Region) -> bool:
    """Whether a neuron is identically zero on the region, so that no Jacobian exists there."""
    rows = region.inequalities[: region.complex.net.n_hidden].tolist()
    return not all(any(row) for row in rows)


# -- drawing ----------------------------------------------------------------------------------

STRIP = 0.09
"""Height of the strip under a graph, relative to the axes."""

SLENDER = 6
"""Windows that are longer than so many times their width are not drawn to scale."""


def _matplotlib(module: str = "") -> Any:
    try:
        import_module("matplotlib")
        return import_module(f"matplotlib{module}")
    except ImportError:
        raise MissingDependency("this needs matplotlib: pip install 'exactdim[plot]'") from None


def _check(regions: RegionComplex) -> None:
    _matplotlib()
    if not isinstance(regions, RegionComplex):
        raise InvalidInput(
            f"{regions!r:.60} cannot be drawn; give what activation_regions(net, domain) returns"
        )
    if regions.dimension > 2:
        raise InvalidInput(
            f"regions of dimension {regions.dimension} cannot be drawn; draw those of a slice, "
            "activation_regions(net, Domain.plane(first, second, third))"
        )


def _has_curve(regions: RegionComplex) -> bool:
    return regions.dimension == 1 and regions.net.widths[-1] == 1


def _line_width(view: View) -> float:
    return min(0.9, max(0.08, 16 * view.typical_size()))


def _axes(ax: Any, regions: RegionComplex, view: View, paint: _Paint) -> Any:
    """Set up axes for a window, new ones unless there are any."""
    width, height = np.ptp(view.window, axis=1)[[0, -1]]
    to_scale = bool(width < SLENDER * height and height < SLENDER * width)
    if ax is None:
        size = (4.2, 4.2 * min(height / width, 2) if to_scale else 4.2)
        if regions.dimension == 1:
            size = (5.0, 3.0 if _has_curve(regions) else 1.1)
        beside = 0.0 if paint.values is None else 0.8
        figure = _matplotlib(".figure").Figure((size[0] + beside, size[1]), layout="constrained")
        _matplotlib(".backends.backend_agg").FigureCanvasAgg(figure)
        ax = figure.add_subplot()
    name = "x" if regions.domain.directions is None else "y"
    ax.set_xlim(*view.window[0])
    if regions.dimension == 1:
        ax.set(xlabel=f"${name}$", ylim=(0, 1), yticks=[])
    else:
        ax.set(xlabel=f"${name}_1$", ylim=tuple(view.window[1]))
        ax.set_ylabel(f"${name}_2$", rotation=0, va="center", ha="right")
        ax.set_aspect("equal" if to_scale else "auto")
    return ax


def _transform(ax: Any, regions: RegionComplex) -> dict[str, Any]:
    """Put a strip of height 1 to where it belongs; leave plane coordinates as they are."""
    if regions.dimension == 2:
        return {}
    strip = _matplotlib(".transforms").Affine2D().scale(1, STRIP if _has_curve(regions) else 1)
    return {"transform": strip + ax.get_xaxis_transform()}


def _draw_cells(ax: Any, regions: RegionComplex, view: View, paint: _Paint, cmap: str) -> list[Any]:
    """Draw the regions and return what the legend must tell of them."""
    polygons = _matplotlib(".collections").PolyCollection
    options = {"rasterized": len(view.numbers) > RASTERIZED, **_transform(ax, regions)}
    seams = {"edgecolors": "face", "linewidths": 0.5 * _line_width(view)}
    cells = polygons(view.polygons, label="_regions", zorder=1, **seams, **options)
    ax.add_collection(cells, autolim=False)
    _apply(ax, paint, cells, cmap)
    missing = [p for p, v in zip(view.polygons, paint.values or (), strict=False) if v is None]
    if not missing:
        return []
    style = {"facecolors": PALE, "edgecolors": GREY, "linewidths": 0, "hatch": "/////"}
    ax.add_collection(polygons(missing, zorder=1.5, **style, **options), autolim=False)
    patch = {"facecolor": PALE, "edgecolor": GREY, "linewidth": 0, "hatch": "/////"}
    return [_matplotlib(".patches").Patch(label=paint.missing, **patch)]


def _apply(ax: Any, paint: _Paint, collection: Any, cmap: str) -> None:
    """Colour a collection, with a colorbar for numbers."""
    if paint.values is None:
        collection.set_facecolor("white" if paint.colors is None else paint.colors)
        return
    colormap = _matplotlib().colormaps.get_cmap(cmap)
    ticks: dict[str, Any] = {}
    if paint.whole:
        low, high = paint.whole
        n = high - low + 1
        colors = _matplotlib(".colors")
        colormap = colors.ListedColormap(colormap(np.linspace(0.15, 0.9, n) if n > 1 else [0.5]))
        collection.set_norm(colors.BoundaryNorm(np.arange(low - 0.5, high + 1), n))
        ticks = {"ticks": range(low, high + 1)}
    collection.set_cmap(colormap.with_extremes(bad=PALE))
    numbers = np.array([np.nan if v is None else float(v) for v in paint.values])
    collection.set_array(np.ma.masked_invalid(numbers))
    if not np.isnan(numbers).all():
        inset = ax.inset_axes([1.03, 0, 0.035, 1])
        bar = ax.figure.colorbar(collection, cax=inset, label=paint.label, **ticks)
        bar.outline.set_visible(False)
        bar.ax.minorticks_off()


def _draw_boundaries(
    ax: Any, regions: RegionComplex, view: View, by_layer: bool, on_white: bool
) -> list[Any]:
    """Draw what separates regions and return what the legend must tell of it."""
    cells, (ends, facets) = regions.cells, view.segments()
    layer_of = np.array([*block_layers(regions.layout), -1])
    layers = layer_of[cells.row_block[cells.facet_row[facets]]]  # -1: boundary of the domain
    n = len(regions.layout.ends) - 1
    palette = [LIGHT if on_white else "white"] * n
    if by_layer:
        turbo = _matplotlib().colormaps["turbo"]
        palette = list(LAYERS[:n]) if n <= len(LAYERS) else [turbo(i / (n - 1)) for i in range(n)]
    palette.append(DARK)
    style = {
        "colors": [palette[i] for i in layers],
        "linewidths": _line_width(view) * (1.3 if by_layer else 1),
    }
    style |= {"capstyle": "round", "rasterized": len(view.numbers) > RASTERIZED}
    lines = _matplotlib(".collections").LineCollection
    drawn = lines(ends, label="_boundaries", zorder=2, **style, **_transform(ax, regions))
    ax.add_collection(drawn, autolim=False)
    if not by_layer:
        return []
    key = _matplotlib(".lines").Line2D
    present = sorted(set(layers[layers >= 0].tolist()))
    return [key([], [], color=palette[i], linewidth=1.2, label=f"layer {i}") for i in present]


def _draw_curve(ax: Any, regions: RegionComplex, view: View) -> None:
    """Draw the graph of a function of one variable above the strip."""
    start, stop = (Fraction(end) for end in view.window[0].tolist())
    breaks = [x for (x,) in regions.vertices() if start < x < stop]
    rims = [x for x in (start, stop) if regions.domain.contains(QMatrix([[x]]))]
    points = QMatrix([[x] for x in sorted([*breaks, *rims])])
    x = points.to_numpy(np.float64)[:, 0]
    y = regions.domain.restrict(regions.net)(points).to_numpy(np.float64)[:, 0]
    dots = {"marker": "o", "markersize": 2.5} if len(x) < 60 else {}
    ax.plot(x, y, color=DARK, linewidth=1.3, zorder=3, solid_joinstyle="round", **dots)
    low, high = float(y.min()), float(y.max())
    height = (high - low or 1.0) / (1 - STRIP - 0.14)
    ticks = _matplotlib(".ticker").AutoLocator().tick_values(low, low + 0.83 * height)
    ax.set(ylim=(low - (STRIP + 0.08) * height, low + (1 - STRIP - 0.08) * height))
    ax.set_yticks([tick for tick in ticks if low - 0.05 * height < tick < low + 0.83 * height])
    ax.set_ylabel("$f$", rotation=0, va="center", ha="right")


def _legend(ax: Any, handles: list[Any]) -> None:
    if handles:
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "ncols": 4}
        ax.legend(handles=handles, frameon=False, fontsize="small", handlelength=1.4, **above)
