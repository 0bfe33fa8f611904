"""The suite passes what keeps its word, and catches what does not."""

import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from zlib import crc32

import msgspec
import pytest

from pyraft_lab.engine.commands import Append, SaveSnapshot, SaveVote, StorageCommand, Truncate
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Storage, carried_out, whole
from pyraft_lab.storage.conformance import CASES, Case, check, name_of, run
from pyraft_lab.storage.memory import Files, MemoryStorage
from pyraft_lab.storage.sqlite import SqliteStorage


class Staged(msgspec.Struct, frozen=True, tag=True):
    """A record of the journal below: bytes that wait for their SaveSnapshot."""

    meta: SnapshotMeta
    data: bytes


class Written(msgspec.Struct, frozen=True, tag=True):
    """A record of the journal below: one batch."""

    commands: tuple[StorageCommand, ...]


HEAD = struct.Struct("<II")


class JournalStorage:
    """A storage as a user may write it: one file of records, each with length and checksum, replayed at the start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disk, self.files, self.staged = Disk(), Files(), dict[SnapshotMeta, bytes]()
        self.broken = False

    async def load(self) -> Disk:
        self.path.touch()
        rest = self.path.read_bytes()
        while rest:
            length, checksum = HEAD.unpack(rest[: HEAD.size])
            body, rest = rest[HEAD.size : HEAD.size + length], rest[HEAD.size + length :]
            if crc32(body) != checksum:
                raise StorageFailed(f"{self.path} is damaged")
            self._replay(msgspec.msgpack.decode(body, type=Staged | Written))
        return self.disk

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        try:
            if self.broken:
                raise StorageFailed("an earlier write failed")
            self._replay(Written(tuple(commands)))
        except StorageFailed:
            self.broken = True
            raise
        self._record(Written(tuple(commands)))

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        self._replay(Staged(meta, whole(meta, data)))
        self._record(Staged(meta, data))

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        return whole(meta, self.files.of(meta))

    async def read_chunk(self, meta: SnapshotMeta, offset: int, length: int) -> bytes | None:
        data = self.files.of(meta)
        return None if data is None else data[offset : offset + length]

    async def close(self) -> None:
        pass

    def _replay(self, record: Staged | Written) -> None:
        match record:
            case Staged(meta, data):
                self.files = msgspec.structs.replace(self.files, staged=(meta, data))
            case Written(commands):
                disk, files = carried_out(self.disk, commands), self.files
                for command in commands:
                    files = files.after(command)
                self.disk, self.files = disk, files

    def _record(self, record: Staged | Written) -> None:
        body = msgspec.msgpack.encode(record)
        with self.path.open("ab") as file:
            file.write(HEAD.pack(len(body), crc32(body)) + body)


def in_memory() -> Callable[[], Storage]:
    disk = MemoryStorage()
    return lambda: disk


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_memory_keeps_the_promise(case: Case) -> None:
    await check(case, in_memory)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_sqlite_keeps_the_promise(case: Case, tmp_path: Path) -> None:
    await check(case, lambda: partial(SqliteStorage, mkdtemp(dir=tmp_path)))


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_a_storage_of_a_users_own_keeps_the_promise(case: Case, tmp_path: Path) -> None:
    await check(case, lambda: partial(JournalStorage, Path(mkdtemp(dir=tmp_path)) / "journal"))


class ForgetsVotes(MemoryStorage):
    """The vote is in memory only: gone with the node."""

    async def load(self) -> Disk:
        self.disk = msgspec.structs.replace(self.disk, vote=Vote())
        return await super().load()


class TruncatesOneTooMany(MemoryStorage):
    """Reads "behind" as "from … on"."""

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        worse = [Truncate(max(0, one.after - 1)) if isinstance(one, Truncate) else one for one in commands]
        await super().write(worse)


class NotAtomic(MemoryStorage):
    """Every command on its own."""

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        for command in commands:
            await super().write([command])


class LeavesHoles(MemoryStorage):
    """Takes entries from wherever they come."""

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        try:
            await super().write(commands)
        except StorageFailed as failure:
            if "was due" not in failure.what:
                raise


class LosesSnapshots(MemoryStorage):
    """Keeps what a snapshot stands for, and not its bytes."""

    async def load(self) -> Disk:
        disk = await super().load()
        self.files = Files()
        return disk


class Reorders(MemoryStorage):
    """Votes and appends first, because they are urgent."""

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        urgent = [one for one in commands if isinstance(one, Append | SaveVote)]
        await super().write(urgent + [one for one in commands if one not in urgent])


class SavesAnything(MemoryStorage):
    """Trusts whatever bytes it is given."""

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        self.files = msgspec.structs.replace(self.files, staged=(meta, data))

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        if self.files.staged and any(isinstance(one, SaveSnapshot) for one in commands):
            self.files = msgspec.structs.replace(self.files, stored=self.files.staged, staged=None)
            self.disk = carried_out(self.disk, commands)
        else:
            await super().write(commands)


@pytest.mark.parametrize(
    ("storage", "promise"),
    [
        (ForgetsVotes, "a vote survives a restart"),
        (TruncatesOneTooMany, "truncating in the middle keeps what stands before"),
        (NotAtomic, "a refused batch leaves nothing behind"),
        (LeavesHoles, "an entry behind a gap is refused"),
        (LosesSnapshots, "a saved snapshot survives a restart"),
        (Reorders, "a conflicting tail is replaced in one batch"),
        (SavesAnything, "a snapshot with other bytes is refused"),
    ],
)
async def test_a_storage_that_breaks_its_word_is_caught(storage: type[MemoryStorage], promise: str) -> None:
    def fresh() -> Callable[[], Storage]:
        disk = storage()
        return lambda: disk

    report = await run(fresh)
    assert promise in {result.name for result in report.broken}
    assert f"BROKEN  {promise}" in str(report)


async def test_a_report_counts_what_is_kept() -> None:
    report = await run(in_memory)
    assert report.ok
    assert str(report).endswith(f"{len(CASES)} of {len(CASES)} promises kept")


def test_every_promise_is_a_sentence_of_its_own() -> None:
    assert len({name_of(case) for case in CASES}) == len(CASES)
    assert all(case.__doc__ for case in CASES)
