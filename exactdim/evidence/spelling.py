"""How numbers, networks and batches are written, in certificates first of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exactdim.arith.matrix import QMatrix
from exactdim.nets.network import ReLUNetwork

__all__ = ["inputs_of", "layers_of", "plural", "rational", "rationals", "spell"]

LONGEST_DECIMAL = 4000
"""Digits beyond which numbers are written in hexadecimal (Python refuses longer decimals)."""


def layers_of(net: ReLUNetwork) -> list[dict[str, Any]]:
    """Write a network as ``problem.layers`` of a certificate.

    Parameters
    ----------
    net : ReLUNetwork

    Returns
    -------
    list of dict
    """
    return [
        {"weight": rationals(W), "bias": None if b is None else rationals(b)[0]}
        for W, b in zip(net.weights, net.biases, strict=True)
    ]


def inputs_of(batch: QMatrix) -> list[list[str]]:
    """Write a batch as ``problem.inputs`` of a certificate.

    Parameters
    ----------
    batch : QMatrix of shape (n, N_0)

    Returns
    -------
    list of list of str
    """
    return rationals(batch)


def rationals(matrix: QMatrix) -> list[list[str]]:
    """Write a matrix of Fractions as rows of number strings.

    Parameters
    ----------
    matrix : QMatrix

    Returns
    -------
    list of list of str
    """
    return [[rational(x.numerator, x.denominator) for x in row] for row in matrix.tolist()]


def rational(numerator: int, denominator: int = 1) -> str:
    """Write one rational number, in hexadecimal if it is very long.

    Parameters
    ----------
    numerator, denominator : int

    Returns
    -------
    str
        Such as ``"-3"``, ``"2/3"`` or ``"0x1f/0x10"``.
    """
    text = _integer(numerator)
    return text if denominator == 1 else f"{text}/{_integer(denominator)}"


def spell(vector: Mapping[int, int]) -> dict[str, str]:
    """Write a sparse integer vector as JSON wants it.

    Parameters
    ----------
    vector : mapping of int to int

    Returns
    -------
    dict of str to str
    """
    return {str(j): _integer(x) for j, x in vector.items()}


def plural(n: int, noun: str) -> str:
    """Return a number with a noun in the right form.

    Parameters
    ----------
    n : int
    noun : str
        In the singular.

    Returns
    -------
    str
    """
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _integer(x: int) -> str:
    return str(x) if x.bit_length() < 3 * LONGEST_DECIMAL else hex(x)
