"""Whether two networks are the same function, and how far apart they are at most."""

import itertools
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import oracles
import pytest
import region_witness
from hypothesis import given
from hypothesis import strategies as st
from networks import entries, networks

import exactdim as ed
from exactdim import Domain, errors
from exactdim.evidence import checker

TINY = Fraction(1, 2**40)


def net(*layers):
    """A network from pairs (weight, bias)."""
    return ed.ReLUNetwork([W for W, _ in layers], [b for _, b in layers])


def changed(a, layer, unit, source, by):
    """The network with one weight changed; source None is the bias."""
    weights = [W.tolist() for W in a.weights]
    biases = [None if b is None else b.tolist()[0] for b in a.biases]
    if source is None:
        biases[layer][unit] += by
    else:
        weights[layer][unit][source] += by
    return ed.ReLUNetwork(weights, biases)


def inputs_at(domain, point):
    """The input that a point of the domain stands for, in plain Fractions."""
    if domain.directions is None:
        return list(point)
    x = domain.origin.tolist()[0]
    for y, direction in zip(point, domain.directions.tolist(), strict=True):
        x = [u + y * v for u, v in zip(x, direction, strict=True)]
    return x


def outputs_at(a, x):
    return oracles.forward(oracles.layers_of(a), x)[0]


def equal(a, b, domain=None):
    """Demand a proof of equality that the checker accepts."""
    answer = ed.same_function(a, b, domain)
    assert answer, answer
    assert answer.equal
    assert answer.point is answer.values is None
    assert answer.n_regions == len(answer.regions)
    verdict = ed.verify(answer.certificate())
    assert verdict, verdict
    assert verdict.claim.startswith("same-function")
    assert "proved on all" in repr(answer)
    for region in list(answer.regions)[:5]:
        x = inputs_at(answer.domain, region.interior_point)
        assert outputs_at(a, x) == outputs_at(b, x)
    return answer


def different(a, b, domain=None):
    """Demand a counterexample that holds in plain Fractions and before the checker."""
    answer = ed.same_function(a, b, domain)
    assert not answer, answer
    assert not answer.equal
    assert answer.regions is None
    point = answer.point
    assert all(type(x) is Fraction for x in point)
    for *gradient, constant in answer.domain.inequalities.tolist():
        assert sum(map(Fraction.__mul__, gradient, point), constant) >= 0
    x = inputs_at(answer.domain, point)
    assert [list(value) for value in answer.values] == [outputs_at(a, x), outputs_at(b, x)]
    assert answer.values[0] != answer.values[1]
    verdict = ed.verify(answer.certificate())
    assert verdict, verdict
    assert verdict.claim.startswith("counterexample")
    assert "different" in repr(answer)
    return answer


def problem(a, b, rows=()):
    return region_witness.problem_json([oracles.layers_of(a), oracles.layers_of(b)], rows)


def by_brute_force(a, b, rows=()):
    """Whether two networks agree on a domain with interior, by splitting cells in Fractions."""
    data = problem(a, b, rows)
    return region_witness.true({"claim": {"kind": "same-function"}, "problem": data})


# -- the same function, written in different ways ---------------------------------------------

ABSOLUTE_VALUE = {
    "x+ and x-": net(([[1], [-1]], None), ([[1, 1]], None)),
    "x + 2 x-": net(([[1], [-1], [-2]], [0, 0, 0]), ([[1, -1, 1]], [0])),
    "-x + 2 x+": net(([[3], ["1/5"], [-1]], None), ([["2/3", -5, 1]], None)),
    "of |x|": net(([[1], [-1]], None), ([[1, 1], [-1, -1]], None), ([[1, 7]], None)),
    "|x - 1 + 1|": net(
        ([[1], [-1], [0]], [-1, 1, 1]),  # x - 1 in two halves, and the constant 1
        ([[1, -1, 1], [-1, 1, -1]], [0, 0]),
        ([[1, 1]], [0]),
    ),
    "of depth 4": net(
        ([[2], [-2]], None),
        ([["1/2", 0], [0, "1/2"]], None),
        ([[1, 1]], [0]),
        ([[1]], [0]),
    ),
}


