"""Tidy pandas frames of a trace: one row for each event, message, changed state and entry.

Times are seconds; what does not apply or has not happened is ``<NA>`` (``NaN`` for times).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pyraft_lab.engine.commands import Append, Truncate
from pyraft_lab.engine.log import Blank, Configuration, Entry, Normal, Payload
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    PreVoteResponse,
    SnapshotRequest,
    VoteResponse,
)
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import Index, LogId, NodeId
from pyraft_lab.extras import needed
from pyraft_lab.trace.recorder import AWAY, UP, Fate, Flight, Kind, MessageId, Record
from pyraft_lab.trace.rules.table import rule
from pyraft_lab.trace.words import command_text

with needed("pandas"):
    import pandas as pd

# fmt: off
EVENTS = (
    "id", "time", "node", "kind", "cause", "term", "role", "leader", "commit", "applied", "last_term",
    "last_index", "peer", "message", "rule", "detail",
)
MESSAGES = (
    "id", "kind", "src", "dst", "term", "sent", "received", "fate", "reply_to", "entries", "prev_index",
    "commit", "granted", "success", "copy_of", "due", "cause", "offset", "length", "size",
)
STATES = (
    "event", "time", "node", "role", "term", "voted_for", "commit", "applied", "first_index", "last_index",
    "last_term", "membership", "leader", "stored",
)
ENTRIES = (
    "node", "index", "term", "leader", "kind", "data", "appended", "stored", "committed", "applied", "truncated",
)
# fmt: on

TIMES = frozenset({"time", "sent", "received", "due", "appended", "truncated"})
TEXTS = frozenset({"data", "detail", "membership"})
CATEGORIES = frozenset({"kind", "role", "fate", "rule"})
TRUTHS = frozenset({"granted", "success"})

Row = dict[str, Any]


def events(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each record; the state columns say how the node stood afterwards."""
    return _frame((_event(record) for record in records), EVENTS)


