"""A cluster on a stage: whatever is told happens in the order in which it was brought about, a millisecond apart.

No chance and no timers: a script fires them by hand, so that its story is the same for ever.
"""

from collections import deque
from collections.abc import Iterable
from zlib import crc32

from msgspec import Struct
from msgspec.msgpack import encode

from pyraft_lab.engine.commands import (
    Append,
    Command,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SaveVote,
    Send,
    SendChunk,
    TakeSnapshot,
    Truncate,
    WriteChunk,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.events import Boot, Event, Fire, Propose, Receive, SnapshotBuilt, Stored
from pyraft_lab.engine.log import Configuration, Entry, Log, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AnyMessage, SnapshotRequest
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Disk, Leader, RaftState, Step
from pyraft_lab.engine.timers import ELECTION, VOTE_LEASE, Timer, lease
from pyraft_lab.engine.types import LogId, NodeId
from pyraft_lab.trace.record import EventId, Fate, Flight, Record, record_step
from pyraft_lab.trace.story import story

WRITES = (SaveVote, Append, Truncate, SaveSnapshot, Purge, WriteChunk, InstallSnapshot)
QUIET = Config(pre_vote=False, snapshot_logs_since_last=None)


class Act(Struct):
    """What is about to happen: an event at a node, the message it came by, and the promises that then may leave."""

    node: NodeId
    event: Event
    cause: EventId | None = None
    flight: Flight | None = None
    held: tuple[tuple[NodeId, AnyMessage], ...] = ()


class Stage:
    """Servers, the acts that wait, and what has happened."""

    def __init__(
        self, voters: int = 3, *, learners: Iterable[NodeId] = (), config: Config = QUIET, rules: Rules = RAFT
    ) -> None:
        members = Membership.of(range(1, voters + 1), learners=learners)
        first = Disk(log=Log().append((Entry(LogId(0, 0, 1), Configuration(members)),)))
        self.engine, self.config = raft(rules), config
        self.states: dict[NodeId, RaftState] = {}
        self.records: list[Record] = []
        self.waiting: deque[Act] = deque()
        self.cut: set[NodeId] = set()
        self.bytes: dict[SnapshotMeta, bytes] = {}
        self.flown = 0
        for node in members:
            self.start(node, first)
        self.records.clear()

    # What a script says

    def start(self, node: NodeId, disk: Disk) -> Step:
        """A server starts from ``disk``, and any vote lease it had is over."""
        self.states[node] = self.engine.start(node, disk, self.config)
        booted = self.tell(node, Boot())
        self.states[node] = self.engine.step(self.states[node], Fire(VOTE_LEASE)).after
        return booted

    def tell(self, node: NodeId, event: Event) -> Step:
        """Something happens at a node now, from outside."""
        return self._play(Act(node, event))

    def fire(self, node: NodeId, timer: Timer = ELECTION) -> Step:
        """A timer runs out."""
        return self.tell(node, Fire(timer))

    def write(self, node: NodeId, *values: int) -> Step:
        """Clients write x=value."""
        payloads = tuple(Normal(encode({"op": "put", "key": "x", "value": value})) for value in values)
        return self.tell(node, Propose(requests=tuple(range(len(values))), payloads=payloads))

    def run(self) -> "Stage":
        """Everything that waits happens, and what that brings about."""
        while self.waiting:
            self.play()
        return self

    def play(self) -> Step:
        """The next thing happens."""
        return self._play(self.waiting.popleft())

    def elect(self, node: NodeId) -> "Stage":
        """``node`` campaigns and wins, and its first entry is committed everywhere."""
        self.tire()
        self.fire(node)
        return self.run()

    def tire(self) -> None:
        """Every lease and every vote lease is over; nobody tells of it."""
        for node, state in self.states.items():
            over = lease(state.role.round) if isinstance(state.role, Leader) else VOTE_LEASE
            self.states[node] = self.engine.step(state, Fire(over)).after

    def forget(self) -> "Stage":
        """The story begins anew from here."""
        self.records.clear()
        return self

    def story(self) -> list[str]:
        """What happened since, without the times."""
        return [line.split(" ", 1)[1] for line in story(self.records).splitlines()]

    # How it happens

    def _play(self, act: Act) -> Step:
        step = self.engine.step(self.states[act.node], act.event)
        self.states[act.node] = step.after
        id = len(self.records)
        promised = [self._fly(act.node, dst, message, act.cause or 0) for dst, message in act.held]
        sent = promised + [self._fly(act.node, dst, message, id) for dst, message in self._leaving(step)]
        self._write(step, id)
        flight = act.flight.id if act.flight else None
        record = record_step(step, id=id, time=id / 1000, cause=act.cause, message=flight, sent=sent)
        self.records.append(record)
        return step

    def _leaving(self, step: Step) -> list[tuple[NodeId, AnyMessage]]:
        writes = any(isinstance(command, WRITES) for command in step.commands)
        return [
            (command.dst, self._message(command))
            for command in step.commands
            if isinstance(command, SendChunk) or (isinstance(command, Send) and not (command.durable and writes))
        ]

    def _message(self, command: Send | SendChunk) -> AnyMessage:
        if isinstance(command, Send):
            return command.message
        data = self.bytes[command.meta][command.offset :][: command.length]
        done = command.offset + len(data) >= command.meta.size
        return SnapshotRequest(
            vote=command.vote, meta=command.meta, offset=command.offset, data=data, done=done, round=command.round
        )

    def _fly(self, src: NodeId, dst: NodeId, message: AnyMessage, cause: EventId) -> Flight:
        self.flown += 1
        cut = src in self.cut or dst in self.cut or dst not in self.states
        fate = Fate.CUT if cut else Fate.FLYING
        flight = Flight(id=self.flown, src=src, dst=dst, message=message, sent=cause / 1000, cause=cause, fate=fate)
        if not cut:
            self.waiting.append(Act(dst, Receive(src, message), cause, flight))
        return flight

    def _write(self, step: Step, cause: EventId) -> None:
        after = step.after
        if any(isinstance(command, WRITES) for command in step.commands):
            held = tuple((one.dst, one.message) for one in step.commands if isinstance(one, Send) and one.durable)
            self.waiting.append(Act(after.id, Stored(after.vote, after.log.last), cause, held=held))
        for command in step.commands:
            self._build(command, after.id, cause)

    def _build(self, command: Command, node: NodeId, cause: EventId) -> None:
        if isinstance(command, TakeSnapshot):
            data = b"%100d" % command.last.index
            meta = SnapshotMeta(command.last, command.membership, command.membership_id, len(data), crc32(data))
            self.bytes[meta] = data
            self.waiting.append(Act(node, SnapshotBuilt(meta), cause))
