"""The Jacobian of the batch output in the parameters: its factors, and dense forms.

Within an activation pattern the row block of sample i is
``[ M_{0,i} (x) h~_{0,i}^T | ... | M_{L-1,i} (x) h~_{L-1,i}^T ]``: per layer, the derivative of the
outputs in the layer's pre-activations times the layer's input (with a 1 if it has a bias). The
factors are small where the Jacobian is not, and every rank computation starts from them.

The softmax head is the matrix ``C = [I | -1]`` in front: the Jacobian of softmax probabilities is
``diag(p) - p p^T`` times that of the logits, whose kernel is spanned by the all-ones vector for
every p, so its rank is that of ``(I (x) C) J`` and no exponential is needed (T28).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from flint import nmod_mat

from exactdim.arith import modular
from exactdim.arith.manyprimes import squared_row_norms
from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, TooLarge
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import ActivationPattern, BoolArray, KinkChoice, activation_pattern

__all__ = [
    "Head",
    "JacobianFactors",
    "float_jacobian",
    "head_matrix",
    "jacobian",
    "jacobian_factors",
]

Head: TypeAlias = Literal["logits", "softmax"]

MAX_ENTRIES = 40_000_000
"""Largest dense Jacobian that is formed; about 100 bytes an entry."""


def head_matrix(head: Head, n_outputs: int) -> QMatrix:
    """Return the matrix that a head puts in front of the logits' Jacobian.

    Parameters
    ----------
    head : {"logits", "softmax"}
    n_outputs : int

    Returns
    -------
    QMatrix
        The identity for logits; ``[I | -1]`` of shape (n_outputs - 1, n_outputs) for softmax.

    Raises
    ------
    InvalidInput
        If the head is another word.
    """
    if head == "logits":
        return QMatrix.identity(n_outputs)
    if head == "softmax":
        entries = [
            -1 if j == n_outputs - 1 else int(i == j)
            for i in range(n_outputs - 1)
            for j in range(n_outputs)
        ]
        return QMatrix.from_integers(entries, 1, (n_outputs - 1, n_outputs))
    raise InvalidInput(f"head={head!r} is unknown; choose 'logits' or 'softmax'")


@dataclass(frozen=True)
class JacobianFactors:
    """The Kronecker factors of the Jacobian of a batch, exact, computed when they are asked for.

    Attributes
    ----------
    net : ReLUNetwork
    batch : QMatrix of shape (n, N_0)
        Exactly the samples that the pattern's rows belong to.
    pattern : ActivationPattern
        Need not be realised by the batch: then it is a formal mask.
    head : {"logits", "softmax"}
    """

    net: ReLUNetwork
    batch: QMatrix
    pattern: ActivationPattern
    head: Head

    @cached_property
    def features(self) -> tuple[QMatrix, ...]:
        """Input of each layer, shape (n, N_l), with a last column of ones if it has a bias."""
        n = self.batch.shape[0]
        ones = QMatrix.ones(n, 1)
        h, out = self.batch, []
        for layer in range(self.net.depth):
            has_bias = self.net.biases[layer] is not None
            out.append(QMatrix.hstack([h, ones]) if has_bias else h)
            if layer < self.net.depth - 1:
                h = self.net.affine(layer, h).masked(self.pattern.layers[layer])
        return tuple(out)

    @property
    def sensitivities(self) -> tuple[QMatrix, ...]:
        """Derivatives of the d head outputs in each layer's pre-activations.

        Shape (n * d, N_{l+1}), rows sample-major.
        """
        return self._backward[0]

    @property
    def reach(self) -> tuple[BoolArray, ...]:
        """Per hidden layer, where a unit's activation moves a head output, whatever its mask.

        Shape (n, N_{l+1}).
        """
        return self._backward[1]

    @cached_property
    def _backward(self) -> tuple[tuple[QMatrix, ...], tuple[BoolArray, ...]]:
        net, n, d = self.net, self.batch.shape[0], self.outputs
        top = head_matrix(self.head, net.widths[-1])
        current = QMatrix.from_integers(top.numerators() * n, 1, (n * d, net.widths[-1]))
        sensitivities, reach = [current], list[BoolArray]()
        for layer in range(net.depth - 2, -1, -1):
            moved = current @ net.weights[layer + 1]
            nonzero = np.array([x != 0 for x in moved.numerators()], dtype=bool)
            reach.append(np.any(nonzero.reshape(n, d, net.widths[layer + 1]), axis=1))
            current = moved.masked(np.repeat(self.pattern.layers[layer], d, axis=0))
            sensitivities.append(current)
        return tuple(sensitivities[::-1]), tuple(reach[::-1])

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.batch.shape[0]

    @property
    def outputs(self) -> int:
        """Number d of rows per sample: N_L for logits, N_L - 1 for softmax."""
        return self.net.widths[-1] - (self.head == "softmax")

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (n * d, P) of the Jacobian."""
        return self.batch.shape[0] * self.outputs, self.net.n_parameters

    @cached_property
    def first_equal(self) -> tuple[int, ...]:
        """For each sample, the first sample equal to it, with the same (possibly formal) mask."""
        width, flat = self.batch.shape[1], self.batch.numerators()
        first: dict[tuple[tuple[int, ...], bytes], int] = {}
        keys = (
            (tuple(flat[i * width : (i + 1) * width]), word.tobytes())
            for i, word in enumerate(self.pattern.mask)
        )
        return tuple(first.setdefault(key, i) for i, key in enumerate(keys))

    @cached_property
    def distinct(self) -> list[int]:
        """The samples that are equal to no earlier one; all others repeat rows."""
        return sorted(set(self.first_equal))

    def pick(self, samples: Sequence[int]) -> JacobianFactors:
        """Return the factors of some of the samples.

        Parameters
        ----------
        samples : sequence of int

        Returns
        -------
        JacobianFactors
        """
        rows = list(samples)
        pattern = replace(
            self.pattern,
            layers=tuple(layer[rows] for layer in self.pattern.layers),
            kinks=(),
            dropped=(),
            n_samples=len(rows),
        )
        return JacobianFactors(self.net, self.batch[rows], pattern, self.head)

    @cached_property
    def dense(self) -> QMatrix:
        """The Jacobian over the rationals; columns as in `ReLUNetwork.parameters`."""
        self._check_size()
        blocks = list(zip(self.sensitivities, self.features, strict=True))
        # One common denominator for all layers.
        den = int(np.lcm.reduce([M.denominator * h.denominator for M, h in blocks], dtype=object))
        tables = [
            (M.numerators(), h.numerators(), den // (M.denominator * h.denominator))
            for M, h in blocks
        ]
        return QMatrix.from_integers(self._assemble(tables), den, self.shape)

    def residues(self, p: int) -> nmod_mat:
        """Return the Jacobian modulo a prime, without forming it over the rationals.

        Parameters
        ----------
        p : int
            A prime that divides no denominator of the network or the batch.

        Returns
        -------
        flint.nmod_mat
        """
        self._check_size()
        tables = [
            ([int(x) for x in modular.reduce(M, p).entries()],
             [int(x) for x in modular.reduce(h, p).entries()], 1)
            for M, h in zip(self.sensitivities, self.features, strict=True)
        ]  # fmt: skip
        return nmod_mat(*self.shape, self._assemble(tables), p)

    def _assemble(self, tables: list[tuple[list[int], list[int], int]]) -> list[int]:
        """Write the rows ``[M_l (x) h_l]`` from row-major factors, weights first, then biases."""
        d = self.outputs
        widths = self.net.widths
        entries: list[int] = []
        for row in range(self.shape[0]):
            sample = row // d
            for layer, (M, h, factor) in enumerate(tables):
                units, columns = widths[layer + 1], self.features[layer].shape[1]
                inputs = h[sample * columns : sample * columns + widths[layer]]
                one = h[(sample + 1) * columns - 1]
                left = [factor * x for x in M[row * units : (row + 1) * units]]
                for m in left:
                    entries.extend([m * x for x in inputs] if m else [0] * len(inputs))
                if self.net.biases[layer] is not None:
                    entries.extend([m * one for m in left])
        return entries

    def _check_size(self) -> None:
        rows, columns = self.shape
        if rows * columns > MAX_ENTRIES:
            raise TooLarge(
                f"the Jacobian has {rows} x {columns} entries; the dense exact method stops at "
                f"{MAX_ENTRIES}. Take fewer samples or a narrower network"
            )

    def squared_row_norms(self) -> list[int]:
        """Return the squared row norms of the Jacobian with each layer's block made integral.

        Returns
        -------
        list of int
            Integral column scaling leaves the rank alone, so products of these bound the minors
            that decide which primes are bad (T26).
        """
        d = self.outputs
        totals = [0] * self.shape[0]
        for M, h in zip(self.sensitivities, self.features, strict=True):
            left, right = squared_row_norms(M), squared_row_norms(h)
            for row in range(len(totals)):
                totals[row] += left[row] * right[row // d]
        return totals


@overload
def jacobian(
    net: NetworkLike,
    X: ArrayLike,
    *,
    head: Head = ...,
    wrt: Literal["parameters"] = ...,
    on_kink: KinkChoice = ...,
) -> QMatrix: ...
@overload
def jacobian(
    net: NetworkLike,
    X: ArrayLike,
    *,
    head: Head = ...,
    wrt: Literal["input"],
    on_kink: KinkChoice = ...,
) -> list[QMatrix]: ...


def jacobian(
    net: NetworkLike,
    X: ArrayLike,
    *,
    head: Head = "logits",
    wrt: Literal["parameters", "input"] = "parameters",
    on_kink: KinkChoice = "raise",
) -> QMatrix | list[QMatrix]:
    """Compute the exact Jacobian of the batch output.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    head : {"logits", "softmax"}
        ``"softmax"`` means ``(I (x) [I | -1]) J``, which has the rank of the softmax Jacobian.
    wrt : {"parameters", "input"}
        ``"input"`` gives the samples' input Jacobians, the blocks of a block-diagonal matrix.
    on_kink : {"raise", "zero", "drop"}
        As in `activation_pattern`; with ``"drop"`` the kinked samples have no rows.

    Returns
    -------
    QMatrix of shape (n * d, P), or list of QMatrix of shape (d, N_0)
        d = N_L for logits and N_L - 1 for softmax. Row ``i * d + j`` is output j of sample i.
        Columns are layer by layer the weight, row-major (out x in), then the bias.

    Raises
    ------
    InvalidInput
        If an argument is not understood, a shape is wrong or (`OnKink`) a sample is on a kink.
    TooLarge
        If the matrix would have more than 40 million entries.

    Notes
    -----
    Source: arXiv 2402.08269; T3 and T28. O(n d P) operations.

    Examples
    --------
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> jacobian(net, [[0], [1], [2]])
    QMatrix([['0', '0', '0', '1'], ['3', '3', '1', '1'], ['6', '3', '3', '1']])
    >>> jacobian(net, [[0], [1]], wrt="input")
    [QMatrix([['0']]), QMatrix([['6']])]
    """
    if wrt not in {"parameters", "input"}:
        raise InvalidInput(f"wrt={wrt!r} is unknown; choose 'parameters' or 'input'")
    factors = jacobian_factors(net, X, head=head, on_kink=on_kink)
    if wrt == "parameters":
        return factors.dense
    per_input = factors.sensitivities[0] @ factors.net.weights[0]
    d = factors.outputs
    return [per_input[slice(i * d, (i + 1) * d)] for i in range(factors.batch.shape[0])]


def jacobian_factors(
    net: NetworkLike, X: ArrayLike, *, head: Head = "logits", on_kink: KinkChoice = "raise"
) -> JacobianFactors:
    """Compute the exact factors of the Jacobian of a batch.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    head : {"logits", "softmax"}
    on_kink : {"raise", "zero", "drop"}

    Returns
    -------
    JacobianFactors
    """
    net = as_network(net)
    head_matrix(head, net.widths[-1])  # refuse an unknown head before the long work
    batch = as_batch(X, net.widths[0])
    pattern = activation_pattern(net, batch, on_kink=on_kink)
    return JacobianFactors(net, pattern.select(batch), pattern, head)


def float_jacobian(
    net: NetworkLike, X: ArrayLike, *, head: Head = "logits", dtype: npt.DTypeLike = np.float64
) -> npt.NDArray[Any]:
    """Compute the Jacobian as numeric code does: every step in one float format.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    head : {"logits", "softmax"}
        ``"softmax"`` is the Jacobian of the probabilities themselves, with all N_L rows a sample.
    dtype : numpy dtype
        ``float32`` or ``float64``; weights and samples are rounded to it first.

    Returns
    -------
    numpy.ndarray of shape (n * N_L, P)
        Columns as in `jacobian`. A statement about floats: nothing here is proved.
    """
    net = as_network(net)
    h = as_batch(X, net.widths[0]).to_numpy(dtype)
    n, classes = h.shape[0], net.widths[-1]
    layers = [(W.astype(dtype), b.astype(dtype)) for W, b in net.float_layers]
    inputs, masks = [], []
    for layer, (W, b) in enumerate(layers):
        inputs.append(h)
        z = h @ W.T + b
        if layer < net.depth - 1:
            masks.append(z > 0)
            h = np.where(masks[-1], z, 0).astype(dtype)
    if head == "softmax":
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True)
        M = np.einsum("ij,jk->ijk", p, np.eye(classes, dtype=dtype)) - p[:, :, None] * p[:, None, :]
    else:
        M = np.broadcast_to(np.eye(classes, dtype=dtype), (n, classes, classes))
    blocks: list[npt.NDArray[Any]] = []
    for layer in range(net.depth - 1, -1, -1):
        if net.biases[layer] is not None:
            blocks.append(M.reshape(n * classes, -1))
        weight = np.einsum("ijk,im->ijkm", M, inputs[layer])
        blocks.append(weight.reshape(n * classes, -1))
        if layer:
            M = (M @ layers[layer][0]) * masks[layer - 1][:, None, :]
    return np.hstack(blocks[::-1]).astype(dtype)
