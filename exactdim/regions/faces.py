"""The faces of a polyhedral complex, and how an affine function cuts them.

The complex is held as its face lattice: for each dimension k the list of k-faces, each with the
(k-1)-faces that bound it. A function that is affine on every face is known here only by the signs
of its values at the vertices. Where a face has vertices on both sides, it falls into two faces and
the face between them; everything else stays. Which faces bound which is decided by counting signs
alone, never by coordinates, so any number of hyperplanes may pass through one point, coincide, or
vanish on a whole cell.

Signs of up to 64 functions are carried at a time, one bit each: bit b of ``pos[k][i]`` says that
function b is positive at some vertex of the k-face i, ``neg`` likewise. A function with neither bit
is zero on the whole face.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "BITS",
    "BoolArray",
    "FaceLattice",
    "Faces",
    "Growing",
    "IntArray",
    "WordArray",
    "ragged",
]

IntArray: TypeAlias = npt.NDArray[np.int32]
WordArray: TypeAlias = npt.NDArray[np.uint64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[Any]
"""Integers of any size, for counting and indexing."""

BITS = 64
"""Functions whose signs fit into one word."""


class Growing:
    """An array that grows at its end; the rows are seen through `view`."""

    __slots__ = ("_data", "n")

    def __init__(self, data: npt.NDArray[Any]) -> None:
        self._data = data
        self.n = len(data)

    @property
    def view(self) -> npt.NDArray[Any]:
        """The rows so far; a view that the next `append` may leave behind."""
        return self._data[: self.n]

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Add rows at the end, in constant time per row on average."""
        needed = self.n + len(rows)
        if needed > len(self._data):
            longer = np.empty((max(needed, 2 * self.n), *self._data.shape[1:]), self._data.dtype)
            longer[: self.n] = self.view
            self._data = longer
        self._data[self.n : needed] = rows
        self.n = needed


def ragged(begin: Ints, count: Ints) -> tuple[IntArray, Ints]:
    """Enumerate the entries of some rows of a ragged array.

    Parameters
    ----------
    begin, count : integer arrays of shape (n,)
        Where each row starts, and its length.

    Returns
    -------
    owner : integer array
        For each entry the number of its row among the n.
    place : integer array
        Where the entry stands.
    """
    owner = np.repeat(np.arange(len(begin), dtype=np.int32), count)
    first = np.cumsum(count) - count
    place = np.repeat(begin - first, count)
    place += np.arange(len(place))
    return owner, place


