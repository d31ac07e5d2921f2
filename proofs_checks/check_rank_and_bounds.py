"""What the rank of the Jacobian measures, and what bounds it from above: T5, T7, T9, path lifting.

The rank of J at a batch is the dimension of the set of outputs that parameters nearby produce, with
two exceptions that have to be said (T5). It is bounded from above by counting: parameters less
rescalings (T7), samples and affine pieces, features of the layers and what each unit can add to
them (T9), and parameters on paths that lead somewhere (path lifting).

Notation as in STATEMENTS.md: widths N_0, ..., N_L, P parameters, H hidden units, n samples. A mask
A says at which samples each hidden unit is on. f_A(theta; X) are the outputs of the network with
these switches instead of ReLU, and J_A(theta; X) is their derivative in the parameters. The mask is
*realised* if it is the activation pattern of theta at X; *formal* masks are arbitrary. H~_l, with
rows h~_{l,i}, are the inputs of layer l+1 under the mask, with a column of ones if that layer has a
bias. All bounds are theorems about formal masks, and checked for them. Units on kinks that count as
off make one such mask.

What is computed here follows the statements; the package is what is compared with it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import chain, combinations, islice, pairwise
from typing import Any

import numpy as np
import sympy
from family import (
    ARCHITECTURES,
    GE1,
    GE2,
    LARGE_ARCHITECTURES,
    masks,
    sympy_rank,
    ternary_networks,
)
from hypothesis import given
from hypothesis import strategies as st

import exactdim as ed
from exactdim.arith import modular
from exactdim.dimension.bounds import StructuralBounds
from exactdim.nets.jacobian import Head, JacobianFactors, head_matrix
from exactdim.nets.paths import lifting_rank
from exactdim.nets.patterns import ActivationPattern
from exactdim.nets.symmetry import unanchored_components
from exactdim.testing.strategies import (
    activation_patterns,
    batches,
    degenerate_networks,
    networks_with_batches,
    relu_networks,
)

# -- networks with a prescribed mask --------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """A network at a batch, with a mask of shape (n, H) that no parameter need realise."""

    net: ed.ReLUNetwork
    X: ed.QMatrix
    mask: Any

    @cached_property
    def on(self) -> list[Any]:
        """The mask of each hidden layer."""
        return np.split(self.mask, np.cumsum(self.net.widths[1:-1]), axis=1)[:-1]

    @cached_property
    def inputs(self) -> list[ed.QMatrix]:
        """The matrices H~_0, ..., H~_{L-1}."""
        h, found = self.X, []
        for layer, has_bias in enumerate(self.net.has_bias):
            found.append(with_ones(h) if has_bias else h)
            if layer < self.net.depth - 1:
                h = self.net.affine(layer, h).masked(self.on[layer])
        return found

    def factors(self, head: Head = "logits") -> JacobianFactors:
        """Hand the problem to the package."""
        pattern = ActivationPattern(tuple(self.on), (), (), len(self.mask), 0, "zero")
        return JacobianFactors(self.net, self.X, pattern, head)

    def jacobian(self, head: Head = "logits") -> ed.QMatrix:
        """Return J_A(theta; X) as the package computes it."""
        return self.factors(head).dense

    @cached_property
    def rank(self) -> int:
        """Rank J_A(theta; X)."""
        return self.jacobian().rank()

    def at(self, theta: Sequence[Any]) -> Problem:
        """Move to other parameters; the mask stays."""
        return replace(self, net=self.net.with_parameters([list(theta)]))

    def pick(self, samples: Iterable[int]) -> Problem:
        """Keep some of the samples."""
        chosen = list(samples)
        return replace(self, X=self.X[chosen], mask=self.mask[chosen])

    def words(self) -> list[tuple[int, ...]]:
        """Return the row of the mask of each sample."""
        return [tuple(map(int, row)) for row in self.mask]


def with_ones(h: ed.QMatrix) -> ed.QMatrix:
    """Append a column of ones."""
    return ed.QMatrix.hstack([h, ed.QMatrix.from_integers([1] * h.shape[0], 1, (h.shape[0], 1))])


def realised(net: ed.ReLUNetwork, X: Any) -> Problem:
    """Take the mask that the parameters realise, units on a kink being off."""
    return Problem(net, ed.QMatrix(X), ed.activation_pattern(net, X, on_kink="zero").mask)


def formal(net: ed.ReLUNetwork, X: Any, mask: Any) -> Problem:
    """Prescribe a mask, one row of 0 and 1 per sample."""
    return Problem(net, ed.QMatrix(X), np.array(mask, np.bool_))


def outputs(problem: Problem, theta: Sequence[Any]) -> list[Any]:
    """Evaluate f_A(theta; X) sample by sample at numbers or symbols, one operation at a time."""
    net, numbers = problem.net, iter(theta)
    layers = []
    for (inputs, units), has_bias in zip(pairwise(net.widths), net.has_bias, strict=True):
        W = [[next(numbers) for _ in range(inputs)] for _ in range(units)]
        layers.append((W, [next(numbers) if has_bias else 0 for _ in range(units)]))
    found = []
    for x, word in zip(problem.X.tolist(), problem.words(), strict=True):
        bits, h = iter(word), list(x)
        for number, (W, b) in enumerate(layers, start=1):
            h = [sum(w * u for w, u in zip(row, h, strict=True)) + c
                 for row, c in zip(W, b, strict=True)]  # fmt: skip
            if number < len(layers):
                h = [z if next(bits) else 0 for z in h]
        found += h
    return found


def parameters(net: ed.ReLUNetwork) -> list[Fraction]:
    """Return theta, layer by layer the weight row by row and then the bias."""
    return net.parameters().tolist()[0]


def hidden_units(net: ed.ReLUNetwork) -> Iterator[tuple[int, int]]:
    """List the hidden units as (layer, unit), zero-based."""
    return ((layer, k) for layer, width in enumerate(net.widths[1:-1]) for k in range(width))


def numbered(net: ed.ReLUNetwork) -> list[tuple[list[list[int]], list[int] | None]]:
    """Return weights and biases with every parameter replaced by its column."""
    net = net.with_parameters([list(range(net.n_parameters))])
    return [
        ([[int(j) for j in row] for row in W.tolist()],
         None if b is None else [int(j) for j in b.tolist()[0]])
        for W, b in zip(net.weights, net.biases, strict=True)
    ]  # fmt: skip


@st.composite
def problems(draw: Any, networks: Any = None, max_size: int = 6) -> Problem:
    """Generate random and degenerate networks at batches, with formal and with realised masks."""
    net = draw(relu_networks() | degenerate_networks() if networks is None else networks)
    if draw(st.booleans()):
        return realised(net, draw(batches(net, max_size=max_size)))
    mask = draw(activation_patterns(net, max_size=max_size))
    return formal(net, draw(batches(net, min_size=len(mask), max_size=len(mask))), mask)


def small_problems(large: bool) -> Iterator[Problem]:
    """Go through all networks with weights -1, 0, 1 and all masks of two samples."""
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES if large else ()):
        X = [[1], [-2]] if widths[0] == 1 else [[1, 0], [1, 2]]
        for net in ternary_networks(widths, bias):
            yield from (formal(net, X, mask) for mask in masks(len(X), net.n_hidden))


def subsets(things: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Generate all subsets."""
    pool = list(things)
    return chain.from_iterable(combinations(pool, size) for size in range(len(pool) + 1))


