"""Campaigns: run every seed under faults on any executor; the result is a frame with a capsule of every failure.

>>> from pyraft_lab import Serial
>>> campaign = run_campaign(range(2), nodes=3, faults="light", seconds=2, executor=Serial())
>>> campaign.ok, [row.seed for row in campaign.rows]
(True, [0, 1])
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from hashlib import blake2b
from pathlib import Path
from pickle import PicklingError
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, fields

from pyraft_lab import __version__
from pyraft_lab.arguments import LARGEST_SEED, MAX_NODES, choice, function, instance, integer, number
from pyraft_lab.check.failure import Failure, failure
from pyraft_lab.check.liveness import liveness, liveness_bound, under_load
from pyraft_lab.concurrency import worker_processes
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.state import Leader
from pyraft_lab.errors import ConfigError
from pyraft_lab.extras import needed
from pyraft_lab.sim.faults.generate import LEVELS, Level, run_with_faults
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.sweep import spread
from pyraft_lab.sim.workload import Load
from pyraft_lab.trace.given import path_of
from pyraft_lab.trace.record import Kind, Record

if TYPE_CHECKING:
    import pandas as pd

SAVED_EVERY = 50
"""Number of new rows after which a campaign's file is written."""


class RunSettings(Struct, frozen=True, kw_only=True):
    """The settings of a campaign, which are the same for every seed; ``seconds`` are virtual."""

    nodes: int = 5
    faults: Level = "heavy"
    seconds: float = 20.0
    engine: Engine = Engine()
    config: Config = Config()
    load: Load = Load()

    def validated(self) -> "RunSettings":
        """These settings if they are valid; else raise ``ConfigError``, which names field, value and rule."""
        integer("nodes", self.nodes, 1, MAX_NODES)
        number("seconds", self.seconds)
        choice("faults", self.faults, tuple(LEVELS))
        instance("engine", self.engine, Engine)
        instance("config", self.config, Config).validated()
        instance("load", self.load, Load).validated()
        return self

    def run(self, seed: int, *, record: bool = False, observers: Iterable[Callable[[Record], None]] = ()) -> Simulation:
        """Run one seed until the first violated invariant, or until the cluster is healed after the last fault."""
        sim = Simulation(self.nodes, seed, engine=self.engine, config=self.config, record=record)
        for observer in observers:
            sim.watch(observer)
        run_with_faults(sim, self.faults, self.seconds, load=self.load, quiet=liveness_bound(self.config))
        return sim


class Row(Struct, frozen=True, kw_only=True):
    """The result of one seed: ``failed`` names the violated property (empty: none) and ``what`` says how.

    ``seconds`` are virtual, ``took`` real seconds; ``capsule`` is the run as text, for failures only.
    """

    seed: int
    ok: bool
    failed: str = ""
    what: str = ""
    seconds: float
    events: int
    calls: int
    answered: int
    elections: int
    crashes: int
    committed: int
    took: float
    capsule: str = ""


class Counts:
    """An observer that counts the events of a run for its row."""

    def __init__(self) -> None:
        self.crashes = 0
        self.leaderships: set[tuple[int, int]] = set()

    def __call__(self, record: Record) -> None:
        """Count one more record."""
        if record.kind is Kind.CRASH:
            self.crashes += 1
        if record.step is not None and isinstance(record.step.after.role, Leader):
            self.leaderships.add((record.step.after.term, record.node))


class Campaign:
    """The rows of all seeds, in order of seeds."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: row.seed))

    def __repr__(self) -> str:
        return f"<campaign of {len(self.rows)} seeds: {len(self.failures)} failed>"

    @property
    def ok(self) -> bool:
        """Whether no property was violated in any run."""
        return not self.failures

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows with a violated property."""
        return tuple(row for row in self.rows if not row.ok)

    @property
    def events(self) -> int:
        """The total number of events of all runs."""
        return sum(row.events for row in self.rows)

    @property
    def frame(self) -> "pd.DataFrame":
        """A frame, one row per seed, with the fields of :class:`Row` as columns."""
        with needed("pandas"):
            import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows], columns=[field.name for field in fields(Row)])


