"""A question to a learner who plays a server by hand: its choices, and which of them are right.

A question is a function of a :class:`~pyraft_lab.engine.state.Step`: the same step of a
simulation or of a live node gives the same question. Steps without a decision give no question.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pyraft_lab.engine.types import NodeId


class Choice(Struct, frozen=True):
    """One choice: its short name, its meaning, and the results of rules that lead to it.

    ``rulings`` maps names of rules to results; ``None`` if no result of any rule makes a server do this.
    """

    answer: str
    meaning: str
    rulings: Mapping[str, Any] | None = None


class Question(Struct, frozen=True, kw_only=True):
    """A decision of one server; ``facts`` lists what the server knows, ``about`` names the kind of decision."""

    node: NodeId
    about: str
    text: str
    facts: tuple[str, ...]
    choices: tuple[Choice, ...]
    right: frozenset[str]
    """The right answers; usually one, but there may be several reasons to refuse a vote."""

    @property
    def answers(self) -> tuple[str, ...]:
        """The valid answers."""
        return tuple(choice.answer for choice in self.choices)

    def choice(self, word: str) -> Choice | None:
        """The choice with this answer; ``None`` if there is none."""
        return next((choice for choice in self.choices if choice.answer == word), None)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        width = max(map(len, self.answers))
        facts = [f"  {fact}" for fact in self.facts]
        choices = [f"  {choice.answer:<{width}}  {choice.meaning}" for choice in self.choices]
        return "\n".join([self.text, *facts, "", *choices])
