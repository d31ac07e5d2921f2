"""The assertions: what they let pass, what they refuse, whether the reasons they give hold."""

import itertools
import re
from fractions import Fraction

import numpy as np
import oracles
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import fractions, matrices, networks, problems

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.testing.assertions import (
    assert_dimension,
    assert_invariant,
    assert_jacobian_equal,
    assert_rank_equal,
    assert_same_function,
    parameter_name,
)

GE1 = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
THIRDS = ed.ReLUNetwork([[["1/3", "2/7"]], [["5/11"]]], [["1/13"], ["1/17"]])
HALF = Fraction(1, 2)


def refusal(assertion, *args, **options) -> str:
    """The message of the failure that the assertion must raise."""
    with pytest.raises(AssertionError) as caught:
        assertion(*args, **options)
    assert type(caught.value) is AssertionError
    return str(caught.value)


def numbers(text: str) -> list[int]:
    """Read "0-2, 5" as [0, 1, 2, 5]."""
    ends = [[int(end) for end in run.split("-")] for run in text.split(", ")]
    return [k for end in ends for k in range(end[0], end[-1] + 1)]


# -- ranks -----------------------------------------------------------------------------------------


def combination(text: str, what: str) -> dict[int, Fraction]:
    """Read "2/3 * row 0 - row 4" as {0: 2/3, 4: -1}."""
    terms = re.findall(rf"(^|[+-] )(-?)(?:(\d+(?:/\d+)?) \* )?{what} (\d+)", text)
    assert len(terms) == text.count(what)
    return {
        int(place): (-1 if (sign == "- ") != (minus == "-") else 1) * Fraction(size or 1)
        for sign, minus, size, place in terms
    }


def check_reason(table, claimed: int, rank: int, why: str) -> None:
    """Re-check the reason with Fractions and sympy."""
    if claimed < 0:
        assert "negative" in why
        return
    if claimed < rank:
        rows, columns, value = re.fullmatch(
            r"the minor of rows (.*) and columns (.*) is (.*), not zero", why
        ).groups()
        rows, columns = numbers(rows), numbers(columns)
        assert len(rows) == len(columns) == claimed + 1
        part = sympy.Matrix([[sympy.Rational(table[i][j]) for j in columns] for i in rows])
        assert part.det() == sympy.Rational(value) != 0
        return
    if rank == min(len(table), len(table[0])):
        assert "no larger rank" in why
        return
    what = "row" if len(table) <= len(table[0]) else "column"
    lines = table if what == "row" else [list(line) for line in zip(*table, strict=True)]
    relation = why.split(";")[0]
    place = int(re.match(rf"{what} (\d+) ", relation)[1])
    if relation.endswith("is zero"):
        assert not any(lines[place])
        return
    terms = combination(relation.split(" = ")[1], what)
    assert place not in terms
    for j, entry in enumerate(lines[place]):
        assert entry == sum(c * lines[i][j] for i, c in terms.items())


@given(matrices())
def test_the_rank_and_no_other_number_is_accepted_and_the_reasons_are_true(table):
    rank = oracles.rank(table)
    assert_rank_equal(rank, table)
    for claimed in range(-1, max(len(table), len(table[0])) + 2):
        if claimed == rank:
            continue
        message = refusal(assert_rank_equal, claimed, table)
        assert f"actual: {claimed}\n exact:  {rank}\n" in message
        assert f"shape:  {len(table), len(table[0])}" in message
        check_reason(table, claimed, rank, message.split("why:    ")[1])


def test_what_is_left_over_is_counted():
    table = [[1, 2, 3, 4], [2, 4, 6, 8], [3, 6, 9, 12], [1, 1, 1, 1]]
    assert "row 1 = 2 * row 0; likewise the other one beside rows 0, 3" in refusal(
        assert_rank_equal, 3, table
    )
    assert "row 0 is zero; so the 2 others" in refusal(assert_rank_equal, 1, [[0, 0, 0]] * 3)
    wide = [row[:2] for row in table]  # shape (4, 2), rank 2
    assert "no larger rank" in refusal(assert_rank_equal, 4, wide)


