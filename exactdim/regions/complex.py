"""Activation regions of input space."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.rationals import ArrayLike
from exactdim.errors import InvalidInput, OnKink, ShapeMismatch
from exactdim.nets.formats import NetworkLike, as_network
from exactdim.nets.network import ReLUNetwork
from exactdim.regions.budget import Budget
from exactdim.regions.cellular import CellComplex, joined
from exactdim.regions.domain import Domain, DomainLike, as_domain
from exactdim.regions.faces import BoolArray, Ints, WordArray
from exactdim.regions.forms import ExactForms
from exactdim.regions.jobs import Progress, complexes, number_of_cells
from exactdim.regions.layout import Layout, unpack
from exactdim.regions.region import Point, Region
from exactdim.regions.subdivision import NO_WORDS, enclosed
from exactdim.regions.vertices import ExactPoint, VertexTable
from exactdim.regions.workers import Workers

if TYPE_CHECKING:
    import networkx

    from exactdim.evidence.certificate import Certificate
    from exactdim.regions.graph import LinearRegion

__all__ = ["RegionComplex", "activation_regions", "count_regions"]


def activation_regions(
    net: NetworkLike,
    domain: DomainLike = None,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    executor: Workers = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> RegionComplex:
    """Enumerate all activation regions of a network exactly.

    An activation region is a full-dimensional cell of the domain on whose interior no hidden neuron
    changes between positive and not positive; a neuron that is identically zero on a cell counts as
    off there. Distinct regions have distinct activation patterns. Coinciding hyperplanes, many
    through one point, neurons that vanish on whole cells: everything is decided exactly.

    Parameters
    ----------
    net : ReLUNetwork or anything `as_network` reads
    domain : Domain, pair, list of pairs or None
        Where to look: a `Domain`; ``(lo, hi)`` for a cube; one pair per input for a box; the whole
        space by default.
    max_regions : int, optional
        Stop with an error beyond so many regions.
    max_seconds : float, optional
        Stop with an error after so many seconds.
    executor : concurrent.futures.Executor or int, optional
        Where to work: an executor, or a number of processes, which divide the work among them
        until the end.
    checkpoint : path, optional
        A folder that keeps finished parts; an interrupted run goes on from there.
    progress : callable, optional
        Called with (done, total, note).

    Returns
    -------
    RegionComplex

    Raises
    ------
    BudgetExceeded
        If a limit is reached; ``at_least`` tells how many regions there are at least.
    InvalidInput
        If the domain is empty or has no interior.
    TooLarge
        If no limit is set and the dimension is too large to ever end.

    See Also
    --------
    count_regions : the number alone, in bounded memory.

    Notes
    -----
    Source: T1 and T29 of the theory; arXiv 2412.18283. Faces of all dimensions are cut neuron by
    neuron; about 2^d faces per region, a few microseconds each. Signs are certified in floats or
    decided in rational numbers.

    Processes are started as `multiprocessing` does it. Where it forks, and other threads of yours
    multiply matrices at that moment, OpenBLAS can wait for ever: choose another way then, with
    ``multiprocessing.set_start_method("forkserver")``.

    Examples
    --------
    >>> net = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], None])
    >>> regions = activation_regions(net, (-2, 2))
    >>> regions
    <RegionComplex of 7 activation regions in Domain(box [-2, 2] x [-2, 2])>
    >>> sorted(str(region.volume) for region in regions)
    ['1/2', '2', '2', '2', '2', '4', '7/2']
    """
    network = as_network(net)
    where = as_domain(domain, network.widths[0])
    parts = complexes(
        Layout((where.restrict(network),)),
        where.inequalities,
        executor=executor,
        folder=checkpoint,
        budget=Budget.of(max_regions, max_seconds),
        progress=progress,
    )
    return RegionComplex([network], where, list(parts))


def count_regions(
    net: NetworkLike,
    domain: DomainLike = None,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    executor: Workers = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> int:
    """Count the activation regions of a network exactly, without keeping them.

    Parameters
    ----------
    net, domain, max_regions, max_seconds, executor, checkpoint, progress
        As for `activation_regions`.

    Returns
    -------
    int

    Raises
    ------
    BudgetExceeded, InvalidInput, TooLarge
        As `activation_regions`.

    Examples
    --------
    >>> three_lines = ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, -1], [0]])
    >>> count_regions(three_lines)
    7
    """
    network = as_network(net)
    where = as_domain(domain, network.widths[0])
    return number_of_cells(
        Layout((where.restrict(network),)),
        where.inequalities,
        executor=executor,
        folder=checkpoint,
        budget=Budget.of(max_regions, max_seconds),
        progress=progress,
    )


class RegionComplex(Sequence[Region]):
    """All activation regions of a network in a domain, and how they meet.

    A sequence of `Region`. Points, inequalities and volumes are in the coordinates of the domain:
    the network's inputs, unless the domain is a flat.

    Attributes
    ----------
    nets : tuple of ReLUNetwork
        One network; or several, whose hidden layers together make the patterns.
    domain : Domain
    dimension : int
        Number d of coordinates.
    layout : Layout
        How the hidden neurons are numbered.

    Parameters
    ----------
    nets : sequence of ReLUNetwork
    domain : Domain
    parts : sequence of CellComplex
        Their cells are the regions; how they meet is found out when it is first asked for.
    """

    def __init__(
        self, nets: Sequence[ReLUNetwork], domain: Domain, parts: Sequence[CellComplex]
    ) -> None:
        self.nets, self.domain, self._parts = tuple(nets), domain, parts
        self.dimension = domain.dimension
        self.layout = Layout(tuple(domain.restrict(net) for net in nets))
        self._exact = ExactForms(self.layout, enclosed(domain.inequalities))
        self._points = VertexTable(self.dimension)
        self._signs: dict[int, tuple[WordArray, WordArray, WordArray]] = {}

    def __repr__(self) -> str:
        return f"<RegionComplex of {len(self)} activation regions in {self.domain}>"

    def __len__(self) -> int:
        return sum(part.n_cells for part in self._parts)

    def __getitem__(self, index: int) -> Region:  # type: ignore[override]
        number = operator.index(index) + (len(self) if index < 0 else 0)
        if not 0 <= number < len(self):
            raise IndexError(f"there is no region {index}; there are {len(self)}")
        return Region(self, number)

    def __iter__(self) -> Iterator[Region]:
        return (Region(self, i) for i in range(len(self)))

    @property
    def net(self) -> ReLUNetwork:
        """The network; the first one if there are several."""
        return self.nets[0]

    # -- patterns -----------------------------------------------------------------------------

    @cached_property
    def patterns(self) -> BoolArray:
        """Activation patterns, one row per region, one column per hidden neuron."""
        return self._mask_of(np.concatenate([part.words for part in self._parts]))

    def _mask_of(self, words: WordArray) -> BoolArray:
        mask = self.layout.masks(words)
        mask.setflags(write=False)
        return mask

    @cached_property
    def _numbers(self) -> dict[bytes, int]:
        packed = np.packbits(self.patterns, axis=1)
        return {row.tobytes(): i for i, row in enumerate(packed)}

    def region_at(self, y: ArrayLike) -> Region:
        """Return the region that a point lies in.

        Parameters
        ----------
        y : sequence of d Numbers
            In the coordinates of the domain.

        Returns
        -------
        Region

        Raises
        ------
        OnKink
            If the point lies on the boundary between regions, or on that of the domain.
        InvalidInput
            If it lies outside the domain.
        ShapeMismatch
            If it has the wrong number of coordinates.
        """
        point = QMatrix([list(y)], name="y")
        if point.shape[1] != self.dimension:
            raise ShapeMismatch(
                f"the point has {point.shape[1]} coordinates; the domain has {self.dimension}"
            )
        if not self.domain.contains(point):
            raise InvalidInput(f"the point {_spelled(point)} lies outside {self.domain}")
        mask = np.concatenate([self._mask_at(net, point) for net in self.layout.nets])
        number = self._numbers.get(np.packbits(mask).tobytes())
        one = QMatrix.hstack([point, QMatrix.identity(1)])
        if number is not None:
            rows = self[number].inequalities
            values = (one @ rows.T).numerators()
            zero = [i for i, v in enumerate(values) if v == 0 and not rows[[i]].is_zero()]
            if not zero:
                return self[number]
        else:
            zero = []
        kinks = [(0, *self.layout.unit(i)) for i in zero if i < self.layout.n_hidden]
        raise OnKink(
            f"the point {_spelled(point)} lies on the boundary of a region"
            + (f": neurons {[k[1:] for k in kinks[:4]]} are zero there" if kinks else "")
            + "; move it a little",
            kinks,
        )

    @staticmethod
    def _mask_at(net: ReLUNetwork, point: QMatrix) -> BoolArray:
        masks = [np.zeros(0, np.bool_)]
        h = point
        for layer in range(net.depth - 1):
            z = net.affine(layer, h)
            masks.append(np.array([x > 0 for x in z.numerators()], np.bool_))
            h = z.masked(masks[-1].reshape(z.shape))
        return np.concatenate(masks)

    # -- faces --------------------------------------------------------------------------------

    @cached_property
    def cells(self) -> CellComplex:
        """The faces as plain arrays."""
        cells = joined(self._parts)
        self._parts = [cells]  # in the same order
        return cells

    @cached_property
    def _begins(self) -> list[Ints]:
        return [self.cells.begin(k) for k in range(self.cells.d + 1)]

    def boundary(self, k: int, face: int) -> Ints:
        """Return the faces of dimension k - 1 that bound a k-face.

        Parameters
        ----------
        k, face : int

        Returns
        -------
        integer array
        """
        begin = self._begins[k][face]
        return self.cells.boundary[k][begin : begin + self.cells.count[k][face]]

    def closure(self, k: int, face: int) -> list[Ints]:
        """Return all faces of a k-face, for each dimension from 0 to k.

        Parameters
        ----------
        k, face : int

        Returns
        -------
        list of integer arrays
        """
        found: list[Ints] = [np.array([face])]
        for dimension in range(k, 0, -1):
            members = [self.boundary(dimension, f) for f in found[-1]]
            found.append(np.unique(np.concatenate(members)))
        return found[::-1]

    def signs(self, k: int, face: int) -> tuple[BoolArray, BoolArray, BoolArray]:
        """Return the signs inside a k-face.

        Parameters
        ----------
        k, face : int

        Returns
        -------
        positive, negative : boolean arrays of shape (H,)
            Per hidden neuron; where neither holds, it is zero on the face.
        inside : boolean array
            Per inequality of the domain, whether it is strict.
        """
        pos, neg, walls = (words[face : face + 1] for words in self._words(k))
        bits = np.hstack([unpack(walls[:, i], 64)[0] for i in range(walls.shape[1])])
        enclosing = self.dimension + 1
        own = self.domain.inequalities.shape[0]
        return (
            self._mask_of(pos)[0],
            self._mask_of(neg)[0],
            bits[enclosing : enclosing + own],
        )

    def _words(self, k: int) -> tuple[WordArray, WordArray, WordArray]:
        """Return the signs inside all k-faces, as words."""
        found = self._signs.get(k)
        if found is None:
            cells = self.cells
            pos, neg, walls = (cells.gathered(w, k) for w in (cells.pos, cells.neg, cells.walls))
            self._signs[k] = found = pos, neg, walls
        return found

    @cached_property
    def facet_cells(self) -> Ints:
        """The regions on the two sides of each facet, -1 where there is none."""
        d = self.cells.d
        owner, member = self.cells.entries(d, np.arange(len(self)))
        out = np.full((self.cells.n_faces(d - 1), 2), -1, np.int64)
        order = np.argsort(member, kind="stable")
        facet, cell = member[order], owner[order]
        second = np.concatenate([[False], facet[1:] == facet[:-1]])
        out[facet[~second], 0] = cell[~second]
        out[facet[second], 1] = cell[second]
        return out

    @cached_property
    def bounded(self) -> BoolArray:
        """Whether each region is bounded."""
        infinite = self.cells.x[:, self.cells.d] == 0
        return ~self.cells.gathered(infinite, self.cells.d)

    @cached_property
    def face_counts(self) -> tuple[int, ...]:
        """Number of faces of each dimension 0..d, those of the domain's boundary included."""
        return tuple(int((~flags).sum()) for flags in self.cells.at_infinity)

    @property
    def euler_characteristic(self) -> int:
        """Alternating sum of `face_counts`: 1 in a bounded domain, (-1)^d in all of R^d."""
        return sum((-1) ** k * count for k, count in enumerate(self.face_counts))

    # -- exact values -------------------------------------------------------------------------

    def vertex(self, number: int) -> ExactPoint:
        """Return a vertex exactly; one at infinity stands for a direction.

        Parameters
        ----------
        number : int

        Returns
        -------
        ExactPoint
        """
        return self._points.exact(number, lambda: self._rows_at(number))

    def _rows_at(self, vertex: int) -> list[tuple[list[int], int]]:
        rows, at_infinity = self.cells.vertex_rows[vertex], self.cells.row_at_infinity
        return [(self._row(row), int(at_infinity[row])) for row in rows.tolist()]

    def _row(self, row: int) -> list[int]:
        cells = self.cells
        block = int(cells.row_block[row])
        words = cells.history[block][cells.row_cell[row]] if block >= 0 else NO_WORDS
        return self._exact.row(block, words, int(cells.row_unit[row]))

    def vertices(self) -> list[Point]:
        """Return all vertices of the complex exactly, each once.

        Returns
        -------
        list of tuple of Fraction
        """
        finite = np.flatnonzero(~self.cells.at_infinity[0])
        return [self.vertex(int(v)).coordinates() for v in finite]

    def forms(self, mask: BoolArray) -> QMatrix:
        """Return the pre-activations of all hidden neurons as affine forms, given a pattern.

        Parameters
        ----------
        mask : boolean array of shape (H,)

        Returns
        -------
        QMatrix of shape (H, d + 1)
            Gradient and constant.
        """
        none = QMatrix.zeros(0, self.dimension + 1)
        return QMatrix.vstack([
            none,
            *(
                self._exact.of_layer(number, layer, mask)
                for number, net in enumerate(self.nets)
                for layer in range(net.depth - 1)
            ),
        ])

    def form(self, column: int, mask: BoolArray) -> QMatrix:
        """Return the pre-activation of one hidden neuron as an affine form, given a pattern.

        Parameters
        ----------
        column : int
            Its column in `patterns`.
        mask : boolean array of shape (H,)

        Returns
        -------
        QMatrix of shape (1, d + 1)
        """
        layer, unit = self.layout.unit(column)
        return self._exact.of_layer(*self.layout.layer(layer), mask)[[unit]]

    def output_forms(self, mask: BoolArray, net: int = 0) -> QMatrix:
        """Return the outputs as affine forms, given a pattern.

        Parameters
        ----------
        mask : boolean array of shape (H,)
        net : int
            Which network.

        Returns
        -------
        QMatrix of shape (N_L, d + 1)
        """
        return self._exact.of_layer(net, self.nets[net].depth - 1, mask)

    @cached_property
    def volume(self) -> Fraction:
        """Exact sum of the volumes of all regions, in the coordinates of the domain.

        Raises
        ------
        InvalidInput
            If a region is unbounded.
        """
        return sum((region.volume for region in self), Fraction(0))

    def outline(self) -> tuple[Point, ...]:
        """Return the vertices of a bounded domain in the plane, counterclockwise.

        Returns
        -------
        tuple of tuple of Fraction

        Raises
        ------
        InvalidInput
            If the domain is unbounded or not two-dimensional.
        """
        (part,) = complexes(Layout(()), self.domain.inequalities)
        return RegionComplex([], self.domain, [part])[0].polygon

    def certificate(self) -> Certificate:
        """Return a certificate that no activation region is missing; see `regions.proofs`.

        Returns
        -------
        Certificate
        """
        from exactdim.regions.proofs import complete_certificate

        return complete_certificate(self)

    # -- as a graph ---------------------------------------------------------------------------

    def graph(self) -> networkx.Graph:
        """Return the adjacency graph; see `exactdim.regions.graph.region_graph`.

        Returns
        -------
        networkx.Graph
        """
        from exactdim.regions.graph import region_graph

        return region_graph(self)

    def linear_regions(self) -> list[LinearRegion]:
        """Return the linear regions; see `exactdim.regions.graph.linear_regions`.

        Returns
        -------
        list of LinearRegion
        """
        from exactdim.regions.graph import linear_regions

        return linear_regions(self)


def _spelled(point: QMatrix) -> str:
    return "(" + ", ".join(str(x) for x in point.tolist()[0][:6]) + ")"
