"""Which rules decided a step, and what each answered: take the step again and record every call of a rule.

Explanations of a step come from here and are never decided a second time: a run may follow rules that differ from the
paper's, and then the paper's reasons are not the reasons of the run::

    step.rules   vote_refusal ──▶ "the candidate's log is behind"     what this run's rule answered
    RAFT         vote_refusal ──▶ None                                what Raft's own answers to the same question
                                                                     they differ: a departure
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from inspect import unwrap
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from pyraft_lab.engine.engine import step as take
from pyraft_lab.engine.events import Boot, Fire, SnapshotBuilt, Stored
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules
from pyraft_lab.engine.state import Step

Function = Callable[..., Any]
T = TypeVar("T")
RULE_NAMES: tuple[str, ...] = Rules.__struct_fields__
"""The names of the rules in the table ``Rules``."""
_OWN: Mapping[str, tuple[Function, Function]] = {
    name: (getattr(RAFT, name), getattr(ADVANCED, name)) for name in RULE_NAMES
}
_REFUSALS = tuple(getattr(table, f"{early}vote_refusal") for table in (RAFT, ADVANCED) for early in ("", "pre_"))
_NOT_HANDED_OVER = Boot | Fire | SnapshotBuilt | Stored
"""Events before which a driver does not ask which overdue timers fire first."""
KEPT = 1024
"""How many steps' departures are cached: labels, sentences and frames ask about the same few steps repeatedly."""


class Unknown(Struct, frozen=True):
    """An unknown answer: the rule is known by name only, or gives another answer when it is asked again."""

    def __bool__(self) -> bool:
        return False


UNKNOWN = Unknown()


class Consulted(NamedTuple):
    """One call of a rule in a step: its name, arguments, answer (the exception if it raised), and the function."""

    rule: str
    arguments: tuple[Any, ...]
    answer: Any
    function: Function


class Departure(Struct, frozen=True):
    """A rule of this run gave another answer than Raft's own would have; ``title`` is its function's name."""

    rule: str
    title: str
    answer: Any
    own: Any


class NamedRule(Struct, frozen=True):
    """A rule known by its name only, from a file or another process; a call gives the answer of Raft's own rule."""

    rule: str
    title: str

    def __call__(self, *arguments: Any) -> Any:
        """The answer of Raft's own rule to the same arguments."""
        return _OWN[self.rule][0](*arguments)


def rules_of(step: Step) -> Rules:
    """The table of rules under which a step was taken; ``RAFT`` where the step names none."""
    return RAFT if step.rules is None else step.rules


def names_of(rules: Rules | None) -> Mapping[str, str]:
    """A table for a file: rule name -> function name, for every rule that differs from ``RAFT``."""
    if rules is None:
        return {}
    return {name: title_of(one) for name, one in asdict(rules).items() if unwrap(one) is not _OWN[name][0]}


def named_rules(names: Mapping[str, str]) -> Rules | None:
    """The inverse of :func:`names_of`: Raft's own functions where a name is theirs, else a :class:`NamedRule`.

    Unknown rule names are ignored; ``None``, which means ``RAFT``, if no other rule remains.
    """
    known = {name: _named(name, title) for name, title in names.items() if name in _OWN}
    found = replace(RAFT, **known)
    return ADVANCED if found == ADVANCED else found if known else None


def _named(name: str, title: str) -> Function:
    own = next((one for one in _OWN[name] if one.__name__ == title), None)
    return NamedRule(name, title) if own is None else own


def consult(step: Step) -> tuple[Consulted, ...]:
    """Every call of a rule in a step, in order; a rule that was asked twice appears twice."""
    return _consulted(step, RULE_NAMES)[0]


def listen(step: Step, rules: Rules) -> tuple[tuple[Consulted, ...], Step]:
    """Take a step again under ``rules``: every call of a rule, and the step that results.

    Raises what a rule raises.
    """
    heard: list[Consulted] = []
    again = take(step.before, step.event, _listening(rules, RULE_NAMES, heard))
    return tuple(heard), again


def departures(step: Step) -> tuple[Departure, ...]:
    """The rules of this run that gave another answer than Raft's own, each once; empty if all rules are Raft's.

    Only answers that changed the step count: most rules are asked in every step, and mostly without effect.
    """
    return () if step.rules is None else _departures(ByIdentity(step))


def answer_of(step: Step, rule: Function) -> Any:
    """The first answer of a step's rule; ``rule`` is Raft's own function. ``UNKNOWN`` if the step did not ask it."""
    name = rule.__name__
    return next((one.answer for one in consult(step) if one.rule == name), UNKNOWN)


def ask(step: Step, rule: Function, *arguments: Any) -> Any:
    """The answer of the run's rule to a question that the step did not ask; ``UNKNOWN`` if the rule raises."""
    answer = _answer(getattr(rules_of(step), rule.__name__), arguments)
    return UNKNOWN if isinstance(answer, Exception) else answer


def title_of(function: Function) -> str:
    """A function's name, as stories and labels show it."""
    whole = unwrap(function)
    return whole.title if isinstance(whole, NamedRule) else str(getattr(whole, "__name__", type(whole).__name__))


