"""A cluster driven by hand: messages fly, disks write and timers fire when a test says so, and not before."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import assert_never
from zlib import crc32

import msgspec
from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Accepted,
    Alarm,
    Append,
    Apply,
    CancelTimer,
    Command,
    Done,
    Halt,
    InstallSnapshot,
    Purge,
    Readable,
    Refusal,
    Refuse,
    RestoreMachine,
    SaveSnapshot,
    SaveVote,
    Send,
    SendChunk,
    SetTimer,
    StorageCommand,
    TakeSnapshot,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Boot, Event, Fire, Receive, SnapshotBuilt, SnapshotGone, Stored
from pyraft_lab.engine.log import Entry, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AnyMessage, SnapshotRequest
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import Disk, Leader, RaftState, Step
from pyraft_lab.engine.timers import ELECTION, HEARTBEAT, Timer, TimerKind
from pyraft_lab.engine.types import Index, LogId, NodeId, RequestId, Term, Vote
from tests.engine.builders import EAGER, VOTERS, Terms, disk, propose

NOTHING = msgspec.msgpack.encode([])


class Flight(msgspec.Struct, frozen=True):
    """A message on its way."""

    src: NodeId
    dst: NodeId
    message: AnyMessage


class Writing(msgspec.Struct):
    """A batch of storage commands on its way to the disk, and what must not leave before it is there."""

    done: Stored
    commands: list[StorageCommand]
    then: list[Flight]


class Node:
    """One server: Raft's state, its disk and what is being written to it, its timers, its machine (a list)."""

    def __init__(self, id: NodeId, durable: Disk) -> None:
        self.id = id
        self.disk = durable
        self.snapshots: dict[SnapshotMeta, bytes] = {}
        self.state = RaftState(id=id)
        self.switch_on()

    def switch_on(self) -> None:
        """Everything but the disk and its snapshots is forgotten."""
        self.up = True
        self.writing: list[Writing] = []
        self.timers: dict[Timer, int] = {}
        self.machine: list[bytes] = []
        self.incoming = b""
        self.waiting: dict[Index, tuple[RequestId, LogId]] = {}


