"""What only a real disk can do wrong: be damaged, full, read-only, someone else's."""

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import pytest

import pyraft_lab
from pyraft_lab.engine.commands import Purge, SaveSnapshot, SaveVote, StorageCommand
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.database import NAME, connect
from pyraft_lab.storage.inspect import inspect
from pyraft_lab.storage.snapshots import part_of, path_of
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import append, arriving, snapshot

DATA = b"the machine" * 1000
META = snapshot(4, DATA)
NIL = b"\xc0"


def filled(directory: Path) -> Disk:
    """A vote, a snapshot up to 4 and entries 5 to 10."""
    write(directory, SaveVote(Vote(1, 2)), append(1, 10), SaveSnapshot(META), Purge(META.last))
    return opened(directory)


def opened(directory: Path) -> Disk:
    async def load() -> Disk:
        async with open_storage(directory) as storage:
            return await storage.load()

    return asyncio.run(load())


def write(directory: Path, *commands: StorageCommand) -> None:
    async def load_and_write() -> None:
        async with open_storage(directory) as storage:
            await storage.put_snapshot(META, DATA)
            await storage.write(commands)

    asyncio.run(load_and_write())


@asynccontextmanager
async def open_storage(directory: Path) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(directory)
    try:
        await storage.load()
        yield storage
    finally:
        await storage.close()


def contents(directory: Path) -> dict[str, bytes]:
    """Every file and its bytes."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def change(directory: Path, sql: str) -> None:
    with closing(sqlite3.connect(directory / NAME, isolation_level=None)) as database:
        database.execute(sql)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE entries SET body = x'00' WHERE place = 7", "entry 7 has another checksum"),
        ("UPDATE entries SET body = 'text' WHERE place = 7", "entry 7 has another checksum"),
        (f"UPDATE entries SET body = x'c0', checksum = {crc32(NIL)} WHERE place = 7", "entry 7 cannot be read"),
        ("DELETE FROM entries WHERE place = 7", "entry 7 is missing"),
        ("DELETE FROM entries WHERE place < 8", "entries 5 to 7 are missing"),
        ("UPDATE entries SET place = 11 WHERE place = 7", "entry 11 says it is T1-N1.7"),
        ("INSERT INTO entries SELECT 4, body, checksum FROM entries WHERE place = 5", "should have been purged"),
        ("UPDATE facts SET checksum = 1 WHERE name = 'vote'", "vote has another checksum"),
        ("DELETE FROM facts WHERE name = 'snapshot'", "no snapshot covers the entries before that"),
        ("PRAGMA user_version = 3", "format 3 and this version reads up to 2"),
        ("PRAGMA application_id = 7", "is not a node's database"),
        ("DROP TABLE entries", "no such table: entries"),
    ],
)
def test_damage_is_found_and_named(tmp_path: Path, sql: str, words: str) -> None:
    filled(tmp_path)
    change(tmp_path, sql)
    with pytest.raises(StorageFailed, match=words):
        opened(tmp_path)


def test_a_log_that_ends_before_its_snapshot_is_damage(tmp_path: Path) -> None:
    write(tmp_path, append(1, 10), SaveSnapshot(META))
    change(tmp_path, "DELETE FROM entries WHERE place > 2")
    with pytest.raises(StorageFailed, match="entries 3 to 4 are missing"):
        opened(tmp_path)


def test_an_entry_after_a_later_term_is_damage(tmp_path: Path) -> None:
    write(tmp_path, append(1, 1, term=3), append(2, 2, term=2))
    with pytest.raises(StorageFailed, match=r"entry T2-N1\.2 follows the later term of T3-N1\.1"):
        opened(tmp_path)


@pytest.mark.parametrize("spoil", [b"", DATA[:-1], DATA[::-1]])
def test_a_spoiled_snapshot_file_is_found(tmp_path: Path, spoil: bytes) -> None:
    filled(tmp_path)
    path_of(tmp_path, META).write_bytes(spoil)
    with pytest.raises(StorageFailed, match=r"T1-N1\.4.*snapshot has"):
        opened(tmp_path)


def test_a_missing_snapshot_file_is_found(tmp_path: Path) -> None:
    filled(tmp_path)
    path_of(tmp_path, META).unlink()
    with pytest.raises(StorageFailed, match="is missing"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "junk", [b"not a database, and long enough to look like one" * 100, b"SQLite format 3\0" * 300]
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / NAME).write_bytes(junk)
    with pytest.raises(StorageFailed, match=r"not a database|malformed"):
        opened(tmp_path)
    assert (tmp_path / NAME).read_bytes() == junk


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE somebody_elses (life)")
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(StorageFailed, match="is not a node's database"):
        opened(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_every_page_of_the_database_is_watched(tmp_path: Path) -> None:
    before = filled(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    for place in range(100, len(whole), 97):
        (tmp_path / NAME).write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert opened(tmp_path) == before, f"byte {place} was spoiled, and nobody saw it"
        except StorageFailed:
            continue


def test_a_torn_write_that_was_never_acknowledged_is_passed_over(tmp_path: Path) -> None:
    acknowledged, later = asyncio.run(before_and_after_a_batch(tmp_path))
    wal = f"{NAME}-wal"
    for torn in range(len(acknowledged[wal]), len(later[wal]), 500):
        for name in contents(tmp_path):
            (tmp_path / name).unlink()
        for name, data in acknowledged.items():
            (tmp_path / name).write_bytes(later[wal][:torn] if name == wal else data)
        assert opened(tmp_path).log.last.index == 3


async def before_and_after_a_batch(directory: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    async with open_storage(directory) as storage:
        await storage.write([append(1, 3)])
        before = contents(directory)
        await storage.write([append(4, 6)])
        return before, contents(directory)


async def test_one_directory_serves_one_node(tmp_path: Path) -> None:
    async with open_storage(tmp_path):
        with pytest.raises(StorageFailed, match="in use by another node"):
            await SqliteStorage(tmp_path).load()
        assert "in use by another node" in open_in_another_process(tmp_path)
    assert open_in_another_process(tmp_path) == ""


def open_in_another_process(directory: Path) -> str:
    done = subprocess.run([*PYTHON, OPEN, directory], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.stderr


async def test_a_storage_must_be_loaded_before_it_is_used_and_again_after_it_was_closed(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    with pytest.raises(StorageFailed, match="load"):
        await storage.write([append(1, 1)])
    await storage.close()
    with pytest.raises(StorageFailed, match="has been closed"):
        await storage.write([append(1, 1)])
    await storage.load()
    await storage.write([append(1, 1)])
    await storage.close()


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="file"):
        opened(tmp_path / "file" / "data")


def test_a_read_only_directory_is_refused_and_left_as_it_is() -> None:
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        place = Path(name)
        filled(place)
        before = contents(place)
        with read_only(place), pytest.raises(StorageFailed, match=r"readonly|unable to open|Permission"):
            opened(place)
        assert contents(place) == before


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Nobody may write here; for the time being not even root, who becomes nobody."""
    directory.chmod(0o555)
    for path in directory.iterdir():
        path.chmod(0o444)
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)
        directory.chmod(0o755)


