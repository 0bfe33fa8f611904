"""One client in a small world: nodes of which one leads, requests that are late, lost or doubled, and timers."""

from collections.abc import Callable
from typing import Any

from pyraft_lab.client.events import (
    Ask,
    AttemptTimer,
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
    RetryTimer,
    SetTimer,
    Submit,
    Timer,
    TimerFired,
)
from pyraft_lab.client.machine import step
from pyraft_lab.client.requests import FindOutcome, OpenSession, Operate, ReadMany, WriteBatch
from pyraft_lab.client.state import ClientState, Limits, Operation, Read, Session, Write
from pyraft_lab.command import encode
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import NetworkFailed, NotLeader
from pyraft_lab.machine import Sessions
from pyraft_lab.session import Value

NODES = (1, 2, 3)


class Notebook:
    """A machine that writes down every command, and answers with how many there are."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def apply(self, command: Any, /) -> Any:
        self.lines.append(command)
        return len(self.lines)

    def query(self, _query: Any, /) -> Any:
        return len(self.lines)

    def snapshot(self) -> bytes:
        return repr(self.lines).encode()

    def restore(self, _data: bytes, /) -> None:
        raise NotImplementedError

    def fork(self) -> "Notebook":
        raise NotImplementedError


class World:
    """Turns one client; a test decides what arrives, in which order, and what is lost."""

    def __init__(
        self, *, limits: Limits | None = None, expiry: int = 1_000_000, nodes: tuple[int, ...] = NODES
    ) -> None:
        self.limits = limits or Limits()
        self.state = ClientState(limits=self.limits, session=Session(7))
        self.notebook = Notebook()
        self.sessions = Sessions(self.notebook, expiry=expiry)
        self.leader = 1
        self.log: list[bytes] = []
        self.wire: list[Ask] = []
        self.timers: dict[Timer, SetTimer] = {}
        self.results: dict[int, dict[int, Any]] = {}
        self.errors: dict[int, Exception] = {}
        self.asked: list[Ask] = []
        self._next = 1
        self.happen(NodesKnown(nodes))

    # Calls

    def write(self, *values: Any) -> int:
        """A caller writes; the number of its call."""
        call, self._next = self._next, self._next + 1
        self.happen(Submit([Write(call, [encode(value) for value in values])]))
        return call

    def read(self, query: Any = "lines") -> int:
        call, self._next = self._next, self._next + 1
        self.happen(Submit([Read(call, query)]))
        return call

    def operate(self, operation: Any) -> int:
        call, self._next = self._next, self._next + 1
        self.happen(Submit([Operation(call, operation)]))
        return call

    def give_up(self, *calls: int) -> None:
        self.happen(GiveUp(calls, 1.0))

    def result(self, call: int) -> list[Any]:
        """What a call returned, in order."""
        return [self.results[call][place] for place in sorted(self.results.get(call, {}))]

    # The wire

    def deliver(self, place: int = 0, *, is_copy: bool = False, is_answer_lost: bool = False) -> None:
        """A request reaches its node; its copy may come again, its answer may be lost."""
        ask = self.wire[place] if is_copy else self.wire.pop(place)
        if ask.node != self.leader:
            event: Event = Failed(ask.request, NotLeader(self.leader, node=ask.node))
        else:
            event = Replied(ask.request, self._answer(ask))
        if not is_answer_lost:
            self.happen(event)

    def break_off(self, place: int = 0) -> None:
        """A request is lost, and the client hears of that."""
        self.happen(Failed(self.wire.pop(place).request, NetworkFailed("the broker", "it is down")))

    def fire(self, timer: Timer) -> None:
        self.timers.pop(timer)
        self.happen(TimerFired(timer))

    def settle(self, most: int = 10_000) -> None:
        """All goes well from now on: what is asked is answered, and the client's pauses end."""
        for _ in range(most):
            if self.wire:
                self.deliver()
            elif RetryTimer() in self.timers:
                self.fire(RetryTimer())
            elif self.timers:
                self.fire(next(iter(self.timers)))
            else:
                return
        raise AssertionError("the client never comes to rest")

    def _answer(self, ask: Ask) -> Any:
        match ask.message:
            case OpenSession():
                return len(self.log)
            case WriteBatch(data):
                return self._apply(data)
            case FindOutcome(client, serial):
                return self.sessions.outcome(client, serial)
            case Operate(operation):
                return operation
            case ReadMany(queries):
                return tuple(Value(self.notebook.query(query)) for query in queries)

    def _apply(self, data: bytes) -> Any:
        self.log.append(data)
        return self.sessions.apply(Entry(LogId(1, 1, len(self.log)), Normal(data)))

    def pass_others(self, count: int, command: Callable[[int], Any] = lambda _: "other") -> None:
        """Other clients write so many commands."""
        for number in range(count):
            self._apply(encode(command(number), client=99, serial=len(self.log) + 1, done=len(self.log)))

    # The client's turn

    def happen(self, event: Event) -> None:
        turned = step(self.state, event)
        self.state = turned.after
        for command in turned.commands:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Ask():
                self.wire.append(command)
                self.asked.append(command)
            case SetTimer(timer):
                self.timers[timer] = command
            case CancelTimer(timer):
                self.timers.pop(timer, None)
            case Forget():
                pass
            case Deliver():
                self._hand_over(command)
            case Fail(call, error):
                assert self.errors.setdefault(call, error) is error, "a call ends once"

    def _hand_over(self, delivery: Deliver) -> None:
        for part in delivery.parts:
            for number in range(part.count):
                place = part.place + number
                found = delivery.rejected.get(place, delivery.values[place])
                assert self.results.setdefault(part.call, {}).setdefault(part.start + number, found) is found

    @property
    def mine(self) -> list[Any]:
        """The commands of this client that were applied, in order."""
        return [line for line in self.notebook.lines if line != "other"]


def attempts(world: World) -> list[AttemptTimer]:
    """The attempts that may run out now."""
    return [timer for timer in world.timers if isinstance(timer, AttemptTimer)]
