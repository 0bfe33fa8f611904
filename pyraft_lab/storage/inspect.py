"""Show the contents of a node's data directory; only reads, so a running node is not disturbed."""

import argparse
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import assert_never

import msgspec
from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pyraft_lab.arguments import directory as as_directory
from pyraft_lab.command import unseal
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal, Payload, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.types import ORIGIN, LogId, Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Identity
from pyraft_lab.storage.database import NAME, Contents
from pyraft_lab.storage.directory import examine_directory

EXAMPLES = """examples:
  pyraft-lab inspect data/1                what node 1 keeps
  pyraft-lab inspect data/1 --entries 500  with more of its log
  pyraft-lab inspect data/1 --json         for programs

exit code: 0 where a node would start from it, 1 where something is damaged and it would refuse, 2 where there is
nothing yet and it would start as a new one"""


class Inspection(Struct, frozen=True, kw_only=True):
    """A directory's contents and their faults."""

    directory: str
    owner: Identity | None = None
    vote: Vote = Vote()
    start: LogId = ORIGIN
    entries: tuple[Entry, ...] = ()
    snapshot: SnapshotMeta | None = None
    unknown_files: tuple[str, ...] = ()
    """Snapshot files that nothing refers to; a start does not change them."""
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a node could start from the directory."""
        return not self.faults

    @property
    def last(self) -> LogId:
        """The log id of the log's end."""
        return self.entries[-1].id if self.entries else self.start

    @property
    def membership(self) -> Membership:
        """The last membership in the log, or the snapshot's."""
        stated = (one.payload.membership for one in reversed(self.entries) if isinstance(one.payload, Configuration))
        return next(stated, self.snapshot.membership if self.snapshot else Membership())

    def __str__(self) -> str:
        page = StringIO()
        Console(file=page, width=100, color_system=None).print(render(self))
        return page.getvalue()


def inspect(directory: str | Path) -> Inspection:
    """Read and check a node's directory; raises ``StorageFailed`` if it holds no node's data."""
    place = as_directory("directory", directory)
    found = examine_directory(place)
    if found.is_new:
        raise StorageFailed(f"{place} holds no node's data ({NAME} is not there)", "check the path")
    contents = found.contents
    return Inspection(
        directory=str(place),
        owner=found.owner,
        vote=contents.vote,
        start=contents.start,
        entries=contents.entries,
        snapshot=contents.snapshot,
        unknown_files=found.unknown_files,
        faults=found.faults or _start_faults(contents),
    )


def render(inspection: Inspection, *, entries: int = 20) -> RenderableType:
    """An inspection for ``rich`` to print, with at most ``entries`` log entries."""
    return Group(_summary(inspection), _log(inspection, entries), _verdict(inspection))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``pyraft-lab inspect``; returns the exit code (0 intact, 1 damaged, 2 nothing there)."""
    chosen = _parser().parse_args(arguments)
    try:
        inspection = inspect(chosen.directory)
    except StorageFailed as failure:
        Console(stderr=True).print(failure.what, style="red", highlight=False)
        return 2
    if chosen.json:
        Console().print_json(data=as_json(inspection))
    else:
        Console().print(render(inspection, entries=chosen.entries))
    return 0 if inspection.ok else 1


def as_json(inspection: Inspection) -> object:
    """An inspection as plain values for JSON, with bytes in base64."""
    facts = {"ok": inspection.ok, "membership": inspection.membership, "last": inspection.last}
    return msgspec.to_builtins(facts | msgspec.structs.asdict(inspection), str_keys=True)


def _start_faults(contents: Contents) -> tuple[str, ...]:
    """Why Raft would not start from the contents, for faults that checksums do not show, such as an old vote."""
    try:
        start(0, contents.disk, Config())
    except StorageFailed as failure:
        return (failure.what,)
    return ()


def _entries(text: str) -> int:
    """The number of entries to show, from a command line's text."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of entries: give a whole number from 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyraft-lab inspect",
        description="Print what a node keeps in its data directory, and verify it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", metavar="DIR", help="a node's data directory; the node may be running")
    parser.add_argument(
        "--entries", type=_entries, default=20, metavar="N", help="how many log entries to show (default 20)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def _summary(inspection: Inspection) -> Table:
    title = Text(f"node data in {inspection.directory}")
    table = Table(title=title, show_header=False, title_justify="left")
    for name, words in _facts(inspection):
        table.add_row(name, Text(words))
    return table


def _facts(inspection: Inspection) -> Iterator[tuple[str, str]]:
    vote, entries, members = inspection.vote, inspection.entries, inspection.membership
    span = f"{entries[0].index} to {entries[-1].index}" if entries else "none"
    yield "owner", str(inspection.owner or "not known: the next start says")
    yield "vote", f"{vote}  {_vote_in_words(vote)}"
    begins = f"it begins after {inspection.start}, " if inspection.start != ORIGIN else ""
    yield "log", f"{len(entries)} entries: {span}; {begins}ends with {inspection.last}"
    yield "snapshot", _snapshot_in_words(inspection.snapshot)
    yield "membership", f"{members}{' (joint)' if members.is_joint else ''}"
    if inspection.unknown_files:
        yield "left alone", f"{', '.join(inspection.unknown_files)}: nothing refers to it"


def _vote_in_words(vote: Vote) -> str:
    if not vote.node:
        return f"term {vote.term}, no vote given"
    return f"term {vote.term}, node {vote.node} leads" if vote.committed else f"term {vote.term}, given to {vote.node}"


def _snapshot_in_words(meta: SnapshotMeta | None) -> str:
    if meta is None:
        return "none"
    return f"up to {meta.last}, {meta.size:,} bytes, checksum {meta.checksum:08x}, members {meta.membership}"


def _log(inspection: Inspection, limit: int) -> Table:
    table = Table("index", "term", "leader", "kind", "bytes", "what", title="log", title_justify="left")
    for entry in _ends(inspection.entries, limit):
        if entry is None:
            table.add_row("…", "", "", "", "", f"{len(inspection.entries) - limit} more")
        else:
            id_, payload = entry.id, entry.payload
            kind, what = (
                type(payload).__name__.lower(),
                Text(_payload_in_words(payload), overflow="ellipsis", no_wrap=True),
            )
            table.add_row(str(id_.index), str(id_.term), f"N{id_.node}", kind, str(entry.size), what)
    return table


def _ends(entries: Sequence[Entry], limit: int) -> Iterator[Entry | None]:
    """The first and the last entries, with ``None`` for those between them."""
    if len(entries) <= limit:
        yield from entries
        return
    tail = (limit + 1) // 2
    yield from entries[: limit - tail]
    yield None
    yield from entries[len(entries) - tail :]


def _payload_in_words(payload: Payload) -> str:
    match payload:
        case Noop():
            return ""
        case Configuration(membership):
            return str(membership)
        case Normal(data):
            return _command_in_words(data)
        case _:
            assert_never(payload)


def _command_in_words(data: bytes) -> str:
    """A command as text: this library's commands are tables, other machines' bytes are shown unchanged."""
    try:
        value, _ = unseal(data)
    except ValueError:
        return repr(data)
    tables = value if isinstance(value, list) else [value]
    return ", ".join(map(repr, tables)) if tables and all(isinstance(one, dict) for one in tables) else repr(data)


def _verdict(inspection: Inspection) -> Text:
    if inspection.ok:
        return Text("whole: every checksum is right, no entry is missing", style="green")
    return Text("\n".join(("DAMAGED:", *(f"  {fault}" for fault in inspection.faults))), style="bold red")
