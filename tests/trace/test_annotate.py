"""Every rule has a part in some step, says where it stands, and finds words for whatever happens."""

from collections.abc import Callable, Iterable
from functools import cache
from random import Random
from typing import get_args

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step as turn
from pyraft_lab.engine.events import (
    AllowRevert,
    BuildSnapshot,
    ChangeMembership,
    Configure,
    Elect,
    Event,
    Fire,
    Initialize,
    Precondition,
    Propose,
    PurgeLog,
    Read,
    Receive,
    SendHeartbeat,
    SnapshotBuilt,
    SnapshotGone,
    Stored,
    TransferLeader,
    Unreachable,
)
from pyraft_lab.engine.log import Entry, Noop, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Change, Membership, RemoveVoters, ReplaceVoters, SetNodes
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    FollowerMessage,
    HeartbeatRequest,
    HeartbeatResponse,
    LeaderMessage,
    PreVoteRequest,
    SnapshotRequest,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.engine.state import Disk, RaftState, Step
from pyraft_lab.engine.timers import HEARTBEAT, QUORUM, TRANSFER, VOTE_LEASE, lease, retry
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.annotate.table import _ANSWERS, _ARRIVALS, _ORDERS, RULES, remarks, rule
from pyraft_lab.trace.sentences import sentence_of
from tests.trace.stage import QUIET, Stage

SMALL = Config(pre_vote=False, snapshot_logs_since_last=5, keep_logs=0, snapshot_chunk=40)
LED = Vote(1, 1, committed=True)
OWNED = Vote(2, 3, committed=True)
ANY = Precondition()


def led(voters: int = 3, **knobs: object) -> Stage:
    """A cluster that n1 leads in term 1."""
    config = replace(QUIET, **knobs)
    return Stage(voters, learners=(4, 5) if voters == 3 else (), config=config).elect(1)


def change(stage: Stage, wanted: Change, guard: Precondition = ANY) -> None:
    stage.tell(1, ChangeMembership(request=1, change=wanted, guard=guard))


def elections() -> Iterable[Stage]:
    """n1 wins, at the first and at the second attempt; n3's log is too short, and n2's vote is gone."""
    yield led()
    stage = Stage(5, config=replace(QUIET, pre_vote=True))
    stage.cut = {4, 5}
    stage.fire(1)
    stage.run()
    stage.cut = {1, 4, 5}
    stage.fire(2)
    stage.run()
    stage.fire(2)
    stage.cut = set()
    stage.fire(2)
    yield stage.run()
    stage = led(5)
    stage.cut = {3}
    stage.write(1, 1)
    stage.run()
    stage.cut = set()
    stage.tire()
    stage.fire(3)
    stage.run()
    stage.fire(2)
    stage.tell(3, Receive(4, VoteRequest(vote=Vote(2, 4), last=LogId(9, 9, 9))))
    stage.tell(3, Receive(2, VoteRequest(vote=Vote(1, 2), last=LogId(9, 9, 9))))
    yield stage.run()


def refused_elections() -> Iterable[Stage]:
    """Who heard a leader lately, knows more, or has voted, refuses; and says beforehand that it would."""
    stage = led()
    stage.tell(2, Receive(1, HeartbeatRequest(vote=LED, matched=LogId(1, 1, 2))))
    newer, older = LogId(9, 9, 9), LogId(0, 0, 1)
    for asked, end in ((Vote(5, 3), newer), (Vote(5, 3), older), (Vote(1, 3), newer)):
        stage.tell(2, Receive(3, VoteRequest(vote=asked, last=end)))
        stage.tell(2, Receive(3, PreVoteRequest(vote=asked, last=end)))
        stage.fire(2, VOTE_LEASE)
    stage.tell(3, Receive(2, VoteRequest(vote=Vote(1, 2), last=newer)))
    stage.tell(3, Receive(2, PreVoteRequest(vote=Vote(1, 2), last=newer)))
    yield stage


