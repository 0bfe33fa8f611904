"""Requests of clients and operators: write, read, transfer leadership, allow a revert (§8, dissertation §6.4)."""

from collections.abc import Iterable

from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Accepted,
    Done,
    NothingToDo,
    NotLeading,
    NotMember,
    Readable,
    Reason,
    Refusal,
    Refuse,
    TooManyUncommitted,
)
from pyraft_lab.engine.events import AllowRevert, Propose, Read, TransferLeader
from pyraft_lab.engine.log import Noop, Normal, Payload
from pyraft_lab.engine.messages import TimeoutNow
from pyraft_lab.engine.replication import send_heartbeats, start_over
from pyraft_lab.engine.rules import has_lost_lease
from pyraft_lab.engine.state import Leader, PendingRead, PendingTransfer, RaftState, Reverted
from pyraft_lab.engine.timers import TRANSFER
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import NO_NODE

# Which node takes requests


def refusal_to_lead(state: RaftState) -> NotLeading | None:
    """Why this node refuses a request for the leader; ``None`` if it leads and takes requests."""
    match state.role:
        case Leader(transfer=PendingTransfer(to=to)):
            return NotLeading(to, Reason.TRANSFER)
        case Leader():
            return None
        case _ if not state.membership.configs:
            return NotLeading(None, Reason.UNINITIALIZED)
        case _:
            return NotLeading(None if state.leader == NO_NODE else state.leader, Reason.NOT_LEADER)


def refusal_to_write(state: RaftState) -> NotLeading | None:
    """As :func:`refusal_to_lead`; with check-quorum, a leader whose lease has expired refuses writes too."""
    refusal = refusal_to_lead(state)
    if refusal is None and state.config.check_quorum and has_lost_lease(state):
        return NotLeading(None, Reason.LEASE)
    return refusal


# Write


def propose(turn: Turn, event: Propose) -> None:
    """Append a batch of writes; each is answered when its entry is applied (§5.3)."""
    if not event.payloads:
        return
    refusal = _propose_refusal(turn.state, event)
    if refusal is None:
        turn.emit(Accepted(event.requests, turn.write(*event.payloads)))
    else:
        turn.emit(Refuse(event.requests, refusal))


def _propose_refusal(state: RaftState, event: Propose) -> Refusal | None:
    refusal = refusal_to_write(state)
    if refusal is not None:
        return refusal
    if event.leader not in (None, (state.vote.term, state.vote.node)):
        return NotLeading(state.id, Reason.FENCED)
    return _too_many_uncommitted(state, event)


def _too_many_uncommitted(state: RaftState, event: Propose) -> TooManyUncommitted | None:
    """Refuse writes beyond the limit of uncommitted bytes; a first write, and empty ones, always pass."""
    limit = state.config.max_uncommitted_bytes
    if limit is None:
        return None
    waiting, added = _uncommitted(state), byte_size(event.payloads)
    if added <= limit - waiting:
        return None
    return TooManyUncommitted(waiting, limit) if waiting and added else None


def room_for(state: RaftState) -> int | None:
    """How many more bytes of commands a leader accepts before it refuses; ``None`` for no limit.

    A driver that merges the calls of several clients into one ``Propose`` stays within this limit: each call is then
    accepted or refused as if it had come alone.
    """
    limit = state.config.max_uncommitted_bytes
    return None if limit is None else max(0, limit - _uncommitted(state))


def byte_size(payloads: Iterable[Payload]) -> int:
    """The total size of the commands among these payloads, in bytes."""
    return sum([len(payload.data) for payload in payloads if isinstance(payload, Normal)])


def _uncommitted(state: RaftState) -> int:
    return state.log.byte_size - state.log.byte_size_at(state.committed)


# Read


def read(turn: Turn, event: Read) -> None:
    """Find from which index a read is linearizable: by a heartbeat round or by the lease (dissertation §6.4).

    Without vote leases no leader of several nodes ever holds a lease: a lease read then takes a round, as any other.
    """
    refusal = refusal_to_lead(turn.state)
    if refusal is not None:
        turn.emit(Refuse(event.requests, refusal))
    elif event.policy == "index" or not turn.config.vote_lease:
        _read_by_index(turn, event)
    else:
        _read_by_lease(turn, event)


