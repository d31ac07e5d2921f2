"""Path lifting (T8), against paths found one by one, sympy, and the engine that needs no paths."""

import itertools
import math
from fractions import Fraction

import oracles
import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import batches, fractions, networks, problems, small_integers

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.nets.paths import (
    Path,
    activation_operator,
    lifting_rank,
    n_paths,
    path_lifting,
)

nonzero = fractions.filter(bool)
kink_choices = st.sampled_from(["raise", "zero", "drop"])

GOLDEN = [  # widths, paths, parameters, rank of D phi
    ((1, 1, 1), 3, 4, 3),
    ((2, 2, 1), 7, 9, 7),
    ((2, 3, 2), 20, 17, 14),
    ((2, 2, 2, 1), 15, 15, 11),
    ((2, 3, 2, 2), 42, 23, 18),
]


def parameter_columns(net):
    """Names of the parameters, in their order: a weight by its two ends, a bias by its unit."""
    names = []
    for layer, (inputs, units) in enumerate(itertools.pairwise(net.widths)):
        names += [((layer - 1, i), (layer, k)) for k in range(units) for i in range(inputs)]
        if net.biases[layer] is not None:
            names += [(None, (layer, k)) for k in range(units)]
    return {name: column for column, name in enumerate(names)}


def walk(net):
    """All paths with the columns of their parameters, found by walking from unit to unit."""
    columns = parameter_columns(net)

    def onward(node, units, used):
        layer = node[0] + 1
        if layer == net.depth:
            yield tuple(units), used
            return
        for k in range(net.widths[layer + 1]):
            column = columns[node, (layer, k)]
            yield from onward((layer, k), [*units, (layer, k)], [*used, column])

    found = []
    for i in range(net.widths[0]):
        found += [(Path(i, units), used) for units, used in onward((-1, i), [], [])]
    for (tail, head), column in columns.items():
        if tail is None:
            ways = onward(head, [head], [column])
            found += [(Path(None, units), used) for units, used in ways]
    return found


def incidence(net):
    """The 0/1 matrix of the parameters on each path."""
    return [[int(c in used) for c in range(net.n_parameters)] for _, used in walk(net)]


def flat(outputs):
    """Outputs as one column, sample by sample."""
    rows, columns = outputs.shape
    return QMatrix.from_integers(outputs.numerators(), outputs.denominator, (rows * columns, 1))


def theta_of(net):
    return net.parameters().tolist()[0]


@st.composite
def sparse_networks(draw, **options):
    """Any network with about half of its parameters set to zero."""
    net = draw(networks(**options))
    keep = draw(st.lists(st.booleans(), min_size=net.n_parameters, max_size=net.n_parameters))
    theta = [x if k else 0 for x, k in zip(theta_of(net), keep, strict=True)]
    return net.with_parameters([theta])


@st.composite
def full_networks(draw, **options):
    """Any network without a zero among its parameters."""
    net = draw(networks(**options))
    return net.with_parameters([[x or draw(nonzero) for x in theta_of(net)]])


# -- the paths and their products --------------------------------------------------------------


@pytest.mark.parametrize(("widths", "count", "parameters", "rank"), GOLDEN)
def test_golden_t8(widths, count, parameters, rank):
    net = ed.ReLUNetwork.random(widths, seed=1)
    lifting = path_lifting(net)
    assert n_paths(widths) == n_paths(net) == len(lifting.paths) == count
    assert lifting.jacobian().shape == (count, parameters)
    assert lifting.jacobian().rank() == lifting_rank(net) == rank
    assert rank == parameters - net.n_hidden


def test_golden_by_hand():
    """The network of GE1, with its Jacobian there."""
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    lifting = path_lifting(net)
    assert lifting.paths == (
        Path(0, ((0, 0), (1, 0))),
        Path(None, ((0, 0), (1, 0))),
        Path(None, ((1, 0),)),
    )
    assert lifting.values == QMatrix([[6], [-3], [5]])
    assert lifting.jacobian() == QMatrix([[3, 0, 2, 0], [0, 3, -1, 0], [0, 0, 0, 1]])
    alpha = activation_operator(net, [[0], [1], [2]])
    assert alpha == QMatrix([[0, 0, 1], [1, 1, 1], [2, 1, 1]])
    assert alpha @ lifting.jacobian() == QMatrix([[0, 0, 0, 1], [3, 3, 1, 1], [6, 3, 3, 1]])