def test_columns_are_named_where_there_are_fewer_of_them():
    table = [[1, 5, -1], [2, 1, 7], [3, 0, 12], [4, 4, 12]]  # column 2 = 4 * column 0 - column 1
    assert oracles.rank(table) == 2
    why = refusal(assert_rank_equal, 3, table).split("why:    ")[1]
    assert why == "column 2 = 4 * column 0 - 1 * column 1"
    check_reason(table, 3, 2, why)


def test_all_that_rank_code_returns_and_reads():
    table = [[1, 2], [2, 4]]
    for one in (1, np.int64(1), np.uint8(1), np.array(1), torch.tensor(1)):
        assert_rank_equal(one, table)
    for A in (np.array(table), np.array(table, np.float32), torch.tensor(table), QMatrix(table)):
        assert_rank_equal(1, A)
        assert "exact:  1" in refusal(assert_rank_equal, 2, A)
    assert_rank_equal(0, np.zeros((0, 3)))
    assert "no larger rank" in refusal(assert_rank_equal, 1, np.zeros((0, 3)))


def test_a_float_is_the_dyadic_number_that_it_spells():
    """Numpy says 1; exactly, 1 - 10 * 0.1 is not zero."""
    A = np.array([[1, 0.1], [10, 1]])
    assert_rank_equal(2, A)
    assert "-1/18014398509481984, not zero" in refusal(
        assert_rank_equal, np.linalg.matrix_rank(A), A
    )


@pytest.mark.parametrize("answer", [2.0, "2", None, np.nan, [2], np.array([2, 2])])
def test_what_is_no_integer_is_no_rank(answer):
    assert f"of type {type(answer).__name__}" in refusal(
        assert_rank_equal, answer, [[1, 0], [0, 1]]
    )


@pytest.mark.parametrize("answer", [True, np.True_, np.array(True), torch.tensor(True)])
def test_a_truth_value_is_no_rank(answer):
    """A test for rank one that is taken for a rank."""
    assert f"of type {type(answer).__name__}" in refusal(assert_rank_equal, answer, [[1]])


def test_large_reasons_are_given_in_short_and_hold():
    """Order 40: the minor is nonzero modulo the prime that is named; the relation has 40 terms."""
    n = 40
    A = QMatrix([[(i * i + 3 * j) % 7 + (i == j) * 9 for j in range(n)] for i in range(n)])
    assert oracles.rank(A.tolist()) == n
    why = refusal(assert_rank_equal, n - 1, A)
    assert "rows 0-39 and columns 0-39 is not zero, not even modulo" in why
    p = int(why.rsplit(" ", 1)[1])
    det = sympy.polys.matrices.DomainMatrix.from_Matrix(sympy.Matrix(A.tolist())).det()
    assert int(det) % p != 0
    last = QMatrix([[1] * n]) @ A
    assert "row 40 is a combination of rows 0-39" in refusal(
        assert_rank_equal,
        n + 1,
        QMatrix.hstack([QMatrix.vstack([A, last]), QMatrix.zeros(n + 1, 1)]),
    )


def test_numbers_too_long_to_read_are_not_spelled():
    why = refusal(assert_rank_equal, 0, [[2**5000]])
    assert "a rational number of 5001 bits, not zero" in why
    long = [[2**400 + k for k in range(3)], [3**200 + k for k in range(3)]]
    tail = [x * Fraction(5**400, 7**400) - y for x, y in zip(*long, strict=True)]
    assert "row 2 is a combination of rows 0-1" in refusal(assert_rank_equal, 3, [*long, tail])


def test_matrices_that_cannot_be_read():
    with pytest.raises(errors.ShapeMismatch, match="ragged"):
        assert_rank_equal(1, [[1, 2], [3]])
    with pytest.raises(errors.NotFinite, match=r"\[0, 1\]"):
        assert_rank_equal(1, [[1.0, float("nan")]])


# -- dimensions ------------------------------------------------------------------------------------


