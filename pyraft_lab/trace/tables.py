"""A trace as tables that grow with it: every record is read once, and later records add to what is there.

::

    records ──add──▶ EventRows, StateRows, MessageRows, EntryRows, CallRows, SpanRows, GapRows
                          │ now()
                          ▼
                     a copy of the table as it is now, for a frame or a figure
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, get_args

from pyraft_lab.engine.state import Follower, Leader, Learner, RaftState, Role
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.annotate.table import label
from pyraft_lab.trace.call_rows import CallRows
from pyraft_lab.trace.columns import MISSING, Table, table
from pyraft_lab.trace.entry_rows import EntryRows
from pyraft_lab.trace.message_rows import MessageRows
from pyraft_lab.trace.record import EventId, Kind, Record, missing_in
from pyraft_lab.trace.schema import EVENTS, GAPS, STATES
from pyraft_lab.trace.sharing import without_collector
from pyraft_lab.trace.span_rows import SpanRows

RULE = tuple(column for column in EVENTS if column.name == "rule")
UNRULED = tuple(column for column in EVENTS if column.name != "rule")
"""The columns of events without ``rule``, which takes longer than all others together and is often not needed."""


PIECE = 4096
"""Records that a table reads at once: only their rows exist as values of Python before they are packed."""


class Growing(Protocol):
    """A table that reads records, each once and in order."""

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""

    def now(self) -> Table:
        """A copy of the table as it is now; records that are read later do not change it."""


class Tables:
    """The tables of one trace: each is made when it is first asked for, and then only grows.

    Several threads may ask: a table that one of them works on is not there for the others, which make their own.
    """

    def __init__(self) -> None:
        self._grown: dict[str, GrowingTable] = {}

    def get(self, name: str, records: Sequence[Record]) -> Table:
        """The table ``name`` (see :data:`TABLES`) of these records; they begin as those of the last call did."""
        grown = self._grown.pop(name, None)
        if grown is None or not grown.is_start_of(records):
            grown = GrowingTable(TABLES[name]())
        found = grown.of(records)
        self._grown[name] = grown
        return found

    def know_labels(self, labels: Sequence[str | None], records: Sequence[Record]) -> None:
        """Take the labels of these records as they were found when the run's own rules were still there."""
        self._grown["rules"] = GrowingTable(RuleRows(labels), records)


class GrowingTable:
    """A growing table, how many records it has read, and its last copy; ``read`` are those whose rows it has."""

    def __init__(self, rows: Growing, read: Sequence[Record] = ()) -> None:
        self._rows, self._count = rows, len(read)
        self._first: EventId | None = read[0].id if read else None
        self._last: Table | None = None

    def is_start_of(self, records: Sequence[Record]) -> bool:
        """Whether these records continue those that were read; not if the oldest were dropped since."""
        return self._count == 0 or (len(records) >= self._count and records[0].id == self._first)

    def of(self, records: Sequence[Record]) -> Table:
        """The table of these records; the same one as before if there are no new ones."""
        if self._last is None or len(records) > self._count:
            with without_collector():
                for first in range(self._count, len(records), PIECE):
                    self._rows.add(records[first : first + PIECE])
            self._count, self._first = len(records), records[0].id if records else None
            self._last = self._rows.now()
        return self._last


def table_of(name: str, records: Sequence[Record]) -> Table:
    """The table ``name`` of these records alone."""
    return GrowingTable(TABLES[name]()).of(records)


# Events and states

_ROLES: Mapping[type[Role], int] = {
    role: next(one for one in EVENTS if one.name == "role").code(role.__name__.lower()) for role in get_args(Role)
}
_KINDS = {kind: EVENTS[3].code(kind.value) for kind in Kind}
Standing = tuple[int, int, int, int, int, int, int]
_NOWHERE: Standing = (MISSING, -1, MISSING, MISSING, MISSING, MISSING, MISSING)


def standing(state: RaftState) -> Standing:
    """A node's state: its term, role, leader, commit, applied, last term and last index, as packed values."""
    role, disk = state.role, state.disk
    last, leader = disk.log.last, MISSING
    if type(role) is Follower or type(role) is Learner:
        leader = role.leader or MISSING
    elif type(role) is Leader:
        leader = state.id
    return disk.vote.term, _ROLES[type(role)], leader, state.committed, state.applied, last.term, last.index


