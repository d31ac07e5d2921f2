"""Activation patterns with certified signs.

A float64 forward pass carries a rigorous bound of its own error. A sign is taken from it only where
the bound excludes zero; whatever stays open is evaluated exactly. The answer never depends on the
float arithmetic, only the speed does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, OnKink
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork, as_batch

__all__ = [
    "ActivationPattern",
    "BoolArray",
    "FloatPass",
    "KinkChoice",
    "activation_pattern",
    "affine_with_error",
    "float_signs",
    "masks_of",
    "pass_with_error",
    "pattern_from",
    "words_of",
]

KinkChoice: TypeAlias = Literal["raise", "zero", "drop"]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatPass: TypeAlias = Callable[[ReLUNetwork, QMatrix], Sequence[tuple[BoolArray, BoolArray]]]
"""As `float_signs`."""

UNIT_ROUNDOFF = 2.0**-53
"""Relative error of one float64 operation."""

TINY = 2.0**-1000
"""Far above all that underflow, or flushing subnormals to zero, can do to one product."""


HUGE = 2.0**1000
"""Sums of this size may have overflowed on the way."""


@dataclass(frozen=True, eq=False)
class ActivationPattern:
    """Which hidden units are on at which samples.

    Attributes
    ----------
    layers : tuple of boolean arrays of shape (n, N_l)
        One per hidden layer; true where the pre-activation is positive.
    kinks : tuple of (int, int, int)
        ``(sample, layer, unit)`` with a pre-activation that is exactly zero there but not nearby.
        Sample numbers are those of the batch that was given. Empty unless `on_kink` is ``"zero"``
        or ``"drop"``.
    dropped : tuple of int
        Samples left out by ``on_kink="drop"``.
    n_samples : int
        Samples in the batch that was given.
    n_exact : int
        Signs that the float bound left open and exact arithmetic decided.
    on_kink : str
        The choice under which the pattern was made.
    """

    layers: tuple[BoolArray, ...]
    kinks: tuple[tuple[int, int, int], ...]
    dropped: tuple[int, ...]
    n_samples: int
    n_exact: int
    on_kink: KinkChoice

    @cached_property
    def mask(self) -> BoolArray:
        """The whole pattern as one array of shape (kept samples, H)."""
        rows = self.n_samples - len(self.dropped)
        whole = np.hstack([np.zeros((rows, 0), dtype=bool), *self.layers])
        whole.setflags(write=False)
        return whole

    @property
    def kept(self) -> list[int]:
        """Samples of the given batch that the rows of the pattern belong to."""
        gone = set(self.dropped)
        return [i for i in range(self.n_samples) if i not in gone]

    def select(self, batch: QMatrix) -> QMatrix:
        """Return the samples of the given batch that the rows of the pattern belong to."""
        return batch[self.kept] if self.dropped else batch

    @cached_property
    def distinct(self) -> int:
        """Number of distinct rows: the activation regions that the batch perceives."""
        return len(np.unique(self.mask, axis=0))

    @cached_property
    def dead(self) -> tuple[tuple[int, int], ...]:
        """Units ``(layer, unit)`` that are off at every sample."""
        return self._units(lambda layer: ~layer.any(axis=0))

    @cached_property
    def always_on(self) -> tuple[tuple[int, int], ...]:
        """Units ``(layer, unit)`` that are on at every sample."""
        return self._units(lambda layer: layer.all(axis=0))

    def _units(self, test: Any) -> tuple[tuple[int, int], ...]:
        return tuple(
            (number, int(unit))
            for number, layer in enumerate(self.layers)
            for unit in np.flatnonzero(test(layer))
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.mask, dtype=dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActivationPattern):
            return NotImplemented
        return [x.shape for x in self.layers] == [x.shape for x in other.layers] and np.array_equal(
            self.mask, other.mask
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rows, units = self.mask.shape
        return (
            f"<ActivationPattern of {units} hidden units at {rows} samples: "
            f"{self.distinct} distinct, {len(self.dead)} dead units, "
            f"{self.n_exact} signs decided exactly>"
        )


def activation_pattern(
    net: NetworkLike, X: ArrayLike, *, on_kink: KinkChoice = "raise"
) -> ActivationPattern:
    """Compute the activation pattern of a batch, every sign certified.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
        Samples in rows.
    on_kink : {"raise", "zero", "drop"}
        What to do with a pre-activation that is exactly zero at a sample but not around it.
        ``"zero"`` calls the unit off there (autodiff's convention); ``"drop"`` leaves the sample
        out and lists it.

    Returns
    -------
    ActivationPattern

    Raises
    ------
    OnKink
        If a sample lies on a kink and `on_kink` is ``"raise"``; all of them are listed.
    InvalidInput
        If `on_kink` is another word, or dropping leaves no sample.

    Notes
    -----
    Source: arXiv 2402.08269; T1 and T2. A zero is harmless, and no kink, if the layer has no
    bias and its input vector is zero with no kink upstream: then the pre-activation is zero for all
    nearby parameters. Cost: one float64 forward pass, plus exact arithmetic for the open signs.

    Examples
    --------
    >>> net = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    >>> activation_pattern(net, [[-1], ["5/2"]]).mask.tolist()
    [[False], [True]]
    >>> activation_pattern(net, [[0], [1]])
    Traceback (most recent call last):
    exactdim.errors.OnKink: ...
    """
    net = as_network(net)
    return pattern_from(net, as_batch(X, net.widths[0]), on_kink, float_signs)


def pattern_from(
    net: ReLUNetwork, batch: QMatrix, on_kink: KinkChoice, float_pass: FloatPass
) -> ActivationPattern:
    """Complete the signs that a float pass is certain of, on whatever device.

    Parameters
    ----------
    net : ReLUNetwork
    batch : QMatrix of shape (n, N_0)
    on_kink : {"raise", "zero", "drop"}
    float_pass : callable
        `float_signs`, or another whose certain signs are right.

    Returns
    -------
    ActivationPattern

    Raises
    ------
    OnKink
        As `activation_pattern`.
    InvalidInput
        As `activation_pattern`.
    """
    if on_kink not in {"raise", "zero", "drop"}:
        raise InvalidInput(f"on_kink={on_kink!r} is unknown; choose 'raise', 'zero' or 'drop'")
    layers, kinks, n_exact = _signs(net, batch, float_pass(net, batch))
    if kinks and on_kink == "raise":
        raise OnKink(_kink_message(kinks), kinks)
    dropped = tuple(sorted({i for i, _, _ in kinks})) if on_kink == "drop" else ()
    if len(dropped) == batch.shape[0]:
        raise InvalidInput(
            f"all {batch.shape[0]} samples lie on kinks, so on_kink='drop' leaves none; "
            "move the samples or use on_kink='zero'"
        )
    keep = np.setdiff1d(np.arange(batch.shape[0]), dropped)
    kept = tuple(layer[keep] if dropped else layer for layer in layers)
    for layer in kept:
        layer.setflags(write=False)
    return ActivationPattern(
        layers=kept,
        kinks=tuple(kinks),
        dropped=dropped,
        n_samples=batch.shape[0],
        n_exact=n_exact,
        on_kink=on_kink,
    )


def _kink_message(kinks: list[tuple[int, int, int]]) -> str:
    shown = ", ".join(f"sample {i} at unit ({layer}, {k})" for i, layer, k in kinks[:4])
    more = f" and {len(kinks) - 4} more" if len(kinks) > 4 else ""
    return (
        f"a pre-activation is exactly zero: {shown}{more}; there is no Jacobian there. Move the "
        "samples, or use on_kink='drop' (leave them out) or 'zero' (autodiff's convention)"
    )


def _signs(
    net: ReLUNetwork, batch: QMatrix, certain: Sequence[tuple[BoolArray, BoolArray]]
) -> tuple[list[BoolArray], list[tuple[int, int, int]], int]:
    """Return the masks of the hidden layers, the kinks, and how many signs needed exact work."""
    n = batch.shape[0]
    zero_input = np.array([not any(row) for row in _rows(batch)], dtype=bool)
    kinked = np.zeros(n, dtype=bool)
    masks: list[BoolArray] = []
    kinks: list[tuple[int, int, int]] = []
    n_exact = 0
    for layer, (mask, still_open) in enumerate(certain):
        if still_open.any():
            samples = np.flatnonzero(still_open.any(axis=1))
            exact = _exact_preactivation(net, batch, masks, samples, layer)
            width = exact.shape[1]
            sign = np.array([(x > 0) - (x < 0) for x in exact.numerators()], dtype=np.int8)
            full_sign = np.zeros(mask.shape, dtype=np.int8)
            full_sign[samples] = sign.reshape(len(samples), width)
            mask = np.array(np.where(still_open, full_sign > 0, mask), dtype=np.bool_)
            n_exact += int(still_open.sum())
            for i, unit in np.argwhere(still_open & (full_sign == 0)).tolist():
                if net.biases[layer] is None and zero_input[i] and not kinked[i]:
                    continue  # identically zero for all nearby parameters
                kinks.append((i, layer, unit))
            for i, _, _ in kinks:
                kinked[i] = True
        masks.append(mask)
        zero_input = np.asarray(~mask.any(axis=1))
    return masks, kinks, n_exact


def float_signs(net: ReLUNetwork, batch: QMatrix) -> list[tuple[BoolArray, BoolArray]]:
    """Find the signs of pre-activations that one float64 pass settles.

    Parameters
    ----------
    net : ReLUNetwork
    batch : QMatrix of shape (n, N_0)

    Returns
    -------
    list of (boolean array, boolean array), each of shape (n, N_l)
        Per hidden layer, where the pre-activation is certainly positive, and where its sign is
        open. Elsewhere it is certainly negative.
    """
    with np.errstate(all="ignore"):  # overflow makes the bound infinite or NaN: sign open
        return list(pass_with_error(net.float_layers[:-1], batch.to_numpy(np.float64)))


def pass_with_error(layers: Iterable[tuple[Any, Any]], h: Any) -> Iterator[tuple[Any, Any]]:
    """Carry a batch through the hidden layers with a bound on its error; yield certain signs.

    Parameters
    ----------
    layers : iterable of (weight, bias)
        Numpy arrays, or tensors on any device: only operations that both have are used.
    h : array of shape (n, N_0)

    Yields
    ------
    positive, still_open : boolean arrays of shape (n, N_l)

    Notes
    -----
    Behind an open sign the pass goes on with ``max(z, 0)`` and the bound on the error of z: the
    ReLU brings no two numbers further apart.
    """
    error = abs(h) * (4 * UNIT_ROUNDOFF) + TINY  # rounding of rational samples to floats
    for W, b in layers:
        z, z_error = affine_with_error(W, b, h, error)
        above, below = z > z_error, z < -z_error
        yield above, ~(above | below)
        h, error = z * (z > 0), z_error * ~below  # where below, z and its bound are finite


def affine_with_error(W: Any, b: Any, h: Any, error: Any) -> tuple[Any, Any]:
    """Compute W h + b in floats together with a bound on the distance from the exact value.

    Returns
    -------
    z, bound : arrays of shape (n, units)

    Notes
    -----
    A float sum of n products, in any order, with or without fused operations, is off by at most
    gamma_n times the sum of absolute values (Higham, section 3.1). Doubling the count of roundings
    covers the rounding of rational weights to floats and the rounding of the bound itself; the
    underflow term covers every product of a number below the normal range with one that is not.
    Near the overflow threshold nothing is certain, and the bound says so.
    """
    n = W.shape[1]
    z = h @ W.T + b
    size, reach = abs(W), abs(h) + error
    magnitude = reach @ size.T + abs(b)
    gamma = (2 * n + 16) * UNIT_ROUNDOFF
    bound = gamma * magnitude + (1 + gamma) * (error @ size.T)
    underflow = TINY * (n + 1 + size.sum(axis=1) + reach.sum(axis=1, keepdims=True))
    bound = (1 + gamma) * bound + 2 * underflow
    bound[~(magnitude < HUGE)] = np.inf
    return z, bound


def _exact_preactivation(
    net: ReLUNetwork,
    batch: QMatrix,
    masks: list[BoolArray],
    samples: npt.NDArray[np.intp],
    layer: int,
) -> QMatrix:
    h = batch[samples]
    for below in range(layer):
        h = net.affine(below, h).masked(masks[below][samples])
    return net.affine(layer, h)


def _rows(batch: QMatrix) -> list[list[int]]:
    n, width = batch.shape
    flat = batch.numerators()
    return [flat[i * width : (i + 1) * width] for i in range(n)]


def words_of(masks: BoolArray) -> list[str]:
    """Spell the rows of a mask as words of 0 and 1.

    Parameters
    ----------
    masks : boolean array of shape (m, n)

    Returns
    -------
    list of m str
    """
    return ["".join("01"[bit] for bit in row) for row in masks.tolist()]


def masks_of(words: Sequence[str]) -> BoolArray:
    """Read words of 0 and 1 of the same length as the rows of a mask.

    Parameters
    ----------
    words : sequence of m str

    Returns
    -------
    boolean array of shape (m, n)
    """
    return np.array([[letter == "1" for letter in word] for word in words], np.bool_)