@given(networks())
def test_every_path_is_found_once_with_its_product(net):
    lifting, theta, walked = path_lifting(net), theta_of(net), walk(net)
    assert len(walked) == n_paths(net)
    products = {path: math.prod(theta[c] for c in used) for path, used in walked}
    assert (
        dict(zip(lifting.paths, (v for (v,) in lifting.values.tolist()), strict=True)) == products
    )


@given(networks())
def test_the_order_is_inputs_first_then_biases_from_the_first_layer_on(net):
    def key(path):
        return path.input is None, path.units[0][0], path.input, path.units

    found = path_lifting(net).paths
    assert len(set(found)) == len(found)
    assert list(found) == sorted(found, key=key)


@pytest.mark.parametrize("widths", [(3, 2), (2, 3, 2), (1, 2, 2, 3), (1, 1, 1, 1, 1)])
def test_paths_are_counted_for_every_choice_of_biases(widths):
    for flags in itertools.product([True, False], repeat=len(widths) - 1):
        net = ed.ReLUNetwork.random(widths, seed=0, bias=flags)
        assert n_paths(widths, bias=flags) == n_paths(net) == len(walk(net))
        assert [path for path, _ in walk(net)] == list(path_lifting(net).paths)
    assert n_paths(widths, bias=True) == n_paths(widths) > n_paths(widths, bias=False)


def test_a_network_without_hidden_layer_is_its_own_lifting():
    net = ed.ReLUNetwork([[[2, 3], [5, 7], [11, 13]]], [[17, 19, 23]])
    lifting = path_lifting(net)
    assert [v for (v,) in lifting.values.tolist()] == [2, 5, 11, 3, 7, 13, 17, 19, 23]
    assert lifting.paths[3] == Path(1, ((0, 0),))
    assert lifting.paths[-1] == Path(None, ((0, 2),))
    rows = lifting.jacobian().tolist()
    assert sorted(rows) == sorted(QMatrix.identity(9).tolist())
    assert lifting_rank(net) == lifting_rank(net.with_parameters([[0] * 9])) == 9
    assert activation_operator(net, [["1/2", 4]])[[2]].tolist() == [[0, 0, 0.5, 0, 0, 4, 0, 0, 1]]


# -- f = alpha phi and J = alpha D phi ---------------------------------------------------------


def check_the_factorisation(net, X, on_kink):
    """f = alpha phi, J = alpha D phi; outputs by an oracle, the Jacobian by two engines."""
    layers = oracles.layers_of(net)
    kinked = [oracles.kinked(layers, x) for x in X]
    if on_kink == "raise" and any(kinked):
        with pytest.raises(errors.OnKink):
            activation_operator(net, X)
        return
    if on_kink == "drop" and all(kinked):
        with pytest.raises(errors.InvalidInput, match="leaves none"):
            activation_operator(net, X, on_kink="drop")
        return
    kept = [x for x, bad in zip(X, kinked, strict=True) if not (bad and on_kink == "drop")]
    alpha, lifting = activation_operator(net, X, on_kink=on_kink), path_lifting(net)
    assert alpha.shape == (len(kept) * net.widths[-1], n_paths(net))
    outputs = [v for x in kept for v in oracles.forward(layers, x)[0]]
    assert (alpha @ lifting.values).tolist() == [[v] for v in outputs]
    jacobian = alpha @ lifting.jacobian()
    assert jacobian == ed.jacobian(net, X, on_kink=on_kink)
    assert jacobian.tolist() == oracles.jacobian(layers, kept)


@given(problems(), kink_choices)
def test_outputs_and_jacobian_are_the_operator_times_the_lifting(problem, on_kink):
    check_the_factorisation(*problem, on_kink)


