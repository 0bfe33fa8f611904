"""A table of rules that lets itself be overruled: for one question, and for that one only, it says what it is told.

Every decision of Raft is a function in :class:`~pyraft_lab.engine.rules.Rules`; so an answer by hand is an exception
to one of them. The table stays a function: the same state and the same message get the same answer ever after.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from msgspec import structs

from pyraft_lab.engine.engine import step
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Step


class Consulted(NamedTuple):
    """A rule that was asked in a step: its name, what about, and what it said."""

    rule: str
    arguments: tuple[Any, ...]
    answer: Any


def consulted(taken: Step, rules: Rules = RAFT) -> tuple[Consulted, ...]:
    """The rules that decided a step, in order: it is taken once more, with an ear at every rule."""
    heard: list[Consulted] = []

    def listening(name: str, rule: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            heard.append(Consulted(name, arguments, rule(*arguments)))
            return heard[-1].answer

        return ask

    step(taken.before, taken.event, Rules(**{name: listening(name, rule) for name, rule in _named(rules).items()}))
    return tuple(heard)


class Overruled:
    """One rule with its exceptions."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self.rule = rule
        self.exceptions: dict[tuple[Any, ...], Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """What was told for these arguments, or what the rule says."""
        if self.exceptions and arguments in self.exceptions:
            return self.exceptions[arguments]
        return self.rule(*arguments)


class Table:
    """All rules, each of which may be overruled; ``rules`` is what an engine follows."""

    def __init__(self, rules: Rules = RAFT) -> None:
        self._overruled = {name: Overruled(rule) for name, rule in _named(rules).items()}
        self.rules = Rules(**self._overruled)

    def overrule(self, taken: Step, rulings: Mapping[str, Any]) -> Step | None:
        """Take the step again with these verdicts, now and for ever; ``None``, and no change, where it cannot be.

        A verdict may call for another rule (who recognises a leader must then look at its entries), so the step is
        taken once for each.
        """
        before = {name: dict(rule.exceptions) for name, rule in self._overruled.items()}
        try:
            for name, verdict in rulings.items():
                for heard in consulted(taken, self.rules):
                    if heard.rule == name:
                        self._overruled[name].exceptions.setdefault(heard.arguments, verdict)
            return step(taken.before, taken.event, self.rules)
        except (AssertionError, IndexError):  # no log has a gap, and no machine applies what is not there
            for name, exceptions in before.items():
                self._overruled[name].exceptions = exceptions
            return None


def _named(rules: Rules) -> dict[str, Callable[..., Any]]:
    return structs.asdict(rules)
