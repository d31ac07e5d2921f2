"""The exact local dimension on a device against numeric linear algebra on the same device.

    python benchmarks/gpu.py [--device cuda] [--samples N] [--epochs E] [--order K] [--repeats R]

From float32 weights of the (784, 30, 30, 30, 10) network of `mnist_local_dimension.py` to the rank:
reading, signs, weighted Gram matrix and its rank modulo a prime, against the float64 Jacobian and
its singular values (``torch.linalg.svdvals``). Then the rank of a random matrix modulo a prime
against ``torch.linalg.lu_factor``. Prints JSON.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import torch
from mnist_local_dimension import images, train

import exactdim as ed
from exactdim.arith.elimination import centred
from exactdim.nets.jacobian import jacobian_factors
from exactdim.torch import jacobian_spectrum, rank_profile, resolve_device, weighted_gram

P = 8388593


def timed(compute: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    start = time.perf_counter()
    out = compute()
    wait()
    return time.perf_counter() - start, out


def gemm_rate(device: torch.device, n: int) -> float:
    A = torch.rand((n, n), dtype=torch.float64, device=device)
    return 2 * n**3 / min(timed(lambda: A @ A, device)[0] for _ in range(3))


def exact(layers: list, X: np.ndarray, device: torch.device) -> dict:
    """Seconds of each step from arrays to the rank, which is proved if it is that of the rows."""
    reading, net = timed(lambda: ed.as_network(layers), device)
    signs, factors = timed(lambda: jacobian_factors(net, X), device)
    building, gram = timed(
        lambda: weighted_gram(factors, P, random.SystemRandom(), device=device), device
    )
    eliminating, (rows, _) = timed(lambda: rank_profile(gram, P), device)
    steps = {"reading": reading, "signs": signs, "gram": building, "rank": eliminating}
    return {
        "seconds": round(sum(steps.values()), 3),
        "steps": {name: round(seconds, 3) for name, seconds in steps.items()},
        "rank": len(rows),
        "rows": factors.shape[0],
        "proved": len(rows) == min(factors.shape),
    }


def numeric(layers: list, X: np.ndarray, device: torch.device) -> dict:
    net = ed.as_network(layers)
    seconds, spectrum = timed(
        lambda: jacobian_spectrum(net, X, device=device, method="jacobian"), device
    )
    eps32 = max(spectrum.shape) * float(np.finfo(np.float32).eps)
    return {
        "seconds": round(seconds, 3),
        "rank_eps64": spectrum.rank(),
        "rank_eps32": spectrum.rank(eps32),
    }


def elimination(order: int, repeats: int, device: torch.device) -> dict:
    A = np.random.default_rng(0).integers(0, P, (order, order))
    residues = torch.from_numpy(centred(A, P)).to(device)
    ours, theirs = [], []
    for _ in range(repeats):
        work = residues.clone()
        seconds, (rows, _) = timed(lambda work=work: rank_profile(work, P), device)
        ours.append(seconds)
        theirs.append(timed(lambda: torch.linalg.lu_factor(residues), device)[0])
    return {
        "order": order,
        "rank": len(rows),
        "seconds": round(min(ours), 3),
        "lu_seconds": round(min(theirs), 3),
        "times_lu": round(min(ours) / min(theirs), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--order", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device = resolve_device(options.device)
    arrays = train(options.epochs)
    layers = [(arrays[f"W{i}"], arrays[f"b{i}"]) for i in range(1, len(arrays) // 2 + 1)]
    X = images()[0][: options.samples]
    exact(layers, X[:50], device)  # libraries load on first use
    numeric(layers, X[:2], device)
    runs = [exact(layers, X, device) for _ in range(options.repeats)]
    ours = min(runs, key=lambda run: run["seconds"])
    theirs = numeric(layers, X, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine.processor()
    report = {
        "machine": machine.describe(),
        "device": {
            "name": name,
            "cuda": torch.version.cuda,
            "gemm_gflops": round(gemm_rate(device, 8192 if device.type == "cuda" else 2048) / 1e9),
        },
        "samples": options.samples,
        "epochs": options.epochs,
        "exact": ours,
        "numeric": theirs,
        "times_faster": round(theirs["seconds"] / ours["seconds"], 1),
        "elimination": elimination(options.order, options.repeats, device),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
