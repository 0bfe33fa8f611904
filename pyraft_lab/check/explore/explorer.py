"""Bounded model checking: every interleaving of a small cluster, breadth first, until an invariant is violated.

::

    start ──▶ every act ──▶ every act …      a world seen before is not visited again,
           deliver, time out, write, crash   so the first violation ends a shortest path

Losing a message needs no separate act: it is just never delivered.

>>> report = explore(3, bounds=Bounds(timeouts=1))
>>> report.exhausted, report.broken
(True, '')
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer_state import Action, ExplorerState, PathStep, Predicate, cluster
from pyraft_lab.check.explore.replay import replay, start_from
from pyraft_lab.check.explore.state_space import StateSpace, WorldKey
from pyraft_lab.check.explore.symmetry import Symmetry
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.membership import Membership
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.simulation import Simulation

_NONE: Mapping[str, Predicate] = {}
Watcher = Callable[[int, int, int], None]
"""A function called now and then with the worlds found, the worlds queued, and the search's depth."""
PROGRESS_EVERY = 4096
"""Worlds between two calls of ``progress``; it is also called at the end of every level."""


class Report(Struct, frozen=True, kw_only=True):
    """The result of a search: a violated property with a shortest path to it, or none within the bounds.

    ``worlds`` and ``transitions`` are the same in every run; ``turns`` counts how often Raft itself was asked.
    ``exhausted`` says that nothing within the bounds was left out. ``end`` is the world in which ``broken`` broke,
    ``reached`` the first one that met the goal; ``path`` leads there from ``start``.

    A search proves little of what it never came to: ``happened`` names the messages that were sent and the facts that
    came about, ``never`` those of the caller's ``sometimes`` that no world satisfied.
    """

    worlds: int
    transitions: int
    turns: int
    depth: int
    exhausted: bool
    start: ExplorerState
    engine: Engine
    broken: str = ""
    path: tuple[Action, ...] = ()
    end: ExplorerState | None = None
    reached: ExplorerState | None = None
    facts_seen: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = f"{self.worlds:,} worlds, {self.transitions:,} transitions, {self.depth} acts deep"
        if self.broken:
            return f"{self.broken} falls after {len(self.path)} acts ({size})"
        if self.reached is not None:
            return f"the goal is reached after {len(self.path)} acts ({size})"
        return f"nothing falls in {size}; {'there are no more' if self.exhausted else 'there are more'}"

    def __bool__(self) -> bool:
        return not self.broken

    def story(self) -> str:
        """The path, an act a line."""
        return "\n".join(f"{number:3} {act}" for number, act in enumerate(self.path, 1))

    def simulation(self) -> Simulation:
        """What was found as a simulation, from the first stage on: look at it, rewind it, go on from it.

        Raises ``PyraftError`` where nothing was found.
        """
        found = self.end or self.reached
        if found is None:
            raise PyraftError("nothing was found that could be replayed; the report's bounds may be too narrow")
        return replay(found, self.engine)


def explore(
    start: ExplorerState | Simulation | Membership | int = 3,
    *,
    engine: Engine | None = None,
    bounds: Bounds | None = None,
    invariants: Mapping[str, Predicate] | None = None,
    sometimes: Mapping[str, Predicate] | None = None,
    goal: Predicate | None = None,
    symmetric: bool = False,
    progress: Watcher | None = None,
) -> Report:
    """Search every world within ``bounds`` breadth first, from ``start``.

    That may be a number of fresh servers, or their membership; a world that an earlier search reached; or a
    simulation, whose present moment it is (then its engine is the default).

    The paper's five safety properties are judged at every transition; ``invariants`` adds predicates of your own
    over :class:`ExplorerState`, ``sometimes`` names what should hold somewhere, and ``goal`` ends the search at the
    first world that satisfies it, from which another search may go on. A ``symmetric`` search looks at one of all the
    worlds that differ by the names of servers alone; your predicates must not ask for names then. ``progress`` is
    told every few thousand worlds how far the search is: ``lambda worlds, waiting, depth: ...``.
    """
    if engine is None:
        engine = start.world.setting.engine if isinstance(start, Simulation) else raft()
    world = _world(start, engine)
    search = Search(
        StateSpace(engine, Bounds() if bounds is None else bounds, world),
        world,
        invariants={} if invariants is None else invariants,
        sometimes={} if sometimes is None else sometimes,
        goal=goal,
        symmetric=symmetric,
    )
    return search.run((lambda *_: None) if progress is None else progress)


