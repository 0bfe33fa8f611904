"""Changes of membership (§6): learners, preconditions, one at a time, effective as soon as it is appended."""

from typing import Any

import pytest

from pyraft_lab.engine.commands import (
    Accepted,
    InProgress,
    NoSuchLearner,
    NotLeading,
    NoVoters,
    PreconditionNotMet,
    Reason,
    Refusal,
    Refuse,
)
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership, Elect, Precondition
from pyraft_lab.engine.log import Configuration, Entry
from pyraft_lab.engine.membership import (
    AddLearners,
    AddVoters,
    Batch,
    Change,
    Membership,
    RemoveLearners,
    RemoveVoters,
    ReplaceNodes,
    ReplaceVoters,
    SetNodes,
)
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.state import Follower, Learner, RaftState, Step
from pyraft_lab.engine.timers import ELECTION
from pyraft_lab.engine.types import LogId, NodeId
from tests.engine.builders import (
    accepted,
    after,
    all_stored,
    append_request,
    candidate,
    commands,
    entry,
    follower,
    grant,
    id_of,
    leader,
    leadership,
    sent,
    streaming,
    vote_request,
)
from tests.engine.cluster import Cluster

ANYTHING = Precondition()
TRIO = Membership.of({1, 2, 3})


def wanted(
    change: Change, *, retain: bool = False, guard: Precondition = ANYTHING, request: int = 9
) -> ChangeMembership:
    """An operator's order."""
    return ChangeMembership(request=request, change=change, retain=retain, guard=guard)


def replace_with(*voters: NodeId) -> ChangeMembership:
    """Make these the voters, whoever they are."""
    return wanted(Batch((AddLearners(frozenset(voters)), ReplaceVoters(frozenset(voters)))))


def ready(**members: Any) -> RaftState:
    """A leader whose no-op is committed."""
    return streaming(leader(1, **members))


def refusals(turn: Step) -> list[Refusal]:
    """What was refused, and why."""
    return [refuse.refusal for refuse in commands(turn, Refuse)]


def members_of(turn: Step) -> Membership:
    """The effective membership after a step."""
    return turn.after.membership


# Learners


@pytest.mark.row("MB-01", "MB-21")
def test_new_learners_receive_everything_that_was_written_before_and_is_written_meanwhile() -> None:
    cluster = Cluster(1, 4, 5, membership=Membership.of({1}))
    cluster.elect(1)
    cluster.write(*(f"x{n}" for n in range(50)), first=100)
    cluster.feed(1, wanted(AddLearners(frozenset({4}))))
    cluster.write("meanwhile")
    cluster.run()
    cluster.feed(1, wanted(AddLearners(frozenset({5}))))
    cluster.run()
    assert cluster.nodes[4].machine == cluster.nodes[5].machine == cluster.nodes[1].machine
    assert len(cluster.nodes[5].machine) == 51
    assert cluster[5].role == Learner(leader=1)


@pytest.mark.row("MB-02")
def test_a_learner_that_cannot_be_reached_blocks_nothing() -> None:
    cluster = Cluster(1, 2, 3, 4, membership=TRIO)
    cluster.elect(1)
    cluster.isolate(4)
    cluster.feed(1, wanted(AddLearners(frozenset({4}))))
    cluster.run()
    assert isinstance(cluster.outcomes[9], Entry)
    cluster.write("x")
    cluster.run()
    assert isinstance(cluster.outcomes[1], Entry)


@pytest.mark.row("MB-03")
@pytest.mark.parametrize("known", [2, 4])
def test_adding_a_known_node_as_learner_changes_nothing_but_takes_an_entry(known: NodeId) -> None:
    state = ready(learners=[4])
    turn = step(state, wanted(AddLearners(frozenset({known}))))
    assert members_of(turn) == state.membership
    assert commands(turn, Accepted) == [Accepted((9,), LogId(1, 1, 2))]


@pytest.mark.row("MB-04")
@pytest.mark.parametrize("change", [ReplaceVoters(frozenset({1, 7})), AddVoters(frozenset({7}))])
def test_a_voter_must_be_a_known_node_first(change: Change) -> None:
    turn = step(ready(), wanted(change))
    assert refusals(turn) == [NoSuchLearner(7)]
    assert turn.after.log == turn.before.log


@pytest.mark.row("MB-08")
@pytest.mark.parametrize("change", [RemoveVoters(frozenset({8})), RemoveLearners(frozenset({8}))])
def test_removing_a_stranger_changes_nothing(change: Change) -> None:
    turn = step(ready(), wanted(change))
    assert members_of(turn) == Membership.of({1, 2, 3})
    assert commands(turn, Accepted)


