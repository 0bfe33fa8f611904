"""A connection to a broker by aiomqtt, over a socket: fast, cancellable, on TCP or as a WebSocket.

(aiomqtt was called asyncio-mqtt before.)
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

from pyraft_lab.extras import needed
from pyraft_lab.network.address import Address, Certificates, Settings

with needed("aiomqtt"):
    import aiomqtt
    from aiomqtt.exceptions import MqttConnectError
    from paho.mqtt.client import MQTT_ERR_SUCCESS, WebsocketConnectionError

LIBRARY_LOG = logging.getLogger(f"{__name__}.aiomqtt")
"""The library's own log, silent unless its level is set: it calls every lost connection an error, and the session,
which connects again, tells of it itself."""
LIBRARY_LOG.setLevel(logging.CRITICAL)
Deliver = Callable[[aiomqtt.Message], None]
UNAVAILABLE = 136
"""The client library's reason code for a broker that may accept clients later."""
HANGUP_TIMEOUT = 0.2
"""Seconds to wait for the answer of a broker that has closed the connection."""

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: cHlyYWZ0LWxhYi1jaGVjaw==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
)
"""The request that opens a WebSocket for MQTT (RFC 6455 §4.1)."""


async def enter(settings: Settings, id: str, deliver: Deliver, will: aiomqtt.Will | None) -> aiomqtt.Client:
    """A connected client with this client id; every message goes straight to ``deliver``; raises ``MqttError``."""
    await _check_server(settings)
    client = _client(settings, id, deliver, will)
    await _entered(client)
    _send_at_once(client)
    _write_at_once(client)
    return client


def is_published(client: aiomqtt.Client, topic: str, payload: bytes, *, retain: bool = False) -> bool:
    """Publish with QoS 0 if the socket takes it at once, so that nobody has to wait; else nothing has happened."""
    session = client._client  # noqa: SLF001 (the library's own publish needs a task of its own to be cancellable)
    return not session.want_write() and session.publish(topic, payload, retain=retain).rc == MQTT_ERR_SUCCESS


def is_final(why: Exception) -> bool:
    """Whether another attempt would fail as well: no listener, an unknown name, or a refused client."""
    if isinstance(why, MqttConnectError):
        return why.rc != UNAVAILABLE
    cause = why.__cause__ or why.__context__
    return isinstance(
        cause, (ConnectionRefusedError, WebsocketConnectionError, socket.gaierror, ssl.SSLCertVerificationError)
    )


def check(_: Address) -> None:
    """Accept every address: sockets reach them all."""


def tls_context(certificates: Certificates) -> ssl.SSLContext:
    """The TLS context of a client; ``ConfigError`` if a file cannot be used."""
    return certificates.context()


def is_refusal(why: Exception) -> bool:
    """Whether the broker answered, and refused the client."""
    return isinstance(why, MqttConnectError)


def is_no_websocket(why: Exception) -> bool:
    """Whether something else than a WebSocket answered."""
    return isinstance(why.__cause__ or why.__context__, WebsocketConnectionError)


def untrusted(why: Exception) -> str | None:
    """What is wrong with the broker's certificate; ``None`` if that is not the reason."""
    cause = why.__cause__ or why.__context__
    return cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else None


async def _check_server(settings: Settings) -> None:
    """Check the certificate and the WebSocket first: the client library leaks a socket if a handshake fails."""
    address, is_websocket = settings.address, True
    if settings.tls is None and not address.path:
        return
    try:
        async with asyncio.timeout(settings.timeout):
            reader, writer = await asyncio.open_connection(address.host, address.port, ssl=settings.tls)
            try:
                if address.path:
                    is_websocket = await _accepts_websocket(reader, writer, address)
            finally:
                writer.close()
            with suppress(OSError) if address.path else nullcontext():
                await writer.wait_closed()
    except TimeoutError as failed:
        raise aiomqtt.MqttError("the handshake timed out") from failed
    except OSError as failed:  # ssl.SSLError is one
        raise aiomqtt.MqttError(str(failed)) from failed
    if not is_websocket:
        raise aiomqtt.MqttError("no WebSocket") from WebsocketConnectionError("the handshake was not accepted")


async def _accepts_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address) -> bool:
    """Ask for a WebSocket; a server that hangs up has none."""
    writer.write(HANDSHAKE.format(path=address.path, host=address.host, port=address.port).encode())
    with suppress(ConnectionResetError):
        return b" 101 " in await reader.readline()
    return False