@given(problems())
def test_the_jacobian_is_a_difference_quotient(problem):
    """T3, used everywhere below: f_A is affine in each single parameter, so J_A is a difference.

    Statement. Column p of J_A(theta; X) is f_A(theta + e_p; X) - f_A(theta; X), with no limit.
    Source. Derived here.
    Proof. An output is a sum over paths of products of parameters, input and switches, and no path
    meets a parameter twice.

    This compares the package's Jacobian with switches and additions in Fractions, and its rank with
    the one of sympy.
    """
    theta = parameters(problem.net)
    start = outputs(problem, theta)
    columns = []
    for p in range(len(theta)):
        moved = outputs(problem, [*theta[:p], theta[p] + 1, *theta[p + 1 :]])
        columns.append([u - v for u, v in zip(moved, start, strict=True)])
    J = ed.QMatrix(columns).T
    assert problem.jacobian() == J
    assert problem.rank == sympy_rank(J)


# -- T5 -------------------------------------------------------------------------------------------


def far_away(net: ed.ReLUNetwork) -> list[int]:
    """Draw large random parameters."""
    rng = random.Random(0)
    return [rng.getrandbits(60) for _ in parameters(net)]


def region_rank(problem: Problem) -> int:
    """Return the rank of J_A at large random parameters: at most r_A, and r_A almost surely."""
    return problem.at(far_away(problem.net)).rank


def equations_of_the_image(problem: Problem, theta: Any, y: Any) -> list[Any]:
    """Compute a basis of the polynomials in y that vanish where y = f_A(theta), for all theta."""
    f = [sympy.sympify(value) for value in outputs(problem, theta)]
    basis = sympy.groebner([u - v for u, v in zip(y, f, strict=True)], *theta, *y, order="lex")
    return [g for g in basis.exprs if not g.free_symbols & set(theta)]


def dimension(equations: Sequence[Any], y: Sequence[Any]) -> int:
    """Compute the dimension of a variety: most coordinates that no leading monomial is made of."""
    leading = [sympy.LM(g, *y, order="lex").free_symbols for g in equations]
    return max(len(s) for s in subsets(y) if not any(m <= set(s) for m in leading))


def test_T5_rank_is_the_dimension_of_the_image(large):
    """T5, local dimension: the rank is the dimension of the manifold of outputs.

    Statement. Fix X and a mask A, off kinks, and let R_A be the open set of parameters that realise
    A; r_A is the largest rank of J on R_A, and U_A the set of theta in R_A where it is attained.
    U_A is open with null complement in R_A. Every theta in U_A has a neighbourhood that f maps onto
    a smooth manifold of dimension rank J(theta), with the columns of J(theta) as tangent space. The
    semialgebraic set f(R_A) has dimension r_A, and all outputs together have dimension max_A r_A
    over the masks that some parameter realises.

    Source. 2402.08269 (the notion); proof derived here.

    Proof. On R_A, f is the polynomial f_A. Where the rank is below r_A all r_A-minors vanish; these
    are polynomials, not all zero on the open set R_A. So U_A is open and the rest of R_A null. Near
    a point of U_A the rank is constant, and the constant rank theorem gives the manifold. f(U_A) is
    a countable union of such pieces, so of dimension r_A. Cut the rest of R_A into manifolds: on
    each the derivative of f has rank < r_A, so the image has dimension < r_A. The R_A are dense
    (T2), so every theta is a limit of points of one of them; f is continuous, and a closure has no
    larger dimension.

    Check. The dimension of the image without any derivative: eliminate theta from y = f_A(theta) by
    a Groebner basis, and read the dimension of the closure off the leading monomials. (R_A, if not
    empty, is open, so it and the whole space have images with the same Zariski closure; the check
    is made for all masks.) Then every equation g of the image must hold at f(theta), its gradient
    must be orthogonal to the columns of J(theta), and no theta has a rank above the dimension.
    """
    seen = set()
    for widths, bias in ARCHITECTURES + (LARGE_ARCHITECTURES[2:] if large else ()):
        zero = next(iter(ternary_networks(widths, bias)))
        theta = sympy.symbols(f"t:{zero.n_parameters}")
        n = 3 if widths == (1, 1, 1) else 2
        y = sympy.symbols(f"y:{n * widths[-1]}")
        X = [[1], [-2], [3]] if widths[0] == 1 else [[1, 0], [1, 2]]
        for mask in masks(n, zero.n_hidden):
            problem = formal(zero, X[:n], mask)
            equations = equations_of_the_image(problem, theta, y)
            expected = dimension(equations, y)
            assert region_rank(problem) == expected
            seen.add((expected, len(y)))
            gradients = [[sympy.diff(g, u) for u in y] for g in equations]
            for net in ternary_networks(widths, bias):
                here = replace(problem, net=net)
                assert here.rank <= expected
                if not equations:
                    continue
                point = dict(zip(y, outputs(here, parameters(net)), strict=True))
                assert all(g.subs(point) == 0 for g in equations)
                normals = ed.QMatrix([[str(d.subs(point)) for d in row] for row in gradients])
                assert (normals @ here.jacobian()).is_zero()
    assert {(0, 2), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3), (0, 4), (2, 4)} <= seen


@given(networks_with_batches(kinks=False))
def test_T5_every_neighbourhood_has_the_dimension_of_its_region(problem):
    """T5, first caveat: near *every* theta of R_A the image has dimension r_A, not rank J(theta).

    Statement. For theta in R_A and any neighbourhood N of it, f(N) has dimension r_A. So rank J is
    the local dimension on U_A, and too small elsewhere.

    Source. Derived here.

    Proof. Let r = r_A and join theta to a point theta* with an r-minor of J_A that is not 0. Along
    the segment this minor is a polynomial of degree at most r (L - 1), since the entries of J have
    degree at most L - 1; it is not 0 at the end, so it has at most r (L - 1) zeros. Points of the
    segment near theta lie in R_A, which is open, and all but finitely many of them in U_A.

    Check. Of r (L - 1) + 1 points of the segment that approach theta within R_A one has rank r.
    """
    net, X = problem
    here, r = realised(net, X), region_rank(realised(net, X))
    assert here.rank <= r
    ends = list(zip(parameters(net), far_away(net), strict=True))

    def approaching() -> Iterator[Problem]:
        for k in range(50, 300):
            there = here.at([u + Fraction(v - u, 2**k) for u, v in ends])
            if realised(there.net, X).words() == here.words():
                yield there

    assert any(there.rank == r for there in islice(approaching(), r * (net.depth - 1) + 1))


