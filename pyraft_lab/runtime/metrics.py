"""What a node reports about itself, and how to wait until that changes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from collections.abc import Set as AbstractSet
from copy import copy
from types import MappingProxyType
from typing import Any, Literal, get_args

from msgspec import Struct

from pyraft_lab.arguments import choice, function, instance, integer, node_id, node_ids, number, text
from pyraft_lab.engine.commands import Alarm
from pyraft_lab.engine.events import AllowRevert
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Leader, RaftState, Reverted, RoleName, Step
from pyraft_lab.engine.types import ORIGIN, Index, LogId, NodeId, Term, Vote
from pyraft_lab.errors import Fatal, Timeout

RoleOrShutdown = Literal[RoleName, "shutdown"]
"""A role, or ``"shutdown"`` after the node's end."""
NONE: Mapping[NodeId, str] = MappingProxyType({})


class Metrics(Struct, frozen=True, kw_only=True):
    """The state of a node at one moment (openraft RaftMetrics).

    ``vote`` is the last one on disk, ``last_log`` the last entry, ``applied`` the last entry the machine has applied.
    ``has_committed`` says whether the leader has committed an entry of its own term; before that it serves no reads.
    ``reverted`` lists a leader's peers that lost entries, with the last entry that each had acknowledged to it (0:
    acknowledged to others); the leader sends them nothing until an operator decides (``trigger.allow_next_revert``).
    ``alarms`` holds what the leader found wrong with voters in this leadership, for example a voter with an empty disk.
    ``replication`` (matched index) and ``heartbeat`` (rounds since the last answer) are a leader's, by peer.
    ``quorum_acked`` is the time at which the leader sent the last round that a quorum answered, in seconds like
    ``time.time()``; if that is long ago, the leader may have been deposed without knowing it.
    """

    id: NodeId
    running: Fatal | None = None
    term: Term = 0
    vote: Vote = Vote()
    role: RoleOrShutdown = "learner"
    leader: NodeId | None = None
    last_log: LogId = ORIGIN
    committed: Index = 0
    has_committed: bool = False
    applied: LogId = ORIGIN
    snapshot: LogId = ORIGIN
    purged: LogId = ORIGIN
    membership: Membership = Membership()
    membership_id: LogId = ORIGIN
    committed_membership: Membership = Membership()
    replication: Mapping[NodeId, Index] = {}
    heartbeat: Mapping[NodeId, int] = {}
    reverted: Mapping[NodeId, Index] = {}
    alarms: Mapping[NodeId, str] = {}
    quorum_acked: float | None = None


def metrics_of(
    state: RaftState,
    applied: LogId,
    over: Fatal | None,
    *,
    began: Callable[[int], float | None],
    raised: Mapping[NodeId, str] = NONE,
) -> Metrics:
    """The metrics of an engine state; a node that has ended has the role ``"shutdown"``.

    ``began(round)`` says when a round was sent, in seconds; ``raised`` are the alarms so far (:func:`alarms_after`).
    """
    role = state.role
    peers = role.progress if isinstance(role, Leader) else ()
    return Metrics(
        id=state.id,
        running=over,
        term=state.term,
        vote=state.stored_vote,
        role=state.role_name if over is None else "shutdown",
        leader=state.leader or None,
        last_log=state.log.last,
        committed=state.committed,
        has_committed=isinstance(role, Leader) and state.committed >= role.noop,
        applied=applied,
        snapshot=state.snapshot_last,
        purged=state.log.start,
        membership=state.membership,
        membership_id=state.membership_id,
        committed_membership=state.committed_membership,
        replication={one.peer: one.matched for one in peers},
        heartbeat={one.peer: role.round - one.last_ack_round for one in peers} if isinstance(role, Leader) else {},
        reverted={one.peer: one.matched for one in peers if isinstance(one.state, Reverted)},
        alarms={peer: what for peer, what in raised.items() if peer in state.membership.voters},
        quorum_acked=began(role.acked_round) if isinstance(role, Leader) else None,
    )


def alarms_after(raised: Mapping[NodeId, str], step: Step) -> Mapping[NodeId, str]:
    """The leader's alarms in this leadership after ``step``, by peer.

    A peer that an operator allows to start again from nothing (``AllowRevert``) is no longer among them.
    """
    if not raised and Alarm not in map(type, step.commands):
        return NONE  # as after nearly every step
    new = {one.peer: one.what for one in step.commands if isinstance(one, Alarm)}
    if not isinstance(step.after.role, Leader):
        return NONE
    allowed = step.event.peer if isinstance(step.event, AllowRevert) else None
    old = {peer: what for peer, what in raised.items() if peer != allowed}
    return {**old, **new} if step.before.vote == step.after.vote else new


def leader_of(metrics: Mapping[NodeId, Metrics]) -> NodeId | None:
    """The leader of the highest term; an older leader may not know yet that it is deposed."""
    leaders = [now for now in metrics.values() if now.role == "leader"]
    newest = max(leaders, key=lambda now: now.term, default=None)
    return newest.id if newest is not None and newest.has_committed else None


def alarms(metrics: Mapping[NodeId, Metrics]) -> tuple[str, ...]:
    """The problems that need an operator, in words; empty if there are none."""
    return tuple(
        words
        for id, now in sorted(metrics.items())
        for words in (
            *(_stands_still(id, peer, upto) for peer, upto in sorted(now.reverted.items())),
            *(f"node {peer} {what}" for peer, what in sorted(now.alarms.items()) if peer not in now.reverted),
        )
    )


