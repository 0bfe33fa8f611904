"""MQTT 3.1.1 on the wire: bytes into packets and packets into bytes (OASIS standard, sections 2 and 3).

Decoding is total: any bytes give packets or :class:`Malformed`, never another error.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")

LARGEST = 128 << 20
"""Bytes of the largest accepted packet."""
LARGEST_CONNECT = 1 << 20
"""Bytes of the largest first packet; its client is not authenticated yet."""


class Malformed(ValueError):
    """Bytes that are not MQTT 3.1.1, or that need a feature this broker lacks; the connection ends."""


class Will(Struct, frozen=True):
    """The message that the broker publishes when the client ends without a DISCONNECT."""

    topic: str
    payload: bytes
    retain: bool


class Connect(Struct, frozen=True, kw_only=True):
    """The first packet of a client. ``keepalive`` is in seconds; 0 means none."""

    client: str
    is_clean: bool = True
    keepalive: int = 0
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None


class OtherProtocol(Struct, frozen=True):
    """A first packet of another MQTT version."""

    level: int


class Publish(Struct, frozen=True, kw_only=True):
    """A message; ``id`` is used only at QoS 1."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    id: int = 0


class PubAck(Struct, frozen=True):
    """The receiver has received the QoS 1 message with this ``id``."""

    id: int


class Subscribe(Struct, frozen=True):
    """Topic filters, each with the highest QoS the client wants."""

    id: int
    filters: Sequence[tuple[str, int]]


class Unsubscribe(Struct, frozen=True):
    """Topic filters that the client no longer wants."""

    id: int
    filters: Sequence[str]


class PingReq(Struct, frozen=True):
    """The client's keep-alive; the broker answers it."""


class Disconnect(Struct, frozen=True):
    """The client leaves; its will is discarded."""


Request = Publish | PubAck | Subscribe | Unsubscribe | PingReq | Disconnect
"""A packet that a client may send after its CONNECT was accepted."""
Packet = Connect | OtherProtocol | Request
"""Any packet of a client."""


class Splitter:
    """Split a stream of bytes into packets; ``limit`` bounds the bytes of one packet."""

    def __init__(self, limit: int = LARGEST) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete now; raises ``Malformed``, after which the stream cannot be used."""
        self._buffer += data
        while (measured := self._measured()) is not None:
            start, end = measured
            if len(self._buffer) < end:
                return
            first, body = self._buffer[0], bytes(memoryview(self._buffer)[start:end])
            del self._buffer[:end]
            yield decode(first, body)

    def _measured(self) -> tuple[int, int] | None:
        """The start and end of the first packet's body; ``None`` while its length is incomplete."""
        if self._buffer:
            _check(self._buffer[0])
        length = 0
        for place, byte in enumerate(self._buffer[1:5]):
            length |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if length > self.limit:
                    raise Malformed(f"a packet of {length} bytes, but {self.limit} are allowed")
                return place + 2, place + 2 + length
        if len(self._buffer) > 4:
            raise Malformed("a length of more than four bytes")
        return None


def decode(first: int, body: bytes) -> Packet:
    """Decode a packet from its first byte and its body; raises ``Malformed``."""
    _check(first)
    kind, flags = first >> 4, first & 0x0F
    return _publish(_Reader(body), flags) if kind == _PUBLISH else _READERS[kind](_Reader(body))


def _check(first: int) -> None:
    """Check a packet's first byte; this detects a client of another protocol at once."""
    kind, flags = first >> 4, first & 0x0F
    if kind != _PUBLISH and (kind not in _READERS or flags != _FLAGS.get(kind, 0)):
        raise Malformed(f"a packet of type {kind} with flags {flags}")


def connack(code: int) -> bytes:
    """The reply to CONNECT: code 0 accepts the client. Sessions are always new."""
    return bytes((0x20, 2, 0, code))


def connack_to_other(level: int) -> bytes:
    """The refusal of another MQTT version, in a form that its clients can read."""
    return bytes((0x20, 3, 0, 0x84, 0)) if level >= 5 else connack(1)


def puback(id: int) -> bytes:
    """The acknowledgement of a QoS 1 message."""
    return b"\x40\x02" + id.to_bytes(2)


def suback(id: int, codes: Sequence[int]) -> bytes:
    """The QoS granted to each filter; 0x80 means refused."""
    return b"\x90" + _length(2 + len(codes)) + id.to_bytes(2) + bytes(codes)


def unsuback(id: int) -> bytes:
    """The acknowledgement of an UNSUBSCRIBE."""
    return b"\xb0\x02" + id.to_bytes(2)


PINGRESP = b"\xd0\x00"
"""The reply to a client's keep-alive."""


def encode(message: Publish) -> bytes:
    """Encode a message to a subscriber."""
    topic = message.topic.encode()
    id = message.id.to_bytes(2) if message.qos else b""
    length = _length(2 + len(topic) + len(id) + len(message.payload))
    first = 0x30 | message.qos << 1 | message.retain
    return b"".join((bytes((first,)), length, len(topic).to_bytes(2), topic, id, message.payload))


def _length(number: int) -> bytes:
    """A length: seven bits per byte, the lowest first."""
    encoded = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        encoded.append(low | (0x80 if number else 0))
        if not number:
            return bytes(encoded)


def _publish(reader: "_Reader", flags: int) -> Publish:
    qos = flags >> 1 & 3
    if qos > 1:
        raise Malformed("a message of QoS 2, which this broker does not support")
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
    """Read fields from a body, one after another."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def until_end(self) -> Iterator[None]:
        """Loop once for each further group of fields."""
        while self._at < len(self._body):
            yield

    def byte(self) -> int:
        """Read one byte."""
        return self._take(1)[0]

    def number(self) -> int:
        """Read a number of two bytes."""
        return int.from_bytes(self._take(2))

    def data(self) -> bytes:
        """Read bytes after their two-byte length."""
        return self._take(self.number())

    def text(self) -> str:
        """Read a UTF-8 string without NUL."""
        try:
            text = self.data().decode()
        except UnicodeDecodeError:
            raise Malformed("text that is not UTF-8") from None
        if "\0" in text:
            raise Malformed("text with NUL in it")
        return text

    def topic(self) -> str:
        """Read a topic to publish to."""
        topic = self.text()
        if not topic or "+" in topic or "#" in topic:
            raise Malformed(f"{topic[:80]!r} is not a valid topic to publish to")
        return topic

    def filter(self) -> str:
        """Read a topic filter; ``+`` and ``#`` must be whole levels, and ``#`` the last one."""
        text = self.text()
        levels = text.split("/")
        alone = all(level in {"+", "#"} or not {"+", "#"} & set(level) for level in levels)
        if not text or not alone or "#" in levels[:-1]:
            raise Malformed(f"{text[:80]!r} is not a valid topic filter")
        return text

    def qos(self) -> int:
        """Read a quality of service."""
        qos = self.byte()
        if qos > 2:
            raise Malformed(f"quality of service {qos}")
        return qos

    def rest(self) -> bytes:
        """Read the rest of the body."""
        return self._take(len(self._body) - self._at)

    def _take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._body):
            raise Malformed("a packet that ends too early")
        return self._body[start : self._at]


_PUBLISH = 3
_FLAGS = {8: 2, 10: 2}
"""The flags of packet types, if not 0; PUBLISH uses its flags for values."""
_READERS: Mapping[int, Callable[[_Reader], Packet]] = {
    1: _connect,
    4: lambda reader: PubAck(reader.number()),
    8: _subscribe,
    10: _unsubscribe,
    12: lambda _: PingReq(),
    14: lambda _: Disconnect(),
}
