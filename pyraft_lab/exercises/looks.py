"""The looks at a learner's rules: trials, a short campaign, a pass of the explorer; the first violation is shrunk.

Each is a small function, bounded by counts and not by clocks, so the same rules get the same verdict on every machine.
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import asdict, replace

from pyraft_lab.check.campaign import RunSettings, check_run
from pyraft_lab.check.explore.quick import BRIEF, quick
from pyraft_lab.check.explore.report import Report
from pyraft_lab.check.failure import LINEARIZABLE, failure
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.schedule import Move
from pyraft_lab.check.shrink import Shrinker
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.rules import Rules
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.guard import RuleFailed
from pyraft_lab.exercises.situations import scenarios
from pyraft_lab.sim.simulation import Simulation

USUAL_TRIALS = ("ignores-logs", "writes-again", "changes-at-once")
MOST_TRIALS = 12
SHRINK_TRIES, SHRINK_HISTORY_TRIES = 150, 50
"""Attempts to make a failing run shorter, and a run with a failing history, each of which takes longer."""


class Found(Struct, frozen=True):
    """What a look found: what was looked at; the failure's name and sentence if there is one, and the run."""

    looked: str
    name: str = ""
    what: str = ""
    run: Simulation | None = None


def look(names: Iterable[str], rules: Rules) -> Iterator[Found]:
    """Look at a cluster under ``rules``, for the rules of these names first; stop at the first failure."""
    engine = raft(rules)
    sides: tuple[Callable[[], Found], ...] = (
        lambda: trials(names, rules),
        lambda: quick_search(engine),
        lambda: short_campaign(engine),
    )
    for side in sides:
        found = _guarded(side)
        yield found
        if found.name:
            return


def _guarded(side: Callable[[], Found]) -> Found:
    """A look; what a rule or the engine raises is a failure too."""
    try:
        return side()
    except RuleFailed as failed:
        return Found("a run", "an answer", str(failed))
    except (PyraftError, AssertionError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        return Found("a run", "the engine", f"it could not go on after an answer: {type(error).__name__}: {error}")


def trials(names: Iterable[str], rules: Rules) -> Found:
    """Scenarios that are made to show mistakes in these rules, under the learner's rules."""
    wanted = list(dict.fromkeys(trial for name in names for trial in scenarios(name)))[:MOST_TRIALS]
    for name in wanted or USUAL_TRIALS:
        mutant = replace(MUTANTS[name], rules=asdict(rules), config={})
        run = mutant.attempt(MUTANTS[name].seed)
        found = failure(run)
        if found is not None:
            return Found(f"scenario {name!r}", found.name, found.what, shortened(run))
    count = len(wanted or USUAL_TRIALS)
    return Found(f"{count} scenario{'s' if count > 1 else ''}")


def short_campaign(engine: Engine) -> Found:
    """One run with faults that must stay safe and recover."""
    settings = RunSettings(nodes=3, faults="light", seconds=1.0, engine=engine, config=Config(pre_vote=False))
    run = settings.run(1, record=True)
    found = check_run(run)
    if found is None:
        return Found(f"a run with faults ({run.world.events:,} events)")
    return Found("a run with faults", found.name, found.what, shortened(run) if failure(run) else None)


def quick_search(engine: Engine) -> Found:
    """Every run of some small clusters: two elections, a vote after a restart, an even number of servers."""
    report = quick(engine, searches=BRIEF)
    if report.interrupted:
        raise KeyboardInterrupt
    if report.broken:
        return Found("the explorer", report.broken, _path(report), report.simulation())
    return Found(f"{report.worlds:,} states of the explorer")


def _path(report: Report) -> str:
    return f"violated after {len(report.path)} actions; no run is shorter"


def shortened(run: Simulation) -> Simulation:
    """The run made shorter, with a bounded number of attempts; as it is if it cannot be played again."""
    try:
        found = failure(run)
        assert found is not None, "only a failing run is made shorter"
        shrinker = BoundedShrinker(run, found.name)
        shrinker.drop_servers()
        shrinker.drop_moves()
        return shrinker.result()
    except PyraftError:
        return run


class BoundedShrinker(Shrinker):
    """A shrinker that ends after a number of attempts, with the shortest run so far."""

    def __init__(self, run: Simulation, violation: str) -> None:
        self.tries = SHRINK_HISTORY_TRIES if violation == LINEARIZABLE else SHRINK_TRIES
        super().__init__(run, violation)

    def _accept(self, moves: Iterable[Move], gone: tuple[NodeId, ...] | None = None) -> bool:
        self.tries -= 1
        return self.tries >= 0 and super()._accept([*moves], gone)
