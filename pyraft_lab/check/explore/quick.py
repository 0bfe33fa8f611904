"""The small searches: a quick pass that takes a few seconds and catches most mistakes in a rule, and longer ones.

Each search starts where a mistake can show within a few steps: from fresh servers, or from a world that a search for
a goal has reached, with everything else lost on the way. Simulated runs seldom come to such moments; a search of all
runs from there cannot miss them. What the pass does not violate may still be wrong: it is a test, and no proof.

>>> print(quick().broken or "nothing is violated")
nothing is violated
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.exactly_once import MakeMachine
from pyraft_lab.check.explore.explorer import Watcher, explore
from pyraft_lab.check.explore.explorer_state import NO_SNAPSHOTS, ExplorerState, Predicate, cluster
from pyraft_lab.check.explore.report import Report
from pyraft_lab.check.explore.server_state import SNAPSHOT
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.rules import Rules
from pyraft_lab.engine.state import Leader
from pyraft_lab.machine import KeyValue


class Stage(Struct, frozen=True, kw_only=True):
    """A search for a world from which the next stage goes on; messages on their way are lost unless ``keep``."""

    bounds: Bounds
    goal: Predicate
    keep: bool = False


class QuickSearch(Struct, frozen=True, kw_only=True):
    """One of the searches: what it looks at, its servers, the stages before it, and its bounds."""

    about: str
    bounds: Bounds
    stages: tuple[Stage, ...] = ()
    nodes: int | Membership = 3
    config: Config = NO_SNAPSHOTS
    symmetric: bool = False

    def run(self, engine: Engine, machine: MakeMachine, progress: Watcher | None) -> Report:
        """The report of the last stage that was reached, or of the search itself."""
        world = cluster(self.nodes, config=self.config, engine=engine)
        for stage in self.stages:
            report = explore(world, engine=engine, bounds=stage.bounds, goal=stage.goal, machine=machine)
            if report.reached is None:
                return report
            world = report.reached if stage.keep else report.reached.quiet()
        return explore(
            world, engine=engine, bounds=self.bounds, machine=machine, symmetric=self.symmetric, progress=progress
        )


def quick(
    engine: Engine | Rules | None = None,
    *,
    searches: Sequence[QuickSearch] | None = None,
    machine: MakeMachine = KeyValue,
    progress: Watcher | None = None,
) -> Report:
    """Search for a violation in a few seconds: the report of the first search that finds one, else of all together.

    ``engine`` is a whole engine or a table of rules (default: the paper's), ``searches`` are those to make (default:
    :data:`SEARCHES`). In the report of all together ``worlds``, ``transitions``, ``turns`` are sums, ``depth`` is the
    deepest, and ``exhausted`` says that every search was.
    ``progress`` is called as by ``explore``.
    """
    asked = engine if isinstance(engine, Engine) else raft() if engine is None else raft(engine)
    wanted = SEARCHES if searches is None else searches
    reports = [report for _, report in run_searches(asked, wanted, machine=machine, progress=progress)]
    return reports[-1] if reports[-1].broken else _together(reports)


def run_searches(
    engine: Engine,
    searches: Sequence[QuickSearch],
    *,
    machine: MakeMachine = KeyValue,
    progress: Watcher | None = None,
) -> Iterator[tuple[QuickSearch, Report]]:
    """Run searches one after the other; the first violation, or an interrupt, ends them."""
    for search in searches:
        report = search.run(engine, machine, progress)
        yield search, report
        if report.broken or report.interrupted:
            return


def _together(reports: Sequence[Report]) -> Report:
    seen = {fact for report in reports for fact in report.facts_seen}
    return replace(
        reports[-1],
        worlds=sum(report.worlds for report in reports),
        transitions=sum(report.transitions for report in reports),
        turns=sum(report.turns for report in reports),
        depth=max(report.depth for report in reports),
        exhausted=all(report.exhausted for report in reports),
        searches=len(reports),
        facts_seen=tuple(sorted(seen)),
        path=(),
        reached=None,
    )


# Goals


def leads(node: int, *, term: int = 1, committed: int = 0) -> Predicate:
    """A server leads, in this term or a later one, and has committed up to an index."""

    def holds(world: ExplorerState) -> bool:
        state = world[node].state
        return node in world.leaders and state.term >= term and state.committed >= committed

    return holds


def elected(node: int, *, term: int = 1, timeouts: int = 1, committed: int = 0, writes: int = 0) -> Stage:
    """The stage that ends when a server leads."""
    bounds = Bounds(timeouts=timeouts, writes=writes, retries=0)
    return Stage(bounds=bounds, goal=leads(node, term=term, committed=committed))


def commits(node: int, index: int, *, without: Sequence[int] = (), bounds: Bounds) -> Stage:
    """The stage that ends when a leader has committed an index that some servers have not heard of."""

    def holds(world: ExplorerState) -> bool:
        return leads(node, committed=index)(world) and all(world[one].state.log.last.index < index for one in without)

    return Stage(bounds=bounds, goal=holds)


def _is_known_to_new_voters(world: ExplorerState) -> bool:
    """Servers 3, 4 and 5 know the change of membership, and 1 and 2 do not."""
    return all((world[node].state.log.last.index >= 3) == (node >= 3) for node in range(1, 6))


def _is_elected_by_new_voters(world: ExplorerState) -> bool:
    """Server 4 leads in term 2, of which servers 1 and 2 have not heard."""
    return leads(4, term=2)(world) and all(world[node].state.term < 2 for node in (1, 2))


def _old_voters_lack_commits(world: ExplorerState) -> bool:
    """Server 1 has committed two changes of the membership, of which servers 2 and 3 have not heard."""
    return world[1].state.committed >= 4 and all(world[node].state.log.last.index <= 2 for node in (2, 3))


def _has_old_grant(world: ExplorerState) -> bool:
    """Server 2 has voted for 1 in term 1, and 1 is a candidate of term 2 before it hears that."""
    voter = world[2].state.vote
    return world[1].state.term == 2 and (voter.term, voter.node) == (1, 1) and world[3].state.term == 1


def _all_have_acknowledged(world: ExplorerState) -> bool:
    """Server 1 leads, and knows that the others have its whole log."""
    role = world[1].state.role
    return isinstance(role, Leader) and all(one.matched == 2 for one in role.progress)


_ALONE = Stage(bounds=Bounds(), goal=leads(1), keep=True)
"""Server 1 leads, and its first messages are on their way."""
_FIRST = elected(1, committed=2)
"""Server 1 leads, and has committed the entry that a leader begins with, on two servers."""
_SECOND = elected(2, term=2, committed=2)
"""Server 2 leads in a later term, without server 1."""
_LONG = Stage(bounds=Bounds(writes=2), goal=lambda world: leads(1)(world) and world[1].state.log.last.index == 4)
"""Server 1 leads, and has entries that nobody else has."""
_NEWCOMERS = Membership.of({1, 2, 3}, learners={4, 5})
_CHANGE = Bounds(timeouts=0, retries=2, changes=({4, 5},))
_LEASES = replace(NO_SNAPSHOTS, vote_lease=True)
_ALL_HAVE_IT = Stage(bounds=Bounds(), goal=_all_have_acknowledged)
"""Server 1 leads, holds a lease from both others, and each of them has its whole log."""

SEARCHES: tuple[QuickSearch, ...] = (
    QuickSearch(about="a vote after a restart", bounds=Bounds(timeouts=2, crashes=1, depth=7)),
    QuickSearch(about="two elections", bounds=Bounds(timeouts=2, depth=9)),
    QuickSearch(about="an even number of voters", nodes=4, bounds=Bounds(timeouts=2, depth=6)),
    QuickSearch(about="half of the voters commit", nodes=4, stages=(_ALONE,), bounds=Bounds(timeouts=0)),
    QuickSearch(
        about="votes of an earlier election",
        stages=(Stage(bounds=Bounds(timeouts=2), goal=_has_old_grant, keep=True),),
        bounds=Bounds(timeouts=1, depth=7),
    ),
    QuickSearch(about="the longer log of an older term", stages=(_LONG, _SECOND), bounds=Bounds(timeouts=2, depth=6)),
    QuickSearch(
        about="the shorter log of the same term",
        stages=(
            Stage(bounds=Bounds(), goal=lambda world: all(one.state.log.last.index == 2 for one in world)),
            commits(1, 3, without=[3], bounds=Bounds(timeouts=0, writes=1, retries=1)),
        ),
        bounds=Bounds(timeouts=1, depth=5),
    ),
    QuickSearch(about="promises and the disk", bounds=Bounds(timeouts=2, crashes=1, instant_disk=False, depth=9)),
    QuickSearch(
        about="a leader's own disk",
        stages=(_ALONE,),
        bounds=Bounds(timeouts=0, crashes=1, instant_disk=False, writes=1, depth=7),
    ),
    QuickSearch(
        about="Figure 8",
        config=replace(NO_SNAPSHOTS, max_append_entries=1),
        stages=(elected(1), elected(2, term=2), elected(1, term=3, timeouts=2)),
        bounds=Bounds(timeouts=2, retries=1, depth=10, worlds=12_000),
    ),
    QuickSearch(
        about="logs that conflict",
        stages=(_LONG, _SECOND),
        bounds=Bounds(timeouts=0, retries=2, heartbeats=1, writes=1, duplicates=1, depth=8, worlds=6_000),
    ),
    QuickSearch(
        about="a log that was not compared",
        config=replace(NO_SNAPSHOTS, max_append_entries=1),
        stages=(_LONG, elected(2, term=2, committed=2, writes=1), elected(3, term=3, committed=3)),
        bounds=Bounds(timeouts=0, retries=1, depth=6),
    ),
    QuickSearch(about="a deposed leader reads", stages=(_FIRST,), bounds=Bounds(timeouts=1, reads=1, depth=8)),
    QuickSearch(
        about="one server answers a deposed leader",
        nodes=Membership.of({1, 2, 3}, learners={4}),
        stages=(elected(1), _SECOND),
        bounds=Bounds(timeouts=0, reads=1, depth=4),
    ),
    QuickSearch(
        about="a new leader reads",
        stages=(elected(1, committed=3, writes=1),),
        bounds=Bounds(timeouts=1, reads=1, depth=9, worlds=20_000),
    ),
    QuickSearch(
        about="a transfer that comes late",
        stages=(_ALL_HAVE_IT,),
        bounds=Bounds(timeouts=0, transfers=1, leases=1, depth=8),
    ),
    QuickSearch(
        about="a lease that is over",
        config=_LEASES,
        stages=(_ALL_HAVE_IT,),
        bounds=Bounds(timeouts=1, leases=2, lease_reads=1, depth=8),
    ),
    QuickSearch(
        about="a lease of the next round",
        config=_LEASES,
        stages=(_ALL_HAVE_IT,),
        bounds=Bounds(timeouts=1, heartbeats=1, leases=1, lease_reads=1, depth=10),
    ),
    QuickSearch(
        about="vote leases and restarts",
        config=_LEASES,
        stages=(_ALL_HAVE_IT,),
        bounds=Bounds(timeouts=1, crashes=2, lease_reads=1, depth=8),
    ),
    QuickSearch(
        about="a lease after a transfer",
        config=_LEASES,
        stages=(_ALL_HAVE_IT,),
        bounds=Bounds(timeouts=0, transfers=1, leases=1, lease_reads=1, depth=8),
    ),
    QuickSearch(
        about="commands sent again",
        stages=(_FIRST,),
        bounds=Bounds(timeouts=0, writes=1, resends=1, retries=1, depth=8),
    ),
    QuickSearch(about="learners", nodes=_NEWCOMERS, stages=(_ALONE,), bounds=Bounds(timeouts=0, depth=5)),
    QuickSearch(
        about="the commit of a change",
        nodes=_NEWCOMERS,
        stages=(_FIRST,),
        bounds=replace(_CHANGE, depth=6, changes=({4, 5}, {1, 4})),
    ),
    QuickSearch(
        about="elections during a change",
        nodes=_NEWCOMERS,
        stages=(
            Stage(bounds=Bounds(), goal=leads(3, committed=2)),
            Stage(bounds=_CHANGE, goal=_is_known_to_new_voters),
            Stage(bounds=Bounds(timeouts=1, depth=6), goal=_is_elected_by_new_voters),
        ),
        bounds=Bounds(timeouts=1, depth=5),
    ),
    QuickSearch(
        about="a change upon a change",
        nodes=_NEWCOMERS,
        stages=(_FIRST, Stage(bounds=replace(_CHANGE, changes=({4, 5}, {1, 4})), goal=_old_voters_lack_commits)),
        bounds=Bounds(timeouts=1, depth=4),
    ),
    QuickSearch(
        about="a leader that removes itself",
        stages=(_ALL_HAVE_IT,),
        bounds=Bounds(timeouts=0, changes=({2, 3},), depth=9),
    ),
    QuickSearch(
        about="a snapshot that arrives twice",
        stages=(commits(1, 3, without=[3], bounds=Bounds(writes=1)),),
        bounds=Bounds(timeouts=0, writes=1, snapshots=1, retries=1, duplicates=1, depth=9, worlds=15_000),
    ),
    QuickSearch(
        about="a snapshot in two chunks",
        config=replace(NO_SNAPSHOTS, snapshot_chunk=len(SNAPSHOT) // 2),
        stages=(commits(1, 3, without=[3], bounds=Bounds(writes=1)),),
        bounds=Bounds(timeouts=0, crashes=1, snapshots=1, retries=2, duplicates=1, depth=11, worlds=15_000),
    ),
)
"""The searches of a quick pass, in the order in which they are made."""
BRIEF = SEARCHES[:4]
"""The first ones, for rules of a learner that take their time."""
WORLDS = 60_000
"""States after which a long search ends."""
LONG: tuple[QuickSearch, ...] = (
    QuickSearch(about="one election, one write", symmetric=True, bounds=Bounds(timeouts=1, writes=1, worlds=WORLDS)),
    QuickSearch(about="two whole elections", symmetric=True, bounds=Bounds(timeouts=2, worlds=WORLDS)),
    QuickSearch(
        about="two elections, a crash, slow disks",
        symmetric=True,
        bounds=Bounds(timeouts=2, crashes=1, instant_disk=False, worlds=WORLDS),
    ),
    QuickSearch(
        about="two servers, three elections, a crash",
        nodes=2,
        symmetric=True,
        bounds=Bounds(timeouts=3, crashes=1, writes=1, instant_disk=False, worlds=WORLDS),
    ),
    QuickSearch(
        about="two elections, a write, a duplicate",
        symmetric=True,
        bounds=Bounds(timeouts=2, writes=1, duplicates=1, worlds=WORLDS),
    ),
    QuickSearch(about="four servers, two elections", nodes=4, symmetric=True, bounds=Bounds(timeouts=2, worlds=WORLDS)),
    QuickSearch(
        about="a change of voters",
        symmetric=True,
        bounds=Bounds(timeouts=2, changes=(frozenset({1, 2}),), worlds=WORLDS),
    ),
    QuickSearch(about="snapshots", symmetric=True, bounds=Bounds(timeouts=2, writes=2, snapshots=1, worlds=WORLDS)),
)
"""Searches that take some minutes together: with ``pyraft-lab check --explore``."""
