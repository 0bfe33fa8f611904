"""Drive one client's state machine on an event loop: accept calls, ask nodes, run timers, return results."""

import asyncio
import heapq
import random
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy
from typing import Any, Protocol, assert_never

from pyraft_lab.client.batches import CallId, Part, RequestId
from pyraft_lab.client.events import (
    Ask,
    CancelTimer,
    Command,
    Deliver,
    Event,
    Fail,
    Failed,
    Forget,
    GiveUp,
    NodesKnown,
    Replied,
    SetTimer,
    Submit,
    Timer,
    TimerFired,
)
from pyraft_lab.client.machine import step
from pyraft_lab.client.requests import Operate, Request
from pyraft_lab.client.state import ClientState, Limits, Read, Session, Write
from pyraft_lab.client.timing import length
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import BadCommand, Fatal
from pyraft_lab.loop_thread import LoopOwner


class Nodes(Protocol):
    """The nodes a client may ask."""

    def nodes(self) -> Sequence[NodeId]:
        """The ids of the nodes."""

    async def ask(self, node: NodeId, request: Request, /) -> Any:
        """Send ``request`` to ``node`` and return its reply."""


class OpenCall:
    """An open call whose caller waits on ``loop``; ``results`` collects the parts of a long call."""

    __slots__ = ("call", "count", "future", "loop", "missing", "results", "seconds")

    def __init__(self, call: Write | Read, count: int | None, seconds: float, loop: AbstractEventLoop) -> None:
        self.call, self.count, self.seconds, self.loop = call, count, seconds, loop
        self.future: Future[Any] = loop.create_future()
        self.results: list[Any] = []
        self.missing = count or 1

    def take(self, part: Part, values: Sequence[Any]) -> Any:
        """Add the results of one part; returns what the caller gets once no part is missing, else ``self``."""
        if self.count is None:
            return values[part.place]
        if part.count == self.count == len(values):
            return values if type(values) is list else list(values)
        self.results = self.results or [None] * self.count
        self.results[part.start : part.start + part.count] = values[part.place : part.place + part.count]
        self.missing -= part.count
        return self.results if self.missing == 0 else self


Settled = tuple["Future[Any]", Any, BaseException | None]


