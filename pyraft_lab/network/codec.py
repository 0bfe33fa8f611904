"""Frames: what leaves a server, as bytes that any MessagePack reader can open.

A frame is ``[version, sender, checksum, letters]``, a letter ``[id, cause, message]``, a message what
:mod:`pyraft_lab.engine.messages` says, its class name in front. The checksum is the CRC-32 of sender and letters.
Whatever does not follow this to the letter is ``Garbage``, found here and never deeper inside.
"""

import zlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from pyraft_lab.engine.log import weigh
from pyraft_lab.engine.messages import AnyMessage, AppendRequest, SnapshotRequest
from pyraft_lab.engine.types import NodeId

T = TypeVar("T")
VERSION = 1
GREATEST = 1 << 48
"""No honest term, index or id comes near; a forged one must not take the room to count on."""


class Letter(Struct, frozen=True, array_like=True, gc=False):
    """One message on its way: its ``id``, and the event that was its ``cause``, by which a trace joins two nodes."""

    id: int
    cause: int
    message: AnyMessage

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        match self.message:
            case AppendRequest(entries=entries):
                return 64 + 32 * len(entries) + weigh(entries)
            case SnapshotRequest(data=data):
                return 256 + len(data)
            case _:
                return 64


class Frame(Struct, frozen=True, array_like=True):
    """The envelope; ``letters`` stay bytes until their checksum is right."""

    version: int
    src: NodeId
    checksum: int
    letters: Raw


class Garbage(ValueError):
    """Bytes that are no frame of ours."""


_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(Frame)
_letters = msgspec.msgpack.Decoder(tuple[Letter, ...])


def encode(src: NodeId, letters: Sequence[Letter]) -> bytes:
    """One frame of these letters."""
    body = _encoder.encode(letters)
    return _encoder.encode(Frame(VERSION, src, _checksum(src, body), Raw(body)))


def decode(data: bytes) -> tuple[NodeId, tuple[Letter, ...]]:
    """Sender and letters, or ``Garbage`` saying what is wrong.

    >>> decode(b"hello")
    Traceback (most recent call last):
    pyraft_lab.network.codec.Garbage: Expected `array`, got `int`
    """
    try:
        frame = read(_frames, data)
        if frame.version != VERSION:
            raise Garbage(f"version {frame.version}, not {VERSION}")
        if not 0 < frame.src < GREATEST:
            raise Garbage(f"no node is numbered {frame.src}")
        if frame.checksum != _checksum(frame.src, frame.letters):
            raise Garbage("the checksum is wrong")
        letters = read(_letters, frame.letters)
    except msgspec.MsgspecError as wrong:
        raise Garbage(str(wrong)) from None
    if not all(_is_sane(letter.message) for letter in letters):
        raise Garbage("numbers beyond reason")
    return frame.src, letters


def read(decoder: "msgspec.msgpack.Decoder[T]", data: bytes | Raw) -> T:
    """What a stranger's bytes say; ``msgspec.MsgspecError`` where they are none, however deep they are nested."""
    try:
        return decoder.decode(data)
    except (RecursionError, UnicodeDecodeError) as wrong:
        raise msgspec.DecodeError(str(wrong)) from None


def _checksum(src: NodeId, letters: bytes | Raw) -> int:
    """Of the letters, and of who wrote them: a flipped bit must not put them into another's mouth."""
    return zlib.crc32(letters, zlib.crc32(src.to_bytes(8, "big")))


def _is_sane(message: AnyMessage) -> bool:
    """What the types cannot say: no number is absurd, and entries follow ``prev`` without a gap."""
    if not (0 <= message.vote.term < GREATEST and 0 <= message.vote.node < GREATEST):
        return False
    match message:
        case AppendRequest():
            return _follows(message)
        case SnapshotRequest(meta=meta, offset=offset, data=data):
            return offset >= 0 and offset + len(data) <= meta.size and 0 < meta.last.index < GREATEST
        case _:
            return True


def _follows(message: AppendRequest) -> bool:
    """Indexes count up from ``prev``, terms never fall and never pass the leader's own."""
    index, term = message.prev.index, message.prev.term
    if not 0 <= index < GREATEST or term < 0:
        return False
    for entry in message.entries:
        id = entry.id
        index += 1
        if id.index != index or id.term < term:
            return False
        term = id.term
    return term <= message.vote.term
