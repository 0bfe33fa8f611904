"""Raft over an MQTT broker: an inbox topic for each pair of nodes, one publish for all that is ready, a last will.

::

    pyraft/<cluster>/<to>/in/<from>      frames; QoS 0, for Raft itself repeats what matters
    pyraft/<cluster>/<node>/presence     retained: which process speaks as this node; the broker clears it when it dies

The sender is in the topic, so that a broker's access list can bind every client to its own name. (aiomqtt is what
asyncio-mqtt is called today.)
"""

import asyncio
import logging
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, TypeVar

import aiomqtt
import msgspec

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode, NetworkFailed
from pyraft_lab.network.address import Address, Certificates, word
from pyraft_lab.network.base import (
    Connected,
    Counters,
    Disconnected,
    Endpoint,
    Mailbox,
    Outbox,
    PeerBack,
    PeerGone,
    Usurped,
)
from pyraft_lab.network.codec import Garbage, Letter, decode, encode
from pyraft_lab.network.presence import Claim, Move, Presence

log = logging.getLogger(__name__)
T = TypeVar("T")
TRIES = 3
"""How often a broker may break the first connection off before that is an answer."""
MOMENT = 0.5
"""Seconds that an older process under my id has to answer my claim."""


class MqttNetwork:
    """Nodes of one cluster around one broker; each node has its own connection."""

    def __init__(
        self,
        broker: str,
        *,
        cluster: str = "demo",
        qos: Literal[0, 1] = 0,
        certificates: Certificates | None = None,
        keepalive: int = 5,
        timeout: float = 5.0,
    ) -> None:
        self.address = Address.parse(broker)
        self.cluster = word("cluster", cluster)
        self.qos, self.keepalive, self.timeout = qos, keepalive, timeout
        known = Certificates() if certificates is None else certificates
        self.tls = known.context() if self.address.tls else None

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        """Connect; ``NetworkFailed`` if the broker is not there, ``DuplicateNode`` if the node is."""
        endpoint = MqttEndpoint(self, node, mailbox)
        await endpoint.open()
        return endpoint

    async def close(self) -> None:
        """Nothing is shared between the connections."""

    def topic(self, node: NodeId | str, *levels: object) -> str:
        """A topic below ``node``."""
        return "/".join(map(str, ("pyraft", self.cluster, node, *levels)))

    @asynccontextmanager
    async def connect(
        self, name: str, deliver: Callable[[aiomqtt.Message], None], *, will: aiomqtt.Will | None = None
    ) -> AsyncIterator[aiomqtt.Client]:
        """One connection; every message goes straight to ``deliver``."""
        await self._meet()
        client = self._client(name, deliver, will)
        await _entered(client)
        try:
            yield client
        finally:
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    async def _meet(self) -> None:
        """Look at the broker's certificate first: the client library leaks a socket whose handshake fails."""
        if self.tls is None:
            return
        try:
            async with asyncio.timeout(self.timeout):
                _, writer = await asyncio.open_connection(self.address.host, self.address.port, ssl=self.tls)
                writer.close()
                await writer.wait_closed()
        except OSError as failed:  # ssl.SSLError and TimeoutError are such
            raise aiomqtt.MqttError(str(failed)) from failed

    def _client(
        self, name: str, deliver: Callable[[aiomqtt.Message], None], will: aiomqtt.Will | None
    ) -> aiomqtt.Client:
        client = aiomqtt.Client(
            self.address.host,
            self.address.port,
            username=self.address.username,
            password=self.address.password,
            identifier=name,
            protocol=aiomqtt.ProtocolVersion.V311,  # which every broker speaks
            clean_session=True,
            will=will,
            tls_context=self.tls,
            timeout=self.timeout,
            keepalive=self.keepalive,
            queue_type=_straight_to(deliver),
            # Without it the operating system waits for more to send: 44 ms an acknowledged publish instead of one.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        client.pending_calls_threshold = 1 << 30  # a warning for every publish beyond, and a count of them all for each
        return client


class MqttEndpoint:
    """One node's connection, kept up: it connects, serves until the line breaks, waits a little, and connects again."""

    def __init__(self, network: MqttNetwork, node: NodeId, mailbox: Mailbox) -> None:
        self.counters = Counters()
        self._network, self._node, self._mailbox = network, node, mailbox
        self._process = secrets.randbits(48)
        self._outbox = Outbox(self.counters)
        self._ready = asyncio.Event()
        self._moves: asyncio.Queue[Move] = asyncio.Queue()
        self._presence = Presence(self._process)
        self._client: aiomqtt.Client | None = None
        self._tries = 0
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect for the first time, or say why not."""
        self._keeping = asyncio.create_task(self._keep(), name=f"mqtt of node {self._node}")
        self._keeping.add_done_callback(self._kept)
        try:
            await self._first
        except BaseException:
            await self.close()
            raise

    def send(self, dst: NodeId, letter: Letter) -> None:
        """Queue a letter; without a connection it is lost, for it would be stale when there is one."""
        if self._client is None:
            return
        self._outbox.put(dst, letter)
        self._ready.set()

    async def close(self) -> None:
        """Say good-bye, so that nobody need wait for the last will, and hang up."""
        client, self._client = self._client, None
        self._presence = Presence(self._process)  # which does not defend a claim it has given up
        if client is not None:
            with suppress(aiomqtt.MqttError):
                await client.publish(self._presence_topic, b"", retain=True, timeout=1.0)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    @property
    def _presence_topic(self) -> str:
        return self._network.topic(self._node, "presence")

    async def _keep(self) -> None:
        """Connection after connection; the waits between grow while it fails, and are spread over the cluster."""
        patience = 0.0
        while True:
            began = asyncio.get_running_loop().time()
            why = await cancellable(self._session())
            self._hung_up(why)
            if isinstance(why, DuplicateNode):
                return
            patience = next_patience(patience, asyncio.get_running_loop().time() - began)
            await asyncio.sleep(random.uniform(patience / 2, patience))

    async def _session(self) -> Exception:
        """One connection from beginning to end, and why it ended."""
        end: Exception = ConnectionError("the connection ended")
        will = aiomqtt.Will(self._presence_topic, b"", qos=1, retain=True)
        name = f"pyraft-{self._network.cluster}-{self._node}-{self._process:012x}"
        try:
            async with self._network.connect(name, self._deliver, will=will) as client, asyncio.TaskGroup() as group:
                self._tries += 1
                # A waiting publish does not notice a broken line; the reader does, and the group ends both.
                group.create_task(self._read(client))
                await self._claim(client)
                group.create_task(self._guard(client))
                group.create_task(self._write(client))
        except* (aiomqtt.MqttError, DuplicateNode, TimeoutError) as ended:
            end = _first_of(ended)
        return end

    async def _claim(self, client: aiomqtt.Client) -> None:
        """Claim this node's id, and be let in (:mod:`pyraft_lab.network.presence`)."""
        self._presence, self._moves = Presence(self._process), asyncio.Queue()
        inbox = self._network.topic(self._node, "in", "+")
        topics: list[tuple[str, int]] = [(inbox, self._network.qos), (self._network.topic("+", "presence"), 1)]
        await cancellable(client.subscribe(topics))
        await cancellable(client.publish(self._presence_topic, Claim(self._process).encode(), qos=1, retain=True))
        move = await self._next_move(self._network.timeout)
        if move is Move.WAIT:
            with suppress(TimeoutError):
                move = await self._next_move(MOMENT)
        if move is Move.LEAVE:
            raise DuplicateNode(self._node)
        if move is Move.ANSWER:
            self._moves.put_nowait(move)  # a dead rival's will came late; who guards the id claims it once more
        self._client = client
        if not self._first.done():
            self._first.set_result(None)
        self._mailbox.notice(Connected(str(self._network.address)))

    async def _next_move(self, seconds: float) -> Move:
        """What presence asks for next; the claim itself must come back, or the broker does not let us speak."""
        async with asyncio.timeout(seconds):
            return await self._moves.get()

    async def _guard(self, client: aiomqtt.Client) -> None:
        """Defend the id against who claims it later."""
        while True:
            match await self._moves.get():
                case Move.LEAVE:
                    raise DuplicateNode(self._node)
                case Move.ANSWER:
                    answer = Claim(self._process, is_answer=True)
                    await cancellable(client.publish(self._presence_topic, answer.encode(), qos=1, retain=True))
                case _:
                    pass

    async def _read(self, client: aiomqtt.Client) -> None:
        """Messages do not come this way (``_straight_to``); the end of the connection does."""
        async for _ in client.messages:
            pass

    async def _write(self, client: aiomqtt.Client) -> None:
        """Publish all that is ready together; what becomes ready meanwhile waits and shares the next publish."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            async with asyncio.TaskGroup() as group:
                for dst, letters in self._outbox.take():
                    frame = encode(self._node, letters)
                    self.counters.frames += 1
                    self.counters.bytes += len(frame)
                    self.counters.sent += len(letters)
                    topic = self._network.topic(dst, "in", self._node)
                    group.create_task(client.publish(topic, frame, qos=self._network.qos))

    def _kept(self, keeping: asyncio.Task[None]) -> None:
        """A bug of ours must not leave anybody waiting."""
        if keeping.cancelled() or keeping.exception() is None:
            return
        log.error("node %s lost its network for good", self._node, exc_info=keeping.exception())
        if not self._first.done():
            self._first.set_exception(NetworkFailed(str(self._network.address), repr(keeping.exception())))

    def _hung_up(self, why: Exception) -> None:
        """Tell whom it concerns, once; what waits is thrown away, for Raft sends anew what still matters."""
        was_up, self._client = self._client is not None, None
        self._outbox.clear()
        where = str(self._network.address)
        if not self._first.done():
            if isinstance(why, aiomqtt.MqttError) and 0 < self._tries < TRIES:
                return  # the broker was there and hung up, which is no refusal yet
            self._first.set_exception(why if isinstance(why, DuplicateNode) else NetworkFailed(where, _in_words(why)))
            self._first.exception()  # asked for, so that nobody complains if the opener has gone
        elif isinstance(why, DuplicateNode):
            self._mailbox.notice(Usurped(self._node))
        elif was_up:
            self._mailbox.notice(Disconnected(where, _in_words(why)))

    def _deliver(self, message: aiomqtt.Message) -> None:
        """Sort what arrives; nothing that a stranger publishes gets beyond this."""
        match message.topic.value.split("/"), message.payload:
            case [_, _, _, "in", src], bytes(frame):
                self._open_frame(src, frame)
            case [_, _, node, "presence"], bytes(claim):
                self._see(node, claim, is_old=message.retain)
            case _:
                self._garbage("no frame at all")

    def _open_frame(self, src: str, frame: bytes) -> None:
        try:
            sender, letters = decode(frame)
        except Garbage as wrong:
            self._garbage(str(wrong))
            return
        if src != str(sender):
            self._garbage(f"node {sender} wrote it and {src} sent it")
            return
        self.counters.received += len(letters)
        self._mailbox.receive(sender, letters)

    def _see(self, node: str, payload: bytes, *, is_old: bool) -> None:
        """Somebody's claim: mine and my rivals' are presence's, the others' are news."""
        try:
            claim = Claim.decode(payload)
            peer = int(node)
        except (msgspec.MsgspecError, ValueError) as wrong:
            self._garbage(f"presence of {node!r}: {wrong}")
            return
        if peer != self._node:
            self._mailbox.notice(PeerGone(peer) if claim is None else PeerBack(peer))
            return
        move = self._presence.hear(claim, is_old=is_old)
        if move is not Move.NOTHING:
            self._moves.put_nowait(move)

    def _garbage(self, why: str) -> None:
        """Count it; log the first, the second, the fourth … of it."""
        self.counters.garbage += 1
        count = self.counters.garbage
        if count & (count - 1) == 0:
            log.warning("node %s dropped garbage (%d so far): %s", self._node, count, why)


def next_patience(before: float, lasted: float) -> float:
    """Seconds to wait for the next connection: short after one that lasted, longer and longer while none does.

    >>> [next_patience(before, 0.0) for before in (0.0, 0.05, 1.6)], next_patience(1.6, lasted=60.0)
    ([0.05, 0.1, 2.0], 0.05)
    """
    return 0.05 if lasted > 1 else min(max(2 * before, 0.05), 2.0)


def _straight_to(deliver: Callable[[aiomqtt.Message], None]) -> type["asyncio.Queue[aiomqtt.Message]"]:
    """A queue that hands over instead of queueing: saves a task for every message."""

    class Straight(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            deliver(item)

    return Straight


async def cancellable(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work`` so that a cancellation ends the caller, even if it comes just when ``work`` is done or fails.

    Before Python 3.12 ``asyncio.wait_for``, in which the client waits, loses such a cancellation, and before 3.13 so
    does a group whose task fails just then. A bare wait does not.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # asked for, so that nobody complains
        raise
    return task.result()


async def _entered(client: aiomqtt.Client) -> None:
    """Connect; a cancellation waits until that is over and hangs up, for half a connection cannot be taken back."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        await asyncio.wait([entering])
        if not entering.cancelled() and entering.exception() is None:
            await client.__aexit__(None, None, None)
        raise


def _first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    """The exception a group was made for; a duplicate before a line that broke."""
    first = min(group.exceptions, key=lambda one: not isinstance(one, DuplicateNode))
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _in_words(why: Exception) -> str:
    if isinstance(why, TimeoutError):
        return "it did not pass this node's own presence back (does it let the node write there?)"
    return str(why) or type(why).__name__
