"""Somebody who sees every step of every node, and objects: safety, judged incrementally."""

from collections.abc import Mapping, Sequence

from pyraft_lab.engine.log import Entry, Log, Payload
from pyraft_lab.engine.rules import ADVANCED, Rules
from pyraft_lab.engine.state import Disk, Leader, Step
from pyraft_lab.engine.types import Index, LogId, NodeId, RequestId, Vote


class Witness:
    """What has been seen so far, of all nodes together."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.created: dict[LogId, tuple[Payload, LogId]] = {}
        self.chosen: list[Entry] = []
        self.known: list[Vote] = []
        self.digests: list[int] = [0]
        self.leaders: dict[object, NodeId] = {}
        self.floors: dict[RequestId, Index] = {}

    def judge(self, turn: Step, disks: Mapping[NodeId, Disk]) -> None:
        """One step of one node; ``disks`` is what is durable everywhere."""
        self.grows_only(turn)
        if isinstance(turn.after.role, Leader):
            if not isinstance(turn.before.role, Leader) or turn.before.vote != turn.after.vote:
                self.one_leader(turn)
                self.leader_is_complete(turn)
            if turn.after.committed > turn.before.committed:
                self.committed_is_durable(turn, disks)

    def grows_only(self, turn: Step) -> None:
        before, after = turn.before, turn.after
        assert after.committed >= before.committed, "a commit index never goes down"
        assert before.applied <= after.applied <= after.committed <= after.log.last.index
        assert self.rules.supersedes(after.vote, before.vote), "a vote is never taken back"

    def write(self, log: Log, entries: Sequence[Entry]) -> None:
        """On disk behind ``log``. The same id: the same entry, behind the same entry (§5.3)."""
        before = log.last
        for entry in entries:
            known = self.created.setdefault(entry.id, (entry.payload, before))
            assert known == (entry.payload, before), f"two entries are called {entry.id}"
            before = entry.id

    def one_leader(self, turn: Step) -> None:
        vote = turn.after.vote
        leadership: object = (vote.term, vote.node) if self.rules == ADVANCED else vote.term
        assert self.leaders.setdefault(leadership, turn.after.id) == turn.after.id, f"two leaders in {vote}"

    def leader_is_complete(self, turn: Step) -> None:
        """Whatever was known to be committed under earlier leaders is in a leader's log (§5.4)."""
        log, vote = turn.after.log, turn.after.vote
        for entry, known in zip(self.chosen[log.start.index :], self.known[log.start.index :], strict=True):
            assert known >= vote or log.has(entry.id), f"leader {turn.after.id} lacks {entry.id}, which is committed"

    def committed_is_durable(self, turn: Step, disks: Mapping[NodeId, Disk]) -> None:
        """What a leader calls committed is on the disks of a quorum."""
        index = turn.after.committed
        id = turn.after.log.id_at(index)
        if id is None:
            return  # purged already: a snapshot covers it
        membership = turn.after.membership_at(index)
        holders = [n for n, disk in disks.items() if disk.log.start.index >= index or disk.log.has(id)]
        effective = turn.after.membership
        assert membership.is_quorum(holders) or effective.is_quorum(holders), f"{id} is on {holders} only"

    def apply(self, machine: tuple[Index, int], entry: Entry, vote: Vote) -> tuple[Index, int]:
        """Every node applies the same entries in the same order, each once."""
        index, digest = machine
        assert entry.index == index + 1, f"{entry.id} applied behind {index}"
        if index == len(self.chosen):
            self.chosen.append(entry)
            self.known.append(vote)
            self.digests.append(hash((digest, entry.id)))
        assert self.chosen[index] == entry, f"{entry.id} applied where {self.chosen[index].id} was"
        return (entry.index, self.digests[entry.index])

    def restore(self, machine: tuple[Index, int]) -> None:
        index, digest = machine
        assert self.digests[index] == digest, "a snapshot tells what was applied"

    def expect(self, request: RequestId) -> None:
        """A read begins: it must see everything that anybody has applied by now."""
        self.floors[request] = len(self.chosen)

    def read(self, request: RequestId, machine: tuple[Index, int]) -> None:
        assert machine[0] >= self.floors[request], f"stale read: {machine[0]} < {self.floors[request]}"
