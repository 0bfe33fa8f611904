"""Live nodes on trial for what each call was promised: answers, deadlines, room, one machine, one name, a true end.

Three nodes with disks in memory, in virtual time, and no chance in it::

    many writes · a huge one · more than there is room for     ──▶ each gets its own answer
    a leader without its followers                             ──▶ each call ends at its deadline, with a true error
    timers switched off, and on again                          ──▶ no read by a lease that is over; the cluster goes on
    a second caller of a batch, the first one cancelled        ──▶ the second gets the answer
    shutdown, restart on the same disk                         ──▶ callers are told, watchers too, and nothing is lost
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct

from pyraft_lab.check.failure import Failure
from pyraft_lab.check.live_trial import without_log
from pyraft_lab.check.lookahead import EVERY_WAIT_ENDS
from pyraft_lab.check.swarm import Draw
from pyraft_lab.client.requests import OpenSession, ReadMany, Request, WriteBatch
from pyraft_lab.command import encode, seal
from pyraft_lab.engine.commands import CancelTimer, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.messages import Outdated
from pyraft_lab.engine.timers import HEARTBEAT, TimerKind, lease, retry
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode, NotLeader, OutcomeUnknown, Overloaded, PyraftError, Stopped
from pyraft_lab.machine import KeyValue
from pyraft_lab.network.base import MemoryNetwork, SessionTakenOver
from pyraft_lab.network.codec import Envelope
from pyraft_lab.network.faults import Faults
from pyraft_lab.runtime.client import Client
from pyraft_lab.runtime.driver import INBOX
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.timers import ROUNDS, Timers
from pyraft_lab.runtime.virtual_time import run_virtually
from pyraft_lab.session import Rejected, Value
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.trial import broken, same

PROMISED = "calls get what they were promised"
NODES = (1, 2, 3)
DEADLINE, ROOM = 2.0, 4
"""Virtual seconds that a call may take, and the requests that a node has room for."""
LARGE = "x" * (600 << 10)
"""A value that is applied in a piece of its own."""


class Cluster:
    """Three live nodes; the first one leads."""

    def __init__(self, seed: int, config: Config) -> None:
        self.network = Faults(MemoryNetwork(), chance=random.Random(seed))
        self.disks = {node: MemoryStorage() for node in NODES}
        self.seed, self.config = seed, config
        self.nodes: dict[NodeId, Raft] = {}

    async def start(self, node: NodeId, machine: KeyValue | None = None) -> Raft:
        """Start a node on its disk."""
        self.nodes[node] = Raft(
            node, config=self.config, network=self.network, storage=self.disks[node], machine=machine or KeyValue(),
            chance=random.Random(self.seed + node), deadline=DEADLINE, max_waiting=ROOM,
        )  # fmt: skip
        await self.nodes[node].start()
        return self.nodes[node]

    @property
    def leader(self) -> Raft:
        """The node that leads the latest term."""
        leading = [one for one in self.nodes.values() if one.metrics.role == "leader"]
        return max(leading, key=lambda one: one.metrics.term) if leading else broken("nobody leads")


@asynccontextmanager
async def _cluster(draw: Draw, config: Config) -> AsyncIterator[Cluster]:
    cluster = Cluster(draw.seed, config)
    try:
        for node in NODES:
            await cluster.start(node)
        await cluster.nodes[1].initialize(set(NODES))
        await cluster.nodes[1].wait(DEADLINE).leader()
        await cluster.leader.write_blank()
        yield cluster
    finally:
        await asyncio.gather(*(one.shutdown() for one in cluster.nodes.values()))


def _put(value: object) -> dict[str, object]:
    return {"op": "put", "key": "k", "value": value}


async def _ended(what: str, call: Awaitable[object], seconds: float = 2 * DEADLINE) -> object:
    """What a call returns or raises; it must end in this time."""
    try:
        return await asyncio.wait_for(asyncio.ensure_future(call), seconds)
    except TimeoutError as late:
        return late if isinstance(late, PyraftError) else broken(f"{what} never ends")
    except PyraftError as error:
        return error


# What is tried


async def _answers(cluster: Cluster) -> None:
    """Each of many writes gets its own answer, also a huge one, and those that have to wait for room."""
    leader = cluster.leader
    many = await leader.client_write_many([{"op": "incr", "key": "n"} for _ in range(3)])
    same("the answers to three writes at once", [one.value for one in many], [1, 2, 3])
    huge = await _ended("a huge write", leader.client_write(_put(LARGE)))
    same("a huge write fails", isinstance(huge, Exception), expected=False)
    reply = await leader.serve(ReadMany((1.5, "n")))
    same("the answers to a query that the machine rejects, and to another", [*map(type, reply)], [Rejected, Value])
    calls = [_ended("a call that waits for room", leader.client_write(_put(1))) for _ in range(3 * ROOM)]
    failed = [one for one in await asyncio.gather(*calls) if isinstance(one, Exception)]
    same("writes that failed because they had to wait for room", failed, [])


async def _shared_batch(cluster: Cluster) -> None:
    """A batch of a client that is asked for twice; the first caller goes away."""
    leader = cluster.leader
    session = await leader.serve(OpenSession())
    data = seal([encode(_put(2))], client=7, serial=1, done=0, since=session)
    first = asyncio.create_task(leader.serve(WriteBatch(data, 7, 1)))
    second = asyncio.create_task(_ended("a repeated batch", leader.serve(WriteBatch(data, 7, 1))))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait((first, second))
    same("a batch is cancelled with its first caller", second.cancelled(), expected=False)
    same("the answer to a repeated batch is an error", isinstance(second.result(), Exception), expected=False)
    same("the bytes of batches at rest", leader._requests._bytes, 0)  # noqa: SLF001 (no caller needs to ask this)


class Door(Struct):
    """What a client needs of a cluster: whom to ask."""

    cluster: Cluster

    def nodes(self) -> Sequence[NodeId]:
        """The nodes of the cluster."""
        return NODES

    def check(self, query: object, /) -> None:
        """Every query can be sent."""

    async def ask(self, node: NodeId, request: Request, /) -> object:
        """A node's reply."""
        return await self.cluster.nodes[node].serve(request)


