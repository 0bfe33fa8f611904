"""A driver as a driver should be, in virtual time: what is told to the engine, and what becomes of its commands.

Storage commands go in batches that complete in order, promises are held back until their batch is durable, snapshots
are sent from stored bytes, timers run on clocks that drift. What was not flushed dies in a crash.
"""

import heapq
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, assert_never

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
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.events import (
    Boot,
    Event,
    Fire,
    Receive,
    SnapshotBuilt,
    SnapshotGone,
    Stored,
)
from pyraft_lab.engine.log import Configuration, Entry, Log, SnapshotMeta
from pyraft_lab.engine.membership import (
    Membership,
)
from pyraft_lab.engine.messages import AnyMessage, SnapshotRequest
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Disk, Leader, RaftState, Step
from pyraft_lab.engine.timers import Timer, delay
from pyraft_lab.engine.types import Index, LogId, NodeId, RequestId, Vote
from tests.engine.witness import Witness

Machine = tuple[Index, int]
"""The applied index, and a digest of everything applied so far."""


class Weather(NamedTuple):
    """What may go wrong, as shares."""

    loss: float = 0.05
    duplicate: float = 0.02
    crash: bool = True
    partition: bool = True
    churn: bool = True
    transfer: bool = True
    elect: bool = False
    slow_disk: float = 0.01


STORMY = Weather()


@dataclass
class Flush:
    """One batch on its way to the disk, and the promises that wait for it."""

    commands: list[StorageCommand]
    vote: Vote
    last: LogId
    promises: list[tuple[NodeId, AnyMessage]] = field(default_factory=list)


@dataclass
class Node:
    """One server: the engine's state, and what a driver owns of it."""

    state: RaftState
    disk: Disk
    stored: dict[SnapshotMeta, bytes] = field(default_factory=dict)
    rate: float = 1.0
    up: bool = False
    life: int = 0
    flushes: list[Flush] = field(default_factory=list)
    flushed: float = 0.0
    timers: dict[Timer, float] = field(default_factory=dict)
    built: dict[SnapshotMeta, bytes] = field(default_factory=dict)
    incoming: bytes = b""
    machine: Machine = (0, 0)
    waiting: list[tuple[RequestId, Index]] = field(default_factory=list)


