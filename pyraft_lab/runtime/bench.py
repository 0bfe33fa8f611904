"""Measure a live cluster on this machine: committed writes per second, and the latency of each call.

:func:`measure` calls a node's handle. Three nodes share one event loop with the callers, so the result includes all the
work of a write: three engines, three disks, three state machines and the network between them. :func:`measure_client`
calls what users call: a cluster's client, from another loop, with the usual trace.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.command import encode
from pyraft_lab.engine.config import Config
from pyraft_lab.network import broker
from pyraft_lab.network.base import MemoryNetwork, Network
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.recorder import Level, Observer, Recorder
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.trace.trace import Trace

NetworkName = Literal["memory", "mqtt"]
StorageName = Literal["memory", "sqlite"]
CONFIG = Config(election_timeout=(5.0, 10.0), heartbeat_interval=0.1, snapshot_logs_since_last=None)
"""Long timeouts: the benchmark does not measure elections, and a busy machine must not cause one."""
CLIENT_COMMAND = {"op": "put", "key": "x", "value": b"v" * 80}
COMMAND = encode(CLIENT_COMMAND)
"""A command of about one hundred bytes."""


class Speed(Struct, frozen=True, kw_only=True):
    """The result of one run: latencies in milliseconds; ``cpu`` is microseconds of processor time per write.

    ``call`` names the function that was called, and ``batch`` is the number of commands in each call.
    """

    call: str = "handle"
    batch: int = 1
    network: NetworkName
    storage: StorageName
    outstanding: int
    level: Level = "off"
    writes: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    cpu: float = 0.0


async def measure(
    *,
    network: NetworkName = "memory",
    storage: StorageName = "memory",
    outstanding: int = 64,
    level: Level = "off",
    seconds: float = 1.0,
    observer: Observer | None = None,
) -> Speed:
    """Write for ``seconds`` with ``outstanding`` concurrent calls; ``observer`` gets the records (default: a trace)."""
    async with cluster(network, storage, level, observer) as leader:
        run = await _timed(lambda: leader.client_write(COMMAND), outstanding, seconds)
    return _speed(run, Speed(network=network, storage=storage, outstanding=outstanding, level=level))


async def measure_client(
    *, network: NetworkName = "memory", outstanding: int = 64, batch: int = 1, seconds: float = 1.0
) -> Speed:
    """Call ``cluster.client`` for ``seconds`` from another loop than the cluster's, with the usual trace."""
    from pyraft_lab.runtime.cluster import LocalCluster

    commands = [CLIENT_COMMAND] * batch
    async with LocalCluster(3, network=network, config=CONFIG) as cluster:
        await cluster.wait_leader(30.0)
        client = cluster.client
        await client.write(CLIENT_COMMAND)
        call = (lambda: client.write(CLIENT_COMMAND)) if batch == 1 else (lambda: client.write_many(commands))
        run = await _timed(call, outstanding, seconds)
    name = "client" if batch == 1 else f"client, {batch} each"
    kind = Speed(call=name, batch=batch, network=network, storage="memory", outstanding=outstanding, level="full")
    return _speed(run, kind)


class _Run(Struct, frozen=True):
    """The latency of each call, the duration of the run, and its processor time, all in seconds."""

    took: Sequence[float]
    elapsed: float
    cpu: float


async def _timed(call: Callable[[], Awaitable[object]], outstanding: int, seconds: float) -> _Run:
    took: list[float] = []
    end = time.perf_counter() + seconds
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(_call_until(end, call, took) for _ in range(outstanding)))
    return _Run(took, time.perf_counter() - began, time.process_time() - cpu)


async def _call_until(end: float, call: Callable[[], Awaitable[object]], took: list[float]) -> None:
    called = time.perf_counter()
    while called < end:
        await call()
        now = time.perf_counter()
        took.append(now - called)
        called = now


def _speed(run: _Run, kind: Speed) -> Speed:
    centiles = statistics.quantiles(run.took, n=100) if len(run.took) > 1 else [0.0] * 99
    writes = len(run.took) * kind.batch
    return replace(
        kind,
        writes=writes / run.elapsed,
        p50=centiles[49] * 1e3,
        p99=centiles[98] * 1e3,
        cpu=run.cpu / max(writes, 1) * 1e6,
    )


@asynccontextmanager
async def cluster(
    network: NetworkName = "memory",
    storage: StorageName = "memory",
    level: Level = "off",
    observer: Observer | None = None,
) -> AsyncIterator[Raft]:
    """Start three nodes, elect a leader, and yield the leader's handle."""
    reporter = Recorder([Trace(limit=20_000) if observer is None else observer], level=level)
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
