"""The open requests of one live node: the engine knows each by a number, and its caller waits for a future.

A request waits here twice: until the driver takes it into the engine, where many writes become one ``Propose``, and
then for its outcome. Which entry or read it waits for is kept by `pyraft_lab.pending_requests`. All calls of a node
may wait equally long, so one alarm watches the deadlines of all of them.
"""

import asyncio
from asyncio import Future, TimerHandle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from copy import copy

from msgspec import Struct

from pyraft_lab.engine.events import Event, Propose, Read, ReadPolicy
from pyraft_lab.engine.log import Noop, Normal
from pyraft_lab.engine.requests import byte_size
from pyraft_lab.engine.types import NodeId, RequestId, Term
from pyraft_lab.errors import Fatal, OutcomeUnknown, PyraftError, Timeout
from pyraft_lab.pending_requests import Outcome

WRITES = 1024
"""The most writes that are taken at once: a flood must not delay the heartbeats."""
ExpectedLeader = tuple[Term, NodeId] | None
"""The leadership in which a write must happen; ``None`` for any."""
Payloads = Sequence[Normal | Noop]
Done = Future[Sequence[Outcome]]
"""Resolves to the outcomes of a call's requests, in their order."""


class Call(Struct, frozen=True, gc=False):
    """The writes of one call: they are accepted or refused together."""

    requests: Sequence[RequestId]
    payloads: Payloads
    leader: ExpectedLeader


class Waiter(Struct):
    """Who waits for ``size`` requests from ``first`` on; ``outcomes`` are those known so far, if there are several.

    ``what`` names the call in the error of its deadline, the loop's time ``end``; a call without a name has none.
    A call that ``changes`` something and has no outcome may still take effect; a read has done nothing.
    """

    first: RequestId
    size: int
    done: Done
    what: str
    end: float
    changes: bool
    outcomes: dict[RequestId, Outcome] | None = None


