"""Every puzzle can be solved at par, and only from where it begins."""

from typing import Any

import pytest

from pyraft_lab import Simulation, exercises
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.exercises.puzzles import PUZZLES
from tests.exercises.solutions import SOLUTIONS


@pytest.mark.parametrize("name", sorted(PUZZLES))
def test_a_puzzle_is_open_at_first_and_can_be_solved_at_par(name: str) -> None:
    puzzle = exercises.puzzle(name)
    puzzle.simulation.run(0.01)
    assert PUZZLES[name].missing(puzzle.simulation)
    SOLUTIONS[name](puzzle.simulation)
    marked = puzzle.check()
    assert marked, str(marked)
    assert puzzle.actions == puzzle.par


def test_a_run_of_another_cluster_is_no_solution() -> None:
    puzzle = exercises.puzzle("elect-n3")
    other = Simulation(5, 8)
    other.elect(3)
    with pytest.raises(PyraftError, match="not a run of puzzle"):
        puzzle.check(other)
    assert puzzle.answer(other.capsule()).score == 0
    assert puzzle.answer("no capsule").score == 0


def test_a_run_that_begins_elsewhere_is_no_solution() -> None:
    puzzle = exercises.puzzle("elect-n3")
    other = puzzle.simulation.again()
    other.elect(3)
    other.run(1.0)
    assert "does not begin where" in str(puzzle.answer(other))


def test_a_forbidden_action_is_named() -> None:
    puzzle = exercises.puzzle("late-commit")
    for node in list(puzzle.simulation.nodes)[:3]:
        puzzle.simulation.crash(node)
    puzzle.simulation.run(2.5)
    assert "crash may not be used" in str(puzzle.check())


@pytest.mark.parametrize("name", ["elect-n3-by-force", "depose-with-one-cut"])
def test_a_call_of_an_operator_is_forbidden_by_the_name_of_its_method(name: str) -> None:
    puzzle = exercises.puzzle(name)
    puzzle.simulation.transfer(3)
    puzzle.simulation.run(0.5)
    assert "transfer may not be used" in str(puzzle.check())


def test_more_actions_than_par_have_fewer_points_and_reset_begins_again() -> None:
    puzzle = exercises.puzzle("two-leaders")
    leader = puzzle.simulation.leader
    assert leader is not None
    for node in puzzle.simulation.nodes:
        if node != leader:
            puzzle.simulation.cut(leader, node)
            puzzle.simulation.cut(node, leader)
    puzzle.simulation.run_until(lambda s: not PUZZLES["two-leaders"].missing(s), timeout=5)
    assert puzzle.check().score == 1
    puzzle.reset()
    assert puzzle.actions == 0


@pytest.mark.parametrize("given", [5, "run", []])
def test_what_is_no_run_is_no_solution(given: Any) -> None:
    with pytest.raises(ConfigError, match="simulation"):
        exercises.puzzle("elect-n3").check(given)
