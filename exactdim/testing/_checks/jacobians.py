"""Checks for functions that compute the Jacobian of a network: laws that it obeys."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import Number, to_fraction
from exactdim.errors import InvalidInput
from exactdim.nets.jacobian import jacobian
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import activation_pattern
from exactdim.nets.symmetry import gauge_signs, gauge_vectors, permute, rescale
from exactdim.testing._checks.check import Array, Check, spelled
from exactdim.testing.assertions import parameter_name

__all__ = ["jacobian_checks"]


def jacobian_checks(*, atol: Number = 0, seed: int = 0) -> list[Check]:
    """Return the checks for a function that computes parameter Jacobians of ReLU networks.

    The function is called as ``jac(net, X)`` with a `ReLUNetwork` and a float64 array of shape
    (n, N_0). It returns an array of shape (n N_L, P) with rows sample by sample and columns layer
    by layer: the weight row-major (out x in), then the bias if there is one.

    Parameters
    ----------
    atol : Number
        Absolute error allowed in each entry of what the function returns. None is needed by
        default: weights and samples are so short that neither float64 nor float32 rounds anything.
        The laws allow for what errors of this size can do, and for no more.
    seed : int
        Other seeds give other networks of the same kinds.

    Returns
    -------
    list of Check

    Raises
    ------
    InvalidInput
        If the tolerance is negative or no number.

    Notes
    -----
    Torch code is adapted like this; ``named_parameters`` has the order of the columns::

        def jac(net, X):
            module, x = net.to_torch(), torch.from_numpy(X)
            weights = {name: p.detach() for name, p in module.named_parameters()}
            f = lambda weights: torch.func.functional_call(module, weights, x)
            J = torch.func.jacrev(f)(weights)
            return torch.cat([J[name].flatten(2) for name in weights], 2).flatten(0, 1)

    Examples
    --------
    >>> [check.name for check in jacobian_checks()][:3]
    ['shapes', 'column_order', 'gauge_vectors_in_kernel']
    >>> from exactdim.testing.conformance import run_checks
    >>> run_checks(jacobian, checks=jacobian_checks())[0]
    ('shapes', None)
    """
    error = to_fraction(atol)
    if error < 0:
        raise InvalidInput(f"atol={error} is negative; give 0 or the error that you allow")
    return [make(seed, error) for make in _JACOBIAN_CHECKS]


# -- Jacobians: problems and how an answer is read -------------------------------------------------


class _Problem(NamedTuple):
    """A network and a batch without kinks, so short that float32 rounds nothing."""

    net: ReLUNetwork
    X: Array

    def __str__(self) -> str:
        weights = [[_strings(row) for row in W.tolist()] for W in self.net.weights]
        biases = [None if b is None else _strings(b.tolist()[0]) for b in self.net.biases]
        return f"net = ReLUNetwork({weights}, {biases})\nX = {spelled(self.X)}"


Read: TypeAlias = Callable[[ReLUNetwork, Array], QMatrix]
"""The function under test; what it returns is read exactly and has the right shape."""

Law: TypeAlias = Callable[[Read, _Problem, Fraction], str | None]
"""The last argument is the error allowed in an entry."""

Problems: TypeAlias = Callable[[random.Random], Iterator[_Problem]]


class _NoJacobianError(Exception):
    """What the function returned cannot be read or has another shape."""


def _problems(draw: random.Random) -> Iterator[_Problem]:
    """Draw networks with and without biases, hidden layers and several outputs."""
    for widths, bias in (
        ((1, 1, 1), (True, True)),
        ((2, 2), (True,)),
        ((2, 3, 1), (True, True)),
        ((2, 3, 2), (False, False)),
        ((2, 2, 2, 1), (True, True, True)),
        ((1, 2, 3, 2), (True, False, True)),
    ):
        while True:
            net = ReLUNetwork.random(widths, seed=draw.getrandbits(32), bits=3, bias=bias)
            rows = [[(2 * draw.getrandbits(3) - 7) / 4 for _ in range(widths[0])] for _ in range(3)]
            if not activation_pattern(net, rows, on_kink="zero").kinks:
                break
        yield _Problem(net, np.array(rows))


def _problems_with_dead_units(draw: random.Random) -> Iterator[_Problem]:
    for net, X in _problems(draw):
        bias = net.biases[0]
        if net.n_hidden and bias is not None:
            low = [-64, *bias.tolist()[0][1:]]
            dead = ReLUNetwork(net.weights, [low, *net.biases[1:]])
            if not activation_pattern(dead, X, on_kink="zero").kinks:
                yield _Problem(dead, X)


_JACOBIAN_CHECKS: list[Callable[[int, Fraction], Check]] = []


def _jacobian_check(sentence: str, problems: Problems = _problems) -> Callable[[Law], Law]:
    """Register a law as a check, under its own name."""

    def register(law: Law) -> Law:
        def make(seed: int, error: Fraction) -> Check:
            def judge(jac: Callable[[ReLUNetwork, Array], Any], problem: _Problem) -> str | None:
                try:
                    return law(partial(_read, jac), problem, error)
                except _NoJacobianError as fault:
                    return str(fault)

            name = law.__name__.removeprefix("_")
            return Check(name, "any", sentence, lambda: problems(random.Random(seed)), judge)

        _JACOBIAN_CHECKS.append(make)
        return law

    return register


def _read(jac: Callable[[ReLUNetwork, Array], Any], net: ReLUNetwork, X: Array) -> QMatrix:
    answer = jac(net, X.copy())
    try:
        found = QMatrix(answer, name="the Jacobian")
    except InvalidInput as error:
        raise _NoJacobianError(str(error)) from None
    shape = (len(X) * net.widths[-1], net.n_parameters)
    if found.shape != shape:
        raise _NoJacobianError(f"the Jacobian has shape {found.shape}, it should have {shape}")
    return found


def _first_difference(
    found: QMatrix, wanted: QMatrix, net: ReLUNetwork, error: Fraction
) -> str | None:
    """Describe the first entry that is further off than allowed."""
    for i, (row, right) in enumerate(zip(found.tolist(), wanted.tolist(), strict=True)):
        for j, (a, e) in enumerate(zip(row, right, strict=True)):
            if abs(a - e) > error:
                sample, output = divmod(i, net.widths[-1])
                return (
                    f"the entry at sample {sample}, output {output}, column {j} "
                    f"({parameter_name(net, j)}) is {a}, it should be {e}"
                )
    return None


def _hidden_units(net: ReLUNetwork) -> list[tuple[int, int]]:
    return [(layer, k) for layer in range(net.depth - 1) for k in range(net.widths[layer + 1])]


def _strings(row: list[Fraction]) -> list[str]:
    return [str(x) for x in row]


# -- Jacobians: laws -------------------------------------------------------------------------------


@_jacobian_check(
    "There is a row per sample and output and a column per parameter, biases included."
)
def _shapes(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    jac(problem.net, problem.X)
    jac(problem.net, problem.X[:1])
    return None


@_jacobian_check(
    "Every entry is that of `exactdim.jacobian`: weights row-major, then biases, per layer."
)
def _column_order(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    found, exact = jac(*problem), jacobian(*problem)
    difference = _first_difference(found, exact, problem.net, error)
    if difference and sorted(found.T.tolist()) == sorted(exact.T.tolist()):
        return f"the columns are right but in another order: {difference}"
    return difference


@_jacobian_check(
    "J t = 0 if t has +w and +b at what enters a hidden unit, -v at what leaves it (T7)."
)
def _gauge_vectors_in_kernel(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    gauge = gauge_vectors(net)
    products = (jac(net, X) @ gauge.T).T.tolist()
    for unit, t, product in zip(_hidden_units(net), gauge.tolist(), products, strict=True):
        for row, value in enumerate(product):
            if abs(value) > error * sum(map(abs, t)):
                return f"J t is {value} in row {row} for t of unit {unit}, t = {_strings(t)}"
    return None


@_jacobian_check(
    "Rescaling a hidden unit divides the columns as it multiplies the parameters (T6a)."
)
def _rescaled_units(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    before = jac(net, X)
    ones = net.with_parameters([[1] * net.n_parameters])
    for layer, unit in _hidden_units(net):
        scale = rescale(ones, layer, unit, 4).parameters().tolist()[0]
        wanted = QMatrix([
            [x / s for x, s in zip(row, scale, strict=True)] for row in before.tolist()
        ])
        after = jac(rescale(net, layer, unit, 4), X)
        # the smallest scale is 1/4, so an error in `before` may have grown to four times itself
        difference = _first_difference(after, wanted, net, 5 * error)
        if difference:
            return f"after rescaling unit {(layer, unit)} by 4, {difference}"
    return None


@_jacobian_check(
    "Reordering the units of a hidden layer reorders the columns as it does the parameters (T6b)."
)
def _permuted_units(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    before = jac(net, X)
    numbered = net.with_parameters([list(range(net.n_parameters))])
    for layer in range(net.depth - 1):
        order = [*range(1, net.widths[layer + 1]), 0]
        source = [int(x) for x in permute(numbered, layer, order).parameters().tolist()[0]]
        after = jac(permute(net, layer, order), X)
        difference = _first_difference(after, before[:, source], net, 2 * error)
        if difference:
            return f"after reordering the units of layer {layer} to {order}, {difference}"
    return None


@_jacobian_check("Equal samples have equal rows.")
def _repeated_samples(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    n, d = len(X), net.widths[-1]
    J = jac(net, np.vstack([X, X[::-1]]))
    again = [(2 * n - 1 - i) * d + j for i in range(n) for j in range(d)]
    difference = _first_difference(J[again], J[list(range(n * d))], net, 2 * error)
    return difference and f"where the samples are given again in reverse, {difference}"


@_jacobian_check("The rows of a sample do not depend on the rest of the batch.")
def _single_samples(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    rows = QMatrix.vstack(jac(net, x[None]) for x in X)
    difference = _first_difference(jac(net, X), rows, net, 2 * error)
    return difference and f"going by the samples one at a time, {difference}"


@_jacobian_check(
    "J(x) - 2 J(y) + J(z) = 0 if y is the midpoint of x and z, all in one activation region (T3)."
)
def _affine_pieces(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    d = net.widths[-1]
    for x in X:
        step = 0.25
        while True:
            points = np.array([x - step, x, x + step])
            pattern = activation_pattern(net, points, on_kink="zero")
            if pattern.distinct == 1 and not pattern.kinks:
                break
            step /= 2
        J = jac(net, points)
        first, middle, last = (J[list(range(k * d, (k + 1) * d))] for k in range(3))
        difference = _first_difference(first + last, middle * 2, net, 4 * error)
        if difference:
            return f"at the points {points.tolist()}, in J(x) + J(z) against 2 J(y), {difference}"
    return None


@_jacobian_check(
    "Within a region an output is affine in each parameter: a difference quotient is exact (T3)."
)
def _finite_differences(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    pattern, outputs, theta = activation_pattern(net, X), net(X), net.parameters().tolist()[0]
    columns = []
    for k in range(net.n_parameters):
        step = Fraction(1, 16)
        while True:
            moved = net.with_parameters([[*theta[:k], theta[k] + step, *theta[k + 1 :]]])
            after = activation_pattern(moved, X, on_kink="zero")
            if after == pattern and not after.kinks:
                break
            step /= 2
        change = (moved(X) - outputs) * (1 / step)
        columns.append([x for row in change.tolist() for x in row])
    return _first_difference(jac(net, X), QMatrix(columns).T, net, error)


@_jacobian_check(
    "The weights and the bias into a unit that is off, and the weights out of it, do nothing.",
    _problems_with_dead_units,
)
def _dead_units(jac: Read, problem: _Problem, error: Fraction) -> str | None:
    net, X = problem
    J = jac(net, X)
    columns = {c for u in activation_pattern(net, X).dead for c in gauge_signs(net, *u)}
    keep = np.array([[column not in columns for column in range(J.shape[1])]] * J.shape[0])
    return _first_difference(J, J.masked(keep), net, error)
