"""Log entries as rows: when each was appended, on disk, committed and applied on each node, or removed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pyraft_lab.engine.commands import Append, InstallSnapshot, Truncate
from pyraft_lab.engine.log import Configuration, Entry, Log, Noop, Normal, Payload, SnapshotMeta
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import Index, LogId, NodeId
from pyraft_lab.trace.columns import MISSING, NEVER, Table
from pyraft_lab.trace.record import Kind, Record
from pyraft_lab.trace.schema import ENTRIES, ENTRY_KINDS
from pyraft_lab.trace.text import command_text

Place = int
"""The number of a row."""
_FIRSTS = frozenset({Kind.BOOT, Kind.JOIN})
_STARTS = _FIRSTS | {Kind.RESTART}
_CHANGES = frozenset({Append, Truncate, InstallSnapshot})
"""The commands that change which entries a log holds; asked by type: a match takes ten times as long to say no."""
REACHED = ("stored", "committed", "applied")
"""The columns of times at which an index was reached."""
_MEMBERSHIP, _NOOP, _NORMAL = map(ENTRY_KINDS.index, ("membership", "noop", "normal"))


class EntryRows:
    """One row for each entry on each node; an entry that was truncated and comes back gets another row.

    ``truncated`` is when it was removed: by a leader's entries, or by a snapshot of another history. An entry that
    was there when its node was first seen, or seen again after missing records, has no ``appended``, only ``seen``.
    """

    def __init__(self) -> None:
        self._table = Table(ENTRIES)
        self._open: dict[NodeId, dict[Index, tuple[LogId, Place]]] = {}
        self._states: dict[NodeId, RaftState] = {}
        self._upto: defaultdict[NodeId, dict[str, Index]] = defaultdict(lambda: dict.fromkeys(REACHED, 0))

    def add(self, records: Iterable[Record]) -> None:
        """Read further records."""
        for record in records:
            self._add_record(record)

    def now(self) -> Table:
        """A copy of the table as it is now."""
        return self._table.copy()

    def _add_record(self, record: Record) -> None:
        if record.state is not None:
            self._look_again(record.node, record.state.log, record.time)
            self._stand(record.state, record.time)
        step = record.step
        if step is not None:
            node, log, known = record.node, step.before.disk.log, self._states.get(record.node)
            if record.kind in _STARTS or known is None or (known.disk.log is not log and known.disk.log != log):
                self._look_again(node, log, record.time, is_first=record.kind in _FIRSTS)
            elif known is step.after:
                return
            if step.before.disk is not step.after.disk:
                self._store_all(node, step, record.time)
            self._stand(step.after, record.time)
        elif record.kind is Kind.WIPE:
            self._look_again(record.node, Log(), record.time)

    def _stand(self, state: RaftState, time: float) -> None:
        """Note how far the entries of a node have come: on disk, committed, applied."""
        self._states[state.id], upto = state, self._upto[state.id]
        if state.stored.index > upto["stored"]:
            self._reach(state.id, "stored", state.stored.index, time)
        if state.committed > upto["committed"]:
            self._reach(state.id, "committed", state.committed, time)
        if state.applied > upto["applied"]:
            self._reach(state.id, "applied", state.applied, time)

    def _look_again(self, node: NodeId, log: Log, time: float, *, is_first: bool = False) -> None:
        """A node starts, or records of it are missing: its log tells what is there, not how it came about.

        What a disk did not keep is lost. What the log has forgotten was committed only if it led up to where the log
        begins now; else a snapshot that was not seen has replaced it, and nothing more can be said of it.
        """
        known = self._open.setdefault(node, {})
        lost = [at for at, (id, _) in known.items() if log.id_at(at) not in (id, None) or at > log.last.index]
        led_up = log.start.index in known and known[log.start.index][0] == log.start
        self._cut(node, lost, time)
        if not led_up:
            for at in [at for at, (_, row) in known.items() if at < log.start.index and not self._is_committed(row)]:
                del known[at]
        added = [entry for entry in log if entry.index not in known]
        self._append(node, added, seen=time, appended=time if is_first else NEVER)
        self._upto.pop(node, None)

    def _store_all(self, node: NodeId, step: Step, time: float) -> None:
        for command in step.commands:
            if type(command) in _CHANGES:
                self._store(node, command, step.before.disk.log, time)

    def _store(self, node: NodeId, command: object, log: Log, time: float) -> None:
        match command:
            case Append(added):
                self._append(node, added, seen=time, appended=time)
            case Truncate(after):
                self._cut(node, [index for index in self._open[node] if index > after], time)
            case InstallSnapshot(meta):
                self._install(node, meta, log, time)
            case _:
                pass

    def _install(self, node: NodeId, meta: SnapshotMeta, log: Log, time: float) -> None:
        """A snapshot covers what leads up to its end; of another history only committed entries remain."""
        if meta.last.index > log.start.index and not log.has(meta.last):
            known = self._open[node]
            self._cut(node, [at for at, (_, row) in known.items() if not self._is_committed(row)], time)

    def _is_committed(self, row: Place) -> bool:
        committed = self._table.buffers["committed"][row]
        return bool(committed == committed)  # noqa: PLR0124 (a time, not NaN)

    def _append(self, node: NodeId, added: Sequence[Entry], *, seen: float, appended: float) -> None:
        if not added:
            return
        first, known = len(self._table), self._open[node]
        self._table.add_rows([_row(node, entry, seen, appended) for entry in added])
        known.update({entry.index: (entry.id, place) for place, entry in enumerate(added, first)})

    def _cut(self, node: NodeId, indexes: Sequence[Index], time: float) -> None:
        for index in indexes:
            self._table.buffers["truncated"][self._open[node].pop(index)[1]] = time
        lowest = min(indexes, default=None)
        if lowest is not None:
            for what in REACHED:
                self._upto[node][what] = min(self._upto[node][what], lowest - 1)

    def _reach(self, node: NodeId, what: str, index: Index, time: float) -> None:
        """Everything up to ``index`` has reached this stage by ``time``."""
        reached, self._upto[node][what] = self._upto[node][what], index
        known, times, places = self._open[node], self._table.buffers[what], range(reached + 1, index + 1)
        for at in places if len(places) < len(known) else [at for at in known if at in places]:
            if at in known:
                row = known[at][1]
                if times[row] != times[row]:
                    times[row] = time


def _row(node: NodeId, entry: Entry, seen: float, appended: float) -> tuple[Any, ...]:
    id = entry.id
    kind, data = _payload_text(entry.payload)
    return node, id.index, id.term, id.node or MISSING, kind, data, appended, NEVER, NEVER, NEVER, NEVER, seen


def _payload_text(payload: Payload) -> tuple[int, str]:
    match payload:
        case Normal(data):
            return _NORMAL, command_text(data)
        case Configuration(membership):
            return _MEMBERSHIP, str(membership)
        case Noop():
            return _NOOP, ""
