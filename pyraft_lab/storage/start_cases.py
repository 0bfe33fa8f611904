"""What every storage must give back when a node restarts: vote, log, leaders of the log, membership in force."""

from msgspec.structs import replace

from pyraft_lab.engine.commands import Append, InstallSnapshot, Purge, SaveSnapshot, SaveVote, Truncate
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Configuration, Entry, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.startup import start
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import Index, LogId, Term, Vote
from pyraft_lab.errors import WrongStorage
from pyraft_lab.storage.base import Identity, OwnedStorage
from pyraft_lab.storage.trial import StorageTrial, append, arriving, broken, entry, same, snapshot

DATA = b"the machine"
ONE, TWO, THREE = (Membership.of(voters) for voters in ({1}, {1, 2}, {1, 2, 3}))


async def a_node_that_never_ran_belongs_to_no_cluster(trial: StorageTrial) -> None:
    """No membership, no term, nothing applied."""
    node = await started(trial)
    same("the membership", node.membership, Membership())
    same("term, commit and applied", (node.term, node.committed, node.applied), (0, 0, 0))


async def the_newest_membership_in_the_log_governs(trial: StorageTrial) -> None:
    """The membership before it is the last one known to be committed, needed if the newest is truncated (§6)."""
    await trial.write(SaveVote(Vote(1, 1)), append(1, 1), member(2, ONE), append(3, 150), member(151, TWO))
    await trial.write(append(152, 300), member(301, THREE))
    await governs(trial, THREE, committed=TWO)
    await trial.write(Truncate(300))
    await governs(trial, TWO, committed=ONE)


async def the_membership_of_a_snapshot_governs_where_the_log_has_none(trial: StorageTrial) -> None:
    """After a snapshot replaced the log, its membership counts (§7)."""
    meta = of(TWO, snapshot(9, DATA), since=4)
    await trial.write(SaveVote(Vote(1, 1)), *arriving(meta, DATA, 5), InstallSnapshot(meta))
    await governs(trial, TWO, committed=TWO, since=4)


async def a_membership_that_a_snapshot_covers_stays_in_force(trial: StorageTrial) -> None:
    """Whether or not the log still has the entry that set it: the snapshot holds its id as well."""
    meta = of(TWO, snapshot(6, DATA), since=4)
    await trial.write(SaveVote(Vote(1, 1)), append(1, 1), member(2, ONE), append(3, 3), member(4, TWO), append(5, 8))
    await trial.save(meta, DATA, SaveSnapshot(meta))
    await governs(trial, TWO, committed=TWO, since=4)
    await trial.write(Purge(meta.last))
    await governs(trial, TWO, committed=TWO, since=4)


async def a_membership_after_a_snapshot_governs(trial: StorageTrial) -> None:
    """The log is newer than the snapshot; after a truncation the snapshot's membership is in force again (§6, §7)."""
    meta = of(ONE, snapshot(4, DATA), since=2)
    await trial.write(SaveVote(Vote(1, 1)), append(1, 1), member(2, ONE), append(3, 5), member(6, TWO), append(7, 8))
    await trial.save(meta, DATA, SaveSnapshot(meta), Purge(meta.last))
    await governs(trial, TWO, committed=ONE, since=6)
    await trial.write(Truncate(5))
    await governs(trial, ONE, committed=ONE, since=2)


async def a_vote_in_the_batch_of_a_snapshot_is_kept(trial: StorageTrial) -> None:
    """Vote, entries, snapshot and purge of one step are all kept, and the node restarts from them."""
    meta = snapshot(5, DATA)
    await trial.storage.put_snapshot(meta, DATA)
    await trial.write(append(1, 6), SaveVote(Vote(3, 2, committed=True)), SaveSnapshot(meta), Purge(entry(3).id))
    await trial.holds()
    await trial.holds_bytes(meta, DATA)
    node = await started(trial)
    same("the vote", node.vote, Vote(3, 2, committed=True))
    same("the last entry, commit and applied", (node.log.last.index, node.committed, node.applied), (6, 5, 5))


async def leaders_are_known_after_every_cut(trial: StorageTrial) -> None:
    """The leader of every entry, after cuts at both ends, within a leader's entries and between two leaders (§5.3)."""
    await trial.write(*(append(first, last, term) for first, last, term in ((1, 4, 1), (5, 8, 2), (9, 9, 3))))
    await trial.write(append(10, 16, term=5), SaveVote(Vote(7)))
    for upto, term in ((2, 1), (4, 1), (6, 2), (9, 3), (10, 5)):
        await cut_before(trial, upto, term)
        await trial.holds()
    for after in (14, 10):
        await trial.write(Truncate(after))
        await trial.holds()
    await trial.write(append(11, 12, term=7))
    same("the leaders' first entries", (await trial.holds()).log.runs, (LogId(7, 1, 11),))


async def a_claimed_storage_serves_its_owner_only(trial: StorageTrial) -> None:
    """If a storage can be claimed, another node or cluster is refused, and nothing is lost by that."""
    if not isinstance(trial.storage, OwnedStorage):
        return
    await claimed(trial, Identity(3, "demo"))
    await trial.write(SaveVote(Vote(1, 3)), append(1, 3))
    for other in (Identity(6, "demo"), Identity(3, "other"), Identity(6)):
        await refused(trial, other)
    await claimed(trial, Identity(3))
    await claimed(trial, Identity(3, "demo"))
    await trial.holds()


async def claimed(trial: StorageTrial, identity: Identity) -> None:
    """The storage is opened again, by this node."""
    await trial.storage.close()
    trial.storage = trial.reopen()
    assert isinstance(trial.storage, OwnedStorage), "it was one before"
    await trial.storage.claim(identity)
    await trial.storage.load()


async def refused(trial: StorageTrial, identity: Identity) -> None:
    """The storage is opened by this node, which has to be refused."""
    try:
        await claimed(trial, identity)
    except WrongStorage:
        return
    broken(f"{identity} was let in")


async def cut_before(trial: StorageTrial, upto: Index, term: Term) -> None:
    """A snapshot up to an index, and the log without the entries it covers."""
    meta = snapshot(upto, DATA, term=term)
    await trial.save(meta, DATA, SaveSnapshot(meta), Purge(meta.last))


async def started(trial: StorageTrial) -> RaftState:
    """A node that starts on this disk."""
    return start(1, await trial.restart(), Config())


async def governs(
    trial: StorageTrial, members: Membership, *, committed: Membership, since: Index | None = None
) -> None:
    """A node that starts on this disk has ``members`` in force, set by entry ``since``, after ``committed``."""
    await trial.holds()
    node = await started(trial)
    same("the membership in force", node.membership, members)
    same("the last membership that is committed", node.committed_membership, committed)
    if since is not None:
        same("the entry of the membership in force", node.membership_id, entry(since).id)


def member(index: Index, members: Membership) -> Append:
    """One entry that changes the membership."""
    return Append((Entry(entry(index).id, Configuration(members)),))


def of(members: Membership, meta: SnapshotMeta, *, since: Index) -> SnapshotMeta:
    """The snapshot, with these members set by entry ``since``."""
    return replace(meta, membership=members, membership_id=entry(since).id)


START_CASES = (
    a_node_that_never_ran_belongs_to_no_cluster,
    the_newest_membership_in_the_log_governs,
    the_membership_of_a_snapshot_governs_where_the_log_has_none,
    a_membership_that_a_snapshot_covers_stays_in_force,
    a_membership_after_a_snapshot_governs,
    a_vote_in_the_batch_of_a_snapshot_is_kept,
    leaders_are_known_after_every_cut,
    a_claimed_storage_serves_its_owner_only,
)
