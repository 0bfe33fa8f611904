"""Time without a clock, as far as leases need it: a vote lease outlasts the leader's lease of the round it began with.

::

    leader     round 1 is sent ────── its lease ──────┤ over: only from here on may the follower's run out
    follower          └──▶ heard ─────── its vote lease ───────┤

A follower hears a round after it was sent, and its vote lease is not shorter than the leader's lease (dissertation
§6.4.1): so in every run the one ends before the other. That is the only order of timers that the explorer keeps. A
lease that is restarted, later than its round, has no such bound.
"""

from collections.abc import Iterable

from msgspec import Struct

from pyraft_lab.engine.events import Event, Fire, Receive
from pyraft_lab.engine.messages import AppendRequest, HeartbeatRequest, SnapshotRequest
from pyraft_lab.engine.state import Leader, RaftState
from pyraft_lab.engine.timers import Timer, TimerKind
from pyraft_lab.engine.types import NodeId, Term

WAITING = (TimerKind.VOTE_LEASE, TimerKind.ELECTION)
"""The timers of a follower that run at least as long as its vote lease."""


class Round(Struct, frozen=True):
    """A heartbeat round of a leader; rounds of one leadership are numbered from 1."""

    term: Term
    node: NodeId
    number: int

    def is_over(self, over: Iterable["Round"]) -> bool:
        """Whether ``over`` has this round or a later one of the same leadership."""
        return any((one.term, one.node) == (self.term, self.node) and one.number >= self.number for one in over)


class LeaseOver(Struct, frozen=True, tag=True):
    """Nothing rests any more on the leases of a leader's rounds up to this one."""

    round: Round


def round_heard(event: Event) -> Round | None:
    """The round that an event tells a follower of; ``None`` if it tells of none."""
    match event:
        case Receive(_, (AppendRequest() | HeartbeatRequest() | SnapshotRequest()) as message):
            return Round(message.vote.term, message.vote.node, message.round)
        case _:
            return None


def leases_ended(before: RaftState, after: RaftState | None) -> tuple[LeaseOver, ...]:
    """The leases that end with a leadership; ``after`` is ``None`` if the server has crashed."""
    match before.role:
        case Leader(round=number) if before.config.vote_lease:
            leads_on = after is not None and isinstance(after.role, Leader) and after.term == before.term
            return () if leads_on else (LeaseOver(Round(before.term, before.id, number)),)
        case _:
            return ()


def lease_restarted(before: RaftState, timer: Timer) -> tuple[LeaseOver, ...]:
    """The lease that a timer starts again, after its round was sent: what a follower heard then does not bound it."""
    match before.role:
        case Leader(round=number) if timer.kind is TimerKind.LEASE and timer.key <= number and before.config.vote_lease:
            return (LeaseOver(Round(before.term, before.id, timer.key)),)
        case _:
            return ()


def lease_expired(state: RaftState, event: Event) -> tuple[LeaseOver, ...]:
    """The lease that ends with an event, its timer's."""
    match event:
        case Fire(Timer(TimerKind.LEASE, number)) if state.config.vote_lease:
            return (LeaseOver(Round(state.term, state.id, number)),)
        case _:
            return ()


def with_round(rounds: frozenset[Round], over: Round) -> frozenset[Round]:
    """The last rounds of each leadership whose leases are over, with one more."""
    return rounds if over.is_over(rounds) else frozenset(one for one in rounds if not one.is_over((over,))) | {over}


def may_run_out(timer: Timer, heard: Round | None, over: frozenset[Round]) -> bool:
    """Whether a timer may run out now: those that outlast a vote lease not before the lease of the round heard."""
    return heard is None or timer.kind not in WAITING or heard.is_over(over)
