"""A state machine has one life: what one node applied to it must not be applied again by another.

A node that starts anew applies its log, or loads its snapshot, from the beginning; a machine that holds that already
would count everything twice. So a machine belongs to the node that it was handed to first.
"""

import weakref
from contextlib import suppress
from typing import Any

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError

_SERVES: dict[int, NodeId] = {}
"""By the identity of a machine: the node it serves, or did."""


def claim(machine: Any, node: NodeId) -> None:
    """Let ``machine`` serve ``node`` and none after it; ``PyraftError`` where it serves one already, or did."""
    if id(machine) in _SERVES:
        kind = type(machine).__name__
        raise PyraftError(
            f"the machine of node {node} has served node {_SERVES[id(machine)]} already, and holds what was applied "
            f"there; give each node a new machine each time it starts, for instance Raft({node}, machine={kind}(), ...)"
        )
    _SERVES[id(machine)] = node
    with suppress(TypeError):  # of a kind without weak references: it is freed when its node ends
        weakref.finalize(machine, _SERVES.pop, id(machine), None).atexit = False


def release(machine: Any, *, is_blank: bool) -> None:
    """Its node has ended: a machine to which nothing was applied may serve another one."""
    if is_blank or type(machine).__weakrefoffset__ == 0:
        _SERVES.pop(id(machine), None)
