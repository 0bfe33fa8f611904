"""Exercises: play one server by hand, and let the reference engine mark every answer."""

from pyraft_lab.exercises.hand import Hand, Mail, play
from pyraft_lab.exercises.mark import Mark, UnknownAnswer, mark
from pyraft_lab.exercises.question import Choice, Question
from pyraft_lab.exercises.questions import question

__all__ = ["Choice", "Hand", "Mail", "Mark", "Question", "UnknownAnswer", "mark", "play", "question"]
