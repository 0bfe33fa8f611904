"""A local cluster of processes: killed without mercy, paused by the system, and seen only through the broker.

``LocalCluster(3, processes=True)`` makes one. Handles of nodes (``cluster.raft``) and the gate stay in their processes;
everything else works as in one process.
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from pyraft_lab.engine.membership import ChangeLike, as_change
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError, Timeout, UnknownNode
from pyraft_lab.network import broker
from pyraft_lab.network.decree import publish
from pyraft_lab.network.faults import Decree
from pyraft_lab.network.line import Line
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.runtime.client import Client
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.metrics import Metrics, leader_of
from pyraft_lab.runtime.questions import AllowNextRevert, ChangeMembers, HandOver, TakeLearner
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.reporter import Reporter
from pyraft_lab.storage.base import Identity
from pyraft_lab.storage.directory import look, make_directory
from pyraft_lab.trace.recorder import Kind
from pyraft_lab.trace.stream import FollowedTrace

PATIENCE = 30.0
"""Seconds that starting a process, or what an operator asks for, may take."""


class ProcessCluster(LocalCluster):
    """See :class:`~pyraft_lab.runtime.cluster.LocalCluster`; made by it.

    Cuts, partitions and weather are published: they begin once the nodes have heard of them, some milliseconds later.
    """

    def __init__(self, nodes: int = 3, *, network: str = "memory", **settings: Any) -> None:
        for field in ("machine", "rules", "observers", "level"):
            if field in settings:
                raise ConfigError(field, settings[field], "cannot be handed to another process")
        super().__init__(nodes, network="mqtt" if network == "memory" else network, **settings)
        self._processes: dict[NodeId, subprocess.Popen[bytes]] = {}
        self._home_of_disks: tempfile.TemporaryDirectory[str] | None = None
        self._decree = Decree()
        self._stack = AsyncExitStack()
        self._remote: Remote | None = None
        self._control: Line | None = None

    # From beginning to end

    async def _begin(self) -> None:
        if self._network == "mqtt":
            self.broker = await asyncio.to_thread(broker.start)
        if self._storage == "memory":
            self._home_of_disks = tempfile.TemporaryDirectory(prefix="pyraft-cluster-")
            self._storage = self._home_of_disks.name
        self._remote = await self._stack.enter_async_context(Remote.connect(self._url, cluster=self._name))
        control = Line(MqttNetwork(self._url, cluster=self._name), "control", topics=[], deliver=lambda *_: None)
        self._control = await self._stack.enter_async_context(control)
        self._client = self.new_client()
        if self._is_traced:
            await asyncio.to_thread(self._follow)
        await asyncio.gather(*(self._start(node) for node in self._voters))

    def _follow(self) -> None:
        self.trace = followed = FollowedTrace(self._url, self._name, limit=self._trace_limit)
        self._stack.callback(followed.close)
        self._reporter = Reporter.of_process([followed], now=lambda: followed.now)

    async def _end(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(_ended, process) for process in self._processes.values()))
        self._processes.clear()
        if self._control is not None:
            publish(self._control, Decree())
        await self._stack.aclose()
        if self.broker is not None:
            await asyncio.to_thread(self.broker.stop)
        if self._home_of_disks is not None:
            self._home_of_disks.cleanup()

    async def _start(self, node: NodeId) -> None:
        """Start the process, and return when it says how it stands."""
        directory = Path(self._storage) / f"node-{node}"
        look(directory).admit(directory, Identity(node, self._name))
        make_directory(directory)
        self._processes[node] = process = self._launched(node, directory)
        self._started.add(node)
        await self._until_it_speaks(node, process, directory / "log")

    def _launched(self, node: NodeId, directory: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "pyraft_lab", "node", "--id", str(node), "--broker", self._url]
        command += ["--cluster", self._name, "--data", str(directory), "--weather", "--leash"]
        command += ["--config", msgspec.json.encode(self.config).decode()]
        if node == 1:
            command += ["--init", "--peers", ",".join(map(str, self._voters))]
        with (directory / "log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)

    async def _until_it_speaks(self, node: NodeId, process: "subprocess.Popen[bytes]", log: Path) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while node not in self._far.metrics:
                    if process.poll() is not None:
                        raise PyraftError(f"node {node} ended: {_last_line(log)}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Timeout(f"starting node {node}", PATIENCE) from None

    # Using it

    @property
    def now(self) -> float:
        """Seconds on the clock of the trace."""
        return self.trace.now if isinstance(self.trace, FollowedTrace) else super().now

    def new_client(self, *, deadline: float = 10.0) -> Client:
        """Another session with the cluster."""
        return Client(self._far, deadline=deadline, home=self._home)

    @property
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """What every node that is up said last about itself."""
        return dict(self._far.metrics)

    @property
    def pids(self) -> Mapping[NodeId, int]:
        """The process of every node that was started and not killed."""
        return {node: process.pid for node, process in tuple(self._processes.items())}

    async def add_learner(self, node: NodeId, *, blocking: bool = True) -> Any:
        """Start a node and let it receive the log, and wait until it has it; returns the membership, in words."""
        if node not in self._processes:
            await self._home.run(self._start(node))
        return await self._home.run(self._far.ask_leader(TakeLearner(node, blocking), seconds=PATIENCE))

    async def change_membership(self, change: ChangeLike, *, retain: bool = False) -> Any:
        """Change who votes; returns the membership, in words."""
        question = ChangeMembers(as_change(change), retain)
        return await self._home.run(self._far.ask_leader(question, seconds=PATIENCE))

    async def transfer(self, to: NodeId, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Hand leadership to a voter, and wait until it leads."""
        await self._home.run(self._transfer(to, timeout))

    async def _transfer(self, to: NodeId, seconds: float) -> None:
        await self._far.ask_leader(HandOver(to), seconds=seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._far.until(lambda: leader_of(self._far.metrics) == to)
        except TimeoutError:
            raise Timeout(f"the leadership of node {to}", seconds) from None

    async def allow_next_revert(self, node: NodeId) -> None:
        """Let a voter that lost its disk begin again from nothing; its leader raised an alarm about it."""
        await self._home.run(self._far.ask_leader(AllowNextRevert(node), seconds=PATIENCE))

    # Hurting it

    async def kill(self, node: NodeId) -> None:
        """Kill -9; what it has on disk it keeps."""
        process = self._process(node)
        del self._processes[node]
        process.kill()
        await asyncio.to_thread(_ended, process)
        self._home.call(lambda: self._far.metrics.pop(node, None))
        self._home.call(lambda: self._reporter.tell(Kind.CRASH, node))

    async def restart(self, node: NodeId) -> None:
        """Start a node from its disk; one that is up is killed first."""
        if node in self._processes:
            await self.kill(node)
        elif node not in self._started:
            raise UnknownNode(node, self._started)
        await self._home.run(self._start(node))

    def pause(self, node: NodeId) -> None:
        """Let the system stop the process, as a long garbage collection or a suspended laptop would."""
        self._process(node).send_signal(signal.SIGSTOP)
        self._home.call(lambda: self._reporter.tell(Kind.PAUSE, node))

    def resume(self, node: NodeId) -> None:
        """Let it go on."""
        self._process(node).send_signal(signal.SIGCONT)
        self._home.call(lambda: self._reporter.tell(Kind.RESUME, node))

    def _impose(
        self, decree: Decree, kind: Kind, node: NodeId = 0, *, peer: NodeId | None = None, detail: str = ""
    ) -> None:
        self._decree = decree

        def impose() -> None:
            assert self._control is not None, "made with the cluster"
            publish(self._control, decree)
            self._reporter.tell(kind, node, peer=peer, detail=detail)

        self._home.call(impose)

    def _process(self, node: NodeId) -> "subprocess.Popen[bytes]":
        if node not in self._processes:
            raise UnknownNode(node, self._processes)
        return self._processes[node]

    @property
    def _url(self) -> str:
        return self.broker.url if self.broker else self._network

    @property
    def _far(self) -> Remote:
        assert self._remote is not None, "made with the cluster"
        return self._remote


def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Let go of the leash, and wait; a paused process is woken for it, and one that does not go is killed."""
    assert process.stdin is not None, "it is a pipe"
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
    process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()  # its disk is safe against that, and its owner is not kept waiting
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