def test_T5_golden_a_plane_of_outputs():
    """T5 at GE1 and X = (1, 2, 3): one affine piece, so f(1) - 2 f(2) + f(3) = 0, dimension 2."""
    assert realised(GE1, [[1], [2], [3]]).words() == [(1,), (1,), (1,)]
    for net in ternary_networks((1, 1, 1), True):
        problem = formal(net, [[1], [2], [3]], [[1], [1], [1]])
        y = outputs(problem, parameters(net))
        assert y[0] - 2 * y[1] + y[2] == 0
        assert problem.rank <= 2
    assert ed.local_dimension(GE1, [[1], [2], [3]]).value == 2


def test_T5_golden_a_determinantal_variety():
    """T5 at (2, 1, 3) without biases, two samples, on: matrices of rank at most 1, dimension 4.

    The equations of the 2 x 3 matrices of outputs are the three 2 x 2 minors, and 4 is not 6 - 3.
    """
    net = ed.ReLUNetwork([[[1, 1]], [[1], [2], [3]]])
    problem = realised(net, [[1, 0], [0, 1]])
    y = sympy.symbols("y:6")
    equations = equations_of_the_image(problem, sympy.symbols("t:5"), y)
    minors = [y[i] * y[3 + j] - y[j] * y[3 + i] for i, j in combinations(range(3), 2)]
    assert {sympy.Poly(g, *y).monic() for g in equations} == {
        sympy.Poly(g, *y).monic() for g in minors
    }
    assert dimension(equations, y) == 4 == problem.rank == ed.local_dimension(net, problem.X).value


def test_T5_control_a_parameter_that_is_not_generic():
    """T5, caveat (i), golden GE2: rank 2, and yet a three-dimensional image of each neighbourhood.

    Same pattern as GE1 with X = (0, 1, 2), r_A = 3, but v = 0. At v = eps the pattern is the same
    and the rank is 3. The image near f(theta) is the cone {(c, c + v s, c + v t)} with s near 1 and
    t near 3: no manifold of any dimension at its tip.
    """
    X = [[0], [1], [2]]
    J = ed.jacobian(GE1, X)
    assert J.tolist() == [[0, 0, 0, 1], [3, 3, 1, 1], [6, 3, 3, 1]]
    assert realised(GE2, X).words() == realised(GE1, X).words() == [(0,), (1,), (1,)]
    assert (J.rank(), ed.jacobian(GE2, X).rank(), region_rank(realised(GE2, X))) == (3, 2, 3)
    for k in (1, 10, 100, 1000):
        nearby = GE2.with_parameters([[2, -1, Fraction(1, 2**k), 5]])
        assert realised(nearby, X).words() == realised(GE2, X).words()
        assert ed.local_dimension(nearby, X).value == 3


def test_T5_control_other_regions_reach_the_same_outputs():
    """T5, caveat (ii): the set of all outputs may be larger at f(theta) than the image of R_A.

    theta = (-1, -1, 1, 5) is off at X = (0, 1, 2): in U_A with r_A = 1, and f(theta) = (5, 5, 5).
    Parameters with the pattern of GE1 come as near to these outputs as one likes, with rank 3.
    """
    X = [[0], [1], [2]]
    dead = ed.ReLUNetwork([[[-1]], [[1]]], [[-1], [5]])
    assert ed.jacobian(dead, X).rank() == region_rank(realised(dead, X)) == 1
    assert dead(X) == ed.QMatrix([[5], [5], [5]])
    for k in (1, 10, 100):
        other = GE1.with_parameters([[2, -1, Fraction(1, 2**k), 5]])
        distance = [abs(value) for (value,) in (other(X) - dead(X)).tolist()]
        assert max(distance) == Fraction(3, 2**k)
        assert ed.jacobian(other, X).rank() == 3


def test_T5_control_only_realised_masks_count():
    """T5: max r_A over *formal* masks may exceed the dimension of the set of all outputs.

    Without biases and with N_0 = 1, samples 1 and 2 lie on one ray, so f(2) = 2 f(1) always. The
    formal mask in which unit 1 is on at sample 1 only, and unit 2 at sample 2 only, has rank 2.
    """
    X = [[1], [2]]
    for net in ternary_networks((1, 2, 1), False):
        (first,), (second,) = net(X).tolist()
        assert second == 2 * first
        assert realised(net, X).rank <= 1
    assert region_rank(formal(net, X, [[1, 0], [0, 1]])) == 2


# -- T7 -------------------------------------------------------------------------------------------


def scaling_vector(net: ed.ReLUNetwork, layer: int, unit: int) -> list[Fraction]:
    """Return t_k: what enters the unit, and minus what leaves it."""
    theta, columns = parameters(net), numbered(net)
    W, b = columns[layer]
    t = [Fraction(0)] * len(theta)
    for j in [*W[unit], *([] if b is None else [b[unit]])]:
        t[j] = theta[j]
    for row in columns[layer + 1][0]:
        t[row[unit]] = -theta[row[unit]]
    return t


def scaling_vectors(net: ed.ReLUNetwork) -> ed.QMatrix:
    """Return all t_k, one per row."""
    rows = [scaling_vector(net, layer, unit) for layer, unit in hidden_units(net)]
    return ed.QMatrix(rows) if rows else ed.QMatrix.zeros(0, net.n_parameters)


def anchored_units(net: ed.ReLUNetwork) -> set[tuple[int, int]]:
    """Find the hidden units joined by nonzero weights to an input, a bias or an output."""
    weights = [W.tolist() for W in net.weights]
    found = {
        (layer, k)
        for layer, k in hidden_units(net)
        if (layer == 0 and any(weights[0][k]))
        or (net.has_bias[layer] and net.biases[layer][0, k])
        or (layer == net.depth - 2 and any(row[k] for row in weights[-1]))
    }
    while True:
        more = {
            unit
            for layer in range(1, net.depth - 1)
            for k, row in enumerate(weights[layer])
            for j, w in enumerate(row)
            if w and ({(layer, k), (layer - 1, j)} & found)
            for unit in ((layer, k), (layer - 1, j))
        }
        if more <= found:
            return found
        found |= more


