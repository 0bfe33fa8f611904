"""Causes and effects between records, and the last known state of each node."""

from collections.abc import Iterable, Iterator, Sequence

from pyraft_lab.engine.state import Leader, RaftState, Step
from pyraft_lab.engine.types import NodeId, Term
from pyraft_lab.trace.record import AWAY, UP, EventId, Fate, Flight, Kind, MessageId, Record

ENDS_FLIGHT = frozenset({Kind.RECEIVE, Kind.UNDELIVERED, Kind.DROP})


class CausalIndex:
    """Records with indexes to look things up: by id, by message, by node; made once for each question."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = tuple(records)
        self.by_id: dict[EventId, Record] = {record.id: record for record in self.records}
        self.flights: dict[MessageId, Flight] = {flight.id: flight for one in self.records for flight in one.sent}
        self.states: dict[NodeId, RaftState] = {}
        self.down: dict[NodeId, Record] = {}
        for record in self.records:
            self._see(record)

    def _see(self, record: Record) -> None:
        if record.after is not None:
            self.states[record.node] = record.after
        if record.kind in AWAY:
            self.down[record.node] = record
        elif record.kind in UP:
            self.down.pop(record.node, None)

    def steps(self, node: NodeId | None = None) -> Iterator[tuple[Record, Step]]:
        """Every record that has a step, of one node or of all, oldest first."""
        for record in self.records:
            if record.step is not None and node in (None, record.node):
                yield record, record.step

    def leader(self) -> NodeId | None:
        """The leader at the end: of those that are up the one with the highest term; ``None`` if there is none."""
        leading = [
            (state.vote, node)
            for node, state in self.states.items()
            if isinstance(state.role, Leader) and node not in self.down
        ]
        return max(leading)[1] if leading else None

    def became_leader(self, node: NodeId, term: Term | None = None) -> tuple[Record, Step] | None:
        """The record and step in which ``node`` last became leader (of ``term`` if given); ``None`` if it never did."""
        return last((record, step) for record, step in self.steps(node) if _begins_to_lead(step, term))

    def causes_of(self, record: Record) -> Iterator[Record]:
        """The record and its causes, latest first, back to a timer or to something done from outside the cluster."""
        seen: Record | None = record
        while seen is not None:
            yield seen
            is_root = seen.kind is Kind.TIMER or seen.cause is None
            seen = None if is_root else self.by_id.get(seen.cause or 0)

    def slice(self, ends: Iterable[Record], since: Record | None = None) -> tuple[Record, ...]:
        """All causes of ``ends`` and themselves, each once, oldest first, without records before ``since``."""
        found = {one.id: one for end in ends for one in self.causes_of(end)}
        return tuple(found[id] for id in sorted(found) if since is None or id >= since.id)

    def senders(self, flights: Iterable[Flight]) -> list[Record]:
        """The records in which these messages were sent."""
        return [self.by_id[flight.cause] for flight in flights if flight.cause in self.by_id]

    def latest(self, flights: Iterable[Flight]) -> Flight | None:
        """The message that was sent last; ``None`` if there is none."""
        return max(flights, key=lambda flight: (flight.sent, flight.id), default=None)

    def arrival(self, flight: Flight) -> Record | None:
        """The record in which a message arrived or was lost; ``None`` if neither has happened yet."""
        return next((one for one in self.records if one.message == flight.id and one.kind in ENDS_FLIGHT), None)

    def fate(self, flight: Flight) -> str:
        """What became of a message that had no effect, in words, such as ``was lost on the way``."""
        record = self.arrival(flight)
        if flight.fate is not Fate.FLYING:
            return _WORDS.get(flight.fate.value, "arrived")
        if record is None:
            return "is still on its way"
        return "was dropped" if record.kind is Kind.DROP else _WORDS.get(record.detail, "arrived")


_WORDS = {"cut": "was stopped by a cut link", "dead": "reached a server that was down", "lost": "was lost on the way"}


def last(found: Iterable[tuple[Record, Step]]) -> tuple[Record, Step] | None:
    """The last pair; ``None`` if there is none."""
    return next(reversed(list(found)), None)


def _begins_to_lead(step: Step, term: Term | None) -> bool:
    if not isinstance(step.after.role, Leader) or term not in (None, step.after.term):
        return False
    return not isinstance(step.before.role, Leader) or step.before.term != step.after.term