@given(problems(max_depth=2, max_width=3), st.sampled_from(["logits", "softmax"]))
def test_the_dimension_and_no_other_number_is_accepted(problem, head):
    net, X = problem
    table = oracles.jacobian(oracles.layers_of(net), X, softmax=head == "softmax")
    rank = oracles.rank(table)
    options = {"head": head, "proof": "full", "on_kink": "zero"}
    assert_dimension(net, X, rank, **options)
    for claimed in (rank - 1, rank + 1):
        message = refusal(assert_dimension, net, X, claimed, **options)
        assert f"expected: {claimed}\n exact:    {rank} of {net.n_parameters}" in message


def test_goldens_of_the_dimension():
    X = [[0], [1], [2]]
    assert_dimension(GE1, X, 3)
    assert_dimension(GE1, X, np.int64(3))
    assert_dimension(GE1, X, ed.local_dimension(GE1, [*X, [3]]))
    softmax = ed.ReLUNetwork([[[1]], [[1], [1]]])  # bias-free (1,1,2), T28: 1 = P - H - N_1
    assert_dimension(softmax, [[1]], 1, head="softmax")


def test_an_open_bracket_is_a_failure_unless_it_excludes_the_number():
    """Relations between units of different layers, which no structural bound here sees."""
    net = ed.ReLUNetwork.random((3, 5, 4, 2), seed=7)
    X = np.round(np.random.default_rng(7).standard_normal((30, 3)) * 8) / 8
    found = ed.local_dimension(net, X, proof="fast")
    assert found.lower < found.upper
    for claimed in (found.lower, found.upper):
        message = refusal(assert_dimension, net, X, claimed, proof="fast")
        assert "not decided" in message
        assert f"{found.lower}..{found.upper} of" in message
    for claimed in (found.lower - 1, found.upper + 1):
        assert "another number" in refusal(assert_dimension, net, X, claimed, proof="fast")
    rank = oracles.rank(oracles.jacobian(oracles.layers_of(net), QMatrix(X).tolist()))
    assert_dimension(net, X, rank)
    assert_dimension(net, X, rank, proof="full")


def test_arguments_of_assert_dimension():
    with pytest.raises(errors.InvalidInput, match=r"expected=2\.5 is no integer"):
        assert_dimension(GE1, [[0]], 2.5)
    with pytest.raises(errors.OnKink):
        assert_dimension(GE1, [["1/2"]], 1)
    assert_dimension(GE1, [["1/2"]], 1, on_kink="zero")


# -- invariants ------------------------------------------------------------------------------------


def test_what_is_invariant_and_what_is_not():
    """T6: the rank is, a numeric rank is not, and the message has the network that shows it."""
    net, X = ed.ReLUNetwork([[[0]], [[1]]], [[1], [0]]), [["1/2"], ["3/2"]]
    assert_invariant("local_dimension", net, X)
    assert_invariant(lambda net, X: ed.jacobian(net, X).rank(), net, X, under="rescalings")

    def float32_rank(net, X):
        return int(np.linalg.matrix_rank(ed.jacobian(net, X).to_numpy(np.float32)))

    message = refusal(assert_invariant, float32_rank, net, X, under="rescalings")
    assert "float32_rank is not invariant under rescalings: 1 instead of 2 after" in message
    assert "net = ReLUNetwork([[['0']], [['1']]], [['1'], ['0']])" in message
    assert_invariant(float32_rank, net, X, under="permutations")


def test_options_of_assert_invariant():
    def parameters(net, X):
        return net.parameters()

    with pytest.raises(errors.InvalidInput, match="examples=0"):
        assert_invariant(parameters, GE1, [[1]], examples=0)
    refusal(assert_invariant, parameters, GE1, [[1]])
    assert_invariant(parameters, GE1, [[1]], transform=lambda move, _: move(GE1).parameters())
    messages = {refusal(assert_invariant, parameters, GE1, [[1]], seed=s) for s in (0, 0, 0)}
    assert len(messages) == 1
    with pytest.raises(errors.InvalidInput, match="under='nothing'"):
        assert_invariant(parameters, GE1, [[1]], under="nothing")


# -- functions -------------------------------------------------------------------------------------


