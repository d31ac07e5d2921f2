import math
import subprocess
import sys
from fractions import Fraction as Q

import matplotlib.figure
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from networks import networks

import exactdim as ed
from exactdim import errors, viz
from exactdim.viz import plot_graph, plot_parameter_slice, plot_regions, save_figure
from exactdim.viz.palette import pattern_colors
from exactdim.viz.window import view_of

GOLDEN = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])
THREE_LINES = ed.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, -1], [0]])
FOLD = ed.ReLUNetwork([[[1], [-1]], [[1, 1]]])  # |x|


def drawn(ax, label="_regions"):
    (found,) = [c for c in ax.collections if c.get_label() == label]
    return found


def polygons(ax):
    return [path.vertices[:-1] for path in drawn(ax).get_paths()]


def area(polygon):
    x, y = np.asarray(polygon).T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def areas(ax):
    return [area(p) for p in polygons(ax)]


def window_area(ax):
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    return (x1 - x0) * (y1 - y0)


# -- polygons ---------------------------------------------------------------------------------


def test_the_golden_network_has_seven_polygons_with_the_known_areas():
    regions = ed.activation_regions(GOLDEN, (-2, 2))
    ax = plot_regions(regions)
    assert sorted(areas(ax)) == pytest.approx([0.5, 2, 2, 2, 2, 3.5, 4])
    assert areas(ax) == pytest.approx([float(r.volume) for r in regions])
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 2), (-2, 2))


@settings(max_examples=25)
@given(networks(min_depth=2), st.integers(0, 10**6))
def test_polygons_of_a_slice_are_its_regions(net, seed):
    rng = np.random.default_rng(seed)
    d, n = min(2, net.widths[0]), net.widths[0]
    points = [[Q(int(x), 4) for x in row] for row in rng.integers(-8, 9, (d + 1, n))]
    for i in range(d):
        points[i + 1][i] += 40  # in general position
    regions = ed.activation_regions(net, ed.Domain.flat(points, within=("-1/3", "7/5")))
    view = view_of(regions)
    assert view.numbers.tolist() == list(range(len(regions)))
    for region, polygon, facets in zip(regions, view.polygons, view.facets, strict=True):
        exact = {(*map(float, v), *[0.0] * (2 - d)) for v in region.vertices}
        corners = polygon if d == 2 else polygon[:2]
        assert len(corners) == len(exact)
        for corner in corners:
            assert min(math.dist(corner, v) for v in exact) < 1e-9
        assert sorted(f for f in facets.tolist() if f >= 0) == sorted(f.face for f in region.facets)
        assert area(polygon) == pytest.approx(float(region.volume), abs=1e-12)


DEGENERATE = {
    "duplicates": ed.ReLUNetwork([[[1, 2], [1, 2], [2, 4], [-1, -2]], [[1, 1, 1, 1]]]),
    "zero neurons": ed.ReLUNetwork([[[0, 0], [1, 1], [0, 0]], [[1, 1, 1]]], [[1, 0, 0], None]),
    "all zero": ed.ReLUNetwork([[[0, 0]], [[0]]], [[0], [0]]),
    "lines through a point": ed.ReLUNetwork([
        [[1, 0], [0, 1], [1, 1], [1, -1], [1, 2], [3, -1]],
        [[1] * 6, [1, -1] * 3],
        [[1, 1]],
    ]),
    "parallel": ed.ReLUNetwork([[[1, 1], [2, 2], [-1, -1]], [[1, 1, 1]]], [[0, -3, 5], None]),
    "linear": ed.ReLUNetwork([[[1, 2]]], [[3]]),
    "golden": GOLDEN,
    "three lines": THREE_LINES,
    "far apart": ed.ReLUNetwork([[[1, 0], [1, "1/1000000000"]], [[1, 1]]], [[0, -1], None]),
    "wide": ed.ReLUNetwork.random((2, 8, 8, 1), seed=5),
}
WINDOWS = [None, ((-1, 1), (-2, 5)), (("1/3", "1/2"), (7, 8)), ((-1000, 1000), (-1, 1))]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_unbounded_regions_cover_the_window_and_do_not_overlap(name, window):
    regions = ed.activation_regions(DEGENERATE[name])
    ax = plot_regions(regions, window=window)
    assert sum(areas(ax)) == pytest.approx(window_area(ax), rel=1e-9)
    box = [[Q(x) for x in ax.get_xlim()], [Q(y) for y in ax.get_ylim()]]
    again = ed.activation_regions(DEGENERATE[name], box)
    assert sorted(areas(ax)) == pytest.approx(
        sorted(float(r.volume) for r in again), abs=1e-9, rel=1e-9
    )


