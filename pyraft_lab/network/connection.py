"""A connection to a broker, for nodes and clients: fast, cancellable, with clear errors.

The client library is aiomqtt where there are sockets, and MQTT.js in a browser
(:mod:`pyraft_lab.network.mqtt_client`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from pyraft_lab.errors import DuplicateNode, NetworkFailed
from pyraft_lab.network import mqtt_client
from pyraft_lab.network.address import Address, Settings
from pyraft_lab.network.mqtt_client import Client, Message, MqttError, Will

T = TypeVar("T")
Deliver = Callable[[Message], None]


@asynccontextmanager
async def connected(
    settings: Settings, id: str, deliver: Deliver, *, will: Will | None = None
) -> AsyncIterator[Client]:
    """One connection with the client id; every message goes straight to ``deliver``; raises ``MqttError``."""
    client = await mqtt_client.enter(settings, id, deliver, will)
    try:
        yield client
    finally:
        with suppress(MqttError):
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
    return isinstance(why, DuplicateNode) or mqtt_client.is_final(why)


def failure(address: Address, why: Exception) -> NetworkFailed:
    """The error for a broker that cannot be reached, with advice."""
    where = str(address)
    if mqtt_client.is_refusal(why):
        return NetworkFailed(where, str(why), advice=_login_advice(address))
    if mqtt_client.is_no_websocket(why):
        advice = f"check that a broker listens for WebSockets at this port, below {address.path}"
        return NetworkFailed(where, str(why), advice=advice)
    match why:
        case TimeoutError():
            said = "it did not return this node's own presence (check that the node may write to its topic)"
            return NetworkFailed(where, said)
        case MqttError() if "closed the connection" in str(why):
            return NetworkFailed(where, str(why), advice="check that it is an MQTT broker, and what its log says")
        case MqttError() if "timed out" in str(why):
            said = "it did not answer in time"
            return NetworkFailed(where, said, advice="check that it is an MQTT broker, and that it is not paused")
    if (problem := mqtt_client.untrusted(why)) is not None:
        return NetworkFailed(where, problem, advice=_certificate(problem))
    return NetworkFailed(where, str(why) or type(why).__name__)


def _login_advice(address: Address) -> str:
    """Advice for a broker that refuses this client's login."""
    if address.username is None:
        return f"it requires a name and a password: {address.scheme}://NAME:PASSWORD@HOST"
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
