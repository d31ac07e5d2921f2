"""How activation regions are made of faces, whatever the order, the place or the arithmetic."""

import contextlib
import itertools
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import oracles
import pytest
import region_oracles
from common_networks import common_layers, random_layers
from hypothesis import given
from hypothesis import strategies as st
from networks import networks

import exactdim as ed
from exactdim import Domain, QMatrix, errors
from exactdim.regions import cellular, faces, forms, jobs, ledger, subdivision, vertices

# Python warns where a process with threads forks; a pool has no other choice.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def common_network(name, seed=0):
    layers = common_layers(name, seed)
    return ed.ReLUNetwork([W for W, _ in layers], [b for _, b in layers])


def random_network(*widths, seed=0):
    layers = random_layers(widths, seed)
    return ed.ReLUNetwork([W for W, _ in layers], [b for _, b in layers])


@st.composite
def complexes(draw):
    """The regions of a network with every kind of accident, in R^d or some polyhedron."""
    net = draw(networks(max_depth=3, max_width=3))
    d = net.widths[0]
    kind = draw(st.sampled_from(["everywhere", "box", "wedge"]))
    if kind == "everywhere":
        return ed.activation_regions(net)
    if kind == "box":
        return ed.activation_regions(net, (-1, "3/2"))
    rows = [[-int(i == j) for j in range(d)] for i in range(d)] + [[-1] * d, [1] + [0] * (d - 1)]
    return ed.activation_regions(net, Domain.polytope(rows, [1] * d + [d, 2]))


def at(row, point):
    return sum(g * x for g, x in zip(row, point, strict=False)) + row[-1]


def along(row, direction):
    return sum(g * x for g, x in zip(row, direction, strict=False))


# -- single regions --------------------------------------------------------------------------


@given(complexes())
def test_points_of_a_region(regions):
    """One strictly inside, vertices and rays that keep all inequalities."""
    d = regions.dimension
    for region in regions:
        rows = [row for row in region.inequalities.tolist() if any(row)]
        assert all(at(row, region.interior_point) > 0 for row in rows)
        assert region.contains(region.interior_point)
        assert regions.region_at(region.interior_point).pattern == region.pattern
        for vertex in region.vertices:
            tight = [row[:d] for row in rows if at(row, vertex) == 0]
            assert all(at(row, vertex) >= 0 for row in rows)
            assert oracles.fraction_rank(tight) == d
            assert not region.contains(vertex)
            with pytest.raises(errors.OnKink):
                regions.region_at(vertex)
        for ray in region.rays:
            assert any(ray)
            assert all(along(row, ray) >= 0 for row in rows)
        assert region.is_bounded == (not region.rays)
        assert len(set(region.vertices)) == len(region.vertices)


@given(complexes())
def test_facets_are_the_irredundant_inequalities(regions):
    """Together they imply every other inequality; without any one of them there is more room."""
    d = regions.dimension
    for region in regions:
        facets = [region_oracles.integral(facet.inequality) for facet in region.facets]
        rows = [region_oracles.integral(row) for row in region.inequalities.tolist()]
        for row in rows:
            beyond = tuple(-v for v in row)
            assert region_oracles.common_point([*facets, beyond], d) is None
        for k, row in enumerate(facets):
            beyond = tuple(-v for v in row)
            rest = facets[:k] + facets[k + 1 :]
            assert region_oracles.common_point([*rest, beyond], d) is not None
        assert len(set(facets)) == len(facets)


@given(complexes())
def test_facets_name_what_vanishes_on_them(regions):
    n_hidden = regions.patterns.shape[1]
    units = [
        (layer, k) for layer, width in enumerate(regions.net.widths[1:-1]) for k in range(width)
    ]
    for region in regions:
        rows = region.inequalities.tolist()
        for facet in region.facets:
            corners = [
                regions.vertex(v) for v in regions.closure(regions.dimension - 1, facet.face)[0]
            ]

            def vanishes(row, corners=corners):
                return any(row) and all(
                    at(row, p.coordinates()) == along(row, p.direction()) == 0 for p in corners
                )

            flat = [i for i, row in enumerate(rows) if vanishes(row)]
            assert facet.units == tuple(units[i] for i in flat if i < n_hidden)
            assert facet.walls == tuple(i - n_hidden for i in flat if i >= n_hidden)
            assert vanishes(facet.inequality)
            assert at(facet.inequality, region.interior_point) > 0
            between = region.facet_point(facet)
            assert at(facet.inequality, between) == 0
            others = (other.inequality for other in region.facets if other != facet)
            assert all(at(row, between) > 0 for row in others)
            assert (facet.neighbour is None) == bool(facet.walls)


def test_an_inequality_that_always_holds_is_no_facet():
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    domain = Domain.polytope([[0], [1], [0], [-1]], [1, 1, 0, 2])
    left, right = sorted(ed.activation_regions(net, domain), key=lambda region: region.pattern)
    assert {(facet.inequality, facet.walls) for facet in left.facets} == {
        ((-1, 0), ()),
        ((1, 2), (3,)),
    }
    assert {(facet.inequality, facet.walls) for facet in right.facets} == {
        ((1, 0), ()),
        ((-1, 1), (1,)),
    }


def shoelace(corners):
    middle = [sum(c) / len(corners) for c in zip(*corners, strict=True)]
    order = sorted(
        corners, key=lambda p: np.arctan2(float(p[1] - middle[1]), float(p[0] - middle[0]))
    )
    pairs = zip(order, order[1:] + order[:1], strict=True)
    return abs(sum(p[0] * q[1] - q[0] * p[1] for p, q in pairs)) / 2


@pytest.mark.parametrize("name", ["2,8,8,1", "int1_2", "grid2", "dup2", "abs2"])
def test_areas_by_the_shoelace_formula(name):
    for region in ed.activation_regions(common_network(name), (-1, 1)):
        assert region.volume == shoelace(region.vertices)
        assert sorted(region.polygon) == sorted(region.vertices)
        pairs = zip(region.polygon, region.polygon[1:] + region.polygon[:1], strict=True)
        assert region.volume == sum(p[0] * q[1] - q[0] * p[1] for p, q in pairs) / 2


