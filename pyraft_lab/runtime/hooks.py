"""Hooks: functions of the application that a node calls. They run where they were registered, and can stop nothing.

::

    registered                     runs
    while an event loop runs       on that loop: an asyncio.Event or Queue of the application works as usual
    where no loop runs             in a thread of its own; a coroutine that it returns on the node's loop

A hook that raises is logged, once, with its name; the node goes on, and calls it again next time.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


class Hook:
    """``act`` of the application, called as ``what`` (for the log) on the loop that runs now."""

    def __init__(self, act: Callable[..., Any], what: str) -> None:
        self._act = act
        self._loop = running_loop()
        self._name = f"{what} {name_of(act)}"
        self._errors = HookErrors(self._name)

    def __str__(self) -> str:
        return self._name

    async def __call__(self, *facts: Any) -> None:
        """Call it, and wait for what it returns if that can be awaited; never raises but for cancellation."""
        try:
            await self._called(facts)
        except Exception as error:  # noqa: BLE001 (whatever the application's code raises)
            self._errors.failed(error)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            self._errors.failed(error)  # the hook was, not the node

    async def _called(self, facts: tuple[Any, ...]) -> None:
        if self._loop is None:
            await _settled(await asyncio.to_thread(self._act, *facts))
        elif self._loop is asyncio.get_running_loop():
            await _settled(self._act(*facts))
        elif self._loop.is_closed():
            raise RuntimeError("the event loop on which it was registered has been closed")
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._on_its_loop(facts), self._loop))

    async def _on_its_loop(self, facts: tuple[Any, ...]) -> None:
        await _settled(self._act(*facts))


class HookErrors:
    """Logs what a hook raises, the first time only: a hook with a bug would fill the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_known = self._is_slow = False

    def failed(self, error: BaseException) -> None:
        """The hook raised ``error``."""
        if not self._is_known:
            self._is_known = True
            log.error(
                "%s raised, and is called again next time; further errors are not logged", self._name, exc_info=error
            )

    def took(self, seconds: float) -> None:
        """The hook held the nodes up for so long."""
        if not self._is_slow:
            self._is_slow = True
            log.warning("%s took %.2f s and held up the nodes of this process; let it be quick", self._name, seconds)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_cancelled() -> bool:
    """Whether somebody cancelled the task that runs now, and not just something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def name_of(act: Callable[..., Any]) -> str:
    """How the log names a function: its module and name, or the text of another object.

    >>> name_of(name_of)
    'pyraft_lab.runtime.hooks.name_of'
    """
    named = act if hasattr(act, "__qualname__") else type(act)
    return f"{named.__module__}.{named.__qualname__}"


async def _settled(returned: Any) -> None:
    if hasattr(returned, "__await__"):
        await returned