class Faces:
    """All faces of one dimension.

    Attributes
    ----------
    pos, neg : Growing of uint64, shape (n,)
        Signs of the current functions at the vertices of each face.
    begin, count : Growing of integers, shape (n,)
        Where the boundary of each face stands in `boundary`, and how many faces it has.
    boundary : Growing of int32
        Numbers of faces one dimension lower.
    parent : Growing of int32, shape (n,)
        A cell that contains the face, in the complex as it was at the start of the block; for a
        face that has been cut, -1 minus its place among the faces cut with it.
    normals : Growing of int32, shape (n, d - k)
        Rows (of the table of affine forms) that vanish on the face, linearly independent.
    shared : Growing of bool, shape (n,)
        Whether the face is also part of a complex that was split off.
    """

    __slots__ = (
        "begin",
        "boundary",
        "count",
        "neg",
        "normals",
        "parent",
        "pos",
        "shared",
    )

    def __init__(self, codimension: int) -> None:
        self.pos = Growing(np.zeros(0, np.uint64))
        self.neg = Growing(np.zeros(0, np.uint64))
        self.begin = Growing(np.zeros(0, np.int64))
        self.count = Growing(np.zeros(0, np.int32))
        self.boundary = Growing(np.zeros(0, np.int32))
        self.parent = Growing(np.zeros(0, np.int32))
        self.normals = Growing(np.zeros((0, codimension), np.int32))
        self.shared = Growing(np.zeros(0, np.bool_))

    def __len__(self) -> int:
        return self.pos.n

    def entries(self, faces: Ints) -> tuple[IntArray, IntArray]:
        """Return the boundary faces of some faces, and which of them each belongs to."""
        owner, place = ragged(self.begin.view[faces], self.count.view[faces])
        return owner, self.boundary.view[place]

    def crossed(self, bit: np.uint64) -> npt.NDArray[np.intp]:
        """Return the faces with vertices on both sides."""
        return np.flatnonzero((self.pos.view & self.neg.view & bit) != 0)

    def add(
        self,
        signs: tuple[WordArray, WordArray],
        count: Ints,
        boundary: IntArray,
        parent: IntArray,
        normals: IntArray,
        shared: BoolArray,
    ) -> None:
        """Append faces."""
        self.pos.append(signs[0])
        self.neg.append(signs[1])
        self.begin.append(self.boundary.n + np.cumsum(count) - count)
        self.count.append(count)
        self.boundary.append(boundary)
        self.parent.append(parent)
        self.normals.append(normals)
        self.shared.append(shared)

    def kept(self, wanted: BoolArray, lower: IntArray) -> tuple[Faces, IntArray]:
        """Return some of the faces, given the new numbers of the faces one dimension lower.

        Returns
        -------
        faces : Faces
        number : int32 array
            The new number of each old face (of no meaning for those left out).
        """
        old = np.flatnonzero(wanted)
        out = object.__new__(Faces)
        for name in ("pos", "neg", "count", "parent", "normals", "shared"):
            setattr(out, name, Growing(getattr(self, name).view[old]))
        _, place = ragged(self.begin.view[old], self.count.view[old])
        out.boundary = Growing(lower[self.boundary.view[place]])
        out.begin = Growing(np.cumsum(out.count.view, dtype=np.int64) - out.count.view)
        number = np.zeros(len(wanted), np.int32)
        number[old] = np.arange(len(old), dtype=np.int32)
        return out, number


class PlaceVertices(Protocol):
    """Places the vertices at which edges are cut."""

    def __call__(
        self,
        ends: IntArray,
        parent: IntArray,
        meeting: IntArray,
        pos: WordArray,
        neg: WordArray,
        open_: WordArray,
        bit: np.uint64,
    ) -> tuple[WordArray, WordArray]:
        """Return the signs of all functions at the new vertices.

        Parameters
        ----------
        ends : int32 array of shape (n, 2)
            The vertices of each edge.
        parent : int32 array of shape (n,)
            A cell that contains the edge.
        meeting : int32 array of shape (n, d)
            Rows that vanish at the new vertex and determine it.
        pos, neg : uint64 arrays of shape (n,)
            Signs that follow from those at the ends.
        open_ : uint64 array of shape (n,)
            Functions with opposite signs at the two ends: their sign in between is open.
        bit : uint64
            The function that cuts the edges.
        """
        ...


