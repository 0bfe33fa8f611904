"""Finding where two logs part, and mending the follower's (paper §5.3)."""

import random

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Alarm, Done, NotLeading, NotMember, Reason, Refuse, Truncate
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import AllowRevert, Event
from pyraft_lab.engine.log import Configuration, Entry, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AppendRefused, AppendRequest
from pyraft_lab.engine.state import Disk, Leader, Probe, Reverted
from pyraft_lab.engine.types import ORIGIN, LogId, Vote
from tests.engine.builders import (
    BEAT,
    EAGER,
    accepted,
    after,
    all_stored,
    answers,
    append_request,
    commands,
    disk,
    entries,
    follower,
    id_of,
    leader,
    log,
    progress,
    propose,
    refused,
    sent,
    storage,
    streaming,
    terms,
)
from tests.engine.cluster import Cluster

US = Membership.of({1, 2, 3})


def probes(cluster: Cluster, peer: int) -> int:
    """How many appends of the leader a peer refused."""
    return len([turn for turn in cluster.steps if turn.after.id == peer and sent(turn, AppendRefused)])


# Hints


@pytest.mark.row("CR-03")
def test_a_short_log_is_met_at_its_end_in_one_jump() -> None:
    state = leader(1, [1] * 100, term=2)
    turn = step(state, refused(2, state, id_of(100), id_of(3)))
    assert [(one.prev, one.entries[0].index) for one in sent(turn, AppendRequest)] == [(id_of(3), 4)]


@pytest.mark.row("CR-04")
def test_a_follower_hints_before_everything_newer_than_the_place_it_lacks() -> None:
    state = follower(2, [1, 1, 4, 4, 4, 4, 4], term=5)
    turn = step(state, append_request(1, 6, id_of(7, 3)))
    assert answers(turn) == [AppendRefused(vote=turn.after.vote, prev=id_of(7, 3), hint=id_of(2), round=1)]


@pytest.mark.row("CR-04")
def test_a_leader_skips_its_own_entries_newer_than_the_hint() -> None:
    state = leader(1, [1, 1, 3, 3, 3, 3], term=4)
    turn = step(state, refused(2, state, id_of(6, 3), id_of(5, 2)))
    assert [one.prev for one in sent(turn, AppendRequest)] == [id_of(2)]


@pytest.mark.row("CR-06", "CR-15", "HL-06")
@pytest.mark.parametrize("shared", [0, 1, 99, 500, 999, 1000])
def test_a_divergence_of_any_length_is_found_in_two_refusals(shared: int) -> None:
    common = [1] * shared
    cluster = Cluster(
        1, 2, 3, logs={1: common + [2] * (1000 - shared), 2: common + [(2, 9)] * (1200 - shared)}, config=EAGER
    )
    cluster.elect(1)
    cluster.retry()
    assert list(cluster[2].log) == list(cluster[1].log)
    assert probes(cluster, 2) <= 2


@pytest.mark.row("CR-15", "HL-06")
def test_the_search_visits_each_term_at_most_once() -> None:
    mine = [1] * 5 + [term for term in range(3, 200, 2) for _ in range(5)]
    other = [(1, 1)] * 5 + [(term, 9) for term in range(2, 200, 2) for _ in range(3)]
    cluster = Cluster(1, 2, 3, logs={1: mine, 2: other}, votes={1: Vote(300)})
    cluster.elect(1)
    cluster.retry()
    assert list(cluster[2].log) == list(cluster[1].log)
    assert probes(cluster, 2) <= len(set(mine)) + 1


@pytest.mark.row("CR-15", "CR-16")
@pytest.mark.parametrize("seed", range(20))
def test_any_two_lawful_histories_are_joined(seed: int) -> None:
    chances = random.Random(seed)
    logs: dict[int, list[tuple[int, int]]] = {1: [], 2: [], 3: []}
    for term in range(1, 12):
        author = chances.choice([1, 2, 3])
        base = logs[author][:]
        logs[author] += [(term, author)] * chances.randint(1, 4)
        follower = chances.choice([1, 2, 3])
        if chances.random() < 0.5 and len(base) >= len(logs[follower]):
            logs[follower] = logs[author][: len(base) + 1]
    fittest = max(logs, key=lambda node: log(logs[node]).last)
    cluster = Cluster(1, 2, 3, logs=logs, votes=dict.fromkeys(logs, Vote(20)))
    cluster.elect(fittest)
    cluster.retry()
    assert [list(cluster[id].log) for id in (1, 2, 3)] == [list(cluster[fittest].log)] * 3


@pytest.mark.row("CR-14")
def test_a_conflict_right_after_the_purged_part_is_found_and_mended() -> None:
    purged = Disk(vote=Vote(2), log=log([1, 1, 1, (2, 9), (2, 9)]).purge(id_of(3)), snapshot=SnapshotMeta(id_of(3), US))
    cluster = Cluster(1, 2, 3, logs={1: [1, 1, 1, 3, 3]})
    cluster.nodes[2].disk = purged
    cluster.restart(2)
    cluster.elect(1)
    cluster.retry()
    assert list(cluster[2].log) == list(cluster[1].log)[3:]
    assert cluster[2].log.start == id_of(3)