def check_scaling(problem: Problem) -> None:
    """Check what T7 says about one problem."""
    net, vectors = problem.net, scaling_vectors(problem.net)
    assert vectors == ed.gauge_vectors(net)
    assert (problem.jacobian() @ vectors.T).is_zero()
    independent = vectors.rank() == net.n_hidden
    assert independent == (len(anchored_units(net)) == net.n_hidden)
    assert vectors.rank() == net.n_hidden - len(unanchored_components(net))
    assert problem.rank <= net.n_parameters - net.n_hidden


@given(problems())
def test_T7_scaling_kernel(problem):
    """T7: J_A(theta) t_k = 0, and rank J_A(theta) <= P - H for every theta, mask and batch.

    Statement. For a hidden unit k let t_k be +w at the weights and the bias that enter it, -v at
    the weights that leave it, and 0 elsewhere. (a) J_A(theta; X) t_k = 0. (b) Join hidden units by
    the nonzero weights between them. The t_k are independent if and only if every connected
    component has a nonzero input weight, a nonzero bias or a nonzero output weight; in general
    their rank is H less the number of other components. (c) rank J_A(theta; X) <= P - H, also where
    the t_k are dependent.

    Source. 2402.08269 for generic parameters; all masks and all theta derived here.

    Proof. (a) f_A does not change if what enters k is multiplied by s and what leaves it is divided
    by s, for any s that is not 0, as the switch does not look at signs; t_k is the derivative at
    s = 1. (b) sum c_k t_k is (c_k - c_j) w at the weight w from j to k, c_k times an input weight
    or bias, and -c_k times an output weight: it vanishes if and only if c is constant on components
    and 0 on those with such a parameter. (c) Where no parameter is 0 the t_k are independent, so
    the rank is at most P - H. Such parameters are dense, and a set {rank <= r} is closed.
    """
    check_scaling(problem)


def test_T7_small_networks_completely(large):
    """T7 for all networks with weights -1, 0, 1 and all masks of two samples."""
    full = 0
    for problem in small_problems(large):
        check_scaling(problem)
        full += problem.rank == problem.net.n_parameters - problem.net.n_hidden
    assert full > 100  # often attained


def test_T7_golden():
    """T7 at GE1: t = (2, -1, -3, 0), J t = 0, and P - H = 3 is attained."""
    X = [[0], [1], [2]]
    assert scaling_vector(GE1, 0, 0) == [2, -1, -3, 0]
    assert (ed.jacobian(GE1, X) @ ed.QMatrix([[2, -1, -3, 0]]).T).is_zero()
    assert ed.jacobian(GE1, X).rank() == 3 == GE1.n_parameters - GE1.n_hidden


def test_T7_controls():
    """T7 with a wrong sign, at an output, with two different masks, and where (b) fails.

    +v in place of -v is no kernel vector, and neither is the vector of an output unit, whose
    rescaling changes f. One mask must switch values and derivatives: a unit that is on for values
    and off for derivatives, as careless conventions at kinks make it, has the row (0, 0, h, 1). At
    theta = 0 all t_k vanish, so (c) does not follow from (a) there, but it holds.
    """
    J = ed.jacobian(GE1, [[0], [1], [2]])
    assert not (J @ ed.QMatrix([[2, -1, 3, 0]]).T).is_zero()
    assert not (J @ ed.QMatrix([[0, 0, 3, 5]]).T).is_zero()
    assert not (ed.QMatrix([[0, 0, 1, 1]]) @ ed.QMatrix([[2, -1, -3, 0]]).T).is_zero()
    zero = formal(GE1.with_parameters([[0, 0, 0, 0]]), [[0], [1], [2]], [[1], [1], [1]])
    assert scaling_vectors(zero.net).rank() == 0
    assert zero.rank <= 3


# -- path lifting ---------------------------------------------------------------------------------


def paths(net: ed.ReLUNetwork) -> list[tuple[int, ...]]:
    """List the columns of the parameters along each path, from an input or a bias to an output."""
    reaching: list[list[tuple[int, ...]]] = [[()] for _ in range(net.widths[0])]
    for W, b in numbered(net):
        reaching = [
            [(*path, w) for w, sources in zip(row, reaching, strict=True) for path in sources]
            + ([] if b is None else [(b[unit],)])
            for unit, row in enumerate(W)
        ]
    return [path for ends in reaching for path in ends]


def lifting_derivative(net: ed.ReLUNetwork) -> ed.QMatrix:
    """Return D phi, the derivative of the products along all paths."""
    theta, rows = parameters(net), []
    for path in paths(net):
        row = [Fraction(0)] * len(theta)
        for j in path:
            row[j] = math.prod((theta[i] for i in path if i != j), start=Fraction(1))
        rows.append(row)
    return ed.QMatrix(rows)


def lifting_count(net: ed.ReLUNetwork) -> int:
    """Count parameters from fed to read units, less the hidden units that are fed and read."""
    layers = [
        (W.tolist(), [] if b is None else b.tolist()[0])
        for W, b in zip(net.weights, net.biases, strict=True)
    ]
    fed = [set(range(net.widths[0]))]
    for W, b in layers:
        fed.append({k for k, row in enumerate(W)
                    if any(row[j] for j in fed[-1]) or (b and b[k])})  # fmt: skip
    read = [set(range(net.widths[-1]))]
    for W, _ in reversed(layers):
        read.insert(0, {j for j in range(len(W[0])) if any(W[k][j] for k in read[0])})
    weights = sum(len(fed[layer]) * len(read[layer + 1]) for layer in range(net.depth))
    biases = sum(len(read[layer + 1]) for layer in range(net.depth) if net.has_bias[layer])
    return weights + biases - sum(len(fed[layer] & read[layer]) for layer in range(1, net.depth))


def check_lifting(problem: Problem) -> None:
    """Check what path lifting says about one problem."""
    net, J, lifted = problem.net, problem.jacobian(), lifting_derivative(problem.net)
    count = lifting_count(net)
    assert lifted.rank() == count == lifting_rank(net)
    assert ed.QMatrix.vstack([lifted, J]).rank() == count  # J = alpha D phi
    assert J.rank() <= count <= net.n_parameters - net.n_hidden
    if all(parameters(net)):
        assert count == net.n_parameters - net.n_hidden


