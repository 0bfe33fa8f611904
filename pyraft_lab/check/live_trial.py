"""Live nodes in virtual time: the driver, its disk queue, clock and clients, under faults, against the same properties.

The nodes are the real ones (:class:`~pyraft_lab.runtime.raft.Raft`), and so is the client. Only the clock is virtual,
the network is in memory, and a disk takes time and loses what it was writing when its node is killed::

    kill · suspend like SIGSTOP · partition · cut · loss · transfer · snapshot · elect · other voters
         └─▶ facts of every step · promises against the disks · histories of the clients · the same state in the end
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress

from pyraft_lab.check.failure import LINEARIZABLE, STEPS, Failure
from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.check.liveness import ends_liveness
from pyraft_lab.check.swarm import Draw
from pyraft_lab.client.requests import Request
from pyraft_lab.engine.commands import StorageCommand
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.state import Leader
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import NetworkFailed, PyraftError
from pyraft_lab.history import History, Operation
from pyraft_lab.machine import KeyValue
from pyraft_lab.network.base import Counters, Endpoint, Mailbox, MemoryNetwork
from pyraft_lab.network.codec import Envelope
from pyraft_lab.network.faults import Faults
from pyraft_lab.runtime.client import Client
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.recorder import Recorder
from pyraft_lab.runtime.recording_client import ARGUMENTS
from pyraft_lab.runtime.virtual_time import PART, VirtualLoop, run_virtually
from pyraft_lab.sim.facts import facts_of
from pyraft_lab.sim.run_history import RunHistory
from pyraft_lab.sim.safety import has_entry, has_majority, unkept_promise, violations
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.trace.record import Record

DISK = (0.0005, 0.02)
"""Virtual seconds that one batch takes to become durable."""
SETTLING = 20.0
"""Virtual seconds that a healed cluster has to answer one write."""
PUT_KEYS = ("k0", "k2")
"""Keys that are overwritten; to all others is appended, so that a command that is applied twice shows."""
EVERY = (0.02, 0.4)
"""Virtual seconds between two faults."""


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
        self.states: dict[int, tuple[str, NodeId]] = {}

    def __call__(self, record: Record) -> None:
        """Check one more record."""
        if record.step is None:
            return
        for id in self.history.write(record.step, record.id):
            self.add("log matching", f"entry {id} of node {record.node} follows another log than it does elsewhere")
        for fact in facts_of(record.step):
            for name, what in violations(self.history, fact, one_a_term=not self.ordered):
                self.add(name, what)
            self.history.remember(fact, record.id)
        after = record.step.after
        if isinstance(after.role, Leader) and after.committed > record.step.before.committed:
            at = after.log.id_at(after.committed)
            holders = [node for node, disk in self.disks.items() if at is None or has_entry(disk.disk, at)]
            if not has_majority(after.membership, holders):
                self.add("commit is backed", f"node {record.node} commits {at}, which only {holders} have on disk")

    def sent(self, src: NodeId, envelope: Envelope) -> None:
        """Check a message that leaves against its sender's disk."""
        broken = unkept_promise(src, self.disks[src].disk, envelope.message)
        if broken is not None:
            self.add(*broken)

    def add(self, name: str, what: str) -> None:
        """Note a failure."""
        self.found.append(Failure(name, what))


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


