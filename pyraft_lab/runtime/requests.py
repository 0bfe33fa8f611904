"""Who waits for what: every request of a caller is a place in a batch, and a batch is one future."""

import asyncio
from collections.abc import Sequence
from copy import copy

from pyraft_lab.engine.types import RequestId
from pyraft_lab.errors import Fatal
from pyraft_lab.ledger import Outcome


class Call:
    """Requests that were made together, numbered on from ``first``; ``done`` holds one outcome each, in order."""

    def __init__(self, first: RequestId, size: int) -> None:
        self.first, self.left = first, size
        self.outcomes: list[Outcome | None] = [None] * size
        self.done: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        if not size:
            self.done.set_result(())

    @property
    def ids(self) -> range:
        """The ids of its requests."""
        return range(self.first, self.first + len(self.outcomes))

    def settle(self, outcome: Outcome) -> None:
        """One of them is over; the last one resolves the future."""
        self.outcomes[outcome.request - self.first] = outcome
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result([one for one in self.outcomes if one is not None])


class OpenRequests:
    """Requests on their way through one node."""

    def __init__(self) -> None:
        self._next: RequestId = 1
        self._open: dict[RequestId, Call] = {}
        self._settled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    async def room(self, limit: int) -> None:
        """Wait until fewer than ``limit`` requests are open."""
        while len(self._open) >= limit:
            self._settled.clear()
            await self._settled.wait()

    def open(self, size: int = 1) -> Call:
        """A call of so many requests."""
        call = Call(self._next, size)
        self._next += size
        self._open.update(dict.fromkeys(call.ids, call))
        return call

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Resolve the requests that outcomes speak of."""
        for outcome in outcomes:
            self._open.pop(outcome.request).settle(outcome)
        if outcomes:
            self._settled.set()

    def fail(self, why: Fatal) -> None:
        """The node is over: nobody waits any longer."""
        for call in self._open.values():
            if not call.done.done():
                call.done.set_exception(copy(why))
                call.done.exception()  # asked for, in case nobody waits any more
        self._open.clear()
        self._settled.set()
