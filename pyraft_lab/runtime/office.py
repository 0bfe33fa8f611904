"""Tells an application who leads: when its own node begins and ceases to, and whenever the leader it knows changes.

Strictly in order, and awaited.
"""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from pyraft_lab.engine.types import Vote
from pyraft_lab.runtime.metrics import Metrics, Watchers

Callback = Callable[[Metrics], Awaitable[None] | None]
Succession = Callable[[Vote | None, Vote | None], Awaitable[None] | None]
"""Takes the leadership before and the one now: term and node of each, ``None`` where nobody is known to lead."""


async def follow_office(watchers: Watchers, start: Callback, stop: Callback) -> None:
    """Follow a node's leaderships; two in a row end and begin even if nobody saw what was between.

    A node that is shut down in office leaves it like any other.
    """
    office: Metrics | None = None
    try:
        async for now in watchers.stream():
            held = now if now.role == "leader" else None
            if office is not None and (held is None or held.term != office.term):
                office = None
                await _done(stop(now))
            if held is not None and office is None:
                office = held
                await _done(start(now))
    finally:
        if office is not None:
            await _done(stop(replace(office, role="shutdown")))


async def follow_leader(watchers: Watchers, change: Succession) -> None:
    """Follow who leads as far as this node knows; each call begins where the one before it ended."""
    known: Vote | None = None
    async for now in watchers.stream():
        if now.running is not None:
            return
        leads = None if now.leader is None else Vote(now.term, now.leader, committed=True)
        if leads != known:
            before, known = known, leads
            await _done(change(before, leads))


async def _done(pending: Awaitable[None] | None) -> None:
    """Await what a callback returned, if that can be awaited."""
    if pending is not None:
        await pending
