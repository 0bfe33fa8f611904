"""Automatic nodes that fill the empty seats of a room, in the teacher's process; each leaves when a learner comes."""

import asyncio
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

from pyraft_lab.classroom.seat import LEAVE_TIMEOUT, RoomAddress, has_vote, remove_change, take_seat
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.metrics import leader_of
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal.link_faults import listed
from pyraft_lab.terminal.members import membership_of, missing_majority

PAUSE = 0.2
"""Seconds between two checks of the room."""
MAX_BOTS = 30


class Bots:
    """Fill up to ``seats`` seats; start more if nodes played by hand would otherwise be a majority.

    They leave one at a time, and a bot leaves only after the learner that replaces it has a vote.
    """

    def __init__(self, place: RoomAddress, remote: Remote, *, seats: int) -> None:
        self.seats = min(seats, MAX_BOTS)
        self._place, self._remote = place, remote
        self._sitting: dict[NodeId, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def nodes(self) -> frozenset[NodeId]:
        """The ids of the automatic nodes."""
        return frozenset(self._sitting)

    async def run(self) -> None:
        """Keep the room filled until cancelled."""
        while True:
            await self._adjust()
            await asyncio.sleep(PAUSE)

    async def leave(self) -> None:
        """Stop all automatic nodes; voters that stay remove them together."""
        self.seats, going = 0, self.nodes
        if membership_of(self._remote.metrics).voters - going:
            with suppress(PyraftError):  # each tries to leave by itself then
                await self._remote.ask_leader(remove_change(going), seconds=LEAVE_TIMEOUT)
            for stop in self._sitting.values():
                stop.set()
        else:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _adjust(self) -> None:
        """Start the automatic nodes that are missing, which the room admits together; or stop one."""
        while self._surplus(self.seats) < 0 and await self._send():
            pass
        if self._surplus(self.seats) > 0 and all(has_vote(self._remote, node) for node in self._learners()):
            self._dismiss(next(self._dispensable()))
            await self._wait_until_left()

    def what_would_be_lost(self, seats: int) -> str:
        """What the room would lose with this number of seats; empty if nothing."""
        going = set(self.leaving(seats))
        if not going:
            return ""
        members = membership_of(self._remote.metrics)
        left = members.voters - going
        why = missing_majority(left, self._remote.metrics) or self._hands(left)
        if not why and members.is_quorum(going):
            why = f"they are the majority of the voters: {listed(left)} would decide alone"
        return why and f"{listed(going)} would leave, and {why}"

    def leaving(self, seats: int) -> Sequence[NodeId]:
        """The automatic nodes that would leave with this number of seats."""
        return list(self._dispensable())[: max(self._surplus(seats), 0)]

    def _hands(self, left: AbstractSet[NodeId]) -> str:
        """Why these voters could not decide without a node played by hand; empty if they could."""
        playing = {node for node in left if self._is_by_hand(node)}
        if not playing or Membership((frozenset(left),)).is_quorum(left - playing):
            return ""
        return f"the majority would wait for answers by hand: {listed(playing)}"

    def _surplus(self, seats: int) -> int:
        """How many automatic nodes are too many; below zero, how many are missing."""
        return len(self._sitting) - self._wanted(self._learners(), seats)

    def _learners(self) -> list[NodeId]:
        """The nodes of everybody else."""
        return [node for node in self._remote.metrics if node not in self._sitting]

    def _is_by_hand(self, node: NodeId) -> bool:
        return node in self._remote.players and self._remote.players[node].by_hand

    def _wanted(self, learners: Sequence[NodeId], seats: int) -> int:
        """The number of automatic nodes for the room: enough that nodes played by hand cannot delay a majority."""
        if not seats:
            return 0
        thinking = sum(map(self._is_by_hand, learners))
        return max(seats - len(learners), 2 * thinking - len(learners) + 1 if thinking else 0, 0)

    async def _send(self) -> bool:
        """Start an automatic node, and wait until it has its number, and the room a leader; whether it has a seat."""
        stop, node = asyncio.Event(), list[NodeId]()

        def told(me: NodeId) -> None:
            for earlier in node:
                self._sitting.pop(earlier, None)  # another node took that seat at the same moment
            node[:] = [me]
            self._sitting[me] = stop

        task = asyncio.create_task(take_seat(self._place, self._remote, None, stop, told=told))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._forget(task, node))
        await self._remote.until(lambda: task.done() or (bool(node) and leader_of(self._remote.metrics) is not None))
        return not task.done()

    def _dispensable(self) -> Iterator[NodeId]:
        """The automatic nodes in the order in which to stop them: the newest first, the leader last."""
        leader = leader_of(self._remote.metrics)
        return iter(sorted(self._sitting, key=lambda node: (node == leader, -node)))

    def _dismiss(self, node: NodeId) -> None:
        self._sitting[node].set()

    async def _wait_until_left(self) -> None:
        """Wait until the stopped node has left."""
        while any(stop.is_set() for stop in self._sitting.values()):  # noqa: ASYNC110 (they end in tasks of their own)
            await asyncio.sleep(PAUSE / 4)

    def _forget(self, task: "asyncio.Task[None]", node: list[NodeId]) -> None:
        self._tasks.discard(task)
        for one in node:
            self._sitting.pop(one, None)
        if not task.cancelled():
            task.exception()  # its node is no longer shown; another one is started
