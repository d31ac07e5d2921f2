"""What the figures were measured on, and how fast its matrix products are."""

import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "unknown"
    )


def gemm_rate(n: int = 3000) -> float:
    """Float64 operations a second of a numpy matrix product, best of three."""
    A = np.random.default_rng(0).random((n, n))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        A @ A
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def describe() -> dict:
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in ("numpy", "python-flint", "torch")},
        "gemm_gflops": round(gemm_rate() / 1e9, 1),
    }


def save(name: str, results: list[dict]) -> None:
    path = HERE / f"{name}.json"
    path.write_text(json.dumps({"machine": describe(), "results": results}, indent=1) + "\n")
    print(f"wrote {path.name}")
