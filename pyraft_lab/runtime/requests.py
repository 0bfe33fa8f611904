"""Open requests: each is a future of a caller; the engine knows it by a number."""

import asyncio
from asyncio import Future
from collections.abc import Sequence
from copy import copy

from pyraft_lab.engine.types import RequestId
from pyraft_lab.errors import Fatal
from pyraft_lab.pending_requests import Outcome


class OpenRequests:
    """The open requests of one node."""

    def __init__(self) -> None:
        self._next: RequestId = 1
        self._open: dict[RequestId, Future[Outcome]] = {}
        self._settled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    async def room(self, limit: int) -> None:
        """Wait until fewer than ``limit`` requests are open."""
        while len(self._open) >= limit:
            self._settled.clear()
            await self._settled.wait()

    def open(self, size: int = 1) -> tuple[Sequence[RequestId], Sequence[Future[Outcome]]]:
        """Open ``size`` new requests; their ids, and a future for each."""
        ids = range(self._next, self._next + size)
        self._next += size
        futures: list[Future[Outcome]] = [Future() for _ in ids]
        self._open.update(zip(ids, futures, strict=True))
        return ids, futures

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Resolve the requests that these outcomes name."""
        for outcome in outcomes:
            done = self._open.pop(outcome.request)
            if not done.done():
                done.set_result(outcome)
        if outcomes:
            self._settled.set()

    def fail(self, why: Fatal) -> None:
        """Fail all open requests, because the node has ended."""
        for done in self._open.values():
            if not done.done():
                done.set_exception(copy(why))
                done.exception()  # retrieved, in case no caller waits any more
        self._open.clear()
        self._settled.set()
