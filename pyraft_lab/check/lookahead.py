"""Checkers that look further than one step: equal states at equal indexes, commits that an election could undo.

They are for campaigns: they cost more than the checks of every simulation, and show a mistake before its consequences.
"""

from collections.abc import Iterator, Sequence

from pyraft_lab.check.reference import LIKE_THE_REFERENCE, Followed
from pyraft_lab.engine.commands import Apply, Readable, Refuse, RestoreMachine
from pyraft_lab.engine.events import Boot, Fire, SnapshotBuilt
from pyraft_lab.engine.state import Leader, Probe, RaftState, Replicate, SendSnapshot, Step
from pyraft_lab.engine.timers import TimerKind, lease
from pyraft_lab.engine.types import Index, LogId, NodeId
from pyraft_lab.sim.properties import Violation
from pyraft_lab.sim.run_history import RunHistory
from pyraft_lab.sim.safety import has_entry, has_majority
from pyraft_lab.sim.world import Node, World
from pyraft_lab.trace.record import Record

STATES_AGREE = "machines agree"
COMMITS_LAST = "commits survive elections"
EVERY_WAIT_ENDS = "every wait ends"
Broken = Iterator[tuple[str, str]]


class SameStates:
    """Machines that have applied the same index are equal: of all servers, at all times (§5.4.3, State Machine Safety).

    One digest is kept for each index. So a restored snapshot is compared with what was applied entry by entry. The
    first to get so far is compared with the reference (:mod:`.reference`): all could be wrong alike.
    """

    def __init__(self, history: RunHistory | None = None, followed: Followed | None = None) -> None:
        self.history = RunHistory() if history is None else history
        self.followed = Followed() if followed is None else followed

    def fork(self, world: World) -> "SameStates":
        """A checker that knows the events before ``world``."""
        return SameStates(self.history.before(world), self.followed.until(world.events))

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The violation by a record that applied or restored something."""
        step = record.step
        if step is None or not any(isinstance(command, (Apply, RestoreMachine)) for command in step.commands):
            return ()
        node, index = step.after.id, step.after.applied
        machine = world.nodes[node].machine
        self.followed.take(step.commands, record.id)
        other = self.history.remember_state(index, machine.digest(), node, record.id)
        name, what = STATES_AGREE, f"nodes {other} and {node} have applied {index}, and their machines differ"
        if other is None:
            wrong = self.followed.difference(machine, index)
            name, what = LIKE_THE_REFERENCE, f"node {node} has applied {index}, and {wrong}" if wrong else ""
        return (Violation(name=name, what=what, event=record.id, time=record.time),) if what else ()


class CommitsLast:
    """A commit is final only if no election can undo it (§5.4.2, Figure 8).

    Looks one election ahead: could a server without the committed entry win, by the logs that are on disks now?
    ::

        S1  1 2        commits entry 2 of term 2 by counting, in term 4
        S2  1 2
        S3  1 2
        S5  1 3        its last term is later: S2 and S3 would vote for it, and it would overwrite the entry
    """

    def fork(self, world: World) -> "CommitsLast":
        """A checker for the fork: this one keeps nothing between two events."""
        assert world.events >= 0, "a world has a past"
        return CommitsLast()

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The violation by a commit of a leader."""
        step = record.step
        if step is None or step.after.committed <= step.before.committed or not isinstance(step.after.role, Leader):
            return ()
        found = list(_may_be_undone(step.after, world))[:1]
        return [Violation(name=name, what=what, event=record.id, time=record.time) for name, what in found]


def _may_be_undone(leader: RaftState, world: World) -> Broken:
    at = leader.log.id_at(leader.committed)
    members = [node for node in sorted(leader.membership.voters) if node in world.nodes]
    if at is None or leader.membership.is_joint:
        return
    for rival in members:
        if rival == leader.id or has_entry(world.nodes[rival].synced, at):
            continue
        last = world.nodes[rival].synced.log.last
        voters = [node for node in members if node == rival or world.nodes[node].synced.log.last <= last]
        if has_majority(leader.membership, voters):
            yield COMMITS_LAST, _how(leader, at, rival, last, voters)


def _how(leader: RaftState, at: LogId, rival: NodeId, last: LogId, voters: Sequence[NodeId]) -> str:
    return (
        f"node {leader.id} commits {at}, but node {rival} lacks it, and could win with its last entry {last}:"
        f" the logs of nodes {', '.join(map(str, voters))} are not more up-to-date"
    )


