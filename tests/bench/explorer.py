"""What exploring costs on this machine: ``python -m tests.bench.explorer``.

Whole spaces of three and five servers, plain and up to names, and a part of a larger one; seconds of processor.
"""

import resource
import sys
import time
from collections.abc import Iterator

from msgspec.structs import FieldInfo, fields

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore

SPACES = (
    (3, Bounds(timeouts=1, writes=1)),
    (3, Bounds(timeouts=2)),
    (3, Bounds(timeouts=2, crashes=1)),
    (3, Bounds(timeouts=2, instant_disk=False, worlds=500_000)),
    (3, Bounds(timeouts=2, writes=1)),
    (5, Bounds(timeouts=1)),
)
ROW = "{:>5} {:>6} {:>10} {:>12} {:>7} {:>8} {:>9}  {}"


def lines() -> Iterator[str]:
    """A line for each space, and one for its quotient by names (of three servers)."""
    yield ROW.format("nodes", "up to", "worlds", "transitions", "turns", "seconds", "worlds/s", "bounds")
    for nodes, bounds in SPACES:
        yield line(nodes, bounds, symmetric=False)
        if nodes < 4:
            yield line(nodes, bounds, symmetric=True)
    yield f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"


def line(nodes: int, bounds: Bounds, *, symmetric: bool) -> str:
    """One search."""
    start = time.process_time()
    report = explore(nodes, bounds=bounds, symmetric=symmetric)
    seconds = time.process_time() - start
    assert not report.broken
    asked = ", ".join(f"{one.name}={getattr(bounds, one.name)}" for one in fields(bounds) if changed(bounds, one))
    whole = "" if report.exhausted else " (a part)"
    counts = (f"{count:,}" for count in (report.worlds, report.transitions, report.turns))
    speed = (f"{seconds:.2f}", f"{report.worlds / seconds:,.0f}")
    return ROW.format(nodes, "names" if symmetric else "", *counts, *speed, asked + whole)


def changed(bounds: Bounds, field: FieldInfo) -> bool:
    """Whether a bound is another than usual."""
    return bool(getattr(bounds, field.name) != field.default)


if __name__ == "__main__":
    for text in lines():
        sys.stdout.write(f"{text}\n")
