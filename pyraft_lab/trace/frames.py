"""Tidy pandas frames of a trace: one row for each event, message, changed state and entry.

Times are seconds; what does not apply or has not happened is ``<NA>`` (``NaN`` for times).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, get_args

from pyraft_lab.engine.commands import Append, InstallSnapshot, Truncate
from pyraft_lab.engine.log import Configuration, Entry, Log, Noop, Normal, Payload, SnapshotMeta
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
from pyraft_lab.engine.state import RaftState, RoleName, Step
from pyraft_lab.engine.types import Index, LogId, NodeId
from pyraft_lab.extras import needed
from pyraft_lab.trace.annotate.table import LABELS, rule
from pyraft_lab.trace.record import AWAY, UP, Fate, Flight, Kind, MessageId, Record, missing_in
from pyraft_lab.trace.text import command_text

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
    "seen",
)
# fmt: on

GAPS = ("node", "time", "count")

TIMES = frozenset({"time", "sent", "received", "due", "appended", "truncated", "seen"})
TEXTS = frozenset({"data", "detail", "membership"})
TRUTHS = frozenset({"granted", "success"})

CATEGORIES: Mapping[str, Sequence[str]] = {
    "role": get_args(RoleName),
    "fate": tuple(Fate),
    "rule": tuple(LABELS),
}
"""Columns of few words, and all the words there are: those of two runs are alike, so their frames can be joined."""
KINDS: Mapping[Sequence[str], Sequence[str]] = {
    EVENTS: tuple(Kind),
    MESSAGES: tuple(kind.__name__ for kind in get_args(AnyMessage)),
    ENTRIES: ("blank", "membership", "normal"),
}
"""The words of the column ``kind``, which is another one in each frame."""

Row = dict[str, Any]


def events(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each record; the state columns say how the node stood afterwards."""
    return _frame((_event(record) for record in records), EVENTS)


