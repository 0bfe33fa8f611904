"""A beat for what must move while cells run: a thread that owns something, looks after it, and does errands.

JupyterLab delivers a widget's messages on any thread, and a cell may hold the kernel's loop up for seconds. What
belongs to a pulse is touched on its thread alone, so it needs no locks and goes on meanwhile.
"""

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from weakref import WeakKeyDictionary

RATE = 10.0
"""Beats a second at most: what a browser draws of a live Plotly figure without falling behind."""
SHARE = 0.5
"""Of the time, what the beats may take at most; after a long one the next waits."""

Callback = Callable[[], None]


class Ticker:
    """Calls ``beat`` at most ``rate`` times a second until that is over (it says ``False``), and errands until closed.

    Beats that come too late are left out, never made up for.
    """

    def __init__(self, refresh: Callable[[], bool], *, name: str, rate: float = RATE) -> None:
        self._refresh, self._pause = refresh, 1 / rate
        self._errands: SimpleQueue[Callback | None] = SimpleQueue()
        self._due: float | None = time.monotonic()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> "Ticker":
        """The first beat comes at once."""
        self._thread.start()
        return self

    @property
    def is_alive(self) -> bool:
        """Whether errands are still done."""
        return self._thread.is_alive()

    def post(self, errand: Callback) -> None:
        """Have something done on the pulse's thread, between two beats."""
        self._errands.put(errand)

    def close(self) -> None:
        """The end; may be called anywhere and more than once, on its own thread, too."""
        self._errands.put(None)

    def join(self, timeout: float) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            try:
                errand = self._errands.get(timeout=self._seconds_left())
            except Empty:
                self._turn()
                continue
            if errand is None:
                return
            errand()

    def _seconds_left(self) -> float | None:
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def _turn(self) -> None:
        began = time.monotonic()
        goes_on = self._refresh()
        self._due = due(began, time.monotonic(), self._pause) if goes_on else None


class Shared:
    """A share in the one pulse of ``thing``: however many look at a cluster, there is a single thread for all of them.

    It ends with its last share.
    """

    def __init__(self, refresh: Callable[[], bool], *, thing: object, name: str, rate: float = RATE) -> None:
        self.refresh, self._thing, self._name, self._rate = refresh, thing, name, rate
        self._ticker: SharedTicker | None = None

    def start(self) -> "Shared":
        """The first beat comes soon."""
        with MEMBERS_LOCK:
            circle = SHARED_TICKERS.get(self._thing)
            if circle is None:
                circle = SHARED_TICKERS[self._thing] = SharedTicker(self._name, self._rate)
            circle.shares.append(self)
            self._ticker = circle
        return self

    def post(self, errand: Callback) -> None:
        """Have something done on the common thread, between two beats."""
        if self._ticker is not None:
            self._ticker.ticker.post(errand)

    def close(self) -> None:
        """The end of this share; may be called anywhere and more than once."""
        with MEMBERS_LOCK:
            circle = self._ticker
            if circle is None or self not in circle.shares:
                return
            circle.shares.remove(self)
            if not circle.shares:
                del SHARED_TICKERS[self._thing]
                circle.ticker.close()


class SharedTicker:
    """All who share a pulse."""

    def __init__(self, name: str, rate: float) -> None:
        self.shares: list[Shared] = []
        self.ticker = Ticker(self._refresh, name=name, rate=rate).start()

    def _refresh(self) -> bool:
        for share in tuple(self.shares):
            if not share.refresh():
                share.close()
        return True


SHARED_TICKERS: WeakKeyDictionary[object, SharedTicker] = WeakKeyDictionary()
"""The circle around each thing."""
MEMBERS_LOCK = Lock()
"""Held by whoever comes or goes: nobody may join a pulse that is about to end."""


def due(began: float, ended: float, pause: float) -> float:
    """When the beat after one that took from ``began`` to ``ended`` is due: what came too late is dropped.

    >>> due(5.0, 5.01, 0.1), due(5.0, 5.75, 0.1)  # a quick one; a slow one, that left out some
    (5.1, 6.5)
    """
    return began + max(pause, (ended - began) / SHARE)
