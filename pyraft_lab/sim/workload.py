"""A workload of simulated clients, and its history for a linearizability check."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec import Struct

from pyraft_lab.arguments import instance, integer, probability, time_range
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, OutcomeUnknown
from pyraft_lab.history import History, Operation
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.controls import Controls
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import Call, Query, Write

MAX_CLIENTS = 10_000
"""The maximum number of clients of a load."""
MIN_THINK_TIME = 1e-6
"""The shortest time in seconds between two calls of a client: the resolution of virtual time."""


CALLS = ("reads", "cas", "appends", "deletes", "incrs")
"""The shares of a load that say what is called, in this order; puts are the rest."""
EMPTY_EVERY = 9
"""One text of this many is empty: what counts as false in Python is a value like any other."""


class Load(Struct, frozen=True, kw_only=True):
    """A number of clients, each with one call at a time on one of ``keys`` keys.

    ``think_time`` is (shortest, longest) in seconds between two calls. ``reads``, ``cas``, ``appends``, ``deletes`` and
    ``incrs`` are shares of the calls; the rest are puts of distinct values. ``lease`` is the share of the reads that
    use the leader's lease, which relies on the clocks. ``any_node`` is the share of the calls that ask one node, any of
    them, once, so that a deposed leader is asked too. All other calls are retried in their client's session until they
    are answered. With appends all values are texts, some of them empty; numbers to increment have keys of their own.
    """

    clients: int = 4
    keys: int = 3
    think_time: tuple[float, float] = (0.01, 0.15)
    reads: float = 0.4
    cas: float = 0.2
    lease: float = 0.5
    any_node: float = 0.5
    appends: float = 0.0
    deletes: float = 0.0
    incrs: float = 0.0

    def validated(self) -> "Load":
        """This load if it is valid; else raise ``ConfigError``, which names field, value and rule."""
        integer("clients", self.clients, 0, MAX_CLIENTS)
        integer("keys", self.keys, 1)
        if time_range("think_time", self.think_time)[0] < MIN_THINK_TIME:
            raise ConfigError(
                "think_time", self.think_time, f"the shortest must be at least {MIN_THINK_TIME:.6f} seconds"
            )
        for share in (*CALLS, "lease", "any_node"):
            probability(share, getattr(self, share))
        if sum(getattr(self, share) for share in CALLS) > 1 + 1e-9:
            raise ConfigError("reads", self.reads, f"{', '.join(CALLS)} are shares that together make at most 1")
        return self


class RequestMaker:
    """What the clients of a load ask, one request after the other; ``draw`` gives a number from 0 to 1.

    Simulated and live clients ask the same.
    """

    def __init__(self, load: Load, draw: Callable[[], float]) -> None:
        self.load, self.draw = instance("load", load, Load).validated(), draw
        self.seen: dict[str, Any] = {}

    def learn(self, request: object, value: Any) -> None:
        """Remember the value of a read: the next cas expects it."""
        if isinstance(request, Query):
            self.seen[request.query] = value

    def choose(self) -> tuple[str, int]:
        """What is called, by the shares of the load, ``"puts"`` being the rest; and the number of a key."""
        luck, place = self.draw(), int(self.draw() * self.load.keys)
        for name in CALLS:
            luck -= getattr(self.load, name)
            if luck < 0:
                return name, place
        return "puts", place

    def request(self, what: str, place: int, number: int) -> Write | Query:
        """The request of such a call; ``number`` is one that no other call of this load has."""
        if what == "reads":
            return Query(self._key_to_read(place), "lease" if self.draw() < self.load.lease else "index")
        key, value = f"k{place}", self._value(number)
        match what:
            case "cas":
                return Write({"op": "cas", "key": key, "old": self.seen.get(key), "new": value})
            case "appends":
                return Write({"op": "append", "key": key, "value": value})
            case "deletes":
                return Write({"op": "delete", "key": key})
            case "incrs":
                return Write({"op": "incr", "key": f"n{place}", "by": 1})
            case _:
                return Write({"op": "put", "key": key, "value": value})

    def _key_to_read(self, place: int) -> str:
        return f"n{place}" if self.load.incrs and self.draw() < self.load.incrs else f"k{place}"

    def _value(self, number: int) -> int | str:
        """A number; with appends a text, and now and then an empty one."""
        if not self.load.appends:
            return number
        return f"{number} " if number % EMPTY_EVERY else ""


class Clients:
    """Clients that call in turn; a client that waits for an answer skips its turn."""

    def __init__(self, cluster: Controls, load: Load) -> None:
        self.cluster, self.load = cluster, load
        self.requests = RequestMaker(load, self._draw)
        self.calls: dict[int, ClientCall] = {}
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
            if last is not None and last.ok:
                self.requests.learn(last.call.request, last.value)
            self.calls[client] = self._call(client)
        self._next_turn(client, now, at)

    def _call(self, client: int) -> ClientCall:
        what, place = self.requests.choose()
        number, to = self._turns, self._any_node()
        return self.cluster.call(Call(client=client, request=self.requests.request(what, place, number), to=to))

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
    returned = call.returned if call.ok else None
    return Operation(
        client=call.call.client, call=call.invoked, returned=returned, input=input_of(request), output=call.value
    )


def input_of(request: Write | Query) -> Any:
    """A request in the form of the sequential specs, ``("put", key, value)``; commands of other machines unchanged."""
    if isinstance(request, Query):
        return ("get", request.query)
    command = request.command
    if not isinstance(command, dict) or "op" not in command:
        return command
    return tuple(command[field] for field in ("op", "key", "value", "old", "new", "by") if field in command)