class Cluster:
    """Nodes, the messages between them, and what clients were told; safety is checked at every step."""

    def __init__(
        self,
        *ids: NodeId,
        logs: Mapping[NodeId, Terms] | None = None,
        votes: Mapping[NodeId, Vote] | None = None,
        config: Config = EAGER,
        rules: Rules = RAFT,
        membership: Membership | None = None,
    ) -> None:
        self.config, self.rules = config, rules
        self.flying: list[Flight] = []
        self.notices: list[tuple[NodeId, Event]] = []
        self.cuts: set[tuple[NodeId, NodeId]] = set()
        self.outcomes: dict[RequestId, Entry | Refusal | str] = {}
        self.steps: list[Step] = []
        self.leaders: dict[Term, set[NodeId]] = defaultdict(set)
        self.applied: dict[Index, LogId] = {}
        members = membership if membership is not None else Membership.of(ids or VOTERS)
        given, voted = logs or {}, votes or {}
        self.nodes: dict[NodeId, Node] = {}
        for id in ids or VOTERS:
            self.nodes[id] = Node(id, disk(given.get(id, ()), vote=voted.get(id), membership=members))
            self.restart(id)

    def __getitem__(self, id: NodeId) -> RaftState:
        return self.nodes[id].state

    @property
    def leader(self) -> NodeId:
        """Who leads in the latest term, among those that are up; 0 for nobody."""
        leading = [
            (node.state.term, id) for id, node in self.nodes.items() if node.up and isinstance(node.state.role, Leader)
        ]
        return max(leading)[1] if leading else 0

    # What a test does

    def feed(self, id: NodeId, event: Event) -> Step:
        """One event for one node."""
        node = self.nodes[id]
        assert node.up, f"node {id} is down"
        turn = step(node.state, event, self.rules)
        node.state = turn.after
        self.steps.append(turn)
        batch = Writing(Stored(turn.after.vote, turn.after.log.last), [], [])
        for command in turn.commands:
            self._execute(node, command, batch)
        self._check(turn)
        return turn

    def fire(self, id: NodeId, timer: Timer = ELECTION) -> Step:
        """A timer that is running runs out."""
        assert timer in self.nodes[id].timers, f"node {id} waits for {sorted(self.nodes[id].timers)}, not for {timer}"
        del self.nodes[id].timers[timer]
        return self.feed(id, Fire(timer))

    def elect(self, id: NodeId) -> None:
        """Its election timer runs out, and it wins."""
        self.fire(id)
        self.run()
        assert self.leader == id, f"node {self.leader} leads"

    def write(self, *data: str, to: NodeId = 0, first: RequestId = 1) -> Step:
        """Clients write; their requests are numbered from ``first``."""
        return self.feed(to or self.leader, propose(*data, first=first))

    def beat(self, id: NodeId = 0) -> None:
        """The leader's heartbeat is due, and everything that follows from it."""
        self.fire(id or self.leader, HEARTBEAT)
        self.run()

    def retry(self, id: NodeId = 0) -> None:
        """Every answer the leader waits for is overdue: what was lost goes out again."""
        leader = id or self.leader
        self.run()
        leader = leader or self.leader
        for timer in sorted(timer for timer in self.nodes[leader].timers if timer.kind is TimerKind.RETRY):
            if timer in self.nodes[leader].timers:
                self.fire(leader, timer)
                self.run()

    def deliver(self, flight: Flight) -> None:
        """One message arrives, or is lost on a cut link or at a dead node."""
        self.flying.remove(flight)
        if (flight.src, flight.dst) not in self.cuts and self.nodes[flight.dst].up:
            self.feed(flight.dst, Receive(flight.src, flight.message))

    def complete(self, id: NodeId) -> None:
        """The oldest batch of a node's writes is on its disk."""
        node = self.nodes[id]
        batch = node.writing.pop(0)
        for command in batch.commands:
            node.disk = node.disk.after(command)
        self.flying.extend(batch.then)
        self.feed(id, batch.done)

    def run(
        self,
        hold: Callable[[Flight], bool] = lambda _: False,
        *,
        slow: Iterable[NodeId] = (),
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Deliver and write until nothing is left; ``hold`` keeps messages flying, ``slow`` disks keep writing."""
        slow = frozenset(slow)
        for _ in range(20_000):
            if until():
                return
            writers = [id for id, node in self.nodes.items() if node.up and node.writing and id not in slow]
            flights = [flight for flight in self.flying if not hold(flight)]
            if self.notices:
                self.feed(*self.notices.pop(0))
            elif writers:
                self.complete(writers[0])
            elif flights:
                self.deliver(flights[0])
            else:
                return
        raise AssertionError("the cluster does not come to rest")

    def lose(self, which: Callable[[Flight], bool] = lambda _: True) -> None:
        """Messages are lost."""
        self.flying = [flight for flight in self.flying if not which(flight)]

    def cut(self, *links: tuple[NodeId, NodeId]) -> None:
        """These links lose whatever they carry, one way each."""
        self.cuts.update(links)

    def isolate(self, *ids: NodeId) -> None:
        """These nodes and the others hear nothing of each other."""
        others = [id for id in self.nodes if id not in ids]
        self.cut(*((a, b) for a in ids for b in others), *((b, a) for a in ids for b in others))

    def heal(self) -> None:
        """Every link works."""
        self.cuts.clear()

    def crash(self, id: NodeId) -> None:
        """Power is lost: what is not on the disk is gone."""
        self.nodes[id].up = False
        self.notices = [(to, event) for to, event in self.notices if to != id]
        for request, _ in self.nodes[id].waiting.values():
            self.outcomes[request] = "unknown"

    def restart(self, id: NodeId) -> Step:
        """Start from the disk."""
        node = self.nodes[id]
        node.switch_on()
        node.state = start(id, node.disk, self.config)
        return self.feed(id, Boot())

    # What a driver does

    def _execute(self, node: Node, command: Command, batch: Writing) -> None:
        match command:
            case SaveVote() | Append() | Truncate() | SaveSnapshot() | Purge() | WriteChunk() | InstallSnapshot():
                self._write(node, command, batch)
            case Send(dst, message, durable):
                leaving = node.writing[-1].then if durable and node.writing else self.flying
                leaving.append(Flight(node.id, dst, message))
            case SendChunk():
                self._send_chunk(node, command)
            case SetTimer(timer, backoff):
                node.timers[timer] = backoff
            case CancelTimer(timer):
                node.timers = {t: p for t, p in node.timers.items() if not _stops(timer, t)}
            case Apply() | TakeSnapshot() | RestoreMachine():
                self._command_machine(node, command)
            case _:
                self._answer(node, command)

    def _answer(self, node: Node, command: Accepted | Refuse | Done | Readable | Alarm | Halt) -> None:
        match command:
            case Accepted(requests, first):
                for place, request in enumerate(requests):
                    node.waiting[first.index + place] = (request, replace(first, index=first.index + place))
            case Refuse(requests, refusal):
                self.outcomes.update(dict.fromkeys(requests, refusal))
            case Done(request):
                self.outcomes[request] = "done"
            case Readable(requests, at):
                self.outcomes.update(dict.fromkeys(requests, f"readable at {at.index}"))
            case Alarm() | Halt():
                pass
            case _:
                assert_never(command)

    def _write(self, node: Node, command: StorageCommand, batch: Writing) -> None:
        if not batch.commands:
            node.writing.append(batch)
        batch.commands.append(command)
        match command:
            case WriteChunk(offset=offset, data=data):
                node.incoming = node.incoming[:offset] + data
            case InstallSnapshot(meta):
                node.snapshots[meta] = node.incoming
            case Truncate(after):
                self._give_up(node, lambda index: index > after)
            case _:
                pass

    def _send_chunk(self, node: Node, chunk: SendChunk) -> None:
        stored = node.snapshots.get(chunk.meta)
        if stored is None:
            self.notices.append((node.id, SnapshotGone(chunk.dst)))
            return
        data = stored[chunk.offset : chunk.offset + chunk.length]
        done = chunk.offset + len(data) >= chunk.meta.size
        message = SnapshotRequest(
            vote=chunk.vote, meta=chunk.meta, offset=chunk.offset, data=data, done=done, round=chunk.round
        )
        self.flying.append(Flight(node.id, chunk.dst, message))

    def _command_machine(self, node: Node, command: Apply | TakeSnapshot | RestoreMachine) -> None:
        match command:
            case Apply(entries):
                for entry in entries:
                    self._apply(node, entry)
            case TakeSnapshot(last, membership, membership_id):
                data = msgspec.msgpack.encode(node.machine)
                meta = SnapshotMeta(last, membership, membership_id, len(data), crc32(data))
                node.snapshots[meta] = data
                self.notices.append((node.id, SnapshotBuilt(meta)))
            case RestoreMachine(meta):
                node.machine = msgspec.msgpack.decode(node.snapshots.get(meta, NOTHING), type=list[bytes])
                self._give_up(node, lambda index: index <= meta.last.index)
            case _:
                assert_never(command)

    def _apply(self, node: Node, entry: Entry) -> None:
        assert self.applied.setdefault(entry.index, entry.id) == entry.id, f"two entries are applied at {entry.index}"
        if isinstance(entry.payload, Normal):
            node.machine.append(entry.payload.data)
        request, id = node.waiting.pop(entry.index, (0, entry.id))
        if request:
            self.outcomes[request] = entry if id == entry.id else "unknown"

    def _give_up(self, node: Node, lost: Callable[[Index], bool]) -> None:
        for index in [index for index in node.waiting if lost(index)]:
            self.outcomes[node.waiting.pop(index)[0]] = "unknown"

    def _check(self, turn: Step) -> None:
        state = turn.after
        if isinstance(state.role, Leader):
            self.leaders[state.term].add(state.id)
            only = len(self.leaders[state.term]) == 1 or self.rules.supersedes is not RAFT.supersedes
            assert only, f"term {state.term} has leaders {self.leaders[state.term]}"
        assert turn.before.applied <= state.applied <= state.committed <= state.log.last.index
        written = self.nodes[state.id].disk
        for batch in self.nodes[state.id].writing:
            for command in batch.commands:
                written = written.after(command)
        assert written == state.disk, "the state's image of the disk is what the disk will hold"


def _stops(cancelled: Timer, timer: Timer) -> bool:
    return timer == cancelled or (not cancelled.key and timer.kind == cancelled.kind)
