"""The paper's Figure 2 as values: what survives a crash, what every server remembers, what a leader knows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, assert_never, cast

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Append,
    Command,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SaveVote,
    StorageCommand,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Event
from pyraft_lab.engine.log import Configuration, Log, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import NO_NODE, ORIGIN, Index, LogId, NodeId, RequestId, Term, Vote

if TYPE_CHECKING:
    from pyraft_lab.engine.rules import Rules

UNINITIALIZED = Membership()
"""The membership of a node that belongs to no cluster."""


class Disk(Struct, frozen=True, cache_hash=True):
    """All that survives a crash: the vote, the log, and what the snapshot stands for."""

    vote: Vote = Vote()
    log: Log = Log()
    snapshot: SnapshotMeta | None = None

    def after(self, command: StorageCommand) -> "Disk":
        """The disk once ``command`` is carried out."""
        match command:
            case SaveVote(vote):
                return replace(self, vote=vote)
            case Append(entries):
                return replace(self, log=self.log.append(entries))
            case Truncate(after):
                return replace(self, log=self.log.truncate(after))
            case Purge(upto):
                return replace(self, log=self.log.purge(upto))
            case SaveSnapshot(meta):
                return replace(self, snapshot=meta)
            case InstallSnapshot(meta):
                return replace(self, snapshot=meta, log=self.log.purge(meta.last))
            case WriteChunk():
                return self
            case _:
                assert_never(command)


class Probe(Struct, frozen=True, tag=True):
    """It is not known where the logs agree: one message at a time; ``asked`` while it is unanswered."""

    asked: bool = False


class Batch(Struct, frozen=True, array_like=True, gc=False):
    """One unanswered message of a pipeline: its last index and its bytes."""

    last: Index
    size: int


class Replicate(Struct, frozen=True, tag=True):
    """The logs agree: messages follow each other unanswered, as many as the window allows (dissertation §10.2.1)."""

    inflight: tuple[Batch, ...] = ()


class SendSnapshot(Struct, frozen=True, tag=True):
    """The peer needs a snapshot: chunk by chunk from ``offset``; ``asked`` while one is unanswered.

    ``tries`` counts how often in a row its retry timer ran out, or the transport gave up, without a byte of progress.
    """

    meta: SnapshotMeta
    offset: int = 0
    asked: bool = False
    tries: int = 0


class Reverted(Struct, frozen=True, tag=True):
    """The peer lost entries it had acknowledged; nothing is sent until an operator allows it."""


ProgressState = Probe | Replicate | SendSnapshot | Reverted


class Progress(Struct, frozen=True, kw_only=True):
    """What the leader knows of one peer: the paper's matchIndex and nextIndex, and how to go on.

    ``last_ack_round`` is the last heartbeat round the peer answered, ``last_append_round`` the last in which it took
    an append, ``since`` the round in which this record began (older answers belong to an earlier life of the peer),
    ``match_round`` the round in which ``matched`` last rose, ``told`` the commit index it was sent, ``failures`` how
    often in a row it let a retry timer run out, ``may_revert`` an operator's permission to start again from nothing.
    """

    peer: NodeId
    next: Index
    since_round: int
    matched: Index = 0
    state: ProgressState = Probe()
    last_ack_round: int = 0
    last_append_round: int = 0
    match_round: int = 0
    commit_sent: Index = 0
    failures: int = 0
    may_revert: bool = False


class PendingRead(Struct, frozen=True):
    """Reads that wait for a quorum to answer ``round``; ``at`` is where they may then be served."""

    requests: tuple[RequestId, ...]
    at: LogId
    round: int


class PendingTransfer(Struct, frozen=True):
    """Leadership goes to ``to``; ``asked`` once its TimeoutNow is out (dissertation §3.10)."""

    to: NodeId
    asked: bool = False


class Follower(Struct, frozen=True, tag=True):
    """Follows ``leader`` (0: nobody known); while ``has_heard_leader`` it refuses to vote against it."""

    leader: NodeId = NO_NODE
    has_heard_leader: bool = False


class Learner(Struct, frozen=True, tag=True):
    """Receives the log and does not vote."""

    leader: NodeId = NO_NODE
    has_heard_leader: bool = False


class PreCandidate(Struct, frozen=True, tag=True, kw_only=True):
    """Has asked whether an election could be won; nothing durable has changed."""

    granted: frozenset[NodeId]
    refused: frozenset[NodeId] = frozenset()
    has_heard_leader: bool = False


class Candidate(Struct, frozen=True, tag=True, kw_only=True):
    """Has voted for itself and asked the others.

    ``has_heard_leader`` where an operator ordered it while a leader was heard: that leader's lease may rest on this
    node, so its own vote does not count, and nobody gets another, until the loyalty is over.
    """

    granted: frozenset[NodeId] = frozenset()
    refused: frozenset[NodeId] = frozenset()
    has_heard_leader: bool = False


class Leader(Struct, frozen=True, tag=True, kw_only=True):
    """Leads: a record for every peer, rounds of contact, waiting reads, a transfer under way.

    ``noop`` is the index of its first entry: before that commits it may answer no read and change no membership.
    ``acked_round`` is the last round a quorum answered, ``expired_round`` the last whose lease ran out: the lease
    holds while the former is greater. ``transfer_sent`` is the end of the log for which a TimeoutNow may be out there
    (0: none): a lease rests only on those who hold more (:func:`~pyraft_lab.engine.rules.lease_holds` says why).
    """

    noop: Index
    progress: tuple[Progress, ...] = ()
    round: int = 0
    acked_round: int = 0
    expired_round: int = -1
    reads: tuple[PendingRead, ...] = ()
    transfer: PendingTransfer | None = None
    transfer_sent: Index = 0

    def of(self, peer: NodeId) -> Progress | None:
        """The record of ``peer``, if it is replicated to."""
        return next((one for one in self.progress if one.peer == peer), None)

    def with_progress(self, changed: Progress) -> "Leader":
        """This leader with one record changed."""
        return replace(self, progress=tuple(changed if one.peer == changed.peer else one for one in self.progress))


Role = Follower | Learner | PreCandidate | Candidate | Leader
RoleName = Literal["follower", "learner", "precandidate", "candidate", "leader"]


class Incoming(Struct, frozen=True):
    """A snapshot that is arriving: its bytes up to ``offset`` are here and have this running checksum."""

    meta: SnapshotMeta
    offset: int = 0
    checksum: int = 0


class RaftState(Struct, frozen=True, kw_only=True):
    """One server between two events: Figure 2 box for box; hashable, without clock or callables.

    ``stored`` is the last log id known to be durable under the present vote, ``stored_vote`` the last durable vote.
    ``attempted`` is where the last snapshot build started, ``building`` while one runs. ``halted`` says why a
    node that met the impossible has stopped.
    """

    id: NodeId
    config: Config = Config()
    disk: Disk = Disk()
    stored: LogId = ORIGIN
    stored_vote: Vote = Vote()
    role: Role = Learner()
    committed: Index = 0
    applied: Index = 0
    incoming: Incoming | None = None
    building: bool = False
    attempted: Index = 0
    halted: str = ""

    @property
    def vote(self) -> Vote:
        """currentTerm and votedFor."""
        return self.disk.vote

    @property
    def term(self) -> Term:
        """currentTerm."""
        return self.disk.vote.term

    @property
    def log(self) -> Log:
        """The log."""
        return self.disk.log

    @property
    def snapshot_last(self) -> LogId:
        """The last log id the snapshot covers."""
        return self.disk.snapshot.last if self.disk.snapshot else ORIGIN

    @property
    def membership(self) -> Membership:
        """The effective membership: the last in the log, committed or not (§6)."""
        return self.membership_at(self.log.last.index)

    @property
    def membership_id(self) -> LogId:
        """The log id of the effective membership."""
        return self.membership_id_at(self.log.last.index)

    @property
    def committed_membership(self) -> Membership:
        """The last membership known to be committed: one is appended only when the one before it is.

        So a node that has restarted, and knows of no commit yet, still knows this much of its log.
        """
        return self.membership_at(max(self.committed, self.membership_id.index - 1))

    def membership_at(self, index: Index) -> Membership:
        """The membership that governs up to ``index``."""
        for place in reversed(self.log.configs):
            if place <= index:
                payload = self.log.entry(place).payload
                assert isinstance(payload, Configuration), "configs holds the places of membership entries"
                return payload.membership
        return self.disk.snapshot.membership if self.disk.snapshot else UNINITIALIZED

    def membership_id_at(self, index: Index) -> LogId:
        """The log id of the membership that governs up to ``index``."""
        for place in reversed(self.log.configs):
            if place <= index:
                return self.log.entry(place).id
        return self.disk.snapshot.membership_id if self.disk.snapshot else ORIGIN

    @property
    def role_name(self) -> RoleName:
        """The role in a word."""
        return cast("RoleName", type(self.role).__name__.lower())

    @property
    def leader(self) -> NodeId:
        """Whom this node believes to lead; 0 for nobody."""
        match self.role:
            case Follower(leader) | Learner(leader):
                return leader
            case Leader():
                return self.id
            case PreCandidate() | Candidate():
                return NO_NODE
            case _:
                assert_never(self.role)

    @property
    def is_alone(self) -> bool:
        """Whether this node is a quorum by itself."""
        return self.membership.is_quorum((self.id,))

    @property
    def matched(self) -> Mapping[NodeId, Index]:
        """matchIndex of everybody; its own is what its disk holds, not what its memory does (dissertation §10.2.1)."""
        peers = self.role.progress if isinstance(self.role, Leader) else ()
        return {one.peer: one.matched for one in peers} | {self.id: self.stored.index}


class Step(Struct, frozen=True):
    """One turn of Raft, and the only currency of the house: traces, figures and checks are functions of steps.

    ``rules`` is the table that decided it (``None``: Raft's own, ``RAFT``), so that whoever explains the step asks the
    rules of its own run (:mod:`pyraft_lab.engine.consult`). ``overdue`` are timers whose time had passed and that a
    ``fires_first`` other than Raft's own let wait.
    """

    before: RaftState
    event: Event
    after: RaftState
    commands: tuple[Command, ...]
    rules: "Rules | None" = None
    overdue: tuple[Timer, ...] = ()
