"""A state machine belongs to one run of one node; it must not be applied to again by another.

A node that restarts applies its log, or loads its snapshot, from the beginning. A machine that already holds these
commands would apply them twice. So a machine belongs to the node that used it first.
"""

import weakref
from contextlib import suppress
from typing import Any

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError

_SERVES: dict[int, NodeId] = {}
"""By the identity of a machine: the node that uses it, or used it."""


def claim(machine: Any, node: NodeId) -> None:
    """Assign ``machine`` to ``node``; raises ``PyraftError`` if a node has already used it."""
    if id(machine) in _SERVES:
        kind = type(machine).__name__
        raise PyraftError(
            f"the machine of node {node} was already used by node {_SERVES[id(machine)]} and holds its commands"
            f"; give each node a new machine each time it starts, for instance Raft({node}, machine={kind}(), ...)"
        )
    _SERVES[id(machine)] = node
    with suppress(TypeError):  # no weak references to this type: release() frees it when the node ends
        weakref.finalize(machine, _SERVES.pop, id(machine), None).atexit = False


def release(machine: Any, *, is_blank: bool) -> None:
    """Release the machine of a node that has ended; if nothing was applied to it, another node may use it."""
    if is_blank or type(machine).__weakrefoffset__ == 0:
        _SERVES.pop(id(machine), None)
