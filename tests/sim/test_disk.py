"""Disks that fail: where Raft survives it does, where it must stop it stops, and a lie is found out."""

import pytest

from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation

PUT = {"op": "put", "key": "x", "value": 1}


def led() -> tuple[Simulation, int]:
    sim = Simulation(3, seed=7)
    leader = sim.run_until(lambda s: s.leader)
    sim.run(0.5)
    assert leader is not None
    return sim, leader


def follower(sim: Simulation) -> int:
    return next(node for node in sim.nodes if node != sim.leader)


def test_a_slow_disk_takes_its_time() -> None:
    sim, leader = led()
    sim.break_disk(leader, slow=100)
    for other in sim.nodes:
        sim.break_disk(other, slow=100)
    call = sim.write(PUT)
    sim.run(0.04)
    assert not call.done
    sim.run(1)
    assert call.ok


def test_a_full_disk_stops_the_server_and_with_room_it_starts_again() -> None:
    sim, leader = led()
    sim.break_disk(leader, full=True)
    call = sim.write(PUT)
    sim.run(0.1)
    assert not sim.nodes[leader].up
    assert sim.nodes[leader].state.halted == "its disk is full"
    assert [record.detail for record in sim.trace.records if record.kind == "disk"][-1] == "halted: its disk is full"
    sim.mend_disk(leader)
    sim.restart(leader)
    sim.run(3)
    assert call.ok
    assert [node.machine.query("x") for node in sim.nodes.values()] == [1] * 3
    assert sim.violations == []


def test_a_damaged_entry_is_refused_at_the_start_and_not_before() -> None:
    sim, _ = led()
    victim = follower(sim)
    sim.break_disk(victim, corrupt=2)
    sim.run(0.5)
    assert sim.nodes[victim].up
    sim.crash(victim)
    refused = sim.restart(victim)
    assert not sim.nodes[victim].up
    assert "entry 2 fails its checksum" in refused.detail
    sim.mend_disk(victim)
    sim.restart(victim)
    assert sim.nodes[victim].up


def test_damage_where_nothing_is_any_more_does_no_harm() -> None:
    sim, _ = led()
    victim = follower(sim)
    sim.break_disk(victim, corrupt=1000)
    sim.crash(victim)
    sim.restart(victim)
    assert sim.nodes[victim].up


def test_a_torn_write_leaves_the_first_entries() -> None:
    sim, leader = led()
    sim.weather = Weather(disk=(0.2, 0.2))
    before = sim.nodes[leader].disk.log.last.index
    for value in range(4):
        sim.write({"op": "put", "key": "x", "value": value}, to=leader)
    sim.crash(leader, torn=0.5)
    assert sim.nodes[leader].disk.log.last.index == before + 2
    sim.restart(leader)
    sim.run(5)
    assert sim.violations == []


def test_a_lying_disk_is_found_out_at_its_first_promise() -> None:
    sim, _ = led()
    victim = follower(sim)
    sim.break_disk(victim, lying=True)
    sim.write(PUT)
    sim.run(0.2)
    assert {violation.name for violation in sim.violations} >= {"durable before answer", "disk matches state"}


def test_a_lying_disk_loses_what_was_committed() -> None:
    sim, leader = led()
    liars = [node for node in sim.nodes if node != leader]
    for liar in liars:
        sim.break_disk(liar, lying=True)
    call = sim.write(PUT)
    sim.run(0.3)
    assert call.ok
    for liar in liars:
        sim.crash(liar)
    sim.crash(leader)
    for liar in liars:
        sim.mend_disk(liar)
        sim.restart(liar)
    sim.run_until(lambda s: s.leader)
    assert "leader completeness" in {violation.name for violation in sim.violations}


def test_a_disk_that_stops_lying_makes_good_what_it_owes() -> None:
    sim, _ = led()
    victim = follower(sim)
    sim.break_disk(victim, lying=True)
    sim.write(PUT)
    sim.run(0.3)
    assert sim.nodes[victim].disk.log.last != sim.nodes[victim].log.last
    sim.mend_disk(victim)
    assert sim.nodes[victim].disk.log.last == sim.nodes[victim].log.last


def test_clocks_jump_and_timers_with_them() -> None:
    sim, _ = led()
    late, early = sim.fork(), sim.fork()
    other = follower(sim)
    early.skew(other, 10.0)
    early.run(0.001)
    assert early.nodes[other].role in {"precandidate", "candidate", "leader"}
    late.partition({other})
    late.skew(other, -10.0)
    late.run(5)
    assert late.nodes[other].role == "follower"


@pytest.mark.parametrize("ill", [{"slow": -1.0}, {"corrupt": -1}, {"full": "yes"}, {"lying": 1}])
def test_an_ill_that_is_none_is_refused(ill: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(ill))):
        Simulation(1).break_disk(1, **ill)  # type: ignore[arg-type]


def test_deeds_that_make_no_sense_are_refused() -> None:
    sim = Simulation(1)
    with pytest.raises(PyraftError, match="not held"):
        sim.release()
    sim.hold()
    with pytest.raises(PyraftError, match="held already"):
        sim.hold()
    with pytest.raises(PyraftError, match="from 0 to 1"):
        sim.crash(1, torn=2.0)


def test_a_follower_that_lost_its_log_gets_nothing_more_until_it_is_forgiven() -> None:
    sim = Simulation(3, seed=7)
    leader = sim.run_until(lambda s: s.leader) or 0
    sim.run(0.2)
    liar = leader % 3 + 1
    sim.break_disk(liar, lying=True)
    for value in range(3):
        sim.write({"op": "put", "key": "x", "value": value})
    sim.run_until(lambda s: s.nodes[liar].applied == s.nodes[leader].applied > 3)
    sim.crash(liar)
    sim.mend_disk(liar)
    sim.restart(liar)
    sim.run(0.5)
    assert sim.leader == leader
    assert any(record.detail.startswith(f"alarm about node {liar}") for record in sim.trace.records)
    assert sim.nodes[liar].log.last < sim.nodes[leader].log.last
    call = sim.allow_revert(liar)
    sim.run(0.5)
    assert call.ok
    assert sim.nodes[liar].log.last == sim.nodes[leader].log.last


@pytest.mark.parametrize("torn", [0.0, 0.3, 0.6, 1.0])
def test_whichever_of_several_unsynced_snapshots_a_crash_leaves_can_be_started_from(torn: float) -> None:
    sim, _ = led()
    behind = follower(sim)
    sim.break_disk(behind, slow=1000)
    for value in range(4):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run(0.15)
        sim.snapshot(behind)
        sim.run(0.02)
    while sim.world.nodes[behind].synced.snapshot is None:
        sim.run(0.05)
    sim.crash(behind, torn=torn)
    sim.mend_disk(behind)
    sim.restart(behind)
    sim.run(2)
    assert sim.nodes[behind].machine.query("x") == 3
    assert not sim.violations
