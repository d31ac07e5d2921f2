"""The embedded default: a small digits classifier, before and after training."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.dimension.local import Progress
from exactdim.dimension.result import Dimension
from exactdim.nets.formats import as_network
from exactdim.nets.jacobian import Head
from exactdim.nets.network import ReLUNetwork
from exactdim.numeric import RECIPES, crosscheck

__all__ = ["STAGES", "DemoRow", "demo_rows", "load_digits_network"]

STAGES = ("init", "trained")


@dataclass(frozen=True)
class DemoRow:
    """One line of the demo's table.

    Attributes
    ----------
    stage : {"init", "trained"}
    head : {"logits", "softmax"}
    exact : Dimension
    numeric : dict of str to (int or None)
        Recipe name to rank.
    seconds : float
        For both heads of the stage, exact and numeric together.
    """

    stage: str
    head: Head
    exact: Dimension
    numeric: dict[str, int | None]
    seconds: float


def load_digits_network(stage: str) -> tuple[ReLUNetwork, QMatrix]:
    """Load the embedded network and its batch.

    Parameters
    ----------
    stage : {"init", "trained"}

    Returns
    -------
    net : ReLUNetwork
        Widths (64, 12, 12, 12, 10), float32 weights, trained on scikit-learn's 8x8 digits.
    X : QMatrix of shape (30, 64)
        Training samples.

    Examples
    --------
    >>> load_digits_network("trained")[0]
    <ReLUNetwork 64-12-12-12-10: 1222 parameters>
    """
    data = files("exactdim.data").joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        prefix = f"{stage}_"
        layers = {k.removeprefix(prefix): arrays[k] for k in arrays.files if k.startswith(prefix)}
        return as_network(layers), QMatrix(arrays["X"])


def demo_rows(progress: Progress | None = None) -> Iterator[DemoRow]:
    """Compute the demo's table line by line.

    Parameters
    ----------
    progress : callable, optional
        Called as ``progress(done, total, note)``.

    Yields
    ------
    DemoRow
    """
    for stage in STAGES:
        net, X = load_digits_network(stage)
        start = time.perf_counter()
        report = crosscheck(net, X, scales=(), progress=progress)
        seconds = time.perf_counter() - start
        for head, exact in report.exact.items():
            ranks = {x.recipe.name: x.rank for x in report.numeric if x.head == head}
            yield DemoRow(stage, head, exact, {r.name: ranks[r.name] for r in RECIPES}, seconds)
