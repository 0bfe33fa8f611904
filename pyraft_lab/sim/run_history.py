"""History variables of a run: the past that no single server remembers, but Raft's properties (Figure 3) refer to.

They record elections, votes and commits, each with its event, so that a fork of the simulation can drop
later ones. Logs are compared by chain ids: every distinct (chain before, entry) is
numbered once, so that two prefixes are equal exactly if their numbers are::

    entries   a     b     c          a     b     x
    chain     1 ──▶ 2 ──▶ 3          1 ──▶ 2 ──▶ 4
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from pyraft_lab.engine.commands import Append, InstallSnapshot, Truncate
from pyraft_lab.engine.events import Boot
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.state import Step
from pyraft_lab.engine.types import ORIGIN, Index, LogId, NodeId, Term, Vote
from pyraft_lab.sim.facts import Committed, Elected, Fact, LeaderId
from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import EventId

Chain = int
"""The id of a log prefix, unique within a run; 0 is the empty prefix."""


class Commit(NamedTuple):
    """A commit at an index: the chain id of the log up to it, its log id, the latest leader, and the event."""

    chain: Chain
    id: LogId | None
    leader: LeaderId
    event: EventId


class Chains:
    """The chain ids of one node's log, from its last purged index."""

    def __init__(self, start: Index, base: Chain) -> None:
        self.start, self.ids = start, [base]

    @property
    def last(self) -> Index:
        """The last index with a chain id."""
        return self.start + len(self.ids) - 1

    def at(self, index: Index) -> Chain | None:
        """The chain id of the prefix that ends at ``index``; ``None`` if it is unknown."""
        return self.ids[index - self.start] if self.start <= index <= self.last else None

    def cut(self, after: Index) -> None:
        """Drop the ids after index ``after``, where the log was truncated."""
        del self.ids[max(after - self.start, 0) + 1 :]


class RunHistory:
    """The past of one run that the safety properties need; the cost depends only on what each step changes."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[Chain, Entry], Chain] = {}
        self.leaders: dict[Term, dict[NodeId, EventId]] = {}
        self.votes: dict[tuple[NodeId, Term], tuple[Vote, EventId]] = {}
        self.seen: dict[tuple[Index, LeaderId], tuple[Chain, EventId]] = {}
        self.committed: list[Commit] = [Commit(0, ORIGIN, (0, 0), -1)]
        self.chains: dict[NodeId, Chains] = {}
        self.states: dict[Index, tuple[str, NodeId, EventId]] = {}

    # Queries of the properties (sim.safety.Past)

    def leaders_of(self, term: Term) -> Collection[NodeId]:
        """The nodes that were elected in a term."""
        return self.leaders.get(term, ())

    def last_before(self, leader: LeaderId) -> Index:
        """The last index that earlier leaderships committed; 0 if they committed none."""
        return bisect_left(self.committed, leader, key=lambda one: one.leader) - 1

    def was_committed(self, last: LogId) -> bool:
        """Whether this entry is committed at its index; also true if the committed id there is unknown."""
        return last.index < len(self.committed) and self.committed[last.index].id in (last, None)

    def agrees(self, node: NodeId, entries: Sequence[Entry]) -> bool:
        """Whether a node's log, which ends with these entries, is the committed one; true if that is unknown."""
        if not entries:
            return True
        index = min(entries[-1].index, len(self.committed) - 1)
        return self.chains[node].at(index) in (None, self.committed[index].chain)

    # Updates

    def remember(self, fact: Fact, event: EventId) -> None:
        """Record one fact of an event."""
        match fact:
            case Elected((term, node)):
                self.leaders.setdefault(term, {}).setdefault(node, event)
            case Committed(node, leader, entries):
                self._commit(node, max(leader, self.committed[-1].leader), entries, event)
            case _:
                pass

    def remember_state(self, index: Index, digest: str, node: NodeId, event: EventId) -> NodeId | None:
        """Record the digest of a machine that has applied ``index``; returns the node that had another one there."""
        known, other, _ = self.states.setdefault(index, (digest, node, event))
        return None if known == digest else other

    def _commit(self, node: NodeId, leader: LeaderId, entries: Sequence[Entry], event: EventId) -> None:
        """Record a commit; after a snapshot of uncommitted entries some indexes are unknown and are skipped."""
        ids = {entry.index: entry.id for entry in entries}
        for index in range(len(self.committed), max(ids, default=0) + 1):
            chain = self.chains[node].at(index) or 0
            self.committed.append(Commit(chain, ids.get(index), leader, event))

    def is_changed_by(self, step: Step) -> bool:
        """Whether :meth:`write` has anything to do: the server starts, is new, or wrote to its disk."""
        started = type(step.event) is Boot or step.after.id not in self.chains
        return started or step.before.disk is not step.after.disk

    def write(self, step: Step, event: EventId) -> Iterator[LogId]:
        """Update the chain ids of a node's log; yields entries that followed another prefix on another server."""
        node = step.after.id
        if type(step.event) is Boot or node not in self.chains:
            self._restart(node, step.before.log)
        for command in step.commands:
            match command:
                case Append(entries):
                    yield from self._append(node, entries, event)
                case Truncate(after):
                    self.chains[node].cut(after)
                case InstallSnapshot(meta):
                    self._install(node, meta.last.index)
                case _:
                    pass

    def _append(self, node: NodeId, entries: Sequence[Entry], event: EventId) -> Iterator[LogId]:
        chains = self.chains[node]
        for entry in entries:
            chain = self._number(chains.ids[-1], entry)
            chains.ids.append(chain)
            if self.seen.setdefault((entry.index, entry.id.leader), (chain, event))[0] != chain:
                yield entry.id

    def _install(self, node: NodeId, last: Index) -> None:
        committed = self.committed[last].chain if last < len(self.committed) else None
        if committed is None or self.chains[node].at(last) != committed:
            self.chains[node] = Chains(last, committed or 0)

    def _restart(self, node: NodeId, log: Log) -> None:
        """A server starts with this log; forget entries that it created and no log holds now.

        A leader that resumes its term may reuse such an id for another entry, since it lost the first one unsent.
        """
        self.chains[node] = self._chains_of(log)
        held = set[Chain]().union(*(chains.ids for chains in self.chains.values()))
        self.seen = {key: value for key, value in self.seen.items() if key[1][1] != node or value[0] in held}

    def _chains_of(self, log: Log) -> Chains:
        """The chain ids of a log; its purged entries were committed."""
        start = log.start.index
        chains = Chains(start, self.committed[start].chain if start < len(self.committed) else 0)
        for entry in log:
            chains.ids.append(self._number(chains.ids[-1], entry))
        return chains

    def _number(self, before: Chain, entry: Entry) -> Chain:
        """The chain id of the prefix ``before`` followed by ``entry``."""
        return self.numbers.setdefault((before, entry), len(self.numbers) + 1)

    # A fork

    def before(self, world: World) -> "RunHistory":
        """The history as it was at ``world``."""
        past, events = RunHistory(), world.events
        past.numbers = self.numbers
        past.leaders = {term: _until(events, led) for term, led in self.leaders.items()}
        past.votes = {key: value for key, value in self.votes.items() if value[1] < events}
        past.seen = {key: value for key, value in self.seen.items() if value[1] < events}
        past.committed = [one for one in self.committed if one.event < events]
        past.states = {index: one for index, one in self.states.items() if one[2] < events}
        past.chains = {id: past._chains_of(node.state.log) for id, node in world.nodes.items()}
        return past


def _until(events: EventId, led: Mapping[NodeId, EventId]) -> dict[NodeId, EventId]:
    return {node: event for node, event in led.items() if event < events}
