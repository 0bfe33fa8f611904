"""Clocks that drift, jump and stop: what may rest on time, and what never does."""

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Fire
from pyraft_lab.engine.messages import HeartbeatRequest
from pyraft_lab.engine.rules import has_valid_lease
from pyraft_lab.engine.state import Leader, Step
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, VOTE_LEASE, Timer, TimerKind, delay, lease
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from tests.engine.builders import BEAT, accepted, after, heard, leader, leadership, sent, streaming
from tests.engine.cluster import Cluster


def put(value: int) -> dict[str, object]:
    return {"op": "put", "key": "x", "value": value}


def write(sim: Simulation, value: int) -> None:
    call = sim.write(put(value))
    sim.run_until(lambda _: call.ok)


def elected(sim: Simulation) -> int:
    return sim.run_until(lambda s: s.leader if s.leader and s.nodes[s.leader].commit > 1 else 0)


def holders(sim: Simulation) -> list[int]:
    """Who believes to hold a lease at this instant."""
    return [node.id for node in sim.nodes.values() if node.up and has_valid_lease(node.state)]


@pytest.mark.row("CK-01")
@pytest.mark.parametrize("rates", [(0.8, 1.2, 1.0), (1.2, 0.8, 0.8), (1.0, 1.2, 1.2)])
def test_clocks_that_differ_by_a_fifth_cost_no_leader_its_leadership(rates: tuple[float, ...]) -> None:
    sim = Simulation(nodes=3, seed=1, record=False)
    for node, rate in enumerate(rates, 1):
        sim.drift(node, rate)
    first, term = elected(sim), sim.nodes[1].term
    sim.run(10.0)
    assert (sim.leader, sim.nodes[first].term) == (first, term)
    assert not sim.violations


@pytest.mark.row("CK-02")
def test_a_follower_whose_clock_leaps_ahead_disturbs_nobody() -> None:
    sim = Simulation(nodes=3, seed=1)
    first = elected(sim)
    sim.run(0.5)
    follower = first % 3 + 1
    sim.drift(follower, 999.0)
    sim.run(0.01)
    sim.drift(follower, 1.0)
    sim.run(2.0)
    assert (sim.leader, sim.nodes[first].term) == (first, 1)


@pytest.mark.row("CK-02", "CK-03")
def test_a_leader_whose_clock_leaps_has_lost_its_lease_until_a_quorum_answers_again() -> None:
    state = after(streaming(leader(1, config=Config())), BEAT)
    state = after(state, heard(2, state))
    leapt = after(state, Fire(lease(1)), Fire(lease(2)))
    assert not has_valid_lease(leapt)
    assert not has_valid_lease(after(leapt, heard(2, leapt), accepted(3, leapt), Fire(lease(1))))
    beating = after(leapt, BEAT)
    assert has_valid_lease(after(beating, heard(3, beating)))


@pytest.mark.row("CK-03")
@pytest.mark.parametrize("kind", list(TimerKind))
def test_timers_have_lengths_and_no_dates(kind: TimerKind) -> None:
    config = Config()
    lengths = [delay(config, kind, backoff, chance) for backoff in range(4) for chance in (0.0, 0.99)]
    assert all(0 < length <= config.retry_limit + 8 * config.election_timeout[1] for length in lengths)
    assert delay(config, kind, 1, 0.5) == delay(config, kind, 1, 0.5)


@pytest.mark.row("CK-04")
def test_a_leader_that_was_frozen_reads_nothing_by_an_old_lease() -> None:
    sim = Simulation(nodes=3, seed=3)
    old = elected(sim)
    write(sim, 1)
    sim.pause(old)
    sim.run(5 * 0.3)
    assert sim.leader != old
    write(sim, 2)
    sim.resume(old)
    sim.run(0)
    read = sim.read("x", to=old, policy="lease")
    sim.run(0.5)
    assert read.done
    assert not read.ok
    assert sim.nodes[old].role == "follower"


@pytest.mark.row("CK-05", "EL-14")
def test_the_same_first_timeout_everywhere_still_elects_somebody() -> None:
    rounds = []
    for seed in range(30):
        sim = Simulation(nodes=5, seed=seed, config=Config(election_timeout=(0.15, 0.151), heartbeat_interval=0.02))
        sim.run_until(lambda s: s.leader, timeout=60)
        rounds.append(sim.nodes[sim.leader or 1].term)
        assert not sim.violations
    assert sorted(rounds)[15] <= 10


