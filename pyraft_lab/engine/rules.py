"""The decisions of Raft, one function each, in a table: replace one and see which invariant is violated.

Every rule is a pure function of values. ``RAFT`` is the paper; ``ADVANCED`` is openraft's default, in which votes are
totally ordered and a greater node id may take over within a term, so that a split vote needs no new term.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from pyraft_lab.engine.events import Elect, Event, Receive, Request
from pyraft_lab.engine.log import Entry, Log, SnapshotMeta
from pyraft_lab.engine.membership import ChangeLike, Membership
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    FollowerMessage,
    HeartbeatRequest,
    HeartbeatResponse,
    PreVoteRequest,
    SnapshotResponse,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.state import Candidate, Follower, Leader, Learner, PreCandidate, RaftState, SendSnapshot
from pyraft_lab.engine.timers import Timer, TimerKind
from pyraft_lab.engine.types import NO_NODE, Index, LogId, NodeId, Vote


class VoteRefusal(StrEnum):
    """Why a vote is refused, in the order in which it is checked."""

    LEASE = "a leader was heard from within its lease"
    LOG = "the candidate's log is behind"
    VOTE = "the vote of this term is given"


# Votes


def supersedes(new: Vote, old: Vote) -> bool:
    """Whether ``new`` may replace ``old``: a later term; in the same term the same node, or a leader (§5.1, §5.2)."""
    if new.term != old.term:
        return new.term > old.term
    if new.committed != old.committed:
        return new.committed
    return old.node in (NO_NODE, new.node)


def supersedes_in_order(new: Vote, old: Vote) -> bool:
    """Whether ``new`` may replace ``old`` in openraft's total order: term, then node, then committed."""
    return new >= old


def adopted_vote(vote: Vote) -> Vote:
    """The vote a node adopts from a higher one in an answer: its term, without a vote given (§5.1)."""
    return Vote(vote.term)


def adopted_vote_in_order(vote: Vote) -> Vote:
    """The vote a node adopts from a higher one in an answer: the same, but not as committed (openraft)."""
    return Vote(vote.term, vote.node)


def has_heard_leader(state: RaftState) -> bool:
    """Whether a vote lease binds this node: it leads, or heard from a leader too recently (dissertation §4.2.3)."""
    match state.role:
        case (
            Follower(has_heard_leader=heard_leader)
            | Learner(has_heard_leader=heard_leader)
            | PreCandidate(has_heard_leader=heard_leader)
            | Candidate(has_heard_leader=heard_leader)
        ):
            return heard_leader
        case Leader():
            return state.config.vote_lease and has_valid_lease(state)
        case _:
            assert_never(state.role)


