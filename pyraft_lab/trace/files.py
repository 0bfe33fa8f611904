"""Traces in files: one line of JSON a record (``.jsonl``), or Parquet with the events as columns and the line beside.

A state is written as what changed in it, and its disk not at all: folding the commands gives it back. So files stay
small, and reading one replays every disk. A reader knows rules that are not Raft's own by name only; what they decided
in each step, Parquet keeps in its column ``rule``.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import fields, replace

from pyraft_lab.arguments import from_json
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
from pyraft_lab.engine.consult import named_rules, names_of
from pyraft_lab.engine.events import Event
from pyraft_lab.engine.log import Log
from pyraft_lab.engine.rules import Rules
from pyraft_lab.engine.state import Disk, RaftState, Step
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.extras import require
from pyraft_lab.trace import given
from pyraft_lab.trace.annotate.table import LABELS
from pyraft_lab.trace.record import Flight, Kind, Record, Reply
from pyraft_lab.trace.sharing import Sharing, role_like, without_collector

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "pyraft-lab trace 2"
Labels = Sequence[str | None]
"""For each record the clause of Raft that decided it, as the column ``rule`` of the events."""

Changed = msgspec.defstruct(
    "Changed",
    [(field.name, field.type | UnsetType, UNSET) for field in fields(RaftState) if field.name != "id"],
    kw_only=True,
    module=__name__,
)
"""The fields of a state that a step changed; the others are ``UNSET``."""
_FIELDS = Changed.__struct_fields__
_NOTHING = Changed()


class Line(Struct, omit_defaults=True):
    """A record as it is written; ``before`` only where it does not follow from the lines above.

    ``rules`` are the names of the rules that are not Raft's own: beside each ``before``, and where they change.
    """

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
    changed: Changed | None = None  # type: ignore[valid-type]  # made of the fields of RaftState, above
    state: RaftState | None = None
    rules: dict[str, str] | None = None
    overdue: tuple[Timer, ...] = ()


_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode = msgspec.json.Decoder(Line).decode


class Writer:
    """Makes lines of records; remembers each node's last state and rules, so that only changes are written."""

    def __init__(self) -> None:
        self._last: dict[NodeId, RaftState] = {}
        self._rules: dict[NodeId, tuple[Rules | None, Mapping[str, str]]] = {}

    def line(self, record: Record) -> bytes:
        """One record as JSON; the same record after the same ones gives the same bytes in any process."""
        line = Line(  # in order and without names: msgspec looks each name up
            record.id,
            record.time,
            record.kind,
            record.node,
            record.cause,
            record.peer,
            record.message,
            record.sent,
            record.replies,
            record.detail,
            state=record.state,
        )
        if record.state is not None:
            self._last[record.node] = record.state
        if record.step is not None:
            self._add_step(line, record.step)
        return self._encode(line)

    def _encode(self, line: Line) -> bytes:
        return _encode(line)

    def _add_step(self, line: Line, step: Step) -> None:
        last = self._last.get(step.after.id)
        if last is not step.before and last != step.before:
            line.before = step.before
            self._rules.pop(step.after.id, None)  # a reader that starts here does not know the lines above
        self._last[step.after.id] = step.after
        line.event, line.commands, line.changed = step.event, step.commands, _difference(step)
        self._add_rules(line, step)

    def _add_rules(self, line: Line, step: Step) -> None:
        """Add the rules' names and the overdue timers, which explain the step to a reader without the run's rules."""
        line.overdue = step.overdue
        line.rules = self._new_rules(step)

    def _new_rules(self, step: Step) -> dict[str, str] | None:
        """The names of the step's rules, where they are others than before; a node begins with Raft's own."""
        rules, names = self._rules.get(step.after.id, (None, {}))
        if step.rules is rules:
            return None
        self._rules[step.after.id] = (step.rules, names_of(step.rules))
        found = self._rules[step.after.id][1]
        return None if found == names else dict(found)


class Fingerprints(Writer):
    """Lines for a digest: what happened, and not the names of the rules; so digests outlive a rule that is renamed."""

    def _add_rules(self, line: Line, step: Step) -> None:
        pass


