"""Objects sent between processes; large arrays go straight from one memory to the other.

`multiprocessing.Pipe` packs an object into one string of bytes, with a copy on either side. Here
the arrays stay out of it: they are sent from where they are, and received where they will be.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

import numpy as np

__all__ = ["Channel"]

COUNT = struct.Struct("<Q")


class Channel:
    """One end of a connection between two processes.

    Parameters
    ----------
    end : socket
        Connected, and blocking.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return both ends of a new connection."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Return what the operating system waits for."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end; the other one then meets the end of the stream."""
        self._end.close()

    def send(self, thing: object) -> None:
        """Send an object; raises what pickling it raises, before anything is sent."""
        arrays: list[pickle.PickleBuffer] = []
        head = pickle.dumps(thing, 5, buffer_callback=arrays.append)
        pieces = [memoryview(head), *(array.raw() for array in arrays)]
        sizes = [len(pieces), *(piece.nbytes for piece in pieces)]
        self._end.sendall(b"".join(COUNT.pack(size) for size in sizes))
        for piece in pieces:
            self._end.sendall(piece)

    def receive(self) -> Any:
        """Wait for the next object.

        Returns
        -------
        object

        Raises
        ------
        EOFError
            If the other end is closed.
        """
        (n,) = COUNT.unpack(self._read(COUNT.size))
        sizes = [size for (size,) in COUNT.iter_unpack(self._read(n * COUNT.size))]
        head, *arrays = [self._read(size) for size in sizes]
        return pickle.loads(head, buffers=arrays)

    def _read(self, size: int) -> memoryview:
        piece = np.empty(size, np.uint8).data  # a bytearray would be filled with zeros first
        done = 0
        while done < size:
            more = self._end.recv_into(piece[done:])
            if not more:
                raise EOFError("the other end is closed")
            done += more
        return piece
