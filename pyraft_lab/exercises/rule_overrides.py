"""A table of rules with exceptions: for one question, and only for that one, a rule returns the given answer.

Every decision of Raft is a function in :class:`~pyraft_lab.engine.rules.Rules`; so an answer by hand is an exception
to one of them. The table stays a function: the same state and the same message get the same answer from then on. In a
simulation that holds in every branch of time; a live node, which goes through no moment twice, forgets each exception
with the message that it was for.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from pyraft_lab.engine.consult import listen
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Step


class OverriddenRule:
    """One rule with its exceptions; ``__wrapped__`` is the rule without them."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self.__wrapped__ = rule
        self.exceptions: dict[tuple[Any, ...], Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The result that was set for these arguments, or the result of the rule."""
        if self.exceptions and arguments in self.exceptions:
            return self.exceptions[arguments]
        return self.__wrapped__(*arguments)


class Table:
    """All rules, each of which may have exceptions; an engine follows ``rules``."""

    def __init__(self, rules: Rules = RAFT) -> None:
        self._overruled = {name: OverriddenRule(rule) for name, rule in _named(rules).items()}
        self.rules = Rules(**self._overruled)

    def overrule(self, taken: Step, rulings: Mapping[str, Any]) -> Step | None:
        """Take the step again with these results, and keep them; ``None``, and no change, if that is impossible.

        One result may lead to another rule (a node that recognises a leader must then check its entries), so the step
        is taken once for each result.
        """
        before = {name: dict(rule.exceptions) for name, rule in self._overruled.items()}
        try:
            for name, verdict in rulings.items():
                for heard in listen(taken, self.rules)[0]:
                    if heard.rule == name:
                        self._overruled[name].exceptions.setdefault(heard.arguments, verdict)
            return step(taken.before, taken.event, self.rules)
        except (AssertionError, IndexError):  # no log has a gap, and no machine applies what is not there
            for name, exceptions in before.items():
                self._overruled[name].exceptions = exceptions
            return None

    def forget(self) -> None:
        """Follow the rules without exceptions; a step that was taken with some is not taken again as it was."""
        for rule in self._overruled.values():
            rule.exceptions = {}


def _named(rules: Rules) -> dict[str, Callable[..., Any]]:
    return structs.asdict(rules)
