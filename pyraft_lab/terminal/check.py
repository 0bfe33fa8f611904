"""``pyraft-lab check``: a campaign as a table, or the search for a mutant's mistake as a story."""

import argparse
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, InvalidStateError, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children
from os import cpu_count

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pyraft_lab.check.campaign import Campaign, Row, run_campaign
from pyraft_lab.check.failure import failure
from pyraft_lab.check.find_violation import find_violation, mutant
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.shrink import shrink
from pyraft_lab.concurrency import Serial
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.faults.generate import LEVELS
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.terminal import options
from pyraft_lab.terminal.simulate import FELL, SAFE, in_one_line, parser_of, settings_of, show_capsule

EXAMPLES = """examples:
  pyraft-lab check --seeds 0:200 --nodes 5 --faults heavy  two hundred runs on every core
  pyraft-lab check --seeds 0:10000 --out campaign.parquet  after an interrupt it continues where it was
  pyraft-lab check --seeds 3,14,15 --workers 1             some seeds, one after the other
  pyraft-lab check --mutant ignores-logs                   find the mistake of a mutant, and tell its story
  pyraft-lab check --mutants                               list all mutants

exit code: 0 if nothing is violated, 1 if something is (as with every mutant), 2 if it could not run"""

MAX_WORKERS = 256
SHOWN = 20
"""The most failures that have a row of their own."""


def main(arguments: Sequence[str]) -> int:
    """Run a campaign or check a mutant; 0 if nothing is violated."""
    chosen = build_parser().parse_args(arguments)
    if chosen.mutants:
        return in_one_line(_show_mutants)
    if chosen.mutant is not None:
        return in_one_line(lambda console: _show_mutant(mutant(chosen.mutant), console))
    return in_one_line(lambda console: _check(chosen, console))


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = parser_of("check", "Many simulated clusters, one table.", EXAMPLES)
    parser.add_argument(
        "--seeds", type=options.seeds, default=range(100), help="FIRST:STOP, or a list with commas (0:100)"
    )
    parser.add_argument(
        "--seconds", type=options.seconds, default=20.0, help="virtual seconds of faults in each run (20)"
    )
    parser.add_argument("--faults", choices=LEVELS, default="heavy", help="the profile of faults (heavy)")
    parser.add_argument(
        "--workers",
        type=options.count("a number of processes", 1, MAX_WORKERS),
        default=cpu_count() or 1,
        help="processes (one for every core)",
    )
    parser.add_argument(
        "--out",
        type=options.new_file(".parquet", needs=("pyarrow",)),
        metavar="FILE",
        help="keep the rows in a .parquet file, and continue from it",
    )
    parser.add_argument(
        "--mutant", metavar="NAME", help="check this mutant instead, and tell the shortest run that shows its mistake"
    )
    parser.add_argument("--mutants", action="store_true", help="list the mutants")
    return parser


# A campaign


def _check(chosen: argparse.Namespace, console: Console) -> int:
    with _executor(chosen.workers) as executor, _progress(console, len(chosen.seeds)) as progress:
        trial = settings_of(chosen)
        campaign = run_campaign(
            chosen.seeds,
            nodes=trial.nodes,
            faults=trial.faults,
            engine=trial.engine,
            seconds=trial.seconds,
            executor=executor,
            path=chosen.out,
            progress=progress,
        )
    console.print(_table(campaign))
    for row in campaign.failures[:1]:
        _show_failure(row, console)
    return SAFE if campaign.ok else FELL


def _table(campaign: Campaign) -> RenderableType:
    """The first failures one by one, and all other runs in one line."""
    table = Table("seeds", "verdict", "events", "calls", "elections", "crashes", "events/s")
    good = [row for row in campaign.rows if row.ok]
    if good:
        table.add_row(f"{len(good):,}", "nothing violated", *_sums(good))
    for row in campaign.failures[:SHOWN]:
        table.add_row(f"seed {row.seed}", f"[red]{row.failed}[/]", *_sums([row]))
    if len(campaign.failures) > SHOWN:
        table.add_row("…", f"[red]{len(campaign.failures) - SHOWN:,} more[/]", *[""] * 5)
    return table