def withheld_campaigns() -> Iterable[Stage]:
    """A learner has no vote; elections by timer may be off; nobody speaks for another; a lost election ends."""
    stage = led()
    stage.fire(4)
    stage.tell(2, Configure(replace(QUIET, enable_elect=False)))
    stage.fire(2)
    stage.tell(2, Receive(3, VoteRequest(vote=Vote(7, 1), last=LogId(9, 9, 9))))
    stage.tell(1, Elect())
    yield stage
    stage = Stage()
    stage.fire(3)
    for voter in (1, 2):
        stage.tell(
            3, Receive(voter, VoteResponse(vote=Vote(1, 3), asked=Vote(1, 3), granted=False, last=LogId(1, 2, 7)))
        )
    yield stage


def pre_votes() -> Iterable[Stage]:
    """n3 asks first, and is told yes or no."""
    yield Stage(config=replace(QUIET, pre_vote=True)).elect(3)
    stage = led(pre_vote=True)
    stage.fire(3)
    yield stage.run()


def joint_changes() -> Iterable[Stage]:
    """Two learners replace two voters; the next leader is elected by both sets; the last change removes its leader."""
    stage = led(auto_leave=False)
    change(stage, ReplaceVoters(frozenset({1, 4, 5})))
    change(stage, ReplaceVoters(frozenset({1, 2, 3})))
    stage.run()
    stage.elect(1)
    stage.fire(1, QUORUM)
    stage.elect(4)
    yield stage
    stage = led()
    stage.tell(1, ChangeMembership(request=1, change=ReplaceVoters(frozenset({1, 2})), retain=True))
    yield stage.run()
    stage = led()
    change(stage, ReplaceVoters(frozenset({2, 3})))
    yield stage.run()
    stage = led()
    change(stage, SetNodes({2: "mqtt://somewhere"}))
    yield stage.run()


def refused_changes() -> Iterable[Stage]:
    """Changes that must not be."""
    stage = led()
    change(stage, ReplaceVoters(frozenset({1, 2, 9})))
    change(stage, RemoveVoters(frozenset({1, 2, 3})))
    change(stage, ReplaceVoters(frozenset({1, 2})), Precondition(leader=(9, 9)))
    change(stage, SetNodes({2: "elsewhere"}))
    change(stage, SetNodes({3: "elsewhere"}))
    yield stage


def falling_back() -> Iterable[Stage]:
    """n1 makes its learners voters while nobody else hears it; the next leader's log takes that back."""
    stage = led()
    stage.cut = {1, 2, 3}
    change(stage, ReplaceVoters(frozenset({1, 2, 3, 4})))
    stage.run()
    stage.cut = {1, 4}
    stage.elect(2)
    stage.write(2, 1)
    stage.run()
    stage.cut = set()
    for peer in (1, 4):
        stage.fire(2, retry(peer))
    yield stage.run()
    bare = RaftState(id=1)
    first = Entry(LogId(0, 1, 1), Noop())
    stage = Stage()
    stage.states[1] = bare
    stage.tell(1, Initialize(1, Membership.of({2, 3})))
    stage.tell(1, Initialize(1, Membership.of({1, 2, 3})))
    stage.tell(1, Initialize(1, Membership.of({1, 2, 3})))
    stage.states[2] = replace(bare, id=2)
    stage.tell(2, Propose(requests=(1,), payloads=(Noop(),)))
    assert first.index == 1
    yield stage


def repairs() -> Iterable[Stage]:
    """n1 has entries of term 1 that nobody else has; n2, then n3 lead and mend its log (Figure 7)."""
    stage = led()
    stage.cut = {1}
    stage.write(1, 1, 2, 3)
    stage.run()
    stage.elect(2)
    stage.write(2, 5, 6)
    stage.run()
    stage.elect(3)
    stage.cut = set()
    stage.fire(3, retry(1))
    yield stage.run()
    stage = led()
    stage.cut = {2}
    stage.write(1, 1)
    stage.run()
    stage.tell(1, Unreachable(3))
    stage.tell(1, Unreachable(9))
    stage.fire(1, retry(3))
    stage.tell(3, Receive(1, AppendRequest(vote=LED, prev=LogId(1, 1, 2), entries=stage.states[1].log.slice(3, 4))))
    stage.run()
    stage.elect(3)
    stage.cut = set()
    stage.fire(3, retry(2))
    yield stage.run()


