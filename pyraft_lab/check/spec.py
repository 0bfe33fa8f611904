"""Raft once more, from the paper alone, to judge the engine by: small, slow, one entry at a time.

It shares nothing with the engine but the names of servers. There are no messages: what was promised in them stands on
one board for everybody to act upon, at any time, in any order, or never, which is all that a network may do. Each
method is something a server may do; where Raft forbids it, it raises :class:`Impossible`::

    time_out ──▶ grant, promise_vote ──▶ lead ──▶ append ──▶ accept, acknowledge ──▶ commit ──▶ hear_commit
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

NodeId = int
Term = int
Index = int
Voters = tuple[frozenset[NodeId], ...]
NOBODY: NodeId = 0


class Impossible(Exception):
    """Raft does not allow this; the message says why."""


class Line(NamedTuple):
    """One entry: the term of the leader that made it, what it says, and the voter sets if it is a configuration."""

    term: Term
    what: Any
    voters: Voters = ()


class Role(StrEnum):
    """What a server is."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Image(NamedTuple):
    """What is on a disk: currentTerm, votedFor, log[], and how far a snapshot reaches (Figure 2, §7)."""

    term: Term = 0
    voted_for: NodeId = NOBODY
    log: tuple[Line, ...] = ()
    snapshot: Index = 0


class Server:
    """One server; its log is never compacted, a snapshot is only a mark in it."""

    def __init__(self, node: NodeId, image: Image) -> None:
        self.node, self.disk = node, image
        self.writing: list[Image] = []
        self.role, self.commit = Role.FOLLOWER, image.snapshot
        self.term, self.voted_for, self.snapshot = image.term, image.voted_for, image.snapshot
        self.log = list(image.log)

    @property
    def last(self) -> tuple[Term, Index]:
        """What decides whose log is more up-to-date (§5.4.1)."""
        return (self.term_at(len(self.log)), len(self.log))

    @property
    def voters(self) -> Voters:
        """The configuration that governs: the last in the log, committed or not (§6)."""
        return self.log[self.configured - 1].voters if self.configured else ()

    @property
    def configured(self) -> Index:
        """Where that configuration stands."""
        return next((index for index in range(len(self.log), 0, -1) if self.log[index - 1].voters), 0)

    def term_at(self, index: Index) -> Term:
        """The term of the entry at ``index``; 0 before the first, and where there is none."""
        return self.log[index - 1].term if 0 < index <= len(self.log) else 0

    def enter(self, term: Term, voted_for: NodeId = NOBODY) -> None:
        """Move to a later term, in which nothing is promised yet."""
        if term > self.term:
            self.term, self.voted_for = term, voted_for


class Reign:
    """What everybody may know of one leadership: its log, how far it committed, and who holds how much on disk."""

    def __init__(self, leader: NodeId, log: Iterable[Line], commit: Index) -> None:
        self.leader, self.log, self.commit = leader, list(log), commit
        self.acknowledged: dict[NodeId, Index] = {}