def _stands_still(leader: NodeId, peer: NodeId, upto: Index) -> str:
    return (
        f"node {peer} {_lost(upto)}: node {leader} has stopped sending to it. "
        f"If its disk was lost, let it start again from nothing: pyraft-lab client allow-next-revert {peer}"
    )


def _lost(upto: Index) -> str:
    return f"lost acknowledged entries, up to {upto}" if upto else "was a leader and has an empty disk now"


def is_member(node: NodeId, metrics: Mapping[NodeId, Metrics]) -> bool:
    """Whether the newest membership has this node; a removed node is not informed and may still ask for votes."""
    newest = max(metrics.values(), key=lambda now: now.membership_id)
    return node in newest.membership.nodes or not newest.membership.nodes


def has_caught_up(now: Metrics, node: NodeId, lag: int) -> bool:
    """Whether the node lacks at most ``lag`` entries, as this leader knows; nothing is known before it answers."""
    matched = now.replication.get(node, 0)
    return matched > 0 and now.last_log.index - matched <= lag


def has_left(now: Metrics, joint: LogId) -> bool:
    """Whether a joint membership has ended: this node knows that a later membership is committed."""
    return now.membership_id > joint and now.committed >= now.membership_id.index


class Watchers:
    """Pass every change of the metrics to the watchers; intermediate values may be skipped."""

    def __init__(self, current: Callable[[], Metrics]) -> None:
        self._current = current
        self._changes: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Wake the watchers: the metrics may have changed."""
        for change in self._changes:
            change.set()

    async def stream(self) -> AsyncGenerator[Metrics, None]:
        """Yield the metrics now and after every change; ends when the node ends."""
        change = asyncio.Event()
        self._changes.add(change)
        try:
            seen: Metrics | None = None
            while seen is None or seen.running is None:
                change.clear()
                now = self._current()
                if now != seen:
                    seen = now
                    yield now
                    continue
                await change.wait()
        finally:
            self._changes.discard(change)

    async def until(self, predicate: Callable[[Metrics], bool], what: str, seconds: float | None) -> Metrics:
        """The first metrics for which ``predicate`` is true; ``Timeout`` after ``seconds``, or the node's error."""
        try:
            async with asyncio.timeout(seconds):
                async for metrics in self.stream():
                    if predicate(metrics):
                        return metrics
        except TimeoutError:
            raise Timeout(what, seconds or 0.0) from None
        over = self._current().running
        assert over is not None, "the stream ends only with the node"
        raise copy(over)


class Wait:
    """Wait for a node's metrics: ``await raft.wait(2.0).leader()``; each method returns the matching metrics."""

    def __init__(self, until: Callable[[Callable[[Metrics], bool], str], Any]) -> None:
        self._until = until

    async def until(self, predicate: Callable[[Metrics], bool], what: str = "the condition") -> Metrics:
        """Wait until ``predicate(metrics)`` is true; ``what`` names the condition in the error."""
        found: Metrics = await self._until(function("predicate", predicate), text("what", what))
        return found

    async def leader(self, node: NodeId | None = None) -> Metrics:
        """Wait until a leader is known (or until ``node`` is known to lead)."""
        wanted = None if node is None else node_id("node", node)
        return await self.until(lambda now: now.leader is not None and wanted in (None, now.leader), "a leader")

    async def role(self, role: RoleOrShutdown) -> Metrics:
        """Wait until the node has this role; raises ``ConfigError`` if there is no such role."""
        choice("role", role, get_args(RoleOrShutdown))
        return await self.until(lambda now: now.role == role, f"the role {role}")

    async def applied(self, index: Index) -> Metrics:
        """Wait until the state machine has applied the entry at ``index``.

        With ``raft.metrics.last_log.index`` right after a start: until the node has applied its whole log (openraft
        wait_for_recovery). This takes a leader, because the disk does not say which entries were committed.
        """
        integer("index", index)
        return await self.until(lambda now: now.applied.index >= index, f"applying entry {index}")

    async def log(self, index: Index) -> Metrics:
        """Wait until the log reaches ``index``."""
        integer("index", index)
        return await self.until(lambda now: now.last_log.index >= index, f"a log up to {index}")

    async def committed(self, index: Index) -> Metrics:
        """Wait until the node knows that the entry at ``index`` is committed."""
        integer("index", index)
        return await self.until(lambda now: now.committed >= index, f"committing entry {index}")

    async def quorum_acked(self, since: float) -> Metrics:
        """Wait until the node leads and a quorum answered a round sent at ``since`` (as ``time.time()``) or later."""
        number("since", since, most=1e12, unit="seconds since 1970")
        return await self.until(
            lambda now: now.quorum_acked is not None and now.quorum_acked >= since, "a quorum's answers"
        )

    async def voters(self, voters: AbstractSet[NodeId]) -> Metrics:
        """Wait until the effective membership is uniform and has exactly these voters."""
        ids = node_ids("voters", voters)
        goal = (frozenset(ids),)
        return await self.until(lambda now: now.membership.configs == goal, f"the voters {list(ids)}")

    async def snapshot(self, log_id: LogId) -> Metrics:
        """Wait until a snapshot covers ``log_id``."""
        instance("log_id", log_id, LogId)
        return await self.until(lambda now: now.snapshot >= log_id, f"a snapshot up to {log_id}")

    async def purged(self, log_id: LogId) -> Metrics:
        """Wait until the log is purged up to ``log_id``."""
        instance("log_id", log_id, LogId)
        return await self.until(lambda now: now.purged >= log_id, f"a log purged up to {log_id}")
