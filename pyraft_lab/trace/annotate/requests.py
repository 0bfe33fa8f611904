"""What clients and operators ask for (§8, dissertation §3.10, §6.4): writes, reads, transfers; and refusals."""

from functools import partial
from typing import assert_never

from pyraft_lab.engine.commands import (
    Accepted,
    AlreadyInitializedLog,
    Done,
    InProgress,
    NoQuorum,
    NoSuchLearner,
    NothingToDo,
    NotLeading,
    NotMember,
    NoVoters,
    PreconditionNotMet,
    Readable,
    Reason,
    Refusal,
    Refuse,
    RestoreMachine,
    TooManyUncommitted,
)
from pyraft_lab.engine.election import on_timeout_now
from pyraft_lab.engine.engine import on_trigger
from pyraft_lab.engine.events import AllowRevert, Propose, Read, TransferLeader
from pyraft_lab.engine.messages import HeartbeatRequest, TimeoutNow
from pyraft_lab.engine.requests import (
    allow_revert,
    answer_reads,
    on_transfer_timer,
    propose,
    read,
    refusal_to_lead,
    refusal_to_write,
    send_timeout_now,
    transfer,
)
from pyraft_lab.engine.rules import acked_round, has_valid_lease, is_read_safe, starts_with_vote_lease
from pyraft_lab.engine.startup import boot
from pyraft_lab.engine.state import Candidate, Follower, Leader, Learner, PendingRead, Step
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.annotate.elections import campaigned
from pyraft_lab.trace.annotate.memberships import change_refused
from pyraft_lab.trace.annotate.own import cause, departs
from pyraft_lab.trace.annotate.rule import DECISIVE, Explained, Remarks, Rule, commands, sent
from pyraft_lab.trace.annotate.terms import out_of_date
from pyraft_lab.trace.text import contained, entry_name, majorities, server, servers

BOOTED = Rule("started", "§5.2, Figure 2", boot, "A server starts as a follower and knows only what its disk holds.")
VOTE_LEASE_RESTORED = Rule(
    "vote lease kept after restart",
    "dissertation §4.2.3",
    boot,
    "A promise not to vote against a leader survives a crash.",
)
MACHINE_RESTORED = Rule("machine restored", "§7", boot, "The state machine starts from the snapshot.")
LEADERSHIP_RESUMED = Rule(
    "leadership resumed",
    "openraft",
    boot,
    "Where the settings allow it, a restarted leader continues in its term.",
    DECISIVE,
)
WRITE_ACCEPTED = Rule("write accepted", "§5.3", propose, "The leader appends a client's command to its log.", DECISIVE)
REFUSED_NOT_LEADER = Rule(
    "refused: not the leader", "§8", refusal_to_lead, "Only the leader accepts requests; other servers name it."
)
REFUSED_TRANSFER = Rule(
    "refused: transfer",
    "dissertation §3.10",
    refusal_to_lead,
    "A leader that is transferring its leadership accepts no new requests.",
)
REFUSED_LEASE = Rule(
    "refused: lease",
    "dissertation §6.2",
    refusal_to_write,
    "A leader without contact to a majority accepts no writes and no lease reads.",
)
REFUSED_FENCED = Rule("refused: another leadership", "openraft", propose, "The caller named another leadership.")
REFUSED_UNINITIALIZED = Rule(
    "refused: no cluster", "openraft", refusal_to_lead, "The server belongs to no cluster yet."
)
REFUSED_OVERLOADED = Rule("refused: too many uncommitted", "", propose, "The bytes of uncommitted entries are limited.")
READ_WAITS = Rule(
    "read waits for a round", "§8, dissertation §6.4", read, "A leader asks a majority whether it still leads."
)
READ_CONFIRMED = Rule(
    "read confirmed",
    "§8, dissertation §6.4",
    is_read_safe,
    "A majority answered: no newer leader existed when the read began.",
    DECISIVE,
)
READ_BY_LEASE = Rule(
    "read by lease",
    "dissertation §6.4.1",
    has_valid_lease,
    "The lease holds: no other server can be leader, so no message is needed.",
    DECISIVE,
)
READS_FAIL_WITH_LEADERSHIP = Rule(
    "reads fail with the leadership", "§8", answer_reads, "Waiting reads fail when a leader steps down."
)
TRANSFER_BEGUN = Rule(
    "transfer begun",
    "dissertation §3.10",
    transfer,
    "The leader accepts no new requests and brings the target up to date.",
    DECISIVE,
)
TRANSFER_CALLED_OFF = Rule("transfer cancelled", "dissertation §3.10", transfer, "The leader stays leader.")
TRANSFER_REFUSED = Rule("transfer refused", "dissertation §3.10", transfer, "Only another voter can take over.")
TRANSFER_TOO_SLOW = Rule(
    "transfer given up",
    "dissertation §3.10",
    on_transfer_timer,
    "The target did not take over in time: requests are accepted again.",
)
TIMEOUT_NOW_SENT = Rule(
    "transfer: TimeoutNow sent",
    "dissertation §3.10",
    send_timeout_now,
    "The target holds the whole log: it may campaign.",
    DECISIVE,
)
TIMEOUT_NOW_FOLLOWED = Rule(
    "transfer: TimeoutNow accepted",
    "dissertation §3.10",
    on_timeout_now,
    "The target campaigns at once; leases do not stop it.",
    DECISIVE,
)
CONFIGURED = Rule("settings changed", "", on_trigger, "An operator changed the server's settings.")
REVERT_ALLOWED = Rule(
    "log revert allowed", "openraft", allow_revert, "An operator lets a follower start with an empty log."
)
REVERT_REFUSED = Rule("log revert refused", "openraft", allow_revert, "There is no such follower.")

