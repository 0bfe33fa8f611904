"""WebSockets: the same nodes, clients and followers, accounts and access lists as on TCP."""

import asyncio
import base64
import os
import socket

import pytest

from pyraft_lab import NetworkFailed, Trace
from pyraft_lab.errors import ConfigError
from pyraft_lab.network import broker
from pyraft_lab.network.access import Account
from pyraft_lab.network.address import Address
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.retained import retained
from pyraft_lab.runtime.connection import connect
from pyraft_lab.runtime.process import NodeOptions, serve


def url_of(running: broker.Broker, name: str, *, websocket: bool = True) -> str:
    account = next(one for one in running.guard.accounts if one.name == name)
    url = running.websocket_url if websocket else running.url
    assert url is not None
    return account.url(url)


async def test_a_cluster_lives_half_on_tcp_and_half_on_websockets(websocket_broker: broker.Broker) -> None:
    stop = asyncio.Event()
    voters = (1, 2, 3)
    nodes = [
        asyncio.create_task(
            serve(
                NodeOptions(
                    id=node,
                    broker=url_of(websocket_broker, str(node), websocket=node > 1),
                    initial_voters=voters if node == 1 else (),
                ),
                stop,
            )
        )
        for node in voters
    ]

    def use() -> None:
        with Trace.follow(url_of(websocket_broker, "eve"), "demo") as trace:
            with connect(url_of(websocket_broker, "ann"), cluster="demo", deadline=60.0) as kv:
                kv.put("x", "y" * 300_000)
                assert kv.get("x") == "y" * 300_000
            while {record.node for record in trace.records} < set(voters):
                pass

    await asyncio.to_thread(use)
    stop.set()
    await asyncio.wait(nodes)


async def test_a_wrong_password_is_refused_on_a_websocket_too(websocket_broker: broker.Broker) -> None:
    url = Account(name="ann", part="client", password="wrong").url(websocket_broker.websocket_url or "")
    with pytest.raises(NetworkFailed, match="does not know 'ann'"):
        await retained(MqttNetwork(url))


async def test_the_access_list_counts_on_a_websocket_too(websocket_broker: broker.Broker) -> None:
    async with MqttNetwork(url_of(websocket_broker, "ann")).connect("client", lambda _: None) as client:
        await client.publish("pyraft/demo/room", b"forbidden", qos=1, retain=True)
        await client.publish("pyraft/demo/followers/ann", b"allowed", qos=1, retain=True)
    assert await retained(MqttNetwork(url_of(websocket_broker, "eve"))) == {"followers/ann": b"allowed"}


async def test_a_port_that_speaks_no_websocket_is_named_at_once(any_broker: broker.Broker) -> None:
    with pytest.raises(NetworkFailed, match="listens for WebSockets at this port"):
        await retained(MqttNetwork(f"ws://127.0.0.1:{any_broker.port}"))


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("ws://h", "ws://h:80/mqtt"),
        ("wss://h/", "wss://h:443/mqtt"),
        ("ws://ann:x@h:9001/deep/er", "ws://h:9001/deep/er"),
    ],
)
def test_an_address_keeps_the_path_of_its_websocket(url: str, wanted: str) -> None:
    assert str(Address.parse(url)) == wanted


def test_a_path_on_tcp_is_refused() -> None:
    with pytest.raises(ConfigError, match="ws://host:9001/mqtt"):
        Address.parse("mqtt://h/mqtt")


def handshake(path: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.parametrize("frame", [b"\x81\x84\0\0\0\0text", b"\x82\x04text", b"\x82\x84\0\0\0\0text"])
@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (handshake("/other"), b"HTTP/1.1 404"),
        (b"GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 426"),
        (b"nonsense\r\n\r\n", b""),
        (handshake("/mqtt"), b"HTTP/1.1 101"),
    ],
)
def test_what_is_no_mqtt_on_a_websocket_ends_only_its_own_connection(
    sent: bytes, answered: bytes, frame: bytes
) -> None:
    pytest.importorskip("websockets")
    with broker.start(kind="embedded", websocket_port=0) as running:
        assert running.websocket_port is not None
        with socket.create_connection(("127.0.0.1", running.websocket_port), timeout=10) as client:
            client.sendall(sent)
            told = client.recv(4096)
            if b" 101 " in told:
                client.sendall(frame)
            while more := client.recv(4096):
                told += more
        assert told.startswith(answered)
        assert running.answers()
