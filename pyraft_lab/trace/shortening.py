"""Lines without megabytes: of a large command they hold its form, and how long its texts are.

A record names an entry up to six times (proposed, appended, sent to each follower, applied), so that a published value
of ten megabytes would cost a hundred.
"""

from typing import Any, TypeVar

from msgspec.structs import replace

from pyraft_lab.command import shortened
from pyraft_lab.engine.commands import Append, Apply, Command, Send
from pyraft_lab.engine.events import Event, Propose, Receive
from pyraft_lab.engine.log import Entry, Normal, Payload, byte_size
from pyraft_lab.engine.messages import AnyMessage, AppendRequest
from pyraft_lab.engine.state import Disk, RaftState
from pyraft_lab.trace.files import Line, Writer
from pyraft_lab.trace.record import Flight, Reply

LARGE = 16 << 10
"""Bytes of the largest command that is written whole."""
Entries = tuple[Entry, ...]
P = TypeVar("P", bound=Payload)


class ShortWriter(Writer):
    """Makes lines in which large commands are shortened."""

    def _encode(self, line: Line) -> bytes:
        line.event = None if line.event is None else _event(line.event)
        line.commands = tuple(map(_command, line.commands))
        line.sent, line.replies = tuple(map(_flight, line.sent)), tuple(map(_reply, line.replies))
        line.before, line.state = _state(line.before), _state(line.state)
        changed: Any = line.changed
        if isinstance(getattr(changed, "disk", None), Disk):
            changed.disk = _disk(changed.disk)
        return super()._encode(line)


def _event(event: Event) -> Event:
    match event:
        case Propose(payloads=payloads):
            return replace(event, payloads=tuple(map(_payload, payloads)))
        case Receive(src, message):
            return Receive(src, _message(message))
        case _:
            return event


def _command(command: Command) -> Command:
    match command:
        case Append(entries):
            return Append(_entries(entries))
        case Apply(entries):
            return Apply(_entries(entries))
        case Send(dst, message, durable):
            return Send(dst, _message(message), durable)
        case _:
            return command


def _flight(flight: Flight) -> Flight:
    message = _message(flight.message)
    return flight if message is flight.message else replace(flight, message=message)


def _reply(reply: Reply) -> Reply:
    if isinstance(reply.value, (str, bytes)) and len(reply.value) > LARGE:
        return replace(reply, value=f"{len(reply.value)} bytes")
    return reply


def _message(message: AnyMessage) -> AnyMessage:
    if isinstance(message, AppendRequest) and byte_size(message.entries) > LARGE:
        return replace(message, entries=_entries(message.entries))
    return message


def _state(state: RaftState | None) -> RaftState | None:
    return None if state is None else replace(state, disk=_disk(state.disk))


def _disk(disk: Disk) -> Disk:
    chunks = tuple([replace(chunk, entries=_entries(chunk.entries)) for chunk in disk.log.chunks])
    return replace(disk, log=replace(disk.log, chunks=chunks))


def _entries(entries: Entries) -> Entries:
    if byte_size(entries) <= LARGE:
        return entries
    return tuple([Entry(entry.id, _payload(entry.payload)) for entry in entries])


def _payload(payload: P) -> P | Normal:
    if isinstance(payload, Normal) and len(payload.data) > LARGE:
        return Normal(shortened(payload.data))
    return payload
