"""How fast a live cluster is on this machine: committed writes a second and how long each took.

Three nodes share one event loop with the callers, so what is measured is all the work there is for a write: three
engines, three disks, three machines and the wire between them.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct

from pyraft_lab.command import encode
from pyraft_lab.engine.config import Config
from pyraft_lab.network import broker
from pyraft_lab.network.base import MemoryNetwork, Network
from pyraft_lab.runtime.node import Raft
from pyraft_lab.runtime.reporter import Level, Reporter
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.trace.trace import Trace

NetworkName = Literal["memory", "mqtt"]
StorageName = Literal["memory", "sqlite"]
CONFIG = Config(election_timeout=(5.0, 10.0), heartbeat_interval=0.1, snapshot_logs_since_last=None)
"""Elections are not measured, and a machine that does other things too shall cause none."""
COMMAND = encode({"op": "put", "key": "x", "value": b"v" * 80})
"""About a hundred bytes."""


class Speed(Struct, frozen=True, kw_only=True):
    """What one run measured; latencies in milliseconds, ``cpu`` the processor's microseconds for one write."""

    network: NetworkName
    storage: StorageName
    outstanding: int
    level: Level = "off"
    writes: float
    p50: float
    p99: float
    cpu: float


async def measure(
    *,
    network: NetworkName = "memory",
    storage: StorageName = "memory",
    outstanding: int = 64,
    level: Level = "off",
    seconds: float = 1.0,
) -> Speed:
    """Write for so many seconds with so many calls under way at any time."""
    async with cluster(network, storage, level) as leader:
        took: list[float] = []
        end = time.perf_counter() + seconds
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(_write_until(end, leader, took) for _ in range(outstanding)))
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    centiles = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return Speed(
        network=network,
        storage=storage,
        outstanding=outstanding,
        level=level,
        writes=len(took) / elapsed,
        p50=centiles[49] * 1e3,
        p99=centiles[98] * 1e3,
        cpu=cpu / max(len(took), 1) * 1e6,
    )


async def _write_until(end: float, leader: Raft, took: list[float]) -> None:
    called = time.perf_counter()
    while called < end:
        await leader.client_write(COMMAND)
        now = time.perf_counter()
        took.append(now - called)
        called = now


@asynccontextmanager
async def cluster(
    network: NetworkName = "memory", storage: StorageName = "memory", level: Level = "off"
) -> AsyncIterator[Raft]:
    """Three nodes that have elected a leader; the leader's handle."""
    reporter = Reporter([Trace(limit=20_000)], level=level)
    async with AsyncExitStack() as stack:
        wire = await _wire(network, stack)
        rafts = [
            Raft(id, config=CONFIG, network=wire, storage=disk, reporter=reporter)
            for id, disk in enumerate(_disks(storage, stack), 1)
        ]
        for raft in rafts:
            await raft.start()
            stack.push_async_callback(raft.shutdown)
        await rafts[0].initialize({1, 2, 3})
        leader = rafts[((await rafts[0].wait(10.0).leader()).leader or 1) - 1]
        await leader.wait(10.0).until(lambda now: now.has_committed, "a first commit")
        yield leader


async def _wire(network: NetworkName, stack: AsyncExitStack) -> Network:
    if network == "memory":
        return MemoryNetwork()
    from pyraft_lab.network.mqtt import MqttNetwork

    running = stack.enter_context(await asyncio.to_thread(broker.start))
    return MqttNetwork(running.url, cluster="bench")


def _disks(storage: StorageName, stack: AsyncExitStack) -> Sequence[Storage]:
    if storage == "memory":
        return [MemoryStorage() for _ in range(3)]
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyraft-bench-")))
    return [SqliteStorage(home / str(id)) for id in range(3)]
