"""A run for the drawing: chunks of 64 events, each with one whole scene and then only changes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from pyraft_lab.engine.commands import Append
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.lab.cluster_view import ClusterView, Projector
from pyraft_lab.lab.explain import explain_event, ruling, source, written
from pyraft_lab.lab.replay import ENDS_FLIGHT, after, ends_of, undeliverable_reason
from pyraft_lab.lab.scene import scene, with_changes
from pyraft_lab.lab.wire import Chunk, Gone, SceneEvent
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.annotate.table import LABELS
from pyraft_lab.trace.record import EventId, Fate, Flight, MessageId, Record
from pyraft_lab.trace.trace import Trace

CHUNK = 64
"""Events in one chunk: the distance between the worlds that a simulation keeps."""
NEWEST = 40
"""The number of newest entries of each log that a chunk describes, besides those appended in it."""
NOTHING = ClusterView()


class Recording(ABC):
    """Records, and the view after each of them."""

    engine: Engine

    @property
    @abstractmethod
    def trace(self) -> Trace:
        """What happened."""

    @abstractmethod
    def views(self, start: EventId, stop: EventId) -> Iterator[ClusterView]:
        """The views right before event ``start``, and after each event up to ``stop - 1``: one more than events."""

    def __len__(self) -> int:
        return len(self.trace)

    def view(self, event: EventId) -> ClusterView:
        """The view right after an event; before all events if it is negative."""
        return list(self.views(max(event, 0), event + 1))[-1]

    def chunk(self, number: int) -> Chunk:
        """Chunk ``number``, counted from 0."""
        start, stop = number * CHUNK, min((number + 1) * CHUNK, len(self))
        moments = list(self.views(start, stop))
        records = [self.trace.record(event) for event in range(start, stop)]
        engine = ruling(self.engine, records)
        events = tuple(self._events(records, moments, engine))
        labels = sorted({event.rule for event in events if isinstance(event.rule, str)})
        return Chunk(
            number=number,
            key=scene(moments[0]),
            events=events,
            book=dict(written(entry) for entry in _entries(moments[0], records)),
            rules={label: source(engine, LABELS[label]) for label in labels},
        )

    def _events(
        self, records: Sequence[Record], moments: Sequence[ClusterView], engine: Engine
    ) -> Iterator[SceneEvent]:
        """The records with their changes; there is one view more than records."""
        flights = Flights(self.trace, moments[0])
        for record, before, later in zip(records, moments, moments[1:], strict=False):
            event = explain_event(record, flights.after(record), engine)
            sent = tuple(one for one in event.sent if one.id not in before.early)
            gone = vanished(record, before, later)
            yield with_changes(replace(event, sent=sent, gone=gone), before, later)


def vanished(record: Record, before: ClusterView, after: ClusterView) -> tuple[Gone, ...]:
    """Messages that are no longer on their way and did not arrive."""
    sent = {one.id: one for one in record.sent if one.fate is Fate.FLYING and one.id not in before.early}
    landed = record.message if record.kind in ENDS_FLIGHT else None
    lost = [one for one in {**before.flying, **sent}.values() if one.id not in after.flying and one.id != landed]
    return tuple(Gone(one.id, undeliverable_reason(one, after.servers, after.cuts) or "lost") for one in lost)


class Flights(dict[MessageId, Flight]):
    """Messages by number that a chunk has met; others are looked up in the record that sent them."""

    def __init__(self, trace: Trace, view: ClusterView) -> None:
        super().__init__(view.flying)
        self._trace = trace

    def after(self, record: Record) -> "Flights":
        """Add the messages that this record sent."""
        self.update({flight.id: flight for flight in record.sent})
        return self


def _entries(view: ClusterView, records: Sequence[Record]) -> Iterator[Entry]:
    """The entries that a chunk describes."""
    for one in view.servers.values():
        yield from _newest(one.state.log)
    for record in records:
        if record.state is not None:
            yield from _newest(record.state.log)
        for command in record.step.commands if record.step is not None else ():
            if isinstance(command, Append):
                yield from command.entries


def _newest(log: Log) -> tuple[Entry, ...]:
    return log.slice(log.last.index - NEWEST + 1, log.last.index + 1)


class Simulated(Recording):
    """The recording of a simulation; it grows as the simulation continues."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.engine = sim.world.setting.engine

    @property
    def trace(self) -> Trace:
        """What happened."""
        return self.sim.trace

    def views(self, start: EventId, stop: EventId) -> Iterator[ClusterView]:
        """The views of replayed worlds."""
        projector = Projector(lambda event: self.sim.trace.record(event).time)
        yield from map(projector.project, self.sim.worlds(start, stop))


