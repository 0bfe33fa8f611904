"""``pyraft-lab explore``: every possible run of a small cluster within bounds, and the shortest violation."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console, RenderableType
from rich.table import Table

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import Watcher, explore
from pyraft_lab.check.explore.report import Report
from pyraft_lab.check.find_violation import mutant
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.errors import ConfigError
from pyraft_lab.terminal import options
from pyraft_lab.terminal.check import show_search
from pyraft_lab.terminal.simulate import RULES, SAFE, VIOLATED, in_one_line, parser_of, progress_line

EXAMPLES = """examples:
  pyraft-lab explore                                       three servers, one timeout, one write: all runs
  pyraft-lab explore --timeouts 2 --writes 0               two timeouts; --symmetric ignores the servers' names
  pyraft-lab explore --timeouts 2 --crashes 1 --disks      writes become durable one by one, and a crash loses the rest
  pyraft-lab explore --timeouts 2 --mutant votes-twice     a Raft with a mistake, and the shortest run that shows it

exit code: 0 if nothing is violated within the bounds, 1 if something is, 2 if the search could not run"""

COUNTS = {
    "timeouts": (1, "election timers that fire"),
    "writes": (1, "writes of clients"),
    "crashes": (0, "crashes"),
    "duplicates": (0, "messages that arrive twice"),
    "heartbeats": (0, "rounds of heartbeats"),
    "retries": (0, "messages sent again"),
    "leases": (0, "leases, vote leases and quorum checks that expire"),
    "snapshots": (0, "snapshots"),
}
"""The bounds of :class:`~pyraft_lab.check.explore.bounds.Bounds`: the default of each, and its help."""


def main(arguments: Sequence[str]) -> int:
    """Search every state within the bounds; 0 if nothing is violated."""
    chosen = build_parser().parse_args(arguments)
    return in_one_line(lambda console: _explore(chosen, console))


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = parser_of("explore", "Every possible run of a small cluster within bounds.", EXAMPLES, nodes=3)
    for name, (usual, says) in COUNTS.items():
        parser.add_argument(
            f"--{name}",
            type=options.count("a number", 0, 1000),
            default=usual,
            metavar="N",
            help=f"{says} (%(default)s)",
        )
    parser.add_argument(
        "--worlds",
        type=options.count("a number of states", 1, 10**9),
        default=5_000_000,
        metavar="N",
        help="stop after this number of states (%(default)s)",
    )
    parser.add_argument("--disks", action="store_true", help="let writes become durable one by one")
    parser.add_argument("--symmetric", action="store_true", help="of states that differ only by names, visit one")
    parser.add_argument(
        "--mutant", metavar="NAME", help="search under the rules of this mutant; `check --mutants` lists"
    )
    return parser


def _explore(chosen: argparse.Namespace, console: Console) -> int:
    counts = {name: getattr(chosen, name) for name in COUNTS}
    bounds = Bounds(**counts, worlds=chosen.worlds, instant_disk=not chosen.disks)
    began = perf_counter()
    with _progress(console) as progress:
        report = explore(
            chosen.nodes, engine=_engine(chosen), bounds=bounds, symmetric=chosen.symmetric, progress=progress
        )
    console.print(_table(report, perf_counter() - began))
    if report.interrupted:
        raise KeyboardInterrupt
    if report.broken:
        show_search(report, console)
        return VIOLATED
    console.print(
        f"[bold]Nothing is violated[/]: {'these are all states' if report.exhausted else 'there are more states'}."
    )
    return SAFE


def _engine(chosen: argparse.Namespace) -> Engine:
    """The Raft to search; a mutant's mistake must be in its rules, because the search knows nothing else."""
    if chosen.mutant is None:
        return raft(RULES[chosen.rules])
    prey = mutant(chosen.mutant)
    if not prey.rules:
        raise ConfigError("mutant", prey.name, "has no mistake in its rules; check it with pyraft-lab check --mutant")
    return prey.engine


def _table(report: Report, seconds: float) -> RenderableType:
    table = Table(show_header=False, box=None)
    for name, value in (
        ("states", f"{report.worlds:,}"),
        ("transitions", f"{report.transitions:,}"),
        ("steps of Raft", f"{report.turns:,}"),
        ("steps deep", f"{report.depth:,}"),
        ("seconds", f"{seconds:.1f}, so {report.worlds / max(seconds, 1e-9):,.0f} states per second"),
    ):
        table.add_row(name, value)
    return table


@contextmanager
def _progress(console: Console) -> Iterator[Watcher]:
    with progress_line(console, "searching …") as say:

        def show(worlds: int, waiting: int, depth: int) -> None:
            say(f"{worlds:,} states, {waiting:,} queued, {depth} steps deep")

        yield show