@pytest.mark.row("MB-09", "SZ-09")
@pytest.mark.parametrize("change", [RemoveVoters(frozenset({1, 2, 3})), ReplaceVoters(frozenset())])
def test_somebody_must_vote(change: Change) -> None:
    turn = step(ready(learners=[4]), wanted(change))
    assert refusals(turn) == [NoVoters()]
    assert turn.after.log == turn.before.log


@pytest.mark.row("MB-10")
def test_a_learner_that_restarts_is_a_learner() -> None:
    cluster = Cluster(1, 2, 3, 4, membership=Membership.of({1, 2, 3}, learners=[4]))
    cluster.elect(1)
    cluster.crash(4)
    cluster.restart(4)
    assert isinstance(cluster[4].role, Learner)
    assert ELECTION not in cluster.nodes[4].timers


@pytest.mark.row("MB-11")
def test_a_promotion_waits_until_the_new_quorum_has_caught_up() -> None:
    cluster = Cluster(1, 4, 5, membership=Membership.of({1}, learners=[4, 5]))
    cluster.elect(1)
    cluster.isolate(4, 5)
    cluster.write("a", "b", "c", first=1)
    cluster.feed(1, wanted(ReplaceVoters(frozenset({1, 4, 5}))))
    cluster.run()
    assert 9 not in cluster.outcomes
    cluster.heal()
    cluster.retry()
    assert isinstance(cluster.outcomes[9], Entry)
    assert cluster[1].membership == Membership.of({1, 4, 5})
    assert cluster.nodes[4].machine == [b"a", b"b", b"c"]


@pytest.mark.row("MB-12")
def test_the_next_leader_goes_on_feeding_the_learner() -> None:
    cluster = Cluster(1, 2, 3, 4, membership=TRIO)
    cluster.elect(1)
    cluster.feed(1, wanted(AddLearners(frozenset({4}))))
    cluster.run()
    cluster.isolate(1)
    cluster.fire(2)
    cluster.run()
    cluster.write("from two", to=2)
    cluster.run()
    assert cluster.leader == 2
    assert cluster.nodes[4].machine == [b"from two"]


@pytest.mark.row("MB-13")
def test_a_learners_vote_counts_for_whoever_knows_it_as_a_voter() -> None:
    learner = follower(4, [1], learners=[4])
    assert after(learner, vote_request(2, 2, id_of(1))).vote.node == 2
    assert after(candidate(1, [1], voters=[1, 2, 4]), grant(4, 2)).vote.committed
    assert not after(candidate(1, [1], learners=[4]), grant(4, 2)).vote.committed


@pytest.mark.row("MB-14")
def test_an_address_changes_in_one_step_and_touches_no_voter() -> None:
    state = ready()
    turn = step(state, wanted(SetNodes({2: "somewhere", 3: "else"})))
    assert members_of(turn).configs == state.membership.configs
    assert dict(members_of(turn).nodes) == {1: "", 2: "somewhere", 3: "else"}
    kept = step(streaming(after(turn.after, all_stored(turn.after))), wanted(AddLearners({2: "no", 4: "yes"})))
    assert dict(members_of(kept).nodes) == {1: "", 2: "somewhere", 3: "else", 4: "yes"}


@pytest.mark.row("MB-15")
def test_a_voter_cannot_be_removed_as_a_learner() -> None:
    assert refusals(step(ready(), wanted(RemoveLearners(frozenset({2}))))) == [NoSuchLearner(2)]


@pytest.mark.row("MB-14", "MB-15")
def test_the_whole_table_of_nodes_may_be_replaced_if_every_voter_is_in_it() -> None:
    state = ready(learners=[4])
    turn = step(state, wanted(ReplaceNodes({1: "a", 2: "b", 3: "c", 5: "e"})))
    assert members_of(turn).configs == state.membership.configs
    assert dict(members_of(turn).nodes) == {1: "a", 2: "b", 3: "c", 5: "e"}
    assert refusals(step(state, wanted(ReplaceNodes({1: "a", 2: "b"})))) == [NoSuchLearner(3)]


@pytest.mark.row("MB-20", "CM-07")
def test_a_learner_ahead_of_the_voters_commits_nothing() -> None:
    state = leader(1, learners=[4])
    assert after(state, accepted(4, state)).committed == 0
    assert after(state, accepted(4, state), accepted(2, state)).committed == 1


# One at a time


@pytest.mark.row("MB-05", "JC-09")
def test_a_change_waits_for_the_one_before_it() -> None:
    first = step(ready(), wanted(AddLearners(frozenset({4}))))
    second = step(first.after, wanted(AddLearners(frozenset({5}))))
    assert refusals(second) == [InProgress(LogId(), LogId(1, 1, 2))]
    done = after(first.after, all_stored(first.after), accepted(2, first.after))
    assert commands(step(done, wanted(AddLearners(frozenset({5})))), Accepted)


