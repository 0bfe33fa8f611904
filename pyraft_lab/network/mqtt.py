"""Raft over an MQTT broker: one inbox topic for each pair of nodes, one publish per batch, a last will.

::

    pyraft/<cluster>/<to>/in/<from>      frames; QoS 0, because Raft itself repeats what matters
    pyraft/<cluster>/<node>/presence     retained: the process that is this node; the broker clears it at its end

The sender is in the topic, so that a broker's access list can bind every client to its own name.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Literal

import msgspec
from msgspec import structs

from pyraft_lab.arguments import instance, integer, seconds
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import DuplicateNode, NetworkFailed
from pyraft_lab.network import passwords
from pyraft_lab.network.address import Address, Certificates, Settings, topic_word
from pyraft_lab.network.attachments import attach, detach
from pyraft_lab.network.base import (
    Connected,
    Counters,
    Disconnected,
    Endpoint,
    Mailbox,
    Outbox,
    PeerReachable,
    PeerUnreachable,
    SessionTakenOver,
)
from pyraft_lab.network.codec import Envelope, Garbage, decode, encode
from pyraft_lab.network.connection import Deliver, cancellable, connected, failure, is_final
from pyraft_lab.network.mqtt_client import Client, Message, MqttError, Will, check, is_published, tls_context
from pyraft_lab.network.parts import ACK, MARK, Assembly, Bulk, Window, in_parts, numbers, read_part
from pyraft_lab.network.presence import Claim, NextStep, Presence

log = logging.getLogger(__name__)
CLAIM_TIMEOUT = 0.5
"""Seconds that an older process with this node's id has to answer its claim."""


class MqttNetwork:
    """The network of one cluster around one broker; each node has its own connection."""

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
        self.cluster = topic_word("cluster", cluster)
        self.address = _with_password(Address.parse(broker), cluster)
        check(self.address)
        self.qos: Literal[0, 1] = 1 if integer("qos", qos, 0, 1) else 0
        self.keepalive, self.timeout = integer("keepalive", keepalive, 1, 65535), seconds("timeout", timeout)
        known = Certificates() if certificates is None else instance("certificates", certificates, Certificates)
        self.tls = tls_context(known) if self.address.tls else None

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        """Connect; ``NetworkFailed`` if the broker cannot be reached, ``DuplicateNode`` if the node is already up."""
        endpoint = MqttEndpoint(self, node, mailbox)
        await endpoint.open()
        return endpoint

    async def close(self) -> None:
        """Nothing to release: the connections share nothing."""

    def may_try_again(self, why: Exception, deadline: float) -> bool:
        """Whether to retry a failed first connection: brokers may disconnect when many clients come at once."""
        return not is_final(why) and asyncio.get_running_loop().time() < deadline

    def secret(self, name: object) -> str:
        """A client id that nobody can guess: a broker ends a connection when another one has its client id."""
        return f"{name}-{secrets.token_hex(8)}"

    def topic(self, node: NodeId | str, *levels: object) -> str:
        """A topic below ``node``."""
        return "/".join(map(str, ("pyraft", self.cluster, node, *levels)))

    def connect(self, name: str, deliver: Deliver, *, will: Will | None = None) -> AbstractAsyncContextManager[Client]:
        """One connection whose client id is derived from ``name``; every message goes straight to ``deliver``."""
        settings = Settings(address=self.address, tls=self.tls, keepalive=self.keepalive, timeout=self.timeout)
        return connected(settings, f"pyraft-{self.cluster}-{name}", deliver, will=will)


