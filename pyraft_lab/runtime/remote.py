"""A cluster of other processes, reached over its broker: its live nodes, their metrics, and RPC calls to them.

>>> async with Remote.connect("mqtt://localhost", cluster="demo") as remote:  # doctest: +SKIP
...     await remote.client().write({"op": "put", "key": "x", "value": 1})
...     remote.metrics
"""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

import msgspec

from pyraft_lab.arguments import node_id
from pyraft_lab.arguments import seconds as seconds_of
from pyraft_lab.client.requests import Request, reply_of
from pyraft_lab.command import encode as encode_query
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import NetworkFailed, NotLeader, PyraftError, Timeout
from pyraft_lab.network.address import Certificates
from pyraft_lab.network.fault_control import publish
from pyraft_lab.network.faults import LinkFaults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.pending_requests import WriteResponse
from pyraft_lab.runtime import room as room_of
from pyraft_lab.runtime.client import MOST_COMMAND_BYTES, Client
from pyraft_lab.runtime.metrics import Metrics, leader_of
from pyraft_lab.runtime.room import Playing, Room
from pyraft_lab.runtime.rpc import (
    AddLearner,
    ChangeMembership,
    RpcCall,
    RpcError,
    RpcReply,
    RpcRequest,
    RpcResult,
    decode_metrics,
    decode_reply,
    in_pieces,
    to_error,
)


