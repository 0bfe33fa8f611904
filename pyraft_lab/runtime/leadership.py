"""Call an application's hooks when its own node gains or loses leadership, and when the known leader changes.

Each call is awaited before the next one begins, so the order is exact.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from pyraft_lab.engine.types import Vote
from pyraft_lab.runtime.hooks import Hook
from pyraft_lab.runtime.metrics import Metrics, Watchers

Callback = Callable[[Metrics], Awaitable[None] | None]
LeaderChangeCallback = Callable[[Vote | None, Vote | None], Awaitable[None] | None]
"""Takes the previous and the present leader as (term, node) votes; ``None`` if no leader is known."""
LAST_CALL_TIMEOUT = 5.0
"""Seconds that the last call of a hook may take after its node has ended."""

log = logging.getLogger(__name__)


async def watch_own_leadership(watchers: Watchers, start: Hook, stop: Hook) -> None:
    """Call ``start`` and ``stop`` for each leadership of this node, also when one follows another directly.

    A leader that is shut down gets its ``stop`` call, too.
    """
    leading: Metrics | None = None
    try:
        async for now in watchers.stream():
            held = now if now.role == "leader" else None
            if leading is not None and (held is None or held.term != leading.term):
                leading = None
                await stop(now)
            if held is not None and leading is None:
                leading = held
                await start(now)
    finally:
        if leading is not None:
            await _last_call(stop, replace(leading, role="shutdown"))


async def watch_cluster_leader(watchers: Watchers, change: Hook) -> None:
    """Call ``change(old, new)`` when the leader known to this node changes; ``old`` is the ``new`` of the last call."""
    known: Vote | None = None
    async for now in watchers.stream():
        if now.running is not None:
            return
        leads = None if now.leader is None else Vote(now.term, now.leader, committed=True)
        if leads != known:
            before, known = known, leads
            await change(before, leads)


async def _last_call(stop: Hook, last: Metrics) -> None:
    """Make the last ``stop`` call; the node waits for it only ``LAST_CALL_TIMEOUT`` seconds."""
    try:
        async with asyncio.timeout(LAST_CALL_TIMEOUT):
            await stop(last)
    except TimeoutError:
        log.warning("%s has not returned within %g s; node %s ends without it", stop, LAST_CALL_TIMEOUT, last.id)
