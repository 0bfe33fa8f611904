"""The embedded broker's sessions on WebSockets (RFC 6455), for browsers and proxies.

The handshake, frames and masks are the work of the package ``websockets``, which does no I/O here: it takes the bytes
of an asyncio connection, and returns the bytes to send.
"""

import asyncio
from http import HTTPStatus

from pyraft_lab.extras import needed
from pyraft_lab.network.address import PATH
from pyraft_lab.network.hub import Hub
from pyraft_lab.network.packets import LARGEST
from pyraft_lab.network.session import Session

with needed("websockets"):
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.http11 import Request
    from websockets.server import ServerProtocol
    from websockets.typing import Subprotocol

MQTT = Subprotocol("mqtt")
FRAMES = frozenset({Opcode.BINARY, Opcode.CONT})
"""The kinds of frames that carry MQTT's bytes (MQTT 3.1.1, section 6)."""


class WebSocketConnection(asyncio.Protocol):
    """A session on a WebSocket; it is also the session's output, a :class:`~pyraft_lab.network.session.Stream`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._protocol = ServerProtocol(subprotocols=[MQTT], max_size=LARGEST + 16)
        self._session: Session | None = None

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake."""
        assert isinstance(transport, asyncio.Transport), "it is a stream"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass what the browser sent to the session; bytes that are no WebSocket end only this connection."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Frame) and self._session is not None:
                self._take(event, self._session)
        self._flush()

    def eof_received(self) -> None:
        """The browser sends no more."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, _: Exception | None) -> None:
        """End the session."""
        if self._session is not None:
            self._session.lost()

    def _answer(self, request: Request) -> None:
        """Accept a WebSocket for MQTT; refuse everything else."""
        if request.path.partition("?")[0] != PATH:
            self._protocol.send_response(self._protocol.reject(HTTPStatus.NOT_FOUND, f"MQTT speaks at {PATH} here.\n"))
            return
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._session = Session(self._hub, self)

    def _take(self, frame: Frame, session: Session) -> None:
        if frame.opcode in FRAMES:
            session.feed(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "MQTT is binary")

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()
        if self._protocol.close_expected() and not self._transport.is_closing():
            self._transport.close()

    # The session's output

    def write(self, data: bytes) -> None:
        """Send bytes as one binary frame."""
        if self._protocol.state.name == "OPEN":
            self._protocol.send_binary(data)
            self._flush()

    def get_write_buffer_size(self) -> int:
        """The number of waiting bytes."""
        return self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Disconnect after the waiting bytes have left."""
        if self._protocol.state.name == "OPEN":
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Disconnect at once."""
        self._transport.abort()