async def _client(cluster: Cluster) -> None:
    """Calls of one client that share a batch each get the answers to their own commands."""
    client = Client(Door(cluster), deadline=DEADLINE, chance=random.Random(cluster.seed))
    steps = {"a": 1, "b": 10, "c": 100}
    calls = (client.write_many([{"op": "incr", "key": key, "by": by}] * 2) for key, by in steps.items())
    same("the answers to calls that share a batch", await asyncio.gather(*calls), [[1, 2], [10, 20], [100, 200]])


async def _deadlines(cluster: Cluster) -> None:
    """A leader that is cut off ends each call at its deadline, and says whether it may have happened."""
    leader = cluster.leader
    cluster.network.partition({leader.id})
    calls = [asyncio.create_task(_ended("a read without a quorum", leader.read("k")))]
    for _ in range(2):
        calls.append(asyncio.create_task(_ended("a write without a quorum", leader.client_write(_put(3)))))
        await asyncio.sleep(0.3)
    await asyncio.wait(calls)
    read, *written = (call.result() for call in calls)
    if isinstance(read, OutcomeUnknown) or not isinstance(read, Exception):
        broken(f"a read without a quorum ends with {read!r}")
    for one in written:
        if not isinstance(one, OutcomeUnknown):
            broken(f"a write that may yet happen ends with {one!r}")


async def _room(cluster: Cluster) -> None:
    """A node with no more room refuses requests of clients, and does not keep them."""
    leader = cluster.leader
    cluster.network.partition({leader.id})
    calls = [asyncio.create_task(_ended("a write", leader.client_write(_put(4)))) for _ in range(ROOM)]
    await asyncio.sleep(0.01)
    reply = await _ended("a request without room", leader.serve(OpenSession()))
    if not isinstance(reply, Overloaded):
        broken(f"a node with room for {ROOM} requests takes one more: {reply!r}")
    cluster.network.heal()
    await asyncio.wait(calls)


async def _frozen(cluster: Cluster) -> None:
    """A leader whose timers are switched off knows that its lease is over; switched on again, the cluster goes on."""
    for node in cluster.nodes.values():
        node.runtime.tick(on=False)
    leader = cluster.leader
    await asyncio.sleep(10 * cluster.config.election_timeout[1])
    reply = await _ended("a read by lease", leader.read("k", policy="lease"))
    if not isinstance(reply, NotLeader):
        broken(f"after its lease a leader with frozen timers reads {reply!r}")
    cluster.network.partition({leader.id})
    for node in cluster.nodes.values():
        node.runtime.tick(on=True)
    await asyncio.sleep(DEADLINE)
    same("with timers on again, another node leads", cluster.leader.id != leader.id, expected=True)
    cluster.network.heal()
    written = await _ended("a write after timers were switched on", cluster.leader.client_write(_put(5)))
    same("a write after timers were switched on fails", isinstance(written, Exception), expected=False)


