"""Bounded model checking: every possible run of a small cluster, breadth first, until a property is violated.

::

    start ──▶ every step ──▶ every step …      a world seen before is not visited again,
           deliver, time out, write, crash     so the first violation ends a shortest path

Losing a message needs no step of its own: it is just never delivered.

>>> report = explore(3, bounds=Bounds(timeouts=1))
>>> report.exhausted, report.broken
(True, '')
>>> print(report)
1 timeout: every state seen, up to 10 steps from the start; nothing is violated (184 states, 393 steps between them)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor

from msgspec.structs import replace

from pyraft_lab.arguments import flag, function, instance, integer, named_functions
from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.exactly_once import MakeMachine
from pyraft_lab.check.explore.expansion import Expansion, Processes, expand, shape_of
from pyraft_lab.check.explore.explorer_state import Action, ExplorerState, PathStep, Predicate, cluster
from pyraft_lab.check.explore.numbering import FingerprintTable, Table
from pyraft_lab.check.explore.replay import start_from
from pyraft_lab.check.explore.report import Report
from pyraft_lab.check.explore.state_space import StateSpace, WorldKey
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.membership import Membership
from pyraft_lab.machine import KeyValue, making_machines
from pyraft_lab.sim.simulation import Simulation

__all__ = ["PROGRESS_EVERY", "Report", "Search", "Watcher", "explore"]
_NONE: Mapping[str, Predicate] = {}
Watcher = Callable[[int, int, int], None]
"""A function that is called now and then with the worlds found, the worlds queued, and the level of the search."""
MOST_SERVERS = 99
"""The most fresh servers of a search."""
PROGRESS_EVERY = 4096
"""Worlds between two calls of ``progress``; it is also called at the end of every level."""


def explore(
    start: ExplorerState | Simulation | Membership | int = 3,
    *,
    engine: Engine | None = None,
    bounds: Bounds | None = None,
    invariants: Mapping[str, Predicate] | None = None,
    sometimes: Mapping[str, Predicate] | None = None,
    goal: Predicate | None = None,
    symmetric: bool = False,
    machine: MakeMachine = KeyValue,
    executor: Executor | None = None,
    progress: Watcher | None = None,
) -> Report:
    """Search every world within ``bounds`` breadth first, from ``start``.

    That may be a number of fresh servers, or their membership; a world that an earlier search reached; or a
    simulation, whose present moment it is (then its engine is the default).

    The paper's five safety properties are checked at every step, and that reads see everything that was committed when
    they began; ``invariants`` adds predicates of your own over :class:`ExplorerState`. ``sometimes`` names what should
    hold in some world, and ``goal`` ends the search at the first world that satisfies it, from which another search may
    go on. A ``symmetric`` search looks at one of all the worlds that differ by the names of servers alone; your
    predicates must not ask for names then. ``machine`` makes the state machine that repeated commands are checked with.

    ``executor`` is any of ``concurrent.futures``: its processes search together, and the result is the same, whatever
    their number. Rules and machine must then be importable; predicates stay here. ``progress`` is called every few
    thousand worlds: ``lambda worlds, queued, level: ...``. An interrupt (Ctrl-C, or the stop button of a notebook)
    ends the search with the report so far.
    """
    symmetric, watch = flag("symmetric", symmetric), None if progress is None else function("progress", progress)
    checked = {} if invariants is None else named_functions("invariants", invariants)
    wanted = {} if sometimes is None else named_functions("sometimes", sometimes)
    if goal is not None:
        function("goal", goal)
    if engine is None:
        engine = start.world.setting.engine if isinstance(start, Simulation) else raft()
    if executor is not None:
        instance("executor", executor, Executor)
    world = _world(start, instance("engine", engine, Engine))
    space = StateSpace(
        engine,
        Bounds() if bounds is None else instance("bounds", bounds, Bounds),
        world,
        machine=making_machines("machine", machine),
        table=Table if executor is None else FingerprintTable,
    )
    search = Search(
        space,
        world,
        invariants=checked,
        sometimes=wanted,
        goal=goal,
        symmetric=symmetric,
        executor=executor,
    )
    return search.run((lambda *_: None) if watch is None else watch)


def _world(start: ExplorerState | Simulation | Membership | int, engine: Engine) -> ExplorerState:
    """The state that a search starts from: this one, a simulation's, or that of a new cluster of these voters."""
    match start:
        case ExplorerState():
            return start
        case Simulation():
            return start_from(start)
        case Membership():
            return cluster(start, engine=engine)
        case _:
            return cluster(integer("start", start, 1, MOST_SERVERS, what="servers, or a world"), engine=engine)