@given(problems(min_depth=2), kink_choices, st.data())
def test_the_same_with_a_kink_at_a_sample(problem, on_kink, data):
    """The bias of a unit of the first layer is moved so that a sample lies on its kink."""
    net, X = problem
    bias = net.biases[0]
    assume(bias is not None)
    unit = data.draw(st.integers(0, net.widths[1] - 1))
    w, kinked = net.weights[0].tolist()[unit], data.draw(st.sampled_from(X))
    row = bias.tolist()[0]
    row[unit] = -sum(a * x for a, x in zip(w, kinked, strict=True))
    net = ed.ReLUNetwork(net.weights, [row, *net.biases[1:]])
    assert oracles.kinked(oracles.layers_of(net), kinked)
    check_the_factorisation(net, X, on_kink)


def test_kinks_by_hand():
    """relu(x) at X = (0, 1, 2), and at a batch with a kink in the middle."""
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [5]])
    with pytest.raises(errors.OnKink):
        activation_operator(net, [[0], [1], [2]])
    alpha = activation_operator(net, [[0], [1], [2]], on_kink="zero")
    assert alpha == QMatrix([[0, 0, 1], [1, 1, 1], [2, 1, 1]])
    alpha = activation_operator(net, [[3], [0], [1], [0], [-1]], on_kink="drop")
    assert alpha == QMatrix([[3, 1, 1], [1, 1, 1], [0, 0, 1]])


@given(problems())
def test_the_operator_entry_by_entry(problem):
    """The input where the path starts, if all of its hidden units are on and it ends there."""
    net, X = problem
    layers, rows = oracles.layers_of(net), []
    for x in X:
        hidden = oracles.forward(layers, x)[1]
        for j in range(net.widths[-1]):
            row = []
            for path, _ in walk(net):
                on = all(hidden[layer][k] > 0 for layer, k in path.units[:-1])
                start = 1 if path.input is None else x[path.input]
                row.append(start if on and path.units[-1][1] == j else 0)
            rows.append(row)
    assert activation_operator(net, X, on_kink="zero") == QMatrix(rows)


@given(problems())
def test_the_jacobian_has_at_most_the_rank_of_each_factor(problem):
    net, X = problem
    rank = ed.jacobian(net, X, on_kink="zero").rank()
    assert rank <= activation_operator(net, X, on_kink="zero").rank()
    assert rank <= lifting_rank(net) <= net.n_parameters - net.n_hidden


@given(problems(), st.data())
def test_the_operator_is_constant_on_a_region(problem, data):
    """T8: nearby parameters have the same alpha, so it gives their outputs and Jacobian too."""
    net, X = problem
    X = [x for x in X if not oracles.kinked(oracles.layers_of(net), x)]
    assume(X)
    size = net.n_parameters
    direction = QMatrix([data.draw(st.lists(small_integers, min_size=size, max_size=size))])
    pattern, step = ed.activation_pattern(net, X), Fraction(1)
    while True:
        near = net.with_parameters(net.parameters() + step * direction)
        if ed.activation_pattern(near, X, on_kink="zero") == pattern:
            break
        step /= 8
    alpha = activation_operator(net, X)
    assert activation_operator(near, X, on_kink="zero") == alpha
    assert alpha @ path_lifting(near).values == flat(near(X))
    change = path_lifting(near).values - path_lifting(net).values
    assert alpha @ change == flat(near(X)) - flat(net(X))


def test_the_operator_changes_where_the_pattern_does():
    net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    other = ed.ReLUNetwork([[[2]], [[3]]], [[-3], [5]])
    assert activation_operator(net, [[1]]) != activation_operator(other, [[1]])


# -- symmetries --------------------------------------------------------------------------------


@given(networks(min_depth=2), st.data(), nonzero)
def test_rescaling_leaves_the_lifting_alone(net, data, factor):
    layer = data.draw(st.integers(0, net.depth - 2))
    unit = data.draw(st.integers(0, net.widths[layer + 1] - 1))
    scaled = ed.rescale(net, layer, unit, abs(factor))
    assert path_lifting(scaled).values == path_lifting(net).values
    assert lifting_rank(scaled) == lifting_rank(net)


