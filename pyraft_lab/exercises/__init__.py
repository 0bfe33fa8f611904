"""Exercises that mark themselves: predict, answer, swap a rule, build Raft, solve puzzles, play a server.

``%load_ext pyraft_lab`` adds ``%%rule NAME``: the cell's function becomes a rule of Raft and is judged at once.
"""

from pyraft_lab.exercises.build import Build
from pyraft_lab.exercises.forms import (
    catalogue,
    diagnose,
    exercise,
    forensics,
    mend,
    predict,
    prediction,
    puzzle,
    quiz,
    rule,
    server,
)
from pyraft_lab.exercises.hand import Hand, Mail, play
from pyraft_lab.exercises.mark import Mark, UnknownAnswer, mark
from pyraft_lab.exercises.marked import Marked
from pyraft_lab.exercises.question import Choice, Question
from pyraft_lab.exercises.questions import question

build = Build()
"""Build Raft, stage by stage; keeps the points of this session."""

__all__ = [
    "Build",
    "Choice",
    "Hand",
    "Mail",
    "Mark",
    "Marked",
    "Question",
    "UnknownAnswer",
    "build",
    "catalogue",
    "diagnose",
    "exercise",
    "forensics",
    "mark",
    "mend",
    "play",
    "predict",
    "prediction",
    "puzzle",
    "question",
    "quiz",
    "rule",
    "server",
]
