"""How the hidden neurons of one or several networks are numbered and packed into words."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np

from exactdim.nets.network import ReLUNetwork
from exactdim.regions.faces import BITS, BoolArray, WordArray

__all__ = ["Block", "Layout", "pack", "unpack"]


FIRST_BITS = 16
"""Neurons of a block of the first layer."""


@dataclass(frozen=True)
class Block:
    """Neurons of one layer whose signs share a word.

    Attributes
    ----------
    net, layer : int
        Which network, and which of its layers.
    first, last : int
        The units ``first..last - 1`` of the layer.
    ends_layer : bool
        Whether they are the last ones of the layer.
    """

    net: int
    layer: int
    first: int
    last: int
    ends_layer: bool

    @property
    def width(self) -> int:
        """Number of neurons."""
        return self.last - self.first


@dataclass(frozen=True)
class Layout:
    """The hidden neurons of some networks with the same inputs, one network after another.

    Attributes
    ----------
    nets : tuple of ReLUNetwork
    """

    nets: tuple[ReLUNetwork, ...]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The neurons in the order in which they cut, at most 64 at a time.

        The very first are fewer: jobs begin after that block.
        """
        return tuple(
            Block(number, layer, first, min(first + size, width), first + size >= width)
            for number, net in enumerate(self.nets)
            for layer, width in enumerate(net.widths[1:-1])
            for size in [BITS if number or layer else FIRST_BITS]
            for first in range(0, width, size)
        )

    @cached_property
    def ends(self) -> list[int]:
        """Columns at which the hidden layers start, those of all networks, and the end."""
        widths = [width for net in self.nets for width in net.widths[1:-1]]
        return list(accumulate(widths, initial=0))

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons."""
        return self.ends[-1]

    @cached_property
    def widest(self) -> int:
        """The largest number of units of a layer, inputs and outputs counted as layers."""
        return max(width for net in self.nets for width in net.widths)

    @cached_property
    def starts(self) -> list[int]:
        """Columns at which the networks start."""
        return list(accumulate((net.n_hidden for net in self.nets), initial=0))

    def unit(self, column: int) -> tuple[int, int]:
        """Return (layer, unit) of a column; layers of all networks are numbered in a row."""
        layer = bisect_right(self.ends, column) - 1
        return layer, column - self.ends[layer]

    def layer(self, number: int) -> tuple[int, int]:
        """Return (network, layer) of a hidden layer in the common numbering."""
        for net, network in enumerate(self.nets):
            if number < network.depth - 1:
                return net, number
            number -= network.depth - 1
        raise IndexError("there are fewer hidden layers")

    def masks(self, words: WordArray) -> BoolArray:
        """Spell words, one row per cell and one column per block, as booleans per neuron.

        Parameters
        ----------
        words : uint64 array of shape (n, at most the number of blocks)

        Returns
        -------
        boolean array of shape (n, neurons in those blocks)
        """
        columns = [
            unpack(words[:, i], block.width)
            for i, block in enumerate(self.blocks[: words.shape[1]])
        ]
        return np.hstack([np.zeros((len(words), 0), np.bool_), *columns])

    def pattern(self, mask: BoolArray) -> tuple[str, ...]:
        """Spell the row of one cell as a word of 0 and 1 per hidden layer."""
        text = "".join("1" if on else "0" for on in mask)
        return tuple(text[a:b] for a, b in pairwise(self.ends))


def unpack(words: WordArray, bits: int) -> BoolArray:
    """Spell words as one boolean per bit, lowest first."""
    octets = np.ascontiguousarray(words, dtype="<u8").view(np.uint8).reshape(-1, 8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :bits].astype(np.bool_)


def pack(table: BoolArray) -> WordArray:
    """Undo `unpack`."""
    octets = np.zeros((len(table), 8), np.uint8)
    packed = np.packbits(table, axis=1, bitorder="little")
    octets[:, : packed.shape[1]] = packed
    return octets.view("<u8").ravel().astype(np.uint64)
