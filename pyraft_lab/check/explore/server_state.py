"""One server as the explorer sees it: Raft's state, a disk that may lag behind, the timers that are set.

No time and no chance: what a server does next depends on nothing but its :class:`ServerState` and what happens to it,
so that the explorer may compute every such pair once. Each engine step leaves :data:`Facts`, by which promises are
judged.
"""

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.check.explore.reads import LocalFacts, ReadRefused, ReadServed
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
from pyraft_lab.engine.timers import Timer, stopped_by
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import StorageFailed
from pyraft_lab.sim.facts import Stopped, facts_of


class Message(Struct, frozen=True):
    """A message on its way."""

    src: NodeId
    dst: NodeId
    message: AnyMessage


class Write(Struct, frozen=True):
    """What one step wrote and is not durable yet, the news that it is, and the messages that wait for it."""

    commands: tuple[StorageCommand, ...]
    stored: Stored
    held: tuple[Message, ...] = ()


class ServerState(Struct, frozen=True, cache_hash=True):
    """One server: what it thinks, what its disk would hold after a crash, what is being written, which timers run."""

    state: RaftState
    disk: Disk
    queue: tuple[Write, ...] = ()
    timers: frozenset[Timer] = frozenset()


class LocalStep(NamedTuple):
    """The result of an action on a server: the server after it, the messages it sent, and the facts."""

    after: ServerState
    sent: tuple[Message, ...] = ()
    facts: LocalFacts = ()


def turn(engine: Engine, local: ServerState, event: Event) -> LocalStep:
    """One turn of Raft; what it wrote is not durable yet."""
    step = engine.step(local.state, event)
    hands = _CommandExecutor(local, step.after)
    for command in step.commands:
        hands.execute(command)
    move = LocalStep(hands.local(), tuple(hands.sent), (*facts_of(step), *hands.reads))
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
    """As if disks were instant: everything that a move wrote becomes durable, and all that follows from it."""
    while move.after.queue:
        move = join(move, sync(engine, move.after))
    return move


def restart(engine: Engine, local: ServerState) -> LocalStep:
    """The server crashes and comes back with what its disk holds, unless Raft could not have written that."""
    node = local.state.id
    try:
        state = engine.start(node, local.disk, local.state.config)
    except StorageFailed as error:
        why = str(error)
        return LocalStep(ServerState(replace(local.state, halted=why), local.disk), facts=(Stopped(node, why),))
    return turn(engine, ServerState(state, local.disk), Boot())


def join(first: LocalStep, then: LocalStep) -> LocalStep:
    """Two moves of one server as one."""
    return LocalStep(then.after, first.sent + then.sent, first.facts + then.facts)


class _CommandExecutor:
    """Carries out the commands of one step; the machine builds a snapshot at once, and a snapshot has no bytes."""

    def __init__(self, local: ServerState, state: RaftState) -> None:
        self.before, self.state = local, state
        self.timers = set(local.timers)
        self.writes: list[StorageCommand] = []
        self.sent: list[Message] = []
        self.held: list[Message] = []
        self.stored: list[Event] = []
        self.reads: list[ReadServed | ReadRefused] = []

    def execute(self, command: Command) -> None:
        match command:
            case Send(dst, message, durable):
                self._send(Message(self.state.id, dst, message), waits=durable)
            case SetTimer(timer):
                self.timers.add(timer)
            case CancelTimer(timer):
                self.timers.difference_update(stopped_by(timer, self.timers))
            case SaveVote() | Append() | Truncate() | Purge() | SaveSnapshot() | InstallSnapshot():
                self.writes.append(command)
            case SendChunk():
                self._send_chunk(command)
            case TakeSnapshot(last, membership, membership_id):
                self.stored.append(SnapshotBuilt(SnapshotMeta(last, membership, membership_id)))
            case _:
                self._note_read(command)

    def _note_read(self, command: Command) -> None:
        match command:
            case Readable(requests, at):
                self.reads += [ReadServed(self.state.id, request, at.index) for request in requests]
            case Refuse(requests):
                self.reads += [ReadRefused(request) for request in requests if request]
            case _:
                pass

    def local(self) -> ServerState:
        """The server once everything is carried out."""
        return ServerState(self.state, self.before.disk, self._queue(), frozenset(self.timers))

    def _send(self, message: Message, *, waits: bool) -> None:
        (self.held if waits and (self.writes or self.before.queue) else self.sent).append(message)

    def _send_chunk(self, chunk: SendChunk) -> None:
        """The first chunk is the whole snapshot, and always of the newest there is."""
        self._send(Message(self.state.id, chunk.dst, chunk.request(b"")), waits=False)

    def _queue(self) -> tuple[Write, ...]:
        queue, held = self.before.queue, tuple(self.held)
        if self.writes:
            news = Stored(self.state.vote, self.state.log.last)
            return (*queue, Write(tuple(self.writes), news, held))
        return (*queue[:-1], replace(queue[-1], held=queue[-1].held + held)) if held else queue
