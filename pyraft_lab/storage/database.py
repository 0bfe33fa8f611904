"""A node's disk as two SQLite tables with a checksum in every row.

``facts`` holds ``vote``, ``start`` (the last purged log id), ``last`` (the log's end), ``snapshot`` (its metadata),
``superseded`` (snapshots whose files may still exist) and ``owner`` (the database's node); ``entries`` holds one row
per index. ``PRAGMA user_version`` numbers this layout, so that a later one is refused instead of misread. The first
layout had no ``last`` and ``owner``, and the other facts only after their first write.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, assert_never
from zlib import crc32

import msgspec
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
from pyraft_lab.engine.types import ORIGIN, Index, LogId, Vote
from pyraft_lab.storage.base import Identity
from pyraft_lab.storage.snapshots import sync_directory

NAME = "raft.db"
"""The database's file in a node's directory."""
PART = f"{NAME}.part"
"""The file's name while it is being created."""
APPLICATION = 0x52414654
"""The id "RAFT" in the file's header, which distinguishes it from other programs' databases."""
FORMAT = 2
"""The number of the layout that this version writes."""
ALWAYS = ("vote", "start", "last")
"""The facts that must exist in every database."""
SCHEMA = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE entries (place INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL)",
    f"PRAGMA application_id = {APPLICATION}",
)

UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""The errors of a damaged database; the second one if SQLite quotes damaged text in its message."""

T = TypeVar("T")
Row = tuple[bytes, int]


class Contents(Struct, frozen=True, kw_only=True):
    """The contents of a database; ``faults`` lists its damage and is empty if every checksum is right."""

    vote: Vote = Vote()
    start: LogId = ORIGIN
    snapshot: SnapshotMeta | None = None
    superseded: tuple[SnapshotMeta, ...] = ()
    owner: Identity | None = None
    entries: tuple[Entry, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def snapshots(self) -> tuple[SnapshotMeta, ...]:
        """The snapshots whose files belong to this database."""
        return (*((self.snapshot,) if self.snapshot else ()), *self.superseded)

    @property
    def disk(self) -> Disk:
        """The contents as a ``Disk``; only valid without faults."""
        log = Log(start=self.start, last=self.start).append(self.entries)
        return Disk(vote=self.vote, log=log, snapshot=self.snapshot)


def create(directory: Path, owner: Identity | None) -> None:
    """Create an empty database; it gets its final name only when it is complete and synced."""
    part = directory / PART
    for left in (part, part.with_name(f"{PART}-journal")):
        left.unlink(missing_ok=True)
    with closing(sqlite3.connect(part, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = FULL")
        for statement in SCHEMA:
            database.execute(statement)
        settle(database, Contents(), owner)
    part.replace(directory / NAME)
    sync_directory(directory)


def connect(directory: Path) -> sqlite3.Connection:
    """Open a node's database for writing; every commit is synced when it returns."""
    database = sqlite3.connect(
        f"{(directory / NAME).absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=5
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA fullfsync = ON")  # macOS: through the drive's own cache as well
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def open_to_read(directory: Path) -> Iterator[sqlite3.Connection]:
    """Open a node's database for reading without creating files in its directory, whether or not a node is using it.

    SQLite reads a write-ahead log only through a ``-shm`` file. Where that is missing, no node is using the database,
    and a copy is read.
    """
    wal, shared = (directory / f"{NAME}-{part}" for part in ("wal", "shm"))
    if wal.exists() and not shared.exists():
        with TemporaryDirectory() as copies:
            for path in (directory / NAME, wal):
                copyfile(path, Path(copies, path.name))
            with closing(_connect_to_read(Path(copies), "mode=ro")) as database:
                yield database
    else:
        with closing(_connect_to_read(directory, "mode=ro" if wal.exists() else "immutable=1")) as database:
            yield database


def _connect_to_read(directory: Path, mode: str) -> sqlite3.Connection:
    uri = (directory / NAME).absolute().as_uri()
    return sqlite3.connect(f"{uri}?{mode}", uri=True, isolation_level=None, timeout=5)


def layout_fault(database: sqlite3.Connection) -> str | None:
    """Why the database cannot be read: it is another program's or of a later version; ``None`` if it can."""
    if _pragma(database, "application_id") != APPLICATION:
        return f"{NAME} is not a node's database"
    found = _pragma(database, "user_version")
    if found > FORMAT:
        return f"{NAME} has format {found} and this version reads up to {FORMAT}: use a newer one"
    return None


def settle(database: sqlite3.Connection, found: Contents, owner: Identity | None) -> None:
    """Convert an examined database to the present layout, and store its owner."""
    if _pragma(database, "user_version") == FORMAT and owner == found.owner:
        return
    with transaction(database):
        for name, value in zip(ALWAYS, (found.vote, found.start, found.disk.log.last), strict=True):
            save_fact(database, name, value)
        if owner is not None:
            save_fact(database, "owner", owner)
        database.execute(f"PRAGMA user_version = {FORMAT}")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """A context in which all changes are committed together, or none if it raises."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def carry_out(database: sqlite3.Connection, command: StorageCommand, after: Disk) -> None:
    """Update the tables for a command; ``after`` is the disk after it."""
    match command:
        case SaveVote(vote):
            save_fact(database, "vote", vote)
        case Append(entries):
            rows = ((entry.index, *_row(entry)) for entry in entries)
            database.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        case Truncate():
            _cut(database, after.log)
        case Purge():
            _cut(database, after.log)
            save_fact(database, "start", after.log.start)
        case SaveSnapshot(meta):
            save_fact(database, "snapshot", meta)
        case InstallSnapshot(meta):
            _cut(database, after.log)
            save_fact(database, "start", after.log.start)
            save_fact(database, "snapshot", meta)
        case WriteChunk():
            pass  # chunks are collected in a file until the snapshot is complete
        case _:
            assert_never(command)


def examine(database: sqlite3.Connection) -> Contents:
    """Read and check the whole database: pages, checksums, indexes, order."""
    faults: list[str] = []
    try:
        faults += (str(row[0]) for row in database.execute("PRAGMA quick_check") if row[0] != "ok")
        return _contents(database, faults)
    except UNREADABLE as error:
        return Contents(faults=(*faults, str(error)))


def _contents(database: sqlite3.Connection, faults: list[str]) -> Contents:
    facts: dict[str, Row] = {name: (body, sum_) for name, body, sum_ in database.execute("SELECT * FROM facts")}
    start = _fact(facts, "start", LogId, faults) or ORIGIN
    snapshot = _fact(facts, "snapshot", SnapshotMeta, faults)
    if start.index > (snapshot.last.index if snapshot else 0):
        faults.append(f"the log begins after {start}, and no snapshot covers the entries before that")
    vote = _fact(facts, "vote", Vote, faults) or Vote()
    entries = tuple(_entries(database, start, faults))
    last = entries[-1].id if entries else start
    if snapshot and snapshot.last.index > last.index:
        faults.append(_missing(last.index + 1, snapshot.last.index))
    elif _pragma(database, "user_version") > 1:
        faults += _lost(facts, _fact(facts, "last", LogId, faults) or last, last)
    return Contents(
        vote=vote,
        start=start,
        snapshot=snapshot,
        superseded=_fact(facts, "superseded", tuple[SnapshotMeta, ...], faults) or (),
        owner=_fact(facts, "owner", Identity, faults),
        entries=entries,
        faults=tuple(faults),
    )


def _lost(facts: Mapping[str, Row], due: LogId, last: LogId) -> Iterable[str]:
    """Faults of missing rows, and of a log that ends elsewhere than its last write says."""
    missing = [name for name in ALWAYS if name not in facts]
    if missing:
        yield f"the row of {', '.join(missing)} is missing"
    if due.index > last.index:
        yield _missing(last.index + 1, due.index)
    elif due != last:
        yield f"the log ends with {last} and should end with {due}"


def _fact(facts: dict[str, Row], name: str, kind: type[T], faults: list[str]) -> T | None:
    return _read(name, facts[name], kind, faults) if name in facts else None


def _entries(database: sqlite3.Connection, start: LogId, faults: list[str]) -> Iterator[Entry]:
    """Every readable entry; gaps and wrong indexes or terms are added to ``faults``."""
    before = start
    for place, *row in database.execute("SELECT place, body, checksum FROM entries ORDER BY place"):
        if place > before.index + 1:
            faults.append(_missing(before.index + 1, place - 1))
        entry = _read(f"entry {place}", (row[0], row[1]), Entry, faults)
        if entry is not None:
            faults += _misplaced(place, entry, before)
            yield entry
        before = LogId(*(entry.id.leader if entry else before.leader), place)


def _missing(first: Index, last: Index) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _misplaced(place: Index, entry: Entry, before: LogId) -> Iterable[str]:
    if entry.index != place:
        yield f"entry {place} says it is {entry.id}"
    if place <= before.index:
        yield f"entry {place} should have been purged: the log begins after {before}"
    if entry.id.leader < before.leader:
        yield f"entry {entry.id} follows the later term of {before}"


def _read(what: str, row: tuple[object, int], kind: type[T], faults: list[str]) -> T | None:
    """The value of a row; ``None``, and one more fault, if it is damaged."""
    body, checksum = row
    if not isinstance(body, bytes) or crc32(body) != checksum:
        faults.append(f"{what} has another checksum than it should")
        return None
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        faults.append(f"{what} cannot be read: {error}")
        return None


def _row(value: object) -> Row:
    body = msgspec.msgpack.encode(value)
    return body, crc32(body)


def save_fact(database: sqlite3.Connection, name: str, value: object) -> None:
    """Write one fact with its checksum."""
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (name, *_row(value)))


def _cut(database: sqlite3.Connection, log: Log) -> None:
    """Delete the rows of entries that are no longer in the log."""
    database.execute("DELETE FROM entries WHERE place < ? OR place > ?", (log.first_index, log.last.index))


def _pragma(database: sqlite3.Connection, name: str) -> int:
    value: Any = database.execute(f"PRAGMA {name}").fetchone()[0]
    return int(value)
