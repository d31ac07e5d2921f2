"""Orbits under permutation and positive rescaling (T6): canonical forms and equivalence."""

import itertools
import random
from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, problems

import exactdim as ed
from exactdim import errors
from exactdim.nets import canonical
from exactdim.nets.moves import remove_units
from exactdim.nets.symmetry import Symmetry, unanchored_components


def loose(net):
    """Whether units joined to each other are cut off from everything else."""
    return any(len(part) > 1 for part in unanchored_components(net))


def without_loose(net):
    """Such units contribute nothing; one stays in a layer that would be empty, cut off."""
    parts = [part for part in unanchored_components(net) if len(part) > 1]
    gone = {unit for part in parts for unit in part}
    for layer, width in enumerate(net.widths[1:-1]):
        if {(layer, k) for k in range(width)} <= gone:
            gone.remove((layer, 0))
    again = remove_units(net, gone)
    return None if loose(again) else again


def equivalent_by_brute_force(a, b):
    """All permutations, each with the factors that a spanning forest of nonzero weights demands."""
    if a.widths != b.widths or a.has_bias != b.has_bias:
        return False
    hidden = a.widths[1:-1]
    orders = itertools.product(*(itertools.permutations(range(n)) for n in hidden))
    return any(
        rescaling_exists(Symmetry(a.widths, order, [[1] * n for n in hidden])(a), b)
        for order in orders
    )


def rescaling_exists(a, b):
    """Are there positive potentials with b = a * potential(to) / potential(from)?"""
    graph = nx.Graph()
    anchor = (-1, 0)
    last = a.depth - 1

    def node(layer, unit):
        return (layer, unit) if 0 <= layer < last else anchor

    edges = []
    for layer in range(a.depth):
        rows = [(a.weights[layer].tolist(), b.weights[layer].tolist())]
        for to, (row, other) in enumerate(zip(*rows[0], strict=True)):
            edges += [
                (node(layer - 1, k), node(layer, to), x, y)
                for k, (x, y) in enumerate(zip(row, other, strict=True))
            ]
        if a.biases[layer] is not None:
            pairs = zip(a.biases[layer].tolist()[0], b.biases[layer].tolist()[0], strict=True)
            edges += [(anchor, node(layer, to), x, y) for to, (x, y) in enumerate(pairs)]
    for start, end, x, y in edges:
        if (x == 0) != (y == 0) or x * y < 0:
            return False
        if x:
            graph.add_edge(start, end)
    potential = {}
    for part in nx.connected_components(graph):
        root = anchor if anchor in part else min(part)
        potential[root] = Fraction(1)
        grown = True
        while grown:
            grown = False
            for start, end, x, y in edges:
                if x and start in potential and end not in potential:
                    potential[end] = potential[start] * y / x
                    grown = True
                if x and end in potential and start not in potential:
                    potential[start] = potential[end] * x / y
                    grown = True
    return all(not x or y == x * potential[end] / potential[start] for start, end, x, y in edges)


@given(problems(min_depth=1), st.integers(0, 2**32))
def test_symmetric_networks_have_one_form(problem, seed):
    """Degenerate networks, too; and nothing that should be invariant changes."""
    net, X = problem
    s = Symmetry.random(net.widths, seed=seed)
    moved = s(net)
    if loose(net):
        with pytest.raises(errors.InvalidInput, match="cut off"):
            ed.canonical_form(net)
        return
    form = ed.canonical_form(net)
    assert ed.canonical_form(moved) == form
    assert ed.canonical_form(form) == form
    assert form(X) == net(X)
    assert canonical.canonical_symmetry(net)(net) == form
    answer = ed.are_equivalent(net, moved)
    assert answer
    assert answer.symmetry(net) == moved
    assert not answer.reason


small = networks(min_depth=2, max_depth=3, max_width=3)


@given(small, small)
def test_equivalence_is_that_of_brute_force(a, b):
    if loose(a) or loose(b):
        return
    answer = ed.are_equivalent(a, b)
    assert bool(answer) == equivalent_by_brute_force(a, b)
    assert (ed.canonical_form(a) == ed.canonical_form(b)) == bool(answer)
    assert bool(answer.reason) == (not answer)


