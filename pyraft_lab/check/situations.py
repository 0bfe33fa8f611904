"""Situations: which of Raft's clauses, faults and rare combinations a run reached; what it never met is not tested.

>>> len(SITUATIONS) > 120, SITUATIONS["snapshot installed"].chapter
(True, 'snapshots')
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from pyraft_lab.engine.commands import InstallSnapshot, SaveSnapshot
from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.messages import AppendAccepted, HeartbeatResponse, SnapshotRequest
from pyraft_lab.engine.state import Leader, RaftState, Step
from pyraft_lab.trace.annotate.table import RULES, remarks
from pyraft_lab.trace.record import Kind, Record

SAMPLES = 12
"""Steps of one shape that are looked at; steps of the same shape rarely differ in what they reach."""


class Situation(Struct, frozen=True, kw_only=True):
    """Something that a run may reach: its name, where it is described, and the chapter of a draw that leads there."""

    name: str
    section: str = ""
    meaning: str = ""
    chapter: str = ""


CHAPTER_OF = {
    "election": "elections",
    "replication": "replication",
    "compaction": "snapshots",
    "reconfiguration": "membership",
    "requests": "transfers",
    "startup": "disks",
    "engine": "disks",
}
"""The chapter that leads to what a module of the engine decides."""
_OF_WORDS = {"read": "leases", "lease": "leases", "snapshot": "snapshots", "purge": "snapshots", "joint": "membership",
             "member": "membership", "learner": "membership", "log revert": "membership", "lost": "membership",
             "transfer": "transfers"}  # fmt: skip


def _chapter(label: str, decided_by: str) -> str:
    named = next((chapter for word, chapter in _OF_WORDS.items() if word in label), None)
    return named or CHAPTER_OF.get(decided_by.split(".", maxsplit=1)[0], "replication")


_WRONG = "a right Raft never reaches it"
_LOST = "the disk of a member is never destroyed, since Raft does not promise to survive that"
_UNASKED = "no client or operator of a campaign asks for it"
NOT_LOOKED_FOR: Mapping[str, str] = {
    **dict.fromkeys(
        ("halted", "halt: committed entry contradicted", "halt: snapshot contradicts commit", "snapshot damaged",
         "snapshot of a later leadership", "malformed message ignored"), _WRONG
    ),
    **dict.fromkeys(
        ("vote of a lost disk", "heartbeat refused: log lost", "follower lost its log", "lost log permitted",
         "log revert allowed", "log revert refused"), _LOST
    ),
    **dict.fromkeys(
        ("settings changed", "refused: another leadership", "change refused: precondition", "change refused: no voters",
         "campaign withheld: switched off"), _UNASKED
    ),
    "unreachable peer waits": "simulated networks do not report it",
}  # fmt: skip
"""Clauses that no campaign looks for, and why."""
IMPOSSIBLE = frozenset(name for name, why in NOT_LOOKED_FOR.items() if why == _WRONG)
"""Clauses that a right Raft never reaches: a campaign that comes to one has found a mistake."""

FAULTS: Mapping[Kind, tuple[str, str]] = {
    Kind.CRASH: ("a server crashes", "disks"),
    Kind.RESTART: ("a server restarts", "disks"),
    Kind.WIPE: ("a removed server loses its disk", "membership"),
    Kind.PAUSE: ("a server or the network pauses", "clocks"),
    Kind.DRIFT: ("a clock is wrong", "clocks"),
    Kind.DISK: ("a disk is slow or full", "disks"),
    Kind.PARTITION: ("the network is partitioned", "replication"),
    Kind.CUT: ("a link is cut in one direction", "replication"),
    Kind.DELAY: ("a message arrives very late", "replication"),
    Kind.DUPLICATE: ("a message is duplicated by hand", "replication"),
    Kind.WEATHER: ("the weather changes", "replication"),
    Kind.JOIN: ("a new server starts", "membership"),
}
"""What happens from outside, by the kind of its record."""


def _over_conflict(before: RaftState, meta: SnapshotMeta) -> bool:
    return before.log.last.index > meta.last.index and not before.log.has(meta.last)


def _under_suffix(before: RaftState, meta: SnapshotMeta) -> bool:
    return before.log.last.index > meta.last.index and before.log.has(meta.last)


def _elected(step: Step) -> bool:
    return isinstance(step.after.role, Leader) and not isinstance(step.before.role, Leader)


def _is_other_snapshot(step: Step) -> bool:
    """Whether a chunk arrives of another snapshot than the one that is incomplete."""
    arriving, event = step.before.incoming, step.event
    return (
        isinstance(event, Receive)
        and isinstance(event.message, SnapshotRequest)
        and arriving is not None
        and arriving.offset > 0
        and arriving.meta != event.message.meta
    )


def _is_old_answer(step: Step) -> bool:
    """Whether a leader gets an answer to an earlier leadership of its own."""
    event = step.event
    return (
        isinstance(event, Receive)
        and isinstance(event.message, (AppendAccepted, HeartbeatResponse))
        and isinstance(step.before.role, Leader)
        and event.message.vote < step.before.vote
        and event.message.vote.node == step.before.id
    )


def _metas(step: Step, kind: type[InstallSnapshot] | type[SaveSnapshot]) -> Iterator[SnapshotMeta]:
    return (one.meta for one in step.commands if isinstance(one, kind))


COMBINED: Mapping[str, tuple[str, str, Callable[[Step], bool]]] = {
    "snapshot installed over another leader's entries": (
        "§7", "snapshots",
        lambda step: any(_over_conflict(step.before, meta) for meta in _metas(step, InstallSnapshot)),
    ),
    "snapshot installed before entries that stay": (
        "§7", "snapshots",
        lambda step: any(_under_suffix(step.before, meta) for meta in _metas(step, InstallSnapshot)),
    ),
    "another snapshot arrives before the first is complete": (
        "§7", "snapshots", _is_other_snapshot,
    ),
    "an answer to an earlier leadership arrives": ("§5.1", "elections", _is_old_answer),
    "snapshot of a joint membership": (
        "§6, §7", "snapshots", lambda step: any(meta.membership.is_joint for meta in _metas(step, SaveSnapshot)),
    ),
    "elected while joint": ("§6", "membership", lambda step: _elected(step) and step.after.membership.is_joint),
    "elected with uncommitted entries of earlier terms": (
        "§5.4.2", "elections", lambda step: _elected(step) and step.before.committed < step.before.log.last.index,
    ),
    "commit of a leader that is no voter": (
        "dissertation §4.2.2", "membership",
        lambda step: isinstance(step.after.role, Leader) and step.after.committed > step.before.committed
        and step.after.id not in step.after.membership.voters,
    ),
    "a leader alone": (
        "", "membership",
        lambda step: _elected(step) and step.after.is_alone,
    ),
    "deposed with uncommitted entries": (
        "§5.3", "elections",
        lambda step: isinstance(step.before.role, Leader) and not isinstance(step.after.role, Leader)
        and step.after.committed < step.after.log.last.index,
    ),
}  # fmt: skip
"""Combinations that no single clause names: where they are described, their chapter, and how they are recognised."""

SITUATIONS: Mapping[str, Situation] = {
    one.name: one
    for one in (
        *(
            Situation(name=rule.label, section=rule.section, meaning=rule.meaning,
                      chapter=_chapter(rule.label, rule.decided_by.removeprefix("rules.")))
            for rule in RULES.values()
            if rule.label not in NOT_LOOKED_FOR
        ),
        *(Situation(name=name, section=section, chapter=chapter) for name, (section, chapter, _) in COMBINED.items()),
        *(Situation(name=name, chapter=chapter) for name, chapter in FAULTS.values()),
    )
}  # fmt: skip
"""All situations that a campaign looks for, by name."""


class Reached:
    """An observer that notes the situations of a run."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._shapes: dict[tuple[object, ...], int] = {}

    def __call__(self, record: Record) -> None:
        """Note what one more record reaches."""
        if record.kind in FAULTS:
            self.names.add(FAULTS[record.kind][0])
        if record.step is not None and self._is_new(record.step):
            self.names.update(remark.rule.label for remark in remarks(record.step))
            self.names.update(name for name, (_, _, suits) in COMBINED.items() if suits(record.step))

    def _is_new(self, step: Step) -> bool:
        """Whether few steps of this shape were looked at."""
        shape = _shape(step)
        seen = self._shapes.get(shape, 0)
        self._shapes[shape] = seen + 1
        return seen < SAMPLES

    @property
    def situations(self) -> tuple[str, ...]:
        """The names of the situations reached, in the order of the table."""
        return tuple(name for name in SITUATIONS if name in self.names)


def _shape(step: Step) -> tuple[object, ...]:
    event = step.event
    received = type(event.message) if isinstance(event, Receive) else None
    commands: Sequence[object] = tuple(sorted({type(command).__name__ for command in step.commands}))
    before, after = step.before, step.after
    return (
        *(type(event), received, type(before.role), type(after.role), commands),
        *(before.term == after.term, before.membership is after.membership, before.committed == after.committed),
        before.membership.is_joint,
    )