class Driver:
    """Nodes 1 … n, of which the first three begin as voters."""

    def __init__(
        self, seed: int, *, nodes: int = 5, config: Config, weather: Weather = STORMY, rules: Rules = RAFT
    ) -> None:
        self.chance = random.Random(seed)
        self.config, self.weather, self.engine = config, weather, raft(rules)
        self.now = 0.0
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.count = self.steps = self.requests = 0
        self.calm = False
        self.cuts: set[tuple[NodeId, NodeId]] = set()
        self.witness = Witness(rules)
        self.answers: dict[str, int] = {}
        founding = Entry(LogId(0, 0, 1), Configuration(Membership.of(range(1, min(nodes, 3) + 1))))
        disk = Disk(log=Log().append((founding,)))
        self.nodes = {id: Node(self.engine.start(id, disk, config), disk) for id in range(1, nodes + 1)}
        for id, node in self.nodes.items():
            node.rate = self.chance.uniform(0.96, 1.04)
            self.start(id)

    # Time

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.agenda, (self.now + seconds, self.count, act))

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        while self.agenda and self.agenda[0][0] <= end:
            self.now, _, act = heapq.heappop(self.agenda)
            act()
        self.now = end

    def heal(self) -> None:
        """The storm is over: everybody up, everything connected, nothing lost."""
        self.calm = True
        self.cuts.clear()
        for id, node in self.nodes.items():
            if not node.up:
                self.start(id)

    @property
    def leaders(self) -> list[NodeId]:
        """Who leads."""
        return [id for id, node in self.nodes.items() if node.up and isinstance(node.state.role, Leader)]

    # One step

    def feed(self, id: NodeId, event: Event, life: int | None = None) -> None:
        """Hand an event to a node, if that life of it still lasts."""
        node = self.nodes[id]
        if not node.up or life not in (None, node.life):
            return
        turn = self.engine.step(node.state, event)
        node.state, self.steps = turn.after, self.steps + 1
        self.witness.judge(turn, {other: one.disk for other, one in self.nodes.items()})
        self.write_down(id, node, turn)
        for command in turn.commands:
            self.carry_out(id, node, command)

    def write_down(self, id: NodeId, node: Node, turn: Step) -> None:
        """All storage commands of a step are one batch; batches become durable in order."""
        kinds = (SaveVote, Append, Truncate, SaveSnapshot, Purge, WriteChunk, InstallSnapshot)
        batch = [command for command in turn.commands if isinstance(command, kinds)]
        if not batch:
            return
        flush = Flush(batch, turn.after.vote, turn.after.log.last)
        node.flushes.append(flush)
        node.flushed = max(node.flushed, self.now + self.chance.uniform(0.0002, self.weather.slow_disk))
        self.later(node.flushed - self.now, partial(self.complete, id, node.life))

    def complete(self, id: NodeId, life: int) -> None:
        """The oldest batch is durable."""
        node = self.nodes[id]
        if not node.up or node.life != life:
            return
        flush = node.flushes.pop(0)
        for command in flush.commands:
            if isinstance(command, Append):
                self.witness.write(node.disk.log, command.entries)
            node.disk = node.disk.after(command)
            if isinstance(command, (SaveSnapshot, InstallSnapshot)):
                node.stored = {command.meta: node.built[command.meta]} | dict(list(node.stored.items())[:1])
        if not node.flushes:
            assert node.disk == node.state.disk, "the engine's image of the disk is honest"
        for dst, message in flush.promises:
            self.send(id, dst, message)
        self.feed(id, Stored(flush.vote, flush.last))

    def carry_out(self, id: NodeId, node: Node, command: Command) -> None:
        """What a driver does at once; storage commands are on their way already."""
        match command:
            case Send(dst, message, durable) if durable and node.flushes:
                node.flushes[-1].promises.append((dst, message))
            case Send(dst, message):
                self.send(id, dst, message)
            case SendChunk():
                self.send_chunk(id, node, command)
            case SetTimer() | CancelTimer():
                self.set_clock(id, node, command)
            case Apply() | TakeSnapshot() | RestoreMachine() | WriteChunk() | InstallSnapshot():
                self.tell_machine(id, node, command)
            case Accepted() | Readable() | Refuse() | Done() | Alarm() | Halt():
                self.answer(node, command)
            case SaveVote() | Append() | Truncate() | SaveSnapshot() | Purge():
                pass
            case _:
                assert_never(command)

    def set_clock(self, id: NodeId, node: Node, command: SetTimer | CancelTimer) -> None:
        """Timers run on the node's own clock."""
        match command:
            case SetTimer(timer, backoff):
                due = self.now + delay(self.config, timer.kind, backoff, self.chance.random()) * node.rate
                node.timers[timer] = due
                self.later(due - self.now, partial(self.ring, id, node.life, timer, due))
            case CancelTimer(timer):
                for one in [one for one in node.timers if one.kind == timer.kind and timer.key in (0, one.key)]:
                    del node.timers[one]
            case _:
                assert_never(command)

    def tell_machine(
        self, id: NodeId, node: Node, command: Apply | TakeSnapshot | RestoreMachine | WriteChunk | InstallSnapshot
    ) -> None:
        """What concerns the state machine and the bytes of its snapshots."""
        match command:
            case Apply(entries):
                for entry in entries:
                    node.machine = self.witness.apply(node.machine, entry, node.state.vote)
                self.serve(node)
            case TakeSnapshot(last, membership, membership_id):
                assert last.index == node.machine[0], "a snapshot is of what was applied"
                data = repr(node.machine).encode() + b"#" * 100
                meta = SnapshotMeta(last, membership, membership_id, len(data), zlib.crc32(data))
                node.built[meta] = data
                self.later(self.chance.uniform(0.001, 0.05), partial(self.feed, id, SnapshotBuilt(meta), node.life))
            case WriteChunk(_, offset, data):
                node.incoming = node.incoming[:offset] + data
                assert len(node.incoming) == offset + len(data), "chunks are written in order"
            case InstallSnapshot(meta):
                assert zlib.crc32(node.incoming) == meta.checksum, "what is installed is what was sent"
                node.built[meta] = node.incoming
            case RestoreMachine(meta):
                data = node.built.get(meta) or node.stored[meta]
                index, digest = data.rstrip(b"#").decode().strip("()").split(", ")
                node.machine = (int(index), int(digest))
                self.witness.restore(node.machine)
                self.serve(node)
            case _:
                assert_never(command)

    def answer(self, node: Node, command: Accepted | Readable | Refuse | Done | Alarm | Halt) -> None:
        """What clients and operators are told."""
        match command:
            case Readable(requests, at):
                node.waiting += [(request, at.index) for request in requests]
                self.serve(node)
            case Alarm(_, what) | Halt(what):
                raise AssertionError(what)
            case Refuse(_, refusal):
                self.note(type(refusal).__name__)
            case Accepted() | Done():
                self.note(type(command).__name__)
            case _:
                assert_never(command)

    def ring(self, id: NodeId, life: int, timer: Timer, due: float) -> None:
        node = self.nodes[id]
        if node.life == life and node.timers.get(timer) == due:
            del node.timers[timer]
            self.feed(id, Fire(timer), life)

    def serve(self, node: Node) -> None:
        """Reads whose index is applied see the machine as it is."""
        ready = [one for one in node.waiting if one[1] <= node.machine[0]]
        node.waiting = [one for one in node.waiting if one not in ready]
        for request, _ in ready:
            self.witness.read(request, node.machine)
            self.note("read")

    def note(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1

    # The wire

    def send(self, src: NodeId, dst: NodeId, message: AnyMessage) -> None:
        copies = 2 if not self.calm and self.chance.random() < self.weather.duplicate else 1
        for _ in range(copies):
            lost = not self.calm and self.chance.random() < self.weather.loss
            if not lost and (src, dst) not in self.cuts and dst in self.nodes:
                slow = 0.3 if not self.calm and self.chance.random() < 0.01 else 0.01
                self.later(self.chance.uniform(0.0005, slow), partial(self.feed, dst, Receive(src, message)))

    def send_chunk(self, id: NodeId, node: Node, chunk: SendChunk) -> None:
        data = node.stored.get(chunk.meta) or node.built.get(chunk.meta)
        if data is None:
            self.later(0, partial(self.feed, id, SnapshotGone(chunk.dst), node.life))
            return
        part = data[chunk.offset : chunk.offset + chunk.length]
        done = chunk.offset + len(part) >= chunk.meta.size
        request = SnapshotRequest(
            vote=chunk.vote, meta=chunk.meta, offset=chunk.offset, data=part, done=done, round=chunk.round
        )
        self.send(id, chunk.dst, request)

    # Life and death

    def start(self, id: NodeId) -> None:
        """From the disk, and from nothing else."""
        node = self.nodes[id]
        node.life, node.up = node.life + 1, True
        node.flushes, node.flushed, node.timers, node.waiting = [], self.now, {}, []
        node.machine, node.incoming, node.built = (0, 0), b"", {}
        node.state = self.engine.start(id, node.disk, self.config)
        self.feed(id, Boot())

    def crash(self, id: NodeId) -> None:
        """What was not durable is gone."""
        self.nodes[id].up = False
