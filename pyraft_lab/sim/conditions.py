"""Conditions of the network and the disks, and the random numbers: a pure function of the seed."""

from collections.abc import Collection, Iterator
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace

from pyraft_lab.arguments import node_pair
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError

Micros = int
"""Virtual time in whole microseconds, so that sums are exact on every machine."""
SECOND: Micros = 1_000_000

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Purpose(IntEnum):
    """The purpose of a random number; each purpose has its own sequence."""

    TIMER = 1
    LOSS = 2
    LATENCY = 3
    REORDER = 4
    DUPLICATE = 5
    COPY = 6
    DISK = 7
    BUILD = 8
    CLIENT = 9
    FAULT = 10
    LOAD = 11


def chance(seed: int, purpose: int, place: int, count: int) -> float:
    """A random number in [0, 1) that depends only on its arguments.

    Every node and purpose has its own sequence, so one message more on one node does not change the random numbers of
    the others.
    """
    x = (((seed * _GOLDEN + purpose) * _GOLDEN + place) * _GOLDEN + count) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) >> 11) * 2.0**-53


Curve = tuple[float, ...]
"""A distribution of times in seconds, from the shortest to the longest: equal shares fall between two neighbours."""


def given(one: Struct, *, without: Collection[str]) -> dict[str, Any]:
    """The fields that are set, except those in ``without``."""
    return {name: value for name, value in asdict(one).items() if name not in without and value is not UNSET}


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, repr_omit_defaults=True):
    """The weather of the link from ``src`` to ``dst``; fields that are left out are as in the rest of the network."""

    src: NodeId
    dst: NodeId
    latency: Curve | UnsetType = UNSET
    loss: float | UnsetType = UNSET
    duplicate: float | UnsetType = UNSET
    reorder: float | UnsetType = UNSET

    @property
    def differs(self) -> dict[str, Any]:
        """The fields in which this link differs from the rest of the network."""
        return given(self, without=("src", "dst"))


class Weather(Struct, frozen=True, kw_only=True):
    """The conditions of network and disks; times are (shortest, longest) in seconds, uniformly distributed.

    ``loss``, ``duplicate`` and ``reorder`` are probabilities from 0 to 1.

    More than two times make a curve, with an equal share of the messages between two neighbours: the three thirds of
    ``latency=(0.001, 0.002, 0.003, 0.2)`` include one with a long tail. Longest minus shortest is the jitter.

    A message that is not reordered arrives after all earlier ones on its link, as on a TCP connection; a
    reordered one takes up to three times the longest latency, and later ones may overtake it.

    ``links`` lists the links, one direction each, that have their own weather.
    """

    latency: Curve = (0.002, 0.010)
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    disk: Curve = (0.0005, 0.002)
    links: tuple[Link, ...] = ()

    def validated(self) -> "Weather":
        """This weather if it is valid; else raise ``ConfigError``, which names field, value and rule."""
        _check_curve("latency", self.latency)
        _check_curve("disk", self.disk)
        _check_chance("loss", self.loss)
        _check_chance("duplicate", self.duplicate)
        _check_chance("reorder", self.reorder)
        _check_links(self.links)
        return self

    def on(self, src: NodeId, dst: NodeId) -> "Weather":
        """The weather on one link.

        >>> Weather(loss=0.1, links=(Link(src=1, dst=2, latency=(0.3, 0.3)),)).on(1, 2).latency
        (0.3, 0.3)
        """
        return _on(self, src, dst) if self.links else self

    def without_faults(self) -> "Weather":
        """The same weather without faults: no message is lost, duplicated or reordered."""
        slow = (one for one in self.links if one.latency is not UNSET)
        links = tuple(Link(src=one.src, dst=one.dst, latency=one.latency) for one in slow)
        return replace(self, loss=0.0, duplicate=0.0, reorder=0.0, links=links)

    def differences(self) -> str:
        """The differences from the default weather, as text.

        >>> Weather(loss=0.1, links=(Link(src=1, dst=2, latency=(0.2, 0.3)),)).differences()
        'loss 10 %; from n1 to n2 latency 200-300 ms'
        """
        usual = asdict(Weather())
        told = [", ".join(_told({name: value for name, value in asdict(self).items() if value != usual[name]}))]
        told += [f"from n{one.src} to n{one.dst} {', '.join(_told(one.differs))}" for one in self.links]
        return "; ".join(filter(None, told)) or "good again"


@lru_cache(maxsize=256)
def _on(weather: Weather, src: NodeId, dst: NodeId) -> Weather:
    """The weather on one link; of several entries for the same link the last counts."""
    own = {
        name: value for one in weather.links if (one.src, one.dst) == (src, dst) for name, value in one.differs.items()
    }
    return replace(weather, links=(), **own)


def _told(changes: dict[str, Any]) -> Iterator[str]:
    for name, value in changes.items():
        if isinstance(value, float | int):
            yield f"{name} {value:.0%}".replace("%", " %")
        elif name != "links":
            yield f"{name} {'-'.join(f'{1000 * time:g}' for time in value)} ms"


def sample(curve: Curve, luck: float) -> Micros:
    """A time on the curve, in whole microseconds.

    >>> sample((0.0, 1.0), 0.25), sample((0.0, 0.001, 1.0), 0.25), sample((0.0, 0.001, 1.0), 0.75)
    (250000, 500, 500500)
    """
    place = luck * (len(curve) - 1)
    share = int(place)
    shortest, longest = curve[share], curve[share + 1]
    return round((shortest + (longest - shortest) * (place - share)) * SECOND)


def _check_curve(field: str, curve: object) -> None:
    if not (isinstance(curve, tuple) and len(curve) >= 2 and all(map(_is_number, curve))):
        raise ConfigError(field, curve, "must be a pair (shortest, longest) of seconds, or a curve with more between")
    if curve[0] < 0 or any(later < earlier for earlier, later in pairwise(curve)):
        raise ConfigError(field, curve, "needs 0 <= shortest <= longest, and a curve rises")


def _check_links(links: object) -> None:
    if not (isinstance(links, tuple) and all(isinstance(link, Link) for link in links)):
        raise ConfigError("links", links, "must be a tuple of Link(src=…, dst=…, …)")
    for place, link in enumerate(links):
        node_pair(f"links[{place}]", (link.src, link.dst))
        for field, value in link.differs.items():
            check = _check_curve if field == "latency" else _check_chance
            check(f"links[{place}].{field}", value)


def _check_chance(field: str, value: object) -> None:
    if not (isinstance(value, (int, float)) and _is_number(value) and 0 <= value <= 1):
        raise ConfigError(field, value, "must be a probability from 0 to 1")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9