@given(problems(relu_networks(max_width=3) | degenerate_networks(max_width=3)))
def test_lifting_bound(problem):
    """Path lifting (T8, for parameters that may be zero): rank J_A(theta) <= rank D phi(theta).

    Statement. Let phi(theta) be the products of the parameters along all paths from an input or a
    bias to an output. Call a unit fed if nonzero parameters lead to it from an input or a bias, and
    read if nonzero weights lead from it to an output; inputs are fed, outputs are read. Then
    rank D phi(theta) is the number of weights from a fed to a read unit, plus that of biases of
    read units, less the number of hidden units that are fed and read. For every mask and batch
    rank J_A(theta; X) <= rank D phi(theta) <= P - H, and the last two agree if no parameter is 0.

    Source. 2107.09370 and 2206.07424 for the lifting; zeros derived here.

    Proof. f_A = alpha_A(X) phi(theta) with a matrix alpha that does not depend on theta, so J_A =
    alpha D phi: the rows of J_A lie in the row space of D phi. Now its rank. The row of a path with
    two zeros is 0. The row of a path with one zero e has a single entry, in the column of e, where
    paths without zeros have 0; there is such a path if and only if e is a weight from a fed to a
    read unit or the bias of a read unit. So each such e adds 1. As to paths without zeros, multiply
    each column by its parameter and divide each row by its product: what is left is their 0/1
    incidence with the nonzero parameters between fed and read units. A vector in its kernel sums to
    0 along each path, so its sum along a way to a hidden unit that is fed and read does not depend
    on the way (complete two ways by the same rest). These sums are free, one for each such unit,
    and determine the vector. The last inequality is semicontinuity, as in T7.
    """
    check_lifting(problem)


def test_lifting_bound_small_networks_completely(large):
    """Path lifting for all networks with weights -1, 0, 1 and all masks of two samples."""
    below = 0
    for problem in small_problems(large):
        check_lifting(problem)
        attained = problem.rank == lifting_count(problem.net)
        below += attained and problem.rank < problem.net.n_parameters - problem.net.n_hidden
    assert below > 100  # zeros cost something, and the bound is often attained there


def test_lifting_golden_and_controls():
    """Path lifting: goldens of rank D phi, and what zeros must and must not take away.

    In (1, 2, 1) without biases with w = (1, 0), v = (2, 0), unit 2 is neither fed nor read and
    P - H = 2, but the rank is 1. At GE2, P - H = 3 and both are 2. It would be wrong to count only
    parameters that are not 0: w = v = 1, b = c = 0 has two of them, one hidden unit, and rank 3.
    """
    goldens = {(1, 1, 1): 3, (2, 2, 1): 7, (2, 3, 2): 14, (2, 2, 2, 1): 11, (2, 3, 2, 2): 18}
    counts = {(1, 1, 1): 3, (2, 2, 1): 7, (2, 3, 2): 20, (2, 2, 2, 1): 15, (2, 3, 2, 2): 42}
    for widths, rank in goldens.items():
        net = ed.ReLUNetwork.random(widths, seed=0)
        assert len(paths(net)) == counts[widths]
        assert lifting_derivative(net).rank() == lifting_rank(net) == rank
    twin = ed.ReLUNetwork([[[1], [0]], [[2, 0]]])
    assert lifting_count(twin) == 1 < twin.n_parameters - twin.n_hidden
    assert realised(twin, [[1], [-1]]).rank == 1
    X = [[0], [1], [2]]
    assert lifting_count(GE2) == 2 == realised(GE2, X).rank
    sparse = GE1.with_parameters([[1, 0, 1, 0]])
    assert lifting_count(sparse) == 3 == formal(sparse, X, [[0], [1], [1]]).rank


# -- T9 -------------------------------------------------------------------------------------------


def rank_of(*blocks: ed.QMatrix) -> int:
    """Compute the rank of matrices side by side."""
    return ed.QMatrix.hstack(blocks).rank()


def rows_bound(problem: Problem) -> int:
    """T9.1."""
    points = [tuple(x) for x in problem.X.tolist()]
    if not any(problem.net.has_bias):
        points = [tuple(u / (max(map(abs, x)) or 1) for u in x) for x in points]
    return problem.net.widths[-1] * len(set(zip(points, problem.words(), strict=True)))


def affine_pieces_bound(problem: Problem) -> int:
    """T9.2."""
    points = with_ones(problem.X) if any(problem.net.has_bias) else problem.X
    words = problem.words()
    pieces = ([i for i, word in enumerate(words) if word == piece] for piece in set(words))
    return problem.net.widths[-1] * sum(points[piece].rank() for piece in pieces)


def input_rank_bound(problem: Problem) -> int:
    """T9.3."""
    net, first = problem.net, problem.inputs[0]
    unseen = net.widths[1] * (first.shape[1] - first.rank())
    return net.n_parameters - unseen - net.n_hidden


def layer_features_bound(problem: Problem) -> int:
    """T9.4."""
    return sum(w * h.rank() for w, h in zip(problem.net.widths[1:], problem.inputs, strict=True))


def perceived_regions_bound(problem: Problem, chosen: Sequence[tuple[int, ...]]) -> int:
    """T9.5, for some of the rows of the mask."""
    n_inputs, (hidden_bias, output_bias) = problem.net.widths[0], problem.net.has_bias
    A = ed.QMatrix(chosen) if chosen else ed.QMatrix.zeros(0, problem.net.n_hidden)
    constant = with_ones(ed.QMatrix.zeros(len(chosen), 0))
    parts = [*([A] if hidden_bias else []), *([constant] if output_bias else [])]
    g = n_inputs * A.rank() + (rank_of(*parts) if parts else 0)
    return g + sum(word not in chosen for word in problem.words())


def switched(problem: Problem, layer: int, unit: int) -> ed.QMatrix:
    """Return a_k o H~: the inputs of a unit's layer, zero at samples where the unit is off."""
    H = problem.inputs[layer]
    return H.masked(np.repeat(problem.on[layer][:, [unit]], H.shape[1], axis=1))


def unit_relations_bound(problem: Problem) -> int:
    """T9.6."""
    total = problem.net.widths[-1] * problem.inputs[-1].rank()
    for layer, unit in hidden_units(problem.net):
        after = problem.inputs[layer + 1]
        total += rank_of(switched(problem, layer, unit), after) - after.rank()
    return total


def simple_units_bound(problem: Problem) -> int:
    """T9.6', the simpler form."""
    ranks = sum(switched(problem, layer, unit).rank() for layer, unit in hidden_units(problem.net))
    return ranks + problem.net.widths[-1] * problem.inputs[-1].rank() - len(seen_units(problem))


def seen_units(problem: Problem) -> list[tuple[int, int]]:
    """List the hidden units whose value is not zero at all samples."""
    return [
        (layer, unit)
        for layer, unit in hidden_units(problem.net)
        if not problem.inputs[layer + 1][:, [unit]].is_zero()
    ]


def removed_samples_bound(problem: Problem, removed: Iterable[int]) -> int:
    """T9.7, for some samples."""
    gone = set(removed)
    rest = problem.pick(i for i in range(len(problem.mask)) if i not in gone)
    return problem.net.widths[-1] * len(gone) + unit_relations_bound(rest)


