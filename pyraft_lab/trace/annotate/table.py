"""The closed table of all rules, and which of them played a part in a step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

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

Kinds = set[type[Command] | type[AnyMessage]]
"""The classes of a step's commands, and those of the messages that it sends."""

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
    if len(told) == 1:
        return found
    for remark in told:
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
    told = [*_event(step, step.event)]
    if step.commands or step.before is not step.after:
        told += _consequences(step)
    if not told:
        told += terms.out_of_date("this")
    if step.rules is not None:
        for note in own.departed(step):
            told.insert(own.place_of(note, told), note)
    return told


def _consequences(step: Step) -> list[Explained]:
    """What followed from the state after the event; a rule whose commands were not given is not asked."""
    before, after = step.before, step.after
    kinds: Kinds = {type(one.message) if type(one) is Send else type(one) for one in step.commands}
    # by type, here and below: isinstance takes ten times as long to say no to a struct
    told = _of_leading(step, kinds) if type(before.role) is Leader else []
    if type(step.event) is not Boot:
        if before.disk is not after.disk:
            told += memberships.followed(step)
        if type(before.role) is not type(after.role):
            told += memberships.role_changed(step)
    if kinds:
        told += _of_commands(step, kinds)
    return told


def _of_commands(step: Step, kinds: Kinds) -> list[Explained]:
    told = [*commitment.applied(step)] if Apply in kinds else []
    if type(step.after.role) is Leader:
        told += _sendings(step, kinds)
    if TakeSnapshot in kinds:
        told += snapshots.begun(step)
    if Purge in kinds:
        told += snapshots.purged(step)
    return told


def _of_leading(step: Step, kinds: Kinds) -> list[Explained]:
    before, after = step.before.role, step.after.role
    told = [*terms.lease_renewed(step)] if before is not after else []
    told += commitment.committed(step)
    if Append in kinds:
        told += memberships.joint_left(step)
    if Readable in kinds:
        told += requests.reads_confirmed(step)
    if type(before) is not type(after):
        if Refuse in kinds:
            told += requests.reads_failed_with_leadership(step)
        told += memberships.leader_removed(step)
    return told


def _sendings(step: Step, kinds: Kinds) -> list[Explained]:
    told: list[Explained] = []
    before = step.before.role
    if AppendRequest in kinds:
        told += replication.entries_sent(step)
    if SendChunk in kinds:
        told += snapshots.parts_sent(step)
    if TimeoutNow in kinds or (type(before) is Leader and before.transfer is not None):
        told += requests.timeout_now_sent(step)
    return told


def _event(step: Step, event: Event) -> Remarks:
    match event:  # the most frequent ones first
        case Receive(src=src, message=message):
            return _ARRIVALS[type(message)](step, src, message) if src != step.before.id else terms.malformed(src)
        case Fire(timer=timer):
            return _timer(step, timer.kind, timer.key)
        case Stored():
            return _stored(step, event)
        case Boot():
            return requests.booted(step)
        case Elect() | SendHeartbeat() | BuildSnapshot() | PurgeLog() | Configure():
            return _trigger(step, event)
        case SnapshotBuilt() | SnapshotGone() | Unreachable():
            return _notice(step, event)
        case _:
            return _request(step, event)


def _stored(step: Step, event: Stored) -> Remarks:
    role = step.before.role
    if type(role) is Candidate and step.before.id not in role.granted and step.after.role != role:
        return elections.own_vote_stored(step)
    return replication.stored(step, event.vote)


def _timer(step: Step, kind: TimerKind, key: int) -> Remarks:
    match kind:
        case TimerKind.ELECTION:
            return elections.timed_out(step)
        case TimerKind.VOTE_LEASE if step.before.role != step.after.role:
            return terms.vote_lease_over(step)
        case _ if isinstance(step.before.role, Leader):
            return _leader_timer(step, kind, key)
        case _:
            return terms.out_of_date(f"its {kind} timer")


