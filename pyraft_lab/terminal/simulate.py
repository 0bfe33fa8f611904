"""``pyraft-lab simulate``: one run, by seed, by plan or from a capsule; its result and the verdict."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pyraft_lab.check.campaign import RunSettings, check_run
from pyraft_lab.check.failure import Failure, failure
from pyraft_lab.check.liveness import liveness_bound
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.errors import CapsuleError, ConfigError, PyraftError
from pyraft_lab.sim.faults.generate import LEVELS
from pyraft_lab.sim.faults.plan import Plan
from pyraft_lab.sim.faults.run import simulate_plan
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.workload import Load
from pyraft_lab.terminal import options
from pyraft_lab.terminal.streams import print_error
from pyraft_lab.trace.record import Record

EXAMPLES = """examples:
  pyraft-lab simulate                                      five servers, a minute of light faults
  pyraft-lab simulate --nodes 5 --seed 7 --seconds 60 --faults heavy
  pyraft-lab simulate --seed 7 --trace run.parquet         keep every event, for pandas and for Trace.load
  pyraft-lab simulate --seed 7 --story | less              the whole run in sentences
  pyraft-lab simulate --plan leader-dies.yaml              faults and their times from a file
  pyraft-lab simulate --capsule pyraft2.431.9f3c… --story  a run that you received, checked to be the same

a plan, in YAML or JSON (everything is optional):
  nodes: 3
  seconds: 5
  weather: {loss: 0.1, latency: [0.001, 0.002, 0.2], links: [{src: 1, dst: 2, loss: 0.5}]}
  faults:
    - {do: crash, at: 1.0, lasts: 0.5, node: leader}
    - {do: partition, at: 2.0, lasts: 1, groups: [[1], [2, 3]], name: one against two}

exit code: 0 if nothing is violated, 1 if something is, 2 if it could not run"""

RULES = {"raft": RAFT, "advanced": ADVANCED}
SAFE, VIOLATED, REFUSED = 0, 1, 2
"""Exit codes: nothing is violated, something is, or it could not run."""
NODES, SEED, SECONDS, FAULTS = 5, 7, 60.0, "light"
SHOWN_EVERY = 200
"""Events between two updates of the progress line."""

Observer = Callable[[Record], None]


def main(arguments: Sequence[str]) -> int:
    """Run one simulated cluster with faults; 0 if nothing is violated."""
    chosen = build_parser().parse_args(arguments)
    return in_one_line(lambda console: _simulate(chosen, console))


def build_parser() -> argparse.ArgumentParser:
    """The options; one that is not given is ``None``, because plans and capsules have their own values."""
    parser = parser_of("simulate", "One simulated cluster, one verdict.", EXAMPLES)
    parser.set_defaults(nodes=None, rules=None)
    parser.add_argument("--seed", type=options.seed, help=f"the seed of all random choices ({SEED})")
    parser.add_argument("--seconds", type=options.seconds, help=f"virtual seconds of faults ({SECONDS:.0f})")
    parser.add_argument("--faults", choices=LEVELS, help=f"the profile of faults ({FAULTS})")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="a plan of faults in a .yaml or .json file")
    parser.add_argument(
        "--capsule", metavar="TEXT", help="a run as text, a link with it, a file, or - for standard input"
    )
    trace = options.new_file(".parquet", ".jsonl", needs=("pandas", "pyarrow"))
    parser.add_argument("--trace", type=trace, metavar="FILE", help="keep the trace: .parquet or .jsonl")
    parser.add_argument("--story", action="store_true", help="print the run in sentences")
    return parser


# What `check` and `explore` need, too


def parser_of(
    name: str, description: str, examples: str, *, nodes: int = NODES, varies: bool = False
) -> argparse.ArgumentParser:
    """A parser with the options of every command that runs simulated clusters; where they vary, ``None`` is usual."""
    parser = options.OptionParser(
        prog=f"pyraft-lab {name}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    some, rules = (None, None) if varies else (nodes, "raft")
    parser.add_argument(
        "--nodes", type=options.servers, default=some, help=f"how many servers ({'varies' if varies else nodes})"
    )
    parser.add_argument(
        "--rules", choices=RULES, default=rules,
        help=f"the rules of Raft, plain or advanced ({'both' if varies else rules})",
    )  # fmt: skip
    return parser


def settings_of(chosen: argparse.Namespace) -> RunSettings:
    """The run settings in the options."""
    return RunSettings(
        nodes=chosen.nodes,
        faults=chosen.faults,
        seconds=chosen.seconds,
        engine=raft(RULES[chosen.rules]),
        config=Config(),
    )


def in_one_line(act: Callable[[Console], int]) -> int:
    """Run ``act`` and print its errors in one line."""
    try:
        return act(Console())
    except (PyraftError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print_error(f"{type(error).__name__}: {error}")
        return REFUSED


@contextmanager
def progress_line(console: Console, words: str) -> Iterator[Callable[[str], None]]:
    """A progress line for work of unknown length; it shows the text it is given."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as line:
        task = line.add_task(words)
        yield lambda now: line.update(task, description=now)


