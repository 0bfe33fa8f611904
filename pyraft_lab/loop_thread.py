"""Where live things live: on one event loop, which others reach only through here.

A cell that computes for two seconds holds its own loop up for as long; a cluster on that loop would elect a new leader
meanwhile. So a cluster has a thread and a loop to itself, and what is asked from elsewhere crosses over and back.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from copy import copy
from typing import Any, Self, TypeVar

from pyraft_lab.errors import Fatal

T = TypeVar("T")
LOOP_ENDED = Fatal("the event loop on which it was started has ended; start a new one")


class LoopOwner:
    """The loop on which something lives; awaits coroutines there, from whatever loop one is on."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = asyncio.get_running_loop() if loop is None else loop
        self.endings: set[Callable[[Fatal], None]] = set()
        """What is called, from any thread, when the loop is over."""
        self._visits: set[Future[Any]] = set()
        self._over: Fatal | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing runs here any more."""
        return self.loop.is_closed()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on this very loop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def run(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Await the result of ``work``, which runs at home."""
        return work if self.is_here else asyncio.wrap_future(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start ``work`` at home, from any thread; its future is always resolved, even when the loop ends first."""
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
        """Do the work of a visit, which its visitor may cancel."""

        def ended(task: "asyncio.Task[T]") -> None:
            if task.cancelled():
                _settle(visit, copy(self._over or LOOP_ENDED))  # by the end of the loop, unless the visitor did
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
        task.add_done_callback(ended)
        visit.add_done_callback(left)

    def soon(self, act: Callable[[], None]) -> None:
        """Have ``act()`` run at home soon, from any thread; ``endings`` hear where the loop ends before that."""
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
        """What ``act()`` returns at home; for short acts, from any thread."""
        if self.is_here:
            return act()

        async def visit() -> T:
            return act()

        return self.submit(visit()).result()

    async def stream(self, news: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """What ``news`` yields at home, until it ends or the loop does."""
        try:
            while True:
                yield await self.run(_next(news))
        except (StopAsyncIteration, Fatal):
            return
        finally:
            with suppress(Fatal):
                await self.run(news.aclose())

    def close(self, why: Fatal) -> None:
        """The loop is about to end: nobody is let in any more."""
        self._over = self._over or why

    def fail_all(self, why: Fatal) -> None:
        """The loop is over: whoever still waits hears why."""
        self.close(why)
        for visit in tuple(self._visits):
            _settle(visit, copy(why))
        for ending in tuple(self.endings):
            ending(why)


def _settle(visit: "Future[T]", error: BaseException) -> None:
    with suppress(InvalidStateError):  # the visitor has left, or has been told
        visit.set_exception(error)


async def _next(news: AsyncGenerator[T, None]) -> T:
    return await anext(news)


class LoopThread:
    """A selector loop in a daemon thread of its own (a selector loop also on Windows, where aiomqtt needs it)."""

    def __init__(self, name: str) -> None:
        self.home = LoopOwner(asyncio.SelectorEventLoop())
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(Fatal("the cluster has been closed"))

    def start(self) -> None:
        """Begin to turn."""
        self._thread.start()

    def stop(self, why: Fatal) -> None:
        """Cancel what is left, close the loop, end the thread."""
        self.home.close(why)
        if self._thread.is_alive():
            self.home.loop.call_soon_threadsafe(self.home.loop.stop)
            self._thread.join()
        self.home.fail_all(why)

    def _run(self) -> None:
        loop = self.home.loop
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0))  # what came at the last moment begins, and so it can be ended
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