class EventRows:
    """One row for each record; the state columns have the node's state afterwards."""

    def __init__(self) -> None:
        self._table = Table(UNRULED)

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""
        if not records:
            return
        states = [one.state if one.step is None else one.step.after for one in records]
        self._table.add_columns(
            [one.id for one in records],
            [one.time for one in records],
            [one.node or MISSING for one in records],
            [_KINDS[one.kind] for one in records],
            [MISSING if one.cause is None else one.cause for one in records],
            *zip(*[_NOWHERE if state is None else standing(state) for state in states], strict=True),
            [MISSING if one.peer is None else one.peer for one in records],
            [MISSING if one.message is None else one.message for one in records],
            [one.detail for one in records],
        )

    def now(self) -> Table:
        """A copy of the table as it is now."""
        return self._table.copy()


class RuleRows:
    """One row for each record: the clause of Raft that decided it; of the first ones it may be known."""

    def __init__(self, labels: Sequence[str | None] = ()) -> None:
        self._table = table(RULE, {"rule": labels}, len(labels))

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""
        codes = RULE[0].codes
        self._table.add_rows([(-1 if one.step is None else codes[label(one.step)],) for one in records])

    def now(self) -> Table:
        """A copy of the table as it is now."""
        return self._table.copy()


def with_rules(events: Table, rules: Table) -> Table:
    """The events with their column ``rule``, which may have grown since: a live cluster goes on."""
    whole = Table(EVENTS)
    whole.buffers = {one.name: (rules if one.name == "rule" else events).buffers[one.name] for one in EVENTS}
    whole.buffers["rule"] = whole.buffers["rule"][: len(events)]
    return whole


class StateRows:
    """One row for each event that changed a node's state (Figure 2 of the paper)."""

    def __init__(self) -> None:
        self._table = Table(STATES)
        self._before: dict[NodeId, tuple[Any, ...]] = {}
        self._seen: dict[NodeId, RaftState] = {}
        self._memberships: dict[NodeId, tuple[object, str]] = {}

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""
        rows, before = [], self._before
        for record in records:
            state = record.state if record.step is None else record.step.after
            if state is None:
                continue
            seen, self._seen[record.node] = self._seen.get(record.node), state
            if seen is state or (seen is not None and _looks_the_same(seen, state)):
                continue
            now = self._figure_2(state)
            if before.get(record.node) != now:
                before[record.node] = now
                rows.append((record.id, record.time, record.node, *now))
        if rows:
            self._table.add_rows(rows)

    def now(self) -> Table:
        """A copy of the table as it is now."""
        return self._table.copy()

    def _figure_2(self, state: RaftState) -> tuple[Any, ...]:
        term, role, leader, commit, applied, last_term, last_index = standing(state)
        voted, first = state.disk.vote.node or MISSING, state.disk.log.start.index + 1
        return (
            *(role, term, voted, commit, applied, first, last_index, last_term),
            *(self._membership(state), leader, state.stored.index),
        )

    def _membership(self, state: RaftState) -> str:
        """The membership in words; looked up again only where membership entries or leaders of the log have changed."""
        log = state.disk.log
        places = (log.configs, log.runs, state.disk.snapshot)
        kept = self._memberships.get(state.id)
        if kept is None or kept[0] != places:
            kept = self._memberships[state.id] = (places, str(state.membership))
        return kept[1]


def _looks_the_same(before: RaftState, after: RaftState) -> bool:
    """Whether nothing of Figure 2 has changed, as between most steps of a leader; ``False`` where that is not plain."""
    return (
        before.disk is after.disk
        and (before.role is after.role or type(before.role) is type(after.role) is Leader)
        and before.committed == after.committed
        and before.applied == after.applied
        and before.stored is after.stored
    )


class GapRows:
    """One row for each gap: ``count`` records of a node are missing after ``time`` (a message with them was lost)."""

    def __init__(self) -> None:
        self._table = Table(GAPS)

    def add(self, records: Sequence[Record]) -> None:
        """Read further records."""
        gaps = ((record, missing_in(record)) for record in records if record.kind is Kind.GAP)
        rows = [(record.node, record.time, count) for record, count in gaps if count]
        if rows:
            self._table.add_rows(rows)

    def now(self) -> Table:
        """A copy of the table as it is now."""
        return self._table.copy()


TABLES: Mapping[str, Callable[[], Growing]] = {
    "events": EventRows,
    "rules": RuleRows,
    "messages": MessageRows,
    "states": StateRows,
    "entries": EntryRows,
    "calls": CallRows,
    "spans": SpanRows,
    "gaps": GapRows,
}
"""How each table is made, by its name; ``rules`` is the column ``rule`` of the events."""