def read(message: str, name: str) -> list[Fraction]:
    return [
        Fraction(x) for x in re.findall(r"'([^']*)'", re.search(rf"{name} += (.*)", message)[1])
    ]


@given(networks(min_depth=2, max_depth=2, max_width=3), st.data())
def test_same_function_and_a_counterexample_that_holds(net, data):
    layer, unit = 0, data.draw(st.integers(0, net.widths[1] - 1))
    assert_same_function(net, ed.rescale(net, layer, unit, Fraction(2, 3)))
    weights, biases = list(net.weights), list(net.biases)
    old = QMatrix.zeros(1, net.widths[-1]) if biases[-1] is None else biases[-1]
    biases[-1] = old + QMatrix([[0] * (net.widths[-1] - 1) + [Fraction(1, 7)]])
    other = ed.ReLUNetwork(weights, biases)
    message = refusal(assert_same_function, net, other)
    x = read(message, "x")
    for name, function in (("a", net), ("b", other)):
        assert read(message, rf"{name}\(x\)") == oracles.forward(oracles.layers_of(function), x)[0]
    assert read(message, r"a\(x\)") != read(message, r"b\(x\)")


def test_equal_on_a_part_of_the_inputs():
    relu, identity = ed.ReLUNetwork([[[1]], [[1]]]), ed.ReLUNetwork([[[1]]])
    assert_same_function(relu, identity, (0, 1))
    assert read(refusal(assert_same_function, relu, identity, (-1, 1)), "x")[0] < 0
    assert "on Domain(all of R^1)" in refusal(assert_same_function, relu, identity)


def test_a_counterexample_on_a_slice_is_an_input():
    first, second = ed.ReLUNetwork([[[1, 0]]]), ed.ReLUNetwork([[[0, 1]]])
    assert_same_function(first, second, ed.Domain.segment([0, 0], [1, 1]))
    message = refusal(assert_same_function, first, second, ed.Domain.segment([1, 0], [2, 1]))
    x = read(message, "x")
    assert x[0] - x[1] == 1
    assert (read(message, r"a\(x\)"), read(message, r"b\(x\)")) == ([x[0]], [x[1]])


def test_networks_that_cannot_be_compared():
    with pytest.raises(errors.ShapeMismatch, match="inputs"):
        assert_same_function(GE1, THIRDS)


# -- Jacobians -------------------------------------------------------------------------------------


@given(problems(), st.sampled_from(["logits", "softmax"]), st.data())
def test_the_jacobian_and_no_other_matrix_is_accepted(problem, head, data):
    net, X = problem
    exact = oracles.jacobian(oracles.layers_of(net), X, softmax=head == "softmax")
    options = {"head": head, "on_kink": "zero"}
    if not exact:  # softmax of one output
        assert_jacobian_equal(QMatrix.zeros(0, net.n_parameters), net, X, **options)
        return
    assert_jacobian_equal(exact, net, X, **options)
    i = data.draw(st.integers(0, len(exact) - 1))
    j = data.draw(st.integers(0, net.n_parameters - 1))
    off = data.draw(fractions.filter(bool))
    wrong = [list(row) for row in exact]
    wrong[i][j] += off
    d = len(exact) // len(X)
    message = refusal(assert_jacobian_equal, wrong, net, X, **options)
    assert f"1 of {len(exact) * net.n_parameters} entries" in message
    assert f"[{i}, {j}] (sample {i // d}, output {i % d}; {parameter_name(net, j)})" in message
    assert f"actual {wrong[i][j]}, exact {exact[i][j]}" in message
    assert "worst" not in message
    assert_jacobian_equal(wrong, net, X, atol=abs(off), **options)
    refusal(assert_jacobian_equal, wrong, net, X, atol=abs(off) * Fraction(999, 1000), **options)
    if exact[i][j]:
        bound = abs(off / exact[i][j])
        assert_jacobian_equal(wrong, net, X, rtol=bound, **options)
        refusal(assert_jacobian_equal, wrong, net, X, rtol=bound * Fraction(999, 1000), **options)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_float_array_must_be_rounded_to_the_nearest(kind):
    """By default: the number of the format that is nearest, neither of its neighbours."""
    X = [["4/3", "7/5"], [3, "22/7"]]
    exact = oracles.jacobian(oracles.layers_of(THIRDS), [[Fraction(v) for v in x] for x in X])
    rounded = np.array([[nearest(v, kind) for v in row] for row in exact], kind)
    assert_jacobian_equal(rounded, THIRDS, X)
    for i, j in np.ndindex(*rounded.shape):
        if rounded[i, j] == exact[i][j]:
            continue
        for end in (-np.inf, np.inf):
            wrong = rounded.copy()
            wrong[i, j] = np.nextafter(wrong[i, j], kind(end))
            assert f"[{i}, {j}]" in refusal(assert_jacobian_equal, wrong, THIRDS, X)
            assert_jacobian_equal(wrong, THIRDS, X, rtol=2 * np.finfo(kind).eps)


