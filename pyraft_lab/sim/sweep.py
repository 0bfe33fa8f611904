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

from pyraft_lab.arguments import LARGEST_SEED, bounded_list, fitting, function, integer, named_functions, text
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
MOST_RUNS = 10_000_000
"""The most seeds, and the most values of a parameter."""
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

    function("scenario", scenario)
    if not isinstance(grid, Mapping):
        raise ConfigError("grid", grid, "must map the scenario's keywords to the values they take")
    values_of = {text("grid", name): bounded_list(f"grid[{name!r}]", one, MOST_RUNS) for name, one in grid.items()}
    played = [integer("seeds", seed, -LARGEST_SEED, LARGEST_SEED) for seed in bounded_list("seeds", seeds, MOST_RUNS)]
    if executor is not None:
        fitting("executor", executor, Submits, advice="Serial() runs everything in this process")
    names, asked = tuple(values_of), {} if measures is None else named_functions("measures", measures)
    clash = (set(names) & set(asked)) | ({"seed", "now", "events", "broken", "capsule"} & {*names, *asked})
    if clash:
        raise ConfigError("grid", sorted(clash), "are columns already; take other names")
    cells = [dict(zip(names, values, strict=True)) for values in product(*values_of.values())]
    tasks = ((scenario, cell, seed, asked) for cell in cells for seed in played)
    return pd.DataFrame(list(spread(Serial() if executor is None else executor, run_cell, tasks)))


def run_cell(scenario: Scenario, cell: Mapping[str, Any], seed: int, measures: Mapping[str, Measure]) -> dict[str, Any]:
    """One row of a sweep."""
    sim = scenario(seed=seed, **cell)
    measured = {name: measure(sim) for name, measure in measures.items()}
    broken = sim.violations[0].name if sim.violations else ""
    told = {"now": sim.now, "events": sim.world.events, "broken": broken, "capsule": sim.capsule()}
    return {**cell, "seed": seed, **measured, **told}
