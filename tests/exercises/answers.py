"""Reference answers to every exercise, away from notebooks; ``python -m tests.exercises.answers FILE`` writes them.

A test of the chapters names that file in ``PYRAFT_LAB_ANSWERS``.
"""

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyraft_lab.engine.rules import RAFT
from pyraft_lab.exercises.mutant_exercises import DIAGNOSES, MENDINGS
from pyraft_lab.exercises.puzzle import Puzzle
from pyraft_lab.exercises.puzzles import PUZZLES
from pyraft_lab.exercises.quizzes import QUIZZES
from pyraft_lab.exercises.rule_texts import RULE_TEXTS
from pyraft_lab.exercises.stages import SESSIONS, STAGES, up_to
from tests.exercises.solutions import SOLUTIONS

PREDICTED = {
    "first-term": "in term 1",
    "equal-timeouts": "not within a second",
    "half-and-half": "no server",
    "the-old-leader-returns": "it follows",
    "a-write-without-a-majority": "it is appended and not committed",
    "a-slow-follower": "yes",
    "whose-entries-survive": "the one",
    "cut-off-while-joint": "it is undone",
    "a-read-at-the-old-leader": "the old value",
    "sent-twice": "2",
    "two-lists": "one leader",
    "a-race-in-order": "one",
    "commit-index-at-restart": "0: nothing is known",
}
SOLVED = {
    "a-silent-night": {"crashed": "4", "successor": "5", "term": "2", "missing": "no"},
    "a-new-disk": {"lost": "1", "leader": "2", "index": "3"},
    "a-restless-server": {"restless": "5", "cuts": "4", "cure": "pre-vote"},
    "a-full-disk": {"crashed": "3", "disks": "2", "needed": "3"},
}
PLAYED = {
    "two-candidates": ["grant", "vote"],
    "a-candidate": ["wait", "vote", "wait", "won"],
    "a-log-behind": ["log"],
    "a-late-message": ["append", "keep"],
    "counting-copies": ["2", "3"],
}
APPLY_ONCE = """def apply_once(answers, serial, run):
    if serial not in answers:
        answers[serial] = run()
    return answers[serial]
"""


def source(rule: str) -> str:
    """Raft's own rule as a source."""
    return inspect.getsource(getattr(RAFT, rule))


def quick_answers() -> Mapping[str, Any]:
    """All answers but those to puzzles, which take runs to make."""
    return {
        **{f"quiz/{name}": quiz.right for name, quiz in QUIZZES.items()},
        **{f"predict/{name}": answer for name, answer in PREDICTED.items()},
        **{f"forensics/{name}": answer for name, answer in SOLVED.items()},
        **{f"server/{name}": answer for name, answer in PLAYED.items()},
        **{f"rule/{name}": source(name) for name in RULE_TEXTS},
        **{f"diagnose/{name}": text.rule for name, text in DIAGNOSES.items()},
        **{f"mend/{name}": source(text.rule) for name, text in MENDINGS.items()},
        **{f"build/{one.name}": {rule: source(rule) for rule in up_to(one.name)} for one in STAGES},
        f"build/{SESSIONS}": APPLY_ONCE,
    }


def solved(name: str) -> str:
    """A solution of a puzzle as a capsule."""
    puzzle = Puzzle(PUZZLES[name])
    SOLUTIONS[name](puzzle.simulation)
    return puzzle.simulation.capsule()


def answers() -> Mapping[str, Any]:
    """Every answer by the full name of its exercise."""
    return {**quick_answers(), **{f"puzzle/{name}": solved(name) for name in SOLUTIONS}}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(answers()), encoding="utf-8")
