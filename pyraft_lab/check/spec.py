"""All of Raft in one file, from the paper alone: Figure 2, snapshots (§7) and joint membership (§6). Small and slow.

It shares nothing with the engine, which is checked against it (``check/refinement.py``). It has no network either: the
messages of all servers are on one board, and each server may act on them at any time, in any order, or never. That is
all a network may do: delay, reorder, repeat and lose. Each method of :class:`Raft` is something that may happen to one
server; where Raft forbids it, :class:`NotAllowed` says why::

    start_election ──▶ grant_vote, send_vote ──▶ become_leader ──▶ append
                  ──▶ accept, acknowledge ──▶ commit ──▶ learn_commit ──▶ apply

Pre-vote, leases, leadership transfer and reads are left out: they make Raft faster or quieter, not safer.

Three servers elect one, and commit an entry:

>>> raft = Raft()
>>> for node in (1, 2, 3):
...     raft.join(node, [Entry(0, "the first voters", voters=(frozenset({1, 2, 3}),))])
>>> elect(raft, 1, votes_of=[2])
1
>>> replicate(raft, 1, "x = 1", to=[2])
2
>>> raft.commit(1, 2)
>>> raft.apply(1, 2)
>>> raft.servers[1].role, raft.servers[1].machine
(<Role.LEADER: 'leader'>, ['the first voters', 'x = 1'])

The third server was asleep. It may still become a candidate, but no server that holds the entry votes for it:

>>> raft.start_election(3)
>>> raft.start_election(3)
>>> raft.grant_vote(2, candidate=3, term=2)
Traceback (most recent call last):
pyraft_lab.check.spec.NotAllowed: its log (1, 2) is more up-to-date than the candidate's (0, 1)
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

NodeId = int
Term = int
Index = int
"""The place of an entry in a log; the first is 1."""
Voters = tuple[frozenset[NodeId], ...]
"""One set of voters; two while the cluster changes from the first to the second (§6)."""
NO_NODE: NodeId = 0


class NotAllowed(Exception):
    """Raft does not allow this; the message says why."""


# State (Figure 2, top left)


class Entry(NamedTuple):
    """An entry of the log: the term of the leader that made it, a command, and voters if it is a configuration."""

    term: Term
    command: Any
    voters: Voters = ()

    def __deepcopy__(self, _: object) -> "Entry":
        """Itself: an entry never changes."""
        return self


class Disk(NamedTuple):
    """The persistent state of a server: what a crash leaves of it."""

    term: Term = 0
    voted_for: NodeId = NO_NODE
    log: tuple[Entry, ...] = ()
    snapshot: Index = 0

    def __deepcopy__(self, _: object) -> "Disk":
        """Itself: what was written never changes."""
        return self


class Role(StrEnum):
    """The role of a server (§5.1)."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Server:
    """One server; its log stays whole and a snapshot is only a mark in it, which is simpler and equivalent."""

    def __init__(self, node: NodeId, disk: Disk) -> None:
        self.node, self.disk = node, disk
        self.writing: list[Disk] = []  # on their way to the disk, oldest first
        self.role = Role.FOLLOWER
        self.term, self.voted_for, self.log, self.snapshot = disk.term, disk.voted_for, list(disk.log), disk.snapshot
        self.committed = self.applied = disk.snapshot

    @property
    def last(self) -> tuple[Term, Index]:
        """Term and index of the last entry: the greater pair is the more up-to-date log (§5.4.1)."""
        return (self.term_at(len(self.log)), len(self.log))

    def term_at(self, index: Index) -> Term:
        """The term of the entry at ``index``; 0 before the first, and where there is none."""
        return self.log[index - 1].term if 0 < index <= len(self.log) else 0

    @property
    def configured(self) -> Index:
        """The index of the latest configuration in the log, committed or not; it is the effective one (§6)."""
        return max((index for index, entry in enumerate(self.log, 1) if entry.voters), default=0)

    @property
    def voters(self) -> Voters:
        """The voters of that configuration."""
        return self.log[self.configured - 1].voters if self.configured else ()

    @property
    def machine(self) -> list[Any]:
        """The state machine: every command applied so far, in order."""
        return [entry.command for entry in self.log[: self.applied]]

    def enter(self, term: Term, voted_for: NodeId = NO_NODE) -> None:
        """Enter a later term, in which no vote is given yet; a term never decreases (§5.1)."""
        if term > self.term:
            self.term, self.voted_for = term, voted_for


