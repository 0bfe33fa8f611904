"""``pyraft-lab check``: a campaign as a table, or the search for a mutant's mistake as a story."""

import argparse
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, InvalidStateError, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from multiprocessing import active_children
from os import cpu_count
from pathlib import Path

from msgspec import Struct
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pyraft_lab.check.campaign import Campaign, Row, run_campaign
from pyraft_lab.check.explore.explorer import Report
from pyraft_lab.check.explore.quick import LONG, quick, run_searches
from pyraft_lab.check.failure import failure
from pyraft_lab.check.find_violation import any_mutant, catch, find_violation
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.code_mutant import CodeMutant
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.shrink import shrink
from pyraft_lab.check.situations import NOT_LOOKED_FOR, SITUATIONS
from pyraft_lab.concurrency import Serial
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.faults.generate import LEVELS
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.terminal import options
from pyraft_lab.terminal.check_settings import config_or_file, load_or_file
from pyraft_lab.terminal.report import write_report
from pyraft_lab.terminal.simulate import RULES, SAFE, VIOLATED, in_one_line, parser_of, progress_line, show_capsule

EXAMPLES = """examples:
  pyraft-lab check                                         a hundred seeds; each tries something else
  pyraft-lab check --seeds 0:200 --nodes 5 --faults heavy  two hundred, of five servers
  pyraft-lab check --config '{"keep_logs": 0}' --report out.html
  pyraft-lab check --explore                               besides, every run of some small clusters
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
    parser = build_parser()
    chosen = parser.parse_args(arguments)
    ignored = _given(parser, chosen) if chosen.mutants or chosen.mutant is not None else ()
    if ignored:
        parser.error(f"with --mutant or --mutants nothing else applies, but {' and '.join(ignored)} is given")
    if chosen.mutants:
        return in_one_line(_show_mutants)
    if chosen.mutant is not None:
        return in_one_line(lambda console: _show_any_mutant(chosen.mutant, console))
    return in_one_line(lambda console: _check(chosen, console))


def _given(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> tuple[str, ...]:
    """The options that differ from their defaults, except the mutants."""
    values = {name: value for name, value in vars(chosen).items() if name not in {"mutant", "mutants"}}
    return tuple(f"--{name}" for name, value in values.items() if value != parser.get_default(name))


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = parser_of("check", "Many ways to break Raft, one table.", EXAMPLES, varies=True)
    parser.add_argument(
        "--seeds", type=options.seeds, default=range(100), help="FIRST:STOP, or a list with commas (0:100)"
    )
    parser.add_argument("--seconds", type=options.seconds, help="virtual seconds of faults in each run (varies)")
    parser.add_argument(
        "--faults", choices=LEVELS, default="heavy", help="heavy tries everything, other levels one profile (heavy)"
    )
    parser.add_argument(
        "--config", type=config_or_file, metavar="JSON", help="settings as JSON, or a file with them (varies)"
    )
    parser.add_argument("--load", type=load_or_file, metavar="JSON", help="the clients' load, likewise (varies)")
    parser.add_argument("--strict", action="store_true", help="check everything, whichever rules are swapped")
    parser.add_argument("--explore", action="store_true", help="search small clusters exhaustively, for some minutes")
    parser.add_argument(
        "--report",
        type=options.new_file(".html", needs=("plotly",)),
        metavar="FILE",
        help="write the verdict as a page that works offline",
    )
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
    engine = None if chosen.rules is None else raft(RULES[chosen.rules])
    searches = _search(chosen, engine, console)
    with _executor(chosen.workers) as executor, _progress(console, len(chosen.seeds), chosen.out) as progress:
        campaign = run_campaign(
            chosen.seeds,
            nodes=chosen.nodes,
            faults=chosen.faults,
            engine=engine,
            seconds=chosen.seconds,
            config=chosen.config,
            load=chosen.load,
            strict=chosen.strict,
            executor=executor,
            path=chosen.out,
            progress=progress,
        )
    console.print(_table(campaign))
    for line in (*searches.lines, *reach_lines(campaign)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    small = [sim for row in campaign.failures[:1] if (sim := _show_failure(row, console)) is not None]
    if searches.broken is not None:
        show_search(searches.broken, console)
    if chosen.report is not None:
        write_report(campaign, chosen.report, searches=searches.lines, story=small[0] if small else None)
        console.print(f"report: {chosen.report}", markup=False, highlight=False, soft_wrap=True)
    return SAFE if campaign.ok and searches.broken is None else VIOLATED


class Searches(Struct):
    """What the searches beside a campaign found: a line each, and the first violation."""

    lines: list[str] = []
    broken: Report | None = None

    def add(self, about: str, report: Report) -> None:
        """Note one more report; an interrupted one ends everything."""
        if report.interrupted:
            raise KeyboardInterrupt
        self.lines.append(f"search: {about}: {report}")
        self.broken = self.broken or (report if report.broken else None)


def _search(chosen: argparse.Namespace, engine: Engine | None, console: Console) -> Searches:
    """Search small clusters exhaustively: briefly for both tables of rules, and longer with ``--explore``."""
    found = Searches()
    for name, table in {"raft": raft(RAFT), "advanced": raft(ADVANCED)}.items() if engine is None else [("", engine)]:
        with progress_line(console, "searching …") as say:
            report = quick(table, progress=lambda worlds, *_: say(f"{worlds:,} states"))
            found.add(f"small searches{name and f' under {name}'}", report)
            if chosen.explore and not report.broken:
                for one, longer in run_searches(table, LONG, progress=lambda worlds, *_: say(f"{worlds:,} states")):
                    found.add(one.about, longer)
    return found


def _why_not(name: str) -> str:
    return NOT_LOOKED_FOR[name]


def reach_lines(campaign: Campaign) -> Iterator[str]:
    """What a campaign reached, what it never reached, and what it did not judge."""
    yield f"reached: {len(SITUATIONS) - len(campaign.missed)} of {len(SITUATIONS)} situations"
    if campaign.missed:
        yield f"never reached, so nothing is said of: {', '.join(campaign.missed)}"
    for why, names in groupby(sorted(NOT_LOOKED_FOR, key=_why_not), key=_why_not):
        yield f"not looked for ({why}): {', '.join(names)}"
    for what, seeds in campaign.not_judged.items():
        yield f"not judged in {seeds} seeds: {what}"
    for name, rules in campaign.left_out.items():
        yield f"left out: {name}, since it presupposes {', '.join(rules)} (--strict checks it)"


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


def _show_failure(row: Row, console: Console) -> Simulation | None:
    """Print a failure and its shrunk story; returns the shrunk run, if the seed was simulated."""
    console.print(f"\nseed {row.seed}: {row.failed} is violated")
    console.print(row.what, markup=False, highlight=False)
    console.print(f"tried: {row.draw}", markup=False, highlight=False, soft_wrap=True)
    if not row.capsule:
        console.print(f"It was found on {row.method}; `--seeds {row.seed}` finds it again.", markup=False)
        return None
    try:
        console.print("shrinking …")
        small = shrink(row.capsule)
        _tell(small, console)
    except PyraftError as error:
        console.print(f"the run could not be shrunk: {error}", markup=False)
        console.print(f"capsule: {row.capsule}", markup=False, highlight=False, soft_wrap=True)
        return None
    return small


def _show_any_mutant(name: str, console: Console) -> int:
    target = any_mutant(name)
    return _show_mutant(target, console) if isinstance(target, Mutant) else _show_code_mutant(target, console)


def _show_code_mutant(target: CodeMutant, console: Console) -> int:
    """Put a mutant with wrong code to the default campaign, and tell how it was caught."""
    console.print(
        f"[bold]{target.name}[/] {target.description} ({target.section}); its mistake is in the {target.part}, in"
        f" {target.edit.target}.\nWhat will be violated? A hint: {target.hint}.\n"
    )
    caught = catch(target)
    table = Table("mutant", "seed", "by", "events", "shrunk to", "violated")
    small = str(caught.events) if caught.story else ""
    table.add_row(
        target.name, str(caught.row.seed), caught.row.method, f"{caught.row.events:,}", small, caught.row.failed
    )
    console.print(table)
    console.print(caught.story, markup=False, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{caught.row.failed} is violated[/]")
    console.print(caught.row.what, markup=False, highlight=False)
    return VIOLATED


def _show_mutant(target: Mutant, console: Console) -> int:
    console.print(
        f"[bold]{target.name}[/] {target.description} ({target.section}).\n"
        f"What will be violated? A hint: {target.hint}.\n"
    )
    run = find_violation(target)
    small = shrink(run)
    table = Table("mutant", "seed", "servers", "events", "shrunk to", "violated")
    found = failure(small)
    servers = f"{len(run.nodes)} → {len(small.nodes)}"
    table.add_row(
        target.name, str(run.seed), servers, str(len(run.trace)), str(len(small.trace)), found.name if found else ""
    )
    console.print(table)
    _tell(small, console)
    return VIOLATED


def show_search(report: Report, console: Console) -> None:
    """The shortest path of a search to its violation, and the path as a run."""
    console.print(report.story(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"\n[bold red]{report.broken} is violated[/] after {len(report.path)} steps; no run is shorter.")
    show_capsule(report.simulation(), console)


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
    table = Table("mutant", "in", "what it changes", "section of the paper")
    for one in MUTANTS.values():
        table.add_row(one.name, "rules", one.description, one.section)
    for other in CODE_MUTANTS.values():
        table.add_row(other.name, other.part, other.description, other.section)
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
def _progress(console: Console, total: int, path: Path | None) -> Iterator[Callable[[Row], None]]:
    """Show how many seeds are done; after an interrupt, say so and whether a file keeps them."""
    done = (BarColumn(), MofNCompleteColumn(), TextColumn("seeds, {task.fields[failed]};"))
    clock = (TimeElapsedColumn(), TextColumn("gone,"), TimeRemainingColumn(), TextColumn("to go"))
    with Progress(*done, *clock, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, failed, ran = bar.add_task("seeds", total=total, failed="nothing violated"), 0, 0

        def advance(row: Row) -> None:
            nonlocal failed, ran
            ran += 1
            failed += not row.ok
            bar.update(task, advance=1, failed=f"{failed} failed" if failed else "nothing violated")

        try:
            yield advance
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or SIGTERM
            kept = f"{path} keeps them; the same command goes on" if path else "with --out FILE they would be kept"
            verdict = f"{failed} failed" if failed else "nothing violated"
            said = f"{ran} of {total} seeds were run, {verdict}; {kept}"
            console.print(said, markup=False, highlight=False, soft_wrap=True)
            raise