def figure_8() -> Iterable[Stage]:
    """An entry of term 1 reaches a majority only in term 2: that alone does not commit it."""
    stage = led(5, max_append_entries=1)
    stage.cut = {3, 4, 5}
    stage.write(1, 1)
    stage.run()
    stage.cut = set()
    yield stage.elect(2)


def snapshots() -> Iterable[Stage]:
    """n3 was away so long that it needs a snapshot, which comes in three parts, once in disorder and once damaged."""
    stage = Stage(config=SMALL).elect(1)
    stage.cut = {3}
    stage.write(1, *range(6))
    stage.run()
    stage.tell(1, BuildSnapshot())
    stage.tell(1, PurgeLog(99))
    stage.cut = set()
    stage.fire(1, retry(3))
    message = next(act.flight.message for act in stage.waiting if act.flight is not None)
    assert isinstance(message, SnapshotRequest)
    stage.run()
    stage.tell(2, Receive(1, message))
    meta = replace(message.meta, last=LogId(1, 1, 50))
    part = replace(message, meta=meta, offset=40)
    for request in (part, replace(part, offset=0, data=b"x" * 100, done=True)):
        stage.tell(2, Receive(1, request))
    stage.tell(2, Receive(1, replace(part, meta=replace(meta, last=LogId(8, 8, 50)))))
    stage.tell(1, SnapshotGone(2))
    stage.tell(1, SnapshotBuilt(None))
    yield stage


def gone_snapshots() -> Iterable[Stage]:
    """The snapshot under way is replaced by a newer one; a part of it that is not answered is sent again."""
    stage = Stage(config=SMALL).elect(1)
    stage.cut = {3}
    stage.write(1, *range(6))
    stage.run()
    stage.fire(1, retry(3))
    stage.fire(1, retry(3))
    stage.tell(1, SnapshotGone(3))
    yield stage.run()
    stage = led()
    wrong = SnapshotMeta(LogId(0, 0, 2), Membership.of({1, 2, 3}))
    stage.tell(2, Receive(1, SnapshotRequest(vote=LED, meta=wrong, offset=0, data=b"", done=True)))
    stage.fire(2)
    yield stage


def requests() -> Iterable[Stage]:
    """Writes and reads, taken and refused."""
    stage = led(max_uncommitted_bytes=20)
    stage.tell(1, Read((1,)))
    stage.run()
    stage.tell(1, Read((1,), "lease"))
    stage.tell(2, Read((1,)))
    stage.tell(1, Propose(requests=(1,), payloads=(Noop(),), leader=(9, 9)))
    stage.write(1, 1, 2)
    stage.write(1, 1, 2)
    stage.tell(1, Read((2,)))
    stage.tell(1, Fire(lease(stage.states[1].role.round)))  # type: ignore[union-attr]
    stage.tell(1, Read((1,), "lease"))
    stage.fire(1, QUORUM)
    yield stage
    stage = led()
    stage.tell(1, Read((1,)))
    stage.tell(1, Receive(2, HeartbeatResponse(vote=Vote(9), round=1)))
    yield stage


def transfers() -> Iterable[Stage]:
    """Leadership handed over, called off, refused, given up."""
    stage = led()
    stage.cut = {2}
    stage.write(1, 1)
    stage.run()
    for to in (1, 4, 2):
        stage.tell(1, TransferLeader(1, to))
    stage.tell(1, Propose(requests=(1,), payloads=(Noop(),)))
    stage.fire(1, TRANSFER)
    stage.tell(1, TransferLeader(1, 2))
    stage.tell(1, TransferLeader(1, 1))
    stage.tell(1, TransferLeader(1, 3))
    yield stage.run()


