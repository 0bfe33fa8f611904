"""A record: one step of a node, or one thing done to the cluster, with its time and its cause.

Drivers make a :class:`Record` of every :class:`~pyraft_lab.engine.state.Step` and hand it to their observers. A
simulated cluster and a live one are recorded alike.

::

    #12 n3 timer ──cause──▶ #15 n1 receive ──cause──▶ #19 n3 receive
            m7: VoteRequest ─────▶  m9: VoteResponse ─────▶
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from pyraft_lab.engine.commands import Alarm, Halt
from pyraft_lab.engine.events import (
    AllowRevert,
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
    SendHeartbeat,
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
from pyraft_lab.errors import PyraftError

EventId = int
"""Records are numbered from 0 in the order in which things happened."""
MessageId = int
"""Messages are numbered from 1 in the order in which they left."""

MISSING = "records are missing"
STATE_KNOWN = "its whole state is known again"

ANSWERS: tuple[type[AnyMessage], ...] = (
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
    """The kind of a record: first steps of nodes, then what is done to them from outside."""

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
    WIPE = "wipe"
    SILENT = "silent"
    HEARD = "heard"
    GAP = "gap"


AWAY = frozenset({Kind.CRASH, Kind.SILENT})
"""After records of these kinds a server is considered down."""
UP = frozenset({Kind.BOOT, Kind.RESTART, Kind.JOIN, Kind.HEARD})
"""After records of these kinds it is considered up."""


class Fate(StrEnum):
    """The fate of a message."""

    FLYING = "flying"
    DELIVERED = "delivered"
    LOST = "lost"
    CUT = "cut"
    DROPPED = "dropped"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Flight(Struct, frozen=True, gc=False):
    """One message that was sent; ``fate`` is what was known of it then, ``due`` when it should arrive, if known."""

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


class Reply(Struct, frozen=True, kw_only=True, gc=False):
    """The end of a client's call: ``value`` where it went well, ``error`` in words where it did not."""

    request: RequestId
    ok: bool
    value: Any = None
    error: str = ""


class Record(Struct, frozen=True, gc=False):
    """One thing that happened.

    ``node`` is where (0: to the cluster as a whole), ``cause`` the record that caused it (``None``: from outside),
    ``step`` the step of Raft if there was one, ``message`` the message that arrived, or that was dropped, delayed or
    duplicated, ``peer`` the other node, ``sent`` the messages that left because of it, ``replies`` the calls that
    ended.
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
        """The state of the node after the record; ``None`` if the record does not contain it."""
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
    SendHeartbeat: Kind.BEAT,
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


_WITHOUT_PEER = (Fire, Stored, Propose, Read)
"""The most frequent events that are about no other node."""


def peer_of(event: Event) -> NodeId | None:
    """The other node an event is about."""
    if type(event) is Receive:
        return event.src
    if type(event) in _WITHOUT_PEER:
        return None
    match event:
        case SnapshotGone(peer=peer) | Unreachable(peer=peer) | AllowRevert(peer=peer):
            return peer
        case TransferLeader(to=peer):
            return peer
        case _:
            return None


def record_step(
    step: Step,
    *,
    id: EventId,
    time: float,
    kind: Kind | None = None,
    cause: EventId | None = None,
    message: MessageId | None = None,
    sent: Sequence[Flight] = (),
    replies: Sequence[Reply] = (),
    detail: str = "",
) -> Record:
    """The record of one step of a node, as simulated and live nodes make it.

    ``message`` is the id of the one received, ``sent`` what left because of it. ``kind`` is that of the event, unless
    the driver knows better, as it does of a first start. ``detail`` is what the driver says; the step's alarms follow.
    """
    for command in step.commands:
        if type(command) is Alarm or type(command) is Halt:
            detail = f"{detail}; {command}" if detail else str(command)
    kind, node, peer = kind or kind_of(step.event), step.after.id, peer_of(step.event)
    return Record(id, time, kind, node, cause, step, peer, message, tuple(sent), tuple(replies), detail)


def reply_to(message: AnyMessage, received: MessageId | None) -> MessageId | None:
    """The id of the message that ``message`` answers, if it is an answer; ``received`` is what its sender received."""
    return received if type(message) in ANSWERS else None


def reply(request: RequestId, result: Any) -> Reply:
    """The end of a call, by its value or by the ``PyraftError`` that its caller gets."""
    if isinstance(result, PyraftError):
        return Reply(request=request, ok=False, error=str(result))
    return Reply(request=request, ok=True, value=result)


def gap(id: EventId, *, node: NodeId, time: float, count: int, state: RaftState | None = None) -> Record:
    """The record that says how many records of a node are missing since ``time``; ``state`` is its state now."""
    detail = f"{count} {MISSING}" if count else STATE_KNOWN
    return Record(id=id, time=time, kind=Kind.GAP, node=node, detail=detail, state=state)


def missing_in(record: Record) -> int:
    """How many records are missing, as a record of :func:`gap` tells."""
    count = record.detail.partition(" ")[0]
    return int(count) if record.kind is Kind.GAP and count.isdecimal() else 0
