"""Safety after every step: the paper's five properties (Figure 3), and three promises that make them hold.

Each check costs what the step changed. What has to be remembered is kept in a :class:`Ghost`, with the event that
brought it, so that a fork of the simulation forgets what has not happened yet. Logs are compared by chain ids: every
distinct (chain before, entry) is numbered once, so that two prefixes are equal exactly if their numbers are::

    entries   a     b     c          a     b     x
    chain     1 ──▶ 2 ──▶ 3          1 ──▶ 2 ──▶ 4
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from pyraft_lab.engine.commands import Append, Apply, InstallSnapshot, Truncate
from pyraft_lab.engine.events import Boot, Stored
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.messages import AppendAccepted, VoteResponse
from pyraft_lab.engine.rules import covers_in_order
from pyraft_lab.engine.state import Candidate, Disk, Leader, RaftState, Step
from pyraft_lab.engine.types import Index, LogId, NodeId, Term, Vote
from pyraft_lab.sim.checks import Violation
from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import EventId, Flight, Record

Chain = int
"""Names one log prefix for ever; 0 is the empty one."""
Reign = tuple[Term, NodeId]
"""Names a leadership: term and leader."""


class Chains:
    """The chain ids of one node's log, from what is purged on."""

    def __init__(self, start: Index, base: Chain) -> None:
        self.start, self.ids = start, [base]

    @property
    def last(self) -> Index:
        """The last index there is an id for."""
        return self.start + len(self.ids) - 1

    def at(self, index: Index) -> Chain | None:
        """The id of the prefix that ends at ``index``; ``None`` where it is not known."""
        return self.ids[index - self.start] if self.start <= index <= self.last else None

    def cut(self, after: Index) -> None:
        """The log was truncated behind ``after``."""
        del self.ids[max(after - self.start, 0) + 1 :]


