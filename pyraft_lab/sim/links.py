"""Links between servers: one way each, from the first to the second."""

from collections.abc import Collection, Iterable
from itertools import permutations

from pyraft_lab.arguments import side_of
from pyraft_lab.engine.types import NodeId


def links_between(groups: Collection[Collection[NodeId]], nodes: Iterable[NodeId]) -> tuple[tuple[NodeId, NodeId], ...]:
    """Every link that leaves a group; nodes in no group form one more."""
    side = {node: side_of(node, groups) for node in nodes}
    return tuple((src, dst) for src, dst in permutations(side, 2) if side[src] != side[dst])
