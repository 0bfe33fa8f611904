"""The faults a lesson may switch on."""

import pytest

from pyraft_lab.engine.commands import SaveVote
from pyraft_lab.engine.types import Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.trial import append, arriving, snapshot


async def test_a_write_fails_when_told_to_and_a_restart_mends_it() -> None:
    storage = MemoryStorage()
    storage.fail_next = "the cable is loose"
    with pytest.raises(StorageFailed, match="the cable is loose"):
        await storage.write([append(1, 1)])
    with pytest.raises(StorageFailed, match="an earlier write failed"):
        await storage.write([append(1, 1)])
    assert len((await storage.load()).log) == 0
    await storage.write([append(1, 1)])
    assert len((await storage.load()).log) == 1


async def test_a_full_disk_refuses_a_batch_whole() -> None:
    storage = MemoryStorage(room=10)
    await storage.write([append(1, 3)])
    with pytest.raises(StorageFailed, match="12 bytes are needed and there is room for 10"):
        await storage.write([SaveVote(Vote(9)), append(4, 4)])
    assert await storage.load() == storage.disk
    assert storage.disk.vote == Vote()


async def test_arriving_chunks_fill_a_disk_too() -> None:
    storage = MemoryStorage(room=10)
    with pytest.raises(StorageFailed, match="no space left"):
        await storage.write(arriving(snapshot(1, b"x" * 11), b"x" * 11, 4))
