"""Tells an application when its node begins and ceases to lead: strictly in turn, and awaited."""

from collections.abc import Awaitable, Callable

from pyraft_lab.engine.types import Term
from pyraft_lab.runtime.metrics import Metrics, Watchers

Callback = Callable[[Metrics], Awaitable[None] | None]


async def follow_office(watchers: Watchers, start: Callback, stop: Callback) -> None:
    """Follow a node's leaderships; two in a row end and begin even if nobody saw what was between."""
    office: Term | None = None
    async for now in watchers.stream():
        held = now.term if now.role == "Leader" else None
        if office not in (None, held):
            await _called(stop, now)
        if held not in (None, office):
            await _called(start, now)
        office = held


async def _called(callback: Callback, now: Metrics) -> None:
    """Call it, and await what it returns if that can be awaited."""
    pending = callback(now)
    if pending is not None:
        await pending
