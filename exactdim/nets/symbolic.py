"""The outputs of a network as polynomials in its parameters, on one activation pattern.

With the mask fixed, outputs, pre-activations and Jacobian are polynomials in the parameters (T3).
That makes three questions algebraic: the rank that the Jacobian has at almost every parameter with
this pattern (T4), the parameters where it is smaller, and the inequalities that a parameter must
satisfy to have the pattern at all (T2).

Parameters are named as in papers, one-based: ``W1_2_3`` and ``b1_2``, in LaTeX ``W^{(1)}_{2,3}``
and ``b^{(1)}_{2}``, are ``net.weights[0][1, 2]`` and ``net.biases[0][0, 1]``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, ShapeMismatch, TooLarge
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import JacobianFactors
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import ActivationPattern, KinkChoice, activation_pattern
from exactdim.nets.polynomials import (
    Matrix,
    common_zeros,
    generic_rank,
    groebner,
    load_sympy,
    minors,
)

__all__ = ["RankDropLocus", "SymbolicNetwork", "symbolic"]

Expression: TypeAlias = Any
"""A sympy expression; sympy has no types."""

MAX_OUTPUT_TERMS = 20_000
"""Most monomials in the outputs of a batch."""


@dataclass(frozen=True, eq=False, repr=False)
class SymbolicNetwork:
    """A batch and a mask, with parameters that are symbols. Made by `symbolic`.

    Attributes
    ----------
    widths : tuple of int
        ``(N_0, ..., N_L)``.
    has_bias : tuple of bool
        One per layer.
    batch : QMatrix of shape (n, N_0)
    pattern : ActivationPattern
        The prescribed mask, whether some parameter realises it or not.
    """

    widths: tuple[int, ...]
    has_bias: tuple[bool, ...]
    batch: QMatrix
    pattern: ActivationPattern

    @cached_property
    def parameters(self) -> tuple[Expression, ...]:
        """The P symbols, in the column order of `exactdim.jacobian`."""
        return tuple(load_sympy().Symbol(name.text) for name in self._names)

    @property
    def latex_names(self) -> dict[Expression, str]:
        """The symbols as LaTeX writes them, for the ``symbol_names`` of `sympy.latex`."""
        names = (name.latex for name in self._names)
        return dict(zip(self.parameters, names, strict=True))

    @cached_property
    def outputs(self) -> Expression:
        """The logits, an immutable sympy matrix of shape (n, N_L) of polynomials."""
        polynomials = self._forward.outputs
        return self._sympy_matrix(polynomials, self.batch.shape[0], self.widths[-1])

    @cached_property
    def jacobian(self) -> Expression:
        """Their derivatives, an immutable sympy matrix of shape (n * N_L, P) of polynomials.

        Row ``i * N_L + j`` is output j of sample i.
        """
        rows = self._forward.jacobian
        return self._sympy_matrix([e for row in rows for e in row], len(rows), len(rows[0]))

    def substitution(self, theta: ReLUNetwork | ArrayLike) -> dict[Expression, Expression]:
        """Pair each symbol with its value, for the ``subs`` and ``xreplace`` of sympy.

        Parameters
        ----------
        theta : ReLUNetwork of this architecture, or ArrayLike of shape (P,) or (1, P)

        Returns
        -------
        dict of sympy.Symbol to sympy.Rational

        Raises
        ------
        ShapeMismatch
            If theta does not fit the architecture.

        Examples
        --------
        >>> f = symbolic((1, 1, 1), [[0]], [[1]])
        >>> f.outputs.subs(f.substitution((2, -1, 3, 5)))
        Matrix([[8]])
        """
        values = self._at(theta).parameters().tolist()[0]
        rational = load_sympy().Rational
        return {
            symbol: rational(value.numerator, value.denominator)
            for symbol, value in zip(self.parameters, values, strict=True)
        }

    def rank_at(self, theta: ReLUNetwork | ArrayLike) -> int:
        """Compute the rank of the Jacobian of this mask at a parameter.

        Parameters
        ----------
        theta : ReLUNetwork of this architecture, or ArrayLike of shape (P,) or (1, P)
            Need not have this pattern.

        Returns
        -------
        int
            At most `generic_rank`.

        Raises
        ------
        ShapeMismatch
            If theta does not fit the architecture.
        """
        return JacobianFactors(self._at(theta), self.batch, self.pattern, "logits").dense.rank()

    def generic_rank(self) -> int:
        """Compute the rank of the Jacobian over the field of rational functions, always proved.

        Returns
        -------
        int
            The rank at all parameters but those on `rank_drop_locus`, and the largest of all. If
            the mask is realised on an open set, the local dimension almost everywhere in it.

        Raises
        ------
        TooLarge
            If the two ends do not meet and the matrix to be eliminated has more than 400
            monomials. The message names the ends.

        Notes
        -----
        Source: arXiv 2402.08269; T4. The rank at one parameter is a lower end, whatever the
        parameter. An upper end is P - H (T7), and the number of rows and columns that are left
        when rational combinations are removed and the symmetries of the mask are used to fix
        parameters: m hidden units with the same column of the mask can be mixed by an invertible
        matrix of order m, and a unit that is on at every sample can be shifted if the next layer
        has a bias. If the ends do not meet, the rank over the field of fractions decides.

        Examples
        --------
        >>> symbolic((1, 1, 1), [[0], [1], [2]], [[0], [1], [1]]).generic_rank()
        3
        """
        return self._generic_rank

    def rank_drop_locus(self) -> RankDropLocus:
        """Describe the parameters at which the Jacobian has less than its generic rank.

        Returns
        -------
        RankDropLocus

        Raises
        ------
        TooLarge
            As `generic_rank`.

        Examples
        --------
        >>> locus = symbolic((1, 1, 1), [[0], [1], [2]], [[0], [1], [1]]).rank_drop_locus()
        >>> locus.equations
        (W2_1_1,)
        >>> locus.contains((2, -1, 0, 5)), locus.contains((2, -1, 3, 5))
        (True, False)
        """
        return RankDropLocus(self, self.generic_rank())

    def region_conditions(self) -> tuple[Expression, ...]:
        """List the inequalities that say that a parameter has this pattern.

        Returns
        -------
        tuple of sympy relationals
            ``z > 0`` for a unit that is on at a sample and ``z < 0`` for one that is off, each
            condition once, in the order of samples, layers, units.

        Notes
        -----
        T2. A pre-activation that is identically zero, which takes a layer without bias, is off for
        every parameter: it gives no condition if the mask says so and ``False`` otherwise.

        Examples
        --------
        >>> symbolic((1, 1, 1), [[0], [1]], [[0], [1]]).region_conditions()
        (b1_1 < 0, W1_1_1 + b1_1 > 0)
        """
        sympy = load_sympy()
        conditions = [
            sympy.Gt(z.as_expr(), 0) if on else sympy.Lt(z.as_expr(), 0)
            for _, z, on in self._signed_preactivations()
        ]
        return tuple(dict.fromkeys(conditions))

    def latex(self) -> str:
        r"""Write outputs, Jacobian and the conditions of the region in LaTeX.

        Returns
        -------
        str
            Three displays that need the package amsmath only.

        Examples
        --------
        >>> print(symbolic((1, 1, 1), [[1]], [[1]]).latex())
        \begin{align*}
        f_{1}(x_{1}) &= W^{(1)}_{1,1} W^{(2)}_{1,1} + W^{(2)}_{1,1} b^{(1)}_{1} + b^{(2)}_{1}
        \end{align*}
        \begin{equation*}
        J = \left[\begin{array}{cccc}...\end{array}\right]
        \end{equation*}
        \begin{align*}
        z^{(1)}_{1}(x_{1}) &= W^{(1)}_{1,1} + b^{(1)}_{1} > 0
        \end{align*}
        """
        sympy, names = load_sympy(), self.latex_names

        def tex(value: Expression, **options: Any) -> str:
            return str(sympy.latex(value, symbol_names=names, **options))

        samples, units = self.outputs.shape
        lines = [
            f"f_{{{j + 1}}}(x_{{{i + 1}}}) &= {tex(self.outputs[i, j])}"
            for i in range(samples)
            for j in range(units)
        ]
        conditions = [
            f"z^{{({layer + 1})}}_{{{unit + 1}}}(x_{{{i + 1}}}) &= {tex(z.as_expr())} "
            f"{'>' if on else '<'} 0"
            for (i, layer, unit), z, on in self._signed_preactivations()
        ]
        matrix = tex(self.jacobian, mat_str="array")
        parts = [
            _display("align*", lines),
            _display("equation*", [f"J = {matrix}"]),
            *([_display("align*", conditions)] if conditions else []),
        ]
        return "\n".join(parts)

    def __repr__(self) -> str:
        net = self._architecture
        return (
            f"<SymbolicNetwork {'-'.join(map(str, self.widths))}: {net.n_parameters} parameters, "
            f"mask of {net.n_hidden} hidden units at {self.batch.shape[0]} samples>"
        )

    # -- inside -------------------------------------------------------------------------------

    @cached_property
    def _architecture(self) -> ReLUNetwork:
        return ReLUNetwork.random(self.widths, seed=0, bias=self.has_bias)

    def _at(self, theta: ReLUNetwork | ArrayLike) -> ReLUNetwork:
        if isinstance(theta, ReLUNetwork):
            if (theta.widths, theta.has_bias) != (self.widths, self.has_bias):
                raise ShapeMismatch(
                    f"theta is {theta!r}; this architecture is {self._architecture!r}"
                )
            return theta
        flat = len(theta) == 0 or not hasattr(theta[0], "__len__") or isinstance(theta[0], str)
        return self._architecture.with_parameters([theta] if flat else theta)

    @cached_property
    def _names(self) -> list[_Name]:
        return list(_names(self.widths, self.has_bias))

    @cached_property
    def _forward(self) -> _Forward:
        return _Forward(self, {})

    @cached_property
    def _generic_rank(self) -> int:
        rng = random.Random(0)
        net = self._architecture
        somewhere = [rng.randint(-(10**6), 10**6) for _ in range(net.n_parameters)]
        lower = self.rank_at(somewhere)
        rows = self.batch.shape[0] * self.widths[-1]
        if lower == min(rows, net.n_parameters - net.n_hidden):
            return lower
        return generic_rank(_Forward(self, _fixed_by_symmetry(self)).jacobian, lower)

    def _signed_preactivations(self) -> Iterator[tuple[tuple[int, int, int], Any, bool]]:
        """``(sample, layer, unit)``, polynomial and mask, without what imposes no condition."""
        for place, z in self._forward.preactivations.items():
            i, layer, unit = place
            on = bool(self.pattern.layers[layer][i, unit])
            if z or on:
                yield place, z, on

    @staticmethod
    def _sympy_matrix(entries: Iterable[Any], rows: int, columns: int) -> Expression:
        flat = [entry.as_expr() for entry in entries]
        return load_sympy().ImmutableDenseMatrix(rows, columns, flat)


@dataclass(frozen=True, eq=False, repr=False)
class RankDropLocus:
    """The parameters at which the Jacobian of a mask has less than its generic rank.

    The locus is defined by all minors of the order of the generic rank (T2, T4). Polynomials are
    computed when they are asked for; `contains` needs none of them.

    Attributes
    ----------
    network : SymbolicNetwork
    rank : int
        The generic rank.
    """

    network: SymbolicNetwork
    rank: int

    def contains(self, theta: ReLUNetwork | ArrayLike) -> bool:
        """Decide exactly whether the rank drops at a parameter, in the region or not.

        Parameters
        ----------
        theta : ReLUNetwork of this architecture, or ArrayLike of shape (P,) or (1, P)

        Returns
        -------
        bool

        Raises
        ------
        ShapeMismatch
            If theta does not fit the architecture.
        """
        return self.network.rank_at(theta) < self.rank

    @property
    def minors(self) -> tuple[Expression, ...]:
        """Generators of the ideal of all minors of the order of the generic rank.

        Raises
        ------
        TooLarge
            If there are more than 1000 of them, or more than 20000 monomials in them.
        """
        return tuple(p.as_expr() for p in self._minors)

    @property
    def equations(self) -> tuple[Expression, ...]:
        """Polynomials in factored form whose common zeros are the locus.

        They vanish where the minors do, over the complex numbers too, but multiplicities are
        removed, so they may generate a larger ideal. ``(1,)`` means that the rank never drops.

        Raises
        ------
        TooLarge
            As `minors`.
        """
        return self._factored(self._equations)

    @property
    def equations_in_region(self) -> tuple[Expression, ...]:
        """The same inside the region of the mask, where no pre-activation vanishes.

        Factors of pre-activations are cancelled, so these are shorter, and right only for
        parameters that satisfy `SymbolicNetwork.region_conditions`.

        Raises
        ------
        TooLarge
            As `minors`.
        """
        preactivations = self.network._forward.preactivations.values()
        return self._factored(common_zeros(self._products, nonzero=preactivations))

    def groebner_basis(self) -> tuple[Expression, ...]:
        """Compute the reduced Groebner basis of the ideal that the equations generate.

        Returns
        -------
        tuple of polynomials
            For grevlex, with the parameters in the order of `SymbolicNetwork.parameters`.

        Raises
        ------
        TooLarge
            As `minors`, or if the equations have more than 120 monomials.
        """
        return tuple(p.as_expr() for p in groebner(self._products))

    def __repr__(self) -> str:
        return f"<RankDropLocus of {self.network!r}: rank below {self.rank}>"

    @cached_property
    def _minors(self) -> list[Any]:
        if self.rank == 0:
            return [self.network._forward.ring.one]
        return minors(self.network._forward.jacobian, self.rank)

    @cached_property
    def _equations(self) -> list[list[Any]]:
        return common_zeros(self._minors)

    @property
    def _products(self) -> list[Any]:
        one = self.network._forward.ring.one
        return [math.prod(factors, start=one) for factors in self._equations]

    @staticmethod
    def _factored(equations: list[list[Any]]) -> tuple[Expression, ...]:
        multiply = load_sympy().Mul
        return tuple(multiply(*(p.as_expr() for p in factors)) for factors in equations)


def symbolic(
    net_or_widths: NetworkLike | Sequence[int],
    X: ArrayLike,
    pattern: ActivationPattern | ArrayLike | None = None,
    *,
    bias: bool | Sequence[bool] | None = None,
    on_kink: KinkChoice = "raise",
) -> SymbolicNetwork:
    """Write a network on one activation pattern as polynomials in its parameters.

    Parameters
    ----------
    net_or_widths : ReLUNetwork, anything `as_network` reads, or (N_0, ..., N_L)
        Of a network only the architecture counts, and its own pattern if none is given.
    X : ArrayLike of shape (n, N_0)
        Samples in rows.
    pattern : ActivationPattern or array of booleans of shape (n, H), optional
        Realisable or not. By default the network's pattern at the batch.
    bias : bool or sequence of bool, optional
        With widths only: for all layers (default: true), or one per layer.
    on_kink : {"raise", "zero", "drop"}
        For the network's own pattern, as in `activation_pattern`.

    Returns
    -------
    SymbolicNetwork

    Raises
    ------
    InvalidInput
        If widths come without a pattern, a network with `bias`, the mask has entries other than
        0 and 1, or (`OnKink`) the network is on a kink at a sample.
    ShapeMismatch
        If batch or mask do not fit the architecture.

    Notes
    -----
    Source: arXiv 2402.08269; T2 to T5. The outputs have one monomial per active path and sample.

    Examples
    --------
    >>> f = symbolic((1, 1, 1), [[1], [2]], [[1], [1]])
    >>> f.outputs
    Matrix([
    [  W1_1_1*W2_1_1 + W2_1_1*b1_1 + b2_1],
    [2*W1_1_1*W2_1_1 + W2_1_1*b1_1 + b2_1]])
    >>> f.jacobian
    Matrix([
    [  W2_1_1, W2_1_1,   W1_1_1 + b1_1, 1],
    [2*W2_1_1, W2_1_1, 2*W1_1_1 + b1_1, 1]])
    """
    if _are_widths(net_or_widths):
        net = ReLUNetwork.random(net_or_widths, seed=0, bias=True if bias is None else bias)
        if pattern is None:
            raise InvalidInput("widths alone have no activation pattern; give the mask as well")
    else:
        net = as_network(net_or_widths)
        if bias is not None:
            raise InvalidInput("a network says itself which layers have a bias; leave out bias=")
    batch = as_batch(X, net.widths[0])
    if pattern is None:
        pattern = activation_pattern(net, batch, on_kink=on_kink)
    if isinstance(pattern, ActivationPattern):
        if pattern.n_samples != batch.shape[0]:
            raise ShapeMismatch(
                f"the pattern is of {pattern.n_samples} samples and X has {batch.shape[0]}"
            )
        batch = pattern.select(batch)
    mask = _formal_mask(pattern, (batch.shape[0], net.n_hidden), net.widths)
    return SymbolicNetwork(net.widths, net.has_bias, batch, mask)


class _Forward:
    """Polynomials of one forward pass, some parameters being fixed numbers."""

    def __init__(self, network: SymbolicNetwork, fixed: Mapping[int, int]) -> None:
        self._check_size(network)
        sympy = load_sympy()
        free = [s for column, s in enumerate(network.parameters) if column not in fixed]
        self.ring = sympy.polys.rings.PolyRing(free, sympy.QQ, "lex")
        variables = iter(self.ring.gens)
        theta = iter([
            self.ring(fixed[column]) if column in fixed else next(variables)
            for column in range(len(network.parameters))
        ])
        layers: list[tuple[Matrix, list[Any]]] = []
        widths = network.widths
        for layer, has_bias in enumerate(network.has_bias):
            units = range(widths[layer + 1])
            weight = [[next(theta) for _ in range(widths[layer])] for _ in units]
            layers.append((weight, [next(theta) if has_bias else self.ring.zero for _ in units]))
        self.preactivations: dict[tuple[int, int, int], Any] = {}
        self.outputs: list[Any] = []
        for i, x in enumerate(network.batch.tolist()):
            h = [self.ring(sympy.QQ(v.numerator, v.denominator)) for v in x]
            for layer, (weight, shift) in enumerate(layers):
                z = [
                    sum((w * v for w, v in zip(row, h, strict=True) if v), b)
                    for row, b in zip(weight, shift, strict=True)
                ]
                if layer == len(layers) - 1:
                    self.outputs.extend(z)
                    break
                self.preactivations.update({(i, layer, k): p for k, p in enumerate(z)})
                on = network.pattern.layers[layer][i]
                h = [p if active else self.ring.zero for p, active in zip(z, on, strict=True)]

    @property
    def jacobian(self) -> Matrix:
        """Derivatives of the outputs in the free parameters."""
        return [[f.diff(v) for v in self.ring.gens] for f in self.outputs]

    @staticmethod
    def _check_size(network: SymbolicNetwork) -> None:
        """Count the paths from inputs and biases to outputs before they are written down."""
        paths = 0
        for i, x in enumerate(network.batch.tolist()):
            terms = sum(1 for v in x if v)
            for layer, has_bias in enumerate(network.has_bias):
                hidden = layer < len(network.has_bias) - 1
                on = int(network.pattern.layers[layer][i].sum()) if hidden else network.widths[-1]
                terms = on * (terms + has_bias)
            paths += terms
        if paths > MAX_OUTPUT_TERMS:
            raise TooLarge(
                f"the outputs have {paths} monomials; no more than {MAX_OUTPUT_TERMS} are written "
                "down. Take fewer samples or a narrower network"
            )


def _fixed_by_symmetry(network: SymbolicNetwork) -> dict[int, int]:
    """Values that almost every parameter takes after a symmetry of the mask, by column.

    Units of a layer with the same mask column are taken in groups no larger than the number m of
    their inputs: an invertible matrix makes the first columns of their weights the identity. Where
    they are on at every sample and the next layer has a bias, their own bias becomes 0. Acting by
    a symmetry keeps the rank, and the derivatives in the fixed parameters are combinations of the
    others: at such a point the tangents of the symmetries, cut to the fixed parameters, are
    independent, layer after layer.
    """
    net = network._architecture
    fixed: dict[int, int] = {}
    for layer, mask in enumerate(network.pattern.layers):
        start, inputs = net.parameter_offsets()[layer], net.widths[layer]
        bias_start = start + inputs * net.widths[layer + 1]
        groups: dict[bytes, list[int]] = {}
        for unit in range(net.widths[layer + 1]):
            groups.setdefault(mask[:, unit].tobytes(), []).append(unit)
        for units in groups.values():
            biased = net.has_bias[layer]
            if biased and net.has_bias[layer + 1] and mask[:, units[0]].all():
                fixed.update({bias_start + unit: 0 for unit in units})
                biased = False
            size = inputs + biased
            for first in range(0, len(units), size):
                group = units[first : first + size]
                for unit in group:
                    for position, other in enumerate(group):
                        column = start + unit * inputs + position
                        if position == inputs:
                            column = bias_start + unit
                        fixed[column] = int(unit == other)
    return fixed


@dataclass(frozen=True)
class _Name:
    text: str
    latex: str


def _names(widths: Sequence[int], has_bias: Sequence[bool]) -> Iterator[_Name]:
    for layer, biased in enumerate(has_bias, start=1):
        for j in range(1, widths[layer] + 1):
            for k in range(1, widths[layer - 1] + 1):
                yield _Name(f"W{layer}_{j}_{k}", f"W^{{({layer})}}_{{{j},{k}}}")
        for j in range(1, widths[layer] + 1) if biased else ():
            yield _Name(f"b{layer}_{j}", f"b^{{({layer})}}_{{{j}}}")


def _display(environment: str, lines: Sequence[str]) -> str:
    body = " \\\\\n".join(lines)
    return f"\\begin{{{environment}}}\n{body}\n\\end{{{environment}}}"


def _are_widths(source: object) -> bool:
    return isinstance(source, Sequence | np.ndarray) and all(
        isinstance(width, Integral) for width in source
    )


def _formal_mask(
    pattern: ActivationPattern | ArrayLike, shape: tuple[int, int], widths: Sequence[int]
) -> ActivationPattern:
    """Read a mask and cut it into layers."""
    table = np.asarray(pattern)
    if table.size == 0:
        table = table.reshape(shape) if 0 in shape else table
    if table.shape != shape:
        raise ShapeMismatch(
            f"the mask has shape {table.shape}; {shape[0]} samples and {shape[1]} hidden units "
            f"need {shape}"
        )
    if not np.isin(table, (0, 1)).all():
        raise InvalidInput("a mask has entries 0 and 1 (or False and True) only")
    cuts = np.cumsum(widths[1:-1])[:-1]
    layers = tuple(np.split(table.astype(bool), cuts, axis=1)) if len(widths) > 2 else ()
    for layer in layers:
        layer.setflags(write=False)
    return ActivationPattern(layers, (), (), shape[0], 0, "raise")