def all_bounds(problem: Problem) -> dict[str, int]:
    """Return the bounds of T9 that depend on no choice, under the names of the package."""
    return {
        "rows": rows_bound(problem),
        "affine-pieces": affine_pieces_bound(problem),
        "input-rank": input_rank_bound(problem),
        "layer-features": layer_features_bound(problem),
        "unit-relations": unit_relations_bound(problem),
    }


@given(problems())
def test_T9_1_rows(problem):
    """T9.1: rank J_A <= N_L times the number of distinct samples; without biases, distinct rays.

    Statement. Samples are distinct if the points or their rows of the mask differ. If no layer has
    a bias, x and s x with s > 0 and the same row of the mask count once.
    Source. Derived here.
    Proof. Equal samples have equal rows. Without biases all features are linear in x on a mask, and
    M does not depend on x, so the N_L rows at s x are s times those at x.
    """
    assert problem.rank <= rows_bound(problem)
    assert rows_bound(problem) == StructuralBounds(problem.factors()).rows().value


def test_T9_1_controls():
    """T9.1: with a bias rays do not count once, and formal masks must be told apart."""
    assert ed.jacobian(GE1, [[1], [2]]).rank() == 2
    net = ed.ReLUNetwork([[[1], [1]], [[1, 1]]])
    assert formal(net, [[1], [1]], [[1, 0], [0, 1]]).rank == 2
    assert rows_bound(formal(net, [[1], [3]], [[1, 0], [1, 0]])) == 1


@given(problems())
def test_T9_2_affine_pieces(problem):
    """T9.2: rank J_A <= N_L sum_r rank [X_r | 1], over the distinct rows r of the mask, any depth.

    Statement. X_r are the samples with row r. Without biases rank X_r is enough. In particular
    rank J_A <= N_L (N_0 + 1) times the number of distinct rows.
    Source. Derived here.
    Proof. For one row of the mask, M is constant and each h~ is affine in x, so output j's row of J
    is an affine function of x: a fixed matrix times (x, 1). Without biases it is linear.
    """
    net, bound = problem.net, affine_pieces_bound(problem)
    assert problem.rank <= bound
    assert bound == StructuralBounds(problem.factors()).affine_pieces().value
    most = net.widths[0] + any(net.has_bias)
    assert bound <= net.widths[-1] * most * len(set(problem.words()))


def test_T9_2_controls():
    """T9.2: the 1 is needed with biases, and rows of the mask must not be merged.

    f = relu(x) - relu(x) is zero, one linear piece, but its samples have two rows of the mask.
    """
    assert ed.jacobian(GE1, [[1], [2]]).rank() == 2 > ed.QMatrix([[1], [2]]).rank()
    zero = ed.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]])
    X = [[-2], [-1], [1], [2]]
    assert zero(X).is_zero()
    assert affine_pieces_bound(realised(zero, X)) == 4
    assert realised(zero, X).rank == 3 > with_ones(ed.QMatrix(X)).rank()


@given(problems())
def test_T9_3_input_rank(problem):
    """T9.3: rank J_A <= P_eff - H with P_eff = N_1 q + the parameters of the other layers.

    Statement. q = rank H~_0 is the rank of the inputs of the first layer, ones included.
    Source. Derived here.
    Proof. A change D of the first layer's parameters with H~_0 D^T = 0 changes no output; these are
    N_1 (columns - q) dimensions. Together with the t_k of T7 they are independent where no weight
    above the first layer is 0: in sum c_k t_k + D = 0 the entries above the first layer are
    (c_k - c_j) w, and -c_k w at the last layer, so all c_k vanish, and then D. As in T7 the bound
    extends to all theta.
    """
    assert problem.rank <= input_rank_bound(problem)
    assert input_rank_bound(problem) == StructuralBounds(problem.factors()).input_rank().value


def test_T9_3_controls():
    """T9.3: q needs the ones, and no other layer may be counted by its rank with H taken off.

    A (1, 1, 1) network with a bias at the output only: at x = 0 the rank is 1, but
    N_1 rank H~_0 + N_2 rank H~_1 - H = 0 + 1 - 1.
    """
    affine = ed.ReLUNetwork([[[1]]], [[1]])
    assert ed.jacobian(affine, [[1], [2]]).rank() == 2 > ed.QMatrix([[1], [2]]).rank()
    net = ed.ReLUNetwork([[[1]], [[1]]], [None, [1]])
    problem = realised(net, [[0]])
    assert problem.rank == 1 > layer_features_bound(problem) - net.n_hidden


@given(problems())
def test_T9_4_layer_features(problem):
    """T9.4: rank J_A <= sum_l N_l rank H~_{l-1}.

    Source. Derived here.
    Proof. The columns of one unit of layer l are H~_{l-1} with each row repeated N_L times and
    multiplied by the derivative of an output in that unit: at most rank H~_{l-1} of them are
    independent. The columns of the last layer are I (x) H~_{L-1}.
    """
    assert problem.rank <= layer_features_bound(problem)
    found = StructuralBounds(problem.factors()).layer_features().value
    assert found == layer_features_bound(problem)


shallow_networks = relu_networks(min_depth=2, max_depth=2, output_width=1) | degenerate_networks(
    max_depth=2, output_width=1
)


@given(problems(shallow_networks, max_size=4))
def test_T9_5_perceived_regions(problem):
    """T9.5, from T17: shallow networks with one output, any choice S of rows of the mask.

    Statement. L = 2, N_2 = 1. A_S is the 0/1 matrix of the distinct rows in S, n_r the number of
    samples with row r. Then rank J_A <= g(S) + sum_{r not in S} n_r with
      g(S) = N_0 rk A_S + rk [A_S | 1]   with biases at hidden units and output,
             (N_0 + 1) rk A_S            with biases at hidden units only,
             N_0 rk A_S + [S not empty]  with a bias at the output only,
             N_0 rk A_S                  without biases.
    For generic samples the minimum over S is the rank (T17); the bound is for all samples and v.

    Source. Derived here; 2402.08269 announces a relation to the linear regions.

    Proof. Samples with rows outside S add at most one each. Take the rest. If no v_k is 0, the
    column h_k is a combination of the columns v_k a_k x~ of unit k, so J has the column space of
    diag(x_j) A for the coordinates j of x, of A if the hidden units have biases, and of 1 if the
    output has. The N_0 first ones have rank at most rk A_S each, the others together that of
    [A | 1], [A], [1] or nothing. The bound does not depend on v, so semicontinuity gives v_k = 0.
    """
    rank = problem.rank
    for chosen in subsets(sorted(set(problem.words()))):
        assert rank <= perceived_regions_bound(problem, chosen)