RULES = (
    BOOTED, VOTE_LEASE_RESTORED, MACHINE_RESTORED, LEADERSHIP_RESUMED, WRITE_ACCEPTED, REFUSED_NOT_LEADER,
    REFUSED_TRANSFER,
    REFUSED_LEASE, REFUSED_FENCED, REFUSED_UNINITIALIZED, REFUSED_OVERLOADED, READ_WAITS, READ_CONFIRMED, READ_BY_LEASE,
    READS_FAIL_WITH_LEADERSHIP, TRANSFER_BEGUN, TRANSFER_CALLED_OFF, TRANSFER_REFUSED, TRANSFER_TOO_SLOW,
    TIMEOUT_NOW_SENT,
    TIMEOUT_NOW_FOLLOWED, CONFIGURED, REVERT_ALLOWED, REVERT_REFUSED,
)  # fmt: skip
_REASONS = {
    Reason.NOT_LEADER: REFUSED_NOT_LEADER,
    Reason.TRANSFER: REFUSED_TRANSFER,
    Reason.LEASE: REFUSED_LEASE,
    Reason.NO_LEASE: REFUSED_LEASE,
    Reason.FENCED: REFUSED_FENCED,
    Reason.UNINITIALIZED: REFUSED_UNINITIALIZED,
}

# Starting


def booted(step: Step) -> Remarks:
    """A server starts from its disk."""
    after = step.after
    kind = "learner" if isinstance(after.role, Learner) else "follower"
    yield Explained(
        BOOTED, lambda: f"starts as a {kind} with what its disk holds: term {after.term}, log {_log_end(step)}"
    )
    for restore in commands(step, RestoreMachine):
        yield Explained(
            MACHINE_RESTORED, f"restores its machine from the snapshot up to {entry_name(restore.meta.last)}"
        )
    if isinstance(after.role, Leader):
        yield Explained(LEADERSHIP_RESUMED, lambda: f"resumes its leadership of term {after.term}")
    elif isinstance(after.role, Candidate):
        yield from campaigned(step)
    elif after.leader:
        yield from _lease_kept(step)


def _lease_kept(step: Step) -> Remarks:
    """Followed a leader before the crash; the promise not to vote against it lasts on, or not."""
    role, leader = step.after.role, server(step.after.leader)
    kept = isinstance(role, (Follower, Learner)) and role.has_heard_leader
    text = f"helps no other server against {leader} for one election timeout, as before the crash"
    yield Explained(
        cause(step, VOTE_LEASE_RESTORED, starts_with_vote_lease),
        text if kept else f"followed {leader} before the crash",
    )


def _log_end(step: Step) -> str:
    last = step.after.log.last
    return f"up to {entry_name(last)}" if last.index else "empty"


# Writing and reading


def proposed(step: Step, event: Propose) -> Remarks:
    """Clients' writes."""
    for accepted in commands(step, Accepted):
        first = accepted.first.index
        yield Explained(WRITE_ACCEPTED, partial(_accepted, step, range(first, first + len(event.payloads))))


def _accepted(step: Step, places: range) -> str:
    return f"accepts a client's write and appends {contained(step.after.log.slice(places.start, places.stop))}"


def asked(step: Step, event: Read) -> Remarks:
    """Clients' reads."""
    if event.policy == "lease" and step.before.config.vote_lease:
        for ready in commands(step, Readable):
            rule = cause(step, READ_BY_LEASE, has_valid_lease)
            yield Explained(rule, f"lets a read go ahead {_once(ready)}, by its lease and without a message")
    elif isinstance(step.after.role, Leader) and not commands(step, Refuse):
        instead = ", since vote leases are off" if event.policy == "lease" else ""
        yield Explained(READ_WAITS, lambda: f"accepts a read; it waits until {_answered(step)}{instead}")


def _answered(step: Step) -> str:
    """What a read waits for: the round that it began, or the next one."""
    asked = servers(peer for peer, _ in sent(step, HeartbeatRequest))
    if not sent(step, HeartbeatRequest):
        return "its next round is answered"
    return f"a majority answers the heartbeats it sends to {asked} now"


def _once(ready: Readable) -> str:
    return f"as soon as entry {ready.at.index} is applied"


