"""One seed of a campaign: what its draw says is carried out and judged."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from msgspec import Struct

from pyraft_lab.check.applier_trial import applier_failure
from pyraft_lab.check.checkers import checks_of
from pyraft_lab.check.client_trial import client_failure
from pyraft_lab.check.disk_trial import storage_failure
from pyraft_lab.check.failure import Failure, failure
from pyraft_lab.check.live_trial import Observers, live_failure
from pyraft_lab.check.liveness import (
    ends_liveness,
    is_throttled,
    liveness,
    liveness_bound,
    permits_disruption,
    under_load,
)
from pyraft_lab.check.machine_trial import machine_failure
from pyraft_lab.check.node_trial import node_failure
from pyraft_lab.check.scenarios.interrupted_snapshot import InterruptedSnapshotScenario
from pyraft_lab.check.scenarios.lost_answer import LostAnswerScenario
from pyraft_lab.check.scenarios.random_walk import RandomWalk
from pyraft_lab.check.scenarios.returning_servers import RETURNS, ReturningServerScenario
from pyraft_lab.check.scenarios.single_step_change import SingleStepChangeScenario
from pyraft_lab.check.scenarios.stale_reads import StaleReadScenario
from pyraft_lab.check.standing import standing
from pyraft_lab.check.swarm import MACHINES, WALKS, Draw, Judged
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.errors import BadCommand
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.faults.generate import LEVELS, Level, plan_of
from pyraft_lab.sim.faults.run import run_plan
from pyraft_lab.sim.properties import Checker
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Write


class Attempt(Protocol):
    """One simulated run: recorded or not, and watched by observers."""

    def __call__(self, *, record: bool = False, observers: Observers = ()) -> Simulation:
        """Run it."""
        ...


Scenario = (
    RandomWalk
    | StaleReadScenario
    | SingleStepChangeScenario
    | LostAnswerScenario
    | InterruptedSnapshotScenario
    | ReturningServerScenario
)
PARTS: Sequence[Callable[[Draw], Failure | None]] = (machine_failure, client_failure, applier_failure, node_failure)
"""The trials of single parts; they take little time, and follow the scenarios, which take as little."""
BETWEEN = 100_003
"""The seeds of the runs of one draw are this far apart, so that no other draw has them."""
CREATED_AFTER = 0.05
"""Virtual seconds after which a cluster of empty servers is created."""
QUIET = 1.0
"""Virtual seconds after healing where liveness is not judged."""


class Trial(Struct, frozen=True, kw_only=True):
    """One draw, and what the user of the campaign gave: an engine (``None``: the draw's table of rules), a level."""

    draw: Draw
    engine: Engine | None = None
    level: Level | None = None
    strict: bool = False

    @property
    def rules(self) -> Engine:
        """The engine of its servers."""
        if self.engine is not None:
            return self.engine
        return raft(ADVANCED if self.draw.rules == "advanced" else RAFT)

    def attempts(self) -> Iterator[Attempt]:
        """The simulated runs of this trial, one after the other until one fails; none where nothing is simulated."""
        if self.draw.method == "faults":
            yield self._by_faults
        for place, scenario in enumerate(self._scenarios()):
            yield partial(self._by_scenario, scenario, place)

    def _scenarios(self) -> Sequence[Scenario]:
        match self.draw.method:
            case "walk":
                return [RandomWalk(**self.draw.walk)] * WALKS  # type: ignore[arg-type]
            case "stale reads":
                return [StaleReadScenario(self.draw.setup, self.draw.policy)] * 3
            case "lost answer":
                return [LostAnswerScenario()] * 3
            case "interrupted snapshot":
                return [InterruptedSnapshotScenario()] * 3
            case "returning servers":
                return [ReturningServerScenario(name) for name in RETURNS]
            case "single step":
                return [SingleStepChangeScenario()]
            case _:
                return ()

    # Simulated runs

    def _by_faults(self, *, record: bool = False, observers: Observers = ()) -> Simulation:
        """Run the drawn cluster under a generated plan of faults and the drawn load of clients."""
        draw = self.draw
        sim = self._cluster(draw.seed, draw.settings, record=record, observers=observers)
        if not draw.initialize:
            self._create(sim)
        profile = draw.profile if self.level is None else LEVELS[self.level]
        plan = () if profile is None else plan_of(profile, seed=draw.seed, nodes=draw.nodes, seconds=draw.seconds)
        quiet = liveness_bound(draw.settings) if "healed" in draw.judged else QUIET
        run_plan(sim, plan, seconds=draw.seconds, load=draw.load, quiet=quiet)
        return sim

    def _by_scenario(
        self,
        scenario: Scenario,
        place: int,
        *,
        record: bool = False,
        observers: Observers = (),
    ) -> Simulation:
        draw, knobs = self.draw, scenario.knobs if isinstance(scenario, ReturningServerScenario) else {}
        seed, config = draw.seed + BETWEEN * place, Config(**{**draw.config, **knobs})
        sim = self._cluster(seed, config, record=record, observers=observers)
        scenario.run(sim)
        if "healed" in draw.judged and not sim.violations:
            sim.run(liveness_bound(draw.settings))
        return sim

    def _cluster(self, seed: int, config: Config, *, record: bool, observers: Observers) -> Simulation:
        draw = self.draw
        sim = Simulation(
            draw.nodes,
            seed,
            engine=self.rules,
            config=config,
            machine=MACHINES[draw.expiry],
            weather=draw.conditions,
            learners=draw.learners if draw.initialize else 0,
            initialize=draw.initialize,
            record=record,
            checks=self.checks(config),
        )
        for observer in observers:
            sim.watch(observer)
        return sim

    def _create(self, sim: Simulation) -> None:
        """Create the cluster at one of its servers, with all of them as voters."""
        sim.run(CREATED_AFTER)
        nodes = list(sim.nodes)
        first = nodes[int(chance(sim.seed, Purpose.FAULT, 2, 0) * len(nodes))]
        sim.initialize(nodes, at=first)
        sim.run(CREATED_AFTER)
        sim.initialize(nodes, at=first)  # refused: it exists

    def checks(self, config: Config) -> tuple[Checker, ...]:
        """What is checked after every event."""
        return checks_of(self.rules, config, strict=self.strict)

    # The verdict

    def judge(self, sim: Simulation) -> Failure | None:
        """The first failure of a finished run: an invariant, its history, then liveness as the draw says."""
        found = failure(sim) or _refused(sim)
        if found is not None:
            return found
        judges = {"healed": liveness, "load": under_load, "standing": standing}
        stuck = next((one for name in judged(self.draw) for one in judges[name](sim)), None)
        return None if stuck is None else Failure(stuck.name, stuck.what)

    def judge_other(self, observers: Observers = ()) -> Failure | None:
        """The failure of live nodes, or of single parts: a storage, a machine, a client, an applier, calls."""
        match self.draw.method:
            case "faults" | "walk":
                return None
            case "live":
                return live_failure(self.draw, self.rules, observers)
            case method:
                parts = (storage_failure, *PARTS) if method == "storage" else PARTS
                return next(filter(None, (one(self.draw) for one in parts)), None)


DISTURBED = "liveness: without pre-vote and a lease that lasts from round to round, removed servers may disturb"
ENDED = "liveness: not drawn, or a knob ends it"
THROTTLED = "liveness under load: tiny windows or limits permit less than the load"


def not_judged(draw: Draw) -> str:
    """What liveness of a draw is not judged, and why, in words; empty if all that was drawn is."""
    if not draw.judged or ends_liveness(draw.settings):
        return ENDED
    if permits_disruption(draw.settings, draw.conditions):
        return DISTURBED
    return THROTTLED if is_throttled(draw.settings) and set(draw.judged) - {"healed"} else ""


def judged(draw: Draw) -> tuple[Judged, ...]:
    """What liveness of a draw is judged."""
    why = not_judged(draw)
    if not why:
        return draw.judged
    return tuple(name for name in draw.judged if why == THROTTLED and name == "healed")


def _refused(sim: Simulation) -> Failure | None:
    """A valid command that the machine refused: a serial was used twice, or a session mixed up."""
    errors = (call.error for call in sim.calls if isinstance(call.call.request, Write))
    refused = next((error for error in errors if isinstance(error, BadCommand)), None)
    return None if refused is None else Failure("valid commands are accepted", str(refused))
