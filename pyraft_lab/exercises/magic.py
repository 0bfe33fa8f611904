"""``%%rule NAME``: the cell's function becomes a rule of Raft, and is judged at once."""

from typing import Any

from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises import own_rules
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.exercises.own_code import is_blank
from pyraft_lab.exercises.quiz import is_known
from pyraft_lab.exercises.reference import reference_answer
from pyraft_lab.exercises.rule_exercise import RuleExercise

EXERCISES: dict[str, RuleExercise] = {}
"""The exercises of this session, so that hints go on where they were."""


def load(shell: Any) -> None:
    """Register the magic with an IPython shell."""
    shell.register_magic_function(rule, "cell", "rule")


def rule(line: str, cell: str) -> Marked | None:
    """Judge a cell as the rule that the line names; a wrong name is said in a line, and not as a traceback."""
    try:
        exercise = exercise_of(line.strip())
    except PyraftError as wrong:
        print(f"%%rule: {wrong}")  # noqa: T201 (an answer in the cell)
        return None
    return answer(exercise, cell)


def exercise_of(name: str) -> RuleExercise:
    """The exercise about a rule, the same one in the whole session; raises ``ConfigError`` for an unknown rule."""
    if not is_known(name, EXERCISES):
        EXERCISES[name] = RuleExercise(name)
    return EXERCISES[name]


def answer(exercise: RuleExercise, source: str) -> Marked:
    """Mark a source and keep it; a skeleton as it was given counts as a blank where reference answers are at hand."""
    if source.strip() == exercise.skeleton.strip() or is_blank(source):
        source = reference_answer(exercise.exercise) or source
    if is_blank(source):
        return exercise.answer(...)
    own_rules.keep(exercise.name, source)
    return exercise.answer(source)
