"""What the tests of wires share: a mailbox that remembers, and envelopes to send."""

import asyncio
from collections.abc import Callable, Sequence

from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.messages import AppendRequest, HeartbeatRequest
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.network.base import Notice
from pyraft_lab.network.codec import Envelope


class Remembering:
    """A mailbox that keeps what it is given, and lets a test wait for it."""

    def __init__(self) -> None:
        self.envelopes: list[tuple[NodeId, int]] = []
        self.notices: list[Notice] = []
        self._changed = asyncio.Event()

    def receive(self, src: NodeId, envelopes: Sequence[Envelope]) -> None:
        self.envelopes += [(src, envelope.id) for envelope in envelopes]
        self._changed.set()

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._changed.set()

    async def until(self, holds: Callable[["Remembering"], bool]) -> "Remembering":
        async with asyncio.timeout(10):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()
        return self

    async def until_messages(self, count: int) -> list[tuple[NodeId, int]]:
        await self.until(lambda box: len(box.envelopes) >= count)
        return self.envelopes


def envelope(id: int, cause: int = 0) -> Envelope:
    return Envelope(id, cause, HeartbeatRequest(vote=Vote(1, 1, committed=True), matched=LogId()))


def heavy(id: int, size: int) -> Envelope:
    entry = Entry(LogId(1, 1, 1), Normal(bytes(size)))
    return Envelope(id, 0, AppendRequest(vote=Vote(1, 1, committed=True), prev=LogId(), entries=(entry,)))