def test_the_default_window_shows_every_line():
    for name in ("parallel", "three lines", "lines through a point", "golden"):
        regions = ed.activation_regions(DEGENERATE[name])
        assert len(view_of(regions).numbers) == len(regions)
    shifted = ed.ReLUNetwork([[[1, 0]], [[1]]], [["-1000000000000"], None])
    assert len(view_of(ed.activation_regions(shifted)).numbers) == 2


def test_outlying_vertices_do_not_stretch_the_default_window():
    net = ed.ReLUNetwork(
        [[[1, 0], [0, 1], [1, 1], [1, -1], [1, "1000001/1000000"]], [[1] * 5]],
        [[0, 0, -1, 0, -2], [0]],
    )
    regions = ed.activation_regions(net)
    assert max(abs(x) for v in regions.vertices() for x in v) > 10**5
    assert np.abs(view_of(regions).window).max() < 10


def test_vertices_that_floats_cannot_find_are_solved_exactly():
    tiny = Q(1, 10**30)  # lines x + y = 1 and x + (1 + tiny) y = 1 + tiny / 4 meet at (3/4, 1/4)
    net = ed.ReLUNetwork([[[1, 1], [1, 1 + tiny]], [[1, 1]]], [[-1, -1 - tiny / 4], None])
    regions = ed.activation_regions(net, (0, 1))
    assert sorted(areas(plot_regions(regions))) == pytest.approx([0, 0, 0.5, 0.5], abs=1e-9)
    assert (
        sum(np.isclose(p, [0.75, 0.25]).all(axis=1).any() for p in view_of(regions).polygons) == 4
    )


def test_domains_beyond_the_range_of_floats_need_a_window():
    regions = ed.activation_regions(GOLDEN, (-(10**400), 10**400))
    with pytest.raises(errors.InvalidInput, match="choose a window"):
        plot_regions(regions)
    ax = plot_regions(regions, window=((-2, 2), (-2, 2)))
    assert sorted(areas(ax)) == pytest.approx([0.5, 2, 2, 2, 2, 3.5, 4])


def test_a_polytope_is_drawn_as_it_is():
    triangle = ed.Domain.polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 3])
    regions = ed.activation_regions(GOLDEN, triangle)
    assert sum(areas(plot_regions(regions))) == pytest.approx(4.5)
    half = ed.Domain.polytope([[-1, 0]], [-5])  # x >= 5: unbounded, its only line its wall
    ax = plot_regions(ed.activation_regions(ed.ReLUNetwork([[[1, 2]]]), half))
    assert ax.get_xlim()[0] < 5 < ax.get_xlim()[1]


def test_regions_that_only_touch_the_window_are_left_out():
    regions = ed.activation_regions(GOLDEN, (-2, 2))
    ax = plot_regions(regions, window=((0, 1), (-2, 0)))
    assert areas(ax) == pytest.approx([2])


@pytest.mark.parametrize("window", [None, ((-1, 1), (-1, 1))])
def test_segments_lie_on_their_facets_and_bound_what_is_seen(window):
    regions = ed.activation_regions(ed.ReLUNetwork.random((2, 6, 5, 1), seed=8))
    view = view_of(regions, window)
    ends, facets = view.segments()
    assert len(set(facets.tolist())) == len(facets) > 20
    sides = {n: f.tolist() for n, f in zip(view.numbers.tolist(), view.facets, strict=True)}
    for points, facet in zip(ends, facets.tolist(), strict=True):
        for number in regions.facet_cells[facet].tolist():
            assert facet in sides[number]
            found = next(f for f in regions[number].facets if f.face == facet)
            *g, c = (float(x) for x in found.inequality)
            assert points @ g + c == pytest.approx([0, 0], abs=1e-9 * (np.abs(g).sum() + abs(c)))
    assert all((view.window[:, 0] <= p.min(axis=0) + 1e-9).all() for p in view.polygons)


# -- colours ----------------------------------------------------------------------------------


def facecolors(ax):
    return [tuple(color) for color in drawn(ax).get_facecolor()]


