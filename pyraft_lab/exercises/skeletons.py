"""The empty table: a Raft in which nothing is decided yet. Each function is the skeleton of one exercise.

Every one runs, and each fails in a way that teaches why its rule is there: nobody leads, nothing commits, a vote is
given twice.
"""

from collections.abc import Sequence

from pyraft_lab.engine.events import Event
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.membership import ChangeLike, Membership
from pyraft_lab.engine.messages import AnyMessage, AppendRequest, PreVoteRequest, VoteRequest, VoteResponse
from pyraft_lab.engine.rules import Rules, VoteRefusal
from pyraft_lab.engine.state import Leader, RaftState
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import Index, LogId, NodeId, Vote

# Elections


def supersedes(new: Vote, old: Vote) -> bool:
    """Whether ``new`` may replace ``old``."""
    return new.term > old.term  # what about two votes of one term?


def adopted_vote(vote: Vote) -> Vote:
    """The vote to adopt from a higher one in somebody's answer."""
    return vote  # is it yours to give?


def vote_refusal(state: RaftState, request: VoteRequest) -> VoteRefusal | None:  # noqa: ARG001
    """Why a vote is refused: a ``VoteRefusal``, or ``None`` to grant it."""
    return None  # grants every vote


def pre_vote_refusal(state: RaftState, request: PreVoteRequest) -> VoteRefusal | None:  # noqa: ARG001
    """Why the vote asked about would be refused; ``None`` if it would be granted."""
    return VoteRefusal.VOTE  # refuses everybody, so nobody ever campaigns


def may_campaign(state: RaftState) -> bool:  # noqa: ARG001
    """Whether a node whose election timer has fired starts an election (§5.2)."""
    return True  # learners too?


def answers_vote(vote: Vote, response: VoteResponse) -> bool:  # noqa: ARG001
    """Whether an answer belongs to the candidate's vote."""
    return response.granted  # of which election?


def has_won(membership: Membership, granted: frozenset[NodeId]) -> bool:  # noqa: ARG001
    """Whether the granted votes are enough."""
    return len(granted) >= 1  # one vote is not many


# The log


def log_matches(log: Log, prev: LogId) -> bool:
    """Whether the follower holds the entry before the new ones."""
    return prev.index <= log.last.index  # there is an entry at that index; is it the same one?


def new_entries(log: Log, entries: Sequence[Entry]) -> Sequence[Entry]:  # noqa: ARG001
    """The entries to append: the first that the log does not hold, and all after it."""
    return entries  # what if some of them are in the log already?


def conflict_hint(log: Log, prev: LogId) -> LogId:  # noqa: ARG001
    """The last entry that may still match."""
    return log.last  # and if that one differs?


def next_probe(log: Log, hinted: LogId) -> Index:  # noqa: ARG001
    """The next index the leader probes."""
    return hinted.index  # does the leader know the entry that is hinted at?


# Commit


def commit_index(state: RaftState) -> Index:
    """The leader's new commit index."""
    return state.committed  # nothing is ever committed


def follower_commit(state: RaftState, announced: Index, verified: Index) -> Index:  # noqa: ARG001
    """A follower's new commit index."""
    return max(state.committed, announced)  # are its entries up to there the leader's?


# Disks


def sendable(state: RaftState) -> Index:
    """The last index that may be sent."""
    return state.log.last.index  # what if this leader crashes now, and leads on in the same term?


def waits_for_disk(state: RaftState, message: AnyMessage) -> bool:  # noqa: ARG001
    """Whether a message must wait until the disk has what it promises."""
    return isinstance(message, AppendRequest)  # which messages are promises?


# Restart


def starts_with_vote_lease(state: RaftState) -> bool:  # noqa: ARG001
    """Whether a starting node keeps a vote lease from before."""
    return False  # does a crash end a promise?


# Snapshots


def is_snapshot_due(state: RaftState) -> bool:  # noqa: ARG001
    """Whether it is time for a snapshot."""
    return False  # the log grows forever


def would_interrupt_transfer(state: RaftState) -> bool:  # noqa: ARG001
    """Whether a newer snapshot would delete one that is being sent."""
    return False  # and who is receiving it?


def purge_upto(state: RaftState) -> Index:  # noqa: ARG001
    """The index to purge the log to."""
    return 0  # the log keeps everything


def purge_limit(state: RaftState) -> Index:
    """The last index that may be purged at all."""
    return state.applied  # applied is not the same as saved


def is_snapshot_useful(state: RaftState, last: LogId) -> bool:  # noqa: ARG001
    """Whether an arriving snapshot has anything new."""
    return True  # what if it is old?


# Membership


def may_change(state: RaftState, leader: Leader) -> bool:  # noqa: ARG001
    """Whether a change may start."""
    return True  # while another is under way?


def next_membership(membership: Membership, change: ChangeLike, retain: bool) -> Membership:  # noqa: ARG001, FBT001
    """The next membership on the way."""
    return membership  # nothing changes


def may_leave(state: RaftState, leader: Leader) -> bool:  # noqa: ARG001
    """Whether a joint membership may end."""
    return state.membership.is_joint  # has anybody else heard of it?


# Reads and leases


def acked_round(state: RaftState, leader: Leader) -> int:  # noqa: ARG001
    """The last heartbeat round that counts as answered."""
    return max([leader.acked_round, *(one.last_ack_round for one in leader.progress)])  # one answer is not a quorum


def is_read_safe(leader: Leader, round: int) -> bool:  # noqa: ARG001
    """Whether a read of this round may be served."""
    return True  # does it still lead?


def read_at(state: RaftState, leader: Leader) -> Index:  # noqa: ARG001
    """The index a read must wait for."""
    return state.committed  # does a new leader know its commit index?


def has_valid_lease(state: RaftState) -> bool:
    """Whether a leader may answer a lease read at once, without asking its quorum again (dissertation §6.4.1)."""
    return isinstance(state.role, Leader) and state.role.acked_round > 0  # until when?


def starts_lease(leader: Leader, acked_round: int) -> bool:  # noqa: ARG001
    """Whether an answer starts the lease of its round."""
    return True  # how long was the answer on its way?


def fires_first(event: Event, overdue: Sequence[Timer]) -> Sequence[Timer]:  # noqa: ARG001
    """Which overdue timers fire before the event."""
    return ()  # what if one of them ends a lease that the event asks about?


EMPTY = Rules(
    supersedes=supersedes,
    adopted_vote=adopted_vote,
    vote_refusal=vote_refusal,
    pre_vote_refusal=pre_vote_refusal,
    may_campaign=may_campaign,
    answers_vote=answers_vote,
    has_won=has_won,
    log_matches=log_matches,
    new_entries=new_entries,
    conflict_hint=conflict_hint,
    next_probe=next_probe,
    commit_index=commit_index,
    follower_commit=follower_commit,
    sendable=sendable,
    waits_for_disk=waits_for_disk,
    acked_round=acked_round,
    starts_lease=starts_lease,
    starts_with_vote_lease=starts_with_vote_lease,
    is_read_safe=is_read_safe,
    has_valid_lease=has_valid_lease,
    fires_first=fires_first,
    read_at=read_at,
    may_change=may_change,
    next_membership=next_membership,
    may_leave=may_leave,
    is_snapshot_due=is_snapshot_due,
    would_interrupt_transfer=would_interrupt_transfer,
    purge_upto=purge_upto,
    purge_limit=purge_limit,
    is_snapshot_useful=is_snapshot_useful,
)
"""The table of the skeletons."""
