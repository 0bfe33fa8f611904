"""The past of a simulation: its actions with their times, and checkpoints of the world to replay from."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from pyraft_lab.arguments import LARGEST, integer, seconds
from pyraft_lab.engine.rules import Rules
from pyraft_lab.errors import RecordNotFound
from pyraft_lab.sim.apply import apply
from pyraft_lab.sim.conditions import SECOND, Micros
from pyraft_lab.sim.world import Action, World
from pyraft_lab.trace.record import EventId, Record

STRIDE = 128
"""Events between two checkpoints; a fork into the past replays no more than these."""


class ExternalAction(Struct, frozen=True, array_like=True):
    """A decision from outside, with the number of events before it and its time."""

    events: EventId
    now: Micros
    action: Action


class PastMoment(Struct, frozen=True, gc=False):
    """An action and its time; with a checkpoint it is enough to replay any later world."""

    now: Micros
    action: Action
    decided: bool


class Timeline:
    """The past of one branch; branches share their checkpoints."""

    def __init__(self, origin: World) -> None:
        self._moments: list[PastMoment] = []
        self._checkpoints: dict[EventId, World] = {0: origin}

    @property
    def origin(self) -> World:
        """The world before the first event."""
        return self._checkpoints[0]

    @property
    def actions(self) -> tuple[ExternalAction, ...]:
        """All decisions from outside; with the origin they determine the whole run."""
        return tuple(
            ExternalAction(event, past.now, past.action) for event, past in enumerate(self._moments) if past.decided
        )

    @property
    def turns(self) -> tuple[tuple[EventId, Rules], ...]:
        """The changes of rules: after how many events, and which rules."""
        tables = [(events, world.setting.engine.rules) for events, world in sorted(self._checkpoints.items())]
        return tuple(later for earlier, later in pairwise(tables) if later[1] != earlier[1])

    def add(self, action: Action, world: World, *, decided: bool) -> None:
        """Record an action and the world after it."""
        self._moments.append(PastMoment(world.now, action, decided))
        if world.events % STRIDE == 0:
            self.add_checkpoint(world)

    def add_checkpoint(self, world: World) -> None:
        """Keep a world as a checkpoint, from which later ones are replayed."""
        self._checkpoints[world.events] = world

    def branch(self, events: EventId) -> "Timeline":
        """An independent timeline with the same first ``events`` events."""
        twin = Timeline(self.origin)
        twin._moments = self._moments[:events]
        twin._checkpoints = {count: kept for count, kept in self._checkpoints.items() if count <= events}
        return twin

    def events_at(self, at: Record | EventId | float) -> EventId:
        """The number of events right after a record, an event id or a time (a float, virtual seconds).

        Raises ``RecordNotFound`` if it is not in the past, ``ConfigError`` for any other value.
        """
        if isinstance(at, float):
            return bisect_right(self._moments, round(seconds("at", at) * SECOND), key=lambda past: past.now)
        event = at.id if isinstance(at, Record) else integer("at", at, -LARGEST, what="a record, its number or a time")
        if not 0 <= event < len(self._moments):
            raise RecordNotFound(f"there is no event {event} to fork from; kept are 0 to {len(self._moments) - 1}")
        return event + 1

    @property
    def past(self) -> Sequence[PastMoment]:
        """The past actions and their times, one per record."""
        return self._moments

    def worlds(self, start: EventId, stop: EventId) -> Iterator[World]:
        """Replay and yield the world right before event ``start``, then after each event up to ``stop - 1``."""
        world = self.world_at(start)
        yield world
        for past in self._moments[start:stop]:
            world = apply(world, past.action, past.now).world
            yield world

    def world_at(self, events: EventId) -> World:
        """The world after ``events`` events."""
        world = self._checkpoints[
            max(count for count in range(events // STRIDE * STRIDE, events + 1) if count in self._checkpoints)
        ]
        for past in self._moments[world.events : events]:
            world = apply(world, past.action, past.now).world
        return world
