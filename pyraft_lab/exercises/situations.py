"""Situations of a rule: what runs asked it, and what Raft answered; a learner's rule is asked the same."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from inspect import signature
from itertools import product
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.rules import RAFT, VoteRefusal
from pyraft_lab.engine.state import Disk, Leader, RaftState
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.drills import CROSSED, drill, handmade
from pyraft_lab.exercises.questions import log_row
from pyraft_lab.exercises.rule_answers import ANSWERS
from pyraft_lab.exercises.sheet import state_sheet

USUAL = ("writes-again", "changes-at-once", "forgets-applied", "reads-early", "trusts-transfers", "resumes-unflushed")
"""Mutants whose scenarios, run under Raft's own rules, ask every rule of the table."""
MOST = 400
"""Situations that are kept of each rule, evenly over its answers."""


class Situation(Struct, frozen=True):
    """The arguments of one call of a rule, and Raft's answer."""

    arguments: tuple[Any, ...]
    answer: Any


class Difference(Struct, frozen=True):
    """A situation in which a learner's rule answered otherwise."""

    situation: Situation
    answer: Any


MOST_HEARD = 2_000
"""Situations of a rule after which a run listens no more."""
SAMPLE = 12
"""Different values of an argument that are put together with those of others."""


def scenarios(rule: str) -> tuple[str, ...]:
    """The mutants of a rule: their scenarios show what it is for."""
    return tuple(name for name, one in MUTANTS.items() if rule in one.rules)


@lru_cache(maxsize=64)
def situations(rule: str) -> tuple[Situation, ...]:
    """The different situations in which runs of Raft ask a rule, few of each answer first."""
    heard = dict(usual()[rule])
    ear = _ear(getattr(RAFT, rule), heard)
    for name in scenarios(rule)[:4]:
        replace(MUTANTS[name], rules={rule: ear}, config={}).attempt(MUTANTS[name].seed)
    for arguments in (*handmade(rule), *(_crossed([*heard.values()]) if rule in CROSSED else ())):
        with suppress(AssertionError, LookupError, PyraftError):  # not all that can be put together makes sense
            ear(*arguments)
    return tuple(_evenly(list(heard.values()), ANSWERS[rule].counts))


@lru_cache(maxsize=1)
def usual() -> Mapping[str, Mapping[Any, Situation]]:
    """What a few runs ask every rule of the table."""
    heard: dict[str, dict[Any, Situation]] = {rule: {} for rule in ANSWERS}
    ears = {rule: _ear(getattr(RAFT, rule), heard[rule]) for rule in ANSWERS}
    for name in USUAL:
        replace(MUTANTS[name], rules=ears, config={}).attempt(MUTANTS[name].seed)
    drill(replace(RAFT, **ears))
    return heard


def _ear(own: Callable[..., Any], heard: dict[Any, Situation]) -> Callable[..., Any]:
    """Raft's own rule, which remembers what it was asked."""

    def ask(*arguments: Any) -> Any:
        answer = own(*arguments)
        if len(heard) < MOST_HEARD:
            key = _key(arguments)
            if key not in heard:
                heard[key] = Situation(arguments, answer)
        return answer

    return ask


def _crossed(found: Sequence[Situation]) -> Iterator[tuple[Any, ...]]:
    """The arguments of different situations put together."""
    columns = zip(*(one.arguments for one in found), strict=True)
    return product(*(list({_key((one,)): one for one in column}.values())[:SAMPLE] for column in columns))


def _key(arguments: tuple[Any, ...]) -> Any:
    try:
        hash(arguments)
    except TypeError:
        return repr(arguments)
    return arguments


def _evenly(found: Sequence[Situation], counts: Callable[[Any], Any]) -> Iterator[Situation]:
    """The situations, those with rare answers first, so that none of these is lost."""
    groups: dict[Any, list[Situation]] = {}
    for one in found:
        groups.setdefault(repr(counts(one.answer)), []).append(one)
    left = MOST
    for place, group in enumerate(sorted(groups.values(), key=len)):
        share = max(1, left // (len(groups) - place))
        yield from group[:share]
        left -= min(share, len(group))


def differences(rule: str, function: Callable[..., Any]) -> list[Difference]:
    """Where a function answers otherwise than Raft's own rule, the plainest first; raises what the function raises."""
    same = ANSWERS[rule].same
    asked = ((one, function(*one.arguments)) for one in situations(rule))
    found = [Difference(one, answer) for one, answer in asked if not same(answer, one.answer)]
    return sorted(found[:50], key=lambda one: len(in_words(rule, one.situation.arguments)))


def in_words(rule: str, arguments: tuple[Any, ...]) -> str:
    """The arguments of a rule by name, as a learner reads them."""
    names = signature(getattr(RAFT, rule)).parameters
    return "\n".join(f"{name.lstrip('_')}: {value_in_words(one)}" for name, one in zip(names, arguments, strict=True))


def value_in_words(value: Any) -> str:
    """An argument or an answer of a rule, as a learner reads it.

    >>> value_in_words(LogId(term=1, node=2, index=3)), value_in_words(Vote(term=4, node=1))
    ('entry 3 of term 1 (leader n2)', 'term 4, n1 (not elected)')
    """
    match value:
        case VoteRefusal() | LogId() | Vote() | Entry():
            return _name(value)
        case RaftState():
            return _state(value)
        case Leader():
            peers = ", ".join(f"n{one.peer} answered {one.last_ack_round}" for one in value.progress)
            lease = f"acked_round {value.acked_round}, expired_round {value.expired_round}"
            return f"noop {value.noop}, round {value.round} ({peers}), {lease}"
        case Log():
            return log_row(RaftState(id=1, disk=Disk(log=value)))
        case Struct() if not isinstance(value, Membership):
            parts = ", ".join(f"{field}: {value_in_words(getattr(value, field))}" for field in value.__struct_fields__)
            return f"{type(value).__name__}({parts})"
        case frozenset() | tuple() | list():
            return _several(value)
        case _:
            return str(value)


def _name(value: VoteRefusal | LogId | Vote | Entry) -> str:
    match value:
        case VoteRefusal():
            return f"VoteRefusal.{value.name}"
        case LogId():
            return f"entry {value.index} of term {value.term}{f' (leader n{value.node})' if value.node else ''}"
        case Vote(node=0):
            return f"term {value.term}, nobody"
        case Vote():
            return f"term {value.term}, n{value.node} ({'elected' if value.committed else 'not elected'})"
        case Entry():
            return f"{_name(value.id)}: {value.payload}"


def _several(values: frozenset[int] | Sequence[Any]) -> str:
    if isinstance(values, frozenset):
        return f"{{{', '.join(map(str, sorted(values)))}}}"
    return ", ".join(map(value_in_words, values)) or "nothing"


def _state(state: RaftState) -> str:
    """A server's state; with what of it is on the disk, and where its snapshot ends."""
    snapshot = f", snapshot up to {state.snapshot_last.index}" if state.disk.snapshot else ""
    lines = [
        state_sheet(state),
        f"  on disk     vote: {value_in_words(state.stored_vote)}; log up to {state.stored.index}{snapshot}",
    ]
    rounds = [f"  rounds      {value_in_words(state.role)}"] if isinstance(state.role, Leader) else []
    return "\n".join([*lines, *rounds])
