"""The codec of the embedded broker: every packet there and back, and no bytes that it does not survive."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pyraft_lab.network import packets
from pyraft_lab.network.packets import (
    Connect,
    Disconnect,
    Malformed,
    OtherProtocol,
    Packet,
    PingReq,
    PubAck,
    Publish,
    Splitter,
    Subscribe,
    Unsubscribe,
    Will,
)


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128, "one byte of length"
    return bytes((first, len(body))) + body


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2) + value.encode()


def read(data: bytes) -> list[Packet]:
    return list(Splitter().feed(data))


def greeting(*, level: int = 4, flags: int = 0x02) -> bytes:
    return text("MQTT") + bytes((level, flags)) + (5).to_bytes(2) + text("ann")


def test_a_client_says_who_it_is_and_what_its_last_will_is() -> None:
    body = greeting(flags=0xEE) + text("bye") + text("hi") + text("ann") + text("secret")
    will = Will("bye", b"hi", retain=True)
    assert read(packet(0x10, body)) == [
        Connect(client="ann", keepalive=5, will=will, username="ann", password=b"secret")
    ]


def test_another_version_of_the_protocol_is_told_apart() -> None:
    assert read(packet(0x10, greeting(level=5))) == [OtherProtocol(5)]
    assert packets.connack_to_other(5) == b"\x20\x03\x00\x84\x00"
    assert packets.connack_to_other(2) == b"\x20\x02\x00\x01"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (packet(0x40, b"\x00\x07"), PubAck(7)),
        (packet(0x82, b"\x00\x01" + text("a/+") + b"\x02" + text("#") + b"\x00"), Subscribe(1, [("a/+", 2), ("#", 0)])),
        (packet(0xA2, b"\x00\x01" + text("a")), Unsubscribe(1, ["a"])),
        (packet(0xC0, b""), PingReq()),
        (packet(0xE0, b""), Disconnect()),
    ],
)
def test_each_request_is_read(data: bytes, expected: Packet) -> None:
    assert read(data) == [expected]


messages = st.builds(
    Publish,
    topic=st.text("abc/$é", min_size=1, max_size=40),
    payload=st.binary(max_size=300),
    qos=st.just(1),
    retain=st.booleans(),
    id=st.integers(1, 0xFFFF),
)


@given(messages)
def test_a_message_that_is_written_is_read_again(message: Publish) -> None:
    unacknowledged = structs.replace(message, qos=0, id=0)
    assert read(packets.encode(message) + packets.encode(unacknowledged)) == [message, unacknowledged]


def test_a_stream_may_be_cut_anywhere() -> None:
    messages = [Publish(topic="t", payload=bytes(size)) for size in (0, 1, 127, 128, 20_000)]
    stream, splitter = b"".join(map(packets.encode, messages)), Splitter()
    arrived = [one for start in range(0, len(stream), 7) for one in splitter.feed(stream[start : start + 7])]
    assert arrived == messages


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packet(0x00, b""), "type 0"),
        (packet(0x12, greeting()), "type 1 with flags 2"),
        (packet(0x10, greeting(flags=0x03)), "connect flags"),
        (packet(0x10, greeting()[:-1]), "ends too early"),
        (packet(0x34, text("a") + b"\x00\x01"), "QoS 2"),
        (packet(0x32, text("a") + b"\x00\x00"), "packet id 0"),
        (packet(0x30, text("a/+")), "not a valid topic to publish to"),
        (packet(0x30, text("")), "not a valid topic to publish to"),
        (packet(0x30, b"\x00\x01\xff"), "not UTF-8"),
        (packet(0x30, text("\0")), "NUL"),
        (packet(0x82, b"\x00\x01" + text("a/#/b") + b"\x00"), "not a valid topic filter"),
        (packet(0x82, b"\x00\x01" + text("a+") + b"\x00"), "not a valid topic filter"),
        (packet(0x82, b"\x00\x01" + text("a") + b"\x03"), "quality of service 3"),
        (packet(0x82, b"\x00\x01"), "without a filter"),
        (b"\x30\xff\xff\xff\xff\x01", "more than four bytes"),
        (b"\x30\xff\xff\xff\x7f", "but 134217728 are allowed"),
    ],
)
def test_bytes_that_are_no_packet_are_malformed(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        read(data)


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(Malformed):
        read(data)


def test_no_mutation_of_good_packets_raises_anything_else() -> None:
    chance = random.Random(1)
    good = (
        packet(0x10, greeting()) + packet(0x82, b"\x00\x01" + text("a/+") + b"\x01") + packet(0x32, text("a") + b"ab")
    )
    for _ in range(20_000):
        mutated = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        with suppress(Malformed):
            read(bytes(mutated))
