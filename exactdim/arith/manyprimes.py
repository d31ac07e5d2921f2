"""Proof that a rank is no larger than it seems, from ranks modulo many primes.

If the rank modulo each of several primes is at most r, every (r+1)-minor of the integer matrix is
divisible by their product. Once the product exceeds Hadamard's bound of those minors they are all
zero, and the rank over the rationals is at most r (T27, 3'). Nothing here is random.

For a Gram matrix only the principal minors matter, because a positive semidefinite matrix of rank
above r has a nonzero principal (r+1)-minor; those are at most the product of their diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

from flint import fmpz_mat, nmod_mat

from exactdim.arith.modular import ExactMatrix, rank_of_residues
from exactdim.arith.primes import descending_primes

__all__ = [
    "ManyPrimes",
    "half_log2_of_largest",
    "log2_minor_bound",
    "proved_rank",
    "scaled_integers",
    "squared_row_norms",
]

PRIME_BELOW = 2**62

M = TypeVar("M", bound=ExactMatrix)


def scaled_integers(A: M) -> M:
    """Scale rows and columns by positive rationals so that all entries are small integers.

    Parameters
    ----------
    A : QMatrix of shape (m, n)

    Returns
    -------
    QMatrix of shape (m, n)
        Integer entries, the same rank and the same zero pattern: first the columns, then the rows
        are divided by their content. The result does not depend on how the columns of A are scaled.

    Examples
    --------
    >>> from exactdim.arith.matrix import QMatrix
    >>> scaled_integers(QMatrix([["1/2", "1/8"], [3, 0]]))
    QMatrix([['1', '1'], ['1', '0']])
    """
    m, n = A.shape
    table = A.numerators()
    columns = [_without_content(table[j::n]) for j in range(n)]
    rows = [_without_content([column[i] for column in columns]) for i in range(m)]
    return type(A).from_integers([x for row in rows for x in row], 1, (m, n))


def _without_content(row: list[int]) -> list[int]:
    content = math.gcd(*row)
    return [x // content for x in row] if content > 1 else row


def log2_minor_bound(A: ExactMatrix, order: int) -> int:
    """Bound the base-2 logarithm of every minor up to some order of an integer matrix.

    Parameters
    ----------
    A : QMatrix of shape (m, n)
        With integer entries.
    order : int
        Largest order of the minors in question.

    Returns
    -------
    int
        Hadamard's bound by rows or by columns, whichever is smaller, rounded up.

    Examples
    --------
    >>> from exactdim.arith.matrix import QMatrix
    >>> log2_minor_bound(QMatrix([[3, 4], [0, 1]]), 2)  # rows of norms 5 and 1
    3
    """
    by_rows, by_columns = squared_row_norms(A), squared_row_norms(A.T)
    return min(half_log2_of_largest(by_rows, order), half_log2_of_largest(by_columns, order))


def squared_row_norms(A: ExactMatrix) -> list[int]:
    """Compute the squared Euclidean norms of the rows of numerators.

    Parameters
    ----------
    A : QMatrix of shape (m, n)

    Returns
    -------
    list of int
    """
    m, n = A.shape
    squares = [x * x for x in A.numerators()]
    return [sum(squares[i * n : (i + 1) * n]) for i in range(m)]


def half_log2_of_largest(squared_norms: list[int], order: int) -> int:
    """Bound the base-2 logarithm of the product of the largest norms, rounded up.

    Parameters
    ----------
    squared_norms : list of int
        Squared Euclidean norms of integer vectors; zeros do not count.
    order : int
        How many of them to multiply at most.

    Returns
    -------
    int
    """
    largest = sorted((x for x in squared_norms if x), reverse=True)[:order]
    return -(-math.prod(largest).bit_length() // 2)


@dataclass(frozen=True)
class ManyPrimes(Generic[M]):
    """A many-primes proof that the rank of a matrix is at most r, planned but not yet run.

    Parameters
    ----------
    scaled : QMatrix of shape (m, n)
        Integer matrix, from `scaled_integers`.
    rank : int
        The claimed upper bound r.
    gram : bool
        Whether to work with the smaller Gram matrix instead of the matrix itself.

    Notes
    -----
    `prime_total` and `operations` are known before anything is computed.
    """

    scaled: M
    rank: int
    gram: bool

    @classmethod
    def plan(cls, scaled: M, rank: int) -> ManyPrimes[M]:
        """Choose between the matrix and its Gram matrix by the estimated number of operations.

        Parameters
        ----------
        scaled : QMatrix
            Integer matrix, from `scaled_integers`.
        rank : int
            The upper bound to prove.

        Returns
        -------
        ManyPrimes
        """
        direct, gram = cls(scaled, rank, gram=False), cls(scaled, rank, gram=True)
        return gram if gram.operations < direct.operations else direct

    @cached_property
    def matrix(self) -> M:
        """The matrix whose ranks are taken: the scaled one or its smaller Gram matrix."""
        if not self.gram:
            return self.scaled
        m, n = self.scaled.shape
        return self.scaled @ self.scaled.T if m <= n else self.scaled.T @ self.scaled

    @cached_property
    def log2_bound(self) -> int:
        """Base-2 logarithm, rounded up, of a bound on the minors that must vanish."""
        if not self.gram:
            return log2_minor_bound(self.scaled, self.rank + 1)
        m, n = self.scaled.shape
        diagonal = squared_row_norms(self.scaled if m <= n else self.scaled.T)
        return 2 * half_log2_of_largest(diagonal, self.rank + 1)

    @property
    def prime_total(self) -> int:
        """How many primes just below 2**62 are needed."""
        return self.log2_bound // 61 + 1

    @property
    def operations(self) -> int:
        """Word multiplications, roughly."""
        m, n = self.scaled.shape
        small = min(m, n)
        per_prime = small * small * max(self.rank, 1) if self.gram else m * n * max(self.rank, 1)
        return self.prime_total * per_prime

    def primes(self) -> Iterator[int]:
        """Yield the primes of the proof: descending from 2**62 until their product suffices.

        Yields
        ------
        int
        """
        product = 1
        for p in descending_primes(PRIME_BELOW):
            yield p
            product *= p
            if product.bit_length() > self.log2_bound + 1:
                return

    def run(
        self,
        *,
        executor: Executor | None = None,
        tick: Callable[[int, int], None] | None = None,
        done: int = 0,
    ) -> int:
        """Take the ranks; stop at the first that exceeds the claim.

        Parameters
        ----------
        executor : concurrent.futures.Executor, optional
            Where to take them in parallel; one after the other in this process by default.
        tick : callable, optional
            Called as ``tick(done, total)`` after each prime; may raise to stop.
        done : int
            Primes of an earlier run to pass over, whose ranks did not exceed the claim.

        Returns
        -------
        int
            ``rank`` if the proof succeeded. A larger value refutes it and is itself a proved lower
            bound of the rank.
        """
        primes = list(self.primes())
        for number, found in enumerate(self._ranks(primes[done:], executor), start=done + 1):
            if found > self.rank:
                return found
            if tick is not None:
                tick(number, len(primes))
        return self.rank

    def _ranks(self, primes: list[int], executor: Executor | None) -> Iterator[int]:
        if executor is None:
            num = self.matrix._num
            yield from (rank_of_residues(nmod_mat(num, p)) for p in primes)
            return
        # The integers travel once per chunk, not once per prime.
        entries = tuple(self.matrix.numerators())
        chunks = [primes[i : i + 32] for i in range(0, len(primes), 32)]
        jobs = [executor.submit(_ranks_of_chunk, entries, self.matrix.shape, c) for c in chunks]
        try:
            for job in jobs:
                yield from job.result()
        finally:
            for job in jobs:
                job.cancel()


def _ranks_of_chunk(
    entries: tuple[int, ...], shape: tuple[int, int], primes: list[int]
) -> list[int]:
    num = _integer_matrix(entries, shape)
    return [rank_of_residues(nmod_mat(num, p)) for p in primes]


@lru_cache(maxsize=1)
def _integer_matrix(entries: tuple[int, ...], shape: tuple[int, int]) -> fmpz_mat:
    return fmpz_mat(*shape, list(entries))


def proved_rank(A: ExactMatrix) -> int:
    """Compute the rank over the rationals, with a proof of both ends.

    Parameters
    ----------
    A : QMatrix of shape (m, n)

    Returns
    -------
    int

    Notes
    -----
    One prime settles matrices of full rank on their nonzero rows or columns. The rest costs about
    ``log2(Hadamard bound) / 61`` modular ranks.
    """
    p = next(descending_primes(PRIME_BELOW))
    m, n = A.shape
    nonzero = [bool(x) for x in A._num.entries()]
    rows = sum(any(nonzero[i * n : (i + 1) * n]) for i in range(m))
    columns = sum(any(nonzero[j::n]) for j in range(n))
    # Scaling a row by the common denominator changes no rank, so numerators suffice.
    found = rank_of_residues(nmod_mat(A._num, p))
    if found == min(rows, columns):
        return found
    scaled = scaled_integers(A)
    while True:
        proved = ManyPrimes.plan(scaled, found).run()
        if proved == found:
            return found
        found = proved
