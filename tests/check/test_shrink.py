"""Shrinking keeps the violation and drops what does not matter."""

import pytest
from msgspec.structs import replace

from pyraft_lab.check.campaign import RunSettings
from pyraft_lab.check.failure import failure
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.faulty_rules import accepts_before_disk, ignores_logs
from pyraft_lab.check.schedule import Names, in_order_only, moves_of, play
from pyraft_lab.check.shrink import Shrinker, shrink
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation

STORM = Weather(loss=0.05, duplicate=0.1, reorder=0.2)
HASTY = replace(RAFT, waits_for_disk=accepts_before_disk)


def broken(rules: Rules, seeds: range = range(20)) -> Simulation:
    """A run under heavy faults in which something is violated."""
    trial = RunSettings(nodes=5, seconds=5, engine=raft(rules))
    runs = (trial.run(seed, record=True) for seed in seeds)
    return next(run for run in runs if run.violations)


def test_a_run_of_thousands_of_events_becomes_a_short_one_of_three_servers() -> None:
    run = broken(HASTY)
    small = shrink(run)
    assert small.violations[0].name == run.violations[0].name
    assert len(small.nodes) <= 3 < len(run.nodes)
    assert len(small.trace) <= 30 < len(run.trace)


def test_a_server_that_only_moves_needed_goes_when_they_have_gone() -> None:
    run = RunSettings(nodes=5, seconds=1.5, engine=MUTANTS["writes-again"].engine).run(35, record=True)
    first = Shrinker(run, run.violations[0].name)
    first.drop_servers()
    first.drop_moves()
    small = shrink(run)
    assert len(run.nodes) - len(first.left_out) > len(small.nodes) >= 3
    assert small.violations[0].name == run.violations[0].name


def test_no_single_move_of_a_shrunk_run_can_be_left_out() -> None:
    small = shrink(MUTANTS["ignores-logs"].attempt())
    moves = moves_of(small)
    for place in range(len(moves)):
        sim = small.again(record=False)
        play(sim, [*moves[:place], *moves[place + 1 :]], lambda s: s.violations, timing=in_order_only)
        assert not sim.violations


def test_a_capsule_is_shrunk_like_the_run_in_it() -> None:
    run = MUTANTS["counts-its-memory"].attempt()
    assert shrink(run.capsule()).trace.digest() == shrink(run).trace.digest()


def test_where_nothing_is_violated_there_is_nothing_to_shrink() -> None:
    sim = Simulation(nodes=3)
    sim.run(1)
    with pytest.raises(PyraftError, match="nothing is violated"):
        shrink(sim)


def test_a_run_is_played_again_move_by_move_also_where_the_weather_doubled_and_lost_messages() -> None:
    sim = Simulation(nodes=3, seed=5, weather=STORM)
    sim.run_until(lambda s: s.leader)
    for value in range(5):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run(0.2)
    again = sim.again()
    made = play(again, moves_of(sim), lambda _: False, timing=in_order_only)
    assert len(made) == len(moves_of(sim))
    assert {id: node.disk for id, node in again.nodes.items()} == {id: node.disk for id, node in sim.nodes.items()}


def test_a_lease_is_not_blamed_for_a_clock_that_stood_still() -> None:
    run = MUTANTS["allows-no-drift"].attempt()
    small = shrink(run)
    assert failure(small) is not None
    assert max(record.time for record in small.trace.records) > 0.3


def test_what_right_rules_do_not_survive_either_is_no_story_of_a_mistake() -> None:
    run = MUTANTS["ignores-logs"].attempt()
    assert run.world.setting.engine.rules.vote_refusal is ignores_logs
    small = shrink(run)
    right = small.again(engine=raft())
    play(right, moves_of(small), lambda s: s.violations, timing=in_order_only)
    assert failure(right) is None


def test_what_was_sent_by_something_that_is_no_move_has_no_name() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.flying)
    names = Names(sim)
    names.learn(0, sim.world.events, [replace(sim.flying[0], cause=10_000)])
    assert not names.origins


def test_a_violated_promise_of_ones_own_is_not_violated_again_without_it() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.always("nobody leads", lambda s: s.leader is None)
    sim.run_until(lambda s: s.leader)
    with pytest.raises(PyraftError, match="nobody leads is not violated again"):
        shrink(sim)
