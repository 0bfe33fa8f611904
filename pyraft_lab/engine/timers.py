"""Timers and their lengths: the engine names timers, drivers run them."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Literal, assert_never

from msgspec import Struct

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.types import NodeId


class TimerKind(StrEnum):
    """The kinds of timers; :func:`delay` gives their lengths in seconds."""

    ELECTION = "election"
    VOTE_LEASE = "vote_lease"
    HEARTBEAT = "heartbeat"
    LEASE = "lease"
    QUORUM = "quorum"
    RETRY = "retry"
    TRANSFER = "transfer"


RANDOM_TIMERS = frozenset({TimerKind.ELECTION})
"""The timers whose length depends on chance (§5.2): a driver draws a random number for these only."""

LeaderTimer = Literal[TimerKind.HEARTBEAT, TimerKind.LEASE, TimerKind.QUORUM, TimerKind.RETRY, TimerKind.TRANSFER]
"""The timers that only a leader has."""


class Timer(Struct, frozen=True, order=True, array_like=True, gc=False):
    """One timer of one node; ``key`` is the round of a lease or the peer of a retry."""

    kind: TimerKind
    key: int = 0

    def __str__(self) -> str:
        return f"{self.kind}({self.key})" if self.key else str(self.kind)


ELECTION = Timer(TimerKind.ELECTION)
"""A node that has not received from a leader campaigns when it fires (§5.2)."""
VOTE_LEASE = Timer(TimerKind.VOTE_LEASE)
"""The vote lease: until it fires a follower refuses to vote against its leader (dissertation §4.2.3)."""
HEARTBEAT = Timer(TimerKind.HEARTBEAT)
"""The leader's next heartbeat round is due when it fires."""
QUORUM = Timer(TimerKind.QUORUM)
"""A leader without a quorum steps down when it fires (check-quorum, dissertation §6.2)."""
TRANSFER = Timer(TimerKind.TRANSFER)
"""A leadership transfer that has not finished when it fires is cancelled."""


def lease(round: int) -> Timer:
    """The timer of the lease of heartbeat round ``round``, counted from when it was sent (dissertation §6.4.1)."""
    return Timer(TimerKind.LEASE, round)


def retry(peer: NodeId) -> Timer:
    """The timer after which an answer from ``peer`` is overdue."""
    return Timer(TimerKind.RETRY, peer)


def stopped_by(cancelled: Timer, running: Collection[Timer]) -> Sequence[Timer]:
    """The running timers that ``CancelTimer(cancelled)`` stops: this one; key 0 stops all of its kind.

    >>> stopped_by(retry(0), (retry(2), HEARTBEAT, retry(3))) == [retry(2), retry(3)], stopped_by(lease(7), ())
    (True, ())
    """
    if cancelled in running:
        return (cancelled,)
    return () if cancelled.key else [one for one in running if one.kind is cancelled.kind]


def delay(config: Config, kind: TimerKind, backoff: int, chance: float) -> float:
    """How many seconds a timer runs on a perfect clock.

    ``backoff`` counts failures in a row; ``chance`` in [0, 1) randomizes the election timeout (§5.2). Only drivers
    call this; the engine knows no durations.
    """
    shortest, longest = config.election_timeout
    match kind:
        case TimerKind.RETRY:  # the most frequent one first
            return min(config.retry_timeout * 2.0 ** min(backoff, 32), max(config.retry_limit, config.retry_timeout))
        case TimerKind.ELECTION:
            return shortest + (longest - shortest) * chance + 2 * longest * backoff
        case TimerKind.VOTE_LEASE:
            return shortest
        case TimerKind.LEASE:
            return shortest * (1 - config.clock_drift)
        case TimerKind.HEARTBEAT:
            return config.heartbeat_interval
        case TimerKind.QUORUM | TimerKind.TRANSFER:
            return longest
        case _:
            assert_never(kind)
