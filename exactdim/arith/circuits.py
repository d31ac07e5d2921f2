"""Sparse kernel vectors over the rationals, found modulo a prime and verified exactly.

Each column that is no pivot modulo p is expressed by the pivot columns that its combination modulo
p needs. Only that small system is solved over the rationals, and the result is multiplied out.
Ordering the columns so that related ones are neighbours keeps supports short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from flint import nmod_mat

from exactdim.arith.matrix import QMatrix, primitive
from exactdim.arith.modular import pivots_of_residues, residues_of_integers

__all__ = ["Circuit", "Circuits"]

Circuit: TypeAlias = dict[int, int]
"""A kernel vector with integer entries: column to coefficient."""


@dataclass(frozen=True)
class Circuits:
    """The kernel vectors of some integer columns that one prime suggests.

    Parameters
    ----------
    columns : sequence of list of int
        Equally long.
    p : int
        A prime.
    skip : frozenset of int
        Columns to leave out.

    Notes
    -----
    `supports`, `operations` and `total_bits` cost one elimination modulo p; `solve` does the rest.
    """

    columns: Sequence[list[int]]
    p: int
    skip: frozenset[int] = frozenset()

    @cached_property
    def supports(self) -> list[tuple[int, list[int]]]:
        """Each free column with the pivot columns that express it modulo p."""
        used = [j for j in range(len(self.columns)) if j not in self.skip]
        part = self._residues(used).transpose()
        rows, pivots = pivots_of_residues(part)
        free = sorted(set(range(len(used))) - set(pivots))
        if not free or not pivots:
            return [(used[j], []) for j in free]
        table = part.entries()

        def square(picked: list[int]) -> nmod_mat:
            entries = [table[i * len(used) + j] for i in rows for j in picked]
            return nmod_mat(len(rows), len(picked), entries, self.p)

        solution = square(pivots).solve(square(free))
        return [
            (used[j], [used[c] for i, c in enumerate(pivots) if int(solution[i, k])])
            for k, j in enumerate(free)
        ]

    @cached_property
    def _costs(self) -> list[tuple[int, int]]:
        """Per vector: word multiplications, and bits of all entries; roughly."""
        norms = [sum(x * x for x in column).bit_length() // 2 for column in self.columns]
        out = []
        for _, support in self.supports:
            s, bits = len(support), sum(norms[j] for j in support)
            lifting = (2 * bits // 61 + 1) * 3 * s * s
            checking = self._height * s * (bits // 61 + 1) * 8
            out.append((s**3 + lifting + checking, bits * (s + 1)))
        return out

    @property
    def operations(self) -> int:
        """Word multiplications that `solve` will take, roughly."""
        return sum(work for work, _ in self._costs)

    @property
    def total_bits(self) -> int:
        """Bits of all entries of all vectors, roughly and at most."""
        return sum(bits for _, bits in self._costs)

    def solve(self, k: int) -> Circuit | None:
        """Find kernel vector number k over the rationals.

        Parameters
        ----------
        k : int
            Index into `supports`.

        Returns
        -------
        dict of int to int or None
            Primitive and verified; nonzero at its free column. ``None`` if no such vector exists
            over the rationals, so that the prime was unlucky.
        """
        column, support = self.supports[k]
        target = self.columns[column]
        if not support:
            return None if any(target) else {column: 1}
        picked = [self.columns[j] for j in support]
        _, rows = pivots_of_residues(self._residues(support))
        if len(rows) < len(support):
            return None
        square = QMatrix([[c[i] for c in picked] for i in rows])
        x = square.solve(QMatrix([[-target[i]] for i in rows]))
        left = QMatrix(picked).T @ x
        if left.numerators() != [-left.denominator * t for t in target]:
            return None
        vector = primitive([*x.numerators(), x.denominator])
        return {j: v for j, v in zip([*support, column], vector, strict=True) if v}

    @property
    def _height(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def _residues(self, picked: list[int]) -> nmod_mat:
        return residues_of_integers([self.columns[j] for j in picked], self._height, self.p)
