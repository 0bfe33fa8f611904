"""A node's directory on trial: killed at every moment of a write, adopted, damaged while in use, too new (§5.1, §7).

::

    put_snapshot · write ─▶ at every sync a copy of the directory, as after kill -9
                            └─▶ opens with the disk before the batch or after it, and drops the files it does not need
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from pyraft_lab.engine.commands import InstallSnapshot, SaveSnapshot, SaveVote, StorageCommand
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import Vote
from pyraft_lab.errors import StorageFailed, WrongStorage
from pyraft_lab.storage.base import Identity, apply_commands
from pyraft_lab.storage.database import FORMAT, connect
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.snapshots import path_of
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import append, arriving, broken, closed_after, same, snapshot

KEPT_FILES = 2
"""Snapshot files of a running node: the stored one, and the one before it, which may be being sent."""
DATA = b"x" * 150


# Kills


async def is_killed_at_every_sync(place: Path) -> None:
    """A write that is cut off at any of its syncs leaves the disk before it or after it, and no file for ever."""
    async with closed_after(SqliteStorage(place)) as storage:
        disk = await storage.load()
        for number, (commands, built) in enumerate(_batches()):
            after, copies = apply_commands(disk, commands), list[Path]()
            with in_place_of_syncs(partial(_keep_copy, place, number, copies)):
                if built is not None:
                    await storage.put_snapshot(built, DATA)
                await storage.write(commands)
            for copy in copies:
                await _opens(copy, disk, after)
            disk = after
            if len(_snapshots(place)) > KEPT_FILES:
                broken(f"a running node keeps {len(_snapshots(place))} snapshot files")


def _batches() -> Iterator[tuple[Sequence[StorageCommand], SnapshotMeta | None]]:
    """Two snapshots that are built, one that arrives and goes beyond the log, and the batches that store them."""
    yield (SaveVote(Vote(1, 1)), append(1, 6)), None
    for last in (2, 4):
        meta = snapshot(last, DATA)
        yield (SaveSnapshot(meta),), meta
    meta = snapshot(9, DATA)
    yield (*arriving(meta, DATA, 60), InstallSnapshot(meta)), None


@contextmanager
def in_place_of_syncs(act: Callable[[int], None]) -> Iterator[None]:
    """Call ``act`` with the handle instead of each sync; real ones are not needed and not made."""
    real = os.fsync
    os.fsync = act  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = real


def _keep_copy(place: Path, batch: int, copies: list[Path], _handle: int) -> None:
    copies.append(place.with_name(f"{place.name}-{batch}-{len(copies)}"))
    copy_as_killed(place, copies[-1])


def copy_as_killed(place: Path, copy: Path) -> None:
    """Copy a directory as it is now, as ``kill -9`` would leave it."""
    shutil.copytree(place, copy, ignore=shutil.ignore_patterns("lock*"))


async def _opens(place: Path, before: Disk, after: Disk) -> None:
    async with closed_after(SqliteStorage(place)) as storage:
        found = await storage.load()
    if not any((found.vote, tuple(found.log), found.snapshot) == (one.vote, tuple(one.log), one.snapshot)
               for one in (before, after)):  # fmt: skip
        broken(f"after a kill during a write, {place.name} holds neither the disk before nor after it")
    needed = {path_of(place, found.snapshot).name} if found.snapshot else set[str]()
    same("the snapshot files after a start", _snapshots(place), needed)


def _snapshots(place: Path) -> set[str]:
    """The names of all snapshot files, unfinished ones too."""
    return {path.name for path in place.iterdir() if path.suffix in (".snapshot", ".part")}


# Owners, versions, damage


async def is_adopted(place: Path) -> None:
    """A directory without an owner gets one, who finds it again; nobody else may use it."""
    for identity in (None, Identity(1, "a"), Identity(1, "a"), Identity(2, "a")):
        async with closed_after(SqliteStorage(place)) as storage:
            try:
                if identity is not None:
                    await storage.claim(identity)
                await storage.load()
            except WrongStorage:
                if identity != Identity(2, "a"):
                    raise
            else:
                same("another node uses the directory of node 1", identity == Identity(2, "a"), expected=False)


async def refuses_later_versions(place: Path) -> None:
    """A directory that a later version has written is refused, and not misread."""
    async with closed_after(SqliteStorage(place)) as storage:
        await storage.load()
    with closing(connect(place)) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    async with closed_after(storage):
        try:
            await storage.load()
        except StorageFailed:
            return
    broken("a directory of a later version is opened")


async def notices_damage_in_use(place: Path) -> None:
    """A snapshot whose file changes while its node runs is not given to the machine."""
    meta = snapshot(2, DATA)
    async with closed_after(SqliteStorage(place)) as storage:
        await storage.load()
        await storage.write([SaveVote(Vote(1, 1)), append(1, 4)])
        await storage.put_snapshot(meta, DATA)
        await storage.write([SaveSnapshot(meta)])
        path_of(place, meta).write_bytes(b"y" * len(DATA))
        try:
            await storage.snapshot(meta)
        except StorageFailed:
            return
        broken(f"the bytes of snapshot {meta.last} have changed, and are read")


async def is_full() -> None:
    """A disk in memory with no room left refuses a batch, and holds what it held."""
    storage = MemoryStorage(room=100)
    await storage.write([append(1, 3)])
    before = storage.disk
    try:
        await storage.write([append(4, 60)])
    except StorageFailed:
        same("a full disk", storage.disk, before)
        return
    broken(f"{storage.disk.log.byte_size} bytes are written to a disk with room for {storage.room}")