class FaceLattice:
    """A polyhedral complex of dimension d in which every cell is a bounded polytope.

    Attributes
    ----------
    d : int
    faces : list of Faces
        ``faces[k]`` for k = 0..d; ``faces[0]`` are the vertices and have no boundary.
    n_cells : int
        Number of cells that have not been cut.
    """

    def __init__(self, d: int) -> None:
        self.d = d
        self.faces = [Faces(d - k) for k in range(d + 1)]
        self.n_cells = 0
        self._zero_at_vertices = np.uint64(0)  # functions that are so, and did not make the vertex

    @classmethod
    def simplex(cls, d: int) -> FaceLattice:
        """Return one simplex; the hyperplane opposite to vertex i is row i."""
        self = cls(d)
        number: dict[tuple[int, ...], int] = {}
        for k in range(d + 1):
            corners = list(itertools.combinations(range(d + 1), k + 1))
            number |= {face: i for i, face in enumerate(corners)}
            boundary = (
                []
                if k == 0
                else [number[face[:i] + face[i + 1 :]] for face in corners for i in range(k + 1)]
            )
            n = len(corners)
            self.faces[k].add(
                (np.zeros(n, np.uint64), np.zeros(n, np.uint64)),
                np.full(n, 0 if k == 0 else k + 1),
                np.array(boundary, np.int32),
                np.zeros(n, np.int32),
                np.array(
                    [[r for r in range(d + 1) if r not in face] for face in corners], np.int32
                ).reshape(n, d - k),
                np.zeros(n, np.bool_),
            )
        self.n_cells = 1
        return self

    def set_signs(self, pos: WordArray, neg: WordArray) -> None:
        """Give the signs of new functions at all vertices."""
        vertices = self.faces[0]
        vertices.pos.view[:] = pos
        vertices.neg.view[:] = neg
        self._zero_at_vertices = np.bitwise_or.reduce(~(pos | neg))
        for k in range(1, self.d + 1):
            faces, lower = self.faces[k], self.faces[k - 1]
            _, members = faces.entries(np.arange(len(faces)))
            starts = np.cumsum(faces.count.view) - faces.count.view
            faces.pos.view[:] = np.bitwise_or.reduceat(lower.pos.view[members], starts)
            faces.neg.view[:] = np.bitwise_or.reduceat(lower.neg.view[members], starts)

    def cut(self, bit: np.uint64, row_of: IntArray, place: PlaceVertices) -> None:
        """Cut every face that has vertices on both sides of one function.

        Parameters
        ----------
        bit : uint64
            A single bit: which function.
        row_of : int32 array
            For each parent of a crossed cell, the row of the function's form there.
        place : callable
            Places the new vertices.
        """
        touching = bool(self._zero_at_vertices & bit)
        below_cut = _Cut(0, 0, 0)  # of the faces one dimension lower
        cuts: list[tuple[Faces, npt.NDArray[np.intp]]] = []
        for k in range(1, self.d + 1):
            faces, lower = self.faces[k], self.faces[k - 1]
            crossed = faces.crossed(bit)
            n = len(crossed)
            if not n:
                continue
            owner, member = faces.entries(crossed)
            positive = (lower.pos.view[member] & bit) != 0
            negative = (lower.neg.view[member] & bit) != 0
            above, below, both = (
                np.flatnonzero(x) for x in (positive, negative, positive & negative)
            )
            slot = -1 - lower.parent.view[member[both]]
            new = _New(faces.parent.view[crossed], faces.shared.view[crossed])
            normals = faces.normals.view[crossed]
            meeting = np.column_stack([normals, row_of[new.parent]])
            first_zero = len(lower)
            if k == 1:
                self._new_vertices(crossed, member, new, meeting, bit, place)
            else:
                wall, side = owner[both], below_cut.zero + slot
                if touching:
                    wall, side = self._with_touching(
                        k, bit, owner, member, positive & ~negative, wall, side
                    )
                count = np.bincount(wall, minlength=n)
                new.add_to(lower, count, side, meeting, self.faces[k - 2])
            # each half is bounded by what lies on its side and, last, by the cut itself
            wall = np.concatenate([owner[above], owner[below] + np.int32(n)])
            count = np.bincount(wall, minlength=2 * n) + 1
            entry = np.arange(len(wall)) + wall
            side = np.empty(len(wall) + 2 * n, np.int32)
            member[both] = below_cut.plus + slot
            side[entry[: len(above)]] = member[above]
            member[both] = below_cut.minus + slot
            side[entry[len(above) :]] = member[below]
            side[np.cumsum(count) - 1] = np.tile(np.arange(first_zero, first_zero + n), 2)
            below_cut = _Cut(len(faces), len(faces) + n, first_zero)
            new.twice().add_to(faces, count, side, np.tile(normals, (2, 1)), lower)
            faces.parent.view[crossed] = -1 - np.arange(n)
            cuts.append((faces, crossed))
            self.n_cells += n if k == self.d else 0
        for faces, crossed in cuts:
            faces.pos.view[crossed] = 0
            faces.neg.view[crossed] = 0

    def _new_vertices(
        self,
        edges: npt.NDArray[np.intp],
        ends: IntArray,
        new: _New,
        meeting: IntArray,
        bit: np.uint64,
        place: PlaceVertices,
    ) -> None:
        pos, neg = self.faces[1].pos.view[edges], self.faces[1].neg.view[edges]
        both = pos & neg  # an affine function has one sign inside an edge, unless the ends differ
        signs = place(
            ends.reshape(-1, 2), new.parent, meeting, pos & ~both, neg & ~both, both & ~bit, bit
        )
        self._zero_at_vertices |= np.bitwise_or.reduce(~(signs[0] | signs[1] | bit))
        nothing = np.zeros(len(edges), np.int32)
        self.faces[0].add(signs, nothing, nothing[:0], new.parent, meeting, new.shared)

    def _with_touching(
        self,
        k: int,
        bit: np.uint64,
        owner: IntArray,
        member: IntArray,
        above: BoolArray,
        wall: IntArray,
        side: IntArray,
    ) -> tuple[IntArray, IntArray]:
        """Add to the wall within each crossed k-face the old faces that lie in it.

        Each of them bounds one uncut facet above and one below; those above suffice.

        Returns
        -------
        wall, side : int32 arrays
            As given, with the old faces added, in the order of the walls.
        """
        lower, lowest = self.faces[k - 1], self.faces[k - 2]
        place, face = lower.entries(member[above])
        inside = (lowest.pos.view[face] | lowest.neg.view[face]) & bit == 0
        wall = np.concatenate([wall, owner[above][place[inside]]])
        side = np.concatenate([side, face[inside]])
        order = np.argsort(wall, kind="stable")
        return wall[order], side[order]

    def compact(self) -> None:
        """Forget the faces that were cut, and renumber; vertices keep their numbers."""
        number = np.arange(len(self.faces[0]), dtype=np.int32)
        for k in range(1, self.d + 1):
            faces = self.faces[k]
            self.faces[k], number = faces.kept(faces.parent.view >= 0, number)

    def part(self, cells: BoolArray) -> tuple[FaceLattice, npt.NDArray[np.intp]]:
        """Return the complex of some cells and all their faces, renumbered.

        Parameters
        ----------
        cells : boolean array

        Returns
        -------
        lattice : FaceLattice
        vertices : integer array
            The old numbers of its vertices.
        """
        used, others = self._closure(cells), self._closure(~cells)
        out = FaceLattice(self.d)
        out.n_cells = int(cells.sum())
        out._zero_at_vertices = self._zero_at_vertices
        number = np.zeros(1, np.int32)
        for k, faces in enumerate(self.faces):
            out.faces[k], number = faces.kept(used[k], number)
            out.faces[k].shared.view[:] |= others[k][used[k]]
        return out, np.flatnonzero(used[0])

    def _closure(self, cells: BoolArray) -> list[BoolArray]:
        """Return, per dimension, which faces belong to some cells."""
        used = [np.zeros(len(faces), np.bool_) for faces in self.faces]
        used[self.d][:] = cells
        for k in range(self.d, 0, -1):
            _, members = self.faces[k].entries(np.flatnonzero(used[k]))
            used[k - 1][members] = True
        return used


@dataclass(frozen=True)
class _Cut:
    """Where the pieces of the cut faces of one dimension start: halves, and faces in between."""

    plus: int
    minus: int
    zero: int


@dataclass(frozen=True)
class _New:
    """What the pieces of cut faces, and the cuts, inherit from those faces."""

    parent: IntArray
    shared: BoolArray

    def twice(self) -> _New:
        """Return the same for both halves of each."""
        return _New(np.tile(self.parent, 2), np.tile(self.shared, 2))

    def add_to(
        self, faces: Faces, count: Ints, members: IntArray, normals: IntArray, lower: Faces
    ) -> None:
        """Append one face for each, given the members of their boundaries one after another."""
        starts = np.cumsum(count) - count
        signs = (
            np.bitwise_or.reduceat(lower.pos.view[members], starts),
            np.bitwise_or.reduceat(lower.neg.view[members], starts),
        )
        faces.add(signs, count, members, self.parent, normals, self.shared)
