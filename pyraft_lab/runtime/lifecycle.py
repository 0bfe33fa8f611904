"""The life of a node: started once, on one event loop, and ended once; a call before or after raises an error."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
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
from pyraft_lab.runtime.storage_use import StorageUse

T = TypeVar("T")
_SERVES: dict[int, NodeId] = {}
"""By the identity of a machine: the node that uses it, or used it."""
StartNode = Callable[[], Awaitable[tuple[Driver, Endpoint]]]
"""Makes the parts of a running node and its network endpoint."""


class NodeLifecycle:
    """From ``start()`` to the end of node ``id``; calls ``changed`` when the node has ended.

    ::

        new ──start()──▶ starting ──▶ running ──▶ over
         ▲                  │  └──── shutdown() ───▲
         └──── it failed ───┘
    """

    home: LoopOwner | None = None
    """The loop thread on which the node was started."""
    driver: Driver | None = None
    """The running driver; ``None`` before the start and after the end."""
    endpoint: Endpoint | None = None
    """The node's endpoint in the network."""
    ended: Fatal | None = None
    """The error that ended the node."""

    def __init__(self, id: NodeId, *, machine: Sessions, use: StorageUse, changed: Callable[[], None]) -> None:
        self.id = id
        self._machine, self._use, self._changed = machine, use, changed
        self._beginning: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._company: list[Callable[[], Coroutine[Any, Any, None]]] | None = []

    # Start and end

    async def start(self, inside: StartNode) -> None:
        """Start the node; raises what prevents it, and may then be called again."""
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
            raise PyraftError(f"node {self.id} is already starting; await that start()")
        if self.ended is not None:
            raise PyraftError(f"node {self.id} was started before; make a new Raft on the same storage")
        if self.driver is not None:
            raise PyraftError(f"node {self.id} is already running; use it, or shutdown() and make a new Raft")

    async def _begin(self, inside: StartNode) -> None:
        _claim(self._machine.machine, self.id)
        try:
            driver, endpoint = await inside()
        except BaseException:
            _release(self._machine.machine, is_unused=True)
            await self._use.end()
            raise
        self.driver, self.endpoint = driver, endpoint
        self._running = asyncio.create_task(self._run(driver, endpoint), name=f"raft node {self.id}")
        self._running.add_done_callback(lambda _: driver.began.set())  # cancelled with its whole loop, it never begins
        try:
            await driver.began.wait()
        except asyncio.CancelledError:
            await driver.began.wait()  # only a task that has started can finish
            await _stop(self._running)
            if self._running.cancelled():  # it never began
                await self._close(driver, endpoint, Stopped(self.id))
            raise
        company, self._company = self._company or [], None
        for work in company:
            driver.add_task(work())

    async def _run(self, driver: Driver, endpoint: Endpoint) -> None:
        """Run the driver; at its end fail every waiting call and close everything, whatever the reason."""
        reason: Fatal = Stopped(self.id)
        try:
            await driver.run(endpoint)
        except BaseException as ended:  # noqa: BLE001 (it is told to everybody who waits)
            reason = cause_of_death(self.id, ended)
        finally:
            await self._close(driver, endpoint, reason)

    async def _close(self, driver: Driver, endpoint: Endpoint, reason: Fatal) -> None:
        self.ended = reason
        driver.requests.fail(reason)
        self._changed()
        _release(self._machine.machine, is_unused=driver.applier.applied == ORIGIN)
        try:
            await endpoint.close()
        finally:
            await self._use.end()

    async def shutdown(self) -> None:
        """End the node, from any loop; a second call is no error, and before the start it does nothing."""
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
        """Run ``work`` for as long as the node runs; before the start, begin it at the start."""
        if self._company is not None and self.ended is None:
            self._company.append(work)  # until the node has started
        else:
            self.call(lambda: self.running_driver().add_task(work()))

    # The node's loop

    def running_driver(self) -> Driver:
        """The running driver; raises ``PyraftError`` before the start, and the node's error after its end."""
        if self.ended is not None:
            raise copy(self.ended)  # raising one error object twice would add up its tracebacks
        if self.driver is None:
            raise PyraftError(f"node {self.id} has not been started; await start() first")
        return self.driver

    def run(self, work: Callable[..., Awaitable[T]], *args: Any) -> Awaitable[T]:
        """Await ``work(*args)`` on the node's own loop."""
        home = self._home()
        return work(*args) if home.is_here else home.run(_awaited(work, args))

    def submit(self, work: Callable[..., Awaitable[T]], *args: Any) -> "Future[T]":
        """Start ``work(*args)`` on the node's own loop; its future."""
        return self._home().submit(_awaited(work, args))

    def call(self, act: Callable[[], T]) -> T:
        """What ``act()`` returns on the node's own loop."""
        return self._home().call(act)

    def _home(self) -> LoopOwner:
        """The loop of the running node; raises as :meth:`running_driver` does."""
        self.running_driver()
        assert self.home is not None, "a started node has a loop thread"
        return self.home


async def _awaited(work: Callable[..., Awaitable[T]], args: Sequence[Any]) -> T:
    return await work(*args)


async def _stop(task: "asyncio.Task[None]") -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])


# A machine belongs to the node that used it first. A node that restarts applies its log, or loads its snapshot, from
# the beginning: a machine that already holds these commands would apply them twice.


def _claim(machine: Any, node: NodeId) -> None:
    """Assign ``machine`` to ``node``; raises ``PyraftError`` if a node has already used it."""
    if id(machine) in _SERVES:
        kind = type(machine).__name__
        raise PyraftError(
            f"the machine of node {node} was already used by node {_SERVES[id(machine)]} and holds its commands"
            f"; give each node a new machine each time it starts, for instance Raft({node}, machine={kind}(), ...)"
        )
    _SERVES[id(machine)] = node
    with suppress(TypeError):  # no weak references to this type: _release() frees it when the node ends
        weakref.finalize(machine, _SERVES.pop, id(machine), None).atexit = False


def _release(machine: Any, *, is_unused: bool) -> None:
    """Release the machine of a node that has ended; if nothing was applied to it, another node may use it."""
    if is_unused or type(machine).__weakrefoffset__ == 0:
        _SERVES.pop(id(machine), None)
