"""Membership changes (§6): joint entered and left, effective on append, falling back, a removed leader."""

from typing import assert_never

from pyraft_lab.engine.commands import (
    Accepted,
    AlreadyInitializedLog,
    Append,
    InProgress,
    NoSuchLearner,
    NotMember,
    NoVoters,
    PreconditionNotMet,
    Refuse,
)
from pyraft_lab.engine.election import refresh_role
from pyraft_lab.engine.events import ChangeMembership, Initialize
from pyraft_lab.engine.log import Configuration, Entry
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import TimeoutNow
from pyraft_lab.engine.reconfiguration import change, initialize, leave_joint, propose_membership, step_down_if_removed
from pyraft_lab.engine.rules import may_change, may_leave, next_membership
from pyraft_lab.engine.state import Disk, Follower, Leader, Learner, Step
from pyraft_lab.trace.annotate.elections import campaigned
from pyraft_lab.trace.annotate.own import cause, departs
from pyraft_lab.trace.annotate.rule import DECISIVE, Explained, Remarks, Rule, commands, leads_on, sent
from pyraft_lab.trace.text import entry_name, server, servers, voters

CLUSTER_INITIALIZED = Rule(
    "cluster created",
    "dissertation §4.4",
    initialize,
    "A server with an empty log gets the first membership of the cluster.",
    DECISIVE,
)
INITIALIZE_REFUSED = Rule(
    "creation refused",
    "openraft",
    initialize,
    "Only a server with an empty log may create a cluster, and only one in which it is a voter.",
)
JOINT_ENTERED = Rule(
    "joint entered",
    "§6",
    next_membership,
    "Voters change: from now on majorities of the old and of the new set must agree.",
    DECISIVE,
)
CHANGED_AT_ONCE = Rule(
    "membership changed at once",
    "§6, openraft",
    next_membership,
    "The wanted voter set is one of today's: no joint membership is needed.",
    DECISIVE,
)
JOINT_LEFT = Rule(
    "joint left",
    "§6",
    leave_joint,
    "The joint membership is committed: from now on the new set decides alone.",
    DECISIVE,
)
EFFECTIVE = Rule(
    "membership effective on append",
    "§6",
    propose_membership,
    "A membership counts as soon as it is appended, not when it is committed.",
)
FELL_BACK = Rule(
    "membership reverted", "§6", refresh_role, "A membership was removed with its entry: the one before it counts."
)
PROMOTED = Rule("learner becomes voter", "§6", refresh_role, "A membership makes a learner a voter.")
DEMOTED = Rule("voter becomes learner", "§6", refresh_role, "A membership takes a voter's vote away.")
CHANGE_IN_PROGRESS = Rule(
    "change refused: in progress", "dissertation §4.1", may_change, "The last membership must commit before the next."
)
PRECONDITION_FAILED = Rule(
    "change refused: precondition", "openraft", change, "The cluster is not in the state that the caller expected."
)
NOT_A_LEARNER = Rule(
    "change refused: no such learner",
    "dissertation §4.2.1",
    change,
    "A server must be a learner before it becomes a voter.",
)
NO_VOTERS_LEFT = Rule("change refused: no voters", "§6", change, "A cluster needs at least one voter.")
LEADER_REMOVED = Rule(
    "removed leader steps down",
    "§6",
    step_down_if_removed,
    "The membership without its leader is committed: the leader steps down.",
    DECISIVE,
)

RULES = (
    CLUSTER_INITIALIZED, INITIALIZE_REFUSED, JOINT_ENTERED, CHANGED_AT_ONCE, JOINT_LEFT, EFFECTIVE, FELL_BACK, PROMOTED,
    DEMOTED, CHANGE_IN_PROGRESS, PRECONDITION_FAILED, NOT_A_LEARNER, NO_VOTERS_LEFT, LEADER_REMOVED,
)  # fmt: skip

ChangeRefusal = InProgress | PreconditionNotMet | NoSuchLearner | NoVoters


def initialized(step: Step, event: Initialize) -> Remarks:
    """The first membership of all."""
    for refuse in commands(step, Refuse):
        if isinstance(refuse.refusal, AlreadyInitializedLog):
            why = f"it already has a log or a vote ({entry_name(refuse.refusal.last)}, term {refuse.refusal.vote.term})"
            yield Explained(INITIALIZE_REFUSED, f"creates no cluster: {why}")
        elif isinstance(refuse.refusal, NotMember):
            yield Explained(INITIALIZE_REFUSED, f"creates no cluster {event.membership}: it is not one of its voters")
    if commands(step, Append):
        yield Explained(CLUSTER_INITIALIZED, lambda: f"creates the cluster {event.membership} with entry 1 of term 0")
        yield from campaigned(step)


