"""Argument checks: values from callers and other processes are checked once, before any work is done.

Every public entry point uses these: simulation, node, client, cluster, and the server of remote requests. Each function
returns the value in its internal type (an ``int`` for a NumPy integer), or raises ``ConfigError``, which names the
argument, its value and what is allowed.

>>> node_id("node", 3)
3
>>> node_id("node", True)
Traceback (most recent call last):
pyraft_lab.errors.ConfigError: node=True: must be a node id, a whole number from 1 to 9007199254740991
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import islice
from numbers import Real
from operator import index as as_int
from pathlib import Path, PurePath
from typing import Any, TypeVar

import msgspec

from pyraft_lab.errors import ConfigError, EmptyMembership, shown

T = TypeVar("T")
LARGEST = 2**53 - 1
"""The largest node id, term and index: MessagePack, SQLite, JSON and JavaScript all keep it exactly."""
LARGEST_SEED = 2**63 - 1
"""The largest seed of a run."""
MAX_LENGTH = 1e9
"""The longest time in seconds, about thirty years; clocks and timers can still represent it."""
MAX_NODES = 10_000
"""The maximum number of nodes in a cluster."""
LONGEST_ADDRESS = 1_000
"""The maximum length of an address in characters: every node keeps it in its log, metrics and snapshots."""


def integer(field: str, value: object, least: int = 0, most: int = LARGEST, *, what: str = "") -> int:
    """A whole number from ``least`` to ``most``; ``True`` and ``1.0`` are refused."""
    number = None if isinstance(value, bool) else _as_int(value)
    if number is None or not least <= number <= most:
        raise ConfigError(field, value, f"must be {what and f'{what}, '}a whole number from {least} to {most}")
    return number


def _as_int(value: Any) -> int | None:
    try:
        return as_int(value)
    except TypeError:
        return None


def from_json(text: str | bytes, kind: type[T]) -> T:
    """A value of ``kind`` from JSON that others wrote; ``msgspec.MsgspecError`` if it is none, however deeply nested.

    >>> from_json('{"node": [1, 2]}', dict)
    {'node': [1, 2]}
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (RecursionError, UnicodeError) as wrong:
        raise msgspec.DecodeError(str(wrong)) from None


def node_id(field: str, value: object) -> int:
    """A node id: a whole number from 1 to ``LARGEST``."""
    return integer(field, value, 1, what="a node id")


def node_ids(field: str, values: object, *, least: int = 0) -> tuple[int, ...]:
    """Distinct node ids in order, at least ``least`` of them."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ConfigError(field, values, "must be a set of node ids, such as {1, 2, 3}")
    ids = {_as_id(one) for one in islice(values, MAX_NODES + 1)}
    if None in ids:
        raise ConfigError(field, values, f"must be node ids, whole numbers from 1 to {LARGEST}")
    if not least <= len(ids) <= MAX_NODES:
        raise ConfigError(field, values, f"must be {least} to {MAX_NODES} node ids")
    return tuple(sorted(one for one in ids if one is not None))


def _as_id(value: object) -> int | None:
    number = None if isinstance(value, bool) else _as_int(value)
    return number if number is not None and 1 <= number <= LARGEST else None


def bounded_list(field: str, values: Iterable[T], most: int) -> list[T]:
    """A list of at most ``most`` values; a single string or a dict is refused, since it is probably one value."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ConfigError(field, values, "must be a list; put a single value into [ ]")
    found = list(islice(values, most + 1))
    if len(found) > most:
        raise ConfigError(field, f"more than {most}", f"must be at most {most} at once")
    return found


def addresses(field: str, table: object) -> dict[int, str]:
    """A map from node id to address, in order of ids."""
    if not isinstance(table, Mapping):
        raise ConfigError(field, table, "must map node ids to addresses, such as {4: 'host:port'}")
    node_ids(field, list(table))
    return {node_id(field, node): address(f"{field}[{node}]", table[node]) for node in sorted(table)}


def voters(field: str, members: object) -> dict[int, str]:
    """A map from the voters' node ids to addresses, in order of ids; an address is empty if only ids are given.

    Raises ``EmptyMembership`` if there are none.
    """
    nodes = addresses(field, members) if isinstance(members, Mapping) else dict.fromkeys(node_ids(field, members), "")
    if not nodes:
        raise EmptyMembership
    return nodes


def sides(field: str, groups: Iterable[object]) -> tuple[tuple[int, ...], ...]:
    """The groups of a partition, as tuples of node ids; a node can be in only one group."""
    parts = tuple(node_ids(f"{field}[{place}]", group) for place, group in enumerate(groups))
    named = [node for part in parts for node in part]
    if len(named) != len(set(named)):
        raise ConfigError(field, parts, "a node can be on one side only")
    return parts


def side_of(node: int, groups: Iterable[Container[int]]) -> int:
    """The position of a node's group in a partition; -1 for nodes in no group, which form one more group.

    >>> [side_of(node, [{1, 2}, {3}]) for node in (1, 3, 4, 5)]
    [0, 1, -1, -1]
    """
    return next((place for place, group in enumerate(groups) if node in group), -1)


