"""The page of measurements: ``PYTHONPATH=. python -m tests.bench.report [FILE.json …]``.

It measures the simulator, scale and the explorer on this machine, adds the rows in the given files (JSON that other
benches print: a table, or tables by title), and keeps all in ``results.json``. ``mkdocs`` makes the page of that file.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec import json as msgspec_json

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore
from tests.bench import clients, recording, scale

RESULTS = Path(__file__).with_name("results.json")
Table = dict[str, float]
NOTES = {
    clients.TITLE: """\
Who waits for one write at a time waits for the interpreter: the write and what follows it are twelve steps of three
engines on one core (the proposal; two appends and three syncs; two answers; two commits and their answers), about 3,000
calls of Python functions, and two hops between the caller's thread and the cluster's. Over a broker with SQLite, the
leader's sync runs beside the sending (dissertation §10.2.1), so one sync, of a follower, is in the way of a commit.

With 4,096 tasks at the handle a write costs 11 µs of processor time: 4 in the engines, disks, frames and machines of
all three nodes, 2.5 in the call, 0.5 in its end, 1.5 to 2 in asyncio, which wakes a task for each write, and up to 1 in
Python's garbage collector; the rest is memory that 4,096 tasks touch in turn. A batch spares the call and the task.""",
    scale.SIMULATOR: """\
Of an event that is checked and not recorded about 45 % are the simulated world (timers, disks, messages, clients, a
state that never changes in place), 33 % the engine, and 20 % the checks of every step: without them it takes 27 µs.
No function has more than 4 %. Python 3.13 needs a tenth less. mypyc drops the arguments of msgspec's structs, of which
every state is made; the seven modules of the engine without structs, compiled, save 7 %.""",
    scale.NODES: """\
A leader of 51 nodes sends and receives 12.5 times as many messages for an entry as one of 5, and each of them is a step
of some engine; that an entry costs only about ten times as much is because its own work is done once.""",
    scale.SESSIONS: """\
The work is the same however many sessions there are: the next session is found in a tree, and the least recently used
one by its place. What grows is the time that memory takes which was not touched for a million commands.""",
    recording.TITLE: """\
A write is twelve steps and six messages, and each leaves a record. Two thirds of what the full level adds is making
them; the rest is keeping the last 20,000, since states that would die young in the processor's cache die old in cold
memory.""",
}
"""What a table's figures come from, by its title."""


class Results(Struct, frozen=True, kw_only=True):
    """Tables by title, and where and when they were measured; the title says the unit."""

    date: str
    cores: int
    python: str
    tables: dict[str, Table]


def measured() -> Results:
    """Everything that one process measures."""
    tables = scale.measure() | {"explorer: states a second of processor time": explorer()}
    return Results(
        date=datetime.now(UTC).date().isoformat(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        tables=tables,
    )


def explorer() -> Table:
    """How many states a search visits in a second of processor time."""
    found = {}
    for name, nodes, bounds in (
        ("3 servers, two timeouts", 3, Bounds(timeouts=2)),
        ("5 servers, one timeout", 5, Bounds(timeouts=1)),
    ):
        began = time.process_time()
        found[name] = explore(nodes, bounds=bounds).worlds / (time.process_time() - began)
    return found


def added(results: Results, paths: Iterable[Path]) -> Results:
    """The results with the tables of these files; a file with one table is named after itself."""
    tables = dict(results.tables)
    for path in paths:
        found = json.loads(path.read_text(encoding="utf-8"))
        flat = all(isinstance(value, (int, float)) for value in found.values())
        tables |= {path.stem: found} if flat else found
    return Results(date=results.date, cores=results.cores, python=results.python, tables=tables)


def page(results: Results) -> str:
    """The page in Markdown."""
    about = (
        f"Measured on {results.date} with Python {results.python} on a machine with {results.cores} cores, "
        "beside other programs: times vary from machine to machine and from day to day, and only ratios of runs that "
        "took turns on one machine say anything about the code. `python -m tests.bench.report` measures again.\n\n"
        "Times are microseconds of processor time unless the title says otherwise; medians of runs in turn."
    )
    lines = ["# Measurements\n", about]
    for title, table in sorted(results.tables.items()):
        note = [f"{NOTES[title]}\n"] if title in NOTES else []
        lines += [f"\n## {title.capitalize()}\n", *note, *rows(table)]
    return "\n".join(lines) + "\n"


def rows(table: Mapping[str, float]) -> list[str]:
    """A table in Markdown."""
    return ["| what | figure |", "|---|---:|", *(f"| {name} | {figure:,.2f} |" for name, figure in table.items())]


def kept() -> Results:
    """The results that were measured last."""
    return msgspec_json.decode(RESULTS.read_bytes(), type=Results)


def main() -> None:
    """Measure, add the files, keep the results; with ``--add`` alone only add files to what is kept."""
    paths = [Path(name) for name in sys.argv[1:] if not name.startswith("--")]
    results = kept() if "--add" in sys.argv else measured()
    RESULTS.write_bytes(msgspec_json.format(msgspec_json.encode(added(results, paths)), indent=1) + b"\n")
    sys.stdout.write(page(kept()))


if __name__ == "__main__":
    main()