class Reader:
    """Makes records of lines."""

    def __init__(self) -> None:
        self._last: dict[NodeId, RaftState] = {}
        self._rules: dict[NodeId, Rules | None] = {}
        self._sharing = Sharing()

    def record(self, data: bytes | str) -> Record:
        """The record a line was made of; ``ValueError`` where it does not follow from those above it."""
        try:
            return self._record(_decode(data))
        except (msgspec.MsgspecError, ValueError):
            raise
        except (AssertionError, ArithmeticError, LookupError, TypeError, RecursionError) as error:
            raise ValueError(f"it does not follow from the records above it ({error})") from error

    def log_of(self, node: NodeId) -> Log | None:
        """The log of a node after the records so far, if there were any."""
        last = self._last.get(node)
        return None if last is None else last.log

    def _record(self, line: Line) -> Record:
        if line.state is not None:
            self._last[line.node] = line.state
        flight = self._sharing.arrived(line.event, line.message)
        if flight is not None:
            line.message, line.cause = flight.id, flight.cause if line.cause == flight.cause else line.cause
        commands = self._sharing.commands(line.commands)
        sent = self._sharing.sent(line.sent, commands, (line.id, line.time, line.message))
        return Record(
            line.id,
            line.time,
            line.kind,
            line.node,
            line.cause,
            None if line.event is None else self._step(line, line.event, commands),
            line.peer,
            line.message,
            sent,
            line.replies,
            line.detail,
            line.state,
        )

    def _step(self, line: Line, event: Event, commands: tuple[Command, ...]) -> Step:
        before = line.before or self._last.get(line.node)
        if before is None:
            raise ValueError(f"nothing is known of node {line.node} before record {line.id}")
        after = self._changed(before, line, commands)
        self._last[before.id] = after
        if line.rules is not None or line.before is not None:
            self._rules[line.node] = named_rules(line.rules or {})
        event = self._sharing.event(event)
        return Step(before, event, after, commands, self._rules.get(line.node), line.overdue)

    def _changed(self, before: RaftState, line: Line, commands: tuple[Command, ...]) -> RaftState:
        """The state after a step: the one before, what the line says has changed, and the disk after its commands."""
        told: dict[str, Any] = {}
        if line.changed is not None and line.changed != _NOTHING:
            told = {name: value for name in _FIELDS if (value := getattr(line.changed, name)) is not UNSET}
            if "role" in told:
                told["role"] = role_like(before.role, told["role"])
            if "stored" in told:
                told["stored"] = self._sharing.known[told["stored"]]
        if "disk" not in told:
            disk = _folded(before.disk, commands)
            if disk.log is not before.disk.log:
                disk = replace(disk, log=self._sharing.log(disk.log))
            if disk is not before.disk:
                told["disk"] = disk
        return replace(before, **told) if told else before


class Saved(NamedTuple):
    """What a file holds: the records, and their labels if it holds those of all records."""

    records: list[Record]
    labels: Labels | None = None


def save(records: Sequence[Record], path: str | Path, events: Callable[[], "pd.DataFrame"]) -> Path:
    """Write records to a file whose suffix says how; ``events`` makes the frame of these records, for Parquet."""
    _check_kind(given.path_of(path))
    target = given.file_to_write(path)
    writer = Writer()
    try:
        with without_collector():
            _write([writer.line(record) for record in records], events, target)
    except OSError as error:
        raise PyraftError(f"{target} could not be written: {error.strerror or error}") from error
    return target


def _write(lines: list[bytes], events: Callable[[], "pd.DataFrame"], path: Path) -> None:
    about = About(format=FORMAT, records=len(lines), checksum=_checksum(lines))
    if path.suffix == ".parquet":
        _write_parquet(events(), lines, about, path)
    else:
        path.write_bytes(b"\n".join([_encode(about), *lines]) + b"\n")


def load(path: str | Path) -> Saved:
    """Read what :func:`save` wrote; ``PyraftError`` names the line that cannot be read."""
    _check_kind(given.path_of(path))
    with without_collector():
        return _loaded(given.file_to_read(path))


def _loaded(path: Path) -> Saved:
    reader = Reader()
    records = []
    about, lines, labels = _read_parquet(path) if path.suffix == ".parquet" else (*_read_lines(path), None)
    for number, line in enumerate(lines, 1 if path.suffix == ".parquet" else 2):
        try:
            records.append(reader.record(line))
        except (msgspec.MsgspecError, ValueError) as error:
            raise PyraftError(f"{path}, line {number}: {error}; the trace is damaged or of another version") from error
    _check_whole(path, about, lines)
    is_whole = labels is not None and about.labels == _checksum_of(labels) and {*labels} <= {None, *LABELS}
    return Saved(records, labels if is_whole else None)


