"""Starting and restarting: the state that follows from a node's disk (Figure 2, §5.1)."""

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
    """The state at a start: only the snapshot is known to be committed, no leader is known (Figure 2).

    Raises ``StorageFailed`` if the disk could not have been written by Raft.
    """
    _refuse_inconsistent(disk)
    done = disk.snapshot.last.index if disk.snapshot else 0
    return RaftState(
        id=id, config=config, disk=disk, stored=disk.log.last, stored_vote=disk.vote, committed=done, applied=done
    )


def _refuse_inconsistent(disk: Disk) -> None:
    """Raise ``StorageFailed`` for a disk that Raft never writes (openraft's inverted store)."""
    log, snapshot = disk.log, disk.snapshot
    ids = [log.start, *(entry.id for entry in log)]
    if any(b.index != a.index + 1 or b.leader < a.leader for a, b in pairwise(ids)):
        raise StorageFailed("the log has a gap, or an entry of an earlier leader follows one of a later")
    if log.last.term > disk.vote.term:
        raise StorageFailed(f"the log ends with {log.last}, later than the vote {disk.vote}")
    covered = snapshot.last.index if snapshot else 0
    if log.start.index > covered:
        raise StorageFailed(f"the log is purged up to {log.start}, but the snapshot covers only {covered} entries")
    at = log.id_at(covered)
    if snapshot is not None and at is not None and at != snapshot.last:
        raise StorageFailed(f"log and snapshot disagree at {covered}: {at} and {snapshot.last}")


def boot(turn: Turn) -> None:
    """Start as a follower, or as the leader where the config restores it; a vote lease outlives a crash (§5.2).

    A node that followed a leader may have extended its lease just before; so may one that campaigned on request.
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
