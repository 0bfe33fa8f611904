"""The paper's Figure 2 as values: the persistent, the volatile and the leader's state of a server."""

from bisect import bisect_left
from collections.abc import Mapping
from operator import attrgetter
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
"""The membership of a node without a cluster."""


class Disk(Struct, frozen=True, cache_hash=True, gc=False):
    """The persistent state, which survives a crash: vote, log, and metadata of the stored snapshot."""

    vote: Vote = Vote()
    log: Log = Log()
    snapshot: SnapshotMeta | None = None

    def after(self, command: StorageCommand) -> "Disk":
        """The disk after ``command``."""
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


class Probe(Struct, frozen=True, tag=True, gc=False):
    """It is unknown where the logs agree: send one message at a time; ``asked`` while it is unanswered."""

    asked: bool = False


class Inflight(Struct, frozen=True, array_like=True, gc=False):
    """One unanswered message of a pipeline: its last index and its bytes."""

    last: Index
    size: int


class Replicate(Struct, frozen=True, tag=True, gc=False):
    """The logs agree: send messages without waiting for answers, up to the window (dissertation §10.2.1)."""

    inflight: tuple[Inflight, ...] = ()


class SendSnapshot(Struct, frozen=True, tag=True, gc=False):
    """The peer needs a snapshot: send it in chunks from byte ``offset``; ``asked`` while one is unanswered.

    ``tries`` counts how often in a row its retry timer ran out, or the transport gave up, without a byte of progress.
    """

    meta: SnapshotMeta
    offset: int = 0
    asked: bool = False
    tries: int = 0


class Reverted(Struct, frozen=True, tag=True, gc=False):
    """The peer lost entries it had acknowledged; nothing is sent until an operator allows it."""


ProgressState = Probe | Replicate | SendSnapshot | Reverted


class Progress(Struct, frozen=True, kw_only=True, gc=False):
    """What the leader knows of one peer: the paper's matchIndex and nextIndex, and the state of replication.

    ``last_ack_round`` is the last heartbeat round the peer answered, ``last_append_round`` the last in which it took
    an append, ``since_round`` the round in which this record began (older answers belong to an earlier record),
    ``match_round`` the round in which ``matched`` last rose, ``commit_sent`` the commit index it was sent,
    ``failures`` how many retry timers in a row fired, ``may_revert`` an operator's permission to start again with an
    empty log.
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


_PEER, _MATCHED = attrgetter("peer"), attrgetter("peer", "matched")


class PendingRead(Struct, frozen=True, gc=False):
    """Reads that wait for a quorum to answer ``round``; they may then be served once ``at`` is applied."""

    requests: tuple[RequestId, ...]
    at: LogId
    round: int


class PendingTransfer(Struct, frozen=True, gc=False):
    """A leadership transfer to node ``to``; ``asked`` once TimeoutNow is sent (dissertation §3.10)."""

    to: NodeId
    asked: bool = False


class Follower(Struct, frozen=True, tag=True, gc=False):
    """Follows ``leader`` (0: unknown); while ``has_heard_leader`` (its vote lease) it refuses to vote against it."""

    leader: NodeId = NO_NODE
    has_heard_leader: bool = False


class Learner(Struct, frozen=True, tag=True, gc=False):
    """Receives the log and does not vote."""

    leader: NodeId = NO_NODE
    has_heard_leader: bool = False


class PreCandidate(Struct, frozen=True, tag=True, kw_only=True, gc=False):
    """Has asked the other voters how they would vote; nothing durable has changed (dissertation §9.6)."""

    granted: frozenset[NodeId]
    refused: frozenset[NodeId] = frozenset()
    has_heard_leader: bool = False


class Candidate(Struct, frozen=True, tag=True, kw_only=True, gc=False):
    """Has voted for itself and asked the others.

    ``has_heard_leader`` if an operator started the campaign within a vote lease: a leader's lease may rest on this
    node, so its own vote does not count and it grants no other until the vote lease is over.
    """

    granted: frozenset[NodeId] = frozenset()
    refused: frozenset[NodeId] = frozenset()
    has_heard_leader: bool = False


class Leader(Struct, frozen=True, tag=True, kw_only=True, gc=False):
    """Leads: holds a progress record for every peer, heartbeat rounds, waiting reads, and a transfer if one runs.

    ``noop`` is the index of its first entry: until that commits it answers no read and changes no membership.
    ``acked_round`` is the last round a quorum answered, ``expired_round`` the last whose lease expired: the lease is
    valid while the former is greater. ``transfer_sent`` is the log's end in a TimeoutNow that may still be on its way
    (0: none): a lease rests only on nodes that hold more (see :func:`~pyraft_lab.engine.rules.has_valid_lease`).
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
        """The progress record of ``peer``; ``None`` if there is none."""
        for one in self.progress:
            if one.peer == peer:
                return one
        return None

    def with_progress(self, changed: Progress) -> "Leader":
        """This leader with the progress record of one peer replaced; they are in order of their peers."""
        place = bisect_left(self.progress, changed.peer, key=_PEER)
        return replace(self, progress=(*self.progress[:place], changed, *self.progress[place + 1 :]))


