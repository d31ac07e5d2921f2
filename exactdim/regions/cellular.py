"""A finished complex of activation regions, as plain arrays.

Faces are numbered per dimension; each has the faces that bound it, one dimension lower. Vertices
carry the signs of all neurons and of all inequalities of the domain, from which the signs on every
other face follow: a function is positive inside a face if it is so at one of its vertices and
negative at none. No two vertices of a complex have the same signs: that is how complexes which were
computed apart are put together again. Larger faces then follow, since no two of them have the same
two faces in their boundaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from exactdim.arith.rationals import FloatArray
from exactdim.regions.faces import BoolArray, IntArray, Ints, WordArray, ragged

__all__ = ["CellComplex", "joined"]


@dataclass(frozen=True, eq=False)
class CellComplex:
    """Faces, signs and defining rows of a finished complex of dimension d.

    Attributes
    ----------
    count, boundary : tuple of integer arrays, for dimensions 0..d
        How many faces bound each face, and their numbers one after another.
    at_infinity : tuple of boolean arrays, for dimensions 0..d
        Whether the face lies on the enclosing simplex, that is, not in the domain.
    shared : tuple of boolean arrays, for dimensions 0..d
        Whether the face may also be part of another complex of the same computation.
    vertex_rows : int32 array of shape (vertices, d)
        The rows that meet in each vertex.
    facet_row : int32 array of shape (facets,)
        A row that vanishes on each face of dimension d - 1.
    x, x_error : float arrays of shape (vertices, d + 1)
        Approximate homogeneous coordinates, the last of which is 0 for directions, and how far
        each may be from the exact one.
    pos, neg : uint64 arrays of shape (vertices, blocks)
        Signs of the neurons.
    walls : uint64 array of shape (vertices, words)
        Bits of the domain's rows that are positive (not zero) there.
    words : uint64 array of shape (cells, blocks)
        Activation patterns.
    row_block, row_cell, row_unit, row_at_infinity : integer arrays of shape (rows,)
        See `vertices.Rows`; `row_cell` is a place in `history`.
    history : tuple of uint64 arrays, one per block
        Patterns of cells at the start of each block.
    """

    count: tuple[IntArray, ...]
    boundary: tuple[IntArray, ...]
    at_infinity: tuple[BoolArray, ...]
    shared: tuple[BoolArray, ...]
    vertex_rows: IntArray
    facet_row: IntArray
    x: FloatArray
    x_error: FloatArray
    pos: WordArray
    neg: WordArray
    walls: WordArray
    words: WordArray
    row_block: IntArray
    row_cell: IntArray
    row_unit: IntArray
    row_at_infinity: npt.NDArray[np.int8]
    history: tuple[WordArray, ...]

    @property
    def d(self) -> int:
        """Dimension."""
        return len(self.count) - 1

    @property
    def n_cells(self) -> int:
        """Number of activation regions."""
        return len(self.words)

    def n_faces(self, k: int) -> int:
        """Return the number of k-faces, with those at infinity."""
        return len(self.count[k])

    def begin(self, k: int) -> Ints:
        """Return where the boundary of each k-face starts."""
        return np.cumsum(self.count[k], dtype=np.int64) - self.count[k]

    def entries(self, k: int, faces: Ints) -> tuple[IntArray, IntArray]:
        """Return the boundary faces of some k-faces, and which of them each belongs to."""
        owner, place = ragged(self.begin(k)[faces], self.count[k][faces])
        return owner, self.boundary[k][place]

    def gathered(self, of_vertices: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
        """Join, by `or`, a property of the vertices of every k-face."""
        values = of_vertices
        for dimension in range(1, k + 1):
            values = np.bitwise_or.reduceat(
                values[self.boundary[dimension]], self.begin(dimension), axis=0
            )
        return values

    # -- as arrays with names, to be stored or sent -------------------------------------------

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything as arrays by name."""
        out: dict[str, npt.NDArray[Any]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                out |= {f"{field.name}.{i}": array for i, array in enumerate(value)}
            else:
                out[field.name] = value
        return out

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> CellComplex:
        """Undo `to_arrays`."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in arrays:
                values[field.name] = arrays[field.name]
            else:
                numbers = range(sum(name.startswith(f"{field.name}.") for name in arrays))
                values[field.name] = tuple(arrays[f"{field.name}.{i}"] for i in numbers)
        return cls(**values)


def joined(parts: Sequence[CellComplex]) -> CellComplex:
    """Put together complexes of different cells of one computation.

    Parameters
    ----------
    parts : sequence of CellComplex
        At least one. Faces that several of them have are marked as shared in each.

    Returns
    -------
    CellComplex
    """
    if len(parts) == 1:
        return parts[0]
    d = parts[0].d
    count, boundary, at_infinity, shared = [], [], [], []
    lower = [np.zeros(0, np.int32) for _ in parts]  # new numbers of faces one dimension lower
    kept_vertices: list[Ints] = []
    kept_facets: list[Ints] = []
    for k in range(d + 1):
        keys = _keys_of_faces(parts, k, lower) if k else _keys_of_vertices(parts)
        kept, numbers = _numbering([p.shared[k] for p in parts], keys)
        count.append(_chosen([p.count[k] for p in parts], kept))
        members = [parts[0].boundary[k]]  # of which all faces are kept, with their numbers
        for part, own, number in zip(parts[1:], kept[1:], lower[1:], strict=True):
            members.append(number[part.entries(k, own)[1]])
        boundary.append(np.concatenate(members))
        at_infinity.append(_chosen([p.at_infinity[k] for p in parts], kept))
        shared.append(_chosen([p.shared[k] for p in parts], kept))
        if k == 0:
            kept_vertices = kept
        if k == d - 1:
            kept_facets = kept
        lower = numbers
    row_offset = np.cumsum([0, *(len(p.row_block) for p in parts)])
    return CellComplex(
        tuple(count),
        tuple(boundary),
        tuple(at_infinity),
        tuple(shared),
        _chosen(
            [p.vertex_rows + np.int32(o) for p, o in zip(parts, row_offset, strict=False)],
            kept_vertices,
        ),
        _chosen(
            [p.facet_row + np.int32(o) for p, o in zip(parts, row_offset, strict=False)],
            kept_facets,
        ),
        _chosen([p.x for p in parts], kept_vertices),
        _chosen([p.x_error for p in parts], kept_vertices),
        _chosen([p.pos for p in parts], kept_vertices),
        _chosen([p.neg for p in parts], kept_vertices),
        _chosen([p.walls for p in parts], kept_vertices),
        np.concatenate([p.words for p in parts]),
        np.concatenate([p.row_block for p in parts]),
        np.concatenate(_shifted_cells(parts)),
        np.concatenate([p.row_unit for p in parts]),
        np.concatenate([p.row_at_infinity for p in parts]),
        tuple(np.concatenate(words) for words in zip(*(p.history for p in parts), strict=True)),
    )


def _chosen(arrays: list[Any], kept: list[Ints]) -> Any:
    """Put together some rows of each array."""
    out = np.empty((sum(map(len, kept)), *arrays[0].shape[1:]), arrays[0].dtype)
    start = 0
    for array, own in zip(arrays, kept, strict=True):
        # a mode other than "raise" lets the rows be written to their place at once
        np.take(array, own, axis=0, out=out[start : start + len(own)], mode="clip")
        start += len(own)
    return out


def _shifted_cells(parts: Sequence[CellComplex]) -> list[IntArray]:
    """Return the cells of all rows as places in the joined history."""
    offset = np.zeros(len(parts[0].history), np.int32)
    out = []
    for part in parts:
        own = part.row_block >= 0
        cell = part.row_cell.copy()
        cell[own] += offset[part.row_block[own]]
        out.append(cell)
        offset += np.array([len(words) for words in part.history], np.int32)
    return out


def _keys_of_vertices(parts: Sequence[CellComplex]) -> Ints:
    """Return a number for each shared vertex of all parts: equal for equal signs."""
    signs = [np.column_stack([p.pos, p.neg, p.walls])[p.shared[0]] for p in parts]
    return _group(np.concatenate(signs))


def _keys_of_faces(parts: Sequence[CellComplex], k: int, lower: list[IntArray]) -> Ints:
    """Return a number for each shared k-face of all parts: equal for equal faces."""
    # Two different faces of one polyhedral complex meet in a common face. So they cannot share two
    # faces of their boundaries, which together span them: the first and the last will do.
    keys = []
    for part, numbers in zip(parts, lower, strict=True):
        some = np.flatnonzero(part.shared[k])
        if len(some):
            members = numbers[part.entries(k, some)[1]].astype(np.int64)
            starts = np.cumsum(part.count[k][some]) - part.count[k][some]
            low, high = (f.reduceat(members, starts) for f in (np.minimum, np.maximum))
            keys.append(low << 32 | high)
    return np.concatenate(keys or [np.zeros(0, np.int64)])


def _numbering(shared: list[BoolArray], keys: Ints) -> tuple[list[Ints], list[IntArray]]:
    """Give every face of all parts a number; shared ones with equal keys get the same.

    Returns
    -------
    kept : list of integer arrays
        Per part, the faces that are numbered there for the first time.
    numbers : list of int32 arrays
    """
    where = [np.flatnonzero(flag) for flag in shared]
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    is_first = np.zeros(len(which), np.bool_)
    is_first[first] = True
    kept, numbers = [], []
    n_shared = n_kept = 0
    for flag, w in zip(shared, where, strict=True):
        own = ~flag
        own[w] = is_first[n_shared : n_shared + len(w)]
        number = np.cumsum(own, dtype=np.int32) + np.int32(n_kept - 1)
        kept.append(np.flatnonzero(own))
        numbers.append(number)
        n_shared += len(w)
        n_kept += len(kept[-1])
    of_group = np.concatenate([n[w] for n, w in zip(numbers, where, strict=True)])[first]
    n_shared = 0
    for number, w in zip(numbers, where, strict=True):
        number[w] = of_group[which[n_shared : n_shared + len(w)]]
        n_shared += len(w)
    return kept, numbers


def _group(rows: WordArray) -> Ints:
    """Return a number for each row: equal for equal rows."""
    if not len(rows):
        return np.zeros(0, np.int64)
    factors = np.arange(1, rows.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (rows ^ rows >> np.uint64(32)) * (factors | np.uint64(1))
    mixed ^= mixed >> np.uint64(29)
    key = (mixed * np.uint64(0xBF58476D1CE4E5B9)).sum(axis=1, dtype=np.uint64)
    order = np.argsort(key, kind="stable")
    same_key = key[order][1:] == key[order][:-1]
    same_row = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    if (same_key & ~same_row).any():  # two rows with one key: compare the rows themselves
        order = np.lexsort(rows.T)
        same_row = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    group = np.empty(len(rows), np.int64)
    group[order] = np.concatenate([[0], np.cumsum(~same_row)])
    return group
