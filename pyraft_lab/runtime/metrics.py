"""What a node says about itself, and how to wait for it to say something else."""

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
"""A role, or that there is none any more."""
NONE: Mapping[NodeId, str] = MappingProxyType({})


class Metrics(Struct, frozen=True, kw_only=True):
    """One moment of a node (openraft RaftMetrics).

    ``vote`` is the last one on disk, ``last_log`` the last entry, ``applied`` what the machine has carried out,
    ``has_committed`` whether a leader has committed an entry of its own term, without which it serves no reads;
    ``reverted`` are a leader's peers that lost entries, with the last that they had acknowledged to it (0: what they
    acknowledged to others): they are sent nothing until an operator decides (``trigger.allow_next_revert``).
    ``alarms`` are what a leader found odd about voters in this leadership: a voter that holds nothing, for one.
    ``replication`` (matched index) and ``heartbeat`` (rounds since the last answer) are a leader's, by peer, and so is
    ``quorum_acked``: when the last round was sent that a quorum answered, in seconds as ``time.time()`` counts them. A
    leader for whom that is long ago may have been deposed without knowing.
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
    """The metrics of a state; a node that is over has no role any more.

    ``began`` says when a round was sent, ``raised`` are the alarms so far (:func:`alarms_after`).
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
    """What the leader has raised alarms about in this leadership, by peer, once ``step`` is done.

    A peer that an operator allows to start again from nothing (``AllowRevert``) is no longer in it.
    """
    new = {one.peer: one.what for one in step.commands if isinstance(one, Alarm)}
    if not isinstance(step.after.role, Leader):
        return NONE
    allowed = step.event.peer if isinstance(step.event, AllowRevert) else None
    old = {peer: what for peer, what in raised.items() if peer != allowed}
    return {**old, **new} if step.before.vote == step.after.vote else new


def leader_of(metrics: Mapping[NodeId, Metrics]) -> NodeId | None:
    """Of those who say they lead, the one in the highest term; an old one may not know better yet."""
    leaders = [now for now in metrics.values() if now.role == "leader"]
    newest = max(leaders, key=lambda now: now.term, default=None)
    return newest.id if newest is not None and newest.has_committed else None


def alarms(metrics: Mapping[NodeId, Metrics]) -> tuple[str, ...]:
    """What an operator has to see to, in words; empty where all is well."""
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
        f"node {peer} {_lost(upto)}: node {leader} sends it nothing more. "
        f"If its disk was lost, let it begin again: pyraft-lab client allow-next-revert {peer}"
    )


def _lost(upto: Index) -> str:
    return f"lost entries that it had acknowledged, up to {upto}" if upto else "has led and holds nothing any more"


def is_member(node: NodeId, metrics: Mapping[NodeId, Metrics]) -> bool:
    """Whether the newest membership names the node; one that was removed is not told, and goes on asking for votes."""
    newest = max(metrics.values(), key=lambda now: now.membership_id)
    return node in newest.membership.nodes or not newest.membership.nodes


def has_left(now: Metrics, joint: LogId) -> bool:
    """Whether a joint membership has ended: a later one is committed, as far as this node knows."""
    return now.membership_id > joint and now.committed >= now.membership_id.index


class Watchers:
    """Hands every change of the metrics to who watches; intermediate values may be skipped."""

    def __init__(self, current: Callable[[], Metrics]) -> None:
        self._current = current
        self._changes: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Something may have changed."""
        for change in self._changes:
            change.set()

    async def stream(self) -> AsyncGenerator[Metrics, None]:
        """The metrics now, and after every change; ends when the node does."""
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
        """The first metrics of which ``predicate`` is true; ``Timeout``, or what ended the node."""
        try:
            async with asyncio.timeout(seconds):
                async for metrics in self.stream():
                    if predicate(metrics):
                        return metrics
        except TimeoutError:
            raise Timeout(what, seconds or 0.0) from None
        over = self._current().running
        assert over is not None, "the stream ends with the node only"
        raise copy(over)


class Wait:
    """Waits for a node's metrics: ``await raft.wait(2.0).leader()``; each returns the metrics that satisfied it."""

    def __init__(self, until: Callable[[Callable[[Metrics], bool], str], Any]) -> None:
        self._until = until

    async def until(self, predicate: Callable[[Metrics], bool], what: str = "what was waited for") -> Metrics:
        """Until ``predicate(metrics)`` is true."""
        found: Metrics = await self._until(function("predicate", predicate), text("what", what))
        return found

    async def leader(self, node: NodeId | None = None) -> Metrics:
        """Until somebody (or ``node``) is known to lead."""
        wanted = None if node is None else node_id("node", node)
        return await self.until(lambda now: now.leader is not None and wanted in (None, now.leader), "a leader")

    async def role(self, role: RoleOrShutdown) -> Metrics:
        """Until the node has this role; ``ConfigError`` where there is none of that name."""
        choice("role", role, get_args(RoleOrShutdown))
        return await self.until(lambda now: now.role == role, f"the role {role}")

    async def applied(self, index: Index) -> Metrics:
        """Until the machine has carried out the entry at ``index``.

        With ``raft.metrics.last_log.index`` right after a start: until it has all that it had (openraft
        wait_for_recovery), which takes a leader, for a disk does not say what was committed.
        """
        integer("index", index)
        return await self.until(lambda now: now.applied.index >= index, f"applying entry {index}")

    async def log(self, index: Index) -> Metrics:
        """Until the log reaches ``index``."""
        integer("index", index)
        return await self.until(lambda now: now.last_log.index >= index, f"a log up to {index}")

    async def committed(self, index: Index) -> Metrics:
        """Until the node knows the entry at ``index`` to be committed."""
        integer("index", index)
        return await self.until(lambda now: now.committed >= index, f"committing entry {index}")

    async def quorum_acked(self, since: float) -> Metrics:
        """Until the node leads and a quorum has answered a round sent at ``since`` (``time.time()``) or later."""
        number("since", since, most=1e12, unit="seconds since 1970")
        return await self.until(
            lambda now: now.quorum_acked is not None and now.quorum_acked >= since, "a quorum's answers"
        )

    async def voters(self, voters: AbstractSet[NodeId]) -> Metrics:
        """Until the effective membership is uniform and has exactly these voters."""
        ids = node_ids("voters", voters)
        goal = (frozenset(ids),)
        return await self.until(lambda now: now.membership.configs == goal, f"the voters {list(ids)}")

    async def snapshot(self, log_id: LogId) -> Metrics:
        """Until a snapshot covers ``log_id``."""
        instance("log_id", log_id, LogId)
        return await self.until(lambda now: now.snapshot >= log_id, f"a snapshot up to {log_id}")

    async def purged(self, log_id: LogId) -> Metrics:
        """Until the log is purged up to ``log_id``."""
        instance("log_id", log_id, LogId)
        return await self.until(lambda now: now.purged >= log_id, f"a log purged up to {log_id}")