def lost_logs() -> Iterable[Stage]:
    """n2 comes back without what it had acknowledged."""
    for revert in (False, True):
        stage = led(allow_log_revert=revert)
        stage.write(1, 1, 2)
        stage.run()
        stage.start(2, Disk())
        stage.fire(1, HEARTBEAT)
        yield stage.run()
        stage.tell(1, AllowRevert(1, 2))
        stage.tell(1, AllowRevert(1, 9))
        yield stage.run()


def lost_disks() -> Iterable[Stage]:
    """n2, which has led, holds nothing any more: n3 asks it for its vote, and then finds it empty as leader."""
    stage = led(vote_lease=False)
    stage.tell(2, Elect())
    stage.run()
    stage.start(2, Disk())
    stage.cut = {1}
    stage.tell(3, Elect())
    yield stage.run()
    stage.cut = set()
    stage.tell(3, Elect())
    yield stage.run()


def leaders_in_touch() -> Iterable[Stage]:
    """Heartbeats go, are spared, are answered; leases are renewed, superseded, over."""
    stage = led(suppress_heartbeats=True)
    stage.fire(1, HEARTBEAT)
    stage.run()
    stage.fire(1, HEARTBEAT)
    stage.run()
    stage.fire(1, HEARTBEAT)
    stage.tell(1, SendHeartbeat())
    stage.run()
    stage.fire(1, lease(1))
    stage.fire(2, VOTE_LEASE)
    stage.tell(2, Receive(3, HeartbeatRequest(vote=Vote(0, 3, committed=True), matched=LogId())))
    stage.tell(1, Receive(2, AppendAccepted(vote=LED, matched=LogId(0, 0, 1), round=0)))
    stage.tell(1, Receive(2, AppendRefused(vote=LED, prev=LogId(1, 1, 2), hint=LogId(), round=1)))
    stage.tell(2, Stored(Vote(), LogId()))
    yield stage
    stage = led()
    stage.fire(2)
    stage.tell(2, Receive(3, HeartbeatRequest(vote=Vote(2, 3, committed=True), matched=LogId())))
    yield stage


def restarts() -> Iterable[Stage]:
    """n2 restarts, leased; n1 resumes its leadership; a server that met the impossible does nothing more."""
    stage = led(leader_restore=True)
    stage.start(2, stage.states[2].disk)
    stage.start(1, stage.states[1].disk)
    yield stage
    stage = Stage(config=SMALL).elect(1)
    stage.write(1, *range(6))
    stage.run()
    stage.start(2, stage.states[2].disk)
    contradiction = Entry(LogId(1, 1, 9), Normal(b"other"))
    stage.tell(3, Receive(1, AppendRequest(vote=LED, prev=stage.states[3].snapshot_last, entries=(contradiction,))))
    wrong = AppendRequest(vote=OWNED, prev=LogId(1, 1, 2), entries=(Entry(LogId(2, 3, 3), Noop()),))
    fresh = led()
    fresh.write(1, 1)
    fresh.run()
    fresh.tell(2, Receive(3, wrong))
    fresh.fire(2)
    yield stage
    yield fresh


SCENES: tuple[Callable[[], Iterable[Stage]], ...] = (
    elections,
    refused_elections,
    withheld_campaigns,
    pre_votes,
    joint_changes,
    refused_changes,
    falling_back,
    repairs,
    figure_8,
    snapshots,
    gone_snapshots,
    requests,
    transfers,
    lost_logs,
    lost_disks,
    leaders_in_touch,
    restarts,
)


@cache
def met() -> frozenset[str]:
    """Every rule that had a part in some step of some scene."""
    found: set[str] = set()
    for scene in SCENES:
        for stage in scene():
            found |= {remark.rule.label for one in stage.records if one.step for remark in remarks(one.step)}
    return frozenset(found)