class Model:
    """All servers, and the board: who asked for votes and with which log, who granted them, who reigned."""

    def __init__(self) -> None:
        self.servers: dict[NodeId, Server] = {}
        self.asked: dict[tuple[Term, NodeId], tuple[Term, Index]] = {}
        self.votes: dict[tuple[Term, NodeId], set[NodeId]] = {}
        self.reigns: dict[Term, Reign] = {}
        self.latest: Term = 0

    # Servers come, write, crash

    def join(self, node: NodeId, log: Iterable[Line] = ()) -> None:
        """A server starts for the first time; its disk may hold the first configuration."""
        self.servers[node] = Server(node, Image(log=tuple(log)))

    def write(self, node: NodeId) -> None:
        """What the server holds in memory goes to its disk, some time later."""
        server = self.servers[node]
        server.writing.append(Image(server.term, server.voted_for, tuple(server.log), server.snapshot))

    def sync(self, node: NodeId) -> None:
        """The oldest of those writes is durable."""
        server = self.servers[node]
        _demand(bool(server.writing), "nothing is being written")
        server.disk = server.writing.pop(0)

    def restart(self, node: NodeId) -> None:
        """A server comes back with what its disk holds, as a follower (§5.1)."""
        self.servers[node] = Server(node, self.servers[node].disk)

    def found(self, node: NodeId, first: Line) -> None:
        """A pristine server is given the first configuration."""
        server = self.servers[node]
        _demand(not server.log and server.term == 0, "the server is not pristine")
        server.log.append(first)

    # Election (§5.2, §5.4.1)

    def time_out(self, node: NodeId) -> None:
        """A server begins an election: a new term, its own vote, and it asks the others."""
        server = self.servers[node]
        _demand(server.role is not Role.LEADER, "a leader does not stand for election")
        server.enter(server.term + 1, node)
        server.role = Role.CANDIDATE
        self.asked[server.term, node] = server.last
        self.latest = max(self.latest, server.term)

    def learn(self, node: NodeId, term: Term) -> None:
        """A server hears of a later term."""
        server = self.servers[node]
        _demand(server.term < term <= self.latest, f"term {term} is not later, or nobody has ever been in it")
        server.enter(term)
        server.role = Role.FOLLOWER

    def grant(self, node: NodeId, candidate: NodeId, term: Term) -> None:
        """A server votes for a candidate, if it has not voted otherwise and its log is no more up-to-date."""
        _demand((term, candidate) in self.asked, f"{candidate} did not ask for votes in term {term}")
        server, last = self.servers[node], self.asked[term, candidate]
        _demand(term >= server.term, "the candidate's term is over")
        server.enter(term)
        _demand(server.voted_for in (NOBODY, candidate), f"its vote of this term is given to {server.voted_for}")
        _demand(last >= server.last, f"its log {server.last} is more up-to-date than the candidate's {last}")
        server.voted_for, server.role = candidate, Role.FOLLOWER

    def promise_vote(self, node: NodeId, candidate: NodeId, term: Term) -> None:
        """The vote leaves the server: from now on it counts."""
        disk = self.servers[node].disk
        _demand((disk.term, disk.voted_for) == (term, candidate), "the vote is not on its disk")
        self.votes.setdefault((term, candidate), set()).add(node)

    def lead(self, node: NodeId) -> None:
        """A candidate with a majority of every voter set leads; it counts its own vote once that is on its disk."""
        server = self.servers[node]
        own = {node} if (server.disk.term, server.disk.voted_for) == (server.term, node) else set()
        granted = self.votes.get((server.term, node), set()) | own
        _demand(server.role is Role.CANDIDATE, "only a candidate can win")
        _demand(is_quorum(server.voters, granted), f"only {sorted(granted)} voted for it")
        _demand(server.term not in self.reigns, "somebody led in this term already")
        server.role = Role.LEADER
        self.reigns[server.term] = Reign(node, server.log, server.commit)

    def rest(self, node: NodeId) -> None:
        """A candidate or a leader gives up: always safe."""
        self.servers[node].role = Role.FOLLOWER

    # Replication (§5.3)

    def append(self, node: NodeId, line: Line) -> None:
        """A leader adds an entry of its term; a configuration only when it is that configuration's turn (§6)."""
        server = self.servers[node]
        _demand(server.role is Role.LEADER and line.term == server.term, "only a leader appends, in its own term")
        if line.voters:
            _demand(server.configured <= server.commit, "the last configuration is not committed")
            _demand(server.term_at(server.commit) == server.term, "nothing of this term is committed")
            _demand(bool(set(line.voters) & set(server.voters)), "the two configurations share no voter set")
        server.log.append(line)
        self.reigns[server.term].log.append(line)

    def follow(self, node: NodeId, term: Term) -> None:
        """A server hears the leader of its term, or of a later one."""
        server = self.servers[node]
        _demand(term in self.reigns, f"nobody ever led in term {term}")
        _demand(term >= server.term, "that leader's term is over")
        _demand(self.reigns[term].leader != node, "it leads itself")
        server.enter(term)
        server.role = Role.FOLLOWER

    def accept(self, node: NodeId, index: Index) -> None:
        """A follower takes the leader's entry at ``index`` behind one on which they agree; conflicts go (§5.3)."""
        server, reign = self.servers[node], self._followed(node)
        _demand(index <= len(reign.log), "the leader has no such entry")
        _demand(self._agree(server.log, reign, index - 1), "the logs differ right before it")
        line = reign.log[index - 1]
        if server.term_at(index) != line.term or len(server.log) < index:
            _demand(index > server.commit, "another entry is committed there")
            server.log[index - 1 :] = [line]

    def acknowledge(self, node: NodeId, term: Term, index: Index) -> None:
        """A follower's answer leaves: its disk holds the leader's log up to ``index``."""
        disk = self.servers[node].disk
        _demand(disk.term == term, "its disk does not know that term")
        _demand(term in self.reigns, f"nobody ever led in term {term}")
        reign = self.reigns[term]
        _demand(self._agree(disk.log, reign, index), f"its disk does not hold entry {index}")
        reign.acknowledged[node] = max(index, reign.acknowledged.get(node, 0))

    # Commit (§5.3, §5.4.2)

    def may_commit(self, node: NodeId, index: Index) -> bool:
        """Whether a majority of every voter set holds the entry on disk, and it is of the leader's own term."""
        server = self.servers[node]
        reign = self.reigns[server.term]
        holders = {peer for peer, upto in reign.acknowledged.items() if upto >= index} - {node}
        own = {node} if self._agree(server.disk.log, reign, index) else set()
        return server.term_at(index) == server.term and is_quorum(server.voters, holders | own)

    def commit(self, node: NodeId, index: Index) -> None:
        """A leader commits everything up to ``index``."""
        server = self.servers[node]
        _demand(server.role is Role.LEADER, "only a leader counts")
        _demand(self.may_commit(node, index), f"entry {index} is not held by a majority, or of an earlier term")
        server.commit = self.reigns[server.term].commit = index

    def hear_commit(self, node: NodeId, index: Index) -> None:
        """A follower commits what its leader has, as far as their logs agree."""
        server, reign = self.servers[node], self._followed(node)
        _demand(index <= reign.commit, f"its leader has committed {reign.commit} entries only")
        _demand(self._agree(server.log, reign, index), "its log is another one there")
        server.commit = max(index, server.commit)

    # Snapshots (§7)

    def compact(self, node: NodeId, index: Index) -> None:
        """A server's snapshot covers what it has committed."""
        server = self.servers[node]
        _demand(index <= server.commit, f"entry {index} is not committed here")
        server.snapshot = index

    def install(self, node: NodeId, index: Index) -> None:
        """A follower takes its leader's snapshot: everything up to ``index``, and what it has behind if it fits."""
        server, reign = self.servers[node], self._followed(node)
        _demand(index <= reign.commit, "the snapshot goes beyond what its leader has committed")
        behind = server.log[index:] if self._agree(server.log, reign, index) else []
        server.log = reign.log[:index] + behind
        server.commit, server.snapshot = max(index, server.commit), index

    def _followed(self, node: NodeId) -> Reign:
        server = self.servers[node]
        reign = self.reigns.get(server.term)
        if reign is None or server.role is not Role.FOLLOWER:
            raise Impossible("it follows nobody")
        return reign

    @staticmethod
    def _agree(log: Sequence[Line], reign: Reign, index: Index) -> bool:
        """Whether both have the entry at ``index``, and of the same term: then they are equal up to it (§5.3)."""
        return index == 0 or (
            index <= min(len(log), len(reign.log)) and log[index - 1].term == reign.log[index - 1].term
        )


def is_quorum(voters: Voters, nodes: Iterable[NodeId]) -> bool:
    """A majority of every voter set (§6)."""
    present = set(nodes)
    return bool(voters) and all(len(present & one) > len(one) // 2 for one in voters)


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (it is the question)
    if not holds:
        raise Impossible(otherwise)
