import pickle
from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import entries, matrices

import exactdim as ed
from exactdim import QMatrix, errors
from exactdim.arith.primes import descending_primes


@given(matrices())
def test_rank_agrees_with_sympy_and_with_fractions(table):
    assert QMatrix(table).rank() == oracles.rank(table) == oracles.fraction_rank(table)
    assert ed.matrix_rank(table) == QMatrix(table).T.rank()


@given(matrices())
def test_kernel_is_a_basis_of_the_kernel(table):
    A = QMatrix(table)
    K = ed.kernel(A)
    assert K.shape == (A.shape[1] - oracles.rank(table), A.shape[1])
    assert (A @ K.T).is_zero()
    assert K.rank() == K.shape[0]


@given(st.data())
def test_products_and_sums_agree_with_fractions(data):
    A = data.draw(matrices())
    B = [[data.draw(entries) for _ in range(3)] for _ in A[0]]
    product = [
        [sum((A[i][k] * B[k][j] for k in range(len(B))), Fraction(0)) for j in range(3)]
        for i in range(len(A))
    ]
    assert (QMatrix(A) @ QMatrix(B)).tolist() == product
    assert (QMatrix(A) + QMatrix(A)).tolist() == (2 * QMatrix(A)).tolist()
    assert (QMatrix(A) - QMatrix(A)).is_zero()
    assert (QMatrix(A) * Fraction(2, 3))[0, 0] == A[0][0] * Fraction(2, 3)


@given(matrices(max_side=4))
def test_minor_is_the_determinant(table):
    n = min(len(table), len(table[0]))
    rows, columns = list(range(n)), list(range(len(table[0]) - n, len(table[0])))
    square = [[table[i][j] for j in columns] for i in rows]

    def determinant(m):
        if not m:
            return Fraction(1)
        return sum(
            (-1) ** j * m[0][j] * determinant([row[:j] + row[j + 1 :] for row in m[1:]])
            for j in range(len(m))
        )

    assert QMatrix(table).minor(rows, columns) == determinant(square)


@given(matrices(max_side=5))
def test_solve_inverts_products(table):
    A = QMatrix(table)
    if A.shape[0] != A.shape[1]:
        with pytest.raises(errors.ShapeMismatch):
            A.solve(QMatrix.identity(A.shape[0]))
    elif A.rank() < A.shape[0]:
        with pytest.raises(errors.InvalidInput, match="singular"):
            A.solve(QMatrix.identity(A.shape[0]))
    else:
        B = QMatrix([[i, 1] for i in range(A.shape[0])])
        assert A @ A.solve(B) == B


def test_rank_of_a_large_deficient_product_needs_many_primes():
    rng = np.random.default_rng(0)
    A = QMatrix(rng.integers(-(2**20), 2**20, (60, 40))) @ QMatrix(
        rng.integers(-(2**20), 2**20, (40, 70))
    )
    assert A.rank() == 40


def test_equal_matrices_have_equal_hashes_whatever_they_were_made_of():
    A = QMatrix([[0.5, 1.0]])
    B = QMatrix([["1/2", 1]])
    assert A == B
    assert hash(A) == hash(B)
    assert QMatrix([["1/2"], [1]]) != A
    assert len({A, B}) == 1
    assert pickle.loads(pickle.dumps(A)) == A


def test_slicing():
    A = QMatrix([[1, 2, 3], [4, 5, 6]])
    assert A[1, 2] == 6
    assert A[-1, -1] == 6
    assert A[0] == QMatrix([[1, 2, 3]])
    assert A[:, 1:] == QMatrix([[2, 3], [5, 6]])
    assert A[[1, 0], [2, 0]] == QMatrix([[6, 4], [3, 1]])
    with pytest.raises(IndexError):
        A[2, 0]


def test_empty_shapes():
    for shape in [(0, 3), (3, 0), (0, 0)]:
        Z = QMatrix.zeros(*shape)
        assert Z.shape == shape
        assert Z.rank() == 0
        assert Z.T.shape == shape[::-1]
        assert Z.is_zero()
    assert QMatrix.vstack([QMatrix.zeros(0, 2), QMatrix([[1, 2]])]) == QMatrix([[1, 2]])
    assert ed.kernel(QMatrix.zeros(0, 2)) == QMatrix.identity(2)


def test_a_matrix_cannot_be_changed_and_has_no_truth_value():
    A = QMatrix([[1]])
    with pytest.raises(AttributeError):
        A._den = 2
    with pytest.raises(TypeError, match="is_zero"):
        bool(A)


def test_to_numpy_rounds_to_nearest():
    A = QMatrix([["1/3", 10**400, -(10**400)], [2**-1074, "1/10", 0]])
    assert A.to_numpy(np.float64).tolist() == [[1 / 3, np.inf, -np.inf], [5e-324, 0.1, 0.0]]
    assert A.to_numpy(np.float32).dtype == np.float32
    assert A.to_numpy(object)[0, 0] == Fraction(1, 3)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(errors.ShapeMismatch, match=r"\(1, 2\).*\(1, 2\)"):
        QMatrix([[1, 2]]) @ QMatrix([[1, 2]])
    with pytest.raises(errors.ShapeMismatch):
        QMatrix([[1, 2]]) + QMatrix([[1], [2]])
    with pytest.raises(errors.ShapeMismatch):
        QMatrix.vstack([QMatrix([[1]]), QMatrix([[1, 2]])])
    with pytest.raises(errors.ShapeMismatch, match="square"):
        QMatrix([[1, 2]]).minor([0], [0, 1])


def test_numeric_rank_issues_of_other_libraries():
    # 0.1 is not 1/10: a tolerance would hide it, the exact rank does not.
    assert ed.matrix_rank(np.array([[1.0, 0.1], [10.0, 1.0]])) == 2
    assert ed.matrix_rank(np.ones((3, 3))) == 1
    a = np.diag([1.0, 1e-200])
    assert ed.matrix_rank(a) == 2
    assert np.linalg.matrix_rank(a) == 1


def test_every_matrix_can_be_displayed():
    assert repr(QMatrix([[10**5000]])) == "<QMatrix of shape (1, 1), rational entries>"
    assert repr(QMatrix([["1/2", 3]])) == "QMatrix([['1/2', '3']])"


@pytest.mark.parametrize(
    "index", [[True, False, True], np.array([True, False, True]), [1.5], "a", 1.5, None, ...]
)
def test_masks_and_other_things_are_no_index(index):
    matrix = QMatrix([[1, 2], [3, 4], [5, 6]])
    with pytest.raises(errors.InvalidInput, match="no index"):
        matrix[index]
    with pytest.raises(errors.InvalidInput, match="no index"):
        matrix[:, index]


def test_independent_rows():
    p = next(descending_primes())  # the first prime that is tried
    for rows, rank in (([[p, 0], [1, 0], [0, 1]], 2), ([[1, 2], [2, 4]], 1), ([[0]], 0)):
        chosen = QMatrix(rows).independent_rows()
        assert QMatrix(rows)[chosen].rank() == len(chosen) == rank