def nearest(value: Fraction, kind) -> float:
    """The nearest number of a format, by looking at all three candidates."""
    at = kind(float(value))
    candidates = [np.nextafter(at, kind(-np.inf)), at, np.nextafter(at, kind(np.inf))]
    return min(candidates, key=lambda x: abs(Fraction(float(x)) - value))


def test_rounding_twice_is_not_rounding():
    """1 + 2^-24 + 2^-60 is nearer to 1 + 2^-23, but through float64 it ties and becomes 1."""
    x = 1 + Fraction(1, 2**24) + Fraction(1, 2**60)
    affine = ed.ReLUNetwork([[[1]]])
    assert np.float32(float(x)) == 1
    assert_jacobian_equal(np.array([[1 + 2.0**-23]], np.float32), affine, [[x]])
    refusal(assert_jacobian_equal, np.array([[1]], np.float32), affine, [[x]])
    tie = [[1 + Fraction(1, 2**24)]]  # in a tie both neighbours are nearest
    for entry in (1, 1 + 2.0**-23):
        assert_jacobian_equal(np.array([[entry]], np.float32), affine, tie)
    refusal(assert_jacobian_equal, np.array([[1 - 2.0**-24]], np.float32), affine, tie)


def test_only_floats_are_forgiven_their_rounding():
    affine = ed.ReLUNetwork([[[1]]])
    third = [["1/3"]]
    assert_jacobian_equal([[1 / 3]], affine, third)
    assert_jacobian_equal(np.array([[1 / 3]]), affine, third)
    for exact_kind in (QMatrix([[1 / 3]]), [[Fraction(1 / 3)]], np.array([[1 / 3]], object)):
        refusal(assert_jacobian_equal, exact_kind, affine, third)
    small = Fraction(1, 10**30)  # a tolerance that is given is the only one
    for tolerance in ({"rtol": small}, {"atol": small}):
        refusal(assert_jacobian_equal, [[1 / 3]], affine, third, **tolerance)
    bfloat = torch.tensor([[1 / 3]], dtype=torch.bfloat16)
    refusal(assert_jacobian_equal, bfloat, affine, third)  # not a format we round to: say how far
    assert_jacobian_equal(bfloat, affine, third, rtol=2**-8)


def test_torch_tensors():
    net = ed.ReLUNetwork.random((2, 3, 2), seed=1, bits=3)
    X = [[1.0, 0.5], [-0.25, 2.0]]
    J = ed.jacobian(net, X).to_numpy(np.float64)
    for dtype in (torch.float32, torch.float64):
        assert_jacobian_equal(torch.tensor(J, dtype=dtype, requires_grad=True), net, X)
    rounded = torch.tensor([[0.1, 1.0]], dtype=torch.float32, requires_grad=True)
    affine = ed.ReLUNetwork([[[1]]], [[0]])
    assert_jacobian_equal(rounded, affine, [["1/10"]])
    refusal(assert_jacobian_equal, rounded.double(), affine, [["1/10"]])  # not nearest there


