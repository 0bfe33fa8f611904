"""A whole cluster in this process: live nodes on a thread of their own, over memory or a real broker.

>>> async with LocalCluster(3) as cluster:  # doctest: +SKIP
...     await cluster.client.write({"op": "put", "key": "x", "value": 1})
...     await cluster.kill(await cluster.wait_leader())
...     await cluster.client.read("x")
1
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from pyraft_lab.arguments import flag, functions, instance, node_id, seconds
from pyraft_lab.client.requests import Request
from pyraft_lab.concurrency import need_processes
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.membership import ChangeLike, as_change
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import AlreadyInitialized, ConfigError, NotLeader, UnknownNode
from pyraft_lab.extras import needed
from pyraft_lab.machine import KeyValue, StateMachine
from pyraft_lab.network.base import MemoryNetwork, Network
from pyraft_lab.network.codec import Envelope
from pyraft_lab.network.faults import Fate, Faults, LinkFaults
from pyraft_lab.network.gate import Gate
from pyraft_lab.pending_requests import WriteResponse
from pyraft_lab.runtime.client import Transport
from pyraft_lab.runtime.clusters import NOT_RUNNING, Cluster
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.recorder import Level, Observer, Recorder
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.trace.record import Kind
from pyraft_lab.trace.trace import Trace

T = TypeVar("T")
CHANGE_TIMEOUT = 5.0
"""Seconds for which a change of the membership is asked again while leaders refuse it."""


class LocalCluster(Cluster):
    """``nodes`` live servers, numbered from 1; the ``async with`` block initializes them as one cluster.

    With the disks of an earlier cluster it continues where that one stopped.

    ``network`` is ``"memory"``, ``"mqtt"`` (starts a broker) or a broker's URL; ``storage`` is ``"memory"`` or a
    directory; ``machine`` makes a state machine for each node. ``processes=True`` runs every node in its own process,
    around a broker; the result is another :class:`~pyraft_lab.runtime.clusters.Cluster`, without the nodes' handles.
    ``trace`` is the number of newest events that are kept (``None``: no trace), ``level`` how much of each is recorded
    (:class:`~pyraft_lab.runtime.recorder.Recorder`).
    """

    nodes: dict[NodeId, Raft]
    """The handles of the nodes that are up, by id."""
    trace: Trace
    """What happened, as frames and as a story."""

    def __new__(cls, *arguments: Any, processes: bool = False, **settings: Any) -> Self:
        """With ``processes=True`` make a ``ProcessCluster``, which has the same methods."""
        if not flag("processes", processes):
            return super().__new__(cls)
        need_processes("use LocalCluster() without processes=True")
        with needed("aiomqtt"):
            from pyraft_lab.runtime.processes import ProcessCluster

        made: Any = ProcessCluster(*arguments, **settings)
        return made  # type: ignore[no-any-return]

    def __init__(
        self,
        nodes: int = 3,
        *,
        processes: bool = False,  # noqa: ARG002 (decided in __new__)
        network: str = "memory",
        storage: str | Path = "memory",
        config: Config | None = None,
        machine: Callable[[], StateMachine] = KeyValue,
        rules: Rules = RAFT,
        observers: Sequence[Observer] = (),
        trace: int | None = 20_000,
        level: Level = "full",
        name: str = "local",
    ) -> None:
        super().__init__(nodes, network=network, storage=storage, config=config, trace=trace, name=name)
        if not callable(machine):
            raise ConfigError("machine", machine, "must make a new state machine for each node: a class or a function")
        self.nodes = {}
        self._machine, self._rules = machine, instance("rules", rules, Rules)
        self._disks: dict[NodeId, MemoryStorage] = {}
        watching = functions("observers", observers)
        self._reporter = Recorder(
            [self.trace, *watching] if self._is_traced else watching, now=lambda: self.now, level=level
        )
        self._faults: Faults | None = None

    # Start and end

    async def _begin(self) -> None:
        self._link_faults = LinkFaults()
        self._faults = Faults(await self._wire())
        self._faults.on_fate = partial(self._record_fate, asyncio.get_running_loop())
        self._stack.push_async_callback(self._faults.close)
        self._stack.push_async_callback(self._stop_nodes)
        self._client = self.new_client()
        for node in self._voters:
            await self._start(node)
        with suppress(AlreadyInitialized):  # the disks of an earlier cluster know their membership
            await self.nodes[1].initialize(self._voters)

    async def _stop_nodes(self) -> None:
        await asyncio.gather(*(raft.shutdown() for raft in self.nodes.values()))
        self.nodes.clear()

    async def _wire(self) -> Network:
        if self._network == "memory":
            return MemoryNetwork()
        with needed("aiomqtt"):
            from pyraft_lab.network.mqtt import MqttNetwork

        if self._network == "mqtt":
            await self._start_broker()
        return MqttNetwork(self.broker.url if self.broker else self._network, cluster=self._name)

    def _disk(self, node: NodeId) -> Storage:
        if self._storage == "memory":
            return self._disks.setdefault(node, MemoryStorage())
        from pyraft_lab.storage.sqlite import SqliteStorage

        return SqliteStorage(Path(self._storage) / f"node-{node}")

    async def _start(self, node: NodeId) -> None:
        assert self._faults is not None, "the network starts before the nodes"
        raft = Raft(
            node,
            config=self.config,
            network=self._faults,
            storage=self._disk(node),
            cluster=self._name,
            machine=self._machine(),
            rules=self._rules,
            reporter=self._reporter,
        )
        await raft.start()
        self.nodes[node] = raft
        self._started.add(node)

    # Use

    def _transport(self) -> Transport:
        return _Handles(self)

    @property
    def level(self) -> Level:
        """How much is recorded from now on: ``off``, ``protocol``, ``steps`` or ``full``; may be changed."""
        return self._reporter.level

    @level.setter
    def level(self, level: Level) -> None:
        self._reporter.level = level

    @property
    def gate(self) -> Gate:
        """Hold, show and release single messages between the nodes (:mod:`pyraft_lab.network.gate`)."""
        return self._wires.gate

    def raft(self, node: NodeId) -> Raft:
        """The handle of a node that is up; raises ``UnknownNode`` if it is not."""
        if self._thread is None:
            raise copy(NOT_RUNNING)
        if node_id("node", node) not in self.nodes:
            raise UnknownNode(node, self.nodes)
        return self.nodes[node]

    @property
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """The current metrics of every node that is up, by id."""
        if self._thread is None:
            raise copy(NOT_RUNNING)
        return {node: raft.metrics for node, raft in tuple(self.nodes.items())}

    # Membership

    async def add_learner(self, node: NodeId, *, blocking: bool = True) -> WriteResponse:
        """Start a node and let it receive the log; it has no vote until ``change_membership``."""
        node, blocking = node_id("node", node), flag("blocking", blocking)
        if node not in self.nodes:
            await self._home.run(self._start(node))
        return await self._by_leader(lambda raft: raft.add_learner(node, blocking=blocking))

    async def change_membership(self, change: ChangeLike, *, retain: bool = False) -> WriteResponse:
        """Change the voters, through a joint membership; removed nodes keep running until they are killed."""
        wanted, retain = as_change(change), flag("retain", retain)
        return await self._by_leader(lambda raft: raft.change_membership(wanted, retain))

    async def transfer(self, to: NodeId, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Transfer leadership to a voter and wait until it leads; ``timeout`` in seconds, then ``Timeout``."""
        node_id("to", to), seconds("timeout", timeout)
        if to not in self._started:
            raise UnknownNode(to, self._started)
        await self.raft(await self.wait_leader()).trigger.transfer_leader(to)
        await self.raft(to).wait(timeout).role("leader")

    async def allow_next_revert(self, node: NodeId) -> None:
        """Let a voter that lost its disk start again from nothing, once; its leader raised an alarm about it."""
        await self._by_leader(lambda raft: raft.trigger.allow_next_revert(node))

    async def _by_leader(self, act: Callable[[Raft], Awaitable[T]]) -> T:
        """Run ``act`` on the leader; refused (nothing has changed), repeat it for :data:`CHANGE_TIMEOUT`."""
        end = asyncio.get_running_loop().time() + CHANGE_TIMEOUT
        while True:
            try:
                return await act(self.raft(await self.wait_leader()))
            except NotLeader:  # the leadership moved just before, or the leader must hear from its quorum first
                if asyncio.get_running_loop().time() > end:
                    raise
            await asyncio.sleep(0.02)

    # Step by step

    def freeze(self) -> None:
        """Stop all timers of all nodes; together with ``gate.close()`` nothing moves that you do not move."""
        for raft in self.nodes.values():
            raft.runtime.tick(on=False)

    def thaw(self) -> None:
        """Let timers run again; timers that expired meanwhile fire now."""
        for raft in self.nodes.values():
            raft.runtime.tick(on=True)

    # Faults

    async def kill(self, node: NodeId) -> None:
        """Stop a node without notice to the others; it keeps its disk."""
        raft = self.raft(node)
        del self.nodes[node]
        await raft.shutdown()
        self._home.call(lambda: self._reporter.record(Kind.CRASH, node))

    async def restart(self, node: NodeId) -> None:
        """Start a node from its disk; a node that is up is killed first."""
        if node_id("node", node) in self.nodes:
            await self.kill(node)
        elif node not in self._started:
            raise UnknownNode(node, self._started)
        await self._home.run(self._start(node))

    def pause(self, node: NodeId) -> None:
        """Suspend a node, as a long garbage collection or a suspended laptop would."""
        self.raft(node).pause()
        self._home.call(lambda: self._reporter.record(Kind.PAUSE, node))

    def resume(self, node: NodeId) -> None:
        """Resume a paused node; it then receives everything that arrived meanwhile."""
        self._home.call(lambda: self._reporter.record(Kind.RESUME, node))
        self.raft(node).resume()

    def _check_started(self, *nodes: NodeId) -> None:
        for node in nodes:
            if node not in self._started:
                raise UnknownNode(node, self._started)

    def _impose(
        self, faults: LinkFaults, kind: Kind, node: NodeId = 0, *, peer: NodeId | None = None, detail: str = ""
    ) -> None:
        """Change the links and record that, on the nodes' own thread, so that the record is in its right place."""

        def impose() -> None:
            self._link_faults = faults
            self._wires.impose(faults)
            self._reporter.record(kind, node, peer=peer, detail=detail)

        self._home.call(impose)

    def _record_fate(
        self, loop: asyncio.AbstractEventLoop, src: NodeId, dst: NodeId, envelope: Envelope, fate: Fate
    ) -> None:
        """Record what happened to a message, after the step that sent it; also while the cluster closes."""

        def tell() -> None:
            if fate == "dropped":
                self._reporter.record(Kind.DROP, src, peer=dst, message=envelope.id)
            else:
                self._reporter.record(Kind.UNDELIVERED, dst, peer=src, message=envelope.id, detail=fate)

        loop.call_soon_threadsafe(tell)

    @property
    def _wires(self) -> Faults:
        if self._faults is None:
            raise copy(NOT_RUNNING)
        return self._faults


class _Handles:
    """A client's transport to nodes of the same process."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster

    def nodes(self) -> Sequence[NodeId]:
        if self._cluster._thread is None:  # noqa: SLF001 (its own transport, asked at every turn of a client)
            raise copy(NOT_RUNNING)
        return tuple(self._cluster.nodes)

    async def ask(self, node: NodeId, request: Request, /) -> Any:
        return await self._cluster.raft(node).serve(request)

    def check(self, query: Any, /) -> None:
        """Accept every query: inside one process a query needs no encoding."""
