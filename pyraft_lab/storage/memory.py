"""A storage in memory: it survives its node, but not its process."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.commands import InstallSnapshot, SaveSnapshot, StorageCommand, WriteChunk
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Identity, apply_commands, same_owner, verified


class Files(Struct, frozen=True, kw_only=True):
    """Snapshot bytes: of the stored snapshot, the one before it, the one just built, and the one arriving."""

    stored: tuple[SnapshotMeta, bytes] | None = None
    previous: tuple[SnapshotMeta, bytes] | None = None
    staged: tuple[SnapshotMeta, bytes] | None = None
    arriving: tuple[bytes, ...] = ()

    def of(self, meta: SnapshotMeta) -> bytes | None:
        """The bytes of a readable snapshot; ``None`` if it is not stored."""
        held = (one for one in (self.stored, self.previous) if one is not None)
        return next((data for known, data in held if known == meta), None)

    def after(self, command: StorageCommand) -> "Files":
        """The bytes after ``command``."""
        match command:
            case WriteChunk(offset=offset, data=data):
                return replace(self, arriving=_placed(self.arriving, offset, data))
            case SaveSnapshot(meta):
                staged = self.staged[1] if self.staged and self.staged[0] == meta else self.of(meta)
                return replace(self, stored=(meta, verified(meta, staged)), previous=self.stored, staged=None)
            case InstallSnapshot(meta):
                arrived = b"".join(self.arriving)
                return replace(self, stored=(meta, verified(meta, arrived)), previous=self.stored, arriving=())
            case _:
                return self


class MemoryStorage:
    """A ``Storage`` for tests and notebooks: pass the same object to a restarted node, and it finds its disk.

    ``fail_next`` makes the next write fail with that reason; ``room`` is the disk's capacity in bytes of commands and
    snapshots. Both may be changed while a node runs.
    """

    def __init__(self, *, room: int | None = None) -> None:
        self.disk = Disk()
        self.files = Files()
        self.room = room
        self.owner: Identity | None = None
        self.fail_next: str | None = None
        self._broken: str | None = None

    async def claim(self, identity: Identity) -> None:
        """Set the owner; raises ``WrongStorage`` if the storage belongs to another node."""
        self.owner = same_owner("this MemoryStorage", self.owner, identity)

    async def load(self) -> Disk:
        """The stored disk; reopens the storage after a failure and drops bytes that never became a snapshot."""
        self._broken = None
        self.files = Files(stored=self.files.stored)
        return self.disk

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        """Write one batch atomically."""
        self.write_now(commands)

    def write_now(self, commands: Sequence[StorageCommand]) -> None:
        """:meth:`write` for a caller that need not wait: compute the result first, then store it as a whole."""
        try:
            self._check_faults()
            disk, files = apply_commands(self.disk, commands), self.files
            for command in commands:
                files = files.after(command)
            self._check_room(disk, files)
        except StorageFailed as failure:
            self._broken = failure.what
            raise
        self.disk, self.files = disk, files

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Keep a snapshot's bytes for a later ``SaveSnapshot``."""
        self._check_faults()
        self.files = replace(self.files, staged=(meta, verified(meta, data)))

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        """All bytes of a stored snapshot."""
        return verified(meta, self.files.of(meta))

    async def read_chunk(self, meta: SnapshotMeta, offset: int, length: int) -> bytes | None:
        """Up to ``length`` bytes of a stored snapshot from ``offset``; ``None`` if it is not stored."""
        data = self.files.of(meta)
        return None if data is None else data[offset : offset + length]

    async def close(self) -> None:
        """Do nothing: the disk stays for the next ``load``."""

    def _check_faults(self) -> None:
        if self._broken is not None:
            raise StorageFailed(f"an earlier write failed ({self._broken})")
        reason, self.fail_next = self.fail_next, None
        if reason is not None:
            raise StorageFailed(reason)

    def _check_room(self, disk: Disk, files: Files) -> None:
        if self.room is None:
            return
        snapshots = sum(len(one[1]) for one in (files.stored, files.previous, files.staged) if one is not None)
        needed = (
            snapshots + sum(map(len, files.arriving)) + disk.log.byte_size - disk.log.byte_size_at(disk.log.start.index)
        )
        if needed > self.room:
            raise StorageFailed(f"no space left: {needed} bytes are needed and there is room for {self.room}")


def _placed(arriving: tuple[bytes, ...], offset: int, data: bytes) -> tuple[bytes, ...]:
    """The chunks with ``data`` at ``offset``, which replaces any bytes after it."""
    have = sum(map(len, arriving))
    if offset > have:
        raise StorageFailed(f"a snapshot chunk at {offset} leaves a gap: {have} bytes have arrived")
    if offset == have:
        return (*arriving, data)
    return (b"".join(arriving)[:offset], data)