class OpenRequests:
    """The open requests of ``node``, each for at most ``deadline`` seconds.

    ``wake`` is called when writes or reads wait to be taken; an operator's event is passed to ``tell`` at once.
    """

    def __init__(
        self, wake: Callable[[], None], tell: Callable[[Event], None], *, node: NodeId, deadline: float
    ) -> None:
        self._wake, self._tell, self._node, self._deadline = wake, tell, node, deadline
        self._loop = asyncio.get_running_loop()
        self._next: RequestId = 1
        self._open: dict[RequestId, Waiter] = {}
        self._settled = asyncio.Event()
        self._writes: deque[Call] = deque()
        self._reads: deque[tuple[RequestId, ReadPolicy]] = deque()
        self._alarm: TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    async def room(self, limit: int) -> None:
        """Wait until fewer than ``limit`` requests are open."""
        while len(self._open) >= limit:
            self._settled.clear()
            await self._settled.wait()

    def open(self, what: str, size: int = 1, *, changes: bool = True) -> Waiter:
        """Open ``size`` requests of one call; ``what`` names it in the error of its deadline, ``""`` for none."""
        end = self._loop.time() + self._deadline
        waiter = Waiter(self._next, size, self._loop.create_future(), what, end, changes)
        self._next += size
        if size == 1:
            self._open[waiter.first] = waiter
        elif size:
            waiter.outcomes = {}
            self._open.update(dict.fromkeys(range(waiter.first, self._next), waiter))
        else:
            waiter.done.set_result(())
        if self._alarm is None:
            self._alarm = self._loop.call_at(end, self._expire)
        return waiter

    def write(self, payloads: Payloads, leader: ExpectedLeader = None, what: str = "") -> Done:
        """Queue a caller's writes; all pending writes are proposed together."""
        size = len(payloads)
        waiter = self.open(what, size)
        requests = (waiter.first,) if size == 1 else range(waiter.first, waiter.first + size)
        self._writes.append(Call(requests, payloads, leader))
        self._wake()
        return waiter.done

    def read(self, policy: ReadPolicy) -> Done:
        """Queue a read; all pending reads share one round of heartbeats."""
        waiter = self.open("a read", changes=False)
        self._reads.append((waiter.first, policy))
        self._wake()
        return waiter.done

    def order(self, event: Callable[[RequestId], Event]) -> Done:
        """Pass on the event of an operator's request."""
        waiter = self.open("the request")
        self._tell(event(waiter.first))
        return waiter.done

    @property
    def is_waiting(self) -> bool:
        """Whether writes or reads wait to be taken."""
        return bool(self._writes or self._reads)

    def take(self, room: int | None) -> tuple[Propose | Read, ...]:
        """Take what waits for the engine, writes first; ``room`` is how many bytes it accepts, ``None`` for any."""
        taken, count = list[Call](), 0
        while self._writes and count < WRITES:
            taken.append(self._writes.popleft())
            count += len(taken[-1].payloads)
        return (*merged(taken, room), *self._take_reads())

    def _take_reads(self) -> list[Read]:
        taken, self._reads = self._reads, deque()
        policies = dict.fromkeys(policy for _, policy in taken)
        return [Read(tuple(id for id, theirs in taken if theirs == policy), policy) for policy in policies]

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Resolve the calls whose last open request these outcomes name."""
        for outcome in outcomes:
            waiter = self._open.pop(outcome.request)
            if waiter.outcomes is None:
                ended: Sequence[Outcome] = (outcome,)
            else:
                waiter.outcomes[outcome.request] = outcome
                if len(waiter.outcomes) < waiter.size:
                    continue
                ended = [waiter.outcomes[request] for request in sorted(waiter.outcomes)]
            if not waiter.done.done():
                waiter.done.set_result(ended)
        if outcomes:
            self._settled.set()

    def fail(self, why: Fatal) -> None:
        """Fail all open calls with ``why``, because the node has ended."""
        for waiter in self._open.values():
            error = copy(why)
            if waiter.what and waiter.changes:
                error.__cause__ = OutcomeUnknown(f"node {self._node} went down")
            _fail(waiter, error)
        self._open.clear()
        self._settled.set()
        if self._alarm is not None:
            self._alarm.cancel()

    def _expire(self) -> None:
        """Fail the calls whose deadline has come; their requests stay open until their outcome is known."""
        self._alarm, now = None, self._loop.time()
        for waiter in self._open.values():  # in the order of their ends
            if waiter.end > now:
                self._alarm = self._loop.call_at(waiter.end, self._expire)
                return
            if waiter.what:
                _fail(waiter, _overdue(waiter, self._deadline))


def _fail(waiter: Waiter, error: PyraftError) -> None:
    if not waiter.done.done():
        waiter.done.set_exception(error)
        waiter.done.exception()  # retrieved, in case no caller waits any more


def _overdue(waiter: Waiter, seconds: float) -> PyraftError:
    """The error of a call that waited so long: an entry may still commit, and a read has changed nothing."""
    if waiter.changes:
        return OutcomeUnknown(f"{waiter.what} was not decided within {seconds:g} s")
    return Timeout(waiter.what, seconds)


def merged(calls: Sequence[Call], room: int | None) -> list[Propose]:
    """Merge calls into few events; each call is accepted or refused as if it had come alone.

    Calls that expect another leader, or that exceed the ``room`` in bytes, get an event of their own.
    """
    return [_event(group) for group in _groups(calls, room)]


def _groups(calls: Sequence[Call], room: int | None) -> Iterator[list[Call]]:
    """Calls with the same expected leader that fit into ``room`` bytes; a larger call stands alone."""
    for leader in dict.fromkeys([call.leader for call in calls]):
        alike = [call for call in calls if call.leader == leader]
        if room is None:
            yield alike
            continue
        group, group_fits = list[Call](), True
        for call in alike:
            size = byte_size(call.payloads)
            fits = size <= room
            room = max(0, room - size)
            if group and not (fits and group_fits):
                yield group
                group = []
            group.append(call)
            group_fits = fits
        yield group


def _event(calls: Sequence[Call]) -> Propose:
    return Propose(
        requests=tuple([request for call in calls for request in call.requests]),
        payloads=tuple([payload for call in calls for payload in call.payloads]),
        leader=calls[0].leader,
    )
