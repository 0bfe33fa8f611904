"""Two versions in turn on one machine: ``python -m tests.bench.pairs OTHER_TREE`` (``--json`` for the report).

Each version runs the simulator in a process of its own, a few hundred events at a time and never both at once; the
medians of the ratios are printed, since everything else on the machine slows both down alike.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
ROUNDS, EVENTS = 31, 400
WAYS = {
    "recorded, checked": "record=True, is_checked=True",
    "not recorded, checked": "record=False, is_checked=True",
    "neither": "record=False, is_checked=False",
}
WORKER = """
import sys
sys.path.append({bench!r})
from scale import Run
run = Run.of({way})
for _ in sys.stdin:
    print(run.events({events}), flush=True)
"""


def worker(tree: Path, way: str) -> "subprocess.Popen[str]":
    """A process that runs a tree's simulator; each line it reads makes it go on, and it prints the cost of an event."""
    program = WORKER.format(bench=str(Path(__file__).parent), way=way, events=EVENTS)
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tree,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def asked(process: "subprocess.Popen[str]") -> float:
    """The cost of an event over the next few hundred, in microseconds of processor time."""
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def ratio(other: Path, way: str, rounds: int = ROUNDS) -> float:
    """How many times as fast this tree is as the other."""
    both = [worker(other, way), worker(ROOT, way)]
    costs = [[asked(one) for one in both] for _ in range(rounds)]
    for one in both:
        assert one.stdin is not None, "it is a pipe"
        one.stdin.close()
        one.wait()
    return median(before / after for before, after in costs)


def main() -> None:
    """Print the ratios."""
    other = Path(next(name for name in sys.argv[1:] if not name.startswith("--"))).resolve()
    found = {f"{name}: times as fast": ratio(other, way) for name, way in WAYS.items()}
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"simulator against the version before: ratio": found}, indent=2) + "\n")
        return
    for name, times in found.items():
        sys.stdout.write(f"{name:40}{times:8.2f}\n")


if __name__ == "__main__":
    main()
