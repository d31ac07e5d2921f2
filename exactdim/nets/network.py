"""Immutable ReLU networks with exact weights.

Conventions of the literature (see the README): widths ``(N_0, ..., N_L)``, ReLU after every layer
but the last, ``weights[l]`` of shape out x in as in torch, batches with one sample per row. Layers
and units are zero-based in the code: ``weights[0]`` is the ``W_1`` of the papers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike, FloatArray
from exactdim.errors import InvalidInput, MissingDependency, ShapeMismatch

if TYPE_CHECKING:
    import torch

__all__ = ["ReLUNetwork", "as_batch"]

SPELLED = 60
"""Parameters up to which a network is shown with its weights."""


class ReLUNetwork:
    """A fully connected ReLU network with rational weights; immutable and hashable.

    Parameters
    ----------
    weights : sequence of ArrayLike
        ``weights[l]`` has shape (N_{l+1}, N_l). Floats are read at their exact dyadic value.
    biases : sequence of (ArrayLike of shape (N_{l+1},) or None), optional
        One per layer; ``None`` means that the layer has no bias parameter, which is not the same as
        a bias of zeros. Without this argument no layer has a bias.

    Attributes
    ----------
    weights : tuple of QMatrix
    biases : tuple of (QMatrix of shape (1, N_{l+1}) or None)

    Raises
    ------
    ShapeMismatch
        If two consecutive layers, or a layer and its bias, do not fit.
    InvalidInput
        If there is no layer, a layer has width 0, or an entry is not a number.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])  # f(x) = 3 relu(2 x - 1) + 5
    >>> net.widths, net.n_parameters, net.n_hidden
    ((1, 1, 1), 4, 1)
    >>> net([[0], [1], ["3/2"]])
    QMatrix([['5'], ['8'], ['11']])
    """

    __slots__ = ("__dict__", "biases", "weights")

    weights: tuple[QMatrix, ...]
    biases: tuple[QMatrix | None, ...]

    def __init__(
        self, weights: Sequence[ArrayLike], biases: Sequence[ArrayLike | None] | None = None
    ) -> None:
        weights = list(weights)
        if not weights:
            raise InvalidInput("a network needs at least one layer; weights is empty")
        if biases is None:
            biases = [None] * len(weights)
        biases = list(biases)
        if len(biases) != len(weights):
            raise ShapeMismatch(
                f"{len(weights)} weight matrices against {len(biases)} biases; "
                "give one bias per layer, None where a layer has none"
            )
        exact = tuple(QMatrix(W, name=f"weights[{i}]") for i, W in enumerate(weights))
        for i, W in enumerate(exact):
            if 0 in W.shape:
                raise InvalidInput(
                    f"weights[{i}] has shape {W.shape}; every layer needs at least one unit"
                )
            if i and W.shape[1] != exact[i - 1].shape[0]:
                raise ShapeMismatch(
                    f"weights[{i}] has shape {W.shape} but weights[{i - 1}] has shape "
                    f"{exact[i - 1].shape}: {W.shape[1]} inputs against {exact[i - 1].shape[0]} "
                    "outputs (weights are out x in)"
                )
        object.__setattr__(self, "weights", exact)
        rows = tuple(
            None if b is None else _bias_row(b, i, exact[i].shape[0]) for i, b in enumerate(biases)
        )
        object.__setattr__(self, "biases", rows)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a ReLUNetwork is immutable; build a new one")

    def __reduce__(self) -> tuple[Any, ...]:
        return ReLUNetwork, (self.weights, self.biases)

    # -- shape --------------------------------------------------------------------------------

    @property
    def widths(self) -> tuple[int, ...]:
        """``(N_0, ..., N_L)``: inputs, hidden layers, outputs."""
        return (self.weights[0].shape[1], *(W.shape[0] for W in self.weights))

    @property
    def depth(self) -> int:
        """Number L of affine layers."""
        return len(self.weights)

    @property
    def n_parameters(self) -> int:
        """Number P of weights and biases."""
        return sum(
            W.shape[0] * W.shape[1] + (W.shape[0] if b is not None else 0)
            for W, b in zip(self.weights, self.biases, strict=True)
        )

    @property
    def n_hidden(self) -> int:
        """Number H of hidden units."""
        return sum(self.widths[1:-1])

    @property
    def has_bias(self) -> tuple[bool, ...]:
        """Whether each layer has a bias parameter."""
        return tuple(b is not None for b in self.biases)

    def parameter_offsets(self) -> list[int]:
        """Return the column at which each layer's parameters start, and P at the end.

        Returns
        -------
        list of int
            Columns are ordered layer by layer: the weight row-major (out x in), then the bias.
        """
        offsets = [0]
        for W, b in zip(self.weights, self.biases, strict=True):
            out, inputs = W.shape
            offsets.append(offsets[-1] + out * inputs + (out if b is not None else 0))
        return offsets

    def parameters(self) -> QMatrix:
        """Return all parameters as one row, in the column order of the Jacobian.

        Returns
        -------
        QMatrix of shape (1, P)
        """
        parts = []
        for W, b in zip(self.weights, self.biases, strict=True):
            parts.append(
                QMatrix.from_integers(W.numerators(), W.denominator, (1, W.shape[0] * W.shape[1]))
            )
            if b is not None:
                parts.append(b)
        return QMatrix.hstack(parts)

    def with_parameters(self, parameters: ArrayLike) -> ReLUNetwork:
        """Return the network of the same architecture with other parameters.

        Parameters
        ----------
        parameters : ArrayLike of shape (1, P)
            In the order of `parameters`.

        Returns
        -------
        ReLUNetwork

        Raises
        ------
        ShapeMismatch
            If there are not P numbers in one row.
        """
        theta = QMatrix(parameters, name="parameters")
        if theta.shape != (1, self.n_parameters):
            raise ShapeMismatch(
                f"parameters have shape {theta.shape}; this architecture needs "
                f"(1, {self.n_parameters})"
            )
        numbers, den = theta.numerators(), theta.denominator
        weights: list[QMatrix] = []
        biases: list[QMatrix | None] = []
        at = 0
        for W, b in zip(self.weights, self.biases, strict=True):
            size = W.shape[0] * W.shape[1]
            weights.append(QMatrix.from_integers(numbers[at : at + size], den, W.shape))
            at += size
            if b is None:
                biases.append(None)
            else:
                biases.append(QMatrix.from_integers(numbers[at : at + b.shape[1]], den, b.shape))
                at += b.shape[1]
        return ReLUNetwork(weights, biases)

    # -- evaluation ---------------------------------------------------------------------------

    def __call__(self, X: ArrayLike) -> QMatrix:
        """Evaluate a batch exactly.

        Parameters
        ----------
        X : ArrayLike of shape (n, N_0)

        Returns
        -------
        QMatrix of shape (n, N_L)
        """
        h = as_batch(X, self.widths[0])
        for layer in range(self.depth - 1):
            z = self.affine(layer, h)
            h = z.masked(np.array([x > 0 for x in z.numerators()], dtype=bool).reshape(z.shape))
        return self.affine(self.depth - 1, h)

    def affine(self, layer: int, h: QMatrix) -> QMatrix:
        """Apply one affine layer, without the ReLU, to a batch.

        Parameters
        ----------
        layer : int
            Zero-based.
        h : QMatrix of shape (n, N_layer)

        Returns
        -------
        QMatrix of shape (n, N_{layer+1})
        """
        z = h @ self.weights[layer].T
        bias = self.biases[layer]
        if bias is None:
            return z
        ones = QMatrix.ones(h.shape[0], 1)
        return z + ones @ bias

    @cached_property
    def float_layers(self) -> tuple[tuple[FloatArray, FloatArray], ...]:
        """Weights and biases rounded to float64 (zeros for a missing bias); for proposals only."""
        layers = tuple(
            (
                W.to_numpy(np.float64),
                np.zeros(W.shape[0]) if b is None else b.to_numpy(np.float64)[0],
            )
            for W, b in zip(self.weights, self.biases, strict=True)
        )
        for array in (array for layer in layers for array in layer):
            array.setflags(write=False)  # signs rest on these being the roundings that they are
        return layers

    # -- other forms --------------------------------------------------------------------------

    @classmethod
    def random(
        cls,
        widths: Sequence[int],
        *,
        seed: int | None = None,
        bits: int = 8,
        bias: bool | Sequence[bool] = True,
    ) -> ReLUNetwork:
        """Draw a network with independent uniform dyadic weights.

        Parameters
        ----------
        widths : sequence of int
            ``(N_0, ..., N_L)``, at least two, all positive.
        seed : int, optional
            Replays a draw; the same on every platform.
        bits : int
            Weights and biases are uniform among the odd multiples of ``2**-bits`` in (-1, 1), so
            none is zero: a unit whose inputs are all off does not sit on a kink.
        bias : bool or sequence of bool
            For all layers, or one per layer.

        Returns
        -------
        ReLUNetwork

        Raises
        ------
        InvalidInput
            If the widths or the number of flags make no network.

        Examples
        --------
        >>> ReLUNetwork.random((2, 3, 1), seed=0).n_parameters
        13
        """
        widths = [int(w) for w in widths]
        if len(widths) < 2 or min(widths) < 1:
            raise InvalidInput(
                f"widths {tuple(widths)} make no network: give two or more, all >= 1"
            )
        flags = [bias] * (len(widths) - 1) if isinstance(bias, bool) else list(bias)
        if len(flags) != len(widths) - 1:
            raise InvalidInput(f"{len(flags)} bias flags against {len(widths) - 1} layers")
        rng = random.Random(seed)

        def draw(rows: int, columns: int) -> QMatrix:
            numbers = [2 * rng.getrandbits(bits) + 1 - (1 << bits) for _ in range(rows * columns)]
            return QMatrix.from_integers(numbers, 1 << bits, (rows, columns))

        weights: list[QMatrix] = []
        biases: list[QMatrix | None] = []
        for inputs, outputs, flag in zip(widths[:-1], widths[1:], flags, strict=True):
            weights.append(draw(outputs, inputs))
            biases.append(draw(1, outputs) if flag else None)
        return cls(weights, biases)

    def to_torch(self, dtype: torch.dtype | None = None) -> torch.nn.Sequential:
        """Build the torch module with the same weights.

        Parameters
        ----------
        dtype : torch.dtype, optional
            ``torch.float64`` by default.

        Returns
        -------
        torch.nn.Sequential
            Linear and ReLU modules in eval mode.

        Raises
        ------
        MissingDependency
            If torch is not installed.
        InvalidInput
            If a weight is not exactly representable in that dtype.
        """
        try:
            import torch
        except ImportError:
            raise MissingDependency("to_torch needs torch: pip install 'exactdim[torch]'") from None
        dtype = dtype or torch.float64
        modules: list[torch.nn.Module] = []
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            linear = torch.nn.Linear(W.shape[1], W.shape[0], bias=b is not None, dtype=dtype)
            for name, exact in (("weight", W), ("bias", b)):
                if exact is None:
                    continue
                rounded = torch.from_numpy(exact.to_numpy(np.float64)).to(dtype)
                if QMatrix(rounded) != exact:
                    raise InvalidInput(
                        f"{name} of layer {i} is not representable in {dtype}; "
                        "use a wider dtype or round the network first"
                    )
                with torch.no_grad():
                    getattr(linear, name).copy_(rounded[0] if name == "bias" else rounded)
            modules += [linear, torch.nn.ReLU()]
        return torch.nn.Sequential(*modules[:-1]).eval()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReLUNetwork):
            return NotImplemented
        return self.weights == other.weights and self.biases == other.biases

    def __hash__(self) -> int:
        return hash((self.weights, self.biases))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Spell small networks out, where IPython or Hypothesis show them."""
        if self.n_parameters > SPELLED:
            printer.text(repr(self))
            return

        def spelled(A: QMatrix) -> list[list[int | str]]:
            return [[int(x) if x.denominator == 1 else str(x) for x in row] for row in A.tolist()]

        weights = [spelled(W) for W in self.weights]
        biases = [None if b is None else spelled(b)[0] for b in self.biases]
        printer.text(f"ReLUNetwork({weights}, {biases})")

    def __repr__(self) -> str:
        missing = [i for i, flag in enumerate(self.has_bias) if not flag]
        note = "" if not missing else f", no bias in layers {missing}"
        return (
            f"<ReLUNetwork {'-'.join(map(str, self.widths))}: {self.n_parameters} parameters{note}>"
        )


