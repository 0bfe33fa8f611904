"""A local cluster of processes: kill -9, SIGSTOP, and no view of a node other than through the broker.

``LocalCluster(3, processes=True)`` makes one. The nodes' handles (``cluster.raft``), the gate, the clocks and the
record level stay in the nodes' processes; using them here raises an error that says so. Everything else works as in one
process.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from pyraft_lab.arguments import flag, node_id, seconds
from pyraft_lab.engine.membership import ChangeLike, as_change
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError, Timeout, UnknownNode, shown
from pyraft_lab.network.address import Address
from pyraft_lab.network.company import TOPIC, NameClaim
from pyraft_lab.network.fault_control import publish
from pyraft_lab.network.faults import LinkFaults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.network.passwords import PASSWORD
from pyraft_lab.pending_requests import WriteResponse
from pyraft_lab.runtime.client import Transport
from pyraft_lab.runtime.clusters import NOT_RUNNING, Cluster
from pyraft_lab.runtime.metrics import Metrics, leader_of
from pyraft_lab.runtime.process import SLOW_NETWORK
from pyraft_lab.runtime.recorder import Recorder
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import AddLearner, AllowNextRevert, ChangeMembership, TransferLeader
from pyraft_lab.runtime.trace_stream import FollowedTrace
from pyraft_lab.storage.base import Identity
from pyraft_lab.storage.directory import examine_names, make_directory
from pyraft_lab.trace.record import Kind

OPERATOR_TIMEOUT = 30.0
"""Seconds that starting a process or an operator's command may take."""


