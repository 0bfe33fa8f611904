"""Build Raft: an empty table has no point, Raft's own has all of them, and every stage can be run."""

from collections.abc import Mapping

import pytest

from pyraft_lab import LocalCluster, exercises
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.errors import ConfigError
from pyraft_lab.exercises import own_rules
from pyraft_lab.exercises.sessions_stage import SKELETON, apply_once_from
from pyraft_lab.exercises.skeletons import EMPTY
from pyraft_lab.exercises.stages import STAGES, Stage, under_own_table, up_to
from tests.exercises.answers import APPLY_ONCE, source

pytestmark = pytest.mark.usefixtures("judged_here")


def sources(*rules: str) -> Mapping[str, str]:
    return {rule: source(rule) for rule in rules}


@pytest.mark.parametrize("name", [one.name for one in STAGES])
def test_raft_s_own_table_does_alone_what_a_stage_promises(name: str) -> None:
    stage = next(one for one in STAGES if one.name == name)
    assert not stage.works(under_own_table(name, RAFT))


@pytest.mark.parametrize("name", [one.name for one in STAGES])
def test_the_empty_table_runs_at_every_stage(name: str) -> None:
    sim = under_own_table(name, EMPTY)
    sim.run(0.5)
    assert sim.now == 0.5


def test_an_empty_table_has_no_point() -> None:
    marked = exercises.build.stage("log").answer({})
    assert marked.score == 0
    assert "not written yet" in str(marked)


def test_a_stage_has_every_point_for_raft_s_own_rules() -> None:
    marked = exercises.build.stage("commit").answer(sources(*up_to("commit")))
    assert marked, str(marked)


def test_a_wrong_rule_of_a_stage_costs_its_points() -> None:
    wrong = {**sources(*up_to("commit")), "commit_index": "def commit_index(state):\n    return state.log.last.index"}
    marked = exercises.build.stage("commit").answer(wrong)
    assert 0 < marked.score < marked.out_of
    assert "✗ commit_index" in str(marked)
    assert "✓ follower_commit" in str(marked)


def test_the_rules_of_cells_come_together() -> None:
    for rule, text in sources(*up_to("election")).items():
        own_rules.keep(rule, text)
    table = exercises.build.mine()
    assert table.conflict_hint is EMPTY.conflict_hint
    stage = exercises.build.stage("election")
    assert isinstance(stage, Stage)
    sim = stage.simulation()
    sim.run(2.0)
    assert sim.leader


def test_a_table_is_read_by_its_sources() -> None:
    stage = exercises.build.stage("log")
    assert set(stage.read(RAFT)) == set(up_to("log"))
    assert stage.read(EMPTY) == {}
    with pytest.raises(ConfigError, match="did you mean has_won"):
        stage.read({"has_one": ""})
    with pytest.raises(ConfigError, match="rules"):
        stage.read(3)
    with pytest.raises(ConfigError, match="did you mean election"):
        exercises.build.stage("elections")


def test_sessions_carry_a_command_out_once() -> None:
    last = exercises.build.stage("sessions")
    assert last.answer(APPLY_ONCE)
    assert last.answer(SKELETON).score == 1
    assert last.answer("def apply_once(answers, serial, run):\n    while True: pass").score == 0
    assert last.answer("def apply_once(answers, serial, run) pass").score == 0


def test_build_counts_the_points_of_its_stages() -> None:
    build = exercises.Build()
    assert build() is build
    assert build.score == 0
    assert build.out_of == sum(stage.out_of for stage in build.stages)
    assert build.hint() == build.hints[0]
    build.stage("sessions").answer(APPLY_ONCE)
    assert build.score == 3
    assert "sessions     3 of 3 points" in str(build)
    report = build.grade(upto="election")
    assert (report.score, len(report.marks)) == (0, 1)
    assert build.picture.startswith("<svg")


async def test_a_learner_s_raft_runs_live() -> None:
    for rule, text in sources(*up_to("reads")).items():
        own_rules.keep(rule, text)
    build = exercises.build
    machine = build.machine(apply_once_from(APPLY_ONCE))
    async with LocalCluster(3, rules=build.mine(), machine=machine) as cluster:
        await cluster.wait_leader(timeout=30)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        assert await cluster.client.read("x") == 1
