"""The trace: one record for each step of a node and each thing done to the cluster, with its time and its cause.

Drivers make a :class:`Record` of every :class:`~pyraft_lab.engine.state.Step` and hand it to their observers; a
:class:`Trace` is the observer that keeps them. A simulated cluster and a live one are recorded alike.

::

    #12 n3 timer ──cause──▶ #15 n1 receive ──cause──▶ #19 n3 receive
            m7: VoteRequest ─────▶  m9: VoteResponse ─────▶
"""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pyraft_lab.engine.events import (
    AllowRevert,
    Beat,
    Boot,
    BuildSnapshot,
    ChangeMembership,
    Configure,
    Elect,
    Event,
    Fire,
    Initialize,
    Propose,
    PurgeLog,
    Read,
    Receive,
    SnapshotBuilt,
    SnapshotGone,
    Stored,
    TransferLeader,
    Unreachable,
)
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    HeartbeatResponse,
    Outdated,
    PreVoteResponse,
    SnapshotResponse,
    VoteResponse,
)
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.extras import needed
from pyraft_lab.trace import given

if TYPE_CHECKING:
    import pandas as pd

    from pyraft_lab.network.address import Certificates
    from pyraft_lab.trace.coverage import Coverage
    from pyraft_lab.trace.questions import Explanation
    from pyraft_lab.trace.stream import FollowedTrace

EventId = int
"""Records are numbered from 0 in the order in which things happened."""
MessageId = int
"""Messages are numbered from 1 in the order in which they left."""

ANSWERS = (
    AppendAccepted,
    AppendRefused,
    HeartbeatResponse,
    SnapshotResponse,
    PreVoteResponse,
    VoteResponse,
    Outdated,
)
"""Messages that answer another one."""


class Kind(StrEnum):
    """What a record tells of: first steps of nodes, then what is done to them from outside."""

    BOOT = "boot"
    RESTART = "restart"
    RECEIVE = "receive"
    TIMER = "timer"
    STORED = "stored"
    PROPOSE = "propose"
    READ = "read"
    CHANGE = "change"
    INITIALIZE = "initialize"
    ELECT = "elect"
    BEAT = "beat"
    TRANSFER = "transfer"
    SNAPSHOT = "snapshot"
    PURGE = "purge"
    REVERT = "revert"
    CONFIGURE = "configure"
    UNREACHABLE = "unreachable"
    UNDELIVERED = "undelivered"
    CALL = "call"
    CRASH = "crash"
    PAUSE = "pause"
    RESUME = "resume"
    DRIFT = "drift"
    PARTITION = "partition"
    CUT = "cut"
    HEAL = "heal"
    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    WEATHER = "weather"
    JOIN = "join"
    DISK = "disk"
    SILENT = "silent"
    HEARD = "heard"
    GAP = "gap"


AWAY = frozenset({Kind.CRASH, Kind.SILENT})
"""After these a server is away, as far as anybody knows."""
UP = frozenset({Kind.BOOT, Kind.RESTART, Kind.JOIN, Kind.HEARD})
"""After these it is there."""


class Fate(StrEnum):
    """What became of a message."""

    FLYING = "flying"
    DELIVERED = "delivered"
    LOST = "lost"
    CUT = "cut"
    DROPPED = "dropped"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Flight(Struct, frozen=True, kw_only=True):
    """One message that left; ``fate`` is what was known then, ``due`` when it should arrive, if that is known."""

    id: MessageId
    src: NodeId
    dst: NodeId
    message: AnyMessage
    sent: float
    cause: EventId
    due: float | None = None
    reply_to: MessageId | None = None
    copy_of: MessageId | None = None
    fate: Fate = Fate.FLYING


class Reply(Struct, frozen=True, kw_only=True):
    """The end of a client's call: ``value`` where it went well, ``error`` in words where it did not."""

    request: RequestId
    ok: bool
    value: Any = None
    error: str = ""


class Record(Struct, frozen=True, kw_only=True):
    """One thing that happened.

    ``node`` is where (0: to the cluster as a whole), ``cause`` the record that brought it about (``None``: from
    outside), ``step`` the turn of Raft where there was one, ``message`` the message that arrived or was meddled with,
    ``peer`` the other node, ``sent`` the messages that left because of it, ``replies`` the calls that ended.
    ``state`` is the whole state of the node where that does not follow from its steps: after records that are missing.
    """

    id: EventId
    time: float
    kind: Kind
    node: NodeId = 0
    cause: EventId | None = None
    step: Step | None = None
    peer: NodeId | None = None
    message: MessageId | None = None
    sent: tuple[Flight, ...] = ()
    replies: tuple[Reply, ...] = ()
    detail: str = ""
    state: RaftState | None = None

    @property
    def after(self) -> RaftState | None:
        """How the node stands now, where the record tells."""
        return self.state if self.step is None else self.step.after

    def __str__(self) -> str:
        from pyraft_lab.trace.story import sentence

        return sentence(self)


_KINDS: Mapping[type[Event], Kind] = {
    Boot: Kind.BOOT,
    Receive: Kind.RECEIVE,
    Fire: Kind.TIMER,
    Stored: Kind.STORED,
    Propose: Kind.PROPOSE,
    Read: Kind.READ,
    ChangeMembership: Kind.CHANGE,
    Initialize: Kind.INITIALIZE,
    Elect: Kind.ELECT,
    Beat: Kind.BEAT,
    TransferLeader: Kind.TRANSFER,
    BuildSnapshot: Kind.SNAPSHOT,
    SnapshotBuilt: Kind.SNAPSHOT,
    SnapshotGone: Kind.SNAPSHOT,
    PurgeLog: Kind.PURGE,
    AllowRevert: Kind.REVERT,
    Unreachable: Kind.UNREACHABLE,
    Configure: Kind.CONFIGURE,
}


