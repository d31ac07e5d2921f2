"""Samples of a network: batches, points on kinks, and the patterns that they have."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from exactdim.nets.formats import NetworkLike
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import BoolArray, activation_pattern
from exactdim.testing._strategies import arguments
from exactdim.testing._strategies.drafts import draw_more
from exactdim.testing._strategies.kinks import (
    Point,
    is_on_kink,
    kinks_on_line,
    some_kinks,
    some_point_off_kinks,
)
from exactdim.testing._strategies.networks import degenerate_networks, relu_networks
from exactdim.testing._strategies.numbers import ENTRIES

__all__ = ["activation_patterns", "batches", "boundary_points", "networks_with_batches"]

Batch: TypeAlias = list[Point]


@st.composite
def boundary_points(draw: DrawFn, net: NetworkLike) -> Point:
    """Generate points at which a network has a kink.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads

    Returns
    -------
    SearchStrategy of list of Fraction
        At each of them `activation_pattern` raises `OnKink`. Shrinks towards the origin.

    Raises
    ------
    InvalidArgument
        When used, if the network has no kink at any input.

    Notes
    -----
    The network is followed exactly along a random line, from one sign change of a pre-activation to
    the next; all layers have a chance.

    Examples
    --------
    >>> from hypothesis import find
    >>> net = ReLUNetwork([[[2, 3]], [[1]]], [[-1], [0]])  # a kink where 2 x + 3 y = 1
    >>> x, y = find(boundary_points(net), lambda x: True)
    >>> 2 * x + 3 * y
    Fraction(1, 1)
    """
    exact = arguments.network(net)
    point = _points(exact.widths[0])
    found = kinks_on_line(exact, draw(point), draw(point.filter(any))) or some_kinks(exact)
    if not found:
        raise InvalidArgument(f"{exact} has no kink at any input")
    return draw(st.sampled_from(found))


@st.composite
def batches(
    draw: DrawFn,
    net: NetworkLike,
    *,
    min_size: int = 1,
    max_size: int = 6,
    kinks: bool | None = None,
) -> Batch:
    """Generate batches for a network, with accidents of their own.

    Repeated samples, multiples, collinear samples, samples that differ in one input only, and the
    origin occur beside generic ones.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    min_size, max_size : int
        Number n of samples, at least 1.
    kinks : bool, optional
        True: at least one sample is on a kink of the network. False: none is, so that there is a
        Jacobian. Without it, nothing is done about kinks, and some samples will be on one.

    Returns
    -------
    SearchStrategy of list of list of Fraction
        Of shape (n, N_0). Shrinks to one sample at the origin.

    Raises
    ------
    InvalidArgument
        When used, if the sizes make no batch, or if the network has no kink at all, or one at
        every input, and the contrary is asked for.

    Examples
    --------
    >>> from hypothesis import find
    >>> net = ReLUNetwork([[[2]], [[1]]], [[-1], [0]])
    >>> find(batches(net, min_size=2), lambda X: X[0] != X[1])
    [[Fraction(0, 1)], [Fraction(1, 1)]]
    >>> find(batches(net, kinks=True), lambda X: True)
    [[Fraction(1, 2)]]
    """
    exact = arguments.network(net)
    _check_batch_options(min_size, max_size, kinks)
    X: Batch = []
    while len(X) < max_size and (len(X) < min_size or draw_more(draw, max_size - min_size)):
        if kinks and (not X or draw(st.booleans())):
            X.append(draw(boundary_points(exact)))
        elif kinks is False:
            X.append(_sample_off_kinks(draw, exact, X))
        else:
            X.append(draw(_samples(exact.widths[0], X)))
    return X


@st.composite
def networks_with_batches(
    draw: DrawFn,
    *,
    networks: SearchStrategy[ReLUNetwork] | None = None,
    min_size: int = 1,
    max_size: int = 6,
    kinks: bool | None = None,
) -> tuple[ReLUNetwork, Batch]:
    """Generate a network together with a batch for it.

    Parameters
    ----------
    networks : strategy of ReLUNetwork, optional
        By default `relu_networks` and `degenerate_networks` take turns.
    min_size, max_size, kinks
        As for `batches`. Networks for which there is no such batch are left out.

    Returns
    -------
    SearchStrategy of (ReLUNetwork, list of list of Fraction)

    Raises
    ------
    InvalidArgument
        When used, if the sizes make no batch or `networks` is no strategy.

    Examples
    --------
    >>> from hypothesis import find
    >>> net, X = find(networks_with_batches(), lambda problem: True)
    >>> net(X).shape == (len(X), net.widths[-1])
    True
    """
    _check_batch_options(min_size, max_size, kinks)
    if networks is None:
        networks = relu_networks() | degenerate_networks()
    arguments.strategy(networks=networks)
    net = arguments.network(draw(networks))
    samples = batches(net, min_size=min_size, max_size=max_size, kinks=kinks)
    try:
        return net, draw(samples)
    except InvalidArgument:
        if kinks is None:
            raise
        reject()  # this network has no such batch


@st.composite
def activation_patterns(
    draw: DrawFn, net: NetworkLike, *, min_size: int = 1, max_size: int = 6, realised: bool = False
) -> BoolArray:
    """Generate activation patterns for the hidden units of a network.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    min_size, max_size : int
        Number n of samples, at least 1.
    realised : bool
        True: the pattern of some batch off kinks. False: any mask of the right shape, which few
        batches or none may have (T4).

    Returns
    -------
    SearchStrategy of boolean array of shape (n, H)
        Shrinks to one sample, all units off unless realised.

    Raises
    ------
    InvalidArgument
        When used, if the sizes make no batch, or the network has a kink at every input and a
        realised pattern is asked for.

    Examples
    --------
    >>> from hypothesis import find
    >>> net = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
    >>> find(activation_patterns(net), lambda mask: mask.all())
    array([[ True,  True]])
    >>> find(activation_patterns(net, realised=True), lambda mask: mask.any()).sum()
    np.int64(1)
    """
    exact = arguments.network(net)
    _check_batch_options(min_size, max_size, None)
    arguments.flag(True, False, realised=realised)
    if realised:
        X = draw(batches(exact, min_size=min_size, max_size=max_size, kinks=False))
        return activation_pattern(exact, X).mask.copy()
    row = st.lists(st.booleans(), min_size=exact.n_hidden, max_size=exact.n_hidden)
    return np.array(draw(st.lists(row, min_size=min_size, max_size=max_size)), dtype=np.bool_)


def _check_batch_options(min_size: int, max_size: int, kinks: bool | None) -> None:
    arguments.at_least(1, min_size=min_size, max_size=max_size)
    arguments.ordered(min_size=min_size, max_size=max_size)
    arguments.flag(None, True, False, kinks=kinks)


def _points(width: int) -> SearchStrategy[Point]:
    return st.lists(ENTRIES, min_size=width, max_size=width)


@st.composite
def _samples(draw: DrawFn, width: int, X: Batch) -> Point:
    """One more sample of a batch, perhaps in a special position to the others."""
    kinds = ["origin", "new", "new", "new"]
    if X:
        kinds += ["repeated", "multiple", "collinear", "neighbour"]
    kind = draw(st.sampled_from(kinds))
    if kind == "new":
        return draw(_points(width))
    if kind == "origin":
        return [Fraction(0)] * width
    x = draw(st.sampled_from(X))
    if kind == "repeated":
        return list(x)
    if kind == "multiple":
        factor = draw(ENTRIES)
        return [factor * u for u in x]
    if kind == "collinear":
        y, t = draw(st.sampled_from(X)), draw(ENTRIES)
        return [u + t * (v - u) for u, v in zip(x, y, strict=True)]
    changed = draw(st.integers(0, width - 1))
    return [draw(ENTRIES) if j == changed else u for j, u in enumerate(x)]


def _sample_off_kinks(draw: DrawFn, net: ReLUNetwork, X: Batch) -> Point:
    for _ in range(3):
        x = draw(_samples(net.widths[0], X))
        if not is_on_kink(net, x):
            return x
    found = some_point_off_kinks(net)
    if found is None:
        raise InvalidArgument(f"{net} has a kink at every input")
    return found
