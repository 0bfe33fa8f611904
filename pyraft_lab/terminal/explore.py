"""``pyraft-lab explore``: every possible run of a small cluster within bounds, and the shortest violation."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from time import perf_counter

from msgspec.structs import replace
from rich.console import Console, RenderableType
from rich.table import Table

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import Watcher, explore
from pyraft_lab.check.explore.explorer_state import NO_SNAPSHOTS, cluster
from pyraft_lab.check.explore.report import Report
from pyraft_lab.check.explore.server_state import SNAPSHOT
from pyraft_lab.check.find_violation import mutant
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.errors import ConfigError
from pyraft_lab.terminal import options
from pyraft_lab.terminal.check import show_search
from pyraft_lab.terminal.simulate import RULES, SAFE, VIOLATED, in_one_line, parser_of, progress_line

EXAMPLES = """examples:
  pyraft-lab explore                                       three servers, one timeout, one write: all runs
  pyraft-lab explore --timeouts 2 --writes 0               two timeouts; --symmetric ignores the servers' names
  pyraft-lab explore --timeouts 2 --crashes 1 --disks      writes become durable one by one, and a crash loses the rest
  pyraft-lab explore --timeouts 2 --lease-reads 1 --leases 2 reads by a lease, and leases that run out
  pyraft-lab explore --snapshots 1 --retries 2 --chunks 2  a snapshot that travels in two chunks
  pyraft-lab explore --timeouts 2 --mutant votes-twice     a Raft with a mistake, and the shortest run that shows it

exit code: 0 if nothing is violated within the bounds, 1 if something is, 2 if the search could not run"""

COUNTS = {
    "timeouts": (1, "election timers that fire"),
    "writes": (1, "writes of clients"),
    "resends": (0, "writes that a client sends again"),
    "reads": (0, "reads by index, at any server"),
    "lease_reads": (0, "reads by a leader's lease; servers then have vote leases"),
    "transfers": (0, "transfers of leadership"),
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
            f"--{name.replace('_', '-')}",
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
    parser.add_argument(
        "--chunks",
        type=options.count("a number of chunks", 1, 16),
        default=1,
        metavar="N",
        help="the chunks in which a snapshot travels (%(default)s)",
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
        engine = _engine(chosen)
        world = cluster(chosen.nodes, config=_config(chosen), engine=engine)
        report = explore(world, engine=engine, bounds=bounds, symmetric=chosen.symmetric, progress=progress)
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


def _config(chosen: argparse.Namespace) -> Config:
    chunk = NO_SNAPSHOTS.snapshot_chunk if chosen.chunks == 1 else ceil(len(SNAPSHOT) / chosen.chunks)
    return replace(NO_SNAPSHOTS, vote_lease=chosen.lease_reads > 0, snapshot_chunk=chunk)


def _engine(chosen: argparse.Namespace) -> Engine:
    """The Raft to search; a mutant's mistake must be in its rules, because the search knows nothing else."""
    if chosen.mutant is None:
        return raft(RULES[chosen.rules])
    target = mutant(chosen.mutant)
    if not target.rules:
        raise ConfigError("mutant", target.name, "has no mistake in its rules; check it with pyraft-lab check --mutant")
    return target.engine


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
