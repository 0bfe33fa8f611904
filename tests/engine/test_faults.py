"""Faults of the network, in virtual time: loss, reordering, partitions of every shape, slow links."""

import pytest

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.state import Follower, Leader
from pyraft_lab.engine.types import Vote
from pyraft_lab.sim.conditions import Weather, chance
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.views import ClientCall
from tests.engine.builders import accepted, after, append_request, entries, follower, grant, id_of, leader
from tests.engine.cluster import Cluster


def put(sim: Simulation, value: int, to: int | None = None, *, key: str = "x", client: int = 0) -> ClientCall:
    return sim.write({"op": "put", "key": key, "value": value}, to, client=client)


def elected(sim: Simulation) -> int:
    """The leader, once it may answer reads."""
    return sim.run_until(lambda s: s.leader if s.leader and s.nodes[s.leader].commit > 1 else 0)


def converged(sim: Simulation) -> None:
    """Everybody up holds the same log and the same data, and nothing was ever broken."""
    sim.run_until(lambda s: s.leader and len({(n.log.last, n.applied) for n in s.nodes.values() if n.up}) == 1)
    assert len({str(n.machine.query("x")) for n in sim.nodes.values() if n.up}) == 1
    assert not sim.violations


@pytest.mark.row("NF-03")
@pytest.mark.parametrize(("loss", "writes"), [(0.1, 20), (0.3, 20), (0.6, 3)])
def test_writes_get_through_however_much_is_lost(loss: float, writes: int) -> None:
    sim = Simulation(nodes=3, seed=11, weather=Weather(loss=loss), record=False)
    for value in range(writes):
        call = put(sim, value)
        sim.run_until(lambda _, call=call: call.done, timeout=120)  # type: ignore[misc]
    sim.weather = Weather()
    converged(sim)
    assert sim.nodes[1].machine.query("x") is not None


@pytest.mark.row("NF-01", "NF-02")
@pytest.mark.parametrize("weather", [Weather(duplicate=0.5), Weather(reorder=0.5), Weather(duplicate=0.3, reorder=0.3)])
def test_doubled_and_reordered_messages_change_no_outcome(weather: Weather) -> None:
    sim = Simulation(nodes=3, seed=5, weather=weather, record=False)
    calls = [put(sim, value, client=value) for value in range(20)]
    sim.run_until(lambda _: all(call.ok for call in calls))
    converged(sim)
    written = [e for e in sim.nodes[1].log if e.size]
    assert len(written) == 20


@pytest.mark.row("NF-04")
def test_only_the_larger_side_of_a_split_commits_and_the_rest_gives_way() -> None:
    sim = Simulation(nodes=5, seed=2)
    old = elected(sim)
    other = next(node for node in sim.nodes if node != old)
    rest = set(sim.nodes) - {old, other}
    committed = sim.nodes[old].commit
    sim.partition({old, other}, rest)
    lost = put(sim, 1, to=old)
    new = sim.run_until(lambda s: s.leader in rest and s.leader)
    kept = put(sim, 2, to=new)
    sim.run_until(lambda _: kept.done)
    assert kept.ok
    assert sim.nodes[old].commit == sim.nodes[other].commit == committed
    assert sim.nodes[old].log.last.index > committed
    assert not lost.ok
    sim.heal()
    converged(sim)
    assert not lost.ok
    assert sim.nodes[old].machine.query("x") == 2


@pytest.mark.row("NF-05", "FZ-01", "FZ-02")
@pytest.mark.parametrize("seed", range(4))
def test_random_splits_leave_a_linearizable_history(seed: int) -> None:
    sim = Simulation(nodes=5, seed=seed, record=False)
    calls = []
    for round in range(12):
        left = {node for node in sim.nodes if chance(seed, 99, node, round) < 0.5}
        sim.partition(left, set(sim.nodes) - left)
        for client in range(3):
            calls.append(put(sim, 100 * round + client, client=client))
            calls.append(sim.read("x", client=10 + client))
            sim.run(0.5)
    sim.heal()
    converged(sim)
    sim.run_until(lambda _: all(call.done for call in calls))
    assert len([call for call in calls if call.ok]) > 20
    assert check_linearizable(sim.history, "kv").ok


@pytest.mark.row("NF-06")
def test_one_node_between_two_halves_makes_no_second_history() -> None:
    sim = Simulation(nodes=5, seed=4)
    elected(sim)
    for a in (1, 2):
        for b in (4, 5):
            sim.cut(a, b)
            sim.cut(b, a)
    calls = []
    for value in range(20):
        calls.append(put(sim, value, client=value % 3))
        sim.run(0.3)
    assert any(call.ok for call in calls)
    sim.heal()
    converged(sim)
    assert check_linearizable(sim.history, "kv").ok