@given(networks(min_depth=2), st.data())
def test_a_permutation_of_units_permutes_the_paths(net, data):
    """The path through new unit k of the layer is the old one through order[k]."""
    layer = data.draw(st.integers(0, net.depth - 2))
    order = data.draw(st.permutations(range(net.widths[layer + 1])))

    def old(path):
        return Path(path.input, tuple((m, order[k] if m == layer else k) for m, k in path.units))

    before, after = path_lifting(net), path_lifting(ed.permute(net, layer, order))
    place = {path: row for row, path in enumerate(before.paths)}
    rows = [place[old(path)] for path in after.paths]
    assert sorted(rows) == list(range(len(rows)))
    assert after.values == before.values[rows]


@given(networks())
def test_gauge_vectors_are_in_the_kernel_of_the_derivative(net):
    """T7 one level up: J t = 0 because D phi t = 0."""
    assert (path_lifting(net).jacobian() @ ed.gauge_vectors(net).T).is_zero()


@given(full_networks())
def test_without_zeros_the_kernel_is_spanned_by_the_gauge_vectors(net):
    """T8: rank D phi = rank of the incidence matrix = P - H."""
    D = path_lifting(net).jacobian()
    assert oracles.rank(incidence(net)) == D.rank() == lifting_rank(net)
    assert D.rank() == net.n_parameters - net.n_hidden
    gauge = ed.gauge_vectors(net)
    assert gauge.rank() == net.n_hidden == QMatrix.vstack([gauge, D.kernel()]).rank()


# -- the derivative ----------------------------------------------------------------------------


@given(networks(), nonzero)
def test_the_derivative_is_the_difference_quotient(net, step):
    """T3: phi is affine in each single parameter, so any step gives the derivative exactly."""
    lifting = path_lifting(net)
    quotients = []
    for c in range(net.n_parameters):
        unit = QMatrix([[step if c == k else 0 for k in range(net.n_parameters)]])
        moved = path_lifting(net.with_parameters(net.parameters() + unit))
        quotients.append((moved.values - lifting.values) * (1 / step))
    assert lifting.jacobian() == QMatrix.hstack(quotients)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize(
    ("widths", "bias"),
    [((2, 2), [True]), ((2, 2, 1), [True, False]), ((1, 2, 2), True), ((2, 2, 2, 1), True)],
)
def test_sympy_expands_the_polynomial_into_the_same_products(widths, bias, zeros):
    """With all units on, the monomials of the outputs are the paths; sympy differentiates them."""
    net = ed.ReLUNetwork.random(widths, seed=5, bias=bias, bits=3)
    theta = theta_of(net)
    if zeros:
        theta = [0 if c % 3 == 0 else v for c, v in enumerate(theta)]
        net = net.with_parameters([theta])
    symbols = sympy.symbols(f"t0:{net.n_parameters}")
    rest = iter(symbols)
    h = sympy.ones(widths[0], 1)  # monomials are told apart by their parameters alone
    for (inputs, units), has_bias in zip(itertools.pairwise(widths), net.has_bias, strict=True):
        W = sympy.Matrix(units, inputs, [next(rest) for _ in range(units * inputs)])
        b = sympy.Matrix(units, 1, [next(rest) if has_bias else 0 for _ in range(units)])
        h = (W * h + b).expand()
    values = [sympy.Rational(str(Fraction(v))) for v in theta]
    at = dict(zip(symbols, values, strict=True))
    expected = []
    for output in h:
        for monomial in sympy.Add.make_args(output):
            row = [monomial, *(sympy.diff(monomial, s) for s in symbols)]
            expected.append([Fraction(str(sympy.sympify(e).subs(at))) for e in row])
    lifting = path_lifting(net)
    assert len(expected) == n_paths(net)
    assert sorted(expected) == sorted(QMatrix.hstack([lifting.values, lifting.jacobian()]).tolist())


# -- the rank with zeros -----------------------------------------------------------------------


@given(st.one_of(networks(), sparse_networks()))
def test_the_rank_is_counted_right_with_zeros_too(net):
    D = path_lifting(net).jacobian()
    assert lifting_rank(net) == D.rank() == oracles.rank(D.tolist())


