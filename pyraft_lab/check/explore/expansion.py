"""The next worlds of many: in this process, or in the processes of an executor, with the same result.

::

    level ──▶ parts, each a task ──▶ worlds one step further, and the values that only the task knows ──▶ next level

A process keeps its :class:`StateSpace` from task to task. Worlds are integers made of fingerprints, so that all
processes speak of the same worlds. A level is sorted before it is divided: worlds with the same messages are then in
one part, and one process looks at these messages. Which process does a task is not important, and neither is their
number: the parts are put together in their order.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from itertools import count
from os import getpid
from pickle import PicklingError
from typing import Any, NamedTuple

from pyraft_lab.check.explore.numbering import Fingerprints
from pyraft_lab.check.explore.state_space import StateSpace, WorldKey
from pyraft_lab.check.explore.symmetry import Symmetry
from pyraft_lab.errors import ConfigError

PART = 2_000
"""The maximum number of worlds of a task."""
QUEUED = 16
"""The maximum number of tasks that wait at an executor."""
_numbers = count()


class Expansion(NamedTuple):
    """The worlds one step after a world; the last one violates ``broken`` if that is not empty."""

    transitions: int
    worlds: Sequence[WorldKey]
    broken: str = ""


def expand(space: StateSpace, shape: Callable[[WorldKey], WorldKey], level: Sequence[WorldKey]) -> Iterator[Expansion]:
    """The expansion of each world, until a property is violated."""
    for world in level:
        worlds = []
        for _, raw, broken in space.successors(world):
            worlds.append(shape(raw))
            if broken:
                yield Expansion(len(worlds), worlds, broken)
                return
        yield Expansion(len(worlds), worlds)


def shape_of(space: StateSpace, *, symmetric: bool) -> Callable[[WorldKey], WorldKey]:
    """What stands for a world: itself, or the least of those that differ from it by names alone."""
    return Symmetry(space).representative if symmetric else _itself


def _itself(key: WorldKey) -> WorldKey:
    return key


Values = Sequence[dict[int, Any]]
"""Servers, actions, contexts and messages on their way, by number."""


class Order(NamedTuple):
    """A search as other processes need it: the space's ingredients, and a name for it."""

    name: tuple[int, int]
    space: tuple[Any, ...]
    symmetric: bool


class ExpansionTable(NamedTuple):
    """The expansions of many worlds, end to end; ``counts`` says how many worlds each has."""

    worlds: list[WorldKey]
    counts: list[int]
    transitions: list[int]
    broken: str


class Part(NamedTuple):
    """What a task found: the expansions, new values, what Raft was asked, and the facts; None if it lacked a value."""

    expansions: ExpansionTable | None
    values: Values = ()
    turns: tuple[int, ...] = ()
    facts_seen: tuple[str, ...] = ()


