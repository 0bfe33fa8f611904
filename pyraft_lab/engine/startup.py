"""Starting and restarting: what a node may conclude from its disk, and what it may not (Figure 2, §5.1)."""

from itertools import pairwise

from pyraft_lab.engine.commands import RestoreMachine
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.election import campaign, passive_role, resume_leadership
from pyraft_lab.engine.state import Disk, Follower, RaftState
from pyraft_lab.engine.timers import ELECTION, VOTE_LEASE
from pyraft_lab.engine.turn import Turn
from pyraft_lab.engine.types import NO_NODE, NodeId
from pyraft_lab.errors import StorageFailed


def start(id: NodeId, disk: Disk, config: Config) -> RaftState:
    """Volatile state begins anew: nothing is committed but the snapshot, nobody is known to lead (Figure 2)."""
    _refuse_inconsistent(disk)
    done = disk.snapshot.last.index if disk.snapshot else 0
    return RaftState(
        id=id, config=config, disk=disk, stored=disk.log.last, stored_vote=disk.vote, committed=done, applied=done
    )


def _refuse_inconsistent(disk: Disk) -> None:
    """What Raft never writes must not be continued from (openraft's inverted store)."""
    log, snapshot = disk.log, disk.snapshot
    ids = [log.start, *(entry.id for entry in log)]
    if any(b.index != a.index + 1 or b.leader < a.leader for a, b in pairwise(ids)):
        raise StorageFailed("the log has a gap, or its leaders go backwards")
    if log.last.term > disk.vote.term:
        raise StorageFailed(f"the log ends with {log.last}, later than the vote {disk.vote}")
    covered = snapshot.last.index if snapshot else 0
    if log.start.index > covered:
        raise StorageFailed(f"the log is purged up to {log.start}, but the snapshot covers only {covered} entries")
    at = log.id_at(covered)
    if snapshot is not None and at is not None and at != snapshot.last:
        raise StorageFailed(f"log and snapshot disagree at {covered}: {at} and {snapshot.last}")


def boot(turn: Turn) -> None:
    """Start as a follower, never as a leader unless told to restore; a promise of loyalty outlives the crash (§5.2).

    Whoever followed a leader may have prolonged its lease just before; so may have who campaigned on an order.
    """
    snapshot, vote = turn.state.disk.snapshot, turn.vote
    if snapshot is not None:
        if snapshot.last.index > turn.log.last.index:
            turn.purge(snapshot.last)  # a crash came between the two: the snapshot wins
        turn.emit(RestoreMachine(snapshot))
    own, heard_leader = vote.node == turn.id, turn.rules.starts_with_vote_lease(turn.state)
    turn.become(passive_role(turn, vote.node if vote.committed and not own else NO_NODE, heard_leader=heard_leader))
    if heard_leader:
        turn.set_timer(VOTE_LEASE)
    if not isinstance(turn.role, Follower):
        return
    if turn.config.leader_restore and own and vote.committed:
        resume_leadership(turn)
    elif turn.state.is_alone and turn.config.enable_elect:
        campaign(turn, pre_vote=False)
    else:
        turn.set_timer(ELECTION)