def _read_by_index(turn: Turn, event: Read) -> None:
    """Wait for a quorum to answer a new round: it proves that no newer leader had committed anything when it began."""
    at = turn.log.id_at(turn.rules.read_at(turn.state, turn.leader))
    assert at is not None, "what is committed is never purged ahead of the snapshot"
    if turn.config.read_sends_heartbeat:
        send_heartbeats(turn)
        round = turn.leader.round
    else:
        round = turn.leader.round + 1
    turn.lead(reads=(*turn.leader.reads, PendingRead(event.requests, at, round)))


def _read_by_lease(turn: Turn, event: Read) -> None:
    """Answer without a message: a quorum elects nobody else while the lease lasts (dissertation §6.4.1)."""
    at = turn.log.id_at(turn.rules.read_at(turn.state, turn.leader))
    if turn.rules.has_valid_lease(turn.state) and at is not None:
        turn.emit(Readable(event.requests, at))
    else:
        reason = Reason.LEASE if has_lost_lease(turn.state) else Reason.NO_LEASE
        turn.emit(Refuse(event.requests, NotLeading(None, reason)))


def answer_reads(turn: Turn) -> None:
    """Answer the reads whose round a quorum has acknowledged."""
    ready = [waiting for waiting in turn.leader.reads if turn.rules.is_read_safe(turn.leader, waiting.round)]
    if ready:
        turn.lead(reads=tuple(waiting for waiting in turn.leader.reads if waiting not in ready))
    for waiting in ready:
        turn.emit(Readable(waiting.requests, waiting.at))


# Transfer leadership


def transfer(turn: Turn, event: TransferLeader) -> None:
    """Start a transfer to a voter: refuse requests until it leads or the transfer times out (dissertation §3.10)."""
    refusal = _transfer_refusal(turn.state, event)
    if refusal is not None:
        turn.emit(Refuse((event.request,), refusal))
        return
    handover = turn.leader.transfer
    if event.to == turn.id:
        _stop_transfer(turn)
    elif handover is None or handover.to != event.to:
        turn.lead(transfer=PendingTransfer(event.to))
        turn.set_timer(TRANSFER)
    turn.emit(Done(event.request))


def _transfer_refusal(state: RaftState, event: TransferLeader) -> Refusal | None:
    if not isinstance(state.role, Leader):
        return refusal_to_lead(state)
    if event.to == state.id and state.role.transfer is None:
        return NothingToDo(f"node {state.id} leads already")
    return None if event.to in state.membership.voters else NotMember(event.to, state.membership)


def send_timeout_now(turn: Turn) -> None:
    """Send TimeoutNow once the target holds the whole log; stop the transfer if the target no longer votes."""
    handover = turn.leader.transfer
    assert handover is not None, "only a leader that transfers its leadership asks its target"
    if handover.asked:
        return
    target = turn.leader.of(handover.to)
    if target is None or handover.to not in turn.membership.voters:
        _stop_transfer(turn)
    elif target.matched == turn.log.last.index:
        turn.lead(transfer=replace(handover, asked=True), transfer_sent=turn.log.last.index)
        turn.send(handover.to, TimeoutNow(vote=turn.vote, last=turn.log.last))


def on_transfer_timer(turn: Turn) -> None:
    """The transfer has timed out: take requests again."""
    _stop_transfer(turn)


def _stop_transfer(turn: Turn) -> None:
    """Continue to lead; a new entry invalidates a TimeoutNow that may still be on its way."""
    handover = turn.leader.transfer
    turn.lead(transfer=None)
    turn.cancel_timer(TRANSFER)
    if handover is not None and handover.asked:
        turn.write(Noop())


# Triggers


def allow_revert(turn: Turn, event: AllowRevert) -> None:
    """Let a follower that lost its log start again with an empty one, as an operator has allowed."""
    refusal: Refusal | None = refusal_to_lead(turn.state)
    progress = turn.leader.of(event.peer) if refusal is None else None
    if progress is None:
        turn.emit(Refuse((event.request,), refusal or NotMember(event.peer, turn.membership)))
        return
    if isinstance(progress.state, Reverted):
        start_over(turn, progress)
    else:
        turn.set_progress(replace(progress, may_revert=True))
    turn.emit(Done(event.request))
