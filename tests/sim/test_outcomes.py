"""What clients are told, and what it is worth: done, not done, or unknown."""

import pytest

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.errors import NotLeader, OutcomeUnknown
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.sim.conditions import Weather, chance
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.views import ClientCall
from tests.replaced import LATE, replaced


def put(value: int) -> dict[str, object]:
    return {"op": "put", "key": "x", "value": value}


def elected(sim: Simulation) -> int:
    return sim.run_until(lambda s: s.leader if s.leader and s.nodes[s.leader].commit > 1 else 0)


@pytest.mark.row("CL-01", "CL-03")
@pytest.mark.parametrize("spreads", [False, True])
def test_a_write_whose_leader_dies_may_have_happened_and_at_most_once(*, spreads: bool) -> None:
    sim = Simulation(nodes=3, seed=4)
    old = elected(sim)
    if not spreads:
        sim.partition({old}, set(sim.nodes) - {old})
    call = sim.write(put(77), to=old)
    sim.run_until(lambda s: s.nodes[old].disk.log.last.index > s.nodes[old].commit)
    sim.crash(old)
    sim.run_until(lambda _: call.done)
    assert isinstance(call.error, OutcomeUnknown)
    sim.heal()
    sim.run_until(lambda s: s.leader not in (None, old))
    sim.run(1.0)
    assert sim.nodes[elected(sim)].machine.query("x") == (77 if spreads else None)


@pytest.mark.row("CL-02")
def test_a_write_that_a_follower_refuses_never_happens() -> None:
    sim = Simulation(nodes=3, seed=4)
    leader = elected(sim)
    before = sim.nodes[leader].log.last
    call = sim.write(put(77), to=leader % 3 + 1)
    sim.run(1.0)
    assert isinstance(call.error, NotLeader)
    assert call.error.leader == leader
    assert [node.log.last for node in sim.nodes.values()] == [before] * 3
    assert check_linearizable(sim.history, "kv").ok


@pytest.mark.row("CL-04", "CL-05")
def test_a_write_that_is_tried_again_happens_once() -> None:
    sim = Simulation(nodes=3, seed=4, weather=Weather(loss=0.3))
    calls: list[ClientCall] = []
    for number in range(30):
        calls.append(sim.write({"op": "incr", "key": "x"}, client=number % 3))
        sim.run(0.2)
        if number % 10 == 5 and sim.leader:
            node = sim.leader
            sim.crash(node)
            sim.run(0.5)
            sim.restart(node)
    sim.weather = Weather()
    sim.run_until(lambda _: all(call.ok for call in calls), timeout=60)
    assert sorted(call.value for call in calls) == list(range(1, 31))
    read = sim.read("x")
    sim.run_until(lambda _: read.ok)
    assert read.value == 30


@pytest.mark.row("CL-09")
def test_a_comparison_that_fails_is_an_answer_and_not_a_failure() -> None:
    sim = Simulation(nodes=3, seed=4)

    def ask(command: dict[str, object]) -> object:
        call = sim.write(command)
        sim.run_until(lambda _: call.done)
        assert call.error is None
        return call.value

    assert ask({"op": "cas", "key": "x", "old": 1, "new": 2}) is False
    ask(put(1))
    assert ask({"op": "cas", "key": "x", "old": 1, "new": 2}) is True
    assert ask({"op": "get", "key": "missing"}) is None
    assert sim.nodes[elected(sim)].machine.query("x") == 2


def worried(seed: int, *, confirmed: bool) -> Simulation:
    """Writes and reads while one node after the other is cut off; unconfirmed reads ask that one what it has."""
    sim = Simulation(nodes=3, seed=seed)
    elected(sim)
    for round in range(20):
        lonely = 1 + int(3 * chance(seed, 1, 0, round))
        sim.partition({lonely}, {1, 2, 3} - {lonely})
        sim.write(put(round), client=1)
        sim.write({"op": "cas", "key": "x", "old": round, "new": 100 + round}, client=2)
        sim.run(0.3)
        sim.read("x", client=3) if confirmed else sim.read("x", to=lonely, policy="local", client=3)
        sim.run(0.2)
        sim.heal()
        sim.run(0.1)
    sim.run(5.0)
    return sim


