"""The working copy of a world during one action: its agenda, messages and clock."""

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.state import Step
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.errors import PyraftError
from pyraft_lab.pending_requests import Outcome
from pyraft_lab.sim.asked import Asked
from pyraft_lab.sim.conditions import SECOND, Micros, Purpose, Weather, chance, sample
from pyraft_lab.sim.disk import WaitingForSync
from pyraft_lab.sim.world import Deliver, Pending, ScheduledAction, World
from pyraft_lab.trace.record import EventId, Fate, Flight, Kind, MessageId, Record, Reply, record_step, reply


class Completed(Struct, frozen=True, kw_only=True):
    """A completed call, with its value or its error."""

    request: RequestId
    began: EventId
    value: Any = None
    error: PyraftError | None = None


class Answered(Struct, frozen=True):
    """A node's reply to a client."""

    value: Any


class Refused(Struct, frozen=True):
    """A node's error, or that of the connection to it."""

    error: PyraftError


class Sender(Protocol):
    """A sending server: its id, its number of sent messages, and the last arrival time on each of its links."""

    id: NodeId
    sent: int
    arrivals: Mapping[NodeId, Micros]


class Transition:
    """The only mutable object of a world; it exists for one action, from one world to the next."""

    __slots__ = (  # every event makes one: slots halve that
        *(
            "world",
            "id",
            "now",
            "time",
            "nodes",
            "event_queue",
            "flights",
            "calls",
            "changes",
            "clients",
            "cuts",
            "held",
            "weather",
            "delayed",
        ),
        *("asked", "own_requests", "answers", "acting", "sequence", "messages", "requests", "sent", "ended"),
        *("outcomes", "step", "kind", "node", "cause", "peer", "message", "detail"),
    )

    def __init__(self, world: World) -> None:
        self.world = world
        self.id: EventId = world.events
        """The id that the record of this action will have."""
        self.start(world.now)
        self.nodes = dict(world.nodes)
        self.event_queue = list(world.event_queue)
        self.flights = dict(world.flights)
        self.calls, self.changes = world.calls, world.changes
        self.clients, self.asked = world.clients, world.asked
        self.own_requests = world.own_requests
        self.cuts, self.held, self.weather = world.cuts, world.held, world.weather
        self.delayed = world.delayed
        self.sequence, self.messages, self.requests = world.sequence, world.messages, world.requests
        self.sent: list[Flight] = []
        self.ended: list[Completed] = []
        self.answers: list[tuple[Asked, Answered | Refused]] = []
        self.outcomes: list[tuple[NodeId, Outcome]] = []
        self.step: Step | None = None
        self.acting: int | None = None
        self.kind, self.node = Kind.CALL, 0
        self.cause: EventId | None = None
        self.peer: NodeId | None = None
        self.message: MessageId | None = None
        self.detail = ""

    def describe(
        self,
        kind: Kind,
        node: NodeId = 0,
        *,
        peer: NodeId | None = None,
        message: MessageId | None = None,
        detail: str = "",
    ) -> None:
        """Set what the record of this action shows: kind, node, peer, message and detail."""
        self.kind, self.node, self.peer, self.message, self.detail = kind, node, peer, message, detail

    def draw(self, purpose: Purpose, place: int, count: int) -> float:
        """A random number in [0, 1) that no other draw of this world uses."""
        return chance(self.world.setting.seed, purpose, place, count)

    def start(self, now: Micros) -> None:
        """Set the time of the action; its record and all its messages share the same number of seconds."""
        self.now, self.time = now, now / SECOND

    # The agenda

    def schedule(self, delay: Micros, action: Pending, cause: EventId | None = None) -> ScheduledAction:
        """Put an action on the agenda, ``delay`` microseconds from now."""
        due = ScheduledAction(self.now + max(delay, 0), self.sequence, action, self.id if cause is None else cause)
        self.sequence += 1
        insort(self.event_queue, due)
        return due

    def cancel(self, due: ScheduledAction) -> None:
        """Remove a scheduled action from the agenda; one that has run is no longer there."""
        place = bisect_left(self.event_queue, due)
        if place < len(self.event_queue) and self.event_queue[place] == due:
            del self.event_queue[place]

    def reschedule(self, due: ScheduledAction, delay: Micros) -> ScheduledAction:
        """Move a scheduled action to ``delay`` microseconds from now."""
        self.cancel(due)
        return self.schedule(delay, due.action, due.cause)

    def unschedule(self, action: Pending) -> ScheduledAction | None:
        """Remove the first scheduled entry with this action; ``None`` if there is none."""
        for place, due in enumerate(self.event_queue):
            if due.action == action:
                del self.event_queue[place]
                return due
        return None

    # The network

    def send(self, src: Sender, leaving: WaitingForSync) -> None:
        """Send a message; the weather decides whether, when and how often it arrives."""
        src.sent += 1
        id, weather, due = self._number(), self.weather.on(src.id, leaving.dst), None
        fate = self._fate(src, leaving.dst, weather)
        if fate is Fate.FLYING:
            delay = self._arrival(src, leaving.dst, weather)
            due = self.schedule(delay, Deliver(id), leaving.cause).time / SECOND
        sent, cause, message = self.time, leaving.cause, leaving.message
        flight = Flight(id, src.id, leaving.dst, message, sent, cause, due, leaving.reply_to, fate=fate)
        self.sent.append(flight)
        if fate is Fate.FLYING:
            self.flights[id] = flight
            if weather.duplicate and self._happens(weather.duplicate, Purpose.DUPLICATE, src):
                self.copy(flight, sample(weather.latency, self.draw(Purpose.COPY, src.id, src.sent)))

    def _fate(self, src: Sender, dst: NodeId, weather: Weather) -> Fate:
        if (src.id, dst) in self.cuts:
            return Fate.CUT
        return Fate.LOST if weather.loss and self._happens(weather.loss, Purpose.LOSS, src) else Fate.FLYING

    def copy(self, flight: Flight, delay: Micros) -> None:
        """Send a duplicate of a message; it arrives after ``delay`` microseconds."""
        id, original = self._number(), flight.copy_of or flight.id
        due = self.schedule(delay, Deliver(id), self.id).time / SECOND
        self.flights[id] = replace(flight, id=id, copy_of=original, sent=self.time, cause=self.id, due=due)
        self.sent.append(self.flights[id])

    def _number(self) -> MessageId:
        self.messages += 1
        return self.messages

    def _happens(self, likely: float, purpose: Purpose, src: Sender) -> bool:
        return self.draw(purpose, src.id, src.sent) < likely

    def _arrival(self, src: Sender, dst: NodeId, weather: Weather) -> Micros:
        """The travel time of a message; it arrives after earlier ones on its link, unless it is reordered."""
        delay = sample(weather.latency, self.draw(Purpose.LATENCY, src.id, src.sent))
        if weather.reorder and self._happens(weather.reorder, Purpose.REORDER, src):
            return delay + sample((0.0, 2 * weather.latency[-1]), self.draw(Purpose.COPY, src.id, src.sent))
        arrival = max(self.now + delay, src.arrivals.get(dst, 0))
        src.arrivals = {**src.arrivals, dst: arrival}
        return arrival - self.now

    # The end

    def world_after(self) -> World:
        """The world after the action."""
        return World(  # in order and without names, as each action makes one
            self.world.setting,
            self.weather,
            self.nodes,
            self.now,
            tuple(self.event_queue),
            self.flights,
            self.cuts,
            self.held,
            self.delayed,
            self.calls,
            self.changes,
            self.clients,
            self.asked,
            self.world.events + 1,
            self.sequence,
            self.messages,
            self.requests,
            self.own_requests,
        )

    def record(self) -> Record:
        """The record of the action."""
        replies = tuple(map(_reply, self.ended)) if self.ended else ()
        if self.step is not None:
            return record_step(
                self.step,
                id=self.id,
                time=self.time,
                kind=self.kind,
                cause=self.cause,
                message=self.message,
                sent=self.sent,
                replies=replies,
                detail=self.detail,
            )
        return Record(
            id=self.id,
            time=self.time,
            kind=self.kind,
            node=self.node,
            cause=self.cause,
            peer=self.peer,
            message=self.message,
            sent=tuple(self.sent),
            replies=replies,
            detail=self.detail,
        )


def _reply(ended: Completed) -> Reply:
    return reply(ended.request, ended.value if ended.error is None else ended.error)
