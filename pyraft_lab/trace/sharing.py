"""Records read from a file share what they shared when they were written: a message, its entries, a peer's progress.

In a running cluster a message is one object: in the record that sent it, in the command, in the record of its arrival.
In a file it is written out each time. Made one again, a loaded trace takes a fraction of the memory.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from pyraft_lab.engine.commands import Append, Command, Send
from pyraft_lab.engine.events import Event, Receive
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.messages import AnyMessage, AppendRequest
from pyraft_lab.engine.state import Leader, Role
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.record import Flight, MessageId

MAX_ENTRIES = 4096
"""How many groups of entries are remembered; a follower that is further behind gets copies of its own."""


class Sharing:
    """What earlier records of a file hold, to be used again in later ones."""

    def __init__(self) -> None:
        self._flying: dict[MessageId, AnyMessage] = {}
        self._entries: dict[tuple[object, int], tuple[Entry, ...]] = {}

    def commands(self, commands: tuple[Command, ...]) -> tuple[Command, ...]:
        """The commands of a step, with known entries."""
        return tuple([self._command(one) for one in commands]) if commands else ()

    def sent(self, flights: tuple[Flight, ...], commands: Sequence[Command]) -> tuple[Flight, ...]:
        """The messages that left, each the one in its command or, if it waited for the disk, with known entries."""
        if not flights:
            return ()
        sends = {one.dst: one.message for one in commands if type(one) is Send}
        return tuple([self._flight(one, sends) for one in flights])

    def event(self, event: Event, message: MessageId | None) -> Event:
        """The same event; if its message equals the one in its sender's record, both records share that object."""
        if type(event) is not Receive:
            return event
        sent = self._flying.pop(message or 0, None)
        if sent is not None and sent == event.message:
            return Receive(event.src, sent)
        return event

    def _command(self, command: Command) -> Command:
        if type(command) is Append:
            return Append(self._known(command.entries))
        if type(command) is Send and type(command.message) is AppendRequest and command.message.entries:
            return replace(command, message=self._with_known_entries(command.message))
        return command

    def _flight(self, flight: Flight, sends: dict[NodeId, AnyMessage]) -> Flight:
        message = sends.get(flight.dst)
        if message is None or message != flight.message:
            message = flight.message
            message = self._with_known_entries(message) if type(message) is AppendRequest else message
        self._flying[flight.id] = message
        return flight if message is flight.message else replace(flight, message=message)

    def _with_known_entries(self, message: AppendRequest) -> AppendRequest:
        known = self._known(message.entries)
        return message if known is message.entries else replace(message, entries=known)

    def _known(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        if not entries:
            return entries
        place = (entries[0].id, len(entries))
        known = self._entries.get(place)
        if known is not None and known == entries:
            return known
        if len(self._entries) >= MAX_ENTRIES:
            self._entries.clear()
        self._entries[place] = entries
        return entries


def role_like(before: Role, after: Role) -> Role:
    """A leader's role with the progress records of ``before`` wherever they are equal."""
    if type(before) is not Leader or type(after) is not Leader:
        return after
    old = {one.peer: one for one in before.progress}
    shared = tuple([old[one.peer] if old.get(one.peer) == one else one for one in after.progress])
    return replace(after, progress=shared)


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