def test_a_pattern_has_one_colour_in_every_picture():
    net = ed.ReLUNetwork.random((2, 6, 5, 1), seed=3)
    seen = {}
    for domain, window in [((-1, 1), None), (None, None), (None, ((-3, 4), (0, 2)))]:
        regions = ed.activation_regions(net, domain)
        numbers = view_of(regions, window).numbers
        colors = facecolors(plot_regions(regions, window=window))
        for number, color in zip(numbers, colors, strict=True):
            assert seen.setdefault(regions[int(number)].pattern, color) == color
    assert len(seen) > 40
    assert len(set(seen.values())) > 0.9 * len(seen)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_neighbours_that_differ_in_one_neuron_look_different(seed):
    regions = ed.activation_regions(ed.ReLUNetwork.random((2, 7, 6, 1), seed=seed), (-2, 2))
    rgb = pattern_colors(regions, np.arange(len(regions)))
    assert ((rgb >= 0) & (rgb <= 1)).all()
    graph = regions.graph()
    for a, b, units in graph.edges(data="units"):
        if len(units) == 1:
            i, j = graph.nodes[a]["index"], graph.nodes[b]["index"]
            assert np.linalg.norm(rgb[i] - rgb[j]) > 0.1


def test_gradients_and_ranks_are_those_of_the_regions():
    net = ed.ReLUNetwork([[[3, 0], [0, 4]], [[1, 0], [0, 1]]])  # (3 relu(x), 4 relu(y))
    regions = ed.activation_regions(net, (-1, 1))
    norm = {("11",): 5, ("10",): 3, ("01",): 4, ("00",): 0}
    rank = {("11",): 2, ("10",): 1, ("01",): 1, ("00",): 0}
    ax = plot_regions(regions, color="gradient")
    assert drawn(ax).get_array().tolist() == [norm[r.pattern] for r in regions]
    assert labels_of(ax) == ["norm of the gradient"]
    ax = plot_regions(regions, color="rank")
    assert drawn(ax).get_array().tolist() == [rank[r.pattern] for r in regions]
    assert colorbar(ax).get_yticks().tolist() == [0, 1, 2]
    assert len(set(facecolors(drawn_now(ax)))) == 3


def colorbar(ax):
    (inset,) = ax.child_axes
    return inset


def labels_of(ax):
    return [inset.get_ylabel() for inset in ax.child_axes]


def drawn_now(ax):
    ax.figure.canvas.draw()
    return ax


def legend_of(ax):
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_dimensions_are_those_of_the_batch_with_the_anchor():
    net = ed.ReLUNetwork([*GOLDEN.weights[:2], [[1], [2]]], [[0, 0], [-1], [0, 0]])
    regions = ed.activation_regions(net, (-3, 3))
    anchor = [-1, "-1/7"]
    values = drawn(plot_regions(regions, color="dimension", anchor=anchor)).get_array()
    expected = [
        int(ed.local_dimension(net, [anchor, list(r.interior_point)], proof="full"))
        for r in regions
    ]
    assert values.tolist() == expected
    assert len(set(expected)) > 1
    batch = [anchor, ["-1/2", "9/7"]]
    values = drawn(plot_regions(regions, color="dimension", anchor=batch)).get_array()
    assert values.tolist() == [
        int(ed.local_dimension(net, [*batch, list(r.interior_point)], proof="full"))
        for r in regions
    ]
    window = ((0, 1), (0, 1))  # by default the anchor is the interior point of region 0
    values = drawn(plot_regions(regions, color="dimension", window=window)).get_array().tolist()
    first = list(regions[0].interior_point)
    for number, value in zip(view_of(regions, window).numbers.tolist(), values, strict=True):
        other = list(regions[number].interior_point)
        if number:
            assert value == int(ed.local_dimension(net, [first, other], proof="full"))


def test_in_the_region_of_the_anchor_its_partner_is_another_point(monkeypatch):
    batches = []

    def spy(net, X):
        batches.append(X.tolist())
        return ed.local_dimension(net, X)

    monkeypatch.setattr(viz.regions, "local_dimension", spy)
    flat = ed.Domain.flat([[1, 2, 3], [2, 2, 3], [1, 3, 3]])
    net = ed.ReLUNetwork([[[1, -1, 0]], [[1]]], [[2], None])
    for regions in (
        ed.activation_regions(net, flat),
        ed.activation_regions(GOLDEN, (-2, 2)),
        ed.activation_regions(ed.ReLUNetwork([[[1, 2]]])),
    ):
        batches.clear()
        plot_regions(regions, color="dimension")
        assert len(batches) == len(regions)
        for number, (first, second) in enumerate(batches):
            assert first != second
            inputs = ed.activation_pattern(regions.net, [first, second])
            same = inputs == ed.activation_pattern(regions.net, [first, first])
            assert same == (number == 0)


