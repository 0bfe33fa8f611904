"""Symmetry: servers are alike but for their names, so of all worlds that differ by names alone one is enough.

Raft asks a server's id for nothing but identity; whatever the rules are, they must too, for a search up to names to be
exhaustive (the ordered votes of ``ADVANCED`` do not qualify). Three servers have six namings, five have 120: the
renaming of every numbered value is computed once, and the least of the renamed integers stands for all.
"""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

from msgspec import Struct
from msgspec.structs import fields, replace

from pyraft_lab.check.explore.history_variables import HistoryVariables
from pyraft_lab.check.explore.numbering import Memo
from pyraft_lab.check.explore.state_space import Context, StateSpace, WorldKey
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.timers import Timer, TimerKind
from pyraft_lab.engine.types import NO_NODE, NodeId

Names = Mapping[NodeId, NodeId]
"""A new name for every server."""
_NODES = frozenset({"id", "node", "peer", "leader", "src", "dst", "to"})
"""The fields that hold a node id, where they hold a number."""


class Symmetry:
    """Finds the world that stands for all those that differ from it by names alone."""

    def __init__(self, space: StateSpace) -> None:
        self.space = space
        self.namings = [
            {NO_NODE: NO_NODE, **dict(zip(space.nodes, named, strict=True))} for named in permutations(space.nodes)
        ]
        self.servers, self.contexts = Memo(self._server), Memo(self._context)
        self.acts, self.multisets = Memo(self._act), Memo(self._in_flight)

    def representative(self, key: WorldKey) -> WorldKey:
        """The least of all renamed worlds."""
        space = self.space
        images = [self.servers[key >> shift & space.mask] for shift in space.shifts]
        images.append(self.contexts[key >> space.context_shift & space.mask])
        images.append(self.multisets[key >> space.in_flight_shift])
        return min(map(sum, zip(*images, strict=True)))

    def _server(self, number: int) -> tuple[int, ...]:
        """A server under every naming, each already in its field of a world."""
        space, local = self.space, self.space.servers.values[number]
        images = [rename(local, names) for names in self.namings]
        return tuple(space.servers.number(image) << space.shifts[space.nodes.index(image.state.id)] for image in images)

    def _context(self, number: int) -> tuple[int, ...]:
        space, (history, budget) = self.space, self.space.contexts.values[number]
        images = (Context(rename(history, names), rename(budget, names)) for names in self.namings)
        return tuple(space.contexts.number(image) << space.context_shift for image in images)

    def _in_flight(self, number: int) -> tuple[int, ...]:
        space = self.space
        acts = [self.acts[act] for act in space.multisets.values[number]]
        images = (space.in_order(image) for image in zip(*acts, strict=True)) if acts else ((),) * len(self.namings)
        return tuple(space.multisets.number(image) << space.in_flight_shift for image in images)

    def _act(self, number: int) -> tuple[int, ...]:
        act = self.space.acts.values[number]
        return tuple(self.space.acts.number(rename(act, names)) for names in self.namings)


def rename(value: Any, names: Names) -> Any:
    """The same value with every server id replaced by the one that ``names`` gives."""
    match value:
        case Config():
            return value
        case Struct():
            return _rename_struct(value, names)
        case tuple():
            return tuple(rename(one, names) for one in value)
        case frozenset():
            return frozenset(names[one] if isinstance(one, int) else rename(one, names) for one in value)
        case dict():
            return type(value)({names[node]: address for node, address in value.items()})
        case _:
            return value


def _rename_struct(value: Struct, names: Names) -> Any:
    match value:
        case HistoryVariables(leaderships, committed, by, start):
            led = frozenset((term, names[node]) for term, node in leaderships)
            followed = tuple((term, names[node]) for term, node in by)
            over = rename(value.over, names)
            return HistoryVariables(led, rename(committed, names), followed, rename(start, names), value.reads, over)
        case Timer(TimerKind.RETRY, peer):
            return Timer(TimerKind.RETRY, names[peer])
        case Leader():
            return _rename_leader(value, names)
        case _:
            return _rename_fields(value, names)


def _rename_leader(leader: Leader, names: Names) -> Leader:
    """A leader keeps its records in the order of names."""
    renamed: Leader = _rename_fields(leader, names)
    return replace(renamed, progress=tuple(sorted(renamed.progress, key=lambda one: one.peer)))


def _rename_fields(value: Any, names: Names) -> Any:
    old = {field.name: getattr(value, field.name) for field in fields(value)}
    new = {
        name: names[one] if name in _NODES and isinstance(one, int) else rename(one, names) for name, one in old.items()
    }
    return replace(value, **new)
