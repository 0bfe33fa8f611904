"""Directed links between servers, as pairs (from, to)."""

from collections.abc import Collection, Iterable
from itertools import permutations

from pyraft_lab.arguments import side_of
from pyraft_lab.engine.types import NodeId


def links_between(groups: Collection[Collection[NodeId]], nodes: Iterable[NodeId]) -> tuple[tuple[NodeId, NodeId], ...]:
    """Every link from one group to another, as pairs (from, to); nodes in no group form one more group."""
    side = {node: side_of(node, groups) for node in nodes}
    return tuple((src, dst) for src, dst in permutations(side, 2) if side[src] != side[dst])
