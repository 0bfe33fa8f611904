"""Examine a node's data directory before changing anything: it is new, intact, damaged, or another node's.

``inspect`` and the start of a node use the same function, so they agree on every directory. The files::

    raft.db            vote, log and snapshot metadata; raft.db-wal and raft.db-shm while it is in use
    T1-N1.4-….snapshot the bytes of the snapshot
    identity.json      the directory's node; also shows that raft.db existed before
    lock               held by the process that uses the directory
    first-start        exists from before the lock until raft.db is complete: an interrupted first start

If raft.db is missing or empty and another file exists, data was lost. A node that started as a new one would forget
its vote and acknowledged entries, so it refuses to start.

SQLite does not notice a raft.db-wal that was removed, emptied or damaged: it uses the state before it. A snapshot file
proves the loss if raft.db does not name it, and its term is later than the vote or its end is beyond the log. This is
not a false alarm after a crash: before a file gets its name, a separate transaction has stored the name in raft.db
(``Opened.write``). So a file that raft.db does not name was named by lost data, or came from elsewhere. Files are
listed before raft.db is read, so that this also holds while a node is writing.

Two losses cannot be detected: a directory that is missing or empty as a whole, and a lost raft.db-wal without such a
snapshot.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from pyraft_lab.arguments import from_json
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Identity, same_owner
from pyraft_lab.storage.database import NAME, UNREADABLE, Contents, examine, layout_fault, open_to_read
from pyraft_lab.storage.snapshots import fault_of, is_part, last_of, path_of, sync_directory

LOCK = "lock"
"""A file locked by the process that uses the directory; the system releases the lock when the process ends."""
IDENTITY = "identity.json"
"""A file that names the directory's node, readable for people and programs."""
FIRST_START = "first-start"
"""A file that exists while the first start is unfinished."""
ADVICE = (
    "nothing was changed; put back what is missing (pyraft-lab inspect shows what is there), "
    "or take the node out of its cluster and add it again with an empty directory"
)
"""The advice for a damaged directory."""
NO_DIRECTORY = "name a directory, an empty or a new one for a new node"
UNREADABLE_HERE = "let this user read it, or take another directory"


class DirectoryState(Struct, frozen=True, kw_only=True):
    """The state of a directory: new, or with contents; ``faults`` say why no node may start from it."""

    is_new: bool = False
    owner: Identity | None = None
    contents: Contents = Contents()
    unknown_files: tuple[str, ...] = ()
    """Snapshot files that the database does not name; nothing changes them."""
    faults: tuple[str, ...] = ()
    advice: str = ADVICE
    """The advice for the faults."""

    def admit(self, directory: Path, asked: Identity | None) -> Identity | None:
        """The owner from now on; raises ``WrongStorage`` or ``StorageFailed`` if ``asked`` may not use it."""
        owner = same_owner(str(directory), self.owner, asked)
        if self.faults:
            more = f" and {len(self.faults) - 3} more faults" if len(self.faults) > 3 else ""
            told = f"no node can start from {directory}: {'; '.join(self.faults[:3])}{more}"
            raise StorageFailed(told, self.advice)
        return owner


def examine_directory(directory: Path) -> DirectoryState:
    """Read and check everything in a directory; changes nothing."""
    seen = examine_names(directory)
    if seen.is_new or seen.faults:
        return seen
    try:
        strays = [path.name for path in directory.glob("*.snapshot")]  # before the database is read
        with open_to_read(directory) as database:
            unknown = layout_fault(database)
            if unknown is not None:
                return msgspec.structs.replace(seen, faults=(unknown,))
            database.execute("BEGIN")  # as of one moment, though a node may be writing
            return _examined(directory, seen, strays, examine(database))
    except (*UNREADABLE, OSError) as error:
        return msgspec.structs.replace(seen, faults=(f"{NAME} cannot be read: {error}",))