class ClientDriver:
    """The driver of one client; everything except :meth:`call` runs on one loop, that of its loop thread."""

    def __init__(self, id: int, nodes: Nodes, *, attempt: float, limits: Limits, chance: random.Random) -> None:
        self.id = id
        self._state = ClientState(limits=limits, session=Session(id), turn=chance.randrange(1 << 16))
        self._nodes, self._attempt, self._chance = nodes, attempt, chance
        self._home: LoopOwner | None = None
        self._inbox: deque[OpenCall | CallId] = deque()
        self._is_called = False
        self._open: dict[CallId, OpenCall] = {}
        self._ends: list[tuple[float, float, list[CallId]]] = []
        self._end: TimerHandle | None = None
        self._timers: dict[Timer, TimerHandle] = {}
        self._tasks: dict[RequestId, asyncio.Task[None]] = {}
        self._settled: list[tuple[OpenCall, Any, BaseException | None]] = []

    # From any thread

    async def call(self, call: Write | Read, count: int | None, seconds: float, home: LoopOwner) -> Any:
        """The result of a call; a cancelled caller withdraws the call."""
        waiting = OpenCall(call, count, seconds, asyncio.get_running_loop())
        self._hand_in(waiting, home)
        try:
            return await waiting.future
        except asyncio.CancelledError:
            with suppress(Fatal):
                self._hand_in(call.call, home)
            raise

    def _hand_in(self, one: OpenCall | CallId, home: LoopOwner) -> None:
        """Schedule one hop to the loop thread for all waiting calls."""
        self._home = home
        self._inbox.append(one)
        home.endings.add(self._abandon)
        if not self._is_called:
            self._is_called = True
            try:
                home.soon(self._take)
            except Fatal:
                self._is_called = False
                raise

    # On the loop thread

    def _take(self) -> None:
        """Accept all waiting calls."""
        self._is_called = False
        calls: list[Write | Read] = []
        ends: dict[float, list[CallId]] = {}
        while self._inbox:
            one = self._inbox.popleft()
            if isinstance(one, OpenCall):
                self._open[one.call.call] = one
                calls.append(one.call)
                ends.setdefault(one.seconds, []).append(one.call.call)
            elif self._open.pop(one, None) is not None:
                self._turn(Submit(calls), GiveUp((one,)))
                calls = []
        now = asyncio.get_running_loop().time()
        for seconds, ids in ends.items():
            heapq.heappush(self._ends, (now + seconds, seconds, ids))
        self._turn(Submit(calls))

    def _turn(self, *events: Event) -> None:
        """Step the client through events and carry out the resulting commands; ends every call if its cluster ended."""
        try:
            nodes = tuple(self._nodes.nodes())
        except Fatal as ended:
            self._abandon(ended)
            return
        if nodes != self._state.nodes:
            events = (NodesKnown(nodes), *events)
        for event in events:
            done = step(self._state, event)
            self._state = done.after
            for command in done.commands:
                self._carry_out(command)
        self._hand_out()
        self._watch_ends()
        self._keep_home()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Ask(request):
                self._tasks[request] = asyncio.get_running_loop().create_task(self._ask(command))
            case Forget(request):
                self._tasks[request].cancel()
            case SetTimer(timer):
                self._set(command, timer)
            case CancelTimer(timer):
                if timer in self._timers:
                    self._timers.pop(timer).cancel()
            case Deliver():
                self._deliver(command)
            case Fail(call, error):
                self._settle(call, None, error)
            case _:
                assert_never(command)

    async def _ask(self, ask: Ask) -> None:
        assert not isinstance(ask.message, Operate), "callers of a live client submit writes and reads only"
        try:
            event: Event = Replied(ask.request, await self._nodes.ask(ask.node, ask.message))
        except Exception as error:  # noqa: BLE001 (the machine sorts them; what it does not know goes to the callers)
            event = Failed(ask.request, error)
        finally:
            del self._tasks[ask.request]
        self._turn(event)

    # Time

    def _set(self, command: SetTimer, timer: Timer) -> None:
        delay = length(command, luck=self._chance.random(), attempt=self._attempt)
        self._timers[timer] = asyncio.get_running_loop().call_later(delay, self._fire, timer)

    def _fire(self, timer: Timer) -> None:
        self._timers.pop(timer, None)
        self._turn(TimerFired(timer))

    def _watch_ends(self) -> None:
        """Keep one timer for the earliest deadline of all calls."""
        first = self._ends[0][0] if self._ends and self._open else None
        if self._end is not None and (first is None or first < self._end.when()):
            self._end.cancel()
            self._end = None
        if first is None:
            self._ends.clear()
        elif self._end is None:
            self._end = asyncio.get_running_loop().call_at(first, self._give_up)

    def _give_up(self) -> None:
        self._end = None
        now = asyncio.get_running_loop().time()
        events: list[Event] = []
        while self._ends and self._ends[0][0] <= now:
            _, seconds, calls = heapq.heappop(self._ends)
            late = [call for call in calls if call in self._open]
            if late:
                events.append(GiveUp(late, seconds))
        self._turn(*events)

    # Results

    def _deliver(self, delivery: Deliver) -> None:
        for part in delivery.parts:
            waiting = self._open.get(part.call)
            if waiting is None:
                continue
            if (why := delivery.rejection(part)) is not None:
                self._settle(part.call, None, BadCommand(why))
                continue
            result = waiting.take(part, delivery.values)
            if result is not waiting:
                self._settle(part.call, result, None)

    def _settle(self, call: CallId, result: Any, error: BaseException | None) -> None:
        waiting = self._open.pop(call, None)
        if waiting is not None:
            self._settled.append((waiting, result, None if error is None else copy(error)))

    def _hand_out(self) -> None:
        """Schedule one hop to every loop on which callers wait."""
        settled, self._settled = self._settled, []
        by_loop: dict[AbstractEventLoop, list[Settled]] = {}
        for waiting, result, error in settled:
            by_loop.setdefault(waiting.loop, []).append((waiting.future, result, error))
        for loop, ended in by_loop.items():
            if self._home is not None and loop is self._home.loop:
                _resolve(ended)
            else:
                with suppress(RuntimeError):  # that loop is closed, and so its callers are gone
                    loop.call_soon_threadsafe(_resolve, ended)

    # The end of the loop thread

    def _keep_home(self) -> None:
        """While calls are open, ask the loop thread to report its end to this driver."""
        if self._home is not None and not self._open:
            self._home.endings.discard(self._abandon)
            if self._inbox:  # a call came in between
                self._home.endings.add(self._abandon)

    def _abandon(self, why: Fatal) -> None:
        """Fail every open call, because the cluster or the loop thread has ended; may run on any thread."""
        waiting = [*self._open.values(), *(one for one in self._inbox if isinstance(one, OpenCall))]
        self._inbox.clear()
        self._open.clear()
        for one in waiting:
            self._settled.append((one, None, copy(why)))
        self._hand_out()


def _resolve(ended: Iterable[Settled]) -> None:
    for future, result, error in ended:
        if future.done():
            continue  # its caller has gone
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
