"""Writes of three nodes in one process, ours and PySyncObj's in turn: ``python -m tests.bench.rival``.

Both replicate a table, commands of about a hundred bytes, 4,096 of them under way at any time. PySyncObj calls back;
ours resolves a future for each caller, and once more for batches of 64, as a busy service would hand them over.
What is compared is the processor's time for a write, the least of the rounds: other programs of the machine take the
clock's time away, and of the processor's no more than what they push out of its caches.
"""

import asyncio
import sys
import threading
import time
from typing import Any

from pyraft_lab.network.broker import free_port
from pyraft_lab.runtime.bench import COMMAND, cluster, measure

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


def theirs(seconds: float, **settings: Any) -> tuple[float, float]:
    """The same of PySyncObj."""
    from pysyncobj import SyncObj, SyncObjConf, replicated

    class Table(SyncObj):  # type: ignore[misc]
        def __init__(self, me: str, others: list[str]) -> None:
            super().__init__(me, others, SyncObjConf(commandsQueueSize=1_000_000, **settings))
            self.data: dict[str, bytes] = {}

        @replicated  # type: ignore[untyped-decorator]
        def put(self, key: str, value: bytes) -> None:
            self.data[key] = value

    places = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    nodes = [Table(me, [other for other in places if other != me]) for me in places]
    ready = threading.Event()
    while not all(node.isReady() for node in nodes):
        ready.wait(0.05)
    leader = next(node for node in nodes if node._isLeader())  # noqa: SLF001 (it has no public name)
    leader.put("x", b"", sync=True)
    room, done = threading.Semaphore(OUTSTANDING), 0

    def called_back(_result: object, _error: object) -> None:
        nonlocal done
        done += 1
        room.release()

    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        if room.acquire(timeout=0.1):
            leader.put("x", b"v" * 80, callback=called_back)
    result = done / (time.perf_counter() - began), (time.process_time() - cpu) / max(done, 1) * 1e6
    for node in nodes:
        node.destroy()
    return result


def main(rounds: int = 3, seconds: float = 3.0) -> int:
    """Print each round and the least processor's time for a write; 0 if ours is ahead both ways."""
    table: dict[str, list[tuple[float, float]]] = {"ours": [], "ours, batches of 64": [], "PySyncObj": []}
    for _ in range(rounds):
        speed = asyncio.run(measure(outstanding=OUTSTANDING, seconds=seconds))
        table["ours"].append((speed.writes, speed.cpu))
        table["ours, batches of 64"].append(asyncio.run(ours_in_batches(seconds)))
        table["PySyncObj"].append(theirs(seconds))
    least = {name: min(cpu for _, cpu in runs) for name, runs in table.items()}
    for name, runs in table.items():
        told = ", ".join(f"{writes:,.0f}/s at {cpu:.0f} µs" for writes, cpu in runs)
        sys.stdout.write(f"{name:<20} {least[name]:.1f} µs a write   ({told})\n")
    return 0 if max(least["ours"], least["ours, batches of 64"]) < least["PySyncObj"] else 1


if __name__ == "__main__":
    sys.exit(main())
