"""What lasted on a node is one row, from the event that began it to the one that ended it."""

from typing import Any

from pyraft_lab import Config, Simulation
from pyraft_lab.trace.trace import Trace

SMALL = Config(keep_logs=0, snapshot_logs_since_last=5)


def spans(trace: Trace, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    names = [column.name for column in trace.table("spans").columns]
    rows = [dict(zip(names, row, strict=True)) for row in trace.table("spans").rows()]
    return [row for row in rows if row["kind"] == kind and wanted.items() <= row.items()]


def led(nodes: int = 3, config: Config = SMALL) -> tuple[Simulation, int]:
    sim = Simulation(nodes=nodes, seed=3, config=config)
    leader = sim.run_until(lambda sim: sim.leader)
    assert leader
    sim.run(0.1)
    return sim, leader


def test_an_election_is_won_and_a_leadership_goes_on_until_its_node_crashes() -> None:
    sim, leader = led()
    (won,) = spans(sim.trace, "election", outcome="won")
    (leading,) = spans(sim.trace, "leadership")
    assert (won["node"], won["term"], won["last"]) == (leader, 1, leading["first"])
    assert won["ended"] == leading["began"]
    assert (leading["ended"], leading["outcome"], leading["last"]) == (None, None, None)
    sim.crash(leader)
    (leading,), (down,) = spans(sim.trace, "leadership", node=leader), spans(sim.trace, "down")
    assert (leading["outcome"], leading["ended"]) == ("crashed", down["began"])
    sim.run(0.5)
    sim.restart(leader)
    (down,) = spans(sim.trace, "down")
    assert down["outcome"] == "restarted"
    assert down["ended"] - down["began"] == 0.5


def test_a_snapshot_on_its_way_is_a_span_to_its_peer() -> None:
    sim, leader = led()
    away = next(node for node in sim.nodes if node != leader)
    sim.crash(away)
    for number in range(12):
        sim.write({"op": "put", "key": "x", "value": number})
        sim.run(0.1)
    sim.restart(away)
    sim.run(1)
    assert spans(sim.trace, "snapshot", node=leader, peer=away, outcome="arrived")
    assert all(one["outcome"] == "built" for one in spans(sim.trace, "build"))


def test_a_membership_change_lasts_until_its_last_entry_is_committed() -> None:
    sim, leader = led()
    assert spans(sim.trace, "membership") == []
    sim.add_learner(4)
    sim.run(0.5)
    sim.change_membership({1, 2, 4})
    sim.run(0.5)
    learner, joint = spans(sim.trace, "membership", node=leader)
    assert learner["outcome"] == joint["outcome"] == "committed"
    entered = sim.trace.record(joint["first"])
    left = sim.trace.record(joint["last"])
    assert entered.step is not None
    assert left.step is not None
    assert entered.step.after.membership.is_joint
    assert not left.step.after.membership.is_joint


def test_a_transfer_ends_with_the_leadership_or_is_given_up() -> None:
    sim, leader = led()
    to, other = (node for node in sim.nodes if node != leader)
    sim.transfer(to)
    sim.run(0.5)
    (handed,) = spans(sim.trace, "transfer")
    assert (handed["node"], handed["peer"], handed["outcome"]) == (leader, to, "stepped down")
    sim.crash(other)
    sim.run(0.2)
    sim.transfer(other)
    sim.run(2)
    assert spans(sim.trace, "transfer", node=to, peer=other, outcome="given up")


def test_of_what_is_older_than_the_trace_the_beginning_is_missing() -> None:
    sim, leader = led()
    sim.run(0.5)
    later = Trace(sim.trace.records[-20:])
    (leading,) = spans(later, "leadership", node=leader)
    assert (leading["began"], leading["first"], leading["ended"]) == (None, None, None)


def test_a_table_that_grows_is_like_one_made_at_once() -> None:
    sim, leader = led()
    grown = Trace()
    sim.crash(leader)
    sim.run(1)
    for record in sim.trace.records:
        grown(record)
        grown.table("spans")
    assert list(grown.table("spans").rows()) == list(sim.trace.table("spans").rows())
