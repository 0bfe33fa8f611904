"""Large data travels beside its message: uncopied in memory, and never twice."""

import asyncio
from collections.abc import Sequence

import pytest

from pyraft_lab.engine.log import Entry, Noop, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AppendRequest, SnapshotRequest
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.network.attachments import LARGE_DATA, attach, detach
from pyraft_lab.network.base import MemoryNetwork, Notice
from pyraft_lab.network.codec import Envelope, Garbage, encode

ORIGIN = LogId(0, 0, 0)
BIG = bytes(LARGE_DATA + 1)


def append(*payloads: Normal | Noop) -> Envelope:
    entries = tuple(Entry(LogId(1, 1, index), payload) for index, payload in enumerate(payloads, 1))
    return Envelope(1, 0, AppendRequest(vote=Vote(1, 1, committed=True), prev=ORIGIN, entries=entries, commit=0))


def chunk(data: bytes, size: int) -> Envelope:
    meta = SnapshotMeta(LogId(1, 1, 3), Membership((frozenset({1}),)), size=size)
    return Envelope(2, 0, SnapshotRequest(vote=Vote(1, 1, committed=True), meta=meta, offset=0, data=data, done=True))


class Mailbox:
    def __init__(self) -> None:
        self.received: asyncio.Queue[Envelope] = asyncio.Queue()

    def receive(self, _src: NodeId, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self.received.put_nowait(envelope)

    def notice(self, notice: Notice) -> None:
        pass


def test_what_is_detached_comes_back_in_its_place() -> None:
    sent = [append(Normal(b"x"), Normal(BIG), Noop(), Normal(b""), Normal(BIG + b"y")), chunk(BIG, len(BIG))]
    bare, data = detach(sent)
    assert [len(one) for one in data] == [len(BIG), 0, len(BIG) + 1, len(BIG)]
    assert len(encode(1, bare)) < 1024
    assert attach(bare, data) == sent


def test_small_messages_stay_as_they_are() -> None:
    sent = [append(Normal(b""), Normal(b"x"))]
    assert detach(sent) == (sent, [])
    assert attach(sent, ()) is sent


@pytest.mark.parametrize("data", [[BIG], [BIG, BIG, BIG]])
def test_attachments_that_do_not_fit_the_gaps_are_garbage(data: list[bytes]) -> None:
    bare, _ = detach([append(Normal(BIG), Normal(BIG))])
    with pytest.raises(Garbage):
        attach(bare, data)


def test_an_attachment_beyond_the_end_of_its_snapshot_is_garbage() -> None:
    bare, _ = detach([chunk(BIG, len(BIG))])
    with pytest.raises(Garbage, match="too long"):
        attach(bare, [BIG + b"x"])


async def test_in_memory_the_receiver_gets_the_same_bytes() -> None:
    network, mailbox = MemoryNetwork(), Mailbox()
    sender, receiver = await network.join(1, Mailbox()), await network.join(2, mailbox)
    sender.send(2, append(Normal(BIG)))
    envelope = await asyncio.wait_for(mailbox.received.get(), 30)
    assert isinstance(envelope.message, AppendRequest)
    assert envelope.message.entries[0].payload.data is BIG  # type: ignore[union-attr]
    assert (sender.counters.bytes > len(BIG), receiver.counters.received) == (True, 1)
