"""Exercises by name, and the catalogue of all of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.errors import ConfigError
from pyraft_lab.exercises.build import stage_of
from pyraft_lab.exercises.cases import CASES
from pyraft_lab.exercises.exercise import CatalogueEntry, Exercise
from pyraft_lab.exercises.forensics import Case, entry_of_case
from pyraft_lab.exercises.magic import exercise_of
from pyraft_lab.exercises.mutant_exercises import DIAGNOSES, MENDINGS, Diagnosis, Mending, entries_of_mutants
from pyraft_lab.exercises.prediction import Prediction, Scored, entry_of_prediction, from_text
from pyraft_lab.exercises.predictions import PREDICTIONS
from pyraft_lab.exercises.puzzle import Puzzle, entry_of_puzzle
from pyraft_lab.exercises.puzzles import PUZZLES
from pyraft_lab.exercises.quiz import Quiz, entry_of_quiz, is_known, unknown
from pyraft_lab.exercises.quizzes import QUIZZES
from pyraft_lab.exercises.rule_exercise import RuleExercise, entry_of_rule
from pyraft_lab.exercises.rule_texts import RULE_TEXTS
from pyraft_lab.exercises.server_exercise import SCENES, ServerExercise, entry_of_scene
from pyraft_lab.exercises.stages import entries_of_stages
from pyraft_lab.extras import needed

if TYPE_CHECKING:
    import pandas as pd


def quiz(name: str) -> Quiz:
    """A question with a few answers; answer it with the buttons, or ``.answer("b")``."""
    return Quiz(_known("quiz", name, QUIZZES))


def predict(
    question: str,
    choices: Iterable[Any],
    *,
    scored_by: Scored,
    seeds: int = 200,
    hints: Iterable[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """A question about a run, answered before it runs: the answer is locked, then all seeds are played.

    ``scored_by(seed)`` plays one run and returns the choice that happened; ``progress(done, seeds)`` is called after
    each. Raises ``ConfigError`` for invalid arguments.

    >>> from pyraft_lab import Simulation
    >>> def first(seed):
    ...     return Simulation(3, seed, record=False, checks=()).run_until(lambda s: s.leader)
    >>> who = predict("Which server leads first?", [1, 2, 3], scored_by=first, seeds=20)
    >>> who.answer(1).out_of, sum(who.counts.values())
    (1, 20)
    """
    return Prediction(question, choices, scored_by=scored_by, seeds=seeds, hints=hints, progress=progress)


def prediction(name: str) -> Prediction:
    """A prediction of the catalogue."""
    return from_text(_known("prediction", name, PREDICTIONS))


def rule(name: str) -> RuleExercise:
    """The exercise about one rule of the table; hand in a ``%%rule`` cell, a function, or its source."""
    return exercise_of(name)


def puzzle(name: str) -> Puzzle:
    """A goal puzzle; act on its ``.simulation``, then ``.check()``."""
    return Puzzle(_known("puzzle", name, PUZZLES))


def diagnose(name: str) -> Diagnosis:
    """The story of a broken run; name the rule that is wrong."""
    return Diagnosis(name, _known("diagnose", name, DIAGNOSES))


def mend(name: str) -> Mending:
    """A table with a wrong rule; hand in the right one."""
    return Mending(name, _known("mend", name, MENDINGS))


def forensics(name: str) -> Case:
    """The trace of an outage, and questions about it."""
    return Case(_known("forensics", name, CASES))


def server(name: str) -> ServerExercise:
    """A scene in which you are a server; answer one word a decision."""
    return ServerExercise(_known("server", name, SCENES))


def _known(form: str, name: str, table: Mapping[str, Any]) -> Any:
    """A text by name; raises ``ConfigError`` for an unknown one."""
    if not is_known(name, table):
        raise unknown(form, name, table)
    return table[name]


FORMS: Mapping[str, Callable[[str], Exercise]] = {
    "quiz": quiz,
    "predict": prediction,
    "rule": RuleExercise,
    "puzzle": puzzle,
    "diagnose": diagnose,
    "mend": mend,
    "forensics": forensics,
    "server": server,
    "build": stage_of,
}
"""How an exercise of each form is made from its name."""


def exercise(full_name: str) -> Exercise:
    """A new exercise by its full name, such as ``quiz/half-of-four``; raises ``ConfigError`` for an unknown one."""
    known = {one.exercise for one in entries()}
    if not is_known(full_name, known):
        raise ConfigError("exercise", full_name, did_you_mean(full_name, sorted(known)))
    form, _, name = full_name.partition("/")
    return FORMS[form](name)


def entries() -> tuple[CatalogueEntry, ...]:
    """The rows of the catalogue: every graded exercise, by chapter and form."""
    found = [
        *map(entry_of_quiz, QUIZZES.values()),
        *map(entry_of_prediction, PREDICTIONS.values()),
        *map(entry_of_rule, RULE_TEXTS),
        *map(entry_of_puzzle, PUZZLES.values()),
        *entries_of_mutants(),
        *map(entry_of_case, CASES.values()),
        *map(entry_of_scene, SCENES.values()),
        *entries_of_stages(),
    ]
    return tuple(sorted(found, key=lambda one: (one.chapter, one.form, one.name)))


def catalogue() -> "pd.DataFrame":
    """A frame, one row a graded exercise: ``exercise form name chapter points title``."""
    with needed("pandas"):
        import pandas as pd

    return pd.DataFrame([asdict(one) for one in entries()])
