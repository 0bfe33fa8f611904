"""Live nodes in virtual time: the driver, its disk queue, clock and clients, under faults, against the same properties.

The nodes are the real ones (:class:`~pyraft_lab.runtime.raft.Raft`), and so is the client. Only the clock is virtual,
the network is in memory, and a disk takes time and loses what it was writing when its node is killed::

    kill · suspend like SIGSTOP · partition · cut · loss · transfer · snapshot · elect · other voters
         └─▶ facts of every step · promises against the disks · histories of the clients · the same state in the end
             a leader that is cut off answers the callers it has · in the end no node keeps a request
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any

from pyraft_lab.check.failure import LINEARIZABLE, RAISES, STEPS, Failure
from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.check.live_watch import SlowStorage, Watch, WatchedNetwork
from pyraft_lab.check.liveness import ends_liveness, liveness_bound
from pyraft_lab.check.lookahead import EVERY_WAIT_ENDS, STATES_AGREE
from pyraft_lab.check.reference import LIKE_THE_REFERENCE
from pyraft_lab.check.swarm import MACHINES, Draw
from pyraft_lab.client.requests import Request
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import Precondition
from pyraft_lab.engine.membership import Batch
from pyraft_lab.engine.types import ORIGIN, Index, NodeId
from pyraft_lab.errors import NetworkFailed, PyraftError
from pyraft_lab.history import History, Operation
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.network.faults import Faults
from pyraft_lab.pending_requests import grace
from pyraft_lab.runtime.client import Client
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.recorder import Recorder
from pyraft_lab.runtime.virtual_time import PART, VirtualLoop, run_virtually
from pyraft_lab.sim.workload import RequestMaker, input_of
from pyraft_lab.sim.world import Query, Write
from pyraft_lab.trace.record import Record

Work = Callable[[], Coroutine[Any, Any, object]]
Act = Callable[["LiveTrial"], Coroutine[None, None, None]]
Observers = Iterable[Callable[[Record], None]]
WORK = (0.0, 0.03)
"""Virtual seconds that another thread needs for its work, such as a snapshot."""
SETTLING = 20.0
"""Virtual seconds that a healed cluster has to answer one write."""
SHARED = 2
"""Callers that share a client: its session then has several batches on their way."""
EVERY = (0.02, 0.4)
"""Virtual seconds between two faults."""
OPERATED, MORE_OFTEN = 0.4, 3
"""The share of what operators ask among all acts, and how much more often the acts of a drawn chapter happen."""
BURST, LARGE = 6, "x" * 200
"""Writes that arrive at once at a leader that is cut off, and the value of each."""
REST = 0.1
"""Virtual seconds between two looks at what nodes keep."""
NEVER = 1_000_000
"""Terms from now to a leadership that never comes."""
EXPECTATIONS = "expectations are checked"


class LiveTrial:
    """A cluster of live nodes, its clients and its nemesis, in one virtual loop."""

    def __init__(self, draw: Draw, engine: Engine, loop: VirtualLoop, observers: Observers = ()) -> None:
        self.draw, self.engine, self.loop = draw, engine, loop
        self.chance = random.Random(draw.seed)
        self.watch = Watch(ordered=draw.rules == "advanced")
        self.faults = Faults(MemoryNetwork(), chance=random.Random(draw.seed + 1))
        self.network = WatchedNetwork(self.faults, self.watch)
        self.recorder = Recorder([self.watch, self._compare, *observers], now=loop.time)
        self.nodes: dict[NodeId, Raft] = {}
        self.suspended: set[NodeId] = set()
        self.notes: list[Operation] = []
        self.requests = RequestMaker(draw.load, self.chance.random)
        self.numbers = count(1)
        self.compared: dict[NodeId, Index] = {}
        work = random.Random(draw.seed + 2)
        loop.seconds_of_work = lambda: work.uniform(*WORK)
        self.tasks: list[asyncio.Task[None]] = []
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
            machine=MACHINES[self.draw.expiry](),
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

    def _compare(self, record: Record) -> None:
        """Compare the machine of a record's node with those that have applied the same entries (§5.4.3)."""
        raft = self.nodes.get(record.node)
        driver = None if raft is None else raft._lifecycle.driver  # noqa: SLF001 (metrics cost too much for every record)
        applied = ORIGIN if driver is None else driver.applier.applied
        if raft is None or applied.index == self.compared.get(record.node):
            return
        self.compared[record.node] = applied.index
        machine = raft._machine  # noqa: SLF001 (with_machine would need the node's turn)
        digest, wrong = machine.digest(), self.watch.followed.difference(machine, applied.index)
        if wrong:
            self.watch.add(LIKE_THE_REFERENCE, f"node {record.node} has applied {applied}, and {wrong}")
        known, other = self.watch.states.setdefault(applied.index, (digest, record.node))
        if known != digest:
            self.watch.add(STATES_AGREE, f"nodes {other} and {record.node} have applied {applied}, and differ")

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
        called, key = self.loop.time(), f"k{self.chance.randrange(self.draw.load.keys)}"
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

    # What operators ask

    async def elect(self) -> None:
        """Any node campaigns."""
        self.nodes[self._victim()].trigger.elect()

    async def transfer(self) -> None:
        """The leadership goes to any node."""
        await self.nodes[self._victim()].trigger.transfer_leader(self.chance.choice(self.ids()))

    async def build(self) -> None:
        """Any node builds a snapshot."""
        self.nodes[self._victim()].trigger.snapshot()

    async def change_voters(self) -> None:
        """Other nodes vote, or fewer."""
        leader = self._leader()
        if leader is not None:
            count = min(len(self.nodes), max(1, self.draw.nodes - self.chance.randrange(2)))
            await leader.change_membership(set(self.chance.sample(self.ids(), count)), retain=True)

    async def expect(self) -> None:
        """A write and a change that expect a leadership that is not there: both must be refused."""
        leader = self._leader()
        if leader is not None:
            expected = (leader.metrics.term + NEVER, leader.id)
            with suppress(PyraftError):
                await leader.client_write({"op": "put", "key": "expected", "value": 1}, leader=expected)
                self.watch.add(EXPECTATIONS, f"node {leader.id} writes, although it does not lead term {expected[0]}")
            await leader.change_membership(Batch(()), only_if=Precondition(leader=expected))
            self.watch.add(EXPECTATIONS, f"node {leader.id} changes the membership, and does not lead {expected[0]}")

    def _leader(self) -> Raft | None:
        leading = [one for one in self.nodes.values() if one.metrics.role == "leader"]
        return max(leading, key=lambda one: one.metrics.term, default=None)

    def _victim(self) -> NodeId:
        leader = self._leader()
        return leader.id if leader is not None and self.chance.random() < 0.5 else self.chance.choice(self.ids())

    # Clients

    async def work(self, name: int, client: Client) -> None:
        """One caller: calls one after the other until the end; a failed or cancelled write may have happened."""
        while not self._is_over:
            await asyncio.sleep(self.chance.uniform(*self.draw.load.think_time))
            with suppress(PyraftError):
                await self._call(client, name)

    async def _call(self, client: Client, name: int) -> None:
        request = self.requests.request(*self.requests.choose(), next(self.numbers))
        called, asked = self.loop.time(), input_of(request)
        try:
            if isinstance(request, Query):
                answer = await client.read(request.query, policy="lease" if request.policy == "lease" else "index")
            else:
                answer = await client.write(request.command)
        except (PyraftError, asyncio.CancelledError) as error:
            if isinstance(request, Write):
                self.notes.append(Operation(name, called, None, asked))
                self._mind(error)
            raise
        self.requests.learn(request, answer)
        self.notes.append(Operation(name, called, self.loop.time(), asked, answer))

    def _mind(self, error: BaseException) -> None:
        """A valid command is never refused by the machine."""
        if type(error).__name__ == "BadCommand":
            self.watch.add("valid commands are accepted", str(error))

    # The whole trial

    async def run(self) -> Failure | None:
        """Start, disturb, heal and judge; the first failure."""
        self.loop.set_exception_handler(self._on_error)
        for node in range(1, self.draw.nodes + 1):
            await self.start(node)
        self.faults.conditions(delay=(0.0005, 0.005))
        await self.nodes[1].initialize(set(self.nodes))
        for first in range(0, self.draw.load.clients, SHARED):
            client = Client(_Handles(self), deadline=3.0, attempt=0.3, chance=random.Random(self.draw.seed + 7 * first))
            for name in range(first, min(first + SHARED, self.draw.load.clients)):
                self._begin(partial(self.work, name, client))
        await self._disturb()
        found = self.first or (None if ends_liveness(self.draw.settings) else await self._settle())
        self._is_over = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if not (found or self.first or ends_liveness(self.draw.settings)):
            found = await self._leave_alone()
        await asyncio.gather(*(one.shutdown() for one in self.nodes.values()))
        return found or self.first or self._judge()

    def _begin(self, work: Work) -> None:
        self.tasks.append(asyncio.create_task(self._guarded(work)))

    async def _guarded(self, work: Work) -> None:
        """Errors of this library are answers; any other one is a mistake in it."""
        try:
            with suppress(PyraftError):
                await work()
        except Exception as error:  # noqa: BLE001 (whatever is wrong may raise anything)
            self.watch.add(RAISES, f"{type(error).__name__}: {error}")

    def _on_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Note an error that a callback of the loop has raised."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, PyraftError):
            self.watch.add(RAISES, f"{type(error).__name__}: {error}")

    @property
    def first(self) -> Failure | None:
        """The first failure so far."""
        return next(iter(self.watch.found), None)

    async def _disturb(self) -> None:
        """Faults one after the other, and meanwhile what operators ask; the chapters of the draw say how often."""
        faults, operations = self._weighted(FAULTS), self._weighted(OPERATIONS)
        while self.loop.time() < self.draw.seconds and not self.first:
            await asyncio.sleep(self.chance.uniform(*EVERY))
            if self.chance.random() < OPERATED and self.nodes:
                self._begin(partial(self.chance.choice(operations), self))
            else:
                await self.chance.choice(faults)(self)
            dead = [node for node, raft in self.nodes.items() if raft.metrics.running is not None]
            if dead:
                self.watch.add("nothing impossible", f"node {dead[0]} ended: {self.nodes[dead[0]].metrics.running}")

    def _weighted(self, acts: Mapping[Act, Sequence[str]]) -> Sequence[Act]:
        """Each act once, and more often for each of its chapters that the draw has."""
        return [
            act
            for act, chapters in acts.items()
            for _ in range(1 + MORE_OFTEN * len(set(chapters) & set(self.draw.chapters)))
        ]

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

    async def _leave_alone(self) -> Failure | None:
        """A leader is cut off while it has callers; each gets an answer there, and in the end no node keeps a request.

        Many writes arrive at once: they are merged as far as the limits allow.
        """
        leader, config = self._leader(), self.draw.settings
        if leader is None:
            return None
        self.faults.partition({leader.id})
        for _ in range(BURST):
            self._begin(partial(leader.client_write, {"op": "put", "key": "end", "value": LARGE}))
        self._begin(partial(leader.read, "end"))
        found = await self._rest([leader], 2 * config.election_timeout[1]) if config.check_quorum else None
        self.faults.heal()
        found = found or await self._rest(self.nodes.values(), liveness_bound(config))
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return found

    async def _rest(self, nodes: Iterable[Raft], seconds: float) -> Failure | None:
        """Wait until these nodes keep no request, for these seconds after the grace of a former leader."""
        for _ in range(round((seconds + grace(self.draw.settings)) / REST)):
            await asyncio.sleep(REST)
            if not list(_kept(nodes)):
                return None
        return Failure(EVERY_WAIT_ENDS, "; ".join(_kept(nodes)))

    def _judge(self) -> Failure | None:
        verdict = check_linearizable(History(self.notes), "kv", steps=STEPS)
        return Failure(LINEARIZABLE, verdict.explain()) if verdict.ok is False else None


