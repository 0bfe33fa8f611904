"""A connection to a broker in a browser: MQTT.js over the page's own WebSocket, behind aiomqtt's names.

MQTT.js is taken from the page (``globalThis.mqtt``), or else from the file beside this module, where a build put it.
Its own reconnecting is off: sessions connect again by themselves (:mod:`pyraft_lab.network.mqtt_session`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import js
from msgspec import Struct
from pyodide.ffi import create_proxy, to_js

from pyraft_lab.errors import ConfigError
from pyraft_lab.network.address import Address, Certificates, Settings

SCRIPT = Path(__file__).parent / "static" / "mqtt.esm.js"
KEPT_CALLABLE = 10.0
"""Seconds for which a callback stays callable after its use: JavaScript may still hold it."""
KEEPALIVE = 30
"""The least keepalive in seconds: a tab that loads beside others is silent for long, and one that closes says so."""
NO_LIBRARY = -1
"""The code of the error that says that MQTT.js is missing."""
REFUSALS = range(1, 6)
"""The return codes with which a broker refuses a client (MQTT 3.1.1, section 3.2.2.3)."""


class MqttError(Exception):
    """The connection failed, or ended; ``code`` is the broker's return code if it refused."""

    def __init__(self, why: str, code: int = 0) -> None:
        self.code = code
        super().__init__(why)


class Topic(Struct, frozen=True):
    """A topic; ``value`` is its text."""

    value: str


class Message(Struct, frozen=True):
    """A message that arrived."""

    topic: Topic
    payload: bytes
    qos: int
    retain: bool


class Will(Struct, frozen=True):
    """The message that the broker publishes when the connection breaks."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False


Deliver = Callable[[Message], None]


class Client:
    """A connection that is up; made by :func:`enter`."""

    def __init__(self, session: Any, timeout: float) -> None:
        self._session, self._timeout = session, timeout
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended.add_done_callback(lambda ended: ended.exception())  # retrieved, so that asyncio does not warn
        self._proxies: list[Any] = []

    @property
    def messages(self) -> AsyncIterator[Message]:
        """Nothing, until the connection ends: then ``MqttError``; messages are delivered directly."""
        return self._end()

    async def _end(self) -> AsyncIterator[Message]:
        await asyncio.shield(self._ended)
        return
        yield

    async def subscribe(self, topic: str | Sequence[tuple[str, int]], qos: int = 0) -> None:
        """Subscribe to one topic or to several, each with its quality of service."""
        wanted = [(topic, qos)] if isinstance(topic, str) else topic
        options = to_object({name: {"qos": level} for name, level in wanted})
        await self._acknowledged(lambda done: self._session.subscribe(options, done), None)

    async def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 (as in aiomqtt)
        *,
        timeout: float | None = None,  # noqa: ASYNC109 (as in aiomqtt)
    ) -> None:
        """Publish; with QoS 1 wait for the broker's answer, at most ``timeout`` seconds."""
        if self._ended.done():
            raise MqttError("the connection has ended")
        options = to_object({"qos": qos, "retain": retain})
        if qos:
            await self._acknowledged(
                lambda done: self._session.publish(topic, to_bytes(payload), options, done), timeout
            )
        else:
            self._session.publish(topic, to_bytes(payload), options)

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        self.lost("disconnected")

    def on(self, event: str, act: Callable[..., None]) -> None:
        """Call ``act`` at an event of MQTT.js."""
        self._session.on(event, self.kept(act))

    def kept(self, act: Callable[..., None]) -> Any:
        """``act`` for JavaScript, until a while after the end."""
        proxy = create_proxy(act)
        self._proxies.append(proxy)
        return proxy

    def lost(self, why: str) -> None:
        """Handle the end of the connection, once."""
        if self._ended.done():
            return
        self._ended.set_exception(MqttError(why))
        self._session.end(False)  # noqa: FBT003 (of MQTT.js: say goodbye)
        proxies, self._proxies = self._proxies, []
        asyncio.get_running_loop().call_later(KEPT_CALLABLE, lambda: [proxy.destroy() for proxy in proxies])

    async def _acknowledged(self, start: Callable[[Any], None], seconds: float | None) -> None:
        """Start an exchange and wait for the broker's answer."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: Any = None, *_: object) -> None:
            if not answer.done():
                settle(answer, None if not error else MqttError(text_of(error)))

        proxy = create_proxy(done)
        try:
            start(proxy)
            within = seconds or self._timeout
            await asyncio.wait({answer, self._ended}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise MqttError("the connection has ended" if self._ended.done() else "the operation timed out")
            answer.result()
        finally:
            asyncio.get_running_loop().call_later(KEPT_CALLABLE, proxy.destroy)


async def enter(settings: Settings, id: str, deliver: Deliver, will: Will | None) -> Client:
    """A connected client with this client id; every message goes straight to ``deliver``; raises ``MqttError``."""
    library = await mqtt_js()
    session = library.connect(str(settings.address), to_object(options_of(settings, id), will))
    client = Client(session, settings.timeout)
    await _entered(client, session, deliver, settings.timeout)
    return client


async def _entered(client: Client, session: Any, deliver: Deliver, seconds: float) -> None:
    """Wait until the broker has accepted the client, or refused it."""
    up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ended(why: Any = None, *_: object) -> None:
        code = getattr(why, "code", 0)
        error = MqttError(text_of(why), code if isinstance(code, int) else 0)
        if up.done():
            client.lost(str(error))
        else:
            up.set_exception(error)

    def hear(topic: str, payload: Any, qos: int, retain: object) -> None:
        deliver(Message(Topic(topic), payload.to_bytes(), qos, bool(retain)))

    session.on("message", copying(client.kept(hear)))
    client.on("connect", lambda *_: settle(up, None))
    client.on("close", ended)
    client.on("error", ended)
    try:
        async with asyncio.timeout(seconds):
            await up
    except TimeoutError:
        client.lost("not connected")
        raise MqttError("the operation timed out") from None
    except BaseException:
        client.lost("not connected")
        raise


def options_of(settings: Settings, id: str) -> Mapping[str, object]:
    """The options of MQTT.js: MQTT 3.1.1, which every broker supports, and no reconnecting."""
    login = {"username": settings.address.username, "password": settings.address.password}
    return {
        "clientId": id,
        "protocolVersion": 4,
        "clean": True,
        "keepalive": max(settings.keepalive, KEEPALIVE),
        "reconnectPeriod": 0,
        "connectTimeout": int(settings.timeout * 1000),
        "queueQoSZero": False,
        "resubscribe": False,
        **{name: value for name, value in login.items() if value is not None},
    }


async def mqtt_js() -> Any:
    """MQTT.js: the page's own, or the one beside this module; ``MqttError`` if there is neither."""
    found = getattr(js.globalThis, "mqtt", None)
    if found is None:
        found = js.globalThis.mqtt = (await _imported()).default
    return found


