"""Facts: the parts of a server's step that matter for the safety of Raft.

A step has an event, commands and two states. Figure 3 needs far less: which leader was elected with which log, and
which entries became committed. :mod:`pyraft_lab.sim.safety` says which facts contradict the past.
"""

from collections.abc import Iterator

from msgspec import Struct

from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.log import Entry, Log
from pyraft_lab.engine.state import Candidate, Leader, RaftState, Step
from pyraft_lab.engine.types import Index, LogId, NodeId, Term

LeaderId = tuple[Term, NodeId]
"""The id of a leadership: term and leader."""


class Elected(Struct, frozen=True, tag=True):
    """A leadership started, with this log."""

    leader: LeaderId
    log: Log


class Committed(Struct, frozen=True, tag=True):
    """These entries became committed on this leader or on a server that follows it."""

    node: NodeId
    leader: LeaderId
    entries: tuple[Entry, ...]


class Restored(Struct, frozen=True, tag=True):
    """A snapshot up to ``last`` replaced the beginning of the log."""

    node: NodeId
    last: LogId


class TruncatedByLeader(Struct, frozen=True, tag=True):
    """A leader removed entries of its own log."""

    node: NodeId


class Truncated(Struct, frozen=True, tag=True):
    """A server that does not lead removed entries that conflict with its leader's log."""


class Uncommitted(Struct, frozen=True, tag=True):
    """A server's commit index decreased."""

    node: NodeId
    before: Index
    after: Index


class Forgotten(Struct, frozen=True, tag=True):
    """A server purged entries that its snapshot does not cover."""

    node: NodeId
    upto: LogId


class Halted(Struct, frozen=True, tag=True):
    """A server saw something impossible in a correct cluster, and stopped."""

    node: NodeId
    why: str


Fact = Elected | Committed | Restored | TruncatedByLeader | Truncated | Uncommitted | Forgotten | Halted
Facts = tuple[Fact, ...]


def is_idle(step: Step) -> bool:
    """Whether a message arrived and changed nothing: what such a step does to the state was checked before."""
    return step.before is step.after and type(step.event) is Receive


def is_routine(step: Step) -> bool:
    """Whether a message arrived and neither made a fact nor counted as a vote, as nearly all messages."""
    is_counting = type(step.after.role) is Candidate
    return type(step.event) is Receive and not is_counting and _has_no_facts(step.before, step.after)


def _has_no_facts(before: RaftState, after: RaftState) -> bool:
    """Whether disk, commit index and kind of role are as before: nothing else matters for the safety of Raft."""
    return (
        before.disk is after.disk
        and before.committed == after.committed
        and type(before.role) is type(after.role)
        and not after.halted
    )


def facts_of(step: Step) -> Facts:
    """The facts of one step, in the order in which they are checked; most steps have none."""
    before, after = step.before, step.after
    if _has_no_facts(before, after):
        return ()
    return (*_of_log(before, after), *_of_commit(before, after), *_of_end(before, after))


def _of_log(before: RaftState, after: RaftState) -> Iterator[Fact]:
    leads, goes_on = type(after.role) is Leader, _leads_on(before, after)
    if before.log is not after.log:
        if after.log.start.index < before.log.last.index and not after.log.has(before.log.last):
            yield TruncatedByLeader(after.id) if goes_on else Truncated()
        if after.log.start.index > max(after.snapshot_last.index, before.log.start.index):
            yield Forgotten(after.id, after.log.start)
    if leads and not goes_on:
        yield Elected(_leader(after), after.log)
    if after.snapshot_last != before.snapshot_last:
        yield Restored(after.id, after.snapshot_last)


def _of_commit(before: RaftState, after: RaftState) -> Iterator[Fact]:
    if after.committed > before.committed:
        entries = after.log.slice(before.committed + 1, after.committed + 1)
        yield Committed(after.id, _leader(after), entries)
    elif after.committed < before.committed:
        yield Uncommitted(after.id, before.committed, after.committed)


def _of_end(before: RaftState, after: RaftState) -> Iterator[Fact]:
    if after.halted and not before.halted:
        yield Halted(after.id, after.halted)


def _leads_on(before: RaftState, after: RaftState) -> bool:
    """Whether the same leadership continues; only the ``committed`` flag of its vote may have changed."""
    return type(before.role) is type(after.role) is Leader and _leader(before) == _leader(after)


def _leader(state: RaftState) -> LeaderId:
    return (state.vote.term, state.vote.node)
