"""Tells an application when its node begins and ceases to lead: strictly in turn, and awaited."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from pyraft_lab.runtime.metrics import Metrics, Watchers

Callback = Callable[[Metrics], Awaitable[None] | None]


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
                await _called(stop, now)
            if held is not None and office is None:
                office = held
                await _called(start, now)
    finally:
        if office is not None:
            await _called(stop, replace(office, role="shutdown"))


async def _called(callback: Callback, now: Metrics) -> None:
    """Call it, and await what it returns if that can be awaited."""
    pending = callback(now)
    if pending is not None:
        await pending
