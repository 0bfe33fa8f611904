"""Safety, defined once: which facts contradict the past (the paper's five properties, Figure 3).

The simulation checks every step of one long run, the explorer every step of all short ones. They store the past
in different ways (:class:`Past`) and check it with the same function (:func:`violations`)::

    step ──▶ facts ──▶ violations(past, fact) ──▶ election safety, leader completeness, …
                           ▲
                  RunHistory · the explorer's history variables

A run also has disks and messages, so :class:`Safety` also checks the conditions for the five properties: one vote a
term, promises on disk before they are sent, commits on the disks of a quorum.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, assert_never

from pyraft_lab.engine.events import Stored
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AnyMessage, AppendAccepted, VoteRequest, VoteResponse
from pyraft_lab.engine.rules import supersedes_in_order
from pyraft_lab.engine.state import Candidate, Disk, Leader, RaftState, Step
from pyraft_lab.engine.types import Index, LogId, NodeId, Term, Vote
from pyraft_lab.sim.facts import (
    Committed,
    Elected,
    Fact,
    Forgotten,
    Halted,
    LeaderId,
    Restored,
    Truncated,
    TruncatedByLeader,
    Uncommitted,
    facts_of,
    is_routine,
)
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.run_history import RunHistory
from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import EventId, Flight, Record

ELECTION_SAFETY = "election safety"
LEADER_APPEND_ONLY = "leader append-only"
LOG_MATCHING = "log matching"
LEADER_COMPLETENESS = "leader completeness"
STATE_MACHINE_SAFETY = "state machine safety"
COMMIT_STAYS = "commit never goes back"
SNAPSHOT_COVERS = "forgotten is kept"
NOTHING_IMPOSSIBLE = "nothing impossible"
ONE_VOTE_A_TERM = "one vote a term"
DURABLE_BEFORE_ANSWER = "durable before answer"
COMMIT_IS_BACKED = "commit is backed"
DISK_MATCHES_STATE = "disk matches state"

_PROMISES = (AppendAccepted, VoteResponse)
"""The messages that may only leave when their promise is on disk."""
Broken = Iterator[tuple[str, str]]
"""Pairs of a violated property's name and a sentence that says how."""


class Past(Protocol):
    """The queries of the past that the properties need."""

    def leaders_of(self, term: Term) -> Collection[NodeId]:
        """The nodes that were elected in a term."""
        ...

    def last_before(self, leader: LeaderId) -> Index:
        """The last index that earlier leaderships committed; 0 if they committed none."""
        ...

    def was_committed(self, last: LogId) -> bool:
        """Whether this entry is committed at its index; also true if the committed id there is unknown."""
        ...

    def agrees(self, node: NodeId, entries: Sequence[Entry]) -> bool:
        """Whether these last entries of a node's log are the committed ones; true if that is unknown."""
        ...


def violations(past: Past, fact: Fact, *, one_a_term: bool = True) -> Broken:
    """The properties that a fact violates; with ``one_a_term`` a term may have only one leader."""
    match fact:
        case Elected(leader, log):
            yield from _elected(past, leader, log, one_a_term=one_a_term)
        case Committed() | Restored():
            yield from _committed(past, fact)
        case TruncatedByLeader(node):
            yield LEADER_APPEND_ONLY, f"n{node} truncates its log while it leads"
        case Truncated():
            pass
        case Uncommitted() | Forgotten() | Halted():
            yield _lost(fact)
        case _:
            assert_never(fact)


def _elected(past: Past, leader: LeaderId, log: Log, *, one_a_term: bool) -> Broken:
    """Election safety (§5.2): one leader a term. Leader completeness (§5.4): its log has all committed entries."""
    term, node = leader
    rivals = sorted(set(past.leaders_of(term)) - {node})
    if one_a_term and rivals:
        yield ELECTION_SAFETY, f"n{rivals[0]} and n{node} were both elected in term {term}"
    earlier = past.last_before(leader)
    if log.last.index < earlier or not past.agrees(node, log.slice(log.first_index, earlier + 1)):
        yield LEADER_COMPLETENESS, f"n{node}, leader of term {term}, lacks committed entry {earlier}"


