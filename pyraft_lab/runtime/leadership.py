"""Tells an application who leads: when its own node begins and ceases to, and whenever the leader it knows changes.

Strictly in order, and awaited.
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
"""Takes the leadership before and the one now: term and node of each, ``None`` where nobody is known to lead."""
LAST_CALL_TIMEOUT = 5.0
"""Seconds that the last call of a hook may take when its node ends."""

log = logging.getLogger(__name__)


async def watch_own_leadership(watchers: Watchers, start: Hook, stop: Hook) -> None:
    """Follow a node's leaderships; two in a row end and begin even if nobody saw what was between.

    A node that is shut down in office leaves it like any other.
    """
    office: Metrics | None = None
    try:
        async for now in watchers.stream():
            held = now if now.role == "leader" else None
            if office is not None and (held is None or held.term != office.term):
                office = None
                await stop(now)
            if held is not None and office is None:
                office = held
                await start(now)
    finally:
        if office is not None:
            await _last_call(stop, replace(office, role="shutdown"))


async def watch_cluster_leader(watchers: Watchers, change: Hook) -> None:
    """Follow who leads as far as this node knows; each call begins where the one before it ended."""
    known: Vote | None = None
    async for now in watchers.stream():
        if now.running is not None:
            return
        leads = None if now.leader is None else Vote(now.term, now.leader, committed=True)
        if leads != known:
            before, known = known, leads
            await change(before, leads)


async def _last_call(stop: Hook, last: Metrics) -> None:
    """The last call; a node that ends does not wait for it for ever."""
    try:
        async with asyncio.timeout(LAST_CALL_TIMEOUT):
            await stop(last)
    except TimeoutError:
        log.warning("%s has not returned within %g s; node %s ends without it", stop, LAST_CALL_TIMEOUT, last.id)
