"""Measures of a live cluster: committed commands per second, their latency, messages on their way."""

from collections import deque
from collections.abc import Iterator, Sequence

from msgspec import Struct

from pyraft_lab.engine.commands import Append
from pyraft_lab.engine.log import Normal
from pyraft_lab.engine.state import Leader, RaftState, Step
from pyraft_lab.engine.types import LogId, NodeId, Term
from pyraft_lab.trace.record import AWAY, UP, EventId, Fate, Flight, Kind, MessageId, Record

STALE = 1.0
"""Seconds after which a message without a record counts as lost, not as on its way."""
BARS = 30
"""The number of intervals in the observed time, to show changes of the throughput."""


class MeterReading(Struct, frozen=True, kw_only=True):
    """The measures at one moment; latencies in milliseconds, ``None`` if no command was committed."""

    time: float = 0.0
    leader: NodeId | None = None
    term: Term = 0
    up: int = 0
    nodes: int = 0
    throughput: float = 0.0
    median: float | None = None
    slowest: float | None = None
    messages: int = 0
    entries: int = 0
    bars: tuple[int, ...] = ()

    def __str__(self) -> str:
        leads = f"n{self.leader} leads term {self.term}" if self.leader else "nobody leads"
        waits = "nothing was committed" if self.median is None else f"median {self.median:.1f} ms to commit"
        flying = f"{self.messages} messages on their way, {self.entries} entries not yet committed"
        return f"{leads}, {self.up} of {self.nodes} up; {self.throughput:.0f} commands a second, {waits}; {flying}"


class Meter:
    """Takes records one by one, and measures the last ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._states: dict[NodeId, RaftState] = {}
        self._down: set[NodeId] = set()
        self._appended: dict[LogId, float] = {}
        self._commits: deque[tuple[float, float]] = deque()
        self._flying: dict[MessageId, Flight] = {}
        self._now = 0.0

    def add_record(self, record: Record) -> None:
        """Take in one record."""
        self._now = max(self._now, record.time)
        self._flying |= {flight.id: flight for flight in record.sent if flight.fate is Fate.FLYING}
        if record.message is not None:
            self._flying.pop(record.message, None)
        if record.kind in AWAY:
            self._down.add(record.node)
        elif record.kind in UP:
            self._down.discard(record.node)
        if record.kind is Kind.GAP:  # perhaps they arrived
            self._flying = {id: flight for id, flight in self._flying.items() if flight.dst != record.node}
        if record.after is not None:
            self._states[record.node] = record.after
        if record.step is not None:
            self._turn(record.step, record.time)

    def _turn(self, step: Step, time: float) -> None:
        if not isinstance(step.after.role, Leader):
            return
        for command in step.commands:
            if isinstance(command, Append):
                self._appended |= {entry.id: time for entry in command.entries if isinstance(entry.payload, Normal)}
        for entry in step.after.log.slice(step.before.committed + 1, step.after.committed + 1):
            if (began := self._appended.pop(entry.id, None)) is not None:
                self._commits.append((time, time - began))

    def read(self, now: float | None = None) -> MeterReading:
        """The measures at ``now`` (seconds of the trace; the newest record's time by default)."""
        now = self._now if now is None else now
        self._forget(now)
        took = sorted(latency * 1000 for _, latency in self._commits)
        leader = self._leader()
        return MeterReading(
            time=now,
            leader=leader.id if leader else None,
            term=max((state.term for state in self._states.values()), default=0),
            up=len(self._states.keys() - self._down),
            nodes=len(self._states),
            throughput=len(took) / min(self._seconds, max(now, 0.001)),
            median=took[len(took) // 2] if took else None,
            slowest=took[-1] if took else None,
            messages=sum(flight.dst not in self._down for flight in self._flying.values()),
            entries=leader.log.last.index - leader.committed if leader else 0,
            bars=tuple(self._bars(now)),
        )

    def _leader(self) -> RaftState | None:
        leading = (
            state for node, state in self._states.items() if isinstance(state.role, Leader) and node not in self._down
        )
        return max(leading, key=lambda state: state.term, default=None)

    def _forget(self, now: float) -> None:
        while self._commits and self._commits[0][0] < now - self._seconds:
            self._commits.popleft()
        self._flying = {id: flight for id, flight in self._flying.items() if flight.sent >= now - STALE}

    def _bars(self, now: float) -> Iterator[int]:
        width = self._seconds / BARS
        places = [int((now - time) / width) for time, _ in self._commits]
        yield from (places.count(place) for place in reversed(range(BARS)))


def records_after(records: Sequence[Record], seen: EventId | None) -> list[Record]:
    """The records after the last seen one, oldest first; all records if that one was dropped."""
    fresh: list[Record] = []
    for record in reversed(records):
        if record.id == seen:
            break
        fresh.append(record)
    return fresh[::-1]
