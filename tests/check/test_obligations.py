"""What a server owes besides safety: each obligation is broken once by hand, and a right Raft breaks none."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from pyraft_lab.check.lookahead import EVERY_WAIT_ENDS
from pyraft_lab.check.obligations import (
    ARRIVES_WHOLE,
    AS_ASKED,
    COUNTS_ANSWERS,
    LATER_TERMS,
    LEADS_ON,
    LEASES_BIND,
    LIMITS_HOLD,
    PROGRESS_STAYS,
    ROUNDS_BACKED,
    STORED_IS_ON_DISK,
    TARGETS_WAIT,
    TIMERS_END,
    TRANSFERS_REFUSE,
    VOTERS_LEAD,
    Obligations,
    changes_are_as_asked,
    later_terms_are_adopted,
    leaders_lead_on,
    leases_bind,
    no_read_waits,
    pieces_are_small,
    progress_stays,
    requests_are_limited,
    rounds_are_backed,
    snapshots_arrive_whole,
    stored_is_on_disk,
    targets_have_the_log,
    timers_have_ended,
    voters_after,
    windows_hold,
)
from pyraft_lab.engine.commands import Accepted, Append, Apply, Command, InstallSnapshot, Purge, Readable, Send
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, ChangeMembership, Event, Fire, Propose, PurgeLog, Receive, SendHeartbeat
from pyraft_lab.engine.log import Configuration, Entry, Normal
from pyraft_lab.engine.membership import (
    AddLearners,
    AddVoters,
    Batch,
    Change,
    Membership,
    RemoveVoters,
    ReplaceVoters,
)
from pyraft_lab.engine.messages import PreVoteRequest, TimeoutNow, VoteRequest
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Follower, Inflight, Leader, PendingTransfer, RaftState, Replicate, Step
from pyraft_lab.engine.timers import QUORUM, TRANSFER
from pyraft_lab.engine.types import ORIGIN, LogId, Vote
from pyraft_lab.sim.properties import Checker
from pyraft_lab.sim.simulation import Simulation


def settled(*checks: Checker, **knobs: object) -> Simulation:
    """Three servers at rest, with a snapshot."""
    config = Config(keep_logs=0, snapshot_logs_since_last=4)
    sim = Simulation(3, seed=7, config=config, checks=checks, **knobs)  # type: ignore[arg-type]
    sim.run_until(lambda s: s.leader)
    for value in range(6):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run(0.2)
    return sim


def leading(sim: Simulation) -> tuple[RaftState, Leader]:
    assert sim.leader is not None
    state = sim.nodes[sim.leader].state
    assert isinstance(state.role, Leader)
    return state, state.role


def done(before: RaftState, *commands: Command, event: Event | None = None, after: RaftState | None = None) -> Step:
    return Step(before, event or SendHeartbeat(), after or before, commands)


def names(broken: Iterator[tuple[str, str]]) -> set[str]:
    return {name for name, _ in broken}


def test_a_right_raft_keeps_all_of_them() -> None:
    sim = settled(Obligations())
    sim.transfer(next(node for node in sim.nodes if node != sim.leader))
    sim.run(1)
    assert sim.violations == []
    assert sim.fork(sim.now / 2).violations == []


def test_a_vote_or_a_pre_vote_within_a_lease_is_named_and_a_transfer_may_ask_for_it() -> None:
    sim = settled()
    follower = next(one.state for one in sim.nodes.values() if one.id != sim.leader)
    wanted, last = Vote(follower.term + 1, 9), LogId(99, 9, 99)
    generous = replace(RAFT, vote_refusal=lambda *_: None, pre_vote_refusal=lambda *_: None)
    for request in (PreVoteRequest(vote=wanted, last=last), VoteRequest(vote=wanted, last=last)):
        assert names(leases_bind(step(follower, Receive(9, request), generous))) == {LEASES_BIND}
        assert names(leases_bind(step(follower, Receive(9, request)))) == set()
    asked = VoteRequest(vote=wanted, last=last, transfer=True)
    assert names(leases_bind(step(follower, Receive(9, asked)))) == set()


def test_a_target_that_lacks_an_entry_is_not_told_to_campaign() -> None:
    sim = settled()
    state, role = leading(sim)
    for last, found in ((state.log.last, set[str]()), (LogId(state.term, state.id, 99), {TARGETS_WAIT})):
        told = Send(role.progress[0].peer, TimeoutNow(vote=state.vote, last=last), False)  # noqa: FBT003
        assert names(targets_have_the_log(done(state, told), sim.world)) == found


@pytest.mark.parametrize(
    "change",
    [
        AddVoters(frozenset({4})),
        RemoveVoters(frozenset({1})),
        ReplaceVoters(frozenset({2, 4})),
        AddLearners(frozenset({5})),
        Batch((AddLearners(frozenset({5})), AddVoters(frozenset({5})), RemoveVoters(frozenset({1, 2})))),
    ],
)
def test_the_voters_of_a_change_are_computed_alike(change: Change) -> None:
    now = Membership.of({1, 2, 3}, learners={4})
    assert now.change(change).configs[-1] == voters_after(change, now.configs[-1])


def test_a_change_has_the_voters_and_the_learners_that_were_asked_for() -> None:
    sim = settled()
    state, _ = leading(sim)
    gone = min(state.membership.voters - {state.id})
    for retain in (False, True):
        asked = ChangeMembership(request=1, change=RemoveVoters(frozenset({gone})), retain=retain)
        assert names(changes_are_as_asked(step(state, asked))) == set()
        otherwise = replace(RAFT, next_membership=lambda now, change, retain: now.change(change, not retain))
        assert names(changes_are_as_asked(step(state, asked, otherwise))) == {AS_ASKED}
        nobody = replace(RAFT, next_membership=lambda now, _change, retain: now.change(Batch(()), retain))
        assert names(changes_are_as_asked(step(state, asked, nobody))) == {AS_ASKED}


def test_a_leader_leaves_when_its_removal_is_committed_or_its_quorum_is_lost_and_not_before() -> None:
    state, role = leading(settled())
    others = Membership.of(state.membership.voters - {state.id})
    place = LogId(state.term, state.id, state.log.last.index + 1)
    removed = replace(state, disk=replace(state.disk, log=state.log.append([Entry(place, Configuration(others))])))
    left = replace(removed, role=Follower())
    order = Send(min(others.voters), TimeoutNow(vote=state.vote), False)  # noqa: FBT003
    for after, found in ((left, {LEADS_ON}), (replace(left, committed=place.index), set[str]())):
        assert names(leaders_lead_on(done(removed, order, after=after))) == found
    lost = replace(state, role=replace(role, expired_round=role.round))
    for before, found in ((state, {LEADS_ON}), (lost, set[str]())):
        leaves = done(before, event=Fire(QUORUM), after=replace(state, role=left.role))
        assert names(leaders_lead_on(leaves)) == found
    assert names(leaders_lead_on(done(removed))) == set()


def test_a_leader_that_was_removed_hands_over_to_whom_an_operator_named() -> None:
    state, role = leading(settled())
    target = role.progress[0].peer
    others = Membership.of(state.membership.voters - {state.id})
    place = LogId(state.term, state.id, state.log.last.index + 1)
    log = state.log.append([Entry(place, Configuration(others))])
    moving = replace(role, transfer=PendingTransfer(target))
    before = replace(state, disk=replace(state.disk, log=log), committed=place.index, role=moving)
    left = replace(before, role=Follower())
    order = Send(target, TimeoutNow(vote=state.vote, last=place), False)  # noqa: FBT003
    assert names(leaders_lead_on(done(before, after=left))) == {LEADS_ON}
    assert names(leaders_lead_on(done(before, order, after=left))) == set()
    assert names(leaders_lead_on(done(before, event=Fire(TRANSFER), after=left))) == set()
    behind = replace(role.progress[0], matched=0)
    unnamed = replace(before, role=role.with_progress(behind))
    for peer in others.voters:
        order = Send(peer, TimeoutNow(vote=state.vote), False)  # noqa: FBT003
        assert names(leaders_lead_on(done(unnamed, order, after=left))) == ({LEADS_ON} if peer == target else set())


def test_a_read_of_what_is_applied_does_not_wait() -> None:
    sim = settled()
    state, _ = leading(sim)
    node = sim.world.nodes[state.id]
    assert node.pending.applied > 1
    for index, found in ((node.pending.applied, {EVERY_WAIT_ENDS}), (node.pending.applied + 1, set[str]())):
        reads = (Readable((1,), LogId(state.term, state.id, index)),)
        assert names(no_read_waits(replace(node, pending=replace(node.pending, reads=reads)))) == found


def test_a_request_for_a_vote_in_a_later_term_ends_the_term_of_who_is_not_bound_by_a_lease() -> None:
    sim = settled()
    bound = next(one.state for one in sim.nodes.values() if one.id != sim.leader)
    free = replace(bound, role=Follower())
    asks = Receive(9, VoteRequest(vote=Vote(bound.term + 1, 9), last=ORIGIN))
    for state in (bound, free):
        assert names(later_terms_are_adopted(step(state, asks))) == set()
    assert names(later_terms_are_adopted(done(free, event=asks))) == {LATER_TERMS}


def test_who_may_have_promised_a_vote_lease_keeps_it_over_a_restart() -> None:
    sim = settled()
    state, _ = leading(sim)
    forgetful = replace(RAFT, starts_with_vote_lease=lambda _: False)
    for vote, may_have_promised in (
        (Vote(9, 9, committed=True), True),
        (Vote(9, state.id), True),
        (Vote(9, 9), False),
        (Vote(9, state.id, committed=True), False),
    ):
        stopped = start(state.id, replace(state.disk, vote=vote), state.config)
        assert names(leases_bind(step(stopped, Boot()))) == set()
        assert names(leases_bind(step(stopped, Boot(), forgetful))) == ({LEASES_BIND} if may_have_promised else set())


def test_who_leads_no_more_has_no_timers_of_a_leader() -> None:
    sim = settled()
    for id, node in sim.world.nodes.items():
        assert names(timers_have_ended(node)) == ({TIMERS_END} if id == sim.leader else set())


@pytest.mark.parametrize("retain", [False, True])
def test_a_joint_membership_ends_with_the_learners_that_it_names(retain: bool) -> None:  # noqa: FBT001
    state, _ = leading(settled())
    joint = Membership.of({1, 2, 3}, learners={4}).change(ReplaceVoters(frozenset({1, 2})), retain)
    place = LogId(state.term, state.id, state.log.last.index + 1)
    before = replace(state, disk=replace(state.disk, log=state.log.append([Entry(place, Configuration(joint))])))
    for learners, right in (({4, 3}, retain), ({4}, not retain), ({3}, False)):
        left = Configuration(Membership.of({1, 2}, learners=learners))
        ends = done(before, Append((Entry(LogId(state.term, state.id, place.index + 1), left),)))
        assert (names(changes_are_as_asked(ends)) == set()) is right


def test_entries_to_keep_are_not_purged_and_pieces_are_small() -> None:
    state, _ = leading(settled())
    careful = replace(state, config=Config(keep_logs=2, max_apply_entries=1))
    purged = Purge(state.snapshot_last)
    assert names(pieces_are_small(done(careful, purged))) == {LIMITS_HOLD}
    assert names(pieces_are_small(done(careful, purged, event=PurgeLog(99)))) == set()
    assert names(pieces_are_small(done(state, purged))) == set()
    entries = tuple(Entry(LogId(1, 1, index), Normal(b"x")) for index in (1, 2))
    assert names(pieces_are_small(done(careful, Apply(entries)))) == {LIMITS_HOLD}


def test_a_window_ends_where_the_settings_say() -> None:
    state, role = leading(settled())
    for many, found in ((state.config.max_inflight, set[str]()), (state.config.max_inflight + 1, {LIMITS_HOLD})):
        window = Replicate(tuple(Inflight(index, 1) for index in range(many)))
        full = role.with_progress(replace(role.progress[0], state=window))
        assert names(windows_hold(full, state)) == found


def test_a_transfer_and_a_limit_end_what_is_accepted() -> None:
    state, role = leading(settled())
    write = Propose(requests=(1,), payloads=(Normal(b"x" * 50),))
    accepted = step(state, write)
    assert names(requests_are_limited(accepted, write)) == set()
    transferring = replace(state, role=replace(role, transfer=PendingTransfer(2)))
    assert names(requests_are_limited(replace(accepted, before=transferring), write)) == {TRANSFERS_REFUSE}
    limited = replace(accepted.after, config=Config(max_uncommitted_bytes=60))
    more = step(accepted.after, write)
    assert any(isinstance(one, Accepted) for one in more.commands)
    assert names(requests_are_limited(replace(more, before=limited), write)) == {LIMITS_HOLD}


def test_what_a_peer_acknowledged_becomes_no_less_and_only_voters_lead() -> None:
    state, role = leading(settled())
    less = replace(state, role=role.with_progress(replace(role.progress[0], matched=1)))
    assert names(progress_stays(done(state, after=less))) == {PROGRESS_STAYS}
    stranger = replace(state, id=9)
    followed = replace(stranger, role=type(leading_follower())())
    assert names(progress_stays(done(followed, after=stranger))) == {VOTERS_LEAD}


def leading_follower() -> object:
    sim = settled()
    return next(one.state.role for one in sim.nodes.values() if one.id != sim.leader)


def test_a_round_needs_a_majority_and_only_answers_count() -> None:
    sim = settled()
    state, role = leading(sim)
    ahead = replace(role, round=role.round + 5, acked_round=role.round + 5)
    assert names(rounds_are_backed(state, replace(state, role=ahead), ahead)) == {ROUNDS_BACKED}
    counted = role.with_progress(replace(role.progress[0], last_ack_round=role.round + 5, matched=99))
    found = Obligations()._is_answered(state, replace(state, role=counted), counted)  # noqa: SLF001 (one of its parts)
    assert names(found) == {COUNTS_ANSWERS}


def test_what_counts_as_stored_is_on_the_disk() -> None:
    sim = settled()
    state, _ = leading(sim)
    assert names(stored_is_on_disk(state, sim.world)) == set()
    assert names(stored_is_on_disk(replace(state, stored=LogId(state.term, state.id, 99)), sim.world)) == {
        STORED_IS_ON_DISK
    }


def test_other_bytes_than_those_of_the_snapshot_are_named() -> None:
    sim = settled()
    state, _ = leading(sim)
    assert state.disk.snapshot is not None
    node, world = sim.world.nodes[state.id], sim.world
    meta = state.disk.snapshot
    other = next(one for one in world.nodes if one != state.id)
    kept = replace(node.snapshots[-1], data=b"other")
    mixed = replace(world, nodes={**world.nodes, other: replace(world.nodes[other], snapshots=(kept,))})
    assert names(snapshots_arrive_whole(done(state, InstallSnapshot(meta)), world)) == set()
    assert names(snapshots_arrive_whole(done(state, InstallSnapshot(meta)), mixed)) == {ARRIVES_WHOLE}