class Leadership:
    """What other servers may learn of a leader: its log, its commit index, and every server's acknowledged index."""

    def __init__(self, leader: NodeId, log: Iterable[Entry], committed: Index) -> None:
        self.leader, self.log, self.committed = leader, list(log), committed
        self.acknowledged: dict[NodeId, Index] = {}


class Raft:
    """All servers, and the board: the requests for votes with their logs, the granted votes, and the leaderships."""

    def __init__(self) -> None:
        self.servers: dict[NodeId, Server] = {}
        self.asked: dict[tuple[Term, NodeId], tuple[Term, Index]] = {}
        self.votes: dict[tuple[Term, NodeId], set[NodeId]] = {}
        self.leaderships: dict[Term, Leadership] = {}
        self.latest_term: Term = 0

    # Servers start, write, crash

    def join(self, node: NodeId, log: Iterable[Entry] = ()) -> None:
        """A server starts for the first time; its disk may hold the first configuration."""
        self.servers[node] = Server(node, Disk(log=tuple(log)))

    def initialize(self, node: NodeId, first: Entry) -> None:
        """A new server receives the first configuration."""
        server = self.servers[node]
        _require(not server.log and server.term == 0, "the server has a log or a term already")
        server.log.append(first)

    def write(self, node: NodeId) -> None:
        """The server starts to write its state in memory to the disk."""
        server = self.servers[node]
        server.writing.append(Disk(server.term, server.voted_for, tuple(server.log), server.snapshot))

    def sync(self, node: NodeId) -> None:
        """The oldest of those writes is durable."""
        server = self.servers[node]
        _require(bool(server.writing), "nothing is being written")
        server.disk = server.writing.pop(0)

    def restart(self, node: NodeId) -> None:
        """A server crashes and restarts from its disk as a follower (§5.1)."""
        self.servers[node] = Server(node, self.servers[node].disk)

    def wipe(self, node: NodeId) -> None:
        """A server loses its disk, which Raft does not allow for: its promises still count, but it forgot them."""
        self.servers[node] = Server(node, Disk())

    # Terms and elections (§5.1, §5.2, §5.4.1)

    def update_term(self, node: NodeId, term: Term) -> None:
        """A server learns of a later term; a candidate or leader becomes a follower."""
        server = self.servers[node]
        later = server.term < term <= self.latest_term
        _require(later, f"term {term} is not later, or nobody has ever been in it")
        server.enter(term)
        server.role = Role.FOLLOWER

    def start_election(self, node: NodeId) -> None:
        """The election timer fires: the server starts a new term, votes for itself and asks for votes."""
        server = self.servers[node]
        _require(server.role is not Role.LEADER, "a leader starts no election")
        server.enter(server.term + 1, voted_for=node)
        server.role = Role.CANDIDATE
        self.asked[server.term, node] = server.last
        self.latest_term = max(self.latest_term, server.term)

    def grant_vote(self, node: NodeId, candidate: NodeId, term: Term) -> None:
        """RequestVote: one vote a term, first come first served, for a log that is at least as up-to-date."""
        _require((term, candidate) in self.asked, f"{candidate} did not ask for votes in term {term}")
        server, last = self.servers[node], self.asked[term, candidate]
        _require(term >= server.term, "the candidate's term is over")
        server.enter(term)
        _require(server.voted_for in (NO_NODE, candidate), f"its vote of this term is given to {server.voted_for}")
        _require(last >= server.last, f"its log {server.last} is more up-to-date than the candidate's {last}")
        server.voted_for, server.role = candidate, Role.FOLLOWER

    def send_vote(self, node: NodeId, candidate: NodeId, term: Term) -> None:
        """Send the granted vote once it is on disk; from now on it counts."""
        disk = self.servers[node].disk
        _require((disk.term, disk.voted_for) == (term, candidate), "the vote is not on its disk")
        self.votes.setdefault((term, candidate), set()).add(node)

    def become_leader(self, node: NodeId) -> None:
        """A candidate with a majority of every voter set becomes leader; its own vote counts once it is on disk."""
        server = self.servers[node]
        own = {node} if (server.disk.term, server.disk.voted_for) == (server.term, node) else set()
        granted = self.votes.get((server.term, node), set()) | own
        _require(server.role is Role.CANDIDATE, "only a candidate can win")
        _require(is_quorum(server.voters, granted), f"only {sorted(granted)} voted for it")
        _require(server.term not in self.leaderships, "there was a leader in this term already")
        server.role = Role.LEADER
        self.leaderships[server.term] = Leadership(node, server.log, server.committed)

    def step_down(self, node: NodeId) -> None:
        """A candidate or a leader becomes a follower; that is always safe."""
        self.servers[node].role = Role.FOLLOWER

    # Replication (§5.3), and changes of the voters (§6)

    def append(self, node: NodeId, entry: Entry) -> None:
        """A leader appends an entry of its term to its log."""
        server = self.servers[node]
        leads = server.role is Role.LEADER and entry.term == server.term
        _require(leads, "only a leader appends, in its own term")
        if entry.voters:
            self._may_change(server, entry.voters)
        server.log.append(entry)
        self.leaderships[server.term].log.append(entry)

    def _may_change(self, leader: Server, voters: Voters) -> None:
        """Require a change from the old voters to both sets or from both to the new: majorities then overlap (§6)."""
        _require(leader.configured <= leader.committed, "the last configuration is not committed")
        _require(leader.term_at(leader.committed) == leader.term, "nothing of this term is committed")
        _require(bool(set(voters) & set(leader.voters)), "the two configurations share no voter set")

    def follow(self, node: NodeId, term: Term) -> None:
        """A server follows the leader of its own term, or of a later one."""
        server = self.servers[node]
        _require(term in self.leaderships, f"nobody ever led in term {term}")
        _require(term >= server.term, "that leader's term is over")
        _require(self.leaderships[term].leader != node, "it leads itself")
        server.enter(term)
        server.role = Role.FOLLOWER

    def accept(self, node: NodeId, index: Index) -> None:
        """AppendEntries: take the leader's entry if the logs agree right before it; remove conflicting entries."""
        server, led = self.servers[node], self._followed(node)
        _require(index <= len(led.log), "the leader has no such entry")
        _require(_agree(server.log, led.log, index - 1), "the logs differ right before it")
        if not _agree(server.log, led.log, index):
            _require(index > server.committed, "another entry is committed there")
            server.log[index - 1 :] = [led.log[index - 1]]

    def acknowledge(self, node: NodeId, term: Term, index: Index) -> None:
        """Send the acknowledgement once the disk holds the leader's log up to ``index``."""
        disk = self.servers[node].disk
        _require(disk.term == term, "its disk does not know that term")
        _require(term in self.leaderships, f"nobody ever led in term {term}")
        led = self.leaderships[term]
        _require(_agree(disk.log, led.log, index), f"its disk does not hold entry {index}")
        led.acknowledged[node] = max(index, led.acknowledged.get(node, 0))

    # Commit (§5.3, §5.4.2)

    def may_commit(self, node: NodeId, index: Index) -> bool:
        """Whether a majority of every voter set holds the entry on disk, and it is of the leader's own term."""
        server = self.servers[node]
        led = self.leaderships[server.term]
        holders = {peer for peer, upto in led.acknowledged.items() if upto >= index} - {node}
        own = {node} if _agree(server.disk.log, led.log, index) else set()
        return server.term_at(index) == server.term and is_quorum(server.voters, holders | own)

    def commit(self, node: NodeId, index: Index) -> None:
        """A leader commits everything up to ``index``: earlier entries with one of its own term (Figure 8)."""
        server = self.servers[node]
        _require(server.role is Role.LEADER, "only a leader counts")
        _require(self.may_commit(node, index), f"entry {index} is not held by a majority, or of an earlier term")
        server.committed = self.leaderships[server.term].committed = index

    def learn_commit(self, node: NodeId, index: Index) -> None:
        """A follower commits what its leader has committed, as far as their logs agree."""
        server, led = self.servers[node], self._followed(node)
        _require(index <= led.committed, f"its leader has committed {led.committed} entries only")
        _require(_agree(server.log, led.log, index), "its log is another one there")
        server.committed = max(index, server.committed)

    def apply(self, node: NodeId, index: Index) -> None:
        """Apply committed entries to the state machine in order (Figure 2, all servers)."""
        server = self.servers[node]
        _require(server.applied <= index <= server.committed, f"entry {index} is applied already, or not committed")
        server.applied = index

    # Snapshots (§7)

    def take_snapshot(self, node: NodeId, index: Index) -> None:
        """Take a snapshot of applied entries."""
        server = self.servers[node]
        _require(index <= server.applied, f"entry {index} is not applied here")
        server.snapshot = index

    def install_snapshot(self, node: NodeId, index: Index) -> None:
        """A follower takes its leader's snapshot; entries after it stay if the logs agree there."""
        server, led = self.servers[node], self._followed(node)
        _require(index <= led.committed, "the snapshot goes beyond what its leader has committed")
        after = server.log[index:] if _agree(server.log, led.log, index) else []
        server.log = led.log[:index] + after
        server.committed, server.snapshot = max(index, server.committed), index
        server.applied = max(index, server.applied)

    def _followed(self, node: NodeId) -> Leadership:
        """The leadership that a server follows; raises ``NotAllowed`` if it follows none."""
        server = self.servers[node]
        led = self.leaderships.get(server.term)
        if led is None or server.role is not Role.FOLLOWER:
            raise NotAllowed("it follows nobody")
        return led


