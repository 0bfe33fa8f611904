"""A simulated and a live client run one machine: in the same world they send the same requests to the same nodes."""

import random
from collections.abc import Sequence
from typing import Any

from pyraft_lab.client.requests import FindOutcome, OpenSession, ReadMany, Request, WriteBatch
from pyraft_lab.client.state import Limits, Read, Write
from pyraft_lab.command import encode
from pyraft_lab.engine.events import Propose
from pyraft_lab.engine.events import Read as EngineRead
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import NetworkFailed, NotLeader
from pyraft_lab.loop_thread import LoopOwner
from pyraft_lab.runtime.client_driver import ClientDriver
from pyraft_lab.session import Value
from pyraft_lab.sim.clients import FIRST_NODES
from pyraft_lab.sim.conditions import Purpose, chance
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import Kind, Record

CLIENT = 5
FIRST, SECOND = {"op": "put", "key": "x", "value": 1}, {"op": "put", "key": "x", "value": 2}
Sent = tuple[str, NodeId]
"""A request and the node it was sent to."""


def simulated(seed: int) -> tuple[list[Sent], tuple[NodeId, NodeId]]:
    """A client writes, reads, and writes again after its leader has crashed: requests, both leaders."""
    sim = Simulation(nodes=3, seed=seed)
    old = sim.run_until(lambda s: s.leader or 0)
    sim.run(0.5)
    sim.watch(lambda record: sent.extend(requests(record)))
    sent: list[Sent] = []
    first = sim.write(FIRST, client=CLIENT)
    sim.run_until(lambda _: first.done)
    second = sim.read("x", client=CLIENT)
    sim.run_until(lambda _: second.done)
    sim.crash(old)
    sim.run(2)
    last = sim.write(SECOND, client=CLIENT)
    sim.run_until(lambda _: last.done)
    assert sim.leader is not None
    return sent, (old, sim.leader)


def requests(record: Record) -> list[Sent]:
    """The request of a client that reached a node, or found it down."""
    if record.kind is Kind.CALL and record.detail.endswith(" down"):
        return [("refused", int(record.detail.split()[-2].removeprefix("n")))]
    match record.step:
        case None:
            return []
        case step if isinstance(step.event, Propose):
            return [("write", record.node)]
        case step if isinstance(step.event, EngineRead):
            return [("read", record.node)]
        case _:
            return []


class Cluster:
    """The same world for a live client: who leads, and who is down."""

    def __init__(self, leader: NodeId) -> None:
        self.leader = leader
        self.down: set[NodeId] = set()
        self.sent: list[Sent] = []

    def nodes(self) -> Sequence[NodeId]:
        return (1, 2, 3)

    async def ask(self, node: NodeId, request: Request, /) -> Any:
        if node in self.down:
            self.sent.append(("refused", node))
            raise NetworkFailed(f"node {node}", "it is down")
        self.sent.append(("write" if isinstance(request, WriteBatch) else "read", node))
        if node != self.leader:
            raise NotLeader(self.leader, node=node)
        match request:
            case OpenSession():
                return 2
            case WriteBatch():
                return Value(None)
            case FindOutcome():
                return None
            case ReadMany(queries):
                return tuple(Value(1) for _ in queries)


class Turn(random.Random):
    """A chance whose first choice of a node is given."""

    def __init__(self, turn: int) -> None:
        super().__init__(1)
        self.turn = turn

    def randrange(self, *_: Any, **__: Any) -> int:
        return self.turn


async def live(leaders: tuple[NodeId, NodeId], turn: int) -> list[Sent]:
    """The requests of a live client in that world."""
    cluster, home = Cluster(leaders[0]), LoopOwner()
    driver = ClientDriver(CLIENT, cluster, attempt=5.0, limits=Limits(), chance=Turn(turn))
    await driver.call(Write(1, (encode(FIRST),)), None, 20.0, home)
    await driver.call(Read(2, "x"), None, 20.0, home)
    cluster.down.add(leaders[0])
    cluster.leader = leaders[1]
    await driver.call(Write(3, (encode(SECOND),)), None, 20.0, home)
    return cluster.sent


async def test_a_simulated_and_a_live_client_send_the_same_requests() -> None:
    for seed in range(4):
        sent, leaders = simulated(seed)
        assert await live(leaders, first_turn(seed)) == sent, f"seed {seed}"
        assert ("refused", leaders[0]) in sent
        assert sent[-1] == ("write", leaders[1])


def first_turn(seed: int) -> int:
    """The first choice of that client, as its own chance says."""
    return int(chance(seed, Purpose.CLIENT, CLIENT, 0) * FIRST_NODES)