class Numbered:
    """Numbers records from 0 and messages from 1, one by one, as chunks need them.

    A live trace drops its oldest and may have gaps, and the numbers of separate processes are too long for a drawing.
    """

    def __init__(self) -> None:
        self._numbers: dict[EventId, EventId] = {}
        self._next: EventId = 0
        self._messages: dict[MessageId, MessageId] = {}
        self._message_ids: list[MessageId] = []

    def add(self, records: Iterable[Record]) -> Iterator[Record]:
        """The new ones among the records, renumbered, with their causes and messages."""
        for record in records:
            if record.id in self._numbers:
                continue
            number = self._numbers[record.id] = self._next
            self._next += 1
            cause = -1 if record.cause is None else self._numbers.get(record.cause, -1)
            yield replace(
                record,
                id=number,
                cause=cause if cause >= 0 else None,
                sent=tuple(map(self._flight, record.sent)),
                message=self._message(record.message),
            )

    def forget(self, events: int, kept: Iterable[Record]) -> None:
        """Renumber without the first ``events``; records that are still ``kept`` do not count as new again."""
        ids = {record.id for record in kept}
        self._numbers = {id: number - events for id, number in self._numbers.items() if number >= events or id in ids}
        self._next -= events

    def known(self, id: MessageId) -> MessageId:
        """The number of a message of the trace; a new message gets the next number."""
        if id not in self._messages:
            self._message_ids.append(id)
            self._messages[id] = len(self._message_ids)
        return self._messages[id]

    def number(self, id: MessageId) -> MessageId | None:
        """The number of a message of the trace; ``None`` if no record names it."""
        return self._messages.get(id)

    def message_id(self, number: MessageId) -> MessageId:
        """The id in the trace of a message with this number."""
        return self._message_ids[number - 1]

    def _flight(self, one: Flight) -> Flight:
        return replace(
            one,
            id=self.known(one.id),
            cause=max(-1, self._numbers.get(one.cause, -1)),
            reply_to=self._message(one.reply_to),
            copy_of=self._message(one.copy_of),
        )

    def _message(self, id: MessageId | None) -> MessageId | None:
        return None if id is None else self.known(id)


class Recorded(Recording):
    """The recording of a trace: of a file, or of a followed cluster; it grows with its trace."""

    def __init__(self, trace: Trace, engine: Engine | None = None) -> None:
        self._trace = trace
        self.engine = Engine() if engine is None else engine
        self._kept: dict[EventId, ClusterView] = {0: NOTHING}
        self._ends: Mapping[EventId, float] = {}

    @property
    def trace(self) -> Trace:
        """What happened."""
        return self._trace

    def later(self, events: int) -> "Recorded":
        """This recording without its first ``events``, renumbered from 0."""
        before = self.view(events - 1)
        flying = {id: _earlier(one, events) for id, one in before.flying.items()}
        recording = Recorded(Trace(_shifted(record, events) for record in self._trace.records[events:]), self.engine)
        recording._kept = {0: replace(before, flying=flying)}
        return recording

    def views(self, start: EventId, stop: EventId) -> Iterator[ClusterView]:
        """The views, replayed from the last kept one."""
        at = max(kept for kept in self._kept if kept <= start)
        view = self._kept[at]
        for event in range(at, stop):
            if event >= start:
                yield view
            view = after(view, self._trace.record(event), self._ends)
            if (event + 1) % CHUNK == 0:
                self._kept[event + 1] = view
        yield view


def _shifted(record: Record, events: int) -> Record:
    """A record, renumbered after its first ``events`` predecessors were dropped."""
    cause = None if record.cause is None or record.cause < events else record.cause - events
    sent = tuple(_earlier(one, events) for one in record.sent)
    return replace(record, id=record.id - events, cause=cause, sent=sent)


def _earlier(flight: Flight, events: int) -> Flight:
    return replace(flight, cause=max(-1, flight.cause - events))


__all__ = ["CHUNK", "Recorded", "Recording", "Simulated", "ends_of"]