@pytest.mark.parametrize("label", RULES)
def test_every_rule_has_a_part_in_some_step(label: str) -> None:
    assert label in met()


@pytest.mark.parametrize("label", RULES)
def test_every_rule_names_its_section_its_meaning_and_the_function_that_decides(label: str) -> None:
    found = RULES[label]
    assert found.label == label
    assert not found.section or all(
        part.startswith(("§", "Figure", "dissertation §", "openraft")) for part in found.section.split(", ")
    )
    assert found.meaning.endswith(".")
    assert f"def {found.decided_by.split('.')[1]}(" in found.source


def test_the_heaviest_rule_gives_the_step_its_label() -> None:
    stage = led()
    stage.write(1, 1)
    stage.run()
    labels = [rule(one.step).label for one in stage.records if one.step]
    assert {"candidacy", "vote granted", "elected", "entries appended", "commit by majority"} <= set(labels)
    assert labels[-1] == "contact"


def test_a_commit_while_joint_names_the_majority_of_both_sets() -> None:
    stage = led().forget()
    change(stage, ReplaceVoters(frozenset({1, 4, 5})))
    stage.run()
    told = [remark.text for one in stage.records if one.step for remark in remarks(one.step)]
    assert any("held by n1, n2 and n3 of {1,2,3} and n1 and n4 of {1,4,5}" in text for text in told)


def test_a_mutant_that_votes_for_a_shorter_log_is_seen_in_the_sentence() -> None:
    stage = Stage(rules=replace(RAFT, vote_refusal=lambda _state, _request: None))
    stage.write(1, 1)
    stage.elect(1)
    stage.write(1, 2)
    stage.run()
    granted = stage.tell(2, Receive(3, VoteRequest(vote=Vote(2, 3), last=LogId(0, 0, 1))))
    assert sentence_of(granted, 1.5) == (
        "t=1.500 n2 votes for n3 in term 2: n3's log ends with entry 1 of term 0, its own ends with entry 3 of term 1, "
        "and the later term wins: it is ahead; this run's rule vote_refusal says: yes "
        "(Raft's own: no, a leader was heard from within its lease) (§5.2, §5.4.1)"
    )


@pytest.mark.parametrize("rules", [RAFT, ADVANCED, replace(RAFT, commit_index=lambda state: state.matched[state.id])])
def test_no_event_is_beyond_words_whatever_the_state(rules: Rules) -> None:
    states: list[RaftState] = []
    events: list[Event] = [
        Elect(),
        SendHeartbeat(),
        BuildSnapshot(),
        PurgeLog(3),
        AllowRevert(1, 2),
        TransferLeader(1, 2),
    ]
    for seed in (1, 2):
        sim = Simulation(
            nodes=3, learners=1, seed=seed, rules=rules, weather=Weather(loss=0.1, duplicate=0.1), checks=()
        )
        sim.run(0.6)
        sim.write({"op": "put", "key": "x", "value": seed})
        sim.change_membership({1, 2, 4})
        sim.run(0.4)
        for record in sim.trace.records:
            if record.step is not None:
                states.append(record.step.after)
                events.append(record.step.event)
    chance = Random(7)
    for _ in range(4000):
        met = turn_or_none(chance.choice(states), chance.choice(events), rules)
        assert met is None or sentence_of(met).startswith(f"n{met.after.id} ")


def turn_or_none(state: RaftState, event: Event, rules: Rules) -> Step | None:
    """A step, but for what the engine itself takes for impossible: states and events here are of different worlds."""
    try:
        return turn(state, event, rules)
    except AssertionError:
        return None


def test_every_message_of_the_protocol_is_explained_when_it_arrives() -> None:
    assert set(_ARRIVALS) == set(get_args(AnyMessage))
    assert set(_ORDERS) == set(get_args(LeaderMessage))
    assert set(_ANSWERS) == set(get_args(FollowerMessage))
