"""Swarm testing: every seed of a campaign draws its own cluster, knobs, faults and method, some of all there are.

A run in which every fault happens all the time reaches less than many runs with a few each: a fault hides another. So
a seed draws two or three chapters of Raft, and of each some knobs at their edges and the faults that try it::

    seed ──▶ chapters  snapshots, transfers       ──▶ Draw(nodes=4, config={"keep_logs": 0, "snapshot_chunk": 64}, …)
             knobs     keep_logs 0, chunks of 64       the same for the same seed, and as text in the row
             faults    snapshot, long_partition, transfer

A draw is a pure function of its seed and of ``focus``: the chapters that a campaign steers to, because what they are
about was rare so far.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.arguments import MAX_NODES
from pyraft_lab.check.scenarios.stale_reads import SETUPS, Setup
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.errors import ConfigError
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.sim.conditions import Weather, chance
from pyraft_lab.sim.faults.generate import GENERATORS, FaultProfile
from pyraft_lab.sim.workload import CALLS, Load

T = TypeVar("T")
PURPOSE = 21
"""The row of random numbers that draws use."""
Method = Literal[
    "faults", "walk", "stale reads", "single step", "lost answer", "interrupted snapshot", "returning servers",
    "storage", "live",
]  # fmt: skip
"""How a seed looks for a mistake: generated faults by the clock, a random walk, a scenario, a disk, or live nodes."""
RuleTable = Literal["raft", "advanced"]
Judged = Literal["healed", "load", "standing"]
"""What liveness is judged by: after healing, under load, while some faults stay."""


class Chapter(Struct, frozen=True, kw_only=True):
    """A part of Raft: the edges of its knobs, the weights of the faults that try it, and the shares of its walks.

    Of ``knobs`` some are turned, of ``always`` all, because nothing of the chapter would happen otherwise.
    """

    knobs: Mapping[str, tuple[Any, ...]] = {}
    always: Mapping[str, tuple[Any, ...]] = {}
    faults: Mapping[str, int] = {}
    walk: Mapping[str, float] = {}
    load: Mapping[str, Any] = {}


CHAPTERS: Mapping[str, Chapter] = {
    "elections": Chapter(
        knobs={
            "pre_vote": (False,),
            "vote_lease": (False,),
            "check_quorum": (False,),
            "election_timeout": ((0.15, 0.16), (0.15, 0.2), (0.2, 0.9)),
            "heartbeat_interval": (0.02, 0.1),
        },
        faults={
            "competing_candidates": 6,
            "isolate": 3,
            "one_way": 2,
            "late_messages": 3,
            "pause": 2,
            "crash": 2,
            "stale_leader": 3,
        },
        walk={"crash": 0.02, "duplicate": 0.03},
    ),
    "replication": Chapter(
        knobs={
            "max_append_entries": (1, 2, 3),
            "max_append_bytes": (1, 60),
            "max_inflight": (1, 2),
            "max_inflight_bytes": (1, 100),
            "prompt_commit": (False,),
            "suppress_heartbeats": (True,),
            "retry_timeout": (0.02, 0.3),
            "retry_limit": (0.1,),
            "max_apply_entries": (1, 2),
            "max_uncommitted_bytes": (100, 1000),
        },
        faults={"storm": 4, "partition": 3, "cut": 3, "late_messages": 3, "hold_messages": 1, "stale_leader": 4},
        walk={"write": 0.08, "duplicate": 0.03, "drop": 0.02},
    ),
    "snapshots": Chapter(
        always={
            "keep_logs": (0, 0, 1, 3),
            "snapshot_logs_since_last": (2, 5, 10, 25),
            "snapshot_chunk": (16, 64, 200, 64 << 10),
        },
        knobs={
            "snapshot_bytes_since_last": (100, 1000),
            "purge_batch": (4,),
        },
        faults={
            "snapshot": 5,
            "long_partition": 3,
            "isolate": 2,
            "stale_leader": 3,
            "slow_disk": 2,
            "crash": 2,
            "late_messages": 3,
            "storm": 2,
        },
        walk={"snapshot": 0.06, "write": 0.08, "duplicate": 0.04},
    ),
    "membership": Chapter(
        knobs={"auto_leave": (False,), "learner_lag": (0, 5), "allow_log_revert": (True,)},
        faults={
            "members": 5,
            "any_members": 3,
            "learners": 4,
            "replace_server": 3,
            "crash": 2,
            "isolate": 2,
            "partition": 2,
        },
        walk={"change": 0.06},
    ),
    "transfers": Chapter(
        faults={"transfer": 6, "isolate": 2, "one_way": 2, "late_messages": 2, "crash": 1},
        walk={"transfer": 0.06, "write": 0.06},
    ),
    "leases": Chapter(
        knobs={"read_sends_heartbeat": (False,), "heartbeat_interval": (0.02, 0.1), "suppress_heartbeats": (True,)},
        faults={"drift": 3, "long_pause": 4, "isolate": 4, "one_way": 3, "short_crash": 2, "transfer": 2},
        walk={"read": 0.08},
        load={"reads": (0.5, 0.6), "lease": (0.5, 1.0), "appends": (0.1,), "deletes": (0.05,), "incrs": (0.0,)},
    ),
    "sessions": Chapter(
        faults={"storm": 4, "isolate": 3, "crash": 3, "cut": 2, "hold_messages": 2, "competing_candidates": 2},
        walk={"write": 0.06, "read": 0.05},
        load={"clients": (2, 8), "keys": (1, 2), "appends": (0.15, 0.2)},
    ),
    "disks": Chapter(
        knobs={"leader_restore": (True,)},
        faults={"slow_disk": 4, "bad_disk": 2, "crash_while_writing": 6, "short_crash": 4, "crash": 2},
        walk={"crash": 0.04},
    ),
    "clocks": Chapter(
        knobs={"election_timeout": ((0.15, 0.2),)},
        faults={"excessive_drift": 4, "skew": 3, "pause": 3, "drift": 2, "storm": 1},
    ),
}
"""The chapters that a seed may draw."""
OFTEN = ("snapshots", "membership")
"""Chapters that are drawn twice as often, because most can go wrong there."""
COMMON_FAULTS = {"crash": 1, "isolate": 1, "storm": 1}
WILD_CLOCKS = ("excessive_drift", "skew")
"""Faults beyond ``clock_drift``: a draw has them or lease reads, never both."""
JUDGED: tuple[tuple[Judged, float], ...] = (("healed", 0.3), ("load", 0.2), ("standing", 0.4))
"""How often each kind of liveness is judged."""
EXTREME = (("enable_heartbeat", False), ("enable_elect", False))
"""Knobs that end liveness by themselves: only safety is judged under them."""
LOADS: Mapping[str, tuple[Any, ...]] = {
    "clients": (4, 4, 8),
    "keys": (1, 2, 3),
    "think_time": ((0.01, 0.15), (0.005, 0.05), (0.002, 0.03)),
    "reads": (0.3, 0.4, 0.5),
    "any_node": (0.3, 0.5, 0.7),
    "appends": (0.0, 0.1, 0.15),
    "deletes": (0.0, 0.05, 0.1),
    "incrs": (0.0, 0.0, 0.1),
}
"""What clients ask, and how often; of each a value."""
LIVE_CALLS = {"reads": 0.4, "cas": 0.1, "appends": 0.25, "deletes": 0.15, "incrs": 0.05}
"""What the clients of live nodes ask: many appends, since a command that is applied twice then shows."""
CALM: Mapping[str, tuple[float, float]] = {}
FAST = {"latency": (0.0004, 0.001), "disk": (0.0001, 0.0003)}
SLOW = {"latency": (0.01, 0.04), "disk": (0.002, 0.02)}
"""The weather without faults: as usual, much faster, slower."""
SIZES = (3, 3, 3, 5, 5, 4, 4, 2, 1, 7)
WALKED, WALKS = (3, 3, 3, 4, 4, 5, 5, 2), 8
"""Servers of walks, and the walks of one seed."""
METHODS: tuple[tuple[Method, int], ...] = (
    ("faults", 10), ("walk", 9), ("stale reads", 4), ("single step", 1), ("lost answer", 1),
    ("storage", 2), ("live", 5), ("interrupted snapshot", 3), ("returning servers", 0),
)  # fmt: skip
"""The methods and their weights."""
REPLACED: tuple[Method, Method, float] = ("walk", "returning servers", 0.3)
"""A method that takes the place of this share of another one's seeds, so that no other seed tries anything else."""


