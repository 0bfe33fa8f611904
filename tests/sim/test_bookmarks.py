"""Time travel: moments have names, branches are kept, and where two runs part can be seen."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.rules import RAFT
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.timeline import STRIDE
from pyraft_lab.trace.record import Record

PUT = {"op": "put", "key": "x", "value": 1}


def story() -> Simulation:
    sim = Simulation(3, seed=7)
    sim.run(1)
    sim.write(PUT)
    sim.run(0.5)
    assert sim.leader
    sim.crash(sim.leader)
    sim.run(2)
    return sim


def test_one_jumps_to_elections_commits_crashes_and_answers() -> None:
    sim = story()
    elected = sim.jump("election")
    assert elected.leader
    assert elected.trace.records[-1].step is not None
    assert elected.leader == elected.trace.records[-1].node
    assert sim.jump("crash").now == 1.5
    assert sim.jump("commit").world.events < sim.jump("answer").world.events
    again = sim.jump("election", after=sim.jump("crash").trace.records[-1])
    assert again.leader not in (None, elected.leader)
    assert [record.kind for record in sim.moments("crash")] == ["crash"]
    assert sim.jump(lambda record: record.time > 2).now > 2


def test_what_was_jumped_to_goes_on_by_itself_and_as_it_did() -> None:
    sim = story()
    past = sim.jump("election")
    past.run_until(lambda s: s.world.events >= 60)
    records = zip(past.trace.records, sim.trace.records, strict=False)
    assert all(mine == theirs for mine, theirs in records if mine.id < past.world.events and mine.time < 1)


def test_a_violation_is_a_moment() -> None:
    sim = Simulation(3, seed=7)
    sim.always("nobody leads", lambda s: s.leader is None)
    sim.run(1)
    broken = sim.jump("violation")
    assert broken.leader
    assert broken.trace.records[-1].id == sim.violations[0].event


def test_where_there_is_no_such_moment_one_is_told() -> None:
    sim = story()
    with pytest.raises(LookupError, match="no partition was recorded"):
        sim.jump("partition")
    with pytest.raises(LookupError, match="no crash was recorded after event"):
        sim.jump("crash", after=2.0)
    with pytest.raises(ConfigError, match="is no moment; known are violation, election"):
        sim.jump("doomsday")


def test_branches_are_kept_by_name_and_seen_by_all() -> None:
    sim = story()
    other = sim.branch("what if it lived", at=1.4)
    other.run(2)
    assert sim.branches == {"what if it lived": other} == other.branches
    with pytest.raises(PyraftError, match="already"):
        other.branch("what if it lived")
    del sim.branches["what if it lived"]
    assert other.branch("what if it lived", at=0.5).now <= 0.5


def test_two_equal_runs_do_not_differ() -> None:
    assert story().diff(story()).empty


def test_a_difference_begins_where_the_branches_part() -> None:
    sim = story()
    other = sim.fork(at=1.2)
    other.write({"op": "put", "key": "y", "value": 2})
    other.run(1)
    frame = sim.diff(other)
    assert list(frame.columns[:4]) == ["run", "id", "time", "node"]
    assert set(frame["run"]) == {"first", "second"}
    first = frame.iloc[0]
    assert (first["run"], first["kind"]) == ("second", "propose")
    assert frame["time"].is_monotonic_increasing
    crash = frame[frame["kind"] == "crash"]
    assert list(crash["run"]) == ["first"]
    back = other.diff(sim)
    assert list(back["run"]) == ["first" if run == "second" else "second" for run in frame["run"]]


@pytest.mark.parametrize("at", [0, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE])
def test_every_moment_of_the_past_can_be_had_again_exactly(at: int) -> None:
    sim = Simulation(3, seed=7, rules=RAFT)
    worlds = {sim.world.events: sim.world}

    def keep(record: Record) -> None:
        worlds[record.id + 1] = sim.world

    sim.watch(keep)
    sim.run(1)
    sim.write(PUT)
    sim.run(3)
    if at + 1 in worlds:
        assert sim.fork(at).world == worlds[at + 1]
    assert sim.fork(at).trace.records == sim.trace.records[: at + 1]


def test_a_fork_may_go_on_under_other_rules_and_keeps_its_past() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run(0.1)
    then = sim.world.events
    careless = replace(RAFT, vote_refusal=lambda _state, _request: None)
    fork = sim.fork(rules=careless)
    fork.run(2.0)
    assert fork.world.setting.engine.rules == careless
    assert sim.world.setting.engine.rules == RAFT
    assert fork.fork(at=then - 1).world.setting.engine.rules == careless
    assert fork.fork(at=then - 2).world == sim.fork(at=then - 2).world