def ternary(widths, entries, bias):
    """A network with the given weights, in order."""
    entries = iter(entries)
    weights, biases = [], []
    for n, m in itertools.pairwise(widths):
        weights.append([[next(entries) for _ in range(n)] for _ in range(m)])
        biases.append([next(entries) for _ in range(m)] if bias else None)
    return ed.ReLUNetwork(weights, biases)


@pytest.mark.parametrize(("widths", "bias"), [((1, 2, 1), False), ((1, 1, 1), True)])
def test_all_pairs_of_a_small_family(widths, bias):
    """Weights in {-1, 0, 2}: forms agree exactly on the orbits that brute force finds."""
    n = sum(m * (k + bias) for k, m in itertools.pairwise(widths))
    nets = [ternary(widths, w, bias) for w in itertools.product((-1, 0, 2), repeat=n)]
    nets = [net for net in nets if not loose(net)]
    forms = [ed.canonical_form(net) for net in nets]
    for (a, form), (b, other) in itertools.combinations(zip(nets, forms, strict=True), 2):
        assert (form == other) == equivalent_by_brute_force(a, b)


def test_networks_whose_units_look_alike():
    """Where colours tie: identical chains, twins, and two graphs that refinement cannot tell."""
    eye = [[int(i == j) for j in range(5)] for i in range(5)]
    chains = ed.ReLUNetwork([[[1]] * 5, eye, eye, [[1] * 5]])
    s = Symmetry.random(chains.widths, seed=1)
    assert ed.canonical_form(s(chains)) == ed.canonical_form(chains)
    assert ed.are_equivalent(chains, s(chains)).symmetry(chains) == s(chains)

    def cycles(*lengths):
        """Each unit of the second layer reads two of the first, along cycles."""
        n, rows, start = sum(lengths), [], 0
        for length in lengths:
            for k in range(length):
                row = [0] * n
                row[start + k] = row[start + (k + 1) % length] = 1
                rows.append(row)
            start += length
        return ed.ReLUNetwork([[[1]] * n, rows, [[1] * n]])

    six, threes = cycles(6), cycles(3, 3)
    answer = ed.are_equivalent(six, threes)
    assert not answer
    assert "matched at once" in answer.reason
    for net in (six, threes):
        moved = Symmetry.random(net.widths, seed=2)(net)
        assert ed.are_equivalent(net, moved).symmetry(net) == moved
        assert ed.canonical_form(moved) == ed.canonical_form(net)


def test_too_many_ties(monkeypatch):
    monkeypatch.setattr(canonical, "MOST_WORK", 300)
    eye = [[int(i == j) for j in range(5)] for i in range(5)]
    with pytest.raises(errors.TooLarge, match="look alike"):
        ed.canonical_form(ed.ReLUNetwork([[[1]] * 5, eye, eye, [[1] * 5]]))


