"""The explanation of one event: its sentence, the rule that decided it, and the lines of that rule that ran."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import getsourcelines
from types import CodeType, FrameType
from typing import Any

from msgspec.structs import replace

from pyraft_lab.engine.consult import rules_of
from pyraft_lab.engine.engine import Engine, raft, with_overdue
from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal
from pyraft_lab.engine.state import Step
from pyraft_lab.lab.scene import flight, voters
from pyraft_lab.lab.wire import BookEntry, RuleSource, SceneEvent
from pyraft_lab.trace.annotate.rule import Rule
from pyraft_lab.trace.annotate.table import rule
from pyraft_lab.trace.record import Flight, MessageId, Record
from pyraft_lab.trace.story import is_routine, sentence
from pyraft_lab.trace.text import command_text

Flights = Mapping[MessageId, Flight]


def explain_event(record: Record, flights: Flights, engine: Engine) -> SceneEvent:
    """One event with time, server and explanation; ``ran`` are the lines of its rule that ran."""
    event = SceneEvent(
        id=record.id,
        time=record.time,
        kind=str(record.kind),
        node=record.node,
        peer=record.peer,
        cause=record.cause,
        message=record.message,
        text=sentence(record, flights).partition(" ")[2],
        routine=is_routine(record, flights),
        sent=tuple(flight(one) for one in record.sent),
    )
    if record.step is None:
        return event
    decided = rule(record.step)
    return replace(event, rule=decided.label, ran=tuple(lines_that_ran(engine, record.step, decider(engine, decided))))


def ruling(engine: Engine, records: Sequence[Record]) -> Engine:
    """The engine of these records; a trace from elsewhere names its rules."""
    step = next((record.step for record in reversed(records) if record.step is not None), None)
    if step is None or type(engine) is not Engine or rules_of(step) == engine.rules:
        return engine
    return raft(rules_of(step))


def decider(engine: Engine, decided: Rule) -> Callable[..., Any]:
    """The function that decided: the engine's own function if its table differs from the paper's rules."""
    own = {name: getattr(engine.rules, name) for name in engine.rules.__struct_fields__}
    return own.get(decided.decider.__name__, decided.decider) if _is_in_table(decided) else decided.decider


def _is_in_table(decided: Rule) -> bool:
    return decided.decider.__module__.endswith(".rules")


def source(engine: Engine, decided: Rule) -> RuleSource:
    """The source lines of the deciding function."""
    lines, first = lines_of(decider(engine, decided))
    return RuleSource(
        label=decided.label,
        section=decided.section,
        meaning=decided.meaning,
        where=decided.decided_by,
        first=first,
        lines=tuple(lines),
    )


@lru_cache(maxsize=256)
def lines_of(function: Callable[..., Any]) -> tuple[list[str], int]:
    """The source of a function, and the number of its first line; cached, because the search is slow."""
    try:
        lines, first = getsourcelines(function)
    except (OSError, TypeError):
        return ["the source of this rule is not available"], 0
    return [line.rstrip() for line in lines], first


def lines_that_ran(engine: Engine, step: Step, deciding: Callable[..., Any]) -> list[int]:
    """The numbers of the lines that run if the step is repeated, which is possible because Raft is pure.

    Empty if the repeated step has another result, as with other rules.
    """
    code = getattr(deciding, "__code__", None)
    if not isinstance(code, CodeType):
        return []
    ran: set[int] = set()
    return sorted(ran) if _watched(engine, step, code, ran) == step else []


def _watched(engine: Engine, step: Step, code: CodeType, ran: set[int]) -> Step:
    def on_line(frame: FrameType, what: str, _: object) -> Any:
        if what == "line":
            ran.add(frame.f_lineno)
        return on_line

    def on_call(frame: FrameType, _what: str, _argument: object) -> Any:
        return on_line if frame.f_code is code else None

    debugger = sys.gettrace()
    sys.settrace(on_call)
    try:
        return with_overdue(engine.step(step.before, step.event), step.overdue)
    finally:
        sys.settrace(debugger)


# Entries


def written(entry: Entry) -> tuple[str, BookEntry]:
    """The content of an entry, by its name in the book."""
    name = f"{entry.id.index}.{entry.id.term}.{entry.id.node}"
    match entry.payload:
        case Noop():
            return name, BookEntry("no-op", "noop", None)
        case Normal(data):
            return name, BookEntry(command_text(data), "write", None)
        case Configuration(membership):
            return name, BookEntry("joint" if membership.is_joint else "voters", "members", voters(membership))
