"""Structural upper bounds of the local dimension, each a theorem with its reason.

Every rank inside a bound is bounded from above by a proof (`QMatrix.rank`), and every rank that is
subtracted likewise from below, so that a bound never rests on a modular rank. All bounds hold for
every parameter, batch and pattern, generic or not.

Source: arXiv 2402.08269; T7, T9 and T28.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import Any

from exactdim.arith.circuits import Circuits
from exactdim.arith.matrix import QMatrix
from exactdim.arith.primes import descending_primes
from exactdim.arith.rationals import ArrayLike
from exactdim.dimension.choice import choose
from exactdim.dimension.units import Feature, UnitSpans
from exactdim.evidence.spelling import spell
from exactdim.nets.formats import NetworkLike
from exactdim.nets.jacobian import Head, JacobianFactors, head_matrix, jacobian_factors
from exactdim.nets.patterns import KinkChoice

__all__ = ["Bound", "StructuralBounds", "dimension_bounds"]


@dataclass(frozen=True)
class Bound:
    """A proved upper bound of the local dimension.

    Attributes
    ----------
    name : str
        Of the reason, as certificates spell it.
    value : int
    statement : str
        The reason as a sentence.
    witness : mapping
        What a checker needs beyond network and batch; strings, integers and lists only.
    """

    name: str
    value: int
    statement: str
    witness: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.value}: {self.statement}"


def dimension_bounds(
    net: NetworkLike, X: ArrayLike, *, head: Head = "logits", on_kink: KinkChoice = "raise"
) -> list[Bound]:
    """Compute every structural upper bound of the local dimension, smallest first.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    X : ArrayLike of shape (n, N_0)
    head : {"logits", "softmax"}
    on_kink : {"raise", "zero", "drop"}

    Returns
    -------
    list of Bound

    Notes
    -----
    T7, T9 (1-4, 6, 7) and T28. The costly ones are ``unit-relations``: one exact rank of an
    n x (N_{l-1} + N_l + 2) matrix per hidden unit.

    Examples
    --------
    >>> from exactdim import ReLUNetwork
    >>> net = ReLUNetwork([[[2]], [[3]]], [[-1], [5]])
    >>> for bound in dimension_bounds(net, [[0], [1], [2], [3]]):
    ...     print(bound.name, bound.value)
    parameters 3
    input-rank 3
    affine-pieces 3
    unit-relations 3
    rows 4
    layer-features 4
    output-span 4
    """
    bounds = StructuralBounds(jacobian_factors(net, X, head=head, on_kink=on_kink))
    return sorted(bounds, key=lambda bound: bound.value)


class StructuralBounds:
    """The structural bounds of one batch, computed one after the other on demand.

    Parameters
    ----------
    factors : JacobianFactors

    Notes
    -----
    Iteration yields the `cheap` bounds first, then the `costly` ones, so that a caller can stop as
    soon as one is met.
    """

    def __init__(self, factors: JacobianFactors) -> None:
        self.factors = factors
        self.net = factors.net
        self.d = factors.outputs

    def __iter__(self) -> Iterator[Bound]:
        yield from self.cheap()
        yield from self.costly()

    def cheap(self) -> list[Bound]:
        """Return the bounds that need no rank."""
        return [self.parameters(), self.rows()]

    def costly(
        self, enough: int = 0, tick: Callable[[int, int], None] | None = None
    ) -> Iterator[Bound]:
        """Yield the bounds that need exact ranks, each computed when it is asked for.

        Parameters
        ----------
        enough : int
            A bound this small is not made smaller.
        tick : callable, optional
            Called as ``tick(done, total)`` within the last and longest; may raise to stop.

        Yields
        ------
        Bound
        """
        yield self.input_rank()
        yield self.affine_pieces()
        yield self.layer_features()
        if self.lost_outputs:
            yield self.output_span()
        yield self.best_unit_relations(enough, tick)

    # -- the bounds ---------------------------------------------------------------------------

    def parameters(self) -> Bound:
        """Bound by parameters minus the dimension of the symmetry group (T7, T28)."""
        net = self.net
        value = net.n_parameters - net.n_hidden
        statement = f"parameters {net.n_parameters} - rescalings {net.n_hidden}, one a hidden unit"
        if self.factors.head == "softmax":
            shifts = net.widths[-2] + net.has_bias[-1]
            value -= shifts
            statement += f" - common shifts of all logits {shifts}"
        return Bound("parameters", value, statement)

    def rows(self) -> Bound:
        """Bound by outputs times distinct samples, up to positive factors without biases (T9.1)."""
        rays = not any(self.net.has_bias)
        what = "rays" if rays else "samples"
        words = self._pattern_words
        rows = [_ray(row) for row in self._batch_rows] if rays else self._batch_rows
        count = len(set(zip(rows, words, strict=True)))
        return Bound(
            "rows", self.d * count, f"rows per sample times distinct {what}: {self.d} * {count}"
        )

    def affine_pieces(self) -> Bound:
        """Bound by the affine ranks of the samples that share a pattern (T9.2).

        Within a pattern every row of the Jacobian is affine in the sample, and linear if no layer
        has a bias.

        Returns
        -------
        Bound
        """
        groups: dict[bytes, list[int]] = {}
        for i in self.factors.distinct:
            groups.setdefault(self._pattern_words[i], []).append(i)
        points = self.factors.batch
        if any(self.net.has_bias):
            points = QMatrix.hstack([points, QMatrix.ones(points.shape[0], 1)])
        total = sum(points[group].rank() for group in groups.values())
        return Bound(
            "affine-pieces",
            self.d * total,
            f"{self.d} outputs times {total}, the sum over {len(groups)} patterns of the rank of "
            "their samples",
        )

    def input_rank(self) -> Bound:
        """Bound by parameters minus rescalings, counting only the inputs' rank (T9.3)."""
        net = self.net
        first = self.factors.features[0]
        rank = self._feature_rank(0)
        lost = net.widths[1] * (first.shape[1] - rank)
        return Bound(
            "input-rank",
            net.n_parameters - lost - net.n_hidden,
            f"{net.n_parameters - lost} parameters that the samples (rank {rank}) can see - "
            f"{net.n_hidden} rescalings",
        )

    def layer_features(self) -> Bound:
        """Bound by units times rank of the layer's input, summed over the layers (T9.4)."""
        units = [*self.net.widths[1:-1], self.d]
        ranks = [self._feature_rank(layer) for layer in range(self.net.depth)]
        value = sum(u * r for u, r in zip(units, ranks, strict=True))
        parts = " + ".join(f"{u}*{r}" for u, r in zip(units, ranks, strict=True))
        return Bound("layer-features", value, f"{parts}, units times rank of their inputs by layer")

    def unit_relations(
        self,
        removed: Iterable[int] = (),
        shared: Sequence[Feature] = (),
        tick: Callable[[int, int], None] | None = None,
    ) -> Bound:
        """Bound by what each unit can add to the span of its own layer (T9.6-T9.8).

        Parameters
        ----------
        removed : iterable of int
            Samples whose rows are counted in full; the rest of the bound ignores them. Any choice
            is valid.
        shared : sequence of (int, int)
            Features ``(layer, input)`` that are counted for all units of the layer together. Any
            choice is valid.
        tick : callable, optional
            Called as ``tick(units done, units)``; may raise to stop.

        Returns
        -------
        Bound

        Notes
        -----
        With A the inputs of the unit's layer on the samples where the unit is on, and B the outputs
        of that layer, a change of the unit's weights that stays in col(B) is undone by the next
        layer. So a unit adds ``rank [A | B] - rank B``, and the last layer d times the rank of its
        input. Only samples at which the unit's activation moves an output need to be looked at
        (a sharpening of T9.6: the relation is needed nowhere else).
        """
        gone = set(removed) & set(self.factors.distinct)
        total = self.units.bound(gone, shared, tick)
        statement = (
            "what each hidden unit adds to the span of its layer's outputs, plus the last layer"
        )
        if gone:
            statement += f", after counting {len(gone)} samples with all their {self.d} rows"
        if shared:
            statement += f" and {len(shared)} rare features for all units together"
        witness = {
            "removed": [i for i in range(self.factors.n) if self.factors.first_equal[i] in gone],
            "shared": [list(feature) for feature in shared],
            "relations": total.relations,
        }
        return Bound("unit-relations", total.value, statement, witness)

    def best_unit_relations(
        self, enough: int = 0, tick: Callable[[int, int], None] | None = None
    ) -> Bound:
        """Bound by `unit_relations` with the choice that a minimisation proposes.

        Parameters
        ----------
        enough : int
            A bound this small is not made smaller.
        tick : callable, optional
            Called as ``tick(done, total)``; may raise to stop.

        Returns
        -------
        Bound
        """
        return self.unit_relations(*choose(self.units, enough, tick), tick)

    def output_span(self) -> Bound:
        """Bound by the outputs that the hidden layers can move, plus what the last layer adds.

        Returns
        -------
        Bound

        Notes
        -----
        Whatever the hidden layers' parameters do at sample i passes through ``M_i``, the derivative
        of the outputs in the last hidden pre-activations. So the columns of J lie in the span of
        the direct sum of the ``M_i`` and of the last layer's own columns, and with Y_i a basis of
        the left kernel of ``M_i`` the rank of that span is
        ``sum_i rank M_i + rank [ h~_i (x) Y_i C ]_i``. The witness lists relations between the
        columns of that last matrix; each lowers its rank by one. Below `rows` only where fewer
        units of the last hidden layer are on at a sample than there are outputs.
        """
        last = self.factors.features[-1]
        top = head_matrix(self.factors.head, self.net.widths[-1])
        moved, rows = 0, []
        for i in self.factors.distinct:
            free = self._sample_block(i).T.kernel()
            moved += self.d - free.shape[0]
            left, h = (free @ top).tolist(), last[[i]].numerators()
            # Coordinates that belong to one input of the last layer are neighbours, which keeps
            # the relations below short.
            rows += [[int(x) * y for y in h for x in line] for line in left]
        size = self.net.widths[-1] * last.shape[1]
        columns = [[row[j] for row in rows] for j in range(size)]
        circuits = Circuits(columns, next(descending_primes()))
        relations = [circuits.solve(k) for k in range(len(circuits.supports))]
        proved = [spell(relation) for relation in relations if relation is not None]
        added = size - len(proved)
        return Bound(
            "output-span",
            moved + added,
            f"{moved} output directions that the hidden layers can move, summed over the samples, "
            f"plus {added} that only the last layer moves",
            {"relations": proved},
        )

    # -- shared pieces --------------------------------------------------------------------------

    @cached_property
    def _batch_rows(self) -> list[tuple[int, ...]]:
        width = self.net.widths[0]
        flat = self.factors.batch.numerators()
        return [tuple(flat[i * width : (i + 1) * width]) for i in range(self.factors.n)]

    @cached_property
    def units(self) -> UnitSpans:
        """The hidden units at the distinct samples."""
        return UnitSpans(self.factors, self.factors.distinct)

    @cached_property
    def _pattern_words(self) -> list[bytes]:
        return [row.tobytes() for row in self.factors.pattern.mask]

    @cached_property
    def lost_outputs(self) -> bool:
        """Whether at some sample fewer units of the last hidden layer are on than outputs count."""
        layers = self.factors.pattern.layers
        return bool(layers) and bool((layers[-1].sum(axis=1) < self.d).any())

    def _sample_block(self, i: int) -> QMatrix:
        """Return the derivative of the outputs in the last hidden pre-activations."""
        return self.factors.sensitivities[-2][slice(i * self.d, (i + 1) * self.d)]

    def _feature_rank(self, layer: int) -> int:
        if layer not in self._feature_ranks:
            self._feature_ranks[layer] = self.factors.features[layer][self.factors.distinct].rank()
        return self._feature_ranks[layer]

    @cached_property
    def _feature_ranks(self) -> dict[int, int]:
        return {}


def _ray(row: tuple[int, ...]) -> tuple[int, ...]:
    content = gcd(*row)
    return tuple(x // content for x in row) if content else row
