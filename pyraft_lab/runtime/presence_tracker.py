"""Who of a cluster elsewhere is heard of: a node that is killed tells nobody, but the broker executes its last will.

::

    its claim is cleared          a moment later it is not heard of: dead, standing still, or cut off, who knows
    somebody claims it again      it is heard from again
    the broker was away           who does not claim his name anew before long is not heard of
"""

from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.record import Kind, Record

MOMENT = 0.5
"""Seconds between a cleared claim and the news: a living node's claim that a dead rival wiped out is there at once."""
RETURN = 5.0
"""Seconds that nodes have to come back after their broker did."""


class PresenceTracker:
    """Fed with what is heard of nodes' presence; ``now`` is in seconds, of any clock that does not go back."""

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
        """The broker is there, perhaps again: who is still present will be heard of."""
        for node in self._present:
            self._going.setdefault(node, now + RETURN)

    def on_record(self, record: Record) -> None:
        """Whoever crashed or paused a node has told of it, which says more than silence."""
        if record.kind in (Kind.CRASH, Kind.PAUSE):
            self._present.discard(record.node)
            self._going.pop(record.node, None)
        elif record.kind is Kind.RESUME:
            self._present.add(record.node)

    def take(self, *, now: float) -> list[tuple[Kind, NodeId]]:
        """What is new since the last time, once each."""
        gone = sorted(node for node, due in tuple(self._going.items()) if due <= now)
        for node in gone:
            self._going.pop(node, None)
            self._present.discard(node)
            self._silent.add(node)
        back, self._back = self._back, []
        return [*((Kind.HEARD, node) for node in back), *((Kind.SILENT, node) for node in gone)]