def are_widths(source: object) -> bool:
    """Return whether something is a sequence of integers, such as ``(N_0, ..., N_L)``.

    Parameters
    ----------
    source : object

    Returns
    -------
    bool
    """
    return isinstance(source, Sequence | np.ndarray) and all(
        isinstance(width, Integral) for width in source
    )


def as_batch(X: ArrayLike, n_inputs: int) -> QMatrix:
    """Read a batch of samples exactly and check its shape.

    Parameters
    ----------
    X : ArrayLike of shape (n, N_0), or (n, ...) with N_0 numbers per sample
        One sample per row; arrays with more than two dimensions are flattened as torch does.
    n_inputs : int
        The N_0 that the network wants.

    Returns
    -------
    QMatrix of shape (n, N_0)

    Raises
    ------
    InvalidInput
        If the batch is empty.
    ShapeMismatch
        If a sample does not have N_0 numbers.
    """
    if getattr(X, "ndim", 0) > 2:
        X = X.reshape(X.shape[0], -1)
    batch = QMatrix(X, name="X")
    if batch.shape[0] == 0:
        raise InvalidInput("X is an empty batch; give at least one sample")
    if batch.shape[1] != n_inputs:
        raise ShapeMismatch(
            f"X has shape {batch.shape} but the network takes {n_inputs} inputs; rows are samples"
        )
    return batch


def _bias_row(bias: ArrayLike, layer: int, units: int) -> QMatrix:
    name = f"biases[{layer}]"
    if isinstance(bias, QMatrix):
        row = bias
    elif getattr(bias, "ndim", 1) == 0 or isinstance(bias, str) or not hasattr(bias, "__len__"):
        raise ShapeMismatch(f"{name} is {bias!r:.40}; give a list with one number per unit")
    else:
        row = QMatrix(bias if getattr(bias, "ndim", 1) == 2 else _as_row(bias), name=name)
    if row.shape != (1, units):
        raise ShapeMismatch(
            f"{name} has {row.shape[0] * row.shape[1]} entries but weights[{layer}] has "
            f"{units} rows"
        )
    return row


def _as_row(bias: ArrayLike) -> ArrayLike:
    return bias.reshape(1, -1) if hasattr(bias, "reshape") else [list(bias)]