def test_T9_5_golden():
    """T9.5: clusters in the four quadrants, W = I, v = (1, 2), with biases: rank 6 at S = {++, --}.

    The value at S = all is 7, at the empty set 9, at {++} 7. The bounds of the package stop at 7;
    the package closes the gap by kernel vectors.
    """
    net = ed.ReLUNetwork([[[1, 0], [0, 1]], [[1, 2]]], [[0, 0], [1]])
    X = [[1, 2], [3, 1], [2, 7], [5, 3], [4, 9], [1, -2], [-3, 2], [-1, -5], [-2, -3]]
    problem = realised(net, X)
    value = {s: perceived_regions_bound(problem, s) for s in subsets(set(problem.words()))}
    both = next(s for s in value if set(s) == {(1, 1), (0, 0)})
    everything = max(value, key=len)
    assert (value[both], value[everything], value[()], value[(1, 1),]) == (6, 7, 9, 7)
    assert min(value.values()) == problem.rank == 6 == ed.local_dimension(net, X).value
    assert ed.dimension_bounds(net, X)[0].value == 7


def test_T9_5_controls():
    """T9.5: with two outputs it fails, and so does rk A_S in place of rk [A_S | 1]."""
    two = ed.ReLUNetwork([[[1]], [[1], [1]]])
    problem = realised(two, [[1]])
    assert problem.rank == 2 > perceived_regions_bound(problem, [(1,)]) == 1
    problem = realised(GE1, [[-1], [-2], [1], [2]])
    A = ed.QMatrix([[0], [1]])
    assert problem.rank == 3 == perceived_regions_bound(problem, [(0,), (1,)])
    assert problem.rank > 1 * A.rank() + A.rank()


def check_unit_relations(problem: Problem) -> None:
    """Check what T9.6 says about one problem."""
    bound = unit_relations_bound(problem)
    assert problem.rank <= bound <= simple_units_bound(problem) <= layer_features_bound(problem)


@given(problems())
def test_T9_6_unit_relations(problem):
    """T9.6: what each unit can add to the span of its own layer.

    Statement. With a_k o H~_{l-1} the inputs of unit k's layer at the samples where k is on, and 0
    elsewhere,
      rank J_A <= U(X) = sum_{l<L} sum_{k in l} (rank [a_k o H~_{l-1} | H~_l] - rank H~_l)
                         + N_L rank H~_{L-1}.
    The simpler form 6', which is never smaller, is
      rank J_A <= sum_{l<L} sum_{k in l} rank (a_k o H~_{l-1}) + N_L rank H~_{L-1} - g,
    g the number of hidden units whose value is not 0 at all samples.

    Source. Derived here.

    Proof. Let (a_k o H~_{l-1}) delta = H~_l beta. Change the parameters that enter k by delta, and
    those that enter unit m of layer l+1 by -W_mk beta, for all m. The value of k changes by H~_l
    beta at the samples, its effect W_mk H~_l beta on m is undone, so no output changes: a kernel
    vector. The delta of unit k form a space of dimension columns - (rank [a_k o H~ | H~_l] -
    rank H~_l). In layer l these vectors fill the direct sum of these spaces over k, and those of
    higher layers are 0 there; so, going up layer by layer, no dimension is lost between layers. To
    these come the N_L (columns - rank H~_{L-1}) changes of the last layer that no sample sees. The
    number of parameters less all this is U. For 6': the vector h_k is in the span of both blocks,
    so rank [A | B] - rank B <= rank A - 1 where it is not 0.

    Check also that the package's bound, which looks only at samples where the unit's value moves
    some output, is no larger. (It is a bound because the relation is needed at these samples only.
    Leaving out rows does not increase rank [A | B] - rank B, which counts columns of A modulo those
    of B.)
    """
    check_unit_relations(problem)
    bounds = StructuralBounds(problem.factors())
    assert bounds.unit_relations().value <= unit_relations_bound(problem)


def test_T9_6_small_networks_completely(large):
    """T9.1 to T9.6 for all networks with weights -1, 0, 1 and all masks of two samples."""
    tight = 0
    for problem in small_problems(large):
        check_unit_relations(problem)
        bounds = all_bounds(problem)
        assert problem.rank <= min(bounds.values())
        tight += problem.rank == min(bounds.values())
        if problem.net.depth == 2 and problem.net.widths[-1] == 1:
            for chosen in subsets(sorted(set(problem.words()))):
                assert problem.rank <= perceived_regions_bound(problem, chosen)
    assert tight > 1000


