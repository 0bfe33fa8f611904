"""Turn MQTT presence (last wills) into SILENT and HEARD events: a broker reports a killed node by its last will.

::

    claim cleared            after a moment the node is SILENT: dead, paused or cut off
    claim repeated           the node is HEARD again
    broker was away          nodes that do not repeat their claim soon are SILENT
"""

from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.record import Kind, Record

MOMENT = 0.5
"""Seconds between a cleared claim and SILENT; a living node repeats its claim within this time."""
RETURN = 5.0
"""Seconds that nodes have to come back after their broker came back."""


class PresenceTracker:
    """Track the presence of nodes; ``now`` is in seconds, of any clock that does not go back."""

    def __init__(self) -> None:
        self._present: set[NodeId] = set()
        self._silent: set[NodeId] = set()
        self._going: dict[NodeId, float] = {}
        self._back: list[NodeId] = []

    def on_presence(self, node: NodeId, *, is_claimed: bool, now: float) -> None:
        """A node's presence was claimed, or cleared."""
        if not is_claimed:
            if node in self._present:
                self._going[node] = min(now + MOMENT, self._going.get(node, now + MOMENT))
            return
        self._going.pop(node, None)
        self._present.add(node)
        if node in self._silent:
            self._silent.discard(node)
            self._back.append(node)

    def connected(self, *, now: float) -> None:
        """The broker is connected (again); nodes that are still there will repeat their claims."""
        for node in self._present:
            self._going.setdefault(node, now + RETURN)

    def on_record(self, record: Record) -> None:
        """A recorded crash or pause explains a node's silence, so no SILENT follows it."""
        if record.kind in (Kind.CRASH, Kind.PAUSE):
            self._present.discard(record.node)
            self._going.pop(record.node, None)
        elif record.kind is Kind.RESUME:
            self._present.add(record.node)

    def take(self, *, now: float) -> list[tuple[Kind, NodeId]]:
        """The changes since the last call, each reported once."""
        gone = sorted(node for node, due in tuple(self._going.items()) if due <= now)
        for node in gone:
            self._going.pop(node, None)
            self._present.discard(node)
            self._silent.add(node)
        back, self._back = self._back, []
        return [*((Kind.HEARD, node) for node in back), *((Kind.SILENT, node) for node in gone)]
