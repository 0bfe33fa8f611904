"""MQTT 3.1.1 on the wire: bytes into packets and packets into bytes (OASIS standard, sections 2 and 3).

Decoding is total: any bytes give packets or :class:`Malformed`, never another error.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")

LARGEST = 128 << 20
"""Bytes of the largest packet that is taken."""
LARGEST_CONNECT = 1 << 20
"""Bytes of the largest first packet, which comes from a client that is not known yet."""


class Malformed(ValueError):
    """These bytes are no MQTT 3.1.1, or ask for what this broker does not do; the connection ends."""


class Will(Struct, frozen=True):
    """What the broker publishes when the client is gone without a DISCONNECT."""

    topic: str
    payload: bytes
    retain: bool


class Connect(Struct, frozen=True, kw_only=True):
    """The first packet of a client. ``keepalive`` is in seconds, 0 for none."""

    client: str
    is_clean: bool = True
    keepalive: int = 0
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None


class OtherProtocol(Struct, frozen=True):
    """A first packet that asks for another version of MQTT."""

    level: int


class Publish(Struct, frozen=True, kw_only=True):
    """A message; ``id`` counts only at QoS 1."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    id: int = 0


class PubAck(Struct, frozen=True):
    """The receiver has the message of QoS 1 with this ``id``."""

    id: int


class Subscribe(Struct, frozen=True):
    """Filters, each with the highest QoS the client wants."""

    id: int
    filters: Sequence[tuple[str, int]]


class Unsubscribe(Struct, frozen=True):
    """Filters that the client gives up."""

    id: int
    filters: Sequence[str]


class PingReq(Struct, frozen=True):
    """The client is alive and asks whether the broker is."""


class Disconnect(Struct, frozen=True):
    """The client leaves; its will is void."""


Request = Publish | PubAck | Subscribe | Unsubscribe | PingReq | Disconnect
"""What a client may send once it is let in."""
Packet = Connect | OtherProtocol | Request
"""What a client may send."""


class Splitter:
    """Cuts a stream of bytes into packets; ``limit`` bounds what one packet may make it keep."""

    def __init__(self, limit: int = LARGEST) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete now; raises ``Malformed``, after which the stream is of no use."""
        self._buffer += data
        while (measured := self._measured()) is not None:
            start, end = measured
            if len(self._buffer) < end:
                return
            first, body = self._buffer[0], bytes(memoryview(self._buffer)[start:end])
            del self._buffer[:end]
            yield decode(first, body)

    def _measured(self) -> tuple[int, int] | None:
        """Where the body of the first packet starts and ends, once that can be told."""
        if self._buffer:
            _check(self._buffer[0])
        length = 0
        for place, byte in enumerate(self._buffer[1:5]):
            length |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if length > self.limit:
                    raise Malformed(f"a packet of {length} bytes, where {self.limit} are allowed")
                return place + 2, place + 2 + length
        if len(self._buffer) > 4:
            raise Malformed("a length of more than four bytes")
        return None


def decode(first: int, body: bytes) -> Packet:
    """The packet of a first byte and a body; raises ``Malformed``."""
    _check(first)
    kind, flags = first >> 4, first & 0x0F
    return _publish(_Reader(body), flags) if kind == _PUBLISH else _READERS[kind](_Reader(body))


def _check(first: int) -> None:
    """No packet begins with another byte; a client of another protocol is known by it at once."""
    kind, flags = first >> 4, first & 0x0F
    if kind != _PUBLISH and (kind not in _READERS or flags != _FLAGS.get(kind, 0)):
        raise Malformed(f"a packet of type {kind} with flags {flags}")


def connack(code: int) -> bytes:
    """The answer to CONNECT: 0 lets the client in. Sessions are always new ones."""
    return bytes((0x20, 2, 0, code))


def connack_to_other(level: int) -> bytes:
    """The refusal of another protocol, in the form that its clients read."""
    return bytes((0x20, 3, 0, 0x84, 0)) if level >= 5 else connack(1)


def puback(id: int) -> bytes:
    """The broker has this message."""
    return b"\x40\x02" + id.to_bytes(2)


def suback(id: int, codes: Sequence[int]) -> bytes:
    """The QoS granted to each filter, 0x80 for a refusal."""
    return b"\x90" + _length(2 + len(codes)) + id.to_bytes(2) + bytes(codes)


def unsuback(id: int) -> bytes:
    """The filters are given up."""
    return b"\xb0\x02" + id.to_bytes(2)


PINGRESP = b"\xd0\x00"
"""The broker is alive."""


def encode(message: Publish) -> bytes:
    """A message on its way to a subscriber."""
    topic = message.topic.encode()
    id = message.id.to_bytes(2) if message.qos else b""
    length = _length(2 + len(topic) + len(id) + len(message.payload))
    first = 0x30 | message.qos << 1 | message.retain
    return b"".join((bytes((first,)), length, len(topic).to_bytes(2), topic, id, message.payload))


def _length(number: int) -> bytes:
    """A length, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        encoded.append(low | (0x80 if number else 0))
        if not number:
            return bytes(encoded)


