"""Marks come from the answers in a notebook, and from nothing else in it."""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pyraft_lab import cli, exercises
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises import apart
from pyraft_lab.exercises.marked import ANSWER
from pyraft_lab.exercises.notebooks import BadNotebook, Handed, answers_in, learners, marked_again
from pyraft_lab.terminal.blank import EMPTY, chapters_of, write_blank
from tests.exercises.answers import solved

ROOT = Path(__file__).parents[2]
CHAPTER = """---
kernelspec:
  name: python3
  display_name: Python 3
---

# X

```{code-cell} ipython3
:tags: [answer]

secret()
```

```{code-cell} ipython3
shown()
```
"""


def notebook(path: Path, *outputs: Mapping[str, Any]) -> Path:
    """A notebook with a cell for each of these outputs."""
    made = nbformat.v4.new_notebook()
    for data in outputs:
        result = nbformat.v4.new_output("execute_result", data=dict(data), execution_count=1)
        made.cells.append(nbformat.v4.new_code_cell("exercises...", outputs=[result], execution_count=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)
    return path


def handed(name: str, answer: Any) -> Mapping[str, Any]:
    return exercises.exercise(name).answer(answer)._repr_mimebundle_()


def test_the_answer_of_an_output_is_marked_and_its_text_is_not_read(tmp_path: Path) -> None:
    forged = {**handed("quiz/half-of-four", "a"), "text/plain": "✓ right\n1 of 1 point"}
    (one,) = answers_in(notebook(tmp_path / "ann.ipynb", forged))
    assert (one.exercise, one.answer, one.cell) == ("quiz/half-of-four", "a", 1)
    assert marked_again(one)["score"] == 0


def test_the_last_answer_to_an_exercise_counts(tmp_path: Path) -> None:
    place = notebook(tmp_path / "ann.ipynb", handed("quiz/half-of-four", "a"), handed("quiz/half-of-four", "b"))
    (one,) = answers_in(place)
    assert marked_again(one)["score"] == 1


def test_a_run_is_played_again_in_a_process_of_its_own() -> None:
    assert marked_again(Handed("puzzle/elect-n3", solved("elect-n3"), 1))["score"] == 3


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("quiz/half-of-four", {"a": 1}),
        ("quiz/no-such", "a"),
        ("nonsense", "a"),
        ("predict/first-term", "in term 12"),
        ("forensics/a-new-disk", "1"),
        ("forensics/a-new-disk", {"lost": {"x": []}}),
        ("server/two-candidates", ["grant"] * 40),
        ("server/two-candidates", 7),
        ("diagnose/four-servers", "votes"),
        ("build/log", {"log_matches": 3}),
        ("build/log", "log"),
    ],
)
def test_an_answer_that_is_none_has_no_point_and_ends_nothing(name: str, answer: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "has_processes", lambda: False)
        assert marked_again(Handed(name, answer, 1))["score"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"cells": 3}',
        '{"cells": [{"outputs": 3}]}',
        "\udcff".encode("utf-8", "replace").decode(),
    ],
)
def test_a_file_that_is_no_notebook_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadNotebook, match=r"bad.ipynb is no notebook"):
        answers_in(path)


def test_a_learner_has_a_folder_or_a_notebook(tmp_path: Path) -> None:
    notebook(tmp_path / "ann.ipynb")
    notebook(tmp_path / "bob" / "01.ipynb")
    notebook(tmp_path / "bob" / "02.ipynb")
    notebook(tmp_path / "bob" / ".ipynb_checkpoints" / "02.ipynb")
    assert {name: len(paths) for name, paths in learners(tmp_path).items()} == {"ann": 1, "bob": 2}


