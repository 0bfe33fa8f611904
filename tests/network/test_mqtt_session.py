import asyncio
import logging
import socket
import struct

import pytest

from pyraft_lab.network.broker import Broker
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession


async def test_the_last_words_of_a_line_still_leave(any_broker: Broker) -> None:
    network, heard, all_heard = MqttNetwork(any_broker.url), list[str](), asyncio.Event()

    def hear(topic: str, payload: bytes) -> None:
        heard.append(f"{topic} {payload.decode()}")
        if len(heard) == 101:
            all_heard.set()

    async with MqttSession(network, "listener", topics=["news", "bye"], deliver=hear):
        async with MqttSession(network, "speaker", topics=[], deliver=lambda *_: None, will="bye") as speaker:
            for number in range(100):
                speaker.publish("news", str(number).encode())
        async with asyncio.timeout(10):
            await all_heard.wait()
    assert heard == [*(f"news {number}" for number in range(100)), "bye "]


async def test_what_the_socket_has_no_room_for_leaves_when_it_has(any_broker: Broker) -> None:
    network, sizes, all_heard = MqttNetwork(any_broker.url), list[int](), asyncio.Event()

    def hear(_topic: str, payload: bytes) -> None:
        sizes.append(len(payload))
        if len(sizes) == 40:
            all_heard.set()

    async with (
        MqttSession(network, "listener", topics=["news"], deliver=hear),
        MqttSession(network, "speaker", topics=[], deliver=lambda *_: None) as speaker,
    ):
        for number in range(40):
            speaker.publish("news", bytes((1 << 19) + number))
        async with asyncio.timeout(60):
            await all_heard.wait()
    assert sizes == [(1 << 19) + number for number in range(40)]


async def test_a_line_closes_even_where_its_broker_has_just_gone(any_broker: Broker) -> None:
    """Over and over: the end of the connection and the wish to end must not swallow each other."""
    for _ in range(10):
        line = MqttSession(MqttNetwork(any_broker.url), "speaker", topics=[], deliver=lambda *_: None, will="bye")
        await line.open()
        line.publish("news", b"nobody hears this")
        await asyncio.to_thread(any_broker.kill)
        line.publish("news", b"nor this")
        async with asyncio.timeout(10):
            await line.close()
        await asyncio.to_thread(any_broker.restart)


async def test_a_line_is_there_again_when_its_broker_is(any_broker: Broker) -> None:
    up: asyncio.Queue[int] = asyncio.Queue()
    count = iter(range(100))
    async with MqttSession(
        MqttNetwork(any_broker.url),
        "reader",
        topics=[],
        deliver=lambda *_: None,
        connected=lambda: up.put_nowait(next(count)),
    ):
        await up.get()
        await asyncio.to_thread(any_broker.kill)
        await asyncio.to_thread(any_broker.restart)
        async with asyncio.timeout(10):
            assert await up.get() == 1


async def test_a_connection_that_is_reset_is_no_error_in_anybodys_log(caplog: pytest.LogCaptureFixture) -> None:
    """As by a broker that is killed with unread messages: in a notebook such a line would stand under the cell."""
    lost = asyncio.Event()

    async def accept_and_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x02\x00\x00")  # CONNACK: accepted
        await writer.drain()
        await asyncio.sleep(0.1)
        its = writer.get_extra_info("socket")
        its.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async with await asyncio.start_server(accept_and_reset, "127.0.0.1", 0) as server:
        network = MqttNetwork(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with caplog.at_level(logging.INFO):
            async with MqttSession(network, "speaker", topics=[], deliver=lambda *_: None, lost=lost.set):
                async with asyncio.timeout(20):
                    await lost.wait()
    assert any("lost its connection" in record.message for record in caplog.records)
    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []


async def test_two_sessions_of_one_name_do_not_number_their_parts_alike() -> None:
    """A node that is killed while it sends a large reply, and starts again, must not complete it with another one."""
    network = MqttNetwork("mqtt://127.0.0.1:1")
    before, after = (MqttSession(network, "1-rpc", topics=[], deliver=lambda *_: None) for _ in range(2))
    assert next(before._numbers) != next(after._numbers)  # noqa: SLF001
