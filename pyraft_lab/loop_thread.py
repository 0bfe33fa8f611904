"""Run an event loop in its own thread; await work on it from any other loop or thread.

A notebook cell that computes for two seconds blocks its event loop that long, and a cluster on that loop would elect a
new leader. So a cluster has its own thread and loop, and calls from elsewhere run there.

Where no thread can be started, as in a browser tab, a :class:`LoopThread` is a guest on the loop that runs already.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from copy import copy
from typing import Any, Self, TypeVar

from pyraft_lab.concurrency import has_threads, wait_here
from pyraft_lab.errors import Fatal, PyraftError

T = TypeVar("T")
LOOP_ENDED = Fatal("the event loop on which it was started has ended; start a new one")


class LoopOwner:
    """The event loop on which an object runs; runs coroutines there for callers on any loop or thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = asyncio.get_running_loop() if loop is None else loop
        self.endings: set[Callable[[Fatal], None]] = set()
        """Callbacks for the end of the loop; they are called from any thread."""
        self._visits: set[Future[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._over: Fatal | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the loop has ended, so that nothing more runs on it."""
        return self.loop.is_closed() or self._over is not None

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on this loop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def run(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Run ``work`` on the loop and await its result; raises ``Fatal`` if the loop ends first."""
        return work if self.is_here else asyncio.wrap_future(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start ``work`` on the loop, from any thread; its future always resolves, even if the loop ends first."""
        if self._over is not None:
            work.close()
            raise copy(self._over)
        visit: Future[T] = Future()
        try:
            self.loop.call_soon_threadsafe(self._begin, work, visit)
        except RuntimeError:  # the loop is closed
            work.close()
            raise copy(LOOP_ENDED) from None
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)
        if self._over is not None:  # it ended between the two
            _settle(visit, copy(self._over))
        return visit

    def _begin(self, work: Coroutine[Any, Any, T], visit: "Future[T]") -> None:
        """Run a caller's work on the loop; the caller may cancel it."""

        def ended(task: "asyncio.Task[T]") -> None:
            if task.cancelled():
                _settle(visit, copy(self._over or LOOP_ENDED))  # by the end of the loop, unless the caller did
            elif (error := task.exception()) is not None:
                _settle(visit, error)
            else:
                with suppress(InvalidStateError):
                    visit.set_result(task.result())

        def left(_: "Future[T]") -> None:
            if visit.cancelled():
                with suppress(RuntimeError):  # the loop is closed
                    self.loop.call_soon_threadsafe(task.cancel)

        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(ended)
        visit.add_done_callback(left)

    def soon(self, act: Callable[[], None]) -> None:
        """Run ``act()`` on the loop soon, from any thread; if the loop ends first, only ``endings`` are called."""
        if self._over is not None:
            raise copy(self._over)
        try:
            if self.is_here:
                self.loop.call_soon(act)
            else:
                self.loop.call_soon_threadsafe(act)
        except RuntimeError:  # the loop is closed
            raise copy(LOOP_ENDED) from None

    def call(self, act: Callable[[], T]) -> T:
        """Run ``act()`` on the loop and return its result, from any thread; for short functions."""
        if self.is_here:
            return act()

        async def visit() -> T:
            return act()

        return self.wait(visit())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Block until ``work`` has ended on the loop; its result.

        On the loop itself that is possible only where Python can suspend a call; elsewhere it raises ``PyraftError`` at
        once, because it would never return.
        """
        return wait_here(work) if self.is_here else self.submit(work).result()

    async def stream(self, news: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Yield the items of ``news``, which runs on the loop, until it or the loop ends."""
        try:
            while True:
                yield await self.run(_next(news))
        except (StopAsyncIteration, Fatal):
            return
        finally:
            with suppress(Fatal):
                await self.run(news.aclose())

    def cancel_all(self) -> None:
        """Cancel all work that was started with ``submit``."""
        for task in tuple(self._tasks):
            task.cancel()

    def close(self, why: Fatal) -> None:
        """The loop is about to end: fail new work with ``why``."""
        self._over = self._over or why

    def fail_all(self, why: Fatal) -> None:
        """The loop has ended: fail every waiting call with ``why``."""
        self.close(why)
        for visit in tuple(self._visits):
            _settle(visit, copy(why))
        for ending in tuple(self.endings):
            ending(why)


def _settle(visit: "Future[T]", error: BaseException) -> None:
    with suppress(InvalidStateError):  # the caller has cancelled, or has its result
        visit.set_exception(error)


async def _next(news: AsyncGenerator[T, None]) -> T:
    return await anext(news)


class LoopThread:
    """A selector loop in a daemon thread of its own (a selector loop also on Windows, where aiomqtt needs it).

    Without threads it is a guest on the running loop: ``stop`` cancels what was submitted, and the loop goes on.
    """

    def __init__(self, name: str) -> None:
        self._thread: threading.Thread | None = None
        if not has_threads():
            self.home = _guest()
            return
        self.home = LoopOwner(asyncio.SelectorEventLoop())
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(Fatal("the cluster has been closed"))

    @property
    def is_guest(self) -> bool:
        """Whether it shares the loop of its maker, who must therefore never block."""
        return self._thread is None

    def start(self) -> None:
        """Run the loop in its own thread; nothing to do where it is the caller's loop."""
        if self._thread is not None:
            self._thread.start()

    def stop(self, why: Fatal) -> None:
        """Cancel all tasks, close the loop and end the thread; waiting calls fail with ``why``."""
        self.home.close(why)
        if self._thread is None:
            self.home.cancel_all()
        elif self._thread.is_alive():
            self.home.loop.call_soon_threadsafe(self.home.loop.stop)
            if not self.home.is_here:  # a thread cannot wait for itself
                self._thread.join()
        self.home.fail_all(why)

    def _run(self) -> None:
        loop = self.home.loop
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0))  # start the latest tasks, so that they can be cancelled
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _guest() -> LoopOwner:
    """The owner of the loop that runs now; ``PyraftError`` if none does."""
    try:
        return LoopOwner()
    except RuntimeError:
        raise PyraftError("no thread can be started here; call this inside a running event loop") from None