def test_the_database_forces_every_commit_to_the_disk(tmp_path: Path) -> None:
    opened(tmp_path)
    with closing(connect(tmp_path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_unfinished_files_are_swept_away(tmp_path: Path) -> None:
    async def leave_things_lying_about() -> None:
        async with open_storage(tmp_path) as storage:
            await storage.put_snapshot(snapshot(7, b"unused"), b"unused")
            await storage.write(arriving(snapshot(8, b"unfinished"), b"unfinished", 4)[:2])

    filled(tmp_path)
    asyncio.run(leave_things_lying_about())
    assert {"incoming.part", part_of(tmp_path, snapshot(7, b"unused")).name} <= set(contents(tmp_path))
    opened(tmp_path)
    assert set(contents(tmp_path)) == {NAME, "lock", path_of(tmp_path, META).name}


def test_a_snapshot_file_that_nobody_knows_is_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    kept = {path_of(tmp_path, snapshot(3, b"older")): b"older", tmp_path / "somebody.part": b"else's"}
    for path, data in kept.items():
        path.write_bytes(data)
    opened(tmp_path)
    assert {path: path.read_bytes() for path in kept} == kept
    assert inspect(tmp_path).unknown_files == (path_of(tmp_path, snapshot(3, b"older")).name,)


async def test_a_directory_holds_two_snapshots_and_one_being_made(tmp_path: Path) -> None:
    async with open_storage(tmp_path) as storage:
        for last in range(1, 8):
            await storage.put_snapshot(snapshot(last, b"forgotten"), b"forgotten")
            await storage.put_snapshot(snapshot(last, b"saved"), b"saved")
            await storage.write([append(last, last), SaveSnapshot(snapshot(last, b"saved"))])
        await storage.put_snapshot(snapshot(7, b"waits"), b"waits")
        metas = (snapshot(6, b"saved"), snapshot(7, b"saved"), snapshot(7, b"waits"))
        expected = {
            path_of(tmp_path, metas[0]).name,
            path_of(tmp_path, metas[1]).name,
            part_of(tmp_path, metas[2]).name,
        }
        assert {name for name in contents(tmp_path) if "snapshot" in name} == expected
    async with open_storage(tmp_path):
        assert {name for name in contents(tmp_path) if "snapshot" in name} == {path_of(tmp_path, metas[1]).name}


async def test_saving_a_snapshot_twice_keeps_it(tmp_path: Path) -> None:
    async with open_storage(tmp_path) as storage:
        await storage.write([append(1, 10)])
        for _ in range(3):
            await storage.put_snapshot(META, DATA)
            await storage.write([SaveSnapshot(META)])
        assert await storage.snapshot(META) == DATA


PYTHON = (sys.executable, "-W", "error", "-c")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pyraft_lab.__file__).parents[1])}
OPEN = """
import asyncio, sys
from pyraft_lab.storage.sqlite import SqliteStorage

async def main():
    storage = SqliteStorage(sys.argv[1])
    try:
        return await storage.load()
    finally:
        await storage.close()

asyncio.run(main())
"""
FILL = """
import asyncio, sys
from pyraft_lab.engine.commands import SaveSnapshot
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import append, snapshot

async def main():
    storage = SqliteStorage(sys.argv[1])
    last = (await storage.load()).log.last.index
    try:
        while True:
            data = b"machine" * last * 9
            meta = snapshot(last, data)
            if last:
                await storage.put_snapshot(meta, data)
            await storage.write([append(last + 1, last + 50), *([SaveSnapshot(meta)] if last else ())])
            last += 50
            print(last, flush=True)
    except StorageFailed as failure:
        print(failure.what)
    await storage.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("room", [40_000, 50_000, 60_000, 70_000])
def test_a_full_disk_loses_nothing_acknowledged_and_keeps_nothing_half(tmp_path: Path, room: int) -> None:
    def no_file_grows_beyond() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run(
        [*PYTHON, FILL, tmp_path],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=no_file_grows_beyond,
    )
    *acknowledged, failure = done.stdout.splitlines()
    disk = opened(tmp_path)
    assert str(tmp_path) in failure
    assert disk.log.last.index in {int(acknowledged[-1]), int(acknowledged[-1]) + 50}
    assert disk.snapshot is not None
    assert disk.snapshot.last.index == disk.log.last.index - 50
