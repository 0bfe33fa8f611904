"""The timeline of a whole run: bands for leaderships, marks for important events."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from pyraft_lab.engine.commands import Append, InstallSnapshot, SaveSnapshot
from pyraft_lab.engine.events import ChangeMembership, Propose
from pyraft_lab.engine.log import Configuration, Entry
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, Step
from pyraft_lab.engine.types import NodeId, Vote
from pyraft_lab.lab.wire import Band, ElectedBy, Mark
from pyraft_lab.trace.record import AWAY, Kind, Record
from pyraft_lab.trace.text import content, server, span

FAULTS = {
    Kind.CRASH: "{who} crashes",
    Kind.WIPE: "{who} loses its disk",
    Kind.RESTART: "{who} restarts",
    Kind.PAUSE: "{who} paused",
    Kind.RESUME: "{who} resumes",
    Kind.SILENT: "{who} no longer heard from",
    Kind.HEARD: "{who} heard from again",
    Kind.GAP: "{who}: {detail}",
    Kind.PARTITION: "partition {detail}",
    Kind.CUT: "{who} → {peer} cut",
    Kind.HEAL: "network healed",
    Kind.DROP: "message dropped",
    Kind.DUPLICATE: "message duplicated",
    Kind.DELAY: "message delayed",
    Kind.DRIFT: "{who}: {detail}",
    Kind.JOIN: "{who} joins",
}


class Tape:
    """Grows with the run: hand it every record once, in order.

    ``terms`` is by term and leader, such as ``"3.1"``.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.bands: list[Band] = []
        self.marks: list[Mark] = []
        self.terms: dict[str, ElectedBy] = {}
        self._leading: dict[NodeId, Vote] = {}
        for record in records:
            self.add_record(record)

    def copy(self) -> "Tape":
        """A tape of its own with the same past."""
        twin = Tape()
        twin.bands, twin.marks, twin.terms = list(self.bands), list(self.marks), dict(self.terms)
        twin._leading = dict(self._leading)
        return twin

    def later(self, events: int, time: float) -> "Tape":
        """A tape without the first ``events``, renumbered; it begins at ``time``."""
        twin = self.copy()
        at = max((place for place, band in enumerate(self.bands) if band.event <= events), default=0)
        twin.bands = [
            replace(band, event=max(0, band.event - events), time=max(time, band.time)) for band in self.bands[at:]
        ]
        twin.marks = [replace(mark, event=mark.event - events) for mark in self.marks if mark.event >= events]
        return twin

    def add_record(self, record: Record) -> None:
        """Extend the band of leaders by a record, and mark what is worth a glance in it."""
        self._lead(record)
        self.marks.extend(Mark(record.id, record.time, kind, record.node, words) for kind, words in marks(record))

    def _lead(self, record: Record) -> None:
        after = record.after
        if after is not None and isinstance(after.role, Leader):
            if self.bands and self._leading.get(record.node) == after.vote:
                return
            self._leading[record.node] = after.vote
            if record.step is not None:
                self._elected(record.step)
        elif record.node in self._leading and (after is not None or record.kind in AWAY):
            del self._leading[record.node]
        elif self.bands:
            return
        newest = max(self._leading.values(), default=Vote())
        last = self.bands[-1] if self.bands else None
        if last is None or (last.term, last.leader) != (newest.term, newest.node):
            self.bands.append(Band(record.id, record.time, newest.term, newest.node))

    def _elected(self, step: Step) -> None:
        before = step.before.role
        if isinstance(before, Candidate):
            voters = {*before.granted, step.after.id, *_newest_voter(step)}
            sets = tuple(tuple(sorted(config)) for config in step.before.membership.configs)
            self.terms[f"{step.after.term}.{step.after.id}"] = ElectedBy(yes=tuple(sorted(voters)), sets=sets)


def _newest_voter(step: Step) -> Iterator[NodeId]:
    src = getattr(step.event, "src", None)
    if isinstance(src, int):
        yield src


def marks(record: Record) -> Iterator[tuple[str, str]]:
    """The important events in a record: kind and text."""
    if record.step is not None:
        yield from _of_step(record.step)
    if record.kind in FAULTS and record.kind is not Kind.RESTART:
        yield str(record.kind), _words(record)
    if record.kind is Kind.RESTART:
        yield "restart", _words(record)


def _words(record: Record) -> str:
    who, peer = server(record.node), server(record.peer or 0)
    return FAULTS[record.kind].format(who=who, peer=peer, detail=record.detail)


def _of_step(step: Step) -> Iterator[tuple[str, str]]:
    if type(step.before.role) is not type(step.after.role):
        yield from _new_role(step)
    for command in step.commands:
        match command:
            case Append(entries) if isinstance(step.after.role, Leader):
                yield from _written(step, entries)
            case SaveSnapshot():
                yield "snapshot", f"{server(step.after.id)} snapshot"
            case InstallSnapshot():
                yield "snapshot", f"snapshot → {server(step.after.id)}"
            case _:
                pass
    if step.after.committed > step.before.committed and isinstance(step.after.role, Leader):
        yield "commit", f"{span(step.before.committed + 1, step.after.committed)} committed"


def _new_role(step: Step) -> Iterator[tuple[str, str]]:
    who = server(step.after.id)
    match step.after.role:
        case Leader():
            yield "election", f"{who} elected"
        case PreCandidate():
            yield "timeout", f"{who} times out"
        case Candidate() if not isinstance(step.before.role, PreCandidate):
            yield "timeout", f"{who} campaigns"
        case _:
            pass


def _written(step: Step, entries: tuple[Entry, ...]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if isinstance(entry.payload, Configuration):
            yield "membership", "joint" if entry.payload.membership.is_joint else str(entry.payload.membership)
    if isinstance(step.event, Propose) and not isinstance(step.event, ChangeMembership):
        yield "write", content(entries)