class Draw(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one seed tries: the method, the cluster, its knobs, and what happens to it.

    ``judged`` says by what liveness is judged; empty, only safety and the history are. ``expiry`` is the number of
    entries after which an unused session expires (0: never). ``size`` of ``faults`` are weights.
    """

    seed: int
    method: Method = "faults"
    chapters: tuple[str, ...] = ()
    nodes: int = 3
    learners: int = 0
    rules: RuleTable = "raft"
    initialize: bool = True
    config: dict[str, Any] = {}
    weather: dict[str, Any] = {}
    seconds: float = 0.0
    faults: dict[str, int] = {}
    gap: tuple[float, float] = (0.02, 0.6)
    lasts: tuple[float, float] = (0.05, 1.5)
    load: Load = Load()
    walk: dict[str, float] = {}
    setup: Setup = "cut off"
    policy: ReadPolicy = "lease"
    expiry: int = 0
    judged: tuple[Judged, ...] = ()

    @property
    def settings(self) -> Config:
        """The configuration of the cluster."""
        return Config(**self.config)

    @property
    def conditions(self) -> Weather:
        """The weather of the cluster without faults."""
        return Weather(**self.weather)

    @property
    def profile(self) -> FaultProfile:
        """The intensity and kinds of its faults."""
        makers = tuple((GENERATORS[name], often) for name, often in self.faults.items())
        return FaultProfile(gap=self.gap, bursts=0.3, lasts=self.lasts, generators=makers)


class Dice:
    """The random numbers of one draw; another ``row`` has others, so that what it decides does not move the rest."""

    def __init__(self, seed: int, row: int = 0) -> None:
        self.seed, self.row, self.drawn = seed, row, 0

    def fraction(self) -> float:
        """A number in [0, 1)."""
        self.drawn += 1
        return chance(self.seed, PURPOSE, self.row, self.drawn)

    def chance(self, share: float) -> bool:
        """Whether something happens that happens in this share of all cases."""
        return self.fraction() < share

    def choose(self, things: Sequence[T]) -> T:
        """A random one of ``things``."""
        return things[int(self.fraction() * len(things))]

    def weighted(self, things: Iterable[tuple[T, int]]) -> T:
        """A random thing from pairs of a thing and its weight."""
        return self.choose([thing for thing, weight in things for _ in range(weight)])

    def some(self, things: Iterable[T], share: float) -> list[T]:
        """Some of them, each with this probability."""
        return [thing for thing in things if self.chance(share)]


def draw(seed: int, focus: Sequence[str] = (), methods: Sequence[Method] | None = None) -> Draw:
    """The draw of a seed, by one of the ``methods`` (default: any); ``focus`` names chapters that it contains."""
    dice = Dice(seed)
    method = _method(dice, [(name, often) for name, often in METHODS if methods is None or name in methods])
    chapters = _chapters(dice, focus)
    drawn = _MAKERS[method](dice, Draw(seed=seed, method=method, chapters=chapters))
    return replace(drawn, rules="advanced" if dice.chance(0.3) else "raft")


def _method(dice: Dice, methods: Sequence[tuple[Method, int]]) -> Method:
    usual, other, share = REPLACED
    drawn = dice.weighted(methods) if any(often for _, often in methods) else other
    instead = drawn == usual and other in dict(methods) and Dice(dice.seed, row=7).chance(share)
    return other if instead else drawn


def _chapters(dice: Dice, focus: Sequence[str]) -> tuple[str, ...]:
    """Two or three chapters, in the order of the table."""
    chosen = set(focus) | {dice.choose((*CHAPTERS, *OFTEN)) for _ in range(2 + dice.chance(0.5))}
    return tuple(name for name in CHAPTERS if name in chosen)


def _all(chapters: Iterable[str], part: Callable[[Chapter], Mapping[str, T]]) -> dict[str, T]:
    """What the chapters say together; of two values the later counts."""
    return {name: value for chapter in chapters for name, value in part(CHAPTERS[chapter]).items()}


def _config(dice: Dice, chapters: Iterable[str], usual: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Some knobs at their edges, and now and then one of another chapter; combinations that cannot be are left out."""
    own = [
        *_all(chapters, lambda one: one.always).items(),
        *dice.some(_all(chapters, lambda one: one.knobs).items(), 0.6),
    ]
    others = dice.some(_all(CHAPTERS, lambda one: one.knobs).items(), 0.04)
    config = dict(usual)
    for name, edges in (*own, *others):
        config = _with_knob(config, name, dice.choose(edges))
    return config


def _with_knob(config: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The configuration with one more knob, if it is still valid."""
    turned = {**config, name: value}
    try:
        Config(**turned).validated()
    except ConfigError:
        return dict(config)
    return turned


# Methods


def _by_faults(dice: Dice, drawn: Draw) -> Draw:
    """Generated faults by the clock, while clients work."""
    config = _config(dice, drawn.chapters)
    lease = "leases" in drawn.chapters or dice.chance(0.3)
    faults = {**COMMON_FAULTS, **_all(drawn.chapters, lambda one: one.faults)}
    kept = {name: often for name, often in faults.items() if not (lease and name in WILD_CLOCKS)}
    judged: tuple[Judged, ...] = tuple(name for name, share in JUDGED if dice.chance(share))
    for name, value in dice.some(EXTREME, 0.03):
        config, judged = {**config, name: value}, ()
    return replace(
        drawn,
        nodes=dice.choose(SIZES),
        learners=dice.choose((0, 0, 1, 2)),
        initialize=dice.chance(0.9),
        config=config,
        weather=dict(dice.choose((CALM, CALM, FAST, SLOW))),
        seconds=dice.choose((3.0, 4.0, 6.0)),
        faults=dict(dice.some(kept.items(), 0.75)) or kept,
        gap=dice.choose(((0.02, 0.3), (0.02, 0.6), (0.1, 1.0))),
        lasts=dice.choose(((0.02, 0.4), (0.05, 1.5), (0.3, 2.0))),
        load=_load(drawn, lease=lease),
        expiry=dice.choose((4, 12, 40)) if "sessions" in drawn.chapters and dice.chance(0.4) else 0,
        judged=judged,
    )


def _load(drawn: Draw, *, lease: bool) -> Load:
    """What clients ask: few or many of them, on few keys, at their leisure or in haste, sure of the leader or not."""
    dice = Dice(drawn.seed, row=1)
    usual: dict[str, Any] = {name: dice.choose(values) for name, values in LOADS.items()}
    given = {name: dice.choose(values) for name, values in _all(drawn.chapters, lambda one: one.load).items()}
    load = {**usual, "lease": dice.choose((0.4, 0.7)) if lease else 0.0, **given}
    others = sum(load[name] for name in CALLS if name != "cas")
    return Load(**load, cas=min(0.15, round(1 - others, 2))).validated()


def _by_walk(dice: Dice, drawn: Draw) -> Draw:
    """Random walks: any message, timer or disk may be next, whatever the clock says."""
    walk = {"steps": 500, "awake_steps": dice.choose((8, 18, 25, 60)), "timers": dice.choose((0.03, 0.06, 0.15))}
    walk |= {"ignored_appends": dice.choose((0.0, 0.0, 0.4, 0.9)), "keys": dice.choose((1, 2)), "write": 0.04}
    walk |= {"multi_voter_changes": dice.choose((0.0, 0.5, 1.0))}
    walk |= dict(dice.some(_all(CHAPTERS, lambda one: one.walk).items(), 0.3))
    walk |= _all(drawn.chapters, lambda one: one.walk)
    return replace(
        drawn,
        nodes=dice.choose(WALKED),
        learners=dice.choose((0, 0, 1, 2)),
        config=_config(dice, drawn.chapters, {"pre_vote": dice.chance(0.15), "vote_lease": dice.chance(0.15)}),
        walk=walk,
    )


def _by_stale_reads(dice: Dice, drawn: Draw) -> Draw:
    """A leader is cut off and replaced while a client goes on reading from it."""
    knobs = {"pre_vote": False, "heartbeat_interval": dice.choose((0.02, 0.05, 0.05))}
    return replace(
        drawn,
        nodes=dice.choose((3, 3, 5, 4)),
        learners=dice.choose((0, 0, 1)),
        config=knobs,
        setup=dice.choose(SETUPS),
        policy=dice.choose(("lease", "lease", "index")),
    )


def _by_single_step(_dice: Dice, drawn: Draw) -> Draw:
    """Two leaders change the membership by one server each."""
    return replace(drawn, nodes=4, learners=1, config={"pre_vote": False, "vote_lease": False})


def _by_lost_answer(dice: Dice, drawn: Draw) -> Draw:
    """A client whose answer is lost asks again."""
    always = {name: dice.choose(edges) for name, edges in CHAPTERS["snapshots"].always.items()}
    return replace(drawn, nodes=dice.choose((3, 3, 5)), config=always if dice.chance(0.5) else {})


def _by_interrupted_snapshot(dice: Dice, drawn: Draw) -> Draw:
    """A snapshot that arrives in chunks is interrupted."""
    edges = {"keep_logs": (0, 1), "snapshot_chunk": (32, 64, 200), "snapshot_logs_since_last": (1000, 1000, 4),
             "retry_timeout": (0.1, 0.02), "retry_limit": (1.0, 0.1)}  # fmt: skip
    return replace(
        drawn,
        nodes=dice.choose((3, 3, 5, 4)),
        config={name: dice.choose(values) for name, values in edges.items()},
        weather=dict(dice.choose((CALM, SLOW))),
        judged=("healed",),
    )


def _by_returning_servers(dice: Dice, drawn: Draw) -> Draw:
    """Servers that were removed return."""
    always = {name: dice.choose(edges) for name, edges in CHAPTERS["snapshots"].always.items()}
    return replace(
        drawn,
        nodes=dice.choose((3, 3, 4, 2)),
        learners=dice.choose((0, 1)),
        config=always if dice.chance(0.3) else {},
        judged=("healed",),
    )


def _on_disk(dice: Dice, drawn: Draw) -> Draw:
    """The storages, without a cluster."""
    return replace(drawn, nodes=1, walk={"steps": dice.choose((30, 60))})


def _live(dice: Dice, drawn: Draw) -> Draw:
    """Live nodes in virtual time."""
    limit = Dice(drawn.seed, row=3).choose((None, None, 1000))  # a node merges the writes of its callers up to this
    nodes, config = dice.choose((3, 3, 5)), _config(dice, drawn.chapters)
    if limit is not None:
        config = _with_knob(config, "max_uncommitted_bytes", config.get("max_uncommitted_bytes", limit))
    return replace(
        drawn,
        nodes=nodes,
        config=config,
        seconds=dice.choose((3.0, 5.0)),
        load=replace(_load(drawn, lease=dice.chance(0.6)), **LIVE_CALLS),
        expiry=Dice(drawn.seed, row=2).choose((0, 0, 12, 40)),
    )


_MAKERS: Mapping[Method, Callable[[Dice, Draw], Draw]] = {
    "faults": _by_faults,
    "walk": _by_walk,
    "stale reads": _by_stale_reads,
    "single step": _by_single_step,
    "lost answer": _by_lost_answer,
    "interrupted snapshot": _by_interrupted_snapshot,
    "returning servers": _by_returning_servers,
    "storage": _on_disk,
    "live": _live,
}


# What a capsule can name


def sessions_of_4() -> Sessions:
    """A key-value machine whose sessions expire after 4 entries without use."""
    return Sessions(KeyValue(), expiry=4)


def sessions_of_12() -> Sessions:
    """A machine of at most three sessions, which expire after 12 entries without use."""
    return Sessions(KeyValue(), expiry=12, most=3)


def sessions_of_40() -> Sessions:
    """A machine whose sessions expire after 40 entries without use."""
    return Sessions(KeyValue(), expiry=40)


MACHINES: Mapping[int, Callable[[], KeyValue | Sessions]] = {
    0: KeyValue, 4: sessions_of_4, 12: sessions_of_12, 40: sessions_of_40,
}  # fmt: skip
"""The machines by the expiry of their sessions."""
assert max(SIZES) <= MAX_NODES, "clusters of every size can be made"
