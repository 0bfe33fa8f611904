"""The life of a node: started once, at home on one loop, ended once; whatever it is asked before or after says so."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from typing import Any, TypeVar

from pyraft_lab.engine.types import ORIGIN, NodeId
from pyraft_lab.errors import Fatal, PyraftError, Stopped
from pyraft_lab.loop_thread import LoopOwner
from pyraft_lab.machine import Sessions
from pyraft_lab.network.base import Endpoint
from pyraft_lab.runtime.driver import Driver, cause_of_death
from pyraft_lab.runtime.hooks import is_cancelled
from pyraft_lab.runtime.lives import claim, release
from pyraft_lab.runtime.storage_use import StorageUse

T = TypeVar("T")
StartNode = Callable[[], Awaitable[tuple[Driver, Endpoint]]]
"""Makes what lives in a node, and its place in the network."""


class NodeLifecycle:
    """From ``start()`` to the end of node ``id``; ``changed`` is called when it is over.

    ::

        new ──start()──▶ starting ──▶ running ──▶ over
         ▲                  │  └──── shutdown() ───▲
         └──── it failed ───┘
    """

    home: LoopOwner | None = None
    """The loop on which it was started."""
    driver: Driver | None = None
    """Its inside, once it runs."""
    endpoint: Endpoint | None = None
    """Its place in the network."""
    ended: Fatal | None = None
    """What ended it."""

    def __init__(self, id: NodeId, *, machine: Sessions, use: StorageUse, changed: Callable[[], None]) -> None:
        self.id = id
        self._machine, self._use, self._changed = machine, use, changed
        self._beginning: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._company: list[Callable[[], Coroutine[Any, Any, None]]] | None = []

    # From birth to death

    async def start(self, inside: StartNode) -> None:
        """Begin; raises what prevents it, and may then be tried again."""
        self._refuse_second_start()
        self.home = LoopOwner()
        self._beginning = asyncio.create_task(self._begin(inside), name=f"start of raft node {self.id}")
        try:
            await self._beginning
        except asyncio.CancelledError:
            if self.ended is not None and not is_cancelled():
                raise copy(self.ended) from None  # by shutdown()
            raise
        finally:
            self._beginning = None

    def _refuse_second_start(self) -> None:
        if self._beginning is not None:
            raise PyraftError(f"node {self.id} is being started already; await that start()")
        if self.ended is not None:
            raise PyraftError(f"node {self.id} was started before; make a new Raft on the same storage")
        if self.driver is not None:
            raise PyraftError(f"node {self.id} is running already; use it, or shutdown() and make a new Raft")

    async def _begin(self, inside: StartNode) -> None:
        claim(self._machine.machine, self.id)
        try:
            driver, endpoint = await inside()
        except BaseException:
            release(self._machine.machine, is_blank=True)
            await self._use.end()
            raise
        self.driver, self.endpoint = driver, endpoint
        self._running = asyncio.create_task(self._run(driver, endpoint), name=f"raft node {self.id}")
        try:
            await driver.began.wait()
        except asyncio.CancelledError:
            await driver.began.wait()  # only what has begun can come to its end
            await _stop(self._running)
            raise
        company, self._company = self._company or [], None
        for work in company:
            driver.add_task(work())

    async def _run(self, driver: Driver, endpoint: Endpoint) -> None:
        """However it ends, nobody is left waiting and nothing is left open."""
        try:
            await driver.run(endpoint)
        except BaseException as ended:  # noqa: BLE001 (it is told to everybody who waits)
            self.ended = cause_of_death(self.id, ended)
        finally:
            self.ended = self.ended or Stopped(self.id)
            driver.requests.fail(self.ended)
            self._changed()
            release(self._machine.machine, is_blank=driver.machinist.applied == ORIGIN)
            try:
                await endpoint.close()
            finally:
                await self._use.end()

    async def shutdown(self) -> None:
        """End it, from any loop; twice is no error, and before the start it does nothing."""
        if self.home is not None:
            with suppress(Fatal):  # its loop has ended, and the node with it
                await self.home.run(self._shutdown())

    async def _shutdown(self) -> None:
        if self._beginning is not None:
            self.ended = self.ended or Stopped(self.id)
            await _stop(self._beginning)
        if self._running is not None:
            await _stop(self._running)

    def keep_running(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let work go on for as long as the node lives, or is going to live."""
        if self._company is not None and self.ended is None:
            self._company.append(work)  # until it has begun
        else:
            self.call(lambda: self.running_driver().add_task(work()))

    # Home

    def running_driver(self) -> Driver:
        """The node's inside, or what ended it."""
        if self.ended is not None:
            raise copy(self.ended)  # one error raised twice would drag all its tracebacks along
        if self.driver is None:
            raise PyraftError(f"node {self.id} has not been started; await start() first")
        return self.driver

    def run(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Await ``work`` on the node's own loop."""
        return self._at_home(work).run(work)

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start ``work`` on the node's own loop."""
        return self._at_home(work).submit(work)

    def call(self, act: Callable[[], T]) -> T:
        """What ``act()`` returns on the node's own loop."""
        self.running_driver()
        return self._home().call(act)

    def _at_home(self, work: Coroutine[Any, Any, T]) -> LoopOwner:
        try:
            self.running_driver()
        except PyraftError:
            work.close()
            raise
        return self._home()

    def _home(self) -> LoopOwner:
        assert self.home is not None, "a started node has a home"
        return self.home


async def _stop(task: "asyncio.Task[None]") -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
