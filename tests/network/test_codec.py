import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.network.codec import Envelope, Garbage, decode, encode

LED = Vote(3, 1, committed=True)
BEFORE = LogId(1, 1, 4)


def append(*ids: LogId, prev: LogId = BEFORE) -> AppendRequest:
    return AppendRequest(vote=LED, prev=prev, entries=tuple(Entry(id, Normal(b"x")) for id in ids))


def chunk(offset: int, size: int) -> SnapshotRequest:
    meta = SnapshotMeta(LogId(1, 1, 5), Membership.of({1, 2}), size=size)
    return SnapshotRequest(vote=LED, meta=meta, offset=offset, data=b"abc", done=True)


@pytest.mark.parametrize(
    "message",
    [
        append(LogId(2, 1, 5), LogId(3, 1, 6)),
        chunk(offset=0, size=3),
        AppendRequest(
            vote=LED,
            prev=LogId(),
            entries=(Entry(LogId(0, 1, 1), Configuration(Membership.of({1, 2}, learners={3}))),),
        ),
    ],
)
def test_a_frame_comes_out_as_it_went_in(message: AnyMessage) -> None:
    envelopes = (Envelope(7, 3, message), Envelope(8, 3, HeartbeatRequest(vote=LED, matched=LogId())))
    assert decode(encode(2, envelopes)) == (2, envelopes)


def test_a_frame_is_plain_messagepack() -> None:
    version, src, _, envelopes = msgspec.msgpack.decode(encode(2, [Envelope(7, 3, append())]))
    assert (version, src, envelopes[0][:2], envelopes[0][2][0]) == (1, 2, [7, 3], "AppendRequest")


def test_one_flipped_bit_is_garbage() -> None:
    frame = bytearray(encode(2, [Envelope(7, 3, append(LogId(2, 1, 5)))]))
    frame[-1] ^= 1
    with pytest.raises(Garbage, match="checksum"):
        decode(bytes(frame))


def test_another_version_is_garbage() -> None:
    frame = msgspec.msgpack.decode(encode(2, []))
    with pytest.raises(Garbage, match="version 9"):
        decode(msgspec.msgpack.encode([9, *frame[1:]]))


@pytest.mark.parametrize(
    "absurd",
    [
        append(LogId(2, 1, 6)),
        append(LogId(2, 1, 5), LogId(2, 1, 5)),
        append(LogId(2, 1, 5), LogId(1, 1, 6)),
        append(LogId(4, 1, 5)),
        append(prev=LogId(1, 1, -1)),
        HeartbeatRequest(vote=Vote(1 << 60, 1), matched=LogId()),
        HeartbeatRequest(vote=Vote(-1, 1), matched=LogId()),
        chunk(offset=1, size=3),
        chunk(offset=-1, size=9),
    ],
    ids=["gap", "doubled", "back in term", "later than the leader", "negative", "far", "before", "beyond", "ahead"],
)
def test_what_no_server_could_mean_is_garbage(absurd: AnyMessage) -> None:
    with pytest.raises(Garbage, match="out of range"):
        decode(encode(2, [Envelope(7, 3, absurd)]))


@given(st.binary(max_size=200))
def test_noise_is_garbage_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(Garbage):
        decode(noise)


@given(st.data())
def test_a_damaged_frame_is_garbage_or_what_was_sent(data: st.DataObject) -> None:
    sent = (Envelope(7, 3, append(LogId(2, 1, 5))),)
    frame = bytearray(encode(2, sent))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        _, envelopes = decode(bytes(frame))
    except Garbage:
        return
    assert envelopes == sent


NAMELESS = 2**53
VOTE = Vote(2, 1, committed=True)
ID = LogId(1, 1, 5)
MEMBERS = Membership.of({1, 2})


