"""What the strategies generate, what it shrinks to, and which arguments they refuse."""

import inspect
import itertools
import sys
import tomllib
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import oracles
import pytest
import region_oracles
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

import exactdim as ed
from exactdim import QMatrix, ReLUNetwork, errors
from exactdim.nets.symmetry import Symmetry
from exactdim.testing import strategies as eds

SEEDS = range(2)
GOLDEN = ReLUNetwork([[[2, 3]], [[1]]], [[-1], [0]])  # a kink where 2 x + 3 y = 1
DEEP = ReLUNetwork.random((2, 3, 3, 1), seed=1)
AFFINE = ReLUNetwork([[[1, 2]]], [[3]])
NO_KINK = ReLUNetwork([[[0, 0]], [[1]]], [[1], [0]])
ALL_KINK = ReLUNetwork([[[0, 0]], [[1]]], [[0], [0]])

generic = st.integers(1, 10**6)
"""Positive entries between which there is no relation by chance."""


def minimal(strategy, predicate=lambda _: True, *, seed=0):
    """What a failing example is shrunk to."""
    phases = [Phase.generate, Phase.shrink]
    options = settings(database=None, max_examples=4000, phases=phases)
    return find(strategy, predicate, settings=options, random=Random(seed))


def find_any(strategy, predicate, *, max_examples=8000):
    """Some example; it is an error if none is found."""
    options = settings(database=None, max_examples=max_examples, phases=[Phase.generate])
    return find(strategy, predicate, settings=options, random=Random(0))


def assert_all_examples(strategy, predicate, *, max_examples=None):
    @settings(max_examples=max_examples or settings().max_examples)
    @given(strategy)
    def check(example):
        assert predicate(example), example

    check()


def raises_when_used(strategy, error=InvalidArgument, match=None):
    with pytest.raises(error, match=match):
        find_any(strategy, lambda _: True)
    return True


def parameters(net):
    return net.parameters().tolist()[0]


def kinked(net, x):
    return oracles.kinked(oracles.layers_of(net), x)


# -- house rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", eds.__all__)
def test_arguments_with_a_default_are_keyword_only_but_for_bounds(name):
    for argument in inspect.signature(getattr(eds, name)).parameters.values():
        if argument.name in {"min_value", "max_value"}:
            continue
        assert (argument.default is argument.empty) == (argument.kind != argument.KEYWORD_ONLY)


@pytest.mark.parametrize("name", eds.__all__)
def test_names_are_plural_and_strategies_are_named_after_their_function(name):
    assert name.split("_")[0].endswith("s") or name.endswith("s")
    arguments = {"net": GOLDEN, "shape": (2, 2), "rank": 1}
    wanted = inspect.signature(getattr(eds, name)).parameters
    strategy = getattr(eds, name)(**{k: v for k, v in arguments.items() if k in wanted})
    assert isinstance(strategy, st.SearchStrategy)
    assert repr(strategy).startswith(f"{name}(")


def test_no_entry_point_loads_the_package_into_every_session_of_hypothesis():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    assert "hypothesis" not in project["project"].get("entry-points", {})


