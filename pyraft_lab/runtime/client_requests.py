"""A live node's side of clients: it carries out what `client.serving` decides, and refuses what is too much."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from pyraft_lab.client.requests import FindOutcome, Request, WriteBatch
from pyraft_lab.client.serving import BatchName, EnsureRead, ProposeBatch, WaitForBatch, decide, reply
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.log import Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import OutcomeUnknown, Overloaded
from pyraft_lab.machine import Sessions
from pyraft_lab.pending_requests import RequestFailed, WriteApplied, to_error
from pyraft_lab.runtime.lifecycle import NodeLifecycle
from pyraft_lab.runtime.requests import Done
from pyraft_lab.session import Answer, Rejected

MOST_BATCHES = 1024
"""Batches that one node handles at a time; beyond that it raises ``Overloaded`` with a time to retry."""
MOST_BYTES = 256 << 20
"""Bytes of all such batches together; a single batch is always accepted."""
SOONEST, LATEST = 0.02, 1.0
"""Shortest and longest time in seconds until an overloaded node may be asked again."""


class Pending(Struct, frozen=True):
    """A batch in progress: its arrival time, its size in bytes, and its future outcome."""

    since: float
    size: int
    outcome: Done


class ClientRequests:
    """Serve client requests at one node; ``ensure`` makes sure the machine holds everything a read must see."""

    def __init__(
        self,
        life: NodeLifecycle,
        machine: Sessions,
        *,
        ensure: Callable[[ReadPolicy], Awaitable[LogId]],
        max_waiting: int,
        deadline: float,
    ) -> None:
        self._life, self._machine, self._ensure = life, machine, ensure
        self._max_waiting, self._deadline = max_waiting, deadline
        self._pending: dict[BatchName, Pending] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """How many batches are in progress."""
        return len(self._pending)

    async def serve(self, request: Request) -> Any:
        """The reply to one request; raises a node handle's errors, and ``Overloaded`` instead of waiting for room."""
        match decide(request, self._pending):
            case ProposeBatch(name, data):
                self._check_room()
                return await self._decided(self._propose(name, data))
            case WaitForBatch(name):
                return await self._decided(self._pending[name].outcome)
            case EnsureRead(policy):
                return await self._read(request, policy)

    def _propose(self, name: BatchName, data: bytes) -> Done:
        outcome = self._life.running_driver().requests.write((Normal(data),))
        self._pending[name] = Pending(asyncio.get_running_loop().time(), len(data), outcome)
        self._bytes += len(data)
        outcome.add_done_callback(lambda _: self._settled(name))
        return outcome

    async def _read(self, request: Request, policy: ReadPolicy) -> Any:
        """Look in the machine, once it holds everything a read must see."""
        assert not isinstance(request, WriteBatch), "a batch is proposed or waited for"
        if not isinstance(request, FindOutcome):
            self._check_room()
        at = await self._ensure(policy)
        return reply(request, at.index, query=self._query, outcome=self._machine.outcome)

    def _settled(self, name: BatchName) -> None:
        self._bytes -= self._pending.pop(name).size

    async def _decided(self, outcome: Done) -> Answer:
        await asyncio.wait((outcome,), timeout=self._deadline)
        if not outcome.done():  # it goes on, for others that wait for it
            raise OutcomeUnknown(f"a batch of writes was not decided within {self._deadline:g} s")
        (ended,) = outcome.result()
        match ended:
            case WriteApplied(_, _, answer):
                found: Answer = answer
                return found
            case RequestFailed(_, failure):
                raise to_error(failure, self._life.running_driver().state.id)
            case other:
                raise AssertionError(f"a batch of writes cannot end as {other}")

    def _query(self, query: Any) -> Any:
        """The machine's value; an exception of the machine becomes a rejected answer, so only this caller sees it."""
        try:
            return self._machine.query(query)
        except Exception as bug:  # noqa: BLE001 (the machine is the user's)
            return Rejected(f"{type(bug).__name__}: {bug}")

    def _check_room(self) -> None:
        """Raise ``Overloaded`` if too much is in progress; the time to retry grows with the present delays."""
        waiting, open_requests = len(self._pending), len(self._life.running_driver().requests)
        if waiting >= MOST_BATCHES:
            raise Overloaded(waiting, MOST_BATCHES, what="batches are waiting", retry_after=self._soon())
        if open_requests >= self._max_waiting:
            raise Overloaded(open_requests, self._max_waiting, what="requests are waiting", retry_after=self._soon())
        if self._bytes >= MOST_BYTES:
            raise Overloaded(self._bytes, MOST_BYTES, retry_after=self._soon())

    def _soon(self) -> float:
        oldest = next(iter(self._pending.values()), None)
        waited = 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest.since
        return round(min(max(waited, SOONEST), LATEST), 3)
