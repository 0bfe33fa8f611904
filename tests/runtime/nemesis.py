"""What happens to the processes of a soak, and what is written down about them while it does."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pandas as pd

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.processes import ProcessCluster

PAGE = os.sysconf("SC_PAGE_SIZE")
Deed = Callable[[], Awaitable[None]]
GoesOn = Callable[[], bool]


class Nemesis:
    """Two hands that do one bad thing after the other: one to the processes, one to the wires and the membership.

    They do not wait for each other. The last voter, the elder, is never killed: what a process loses with the years is
    measured on it.
    """

    def __init__(self, cluster: ProcessCluster, nodes: int, chance: random.Random) -> None:
        self.cluster, self.chance = cluster, chance
        self.voters = frozenset(range(1, nodes + 1))
        self.elder, self.newcomer = nodes, nodes + 1
        self.done: list[str] = []

    async def run(self, goes_on: GoesOn) -> None:
        """While the test ``goes_on``; then everything is well again."""
        processes: Mapping[str, Deed] = {"kill": self.kill, "pause": self.pause, "stop": self.stop}
        wires: Mapping[str, Deed] = {
            "broker": self.broker,
            "cut": self.cut,
            "newcomer": self.newcome,
            "partition": self.partition,
            "voters": self.revote,
        }
        await asyncio.gather(self._hand(processes, goes_on), self._hand(wires, goes_on))
        await self._settle()

    async def _hand(self, deeds: Mapping[str, Deed], goes_on: GoesOn) -> None:
        """Each deed once, then whatever chance picks."""
        left = self.chance.sample(sorted(deeds), len(deeds))
        while goes_on():
            name = left.pop() if left else self.chance.choice(sorted(deeds))
            self.done.append(name)
            await deeds[name]()
            await asyncio.sleep(0.4)

    # To processes

    async def kill(self) -> None:
        """Kill -9 as many as may be missing, and start them again."""
        some = self.chance.randrange(1, len(self.voters) // 2 + 1)
        nodes = self.chance.sample(sorted(self.voters - {self.elder}), some)
        for node in nodes:
            await self.cluster.kill(node)
        await asyncio.sleep(1.0)
        for node in nodes:
            await self._start(node)

    async def stop(self) -> None:
        """SIGTERM, and start it again at once."""
        node = self.chance.choice(sorted(self.voters - {self.elder}))
        os.kill(self.cluster.pids[node], signal.SIGTERM)
        await asyncio.sleep(0.7)
        await self._start(node)

    async def _start(self, node: NodeId) -> None:
        """Once more where it found no broker."""
        while True:
            try:
                await self.cluster.restart(node)
            except PyraftError:
                self.done.append("start: in vain")
            else:
                return

    async def pause(self) -> None:
        """SIGSTOP, longer than anybody waits for a leader."""
        node = self.chance.choice(sorted(self.voters))
        self.cluster.pause(node)
        await asyncio.sleep(1.5)
        self.cluster.resume(node)

    # To wires

    async def partition(self) -> None:
        """A minority hears only itself."""
        few = set(self.chance.sample(sorted(self.voters), self.chance.randrange(1, len(self.voters) // 2 + 1)))
        self.cluster.partition(few, self.voters - few)
        await asyncio.sleep(1.5)
        self.cluster.heal()

    async def cut(self) -> None:
        """One node hears another no more, and is still heard by it; messages are lost and late everywhere."""
        src, dst = self.chance.sample(sorted(self.voters), 2)
        self.cluster.weather(loss=0.1, delay=(0.0, 0.05))
        self.cluster.cut(src, dst)
        await asyncio.sleep(1.5)
        self.cluster.heal()

    async def broker(self) -> None:
        """The broker dies, and comes back on its port."""
        assert self.cluster.broker is not None, "the cluster has started it"
        await asyncio.to_thread(self.cluster.broker.kill)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(self.cluster.broker.restart)

    # To the membership; where nobody leads for so long, the others go on anyway

    async def revote(self) -> None:
        """One voter becomes a learner for a while."""
        out = self.chance.choice(sorted(self.voters))
        try:
            await self.cluster.change_membership(self.voters - {out}, retain=True)
            await self.cluster.change_membership(self.voters)
        except PyraftError:
            self.done.append("voters: in vain")

    async def newcome(self) -> None:
        """A node that never was there learns the log and votes, and goes again."""
        try:
            await self.cluster.add_learner(self.newcomer)
            await self.cluster.change_membership(self.voters | {self.newcomer})
            await self.cluster.change_membership(self.voters)
        except PyraftError:
            self.done.append("newcomer: in vain")

    async def _settle(self) -> None:
        """Whatever was left half done, these are the voters."""
        self.cluster.heal()
        await self.cluster.wait_leader(60)
        await self.cluster.change_membership(self.voters)


class Usage:
    """How much memory and how many open files each process has, as time goes by."""

    def __init__(self, cluster: ProcessCluster) -> None:
        self.cluster = cluster
        self.rows: list[dict[str, float]] = []

    async def run(self, goes_on: GoesOn) -> None:
        """Look twice a second."""
        while goes_on():
            self.look()
            await asyncio.sleep(0.5)

    def look(self) -> None:
        """Write down how every process stands; one that has just died has no figures."""
        for node, pid in self.cluster.pids.items():
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            except OSError:
                continue
            self.rows.append(
                {"time": self.cluster.now, "node": node, "pid": pid, "megabytes": pages * PAGE / 2**20, "files": files}
            )

    def of(self, node: NodeId) -> pd.DataFrame:
        """One node's figures in its present life."""
        frame = pd.DataFrame(self.rows)
        pid = frame.pid[frame.node == node].iloc[-1]
        life: pd.DataFrame = frame.loc[frame.pid == pid]
        return life
