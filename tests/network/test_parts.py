"""Large envelopes travel in parts, and what is small does not wait for them."""

import asyncio
import zlib
from collections.abc import Sequence

import msgspec
import pytest

from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.messages import AppendRequest, HeartbeatRequest
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.network.attachments import attach, detach
from pyraft_lab.network.base import Notice
from pyraft_lab.network.broker import Broker
from pyraft_lab.network.codec import Envelope, Garbage, decode, encode
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.network.parts import (
    ACK,
    ACK_TIMEOUT,
    LARGE,
    MARK,
    MOST_WAITING,
    PART,
    WINDOW,
    Assembly,
    Bulk,
    Window,
    in_parts,
    read_part,
)
from pyraft_lab.runtime.virtual_time import run_virtually

ORIGIN = LogId(0, 0, 0)


def append(id: int, size: int = 10, index: int = 1) -> Envelope:
    entry = Entry(LogId(1, 1, index), Normal(b"\xc4" + bytes(size)))
    prev = LogId(1, 1, index - 1) if index > 1 else ORIGIN
    return Envelope(id, 0, AppendRequest(vote=Vote(1, 1), prev=prev, entries=(entry,), commit=0, round=id))


def heartbeat(id: int) -> Envelope:
    return Envelope(id, 0, HeartbeatRequest(vote=Vote(1, 1), matched=ORIGIN, commit=0, round=id))


def take(assembly: Assembly, sender: str, part: bytes) -> tuple[bytes, ...] | None:
    return assembly.take(sender, read_part(part))


def test_parts_make_the_message_again() -> None:
    (bare,), data = detach([append(1, 3 * PART)])
    pieces = [encode(1, [bare]), *data]
    parts = list(in_parts(1, 1, pieces))
    assembly = Assembly()
    taken = [take(assembly, "1", part) for part in parts]
    assert len(parts) == 6, "the sizes, the frame, and three slices and a byte of the entry"
    assert taken == [*[None] * 5, tuple(pieces)]
    assert max(map(len, parts)) < PART + 64
    assert attach(decode(pieces[0])[1], data) == [append(1, 3 * PART)]


def test_a_message_of_which_a_part_is_missing_or_doubled_is_lost_and_the_next_is_whole() -> None:
    first, second = (list(in_parts(1, number, [bytes(2 * PART + 9)])) for number in (1, 2))
    assembly = Assembly()
    for part in (first[0], first[2], first[1], second[1], *first[:2], first[1], first[2], first[3]):
        assert take(assembly, "1", part) is None
    assert [take(assembly, "1", part) for part in second] == [None, None, None, (bytes(2 * PART + 9),)]


def test_messages_of_two_senders_do_not_mix() -> None:
    ones, twos = (list(in_parts(src, 1, [bytes([src]) * (PART + 1)])) for src in (1, 2))
    assembly = Assembly()
    for one, two in zip(ones[:-1], twos[:-1], strict=True):
        assert [take(assembly, "1", one), take(assembly, "2", two)] == [None, None]
    assert take(assembly, "1", ones[-1]) == (b"\x01" * (PART + 1),)
    assert take(assembly, "2", twos[-1]) == (b"\x02" * (PART + 1),)


SIZES, SLICE = list(in_parts(1, 1, [b"frame"]))


@pytest.mark.parametrize(
    "data",
    [
        MARK,
        MARK + b"\x93\x01\x02\x03",
        SLICE[:-1] + b"E",
        SLICE.replace(b"\x01\x01\x01", b"\x01\x02\x01"),
        SIZES.replace(b"\x00\x02", b"\x00\x03"),
        SIZES[:1] + msgspec.msgpack.encode((1, 1, 5, 2, 0, b"")),
    ],
)
def test_what_is_no_part_or_has_a_flipped_bit_is_garbage(data: bytes) -> None:
    assembly = Assembly()
    take(assembly, "1", SIZES)
    with pytest.raises(Garbage):
        take(assembly, "1", data)


def test_sizes_that_do_not_make_the_parts_are_garbage() -> None:
    claimed = msgspec.msgpack.encode([5 * PART])
    checksum = zlib.crc32(claimed, zlib.crc32(msgspec.msgpack.encode((1, 1, 0, 2))))
    with pytest.raises(Garbage, match="do not make 2 parts"):
        take(Assembly(), "1", MARK + msgspec.msgpack.encode((1, 1, 0, 2, checksum, claimed)))


