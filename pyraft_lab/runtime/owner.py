"""One task owns one engine: it takes all that waits, turns the crank, and carries out what comes of it.

::

    letters  timers  requests  Stored          ┌─▶ wire: what may leave at once
        └───────┴────────┴────────┴──▶ step ───┼─▶ disk: one batch ──▶ what had to wait for it
                                               ├─▶ machine: apply, in order ──▶ answers
                                               └─▶ clock
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from msgspec import Struct

from pyraft_lab.engine.commands import (
    Alarm,
    Append,
    Apply,
    CancelTimer,
    Command,
    Halt,
    InstallSnapshot,
    Purge,
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
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import (
    Boot,
    Event,
    Fire,
    Propose,
    Read,
    ReadPolicy,
    Receive,
    SnapshotBuilt,
    SnapshotGone,
    Stored,
    Unreachable,
)
from pyraft_lab.engine.log import Blank, Normal
from pyraft_lab.engine.messages import SnapshotRequest
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.errors import DuplicateNode, Fatal, Panicked
from pyraft_lab.ledger import Ledger
from pyraft_lab.machine import Sessions
from pyraft_lab.network.base import Endpoint, Notice, PeerGone, Usurped
from pyraft_lab.network.codec import Letter
from pyraft_lab.runtime.clock import Clock
from pyraft_lab.runtime.disk import DiskQueue
from pyraft_lab.runtime.machinist import Machinist, Work
from pyraft_lab.runtime.requests import OpenRequests
from pyraft_lab.storage.base import Storage

LETTERS, WRITES = 512, 2048
"""The most letters and writes of one turn: a flood must not keep the heartbeats waiting."""


class Turned(Struct, frozen=True, kw_only=True):
    """What an observer is told of a step: when, which letter it received, and which it sends, in order."""

    time: float
    id: int
    cause: int
    received: int
    sent: tuple[int, ...]
    step: Step


Observer = Callable[[Turned], None]
Fence = tuple[int, NodeId] | None


class Owner:
    """The inside of a live node; everything here happens on its own loop."""

    def __init__(
        self,
        state: RaftState,
        engine: Engine,
        *,
        storage: Storage,
        machine: Sessions,
        observers: Sequence[Observer],
        chance: random.Random,
        numbers: Iterator[int],
    ) -> None:
        self.state, self.engine = state, engine
        self.ledger = Ledger()
        self.requests = OpenRequests()
        self.clock = Clock(self.wake, chance)
        self.disk = DiskQueue(storage, self.tell)
        self.machinist = Machinist(machine, storage, self.disk, carried_out=self._applied, built=self._built)
        self.endpoint: Endpoint | None = None
        self.changed: Callable[[], None] = lambda: None
        self._storage, self._observers, self._numbers = storage, observers, numbers
        self._awake = asyncio.Event()
        self._told: deque[Event] = deque()
        self._letters: deque[tuple[NodeId, Letter]] = deque()
        self._writes: deque[tuple[RequestId, Normal | Blank, Fence]] = deque()
        self._reads: deque[tuple[RequestId, ReadPolicy]] = deque()
        self._fatal: Fatal | None = None
        self._group = asyncio.TaskGroup()

    # What comes in; never waits

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    def tell(self, event: Event) -> None:
        """Queue an event."""
        self._told.append(event)
        self._awake.set()

    def receive(self, src: NodeId, letters: Sequence[Letter]) -> None:
        """Queue what arrived."""
        self._letters.extend((src, letter) for letter in letters)
        self._awake.set()

    def notice(self, notice: Notice) -> None:
        """What the network has to say beside letters."""
        match notice:
            case PeerGone(peer):
                self.tell(Unreachable(peer))
            case Usurped(node):
                self._fatal = DuplicateNode(node)
                self._awake.set()
            case _:
                pass  # Raft's own timers judge who can be reached

    def write(self, ids: Sequence[RequestId], payloads: Sequence[Normal | Blank], fence: Fence = None) -> None:
        """Queue clients' writes; all that wait are proposed together."""
        self._writes.extend((id, payload, fence) for id, payload in zip(ids, payloads, strict=True))
        self._awake.set()

    def read(self, id: RequestId, policy: ReadPolicy) -> None:
        """Queue a read; all that wait share one round."""
        self._reads.append((id, policy))
        self._awake.set()

    # The crank

    async def run(self, endpoint: Endpoint) -> None:
        """Live; returns never, raises what ended it."""
        self.endpoint = endpoint
        try:
            async with self._group as group:
                group.create_task(self.disk.run())
                group.create_task(self.machinist.run())
                group.create_task(self._crank())
        finally:
            self.clock.stop()

    def attend(self, work: Coroutine[Any, Any, None]) -> None:
        """Let ``work`` live and die with the node; its exception is the node's."""
        self._group.create_task(work)

    async def _crank(self) -> None:
        self._turn(Boot())
        while True:
            self.changed()
            await self._awake.wait()
            self._awake.clear()
            self._take_all()
            if self._fatal is not None:
                raise self._fatal
            await asyncio.sleep(0)

    def _take_all(self) -> None:
        """All that waits, letters before timers: a leader that was heard is not suspected for our own slowness."""
        while self._told:
            self._turn(self._told.popleft())
        for _ in range(min(len(self._letters), LETTERS)):
            src, letter = self._letters.popleft()
            self._turn(Receive(src, letter.message), cause=letter.cause, received=letter.id)
        requests: tuple[Event, ...] = (*self._proposals(), *self._questions())
        for event in requests:
            self._turn(event)
        while (timer := self.clock.take_due()) is not None:
            self._turn(Fire(timer))
        if self._letters or self._writes:
            self._awake.set()

    def _proposals(self) -> list[Propose]:
        """The writes that wait, merged; those behind another fence go apart."""
        taken = [self._writes.popleft() for _ in range(min(len(self._writes), WRITES))]
        return [
            Propose(
                requests=tuple(id for id, _, theirs in taken if theirs == fence),
                payloads=tuple(payload for _, payload, theirs in taken if theirs == fence),
                leader=fence,
            )
            for fence in dict.fromkeys(fence for _, _, fence in taken)
        ]

    def _questions(self) -> list[Read]:
        taken, self._reads = self._reads, deque()
        policies = dict.fromkeys(policy for _, policy in taken)
        return [Read(tuple(id for id, theirs in taken if theirs == policy), policy) for policy in policies]

    def _turn(self, event: Event, *, cause: int = 0, received: int = 0) -> None:
        """One step, carried out and told to who observes."""
        step = self.engine.step(self.state, event)
        self.state = step.after
        number = next(self._numbers)
        sent = self._carry_out(step, number)
        if self._observers:
            turned = Turned(time=time.time(), id=number, cause=cause, received=received, sent=sent, step=step)
            for observer in self._observers:
                observer(turned)

    # What goes out

    def _carry_out(self, step: Step, cause: int) -> tuple[int, ...]:
        """Every command, in order; the ids of the letters among them."""
        batch: list[StorageCommand] = []
        sent: list[int] = []
        for command in step.commands:
            match command:
                case Send() | SendChunk():
                    sent.append(next(self._numbers))
                    self._flush(batch)
                    self._send(command, sent[-1], cause)
                case SaveVote() | Append() | Truncate() | SaveSnapshot() | Purge() | WriteChunk() | InstallSnapshot():
                    batch.append(command)
                    self._keep_books(command)
                case _:
                    self._do(command)
        self._flush(batch)
        return tuple(sent)

    def _flush(self, batch: list[StorageCommand]) -> None:
        """Hand the step's storage commands to the disk; they are one batch with all that waits there."""
        if batch:
            self.disk.write(batch, Stored(self.state.vote, self.state.log.last))
            batch[:] = []

    def _do(self, command: Command) -> None:
        """Clock, machine, and who waits."""
        match command:
            case SetTimer():
                self.clock.set(command, self.state.config)
            case CancelTimer():
                self.clock.cancel(command)
            case Apply() | TakeSnapshot() | RestoreMachine():
                self.machinist.do(command)
            case Halt(why):
                self._fatal = Panicked(why)
                self._awake.set()
            case Alarm():
                pass  # observers have it in the step
            case _:
                self._keep_books(command)

    def _keep_books(self, command: Command, results: Sequence[Any] = ()) -> None:
        """Who waited for this command has waited long enough."""
        self.ledger, outcomes = self.ledger.after(command, results)
        for outcome in outcomes:
            self.requests.settle(outcome)

    def _send(self, command: Send | SendChunk, id: int, cause: int) -> None:
        match command:
            case Send(dst, message, durable=True):
                self.disk.after(lambda: self._post(dst, Letter(id, cause, message)))
            case Send(dst, message):
                self._post(dst, Letter(id, cause, message))
            case SendChunk():
                self.disk.read(lambda: self._send_chunk(command, id, cause))

    async def _send_chunk(self, order: SendChunk, id: int, cause: int) -> None:
        """Read the bytes and send them; or say that they are gone."""
        data = await self._storage.read_chunk(order.meta, order.offset, order.length)
        if data is None:
            self.tell(SnapshotGone(order.dst))
            return
        message = SnapshotRequest(
            vote=order.vote,
            meta=order.meta,
            offset=order.offset,
            data=data,
            done=order.offset + len(data) >= order.meta.size,
            round=order.round,
        )
        self._post(order.dst, Letter(id, cause, message))

    def _post(self, dst: NodeId, letter: Letter) -> None:
        assert self.endpoint is not None, "nothing is sent before the node has joined its network"
        self.endpoint.send(dst, letter)

    def _applied(self, work: Work, results: Sequence[Any]) -> None:
        self._keep_books(work, results)
        self.changed()

    def _built(self, meta: Any) -> None:
        self.tell(SnapshotBuilt(meta))
