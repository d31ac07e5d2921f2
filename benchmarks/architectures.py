"""Seconds to a proof, and to its check, for twenty random networks of each small architecture.

python benchmarks/architectures.py
"""

import itertools
import time
from collections import Counter

import machine
import numpy as np

import exactdim as ed

SAMPLES = 200


def float32_network(widths: tuple[int, ...], rng: np.random.Generator) -> ed.ReLUNetwork:
    layers = []
    for a, b in itertools.pairwise(widths):
        W = rng.standard_normal((b, a)) * np.sqrt(2 / a)
        layers.append((W.astype(np.float32), rng.uniform(-0.3, 0.3, b).astype(np.float32)))
    return ed.as_network(layers)


def main() -> None:
    results = []
    for widths in ((2, 3, 1), (3, 5, 4, 2), (10, 8, 8, 8, 5)):
        for head in ("logits", "softmax"):
            proving, checking, reasons = [], [], Counter()
            for seed in range(20):
                rng = np.random.default_rng(seed)
                X = rng.standard_normal((SAMPLES, widths[0])).astype(np.float32)
                net = float32_network(widths, rng)
                start = time.perf_counter()
                d = ed.local_dimension(net, X, head=head)
                middle = time.perf_counter()
                assert d.status == "proved"
                assert ed.verify(d.certificate())
                proving.append(middle - start)
                checking.append(time.perf_counter() - middle)
                reasons[d.evidence.upper.name] += 1
            results.append({
                "widths": widths,
                "head": head,
                "median_seconds": round(float(np.median(proving)), 2),
                "longest_seconds": round(max(proving), 2),
                "longest_check_seconds": round(max(checking), 2),
                "reasons": dict(reasons),
            })
            print(results[-1], flush=True)
    machine.save("architectures", results)


if __name__ == "__main__":
    main()
