"""The timers of one node, on a real clock; freeze them to go through a live election step by step.

The clock decides when a timer has expired, not the event loop: a process may have been paused.
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
    alarm: asyncio.TimerHandle
    extension: float
    extended: int = 0


class Timers:
    """Run the timers that the engine sets; an expired timer stays until it is taken."""

    def __init__(self, wake: Callable[[], None], chance: random.Random) -> None:
        self._wake, self._chance = wake, chance
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time if isinstance(self._loop, VirtualLoop) else now
        self._running: dict[Timer, Running] = {}
        self._queue: list[tuple[float, int, Timer]] = []
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
        if (self._is_frozen and not frozen_too) or not self._has_overdue():
            return ()
        limit = self._now()
        return tuple(sorted((one for one in self._running if self._running[one].at <= limit), key=self._order))

    @property
    def is_frozen(self) -> bool:
        """Whether the timers are frozen."""
        return self._is_frozen

    def set(self, command: SetTimer, config: Config, cause: EventId) -> None:
        """Start (or restart) a timer because of event ``cause``; an earlier expiry that was not taken is forgotten."""
        self._forget(command.timer)
        if command.timer.kind is TimerKind.LEASE:
            self._note_round(command.timer.key)
        seconds = delay(config, command.timer.kind, command.backoff, self._chance.random())
        alarm = self._loop.call_later(seconds, self._ring, command.timer)
        running = Running(self._now() + seconds, next(self._places), cause, alarm, config.heartbeat_interval)
        self._running[command.timer] = running
        heappush(self._queue, (running.at, running.sequence, command.timer))

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
        for timer in list(self._running):
            self._forget(timer)

    def _note_round(self, round: int) -> None:
        self._rounds[round] = time.time()
        if len(self._rounds) > ROUNDS:
            del self._rounds[next(iter(self._rounds))]

    def _has_overdue(self) -> bool:
        while self._queue and not self._is_set(self._queue[0]):
            heappop(self._queue)
        return bool(self._queue) and self._queue[0][0] <= self._now()

    def _is_set(self, line: tuple[float, int, Timer]) -> bool:
        """Whether an item of the queue belongs to a running timer, which was not stopped, restarted or extended."""
        running = self._running.get(line[2])
        return running is not None and (running.at, running.sequence) == line[:2]

    def _order(self, timer: Timer) -> tuple[float, int]:
        return self._running[timer].at, self._running[timer].sequence

    def _ring(self, timer: Timer) -> None:
        """Handle an expiry of the loop's clock, which may come a moment early, or late after the loop was busy."""
        running = self._running[timer]
        left = running.at - self._now()
        if left > 0:
            self._running[timer] = running._replace(alarm=self._loop.call_later(left, self._ring, timer))
        elif timer.kind in DEPOSES and -left > running.extension and running.extended < MOST_EXTENSIONS:
            self._extend(timer, running)
        else:
            self._rung[timer] = None
            self._wake()

    def _extend(self, timer: Timer, running: Running) -> None:
        """This node could not listen when the timer expired: it listens for one more heartbeat interval.

        A leader is deposed because it was silent, not because this node was busy, or both were on one loop.
        """
        seconds = running.extension
        alarm = self._loop.call_later(seconds, self._ring, timer)
        later = running._replace(at=self._now() + seconds, alarm=alarm, extended=running.extended + 1)
        self._running[timer] = later
        heappush(self._queue, (later.at, later.sequence, timer))

    def _forget(self, timer: Timer) -> None:
        self._rung.pop(timer, None)
        running = self._running.pop(timer, None)
        if running is not None:
            running.alarm.cancel()
