"""Fault plans as data: each fault, its time and its duration; written by hand, in a file, or by the nemesis.

>>> plan = Plan.parse('''{"nodes": 3, "seconds": 5, "faults": [
...     {"do": "crash", "at": 1.0, "lasts": 0.5, "node": "leader"},
...     {"do": "partition", "at": 2.0, "lasts": 1.0, "groups": [[1], [2, 3]]}]}''')
>>> plan.faults[0]
Crash(at=1.0, lasts=0.5, node='leader', torn=0.0, unsynced=False)
>>> Plan.parse('{"faults": [{"do": "crash", "at": 1.0, "nod": 1}]}')
Traceback (most recent call last):
pyraft_lab.errors.PlanError: the plan cannot be used: faults[0].nod is unknown; did you mean node? Known are ...
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar, assert_never, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, fields

from pyraft_lab.arguments import (
    LARGEST_SEED,
    MAX_LENGTH,
    MAX_NODES,
    at_least,
    from_json,
    instance,
    integer,
    number,
    text,
)
from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.engine.config import FORMER_NAMES, Config
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import ConfigError, MissingExtra, PlanError
from pyraft_lab.extras import needed
from pyraft_lab.sim.conditions import Curve, Link, Weather, given

V = TypeVar("V", Weather, Config)
NodeOrLeader = NodeId | Literal["leader"]
"""A server by its id, or ``"leader"``: the leader when the fault starts."""


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag=str.lower):
    """An event that happens ``at`` seconds after the start of the plan."""

    at: float

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` for impossible values; ``where`` is the fault's place in its plan."""
        at_least(f"{where}.at", self.at, 0)


class TimedFault(Fault, frozen=True, kw_only=True, tag=str.lower):
    """A fault that ends by itself after ``lasts`` seconds; ``None`` lasts until everything is healed."""

    lasts: float | None = None

    def check(self, where: str) -> None:
        """A spell lasts for a while."""
        super().check(where)
        at_least(f"{where}.lasts", 0 if self.lasts is None else self.lasts, 0)


# The network


class Storm(TimedFault, frozen=True, kw_only=True):
    """A change of weather, everywhere or on the named ``links``; fields that are left out do not change."""

    latency: Curve | UnsetType = UNSET
    loss: float | UnsetType = UNSET
    duplicate: float | UnsetType = UNSET
    reorder: float | UnsetType = UNSET
    disk: Curve | UnsetType = UNSET
    links: tuple[Link, ...] | UnsetType = UNSET

    @property
    def changes(self) -> Mapping[str, Any]:
        """The fields of the weather that are other than usual."""
        return given(self, without=("at", "lasts"))

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` unless the storm's settings are valid weather."""
        super().check(where)
        _changed(Weather(), where, self.changes).validated()


class Partition(TimedFault, frozen=True, kw_only=True):
    """Messages pass only within groups; nodes in no group form one more. The story shows the ``name``."""

    groups: tuple[tuple[NodeId, ...], ...]
    name: str = ""

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` if a node is in two groups."""
        super().check(where)
        everybody = list(chain.from_iterable(self.groups))
        twice = [node for place, node in enumerate(everybody) if node in everybody[:place]]
        if twice:
            raise ConfigError(f"{where}.groups", self.groups, f"node {twice[0]} is in two of them")


class Isolate(TimedFault, frozen=True, kw_only=True):
    """One server is isolated: it receives nothing, and its messages reach no server.

    Clients that have not noticed still send it this number of ``writes`` of the key ``stale``.
    """

    node: NodeOrLeader
    writes: int = 0

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` for less than no writes."""
        super().check(where)
        at_least(f"{where}.writes", self.writes, 0)


class Cut(TimedFault, frozen=True, kw_only=True):
    """The link from ``src`` to ``dst`` is cut; the other direction stays open."""

    src: NodeId
    dst: NodeId


