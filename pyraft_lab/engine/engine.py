"""All of Raft as one function: ``step(state, event) -> Step``, without circular calls between its modules.

A message's vote is compared before any handler runs, and what follows from the state (commit, apply, reads, leaving a
joint membership, compaction) is settled once after any handler, whatever brought it about.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.commands import Apply, Refuse
from pyraft_lab.engine.compaction import (
    build,
    compact,
    on_snapshot_built,
    on_snapshot_gone,
    on_snapshot_request,
    on_snapshot_response,
    purge,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.election import (
    adopt_vote,
    campaign,
    on_election_timer,
    on_lease_timer,
    on_own_vote_stored,
    on_pre_vote_request,
    on_pre_vote_response,
    on_quorum_timer,
    on_timeout_now,
    on_vote_lease_timer,
    on_vote_request,
    on_vote_response,
    recognise_leader,
    refresh_role,
)
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
    Notice,
    Propose,
    PurgeLog,
    Read,
    Receive,
    Request,
    SendHeartbeat,
    SnapshotBuilt,
    SnapshotGone,
    Stored,
    TransferLeader,
    Trigger,
    Unreachable,
)
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    CandidateMessage,
    FollowerMessage,
    HeartbeatRequest,
    HeartbeatResponse,
    LeaderMessage,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
    VoterMessage,
)
from pyraft_lab.engine.reconfiguration import change, initialize, leave_joint, step_down_if_removed
from pyraft_lab.engine.replication import (
    advance_commit,
    on_append_accepted,
    on_append_refused,
    on_append_request,
    on_heartbeat_request,
    on_heartbeat_response,
    on_heartbeat_timer,
    on_retry_timer,
    on_unreachable,
    renew_lease,
    replicate_to_all,
    send_heartbeats,
)
from pyraft_lab.engine.requests import (
    allow_revert,
    answer_reads,
    on_transfer_timer,
    propose,
    read,
    refusal_to_write,
    send_timeout_now,
    transfer,
)
from pyraft_lab.engine.rules import RAFT, Rules, fires_first
from pyraft_lab.engine.startup import boot, start
from pyraft_lab.engine.state import Disk, Leader, RaftState, Step
from pyraft_lab.engine.timers import LeaderTimer, Timer, TimerKind
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import LogId, NodeId, Vote


def step(state: RaftState, event: Event, rules: Rules = RAFT) -> Step:
    """Handle one event: the new state and the commands for the driver. Every decision of Raft is made here."""
    turn = Turn(state, rules)
    if not state.halted:
        dispatch(turn, event)
        settle(turn)
    return Step(state, event, turn.state, tuple(turn.commands), None if rules is RAFT else rules)


def with_overdue(taken: Step, overdue: Sequence[Timer]) -> Step:
    """The step with the overdue timers that the run's own ``fires_first`` postponed and Raft's own would not."""
    if not overdue or taken.rules is None or taken.rules.fires_first is fires_first:
        return taken
    return replace(taken, overdue=tuple(overdue))


class Engine(Struct, frozen=True):
    """Raft under one table of rules; drivers call its ``start`` and ``step``."""

    rules: Rules = RAFT

    def start(self, id: NodeId, disk: Disk | None = None, config: Config | None = None) -> RaftState:
        """The state of a node that starts from ``disk`` (default: an empty one); its first event must be ``Boot()``.

        Raises ``StorageFailed`` where the disk could not have been written by Raft.
        """
        return start(id, Disk() if disk is None else disk, Config() if config is None else config)

    def step(self, state: RaftState, event: Event) -> Step:
        """Handle one event under these rules; see :func:`step`."""
        return step(state, event, self.rules)


def raft(rules: Rules = RAFT) -> Engine:
    """An engine that follows ``rules``; without an argument, the paper's."""
    return Engine(rules)


# Dispatch


def dispatch(turn: Turn, event: Event) -> None:
    """Call the one handler of an event."""
    match event:
        case Receive(src, message):
            receive(turn, src, message)
        case Fire(timer):
            on_timer(turn, timer)
        case Stored(vote, last):
            on_stored(turn, vote, last)
        case Boot():
            boot(turn)
        case Elect() | SendHeartbeat() | BuildSnapshot() | PurgeLog() | Configure():
            on_trigger(turn, event)
        case SnapshotBuilt() | SnapshotGone() | Unreachable():
            on_notice(turn, event)
        case _:
            on_request(turn, event)


def on_request(turn: Turn, event: Request) -> None:
    """Handle a request of a client or operator that waits for an answer."""
    match event:
        case Propose():
            propose(turn, event)
        case Read():
            read(turn, event)
        case ChangeMembership(request=request):
            refusal = refusal_to_write(turn.state)
            change(turn, event) if refusal is None else turn.emit(Refuse((request,), refusal))
        case Initialize():
            initialize(turn, event)
        case TransferLeader():
            transfer(turn, event)
        case AllowRevert():
            allow_revert(turn, event)
        case _:
            assert_never(event)


def on_trigger(turn: Turn, event: Trigger) -> None:
    """Handle an operator's trigger, which needs no answer."""
    match event:
        case Elect(pre_vote):
            campaign(turn, pre_vote=pre_vote)
        case SendHeartbeat():
            send_heartbeats(turn) if isinstance(turn.role, Leader) else None
        case BuildSnapshot():
            build(turn)
        case PurgeLog(upto):
            purge(turn, upto)
        case Configure(config):
            turn.update(config=config)
        case _:
            assert_never(event)


