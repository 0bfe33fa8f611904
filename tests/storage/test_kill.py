"""``kill -9`` at random points loses nothing acknowledged and invents nothing.

A process writes random batches and says after each that it is acknowledged; it is killed in the middle of whatever
it does, and what its disk then holds is compared with the pure fold of the batches. By default 25 times;
``PYRAFT_KILLS=200 python -m pytest tests/storage/test_kill.py`` is the long form. A killed process leaves the system's
cache behind, so this shows that a batch is atomic and ordered; that it is forced to the disk rests on
``synchronous=FULL``, which another test looks at.
"""

import asyncio
import os
import random
import selectors
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import pyraft_lab
from pyraft_lab.engine.commands import InstallSnapshot, Purge, SaveSnapshot, StorageCommand
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.storage.log_cases import random_batch
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import arriving, snapshot

KILLS = int(os.environ.get("PYRAFT_KILLS", "25"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pyraft_lab.__file__).parents[1])}


def batch(number: int, disk: Disk) -> tuple[StorageCommand, ...]:
    """Batch ``number`` on this disk: votes, entries and truncations, or a snapshot, built here or sent."""
    meta, data = machine(disk)
    match number % 7:
        case 3 if len(disk.log) > 1:
            return (SaveSnapshot(meta), Purge(meta.last))
        case 5 if len(disk.log) > 1:
            return (*arriving(meta, data, 3000), InstallSnapshot(meta))
        case _:
            return tuple(random_batch(random.Random(number), disk))


def machine(disk: Disk) -> tuple[SnapshotMeta, bytes]:
    """A snapshot of everything but the last entry."""
    covered = disk.log.id_at(disk.log.last.index - 1) or disk.log.start
    data = str(covered).encode() * 2000
    return snapshot(covered.index, data, term=covered.term), data


def after(disk: Disk, commands: Sequence[StorageCommand]) -> Disk:
    for command in commands:
        disk = disk.after(command)
    return disk


async def write_until_killed(directory: str, number: int) -> None:
    """What the process below does."""
    storage = SqliteStorage(directory)
    disk = await storage.load()
    while True:
        commands = batch(number, disk)
        for command in commands:
            if isinstance(command, SaveSnapshot):
                await storage.put_snapshot(*machine(disk))
        await storage.write(commands)
        disk = after(disk, commands)
        os.write(1, f"{number}\n".encode())
        number += 1


def acknowledged_until_killed(directory: Path, number: int, chance: random.Random) -> int:
    """Start with batch ``number``, kill at a random moment; how many batches were acknowledged."""
    command = [sys.executable, "-W", "error", __file__, str(directory), str(number)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        heard = b"".join(writer.stdout.readline() for _ in range(chance.randrange(30)))
        with selectors.DefaultSelector() as selector:
            selector.register(writer.stdout, selectors.EVENT_READ)
            selector.select(chance.random() * 0.01)
        writer.kill()
        heard += writer.stdout.read()
    assert writer.returncode == -signal.SIGKILL, "it did not end before it was killed"
    return heard.count(b"\n")


def found(directory: Path) -> Disk:
    """What a restarted node finds, every checksum verified."""

    async def load() -> Disk:
        storage = SqliteStorage(directory)
        try:
            return await storage.load()
        finally:
            await storage.close()

    return asyncio.run(load())


def contents(disk: Disk) -> object:
    return (disk.vote, disk.log.start, disk.log.last, tuple(disk.log), disk.snapshot)


@pytest.mark.timeout(60 + 6 * KILLS)
def test_a_killed_node_finds_what_it_acknowledged_and_nothing_else(tmp_path: Path) -> None:
    chance, disk, number = random.Random(KILLS), Disk(), 0
    for _ in range(KILLS):
        for _ in range(acknowledged_until_killed(tmp_path, number, chance)):
            disk, number = after(disk, batch(number, disk)), number + 1
        unacknowledged = after(disk, batch(number, disk))
        state = contents(found(tmp_path))
        assert state in (contents(disk), contents(unacknowledged))
        if state != contents(disk):
            disk, number = unacknowledged, number + 1
    assert number > KILLS, "most of them wrote something before they were killed"
    assert disk.snapshot is not None


if __name__ == "__main__":
    asyncio.run(write_until_killed(sys.argv[1], int(sys.argv[2])))
