"""What a node may wait for, and for how long: the engine names timers, drivers run them."""

from enum import StrEnum
from typing import Literal, assert_never

from msgspec import Struct

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.types import NodeId


class TimerKind(StrEnum):
    """What a node may wait for; drivers own the durations (:func:`delay`)."""

    ELECTION = "election"
    VOTE_LEASE = "vote_lease"
    HEARTBEAT = "heartbeat"
    LEASE = "lease"
    QUORUM = "quorum"
    RETRY = "retry"
    TRANSFER = "transfer"


LeaderTimer = Literal[TimerKind.HEARTBEAT, TimerKind.LEASE, TimerKind.QUORUM, TimerKind.RETRY, TimerKind.TRANSFER]
"""What only a leader waits for."""


class Timer(Struct, frozen=True, order=True, array_like=True, gc=False):
    """One timer of one node; ``key`` is the round of a lease or the peer of a retry."""

    kind: TimerKind
    key: int = 0

    def __str__(self) -> str:
        return f"{self.kind}({self.key})" if self.key else str(self.kind)


ELECTION = Timer(TimerKind.ELECTION)
"""No leader heard for long enough: campaign (§5.2)."""
VOTE_LEASE = Timer(TimerKind.VOTE_LEASE)
"""Until it fires a follower refuses to vote against the leader it heard (dissertation §4.2.3)."""
HEARTBEAT = Timer(TimerKind.HEARTBEAT)
"""The leader's next round is due."""
QUORUM = Timer(TimerKind.QUORUM)
"""A leader without a quorum steps down when it fires (check-quorum, dissertation §6.2)."""
TRANSFER = Timer(TimerKind.TRANSFER)
"""A leadership transfer that has not happened by then is off."""


def lease(round: int) -> Timer:
    """The lease that heartbeat round ``round`` buys, counted from when the round was sent (dissertation §6.4.1)."""
    return Timer(TimerKind.LEASE, round)


def retry(peer: NodeId) -> Timer:
    """An answer from ``peer`` is overdue."""
    return Timer(TimerKind.RETRY, peer)


def delay(config: Config, kind: TimerKind, backoff: int, chance: float) -> float:
    """How many seconds a timer runs on a perfect clock; ``chance`` in [0, 1) spreads what must not coincide.

    The one place that gives the engine's timers a length; drivers call it, the engine never does.
    """
    shortest, longest = config.election_timeout
    match kind:
        case TimerKind.ELECTION:
            return shortest + (longest - shortest) * chance + 2 * longest * backoff
        case TimerKind.VOTE_LEASE:
            return shortest
        case TimerKind.LEASE:
            return shortest * (1 - config.clock_drift)
        case TimerKind.HEARTBEAT:
            return config.heartbeat_interval
        case TimerKind.RETRY:
            return min(config.retry_timeout * 2.0 ** min(backoff, 32), max(config.retry_limit, config.retry_timeout))
        case TimerKind.QUORUM | TimerKind.TRANSFER:
            return longest
        case _:
            assert_never(kind)