def is_quorum(voters: Voters, nodes: Iterable[NodeId]) -> bool:
    """Whether ``nodes`` are a majority of every voter set (§5.2, §6)."""
    present = set(nodes)
    return bool(voters) and all(len(present & one) > len(one) // 2 for one in voters)


def _agree(one: Sequence[Entry], other: Sequence[Entry], index: Index) -> bool:
    """Whether both logs have an entry of the same term at ``index``: then they are equal up to it (§5.3)."""
    return index == 0 or (index <= min(len(one), len(other)) and one[index - 1].term == other[index - 1].term)


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (it is the question)
    if not holds:
        raise NotAllowed(otherwise)


# The normal case: one way to an election and a replicated entry


def elect(raft: Raft, candidate: NodeId, *, votes_of: Iterable[NodeId]) -> Term:
    """Run an election that the candidate wins with the votes of these servers; returns the term."""
    raft.start_election(candidate)
    term = raft.servers[candidate].term
    save(raft, candidate)
    for node in votes_of:
        raft.grant_vote(node, candidate, term)
        save(raft, node)
        raft.send_vote(node, candidate, term)
    raft.become_leader(candidate)
    return term


def replicate(raft: Raft, leader: NodeId, command: Any, *, to: Iterable[NodeId], voters: Voters = ()) -> Index:
    """A leader appends a command, and these servers copy and acknowledge its log; returns the new entry's index."""
    term = raft.servers[leader].term
    raft.append(leader, Entry(term, command, voters))
    save(raft, leader)
    last = len(raft.servers[leader].log)
    for node in to:
        raft.follow(node, term)
        for index in range(1, last + 1):
            raft.accept(node, index)
        save(raft, node)
        raft.acknowledge(node, term, last)
    return last


def save(raft: Raft, node: NodeId) -> None:
    """Write and sync a server's state at once."""
    raft.write(node)
    raft.sync(node)
