"""Matrices of residues modulo small primes, and FLINT's view of them."""

import numpy as np
from flint import nmod_mat
from hypothesis import strategies as st

P = 8388593
PRIMES = [3, 5, 101, 65537, P]


def flint(A, p):
    return nmod_mat(*A.shape, [int(x) % p for x in A.ravel()], p)


@st.composite
def residue_matrices(draw):
    """Low rank, repeated rows, zero blocks, thin, empty, extreme entries."""
    p = draw(st.sampled_from(PRIMES))
    m, n = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["full", "low rank", "sparse", "extreme", "repeated", "blocks"]))
    A = rng.integers(0, p, (m, n))
    if kind == "low rank":
        r = draw(st.integers(0, 6))
        A = rng.integers(0, p, (m, r)) @ rng.integers(0, p, (r, n)) % p
    elif kind == "sparse":
        A *= rng.random((m, n)) < 0.1
    elif kind == "extreme":
        A = rng.choice([0, (p - 1) // 2, (p + 1) // 2], (m, n))
    elif kind == "repeated" and m:
        A = A[rng.integers(0, max(1, m // 3), m)]
    elif kind == "blocks":
        A[: m // 2, : n // 2] = 0
        A[m // 2 :, n // 2 :] = 0
    return A, p
