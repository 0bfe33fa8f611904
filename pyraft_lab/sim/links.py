"""Links between servers: one way each, from the first to the second."""

from collections.abc import Iterable
from itertools import permutations

from pyraft_lab.engine.types import NodeId


def links_between(groups: Iterable[Iterable[NodeId]], nodes: Iterable[NodeId]) -> tuple[tuple[NodeId, NodeId], ...]:
    """Every link that leaves a group; who is in none is a group alone."""
    side = {node: place for place, group in enumerate(groups) for node in group}
    return tuple((src, dst) for src, dst in permutations(nodes, 2) if side.get(src, -src) != side.get(dst, -dst))