async def test_parts_wait_for_those_on_their_way() -> None:
    window = Window()
    window.begin(7)
    await window.room(WINDOW - 1)
    waiting = asyncio.create_task(window.room(WINDOW))
    await asyncio.sleep(0)
    assert not waiting.done()
    first = read_part(next(in_parts(1, 6, [b""]))).acknowledgement
    assert first is not None
    window.acknowledge(first)
    await asyncio.sleep(0)
    assert not waiting.done(), "that was an earlier message"
    first = read_part(next(in_parts(1, 7, [b""]))).acknowledgement
    assert first is not None
    window.acknowledge(first)
    await waiting
    with pytest.raises(Garbage):
        window.acknowledge(ACK + b"x")


def test_an_acknowledgement_that_does_not_come_holds_parts_back_only_once() -> None:
    async def leave() -> float:
        window = Window()
        window.begin(7)
        for place in range(2 * WINDOW + 1):
            await window.room(place)
        return asyncio.get_running_loop().time()

    assert run_virtually(leave()) == ACK_TIMEOUT


async def test_a_copy_of_what_has_not_left_yet_is_not_sent() -> None:
    bulk = Bulk()
    for envelope in (append(1), append(2), append(3, index=2), heartbeat(4)):
        assert bulk.put(2, envelope) == 0
    bulk.put(3, append(5))
    assert [(dst, envelope.id) for dst, envelope in [await bulk.next() for _ in range(4)]] == [
        (2, 1),
        (2, 3),
        (2, 4),
        (3, 5),
    ]
    bulk.put(3, append(6))
    bulk.put(2, append(7))
    assert (await bulk.next())[1].id == 7, "the sixth was a copy of the one that was leaving"


async def test_entries_do_not_overtake_those_of_a_large_message_and_a_heartbeat_does() -> None:
    bulk = Bulk()
    assert bulk.wants(2, append(1, LARGE))
    assert not bulk.wants(2, append(2, index=2))
    bulk.put(2, append(1, LARGE))
    assert bulk.wants(2, append(2, index=2))
    assert not bulk.wants(3, append(2, index=2))
    assert not bulk.wants(2, heartbeat(3))
    await bulk.next()
    assert bulk.wants(2, append(2, index=2)), "it is still leaving"


async def test_beyond_the_limit_the_oldest_is_lost() -> None:
    bulk = Bulk()
    assert sum(bulk.put(2, append(index, index=index)) for index in range(1, MOST_WAITING + 3)) == 2
    assert (await bulk.next())[1].id == 3
    bulk.clear()
    bulk.put(2, append(9))
    assert (await bulk.next())[1].id == 9


class Remembering:
    """A mailbox that keeps the ids of what arrived."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.arrived = asyncio.Event()

    def receive(self, _src: NodeId, envelopes: Sequence[Envelope]) -> None:
        self.ids += [envelope.id for envelope in envelopes]
        self.arrived.set()

    def notice(self, notice: Notice) -> None:
        pass


async def test_a_heartbeat_overtakes_ten_megabytes(any_broker: Broker) -> None:
    network = MqttNetwork(any_broker.url)
    mailbox = Remembering()
    sender, receiver = await network.join(1, Remembering()), await network.join(2, mailbox)
    try:
        sender.send(2, append(1, 10 << 20))
        sender.send(2, heartbeat(2))
        async with asyncio.timeout(30):
            while len(mailbox.ids) < 2:
                mailbox.arrived.clear()
                await mailbox.arrived.wait()
    finally:
        await sender.close()
        await receiver.close()
    assert mailbox.ids == [2, 1]


async def test_a_large_message_of_a_line_arrives_whole(any_broker: Broker) -> None:
    network = MqttNetwork(any_broker.url)
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    large = bytes(range(256)) * 8 * 1024
    async with (
        MqttSession(network, "ear", topics=["news/+"], deliver=lambda *one: heard.put_nowait(one)),
        MqttSession(network, "mouth", topics=[], deliver=lambda *_: None) as mouth,
    ):
        mouth.publish("news/1", large, divide=True)
        mouth.publish("news/2", MARK + b"garbage")
        mouth.publish("news/3", b"small", divide=True)
        async with asyncio.timeout(30):
            assert [await heard.get() for _ in range(2)] == [("news/1", large), ("news/3", b"small")]
