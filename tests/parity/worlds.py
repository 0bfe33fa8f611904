"""The three worlds in which scenarios are played: a simulation, and live nodes over memory and over MQTT."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from pyraft_lab.engine.membership import Membership, as_change
from pyraft_lab.engine.types import ORIGIN, Index, NodeId
from pyraft_lab.errors import Fatal, Timeout
from pyraft_lab.network.base import MemoryNetwork, Network
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.pending_requests import WriteResponse
from pyraft_lab.runtime.client import Client
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.metrics import Metrics, leader_of, metrics_of
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.sim.controls import OPERATOR
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import Call, Reconfigure
from tests.parity.language import WITHIN, Change, Scenario

T = TypeVar("T")


class Simulated:
    """A scenario's cluster in virtual time."""

    def __init__(self, scenario: Scenario) -> None:
        self.sim = Simulation(nodes=scenario.nodes, seed=1, config=scenario.config, initialize=False)
        if scenario.initialize:
            self.sim.initialize(range(1, scenario.nodes + 1), at=1)

    @property
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """What the live ones would say."""
        return {id: _metrics(self.sim, id) for id, node in self.sim.nodes.items() if node.up}

    async def until(self, predicate: Callable[[], T], what: str) -> T:
        """Let virtual time pass."""
        return self._run(predicate, what, WITHIN)

    async def machine(self, node: NodeId) -> Mapping[Any, Any]:
        """The table of a node."""
        return dict(self.sim.nodes[node].machine.data)  # type: ignore[attr-defined]

    def begin(self, call: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """It was made when it was written down."""
        return call

    def write(self, command: Any, at: NodeId | None, client: int, within: float) -> Coroutine[Any, Any, Any]:
        """A client writes."""
        return self._ended(self.sim.write(command, to=at, client=client), within)

    def read(self, key: Any, at: NodeId | None, policy: Any, within: float) -> Coroutine[Any, Any, Any]:
        """A client reads."""
        return self._ended(self.sim.read(key, to=at, policy=policy), within)

    async def initialize(self, voters: Iterable[NodeId], at: NodeId) -> None:
        """Found a cluster."""
        await self._ended(self.sim.initialize(voters, at))

    async def add_learner(self, node: Any) -> Membership | None:
        """Start a node, and let it receive the log."""
        found: Membership | None = await self._ended(self.sim.add_learner(node))
        return found

    def change(self, change: Change, at: NodeId | None) -> Coroutine[Any, Any, Membership | None]:
        """Change who votes."""
        if at is None:
            return self._ended(self.sim.change_membership(change.change, retain=change.retain))
        wish = Reconfigure(as_change(change.change), change.retain, change.guard)
        return self._ended(self.sim.call(Call(client=OPERATOR, request=wish, to=at)))

    async def transfer(self, to: NodeId, *, waits: bool) -> None:
        """Hand leadership over."""
        await self._ended(self.sim.transfer(to))
        await self.until(lambda: not waits or leader_of(self.metrics) == to, "the transfer")

    async def allow_revert(self, leader: NodeId, node: NodeId) -> None:
        """Let a follower start from nothing."""
        assert leader == self.sim.leader
        await self._ended(self.sim.allow_revert(node))

    def elect(self, node: NodeId) -> None:
        """Let a node campaign."""
        self.sim.elect(node)

    def snapshot(self, node: NodeId) -> None:
        """Let a node build a snapshot."""
        self.sim.snapshot(node)

    def purge(self, node: NodeId, upto: Index) -> None:
        """Let a node forget entries."""
        self.sim.purge(node, upto)

    async def kill(self, node: NodeId) -> None:
        """Stop a node."""
        self.sim.crash(node)

    async def restart(self, node: NodeId) -> None:
        """Start a node from its disk."""
        self.sim.restart(node)

    def wipe(self, node: NodeId) -> None:
        """Empty the disk of a dead node."""
        self.sim.wipe(node)

    def pause(self, node: NodeId) -> None:
        """Stop a node's time."""
        self.sim.pause(node)

    def resume(self, node: NodeId) -> None:
        """Let it go on; as in an event loop it takes what waited before it notices its timers."""
        self.sim.resume(node, late=0.05)

    def partition(self, groups: list[set[NodeId]]) -> None:
        """Part groups of nodes."""
        self.sim.partition(*groups)

    def cut(self, src: NodeId, dst: NodeId) -> None:
        """Part two nodes, one way."""
        self.sim.cut(src, dst)

    def heal(self) -> None:
        """Undo this."""
        self.sim.heal()

    async def _ended(self, call: ClientCall, within: float = WITHIN) -> Any:
        """What a call returns that was made."""
        self._run(lambda: call.done, f"{call}", within)
        if call.error is not None:
            raise call.error
        return call.value

    def _run(self, predicate: Callable[[], T], what: str, within: float) -> T:
        try:
            return self.sim.run_until(lambda _: predicate(), timeout=within)
        except Timeout:
            raise Timeout(what, within) from None


def _metrics(sim: Simulation, node: NodeId) -> Metrics:
    state = sim.nodes[node].state
    return metrics_of(state, state.log.id_at(state.applied) or ORIGIN, None, began=lambda _: None)


class Live:
    """A scenario's cluster of live nodes in this process."""

    def __init__(self, scenario: Scenario, network: str, directory: Path, name: str) -> None:
        self.directory = directory
        self.cluster = LocalCluster(
            scenario.nodes,
            network=network,
            storage=directory if scenario.wipes else "memory",
            config=scenario.config,
            name=name,
            level="off",
        )
        self.clients: dict[int, Client] = {}

    def begin(self, call: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """A task makes it."""
        return asyncio.create_task(call)

    async def __aenter__(self) -> Self:
        await self.cluster.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cluster.close()

    @property
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """What every node that is up says about itself."""
        return self.cluster.metrics

    async def until(self, predicate: Callable[[], T], what: str) -> T:
        """Look until it is so: what is waited for spans nodes, and no one event tells."""
        return await look_until(predicate, what)

    async def machine(self, node: NodeId) -> Mapping[Any, Any]:
        """The table of a node."""
        table: Mapping[Any, Any] = await self.cluster.raft(node).with_machine(lambda machine: machine.data)
        return table

    async def write(self, command: Any, at: NodeId | None, client: int, within: float) -> Any:
        """A client writes."""
        if at is None:
            return await self._client(client, within).write(command)
        return await self._as_client(self.cluster.raft(at).client_write(command))

    async def _as_client(self, call: Coroutine[Any, Any, WriteResponse]) -> Any:
        """The caller of a handle learns first that its node is over; a client, what that means for its write."""
        try:
            return (await call).value
        except Fatal as over:
            raise over.__cause__ or over from over

    async def read(self, key: Any, at: NodeId | None, policy: Any, within: float) -> Any:
        """A client reads."""
        if at is None:
            return await self._client(1, within).read(key, policy=policy)
        return await self.cluster.raft(at).read(key, policy=policy)

    async def initialize(self, voters: Iterable[NodeId], at: NodeId) -> None:
        """Found a cluster."""
        await self.cluster.raft(at).initialize(voters)

    async def add_learner(self, node: Any) -> Membership | None:
        """Start a node, and let it receive the log."""
        return (await self.cluster.add_learner(node)).membership

    async def change(self, change: Change, at: NodeId | None) -> Membership | None:
        """Change who votes."""
        if at is None:
            return (await self.cluster.change_membership(change.change, retain=change.retain)).membership
        raft = self.cluster.raft(at)
        return (await raft.change_membership(change.change, change.retain, change.guard)).membership

    async def transfer(self, to: NodeId, *, waits: bool) -> None:
        """Hand leadership over."""
        if waits:
            await self.cluster.transfer(to, WITHIN)
        else:
            await self.cluster.raft(await self.cluster.wait_leader(WITHIN)).trigger.transfer_leader(to)

    async def allow_revert(self, leader: NodeId, node: NodeId) -> None:
        """Let a follower start from nothing."""
        await self.cluster.raft(leader).trigger.allow_next_revert(node)

    def elect(self, node: NodeId) -> None:
        """Let a node campaign."""
        self.cluster.raft(node).trigger.elect()

    def snapshot(self, node: NodeId) -> None:
        """Let a node build a snapshot."""
        self.cluster.raft(node).trigger.snapshot()

    def purge(self, node: NodeId, upto: Index) -> None:
        """Let a node forget entries."""
        self.cluster.raft(node).trigger.purge(upto)

    async def kill(self, node: NodeId) -> None:
        """Stop a node."""
        await self.cluster.kill(node)

    async def restart(self, node: NodeId) -> None:
        """Start a node from its disk."""
        await self.cluster.restart(node)

    def wipe(self, node: NodeId) -> None:
        """Empty the disk of a dead node."""
        shutil.rmtree(self.directory / f"node-{node}")

    def pause(self, node: NodeId) -> None:
        """It takes no steps; what comes for it waits, and its timers run out unseen."""
        self.cluster.pause(node)

    def resume(self, node: NodeId) -> None:
        """Let it go on, with all that arrived meanwhile."""
        self.cluster.resume(node)

    def partition(self, groups: list[set[NodeId]]) -> None:
        """Part groups of nodes."""
        self.cluster.partition(*groups)

    def cut(self, src: NodeId, dst: NodeId) -> None:
        """Part two nodes, one way."""
        self.cluster.cut(src, dst)

    def heal(self) -> None:
        """Undo this."""
        self.cluster.heal()

    def _client(self, number: int, within: float) -> Client:
        """Each number is a session of its own; one that is in a hurry is another's."""
        if within != WITHIN:
            return self.cluster.new_client(deadline=within)
        return self.clients.setdefault(number, self.cluster.new_client(deadline=WITHIN))


class Pristine(Live):
    """Live nodes that no cluster has founded yet; only what one may ask such a node."""

    def __init__(self, scenario: Scenario, network: str, directory: Path, name: str) -> None:
        super().__init__(scenario, network, directory, name)
        self._wire: Network = MemoryNetwork() if network == "memory" else MqttNetwork(network, cluster=name)
        self.rafts = {
            node: Raft(node, network=self._wire, config=scenario.config) for node in range(1, scenario.nodes + 1)
        }
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._wire.close)
        for raft in self.rafts.values():
            await raft.start()
            self._stack.push_async_callback(raft.shutdown)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """What the nodes say."""
        return {node: raft.metrics for node, raft in self.rafts.items()}

    async def machine(self, node: NodeId) -> Mapping[Any, Any]:
        """The table of a node."""
        table: Mapping[Any, Any] = await self.rafts[node].with_machine(lambda machine: machine.data)
        return table

    async def write(self, command: Any, at: NodeId | None, client: int, within: float) -> Any:  # noqa: ARG002
        """One node is asked, once."""
        return (await self.rafts[at or 1].client_write(command)).value

    async def read(self, key: Any, at: NodeId | None, policy: Any, within: float) -> Any:  # noqa: ARG002
        """One node is asked, once."""
        return await self.rafts[at or 1].read(key, policy=policy)

    async def initialize(self, voters: Iterable[NodeId], at: NodeId) -> None:
        """Found a cluster."""
        await self.rafts[at].initialize(voters)

    async def change(self, change: Change, at: NodeId | None) -> Membership | None:
        """Change who votes."""
        return (await self.rafts[at or 1].change_membership(change.change, change.retain)).membership


async def look_until(predicate: Callable[[], T], what: str) -> T:
    """Look again and again, for as long as a scenario may take."""
    try:
        async with asyncio.timeout(WITHIN):
            while not (found := predicate()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            return found
    except TimeoutError:
        raise Timeout(what, WITHIN) from None
