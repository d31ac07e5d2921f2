"""Numeric ranks by every usual recipe, beside the exact one.

Nothing here decides a rank: the recipes are what papers and libraries do, and the report says which
of them are wrong, by how much, and which change their answer when a neuron is rescaled by a power
of two, which changes neither the function nor the true rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exactdim.arith.parallel import one_blas_thread
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension.local import Progress, local_dimension
from exactdim.dimension.result import Dimension
from exactdim.errors import InvalidInput
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.jacobian import Head, float_jacobian
from exactdim.nets.network import ReLUNetwork, as_batch
from exactdim.nets.patterns import ActivationPattern, KinkChoice
from exactdim.nets.symmetry import rescale

__all__ = ["RECIPES", "CrosscheckReport", "NumericRank", "Recipe", "Rescaling", "crosscheck"]

HEADS: tuple[Head, ...] = ("logits", "softmax")
EPS32 = float(np.finfo(np.float32).eps)
EPS64 = float(np.finfo(np.float64).eps)

SMALL_SPECTRUM = 1000
"""Singular values up to which one thread computes them."""

SMALLEST_GAP = 1e3
"""A ratio of consecutive singular values below this is no gap to cut at."""


@dataclass(frozen=True)
class Recipe:
    """One way to turn a float Jacobian into a rank.

    Attributes
    ----------
    name : str
    jacobian : {"float32", "float64"}
        Format in which the Jacobian is computed.
    svd : {"float32", "float64"}
        Format in which the singular values are computed.
    cut : callable
        Maps singular values (descending) and the matrix shape to a rank.
    source : str
        Who does it like this.
    """

    name: str
    jacobian: str
    svd: str
    cut: Callable[[npt.NDArray[Any], tuple[int, int]], int]
    source: str


def _relative(eps: float) -> Callable[[npt.NDArray[Any], tuple[int, int]], int]:
    """Count singular values above ``max(m, n) * eps * sigma_max``."""
    return lambda s, shape: int((s > s[0] * max(shape) * eps).sum()) if s.size else 0


def _largest_gap(s: npt.NDArray[Any], shape: tuple[int, int]) -> int:
    positive = s[s > 0]
    if len(positive) < 2:
        return len(positive)
    ratios = positive[:-1] / positive[1:]
    best = int(ratios.argmax())
    return best + 1 if ratios[best] >= SMALLEST_GAP else len(positive)


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "float32, eps32", "float32", "float32", _relative(EPS32), "numpy, torch, MATLAB default"
    ),
    Recipe("float32 J, eps64", "float32", "float64", _relative(EPS64), "code of arXiv 2402.08269"),
    Recipe(
        "float64, eps32", "float64", "float64", _relative(EPS32), "float32 threshold on float64"
    ),
    Recipe(
        "float64, eps64", "float64", "float64", _relative(EPS64), "numpy, torch, MATLAB default"
    ),
    Recipe("float64, gap", "float64", "float64", _largest_gap, "largest ratio of singular values"),
    Recipe(
        "float64, 0.01",
        "float64",
        "float64",
        lambda s, _: int((s > 0.01).sum()),
        "absolute tolerance, code of arXiv 2412.18283",
    ),
)


@dataclass(frozen=True)
class NumericRank:
    """What one recipe says about one head.

    Attributes
    ----------
    recipe : Recipe
    head : {"logits", "softmax"}
    rank : int or None
        ``None`` if the Jacobian overflowed.
    error : int or None
        Signed distance from the proved bracket; 0 if inside, ``None`` if there is no rank.
    """

    recipe: Recipe
    head: Head
    rank: int | None
    error: int | None

    @property
    def agrees(self) -> bool:
        """Whether the rank lies in the proved bracket."""
        return self.error == 0


@dataclass(frozen=True)
class Rescaling:
    """Ranks after one neuron was rescaled by ``2**exponent``; the function is unchanged.

    Attributes
    ----------
    exponent : int
    unit : (int, int)
        Layer and unit.
    ranks : dict of str to (int or None)
        Recipe name to rank, logits head.
    """

    exponent: int
    unit: tuple[int, int]
    ranks: dict[str, int | None]


@dataclass(frozen=True)
class CrosscheckReport:
    """Exact and numeric ranks of one network at one batch.

    Attributes
    ----------
    exact : dict of str to Dimension
        Per head.
    numeric : tuple of NumericRank
    rescalings : tuple of Rescaling
    spectra : dict of str to numpy.ndarray
        Per head: singular values of the float64 Jacobian, descending.
    """

    exact: dict[Head, Dimension]
    numeric: tuple[NumericRank, ...]
    rescalings: tuple[Rescaling, ...]
    spectra: dict[Head, npt.NDArray[np.float64]]

    @property
    def agrees(self) -> bool:
        """Whether every recipe is right for every head and unmoved by rescaling."""
        return all(x.agrees for x in self.numeric) and not self.moved

    @property
    def wrong(self) -> tuple[NumericRank, ...]:
        """The numeric ranks outside the proved bracket."""
        return tuple(x for x in self.numeric if not x.agrees)

    def __str__(self) -> str:
        lines = [f"exact: {', '.join(f'{head} {d}' for head, d in self.exact.items())}"]
        for recipe in RECIPES:
            ranks = [x for x in self.numeric if x.recipe.name == recipe.name]
            cells = ", ".join(f"{x.head} {x.rank} (error {x.error})" for x in ranks)
            note = "; moved by rescaling" if recipe.name in self.moved else ""
            lines.append(f"{recipe.name}: {cells}{note}")
        return "\n".join(lines)

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the recipes whose answer a rescaling changes."""
        first = {x.recipe.name: x.rank for x in self.numeric if x.head == "logits"}
        return tuple(
            name
            for name, rank in first.items()
            if any(scaling.ranks[name] != rank for scaling in self.rescalings)
        )

    def gap(self, head: Head) -> tuple[float, float]:
        """Return the singular values on both sides of the exact rank, over the largest.

        Parameters
        ----------
        head : {"logits", "softmax"}

        Returns
        -------
        last_kept, first_dropped : float
            The latter is 0 where there is none. A threshold is right if it lies between them.
        """
        spectrum, rank = self.spectra[head], self.exact[head].likely
        largest = spectrum[0] if spectrum.size and spectrum[0] > 0 else 1.0
        kept = spectrum[rank - 1] / largest if 0 < rank <= spectrum.size else 1.0
        dropped = spectrum[rank] / largest if rank < spectrum.size else 0.0
        return float(kept), float(dropped)


