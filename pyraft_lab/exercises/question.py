"""What a server is asked in one step, for somebody who plays it by hand: a question, its choices, and what is right.

A question is a function of a :class:`~pyraft_lab.engine.state.Step`: whoever takes the step, a simulation or a live
node, the same question comes of it. Steps that leave nothing to decide ask nothing.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pyraft_lab.engine.types import NodeId


class Choice(Struct, frozen=True):
    """One answer: the word for it, what it means, and what the rules would say to bring it about.

    ``rulings`` names rules and their verdicts; ``None`` where no verdict of any rule could make a server do it.
    """

    answer: str
    meaning: str
    rulings: Mapping[str, Any] | None = None


class Question(Struct, frozen=True, kw_only=True):
    """What one server has to decide now; ``facts`` is what it may rest on, ``about`` names the kind of decision."""

    node: NodeId
    about: str
    text: str
    facts: tuple[str, ...]
    choices: tuple[Choice, ...]
    right: frozenset[str]
    """The words that are right; mostly one, but a vote may be refused for several good reasons."""

    @property
    def answers(self) -> tuple[str, ...]:
        """The words one may answer with."""
        return tuple(choice.answer for choice in self.choices)

    def choice(self, word: str) -> Choice | None:
        """The choice of that word."""
        return next((choice for choice in self.choices if choice.answer == word), None)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        width = max(map(len, self.answers))
        facts = [f"  {fact}" for fact in self.facts]
        choices = [f"  {choice.answer:<{width}}  {choice.meaning}" for choice in self.choices]
        return "\n".join([self.text, *facts, "", *choices])
