"""Three walks through the code: how many files and functions of the package each enters, as in ARCHITECTURE.md."""

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

from pyraft_lab import LocalCluster, Simulation, viz

PACKAGE = str(Path(__file__).parents[2] / "pyraft_lab")


class Walk:
    """Counts the functions of the package that are entered while ``is_on``, on this thread and those started later."""

    def __init__(self) -> None:
        self.functions = set[tuple[str, str]]()
        self.is_on = False

    def __enter__(self) -> Self:
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        threading.setprofile(None)
        sys.setprofile(None)

    def _note(self, frame: FrameType, what: str, _: object) -> None:
        code = frame.f_code
        if self.is_on and what == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith("<"):
            self.functions.add((code.co_filename, code.co_qualname))

    def __str__(self) -> str:
        return f"{len({file for file, _ in self.functions})} files, {len(self.functions)} functions"


def of(act: Callable[[], Any]) -> Walk:
    """The walk of an act that was done once before, so that nothing is imported or made for the first time."""
    act()
    with Walk() as walk:
        walk.is_on = True
        act()
    return walk


async def one_write() -> Walk:
    """A client's write to three live nodes in memory, until its caller has the answer, with what goes on beside."""
    command = {"op": "put", "key": "x", "value": 1}
    with Walk() as walk:
        async with LocalCluster(3) as cluster:
            await cluster.wait_leader(timeout=10)
            await cluster.client.write(command)
            walk.is_on = True
            await cluster.client.write(command)
            walk.is_on = False
    return walk


def main() -> None:
    """Print the three walks."""
    sim = Simulation(3, seed=1)
    sim.run(1.0)
    trace = sim.trace
    print(f"one client write: {asyncio.run(one_write())}")  # noqa: T201
    print(f"one simulated step: {of(sim.step)}")  # noqa: T201
    print(f"one figure: {of(lambda: viz.roles(trace))}")  # noqa: T201


if __name__ == "__main__":
    main()