def is_own(rules: Rules, rule: Function) -> bool:
    """Whether a table still has Raft's own function under the name of ``rule``, and no answer given by hand."""
    name = rule.__name__
    return unwrap(getattr(rules, name)) is getattr(_compared(ByIdentity(rules)).own, name)


# Taking a step again


def _consulted(step: Step, names: Iterable[str]) -> tuple[tuple[Consulted, ...], bool]:
    """The calls of these rules, and whether the step came out as before (not if a rule is unknown or impure)."""
    rules, heard = rules_of(step), list[Consulted]()
    if step.overdue and not isinstance(step.event, _NOT_HANDED_OVER):
        _ask("fires_first", rules.fires_first, (step.event, step.overdue), heard)
    try:
        again = take(step.before, step.event, _listening(rules, names, heard))
    except Exception:  # noqa: BLE001 (a learner's rule may raise anything, and an explanation never does)
        return tuple(heard), False
    return tuple(heard), again.commands == step.commands


def _listening(rules: Rules, names: Iterable[str], heard: list[Consulted]) -> Rules:
    """The same table, with each of these rules recording its calls in ``heard``."""

    def ear(name: str, function: Function) -> Function:
        def ask(*arguments: Any) -> Any:
            answer = _ask(name, function, arguments, heard)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask

    return replace(rules, **{name: ear(name, getattr(rules, name)) for name in names})


def _ask(name: str, function: Function, arguments: tuple[Any, ...], heard: list[Consulted]) -> Any:
    answer = _answer(function, arguments)
    heard.append(Consulted(name, arguments, answer, function))
    return answer


def _answer(function: Function, arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 (what it raised is what it said)
        return error


# Comparing with Raft's own


class ByIdentity(Generic[T]):
    """A step or table as a cache key, compared by identity: comparing whole states costs more than a new step."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and other.value is self.value


class Compared(Struct, frozen=True):
    """A table and the one of Raft's own that it is a variant of; ``others`` names the rules that differ."""

    own: Rules
    others: tuple[str, ...]


@lru_cache(maxsize=64)
def _compared(table: ByIdentity[Rules]) -> Compared:
    """Compare with the nearer of ``RAFT`` and ``ADVANCED``: the one that shares more of the rules they differ in."""
    rules = {name: unwrap(rule) for name, rule in asdict(table.value).items()}
    differ = [name for name, (raft, advanced) in _OWN.items() if raft is not advanced]
    leaning = sum((rules[name] is _OWN[name][1]) - (rules[name] is _OWN[name][0]) for name in differ)
    own = ADVANCED if leaning > 0 else RAFT
    return Compared(own, tuple(name for name in rules if getattr(table.value, name) is not getattr(own, name)))


@lru_cache(maxsize=KEPT)
def _departures(same: ByIdentity[Step]) -> tuple[Departure, ...]:
    """The departures of a step, found by taking it again.

    The repeated step may differ: a rule used chance, or is known by its name only. Then the rules that are not Raft's
    own are listed with an unknown answer, since any of them may have decided.
    """
    step = same.value
    table = _compared(ByIdentity(rules_of(step)))
    heard, is_faithful = _consulted(step, table.others) if table.others else ((), True)
    found = {one.rule: one for one in reversed(list(_departed(heard, table.own)))}
    told = [one for one in reversed(found.values()) if _matters(step, one.rule, getattr(table.own, one.rule))]
    if is_faithful:
        return tuple(told)
    strange = [one for one in heard if unwrap(one.function) is not getattr(table.own, one.rule)]
    silent = [one for one in strange if isinstance(one.function, NamedRule)] or strange
    unheard = {one.rule: Departure(one.rule, title_of(one.function), UNKNOWN, UNKNOWN) for one in silent}
    return (*told, *(one for one in unheard.values() if one.rule not in found))


def _departed(heard: Iterable[Consulted], own: Rules) -> Iterator[Departure]:
    for one in heard:
        expected = _answer(getattr(own, one.rule), one.arguments)
        if not _is_same(one.answer, expected):
            yield Departure(one.rule, title_of(one.function), one.answer, expected)


def _matters(step: Step, name: str, own: Function) -> bool:
    """Whether Raft's own rule would change the step; the reason for a refused vote always matters."""
    if own in _REFUSALS or name == "fires_first":
        return True
    try:
        other = take(step.before, step.event, replace(rules_of(step), **{name: own}))
    except Exception:  # noqa: BLE001 (a log that another rule has broken may be beyond Raft's own)
        return True
    return other.commands != step.commands or other.after != step.after


def _is_same(answer: Any, own: Any) -> bool:
    """Whether two answers are equivalent: compare booleans by truth, sequences by content."""
    match own:
        case bool():
            return bool(answer) is own
        case Exception():
            return type(answer) is type(own)
        case tuple() | list() if isinstance(answer, tuple | list):
            return tuple(answer) == tuple(own)
        case _:
            return bool(answer == own)
