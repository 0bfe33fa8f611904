"""Whose a data directory is, what of it is lost, and that `inspect` and the start of a node agree on all of them."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import rmtree
from typing import Any

import msgspec
import pytest

import pyraft_lab
from pyraft_lab.cli import main
from pyraft_lab.engine.commands import Append, Purge, SaveSnapshot, SaveVote
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import ConfigError, StorageFailed, WrongStorage
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.storage.base import Identity
from pyraft_lab.storage.database import NAME
from pyraft_lab.storage.directory import FIRST_START, IDENTITY, LOCK
from pyraft_lab.storage.inspect import inspect
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import append, snapshot

DATA = b"the machine"
META = snapshot(4, DATA)
OWNER = Identity(3, "demo")
DAMAGED, NEW, WHOLE = 1, 2, 0
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pyraft_lab.__file__).parents[1])}


def start(directory: Path, owner: Identity = OWNER) -> Raft:
    """A node that has started from the directory and stopped."""

    async def life() -> Raft:
        raft = Raft(owner.node, storage=SqliteStorage(directory), cluster=owner.cluster)
        await raft.start()
        await raft.shutdown()
        return raft

    return asyncio.run(life())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What node 3 of cluster demo left: a vote, a snapshot up to 4, entries 5 to 10."""

    async def fill() -> None:
        storage = SqliteStorage(tmp_path / "data" / "3")
        await storage.claim(OWNER)
        await storage.load()
        await storage.put_snapshot(META, DATA)
        await storage.write([SaveVote(Vote(1, 2)), append(1, 10), SaveSnapshot(META), Purge(META.last)])
        await storage.close()

    asyncio.run(fill())
    return tmp_path / "data" / "3"


def contents(directory: Path) -> dict[str, bytes]:
    """Every file and its bytes, but not what SQLite's readers share while they look."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file() and path.suffix != ".db-shm"}


def change(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / NAME, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def keep(directory: Path, *names: str) -> None:
    """Remove every file but these."""
    for path in directory.iterdir():
        if path.name not in names:
            path.unlink()


def overwrite(directory: Path, first: int, data: bytes) -> None:
    with (directory / NAME).open("r+b") as file:
        file.seek(first)
        file.write(data)


def truncate(directory: Path, size: int) -> None:
    os.truncate(directory / NAME, size)


def empty(directory: Path) -> None:
    truncate(directory, 0)


def in_turn(*acts: Callable[[Path], object]) -> Callable[[Path], None]:
    def act_all(directory: Path) -> None:
        for act in acts:
            act(directory)

    return act_all


def become_a_file(directory: Path) -> None:
    rmtree(directory)
    directory.touch()


def as_version_1(directory: Path) -> None:
    """The directory as the first layout left it."""
    (directory / IDENTITY).unlink()
    change(
        directory,
        "DELETE FROM facts WHERE name IN ('owner', 'last', 'superseded')",
        "PRAGMA user_version = 1",
    )


def lose_the_log(directory: Path) -> None:
    change(directory, "DELETE FROM entries", "DELETE FROM facts WHERE name IN ('start', 'snapshot')")


def log_behind_its_vote(directory: Path) -> None:
    async def fill() -> None:
        storage = SqliteStorage(directory)
        await storage.load()
        await storage.write([Append((Entry(LogId(9, 1, 11), Normal(b"")),))])
        await storage.close()

    asyncio.run(fill())


FILL = """
import asyncio, os, sys
from pyraft_lab.engine.commands import InstallSnapshot, Purge, SaveSnapshot, SaveVote
from pyraft_lab.engine.types import Vote
from pyraft_lab.storage.base import Identity
from pyraft_lab.storage.sqlite import Opened, SqliteStorage
from pyraft_lab.storage.trial import append, arriving, snapshot

async def main(directory, before_it_counts):
    storage = SqliteStorage(directory)
    await storage.claim(Identity(3, "demo"))
    await storage.load()
    built, sent = snapshot(4, b"the machine"), snapshot(50, b"another", term=7)
    await storage.put_snapshot(built, b"the machine")
    await storage.write([SaveVote(Vote(1, 2)), append(1, 10), SaveSnapshot(built), Purge(built.last)])
    if before_it_counts:
        Opened._written = lambda self, commands: os._exit(0)
        await storage.write([SaveVote(Vote(7, 1)), *arriving(sent, b"another", 4), InstallSnapshot(sent)])
    os._exit(0)

