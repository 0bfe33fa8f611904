"""Every exercise can be solved, is blank at first, and says what was wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyraft_lab import exercises
from pyraft_lab.engine.consult import RULE_NAMES
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.exercises.exercise import Exercise
from pyraft_lab.exercises.forms import FORMS, entries
from pyraft_lab.exercises.mutant_exercises import DIAGNOSES
from pyraft_lab.exercises.own_code import NoRule
from pyraft_lab.exercises.reference import VARIABLE
from tests.absurd import DEEP
from tests.exercises.answers import quick_answers

ANSWERS = quick_answers()
QUICK = ("quiz", "predict", "forensics", "server")
NAMES = [one.exercise for one in entries()]
each_quick = pytest.mark.parametrize("name", [name for name in NAMES if name.partition("/")[0] in QUICK])


pytestmark = pytest.mark.usefixtures("judged_here")


def test_there_are_more_than_sixty_graded_exercises_each_with_a_name_of_its_own() -> None:
    assert len(NAMES) == len(set(NAMES)) > 60
    assert set(FORMS) == {one.form for one in entries()}
    assert all(one.points > 0 and one.title for one in entries())


def test_the_catalogue_is_a_frame_with_a_row_for_each() -> None:
    frame = exercises.catalogue()
    assert [*frame.columns] == ["exercise", "form", "name", "chapter", "points", "title"]
    assert [*frame["exercise"]] == NAMES


def test_every_rule_of_the_table_has_an_exercise() -> None:
    assert sorted(one.name for one in entries() if one.form == "rule") == sorted(RULE_NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_has_a_text_hints_and_its_points(name: str) -> None:
    one = exercises.exercise(name)
    (row,) = (entry for entry in entries() if entry.exercise == name)
    assert one.exercise == name
    assert one.out_of == row.points
    assert one.score == 0
    assert len(one.hints) > 0
    if name.startswith(("diagnose", "mend")):
        return  # their texts are runs: told elsewhere
    assert len(one.text) > 40


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("diagnose", "mend"))])
def test_a_blank_answer_is_no_answer(name: str) -> None:
    one = exercises.exercise(name)
    marked = one.answer(...)
    assert (marked.score, marked.answer, one.last) == (0, None, None)
    assert "application/vnd.pyraft-lab.answer+json" not in marked._repr_mimebundle_()


@each_quick
def test_the_reference_answer_has_every_point(name: str) -> None:
    marked = exercises.exercise(name).answer(ANSWERS[name])
    assert marked, str(marked)
    assert json.loads(json.dumps(marked.answer)) == marked.answer


@pytest.mark.parametrize("name", sorted(DIAGNOSES)[:3])
def test_the_story_of_a_broken_run_names_no_rule(name: str) -> None:
    one = exercises.diagnose(name)
    story = one.text.partition("Which rule is wrong?")[2].partition("\n  " + one.choices[0][0])[0]
    assert "this run's rule" not in story
    assert one.answer(DIAGNOSES[name].rule)
    wrong = next(rule for rule, _ in one.choices if rule != DIAGNOSES[name].rule)
    assert not one.answer(wrong)
    assert DIAGNOSES[name].rule not in str(one.last)


def test_a_puzzle_without_an_action_says_what_to_do_and_lists_what_is_not_allowed() -> None:
    one = exercises.puzzle("late-commit")
    assert "not allowed: crash, pause\n" in one.text
    assert "act on .simulation" in str(one.check())


def test_a_hint_is_given_one_at_a_time() -> None:
    one = exercises.rule("commit_index")
    first = one.hint()
    assert first == one.hints[0]
    assert first in str(one)
    assert one.hints[1] not in str(one)
    assert [one.hint() for _ in range(4)][-1] == one.hints[-1]


def test_an_unknown_exercise_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean half-of-four"):
        exercises.quiz("half-of-for")
    with pytest.raises(ConfigError, match="did you mean quiz/half-of-four"):
        exercises.exercise("quiz/half-of-for")


@pytest.mark.parametrize("name", [None, 5, [], "", "x" * 100_000, DEEP])
def test_a_name_of_another_kind_is_an_unknown_exercise(name: Any) -> None:
    for form in (exercises.quiz, exercises.prediction, exercises.puzzle, exercises.diagnose, exercises.mend):
        with pytest.raises(ConfigError, match="unknown"):
            form(name)


def test_blanks_are_filled_where_a_file_of_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "answers.json"
    place.write_text(json.dumps({"quiz/half-of-four": "b"}), encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(place))
    assert exercises.quiz("half-of-four").answer(...)
    assert exercises.quiz("two-leaders-at-once").answer(...).answer is None
    monkeypatch.setenv(VARIABLE, f"{tmp_path}/nothing.json")
    with pytest.raises(ConfigError, match="must name a JSON file"):
        exercises.quiz("half-of-four").answer(...)


def test_a_wrong_quiz_answer_names_the_misconception_and_keeps_the_right_one() -> None:
    marked = exercises.quiz("half-of-four").answer("A")
    assert not marked
    assert "Misconception" in str(marked)
    assert "one, the same as three" not in str(marked)


@pytest.mark.parametrize("name", ["quiz/half-of-four", "rule/has_won", "puzzle/elect-n3", "build/log"])
def test_every_exercise_has_a_still_picture(name: str) -> None:
    one: Exercise = exercises.exercise(name)
    assert one.picture.startswith("<svg")


def test_a_broken_table_is_mended_by_the_right_rule() -> None:
    one = exercises.mend("mend-late-grants")
    assert one.simulation.violations
    assert one.rule in one.text
    assert one.rules.answers_vote is not RAFT.answers_vote
    assert one.answer(ANSWERS["mend/mend-late-grants"])
    wrong = one.answer("def answers_vote(vote, response):\n    return response.granted")
    assert wrong.score == 1
    assert "leader completeness" in str(wrong)
    with pytest.raises(NoRule, match="not at hand"):
        one.answer(len)


@pytest.mark.parametrize("name", ["mend-early-reads", "mend-conflicts"])
def test_a_broken_table_says_what_falls(name: str) -> None:
    assert "is violated" in exercises.mend(name).text
    assert "nothing is violated" not in exercises.mend(name).text


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("name", ["nope", None, 3, [], {}])
def test_a_name_that_is_none_is_answered_with_the_known_ones(form: str, name: Any) -> None:
    with pytest.raises(PyraftError, match=r"nope|None|3|\[\]|{}"):
        FORMS[form](name)
