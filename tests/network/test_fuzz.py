"""Whatever strangers send, a frame is ours or garbage, and a node goes on serving."""

import asyncio
import os
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyraft_lab.engine.config import Config
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.network.broker import Broker
from pyraft_lab.network.codec import Garbage, decode, encode
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.network.presence import Claim
from pyraft_lab.runtime import room
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import decode_call, decode_metrics, decode_reply
from pyraft_lab.runtime.rpc_server import serve_rpc
from tests.network.wires import envelope

VALID = encode(2, [envelope(1), envelope(2)])
EXAMPLES = int(os.environ.get("FUZZ", "1000"))


def damaged(places: list[tuple[int, int]]) -> bytes:
    """A valid frame with some bytes replaced."""
    frame = bytearray(VALID)
    for place, byte in places:
        frame[place % len(frame)] = byte
    return bytes(frame)


frames = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=4).map(damaged),
    st.integers(0, len(VALID)).map(lambda stop: VALID[:stop]),
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=frames)
def test_a_frame_is_valid_or_garbage(frame: bytes) -> None:
    try:
        sender, envelopes = decode(frame)
    except Garbage:
        return
    assert (sender, [one.id for one in envelopes]) == (2, [1, 2]), "the checksum lets nothing else through"


DEEP = b"\x91" * 100_000 + b"\xc0"


@pytest.mark.parametrize(
    ("decode", "before"),
    [
        (Claim.decode, b"\x93\x01\xc2"),
        (decode_call, b"\x92\x01\x83\xa4type\xa9ReadQuery\xa6policy\xa5index\xa5query"),
        (decode_reply, b"\x92\x01\x82\xa4type\xa6Result\xa5value"),
        (room.decode, b"\x81\xa4what"),
        (room.decode_playing, b"\x82\xa7by_hand\xc2\xa4what"),
        (Claim.decode, b"\x91\xa1\xff"),
        (decode_metrics, b"\x81\xa4what"),
    ],
)
def test_what_is_nested_without_end_is_garbage(decode: Callable[[bytes], object], before: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(before + DEEP)


def test_a_frame_nested_without_end_is_garbage() -> None:
    with pytest.raises(Garbage):
        decode(b"\x95\x01\x02\x00\x00" + DEEP)


@settings(max_examples=EXAMPLES // 20, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames=st.lists(frames, min_size=200, max_size=200))
def test_a_live_node_serves_on_among_garbage(frames: list[bytes]) -> None:
    asyncio.run(besieged(frames))


async def besieged(frames: list[bytes]) -> None:
    network = MemoryNetwork()
    raft = Raft(1, config=Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03), network=network)
    await raft.start()
    await raft.initialize({1})
    await raft.wait(10).role("leader")
    for frame in frames:
        assert network.carry(1, frame)
    assert raft.counters.garbage == sum(frame != VALID for frame in frames), "what is not valid is counted"
    assert (await raft.client_write({"op": "incr", "key": "x"})).value == 1
    await raft.shutdown()


async def test_fifty_connections_of_garbage_do_not_stop_a_node(any_broker: Broker) -> None:
    network = MqttNetwork(any_broker.url)
    raft = Raft(1, config=Config(election_timeout=(0.3, 0.6)), network=network)
    await raft.start()
    server = asyncio.create_task(serve_rpc(raft, network))
    await raft.initialize({1})
    topics = ["1/in/2", "1/in/x", "1/presence", "2/presence", "1/ask/somebody", "x/status", "2/status", "weather"]
    strangers, words, heard = 50, 40, asyncio.Event()

    async def rave() -> None:
        async with MqttSession(network, "stranger", topics=[], deliver=lambda *_: None) as line:
            for number in range(words):
                line.publish(topics[number % len(topics)], os.urandom(number * 7))
                await asyncio.sleep(0)
            await heard.wait()

    async with Remote.connect(any_broker.url, cluster="demo") as remote, asyncio.TaskGroup() as group:
        await remote.until(lambda: 1 in remote.metrics)
        for _ in range(strangers):
            group.create_task(rave())
        client, value = remote.client(deadline=30), 0
        async with asyncio.timeout(60):
            while raft.counters.garbage < strangers * words // len(topics):
                value += 1
                assert await client.write({"op": "incr", "key": "x"}) == value
        heard.set()
    await raft.shutdown()
    await asyncio.wait_for(server, 10)
