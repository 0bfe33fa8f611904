"""Answers in executed notebooks: read from the outputs, and marked again; a printed score counts for nothing.

::

    cell: exercises.quiz("half-of-four").answer("b")
      └▶ output: text "✓ right ... 1 of 1 point"          anybody can edit this; it is never read
                 ANSWER data {"exercise": ..., "answer": "b"}  ──▶ marked again, in a process of its own

Somebody who edits the answer in the file has given that answer; it can do no more than that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises import apart
from pyraft_lab.exercises.exercise import Entry
from pyraft_lab.exercises.forms import entries, exercise
from pyraft_lab.exercises.marked import ANSWER

LARGEST = 50_000_000
"""Bytes of a notebook that are read."""
LIMIT = 120.0
"""Seconds of real time for the marks of one answer."""


class BadNotebook(PyraftError):
    """A file is no notebook that can be read."""

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"{path} is no notebook that can be read: {why}")


class Handed(Struct, frozen=True):
    """One answer in a notebook: the exercise's full name, the answer, and the number of the cell, from 1."""

    exercise: str
    answer: Any
    cell: int


class Line(Struct, frozen=True, kw_only=True):
    """One line of a learner's marks; ``notebook`` is empty where nothing was handed in."""

    learner: str
    exercise: str
    form: str
    chapter: int
    score: int
    out_of: int
    notebook: str = ""
    feedback: str = ""


def answers_in(path: Path) -> tuple[Handed, ...]:
    """The answers in a notebook, the last one to every exercise; raises :class:`BadNotebook`."""
    found = {one.exercise: one for one in _answers(path, _cells(path))}
    return tuple(found.values())


def _cells(path: Path) -> Sequence[Any]:
    try:
        if path.is_symlink() or not path.is_file():
            raise BadNotebook(path, "it is a link or no file; hand in the notebook itself")
        if path.stat().st_size > LARGEST:
            raise BadNotebook(path, f"it is larger than {LARGEST:,} bytes")
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as wrong:
        raise BadNotebook(path, str(wrong)) from wrong
    cells = read.get("cells") if isinstance(read, dict) else None
    if not isinstance(cells, list):
        raise BadNotebook(path, "it has no list of cells (a notebook of format 4 has)")
    return cells


def _answers(path: Path, cells: Sequence[Any]) -> Iterator[Handed]:
    for number, cell in enumerate(cells, 1):
        outputs = cell.get("outputs", []) if isinstance(cell, dict) else []
        if not isinstance(outputs, list):
            raise BadNotebook(path, f"cell {number} has no list of outputs")
        for output in outputs:
            data = output.get("data", {}) if isinstance(output, dict) else {}
            kept = data.get(ANSWER) if isinstance(data, dict) else None
            if isinstance(kept, dict) and isinstance(kept.get("exercise"), str) and kept.get("answer") is not None:
                yield Handed(kept["exercise"], kept["answer"], number)


def learners(folder: Path) -> Mapping[str, tuple[Path, ...]]:
    """The notebooks of each learner below a folder: a folder for each learner, or a notebook for each."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") for part in parts):
            found.setdefault(parts[0] if len(parts) > 1 else path.stem, []).append(path)
    return {name: tuple(paths) for name, paths in sorted(found.items())}


def lines_of(learner: str, handed: Mapping[str, tuple[Path, Handed]]) -> Iterator[Line]:
    """The marks of one learner, a line for every exercise of the catalogue."""
    for entry in entries():
        if entry.exercise not in handed:
            yield _line(learner, entry)
            continue
        path, one = handed[entry.exercise]
        told = marked_again(one)
        yield _line(learner, entry, notebook=path.name, score=told["score"], feedback=told["text"])


def _line(learner: str, entry: Entry, *, notebook: str = "", score: int = 0, feedback: str = "") -> Line:
    return Line(
        learner=learner,
        exercise=entry.exercise,
        form=entry.form,
        chapter=entry.chapter,
        score=score,
        out_of=entry.points,
        notebook=notebook,
        feedback=feedback,
    )


def marked_again(handed: Handed) -> Mapping[str, Any]:
    """The mark of an answer: ``score`` and ``text``.

    Sources are judged in processes of their own, by their exercises; a run is played again in one, too, for it may be
    of any length. All other answers are words.
    """
    request = {"exercise": handed.exercise, "answer": handed.answer}
    if not handed.exercise.startswith("puzzle/"):
        return marked(request)
    told = apart.run("mark", request, here=lambda: marked(request), limit=LIMIT)
    return {"score": 0, "text": f"✗ {told['ended']}"} if "ended" in told else told


def marked(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task of :mod:`pyraft_lab.exercises.apart`: mark an answer; one that cannot be marked has no point."""
    try:
        asked = exercise(str(request["exercise"]))
        found = asked.mark(asked.read(request["answer"]))
    except (PyraftError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as wrong:
        return {"score": 0, "text": f"✗ this is no answer: {wrong}"}
    return {"score": found.score, "text": found.text}