def _publish(reader: "_Reader", flags: int) -> Publish:
    qos = flags >> 1 & 3
    if qos > 1:
        raise Malformed("a message of QoS 2, which this broker does not do")
    topic = reader.topic()
    id = _id(reader) if qos else 0
    return Publish(topic=topic, id=id, payload=reader.rest(), qos=qos, retain=bool(flags & 1))


def _connect(reader: "_Reader") -> Connect | OtherProtocol:
    name, level = reader.text(), reader.byte()
    if (name, level) not in {("MQTT", 4), ("MQIsdp", 3)}:
        return OtherProtocol(level)
    flags, keepalive, client = reader.byte(), reader.number(), reader.text()
    if flags & 1 or flags >> 3 & 3 > 1:
        raise Malformed(f"connect flags {flags:#04x}")
    will = Will(reader.topic(), reader.data(), bool(flags & 0x20)) if flags & 4 else None
    return Connect(
        client=client,
        is_clean=bool(flags & 2),
        keepalive=keepalive,
        will=will,
        username=reader.text() if flags & 0x80 else None,
        password=reader.data() if flags & 0x40 else None,
    )


def _subscribe(reader: "_Reader") -> Subscribe:
    return Subscribe(_id(reader), _some([(reader.filter(), reader.qos()) for _ in reader.until_end()]))


def _unsubscribe(reader: "_Reader") -> Unsubscribe:
    return Unsubscribe(_id(reader), _some([reader.filter() for _ in reader.until_end()]))


def _id(reader: "_Reader") -> int:
    number = reader.number()
    if number == 0:
        raise Malformed("packet id 0")
    return number


def _some(filters: Sequence[T]) -> Sequence[T]:
    if not filters:
        raise Malformed("a subscription without a filter")
    return filters


class _Reader:
    """Takes fields from a body, one after another."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def until_end(self) -> Iterator[None]:
        """One turn for each further group of fields."""
        while self._at < len(self._body):
            yield

    def byte(self) -> int:
        """One byte."""
        return self._take(1)[0]

    def number(self) -> int:
        """Two bytes."""
        return int.from_bytes(self._take(2))

    def data(self) -> bytes:
        """Bytes after their number."""
        return self._take(self.number())

    def text(self) -> str:
        """A string of UTF-8 without NUL."""
        try:
            text = self.data().decode()
        except UnicodeDecodeError:
            raise Malformed("text that is no UTF-8") from None
        if "\0" in text:
            raise Malformed("text with NUL in it")
        return text

    def topic(self) -> str:
        """A topic to publish to."""
        topic = self.text()
        if not topic or "+" in topic or "#" in topic:
            raise Malformed(f"{topic[:80]!r} is no topic to publish to")
        return topic

    def filter(self) -> str:
        """A topic filter, whose ``+`` and ``#`` stand alone in their levels, ``#`` in the last."""
        text = self.text()
        levels = text.split("/")
        alone = all(level in {"+", "#"} or not {"+", "#"} & set(level) for level in levels)
        if not text or not alone or "#" in levels[:-1]:
            raise Malformed(f"{text[:80]!r} is no topic filter")
        return text

    def qos(self) -> int:
        """A quality of service."""
        qos = self.byte()
        if qos > 2:
            raise Malformed(f"quality of service {qos}")
        return qos

    def rest(self) -> bytes:
        """All that is left."""
        return self._take(len(self._body) - self._at)

    def _take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._body):
            raise Malformed("a packet that ends too early")
        return self._body[start : self._at]


_PUBLISH = 3
_FLAGS = {8: 2, 10: 2}
"""The flags of a type of packet, where they are not 0; those of PUBLISH mean something."""
_READERS: Mapping[int, Callable[[_Reader], Packet]] = {
    1: _connect,
    4: lambda reader: PubAck(reader.number()),
    8: _subscribe,
    10: _unsubscribe,
    12: lambda _: PingReq(),
    14: lambda _: Disconnect(),
}
