"""The demonstration on live nodes: election, writes, membership, snapshot, leader crash, recovery, and the verdict.

Every step checks its claim, so the demonstration fails if the cluster does.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.check.linearize.verdict import Verdict
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Configuration
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.history import History, Operation
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.recording_client import RecordingClient
from pyraft_lab.trace.trace import Trace

CONFIG = Config(election_timeout=(0.3, 0.6), heartbeat_interval=0.06, snapshot_logs_since_last=None)
"""Long timeouts for a busy machine: a late heartbeat must not cause an election."""
CLIENTS, CONTESTED = 4, 3
"""Clients that write concurrently, and the number of keys they all write."""
STEP_TIMEOUT = 10.0
"""Seconds that one step may take before it has failed."""


class DemoStep(Struct, frozen=True):
    """One step of the demonstration: its title, its result in words, and whether it succeeded."""

    title: str
    text: str
    ok: bool
    seconds: float


class DemoReport(Struct, frozen=True, kw_only=True):
    """All steps in order, and data for figures; ``verdict`` is the linearizability of all clients' calls."""

    steps: tuple[DemoStep, ...]
    network: str
    trace: Trace
    history: History
    verdict: Verdict | None = None

    @property
    def ok(self) -> bool:
        """Whether every step succeeded and the history is linearizable."""
        return bool(self.steps) and all(act.ok for act in self.steps) and bool(self.verdict)


class DemoFailed(PyraftError):
    """A step of the demonstration failed."""


async def demonstrate(
    *,
    network: str = "memory",
    storage: str | Path = "memory",
    nodes: int = 5,
    seconds: float = 2.0,
    begin: Callable[[LocalCluster], None] = lambda _: None,
    say: Callable[[DemoStep], None] = lambda _: None,
) -> DemoReport:
    """Run every step on a new cluster, whose clients write for ``seconds``.

    ``begin`` receives the cluster once it runs, ``say`` receives each step at its end.
    """
    acts: list[DemoStep] = []
    cluster = LocalCluster(nodes, network=network, storage=storage, config=CONFIG, name="demo", trace=500_000)
    async with cluster:
        begin(cluster)
        play = Demo(cluster, seconds)
        for title, act in play.steps:
            acts.append(await _played(title, act))
            say(acts[-1])
            if not acts[-1].ok:
                break
        where = str(cluster.broker or network)
    return DemoReport(
        steps=tuple(acts), network=where, trace=cluster.trace, history=History(play.notes), verdict=play.verdict
    )


async def _played(title: str, act: Callable[[], Awaitable[str]]) -> DemoStep:
    began = time.monotonic()
    try:
        told, ok = await act(), True
    except PyraftError as failed:
        told, ok = str(failed), False
    return DemoStep(title, told, ok, time.monotonic() - began)


