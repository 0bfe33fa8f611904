"""A simulated cluster: virtual time, one seed, weather and faults; what a learner drives.

>>> sim = Simulation(nodes=3, seed=7)
>>> leader = sim.run_until(lambda s: s.leader)
>>> call = sim.write({"op": "put", "key": "x", "value": 1})
>>> sim.run(0.5)
>>> call.ok, sim.nodes[leader].machine.query("x")
(True, 1)
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.log import Configuration, Entry, Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import LogId, NodeId
from pyraft_lab.errors import ConfigError, PyraftError, Timeout, at_least
from pyraft_lab.machine import KeyValue, StateMachine
from pyraft_lab.sim.act import act, new_node
from pyraft_lab.sim.checks import Checker, Violation, default_checks
from pyraft_lab.sim.controls import Controls
from pyraft_lab.sim.scene import Ended
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.weather import SECOND, Micros, Weather
from pyraft_lab.sim.world import Action, Call, Decision, Due, Invoke, Pending, Setting, Start, World, actions, waits
from pyraft_lab.trace.recorder import EventId, Flight, Record, Trace

if TYPE_CHECKING:
    from pyraft_lab.history import History

T = TypeVar("T")
STRIDE = 64
"""Every so many events the world is kept, so that a fork into the past replays no more than that."""


class Past(NamedTuple):
    """What was done when; together with a kept world it leads to any later one."""

    now: Micros
    action: Action
    decided: bool


class Began(NamedTuple):
    """The cluster at the very beginning."""

    voters: tuple[NodeId, ...]
    learners: tuple[NodeId, ...]
    initialize: bool


class Simulation(Controls):
    """A cluster of servers in virtual time; the same seed and the same decisions give the same run, event by event.

    ``nodes`` is how many vote, or their ids; ``learners`` how many (or which) more only listen. With ``initialize``
    every disk holds the first membership when the servers start; without it they are pristine and wait for
    :meth:`initialize`. ``rules`` (or a whole ``engine``) is the Raft they follow, ``machine`` makes their state
    machines. ``record`` keeps a trace (a number: only so many newest events), ``checks`` watch for broken invariants.
    """

    def __init__(
        self,
        nodes: int | Iterable[NodeId] = 5,
        seed: int = 7,
        *,
        config: Config | None = None,
        rules: Rules | None = None,
        engine: Engine | None = None,
        machine: Callable[[], StateMachine] = KeyValue,
        weather: Weather | None = None,
        learners: int | Iterable[NodeId] = 0,
        initialize: bool = True,
        record: bool | int = True,
        checks: Sequence[Checker] | None = None,
    ) -> None:
        voters = node_ids("nodes", nodes, after=0, least=1)
        listeners = node_ids("learners", learners, after=max(voters), least=0)
        if set(listeners) & set(voters):
            raise ConfigError("learners", listeners, f"a server votes or listens, not both; voters are {voters}")
        if not isinstance(seed, int):
            raise ConfigError("seed", seed, "must be a whole number")
        if rules is not None and engine is not None:
            raise ConfigError("rules", rules, "give rules or an engine that has them, not both")
        self._setting = Setting(
            seed=seed,
            engine=engine or raft(rules or RAFT),
            config=(config or Config()).validated(),
            machine=machine,
        )
        members = Membership.of(voters, learners=listeners) if initialize else None
        self._world = World(
            setting=self._setting,
            weather=(weather or Weather()).validated(),
            nodes={node: new_node(self._setting, node, first_disk(members)) for node in sorted({*voters, *listeners})},
        )
        self._keeps = bool(record)
        self._trace = Trace(limit=None if isinstance(record, bool) else record)
        self._past: list[Past] = []
        self._kept: dict[EventId, World] = {0: self._world}
        self._began = Began(voters, listeners, initialize)
        self._calls: dict[int, ClientCall] = {}
        self._checks = tuple(default_checks() if checks is None else checks)
        self._violations: list[Violation] = []
        self.observers: list[Callable[[Record], None]] = []
        for node in self._world.nodes:
            self._do(Start(node), decided=False)

    def __repr__(self) -> str:
        led = f"node {self.leader} leads" if self.leader else "nobody leads"
        return f"<simulation of {len(self.nodes)} nodes, seed {self.seed}, at {self.now:.3f} s: {led}>"

    # What there is

    @property
    def world(self) -> World:
        """The whole cluster as a value; keep it, and you have kept this instant."""
        return self._world

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._world.now / SECOND

    @property
    def seed(self) -> int:
        """Where all chance comes from."""
        return self._setting.seed

    @property
    def leader(self) -> NodeId | None:
        """The leader of the highest term that is up."""
        return self._world.leader

    @property
    def trace(self) -> Trace:
        """All that has happened."""
        return self._trace

    @property
    def violations(self) -> Sequence[Violation]:
        """What was broken, in order; empty for a correct Raft."""
        return self._violations

    @property
    def calls(self) -> tuple[ClientCall, ...]:
        """Every call of a client, in order."""
        return tuple(self._calls.values())

    @property
    def history(self) -> "History":
        """What clients asked and were told, for a check of linearizability."""
        from pyraft_lab.sim.workload import history

        return history(self.calls)

    @property
    def pending(self) -> tuple[Pending, ...]:
        """What may happen next by itself, soonest first."""
        return actions(self._world)

    @property
    def past(self) -> Sequence[Past]:
        """What was done, and when: one line for each record."""
        return self._past

    @property
    def flying(self) -> tuple[Flight, ...]:
        """The messages under way."""
        return tuple(self._world.flights.values())

    # Time

    def step(self) -> Record:
        """Let the next thing happen; ``PyraftError`` where nothing is pending at all."""
        due = self._next()
        if due is None:
            raise PyraftError("nothing is pending: every server is down or paused; restart or resume one")
        return self._do(due.action, at=due.time, decided=False)

    def run(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass."""
        at_least("seconds", seconds, 0)
        stop = self._world.now + round(seconds * SECOND)
        while (due := self._next()) is not None and due.time <= stop:
            self._do(due.action, at=due.time, decided=False)
        self._world = replace(self._world, now=max(stop, self._world.now))

    def run_until(self, predicate: Callable[["Simulation"], T], timeout: float = 30) -> T:
        """Let things happen until ``predicate`` holds, and return what it says; ``Timeout`` where it never does."""
        at_least("timeout", timeout, 0)
        stop = self._world.now + round(timeout * SECOND)
        while not (found := predicate(self)):
            due = self._next()
            if due is None or due.time > stop:
                self._world = replace(self._world, now=max(stop, self._world.now))
                raise Timeout("what run_until waits for", timeout)
            self._do(due.action, at=due.time, decided=False)
        return found

    def take(self, action: Pending, at: float | None = None) -> Record:
        """Let one of the :attr:`pending` actions happen out of its turn: now, or at a later time ``at``."""
        if action not in self.pending:
            raise PyraftError(f"{action!r} is not pending")
        return self.force(action, self._world.now if at is None else round(at * SECOND))

    def force(self, action: Action, at: Micros) -> Record:
        """Let anything happen at that time; what was due earlier waits."""
        return self._do(action, at=at)

    def stall(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass in which nothing happens: what falls due meanwhile is late."""
        at_least("seconds", seconds, 0)
        self._world = replace(self._world, now=self._world.now + round(seconds * SECOND))

    # Branches of time

    def fork(self, at: Record | EventId | float | None = None) -> "Simulation":
        """Another simulation that goes on from here, or from any record, event id or time (a float) of the past.

        The original stays as it is. The past is shared; at most 64 events are replayed.
        """
        fork = copy(self)
        fork._branch(self._world.events if at is None else self._events_at(at))  # noqa: SLF001 (its own twin)
        return fork

    def worlds(self, start: EventId, stop: EventId) -> Iterator[World]:
        """The world right before event ``start``, then after it and each up to ``stop - 1``; they are replayed."""
        world = self._world_at(start)
        yield world
        for past in self._past[start:stop]:
            world = act(world, past.action, past.now).world
            yield world

    def again(
        self, *, without: Iterable[NodeId] = (), engine: Engine | None = None, record: bool = True
    ) -> "Simulation":
        """The same cluster before anything had happened, in good weather; perhaps smaller, or under other rules."""
        gone, setting = set(without), self._setting
        return Simulation(
            nodes=[node for node in self._began.voters if node not in gone],
            learners=[node for node in self._began.learners if node not in gone],
            initialize=self._began.initialize,
            seed=setting.seed,
            config=setting.config,
            engine=engine or setting.engine,
            machine=setting.machine,
            record=record,
        )

    def watch(self, observer: Callable[[Record], None]) -> None:
        """Have ``observer`` called with every record from now on."""
        self.observers.append(observer)

    # How it goes on

    def _next(self) -> Due | None:
        world = self._world
        if not (world.held or any(node.paused for node in world.nodes.values())):
            return world.agenda[0] if world.agenda else None
        return next((due for due in world.agenda if not waits(world, due.action)), None)

    def decide(self, decision: Decision) -> Record:
        """Let a decision happen now."""
        return self._do(decision)

    def call(self, call: Call) -> ClientCall:
        """Have a client call now."""
        began = self._world.events
        self._do(Invoke(call))
        return self._calls[began]

    def _do(self, action: Action, at: Micros = 0, *, decided: bool = True) -> Record:
        """The one way in which this world moves on."""
        happened = act(self._world, action, at)
        self._world, record = happened.world, happened.record
        if isinstance(action, Invoke):
            self._calls[record.id] = ClientCall(happened.world.requests, action.call, record)
        for ended in happened.ended:
            self._end(ended, record)
        if self._keeps:
            self._keep(action, record, decided=decided)
        for checker in self._checks:
            self._violations.extend(checker.check(record, self._world))
        for observer in self.observers:
            observer(record)
        return record

    def _branch(self, events: EventId) -> None:
        """Become a simulation of its own, as it was after so many events."""
        self._world = self._world_at(events)
        self._trace = self._trace.copy(events)
        self._past = self._past[:events]
        self._kept = {count: kept for count, kept in self._kept.items() if count <= events}
        self._calls = {began: call.copy(events) for began, call in self._calls.items() if began < events}
        self._checks = tuple(checker.fork(self._world) for checker in self._checks)
        self.observers = []
        self._violations = [one for one in self._violations if one.event < events]

    def _end(self, ended: Ended, record: Record) -> None:
        self._calls[ended.began].end(ended, record)

    def _keep(self, action: Action, record: Record, *, decided: bool) -> None:
        self._past.append(Past(self._world.now, action, decided))
        self._trace(record)
        if self._world.events % STRIDE == 0:
            self._kept[self._world.events] = self._world

    def _events_at(self, at: Record | EventId | float) -> EventId:
        """How many events had happened right after a record, an event or a time of the past."""
        if isinstance(at, float):
            return bisect_right(self._past, round(at * SECOND), key=lambda past: past.now)
        event = at.id if isinstance(at, Record) else at
        if not 0 <= event < len(self._past):
            raise LookupError(f"there is no event {event} to fork from; kept are 0 to {len(self._past) - 1}")
        return event + 1

    def _world_at(self, events: EventId) -> World:
        if events == self._world.events:
            return self._world
        world = self._kept[events // STRIDE * STRIDE]
        for past in self._past[world.events : events]:
            world = act(world, past.action, past.now).world
        return world


def node_ids(field: str, nodes: int | Iterable[NodeId], *, after: NodeId, least: int) -> tuple[NodeId, ...]:
    """Node ids as given, or so many counted on from ``after``; ``ConfigError`` where that makes no cluster."""
    if isinstance(nodes, int):
        at_least(field, nodes, least)
        return tuple(range(after + 1, after + 1 + nodes))
    ids = set(nodes)
    if len(ids) < least or not all(_is_id(node) for node in ids):
        raise ConfigError(field, nodes, f"must be at least {least} node ids, counted from 1")
    return tuple(sorted(ids))


def _is_id(node: object) -> bool:
    return isinstance(node, int) and not isinstance(node, bool) and node > 0


def first_disk(members: Membership | None) -> Disk:
    """What is on every disk before anything has happened: the first membership, or nothing."""
    if members is None:
        return Disk()
    return Disk(log=Log().append((Entry(LogId(0, 0, 1), Configuration(members)),)))
