"""One task drives one engine: it takes all pending input, steps the engine, and carries out the commands.

::

    messages timers  requests  Stored          ┌─▶ wire: messages that may leave at once
        └───────┴────────┴────────┴──▶ step ───┼─▶ disk: one batch ──▶ messages that waited for it
                                               ├─▶ machine: apply, in order ──▶ answers
                                               └─▶ clock
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

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
from pyraft_lab.engine.engine import Engine, with_overdue
from pyraft_lab.engine.events import (
    Boot,
    Event,
    Fire,
    Read,
    Receive,
    SnapshotBuilt,
    SnapshotGone,
    Stored,
    Unreachable,
)
from pyraft_lab.engine.log import Log, SnapshotMeta
from pyraft_lab.engine.requests import room_for
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode, Fatal, Panicked, Stopped, first_error
from pyraft_lab.machine import Sessions
from pyraft_lab.network.base import Endpoint, Notice, PeerUnreachable, SessionTakenOver
from pyraft_lab.network.codec import Envelope
from pyraft_lab.pending_requests import EMPTY, Outcome, PendingRequests, grace
from pyraft_lab.runtime.applier import Applier, Work
from pyraft_lab.runtime.disk_queue import DiskQueue
from pyraft_lab.runtime.metrics import NONE, alarms_after
from pyraft_lab.runtime.recorder import Recorder
from pyraft_lab.runtime.requests import OpenRequests
from pyraft_lab.runtime.timers import Timers
from pyraft_lab.storage.base import Storage
from pyraft_lab.trace.record import EventId, Fate, Flight, Kind, MessageId

log = logging.getLogger(__name__)
MAX_ENVELOPES = 512
"""The most messages that are taken at once: a flood must not delay the heartbeats."""
INBOX = 16_384
"""Messages that may wait; beyond this the oldest are dropped, which Raft tolerates."""


class Driver:
    """The running part of a live node; everything here runs on the node's own loop."""

    def __init__(
        self,
        state: RaftState,
        engine: Engine,
        *,
        storage: Storage,
        machine: Sessions,
        chance: random.Random,
        reporter: Recorder,
        deadline: float,
    ) -> None:
        self.state, self.engine = state, engine
        self.pending = PendingRequests()
        self.raised = NONE
        self.requests = OpenRequests(self.wake, self.queue_event, node=state.id, deadline=deadline)
        self.clock = Timers(self.wake, chance)
        self.disk = DiskQueue(storage, self.queue_event)
        self.applier = Applier(machine, storage, self.disk, carried_out=self._applied, built=self._built)
        self.endpoint: Endpoint | None = None
        self.changed: Callable[[], None] = lambda: None
        self._storage, self._reporter = storage, reporter
        self._sent: list[Flight] = []
        self._leaving: list[tuple[NodeId, Envelope]] = []
        self._is_turning = self._is_left_out = False
        self._ended: list[Outcome] = []
        self._awake = asyncio.Event()
        self._told: deque[tuple[Event, EventId | None]] = deque()
        self._envelopes: deque[tuple[NodeId, Envelope]] = deque()
        self._fatal: Fatal | None = None
        self._group = asyncio.TaskGroup()
        self._giving_up: asyncio.TimerHandle | None = None
        self._is_going = asyncio.Event()
        self._is_going.set()
        self.began = asyncio.Event()

    # Input; never blocks

    def wake(self) -> None:
        """Wake the driver: there is work to do."""
        self._awake.set()

    def queue_event(self, event: Event, cause: EventId | None = None) -> None:
        """Queue an event that another event caused, or that came from outside (``cause=None``)."""
        self._told.append((event, cause))
        self._awake.set()

    def receive(self, src: NodeId, envelopes: Sequence[Envelope]) -> None:
        """Queue messages that arrived; beyond ``INBOX`` the oldest are dropped."""
        self._envelopes.extend([(src, envelope) for envelope in envelopes])
        while len(self._envelopes) > INBOX:
            lost, envelope = self._envelopes.popleft()
            self._reporter.record(Kind.UNDELIVERED, self.state.id, peer=lost, message=envelope.id, detail=Fate.LOST)
        self._awake.set()

    def notice(self, notice: Notice) -> None:
        """Handle a notice of the network: it connected, lost its connection, or a peer became (un)reachable."""
        match notice:
            case PeerUnreachable(peer, envelopes):
                self.queue_event(Unreachable(peer))
                for envelope in envelopes:
                    self._reporter.record(
                        Kind.UNDELIVERED, peer, peer=self.state.id, message=envelope, detail=Fate.DEAD
                    )
            case SessionTakenOver(node):
                self._fatal = DuplicateNode(node)
                self._awake.set()
            case _:
                pass  # Raft's own timers decide which peers are reachable

    # Stepping

    async def run(self, endpoint: Endpoint) -> None:
        """Drive the engine until cancelled; raises the error that ended it."""
        self.endpoint = endpoint
        try:
            async with self._group as group:
                group.create_task(self.disk.run())
                group.create_task(self.applier.run())
                group.create_task(self._step_engine())
                self.began.set()
        finally:
            self.clock.stop()
            self._cancel_give_up_timer()

    def pause(self) -> None:
        """Take no more steps; input waits, and expired timers are not handled."""
        self._is_going.clear()

    def resume(self) -> None:
        """Resume; handle what arrived meanwhile."""
        self._is_going.set()

    def add_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` as long as the node runs; an exception of ``work`` ends the node."""
        self._group.create_task(work)

    async def _step_engine(self) -> None:
        self._turn(Boot())
        while True:
            self.changed()
            await self._awake.wait()
            if not self._is_going.is_set():
                await self._is_going.wait()
            self._take_all()
            if self._fatal is not None:
                raise self._fatal
            if self._awake.is_set():
                await asyncio.sleep(0)  # else it waits, and others run, anyway

    def _take_all(self) -> None:
        """All pending events, messages before timers: a slow node must not suspect a leader it has heard from.

        Timers come before requests, so a request never sees a lease that expired meanwhile.
        """
        self._take_told()
        for _ in range(min(len(self._envelopes), MAX_ENVELOPES)):
            src, envelope = self._envelopes.popleft()
            self._step_after_due_timers(Receive(src, envelope.message), envelope.cause, envelope.id)
        while self.clock.has_due:
            timer, cause = self.clock.take_due()
            self._turn(Fire(timer), cause)
        if self.requests.is_waiting:
            for event in self.requests.take(room_for(self.state)):
                self._step_after_due_timers(event)
        self._take_told()  # a disk in memory has stored everything by now
        self._fail_undecided_writes()
        if not (self._envelopes or self.requests.is_waiting or self.clock.has_due):
            self._awake.clear()  # whatever woke the driver meanwhile is done

    def _take_told(self) -> None:
        while self._told:
            event, cause = self._told.popleft()
            self._step_after_due_timers(event, cause)

    @property
    def grace(self) -> float:
        """Seconds that a deposed leader waits to learn what happened to its last entries."""
        return grace(self.state.config)

    def _fail_undecided_writes(self) -> None:
        """Fail the writes of an ended leadership after ``grace`` seconds: this node may never learn their outcome."""
        if not self.pending.is_orphaned(self.state.role):
            self._cancel_give_up_timer()
        elif self._giving_up is None:
            self._giving_up = asyncio.get_running_loop().call_later(self.grace, self._give_up)

    def _cancel_give_up_timer(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _give_up(self) -> None:
        self._giving_up = None
        if self.clock.is_frozen or not self._is_going.is_set():
            self._fail_undecided_writes()  # timers are frozen
            return
        self.pending, outcomes = self.pending.without_writes()
        self._settle(outcomes)

    def _step_after_due_timers(
        self, event: Event, cause: EventId | None = None, received: MessageId | None = None
    ) -> None:
        """Step one event, after the timers that are due before it; the clock decides, not the event loop's delay.

        A lease read uses the real time even while timers are frozen: other nodes are not frozen.
        """
        frozen_too = isinstance(event, Read) and event.policy == "lease"
        overdue = self.clock.overdue(frozen_too=frozen_too)
        while first := self.engine.rules.fires_first(event, overdue):
            self._turn(Fire(first[0]), self.clock.take(first[0]))
            overdue = self.clock.overdue(frozen_too=frozen_too)
        self._turn(event, cause, received, overdue)

    def _turn(
        self,
        event: Event,
        cause: EventId | None = None,
        received: MessageId | None = None,
        overdue: Sequence[Timer] = (),
    ) -> None:
        """Take one step, carry it out and record it; observers see the step before its messages leave."""
        step = with_overdue(self.engine.step(self.state, event), overdue)
        self.state, self.raised = step.after, alarms_after(self.raised, step)
        id = self._reporter.event()
        self._is_turning, self._is_left_out = True, self._reporter.leaves_out(step, id)
        self._carry_out(step, id, received)
        if not self._is_left_out:
            self._reporter.record_step(step, id=id, cause=cause, message=received, sent=self._sent, ended=self._ended)
        self._is_turning = self._is_left_out = False
        if self._sent or self._ended:
            self._sent, self._ended = [], []
        self._send_off()

    # Output

    def _carry_out(self, step: Step, id: EventId, received: MessageId | None) -> None:
        """Carry out every command of a step, in order."""
        batch: list[StorageCommand] = []
        for command in step.commands:
            match command:
                case Send() | SendChunk():
                    self._flush(batch, id)
                    self._send(command, id, received)
                case SaveVote() | Append() | Truncate() | SaveSnapshot() | Purge() | WriteChunk() | InstallSnapshot():
                    batch.append(command)
                    self._resolve_requests(command, log=step.before.log)
                case _:
                    self._do(command, id)
        self._flush(batch, id)

    def _flush(self, batch: list[StorageCommand], id: EventId) -> None:
        """Pass the step's storage commands to the disk; they join the batch that waits there."""
        if batch:
            self.disk.write(batch, Stored(self.state.vote, self.state.log.last), id)
            batch[:] = []

    def _do(self, command: Command, id: EventId) -> None:
        """Carry out a command for the clock, the state machine or a waiting request."""
        match command:
            case SetTimer():
                self.clock.set(command, self.state.config, id)
            case CancelTimer():
                self.clock.cancel(command)
            case Apply() | TakeSnapshot() | RestoreMachine():
                self.applier.do(command, id)
            case Halt(why):
                self._fatal = Panicked(why)
                self._awake.set()
            case Alarm():
                log.warning("node %s raises an %s", self.state.id, command)
            case _:
                self._resolve_requests(command)

    def _resolve_requests(self, command: Command, results: Sequence[Any] = (), *, log: Log = EMPTY) -> None:
        """Resolve the requests that this command completes."""
        self.pending, outcomes = self.pending.after(command, results, log=log)
        self._settle(outcomes)

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        self.requests.settle(outcomes)
        if self._reporter.tells_messages and not self._is_left_out:
            self._ended += outcomes

    def _send(self, command: Send | SendChunk, cause: EventId, received: MessageId | None) -> None:
        match command:
            case Send(dst, message, durable=True):
                envelope = Envelope(self._reporter.message(), cause, message)
                self.disk.after(lambda: self._queue_message(dst, envelope, received))
            case Send(dst, message):
                self._queue_message(dst, Envelope(self._reporter.message(), cause, message), received)
            case SendChunk():
                self.disk.read(lambda: self._send_chunk(command, cause))

    async def _send_chunk(self, command: SendChunk, cause: EventId) -> None:
        """Read a chunk of a snapshot and send it; report it if the snapshot is gone."""
        data = await self._storage.read_chunk(command.meta, command.offset, command.length)
        if data is None:
            self.queue_event(SnapshotGone(command.dst), cause)
            return
        self._queue_message(command.dst, Envelope(self._reporter.message(), cause, command.request(data)))

    def _queue_message(self, dst: NodeId, envelope: Envelope, received: MessageId | None = None) -> None:
        if self._reporter.tells_messages and not self._is_left_out:
            self._sent.append(self._reporter.flight(self.state.id, dst, envelope, received))
        self._leaving.append((dst, envelope))
        if not self._is_turning:
            self._send_off()

    def _send_off(self) -> None:
        """Send the messages that wait to leave, in order."""
        if not self._leaving:
            return
        leaving, self._leaving = self._leaving, []
        for dst, envelope in leaving:
            assert self.endpoint is not None, "nothing is sent before the node has joined its network"
            self.endpoint.send(dst, envelope)

    def _applied(self, work: Work, results: Sequence[Any]) -> None:
        self._resolve_requests(work, results)
        self.changed()

    def _built(self, meta: SnapshotMeta | None, cause: EventId) -> None:
        self.queue_event(SnapshotBuilt(meta), cause)


def cause_of_death(node: NodeId, ended: BaseException) -> Fatal:
    """The error that callers get when ``ended`` ends the node."""
    ended = first_error(ended)
    match ended:
        case Fatal():
            return ended
        case asyncio.CancelledError():
            return Stopped(node)
        case _:
            log.error("node %s panicked", node, exc_info=ended)
            return Panicked(f"{type(ended).__name__}: {ended}")
