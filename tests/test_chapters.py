"""Chapters are built alike: a question first, one picture a cell, exercises, misconceptions, reading; 15-40 minutes."""

import re
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "chapters").glob("[0-9]*.md"))
WIDEST = 112  # characters of code that a notebook of 1400 pixels shows beside the file browser
PICTURE = re.compile(r"^(?:viz\.|Lab\(|live_|[a-z_]+ = viz\.)", re.MULTILINE)
QUESTION = re.compile(r"\*\*(?:Predict|Explain)\.\*\*|exercises\.predict")
WORDS_PER_MINUTE = 150
MINUTES = {
    "quiz": 1.0, "prediction": 1.0, "predict": 1.0, "puzzle": 3.0, "rule": 4.0, "server": 2.0, "diagnose": 2.0,
    "mend": 3.0, "forensics": 5.0, "build": 0.5,
}  # fmt: skip
"""Minutes that an exercise of each form takes a learner who reads its hints."""
PER_CELL, PER_QUESTION, PER_OWN_EXERCISE = 0.4, 0.5, 2.0
"""Minutes to run and read a cell, to answer a question, and to begin an exercise that nobody marks."""

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
each_but_the_first = pytest.mark.parametrize("chapter", CHAPTERS[1:], ids=lambda path: path.stem)


@each_chapter
def test_a_chapter_begins_with_words_and_asks_before_it_shows(chapter: Path) -> None:
    first = jupytext.read(chapter).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert len(QUESTION.findall(chapter.read_text(encoding="utf-8"))) >= 2


@each_but_the_first
def test_a_chapter_ends_with_exercises_misconceptions_reading_and_the_way_on(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    order = [text.index(f"\n## {name}\n") for name in ("Exercises", "Common misconceptions", "Reading")]
    assert order == sorted(order)
    misconceptions, _, reading = text[order[1] :].partition("## Reading")
    assert misconceptions.count("\n- *") >= 2
    assert "§" in reading or "Figure" in reading
    following = CHAPTERS[CHAPTERS.index(chapter) + 1 :]
    assert not following or f"**Next:** [{title_of(following[0])}]({following[0].name})" in reading


def title_of(chapter: Path) -> str:
    """The heading of a chapter."""
    return next(line[2:] for line in chapter.read_text(encoding="utf-8").splitlines() if line.startswith("# "))


@each_chapter
def test_a_cell_shows_one_picture_and_its_lines_fit(chapter: Path) -> None:
    for cell in jupytext.read(chapter).cells:
        if cell.cell_type == "code":
            assert len(PICTURE.findall(cell.source)) <= 1, cell.source
            assert max(map(len, cell.source.splitlines())) <= WIDEST, cell.source


@each_but_the_first
def test_a_chapter_takes_a_lesson_and_no_more(chapter: Path) -> None:
    assert 15 <= minutes_of(chapter) <= 40


def minutes_of(chapter: Path) -> float:
    """About how long a first-time learner needs."""
    cells = jupytext.read(chapter).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    own = re.search(r"## Exercises\n(.*?)(?=\n## |\Z)", prose, re.DOTALL)
    marked = re.findall(r"^(?:\w+ = )?exercises\.(\w+)[(.](?!.*\.answer\()", code, re.MULTILINE)
    reading: float = len(prose.split()) / WORDS_PER_MINUTE + PER_CELL * sum(cell.cell_type == "code" for cell in cells)
    return (
        reading
        + PER_QUESTION * len(re.findall(r"\*\*(?:Predict|Explain)\.\*\*", prose))
        + PER_OWN_EXERCISE * len(re.findall(r"^\d\. ", own[1] if own else "", re.MULTILINE))
        + sum(MINUTES.get(form, 0.0) for form in marked)
    )
