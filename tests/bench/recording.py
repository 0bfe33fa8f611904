"""What recording adds to a write on live nodes: ``python -m tests.bench.recording`` (``--json`` for the report).

Shares of processor time, 64 tasks at a handle of three nodes in memory, in turn. A full record costs twice: when it is
made, and when it is kept, because states that would die young in the cache die old in cold memory; the observer that
keeps nothing shows the first alone.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from statistics import median

from pyraft_lab.runtime.bench import measure
from pyraft_lab.runtime.recorder import Level, Observer
from pyraft_lab.trace.record import Record

TITLE = "recording on live nodes: percent that a level adds to a write"
SECONDS, ROUNDS = 2.0, 7


def forget(record: Record) -> None:
    """Keep nothing."""


def a_write(level: Level, observer: Observer | None = None) -> float:
    """Microseconds of processor time for a write."""
    return asyncio.run(measure(level=level, seconds=SECONDS, observer=observer)).cpu


WAYS: Mapping[str, Callable[[], float]] = {
    "protocol": lambda: a_write("protocol"),
    "full, kept nowhere": lambda: a_write("full", forget),
    "full, the last 20,000 kept": lambda: a_write("full"),
}


def shares() -> Mapping[str, float]:
    """The median share of each way, in percent."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        off = a_write("off")
        for name, way in WAYS.items():
            found[name].append(100 * (way() / off - 1))
    return {name: median(all_of_it) for name, all_of_it in found.items()}


def main() -> None:
    """Print the table."""
    table = shares()
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({TITLE: table}) + "\n")
    else:
        for name, share in table.items():
            sys.stdout.write(f"{name:28} {share:5.1f} %\n")


if __name__ == "__main__":
    main()
