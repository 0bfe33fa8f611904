"""Fault plans as data: what goes wrong, when, and for how long; written by hand, in a file, or by the nemesis.

>>> plan = Plan.parse('''{"nodes": 3, "seconds": 5, "faults": [
...     {"do": "crash", "at": 1.0, "lasts": 0.5, "node": "leader"},
...     {"do": "partition", "at": 2.0, "lasts": 1.0, "groups": [[1], [2, 3]]}]}''')
>>> plan.faults[0]
Crash(at=1.0, lasts=0.5, node='leader', torn=0.0)
>>> Plan.parse('{"faults": [{"do": "crash", "at": 1.0, "nod": 1}]}')
Traceback (most recent call last):
pyraft_lab.errors.PlanError: the plan cannot be used: Object contains unknown field `nod` - at `$.faults[0]`
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar, assert_never

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import ConfigError, PlanError, at_least
from pyraft_lab.sim.weather import Weather

V = TypeVar("V", Weather, Config)
Who = NodeId | Literal["leader"]
"""A server by its id, or whoever leads when it happens."""


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag=str.lower):
    """Something that happens ``at`` so many seconds after the plan began."""

    at: float


class Spell(Fault, frozen=True, kw_only=True, tag=str.lower):
    """A fault that ends by itself after ``lasts`` seconds; ``None`` lasts until everything is healed."""

    lasts: float | None = None


# The network


class Storm(Spell, frozen=True, kw_only=True):
    """Other weather: what is left out stays as it is."""

    latency: tuple[float, float] | UnsetType = UNSET
    loss: float | UnsetType = UNSET
    duplicate: float | UnsetType = UNSET
    reorder: float | UnsetType = UNSET
    disk: tuple[float, float] | UnsetType = UNSET

    @property
    def changes(self) -> Mapping[str, Any]:
        """The fields of the weather that are other than usual."""
        told = {name: value for name, value in asdict(self).items() if name not in ("at", "lasts")}
        return {name: value for name, value in told.items() if value is not UNSET}


class Partition(Spell, frozen=True, kw_only=True):
    """Messages pass within a group only; who is in none is alone. ``name`` is for the reader."""

    groups: tuple[tuple[NodeId, ...], ...]
    name: str = ""


class Isolate(Spell, frozen=True, kw_only=True):
    """One server hears nobody, and nobody hears it."""

    node: Who


class Cut(Spell, frozen=True, kw_only=True):
    """Nothing passes from ``src`` to ``dst``; the other way stays open."""

    src: NodeId
    dst: NodeId


class Hold(Spell, frozen=True, kw_only=True):
    """All messages wait until the spell ends, and then arrive at once: a broker that hiccups."""


# Servers


class Crash(Spell, frozen=True, kw_only=True):
    """A server dies, and is started again when the spell ends; a share of ``torn`` of its unsynced writes survives."""

    node: Who
    torn: float = 0.0


class Pause(Spell, frozen=True, kw_only=True):
    """A server stands still, as in a long collection of garbage."""

    node: Who


class Drift(Spell, frozen=True, kw_only=True):
    """The clock of a server runs ``rate`` times as fast as it should."""

    node: Who
    rate: float


class Skew(Fault, frozen=True, kw_only=True):
    """The clock of a server jumps forward by so many seconds, or back."""

    node: Who
    by: float


class Disk(Spell, frozen=True, kw_only=True):
    """A disk is slow, full, damaged or lying; it is mended when the spell ends. Raft cannot survive a lying one."""

    node: Who
    slow: float = 1.0
    full: bool = False
    corrupt: Index = 0
    lying: bool = False


# Operators


class Elect(Fault, frozen=True, kw_only=True):
    """These servers campaign at once, all of them, without asking first."""

    nodes: tuple[Who, ...]


class Transfer(Fault, frozen=True, kw_only=True):
    """The leader is asked to hand over."""

    to: NodeId


class Snapshot(Fault, frozen=True, kw_only=True):
    """A server is asked to build a snapshot, and to forget what it covers."""

    node: Who


class Members(Fault, frozen=True, kw_only=True):
    """Other voters; who is not there yet is started. With ``retain`` those who leave go on as learners."""

    voters: tuple[NodeId, ...]
    retain: bool = False


Weathering = Storm | Partition | Isolate | Cut | Hold
"""What befalls the network."""
Harm = Crash | Pause | Drift | Skew | Disk
"""What befalls a server."""
Order = Elect | Transfer | Snapshot | Members
"""What operators want."""
AnyFault = Weathering | Harm | Order


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario: which cluster, how long, and what goes wrong meanwhile.

    ``config`` and ``weather`` name only what is other than usual. JSON always; YAML where PyYAML is installed.
    """

    name: str = ""
    nodes: int = 5
    seed: int = 7
    seconds: float = 20.0
    config: dict[str, Any] = {}
    weather: dict[str, Any] = {}
    faults: tuple[AnyFault, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Plan":
        """A plan from JSON; ``PlanError`` names what is wrong and where."""
        try:
            return msgspec.json.decode(text, type=cls).validated()
        except (msgspec.DecodeError, ConfigError) as error:
            raise PlanError(str(error)) from error

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """A plan from a ``.json``, ``.yaml`` or ``.yml`` file."""
        path = Path(path)
        text = path.read_text(encoding="utf-8")
        return cls.parse(text if path.suffix == ".json" else _json_of_yaml(text))

    def dump(self) -> str:
        """The plan as JSON that :meth:`parse` reads back."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def validated(self) -> "Plan":
        """This plan, or ``ConfigError`` naming field, value and rule."""
        at_least("nodes", self.nodes, 1)
        at_least("seconds", self.seconds, 0)
        self.weather_from(Weather())
        self.config_from(Config())
        for place, fault in enumerate(self.faults):
            at_least(f"faults[{place}].at", fault.at, 0)
            self._check_nodes(f"faults[{place}]", fault)
        return self

    def _check_nodes(self, where: str, fault: AnyFault) -> None:
        """Whom a fault is about must be there from the beginning, or be made a member."""
        known = set(range(1, self.nodes + 1)).union(*(one.voters for one in self.faults if isinstance(one, Members)))
        for node in _nodes_of(fault):
            if node != "leader" and node not in known:
                raise ConfigError(where, fault, f"there is no node {node}; known are {sorted(known)}")

    def weather_from(self, usual: Weather) -> Weather:
        """The weather this plan wants."""
        return _changed(usual, "weather", self.weather).validated()

    def config_from(self, usual: Config) -> Config:
        """The settings this plan wants."""
        return _changed(usual, "config", self.config).validated()


def _nodes_of(fault: AnyFault) -> Iterable[Who]:
    """The servers a fault is about."""
    match fault:
        case Partition(groups=groups):
            return chain.from_iterable(groups)
        case Isolate(node=node) | Crash(node=node) | Pause(node=node) | Snapshot(node=node):
            return (node,)
        case Drift(node=node) | Skew(node=node) | Disk(node=node):
            return (node,)
        case Cut(src=src, dst=dst):
            return (src, dst)
        case Elect(nodes=nodes):
            return nodes
        case Transfer(to=to):
            return (to,)
        case Storm() | Hold() | Members():
            return ()
        case _:
            assert_never(fault)


def _changed(usual: V, field: str, changes: Mapping[str, Any]) -> V:
    """``usual`` with other values in some fields; pairs may come as lists."""
    known = asdict(usual)
    for name in changes:
        if name not in known:
            raise ConfigError(f"{field}.{name}", changes[name], f"is unknown; known are {', '.join(known)}")
    try:
        return msgspec.convert(known | dict(changes), type(usual))
    except msgspec.ValidationError as error:
        raise ConfigError(field, changes, str(error)) from error


def _json_of_yaml(text: str) -> str:
    try:
        import yaml
    except ImportError as missing:
        raise PlanError("a YAML file needs PyYAML: pip install pyyaml, or write the plan as JSON") from missing
    try:
        return msgspec.json.encode(yaml.safe_load(text)).decode()
    except yaml.YAMLError as error:
        raise PlanError(f"it is no YAML: {error}") from error