def test_grade_writes_a_table_and_a_page_for_each_learner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook(tmp_path / "in" / "ann.ipynb", handed("quiz/half-of-four", "b"), handed("quiz/two-leaders-at-once", "a"))
    notebook(tmp_path / "in" / "=bob.ipynb")
    code = cli.main(
        ["grade", str(tmp_path / "in"), "--csv", str(tmp_path / "marks.csv"), "--pages", str(tmp_path / "pages")]
    )
    assert code == 0
    assert "1 of" in capsys.readouterr().out
    with (tmp_path / "marks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scored = {row["exercise"]: row["score"] for row in rows if row["learner"] == "ann" and row["notebook"]}
    assert scored == {"quiz/half-of-four": "1", "quiz/two-leaders-at-once": "0"}
    assert {row["learner"] for row in rows} == {"ann", "'=bob"}
    page = (tmp_path / "pages" / "ann.html").read_text(encoding="utf-8")
    assert f"2 of {len(exercises.catalogue())} exercises handed in" in page
    assert "Misconception" in page


def test_grade_names_what_it_could_not_read_and_marks_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook(tmp_path / "ann.ipynb", handed("quiz/half-of-four", "b"))
    (tmp_path / "bob.ipynb").write_text("{", encoding="utf-8")
    assert cli.main(["grade", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "bob.ipynb is no notebook" in shown
    assert "1 of" in shown


def test_grade_of_an_empty_folder_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["grade", str(tmp_path)]) != 0
    assert "has no notebooks" in capsys.readouterr().err


def test_grade_replaces_marks_only_when_it_is_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook(tmp_path / "in" / "ann.ipynb", handed("quiz/half-of-four", "b"))
    marks = tmp_path / "marks.csv"
    marks.write_text("two extra points for ann")
    assert cli.main(["grade", str(tmp_path / "in"), "--csv", str(marks)]) != 0
    assert "--again" in capsys.readouterr().err
    assert marks.read_text() == "two extra points for ann"
    assert cli.main(["grade", str(tmp_path / "in"), "--csv", str(marks), "--again"]) == 0
    assert marks.read_text().startswith("learner,")


def test_grade_can_run_the_notebooks_first(tmp_path: Path) -> None:
    made = nbformat.v4.new_notebook()
    made.cells = [
        nbformat.v4.new_code_cell("from pyraft_lab import exercises\n1/0"),
        nbformat.v4.new_code_cell("%load_ext pyraft_lab"),
        nbformat.v4.new_code_cell("%%rule has_won\ndef has_won(membership, granted):\n    return 'yes'"),
        nbformat.v4.new_code_cell("exercises.quiz('half-of-four').answer('b')"),
    ]
    nbformat.write(made, tmp_path / "ann.ipynb")
    assert cli.main(["grade", str(tmp_path), "--run", "--csv", str(tmp_path / "marks.csv")]) == 0
    with (tmp_path / "marks.csv").open(encoding="utf-8", newline="") as file:
        scored = {row["exercise"]: row["score"] for row in csv.DictReader(file) if row["notebook"]}
    assert scored == {"quiz/half-of-four": "1", "rule/has_won": "0"}
    assert all(not cell.get("outputs") for cell in nbformat.read(tmp_path / "ann.ipynb", as_version=4).cells)


def test_blank_notebooks_have_no_outputs_and_no_answers(tmp_path: Path) -> None:
    chapter = tmp_path / "01-x.md"
    chapter.write_text(CHAPTER, encoding="utf-8")
    write_blank(chapter, tmp_path / "x.ipynb")
    cells = [cell for cell in nbformat.read(tmp_path / "x.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert [cell.source for cell in cells] == [EMPTY, "shown()"]
    assert all(not cell.outputs for cell in cells)


def test_blank_writes_the_chapters_that_are_named_and_writes_over_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["blank", str(tmp_path), "--chapters", "1,12"]) == 0
    assert sorted(path.name[:2] for path in tmp_path.glob("*.ipynb")) == ["01", "12"]
    assert cli.main(["blank", str(tmp_path), "--chapters", "1"]) != 0
    assert "--again" in capsys.readouterr().err
    assert cli.main(["blank", str(tmp_path), "--chapters", "1", "--again"]) == 0
    with pytest.raises(PyraftError, match="no chapter 77"):
        chapters_of(ROOT, [77])


def test_an_answer_is_plain_json_in_the_notebook() -> None:
    kept = handed("quiz/half-of-four", "B")[ANSWER]
    assert json.loads(json.dumps(kept)) == {"exercise": "quiz/half-of-four", "answer": "b"}


def test_a_notebook_that_is_a_link_or_too_deep_is_refused(tmp_path: Path) -> None:
    link, pipe, deep = (tmp_path / f"{name}.ipynb" for name in ("link", "pipe", "deep"))
    link.symlink_to(notebook(tmp_path / "bob.ipynb"))
    os.mkfifo(pipe)
    deep.write_text("[" * 200_000)
    for path in (link, pipe, deep):
        with pytest.raises(BadNotebook, match=path.name):
            answers_in(path)