IMPOSSIBLE = [
    (eds.rationals, (2, 1), {}),
    (eds.rationals, (float("nan"),), {}),
    (eds.rationals, ("one",), {}),
    (eds.rationals, (None, Fraction(1, 9)), {}),
    (eds.rationals, (), {"max_denominator": 0}),
    (eds.rationals, (), {"max_denominator": 2.0}),
    *(
        (strategy, (), options)
        for strategy in (eds.relu_networks, eds.degenerate_networks, eds.torch_modules)
        for options in (
            {"widths": (3,)},
            {"widths": 3},
            {"widths": "23"},
            {"widths": (2, 0, 1)},
            {"widths": (2, 1.0, 1)},
            {"widths": (2, 3, 1), "input_width": 3},
            {"widths": (2, 3, 1), "output_width": 2},
            {"min_depth": 0},
            {"min_depth": 4},
            {"max_depth": 0},
            {"max_depth": None},
            {"max_width": 0},
            {"max_width": True},
            {"input_width": 0},
            {"output_width": -1},
            {"bias": 1},
            {"bias": [True, False]},
            {"elements": 1},
            {"elements": st.just("x")},
            {"elements": st.just(float("inf"))},
        )
    ),
    (eds.degenerate_networks, (), {"max_depth": 1}),
    (eds.degenerate_networks, (), {"widths": (2, 1)}),
    (eds.torch_modules, (), {"dtype": "float32"}),
    (eds.torch_modules, (), {"elements": st.just("1/3")}),
    *(
        (strategy, (net,), {})
        for strategy in (eds.boundary_points, eds.batches, eds.symmetries, eds.activation_patterns)
        for net in (None, (2, 3, 1), [])
    ),
    *((eds.boundary_points, (net,), {}) for net in (AFFINE, NO_KINK)),
    *((eds.batches, (net,), {"kinks": True}) for net in (AFFINE, NO_KINK)),
    (eds.batches, (ALL_KINK,), {"kinks": False}),
    (eds.activation_patterns, (ALL_KINK,), {"realised": True}),
    *(
        (strategy, arguments, options)
        for strategy, arguments in (
            (eds.batches, (GOLDEN,)),
            (eds.networks_with_batches, ()),
            (eds.activation_patterns, (GOLDEN,)),
        )
        for options in (
            {"min_size": 0},
            {"max_size": 0},
            {"min_size": 3, "max_size": 2},
            {"min_size": 7},
            {"max_size": None},
        )
    ),
    (eds.batches, (GOLDEN,), {"kinks": "zero"}),
    (eds.networks_with_batches, (), {"kinks": 1}),
    (eds.networks_with_batches, (), {"networks": GOLDEN}),
    (eds.networks_with_batches, (), {"networks": st.just(3), "kinks": False}),
    (eds.symmetries, (GOLDEN,), {"rescalings": None}),
    (eds.symmetries, (GOLDEN,), {"permutations": 1}),
    (eds.activation_patterns, (GOLDEN,), {"realised": None}),
    *(
        (eds.matrices_of_rank, arguments, {})
        for arguments in (
            ((2, 3), 3),
            ((0, 3), 1),
            ((2, 3), -1),
            ((2, 3), 1.0),
            ((2, -1), 0),
            ((2,), 1),
            ((2, 2, 2), 1),
            (2, 1),
        )
    ),
    (eds.matrices_of_rank, ((2, 3), 1), {"elements": [0, 1]}),
    (eds.matrices_of_rank, ((2, 3), 1), {"elements": st.just(float("nan"))}),
]


@pytest.mark.parametrize(("function", "arguments", "options"), IMPOSSIBLE)
def test_impossible_arguments_are_refused_when_the_strategy_is_used(function, arguments, options):
    strategy = function(*arguments, **options)  # not yet
    raises_when_used(strategy)


def test_a_message_names_the_argument():
    raises_when_used(eds.relu_networks(max_width=0), match=r"max_width=0 .* at least 1")
    raises_when_used(eds.batches(3), match="net: cannot read")
    raises_when_used(eds.matrices_of_rank((2, 3), 3), match=r"rank=3 .* shape=\(2, 3\)")
    raises_when_used(
        eds.rationals(max_value=Fraction(1, 9)), match="max_value=1/9 has a denominator above"
    )


# -- numbers --------------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 12))
def test_rationals_keep_their_bounds(data, size):
    ends = data.draw(st.lists(eds.rationals(max_denominator=size), min_size=2, max_size=2))
    low, high = sorted(ends)
    x = data.draw(eds.rationals(low, high, max_denominator=size))
    assert type(x) is Fraction
    assert low <= x <= high
    assert x.denominator <= size
    assert data.draw(eds.rationals(low)) >= low if size <= 8 else True
    assert data.draw(eds.rationals(max_value=high)) <= high if size <= 8 else True


