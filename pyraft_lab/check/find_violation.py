"""The hunt: a mutant is set on its trial until something falls, and the run is shrunk to its story.

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
"""Seeds that are tried where the one on record shows nothing."""


def mutant(name: str) -> Mutant:
    """A mutant by its name; ``ConfigError`` lists the names there are."""
    if name not in MUTANTS:
        raise ConfigError("mutant", name, did_you_mean(name, MUTANTS))
    return MUTANTS[name]


def hunt(name: str) -> Simulation:
    """The shrunk run in which a mutant breaks a property it should keep; its story is ``.trace.story()``."""
    return shrink(find_violation(mutant(name)))


def find_violation(target: Mutant, tries: int = TRIES) -> Simulation:
    """A run of the mutant's trial in which something falls: with its own seed, or else the first that shows it."""
    for seed in (target.seed, *range(tries)):
        sim = target.attempt(seed)
        if failure(sim) is not None:
            return sim
    raise PyraftError(f"{tries} tries did not show that the mutant {target.name} is wrong")
