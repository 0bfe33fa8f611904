"""Simulated clients: how busy they are, and what they did, as a history that can be checked."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec import Struct

from pyraft_lab.arguments import instance, integer, probability, time_range
from pyraft_lab.errors import ConfigError, OutcomeUnknown
from pyraft_lab.history import History, Operation
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.controls import Controls
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import Query, Write


class Load(Struct, frozen=True, kw_only=True):
    """So many clients, each with one call at a time on one of the ``keys``; ``rest`` in seconds between two calls.

    ``reads`` and ``cas`` are their shares of the calls; what is left are puts, of values that are never the same.
    ``lease`` is the share of the reads that trust the leader's lease, and with it the clocks.
    """

    clients: int = 4
    keys: int = 3
    think_time: tuple[float, float] = (0.01, 0.15)
    reads: float = 0.4
    cas: float = 0.2
    lease: float = 0.0

    def validated(self) -> "Load":
        """This load, or ``ConfigError`` naming field, value and rule."""
        integer("clients", self.clients)
        integer("keys", self.keys, 1)
        if time_range("think_time", self.think_time)[0] <= 0:
            raise ConfigError("think_time", self.think_time, "needs 0 < shortest <= longest")
        for share in ("reads", "cas", "lease"):
            probability(share, getattr(self, share))
        if self.reads > 1 - self.cas:
            raise ConfigError("reads", self.reads, "reads and cas are shares that together make at most 1")
        return self


class Clients:
    """Clients at work on a cluster, by turns: who waits for an answer lets its turn pass."""

    def __init__(self, cluster: Controls, load: Load) -> None:
        self.cluster, self.load = cluster, instance("load", load, Load).validated()
        self.calls: dict[int, ClientCall] = {}
        self.seen: dict[str, Any] = {}
        self._turns = 0

    def join(self, at: Callable[[float, Callable[[], object]], None]) -> None:
        """Take the first turns; ``at(seconds, act)`` has something done so long after the beginning."""
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
        """What a read returned is what the next cas expects."""
        if last is not None and last.ok and isinstance(last.call.request, Query):
            self.seen[last.call.request.query] = last.value

    def _call(self, client: int) -> ClientCall:
        kind, key, value = self._draw(), f"k{int(self._draw() * self.load.keys)}", self._turns
        if kind < self.load.reads:
            return self.cluster.read(key, policy="lease" if self._draw() < self.load.lease else "index", client=client)
        if kind < self.load.reads + self.load.cas:
            command = {"op": "cas", "key": key, "old": self.seen.get(key), "new": value}
            return self.cluster.write(command, client=client)
        return self.cluster.write({"op": "put", "key": key, "value": value}, client=client)

    def _draw(self) -> float:
        self._turns += 1
        return chance(self.cluster.world.setting.seed, Purpose.LOAD, 0, self._turns)


def history(calls: Iterable[ClientCall]) -> History:
    """Writes and reads as operations; what was refused left no trace and is left out, what is open has no return."""
    return History([_operation(call, request) for call in calls if (request := _counts(call)) is not None])


def _counts(call: ClientCall) -> Write | Query | None:
    """The wish of a call that a client's history tells of."""
    request = call.call.request
    refused = call.error is not None and not isinstance(call.error, OutcomeUnknown)
    return request if isinstance(request, (Write, Query)) and not refused else None


def _operation(call: ClientCall, request: Write | Query) -> Operation:
    asked = ("get", request.query) if isinstance(request, Query) else _asked(request.command)
    returned = call.returned if call.ok else None
    return Operation(client=call.call.client, call=call.invoked, returned=returned, input=asked, output=call.value)


def _asked(command: Any) -> Any:
    """A command of the key-value machine as the models know it, ``("put", key, value)``; any other as it is."""
    if not isinstance(command, dict) or "op" not in command:
        return command
    return tuple(command[field] for field in ("op", "key", "value", "old", "new", "by") if field in command)