def node_pair(field: str, value: Any) -> tuple[int, int]:
    """A directed link between two different nodes: a pair (from, to)."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ConfigError(field, value, "must be a pair (from, to) of node ids")
    src, dst = (node_id(field, one) for one in value)
    if src == dst:
        raise ConfigError(field, value, "must lead from one node to another")
    return src, dst


def number(field: str, value: Any, least: float = 0.0, most: float = MAX_LENGTH, unit: str = "") -> float:
    """A number from ``least`` to ``most``, whole or not; NaN is refused."""
    found = _as_float(value)
    if found is None or not least <= found <= most:
        raise ConfigError(field, value, f"must be a number from {least:g} to {most:g}{unit and ' ' + unit}")
    return found


def _as_float(value: Any) -> float | None:
    """The value as a Python number, whole numbers as ``int``; ``None`` for other values."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value) if isinstance(value, Real) else None
    except OverflowError:
        return None


def seconds(field: str, value: object, least: float = 0.0) -> float:
    """A time in seconds, from ``least`` to ``MAX_LENGTH``."""
    return number(field, value, least, MAX_LENGTH, "seconds")


def probability(field: str, value: object) -> float:
    """A probability or share, from 0 to 1."""
    return number(field, value, 0, 1)


def time_range(field: str, value: Any) -> tuple[float, float]:
    """A pair (shortest, longest) of times in seconds."""
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not is_pair or any(_as_float(one) is None or not 0 <= one <= MAX_LENGTH for one in value):
        raise ConfigError(field, value, f"must be a pair (shortest, longest) of seconds, each from 0 to {MAX_LENGTH:g}")
    shortest, longest = value
    if shortest > longest:
        raise ConfigError(field, value, "the shortest must be below the longest")
    return shortest, longest


def at_least(field: str, value: object, least: float, unit: str = "") -> None:
    """Raise ``ConfigError`` unless a number is at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
        raise ConfigError(field, value, f"must be a number of at least {least:g}{unit and ' ' + unit}")


def flag(field: str, value: object) -> bool:
    """``True`` or ``False``; other truthy or falsy values are refused."""
    if not isinstance(value, bool):
        raise ConfigError(field, value, "must be True or False")
    return value


def choice(field: str, value: T, choices: Sequence[str], *, advice: str = "") -> T:
    """One of the strings in ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(field, value, f"must be one of {', '.join(choices)}{advice and f'; {advice}'}")
    return value


def text(field: str, value: object) -> str:
    """A string that UTF-8 can encode."""
    if not isinstance(value, str):
        raise ConfigError(field, value, "must be a string")
    if not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
        raise ConfigError(field, value, "must be a string of whole characters, without half of a surrogate pair")
    return value


def address(field: str, value: object) -> str:
    """A node's address in the application's form, possibly empty; at most ``LONGEST_ADDRESS`` characters."""
    if len(found := text(field, value)) > LONGEST_ADDRESS:
        raise ConfigError(field, value, f"must be an address of at most {LONGEST_ADDRESS} characters")
    return found


def directory(field: str, value: object) -> Path:
    """The path of a directory, whatever is there; an empty one is most likely a variable that is not set.

    >>> directory("storage", "data/1").parts
    ('data', '1')
    """
    if not isinstance(value, (str, PurePath)) or "\0" in (found := str(value)):
        raise ConfigError(field, value, "must be the path of a directory")
    if not found.strip() or (not isinstance(value, str) and found == "."):  # Path("") is Path(".")
        advice = "must name a directory; is a variable not set? Give the working directory by its full path"
        raise ConfigError(field, found if isinstance(value, str) else value, advice)
    return Path(found)


def function(field: str, value: Callable[..., T]) -> Callable[..., T]:
    """A callable."""
    if not callable(value):
        raise ConfigError(field, value, "must be a function")
    return value


def functions(field: str, values: Iterable[Callable[..., T]]) -> list[Callable[..., T]]:
    """A list of callables."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ConfigError(field, values, "must be a list of functions")
    return [function(f"{field}[{place}]", one) for place, one in enumerate(values)]


def fitting(field: str, value: T, face: type, *, advice: str = "") -> T:
    """An object with every method of the protocol ``face``; a class is refused, its instance is needed."""
    if isinstance(value, type):
        raise ConfigError(field, value, f"must be an object, not its class: {field}={value.__name__}()")
    methods = [name for name, one in vars(face).items() if callable(one) and not name.startswith("_")]
    if missing := [name for name in methods if not callable(getattr(value, name, None))]:
        raise ConfigError(
            field, value, f"must be a {face.__name__}, and has no {', '.join(missing)}{advice and f'; {advice}'}"
        )
    return value


def named_functions(field: str, table: object) -> dict[str, Callable[..., Any]]:
    """A map from names to functions."""
    if not isinstance(table, Mapping):
        raise ConfigError(field, table, "must map names to functions")
    return {text(field, name): function(f"{field}[{shown(name)}]", one) for name, one in table.items()}


def instance(field: str, value: T, kind: type[T]) -> T:
    """A value of the class ``kind``."""
    if not isinstance(value, kind):
        raise ConfigError(field, value, f"must be a {kind.__name__}")
    return value
