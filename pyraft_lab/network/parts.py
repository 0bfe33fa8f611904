"""Large messages travel in parts, after small messages: a heartbeat must not wait for ten megabytes.

A part is the byte ``0xc1``, which starts no frame, and then ``[sender, number, place, count, checksum, data]``: part
``place`` of the ``count`` parts of one message. The data of the first part are the sizes of the message's pieces: its
frame, and what is attached to it. All other parts are slices of these pieces, so that no step of sending or receiving
takes long. If the parts do not all arrive once and in order, the message is lost, as any message may be.
"""

import asyncio
import secrets
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from typing import Annotated

import msgspec
from msgspec import Struct, field

from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.types import NodeId
from pyraft_lab.network.codec import Envelope, Garbage, read

LARGE = 1 << 20
"""Bytes of the largest message that is sent whole, and in order with all others."""
PART = 256 << 10
"""Bytes of one part."""
MOST_PARTS = 1024
"""The most parts of one message (256 MB)."""
MOST_SENDERS = 256
"""The most senders with an incomplete message at one time."""
MOST_WAITING = 256
"""Large messages that may wait to leave; beyond this the oldest are dropped."""
WINDOW = 8
"""Parts that may be on their way to one node: more would wait in the broker, and heartbeats behind them."""
ACK_TIMEOUT = 1.0
"""Seconds after which a missing acknowledgement no longer holds back the next parts."""
MARK = b"\xc1"
ACK = MARK + MARK
"""The first bytes of an acknowledgement of parts, which are followed by a number and a place."""


class Part(Struct, frozen=True, array_like=True):
    """One part of a message; ``number`` distinguishes the messages of a sender."""

    src: NodeId
    number: int
    place: int
    count: int
    checksum: int
    data: memoryview

    @property
    def acknowledgement(self) -> bytes | None:
        """The acknowledgement that its receiver sends; most parts need none."""
        is_wanted = self.place % (WINDOW // 2) == 0
        return ACK + _encode((self.number, self.place)) if is_wanted else None


class Arriving(Struct):
    """A message of which parts have arrived: its number, the sizes of its pieces, and their slices."""

    number: int
    sizes: list[int]
    slices: list[bytes] = field(default_factory=list)

    def pieces(self) -> tuple[bytes, ...]:
        """The pieces, once all slices are here."""
        counts = map(_slices, self.sizes)
        left = iter(self.slices)
        return tuple(b"".join(islice(left, count)) for count in counts)


_encode = msgspec.msgpack.Encoder().encode
_part = msgspec.msgpack.Decoder(Part)
_acknowledgements = msgspec.msgpack.Decoder(tuple[int, int])
_sizes = msgspec.msgpack.Decoder(list[Annotated[int, msgspec.Meta(ge=0, le=MOST_PARTS * PART)]])


def numbers() -> Iterator[int]:
    """Numbers for the messages of one process, from anywhere on.

    Two processes that send one after the other as the same node must not use the same: their parts would be joined.
    """
    return count(secrets.randbits(48))


def in_parts(src: NodeId, number: int, pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The encoded parts of a message, one after the other; ``pieces`` are its frame and its attachments."""
    sizes = [len(piece) for piece in pieces]
    count = 1 + sum(map(_slices, sizes))
    slices = (
        memoryview(piece)[start : start + PART] for piece in pieces for start in range(0, max(len(piece), 1), PART)
    )
    for place, data in enumerate(chain([memoryview(_encode(sizes))], slices)):
        yield MARK + _encode(Part(src, number, place, count, _checksum(src, number, place, count, data), data))


def _slices(size: int) -> int:
    """How many slices a piece has; an empty one has one as well."""
    return max(1, -(-size // PART))


def _checksum(src: NodeId, number: int, place: int, count: int, data: memoryview) -> int:
    """The checksum of all of a part: a flipped bit must not change its place either."""
    return zlib.crc32(data, zlib.crc32(_encode((src, number, place, count))))


class Assembly:
    """Assemble messages from parts, one at a time for each sender.

    >>> assembly = Assembly()
    >>> [assembly.take("1", read_part(part)) for part in in_parts(1, 7, [b"frame", b"attachment"])]
    [None, None, (b'frame', b'attachment')]
    """

    def __init__(self) -> None:
        self._open: dict[str, Arriving] = {}

    def take(self, sender: str, part: Part) -> tuple[bytes, ...] | None:
        """The pieces of the message that this part completes, else ``None``; raises ``Garbage`` for wrong sizes."""
        arriving = self._open.pop(sender, None)
        if part.place == 0:
            arriving = Arriving(part.number, _read_sizes(part))
        elif arriving is None or (arriving.number, len(arriving.slices) + 1) != (part.number, part.place):
            return None  # a part is missing, or arrived twice
        else:
            arriving.slices.append(bytes(part.data))
        if part.place == part.count - 1:
            return arriving.pieces()
        if len(self._open) < MOST_SENDERS:
            self._open[sender] = arriving
        return None


def read_part(data: bytes) -> Part:
    """The part in these bytes; raises ``Garbage`` for others."""
    try:
        part = read(_part, memoryview(data)[1:])
    except msgspec.MsgspecError as wrong:
        raise Garbage(str(wrong)) from None
    if not (0 <= part.place < part.count <= MOST_PARTS and len(part.data) <= PART):
        raise Garbage(f"part {part.place} of {part.count}, of {len(part.data)} bytes")
    if part.checksum != _checksum(part.src, part.number, part.place, part.count, part.data):
        raise Garbage("the checksum of a part is wrong")
    return part


def _read_sizes(part: Part) -> list[int]:
    try:
        sizes = read(_sizes, part.data)
    except msgspec.MsgspecError as wrong:
        raise Garbage(str(wrong)) from None
    if not sizes or 1 + sum(map(_slices, sizes)) != part.count:
        raise Garbage(f"pieces of {sizes} bytes do not make {part.count} parts")
    return sizes


class Window:
    """Holds back parts while many are on their way to the same node."""

    def __init__(self) -> None:
        self._number, self._acknowledged = 0, -1
        self._news = asyncio.Event()

    def begin(self, number: int) -> None:
        """Begin the next message: the one before has left."""
        self._number, self._acknowledged = number, -1

    def acknowledge(self, data: bytes) -> None:
        """Read an acknowledgement; raises ``Garbage`` if it is none."""
        try:
            number, place = read(_acknowledgements, data[len(ACK) :])
        except msgspec.MsgspecError as wrong:
            raise Garbage(str(wrong)) from None
        if number == self._number:
            self._acknowledged = max(self._acknowledged, place)
            self._news.set()

    async def room(self, place: int) -> None:
        """Wait until the part at ``place`` may leave; an acknowledgement that does not come is not waited for again."""
        try:
            async with asyncio.timeout(ACK_TIMEOUT):
                while place > self._acknowledged + WINDOW:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            self._acknowledged = place


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