def test_equal_units_need_no_choices(monkeypatch):
    """Constant weights; pairs of equal units; units that are all zero."""
    monkeypatch.setattr(canonical, "MOST_WORK", 3 * 10**5)
    constant = ed.ReLUNetwork([[[1]] * 90, [[1] * 90] * 60, [[1] * 60]])
    moved = Symmetry.random(constant.widths, seed=0)(constant)
    assert ed.canonical_form(moved) == ed.canonical_form(constant)
    assert ed.are_equivalent(constant, moved).symmetry(constant) == moved
    pairs = ed.ReLUNetwork([[[1 + k // 2] for k in range(80)], [[1 + k // 4 for k in range(80)]]])
    assert ed.are_equivalent(pairs, Symmetry.random(pairs.widths, seed=0)(pairs))
    zero = ed.ReLUNetwork([[[0]] * 50, [[0] * 50]], [[0] * 50, None])
    assert ed.canonical_form(zero) == zero


def test_a_network_is_equivalent_to_itself_whatever_it_is():
    cut_off = ed.ReLUNetwork([[[0], [1]], [[1, 0], [0, 0]], [[0, 1]]])
    assert ed.are_equivalent(cut_off, cut_off).symmetry.is_identity
    with pytest.raises(errors.InvalidInput, match="cut off"):
        ed.are_equivalent(cut_off, Symmetry.random(cut_off.widths, seed=1)(cut_off))


@given(networks(min_depth=2))
def test_what_enters_a_unit_adds_up_to_one(net):
    if loose(net):
        return
    form = ed.canonical_form(net)
    reached = [True] * net.widths[0]
    for W, b in zip(form.weights[:-1], form.biases[:-1], strict=True):
        rows = W.tolist()
        bias = b.tolist()[0] if b is not None else [0] * len(rows)
        totals = [
            abs(c) + sum(abs(w) for w, live in zip(row, reached, strict=True) if live)
            for row, c in zip(rows, bias, strict=True)
        ]
        assert set(totals) <= {0, 1}
        reached = [total == 1 for total in totals]


@given(networks(min_depth=2, max_depth=4))
def test_loose_units_are_named_and_can_be_left_out(net):
    if not loose(net):
        return
    with pytest.raises(errors.InvalidInput, match="remove_units"):
        ed.canonical_form(net)
    smaller = without_loose(net)
    if smaller is not None:
        X = [[1] * net.widths[0], [-2] * net.widths[0]]
        assert ed.canonical_form(smaller)(X) == net(X)


def test_reasons():
    a = ed.ReLUNetwork([[[1], [2]], [[3, 4]]], [[1, 1], None])
    assert "widths" in ed.are_equivalent(a, ed.ReLUNetwork([[[1]], [[3]]])).reason
    zero = ed.ReLUNetwork([[[1], [2]], [[3, 4]]], [[1, 1], [0]])
    assert "bias" in ed.are_equivalent(a, zero).reason
    negative = ed.ReLUNetwork([[[1], [-2]], [[3, 4]]], [[1, 1], None])
    assert "unit 1 of layer 0" in ed.are_equivalent(a, negative).reason
    output = ed.ReLUNetwork([[[1], [2]], [[3, 4]]], [[1, 1], [7]])
    assert "output 0" in ed.are_equivalent(zero, output).reason
    assert "none: " in repr(ed.are_equivalent(zero, output))


def test_the_same_function_in_another_orbit():
    """Cancelling units: one function, two orbits."""
    a = ed.ReLUNetwork([[[1], [1]], [[2, -2]]])
    b = ed.ReLUNetwork([[[1], [1]], [[3, -3]]])
    assert ed.same_function(a, b)
    assert not ed.are_equivalent(a, b)


def nearly(net, source):
    """Change one weight or bias by 2^-40."""
    theta = net.parameters().tolist()[0]
    theta[source.randrange(len(theta))] += Fraction(source.choice([-1, 1]), 2**40)
    return net.with_parameters([theta])


def is_generic(net):
    """No weight is 0 and no two units of a layer are multiples of each other."""
    rows = [
        [*row, *([b[0, k]] if b is not None else [])]
        for W, b in zip(net.weights[:-1], net.biases[:-1], strict=True)
        for k, row in enumerate(W.tolist())
    ]
    normal = [tuple(x / sum(map(abs, row)) for x in row) for row in rows if any(row)]
    return all(net.parameters().tolist()[0]) and len(set(normal)) == len(rows)


def test_random_networks_and_their_neighbours(many):
    """Random networks with random symmetries (10 000 with --many), and neighbours 2^-40 away.

    Dimension, function and pattern are invariant, the symmetry is found again, and a neighbour is
    never called equivalent.
    """
    source = random.Random(0)
    neighbours = 0
    for number in range(10_000 if many else 300):
        widths = [source.randint(1, 4) for _ in range(source.randint(2, 4))]
        net = ed.ReLUNetwork.random(widths, seed=number, bits=source.choice([2, 6, 16]))
        if loose(net):
            continue
        s = Symmetry.random(net.widths, seed=number)
        moved = s(net)
        X = [[Fraction(source.randint(-99, 99), 64) for _ in range(widths[0])] for _ in range(3)]
        assert moved(X) == net(X)
        pattern = ed.activation_pattern(net, X, on_kink="zero")
        assert s.on_pattern(pattern) == ed.activation_pattern(moved, X, on_kink="zero")
        before, after = (
            ed.local_dimension(x, X, on_kink="zero", proof="full").value for x in (net, moved)
        )
        assert before == after
        assert ed.canonical_form(moved) == ed.canonical_form(net)
        assert ed.are_equivalent(net, moved).symmetry(net) == moved
        other = nearly(moved, source)
        if is_generic(net) and (many is False or neighbours < 3000):
            neighbours += 1
            assert not ed.are_equivalent(net, other)
            assert ed.canonical_form(other) != ed.canonical_form(net)
    assert neighbours >= (1000 if many else 100)
