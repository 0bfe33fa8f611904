"""The interface of a node's storage, and the effect of a batch of commands on its disk.

A batch is the unit of writing: it is atomic, it is durable when ``write`` returns, and batches happen in the order in
which they were written. Raft needs nothing else (§5.1, Figure 2: "updated on stable storage before responding").
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
    TakeSnapshot,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.log import Entry, Log, SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import ORIGIN, NodeId
from pyraft_lab.errors import StorageFailed, WrongStorage


class Storage(Protocol):
    """A node's disk, used by one node: writes come one after the other, reads of a snapshot at any time.

    Every call raises ``StorageFailed`` if the disk fails. After a failed ``write`` the storage refuses every other
    write until it is closed and opened again. It then holds the disk before the failed batch or, if the disk failed at
    the last moment, after it; never a part. ``pyraft_lab.storage.conformance`` tests these promises on your own
    storage. A storage that also remembers its node is an :class:`OwnedStorage`.
    """

    async def load(self) -> Disk:
        """Open and verify the storage and return its disk; ``StorageFailed`` names any damage. Call it first."""
        ...

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        """Write one batch atomically; it is durable when this returns.

        A batch that :func:`apply_commands` refuses is refused as a whole, and so is one with a ``SaveSnapshot`` or
        ``InstallSnapshot`` whose bytes are incomplete or have another checksum.
        """
        ...

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Stage the bytes that a later ``SaveSnapshot(meta)`` makes the stored snapshot."""
        ...

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        """All bytes of the stored snapshot ``meta``, verified; raises ``StorageFailed`` if they are not stored."""
        ...

    async def read_chunk(self, meta: SnapshotMeta, offset: int, length: int) -> bytes | None:
        """Up to ``length`` bytes of a stored snapshot from byte ``offset``; ``None`` if it is no longer stored.

        The stored snapshot and the one before it can be read, so that a transfer of the earlier one can finish.
        """
        ...

    async def close(self) -> None:
        """Release the disk; closing twice is allowed."""
        ...


class Identity(Struct, frozen=True):
    """The owner of a storage: a node, and its cluster's name (empty if the network has none)."""

    node: NodeId
    cluster: str = ""

    def __str__(self) -> str:
        return f"node {self.node} of cluster {self.cluster}" if self.cluster else f"node {self.node}"

    def is_also(self, other: "Identity") -> bool:
        """Whether both may be the same node; an empty cluster name matches any.

        >>> Identity(3, "demo").is_also(Identity(3)), Identity(3, "demo").is_also(Identity(3, "other"))
        (True, False)
        """
        return self.node == other.node and (self.cluster == other.cluster or not (self.cluster and other.cluster))


@runtime_checkable
class OwnedStorage(Storage, Protocol):
    """A storage that remembers its owner; a node claims such a storage before ``load()``."""

    async def claim(self, identity: Identity) -> None:
        """Name the node that is about to use the storage.

        ``claim`` or the following ``load`` raises ``WrongStorage`` and changes nothing if the storage belongs to
        another node. Otherwise that ``load`` stores the identity durably, unless it is stored already.
        """
        ...


async def claim(storage: Storage, identity: Identity) -> None:
    """Claim a storage for a node; a storage without ``claim`` does not remember its owner and accepts any node."""
    if isinstance(storage, OwnedStorage):
        await storage.claim(identity)


def same_owner(place: str, owner: Identity | None, asked: Identity | None) -> Identity | None:
    """The owner of a storage from now on; raises ``WrongStorage`` if it belongs to another node than ``asked``."""
    if owner is None or asked is None:
        return owner or asked
    if not owner.is_also(asked):
        raise WrongStorage(place, str(owner), str(asked))
    return owner if owner.cluster else asked


def apply_commands(disk: Disk, commands: Sequence[StorageCommand]) -> Disk:
    """The disk after a batch; raises ``StorageFailed`` if a command does not fit the stored data.

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
    """Why a command would leave a gap or remove committed entries; ``None`` if it would not."""
    log, covered = disk.log, disk.snapshot.last if disk.snapshot else ORIGIN
    match command:
        case Append(entries):
            return gap(log, entries)
        case Truncate(after) if after < covered.index:
            return f"truncating after {after} would cut into the snapshot, which ends at {covered}"
        case Purge(upto) if upto.index > covered.index:
            return f"purging up to {upto} would lose entries that no snapshot holds"
        case SaveSnapshot(meta) if not log.start.index <= meta.last.index <= log.last.index:
            return f"a snapshot of {meta.last} cannot have been built from a log of {log.start} to {log.last}"
        case InstallSnapshot(meta) if meta.last.index < log.start.index:
            return f"a snapshot of {meta.last} leaves a hole before the log, which begins after {log.start}"
        case Truncate() | Purge() | SaveSnapshot() | InstallSnapshot() | SaveVote() | WriteChunk():
            return None
        case _:
            assert_never(command)


def gap(log: Log, entries: Sequence[Entry]) -> str | None:
    """Where ``entries`` do not continue the log one by one, as text; ``None`` if they do."""
    for due, entry in enumerate(entries, start=log.last.index + 1):
        if entry.id.index != due:
            return f"entry {entry.id} came where index {due} was due"
    return None


def described(built: TakeSnapshot, data: bytes) -> SnapshotMeta:
    """What is stored with the bytes of a snapshot: the engine's part, and their size and checksum."""
    return SnapshotMeta(
        last=built.last,
        membership=built.membership,
        membership_id=built.membership_id,
        size=len(data),
        checksum=crc32(data),
    )


def damage(meta: SnapshotMeta, data: bytes) -> str | None:
    """How ``data`` differs from the snapshot that ``meta`` describes, as text; ``None`` if it does not."""
    if len(data) != meta.size:
        return f"snapshot {meta.last} has {len(data)} bytes and should have {meta.size}"
    if crc32(data) != meta.checksum:
        return f"snapshot {meta.last} has another checksum than it should"
    return None


def verified(meta: SnapshotMeta, data: bytes | None) -> bytes:
    """``data`` if its size and checksum match ``meta``; else raises ``StorageFailed``."""
    if data is None:
        raise StorageFailed(f"the bytes of snapshot {meta.last} are not here")
    fault = damage(meta, data)
    if fault is not None:
        raise StorageFailed(fault)
    return data
