"""A storage under test with its expected disk, and small values for the cases to write."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import NoReturn, Self, TypeVar
from zlib import crc32

from pyraft_lab.engine.commands import Append, StorageCommand, WriteChunk
from pyraft_lab.engine.log import Entry, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import Index, LogId, Term
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Storage, apply_commands

Reopen = Callable[[], Storage]
"""A function that opens a storage over the same place at every call, as a restarted node does."""
Fresh = Callable[[], Reopen]
"""A function that makes an empty place."""

AnyStorage = TypeVar("AnyStorage", bound=Storage)


class StorageTrial:
    """Writes the same batches to a storage and to its model, ``expected``.

    >>> import asyncio
    >>> from pyraft_lab.storage.memory import MemoryStorage
    >>> async def example() -> int:
    ...     disk = MemoryStorage()
    ...     async with StorageTrial(lambda: lambda: disk) as trial:
    ...         await trial.write(append(1, 3))
    ...         return len((await trial.holds()).log)
    >>> asyncio.run(example())
    3
    """

    def __init__(self, fresh: Fresh) -> None:
        self.fresh = fresh
        self.reopen = fresh()
        self.storage = self.reopen()
        self.expected = Disk()

    async def __aenter__(self) -> Self:
        await self.storage.load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.storage.close()

    async def write(self, *commands: StorageCommand) -> None:
        """Write one batch to the storage and to the model."""
        await self.storage.write(commands)
        self.expected = apply_commands(self.expected, commands)

    async def save(self, meta: SnapshotMeta, data: bytes, *commands: StorageCommand) -> None:
        """Put the bytes of a snapshot, then write a batch that refers to them."""
        await self.storage.put_snapshot(meta, data)
        await self.write(*commands)

    async def refuses(self, *commands: StorageCommand) -> None:
        """Check that the storage refuses a batch; it is then opened again, as by a restarted node."""
        try:
            await self.storage.write(commands)
        except StorageFailed:
            await self.restart()
        else:
            broken(f"the batch was accepted: {', '.join(type(one).__name__ for one in commands)}")

    async def restart(self) -> Disk:
        """Close the storage and open it again."""
        await self.storage.close()
        self.storage = self.reopen()
        return await self.storage.load()

    async def holds(self) -> Disk:
        """Check that the storage holds the model's disk after a restart; returns the disk."""
        found = await self.restart()
        same("the vote", found.vote, self.expected.vote)
        same("the log's start", found.log.start, self.expected.log.start)
        same("the log's end", found.log.last, self.expected.log.last)
        same("the entries", tuple(found.log), tuple(self.expected.log))
        same("the leaders' first entries", found.log.runs, self.expected.log.runs)
        same("the places of memberships", found.log.configs, self.expected.log.configs)
        same("the snapshot", found.snapshot, self.expected.snapshot)
        return found

    async def holds_bytes(self, meta: SnapshotMeta, data: bytes) -> None:
        """Check the stored snapshot's bytes, read at once and in chunks."""
        same("the snapshot's bytes", await self.storage.snapshot(meta), data)
        same("the snapshot's chunks", await self.chunks(meta, max(1, len(data) // 3)), data)

    async def chunks(self, meta: SnapshotMeta, length: int) -> bytes:
        """A snapshot's bytes, read in chunks of ``length`` as a leader does."""
        data = b""
        while len(data) < meta.size:
            chunk = await self.storage.read_chunk(meta, len(data), length)
            if not chunk or len(chunk) > length:
                broken(f"of snapshot {meta.last}, {length} bytes from {len(data)} on are {chunk!r}")
            data += chunk
        return data


@asynccontextmanager
async def closed_after(storage: AnyStorage) -> AsyncIterator[AnyStorage]:
    """A storage that is closed however its use ends."""
    try:
        yield storage
    finally:
        await storage.close()


def same(what: str, found: object, expected: object) -> None:
    """Raise ``AssertionError`` with both values if they differ."""
    if found != expected:
        broken(f"{what}: found {_short(found)}, expected {_short(expected)}")


def broken(how: str) -> NoReturn:
    """Raise ``AssertionError``: a promise is broken."""
    raise AssertionError(how)


def entry(index: Index, term: Term = 1) -> Entry:
    """An entry whose command names its index."""
    return Entry(LogId(term, 1, index), Normal(f"{term}:{index}".encode()))


def append(first: Index, last: Index, term: Term = 1) -> Append:
    """An ``Append`` of the entries ``first … last`` of one term."""
    return Append(tuple(entry(index, term) for index in range(first, last + 1)))


def snapshot(last: Index, data: bytes, *, term: Term = 1, voters: Iterable[int] = (1, 2, 3)) -> SnapshotMeta:
    """The metadata of a snapshot with these bytes."""
    members = Membership.of(voters)
    where = LogId(term, 1, last)
    return SnapshotMeta(where, members, membership_id=LogId(0, 1, 1), size=len(data), checksum=crc32(data))


def arriving(meta: SnapshotMeta, data: bytes, length: int) -> tuple[WriteChunk, ...]:
    """The ``WriteChunk`` commands of an arriving snapshot, ``length`` bytes each."""
    starts = range(0, max(1, len(data)), length)
    return tuple(WriteChunk(meta, start, data[start : start + length]) for start in starts)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"
