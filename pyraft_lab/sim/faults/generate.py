"""The nemesis: generates a plan of faults (none, light or heavy) from a seed, and runs it on a cluster.

>>> generate_plan("light", seed=3, nodes=3, seconds=3)
(Pause(at=1.463, lasts=0.71, node='leader', late=0.163), Snapshot(at=2.829, node=2))
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from pyraft_lab.arguments import choice, instance, number
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.conditions import Link, Purpose, chance
from pyraft_lab.sim.faults.plan import (
    AnyFault,
    Crash,
    Cut,
    Disk,
    Drift,
    Elect,
    Hold,
    Isolate,
    Late,
    Learners,
    Members,
    NodeOrLeader,
    Partition,
    Pause,
    Replace,
    Skew,
    Snapshot,
    Storm,
    Transfer,
)
from pyraft_lab.sim.faults.run import run_plan
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.workload import Load

T = TypeVar("T")
Level = Literal["none", "light", "steady", "heavy"]
NEWCOMERS = 2
"""The maximum number of servers that a plan may add to the first ones."""


class Random:
    """The random numbers of one plan; the same seed gives the same numbers."""

    def __init__(self, seed: int, nodes: int) -> None:
        self.seed, self.nodes, self.drawn = seed, range(1, nodes + 1), 0

    def fraction(self) -> float:
        """A number in [0, 1)."""
        self.drawn += 1
        return chance(self.seed, Purpose.FAULT, 0, self.drawn)

    def between(self, low: float, high: float) -> float:
        """A number from ``low`` to ``high``, to the millisecond."""
        return round(low + (high - low) * self.fraction(), 3)

    def low_or_up_to(self, low: float, high: float) -> float:
        """``low`` half of the time, else a number up to ``high``; it takes no throw, so that plans stay as they are."""
        luck = 2 * chance(self.seed, Purpose.FAULT, 1, self.drawn) - 1
        return round(low + (high - low) * max(luck, 0.0), 3)

    def choose(self, things: Sequence[T]) -> T:
        """One of them."""
        return things[int(self.fraction() * len(things))]

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """The same things in random order."""
        return [thing for _, thing in sorted((self.fraction(), thing) for thing in things)]

    def node(self) -> NodeId:
        """A random server."""
        return self.choose(self.nodes)

    def victim(self) -> NodeOrLeader:
        """The leader half of the time, because that disturbs most; else any server."""
        return "leader" if self.fraction() < 0.5 else self.node()


FaultGenerator = Callable[[Random, float, float], AnyFault]
"""Makes a fault from random choices, its time and, if it lasts, its duration, both in seconds."""


def storm(random: Random, at: float, lasts: float) -> AnyFault:
    """Loss, duplicates, reordering, slow links and slow disks, any of them or all."""
    slow = random.between(0.01, 0.12)
    return Storm(
        at=at,
        lasts=lasts,
        latency=(0.001, slow),
        loss=random.choose((0.0, random.between(0.0, 0.3))),
        duplicate=random.choose((0.0, random.between(0.0, 0.3))),
        reorder=random.choose((0.0, random.between(0.0, 0.5))),
        disk=(0.0005, random.choose((0.002, random.between(0.002, 0.08)))),
    )


def partition(random: Random, at: float, lasts: float) -> AnyFault:
    """A partition into two sides."""
    nodes = random.shuffled(random.nodes)
    middle = 1 + int(random.fraction() * (len(nodes) - 1))
    return Partition(at=at, lasts=lasts, groups=(tuple(sorted(nodes[:middle])), tuple(sorted(nodes[middle:]))))


def isolate(random: Random, at: float, lasts: float) -> AnyFault:
    """The isolation of one server."""
    return Isolate(at=at, lasts=lasts, node=random.victim())


def cut(random: Random, at: float, lasts: float) -> AnyFault:
    """A cut of one link in one direction."""
    src, dst, *_ = random.shuffled(random.nodes)
    return Cut(at=at, lasts=lasts, src=src, dst=dst)


def crash(random: Random, at: float, lasts: float) -> AnyFault:
    """A crash and a restart; sometimes a part of the last writes survives."""
    return Crash(at=at, lasts=lasts, node=random.victim(), torn=random.choose((0.0, 0.0, random.between(0.0, 1.0))))


def pause(random: Random, at: float, lasts: float) -> AnyFault:
    """A long garbage collection; half of the time waiting messages come before the expired timers."""
    return Pause(at=at, lasts=lasts, node=random.victim(), late=random.low_or_up_to(0.0, 0.2))


def drift(random: Random, at: float, lasts: float) -> AnyFault:
    """A clock with a wrong rate, within the default ``clock_drift``."""
    return Drift(at=at, lasts=lasts, node=random.victim(), rate=random.between(0.96, 1.04))


def excessive_drift(random: Random, at: float, lasts: float) -> AnyFault:
    """A clock with a rate beyond ``clock_drift``: only lease reads may suffer from it."""
    return Drift(at=at, lasts=lasts, node=random.victim(), rate=random.between(0.3, 3.0))


def skew(random: Random, at: float, _lasts: float) -> AnyFault:
    """A clock that jumps."""
    return Skew(at=at, node=random.victim(), by=random.between(-1.0, 1.0))


def bad_disk(random: Random, at: float, lasts: float) -> AnyFault:
    """A slow or full disk, but never a lying one, which no Raft tolerates."""
    if random.fraction() < 0.5:
        return Disk(at=at, lasts=lasts, node=random.victim(), full=True)
    return Disk(at=at, lasts=lasts, node=random.victim(), slow=random.between(2.0, 100.0))


def hold_messages(_dice: Random, at: float, lasts: float) -> AnyFault:
    """A network that holds all messages for a while."""
    return Hold(at=at, lasts=min(lasts, 0.5))


def competing_candidates(random: Random, at: float, _lasts: float) -> AnyFault:
    """Several candidates at the same moment."""
    return Elect(at=at, nodes=tuple(random.shuffled(random.nodes)[: 1 + int(random.fraction() * 3)]))


def transfer(random: Random, at: float, _lasts: float) -> AnyFault:
    """A leadership transfer."""
    return Transfer(at=at, to=random.node())


def snapshot(random: Random, at: float, _lasts: float) -> AnyFault:
    """A snapshot and a purge of the log."""
    return Snapshot(at=at, node=random.victim())


def members(random: Random, at: float, _lasts: float) -> AnyFault:
    """A change of voters: some leave, some return, some are new."""
    everybody = range(1, len(random.nodes) + NEWCOMERS + 1)
    least = min(3, len(random.nodes))
    count = least + int(random.fraction() * (len(random.nodes) - least + 1))
    return Members(at=at, voters=tuple(sorted(random.shuffled(everybody)[:count])), retain=random.fraction() < 0.5)


# What only drawn profiles use (check.swarm)


def crash_while_writing(random: Random, at: float, lasts: float) -> AnyFault:
    """A crash between writing and syncing; sometimes a part of the writes survives."""
    torn = random.choose((0.0, random.between(0.0, 1.0)))
    return Crash(at=at, lasts=lasts, node=random.victim(), torn=torn, unsynced=True)


def short_crash(random: Random, at: float, _lasts: float) -> AnyFault:
    """A crash and a restart within milliseconds, before any lease is over."""
    return Crash(at=at, lasts=random.between(0.002, 0.05), node=random.victim(), unsynced=random.fraction() < 0.5)


def long_partition(random: Random, at: float, lasts: float) -> AnyFault:
    """A partition that lasts long enough for elections, snapshots and changes on one side."""
    return partition(random, at, 2 * lasts + 0.5)


def one_way(random: Random, at: float, lasts: float) -> AnyFault:
    """All links to one server are cut, or all links from it: it is heard and does not hear, or the other way round."""
    victim, hears = random.node(), random.fraction() < 0.5
    links = tuple(
        Link(src=victim if hears else one, dst=one if hears else victim, loss=1.0)
        for one in random.nodes
        if one != victim
    )
    return Storm(at=at, lasts=lasts, links=links)


def late_messages(random: Random, at: float, _lasts: float) -> AnyFault:
    """Some messages, or second copies of them, arrive very late."""
    return Late(
        at=at, by=random.between(0.05, 2.0), most=1 + int(random.fraction() * 4), copies=random.fraction() < 0.6
    )


def stale_leader(random: Random, at: float, lasts: float) -> AnyFault:
    """The leader is isolated, and clients still write to it: its last entries conflict with the next leader's."""
    return Isolate(at=at, lasts=lasts + 0.3, node="leader", writes=1 + int(random.fraction() * 8))


