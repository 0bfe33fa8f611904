"""What is wrong with a run, in one value: the first broken invariant, or a history without an order."""

from msgspec import Struct

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.sim.simulation import Simulation

LINEARIZABLE = "linearizability"
STEPS = 300_000
"""Questions to the model before a history counts as undecided, and so as no failure."""


class Failure(Struct, frozen=True):
    """A property that fell, and how."""

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


def failure(sim: Simulation) -> Failure | None:
    """The first invariant that a run has broken, or else why its history is not linearizable; ``None`` if all is well.

    Histories are judged by the model of the key-value machine.
    """
    if sim.violations:
        return Failure(sim.violations[0].name, sim.violations[0].what)
    verdict = check_linearizable(sim.history, "kv", steps=STEPS)
    return Failure(LINEARIZABLE, verdict.explain()) if verdict.ok is False else None
