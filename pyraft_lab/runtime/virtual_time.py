"""An event loop in virtual time: it never waits, so live nodes run as fast as the machine allows, and always alike.

Whatever would be waited for happens at once, and the clock jumps there. Blocking work runs in place. A part of the
program, such as one node, can be suspended like a stopped process: its callbacks wait, and its clock goes on::

    loop.suspend(3) ── messages and requests for node 3 wait, its timers expire unnoticed ── loop.resume(3)
                                            then as after SIGCONT: waiting input first, expired timers after it
"""

import asyncio
import selectors
from asyncio import Handle, TimerHandle
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from pyraft_lab.concurrency import loop_set_aside
from pyraft_lab.errors import PyraftError

T = TypeVar("T")
Suspended = dict[int, tuple[list[Callable[[], None]], list[Callable[[], None]]]]
"""The suspended parts: what came in for each, and what expired."""
MOST_ROUNDS = 50_000
"""The most rounds of a loop at one moment; more of them would go on for ever."""
PART: ContextVar[int] = ContextVar("part", default=0)
"""The part of the program that the present task belongs to; 0 is never suspended."""


class _Jumping(selectors.DefaultSelector):
    """A selector that does not wait: it moves the loop's clock by the time it should have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.rounds = 0.0, 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Jump over ``timeout`` seconds; raises ``PyraftError`` where nothing would ever happen, or time stands still.

        The system is asked for input only where time passes: what is due now needs none, and is most of what happens.
        """
        if timeout is None:
            raise PyraftError("nothing is left to happen: every task waits for something that never comes")
        if timeout > 0:
            self.now, self.rounds = self.now + timeout, 0
            return super().select(0)
        self.rounds += 1
        if self.rounds > MOST_ROUNDS:
            self.rounds = 0  # what is cancelled now needs some more
            raise PyraftError(f"time stands still: tasks go on without end at {self.now:g} s, and wait for nothing")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own; ``time()`` starts at 0 and is in virtual seconds."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        self._suspended: Suspended = {}
        self.seconds_of_work: Callable[[], float] = lambda: 0.0
        """How long the next piece of work of another thread takes."""
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now

    def suspend(self, part: int) -> None:
        """Suspend the tasks of a part, as SIGSTOP does; their timers expire and wait."""
        self._suspended.setdefault(part, ([], []))

    def resume(self, part: int) -> None:
        """Resume a part: first what came in meanwhile, in order, then what expired."""
        soon, late = self._suspended.pop(part, ([], []))
        for act in (*soon, *late):
            super().call_soon(act)

    def resume_all(self) -> None:
        """Resume every suspended part."""
        for part in tuple(self._suspended):
            self.resume(part)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        """As any loop, unless the part of ``context`` is suspended when the callback is due."""
        due = _Due(self._suspended, 0, callback, args, copy_context() if context is None else context)
        due.handle = super().call_soon(due, context=due.context)
        return due.handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """Schedule a callback at a virtual time, in seconds."""
        due = _Due(self._suspended, 1, callback, args, copy_context() if context is None else context)
        handle = super().call_at(when, due, context=due.context)
        due.handle = handle
        return handle

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override] # noqa: ARG002
        """Run blocking work after :attr:`seconds_of_work`, as if a thread had taken that long; at once if that is 0."""
        done: asyncio.Future[T] = self.create_future()
        seconds = self.seconds_of_work()
        if seconds:
            self.call_later(seconds, _work, done, func, args)
        else:
            _work(done, func, args)
        return done


def _work(done: "asyncio.Future[T]", func: Callable[..., T], args: tuple[Any, ...]) -> None:
    if done.cancelled():
        return
    try:
        done.set_result(func(*args))
    except Exception as error:  # noqa: BLE001 (the future raises it)
        done.set_exception(error)


class _Due:
    """A callback that waits if its part of the program is suspended when it is due, unless it was cancelled."""

    handle: Handle | None = None

    def __init__(
        self,
        suspended: Suspended,
        place: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> None:
        self._suspended, self._place, self._callback, self._args = suspended, place, callback, args
        self.context = context

    def __call__(self) -> None:
        """Call back now, or wait."""
        waiting = self._suspended.get(self.context.get(PART, 0))
        if waiting is None:
            self._callback(*self._args)
        else:
            waiting[self._place].append(self._later)

    def _later(self) -> None:
        if self.handle is None or not self.handle.cancelled():
            self.context.run(self._callback, *self._args)


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, on a loop of its own; suspended parts are resumed at the end."""
    loop = VirtualLoop()
    with loop_set_aside(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(work)
        finally:
            loop.resume_all()  # what is left is cancelled, and must be able to end