def kind_of(event: Event) -> Kind:
    """The kind of a record whose step was brought about by ``event``."""
    return _KINDS[type(event)]


def peer_of(event: Event) -> NodeId | None:
    """The other node an event is about."""
    match event:
        case Receive(src=peer) | SnapshotGone(peer=peer) | Unreachable(peer=peer) | AllowRevert(peer=peer):
            return peer
        case TransferLeader(to=peer):
            return peer
        case _:
            return None


class Trace:
    """What happened, in order: an observer that keeps records, and all that can be asked of them.

    ``limit`` keeps only so many of the newest (a ring). The frames are made when first asked for and kept until
    more has happened; pandas is imported then and not before.
    """

    def __init__(self, records: Iterable[Record] = (), *, limit: int | None = None) -> None:
        if limit is not None:
            given.whole("limit", limit, 0)
        self._records: deque[Record] | list[Record] = (
            given.all_of("records", records, Record) if limit is None else deque(records, limit)
        )
        self._seen = len(self._records)
        self._frames: dict[str, tuple[int, pd.DataFrame]] = {}

    def __call__(self, record: Record) -> None:
        """Keep one more record; what makes a trace an observer."""
        self._records.append(record)
        self._seen += 1

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        if not self._records:
            return "Trace(nothing happened yet)"
        first, last = self._records[0], self._records[-1]
        return f"Trace({len(self)} events from {first.time:.3f} s to {last.time:.3f} s)"

    @property
    def records(self) -> tuple[Record, ...]:
        """Everything kept, oldest first."""
        return tuple(self._records.copy())  # in one piece: a live cluster goes on adding

    def record(self, id: EventId) -> Record:
        """One record by its id; ``LookupError`` where it is not kept."""
        first = self._records[0].id if self._records else 0
        if not isinstance(id, int):
            raise LookupError(f"no record {id!r}: records are numbered")
        if 0 <= id - first < len(self._records) and self._records[id - first].id == id:
            return self._records[id - first]
        found = next((record for record in self.records if record.id == id), None)  # numbers of several processes
        if found is None:
            raise LookupError(f"no record {id}; {len(self._records)} are kept, from {first}")
        return found

    def copy(self, events: EventId) -> "Trace":
        """A trace of its own with the same past, up to so many events."""
        if isinstance(self._records, deque):
            return Trace((record for record in self._records if record.id < events), limit=self._records.maxlen)
        first = self._records[0].id if self._records else 0
        return Trace(self._records[: max(0, events - first)])

    def still(self) -> "Trace":
        """What is kept at this moment, for one look at all of it while a live cluster goes on; frames are shared."""
        still = Trace()
        still._seen, still._frames = self._seen, self._frames
        still._records = list(self.records)
        return still

    @property
    def events(self) -> "pd.DataFrame":
        """One row for each record: what happened, where, why, and how the node stood afterwards."""
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
    def gaps(self) -> "pd.DataFrame":
        """Records known to be missing, as in a followed trace when messages are lost: ``node time count``."""
        return self._frame("gaps")

    def digest(self) -> str:
        """A fingerprint of all that is kept: the same seed and decisions give the same one, in any process."""
        from pyraft_lab.trace.files import Fingerprints

        writer, digest = Fingerprints(), blake2b(digest_size=16)
        for record in self.records:
            digest.update(writer.line(record))
        return digest.hexdigest()

    def story(self, start: float | None = None, stop: float | None = None) -> str:
        """What happened in plain sentences, with the paper's sections; ``start`` and ``stop`` in seconds."""
        from pyraft_lab.trace.story import story

        given.window(start, stop)
        return story(self.records, start, stop)

    def why(self, what: object = None, **fact: object) -> "Explanation":
        """Why an event happened, or a fact came about: its causes back to the beginning."""
        from pyraft_lab.trace.why import why

        return why(self.records, what, **fact)

    def why_not(self, what: object = None, **fact: object) -> "Explanation":
        """Why something did not happen: which rule stood against it, and when."""
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

        return save(self.records, path)

    @classmethod
    def load(cls, path: str | Path) -> "Trace":
        """A trace from a file written by :meth:`save`.

        ``ConfigError`` where there is no such file, ``PyraftError`` where it is not a trace file, or is damaged.
        """
        from pyraft_lab.trace.files import load

        return cls(load(path))

    @staticmethod
    def follow(broker: str, cluster: str, *, certificates: "Certificates | None" = None) -> "FollowedTrace":
        """The trace of a cluster that runs elsewhere, as it goes on; ``close()`` it when you have seen enough.

        Messages of it may be lost: ``gaps`` says how many records are missing. ``NetworkFailed`` where no broker is.

        >>> with Trace.follow("mqtt://localhost", "demo") as trace:  # doctest: +SKIP
        ...     trace.events
        """
        with needed("aiomqtt"):
            from pyraft_lab.trace.stream import FollowedTrace

        given.name("broker", broker)
        given.name("cluster", cluster)
        return FollowedTrace(broker, cluster, certificates=certificates)

    def _frame(self, name: str) -> "pd.DataFrame":
        from pyraft_lab.trace.frames import FRAMES

        kept = self._frames.get(name)
        if kept is None or kept[0] != self._seen:
            kept = (self._seen, FRAMES[name](self.records))
            self._frames[name] = kept
        return kept[1].copy(deep=False)  # whoever gets it may change it: pandas copies what is written to
