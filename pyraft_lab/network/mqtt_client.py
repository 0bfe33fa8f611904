"""The MQTT client library: aiomqtt where there are sockets, and MQTT.js under the same names in a browser."""

from typing import TYPE_CHECKING

from pyraft_lab.extras import needed


def is_in_browser() -> bool:
    """Whether this Python can reach a browser's own WebSocket, and therefore has no sockets of its own."""
    try:
        from js import WebSocket
    except ImportError:
        return False
    return WebSocket is not None


if TYPE_CHECKING or not is_in_browser():
    with needed("aiomqtt"):
        from aiomqtt import Client, Message, MqttError, Will

    from pyraft_lab.network.socket_client import (
        check,
        enter,
        is_final,
        is_no_websocket,
        is_published,
        is_refusal,
        tls_context,
        untrusted,
    )
else:
    from pyraft_lab.network.browser_client import (
        Client,
        Message,
        MqttError,
        Will,
        check,
        enter,
        is_final,
        is_no_websocket,
        is_published,
        is_refusal,
        tls_context,
        untrusted,
    )

__all__ = [
    "Client",
    "Message",
    "MqttError",
    "Will",
    "check",
    "enter",
    "is_final",
    "is_no_websocket",
    "is_published",
    "is_refusal",
    "tls_context",
    "untrusted",
]