asyncio.run(main(sys.argv[1], len(sys.argv) > 2))
"""


def killed_in_use(directory: Path, *more: str) -> None:
    """A node wrote a snapshot and was killed: all of it is in the wal still."""
    rmtree(directory)
    subprocess.run([sys.executable, "-c", FILL, directory, *more], env=ENVIRONMENT, check=True)
    assert wal(directory).stat().st_size


def killed_before_a_snapshot_counts(directory: Path) -> None:
    """Killed while it installed a snapshot of a later leader: the file has its name, the database is as it was."""
    killed_in_use(directory, "before it counts")
    assert len(list(directory.glob("*.snapshot"))) == 2


def wal(directory: Path) -> Path:
    return directory / f"{NAME}-wal"


WAYS: tuple[tuple[str, Callable[[Path], object], int, str], ...] = (
    ("as it was left", lambda _: None, WHOLE, ""),
    ("of the first layout", as_version_1, WHOLE, ""),
    ("with a file of somebody else's", lambda d: (d / "notes.txt").touch(), WHOLE, ""),
    ("with a snapshot nobody knows", lambda d: (d / "T1-N1.3-5-00000000.snapshot").touch(), WHOLE, ""),
    ("without its lock", lambda d: (d / LOCK).unlink(), WHOLE, ""),
    ("without identity file", lambda d: (d / IDENTITY).unlink(), WHOLE, ""),
    ("gone", rmtree, NEW, "holds no node's data"),
    ("empty", keep, NEW, "holds no node's data"),
    ("with a log file only", in_turn(keep, lambda d: (d / "log").touch()), NEW, "holds no node's data"),
    (
        "interrupted at the first start",
        in_turn(lambda d: keep(d, LOCK), lambda d: (d / FIRST_START).touch()),
        NEW,
        "holds no",
    ),
    ("without its database", lambda d: (d / NAME).unlink(), DAMAGED, f"{NAME} is missing, though"),
    ("with its lock only", lambda d: keep(d, LOCK), DAMAGED, f"{NAME} is missing, though lock is here"),
    ("with its identity only", lambda d: keep(d, IDENTITY), DAMAGED, f"{NAME} is missing, though {IDENTITY}"),
    ("with snapshots only", lambda d: keep(d, next(d.glob("*.snapshot")).name), DAMAGED, "missing"),
    ("with a wal only", in_turn(keep, lambda d: (d / f"{NAME}-wal").write_bytes(b"x" * 99)), DAMAGED, "is missing"),
    ("with a half snapshot only", in_turn(keep, lambda d: (d / "incoming.part").touch()), DAMAGED, "is missing"),
    ("with an empty database", empty, DAMAGED, "is empty (0 bytes)"),
    ("with an empty database only", in_turn(lambda d: keep(d, NAME), empty), DAMAGED, "is empty (0 bytes)"),
    ("with an empty database of the first layout", in_turn(as_version_1, empty), DAMAGED, "is empty"),
    ("with a snapshot of a later term", lambda d: (d / "T2-N1.3-5-00000000.snapshot").touch(), DAMAGED, "is newer"),
    ("with a snapshot beyond its log", lambda d: (d / "T1-N1.11-5-00000000.snapshot").touch(), DAMAGED, "is newer"),
    ("with a file that only ends like a snapshot", lambda d: (d / "my.snapshot").touch(), WHOLE, ""),
    ("killed and without its wal", in_turn(killed_in_use, lambda d: wal(d).unlink()), DAMAGED, "is newer than raft.db"),
    ("killed and with an empty wal", in_turn(killed_in_use, lambda d: wal(d).write_bytes(b"")), DAMAGED, "is newer"),
    ("killed and with junk in its wal", in_turn(killed_in_use, lambda d: wal(d).write_bytes(b"j" * 9999)), DAMAGED, ""),
    ("killed in use", killed_in_use, WHOLE, ""),
    ("killed before a snapshot counts", killed_before_a_snapshot_counts, WHOLE, ""),
    ("with half a database", lambda d: truncate(d, 6000), DAMAGED, ""),
    ("with a database cut within its header", lambda d: truncate(d, 50), DAMAGED, "not a node's"),
    ("with a zeroed header", lambda d: overwrite(d, 0, bytes(4096)), DAMAGED, ""),
    ("with a zeroed database", lambda d: overwrite(d, 0, bytes((d / NAME).stat().st_size)), DAMAGED, ""),
    ("with a zeroed page", lambda d: overwrite(d, 4096, bytes(4096)), DAMAGED, ""),
    ("with junk", lambda d: (d / NAME).write_bytes(b"junk" * 5000), DAMAGED, "cannot be read"),
    (
        "with a directory for a database",
        in_turn(lambda d: (d / NAME).unlink(), lambda d: (d / NAME).mkdir()),
        DAMAGED,
        "is no file",
    ),
    ("with another program's database", lambda d: change(d, "PRAGMA application_id = 7"), DAMAGED, "not a node's"),
    ("of a later version", lambda d: change(d, "PRAGMA user_version = 9"), DAMAGED, "use a newer one"),
    ("without the table of entries", lambda d: change(d, "DROP TABLE entries"), DAMAGED, "no such table"),
    ("without the table of facts", lambda d: change(d, "DROP TABLE facts"), DAMAGED, "no such table"),
    ("without any fact", lambda d: change(d, "DELETE FROM facts", "DELETE FROM entries"), DAMAGED, "row of vote"),
    ("without entries", lambda d: change(d, "DELETE FROM entries"), DAMAGED, "entries 5 to 10 are missing"),
    ("without the log", lose_the_log, DAMAGED, "are missing"),
    ("without the last entry", lambda d: change(d, "DELETE FROM entries WHERE place = 10"), DAMAGED, "entry 10 is"),
    ("without the vote", lambda d: change(d, "DELETE FROM facts WHERE name = 'vote'"), DAMAGED, "row of vote"),
    ("without its snapshot", lambda d: next(d.glob("*.snapshot")).unlink(), DAMAGED, "snapshot is missing"),
    ("with half a snapshot", lambda d: next(d.glob("*.snapshot")).write_bytes(b"th"), DAMAGED, "has 2 bytes"),
    ("with a log behind its vote", log_behind_its_vote, DAMAGED, "later than the vote"),
    ("with an empty identity", lambda d: (d / IDENTITY).write_bytes(b""), DAMAGED, f"{IDENTITY} cannot be read"),
    ("with an identity of binary junk", lambda d: (d / IDENTITY).write_bytes(b"\xff\xfe"), DAMAGED, IDENTITY),
    ("that is a file", become_a_file, DAMAGED, "is a file and should be a directory"),
    (
        "below a file",
        in_turn(lambda d: rmtree(d.parent), lambda d: d.parent.touch()),
        DAMAGED,
        "is a file and should be a directory",
    ),
)


@pytest.mark.parametrize(("spoil", "verdict", "words"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
def test_inspect_and_the_start_agree_on_a_directory(
    directory: Path, spoil: Callable[[Path], object], verdict: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(directory)
    before = contents(directory) if directory.is_dir() else {}
    assert main(["inspect", str(directory)]) == verdict
    shown = capsys.readouterr()
    assert words in " ".join((shown.out + shown.err).split())
    if verdict == DAMAGED:
        with pytest.raises(StorageFailed) as refusal:
            start(directory)
        assert words in str(refusal.value)
        left = contents(directory) if directory.is_dir() else {}
        assert before.items() <= left.items(), "evidence was touched"
    else:
        assert start(directory).metrics.running is not None
        assert main(["inspect", str(directory)]) == WHOLE


@pytest.mark.parametrize("other", [Identity(6, "demo"), Identity(3, "other"), Identity(4)], ids=str)
def test_a_directory_of_another_node_is_refused_before_anything_is_touched(directory: Path, other: Identity) -> None:
    before = contents(directory)
    with pytest.raises(WrongStorage, match=f"belongs to node 3 of cluster demo and cannot be used by {other}"):
        start(directory, other)
    assert contents(directory) == before


def test_an_old_directory_learns_whose_it_is_at_its_next_start(directory: Path) -> None:
    as_version_1(directory)
    start(directory)
    assert msgspec.json.decode((directory / IDENTITY).read_bytes()) == {"node": 3, "cluster": "demo"}
    (directory / IDENTITY).unlink()
    with pytest.raises(WrongStorage):
        start(directory, Identity(6, "demo"))
    start(directory)
    assert (directory / IDENTITY).exists()


def test_a_database_of_another_node_among_ones_own_files_is_damage(directory: Path) -> None:
    other = directory.with_name("other")
    start(other, Identity(6, "demo"))
    (directory / NAME).write_bytes((other / NAME).read_bytes())
    with pytest.raises(StorageFailed, match="files of two nodes are mixed"):
        start(directory)
    assert main(["inspect", str(directory)]) == DAMAGED


def test_a_cluster_without_a_name_gets_one_later(directory: Path) -> None:
    nameless = directory.with_name("4")
    start(nameless, Identity(4))
    start(nameless, Identity(4, "demo"))
    with pytest.raises(WrongStorage):
        start(nameless, Identity(4, "other"))


def test_the_owner_is_shown(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["inspect", str(directory)])
    assert "node 3 of cluster demo" in capsys.readouterr().out


def test_every_new_directory_is_synced_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = set[tuple[int, int]](), os.fsync

    def watched(handle: int) -> None:
        status = os.fstat(handle)
        synced.add((status.st_dev, status.st_ino))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    start(tmp_path / "data" / "demo" / "3")
    for place in (tmp_path, tmp_path / "data", tmp_path / "data" / "demo", tmp_path / "data" / "demo" / "3"):
        status = place.stat()
        assert (status.st_dev, status.st_ino) in synced, place


@pytest.mark.parametrize("nothing", ["", " ", Path(), None, 3, b"data", "a\0b"])
def test_a_directory_without_a_name_is_refused_before_anything_is_made(
    nothing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (SqliteStorage, inspect, lambda place: LocalCluster(3, storage=place)):
        with pytest.raises(ConfigError, match=r"must (name|be)"):
            use(nothing)
    assert not list(tmp_path.iterdir())


def test_an_empty_word_for_a_directory_is_refused_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", ""]) != WHOLE
    assert "is a variable not set?" in " ".join(capsys.readouterr().err.split())