def test_regions_without_a_proved_value_are_hatched(monkeypatch):
    regions = ed.activation_regions(GOLDEN, (-2, 2))
    ax = plot_regions(regions, color="dimension")
    assert legend_of(ax) == []

    class Open:
        status, lower = "bracketed", 1

    monkeypatch.setattr(viz.regions, "local_dimension", lambda net, X: Open)
    ax = plot_regions(regions, color="dimension")
    assert drawn(ax).get_array().mask.all()
    assert legend_of(ax) == ["no proved value"]
    assert ax.child_axes == []
    assert legend_of(plot_graph(regions, color="dimension")) == ["no proved value"]


def test_where_a_neuron_is_identically_zero_there_is_no_dimension():
    net = ed.ReLUNetwork([[[1, 0]], [[1]], [[1]]])  # relu(relu(x)): z_2 = 0 for x < 0
    regions = ed.activation_regions(net, (-1, 1))
    ax = plot_regions(regions, color="dimension")
    assert legend_of(ax) == ["no proved value"]
    hatched = {r.pattern for r, off in zip(regions, drawn(ax).get_array().mask, strict=True) if off}
    assert hatched == {("0", "0")}


def test_numbers_of_your_own():
    regions = ed.activation_regions(GOLDEN, (-2, 2))
    volumes = [r.volume for r in regions]
    ax = plot_regions(regions, color=lambda r: r.volume, label="area")
    assert drawn(ax).get_array().tolist() == [float(v) for v in volumes]
    assert labels_of(ax) == ["area"]
    for numbers in (volumes, np.array(volumes, float), tuple(volumes)):
        assert drawn(plot_regions(regions, color=numbers)).get_array().tolist() == [
            float(v) for v in volumes
        ]
    ax = plot_regions(regions, color=range(7), window=((1, 2), (1, 2)))
    assert drawn(ax).get_array().tolist() == [regions.region_at(["3/2", "3/2"]).index]
    ax = plot_regions(regions, color=[None, math.nan, 1, 2, 3, 4, math.inf], cmap="magma")
    assert drawn(ax).get_array().mask.tolist() == [True, True, False, False, False, False, True]
    assert legend_of(ax) == ["no value"]
    assert set(facecolors(drawn_now(plot_regions(regions, color=None)))) == {(1, 1, 1, 1)}


# -- boundaries -------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [None, (-2, 2)])
def test_each_boundary_has_the_colour_of_its_first_layer(domain):
    net = ed.ReLUNetwork.random((2, 4, 4, 4, 1), seed=6)
    regions = ed.activation_regions(net, domain)
    ax = plot_regions(regions, boundaries="layer", window=((-2, 2), (-2, 2)))
    lines = drawn(ax, "_boundaries")
    names = {to_rgba(h.get_color()): h.get_label() for h in ax.get_legend().legend_handles}
    facets = view_of(regions, ((-2, 2), (-2, 2))).segments()[1]
    masks = regions.patterns
    seen = set()
    for facet, color in zip(facets.tolist(), lines.get_colors(), strict=True):
        a, b = regions.facet_cells[facet]
        if b < 0:
            assert tuple(color) not in names
            continue
        layer, _ = regions.layout.unit(int(np.flatnonzero(masks[a] != masks[b])[0]))
        assert names[tuple(color)] == f"layer {layer}"
        seen.add(layer)
    assert seen == {0, 1, 2}
    assert legend_of(ax) == ["layer 0", "layer 1", "layer 2"]


def test_more_layers_than_colours_and_no_boundaries():
    deep = ed.ReLUNetwork.random((2, *[3] * 8, 1), seed=1)
    ax = plot_regions(ed.activation_regions(deep, (-2, 2)), boundaries="layer")
    colors = [h.get_color() for h in ax.get_legend().legend_handles]
    assert len(set(map(to_rgba, colors))) == len(colors)
    ax = plot_regions(ed.activation_regions(GOLDEN), boundaries=None)
    assert len(ax.collections) == 1