@pytest.mark.row("NF-06", "CQ-02")
@pytest.mark.parametrize(("check_quorum", "replaced"), [(True, True), (False, False)])
def test_a_leader_that_reaches_one_voter_does_not_keep_the_others_from_electing(
    *, check_quorum: bool, replaced: bool
) -> None:
    sim = Simulation(nodes=5, seed=4, config=Config(check_quorum=check_quorum))
    old = elected(sim)
    bridge, a, b, gone = sorted(set(sim.nodes) - {old})
    sim.partition({old, bridge, a, b}, {gone})
    for node in (a, b):
        sim.cut(old, node)
        sim.cut(node, old)
    sim.run(3.0)
    assert (sim.leader in {bridge, a, b}) is replaced
    call = put(sim, 1, to=sim.leader)
    sim.run(1.0)
    assert call.ok is replaced, "without check-quorum one voter under its vote lease is missing to both sides for ever"


@pytest.mark.row("NF-07")
def test_memberships_change_and_writes_go_on_over_slow_links() -> None:
    patient = Config(election_timeout=(1.0, 2.0), heartbeat_interval=0.2, retry_timeout=0.5)
    sim = Simulation(nodes=3, seed=6, config=patient, weather=Weather(latency=(0.03, 0.08), reorder=0.2), learners=2)
    elected(sim)
    change = sim.change_membership({1, 4, 5})
    calls = [put(sim, value, client=value) for value in range(10)]
    sim.run_until(lambda _: change.done and all(call.done for call in calls))
    assert change.ok
    assert all(call.ok for call in calls)
    assert sim.nodes[4].membership.voters == {1, 4, 5}
    assert not sim.violations


@pytest.mark.row("NF-08", "EL-04")
def test_votes_of_long_ago_elect_nobody() -> None:
    state = follower(1, [1], term=9, voted_for=1)
    late = [grant(peer, 3) for peer in (2, 3)]
    assert after(state, *late) == state


@pytest.mark.row("NF-09")
def test_an_append_held_back_from_an_old_leader_does_no_harm() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("old")
    held = [flight for flight in cluster.flying if flight.dst == 3 and isinstance(flight.message, AppendRequest)]
    cluster.flying = []
    cluster.elect(3)
    cluster.write("new", first=2)
    cluster.run()
    before = cluster[3], dict(cluster.nodes[3].timers)
    cluster.flying = held
    cluster.deliver(held[0])
    assert (cluster[3], cluster.nodes[3].timers) == before


@pytest.mark.row("NF-10")
def test_an_acknowledgement_of_an_earlier_term_does_not_count_in_a_later_one() -> None:
    old = leader(1, [1], term=2)
    late = accepted(2, old)
    again = leader(1, [1, 2], term=4)
    assert after(again, late) == again


@pytest.mark.row("NF-12")
def test_a_message_to_a_dead_node_is_lost_and_to_its_next_life_an_ordinary_late_one() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("x")
    first, second = [flight for flight in cluster.flying if isinstance(flight.message, AppendRequest)]
    assert (first.dst, second.dst) == (2, 3)
    cluster.crash(2)
    cluster.deliver(first)
    cluster.restart(2)
    assert len(cluster[2].log) == 1
    cluster.flying.append(first)
    cluster.run()
    assert cluster[2].log == cluster[1].log


@pytest.mark.row("NF-13")
def test_slow_answers_cost_no_leader_its_leadership() -> None:
    sim = Simulation(nodes=3, seed=8, record=False)
    old = elected(sim)
    slowed: set[int] = set()
    calls = []
    for value in range(40):
        calls.append(put(sim, value, client=value))
        for _ in range(40):
            for flight in sim.flying:
                if flight.dst == old and flight.id not in slowed:
                    slowed.add(flight.id)
                    sim.delay(flight.id, 0.1)
            sim.run(0.001)
    assert (sim.leader, sim.nodes[old].term) == (old, 1)
    assert len([call for call in calls if call.ok]) > 20
    assert len(slowed) > 100


@pytest.mark.row("DS-11")
def test_a_flood_from_long_ago_moves_nothing() -> None:
    state = follower(2, [1, 2], term=6, leader=3, committed=2)
    flood = [append_request(1, term, id_of(1), entries([(2, 1)], 2), commit=2) for term in range(1, 6)] * 100
    flood += [Receive(1, append_request(1, 5).message)] * 100
    turns = [step(state, word) for word in flood]
    assert all(turn.after == state and len(turn.commands) == 1 for turn in turns)
    assert state.role == Follower(leader=3)
    assert state.vote == Vote(6, 3, committed=True)
    assert not isinstance(state.role, Leader)
