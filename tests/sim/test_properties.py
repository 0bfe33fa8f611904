"""Properties of one's own: always, sometimes, eventually; they turn, and turn back with time."""

import pytest

from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.simulation import Simulation


def watched() -> Simulation:
    sim = Simulation(3, seed=7)
    sim.always("terms stay small", lambda s: all(node.term < 2 for node in s.nodes.values()))
    sim.sometimes("somebody campaigns", lambda s: any(node.role == "candidate" for node in s.nodes.values()))
    sim.sometimes("a partition", lambda s: s.world.cuts)
    sim.eventually("a leader", lambda s: s.leader)
    return sim


def test_the_panel_tells_what_holds_and_since_when() -> None:
    sim = watched()
    assert list(sim.properties["holds"]) == [True, False, False, False]
    sim.run(1)
    assert list(sim.properties["holds"]) == [True, True, False, True]
    frame = sim.properties.set_index("name")
    assert list(frame.columns) == ["kind", "holds", "event", "time", "turns"]
    assert frame.loc["a leader", "event"] == sim.jump("election").trace.records[-1].id


def test_an_always_that_breaks_is_a_violation_once() -> None:
    sim = watched()
    sim.run(1)
    assert sim.leader
    sim.crash(sim.leader)
    assert not sim.properties.set_index("name").loc["a leader", "holds"]
    sim.run(1)
    assert sim.properties.set_index("name").loc["a leader", "holds"]
    assert [violation.name for violation in sim.violations] == ["terms stay small"]
    first = sim.jump("term", after=sim.moments("crash")[0])
    assert sim.violations[0].event == first.trace.records[-1].id


def test_an_always_that_never_held_is_broken_at_once() -> None:
    sim = Simulation(3)
    lamp = sim.always("somebody leads", lambda s: s.leader)
    assert (lamp.holds, len(sim.violations)) == (False, 1)
    sim.run(1)
    assert (lamp.holds, len(sim.violations), len(lamp.turns)) == (False, 1, 2)
    assert "always somebody leads: does not hold" in repr(lamp)


def test_a_branch_forgets_what_has_not_happened_yet_and_asks_about_itself() -> None:
    sim = watched()
    sim.run(1)
    fork = sim.fork(at=0.0)
    assert list(fork.properties["holds"]) == [True, False, False, False]
    fork.partition({1}, {2, 3})
    fork.run(1)
    assert list(fork.properties["holds"])[2]
    assert not list(sim.properties["holds"])[2]


def test_a_predicate_must_be_a_question() -> None:
    with pytest.raises(ConfigError, match="must be a function"):
        Simulation(1).always("yes", "leader")  # type: ignore[arg-type]