def test_lines_get_thinner_and_are_rasterised_with_many_regions(monkeypatch):
    few = plot_regions(ed.activation_regions(GOLDEN, (-2, 2)))
    many = plot_regions(
        ed.activation_regions(ed.ReLUNetwork.random((2, 24, 24, 1), seed=2), (-2, 2))
    )
    width = [drawn(ax, "_boundaries").get_linewidth()[0] for ax in (few, many)]
    assert width[1] < width[0]
    assert not drawn(many).get_rasterized()
    monkeypatch.setattr(viz.regions, "RASTERIZED", 100)
    ax = plot_regions(ed.activation_regions(ed.ReLUNetwork.random((2, 24, 24, 1), seed=2), (-2, 2)))
    assert drawn(ax).get_rasterized()
    assert drawn(ax, "_boundaries").get_rasterized()


# -- one dimension, slices --------------------------------------------------------------------


def test_a_line_shows_intervals_and_the_graph():
    regions = ed.activation_regions(FOLD, (-2, 3))
    ax = plot_regions(regions)
    assert areas(ax) == pytest.approx([float(r.volume) for r in regions])
    (curve,) = ax.lines
    assert curve.get_xydata().tolist() == [[-2, 2], [0, 0], [3, 3]]
    bottom, top = ax.get_ylim()
    assert bottom < 0 < 3 < top
    free = plot_regions(ed.activation_regions(FOLD), window=("-1/2", 1), boundaries="layer")
    assert free.lines[0].get_xydata().tolist() == [[-0.5, 0.5], [0, 0], [1, 1]]
    assert areas(free) == pytest.approx([0.5, 1]) or areas(free) == pytest.approx([1, 0.5])
    assert legend_of(free) == ["layer 0"]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.booleans())
def test_the_graph_on_a_line_is_that_of_the_network(seed, bounded):
    net = ed.ReLUNetwork.random((1, 4, 4, 1), seed=seed)
    regions = ed.activation_regions(net, ("-1/3", 2) if bounded else None)
    ax = plot_regions(regions)
    x, y = ax.lines[0].get_xydata().T
    low, high = ax.get_xlim()
    assert sum(areas(ax)) == pytest.approx(high - low)
    assert [x[0], x[-1]] == pytest.approx([low, high])
    assert (np.diff(x) > 0).all()
    exact = net([[Q(v)] for v in x.tolist()]).to_numpy(float)[:, 0]
    assert y == pytest.approx(exact, abs=1e-9)
    middle = (x[1:] + x[:-1]) / 2
    exact = net([[Q(v)] for v in middle.tolist()]).to_numpy(float)[:, 0]
    assert (y[1:] + y[:-1]) / 2 == pytest.approx(exact, abs=1e-9)


def test_lines_without_breakpoints_and_with_several_outputs():
    ax = plot_regions(ed.activation_regions(ed.ReLUNetwork([[[0]]], [[3]])))
    assert ax.lines[0].get_xydata().tolist() == [[-1, 3], [1, 3]]
    two = ed.ReLUNetwork([[[1]], [[1], [2]]])
    ax = plot_regions(ed.activation_regions(two, (-1, 1)), color="gradient")
    assert len(ax.lines) == 0
    assert sorted(drawn(ax).get_array().tolist()) == pytest.approx([0, 5**0.5])


def test_slices_of_larger_spaces():
    net = ed.ReLUNetwork.random((5, 6, 6, 1), seed=4)
    points = np.random.default_rng(0).integers(-9, 9, (3, 5)).tolist()
    regions = ed.activation_regions(net, ed.Domain.plane(*points, lower=-1, upper=2))
    ax = plot_regions(regions)
    assert sum(areas(ax)) == pytest.approx(9)
    assert len(polygons(ax)) == len(regions)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$y_1$", "$y_2$")
    regions = ed.activation_regions(net, ed.Domain.segment(*points[:2]))
    ax = plot_regions(regions)
    assert ax.get_xlim() == (0, 1)
    ends = net(points[:2]).to_numpy(float)[:, 0]
    assert ax.lines[0].get_ydata()[[0, -1]] == pytest.approx(ends)


# -- the graph --------------------------------------------------------------------------------


