"""Which seeds show a mutant at once, and how long its story then is; run it when a change of Raft has moved them.

python tests/bench/mutants.py             all mutants, half a minute each at most
python tests/bench/mutants.py NAME …      these
"""

import sys
from itertools import count, takewhile
from time import perf_counter

from pyraft_lab.check.failure import failure
from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.check.mutants.mutant import Mutant
from pyraft_lab.check.shrink import shrink

BUDGET, ENOUGH = 30.0, 5
"""Seconds for one mutant; so many seeds are enough to choose from."""


def stories(one: Mutant) -> list[tuple[int, int, str]]:
    """Events of the shrunk run, seed and what fell; the shortest first."""
    began, found = perf_counter(), list[tuple[int, int, str]]()
    for seed in takewhile(lambda _: perf_counter() - began < BUDGET and len(found) < ENOUGH, count()):
        run = one.attempt(seed)
        if failure(run) is not None:
            small = shrink(run)
            fell = failure(small)
            found.append((len(small.trace), seed, fell.name if fell else ""))
    return sorted(found)


if __name__ == "__main__":
    for name in sys.argv[1:] or MUTANTS:
        one = MUTANTS[name]
        shown = ", ".join(f"{seed} ({events} events, {fell})" for events, seed, fell in stories(one))
        sys.stdout.write(f"{name:24} now {one.seed:5}; shortest first: {shown or 'none'}\n")