def _sums(rows: Sequence[Row]) -> Iterator[str]:
    for name in ("events", "calls", "elections", "crashes"):
        yield f"{sum(getattr(row, name) for row in rows):,}"
    yield f"{sum(row.events for row in rows) / max(sum(row.took for row in rows), 1e-9):,.0f}"


def _show_failure(row: Row, console: Console) -> None:
    console.print(f"\nseed {row.seed}: {row.failed} is violated")
    console.print(row.what, markup=False, highlight=False)
    try:
        console.print("shrinking …")
        _tell(shrink(row.capsule), console)
    except PyraftError as error:
        console.print(f"the run could not be shrunk: {error}", markup=False)
        console.print(f"capsule: {row.capsule}", markup=False, highlight=False, soft_wrap=True)


def _show_mutant(prey: Mutant, console: Console) -> int:
    console.print(
        f"[bold]{prey.name}[/] {prey.description} ({prey.section}).\nWhat will be violated? A hint: {prey.hint}.\n"
    )
    run = find_violation(prey)
    small = shrink(run)
    table = Table("mutant", "seed", "servers", "events", "shrunk to", "violated")
    found = failure(small)
    servers = f"{len(run.nodes)} → {len(small.nodes)}"
    table.add_row(
        prey.name, str(run.seed), servers, str(len(run.trace)), str(len(small.trace)), found.name if found else ""
    )
    console.print(table)
    _tell(small, console)
    return FELL


def _tell(sim: Simulation, console: Console) -> None:
    """The story of a shrunk run, what is violated in it, and its capsule."""
    console.print(sim.trace.story(), markup=False, highlight=False, soft_wrap=True)
    found = failure(sim)
    console.print(
        f"\n[bold red]{found.name} is violated[/] after {len(sim.trace)} events" if found else "\nnothing violated"
    )
    console.print(found.what if found else "", markup=False, highlight=False)
    show_capsule(sim, console)


def _show_mutants(console: Console) -> int:
    table = Table("mutant", "what it changes", "section of the paper")
    for one in MUTANTS.values():
        table.add_row(one.name, one.description, one.section)
    console.print(table)
    return SAFE


@contextmanager
def _executor(workers: int) -> Iterator[Executor]:
    """An executor for the seeds; whatever ends the command ends its processes too, in the middle of a seed."""
    if workers == 1:
        with Serial() as serial:
            yield serial
        return
    pool = ProcessPoolExecutor(workers, initializer=_leave_signals_to_the_parent)
    try:
        yield pool
    except BaseException:
        threading.excepthook = _ignore_ended_pool
        for process in active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_ended_pool(raised: threading.ExceptHookArgs) -> None:
    """Ignore the pool thread's errors about ended processes and cancelled tasks."""
    if not isinstance(raised.exc_value, (BrokenExecutor, InvalidStateError)):
        threading.__excepthook__(raised)


def _leave_signals_to_the_parent() -> None:
    """Ignore Ctrl-C in a worker: it reaches every process of a terminal, and the parent reports it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[Row], None]]:
    done = (BarColumn(), MofNCompleteColumn(), TextColumn("seeds, {task.fields[failed]};"))
    clock = (TimeElapsedColumn(), TextColumn("gone,"), TimeRemainingColumn(), TextColumn("to go"))
    with Progress(*done, *clock, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, failed = bar.add_task("seeds", total=total, failed="nothing violated"), 0

        def advance(row: Row) -> None:
            nonlocal failed
            failed += not row.ok
            bar.update(task, advance=1, failed=f"{failed} failed" if failed else "nothing violated")

        yield advance