class About(Struct, omit_defaults=True):
    """What a file says about itself; files of earlier versions do not contain the number of records.

    ``labels`` is the checksum of the labels: if they were changed, or one of another version is unknown, the records
    are explained again.
    """

    format: str = ""
    records: int | None = None
    checksum: int | None = None
    labels: int | None = None


def _read_lines(path: Path) -> tuple[About, list[bytes]]:
    first, *lines = path.read_bytes().split(b"\n")
    try:
        about = from_json(first, About)
    except msgspec.MsgspecError:
        about = About()
    if about.format != FORMAT:
        raise PyraftError(f"{path} is not a trace file: its first line should name {FORMAT!r}")
    return about, lines if not lines or lines[-1] else lines[:-1]


def _check_whole(path: Path, about: About, lines: list[bytes]) -> None:
    if about.records not in (None, len(lines)):
        raise PyraftError(f"{path} is damaged: it should hold {about.records} records, and holds {len(lines)}")
    if about.checksum not in (None, _checksum(lines)):
        raise PyraftError(f"{path} is damaged: its checksum is wrong")


def _checksum(lines: Iterable[bytes]) -> int:
    checksum = 0
    for line in lines:
        checksum = zlib.crc32(line, checksum)
    return checksum


def _checksum_of(labels: Labels) -> int:
    return zlib.crc32("\n".join([label or "" for label in labels]).encode())


def _read_parquet(path: Path) -> tuple[About, list[bytes], Labels | None]:
    """What the file says about itself, the lines, and the labels; by Arrow, which is quicker here than pandas."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=["line", "rule"])
        lines = table["line"].cast(pa.binary()).to_pylist()
        attrs = from_json((table.schema.metadata or {}).get(b"PANDAS_ATTRS", b"{}"), dict[str, Any])
        about = msgspec.convert(attrs.get("trace", {}), About)
        labels = None if about.labels is None else table["rule"].cast(pa.string()).to_pylist()
        return about, lines, labels
    except (OSError, ValueError, KeyError, msgspec.MsgspecError) as error:  # Arrow's errors are of these kinds
        why = str(error).partition("\n")[0]
        raise PyraftError(
            f"{path} is not a trace file, or is damaged: it cannot be read as Parquet with lines ({why})"
        ) from error


def _write_parquet(events: "pd.DataFrame", lines: list[bytes], about: About, path: Path) -> None:
    labels = events["rule"].astype(object).where(events["rule"].notna(), None).tolist()
    frame = events.assign(line=[line.decode() for line in lines])
    frame.attrs["trace"] = msgspec.to_builtins(replace(about, labels=_checksum_of(labels)))
    frame.to_parquet(path)


def _check_kind(path: Path) -> None:
    """Check that the suffix is known and its packages are installed, before looking for the file itself."""
    if path.suffix not in (".jsonl", ".parquet"):
        raise ConfigError("path", str(path), "must end in .jsonl or .parquet")
    if path.suffix == ".parquet":
        require("pandas", "pyarrow")


_MEMORY = tuple(field.name for field in fields(RaftState) if field.name not in ("id", "disk"))
"""The fields of a state that its disk does not give back."""


def _difference(step: Step) -> Any:
    before, after = step.before, step.after
    if before is after and not step.commands:
        return Changed()
    changed = {name: value for name in _MEMORY if (value := getattr(after, name)) != getattr(before, name)}
    if not _same(_folded(step.before.disk, step.commands), step.after.disk):
        changed["disk"] = step.after.disk
    return Changed(**changed)


def _folded(disk: Disk, commands: Iterable[Command]) -> Disk:
    """The disk after the storage commands among ``commands``."""
    for command in commands:
        if type(command) in _STORED:  # by type: a match takes ten times as long to say no
            match command:
                case SaveVote() | Append() | Truncate() | SaveSnapshot() | Purge() | WriteChunk() | InstallSnapshot():
                    disk = disk.after(command)
                case _:
                    pass
    return disk


_STORED = frozenset({SaveVote, Append, Truncate, SaveSnapshot, Purge, WriteChunk, InstallSnapshot})


def _same(folded: Disk, disk: Disk) -> bool:
    """Whether two disks agree, judged by their ends."""
    return folded is disk or _ends(folded) == _ends(disk)


def _ends(disk: Disk) -> tuple[object, ...]:
    return disk.vote, disk.snapshot, disk.log.start, disk.log.last, disk.log.byte_size
