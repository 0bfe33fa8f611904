"""Find a violation: run a mutant over seeds until an invariant is violated, and shrink that run.

>>> small = hunt("half-elects")
>>> small.violations[0].name, len(small.trace) <= 20
('election safety', True)
"""

from pyraft_lab.check.failure import failure
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.shrink import shrink
from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.sim.simulation import Simulation

TRIES = 2000
"""The number of seeds to try if the mutant's own seed shows no violation."""


def mutant(name: str) -> Mutant:
    """The mutant of a name; raises ``ConfigError``, which lists the names, for an unknown one."""
    if name not in MUTANTS:
        raise ConfigError("mutant", name, did_you_mean(name, MUTANTS))
    return MUTANTS[name]


def hunt(name: str) -> Simulation:
    """The shrunk run in which the mutant ``name`` violates a property; ``.trace.story()`` tells its story.

    Raises ``ConfigError`` for an unknown name.
    """
    return shrink(find_violation(mutant(name)))


def find_violation(target: Mutant, tries: int = TRIES) -> Simulation:
    """A run of the mutant that violates a property, with the mutant's own seed or else the first of ``tries`` seeds.

    Raises ``PyraftError`` if none of them shows a violation.
    """
    for seed in (target.seed, *range(tries)):
        sim = target.attempt(seed)
        if failure(sim) is not None:
            return sim
    raise PyraftError(f"{tries} tries did not show that the mutant {target.name} is wrong")
