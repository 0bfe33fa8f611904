"""Periodic work while cells run: a thread that owns an object, refreshes it, and runs callbacks.

JupyterLab delivers a widget's messages on any thread, and a cell may block the kernel's loop for seconds. Only the
ticker's thread touches the object, so it needs no locks and continues meanwhile. Where no thread can be started it is a
task on the loop that runs: a cell that computes holds it up.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Protocol, Self
from weakref import WeakKeyDictionary

from pyraft_lab.concurrency import has_threads, wait_here

RATE = 10.0
"""The maximum number of refreshes per second: a browser can draw a live Plotly figure at this rate."""
SHARE = 0.5
"""The maximum share of time for refreshes; after a slow one the next waits longer."""

Callback = Callable[[], None]


class Ticker(Protocol):
    """Refreshes an object again and again, and runs callbacks in between; made by :func:`ticker`."""

    def start(self) -> Self:
        """Start; the first refresh comes at once."""

    @property
    def is_alive(self) -> bool:
        """Whether callbacks still run."""

    def post(self, errand: Callback) -> None:
        """Run a callback between two refreshes."""

    def close(self) -> None:
        """Stop; call it anywhere and more than once."""

    def join(self, timeout: float) -> None:
        """Wait until it has ended."""


def ticker(refresh: Callable[[], bool], *, name: str, rate: float = RATE) -> Ticker:
    """A ticker in a thread of its own, or, where there are no threads, on the running loop."""
    return (ThreadTicker if has_threads() else LoopTicker)(refresh, name=name, rate=rate)


class ThreadTicker:
    """Calls ``refresh`` at most ``rate`` times a second until it returns ``False``, and runs callbacks until closed.

    A late call is skipped and not repeated.
    """

    def __init__(self, refresh: Callable[[], bool], *, name: str, rate: float = RATE) -> None:
        self._refresh, self._pause = refresh, 1 / rate
        self._errands: SimpleQueue[Callback | None] = SimpleQueue()
        self._due: float | None = time.monotonic()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Self:
        """Start the thread; the first refresh comes at once."""
        self._thread.start()
        return self

    @property
    def is_alive(self) -> bool:
        """Whether callbacks still run."""
        return self._thread.is_alive()

    def post(self, errand: Callback) -> None:
        """Run a callback on the ticker's thread, between two refreshes."""
        self._errands.put(errand)

    def close(self) -> None:
        """Stop; call it on any thread, also on its own, and more than once."""
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


class LoopTicker:
    """A ticker that runs as a task on the running event loop, where no thread can be started."""

    def __init__(self, refresh: Callable[[], bool], *, name: str, rate: float = RATE) -> None:
        self._refresh, self._pause, self._name = refresh, 1 / rate, name
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def start(self) -> Self:
        """Start; the first refresh comes soon."""
        self._task = self._loop.create_task(self._run(), name=self._name)
        return self

    @property
    def is_alive(self) -> bool:
        """Whether callbacks still run."""
        return self._task is not None and not self._over.is_set()

    def post(self, errand: Callback) -> None:
        """Run a callback soon."""
        if not self._over.is_set():
            self._loop.call_soon(errand)

    def close(self) -> None:
        """Stop; also from within a refresh, and more than once."""
        self._over.set()

    def join(self, timeout: float) -> None:
        """Wait until it has ended, where Python can suspend a call."""
        if self.is_alive:
            wait_here(self._ended(timeout))

    async def _ended(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    async def _run(self) -> None:
        goes_on = True
        while goes_on and not self._over.is_set():
            began = time.monotonic()
            goes_on = self._refresh()
            await self._ended(due(began, time.monotonic(), self._pause) - time.monotonic())
        await self._over.wait()


class Shared:
    """A share in the one ticker of ``thing``: all views of a cluster use a single thread.

    The thread ends with its last share.
    """

    def __init__(self, refresh: Callable[[], bool], *, thing: object, name: str, rate: float = RATE) -> None:
        self.refresh, self._thing, self._name, self._rate = refresh, thing, name, rate
        self._ticker: SharedTicker | None = None

    def start(self) -> "Shared":
        """Join the ticker; the first refresh comes soon."""
        with MEMBERS_LOCK:
            circle = SHARED_TICKERS.get(self._thing)
            if circle is None:
                circle = SHARED_TICKERS[self._thing] = SharedTicker(self._name, self._rate)
            circle.shares.append(self)
            self._ticker = circle
        return self

    def post(self, errand: Callback) -> None:
        """Run a callback on the common thread, between two refreshes."""
        if self._ticker is not None:
            self._ticker.ticker.post(errand)

    def close(self) -> None:
        """End this share; call it on any thread and more than once."""
        with MEMBERS_LOCK:
            circle = self._ticker
            if circle is None or self not in circle.shares:
                return
            circle.shares.remove(self)
            if not circle.shares:
                del SHARED_TICKERS[self._thing]
                circle.ticker.close()


class SharedTicker:
    """All shares of one ticker."""

    def __init__(self, name: str, rate: float) -> None:
        self.shares: list[Shared] = []
        self.ticker = ticker(self._refresh, name=name, rate=rate).start()

    def _refresh(self) -> bool:
        for share in tuple(self.shares):
            if not share.refresh():
                share.close()
        return True


SHARED_TICKERS: WeakKeyDictionary[object, SharedTicker] = WeakKeyDictionary()
"""The shares of each thing."""
MEMBERS_LOCK = Lock()
"""Held while a share joins or leaves, so that none joins a ticker that is about to end."""


def due(began: float, ended: float, pause: float) -> float:
    """The time of the refresh after one that took from ``began`` to ``ended``; late ones are skipped.

    >>> due(5.0, 5.01, 0.1), due(5.0, 5.75, 0.1)  # a quick one; a slow one that skips some
    (5.1, 6.5)
    """
    return began + max(pause, (ended - began) / SHARE)
