"""Twenty random networks of each architecture, 200 samples: always proved, and checkable."""

import itertools

import numpy as np
import pytest

import exactdim as ed


def float32_network(widths, rng):
    """As frameworks initialise: full float32 mantissas."""
    layers = []
    for a, b in itertools.pairwise(widths):
        W = rng.standard_normal((b, a)) * np.sqrt(2 / a)
        layers.append((W.astype(np.float32), rng.uniform(-0.3, 0.3, b).astype(np.float32)))
    return ed.as_network(layers)


@pytest.mark.parametrize("widths", [(2, 3, 1), (3, 5, 4, 2), (10, 8, 8, 8, 5)])
@pytest.mark.parametrize("seed", range(20))
def test_two_hundred_samples_are_proved(widths, seed, large):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, widths[0])).astype(np.float32)
    nets = [ed.ReLUNetwork.random(widths, seed=seed), float32_network(widths, rng)]
    # The softmax head costs as much again; in small runs every fourth network has it checked.
    heads = ("logits", "softmax") if large or seed % 4 == 0 else ("logits",)
    for net, head in itertools.product(nets, heads):
        d = ed.local_dimension(net, X, head=head)
        assert d.status == "proved"
        verdict = ed.verify(d.certificate())
        assert verdict, verdict