def crosscheck(
    net: NetworkLike,
    X: ArrayLike,
    *,
    scales: Sequence[int] = (0, 4, 8, 12, 16, 20, 24),
    on_kink: KinkChoice = "raise",
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> CrosscheckReport:
    """Compare numeric ranks by every usual recipe with the exact rank, for both heads.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    scales : sequence of int
        Exponents k: one neuron is rescaled by ``2**k`` and every recipe asked again.
    on_kink : {"raise", "drop", "zero"}
        As in `local_dimension`.
    max_seconds : float, optional
        For each exact rank.
    progress : callable, optional
        Called as ``progress(done, total, note)``.

    Returns
    -------
    CrosscheckReport

    Raises
    ------
    InvalidInput
        If the float Jacobian would have more than 2e8 entries.
    KeyboardInterrupt
        On Ctrl-C: half a comparison is not returned.

    Notes
    -----
    The softmax recipes act on the Jacobian of the probabilities, whose exact rank is T28's.
    Cost: one singular value decomposition per format, head and scale.

    Examples
    --------
    >>> import exactdim as ed
    >>> net = ed.ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> report = crosscheck(net, [[0], [1], [2], [3]])
    >>> int(report.exact["logits"]), "float32, eps32" in report.moved
    (3, True)
    """
    net = as_network(net)
    batch = as_batch(X, net.widths[0])
    if batch.shape[0] * net.widths[-1] * net.n_parameters > 2e8:
        raise InvalidInput("the float Jacobian would be too large to decompose; take fewer samples")
    exact: dict[Head, Dimension] = {}
    for head in HEADS:
        note = f"exact rank, {head}"

        def tick(done: int, total: int, text: str, note: str = note) -> None:
            if progress is not None:
                progress(done, total, f"{note}: {text}")

        exact[head] = local_dimension(
            net, batch, head=head, on_kink=on_kink, max_seconds=max_seconds, progress=tick
        )
        if exact[head].evidence.stopped == "interrupted":
            raise KeyboardInterrupt  # a comparison with half an answer helps nobody
    pattern = exact["logits"].evidence.pattern
    kept = pattern.select(batch)
    numeric: list[NumericRank] = []
    spectra: dict[Head, npt.NDArray[np.float64]] = {}
    for head in HEADS:
        ranks, spectrum = _numeric_ranks(net, kept, head)
        spectra[head] = spectrum
        d = exact[head]
        for recipe in RECIPES:
            rank = ranks[recipe.name]
            error = None if rank is None else max(rank - d.upper, 0) + min(rank - d.lower, 0)
            numeric.append(NumericRank(recipe, head, rank, error))
    unit = _live_unit(net, pattern)
    rescalings = []
    for k, exponent in enumerate(scales if unit else ()):
        if progress is not None:
            progress(k, len(scales), f"rescaling a neuron by 2**{exponent}")
        assert unit is not None
        scaled = rescale(net, *unit, _power_of_two(exponent))
        rescalings.append(Rescaling(exponent, unit, _numeric_ranks(scaled, kept, "logits")[0]))
    return CrosscheckReport(exact, tuple(numeric), tuple(rescalings), spectra)


def _power_of_two(exponent: int) -> str:
    return f"{2**exponent}" if exponent >= 0 else f"1/{2**-exponent}"


def _live_unit(net: ReLUNetwork, pattern: ActivationPattern) -> tuple[int, int] | None:
    """Find a hidden unit that is on somewhere, so that rescaling it moves the spectrum."""
    dead = set(pattern.dead)
    for layer in range(net.depth - 1):
        for unit in range(net.widths[layer + 1]):
            if (layer, unit) not in dead:
                return layer, unit
    return None


def _numeric_ranks(
    net: ReLUNetwork, batch: ArrayLike, head: Head
) -> tuple[dict[str, int | None], npt.NDArray[np.float64]]:
    """Apply every recipe; also return the float64 spectrum."""
    with np.errstate(all="ignore"):
        jacobians = {
            name: float_jacobian(net, batch, head=head, dtype=name)
            for name in ("float32", "float64")
        }
    spectra: dict[tuple[str, str], npt.NDArray[Any]] = {}
    ranks: dict[str, int | None] = {}
    for recipe in RECIPES:
        key = (recipe.jacobian, recipe.svd)
        J = jacobians[recipe.jacobian]
        if key not in spectra and np.isfinite(J).all():
            spectra[key] = _singular_values(J.astype(recipe.svd))
        ranks[recipe.name] = recipe.cut(spectra[key], J.shape) if key in spectra else None
    return ranks, spectra.get(("float64", "float64"), np.zeros(0))


def _singular_values(J: npt.NDArray[Any]) -> npt.NDArray[Any]:
    few = min(J.shape) <= SMALL_SPECTRUM
    with one_blas_thread() if few else nullcontext():
        return np.linalg.svd(J, compute_uv=False)
