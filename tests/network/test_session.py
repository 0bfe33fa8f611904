"""The embedded broker: what its sessions do, without a socket; and over one, what no client can do to the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import aiomqtt
import pytest

from pyraft_lab.network import embedded, packets, session
from pyraft_lab.network.access import Account
from pyraft_lab.network.broker import Broker
from pyraft_lab.network.hub import Access, Hub, matches
from pyraft_lab.network.packets import Publish, Splitter
from pyraft_lab.network.session import Session


class Wire:
    """A stream that keeps what is written, and counts what its reader has not taken as waiting."""

    def __init__(self) -> None:
        self.written = b""
        self.waiting = 0
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed, "nothing is written after the end"
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def messages(self) -> list[tuple[str, bytes, int, bool]]:
        """The messages among what was written."""
        found = []
        data = self.written
        while data:
            length, at = 0, 1
            while True:
                length |= (data[at] & 0x7F) << 7 * (at - 1)
                at += 1
                if data[at - 1] < 0x80:
                    break
            if data[0] >> 4 == 3:
                [one] = Splitter().feed(data[: at + length])
                assert isinstance(one, Publish)
                found.append((one.topic, one.payload, one.qos, one.retain))
            data = data[at + length :]
        return found


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2) + value.encode()


def connect(client: str = "ann", *, keepalive: int = 0, will: str = "", user: str = "", clean: bool = True) -> bytes:
    flags = (2 if clean else 0) | (0x24 if will else 0) | (0xC0 if user else 0)
    body = text("MQTT") + bytes((4, flags)) + keepalive.to_bytes(2) + text(client)
    body += text(will) + text("") if will else b""
    body += text(user) + text("secret") if user else b""
    return bytes((0x10, len(body))) + body


def subscribe(*filters: str, qos: int = 0) -> bytes:
    body = b"\x00\x01" + b"".join(text(one) + bytes((qos,)) for one in filters)
    return bytes((0x82, len(body))) + body


def publish(topic: str, payload: bytes = b"x", *, qos: int = 0, retain: bool = False) -> bytes:
    return packets.encode(Publish(topic=topic, payload=payload, qos=qos, retain=retain, id=9))


def client(hub: Hub, *sent: bytes) -> tuple[Session, Wire]:
    wire = Wire()
    one = Session(hub, wire)
    for data in sent:
        one.feed(data)
    return one, wire


@pytest.fixture
async def hub() -> Hub:
    return Hub(Access())


async def test_a_message_reaches_each_subscriber_once_and_nobody_else(hub: Hub) -> None:
    _, ann = client(hub, connect("ann"), subscribe("room/+", "room/#", "room/1"))
    _, bob = client(hub, connect("bob"), subscribe("other"))
    client(hub, connect("eve"), publish("room/1", b"hi"))
    assert ann.messages() == [("room/1", b"hi", 0, False)]
    assert bob.messages() == []


async def test_a_subscription_gets_what_is_retained_and_an_empty_message_clears_it(hub: Hub) -> None:
    client(
        hub,
        connect("eve"),
        publish("a", b"1", retain=True),
        publish("b", b"2", retain=True),
        publish("a", b"", retain=True),
    )
    _, ann = client(hub, connect("ann"), subscribe("#"))
    assert ann.messages() == [("b", b"2", 0, True)]


async def test_quality_is_the_lower_of_what_was_sent_and_asked_for(hub: Hub) -> None:
    _, ann = client(hub, connect("ann"), subscribe("#", qos=1))
    _, bob = client(hub, connect("bob"), subscribe("#", qos=0))
    _, eve = client(hub, connect("eve"), publish("a", qos=1), publish("b", qos=0))
    assert [one[2] for one in ann.messages()] == [1, 0]
    assert [one[2] for one in bob.messages()] == [0, 0]
    assert packets.puback(9) in eve.written


async def test_after_unsubscribing_nothing_more_is_heard(hub: Hub) -> None:
    one, ann = client(hub, connect("ann"), subscribe("a"))
    client(hub, connect("eve"), publish("a", b"1"))
    one.feed(b"\xa2\x05\x00\x02" + text("a"))
    client(hub, connect("eve"), publish("a", b"2"))
    assert [payload for _, payload, *_ in ann.messages()] == [b"1"]


@pytest.mark.parametrize("end", ["lost", "malformed", "taken over"])
async def test_a_client_that_ends_without_a_word_has_a_last_will(hub: Hub, end: str) -> None:
    _, bob = client(hub, connect("bob"), subscribe("bye"))
    one, ann = client(hub, connect("ann", will="bye"))
    match end:
        case "lost":
            one.lost()
        case "malformed":
            one.feed(b"\x00\x00")
        case _:
            client(hub, connect("ann"))
    assert [topic for topic, *_ in bob.messages()] == ["bye"]
    assert ann.is_closed


async def test_a_client_that_leaves_has_none(hub: Hub) -> None:
    _, bob = client(hub, connect("bob"), subscribe("bye"))
    _, ann = client(hub, connect("ann", will="bye"), b"\xe0\x00")
    assert bob.messages() == []
    assert ann.is_closed


@pytest.mark.parametrize("first", [subscribe("#"), b"\xc0\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x10\x00"])
async def test_a_stranger_that_does_not_say_who_it_is_is_hung_up_on(hub: Hub, first: bytes) -> None:
    _, wire = client(hub, first)
    assert wire.is_closed
    assert wire.written == b""


async def test_a_second_greeting_ends_the_connection(hub: Hub) -> None:
    assert client(hub, connect(), connect())[1].is_closed


async def test_a_client_without_an_id_is_let_in_where_it_keeps_nothing(hub: Hub) -> None:
    assert client(hub, connect(""))[1].written == packets.connack(0)
    assert client(hub, connect("", clean=False))[1].written == packets.connack(2)


async def test_messages_for_a_slow_reader_are_dropped_and_beyond_all_bounds_it_is_hung_up_on(hub: Hub) -> None:
    _, ann = client(hub, connect("ann"), subscribe("#", qos=1))
    ann.waiting = session.SOFT + 1
    client(hub, connect("eve"), publish("a"))
    assert ann.messages() == []
    ann.waiting = session.HARD + 1
    client(hub, connect("eve"), publish("a", qos=1))
    assert ann.is_closed


async def test_a_reader_that_acknowledges_nothing_is_hung_up_on(hub: Hub) -> None:
    one, ann = client(hub, connect("ann"), subscribe("#", qos=1))
    eve, _ = client(hub, connect("eve"))
    for _ in range(session.UNACKNOWLEDGED):
        eve.feed(publish("a", b"", qos=1))
    one.feed(b"\x40\x02\x00\x01")
    eve.feed(publish("a", b"", qos=1))
    assert not ann.is_closed, "one was acknowledged"
    eve.feed(publish("a", b"", qos=1))
    assert ann.is_closed


async def test_an_account_cannot_take_over_the_connection_of_another() -> None:
    accounts = [Account(name=name, part="learner", password="secret") for name in ("ann", "bob")]
    hub = Hub(Access("demo", accounts))
    _, ann = client(hub, connect("shared", user="ann"))
    _, bob = client(hub, connect("shared", user="bob"))
    assert bob.written == packets.connack(2)
    assert not ann.is_closed
    _, again = client(hub, connect("shared", user="ann"))
    assert again.written == packets.connack(0)
    assert ann.is_closed


async def test_accounts_read_and_write_only_what_their_rules_name() -> None:
    accounts = [
        Account(name="ann", part="client", password="secret"),
        Account(name="2", part="node", password="secret"),
    ]
    hub = Hub(Access("demo", accounts))
    assert client(hub, connect("x"))[1].written == packets.connack(5)
    one, ann = client(hub, connect("a", user="ann"), subscribe("#"))
    two, node = client(hub, connect("b", user="2"), subscribe("#"))
    one.feed(publish("pyraft/demo/2/ask/ann", b"asked") + publish("pyraft/demo/2/in/1", b"forged"))
    two.feed(publish("pyraft/demo/2/status", b"well") + publish("pyraft/demo/1/in/2", b"envelope"))
    assert [payload for _, payload, *_ in node.messages()] == [b"asked"]
    assert [payload for _, payload, *_ in ann.messages()] == [b"well"]


async def test_nobody_writes_to_the_brokers_own_topics(hub: Hub) -> None:
    _, ann = client(hub, connect("ann"), subscribe("$SYS/#"))
    client(hub, connect("eve"), publish("$SYS/load", retain=True))
    assert ann.messages() == []


@pytest.mark.parametrize(
    ("filter", "heard"),
    [
        ("a/b", ["a/b"]),
        ("a/+", ["a/b", "a/"]),
        ("a/#", ["a", "a/b", "a/", "a/b/c"]),
        ("+", ["a"]),
        ("#", ["a", "a/b", "a/", "a/b/c", "/a"]),
        ("/+", ["/a"]),
        ("+/+/c", ["a/b/c"]),
        ("$SYS/#", ["$SYS/x"]),
    ],
)
def test_a_filter_hears_what_the_standard_says(filter: str, heard: Sequence[str]) -> None:
    topics = ["a", "a/b", "a/", "a/b/c", "/a", "$SYS/x"]
    assert [topic for topic in topics if matches(filter, topic)] == heard


@pytest.fixture
async def port() -> AsyncIterator[int]:
    (only,) = await embedded.serve("127.0.0.1", 0)
    async with only as server:
        yield server.sockets[0].getsockname()[1]


async def test_bytes_that_are_no_mqtt_end_that_connection_only(port: int) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as ann:
        await ann.subscribe("a", qos=1)
        for garbage in (b"\xff" * 100, b"\x10\xff\xff\xff\x7f", connect() + b"\x30\x00"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            async with asyncio.timeout(10):
                assert await reader.read() in {b"", packets.connack(0)}
            writer.close()
        await ann.publish("a", b"still here", qos=1)
        async with asyncio.timeout(10):
            assert (await anext(aiter(ann.messages))).payload == b"still here"


async def test_a_client_that_falls_silent_is_given_up_after_one_and_a_half_times_its_keepalive(port: int) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as ann:
        await ann.subscribe("bye", qos=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect("silent", keepalive=1, will="bye"))
        async with asyncio.timeout(10):
            assert (await anext(aiter(ann.messages))).topic.value == "bye"
            assert await reader.read() == packets.connack(0)
        writer.close()


async def test_a_message_of_twenty_megabytes_passes(any_broker: Broker) -> None:
    async with aiomqtt.Client("127.0.0.1", any_broker.port, timeout=60) as ann:
        await ann.subscribe("a", qos=1)
        await ann.publish("a", bytes(20_000_000), qos=1)
        async with asyncio.timeout(60):
            payload = (await anext(aiter(ann.messages))).payload
        assert isinstance(payload, bytes)
        assert len(payload) == 20_000_000
