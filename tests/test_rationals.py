import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exactdim import errors
from exactdim.arith.rationals import integer_matrix, to_fraction


def as_fractions(data):
    entries, den, (rows, columns) = integer_matrix(data)
    return [[Fraction(entries[i * columns + j], den) for j in range(columns)] for i in range(rows)]


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.float16]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_float_arrays_are_read_bit_for_bit(a):
    assert as_fractions(a) == [[Fraction(float(x)) for x in row] for row in a]


def test_subnormal_and_huge_floats_are_exact_together():
    a = np.array([[5e-324, 1.7976931348623157e308, -0.0]])
    assert as_fractions(a) == [[Fraction(5e-324), Fraction(1.7976931348623157e308), Fraction(0)]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_torch_tensors_are_read_exactly(dtype):
    t = torch.tensor([[0.1, -3.75], [1e-3, 2.0]], dtype=dtype, requires_grad=True)
    assert as_fractions(t) == [[Fraction(x) for x in row] for row in t.double().tolist()]


def test_integers_fractions_and_strings():
    big = 10**40 + 1
    assert as_fractions([[big, Fraction(1, 3)], ["-2/3", "0.1"]]) == [
        [Fraction(big), Fraction(1, 3)],
        [Fraction(-2, 3), Fraction(1, 10)],
    ]
    assert as_fractions(np.array([[2**63 - 1]])) == [[Fraction(2**63 - 1)]]
    assert as_fractions(np.array([[2**64 - 1]], dtype=np.uint64)) == [[Fraction(2**64 - 1)]]


def test_longdouble_keeps_every_bit():
    x = np.longdouble(1) + np.finfo(np.longdouble).eps
    assert as_fractions(np.array([[x]])) == [[Fraction(*x.as_integer_ratio())]]
    assert to_fraction(x) == Fraction(*x.as_integer_ratio())


@pytest.mark.parametrize("value", [math.nan, math.inf, "nan", "-inf", np.float32("inf")])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(errors.NotFinite):
        to_fraction(value)


def test_not_finite_names_the_place():
    with pytest.raises(errors.NotFinite, match=r"\[1, 0\]"):
        integer_matrix(np.array([[1.0, 2.0], [np.nan, 3.0]]), name="X")
    with pytest.raises(errors.NotFinite, match=r"\[0, 1\] of X"):
        integer_matrix([[1.0, math.inf]], name="X")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([[1, 2], [3]], "ragged"),
        ([1, 2], "not a row"),
        (3, "single int"),
        ("12", "single str"),
        ([["1", "2"], "34"], "not a row"),
        ([[[1]], [[2]]], "two dimensions"),
        (np.zeros(3), "two dimensions"),
    ],
)
def test_shapes_that_are_no_matrix(data, words):
    with pytest.raises(errors.ShapeMismatch, match=words):
        integer_matrix(data)


@pytest.mark.parametrize("value", ["two", "1/0", None, 1 + 2j, object()])
def test_what_is_no_number(value):
    with pytest.raises(errors.InvalidInput):
        to_fraction(value)
    with pytest.raises(errors.InvalidInput):
        integer_matrix([[value]])


def test_complex_arrays_are_refused():
    with pytest.raises(errors.InvalidInput, match="complex"):
        integer_matrix(np.zeros((2, 2), dtype=complex))


def test_flushing_subnormals_changes_nothing():
    """Some libraries switch the processor to treat subnormal numbers as zero."""
    tiny64, tiny32 = np.array([[5e-320, 5e-324]]), np.array([[1e-40]], dtype=np.float32)
    exact = Fraction(int(tiny32.view(np.int32)[0, 0]), 2**149)
    expected = [[Fraction(10120, 2**1074), Fraction(1, 2**1074)]]
    assert as_fractions(tiny64) == expected
    half = torch.tensor([[1e-40]], dtype=torch.bfloat16)
    before = as_fractions(half)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        assert as_fractions(tiny64) == expected
        assert as_fractions(tiny64.tolist()) == expected
        assert as_fractions(tiny32) == [[exact]]
        assert to_fraction(tiny32[0, 0]) == exact
        assert as_fractions(torch.from_numpy(tiny32)) == [[exact]]
        assert as_fractions(half) == before
    finally:
        torch.set_flush_denormal(False)
    assert exact > 0
    assert before[0][0] > 0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_scalars_are_read_bit_for_bit(x):
    assert to_fraction(x) == Fraction(x) == to_fraction(np.float64(x))


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_order_does_not_matter(order):
    a = np.array([[1.5, -0.1]]).astype(np.dtype(np.float64).newbyteorder(order))
    assert as_fractions(a) == [[Fraction(1.5), Fraction(-0.1)]]


@pytest.mark.parametrize(
    "data",
    [
        np.array([["2020-01-01"]], dtype="datetime64[ns]"),
        np.ma.masked_array([[1.0]], mask=[[True]]),
        {(1, 2): 0},
        [{1: 2}],
        torch.zeros(2, 2, device="meta"),
        torch.eye(2).to_sparse(),
    ],
)
def test_containers_that_are_no_arrays_of_numbers(data):
    with pytest.raises(errors.InvalidInput):
        integer_matrix(data)


def test_numpy_matrices_are_matrices():
    a = np.eye(2).view(np.matrix)
    assert as_fractions(a) == [[1, 0], [0, 1]]


def test_absurd_exponents_are_refused_at_once():
    assert to_fraction("1e400") == 10**400
    assert to_fraction("1e-9999") == Fraction(1, 10**9999)
    for text in ("1e100000000", "-2.5E-99999999"):
        with pytest.raises(errors.InvalidInput, match="exponent"):
            to_fraction(text)
    with pytest.raises(errors.InvalidInput) as caught:
        to_fraction("9" * 6000)
    assert len(str(caught.value)) < 300
