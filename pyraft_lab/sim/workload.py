"""A workload of simulated clients, and its history for a linearizability check."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec import Struct

from pyraft_lab.arguments import instance, integer, probability, time_range
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, OutcomeUnknown
from pyraft_lab.history import History, Operation
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.controls import Controls
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import Query, Write

MAX_CLIENTS = 10_000
"""The maximum number of clients of a load."""
MIN_THINK_TIME = 1e-6
"""The shortest time in seconds between two calls of a client: the resolution of virtual time."""


class Load(Struct, frozen=True, kw_only=True):
    """A number of clients, each with one call at a time on one of ``keys`` keys.

    ``think_time`` is (shortest, longest) in seconds between two calls. ``reads`` and ``cas`` are shares of the calls;
    the rest are puts of distinct values. ``lease`` is the share of the reads that use the leader's lease, which relies
    on the clocks. ``any_node`` is the share of the calls that ask one node, any of them, once, so that a deposed leader
    is asked too. All other calls are retried in their client's session until they are answered.
    """

    clients: int = 4
    keys: int = 3
    think_time: tuple[float, float] = (0.01, 0.15)
    reads: float = 0.4
    cas: float = 0.2
    lease: float = 0.5
    any_node: float = 0.5

    def validated(self) -> "Load":
        """This load if it is valid; else raise ``ConfigError``, which names field, value and rule."""
        integer("clients", self.clients, 0, MAX_CLIENTS)
        integer("keys", self.keys, 1)
        if time_range("think_time", self.think_time)[0] < MIN_THINK_TIME:
            raise ConfigError(
                "think_time", self.think_time, f"the shortest must be at least {MIN_THINK_TIME:.6f} seconds"
            )
        for share in ("reads", "cas", "lease", "any_node"):
            probability(share, getattr(self, share))
        if self.reads > 1 - self.cas:
            raise ConfigError("reads", self.reads, "reads and cas are shares that together make at most 1")
        return self


class Clients:
    """Clients that call in turn; a client that waits for an answer skips its turn."""

    def __init__(self, cluster: Controls, load: Load) -> None:
        self.cluster, self.load = cluster, instance("load", load, Load).validated()
        self.calls: dict[int, ClientCall] = {}
        self.seen: dict[str, Any] = {}
        self._turns = 0

    def join(self, at: Callable[[float, Callable[[], object]], None]) -> None:
        """Schedule the first turns; ``at(seconds, act)`` calls ``act`` that long after the start."""
        for client in range(1, self.load.clients + 1):
            self._next_turn(client, 0.0, at)

    def _next_turn(self, client: int, now: float, at: Callable[[float, Callable[[], object]], None]) -> None:
        shortest, longest = self.load.think_time
        then = now + shortest + (longest - shortest) * self._draw()
        at(then, partial(self._turn, client, then, at))

    def _turn(self, client: int, now: float, at: Callable[[float, Callable[[], object]], None]) -> None:
        last = self.calls.get(client)
        if last is None or last.done:
            self._learn(last)
            self.calls[client] = self._call(client)
        self._next_turn(client, now, at)

    def _learn(self, last: ClientCall | None) -> None:
        """Remember the value of a read: the next cas expects it."""
        if last is not None and last.ok and isinstance(last.call.request, Query):
            self.seen[last.call.request.query] = last.value

    def _call(self, client: int) -> ClientCall:
        kind, key, value = self._draw(), f"k{int(self._draw() * self.load.keys)}", self._turns
        to = self._any_node()
        if kind < self.load.reads:
            policy: ReadPolicy = "lease" if self._draw() < self.load.lease else "index"
            return self.cluster.read(key, to, policy=policy, client=client)
        if kind < self.load.reads + self.load.cas:
            command = {"op": "cas", "key": key, "old": self.seen.get(key), "new": value}
            return self.cluster.write(command, to, client=client)
        return self.cluster.write({"op": "put", "key": key, "value": value}, to, client=client)

    def _any_node(self) -> NodeId | None:
        """A node for a call that does not look for the leader; ``None`` for one that does."""
        nodes = tuple(self.cluster.nodes)
        return nodes[int(self._draw() * len(nodes))] if self._draw() < self.load.any_node else None

    def _draw(self) -> float:
        self._turns += 1
        return chance(self.cluster.world.setting.seed, Purpose.LOAD, 0, self._turns)


def history(calls: Iterable[ClientCall]) -> History:
    """A history of the writes and reads; refused calls are left out, open calls have no return."""
    return History([_operation(call, request) for call in calls if (request := _counts(call)) is not None])


def _counts(call: ClientCall) -> Write | Query | None:
    """The request of a call if it belongs into a history, else ``None``."""
    request = call.call.request
    refused = call.error is not None and not isinstance(call.error, OutcomeUnknown)
    return request if isinstance(request, (Write, Query)) and not refused else None


def _operation(call: ClientCall, request: Write | Query) -> Operation:
    asked = ("get", request.query) if isinstance(request, Query) else _asked(request.command)
    returned = call.returned if call.ok else None
    return Operation(client=call.call.client, call=call.invoked, returned=returned, input=asked, output=call.value)


def _asked(command: Any) -> Any:
    """A key-value command in the form of the sequential specs, ``("put", key, value)``; others unchanged."""
    if not isinstance(command, dict) or "op" not in command:
        return command
    return tuple(command[field] for field in ("op", "key", "value", "old", "new", "by") if field in command)