def reads_confirmed(step: Step) -> Remarks:
    """A waiting read's round was answered."""
    if isinstance(step.event, Read) and step.event.policy == "lease":
        return
    for ready in commands(step, Readable):
        heard = majorities(step.after.membership, _heard(step, ready))
        yield Explained(
            cause(step, READ_CONFIRMED, is_read_safe, acked_round),
            f"lets a read go ahead {_once(ready)}: {heard} answered its round",
        )


def _heard(step: Step, ready: Readable) -> set[NodeId]:
    """Which servers answered the read's round; a read that did not wait began with the newest round."""
    role, now = step.before.role, step.after.role
    newest = now.round if isinstance(now, Leader) else 0
    waiting: tuple[PendingRead, ...] = role.reads if isinstance(role, Leader) else ()
    round = max((one.round for one in waiting if one.requests == ready.requests), default=newest)
    peers = now.progress if isinstance(now, Leader) else role.progress if isinstance(role, Leader) else ()
    return {one.peer for one in peers if one.last_ack_round >= round} | {step.after.id}


def reads_failed_with_leadership(step: Step) -> Remarks:
    """A leader steps down while reads wait."""
    if isinstance(step.before.role, Leader) and not isinstance(step.after.role, Leader):
        for refuse in commands(step, Refuse):
            if isinstance(refuse.refusal, NotLeading):
                yield Explained(
                    READS_FAIL_WITH_LEADERSHIP, f"fails {len(refuse.requests)} waiting reads: it is no longer leader"
                )


# Refusing


def refused(step: Step) -> Remarks:
    """The request was refused."""
    for refuse in commands(step, Refuse):
        yield _refusal(step, refuse.refusal)


def _refusal(step: Step, refusal: Refusal) -> Explained:
    match refusal:
        case NotLeading(leader, reason):
            hint = f"; ask {server(leader)}" if leader and leader != step.before.id else ""
            if departs(step, has_valid_lease):
                return Explained(cause(step, REFUSED_LEASE, has_valid_lease), "does not accept the request")
            return Explained(_REASONS[reason], lambda: f"does not accept the request: {reason}{hint}")
        case TooManyUncommitted(waiting, limit):
            return Explained(
                REFUSED_OVERLOADED,
                lambda: f"does not accept the write: {waiting} bytes are already waiting, {limit} are allowed",
            )
        case InProgress() | PreconditionNotMet() | NoSuchLearner() | NoVoters():
            return change_refused(step, refusal)
        case NothingToDo(why):
            return Explained(TRANSFER_REFUSED, lambda: f"does not transfer its leadership: {why}")
        case NotMember(node, membership):
            rule = REVERT_REFUSED if isinstance(step.event, AllowRevert) else TRANSFER_REFUSED
            return Explained(rule, lambda: f"refuses: {server(node)} is not a voter of {membership}")
        case NoQuorum() | AlreadyInitializedLog():
            return Explained(REFUSED_LEASE, "does not accept the request")
        case _:
            assert_never(refusal)


# Transfer of leadership


def transferred(step: Step, event: TransferLeader) -> Remarks:
    """An operator asks for another leader."""
    if commands(step, Done):
        if event.to == step.before.id:
            yield Explained(TRANSFER_CALLED_OFF, "keeps its leadership")
        else:
            target = server(event.to)
            yield Explained(
                TRANSFER_BEGUN, lambda: f"begins to transfer leadership to {target} and accepts no more requests"
            )


def timeout_now_sent(step: Step) -> Remarks:
    """The target holds the whole log; or it can no longer take over."""
    before, after = step.before.role, step.after.role
    if not isinstance(after, Leader):
        return
    for peer, _ in sent(step, TimeoutNow):
        yield Explained(TIMEOUT_NOW_SENT, f"tells {server(peer)}, which holds its whole log, to campaign at once")
    if (
        isinstance(before, Leader)
        and before.transfer
        and not after.transfer
        and before.transfer.to not in step.after.membership.voters
    ):
        target = server(before.transfer.to)
        yield Explained(TRANSFER_CALLED_OFF, lambda: f"ends the transfer: {target} is no longer a voter")


def transfer_timed_out(step: Step) -> Remarks:
    """The target did not take over in time."""
    role = step.before.role
    if isinstance(role, Leader) and role.transfer is not None:
        target = server(role.transfer.to)
        yield Explained(TRANSFER_TOO_SLOW, lambda: f"hears nothing from {target} as leader and accepts requests again")
    else:
        yield from out_of_date("its transfer timer")


def timeout_now_followed(step: Step, leader: NodeId, message: TimeoutNow) -> Remarks:
    """The leader asks this server to campaign."""
    yield Explained(TIMEOUT_NOW_FOLLOWED, lambda: f"is asked by {server(leader)} to take over at once")
    if message.last in (None, step.before.log.last):
        yield from campaigned(step)
    else:
        yield from out_of_date("that: its log no longer ends where the message says")


def revert_allowed(step: Step, event: AllowRevert) -> Remarks:
    """An operator lets a follower that lost its log start over."""
    if commands(step, Done):
        yield Explained(REVERT_ALLOWED, lambda: f"lets {server(event.peer)} start over with an empty log")