Role = Follower | Learner | PreCandidate | Candidate | Leader
RoleName = Literal["follower", "learner", "precandidate", "candidate", "leader"]


class Incoming(Struct, frozen=True, gc=False):
    """A snapshot that is arriving: ``offset`` bytes have arrived, and ``checksum`` is theirs so far."""

    meta: SnapshotMeta
    offset: int = 0
    checksum: int = 0


class RaftState(Struct, frozen=True, kw_only=True, gc=False):
    """The state of one server between two events (Figure 2); hashable, without clock or callables.

    ``stored`` is the last log id known to be durable under the current vote, ``stored_vote`` the last durable vote.
    ``attempted`` is the index at which the last snapshot build started, ``building`` while one runs. ``halted`` says
    why the node has stopped: it saw something impossible in a correct cluster.
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
        """log[]: the entries after ``snapshot_last``, as written (Figure 2)."""
        return self.disk.log

    @property
    def snapshot_last(self) -> LogId:
        """The last log id that the stored snapshot covers."""
        return self.disk.snapshot.last if self.disk.snapshot else ORIGIN

    @property
    def membership(self) -> Membership:
        """The effective membership: the last in the log, committed or not (§6)."""
        log = self.disk.log
        if not log.configs:
            return self.membership_at(log.last.index)
        payload = log.entry(log.configs[-1]).payload  # asked twice an event: straight to the last one
        assert isinstance(payload, Configuration), "configs holds the places of membership entries"
        return payload.membership

    @property
    def membership_id(self) -> LogId:
        """The log id of the effective membership."""
        return self.membership_id_at(self.log.last.index)

    @property
    def committed_membership(self) -> Membership:
        """The last membership known to be committed: a new one is appended only when the one before is committed.

        So a restarted node, which knows of no commit yet, still knows this one.
        """
        return self.membership_at(max(self.committed, self.membership_id.index - 1))

    def membership_at(self, index: Index) -> Membership:
        """The membership in effect at ``index``."""
        entry = self.disk.log.configuration(index)
        if entry is None:
            return self.disk.snapshot.membership if self.disk.snapshot else UNINITIALIZED
        assert isinstance(entry.payload, Configuration), "configs holds the places of membership entries"
        return entry.payload.membership

    def membership_id_at(self, index: Index) -> LogId:
        """The log id of the membership in effect at ``index``."""
        entry = self.disk.log.configuration(index)
        if entry is None:
            return self.disk.snapshot.membership_id if self.disk.snapshot else ORIGIN
        return entry.id

    @property
    def role_name(self) -> RoleName:
        """``follower``, ``learner``, ``precandidate``, ``candidate`` or ``leader``."""
        return cast("RoleName", type(self.role).__name__.lower())

    def progress_of(self, peer: NodeId) -> "Progress | None":
        """What this node, if it leads, knows about a peer; ``None`` if it does not lead or has no such peer."""
        return self.role.of(peer) if isinstance(self.role, Leader) else None

    @property
    def leader(self) -> NodeId:
        """The leader this node knows; 0 if it knows none."""
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
        """matchIndex of every member; the leader's own is what is on its disk (dissertation §10.2.1)."""
        peers = self.role.progress if isinstance(self.role, Leader) else ()
        return dict(map(_MATCHED, peers)) | {self.id: self.stored.index}


class Step(Struct, frozen=True, gc=False):
    """One step of Raft: state before, event, state after, commands. Traces, figures and checks are functions of steps.

    ``rules`` is the table that decided it (``None``: Raft's own, ``RAFT``), so that an explanation of the step asks the
    rules of its own run (:mod:`pyraft_lab.engine.consult`). ``overdue`` are overdue timers that a ``fires_first`` other
    than Raft's own postponed.
    """

    before: RaftState
    event: Event
    after: RaftState
    commands: tuple[Command, ...]
    rules: "Rules | None" = None
    overdue: tuple[Timer, ...] = ()
