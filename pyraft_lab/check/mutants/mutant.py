"""A mutant: a Raft that is wrong in one place, and the trial that shows it."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.scenarios.lost_answer import LostAnswerScenario
from pyraft_lab.check.scenarios.random_walk import RandomWalk
from pyraft_lab.check.scenarios.single_step_change import SingleStepChangeScenario
from pyraft_lab.check.scenarios.stale_reads import StaleReadScenario
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.machine import KeyValue, Sessions, StateMachine
from pyraft_lab.sim.simulation import Simulation


class Mutant(Struct, frozen=True, kw_only=True):
    """A Raft that is wrong in one place.

    ``rules`` (or ``config``, or ``machine``) are what it does otherwise, ``does`` says so in words and ``section``
    where the right answer stands; ``violates`` names the properties that may be violated first, and ``hint`` helps to
    see why.
    A ``trial`` of ``nodes`` servers (and ``learners``) under ``settings`` catches it, with ``seed`` at once.
    """

    name: str
    description: str
    section: str
    violates: tuple[str, ...]
    hint: str
    rules: Mapping[str, Callable[..., Any]] = {}
    config: Mapping[str, Any] = {}
    machine: Callable[[], StateMachine | Sessions] = KeyValue
    scenario: RandomWalk | StaleReadScenario | SingleStepChangeScenario | LostAnswerScenario = RandomWalk()
    nodes: int = 3
    learners: int = 0
    settings: Mapping[str, Any] = {}
    seed: int = 0

    @property
    def engine(self) -> Engine:
        """Raft with this mistake in it."""
        return raft(replace(RAFT, **self.rules))

    def simulation(self, seed: int | None = None) -> Simulation:
        """A cluster of such servers, to which nothing has happened."""
        plain = {} if isinstance(self.scenario, StaleReadScenario) else {"vote_lease": False}
        return Simulation(
            nodes=self.nodes,
            learners=self.learners,
            seed=self.seed if seed is None else seed,
            engine=self.engine,
            config=Config(**{"pre_vote": False, **plain, **self.settings, **self.config}),
            machine=self.machine,
        )

    def attempt(self, seed: int | None = None) -> Simulation:
        """One try to catch it: the trial from beginning to end, or to the first broken invariant."""
        sim = self.simulation(seed)
        self.scenario.run(sim)
        return sim
