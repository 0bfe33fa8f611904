"""A simulated cluster with virtual time, one seed, weather and faults.

>>> sim = Simulation(nodes=3, seed=7)
>>> leader = sim.run_until(lambda s: s.leader)
>>> call = sim.write({"op": "put", "key": "x", "value": 1})
>>> sim.run(0.5)
>>> call.ok, sim.nodes[leader].machine.query("x")
(True, 1)
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from pyraft_lab.arguments import bounded_list, fitting, flag, function, instance, integer, node_ids, text
from pyraft_lab.arguments import seconds as seconds_of
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError, RecordNotFound, Timeout, shown
from pyraft_lab.machine import KeyValue, Sessions, StateMachine, making_machines
from pyraft_lab.sim.apply import apply, fires_before, new_node
from pyraft_lab.sim.bootstrap import bootstrap
from pyraft_lab.sim.conditions import SECOND, Micros, Weather
from pyraft_lab.sim.controls import Controls
from pyraft_lab.sim.local_invariants import LocalInvariants
from pyraft_lab.sim.properties import Checker, Property, PropertyKind, Violation, panel
from pyraft_lab.sim.safety import Safety
from pyraft_lab.sim.timeline import ExternalAction, PastMoment, Timeline
from pyraft_lab.sim.transition import Completed
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import (
    Action,
    Call,
    Decision,
    Invoke,
    Pending,
    ScheduledAction,
    Setting,
    Start,
    World,
    actions,
    is_blocked,
)
from pyraft_lab.trace.record import EventId, Flight, Record
from pyraft_lab.trace.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

    from pyraft_lab.history import History
    from pyraft_lab.sim.bookmarks import Moment

T = TypeVar("T")
MOST_CHECKS = 1_000
"""The most checkers of one simulation."""


class Simulation(Controls):
    """A cluster in virtual time; the same seed and the same decisions give the same run, event by event.

    ``nodes`` is the number of voters, or their ids; ``learners`` the number or ids of additional learners. With
    ``initialize`` every disk holds the first membership at the start; without it the servers are new and wait for
    :meth:`initialize`. ``rules`` (or a whole ``engine``) decide every step; ``machine`` makes a state machine (or
    ``Sessions`` with one). ``record`` keeps a trace (a number: only that many newest events); ``checks`` look for
    violated invariants. Raises ``ConfigError`` for invalid arguments.
    """

    def __init__(
        self,
        nodes: int | Iterable[NodeId] = 5,
        seed: int = 7,
        *,
        config: Config | None = None,
        rules: Rules | None = None,
        engine: Engine | None = None,
        machine: Callable[[], StateMachine | Sessions] = KeyValue,
        weather: Weather | None = None,
        learners: int | Iterable[NodeId] = 0,
        initialize: bool = True,
        record: bool | int = True,
        checks: Sequence[Checker] | None = None,
    ) -> None:
        self._began = bootstrap(nodes, learners, initialize=flag("initialize", initialize))
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigError("seed", seed, "must be a whole number")
        if rules is not None and engine is not None:
            raise ConfigError("rules", rules, "give rules or an engine that has them, not both")
        self._setting = Setting(
            seed=seed,
            engine=raft(RAFT if rules is None else instance("rules", rules, Rules))
            if engine is None
            else instance("engine", engine, Engine),
            config=Config.of(config),
            machine=making_machines("machine", machine),
        )
        self._world = World(
            setting=self._setting,
            weather=Weather() if weather is None else instance("weather", weather, Weather).validated(),
            nodes={
                node: new_node(self._setting, node, self._began.disk)
                for node in sorted((*self._began.voters, *self._began.learners))
            },
        )
        self._keeps = bool(record)
        self._trace = Trace(limit=None if isinstance(record, bool) else integer("record", record))
        self._timeline = Timeline(self._world)
        self._branches: dict[str, Simulation] = {}
        self._calls: dict[int, ClientCall] = {}
        given = (Safety(), LocalInvariants()) if checks is None else bounded_list("checks", checks, MOST_CHECKS)
        self._checks = tuple(fitting("checks", one, Checker, advice="as Safety() is") for one in given)
        self._violations: list[Violation] = []
        self._properties: list[Property[Simulation]] = []
        self.observers: list[Callable[[Record], None]] = []
        for node in self._world.nodes:
            self._do(Start(node), decided=False)

    def __repr__(self) -> str:
        led = f"n{self.leader} leads" if self.leader else "no leader"
        return f"<simulation of {len(self.nodes)} nodes, seed {self.seed}, at {self.now:.3f} s: {led}>"

    # State

    @property
    def past(self) -> Sequence[PastMoment]:
        """The past actions and their times, one per record."""
        return self._timeline.past

    @property
    def world(self) -> World:
        """The whole cluster as an immutable value at this instant."""
        return self._world

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._world.now / SECOND

    @property
    def seed(self) -> int:
        """The seed of all random numbers."""
        return self._setting.seed

    @property
    def leader(self) -> NodeId | None:
        """The running leader with the highest term; ``None`` if there is none."""
        return self._world.leader

    @property
    def trace(self) -> Trace:
        """The recorded events."""
        return self._trace

    @property
    def violations(self) -> Sequence[Violation]:
        """The violations so far, in order; empty for a correct Raft."""
        return self._violations

    @property
    def calls(self) -> tuple[ClientCall, ...]:
        """All client calls, in order."""
        return tuple(self._calls.values())

    @property
    def history(self) -> "History":
        """The clients' operations and their answers, for a linearizability check."""
        from pyraft_lab.sim import workload

        return workload.history(self.calls)

    @property
    def pending(self) -> tuple[Pending, ...]:
        """The scheduled actions, soonest first; they happen without a decision from outside."""
        return actions(self._world)

    @property
    def flying(self) -> tuple[Flight, ...]:
        """The messages on their way."""
        return tuple(self._world.flights.values())

    @property
    def origin(self) -> World:
        """The world before the first event."""
        return self._timeline.origin

    @property
    def external_actions(self) -> tuple[ExternalAction, ...]:
        """All decisions from outside; with seed, origin and turns they determine the whole run."""
        return self._timeline.actions

    @property
    def turns(self) -> tuple[tuple[EventId, Rules], ...]:
        """The changes of rules by :meth:`fork`: after how many events, and which rules."""
        return self._timeline.turns

    # User-defined properties

    def always(self, name: str, predicate: Callable[["Simulation"], object]) -> "Property[Simulation]":
        """Check ``predicate`` after every event from now on; the first event where it is false is a violation."""
        return self._watch_for("always", name, predicate)

    def sometimes(self, name: str, predicate: Callable[["Simulation"], object]) -> "Property[Simulation]":
        """Check that ``predicate`` is true at least once, so that a run has covered the case it should test."""
        return self._watch_for("sometimes", name, predicate)

    def eventually(self, name: str, predicate: Callable[["Simulation"], object]) -> "Property[Simulation]":
        """Check that ``predicate`` becomes true and is still true at the end."""
        return self._watch_for("eventually", name, predicate)

    @property
    def properties(self) -> "pd.DataFrame":
        """A frame, one row per property: ``name kind holds event time turns``."""
        return panel(self._properties)

    def _watch_for(
        self, kind: PropertyKind, name: str, predicate: Callable[["Simulation"], object]
    ) -> "Property[Simulation]":
        self._properties.append(Property(kind, name, predicate))
        self._look(self._properties[-1])
        return self._properties[-1]

    def _look(self, one: "Property[Simulation]") -> None:
        event = self._world.events - 1
        if one.observe(self, event, self.now):
            self._violations.append(Violation(name=one.name, what="it holds no more", event=event, time=self.now))

    # Time

    def step(self) -> Record:
        """Run the next scheduled action and return its record; raises ``PyraftError`` if nothing is pending."""
        due = self._next()
        if due is None:
            raise PyraftError("nothing is pending: every server is down or paused; restart or resume one")
        return self._do(due.action, at=due.time, decided=False)

    def run(self, seconds: float) -> None:
        """Run for ``seconds`` of virtual time."""
        stop = self._world.now + round(seconds_of("seconds", seconds) * SECOND)
        while (due := self._next()) is not None and due.time <= stop:
            self._do(due.action, at=due.time, decided=False)
        self.wait(stop)

    def run_until(self, predicate: Callable[["Simulation"], T], timeout: float = 30) -> T:
        """Run until ``predicate`` is true, and return its value.

        Raises ``Timeout`` after ``timeout`` seconds of virtual time.
        """
        function("predicate", predicate)
        stop = self._world.now + round(seconds_of("timeout", timeout) * SECOND)
        while not (found := predicate(self)):
            due = self._next()
            if due is None or due.time > stop:
                self.wait(stop)
                raise Timeout("what run_until waits for", timeout)
            self._do(due.action, at=due.time, decided=False)
        return found

    def take(self, action: Pending, at: float | None = None) -> Record:
        """Run one of the :attr:`pending` actions now, or at the later time ``at`` (virtual seconds).

        Raises ``PyraftError`` if the action is not pending.
        """
        if action not in self.pending:
            raise PyraftError(f"{shown(action)} is not pending")
        return self.force(action, self._world.now if at is None else round(seconds_of("at", at) * SECOND))

    def force(self, action: Action, at: Micros) -> Record:
        """Apply any action at time ``at`` (microseconds); earlier scheduled actions wait."""
        if not isinstance(action, Action):
            raise ConfigError("action", action, "must be a pending action or a decision")
        return self._do(action, at=integer("at", at))

    def redo(self, action: ExternalAction) -> Record:
        """Repeat an external action of another run, after the same number of events and at the same time."""
        instance("action", action, ExternalAction)
        while self._world.events < action.events:
            self.step()
        return self._do(action.action, at=action.now)

    def wait(self, until: Micros) -> None:
        """Move the time to ``until`` (microseconds) without running any action."""
        self._world = replace(self._world, now=max(integer("until", until), self._world.now))

    def capsule(self) -> str:
        """The whole run as one line of text that fits into a URL; :meth:`from_capsule` builds it again.

        Raises ``CapsuleError`` if the run was not recorded from its beginning.
        """
        from pyraft_lab.sim.capsule import write_capsule  # files of traces take long to import

        return write_capsule(self)

    @classmethod
    def from_capsule(
        cls,
        text: str,
        *,
        rules: Rules | None = None,
        machine: Callable[[], StateMachine] | None = None,
        checks: Sequence[Checker] | None = None,
    ) -> "Simulation":
        """Rebuild the run in a capsule, and verify event by event that it is the same.

        Pass ``rules`` and ``machine`` if the run used its author's own; rules that only a fork followed apply from the
        event of that fork; ``checks`` replace the usual ones. Raises ``CapsuleError`` if the text is cut, damaged or of
        another format, and ``CapsuleMismatch``, which names the first difference.
        """
        from pyraft_lab.sim.rebuild import rebuild

        return rebuild(cls, text, rules=rules, machine=machine, checks=checks)

    # Branches of time

    def fork(self, at: Record | EventId | float | None = None, *, rules: Rules | None = None) -> "Simulation":
        """A simulation that continues from now, or from a record, event id or time (a float, seconds) of the past.

        The original does not change. Both share the past, and at most 128 events are replayed. With ``rules`` the
        servers follow these from that point. Raises ``RecordNotFound`` for a point that is not in the past.
        """
        fork = copy(self)
        fork._branch(self._world.events if at is None else self._timeline.events_at(at))  # noqa: SLF001 (its own twin)
        if rules is not None:
            fork._follow(rules)  # noqa: SLF001 (the same)
        return fork

    def again(
        self,
        *,
        without: Iterable[NodeId] = (),
        engine: Engine | None = None,
        config: Config | None = None,
        record: bool = True,
    ) -> "Simulation":
        """The same cluster before its first event, in default weather; smaller, or with other rules or settings.

        ``without`` names the servers that are left out.
        """
        voters, learners, initialize = self._began.without(node_ids("without", without))
        seed, machine = self._setting.seed, self._setting.machine
        settings = self._setting.config if config is None else config
        rules = self._setting.engine if engine is None else engine
        checks = [one.fork(self.origin) for one in self._checks]
        return Simulation(voters, seed, config=settings, engine=rules, machine=machine, learners=learners,
                          initialize=initialize, record=record, checks=checks)  # fmt: skip

    def worlds(self, start: EventId, stop: EventId) -> Iterator[World]:
        """Replay and yield the world right before event ``start``, then after each event up to ``stop - 1``."""
        return self._timeline.worlds(start, stop)

    def branch(self, name: str, at: Record | EventId | float | None = None) -> "Simulation":
        """A :meth:`fork` that is kept in :attr:`branches` under this name."""
        if text("name", name) in self._branches:
            raise PyraftError(
                f"there is a branch {shown(name)} already; delete it from `branches`, or take another name"
            )
        self._branches[name] = self.fork(at)
        return self._branches[name]

    @property
    def branches(self) -> dict[str, "Simulation"]:
        """The kept branches by name; all simulations forked from each other share them."""
        return self._branches

    def moments(self, what: "Moment") -> tuple[Record, ...]:
        """The records of every ``"election"``, ``"commit"``, ``"violation"``, or kind of event such as ``"crash"``.

        Raises ``ConfigError`` for an unknown name.
        """
        from pyraft_lab.sim.bookmarks import moments

        return tuple(moments(self, what))

    def jump(self, what: "Moment", *, after: Record | EventId | float | None = None) -> "Simulation":
        """A fork right after the first such moment of the past, or the first after a record, event id or time.

        Raises ``RecordNotFound`` (a ``LookupError``) if there is none.
        """
        from pyraft_lab.sim.bookmarks import moments

        start = -1 if after is None else self._timeline.events_at(after) - 1
        found = next(moments(self, what, start), None)
        if found is None:
            raise RecordNotFound(f"no {what} was recorded after event {start}; run on, or look for something else")
        return self.fork(found)

    def diff(self, other: "Simulation") -> "pd.DataFrame":
        """The events of only this run (``first``) or only the other (``second``), as a frame in order of time."""
        from pyraft_lab.sim.bookmarks import diff

        return diff(self, other)

    def watch(self, observer: Callable[[Record], None]) -> None:
        """Call ``observer`` with every record from now on."""
        self.observers.append(function("observer", observer))

    # Execution

    def _next(self) -> ScheduledAction | None:
        world = self._world
        if not (world.held or world.delayed):
            return world.event_queue[0] if world.event_queue else None
        due = next((due for due in world.event_queue if not is_blocked(world, due.action)), None)
        return None if due is None else replace(due, action=fires_before(world, due.action) or due.action)

    def decide(self, decision: Decision) -> Record:
        """Apply a decision now and return its record."""
        if not isinstance(decision, Decision):
            raise ConfigError("decision", decision, "must be a decision, such as Crash(1)")
        return self._do(decision)

    def call(self, call: Call) -> ClientCall:
        """Start a client's call now."""
        instance("call", call, Call)
        return self._calls[self._do(Invoke(call)).id]

    def _do(self, action: Action, at: Micros = 0, *, decided: bool = True) -> Record:
        """Apply an action, after the overdue timers that must fire before it; every change of the world comes here."""
        while self._world.delayed and (first := fires_before(self._world, action)):
            self._do(first, at, decided=decided)
        applied = apply(self._world, action, at)
        self._world, record = applied.world, applied.record
        if type(action) is Invoke:
            self._calls[record.id] = ClientCall(self._world.requests, action.call, record)
        for ended in applied.ended:
            self._end(ended, record)
        if self._keeps:
            self._timeline.add(action, self._world, decided=decided)
            self._trace(record)
        for checker in self._checks:
            self._violations += checker.check(record, self._world)
        for one in self._properties:
            self._look(one)
        for observer in self.observers:
            observer(record)
        return record

    def _branch(self, events: EventId) -> None:
        """Become an independent simulation, as it was after ``events`` events."""
        if events < self._world.events:
            self._world = self._timeline.world_at(events)
        self._trace = self._trace.copy(events)
        self._timeline = self._timeline.branch(events)
        self._calls = {began: call.copy(events) for began, call in self._calls.items() if began < events}
        self._checks = tuple(checker.fork(self._world) for checker in self._checks)
        self._properties = [one.branch(events) for one in self._properties]
        self.observers = []
        self._violations = [one for one in self._violations if one.event < events]

    def _follow(self, rules: Rules) -> None:
        """Continue under other rules; past steps keep their own."""
        self._setting = replace(self._setting, engine=raft(rules))
        self._world = replace(self._world, setting=self._setting)
        self._timeline.add_checkpoint(self._world)

    def _end(self, ended: Completed, record: Record) -> None:
        self._calls[ended.began].end(ended, record)