def changed(step: Step) -> Remarks:
    """An operator's change was accepted; the room ``requests`` tells why one is refused."""
    for accepted in commands(step, Accepted):
        yield from _entered(step.after.log.entry(accepted.first.index))


def _entered(entry: Entry) -> Remarks:
    payload = entry.payload
    assert isinstance(payload, Configuration), "a change is accepted as a membership entry"
    membership = payload.membership
    if membership.is_joint:
        old, new = (voters(config) for config in (membership.configs[0], membership.configs[-1]))
        both = f"from now on both a majority of {old} and a majority of {new} must agree"
        yield Explained(
            JOINT_ENTERED, lambda: f"enters the joint membership {membership} with entry {entry.index}: {both}"
        )
    else:
        yield Explained(CHANGED_AT_ONCE, lambda: f"changes the membership to {membership} with entry {entry.index}")


def change_refused(step: Step, refusal: ChangeRefusal) -> Explained:
    """Why a change was refused."""
    match refusal:
        case InProgress() if departs(step, may_change):
            return Explained(cause(step, CHANGE_IN_PROGRESS, may_change), "refuses the change of membership")
        case InProgress(committed, effective):
            why = f"the last one ({entry_name(effective)}) is not committed, only {entry_name(committed)} is"
            if committed == effective:
                why = "nothing of this leadership is committed yet"
            return Explained(CHANGE_IN_PROGRESS, lambda: f"refuses the change of membership: {why}")
        case PreconditionNotMet(what, expected, actual):
            return Explained(
                PRECONDITION_FAILED, lambda: f"refuses the change of membership: {what} is {actual}, not {expected}"
            )
        case NoSuchLearner(node):
            return Explained(
                NOT_A_LEARNER, lambda: f"refuses the change of membership: {server(node)} is not a learner"
            )
        case NoVoters():
            return Explained(NO_VOTERS_LEFT, "refuses the change of membership: it would leave no voter")
        case _:
            assert_never(refusal)


def joint_left(step: Step) -> Remarks:
    """The leader ends a committed joint membership on its own."""
    if not leads_on(step) or isinstance(step.event, ChangeMembership):
        return
    for entry in (entry for append in commands(step, Append) for entry in append.entries):
        if isinstance(entry.payload, Configuration):
            now = entry.payload.membership
            decides = f"from now on {voters(now.voters)} decides alone{_left_out(step.before.membership, now)}"
            yield Explained(
                cause(step, JOINT_LEFT, may_leave), f"ends the joint membership with entry {entry.index}: {decides}"
            )


def _left_out(joint: Membership, now: Membership) -> str:
    """What becomes of servers that are no longer voters."""
    gone, kept = joint.voters - set(now), joint.voters & now.learners
    without = f", without {servers(gone)}" if gone else ""
    return without + (
        f"; {servers(kept)} {'become learners' if len(kept) > 1 else 'becomes a learner'}" if kept else ""
    )


def followed(step: Step) -> Remarks:
    """A membership became effective, or fell back, on a server that follows."""
    before, after = step.before, step.after
    if (
        _is_untouched(before.disk, after.disk)
        or before.membership_id == after.membership_id
        or leads_on(step)
        or isinstance(step.event, Initialize)
    ):
        return
    what = f"the {'joint ' if after.membership.is_joint else ''}membership {after.membership}"
    if after.membership_id.index > before.membership_id.index or before.log.last < after.membership_id:
        yet = "" if after.membership_id.index <= after.committed else ", though it is not committed yet"
        yield Explained(EFFECTIVE, lambda: f"uses {what} from now on{yet}")
    else:
        yield Explained(FELL_BACK, lambda: f"uses {what} again")


def _is_untouched(before: Disk, after: Disk) -> bool:
    """Whether no membership was appended, removed or installed; a log without a new one has the list of the old log."""
    return before.log.configs is after.log.configs and before.snapshot is after.snapshot


def role_changed(step: Step) -> Remarks:
    """A membership made a learner a voter, or a voter a learner."""
    match step.before.role, step.after.role:
        case Learner(), Follower():
            yield Explained(PROMOTED, "is now a voter")
        case Follower(), Learner():
            yield Explained(DEMOTED, "is no longer a voter")
        case _:
            pass


def leader_removed(step: Step) -> Remarks:
    """A leader that is no longer a member steps down."""
    gone = isinstance(step.before.role, Leader) and not isinstance(step.after.role, Leader)
    if gone and step.before.vote == step.after.vote and step.after.id not in step.after.membership.nodes:
        told = [server(peer) for peer, _ in sent(step, TimeoutNow)]
        successor = f" and asks {told[0]} to campaign" if told else ""
        yield Explained(LEADER_REMOVED, lambda: f"is no longer a member: steps down{successor}")