@pytest.mark.parametrize(
    "message",
    [
        TimeoutNow(vote=Vote(NAMELESS, 1)),
        TimeoutNow(vote=Vote(2, -1)),
        VoteRequest(vote=VOTE, last=LogId(1, 1, NAMELESS)),
        PreVoteRequest(vote=VOTE, last=LogId(-1, 1, 5)),
        VoteResponse(vote=VOTE, asked=Vote(NAMELESS), granted=True, last=ID),
        PreVoteResponse(vote=VOTE, asked=VOTE, granted=True, last=LogId(1, -1, 5)),
        AppendRequest(vote=VOTE, prev=ID, commit=-1),
        AppendRequest(vote=VOTE, prev=ID, commit=NAMELESS),
        AppendRequest(vote=VOTE, prev=ID, round=-1),
        AppendRequest(vote=VOTE, prev=ID, round=2**63),
        AppendRequest(vote=VOTE, prev=LogId(1, NAMELESS, 5)),
        AppendRequest(vote=VOTE, prev=ID, entries=(Entry(LogId(1, -1, 6), Noop()),)),
        AppendRequest(vote=VOTE, prev=LogId(1, 1, 2**53 - 1), entries=(Entry(LogId(1, 1, 2**53), Noop()),)),
        AppendAccepted(vote=VOTE, matched=LogId(1, 1, -5)),
        AppendAccepted(vote=VOTE, matched=ID, round=NAMELESS),
        AppendRefused(vote=VOTE, prev=ID, hint=LogId(1, 1, -1)),
        AppendRefused(vote=VOTE, prev=LogId(1, 1, NAMELESS), hint=ID),
        HeartbeatRequest(vote=VOTE, matched=ID, round=-1),
        HeartbeatRequest(vote=VOTE, matched=LogId(1, 1, -1)),
        HeartbeatResponse(vote=VOTE, round=NAMELESS),
        SnapshotResponse(vote=VOTE, last=ID, offset=-1),
        SnapshotResponse(vote=VOTE, last=LogId(1, 1, NAMELESS), offset=1),
        SnapshotRequest(vote=VOTE, meta=SnapshotMeta(ID, MEMBERS, size=-1), offset=0, data=b"", done=True),
        SnapshotRequest(vote=VOTE, meta=SnapshotMeta(ID, MEMBERS, size=NAMELESS), offset=0, data=b"", done=True),
        SnapshotRequest(vote=VOTE, meta=SnapshotMeta(ID, MEMBERS, checksum=-1), offset=0, data=b"", done=True),
        SnapshotRequest(vote=VOTE, meta=SnapshotMeta(ID, MEMBERS, LogId(1, 1, 6)), offset=0, data=b"", done=True),
        SnapshotRequest(vote=VOTE, meta=SnapshotMeta(ID, MEMBERS), offset=0, data=b"", done=True, round=-1),
        SnapshotRequest(vote=VOTE, meta=SnapshotMeta(ID, MEMBERS), offset=1, data=b"", done=True),
    ],
)
def test_a_message_with_a_number_beyond_reason_is_garbage(message: AnyMessage) -> None:
    with pytest.raises(Garbage, match="out of range"):
        decode(encode(1, [Envelope(1, 1, message)]))


@pytest.mark.parametrize("numbers", [(-1, 1), (1, -1), (2**63, 1), (1, 2**64 - 1)])
def test_a_message_with_a_number_that_no_table_holds_is_garbage(numbers: tuple[int, int]) -> None:
    with pytest.raises(Garbage, match="out of range"):
        decode(encode(1, [Envelope(*numbers, TimeoutNow(vote=VOTE))]))


@pytest.mark.parametrize("node", [0, -1, 2**53, 2**63, "a", None, 1.5])
def test_a_membership_that_names_what_is_no_node_is_garbage(node: Any) -> None:
    honest = encode(1, [Envelope(1, 1, AppendRequest(vote=VOTE, prev=ID, entries=(Entry(LogId(2, 1, 6), Noop()),)))])
    frame = msgspec.msgpack.decode(honest)
    frame[3][0][2][3][0][1] = ["Configuration", {"configs": [[node]], "nodes": {}, "retain": False}]
    body = msgspec.msgpack.encode(frame[3])
    frame[2] = zlib.crc32(body, zlib.crc32((1).to_bytes(8, "big")))
    with pytest.raises(Garbage):
        decode(msgspec.msgpack.encode(frame))