def test_volume_of_an_unbounded_region():
    regions = ed.activation_regions(common_network("conc2"))
    with pytest.raises(errors.InvalidInput, match="unbounded"):
        _ = regions[0].volume
    with pytest.raises(errors.InvalidInput, match="unbounded"):
        _ = regions.volume


def test_rays_generate_what_is_unbounded():
    quarter = ed.activation_regions(
        ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[-1, -2], [0]]),
        Domain.polytope([[-1, 0], [0, -1]], [0, 0]),
    )
    found = {region.pattern: (set(region.vertices), set(region.rays)) for region in quarter}
    assert found[("00",)] == ({(0, 0), (1, 0), (0, 2), (1, 2)}, set())
    assert found[("10",)] == ({(1, 0), (1, 2)}, {(1, 0)})
    assert found[("01",)] == ({(0, 2), (1, 2)}, {(0, 1)})
    vertices, rays = found[("11",)]
    assert vertices == {(1, 2)}
    assert rays >= {(1, 0), (0, 1)}


def test_points_that_lie_in_no_region():
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], [0]])
    regions = ed.activation_regions(net, (-2, 2))
    assert regions.region_at([1, "1/2"]).pattern == ("11", "1")
    with pytest.raises(errors.OnKink, match=r"\(0, 1\)") as caught:
        regions.region_at([-1, 0])
    assert caught.value.kinks == ((0, 0, 1),)
    with pytest.raises(errors.OnKink):
        regions.region_at([2, 1])
    with pytest.raises(errors.InvalidInput, match="outside"):
        regions.region_at([3, 0])
    with pytest.raises(errors.ShapeMismatch, match="coordinates"):
        regions.region_at([1, 1, 1])


def test_a_complex_is_a_sequence():
    regions = ed.activation_regions(common_network("conc2"))
    assert [region.index for region in regions] == list(range(10))
    assert regions[-1].pattern == regions[9].pattern
    with pytest.raises(IndexError, match="10"):
        _ = regions[10]
    assert regions[3] in regions
    assert regions.index(regions[3]) == 3
    assert regions[3] != regions[4]
    elsewhere = ed.activation_regions(common_network("conc2x"))
    assert elsewhere[3] not in regions


# -- how they meet ---------------------------------------------------------------------------


@given(complexes())
def test_face_to_face(regions):
    """An inner facet has a region on each side, all others lie in a wall of the domain."""
    cells, d = regions.cells, regions.dimension
    proper = np.array([any(row[:d]) for row in regions.domain.inequalities.tolist()], np.bool_)
    sides = Counter()
    for region in regions:
        for face in regions.boundary(d, region.index).tolist():
            sides[face] += 1
    assert set(sides) == set(range(cells.n_faces(d - 1)))
    for face, n in sides.items():
        inside = regions.signs(d - 1, face)[2]
        in_a_wall = cells.at_infinity[d - 1][face] or (proper & ~inside).any()
        assert n == (1 if in_a_wall else 2)
    for region in regions:
        for facet in region.facets:
            if facet.neighbour is not None:
                other = regions[facet.neighbour]
                back = [f for f in other.facets if f.face == facet.face]
                assert [f.neighbour for f in back] == [region.index]
                g, h = (region_oracles.integral(f.inequality) for f in (facet, back[0]))
                assert g == tuple(-v for v in h)


@given(complexes())
def test_patterns_of_earlier_cells_are_kept_where_they_define_something(regions):
    """The rows of each block name all of them."""
    cells = regions.cells
    for block, words in enumerate(cells.history):
        named = cells.row_cell[cells.row_block == block]
        assert set(named.tolist()) == set(range(len(words)))


@given(complexes())
def test_neighbours_differ_in_neurons_that_vanish_between_them(regions):
    graph = regions.graph()
    for one, other, data in graph.edges(data=True):
        sides = [regions[graph.nodes[pattern]["index"]] for pattern in (one, other)]
        facets = [f for side in sides for f in side.facets if f.face == data["facet"]]
        assert len(facets) == 2
        different = {
            (layer, k)
            for layer, (u, v) in enumerate(zip(one, other, strict=True))
            for k in range(len(u))
            if u[k] != v[k]
        }
        assert set(data["units"]) == different
        assert different
        assert different <= {*facets[0].units, *facets[1].units}


def test_neighbours_differ_in_one_neuron_if_the_network_is_generic():
    for widths in ((1, 9, 5, 1), (2, 8, 8, 1), (3, 6, 6, 1)):
        regions = ed.activation_regions(random_network(*widths))
        graph = regions.graph()
        assert sum(len(region.facets) for region in regions) == 2 * graph.number_of_edges()
        for region in regions:
            for facet in region.facets:
                (unit,) = facet.units
                data = graph.edges[region.pattern, regions[facet.neighbour].pattern]
                assert data["units"] == (unit,)


@given(complexes())
def test_linear_regions(regions):
    """Regions hang together if the affine maps on both sides of a facet are equal."""
    maps = [region.affine_map() for region in regions]
    group = {i: {i} for i in range(len(regions))}
    for left, right in regions.facet_cells.tolist():
        if right >= 0 and maps[left] == maps[right]:
            group[left] |= group[right]
            for i in group[left]:
                group[i] = group[left]
    found = regions.linear_regions()
    assert sorted(f.regions for f in found) == sorted({tuple(sorted(g)) for g in group.values()})
    assert all((f.gradient, f.constant) == maps[i] for f in found for i in f.regions)


@given(complexes())
def test_faces_of_faces(regions):
    """The diamond property: between faces k - 2 < k there are exactly two; edges have two ends."""
    for k in range(2, regions.dimension + 1):
        for face in range(regions.cells.n_faces(k)):
            below = Counter(
                low
                for side in regions.boundary(k, face).tolist()
                for low in regions.boundary(k - 1, side).tolist()
            )
            assert set(below.values()) == {2}
    assert set(regions.cells.count[1].tolist()) <= {2}


