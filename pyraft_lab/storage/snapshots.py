"""Snapshots as files next to the log: written atomically, collected in chunks, never held in memory twice.

A file appears under its final name only when its bytes are on the disk (write, fsync, rename, fsync of the
directory). The database names it before it appears, and it counts only when the database says that it is the stored
one. A start deletes unfinished files, and files that the database names and does not need; other files may not be a
node's and are not changed.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from pyraft_lab.engine.commands import InstallSnapshot, SaveSnapshot, StorageCommand, WriteChunk
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.types import Index, Term
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import verified

BLOCK = 1 << 20
"""Bytes read at once when a file is only checked."""
INCOMING = "incoming.part"
"""The file in which an arriving snapshot is collected."""
NAMED = re.compile(r"T(?P<term>\d{1,16})-N\d+\.(?P<index>\d{1,16})-\d+-[0-9a-f]{8}\.snapshot")
"""The name of a snapshot's file."""


def path_of(directory: Path, meta: SnapshotMeta) -> Path:
    """The file of a snapshot; two snapshots of one log position have different names."""
    last = meta.last
    return directory / f"T{last.term}-N{last.node}.{last.index}-{meta.size}-{meta.checksum:08x}.snapshot"


def last_of(name: str) -> tuple[Term, Index] | None:
    """Term and index up to which the snapshot in a file of this name goes; ``None`` where it is no name of ours.

    >>> last_of("T7-N3.20-5-0000abcd.snapshot")
    (7, 20)
    """
    found = NAMED.fullmatch(name)
    return (int(found["term"]), int(found["index"])) if found else None


def part_of(directory: Path, meta: SnapshotMeta) -> Path:
    """The file of a snapshot that this node built and has not saved yet."""
    path = path_of(directory, meta)
    return path.with_name(f"{path.name}.part")


def is_part(name: str) -> bool:
    """Whether a file of this name is an unfinished snapshot of a node."""
    return name in (INCOMING, "built.part", "raft.db.part", "identity.json.part") or name.endswith(".snapshot.part")


def fault_of(directory: Path, meta: SnapshotMeta) -> str | None:
    """What is wrong with the file of a snapshot, as text; ``None`` if nothing is. Reads it block by block."""
    path = path_of(directory, meta)
    try:
        return _difference(path, meta)
    except FileNotFoundError:
        return f"{path.name} is missing"


class SnapshotFiles:
    """The snapshot files of one directory; ``kept`` are the readable ones: the stored and the one before it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.incoming = directory / INCOMING
        self.kept: tuple[SnapshotMeta, ...] = ()
        self.staged: SnapshotMeta | None = None

    def prepare(self, commands: Sequence[StorageCommand]) -> None:
        """Sync the snapshot bytes that a batch refers to; they count only when the database names them."""
        for command in commands:
            match command:
                case WriteChunk(offset=offset, data=data):
                    self.collect(offset, data)
                case InstallSnapshot(meta):
                    self.finish(meta)
                case SaveSnapshot(meta):
                    self._save(meta)
                case _:
                    pass

    def put(self, meta: SnapshotMeta, data: bytes) -> None:
        """Write a snapshot that this node built; an earlier unsaved one is deleted."""
        verified(meta, data)
        if self.staged is not None and self.staged != meta:
            part_of(self.directory, self.staged).unlink(missing_ok=True)
        self.staged = meta
        with part_of(self.directory, meta).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def collect(self, offset: int, data: bytes) -> None:
        """Write an arrived chunk and drop bytes after it; raises ``StorageFailed`` for a gap."""
        with self.incoming.open("ab") as file:
            have = file.tell()
            if offset > have:
                raise StorageFailed(f"a snapshot chunk at {offset} leaves a gap: {have} bytes have arrived")
            file.truncate(offset)
            file.write(data)

    def finish(self, meta: SnapshotMeta) -> None:
        """Verify the complete arrived snapshot and give it its final name."""
        _verify(self.incoming, meta)
        with self.incoming.open("r+b") as file:
            os.fsync(file.fileno())
        self._publish(self.incoming, meta)

    def read(self, meta: SnapshotMeta) -> bytes:
        """All bytes of a snapshot, verified."""
        path = path_of(self.directory, meta)
        return verified(meta, path.read_bytes() if path.exists() else None)

    def read_chunk(self, meta: SnapshotMeta, offset: int, length: int) -> bytes | None:
        """Up to ``length`` bytes of a kept snapshot from ``offset``; ``None`` if it is not kept."""
        if meta not in self.kept:
            return None
        with path_of(self.directory, meta).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def keep(self, stored: SnapshotMeta | None) -> None:
        """After a change of the stored snapshot: keep the one before it, delete older ones."""
        if stored is None or stored in self.kept[:1]:
            return
        before, self.kept = self.kept, (stored, *self.kept[:1])
        for meta in before:
            self._drop(meta)

    def delete_unused(self, stored: SnapshotMeta | None, superseded: Sequence[SnapshotMeta]) -> None:
        """At the start: delete unfinished and superseded snapshot files, and keep only the stored one."""
        self.kept = () if stored is None else (stored,)
        for meta in superseded:
            self._drop(meta)
        for path in self.directory.glob("*.part"):
            if is_part(path.name):
                path.unlink()

    def _drop(self, meta: SnapshotMeta) -> None:
        if meta not in self.kept:
            path_of(self.directory, meta).unlink(missing_ok=True)

    def _save(self, meta: SnapshotMeta) -> None:
        """Give a built snapshot its final name; a snapshot may be saved again."""
        part = part_of(self.directory, meta)
        if part.exists():
            _verify(part, meta)
            self._publish(part, meta)
        else:
            _verify(path_of(self.directory, meta), meta)

    def _publish(self, part: Path, meta: SnapshotMeta) -> None:
        part.replace(path_of(self.directory, meta))
        sync_directory(self.directory)


def sync_directory(directory: Path) -> None:
    """Sync a directory, so that its file names are durable; not needed, and not possible, on Windows."""
    if os.name == "nt":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _difference(path: Path, meta: SnapshotMeta) -> str | None:
    size = path.stat().st_size
    if size != meta.size:
        return f"{path.name} has {size} bytes and should have {meta.size}"
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            checksum = crc32(block, checksum)
    return None if checksum == meta.checksum else f"{path.name} has another checksum than it should"


def _verify(path: Path, meta: SnapshotMeta) -> None:
    fault = _difference(path, meta) if path.exists() else f"the bytes of snapshot {meta.last} are not here"
    if fault is not None:
        raise StorageFailed(fault)