FAULTS: Mapping[Act, Sequence[str]] = {
    LiveTrial.kill: ("disks", "elections", "sessions"),
    LiveTrial.suspend: ("leases", "clocks"),
    LiveTrial.partition: ("replication", "snapshots", "elections", "membership"),
    LiveTrial.disturb: ("replication", "sessions", "clocks"),
}
"""What happens to live nodes, and the chapters that try it."""
OPERATIONS: Mapping[Act, Sequence[str]] = {
    LiveTrial.elect: ("elections",),
    LiveTrial.transfer: ("transfers", "leases"),
    LiveTrial.build: ("snapshots",),
    LiveTrial.change_voters: ("membership",),
    LiveTrial.expect: (),
}
"""What operators ask, and the chapters that try it."""


def _kept(nodes: Iterable[Raft]) -> Iterator[str]:
    """The requests that nodes keep: those of callers, those that wait for an entry, and batches of clients."""
    for raft in nodes:
        driver, batches = raft._lifecycle.running_driver(), raft._requests  # noqa: SLF001 (no caller needs to ask this)
        kept = len(driver.requests), len(driver.pending.waiting), len(batches)
        if any(kept):
            yield "node {} keeps {} calls, {} requests and {} batches".format(raft.id, *kept)


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


async def _live(draw: Draw, engine: Engine, observers: Observers) -> Failure | None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "live trials run in virtual time"
    return await LiveTrial(draw, engine, loop, observers).run()


def live_failure(draw: Draw, engine: Engine, observers: Observers = ()) -> Failure | None:
    """The failure of live nodes under a draw; ``None`` if all is well. The same draw gives the same run."""
    with without_log():
        return run_virtually(_live(draw, engine, observers))


@contextmanager
def without_log() -> Iterator[None]:
    """Nodes that are killed and suspended on purpose need not warn anybody."""
    log = logging.getLogger("pyraft_lab.runtime")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
