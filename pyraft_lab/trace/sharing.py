"""Records read from a file share what they shared when they were written: a message, its entries, a peer's progress.

In a running cluster a message is one object: in the record that sent it, in the command, in the record of its arrival.
In a file it is written out each time. Made one again, a loaded trace takes a fraction of the memory.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import force_setattr

from pyraft_lab.engine.commands import Append, Command, Send
from pyraft_lab.engine.events import Event, Receive
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.messages import AnyMessage, AppendRequest
from pyraft_lab.engine.state import Leader, Role
from pyraft_lab.trace.record import Flight, MessageId

MAX_ENTRIES = 4096
"""How many groups of entries are remembered; a follower that is further behind gets copies of its own."""


class Sharing:
    """What earlier records of a file hold, to be used again in later ones.

    Values that were just decoded, and that nobody else has, get shared parts in place: to copy them would take longer.
    """

    def __init__(self) -> None:
        self._flying: dict[MessageId, AnyMessage] = {}
        self._entries: dict[tuple[object, int], tuple[Entry, ...]] = {}

    def commands(self, commands: tuple[Command, ...]) -> tuple[Command, ...]:
        """The commands of a step, with known entries."""
        for one in commands:
            if type(one) is Append:
                force_setattr(one, "entries", self._known(one.entries))
            elif type(one) is Send and type(one.message) is AppendRequest:
                force_setattr(one.message, "entries", self._known(one.message.entries))
        return commands

    def sent(self, flights: tuple[Flight, ...], commands: Sequence[Command]) -> tuple[Flight, ...]:
        """The messages that left, each the one in its command or, if it waited for the disk, with known entries."""
        if not flights:
            return ()
        sends = {one.dst: one.message for one in commands if type(one) is Send}
        for flight in flights:
            message, same = flight.message, sends.get(flight.dst)
            if same is not None and same == message:
                force_setattr(flight, "message", same)
            elif type(message) is AppendRequest:
                force_setattr(message, "entries", self._known(message.entries))
            self._flying[flight.id] = flight.message
        return flights

    def event(self, event: Event, message: MessageId | None) -> Event:
        """The same event; if its message equals the one in its sender's record, both records share that object."""
        if type(event) is not Receive:
            return event
        sent = self._flying.pop(message or 0, None)
        if sent is not None and sent == event.message:
            force_setattr(event, "message", sent)
        return event

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
    if len(before.progress) == len(after.progress):
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
