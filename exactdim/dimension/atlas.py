"""The atlas of ranks: every activation region of parameter space for a batch, with its rank.

For a fixed batch, parameter space is cut into finitely many open regions with constant activation
pattern, and almost everywhere in each the local dimension is constant (arXiv 2402.08269). The atlas
lists them, one of each orbit under reordering the units of a layer.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from exactdim.arith.rationals import ArrayLike
from exactdim.dimension.generic import generic_dimension
from exactdim.dimension.result import Dimension
from exactdim.dimension.shallow import ShallowRanks
from exactdim.errors import InvalidInput, Undecided
from exactdim.evidence.certificate import write_whole
from exactdim.evidence.spelling import inputs_of, layers_of
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork
from exactdim.nets.patterns import ActivationPattern, activation_pattern, masks_of, words_of
from exactdim.regions.dichotomies import parallel_rows
from exactdim.regions.graph import write_graphml
from exactdim.regions.parameter_space import Words, spelled
from exactdim.regions.parameters import QUESTION_SECONDS, ParameterCount, ParameterRegions
from exactdim.regions.realisability import ParameterRealisation

if TYPE_CHECKING:
    import networkx

    from exactdim.regions.jobs import Progress

__all__ = ["Atlas", "AtlasRegion", "parameter_regions"]

BURN_IN = 3
"""Steps of a walk before its first network: witnesses have equal units where words are equal."""


@dataclass(frozen=True, eq=False, repr=False)
class AtlasRegion:
    """An activation region of parameter space, up to the order of the units in each layer.

    Attributes
    ----------
    atlas : Atlas
    realisation : ParameterRealisation
        How it is known that there are such parameters.
    """

    atlas: Atlas
    realisation: ParameterRealisation

    @property
    def words(self) -> Words:
        """For each hidden layer one word of 0 and 1 per unit, one letter per sample, in order."""
        return self.realisation.words

    @property
    def pattern(self) -> ActivationPattern:
        """The activation pattern, a mask of shape (n, H)."""
        return self.realisation.pattern

    @property
    def multiplicity(self) -> int:
        """Number of regions that reordering the units makes of this one."""
        return self.realisation.multiplicity

    @property
    def witness(self) -> ReLUNetwork:
        """A network in the region; only its hidden layers were chosen, the last has ones."""
        net = self.realisation.witness
        assert net is not None, "the atlas lists realised patterns"
        return net

    @cached_property
    def rank(self) -> int:
        """The generic rank: the local dimension almost everywhere in the region.

        Raises
        ------
        Undecided
            If it is not proved, for deep networks with hundreds of parameters; see `dimension`.
        """
        known = self.atlas._shallow_rank(self.words)
        return self.dimension.value if known is None else known

    @cached_property
    def dimension(self) -> Dimension:
        """The generic rank with its evidence."""
        space = self.atlas.space
        return generic_dimension(space.widths, self.pattern, space.batch, bias=space.has_bias)

    def networks(self, n: int, *, seed: int | None = None) -> Iterator[ReLUNetwork]:
        """Walk through the region at random.

        Parameters
        ----------
        n : int
            Number of networks.
        seed : int, optional
            Replays a walk.

        Yields
        ------
        ReLUNetwork
            Exactly in the region, with rational parameters. From one to the next every hidden layer
            moves along a random line; the last layer is drawn anew.
        """
        rng = random.Random(seed)
        layers = self.realisation.hidden_layers
        assert layers is not None, "the atlas lists realised patterns"
        space = self.atlas.space
        size = space.widths[-1] * (space.widths[-2] + space.has_bias[-1])
        for step in range(-BURN_IN, n):
            for layer in range(len(self.words)):
                layers = layers.moved(rng, layer)
            if step < 0:
                continue
            yield layers.network([rng.choice([-1, 1]) * rng.randint(1, 999) for _ in range(size)])

    def __repr__(self) -> str:
        return f"<AtlasRegion {spelled(self.words)}, {self.multiplicity}-fold>"


class Atlas:
    """All activation regions of parameter space for a batch. Made by `parameter_regions`.

    Iterating yields one `AtlasRegion` per orbit under reordering the units, computed on the way; no
    question is put to the solver twice.

    Attributes
    ----------
    space : ParameterSpace
        Widths, biases and the batch.
    regions : ParameterRegions
        The patterns without their ranks.
    """

    def __init__(self, regions: ParameterRegions) -> None:
        self.regions, self.space = regions, regions.space

    def __iter__(self) -> Iterator[AtlasRegion]:
        return (AtlasRegion(self, found) for found in self.regions if found.verdict == "realised")

    @cached_property
    def _count(self) -> ParameterCount:
        """All patterns gone through once; without that if there is one hidden layer."""
        return self.regions.count()

    @property
    def undecided(self) -> tuple[ParameterRealisation, ...]:
        """The patterns of which it is open whether any parameters have them; listed nowhere else.

        Empty if there is one hidden layer. All patterns are gone through.
        """
        return self._count.undecided

    @property
    def n_orbits(self) -> int:
        """Number of regions up to the order of units."""
        return self._count.orbits

    @property
    def n_regions(self) -> int:
        """Number of regions, every order of the units counted."""
        return int(self._count)

    @cached_property
    def _histogram(self) -> dict[int, int]:
        found: Counter[int] = Counter()
        for region in self:
            found[region.rank] += region.multiplicity
        return dict(sorted(found.items()))

    def _require_decided(self) -> None:
        if self.undecided:
            raise Undecided(
                f"whether {len(self.undecided)} patterns are possible is open (see .undecided), so "
                "the atlas may not be complete; allow more solver_seconds, or ask for "
                "histogram(partial=True)",
                0,
                len(self.undecided),
            )

    @property
    def believed(self) -> int:
        """How many questions the SMT solver answered with "impossible"; it is taken at its word.

        Everything listed is proved by a network. With 0, and nothing undecided, it is proved as
        well that nothing is missing. One hidden layer never needs the solver. All patterns are
        gone through.
        """
        return self._count.solver_answers

    def histogram(self, *, partial: bool = False) -> dict[int, int]:
        """Count the regions of each generic rank.

        Parameters
        ----------
        partial : bool
            Whether to leave out patterns that are `undecided`: then there are at least so many.

        Returns
        -------
        dict of int to int
            Rank to number of regions, every order of the units counted; by ascending rank.

        Raises
        ------
        Undecided
            If a rank is not decided; or a pattern, unless `partial`.
        """
        if not partial:
            self._require_decided()
        return dict(self._histogram)

    @property
    def image_dimension(self) -> int:
        """The dimension of the set of outputs that networks can have on the batch (T5)."""
        return max(self.histogram())

    def fraction(self, rank: int) -> Fraction:
        """Return the share of the regions that have a generic rank.

        Parameters
        ----------
        rank : int

        Returns
        -------
        Fraction
        """
        histogram = self.histogram()
        return Fraction(histogram.get(rank, 0), sum(histogram.values()))

    @property
    def full_rank_fraction(self) -> Fraction:
        """The share of the regions with full row rank: the outputs can move in all directions.

        Zero if no network has that many dimensions; ``fraction(image_dimension)`` is the share of
        the regions with the largest rank there is.
        """
        return self.fraction(self.space.n_samples * self.space.widths[-1])

    def region_of(self, net: NetworkLike) -> AtlasRegion:
        """Return the region that a network lies in.

        Parameters
        ----------
        net : ReLUNetwork or anything `as_network` reads
            Of this architecture.

        Returns
        -------
        AtlasRegion

        Raises
        ------
        InvalidInput
            If the network is of another architecture.
        OnKink
            If it lies on the boundary between regions.
        Undecided
            If it lies in a region that the atlas leaves undecided.
        """
        network = as_network(net)
        if (network.widths, network.has_bias) != (self.space.widths, self.space.has_bias):
            raise InvalidInput(f"{network!r} is not of the architecture of {self!r}")
        layers = activation_pattern(network, self.space.batch).layers
        words = tuple(tuple(sorted(words_of(layer.T))) for layer in layers)
        if words not in self._by_words:
            self._require_decided()
        return self._by_words[words]

    @cached_property
    def _by_words(self) -> dict[Words, AtlasRegion]:
        return {region.words: region for region in self}

    def graph(self) -> networkx.Graph:
        """Return which regions differ by one sign flip.

        Returns
        -------
        networkx.Graph
            Nodes are the words of the orbits, with the attributes ``rank`` and ``multiplicity``.
            An edge means that one unit of one layer changes at one sample, or at several that
            change together, with attributes ``layer`` and ``samples``.

        Notes
        -----
        With one hidden layer these are the regions that share a facet. Samples change together at
        a unit if its layer's input vectors there are proportional: repeated samples, samples at
        which all units below are off.
        """
        import networkx

        graph = networkx.Graph()
        beside: dict[tuple[int, Words], dict[str, AtlasRegion]] = defaultdict(dict)
        for region in self:
            graph.add_node(region.words, rank=region.rank, multiplicity=region.multiplicity)
            for layer, words in enumerate(region.words):
                for word in dict.fromkeys(words):
                    others = list(words)
                    others.remove(word)
                    rest = (*region.words[:layer], tuple(others), *region.words[layer + 1 :])
                    beside[layer, rest][word] = region
        self._require_decided()
        for (layer, rest), members in beside.items():
            for samples in self._moving_together(rest[:layer]):
                for word, region in members.items():
                    other = members.get(_flipped(word, samples))
                    if other is not None:
                        graph.add_edge(region.words, other.words, layer=layer, samples=samples)
        return graph

    def _moving_together(self, below: Words) -> tuple[tuple[int, ...], ...]:
        """Return the groups of samples that change together at the units above some layers."""
        # Input vectors of a layer are proportional for all parameters below if they are for random
        # ones, with the words as formal masks.
        if below not in self._groups:
            space = self.space
            net = ReLUNetwork.random(space.widths, seed=0, bits=40, bias=space.has_bias)
            h = space.batch
            for layer, words in enumerate(below):
                h = net.affine(layer, h).masked(masks_of(words).T)
            self._groups[below] = parallel_rows(space.features(h, len(below)))
        return self._groups[below]

    @cached_property
    def _groups(self) -> dict[Words, tuple[tuple[int, ...], ...]]:
        return {}

    @cached_property
    def _shallow_ranks(self) -> ShallowRanks | None:
        """The closed formulas, if there is one hidden layer."""
        space = self.space
        if len(space.widths) != 3:
            return None
        return ShallowRanks(space.features(space.batch, 0), space.widths[-1], space.has_bias[-1])

    def _shallow_rank(self, words: Words) -> int | None:
        """Return the generic rank by a closed formula, if one says it."""
        if self._shallow_ranks is None:
            return None
        found = self._shallow_ranks.of(words[0])
        return found.value if found.attained else None

    def save(self, path: str | os.PathLike[str], *, witnesses: bool = True) -> None:
        """Write the atlas as JSON, numbers exactly as strings.

        Parameters
        ----------
        path : path
        witnesses : bool
            Whether to write a network of each region, too.

        Raises
        ------
        Undecided
            If a pattern, or a rank, is not decided.
        """
        space = self.space
        head = {
            "widths": space.widths,
            "bias": space.has_bias,
            "inputs": inputs_of(space.batch),
            "histogram": self.histogram(),
        }
        lines = [
            json.dumps({
                "words": region.words,
                "multiplicity": region.multiplicity,
                "rank": region.rank,
                **({"witness": layers_of(region.witness)} if witnesses else {}),
            })
            for region in self
        ]
        start, end = json.dumps({**head, "regions": []})[:-2], "\n]}\n"
        write_whole(Path(path), start + "\n" + ",\n".join(lines) + end)

    def write_graph(self, path: str | os.PathLike[str]) -> None:
        """Write `graph` as GraphML.

        Parameters
        ----------
        path : path
            With the suffix .graphml.

        Raises
        ------
        InvalidInput
            If the path has another suffix.
        Undecided
            If a pattern, or a rank, is not decided.
        """
        import networkx

        plain = networkx.Graph()
        graph = self.graph()
        for words, data in graph.nodes(data=True):
            plain.add_node(spelled(words), **data)
        for left, right, data in graph.edges(data=True):
            samples = " ".join(map(str, data["samples"]))
            plain.add_edge(spelled(left), spelled(right), layer=data["layer"], samples=samples)
        write_graphml(plain, path)

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.space.widths))
        return f"<Atlas of {widths} for {self.space.n_samples} samples>"


def parameter_regions(
    widths: Sequence[int] | ReLUNetwork,
    X: ArrayLike,
    *,
    bias: bool | Sequence[bool] = True,
    solver_seconds: float | None = None,
    question_seconds: float | None = QUESTION_SECONDS,
    progress: Progress | None = None,
) -> Atlas:
    """Cut parameter space into the activation regions of a batch, with the rank of each.

    Parameters
    ----------
    widths : sequence of int, or ReLUNetwork
        ``(N_0, ..., N_L)``; of a network the architecture counts, and its biases.
    X : ArrayLike of shape (n, N_0)
        Samples in rows; repeated, collinear and zero samples are welcome.
    bias : bool or sequence of bool
        For all layers, or one per layer.
    solver_seconds : float, optional
        After so much time the SMT solver is not asked any more, see `Atlas.undecided`; the exact
        part goes on.
    question_seconds : float or None
        Time that the solver has for one question.
    progress : callable, optional
        Called with (done, total, note).

    Returns
    -------
    Atlas
        Nothing is computed before it is iterated over or asked for.

    Raises
    ------
    InvalidInput
        If the arguments make no network or no batch.
    ShapeMismatch
        If a sample does not have N_0 numbers.

    Notes
    -----
    Source: arXiv 2402.08269; T2, T4, T15-T17, T39. Patterns of the first layer are tuples of
    dichotomies of the batch, enumerated exactly. Those of deeper layers are decided layer by layer
    (`regions.parameters`), toy architectures only: some questions are polynomial and go to an SMT
    solver, whose "impossible" is taken at its word. Every region that is listed has a network that
    lies in it. A neuron that is zero for all parameters nearby, which takes a layer without bias,
    counts as off (T2). Cost with one hidden layer: a few tenths of a millisecond per orbit.

    Examples
    --------
    >>> atlas = parameter_regions((2, 2, 1), [[1, 0], [1, 1], [0, 1]], bias=False)
    >>> atlas.n_regions, atlas.n_orbits
    (36, 21)
    >>> atlas.histogram(), atlas.full_rank_fraction
    ({0: 1, 1: 6, 2: 15, 3: 14}, Fraction(7, 18))
    >>> region = next(iter(atlas))
    >>> region.words, region.rank
    ((('000', '000'),), 0)
    """
    regions = ParameterRegions(
        widths,
        X,
        bias=bias,
        solver_seconds=solver_seconds,
        question_seconds=question_seconds,
        progress=progress,
    )
    return Atlas(regions)


def _flipped(word: str, samples: Sequence[int]) -> str:
    letters = list(word)
    for i in samples:
        letters[i] = "10"[int(letters[i])]
    return "".join(letters)
