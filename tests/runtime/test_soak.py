"""Real processes, real disks and a real broker, while a nemesis kills, pauses, cuts and changes who votes.

The short form runs always; ``SOAK=120 python -m pytest tests/runtime/test_soak.py`` is the long one.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from pyraft_lab.check.linearizability import check_linearizable
from pyraft_lab.engine.config import Config
from pyraft_lab.errors import PyraftError
from pyraft_lab.history import History, Operation
from pyraft_lab.network import broker
from pyraft_lab.runtime.processes import ProcessCluster
from pyraft_lab.runtime.witness import Witness

SECONDS = float(os.environ.get("SOAK", "8"))
CONFIG = Config(
    election_timeout=(0.5, 1.0), heartbeat_interval=0.1, snapshot_logs_since_last=300, keep_logs=50, prompt_commit=False
)
CLIENTS, KEYS = 4, 5
pytestmark = [
    pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(SECONDS * 3 + 120),
]


class Nemesis:
    """Does one bad thing after the other, and always lets a majority be."""

    def __init__(self, cluster: ProcessCluster, chance: random.Random) -> None:
        self.cluster, self.chance = cluster, chance
        self.done: list[str] = []

    async def run(self, end: float) -> None:
        """Until the cluster's clock shows ``end``; then everything is well again."""
        deeds: Mapping[str, Callable[[], Awaitable[None]]] = {
            "kill": self.kill,
            "pause": self.pause,
            "partition": self.partition,
            "broker": self.broker,
            "members": self.members,
        }
        while self.cluster.now < end:
            name = self.chance.choice(sorted(deeds)) if len(self.done) >= len(deeds) else sorted(deeds)[len(self.done)]
            self.done.append(name)
            await deeds[name]()
            await asyncio.sleep(0.5)

    async def kill(self) -> None:
        node = self.chance.choice(sorted(self.cluster.metrics))
        await self.cluster.kill(node)
        await asyncio.sleep(1.0)
        await self.cluster.restart(node)

    async def pause(self) -> None:
        node = self.chance.choice(sorted(self.cluster.metrics))
        self.cluster.pause(node)
        await asyncio.sleep(1.5)
        self.cluster.resume(node)

    async def partition(self) -> None:
        node = self.chance.choice(sorted(self.cluster.metrics))
        self.cluster.partition({node}, set(self.cluster.metrics) - {node})
        await asyncio.sleep(1.5)
        self.cluster.heal()

    async def broker(self) -> None:
        assert self.cluster.broker is not None
        await asyncio.to_thread(self.cluster.broker.kill)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(self.cluster.broker.restart)

    async def members(self) -> None:
        """One voter becomes a learner for a while."""
        out = self.chance.choice(sorted(self.cluster.metrics))
        try:
            await self.cluster.change_membership({1, 2, 3} - {out}, retain=True)
            await self.cluster.change_membership({1, 2, 3})
        except PyraftError:
            pass  # no leader for so long: the others go on anyway


async def work(witness: Witness, cluster: ProcessCluster, end: float, chance: random.Random) -> None:
    """Write and read a few keys; a call without an answer is noted as such."""
    number = 0
    while cluster.now < end:
        number += 1
        key = f"k{chance.randrange(KEYS)}"
        try:
            if chance.random() < 0.5:
                await witness.write({"op": "put", "key": key, "value": f"{witness.name}-{number}"})
            else:
                await witness.read(key)
        except PyraftError:
            continue


async def test_what_clients_were_told_is_linearizable_whatever_happens(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    chance, notes = random.Random(seed), list[Operation]()
    async with ProcessCluster(3, config=CONFIG, storage=str(tmp_path), trace=None) as cluster:
        await cluster.wait_leader(20)
        end = cluster.now + SECONDS
        nemesis = Nemesis(cluster, chance)
        witnesses = [
            Witness(cluster.new_client(deadline=5), name=name, notes=notes, now=lambda: cluster.now)
            for name in range(CLIENTS)
        ]
        works = (work(witness, cluster, end, random.Random(seed + place)) for place, witness in enumerate(witnesses))
        await asyncio.gather(nemesis.run(end), *works)
        await cluster.wait_leader(30)
        last = Witness(cluster.new_client(deadline=30), name="last", notes=notes, now=lambda: cluster.now)
        for key in range(KEYS):
            await last.read(f"k{key}")
    told = sum(one.returned is not None for one in notes)
    verdict = check_linearizable(History(notes), "kv", timeout=60)
    assert verdict.ok, f"seed {seed}, after {nemesis.done}: {verdict.explain()}"
    assert told > SECONDS, f"seed {seed}: only {told} calls were answered among {nemesis.done}"
