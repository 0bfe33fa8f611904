"""The failure of a run as one value: the first violated invariant, or a history that is not linearizable."""

from msgspec import Struct

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.sim.simulation import Simulation

LINEARIZABLE = "linearizability"
RAISES = "nothing raises"
"""The property that is violated if Raft raises an error while it runs."""
STEPS = 300_000
"""Steps of the linearizability search after which a history counts as undecided, and not as a failure."""


class Failure(Struct, frozen=True):
    """A violated property: its name, and how it was violated."""

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


def failure(sim: Simulation) -> Failure | None:
    """The first invariant that a run violates, else why its history is not linearizable; ``None`` if all is well.

    Histories are checked against the sequential spec of the key-value machine.
    """
    if sim.violations:
        return Failure(sim.violations[0].name, sim.violations[0].what)
    verdict = check_linearizable(sim.history, "kv", steps=STEPS)
    return Failure(LINEARIZABLE, verdict.explain()) if verdict.ok is False else None
