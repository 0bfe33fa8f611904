"""What watches live nodes: a disk that takes time, facts of every step, promises against disks, messages as bytes."""

import asyncio
import random
from collections.abc import Sequence

from pyraft_lab.check.failure import Failure
from pyraft_lab.check.obligations import no_snapshot_is_due, requests_are_limited
from pyraft_lab.check.reference import Followed
from pyraft_lab.engine.commands import StorageCommand
from pyraft_lab.engine.events import Propose
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Step
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.network.base import Counters, Endpoint, Mailbox
from pyraft_lab.network.codec import Envelope, Garbage, decode, encode
from pyraft_lab.network.faults import Faults
from pyraft_lab.sim.facts import facts_of
from pyraft_lab.sim.run_history import RunHistory
from pyraft_lab.sim.safety import has_entry, has_majority, is_own_commit, unkept_promise, violations
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.trace.record import Record

DISK = (0.0005, 0.02)
"""Virtual seconds that one batch takes to become durable."""
DAMAGED_EVERY = 50
"""One message of this many is also damaged: its receiver must notice."""
ARRIVES = "messages arrive as they were sent"


class SlowStorage(MemoryStorage):
    """A disk that takes time; a batch that is under way when its node ends is lost."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    async def write(self, commands: Sequence[StorageCommand]) -> None:
        """Write a batch after a while."""
        await asyncio.sleep(self._chance.uniform(*DISK))
        await super().write(commands)

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Stage a snapshot after a while."""
        await asyncio.sleep(self._chance.uniform(*DISK))
        await super().put_snapshot(meta, data)


class Watch:
    """What is wrong with live nodes: contradicting facts, and promises that left before they were on disk."""

    def __init__(self, *, ordered: bool) -> None:
        self.history, self.found, self.ordered = RunHistory(), list[Failure](), ordered
        self.disks: dict[NodeId, SlowStorage] = {}
        self.states: dict[Index, tuple[str, NodeId]] = {}
        self.followed = Followed()

    def __call__(self, record: Record) -> None:
        """Check one more record."""
        if record.step is None:
            return
        self.followed.take(record.step.commands, record.id)
        for id in self.history.write(record.step, record.id):
            self.add("log matching", f"entry {id} of node {record.node} follows another log than it does elsewhere")
        for fact in facts_of(record.step):
            for name, what in violations(self.history, fact, one_a_term=not self.ordered):
                self.add(name, what)
            self.history.remember(fact, record.id)
        self._limits_hold(record.step)
        self._commits_are_backed(record.node, record.step)

    def _limits_hold(self, step: Step) -> None:
        found = list(no_snapshot_is_due(step.after) if step.after.applied != step.before.applied else ())
        if isinstance(step.event, Propose):
            found += requests_are_limited(step, step.event)
        for name, what in found:
            self.add(name, what)

    def _commits_are_backed(self, node: NodeId, step: Step) -> None:
        after = step.after
        if is_own_commit(step.before, after):
            at = after.log.id_at(after.committed)
            holders = [one for one, disk in self.disks.items() if at is None or has_entry(disk.disk, at)]
            if not has_majority(after.membership, holders):
                self.add("commit is backed", f"node {node} commits {at}, which only {holders} have on disk")

    def sent(self, src: NodeId, envelope: Envelope) -> None:
        """Check a message that leaves against its sender's disk, and that it arrives whole after a way as bytes."""
        broken = unkept_promise(src, self.disks[src].disk, envelope.message)
        if broken is not None:
            self.add(*broken)
        frame = encode(src, (envelope,))
        if envelope.id % DAMAGED_EVERY == 0 and not is_refused(damaged(frame, envelope.id)):
            self.add(ARRIVES, f"a damaged frame of node {src} is accepted")
        try:
            found = decode(frame)
        except Garbage as garbage:
            self.add(ARRIVES, f"a frame of node {src} cannot be read: {garbage}")
            return
        if found != (src, (envelope,)):
            self.add(ARRIVES, f"node {src} sends {envelope}, and {found} arrives")

    def add(self, name: str, what: str) -> None:
        """Note a failure."""
        self.found.append(Failure(name, what))


def damaged(frame: bytes, place: int) -> bytes:
    """A frame with one bit changed."""
    at = place % len(frame)
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


def is_refused(frame: bytes) -> bool:
    """Whether a frame is found to be garbage."""
    try:
        decode(frame)
    except Garbage:
        return True
    return False


class WatchedNetwork:
    """A network whose messages are checked when they leave."""

    def __init__(self, inner: Faults, watch: Watch) -> None:
        self.inner, self.watch = inner, watch

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        """Join the wrapped network."""
        return WatchedEndpoint(node, await self.inner.join(node, mailbox), self.watch)

    async def close(self) -> None:
        """Close the wrapped network."""
        await self.inner.close()


class WatchedEndpoint:
    """One node's end of a :class:`WatchedNetwork`."""

    def __init__(self, node: NodeId, inner: Endpoint, watch: Watch) -> None:
        self._node, self._inner, self._watch = node, inner, watch

    @property
    def counters(self) -> Counters:
        """The counts of the wrapped endpoint."""
        return self._inner.counters

    def send(self, dst: NodeId, envelope: Envelope) -> None:
        """Check a message and pass it on."""
        self._watch.sent(self._node, envelope)
        self._inner.send(dst, envelope)

    async def close(self) -> None:
        """Close the wrapped endpoint."""
        await self._inner.close()