def show_capsule(sim: Simulation, console: Console) -> None:
    """Print the run's capsule, and how to open it."""
    console.print(
        "\nOpen this run with `pyraft-lab simulate --story --capsule TEXT`, or with `Simulation.from_capsule(text)`;"
        f"\ncapsule: {sim.capsule()}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


# One run


def _simulate(chosen: argparse.Namespace, console: Console) -> int:
    with _progress(console) as progress:
        sim, found = _run(chosen, progress)
    if chosen.trace is not None:
        sim.trace.save(chosen.trace)
    if chosen.story:
        console.print(sim.trace.story(), markup=False, highlight=False, soft_wrap=True)
    console.print(_summary(sim, chosen.trace))
    if found is None:
        end = "" if chosen.capsule else ", and live after healing"
        console.print(f"[bold]Nothing is violated[/]: safe at every step, linearizable{end}.")
        return SAFE
    console.print(f"[bold red]{found.name} is violated[/]")
    console.print(found.what, markup=False, highlight=False)
    show_capsule(sim, console)
    return VIOLATED


@contextmanager
def _progress(console: Console) -> Iterator[Observer]:
    """A line that shows the progress of the run."""
    with progress_line(console, "running …") as say:

        def show(record: Record) -> None:
            if record.id % SHOWN_EVERY == 0:
                say(f"{record.time:.1f} virtual seconds, {record.id:,} events")

        yield show


def _run(chosen: argparse.Namespace, progress: Observer) -> tuple[Simulation, Failure | None]:
    """The chosen run, and its violation, if any."""
    if chosen.capsule is not None:
        _refuse(chosen, "capsule", "plan", "nodes", "seed", "seconds", "faults", "rules")
        sim = Simulation.from_capsule(_text_of(chosen.capsule))
        return sim, failure(sim)
    if chosen.plan is not None:
        _refuse(chosen, "plan", "faults")
        sim = _staged(chosen, progress)
    else:
        sim = _by_chance(chosen, progress)
    return sim, check_run(sim)


def _refuse(chosen: argparse.Namespace, having: str, *others: str) -> None:
    """Refuse options that a plan or a capsule already sets."""
    for name in others:
        if getattr(chosen, name) is not None:
            raise ConfigError(f"--{name}", getattr(chosen, name), f"the {having} already sets this")


def _text_of(capsule: str) -> str:
    """The text of a capsule, given as text, link, file or standard input."""
    if capsule == "-":
        return sys.stdin.read()
    if capsule.startswith("pyraft") or "://" in capsule:
        return capsule
    try:
        return Path(capsule).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CapsuleError(f"{capsule[:40]!r} is neither a capsule nor a file with one ({error})") from error


def _staged(chosen: argparse.Namespace, progress: Observer) -> Simulation:
    plan = Plan.load(chosen.plan)
    told = {name: getattr(chosen, name) for name in ("nodes", "seed", "seconds") if getattr(chosen, name) is not None}
    rules, quiet = RULES[chosen.rules or "raft"], liveness_bound(plan.config_from(Config()))
    return simulate_plan(replace(plan, **told), rules=rules, load=Load(), quiet=quiet, observers=[progress])


def _by_chance(chosen: argparse.Namespace, progress: Observer) -> Simulation:
    usual = {"nodes": NODES, "rules": "raft", "seed": SEED, "seconds": SECONDS, "faults": FAULTS}
    asked = {name: value for name in usual if (value := getattr(chosen, name)) is not None}
    full = argparse.Namespace(**usual | asked)
    return settings_of(full).validated().run(full.seed, record=True, observers=[progress])


def _summary(sim: Simulation, path: Path | None) -> RenderableType:
    table = Table(show_header=False, box=None)
    calls = sim.calls
    for name, value in (
        ("servers", f"{len(sim.nodes)}"),
        ("seed", str(sim.seed)),
        ("virtual time", f"{sim.now:.1f} s"),
        ("events", f"{sim.world.events:,}"),
        ("client calls", f"{len(calls):,}, {sum(call.ok for call in calls):,} of them answered"),
        ("leader", f"node {sim.leader} in term {sim.nodes[sim.leader].term}" if sim.leader else "nobody"),
        ("committed", f"{max(node.commit for node in sim.nodes.values()):,} entries"),
        ("trace", f"{sim.trace.digest()}{f' in {path}' if path else ''}"),
    ):
        table.add_row(name, value)
    return table
