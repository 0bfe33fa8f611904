"""One client's session with the embedded broker, on any stream of bytes.

``feed`` takes the client's bytes, and answers go to a :class:`Stream`: an asyncio connection, or for example a
WebSocket. The session ends with its connection: nothing is kept for an absent client.

A subscriber that reads too slowly costs at most ``HARD`` bytes: beyond ``SOFT``, messages of QoS 0 for it are dropped;
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
"""Bytes that may wait for a subscriber before QoS 0 messages are dropped, and before its connection ends."""
UNACKNOWLEDGED = 10_000
"""QoS 1 messages that a subscriber may leave unacknowledged."""
HELLO = 10.0
"""Seconds until a connection must have sent its CONNECT."""


class Stream(Protocol):
    """The output of a session; :class:`asyncio.Transport` is one."""

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until they can be sent."""

    def get_write_buffer_size(self) -> int:
        """The number of waiting bytes."""

    def close(self) -> None:
        """Disconnect after the waiting bytes have left."""

    def abort(self) -> None:
        """Disconnect at once."""


class Session:
    """One client's session; see :class:`~pyraft_lab.network.hub.Subscriber`."""

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
        self._watch: asyncio.TimerHandle = self._loop.call_later(HELLO, self._end, "it sent no CONNECT in time")

    def feed(self, data: bytes) -> None:
        """Handle the client's bytes; bytes that are not MQTT end only this connection."""
        self._last_received = self._loop.time()
        try:
            for packet in self._splitter.feed(data):
                if self._is_over:
                    return
                self._take(packet)
        except Malformed as wrong:
            self._end(str(wrong))

    def lost(self) -> None:
        """Handle the end of the connection."""
        self._end("its connection ended")

    def take_over(self) -> None:
        """End: another connection has the same client id."""
        self._end("another connection has its client id")

    def send(self, frame: bytes) -> None:
        """Send an encoded message of QoS 0, unless too many bytes wait already."""
        if not self._is_over and self._stream.get_write_buffer_size() <= SOFT:
            self._stream.write(frame)

    def send_acknowledged(self, message: Publish) -> None:
        """Send a message of QoS 1; disconnect a client that reads too slowly."""
        if self._is_over:
            return
        if self._stream.get_write_buffer_size() > HARD or len(self._unacknowledged) >= UNACKNOWLEDGED:
            self._end("it reads too slowly")
            return
        id = self._next_id()
        self._unacknowledged.add(id)
        self._stream.write(packets.encode(structs.replace(message, qos=1, id=id)))

    def _next_id(self) -> int:
        """A packet id that no unacknowledged message has."""
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
                raise Malformed("the first packet is not a CONNECT")
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
        """Disconnect a client after one and a half keep-alive times without a packet; else check again then."""
        silent = self._loop.time() - self._last_received
        if silent >= limit:
            self._end("it sent nothing during its keep-alive time")
        else:
            self._watch = self._loop.call_later(limit - silent, self._look, limit)

    def _refuse(self, answer: bytes, why: str) -> None:
        self._stream.write(answer)
        self._end(why)

    def _end(self, why: str) -> None:
        """End the session once, and publish its last will."""
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
    """Disconnect; waiting bytes may still leave, unless the reader takes nothing."""
    if stream.get_write_buffer_size() > SOFT:
        stream.abort()
    else:
        stream.close()
