"""The decisions of Raft, one function each, in a table: swap one and see which invariant falls.

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
    """What a higher vote seen in an answer teaches: its term, and nobody voted for (§5.1)."""
    return Vote(vote.term)


def adopted_vote_in_order(vote: Vote) -> Vote:
    """What a higher vote seen in an answer teaches: the vote itself, but not that its node leads."""
    return Vote(vote.term, vote.node)


def has_heard_leader(state: RaftState) -> bool:
    """Whether this node heard, or is, a leader so lately that it helps nobody depose it (dissertation §4.2.3)."""
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
    """``None`` to grant; else why not: the lease first, then the log, then the vote (§5.2, §5.4.1)."""
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
    """Whether the vote asked about would be refused now (dissertation §9.6)."""
    return vote_refusal(state, VoteRequest(vote=request.vote, last=request.last))


def pre_vote_refusal_in_order(state: RaftState, request: PreVoteRequest) -> VoteRefusal | None:
    """As :func:`pre_vote_refusal`, with openraft's total order of votes."""
    return vote_refusal_in_order(state, VoteRequest(vote=request.vote, last=request.last))


def may_campaign(state: RaftState) -> bool:
    """A voter of the effective or of the committed membership may stand for election (§6).

    Of the committed one too: a leader that alone holds its final membership, and is not in it, would
    otherwise leave behind a log that nobody else can beat.
    """
    return state.id in state.membership.voters or state.id in state.committed_membership.voters


def answers_vote(vote: Vote, response: VoteResponse) -> bool:
    """An answer counts for the vote it was asked for, a grant only while its giver stands by it (§5.2)."""
    return response.asked == vote and (response.vote == vote or not response.granted)


def has_won(membership: Membership, granted: frozenset[NodeId]) -> bool:
    """A majority of every voter set grants (§5.2, §6)."""
    return membership.is_quorum(granted)


# Replication and commit


def log_matches(log: Log, prev: LogId) -> bool:
    """The consistency check: the follower holds ``prev``, or a snapshot covers it (§5.3)."""
    return prev.index < log.start.index or log.has(prev)


