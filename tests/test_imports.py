"""What `import exactdim` may load, and that this test can fail."""

import subprocess
import sys

import pytest

import exactdim

HEAVY = ["torch", "cvxpy", "sympy", "hypothesis", "matplotlib", "scipy", "networkx", "safetensors"]
HEAVY += ["lightning"]


def loaded_by(statement):
    code = f"import sys; {statement}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_import_exactdim_is_cheap():
    assert loaded_by("import exactdim") == []
    assert loaded_by("import exactdim; exactdim.local_dimension; exactdim.crosscheck") == []
    assert loaded_by("import exactdim.cli") == []


def test_a_whole_run_loads_nothing_heavy():
    statement = (
        "import exactdim as ed; net = ed.ReLUNetwork.random((2, 2, 1), seed=0); "
        "ed.verify(ed.local_dimension(net, [[1, 2]]).certificate())"
    )
    assert loaded_by(statement) == []
    statement = (
        "import exactdim as ed; net = ed.ReLUNetwork.random((2, 2, 1), seed=0); "
        "ed.verify(ed.activation_regions(net).certificate()); ed.same_function(net, net)"
    )
    assert loaded_by(statement) == []


@pytest.mark.parametrize("package", HEAVY)
def test_this_test_can_fail(package):
    assert package in loaded_by(f"import {package}")


def test_even_numpy_waits_for_first_use():
    code = "import sys, exactdim; print('numpy' in sys.modules, 'flint' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_public_name_resolves():
    for name in exactdim.__all__:
        assert getattr(exactdim, name) is not None
        assert name in dir(exactdim)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = exactdim.nonsense


def test_public_functions_are_functions_whatever_was_imported_before():
    import exactdim.demo

    assert callable(exactdim.crosscheck)
    assert callable(exactdim.kernel)
    assert callable(exactdim.verify)