def test_the_graph_has_a_node_inside_each_region_and_an_edge_through_each_facet():
    regions = ed.activation_regions(ed.ReLUNetwork.random((2, 5, 4, 1), seed=2), (-2, 2))
    ax = plot_graph(regions)
    nodes, edges = drawn(ax, "_nodes").get_offsets(), drawn(ax, "_edges").get_paths()
    graph = regions.graph()
    assert (len(nodes), len(edges)) == (len(graph), graph.number_of_edges())
    for region, node in zip(regions, np.asarray(nodes).tolist(), strict=True):
        assert regions.region_at([Q(x) for x in node]).index == region.index
    index = {tuple(node): i for i, node in enumerate(np.asarray(nodes).tolist())}
    ends = {frozenset(index[tuple(p.vertices[i].tolist())] for i in (0, -1)) for p in edges}
    number = graph.nodes(data="index")
    assert ends == {frozenset((number[a], number[b])) for a, b in graph.edges}
    bare = plot_graph(regions, cells=False, color="rank")
    assert [c.get_label() for c in bare.collections] == ["_edges", "_nodes"]


def test_the_graph_in_a_window_has_the_regions_that_are_seen():
    regions = ed.activation_regions(THREE_LINES)
    ax = plot_graph(regions, window=((1, 2), (-1, 1)))
    assert len(drawn(ax, "_nodes").get_offsets()) == 3
    assert len(drawn(ax, "_edges").get_paths()) == 2
    alone = plot_graph(regions, window=((5, 6), (5, 6)))
    assert len(drawn(alone, "_nodes").get_offsets()) == 1


# -- parameter space ---------------------------------------------------------------------------


def slice_of_one_unit(X, directions=((1, 0, 0, 0), (0, 1, 0, 0))):
    """Weight and bias of the unit of a (1,1,1) network whose other weights are 3 and 5."""
    return ed.parameter_slice(ed.ReLUNetwork([[[0]], [[3]]], [[0], [5]]), X, directions)