class Processes:
    """Expands levels on an executor; ``space`` is this process's own, and learns what the others find."""

    def __init__(self, executor: Executor, space: StateSpace, start: Any, *, symmetric: bool) -> None:
        self.executor, self.space = executor, space
        space_of = (space.engine, space.bounds, start, space.machine)
        self.order = Order((getpid(), next(_numbers)), space_of, symmetric)
        self.newest: list[Values] = []
        self.turns: set[int] = set()
        self.facts_seen: set[str] = set()

    def expand(self, level: Sequence[WorldKey]) -> Iterator[Expansion]:
        """As :func:`expand`, with the parts of the level at the executor."""
        values, self.newest = _joined(self.newest), []
        parts = (level[at : at + PART] for at in range(0, len(level), PART))
        waiting: deque[tuple[Sequence[WorldKey], Future[Part]]] = deque()
        try:
            for part in parts:
                waiting.append((part, self._submit(part, [*values, self._bags(part)])))
                if len(waiting) >= QUEUED:
                    yield from self._take(*waiting.popleft())
            while waiting:
                yield from self._take(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()

    def _submit(self, part: Sequence[WorldKey], values: Values) -> "Future[Part]":
        return self.executor.submit(_expand_part, self.order, part, values)

    def _take(self, part: Sequence[WorldKey], future: "Future[Part]") -> Iterator[Expansion]:
        """The expansions of a part; a process that was asked for the first time may lack values."""
        try:
            done = future.result()
            if done.expansions is None:
                values = [table.values for table in _tables(self.space)[:-1]]
                done = self._submit(part, [*values, self._bags(part)]).result()
        except (PicklingError, AttributeError, TypeError) as error:
            advice = f"another process cannot import the rules ({error}); write them in a module, or leave executor out"
            raise ConfigError("executor", self.executor, advice) from error
        assert done.expansions is not None, "a task with all values lacks none"
        _learn(self.space, done.values)
        self.newest.append(done.values[:-1])
        self.turns.update(done.turns)
        self.facts_seen.update(done.facts_seen)
        yield from _expansions(done.expansions)

    def _bags(self, part: Sequence[WorldKey]) -> dict[int, Any]:
        """The messages on their way in the worlds of a part."""
        shift, values = self.space.in_flight_shift, self.space.multisets.values
        return {multiset: values[multiset] for multiset in {world >> shift for world in part}}


# In the other process

_spaces = threading.local()
"""The search that a thread of this process works for, and its space; a search at a time."""


def _expand_part(order: Order, level: Sequence[WorldKey], values: Values) -> Part:
    space, shape = _space(order)
    _learn(space, values)
    asked = len(space.outcomes)
    try:
        expansions = _flat(expand(space, shape, level))
    except KeyError:
        return Part(None)
    fresh = [table.take_fresh() for table in _tables(space)]
    turns = tuple(list(space.outcomes)[asked:])
    return Part(expansions, fresh, turns, space.facts_seen())


def _space(order: Order) -> tuple[StateSpace, Callable[[WorldKey], WorldKey]]:
    if getattr(_spaces, "name", None) != order.name:
        engine, bounds, start, machine = order.space
        space = StateSpace(engine, bounds, start, machine=machine, table=Fingerprints)
        _spaces.name = order.name
        _spaces.found = space, shape_of(space, symmetric=order.symmetric)
    found: tuple[StateSpace, Callable[[WorldKey], WorldKey]] = _spaces.found
    return found


def _flat(expansions: Iterator[Expansion]) -> ExpansionTable:
    """Expansions end to end: few objects, which the garbage collector and the way between processes have to like.

    What a part found twice need not travel twice; a violation travels always.
    """
    seen: set[WorldKey] = set()
    flat = ExpansionTable([], [], [], "")
    for transitions, worlds, broken in expansions:
        before = len(flat.worlds)
        for world in worlds:
            if world not in seen:
                seen.add(world)
                flat.worlds.append(world)
        if broken and flat.worlds[before:][-1:] != [worlds[-1]]:
            flat.worlds.append(worlds[-1])
        flat.transitions.append(transitions)
        flat.counts.append(len(flat.worlds) - before)
        flat = flat._replace(broken=broken) if broken else flat
    return flat


def _expansions(flat: ExpansionTable) -> Iterator[Expansion]:
    at, last = 0, len(flat.counts) - 1
    for place, (transitions, length) in enumerate(zip(flat.transitions, flat.counts, strict=True)):
        yield Expansion(transitions, flat.worlds[at : at + length], flat.broken if place == last else "")
        at += length


def _tables(space: StateSpace) -> tuple[Fingerprints[Any], ...]:
    tables = (space.servers, space.acts, space.contexts, space.multisets)
    assert all(isinstance(table, Fingerprints) for table in tables), "processes share fingerprints"
    return tables  # type: ignore[return-value]


def _learn(space: StateSpace, values: Values) -> None:
    """Know values that another process found."""
    for table, news in zip(_tables(space), values, strict=True):
        table.learn(news)


def _joined(found: Sequence[Values]) -> Values:
    """The servers, actions and contexts of several parts."""
    joined: Values = ({}, {}, {})
    for values in found:
        for mine, more in zip(joined, values, strict=True):
            mine.update(more)
    return joined
