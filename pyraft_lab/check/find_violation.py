"""Find a violation: run a mutant over seeds until an invariant is violated, and shrink that run.

A mutant with a wrong rule has a scenario of its own. One with wrong code is put to the default campaign.

>>> small = hunt("half-elects")
>>> small.violations[0].name, len(small.trace) <= 20
('election safety', True)
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from typing import TypeVar

from msgspec import Struct

from pyraft_lab.check.campaign import CampaignSettings, Row, run_seed
from pyraft_lab.check.failure import failure
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.code_mutant import CodeMutant
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.shrink import shrink
from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.sim.simulation import Simulation

M = TypeVar("M")
TRIES = 2000
"""The number of seeds to try if the mutant's own seed shows no violation."""


def mutant(name: str) -> Mutant:
    """The mutant of a name; raises ``ConfigError``, which lists the names, for an unknown one."""
    return _found(name, MUTANTS)


def any_mutant(name: str) -> Mutant | CodeMutant:
    """The mutant of a name, with its mistake in the rules or in other code; raises ``ConfigError`` likewise."""
    tables: tuple[Mapping[str, Mutant | CodeMutant], ...] = (MUTANTS, CODE_MUTANTS)
    return _found(name, *tables)


def _found(name: str, *tables: Mapping[str, M]) -> M:
    for table in tables:
        with suppress(KeyError, TypeError):  # MUTANTS knows earlier names, too
            return table[name]
    raise ConfigError("mutant", name, did_you_mean(name, [*chain(*tables)]))


class Caught(Struct, frozen=True):
    """How the default campaign caught a mutant: the row of the failing seed, seeds tried, and the shrunk story.

    The story is empty where nothing was simulated: a storage, or live nodes.
    """

    row: Row
    seeds: int
    story: str = ""
    events: int = 0


def catch(target: CodeMutant) -> Caught:
    """Put a mutant with wrong code to the default campaign: its own seed first, then the others in order.

    Raises ``PyraftError`` if none of ``TRIES`` seeds shows a violation.
    """
    with target.edit.applied():
        for count, seed in enumerate(chain([target.seed], range(TRIES)), start=1):
            row = run_seed(CampaignSettings().trial(seed))
            if not row.ok:
                return _caught(row, count)
    raise PyraftError(f"{TRIES} seeds of the default campaign did not show that the mutant {target.name} is wrong")


def _caught(row: Row, count: int) -> Caught:
    if not row.capsule:
        return Caught(row, count)
    try:
        small = shrink(row.capsule)
    except PyraftError:
        return Caught(row, count)  # nothing is violated when only the order of events is kept
    return Caught(row, count, small.trace.story(), len(small.trace))


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