def slow_disk(random: Random, at: float, lasts: float) -> AnyFault:
    """A disk that is slow for a while."""
    return Disk(at=at, lasts=lasts, node=random.victim(), slow=random.between(10.0, 200.0))


def long_pause(random: Random, at: float, lasts: float) -> AnyFault:
    """A pause longer than any lease; half of the time calls arrive before the expired timers are noticed."""
    return Pause(at=at, lasts=0.3 + lasts, node=random.victim(), late=random.low_or_up_to(0.0, 0.3))


def learners(random: Random, at: float, _lasts: float) -> AnyFault:
    """Learners join or leave."""
    joining = range(1, len(random.nodes) + NEWCOMERS + 1)
    count = 1 + int(random.fraction() * 2)
    return Learners(at=at, nodes=tuple(sorted(random.shuffled(joining)[:count])), leave=random.fraction() < 0.3)


def replace_server(random: Random, at: float, lasts: float) -> AnyFault:
    """A removed server returns with an empty disk."""
    return Replace(at=at, lasts=lasts, node=random.choose(range(1, len(random.nodes) + NEWCOMERS + 1)))


def any_members(random: Random, at: float, _lasts: float) -> AnyFault:
    """A change of voters to any number of servers, down to one."""
    everybody = range(1, len(random.nodes) + NEWCOMERS + 1)
    count = 1 + int(random.fraction() * len(random.nodes))
    return Members(at=at, voters=tuple(sorted(random.shuffled(everybody)[:count])), retain=random.fraction() < 0.3)


