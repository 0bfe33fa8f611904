"""Commands: everything the engine asks of its driver, to be carried out in order; and its reasons for a refusal."""

from enum import StrEnum

from msgspec import Struct

from pyraft_lab.engine.log import Entry, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AnyMessage, SnapshotRequest
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import Index, LogId, NodeId, RequestId, Vote


class Reason(StrEnum):
    """Why a request was refused: the client then knows whether to ask another node or to wait."""

    NOT_LEADER = "not the leader"
    TRANSFER = "leadership is being transferred"
    LEASE = "the leader has lost touch with its quorum"
    NO_LEASE = "the leader holds no lease to read by at the moment; a read by index needs none"
    FENCED = "another leadership than the one asked for"
    UNINITIALIZED = "the node belongs to no cluster"


class NotLeading(Struct, frozen=True, tag=True, gc=False):
    """Refused, nothing was appended: ask ``leader``, or retry later if it is ``None`` (openraft ForwardToLeader)."""

    leader: NodeId | None
    reason: Reason


class TooManyUncommitted(Struct, frozen=True, tag=True, gc=False):
    """Refused: the writes would take the leader beyond ``limit``, its maximum of uncommitted bytes."""

    waiting: int
    limit: int


class NoQuorum(Struct, frozen=True, tag=True, gc=False):
    """A read failed: its heartbeat round found no quorum; ``got`` lists the nodes that did answer."""

    got: tuple[NodeId, ...]
    membership: Membership


class InProgress(Struct, frozen=True, tag=True, gc=False):
    """Refused: the effective membership is not committed yet, or no entry of this leadership is."""

    committed: LogId
    effective: LogId


class NoSuchLearner(Struct, frozen=True, tag=True, gc=False):
    """Refused: a new voter must be a node of the membership, such as a learner, before it is promoted."""

    node: NodeId


class NoVoters(Struct, frozen=True, tag=True, gc=False):
    """Refused: the change would leave no voters."""


class PreconditionNotMet(Struct, frozen=True, tag=True, gc=False):
    """Refused: a precondition of the change does not hold; its name, the wanted value and the found one."""

    what: str
    expected: str
    actual: str


class AlreadyInitializedLog(Struct, frozen=True, tag=True, gc=False):
    """Refused: ``Initialize`` works only on a node without a log and a vote."""

    last: LogId
    vote: Vote


class NotMember(Struct, frozen=True, tag=True, gc=False):
    """Refused: the request needs a node that is a voter of ``membership``."""

    node: NodeId
    membership: Membership


class NothingToDo(Struct, frozen=True, tag=True, gc=False):
    """Refused: the request is valid but would change nothing; ``why`` says what is already so."""

    why: str


Refusal = (
    NotLeading
    | TooManyUncommitted
    | NoQuorum
    | InProgress
    | NoSuchLearner
    | NoVoters
    | PreconditionNotMet
    | AlreadyInitializedLog
    | NotMember
    | NothingToDo
)


class SaveVote(Struct, frozen=True, tag=True, gc=False):
    """Write the vote to the disk (currentTerm and votedFor, Figure 2)."""

    vote: Vote


class Append(Struct, frozen=True, tag=True, gc=False):
    """Append entries to the log on the disk."""

    entries: tuple[Entry, ...]


class Truncate(Struct, frozen=True, tag=True, gc=False):
    """Remove every entry after index ``after``."""

    after: Index


class SaveSnapshot(Struct, frozen=True, tag=True, gc=False):
    """Store the snapshot that the machine has just built; it replaces the stored one."""

    meta: SnapshotMeta


class Purge(Struct, frozen=True, tag=True, gc=False):
    """Remove every entry up to and including ``upto``; the snapshot covers them."""

    upto: LogId


class WriteChunk(Struct, frozen=True, tag=True, gc=False):
    """Write bytes of an arriving snapshot at byte ``offset``; offset 0 begins a new snapshot."""

    meta: SnapshotMeta
    offset: int
    data: bytes


class InstallSnapshot(Struct, frozen=True, tag=True, gc=False):
    """Install the arrived snapshot, which is complete: it replaces the log up to its end, in one atomic step."""

    meta: SnapshotMeta


StorageCommand = SaveVote | Append | Truncate | SaveSnapshot | Purge | WriteChunk | InstallSnapshot


class Send(Struct, frozen=True, tag=True, gc=False):
    """Send a message; a ``durable`` one waits until all storage commands before it are on disk (§5.1)."""

    dst: NodeId
    message: AnyMessage
    durable: bool = False


class SendChunk(Struct, frozen=True, tag=True, kw_only=True, gc=False):
    """Send ``length`` bytes of a stored snapshot as a ``SnapshotRequest``; the driver reads them from its disk."""

    dst: NodeId
    vote: Vote
    meta: SnapshotMeta
    offset: int
    length: int
    round: int

    def request(self, data: bytes) -> SnapshotRequest:
        """The message with these bytes, which are fewer than ``length`` only at the end of the snapshot."""
        return SnapshotRequest(
            vote=self.vote,
            meta=self.meta,
            offset=self.offset,
            data=data,
            done=self.offset + len(data) >= self.meta.size,
            round=self.round,
        )


class SetTimer(Struct, frozen=True, tag=True, gc=False):
    """Start or restart a timer; ``backoff`` counts failures in a row, and each lengthens it (see ``timers.delay``)."""

    timer: Timer
    backoff: int = 0


class CancelTimer(Struct, frozen=True, tag=True, gc=False):
    """Stop a timer; key 0 stops every timer of its kind."""

    timer: Timer


class Apply(Struct, frozen=True, tag=True, gc=False):
    """Apply these committed entries to the state machine, in order."""

    entries: tuple[Entry, ...]


class TakeSnapshot(Struct, frozen=True, tag=True, gc=False):
    """Build a snapshot of the machine after everything applied so far; the driver answers with ``SnapshotBuilt``."""

    last: LogId
    membership: Membership
    membership_id: LogId


class RestoreMachine(Struct, frozen=True, tag=True, gc=False):
    """Replace the machine's state by the snapshot's."""

    meta: SnapshotMeta


class Accepted(Struct, frozen=True, tag=True, gc=False):
    """Request ``i`` was appended at ``first.index + i``; ``Apply`` completes it later."""

    requests: tuple[RequestId, ...]
    first: LogId


class Readable(Struct, frozen=True, tag=True, gc=False):
    """These reads are linearizable once everything up to ``at`` is applied (openraft ReadLogId)."""

    requests: tuple[RequestId, ...]
    at: LogId


class Refuse(Struct, frozen=True, tag=True, gc=False):
    """These requests are refused; they changed nothing."""

    requests: tuple[RequestId, ...]
    refusal: Refusal


class Done(Struct, frozen=True, tag=True, gc=False):
    """An operator's request has been carried out in full."""

    request: RequestId


class Alarm(Struct, frozen=True, tag=True, gc=False):
    """Report something unusual about ``peer`` to the operator; the node continues."""

    peer: NodeId
    what: str

    def __str__(self) -> str:
        return f"alarm about node {self.peer}: {self.what}"


class Halt(Struct, frozen=True, tag=True, gc=False):
    """Stop this node before it does harm: ``why`` names something that is impossible in a correct cluster."""

    why: str

    def __str__(self) -> str:
        return f"halted: {self.why}"


Command = (
    StorageCommand
    | Send
    | SendChunk
    | SetTimer
    | CancelTimer
    | Apply
    | TakeSnapshot
    | RestoreMachine
    | Accepted
    | Readable
    | Refuse
    | Done
    | Alarm
    | Halt
)