class Hold(TimedFault, frozen=True, kw_only=True):
    """All messages wait until the fault ends, and then arrive at once, as from a stalled broker."""


class Late(Fault, frozen=True, kw_only=True):
    """Some messages on their way, at most ``most``, arrive ``by`` seconds later; with ``copies`` only a copy does."""

    by: float
    most: int = 3
    copies: bool = False

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` for a delay or a number below 0."""
        super().check(where)
        at_least(f"{where}.by", self.by, 0, "seconds")
        at_least(f"{where}.most", self.most, 0)


# Servers


class Crash(TimedFault, frozen=True, kw_only=True):
    """A server crashes and restarts when the fault ends; a share ``torn`` of its unsynced writes survives.

    With ``unsynced`` it crashes as soon as it has unsynced writes, at the latest when the fault would end.
    """

    node: NodeOrLeader
    torn: float = 0.0
    unsynced: bool = False

    def check(self, where: str) -> None:
        """A share is from 0 to 1."""
        super().check(where)
        if not 0 <= self.torn <= 1:
            raise ConfigError(f"{where}.torn", self.torn, "must be a share from 0 to 1")


class Wipe(TimedFault, frozen=True, kw_only=True):
    """A server crashes, loses its disk, and restarts with an empty one when the fault ends.

    With ``allowed`` an operator then lets the leader accept it with an empty log. A wiped voter may lead to the loss of
    committed entries: Raft assumes that disks last.
    """

    node: NodeOrLeader
    allowed: bool = True


class Replace(TimedFault, frozen=True, kw_only=True):
    """A server that was removed, so that no log names it, gets an empty disk; a member is left alone.

    A later change of membership may bring it back; the leader is then allowed to accept the empty log.
    """

    node: NodeId


class Pause(TimedFault, frozen=True, kw_only=True):
    """A server pauses, as in a long garbage collection; it notices expired timers ``late`` seconds after that."""

    node: NodeOrLeader
    late: float = 0.0

    def check(self, where: str) -> None:
        """Nothing is noticed too early."""
        super().check(where)
        at_least(f"{where}.late", self.late, 0, "seconds")


class Drift(TimedFault, frozen=True, kw_only=True):
    """The clock of a server runs ``rate`` times as fast as it should."""

    node: NodeOrLeader
    rate: float

    def check(self, where: str) -> None:
        """A clock goes on."""
        super().check(where)
        if not 0 < self.rate < float("inf"):
            raise ConfigError(f"{where}.rate", self.rate, "must be above 0; a server stands still by `pause`")


class Skew(Fault, frozen=True, kw_only=True):
    """The clock of a server jumps by some seconds, forward or back."""

    node: NodeOrLeader
    by: float

    def check(self, where: str) -> None:
        """A jump ends somewhere."""
        super().check(where)
        number(f"{where}.by", self.by, -MAX_LENGTH, MAX_LENGTH, "seconds")


class Disk(TimedFault, frozen=True, kw_only=True):
    """A disk is slow, full, damaged or lying until the fault ends; Raft does not tolerate a lying one."""

    node: NodeOrLeader
    slow: float = 1.0
    full: bool = False
    corrupt: Index = 0
    lying: bool = False

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` unless the disk is slowed by a factor of at least 1."""
        super().check(where)
        at_least(f"{where}.slow", self.slow, 1)
        at_least(f"{where}.corrupt", self.corrupt, 0)


# Operators


class Elect(Fault, frozen=True, kw_only=True):
    """These servers all campaign at once, without a pre-vote."""

    nodes: tuple[NodeOrLeader, ...]


class Transfer(Fault, frozen=True, kw_only=True):
    """An operator asks the leader to transfer leadership."""

    to: NodeId


class Snapshot(Fault, frozen=True, kw_only=True):
    """An operator asks a server to build a snapshot and purge the entries it covers."""

    node: NodeOrLeader


class Members(Fault, frozen=True, kw_only=True):
    """A change of voters; new servers are started. With ``retain`` removed voters stay as learners."""

    voters: tuple[NodeId, ...]
    retain: bool = False

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` if there are no voters."""
        super().check(where)
        if not self.voters:
            raise ConfigError(f"{where}.voters", self.voters, "must name at least one node")


