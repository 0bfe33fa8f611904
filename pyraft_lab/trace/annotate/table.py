"""The closed table of all rules, and which of them played a part in a step."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from pyraft_lab.engine.commands import (
    Append,
    Apply,
    Command,
    Purge,
    Readable,
    Refuse,
    Send,
    SendChunk,
    TakeSnapshot,
)
from pyraft_lab.engine.consult import KEPT
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
)
from pyraft_lab.engine.state import Candidate, Leader, Step
from pyraft_lab.engine.timers import TimerKind
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.annotate import commitment, elections, memberships, own, replication, requests, snapshots, terms
from pyraft_lab.trace.annotate.rule import Explained, Remarks, Rule
from pyraft_lab.trace.text import server

Kinds = set[type[Command]]

RULES: Mapping[str, Rule] = {
    rule.label: rule
    for room in (elections, terms, replication, commitment, memberships, snapshots, requests)
    for rule in room.RULES
}
"""Every rule of Raft by its label."""
LABELS: Mapping[str, Rule] = {**RULES, **{rule.label: rule for rule in own.OWN.values()}}
"""All labels that a step may have: those of Raft's rules, and of rules that a run has in their place."""


def rule(step: Step) -> Rule:
    """The rule that decided a step: the most important one that played a part in it; of equal ones the first."""
    return _most_important(remarks(step))


def label(step: Step) -> str:
    """The label of the rule that decided a step, for many steps in a row: they are not kept for later questions."""
    return _most_important(_told(step)).label


def _most_important(told: Sequence[Explained]) -> Rule:
    """The rule of the greatest importance; the first of several."""
    found = told[0].rule
    for remark in told[1:]:
        if remark.rule.importance > found.importance:
            found = remark.rule
    return found


def remarks(step: Step) -> tuple[Explained, ...]:
    """What each rule did that played a part in the step, in the order in which it happened; never empty."""
    kept = _kept.get(id(step))
    if kept is None or kept[0] is not step:
        if len(_kept) >= KEPT:
            _kept.clear()
        kept = _kept[id(step)] = (step, tuple(_told(step)))
    return kept[1]


_kept: dict[int, tuple[Step, tuple[Explained, ...]]] = {}
"""The remarks of the last steps by identity: a sentence, its label and its group ask about the same step in a row."""


def _told(step: Step) -> list[Explained]:
    if step.before.halted:
        return [Explained(terms.HALTED, "has stopped for good and does nothing")]
    told = [*_event(step, step.event), *_consequences(step)] or list(terms.out_of_date("this"))
    for note in own.departed(step) if step.rules is not None else ():
        told.insert(own.place_of(note, told), note)
    return told


def _consequences(step: Step) -> Remarks:
    """What followed from the state after the event; a rule whose commands were not given is not asked."""
    kinds = {type(command) for command in step.commands}
    if type(step.before.role) is Leader:  # by type: isinstance takes ten times as long to say no to a struct
        yield from _of_leading(step, kinds)
    if type(step.event) is not Boot:
        yield from memberships.followed(step)
        if step.before.role is not step.after.role:
            yield from memberships.role_changed(step)
    if Apply in kinds:
        yield from commitment.applied(step)
    if kinds and type(step.after.role) is Leader:
        yield from _sendings(step, kinds)
    if TakeSnapshot in kinds:
        yield from snapshots.begun(step)
    if Purge in kinds:
        yield from snapshots.purged(step)


def _of_leading(step: Step, kinds: Kinds) -> Remarks:
    before, after = step.before.role, step.after.role
    if before is not after:
        yield from terms.lease_renewed(step)
    yield from commitment.committed(step)
    if Append in kinds:
        yield from memberships.joint_left(step)
    if Readable in kinds:
        yield from requests.reads_confirmed(step)
    if Refuse in kinds:
        yield from requests.reads_failed_with_leadership(step)
    if type(before) is not type(after):
        yield from memberships.leader_removed(step)


def _sendings(step: Step, kinds: Kinds) -> Remarks:
    if Send in kinds:
        yield from replication.entries_sent(step)
    if SendChunk in kinds:
        yield from snapshots.parts_sent(step)
    if Send in kinds or step.before.role is not step.after.role:
        yield from requests.timeout_now_sent(step)


def _event(step: Step, event: Event) -> Remarks:
    match event:
        case Receive(src, message) if src == step.before.id:
            yield from terms.malformed(src)
        case Receive(src, message):
            yield from _message(step, src, message)
        case Fire(timer):
            yield from _timer(step, timer.kind, timer.key)
        case Stored():
            yield from _stored(step, event)
        case Boot():
            yield from requests.booted(step)
        case Elect() | SendHeartbeat() | BuildSnapshot() | PurgeLog() | Configure():
            yield from _trigger(step, event)
        case SnapshotBuilt() | SnapshotGone() | Unreachable():
            yield from _notice(step, event)
        case _:
            yield from _request(step, event)


