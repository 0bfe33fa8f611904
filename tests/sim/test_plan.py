"""Fault plans: what is written is what happens, and what cannot be meant is refused by name."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pyraft_lab.errors import PlanError
from pyraft_lab.sim.conditions import Link, Weather
from pyraft_lab.sim.disk import NO_DISK_FAULTS
from pyraft_lab.sim.faults.plan import (
    AnyFault,
    Crash,
    Cut,
    Disk,
    Drift,
    Elect,
    Hold,
    Isolate,
    Members,
    Partition,
    Pause,
    Plan,
    Skew,
    Snapshot,
    Storm,
    Transfer,
)
from pyraft_lab.sim.faults.run import PlanRun, run_plan, simulate_plan
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.workload import Load
from pyraft_lab.trace.record import Record

YAML = """
name: the leader dies
nodes: 3
seconds: 5
weather: {loss: 0.1, latency: [0.001, 0.002]}
config: {pre_vote: false}
faults:
  - {do: crash, at: 1.0, lasts: 0.5, node: leader}
  - {do: partition, at: 2.0, lasts: 1, groups: [[1], [2, 3]], name: one against two}
"""


def performed(*faults: AnyFault, seconds: float = 2.0, quiet: float | None = None, **knobs: Any) -> Simulation:
    sim = Simulation(**({"nodes": 3, "seed": 7} | knobs))
    run_plan(sim, faults, seconds=seconds, quiet=quiet)
    return sim


def kinds(sim: Simulation) -> list[tuple[str, float]]:
    outside = ("crash", "restart", "pause", "resume", "drift", "cut", "partition", "heal", "weather", "disk", "elect")
    return [(str(record.kind), record.time) for record in sim.trace.records if record.kind in outside]


def test_a_plan_says_the_same_in_json_and_yaml(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(YAML)
    plan = Plan.load(tmp_path / "plan.yaml")
    (tmp_path / "plan.json").write_text(plan.dump())
    assert Plan.load(tmp_path / "plan.json") == plan
    assert plan.faults[0] == Crash(at=1.0, lasts=0.5, node="leader")
    assert plan.weather_from(Weather()) == Weather(loss=0.1, latency=(0.001, 0.002))
    assert not plan.config_from(Simulation(1).nodes[1].state.config).pre_vote


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"fautls": []}', "fautls is unknown; did you mean faults? Known are name, nodes, seed, seconds"),
        (
            '{"faults": [{"do": "crash", "at": 1, "nod": 1}]}',
            "faults[0].nod is unknown; did you mean node? Known are at",
        ),
        ('{"faults": [{"do": "crush", "at": 1, "node": 1}]}', "faults[0].do 'crush' is unknown; did you mean crash?"),
        (
            '{"faults": [{"do": "xyz", "at": 1, "node": 1}]}',
            "faults[0].do 'xyz' is unknown; known are storm, partition",
        ),
        ('{"faults": [{"do": "crash", "node": 1}]}', "faults[0]: Object missing required field `at`"),
        ('{"faults": [{"at": 1}]}', "faults[0]: Object missing required field `do`"),
        ('{"faults": [7]}', "faults[0]: Expected `object`, got `int`"),
        ('{"faults": 7}', "faults: Expected `array`, got `int`"),
        ("[]", "Expected `object`, got `array`"),
        ('{"faults": [{"do": "crash", "at": 1, "node": "ledaer"}]}', "faults[0].node: Invalid enum value 'ledaer'"),
        ('{"faults": [{"do": "crash", "at": 1, "node": 1, "lasts": -1}]}', "faults[0].lasts=-1.0"),
        ('{"faults": [{"do": "crash", "at": 1, "node": 1, "torn": 2}]}', "faults[0].torn=2.0: must be a share"),
        (
            '{"faults": [{"do": "crash", "at": 21, "node": 1}]}',
            "faults[0].at=21.0: is after the plan's end; seconds=20.0",
        ),
        ('{"faults": [{"do": "storm", "at": 1, "loss": 3}]}', "loss=3.0: must be a probability"),
        (
            '{"faults": [{"do": "storm", "at": 1, "latency": [2, 1, 3]}]}',
            "latency=(2.0, 1.0, 3.0): needs 0 <= shortest",
        ),
        ('{"faults": [{"do": "partition", "at": 1, "groups": [[1], [2, 1]]}]}', "node 1 is in two of them"),
        ('{"faults": [{"do": "drift", "at": 1, "node": 1, "rate": 0}]}', "faults[0].rate=0.0: must be above 0"),
        ('{"faults": [{"do": "disk", "at": 1, "node": 1, "slow": 0.5}]}', "faults[0].slow=0.5"),
        ('{"faults": [{"do": "members", "at": 1, "voters": []}]}', "faults[0].voters=(): must name at least one node"),
        ('{"faults": [{"do": "crash", "at": -1, "node": 1}]}', "faults[0].at=-1.0"),
        ('{"faults": [{"do": "crash", "at": 1, "node": 9}]}', "there is no node 9"),
        ('{"faults": [{"do": "partition", "at": 1, "groups": [[1], [8]]}]}', "there is no node 8"),
        ('{"faults": [{"do": "cut", "at": 1, "src": 1, "dst": 7}]}', "there is no node 7"),
        ('{"faults": [{"do": "elect", "at": 1, "nodes": [1, 6]}]}', "there is no node 6"),
        ('{"faults": [{"do": "transfer", "at": 1, "to": 6}]}', "there is no node 6"),
        ('{"faults": [{"do": "drift", "at": 1, "node": 6, "rate": 2}]}', "there is no node 6"),
        ('{"nodes": 3, "weather": {"links": [{"src": 4, "dst": 1, "loss": 1}]}}', "there is no node 4"),
        ('{"weather": {"links": [{"src": 4, "dst": 1, "los": 1}]}}', "links[0]: Object contains unknown field `los`"),
        ('{"faults": [{"do": "storm", "at": 1, "links": [{"src": 1, "dst": 8, "loss": 1}]}]}', "there is no node 8"),
        ('{"weather": {"los": 0.1}}', "weather.los=0.1: is unknown; did you mean loss? Known are latency, loss"),
        ('{"weather": {"loss": 2}}', "loss=2.0: must be a probability"),
        ('{"weather": {"loss": "much"}}', "loss: Expected `float`, got `str`"),
        ('{"config": {"pre_votes": true}}', "config.pre_votes=True: is unknown; did you mean pre_vote?"),
        ('{"config": {"heartbeat_interval": 3}}', "heartbeat_interval=3"),
        ('{"nodes": 0}', "nodes=0"),
        ('{"nodes": 3', "Input data was truncated"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(PlanError) as refusal:
        Plan.parse(text)
    assert says in str(refusal.value)


def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("faults: [}")
    with pytest.raises(PlanError, match="no YAML"):
        Plan.load(tmp_path / "plan.yaml")
    (tmp_path / "plan.yaml").write_text("[" * 5_000 + "]" * 5_000)
    with pytest.raises(PlanError, match="no YAML"):
        Plan.load(tmp_path / "plan.yaml")
    (tmp_path / "plan.yaml").write_text("&a [*a]")
    with pytest.raises(PlanError):
        Plan.load(tmp_path / "plan.yaml")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"nowhere\.json cannot be read: .*No such file"):
        Plan.load(tmp_path / "nowhere.json")
    (tmp_path / "plan.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(PlanError, match="cannot be read: 'utf-8'"):
        Plan.load(tmp_path / "plan.yaml")


def test_a_newcomer_may_be_meant_once_it_is_made_a_member() -> None:
    faults = (Members(at=1.0, voters=(1, 2, 6)), Crash(at=2.0, lasts=1.0, node=6))
    assert Plan(faults=faults).validated().faults == faults


def test_faults_begin_and_end_when_the_plan_says() -> None:
    sim = performed(
        Crash(at=0.5, lasts=0.25, node=1),
        Pause(at=1.0, lasts=0.1, node=2),
        Drift(at=1.2, lasts=0.2, node=3, rate=2.0),
        Skew(at=1.5, node=3, by=-0.1),
    )
    assert kinds(sim) == [
        *[("crash", 0.5), ("restart", 0.75), ("pause", 1.0), ("resume", 1.1)],
        *[("drift", 1.2), ("drift", 1.4), ("drift", 1.5)],
    ]


def test_links_cut_by_one_fault_are_healed_by_its_end_and_no_others() -> None:
    sim = performed(
        Isolate(at=0.5, lasts=1.0, node=1),
        Cut(at=0.6, src=2, dst=3),
        Partition(at=0.7, lasts=0.1, groups=((1, 2), (3,))),
    )
    assert sim.world.cuts == {(2, 3)}


def test_storms_add_up_and_blow_over() -> None:
    sim = performed(Storm(at=0.5, lasts=1.0, loss=0.5, reorder=0.2), Storm(at=1.0, lasts=0.1, loss=0.9))
    assert [record.detail for record in sim.trace.records if record.kind == "weather"] == [
        "loss 50 %, reorder 20 %",
        "loss 90 %, reorder 20 %",
        "loss 50 %, reorder 20 %",
        "good again",
    ]


def test_a_held_network_delivers_nothing_and_then_everything() -> None:
    sim = Simulation(3)
    sim.run(1)
    sim.hold()
    sim.run(0.1)
    assert sim.flying
    assert not [record for record in sim.trace.records if record.kind == "receive" and record.time > 1.0]
    sim.release()
    sim.run(0.01)
    assert [record for record in sim.trace.records if record.kind == "receive" and record.time > 1.0]


def test_a_hold_in_a_plan_ends_by_itself_and_two_are_one() -> None:
    sim = performed(Hold(at=0.5, lasts=0.2), Hold(at=0.6, lasts=5.0), seconds=1.0)
    assert [str(record.kind) for record in sim.trace.records if record.detail == "the network"] == ["pause", "resume"]


def test_operators_orders_are_carried_out() -> None:
    sim = performed(
        Elect(at=0.9, nodes=(2,)),
        Snapshot(at=1.2, node="leader"),
        Members(at=1.4, voters=(2, 3, 4)),
        Transfer(at=2.0, to=4),
        seconds=3.0,
    )
    assert sim.leader == 4
    assert sim.nodes[4].membership.voters == {2, 3, 4}
    assert [call.error for call in sim.calls] == [None, None]
    assert any(node.disk.snapshot for node in sim.nodes.values())


def test_faults_that_make_no_sense_any_more_pass_by() -> None:
    sim = performed(
        *(Crash(at=0.5 + node / 100, node=node) for node in (1, 2, 3)),
        Crash(at=0.6, node=1),
        Pause(at=0.7, node=1),
        Elect(at=0.8, nodes=(1, "leader")),
        Isolate(at=0.8, node="leader"),
        Drift(at=0.8, node="leader", rate=2.0),
        Snapshot(at=0.8, node=1),
    )
    assert [kind for kind, _ in kinds(sim)] == ["crash"] * 3


def test_a_storm_may_strike_some_links_and_the_slow_ones_stay_slow_when_it_is_over() -> None:
    slow = Link(src=1, dst=2, latency=(0.05, 0.05), loss=0.5)
    storm = Storm(at=0.2, lasts=0.2, links=(Link(src=2, dst=3, loss=1.0),))
    lossy = Link(src=3, dst=1, loss=0.5)
    sim = Simulation(3, weather=Weather(links=(slow, lossy)))
    run_plan(sim, [storm], seconds=1.0, quiet=0.5)
    assert sim.weather.links == (Link(src=1, dst=2, latency=(0.05, 0.05)),)
    assert [record.detail for record in sim.trace.records if record.kind == "weather"] == [
        "from n1 to n2 latency 50-50 ms, loss 50 %; from n3 to n1 loss 50 %; from n2 to n3 loss 100 %",
        "from n1 to n2 latency 50-50 ms, loss 50 %; from n3 to n1 loss 50 %",
        "from n1 to n2 latency 50-50 ms",
    ]


def test_after_a_plan_everything_is_healed() -> None:
    sim = performed(
        Storm(at=0.1, loss=0.5, disk=(0.1, 0.1)),
        Cut(at=0.1, src=1, dst=2),
        Crash(at=0.2, node=1),
        Pause(at=0.2, node=2),
        Drift(at=0.2, node=3, rate=3.0),
        Disk(at=0.2, node=3, slow=5.0),
        Hold(at=0.3),
        quiet=1.0,
    )
    assert (sim.weather, sim.world.cuts, sim.world.held) == (Weather(), frozenset(), False)
    for node in sim.nodes.values():
        assert (node.up, node.paused, node.node.rate, node.node.disk_faults) == (True, False, 1.0, NO_DISK_FAULTS)
    assert sim.leader


def test_clients_call_one_after_another_until_the_end() -> None:
    sim = Simulation(3)
    run_plan(sim, [], seconds=3.0, load=Load(clients=2, any_node=0.0), quiet=1.0)
    assert len(sim.calls) > 20
    assert all(call.ok for call in sim.calls)
    for client in (1, 2):
        mine = [call for call in sim.calls if call.call.client == client]
        for earlier, later in pairwise(mine):
            assert earlier.returned is not None
            assert earlier.returned <= later.invoked


def test_a_plan_is_staged_as_it_says() -> None:
    seen: list[Record] = []
    plan = Plan(nodes=3, seed=4, seconds=2, config={"pre_vote": False}, faults=(Crash(at=1, node=1),))
    sim = simulate_plan(plan, observers=[seen.append])
    assert (len(sim.nodes), sim.seed, sim.nodes[1].state.config.pre_vote) == (3, 4, False)
    assert ("crash", 1.0) in kinds(sim)
    assert tuple(seen) == sim.trace.records[-len(seen) :] != ()


def test_a_partition_is_told_by_its_name_and_its_end_heals_no_more_than_it_cut() -> None:
    sim = performed(Partition(at=0.5, lasts=0.5, groups=((1,), (2, 3)), name="one against two"))
    told = [str(record) for record in sim.trace.records if record.kind in ("partition", "heal")]
    assert told == [
        "t=0.500 the network is partitioned into {1} | {2,3} (one against two)",
        "t=1.000 messages pass again: 1→2 1→3 2→1 3→1",
    ]
    assert Simulation.from_capsule(sim.capsule()).trace.digest() == sim.trace.digest()


def test_latency_may_be_a_curve() -> None:
    sim = Simulation(3, seed=1, weather=Weather(latency=(0.001, 0.002, 0.003, 0.2)))
    sim.run(10)
    flown = (sim.trace.messages["received"] - sim.trace.messages["sent"]).dropna()
    assert flown.min() >= 0.001
    assert flown.quantile(0.25) < 0.1 < flown.max()
    assert flown.max() < 0.21


def test_a_yaml_file_without_pyyaml_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plan.yaml").write_text(YAML)
    monkeypatch.setitem(sys.modules, "yaml", None)  # as if it were not installed
    with pytest.raises(PlanError, match=r'pip install "pyraft-lab\[plans\]"'):
        Plan.load(tmp_path / "plan.yaml")


def test_an_end_that_came_by_itself_is_no_harm() -> None:
    sim = Simulation(3, seed=7)
    sim.run(0.5)
    performance = PlanRun(sim)
    performance.start_fault(Crash(at=0.1, lasts=0.2, node=1))
    performance.start_fault(Pause(at=0.1, lasts=0.2, node=2))
    sim.restart(1)
    sim.resume(2)
    performance.run(1.0)
    assert sim.nodes[1].up
    assert not sim.nodes[2].paused