def examine_names(directory: Path) -> DirectoryState:
    """The state of a directory by its files' names and sizes only; does not read the database."""
    place = next((one for one in (directory, *directory.parents) if one.exists() or one.is_symlink()), directory)
    if not place.is_dir():
        return DirectoryState(faults=(f"{place} is a file and should be a directory",), advice=NO_DIRECTORY)
    if place != directory:
        return DirectoryState(is_new=True)
    try:
        names = sorted(path.name for path in directory.iterdir())
        owner = _read_identity(directory) if IDENTITY in names else None
    except OSError as error:
        return DirectoryState(faults=(f"it cannot be read: {error.strerror}",), advice=UNREADABLE_HERE)
    except msgspec.MsgspecError as error:
        return DirectoryState(faults=(f"{IDENTITY} cannot be read: {error}",))
    left = [name for name in names if _is_ours(name)]
    if NAME not in names:
        return _without_database(left, owner)
    return DirectoryState(owner=owner, faults=tuple(_file_fault(directory / NAME)))


def write_identity(directory: Path, identity: Identity) -> None:
    """Write the directory's owner to its identity file, atomically."""
    part = directory / f"{IDENTITY}.part"
    with part.open("wb") as file:
        file.write(msgspec.json.encode(identity))
        file.flush()
        os.fsync(file.fileno())
    part.replace(directory / IDENTITY)
    sync_directory(directory)


def make_directory(directory: Path) -> None:
    """Create a directory and its parents durably; each parent is synced too, since it holds the name."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(
            f"{directory} cannot be made: {error}", "let this user write there, or take another place"
        ) from error
    for place in (directory, *directory.absolute().parents):
        with suppress(OSError):  # one that this user may not read was not made by them
            sync_directory(place)


def check_writable(directory: Path) -> None:
    """Raise ``StorageFailed`` if the directory exists and this user may not change it."""
    effective = os.access in os.supports_effective_ids
    if directory.is_dir() and not os.access(directory, os.W_OK | os.X_OK, effective_ids=effective):
        raise StorageFailed(
            f"{directory}: Permission denied, it cannot be written", "let this user write there, or take another place"
        )


def _examined(directory: Path, seen: DirectoryState, files: Iterable[str], contents: Contents) -> DirectoryState:
    named = {path_of(directory, meta).name for meta in contents.snapshots}
    strays = tuple(sorted(set(files) - named))
    spoilt = fault_of(directory, contents.snapshot) if contents.snapshot else None
    mixed = tuple(_mixed(seen.owner, contents.owner))
    newer = () if contents.faults else _newer(strays, contents)
    faults = (*contents.faults, *([spoilt] if spoilt else []), *newer, *mixed)
    return DirectoryState(
        owner=seen.owner if mixed else contents.owner,
        contents=contents,
        unknown_files=strays,
        faults=faults,
    )


def _newer(strays: Iterable[str], contents: Contents) -> Iterator[str]:
    """Snapshots that the database should name and does not: what it knew of them is lost."""
    last = contents.disk.log.last
    for name in strays:
        term, index = last_of(name) or (0, 0)
        if term > contents.vote.term or index > last.index:
            yield (
                f"{name} is newer than {NAME}, which knows terms up to {contents.vote.term} and a log that ends with "
                f"{last}: {NAME} or {NAME}-wal has lost its latest changes, or the file is another node's"
            )


def _mixed(file: Identity | None, database: Identity | None) -> Iterator[str]:
    """Faults of a directory with files of two nodes."""
    if file is not None and (database is None or not file.is_also(database)):
        yield f"{NAME} belongs to {database or 'nobody'}, and {IDENTITY} says {file}: files of two nodes are mixed"


def _without_database(left: list[str], owner: Identity | None) -> DirectoryState:
    """The state of a directory without database: new, unless it has other files of a node."""
    if not left or (FIRST_START in left and set(left) <= {FIRST_START, LOCK}):
        return DirectoryState(is_new=True)
    return DirectoryState(owner=owner, faults=(f"{NAME} is missing, though {', '.join(left)} {_are(left)} here",))


def _file_fault(database: Path) -> Iterator[str]:
    if not database.is_file():
        yield f"{NAME} is no file"
    elif database.stat().st_size == 0:
        yield f"{NAME} is empty (0 bytes): its vote and its log are lost"


def _read_identity(directory: Path) -> Identity:
    return from_json((directory / IDENTITY).read_bytes(), Identity)


def _is_ours(name: str) -> bool:
    """Whether a file of this name was made by a node."""
    made = (IDENTITY, LOCK, FIRST_START, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal")
    return name in made or name.endswith(".snapshot") or is_part(name)


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
