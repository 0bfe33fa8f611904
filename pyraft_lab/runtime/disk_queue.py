"""The work queue of a node's disk: one batch at a time; messages that depend on a batch leave once it is durable.

The node goes on while a batch is written; everything it wants written meanwhile is the next batch. Under load the
batches become larger and the flushes fewer (group commit). A disk in memory has nothing to wait for: it is written at
once.
"""

import asyncio
from collections.abc import Awaitable, Callable

from pyraft_lab.engine.commands import StorageCommand
from pyraft_lab.engine.events import Stored
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.trace.record import EventId

Job = Callable[[], Awaitable[None]]


class DiskQueue:
    """The pending work of one node's storage, in order."""

    def __init__(self, storage: Storage, stored: Callable[[Stored, EventId], None]) -> None:
        self._storage, self._stored = storage, stored
        self._memory = storage if type(storage) is MemoryStorage else None  # a subclass may have a write of its own
        self._commands: list[StorageCommand] = []
        self._reached: tuple[Stored, EventId] | None = None
        self._releases: list[Callable[[], None]] = []
        self._jobs: list[Job] = []
        self._is_busy = False
        self._work = asyncio.Event()

    def write(self, commands: list[StorageCommand], reached: Stored, cause: EventId) -> None:
        """Queue the storage commands of the step ``cause``; ``reached`` names the state once they are durable."""
        if self._memory is not None and not self._is_waiting:
            self._memory.write_now(commands)
            self._stored(reached, cause)
            return
        self._commands += commands
        self._reached = reached, cause
        self._work.set()

    def after(self, release: Callable[[], None]) -> None:
        """Call ``release`` once all earlier writes are durable: at once if they are."""
        if not self._is_waiting:
            release()
            return
        self._releases.append(release)
        self._work.set()

    @property
    def _is_waiting(self) -> bool:
        return bool(self._commands or self._releases or self._jobs or self._is_busy)

    def read(self, job: Job) -> None:
        """Queue ``job``, which uses the storage after everything queued earlier."""
        self._jobs.append(job)
        self._work.set()

    async def run(self) -> None:
        """Process the queue until cancelled; raises ``StorageFailed``."""
        while True:
            await self._work.wait()
            self._work.clear()
            self._is_busy = True
            while self._commands or self._releases or self._jobs:
                await self._batch()
            self._is_busy = False

    async def _batch(self) -> None:
        """Write what waits as one batch; then send the messages that waited for it, report the sync, run the reads."""
        commands, self._commands = self._commands, []
        releases, self._releases = self._releases, []
        jobs, self._jobs = self._jobs, []
        reached, self._reached = self._reached, None
        if commands:
            await self._storage.write(commands)
        for release in releases:
            release()
        if reached is not None:
            self._stored(*reached)
        for job in jobs:
            await job()