class Search:
    """One search: the worlds found, each with the one it was found from."""

    def __init__(
        self,
        space: StateSpace,
        start: ExplorerState,
        *,
        invariants: Mapping[str, Predicate] = _NONE,
        sometimes: Mapping[str, Predicate] = _NONE,
        goal: Predicate | None = None,
        symmetric: bool = False,
        executor: Executor | None = None,
    ) -> None:
        self.space, self.start, self.invariants, self.goal = space, start, invariants, goal
        self.shape = shape_of(space, symmetric=symmetric)
        bare = replace(start, path=(), origin=None)
        self.processes = None if executor is None else Processes(executor, space, bare, symmetric=symmetric)
        self.never = dict(sometimes)
        self.asks = bool(invariants or sometimes) or goal is not None
        self.first = self.shape(space.first)
        self.found: dict[WorldKey, WorldKey] = {self.first: self.first}
        self.transitions = self.depth = 0
        self.last: tuple[WorldKey, WorldKey] | None = None
        self.broken = ""

    def run(self, progress: Watcher) -> Report:
        """Level by level, until something ends the search or nothing is left."""
        level, interrupted = [self.first], False
        try:
            if self.asks:
                self._ask(self.first, self.first)
            while level and self.last is None and self.depth < self.space.bounds.depth and not self._is_full():
                level = self._next(level, progress)
                self.depth += 1
                progress(len(self.found), len(level), self.depth)
        except KeyboardInterrupt:
            interrupted = True
        return self._report(exhausted=not level and self.last is None, interrupted=interrupted)

    def _is_full(self) -> bool:
        return len(self.found) >= self.space.bounds.worlds

    def _expansions(self, level: list[WorldKey]) -> Iterator[Expansion]:
        return expand(self.space, self.shape, level) if self.processes is None else self.processes.expand(level)

    def _next(self, level: list[WorldKey], progress: Watcher) -> list[WorldKey]:
        """Every new world one step further; stops at the first that violates something or meets the goal."""
        if self.processes is not None:
            level.sort()  # worlds with the same messages stand together
        found, following, expansions = self.found, list[WorldKey](), self._expansions(level)
        for place, world in enumerate(level, 1):
            if self._is_full():
                return [world, *following]
            if not place % PROGRESS_EVERY:
                progress(len(found), len(level) - place + len(following), self.depth)
            self._enter(world, next(expansions), following)
            if self.last is not None:
                return following
        return following

    def _enter(self, world: WorldKey, expansion: Expansion, following: list[WorldKey]) -> None:
        """Enter the worlds after ``world``, until a property is violated or the goal is met."""
        found, (transitions, worlds, broken) = self.found, expansion
        self.transitions += transitions
        for after in worlds[:-1] if broken else worlds:
            if after not in found:
                found[after] = world
                following.append(after)
                if self.asks and self._ask(world, after):
                    return
        if broken:
            self.broken, self.last = broken, (world, worlds[-1])

    def _ask(self, before: WorldKey, after: WorldKey) -> bool:
        """Whether the search ends here: an invariant of the caller's is violated, or the goal is met."""
        world = self.space.world(after)
        self.never = {name: holds for name, holds in self.never.items() if not holds(world)}
        self.broken = next((name for name, holds in self.invariants.items() if not holds(world)), "")
        if self.broken or (self.goal is not None and self.goal(world)):
            self.last = (before, after)
        return self.last is not None

    # The report

    def _report(self, *, exhausted: bool, interrupted: bool) -> Report:
        path, end = self._path(self.last) if self.last is not None else ((), None)
        others = self.processes
        return Report(
            worlds=len(self.found),
            transitions=self.transitions,
            turns=len(self.space.outcomes) if others is None else len(others.turns),
            depth=self.depth,
            exhausted=exhausted,
            interrupted=interrupted,
            start=self.start,
            engine=self.space.engine,
            bounds=self.space.bounds,
            machine=self.space.machine,
            broken=self.broken,
            path=path,
            end=end if self.broken else None,
            reached=None if self.broken else end,
            facts_seen=self.space.facts_seen() if others is None else tuple(sorted(others.facts_seen)),
            never=tuple(self.never),
        )

    def _path(self, last: tuple[WorldKey, WorldKey]) -> tuple[tuple[Action, ...], ExplorerState]:
        """What happened from the start to the end, and the end under the names that the start has."""
        chain = [last[1], *([last[0]] if last[0] != last[1] else [])]
        while chain[-1] != self.first:
            chain.append(self.found[chain[-1]])
        world, path = self.space.first, list[Action]()
        for target in reversed(chain[:-1]):
            act, world = self._step(world, target, self.broken if target == last[1] else "")
            path.append(self.space.acts.values[act])
        return tuple(path), self._end(world, path)

    def _end(self, key: WorldKey, path: Sequence[Action]) -> ExplorerState:
        past = self.start.path + tuple(PathStep(act, self.space.bounds.instant_disk) for act in path)
        return replace(self.space.world(key), path=past, origin=self.start.origin)

    def _step(self, world: WorldKey, target: WorldKey, broken: str) -> tuple[int, WorldKey]:
        """A step that leads to ``target``, up to names; one that violates the property, if there is one."""
        steps = [step for step in self.space.successors(world) if self.shape(step[1]) == target]
        act, after, _ = next((step for step in steps if step[2] == broken), steps[0])
        return act, after
