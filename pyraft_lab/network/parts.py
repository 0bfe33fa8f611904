"""Large messages travel in parts, after small messages: a heartbeat must not wait for ten megabytes.

A part is the byte ``0xc1``, which starts no frame, and then ``[sender, number, place, count, data]``: part ``place`` of
the ``count`` parts of a frame. If the parts do not all arrive once and in order, the frame is lost, as any frame may
be.
"""

import asyncio
from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.types import NodeId
from pyraft_lab.network.codec import Envelope, Garbage, read

LARGE = 1 << 20
"""Bytes of the largest message that is sent whole, and in order with all others."""
PART = 256 << 10
"""Bytes of one part."""
MOST_PARTS = 1024
"""The most parts of one frame (256 MB)."""
MOST_SENDERS = 256
"""The most senders with an incomplete frame at one time."""
MOST_WAITING = 256
"""Large messages that may wait to leave; beyond this the oldest are dropped."""
MARK = b"\xc1"


class Part(Struct, frozen=True, array_like=True):
    """One part of a frame; ``number`` distinguishes the frames of a sender."""

    src: NodeId
    number: int
    place: int
    count: int
    data: bytes


_encode = msgspec.msgpack.Encoder().encode
_part = msgspec.msgpack.Decoder(Part)


def in_parts(src: NodeId, number: int, frame: bytes) -> Iterator[bytes]:
    """Split a frame into encoded parts."""
    count = -(-len(frame) // PART)
    for place in range(count):
        yield MARK + _encode(Part(src, number, place, count, frame[place * PART : (place + 1) * PART]))


class Assembly:
    """Assemble frames from parts, one at a time for each sender.

    >>> assembly = Assembly()
    >>> [len(assembly.take("1", part) or b"") for part in in_parts(1, 7, bytes(PART + 1))]
    [0, 262145]
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, list[bytes]]] = {}

    def take(self, sender: str, data: bytes) -> bytes | None:
        """The frame that this part completes, else ``None``; raises ``Garbage`` for an invalid part."""
        try:
            part = read(_part, data[1:])
        except msgspec.MsgspecError as wrong:
            raise Garbage(str(wrong)) from None
        if not (0 <= part.place < part.count <= MOST_PARTS and len(part.data) <= PART):
            raise Garbage(f"part {part.place} of {part.count}, of {len(part.data)} bytes")
        number, parts = self._open.pop(sender, (part.number, []))
        if part.place == 0:
            number, parts = part.number, []
        if (number, len(parts)) != (part.number, part.place):
            return None  # a part is missing, or arrived twice
        parts.append(part.data)
        if len(parts) == part.count:
            return b"".join(parts)
        if len(self._open) < MOST_SENDERS:
            self._open[sender] = number, parts
        return None


class Bulk:
    """Large messages waiting to leave, one after the other; a copy of a waiting one is not queued."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[NodeId, Envelope]] = deque()
        self._leaving: tuple[NodeId, Envelope] | None = None
        self._ready = asyncio.Event()

    def wants(self, dst: NodeId, envelope: Envelope) -> bool:
        """Whether a message belongs here: it is large, or its entries follow those of a large one."""
        if envelope.size > LARGE:
            return True
        has_entries = isinstance(envelope.message, AppendRequest) and bool(envelope.message.entries)
        return has_entries and any(one is not None and one[0] == dst for one in (*self._waiting, self._leaving))

    def put(self, dst: NodeId, envelope: Envelope) -> int:
        """Queue a message; returns how many older ones were dropped."""
        if any(_is_copy((dst, envelope), other) for other in (*self._waiting, self._leaving) if other is not None):
            return 0
        lost = len(self._waiting) >= MOST_WAITING
        if lost:
            self._waiting.popleft()
        self._waiting.append((dst, envelope))
        self._ready.set()
        return int(lost)

    async def next(self) -> tuple[NodeId, Envelope]:
        """Wait for the next message; the one before has left."""
        self._leaving = None
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        self._leaving = self._waiting.popleft()
        return self._leaving

    def clear(self) -> None:
        """Drop everything."""
        self._waiting.clear()
        self._leaving = None


def _is_copy(one: tuple[NodeId, Envelope], other: tuple[NodeId, Envelope]) -> bool:
    """Whether both carry the same entries to the same node: a leader repeats an append without an answer."""
    match one[1].message, other[1].message:
        case AppendRequest() as new, AppendRequest() as old:
            return (
                (one[0], new.vote, new.prev) == (other[0], old.vote, old.prev)
                and len(new.entries) == len(old.entries)
                and new.entries[-1:] == old.entries[-1:]
            )
        case _:
            return False
