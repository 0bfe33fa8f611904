"""Campaigns: every seed tries something else, on any executor; the result is a frame with a capsule of every failure.

A seed draws its own cluster, knobs, faults and method (:mod:`.swarm`); what you give is respected, and only the rest
varies. After every block of seeds the next ones are steered to the chapters of Raft that were rare so far.

>>> from pyraft_lab import Serial
>>> campaign = run_campaign(range(2), nodes=3, faults="light", seconds=2, executor=Serial())
>>> campaign.ok, [row.seed for row in campaign.rows]
(True, [0, 1])
>>> "elected" in campaign.rows[0].situations, "joint entered" in campaign.missed
(True, True)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from pickle import PicklingError
from time import perf_counter
from traceback import extract_tb
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, fields, replace

from pyraft_lab import __version__
from pyraft_lab.arguments import (
    LARGEST_SEED,
    MAX_NODES,
    choice,
    fitting,
    flag,
    from_json,
    function,
    instance,
    integer,
    number,
)
from pyraft_lab.check.failure import RAISES, Failure, failure
from pyraft_lab.check.liveness import ends_liveness, liveness, liveness_bound, permits_disruption, under_load
from pyraft_lab.check.situations import SITUATIONS, Reached
from pyraft_lab.check.swarm import METHODS, Draw, Method, draw
from pyraft_lab.check.trial import Trial, not_judged
from pyraft_lab.concurrency import worker_processes
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.state import Leader
from pyraft_lab.errors import ConfigError
from pyraft_lab.extras import needed
from pyraft_lab.sim.faults.generate import LEVELS, Level, run_with_faults
from pyraft_lab.sim.local_invariants import left_out
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.sweep import Submits, spread
from pyraft_lab.sim.workload import Load
from pyraft_lab.trace.given import check_writable, part_of, path_of
from pyraft_lab.trace.record import Kind, Record

if TYPE_CHECKING:
    import pandas as pd

SAVED_EVERY = 50
"""Number of new rows after which a campaign's file is written."""
BLOCK = 16
"""Seeds that are drawn together; what they reached steers the next ones."""
RARE = 0.08
"""A situation is rare if a smaller share of the seeds so far has reached it."""


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


class CampaignSettings(Struct, frozen=True, kw_only=True):
    """What the user of a campaign has given, the same for every seed; what is ``None`` varies from seed to seed.

    ``faults="heavy"`` stands for everything: drawn faults, walks, scenarios, storages and live nodes. Any other level
    is its own profile of faults, and the only method. ``seconds`` are virtual.
    """

    nodes: int | None = None
    faults: Level = "heavy"
    seconds: float | None = None
    engine: Engine | None = None
    config: Config | None = None
    load: Load | None = None
    strict: bool = False

    def validated(self) -> "CampaignSettings":
        """These settings if they are valid; else raise ``ConfigError``, which names field, value and rule."""
        choice("faults", self.faults, tuple(LEVELS))
        flag("strict", self.strict)
        if self.nodes is not None:
            integer("nodes", self.nodes, 1, MAX_NODES)
        if self.seconds is not None:
            number("seconds", self.seconds)
        if self.engine is not None:
            instance("engine", self.engine, Engine)
        if self.config is not None:
            instance("config", self.config, Config).validated()
        if self.load is not None:
            instance("load", self.load, Load).validated()
        return self

    def trial(self, seed: int, focus: Sequence[str] = ()) -> Trial:
        """What a seed tries."""
        drawn = draw(seed, focus, self._methods())
        if self.nodes is not None:
            drawn = replace(drawn, nodes=self.nodes)
        if self.config is not None:
            usual, config = asdict(Config()), asdict(self.config)
            drawn = replace(drawn, config={name: value for name, value in config.items() if value != usual[name]})
        if self.load is not None:
            drawn = replace(drawn, load=self.load)
        if self.seconds is not None:
            drawn = replace(drawn, seconds=self.seconds)
        level = None if self.faults == "heavy" else self.faults
        if level is not None:
            drawn = replace(drawn, faults={}, judged=("healed", "load"))
        return Trial(draw=drawn, engine=self.engine, level=level, strict=self.strict)

    def _methods(self) -> Sequence[Method]:
        """The methods that can respect what is given."""
        methods = [name for name, _ in METHODS]
        if self.faults != "heavy":
            methods = ["faults"]
        if self.load is not None:
            methods = [name for name in methods if name in ("faults", "live")]
        if self.config is not None:
            methods = [name for name in methods if name in ("faults", "walk", "live")]
        if self.nodes is not None:
            least = {"single step": MAX_NODES, "lost answer": 3, "stale reads": 3, "interrupted snapshot": 3,
                     "returning servers": 2}  # fmt: skip
            methods = [name for name in methods if self.nodes >= least.get(name, 1)]
        return methods