def _committed(past: Past, fact: Committed | Restored) -> Broken:
    """State machine safety (§5.4.3): an entry committed on one server is committed at its index on all, forever."""
    match fact:
        case Committed(node, _, entries):
            if not past.agrees(node, entries):
                upto = entries[-1].index
                yield STATE_MACHINE_SAFETY, f"n{node} commits another log up to entry {upto} than was committed before"
        case Restored(node, last):
            if not past.was_committed(last):
                yield STATE_MACHINE_SAFETY, f"n{node} has a snapshot up to {in_words(last)}, which was never committed"
        case _:
            assert_never(fact)


def _lost(fact: Uncommitted | Forgotten | Halted) -> tuple[str, str]:
    """Violations by one server alone: commit index decreased, purged entries without a snapshot, halted."""
    match fact:
        case Uncommitted(node, before, after):
            return COMMIT_STAYS, f"n{node} had committed entry {before}, and now only {after}"
        case Forgotten(node, upto):
            return SNAPSHOT_COVERS, f"n{node} purges its log up to entry {upto}; its snapshot ends earlier"
        case Halted(node, why):
            return NOTHING_IMPOSSIBLE, f"n{node} stops for good: {why}"
        case _:
            assert_never(fact)


def logs_match(one: Log, other: Log) -> bool:
    """Log matching (§5.3): two logs with an entry of the same leader and index are equal up to it.

    A run need not compare logs in pairs: it records the log prefix before every entry.
    """
    first, last = max(one.first_index, other.first_index), min(one.last.index, other.last.index)
    mine, theirs = one.slice(first, last + 1), other.slice(first, last + 1)
    same = [a.id == b.id for a, b in zip(mine, theirs, strict=True)]
    agreed = max((place for place, equal in enumerate(same, 1) if equal), default=0)
    return mine[:agreed] == theirs[:agreed]


