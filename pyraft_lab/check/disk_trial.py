"""The storages on trial: random batches, kills and damage, against what the disk must hold (Figure 2, §5.1).

::

    batch ─▶ write ─▶ kill -9: a copy of the directory as it is, opened again ─▶ the same vote, log and snapshot
                   ─▶ damage: bytes changed, a row or a file lost            ─▶ StorageFailed, or the same

Besides, a part of the conformance suite runs on each storage.
"""

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pyraft_lab.check.directory_trial import (
    copy_as_killed,
    in_place_of_syncs,
    is_adopted,
    is_full,
    is_killed_at_every_sync,
    notices_damage_in_use,
    refuses_later_versions,
)
from pyraft_lab.check.failure import Failure
from pyraft_lab.check.swarm import Draw
from pyraft_lab.concurrency import loop_set_aside
from pyraft_lab.engine.commands import (
    Append,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SaveVote,
    StorageCommand,
    Truncate,
)
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import PyraftError, StorageFailed
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.conformance import CASES, run
from pyraft_lab.storage.database import NAME, connect
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import StorageTrial, append, arriving, closed_after, same, snapshot

T = TypeVar("T")
KEPT = "storages keep what they are given"
DAMAGE = "storages notice damage"
SYNCED = "storages sync before they return"
LOCKED = "a storage serves one node"
KILLED_EVERY = 5
"""Batches between two kills."""
SHARE = 6
"""The number of parts of the conformance suite; each seed runs one of them."""


class Writer:
    """Makes batches that a right Raft could write to a disk."""

    def __init__(self, chance: random.Random, disk: Disk) -> None:
        self.chance, self.disk = chance, disk
        self.term = max(1, disk.vote.term)

    def batch(self) -> tuple[tuple[StorageCommand, ...], bytes]:
        """One batch, and the bytes of the snapshot in it, if there is one."""
        log, chance = self.disk.log, self.chance
        kind = chance.choice(("vote", "append", "append", "append", "conflict", "save", "purge", "install"))
        if kind == "vote":
            self.term += 1
            return (SaveVote(Vote(self.term, chance.randrange(1, 4))),), b""
        if kind == "conflict" and log.last.index > self._covered:
            after = chance.randrange(self._covered, log.last.index)
            self.term += 1
            return (SaveVote(Vote(self.term, 2)), Truncate(after), self._append(after)), b""
        if kind == "save" and log.last.index > self._covered:
            meta, data = self._snapshot(log.id_at(chance.randrange(self._covered + 1, log.last.index + 1)))
            return (SaveSnapshot(meta),), data
        if kind == "purge" and self.disk.snapshot is not None and log.start.index < self._covered:
            upto = log.id_at(chance.randrange(log.start.index + 1, self._covered + 1))
            return ((Purge(upto),) if upto else ()), b""
        if kind == "install":
            return self._install()
        return (self._append(log.last.index),), b""

    @property
    def _covered(self) -> int:
        return self.disk.snapshot.last.index if self.disk.snapshot else 0

    def _append(self, after: int) -> Append:
        return append(after + 1, after + self.chance.randrange(1, 5), term=self.term)

    def _snapshot(self, last: LogId | None) -> tuple[SnapshotMeta, bytes]:
        assert last is not None, "an entry of the log has an id"
        data = self.chance.randbytes(self.chance.randrange(1, 400))
        meta = snapshot(last.index, data, term=last.term)
        return meta, data

    def _install(self) -> tuple[tuple[StorageCommand, ...], bytes]:
        """A snapshot that arrives in chunks, one of them twice: within the log, beyond it, or in conflict with it."""
        last = self._covered + self.chance.randrange(1, 8)
        known = self.disk.log.id_at(last)
        agrees = known is not None and self.chance.random() < 0.5
        self.term += not agrees
        meta, data = self._snapshot(known if agrees else LogId(self.term, 1, last))
        chunks = arriving(meta, data, self.chance.randrange(40, 200))
        return (SaveVote(Vote(self.term, 1)), *chunks, *chunks[-1:], InstallSnapshot(meta)), data


async def _random_batches(fresh: Callable[[], Callable[[], Storage]], draw: Draw, place: Path | None) -> None:
    """Write random batches to a storage; every few batches it is killed, and must hold what it was given."""
    chance = random.Random(draw.seed)
    async with StorageTrial(fresh) as trial:
        held: list[tuple[SnapshotMeta, bytes]] = []
        for count in range(int(draw.walk.get("steps", 30))):
            commands, data = Writer(chance, trial.expected).batch()
            built = [(one.meta, data) for one in commands if isinstance(one, SaveSnapshot)]
            for meta, image in built:
                await trial.storage.put_snapshot(meta, image)
            await trial.write(*commands)
            held += built or [(one.meta, data) for one in commands if isinstance(one, InstallSnapshot)]
            for meta, image in held[-2:]:  # the stored one, and the one before it, which may be being sent
                same(f"the chunks of snapshot {meta.last}", await trial.chunks(meta, 70), image)
            if count % KILLED_EVERY == 0:
                if place is not None:
                    await _survives_a_kill(place, trial.expected)
                await trial.holds()
                held = held[-1:]
                for meta, image in held:
                    await trial.holds_bytes(meta, image)