def messages(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each message that left a node."""
    rows = {flight.id: _message(flight) for record in records for flight in record.sent}
    for record in records:
        _tell_fate(rows, record)
    for id, fate in (*_sent_to_the_dead(records), *_sent_into_a_gap(records)):
        if rows[id]["fate"] == Fate.FLYING.value:
            rows[id]["fate"] = fate.value
    return _frame(rows.values(), MESSAGES)


def states(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each event after which a node stood otherwise than before."""
    return _frame(_changes(records), STATES)


def entries(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each entry on each node; an entry that was truncated and comes back gets another row.

    ``truncated`` is when it was thrown away: by a leader's entries, or by a snapshot of another history. An entry that
    was there when its node was first seen, or seen again after missing records, has no ``appended``, only ``seen``.
    """
    lives = EntryTimes()
    for record in records:
        lives.add_record(record)
    return _frame(lives.rows, ENTRIES, times=TIMES | {"stored", "committed", "applied"})


def gaps(records: Sequence[Record]) -> pd.DataFrame:
    """One row for each gap: ``count`` records of a node are missing after ``time`` (a message with them was lost)."""
    missing = ((record, missing_in(record)) for record in records if record.kind is Kind.GAP)
    rows = [{"node": record.node, "time": record.time, "count": count} for record, count in missing if count]
    return _frame(rows, GAPS)


FRAMES: Mapping[str, Callable[[Sequence[Record]], pd.DataFrame]] = {
    "events": events,
    "messages": messages,
    "states": states,
    "entries": entries,
    "gaps": gaps,
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
    return row if record.after is None else row | _standing(record.after)


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


def _sent_to_the_dead(records: Sequence[Record]) -> Iterator[tuple[MessageId, Fate]]:
    """Messages of live nodes that a crash overtook, or that left for a node that was away: a wire tells nobody."""
    down, flying = set[NodeId](), defaultdict[NodeId, list[MessageId]](list)
    for record in records:
        if record.kind in AWAY:
            down.add(record.node)
            yield from ((id, Fate.DEAD) for id in flying.pop(record.node, ()))
        elif record.kind in UP:
            down.discard(record.node)
        for flight in record.sent:
            if flight.due is not None:  # the simulation knows when it will arrive, and tells what becomes of it
                continue
            if flight.dst in down:
                yield flight.id, Fate.DEAD
            flying[flight.dst].append(flight.id)


def _sent_into_a_gap(records: Sequence[Record]) -> Iterator[tuple[MessageId, Fate]]:
    """Messages to a node some of whose records are missing: perhaps they arrived."""
    flying = defaultdict[NodeId, list[MessageId]](list)
    for record in records:
        if record.kind is Kind.GAP:
            yield from ((id, Fate.UNKNOWN) for id in flying.pop(record.node, ()))
        for flight in record.sent:
            flying[flight.dst].append(flight.id)


# States


def _changes(records: Sequence[Record]) -> Iterator[Row]:
    before: dict[NodeId, Row] = {}
    for record in records:
        if record.after is None:
            continue
        row = _figure_2(record.after)
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


class EntryTimes:
    """The life of every entry on every node: appended, on disk, committed, applied; or truncated."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._open: dict[NodeId, dict[Index, tuple[LogId, Row]]] = {}
        self._logs: dict[NodeId, Log] = {}
        self._upto: dict[tuple[NodeId, str], Index] = {}

    def add_record(self, record: Record) -> None:
        """Take in one record."""
        if record.state is not None:
            self._look_again(record.node, record.state.log, record.time)
            self._stand(record.state, record.time)
        if record.step is not None:
            self._step(record, record.step)
        if record.kind is Kind.WIPE:
            self._look_again(record.node, Log(), record.time)

    def _step(self, record: Record, step: Step) -> None:
        node = record.node
        is_first = record.kind in (Kind.BOOT, Kind.JOIN)
        known, log = self._logs.get(node), step.before.log
        if is_first or record.kind is Kind.RESTART or (known is not log and known != log):
            self._look_again(node, step.before.log, record.time, is_first=is_first)
        for command in step.commands:
            self._store(node, command, step.before.log, record.time)
        self._stand(step.after, record.time)

    def _stand(self, state: RaftState, time: float) -> None:
        """How far the entries of a node have come."""
        self._logs[state.id] = state.log
        self._reach(state.id, "stored", state.stored.index, time)
        self._reach(state.id, "committed", state.committed, time)
        self._reach(state.id, "applied", state.applied, time)

    def _look_again(self, node: NodeId, log: Log, time: float, *, is_first: bool = False) -> None:
        """A node starts, or records of it are missing: its log tells what is there, not how it came about.

        What a disk did not keep is lost. What the log has forgotten was committed only if it led up to where the log
        begins now; else a snapshot that nobody saw has replaced it, and nothing more can be said of it.
        """
        known = self._open.setdefault(node, {})
        lost = [at for at, (id, _) in known.items() if log.id_at(at) not in (id, None) or at > log.last.index]
        led_up = known.get(log.start.index, (None, {}))[0] == log.start
        self._cut(node, lost, time)
        if not led_up:
            for at in [at for at, (_, row) in known.items() if at < log.start.index and "committed" not in row]:
                del known[at]
        added = [entry for entry in log if entry.index not in known]
        self._add(node, added, {"appended": time, "seen": time} if is_first else {"seen": time})
        self._upto |= {(node, "committed"): 0, (node, "applied"): 0, (node, "stored"): 0}

    def _store(self, node: NodeId, command: object, log: Log, time: float) -> None:
        match command:
            case Append(added):
                self._add(node, added, {"appended": time, "seen": time})
            case Truncate(after):
                self._cut(node, [index for index in self._open[node] if index > after], time)
            case InstallSnapshot(meta):
                self._install(node, meta, log, time)
            case _:
                pass

    def _install(self, node: NodeId, meta: SnapshotMeta, log: Log, time: float) -> None:
        """A snapshot covers what leads up to its end; of another history it leaves nothing but what was committed."""
        if meta.last.index > log.start.index and not log.has(meta.last):
            self._cut(node, [at for at, (_, row) in self._open[node].items() if "committed" not in row], time)

    def _add(self, node: NodeId, added: Sequence[Entry], times: Row) -> None:
        for entry in added:
            row = {"node": node, "index": entry.index, "term": entry.id.term, "leader": entry.id.node or None}
            row |= _payload_text(entry.payload) | times
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
        known, reached = self._open[node], self._upto.get((node, what), 0)
        places = range(reached + 1, index + 1)
        for place in places if len(places) < len(known) else [place for place in known if place in places]:
            if place in known:
                known[place][1].setdefault(what, time)
        self._upto[node, what] = max(index, reached)


def _payload_text(payload: Payload) -> Row:
    match payload:
        case Normal(data):
            return {"kind": "normal", "data": command_text(data)}
        case Configuration(membership):
            return {"kind": "membership", "data": str(membership)}
        case Noop():
            return {"kind": "blank", "data": ""}


# Columns


def _frame(rows: Iterable[Row], columns: Sequence[str], times: AbstractSet[str] = TIMES) -> pd.DataFrame:
    """Rows as a frame whose columns always have the same types, however few rows there are."""
    rows = list(rows)
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=_type(name, columns, times)) for name in columns}
    )


def _type(name: str, columns: Sequence[str], times: AbstractSet[str]) -> Any:
    """Whole numbers are nullable; times are floats; a few words are categories, the same ones in every run."""
    words = KINDS.get(columns, ()) if name == "kind" else CATEGORIES.get(name, ())
    if words:
        return pd.CategoricalDtype(sorted(words))
    for kind, names in (("float64", times), ("boolean", TRUTHS), ("str", TEXTS)):
        if name in names:
            return kind
    return "Int64"
