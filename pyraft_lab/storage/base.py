"""What every disk of a node must do, and what a batch of commands makes of it.

A batch is the unit of everything: it happens whole or not at all, it is durable when ``write`` returns, and
batches happen in the order in which they were written. Raft rests on nothing else (§5.1, Figure 2: "updated on
stable storage before responding").
"""

from collections.abc import Sequence
from typing import Protocol, assert_never, runtime_checkable
from zlib import crc32

from msgspec import Struct

from pyraft_lab.engine.commands import (
    Append,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SaveVote,
    StorageCommand,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.log import Entry, Log, SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import ORIGIN, NodeId
from pyraft_lab.errors import StorageFailed, WrongStorage


class Storage(Protocol):
    """A node's disk, used by one owner: writes one after the other, reads of a snapshot at any time.

    Every call raises ``StorageFailed`` where the disk fails. After a failed ``write`` the storage refuses every
    other, until it is closed and opened again. It then holds the disk before the failed batch, or, where the disk
    itself failed at the last moment, the one after it; never a part.
    ``pyraft_lab.storage.conformance`` tests all that is said here on a storage of your own. One that can also remember
    whose it is, is an :class:`OwnedStorage`.
    """

    async def load(self) -> Disk:
        """Open, verify and return what is stored; ``StorageFailed`` names what is damaged. Call it first."""
        ...

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        """Carry out one batch, atomically; it is durable when this returns.

        A batch that :func:`carried_out` refuses is refused whole, and so is a ``SaveSnapshot`` or
        ``InstallSnapshot`` whose bytes are not all here or do not have its checksum.
        """
        ...

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Stage the bytes that a later ``SaveSnapshot(meta)`` makes the stored snapshot."""
        ...

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        """All bytes of the stored snapshot ``meta``, verified."""
        ...

    async def read_chunk(self, meta: SnapshotMeta, offset: int, length: int) -> bytes | None:
        """Up to ``length`` bytes of a stored snapshot, or ``None`` if it is not here any more.

        The stored snapshot and the one before it can be read, so that a transfer may end that began with the latter.
        """
        ...

    async def close(self) -> None:
        """Let go of the disk; closing twice is no error."""
        ...


class Identity(Struct, frozen=True):
    """Whose a storage is: a node, and its cluster's name (empty where the network has none)."""

    node: NodeId
    cluster: str = ""

    def __str__(self) -> str:
        return f"node {self.node} of cluster {self.cluster}" if self.cluster else f"node {self.node}"

    def is_also(self, other: "Identity") -> bool:
        """Whether both may be the same node: a cluster without a name may be any.

        >>> Identity(3, "demo").is_also(Identity(3)), Identity(3, "demo").is_also(Identity(3, "other"))
        (True, False)
        """
        return self.node == other.node and (self.cluster == other.cluster or not (self.cluster and other.cluster))


@runtime_checkable
class OwnedStorage(Storage, Protocol):
    """A storage that remembers whose it is. A node claims its storage before ``load()``, where it can be claimed."""

    async def claim(self, identity: Identity) -> None:
        """Say who is about to use it.

        ``claim`` or the ``load`` that follows raises ``WrongStorage`` where it belongs to somebody else, and changes
        nothing. Else that ``load`` stores the identity, durably, unless it is there already.
        """
        ...


async def claim(storage: Storage, identity: Identity) -> None:
    """Claim a storage for a node; one without ``claim`` cannot remember whose it is, and serves anybody."""
    if isinstance(storage, OwnedStorage):
        await storage.claim(identity)


def same_owner(place: str, owner: Identity | None, asked: Identity | None) -> Identity | None:
    """Whose a storage is from now on; ``WrongStorage`` where it is somebody else's than who asks."""
    if owner is None or asked is None:
        return owner or asked
    if not owner.is_also(asked):
        raise WrongStorage(place, str(owner), str(asked))
    return owner if owner.cluster else asked


def apply_commands(disk: Disk, commands: Sequence[StorageCommand]) -> Disk:
    """The disk after a batch; ``StorageFailed`` where a command does not fit what is stored.

    >>> from pyraft_lab.engine.types import LogId, Vote
    >>> apply_commands(Disk(), [SaveVote(Vote(1, 2))]).vote
    Vote(term=1, node=2, committed=False)
    >>> apply_commands(Disk(), [Truncate(5)]) == Disk()
    True
    """
    for command in commands:
        refusal = conflict(disk, command)
        if refusal is not None:
            raise StorageFailed(refusal)
        disk = disk.after(command)
    return disk


def conflict(disk: Disk, command: StorageCommand) -> str | None:
    """Why this command would leave a hole in what is stored, or take away what is committed; else ``None``."""
    log, covered = disk.log, disk.snapshot.last if disk.snapshot else ORIGIN
    match command:
        case Append(entries):
            return gap(log, entries)
        case Truncate(after) if after < covered.index:
            return f"truncating behind {after} would cut into the snapshot, which ends at {covered}"
        case Purge(upto) if upto.index > covered.index:
            return f"purging up to {upto} would lose entries that no snapshot holds"
        case SaveSnapshot(meta) if not log.start.index <= meta.last.index <= log.last.index:
            return f"a snapshot of {meta.last} cannot have been built from a log of {log.start} to {log.last}"
        case InstallSnapshot(meta) if meta.last.index < log.start.index:
            return f"a snapshot of {meta.last} leaves a hole before the log, which begins behind {log.start}"
        case Truncate() | Purge() | SaveSnapshot() | InstallSnapshot() | SaveVote() | WriteChunk():
            return None
        case _:
            assert_never(command)


def gap(log: Log, entries: Sequence[Entry]) -> str | None:
    """Where ``entries`` do not continue the log one by one, in words."""
    for due, entry in enumerate(entries, start=log.last.index + 1):
        if entry.index != due:
            return f"entry {entry.id} came where index {due} was due"
    return None


def damage(meta: SnapshotMeta, data: bytes) -> str | None:
    """How ``data`` differs from the snapshot that ``meta`` describes, in words."""
    if len(data) != meta.size:
        return f"snapshot {meta.last} has {len(data)} bytes and should have {meta.size}"
    if crc32(data) != meta.checksum:
        return f"snapshot {meta.last} has another checksum than it should"
    return None


def verified(meta: SnapshotMeta, data: bytes | None) -> bytes:
    """``data``, proved to be what ``meta`` describes, or ``StorageFailed``."""
    if data is None:
        raise StorageFailed(f"the bytes of snapshot {meta.last} are not here")
    fault = damage(meta, data)
    if fault is not None:
        raise StorageFailed(fault)
    return data
