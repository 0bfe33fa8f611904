"""The disk of a simulated server: what is written and not yet synced, and what may be wrong with it.

::

    written ──▶ batch ──▶ batch ──Sync──▶ synced        sound: a crash loses the batches, and nobody was told of them
                                  └─────▶ owed          lying: said to be synced; a crash loses what was promised
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


class DiskFaults(Struct, frozen=True, kw_only=True):
    """What is wrong with a disk; Raft survives the first three, and nothing survives the last.

    ``slow``: its syncs take so many times longer. ``full``: the next sync fails, and the server stops for good.
    ``corrupt``: the entry at this index cannot be read, and a server that starts from it is refused. ``lying``: it
    confirms syncs and does not do them, so that a crash takes back what Raft has promised.
    """

    slow: float = 1.0
    full: bool = False
    corrupt: Index = 0
    lying: bool = False

    def validated(self) -> "DiskFaults":
        """This health, or ``ConfigError`` naming field, value and rule."""
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
"""Nothing is wrong."""


class WaitingForSync(Struct, frozen=True):
    """A promise that waits for the disk."""

    dst: NodeId
    message: AnyMessage
    reply_to: MessageId | None
    cause: EventId


class Batch(Struct, frozen=True, kw_only=True):
    """The writes of one step on their way to the disk; ``image`` is what the disk should then hold."""

    commands: tuple[StorageCommand, ...]
    image: Disk
    held: tuple[WaitingForSync, ...] = ()


class StoredSnapshot(Struct, frozen=True):
    """The bytes of a snapshot."""

    meta: SnapshotMeta
    data: bytes


def write(disk: Disk, commands: Iterable[StorageCommand]) -> Disk:
    """The disk once these commands are on it."""
    for command in commands:
        disk = disk.after(command)
    return disk


def survivors(batches: Iterable[Batch], torn: float) -> list[StorageCommand]:
    """The first writes of what was not synced, entry by entry, up to a share of ``torn``: a write may stop halfway."""
    pieces = [piece for batch in batches for command in batch.commands for piece in _pieces(command)]
    return pieces[: round(len(pieces) * torn)]


def _pieces(command: StorageCommand) -> Iterator[StorageCommand]:
    match command:
        case Append(entries):
            yield from (Append((entry,)) for entry in entries)
        case _:
            yield command


def check_readable(disk: Disk, health: DiskFaults) -> None:
    """Refuse to read a damaged entry: its checksum would tell."""
    if disk.log.start.index < health.corrupt <= disk.log.last.index:
        raise StorageFailed(f"entry {health.corrupt} fails its checksum")