class Safety:
    """Checks a simulation for the five properties of Figure 3 and the conditions they depend on."""

    def __init__(self, history: RunHistory | None = None) -> None:
        self.history = RunHistory() if history is None else history

    def fork(self, world: World) -> "Safety":
        """A checker that knows the events before ``world``."""
        return Safety(self.history.before(world))

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The violations in a record."""
        step = record.step
        found = [] if step is None or is_routine(step) else [*self._step(record.id, step, world)]
        for flight in record.sent:
            if type(flight.message) in _PROMISES and flight.copy_of is None:  # a duplicate is not a second promise
                found += self._promises(record.id, flight, world)
        if not found:
            return []
        return [Violation(name=name, what=what, event=record.id, time=record.time) for name, what in found]

    def _step(self, event: EventId, step: Step, world: World) -> Broken:
        after = step.after
        if self.history.is_changed_by(step):
            for id in self.history.write(step, event):
                yield LOG_MATCHING, f"{in_words(id)} follows other entries on n{after.id} than on another server"
        for fact in facts_of(step):
            yield from violations(self.history, fact, one_a_term=not votes_are_ordered(world))
            self.history.remember(fact, event)
        if type(after.role) is Candidate and after.id in after.role.granted:
            yield from self._vote_once(event, after.id, after.vote, world)
        if is_own_commit(step.before, after):
            yield from commit_is_backed(after, world)
        if type(step.event) is Stored:
            yield from disk_matches_state(after, world)

    def _vote_once(self, event: EventId, voter: NodeId, vote: Vote, world: World) -> Broken:
        """One vote a term (§5.2), counted when it is sent; under ordered votes a later one must be greater."""
        votes = self.history.votes
        given, _ = votes.setdefault((voter, vote.term), (vote, event))
        if given.node == vote.node:
            return
        if not votes_are_ordered(world) or vote.node < given.node:
            yield ONE_VOTE_A_TERM, f"n{voter} voted for n{given.node} and for n{vote.node} in term {vote.term}"
        votes[voter, vote.term] = (vote, event)

    def _promises(self, event: EventId, flight: Flight, world: World) -> Broken:
        broken = unkept_promise(flight.src, world.nodes[flight.src].synced, flight.message)
        if broken is not None:
            yield broken
        if type(flight.message) is VoteResponse and flight.message.granted:
            yield from self._vote_once(event, flight.src, flight.message.asked, world)


def votes_are_ordered(world: World) -> bool:
    """Whether several nodes may lead in one term, one after the other (openraft's total order of votes)."""
    return world.setting.engine.rules.supersedes is supersedes_in_order


def is_own_commit(before: RaftState, after: RaftState) -> bool:
    """Whether a server has counted copies and committed: it leads, or this commit has ended its leadership (§6)."""
    if after.committed <= before.committed:
        return False
    return type(after.role) is Leader or (type(before.role) is Leader and before.term == after.term)


def commit_is_backed(leader: RaftState, world: World) -> Broken:
    """A majority of every voter set has an entry on disk when its leader commits it (§5.3, §5.4.2)."""
    at = leader.log.id_at(leader.committed)
    if at is None:
        return
    holders = [id for id, node in world.nodes.items() if has_entry(node.synced, at)]
    if not has_majority(leader.membership, holders):
        yield (
            COMMIT_IS_BACKED,
            f"n{leader.id} commits {in_words(at)}, which is on the disks of {_servers(holders)} only",
        )


def disk_matches_state(state: RaftState, world: World) -> Broken:
    """With everything synced, the disk's contents are what the server's state says."""
    node = world.nodes[state.id]
    if not node.batches and _ends(node.synced) != _ends(state.disk):
        ends = in_words(state.disk.log.last), in_words(node.synced.log.last)
        yield (
            DISK_MATCHES_STATE,
            f"n{state.id} believes that its log ends with {ends[0]}; on disk it ends with {ends[1]}",
        )


def _ends(disk: Disk) -> tuple[object, ...]:
    return disk.vote, disk.snapshot, disk.log.start, disk.log.last


def _has_vote(disk: Disk, vote: Vote) -> bool:
    """Whether a disk binds its server to a vote; any leader of that term permits no other vote either."""
    if disk.vote.term != vote.term:
        return disk.vote.term > vote.term
    return disk.vote.committed or disk.vote.node >= vote.node


def has_entry(disk: Disk, id: LogId) -> bool:
    """Whether a disk holds this entry, or a snapshot that covers it."""
    covered = disk.snapshot.last.index if disk.snapshot else 0
    return id.index <= covered or disk.log.has(id)


def has_majority(membership: Membership, ids: Collection[NodeId]) -> bool:
    """Whether these nodes are a majority of every voter set, counted apart from the code that is checked."""
    return bool(membership.configs) and all(
        sum(node in ids for node in config) > len(config) / 2 for config in membership.configs
    )


def unkept_promise(src: NodeId, disk: Disk, message: AnyMessage) -> tuple[str, str] | None:
    """The property that a message violates if it leaves while its sender's disk is like this, and how."""
    match message:
        case VoteResponse(granted=True, asked=asked) if not _has_vote(disk, asked):
            return DURABLE_BEFORE_ANSWER, _unsaved_vote(src, asked, disk)
        case AppendAccepted(matched=matched) if not has_entry(disk, matched):
            return DURABLE_BEFORE_ANSWER, f"n{src} acknowledges {in_words(matched)}, which its disk lacks"
        case VoteRequest(vote=vote) if disk.vote.term < vote.term:
            return DURABLE_BEFORE_ANSWER, f"n{src} is a candidate of term {vote.term}, which is not on its disk yet"
        case _:
            return None


def in_words(id: LogId) -> str:
    """An entry as readers of a run name it."""
    return f"entry {id.index} of term {id.term}"


def _unsaved_vote(voter: NodeId, asked: Vote, disk: Disk) -> str:
    vote = disk.vote
    had = f"a vote for n{vote.node} in term {vote.term}" if vote.node else f"no vote in term {vote.term}"
    return f"n{voter} votes for n{asked.node} in term {asked.term}, but its disk has {had}"


def _servers(ids: Sequence[NodeId]) -> str:
    return ", ".join(f"n{id}" for id in ids) or "no server"
