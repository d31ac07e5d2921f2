import numpy as np
import pytest

import exactdim as ed
from exactdim import errors
from exactdim.demo import demo_rows, load_digits_network
from exactdim.numeric import RECIPES, SMALLEST_GAP, crosscheck


def recipe(name):
    return next(r for r in RECIPES if r.name == name)


def test_recipes_on_known_spectra():
    s = np.array([1.0, 1e-3, 1e-9, 1e-15, 0.0])
    assert recipe("float64, eps64").cut(s, (5, 5)) == 3
    assert recipe("float64, eps32").cut(s, (5, 5)) == 2
    assert recipe("float64, 0.01").cut(s, (5, 5)) == 1
    assert recipe("float64, gap").cut(s, (5, 5)) == 2  # the first of two gaps of 1e6
    assert recipe("float64, gap").cut(np.array([3.0, 2.0, 1.0]), (3, 3)) == 3
    assert SMALLEST_GAP > 3
    for r in RECIPES:
        assert r.cut(np.zeros(3), (3, 3)) == 0
        assert r.cut(np.zeros(0), (0, 3)) == 0


def test_the_default_recipes_are_numpys():
    rng = np.random.default_rng(0)
    for dtype, name in ((np.float32, "float32, eps32"), (np.float64, "float64, eps64")):
        A = (rng.standard_normal((30, 20)) @ rng.standard_normal((20, 40))).astype(dtype)
        A[:, 5] *= dtype(1e-6)
        s = np.linalg.svd(A, compute_uv=False)
        assert recipe(name).cut(s, A.shape) == np.linalg.matrix_rank(A)


def test_the_demo_shows_a_wrong_threshold_and_a_right_proof():
    """Saturation: no threshold sees the softmax rank that is proved."""
    rows = {(row.stage, row.head): row for row in demo_rows()}
    assert len(rows) == 4
    for row in rows.values():
        assert row.exact.status == "proved"
        J = ed.jacobian(*load_digits_network(row.stage), head=row.head)
        assert row.exact.value == J.rank()
    trained = rows["trained", "softmax"]
    assert trained.exact.value == 225
    assert trained.numeric["float32, eps32"] < 100  # far from 225, whatever the BLAS
    assert trained.numeric["float64, eps64"] < 200
    assert trained.exact.value <= 300
    untrained = rows["init", "softmax"]
    assert untrained.numeric["float32 J, eps64"] > untrained.exact.value
    # The spurious drop: exactly 230 -> 225, by the float32 threshold a collapse.
    exact_drop = untrained.exact.value - trained.exact.value
    float_drop = untrained.numeric["float32, eps32"] - trained.numeric["float32, eps32"]
    assert exact_drop == 5
    assert float_drop > 100


def test_rescaling_moves_thresholds_but_not_the_rank():
    net = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    X = np.random.default_rng(0).standard_normal((60, 2))
    report = crosscheck(net, X)
    assert report.exact["logits"].value == 10
    assert {"float32, eps32", "float64, eps64"} <= set(report.moved)
    assert not report.agrees
    last = report.rescalings[-1]
    assert last.exponent == 24
    assert last.ranks["float32, eps32"] < 10
    scaled = ed.rescale(net, *last.unit, 2**24)
    assert scaled(X) == net(X)
    assert ed.local_dimension(scaled, X).value == 10


def test_the_two_point_network_whose_rank_floats_lose():
    """One unit, two points: exact rank 2; after rescaling by 2**10 a float32 threshold says 1."""
    net = ed.ReLUNetwork([[[0]], [[0]]], [[1], [0]])
    X = [["1/2"], ["3/2"]]
    report = crosscheck(net, X, scales=[0, 10, 30])
    assert report.exact["logits"].value == ed.jacobian(net, X).rank()
    scaled = ed.rescale(net, 0, 0, 2**10)
    assert ed.local_dimension(scaled, X).value == report.exact["logits"].value


def test_errors_are_signed_distances_from_the_bracket():
    net, X = load_digits_network("trained")
    report = crosscheck(net, X, scales=[])
    for x in report.numeric:
        exact = report.exact[x.head].value
        assert x.error == x.rank - exact
        assert x.agrees == (x.rank == exact)
    assert set(report.wrong) == {x for x in report.numeric if x.rank != report.exact[x.head].value}
    kept, dropped = report.gap("logits")
    assert kept > dropped >= 0


def test_an_overflowing_jacobian_has_no_rank():
    net = ed.ReLUNetwork([[[2.0**100]], [[2.0**100]], [[1]]], [[0], [0], [0]])
    report = crosscheck(net, [[1.0], [2.0]], scales=[])
    ranks = {x.recipe.name: x.rank for x in report.numeric if x.head == "logits"}
    assert ranks["float32, eps32"] is None
    assert ranks["float64, eps64"] is not None
    assert not report.agrees


def test_negative_exponents_and_dropped_samples():
    net = ed.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    report = crosscheck(net, [[0], [1], [2]], scales=[-30, 0], on_kink="drop")
    assert report.exact["logits"].value == 2
    assert report.rescalings[0].exponent == -30
    with pytest.raises(errors.OnKink):
        crosscheck(net, [[0], [1]])


def test_a_network_without_hidden_layer_cannot_be_rescaled():
    report = crosscheck(ed.ReLUNetwork([[[1, 2]]], [[0]]), [[1, 2], [3, 4], [5, 7]])
    assert report.rescalings == ()
    assert report.exact["logits"].value == 3


def test_too_large_a_decomposition_is_refused():
    net = ed.ReLUNetwork.random((100, 100, 100), seed=0, bits=1)
    with pytest.raises(errors.InvalidInput, match="fewer samples"):
        crosscheck(net, np.zeros((200, 100)) + 0.5)


def test_progress_names_the_work():
    net = ed.ReLUNetwork.random((2, 3, 1), seed=0)
    seen = []
    crosscheck(net, [[1, 2], [3, 4]], scales=[0, 1], progress=lambda *a: seen.append(a[2]))
    assert any("exact rank, softmax" in note for note in seen)
    assert any("rescaling" in note for note in seen)
