"""Dense rank modulo a 23-bit prime against LAPACK's LU in torch and against FLINT's rank.

    python benchmarks/rank_mod_p.py [n ...]

The same matrix each time; torch runs in a process of its own, because two BLAS libraries in one
process wait for each other's threads.
"""

import json
import subprocess
import sys
import time

import machine
import numpy as np
from flint import nmod_mat

from exactdim.arith.elimination import centred, rank_profile

P = 8388593
TORCH = """
import json, sys, time, numpy as np, torch
for n in json.loads(sys.argv[1]):
    A = torch.from_numpy(np.random.default_rng(0).integers(0, 8388593, (n, n)).astype(float))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        torch.linalg.lu_factor(A)
        seconds.append(time.perf_counter() - start)
    print(json.dumps(min(seconds)))
"""


def main(sizes: list[int]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TORCH, json.dumps(sizes)], capture_output=True, text=True, check=True
    )
    lu = [json.loads(line) for line in done.stdout.split()]
    rate = machine.gemm_rate()
    results = []
    for n, lu_seconds in zip(sizes, lu, strict=True):
        A = np.random.default_rng(0).integers(0, P, (n, n))
        seconds = []
        for _ in range(3):
            work = centred(A, P)
            start = time.perf_counter()
            rows, _ = rank_profile(work, P)
            seconds.append(time.perf_counter() - start)
        theirs = nmod_mat(n, n, A.ravel().tolist(), P)
        start = time.perf_counter()
        rank = theirs.rank()
        flint_seconds = time.perf_counter() - start
        assert rank == len(rows)
        ours = min(seconds)
        results.append({
            "n": n,
            "rank": rank,
            "seconds": round(ours, 3),
            "floor_seconds": round(2 / 3 * n**3 / rate, 3),
            "lu_seconds": round(lu_seconds, 3),
            "flint_seconds": round(flint_seconds, 3),
            "times_lu": round(ours / lu_seconds, 2),
            "faster_than_flint": round(flint_seconds / ours, 2),
        })
        print(results[-1], flush=True)
    machine.save("rank_mod_p", results)


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [500, 1000, 2000, 4000, 6000])
