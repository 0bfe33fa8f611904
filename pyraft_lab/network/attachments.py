"""Large data travels beside the message that holds it: it is never copied into a frame.

A message is *detached*: its large data is replaced by nothing, and the data themselves go with it as attachments, in
order. In memory the receiver gets the same bytes; over MQTT they travel in parts (:mod:`pyraft_lab.network.parts`).
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.messages import AnyMessage, AppendRequest, SnapshotRequest
from pyraft_lab.network.codec import Envelope, Garbage, is_valid

LARGE_DATA = 64 << 10
"""Bytes of the largest data that are a part of the frame."""


def detach(envelopes: Sequence[Envelope]) -> tuple[Sequence[Envelope], list[bytes]]:
    """The messages without their large data, and these data, in order."""
    if max([envelope.size for envelope in envelopes], default=0) <= LARGE_DATA:
        return envelopes, []
    data: list[bytes] = []
    return [replace(envelope, message=_detached(envelope.message, data)) for envelope in envelopes], data


def attach(envelopes: Sequence[Envelope], data: Sequence[bytes]) -> Sequence[Envelope]:
    """The messages with their data again; raises ``Garbage`` if there are more or fewer data than gaps.

    >>> from pyraft_lab.engine.types import LogId, Vote
    >>> entries = tuple(Entry(LogId(1, 1, index), Normal(bytes(size))) for index, size in ((1, 3), (2, 70_000)))
    >>> sent = [Envelope(1, 0, AppendRequest(vote=Vote(1, 1, True), prev=LogId(0, 0, 0), entries=entries))]
    >>> bare, data = detach(sent)
    >>> [len(entry.payload.data) for entry in bare[0].message.entries], attach(bare, data) == sent
    ([3, 0], True)
    """
    if not data:
        return envelopes
    left = iter(data)
    try:
        whole = [replace(envelope, message=_attached(envelope.message, left)) for envelope in envelopes]
    except StopIteration:
        raise Garbage("an attachment is missing") from None
    if next(left, None) is not None:
        raise Garbage("there are more attachments than messages need")
    if not all(is_valid(envelope.message) for envelope in whole):
        raise Garbage("an attachment is too long")
    return whole


def _is_gap(data: bytes) -> bool:
    """Whether data are an attachment, or stand where one belongs: empty data count as one too."""
    return not data or len(data) > LARGE_DATA


def _detached(message: AnyMessage, data: list[bytes]) -> AnyMessage:
    match message:
        case AppendRequest(entries=entries):
            return replace(message, entries=tuple([_detached_entry(entry, data) for entry in entries]))
        case SnapshotRequest(data=chunk) if _is_gap(chunk):
            data.append(chunk)
            return replace(message, data=b"")
        case _:
            return message


def _detached_entry(entry: Entry, data: list[bytes]) -> Entry:
    match entry.payload:
        case Normal(command) if _is_gap(command):
            data.append(command)
            return Entry(entry.id, Normal(b""))
        case _:
            return entry


def _attached(message: AnyMessage, data: Iterator[bytes]) -> AnyMessage:
    match message:
        case AppendRequest(entries=entries):
            return replace(message, entries=tuple([_attached_entry(entry, data) for entry in entries]))
        case SnapshotRequest(data=b""):
            return replace(message, data=next(data))
        case _:
            return message


def _attached_entry(entry: Entry, data: Iterator[bytes]) -> Entry:
    return Entry(entry.id, Normal(next(data))) if entry.payload == Normal(b"") else entry