class Learners(Fault, frozen=True, kw_only=True):
    """These servers become learners, new ones are started; with ``leave`` those that are learners are removed."""

    nodes: tuple[NodeId, ...]
    leave: bool = False

    def check(self, where: str) -> None:
        """Raise ``ConfigError`` if it names no server."""
        super().check(where)
        if not self.nodes:
            raise ConfigError(f"{where}.nodes", self.nodes, "must name at least one node")


NetworkFault = Storm | Partition | Isolate | Cut | Hold | Late
"""The faults of the network."""
NodeFault = Crash | Wipe | Replace | Pause | Drift | Skew | Disk
"""The faults of a server."""
OperatorAction = Elect | Transfer | Snapshot | Members | Learners
"""The requests of operators."""
AnyFault = NetworkFault | NodeFault | OperatorAction


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario: a cluster, its duration in seconds, and its faults.

    ``config`` and ``weather`` hold only values that differ from the default. A file may be JSON or, with the extra
    ``plans``, YAML.
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
            told = from_json(text, object)
            _check_words(told)
            return msgspec.convert(told, cls).validated()
        except (msgspec.MsgspecError, ConfigError) as error:
            raise PlanError(_placed(error)) from error

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """A plan from a ``.json``, ``.yaml`` or ``.yml`` file; raises ``PlanError`` if it cannot be read."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"{path} cannot be read: {error}") from error
        return cls.parse(text if path.suffix == ".json" else _json_of_yaml(text))

    def dump(self) -> str:
        """The plan as JSON that :meth:`parse` reads back."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def validated(self) -> "Plan":
        """This plan if it is valid; else raise ``ConfigError``, which names field, value and rule."""
        text("name", self.name)
        integer("nodes", self.nodes, 1, MAX_NODES)
        integer("seed", self.seed, -LARGEST_SEED, LARGEST_SEED)
        number("seconds", self.seconds)
        for link in self.weather_from(Weather()).links:
            self._check_known("weather.links", link, (link.src, link.dst))
        self.config_from(Config())
        for place, fault in enumerate(checked(self.faults)):
            self._check_nodes(f"faults[{place}]", fault)
            if fault.at > self.seconds:
                raise ConfigError(f"faults[{place}].at", fault.at, f"is after the plan's end; seconds={self.seconds}")
        return self

    def _check_nodes(self, where: str, fault: AnyFault) -> None:
        """Raise ``ConfigError`` if a fault names a server that is neither there from the start nor added later."""
        self._check_known(where, fault, _nodes_of(fault))

    def _check_known(self, where: str, value: object, nodes: Iterable[NodeOrLeader]) -> None:
        known = set(range(1, self.nodes + 1)).union(*map(_joining, self.faults))
        for node in nodes:
            if node != "leader" and node not in known:
                raise ConfigError(where, value, f"there is no node {node}; known are {sorted(known)}")

    def weather_from(self, usual: Weather) -> Weather:
        """``usual`` with what the plan changes of it; raises ``ConfigError`` for settings that cannot be."""
        return _changed(usual, "weather", self.weather).validated()

    def config_from(self, usual: Config) -> Config:
        """``usual`` with the knobs that the plan turns; raises ``ConfigError`` for settings that cannot be."""
        return _changed(usual, "config", self.config).validated()


def checked(faults: Iterable[AnyFault], field: str = "faults") -> tuple[AnyFault, ...]:
    """These faults; raises ``ConfigError`` for the first that is not possible."""
    if isinstance(faults, (str, bytes, Mapping)) or not isinstance(faults, Iterable):
        raise ConfigError(field, faults, "must be a list of faults, such as Crash(at=1.0, node=1)")
    found = tuple(faults)
    for place, fault in enumerate(found):
        instance(f"{field}[{place}]", fault, Fault)
        _check_types(f"{field}[{place}]", fault)
        fault.check(f"{field}[{place}]")
    return found


