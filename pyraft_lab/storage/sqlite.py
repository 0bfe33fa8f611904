"""A node's disk in a directory: SQLite for vote and log, files for snapshots; safe against ``kill -9``."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

from pyraft_lab.arguments import directory as as_directory
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
    """A durable ``Storage`` in ``directory``, which is made where it does not exist.

    One transaction a batch, in WAL mode with ``synchronous=FULL``: a batch is on the disk when ``write`` returns.
    All of it happens on one thread of its own, in the order of the calls, so the event loop never waits for a disk.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = as_directory("directory", directory)
        self._worker = _worker()
        self._opened: Opened | None = None
        self._identity: Identity | None = None
        self._closed = False

    async def claim(self, identity: Identity) -> None:
        """Who is about to use it; ``load`` refuses the directory of another node or cluster, and stores whose it is."""
        self._identity = identity

    async def load(self) -> Disk:
        """Lock the directory, verify all of it, and return what it holds; a storage that was closed opens again."""
        if self._closed:
            self._worker, self._closed = _worker(), False
        return await self._do(self._load)

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        """Carry out one batch in one transaction; durable when this returns."""
        await self._do(lambda: self._open.write(commands))

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Write a snapshot's bytes to a file of their own."""
        await self._do(lambda: self._open.files.put(meta, data))

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        """All bytes of a stored snapshot."""
        return await self._do(lambda: self._open.files.read(meta))

    async def read_chunk(self, meta: SnapshotMeta, offset: int, length: int) -> bytes | None:
        """Some bytes of a stored snapshot."""
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


def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="pyraft-storage")


class Opened:
    """An open directory, used by one thread; ``disk`` is what the last durable batch left.

    It is judged first as ``inspect`` does it (:func:`~pyraft_lab.storage.directory.examine_directory`). Nothing is
    changed where it is damaged or belongs to another node than ``identity``.
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
        """One batch; after a failure every later one is refused, because nobody knows what the disk holds."""
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
        """Where the log ends now, and which snapshots the new one supersedes."""
        if after.log.last != before.log.last:
            save_fact(self.database, "last", after.log.last)
        if after.snapshot != before.snapshot:
            save_fact(self.database, "superseded", tuple(one for one in self.files.kept if one != after.snapshot))

    def _tidy(self, directory: Path, found: DirectoryState, owner: Identity | None) -> None:
        """The directory is this node's, and whole: say so, and remove what is unfinished or superseded."""
        self.files.delete_unused(self.disk.snapshot, found.contents.superseded)
        if owner is not None and (found.owner != owner or not (directory / IDENTITY).exists()):
            write_identity(directory, owner)
        (directory / FIRST_START).unlink(missing_ok=True)
        sync_directory(directory)


def _locked(directory: Path) -> sqlite3.Connection:
    """Make the directory where it does not exist, and hold its lock until the connection is closed.

    ``StorageFailed`` where somebody else holds it. SQLite's own file locks serve: they work on every system, within
    one process, and end with a killed one. A mark is set before a lock is made: a lock without a mark and without a
    database then is a directory that lost its database.
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
