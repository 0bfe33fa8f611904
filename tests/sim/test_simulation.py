"""A simulated cluster: the same seed gives the same run, faults do what they say, and the past can be branched from."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Apply
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.messages import AppendRequest, VoteRequest
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.engine.types import ORIGIN
from pyraft_lab.errors import (
    BadCommand,
    ConfigError,
    NetworkFailed,
    NotLeader,
    Panicked,
    PyraftError,
    Timeout,
    UnknownNode,
)
from pyraft_lab.machine import Counter
from pyraft_lab.sim.conditions import Link, Purpose, Weather, chance
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.transition import Transition
from pyraft_lab.sim.world import Deliver, FireTimer, Sync
from pyraft_lab.trace.record import Fate

PUT = {"op": "put", "key": "x", "value": 1}


def led(**knobs: Any) -> Simulation:
    sim = Simulation(**knobs)
    sim.run_until(lambda s: s.leader)
    return sim


def settled(**knobs: Any) -> Simulation:
    sim = led(**knobs)
    sim.run(0.2)
    return sim


def leader_of(sim: Simulation) -> int:
    assert sim.leader is not None
    return sim.leader


SCRIPT = """
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.conditions import Weather
sim = Simulation(nodes=5, seed=11, weather=Weather(loss=0.05, duplicate=0.05, reorder=0.1))
sim.run(1); sim.write({"op": "put", "key": "x", "value": [1, {"y": 2}]}); sim.crash(2); sim.run(1)
sim.partition({1, 3}, {4, 5}); sim.run(1); sim.restart(2); sim.heal(); sim.change_membership({1, 2, 3}); sim.run(1)
print(sim.trace.digest(), len(sim.trace))
"""


def test_the_same_seed_gives_the_same_run_in_any_process() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(said) == 1


def test_another_seed_gives_another_run() -> None:
    digests = {settled(seed=seed).trace.digest() for seed in range(5)}
    assert len(digests) == 5


def test_a_leader_is_elected_and_a_write_reaches_every_machine() -> None:
    sim = led()
    call = sim.write(PUT)
    assert (call.done, call.ok, call.value, call.error) == (False, False, None, None)
    sim.run(0.5)
    assert call.ok
    assert call.returned is not None
    assert call.invoked < call.returned
    assert [node.machine.query("x") for node in sim.nodes.values()] == [1] * 5
    assert sim.violations == []


def test_reads_see_writes_by_index_by_lease_and_locally() -> None:
    sim = settled()
    sim.write(PUT)
    sim.run(0.5)
    calls = [sim.read("x", policy="index"), sim.read("x", policy="lease"), sim.read("x", to=2, policy="local")]
    sim.run(0.5)
    assert [(call.ok, call.value) for call in calls] == [(True, 1)] * 3


def test_a_call_without_a_leader_waits_for_one() -> None:
    sim = Simulation(nodes=3)
    call = sim.write(PUT)
    sim.run(1)
    assert call.ok


def test_a_write_is_applied_once_although_its_leader_dies_and_it_is_tried_again() -> None:
    sim = settled()
    calls = [sim.write({"op": "incr", "key": "x"}) for _ in range(3)]
    sim.run(0.004)
    sim.crash(leader_of(sim))
    sim.run(5)
    assert sorted(call.value for call in calls) == [1, 2, 3]


def test_a_node_of_ones_own_choice_answers_for_itself() -> None:
    sim = settled()
    other = next(node for node in sim.nodes if node != sim.leader)
    refused, rejected = sim.write(PUT, to=other), sim.write({"op": "frob"}, to=sim.leader)
    sim.run(0.5)
    assert isinstance(refused.error, NotLeader)
    assert refused.error.leader == sim.leader
    assert isinstance(rejected.error, BadCommand)
    sim.crash(other)
    assert isinstance(sim.write(PUT, to=other).error, NetworkFailed)


def test_a_crash_loses_what_was_not_synced() -> None:
    sim = settled(weather=Weather(disk=(0.05, 0.05)))
    sim.run(1)
    leader = leader_of(sim)
    before = sim.nodes[leader].disk
    sim.write(PUT, to=leader)
    assert sim.nodes[leader].log.last.index == before.log.last.index + 1
    sim.crash(leader)
    sim.restart(leader)
    assert sim.nodes[leader].log.last == before.log.last


def test_a_promise_leaves_only_when_it_is_on_disk() -> None:
    sim = Simulation(nodes=3, weather=Weather(disk=(0.03, 0.03)))
    sim.run(1)
    for record in sim.trace.records:
        for flight in record.sent:
            if isinstance(flight.message, VoteRequest):
                assert record.kind == "stored"
    assert sim.violations == []


def test_the_majority_side_of_a_partition_elects_and_the_other_cannot_commit() -> None:
    sim = settled()
    old = leader_of(sim)
    friend = next(node for node in sim.nodes if node != old)
    sim.partition({old, friend}, set(sim.nodes) - {old, friend})
    lonely, lucky = sim.write(PUT, to=old), None
    sim.run(3)
    lucky = sim.write({"op": "put", "key": "x", "value": 2})
    sim.run(1)
    assert lucky.ok
    assert not lonely.ok
    sim.heal()
    sim.run(2)
    assert [node.machine.query("x") for node in sim.nodes.values()] == [2] * 5


def test_a_cut_is_one_way() -> None:
    sim = settled(nodes=3)
    leader = leader_of(sim)
    deaf = next(node for node in sim.nodes if node != leader)
    sim.cut(leader, deaf)
    sim.run(1)
    after = [flight for record in sim.trace.records for flight in record.sent if flight.sent > 0.5]
    assert {flight.fate for flight in after if (flight.src, flight.dst) == (leader, deaf)} == {Fate.CUT}
    assert Fate.CUT not in {flight.fate for flight in after if (flight.src, flight.dst) == (deaf, leader)}


def test_a_message_that_is_dropped_never_arrives() -> None:
    sim = settled()
    call = sim.write(PUT, to=sim.leader)
    lost = [flight.id for flight in sim.flying if isinstance(flight.message, AppendRequest)]
    for message in lost:
        sim.drop(message)
    sim.run(0.05)
    frame = sim.trace.messages.set_index("id")
    assert set(frame.loc[lost, "fate"]) == {"dropped"}
    assert not call.done
    sim.run(1)
    assert call.ok


def test_a_message_can_be_doubled_and_delayed() -> None:
    sim = settled()
    sim.write(PUT, to=sim.leader)
    first, second = [flight for flight in sim.flying if isinstance(flight.message, AppendRequest)][:2]
    sim.duplicate(first.id)
    sim.delay(second.id, 0.2)
    sim.run(1)
    frame = sim.trace.messages.set_index("id")
    assert list(frame[frame.copy_of == first.id].fate) == ["delivered"]
    assert float(frame["received"][second.id]) - second.sent > 0.2


def test_what_is_pending_can_be_taken_out_of_its_turn() -> None:
    sim = Simulation(nodes=3)
    timers = [action for action in sim.pending if isinstance(action, FireTimer)]
    late = timers[-1]
    sim.take(late)
    assert (sim.now, sim.nodes[late.node].role) == (0.0, "precandidate")
    arrival = next(action for action in sim.pending if isinstance(action, Deliver))
    assert sim.take(arrival).kind == "receive"
    with pytest.raises(PyraftError, match="not pending"):
        sim.take(arrival)


def test_pending_comes_soonest_first_and_the_first_is_what_a_step_does() -> None:
    sim = led()
    for _ in range(50):
        first = sim.pending[0]
        record = sim.step()
        if isinstance(first, Deliver):
            assert record.message == first.message


def test_a_paused_node_stands_still_and_then_catches_up() -> None:
    sim = settled()
    leader = leader_of(sim)
    sim.pause(leader)
    sim.run(2)
    assert sim.nodes[leader].role == "leader"
    assert sim.leader != leader
    sim.resume(leader)
    sim.run(1)
    assert sim.nodes[leader].role == "follower"
    assert sim.violations == []


def test_a_fast_clock_campaigns_sooner() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.drift(3, 20.0)
    assert sim.run_until(lambda s: s.leader) == 3


def test_servers_start_pristine_and_are_initialized_by_one_of_them() -> None:
    sim = Simulation(nodes=3, initialize=False)
    sim.run(1)
    assert sim.leader is None
    assert {node.log.last for node in sim.nodes.values()} == {ORIGIN}
    sim.initialize({1, 2, 3}, at=1)
    sim.run(1)
    assert sim.leader == 1
    assert {str(node.membership) for node in sim.nodes.values()} == {"{1,2,3}"}


def test_learners_listen_and_do_not_vote() -> None:
    sim = settled(nodes=3, learners=2)
    assert [node.role for node in sim.nodes.values()][3:] == ["learner", "learner"]
    sim.run(0.5)
    assert sim.nodes[5].log.last == sim.nodes[leader_of(sim)].log.last


def test_a_server_is_added_promoted_and_leads_after_a_transfer() -> None:
    sim = settled(nodes=3)
    sim.add_learner(4)
    sim.run(1)
    changed = sim.change_membership({2, 3, 4})
    sim.run(1)
    assert changed.ok
    sim.transfer(to=4)
    sim.run(1)
    assert sim.leader == 4
    assert str(sim.nodes[2].membership) == "{2,3,4}"
    assert sim.violations == []


def test_a_follower_far_behind_gets_a_snapshot_in_chunks() -> None:
    sim = settled(nodes=3, config=Config(snapshot_logs_since_last=20, keep_logs=0, snapshot_chunk=64))
    slow = next(node for node in sim.nodes if node != sim.leader)
    sim.crash(slow)
    for number in range(60):
        sim.write({"op": "put", "key": f"k{number}", "value": number})
        sim.run(0.02)
    sim.restart(slow)
    sim.run(2)
    assert sim.nodes[slow].log.start.index > 0
    assert sim.nodes[slow].machine.query("k59") == 59
    assert len({node.sessions.digest() for node in sim.nodes.values()}) == 1
    assert sim.violations == []


@pytest.mark.parametrize("waits", [True, False])
def test_only_rules_that_replace_a_snapshot_while_it_is_sent_have_it_missed_and_the_newest_sent(*, waits: bool) -> None:
    rules = RAFT if waits else replace(RAFT, would_interrupt_transfer=lambda _state: False)
    sim = settled(nodes=3, config=Config(keep_logs=0, snapshot_chunk=64), rules=rules)
    leader = leader_of(sim)
    slow = next(node for node in sim.nodes if node != leader)
    sim.crash(slow)
    for number in range(20):
        sim.write({"op": "put", "key": f"k{number}", "value": number})
    sim.run(0.3)
    sim.snapshot(leader)
    sim.run(0.1)
    sim.weather = Weather(links=(Link(src=leader, dst=slow, latency=(0.05, 0.05)),))
    sim.restart(slow)
    sim.run_until(lambda s: s.nodes[slow].state.incoming)
    for key in ("next", "last"):
        call = sim.write({"op": "put", "key": key, "value": 1})
        sim.run_until(lambda _, call=call: call.ok)  # type: ignore[misc]
        sim.snapshot(leader)
        sim.run(0.01)
    sim.run(2)
    assert [
        (record.node, record.peer) for record in sim.trace.records if record.kind == "snapshot" and record.peer
    ] == ([] if waits else [(leader, slow)])
    assert sim.nodes[slow].machine.query("last") == 1
    assert sim.violations == []


def test_a_snapshot_survives_a_crash_and_restores_the_machine() -> None:
    sim = settled(nodes=1, config=Config(keep_logs=0))
    for _ in range(10):
        sim.write({"op": "incr", "key": "x"})
    sim.run(0.5)
    sim.snapshot(1)
    sim.run(0.1)
    sim.crash(1)
    sim.restart(1)
    assert sim.nodes[1].machine.query("x") == 10
    sim.run(1)
    assert sim.read("x").invoked == sim.now
    sim.run(0.5)
    assert sim.calls[-1].value == 10


def test_a_sum_that_no_snapshot_can_keep_is_refused_alike_on_every_node() -> None:
    sim = settled(nodes=3)
    sim.write({"op": "put", "key": "x", "value": 2**64 - 1})
    call = sim.write({"op": "incr", "key": "x"})
    sim.run(1)
    assert isinstance(call.error, BadCommand)
    assert "more than 64 bits" in call.error.why
    for node in sim.nodes:
        sim.snapshot(node)
    sim.run(1)
    assert all(node.up and node.state.snapshot_last.index >= 3 for node in sim.nodes.values())
    assert len({node.sessions.digest() for node in sim.nodes.values()}) == 1
    assert sim.violations == []


def test_a_fork_leaves_the_original_as_it_was_and_replays_the_same() -> None:
    sim = settled()
    sim.write(PUT)
    sim.run(1)
    world, digest = sim.world, sim.trace.digest()
    for at in (0, 63, 64, 100, sim.trace.records[130], 0.25):
        one, two = sim.fork(at), sim.fork(at)
        one.crash(1)
        one.run(1)
        two.run(3 - two.now)
        assert two.trace.records[: len(sim.trace)] == sim.trace.records or two.calls != sim.calls
    assert (sim.world, sim.trace.digest()) == (world, digest)


def test_a_fork_of_the_past_knows_only_what_had_happened() -> None:
    sim = settled()
    call = sim.write(PUT)
    began = len(sim.trace) - 1
    sim.run(1)
    fork = sim.fork(began)
    assert (call.done, fork.calls[0].done) == (True, False)
    assert fork.now == call.invoked
    fork.run(1)
    assert fork.calls[0].returned == call.returned
    assert sim.fork(began - 1).calls == ()
    assert sim.fork().world is sim.world


def test_a_fork_before_a_crash_can_be_spared_it() -> None:
    sim = settled()
    leader = leader_of(sim)
    crash = sim.crash(leader)
    sim.run(2)
    spared = sim.fork(crash.id - 1)
    spared.run(2)
    assert (spared.leader, sim.leader == leader) == (leader, False)


def test_one_message_more_on_one_node_leaves_the_luck_of_others_alone() -> None:
    calm, stirred = Simulation(seed=3), Simulation(seed=3)
    stirred.elect(5, pre_vote=True)
    deadline = {action.timer: 1 for action in calm.pending if isinstance(action, FireTimer) and action.node == 1}
    assert deadline
    assert calm.world.nodes[1].timers == stirred.world.nodes[1].timers


def test_chances_are_even_and_independent() -> None:
    drawn = [chance(7, Purpose.LATENCY, place, count) for place in range(20) for count in range(500)]
    tenths = [
        sum(low <= luck < low + 0.1 for luck in drawn) for low in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    ]
    assert min(tenths) > 880
    assert max(tenths) < 1120
    assert len(set(drawn)) == len(drawn)


def test_weather_loses_and_doubles_about_as_often_as_it_says() -> None:
    sim = Simulation(seed=5, weather=Weather(loss=0.2, duplicate=0.1))
    sim.run(20)
    frame = sim.trace.messages
    originals = frame[frame.copy_of.isna()]
    assert 0.15 < (originals.fate == "lost").mean() < 0.25
    assert 0.05 < frame.copy_of.notna().sum() / len(originals) < 0.12


def test_a_link_may_have_weather_of_its_own() -> None:
    links = (Link(src=1, dst=2, loss=1.0), Link(src=2, dst=1, latency=(0.05, 0.06)), Link(src=3, dst=1, duplicate=1.0))
    sim = Simulation(3, seed=5, weather=Weather(links=links))
    sim.run(10)
    frame = sim.trace.messages
    on = {(src, dst): link for (src, dst), link in frame.groupby(["src", "dst"])}
    assert set(on[1, 2].fate) == {"lost"}
    assert set(on[1, 3].fate) == {"delivered"}
    assert (on[2, 1].received - on[2, 1].sent).dropna().between(0.049, 0.061).all()
    assert on[3, 1].copy_of.notna().sum() == len(on[3, 1]) / 2
    assert not on[2, 3].copy_of.notna().any()
    assert Simulation.from_capsule(sim.capsule()).trace.digest() == sim.trace.digest()


def test_the_story_tells_the_weather_in_words() -> None:
    sim = Simulation(3)
    for weather in (Weather(loss=0.25, latency=(0.1, 0.2)), Weather(links=(Link(src=1, dst=2, loss=1.0),)), Weather()):
        sim.weather = weather
    assert [record.detail for record in sim.trace.records if record.kind == "weather"] == [
        "latency 100-200 ms, loss 25 %",
        "from n1 to n2 loss 100 %",
        "good again",
    ]


def test_messages_on_a_link_keep_their_order_unless_the_weather_reorders_them() -> None:
    def overtaken(sim: Simulation) -> int:
        sim.run(10)
        frame = sim.trace.messages.dropna(subset=["received"])
        links = [link.received for _, link in frame.groupby(["src", "dst"])]
        return sum(int((link.diff() < 0).sum()) for link in links)

    assert overtaken(Simulation(seed=2)) == 0
    assert overtaken(Simulation(seed=2, weather=Weather(reorder=0.3))) > 0


def test_without_a_record_the_run_is_the_same_and_keeps_nothing() -> None:
    seen, unseen = settled(), settled(record=False)
    assert seen.world == unseen.world
    assert len(unseen.trace) == 0
    with pytest.raises(LookupError, match="no event"):
        unseen.fork(3)


def test_a_ring_keeps_the_newest_records() -> None:
    sim = settled(record=50)
    assert len(sim.trace) == 50
    assert sim.trace.records[-1].id == sim.world.events - 1
    assert len(sim.trace.events) == 50


def test_another_machine_and_other_rules_can_be_given() -> None:
    sim = settled(machine=Counter, engine=raft(RAFT))
    sim.write(5)
    call = sim.write(6)
    sim.run(1)
    assert call.value == 11


def test_a_machine_catches_up_in_pieces_and_the_world_before_keeps_its_own() -> None:
    sim = settled(machine=Counter, config=Config(max_apply_entries=2))
    late = next(node for node in sim.nodes if node != sim.leader)
    sim.crash(late)
    for _ in range(5):
        sim.write(1)
    sim.run(0.5)
    sim.restart(late)
    empty = sim.nodes[late].machine
    sim.run(0.5)
    turns = [record.step.commands for record in sim.trace.records if record.node == late and record.step]
    pieces = [[len(one.entries) for one in commands if isinstance(one, Apply)] for commands in turns]
    assert [2, 2, 1] in pieces
    assert (empty.query(None), sim.nodes[late].machine.query(None)) == (0, 5)


def test_a_machine_that_raises_stops_the_run_with_its_error() -> None:
    class Broken(Counter):
        def apply(self, command: Any, /) -> Any:
            raise ZeroDivisionError(command)

    sim = settled(machine=Broken)
    sim.write(5)
    with pytest.raises(Panicked, match="ZeroDivisionError"):
        sim.run(1)


def test_waiting_for_what_never_happens_is_a_timeout() -> None:
    sim = settled()
    with pytest.raises(Timeout, match=r"within 0\.5 s"):
        sim.run_until(lambda s: s.leader == 99, timeout=0.5)
    for node in sim.nodes:
        sim.crash(node)
    sim.run(1)
    with pytest.raises(Timeout):
        sim.run_until(lambda s: s.leader, timeout=1)
    with pytest.raises(PyraftError, match="nothing is pending"):
        sim.step()


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"nodes": 0}, "nodes=0"),
        ({"nodes": -3}, "nodes=-3"),
        ({"nodes": []}, "nodes"),
        ({"nodes": {0, 1}}, "node ids, whole numbers from 1"),
        ({"nodes": "five"}, "nodes"),
        ({"learners": -1}, "learners=-1"),
        ({"nodes": {1, 2}, "learners": {2}}, "learners"),
        ({"seed": "lucky"}, "seed"),
        ({"config": Config(heartbeat_interval=9)}, "heartbeat_interval=9"),
        ({"weather": Weather(latency=(-0.1, 0.2))}, "latency=(-0.1, 0.2)"),
        ({"weather": Weather(latency=(0.3, 0.2))}, "latency"),
        ({"weather": Weather(loss=1.5)}, "loss=1.5"),
        ({"weather": Weather(disk=0.1)}, "disk"),  # type: ignore[arg-type]
        ({"weather": Weather(links={(1, 2): 0.3})}, "links"),  # type: ignore[arg-type]
        ({"weather": Weather(links=(Link(src=1, dst=1, loss=0.3),))}, "from one node to another"),
        ({"weather": Weather(links=(Link(src=1, dst=2), Link(src=2, dst=1, loss=3)))}, "links[1].loss=3"),
        ({"weather": Weather(links=(Link(src=1, dst=2, latency=(2, 1)),))}, "links[0].latency"),
        ({"rules": RAFT, "engine": raft(RAFT)}, "not both"),
    ],
)
def test_bad_settings_are_named(knobs: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        Simulation(**knobs)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda sim: sim.crash(9), UnknownNode),
        (lambda sim: sim.nodes[9], UnknownNode),
        (lambda sim: sim.write(PUT, to=9), UnknownNode),
        (lambda sim: sim.transfer(to=9), UnknownNode),
        (lambda sim: sim.partition({1, 9}), UnknownNode),
        (lambda sim: sim.partition({1, 2}, {2, 3}), ConfigError),
        (lambda sim: sim.cut(1, 9), UnknownNode),
        (lambda sim: sim.restart(1), PyraftError),
        (lambda sim: sim.resume(1), PyraftError),
        (lambda sim: sim.drift(1, 0), PyraftError),
        (lambda sim: sim.drop(10_000), PyraftError),
        (lambda sim: sim.delay(10_000, 1), PyraftError),
        (lambda sim: sim.run(-1), ConfigError),
        (lambda sim: sim.add_node(1), PyraftError),
        (lambda sim: sim.add_node(0), PyraftError),
        (lambda sim: sim.write(object()), BadCommand),
        (lambda sim: sim.read("x", policy="guess"), ConfigError),
        (lambda sim: sim.fork(10**6), LookupError),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    act: Callable[[Simulation], Any], error: type[Exception]
) -> None:
    sim = settled(nodes=3)
    before = sim.world
    with pytest.raises(error):
        act(sim)
    assert sim.world == before


def test_syncs_come_in_the_order_of_the_writes() -> None:
    sim = settled(weather=Weather(disk=(0.001, 0.05)))
    for number in range(20):
        sim.write({"op": "put", "key": "x", "value": number})
        sim.run(0.01)
    assert any(isinstance(action, Sync) for action in sim.pending)
    sim.run(2)
    assert all(node.machine.query("x") == 19 for node in sim.nodes.values())
    assert sim.violations == []


def test_the_history_tells_what_clients_asked_and_were_told() -> None:
    sim = settled(nodes=3)
    sim.write(PUT, client=1)
    sim.run(0.5)
    sim.read("x", client=2)
    sim.write({"op": "frob"})
    sim.run(0.5)
    sim.write({"op": "cas", "key": "x", "old": 1, "new": 2}, client=3)
    told = [(one.client, one.input, one.output, one.returned is not None) for one in sim.history]
    assert told == [
        (1, ("put", "x", 1), None, True),
        (2, ("get", "x"), 1, True),
        (3, ("cas", "x", 1, 2), None, False),
    ]


def test_operators_may_beat_purge_and_configure() -> None:
    sim = Simulation(nodes=3, seed=7)
    leader = sim.run_until(lambda s: s.leader) or 0
    for value in range(5):
        sim.write({"op": "put", "key": "x", "value": value})
    sim.run(0.3)
    sim.send_heartbeat(leader)
    assert [type(flight.message).__name__ for flight in sim.trace.records[-1].sent] == ["HeartbeatRequest"] * 2
    sim.snapshot(leader)
    sim.run(0.1)
    sim.purge(leader, 3)
    assert sim.nodes[leader].log.start.index >= 3
    sim.configure(leader, Config(max_append_entries=7))
    assert sim.nodes[leader].state.config.max_append_entries == 7


def test_everything_says_what_it_is() -> None:
    sim = Simulation(nodes=2, seed=7)
    assert repr(sim) == "<simulation of 2 nodes, seed 7, at 0.000 s: no leader>"
    call = sim.write({"op": "put", "key": "x", "value": 1})
    assert repr(call).endswith(": waiting>")
    sim.run_until(lambda _: call.done)
    assert repr(sim).endswith(f": n{sim.leader} leads>")
    assert repr(call).endswith(": ok, None>")
    assert "failed: " in repr(sim.read("x", to=3 - (sim.leader or 0), policy="lease"))
    sim.crash(2)
    assert repr(sim.nodes).splitlines()[1] == "<node 2: down>"
    assert repr(sim.nodes[1]).startswith("<node 1: ")


def test_the_worlds_of_a_stretch_of_time_are_those_that_were() -> None:
    sim = Simulation(nodes=3, seed=7)
    seen = [sim.world]
    for _ in range(100):
        sim.step()
        seen.append(sim.world)
    start = seen[0].events
    assert list(sim.worlds(start + 10, start + 90)) == seen[10:91]


def test_what_is_off_the_agenda_is_not_taken_off_again() -> None:
    world = Simulation(nodes=3, seed=7).world
    scene = Transition(world)
    due = scene.event_queue[0]
    scene.cancel(due)
    scene.cancel(due)
    assert scene.event_queue == list(world.event_queue[1:])


def test_a_command_of_another_machine_is_told_as_it_is() -> None:
    sim = Simulation(nodes=1, machine=Counter)
    call = sim.write(3)
    sim.run_until(lambda _: call.done)
    assert [operation.input for operation in sim.history] == [3]


class Refusing(Counter):
    """A machine that complains in this library's own words."""

    def apply(self, command: Any, /) -> Any:
        raise BadCommand(f"{command} is nothing for me")


def test_an_error_of_this_library_comes_through_as_it_is() -> None:
    sim = Simulation(nodes=1, machine=Refusing)
    sim.write(3)
    with pytest.raises(BadCommand, match="3 is nothing for me"):
        sim.run(1)