def vote_refusal(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """Why a vote is refused, ``None`` to grant it: check the lease, then the log, then the vote (§5.2, §5.4.1)."""
    if has_heard_leader(state) and not request.transfer:
        return VoteRefusal.LEASE
    if request.last < state.log.last:
        return VoteRefusal.LOG
    return None if supersedes(request.vote, state.vote) else VoteRefusal.VOTE


def vote_refusal_in_order(state: RaftState, request: VoteRequest) -> VoteRefusal | None:
    """As :func:`vote_refusal`, with openraft's total order of votes."""
    refusal = vote_refusal(state, request)
    if refusal in (VoteRefusal.LEASE, VoteRefusal.LOG):
        return refusal
    return None if supersedes_in_order(request.vote, state.vote) else VoteRefusal.VOTE


def pre_vote_refusal(state: RaftState, request: PreVoteRequest) -> VoteRefusal | None:
    """Why the vote asked about would be refused now, ``None`` if it would be granted (dissertation §9.6)."""
    return vote_refusal(state, VoteRequest(vote=request.vote, last=request.last))


def pre_vote_refusal_in_order(state: RaftState, request: PreVoteRequest) -> VoteRefusal | None:
    """As :func:`pre_vote_refusal`, with openraft's total order of votes."""
    return vote_refusal_in_order(state, VoteRequest(vote=request.vote, last=request.last))


def may_campaign(state: RaftState) -> bool:
    """Whether the node may campaign: it is a voter of the effective or of the committed membership (§6).

    The committed one counts too: if only a removed leader holds the membership that removes it, no other node
    could win against its log.
    """
    return state.id in state.membership.voters or state.id in state.committed_membership.voters


def answers_vote(vote: Vote, response: VoteResponse) -> bool:
    """Whether an answer belongs to the candidate's vote; a grant must also still be the voter's vote (§5.2)."""
    return response.asked == vote and (response.vote == vote or not response.granted)


def has_won(membership: Membership, granted: frozenset[NodeId]) -> bool:
    """Whether the granted votes are a majority of every voter set (§5.2, §6)."""
    return membership.is_quorum(granted)


# Replication and commit


def log_matches(log: Log, prev: LogId) -> bool:
    """The consistency check: whether the follower holds ``prev``, or a snapshot covers it (§5.3)."""
    return prev.index < log.start.index or log.has(prev)


def new_entries(log: Log, entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries to append: the first one that the log does not hold, and all after it (§5.3)."""
    for place, entry in enumerate(entries):
        if entry.index > log.start.index and not log.has(entry.id):
            return entries[place:]
    return ()


def conflict_hint(log: Log, prev: LogId) -> LogId:
    """The last entry that may still match: neither after ``prev`` nor of a newer term (§5.3 end)."""
    return log.last_no_newer(prev)


def next_probe(log: Log, hinted: LogId) -> Index:
    """The next index the leader probes: it skips its own entries newer than the hint (§5.3 end)."""
    return log.last_no_newer(hinted).index


def commit_index(state: RaftState) -> Index:
    """The index a majority of every voter set holds on disk, if this leadership created it (§5.4.2, Figure 8)."""
    if state.committed == state.log.last.index:
        return state.committed  # all there is; most steps of an idle leader
    index = state.membership.committed_index(state.matched)
    at = state.log.id_at(index)
    own = at is not None and at.leader == (state.vote.term, state.vote.node)
    return max(index, state.committed) if own else state.committed


def follower_commit(state: RaftState, announced: Index, verified: Index) -> Index:
    """A follower's new commit index: the leader's, but no further than this message verified its log (Figure 2)."""
    return max(state.committed, min(announced, verified))


def sendable(state: RaftState) -> Index:
    """The last index that may be sent: the log's end, or the disk's if a restart may resume this term (§10.2.1)."""
    return state.stored.index if state.config.leader_restore else state.log.last.index


def waits_for_disk(state: RaftState, message: AnyMessage) -> bool:
    """Whether a message is a promise that must be on disk before it is sent (§5.1: before responding to RPCs)."""
    match message:
        case HeartbeatRequest() | AppendRequest():
            return state.config.leader_restore
        case HeartbeatResponse() | AppendRefused():
            return state.stored_vote != state.vote  # the answer extends a lease; a crash must not end the vote lease
        case AppendAccepted() | VoteRequest() | SnapshotResponse():
            return True
        case VoteResponse(granted=granted):
            return granted
        case _:
            return False


# Reads and leases


def acked_round(state: RaftState, leader: Leader) -> int:
    """The last heartbeat round that a quorum answered; computed like a commit, over rounds (dissertation §6.4)."""
    if leader.acked_round == leader.round:
        return leader.round  # nobody answers a round before it is sent
    heard = {one.peer: one.last_ack_round for one in leader.progress} | {state.id: leader.round}
    return max(leader.acked_round, state.membership.committed_index(heard))


def starts_lease(_leader: Leader, _acked_round: int) -> bool:
    """Whether an answer starts the lease of its round: no, the lease runs from when the round was sent (§6.4.1)."""
    return False


def starts_with_vote_lease(state: RaftState) -> bool:
    """Whether a starting node keeps a vote lease from before: a crash does not end that promise (§6.4.1)."""
    own = state.vote.node == state.id
    return state.config.vote_lease and state.vote.node != NO_NODE and state.vote.committed != own


def is_read_safe(leader: Leader, round: int) -> bool:
    """Whether a read may be served: a quorum has answered its round, so no newer leader existed before it (§8)."""
    return round <= leader.acked_round


def has_valid_lease(state: RaftState) -> bool:
    """Whether the lease is valid: a quorum, which no TimeoutNow can override, answered an unexpired round (§6.4.1).

    A leader's lease rests on the vote leases of its followers. A TimeoutNow that was sent may arrive at any time, and
    its receiver then asks for votes regardless of vote leases. But it does so only while its log ends where the
    message says, at ``transfer_sent``. A node with an entry after that refuses it, since its log is behind (§5.4.1),
    and keeps its vote lease. So a failed transfer suspends leases only until a quorum has answered a round and holds
    more than the log of that transfer::

        log        1 1 1 | 1        ▲ transfer_sent, then the noop of a leader that takes requests again
        n1 n2 n3   ───────────      they answered the round and hold more: they grant no vote while the lease lasts
        n4 n5      ─────            they may grant a vote to the target, but are a minority
    """
    match state.role:
        case Leader(expired_round=expired):
            held = state.config.vote_lease and _lease_round(state, state.role) > max(expired, 0)
            return held or state.is_alone
        case _:
            return False


def _lease_round(state: RaftState, leader: Leader) -> int:
    """The last round that a quorum answered, counting only nodes that hold more than ``transfer_sent``."""
    if not leader.transfer_sent:
        return leader.acked_round
    firm = {one.peer: one.last_ack_round for one in leader.progress if one.matched > leader.transfer_sent}
    own = {state.id: leader.round} if state.log.last.index > leader.transfer_sent else {}
    return state.membership.committed_index(firm | own)


def has_lost_lease(state: RaftState) -> bool:
    """Whether a leader's last lease has expired and no quorum has answered since."""
    role = state.role
    return isinstance(role, Leader) and role.acked_round <= role.expired_round and not state.is_alone


def read_at(state: RaftState, leader: Leader) -> Index:
    """The index a read must wait for: the commit index, at least this leader's noop (dissertation §6.4)."""
    return max(state.committed, leader.noop)


# Time


ENDS = frozenset({TimerKind.LEASE, TimerKind.VOTE_LEASE, TimerKind.QUORUM, TimerKind.TRANSFER})
"""Timers that end a promise or a lease; the others start something."""


def fires_first(event: Event, overdue: Sequence[Timer]) -> Sequence[Timer]:
    """Which overdue timers a driver fires before it passes ``event`` to the engine (dissertation §6.4.1).

    A paused driver (a long garbage collection, a suspended process) has not noticed that a lease expired. Events that
    depend on a lease must not find it valid: requests, votes, a leader's messages, a TimeoutNow. Answers to a leader
    depend on none and go first, so that a round that a quorum answered in time does not fail because this node was
    slow. Timers that start something may wait until the messages are read: a message from the leader may prevent the
    campaign.
    """
    return tuple(timer for timer in overdue if timer.kind in ENDS) if overdue and _asks_about_leases(event) else ()


def _asks_about_leases(event: Event) -> bool:
    match event:
        case Receive(message=message):
            return not isinstance(message, FollowerMessage)
        case _:
            return isinstance(event, Elect | Request)


# Membership


def may_change(state: RaftState, leader: Leader) -> bool:
    """Whether a change may start: none is uncommitted, and an entry of this leadership is committed (§4.1)."""
    return state.membership_id.index <= state.committed and leader.noop <= state.committed


def next_membership(membership: Membership, change: ChangeLike, retain: bool) -> Membership:  # noqa: FBT001
    """The next membership on the way: joint when the voters change (§6; openraft next_coherent)."""
    return membership.change(change, retain)


def may_leave(state: RaftState, leader: Leader) -> bool:
    """Whether a joint membership may end: it is committed (§6)."""
    return state.membership.is_joint and may_change(state, leader)


# Snapshots


def is_snapshot_due(state: RaftState) -> bool:
    """Whether enough was applied since the last snapshot, or since the last attempt at one (§7)."""
    base = max(state.snapshot_last.index, state.attempted)
    logs, size = state.config.snapshot_logs_since_last, state.config.snapshot_bytes_since_last
    if logs is not None and state.applied - base >= logs:
        return True
    return size is not None and state.log.byte_size_at(state.applied) - state.log.byte_size_at(base) >= size


def purge_upto(state: RaftState) -> Index:
    """The index to purge the log to: the snapshot's end, less the entries kept for slow followers (§7)."""
    upto = state.snapshot_last.index - state.config.keep_logs
    return upto if upto <= state.disk.log.start.index else min(upto, needed_after(state))


MAX_STALLED_RETRIES = 16
"""Retries in a row without a byte of progress after which a snapshot transfer counts as stalled."""
MAX_UNANSWERED_RETRIES = 4
"""The same for a peer that does not hold any bytes yet."""


def is_stalled(progress_state: SendSnapshot) -> bool:
    """Whether a transfer is stalled, so that nothing is kept for it; retries continue, with the newest snapshot."""
    return progress_state.tries >= (MAX_STALLED_RETRIES if progress_state.offset else MAX_UNANSWERED_RETRIES)


def snapshots_being_sent(state: RaftState) -> Sequence[SnapshotMeta]:
    """The snapshots that peers are receiving, without stalled transfers."""
    peers = state.role.progress if isinstance(state.role, Leader) else ()
    paces = (one.state for one in peers if isinstance(one.state, SendSnapshot))
    return [progress_state.meta for progress_state in paces if not is_stalled(progress_state)]


def would_interrupt_transfer(state: RaftState) -> bool:
    """Whether a newer snapshot would delete one that is being sent: a disk keeps the stored one and one more.

    Otherwise a transfer that takes longer than two builds would restart forever. So the next snapshot waits until the
    transfer ends or stalls, and is then built at once.
    """
    return any(meta != state.disk.snapshot for meta in snapshots_being_sent(state))


def needed_after(state: RaftState) -> Index:
    """The index after which entries must stay: receivers of a snapshot need the entries after it to catch up."""
    return min((*(meta.last.index for meta in snapshots_being_sent(state)), state.snapshot_last.index))


def purge_limit(state: RaftState) -> Index:
    """The last index that may be purged at all: the end of the stored snapshot (§7)."""
    return state.snapshot_last.index


def is_snapshot_useful(state: RaftState, last: LogId) -> bool:
    """Whether an arriving snapshot has anything new: it ends after the commit index (Figure 13)."""
    return last.index > state.committed


class Rules(Struct, frozen=True, kw_only=True):
    """The table of decisions by name; ``msgspec.structs.replace(RAFT, supersedes=...)`` makes a variant of Raft."""

    supersedes: Callable[[Vote, Vote], bool] = supersedes
    adopted_vote: Callable[[Vote], Vote] = adopted_vote
    vote_refusal: Callable[[RaftState, VoteRequest], VoteRefusal | None] = vote_refusal
    pre_vote_refusal: Callable[[RaftState, PreVoteRequest], VoteRefusal | None] = pre_vote_refusal
    may_campaign: Callable[[RaftState], bool] = may_campaign
    answers_vote: Callable[[Vote, VoteResponse], bool] = answers_vote
    has_won: Callable[[Membership, frozenset[NodeId]], bool] = has_won
    log_matches: Callable[[Log, LogId], bool] = log_matches
    new_entries: Callable[[Log, Sequence[Entry]], Sequence[Entry]] = new_entries
    conflict_hint: Callable[[Log, LogId], LogId] = conflict_hint
    next_probe: Callable[[Log, LogId], Index] = next_probe
    commit_index: Callable[[RaftState], Index] = commit_index
    follower_commit: Callable[[RaftState, Index, Index], Index] = follower_commit
    sendable: Callable[[RaftState], Index] = sendable
    waits_for_disk: Callable[[RaftState, AnyMessage], bool] = waits_for_disk
    acked_round: Callable[[RaftState, Leader], int] = acked_round
    starts_lease: Callable[[Leader, int], bool] = starts_lease
    starts_with_vote_lease: Callable[[RaftState], bool] = starts_with_vote_lease
    is_read_safe: Callable[[Leader, int], bool] = is_read_safe
    has_valid_lease: Callable[[RaftState], bool] = has_valid_lease
    fires_first: Callable[[Event, Sequence[Timer]], Sequence[Timer]] = fires_first
    read_at: Callable[[RaftState, Leader], Index] = read_at
    may_change: Callable[[RaftState, Leader], bool] = may_change
    next_membership: Callable[[Membership, ChangeLike, bool], Membership] = next_membership
    may_leave: Callable[[RaftState, Leader], bool] = may_leave
    is_snapshot_due: Callable[[RaftState], bool] = is_snapshot_due
    would_interrupt_transfer: Callable[[RaftState], bool] = would_interrupt_transfer
    purge_upto: Callable[[RaftState], Index] = purge_upto
    purge_limit: Callable[[RaftState], Index] = purge_limit
    is_snapshot_useful: Callable[[RaftState, LogId], bool] = is_snapshot_useful


RAFT = Rules()
"""Raft as the paper and the dissertation have it: one vote a term."""

ADVANCED = Rules(
    supersedes=supersedes_in_order,
    adopted_vote=adopted_vote_in_order,
    vote_refusal=vote_refusal_in_order,
    pre_vote_refusal=pre_vote_refusal_in_order,
)
"""openraft's default: votes in a total order, so that several nodes may lead in one term, one after the other."""