class Ghost:
    """What no server remembers: who led, who was voted for, what was committed; each with the event it stems from."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[Chain, Entry], Chain] = {}
        self.leaders: dict[Reign | Term, tuple[NodeId, EventId]] = {}
        self.votes: dict[tuple[NodeId, Term], tuple[Vote, EventId]] = {}
        self.seen: dict[tuple[Index, Reign], tuple[Chain, EventId]] = {}
        self.committed: list[tuple[Chain, Reign, EventId]] = [(0, (0, 0), -1)]
        self.chains: dict[NodeId, Chains] = {}

    def number(self, before: Chain, entry: Entry) -> Chain:
        """The chain id of ``entry`` behind ``before``."""
        return self.numbers.setdefault((before, entry), len(self.numbers) + 1)

    def committed_at(self, index: Index) -> Chain | None:
        """The chain id committed at ``index``."""
        return self.committed[index][0] if index < len(self.committed) else None

    def trace_log(self, log: Log) -> Chains:
        """The chain ids of a log; what it has purged was committed."""
        chains = Chains(log.start.index, self.committed_at(log.start.index) or 0)
        for entry in log:
            chains.ids.append(self.number(chains.ids[-1], entry))
        return chains

    def restart(self, node: NodeId, log: Log) -> None:
        """A server starts with this log; what it created and no log holds now has never been.

        A leader that resumes its term may give such an id to another entry: it had lost the first one unsent.
        """
        self.chains[node] = self.trace_log(log)
        held = set[Chain]().union(*(chains.ids for chains in self.chains.values()))
        self.seen = {key: value for key, value in self.seen.items() if key[1][1] != node or value[0] in held}

    def before(self, events: EventId, world: World) -> "Ghost":
        """What was known before so many events, with the logs of that world."""
        past = Ghost()
        past.numbers = self.numbers
        past.leaders = {key: value for key, value in self.leaders.items() if value[1] < events}
        past.votes = {key: value for key, value in self.votes.items() if value[1] < events}
        past.seen = {key: value for key, value in self.seen.items() if value[1] < events}
        past.committed = [one for one in self.committed if one[2] < events]
        past.chains = {id: past.trace_log(node.state.log) for id, node in world.nodes.items()}
        return past


class Safety:
    """Watches a simulation for the five properties of Figure 3, and for what they rest on.

    Election safety, leader append-only, log matching, leader completeness, state machine safety; one vote a term,
    promises on disk before they leave, commits backed by a quorum of disks, and disks as Raft believes them to be.
    """

    def __init__(self, ghost: Ghost | None = None) -> None:
        self.ghost = Ghost() if ghost is None else ghost

    def fork(self, world: World) -> "Safety":
        """A watch that knows what happened before ``world``."""
        return Safety(self.ghost.before(world.events, world))

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """What the record broke."""
        found = list(self._broken(record, world))
        return [Violation(name=name, what=what, event=record.id, time=record.time) for name, what in found]

    def _broken(self, record: Record, world: World) -> Iterator[tuple[str, str]]:
        step = record.step
        if step is not None:
            yield from self._logs(record.id, step)
            yield from self._roles(record.id, step, world)
            if step.after.committed > step.before.committed:
                yield from self._commits(record.id, step, world)
            if isinstance(step.event, Stored):
                yield from honest_disk(step.after, world)
            yield from order_is_kept(step)
        for flight in record.sent:
            yield from self._promises(record.id, flight, world)

    # Logs

    def _logs(self, event: EventId, step: Step) -> Iterator[tuple[str, str]]:
        node = step.after.id
        if isinstance(step.event, Boot) or node not in self.ghost.chains:
            self.ghost.restart(node, step.before.log)
        for command in step.commands:
            match command:
                case Append(entries):
                    yield from self._append(event, node, entries)
                case Truncate(after):
                    self.ghost.chains[node].cut(after)
                    yield from leader_append_only(step)
                case InstallSnapshot(meta):
                    yield from self._install(node, meta.last)
                case Apply(entries):
                    yield from self._apply(node, entries)
                case _:
                    pass

    def _append(self, event: EventId, node: NodeId, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
        """Log matching (§5.3): two logs with the same entry at an index are equal up to it, at any time."""
        chains = self.ghost.chains[node]
        for entry in entries:
            chain = self.ghost.number(chains.ids[-1], entry)
            chains.ids.append(chain)
            if self.ghost.seen.setdefault((entry.index, entry.id.leader), (chain, event))[0] != chain:
                yield "log matching", f"entry {entry.id} of node {node} stands behind another log than it did elsewhere"

    def _install(self, node: NodeId, last: LogId) -> Iterator[tuple[str, str]]:
        committed = self.ghost.committed_at(last.index)
        if committed is None:
            yield "state machine safety", f"node {node} installs a snapshot to {last}, which was never committed"
        if self.ghost.chains[node].at(last.index) != committed:
            self.ghost.chains[node] = Chains(last.index, committed or 0)

    def _apply(self, node: NodeId, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
        """State machine safety (§5.4.3): no two servers apply different entries at one index."""
        last = entries[-1].index
        if self.ghost.chains[node].at(last) != (self.ghost.committed_at(last) or self.ghost.chains[node].at(last)):
            yield "state machine safety", f"node {node} applies another entry at {last} than was committed there"

    # Roles

    def _roles(self, event: EventId, step: Step, world: World) -> Iterator[tuple[str, str]]:
        before, after = step.before, step.after
        match after.role:
            case Leader() if not isinstance(before.role, Leader) or before.vote != after.vote:
                yield from self._elected(event, after, one_a_term=not votes_are_ordered(world))
            case Candidate(granted=granted) if after.id in granted:
                yield from self._vote_once(event, after.id, after.vote, world)
            case _:
                pass

    def _elected(self, event: EventId, leader: RaftState, *, one_a_term: bool) -> Iterator[tuple[str, str]]:
        """Election safety (§5.2) and leader completeness (§5.4)."""
        reign = (leader.term, leader.vote.node)
        first, _ = self.ghost.leaders.setdefault(leader.term if one_a_term else reign, (leader.id, event))
        if first != leader.id:
            yield "election safety", f"nodes {first} and {leader.id} were both elected in term {leader.term}"
        earlier = bisect_left(self.ghost.committed, reign, key=lambda one: one[1]) - 1
        mine = self.ghost.chains[leader.id].at(earlier)
        if earlier > leader.log.start.index and mine != self.ghost.committed_at(earlier):
            yield (
                "leader completeness",
                f"node {leader.id}, leader of term {leader.term}, lacks committed entry {earlier}",
            )

    def _vote_once(self, event: EventId, voter: NodeId, vote: Vote, world: World) -> Iterator[tuple[str, str]]:
        """One vote a term (§5.2), counted when it leaves; under ordered votes a later one must be greater."""
        given, _ = self.ghost.votes.setdefault((voter, vote.term), (vote, event))
        if given.node == vote.node:
            return
        if not votes_are_ordered(world) or vote.node < given.node:
            yield "one vote a term", f"node {voter} voted for {given.node} and for {vote.node} in term {vote.term}"
        self.ghost.votes[voter, vote.term] = (vote, event)

    # Commit

    def _commits(self, event: EventId, step: Step, world: World) -> Iterator[tuple[str, str]]:
        """What is committed once is so for ever; and a leader commits what a quorum has on disk (§5.3, §5.4.2)."""
        after, chains, known = step.after, self.ghost.chains[step.after.id], self.ghost.committed
        agreed = min(after.committed, len(known) - 1)
        if chains.at(agreed) is not None and chains.at(agreed) != known[agreed][0]:
            yield "state machine safety", f"node {after.id} commits another entry at {agreed} than was committed before"
        reign = max((after.term, after.vote.node), known[-1][1])
        known.extend((chains.at(index) or 0, reign, event) for index in range(len(known), after.committed + 1))
        if isinstance(after.role, Leader):
            yield from commit_is_backed(after, world)

    # Promises

    def _promises(self, event: EventId, flight: Flight, world: World) -> Iterator[tuple[str, str]]:
        if flight.copy_of is not None:
            return  # what the network doubles nobody promises anew
        disk, message = world.nodes[flight.src].synced, flight.message
        match message:
            case VoteResponse(granted=True, asked=asked):
                if not _has_vote(disk, asked):
                    yield "durable before answer", f"node {flight.src} grants {asked}, but its disk has {disk.vote}"
                yield from self._vote_once(event, flight.src, asked, world)
            case AppendAccepted(matched=matched):
                if not holds(disk, matched):
                    yield "durable before answer", f"node {flight.src} acknowledges {matched}, which its disk lacks"
            case _:
                pass


def votes_are_ordered(world: World) -> bool:
    """Whether several nodes may lead in one term, one after the other."""
    return world.setting.engine.rules.covers is covers_in_order


def leader_append_only(step: Step) -> Iterable[tuple[str, str]]:
    """Leader append-only (§5.3): a leader never removes an entry of its log."""
    before, after = step.before, step.after
    if isinstance(before.role, Leader) and isinstance(after.role, Leader) and before.vote == after.vote:
        yield "leader append-only", f"node {after.id} truncates its log while it leads"


def order_is_kept(step: Step) -> Iterable[tuple[str, str]]:
    """A server never unlearns a commit, forgets only what its snapshot has, and never meets the impossible."""
    before, after = step.before, step.after
    if after.committed < before.committed:
        yield "commit never goes back", f"node {after.id} had committed {before.committed}, and now {after.committed}"
    if after.log.start.index > max(after.snapshot_last.index, before.log.start.index):
        yield "forgotten is kept", f"node {after.id} forgets up to {after.log.start}, its snapshot ends earlier"
    if after.halted and not before.halted:
        yield "nothing impossible", f"node {after.id} halts: {after.halted}"


def commit_is_backed(leader: RaftState, world: World) -> Iterable[tuple[str, str]]:
    """A majority of every voter set has the entry on disk when its leader commits it."""
    at = leader.log.id_at(leader.committed)
    if at is None:
        return
    holders = [id for id, node in world.nodes.items() if holds(node.synced, at)]
    if not leader.membership.is_quorum(holders):
        yield "commit is backed", f"node {leader.id} commits {at}, which only {holders} have on disk"


def honest_disk(state: RaftState, world: World) -> Iterable[tuple[str, str]]:
    """Once everything is synced, the disk is what Raft believes it to be."""
    node = world.nodes[state.id]
    if not node.batches and _ends(node.synced) != _ends(state.disk):
        yield "honest disk", f"node {state.id} believes in {state.disk.log.last}, its disk has {node.synced.log.last}"


def _ends(disk: Disk) -> tuple[object, ...]:
    return disk.vote, disk.snapshot, disk.log.start, disk.log.last


def _has_vote(disk: Disk, vote: Vote) -> bool:
    return disk.vote.term > vote.term or (disk.vote.term, disk.vote.node) >= (vote.term, vote.node)


def holds(disk: Disk, id: LogId) -> bool:
    """Whether a disk has this entry, or a snapshot that covers it."""
    covered = disk.snapshot.last.index if disk.snapshot else 0
    return id.index <= covered or disk.log.has(id)
