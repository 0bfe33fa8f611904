"""The page on which learners take seats in browser tabs, served to everybody in this network.

It holds no state: the page, this library as an archive, the Lab's drawing, and ``room.json``, which names the broker.
Pyodide comes from the web, or from a directory, for classes without internet.
"""

import io
import json
import threading
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from pyraft_lab.errors import ConfigError, NetworkFailed

PACKAGE = Path(__file__).parents[1]
PAGE = PACKAGE / "classroom" / "page"
STATIC = PACKAGE / "lab" / "static"
PYODIDE = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/"
MQTT_JS = "https://cdn.jsdelivr.net/npm/mqtt@5.16.0/dist/mqtt.esm.js"
NEEDED = ("pyodide.mjs", "pyodide-lock.json", "mqtt.esm.js")
"""Files that a directory with Pyodide must hold."""
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".zip": "application/zip",
}
Content = tuple[str, bytes]


class SeatPage:
    """The server of a room's page; it serves until :meth:`close`, or to the end of its ``with`` block."""

    def __init__(self, *, host: str, port: int, room: str, broker: str, pyodide: Path | None = None) -> None:
        """``broker`` is its WebSocket URL; ``pyodide`` a directory with Pyodide and MQTT.js (None: from the web)."""
        self._pyodide = None if pyodide is None else checked(pyodide)
        local = self._pyodide is not None
        self._room = {
            "room": room,
            "broker": broker,
            "pyodide": "./pyodide/" if local else PYODIDE,
            "mqtt": "./pyodide/mqtt.esm.js" if local else MQTT_JS,
        }
        try:
            self._server = ThreadingHTTPServer((host, port), partial(_Handler, self.content))
        except OSError as failed:
            where = f"the page at {host}:{port}"
            raise NetworkFailed(where, str(failed), advice="choose another --page-port") from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="page of a room", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def content(self, path: str) -> Content | None:
        """The type and bytes of a path; ``None`` if there is nothing."""
        own: Mapping[str, Callable[[], bytes]] = {
            "/room.json": lambda: json.dumps(self._room).encode(),
            "/pyraft_lab.zip": library,
            "/index.html": (PAGE / "index.html").read_bytes,
            "/seat.js": (PAGE / "seat.js").read_bytes,
            "/worker.js": (PAGE / "worker.js").read_bytes,
            "/lab.js": (STATIC / "lab.js").read_bytes,
            "/lab.css": (STATIC / "lab.css").read_bytes,
        }
        path = "/index.html" if path == "/" else path
        kind = TYPES.get(Path(path).suffix, "application/octet-stream")
        if path in own:
            return kind, own[path]()
        name = path.removeprefix("/pyodide/")
        if self._pyodide is None or name == path or name not in {one.name for one in self._pyodide.iterdir()}:
            return None
        return kind, (self._pyodide / name).read_bytes()


def checked(pyodide: Path) -> Path:
    """The directory, if it holds Pyodide and MQTT.js; else ``ConfigError``."""
    missing = [name for name in NEEDED if not (pyodide / name).is_file()]
    if missing:
        told = f"lacks {', '.join(missing)}; `make lite` makes such a directory: site-lite/static/pyodide"
        raise ConfigError("pyodide", str(pyodide), told)
    return pyodide


@cache
def library() -> bytes:
    """This library as an archive, for the Python in a tab."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(PACKAGE.rglob("*.py")):
            if "guide" not in path.parts:
                archive.write(path, path.relative_to(PACKAGE.parent))
    return made.getvalue()


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page's files."""

    protocol_version = "HTTP/1.1"

    def __init__(self, content: Callable[[str], Content | None], *arguments: Any) -> None:
        self._content = content
        with suppress(ConnectionError):  # a tab was closed while it loaded
            super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer a browser."""
        found = self._content(self.path.partition("?")[0])
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        kind, data = found
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "max-age=3600" if self.path.startswith("/pyodide/") else "no-cache")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the terminal is the teacher's screen."""
