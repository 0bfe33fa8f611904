"""History variables as a value: the past that no server remembers, a part of every explored world (Figure 3)."""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.explore.leases import LeaseOver, Round, with_round
from pyraft_lab.check.explore.reads import FRESH_READS, LocalFact, LocalFacts, ReadAsked, ReadRefused, ReadServed
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.types import ORIGIN, Index, LogId, NodeId, Term
from pyraft_lab.sim.facts import Committed, Elected, LeaderId
from pyraft_lab.sim.safety import violations


class HistoryVariables(Struct, frozen=True, cache_hash=True):
    """The past that safety needs: every leader, the longest committed log, and the leader at each commit.

    ``start`` is the last unknown index: the entries up to it were committed and purged. ``reads`` are the requests that
    wait, each with the last index that was committed anywhere when it was asked. ``over`` are the last rounds whose
    leases are over, one of each leadership.
    """

    leaderships: frozenset[LeaderId] = frozenset()
    committed: tuple[Entry, ...] = ()
    by: tuple[LeaderId, ...] = ()
    start: LogId = ORIGIN
    reads: tuple[tuple[int, Index], ...] = ()
    over: frozenset[Round] = frozenset()

    # What the properties ask (sim.safety.Past)

    def leaders_of(self, term: Term) -> Collection[NodeId]:
        """The nodes that were elected in a term."""
        return [node for led, node in self.leaderships if led == term]

    def last_before(self, leader: LeaderId) -> Index:
        """The last index that earlier leaderships committed; 0 if they committed none."""
        count = bisect_left(self.by, leader)
        return self.start.index + count if count else 0

    def was_committed(self, last: LogId) -> bool:
        """Whether this entry is committed at its index; also true if the committed entry there is purged."""
        return last.index < self.start.index or self.id_at(last.index) == last

    def agrees(self, _node: NodeId, entries: Sequence[Entry]) -> bool:
        """Whether these entries are the committed ones; true where the committed entry is unknown."""
        return all(self._at(entry.index) in (None, entry) for entry in entries)

    def _at(self, index: Index) -> Entry | None:
        place = index - self.start.index
        return self.committed[place - 1] if 0 < place <= len(self.committed) else None

    def id_at(self, index: Index) -> LogId | None:
        """The id of the committed entry at ``index``; ``None`` if there is none, or if it is purged."""
        if index == self.start.index:
            return self.start
        entry = self._at(index)
        return None if entry is None else entry.id

    # What happens

    @property
    def last(self) -> Index:
        """The last index that was ever committed."""
        return self.start.index + len(self.committed)

    def after(self, fact: LocalFact) -> "HistoryVariables":
        """The past with one more fact."""
        match fact:
            case ReadAsked(request):
                return replace(self, reads=(*self.reads, (request, self.last)))
            case ReadServed(request=request) | ReadRefused(request):
                return replace(self, reads=tuple(read for read in self.reads if read[0] != request))
            case LeaseOver(round):
                return replace(self, over=with_round(self.over, round))
            case Elected(leader):
                return replace(self, leaderships=self.leaderships | {leader})
            case Committed(_, leader, entries):
                return self._commit(leader, entries)
            case _:
                return self

    def _commit(self, leader: LeaderId, entries: Sequence[Entry]) -> "HistoryVariables":
        new = tuple(entry for entry in entries if entry.index > self.last)
        leader = max(leader, self.by[-1]) if self.by else leader
        return replace(self, committed=self.committed + new, by=self.by + (leader,) * len(new))


class Judged(NamedTuple):
    """The past after a step, and the property that the step violates (empty: none)."""

    history: HistoryVariables
    broken: str = ""


def check_facts(history: HistoryVariables, facts: LocalFacts, *, one_a_term: bool = True) -> Judged:
    """Compare the facts of a step with the past; with ``one_a_term`` a term may have only one leader."""
    broken = ""
    for fact in facts:
        broken = broken or _violated(history, fact, one_a_term=one_a_term)
        history = history.after(fact)
    return Judged(history, broken)


def _violated(history: HistoryVariables, fact: LocalFact, *, one_a_term: bool) -> str:
    """The property that a fact violates; empty if it violates none."""
    match fact:
        case ReadServed(_, request, at):
            return FRESH_READS if any(one == request and at < upto for one, upto in history.reads) else ""
        case ReadAsked() | ReadRefused() | LeaseOver():
            return ""
        case _:
            return next((name for name, _ in violations(history, fact, one_a_term=one_a_term)), "")
