"""What no server remembers, and every promise of Raft is about: who ever led, what was ever committed (Figure 3)."""

from collections.abc import Iterable
from typing import NamedTuple, assert_never

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.local import Committed, Cut, Elected, Fact, Facts, Reign, Restored, Stopped, Truncated
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.types import ORIGIN, Index, LogId

ELECTION_SAFETY = "election safety"
LEADER_APPEND_ONLY = "leader append-only"
LOG_MATCHING = "log matching"
LEADER_COMPLETENESS = "leader completeness"
STATE_MACHINE_SAFETY = "state machine safety"
NOBODY_STOPS = "no server meets the impossible"


class Ghost(Struct, frozen=True, cache_hash=True):
    """The past, as far as promises go: every reign, and the longest committed log with the reign of each commit.

    ``start`` is where what is known begins: the entries up to it were committed and forgotten.
    """

    reigns: frozenset[Reign] = frozenset()
    committed: tuple[Entry, ...] = ()
    by: tuple[Reign, ...] = ()
    start: LogId = ORIGIN

    def id_at(self, index: Index) -> LogId | None:
        """What was committed at ``index``; ``None`` where nothing was, or it is forgotten."""
        place = index - self.start.index
        if place == 0:
            return self.start
        return self.committed[place - 1].id if 0 < place <= len(self.committed) else None


class Judgement(NamedTuple):
    """The past with what has just happened, and the promise that broke (empty: none)."""

    ghost: Ghost
    broken: str = ""


def judge(ghost: Ghost, facts: Facts, *, one_a_term: bool = True) -> Judgement:
    """Hold what a server did against the past; ``one_a_term`` says whether a term may have one leader only."""
    broken = ""
    for fact in facts:
        ghost, found = _judge(ghost, fact, one_a_term=one_a_term)
        broken = broken or found
    return Judgement(ghost, broken)


def _judge(ghost: Ghost, fact: Fact, *, one_a_term: bool) -> Judgement:
    match fact:
        case Elected():
            return _elected(ghost, fact, one_a_term=one_a_term)
        case Committed(reign, entries):
            return _committed(ghost, reign, entries)
        case Restored(last):
            forgotten = last.index < ghost.start.index
            return Judgement(ghost, "" if forgotten or ghost.id_at(last.index) == last else STATE_MACHINE_SAFETY)
        case Cut():
            return Judgement(ghost, LEADER_APPEND_ONLY)
        case Truncated():
            return Judgement(ghost)
        case Stopped():
            return Judgement(ghost, NOBODY_STOPS)
        case _:
            assert_never(fact)


def _elected(ghost: Ghost, elected: Elected, *, one_a_term: bool) -> Judgement:
    """One leader a term (§5.2), and it holds whatever was committed in earlier ones (§5.4)."""
    (term, node), log = elected.reign, elected.log
    rivals = {leader for led, leader in ghost.reigns if led == term} - {node}
    known = replace(ghost, reigns=ghost.reigns | {elected.reign})
    if one_a_term and rivals:
        return Judgement(known, ELECTION_SAFETY)
    earlier = (entry for entry, by in zip(ghost.committed, ghost.by, strict=True) if by < elected.reign)
    return Judgement(known, "" if _holds_all(log, earlier) else LEADER_COMPLETENESS)


def _holds_all(log: Log, entries: Iterable[Entry]) -> bool:
    return all(
        entry.index <= log.start.index or log.slice(entry.index, entry.index + 1) == (entry,) for entry in entries
    )


def _committed(ghost: Ghost, reign: Reign, entries: tuple[Entry, ...]) -> Judgement:
    """What is committed at an index is so for ever and everywhere (§5.4.3)."""
    first = ghost.start.index + 1
    known = ghost.committed[max(entries[0].index - first, 0) :] if entries else ()
    said = [entry for entry in entries if entry.index >= first]
    new = tuple(said[len(known) :])
    agrees = all(a == b for a, b in zip(known, said, strict=False))
    reign = max(reign, ghost.by[-1]) if ghost.by else reign
    longer = replace(ghost, committed=ghost.committed + new, by=ghost.by + (reign,) * len(new))
    return Judgement(longer, "" if agrees else STATE_MACHINE_SAFETY)


def logs_match(one: Log, other: Log) -> bool:
    """Log matching (§5.3): where two logs have an entry of the same leader, they are equal up to it."""
    first, last = max(one.first_index, other.first_index), min(one.last.index, other.last.index)
    mine, theirs = one.slice(first, last + 1), other.slice(first, last + 1)
    same = [a.id == b.id for a, b in zip(mine, theirs, strict=True)]
    agreed = max((place for place, equal in enumerate(same, 1) if equal), default=0)
    return mine[:agreed] == theirs[:agreed]