@pytest.mark.row("MB-06")
def test_a_new_leader_changes_nothing_before_its_first_entry_commits() -> None:
    state = leader(1, [1, 1])
    assert refusals(step(state, wanted(AddLearners(frozenset({4}))))) == [InProgress(LogId(), LogId())]
    assert commands(step(streaming(state, 2), wanted(AddLearners(frozenset({4})))), Accepted)


@pytest.mark.row("MB-07")
def test_a_new_leader_inherits_a_change_that_is_not_committed() -> None:
    grown = Configuration(Membership.of({1, 2, 3}, learners={4}))
    holder = after(follower(1, [1]), append_request(3, 2, id_of(1), [entry(2, (2, 3), grown)]))
    standing = after(holder, Elect())
    elected = after(standing, all_stored(standing), grant(2, 3))
    assert refusals(step(elected, wanted(AddLearners(frozenset({5}))))) == [InProgress(LogId(), LogId(2, 3, 2))]
    assert elected.membership.learners == {4}


@pytest.mark.row("MB-16", "JC-20", "JC-24")
def test_a_membership_governs_from_when_it_is_appended() -> None:
    other = Configuration(Membership.of({1, 4, 5}, learners={2}))
    turn = step(follower(2, [1]), append_request(1, 1, id_of(1), [entry(2, payload=other)]))
    assert turn.after.membership == other.membership
    assert turn.after.committed_membership == Membership.of({1, 2, 3})
    assert turn.after.membership_id == id_of(2)
    assert isinstance(turn.after.role, Follower), "a voter of the committed membership may still stand"
    told = step(turn.after, append_request(1, 1, id_of(2), commit=2))
    assert told.after.committed_membership == other.membership
    assert isinstance(told.after.role, Learner)


# Guards


@pytest.mark.row("MB-18")
@pytest.mark.parametrize(
    ("guard", "what"),
    [
        (Precondition(membership=id_of(7)), "last membership log id"),
        (Precondition(last=id_of(7)), "last log id"),
        (Precondition(leader=(7, 1)), "leader"),
    ],
)
def test_a_guard_that_does_not_hold_writes_nothing(guard: Precondition, what: str) -> None:
    turn = step(ready(), wanted(AddLearners(frozenset({4})), guard=guard))
    assert [refusal.what for refusal in refusals(turn) if isinstance(refusal, PreconditionNotMet)] == [what]
    assert turn.after.log == turn.before.log


@pytest.mark.row("MB-18")
def test_a_guard_that_holds_lets_the_whole_joint_change_through() -> None:
    cluster = Cluster(1, 2, 3, 4, membership=Membership.of({1, 2, 3}, learners=[4]))
    cluster.elect(1)
    state = cluster[1]
    guard = Precondition(leader=(1, 1), last=state.log.last, membership=state.membership_id)
    cluster.feed(1, wanted(ReplaceVoters(frozenset({1, 2, 4})), guard=guard))
    cluster.run()
    assert cluster[1].membership == Membership.of({1, 2, 4})


@pytest.mark.row("MB-19")
def test_who_does_not_lead_says_who_does_and_not_that_a_guard_failed() -> None:
    turn = step(follower(2, [1], leader=1), wanted(AddLearners(frozenset({4})), guard=Precondition(last=id_of(7))))
    assert refusals(turn) == [NotLeading(1, Reason.NOT_LEADER)]


# A member's record


@pytest.mark.row("FC-19", "RL-09")
def test_answers_from_an_earlier_life_of_a_member_do_not_count() -> None:
    state = ready(learners=[4])
    old = accepted(4, state)
    gone = step(state, wanted(RemoveLearners(frozenset({4})))).after
    gone = after(gone, all_stored(gone), accepted(2, gone))
    assert leadership(gone).of(4) is None
    back = step(gone, wanted(AddLearners(frozenset({4})))).after
    late = after(back, old)
    assert late == back
    fresh = leadership(back).of(4)
    assert fresh is not None
    assert fresh.matched == 0


@pytest.mark.row("RL-08")
def test_nothing_is_sent_to_who_has_left() -> None:
    cluster = Cluster(1, 2, 3, 4, membership=Membership.of({1, 2, 3, 4}))
    cluster.elect(1)
    cluster.isolate(4)
    cluster.write("lost on the way")
    cluster.feed(1, wanted(RemoveVoters(frozenset({4}))))
    cluster.run()
    assert cluster[1].membership == Membership.of({1, 2, 3})
    turn = cluster.write("x", first=2)
    assert sent(turn, AppendRequest, 4) == []
    assert all(timer.key != 4 for timer in cluster.nodes[1].timers)
    assert leadership(cluster[1]).of(4) is None
