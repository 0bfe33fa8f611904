"""A simulated server during one action: it calls ``step`` and executes the commands, as a live node does.

The disk distinguishes written from synced data. The writes of one step are a batch; batches are synced in order, and a
durable message is sent when everything written before it is synced::

    step ──▶ written (state.disk) ──▶ batch ──▶ batch ──Sync──▶ synced
                                      └ held: the answer that depends on it
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

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
from pyraft_lab.engine.engine import with_overdue
from pyraft_lab.engine.events import Boot, Event, SnapshotBuilt, Stored
from pyraft_lab.engine.log import Entry, SnapshotMeta
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.timers import RANDOM_TIMERS, Timer, delay, stopped_by
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import Panicked, PyraftError, StorageFailed
from pyraft_lab.machine import Answer, Sessions
from pyraft_lab.pending_requests import OutcomeUnknowable, PendingRequests, RequestFailed, grace
from pyraft_lab.sim.conditions import SECOND, Micros, Purpose, sample
from pyraft_lab.sim.disk import (
    NO_DISK_FAULTS,
    DiskFaults,
    StoredSnapshot,
    UnsyncedWrites,
    WaitingForSync,
    check_readable,
    survivors,
    write,
)
from pyraft_lab.sim.transition import Transition
from pyraft_lab.sim.world import (
    Build,
    Building,
    FireTimer,
    GiveUp,
    Node,
    Pending,
    ScheduledAction,
    SnapshotMissing,
    Sync,
)
from pyraft_lab.storage.base import described
from pyraft_lab.trace.record import MessageId, reply_to


class SimulatedDriver:
    """The mutable form of a node: made from its value for one action, and converted back to a value."""

    __slots__ = (  # nearly every event makes one: slots halve that
        *("transition", "before", "id", "incarnation", "up", "paused", "rate", "state", "machine", "pending"),
        *("synced", "batches", "health", "acked_unwritten", "snapshots", "arriving", "building", "built"),
        *("timers", "overdue", "giving_up", "arrivals", "busy", "sent", "drawn", "wrote"),
        *("writing", "held", "received"),
    )

    def __init__(self, transition: Transition, node: NodeId) -> None:
        self.transition = transition
        self.before = value = transition.nodes[node]
        self.id, self.incarnation, self.up, self.paused, self.rate = (
            value.id,
            value.incarnation,
            value.up,
            value.paused,
            value.rate,
        )
        self.state, self.synced, self.batches = value.state, value.synced, value.batches
        self.health, self.acked_unwritten = value.disk_faults, value.acked_unwritten
        self.machine, self.pending, self.building = value.machine, value.pending, value.building
        self.snapshots, self.arriving = value.snapshots, value.arriving
        self.timers, self.overdue, self.arrivals = dict(value.timers), value.overdue, value.arrivals
        self.giving_up = value.giving_up
        self.busy, self.sent, self.drawn, self.wrote = value.busy, value.sent, value.drawn, value.wrote
        self.writing: list[StorageCommand] = []
        self.held: list[WaitingForSync] = []
        self.built = b""
        self.received: MessageId | None = None

    def value(self) -> Node:
        """The node after the action, as a value."""
        if self.paused or self.overdue:
            self.transition.delayed |= {self.id}
        elif self.transition.delayed:
            self.transition.delayed -= {self.id}
        return Node(  # in order and without names: msgspec looks each name up, and every event comes here
            self.id,
            self.state,
            self.machine,
            self.synced,
            self.health,
            self.acked_unwritten,
            self.incarnation,
            self.up,
            self.paused,
            self.rate,
            self.batches,
            self.pending,
            self.snapshots,
            self.arriving,
            self.building,
            self.timers,
            self.overdue,
            self.giving_up,
            self.arrivals,
            self.busy,
            self.sent,
            self.drawn,
            self.wrote,
        )

    # Raft

    def step(self, event: Event, received: MessageId | None = None) -> None:
        """Call the engine's ``step`` with an event and execute its commands."""
        self.received = received
        step = self.transition.world.setting.engine.step(self.state, event)
        if self.overdue:
            step = with_overdue(step, self.overdue)
        self.transition.step, self.state = step, step.after
        for command in step.commands:
            self._execute(command)
        if self.writing:
            self._write()
        if self.state.halted:
            self.stop()
        if self.pending.writes or self.giving_up:
            self._mind_orphans()

    def _execute(self, command: Command) -> None:
        match command:
            case Send():
                self._send(command)
            case SetTimer(timer, backoff):
                self._set_timer(timer, backoff)
            case CancelTimer(timer):
                self._cancel_timer(timer)
            case Apply(entries):
                self._settle(command, self._apply(entries))
            case Append() | SaveVote() | Truncate() | SaveSnapshot() | Purge() | WriteChunk() | InstallSnapshot():
                self._store(command)
            case SendChunk():
                self._send_chunk(command)
            case Alarm() | Halt():
                pass  # the record says it
            case _:
                self._serve(command)

    # The network

    def _send(self, command: Send) -> None:
        answered = reply_to(command.message, self.received)
        held = WaitingForSync(command.dst, command.message, answered, self.transition.id)
        if not (command.durable and (self.writing or self.batches)):
            self.transition.send(self, held)
            return
        if self.writing:
            self.held.append(held)
        else:
            last = self.batches[-1]
            self.batches = (*self.batches[:-1], replace(last, held=(*last.held, held)))

    def _send_chunk(self, command: SendChunk) -> None:
        """Send bytes of the stored snapshot; if it is gone, schedule ``SnapshotMissing`` for the leader."""
        data = next((one.data for one in self.snapshots if one.meta == command.meta), None)
        if data is None:
            self.transition.schedule(0, SnapshotMissing(self.id, command.dst))
            return
        message = command.request(data[command.offset : command.offset + command.length])
        self.transition.send(self, WaitingForSync(command.dst, message, None, self.transition.id))

    # Timers

    def _set_timer(self, timer: Timer, backoff: int) -> None:
        if timer in self.timers:
            self.transition.cancel(self.forget(timer))
        self.drawn += 1
        kind = timer.kind
        luck = self.transition.draw(Purpose.TIMER, self.id, self.drawn) if kind in RANDOM_TIMERS else 0.0
        seconds = delay(self.state.config, kind, backoff, luck) / self.rate
        self.timers[timer] = self.transition.schedule(max(1, round(seconds * SECOND)), FireTimer(self.id, timer))

    def _cancel_timer(self, timer: Timer) -> None:
        for stopped in stopped_by(timer, self.timers):
            self.transition.cancel(self.forget(stopped))

    def forget(self, timer: Timer) -> ScheduledAction:
        """Remove a timer that fires or stops; returns its scheduled action."""
        if timer in self.overdue:
            self.overdue = tuple(one for one in self.overdue if one != timer)
        return self.timers.pop(timer)

    def resume(self, late: Micros) -> None:
        """Resume after a pause; timers that expired meanwhile are noticed ``late`` microseconds later."""
        self.paused = False
        if self.giving_up is not None and self.giving_up.time <= self.transition.now:
            self._expect_nothing()  # no time passed for this node
            self._mind_orphans()
        ran_out = sorted((due, timer) for timer, due in self.timers.items() if due.time <= self.transition.now)
        self.overdue = (*self.overdue, *(timer for _, timer in ran_out if timer not in self.overdue))
        if late:
            for timer in self.overdue:
                self.timers[timer] = self.transition.reschedule(self.timers[timer], late)

    def drift(self, rate: float) -> None:
        """Change the clock's rate; running timers fire earlier or later accordingly."""
        now = self.transition.now
        self.timers = {
            timer: self.transition.reschedule(due, round((due.time - now) * self.rate / rate))
            for timer, due in self.timers.items()
        }
        self.rate = rate

    def skew(self, by: Micros) -> None:
        """Move the clock by ``by`` microseconds; running timers fire that much earlier."""
        now = self.transition.now
        self.timers = {
            timer: self.transition.reschedule(due, due.time - now - by) for timer, due in self.timers.items()
        }

    # The disk

    def _store(self, command: StorageCommand) -> None:
        """Write a command now and sync it later; snapshot bytes are kept separately."""
        self.writing.append(command)
        match command:
            case Append():
                pass
            case Truncate():
                self._settle(command)
            case WriteChunk(_, offset, data):
                self.arriving = self.arriving[:offset] + data
            case InstallSnapshot(meta):
                self._keep_snapshot(meta, self.arriving)
                self.arriving = b""
                self._settle(command)
            case SaveSnapshot(meta):
                self._keep_snapshot(meta, self.built)
            case _:
                pass

    def _keep_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Keep the newest snapshot, the one before it (it may be being sent), and those that a crash may leave."""
        left = (self.synced.snapshot, *(batch.image.snapshot for batch in self.batches))
        kept = [one for one in self.snapshots[:-1] if one.meta in left]
        self.snapshots = (*kept, *self.snapshots[-1:], StoredSnapshot(meta, data))

    def _write(self) -> None:
        self.wrote += 1
        latency = sample(self.transition.weather.disk, self.transition.draw(Purpose.DISK, self.id, self.wrote))
        self.busy = max(self.busy, self.transition.now + round(latency * self.health.slow))
        self.transition.schedule(self.busy - self.transition.now, Sync(self.id))
        batch = UnsyncedWrites(commands=tuple(self.writing), image=self.state.disk, held=tuple(self.held))
        self.batches = (*self.batches, batch)
        self.writing, self.held = [], []

    def sync(self) -> None:
        """Sync the oldest batch: send the messages that waited for it, and pass ``Stored`` to the engine."""
        if self.health.full:
            self._fail("its disk is full")
            return
        batch, *rest = self.batches
        self.batches = tuple(rest)
        if self.health.lying:
            self.acked_unwritten = (*self.acked_unwritten, *batch.commands)
        else:
            self.synced = write(self.synced, batch.commands)
        for held in batch.held:
            self.transition.send(self, held)
        self.step(Stored(batch.image.vote, batch.image.log.last))

    def set_disk_faults(self, health: DiskFaults) -> None:
        """Change the disk's faults; a disk that stops lying performs the syncs it had confirmed."""
        self.health = health
        if not health.lying:
            self.synced, self.acked_unwritten = write(self.synced, self.acked_unwritten), ()

    def _fail(self, why: str) -> None:
        """Stop the server for good after a storage error."""
        self.transition.detail = f"halted: {why}"
        self.state = replace(self.state, halted=why)
        self.stop()

    # The machine and its clients

    def _serve(self, command: Command) -> None:
        match command:
            case TakeSnapshot():
                self.building = Building(command, self.machine)
                luck = self.transition.draw(Purpose.BUILD, self.id, self.wrote)
                self.transition.schedule(sample(self.transition.weather.disk, luck), Build(self.id))
            case RestoreMachine(meta):
                self._restore(meta)
                self._settle(command)
            case _:
                self._settle(command)

    def _settle(self, command: Command, results: Sequence[Any] = ()) -> None:
        self.pending, outcomes = self.pending.after(command, results, log=self.before.state.log)
        self.transition.outcomes.extend((self.id, outcome) for outcome in outcomes)

    def _mind_orphans(self) -> None:
        """Limit how long writes of an ended leadership wait (``pending_requests.grace``)."""
        if not self.pending.is_orphaned(self.state.role):
            self._expect_nothing()
        elif self.giving_up is None:
            delay = round(grace(self.state.config) * SECOND)
            self.giving_up = self.transition.schedule(delay, GiveUp(self.id))

    def _expect_nothing(self) -> None:
        if self.giving_up is not None:
            self.transition.cancel(self.giving_up)
            self.giving_up = None

    def give_up(self) -> None:
        """Fail the writes of an ended leadership, since their outcome is unknown."""
        self.giving_up = None
        self.pending, outcomes = self.pending.without_writes()
        self.transition.outcomes.extend((self.id, outcome) for outcome in outcomes)

    def _apply(self, entries: Sequence[Entry]) -> list[Answer]:
        if self.machine is self.before.machine:
            self.machine = self.machine.fork()
        try:
            return [self.machine.apply(entry) for entry in entries]
        except PyraftError:
            raise
        except Exception as error:
            raise Panicked(
                f"the machine of node {self.id} raised {error!r} within {entries[0].id}…{entries[-1].id}"
            ) from error

    def _restore(self, meta: SnapshotMeta) -> None:
        """Restore the machine that is there, as a live node does: what it holds must be replaced."""
        self.machine = self.machine.fork()
        data = next(one.data for one in reversed(self.snapshots) if one.meta == meta)
        self.machine.restore(data)

    def fresh_machine(self) -> Sessions:
        """A new machine without applied entries."""
        return Sessions.of(self.transition.world.setting.machine())

    def build(self) -> None:
        """Finish a snapshot: serialize the machine as it was when the build started."""
        assert self.building is not None, "only a snapshot build that has started can finish"
        command, data = self.building.command, self.building.machine.snapshot()
        self.building, self.built = None, data
        self.step(SnapshotBuilt(described(command, data)))

    # Start and stop

    def start(self) -> None:
        """Start from the disk; on ``StorageFailed`` (unreadable, or not written by Raft) the server stays down."""
        setting = self.transition.world.setting
        self.machine, self.pending = self.fresh_machine(), PendingRequests()
        try:
            check_readable(self.synced, self.health)
            self.state = setting.engine.start(self.id, self.synced, setting.config)
        except StorageFailed as error:
            self.transition.detail = str(error)
            return
        self.up, self.incarnation = True, self.incarnation + 1
        self.step(Boot())

    def wipe(self) -> None:
        """Replace the disk by an empty one without faults; the server loses all its state."""
        setting = self.transition.world.setting
        self.synced, self.snapshots, self.health = Disk(), (), NO_DISK_FAULTS
        self.state, self.machine = setting.engine.start(self.id, self.synced, setting.config), self.fresh_machine()

    def stop(self, torn: float = 0.0) -> None:
        """Crash: lose unsynced writes (except a share ``torn`` from 0 to 1), held messages, timers and memory."""
        self.synced = write(self.synced, [] if self.health.lying else survivors(self.batches, torn))
        for due in self.timers.values():
            self.transition.cancel(due)
        actions: list[Pending] = [Build(self.id), *(Sync(self.id) for _ in self.batches)]
        for action in actions:
            self.transition.unschedule(action)
        self.timers, self.overdue, self.batches, self.acked_unwritten, self.writing, self.held = {}, (), (), (), [], []
        self.arriving, self.building, self.busy = b"", None, 0
        self.up = self.paused = False
        self.snapshots = tuple(one for one in self.snapshots if one.meta == self.synced.snapshot)
        self.pending = PendingRequests()
        self._expect_nothing()
        lost = [one.id for one in self.transition.asked.at(self.id)]
        self.transition.outcomes.extend(
            (self.id, RequestFailed(request, OutcomeUnknowable(f"node {self.id} went down"))) for request in lost
        )
