"""Frames: what leaves a server, as bytes that any MessagePack reader can open.

A frame is ``[version, sender, checksum, letters]``, a letter ``[id, cause, message]``, a message what
:mod:`pyraft_lab.engine.messages` says, its class name in front. The checksum is the CRC-32 of sender and letters.
Whatever does not follow this to the letter is ``Garbage``, found here and never deeper inside.
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
    """One message on its way: its ``id``, and the event that was its ``cause``, by which a trace joins two nodes."""

    id: int
    cause: int
    message: AnyMessage

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        match self.message:
            case AppendRequest(entries=entries):
                return 64 + 32 * len(entries) + byte_size(entries)
            case SnapshotRequest(data=data):
                return 256 + len(data)
            case _:
                return 64


class Frame(Struct, frozen=True, array_like=True):
    """The envelope; ``letters`` stay bytes until their checksum is right."""

    version: int
    src: NodeId
    checksum: int
    envelopes: Raw


class Garbage(ValueError):
    """Bytes that are no frame of ours."""


_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(Frame)
_envelope_decoder = msgspec.msgpack.Decoder(tuple[Envelope, ...])


def encode(src: NodeId, envelopes: Sequence[Envelope]) -> bytes:
    """One frame of these letters."""
    body = _encoder.encode(envelopes)
    return _encoder.encode(Frame(VERSION, src, _checksum(src, body), Raw(body)))


def decode(data: bytes) -> tuple[NodeId, tuple[Envelope, ...]]:
    """Sender and letters, or ``Garbage`` saying what is wrong.

    >>> decode(b"hello")
    Traceback (most recent call last):
    pyraft_lab.network.codec.Garbage: Expected `array`, got `int`
    """
    try:
        frame = read(_frames, data)
        if frame.version != VERSION:
            raise Garbage(f"version {frame.version}, not {VERSION}")
        if not 0 < frame.src <= LARGEST:
            raise Garbage(f"no node is numbered {frame.src}")
        if frame.checksum != _checksum(frame.src, frame.envelopes):
            raise Garbage("the checksum is wrong")
        envelopes = read(_envelope_decoder, frame.envelopes)
    except msgspec.MsgspecError as wrong:
        raise Garbage(str(wrong)) from None
    if not all(_is_numbered(envelope) and _is_valid(envelope.message) for envelope in envelopes):
        raise Garbage("numbers beyond reason")
    return frame.src, envelopes


def read(decoder: "msgspec.msgpack.Decoder[T]", data: bytes | Raw) -> T:
    """What a stranger's bytes say; ``msgspec.MsgspecError`` where they are none, however deep they are nested."""
    try:
        return decoder.decode(data)
    except (RecursionError, UnicodeDecodeError) as wrong:
        raise msgspec.DecodeError(str(wrong)) from None


def _checksum(src: NodeId, envelopes: bytes | Raw) -> int:
    """Of the letters, and of who wrote them: a flipped bit must not put them into another's mouth."""
    return zlib.crc32(envelopes, zlib.crc32(src.to_bytes(8, "big")))


def _is_valid(message: AnyMessage) -> bool:
    """What the types cannot say: no number is absurd, and entries follow ``prev`` without a gap."""
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
    """Ids of messages and events are drawn from 63 bits, which tables of a trace hold."""
    return 0 <= envelope.id < 1 << 63 and 0 <= envelope.cause < 1 << 63


def _is_count(*numbers: int) -> bool:
    return min(numbers) >= 0 and max(numbers) <= LARGEST


def _is_vote(vote: Vote) -> bool:
    return 0 <= vote.term <= LARGEST and 0 <= vote.node <= LARGEST


def _is_id(id: LogId) -> bool:
    return 0 <= id.index <= LARGEST and 0 <= id.term <= LARGEST and 0 <= id.node <= LARGEST


def _is_snapshot(meta: SnapshotMeta) -> bool:
    """It ends somewhere, and every number of it can be."""
    return (
        (_is_id(meta.last) and meta.last.index > 0 and _is_id(meta.membership_id))
        and meta.membership_id.index <= meta.last.index
        and _is_count(meta.size, meta.checksum)
    )


def _follows(message: AppendRequest) -> bool:
    """Indexes count up from ``prev``, terms never fall and never pass the leader's own."""
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
