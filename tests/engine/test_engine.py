"""The dispatcher: every event finds its handler, and what makes no sense where it arrives does nothing."""

import pickle

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Send
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft, step
from pyraft_lab.engine.events import (
    BuildSnapshot,
    Configure,
    Event,
    Fire,
    PurgeLog,
    SendHeartbeat,
    SnapshotGone,
    TransferLeader,
    Unreachable,
)
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.membership import Addresses, Membership
from pyraft_lab.engine.messages import AppendRequest, HeartbeatRequest
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.engine.state import Replicate, Reverted, SendSnapshot
from pyraft_lab.engine.timers import TRANSFER, Timer, TimerKind, lease, retry
from tests.engine.builders import (
    EAGER,
    TIMEOUT,
    accepted,
    after,
    all_stored,
    commands,
    follower,
    heard,
    id_of,
    leader,
    leadership,
    log,
    progress,
    propose,
    sent,
    streaming,
)


def test_an_order_to_beat_is_a_round_of_heartbeats() -> None:
    state = streaming(leader(1))
    assert [send.dst for send in commands(step(state, SendHeartbeat()), Send)] == [2, 3]
    assert leadership(after(state, SendHeartbeat())).round == 2


@pytest.mark.parametrize(
    "event", [SendHeartbeat(), SnapshotGone(3), Unreachable(3), Fire(TRANSFER), BuildSnapshot(), PurgeLog(9)]
)
def test_what_only_leaders_do_is_nothing_to_a_follower(event: Event) -> None:
    state = follower(2, [1])
    turn = step(state, event)
    assert (turn.after, turn.commands) == (state, ())


def test_settings_change_while_a_node_runs() -> None:
    patient = replace(EAGER, enable_elect=False)
    state = after(follower(1), Configure(patient))
    assert state.config == patient
    assert after(state, TIMEOUT).term == 0
    assert after(state, Configure(Config(pre_vote=False)), TIMEOUT).term == 1


def test_heartbeats_may_be_switched_off_and_on() -> None:
    state = after(streaming(leader(1)), Configure(replace(EAGER, enable_heartbeat=False)))
    beat = Fire(Timer(TimerKind.HEARTBEAT))
    assert sent(step(state, beat), HeartbeatRequest) == []
    assert len(sent(step(after(state, Configure(EAGER)), beat), HeartbeatRequest)) == 2


def test_an_engine_is_a_table_of_rules() -> None:
    assert raft() == Engine(RAFT)
    assert raft(ADVANCED).step(follower(1), TIMEOUT).after.term == 1
    assert raft().start(4).id == 4


@pytest.mark.parametrize(("timer", "text"), [(lease(3), "lease(3)"), (retry(2), "retry(2)"), (TRANSFER, "transfer")])
def test_a_timer_says_its_name(timer: Timer, text: str) -> None:
    assert str(timer) == text


def test_a_node_table_is_a_value() -> None:
    table = Addresses({2: "b", 1: "a"})
    assert list(table) == [1, 2]
    assert hash(table) == hash(Addresses({1: "a", 2: "b"}))
    assert pickle.loads(pickle.dumps(table)) == table
    with pytest.raises(TypeError, match="cannot be changed"):
        table[3] = "c"


def test_a_membership_lists_its_nodes_and_reads_well() -> None:
    members = Membership(configs=(frozenset({1, 2}), frozenset({2, 3})), nodes={4: ""})
    assert list(members) == [1, 2, 3, 4]
    assert str(members) == "{1,2} + {2,3} learners 4"
    assert str(Membership()) == "nobody"


# Corners of the pace


def test_a_halted_peer_is_not_sent_to_when_a_late_timer_fires() -> None:
    state = streaming(leader(1))
    state = replace(state, role=leadership(state).with_progress(replace(progress(state, 2), state=Reverted())))
    turn = step(state, Fire(retry(2)))
    assert (turn.after, turn.commands) == (state, ())


def test_an_answer_to_a_stream_that_failed_once_does_not_disturb_it() -> None:
    state = after(streaming(leader(1)), propose("x"))
    state = replace(state, role=leadership(state).with_progress(replace(progress(state, 2), failures=1)))
    turn = step(state, heard(2, state))
    assert progress(turn.after, 2).failures == 0
    assert isinstance(progress(turn.after, 2).state, Replicate)
    assert sent(turn, AppendRequest) == []


def test_a_commit_that_lies_after_the_purged_part_is_told_by_heartbeat() -> None:
    state = after(streaming(leader(1, config=replace(EAGER, max_inflight=1))), propose("a"), propose("b"), propose("c"))
    state = after(state, all_stored(state))
    meta = SnapshotMeta(id_of(3), state.membership)
    purged = replace(state, disk=replace(state.disk, log=log([1] * 4).purge(id_of(3)), snapshot=meta))
    turn = step(purged, accepted(3, purged))
    assert turn.after.committed == 4
    assert sent(turn, AppendRequest, 2) == []
    assert not isinstance(progress(turn.after, 2).state, SendSnapshot)


def test_a_transfer_timer_that_fires_takes_requests_again() -> None:
    state = after(leader(1), TransferLeader(7, 2))
    assert leadership(state).transfer is not None
    assert leadership(after(state, Fire(TRANSFER))).transfer is None