def new_entries(log: Log, entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries from the first one that the log does not hold on; what it holds already is left alone (§5.3)."""
    for place, entry in enumerate(entries):
        if entry.index > log.start.index and not log.has(entry.id):
            return entries[place:]
    return ()


def conflict_hint(log: Log, prev: LogId) -> LogId:
    """The last entry that may still match: nothing behind ``prev``, nothing newer than its term (§5.3 end)."""
    return log.last_no_newer(prev)


def next_probe(log: Log, hinted: LogId) -> Index:
    """Where the leader looks next for agreement: it skips its own entries newer than the hint (§5.3 end)."""
    return log.last_no_newer(hinted).index


def commit_index(state: RaftState) -> Index:
    """What a majority of every voter set holds on disk, if it was created in this leadership (§5.4.2, Figure 8)."""
    index = state.membership.committed_index(state.matched)
    at = state.log.id_at(index)
    own = at is not None and at.leader == (state.vote.term, state.vote.node)
    return max(index, state.committed) if own else state.committed


def follower_commit(state: RaftState, announced: Index, verified: Index) -> Index:
    """A follower commits what the leader has, but no further than this message proved its log right (Figure 2)."""
    return max(state.committed, min(announced, verified))


def sendable(state: RaftState) -> Index:
    """How far entries may be sent: all, or what is on the own disk if a restart may resume this term (§10.2.1)."""
    return state.stored.index if state.config.leader_restore else state.log.last.index


def waits_for_disk(state: RaftState, message: AnyMessage) -> bool:
    """Whether a message is a promise that a crash must not make forgotten (§5.1: before responding to RPCs)."""
    match message:
        case VoteRequest() | AppendAccepted() | SnapshotResponse():
            return True
        case AppendRequest() | HeartbeatRequest():
            return state.config.leader_restore
        case VoteResponse(granted=granted):
            return granted
        case HeartbeatResponse() | AppendRefused():
            return state.stored_vote != state.vote  # contact prolongs a lease, and a crash must not end loyalty
        case _:
            return False


# Reads and leases


def acked_round(state: RaftState, leader: Leader) -> int:
    """The last heartbeat round that a quorum answered: the arithmetic of commit, over rounds (dissertation §6.4)."""
    heard = {one.peer: one.last_ack_round for one in leader.progress} | {state.id: leader.round}
    return max(leader.acked_round, state.membership.committed_index(heard))


def starts_lease(_leader: Leader, _acked_round: int) -> bool:
    """Whether an answer starts the lease of its round: no, that runs since the round was sent (dissertation §6.4.1)."""
    return False


def starts_with_vote_lease(state: RaftState) -> bool:
    """Whether a node that starts may be bound to a leader that it followed: a crash ends no promise (§6.4.1)."""
    own = state.vote.node == state.id
    return state.config.vote_lease and state.vote.node != NO_NODE and state.vote.committed != own


def is_read_safe(leader: Leader, round: int) -> bool:
    """A read may be served once its round is proved: then nobody else had been elected when it began (§8)."""
    return round <= leader.acked_round


def has_valid_lease(state: RaftState) -> bool:
    """Whether a quorum that cannot be talked out of it answered a round whose lease has not run out (§6.4.1).

    Without loyal followers a lease is worth nothing. And a TimeoutNow that was sent may arrive at any time: its
    receiver then asks for votes in spite of all loyalty. But it does so only while its log ends where the message
    says, at ``transfer_sent``; and whoever holds an entry behind that refuses it, for its log is behind (§5.4.1), and
    remains loyal. So a transfer that came to nothing ends leases only until a quorum has answered a round and holds
    more than the log it was for::

        log        1 1 1 | 1        ▲ handed_over, then the blank entry of a leader that takes requests again
        n1 n2 n3   ───────────      they answered the round, and hold more: they vote for no one while the lease lasts
        n4 n5      ─────            they may be talked into voting, for a minority
    """
    match state.role:
        case Leader(expired_round=expired):
            held = state.config.vote_lease and _lease_round(state, state.role) > max(expired, 0)
            return state.is_alone or held
        case _:
            return False


def _lease_round(state: RaftState, leader: Leader) -> int:
    """The last round that a quorum of those answered who hold more than any TimeoutNow was for."""
    if not leader.transfer_sent:
        return leader.acked_round
    firm = {one.peer: one.last_ack_round for one in leader.progress if one.matched > leader.transfer_sent}
    own = {state.id: leader.round} if state.log.last.index > leader.transfer_sent else {}
    return state.membership.committed_index(firm | own)


def has_lost_lease(state: RaftState) -> bool:
    """Whether a leader's last lease ran out and no quorum has answered since."""
    role = state.role
    return isinstance(role, Leader) and role.acked_round <= role.expired_round and not state.is_alone


def read_at(state: RaftState, leader: Leader) -> Index:
    """Where a read must be served: all that is committed, at least this leader's first entry (dissertation §6.4)."""
    return max(state.committed, leader.noop)


# Time


ENDS = frozenset({TimerKind.LEASE, TimerKind.VOTE_LEASE, TimerKind.QUORUM, TimerKind.TRANSFER})
"""Timers that end something granted for a time; the others begin something."""


def fires_first(event: Event, overdue: Sequence[Timer]) -> Sequence[Timer]:
    """Which of the timers whose time has passed a driver fires before it hands ``event`` over (dissertation §6.4.1).

    A driver that stood still (a long garbage collection, a suspended process) has not noticed that a lease ran out.
    Whatever asks about a lease must not find it: requests, votes, a leader's messages, an order to campaign. Answers
    to a leader ask about none, and go first, so that a round that a quorum answered in time does not fail because we
    were slow. Timers that begin something may wait until the messages are read: a leader that was heard is not
    suspected.
    """
    return tuple(timer for timer in overdue if timer.kind in ENDS) if _asks_about_leases(event) else ()


def _asks_about_leases(event: Event) -> bool:
    match event:
        case Receive(message=message):
            return not isinstance(message, FollowerMessage)
        case _:
            return isinstance(event, Elect | Request)


# Membership


def may_change(state: RaftState, leader: Leader) -> bool:
    """One change at a time, and only once something of this leadership is committed (dissertation §4.1)."""
    return state.membership_id.index <= state.committed and leader.noop <= state.committed


def next_membership(membership: Membership, change: ChangeLike, retain: bool) -> Membership:  # noqa: FBT001
    """The next membership on the way: joint when the voters change (§6; openraft next_coherent)."""
    return membership.change(change, retain)


def may_leave(state: RaftState, leader: Leader) -> bool:
    """A joint membership may end once it is committed (§6)."""
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
    """How far the log may be forgotten: the snapshot covers it, less what is kept for slow followers (§7)."""
    return min(state.snapshot_last.index - state.config.keep_logs, needed_after(state))


MAX_STALLED_RETRIES = 16
"""Retries in a row without a byte of progress after which nothing waits for a transfer any more."""
MAX_UNANSWERED_RETRIES = 4
"""The same for a peer that does not even hold the first bytes."""


def is_stalled(progress_state: SendSnapshot) -> bool:
    """Whether nothing is kept for this transfer any more; it is tried on, with the newest snapshot if need be."""
    return progress_state.tries >= (MAX_STALLED_RETRIES if progress_state.offset else MAX_UNANSWERED_RETRIES)


def snapshots_being_sent(state: RaftState) -> Sequence[SnapshotMeta]:
    """The snapshots that peers are receiving, but for hopeless transfers."""
    peers = state.role.progress if isinstance(state.role, Leader) else ()
    paces = (one.state for one in peers if isinstance(one.state, SendSnapshot))
    return [progress_state.meta for progress_state in paces if not is_stalled(progress_state)]


def would_interrupt_transfer(state: RaftState) -> bool:
    """Whether a newer snapshot would take the bytes of one that is under way: a disk keeps the stored one and one more.

    A transfer that takes longer than two builds would else begin again for ever. So the next snapshot waits for the
    end of the transfer, or until that is hopeless, and is then built at once.
    """
    return any(meta != state.disk.snapshot for meta in snapshots_being_sent(state))


def needed_after(state: RaftState) -> Index:
    """Entries behind a snapshot that is on its way must stay, or its receiver would never catch up."""
    return min((*(meta.last.index for meta in snapshots_being_sent(state)), state.snapshot_last.index))


def purge_limit(state: RaftState) -> Index:
    """What may be forgotten at all: entries that the snapshot stands for (§7)."""
    return state.snapshot_last.index


def is_snapshot_useful(state: RaftState, last: LogId) -> bool:
    """A snapshot that ends within what is committed here tells nothing new (Figure 13)."""
    return last.index > state.committed


class Rules(Struct, frozen=True, kw_only=True):
    """The table: every decision by name. ``msgspec.structs.replace(RAFT, covers=...)`` makes another Raft."""

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
