"""Voters that hold nothing, under a leader who was not there when they lost it: what can be known, and what not.

A leader knows what was acknowledged to itself, not what was acknowledged to the leader before it (openraft's
``allow_next_revert`` has the same limit). Its log proves one thing more: who has led had a disk with a log.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Alarm
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import AllowRevert, Receive
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AppendRefused, AppendRequest
from pyraft_lab.engine.state import Candidate, Disk, Leader, PreCandidate, RaftState, Reverted, Step
from pyraft_lab.engine.types import ORIGIN
from tests.engine.builders import (
    EAGER,
    Terms,
    after,
    candidate,
    commands,
    grant,
    leader,
    pre_candidate,
    pre_grant,
    progress,
    sent,
)
from tests.engine.cluster import Cluster

LED_BY_2, LED_BY_3 = [(1, 2), (1, 2)], [(1, 3), (1, 3)]
"""Logs of two entries."""


def empty(state: RaftState) -> Receive:
    """Server 2 refuses the first append of this leader: it holds nothing."""
    assert isinstance(state.role, Leader), "only a leader probes"
    prev = state.log.id_at(state.role.noop - 1) or ORIGIN
    return Receive(2, AppendRefused(vote=state.vote, prev=prev, hint=ORIGIN, round=state.role.round, empty=True))


def found_empty(given: Terms, **more: Any) -> Step:
    """Leader 1 of the next term hears that server 2 holds nothing."""
    state = leader(1, given, **more)
    return step(state, empty(state))


def is_fed(turn: Step) -> bool:
    """Whether server 2 is sent the log from its beginning."""
    return [one.prev for one in sent(turn, AppendRequest, 2)] == [ORIGIN]


@pytest.mark.row("CR-12", "SN-20")
def test_a_voter_that_has_led_and_holds_nothing_waits_for_an_operator() -> None:
    turn = found_empty(LED_BY_2)
    assert progress(turn.after, 2).state == Reverted()
    assert "has led this cluster and holds nothing" in commands(turn, Alarm)[0].what
    assert not sent(turn, AppendRequest, 2)
    assert is_fed(step(turn.after, AllowRevert(9, 2)))


@pytest.mark.row("CR-12")
def test_it_is_fed_at_once_where_that_was_allowed_before() -> None:
    assert is_fed(found_empty(LED_BY_2, config=replace(EAGER, allow_log_revert=True)))
    state = leader(1, LED_BY_2)
    turn = step(after(state, AllowRevert(9, 2)), empty(state))
    assert is_fed(turn)
    assert not progress(turn.after, 2).may_revert, "once"


@pytest.mark.row("CR-12")
def test_a_voter_that_holds_nothing_and_never_led_is_fed_with_an_alarm() -> None:
    turn = found_empty(LED_BY_3)
    assert is_fed(turn)
    assert "it is new, or it lost its disk" in commands(turn, Alarm)[0].what


def test_empty_voters_of_a_new_cluster_and_empty_learners_are_no_alarm() -> None:
    assert not commands(found_empty([1]), Alarm)
    assert not commands(found_empty(LED_BY_2, membership=Membership.of({1, 3}, learners={2})), Alarm)


@pytest.mark.row("CR-12")
def test_the_vote_of_a_voter_that_lost_its_disk_does_not_count() -> None:
    standing = candidate(1, LED_BY_2)
    turn = step(standing, grant(2, standing.term, last=ORIGIN))
    assert isinstance(turn.after.role, Candidate)
    assert "its vote does not count" in commands(turn, Alarm)[0].what
    assert isinstance(after(turn.after, grant(3, standing.term)).role, Leader)


def test_the_vote_of_an_empty_voter_that_never_led_counts() -> None:
    standing = candidate(1, LED_BY_3)
    assert isinstance(after(standing, grant(2, standing.term, last=ORIGIN)).role, Leader)


def test_what_a_lost_disk_would_vote_does_not_count_either() -> None:
    asking = pre_candidate(1, LED_BY_2)
    assert isinstance(after(asking, pre_grant(2, asking.term + 1)).role, PreCandidate)


def test_the_next_leader_does_not_lose_an_entry_with_the_help_of_a_lost_disk() -> None:
    cluster = Cluster(1, 2, 3, config=EAGER)
    cluster.elect(2)
    cluster.run()
    cluster.elect(1)
    cluster.run()
    cluster.crash(3)
    cluster.write("kept")
    cluster.run()
    cluster.crash(1)
    cluster.crash(2)
    cluster.nodes[2].disk = Disk()
    cluster.restart(2)
    cluster.restart(3)
    cluster.fire(3)
    cluster.run()
    assert cluster.leader == 0, "3 lacks what 1 and 2 acknowledged, and 2 does not know any more"
    cluster.restart(1)
    cluster.fire(1)
    cluster.run()  # its term was that of 3
    cluster.elect(1)
    assert cluster.nodes[3].machine == [b"kept"]
