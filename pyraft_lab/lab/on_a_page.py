"""A Lab whose Python runs in the page itself, without a kernel: its drawing and its session exchange JSON."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from pyraft_lab.errors import PyraftError
from pyraft_lab.lab.session import Session
from pyraft_lab.lab.wire import Failure, Update, plain

Show = Callable[[str], None]


class PageLab:
    """A session and its drawing on a page.

    ``show`` receives JSON for the page: ``{"type": "open", …}`` once, then ``{"type": "lab", …}``, each with what the
    drawing is ``told``.
    """

    def __init__(self, session: Session, show: Show) -> None:
        self._session, self._show = session, show
        self._send("open", {"header": plain(session.header()), "chunks": plain(session.chunks())})

    def answer(self, message: str) -> None:
        """Answer a message of the drawing."""
        self.tell(lambda: self._session.answer(json.loads(message)))

    def tell(self, news: Callable[[], Iterable[Update]]) -> None:
        """Send the drawing some news, or the error that making them raised."""
        try:
            for told in news():
                self._send("lab", plain(told))
        except PyraftError as failed:
            self._send("lab", plain(Failure(str(failed))))

    def _send(self, kind: str, told: Any) -> None:
        self._show(json.dumps({"type": kind, "told": told}))