async def _end(cluster: Cluster) -> None:
    """Callers and watchers learn that a node ends, nobody uses its machine again, and its disk holds what it had."""
    leader, machine = cluster.leader, KeyValue()
    cluster.network.partition({leader.id})
    calls = (
        asyncio.create_task(_ended("a write at a node that ends", leader.client_write(_put(6)))),
        asyncio.create_task(_ended("a wait at a node that ends", leader.wait().applied(1_000_000))),
    )
    await asyncio.sleep(0.01)
    term = leader.metrics.term
    await leader.shutdown()
    await asyncio.wait(calls, timeout=0.1)
    if not all(call.done() for call in calls):
        broken("a call at a node that has ended never ends")
    written, watched = (call.result() for call in calls)
    if not (isinstance(written, Stopped) and isinstance(written.__cause__, OutcomeUnknown)):
        broken(f"a write at a node that ended is told {written!r}, as if nothing could have happened")
    if not isinstance(watched, Stopped):
        broken(f"a wait at a node that ended is told {watched!r}")
    cluster.network.heal()
    again = await cluster.start(leader.id, machine)
    if again.metrics.term < term:
        broken(f"node {again.id} had reached term {term}, and starts in term {again.metrics.term}")
    await again.wait(DEADLINE).applied(2)
    other = Raft(9, network=cluster.network, machine=machine)
    try:
        await other.start()
    except PyraftError:
        return
    await other.shutdown()
    broken("two nodes use one machine")


async def _double(cluster: Cluster) -> None:
    """A node whose name another one has taken ends."""
    victim = cluster.nodes[NODES[-1]]
    victim._lifecycle.running_driver().notice(SessionTakenOver(victim.id))  # noqa: SLF001 (only a broker tells this)
    await asyncio.sleep(0.1)
    if not isinstance(victim.metrics.running, DuplicateNode):
        broken(f"node {victim.id} goes on although another one has its name")


async def _flood(cluster: Cluster) -> None:
    """A node that is paused does not keep all that arrives."""
    victim = cluster.nodes[NODES[-1]]._lifecycle.running_driver()  # noqa: SLF001 (no caller needs to ask this)
    victim.pause()
    victim.receive(1, [Envelope(0, 0, Outdated(vote=victim.state.vote))] * (INBOX + 1))
    same("the messages that a paused node keeps", len(victim._envelopes), INBOX)  # noqa: SLF001 (see above)


async def _members(cluster: Cluster) -> None:
    """A change of members returns when its last step is committed."""
    leader, *others = sorted(cluster.nodes.values(), key=lambda one: one is not cluster.leader)
    for voters in ({leader.id, others[0].id}, {others[0].id}):
        response = await leader.change_membership(voters)
        assert response.membership is not None, "a change is answered with what it changed"
        same("the voter sets after a change of members", [*map(set, response.membership.configs)], [voters])
        same("a change of members is committed", response.log_id.index <= leader.metrics.committed, expected=True)


async def _timers(cluster: Cluster) -> None:
    """An expired timer that is set again is not due, old rounds are forgotten, and a kind is cancelled whole."""
    clock, config = Timers(lambda: None, random.Random(cluster.seed)), cluster.config
    clock.set(SetTimer(HEARTBEAT), config, 1)
    await asyncio.sleep(2 * config.heartbeat_interval)
    same("an expired timer is due", clock.has_due, expected=True)
    clock.set(SetTimer(HEARTBEAT), config, 2)
    same("a timer that was set again is due", clock.has_due, expected=False)
    for round in range(1, ROUNDS + 10):
        clock.set(SetTimer(lease(round)), config, 3)
    same("when the first of many rounds began", clock.began(1), None)
    for peer in NODES:
        clock.set(SetTimer(retry(peer)), config, 4)
    clock.cancel(CancelTimer(retry(0)))
    await asyncio.sleep(2 * config.retry_timeout)
    same("timers of a kind that was cancelled", [one for one in clock.overdue() if one.kind is TimerKind.RETRY], [])
    clock.stop()


ALONE = Config(check_quorum=False)
"""With these settings a leader that is cut off goes on leading."""
TRIES: Sequence[tuple[Callable[[Cluster], Awaitable[None]], Config]] = (
    (_answers, Config()),
    (_shared_batch, Config()),
    (_client, Config()),
    (_deadlines, ALONE),
    (_room, ALONE),
    (_frozen, Config()),
    (_end, Config()),
    (_double, Config()),
    (_members, Config()),
    (_timers, Config()),
    (_flood, Config()),
)


async def _all(draw: Draw) -> str:
    for attempt, config in TRIES:
        try:
            async with _cluster(draw, config) as cluster:
                await attempt(cluster)
        except (AssertionError, PyraftError) as error:
            return f"{type(error).__name__}: {error}"
    return ""


def node_failure(draw: Draw) -> Failure | None:
    """The first promise to a caller that live nodes break; ``None`` if all are kept."""
    with without_log():
        wrong = run_virtually(_all(draw))
    return Failure(EVERY_WAIT_ENDS if wrong.endswith("never ends") else PROMISED, wrong) if wrong else None
