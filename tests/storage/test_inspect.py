"""What `pyraft-lab inspect` shows, and that it leaves no trace."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

import pyraft_lab
from pyraft_lab.cli import main
from pyraft_lab.command import encode
from pyraft_lab.engine.commands import Append, Purge, SaveSnapshot, SaveVote, StorageCommand
from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.database import NAME
from pyraft_lab.storage.inspect import inspect
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import append, snapshot

JOINT = Membership(configs=(frozenset({1, 2, 3}), frozenset({3, 4})))
COMMAND = encode({"op": "put", "key": "x", "value": 1}, client=7, serial=1)
DATA = b"the machine"
META = snapshot(4, DATA)
OLD = msgspec.msgpack.encode(Vote(1, 3))
STORY: tuple[StorageCommand, ...] = (
    SaveVote(Vote(2, 3, committed=True)),
    append(1, 4),
    SaveSnapshot(META),
    Append((Entry(LogId(2, 3, 5), Noop()), Entry(LogId(2, 3, 6), Configuration(JOINT)))),
    Append((Entry(LogId(2, 3, 7), Normal(COMMAND)), Entry(LogId(2, 3, 8), Normal(b"\xff raw")))),
    Purge(META.last),
)


async def tell(storage: SqliteStorage, commands: Iterable[StorageCommand]) -> None:
    await storage.load()
    await storage.put_snapshot(META, DATA)
    await storage.write(tuple(commands))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    async def fill() -> None:
        storage = SqliteStorage(tmp_path)
        await tell(storage, STORY)
        await storage.close()

    asyncio.run(fill())
    return tmp_path


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def change(directory: Path, sql: str) -> None:
    with closing(sqlite3.connect(directory / NAME, isolation_level=None)) as database:
        database.execute(sql)


def test_an_inspection_holds_what_is_stored(directory: Path) -> None:
    found = inspect(directory)
    assert (found.vote, found.start, found.last) == (Vote(2, 3, committed=True), META.last, LogId(2, 3, 8))
    assert (found.snapshot, found.membership) == (META, JOINT)
    assert found.ok


def test_it_reads_like_a_page(directory: Path) -> None:
    lines = "\n".join(" ".join(line.replace("│", " ").split()) for line in str(inspect(directory)).splitlines())
    for line in (
        "vote T2-N3 term 2, node 3 leads",
        "log 4 entries: 5 to 8; it begins after T1-N1.4, ends with T2-N3.8",
        "membership {1,2,3} + {3,4} (joint)",
        "5 2 N3 noop 0",
        "6 2 N3 configuration 0 {1,2,3} + {3,4}",
        f"7 2 N3 normal {len(COMMAND)} {{'op': 'put', 'key': 'x', 'value': 1}}",
        "8 2 N3 normal 5 b'\\xff raw'",
        "whole: every checksum is right, no entry is missing",
    ):
        assert line in lines


def test_the_command_says_whether_it_is_whole(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(directory)]) == 0
    assert "every checksum is right" in capsys.readouterr().out
    change(directory, "UPDATE entries SET body = x'00' WHERE place = 7")
    assert main(["inspect", str(directory)]) == 1
    assert "entry 7 has another checksum" in capsys.readouterr().out


def test_the_command_shows_a_long_log_by_its_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill() -> None:
        storage = SqliteStorage(tmp_path)
        await tell(storage, [SaveVote(Vote(1)), append(1, 500)])
        await storage.close()

    asyncio.run(fill())
    assert main(["inspect", str(tmp_path), "--entries", "4"]) == 0
    shown = capsys.readouterr().out
    assert "496 more" in shown
    assert "begins after" not in shown, "it begins where every log does"
    assert all(f"b'1:{index}'" in shown for index in (1, 2, 499, 500))
    assert "b'1:3'" not in shown


def test_the_command_speaks_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(directory), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["vote"] == [2, 3, True]
    assert [entry[0][2] for entry in found["entries"]] == [5, 6, 7, 8]


def test_nothing_to_inspect_is_said_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    assert f"{NAME} is not there" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(StorageFailed):
        inspect(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("DELETE FROM entries WHERE place = 6", "entry 6 is missing"),
        ("DELETE FROM facts WHERE name = 'vote'", "the row of vote is missing"),
        (f"UPDATE facts SET body = x'{OLD.hex()}', checksum = {crc32(OLD)} WHERE name = 'vote'", "later than the vote"),
        ("DROP TABLE facts", "no such table"),
    ],
)
def test_all_kinds_of_damage_are_shown(directory: Path, spoil: str, words: str) -> None:
    change(directory, spoil)
    found = inspect(directory)
    assert not found.ok
    assert any(words in fault for fault in found.faults)


def test_a_lost_snapshot_file_and_a_file_of_junk_are_damage(directory: Path) -> None:
    next(directory.glob("*.snapshot")).unlink()
    assert "is missing" in inspect(directory).faults[0]
    (directory / NAME).write_bytes(b"junk" * 999)
    assert "cannot be read" in inspect(directory).faults[0]


def test_looking_leaves_no_trace(directory: Path) -> None:
    before = contents(directory)
    inspect(directory)
    assert contents(directory) == before


async def test_a_running_node_may_be_inspected_and_goes_on(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    await tell(storage, STORY)
    assert inspect(tmp_path).last == LogId(2, 3, 8)
    await storage.write([append(9, 9, term=3), SaveVote(Vote(3, 1))])
    assert inspect(tmp_path).last == LogId(3, 1, 9)
    await storage.close()


def test_a_killed_nodes_directory_shows_all_it_acknowledged(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIE, tmp_path], env=ENVIRONMENT, check=True)
    assert (tmp_path / f"{NAME}-wal").stat().st_size
    assert inspect(tmp_path).last == LogId(1, 1, 5)


def test_a_wal_without_its_shm_is_read_and_no_file_appears(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIE, tmp_path], env=ENVIRONMENT, check=True)
    (tmp_path / f"{NAME}-shm").unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert inspect(tmp_path).last == LogId(1, 1, 5)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pyraft_lab.__file__).parents[1])}
DIE = """
import asyncio, os, sys
from pyraft_lab.engine.commands import SaveVote
from pyraft_lab.engine.types import Vote
from pyraft_lab.storage.sqlite import SqliteStorage
from pyraft_lab.storage.trial import append

async def main():
    storage = SqliteStorage(sys.argv[1])
    await storage.load()
    await storage.write([SaveVote(Vote(1, 1)), append(1, 5)])
    os._exit(0)

asyncio.run(main())
"""
