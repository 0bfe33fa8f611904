"""Records read from a file share what is equal in them: a message, its entries, a timer, a log, a peer's progress.

In a running cluster a message is one object: in the record that sent it, in the command, in the record of its arrival.
In a file it is written out each time. Made one again, a loaded trace takes a fraction of the memory. Much of what
remains is equal, too: followers are sent the same, set the same timers, and come to hold the same log.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from msgspec.structs import force_setattr

from pyraft_lab.engine.commands import Append, Command, Send, SetTimer
from pyraft_lab.engine.events import Event, Fire, Receive, Stored
from pyraft_lab.engine.log import Log
from pyraft_lab.engine.messages import AnyMessage, AppendRequest, SnapshotRequest
from pyraft_lab.engine.state import Leader, Role
from pyraft_lab.engine.types import LogId
from pyraft_lab.trace.record import EventId, Flight, MessageId

MAX_KNOWN = 1024
"""How many values of a kind are remembered; a follower that is further behind gets copies of its own."""
MAX_FLYING = 1 << 16
"""How many messages are awaited: in a trace that is followed for days, many are lost."""
Place = tuple[LogId, int, int]
"""Where a log ends, where it starts, and its bytes."""
Sending = tuple[EventId, float, MessageId | None]
"""The record in which messages left: its number, its time, and the message that had arrived."""
AnyValue = TypeVar("AnyValue")


class Known(dict[Any, Any]):
    """Gives for a value the first that was equal to it; when there are too many, it begins again."""

    def __missing__(self, value: AnyValue) -> AnyValue:
        if len(self) >= MAX_KNOWN:
            self.clear()
        self[value] = value
        return value


class Sharing:
    """What earlier records of a file hold, to be used again in later ones.

    Values that were just decoded, and that nobody else has, get shared parts in place: to copy them would take longer.
    """

    def __init__(self) -> None:
        self.known = Known()
        self._flying: dict[MessageId, Flight] = {}
        self._logs: dict[Place, Log] = {}

    def commands(self, commands: tuple[Command, ...]) -> tuple[Command, ...]:
        """The commands of a step, with known timers, messages and entries."""
        return tuple([self._command(one) for one in commands]) if commands else ()

    def sent(self, flights: tuple[Flight, ...], commands: Sequence[Command], record: Sending) -> tuple[Flight, ...]:
        """The messages that left, each the one in its command or, if it waited for the disk, a known one."""
        if not flights:
            return ()
        sends = {one.dst: one.message for one in commands if type(one) is Send}
        for flight in flights:
            message, same = flight.message, sends.get(flight.dst)
            is_same = same is not None and same == message
            force_setattr(flight, "message", same if is_same else self._message(message))
            _share_numbers(flight, record)
            self._flying[flight.id] = flight
            if len(self._flying) > MAX_FLYING:
                del self._flying[next(iter(self._flying))]
        return flights

    def event(self, event: Event) -> Event:
        """The event, or an equal one of those that are often the same."""
        return self.known[event] if type(event) is Stored or type(event) is Fire else event

    def arrived(self, event: Event | None, message: MessageId | None) -> Flight | None:
        """The message that a record is about, as it was sent; if it arrives, its event has that very message."""
        if type(event) is not Receive:
            return self._flying.get(message or 0)
        flight = self._flying.pop(message or 0, None)
        if flight is not None and flight.message == event.message:
            force_setattr(event, "message", flight.message)
        return flight

    def log(self, log: Log) -> Log:
        """The log, or an equal one: to compare two is quick, since they share entries and chunks."""
        place = log.last, log.start.index, log.byte_size
        known = self._logs.get(place)
        if known is not None and known == log:
            return known
        if len(self._logs) >= MAX_KNOWN:
            self._logs.clear()
        self._logs[place] = log
        return log

    def _command(self, command: Command) -> Command:
        # by type: a match takes ten times as long to say no
        if type(command) is SetTimer:
            command = self.known[command]
        elif type(command) is Send:
            force_setattr(command, "message", self._message(command.message))
        elif type(command) is Append:
            force_setattr(command, "entries", self.known[command.entries])
        return command

    def _message(self, message: AnyMessage) -> AnyMessage:
        if type(message) is AppendRequest and message.entries:
            force_setattr(message, "entries", self.known[message.entries])
        return message if type(message) is SnapshotRequest else cast("AnyMessage", self.known[message])


def _share_numbers(flight: Flight, record: Sending) -> None:
    """Let a message have the very numbers of the record in which it left: each takes as much memory as three fields."""
    id, time, arrived = record
    if flight.cause == id:
        force_setattr(flight, "cause", id)
    if flight.sent == time:
        force_setattr(flight, "sent", time)
    if arrived is not None and flight.reply_to == arrived:
        force_setattr(flight, "reply_to", arrived)


def role_like(before: Role, after: Role) -> Role:
    """A leader's role with the progress records of ``before`` wherever they are equal."""
    if type(before) is not Leader or type(after) is not Leader:
        return after
    if before.progress == after.progress:
        force_setattr(after, "progress", before.progress)
    elif len(before.progress) == len(after.progress):
        shared = [old if old == new else new for old, new in zip(before.progress, after.progress, strict=True)]
        force_setattr(after, "progress", tuple(shared))
    return after


@contextmanager
def without_collector() -> Iterator[None]:
    """Leave Python's cycle collector off while very many values are made: it would look through all of them often."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
