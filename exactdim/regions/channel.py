"""Objects sent between processes; large arrays go straight from one memory to the other.

`multiprocessing.Pipe` packs an object into one string of bytes, with a copy on either side. Here
the arrays stay out of it: they are sent from where they are, and received where they will be.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
from collections.abc import Callable, Sequence
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
    known : sequence
        What both ends have, in the same order: where it occurs in an object, it is not sent.
    """

    def __init__(self, end: socket.socket, known: Sequence[object] = ()) -> None:
        self._end = end
        self._known = known

    @classmethod
    def pair(cls, known: Sequence[object] = ()) -> tuple[Channel, Channel]:
        """Return both ends of a new connection."""
        one, other = socket.socketpair()
        return cls(one, known), cls(other, known)

    def fileno(self) -> int:
        """Return what the operating system waits for."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end; the other one then meets the end of the stream."""
        self._end.close()

    def ready(self) -> bool:
        """Return whether something has come, or the other end is closed."""
        try:
            self._end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def send(self, thing: object) -> None:
        """Send an object; raises what pickling it raises, before anything is sent."""
        arrays: list[pickle.PickleBuffer] = []
        head = io.BytesIO()
        _Pickler(head, self._known, arrays.append).dump(thing)
        pieces = [head.getbuffer(), *(array.raw() for array in arrays)]
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
        return _Unpickler(io.BytesIO(head), self._known, arrays).load()

    def _read(self, size: int) -> memoryview:
        piece = np.empty(size, np.uint8).data  # a bytearray would be filled with zeros first
        done = 0
        while done < size:
            more = self._end.recv_into(piece[done:])
            if not more:
                raise EOFError("the other end is closed")
            done += more
        return piece


class _Pickler(pickle.Pickler):
    """Writes numbers in the place of objects that the reader has."""

    def __init__(
        self,
        file: io.BytesIO,
        known: Sequence[object],
        keep: Callable[[pickle.PickleBuffer], object],
    ) -> None:
        super().__init__(file, 5, buffer_callback=keep)
        self._number = {id(thing): i for i, thing in enumerate(known)}

    def persistent_id(self, thing: object) -> int | None:
        return self._number.get(id(thing))


class _Unpickler(pickle.Unpickler):
    """Puts objects in the place of their numbers."""

    def __init__(
        self, file: io.BytesIO, known: Sequence[object], arrays: Sequence[memoryview]
    ) -> None:
        super().__init__(file, buffers=arrays)
        self._known = known

    def persistent_load(self, number: int) -> object:
        return self._known[number]