class Row(Struct, frozen=True, kw_only=True):
    """The result of one seed: ``failed`` names the violated property (empty: none) and ``what`` says how.

    ``draw`` is what the seed tried, as JSON, and ``situations`` what it reached. ``seconds`` are virtual, ``took`` real
    seconds; ``capsule`` is the run as text, for failures of simulated runs.
    """

    seed: int
    ok: bool
    failed: str = ""
    what: str = ""
    method: Method = "faults"
    chapters: tuple[str, ...] = ()
    situations: tuple[str, ...] = ()
    seconds: float = 0.0
    events: int = 0
    calls: int = 0
    answered: int = 0
    elections: int = 0
    crashes: int = 0
    committed: int = 0
    took: float = 0.0
    draw: str = ""
    capsule: str = ""

    @property
    def drawn(self) -> Draw:
        """What the seed tried, as a value."""
        return from_json(self.draw, Draw)


class Counts:
    """An observer that counts what happens in the runs of one seed."""

    def __init__(self) -> None:
        self.crashes = 0
        self.leaderships: set[tuple[int, int, int]] = set()
        self.runs: list[Simulation] = []

    def __call__(self, record: Record) -> None:
        """Count one more record."""
        if record.kind is Kind.CRASH:
            self.crashes += 1
        if record.step is not None and isinstance(record.step.after.role, Leader):
            self.leaderships.add((len(self.runs), record.step.after.term, record.node))

    def figures(self) -> dict[str, float]:
        """The sums of all runs, as fields of a row."""
        calls = [call for sim in self.runs for call in sim.calls]
        return {
            "seconds": sum(sim.now for sim in self.runs),
            "events": sum(sim.world.events for sim in self.runs),
            "calls": len(calls),
            "answered": sum(call.ok for call in calls),
            "elections": len(self.leaderships),
            "crashes": self.crashes,
            "committed": sum(max(node.commit for node in sim.nodes.values()) for sim in self.runs),
        }


