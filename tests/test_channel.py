"""Channels between processes: what arrives is what was sent."""

from contextlib import closing, contextmanager

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given

from exactdim.regions.channel import Channel

NATIVE = {"endianness": "="}  # numpy forgets about others
NUMBERS = hnp.boolean_dtypes() | hnp.integer_dtypes(**NATIVE) | hnp.floating_dtypes(**NATIVE)
SMALL = hnp.arrays(  # what a socket holds while nobody reads
    NUMBERS, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)
)


@contextmanager
def channel():
    ours, theirs = Channel.pair()
    with closing(ours), closing(theirs):
        yield ours, theirs


@given(SMALL)
def test_arrays_arrive_as_they_were(array):
    with channel() as (ours, theirs):
        for sent in (array, array.T, array[..., ::-1] if array.ndim else array):
            ours.send(("job", {"array": sent, "twice": sent}))
            name, received = theirs.receive()
            assert name == "job"
            for got in received.values():
                assert got.dtype == sent.dtype
                assert got.shape == sent.shape
                assert got.tobytes() == sent.tobytes()
                assert got.flags.writeable


def test_what_cannot_be_sent_leaves_nothing_behind():
    with channel() as (ours, theirs):
        with pytest.raises(Exception, match="pickle"):
            ours.send([np.zeros(100), lambda: None])
        ours.send("next")
        assert theirs.receive() == "next"


@pytest.mark.parametrize("sent", [0, 1, 9, 30])
def test_the_end_in_the_middle_of_a_message(sent):
    with channel() as (whole, reader), channel() as (ours, theirs):
        whole.send(np.arange(100.0))
        ours._end.sendall(reader._end.recv(1 << 20)[:sent])
        ours.close()
        with pytest.raises(EOFError):
            theirs.receive()
