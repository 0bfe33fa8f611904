"""A live node's applier on trial: entries that come while a snapshot is read from a slow disk, pieces, builds (§5.3).

::

    Apply 1..5   RestoreMachine 9   Apply 10, 11   TakeSnapshot 11   Apply 12 …
                 └ the disk reads for a while: what comes meanwhile waits its turn
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from pyraft_lab.check.failure import Failure
from pyraft_lab.check.machine_trial import small_machine
from pyraft_lab.check.reference import LIKE_THE_REFERENCE
from pyraft_lab.check.swarm import Draw
from pyraft_lab.command import encode
from pyraft_lab.engine.commands import Apply, RestoreMachine, TakeSnapshot
from pyraft_lab.engine.log import Entry, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import ORIGIN, LogId
from pyraft_lab.errors import StorageFailed
from pyraft_lab.runtime.applier import Applier, Work
from pyraft_lab.runtime.disk_queue import DiskQueue
from pyraft_lab.runtime.virtual_time import VirtualLoop, run_virtually
from pyraft_lab.storage.base import described
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.trace.record import EventId

TASKS, READING = 60, (0.0, 0.02)
"""Pieces of work of a trial; virtual seconds that the disk reads a snapshot, and that a serialization takes."""
LARGE = 200 << 10
"""Bytes of a large entry: a few of them are applied in several pieces."""


class SlowSnapshots(MemoryStorage):
    """A disk that holds the last two snapshots that were installed, and takes its time to read one."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance, self.images, self.installed = chance, dict[SnapshotMeta, bytes](), list[SnapshotMeta]()

    async def snapshot(self, meta: SnapshotMeta) -> bytes:
        """The bytes of a snapshot, after a while; raises ``StorageFailed`` if two others were installed since."""
        if meta not in self.installed[-2:]:
            raise StorageFailed(f"the bytes of snapshot {meta.last} are not here")
        await asyncio.sleep(self.chance.uniform(*READING))
        return self.images[meta]

    async def put_snapshot(self, meta: SnapshotMeta, data: bytes) -> None:
        """Keep a snapshot."""
        self.images[meta] = data


class ApplierTrial:
    """One applier, and the states that its machine must have after each entry."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.right, self.last = small_machine(), ORIGIN
        self.states = {ORIGIN: self.right.digest()}
        self.answers: dict[LogId, Any] = {}
        self.wrong: list[str] = []
        self.reached, self.building = ORIGIN, 0
        self.storage = SlowSnapshots(self.chance)
        self.disk = DiskQueue(self.storage, lambda *_: None)
        self.applier = Applier(
            small_machine(), self.storage, self.disk, carried_out=self._carried_out, built=self._built
        )

    async def run(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "appliers are tried in virtual time"
        loop.seconds_of_work = lambda: self.chance.uniform(*READING)
        running = [asyncio.create_task(one()) for one in (self.applier.run, self.disk.run)]
        for _ in range(TASKS):
            self.applier.do(self._work(), 0)
            await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.001, 0.03)))
        await asyncio.sleep(TASKS)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self.reached != self.last:
            self.wrong.append(f"only {self.reached} of {self.last} is applied")
        if self.building:
            self.wrong.append(f"{self.building} snapshots were asked for, and nobody said what became of them")
        return next(iter(self.wrong), "")

    # The work

    def _work(self) -> Work:
        luck = self.chance.random()
        if luck < 0.7:
            return Apply(tuple(self._entry() for _ in range(self.chance.choice((1, 1, 3, 8)))))
        if luck < 0.85 and self.last != ORIGIN:
            self.building += 1
            return _build(self.last)
        self._entry()
        data = self.right.snapshot()
        meta = described(_build(self.last), data)
        self.storage.images[meta] = data
        self.storage.installed.append(meta)
        return RestoreMachine(meta)

    def _entry(self) -> Entry:
        """The next entry, which the machine beside applies at once."""
        self.last = LogId(1, 1, self.last.index + 1)
        text = "x" * self.chance.choice((1, 1, 1, LARGE))
        command = {"op": "put", "key": f"k{self.last.index % 4}", "value": f"{self.last.index} {text}"}
        entry = Entry(self.last, Normal(encode(command if self.chance.random() < 0.7 else {"op": "incr", "key": "n"})))
        self.answers[self.last] = self.right.apply(entry)
        self.states[self.last] = self.right.digest()
        return entry

    # What the applier reports

    def _carried_out(self, work: Work, results: Sequence[Any]) -> None:
        at, before, self.reached = self.applier.applied, self.reached, self.applier.applied
        if at <= before or self.applier.machine.digest() != self.states[at]:
            self.wrong.append(f"after {before} comes {at}, and the machine is not what it is elsewhere")
        wanted = [self.answers[entry.id] for entry in work.entries] if isinstance(work, Apply) else []
        if [*results] != wanted:
            self.wrong.append(f"up to {at} the answers are {results} instead of {wanted}")

    def _built(self, meta: SnapshotMeta | None, _cause: EventId) -> None:
        self.building -= 1
        if meta is None:
            return
        machine = small_machine()
        machine.restore(self.storage.images[meta])
        if machine.digest() != self.states[meta.last]:
            self.wrong.append(f"the snapshot to {meta.last} holds another state")


def _build(last: LogId) -> TakeSnapshot:
    return TakeSnapshot(last, Membership.of({1}), ORIGIN)


def applier_failure(draw: Draw) -> Failure | None:
    """The failure of an applier under a seed's work; ``None`` if all is well."""
    wrong = run_virtually(ApplierTrial(draw.seed).run())
    return Failure(LIKE_THE_REFERENCE, wrong) if wrong else None