def _claim(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    if not holds:
        raise DemoFailed(otherwise)


class Demo:
    """The steps, and what they remember for each other."""

    def __init__(self, cluster: LocalCluster, seconds: float) -> None:
        self.cluster, self.seconds = cluster, seconds
        self.leader: NodeId = 0
        self.old_leader: NodeId = 0
        self.notes: list[Operation] = []
        self.verdict: Verdict | None = None
        self._witnesses = [
            RecordingClient(cluster.new_client(), name=name, notes=self.notes, now=lambda: cluster.now)
            for name in range(1, CLIENTS + 1)
        ]
        self._numbers = itertools.count(1)

    @property
    def steps(self) -> tuple[tuple[str, Callable[[], Awaitable[str]]], ...]:
        """Title and function of each step, in order."""
        return (
            ("An election (§5.2)", self.elect),
            ("Replicated writes (§5.3)", self.write),
            ("Two quorums, then another (§6)", self.change_membership),
            ("A snapshot in place of the log (§7)", self.snapshot),
            ("The leader crashes while clients write", self.kill_the_leader),
            ("The old leader returns as a follower (§5.3)", self.recover),
            ("No acknowledged write is lost (§8)", self.miss_nothing),
            ("The history is linearizable", self.check_history),
        )

    async def elect(self) -> str:
        """Wait until a node leads and all nodes know it."""
        self.leader = await self.cluster.wait_leader(timeout=STEP_TIMEOUT)
        for raft in self.cluster.nodes.values():
            await raft.wait(STEP_TIMEOUT).leader(self.leader)
        term = self.cluster.metrics[self.leader].term
        return f"node {self.leader} leads term {term}, with votes from a majority of {len(self.cluster.nodes)}"

    async def write(self) -> str:
        """Write until every machine has applied the writes, not only the leader's."""
        await self._write_for(self.seconds / 2)
        end = await self._settled()
        return f"{self._acknowledged} calls answered; every machine is at entry {end.applied.index}"

    async def change_membership(self) -> str:
        """Add a learner, then replace a voter by it, through a joint membership."""
        new, old = max(self.cluster.nodes) + 1, next(node for node in self.cluster.nodes if node != self.leader)
        await self.cluster.add_learner(new)
        before = self.cluster.metrics[self.leader].membership.voters
        done = await self.cluster.change_membership((before - {old}) | {new})
        _claim(done.membership is not None and not done.membership.is_joint, "the joint membership did not end")
        joint = await self.cluster.raft(self.leader).with_state(
            lambda state: [str(one.payload.membership) for one in state.log if isinstance(one.payload, Configuration)]
        )
        _claim(len(joint) >= 3, f"the membership changed without a joint one: {joint}")
        await self.cluster.kill(old)
        return f"node {new} learned the log and took the place of node {old}: {' → '.join(joint[-3:])}"

    async def snapshot(self) -> str:
        """Build a snapshot on every node, so that it may forget its log."""
        snapshots = []
        for raft in self.cluster.nodes.values():
            raft.trigger.snapshot()
            now = await raft.wait(STEP_TIMEOUT).until(lambda now: now.snapshot.index > 0, "a snapshot")
            snapshots.append(now.snapshot)
        return f"every node has a snapshot that replaces the log up to at least entry {min(snapshots)}"

    async def kill_the_leader(self) -> str:
        """Kill the leader while clients write; their sessions make each write happen once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_for(self.seconds))
            await asyncio.sleep(self.seconds / 4)
            self.old_leader, began = self.leader, time.monotonic()
            await self.cluster.kill(self.old_leader)
            self.leader = await self.cluster.wait_leader(timeout=STEP_TIMEOUT)
            outage = time.monotonic() - began
        _claim(self.leader != self.old_leader, "the metrics still say that the killed node leads")
        term = self.cluster.metrics[self.leader].term
        told = f"node {self.old_leader} was killed; node {self.leader} led term {term} {outage:.2f} s later"
        return f"{told}; no call failed"

    async def recover(self) -> str:
        """Restart the old leader; it catches up from its disk as a follower."""
        await self.cluster.restart(self.old_leader)
        end = await self._settled()
        return f"node {self.old_leader} is back and has everything up to entry {end.applied.index}"

    async def miss_nothing(self) -> str:
        """Read every key once more for the verdict, and compare all machines."""
        keys = sorted({operation.input[1] for operation in self.notes if isinstance(operation.input, tuple)})
        shares = [keys[place::CLIENTS] for place in range(CLIENTS)]
        await asyncio.gather(*(_read_all(client, share) for client, share in zip(self._witnesses, shares, strict=True)))
        await self._settled()
        tables = [await raft.with_machine(lambda machine: machine.data) for raft in self.cluster.nodes.values()]
        _claim(all(table == tables[0] for table in tables), "two machines differ")
        return f"all {len(keys)} keys were read; all {len(tables)} machines are equal"

    async def check_history(self) -> str:
        """Check that the clients' calls are linearizable."""
        self.verdict = await asyncio.to_thread(check_linearizable, History(self.notes), "kv", 30.0)
        _claim(self.verdict.ok is True, self.verdict.explain())
        return f"all {len(self.notes)} calls of {CLIENTS} clients are linearizable"

    @property
    def _acknowledged(self) -> int:
        return sum(operation.returned is not None for operation in self.notes)

    async def _write_for(self, seconds: float) -> None:
        """Write own and shared keys from every client for ``seconds``, and record the calls."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._write_until(end, client) for client in self._witnesses))

    async def _write_until(self, end: float, client: RecordingClient) -> None:
        while time.monotonic() < end:
            number = next(self._numbers)
            contested = f"contested/{number % CONTESTED}"
            await client.write({"op": "put", "key": f"{client.name}/{number}", "value": number})
            seen = await client.read(contested)
            await client.write({"op": "cas", "key": contested, "old": seen, "new": number})
            await asyncio.sleep(0.002)  # so that a long demonstration stays readable and does not block the machine

    async def _settled(self) -> Metrics:
        """Wait until every machine has applied everything that the leader has."""
        end = self.cluster.metrics[self.leader].last_log.index
        for raft in self.cluster.nodes.values():
            await raft.wait(STEP_TIMEOUT).applied(end)
        return self.cluster.metrics[self.leader]


async def _read_all(client: RecordingClient, keys: Sequence[str]) -> None:
    for key in keys:
        await client.read(key)