class StartsFromDisk:
    """A server starts with what its disk holds: vote, log and snapshot (Figure 2, persistent state)."""

    def fork(self, world: World) -> "StartsFromDisk":
        """A checker for the fork: this one keeps nothing between two events."""
        assert world.events >= 0, "a world has a past"
        return StartsFromDisk()

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The violation by a start."""
        step = record.step
        if step is None or not isinstance(step.event, Boot):
            return ()
        node = world.nodes[step.after.id]
        before, disk = step.before.disk, node.synced
        index: Index = max(disk.log.last.index, disk.snapshot.last.index if disk.snapshot else 0)
        same = (before.vote, before.log, before.snapshot) == (disk.vote, disk.log, disk.snapshot)
        if same and step.after.log.last.index >= index and step.after.vote.term >= disk.vote.term:
            return ()
        what = (
            f"node {node.id} starts with {before.vote} and log to {before.log.last}, its disk has {disk.vote}, {index}"
        )
        return (Violation(name="starts from its disk", what=what, event=record.id, time=record.time),)


class EveryWaitEnds:
    """Whatever a server or its client waits for ends: by a timer or an answer (§5.2, dissertation §3.10, §6.2).

    A voter that does not lead has an election timer; a leader one for heartbeats, one for each unanswered peer, one for
    a transfer, one for each round that reads wait for. A leader whose check-quorum timer fires without a quorum steps
    down. A deposed leader answers its reads. A snapshot that counts as being built is being built.
    """

    def fork(self, world: World) -> "EveryWaitEnds":
        """A checker for the fork: this one keeps nothing between two events."""
        assert world.events >= 0, "a world has a past"
        return EveryWaitEnds()

    def check(self, record: Record, world: World) -> Sequence[Violation]:
        """The violation by a step after which a server waits without a timer."""
        step = record.step
        if step is None or step.after.halted or not world.nodes[step.after.id].up:
            return ()
        if step.before.role is step.after.role and not isinstance(step.event, (Fire, SnapshotBuilt)):
            return ()
        running = {timer.kind for timer in world.nodes[step.after.id].timers}
        retried = {timer.key for timer in world.nodes[step.after.id].timers if timer.kind is TimerKind.RETRY}
        missing = [
            *_missing(step.after, running),
            *_unwatched(step.after, retried),
            *_unlimited(step.after, world.nodes[step.after.id]),
            *_stays(step),
            *_dropped(step),
        ]
        what = f"node {step.after.id}: {missing[0]}" if missing else ""
        return (Violation(name=EVERY_WAIT_ENDS, what=what, event=record.id, time=record.time),) if missing else ()


def _missing(state: RaftState, running: set[TimerKind]) -> Iterator[str]:
    role = state.role
    if isinstance(role, Leader):
        if TimerKind.HEARTBEAT not in running:
            yield "it leads without a heartbeat timer"
        if role.transfer is not None and TimerKind.TRANSFER not in running:
            yield "it transfers leadership without a timer that ends this"
    else:
        if state.id in state.membership.voters and TimerKind.ELECTION not in running:
            yield "it votes and does not lead, and has no election timer"
        if role.has_heard_leader and TimerKind.VOTE_LEASE not in running:
            yield "its vote lease has no timer that ends it"


def _unwatched(state: RaftState, retried: set[int]) -> Iterator[str]:
    """Peers of a leader that were sent something, and nothing would send it again."""
    for progress in state.role.progress if isinstance(state.role, Leader) else ():
        match progress.state:
            case Probe(asked=True) | SendSnapshot(asked=True):
                waits = True
            case Replicate(inflight):
                waits = bool(inflight)
            case _:
                waits = False
        if waits and progress.peer not in retried:
            yield f"it waits for an answer of node {progress.peer} without a timer"


def _unlimited(state: RaftState, node: Node) -> Iterator[str]:
    """Reads of a leader whose round may go unanswered for ever, and a build that has ended and counts as running."""
    if state.building and node.building is None:
        yield "it waits for a snapshot that nobody builds"
    if isinstance(state.role, Leader):
        for read in state.role.reads:
            if read.round <= state.role.round and lease(read.round) not in node.timers:
                yield f"the reads {list(read.requests)} wait for round {read.round} without a timer"


def _stays(step: Step) -> Iterator[str]:
    before = step.before.role
    by_timer = isinstance(step.event, Fire) and step.event.timer.kind is TimerKind.QUORUM
    lost = isinstance(before, Leader) and before.acked_round <= before.expired_round and not step.before.is_alone
    if by_timer and lost and isinstance(step.after.role, Leader):
        yield "it leads on although no quorum has answered (check-quorum)"


def _dropped(step: Step) -> Iterator[str]:
    """Reads of a leader that no longer leads, and that nobody has answered."""
    if not isinstance(step.before.role, Leader) or isinstance(step.after.role, Leader):
        return
    answered = {request for one in step.commands if isinstance(one, (Refuse, Readable)) for request in one.requests}
    left = [request for read in step.before.role.reads for request in read.requests if request not in answered]
    if left:
        yield f"it no longer leads, and leaves the reads {left} unanswered"
