"""Train the network that ``exactdim demo`` uses, and write it with its batch to one small file.

Run once, in the development environment: ``python scripts/make_digits_demo.py``. Everything is
seeded; the file in the repository was made by exactly this script.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

WIDTHS = (64, 12, 12, 12, 10)
SAMPLES = 30
EPOCHS = 400
TARGET = Path(__file__).parents[1] / "exactdim" / "data" / "digits.npz"


def build() -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(WIDTHS):
        linear = torch.nn.Linear(inputs, outputs)
        torch.nn.init.xavier_uniform_(linear.weight)
        torch.nn.init.uniform_(linear.bias, -0.1, 0.1)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def arrays(model: torch.nn.Sequential, prefix: str) -> dict[str, np.ndarray]:
    linears = [m for m in model if isinstance(m, torch.nn.Linear)]
    out = {}
    for i, linear in enumerate(linears, start=1):
        out[f"{prefix}_W{i}"] = linear.weight.detach().numpy().copy()
        out[f"{prefix}_b{i}"] = linear.bias.detach().numpy().copy()
    return out


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    X = torch.from_numpy((pixels[order] / 16).astype(np.float32))
    y = torch.from_numpy(labels[order])
    model = build()
    saved = arrays(model, "init")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(X)).split(128):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(X[batch]), y[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        logits = model(X)
        loss = torch.nn.functional.cross_entropy(logits, y)
        accuracy = (logits.argmax(1) == y).float().mean()
    print(f"training loss {loss:.2e}, accuracy {accuracy:.4f}")
    saved |= arrays(model, "trained")
    np.savez_compressed(TARGET, X=X[:SAMPLES].numpy(), **saved)
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
