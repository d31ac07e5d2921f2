"""Ranks modulo one prime, of the matrix that suits the size: each is a proved lower end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from exactdim.arith import elimination
from exactdim.arith.modular import pivots_of_residues
from exactdim.nets.gram import (
    column_gram,
    jacobian_block,
    live_columns,
    usable_prime,
    weighted_gram,
)
from exactdim.nets.jacobian import JacobianFactors

__all__ = ["LowerEnd", "Source", "complete_minor", "lower_end", "prime_bits", "suitable_source"]

Source: TypeAlias = Literal["jacobian", "row-gram", "column-gram", "folded-gram"]
"""The matrix whose rank was taken: the Jacobian J; J D J^T with random weights D; J^T D J at the
columns that are not zero; J D J^T with rows added up at random, where all else is too large."""

DENSE_ENTRIES = 4_000_000
"""Size up to which the Jacobian is formed; above, a Gram matrix takes its place."""

GRAM_ORDER = 25_000
"""Order of the largest Gram matrix that is formed: 5 GB."""

DEVICE_ORDER = 80_000
"""Order of the largest Gram matrix that an accelerator is asked for: 48 GB."""


@dataclass(frozen=True)
class LowerEnd:
    """A rank modulo a prime, which the rank never falls below.

    Attributes
    ----------
    modulus : int
        A prime that divides no denominator.
    rank : int
    rows, columns : tuple of int or None
        As many rows (numbered within the kept samples) and columns that are independent. With both
        the minor is nonzero; a Gram matrix names only one side, a folded one neither.
    source : {"jacobian", "row-gram", "column-gram", "folded-gram"}
    """

    modulus: int
    rank: int
    rows: tuple[int, ...] | None
    columns: tuple[int, ...] | None
    source: Source = "jacobian"


def suitable_source(factors: JacobianFactors, device: str | None = None) -> Source:
    """Choose the matrix that gives the rank of the Jacobian with the least work.

    Parameters
    ----------
    factors : JacobianFactors
        Of distinct samples.
    device : str, optional
        A torch device, which may hold larger matrices.

    Returns
    -------
    Source
    """
    rows, columns = factors.shape
    if rows * columns <= DENSE_ENTRIES:
        return "jacobian"
    if rows > columns // 4:  # else not worth a look at which columns are zero
        columns = len(live_columns(factors, usable_prime(factors)))
    largest = GRAM_ORDER if device in {None, "cpu"} else DEVICE_ORDER
    if min(rows, columns) > largest:
        return "folded-gram"
    if columns > largest:
        return "row-gram"
    # Operations: the Gram matrix of the rows is built from factors, that of the columns is not.
    by_rows = 2 * rows**2 * sum(factors.net.widths[1:]) + rows**3
    by_columns = 2 * rows * columns**2 + columns**3
    return "column-gram" if rows > largest or by_columns < by_rows else "row-gram"


def prime_bits(source: Source) -> int:
    """Return the width of the primes for a source.

    Parameters
    ----------
    source : Source

    Returns
    -------
    int
    """
    return 62 if source == "jacobian" else elimination.PRIME_BITS


def lower_end(
    factors: JacobianFactors,
    source: Source,
    p: int,
    rng: random.Random,
    enough: int,
    tick: Callable[[int, int, str], None],
    device: str | None = None,
) -> LowerEnd:
    """Take the rank modulo a prime.

    Parameters
    ----------
    factors : JacobianFactors
        Of distinct samples.
    source : Source
    p : int
        Of `prime_bits` bits.
    rng : random.Random
        For the weights of a Gram matrix.
    enough : int
        Upper bound of the rank: nothing is gained beyond.
    tick : callable
        Called as ``tick(done, total, note)``; may raise to stop.
    device : str, optional
        Torch device for Gram matrices; numpy by default.

    Returns
    -------
    LowerEnd

    Notes
    -----
    Raises `DenominatorDivisible` if the prime divides a denominator.
    """
    if source == "jacobian":
        rows, columns = pivots_of_residues(factors.residues(p))
        return LowerEnd(p, len(rows), tuple(rows), tuple(columns))

    def building(done: int, total: int) -> None:
        tick(done, total, "Gram matrix, rows")

    def eliminating(done: int, total: int) -> None:
        tick(done, total, "rank modulo p, pivots")

    live = live_columns(factors, p) if source == "column-gram" else None
    fold = GRAM_ORDER if source == "folded-gram" else None
    eliminate: Any = elimination.rank_profile
    gram: Any
    if device is not None:
        from exactdim import torch as backend

        eliminate = backend.rank_profile
        if live is not None:
            gram = backend.column_gram(factors, p, live, rng, device=device, tick=building)
        else:
            gram = backend.weighted_gram(factors, p, rng, fold=fold, device=device, tick=building)
    elif live is not None:
        gram = column_gram(factors, p, live, rng, tick=building)
    else:
        gram = weighted_gram(factors, p, rng, fold=fold, tick=building)
    found, _ = eliminate(gram, p, enough=enough, tick=eliminating)
    rows_found = tuple(found) if source == "row-gram" else None
    columns_found = None if live is None else tuple(live[j] for j in found)
    return LowerEnd(p, len(found), rows_found, columns_found, source)


def complete_minor(factors: JacobianFactors, lower: LowerEnd) -> LowerEnd:
    """Complete independent rows, or columns, to a nonzero minor.

    Parameters
    ----------
    factors : JacobianFactors
    lower : LowerEnd
        With rows, columns or both.

    Returns
    -------
    LowerEnd

    Notes
    -----
    One elimination of the named rows (or columns); a random choice of a few more columns than that
    is tried first.
    """
    p = lower.modulus
    if lower.rows is not None and lower.columns is not None:
        return lower
    if lower.rows is not None:
        live = live_columns(factors, p)
        some = sorted(random.Random(0).sample(live, min(len(live), lower.rank * 5 // 4 + 64)))
        columns = _pivot_columns(factors, lower, some)
        if len(columns) < lower.rank:
            columns = _pivot_columns(factors, lower, live)
        return replace(lower, columns=columns)
    assert lower.columns is not None, "a folded Gram matrix names no minor"
    block = jacobian_block(factors, p, None, lower.columns)
    rows, _ = elimination.rank_profile(block, p, enough=lower.rank)
    return replace(lower, rows=tuple(rows))


def _pivot_columns(
    factors: JacobianFactors, lower: LowerEnd, candidates: list[int]
) -> tuple[int, ...]:
    block = jacobian_block(factors, lower.modulus, lower.rows, candidates)
    _, columns = elimination.rank_profile(block, lower.modulus, enough=lower.rank)
    return tuple(candidates[j] for j in columns)