def _stored(step: Step, event: Stored) -> Remarks:
    role = step.before.role
    if type(role) is Candidate and step.before.id not in role.granted and step.after.role != role:
        yield from elections.own_vote_stored(step)
    else:
        yield from replication.stored(step, event.vote)


def _timer(step: Step, kind: TimerKind, key: int) -> Remarks:
    match kind:
        case TimerKind.ELECTION:
            yield from elections.timed_out(step)
        case TimerKind.VOTE_LEASE if step.before.role != step.after.role:
            yield from terms.vote_lease_over(step)
        case _ if isinstance(step.before.role, Leader):
            yield from _leader_timer(step, kind, key)
        case _:
            yield from terms.out_of_date(f"its {kind} timer")


def _leader_timer(step: Step, kind: TimerKind, key: int) -> Remarks:
    match kind:
        case TimerKind.HEARTBEAT:
            yield from terms.round_begun(step)
        case TimerKind.LEASE:
            yield from terms.lease_expired(step)
        case TimerKind.QUORUM:
            yield from terms.quorum_timed_out(step)
        case TimerKind.RETRY:
            yield from replication.retried(step, key)
        case TimerKind.TRANSFER:
            yield from requests.transfer_timed_out(step)
        case _:
            yield from terms.out_of_date(f"its {kind} timer")


def _trigger(step: Step, event: Trigger) -> Remarks:
    match event:
        case Elect() if isinstance(step.before.role, Leader):
            yield from terms.out_of_date("the order to campaign: already leader")
        case Elect():
            yield from elections.campaigned(step, "is asked to campaign")
        case SendHeartbeat() if isinstance(step.before.role, Leader):
            yield from terms.round_begun(step)
        case SendHeartbeat():
            yield from terms.out_of_date("the order to send heartbeats: not leader")
        case BuildSnapshot():
            yield from snapshots.ordered(step)
        case PurgeLog():
            yield from snapshots.purge_ordered(step)
        case Configure():
            yield Explained(requests.CONFIGURED, "has new settings")
        case _:
            assert_never(event)


def _notice(step: Step, event: Notice) -> Remarks:
    match event:
        case SnapshotBuilt():
            yield from snapshots.built(step, event)
        case SnapshotGone(peer):
            yield from snapshots.gone(step, peer)
        case Unreachable(peer):
            yield from replication.unreachable(step, peer)
        case _:
            assert_never(event)


def _request(step: Step, event: Request) -> Remarks:
    match event:
        case Initialize():
            yield from memberships.initialized(step, event)
            return
        case Propose():
            yield from requests.proposed(step, event)
        case Read():
            yield from requests.asked(step, event)
        case ChangeMembership():
            yield from memberships.changed(step)
        case TransferLeader():
            yield from requests.transferred(step, event)
        case AllowRevert():
            yield from requests.revert_allowed(step, event)
        case _:
            assert_never(event)
    yield from requests.refused(step)


def _message(step: Step, src: NodeId, message: AnyMessage) -> Remarks:
    match message:
        case AppendAccepted() | HeartbeatResponse() | AppendRefused() | SnapshotResponse():
            yield from _to_leader(step, src, message)
        case AppendRequest() | HeartbeatRequest() | SnapshotRequest() | TimeoutNow():
            yield from terms.recognised(step, src, message)
            if terms.is_followed(step, src, message):
                yield from _from_leader(step, src, message)
        case VoteRequest() | PreVoteRequest():
            yield from elections.requested(step, src, message)
        case VoteResponse() | PreVoteResponse():
            yield from elections.answered(step, src, message)
        case Outdated():
            yield from terms.corrected(step, src)
        case _:
            assert_never(message)


def _from_leader(step: Step, leader: NodeId, message: LeaderMessage) -> Remarks:
    match message:
        case AppendRequest():
            yield from replication.entries_accepted(step, leader, message)
        case HeartbeatRequest():
            yield from replication.heartbeat_received(step, leader)
        case SnapshotRequest():
            yield from snapshots.part_arrived(step, leader, message)
        case TimeoutNow():
            yield from requests.timeout_now_followed(step, leader, message)
        case _:
            assert_never(message)


def _to_leader(step: Step, peer: NodeId, message: FollowerMessage) -> Remarks:
    """Only answers under this very leadership count."""
    before = step.before
    if message.vote.term > before.term:
        yield from terms.corrected(step, peer)
    elif not isinstance(before.role, Leader):
        yield from terms.out_of_date(f"an answer from {server(peer)}: no longer leader")
    elif message.vote != before.vote:
        yield from terms.out_of_date(f"a late answer from {server(peer)}")
    else:
        yield from _answer(step, peer, message)


def _answer(step: Step, peer: NodeId, message: FollowerMessage) -> Remarks:
    match message:
        case AppendAccepted():
            yield from replication.accepted(step, peer, message)
        case AppendRefused():
            yield from replication.append_refused(step, peer, message)
        case HeartbeatResponse():
            yield from replication.heartbeat_answered(step, peer, message)
        case SnapshotResponse():
            yield from snapshots.asked_on(step, peer, message)
        case _:
            assert_never(message)