def _world(start: ExplorerState | Simulation | Membership | int, engine: Engine) -> ExplorerState:
    match start:
        case ExplorerState():
            return start
        case Simulation():
            return start_from(start)
        case _:
            return cluster(start, engine=engine)


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
    ) -> None:
        self.space, self.start, self.invariants, self.goal = space, start, invariants, goal
        self.shape = Symmetry(space).representative if symmetric else _itself
        self.never = dict(sometimes)
        self.asks = bool(invariants or sometimes) or goal is not None
        self.first = self.shape(space.first)
        self.found: dict[WorldKey, WorldKey] = {self.first: self.first}
        self.transitions = self.depth = 0
        self.last: tuple[WorldKey, WorldKey] | None = None
        self.broken = ""

    def run(self, progress: Watcher) -> Report:
        """Level by level, until something ends the search or nothing is left."""
        level = [self.first]
        if self.asks:
            self._ask(self.first, self.first)
        while level and self.last is None and self.depth < self.space.bounds.depth and not self._is_full():
            level = self._next(level, progress)
            self.depth += 1
            progress(len(self.found), len(level), self.depth)
        return self._report(exhausted=not level and self.last is None)

    def _is_full(self) -> bool:
        return len(self.found) >= self.space.bounds.worlds

    def _next(self, level: list[WorldKey], progress: Watcher) -> list[WorldKey]:
        """Every new world one act further; stops at the first that is broken or meets the goal."""
        found, following, shape = self.found, list[WorldKey](), self.shape
        for place, world in enumerate(level, 1):
            if self._is_full():
                return [world, *following]
            if not place % PROGRESS_EVERY:
                progress(len(found), len(level) - place + len(following), self.depth)
            for _, raw, broken in self.space.successors(world):
                self.transitions += 1
                after = shape(raw)
                if broken:
                    self.broken, self.last = broken, (world, after)
                    return following
                if after not in found:
                    found[after] = world
                    following.append(after)
                    if self.asks and self._ask(world, after):
                        return following
        return following

    def _ask(self, before: WorldKey, after: WorldKey) -> bool:
        """Whether the search ends here: an invariant of the caller's is broken, or the goal is met."""
        world = self.space.world(after)
        self.never = {name: holds for name, holds in self.never.items() if not holds(world)}
        self.broken = next((name for name, holds in self.invariants.items() if not holds(world)), "")
        if self.broken or (self.goal is not None and self.goal(world)):
            self.last = (before, after)
        return self.last is not None

    # The report

    def _report(self, *, exhausted: bool) -> Report:
        path, end = self._path(self.last) if self.last is not None else ((), None)
        return Report(
            worlds=len(self.found),
            transitions=self.transitions,
            turns=len(self.space.outcomes),
            depth=self.depth,
            exhausted=exhausted,
            start=self.start,
            engine=self.space.engine,
            broken=self.broken,
            path=path,
            end=end if self.broken else None,
            reached=None if self.broken else end,
            facts_seen=self.space.facts_seen(),
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
        """An act that leads to ``target``, up to names; one that breaks what was broken, if there is one."""
        steps = [step for step in self.space.successors(world) if self.shape(step[1]) == target]
        act, after, _ = next((step for step in steps if step[2] == broken), steps[0])
        return act, after


def _itself(key: WorldKey) -> WorldKey:
    return key
