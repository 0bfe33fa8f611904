"""A connection to a broker by aiomqtt, for nodes and clients: fast, cancellable, with clear errors.

(aiomqtt was called asyncio-mqtt before.)
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from msgspec import Struct

from pyraft_lab.errors import DuplicateNode, NetworkFailed
from pyraft_lab.extras import needed
from pyraft_lab.network.address import Address

with needed("aiomqtt"):
    import aiomqtt
    from aiomqtt.exceptions import MqttConnectError

T = TypeVar("T")
Deliver = Callable[[aiomqtt.Message], None]
UNAVAILABLE = 136
"""The client library's reason code for a broker that may accept clients later."""

HANGUP_TIMEOUT = 0.2
"""Seconds to wait for the answer of a broker that has closed the connection."""


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of a connection: ``timeout`` and ``keepalive`` are in seconds."""

    address: Address
    tls: ssl.SSLContext | None
    keepalive: int
    timeout: float


@asynccontextmanager
async def connected(
    settings: Settings, id: str, deliver: Deliver, *, will: aiomqtt.Will | None = None
) -> AsyncIterator[aiomqtt.Client]:
    """One connection with the client id; every message goes straight to ``deliver``; raises ``MqttError``."""
    await _check_certificate(settings)
    client = _client(settings, id, deliver, will)
    await _entered(client)
    try:
        yield client
    finally:
        with suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)


async def cancellable(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work`` so that a cancellation always ends the caller, even if ``work`` ends at the same moment.

    ``asyncio.wait_for``, which the client library uses, loses such a cancellation before Python 3.12, and a task group
    whose task fails at that moment loses it before 3.13. A plain wait does not.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn
        raise
    return task.result()


def is_final(why: Exception) -> bool:
    """Whether another attempt would fail as well: no listener, an unknown name, or a refused client."""
    if isinstance(why, DuplicateNode):
        return True
    if isinstance(why, MqttConnectError):
        return why.rc != UNAVAILABLE
    cause = why.__cause__ or why.__context__
    return isinstance(cause, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError))


def failure(address: Address, why: Exception) -> NetworkFailed:
    """The error for a broker that cannot be reached, with advice."""
    where, cause = str(address), why.__cause__ or why.__context__
    match why:
        case MqttConnectError():
            return NetworkFailed(where, str(why), advice=_login_advice(address))
        case TimeoutError():
            said = "it did not return this node's own presence (check that the node may write to its topic)"
            return NetworkFailed(where, said)
        case aiomqtt.MqttError() if "closed the connection" in str(why):
            return NetworkFailed(where, str(why), advice="check that it is an MQTT broker, and what its log says")
        case aiomqtt.MqttError() if "timed out" in str(why):
            said = "it did not answer in time"
            return NetworkFailed(where, said, advice="check that it is an MQTT broker, and that it is not paused")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return NetworkFailed(where, cause.verify_message, advice=_certificate(cause.verify_message))
    return NetworkFailed(where, str(why) or type(why).__name__)


def _login_advice(address: Address) -> str:
    """Advice for a broker that refuses this client's login."""
    if address.username is None:
        return "it requires a name and a password: mqtt://NAME:PASSWORD@HOST"
    given = "check them" if address.password else "no password was found: put it into the URL or PYRAFT_PASSWORD"
    return f"the broker does not know {address.username!r} with this password; {given}"


def _certificate(problem: str) -> str:
    """Advice for a certificate that is not trusted; Python 3.13 is stricter than older versions."""
    if any(word in problem.lower() for word in ("key usage", "key identifier", "basic constraints", "ca cert")):
        return (
            "Python 3.13 and later refuse it: make the authority again with basicConstraints=critical,CA:TRUE and "
            "keyUsage=critical,keyCertSign,cRLSign (openssl req -x509 … -addext), and sign the certificate again"
        )
    return "name the authority that signed the broker's certificate with --cafile, and connect to the name it is for"


async def _check_certificate(settings: Settings) -> None:
    """Check the broker's certificate first: the client library leaks a socket if the handshake fails."""
    if settings.tls is None:
        return
    address = settings.address
    try:
        async with asyncio.timeout(settings.timeout):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=settings.tls)
            writer.close()
            await writer.wait_closed()
    except TimeoutError as failed:
        raise aiomqtt.MqttError("the TLS handshake timed out") from failed
    except OSError as failed:  # ssl.SSLError is one
        raise aiomqtt.MqttError(str(failed)) from failed


def _client(settings: Settings, id: str, deliver: Deliver, will: aiomqtt.Will | None) -> aiomqtt.Client:
    address = settings.address
    client = aiomqtt.Client(
        address.host,
        address.port,
        username=address.username,
        password=address.password,
        identifier=id,
        protocol=aiomqtt.ProtocolVersion.V311,  # every broker supports it
        clean_session=True,
        will=will,
        tls_context=settings.tls,
        timeout=settings.timeout,
        keepalive=settings.keepalive,
        queue_type=_straight_to(lambda message: _take(client, deliver, message)),
        # Without it the operating system waits for more data: an acknowledged publish takes 44 ms instead of one.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    client.pending_calls_threshold = 1 << 30  # above this limit every publish counts all open ones and logs a warning
    return client


def _take(client: aiomqtt.Client, deliver: Deliver, message: aiomqtt.Message) -> None:
    """Deliver a message, and make the system acknowledge it on TCP now.

    A broker without TCP_NODELAY (mosquitto's default) holds its next message until this one is acknowledged, and Linux
    would delay that by up to 40 ms. The socket option lasts only until the next segment.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        session = client._client.socket()  # noqa: SLF001 (the library offers no other way to it)
        if isinstance(session, socket.socket):
            with suppress(OSError):  # the connection has just ended
                session.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    deliver(message)


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