class MqttEndpoint:
    """One node's connection: it connects, serves until the connection breaks, waits a little, and connects again."""

    def __init__(self, network: MqttNetwork, node: NodeId, mailbox: Mailbox) -> None:
        self.counters = Counters()
        self._network, self._node, self._mailbox = network, node, mailbox
        self._process, self._name = secrets.randbits(48), network.secret(node)
        self._outbox, self._bulk = Outbox(self.counters), Bulk()
        self._numbers, self._assembly, self._window = numbers(), Assembly(), Window()
        self._acknowledgements: list[tuple[NodeId, bytes]] = []
        self._ready = asyncio.Event()
        self._moves: asyncio.Queue[NextStep] = asyncio.Queue()
        self._presence = Presence(self._process)
        self._client: Client | None = None
        self._deadline = asyncio.get_running_loop().time() + network.timeout
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect for the first time; raises the reason if that fails."""
        self._keeping = asyncio.create_task(self._keep(), name=f"mqtt of node {self._node}")
        self._keeping.add_done_callback(self._kept)
        try:
            await self._first
        except BaseException:
            await self.close()
            raise

    def send(self, dst: NodeId, envelope: Envelope) -> None:
        """Queue a message; without a connection it is dropped, because it would be outdated after a reconnect."""
        if self._client is None:
            return
        if self._bulk.wants(dst, envelope):
            self.counters.overflow += self._bulk.put(dst, envelope)
        else:
            self._outbox.put(dst, envelope)
            self._ready.set()

    async def close(self) -> None:
        """Clear this node's presence, so that nobody has to wait for the last will, and disconnect."""
        client, self._client = self._client, None
        self._presence = Presence(self._process)  # _guard does not defend a claim that was given up
        if client is not None:
            with suppress(MqttError):
                await client.publish(self._presence_topic, b"", retain=True, timeout=1.0)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    @property
    def _presence_topic(self) -> str:
        return self._network.topic(self._node, "presence")

    async def _keep(self) -> None:
        """Keep connecting; the waits grow with each failure, and differ between the nodes of a cluster."""
        backoff = 0.0
        while True:
            began = asyncio.get_running_loop().time()
            why = await cancellable(self._session())
            self._hung_up(why)
            if isinstance(why, DuplicateNode):
                return
            backoff = next_backoff(backoff, asyncio.get_running_loop().time() - began)
            await asyncio.sleep(random.uniform(backoff / 2, backoff))

    async def _session(self) -> Exception:
        """One connection from start to end; returns the reason of its end."""
        end: Exception = ConnectionError("the connection ended")
        will = Will(self._presence_topic, b"", qos=1, retain=True)
        try:
            async with (
                self._network.connect(self._name, self._deliver, will=will) as client,
                asyncio.TaskGroup() as group,
            ):
                # A waiting publish does not notice a broken connection; the reader does, and the group ends both.
                group.create_task(self._read(client))
                await self._claim(client)
                group.create_task(self._guard(client))
                group.create_task(self._write(client))
                group.create_task(self._write_bulk(client))
        except* (MqttError, DuplicateNode, TimeoutError) as ended:
            end = _first_of(ended)
        return end

    async def _claim(self, client: Client) -> None:
        """Claim this node's id, and wait until it is granted (:mod:`pyraft_lab.network.presence`)."""
        self._presence, self._moves = Presence(self._process), asyncio.Queue()
        inbox = self._network.topic(self._node, "in", "+")
        topics: list[tuple[str, int]] = [(inbox, self._network.qos), (self._network.topic("+", "presence"), 1)]
        await cancellable(client.subscribe(topics))
        await cancellable(client.publish(self._presence_topic, Claim(self._process).encode(), qos=1, retain=True))
        move = await self._next_move(self._network.timeout)
        if move is NextStep.WAIT:
            with suppress(TimeoutError):
                move = await self._next_move(CLAIM_TIMEOUT)
        if move is NextStep.LEAVE:
            raise DuplicateNode(self._node)
        if move is NextStep.ANSWER:
            self._moves.put_nowait(move)  # a dead rival's will came late; _guard repeats the claim
        self._client = client
        if not self._first.done():
            self._first.set_result(None)
        self._mailbox.notice(Connected(str(self._network.address)))

    async def _next_move(self, seconds: float) -> NextStep:
        """The next step that presence asks for; the claim must come back, or the broker forbids us to write."""
        async with asyncio.timeout(seconds):
            return await self._moves.get()

    async def _guard(self, client: Client) -> None:
        """Defend the id against later claims."""
        while True:
            match await self._moves.get():
                case NextStep.LEAVE:
                    raise DuplicateNode(self._node)
                case NextStep.ANSWER:
                    answer = Claim(self._process, is_answer=True)
                    await cancellable(client.publish(self._presence_topic, answer.encode(), qos=1, retain=True))
                case _:
                    pass

    async def _read(self, client: Client) -> None:
        """Wait for the end of the connection; messages do not come this way (``_straight_to``)."""
        async for _ in client.messages:
            pass

    async def _write(self, client: Client) -> None:
        """Publish everything that is ready together; what becomes ready meanwhile joins the next publish."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            qos = self._network.qos
            async with asyncio.TaskGroup() as group:
                for dst, frame in self._frames_to_send():
                    topic = self._inbox_of(dst)
                    if qos or not is_published(client, topic, frame):
                        group.create_task(client.publish(topic, frame, qos=qos))

    async def _write_bulk(self, client: Client) -> None:
        """Publish large messages in parts: small messages leave in between."""
        while True:
            dst, envelope = await self._bulk.next()
            bare, data = detach([envelope])
            self.counters.bytes += sum(map(len, data))
            number = next(self._numbers)
            self._window.begin(number)
            for place, part in enumerate(in_parts(self._node, number, [self._frame(bare), *data])):
                await self._window.room(place)
                await cancellable(client.publish(self._inbox_of(dst), part, qos=self._network.qos))

    def _frames_to_send(self) -> list[tuple[NodeId, bytes]]:
        acknowledged, self._acknowledgements = self._acknowledgements, []
        return [*acknowledged, *((dst, self._frame(envelopes)) for dst, envelopes in self._outbox.take())]

    def _frame(self, envelopes: Sequence[Envelope]) -> bytes:
        """One frame, counted as sent."""
        frame = encode(self._node, envelopes)
        self.counters.frames += 1
        self.counters.bytes += len(frame)
        self.counters.sent += len(envelopes)
        return frame

    def _inbox_of(self, dst: NodeId) -> str:
        return self._network.topic(dst, "in", self._node)

    def _kept(self, keeping: asyncio.Task[None]) -> None:
        """Report a bug in the connection's task to the node, so that nobody waits forever."""
        if keeping.cancelled() or keeping.exception() is None:
            return
        log.error("node %s lost its network permanently", self._node, exc_info=keeping.exception())
        if not self._first.done():
            self._first.set_exception(NetworkFailed(str(self._network.address), repr(keeping.exception())))

    def _hung_up(self, why: Exception) -> None:
        """Notify the node once; drop waiting messages, because Raft sends again what still matters."""
        was_up, self._client = self._client is not None, None
        self._outbox.clear()
        self._bulk.clear()
        self._acknowledgements.clear()
        self._assembly = Assembly()
        where = str(self._network.address)
        if not self._first.done():
            if self._network.may_try_again(why, self._deadline):
                return
            self._first.set_exception(why if isinstance(why, DuplicateNode) else failure(self._network.address, why))
            self._first.exception()  # retrieved, so that asyncio does not warn if the opener has gone
        elif isinstance(why, DuplicateNode):
            self._mailbox.notice(SessionTakenOver(self._node))
        elif was_up:
            self._mailbox.notice(Disconnected(where, failure(self._network.address, why).why))

    def _deliver(self, message: Message) -> None:
        """Handle an incoming message; anything invalid ends here."""
        match message.topic.value.split("/"), message.payload:
            case [_, _, _, "in", src], bytes(frame) if not message.retain:
                self._open_frame(src, frame)
            case [_, _, node, "presence"], bytes(claim):
                self._on_presence(node, claim, is_old=message.retain)
            case _:
                self._garbage("not a frame")

    def _open_frame(self, src: str, frame: bytes) -> None:
        try:
            if frame.startswith(MARK):
                self._take_part(src, frame)
            else:
                self._open(src, (frame,))
        except Garbage as wrong:
            self._garbage(str(wrong))

    def _take_part(self, src: str, part: bytes) -> None:
        """Take a part of a message; its sender may send more parts then."""
        if part.startswith(ACK):
            self._window.acknowledge(part)
            return
        arrived = read_part(part)
        if str(arrived.src) != src:
            raise Garbage(f"node {arrived.src} wrote a part and {src} sent it")
        if (answer := arrived.acknowledgement) is not None:
            self._acknowledgements.append((arrived.src, answer))
            self._ready.set()
        pieces = self._assembly.take(src, arrived)
        if pieces is not None:
            self._open(src, pieces)

    def _open(self, src: str, pieces: Sequence[bytes]) -> None:
        """Receive the messages of a frame with what is attached to it; raises ``Garbage``."""
        sender, bare = decode(pieces[0])
        if src != str(sender):
            raise Garbage(f"node {sender} wrote it and {src} sent it")
        envelopes = attach(bare, pieces[1:])
        self.counters.received += len(envelopes)
        self._mailbox.receive(sender, envelopes)

    def _on_presence(self, node: str, payload: bytes, *, is_old: bool) -> None:
        """Handle a claim: one of this node's id goes to presence, one of another node becomes a notice."""
        try:
            claim = Claim.decode(payload)
            peer = int(node)
        except (msgspec.MsgspecError, ValueError) as wrong:
            self._garbage(f"presence of {node!r}: {wrong}")
            return
        if peer != self._node:
            self._mailbox.notice(PeerUnreachable(peer) if claim is None else PeerReachable(peer))
            return
        move = self._presence.on_claim(claim, is_old=is_old)
        if move is not NextStep.NOTHING:
            self._moves.put_nowait(move)

    def _garbage(self, why: str) -> None:
        """Count a dropped frame; log the first, the second, the fourth and so on."""
        self.counters.garbage += 1
        count = self.counters.garbage
        if count & (count - 1) == 0:
            log.warning("node %s dropped garbage (%d so far): %s", self._node, count, why)


def _with_password(address: Address, cluster: str) -> Address:
    """Add the password from the environment or a file if the URL has none."""
    if address.username is None or address.password is not None:
        return address
    return structs.replace(address, password=passwords.find(address.username, cluster))


def next_backoff(before: float, lasted: float) -> float:
    """Seconds until the next connection: short after one that ``lasted`` (seconds), else twice the wait before.

    >>> [next_backoff(before, 0.0) for before in (0.0, 0.05, 1.6)], next_backoff(1.6, lasted=60.0)
    ([0.05, 0.1, 2.0], 0.05)
    """
    return 0.05 if lasted > 1 else min(max(2 * before, 0.05), 2.0)


def _first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    """The exception that ended a task group; a duplicate node before a broken connection."""
    first = min(group.exceptions, key=lambda one: not isinstance(one, DuplicateNode))
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
