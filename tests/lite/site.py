"""The JupyterLite site, as `make lite` has built it, served for the tests; without it they skip, and say so."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site-lite"


class Handler(SimpleHTTPRequestHandler):
    """Serves files with the types that browsers insist on."""

    extensions_map = {  # noqa: RUF012 (the parent's own name)
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def why_not() -> str:
    """Why the site cannot be tested here; empty if it is there."""
    return "" if (SITE / "lab" / "index.html").exists() else "the JupyterLite site is not built: `make lite` builds it"


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The address of a server of these files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
