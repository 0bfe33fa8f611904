"""Frames: the bytes that leave a server, readable by any MessagePack reader.

A frame is ``[version, sender, checksum, messages]``, each of these ``[id, cause, message]``;
:mod:`pyraft_lab.engine.messages` defines the last, its class name in front. The checksum is the CRC-32 of sender and
messages. Bytes that break any of these rules are ``Garbage``; they are found here and never get further.
"""

import zlib
from collections.abc import Sequence
from typing import TypeVar, assert_never

import msgspec
from msgspec import Raw, Struct

from pyraft_lab.arguments import LARGEST
from pyraft_lab.engine.log import SnapshotMeta, byte_size
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    CandidateMessage,
    FollowerMessage,
    HeartbeatRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
    VoterMessage,
)
from pyraft_lab.engine.types import LogId, NodeId, Vote

T = TypeVar("T")
VERSION = 1


class Envelope(Struct, frozen=True, array_like=True, gc=False):
    """One message in transit: its ``id``, and its ``cause``, the id of the event that sent it."""

    id: int
    cause: int
    message: AnyMessage

    @property
    def size(self) -> int:
        """The message's approximate size in bytes."""
        match self.message:
            case AppendRequest(entries=entries):
                return 64 + 32 * len(entries) + byte_size(entries)
            case SnapshotRequest(data=data):
                return 256 + len(data)
            case _:
                return 64


class Frame(Struct, frozen=True, array_like=True):
    """A frame; ``envelopes`` stay bytes until their checksum has been verified."""

    version: int
    src: NodeId
    checksum: int
    envelopes: Raw


class Garbage(ValueError):
    """Bytes that are not a valid frame."""


_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(Frame)
_envelope_decoder = msgspec.msgpack.Decoder(tuple[Envelope, ...])


def encode(src: NodeId, envelopes: Sequence[Envelope]) -> bytes:
    """One frame of these messages."""
    body = _encoder.encode(envelopes)
    return _encoder.encode(Frame(VERSION, src, _checksum(src, body), Raw(body)))


def decode(data: bytes) -> tuple[NodeId, tuple[Envelope, ...]]:
    """Sender and messages of a frame; raises ``Garbage`` with what is wrong.

    >>> decode(b"hello")
    Traceback (most recent call last):
    pyraft_lab.network.codec.Garbage: Expected `array`, got `int`
    """
    try:
        frame = read(_frames, data)
        if frame.version != VERSION:
            raise Garbage(f"version {frame.version}, not {VERSION}")
        if not 0 < frame.src <= LARGEST:
            raise Garbage(f"{frame.src} is not a node id")
        if frame.checksum != _checksum(frame.src, frame.envelopes):
            raise Garbage("the checksum is wrong")
        envelopes = read(_envelope_decoder, frame.envelopes)
    except msgspec.MsgspecError as wrong:
        raise Garbage(str(wrong)) from None
    if not all(_is_numbered(envelope) and is_valid(envelope.message) for envelope in envelopes):
        raise Garbage("a number is out of range")
    return frame.src, envelopes


def read(decoder: "msgspec.msgpack.Decoder[T]", data: bytes | memoryview | Raw) -> T:
    """Decode untrusted bytes; raises ``msgspec.MsgspecError`` if they are invalid, however deeply nested."""
    try:
        return decoder.decode(data)
    except (RecursionError, UnicodeDecodeError) as wrong:
        raise msgspec.DecodeError(str(wrong)) from None


def _checksum(src: NodeId, envelopes: bytes | Raw) -> int:
    """The checksum of messages and sender: a flipped bit must not change the sender either."""
    return zlib.crc32(envelopes, zlib.crc32(src.to_bytes(8, "big")))


def is_valid(message: AnyMessage) -> bool:
    """Check what types cannot: all numbers are in range, and entries follow ``prev`` without a gap."""
    if not _is_vote(message.vote):
        return False
    match message:
        case AppendRequest():
            return _is_count(message.commit, message.round) and _follows(message)
        case SnapshotRequest(meta=meta, offset=offset, data=data):
            return _is_snapshot(meta) and 0 <= offset <= meta.size - len(data) and _is_count(message.round)
        case HeartbeatRequest(matched=id, commit=commit, round=round):
            return _is_id(id) and _is_count(commit, round)
        case AppendAccepted() | AppendRefused() | HeartbeatResponse() | SnapshotResponse():
            return _is_answer(message)
        case _:
            return _is_election(message)


def _is_answer(message: FollowerMessage) -> bool:
    match message:
        case AppendAccepted(matched=id, round=round):
            return _is_id(id) and _is_count(round)
        case AppendRefused(prev=prev, hint=hint, round=round):
            return _is_id(prev) and _is_id(hint) and _is_count(round)
        case SnapshotResponse(last=id, offset=offset, round=round):
            return _is_id(id) and _is_count(offset, round)
        case HeartbeatResponse(round=round):
            return _is_count(round)
        case _:
            assert_never(message)


def _is_election(message: CandidateMessage | VoterMessage | TimeoutNow | Outdated) -> bool:
    match message:
        case PreVoteRequest(last=id) | VoteRequest(last=id):
            return _is_id(id)
        case PreVoteResponse(asked=asked, last=id) | VoteResponse(asked=asked, last=id):
            return _is_vote(asked) and _is_id(id)
        case _:
            return True


def _is_numbered(envelope: Envelope) -> bool:
    """Whether the ids of message and event have at most 63 bits, which the tables of a trace can hold."""
    return 0 <= envelope.id < 1 << 63 and 0 <= envelope.cause < 1 << 63


def _is_count(*numbers: int) -> bool:
    return min(numbers) >= 0 and max(numbers) <= LARGEST


def _is_vote(vote: Vote) -> bool:
    return 0 <= vote.term <= LARGEST and 0 <= vote.node <= LARGEST


def _is_id(id: LogId) -> bool:
    return 0 <= id.index <= LARGEST and 0 <= id.term <= LARGEST and 0 <= id.node <= LARGEST


def _is_snapshot(meta: SnapshotMeta) -> bool:
    """Whether the snapshot has an end, and all its numbers are in range."""
    return (
        (_is_id(meta.last) and meta.last.index > 0 and _is_id(meta.membership_id))
        and meta.membership_id.index <= meta.last.index
        and _is_count(meta.size, meta.checksum)
    )


def _follows(message: AppendRequest) -> bool:
    """Whether indexes count up from ``prev``, and terms never decrease or exceed the leader's own."""
    index, term = message.prev.index, message.prev.term
    if not _is_id(message.prev) or index + len(message.entries) > LARGEST:
        return False
    for entry in message.entries:
        id = entry.id
        index += 1
        if id.index != index or id.term < term or not 0 <= id.node <= LARGEST:
            return False
        term = id.term
    return term <= message.vote.term