def on_notice(turn: Turn, event: Notice) -> None:
    """Handle a notice from the machine, the disk or the transport."""
    match event:
        case SnapshotBuilt(meta):
            on_snapshot_built(turn, meta)
        case SnapshotGone(peer) if isinstance(turn.role, Leader):
            on_snapshot_gone(turn, peer)
        case Unreachable(peer) if isinstance(turn.role, Leader):
            on_unreachable(turn, peer)
        case _:
            pass  # only a leader sends what can be gone or undeliverable


def on_stored(turn: Turn, vote: Vote, last: LogId) -> None:
    """The disk has caught up to ``(vote, last)``; a completion under an older vote proves nothing about this one."""
    if vote != turn.vote:
        return
    stored = last if turn.log.has(last) else turn.state.stored
    turn.update(stored_vote=vote, stored=max(stored, turn.state.stored))
    on_own_vote_stored(turn)


def on_timer(turn: Turn, timer: Timer) -> None:
    """Handle a timer; one that no longer fits the node's role does nothing."""
    match timer.kind:
        case TimerKind.ELECTION:
            on_election_timer(turn)
        case TimerKind.VOTE_LEASE:
            on_vote_lease_timer(turn)
        case kind if isinstance(turn.role, Leader):
            on_leader_timer(turn, kind, timer.key)
        case _:
            pass


def on_leader_timer(turn: Turn, kind: LeaderTimer, key: int) -> None:
    """Handle a timer that only a leader has; ``key`` is a round or a peer."""
    match kind:
        case TimerKind.HEARTBEAT:
            on_heartbeat_timer(turn)
        case TimerKind.LEASE:
            on_lease_timer(turn, key)
        case TimerKind.QUORUM:
            on_quorum_timer(turn)
        case TimerKind.RETRY:
            on_retry_timer(turn, key)
        case TimerKind.TRANSFER:
            on_transfer_timer(turn)
        case _:
            assert_never(kind)


# Messages


def receive(turn: Turn, src: NodeId, message: AnyMessage) -> None:
    """Compare the message's vote with the node's own first, then call its handler (§5.1)."""
    if src == turn.id:
        return
    match message:
        case AppendRequest() | HeartbeatRequest():  # the most frequent ones first: to say no takes longest
            on_leader(turn, src, message)
        case AppendAccepted() | HeartbeatResponse():
            on_follower(turn, src, message)
        case SnapshotRequest() | TimeoutNow():
            on_leader(turn, src, message)
        case AppendRefused() | SnapshotResponse():
            on_follower(turn, src, message)
        case VoteRequest() | PreVoteRequest() | VoteResponse() | PreVoteResponse():
            on_vote(turn, src, message)
        case Outdated(vote=vote):
            adopt_vote(turn, vote)
        case _:
            assert_never(message)


def on_vote(turn: Turn, src: NodeId, message: CandidateMessage | VoterMessage) -> None:
    """Handle a message of an election."""
    match message:
        case VoteResponse():
            on_vote_response(turn, src, message)
        case PreVoteResponse():
            on_pre_vote_response(turn, src, message)
        case VoteRequest() | PreVoteRequest():
            on_candidate(turn, src, message)
        case _:
            assert_never(message)


def on_candidate(turn: Turn, src: NodeId, message: CandidateMessage) -> None:
    """Handle a request for a vote; ignore it unless its vote is the sender's own and not yet granted."""
    if message.vote.node != src or message.vote.committed:
        return
    if isinstance(message, VoteRequest):
        on_vote_request(turn, src, message)
    else:
        on_pre_vote_request(turn, src, message)


def on_leader(turn: Turn, src: NodeId, message: LeaderMessage) -> None:
    """Handle a leader's message: follow the leader unless its vote is stale, then do what it asks."""
    if not recognise_leader(turn, src, message.vote):
        return
    match message:
        case AppendRequest():
            on_append_request(turn, src, message)
        case HeartbeatRequest():
            on_heartbeat_request(turn, src, message)
        case SnapshotRequest():
            on_snapshot_request(turn, src, message)
        case TimeoutNow():
            on_timeout_now(turn, message)
        case _:
            assert_never(message)


def on_follower(turn: Turn, src: NodeId, message: FollowerMessage) -> None:
    """Handle an answer to a leader; only answers to this leadership count."""
    if message.vote != turn.vote:
        adopt_vote(turn, message.vote)
        return
    if type(turn.role) is not Leader:
        return
    match message:
        case AppendAccepted():
            on_append_accepted(turn, src, message)
        case HeartbeatResponse():
            on_heartbeat_response(turn, src, message)
        case AppendRefused():
            on_append_refused(turn, src, message)
        case SnapshotResponse():
            on_snapshot_response(turn, src, message)
        case _:
            assert_never(message)


# Settle


def settle(turn: Turn) -> None:
    """Do what follows from the new state, whichever event led to it."""
    if type(turn.role) is Leader:
        settle_leader(turn)
    settle_machine(turn)
    refresh_role(turn)
    compact(turn)


def settle_leader(turn: Turn) -> None:
    """Renew the lease, commit, answer reads, leave a joint membership, transfer; then send what may be sent."""
    renew_lease(turn)
    advance_commit(turn)
    if leave_joint(turn):
        advance_commit(turn)
    if turn.leader.reads:
        answer_reads(turn)
    if turn.leader.transfer is not None:
        send_timeout_now(turn)
    replicate_to_all(turn)
    step_down_if_removed(turn)


def settle_machine(turn: Turn) -> None:
    """Apply what is committed, in order and in bounded pieces (§5.3)."""
    while turn.state.applied < turn.state.committed:
        first, most = turn.state.applied + 1, turn.config.max_apply_entries
        entries = turn.log.slice(first, min(turn.state.committed, turn.state.applied + most) + 1)
        turn.emit(Apply(entries))
        turn.update(applied=entries[-1].index)
