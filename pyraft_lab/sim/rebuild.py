"""Rebuild the run in a capsule, and verify event by event that it is the same.

The seed and the decisions of a capsule determine the run; its proof finds the first difference, if there is one. A
difference means that the rules, the machine or the library are not the same as when the capsule was made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import fields, replace

import pyraft_lab
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.errors import CapsuleError, CapsuleMismatch, PyraftError, shown
from pyraft_lab.machine import KeyValue, StateMachine
from pyraft_lab.sim.capsule import NAMED_RULES, Capsule, Proof, TableDescription, prove, unwrap
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.properties import Checker
from pyraft_lab.trace.record import EventId, Record

if TYPE_CHECKING:
    from pyraft_lab.sim.simulation import Simulation


def rebuild(
    kind: "type[Simulation]",
    text: str,
    *,
    rules: Rules | None = None,
    machine: Callable[[], StateMachine] | None = None,
    checks: Sequence[Checker] | None = None,
) -> "Simulation":
    """The run in a capsule as a verified simulation of class ``kind``; see ``Simulation.from_capsule`` for errors."""
    capsule = unwrap(text)
    first, *turns = _tables(capsule, rules)
    sim = kind(
        capsule.voters,
        capsule.seed,
        learners=capsule.learners,
        initialize=capsule.initialize,
        rules=first,
        machine=_machine(capsule) if machine is None else machine,
        config=replace(Config(), **_as(Config, capsule.config)).validated(),
        weather=replace(Weather(), **_as(Weather, capsule.weather)).validated(),
        checks=checks,
    )
    begin = 0
    for (events, _), table in zip(capsule.turns, turns, strict=True):
        _go(sim, capsule, begin, events)
        sim, begin = sim.fork(rules=table), events
    _go(sim, capsule, begin, None)
    sim.wait(capsule.now)
    _compare(sim, capsule)
    return sim


def _machine(capsule: Capsule) -> Callable[[], StateMachine]:
    found: Callable[[], StateMachine] = _find(capsule.machine, "machine") if capsule.machine else KeyValue
    return found


def _tables(capsule: Capsule, rules: Rules | None) -> list[Rules]:
    """The rules at the start and of every turn; ``rules`` are the author's own, for every place that names them."""
    told = [capsule.rules, *(table for _, table in capsule.turns)]
    if rules is None:
        return [_find_rules(one) for one in told]
    if len(told) == 1:
        return [rules]
    own = [one for one in told if not _is_known(one)]
    if any(one != own[0] for one in own):
        raise CapsuleError(
            f"the run went from one table of its author's own to another, and only one can be passed: {own}"
        )
    return [_find_rules(one) if _is_known(one) else rules for one in told]


def _go(sim: "Simulation", capsule: Capsule, begin: EventId, end: EventId | None) -> None:
    """Redo the actions between two turns; if one is not possible, the runs differ before it."""
    try:
        for action in capsule.actions:
            if begin <= action.events and (end is None or action.events < end):
                sim.redo(action)
        while sim.world.events < (capsule.proof.events if end is None else end):
            sim.step()
    except PyraftError as error:
        _compare(sim, capsule)
        raise CapsuleMismatch(sim.world.events, f"{error}{_version_hint(capsule)}") from error


def _compare(sim: "Simulation", capsule: Capsule) -> None:
    """Raise ``CapsuleMismatch`` for the first difference in the run so far."""
    proof = capsule.proof
    mine = prove(sim.trace.records, proof.stride)
    wrong = next(
        (place for place, bit in enumerate(_bits(mine)) if bit != (proof.bits[place // 8] >> place % 8) & 1), None
    )
    if wrong is None and (sim.world.events < proof.events or mine.digest == proof.digest):
        return
    event = proof.events - 1 if wrong is None else (wrong + 1) * proof.stride - 1
    raise CapsuleMismatch(event, f"{_tell(sim.trace.record(event))}{_version_hint(capsule)}")


def _tell(record: Record) -> str:
    where = f"node {record.node}: " if record.node else ""
    return f"here it is {where}{record.kind} at {record.time:.6f} s"


def _version_hint(capsule: Capsule) -> str:
    """The probable reason for a difference: another version of the library, rules or machine."""
    if capsule.version == pyraft_lab.__version__:
        return "; the rules or the machine are not those of the capsule"
    return f"; it was made by version {capsule.version}, and this is {pyraft_lab.__version__}"


def _bits(proof: Proof) -> Iterator[int]:
    for place in range(proof.events // proof.stride):
        yield (proof.bits[place // 8] >> place % 8) & 1


# What a capsule names


def _as(kind: type[Config | Weather], told: Mapping[str, Any]) -> dict[str, Any]:
    """The fields' values with their proper types; raises ``CapsuleError`` for values that do not fit."""
    types = {field.name: field.type for field in fields(kind)}
    try:
        return {name: msgspec.convert(value, types[name]) for name, value in told.items()}
    except (KeyError, msgspec.MsgspecError) as error:
        raise CapsuleError(f"its {kind.__name__.lower()} makes no sense: {error}") from error


def _find_rules(told: TableDescription) -> Rules:
    if isinstance(told, dict):
        known = {field.name for field in fields(Rules)}
        return replace(RAFT, **{name: _find(rule, "rules") for name, rule in told.items() if name in known})
    if told not in NAMED_RULES:
        raise CapsuleError(f"there are no rules {shown(told)}; known are {', '.join(NAMED_RULES)}")
    return NAMED_RULES[told]


def _is_known(told: TableDescription) -> bool:
    """Whether these rules are part of the library."""
    try:
        _find_rules(told)
    except CapsuleError:
        return False
    return True


def _find(name: str, what: str) -> Any:
    """An object of this library by its name; raises ``CapsuleError`` for others, which are never imported."""
    module, _, attribute = name.partition(":")
    if module.split(".")[0] == "pyraft_lab" and attribute.isidentifier():
        found = getattr(import_module(module), attribute, None)
        if getattr(found, "__module__", None) == module:
            return found
    raise CapsuleError(f"the run used {what} of its author's own, {name}; pass them as {what}=…")