def messages(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each message that left a node."""
    rows = {flight.id: _message(flight) for record in records for flight in record.sent}
    for record in records:
        _tell_fate(rows, record)
    for id in _sent_to_the_dead(records):
        if rows[id]["fate"] == Fate.FLYING.value:
            rows[id]["fate"] = Fate.DEAD.value
    return _frame(rows.values(), MESSAGES)


def states(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each event after which a node stood otherwise than before."""
    return _frame(_changes(records), STATES)


def entries(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each entry on each node; an entry that was truncated and comes back gets another row."""
    lives = Lives()
    for record in records:
        lives.see(record)
    return _frame(lives.rows, ENTRIES, times=TIMES | {"stored", "committed", "applied"})


FRAMES: Mapping[str, Callable[[Sequence[Record]], pd.DataFrame]] = {
    "events": events,
    "messages": messages,
    "states": states,
    "entries": entries,
}


# Events


def _event(record: Record) -> Row:
    row: Row = {
        "id": record.id,
        "time": record.time,
        "node": record.node or None,
        "kind": record.kind.value,
        "cause": record.cause,
        "peer": record.peer,
        "message": record.message,
        "rule": rule(record.step).label if record.step else None,
        "detail": record.detail,
    }
    return row if record.step is None else row | _standing(record.step.after)


def _standing(state: RaftState) -> Row:
    return {
        "term": state.term,
        "role": state.role_name,
        "leader": state.leader or None,
        "commit": state.committed,
        "applied": state.applied,
        "last_term": state.log.last.term,
        "last_index": state.log.last.index,
    }


# Messages


def _message(flight: Flight) -> Row:
    return {
        "id": flight.id,
        "kind": type(flight.message).__name__,
        "src": flight.src,
        "dst": flight.dst,
        "term": flight.message.vote.term,
        "sent": flight.sent,
        "fate": flight.fate.value,
        "reply_to": flight.reply_to,
        "copy_of": flight.copy_of,
        "due": flight.due,
        "cause": flight.cause,
    } | _contents(flight.message)


def _contents(message: AnyMessage) -> Row:
    match message:
        case AppendRequest(prev=prev, entries=carried, commit=commit):
            return {"entries": len(carried), "prev_index": prev.index, "commit": commit}
        case HeartbeatRequest(commit=commit):
            return {"commit": commit}
        case SnapshotRequest(meta=meta, offset=offset, data=data):
            return {"prev_index": meta.last.index, "offset": offset, "length": len(data), "size": meta.size}
        case VoteResponse(granted=granted) | PreVoteResponse(granted=granted):
            return {"granted": granted}
        case AppendAccepted():
            return {"success": True}
        case AppendRefused(prev=prev):
            return {"success": False, "prev_index": prev.index}
        case _:
            return {}


def _tell_fate(rows: Mapping[int, Row], record: Record) -> None:
    """Later records tell what became of a message."""
    row = rows.get(record.message or 0)
    if row is None:
        return
    match record.kind:
        case Kind.RECEIVE:
            row |= {"received": record.time, "fate": Fate.DELIVERED.value}
        case Kind.UNDELIVERED:
            row["fate"] = record.detail
        case Kind.DROP:
            row["fate"] = Fate.DROPPED.value
        case _:
            pass


def _sent_to_the_dead(records: Sequence[Record]) -> Iterator[MessageId]:
    """Messages of live nodes that a crash overtook, or that left for a node that was away: a wire tells nobody."""
    down, flying = set[NodeId](), defaultdict[NodeId, list[MessageId]](list)
    for record in records:
        if record.kind in AWAY:
            down.add(record.node)
            yield from flying.pop(record.node, ())
        elif record.kind in UP:
            down.discard(record.node)
        for flight in record.sent:
            if flight.due is not None:  # the simulation knows when it will arrive, and tells what becomes of it
                continue
            if flight.dst in down:
                yield flight.id
            flying[flight.dst].append(flight.id)


# States


def _changes(records: Sequence[Record]) -> Iterator[Row]:
    before: dict[NodeId, Row] = {}
    for record in records:
        if record.step is None:
            continue
        row = _figure_2(record.step.after)
        if before.get(record.node) != row:
            before[record.node] = row
            yield {"event": record.id, "time": record.time, "node": record.node} | row


def _figure_2(state: RaftState) -> Row:
    return _standing(state) | {
        "voted_for": state.vote.node or None,
        "first_index": state.log.first_index,
        "membership": str(state.membership),
        "stored": state.stored.index,
    }


# Entries


class Lives:
    """The life of every entry on every node: appended, on disk, committed, applied; or truncated."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._open: dict[NodeId, dict[Index, tuple[LogId, Row]]] = {}
        self._upto: dict[tuple[NodeId, str], Index] = {}

    def see(self, record: Record) -> None:
        """Take in one record."""
        if record.step is None:
            return
        node, after = record.node, record.step.after
        if record.kind in (Kind.BOOT, Kind.RESTART, Kind.JOIN) or node not in self._open:
            self._start(node, record)
        for command in record.step.commands:
            self._store(node, command, record.time)
        self._reach(node, "stored", after.stored.index, record.time)
        self._reach(node, "committed", after.committed, record.time)
        self._reach(node, "applied", after.applied, record.time)

    def _start(self, node: NodeId, record: Record) -> None:
        """What the disk did not keep is lost; what it has and was not seen before was there from the beginning."""
        assert record.step is not None, "only a step starts a node"
        log = record.step.before.log
        known = self._open.setdefault(node, {})
        self._cut(
            node,
            [index for index, (id, _) in known.items() if log.id_at(index) not in (id, None) or index > log.last.index],
            record.time,
        )
        self._add(node, [entry for entry in log if entry.index not in known], record.time)
        self._upto |= {(node, "committed"): 0, (node, "applied"): 0, (node, "stored"): 0}

    def _store(self, node: NodeId, command: object, time: float) -> None:
        match command:
            case Append(added):
                self._add(node, added, time)
            case Truncate(after):
                self._cut(node, [index for index in self._open[node] if index > after], time)
            case _:
                pass

    def _add(self, node: NodeId, added: Sequence[Entry], time: float) -> None:
        for entry in added:
            row = {"node": node, "index": entry.index, "term": entry.id.term, "leader": entry.id.node or None}
            row |= _told(entry.payload) | {"appended": time}
            self._open[node][entry.index] = (entry.id, row)
            self.rows.append(row)

    def _cut(self, node: NodeId, indexes: Sequence[Index], time: float) -> None:
        for index in indexes:
            self._open[node].pop(index)[1]["truncated"] = time
        for what in ("stored", "committed", "applied"):
            reached = self._upto.get((node, what), 0)
            self._upto[node, what] = min([reached, *(index - 1 for index in indexes)])

    def _reach(self, node: NodeId, what: str, index: Index, time: float) -> None:
        """Everything up to ``index`` has come so far by now."""
        for place in range(self._upto.get((node, what), 0) + 1, index + 1):
            if place in self._open[node]:
                self._open[node][place][1].setdefault(what, time)
        self._upto[node, what] = max(index, self._upto.get((node, what), 0))


def _told(payload: Payload) -> Row:
    match payload:
        case Normal(data):
            return {"kind": "normal", "data": command_text(data)}
        case Configuration(membership):
            return {"kind": "membership", "data": str(membership)}
        case Blank():
            return {"kind": "blank", "data": ""}


# Columns


def _frame(rows: Iterable[Row], columns: Sequence[str], times: AbstractSet[str] = TIMES) -> pd.DataFrame:
    """Rows as a frame whose columns always have the same types, however few rows there are."""
    rows = list(rows)
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=_type(name, times)) for name in columns}
    )


def _type(name: str, times: AbstractSet[str]) -> Any:
    """Whole numbers are nullable; times are floats; a few words are categories."""
    for kind, names in (("float64", times), ("category", CATEGORIES), ("boolean", TRUTHS), ("str", TEXTS)):
        if name in names:
            return kind
    return "Int64"
