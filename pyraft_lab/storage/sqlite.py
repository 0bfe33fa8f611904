"""A node's disk in a directory: SQLite for vote and log, files for snapshots; safe against ``kill -9``."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

from pyraft_lab.arguments import directory as as_directory
from pyraft_lab.concurrency import one_worker
from pyraft_lab.engine.commands import InstallSnapshot, SaveSnapshot, StorageCommand, WriteChunk
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Identity, apply_commands
from pyraft_lab.storage.database import (
    NAME,
    UNREADABLE,
    carry_out,
    connect,
    create,
    save_fact,
    settle,
    transaction,
)
from pyraft_lab.storage.directory import (
    FIRST_START,
    IDENTITY,
    LOCK,
    DirectoryState,
    check_writable,
    examine_directory,
    examine_names,
    make_directory,
    write_identity,
)
from pyraft_lab.storage.snapshots import SnapshotFiles, sync_directory

T = TypeVar("T")


class SqliteStorage:
    """A durable ``Storage`` in ``directory``, which is created if it does not exist.

    Every batch is one transaction in WAL mode with ``synchronous=FULL``: it is on the disk when ``write`` returns. All
    calls run in order on one separate thread, so the event loop never waits for the disk.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = as_directory("directory", directory)
        self._worker = _worker()
        self._opened: Opened | None = None
        self._identity: Identity | None = None
        self._closed = False

    async def claim(self, identity: Identity) -> None:
        """Set the node that will use it; ``load`` stores the owner, and refuses another node's directory."""
        self._identity = identity

    async def load(self) -> Disk:
        """Lock and verify the directory and return its disk; a closed storage opens again."""
        if self._closed:
            self._worker, self._closed = _worker(), False
        return await self._do(self._load)

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        """Write one batch in one transaction; it is durable when this returns."""
        await self._do(lambda: self._open.write(commands))

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Write a snapshot's bytes to a separate file."""
        await self._do(lambda: self._open.files.put(meta, data))

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        """All bytes of a stored snapshot."""
        return await self._do(lambda: self._open.files.read(meta))

    async def read_chunk(self, meta: SnapshotMeta, offset: int, length: int) -> bytes | None:
        """Up to ``length`` bytes of a stored snapshot from ``offset``; ``None`` if it is not stored."""
        return await self._do(lambda: self._open.files.read_chunk(meta, offset, length))

    async def close(self) -> None:
        """Close the database and release the directory."""
        if not self._closed:
            await self._do(self._close)
            self._closed = True
            self._worker.shutdown(wait=False)

    async def _do(self, act: Callable[[], T]) -> T:
        if self._closed:
            raise StorageFailed(f"{self.directory} has been closed", "load() it again")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, act)
        except (*UNREADABLE, OSError) as error:
            raise StorageFailed(f"{self.directory}: {error}") from error

    @property
    def _open(self) -> "Opened":
        if self._opened is None:
            raise StorageFailed(f"{self.directory} is not open", "load() it first")
        return self._opened

    def _load(self) -> Disk:
        self._close()
        self._opened = Opened(self.directory, self._identity)
        return self._opened.disk

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


def _worker() -> Executor:
    return one_worker("pyraft-storage")


class Opened:
    """An open directory, used by one thread; ``disk`` is its contents after the last durable batch.

    It is examined first, as by ``inspect`` (:func:`~pyraft_lab.storage.directory.examine_directory`). Nothing changes
    if it is damaged or belongs to another node than ``identity``.
    """

    def __init__(self, directory: Path, identity: Identity | None = None) -> None:
        examine_names(directory).admit(directory, identity)
        check_writable(directory)
        with ExitStack() as opening:
            opening.enter_context(closing(_locked(directory)))
            found = examine_directory(directory)
            owner = found.admit(directory, identity)
            if found.is_new:
                create(directory, owner)
            self.database = opening.enter_context(closing(connect(directory)))
            settle(self.database, found.contents, owner)
            self.disk = found.contents.disk
            self.files = SnapshotFiles(directory)
            self._tidy(directory, found, owner)
            self.close = opening.pop_all().close
        self.broken: str | None = None

    def write(self, commands: Sequence[StorageCommand]) -> None:
        """Write one batch; after a failure every later one is refused, since the disk's contents are uncertain."""
        if self.broken is not None:
            raise StorageFailed(f"an earlier write failed ({self.broken})")
        try:
            self._announce([one.meta for one in commands if isinstance(one, (SaveSnapshot, InstallSnapshot))])
            self.files.prepare(commands)
            self.disk = self._written([one for one in commands if not isinstance(one, WriteChunk)])
            self.files.keep(self.disk.snapshot)
        except (StorageFailed, *UNREADABLE, OSError) as error:
            self.broken = str(error)
            raise

    def _written(self, commands: Sequence[StorageCommand]) -> Disk:
        before = disk = self.disk
        if commands:
            with transaction(self.database):
                for command in commands:
                    disk = apply_commands(disk, [command])
                    carry_out(self.database, command, disk)
                self._keep_facts(before, disk)
        return disk

    def _announce(self, coming: Sequence[SnapshotMeta]) -> None:
        """Name the files of snapshots before they appear: one that the database does not name proves a loss."""
        named = (*self.files.kept, *coming)
        if coming:
            with transaction(self.database):
                save_fact(self.database, "superseded", tuple(one for one in named if one != self.disk.snapshot))

    def _keep_facts(self, before: Disk, after: Disk) -> None:
        """Store the log's end and the snapshots that the new one supersedes."""
        if after.log.last != before.log.last:
            save_fact(self.database, "last", after.log.last)
        if after.snapshot != before.snapshot:
            save_fact(self.database, "superseded", tuple(one for one in self.files.kept if one != after.snapshot))

    def _tidy(self, directory: Path, found: DirectoryState, owner: Identity | None) -> None:
        """Store the owner, and delete unfinished and superseded snapshot files."""
        self.files.delete_unused(self.disk.snapshot, found.contents.superseded)
        if owner is not None and (found.owner != owner or not (directory / IDENTITY).exists()):
            write_identity(directory, owner)
        (directory / FIRST_START).unlink(missing_ok=True)
        sync_directory(directory)


def _locked(directory: Path) -> sqlite3.Connection:
    """Create the directory if it does not exist, and hold its lock until the connection is closed.

    Raises ``StorageFailed`` if another node holds it. The lock is SQLite's file lock: it works on every system and
    within one process, and ends with a killed process. The ``first-start`` file is made before the lock: so a lock
    without that file and without a database means that the database was lost.
    """
    if not (directory / NAME).exists():
        make_directory(directory)
        (directory / FIRST_START).touch()
    lock = sqlite3.connect(directory / LOCK, isolation_level=None, timeout=0)
    try:
        lock.execute("PRAGMA journal_mode = OFF")
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise StorageFailed(
                f"{directory} is in use by another node; one directory serves one node",
                "stop the other one first, or take another directory",
            ) from error
        raise
    return lock