def _leader_timer(step: Step, kind: TimerKind, key: int) -> Remarks:
    match kind:
        case TimerKind.HEARTBEAT:
            return terms.round_begun(step)
        case TimerKind.LEASE:
            return terms.lease_expired(step)
        case TimerKind.QUORUM:
            return terms.quorum_timed_out(step)
        case TimerKind.RETRY:
            return replication.retried(step, key)
        case TimerKind.TRANSFER:
            return requests.transfer_timed_out(step)
        case _:
            return terms.out_of_date(f"its {kind} timer")


def _trigger(step: Step, event: Trigger) -> Remarks:
    match event:
        case Elect() if isinstance(step.before.role, Leader):
            return terms.out_of_date("the order to campaign: already leader")
        case Elect():
            return elections.campaigned(step, "is asked to campaign")
        case SendHeartbeat() if isinstance(step.before.role, Leader):
            return terms.round_begun(step)
        case SendHeartbeat():
            return terms.out_of_date("the order to send heartbeats: not leader")
        case BuildSnapshot():
            return snapshots.ordered(step)
        case PurgeLog():
            return snapshots.purge_ordered(step)
        case Configure():
            return (Explained(requests.CONFIGURED, "has new settings"),)
        case _:
            assert_never(event)


def _notice(step: Step, event: Notice) -> Remarks:
    match event:
        case SnapshotBuilt():
            return snapshots.built(step, event)
        case SnapshotGone(peer):
            return snapshots.gone(step, peer)
        case Unreachable(peer):
            return replication.unreachable(step, peer)
        case _:
            assert_never(event)


def _request(step: Step, event: Request) -> Remarks:
    match event:
        case Propose():
            told = requests.proposed(step, event)
        case Read():
            told = requests.asked(step, event)
        case ChangeMembership():
            told = memberships.changed(step)
        case TransferLeader():
            told = requests.transferred(step, event)
        case AllowRevert():
            told = requests.revert_allowed(step, event)
        case Initialize():
            return memberships.initialized(step, event)
        case _:
            assert_never(event)
    return (*told, *requests.refused(step))


def _from_leader(step: Step, leader: NodeId, message: LeaderMessage) -> Remarks:
    vote = message.vote
    return terms.not_followed(step, leader, vote) or (
        *terms.recognised(step, leader, vote),
        *_ORDERS[type(message)](step, leader, message),
    )


def _to_leader(step: Step, peer: NodeId, message: FollowerMessage) -> Remarks:
    """Only answers under this very leadership count."""
    vote = step.before.disk.vote
    if message.vote.term > vote.term:
        return terms.corrected(step, peer)
    if type(step.before.role) is not Leader:
        return terms.out_of_date(f"an answer from {server(peer)}: no longer leader")
    if message.vote != vote:
        return terms.out_of_date(f"a late answer from {server(peer)}")
    return _ANSWERS[type(message)](step, peer, message)


_Arrival = Callable[[Step, NodeId, Any], Remarks]
"""What the arrival of a message from a node meant."""
_ARRIVALS: Mapping[type[AnyMessage], _Arrival] = {
    **dict.fromkeys((AppendRequest, HeartbeatRequest, SnapshotRequest, TimeoutNow), _from_leader),
    **dict.fromkeys((AppendAccepted, HeartbeatResponse, AppendRefused, SnapshotResponse), _to_leader),
    **dict.fromkeys((VoteRequest, PreVoteRequest), elections.requested),
    **dict.fromkeys((VoteResponse, PreVoteResponse), elections.answered),
    Outdated: lambda step, src, _: terms.corrected(step, src),
}
_ORDERS: Mapping[type[LeaderMessage], _Arrival] = {
    AppendRequest: replication.entries_accepted,
    HeartbeatRequest: replication.heartbeat_received,
    SnapshotRequest: snapshots.part_arrived,
    TimeoutNow: requests.timeout_now_followed,
}
_ANSWERS: Mapping[type[FollowerMessage], _Arrival] = {
    AppendAccepted: replication.accepted,
    AppendRefused: replication.append_refused,
    HeartbeatResponse: replication.heartbeat_answered,
    SnapshotResponse: snapshots.asked_on,
}
"""Tables and not matches, which take ten times as long to deny a struct's class as to affirm it."""
