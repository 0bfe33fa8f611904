"""What a client's calls cost, in one process and over a broker: ``PYTHONPATH=. python -m tests.bench.clients``.

Runs of each kind take turns, and the medians of the rounds are printed. ``--processes`` adds three nodes that are
processes of their own, with SQLite, over the broker that is installed; ``--json`` prints a table for the report. To
compare with another version, run both in turn on the same machine and compare ratios: other programs of the machine
only add to the times.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median

from pyraft_lab import LocalCluster
from pyraft_lab.runtime.bench import CLIENT_COMMAND, measure, measure_client
from pyraft_lab.runtime.client import Client

ROUNDS, SECONDS, READS = 5, 1.0, 10_000
TITLE = "live nodes: writes a second; of one at a time milliseconds"
KINDS: Mapping[str, tuple[int, int]] = {
    "one": (1, 1),
    "64 tasks": (64, 1),
    "4,096 tasks": (4096, 1),
    "16 x 1024": (16, 1024),
}


async def in_process() -> dict[str, float]:
    """Writes a second of every kind; of ``one`` the median latency in milliseconds."""
    found = {}
    for kind, (outstanding, batch) in KINDS.items():
        speed = await measure_client(outstanding=outstanding, batch=batch, seconds=SECONDS)
        found[kind] = speed.p50 if kind == "one" else speed.writes
    for outstanding in (64, 4096):
        speed = await measure(outstanding=outstanding, seconds=SECONDS)
        found[f"handle, {outstanding:,} tasks"] = speed.writes
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        found[f"{READS:,} reads, s"] = await _reads(cluster.client)
    return found


async def in_processes() -> dict[str, float]:
    """The same with three processes, SQLite and a broker; at 256 tasks, which such a cluster can be asked for."""
    async with LocalCluster(3, network="mqtt", processes=True) as cluster:
        await cluster.wait_leader(30.0)
        client = cluster.client
        await client.write(CLIENT_COMMAND)
        commands = [CLIENT_COMMAND] * 1024
        return {
            "processes, one": 1e3 / await _rate(1, lambda: client.write(CLIENT_COMMAND)),
            "processes, 256 tasks": await _rate(256, lambda: client.write(CLIENT_COMMAND)),
            "processes, 16 x 1024": 1024 * await _rate(16, lambda: client.write_many(commands)),
            f"processes, {READS:,} reads, s": await _reads(client),
        }


async def _rate(tasks: int, call: Callable[[], Awaitable[object]]) -> float:
    """Calls a second with so many under way."""
    done, end, began = 0, time.perf_counter() + SECONDS, time.perf_counter()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    await asyncio.gather(*(caller() for _ in range(tasks)))
    return done / (time.perf_counter() - began)


async def _reads(client: Client) -> float:
    """Seconds that so many concurrent reads take."""
    began = time.perf_counter()
    await asyncio.gather(*(client.read("x") for _ in range(READS)))
    return time.perf_counter() - began


def main() -> None:
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(asyncio.run(in_process()))
        if "--processes" in sys.argv:
            rounds[-1] |= asyncio.run(in_processes())
    figures = {kind: median(one[kind] for one in rounds) for kind in rounds[0]}
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({TITLE: figures}, indent=2) + "\n")
        return
    for kind, figure in figures.items():
        sys.stdout.write(f"{kind:24}{figure:12,.2f}\n")


if __name__ == "__main__":
    main()