@pytest.mark.row("EL-14")
def test_random_timeouts_elect_within_a_few_terms() -> None:
    terms = []
    for seed in range(40):
        sim = Simulation(nodes=4, seed=seed, record=False, config=Config(pre_vote=False))
        terms.append(sim.run_until(lambda s: s.nodes[s.leader].term if s.leader else 0))
    assert sorted(terms)[20] <= 3
    assert max(terms) <= 12


@pytest.mark.row("CK-06")
def test_time_that_comes_in_a_burst_begins_one_round_and_one_election() -> None:
    sim = Simulation(nodes=3, seed=9)
    old = elected(sim)
    others = sorted(set(sim.nodes) - {old})
    sim.run(0.2)
    sim.pause(old)
    sim.run(3.0)
    begun = len(sim.trace)
    sim.resume(old)
    sim.run(0)
    beats = fired(sim, HEARTBEAT, begun)
    assert (len(beats), len(sent(beats, HeartbeatRequest))) == (1, 2)
    sim.crash(sim.leader or old)
    sim.pause(others[0])
    sim.run(3.0)
    begun = len(sim.trace)
    sim.resume(others[0])
    sim.run(0)
    assert len(fired(sim, ELECTION, begun)) == 1


def fired(sim: Simulation, timer: Timer, begun: int) -> list[Step]:
    """The steps since ``begun`` in which this timer ran out."""
    steps = [record.step for record in sim.trace.records[begun:] if record.step is not None]
    return [turn for turn in steps if turn.event == Fire(timer)]


@pytest.mark.row("CK-07", "FZ-03")
def test_things_that_happen_at_one_instant_happen_in_one_order() -> None:
    def run() -> str:
        sim = Simulation(nodes=5, seed=12, weather=Weather(latency=(0.005, 0.005), disk=(0.001, 0.001), loss=0.05))
        for value in range(5):
            sim.write(put(value))
        sim.run(3.0)
        return sim.trace.digest()

    assert run() == run()


@pytest.mark.row("CQ-17")
@pytest.mark.parametrize("seed", range(6))
def test_at_no_instant_do_two_nodes_hold_a_lease(seed: int) -> None:
    sim = Simulation(nodes=5, seed=seed, config=Config(clock_drift=0.1), record=False)
    for node in sim.nodes:
        sim.drift(node, 0.95 + 0.1 * (node * 7 + seed) % 0.1)
    sim.watch(lambda _: seen.append(len(holders(sim))))
    seen: list[int] = []
    for _ in range(4):
        old = elected(sim)
        sim.run(0.3)
        sim.partition({old, old % 5 + 1}, set(sim.nodes) - {old, old % 5 + 1})
        sim.run_until(lambda s, old=old: s.leader != old)  # type: ignore[misc]
        sim.heal()
        sim.run(0.5)
    assert max(seen) == 1
    assert not sim.violations


def stale_read(rate: float, seed: int) -> bool:
    """Whether a leader cut off from its followers, its clock running at ``rate``, reads what is over."""
    sim = Simulation(nodes=3, seed=seed, config=Config(election_timeout=(0.15, 0.16), clock_drift=0.1))
    old = elected(sim)
    write(sim, 1)
    sim.drift(old, rate)
    sim.run(0.4)
    sim.partition({old}, set(sim.nodes) - {old})
    written = None
    for _ in range(400):
        if written is None and sim.leader not in (old, None):
            written = sim.write(put(2), to=sim.leader)
        was_over = written is not None and written.ok
        read = sim.read("x", to=old, policy="lease")
        sim.run(0.002)
        if was_over and read.ok and read.value == 1:
            return True
    return False


@pytest.mark.row("CK-08", "RD-12")
@pytest.mark.parametrize(("rate", "stale"), [(1.05, False), (0.95, False), (0.91, False), (0.4, True)])
def test_lease_reads_rest_on_clocks_that_keep_within_the_allowed_drift(rate: float, *, stale: bool) -> None:
    assert any(stale_read(rate, seed) for seed in range(4)) is stale


def test_a_follower_that_is_late_to_fire_its_vote_lease_only_waits_longer() -> None:
    cluster = Cluster(1, 2, 3, config=Config(pre_vote=False))
    cluster.elect(1)
    cluster.crash(1)
    cluster.fire(3)
    cluster.run()
    assert cluster.leader == 0
    cluster.fire(2, VOTE_LEASE)
    cluster.elect(3)
    assert isinstance(cluster[3].role, Leader)
    assert leadership(cluster[3]).acked_round >= 1
    assert step(cluster[3], Fire(VOTE_LEASE)).after == cluster[3]
