"""A page for the Python of ``threadless``: the names of ``js`` and ``pyodide`` that a connection in a browser needs.

``globalThis.mqtt`` is a small MQTT.js whose sessions share one hub, so that nodes, clients and followers of one script
meet. A proxy is the function itself, an object a dictionary with attributes.
"""

import asyncio
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pyraft_lab.network.hub import matches

RETAINED: dict[str, bytes] = {}
SESSIONS: list["FakeSession"] = []
REFUSED: set[str] = set()
"""Users that the broker refuses."""


class Bag(dict[str, Any]):
    """A JavaScript object."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Bytes(bytes):
    """A typed array of a page."""

    def to_bytes(self) -> bytes:
        """The bytes for Python."""
        return bytes(self)


class FakeSession:
    """A client of MQTT.js."""

    def __init__(self, url: str, options: Any) -> None:
        self.url, self.options, self.handlers, self.filters = url, options, dict[str, Any](), list[str]()
        self.loop = asyncio.get_running_loop()
        self.loop.call_soon(self._connect)

    def _connect(self) -> None:
        if self.options.get("username") in REFUSED:
            self._call("error", Bag(message="Connection refused: Not authorized", code=5))
            return
        SESSIONS.append(self)
        self._call("connect")

    def _call(self, event: str, *facts: Any) -> None:
        if event in self.handlers:
            self.handlers[event](*facts)

    def on(self, event: str, act: Callable[..., None]) -> None:
        self.handlers[event] = act

    def subscribe(self, wanted: Any, done: Callable[..., None]) -> None:
        self.filters += list(wanted)
        self.loop.call_soon(done)
        for topic, payload in RETAINED.items():
            if any(matches(filter, topic) for filter in wanted):
                self.deliver(topic, payload, retain=True)

    def publish(self, topic: str, payload: bytes, options: Any, done: Callable[..., None] | None = None) -> None:
        if options.retain:
            RETAINED[topic] = bytes(payload)
            if not payload:
                del RETAINED[topic]
        for session in SESSIONS:
            if any(matches(filter, topic) for filter in session.filters):
                session.deliver(topic, payload)
        if done is not None:
            self.loop.call_soon(done)

    def deliver(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        packet = Bag(qos=0, retain=retain)
        self.loop.call_soon(lambda: self._call("message", topic, Bytes(payload), packet))

    def end(self, _: object) -> None:
        if self in SESSIONS:
            SESSIONS.remove(self)


def evaluate(source: str) -> Any:
    """The one function that the connection writes in JavaScript: it copies a payload."""
    assert "Uint8Array.from" in source
    return lambda hear: lambda topic, payload, packet: hear(topic, payload, packet.qos, packet.retain)


def open_page() -> None:
    """Make ``js`` and ``pyodide.ffi`` importable, as in a browser that cannot suspend a call."""
    page: Any = ModuleType("js")
    page.WebSocket = object
    page.globalThis = Bag(mqtt=Bag(connect=FakeSession))
    page.Object = Bag(fromEntries=Bag)
    page.Uint8Array = Bag(new=lambda data: Bytes(b"" if data == 0 else data))
    page.eval = evaluate
    ffi: Any = ModuleType("pyodide.ffi")
    ffi.create_proxy = proxy
    ffi.to_js = lambda value, dict_converter=None: value if dict_converter is None else dict_converter(deep(value))
    ffi.can_run_sync = lambda: False
    ffi.run_sync = None
    sys.modules.update({"js": page, "pyodide": ModuleType("pyodide"), "pyodide.ffi": ffi})


def deep(value: Any) -> Any:
    return {name: Bag(one) if isinstance(one, dict) else one for name, one in value.items()}


class Proxy:
    """A function that JavaScript may call until it is destroyed."""

    def __init__(self, act: Callable[..., None]) -> None:
        self._act: Callable[..., None] | None = act

    def __call__(self, *facts: Any) -> None:
        assert self._act is not None, "JavaScript still uses it"
        self._act(*facts)

    def destroy(self) -> None:
        self._act = None


proxy = Proxy
