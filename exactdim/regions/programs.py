"""Regions by linear programs: in any dimension, one pattern at a time.

No faces are built here, so the dimension hardly matters, but every question costs an exact linear
program. It is the engine for single patterns and for many inputs with few neurons, and a second
opinion on `complex`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exactdim.arith.lp import interior_point
from exactdim.arith.matrix import QMatrix
from exactdim.errors import InvalidInput
from exactdim.evidence.certificate import Certificate
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.domain import Domain, DomainLike, as_domain
from exactdim.regions.faces import BoolArray
from exactdim.regions.forms import ExactForms
from exactdim.regions.layout import Layout
from exactdim.regions.proofs import empty_certificate, point_certificate
from exactdim.regions.region import Pattern, Point

__all__ = ["Realisation", "iter_patterns", "realise"]


@dataclass(frozen=True)
class Realisation:
    """Whether an activation pattern occurs in a domain; true if it does.

    Attributes
    ----------
    net : ReLUNetwork
    domain : Domain
    pattern : tuple of str
        One word per hidden layer; perhaps only of the first layers.
    point : tuple of Fraction or None
        A point strictly inside the region, in the coordinates of the domain.
    multipliers : dict of int to int
        If there is none: inequalities that add up to a contradiction. Rows are the hidden units in
        order, then the inequalities of the domain.
    """

    net: ReLUNetwork
    domain: Domain
    pattern: Pattern
    point: Point | None
    multipliers: dict[int, int]

    def __bool__(self) -> bool:
        return self.point is not None

    def __repr__(self) -> str:
        words = " ".join(self.pattern)
        if self.point is None:
            return f"Realisation({words}: no such region in {self.domain}, proved)"
        return f"Realisation({words}: at ({', '.join(map(str, self.point[:6]))}))"

    def certificate(self) -> Certificate:
        """Return a certificate, of kind ``region-nonempty`` or ``region-empty``.

        Returns
        -------
        Certificate

        Raises
        ------
        CertificateError
            If the pattern is only the beginning of one, and there is such a region: a certificate
            that a region exists names all of its pattern.
        """
        if self.point is None:
            return empty_certificate(self.net, self.domain, self.pattern, self.multipliers)
        return point_certificate([self.net], self.domain, self.pattern, self.point)


def realise(net: NetworkLike, pattern: Sequence[str], domain: DomainLike = None) -> Realisation:
    """Decide whether an activation pattern has a region, and give a proof either way.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    pattern : sequence of str
        One word of 0 and 1 per hidden layer. Fewer words ask for a beginning of a pattern; such a
        question can only be answered with no for all patterns that start so, or with a point.
    domain : Domain, pair, list of pairs or None
        As for `activation_regions`.

    Returns
    -------
    Realisation

    Raises
    ------
    InvalidInput
        If the words do not fit the hidden layers.

    Notes
    -----
    Given the pattern, all pre-activations are affine, so this is one exact linear program: a
    rational interior point, or multipliers (Motzkin's transposition theorem).

    Examples
    --------
    >>> net = ReLUNetwork([[[1], [1]], [[1, 1]]], [[0, -1], [0]])
    >>> realise(net, ["10"])
    Realisation(10: at (1/2))
    >>> realise(net, ["01"])
    Realisation(01: no such region in Domain(all of R^1), proved)
    """
    network = as_network(net)
    where = as_domain(domain, network.widths[0])
    widths = network.widths[1:-1]
    words = tuple(map(str, pattern))
    if len(words) > len(widths) or any(
        len(word) != width or set(word) - {"0", "1"}
        for word, width in zip(words, widths, strict=False)
    ):
        raise InvalidInput(
            f"{words!r} is no pattern of hidden layers of widths {widths}; give one word of 0 and "
            "1 per layer"
        )
    mask = np.array([bit == "1" for word in words for bit in word], np.bool_)
    search = _Search(network, where)
    point, multipliers = search.decide(mask)
    return Realisation(network, where, words, point, multipliers)


def iter_patterns(net: NetworkLike, domain: DomainLike = None) -> Iterator[tuple[Pattern, Point]]:
    """Enumerate activation regions one by one, in any dimension and in little memory.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    domain : Domain, pair, list of pairs or None
        As for `activation_regions`.

    Yields
    ------
    pattern : tuple of str
    point : tuple of Fraction
        Strictly inside the region.

    Raises
    ------
    InvalidInput
        If the domain has no interior.

    Notes
    -----
    Neuron by neuron and depth first; one exact linear program per neuron and region, a millisecond
    or so each. `activation_regions` is a hundred times faster in few dimensions.

    Examples
    --------
    >>> net = ReLUNetwork([[[1], [1]], [[1, 1]]], [[0, -1], [0]])
    >>> [pattern for pattern, _ in iter_patterns(net)]
    [('11',), ('10',), ('00',)]
    """
    network = as_network(net)
    where = as_domain(domain, network.widths[0])
    search = _Search(network, where)
    point, _ = search.decide(np.zeros(0, np.bool_))
    if point is None:
        raise InvalidInput(f"{where} has no interior point")
    for mask, inside in search.extensions(np.zeros(0, np.bool_), point):
        yield search.layout.pattern(mask), inside


class _Search:
    """Patterns of one network in one domain."""

    def __init__(self, net: ReLUNetwork, domain: Domain) -> None:
        self.layout = Layout((domain.restrict(net),))
        self.domain = domain
        self.forms = ExactForms(self.layout, domain.inequalities)

    def decide(self, mask: BoolArray) -> tuple[Point | None, dict[int, int]]:
        """Find a point where the first units behave as the mask says, or a contradiction."""
        d = self.domain.dimension
        names: list[int] = []
        rows = [QMatrix.zeros(0, d + 1)]
        for unit, on in enumerate(mask):
            form = self.form(unit, mask)
            if form.is_zero() and not on:
                continue
            names.append(unit)
            rows.append(form if on else -form)
        m = self.domain.inequalities.shape[0]
        names += [self.layout.n_hidden + i for i in range(m)]
        system = QMatrix.vstack([*rows, self.domain.inequalities])
        answer = interior_point(system[:, :d], system[:, [d]])
        if answer.point is None:
            return None, {names[i]: weight for i, weight in answer.multipliers.items()}
        return tuple(row[0] for row in answer.point.tolist()), {}

    def form(self, unit: int, mask: BoolArray) -> QMatrix:
        """Return one pre-activation as an affine form, given the pattern of the layers below."""
        layer, number = self.layout.unit(unit)
        return self.forms.of_layer(*self.layout.layer(layer), mask)[[number]]

    def extensions(self, mask: BoolArray, point: Point) -> Iterator[tuple[BoolArray, Point]]:
        """Yield the patterns that start with a mask, whose region the point lies in."""
        if len(mask) == self.layout.n_hidden:
            yield mask, point
            return
        form = self.form(len(mask), mask)
        value = (QMatrix([[*point, 1]]) @ form.T)[0, 0]
        for on in (True, False):
            longer = np.append(mask, on)
            if form.is_zero():
                inside = None if on else point
            elif value and (value > 0) == on:
                inside = point
            else:
                inside, _ = self.decide(longer)
            if inside is not None:
                yield from self.extensions(longer, inside)