TWO_SERVER_FAULTS = (partition, cut, long_partition, one_way)
"""What takes two servers."""


class FaultProfile(Struct, frozen=True, kw_only=True):
    """The intensity of faults: seconds between two faults, their duration in seconds, and the weight of each kind.

    A share ``bursts`` of the faults follows the one before at once, so that they overlap.
    """

    gap: tuple[float, float]
    bursts: float = 0.0
    lasts: tuple[float, float]
    generators: tuple[tuple[FaultGenerator, int], ...]


_GAP, _LASTS = (0.02, 0.6), (0.05, 1.5)
_DISK_FAULTS: tuple[tuple[FaultGenerator, int], ...] = (
    *((storm, 3), (partition, 3), (isolate, 3), (cut, 3), (hold_messages, 1), (crash, 4), (pause, 2), (bad_disk, 2)),
    *((competing_candidates, 4), (transfer, 1), (snapshot, 1), (members, 3)),
)
LEVELS: Mapping[Level, FaultProfile | None] = {
    "none": None,
    "light": FaultProfile(
        gap=(0.8, 2.5),
        lasts=(0.1, 1.0),
        generators=((storm, 3), (partition, 1), (isolate, 1), (crash, 2), (pause, 1), (transfer, 1), (snapshot, 1)),
    ),
    "steady": FaultProfile(gap=_GAP, bursts=0.3, lasts=_LASTS, generators=(*_DISK_FAULTS, (drift, 2))),
    "heavy": FaultProfile(
        gap=_GAP, bursts=0.3, lasts=_LASTS, generators=(*_DISK_FAULTS, (excessive_drift, 1), (skew, 1))
    ),
}
"""What each level means; ``steady`` is heavy with clocks that leases can rely on, so lease reads stay linearizable."""


GENERATORS: Mapping[str, FaultGenerator] = {
    maker.__name__: maker
    for maker in (
        *(storm, partition, isolate, cut, crash, pause, drift, excessive_drift, skew, bad_disk, hold_messages),
        *(competing_candidates, transfer, snapshot, members, crash_while_writing, short_crash, long_partition, one_way),
        *(late_messages, stale_leader, slow_disk, long_pause, learners, replace_server, any_members),
    )
}
"""Every kind of generated fault by name."""


def generate_plan(level: Level, *, seed: int, nodes: int, seconds: float) -> tuple[AnyFault, ...]:
    """The faults of ``seconds`` seconds, in order; a pure function of its arguments."""
    choice("level", level, tuple(LEVELS))
    number("seconds", seconds)
    profile = LEVELS[level]
    return () if profile is None else plan_of(profile, seed=seed, nodes=nodes, seconds=seconds)


def plan_of(profile: FaultProfile, *, seed: int, nodes: int, seconds: float) -> tuple[AnyFault, ...]:
    """The faults of a profile for ``seconds`` seconds, in order; a pure function of its arguments."""
    return tuple(_faults(profile, Random(seed, nodes), seconds))


def _faults(profile: FaultProfile, random: Random, seconds: float) -> list[AnyFault]:
    alone = len(random.nodes) < 2
    kinds = [
        maker for maker, often in profile.generators for _ in range(often) if not (alone and maker in TWO_SERVER_FAULTS)
    ]
    faults: list[AnyFault] = []
    if not kinds:
        return faults
    at = random.between(*profile.gap)
    while at < seconds:
        faults.append(random.choose(kinds)(random, at, random.between(*profile.lasts)))
        gap = (0.001, 0.02) if random.fraction() < profile.bursts else profile.gap
        at = round(at + random.between(*gap), 3)
    return faults


def run_with_faults(
    sim: Simulation,
    level: Level = "heavy",
    seconds: float = 20.0,
    *,
    load: Load | None = None,
    quiet: float = 8.0,
) -> None:
    """Inject generated faults into a simulation while clients work; then heal it and run ``quiet`` seconds more.

    The faults depend only on the simulation's seed; the first violated invariant ends the run.
    """
    instance("sim", sim, Simulation)
    plan = generate_plan(level, seed=sim.seed, nodes=len(sim.nodes), seconds=seconds)
    run_plan(sim, plan, seconds=seconds, load=Load() if load is None else load, quiet=quiet)


unleash = run_with_faults
"""The earlier name."""
