"""The disk of a simulated server: its unsynced writes and its faults.

::

    written ──▶ batch ──▶ batch ──Sync──▶ synced            sound: a crash loses only unacknowledged batches
                                  └─────▶ acked_unwritten   lying: acknowledged as synced, but a crash loses it
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from pyraft_lab.arguments import flag, integer, number
from pyraft_lab.engine.commands import Append, StorageCommand
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import StorageFailed
from pyraft_lab.trace.record import EventId, MessageId


class DiskFaults(Struct, frozen=True, kw_only=True, gc=False):
    """The faults of a disk; Raft tolerates the first three, and no algorithm tolerates ``lying``.

    ``slow``: syncs take this many times longer. ``full``: the next sync fails, and the server stops for good.
    ``corrupt``: the entry at this index cannot be read, and a server does not start from it (0: none). ``lying``: the
    disk confirms syncs without doing them, so that a crash loses what Raft has promised.
    """

    slow: float = 1.0
    full: bool = False
    corrupt: Index = 0
    lying: bool = False

    def validated(self) -> "DiskFaults":
        """These faults if they are valid; else raise ``ConfigError``, which names field, value and rule."""
        number("slow", self.slow, most=1e6)
        integer("corrupt", self.corrupt, what="an index")
        flag("full", self.full), flag("lying", self.lying)
        return self

    def __str__(self) -> str:
        ills = (
            f"{self.slow:g} times as slow" if self.slow != 1 else "",
            "full" if self.full else "",
            f"entry {self.corrupt} damaged" if self.corrupt else "",
            "lying about its syncs" if self.lying else "",
        )
        return ", ".join(filter(None, ills)) or "sound"


NO_DISK_FAULTS = DiskFaults()
"""A disk without faults."""


class WaitingForSync(Struct, frozen=True, gc=False):
    """A message that waits until the disk has synced."""

    dst: NodeId
    message: AnyMessage
    reply_to: MessageId | None
    cause: EventId


class UnsyncedWrites(Struct, frozen=True, kw_only=True, gc=False):
    """The unsynced writes of one step; ``image`` is the disk's contents after the sync."""

    commands: tuple[StorageCommand, ...]
    image: Disk
    held: tuple[WaitingForSync, ...] = ()


class StoredSnapshot(Struct, frozen=True, gc=False):
    """A snapshot's metadata and bytes."""

    meta: SnapshotMeta
    data: bytes


def write(disk: Disk, commands: Iterable[StorageCommand]) -> Disk:
    """The disk after these commands."""
    for command in commands:
        disk = disk.after(command)
    return disk


def survivors(batches: Iterable[UnsyncedWrites], torn: float) -> list[StorageCommand]:
    """The unsynced writes that survive a crash: the first ones, entry by entry, up to a share ``torn``."""
    pieces = [piece for batch in batches for command in batch.commands for piece in _pieces(command)]
    return pieces[: round(len(pieces) * torn)]


def _pieces(command: StorageCommand) -> Iterator[StorageCommand]:
    match command:
        case Append(entries):
            yield from (Append((entry,)) for entry in entries)
        case _:
            yield command


def check_readable(disk: Disk, health: DiskFaults) -> None:
    """Raise ``StorageFailed`` if an entry is damaged, as its checksum would show."""
    if disk.log.start.index < health.corrupt <= disk.log.last.index:
        raise StorageFailed(f"entry {health.corrupt} fails its checksum")
