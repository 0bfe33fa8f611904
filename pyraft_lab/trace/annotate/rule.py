"""What a rule is, and what it says of one step."""

from collections.abc import Callable, Iterable
from inspect import getsource
from typing import Any, TypeVar

from msgspec import Struct

from pyraft_lab.engine.commands import Command, Send
from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, Role, Step

AnyCommand = TypeVar("AnyCommand", bound=Command)
SomeMessage = TypeVar("SomeMessage", bound=AnyMessage)

ROUTINE, ORDINARY, DECISIVE = 0, 1, 2
"""The importance of a rule: of several rules in one step the most important one gives the step its label."""


class Rule(Struct, frozen=True):
    """One clause of Raft: ``label`` is its name, ``section`` its place in the paper, ``decider`` the engine's function.

    Sections of the paper stand alone (``§5.2``), those of the dissertation and of openraft say so.
    """

    label: str
    section: str
    decider: Callable[..., Any]
    meaning: str
    importance: int = ORDINARY

    @property
    def decided_by(self) -> str:
        """The deciding function by name, as ``election.on_vote_request``."""
        return f"{self.decider.__module__.rpartition('.')[2]}.{self.decider.__name__}"

    @property
    def source(self) -> str:
        """The deciding function's own lines."""
        return getsource(self.decider)


class Explained(Struct, frozen=True, gc=False):
    """What one rule did in one step; ``tell`` is the sentence, or a function that makes it when it is read."""

    rule: Rule
    tell: str | Callable[[], str]

    @property
    def text(self) -> str:
        """What was done, in words that follow the server's name."""
        return self.tell if isinstance(self.tell, str) else self.tell()


Remarks = Iterable[Explained]


def commands(step: Step, kind: type[AnyCommand]) -> list[AnyCommand]:
    """The step's commands of one kind, in order."""
    # by type, here and below: isinstance takes ten times as long to say no to a struct
    return [command for command in step.commands if type(command) is kind]


def sent(step: Step, kind: type[SomeMessage]) -> list[tuple[int, SomeMessage]]:
    """The step's messages of one kind, each with its receiver."""
    # two questions in one, and so untyped for the checker
    return [(one.dst, one.message) for one in step.commands if type(one) is Send and type(one.message) is kind]


def has_sent(step: Step, kind: type[AnyMessage]) -> bool:
    """Whether the step sent a message of one kind."""
    for command in step.commands:  # noqa: SIM110 (a generator for any() takes three times as long)
        if type(command) is Send and type(command.message) is kind:
            return True
    return False


def leads_on(step: Step) -> bool:
    """Whether the step belongs to one leadership: its leader may have resigned in it, but heard of no other."""
    before, after = step.before, step.after
    return type(before.role) is Leader and (before.disk is after.disk or before.disk.vote == after.disk.vote)


def is_active(role: Role) -> bool:
    """Whether a server in this role leads or wants to."""
    return type(role) in _ACTIVE


_ACTIVE = frozenset({PreCandidate, Candidate, Leader})