def run_campaign(
    seeds: Iterable[int],
    *,
    nodes: int = 5,
    faults: Level = "heavy",
    engine: Engine | None = None,
    executor: Executor | None = None,
    seconds: float = 20.0,
    config: Config | None = None,
    load: Load | None = None,
    path: str | Path | None = None,
    progress: Callable[[Row], None] | None = None,
) -> Campaign:
    """Run a cluster for ``seconds`` (virtual) under faults for every seed; check safety, history and liveness of each.

    ``executor`` is any of ``concurrent.futures`` or similar (default: a process for every core; this process, if no
    other can be started). With a ``path`` to a ``.parquet`` file the rows are saved there, and the next campaign on
    that file runs only the missing seeds.
    ``progress`` is called with every new row. Raises ``ConfigError`` for invalid settings.
    """
    wanted = _seeds(seeds)
    trial = RunSettings(
        nodes=nodes,
        faults=faults,
        seconds=seconds,
        engine=raft() if engine is None else engine,
        config=Config() if config is None else config,
        load=Load() if load is None else load,
    ).validated()
    if executor is not None:
        instance("executor", executor, Executor)
    if progress is not None:
        function("progress", progress)
    book = ResultsFile(trial, None if path is None else path_of(path))
    todo = [seed for seed in wanted if seed not in book.rows]
    if executor is not None:
        _run_all(executor, trial, todo, book, progress)
    elif todo:
        with worker_processes() as pool:
            _run_all(pool, trial, todo, book, progress)
    return Campaign(book.rows.values())


def _seeds(seeds: Iterable[int]) -> list[int]:
    """Every seed once, each a whole number."""
    if isinstance(seeds, (str, bytes, Mapping)) or not isinstance(seeds, Iterable):
        raise ConfigError("seeds", seeds, "must be a list of whole numbers, such as range(100)")
    return list(dict.fromkeys(integer("seeds", seed, -LARGEST_SEED, LARGEST_SEED) for seed in seeds))


def check_run(sim: Simulation) -> Failure | None:
    """The first failure of a healed run: an invariant, its history, or liveness, idle or under load; else ``None``."""
    found = failure(sim)
    if found is not None:
        return found
    stuck = next(iter(liveness(sim) or under_load(sim)), None)
    return None if stuck is None else Failure(stuck.name, stuck.what)


def run_seed(trial: RunSettings, seed: int) -> Row:
    """Run and check one seed; returns its row of the campaign."""
    began, counts = perf_counter(), Counts()
    sim = trial.run(seed, observers=[counts])
    found = check_run(sim)
    return Row(
        seed=seed,
        ok=found is None,
        failed=found.name if found else "",
        what=found.what if found else "",
        seconds=sim.now,
        events=sim.world.events,
        calls=len(sim.calls),
        answered=sum(call.ok for call in sim.calls),
        elections=len(counts.leaderships),
        crashes=counts.crashes,
        committed=max(node.commit for node in sim.nodes.values()),
        took=perf_counter() - began,
        capsule=trial.run(seed, record=True).capsule() if found else "",
    )


def _run_all(
    executor: Executor,
    trial: RunSettings,
    seeds: Iterable[int],
    book: "ResultsFile",
    progress: Callable[[Row], None] | None,
) -> None:
    try:
        for row in spread(executor, run_seed, ((trial, seed) for seed in seeds)):
            book.add(row)
            if progress is not None:
                progress(row)
    except (PicklingError, AttributeError) as error:
        raise ConfigError("engine", trial.engine, f"cannot go to another process ({error}); use Serial()") from error
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        book.save()


class ResultsFile:
    """The rows so far, in memory and, if there is a path, in a file."""

    def __init__(self, trial: RunSettings, path: Path | None) -> None:
        self.path, self.settings, self.unsaved = path, _fingerprint(trial), 0
        self.rows: dict[int, Row] = {}
        if path is not None and path.exists():
            self._load(path)

    def add(self, row: Row) -> None:
        """Add a row, and save the file now and then."""
        self.rows[row.seed] = row
        self.unsaved += 1
        if self.unsaved >= SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Write the file, if there is a path and there are new rows."""
        if self.path is None or not self.unsaved:
            return
        with needed("pyarrow"):
            import pyarrow as pa
            from pyarrow import parquet

        table = pa.Table.from_pylist([asdict(row) for row in self.rows.values()])
        part = self.path.with_name(self.path.name + ".part")
        parquet.write_table(table.replace_schema_metadata({_SETTINGS_MARK: self.settings}), part)
        part.replace(self.path)
        self.unsaved = 0

    def _load(self, path: Path) -> None:
        with needed("pyarrow"):
            import pyarrow as pa
            from pyarrow import parquet

        try:
            table = parquet.read_table(path)
        except pa.ArrowInvalid as error:
            raise ConfigError("path", str(path), f"is no campaign's file ({error}); use another one") from error
        if (table.schema.metadata or {}).get(_SETTINGS_MARK) != self.settings:
            raise ConfigError("path", str(path), "holds a campaign with other settings; use another file")
        self.rows = {row["seed"]: Row(**row) for row in table.to_pylist()}


_SETTINGS_MARK = b"pyraft_lab.trial"


def _fingerprint(trial: RunSettings) -> bytes:
    """A digest of the settings; a file's rows are reused only for the same digest."""
    rules = {name: f"{rule.__module__}:{rule.__qualname__}" for name, rule in asdict(trial.engine.rules).items()}
    told = {**asdict(trial), "engine": rules, "version": __version__}
    return blake2b(msgspec.json.encode(told), digest_size=16).hexdigest().encode()
