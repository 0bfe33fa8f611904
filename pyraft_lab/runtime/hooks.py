"""Hooks: functions of the application that a node calls, on the event loop where they were registered.

::

    registered                     runs
    while an event loop runs       on that loop: an asyncio.Event or Queue of the application works as usual
    where no loop runs             in a thread of its own; a coroutine that it returns on the node's loop

A hook that raises is logged once, with its name; the node goes on and calls it again the next time.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from pyraft_lab.concurrency import to_thread

log = logging.getLogger(__name__)
OFTEN = 3
"""Slow calls of a hook before a warning is logged."""


class Hook:
    """A function ``act`` of the application; ``what`` names it in the log. It is called on the loop that runs now."""

    def __init__(self, act: Callable[..., Any], what: str) -> None:
        self._act = act
        self._loop = running_loop()
        self._name = f"{what} {name_of(act)}"
        self._errors = HookErrors(self._name)

    def __str__(self) -> str:
        return self._name

    async def __call__(self, *facts: Any) -> None:
        """Call the hook and await its result if that is awaitable; raises nothing but cancellation."""
        try:
            await self._called(facts)
        except Exception as error:  # noqa: BLE001 (whatever the application's code raises)
            self._errors.failed(error)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            self._errors.failed(error)  # the hook was cancelled, not the node

    async def _called(self, facts: tuple[Any, ...]) -> None:
        if self._loop is None:
            await _settled(await to_thread(self._act, *facts))
        elif self._loop is asyncio.get_running_loop():
            await _settled(self._act(*facts))
        elif self._loop.is_closed():
            raise RuntimeError("the event loop on which it was registered is closed")
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._on_its_loop(facts), self._loop))

    async def _on_its_loop(self, facts: tuple[Any, ...]) -> None:
        await _settled(self._act(*facts))


class HookErrors:
    """Log what a hook raises, the first time only: a hook with a bug must not fill the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_known = False
        self._slow_calls = 0

    def failed(self, error: BaseException) -> None:
        """Log that the hook raised ``error``, if it is the first time."""
        if not self._is_known:
            self._is_known = True
            log.error(
                "%s raised, and is called again next time; further errors are not logged", self._name, exc_info=error
            )

    def took(self, seconds: float) -> None:
        """Warn, once, of a hook that often holds up the nodes; one long call may be a busy machine's doing."""
        self._slow_calls += 1
        if self._slow_calls == OFTEN:
            log.warning("%s took %.2f s and held up the nodes of this process; make it faster", self._name, seconds)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread; ``None`` if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_cancelled() -> bool:
    """Whether the running task itself was cancelled, and not something that it awaits."""
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