async def _imported() -> Any:
    if not SCRIPT.exists():
        raise MqttError("this page has no MQTT.js; load it as globalThis.mqtt", NO_LIBRARY)
    kind = to_object({"type": "text/javascript"})
    source = js.Blob.new(to_js([SCRIPT.read_text("utf-8")]), kind)
    return await js.eval("(url) => import(url)")(js.URL.createObjectURL(source))


def to_object(values: Mapping[str, object], will: Will | None = None) -> Any:
    """A JavaScript object; with a last will if there is one."""
    made = to_js(values, dict_converter=js.Object.fromEntries)
    if will is not None:
        made.will = to_object({"topic": will.topic, "qos": will.qos, "retain": will.retain})
        made.will.payload = to_bytes(will.payload)
    return made


def to_bytes(payload: bytes) -> Any:
    """Bytes as JavaScript's ``Uint8Array``."""
    return js.Uint8Array.new(to_js(payload)) if payload else js.Uint8Array.new(0)


def copying(hear: Any) -> Any:
    """Pass plain copies on: MQTT.js delivers a subclass of ``Uint8Array``, which Pyodide cannot read."""
    return js.eval(
        "(hear) => (topic, payload, packet) => hear(topic, Uint8Array.from(payload), packet.qos, packet.retain)"
    )(hear)


def settle(future: "asyncio.Future[None]", error: Exception | None) -> None:
    """Finish ``future`` unless it is finished."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def text_of(error: Any) -> str:
    """The message of a JavaScript error; a browser gives no reason for a connection that fails."""
    return str(getattr(error, "message", "") or "no connection, or the connection ended")


def check(address: Address) -> None:
    """Raise ``ConfigError`` for an address that a browser cannot reach."""
    if not address.path:
        raise ConfigError(
            "broker",
            str(address),
            "must be a WebSocket here, such as ws://host:9001/mqtt: a browser opens no other connections",
        )


def tls_context(_: Certificates) -> None:
    """Nothing: the browser checks certificates by itself."""


def is_published(_client: Client, _topic: str, _payload: bytes, *, retain: bool = False) -> bool:  # noqa: ARG001
    """Whether it was published without waiting: never here."""
    return False


def is_final(why: Exception) -> bool:
    """Whether another attempt would fail as well; a browser says that only of a refusal."""
    return is_refusal(why) or (isinstance(why, MqttError) and why.code == NO_LIBRARY)


def is_refusal(why: Exception) -> bool:
    """Whether the broker answered, and refused the client."""
    return isinstance(why, MqttError) and why.code in REFUSALS


def is_no_websocket(_: Exception) -> bool:
    """Whether something else than a WebSocket answered: a browser does not say."""
    return False


def untrusted(_: Exception) -> str | None:
    """What is wrong with the broker's certificate: a browser does not say."""
    return None
