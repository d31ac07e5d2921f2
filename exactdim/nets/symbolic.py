"""The outputs of a network as polynomials in its parameters, on one activation pattern.

With the mask fixed, outputs, pre-activations and Jacobian are polynomials in the parameters (T3).
That makes three questions algebraic: the rank that the Jacobian has at almost every parameter with
this pattern (T4), the parameters where it is smaller, and the inequalities that a parameter must
satisfy to have the pattern at all (T2).

Parameters are named as in papers, one-based: ``W1_2_3`` and ``b1_2``, in LaTeX ``W^{(1)}_{2,3}``
and ``b^{(1)}_{2}``, are ``net.weights[0][1, 2]`` and ``net.biases[0][0, 1]``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, ShapeMismatch
from exactdim.nets.formal import Forward, ParameterName, fixed_by_symmetry, forward, parameter_names
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import JacobianFactors
from exactdim.nets.network import ReLUNetwork, are_widths, as_batch
from exactdim.nets.patterns import ActivationPattern, KinkChoice, activation_pattern
from exactdim.nets.polynomials import Polynomial, generic_rank, load_sympy
from exactdim.nets.rank_drop import Expression, RankDropLocus

__all__ = ["SymbolicNetwork", "formal_mask", "symbolic"]


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
        theta : ReLUNetwork of this architecture, QMatrix of shape (1, P), or P numbers

        Returns
        -------
        dict of sympy.Symbol to sympy.Rational

        Raises
        ------
        ShapeMismatch
            If theta does not fit the architecture.

        Examples
        --------
        >>> f = symbolic((1, 1, 1), [[1]], [[1]])
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
        theta : ReLUNetwork of this architecture, QMatrix of shape (1, P), or P numbers
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
            If the ends do not meet and the elimination that decides needs more than 4000 monomials
            at a time; the message names the ends. Or if the outputs have more than 20000.

        Notes
        -----
        Source: arXiv 2402.08269; T4. The rank at a parameter, here pseudo-random, is a lower end,
        whatever the parameter. Upper ends are the rows, P - H (T7), and the rows and columns left
        when rational combinations of others are removed and symmetries of the mask have fixed some
        parameters: an invertible matrix can mix hidden units with the same column of the mask, and
        a unit that is on at every sample can be shifted. If the ends do not meet, elimination over
        the polynomials decides.

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
            As `generic_rank`, or if the outputs have more than 20000 monomials.

        Examples
        --------
        >>> locus = symbolic((1, 1, 1), [[0], [1], [2]], [[0], [1], [1]]).rank_drop_locus()
        >>> locus.equations
        (W2_1_1,)
        >>> locus.contains((2, -1, 0, 5)), locus.contains((2, -1, 3, 5))
        (True, False)
        """
        polynomials = self._forward
        preactivations = tuple(polynomials.preactivations.values())
        return RankDropLocus(
            self.generic_rank(), polynomials.jacobian, preactivations, self.rank_at
        )

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
        if not isinstance(theta, QMatrix):
            theta = theta.reshape(1, -1) if hasattr(theta, "reshape") else [list(theta)]
        return self._architecture.with_parameters(theta)

    @cached_property
    def _names(self) -> list[ParameterName]:
        return list(parameter_names(self._architecture))

    @cached_property
    def _forward(self) -> Forward:
        return forward(self._architecture, self.batch, self.pattern)

    @cached_property
    def _generic_rank(self) -> int:
        rng = random.Random(0)
        net = self._architecture
        lower = self.rank_at([rng.randint(-(10**6), 10**6) for _ in range(net.n_parameters)])
        if lower == min(self.batch.shape[0] * self.widths[-1], net.n_parameters - net.n_hidden):
            return lower
        fixed = fixed_by_symmetry(net, self.pattern)
        return generic_rank(forward(net, self.batch, self.pattern, fixed).jacobian, lower)

    def _signed_preactivations(self) -> Iterator[tuple[tuple[int, int, int], Polynomial, bool]]:
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
    if are_widths(net_or_widths):
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
    mask = formal_mask(pattern, (batch.shape[0], net.n_hidden), net.widths)
    return SymbolicNetwork(net.widths, net.has_bias, batch, mask)


def _display(environment: str, lines: Sequence[str]) -> str:
    body = " \\\\\n".join(lines)
    return f"\\begin{{{environment}}}\n{body}\n\\end{{{environment}}}"


def formal_mask(
    pattern: ActivationPattern | ArrayLike, shape: tuple[int, int], widths: Sequence[int]
) -> ActivationPattern:
    """Read a mask, realisable or not, and cut it into layers.

    Parameters
    ----------
    pattern : ActivationPattern or array of booleans
    shape : (int, int)
        What it must have: samples, hidden units.
    widths : sequence of int
        ``(N_0, ..., N_L)``.

    Returns
    -------
    ActivationPattern

    Raises
    ------
    ShapeMismatch
        If the mask has another shape.
    InvalidInput
        If it has entries other than 0 and 1.
    """
    try:
        table = np.asarray(pattern)
    except ValueError:
        raise ShapeMismatch("the rows of the mask have different lengths") from None
    if table.shape != shape:
        raise ShapeMismatch(
            f"the mask has shape {table.shape}; {shape[0]} samples and {shape[1]} hidden units "
            f"need {shape}"
        )
    if not np.isin(table, (0, 1)).all():
        raise InvalidInput("a mask has entries 0 and 1 (or False and True) only")
    table = table.astype(bool)
    table.setflags(write=False)
    cuts = np.cumsum([0, *widths[1:-1]])
    layers = tuple(table[:, start:stop] for start, stop in pairwise(cuts))
    return ActivationPattern(layers, (), (), shape[0], 0, "raise")
