"""Which seeds show a mutant, and how long its story then is; run it when a change of Raft has moved them.

python -m tests.bench.mutants             all mutants by their scenarios, half a minute each at most
python -m tests.bench.mutants NAME …      these
python -m tests.bench.mutants --campaign  all mutants by the default campaign and short searches; keeps the result
python -m tests.bench.mutants --table     the kept result as a table: the site shows it
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import count, takewhile
from pathlib import Path
from time import perf_counter, process_time

import msgspec
from msgspec import Struct

from pyraft_lab.check.campaign import CampaignSettings, run_seed
from pyraft_lab.check.explore.quick import LONG, SEARCHES, run_searches
from pyraft_lab.check.failure import failure
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.shrink import shrink

BUDGET, ENOUGH = 30.0, 5
"""Seconds for one mutant; so many seeds are enough to choose from."""
SEEDS = 60
"""Seeds of the default campaign that a mutant is put to."""
KEPT = Path(__file__).with_name("mutants.json")
"""Where the results of the campaign are kept."""


def stories(one: Mutant) -> list[tuple[int, int, str]]:
    """Events of the shrunk run, seed and what was violated; the shortest first."""
    began, found = perf_counter(), list[tuple[int, int, str]]()
    for seed in takewhile(lambda _: perf_counter() - began < BUDGET and len(found) < ENOUGH, count()):
        run = one.attempt(seed)
        if failure(run) is not None:
            small = shrink(run)
            violated = failure(small)
            found.append((len(small.trace), seed, violated.name if violated else ""))
    return sorted(found)


class Caught(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a mutant was caught: seeds of a campaign or states of a search, seconds of one core, and the violation."""

    seeds: int = 0
    seconds: float = 0.0
    by: str = ""
    violated: str = ""
    states: int = 0


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who catches a mutant; ``None``: nobody within the budget, or it was not asked."""

    campaign: Caught | None = None
    explorer: Caught | None = None


def by_campaign(name: str) -> Caught | None:
    """The first seed of the default campaign that shows a mutant."""
    began = process_time()
    with CODE_MUTANTS[name].edit.applied() if name in CODE_MUTANTS else nullcontext():
        for seed in range(SEEDS):
            row = run_seed(settings(name).trial(seed))
            if not row.ok:
                seconds = round(process_time() - began, 1)
                return Caught(seeds=seed + 1, seconds=seconds, by=row.method, violated=row.failed)
    return None


def settings(name: str) -> CampaignSettings:
    """What of a campaign a mutant changes: the engine, if its mistake is in the rules."""
    return CampaignSettings(engine=MUTANTS[name].engine if name in MUTANTS and MUTANTS[name].rules else None)


def by_explorer(name: str) -> Caught | None:
    """The first short search that shows a mutant of the rules."""
    if name not in MUTANTS or not MUTANTS[name].rules:
        return None
    began, states = process_time(), 0
    for _, report in run_searches(MUTANTS[name].engine, (*SEARCHES, *LONG)):
        states += report.worlds
        if report.broken:
            seconds = round(process_time() - began, 1)
            return Caught(states=states, seconds=seconds, by="search", violated=report.broken)
        if process_time() - began > BUDGET:
            break
    return None


def kept() -> dict[str, Line]:
    """The kept results."""
    return msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Line]) if KEPT.exists() else {}


def measure(names: Sequence[str]) -> None:
    """Measure mutants, and keep each result at once."""
    for name in names:
        line = Line(campaign=by_campaign(name), explorer=by_explorer(name))
        KEPT.write_bytes(msgspec.json.format(msgspec.json.encode({**kept(), name: line})) + b"\n")
        sys.stdout.write(f"{name:28} {line}\n")
        sys.stdout.flush()


def table() -> str:
    """Every mutant, and who catches it."""
    found = kept()
    head = ["| mutant | in | what it does | source | default campaign | explorer |", "|---|---|---|---|---|---|"]
    rules = ((one.name, "rules", one.description, one.section) for one in MUTANTS.values())
    code = ((one.name, one.part, one.description, one.section) for one in CODE_MUTANTS.values())
    lines = [
        f"| `{name}` | {part} | {does} | {section} | {_by_seeds(found.get(name))} | {_by_states(found.get(name))} |"
        for name, part, does, section in (*rules, *code)
    ]
    return "\n".join((*head, *lines))


def _by_seeds(line: Line | None) -> str:
    if line is None or line.campaign is None:
        return "by its own scenario"
    one = line.campaign
    return f"seed {one.seeds - 1}, {one.seconds:g} s, {one.by}: {one.violated}"


def _by_states(line: Line | None) -> str:
    if line is None or line.explorer is None:
        return ""
    return f"{line.explorer.states:,} states, {line.explorer.seconds:g} s: {line.explorer.violated}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--table"]:
        sys.stdout.write(table() + "\n")
        sys.exit()
    if sys.argv[1:2] == ["--campaign"]:
        measure(sys.argv[2:] or (*MUTANTS, *CODE_MUTANTS))
        sys.exit()
    for name in sys.argv[1:] or MUTANTS:
        one = MUTANTS[name]
        shown = ", ".join(f"{seed} ({events} events, {violated})" for events, seed, violated in stories(one))
        sys.stdout.write(f"{name:24} now {one.seed:5}; shortest first: {shown or 'none'}\n")