@given(complexes())
def test_no_two_faces_have_the_same_signs(regions):
    for k in range(regions.dimension + 1):
        infinite = regions.cells.at_infinity[k]
        finite = np.flatnonzero(~infinite).tolist()
        seen = {tuple(np.concatenate(regions.signs(k, face)).tolist()) for face in finite}
        assert len(seen) == len(finite)


@given(complexes())
def test_signs_of_all_neurons_at_all_vertices(regions):
    """Certified in floats, decided in rationals or inherited: against a plain forward pass."""
    layers = oracles.layers_of(regions.layout.nets[0])
    for number in range(regions.cells.n_faces(0)):
        corner = regions.vertex(number)
        exact = region_oracles.signs_far_out(layers, corner.coordinates(), corner.direction())
        pos, neg, _ = regions.signs(0, number)
        assert (pos.astype(int) - neg).tolist() == exact


@given(complexes())
def test_float_coordinates_keep_their_bounds(regions):
    cells = regions.cells
    for number in np.flatnonzero(~cells.at_infinity[0]).tolist():
        for x, bound, exact in zip(
            cells.x[number],
            cells.x_error[number],
            regions.vertex(number).coordinates(),
            strict=False,
        ):
            assert np.isinf(bound) or abs(exact - Fraction(x)) <= Fraction(bound)


def test_two_triangles_and_a_line_by_hand():
    """The plane cut by x = 0, y = 0 and x + y = 1: every face counted."""
    net = ed.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, -1], [0]])
    regions = ed.activation_regions(net)
    assert regions.face_counts == (3, 9, 7)
    assert sorted(regions.vertices()) == [(0, 0), (0, 1), (1, 0)]
    assert [len(region.facets) for region in regions if region.is_bounded] == [3]
    pencil = ed.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, 0], [0]])
    assert ed.activation_regions(pencil).face_counts == (1, 6, 6)
    cube = ed.activation_regions(ed.ReLUNetwork([[[1, 1, 1]]]), (0, 1))
    assert cube.face_counts == (8, 12, 6, 1)


# -- in parts --------------------------------------------------------------------------------


def summary(regions):
    """Everything about a complex that does not depend on how its faces are numbered."""
    return regions.face_counts, {
        region.pattern: (
            region.is_bounded,
            region.volume if region.is_bounded else None,
            frozenset(region.vertices),
            frozenset(region.rays),
            frozenset(
                (
                    facet.inequality,
                    facet.units,
                    facet.walls,
                    None if facet.neighbour is None else regions[facet.neighbour].pattern,
                )
                for facet in region.facets
            ),
        )
        for region in regions
    }


PIECES = [
    ("2,8,8,1", None),
    ("2,8,8,1", (-1, 1)),
    ("3,5,5,1", (-1, 1)),
    ("int0_3", None),
    ("int1_3", (-1, 1)),
    ("dup2", None),
    ("abs2", None),
]


@pytest.mark.parametrize(("name", "domain"), PIECES)
@pytest.mark.parametrize("part", [4, 100])
def test_parts_make_the_same_complex_as_one_piece(name, domain, part, monkeypatch):
    net = common_network(name)
    whole = summary(ed.activation_regions(net, domain))
    monkeypatch.setattr(jobs, "PART", part)
    assert summary(ed.activation_regions(net, domain)) == whole
    assert ed.count_regions(net, domain) == len(whole[1])


@given(networks(max_depth=4, max_width=4), st.integers(1, 40))
def test_parts_of_any_size(net, part):
    whole = ed.activation_regions(net)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "PART", part)
        assert summary(ed.activation_regions(net)) == summary(whole)


class Dividing(Executor):
    """Has every job divided, after any neuron, and goes on with the parts in any order."""

    def __init__(self, choose):
        self.choose = choose
        self.waiting = []

    @property
    def idle(self):
        return self.choose.random() < 0.3

    def give(self, part):
        self.waiting.append(pickle.loads(pickle.dumps(part)))

    def tell(self, n):
        assert n > 0

    def submit(self, do, job, order, nobody):
        found, self.waiting = [], [job]
        while self.waiting:
            self.choose.shuffle(self.waiting)
            found.append(do(self.waiting.pop(), order, self))
        future = Future()
        future.set_result(list(itertools.chain.from_iterable(found)))
        return future


@given(networks(max_depth=4, max_width=4), st.randoms(use_true_random=False), st.integers(1, 200))
def test_jobs_divided_after_any_neuron(net, choose, part):
    for domain in (None, (-1, "3/2")):
        whole = summary(ed.activation_regions(net, domain))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jobs, "SHARED", 0)
            patch.setattr(jobs, "PART", part)
            divided = ed.activation_regions(net, domain, executor=Dividing(choose))
        assert summary(divided) == whole


@pytest.mark.parametrize(("name", "domain"), PIECES)
def test_larger_jobs_divided_after_any_neuron(name, domain, monkeypatch):
    net = common_network(name)
    whole = summary(ed.activation_regions(net, domain))
    monkeypatch.setattr(jobs, "SHARED", 0)
    for seed in range(5):
        divided = ed.activation_regions(net, domain, executor=Dividing(random.Random(seed)))
        assert summary(divided) == whole


@pytest.mark.parametrize("seed", range(14, 19))
def test_parallel_hyperplanes_divided_after_any_neuron(seed, monkeypatch):
    """Many forms vanish at infinity, where each vertex has to keep what is known of it."""
    rng = np.random.default_rng(seed)
    d, n, m = int(rng.integers(2, 4)), int(rng.integers(4, 9)), int(rng.integers(1, 4))
    weights = [rng.integers(-1, 2, (n, d)), rng.integers(-1, 2, (m, n)), np.ones((1, m), int)]
    biases = [rng.integers(-2, 3, n), rng.integers(-2, 3, m), np.zeros(1, int)]
    net = ed.ReLUNetwork([W.tolist() for W in weights], [b.tolist() for b in biases])
    whole = summary(ed.activation_regions(net))
    monkeypatch.setattr(jobs, "SHARED", 0)
    for order in range(3):
        divided = ed.activation_regions(net, executor=Dividing(random.Random(order)))
        assert summary(divided) == whole


