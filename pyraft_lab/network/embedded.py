"""A broker for machines without mosquitto: MQTT 3.1.1 in pure Python, in a process of its own.

    python -m pyraft_lab.network.embedded 127.0.0.1 1883 SETTINGS [9001]

The last number is the port for WebSockets, which need the package ``websockets``.

A cluster needs few features: QoS 0 and 1, retained messages, last wills, passwords and access lists. No broker that
pip installs provides these reliably: amqtt loses clients that connect together and, from Python 3.12, the last messages
of clients that disconnect; iotcore cannot set TCP_NODELAY, so an acknowledged message takes 44 ms; moat-lib-mqtt
supports MQTT 5 only. For a request of 1 kB and its answer, the table shows the processor time of all processes and the
median round trip, on two cores (``python -m tests.bench.brokers``):

================== ================ ================
broker             QoS 0            QoS 1
================== ================ ================
mosquitto 2.0      284 µs, 0.2 ms   404 µs, 0.4 ms
this one           384 µs, 0.4 ms   547 µs, 0.5 ms
================== ================ ================

It keeps no session for an absent client, and accepts no message of QoS 2.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pyraft_lab.network.broker import NO_ACCESS_CONTROL, AccessControl
from pyraft_lab.network.hub import Access, Hub
from pyraft_lab.network.session import Session

READY = "embedded broker running"
"""The line on standard error that says that it accepts connections."""


def main(arguments: Sequence[str]) -> int:
    """Serve at the host and ports in the arguments, until the process is killed."""
    host, port, *more = arguments
    access_control = msgspec.json.decode(Path(more[0]).read_bytes(), type=AccessControl) if more else NO_ACCESS_CONTROL
    try:
        asyncio.run(_serve_and_say(host, int(port), access_control, [int(one) for one in more[1:]]))
    except OSError as failed:
        sys.stderr.write(f"Error: {failed}\n")
        return 1
    return 0


async def serve(
    host: str, port: int, *, access_control: AccessControl = NO_ACCESS_CONTROL, websocket_ports: Sequence[int] = ()
) -> Sequence[asyncio.Server]:
    """Accept connections until the process ends, also on WebSockets; ``OSError`` if an address cannot be used."""
    hub = Hub(Access(access_control.cluster, access_control.accounts))
    tls = access_control.certificates.server_context() if access_control.certificates else None
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Connection(hub), host, port, ssl=tls)]
    if websocket_ports:
        from pyraft_lab.network.websocket import WebSocketConnection

        servers += [
            await loop.create_server(lambda: WebSocketConnection(hub), host, one, ssl=tls) for one in websocket_ports
        ]
    return servers


class Connection(asyncio.Protocol):
    """A session on an asyncio connection; asyncio sets TCP_NODELAY by itself."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start a session for the new client."""
        assert isinstance(transport, asyncio.Transport), "it is a stream"
        self._session = Session(self._hub, transport)

    def data_received(self, data: bytes) -> None:
        """Pass the client's bytes to its session."""
        self._session.feed(data)

    def connection_lost(self, _: Exception | None) -> None:
        """End the session."""
        self._session.lost()


async def _serve_and_say(host: str, port: int, access_control: AccessControl, websocket_ports: Sequence[int]) -> None:
    servers = await serve(host, port, access_control=access_control, websocket_ports=websocket_ports)
    sys.stderr.write(READY + "\n")
    sys.stderr.flush()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
