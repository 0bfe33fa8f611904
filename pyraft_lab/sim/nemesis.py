"""The nemesis: makes up a plan of faults from a seed, none, light or heavy, and sets it on a cluster.

>>> conspire("light", seed=3, nodes=3, seconds=3)
(Pause(at=1.463, lasts=0.71, node='leader', late=0.163), Snapshot(at=2.829, node=2))
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from pyraft_lab.arguments import at_least
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError
from pyraft_lab.sim.perform import perform
from pyraft_lab.sim.plan import (
    AnyFault,
    Crash,
    Cut,
    Disk,
    Drift,
    Elect,
    Hold,
    Isolate,
    Members,
    Partition,
    Pause,
    Skew,
    Snapshot,
    Storm,
    Transfer,
    Who,
)
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.weather import Purpose, chance
from pyraft_lab.sim.workload import Load

T = TypeVar("T")
Level = Literal["none", "light", "steady", "heavy"]
NEWCOMERS = 2
"""So many servers beyond the first ones may be made members."""


class Dice:
    """Chance for one plan: the same seed throws the same numbers."""

    def __init__(self, seed: int, nodes: int) -> None:
        self.seed, self.nodes, self.thrown = seed, range(1, nodes + 1), 0

    def throw(self) -> float:
        """A number in [0, 1)."""
        self.thrown += 1
        return chance(self.seed, Purpose.FAULT, 0, self.thrown)

    def between(self, low: float, high: float) -> float:
        """A number from ``low`` to ``high``, to the millisecond."""
        return round(low + (high - low) * self.throw(), 3)

    def aside(self, low: float, high: float) -> float:
        """``low`` half of the time, else a number up to ``high``; it takes no throw, so that plans stay as they are."""
        luck = 2 * chance(self.seed, Purpose.FAULT, 1, self.thrown) - 1
        return round(low + (high - low) * max(luck, 0.0), 3)

    def pick(self, things: Sequence[T]) -> T:
        """One of them."""
        return things[int(self.throw() * len(things))]

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """All of them in any order."""
        return [thing for _, thing in sorted((self.throw(), thing) for thing in things)]

    def node(self) -> NodeId:
        """Any server."""
        return self.pick(self.nodes)

    def victim(self) -> Who:
        """Half of the time whoever leads, for that hurts most."""
        return "leader" if self.throw() < 0.5 else self.node()


Maker = Callable[[Dice, float, float], AnyFault]
"""Makes a fault: at which time, and for how long if it lasts."""


def storm(dice: Dice, at: float, lasts: float) -> AnyFault:
    """Loss, doubles, reordering and slow links and disks, any of them or all."""
    slow = dice.between(0.01, 0.12)
    return Storm(
        at=at,
        lasts=lasts,
        latency=(0.001, slow),
        loss=dice.pick((0.0, dice.between(0.0, 0.3))),
        duplicate=dice.pick((0.0, dice.between(0.0, 0.3))),
        reorder=dice.pick((0.0, dice.between(0.0, 0.5))),
        disk=(0.0005, dice.pick((0.002, dice.between(0.002, 0.08)))),
    )


def partition(dice: Dice, at: float, lasts: float) -> AnyFault:
    """Two sides."""
    nodes = dice.shuffled(dice.nodes)
    middle = 1 + int(dice.throw() * (len(nodes) - 1))
    return Partition(at=at, lasts=lasts, groups=(tuple(sorted(nodes[:middle])), tuple(sorted(nodes[middle:]))))


def isolate(dice: Dice, at: float, lasts: float) -> AnyFault:
    """One against all."""
    return Isolate(at=at, lasts=lasts, node=dice.victim())


def cut(dice: Dice, at: float, lasts: float) -> AnyFault:
    """One link, one way."""
    src, dst, *_ = dice.shuffled(dice.nodes)
    return Cut(at=at, lasts=lasts, src=src, dst=dst)


def crash(dice: Dice, at: float, lasts: float) -> AnyFault:
    """Death and another life; sometimes a last write got halfway."""
    return Crash(at=at, lasts=lasts, node=dice.victim(), torn=dice.pick((0.0, 0.0, dice.between(0.0, 1.0))))


def pause(dice: Dice, at: float, lasts: float) -> AnyFault:
    """A long collection of garbage; half of the time what waited comes before the timers that ran out."""
    return Pause(at=at, lasts=lasts, node=dice.victim(), late=dice.aside(0.0, 0.2))


def drift(dice: Dice, at: float, lasts: float) -> AnyFault:
    """A clock that is wrong, within what leases allow for by default."""
    return Drift(at=at, lasts=lasts, node=dice.victim(), rate=dice.between(0.96, 1.04))


def wild_drift(dice: Dice, at: float, lasts: float) -> AnyFault:
    """A clock that is wrong beyond that: nothing but a lease read may suffer from it."""
    return Drift(at=at, lasts=lasts, node=dice.victim(), rate=dice.between(0.3, 3.0))


def skew(dice: Dice, at: float, _lasts: float) -> AnyFault:
    """A clock that jumps."""
    return Skew(at=at, node=dice.victim(), by=dice.between(-1.0, 1.0))


def bad_disk(dice: Dice, at: float, lasts: float) -> AnyFault:
    """A disk that is slow or full; no lies: those no Raft survives."""
    if dice.throw() < 0.5:
        return Disk(at=at, lasts=lasts, node=dice.victim(), full=True)
    return Disk(at=at, lasts=lasts, node=dice.victim(), slow=dice.between(2.0, 100.0))


def hiccup(_dice: Dice, at: float, lasts: float) -> AnyFault:
    """A network that holds its breath."""
    return Hold(at=at, lasts=min(lasts, 0.5))


def rivalry(dice: Dice, at: float, _lasts: float) -> AnyFault:
    """Candidates at the same moment."""
    return Elect(at=at, nodes=tuple(dice.shuffled(dice.nodes)[: 1 + int(dice.throw() * 3)]))


def transfer(dice: Dice, at: float, _lasts: float) -> AnyFault:
    """Another leader, in peace."""
    return Transfer(at=at, to=dice.node())


def snapshot(dice: Dice, at: float, _lasts: float) -> AnyFault:
    """A log cut short."""
    return Snapshot(at=at, node=dice.victim())


def members(dice: Dice, at: float, _lasts: float) -> AnyFault:
    """Other voters: some leave, some return, some are new."""
    everybody = range(1, len(dice.nodes) + NEWCOMERS + 1)
    least = min(3, len(dice.nodes))
    count = least + int(dice.throw() * (len(dice.nodes) - least + 1))
    return Members(at=at, voters=tuple(sorted(dice.shuffled(everybody)[:count])), retain=dice.throw() < 0.5)


APART = (partition, cut)
"""What takes two servers."""


class Malice(Struct, frozen=True, kw_only=True):
    """How bad it gets: seconds from one fault to the next, how long they last, and how often which comes.

    A share of ``bursts`` of the faults comes at the heels of the one before, so that they hit together.
    """

    gap: tuple[float, float]
    bursts: float = 0.0
    lasts: tuple[float, float]
    makers: tuple[tuple[Maker, int], ...]


_GAP, _LASTS = (0.02, 0.6), (0.05, 1.5)
_ILLS: tuple[tuple[Maker, int], ...] = (
    *((storm, 3), (partition, 3), (isolate, 3), (cut, 3), (hiccup, 1), (crash, 4), (pause, 2), (bad_disk, 2)),
    *((rivalry, 4), (transfer, 1), (snapshot, 1), (members, 3)),
)
LEVELS: Mapping[Level, Malice | None] = {
    "none": None,
    "light": Malice(
        gap=(0.8, 2.5),
        lasts=(0.1, 1.0),
        makers=((storm, 3), (partition, 1), (isolate, 1), (crash, 2), (pause, 1), (transfer, 1), (snapshot, 1)),
    ),
    "steady": Malice(gap=_GAP, bursts=0.3, lasts=_LASTS, makers=(*_ILLS, (drift, 2))),
    "heavy": Malice(gap=_GAP, bursts=0.3, lasts=_LASTS, makers=(*_ILLS, (wild_drift, 1), (skew, 1))),
}
"""What each level means; ``steady`` is heavy with clocks that leases can rely on, so lease reads stay linearizable."""


def conspire(level: Level, *, seed: int, nodes: int, seconds: float) -> tuple[AnyFault, ...]:
    """The faults of so many seconds, in order; a pure function of its arguments."""
    if level not in LEVELS:
        raise ConfigError("level", level, f"is one of {', '.join(LEVELS)}")
    at_least("seconds", seconds, 0)
    malice, dice = LEVELS[level], Dice(seed, nodes)
    return () if malice is None else tuple(_faults(malice, dice, seconds))


def _faults(malice: Malice, dice: Dice, seconds: float) -> list[AnyFault]:
    alone = len(dice.nodes) < 2
    urn = [maker for maker, often in malice.makers for _ in range(often) if not (alone and maker in APART)]
    faults: list[AnyFault] = []
    at = dice.between(*malice.gap)
    while at < seconds:
        faults.append(dice.pick(urn)(dice, at, dice.between(*malice.lasts)))
        gap = (0.001, 0.02) if dice.throw() < malice.bursts else malice.gap
        at = round(at + dice.between(*gap), 3)
    return faults


def unleash(
    sim: Simulation,
    level: Level = "heavy",
    seconds: float = 20.0,
    *,
    load: Load | None = None,
    quiet: float = 8.0,
) -> None:
    """Set the nemesis on a simulation for so long while clients work; then heal everything and leave it ``quiet``.

    What comes depends on the simulation's seed and nothing else; the first broken invariant ends it.
    """
    plan = conspire(level, seed=sim.seed, nodes=len(sim.nodes), seconds=seconds)
    perform(sim, plan, seconds=seconds, load=Load() if load is None else load, quiet=quiet)
