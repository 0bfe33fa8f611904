"""Commands: all that the engine may want done, in the order it wants it; and how it refuses."""

from enum import StrEnum

from msgspec import Struct

from pyraft_lab.engine.log import Entry, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import Index, LogId, NodeId, RequestId, Vote


class Reason(StrEnum):
    """Why a request was refused, so that a client knows whether to go elsewhere or to wait."""

    NOT_LEADER = "not the leader"
    TRANSFER = "leadership is being transferred"
    LEASE = "the leader has lost touch with its quorum"
    NO_LEASE = "the leader holds no lease to read by at the moment; a read by index needs none"
    FENCED = "another leadership than the one asked for"
    UNINITIALIZED = "the node belongs to no cluster"


class NotLeading(Struct, frozen=True, tag=True):
    """Nothing was appended; ``leader`` is whom to ask, ``None`` means later (openraft ForwardToLeader)."""

    leader: NodeId | None
    reason: Reason


class TooManyUncommitted(Struct, frozen=True, tag=True):
    """Uncommitted bytes beyond the configured limit."""

    waiting: int
    limit: int


class NoQuorum(Struct, frozen=True, tag=True):
    """A read that found no quorum; ``got`` answered its round."""

    got: tuple[NodeId, ...]
    membership: Membership


class InProgress(Struct, frozen=True, tag=True):
    """The effective membership is not committed, or nothing of this leadership is yet."""

    committed: LogId
    effective: LogId


class NoSuchLearner(Struct, frozen=True, tag=True):
    """A voter has to be a known node first."""

    node: NodeId


class NoVoters(Struct, frozen=True, tag=True):
    """Somebody must vote."""


class PreconditionNotMet(Struct, frozen=True, tag=True):
    """A precondition of a guarded change does not hold."""

    what: str
    expected: str
    actual: str


class AlreadyInitializedLog(Struct, frozen=True, tag=True):
    """initialize() found a log or a vote."""

    last: LogId
    vote: Vote


class NotMember(Struct, frozen=True, tag=True):
    """A node can only do this for a membership in which it votes, or to a node that votes in it."""

    node: NodeId
    membership: Membership


class NothingToDo(Struct, frozen=True, tag=True):
    """The request is lawful and changes nothing; ``why`` says what stands already."""

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


class SaveVote(Struct, frozen=True, tag=True):
    """Write the vote."""

    vote: Vote


class Append(Struct, frozen=True, tag=True):
    """Write entries behind the last one."""

    entries: tuple[Entry, ...]


class Truncate(Struct, frozen=True, tag=True):
    """Remove every entry behind ``after``."""

    after: Index


class SaveSnapshot(Struct, frozen=True, tag=True):
    """Keep the snapshot the machine has just built."""

    meta: SnapshotMeta


class Purge(Struct, frozen=True, tag=True):
    """Remove every entry up to ``upto``; the snapshot has them."""

    upto: LogId


class WriteChunk(Struct, frozen=True, tag=True):
    """Write bytes of a snapshot that is arriving; offset 0 begins a new one."""

    meta: SnapshotMeta
    offset: int
    data: bytes


class InstallSnapshot(Struct, frozen=True, tag=True):
    """The arrived snapshot is whole: it replaces the log up to its end, in one atomic step."""

    meta: SnapshotMeta


StorageCommand = SaveVote | Append | Truncate | SaveSnapshot | Purge | WriteChunk | InstallSnapshot


class Send(Struct, frozen=True, tag=True):
    """Send a message; a durable one leaves when all storage commands before it are on disk (DESIGN: durability)."""

    dst: NodeId
    message: AnyMessage
    durable: bool = False


class SendChunk(Struct, frozen=True, tag=True, kw_only=True):
    """Send bytes of a stored snapshot as a ``SnapshotRequest``; the driver reads them from its disk."""

    dst: NodeId
    vote: Vote
    meta: SnapshotMeta
    offset: int
    length: int
    round: int


class SetTimer(Struct, frozen=True, tag=True):
    """Start the timer anew; ``patience`` counts how much longer than usual it should run."""

    timer: Timer
    backoff: int = 0


class CancelTimer(Struct, frozen=True, tag=True):
    """Stop the timer; key 0 stops every timer of its kind."""

    timer: Timer


class Apply(Struct, frozen=True, tag=True):
    """Committed: hand these entries to the state machine, in order."""

    entries: tuple[Entry, ...]


class TakeSnapshot(Struct, frozen=True, tag=True):
    """Build a snapshot of the machine as it is after everything applied so far; answer with ``SnapshotBuilt``."""

    last: LogId
    membership: Membership
    membership_id: LogId


class RestoreMachine(Struct, frozen=True, tag=True):
    """Replace the machine's state by the snapshot's."""

    meta: SnapshotMeta


class Accepted(Struct, frozen=True, tag=True):
    """Request ``i`` was appended at ``first.index + i``; what becomes of it, ``Apply`` will tell."""

    requests: tuple[RequestId, ...]
    first: LogId


class Readable(Struct, frozen=True, tag=True):
    """These reads are linearizable as soon as everything up to ``at`` is applied (openraft ReadLogId)."""

    requests: tuple[RequestId, ...]
    at: LogId


class Refuse(Struct, frozen=True, tag=True):
    """These requests are refused and have left no trace."""

    requests: tuple[RequestId, ...]
    refusal: Refusal


class Done(Struct, frozen=True, tag=True):
    """An operator's request has been carried out."""

    request: RequestId


class Alarm(Struct, frozen=True, tag=True):
    """Something an operator should see; the node goes on."""

    peer: NodeId
    what: str

    def __str__(self) -> str:
        return f"alarm about node {self.peer}: {self.what}"


class Halt(Struct, frozen=True, tag=True):
    """What happened is impossible in a correct cluster: stop this node before it does harm."""

    why: str


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
