"""Membership changes (paper §6; openraft's extended joint consensus): learners, two quorums, a removed leader.

::

    {1,2,3}  ──change──▶  {1,2,3} + {3,4,5}  ──both agree──▶  {3,4,5}
             effective as soon as it is appended     ended by the leader once the joint entry is committed
"""

from pyraft_lab.engine.commands import (
    Accepted,
    AlreadyInitializedLog,
    Done,
    InProgress,
    NoSuchLearner,
    NotMember,
    NoVoters,
    PreconditionNotMet,
    Refusal,
    Refuse,
)
from pyraft_lab.engine.election import campaign, step_down
from pyraft_lab.engine.events import ChangeMembership, Initialize, Precondition
from pyraft_lab.engine.log import Configuration, Entry
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import TimeoutNow
from pyraft_lab.engine.replication import sync_progress
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import ORIGIN, LogId
from pyraft_lab.errors import EmptyMembership, LearnerNotFound

# The first membership


def initialize(turn: Turn, event: Initialize) -> None:
    """Give a pristine node its first membership, at index 1 of no term, and campaign (openraft initialize)."""
    refusal = _initialize_refusal(turn.state, event.membership)
    if refusal is not None:
        turn.emit(Refuse((event.request,), refusal))
        return
    turn.append((Entry(LogId(0, turn.id, 1), Configuration(event.membership)),))
    turn.emit(Done(event.request))
    campaign(turn, pre_vote=False)


def _initialize_refusal(state: RaftState, membership: Membership) -> Refusal | None:
    if state.log.last != ORIGIN or state.term:
        return AlreadyInitializedLog(state.log.last, state.vote)
    return None if state.id in membership.voters else NotMember(state.id, membership)


# Changes


def change(turn: Turn, event: ChangeMembership) -> None:
    """Propose the next membership on the way to the wanted one; the node must be a leader that takes requests."""
    refusal: Refusal | None = _precondition_failure(turn.state, event.guard)
    if refusal is None and not turn.rules.may_change(turn.state, turn.leader):
        committed = turn.state.membership_id_at(turn.state.committed)
        refusal = InProgress(committed, turn.state.membership_id)
    if refusal is not None:
        turn.emit(Refuse((event.request,), refusal))
        return
    try:
        membership = turn.rules.next_membership(turn.membership, event.change, event.retain)
    except LearnerNotFound as error:
        turn.emit(Refuse((event.request,), NoSuchLearner(error.node)))
    except EmptyMembership:
        turn.emit(Refuse((event.request,), NoVoters()))
    else:
        turn.emit(Accepted((event.request,), propose_membership(turn, membership)))


def _precondition_failure(state: RaftState, guard: Precondition) -> PreconditionNotMet | None:
    """The first precondition that does not hold."""
    checks = (
        ("leader", guard.leader, (state.vote.term, state.vote.node)),
        ("last log id", guard.last, state.log.last),
        ("last membership log id", guard.membership, state.membership_id),
    )
    for what, expected, actual in checks:
        if expected is not None and expected != actual:
            return PreconditionNotMet(what, str(expected), str(actual))
    return None


def propose_membership(turn: Turn, membership: Membership) -> LogId:
    """Append a membership; it is effective at once, so the progress records follow it at once (§6)."""
    at = turn.write(Configuration(membership))
    sync_progress(turn)
    return at


def leave_joint(turn: Turn) -> bool:
    """End a committed joint membership, even one that an earlier leader began."""
    leaves = turn.config.auto_leave and turn.rules.may_leave(turn.state, turn.leader)
    if leaves:
        propose_membership(turn, turn.membership.leave())
    return leaves


# A leader that is no longer a member


def step_down_if_removed(turn: Turn) -> None:
    """Transfer leadership and step down, once the membership without this leader is committed (§6).

    The target is the node an operator named, after it caught up or timed out; else the most up-to-date voter.
    """
    if turn.id in turn.membership.nodes or turn.state.membership_id.index > turn.state.committed:
        return
    handover = turn.leader.transfer
    if handover is not None and not handover.asked:
        return
    voters = [one for one in turn.leader.progress if one.peer in turn.membership.voters]
    if voters and handover is None:
        fittest = max(voters, key=lambda one: (one.matched, -one.peer))
        turn.send(fittest.peer, TimeoutNow(vote=turn.vote))
    step_down(turn, turn.vote)
