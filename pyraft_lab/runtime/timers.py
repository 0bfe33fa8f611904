"""The timers of one node, on a real clock; they can be frozen, so that a live election can be walked step by step.

A timer has run out when the clock says so, whether or not the event loop has noticed: a process may have stood still.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from pyraft_lab.engine.commands import CancelTimer, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.timers import Timer, TimerKind, delay
from pyraft_lab.trace.record import EventId

ROUNDS = 1000
"""Rounds whose beginnings are remembered."""


def now() -> float:
    """Seconds that never go back and, where the system has such a clock, go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class Running(NamedTuple):
    """A timer that was set and not taken: when it runs out, its place among all that were set, and why it was set."""

    at: float
    sequence: int
    cause: EventId
    alarm: asyncio.TimerHandle


class Timers:
    """Runs the timers that the engine names; those that have run out stay until somebody takes them."""

    def __init__(self, wake: Callable[[], None], chance: random.Random) -> None:
        self._wake, self._chance = wake, chance
        self._loop = asyncio.get_running_loop()
        self._running: dict[Timer, Running] = {}
        self._queue: list[tuple[float, int, Timer]] = []
        self._places = count()
        self._rounds: dict[int, float] = {}
        self._is_frozen = False

    @property
    def has_due(self) -> bool:
        """Whether a timer has run out and may be taken."""
        return not self._is_frozen and self._has_overdue()

    def overdue(self, *, frozen_too: bool = False) -> tuple[Timer, ...]:
        """All timers that have run out by now, the longest due first; those of a frozen clock only if asked for."""
        if (self._is_frozen and not frozen_too) or not self._has_overdue():
            return ()
        limit = now()
        return tuple(sorted((one for one in self._running if self._running[one].at <= limit), key=self._order))

    @property
    def is_frozen(self) -> bool:
        """Whether timers run out unseen."""
        return self._is_frozen

    def set(self, command: SetTimer, config: Config, cause: EventId) -> None:
        """Start a timer anew, because of event ``cause``; that it had run out, if nobody took it yet, is forgotten."""
        self._forget(command.timer)
        if command.timer.kind is TimerKind.LEASE:
            self._note_round(command.timer.key)
        seconds = delay(config, command.timer.kind, command.backoff, self._chance.random())
        alarm = self._loop.call_later(seconds, self._ring, command.timer)
        running = self._running[command.timer] = Running(now() + seconds, next(self._places), cause, alarm)
        heappush(self._queue, (running.at, running.sequence, command.timer))

    def cancel(self, command: CancelTimer) -> None:
        """Stop a timer; key 0 stops all of its kind."""
        if command.timer.key:
            self._forget(command.timer)
            return
        if command.timer.kind is TimerKind.LEASE:
            self._rounds.clear()  # the office is over, and the next one counts anew
        for timer in list(self._running):
            if timer.kind == command.timer.kind:
                self._forget(timer)

    def began(self, round: int) -> float | None:
        """When a leader's round was sent, in seconds of the system's clock: a lease is set with each."""
        return self._rounds.get(round)

    def take_due(self) -> tuple[Timer, EventId]:
        """A timer that has run out, the longest due first, and the event that had set it."""
        timer = self._queue[0][2]
        return timer, self.take(timer)

    def take(self, timer: Timer) -> EventId:
        """Take one that has run out; the event that had set it."""
        cause = self._running[timer].cause
        self._forget(timer)
        return cause

    def freeze(self) -> None:
        """From now on no timer is seen to run out."""
        self._is_frozen = True

    def thaw(self) -> None:
        """Timers that ran out meanwhile are due now."""
        self._is_frozen = False
        self._wake()

    def stop(self) -> None:
        """Forget every timer."""
        for timer in list(self._running):
            self._forget(timer)

    def _note_round(self, round: int) -> None:
        self._rounds[round] = time.time()
        if len(self._rounds) > ROUNDS:
            del self._rounds[next(iter(self._rounds))]

    def _has_overdue(self) -> bool:
        while self._queue and not self._is_set(self._queue[0]):
            heappop(self._queue)
        return bool(self._queue) and self._queue[0][0] <= now()

    def _is_set(self, line: tuple[float, int, Timer]) -> bool:
        """Whether a line of the queue is about a timer as it runs now: it may have been stopped or set anew."""
        running = self._running.get(line[2])
        return running is not None and running.sequence == line[1]

    def _order(self, timer: Timer) -> tuple[float, int]:
        return self._running[timer].at, self._running[timer].sequence

    def _ring(self, timer: Timer) -> None:
        """The loop's clock says that it has run out; the loop's clock may be a moment early."""
        running = self._running[timer]
        left = running.at - now()
        if left > 0:
            self._running[timer] = running._replace(alarm=self._loop.call_later(left, self._ring, timer))
        else:
            self._wake()

    def _forget(self, timer: Timer) -> None:
        running = self._running.pop(timer, None)
        if running is not None:
            running.alarm.cancel()