class Campaign:
    """The rows of all seeds, in order of seeds; ``left_out`` names the checks that the engine's rules replace."""

    def __init__(self, rows: Iterable[Row], left_out: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: row.seed))
        self.left_out: Mapping[str, tuple[str, ...]] = left_out or {}

    def __repr__(self) -> str:
        return f"<campaign of {len(self.rows)} seeds: {len(self.failures)} failed>"

    @property
    def ok(self) -> bool:
        """Whether no property was violated in any run, and there was one."""
        return bool(self.rows) and not self.failures

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows with a violated property."""
        return tuple(row for row in self.rows if not row.ok)

    @property
    def events(self) -> int:
        """The total number of events of all runs."""
        return sum(row.events for row in self.rows)

    @property
    def missed(self) -> tuple[str, ...]:
        """The situations that no seed has reached: nothing is said about them."""
        counts = _counts_of(self.rows)
        return tuple(name for name in SITUATIONS if not counts[name])

    @property
    def not_judged(self) -> Mapping[str, int]:
        """What was not judged, and in how many seeds, in words."""
        drawn = [row.drawn for row in self.rows]
        why = Counter(not_judged(one) for one in drawn if one.method == "faults")
        why.pop("", None)
        return dict(sorted(why.items()))

    @property
    def frame(self) -> "pd.DataFrame":
        """A frame, one row per seed, with the fields of :class:`Row` as columns."""
        with needed("pandas"):
            import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows], columns=[field.name for field in fields(Row)])

    @property
    def reached(self) -> "pd.DataFrame":
        """A frame, one row per situation: ``situation section chapter seeds first``; 0 seeds: it was never reached.

        ``seeds`` is the number of seeds that reached it, and ``first`` the first of them.
        """
        with needed("pandas"):
            import pandas as pd

        counts, first = _counts_of(self.rows), dict[str, int]()
        for row in self.rows:
            for name in row.situations:
                first.setdefault(name, row.seed)
        rows = [(one.name, one.section, one.chapter, counts[name], first.get(name)) for name, one in SITUATIONS.items()]
        frame = pd.DataFrame(rows, columns=["situation", "section", "chapter", "seeds", "first"])
        return frame.astype({"seeds": "int64", "first": "Int64"})


def _counts_of(rows: Iterable[Row]) -> Counter[str]:
    return Counter(name for row in rows for name in row.situations)


def run_campaign(
    seeds: Iterable[int] = range(100),
    *,
    nodes: int | None = None,
    faults: Level = "heavy",
    engine: Engine | None = None,
    executor: Submits | None = None,
    seconds: float | None = None,
    config: Config | None = None,
    load: Load | None = None,
    strict: bool = False,
    path: str | Path | None = None,
    progress: Callable[[Row], None] | None = None,
) -> Campaign:
    """Try to break Raft, in another way for every seed; check safety, histories, liveness, storages and live nodes.

    What is given is respected, and only what is not given varies; ``faults="heavy"`` is everything, another level only
    that profile of faults. Without an ``engine`` both tables of rules are tried. Under an engine with swapped rules the
    checks that presuppose such a rule are left out (``.left_out``), unless ``strict`` asks for all.

    ``executor`` is any of ``concurrent.futures`` or similar (default: a process for every core, where there are
    processes). With a ``path`` to a ``.parquet`` file the rows are saved there, and the next campaign on that file runs
    only the missing seeds. ``progress`` is called with every new row. Raises ``ConfigError`` for invalid settings.
    """
    wanted = _seeds(seeds)
    settings = CampaignSettings(
        nodes=nodes, faults=faults, seconds=seconds, engine=engine, config=config, load=load, strict=strict
    ).validated()
    if executor is not None:
        fitting("executor", executor, Submits, advice="Serial() runs everything in this process")
    if progress is not None:
        function("progress", progress)
    book = ResultsFile(settings, None if path is None else path_of(path))
    if any(seed not in book.rows for seed in wanted):
        if book.path is not None:
            check_writable(part_of(book.path))
        if executor is not None:
            _run_all(executor, settings, wanted, book, progress)
        else:
            with worker_processes() as own:
                _run_all(own, settings, wanted, book, progress)
    skipped = {} if strict or engine is None else left_out(engine.rules)
    return Campaign(book.rows.values(), skipped)


def _seeds(seeds: Iterable[int]) -> list[int]:
    """Every seed once, each a whole number; at least one, since a campaign of none would have looked at nothing."""
    if isinstance(seeds, (str, bytes, Mapping)) or not isinstance(seeds, Iterable):
        raise ConfigError("seeds", seeds, "must be a list of whole numbers, such as range(100)")
    wanted = list(dict.fromkeys(integer("seeds", seed, -LARGEST_SEED, LARGEST_SEED) for seed in seeds))
    if not wanted:
        raise ConfigError("seeds", seeds, "must name at least one seed: a campaign of none looks at nothing")
    return wanted


def check_run(sim: Simulation) -> Failure | None:
    """The first failure of a healed run: an invariant, its history, or liveness, idle or under load; else ``None``."""
    found, config = failure(sim), sim.world.setting.config
    if found is not None or permits_disruption(config, sim.weather) or ends_liveness(config):
        return found
    stuck = next(iter(liveness(sim) or under_load(sim)), None)
    return None if stuck is None else Failure(stuck.name, stuck.what)


def run_seed(trial: Trial) -> Row:
    """Run and check one seed; returns its row of the campaign."""
    began, counts, reached = perf_counter(), Counts(), Reached()
    try:
        found, capsule = _outcome(trial, counts, reached)
    except Exception as error:  # noqa: BLE001 (swapped rules, or a mistake in Raft, may raise anything: that is a finding)
        found, capsule = Failure(RAISES, _raised(error)), ""
    return Row(
        seed=trial.draw.seed,
        ok=found is None,
        failed=found.name if found else "",
        what=found.what if found else "",
        method=trial.draw.method,
        chapters=trial.draw.chapters,
        situations=reached.situations,
        took=perf_counter() - began,
        draw=msgspec.json.encode(trial.draw).decode(),
        capsule=capsule,
        **counts.figures(),  # type: ignore[arg-type]
    )


def _outcome(trial: Trial, counts: Counts, reached: Reached) -> tuple[Failure | None, str]:
    """The first failure of a seed's runs, and the capsule of that run."""
    for attempt in trial.attempts():
        sim = attempt(observers=[counts, reached])
        counts.runs.append(sim)
        found = trial.judge(sim)
        if found is not None:
            return found, attempt(record=True).capsule()
    return trial.judge_other([counts, reached]), ""


