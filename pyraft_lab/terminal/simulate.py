"""``pyraft-lab simulate``: one simulated run, what it came to, and the verdict."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table

from pyraft_lab.check.campaign import Trial, judge
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import ADVANCED, RAFT
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.nemesis import LEVELS
from pyraft_lab.sim.simulation import Simulation

EXAMPLES = """examples:
  pyraft-lab simulate                                      five servers, a minute of light faults
  pyraft-lab simulate --nodes 5 --seed 7 --seconds 60 --faults heavy
  pyraft-lab simulate --seed 7 --trace run.parquet         keep every event, for pandas and for Trace.load
  pyraft-lab simulate --seed 7 --story | less              the whole run in sentences

exit code: 0 where nothing fell, 1 where something did, 2 where it could not be run"""

RULES = {"raft": RAFT, "advanced": ADVANCED}
SAFE, FELL, REFUSED = 0, 1, 2
"""Exit codes: nothing fell, something did, or it could not be run."""


def main(arguments: Sequence[str]) -> int:
    """Run one simulated cluster through faults; 0 when nothing fell."""
    chosen = words().parse_args(arguments)
    return guarded(lambda console: _simulate(chosen, console))


def words() -> argparse.ArgumentParser:
    """The options."""
    face = face_of("simulate", "One simulated cluster, one verdict.", EXAMPLES)
    face.add_argument("--seed", type=int, default=7, help="where all chance comes from (7)")
    face.add_argument("--seconds", type=float, default=60.0, help="virtual seconds of faults (60)")
    face.add_argument("--faults", choices=LEVELS, default="light", help="how bad it gets (light)")
    face.add_argument("--trace", type=Path, metavar="FILE", help="keep the trace: .parquet or .jsonl")
    face.add_argument("--story", action="store_true", help="print the run in sentences")
    return face


# What `check` needs, too


def face_of(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The options of every command that runs simulated clusters."""
    face = argparse.ArgumentParser(
        prog=f"pyraft-lab {name}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    face.add_argument("--nodes", type=int, default=5, help="how many servers (5)")
    face.add_argument("--rules", choices=RULES, default="raft", help="which Raft (raft)")
    return face


def trial_of(chosen: argparse.Namespace) -> Trial:
    """What the options ask for."""
    return Trial(
        nodes=chosen.nodes,
        faults=chosen.faults,
        seconds=chosen.seconds,
        engine=raft(RULES[chosen.rules]),
        config=Config(),
    )


def guarded(act: Callable[[Console], int]) -> int:
    """Errors for callers in one line."""
    try:
        return act(Console())
    except PyraftError as error:
        Console(stderr=True).print(f"{type(error).__name__}: {error}", markup=False, highlight=False)
        return REFUSED


# One run


def _simulate(chosen: argparse.Namespace, console: Console) -> int:
    trial = trial_of(chosen).validated()
    sim = trial.run(chosen.seed, record=True)
    found = judge(sim)
    if chosen.trace is not None:
        sim.trace.save(chosen.trace)
    if chosen.story:
        console.print(sim.trace.story(), markup=False, highlight=False, soft_wrap=True)
    console.print(_summary(sim, chosen.trace))
    if found is None:
        console.print("[bold]Nothing fell[/]: safe at every step, linearizable, and alive after healing.")
        return SAFE
    console.print(f"[bold red]{found.name} fell[/]")
    console.print(found.what, markup=False, highlight=False)
    console.print(f"\ncapsule: {sim.capsule()}", markup=False, highlight=False, soft_wrap=True)
    return FELL


def _summary(sim: Simulation, path: Path | None) -> RenderableType:
    table = Table(show_header=False, box=None)
    calls = sim.calls
    for name, value in (
        ("seed", str(sim.seed)),
        ("virtual time", f"{sim.now:.1f} s"),
        ("events", f"{sim.world.events:,}"),
        ("client calls", f"{len(calls):,}, of which {sum(call.ok for call in calls):,} were answered"),
        ("leader", f"node {sim.leader} in term {sim.nodes[sim.leader].term}" if sim.leader else "nobody"),
        ("committed", f"{max(node.commit for node in sim.nodes.values()):,} entries"),
        ("trace", f"{sim.trace.digest()}{f' in {path}' if path else ''}"),
    ):
        table.add_row(name, value)
    return table
