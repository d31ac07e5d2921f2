"""Cutting a domain into the activation regions of a network.

Layer by layer, neuron by neuron, every face of the complex on which the neuron changes sign is cut
(`faces`); the signs at the vertices are certain (`vertices`). The state of this process is a
`Subdivision`: after the last hidden layer its cells are the activation regions. Cells can be split
off as a `Subdivision` of their own after any neuron: they are independent jobs.

Source: the idea of following vertices through the layers, each computed once, is that of Berzins,
"Polyhedral complex extraction from ReLU networks using edge subdivision" (ICML 2023); the face
lattice in place of the edge graph makes it right for degenerate networks too.
"""

from __future__ import annotations

import copy
import heapq
import itertools
from collections.abc import Callable

import numpy as np

from exactdim.arith.matrix import QMatrix
from exactdim.arith.parallel import one_blas_thread
from exactdim.arith.rationals import FloatArray
from exactdim.regions.cellular import CellComplex
from exactdim.regions.faces import BITS, BoolArray, FaceLattice, Growing, IntArray, Ints, WordArray
from exactdim.regions.forms import ExactForms, forms_of_units, passes, values_of_units
from exactdim.regions.layout import Layout, pack, unpack
from exactdim.regions.vertices import ExactPoint, Rows, VertexTable

__all__ = ["Subdivision"]


def enclosed(inequalities: QMatrix) -> QMatrix:
    """Put the walls of the enclosing simplex in front of a domain's inequalities.

    Parameters
    ----------
    inequalities : QMatrix of shape (m, d + 1)

    Returns
    -------
    QMatrix of shape (d + 1 + m, d + 1)
        The first rows stand for ``x_i >= -M`` and ``sum x_i <= M``; M itself is no part of them.
    """
    d = inequalities.shape[1] - 1
    walls = [[int(i == j) for j in range(d + 1)] for i in range(d)] + [[-1] * d + [0]]
    return QMatrix.vstack([QMatrix(walls), inequalities])