def _raised(error: Exception) -> str:
    """An error, and where in the library it was raised."""
    frames = extract_tb(error.__traceback__)[-3:]
    where = " ← ".join(f"{Path(frame.filename).stem}.{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__}: {error} ({where})"


def _run_all(
    executor: Submits,
    settings: CampaignSettings,
    seeds: Sequence[int],
    book: "ResultsFile",
    progress: Callable[[Row], None] | None,
) -> None:
    try:
        for trials in _blocks(settings, seeds, book):
            for row in spread(executor, run_seed, ((trial,) for trial in trials)):
                book.add(row)
                if progress is not None:
                    progress(row)
    except (PicklingError, AttributeError) as error:
        raise ConfigError("engine", settings.engine, f"cannot go to another process ({error}); use Serial()") from error
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        book.save()


def _blocks(settings: CampaignSettings, seeds: Sequence[int], book: "ResultsFile") -> Iterator[list[Trial]]:
    """The missing seeds, block by block; every second seed is steered to what the blocks before it missed."""
    for start in range(0, len(seeds), BLOCK):
        focus = rare_chapters([book.rows[seed] for seed in seeds[:start]])
        block = enumerate(seeds[start : start + BLOCK])
        yield [
            settings.trial(seed, focus[place // 2 % len(focus) :][:1] if focus and place % 2 else ())
            for place, seed in block
            if seed not in book.rows
        ]


def rare_chapters(rows: Sequence[Row]) -> tuple[str, ...]:
    """The chapters with rare situations, the one with most of them first; none before the first row."""
    counts = _counts_of(rows)
    rare = Counter(one.chapter for name, one in SITUATIONS.items() if counts[name] < RARE * len(rows))
    return tuple(chapter for chapter, _ in sorted(rare.items(), key=lambda item: (-item[1], item[0])))


class ResultsFile:
    """The rows so far, in memory and, if there is a path, in a file."""

    def __init__(self, settings: CampaignSettings, path: Path | None) -> None:
        self.path, self.settings, self.unsaved = path, _fingerprint(settings), 0
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
        part = part_of(self.path)
        parquet.write_table(table.replace_schema_metadata({_SETTINGS_MARK: self.settings}), part)
        part.replace(self.path)
        self.unsaved = 0

    def _load(self, path: Path) -> None:
        with needed("pyarrow"):
            import pyarrow as pa
            from pyarrow import parquet

        if not path.is_file():
            raise ConfigError("path", str(path), "is there and is not a file; choose another path")
        try:
            table = parquet.read_table(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ConfigError(
                "path", str(path), f"is not a file in which a campaign was kept ({error}); choose another path"
            ) from error
        if (table.schema.metadata or {}).get(_SETTINGS_MARK) != self.settings:
            raise ConfigError("path", str(path), "holds a campaign with other settings; use another file")
        try:
            self.rows = {row["seed"]: msgspec.convert(row, Row) for row in table.to_pylist()}
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigError("path", str(path), f"is damaged ({error}); use another one") from error


_SETTINGS_MARK = b"pyraft_lab.trial"


def _fingerprint(settings: CampaignSettings) -> bytes:
    """A digest of the settings; a file's rows are reused only for the same digest."""
    engine = settings.engine
    rules = {} if engine is None else asdict(engine.rules)
    named = {name: f"{rule.__module__}:{rule.__qualname__}" for name, rule in rules.items()}
    told = {**asdict(settings), "engine": named, "version": __version__}
    return blake2b(msgspec.json.encode(told), digest_size=16).hexdigest().encode()
