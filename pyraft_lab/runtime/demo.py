"""The whole story on live nodes: elect, write, change membership, snapshot, lose the leader, recover, miss nothing.

Every act checks what it claims, so the demonstration fails where the cluster does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from msgspec import Struct

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.metrics import Metrics

CONFIG = Config(election_timeout=(0.3, 0.6), heartbeat_interval=0.06, snapshot_logs_since_last=None)
"""Calm enough for a busy machine: a late heartbeat is no reason for an election."""


class Act(Struct, frozen=True):
    """One act of the demonstration: what was to happen, what did, and whether it was that."""

    title: str
    told: str
    ok: bool
    seconds: float


class Report(Struct, frozen=True):
    """All acts, in order."""

    acts: tuple[Act, ...]

    @property
    def ok(self) -> bool:
        """Whether all of it happened."""
        return bool(self.acts) and all(act.ok for act in self.acts)


class Failed(PyraftError):
    """An act did not go as it has to."""


async def demonstrate(
    *,
    network: str = "memory",
    storage: str | Path = "memory",
    nodes: int = 5,
    seconds: float = 2.0,
    say: Callable[[Act], None] = lambda _: None,
) -> Report:
    """Play every act on a cluster of its own; ``say`` hears each one as it ends. Clients write for ``seconds``."""
    acts: list[Act] = []
    async with LocalCluster(nodes, network=network, storage=storage, config=CONFIG, name="demo") as cluster:
        for title, act in Play(cluster, seconds).acts:
            began = time.monotonic()
            told, ok = await _played(act)
            acts.append(Act(title, told, ok, time.monotonic() - began))
            say(acts[-1])
            if not ok:
                break
    return Report(tuple(acts))


async def _played(act: Callable[[], Awaitable[str]]) -> tuple[str, bool]:
    try:
        return await act(), True
    except PyraftError as failed:
        return str(failed), False


def _claim(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    if not holds:
        raise Failed(otherwise)


class Play:
    """The acts, and what they remember of each other."""

    def __init__(self, cluster: LocalCluster, seconds: float) -> None:
        self.cluster, self.seconds = cluster, seconds
        self.leader: NodeId = 0
        self.acknowledged: dict[str, int] = {}
        self.fallen: NodeId = 0

    @property
    def acts(self) -> tuple[tuple[str, Callable[[], Awaitable[str]]], ...]:
        """Title and deed, in order."""
        return (
            ("An election (§5.2)", self.elect),
            ("Replicated writes (§5.3)", self.write),
            ("Two quorums, then another (§6)", self.change_membership),
            ("A snapshot in place of the log (§7)", self.snapshot),
            ("The leader dies while clients write", self.kill_the_leader),
            ("It comes back and follows (§5.3)", self.recover),
            ("Everything acknowledged is there (§8)", self.miss_nothing),
        )

    async def elect(self) -> str:
        """Somebody leads, and everybody knows whom."""
        self.leader = await self.cluster.wait_leader()
        for raft in self.cluster.nodes.values():
            await raft.wait(5.0).leader(self.leader)
        term = self.cluster.metrics[self.leader].term
        return f"node {self.leader} leads term {term}, by the votes of a majority of {len(self.cluster.nodes)}"

    async def write(self) -> str:
        """Writes are on every machine, not only on the leader's."""
        await self._write_for(self.seconds / 2)
        end = await self._settled()
        return f"{len(self.acknowledged)} writes acknowledged; every machine is at entry {end.applied.index}"

    async def change_membership(self) -> str:
        """A new node learns, then takes the place of a voter, through a joint membership."""
        new, old = max(self.cluster.nodes) + 1, next(node for node in self.cluster.nodes if node != self.leader)
        await self.cluster.add_learner(new)
        before = self.cluster.metrics[self.leader].membership.voters
        done = await self.cluster.change_membership((before - {old}) | {new})
        _claim(done.membership is not None and not done.membership.is_joint, "the joint membership did not end")
        await self.cluster.kill(old)
        return (
            f"node {new} learned the log and took node {old}'s place; voters are now {sorted(before - {old} | {new})}"
        )

    async def snapshot(self) -> str:
        """Every node stores its machine and may forget its log."""
        snapshots = []
        for raft in self.cluster.nodes.values():
            raft.trigger.snapshot()
            now = await raft.wait(5.0).until(lambda now: now.snapshot.index > 0, "a snapshot")
            snapshots.append(now.snapshot)
        return f"every node keeps a snapshot, which stands for the log up to {min(snapshots)} at least"

    async def kill_the_leader(self) -> str:
        """Clients go on writing while their leader dies; their sessions make each write happen once."""
        writing = asyncio.create_task(self._write_for(self.seconds))
        await asyncio.sleep(self.seconds / 4)
        self.fallen, began = self.leader, time.monotonic()
        await self.cluster.kill(self.fallen)
        self.leader = await self.cluster.wait_leader(timeout=10.0)
        outage = time.monotonic() - began
        await writing
        _claim(self.leader != self.fallen, "the dead node is said to lead")
        term = self.cluster.metrics[self.leader].term
        return (
            f"node {self.fallen} was killed; node {self.leader} led term {term} {outage:.2f} s later; no write failed"
        )

    async def recover(self) -> str:
        """The old leader returns from its disk and catches up as a follower."""
        await self.cluster.restart(self.fallen)
        end = await self._settled()
        return f"node {self.fallen} is back and holds everything up to entry {end.applied.index}"

    async def miss_nothing(self) -> str:
        """What was acknowledged is read back, linearizably, and every machine is the same."""
        for keys in batched(self.acknowledged, 500):
            found = await asyncio.gather(*map(self.cluster.client.read, keys))
            lost = {key: value for key, value in zip(keys, found, strict=True) if value != self.acknowledged[key]}
            _claim(not lost, f"acknowledged writes are missing: {lost}")
        await self._settled()
        tables = [await raft.with_machine(lambda machine: machine.data) for raft in self.cluster.nodes.values()]
        _claim(all(table == tables[0] for table in tables), "two machines differ")
        return f"all {len(self.acknowledged)} acknowledged writes read back; all {len(tables)} machines are equal"

    async def _write_for(self, seconds: float) -> None:
        """Four clients write keys of their own, and remember what was acknowledged."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._write_until(end, client) for client in range(4)))

    async def _write_until(self, end: float, client: int) -> None:
        while time.monotonic() < end:
            number = len(self.acknowledged)
            key = f"{client}/{number}"
            await self.cluster.client.write({"op": "put", "key": key, "value": number})
            self.acknowledged[key] = number
            await asyncio.sleep(0.002)  # so that a long demonstration stays readable, and the machine usable

    async def _settled(self) -> Metrics:
        """Every machine has carried out all that the leader has."""
        end = self.cluster.metrics[self.leader].last_log.index
        for raft in self.cluster.nodes.values():
            await raft.wait(10.0).applied(end)
        return self.cluster.metrics[self.leader]


def batched(keys: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    """Groups of at most ``size``."""
    rest = iter(keys)
    while group := tuple(islice(rest, size)):
        yield group