def test_a_slice_of_parameter_space_is_coloured_by_exact_rank():
    """Sectors around the origin: ranks 1, 2 and 3 by the number of samples that are on."""
    cut = slice_of_one_unit([[-1], [0], [2]])
    ax = plot_parameter_slice(cut, (-2, 2))
    regions = cut.regions((-2, 2))
    assert len(regions) == len(drawn(ax).get_paths()) == 6
    by_pattern = {r.pattern[0]: v for r, v in zip(regions, drawn(ax).get_array(), strict=True)}
    # on at one sample: (w, b, v) moves it, c all: 2; at two of three: 3; at all three: affine, 2
    assert by_pattern == {"000": 1, "001": 2, "100": 2, "011": 3, "110": 3, "111": 2}
    assert labels_of(ax) == ["local dimension"]
    (origin,) = [line for line in ax.lines if line.get_marker() == "+"]
    assert origin.get_xydata().tolist() == [[0, 0]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("direction 1", "direction 2")
    assert drawn(plot_parameter_slice(cut, (-2, 2), color="pattern")).get_array() is None


def test_where_a_unit_stays_zero_a_slice_has_no_rank():
    ax = plot_parameter_slice(slice_of_one_unit([[0], [1]], [[1, 0, 0, 0]]), (-2, 2))
    assert legend_of(ax) == ["no value"]


# -- figures and files ------------------------------------------------------------------------


def test_new_figures_are_no_business_of_pyplot():
    code = """
import sys
import exactdim as ed
from exactdim.viz import plot_graph, plot_regions, save_figure
regions = ed.activation_regions(ed.ReLUNetwork([[[1, 0]], [[1]]]), (-1, 1))
plot_regions(regions, color="rank", boundaries="layer")
plot_graph(regions)
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_given_axes_are_used():
    figure = matplotlib.figure.Figure()
    left, right = figure.subplots(1, 2)
    regions = ed.activation_regions(GOLDEN, (-2, 2))
    assert plot_regions(regions, ax=left, color="rank") is left
    assert plot_graph(regions, ax=right) is right
    inner = figure.subfigures().subplots()
    assert plot_regions(regions, ax=inner) is inner


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png", "SVG"])
def test_equal_pictures_give_equal_files(tmp_path, suffix):
    for i in (0, 1):
        regions = ed.activation_regions(ed.ReLUNetwork.random((2, 5, 5, 1), seed=1), (-2, 2))
        ax = plot_regions(regions, color="gradient", boundaries="layer")
        save_figure((ax, ax.figure)[i], tmp_path / f"{i}.{suffix}")
    first, second = ((tmp_path / f"{i}.{suffix}").read_bytes() for i in (0, 1))
    assert first == second
    assert len(first) > 1000


def test_svg_files_do_not_depend_on_the_process(tmp_path):
    code = """
import sys
import exactdim as ed
from exactdim.viz import plot_regions, save_figure
regions = ed.activation_regions(ed.ReLUNetwork.random((2, 5, 5, 1), seed=1), (-2, 2))
save_figure(plot_regions(regions, boundaries="layer"), sys.argv[1])
"""
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert b"dc:date" not in paths[0].read_bytes()


def test_axes_of_a_subfigure_are_saved_with_the_whole(tmp_path):
    figure = matplotlib.figure.Figure()
    ax = figure.subfigures(1, 2)[0].subplots()
    plot_regions(ed.activation_regions(GOLDEN, (-2, 2)), ax=ax)
    save_figure(ax, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


# -- errors -----------------------------------------------------------------------------------


def test_colours_of_a_slice_are_checked():
    with pytest.raises(errors.InvalidInput, match=r"'gradient'.*choose 'dimension'"):
        plot_parameter_slice(slice_of_one_unit([[1]]), color="gradient")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"color": "patern"}, errors.InvalidInput, "'patern'.*choose 'pattern'"),
        ({"color": 3}, errors.InvalidInput, "3 is no colouring"),
        ({"color": [1, 2]}, errors.ShapeMismatch, "2 numbers for 7 regions"),
        ({"color": ["red"] * 7}, errors.InvalidInput, "a number, or None, for every region"),
        ({"color": np.zeros((7, 2))}, errors.InvalidInput, "a number, or None, for every region"),
        ({"boundaries": "neuron"}, errors.InvalidInput, "'neuron'.*choose 'thin'"),
        ({"window": (-1, 1)}, errors.InvalidInput, r"give \(\(x0, x1\), \(y0, y1\)\)"),
        ({"window": ((0, 1), (1, 1))}, errors.InvalidInput, "lower ends first"),
        ({"window": ((0, 1), (0, math.nan))}, errors.InvalidInput, "no window"),
        ({"window": ((0, 1), (0, 10**400))}, errors.InvalidInput, "no window"),
        ({"window": ((5, 6), (0, 1))}, errors.InvalidInput, "no region meets the window"),
        ({"color": "dimension", "anchor": [1]}, errors.ShapeMismatch, "anchor has 1 coord"),
        ({"color": "dimension", "anchor": [0, 1]}, errors.OnKink, r"anchor 0.*neuron \(0, 0\)"),
        ({"color": "rank", "cmap": "nothing"}, ValueError, "nothing"),
    ],
)
def test_arguments_that_are_not_understood(options, error, message):
    regions = ed.activation_regions(GOLDEN, (-2, 2))
    with pytest.raises(error, match=message):
        plot_regions(regions, **options)


def test_what_cannot_be_drawn():
    cube = ed.activation_regions(ed.ReLUNetwork([[[1, 1, 1]], [[1]]]), (-1, 1))
    for plot in (plot_regions, plot_graph):
        with pytest.raises(errors.InvalidInput, match=r"dimension 3.*Domain\.plane"):
            plot(cube)
        with pytest.raises(errors.InvalidInput, match="activation_regions"):
            plot(GOLDEN)
    line = ed.activation_regions(FOLD, (-1, 1))
    with pytest.raises(errors.InvalidInput, match="path"):
        plot_graph(line)
    with pytest.raises(errors.InvalidInput, match=r"give \(x0, x1\)"):
        plot_regions(line, window=(1, 0))
    with pytest.raises(errors.InvalidInput, match="no region meets"):
        plot_regions(line, window=(1, 2))


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "svg"])
def test_unknown_suffixes(tmp_path, name):
    ax = plot_regions(ed.activation_regions(FOLD, (-1, 1)))
    with pytest.raises(errors.InvalidInput, match=r"\.svg, \.pdf, \.png"):
        save_figure(ax, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch):
    regions = ed.activation_regions(FOLD, (-1, 1))
    ax = plot_regions(regions)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (
        lambda: plot_regions(regions),
        lambda: plot_graph(regions),
        lambda: save_figure(ax, "a.svg"),
    ):
        with pytest.raises(errors.MissingDependency, match=r"pip install 'exactdim\[plot\]'"):
            call()
