"""Forward passes with symbols in place of parameters, on a prescribed mask.

Outputs and pre-activations are elements of one sympy polynomial ring over the rationals, whose
variables are the parameters in their usual order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from exactdim.arith.matrix import QMatrix
from exactdim.errors import TooLarge
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import ActivationPattern
from exactdim.nets.polynomials import Matrix, Polynomial, load_sympy

__all__ = ["Forward", "fixed_by_symmetry", "forward", "parameter_names"]

MAX_OUTPUT_TERMS = 20_000
"""Most monomials in the outputs of a batch."""


class ParameterName(NamedTuple):
    """How a parameter is written in text and in LaTeX, one-based."""

    text: str
    latex: str


@dataclass(frozen=True, eq=False)
class Forward:
    """The polynomials of one forward pass.

    Attributes
    ----------
    ring : sympy polynomial ring
    preactivations : dict of (int, int, int) to polynomial
        By sample, hidden layer and unit, zero-based.
    outputs : list of polynomials
        Logits, sample by sample.
    """

    ring: Any
    preactivations: dict[tuple[int, int, int], Polynomial]
    outputs: list[Polynomial]

    @property
    def jacobian(self) -> Matrix:
        """Derivatives of the outputs in the variables of the ring."""
        return [[output.diff(variable) for variable in self.ring.gens] for output in self.outputs]


def forward(
    architecture: ReLUNetwork,
    batch: QMatrix,
    pattern: ActivationPattern,
    fixed: Mapping[int, int] | None = None,
) -> Forward:
    """Pass a batch through a network of symbols.

    Parameters
    ----------
    architecture : ReLUNetwork
        Its numbers do not matter.
    batch : QMatrix of shape (n, N_0)
    pattern : ActivationPattern
        The mask.
    fixed : mapping of int to int, optional
        Parameters that are numbers and no variables, by column.

    Returns
    -------
    Forward

    Raises
    ------
    TooLarge
        If the outputs could have more than 20000 monomials.
    """
    _check_size(architecture, batch, pattern)
    fixed = fixed or {}
    sympy = load_sympy()
    names = [name.text for name in parameter_names(architecture)]
    free = [name for column, name in enumerate(names) if column not in fixed]
    ring = sympy.polys.rings.PolyRing(free, sympy.QQ, "lex")
    variables = iter(ring.gens)
    theta = iter([
        ring(fixed[column]) if column in fixed else next(variables) for column in range(len(names))
    ])
    layers = [
        (
            [[next(theta) for _ in range(W.shape[1])] for _ in range(W.shape[0])],
            [ring.zero if b is None else next(theta) for _ in range(W.shape[0])],
        )
        for W, b in zip(architecture.weights, architecture.biases, strict=True)
    ]
    result = Forward(ring, {}, [])
    for i, x in enumerate(batch.tolist()):
        h = [ring(sympy.QQ(v.numerator, v.denominator)) for v in x]
        for layer, (weight, bias) in enumerate(layers):
            z = [
                sum((w * v for w, v in zip(row, h, strict=True) if v), b)
                for row, b in zip(weight, bias, strict=True)
            ]
            if layer == architecture.depth - 1:
                result.outputs.extend(z)
                break
            result.preactivations.update({(i, layer, k): p for k, p in enumerate(z)})
            on = pattern.layers[layer][i]
            h = [p if active else ring.zero for p, active in zip(z, on, strict=True)]
    return result


def fixed_by_symmetry(architecture: ReLUNetwork, pattern: ActivationPattern) -> dict[int, int]:
    """Fix the parameters that a symmetry of the mask can bring to 0 or 1, almost everywhere.

    Parameters
    ----------
    architecture : ReLUNetwork
    pattern : ActivationPattern
        The mask.

    Returns
    -------
    dict of int to int
        Value by column. The Jacobian in the other parameters, at these values, has the same rank
        over the field of rational functions as the whole Jacobian.

    Notes
    -----
    An invertible matrix G may act on the units of a layer that have the same column in the mask,
    its inverse on what leaves them (T6 has the diagonal case, T16 the shallow one). It makes the
    first columns of their weights, as many as there are units, those of the identity; all columns
    if they are fewer. A unit that is on at every sample, with a bias and one in the next layer, may
    be shifted until its own is 0. J(g theta) g = J(theta) keeps the rank. The derivatives in the
    fixed parameters are combinations of the others: each of these parameters is moved alone among
    the fixed ones, up to later layers, by a symmetry, whose tangent is in the kernel.
    """
    fixed: dict[int, int] = {}
    for layer, mask in enumerate(pattern.layers):
        start, inputs = architecture.parameter_offsets()[layer], architecture.widths[layer]
        bias_start = start + inputs * architecture.widths[layer + 1]
        groups: dict[bytes, list[int]] = {}
        for unit in range(mask.shape[1]):
            groups.setdefault(mask[:, unit].tobytes(), []).append(unit)
        for units in groups.values():
            biased, next_biased = architecture.has_bias[layer : layer + 2]
            columns = {unit: [start + unit * inputs + k for k in range(inputs)] for unit in units}
            if biased and next_biased and mask[:, units[0]].all():
                fixed.update({bias_start + unit: 0 for unit in units})
            elif biased:
                for unit in units:
                    columns[unit].append(bias_start + unit)
            for unit in units:
                for other, column in zip(units, columns[unit], strict=False):
                    fixed[column] = int(unit == other)
    return fixed


def parameter_names(architecture: ReLUNetwork) -> Iterator[ParameterName]:
    """Name the parameters as papers do, in the column order of the Jacobian.

    Parameters
    ----------
    architecture : ReLUNetwork

    Yields
    ------
    ParameterName
        ``W1_2_3`` and ``W^{(1)}_{2,3}`` is the weight of unit 2 of layer 1 for input 3, ``b1_2``
        and ``b^{(1)}_{2}`` the bias of that unit, all counted from one.
    """
    widths = architecture.widths
    for layer, biased in enumerate(architecture.has_bias, start=1):
        for j in range(1, widths[layer] + 1):
            for k in range(1, widths[layer - 1] + 1):
                yield ParameterName(f"W{layer}_{j}_{k}", f"W^{{({layer})}}_{{{j},{k}}}")
        for j in range(1, widths[layer] + 1) if biased else ():
            yield ParameterName(f"b{layer}_{j}", f"b^{{({layer})}}_{{{j}}}")


def _check_size(architecture: ReLUNetwork, batch: QMatrix, pattern: ActivationPattern) -> None:
    """Count the paths from inputs and biases to outputs before they are written down."""
    paths = 0
    for i, x in enumerate(batch.tolist()):
        terms = sum(map(bool, x))
        for layer, biased in enumerate(architecture.has_bias):
            hidden = layer < architecture.depth - 1
            units = pattern.layers[layer][i].sum() if hidden else architecture.widths[-1]
            terms = int(units) * (terms + biased)
        paths += terms
    if paths > MAX_OUTPUT_TERMS:
        raise TooLarge(
            f"the outputs have {paths} monomials and no more than {MAX_OUTPUT_TERMS} are written "
            "down. Take fewer samples or a narrower network"
        )