class LiveTrial:
    """A cluster of live nodes, its clients and its nemesis, in one virtual loop."""

    def __init__(self, draw: Draw, engine: Engine, loop: VirtualLoop) -> None:
        self.draw, self.engine, self.loop = draw, engine, loop
        self.chance = random.Random(draw.seed)
        self.watch = Watch(ordered=draw.rules == "advanced")
        self.faults = Faults(MemoryNetwork(), chance=random.Random(draw.seed + 1))
        self.network = WatchedNetwork(self.faults, self.watch)
        self.recorder = Recorder([self.watch], now=loop.time)
        self.nodes: dict[NodeId, Raft] = {}
        self.suspended: set[NodeId] = set()
        self.notes: list[Operation] = []
        self.values = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._is_over = False

    # The nodes, for clients

    def ids(self) -> Sequence[NodeId]:
        """The nodes a client may ask."""
        return tuple(sorted(self.nodes))

    async def ask(self, node: NodeId, request: Request) -> object:
        """Pass a client's request to a node."""
        if node not in self.nodes:
            raise NetworkFailed(f"node {node}", "it is down")
        reply: object = await self.nodes[node].serve(request)
        return reply

    async def start(self, node: NodeId) -> None:
        """Start a node from its disk, as a part of the program that can be suspended."""
        disk = self.watch.disks.setdefault(node, SlowStorage(random.Random(self.draw.seed * 31 + node)))
        raft = Raft(
            node,
            config=self.draw.settings,
            network=self.network,
            storage=disk,
            machine=KeyValue(),
            rules=self.engine.rules,
            reporter=self.recorder,
            chance=random.Random(self.chance.getrandbits(32)),
            deadline=5.0,
        )
        was = PART.set(node)
        try:
            await raft.start()
        finally:
            PART.reset(was)
        self.nodes[node] = raft

    # Faults

    async def kill(self) -> None:
        """Kill a node and start it again: what its disk was writing is lost."""
        node = self._victim()
        await self._kill(node)
        await asyncio.sleep(self.chance.choice((0.01, 0.3, 1.0)))
        await self.start(node)

    async def _kill(self, node: NodeId) -> None:
        self._wake(node)
        await self.nodes.pop(node).shutdown()

    async def suspend(self) -> None:
        """Suspend a node, often one that is cut off; a client reads from it the moment it resumes."""
        node = self._victim()
        if self.chance.random() < 0.6:
            self.faults.partition({node})
        self.suspended.add(node)
        self.loop.suspend(node)
        await asyncio.sleep(self.chance.uniform(0.1, 1.5))
        reading = asyncio.create_task(self._read_at(node))
        await asyncio.sleep(0)
        self._wake(node)
        await reading
        self.faults.partition()

    async def _read_at(self, node: NodeId) -> None:
        """Read once at this node, by its lease."""
        called, key = self.loop.time(), self._key()
        with suppress(PyraftError):
            value = await self.nodes[node].read(key, policy="lease")
            self.notes.append(Operation(f"at {node}", called, self.loop.time(), ("get", key), value))

    def _wake(self, node: NodeId) -> None:
        if node in self.suspended:
            self.suspended.discard(node)
            self.loop.resume(node)

    async def partition(self) -> None:
        """Divide the nodes for a while."""
        some = self.chance.sample(self.ids(), self.chance.randrange(1, len(self.nodes) + 1))
        self.faults.partition(set(some))
        await asyncio.sleep(self.chance.uniform(0.1, 1.2))
        self.faults.partition()

    async def disturb(self) -> None:
        """Lose and delay messages for a while."""
        loss, slowest = self.chance.choice((0.0, 0.1, 0.3)), self.chance.choice((0.005, 0.08))
        self.faults.conditions(loss=loss, delay=(0.0005, slowest))
        await asyncio.sleep(self.chance.uniform(0.1, 1.0))
        self.faults.conditions(delay=(0.0005, 0.005))

    async def operate(self) -> None:
        """An operator elects, transfers, builds a snapshot, or changes the voters."""
        node = self.nodes[self._victim()]
        act = self.chance.choice(("elect", "transfer", "snapshot", "voters"))
        with suppress(PyraftError):
            if act == "elect":
                node.trigger.elect()
            elif act == "transfer":
                await node.trigger.transfer_leader(self.chance.choice(self.ids()))
            elif act == "snapshot":
                node.trigger.snapshot()
            else:
                await self._change_voters()

    async def _change_voters(self) -> None:
        leader = self._leader()
        if leader is not None:
            count = min(len(self.nodes), max(1, self.draw.nodes - self.chance.randrange(2)))
            await leader.change_membership(set(self.chance.sample(self.ids(), count)), retain=True)

    def _leader(self) -> Raft | None:
        leading = [one for one in self.nodes.values() if one.metrics.role == "leader"]
        return max(leading, key=lambda one: one.metrics.term, default=None)

    def _victim(self) -> NodeId:
        leader = self._leader()
        return leader.id if leader is not None and self.chance.random() < 0.5 else self.chance.choice(self.ids())

    # Clients

    def _key(self) -> str:
        return f"k{self.chance.randrange(self.draw.load.keys)}"

    async def work(self, name: int) -> None:
        """One client: calls one after the other until the end; a failed write may happen later."""
        client = Client(_Handles(self), deadline=3.0, attempt=0.3, chance=random.Random(self.draw.seed + 7 * name))
        while not self._is_over:
            await asyncio.sleep(self.chance.uniform(*self.draw.load.think_time))
            with suppress(PyraftError):
                await self._call(client, name)

    async def _call(self, client: Client, name: int) -> None:
        called, key, load = self.loop.time(), self._key(), self.draw.load
        if self.chance.random() < load.reads:
            policy = "lease" if self.chance.random() < load.lease else "index"
            value = await client.read(key, policy=policy)  # type: ignore[arg-type]
            self.notes.append(Operation(name, called, self.loop.time(), ("get", key), value))
            return
        self.values += 1
        op = "put" if key in PUT_KEYS else "append"
        command = {"op": op, "key": key, "value": self.values if op == "put" else f"{self.values} "}
        asked = (op, key, *(command[field] for field in ARGUMENTS[op]))
        try:
            answer = await client.write(command)
        except PyraftError as error:
            self.notes.append(Operation(name, called, None, asked))
            self._mind(error)
            raise
        self.notes.append(Operation(name, called, self.loop.time(), asked, answer))

    def _mind(self, error: PyraftError) -> None:
        """A valid command is never refused by the machine."""
        if type(error).__name__ == "BadCommand":
            self.watch.add("valid commands are accepted", str(error))

    # The whole trial

    async def run(self) -> Failure | None:
        """Start, disturb, heal and judge; the first failure."""
        for node in range(1, self.draw.nodes + 1):
            await self.start(node)
        self.faults.conditions(delay=(0.0005, 0.005))
        await self.nodes[1].initialize(set(self.nodes))
        for name in range(self.draw.load.clients):
            self._begin(self.work(name))
        await self._disturb()
        found = self.first or (None if ends_liveness(self.draw.settings) else await self._settle())
        self._is_over = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(*(one.shutdown() for one in self.nodes.values()))
        return found or self.first or self._judge()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self.tasks.add(asyncio.create_task(work))

    @property
    def first(self) -> Failure | None:
        """The first failure so far."""
        return next(iter(self.watch.found), None)

    async def _disturb(self) -> None:
        acts = (self.kill, self.suspend, self.partition, self.disturb, self.operate)
        while self.loop.time() < self.draw.seconds and not self.first:
            await asyncio.sleep(self.chance.uniform(*EVERY))
            await self.chance.choice(acts)()
            dead = [node for node, raft in self.nodes.items() if raft.metrics.running is not None]
            if dead:
                self.watch.add("nothing impossible", f"node {dead[0]} ended: {self.nodes[dead[0]].metrics.running}")

    async def _settle(self) -> Failure | None:
        """Heal everything; then a write must be answered, and every member reach the same state."""
        self.faults.heal()
        self._is_over = True
        client = Client(_Handles(self), deadline=SETTLING, attempt=0.3, chance=random.Random(self.draw.seed + 5))
        try:
            await client.write({"op": "put", "key": "end", "value": 1})
        except PyraftError as error:
            return Failure("answered in the end", f"a healed cluster does not answer a write: {error}")
        for _ in range(100):
            await asyncio.sleep(0.1)
            if not list(self._behind()):
                return None
        return Failure("agreement in the end", "; ".join(self._behind()))

    def _behind(self) -> Iterator[str]:
        leader = self._leader()
        if leader is None:
            yield "nobody leads"
            return
        now = leader.metrics
        for node in sorted(now.membership.nodes):
            if node in self.nodes and self.nodes[node].metrics.applied != now.applied:
                yield f"node {node} has applied {self.nodes[node].metrics.applied}, its leader {now.applied}"
            elif node in self.nodes and self._image(node) != self._image(leader.id):
                yield f"the machines of node {node} and node {leader.id} differ"

    def _image(self, node: NodeId) -> bytes:
        machine = self.nodes[node]._machine  # noqa: SLF001 (with_machine would need the node's turn)
        return machine.snapshot()

    def _judge(self) -> Failure | None:
        verdict = check_linearizable(History(self.notes), "kv", steps=STEPS)
        return Failure(LINEARIZABLE, verdict.explain()) if verdict.ok is False else None


class _Handles:
    """A client's way to the nodes."""

    def __init__(self, trial: LiveTrial) -> None:
        self._trial = trial

    def nodes(self) -> Sequence[NodeId]:
        return self._trial.ids()

    async def ask(self, node: NodeId, request: Request, /) -> object:
        return await self._trial.ask(node, request)

    def check(self, query: object, /) -> None:
        """Accept every query."""


async def _live(draw: Draw, engine: Engine) -> Failure | None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "live trials run in virtual time"
    return await LiveTrial(draw, engine, loop).run()


def live_failure(draw: Draw, engine: Engine) -> Failure | None:
    """The failure of live nodes under a draw; ``None`` if all is well. The same draw gives the same run."""
    with _without_log():
        return run_virtually(_live(draw, engine))


@contextmanager
def _without_log() -> Iterator[None]:
    """Nodes that are killed and suspended on purpose need not warn anybody."""
    log = logging.getLogger("pyraft_lab.runtime")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