@pytest.mark.skipif(sys.platform != "linux", reason="workers inherit the patch by fork")
@pytest.mark.parametrize("processes", [2, 5])
def test_processes_that_help_each_other(processes, monkeypatch, tmp_path):
    """One job: all but one process have only what is handed over to them."""
    monkeypatch.setattr(jobs, "SHARED", 0)
    monkeypatch.setattr(jobs, "jobs_for", lambda _: 1)
    monkeypatch.setattr(jobs, "KEPT_JOBS", 1)
    net, domain = common_network("3,8,8,1"), (-1, 1)
    whole = summary(ed.activation_regions(net, domain))
    given_parts = []
    divided = ledger.Ledger.divided
    monkeypatch.setattr(
        ledger.Ledger,
        "divided",
        lambda self, part, job: given_parts.append(part) or divided(self, part, job),
    )
    assert summary(ed.activation_regions(net, domain, executor=processes)) == whole
    assert given_parts
    options = {"executor": processes, "checkpoint": tmp_path / "c"}
    assert summary(ed.activation_regions(net, domain, **options)) == whole
    assert summary(ed.activation_regions(net, domain, checkpoint=tmp_path / "c")) == whole
    assert ed.count_regions(net, domain, executor=processes) == len(whole[1])


@pytest.mark.parametrize(("name", "domain"), PIECES)
@pytest.mark.parametrize(("n_jobs", "part"), [(1, 1 << 19), (3, 1 << 19), (96, 1 << 19), (5, 6)])
def test_jobs_make_the_same_complex_as_one_piece(name, domain, n_jobs, part, tmp_path, monkeypatch):
    net = common_network(name)
    whole = summary(ed.activation_regions(net, domain))
    monkeypatch.setattr(jobs, "jobs_for", lambda _: n_jobs)
    monkeypatch.setattr(jobs, "KEPT_JOBS", n_jobs)
    monkeypatch.setattr(jobs, "PART", part)
    folder = tmp_path / "new" / "folder"
    assert summary(ed.activation_regions(net, domain, checkpoint=folder)) == whole
    assert len(list(folder.glob("job-*.npz"))) <= n_jobs
    assert summary(ed.activation_regions(net, domain, checkpoint=folder)) == whole


@pytest.mark.parametrize("processes", [1, 2])
def test_processes(processes, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "jobs_for", lambda _: 7)
    monkeypatch.setattr(jobs, "PART", 60)
    net = common_network("int1_3")
    whole = summary(ed.activation_regions(net, (-1, 1)))
    assert summary(ed.activation_regions(net, (-1, 1), executor=processes)) == whole
    assert ed.count_regions(net, (-1, 1), executor=processes) == len(whole[1])
    seen = []
    found = ed.activation_regions(
        net, (-1, 1), executor=processes, checkpoint=tmp_path, progress=lambda *a: seen.append(a)
    )
    assert summary(found) == whole
    assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total, _ in seen} == {len(seen)} == {len(list(tmp_path.glob("*.npz")))}


def test_executors_of_others():
    net = common_network("3,8,8,1")
    whole = summary(ed.activation_regions(net))
    with ThreadPoolExecutor(3) as executor:
        assert summary(ed.activation_regions(net, executor=executor)) == whole
    with ProcessPoolExecutor(2) as executor:
        assert summary(ed.activation_regions(net, executor=executor)) == whole
    for processes in (0, -1):
        with pytest.raises(errors.InvalidInput, match="starts no process"):
            ed.activation_regions(net, executor=processes)


