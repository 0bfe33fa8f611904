"""The disk's queue: a disk in memory is written at once, any other in batches, and messages never leave too soon."""

import asyncio
from collections.abc import Sequence

import pytest

from pyraft_lab.engine.commands import SaveVote, StorageCommand
from pyraft_lab.engine.events import Stored
from pyraft_lab.engine.types import ORIGIN, Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.runtime.disk_queue import DiskQueue
from pyraft_lab.storage.memory import MemoryStorage

VOTE = Vote(1, 1)
REACHED = Stored(VOTE, ORIGIN)


class Slow(MemoryStorage):
    """A disk that is written when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        await self.may_write.wait()
        await super().write(commands)


async def test_a_disk_in_memory_is_written_before_anything_else_happens() -> None:
    storage, told, left = MemoryStorage(), list[object](), list[str]()
    disk = DiskQueue(storage, lambda *what: told.append(what))
    disk.write([SaveVote(VOTE)], REACHED, 7)
    disk.after(lambda: left.append("a message"))
    assert (storage.disk.vote, told, left) == (VOTE, [(REACHED, 7)], ["a message"])


async def test_a_disk_in_memory_that_fails_ends_its_node_at_once() -> None:
    storage = MemoryStorage()
    storage.fail_next = "no space left"
    disk = DiskQueue(storage, lambda *_: None)
    with pytest.raises(StorageFailed, match="no space left"):
        disk.write([SaveVote(VOTE)], REACHED, 7)
    assert storage.disk.vote == Vote()


async def test_writes_and_messages_wait_for_what_the_disk_does_before_them() -> None:
    storage, told, order, done = MemoryStorage(), list[object](), list[str](), asyncio.Event()
    disk = DiskQueue(storage, lambda *what: told.append(what))

    async def job() -> None:
        order.append("job")
        done.set()

    disk.read(job)
    disk.write([SaveVote(VOTE)], REACHED, 7)
    disk.after(lambda: order.append("message"))
    assert (told, order) == ([], [])
    running = asyncio.create_task(disk.run())
    await asyncio.wait_for(done.wait(), 30)
    running.cancel()
    assert (storage.disk.vote, told, order) == (VOTE, [(REACHED, 7)], ["message", "job"])


async def test_a_storage_with_its_own_write_is_asked_to_write() -> None:
    storage, left, done = Slow(), list[str](), asyncio.Event()
    disk = DiskQueue(storage, lambda *_: done.set())
    running = asyncio.create_task(disk.run())
    disk.write([SaveVote(VOTE)], REACHED, 7)
    disk.after(lambda: left.append("a message"))
    await asyncio.sleep(0)
    assert (done.is_set(), left) == (False, [])
    storage.may_write.set()
    await asyncio.wait_for(done.wait(), 30)
    running.cancel()
    assert (storage.disk.vote, left) == (VOTE, ["a message"])
