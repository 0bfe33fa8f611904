"""What servers say to each other, as tagged values that the wire decoder checks."""

from msgspec import Struct

from pyraft_lab.engine.log import Entry, SnapshotMeta
from pyraft_lab.engine.types import Index, LogId, Vote


class Message(Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What servers say to each other: the sender's vote always in front, compared before all else is read (§5.1)."""

    vote: Vote


class PreVoteRequest(Message, frozen=True, tag="PreVoteRequest", array_like=True, kw_only=True):
    """Would you vote for me? ``vote`` is the one I would ask for (dissertation §9.6)."""

    last: LogId


class PreVoteResponse(Message, frozen=True, tag="PreVoteResponse", array_like=True, kw_only=True):
    """``asked`` echoes the request; a grant promises nothing and changes nothing."""

    asked: Vote
    granted: bool
    last: LogId


class VoteRequest(Message, frozen=True, tag="VoteRequest", array_like=True, kw_only=True):
    """RequestVote (§5.2): ``last`` ends the candidate's log; ``transfer`` overrides leases (dissertation §3.10)."""

    last: LogId
    transfer: bool = False


class VoteResponse(Message, frozen=True, tag="VoteResponse", array_like=True, kw_only=True):
    """A grant counts if vote and ``asked`` echo the candidate's; ``last`` tells a loser that a greater log exists."""

    asked: Vote
    granted: bool
    last: LogId


class AppendRequest(Message, frozen=True, tag="AppendRequest", array_like=True, kw_only=True):
    """AppendEntries (§5.3): entries right behind ``prev``, and how far the leader has committed.

    ``round`` is the leader's heartbeat round; an answer proves that the follower accepted the leader
    after the round began, which is what leases and linearizable reads rest on.
    """

    prev: LogId
    entries: tuple[Entry, ...] = ()
    commit: Index = 0
    round: int = 0


class AppendAccepted(Message, frozen=True, tag="AppendAccepted", array_like=True, kw_only=True):
    """Everything up to ``matched`` is on my disk as it is on yours."""

    matched: LogId
    round: int = 0


class AppendRefused(Message, frozen=True, tag="AppendRefused", array_like=True, kw_only=True):
    """I lack ``prev``; ``hint`` is my last entry that may still match (it skips a whole term, §5.3 end).

    ``empty`` where my log holds nothing at all: I am new, or I lost my disk.
    """

    prev: LogId
    hint: LogId
    round: int = 0
    empty: bool = False


class HeartbeatRequest(Message, frozen=True, tag="HeartbeatRequest", array_like=True, kw_only=True):
    """I still lead. ``matched`` is what you acknowledged, ``commit`` never goes beyond it."""

    matched: LogId
    commit: Index = 0
    round: int = 0


class HeartbeatResponse(Message, frozen=True, tag="HeartbeatResponse", array_like=True, kw_only=True):
    """I heard you in this round."""

    round: int = 0


class SnapshotRequest(Message, frozen=True, tag="SnapshotRequest", array_like=True, kw_only=True):
    """InstallSnapshot (§7): the bytes of a snapshot from ``offset`` on; ``done`` with the last of them."""

    meta: SnapshotMeta
    offset: int
    data: bytes
    done: bool
    round: int = 0


class SnapshotResponse(Message, frozen=True, tag="SnapshotResponse", array_like=True, kw_only=True):
    """I hold the snapshot's bytes up to ``offset``: go on from there."""

    last: LogId
    offset: int
    round: int = 0


class TimeoutNow(Message, frozen=True, tag="TimeoutNow", array_like=True, kw_only=True):
    """The leader asks this node to campaign at once (dissertation §3.10).

    It is void for a log that does not end with ``last``; ``None`` where the sender leads no more, whatever comes of it.
    """

    last: LogId | None = None


class Outdated(Message, frozen=True, tag="Outdated", array_like=True, kw_only=True):
    """You speak for a leadership that is over; this is the vote I know."""


LeaderMessage = AppendRequest | HeartbeatRequest | SnapshotRequest | TimeoutNow
FollowerMessage = AppendAccepted | AppendRefused | HeartbeatResponse | SnapshotResponse
CandidateMessage = PreVoteRequest | VoteRequest
VoterMessage = PreVoteResponse | VoteResponse
AnyMessage = LeaderMessage | FollowerMessage | CandidateMessage | VoterMessage | Outdated
