"""Sweeps: run a scenario over a grid of settings and seeds on any executor; the result is a frame with capsules.

>>> def election(seed, nodes):
...     sim = Simulation(nodes, seed)
...     sim.run_until(lambda s: s.leader)
...     return sim
>>> frame = sweep(election, {"nodes": [3, 5]}, seeds=range(2), measures={"elected": lambda sim: sim.now > 0})
>>> [*frame.columns], len(frame)
(['nodes', 'seed', 'elected', 'now', 'events', 'broken', 'capsule'], 4)
>>> Simulation.from_capsule(frame.capsule[3]).leader is not None
True
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from pyraft_lab.concurrency import Serial
from pyraft_lab.errors import ConfigError
from pyraft_lab.extras import needed
from pyraft_lab.sim.simulation import Simulation

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")
Scenario = Callable[..., Simulation]
"""A function of ``seed`` and a cell of the grid, as keywords, that returns the finished simulation."""
Measure = Callable[[Simulation], Any]
MAX_QUEUED = 256
"""The maximum number of tasks waiting at an executor."""


@runtime_checkable
class Submits(Protocol):
    """Any executor: those of ``concurrent.futures``, Dask's ``client.get_executor()``, or one of your own."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        """Schedule a call; its future."""
        ...

    def shutdown(self, wait: bool = ..., *, cancel_futures: bool = ...) -> None:  # noqa: FBT001 (its face is given)
        """End; with ``cancel_futures`` waiting calls are not run."""
        ...


def spread(executor: Submits, function: Callable[..., R], tasks: Iterable[tuple[Any, ...]]) -> Iterator[R]:
    """Yield ``function(*task)`` for every task, in order; a limited number of tasks wait at the executor."""
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(executor.submit(function, *task))
            while waiting and (waiting[0].done() or len(waiting) >= MAX_QUEUED):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def sweep(
    scenario: Scenario,
    grid: Mapping[str, Iterable[Any]],
    seeds: Iterable[int] = range(1),
    *,
    measures: Mapping[str, Measure] | None = None,
    executor: Executor | None = None,
) -> "pd.DataFrame":
    """Run ``scenario(seed=…, **cell)`` for every cell of the grid and every seed; a frame with one row per run.

    ``grid`` maps the scenario's keywords to the values they take, ``measures`` names to functions of the finished
    simulation. Columns: the grid's, ``seed``, the measures', then ``now`` (virtual seconds), ``events``, ``broken``
    (the first violation's name, or empty) and ``capsule``, the run as text. ``executor`` is any of
    ``concurrent.futures`` or similar (default: this process); another process must be able to import the functions.
    Raises ``ConfigError`` if a name of the grid or a measure clashes with another column.
    """
    with needed("pandas"):
        import pandas as pd

    names, asked = tuple(grid), dict(measures or {})
    clash = (set(names) & set(asked)) | ({"seed", "now", "events", "broken", "capsule"} & {*names, *asked})
    if clash:
        raise ConfigError("grid", sorted(clash), "are columns already; take other names")
    cells = [dict(zip(names, values, strict=True)) for values in product(*map(tuple, grid.values()))]
    tasks = ((scenario, cell, seed, asked) for cell in cells for seed in tuple(seeds))
    return pd.DataFrame(list(spread(Serial() if executor is None else executor, run_cell, tasks)))


def run_cell(scenario: Scenario, cell: Mapping[str, Any], seed: int, measures: Mapping[str, Measure]) -> dict[str, Any]:
    """One row of a sweep."""
    sim = scenario(seed=seed, **cell)
    measured = {name: measure(sim) for name, measure in measures.items()}
    broken = sim.violations[0].name if sim.violations else ""
    told = {"now": sim.now, "events": sim.world.events, "broken": broken, "capsule": sim.capsule()}
    return {**cell, "seed": seed, **measured, **told}