def _client(settings: Settings, id: str, deliver: Deliver, will: aiomqtt.Will | None) -> aiomqtt.Client:
    address = settings.address
    client = aiomqtt.Client(
        address.host,
        address.port,
        username=address.username,
        password=address.password,
        identifier=id,
        logger=LIBRARY_LOG,
        protocol=aiomqtt.ProtocolVersion.V311,  # every broker supports it
        clean_session=True,
        will=will,
        tls_context=settings.tls,
        timeout=settings.timeout,
        keepalive=settings.keepalive,
        queue_type=_straight_to(lambda message: _take(client, deliver, message)),
        transport="websockets" if address.path else "tcp",
        websocket_path=address.path or None,
    )
    client.pending_calls_threshold = 1 << 30  # above this limit every publish counts all open ones and logs a warning
    return client


def _take(client: aiomqtt.Client, deliver: Deliver, message: aiomqtt.Message) -> None:
    """Deliver a message, and make the system acknowledge it on TCP now.

    A broker without TCP_NODELAY (mosquitto's default) holds its next message until this one is acknowledged, and Linux
    would delay that by up to 40 ms. The socket option lasts only until the next segment.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        _set_on_tcp(client, socket.TCP_QUICKACK)
    deliver(message)


def _send_at_once(client: aiomqtt.Client) -> None:
    """Without this the operating system waits for more data: an acknowledged publish takes 44 ms instead of one."""
    _set_on_tcp(client, socket.TCP_NODELAY)


def _write_at_once(client: aiomqtt.Client) -> None:
    """Write a packet when it is published, and ask the loop for a writable socket only while this one is full.

    The client library always asks first, and that wakes the loop four times for every packet.
    """
    session = client._client  # noqa: SLF001 (the library offers no other way to it)
    ask, stop = session.on_socket_register_write, session.on_socket_unregister_write
    assert ask is not None, "aiomqtt has set both"
    assert stop is not None, "aiomqtt has set both"
    is_asking = False

    def register(paho: Any, data: Any, line: Any) -> None:
        nonlocal is_asking
        if session._in_callback_mutex.acquire(blocking=False):  # noqa: SLF001 (else a callback of it runs, as on_message)
            session._in_callback_mutex.release()  # noqa: SLF001
            session.loop_write()
        if session.want_write():
            is_asking = True
            ask(paho, data, line)

    def unregister(paho: Any, data: Any, line: Any) -> None:
        nonlocal is_asking
        if is_asking:
            is_asking = False
            stop(paho, data, line)

    session.on_socket_register_write, session.on_socket_unregister_write = register, unregister


def _set_on_tcp(client: aiomqtt.Client, option: int) -> None:
    """Switch on an option of the client's socket, also below a WebSocket."""
    session = client._client.socket()  # noqa: SLF001 (the library offers no other way to it)
    inside = getattr(session, "_socket", session)
    if isinstance(inside, socket.socket):
        with suppress(OSError):  # the connection has just ended
            inside.setsockopt(socket.IPPROTO_TCP, option, 1)


def _straight_to(deliver: Deliver) -> type["asyncio.Queue[aiomqtt.Message]"]:
    """A queue that delivers at once instead of queueing: it saves a task for every message."""

    class Straight(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            deliver(item)

    return Straight


async def _entered(client: aiomqtt.Client) -> None:
    """Connect; a cancellation waits for the end of that, then disconnects: half a connection cannot be undone."""
    gone: asyncio.Future[Any] = _end_of(client)
    entering: asyncio.Future[Any] = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.wait({entering, gone}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([entering], timeout=HANGUP_TIMEOUT)  # a refusal arrives just before the end
    except asyncio.CancelledError:
        await asyncio.wait([entering])
        if not entering.cancelled() and entering.exception() is None:
            await client.__aexit__(None, None, None)
        raise
    if not entering.done():
        entering.cancel()  # nothing to undo: the connection is closed
        await asyncio.wait([entering])
        raise aiomqtt.MqttError("it closed the connection before it answered")
    if entering.exception() is not None:
        client._client.disconnect()  # noqa: SLF001 (the library leaves the line open that got no answer in time)
    entering.result()


def _end_of(client: aiomqtt.Client) -> asyncio.Future[None]:
    """A future that is done when the connection ends; the library notices that only after the broker's answer."""
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    session = client._client  # noqa: SLF001 (the library offers no other way to it)
    told = session.on_disconnect

    def tell() -> None:
        if not gone.done():
            gone.set_result(None)

    def hung_up(*facts: Any) -> None:
        if told is not None:
            told(*facts)
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell)

    session.on_disconnect = hung_up
    return gone
