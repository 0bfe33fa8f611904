"""The timers of one node, on a real clock; they can be frozen, so that a live election can be walked step by step."""

import asyncio
import random
import time
from collections.abc import Callable

from pyraft_lab.engine.commands import CancelTimer, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.timers import Timer, TimerKind, delay
from pyraft_lab.trace.recorder import EventId

ROUNDS = 1000
"""Rounds whose beginnings are remembered."""


class Clock:
    """Runs the timers that the engine names, and collects those that have run out until somebody takes them."""

    def __init__(self, wake: Callable[[], None], chance: random.Random) -> None:
        self._wake, self._chance = wake, chance
        self._loop = asyncio.get_running_loop()
        self._running: dict[Timer, asyncio.TimerHandle] = {}
        self._due: dict[Timer, EventId] = {}
        self._rounds: dict[int, float] = {}
        self._is_frozen = False

    @property
    def has_due(self) -> bool:
        """Whether a timer has run out and may be taken."""
        return bool(self._due) and not self._is_frozen

    @property
    def is_frozen(self) -> bool:
        """Whether timers run out unseen."""
        return self._is_frozen

    def set(self, command: SetTimer, config: Config, cause: EventId) -> None:
        """Start a timer anew, because of event ``cause``; that it had run out, if nobody took it yet, is forgotten."""
        self._forget(command.timer)
        if command.timer.kind is TimerKind.LEASE:
            self._note_round(command.timer.key)
        seconds = delay(config, command.timer.kind, command.patience, self._chance.random())
        self._running[command.timer] = self._loop.call_later(seconds, self._run_out, command.timer, cause)

    def cancel(self, command: CancelTimer) -> None:
        """Stop a timer; key 0 stops all of its kind."""
        if command.timer.key:
            self._forget(command.timer)
            return
        if command.timer.kind is TimerKind.LEASE:
            self._rounds.clear()  # the office is over, and the next one counts anew
        for timer in [*self._running, *self._due]:
            if timer.kind == command.timer.kind:
                self._forget(timer)

    def began(self, round: int) -> float | None:
        """When a leader's round was sent, in seconds of the system's clock: a lease is set with each."""
        return self._rounds.get(round)

    def take_due(self) -> tuple[Timer, EventId]:
        """A timer that has run out, the longest due first, and the event that had set it."""
        timer = next(iter(self._due))
        return timer, self._due.pop(timer)

    def freeze(self) -> None:
        """From now on no timer is seen to run out."""
        self._is_frozen = True

    def thaw(self) -> None:
        """Timers that ran out meanwhile are due now."""
        self._is_frozen = False
        self._wake()

    def stop(self) -> None:
        """Forget every timer."""
        for handle in self._running.values():
            handle.cancel()
        self._running.clear()
        self._due.clear()

    def _note_round(self, round: int) -> None:
        self._rounds[round] = time.time()
        if len(self._rounds) > ROUNDS:
            del self._rounds[next(iter(self._rounds))]

    def _run_out(self, timer: Timer, cause: EventId) -> None:
        del self._running[timer]
        self._due[timer] = cause
        self._wake()

    def _forget(self, timer: Timer) -> None:
        self._due.pop(timer, None)
        handle = self._running.pop(timer, None)
        if handle is not None:
            handle.cancel()