def test_T9_6_golden():
    """T9.6 at the golden of T16: aligned units, all on; rank 11 = U, below P - H = 15."""
    net = ed.ReLUNetwork([[[1, 2, 0], [0, 1, 1]], [[1, 0], [0, 1], [1, 1]]], [[10, 10], [0, 0, 0]])
    problem = realised(net, [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    assert problem.mask.all()
    assert problem.rank == unit_relations_bound(problem) == 11
    assert net.n_parameters - net.n_hidden == 15 == simple_units_bound(problem)


def test_T9_6_control_units_that_count():
    """T9.6': g counts values that are not zero, neither units that are on nor all of them.

    (1, 1, 1) without biases, w = 0, v = 1, x = 1, on by decree: rank 1, and the sum of ranks is 1,
    so g must be 0. And if on-sets are narrowed to the samples where the unit moves an output, g has
    to be counted on those: with w = 1, v = 0 the unit moves nothing, and the narrowed sum is the
    rank of h, which is 1, like the rank of J.
    """
    problem = formal(ed.ReLUNetwork([[[0]], [[1]]]), [[1]], [[1]])
    assert problem.rank == 1 == simple_units_bound(problem)
    assert problem.mask.any()
    assert seen_units(problem) == []
    unread = realised(ed.ReLUNetwork([[[1]], [[0]]]), [[1]])
    narrowed = 0 + unread.inputs[-1].rank()
    assert unread.rank == 1 > narrowed - len(seen_units(unread))


def test_T9_control_inner_ranks_must_not_be_modular():
    """T9, the rule: a rank inside an upper bound must itself be bounded from above.

    With a sample divisible by p, the rank of the features modulo p is 0, and the "bound" is below
    the rank. The package's bounds use the features' rank over the rationals.
    """
    p = 2**61 - 1
    net, X = ed.ReLUNetwork([[[1]]]), [[p]]
    assert modular.rank(realised(net, X).inputs[0], p) == 0
    assert ed.jacobian(net, X).rank() == 1
    assert all(bound.value >= 1 for bound in ed.dimension_bounds(net, X))


@given(problems(max_size=4))
def test_T9_7_removed_samples(problem):
    """T9.7: rank J_A <= N_L |S| + U(X without S), for every set S of samples.

    Source. Derived here.
    Proof. The rows of S add at most N_L each to the rank of the others, which is at most U of the
    others. U shrinks by more than N_L where a sample alone lights a feature that many units see.
    """
    bounds, rank = StructuralBounds(problem.factors()), problem.rank
    for removed in subsets(range(len(problem.mask))):
        bound = removed_samples_bound(problem, removed)
        assert rank <= bound
        assert bounds.unit_relations(removed).value <= bound


def test_T9_7_golden_and_control():
    """T9.7: removing a sample that alone lights a feature pays, and its rows must be counted.

    Both units see input 2 at the first sample only. U is 4 with all samples and 1 + 2 without the
    first one, which is the rank; so 2 alone would be no bound.
    """
    net = ed.ReLUNetwork([[[2, 1], [-2, 2]], [[1, 1]]])
    problem = realised(net, [[0, 3], [1, 0], [-1, 0], [3, 0]])
    assert unit_relations_bound(problem) == 4
    assert problem.rank == 3 == removed_samples_bound(problem, [0])
    assert unit_relations_bound(problem.pick([1, 2, 3])) == 2


# -- heads, and the bounds of the package ---------------------------------------------------------


def differences(problem: Problem) -> Problem:
    """Subtract the last output from the others: the network with last layer C W, C b."""
    net = problem.net
    C = head_matrix("softmax", net.widths[-1])
    last = net.biases[-1]
    return replace(
        problem,
        net=ed.ReLUNetwork(
            [*net.weights[:-1], C @ net.weights[-1]],
            [*net.biases[:-1], None if last is None else last @ C.T],
        ),
    )


several_outputs = relu_networks(output_width=3) | degenerate_networks(output_width=2)


@given(problems(several_outputs))
def test_T9_heads(problem):
    """T9 for softmax: the bounds of the network whose outputs are differences of logits.

    Statement. With C = [I | -1], the matrix (I (x) C) J, which has the rank of the softmax Jacobian
    (T28), has the rank of the logit Jacobian of the network with last layer C W_L, C b_L, which has
    N_L - 1 outputs. So for N_L >= 2 all of T7, T9 and path lifting holds for softmax with N_L - 1
    in place of N_L. In T9.3 that means, for L >= 2, N_{L-1} + [bias] less than for logits, just as
    T28 says for P - H; for L = 1 it means (N_1 - 1) q. For N_L = 1 the rank is 0.

    Source. Derived here.

    Proof. The outputs C f of the smaller network are functions of (theta', C W_L, C b_L), and this
    triple depends on theta by a linear surjection, since C has full row rank. So (I (x) C) J is the
    smaller network's Jacobian times the matrix of the surjection, with the same column space.

    The package agrees bound by bound, except that it leaves the term of T9.3 out. Its bound by unit
    relations makes up for that on realised masks: there a unit that is on somewhere has a value
    that is not 0, so 6' gives at most T9.3 if q > 0; if q = 0, leave the first layer out.
    """
    smaller = differences(problem)
    rank = problem.jacobian("softmax").rank()
    assert rank == smaller.rank
    statement = all_bounds(smaller)
    assert rank <= min(statement.values())
    bounds = StructuralBounds(problem.factors("softmax"))
    assert bounds.rows().value == statement["rows"]
    assert bounds.affine_pieces().value == statement["affine-pieces"]
    assert bounds.layer_features().value == statement["layer-features"]
    assert bounds.unit_relations().value <= statement["unit-relations"]
    assert bounds.parameters().value == smaller.net.n_parameters - smaller.net.n_hidden
    assert bounds.input_rank().value == input_rank_bound(problem) >= statement["input-rank"]
    on = [unit for unit in hidden_units(problem.net) if not switched(problem, *unit).is_zero()]
    if on == seen_units(problem):
        assert bounds.unit_relations().value <= statement["input-rank"]


def test_T9_heads_controls():
    """T9 for softmax: T28's term comes off once, from a bound that counts the last layer in full.

    L = 1, one sample, widths (2, 3): softmax rank 2, but P_eff - H = 3, less 3 is 0. The same
    sample refutes taking it off T9.4 and T9.6, which are 3 for logits. With one output the softmax
    rank is 0, but the formulas are no bounds: at x = 0 without biases, P_eff - H would be -1.
    """
    affine = realised(ed.ReLUNetwork([[[1, 0], [0, 1], [1, 1]]], [[1, 2, 3]]), [[1, 2]])
    assert affine.jacobian("softmax").rank() == 2
    for bound in (input_rank_bound, layer_features_bound, unit_relations_bound):
        assert bound(affine) - (2 + 1) == 0
        assert bound(differences(affine)) == 2
    lone = realised(ed.ReLUNetwork([[[1]], [[1]]]), [[0]])
    assert lone.jacobian("softmax").rank() == 0 > input_rank_bound(lone) - 1


@given(problems())
def test_the_bound_by_unit_relations_contains_path_lifting(problem):
    """Unit relations are at least as sharp as path lifting, hence as P - H, for every mask.

    Statement. Restrict A = a_k o H~_{l-1} and B = H~_l in T9.6 to the samples at which the value of
    k moves an output. Then U <= the count of path lifting <= P - H.
    Source. Derived here.
    Proof. Inputs that are not fed are 0 at all samples, so rank A and rank H~_{L-1} are at most the
    numbers of fed inputs, ones included. A unit that is not read has no sample left and adds 0. A
    unit that is read and not fed adds at most rank A. One that is fed and read adds at most
    rank A - 1 if its value h_k is not 0 on these samples; if it is 0, A w~_k = 0 is a relation
    between the columns of fed inputs, not all of whose coefficients are 0, so rank A is one less.
    """
    found = StructuralBounds(problem.factors()).unit_relations().value
    assert problem.rank <= found <= lifting_rank(problem.net)


@given(networks_with_batches(), st.sampled_from(["logits", "softmax"]))
def test_dimension_bounds(problem, head):
    """T7, T9, T28: what `dimension_bounds` returns holds, and is no weaker than the statements."""
    net, X = problem
    here = realised(net, X)
    rank = ed.jacobian(net, X, head=head, on_kink="zero").rank()
    bounds = ed.dimension_bounds(net, X, head=head, on_kink="zero")
    values = [bound.value for bound in bounds]
    assert values == sorted(values)
    assert rank <= values[0]
    if head == "softmax" and net.widths[-1] == 1:
        assert rank == 0 == values[0]
        return
    if head == "softmax":
        here = differences(here)
    statements = all_bounds(here)
    assert values[0] <= min(*statements.values(), here.net.n_parameters - net.n_hidden)
    assert values[0] <= lifting_rank(here.net)
    named = {bound.name: bound.value for bound in bounds}
    assert named["unit-relations"] <= statements["unit-relations"]
    removed = min(removed_samples_bound(here, {i}) for i in range(len(here.mask)))
    assert rank <= removed
    assert rank == ed.local_dimension(net, X, head=head, on_kink="zero", proof="full").value
