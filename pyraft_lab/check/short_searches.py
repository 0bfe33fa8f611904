"""Short exhaustive searches beside a campaign: what chance may miss in a small cluster, a search within bounds cannot.

>>> [one.name for one in SHORT]
['one election, one write', 'two servers, two elections, a crash']
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import Report, Watcher, explore
from pyraft_lab.engine.engine import Engine


class ShortSearch(Struct, frozen=True, kw_only=True):
    """One search: its name, the number of servers, and its bounds."""

    name: str
    nodes: int = 3
    bounds: Bounds = Bounds()
    symmetric: bool = True


WORLDS = 60_000
"""States after which a long search ends."""
SHORT = (
    ShortSearch(name="one election, one write", bounds=Bounds(timeouts=1, writes=1, worlds=WORLDS)),
    ShortSearch(name="two servers, two elections, a crash", nodes=2,
         bounds=Bounds(timeouts=2, crashes=1, instant_disk=False, worlds=5_000)),
)  # fmt: skip
"""A few seconds: every campaign of the command line begins with it."""
LONG = (
    ShortSearch(name="two elections", bounds=Bounds(timeouts=2, worlds=WORLDS)),
    ShortSearch(name="two elections, a crash, slow disks",
         bounds=Bounds(timeouts=2, crashes=1, instant_disk=False, worlds=WORLDS)),
    ShortSearch(name="two servers, three elections, a crash", nodes=2,
         bounds=Bounds(timeouts=3, crashes=1, writes=1, instant_disk=False, worlds=WORLDS)),
    ShortSearch(name="two elections, a write, a duplicate",
                bounds=Bounds(timeouts=2, writes=1, duplicates=1, worlds=WORLDS)),
    ShortSearch(name="four servers, two elections", nodes=4, bounds=Bounds(timeouts=2, worlds=WORLDS)),
    ShortSearch(name="a change of voters", bounds=Bounds(timeouts=2, changes=(frozenset({1, 2}),), worlds=WORLDS)),
    ShortSearch(name="snapshots", bounds=Bounds(timeouts=2, writes=2, snapshots=1, worlds=WORLDS)),
)  # fmt: skip
"""Some minutes: with ``pyraft-lab check --explore``."""


def run_searches(
    engine: Engine, searches: Sequence[ShortSearch] = SHORT, *, progress: Watcher | None = None
) -> Iterator[tuple[ShortSearch, Report]]:
    """Run searches one after the other; the first violation ends them.

    ``progress`` is called with states, queued states and depth. An interrupt ends them all (``KeyboardInterrupt``).
    """
    for one in searches:
        report = explore(one.nodes, engine=engine, bounds=one.bounds, symmetric=one.symmetric, progress=progress)
        if report.interrupted:  # the caller is to end, and not only this search
            raise KeyboardInterrupt
        yield one, report
        if report.broken:
            return
