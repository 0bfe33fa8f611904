"""A mapping as a value: a change gives a new one, which shares all but a few small parts with the one before.

>>> first = ImmutableMap.of({"x": 1})
>>> second = first.put("y", 2)
>>> dict(first), dict(second), dict(second.without("x"))
({'x': 1}, {'x': 1, 'y': 2}, {'y': 2})

The entries are in small dicts, the leaves of a tree whose branches each look at five more bits of a key's hash. A
change copies one leaf and the branches above it, so its cost hardly grows with the number of entries (a hash trie,
Bagwell 2000)::

    branch ─┬─ leaf {…}                put, without: a new leaf, new branches above it,
            ├─ branch ─┬─ leaf {…}     and everything else belongs to both maps
            ┊          ┊
"""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
Node = dict[Any, Any] | list[Any]
"""A leaf, or a branch of ``WIDTH`` nodes."""
BITS = 5
WIDTH = 1 << BITS
MOST = 32
"""Entries of a leaf; with more it becomes a branch."""
DEEPEST = 60 // BITS
"""Branches above a leaf; beyond this all bits of a hash are used, and a leaf may have any number of entries."""


class ImmutableMap(Mapping[K, V], Generic[K, V]):
    """A mapping that never changes; :meth:`put` and :meth:`without` give new ones.

    Keys are iterated in an order that depends on their hashes: sort them where the order matters.
    """

    __slots__ = ("_count", "_root")

    def __init__(self, root: Node | None = None, count: int = 0) -> None:
        self._root: Node = {} if root is None else root
        self._count = count

    @classmethod
    def of(cls, entries: Mapping[K, V]) -> "ImmutableMap[K, V]":
        """A map with these entries."""
        return cls(_node(dict(entries), 0), len(entries))

    def __getitem__(self, key: K) -> V:
        found: V = _leaf(self._root, key)[key]
        return found

    def get(self, key: K, default: Any = None) -> Any:
        """The value of a key; ``default`` without one."""
        return _leaf(self._root, key).get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in _leaf(self._root, key)

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count > 0

    def __iter__(self) -> Iterator[K]:
        return _keys(self._root)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImmutableMap):
            return NotImplemented
        if self._root is other._root:
            return True
        return self._count == other._count and all(key in other and value == other[key] for key, value in self.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ImmutableMap({dict(self)})"

    def put(self, key: K, value: V) -> "ImmutableMap[K, V]":
        """This map with ``value`` at ``key``."""
        count = self._count + (key not in _leaf(self._root, key))
        return ImmutableMap(_put(self._root, hash(key), 0, key, value), count)

    def without(self, key: K) -> "ImmutableMap[K, V]":
        """This map without ``key``; raises ``KeyError`` if it is not there."""
        return ImmutableMap(_without(self._root, hash(key), key), self._count - 1)


def _leaf(node: Node, key: object) -> dict[Any, Any]:
    """The leaf in which a key is, if it is anywhere."""
    if isinstance(node, list):
        place = hash(key)
        while isinstance(node, list):
            node = node[place % WIDTH]
            place >>= BITS
    return node


def _put(node: Node, place: int, depth: int, key: Any, value: Any) -> Node:
    if isinstance(node, list):
        changed = node.copy()
        changed[place % WIDTH] = _put(node[place % WIDTH], place >> BITS, depth + 1, key, value)
        return changed
    leaf = {**node, key: value}
    return leaf if len(leaf) <= MOST else _node(leaf, depth)


def _without(node: Node, place: int, key: Any) -> Node:
    """A node without a key; a branch that has lost all its entries becomes an empty leaf."""
    if isinstance(node, list):
        changed = node.copy()
        changed[place % WIDTH] = _without(node[place % WIDTH], place >> BITS, key)
        return changed if any(changed) else {}
    leaf = dict(node)
    del leaf[key]
    return leaf


def _node(entries: dict[Any, Any], depth: int) -> Node:
    """A node for these entries, below ``depth`` branches."""
    if len(entries) <= MOST or depth >= DEEPEST:
        return entries
    parts: list[dict[Any, Any]] = [{} for _ in range(WIDTH)]
    shift = BITS * depth
    for key, value in entries.items():
        parts[(hash(key) >> shift) % WIDTH][key] = value
    return [_node(part, depth + 1) for part in parts]


def _keys(node: Node) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node
        return
    for one in node:
        yield from _keys(one)