@pytest.mark.row("CR-14")
def test_what_a_snapshot_covers_fits_whatever_it_is_called() -> None:
    covered = Disk(vote=Vote(1), log=log([1, 1, 1, 1]).purge(id_of(3)), snapshot=SnapshotMeta(id_of(3), US))
    state = replace(follower(2), disk=covered, committed=3, applied=3)
    turn = step(state, append_request(1, 1, id_of(1), entries([1, 1, 1, 1], 2)))
    assert terms(turn.after) == [1, 1]
    assert turn.after.log.last == id_of(5)


# Memberships that are truncated


@pytest.mark.row("CR-10", "MB-16")
def test_a_membership_that_is_truncated_never_was() -> None:
    grown = Membership.of({2, 3, 4, 5})
    state = follower(4, [1], learners=[4])
    state = after(state, append_request(1, 1, id_of(1), [Entry(LogId(1, 1, 2), Configuration(grown))]))
    assert (state.membership, state.committed_membership) == (grown, Membership.of({1, 2, 3}, learners=[4]))
    turn = step(state, append_request(3, 2, id_of(1), entries([(2, 3)], 2)))
    assert Truncate(1) in storage(turn)
    assert turn.after.membership == turn.after.committed_membership == Membership.of({1, 2, 3}, learners=[4])
    assert type(turn.after.role).__name__ == "Learner"


# Followers that lost their log


@pytest.mark.row("CR-12", "SN-20")
def test_a_follower_that_lost_what_it_acknowledged_is_left_alone_and_reported() -> None:
    cluster = Cluster(1, 2, 3, config=Config(pre_vote=False, vote_lease=False))
    cluster.elect(1)
    cluster.write("a", "b")
    cluster.run()
    cluster.crash(3)
    cluster.nodes[3].disk = disk(membership=US)
    cluster.restart(3)
    cluster.beat()
    (alarm,) = commands(cluster.steps, Alarm)
    assert alarm.peer == 3
    assert "lost its log" in alarm.what
    assert progress(cluster[1], 3).state == Reverted()
    cluster.write("c", first=3)
    cluster.run()
    assert cluster.nodes[2].machine == [b"a", b"b", b"c"]
    assert cluster.nodes[3].machine == []


@pytest.mark.row("CR-12")
def test_a_halted_follower_starts_again_when_an_operator_vouches_for_it() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("a", "b")
    cluster.run()
    cluster.crash(3)
    cluster.nodes[3].disk = disk(membership=US)
    cluster.restart(3)
    cluster.beat()
    cluster.feed(1, AllowRevert(9, 3))
    cluster.run()
    assert cluster.outcomes[9] == "done"
    assert cluster.nodes[3].machine == [b"a", b"b"]


@pytest.mark.row("CR-12")
@pytest.mark.parametrize("early", [[AllowRevert(9, 2)], []])
def test_permission_may_be_given_beforehand_or_by_configuration(early: list[Event]) -> None:
    config = replace(EAGER, allow_log_revert=not early)
    state = after(streaming(leader(1, [1, 1], term=2, config=config)), *early, BEAT)
    reverted = step(state, refused(2, state, id_of(3, 2), ORIGIN))
    assert progress(reverted.after, 2).matched == 0
    assert [one.prev for one in sent(reverted, AppendRequest, 2)] == [ORIGIN]
    assert after(reverted.after, propose("x"), all_stored(reverted.after)).committed == 3


@pytest.mark.row("CR-12")
def test_old_acknowledgements_of_a_lost_log_do_not_commit_anything_new() -> None:
    config = replace(EAGER, allow_log_revert=True)
    state = after(streaming(leader(1, [1], term=2, config=config)), BEAT, propose("x"))
    state = after(state, refused(2, state, id_of(2, 2), ORIGIN))
    assert state.matched[2] == 0
    assert after(state, all_stored(state)).committed == 2


@pytest.mark.row("CR-12")
def test_a_late_refusal_is_not_taken_for_a_loss() -> None:
    state = after(streaming(leader(1, [1, 1], term=2)), BEAT)
    turn = step(state, refused(2, state, id_of(3, 2), ORIGIN, round=1))
    assert progress(turn.after, 2).matched == 3
    assert not commands(turn, Alarm)


def test_permission_to_revert_needs_a_leader_and_a_member() -> None:
    refusals = [
        commands(step(follower(2, leader=1), AllowRevert(9, 3)), Refuse),
        commands(step(leader(1), AllowRevert(9, 7)), Refuse),
    ]
    assert refusals == [[Refuse((9,), NotLeading(1, Reason.NOT_LEADER))], [Refuse((9,), NotMember(7, US))]]
    assert commands(step(leader(1), AllowRevert(9, 2)), Done) == [Done(9)]


def test_a_refused_probe_that_was_overtaken_is_passed_over() -> None:
    state = leader(1, [1] * 10, term=2)
    back = after(state, refused(2, state, id_of(10), id_of(4)))
    again = step(back, refused(2, back, id_of(10), id_of(1)))
    assert (again.after, sent(again, AppendRequest)) == (back, [])
    assert progress(back, 2).state == Probe(asked=True)
    assert isinstance(after(back, accepted(2, back)).role, Leader)