def test_input_jacobians():
    net = ed.ReLUNetwork.random((2, 3, 2), seed=1)
    X = [[1, 2], ["1/2", 3], [-1, 5]]
    exact = ed.jacobian(net, X, wrt="input")
    assert_jacobian_equal(exact, net, X, wrt="input")
    table = np.array([J.to_numpy(np.float64) for J in exact])
    assert_jacobian_equal(table, net, X, wrt="input")
    assert_jacobian_equal(list(torch.tensor(table)), net, X, wrt="input")
    table[2, 1, 0] += 1
    message = refusal(assert_jacobian_equal, table, net, X, wrt="input")
    assert "1 of 12 entries" in message
    assert "[2, 1, 0] (sample 2, output 1; input 0)" in message
    assert "2 input Jacobians were returned for 3 samples" in refusal(
        assert_jacobian_equal, exact[:2], net, X, wrt="input"
    )
    assert "is a int, not an array" in refusal(assert_jacobian_equal, 7, net, X, wrt="input")
    with pytest.raises(errors.InvalidInput, match="wrt"):
        assert_jacobian_equal(table, net, X, wrt="inputs")


def test_first_and_worst():
    wrong = [[3, 3, 2, 1], [6, 3, 3, 9]]
    message = refusal(assert_jacobian_equal, wrong, GE1, [[1], [2]])
    assert "2 of 8 entries" in message
    assert "first: [0, 2] (sample 0, output 0; weights[1][0, 0]): actual 2, exact 1" in message
    assert "worst: [1, 3] (sample 1, output 0; biases[1][0]): actual 9, exact 1" in message


def test_dropped_samples_keep_their_numbers():
    wrong = [[3, 3, 1, 1], [6, 3, 3, 2]]
    X = [["1/2"], [1], [2]]  # the first is on the kink
    with pytest.raises(errors.OnKink):
        assert_jacobian_equal(wrong, GE1, X)
    message = refusal(assert_jacobian_equal, wrong, GE1, X, on_kink="drop")
    assert "[1, 3] (sample 2, output 0; biases[1][0])" in message
    assert_jacobian_equal([[0, 0, 0, 1], *ed.jacobian(GE1, X[1:]).tolist()], GE1, X, on_kink="zero")


def test_what_is_no_jacobian_is_a_failure_of_the_code_under_test():
    good = [[3.0, 3.0, 1.0, 1.0]]
    assert_jacobian_equal(good, GE1, [[1]])
    assert "has shape (1, 3), it should have (1, 4)" in refusal(
        assert_jacobian_equal, [good[0][:3]], GE1, [[1]]
    )
    nan = [[3.0, float("nan"), 1.0, 1.0]]
    assert "[0, 1]" in refusal(assert_jacobian_equal, nan, GE1, [[1]], atol=1)
    assert "ragged" in refusal(assert_jacobian_equal, [[1], [1, 2]], GE1, [[1]])
    assert "two dimensions" in refusal(assert_jacobian_equal, np.zeros((1, 1, 4)), GE1, [[1]])


@pytest.mark.parametrize("tolerance", [{"rtol": -1}, {"atol": -0.5}])
def test_negative_tolerances(tolerance):
    with pytest.raises(errors.InvalidInput, match="never negative"):
        assert_jacobian_equal([[3, 3, 1, 1]], GE1, [[1]], **tolerance)


@given(networks())
def test_parameter_names(net):
    """With parameter k set to k, the entry that column k names is k."""
    numbered = net.with_parameters([list(range(net.n_parameters))])
    for column in range(net.n_parameters):
        kind, layer, place = re.fullmatch(
            r"(weights|biases)\[(\d+)\]\[(.*)\]", parameter_name(net, column)
        ).groups()
        index = tuple(map(int, place.split(", ")))
        table = getattr(numbered, kind)[int(layer)]
        assert table[index if kind == "weights" else (0, *index)] == column


def test_ranges_in_messages_are_read_as_they_are_written():
    """The reader of this file against all subsets of 0..4 (the writer is exercised above)."""
    for size in range(1, 6):
        for chosen in itertools.combinations(range(5), size):
            table = [[int(i == j and i in chosen) for j in range(5)] for i in range(5)]
            why = refusal(assert_rank_equal, size - 1, table)
            assert numbers(re.search("rows (.*) and", why)[1]) == list(chosen)