@pytest.mark.skipif(sys.platform != "linux", reason="workers inherit the patch by fork")
@pytest.mark.parametrize("deaths", [1, 99])
def test_processes_that_die_are_replaced_a_few_times(deaths, tmp_path, monkeypatch):
    real = subdivision.Subdivision.result

    def deadly(self):
        for number in range(deaths):
            try:
                os.close(os.open(tmp_path / f"death-{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            os._exit(1)
        return real(self)

    monkeypatch.setattr(subdivision.Subdivision, "result", deadly)
    monkeypatch.setattr(jobs, "jobs_for", lambda _: 4)
    net = common_network("conc2x")
    if deaths == 1:
        assert ed.count_regions(net, executor=1) == 15
    else:
        with pytest.raises(errors.TooLarge):
            ed.count_regions(net, executor=1)


def test_blocks_in_parts(monkeypatch, tmp_path):
    """Layers of more than 64 units, split between their blocks."""
    net = random_network(2, 66, 5, 70, 1)
    domain = Domain.box(["-1/8"] * 2, ["1/8"] * 2)
    whole = summary(ed.activation_regions(net, domain))
    monkeypatch.setattr(jobs, "PART", 800)
    assert summary(ed.activation_regions(net, domain)) == whole
    assert summary(ed.activation_regions(net, domain, checkpoint=tmp_path)) == whole


# -- checkpoints -----------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """How many jobs were really computed."""
    real, calls = jobs._job, []

    def job(*arguments):
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(jobs, "_job", job)
    return calls


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, counted):
    net = common_network("int1_3")
    whole = summary(ed.activation_regions(net))

    def die(done, total, note):
        if done == 5:
            raise SystemExit("killed")

    with pytest.raises(SystemExit):
        ed.activation_regions(net, checkpoint=tmp_path, progress=die)
    assert len(counted) == 5
    (tmp_path / "job-00007.123.tmp").write_bytes(b"half a job")
    assert summary(ed.activation_regions(net, checkpoint=tmp_path)) == whole
    total = len(list(tmp_path.glob("job-*.npz")))
    assert len(counted) == total
    assert ed.count_regions(net, checkpoint=tmp_path) == len(whole[1])
    assert len(counted) == total


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal on this system")
def test_a_process_killed_for_good_resumes(tmp_path):
    code = """
import sys, exactdim as ed
net = ed.ReLUNetwork.random((3, 8, 8, 1), seed=1)
report = lambda done, total, note: print(done, total, flush=True)
print(ed.count_regions(net, checkpoint=sys.argv[1], progress=report))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline().split()[0] == "1"
        child.kill()
        child.wait()
    kept = len(list((tmp_path / "run").glob("job-*.npz")))
    assert kept >= 1
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert int(out[-2]) == ed.count_regions(ed.ReLUNetwork.random((3, 8, 8, 1), seed=1))
    assert len(out) - 2 == int(out[0].split()[1]) - kept


@pytest.mark.parametrize("damage", ["empty", "truncated", "rubbish", "zeros", "no zip", "missing"])
def test_a_damaged_job_is_done_again(damage, tmp_path, counted):
    net = common_network("int1_3")
    whole = summary(ed.activation_regions(net, checkpoint=tmp_path))
    total = len(counted)
    for number in (0, 3):
        file = tmp_path / f"job-{number:05d}.npz"
        data = file.read_bytes()
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(
                {
                    "empty": b"",
                    "truncated": data[: len(data) // 2],
                    "rubbish": data[:500] + bytes(range(256)) + data[756:],
                    "zeros": bytes(len(data)),
                    "no zip": b"job " * 100,
                }[damage]
            )
    assert summary(ed.activation_regions(net, checkpoint=tmp_path)) == whole
    assert len(counted) == total + 2


def test_no_flipped_bit_changes_the_answer(tmp_path):
    """One bit of one job file, anywhere: in the data, in the names, in the table of contents."""
    net = common_network("conc2x")
    expected = {region.pattern: region.is_bounded for region in ed.activation_regions(net)}
    ed.count_regions(net, checkpoint=tmp_path)
    file = tmp_path / "job-00003.npz"
    data = file.read_bytes()
    contents = data.index(b"PK\x01\x02")
    places = [*range(0, contents, contents // 20), *range(contents, len(data), 90), len(data) - 1]
    for k, place in enumerate(places):
        damaged = bytearray(data)
        damaged[place] ^= 1 << k % 8
        file.write_bytes(damaged)
        regions = ed.activation_regions(net, checkpoint=tmp_path)
        assert {region.pattern: region.is_bounded for region in regions} == expected


def test_a_bit_that_hides_arrays_does_not_hide_regions(tmp_path):
    """In the table of contents of a zip file, an entry's comment may swallow the other entries."""
    net = common_network("conc2x")
    ed.count_regions(net, checkpoint=tmp_path)
    file = tmp_path / "job-00003.npz"
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\x01\x02") + 33] ^= 8  # high byte of the length of the comment
    file.write_bytes(data)
    assert ed.count_regions(net, checkpoint=tmp_path) == 15


def test_a_damaged_plan_changes_no_answer(tmp_path):
    """The number of jobs, or anything else in the note: an error or the right answer."""
    net = common_network("conc2x")
    ed.count_regions(net, checkpoint=tmp_path)
    file = tmp_path / "plan.json"
    data = file.read_bytes()
    plan = json.loads(data)
    changed = [
        json.dumps(plan | {"jobs": jobs}).encode()
        for jobs in (1, plan["jobs"] - 1, 0, -1, "2", 2.5)
    ]
    for place in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        changed.append(bytes(damaged))
    for text in changed:
        file.write_bytes(text)
        with contextlib.suppress(errors.InvalidInput):
            assert ed.count_regions(net, checkpoint=tmp_path) == 15


def test_a_folder_may_be_finished_by_others(tmp_path):
    """Begun here, finished by two processes, and read by three threads."""
    net = common_network("int1_2")

    def die(done, total, note):
        if done == 3:
            raise SystemExit("killed")

    with pytest.raises(SystemExit):
        ed.count_regions(net, checkpoint=tmp_path, progress=die)
    assert ed.count_regions(net, checkpoint=tmp_path, executor=2) == 45
    with ThreadPoolExecutor(3) as executor:
        assert len(ed.activation_regions(net, checkpoint=tmp_path, executor=executor)) == 45


def test_a_folder_belongs_to_its_computation(tmp_path):
    net = common_network("conc2x")
    ed.count_regions(net, checkpoint=tmp_path)
    scaled = ed.rescale(net, 0, 0, 2)
    for other in (
        lambda: ed.count_regions(scaled, checkpoint=tmp_path),
        lambda: ed.count_regions(net, (-1, 1), checkpoint=tmp_path),
        lambda: ed.activation_regions(common_network("conc2"), checkpoint=tmp_path),
    ):
        with pytest.raises(errors.InvalidInput, match="belongs to another"):
            other()
    for rubbish in ("", "[]", "\x00", "{"):
        (tmp_path / "plan.json").write_text(rubbish)
        with pytest.raises(errors.InvalidInput):
            ed.count_regions(net, checkpoint=tmp_path)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(errors.InvalidInput, match="other files"):
        ed.count_regions(net, checkpoint=tmp_path)
    with pytest.raises(errors.UnreadableFile, match="checkpoint folder"):
        ed.count_regions(net, checkpoint=tmp_path / "job-00000.npz")


# -- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["here", "in parts", "in jobs", "in processes"])
def test_max_regions(where, tmp_path, monkeypatch):
    """Enough is enough, and one less is not; the bound in the error is true and above it."""
    net = common_network("dup2")
    count = ed.count_regions(net)
    options = {}
    if where == "in parts":
        monkeypatch.setattr(jobs, "PART", 40)
    elif where != "here":
        monkeypatch.setattr(jobs, "jobs_for", lambda _: 5)
        options["executor"] = 1 if where == "in processes" else None
    limits = (1, 20, count - 1) if where == "in processes" else range(1, count, 3)
    for limit in limits:
        if where == "in jobs":
            options["checkpoint"] = tmp_path / str(limit)
        with pytest.raises(errors.BudgetExceeded, match=rf"max_regions={limit} ") as caught:
            ed.count_regions(net, max_regions=limit, **options)
        assert limit < caught.value.at_least <= count
    if where == "in jobs":
        options["checkpoint"] = tmp_path / "enough"
    assert ed.count_regions(net, max_regions=count, **options) == count
    assert len(ed.activation_regions(net, max_regions=count, **options)) == count


def test_limits_hold_for_what_was_kept(tmp_path):
    net = common_network("dup2")
    count = ed.count_regions(net, checkpoint=tmp_path)
    for number in (2, 9):
        (tmp_path / f"job-{number:05d}.npz").unlink()
    with pytest.raises(errors.BudgetExceeded) as caught:
        ed.count_regions(net, checkpoint=tmp_path, max_regions=count // 2)
    assert count // 2 < caught.value.at_least <= count
    assert ed.count_regions(net, checkpoint=tmp_path, max_regions=count) == count


@pytest.mark.parametrize("executor", [None, 2])
def test_max_seconds(executor, tmp_path):
    net = common_network("5,10,10,1")
    for folder in (None, tmp_path):
        with pytest.raises(errors.BudgetExceeded, match="max_seconds") as caught:
            ed.count_regions(net, max_seconds=0.02, executor=executor, checkpoint=folder)
        assert 0 <= caught.value.at_least <= 16264
    small = common_network("2,8,8,1")
    assert ed.count_regions(small, max_seconds=1000, executor=executor) == 135


def test_max_seconds_holds_from_the_start():
    """Cutting out the domain is work, too: a cube in dimension 12 has 531 441 faces."""
    net = ed.ReLUNetwork.random((12, 4, 1), seed=0)
    start = time.monotonic()
    with pytest.raises(errors.BudgetExceeded):
        ed.count_regions(net, (-1, 1), max_seconds=0.05)
    assert time.monotonic() - start < 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_limits_hold_in_any_dimension():
    """A simplex of dimension 784 has 2^785 faces: a limit ends that, too, and not the memory."""
    code = """
import resource
import exactdim as ed
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
net = ed.ReLUNetwork([ed.QMatrix.zeros(3, 784), ed.QMatrix.zeros(1, 3)])
for limits in ({"max_seconds": 0.5}, {"max_regions": 1000}):
    try:
        ed.count_regions(net, (-1, 1), **limits)
    except (ed.errors.BudgetExceeded, ed.errors.TooLarge) as error:
        print(type(error).__name__)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-300:]
    assert len(done.stdout.split()) == 2


@pytest.mark.parametrize(
    "limits", [{"max_regions": 0}, {"max_regions": -1}, {"max_seconds": 0}, {"max_seconds": -1.0}]
)
def test_limits_that_allow_nothing(limits):
    with pytest.raises(errors.InvalidInput, match=next(iter(limits))):
        ed.count_regions(common_network("conc2"), **limits)


# -- floats never decide wrongly -------------------------------------------------------------


@pytest.fixture
def no_floats(monkeypatch):
    """Leave every sign open."""

    def values(net, layer, units, mask, x, error):
        value = np.zeros((len(x), net.widths[layer + 1]))[:, units]
        return value, np.full_like(value, np.inf)

    def signs(self, of, form, error):
        return tuple(np.zeros(len(of), np.bool_) for _ in range(3))

    def finite_signs(self, rows, meeting, form, error):
        return np.zeros(len(meeting), np.bool_), np.zeros(len(meeting), np.bool_)

    monkeypatch.setattr(subdivision, "values_of_units", values)
    monkeypatch.setattr(vertices.VertexTable, "signs", signs)
    monkeypatch.setattr(vertices.VertexTable, "finite_signs", finite_signs)


@pytest.mark.parametrize(
    ("name", "domain"),
    [*PIECES, ("near9", None), ("tri9", (-1, 1)), ("far2", None), ("thin15", None)],
)
def test_without_floats_everything_is_the_same(name, domain, request):
    net = common_network(name)
    regions = ed.activation_regions(net, domain)
    request.getfixturevalue("no_floats")
    assert summary(ed.activation_regions(net, domain)) == summary(regions)


@pytest.fixture
def both_lanes(monkeypatch):
    """Leave every sign open, decide it exactly, and compare with what floats would have said."""
    values, certain, finite = deque(), deque(), deque()
    real_values = subdivision.values_of_units
    table, real_exact = vertices.VertexTable, subdivision.Subdivision._exact_sign
    real_signs, real_finite_signs = table.signs, table.finite_signs
    counts = Counter()

    def values_of_units(*arguments):
        value, bound = real_values(*arguments)
        values.extend(((value > bound).astype(int) - (value < -bound)).ravel().tolist())
        return value, np.full_like(bound, np.inf)

    def signs(self, of, form, error):
        above, below, level = real_signs(self, of, form, error)
        assert not (above & below).any()
        assert not (level & ~(above | below)).any()
        certain.extend((above.astype(int) - below).ravel().tolist())
        return tuple(np.zeros_like(above) for _ in range(3))

    def finite_signs(self, *arguments):
        above, below = real_finite_signs(self, *arguments)
        finite.extend((above.astype(int) - below).tolist())
        return np.zeros_like(above), np.zeros_like(below)

    def exact_sign(self, vertex, meeting, cell, unit):
        flat, steep = (bool(int(w.view[vertex]) >> unit & 1) for w in (self._flat, self._steep))
        exact = real_exact(self, vertex, meeting, cell, unit)
        by_value = values.popleft() if values else 0  # else in the middle of a block
        found = {by_value, certain.popleft(), finite.popleft() if flat else 0} - {0}
        assert found <= {exact}
        slope = bool(int(self._steep.view[vertex]) >> unit & 1)  # M does occur
        assert not (flat and slope)
        assert slope or not steep
        counts["certain" if found else "open" if exact else "zero"] += 1
        counts["by value"] += bool(by_value)
        return exact

    monkeypatch.setattr(subdivision, "values_of_units", values_of_units)
    monkeypatch.setattr(table, "signs", signs)
    monkeypatch.setattr(table, "finite_signs", finite_signs)
    monkeypatch.setattr(subdivision.Subdivision, "_exact_sign", exact_sign)
    yield counts
    assert not values
    assert not certain
    assert not finite


@pytest.mark.parametrize(
    "name", ["2,8,8,1", "3,8,8,1", "int1_3", "near9", "tri9", "scale_dn", "far2"]
)
@pytest.mark.parametrize("domain", [None, (-1, 1)])
def test_certain_signs_of_common_networks(name, domain, both_lanes):
    ed.count_regions(common_network(name), domain)
    assert both_lanes["certain"] > both_lanes["open"]


def test_certain_signs_of_random_networks(both_lanes, many):
    for seed in range(500 if many else 50):
        problem = region_oracles.random_problem(seed)
        if problem.patterns():
            ed.count_regions(problem.net, problem.domain)
    assert both_lanes["certain"] > both_lanes["open"]


@pytest.mark.parametrize("exponents", [(-40, 40), (-300, 300), (-530, 530)])
def test_certain_signs_of_badly_scaled_networks(exponents, both_lanes):
    """Every weight has its own size."""
    rng = random.Random(0)
    for widths in ((1, 4, 3, 1), (2, 4, 3, 1), (3, 4, 2, 1), (2, 3, 2, 2, 1)):
        weights, biases = [], []
        for inputs, outputs in itertools.pairwise(widths):
            table = [
                [
                    rng.choice([-3, -1, 1, 5]) * Fraction(2) ** rng.randint(*exponents)
                    for _ in range(inputs + 1)
                ]
                for _ in range(outputs)
            ]
            weights.append([row[1:] for row in table])
            biases.append([row[0] for row in table])
        net = ed.ReLUNetwork(weights, biases)
        patterns = region_oracles.patterns(oracles.layers_of(net))
        assert {"".join(region.pattern) for region in ed.activation_regions(net)} == patterns


def numbers(rng, kind, shape):
    """Floats of one kind; the last two reach from subnormal numbers to near the overflow."""
    x = rng.standard_normal(shape)
    if kind == "integers":
        return np.round(2 * x)
    if kind == "scaled":
        return x * 2.0 ** rng.integers(-60, 60, shape)
    if kind == "wild":
        return x * 2.0 ** rng.integers(-500, 500, shape)
    if kind == "extreme":
        return np.round(x) * 2.0 ** rng.choice(
            [-1074, -1030, -1000, -510, 0, 510, 1000, 1020], shape
        )
    return x


KINDS = ["normal", "integers", "scaled", "wild", "extreme"]


def perturbed(rng, x, error):
    """Exact numbers no further from floats than the errors, as a rule exactly as far."""
    signs = rng.integers(-1, 2, x.shape)
    return [
        Fraction(float(u)) + int(s) * Fraction(float(e))
        for u, e, s in zip(x.ravel(), error.ravel(), signs.ravel(), strict=True)
    ]


def errors_of(rng, x):
    relative = rng.choice([0, 2.0**-52, 2.0**-40, 2.0**-10]) * rng.random(x.shape)
    return np.abs(x) * relative + rng.choice([0, 0, 2.0**-1060, 2.0**-60])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_solutions_keep_their_bounds(kind, d, many):
    """For the given system and for others within its errors; nearly singular ones among them."""
    rng = np.random.default_rng([KINDS.index(kind), d])
    decided = 0
    for trial in range(1000 if many else 60):
        form, right = numbers(rng, kind, (3, d, d)), numbers(rng, kind, (3, d))
        if trial % 2 and d > 1:  # rows nearly dependent
            little = 2.0 ** -rng.integers(10, 60)
            form[:, 0] = form[:, 1] * rng.choice([1, 2, 3]) + rng.standard_normal((3, d)) * little
        error, right_error = errors_of(rng, form), errors_of(rng, right)
        with np.errstate(all="ignore"):
            x, bound = vertices._solve_with_error(form, error, right, right_error)
        assert not np.isnan(bound).any()
        for k in np.flatnonzero(np.isfinite(bound).all(axis=1)):
            decided += 1
            for _ in range(2):
                entries = perturbed(rng, form[k], error[k])
                A = QMatrix([entries[i * d : (i + 1) * d] for i in range(d)])
                b = QMatrix([[v] for v in perturbed(rng, right[k], right_error[k])])
                exact = [
                    row[0] for row in A.solve(b).tolist()
                ]  # regular, or the bound were infinite
                for u, v, e in zip(exact, x[k].tolist(), bound[k].tolist(), strict=True):
                    assert abs(u - Fraction(v)) <= Fraction(e)
    assert decided > 50 or kind not in {"normal", "integers"}


@pytest.mark.parametrize("kind", KINDS)
def test_values_keep_their_bounds(kind, many):
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(3000 if many else 200):
        n, d = 4, int(rng.integers(1, 6))
        form, x = numbers(rng, kind, (n, d + 1)), numbers(rng, str(rng.choice(KINDS)), (n, d + 1))
        form_error, x_error = errors_of(rng, form), errors_of(rng, x)
        with np.errstate(all="ignore"):
            value, bound = vertices._value_with_error(form, form_error, x, x_error)
            certain = (value > bound) | (value < -bound)
        for k in range(n):
            if not np.isfinite(bound[k]):
                assert not certain[k]
                continue
            exact = sum(
                u * v
                for u, v in zip(
                    perturbed(rng, form[k], form_error[k]),
                    perturbed(rng, x[k], x_error[k]),
                    strict=True,
                )
            )
            assert abs(exact - Fraction(float(value[k]))) <= Fraction(float(bound[k]))


@pytest.mark.parametrize("kind", KINDS)
def test_forms_of_units_keep_their_bounds(kind, many):
    """Forms on cells, and their values at points, against fractions; weights are no floats."""
    rng = np.random.default_rng(KINDS.index(kind))
    finite = 0
    for _ in range(400 if many else 40):
        d, depth = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        widths = (d, *rng.integers(1, 5, depth).tolist())
        tables = []
        for inputs, units in itertools.pairwise(widths):
            table = numbers(rng, kind, (units, inputs + 1))
            entries = perturbed(rng, table, np.abs(table) * 2.0**-60)
            tables.append([entries[i : i + inputs + 1] for i in range(0, len(entries), inputs + 1)])
        net = ed.ReLUNetwork(
            [[row[:-1] for row in t] for t in tables], [[row[-1] for row in t] for t in tables]
        )
        n = 5
        mask = rng.integers(0, 2, (n, sum(widths[1:-1]))).astype(bool) | (rng.random((n, 1)) < 0.3)
        units = rng.integers(0, widths[-1], n)
        form, bound = forms.forms_of_units(net, depth - 1, units, mask)
        x = np.column_stack([numbers(rng, kind, (n, d)), rng.integers(0, 2, n)])
        x_error = np.column_stack([errors_of(rng, x[:, :d]), np.zeros(n)])
        value, doubt = forms.values_of_units(net, depth - 1, slice(None), mask, x, x_error)
        points = perturbed(rng, x, x_error)
        for k in range(n):
            h = [[Fraction(int(i == j)) for j in range(d + 1)] for i in range(d)]
            first = 0
            for table in tables:
                z = [
                    [
                        sum((w * row[j] for w, row in zip(unit, h, strict=False)), Fraction(0))
                        + (unit[-1] if j == d else 0)
                        for j in range(d + 1)
                    ]
                    for unit in table
                ]
                on = mask[k, first : first + len(z)].tolist() + [False] * len(z)
                h = [row if on[i] else [Fraction(0)] * (d + 1) for i, row in enumerate(z)]
                first += len(z)
            layers = np.split(mask[k], np.cumsum(widths[1:-1]))[:-1]
            assert all(layer.any() for layer in layers) or not bound[k, :d].any()
            for u, v, e in zip(z[units[k]], form[k].tolist(), bound[k].tolist(), strict=True):
                finite += np.isfinite(e)
                assert e == np.inf or abs(u - Fraction(v)) <= Fraction(e)
            point = points[k * (d + 1) : (k + 1) * (d + 1)]
            for row, v, e in zip(z, value[k].tolist(), doubt[k].tolist(), strict=True):
                exact = sum(a * c for a, c in zip(row, point, strict=True))
                assert e == np.inf or abs(exact - Fraction(v)) <= Fraction(e)
    assert finite > 40


def test_singular_and_senseless_systems_are_left_open():
    singular = np.array([
        [[1.0, 2.0], [2.0, 4.0]],
        [[0, 0], [0, 0]],
        [[np.inf, 1], [1, 1]],
        [[np.nan] * 2] * 2,
    ])
    with np.errstate(all="ignore"):
        x, bound = vertices._solve_with_error(
            singular, np.zeros_like(singular), np.ones((4, 2)), np.zeros((4, 2))
        )
    assert np.isinf(bound).all()
    assert np.isfinite(x).all()
    regular = np.array([[[1.0, 2.0], [2.0, 4.0]], [[2.0, 0], [0, 4.0]]])  # beside a singular one
    x, bound = vertices._solve_with_error(
        regular, np.zeros_like(regular), np.ones((2, 2)), np.zeros((2, 2))
    )
    assert np.isinf(bound[0]).all()
    assert np.abs(x[1] - [0.5, 0.25]).max() <= bound[1].max() < 1e-13
    wide = np.full((1, 2, 2), 1e-3)  # errors that reach a singular matrix
    x, bound = vertices._solve_with_error(
        np.array([[[1.0, 1.0], [1.0, 1.001]]]), wide, np.ones((1, 2)), np.zeros((1, 2))
    )
    assert np.isinf(bound).all()


# -- the data structures ---------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_a_simplex(d):
    lattice = faces.FaceLattice.simplex(d)
    assert [len(f) for f in lattice.faces] == [
        len(list(itertools.combinations(range(d + 1), k + 1))) for k in range(d + 1)
    ]
    for k in range(1, d + 1):
        assert (lattice.faces[k].count.view == k + 1).all()
        for face in range(len(lattice.faces[k])):
            walls = set(lattice.faces[k].normals.view[face].tolist())
            _, members = lattice.faces[k].entries(np.array([face]))
            for member in members.tolist():
                assert walls < set(lattice.faces[k - 1].normals.view[member].tolist())


@pytest.mark.parametrize("n", [0, 1, 63, 64])
def test_words_of_signs(n):
    from exactdim.regions.layout import pack, unpack

    table = np.random.default_rng(n).random((9, n)) < 0.5
    words = pack(table)
    assert words.dtype == np.uint64
    assert [int(w) for w in words] == [sum(int(x) << i for i, x in enumerate(row)) for row in table]
    assert np.array_equal(unpack(words, n), table)


def test_rows_that_share_a_key_are_told_apart(monkeypatch):
    """Names of faces are compared themselves, not their hashes."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (200, 2)).astype(np.uint64)
    group = cellular._group(rows)
    assert len(set(zip(map(tuple, rows.tolist()), group.tolist(), strict=True))) == len(set(group))
    assert len(set(group)) == len(np.unique(rows, axis=0))
    # (a, b) and (a', b') whose keys collide: a, a' even multiples of 2^63 give the same product
    same = np.array([[0, 0], [1 << 63, 1 << 63], [0, 0], [1 << 63, 1 << 63]], np.uint64)
    group = cellular._group(same)
    assert group.tolist() == [group[0], group[1], group[0], group[1]]
    assert group[0] != group[1]


@pytest.mark.parametrize(
    "name", ["conc2", "conc3", "conc2x", "abs2", "int1_2", "int0_2", "int0_3", "2,6,6,1", "3,4,4,1"]
)
def test_two_faces_of_the_boundary_tell_faces_apart(name):
    """Two different faces of a polyhedral complex never share two faces of their boundaries."""
    net = common_network(name)
    for domain in ((-1, 1), None):
        cells = ed.activation_regions(net, domain).cells
        for k in range(1, cells.d + 1):
            owner, members = cells.entries(k, np.arange(cells.n_faces(k)))
            pairs = [
                pair
                for face in np.split(members, np.flatnonzero(np.diff(owner)) + 1)
                for pair in itertools.combinations(sorted(face.tolist()), 2)
            ]
            assert len(pairs) == len(set(pairs))


def test_arrays_by_name():
    cells = ed.activation_regions(common_network("int1_2"), (-1, 1)).cells
    again = cellular.CellComplex.from_arrays(cells.to_arrays())
    for name, array in again.to_arrays().items():
        assert np.array_equal(array, cells.to_arrays()[name])
    none = ed.activation_regions(ed.ReLUNetwork([[[1]]])).cells
    assert cellular.CellComplex.from_arrays(none.to_arrays()).n_cells == 1
