"""Who waits for what: every request of a caller is a place in a batch, and a batch is one future."""

import asyncio
from collections.abc import Sequence
from itertools import count

from pyraft_lab.engine.types import RequestId
from pyraft_lab.errors import Fatal
from pyraft_lab.ledger import Outcome


class Call:
    """Requests that were made together; ``outcomes`` holds one outcome each once ``done`` is resolved."""

    def __init__(self, size: int) -> None:
        self.outcomes: list[Outcome | None] = [None] * size
        self.left = size
        self.done: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        if not size:
            self.done.set_result(())

    def settle(self, place: int, outcome: Outcome) -> None:
        """One of them is over; the last one resolves the future."""
        self.outcomes[place] = outcome
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(tuple(one for one in self.outcomes if one is not None))


class OpenRequests:
    """Requests on their way through one node."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._open: dict[RequestId, tuple[Call, int]] = {}
        self._settled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    async def room(self, limit: int) -> None:
        """Wait until fewer than ``limit`` requests are open."""
        while len(self._open) >= limit:
            self._settled.clear()
            await self._settled.wait()

    def open(self, size: int = 1) -> tuple[Call, tuple[RequestId, ...]]:
        """A call of so many requests, and their ids."""
        call = Call(size)
        ids = tuple(next(self._numbers) for _ in range(size))
        self._open.update((id, (call, place)) for place, id in enumerate(ids))
        return call, ids

    def settle(self, outcome: Outcome) -> None:
        """Resolve the request an outcome speaks of."""
        call, place = self._open.pop(outcome.request)
        call.settle(place, outcome)
        self._settled.set()

    def fail(self, why: Fatal) -> None:
        """The node is over: nobody waits any longer."""
        for call, _ in self._open.values():
            if not call.done.done():
                call.done.set_exception(why)
                call.done.exception()  # asked for, in case nobody waits any more
        self._open.clear()
        self._settled.set()
