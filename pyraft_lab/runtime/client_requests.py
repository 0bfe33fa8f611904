"""A node's side of `pyraft_lab.client`: each batch is proposed once, and one read serves many queries."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from pyraft_lab.client.requests import FindOutcome, OpenSession, ReadMany, Request, WriteBatch
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.log import Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import OutcomeUnknown, Overloaded
from pyraft_lab.machine import Sessions
from pyraft_lab.pending_requests import Outcome, RequestFailed, WriteApplied, to_error
from pyraft_lab.runtime.lifecycle import NodeLifecycle
from pyraft_lab.session import Answer, Rejected, Value

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
    outcome: "Future[Outcome]"


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
        self._pending: dict[tuple[int, int], Pending] = {}
        self._bytes = 0

    async def serve(self, request: Request) -> Any:
        """The reply to one request; raises a node handle's errors, and ``Overloaded`` instead of waiting for room."""
        match request:
            case WriteBatch(data, client, serial):
                return await self._write(data, (client, serial))
            case FindOutcome(client, serial):
                return await self._find((client, serial))
            case ReadMany(queries, policy):
                self._check_room()
                await self._ensure(policy)
                return tuple(map(self._answer, queries))
            case OpenSession():
                self._check_room()
                return (await self._ensure("index")).index

    async def _write(self, data: bytes, name: tuple[int, int]) -> Answer:
        """Propose a batch, unless it is already in progress."""
        if name not in self._pending:
            self._check_room()
            (outcome,) = self._life.running_driver().requests.write((Normal(data),))
            self._pending[name] = Pending(asyncio.get_running_loop().time(), len(data), outcome)
            self._bytes += len(data)
            outcome.add_done_callback(lambda _: self._settled(name))
        return await self._decided(self._pending[name].outcome)

    def _settled(self, name: tuple[int, int]) -> None:
        self._bytes -= self._pending.pop(name).size

    async def _find(self, name: tuple[int, int]) -> Answer | None:
        """Wait for a batch in progress; else look in the machine, once it has applied all earlier commits."""
        if name in self._pending:
            return await self._decided(self._pending[name].outcome)
        await self._ensure("index")
        return self._machine.outcome(*name)

    async def _decided(self, outcome: "Future[Outcome]") -> Answer:
        try:
            async with asyncio.timeout(self._deadline):
                ended = await asyncio.shield(outcome)
        except TimeoutError:
            raise OutcomeUnknown(f"a batch of writes was not decided within {self._deadline:g} s") from None
        match ended:
            case WriteApplied(_, _, answer):
                found: Answer = answer
                return found
            case RequestFailed(_, failure):
                raise to_error(failure, self._life.running_driver().state.id)
            case other:
                raise AssertionError(f"a batch of writes cannot end as {other}")

    def _answer(self, query: Any) -> Value | Rejected:
        """The machine's answer; an exception of the machine becomes a rejected answer, so only this caller sees it."""
        try:
            answer = self._machine.query(query)
        except Exception as bug:  # noqa: BLE001 (the machine is the user's)
            return Rejected(f"{type(bug).__name__}: {bug}")
        return answer if isinstance(answer, Rejected) else Value(answer)

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