class Subdivision:
    """A polyhedral complex being cut by the neurons of a network, or of several.

    Attributes
    ----------
    layout : Layout
        Networks on the coordinates of the domain, and the order of their neurons.
    lattice : FaceLattice
    vertices : VertexTable
    rows : Rows
    block, unit : int
        The next block of neurons to cut with, and the next neuron in it.
    signs : list of pairs of Growing
        Per finished block the signs (positive, negative) of the neurons at the vertices.

    Parameters
    ----------
    layout : Layout
    inequalities : QMatrix of shape (m, d + 1)
        The domain.
    check : callable, optional
        Called while the domain is cut out; may stop the work by an exception.
    """

    def __init__(
        self,
        layout: Layout,
        inequalities: QMatrix,
        check: Callable[[int], None] = lambda _: None,
    ) -> None:
        d = inequalities.shape[1] - 1
        self.layout, self.d = layout, d
        self.inequalities = enclosed(inequalities)
        self.exact = ExactForms(layout, self.inequalities)
        self.lattice = FaceLattice.simplex(d)
        self.rows = Rows(d)
        form = self.inequalities[: d + 1].to_numpy(np.float64)
        number = np.arange(d + 1, dtype=np.int32)
        self.rows.add(form, np.zeros_like(form), -1, np.zeros_like(number), number, m=1)
        self.vertices = VertexTable(d)
        self.vertices.add(self.rows, self.lattice.faces[0].normals.view)
        self.block, self.unit = 0, 0
        self.n_exact = 0
        self.signs: list[tuple[Growing, Growing]] = []  # per finished block, of all vertices
        n_walls = self.inequalities.shape[0]
        self.walls = [Growing(np.zeros(d + 1, np.uint64)) for _ in range(0, n_walls, BITS)]
        for i in range(d + 1):  # vertex i lies on every wall but the one opposite to it
            self.walls[i // BITS].view[i] |= np.uint64(1 << i % BITS)
        self.cell_words = np.zeros((1, 0), np.uint64)
        self.history: list[WordArray] = []  # patterns of the cells at the start of each block
        self._row_of = NO_ROWS  # of each unit of the block on each cell that it crosses
        self._flat, self._steep = self._no_slopes()
        for i in range(d + 1, self.inequalities.shape[0]):
            self._cut_off(i)
            check(0)
            if not self.lattice.n_cells:
                return

    # -- the domain ---------------------------------------------------------------------------

    def _cut_off(self, row: int) -> None:
        """Keep the part of the complex where one inequality of the domain holds."""
        exact = self.exact.walls[row]
        word, place = self.walls[row // BITS], np.uint64(row % BITS)
        if not any(exact[: self.d]):
            word.view[:] |= np.uint64(1) << place  # no face lies on it
            if exact[self.d] < 0:
                self._keep_cells(np.zeros(len(self.lattice.faces[self.d]), np.bool_))
            return
        form = self.inequalities[[row]].to_numpy(np.float64)
        error = np.abs(form) * 2.0**-52 + 2.0**-1000
        (number,) = self.rows.add(form, error, -1, np.zeros(1, np.int32), np.full(1, row))
        self._domain_row = row
        self._flat, self._steep = self._no_slopes()
        n = len(self.vertices)
        zeros, meeting = np.zeros(n, np.int32), self.lattice.faces[0].normals.view
        signs = self._settled(
            np.arange(n), meeting, zeros, zeros, np.tile(form, (n, 1)), np.tile(error, (n, 1))
        )
        bit = np.uint64(1)
        self.lattice.set_signs(*(np.where(sign, bit, np.uint64(0)) for sign in signs))
        self.lattice.cut(bit, np.full(1, number, np.int32), self._place)
        word.view[:] |= (self.lattice.faces[0].pos.view & bit) << place
        self.lattice.compact()
        cells = self.lattice.faces[self.d]
        self._keep_cells((cells.neg.view & bit) == 0)

    def _keep_cells(self, wanted: BoolArray) -> None:
        self.lattice, kept = self.lattice.part(wanted)
        for faces in self.lattice.faces:
            faces.shared.view[:] = False  # what was cut away is gone
        self._choose_vertices(kept)

    def _choose_vertices(self, kept: Ints) -> None:
        self.vertices = self.vertices.part(kept)
        self.walls = [Growing(words.view[kept]) for words in self.walls]
        self._flat, self._steep = Growing(self._flat.view[kept]), Growing(self._steep.view[kept])
        self.signs = [(Growing(pos.view[kept]), Growing(neg.view[kept])) for pos, neg in self.signs]

    # -- cutting ------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the cells are the activation regions."""
        return self.block == len(self.layout.blocks)

    @property
    def n_cells(self) -> int:
        """Number of cells at present."""
        return self.lattice.n_cells

    @property
    def n_cut(self) -> int:
        """Number of neurons that have cut."""
        return sum(block.width for block in self.layout.blocks[: self.block]) + self.unit

    def cut(self) -> None:
        """Cut with the next neuron."""
        if self.unit == 0:
            with one_blas_thread():
                self._start_block()
        self.lattice.cut(np.uint64(1 << self.unit), self._row_of[:, self.unit], self._place)
        self.unit += 1
        if self.unit == self.layout.blocks[self.block].width:
            self._finish_block()

    def _start_block(self) -> None:
        """Find the signs of the next block of neurons at all vertices, and where each is zero."""
        cells = self.lattice.faces[self.d]
        self.history.append(self.cell_words)
        number = np.arange(len(cells), dtype=np.int32)
        for k in range(self.d, -1, -1):
            faces = self.lattice.faces[k]
            faces.parent.view[:] = number
            if k:
                owner, member = faces.entries(np.arange(len(faces)))
                number = np.zeros(len(self.lattice.faces[k - 1]), np.int32)
                number[member] = faces.parent.view[owner]
        block = self.layout.blocks[self.block]
        mask = self.layout.masks(self.cell_words)[:, self.layout.starts[block.net] :]
        self.lattice.set_signs(*self._vertex_signs(mask))
        cell, unit = np.nonzero(unpack(cells.pos.view & cells.neg.view, block.width))
        self._row_of = np.zeros((len(cells), block.width), np.int32)
        for some in passes(len(cell), self.layout.widest):
            form, error = self._forms(mask, cell[some], unit[some])
            self._row_of[cell[some], unit[some]] = self.rows.add(
                form, error, self.block, cell[some], unit[some]
            )

    def _forms(self, mask: BoolArray, cell: Ints, unit: Ints) -> tuple[FloatArray, FloatArray]:
        """Return the forms of units of the current block on cells, given the pattern of all."""
        block = self.layout.blocks[self.block]
        net = self.layout.nets[block.net]
        return forms_of_units(net, block.layer, block.first + unit, mask[cell])

    def _finish_block(self) -> None:
        """Record the signs of the block and make its cells the cells to cut next."""
        self.lattice.compact()
        vertices, cells = self.lattice.faces[0], self.lattice.faces[self.d]
        self.signs.append((Growing(vertices.pos.view.copy()), Growing(vertices.neg.view.copy())))
        self.cell_words = np.column_stack([self.cell_words[cells.parent.view], cells.pos.view])
        self._row_of = NO_ROWS
        self.block, self.unit = self.block + 1, 0

    # -- parts --------------------------------------------------------------------------------

    def split(self, n_parts: int) -> list[Subdivision]:
        """Split the cells into parts.

        Parameters
        ----------
        n_parts : int

        Returns
        -------
        list of Subdivision
            At most `n_parts` (and one at least), the largest first. Always the largest part is
            divided next, by the neuron that divides it most evenly, so that few faces are shared.
        """
        if self.unit:
            self.lattice.compact()  # no face that was cut is split, too
        pattern = self._pattern()
        parts: list[tuple[int, int, Ints]] = [(-self.n_cells, 0, np.arange(self.n_cells))]
        while len(parts) < n_parts and -parts[0][0] > 1:
            _, _, cells = heapq.heappop(parts)
            on = pattern[cells].sum(axis=0)
            mask = pattern[cells, np.abs(2 * on - len(cells)).argmin()]
            for some in (cells[mask], cells[~mask]):
                heapq.heappush(parts, (-len(some), int(some[0]), some))
        return [self._part(cells) for _, _, cells in sorted(parts, key=lambda part: part[:2])]

    def _pattern(self) -> BoolArray:
        """Return which of the neurons that have cut are positive on each cell."""
        if self.unit == 0:
            return self.layout.masks(self.cell_words)
        cells = self.lattice.faces[self.d]
        below = self.layout.masks(self.cell_words)[cells.parent.view]
        return np.column_stack([below, unpack(cells.pos.view, self.unit)])

    def _part(self, cells: Ints) -> Subdivision:
        wanted = np.zeros(self.n_cells, np.bool_)
        wanted[cells] = True
        out = copy.copy(self)
        out.lattice, vertices = self.lattice.part(wanted)
        out._choose_vertices(vertices)
        if self.unit == 0:  # else they are those of the cells at the start of the block
            out.cell_words = self.cell_words[wanted]
        out.history = list(self.history)
        out.rows = self.rows.copy()
        out.n_exact = 0
        return out

    def result(self) -> CellComplex:
        """Return the complex, once `finished`.

        Returns
        -------
        CellComplex
        """
        faces, rows, d = self.lattice.faces, self.rows, self.d
        used = np.zeros(len(rows), np.bool_)
        used[faces[0].normals.view] = True
        used[faces[d - 1].normals.view] = True
        number = np.cumsum(used, dtype=np.int32) - np.int32(1)
        infinite_row = rows.at_infinity.view != 0
        block, cell = rows.block.view[used], rows.cell.view[used]
        history = self._history_of(block, cell)
        signs = [(pos.view, neg.view) for pos, neg in self.signs]
        empty = np.zeros((len(self.vertices), 0), np.uint64)
        return CellComplex(
            tuple(f.count.view.astype(np.int32) for f in faces),
            tuple(f.boundary.view.copy() for f in faces),
            tuple(infinite_row[f.normals.view].any(axis=1) for f in faces),
            tuple(f.shared.view.copy() for f in faces),
            number[faces[0].normals.view],
            number[faces[d - 1].normals.view[:, 0]],
            self.vertices.x.view.copy(),
            self.vertices.error.view.copy(),
            np.column_stack([empty, *(pos for pos, _ in signs)]),
            np.column_stack([empty, *(neg for _, neg in signs)]),
            np.column_stack([words.view for words in self.walls]),
            self.cell_words,
            block,
            cell,
            rows.unit.view[used],
            rows.at_infinity.view[used],
            history,
        )

    def _history_of(self, block: IntArray, cell: IntArray) -> tuple[WordArray, ...]:
        """Return the patterns of earlier cells that rows are defined on, and number them anew.

        Parameters
        ----------
        block, cell : int32 arrays of shape (rows,)
            Of some rows, in order; the cells are replaced by their new numbers.

        Returns
        -------
        tuple of uint64 arrays, one per block
        """
        history = []
        ends = np.searchsorted(block, range(len(self.layout.blocks) + 1))
        for words, start, end in zip(self.history, ends[:-1], ends[1:], strict=True):
            needed = np.zeros(len(words), np.bool_)
            needed[cell[start:end]] = True
            number = np.cumsum(needed, dtype=np.int32) - np.int32(1)
            cell[start:end] = number[cell[start:end]]
            history.append(words[needed])
        return tuple(history)

    # -- vertices -----------------------------------------------------------------------------

    def _place(
        self,
        ends: IntArray,
        parent: IntArray,
        meeting: IntArray,
        pos: WordArray,
        neg: WordArray,
        open_: WordArray,
        bit: np.uint64,
    ) -> tuple[WordArray, WordArray]:
        """Place new vertices; see `faces.PlaceVertices`."""
        first = len(self.vertices)
        self.vertices.add(self.rows, meeting)
        for words in itertools.chain(self.walls, *self.signs):
            words.append(words.view[ends[:, 0]] | words.view[ends[:, 1]])
        self._place_at_infinity(first, ends, bit)
        which, unit = np.nonzero(unpack(open_, self._row_of.shape[1]))
        if len(which):
            cell, row = parent[which], self._row_of[parent[which], unit]
            above, below = self._settled(
                first + which,
                meeting[which],
                cell,
                unit,
                self.rows.form.view[row],
                self.rows.error.view[row],
            )
            bits = np.uint64(1) << unit.astype(np.uint64)
            pos, neg = pos.copy(), neg.copy()
            np.bitwise_or.at(pos, which[above], bits[above])
            np.bitwise_or.at(neg, which[below], bits[below])
        return pos, neg

    def _vertex_signs(self, mask: BoolArray) -> tuple[WordArray, WordArray]:
        """Return the signs of the units of the current block at all vertices.

        Parameters
        ----------
        mask : boolean array of shape (cells, neurons of the layers below, or more)

        Returns
        -------
        positive, negative : uint64 arrays of shape (vertices,)
        """
        block = self.layout.blocks[self.block]
        net, units = self.layout.nets[block.net], slice(block.first, block.last)
        self._flat, self._steep = self._no_slopes()
        n = len(self.vertices)
        pos, neg = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
        parent = self.lattice.faces[0].parent.view
        meeting = self.lattice.faces[0].normals.view
        for some in passes(n, self.layout.widest):
            x, error = self.vertices.x.view[some], self.vertices.error.view[some]
            value, bound = values_of_units(net, block.layer, units, mask[parent[some]], x, error)
            above, below = value > bound, value < -bound
            steep = pack(above | below)
            self._steep.view[some] = np.where(x[:, self.d] == 0, steep, np.uint64(0))
            which, unit = np.nonzero(~(above | below))
            vertex = some.start + which
            cell = parent[vertex]
            above[which, unit], below[which, unit] = self._settled(
                vertex, meeting[vertex], cell, unit, *self._forms(mask, cell, unit)
            )
            pos[some], neg[some] = pack(above), pack(below)
        return pos, neg

    def _settled(
        self,
        vertex: Ints,
        meeting: IntArray,
        cell: Ints,
        unit: Ints,
        form: FloatArray,
        error: FloatArray,
    ) -> tuple[BoolArray, BoolArray]:
        """Decide signs: of one unit each, on a cell, at a vertex with the rows that meet there."""
        bits = np.uint64(1) << unit.astype(np.uint64)
        infinite = self.vertices.x.view[vertex, self.d] == 0
        above, below, level = self.vertices.signs(vertex, form, error)
        for words, some in ((self._flat, level), (self._steep, (above | below) & ~level)):
            np.bitwise_or.at(words.view, vertex[some & infinite], bits[some & infinite])
        level = (self._flat.view[vertex] & bits) != 0
        if level.any():
            above[level], below[level] = self.vertices.finite_signs(
                self.rows, meeting[level], form[level], error[level]
            )
        for i in np.flatnonzero(~(above | below)).tolist():
            sign = self._exact_sign(int(vertex[i]), meeting[i], int(cell[i]), int(unit[i]))
            above[i], below[i] = sign > 0, sign < 0
        return above, below

    def _no_slopes(self) -> tuple[Growing, Growing]:
        """Start anew on which forms have an M-part of zero, or not, at vertices at infinity."""
        n = len(self.vertices)
        return Growing(np.zeros(n, np.uint64)), Growing(np.zeros(n, np.uint64))

    def _place_at_infinity(self, first: int, ends: IntArray, bit: np.uint64) -> None:
        """Find out which forms have a vanishing M-part at new vertices.

        That of a form which has none at either end of the edge vanishes. If the form that cuts the
        edge has none at one end only, the cut has the M-part of that end: it is there that the
        form, which is of the size of M at the other end, is zero.
        """
        flat, steep = self._flat.view[ends], self._steep.view[ends]
        new_flat, new_steep = flat[:, 0] & flat[:, 1], np.zeros(len(ends), np.uint64)
        for near, far in ((0, 1), (1, 0)):
            here = (flat[:, near] & steep[:, far] & bit) != 0
            new_flat = np.where(here, flat[:, near], new_flat)
            new_steep = np.where(here, steep[:, near], new_steep)
        finite = self.vertices.x.view[first:, self.d] != 0
        self._flat.append(np.where(finite, np.uint64(0), new_flat))
        self._steep.append(np.where(finite, np.uint64(0), new_steep))

    def _exact_sign(self, vertex: int, meeting: IntArray, cell: int, unit: int) -> int:
        """Decide one sign in rational arithmetic: of a unit of the current block, on a cell."""
        self.n_exact += 1
        point = self.exact_vertex(vertex, meeting)
        if len(self.history) == self.block:  # still cutting out the domain
            form = self.exact.walls[self._domain_row]
        else:
            form = self.exact.row(self.block, self.history[self.block][cell], unit)
        if not point.is_finite:
            words = self._steep if point.slope(form) else self._flat
            words.view[vertex] |= np.uint64(1 << unit)
        return point.sign(form)

    def exact_vertex(self, vertex: int, meeting: IntArray) -> ExactPoint:
        """Return the exact coordinates of a vertex, given the rows that meet there."""
        return self.vertices.exact(
            vertex, lambda: [self._exact_row(row) for row in meeting.tolist()]
        )

    def _exact_row(self, row: int) -> tuple[list[int], int]:
        rows = self.rows
        block, unit = int(rows.block.view[row]), int(rows.unit.view[row])
        words = self.history[block][rows.cell.view[row]] if block >= 0 else NO_WORDS
        return self.exact.row(block, words, unit), int(rows.at_infinity.view[row])


NO_WORDS = np.zeros(0, np.uint64)
NO_ROWS = np.zeros((1, 1), np.int32)