async def _survives_a_kill(place: Path, expected: Disk) -> None:
    """A copy of the directory as it is now, as after ``kill -9``, opens with the expected disk."""
    copy = place.with_name(f"{place.name}-killed")
    copy_as_killed(place, copy)
    try:
        async with closed_after(SqliteStorage(copy)) as storage:
            found = await storage.load()
        same("the vote after a kill", found.vote, expected.vote)
        same("the entries after a kill", tuple(found.log), tuple(expected.log))
        same("the snapshot after a kill", found.snapshot, expected.snapshot)
    finally:
        shutil.rmtree(copy)


# Damage


async def _notices_damage(place: Path, chance: random.Random) -> None:
    """After damage a storage refuses to load, or it holds what it held before."""
    data = chance.randbytes(300)
    meta = snapshot(4, data)
    async with closed_after(SqliteStorage(place)) as storage:
        await storage.load()
        await storage.write([SaveVote(Vote(2, 1)), append(1, 9)])
        await storage.put_snapshot(meta, data)
        await storage.write([SaveSnapshot(meta), Purge(LogId(1, 1, 2))])
        before = await storage.load()
    for name, damage in DAMAGES.items():
        broken = place.with_name(f"{place.name}-{name.replace(' ', '-')}")
        shutil.copytree(place, broken)
        damage(broken)
        await _is_noticed(broken, name, before, meta)


async def _is_noticed(place: Path, name: str, before: Disk, meta: SnapshotMeta) -> None:
    async with closed_after(SqliteStorage(place)) as storage:
        try:
            found = await storage.load()
            await storage.snapshot(meta)
        except (PyraftError, sqlite3.Error):
            return
    same(f"the disk after {name}", (found.vote, tuple(found.log), found.snapshot),
         (before.vote, tuple(before.log), before.snapshot))  # fmt: skip


def _run_sql(place: Path, statement: str) -> None:
    with closing(sqlite3.connect(place / NAME, isolation_level=None)) as database:
        database.execute(statement)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _zero(place: Path) -> None:
    _run_sql(place, "UPDATE entries SET body = zeroblob(length(body)) WHERE place = 6")


def _flip(place: Path) -> None:
    """Change the last byte of an entry, a part of its command, so that it still can be read."""
    with closing(sqlite3.connect(place / NAME, isolation_level=None)) as database:
        (body,) = database.execute("SELECT body FROM entries WHERE place = 6").fetchone()
        changed = bytes(body[:-1]) + bytes([body[-1] ^ 1])
        database.execute("UPDATE entries SET body = ? WHERE place = 6", (changed,))
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _lose_tail(place: Path) -> None:
    _run_sql(place, "DELETE FROM entries WHERE place > 7")


def _lose_middle(place: Path) -> None:
    _run_sql(place, "DELETE FROM entries WHERE place = 6")


def _lose_vote(place: Path) -> None:
    _run_sql(place, "DELETE FROM facts WHERE name = 'vote'")


def _files(place: Path) -> list[Path]:
    known = (NAME, f"{NAME}-wal", f"{NAME}-shm")
    return sorted(
        one for one in place.iterdir() if one.is_file() and one.name not in known and one.stat().st_size >= 100
    )


def _swap_snapshot(place: Path) -> None:
    for path in _files(place):
        path.write_bytes(b"y" * path.stat().st_size)


def _cut_snapshot(place: Path) -> None:
    for path in _files(place):
        path.write_bytes(path.read_bytes()[:-1])


def _cut_database(place: Path) -> None:
    path = place / NAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "an entry of zeros": _zero,
    "a changed entry": _flip,
    "a lost tail": _lose_tail,
    "a lost entry": _lose_middle,
    "a lost vote": _lose_vote,
    "a swapped snapshot": _swap_snapshot,
    "a cut snapshot": _cut_snapshot,
    "a cut database": _cut_database,
}
"""What may happen to a closed directory."""


# Syncs


@contextmanager
def _noted_syncs() -> Iterator[dict[int, int]]:
    """The inodes of what is synced meanwhile, each with its size then."""
    synced = dict[int, int]()

    def note(handle: int) -> None:
        found = os.fstat(handle)
        synced[found.st_ino] = found.st_size

    with in_place_of_syncs(note):
        yield synced


