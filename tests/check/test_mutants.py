"""Every mutant is caught, told in a short story, and wrong where it says it is; right rules survive the same trials."""

from collections import Counter
from functools import cache

import pytest
from msgspec.structs import replace

from pyraft_lab.check.failure import failure
from pyraft_lab.check.find_violation import any_mutant, find_violation, hunt, mutant
from pyraft_lab.check.mutants import FORMER_NAMES, MUTANTS, PARTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.scenarios.stale_reads import StaleReadScenario
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.machine import KeyValue
from pyraft_lab.sim.simulation import Simulation

SHORT = 30
each_mutant = pytest.mark.parametrize("name", MUTANTS)
hunted = cache(hunt)


def test_there_are_mutants_of_every_part_of_raft() -> None:
    assert len(MUTANTS) >= 25
    assert len(PARTS) == 8
    assert all(PARTS)


def test_an_earlier_name_still_finds_its_mutant() -> None:
    assert FORMER_NAMES
    for former, name in FORMER_NAMES.items():
        assert former not in MUTANTS
        assert MUTANTS[former] is mutant(former) is any_mutant(former) is MUTANTS[name]


@each_mutant
def test_a_mutant_departs_from_raft_and_says_how(name: str) -> None:
    one = MUTANTS[name]
    assert one.engine.rules != RAFT or one.config or one.machine is not KeyValue
    assert all((one.description, one.section, one.hint, one.violates))


@each_mutant
def test_its_own_seed_shows_at_once_what_falls(name: str) -> None:
    found = failure(MUTANTS[name].attempt())
    assert found is not None
    assert found.name in MUTANTS[name].violates


@each_mutant
def test_a_mutant_dies_in_a_story_that_can_be_read_and_kept(name: str) -> None:
    small = hunted(name)
    found = failure(small)
    assert found is not None
    assert found.name in MUTANTS[name].violates
    assert len(small.trace) <= 2 * SHORT
    again = Simulation.from_capsule(small.capsule())
    assert failure(again) == found


def test_most_stories_have_at_most_thirty_events() -> None:
    lengths = Counter(len(hunted(name).trace) <= SHORT for name in MUTANTS)
    assert lengths[True] > len(MUTANTS) / 2


@each_mutant
@pytest.mark.parametrize("rules", [RAFT, ADVANCED], ids=["raft", "advanced"])
def test_right_rules_survive_the_trial_of_every_mutant(name: str, rules: Rules) -> None:
    assert failure(attempt(MUTANTS[name], rules)) is None


def attempt(one: Mutant, rules: Rules) -> Simulation:
    """The trial of a mutant, its mistake taken out."""
    settings = (
        {"pre_vote": False}
        | ({} if isinstance(one.scenario, StaleReadScenario) else {"vote_lease": False})
        | dict(one.settings)
    )
    sim = Simulation(one.nodes, one.seed, learners=one.learners, engine=raft(rules), config=Config(**settings))
    one.scenario.run(sim)
    return sim


def test_single_steps_are_lawful_once_something_of_the_own_term_is_committed() -> None:
    early = MUTANTS["changes-too-soon"]
    rules = replace(RAFT, next_membership=early.rules["next_membership"])
    assert failure(attempt(early, rules)) is None


def test_asking_for_all_entries_again_is_lawful() -> None:
    greedy = MUTANTS["commits-what-it-has"]
    assert failure(attempt(greedy, replace(RAFT, conflict_hint=greedy.rules["conflict_hint"]))) is None


def test_a_seed_that_shows_nothing_is_followed_by_a_search() -> None:
    blind = replace(MUTANTS["counts-its-memory"], seed=0)
    assert failure(blind.attempt()) is None
    assert failure(find_violation(blind)) is not None


def test_a_mutant_without_a_mistake_is_not_caught() -> None:
    with pytest.raises(PyraftError, match="2 tries"):
        find_violation(replace(MUTANTS["ignores-logs"], rules={}), tries=2)


def test_an_unknown_mutant_is_answered_with_all_names() -> None:
    with pytest.raises(ConfigError, match="votes-for-anybody, votes-twice"):
        mutant("dances")