@pytest.mark.parametrize("pair", list(itertools.combinations(ABSOLUTE_VALUE, 2)), ids=" = ".join)
def test_ways_to_write_the_absolute_value(pair):
    first, second = (ABSOLUTE_VALUE[name] for name in pair)
    equal(first, second)
    equal(second, first, (-1, 1))
    different(first, changed(second, second.depth - 1, 0, 0, TINY))


IDENTITIES = {
    "max(x, y)": (
        net(([[1, -1], [0, 1], [0, -1]], None), ([[1, 1, -1]], None)),  # (x - y)+ + y
        net(([[-1, 1], [1, 0], [-1, 0]], None), ([[1, 1, -1]], None)),  # (y - x)+ + x
    ),
    "|x + y| + |x - y| = 2 max(|x|, |y|)": (
        net(([[1, 1], [-1, -1], [1, -1], [-1, 1]], None), ([[1, 1, 1, 1]], None)),
        net(
            ([[1, 0], [-1, 0], [0, 1], [0, -1]], None),
            ([[1, 1, -1, -1], [0, 0, 1, 1]], None),
            ([[2, 2]], None),
        ),
    ),
    "two tents, one after the other": (
        net(
            ([[1], [1], [1]], [0, "-1/2", -1]),
            ([[2, -4, 2]] * 3, [0, "-1/2", -1]),
            ([[2, -4, 2]], None),
        ),
        net(
            ([[1]] * 5, [0, "-1/4", "-1/2", "-3/4", -1]),
            ([[4, -8, 8, -8, 4]], None),
        ),
    ),
    "linear": (
        ed.ReLUNetwork([[[1, 2, -3], [0, 1, 5]]], [[7, 0]]),
        net(
            ([[1, 2, -3], [-1, -2, 3], [0, 1, 5], [0, -1, -5]], None),
            ([[1, -1, 0, 0], [0, 0, 1, -1]], [7, 0]),
        ),
    ),
    "constant": (
        ed.ReLUNetwork([[[0, 0]]], [["1/3"]]),
        net(([[1, 0], [2, 0], [0, 1]], [1, 2, 0]), ([[2, -1, 0]], ["1/3"])),
    ),
    "nothing": (
        net(([[1, 1]], [0]), ([[0]], [0])),
        net(([[1, -1], [1, -1]], [5, 5]), ([[1, -1]], [0]), ([["3/7"]], None)),
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities(name):
    first, second = IDENTITIES[name]
    equal(first, second)
    equal(second, first, (-2, 2))
    last = first.depth - 1
    if first.biases[last] is not None:
        different(changed(first, last, 0, None, TINY), second)
    elif any(first.weights[last].tolist()[0]):
        different(changed(first, last, 0, 0, TINY), second)


def rewritten(a, draw):
    """The same function after some of the changes that never matter."""
    for _ in range(draw(st.integers(1, 4))):
        if a.depth == 1:
            return a
        layer = draw(st.integers(0, a.depth - 2))
        width = a.widths[layer + 1]
        unit = draw(st.integers(0, width - 1))
        kind = draw(st.sampled_from(["rescale", "permute", "split", "dead", "identity"]))
        if kind == "rescale":
            factor = draw(st.sampled_from([2, "1/3", "7/5", Fraction(1, 2**70)]))
            a = ed.rescale(a, layer, unit, factor)
        elif kind == "permute":
            a = ed.permute(a, layer, draw(st.permutations(range(width))))
        elif width < 6:
            layers = [(list(W), b and list(b)) for W, b in oracles.layers_of(a)]
            (W, b), (V, c) = layers[layer], layers[layer + 1]
            if kind == "split":  # the unit twice; what leaves it is shared between the two
                parts = [draw(entries) for _ in V]
                W.append(W[unit])
                b = b and [*b, b[unit]]
                V = [[*row, part] for row, part in zip(V, parts, strict=True)]
                for row, part in zip(V, parts, strict=True):
                    row[unit] -= part
            elif kind == "dead":
                zeros = [Fraction(0)] * len(W[0])
                W.append(zeros if b is not None else zeros[:])
                b = b and [*b, Fraction(-1)]
                V = [[*row, draw(entries)] for row in V]
            else:  # a layer that does nothing to what is not negative
                unity = [[Fraction(int(i == j)) for j in range(width)] for i in range(width)]
                layers.insert(layer + 1, (unity, None))
                a = net(*layers)
                continue
            layers[layer], layers[layer + 1] = (W, b), (V, c)
            a = net(*layers)
    return a


@given(networks(max_depth=3, max_width=3, min_depth=2), st.data())
def test_rewritten_networks_are_equal(a, data):
    """T6: rescaling, permutation, split and dead units, layers that pass on."""
    b = rewritten(a, data.draw)
    domain = data.draw(st.sampled_from([None, (-1, 2)]))
    equal(a, b, domain)
    equal(b, b, domain)
    last = b.depth - 1
    if b.biases[last] is not None:
        unit = data.draw(st.integers(0, b.widths[-1] - 1))
        different(a, changed(b, last, unit, None, TINY), domain)


@given(networks(max_depth=2, max_width=2), networks(max_depth=2, max_width=2), st.data())
def test_any_two_networks_against_brute_force(a, b, data):
    """Also of what happens to be equal, or equal in a part of the space."""
    if (a.widths[0], a.widths[-1]) != (b.widths[0], b.widths[-1]):
        b = a if a.depth == 1 else changed(a, 0, 0, 0, data.draw(entries))
    d = a.widths[0]
    rows = data.draw(
        st.sampled_from([
            [],
            region_witness.box(d),
            [[Fraction(1)] + [Fraction(0)] * (d - 1) + [Fraction(-5, 2)]],
        ])
    )
    domain = None
    if rows:
        A = [[-v for v in row[:-1]] for row in rows]
        domain = Domain.polytope(A, [row[-1] for row in rows])
    if by_brute_force(a, b, rows):
        equal(a, b, domain)
    else:
        different(a, b, domain)


def test_what_reads_as_a_network(tmp_path):
    a = ed.ReLUNetwork.random((2, 4, 2), seed=1)
    pairs = [(W.to_numpy(np.float64), b.to_numpy(np.float64)[0]) for W, b in _layers(a)]
    named = {f"W{i}": W for i, (W, _) in enumerate(pairs, start=1)}
    named |= {f"b{i}": b for i, (_, b) in enumerate(pairs, start=1)}
    np.savez(tmp_path / "net.npz", **named)
    for form in (pairs, named, tmp_path / "net.npz"):
        assert ed.same_function(a, form)
        assert ed.max_difference(form, a, (-1, 1)).value == 0


def _layers(a):
    return zip(a.weights, a.biases, strict=True)


def test_torch_rounds_a_weight_and_the_proof_notices():
    """0.1 and 1/10 are different numbers."""
    third = net(([["1/10", 1]], [0]), ([[1]], [0]))
    rounded = net(([[0.1, 1]], [0]), ([[1]], [0]))
    different(third, rounded, (-1, 1))
    largest = ed.max_difference(third, rounded, (-1, 1))
    assert largest.value == abs(Fraction(1, 10) - Fraction(0.1))


# -- the least differences --------------------------------------------------------------------


@pytest.mark.parametrize(("widths", "seed"), [((1, 4, 3, 1), 0), ((2, 4, 3, 2), 3), ((3, 4, 1), 5)])
def test_a_weight_changed_by_little_is_noticed(widths, seed):
    """Every weight of a random network, wherever the change shows at some sample."""
    a = ed.ReLUNetwork.random(widths, seed=seed)
    rng = random.Random(seed)
    samples = [[Fraction(rng.randint(-160, 160), 40) for _ in range(widths[0])] for _ in range(120)]
    shown = 0
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        for unit, source in itertools.product(range(outputs), [*range(inputs), None]):
            b = changed(a, layer, unit, source, TINY)
            if any(outputs_at(a, x) != outputs_at(b, x) for x in samples):
                different(a, b, (-4, 4))
                shown += 1
            elif not ed.same_function(a, b, (-4, 4)):  # it shows in a small region only
                different(a, b, (-4, 4))
    assert shown > a.n_parameters / 2


def corner(size, weight=1):
    """A unit that is on in a small triangle at the corner (1, 1) of the square, beside others."""
    return net(
        ([[1, 0], [0, 1], [1, 1]], [0, 0, size - 2]),
        ([[1, 1, weight]], [0]),
    )


@pytest.mark.parametrize("size", [Fraction(1), TINY, Fraction(1, 2**200), Fraction(1, 2**1090)])
def test_a_change_that_shows_in_a_tiny_corner_only(size):
    with_unit, without = corner(size), corner(size, 0)
    answer = different(with_unit, without, (-1, 1))
    x, y = answer.point
    assert x + y > 2 - size
    assert ed.max_difference(with_unit, without, (-1, 1)).value == size
    assert ed.max_difference(with_unit, without, (-1, 1)).point == (1, 1)
    equal(with_unit, without, (-1, 1 - size / 2))


def test_a_change_that_does_not_show_in_the_domain():
    """The unit relu(x_0 - 5) is off in the square."""
    a = net(([[1, 0], [1, 1]], [-5, 0]), ([[3, 1]], [0]))
    b = changed(a, 1, 0, 0, TINY)
    equal(a, b, (-1, 1))
    equal(a, b, [(-7, 5), (-7, 7)])  # up to where it switches on
    assert different(a, b).point[0] > 5
    assert different(a, b, [(-7, 5 + TINY), (0, 1)]).point[0] > 5
    assert ed.max_difference(a, b, (-1, 1)).value == 0
    assert ed.max_difference(a, b, (-7, 7)).value == 2 * TINY


def test_equal_in_a_box_and_nowhere_around_it():
    line = ed.ReLUNetwork([[[1]]], [[1]])
    clipped = net(([[1], [1]], [1, -1]), ([[1, -1]], [0]))  # x + 1 between -1 and 1
    equal(line, clipped, (-1, 1))
    for box in ((-1, "1000001/1000000"), ("-1000001/1000000", 1), (1, 2), (-3, -1), None):
        different(line, clipped, box)


def test_only_the_last_output_differs():
    a = ed.ReLUNetwork.random((2, 3, 3), seed=0)
    b = changed(a, 1, 2, None, TINY)
    answer = different(a, b)
    assert answer.values[0][:2] == answer.values[1][:2]
    largest = ed.max_difference(a, b, (-1, 1))
    assert (largest.value, largest.output) == (TINY, 2)


def test_gradients_equal_and_constants_not():
    a = net(([[1, 1]], [0]), ([[1]], [0]))
    b = net(([[1, 1]], [0]), ([[1]], [TINY]))
    different(a, b)
    assert ed.max_difference(a, b, (0, 1)).value == TINY


def test_equal_where_they_meet():
    """x and -x agree at 0, which is no answer."""
    assert different(ed.ReLUNetwork([[[1]]]), ed.ReLUNetwork([[[-1]]]), (-1, 1)).point != (0,)
    up, down = net(([[1, 1]], None), ([[1]], None)), net(([[1, 1]], None), ([[-1]], None))
    different(up, down)
    different(up, down, Domain.polytope([[1, 1]], [TINY]))


# -- domains of all sorts ---------------------------------------------------------------------


def test_one_neuron_in_space():
    """Two half-spaces in R^3: no vertex anywhere."""
    a = net(([[1, -2, "1/3"]], [1]), ([[4]], [0]))
    assert equal(a, ed.rescale(a, 0, 0, "5/7")).n_regions == 2
    different(a, changed(a, 0, 0, 1, TINY))
    different(a, changed(a, 0, 0, None, TINY))
    different(a, changed(a, 1, 0, 0, TINY))
    assert equal(a, ed.ReLUNetwork([[[0, 0, 0]]]), Domain.polytope([[1, -2, "1/3"]], [-1]))


def test_strips():
    """Parallel planes in R^3, and a slab between two of them."""
    a = net(([[1, 1, 1]] * 3, [0, -1, -2]), ([[1, -2, 1]], None))  # a ridge over the middle
    b = ed.permute(ed.rescale(a, 0, 1, 3), 0, [2, 0, 1])
    assert equal(a, b).n_regions == 4
    nothing = ed.ReLUNetwork([[[0, 0, 0]]])
    different(a, nothing)
    outside = Domain.polytope([[1, 1, 1]], [0])
    equal(a, nothing, outside)
    slab = Domain.polytope([[1, 1, 1], [-1, -1, -1]], [1, 0])
    equal(a, ed.ReLUNetwork([[[1, 1, 1]]]), slab)
    different(a, ed.ReLUNetwork([[[1, 1, 1]]]), Domain.polytope([[1, 1, 1]], [1]))


def test_affine_networks_need_no_region():
    a = ed.ReLUNetwork([[[1, 2, 3]]], [[4]])
    assert equal(a, a).n_regions == 1
    assert equal(a, ed.ReLUNetwork([[[1, 2, 3]]], [["8/2"]]), (0, 1)).n_regions == 1
    different(a, changed(a, 0, 0, 2, TINY))
    different(a, changed(a, 0, 0, None, TINY))


def test_in_a_flat():
    """On the diagonal of the square relu(x) + relu(y) and 2 relu(x) agree."""
    both = net(([[1, 0], [0, 1]], None), ([[1, 1]], None))
    first = net(([[1, 0]], None), ([[2]], None))
    diagonal = Domain.segment([-1, -1], [1, 1])
    equal(both, first, diagonal)
    different(both, first)
    askew = Domain.segment([-1, -1], [1, 1 + TINY])
    assert different(both, first, askew).point[0] > 0
    assert ed.max_difference(both, first, askew).value == TINY
    plane = Domain.plane([0, 0, 0], [1, 1, 0], [0, 0, 1], lower=-1)
    lifted = [
        net(([[1, 0, 0], [0, 1, 0], [0, 0, 1]], None), ([[1, 1, 1]], None)),
        net(([[1, 0, 0], [0, 0, 1]], None), ([[2, 1]], None)),
    ]
    equal(*lifted, plane)


@pytest.mark.parametrize("seed", range(4))
def test_large_rewritten_networks(seed):
    """Some hundred regions, three inputs; and one weight changed in the last layer."""
    rng = random.Random(seed)
    a = ed.ReLUNetwork.random((3, 6, 6, 2), seed=seed)
    b = a
    for layer in range(2):
        for unit in range(6):
            b = ed.rescale(b, layer, unit, Fraction(rng.randint(1, 9), rng.randint(1, 9)))
        b = ed.permute(b, layer, rng.sample(range(6), 6))
    box = (-2, 2)
    answer = ed.same_function(a, b, box)
    assert answer
    assert answer.n_regions == ed.count_regions(a, box)
    assert ed.max_difference(a, b, box).value == 0
    worse = changed(b, 2, 1, None, -TINY)
    different(a, worse, box)
    assert ed.max_difference(a, worse, box).value == TINY


# -- the largest difference -------------------------------------------------------------------


def corners_by_brute_force(a, b, rows, d):
    """All vertices of all common regions, by splitting cells and intersecting lines."""
    parsed = region_witness.Problem(problem(a, b, rows))
    found = set()
    for lines in parsed.cell_rows.values():
        for chosen in itertools.combinations([row for row in lines if any(row[:-1])], d):
            point = _meeting(chosen)
            if point and all(region_witness.at(row, point) >= 0 for row in lines):
                found.add(point)
    return found


def _meeting(rows):
    """The one point of two lines, or of one equation in one unknown."""
    if len(rows) == 1:
        ((a, c),) = rows
        return (-c / a,)
    (a, b, c), (e, f, g) = rows
    det = a * f - b * e
    return ((b * g - c * f) / det, (c * e - a * g) / det) if det else None


@given(
    st.integers(1, 2).flatmap(
        lambda d: st.tuples(*[networks(max_depth=2, max_width=3).map(lambda a: _read(a, d))] * 2)
    )
)
def test_largest_difference_by_brute_force(pair):
    """At the vertices of the common regions, and at a grid of points besides."""
    a, b = pair
    outputs = min(a.widths[-1], b.widths[-1])
    a, b = (_first_outputs(x, outputs) for x in (a, b))
    d = a.widths[0]
    largest = ed.max_difference(a, b, (-2, 2))
    assert type(largest.value) is Fraction
    left, right = (tuple(outputs_at(x, largest.point)) for x in (a, b))
    assert largest.values == (left, right)
    assert abs(left[largest.output] - right[largest.output]) == largest.value
    assert all(-2 <= v <= 2 for v in largest.point)

    def difference(x):
        return max(abs(u - v) for u, v in zip(outputs_at(a, x), outputs_at(b, x), strict=True))

    assert largest.value == max(map(difference, corners_by_brute_force(a, b, _box(d), d)))
    grid = [Fraction(k, 3) for k in range(-6, 7)]
    assert largest.value >= max(map(difference, itertools.product(grid, repeat=d)))
    answer = ed.same_function(a, b, (-2, 2))
    assert answer.equal == (largest.value == 0)


def _box(d):
    return [[Fraction(v) for v in row] for row in region_witness.box(d)]


def _read(a, d):
    """The network with d inputs: some columns left out or repeated."""
    (W, b), *rest = oracles.layers_of(a)
    return net(([(row * d)[:d] for row in W], b), *rest)


def _first_outputs(a, n):
    *rest, (W, b) = oracles.layers_of(a)
    return net(*rest, (W[:n], b and b[:n]))


@pytest.mark.parametrize("seed", range(6))
def test_largest_difference_in_space(seed):
    """Against all vertices of the regions of one network that computes the difference."""
    a, b = (ed.ReLUNetwork.random((3, 4, 3, 2), seed=seed + 100 * k) for k in (0, 1))
    together = net(
        *(
            _side_by_side(x, y, first=i == 0, last=i == 2)
            for i, (x, y) in enumerate(zip(oracles.layers_of(a), oracles.layers_of(b), strict=True))
        )
    )
    box = [(-1, 2), (-2, 1), ("-1/3", "1/2")]
    largest = ed.max_difference(a, b, box)
    layers = oracles.layers_of(together)
    corners = ed.activation_regions(together, box).vertices()
    assert largest.value == max(abs(v) for x in corners for v in oracles.forward(layers, x)[0])
    rng = random.Random(seed)
    for _ in range(300):
        x = [
            low + Fraction(rng.randint(0, 60), 60) * (high - low)
            for low, high in ((Fraction(u), Fraction(v)) for u, v in box)
        ]
        assert max(map(abs, oracles.forward(layers, x)[0])) <= largest.value
    assert tuple(outputs_at(a, largest.point)) == largest.values[0]
    assert ed.max_difference(b, a, box).value == largest.value


def _side_by_side(one, other, *, first, last):
    (W, b), (V, c) = one, other
    if first:
        return [*W, *V], [*b, *c]
    if last:  # the difference
        rows = [[*u, *(-x for x in v)] for u, v in zip(W, V, strict=True)]
        return rows, [x - y for x, y in zip(b, c, strict=True)]
    blocks = [[*u, *[0] * len(V[0])] for u in W] + [[*[0] * len(W[0]), *v] for v in V]
    return blocks, [*b, *c]


def test_largest_difference_of_examples():
    up, nothing = net(([[1]], [0]), ([[1]], [0])), ed.ReLUNetwork([[[0]]])
    assert ed.max_difference(up, nothing, (-1, 3)).value == 3
    assert ed.max_difference(up, nothing, (-1, 3)).point == (3,)
    assert ed.max_difference(up, nothing, (-5, -1)).value == 0
    tent = net(([[1], [1], [1]], [0, -1, -2]), ([[1, -2, 1]], None))
    largest = ed.max_difference(tent, nothing, (-5, 5))
    assert (largest.value, largest.point) == (1, (1,))
    assert repr(largest) == "LargestDifference(1, output 0 at (1))"
    triangle = Domain.polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    plus = net(([[1, 1]], ["-1/2"]), ([[-6]], None))
    assert ed.max_difference(plus, ed.ReLUNetwork([[[0, 0]]]), triangle).value == 3
    affine = ed.ReLUNetwork([[[1, -1]]])
    assert ed.max_difference(affine, ed.ReLUNetwork([[[0, 0]]]), (0, 1)).value == 1


@pytest.mark.parametrize("exponent", [60, 1100, -1100])
def test_differences_beyond_the_range_of_floats(exponent, tmp_path):
    """In one piece, and in parts of which each knows the best of those before."""
    scale = Fraction(2) ** exponent
    (W, b), (V, _) = oracles.layers_of(ed.ReLUNetwork.random((2, 6, 1), seed=4))
    small, big = (net((W, b), ([[factor * v for v in V[0]]], [0])) for factor in (1, scale))
    nothing = ed.ReLUNetwork([[[0, 0]]])
    expected = scale * ed.max_difference(small, nothing, (-1, 1)).value
    assert ed.max_difference(big, nothing, (-1, 1)).value == expected
    assert ed.max_difference(big, nothing, (-1, 1), checkpoint=tmp_path / "c").value == expected


# -- what is refused --------------------------------------------------------------------------


def test_networks_that_cannot_be_compared():
    a = ed.ReLUNetwork.random((2, 3, 2), seed=0)
    for widths, word in (((3, 3, 2), "inputs"), ((2, 3, 1), "outputs"), ((1, 1), "inputs")):
        b = ed.ReLUNetwork.random(widths, seed=0)
        with pytest.raises(errors.ShapeMismatch, match=word):
            ed.same_function(a, b)
        with pytest.raises(errors.ShapeMismatch, match=word):
            ed.max_difference(a, b, (-1, 1))
    for nonsense in ("no file", 7, None, [1, 2]):
        with pytest.raises(errors.InvalidInput):
            ed.same_function(a, nonsense)
    with pytest.raises(errors.ShapeMismatch, match="coordinates"):
        ed.same_function(a, a, [(0, 1)] * 3)


def test_unbounded_domains_have_no_largest_difference():
    a = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    flat = Domain.affine([[0, 0]], [[1, 1]])
    for domain in (None, Domain.polytope([[1, 0]], [1]), flat):
        with pytest.raises(errors.InvalidInput, match="unbounded"):
            ed.max_difference(a, a, domain)


def test_domains_without_interior():
    a = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    line, nothing = Domain.polytope([[1, 0], [-1, 0]], [0, 0]), Domain.polytope([[0, 0]], [-1])
    for domain in (line, nothing):
        for compare in (ed.same_function, ed.max_difference):
            with pytest.raises(errors.InvalidInput, match="no interior"):
                compare(a, a, domain)


def test_limits():
    a = ed.ReLUNetwork.random((2, 8, 8, 1), seed=0)
    regions = ed.same_function(a, a, (-1, 1)).n_regions
    assert ed.same_function(a, a, (-1, 1), max_regions=regions)
    for compare in (ed.same_function, ed.max_difference):
        with pytest.raises(errors.BudgetExceeded, match="max_regions") as caught:
            compare(a, a, (-1, 1), max_regions=regions - 1)
        assert caught.value.at_least == regions
        with pytest.raises(errors.BudgetExceeded, match="max_seconds"):
            compare(a, a, (-1, 1), max_seconds=1e-6)
        with pytest.raises(errors.InvalidInput, match="max_regions"):
            compare(a, a, (-1, 1), max_regions=0)
    deep = ed.ReLUNetwork.random((60, 60, 1), seed=0)
    with pytest.raises(errors.TooLarge, match="slice"):
        ed.same_function(deep, deep)


# -- a stranger with the checker --------------------------------------------------------------


@pytest.mark.parametrize("domain", [None, (-1, 1), Domain.segment([0, 0], ["1/3", 1])], ids=repr)
def test_certificates_in_a_process_of_their_own(tmp_path, domain):
    a = net(([["1/3", 1], [2, "-1/7"], [0, 1]], ["1/2", 0, 0]), ([[1, -1, "2/3"]] * 2, [0, "1/9"]))
    b = ed.permute(ed.rescale(a, 0, 0, "3/11"), 0, [1, 2, 0])
    c = changed(b, 1, 1, None, TINY)
    files = [str(tmp_path / name) for name in ("equal.json", "different.json")]
    ed.same_function(a, b, domain).certificate().save(files[0])
    ed.same_function(a, c, domain).certificate().save(files[1])
    for file, kind in zip(files, ("same-function", "counterexample"), strict=True):
        found = subprocess.run(
            [sys.executable, "-I", str(Path(checker.__file__)), file],
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        assert "accepted" in found.stdout
        assert kind in found.stdout
        assert ed.verify(file)


def test_a_certificate_is_about_these_networks_and_this_domain():
    """The problem of one claim with the witness of another is rejected."""
    a = net(([[1], [1]], [1, -1]), ([[1, -1]], [0]))
    line = ed.ReLUNetwork([[[1]]], [[1]])
    good = ed.same_function(line, a, (-1, 1)).certificate()
    assert ed.verify(good)
    for wrong in (
        ed.same_function(line, a, (-3, 3)).certificate(),
        ed.same_function(line, changed(a, 1, 0, None, TINY), (-1, 1)).certificate(),
    ):
        claim = ed.Certificate.seal(good.claim, wrong.problem, good.witness)
        assert not ed.verify(claim)
    again = ed.Certificate.seal(
        {"kind": "counterexample"}, good.problem, {"point": ["0"], "outputs": [["1"], ["1"]]}
    )
    assert "agree" in ed.verify(again).reason
