"""Apply committed entries to the state machine, in order; build and load its snapshots.

The applier has a queue of its own. It keeps the order while the disk reads a snapshot, and the node goes on meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, assert_never

from pyraft_lab.concurrency import to_thread
from pyraft_lab.engine.commands import Apply, RestoreMachine, TakeSnapshot
from pyraft_lab.engine.log import Entry, SnapshotMeta, byte_size
from pyraft_lab.engine.types import ORIGIN, LogId
from pyraft_lab.machine import Sessions
from pyraft_lab.runtime.disk_queue import DiskQueue
from pyraft_lab.storage.base import Storage, described
from pyraft_lab.trace.record import EventId

Work = Apply | RestoreMachine | TakeSnapshot
AT_ONCE = 512
"""Entries applied in one piece before other tasks of the loop run."""
AT_ONCE_BYTES = 512 << 10
"""Bytes of entries in one such piece; one entry may hold thousands of commands. A single larger entry is applied alone.
"""


class Applier:
    """Apply entries to one node's state machine; report each finished command, with its results, to ``carried_out``."""

    def __init__(
        self,
        machine: Sessions,
        storage: Storage,
        disk: DiskQueue,
        *,
        carried_out: Callable[[Work, Sequence[Any]], None],
        built: Callable[[SnapshotMeta | None, EventId], None],
    ) -> None:
        self.machine = machine
        self.applied: LogId = ORIGIN
        self._storage, self._disk = storage, disk
        self._carried_out, self._built = carried_out, built
        self._queue: deque[tuple[Work, EventId]] = deque()
        self._work = asyncio.Event()
        self._is_busy = False

    def do(self, work: Work, cause: EventId) -> None:
        """Carry out an engine command issued by event ``cause``: at once if the queue is empty and it is small."""
        is_idle = not self._queue and not self._is_busy
        if isinstance(work, Apply) and is_idle and _first_piece(work.entries) == len(work.entries):
            self._apply(work)
        else:
            self._queue.append((work, cause))
            self._work.set()

    async def run(self) -> None:
        """Process the queue until cancelled; an exception of the machine ends it."""
        async with asyncio.TaskGroup() as builders:
            while True:
                await self._work.wait()
                self._work.clear()
                self._is_busy = True
                while self._queue:
                    await self._one(*self._queue.popleft(), builders)
                self._is_busy = False

    async def _one(self, work: Work, cause: EventId, builders: asyncio.TaskGroup) -> None:
        match work:
            case Apply(entries):
                while entries:
                    count = _first_piece(entries)
                    self._apply(Apply(entries[:count]))
                    entries = entries[count:]
                    await asyncio.sleep(0)  # a heartbeat may be due between two pieces
            case RestoreMachine():
                await self._restore(work)
            case TakeSnapshot():
                builders.create_task(self._build(work, self.machine.fork(), cause))
            case _:
                assert_never(work)

    def _apply(self, work: Apply) -> None:
        results = [self.machine.apply(entry) for entry in work.entries]
        self.applied = work.entries[-1].id
        self._carried_out(work, results)

    async def _restore(self, work: RestoreMachine) -> None:
        """Load a snapshot; if later ones have arrived meanwhile, pass over all that the last of them holds."""
        data = await self._fetch(work.meta)
        if data is not None:
            self.machine.restore(data)
            self.applied = work.meta.last
            self._carried_out(work, ())
            return
        while not isinstance(self._queue[0][0], RestoreMachine):
            passed, cause = self._queue.popleft()
            if isinstance(passed, TakeSnapshot):
                self._built(None, cause)

    async def _fetch(self, meta: SnapshotMeta) -> bytes | None:
        """The snapshot's bytes, once the disk has read it; ``None`` if another one was installed since.

        A storage keeps few snapshots, and while its node stood still several may have arrived.
        """
        arrived: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        async def read() -> None:
            is_replaced = any(isinstance(work, RestoreMachine) for work, _ in self._queue)
            arrived.set_result(None if is_replaced else await self._storage.snapshot(meta))

        self._disk.read(read)
        return await arrived

    async def _build(self, command: TakeSnapshot, copy: Sessions, cause: EventId) -> None:
        """Serialize a copy in another thread, pass the bytes to the disk, and report the snapshot."""
        data = await to_thread(copy.snapshot)
        meta = described(command, data)

        async def stage() -> None:
            await self._storage.put_snapshot(meta, data)
            self._built(meta, cause)

        self._disk.read(stage)


def _first_piece(entries: Sequence[Entry]) -> int:
    """How many of the first entries fit into one piece."""
    first = entries[:AT_ONCE]
    if byte_size(first) <= AT_ONCE_BYTES:
        return len(first)
    sizes = accumulate(byte_size((entry,)) for entry in first)
    return max(1, sum(1 for size in sizes if size <= AT_ONCE_BYTES))
