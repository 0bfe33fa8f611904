"""The desk of a live cluster: a tape that grows as things happen, and orders that are carried out now.

The past of a live cluster can be looked at as often as one likes, but there is no acting in it.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from pyraft_lab.errors import PyraftError
from pyraft_lab.lab.actions import Crash, Cut, Heal, Order, Partition, Restart, Write, order
from pyraft_lab.lab.desk import Act, TraceDesk, asked
from pyraft_lab.lab.film import REEL
from pyraft_lab.lab.scene import Json
from pyraft_lab.runtime.cluster import LocalCluster

MOST = 20_000
"""Events a live tape holds; what happens later is in the cluster's own trace."""
PATIENCE = 2.0
"""Seconds a write may take: the tape stands still meanwhile."""
CAN = ("crash", "restart", "partition", "cut", "heal", "write")


class ClusterDesk(TraceDesk):
    """A live cluster: what has happened, more of it with every ``grow``, and orders from the drawing."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        super().__init__(cluster.trace)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return not self._cluster.is_running or len(self._film) >= MOST

    def board(self) -> Json:
        """Everything that is drawn once."""
        board = super().board()
        self._told["main"] = (0, board["strips"][0]["count"])
        return {**board, "title": "live cluster", "can": list(CAN), "live": True}

    def grow(self) -> Iterator[Json]:
        """Take in what has happened since; what to tell the drawing of it."""
        before = len(self._film)
        for record in self._numbered.take(self._cluster.trace.records):
            self._film.trace(record)
            self._tape.see(record)
        if len(self._film) > before:
            for number in range(before // REEL, (len(self._film) - 1) // REEL + 1):
                yield {"type": "reel", "branch": "main", "reel": self._film.reel(number)}
            yield self.news("main")

    def answer(self, message: Any) -> Iterator[Json]:
        """Reels, and what an order brought about."""
        match asked(message):
            case Act(order=said):
                carry_out(self._cluster, order(said))
                yield from self.grow()
                yield {"type": "go", "branch": "main", "event": len(self._film) - 1}
            case _:
                yield from super().answer(message)


def carry_out(cluster: LocalCluster, order: Order) -> None:
    """Do it now; waits until it is done, so not on the cluster's own thread."""
    match order:
        case Crash(node):
            asyncio.run(cluster.kill(node))
        case Restart(node):
            asyncio.run(cluster.restart(node))
        case Partition(nodes):
            cluster.partition(set(nodes))
        case Cut((one, other)):
            cluster.cut(one, other)
            cluster.cut(other, one)
        case Heal():
            cluster.heal()
        case Write(key, value):
            asyncio.run(cluster.new_client(deadline=PATIENCE).write({"op": "put", "key": key, "value": value}))
        case _:
            raise PyraftError(f"a live cluster does not do this from here: {order.words}; ask its own methods")
