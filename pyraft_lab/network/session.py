"""One client's session with the embedded broker, on any stream of bytes.

A session takes bytes by ``feed`` and writes to a :class:`Stream`; a connection of asyncio is one, a WebSocket could be
another. It lasts as long as its connection: nothing is kept for a client that is away.

A subscriber that reads too slowly costs at most ``HARD`` bytes: beyond ``SOFT`` messages of QoS 0 for it are dropped,
beyond ``HARD``, or ``UNACKNOWLEDGED`` messages of QoS 1, its connection ends.
"""

import asyncio
import logging
from typing import Protocol, assert_never

from msgspec import structs

from pyraft_lab.network import packets
from pyraft_lab.network.hub import Hub
from pyraft_lab.network.packets import (
    Connect,
    Disconnect,
    Malformed,
    OtherProtocol,
    Packet,
    PingReq,
    PubAck,
    Publish,
    Request,
    Splitter,
    Subscribe,
    Unsubscribe,
    Will,
)

log = logging.getLogger(__name__)
SOFT, HARD = 64 << 20, 256 << 20
"""Bytes that may wait for a subscriber before messages of QoS 0 are dropped, and before its connection ends."""
UNACKNOWLEDGED = 10_000
"""Messages of QoS 1 a subscriber may leave without an answer."""
HELLO = 10.0
"""Seconds in which a connection has to say who it is."""


class Stream(Protocol):
    """Where a session writes; :class:`asyncio.Transport` is one."""

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until they can be sent."""

    def get_write_buffer_size(self) -> int:
        """The bytes that wait."""

    def close(self) -> None:
        """Hang up once what waits has left."""

    def abort(self) -> None:
        """Hang up at once."""


class Session:
    """What a client does on one connection; see :class:`~pyraft_lab.network.hub.Subscriber`."""

    def __init__(self, hub: Hub, stream: Stream) -> None:
        self.user: str | None = None
        self.filters: dict[str, int] = {}
        self._hub, self._stream = hub, stream
        self._splitter = Splitter(packets.LARGEST_CONNECT)
        self._client: str | None = None
        self._will: Will | None = None
        self._is_over = False
        self._unacknowledged: set[int] = set()
        self._last_id = 0
        self._loop = asyncio.get_running_loop()
        self._last_received = self._loop.time()
        self._watch: asyncio.TimerHandle = self._loop.call_later(HELLO, self._end, "it did not say who it is")

    def feed(self, data: bytes) -> None:
        """Take what the client sent; bytes that are no MQTT end this connection and no other."""
        self._last_received = self._loop.time()
        try:
            for packet in self._splitter.feed(data):
                if self._is_over:
                    return
                self._take(packet)
        except Malformed as wrong:
            self._end(str(wrong))

    def lost(self) -> None:
        """The connection is gone."""
        self._end("it is gone")

    def take_over(self) -> None:
        """Another connection goes on under this client id."""
        self._end("another connection has its client id")

    def send(self, frame: bytes) -> None:
        """Send an encoded message of QoS 0, unless too much waits already."""
        if not self._is_over and self._stream.get_write_buffer_size() <= SOFT:
            self._stream.write(frame)

    def send_acknowledged(self, message: Publish) -> None:
        """Send a message of QoS 1; a client that does not keep up is hung up on."""
        if self._is_over:
            return
        if self._stream.get_write_buffer_size() > HARD or len(self._unacknowledged) >= UNACKNOWLEDGED:
            self._end("it reads too slowly")
            return
        id = self._next_id()
        self._unacknowledged.add(id)
        self._stream.write(packets.encode(structs.replace(message, qos=1, id=id)))

    def _next_id(self) -> int:
        """A packet id that no unanswered message has."""
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._unacknowledged:
                return self._last_id

    def _take(self, packet: Packet) -> None:
        match packet:
            case OtherProtocol(level) if self._client is None:
                self._refuse(packets.connack_to_other(level), f"it speaks MQTT level {level}, not 3.1.1")
            case Connect() if self._client is None:
                self._connect(packet)
            case Connect() | OtherProtocol():
                raise Malformed("a second CONNECT")
            case _ if self._client is None:
                raise Malformed("the first packet is no CONNECT")
            case _:
                self._serve(packet)

    def _serve(self, packet: Request) -> None:
        match packet:
            case Publish():
                self._publish(packet)
            case PubAck(id):
                self._unacknowledged.discard(id)
            case PingReq():
                self._stream.write(packets.PINGRESP)
            case Subscribe():
                self._subscribe(packet)
            case Unsubscribe():
                self._unsubscribe(packet)
            case Disconnect():
                self._will = None
                self._end("it left")
            case _:
                assert_never(packet)

    def _connect(self, asked: Connect) -> None:
        code = self._hub.enter(asked, self)
        if code:
            self._refuse(packets.connack(code), f"CONNECT was refused with code {code}")
            return
        self._client, self._will = asked.client, asked.will
        self.user = self._hub.access.user(asked.username)
        self._splitter.limit = packets.LARGEST
        self._stream.write(packets.connack(0))
        self._watch.cancel()
        if asked.keepalive:
            self._look(1.5 * asked.keepalive)

    def _publish(self, message: Publish) -> None:
        if message.qos:
            self._stream.write(packets.puback(message.id))
        self._hub.publish(self.user, message)

    def _subscribe(self, asked: Subscribe) -> None:
        wanted = [(filter, min(qos, 1)) for filter, qos in asked.filters]
        self.filters.update(wanted)
        self._hub.forget_routes()
        self._stream.write(packets.suback(asked.id, [qos for _, qos in wanted]))
        for filter, qos in wanted:
            self._hub.recall(self, filter, qos)

    def _unsubscribe(self, asked: Unsubscribe) -> None:
        for filter in asked.filters:
            self.filters.pop(filter, None)
        self._hub.forget_routes()
        self._stream.write(packets.unsuback(asked.id))

    def _look(self, limit: float) -> None:
        """Hang up on a client that said nothing for one and a half times its keep-alive; else look again then."""
        silent = self._loop.time() - self._last_received
        if silent >= limit:
            self._end("nothing was heard of it")
        else:
            self._watch = self._loop.call_later(limit - silent, self._look, limit)

    def _refuse(self, answer: bytes, why: str) -> None:
        self._stream.write(answer)
        self._end(why)

    def _end(self, why: str) -> None:
        """Hang up, once, and speak the last will."""
        if self._is_over:
            return
        self._is_over = True
        self._watch.cancel()
        log.debug("client %r: %s", self._client, why)
        self._hub.leave(self)
        if self._will is not None:
            will = self._will
            self._hub.publish(self.user, Publish(topic=will.topic, payload=will.payload, qos=1, retain=will.retain))
        _hang_up(self._stream)


def _hang_up(stream: Stream) -> None:
    """What waits may still leave, but not for a reader that takes nothing."""
    if stream.get_write_buffer_size() > SOFT:
        stream.abort()
    else:
        stream.close()
