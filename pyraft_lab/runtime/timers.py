"""The timers of one node, on a real clock; freeze them to go through a live election step by step.

The clock decides when a timer has expired, not the event loop: a process may have been paused.
"""

import asyncio
import math
import random
import sys
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from pyraft_lab.engine.commands import CancelTimer, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.timers import Timer, TimerKind, delay, stopped_by
from pyraft_lab.runtime.virtual_time import VirtualLoop
from pyraft_lab.trace.record import EventId

ROUNDS = 1000
"""Rounds whose start times are remembered."""
DEPOSES = frozenset({TimerKind.ELECTION, TimerKind.QUORUM})
"""The timers that may end a leadership."""
MOST_EXTENSIONS = 3
"""How often a timer that rang late is extended: a machine that is always slow must still elect leaders."""


def now() -> float:
    """Seconds that never go back and, if the system has such a clock, include the time the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":  # where time.monotonic() stands still during sleep
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


class Running(NamedTuple):
    """A running timer: when it expires, its order among all timers set, and the event that set it.

    ``extension`` is by how many seconds it is extended if it rings late by more than that; ``extended`` counts this.
    """

    at: float
    sequence: int
    cause: EventId
    extension: float
    extended: int = 0


class Timers:
    """Run the timers that the engine sets; an expired timer stays until it is taken.

    Most timers are set again long before they expire: each has one item in the queue, which may be too early, and all
    share one alarm of the loop.
    """

    def __init__(self, wake: Callable[[], None], chance: random.Random) -> None:
        self._wake, self._chance = wake, chance
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time if isinstance(self._loop, VirtualLoop) else now
        self._running: dict[Timer, Running] = {}
        self._queue: list[tuple[float, Timer]] = []
        self._queued: dict[Timer, float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._rung: dict[Timer, None] = {}
        self._places = count()
        self._rounds: dict[int, float] = {}
        self._is_frozen = False

    @property
    def has_due(self) -> bool:
        """Whether an expired timer can be taken, once the loop has run its alarm.

        After a loop that was busy, messages that waited come before alarms: a leader is not suspected because this
        node was slow. What must not depend on that (leases) asks :meth:`overdue`, which looks at the clock.
        """
        return not self._is_frozen and bool(self._rung)

    def overdue(self, *, frozen_too: bool = False) -> tuple[Timer, ...]:
        """All expired timers, the longest due first; those of a frozen clock only with ``frozen_too``."""
        limit = self._now()
        if (self._is_frozen and not frozen_too) or not (self._rung or self._has_expired(limit)):
            return ()
        return tuple(sorted((one for one in self._running if self._running[one].at <= limit), key=self._order))

    @property
    def is_frozen(self) -> bool:
        """Whether no timer fires by itself; an expired one can still be taken with ``frozen_too``."""
        return self._is_frozen

    def set(self, command: SetTimer, config: Config, cause: EventId) -> None:
        """Start (or restart) a timer because of event ``cause``; an earlier expiry that was not taken is forgotten."""
        timer = command.timer
        self._rung.pop(timer, None)
        if timer.kind is TimerKind.LEASE:
            self._note_round(timer.key)
        at = self._now() + delay(config, timer.kind, command.backoff, self._chance.random())
        self._running[timer] = Running(at, next(self._places), cause, config.heartbeat_interval)
        if self._enqueue(timer, at):  # seldom: most are set again long before they expire
            self._arm()

    def cancel(self, command: CancelTimer) -> None:
        """Stop a timer; key 0 stops all of its kind."""
        if command.timer.kind is TimerKind.LEASE and not command.timer.key:
            self._rounds.clear()  # the leadership has ended, and the next one counts its rounds from the start
        for timer in stopped_by(command.timer, self._running):
            self._forget(timer)

    def began(self, round: int) -> float | None:
        """When the leader sent a round, in seconds of the system's clock; each round sets a lease."""
        return self._rounds.get(round)

    def take_due(self) -> tuple[Timer, EventId]:
        """Take the expired timer that is longest due; returns it and the event that set it."""
        timer = min(self._rung, key=self._order)
        return timer, self.take(timer)

    def take(self, timer: Timer) -> EventId:
        """Take one expired timer; returns the event that set it."""
        cause = self._running[timer].cause
        self._forget(timer)
        return cause

    def freeze(self) -> None:
        """Freeze the timers: none expires from now on."""
        self._is_frozen = True

    def thaw(self) -> None:
        """Thaw the timers; those that expired meanwhile are due now."""
        self._is_frozen = False
        self._wake()

    def stop(self) -> None:
        """Forget every timer."""
        self._running.clear()
        self._rung.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _note_round(self, round: int) -> None:
        self._rounds[round] = time.time()
        if len(self._rounds) > ROUNDS:
            del self._rounds[next(iter(self._rounds))]

    def _enqueue(self, timer: Timer, at: float) -> bool:
        """Give the timer an item in the queue, unless it has an earlier one; whether it got one."""
        if self._queued.get(timer, math.inf) <= at:
            return False
        self._queued[timer] = at
        heappush(self._queue, (at, timer))
        return True

    def _has_expired(self, limit: float) -> bool:
        """Whether a timer has expired at ``limit`` and has not rung; corrects the first items of the queue."""
        while self._queue and self._queue[0][0] <= limit:
            at, timer = self._queue[0]
            running = self._running.get(timer)
            if running is not None and running.at <= limit and timer not in self._rung:
                return True
            heappop(self._queue)
            if self._queued.get(timer) == at:
                del self._queued[timer]
            if running is not None and running.at > limit:
                self._enqueue(timer, running.at)
        return False

    def _arm(self) -> None:
        """Let the loop's alarm ring at the first item of the queue, or before."""
        if not self._queue or (self._alarm is not None and self._alarm_at <= self._queue[0][0]):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._queue[0][0]
        self._alarm = self._loop.call_later(max(0.0, self._alarm_at - self._now()), self._ring)

    def _order(self, timer: Timer) -> tuple[float, int]:
        return self._running[timer].at, self._running[timer].sequence

    def _ring(self) -> None:
        """Handle an alarm, which may come a moment early, or late after the loop was busy."""
        self._alarm = None
        limit = self._now()
        while self._has_expired(limit):
            self._expire(self._queue[0][1], limit)
        self._arm()

    def _expire(self, timer: Timer, limit: float) -> None:
        """A timer has expired; if this node could not listen until now, it listens for one more heartbeat interval.

        A leader is deposed because it was silent, not because this node was busy, or both were on one loop.
        """
        running = self._running[timer]
        is_late = limit - running.at > running.extension
        if timer.kind in DEPOSES and is_late and running.extended < MOST_EXTENSIONS:
            self._running[timer] = running._replace(at=limit + running.extension, extended=running.extended + 1)
        else:
            self._rung[timer] = None
            self._wake()

    def _forget(self, timer: Timer) -> None:
        self._rung.pop(timer, None)
        self._running.pop(timer, None)
