"""The open requests of one live node: each is a future of a caller; the engine knows it by a number.

A request waits here twice: until the driver takes it into the engine, where many writes become one ``Propose``, and
then for its outcome. Which entry or read it waits for is kept by `pyraft_lab.pending_requests`.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from itertools import chain

from pyraft_lab.engine.events import Propose, Read, ReadPolicy
from pyraft_lab.engine.log import Noop, Normal
from pyraft_lab.engine.requests import byte_size
from pyraft_lab.engine.types import NodeId, RequestId, Term
from pyraft_lab.errors import Fatal
from pyraft_lab.pending_requests import Outcome

WRITES = 2048
"""The most writes that are taken at once: a flood must not delay the heartbeats."""
ExpectedLeader = tuple[Term, NodeId] | None
"""The leadership in which a write must happen; ``None`` for any."""
Call = tuple[Sequence[RequestId], Sequence[Normal | Noop], ExpectedLeader]
"""The writes of one call: they are accepted or refused together."""


class OpenRequests:
    """The open requests of one node; ``wake`` is called when a request waits to be taken."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._next: RequestId = 1
        self._open: dict[RequestId, Future[Outcome]] = {}
        self._settled = asyncio.Event()
        self._writes: deque[Call] = deque()
        self._reads: deque[tuple[RequestId, ReadPolicy]] = deque()

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

    def write(
        self, payloads: Sequence[Normal | Noop], expected_leader: ExpectedLeader = None
    ) -> Sequence[Future[Outcome]]:
        """Queue a caller's writes; all pending writes are proposed together."""
        ids, futures = self.open(len(payloads))
        self._writes.append((ids, payloads, expected_leader))
        self._wake()
        return futures

    def read(self, policy: ReadPolicy) -> Future[Outcome]:
        """Queue a read; all pending reads share one round of heartbeats."""
        (id,), (done,) = self.open()
        self._reads.append((id, policy))
        self._wake()
        return done

    @property
    def has_writes(self) -> bool:
        """Whether writes wait to be taken."""
        return bool(self._writes)

    def take(self, room: int | None) -> tuple[Propose | Read, ...]:
        """Take what waits for the engine, writes first; ``room`` is how many bytes it accepts, ``None`` for any."""
        taken, count = list[Call](), 0
        while self._writes and count < WRITES:
            taken.append(self._writes.popleft())
            count += len(taken[-1][0])
        return (*merged(taken, room), *self._take_reads())

    def _take_reads(self) -> list[Read]:
        taken, self._reads = self._reads, deque()
        policies = dict.fromkeys(policy for _, policy in taken)
        return [Read(tuple(id for id, theirs in taken if theirs == policy), policy) for policy in policies]

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Resolve the requests that these outcomes name."""
        for outcome in outcomes:
            done = self._open.pop(outcome.request)
            if not done.done():
                done.set_result(outcome)
        if outcomes:
            self._settled.set()

    def fail(self, why: Fatal) -> None:
        """Fail all open requests with ``why``, because the node has ended."""
        for done in self._open.values():
            if not done.done():
                done.set_exception(copy(why))
                done.exception()  # retrieved, in case no caller waits any more
        self._open.clear()
        self._settled.set()


def merged(calls: Sequence[Call], room: int | None) -> list[Propose]:
    """Merge calls into few events; each call is accepted or refused as if it had come alone.

    Calls that expect another leader, or that exceed the ``room`` in bytes, get an event of their own.

    >>> one, other = ((1,), (Normal(b"abc"),), None), ((2,), (Normal(b"def"),), None)
    >>> [event.requests for event in merged([one, other], None)]
    [(1, 2)]
    >>> [event.requests for event in merged([one, other], 5)]
    [(1,), (2,)]
    """
    return [_event(group) for group in _groups(calls, room)]


def _groups(calls: Sequence[Call], room: int | None) -> Iterator[list[Call]]:
    """Calls with the same expected leader that fit into ``room`` bytes; a larger call stands alone."""
    for expected_leader in dict.fromkeys(expected_leader for _, _, expected_leader in calls):
        group, group_fits = list[Call](), True
        for call in (one for one in calls if one[2] == expected_leader):
            size = byte_size(call[1])
            fits = room is None or size <= room
            room = None if room is None else max(0, room - size)
            if group and not (fits and group_fits):
                yield group
                group = []
            group.append(call)
            group_fits = fits
        yield group


def _event(calls: Iterable[Call]) -> Propose:
    calls = list(calls)
    return Propose(
        requests=tuple(chain.from_iterable(ids for ids, _, _ in calls)),
        payloads=tuple(chain.from_iterable(payloads for _, payloads, _ in calls)),
        leader=calls[0][2],
    )