async def _syncs(place: Path) -> None:
    """Snapshots and their names are synced before the database names them; every commit waits for the disk."""
    with _noted_syncs() as synced:
        async with closed_after(SqliteStorage(place)) as storage:
            await storage.load()
            for last, saves in ((2, True), (4, False)):
                data = b"x" * 150
                meta = snapshot(last, data)
                before = set(_files(place))
                synced.clear()
                if saves:
                    await storage.write([append(1, 6)])
                    await storage.put_snapshot(meta, data)
                    await storage.write([SaveSnapshot(meta)])
                else:
                    await storage.write([*arriving(meta, data, 60), InstallSnapshot(meta)])
                for path in sorted(set(_files(place)) - before):
                    found = path.stat()
                    same(f"the bytes of {path.name} that are synced", synced.get(found.st_ino, 0), found.st_size)
                same("the directory is synced", os.name == "nt" or _inode(place) in synced, expected=True)
    with closing(connect(place)) as database:
        level = database.execute("PRAGMA synchronous").fetchone()[0]
    same("PRAGMA synchronous, where 2 is FULL,", level >= 2, expected=True)


def _inode(place: Path) -> int:
    return place.stat().st_ino


# Ownership and failures


async def _is_locked(place: Path) -> None:
    """A directory serves one node at a time: a second one is refused while the first uses it."""
    first, second = SqliteStorage(place), SqliteStorage(place)
    await first.load()
    try:
        await second.load()
    except StorageFailed:
        return
    finally:
        await second.close()
        await first.close()
    raise AssertionError("two nodes use one directory at the same time")


async def _fails_whole(storage: Storage) -> None:
    """A batch that cannot be written leaves nothing behind; no later one is written before the storage is reopened."""
    batches: Sequence[Sequence[StorageCommand]] = ([SaveVote(Vote(2, 2)), append(9, 9)], [append(4, 4)])
    async with closed_after(storage):
        await storage.load()
        await storage.write([SaveVote(Vote(1, 1)), append(1, 3)])
        before = await storage.load()
        for later in batches:  # index 4 is due in the first one, and not 9
            try:
                await storage.write(later)
            except StorageFailed:
                continue
            raise AssertionError(f"after a failure, or with a gap, {later} is written")
        after = await storage.load()
    same("the disk after a batch that failed", (after.vote, tuple(after.log)), (before.vote, tuple(before.log)))


# The trial


async def _all(draw: Draw, home: Path) -> Failure | None:
    chance = random.Random(draw.seed + 1)
    cases = CASES[draw.seed % SHARE :: SHARE]
    sqlite = home / "random"
    tries: Sequence[tuple[str, Callable[[], object]]] = (
        (KEPT, lambda: _random_batches(lambda: MemoryPlace().open, draw, None)),
        (KEPT, lambda: _random_batches(lambda: lambda: SqliteStorage(sqlite), draw, sqlite)),
        (DAMAGE, lambda: _notices_damage(home / "damaged", chance)),
        (SYNCED, lambda: _syncs(home / "synced")),
        (LOCKED, lambda: _is_locked(home / "locked")),
        (KEPT, lambda: _fails_whole(MemoryStorage())),
        (KEPT, lambda: _fails_whole(SqliteStorage(home / "failed"))),
        (KEPT, lambda: is_killed_at_every_sync(home / "killed")),
        (KEPT, lambda: is_adopted(home / "adopted")),
        (KEPT, is_full),
        (DAMAGE, lambda: notices_damage_in_use(home / "in-use")),
        (DAMAGE, lambda: refuses_later_versions(home / "later")),
    )
    for name, attempt in tries:
        try:
            await attempt()  # type: ignore[misc]
        except (AssertionError, PyraftError, OSError, sqlite3.Error) as error:
            return Failure(name, f"{type(error).__name__}: {error}")
    places = iter(range(len(CASES)))
    for fresh in (lambda: MemoryPlace().open, lambda: _at(home / f"case-{next(places)}")):
        report = await run(fresh, cases)
        if not report.ok:
            return Failure(KEPT, str(report.broken[0]))
    return None


def _at(place: Path) -> Callable[[], Storage]:
    return lambda: SqliteStorage(place)


class MemoryPlace:
    """An empty place in memory, which opens as the same storage again and again."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()

    def open(self) -> Storage:
        """The storage."""
        return self.storage


def storage_failure(draw: Draw) -> Failure | None:
    """The first promise that a storage breaks under a draw; ``None`` if all are kept."""
    with loop_set_aside(), TemporaryDirectory(prefix="pyraft-lab-") as home:
        return asyncio.run(_all(draw, Path(home)))