def _check_types(where: str, value: Struct) -> None:
    """Every field holds what its annotation says, as it would in a file."""
    try:
        msgspec.convert(msgspec.to_builtins(value), type(value))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(where, value, _placed(error)) from error


def _joining(fault: AnyFault) -> tuple[NodeId, ...]:
    """The servers that a fault may start for the first time."""
    match fault:
        case Members(voters=nodes) | Learners(nodes=nodes, leave=False):
            return nodes
        case _:
            return ()


def _nodes_of(fault: AnyFault) -> Iterable[NodeOrLeader]:
    """The servers that a fault affects."""
    match fault:
        case Partition(groups=groups):
            return chain.from_iterable(groups)
        case Isolate(node=node) | Crash(node=node) | Wipe(node=node) | Replace(node=node) | Pause(node=node):
            return (node,)
        case Drift(node=node) | Skew(node=node) | Disk(node=node) | Snapshot(node=node) | Transfer(to=node):
            return (node,)
        case Cut(src=src, dst=dst):
            return (src, dst)
        case Elect(nodes=nodes) | Learners(nodes=nodes):
            return nodes
        case Storm(links=links):
            return () if links is UNSET else chain.from_iterable((link.src, link.dst) for link in links)
        case Hold() | Late() | Members():
            return ()
        case _:
            assert_never(fault)


def _changed(usual: V, field: str, changes: Mapping[str, Any]) -> V:
    """``usual`` with other values in some fields; pairs may be given as lists."""
    known = asdict(usual)
    if not isinstance(changes, Mapping):
        raise ConfigError(field, changes, "must map names to values, such as {'loss': 0.1}")
    changes = {FORMER_NAMES.get(name, name): value for name, value in changes.items()}
    for name in changes:
        if name not in known:
            raise ConfigError(f"{field}.{name}", changes[name], did_you_mean(name, known))
    try:
        return msgspec.convert(known | dict(changes), type(usual))
    except msgspec.MsgspecError as error:
        raise ConfigError(field, changes, _placed(error)) from error


def _check_words(told: object) -> None:
    """Raise ``PlanError`` for an unknown key or kind of fault."""
    if not isinstance(told, dict):
        return
    _check_keys("", told, Plan)
    faults = told.get("faults")
    for place, fault in enumerate(faults if isinstance(faults, list) else ()):
        if isinstance(fault, dict) and "do" in fault:
            kind = _KINDS.get(fault["do"])
            if kind is None:
                raise PlanError(f"faults[{place}].do {fault['do']!r} {did_you_mean(fault['do'], _KINDS)}")
            _check_keys(f"faults[{place}].", {name: fault[name] for name in fault if name != "do"}, kind)


def _check_keys(where: str, told: Mapping[str, object], kind: type[Struct]) -> None:
    known = [field.name for field in fields(kind)]
    for name in told:
        if name not in known:
            raise PlanError(f"{where}{name} {did_you_mean(name, known)}")


_KINDS: Mapping[str, type[Fault]] = {kind.__name__.lower(): kind for kind in get_args(AnyFault)}


def _placed(error: Exception) -> str:
    """Where it is, then what."""
    what, _, where = str(error).partition(" - at `$.")
    return f"{where.rstrip('`')}: {what}" if where else what


def _json_of_yaml(text: str) -> str:
    try:
        with needed("yaml"):
            import yaml
    except MissingExtra as missing:
        raise PlanError(f"it is YAML, and {missing}, or write the plan as JSON in a .json file") from missing
    try:
        return msgspec.json.encode(yaml.safe_load(text)).decode()
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise PlanError(f"it is no YAML: {error}") from error
