"""One server as the explorer sees it: Raft's state, a disk that may lag behind, the timers that are set.

No time and no chance: what a server does next depends on nothing but its :class:`ServerState` and what happens to it,
so that the explorer may compute every such pair once. Each engine step leaves :data:`Facts`, by which promises are
judged.
"""

from typing import NamedTuple
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.explore.leases import Round, lease_expired, lease_restarted, leases_ended, round_heard
from pyraft_lab.check.explore.reads import LocalFact, LocalFacts, ReadRefused, ReadServed
from pyraft_lab.engine.commands import (
    Append,
    CancelTimer,
    Command,
    InstallSnapshot,
    Purge,
    Readable,
    Refuse,
    SaveSnapshot,
    SaveVote,
    Send,
    SendChunk,
    SetTimer,
    StorageCommand,
    TakeSnapshot,
    Truncate,
)
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import Boot, Event, Fire, SnapshotBuilt, Stored
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.state import Disk, RaftState
from pyraft_lab.engine.timers import VOTE_LEASE, Timer, stopped_by
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import StorageFailed
from pyraft_lab.sim.facts import Halted, facts_of

SNAPSHOT = bytes(1024)
"""Every snapshot of a search. It travels in one chunk unless ``Config.snapshot_chunk`` is smaller."""


class Message(Struct, frozen=True):
    """A message on its way."""

    src: NodeId
    dst: NodeId
    message: AnyMessage


class Write(Struct, frozen=True):
    """The unsynced writes of one step, the event that reports their sync, and the messages that wait for it."""

    commands: tuple[StorageCommand, ...]
    stored: Stored
    held: tuple[Message, ...] = ()


class ServerState(Struct, frozen=True, cache_hash=True):
    """One server: Raft's state, the disk as a crash would leave it, the unsynced writes, and the running timers.

    ``heard`` is the leader's round with which its vote lease began, as long as that runs.
    """

    state: RaftState
    disk: Disk
    queue: tuple[Write, ...] = ()
    timers: frozenset[Timer] = frozenset()
    heard: Round | None = None


class LocalStep(NamedTuple):
    """The result of an action on a server: the server after it, the messages it sent, and the facts."""

    after: ServerState
    sent: tuple[Message, ...] = ()
    facts: LocalFacts = ()


def turn(engine: Engine, local: ServerState, event: Event) -> LocalStep:
    """One step of Raft and its commands; what it wrote is not durable yet."""
    step = engine.step(local.state, event)
    hands = _CommandExecutor(local, step.after, round_heard(event))
    for command in step.commands:
        hands.execute(command)
    leases = (*lease_expired(local.state, event), *leases_ended(local.state, step.after))
    facts = (*leases, *facts_of(step), *hands.facts)
    move = LocalStep(hands.local(), tuple(hands.sent), facts)
    for news in hands.stored:
        move = join(move, turn(engine, move.after, news))
    return move


def expire(engine: Engine, local: ServerState, timer: Timer) -> LocalStep:
    """A timer runs out."""
    return turn(engine, replace(local, timers=local.timers - {timer}), Fire(timer))


def sync(engine: Engine, local: ServerState) -> LocalStep:
    """The oldest write becomes durable: its messages are sent, and the server gets ``Stored``."""
    write, *rest = local.queue
    disk = local.disk
    for command in write.commands:
        disk = disk.after(command)
    move = turn(engine, replace(local, disk=disk, queue=tuple(rest)), write.stored)
    return LocalStep(move.after, write.held + move.sent, move.facts)


def settle(engine: Engine, move: LocalStep) -> LocalStep:
    """Sync everything that a move wrote, and what follows from that, as if disks took no time."""
    while move.after.queue:
        move = join(move, sync(engine, move.after))
    return move


def restart(engine: Engine, local: ServerState) -> LocalStep:
    """The server crashes and comes back with what its disk holds, unless Raft could not have written that."""
    node, over = local.state.id, leases_ended(local.state, None)
    try:
        state = engine.start(node, local.disk, local.state.config)
    except StorageFailed as error:
        why = str(error)
        return LocalStep(ServerState(replace(local.state, halted=why), local.disk), facts=(*over, Halted(node, why)))
    move = turn(engine, ServerState(state, local.disk, heard=local.heard), Boot())
    return move._replace(facts=over + move.facts)


def join(first: LocalStep, then: LocalStep) -> LocalStep:
    """Two moves of one server as one."""
    return LocalStep(then.after, first.sent + then.sent, first.facts + then.facts)


class _CommandExecutor:
    """Carries out the commands of one step; the machine builds a snapshot at once, of zeros."""

    def __init__(self, local: ServerState, state: RaftState, heard: Round | None) -> None:
        self.before, self.state, self.heard = local, state, heard
        self.timers = set(local.timers)
        self.writes: list[StorageCommand] = []
        self.sent: list[Message] = []
        self.held: list[Message] = []
        self.stored: list[Event] = []
        self.facts: list[LocalFact] = []

    def execute(self, command: Command) -> None:
        match command:
            case Send(dst, message, durable):
                self._send(Message(self.state.id, dst, message), waits=durable)
            case SetTimer(timer):
                self.timers.add(timer)
                self.facts += lease_restarted(self.before.state, timer)
            case CancelTimer(timer):
                self.timers.difference_update(stopped_by(timer, self.timers))
            case SaveVote() | Append() | Truncate() | Purge() | SaveSnapshot() | InstallSnapshot():
                self.writes.append(command)
            case SendChunk():
                self._send_chunk(command)
            case TakeSnapshot(last, membership, membership_id):
                size, checksum = len(SNAPSHOT), crc32(SNAPSHOT)
                meta = SnapshotMeta(last, membership, membership_id, size=size, checksum=checksum)
                self.stored.append(SnapshotBuilt(meta))
            case _:
                self._note_read(command)

    def _note_read(self, command: Command) -> None:
        match command:
            case Readable(requests, at):
                self.facts += [ReadServed(self.state.id, request, at.index) for request in requests]
            case Refuse(requests):
                self.facts += [ReadRefused(request) for request in requests if request]
            case _:
                pass

    def local(self) -> ServerState:
        """The server after all commands."""
        heard = (self.heard or self.before.heard) if VOTE_LEASE in self.timers else None
        return ServerState(self.state, self.before.disk, self._queue(), frozenset(self.timers), heard)

    def _send(self, message: Message, *, waits: bool) -> None:
        (self.held if waits and (self.writes or self.before.queue) else self.sent).append(message)

    def _send_chunk(self, chunk: SendChunk) -> None:
        data = SNAPSHOT[chunk.offset : chunk.offset + chunk.length]
        self._send(Message(self.state.id, chunk.dst, chunk.request(data)), waits=False)

    def _queue(self) -> tuple[Write, ...]:
        queue, held = self.before.queue, tuple(self.held)
        if self.writes:
            news = Stored(self.state.vote, self.state.log.last)
            return (*queue, Write(tuple(self.writes), news, held))
        return (*queue[:-1], replace(queue[-1], held=queue[-1].held + held)) if held else queue
