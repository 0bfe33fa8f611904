"""The base of every live cluster, with its nodes in this process or each in a process of its own."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from msgspec.structs import replace

from pyraft_lab.arguments import MAX_NODES, directory, integer, node_pair, probability, seconds, sides, time_range
from pyraft_lab.cell_lifecycle import end_with_the_cell
from pyraft_lab.concurrency import need_processes, to_thread
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.membership import ChangeLike
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, Fatal, PyraftError, Timeout, UnknownNode
from pyraft_lab.loop_thread import LoopOwner, LoopThread
from pyraft_lab.network.address import Address, topic_word
from pyraft_lab.network.faults import LinkFaults
from pyraft_lab.pending_requests import WriteResponse
from pyraft_lab.runtime.client import MOST_COMMAND_BYTES, Client, Transport
from pyraft_lab.runtime.metrics import Metrics, leader_of
from pyraft_lab.trace.record import Kind
from pyraft_lab.trace.trace import Trace

if TYPE_CHECKING:
    from pyraft_lab.network.broker import Broker

T = TypeVar("T")
NOT_RUNNING = Fatal("the cluster is not running; use it inside 'async with LocalCluster(...) as cluster:'")
CLOSING: set[asyncio.Task[None]] = set()
"""The clusters that close on the loop of their caller, because a cell runs again."""


def _place(storage: str | Path) -> str | Path:
    if not isinstance(storage, (str, Path)):
        raise ConfigError("storage", storage, 'must be "memory" or a directory')
    return storage if storage == "memory" else directory("storage", storage)


def _way(network: str) -> str:
    if network not in ("memory", "mqtt"):
        try:
            Address.parse(network)
        except ConfigError as error:
            told = 'must be "memory", "mqtt" or the URL of a broker, such as mqtt://localhost:1883'
            raise ConfigError("network", network, told) from error
    return network


class Cluster(ABC):
    """A live cluster that runs inside its ``async with`` block; usable from any event loop and thread.

    In a notebook, a cluster that a cell started ends when that cell runs again.
    """

    trace: Trace
    """What happened, as frames and as a story."""
    broker: "Broker | None"
    """The broker that the cluster started, if it did."""

    def __init__(
        self,
        nodes: int = 3,
        *,
        network: str = "memory",
        storage: str | Path = "memory",
        config: Config | None = None,
        trace: int | None = 20_000,
        name: str = "local",
    ) -> None:
        self._voters = range(1, integer("nodes", nodes, 1, MAX_NODES) + 1)
        self.config = Config.of(config)
        self.trace = Trace(limit=1 if trace is None else integer("trace", trace, 1))
        self.broker = None
        self._network, self._name = _way(network), topic_word("name", name)
        self._storage = _place(storage)
        self._started: set[NodeId] = set()
        self._is_traced, self._trace_limit = trace is not None, trace
        self._created = time.monotonic()
        self._link_faults = LinkFaults()
        self._client: Client | None = None
        self._thread: LoopThread | None = None
        self._stack = AsyncExitStack()
        self._beginning: asyncio.Task[None] | None = None
        self._ends: list[Callable[[], None]] = []

    # Start and end

    async def __aenter__(self) -> Self:
        if self._thread is not None:
            raise PyraftError("the cluster is already running; close() it before you start it again")
        self._thread = LoopThread(f"raft cluster {self._name}")
        self._thread.start()
        try:
            await to_thread(end_with_the_cell, self._ending())
            await asyncio.gather(*CLOSING, return_exceptions=True)
            await self._thread.home.run(self._begin_once())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop all nodes, the network, the thread, and the broker if the cluster started it; may be called twice."""
        thread = self._take_thread()
        if thread is None:
            return
        if thread.is_guest:
            await asyncio.shield(self._close_guest(thread))
        else:
            await asyncio.shield(asyncio.to_thread(self._close, thread))

    def _take_thread(self) -> LoopThread | None:
        """The thread, for the one caller that ends it."""
        thread, self._thread = self._thread, None
        self._ends.clear()
        return thread

    def _close(self, thread: LoopThread) -> None:
        """Close in a thread that may block: it goes on even if the caller is cancelled."""
        try:
            thread.home.wait(self._end())
        finally:
            thread.stop(NOT_RUNNING)

    async def _close_guest(self, thread: LoopThread) -> None:
        """The same on the caller's own loop."""
        try:
            await self._end()
        finally:
            thread.stop(NOT_RUNNING)

    def _close_with_the_cell(self) -> None:
        """Close for a cell that runs again; on its own loop that takes a moment, for which the next cluster waits."""
        thread = self._take_thread()
        if thread is not None and thread.is_guest:
            closing = thread.home.loop.create_task(self._close_guest(thread))
            CLOSING.add(closing)
            closing.add_done_callback(CLOSING.discard)
        elif thread is not None:
            self._close(thread)

    def _ending(self) -> Callable[[], None]:
        """The function with which the next run of this notebook cell ends the cluster; a closed cluster needs none."""
        self._ends = ends = [self._close_with_the_cell]

        def end() -> None:
            for each in tuple(ends):
                each()

        return end

    async def _begin_once(self) -> None:
        self._stack = AsyncExitStack()
        self._beginning = asyncio.current_task()
        try:
            await self._begin()
        finally:
            self._beginning = None

    async def _end(self) -> None:
        """Undo what was started, in reverse order; a start that is still going on is awaited first."""
        if self._beginning is not None:
            self._beginning.cancel()
            await asyncio.wait([self._beginning])
        await self._stack.aclose()

    @abstractmethod
    async def _begin(self) -> None:
        """Start the nodes on the cluster's own thread; ``_stack`` holds the undo of each part."""

    async def _start_broker(self) -> None:
        need_processes("name the URL of a broker that runs elsewhere, such as ws://host:9001")
        from pyraft_lab.network.broker import start

        self.broker = await self._in_thread(start, lambda broker: broker.stop())

    async def _in_thread(self, make: Callable[[], T], end: Callable[[T], None]) -> T:
        """Run ``make`` in a thread and register ``end``; also if cancelled, because a thread cannot be cancelled."""
        making = asyncio.ensure_future(to_thread(make))
        self._stack.push_async_callback(_undo, making, end)
        return await asyncio.shield(making)

    # Use

    @property
    def client(self) -> Client:
        """A client session with this cluster."""
        if self._client is None:
            raise copy(NOT_RUNNING)
        return self._client

    def new_client(self, *, deadline: float = 10.0, max_bytes: int = MOST_COMMAND_BYTES) -> Client:
        """A new client session; its calls raise ``Timeout`` after ``deadline`` seconds.

        A command larger than ``max_bytes`` bytes is refused before it is sent.
        """
        within, most = seconds("deadline", deadline), integer("max_bytes", max_bytes, 1)
        return Client(self._transport(), deadline=within, max_bytes=most, home=self._home)

    @abstractmethod
    def _transport(self) -> Transport:
        """How clients reach the nodes."""

    @property
    def is_running(self) -> bool:
        """Whether the cluster has started and not yet ended."""
        return self._thread is not None

    @property
    def now(self) -> float:
        """Seconds since the cluster was made; its trace uses this time."""
        return time.monotonic() - self._created

    @property
    @abstractmethod
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """The last known metrics of every node that is up, by id."""

    async def wait_leader(self, timeout: float = 5.0) -> NodeId:  # noqa: ASYNC109
        """The leader of the highest term, once it has committed an entry of that term; ``timeout`` in seconds."""
        within = seconds("timeout", timeout)
        return await self._home.run(self._wait_leader(within))

    async def _wait_leader(self, timeout: float) -> NodeId:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                while (leader := leader_of(self.metrics)) is None:  # noqa: ASYNC110 (nodes come and go: no one event tells)
                    await asyncio.sleep(0.005)
                return leader
        except TimeoutError:
            raise Timeout("electing a leader", timeout) from None

    # Membership

    @abstractmethod
    async def add_learner(self, node: NodeId, *, blocking: bool = True) -> WriteResponse:
        """Start a node and let it receive the log; it has no vote until ``change_membership``."""

    @abstractmethod
    async def change_membership(self, change: ChangeLike, *, retain: bool = False) -> WriteResponse:
        """Change the voters, through a joint membership; removed nodes keep running until they are killed."""

    @abstractmethod
    async def transfer(self, to: NodeId, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Transfer leadership to a voter and wait until it leads; ``Timeout`` after ``timeout`` seconds."""

    # Faults

    @abstractmethod
    async def kill(self, node: NodeId) -> None:
        """Stop a node without notice to the others; it keeps its disk."""

    @abstractmethod
    async def restart(self, node: NodeId) -> None:
        """Start a node from its disk; a node that is up is killed first."""

    @abstractmethod
    def pause(self, node: NodeId) -> None:
        """Suspend a node, as a long garbage collection or a suspended laptop would."""

    @abstractmethod
    def resume(self, node: NodeId) -> None:
        """Resume a paused node."""

    def partition(self, *groups: AbstractSet[NodeId]) -> None:
        """Cut all links between the groups; nodes in no group form one more group."""
        parts = sides("groups", groups)
        self._check_started(*(node for part in parts for node in part))
        told = " | ".join("{" + ",".join(map(str, part)) + "}" for part in parts)
        self._impose(replace(self._link_faults, groups=tuple(map(frozenset, parts))), Kind.PARTITION, detail=told)

    def cut(self, src: NodeId, dst: NodeId) -> None:
        """Cut the link from ``src`` to ``dst``; the other direction stays as it is."""
        self._check_started(*(link := node_pair("cut", (src, dst))))
        self._impose(replace(self._link_faults, cuts=(*self._link_faults.cuts, link)), Kind.CUT, src, peer=dst)

    def weather(self, *, loss: float = 0.0, delay: tuple[float, float] = (0.0, 0.0)) -> None:
        """On every link: lose messages with probability ``loss`` and delay them by (shortest, longest) seconds."""
        faults = replace(self._link_faults, loss=probability("loss", loss), delay=time_range("delay", delay))
        self._impose(faults, Kind.WEATHER, detail=f"loss {loss:.0%}, delay {delay[0]:g} to {delay[1]:g} s")

    def heal(self) -> None:
        """Undo partitions, cuts, loss and delay."""
        self._impose(LinkFaults(), Kind.HEAL)

    def _check_started(self, *nodes: NodeId) -> None:
        for node in nodes:
            if node not in self._started:
                raise UnknownNode(node, self._started)

    @abstractmethod
    def _impose(
        self, faults: LinkFaults, kind: Kind, node: NodeId = 0, *, peer: NodeId | None = None, detail: str = ""
    ) -> None:
        """Change the links and record that."""

    @property
    def _home(self) -> LoopOwner:
        if self._thread is None:
            raise copy(NOT_RUNNING)
        return self._thread.home


async def _undo(making: "asyncio.Future[T]", end: Callable[[T], None]) -> None:
    (made,) = await asyncio.gather(making, return_exceptions=True)
    if not isinstance(made, BaseException):
        await to_thread(end, made)