class Remote:
    """All live nodes of a cluster, in any process and on any machine; also a transport for clients."""

    metrics: dict[NodeId, Metrics]
    """The last published metrics of every live node, by id; empty while the broker is away."""
    players: dict[NodeId, Playing]
    """How each classroom node is played, or was: the room remembers every number that was ever used."""
    faults_applied: dict[NodeId, bytes]
    """The nodes that accept fault control, with the digest of the faults that each applies now."""
    is_connected: bool
    """Whether the broker is connected."""

    def __init__(self, name: str) -> None:
        self.metrics, self.players, self.faults_applied, self.is_connected = {}, {}, {}, True
        self._players: dict[NodeId, list[str]] = {}
        self._reports: dict[NodeId, tuple[int, int]] = {}
        self._heard = 0
        self.changed: Callable[[], None] = lambda: None
        self._name = name
        self._numbers = itertools.count(secrets.randbits(40) << 20)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self._line: MqttSession | None = None
        self._over: PyraftError = PyraftError("not connected; use it inside 'async with Remote.connect(...)'")

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        broker: str,
        *,
        cluster: str,
        certificates: Certificates | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109 (the network's own)
    ) -> "AsyncIterator[Remote]":
        """Connect to the cluster as the user in the URL, or without an account.

        ``timeout`` is how many seconds the broker may take to answer; ``NetworkFailed`` says why it cannot be reached.
        """
        network = MqttNetwork(broker, cluster=cluster, certificates=certificates, timeout=timeout)
        remote = cls(network.address.username or secrets.token_hex(6))
        topics = ["+/status", "+/faults", f"answers/{remote._name}/+", "players/+/+"]
        name = f"client-{remote._name}"
        async with MqttSession(
            network,
            name,
            topics=topics,
            deliver=remote.on_message,
            connected=remote._on_connected,
            lost=remote._on_connection_lost,
        ) as line:
            remote._line = line
            try:
                yield remote
            finally:
                remote._hang_up(NetworkFailed(str(network.address), "this connection is closed"))

    # Calls

    async def ask(self, node: NodeId, question: RpcRequest, *, seconds: float = 30.0) -> Any:
        """The result of an RPC call to ``node``; raises the node's error, or ``Timeout`` after ``seconds``."""
        node_id("node", node)
        asked = RpcCall(next(self._numbers), question)
        what = f"an answer of node {node} to {type(question).__name__}"
        value = await self._reply(f"{node}/ask/{self._name}", asked, what, seconds)
        if not isinstance(question, Request):
            return value
        try:
            return reply_of(question, value)
        except msgspec.ValidationError as wrong:
            raise PyraftError(
                f"{what} cannot be read: {wrong}; check that all processes run the same version"
            ) from None

    async def _reply(self, topic: str, message: RpcCall | RpcReply, what: str, seconds: float) -> Any:
        """Publish a message to ``topic`` and wait for the reply with its number; ``Timeout`` after ``seconds``."""
        line = self._up()
        self._open[message.number] = awaited = asyncio.get_running_loop().create_future()
        payload, *attached = in_pieces(message)
        line.publish(topic, payload, divide=True, attached=attached)
        try:
            async with asyncio.timeout(seconds):
                return await awaited
        except TimeoutError:
            raise Timeout(what, seconds) from None
        finally:
            del self._open[message.number]

    async def ask_leader(self, question: RpcRequest, *, seconds: float = 30.0) -> Any:
        """The leader's result of an RPC call; finds the new leader if leadership has moved."""
        end = seconds_of("seconds", seconds)
        try:
            async with asyncio.timeout(end):
                while True:
                    try:
                        return await self.ask(await self.leader(), question, seconds=seconds)
                    except NotLeader:
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise Timeout(f"an answer of the leader to {type(question).__name__}", seconds) from None

    async def change(self, question: AddLearner | ChangeMembership, *, seconds: float = 30.0) -> WriteResponse:
        """Ask the leader to change the membership; returns its place in the log, and the new membership."""
        return msgspec.convert(await self.ask_leader(question, seconds=seconds), WriteResponse)

    async def catch_up(self, *, seconds: float = 10.0) -> None:
        """Wait until all retained messages have arrived: the broker keeps the order, so an echo comes after them."""
        echo = RpcReply(next(self._numbers), RpcResult())
        await self._reply(f"answers/{self._name}/0", echo, "an echo of the broker", seconds)

    async def leader(self, *, seconds: float = 30.0) -> NodeId:
        """Wait until a leader has committed an entry of its term; returns the leader in the highest term."""
        try:
            async with asyncio.timeout(seconds):
                await self.until(lambda: leader_of(self.metrics) is not None)
        except TimeoutError:
            raise Timeout("electing a leader", seconds) from None
        leader = leader_of(self.metrics)
        assert leader is not None, "until it is known"
        return leader

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until ``holds()`` is true of the nodes' metrics, or the connection is closed; it has no time limit."""
        while not holds():
            await self.until_changed()

    async def until_changed(self) -> None:
        """Wait until something arrives that changes what is known of nodes or players; it has no time limit."""
        self._up()
        self._changed.clear()
        await self._changed.wait()

    def publish_faults(self, faults: LinkFaults) -> bytes:
        """Set the link faults of all nodes that accept fault control (:mod:`pyraft_lab.network.fault_control`).

        Returns the digest of these faults; ``faults_applied`` shows it for every node that has applied them.
        """
        return publish(self._up(), faults)

    def publish_room(self, room: Room) -> None:
        """Publish the room settings to every node in the room (:mod:`pyraft_lab.runtime.room`)."""
        room_of.publish(self._up(), room)

    def publish_playing(self, node: NodeId, playing: Playing) -> None:
        """Report to the teacher how ``node`` is played here."""
        self._up().publish(f"players/{self._name}/{node}", room_of.encode_playing(playing), retain=True)

    def place_of_player(self, node: NodeId) -> int | None:
        """How many others reported about ``node`` before this client; ``None`` until its own report has come back.

        The broker shows everybody the same order: of the clients that choose a number at once, the first has it.
        """
        names = self._players.get(node, [])
        return names.index(self._name) if self._name in names else None

    def players_before(self, node: NodeId, *, answered: bool = False) -> frozenset[NodeId]:
        """The nodes that players reported about before ``node``; with ``answered`` those they did again since then.

        A report stays at the broker when its player has gone: only one that comes again shows that somebody is there.
        """
        mine, _ = self._reports[node]
        return frozenset(
            other for other, (first, last) in self._reports.items() if first < mine and (last > mine or not answered)
        )

    def client(self, *, deadline: float = 10.0, max_bytes: int = MOST_COMMAND_BYTES) -> Client:
        """A new client session; a command larger than ``max_bytes`` bytes is refused before it is sent."""
        return Client(self, deadline=deadline, max_bytes=max_bytes)

    # A client's transport

    def nodes(self) -> Sequence[NodeId]:
        """The nodes a client may ask."""
        return tuple(self.metrics)

    def check(self, query: Any, /) -> None:
        """Raise ``BadCommand`` for a query that has no encoding: as its text it would be another query."""
        encode_query(query)

    # Incoming messages

    def on_message(self, topic: str, payload: bytes) -> None:
        """Handle a message by its topic; garbage is dropped."""
        try:
            match topic.split("/"):
                case [node, "status"]:
                    self._on_status(node_id("node", int(node)), payload)
                case [node, "faults"]:
                    self._on_faults_applied(node_id("node", int(node)), payload)
                case ["answers", _, _]:
                    self._settle(payload)
                case ["players", name, node] if payload:
                    self.players[node_id("node", int(node))] = room_of.decode_playing(payload)
                    names = self._players.setdefault(int(node), [])
                    names += [] if name in names else [name]
                    self._heard += 1
                    first, _ = self._reports.get(int(node), (self._heard, 0))
                    self._reports[int(node)] = first, self._heard
                    self._changed.set()
                case _:
                    pass
        except (msgspec.MsgspecError, ValueError):
            pass

    def _up(self) -> MqttSession:
        """The MQTT session to the broker, while it is open."""
        if self._line is None:
            raise copy(self._over)
        return self._line

    def _hang_up(self, why: PyraftError) -> None:
        """Fail every waiting call with ``why``: no reply can arrive any more."""
        self._line, self._over = None, why
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(copy(why))
                waiting.exception()  # retrieved, in case no caller waits any more
        self._changed.set()

    def _on_connected(self) -> None:
        self.is_connected = True

    def _on_connection_lost(self) -> None:
        """Forget all nodes: without a broker their ends are not seen. Live nodes report again when it is back."""
        self.is_connected = False
        self.metrics.clear()
        self.faults_applied.clear()

    def _on_status(self, node: NodeId, payload: bytes) -> None:
        if payload:
            self.metrics[node] = decode_metrics(payload)
        else:
            self.metrics.pop(node, None)
        self._changed.set()
        self.changed()

    def _on_faults_applied(self, node: NodeId, payload: bytes) -> None:
        if payload:
            self.faults_applied[node] = payload
        else:
            self.faults_applied.pop(node, None)
        self._changed.set()

    def _settle(self, payload: bytes) -> None:
        reply = decode_reply(payload)
        waiting = self._open.get(reply.number)
        if waiting is None or waiting.done():
            return
        if isinstance(reply.answer, RpcError):
            waiting.set_exception(to_error(reply.answer))
        else:
            waiting.set_result(reply.answer.value)
