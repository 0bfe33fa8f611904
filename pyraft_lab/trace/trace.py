"""The trace: records in the order in which things happened, and the questions that they answer."""

from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from pyraft_lab.arguments import choice, integer
from pyraft_lab.errors import RecordNotFound, shown
from pyraft_lab.extras import needed
from pyraft_lab.trace import given
from pyraft_lab.trace.record import EventId, Record
from pyraft_lab.trace.tables import TABLES, Tables, with_rules

if TYPE_CHECKING:
    import pandas as pd

    from pyraft_lab.network.address import Certificates
    from pyraft_lab.runtime.trace_stream import FollowedTrace
    from pyraft_lab.trace.columns import Table
    from pyraft_lab.trace.coverage import Coverage
    from pyraft_lab.trace.printed import Story
    from pyraft_lab.trace.questions import Explanation


class Trace:
    """What happened, in order: an observer that keeps records, with frames, stories and explanations of them.

    ``limit`` is how many of the newest are kept (a ring). The frames are made when first asked for and kept until
    more has happened; pandas is imported then and not before.
    """

    def __init__(self, records: Iterable[Record] = (), *, limit: int | None = None) -> None:
        if limit is not None:
            given.whole("limit", limit, 0)
        self._records: deque[Record] | list[Record] = (
            given.all_of("records", records, Record) if limit is None else deque(records, limit)
        )
        self._tables = Tables()
        self._frames: dict[str, tuple[object, pd.DataFrame]] = {}

    def __call__(self, record: Record) -> None:
        """Keep one more record, as an observer of a cluster does."""
        self._records.append(record)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        if not self._records:
            return "Trace(nothing happened yet)"
        first, last = self._records[0], self._records[-1]
        return f"Trace({len(self)} events from {first.time:.3f} s to {last.time:.3f} s)"

    @property
    def records(self) -> tuple[Record, ...]:
        """All records that are kept, oldest first."""
        return tuple(self._records.copy())  # in one piece: a live cluster goes on adding

    def record(self, id: EventId) -> Record:
        """One record by its id; ``RecordNotFound`` (a ``LookupError``) where it is not kept."""
        first = self._records[0].id if self._records else 0
        if not isinstance(id, int):
            raise RecordNotFound(f"no record {shown(id)}: records are numbered")
        if 0 <= id - first < len(self._records) and self._records[id - first].id == id:
            return self._records[id - first]
        found = next((record for record in self.records if record.id == id), None)  # numbers of several processes
        if found is None:
            raise RecordNotFound(f"no record {id}; {len(self._records)} are kept, from {first}")
        return found

    def copy(self, events: EventId) -> "Trace":
        """A separate trace with the same past, up to that number of events."""
        events = integer("events", events)
        if isinstance(self._records, deque):
            return Trace((record for record in self._records if record.id < events), limit=self._records.maxlen)
        first = self._records[0].id if self._records else 0
        return Trace(self._records[: max(0, events - first)])

    def frozen_copy(self) -> "Trace":
        """A trace of the records kept now, which does not grow while a live cluster continues; it shares the tables."""
        still = Trace()
        still._tables, still._frames = self._tables, self._frames
        still._records = self._records[:] if isinstance(self._records, list) else list(self._records.copy())
        return still

    @property
    def events(self) -> "pd.DataFrame":
        """One row for each record: what happened, where, why, and the node's state afterwards."""
        return self._frame("events")

    @property
    def messages(self) -> "pd.DataFrame":
        """One row for each message that left: what it said and what became of it."""
        return self._frame("messages")

    @property
    def states(self) -> "pd.DataFrame":
        """One row for each event that changed a node: Figure 2 in columns."""
        return self._frame("states")

    @property
    def entries(self) -> "pd.DataFrame":
        """One row for each entry on each node, with the times of its life."""
        return self._frame("entries")

    @property
    def calls(self) -> "pd.DataFrame":
        """One row for each client call: ``id client kind input output invoked returned node ok error``."""
        return self._frame("calls")

    @property
    def spans(self) -> "pd.DataFrame":
        """One row for what lasted on a node: ``kind node peer term began ended outcome first last``.

        Elections, leaderships, membership changes, transfers of leadership, snapshots on their way, their builds, and
        nodes that were down. ``spans.ended - spans.began`` says how long each lasted.
        """
        return self._frame("spans")

    @property
    def gaps(self) -> "pd.DataFrame":
        """Records known to be missing, as in a followed trace when messages are lost: ``node time count``."""
        return self._frame("gaps")

    def digest(self) -> str:
        """A fingerprint of all kept records: the same seed and decisions give the same one in any process."""
        from pyraft_lab.trace.files import Fingerprints

        writer, digest = Fingerprints(), blake2b(digest_size=16)
        for record in self.records:
            digest.update(writer.line(record))
        return digest.hexdigest()

    def story(self, start: float | None = None, stop: float | None = None) -> "Story":
        """What happened in plain sentences, with the paper's sections; ``start`` and ``stop`` in seconds."""
        from pyraft_lab.trace.printed import Story
        from pyraft_lab.trace.sharing import without_collector
        from pyraft_lab.trace.story import story

        given.window(start, stop)
        with without_collector():
            return Story(story(self.records, start, stop))

    def why(self, what: object = None, **fact: object) -> "Explanation":
        """Why an event happened, or a fact is so: its causes, back to a timer or an action from outside."""
        from pyraft_lab.trace.why import why

        return why(self.records, what, **fact)

    def why_not(self, what: object = None, **fact: object) -> "Explanation":
        """Why something did not happen: which rule prevented it, and when."""
        from pyraft_lab.trace.why import why_not

        return why_not(self.records, what, **fact)

    def coverage(self) -> "Coverage":
        """Which clauses of Raft this run exercised, how often and when first; and which it never met."""
        from pyraft_lab.trace.coverage import coverage

        return coverage(self.records)

    def save(self, path: str | Path) -> Path:
        """Write everything to a ``.jsonl`` or ``.parquet`` file; :meth:`load` reads it back.

        ``ConfigError`` where the suffix is another one or the directory is not there, before anything is written.
        """
        from pyraft_lab.trace.files import save

        still = self.frozen_copy()
        return save(still.records, path, lambda: still.events)

    @classmethod
    def load(cls, path: str | Path) -> "Trace":
        """A trace from a file written by :meth:`save`; Parquet also keeps what the run's own rules decided.

        ``ConfigError`` where there is no such file, ``PyraftError`` where it is not a trace file, or is damaged.
        """
        from pyraft_lab.trace.files import load

        saved = load(path)
        trace = cls(saved.records)
        if saved.labels is not None:
            trace._tables.know_labels(saved.labels, saved.records)
        return trace

    @staticmethod
    def follow(broker: str, cluster: str, *, certificates: "Certificates | None" = None) -> "FollowedTrace":
        """The trace of a cluster that runs elsewhere, as it goes on; ``close()`` it when you have seen enough.

        Messages of it may be lost: ``gaps`` says how many records are missing. ``NetworkFailed`` where no broker is.

        >>> with Trace.follow("mqtt://localhost", "demo") as trace:  # doctest: +SKIP
        ...     trace.events
        """
        with needed("aiomqtt"):
            from pyraft_lab.runtime.trace_stream import FollowedTrace

        given.name("broker", broker)
        given.name("cluster", cluster)
        return FollowedTrace(broker, cluster, certificates=certificates)

    def table(self, name: str) -> "Table":
        """The frame ``name`` as plain columns, without pandas: ``events messages states entries calls spans gaps``.

        Only what happened since the last call is read. The column ``rule`` of the events is a table of its own,
        ``rules``, since naming the clause of Raft that decided each step takes longer than all the rest. The table is
        shared: do not change it. ``ConfigError`` for another name.
        """
        choice("name", name, (*TABLES,))
        kept = self._records
        return self._tables.get(name, kept if isinstance(kept, list) else tuple(kept.copy()))

    def _frame(self, name: str) -> "pd.DataFrame":
        from pyraft_lab.trace.frames import frame

        table = self.table(name)
        kept = self._frames.get(name)
        if kept is None or kept[0] is not table:
            whole = with_rules(table, self.table("rules")) if name == "events" else table
            kept = self._frames[name] = (table, frame(whole))
        return kept[1].copy(deep=False)  # the caller may change it: pandas copies a column before it is written to
