"""A cluster at one moment as a picture needs it: simulated, recorded or followed live."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Leader, RaftState
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, Timer
from pyraft_lab.engine.types import NodeId
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.sim.conditions import SECOND
from pyraft_lab.sim.world import Node, World
from pyraft_lab.trace.record import EventId, Flight, MessageId

LONGEST = 48
"""The maximum number of characters of a machine's state."""


class Clock(Struct, frozen=True):
    """The shown timer: when it started, and when it fires (``None`` if this is not known yet)."""

    began: float
    ends: float | None


class ServerView(Struct, frozen=True, kw_only=True):
    """One server at that moment; ``silent``: it is no longer heard from.

    ``digest`` is equal if state machines are equal, ``holds`` is the shortened content of the machine. ``rules`` is the
    table that the server follows, as a :class:`~pyraft_lab.engine.state.Step` has it: ``None`` is Raft's own.
    """

    state: RaftState
    up: bool = True
    silent: bool = False
    paused: bool = False
    rate: float = 1.0
    clock: Clock | None = None
    digest: str = ""
    holds: str = ""
    rules: Rules | None = None


class ClusterView(Struct, frozen=True, kw_only=True):
    """Everything to draw at ``time``; ``cuts`` are the cut links, one direction each.

    ``early`` are messages that arrived before the record of their sending, as happens in live clusters.
    """

    time: float = 0.0
    servers: Mapping[NodeId, ServerView] = {}
    flying: Mapping[MessageId, Flight] = {}
    cuts: frozenset[tuple[NodeId, NodeId]] = frozenset()
    early: frozenset[MessageId] = frozenset()


def clock_of(state: RaftState) -> Timer:
    """The timer to show: a leader's heartbeat timer, and the election timer of every other server."""
    return HEARTBEAT if isinstance(state.role, Leader) else ELECTION


class Projector:
    """Makes views of simulated worlds; servers that did not change since the last view are reused.

    ``time_of`` returns the time of an event.
    """

    def __init__(self, time_of: Callable[[EventId], float]) -> None:
        self._time_of = time_of
        self._seen: dict[NodeId, tuple[Node, ServerView]] = {}
        self._machines: dict[NodeId, tuple[Sessions, str, str]] = {}

    def project(self, world: World) -> ClusterView:
        """The view of a world."""
        servers = {node.id: self._server(node, world.setting.engine.rules) for node in world.nodes.values()}
        return ClusterView(time=world.now / SECOND, servers=servers, flying=world.flights, cuts=world.cuts)

    def _server(self, node: Node, rules: Rules) -> ServerView:
        seen = self._seen.get(node.id)
        if seen is not None and seen[0] is node:
            return seen[1]
        server = self._new(node, rules)
        self._seen[node.id] = (node, server)
        return server

    def _new(self, node: Node, rules: Rules) -> ServerView:
        digest, holds = self._machine(node)
        return ServerView(
            state=node.state,
            up=node.up,
            paused=node.paused,
            rate=node.rate,
            clock=self._clock(node),
            digest=digest,
            holds=holds,
            rules=None if rules is RAFT else rules,
        )

    def _clock(self, node: Node) -> Clock | None:
        due = node.timers.get(clock_of(node.state))
        if due is None:
            return None
        began = self._time_of(due.cause) if due.cause is not None else 0.0
        return Clock(began, due.time / SECOND)

    def _machine(self, node: Node) -> tuple[str, str]:
        kept = self._machines.get(node.id)
        if kept is None or kept[0] is not node.machine:
            kept = (node.machine, node.machine.digest()[:8], machine_text(node.machine.machine))
            self._machines[node.id] = kept
        return kept[1:]


def machine_text(machine: object) -> str:
    """The content of a state machine, in a few characters.

    >>> machine_text(KeyValue({"x": 1, "y": 2}))
    'x=1 y=2'
    """
    text = " ".join(f"{key}={value}" for key, value in machine.data.items()) if isinstance(machine, KeyValue) else None
    text = repr(machine) if text is None else text
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