def test_rationals_are_of_all_kinds():
    find_any(eds.rationals(), lambda x: x < -(10**6))
    find_any(eds.rationals(), lambda x: 0 < x < 1)
    find_any(eds.rationals(1), lambda x: x.denominator == 8)
    find_any(eds.rationals("1/3", 0.5), lambda x: x == Fraction(3, 8))
    assert minimal(eds.rationals("1/3", "2/5")) == Fraction(1, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_rationals_shrink_to_small_integers(seed):
    assert minimal(eds.rationals(), seed=seed) == 0
    assert minimal(eds.rationals(), lambda x: x > 1, seed=seed) == 2
    assert minimal(eds.rationals(), lambda x: x < 0, seed=seed) == -1
    assert minimal(eds.rationals(), lambda x: 0 < x < 1, seed=seed) == Fraction(1, 2)


# -- networks -------------------------------------------------------------------------------------

widths = st.lists(st.integers(1, 5), min_size=2, max_size=5)
architectures = st.fixed_dictionaries(
    {},
    optional={
        "min_depth": st.integers(1, 2),
        "max_depth": st.integers(2, 4),
        "max_width": st.integers(1, 5),
        "input_width": st.integers(1, 7),
        "output_width": st.integers(1, 7),
        "bias": st.sampled_from([None, True, False]),
    },
)


def assert_architecture(net, options):
    least, most = options.get("min_depth", 1), options.get("max_depth", 3)
    assert least <= net.depth <= most
    first, *hidden, last = net.widths
    size = options.get("max_width", 4)
    assert all(1 <= width <= size for width in hidden)
    assert options.get("input_width", min(first, size)) == first
    assert options.get("output_width", min(last, size)) == last
    if options.get("bias") is not None:
        assert set(net.has_bias) == {options["bias"]}


@given(architectures, st.data())
def test_networks_have_the_architecture_that_was_asked_for(options, data):
    assert_architecture(data.draw(eds.relu_networks(**options)), options)
    least = max(2, options.get("min_depth", 2))
    net = data.draw(eds.degenerate_networks(**options))
    assert_architecture(net, {**options, "min_depth": least})


@given(widths, st.sampled_from([None, True, False]), st.data())
def test_networks_have_the_widths_that_were_asked_for(widths, bias, data):
    assume(len(widths) > 2)
    for strategy in (eds.relu_networks, eds.degenerate_networks):
        net = data.draw(strategy(widths=widths, bias=bias))
        assert net.widths == tuple(widths)
        assert bias is None or set(net.has_bias) == {bias}


@given(eds.relu_networks(elements=st.integers(5, 7)))
def test_elements_are_the_entries(net):
    assert set(parameters(net)) <= {5, 6, 7}


def test_networks_are_of_all_kinds():
    nets = eds.relu_networks()
    find_any(nets, lambda net: set(net.has_bias) == {True, False})
    find_any(nets, lambda net: net.widths == (4, 4, 4))
    find_any(nets, lambda net: net.depth == 3 and all(parameters(net)))
    find_any(nets, lambda net: net.n_hidden and not any(parameters(net)))
    find_any(nets, lambda net: net.parameters().denominator >= 7)
    find_any(eds.relu_networks(elements=st.floats(0, 1)), lambda net: net.n_parameters > 9)


def test_networks_shrink_to_the_smallest():
    net = ReLUNetwork([[[0]]])
    assert minimal(eds.relu_networks()) == net
    assert minimal(eds.relu_networks(min_depth=3)) == ReLUNetwork([[[0]]] * 3)
    assert minimal(eds.relu_networks(bias=True)) == ReLUNetwork([[[0]]], [[0]])
    whole = eds.relu_networks(widths=(2, 3, 1), elements=st.integers(5, 9))
    assert minimal(whole) == ReLUNetwork([[[5, 5]] * 3, [[5, 5, 5]]])


@pytest.mark.parametrize("seed", SEEDS)
def test_networks_shrink_in_depth_and_width(seed):
    deep = minimal(eds.relu_networks(), lambda net: net.depth >= 3, seed=seed)
    assert deep == ReLUNetwork([[[0]]] * 3)
    wide = minimal(eds.relu_networks(), lambda net: net.widths[0] >= 3, seed=seed)
    assert wide == ReLUNetwork([[[0, 0, 0]]])
    two = minimal(eds.relu_networks(), lambda net: max(net.widths[1:-1], default=0) > 1, seed=seed)
    assert two == ReLUNetwork([[[0], [0]], [[0, 0]]])


@pytest.mark.parametrize("seed", SEEDS)
def test_networks_shrink_to_few_small_integers(seed):
    def on(net):
        ones = [[1] * net.widths[0]]
        return ed.activation_pattern(net, ones, on_kink="zero").mask.any()

    net = minimal(eds.relu_networks(), on, seed=seed)
    assert net.widths == (1, 1, 1)
    assert sorted(parameters(net))[-1] == sum(parameters(net)) == 1
    net = minimal(eds.relu_networks(bias=False), on, seed=seed)
    assert net == ReLUNetwork([[[1]], [[0]]])
    net = minimal(
        eds.relu_networks(bias=False, min_depth=2),
        lambda net: not net([[1] * net.widths[0]]).is_zero(),
        seed=seed,
    )
    assert net == ReLUNetwork([[[1]], [[1]]])
    net = minimal(
        eds.relu_networks(bias=False, min_depth=2),
        lambda net: (
            oracles.forward(oracles.layers_of(net), [1] * net.widths[0])[0][0] > 0
            and sum(
                z > 0 for z in oracles.forward(oracles.layers_of(net), [1] * net.widths[0])[1][0]
            )
            > 1
        ),
        seed=seed,
    )
    assert net.widths == (1, 2, 1)
    assert set(parameters(net)) <= {0, 1}
    net = minimal(eds.relu_networks(), lambda net: net.weights[0].rank() == 2, seed=seed)
    assert net == ReLUNetwork([[[0, 1], [1, 0]]])


# -- degenerate networks: detectors that share nothing with the strategy --------------------------


@lru_cache(maxsize=64)
def entering(net, layer):
    """What enters the units of a layer, biases last."""
    (W, b), rows = oracles.layers_of(net)[layer], []
    for k, row in enumerate(W):
        rows.append([*row, b[k] if b is not None else Fraction(0)])
    return rows


def patterns_of_units(net):
    """Per hidden unit ``(layer, unit)``, its bits in all activation regions."""
    regions = region_oracles.patterns(oracles.layers_of(net))
    units = [(layer, k) for layer, n in enumerate(net.widths[1:-1]) for k in range(n)]
    return {unit: {bits[i] for bits in regions} for i, unit in enumerate(units)}


def some_unit(test):
    return lambda net: any(
        test(net, layer, k) for layer in range(net.depth - 1) for k in range(net.widths[layer + 1])
    )


def some_pair(test):
    return lambda net: any(
        test(*map(tuple, pair))
        for layer in range(net.depth - 1)
        for pair in itertools.permutations(entering(net, layer), 2)
    )


def unread(net, layer, k):
    return not any(
        net.weights[layer + 1][:, [k]].tolist()[i][0] for i in range(net.widths[layer + 2])
    )


def constant_pre_activation(net, layer, k):
    return not any(entering(net, layer)[k][:-1])


DEGENERATE = {
    "unread unit": some_unit(unread),
    "unread input": lambda net: any(
        not any(row[j] for row in net.weights[0].tolist()) for j in range(net.widths[0])
    ),
    "zero weights, negative bias": some_unit(
        lambda net, layer, k: (
            constant_pre_activation(net, layer, k) and entering(net, layer)[k][-1] < 0
        )
    ),
    "zero weights, positive bias": some_unit(
        lambda net, layer, k: (
            constant_pre_activation(net, layer, k) and entering(net, layer)[k][-1] > 0
        )
    ),
    "zero weights, zero bias": some_unit(
        lambda net, layer, k: net.has_bias[layer] and not any(entering(net, layer)[k])
    ),
    "zero weights, no bias": some_unit(
        lambda net, layer, k: not net.has_bias[layer] and not any(entering(net, layer)[k])
    ),
    "off by sign alone": some_unit(
        lambda net, layer, k: (
            layer and any(entering(net, layer)[k]) and max(entering(net, layer)[k]) <= 0
        )
    ),
    "on by sign alone": some_unit(
        lambda net, layer, k: (
            layer
            and min(entering(net, layer)[k]) >= 0
            and entering(net, layer)[k][-1] > 0
            and any(entering(net, layer)[k][:-1])
        )
    ),
    "duplicates": some_pair(lambda u, v: any(u[:-1]) and u == v),
    "opposites": some_pair(lambda u, v: any(u[:-1]) and u == tuple(-x for x in v)),
    "multiples": some_pair(
        lambda u, v: (
            any(u[:-1])
            and any(v[:-1])
            and sum(map(abs, u)) != sum(map(abs, v))
            and oracles.fraction_rank([u, v]) == 1
        )
    ),
    "parallel hyperplanes": some_pair(
        lambda u, v: (
            any(u[:-1])
            and any(v[:-1])
            and oracles.fraction_rank([u[:-1], v[:-1]]) == 1
            and oracles.fraction_rank([u, v]) == 2
        )
    ),
    "dependent units": lambda net: any(
        oracles.fraction_rank(list(rows)) < min(3, net.widths[layer] + net.has_bias[layer])
        for layer in range(net.depth - 1)
        for rows in itertools.combinations(entering(net, layer), 3)
    ),
    "dead layer": lambda net: any(
        all(
            (layer and any(row) and max(row) <= 0) or (not any(row[:-1]) and row[-1] < 0)
            for row in entering(net, layer)
        )
        for layer in range(net.depth - 1)
    ),
    "width one": lambda net: 1 in net.widths[1:-1],
}


@pytest.mark.parametrize("kind", DEGENERATE)
def test_every_accident_happens(kind):
    net = find_any(eds.degenerate_networks(), DEGENERATE[kind])
    bits = patterns_of_units(net)
    if kind == "off by sign alone":
        assert {"0"} in bits.values()
    if kind == "on by sign alone":
        assert {"1"} in bits.values()


ALONE = {
    "unread unit",
    "zero weights, negative bias",
    "zero weights, positive bias",
    "zero weights, zero bias",
    "zero weights, no bias",
    "off by sign alone",
    "duplicates",
    "opposites",
    "multiples",
    "parallel hyperplanes",
    "dependent units",
}


@pytest.mark.parametrize(("bias", "kinds"), [(None, ALONE), (False, {"off by sign alone"})])
def test_accidents_happen_alone_where_chance_does_nothing(bias, kinds):
    """Fresh large entries, since Hypothesis likes to repeat its own; positive, so deep units tend
    to be on."""
    fresh = Random(0)
    elements = st.builds(lambda: fresh.randint(1, 10**9))
    seen = set()

    def all_seen(net):
        names = DEGENERATE.keys() - {"on by sign alone"}
        happened = {name for name in names if DEGENERATE[name](net)}
        if len(happened) == 1:
            seen.update(happened)
        return seen >= kinds

    nets = eds.degenerate_networks(widths=(2, 3, 2, 2), bias=bias, elements=elements)
    find_any(nets, all_seen, max_examples=2000)


def test_whole_layers_die():
    def dead(net):
        return DEGENERATE["dead layer"](net) and not DEGENERATE["unread unit"](net)

    find_any(eds.degenerate_networks(widths=(2, 3, 3, 2), elements=generic), dead)
    find_any(eds.degenerate_networks(widths=(2, 3, 3, 2), elements=generic, bias=False), dead)


def test_inputs_are_unread():
    nets = eds.degenerate_networks(widths=(2, 3, 2), elements=generic, bias=False)
    net = find_any(nets, DEGENERATE["unread input"])
    assert min(max(row) for row in net.weights[0].tolist()) > 0


def test_deep_units_are_on_by_sign_alone():
    nets = eds.degenerate_networks(widths=(2, 3, 3, 2), elements=generic.map(lambda x: -x))
    find_any(nets, DEGENERATE["on by sign alone"])


@pytest.mark.parametrize("sign", [1, -1])
def test_settled_units_have_a_bias_that_is_not_zero(sign):
    nets = eds.degenerate_networks(max_width=1, elements=st.just(0), bias=True)
    find_any(nets, lambda net: {x for x in parameters(net) if x} == {sign})


def degenerate(net):
    return any(test(net) for test in DEGENERATE.values())


@pytest.mark.parametrize("widths", [(2, 2, 1), (2, 3, 2), (3, 2, 3, 2), (2, 2, 2, 2, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_degenerate_networks_are_degenerate_where_chance_never_is(widths, bias):
    """Large positive random entries have no accident of their own: see the next test."""
    assert_all_examples(
        eds.degenerate_networks(widths=widths, bias=bias, elements=generic),
        degenerate,
        max_examples=100,
    )


@pytest.mark.parametrize("bias", [True, False])
def test_the_detectors_can_say_no(bias):
    signed = st.builds(lambda x, sign: sign * x, generic, st.sampled_from([1, -1]))
    nets = eds.relu_networks(widths=(2, 2, 2, 1), bias=bias, elements=signed)
    find_any(nets, lambda net: not degenerate(net))
    find_any(eds.relu_networks(), lambda net: net.n_hidden and not degenerate(net))


def test_degenerate_networks_of_any_architecture_are_degenerate():
    assert_all_examples(eds.degenerate_networks(), degenerate)
    assert_all_examples(eds.degenerate_networks(max_width=1), degenerate)


def test_a_layer_is_cut_to_width_one_unless_widths_are_given():
    nets = eds.degenerate_networks(max_depth=2, input_width=2, output_width=3, elements=generic)
    net = find_any(nets, lambda net: net.widths == (2, 1, 3) and all(parameters(net)))
    assert net.n_hidden == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_degenerate_networks_shrink_to_the_smallest(seed):
    nets = eds.degenerate_networks()
    assert minimal(nets, seed=seed) == ReLUNetwork([[[0]], [[0]]])
    twins = minimal(
        eds.degenerate_networks(widths=(1, 2, 1), bias=False), DEGENERATE["duplicates"], seed=seed
    )
    assert twins.weights[1].is_zero()
    assert len({abs(x) for row in twins.weights[0].tolist() for x in row}) == 1
    assert twins.parameters().denominator == 1


# -- batches --------------------------------------------------------------------------------------

BATCHES = {
    "repeated": lambda X: len(X) > len({tuple(x) for x in X}),
    "origin": lambda X: not all(map(any, X)),
    "multiples": lambda X: any(
        any(x) and any(y) and x != y and oracles.rank([x, y]) == 1
        for x, y in itertools.combinations(X, 2)
    ),
    "collinear off the origin": lambda X: any(
        len({tuple(x) for x in three}) == 3
        and oracles.rank([[*x, Fraction(1)] for x in three]) == 2
        and oracles.rank(three) == 2
        and all(map(any, three))
        for three in map(list, itertools.combinations(X, 3))
    ),
    "one input constant": lambda X: (
        len(X) > 2 and len({x[0] for x in X}) == 1 and len({x[1] for x in X}) == len(X)
    ),
    "generic": lambda X: (
        len(X) == 6
        and len({tuple(x) for x in X}) == 6
        and all(oracles.rank([x, y]) == 2 for x, y in itertools.combinations(X, 2))
    ),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_every_kind_of_batch_occurs(kind):
    find_any(eds.batches(DEEP), BATCHES[kind])


@given(widths, st.integers(1, 4), st.integers(0, 4), st.data())
def test_batches_have_the_shape_that_was_asked_for(widths, least, room, data):
    net = ReLUNetwork.random(widths, seed=0)
    X = data.draw(eds.batches(net, min_size=least, max_size=least + room))
    assert least <= len(X) <= least + room
    assert {len(x) for x in X} == {widths[0]}
    assert {type(v) for x in X for v in x} == {Fraction}


@given(eds.networks_with_batches(kinks=True))
def test_batches_on_kinks(problem):
    net, X = problem
    assert any(kinked(net, x) for x in X)
    with pytest.raises(errors.OnKink):
        ed.activation_pattern(net, X)


@given(eds.networks_with_batches(kinks=False))
def test_batches_off_kinks_have_a_jacobian(problem):
    net, X = problem
    assert not any(kinked(net, x) for x in X)
    assert ed.jacobian(net, X).shape == (len(X) * net.widths[-1], net.n_parameters)


def test_batches_where_kinks_do_not_matter():
    problems = eds.networks_with_batches()
    find_any(problems, lambda problem: any(kinked(problem[0], x) for x in problem[1]))
    find_any(problems, lambda p: p[0].n_hidden > 2 and not any(kinked(p[0], x) for x in p[1]))
    find_any(eds.batches(DEEP, kinks=True), lambda X: not all(kinked(DEEP, x) for x in X))


def test_networks_of_one_s_own_come_with_batches():
    nets = eds.relu_networks(widths=(3, 2, 1))
    assert_all_examples(
        eds.networks_with_batches(networks=nets, min_size=2, max_size=2),
        lambda problem: problem[0].widths == (3, 2, 1) and len(problem[1]) == 2,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_batches_shrink_to_the_origin(seed):
    assert minimal(eds.batches(DEEP), seed=seed) == [[0, 0]]
    assert minimal(eds.batches(DEEP), lambda X: len(X) >= 3, seed=seed) == [[0, 0]] * 3
    apart = minimal(eds.batches(DEEP), lambda X: len(X) > 1 and X[0] != X[1], seed=seed)
    assert sorted(apart) == [[0, 0], [0, 1]]
    assert minimal(eds.batches(GOLDEN, kinks=True), seed=seed) == [[0, Fraction(1, 3)]]
    on = minimal(eds.batches(GOLDEN, kinks=False), lambda X: GOLDEN(X)[0, 0] > 0, seed=seed)
    assert on == [[0, 1]]
    net, X = minimal(eds.networks_with_batches(), seed=seed)
    assert (net, X) == (ReLUNetwork([[[0]]]), [[0]])


# -- kinks ----------------------------------------------------------------------------------------


@given(st.data())
def test_boundary_points_are_on_a_kink(data):
    net = data.draw(eds.relu_networks(min_depth=2) | eds.degenerate_networks())
    layers = oracles.layers_of(net)
    try:
        x = data.draw(eds.boundary_points(net))
    except InvalidArgument:
        assert not has_kinks_by_hand(layers)
        return
    assert oracles.kinked(layers, x)
    with pytest.raises(errors.OnKink):
        ed.activation_pattern(net, [x])
    assert has_kinks_by_hand(layers)


def has_kinks_by_hand(layers):
    """A first layer that looks at two inputs or has a bias bends somewhere off the origin; without
    a bias, on one input, all is homogeneous up to the first bias, and breaks are looked for in
    every cell; if it looks at none, all inputs but the origin are alike."""
    W, b = layers[0]
    n = len(W[0])
    if any(map(any, W)) and (n > 1 or b is not None):
        return True
    inside = [
        [Fraction(v, point[-1]) for v in point[:-1]]
        for _, point, _ in region_oracles.cells(layers, [], n)
    ]
    axis = [[Fraction(k)] + [Fraction(0)] * (n - 1) for k in (-1, 0, 1)]
    if any(oracles.kinked(layers, x) for x in inside + axis):
        return True
    return len({tuple(v > 0 for v in x) for x in inside}) < len(inside)  # cells meet off the origin


@pytest.mark.parametrize("unit", [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)])
def test_kinks_of_every_layer_are_found(unit):
    def only_there(x):
        kinks = ed.activation_pattern(DEEP, [x], on_kink="zero").kinks
        return [kink[1:] for kink in kinks] == [unit]

    find_any(eds.boundary_points(DEEP), only_there)


def test_kinks_that_fill_a_region_and_are_none_at_the_origin():
    """h = (relu(x), relu(-x)), then z = relu(-x) without a bias: a kink for all x > 0."""
    net = ReLUNetwork([[[1], [-1]], [[0, 1]], [[1]]])
    assert not kinked(net, [Fraction(0)])
    assert_all_examples(eds.boundary_points(net), lambda x: x[0] > 0 and kinked(net, x))


@pytest.mark.parametrize("seed", SEEDS)
def test_boundary_points_shrink_towards_the_origin(seed):
    points = eds.boundary_points(GOLDEN)
    assert minimal(points, seed=seed) == [0, Fraction(1, 3)]
    assert minimal(points, lambda x: x[0] > 0, seed=seed) == [Fraction(1, 2), 0]
    through = ReLUNetwork([[[1, 1]], [[1]]], [[0], [0]])
    assert minimal(eds.boundary_points(through), seed=seed) == [0, 0]


@given(st.data())
def test_samples_off_kinks_are_refused_only_where_all_inputs_are_kinks(data):
    net = data.draw(eds.relu_networks(min_depth=2) | eds.degenerate_networks())
    layers = oracles.layers_of(net)
    try:
        X = data.draw(eds.batches(net, max_size=2, kinks=False))
    except InvalidArgument:
        n = net.widths[0]
        assert oracles.kinked(layers, [Fraction(0)] * n)
        for _, point, _ in region_oracles.cells(layers, [], n):
            assert oracles.kinked(layers, [Fraction(v, point[-1]) for v in point[:-1]])
    else:
        assert not any(oracles.kinked(layers, x) for x in X)


# -- symmetries and patterns ----------------------------------------------------------------------


@given(eds.networks_with_batches(), st.booleans(), st.booleans(), st.data())
def test_symmetries_keep_the_function(problem, rescalings, permutations, data):
    net, X = problem
    s = data.draw(eds.symmetries(net, rescalings=rescalings, permutations=permutations))
    assert s(net)(X) == net(X)
    assert rescalings or {x for row in s.factors for x in row} <= {1}
    assert permutations or all(order == tuple(range(len(order))) for order in s.orders)


def test_symmetries_are_of_all_kinds():
    strategy = eds.symmetries(DEEP)
    for order in itertools.permutations(range(3)):
        find_any(strategy, lambda s, order=order: s.orders[1] == order)
    find_any(strategy, lambda s: all(x != 1 for row in s.factors for x in row))
    find_any(strategy, lambda s: min(map(min, s.factors)) < Fraction(1, 4))


@pytest.mark.parametrize("seed", SEEDS)
def test_symmetries_shrink_to_the_identity(seed):
    strategy = eds.symmetries(DEEP)
    assert minimal(strategy, seed=seed) == Symmetry.identity(DEEP.widths)
    s = minimal(strategy, lambda s: s(DEEP) != DEEP, seed=seed)
    assert s.orders == ((0, 1, 2), (0, 1, 2))
    assert sorted(x for row in s.factors for x in row) == [1, 1, 1, 1, 1, 2]
    s = minimal(eds.symmetries(DEEP, rescalings=False), lambda s: s(DEEP) != DEEP, seed=seed)
    moved = [k for order in s.orders for k, old in enumerate(order) if k != old]
    assert len(moved) == 2
    assert abs(moved[0] - moved[1]) == 1


@given(eds.relu_networks(), st.integers(1, 3), st.integers(0, 3), st.data())
def test_patterns_have_the_shape_of_masks(net, least, room, data):
    mask = data.draw(eds.activation_patterns(net, min_size=least, max_size=least + room))
    assert mask.dtype == np.bool_
    assert mask.shape[1] == net.n_hidden
    assert least <= mask.shape[0] <= least + room


@given(eds.relu_networks(max_width=3, input_width=2), st.data())
def test_realised_patterns_are_those_of_regions(net, data):
    try:
        mask = data.draw(eds.activation_patterns(net, realised=True))
    except InvalidArgument:
        return
    regions = region_oracles.patterns(oracles.layers_of(net))
    at_origin = bool(net.n_hidden) and not net.has_bias[0]
    for row in mask:
        word = "".join("01"[int(bit)] for bit in row)
        assert word in regions or (at_origin and not row[: net.widths[1]].any())


def test_formal_patterns_need_no_region():
    net = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, -1], [0]])
    find_any(eds.activation_patterns(net), lambda mask: mask.all())
    assert_all_examples(
        eds.activation_patterns(net, realised=True), lambda mask: not mask.all(axis=1).any()
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_patterns_shrink_to_all_off(seed):
    assert minimal(eds.activation_patterns(DEEP), seed=seed).tolist() == [[False] * 6]
    mask = minimal(eds.activation_patterns(DEEP), np.any, seed=seed)
    assert mask.shape == (1, 6)
    assert mask.sum() == 1


# -- matrices -------------------------------------------------------------------------------------

shapes = st.tuples(st.integers(0, 6), st.integers(0, 6))


@given(shapes, st.data())
def test_matrices_have_the_rank_that_was_asked_for(shape, data):
    for rank in range(min(shape) + 1):
        A = data.draw(eds.matrices_of_rank(shape, rank))
        assert A.shape == shape
        assert oracles.rank(A.tolist()) == rank


@given(shapes, st.data())
def test_integers_give_integer_matrices(shape, data):
    rank = data.draw(st.integers(0, min(shape)))
    A = data.draw(eds.matrices_of_rank(shape, rank, elements=st.integers(-9, 9)))
    assert A.denominator == 1
    assert oracles.rank(A.tolist()) == rank


@pytest.mark.parametrize("entries", list(itertools.product([0, 1], repeat=4)))
def test_every_small_matrix_is_generated(entries):
    A = [list(map(Fraction, entries[:2])), list(map(Fraction, entries[2:]))]
    strategy = eds.matrices_of_rank((2, 2), oracles.rank(A), elements=st.sampled_from([0, 1, -1]))
    find_any(strategy, lambda found: found.tolist() == A)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("shape", "rank"), [((3, 4), 0), ((3, 4), 2), ((4, 4), 4), ((5, 2), 2)])
def test_matrices_shrink_to_an_identity_block(shape, rank, seed):
    A = minimal(eds.matrices_of_rank(shape, rank), seed=seed)
    for i, j in itertools.product(*map(range, shape)):
        assert A[i, j] == int(i == j < rank)
    assert minimal(eds.matrices_of_rank((3, 3), 1), lambda A: A[2, 2] != 0, seed=seed) == QMatrix([
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 1],
    ])


# -- torch and types ------------------------------------------------------------------------------


@given(eds.torch_modules(), st.data())
def test_modules_are_read_without_a_change(module, data):
    import torch

    net = ed.as_network(module)
    X = data.draw(eds.batches(net))
    dtype = module[0].weight.dtype
    assert dtype in {torch.float32, torch.float64}
    assert not module.training
    again = net.to_torch(dtype).state_dict()
    assert {k: v.tolist() for k, v in module.state_dict().items()} == {
        k: v.tolist() for k, v in again.items()
    }
    small = [[Fraction(int(8 * v), 8) for v in x] for x in X]
    out = module(torch.tensor([[float(v) for v in x] for x in small], dtype=dtype))
    assert QMatrix(out.detach()) == net(small)  # few bits: nothing is rounded


def test_modules_have_the_dtype_and_architecture_that_were_asked_for():
    import torch

    half = eds.torch_modules(dtype=torch.float16, widths=(2, 3, 1), bias=True)
    module = find_any(half, lambda module: any(module[0].weight.flatten().tolist()))
    assert module[0].weight.dtype == torch.float16
    assert ed.as_network(module).widths == (2, 3, 1)
    assert {m.weight.dtype for m in (minimal(eds.torch_modules())[0],)} == {torch.float64}
    find_any(eds.torch_modules(), lambda module: module[0].weight.dtype == torch.float32)


def test_modules_need_torch(monkeypatch):
    strategy = eds.torch_modules()
    monkeypatch.setitem(sys.modules, "torch", None)
    raises_when_used(strategy, errors.MissingDependency, r"exactdim\[torch\]")


@pytest.mark.parametrize("kind", [ReLUNetwork, QMatrix, Symmetry])
def test_types_are_registered(kind):
    assert_all_examples(st.from_type(kind), lambda x: isinstance(x, kind))


def test_registered_types_are_of_all_kinds():
    find_any(st.from_type(ReLUNetwork), DEGENERATE["parallel hyperplanes"])
    find_any(st.from_type(QMatrix), lambda A: 0 < A.rank() < min(A.shape))
    find_any(st.from_type(Symmetry), lambda s: len(s.orders) == 2 and not s.is_identity)

    @given(...)
    def annotated(net: ReLUNetwork, A: QMatrix):
        assert net.depth >= 1
        assert A.shape == A.T.shape[::-1]

    annotated()
