"""The messages between servers, as tagged values that the wire decoder checks (Figure 2)."""

from msgspec import Struct

from pyraft_lab.engine.log import Entry, SnapshotMeta
from pyraft_lab.engine.types import Index, LogId, Vote


class Message(Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A message between servers; the sender's ``vote`` is compared before anything else is read (§5.1)."""

    vote: Vote


class PreVoteRequest(Message, frozen=True, tag="PreVoteRequest", array_like=True, kw_only=True):
    """Asks whether the receiver would vote for the sender; ``vote`` is the one it would ask for (dissertation §9.6)."""

    last: LogId


class PreVoteResponse(Message, frozen=True, tag="PreVoteResponse", array_like=True, kw_only=True):
    """Answers a pre-vote; ``asked`` is the request's vote. A grant promises nothing and changes nothing."""

    asked: Vote
    granted: bool
    last: LogId


class VoteRequest(Message, frozen=True, tag="VoteRequest", array_like=True, kw_only=True):
    """RequestVote (§5.2): ``last`` ends the candidate's log; ``transfer`` overrides leases (dissertation §3.10)."""

    last: LogId
    transfer: bool = False


class VoteResponse(Message, frozen=True, tag="VoteResponse", array_like=True, kw_only=True):
    """Answers a vote request: a grant counts if ``vote`` and ``asked`` are the candidate's.

    ``last`` is the end of the voter's log, so that a losing candidate learns of a more up-to-date one.
    """

    asked: Vote
    granted: bool
    last: LogId


class AppendRequest(Message, frozen=True, tag="AppendRequest", array_like=True, kw_only=True):
    """AppendEntries (§5.3): the entries right after ``prev``, and the leader's commit index.

    ``round`` is the leader's heartbeat round. An answer proves that the follower accepted the leader
    after the round began; leases and linearizable reads rest on this.
    """

    prev: LogId
    entries: tuple[Entry, ...] = ()
    commit: Index = 0
    round: int = 0


class AppendAccepted(Message, frozen=True, tag="AppendAccepted", array_like=True, kw_only=True):
    """The follower's log matches the leader's up to index ``matched``, on disk."""

    matched: LogId
    round: int = 0


class AppendRefused(Message, frozen=True, tag="AppendRefused", array_like=True, kw_only=True):
    """The follower lacks ``prev``; ``hint`` is its last entry that may still match (skips a whole term, §5.3 end).

    ``empty`` if its log holds nothing at all: the follower is new, or has lost its disk.
    """

    prev: LogId
    hint: LogId
    round: int = 0
    empty: bool = False


class HeartbeatRequest(Message, frozen=True, tag="HeartbeatRequest", array_like=True, kw_only=True):
    """The sender still leads; ``matched`` is the index the receiver acknowledged, and ``commit`` never exceeds it."""

    matched: LogId
    commit: Index = 0
    round: int = 0


class HeartbeatResponse(Message, frozen=True, tag="HeartbeatResponse", array_like=True, kw_only=True):
    """The follower received the leader's heartbeat of ``round``."""

    round: int = 0


class SnapshotRequest(Message, frozen=True, tag="SnapshotRequest", array_like=True, kw_only=True):
    """InstallSnapshot (§7): a snapshot's bytes from ``offset``; ``done`` with the last chunk."""

    meta: SnapshotMeta
    offset: int
    data: bytes
    done: bool
    round: int = 0


class SnapshotResponse(Message, frozen=True, tag="SnapshotResponse", array_like=True, kw_only=True):
    """The follower holds the snapshot's bytes up to ``offset``: continue from there."""

    last: LogId
    offset: int
    round: int = 0


class TimeoutNow(Message, frozen=True, tag="TimeoutNow", array_like=True, kw_only=True):
    """The leader asks this node to campaign at once (dissertation §3.10).

    A node whose log does not end with ``last`` ignores it; ``None`` applies to any log: the sender no longer leads.
    """

    last: LogId | None = None


class Outdated(Message, frozen=True, tag="Outdated", array_like=True, kw_only=True):
    """Tells a stale leader that its leadership is over; ``vote`` is the newer one."""


LeaderMessage = AppendRequest | HeartbeatRequest | SnapshotRequest | TimeoutNow
FollowerMessage = AppendAccepted | AppendRefused | HeartbeatResponse | SnapshotResponse
CandidateMessage = PreVoteRequest | VoteRequest
VoterMessage = PreVoteResponse | VoteResponse
AnyMessage = LeaderMessage | FollowerMessage | CandidateMessage | VoterMessage | Outdated