class ProcessCluster(Cluster):
    """A cluster made by :class:`~pyraft_lab.runtime.cluster.LocalCluster` with ``processes=True``.

    Cuts, partitions, loss and delay are published: they begin some milliseconds later, when the nodes have received
    them. Without a ``config`` its timeouts are longer: processes share processors, and messages go through a broker.
    """

    def __init__(self, nodes: int = 3, *, network: str = "memory", **settings: Any) -> None:
        for field in ("machine", "rules", "observers", "level"):
            if field in settings:
                raise ConfigError(field, settings[field], "cannot be passed to another process")
        if settings.get("config") is None:
            settings["config"] = SLOW_NETWORK
        super().__init__(nodes, network="mqtt" if network == "memory" else network, **settings)
        self._processes: dict[NodeId, subprocess.Popen[bytes]] = {}
        self._directory = Path(self._storage)
        self._reporter = Recorder()
        self._remote: Remote | None = None
        self._control: MqttSession | None = None

    # Start and end

    async def _begin(self) -> None:
        if self._network == "mqtt":
            await self._start_broker()
        if self._storage == "memory":
            temporary = tempfile.TemporaryDirectory(prefix="pyraft-cluster-")
            self._stack.callback(temporary.cleanup)
            self._directory = Path(temporary.name)
        self._remote = await self._stack.enter_async_context(Remote.connect(self._url, cluster=self._name))
        claim = NameClaim(self._name)
        network = MqttNetwork(self._url, cluster=self._name)
        control = MqttSession(network, "control", topics=[TOPIC], deliver=claim.on_message, hears_kept=False)
        self._control = await self._stack.enter_async_context(control)
        await self._refuse_company()
        await claim.make(control)
        self._client = self.new_client()
        if self._is_traced:
            await self._follow()
        self._stack.callback(publish, control, LinkFaults())
        self._stack.push_async_callback(self._end_processes)
        await asyncio.gather(*(self._start(node) for node in self._voters))

    async def _refuse_company(self) -> None:
        """Raise if a cluster of this name is up: its nodes would receive and accept this cluster's commands."""
        await self._far.catch_up()
        if self._far.metrics:
            up = ", ".join(map(str, sorted(self._far.metrics)))
            raise PyraftError(
                f"a cluster {self._name!r} is already up at this broker (nodes {up}); stop it, or take another name="
            )

    async def _follow(self) -> None:
        self.trace = followed = await self._in_thread(
            lambda: FollowedTrace(self._url, self._name, limit=self._trace_limit), FollowedTrace.close
        )
        self._reporter = Recorder.of_process([followed], now=lambda: followed.now)

    async def _end_processes(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(_ended, process) for process in self._processes.values()))
        self._processes.clear()

    async def _start(self, node: NodeId) -> None:
        """Start the process, and return when it has published its status."""
        directory = self._directory / f"node-{node}"
        examine_names(directory).admit(directory, Identity(node, self._name))
        make_directory(directory)
        self._processes[node] = process = self._launched(node, directory)
        self._started.add(node)
        await self._wait_until_up(node, process, directory / "log")

    def _launched(self, node: NodeId, directory: Path) -> "subprocess.Popen[bytes]":
        broker = Address.parse(self._url)
        command = [sys.executable, "-m", "pyraft_lab", "node", "--id", str(node), "--broker"]
        command.append(broker.url_without_password)
        command += ["--cluster", self._name, "--data", str(directory), "--weather", "--leash"]
        command += ["--config", msgspec.json.encode(self.config).decode()]
        if node == 1:
            command += ["--init", "--peers", ",".join(map(str, self._voters))]
        with (directory / "log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=_environment(broker)
            )

    async def _wait_until_up(self, node: NodeId, process: "subprocess.Popen[bytes]", log: Path) -> None:
        try:
            async with asyncio.timeout(OPERATOR_TIMEOUT):
                while node not in self._far.metrics:
                    if process.poll() is not None:
                        raise PyraftError(f"node {node} ended: {_last_line(log)}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Timeout(f"starting node {node}", OPERATOR_TIMEOUT) from None

    # Use

    @property
    def now(self) -> float:
        """Seconds on the clock of the trace."""
        return self.trace.now if isinstance(self.trace, FollowedTrace) else super().now

    def _transport(self) -> Transport:
        return self._far

    @property
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """The last published metrics of every node that is up, by id."""
        return dict(self._far.metrics)

    @property
    def pids(self) -> Mapping[NodeId, int]:
        """The process id of every node that was started and not killed."""
        return {node: process.pid for node, process in tuple(self._processes.items())}

    async def add_learner(self, node: NodeId, *, blocking: bool = True) -> WriteResponse:
        """Start a node and let it receive the log; it has no vote until ``change_membership``."""
        node, blocking = node_id("node", node), flag("blocking", blocking)
        if node not in self._processes:
            await self._home.run(self._start(node))
        return await self._home.run(self._far.change(AddLearner(node, blocking), seconds=OPERATOR_TIMEOUT))

    async def change_membership(self, change: ChangeLike, *, retain: bool = False) -> WriteResponse:
        """Change the voters, through a joint membership; removed nodes keep running until they are killed."""
        question = ChangeMembership(as_change(change), flag("retain", retain))
        return await self._home.run(self._far.change(question, seconds=OPERATOR_TIMEOUT))

    async def transfer(self, to: NodeId, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Transfer leadership to a voter and wait until it leads; ``timeout`` in seconds, then ``Timeout``."""
        target, within = node_id("to", to), seconds("timeout", timeout)
        await self._home.run(self._transfer(target, within))

    async def _transfer(self, to: NodeId, seconds: float) -> None:
        self._check_started(to)
        await self._far.ask_leader(TransferLeader(to), seconds=seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._far.until(lambda: leader_of(self._far.metrics) == to)
        except TimeoutError:
            raise Timeout(f"the leadership of node {to}", seconds) from None

    async def allow_next_revert(self, node: NodeId) -> None:
        """Let a voter that lost its disk start again from nothing, once; its leader raised an alarm about it."""
        question = AllowNextRevert(node_id("node", node))
        await self._home.run(self._far.ask_leader(question, seconds=OPERATOR_TIMEOUT))

    # Faults

    async def kill(self, node: NodeId) -> None:
        """Kill -9 the process; its disk stays."""
        process = self._process(node)
        del self._processes[node]
        process.kill()
        await asyncio.to_thread(_ended, process)
        self._home.call(lambda: self._far.metrics.pop(node, None))
        self._home.call(lambda: self._reporter.record(Kind.CRASH, node))

    async def restart(self, node: NodeId) -> None:
        """Start a node from its disk; a node that is up is killed first."""
        if node_id("node", node) in self._processes:
            await self.kill(node)
        elif node not in self._started:
            raise UnknownNode(node, self._started)
        await self._home.run(self._start(node))

    def pause(self, node: NodeId) -> None:
        """Stop the process by SIGSTOP, as a suspended laptop would."""
        self._process(node).send_signal(signal.SIGSTOP)
        self._home.call(lambda: self._reporter.record(Kind.PAUSE, node))

    def resume(self, node: NodeId) -> None:
        """Resume a paused process."""
        self._process(node).send_signal(signal.SIGCONT)
        self._home.call(lambda: self._reporter.record(Kind.RESUME, node))

    def _impose(
        self, faults: LinkFaults, kind: Kind, node: NodeId = 0, *, peer: NodeId | None = None, detail: str = ""
    ) -> None:
        self._link_faults = faults

        def impose() -> None:
            assert self._control is not None, "made with the cluster"
            publish(self._control, faults)
            self._reporter.record(kind, node, peer=peer, detail=detail)

        self._home.call(impose)

    def _process(self, node: NodeId) -> "subprocess.Popen[bytes]":
        if node_id("node", node) not in self._processes:
            raise UnknownNode(node, self._processes)
        return self._processes[node]

    @property
    def _url(self) -> str:
        return self.broker.url if self.broker else self._network

    @property
    def _far(self) -> Remote:
        if self._remote is None or self._thread is None:
            raise copy(NOT_RUNNING)
        return self._remote

    # Members that stay in the nodes' processes

    @property
    def nodes(self) -> NoReturn:
        """Not available: the handles are in the nodes' processes."""
        _refuse("nodes", "cluster.metrics and cluster.pids say which are up")

    def raft(self, node: NodeId) -> NoReturn:
        """Not available: the handle is in the node's process."""
        _refuse(f"raft({shown(node)})", "use cluster.client, cluster.metrics or the cluster's own methods")

    @property
    def gate(self) -> NoReturn:
        """Not available: the gates are in the nodes' processes."""
        _refuse("gate", "Lab(cluster) reaches the nodes' gates over the broker")

    def freeze(self) -> NoReturn:
        """Not available: the clocks are in the nodes' processes."""
        _refuse("freeze()", "pause(node) stops a process as a whole")

    def thaw(self) -> NoReturn:
        """Not available: the clocks are in the nodes' processes."""
        _refuse("thaw()", "resume(node) lets a paused process go on")

    @property
    def level(self) -> NoReturn:
        """Not available: each node's process records by itself."""
        _refuse("level", "its nodes publish every step while a trace follows them; trace=None follows nothing")


def _refuse(member: str, advice: str) -> NoReturn:
    raise PyraftError(
        f"a cluster of processes has no {member}: it stays in the nodes' own processes; {advice}, or make the "
        "cluster without processes=True"
    )


def _environment(broker: Address) -> dict[str, str]:
    """The environment of a node's process; the broker's password is passed here, where other users cannot see it."""
    return dict(os.environ) | ({PASSWORD: broker.password} if broker.password else {})


def _ended(process: "subprocess.Popen[bytes]") -> None:
    """End the process and wait: wake it if it is paused, ask it to stop, and kill it if it does not."""
    assert process.stdin is not None, "it is a pipe"
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
    process.stdin.close()
    try:
        process.wait(OPERATOR_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()  # kill -9 does not harm its disk, and the caller does not have to wait
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote no message"
