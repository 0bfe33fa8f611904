"""The past of a simulation: what was done when, and a world kept every so often, so that no moment is ever lost."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from pyraft_lab.engine.rules import Rules
from pyraft_lab.errors import RecordNotFound
from pyraft_lab.sim.apply import apply
from pyraft_lab.sim.conditions import SECOND, Micros
from pyraft_lab.sim.world import Action, World
from pyraft_lab.trace.record import EventId, Record

STRIDE = 64
"""Every so many events the world is kept, so that a fork into the past replays no more than that."""


class ExternalAction(Struct, frozen=True, array_like=True):
    """What somebody decided, right after so many events and at that time."""

    events: EventId
    now: Micros
    action: Action


class PastMoment(NamedTuple):
    """What was done when; together with a kept world it leads to any later one."""

    now: Micros
    action: Action
    decided: bool


class Timeline:
    """One branch of time; branches share their worlds."""

    def __init__(self, origin: World) -> None:
        self._moments: list[PastMoment] = []
        self._checkpoints: dict[EventId, World] = {0: origin}

    @property
    def origin(self) -> World:
        """The world before anything happened in it."""
        return self._checkpoints[0]

    @property
    def actions(self) -> tuple[ExternalAction, ...]:
        """Everything that was decided from outside; with the origin it tells all."""
        return tuple(
            ExternalAction(event, past.now, past.action) for event, past in enumerate(self._moments) if past.decided
        )

    @property
    def turns(self) -> tuple[tuple[EventId, Rules], ...]:
        """After how many events other rules were followed from there on, and which."""
        tables = [(events, world.setting.engine.rules) for events, world in sorted(self._checkpoints.items())]
        return tuple(later for earlier, later in pairwise(tables) if later[1] != earlier[1])

    def add(self, action: Action, world: World, *, decided: bool) -> None:
        """An action has led to this world."""
        self._moments.append(PastMoment(world.now, action, decided))
        if world.events % STRIDE == 0:
            self.add_checkpoint(world)

    def add_checkpoint(self, world: World) -> None:
        """Keep a world, so that what follows is replayed from it."""
        self._checkpoints[world.events] = world

    def branch(self, events: EventId) -> "Timeline":
        """A timeline of its own, with the same first events."""
        twin = Timeline(self.origin)
        twin._moments = self._moments[:events]
        twin._checkpoints = {count: kept for count, kept in self._checkpoints.items() if count <= events}
        return twin

    def events_at(self, at: Record | EventId | float) -> EventId:
        """How many events had happened right after a record, an event or a time of the past (a float)."""
        if isinstance(at, float):
            return bisect_right(self._moments, round(at * SECOND), key=lambda past: past.now)
        event = at.id if isinstance(at, Record) else at
        if not 0 <= event < len(self._moments):
            raise RecordNotFound(f"there is no event {event} to fork from; kept are 0 to {len(self._moments) - 1}")
        return event + 1

    @property
    def past(self) -> Sequence[PastMoment]:
        """What was done, and when: one line for each record."""
        return self._moments

    def worlds(self, start: EventId, stop: EventId) -> Iterator[World]:
        """The world right before event ``start``, then after it and each up to ``stop - 1``."""
        world = self.world_at(start)
        yield world
        for past in self._moments[start:stop]:
            world = apply(world, past.action, past.now).world
            yield world

    def world_at(self, events: EventId) -> World:
        """The world after so many events."""
        world = self._checkpoints[
            max(count for count in range(events // STRIDE * STRIDE, events + 1) if count in self._checkpoints)
        ]
        for past in self._moments[world.events : events]:
            world = apply(world, past.action, past.now).world
        return world