@pytest.mark.parametrize(
    ("widths", "bias"),
    [
        ((1, 1, 1), True),
        ((1, 2, 1), True),
        ((2, 2, 1), [False, True]),
        ((1, 2, 2, 1), False),
        ((1, 1, 1, 1), True),
    ],
)
def test_the_rank_for_every_set_of_zeros(widths, bias):
    """Exhaustive: all 2^P supports of small architectures, by elimination with Fractions."""
    net = ed.ReLUNetwork.random(widths, seed=3, bias=bias)
    supports = list(itertools.product([0, 1], repeat=net.n_parameters))
    ranks = set()
    for support in supports:
        theta = [x * s for x, s in zip(theta_of(net), support, strict=True)]
        sparse = net.with_parameters([theta])
        rank = lifting_rank(sparse)
        assert rank == oracles.fraction_rank(path_lifting(sparse).jacobian().tolist())
        ranks.add(rank)
    assert max(ranks) == net.n_parameters - net.n_hidden
    assert min(ranks) == (net.widths[-1] if net.has_bias[-1] else 0)


@given(st.data())
def test_the_rank_bounds_the_jacobian_of_a_sparse_network(data):
    net = data.draw(sparse_networks(min_depth=2))
    X = data.draw(batches(net))
    assert ed.jacobian(net, X, on_kink="zero").rank() <= lifting_rank(net)


def test_the_rank_is_counted_without_paths():
    net = ed.ReLUNetwork.random((8, *[16] * 20, 4), seed=0)
    assert n_paths(net) > 10**24
    assert lifting_rank(net) == net.n_parameters - net.n_hidden
    zero = net.with_parameters([[0] * net.n_parameters])
    assert lifting_rank(zero) == 4  # the output biases


# -- refusals ----------------------------------------------------------------------------------


def test_too_many_paths_are_refused_before_they_are_enumerated():
    net = ed.ReLUNetwork.random((3, *[20] * 12, 2), seed=0)
    count = 2 * (3 * 20**12 + sum(20**k for k in range(13)))
    for call in (lambda: path_lifting(net), lambda: activation_operator(net, [[1, 2, 3]])):
        with pytest.raises(errors.TooLarge, match=f"has {count} paths .*raise max_paths") as caught:
            call()
        assert "lifting_rank" in str(caught.value)


def test_the_budget_is_the_number_of_paths():
    net, X = ed.ReLUNetwork.random((2, 3, 2), seed=0), [[1, 2]]
    assert len(path_lifting(net, max_paths=20).paths) == 20
    assert activation_operator(net, X, max_paths=20).shape == (2, 20)
    with pytest.raises(errors.TooLarge, match="20 paths and max_paths is 19"):
        path_lifting(net, max_paths=19)
    with pytest.raises(errors.TooLarge, match="20 paths and max_paths is 19"):
        activation_operator(net, X, max_paths=19)


def test_large_matrices_are_refused():
    net = ed.ReLUNetwork.random((200, 200, 2), seed=0)
    assert n_paths(net) == 80402
    with pytest.raises(errors.TooLarge, match="D phi has 80402 x 40602 entries"):
        path_lifting(net).jacobian()
    X = [[0] * 200] * 300
    with pytest.raises(errors.TooLarge, match="activation operator has 600 x 80402 entries"):
        activation_operator(net, X)


def test_bad_arguments():
    net = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    with pytest.raises(errors.InvalidInput, match="bias is for widths"):
        n_paths(net, bias=False)
    with pytest.raises(errors.InvalidInput, match="1 bias flags against 2 layers"):
        n_paths((2, 3, 1), bias=[True])
    for widths in [(), (3,), (2, 0, 1), [2, -1]]:
        with pytest.raises(errors.InvalidInput, match="two or more, all >= 1"):
            n_paths(widths)
    with pytest.raises(errors.ShapeMismatch, match="takes 2 inputs"):
        activation_operator(net, [[1, 2, 3]])
    with pytest.raises(errors.InvalidInput, match="on_kink='maybe'"):
        activation_operator(net, [[1, 2]], on_kink="maybe")


def test_networks_may_come_as_layers():
    layers = [([[2]], [-1]), ([[3]], None)]
    assert n_paths(layers) == 2
    assert path_lifting(layers).values == QMatrix([[6], [-3]])
    assert lifting_rank(layers) == 2
    assert activation_operator(layers, [[1]]) == QMatrix([[1, 1]])
