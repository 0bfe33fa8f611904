"""The rules of a run that are not Raft's own: where one of them answered otherwise, what it said.

The other rooms tell what a step did. Why it did so is the paper's reason only as long as the run follows the paper;
so each asks :func:`departs` before it gives that reason, and :func:`departed` says what the run's rule answered.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyraft_lab.engine.consult import RULE_NAMES, Departure, Unknown, departures
from pyraft_lab.engine.events import Boot, Elect, Fire, Initialize, Receive
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import TimeoutNow
from pyraft_lab.engine.rules import RAFT, may_campaign, pre_vote_refusal, vote_refusal
from pyraft_lab.engine.state import Step
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.trace.annotate.rule import DECISIVE, ORDINARY, Explained, Remarks, Rule
from pyraft_lab.trace.text import entry_name, listed, server, shortened, span

PREFIX = "this run's rule: "
"""How the labels of such rules begin."""
_REFUSALS = (vote_refusal.__name__, pre_vote_refusal.__name__)


def _rule(name: str) -> Rule:
    """A refused vote's label says what the rule said: there the note weighs no more than the refusal."""
    meaning = "This run has another rule here than Raft's own, and its answer made the difference."
    weight = ORDINARY if name in _REFUSALS else DECISIVE + 1
    return Rule(f"{PREFIX}{name}", "", getattr(RAFT, name), meaning, weight)


OWN: Mapping[str, Rule] = {name: _rule(name) for name in RULE_NAMES}
"""For each rule of the table, the label of steps in which a run's own answered otherwise than Raft's."""


def departs(step: Step, *rules: Callable[..., Any]) -> bool:
    """Whether this run's rule decided here otherwise than Raft's own would have; ``rules`` are Raft's own."""
    return step.rules is not None and any(one.rule in _names(rules) for one in departures(step))


def cause(step: Step, usual: Rule, *rules: Callable[..., Any]) -> Rule:
    """The clause of Raft that explains what a step did; where this run's own ``rules`` did it, that rule."""
    if step.rules is None:
        return usual
    return next((OWN[one.rule] for one in departures(step) if one.rule in _names(rules)), usual)


def _names(rules: Sequence[Callable[..., Any]]) -> set[str]:
    return {rule.__name__ for rule in rules}


def departed(step: Step) -> Remarks:
    """What the run's own rules said where they answered otherwise than Raft's."""
    for one in departures(step):
        if one.rule != may_campaign.__name__ or _asks_who_may_campaign(step):
            yield Explained(OWN[one.rule], departure_text(one))


def place_of(note: Explained, told: Sequence[Explained]) -> int:
    """Where a remark of :func:`departed` belongs: after what its rule did; a refused vote is the first thing told."""
    places = [place for place, one in enumerate(told, 1) if one.rule is note.rule]
    return places[-1] if places else 1 if note.rule.importance == ORDINARY else len(told)


def _asks_who_may_campaign(step: Step) -> bool:
    """Every step asks whether its server has a vote: news only where that decides something."""
    match step.event:
        case Fire() | Elect() | Boot() | Initialize() | Receive(message=TimeoutNow()):
            return True
        case _:
            return type(step.before.role) is not type(step.after.role)


def departure_text(one: Departure) -> str:
    """What a rule said, and what Raft's own would have.

    >>> departure_text(Departure("may_campaign", "only_n1", False, True))
    "this run's rule may_campaign (only_n1) says: no (Raft's own: yes)"
    """
    named = f" ({shortened(one.title)})" if one.title not in (one.rule, "<lambda>") else ""
    if isinstance(one.answer, Unknown):
        return f"this run's rule {one.rule}{named} decided that, not Raft's own"
    say = _said_of_vote if one.rule in _REFUSALS else said
    return f"this run's rule {one.rule}{named} says: {say(one.answer)} (Raft's own: {say(one.own)})"


def _said_of_vote(answer: Any) -> str:
    return "yes" if answer is None else f"no, {said(answer)}"


def said(answer: Any) -> str:
    """A rule's answer in words.

    >>> said(True), said(7), said(Vote(3, 2)), said(LogId(2, 1, 4)), said(())
    ('yes', '7', 'term 3, n2', 'entry 4 of term 2', 'none')
    """
    match answer:
        case bool():
            return "yes" if answer else "no"
        case Vote(term, node):
            return f"term {term}, {server(node)}"
        case LogId():
            return entry_name(answer)
        case Membership():
            return str(answer)
        case Exception():
            return f"an error, {shortened(repr(answer))}"
        case list() | tuple():
            return _all_said(answer)
        case _:
            return shortened(str(answer))


def _all_said(answer: Sequence[Any]) -> str:
    entries = [one for one in answer if isinstance(one, Entry)]
    if entries:
        return span(entries[0].index, entries[-1].index)
    names = [f"the {one.kind} timer" if isinstance(one, Timer) else shortened(str(one)) for one in answer]
    return listed(list(dict.fromkeys(names))) or "none"
