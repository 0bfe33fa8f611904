"""Writes of three nodes in one process, ours and PySyncObj's in turn: ``python -m tests.bench.rival``.

Both replicate a table, commands of about a hundred bytes, 4,096 of them under way at any time. PySyncObj calls back;
ours resolves a future for each caller, and once more for batches of 64, as a busy service would hand them over.
What is compared is the processor's time for a write, the least of the rounds: other programs of the machine take the
clock's time away, and of the processor's no more than what they push out of its caches.
"""

import asyncio
import sys
import time

from pyraft_lab.runtime.bench import COMMAND, cluster, measure
from pyraft_lab.terminal.peers import environment, measure_peer

OUTSTANDING, BATCH = 4096, 64


async def ours_in_batches(seconds: float) -> tuple[float, float]:
    """Writes a second and the processor's microseconds for one."""
    done = 0

    async def write(end: float) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await leader.client_write_many([COMMAND] * BATCH)
            done += BATCH

    async with cluster() as leader:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(write(began + seconds) for _ in range(OUTSTANDING // BATCH)))
        return done / (time.perf_counter() - began), (time.process_time() - cpu) / done * 1e6


def main(rounds: int = 3, seconds: float = 3.0) -> int:
    """Print each round and the least processor's time for a write; 0 if ours is ahead both ways."""
    python = environment()
    table: dict[str, list[tuple[float, float]]] = {"ours": [], "ours, batches of 64": [], "PySyncObj": []}
    for _ in range(rounds):
        speed = asyncio.run(measure(outstanding=OUTSTANDING, seconds=seconds))
        table["ours"].append((speed.writes, speed.cpu))
        table["ours, batches of 64"].append(asyncio.run(ours_in_batches(seconds)))
        peer = measure_peer(python, outstanding=OUTSTANDING, seconds=seconds)
        table["PySyncObj"].append((peer.writes, peer.cpu))
    least = {name: min(cpu for _, cpu in runs) for name, runs in table.items()}
    for name, runs in table.items():
        told = ", ".join(f"{writes:,.0f}/s at {cpu:.0f} µs" for writes, cpu in runs)
        sys.stdout.write(f"{name:<20} {least[name]:.1f} µs a write   ({told})\n")
    return 0 if max(least["ours"], least["ours, batches of 64"]) < least["PySyncObj"] else 1


if __name__ == "__main__":
    sys.exit(main())