@pytest.mark.row("RD-19")
@pytest.mark.parametrize("confirmed", [True, False])
def test_confirmed_reads_are_linearizable_and_local_ones_are_not(*, confirmed: bool) -> None:
    verdicts = [check_linearizable(worried(seed, confirmed=confirmed).history, "kv").ok for seed in range(3)]
    assert all(verdicts) is confirmed


def test_a_client_whose_session_has_expired_opens_another_and_its_write_is_applied_once() -> None:
    sim = Simulation(nodes=3, seed=7, machine=lambda: Sessions(KeyValue(), expiry=5))
    sim.run_until(lambda s: s.leader)
    first = sim.write({"op": "incr", "key": "x"}, client=1)
    sim.run_until(lambda _: first.done)
    others = [sim.write({"op": "incr", "key": "y"}, client=2) for _ in range(10)]
    sim.run_until(lambda _: all(call.done for call in others))
    sim.run(0.2)
    assert all(1 not in node.sessions.sessions for node in sim.nodes.values())
    later = sim.write({"op": "incr", "key": "x"}, client=1)
    sim.run_until(lambda _: later.done)
    assert (first.value, [call.value for call in others], later.value) == (1, list(range(1, 11)), 2)


def test_who_waits_for_an_entry_that_a_snapshot_replaced_hears_of_it() -> None:
    calls = [call for call in replaced().calls if call.call.to == LATE]
    assert all(isinstance(call.error, OutcomeUnknown) for call in calls)
    assert "entry 8 of term 1 was replaced by another leader's" in str(calls[-1].error)


def deposed(sim: Simulation) -> tuple[int, ClientCall]:
    """A leader that is cut off takes a write, another one leads, and nobody tells it."""
    old = elected(sim)
    sim.partition({old}, set(sim.nodes) - {old})
    call = sim.write(put(1), to=old)
    sim.run_until(lambda s: s.nodes[old].role != "leader")
    return old, call


def longest(sim: Simulation) -> float:
    return sim.world.setting.config.election_timeout[1]


def test_who_waits_at_a_deposed_leader_that_nobody_tells_is_let_go() -> None:
    sim = Simulation(nodes=3, seed=4)
    old, call = deposed(sim)
    sim.run(9 * longest(sim))
    assert not call.done
    sim.run(2 * longest(sim))
    assert isinstance(call.error, OutcomeUnknown)
    assert f"node {old} no longer leads term 1, and was not told" in str(call.error)
    assert any(record.node == old and "gives up the writes" in record.detail for record in sim.trace.records)
    assert Simulation.from_capsule(sim.capsule()).trace.digest() == sim.trace.digest()


def test_a_node_that_stood_still_gives_nothing_up_before_it_has_waited_again() -> None:
    sim = Simulation(nodes=3, seed=4)
    old, call = deposed(sim)
    sim.pause(old)
    sim.run(30 * longest(sim))
    sim.resume(old)
    sim.run(9 * longest(sim))
    assert not call.done
    sim.run(2 * longest(sim))
    assert isinstance(call.error, OutcomeUnknown)


def test_a_node_that_leads_again_gives_nothing_up() -> None:
    sim = Simulation(nodes=3, seed=4)
    old = elected(sim)
    sim.partition({1}, {2}, {3})
    call = sim.write(put(1), to=old)
    sim.run_until(lambda s: s.nodes[old].role == "follower")
    sim.heal()
    sim.elect(old)
    sim.run_until(lambda _: call.done)
    assert call.ok
    assert not any("gives up" in record.detail for record in sim.trace.records)


def test_a_node_that_goes_down_has_nothing_left_to_give_up() -> None:
    sim = Simulation(nodes=3, seed=4)
    old, call = deposed(sim)
    sim.crash(old)
    assert isinstance(call.error, OutcomeUnknown)
    sim.run(20 * longest(sim))
    assert not any("gives up" in record.detail for record in sim.trace.records)
