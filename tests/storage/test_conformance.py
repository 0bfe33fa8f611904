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
from pyraft_lab.engine.log import Configuration, Entry, Log, Noop, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import ORIGIN, LogId, Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Storage, apply_commands, verified
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
        self._replay(Staged(meta, verified(meta, data)))
        self._record(Staged(meta, data))

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        return verified(meta, self.files.of(meta))

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
                disk, files = apply_commands(self.disk, commands), self.files
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
    """Truncates from an index on, and not after it."""

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
            self.disk = apply_commands(self.disk, commands)
        else:
            await super().write(commands)


class RemembersOneMembership(MemoryStorage):
    """One row for the membership in force: who was in force before it is gone."""

    async def load(self) -> Disk:
        disk = await super().load()
        older = disk.log.configs[:-1]
        return msgspec.structs.replace(disk, log=rewritten(disk.log, lambda one: one.index not in older))


class BelongsSomewhere(MemoryStorage):
    """A node that never ran is its own cluster already."""

    async def load(self) -> Disk:
        disk = await super().load()
        own = Configuration(Membership.of({1}))
        return disk if disk != Disk() else Disk(vote=Vote(1), log=Log().append((Entry(LogId(0, 1, 1), own),)))


class ForgetsWhoSaidSo(MemoryStorage):
    """Keeps the members that a snapshot names, and not since which entry they are."""

    async def load(self) -> Disk:
        disk = await super().load()
        if disk.snapshot is None:
            return disk
        return msgspec.structs.replace(disk, snapshot=msgspec.structs.replace(disk.snapshot, membership_id=ORIGIN))


class TakesTheLogsMembers(MemoryStorage):
    """Describes a snapshot by the newest membership of the log, whatever the machine had applied."""

    async def load(self) -> Disk:
        disk = await super().load()
        if disk.snapshot is None or not disk.log.configs:
            return disk
        newest = disk.log.entry(disk.log.configs[-1])
        assert isinstance(newest.payload, Configuration)
        meta = msgspec.structs.replace(disk.snapshot, membership=newest.payload.membership, membership_id=newest.id)
        return msgspec.structs.replace(disk, snapshot=meta)


class ArrivesWithoutMembers(MemoryStorage):
    """Takes a snapshot's members from the log, and has none where the log is replaced."""

    async def load(self) -> Disk:
        disk = await super().load()
        if disk.snapshot is None or len(disk.log):
            return disk
        return msgspec.structs.replace(disk, snapshot=msgspec.structs.replace(disk.snapshot, membership=Membership()))


class OneThingATurn(MemoryStorage):
    """A turn that saves a snapshot votes for nobody, it believes."""

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        saves = any(isinstance(one, SaveSnapshot) for one in commands)
        await super().write([one for one in commands if not (saves and isinstance(one, SaveVote))])


class OneLeaderARun(MemoryStorage):
    """Keeps leaders by the first entries of their runs, and loses those with the purged entries."""

    async def load(self) -> Disk:
        disk = await super().load()
        first, *later = disk.log.runs or (ORIGIN,)
        if not later or disk.log.start == ORIGIN:
            return disk
        wrong = tuple(
            msgspec.structs.replace(one, id=LogId(*later[0].leader, one.index))
            if one.id.leader == first.leader
            else one
            for one in disk.log
        )
        return msgspec.structs.replace(disk, log=Log(start=disk.log.start, last=disk.log.start).append(wrong))


def rewritten(log: Log, stays: Callable[[Entry], bool]) -> Log:
    """The log with no-ops where an entry does not stay."""
    entries = tuple(one if stays(one) else Entry(one.id, Noop()) for one in log)
    return Log(start=log.start, last=log.start).append(entries)


@pytest.mark.parametrize(
    ("storage", "promise"),
    [
        (ForgetsVotes, "a vote survives a restart"),
        (TruncatesOneTooMany, "truncating in the middle keeps the entries before"),
        (NotAtomic, "a refused batch writes nothing"),
        (LeavesHoles, "an entry after a gap is refused"),
        (LosesSnapshots, "a saved snapshot survives a restart"),
        (Reorders, "a conflicting tail is replaced in one batch"),
        (SavesAnything, "a snapshot with other bytes is refused"),
        (BelongsSomewhere, "a node that never ran belongs to no cluster"),
        (RemembersOneMembership, "the newest membership in the log governs"),
        (ArrivesWithoutMembers, "the membership of a snapshot governs where the log has none"),
        (ForgetsWhoSaidSo, "a membership that a snapshot covers stays in force"),
        (TakesTheLogsMembers, "a membership after a snapshot governs"),
        (OneThingATurn, "a vote in the batch of a snapshot is kept"),
        (OneLeaderARun, "leaders are known after every cut"),
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
