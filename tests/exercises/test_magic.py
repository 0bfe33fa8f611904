"""``%%rule`` in a shell, and buttons in a notebook."""

from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

import pyraft_lab
from pyraft_lab import exercises
from pyraft_lab.exercises import own_rules, widgets
from pyraft_lab.exercises.marked import ANSWER, Marked

VOTES = "def has_won(membership, granted):\n    return 'yes'\n"


@pytest.fixture(name="shell")
def _shell(judged_here: None) -> Any:  # noqa: ARG001 (it prepares)
    make: Any = InteractiveShell
    shell = make()
    pyraft_lab.load_ipython_extension(shell)
    return shell


def test_a_cell_is_judged_as_the_rule_that_it_names(shell: Any) -> None:
    marked = shell.run_cell_magic("rule", "has_won", VOTES)
    assert isinstance(marked, Marked)
    assert marked.exercise == "rule/has_won"
    assert marked.answer == VOTES
    assert exercises.rule("has_won").last is marked
    assert own_rules.sources() == {"has_won": VOTES}


def test_an_unknown_rule_is_said_in_a_line(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_cell_magic("rule", "has_one", VOTES) is None
    assert "did you mean has_won" in capsys.readouterr().out


def test_outside_of_a_notebook_the_text_says_everything() -> None:
    quiz = exercises.quiz("half-of-four")
    assert not widgets.show(quiz)
    assert "a  two instead of one" in quiz._repr_mimebundle_()["text/plain"]


def test_buttons_answer_and_hint() -> None:
    quiz, told = exercises.quiz("half-of-four"), list[Marked]()
    box = widgets.panel(quiz, told.append)
    radio, (answer, hint), shown = box.children[0], box.children[1].children, box.children[2]
    assert answer.disabled
    radio.value = "b"
    assert not answer.disabled
    answer.click()
    assert [one.score for one in told] == [1]
    hint.click()
    assert shown.value == quiz.hints[0]


def test_a_second_prediction_is_refused_beside_the_buttons() -> None:
    guess, told = exercises.predict("Which?", ["a", "b"], scored_by=lambda _: "a", seeds=1), list[Marked]()
    box = widgets.panel(guess, told.append)
    radio, (answer, _), shown = box.children[0], box.children[1].children, box.children[2]
    for value in ("b", "a"):
        radio.value = value
        answer.click()
    assert [one.answer for one in told] == ["b"]
    assert "a prediction stays" in shown.value
    assert not answer.disabled


def test_a_notebook_keeps_buttons_text_and_answers() -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("from pyraft_lab import exercises\nexercises.quiz('half-of-four')"),
        nbformat.v4.new_code_cell("exercises.quiz('half-of-four').answer('b')"),
        nbformat.v4.new_code_cell("exercises.quiz('half-of-four').answer(...)"),
    ]
    NotebookClient(notebook, timeout=120).execute()
    shown, answered, blank = (cell.outputs for cell in notebook.cells)
    assert [widgets.VIEW in one.data for one in shown] == [False, True, False]
    assert shown[0].data["text/plain"].startswith("How many crashed servers")
    assert all("two instead of one" in shown[1].data[kind] for kind in ("text/plain", "text/html"))
    assert not any("two instead of one" in shown[place].data["text/html"] for place in (0, 2)), "shown twice"
    assert shown[2].data["text/plain"] == "not answered yet (0 of 1 point)"
    assert answered[0].data[ANSWER] == {"exercise": "quiz/half-of-four", "answer": "b"}
    assert ANSWER not in blank[0].data
