"""Traces in files: one line of JSON a record (``.jsonl``), or Parquet with the events as columns and the line beside.

A state is written as what changed in it, and its disk not at all: folding the commands gives it back. So files stay
small, and reading one replays every disk.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, fields, replace

from pyraft_lab.engine.commands import (
    Append,
    Command,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SaveVote,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.events import Event
from pyraft_lab.engine.state import Disk, RaftState, Step
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.extras import require
from pyraft_lab.trace.recorder import Flight, Kind, Record, Reply

FORMAT = "pyraft-lab trace 1"

Changed = msgspec.defstruct(
    "Changed",
    [(field.name, field.type | UnsetType, UNSET) for field in fields(RaftState) if field.name != "id"],
    kw_only=True,
    module=__name__,
)
"""The fields of a state that a step changed."""


class Line(Struct, kw_only=True, omit_defaults=True):
    """A record as it is written; ``before`` only where it does not follow from the lines above."""

    id: int
    time: float
    kind: Kind
    node: NodeId = 0
    cause: int | None = None
    peer: NodeId | None = None
    message: int | None = None
    sent: tuple[Flight, ...] = ()
    replies: tuple[Reply, ...] = ()
    detail: str = ""
    before: RaftState | None = None
    event: Event | None = None
    commands: tuple[Command, ...] = ()
    changed: Any = None


_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode = msgspec.json.Decoder(Line).decode


class Writer:
    """Makes lines of records; remembers each node's last state, so that only changes are written."""

    def __init__(self) -> None:
        self._last: dict[NodeId, RaftState] = {}

    def line(self, record: Record) -> bytes:
        """One record as JSON; the same record after the same ones gives the same bytes in any process."""
        line = Line(
            id=record.id,
            time=record.time,
            kind=record.kind,
            node=record.node,
            cause=record.cause,
            peer=record.peer,
            message=record.message,
            sent=record.sent,
            replies=record.replies,
            detail=record.detail,
        )
        if record.step is not None:
            self._add_step(line, record.step)
        return _encode(line)

    def _add_step(self, line: Line, step: Step) -> None:
        last = self._last.get(step.after.id)
        if last is not step.before and last != step.before:
            line.before = step.before
        self._last[step.after.id] = step.after
        line.event, line.commands, line.changed = step.event, step.commands, _difference(step)


class Reader:
    """Makes records of lines."""

    def __init__(self) -> None:
        self._last: dict[NodeId, RaftState] = {}

    def record(self, data: bytes | str) -> Record:
        """The record a line was made of."""
        line = _decode(data)
        return Record(
            id=line.id,
            time=line.time,
            kind=line.kind,
            node=line.node,
            cause=line.cause,
            step=None if line.event is None else self._step(line, line.event),
            peer=line.peer,
            message=line.message,
            sent=line.sent,
            replies=line.replies,
            detail=line.detail,
        )

    def _step(self, line: Line, event: Event) -> Step:
        before = line.before or self._last.get(line.node)
        if before is None:
            raise ValueError(f"nothing is known of node {line.node} before record {line.id}")
        changed = msgspec.convert(line.changed or {}, Changed)
        told = {name: value for name, value in asdict(changed).items() if value is not UNSET}
        after = replace(before, **({"disk": _folded(before.disk, line.commands)} | told))
        self._last[before.id] = after
        return Step(before=before, event=event, after=after, commands=line.commands)


def save(records: Iterable[Record], path: Path) -> Path:
    """Write records to a file whose suffix says how."""
    writer = Writer()
    lines = [writer.line(record) for record in records]
    if path.suffix == ".jsonl":
        path.write_bytes(b"\n".join([_encode({"format": FORMAT}), *lines]) + b"\n")
    elif path.suffix == ".parquet":
        _save_parquet(records, lines, path)
    else:
        raise _unknown_suffix(path)
    return path


def load(path: Path) -> list[Record]:
    """Read what :func:`save` wrote; ``PyraftError`` names the line that cannot be read."""
    if path.suffix not in (".jsonl", ".parquet"):
        raise _unknown_suffix(path)
    reader = Reader()
    records = []
    for number, line in _lines(path):
        try:
            records.append(reader.record(line))
        except (msgspec.DecodeError, ValueError) as error:
            raise PyraftError(f"{path}, line {number}: {error}; the trace is damaged or of another version") from error
    return records


def _lines(path: Path) -> Iterator[tuple[int, bytes | str]]:
    if path.suffix == ".parquet":
        require("pandas", "pyarrow")
        import pandas as pd

        yield from enumerate(pd.read_parquet(path, columns=["line"])["line"], 1)
        return
    with path.open("rb") as file:
        if FORMAT.encode() not in file.readline():
            raise PyraftError(f"{path} is no trace: its first line should name {FORMAT!r}")
        yield from enumerate(file, 2)


def _save_parquet(records: Iterable[Record], lines: list[bytes], path: Path) -> None:
    require("pandas", "pyarrow")
    from pyraft_lab.trace.frames import events

    events(list(records)).assign(line=[line.decode() for line in lines]).to_parquet(path)


def _unknown_suffix(path: Path) -> ConfigError:
    return ConfigError("path", str(path), "must end in .jsonl or .parquet")


def _difference(step: Step) -> Any:
    before, after = asdict(step.before), asdict(step.after)
    changed = {name: value for name, value in after.items() if name != "disk" and value != before[name]}
    if not _same(_folded(step.before.disk, step.commands), step.after.disk):
        changed["disk"] = step.after.disk
    return Changed(**changed)


def _folded(disk: Disk, commands: Iterable[Command]) -> Disk:
    """The disk after the storage commands among ``commands``."""
    for command in commands:
        match command:
            case SaveVote() | Append() | Truncate() | SaveSnapshot() | Purge() | WriteChunk() | InstallSnapshot():
                disk = disk.after(command)
            case _:
                pass
    return disk


def _same(folded: Disk, disk: Disk) -> bool:
    """Whether two disks agree, judged by their ends."""
    ends = ((one.vote, one.snapshot, one.log.start, one.log.last, one.log.weight) for one in (folded, disk))
    return len(set(ends)) == 1
