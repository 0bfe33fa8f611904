"""What every storage must do with snapshots (§7): saved, read in chunks, received in chunks, installed."""

import asyncio

from pyraft_lab.engine.commands import InstallSnapshot, Purge, SaveSnapshot, SaveVote, Truncate, WriteChunk
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import ORIGIN, Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.trial import StorageTrial, append, arriving, broken, entry, same, snapshot

OLD, NEW = b"the machine as it was", b"the machine as it is now, and longer"


async def a_saved_snapshot_survives_a_restart(trial: StorageTrial) -> None:
    """Its metadata and every byte of it."""
    meta = snapshot(5, OLD)
    await trial.write(append(1, 8))
    await trial.save(meta, OLD, SaveSnapshot(meta))
    await trial.holds_bytes(meta, OLD)
    await trial.holds()
    await trial.holds_bytes(meta, OLD)


async def a_snapshot_keeps_its_membership(trial: StorageTrial) -> None:
    """Voters of both configurations, learners, addresses and the id of their entry, which the log lost (§7)."""
    members = Membership(configs=(frozenset({1, 2}), frozenset({2, 3})), nodes={2: "two", 9: "nine"})
    plain = snapshot(5, OLD)
    meta = type(plain)(plain.last, members, membership_id=entry(4).id, size=plain.size, checksum=plain.checksum)
    await trial.write(append(1, 8))
    await trial.save(meta, OLD, SaveSnapshot(meta), Purge(meta.last))
    await trial.holds()


async def an_empty_snapshot_is_a_snapshot(trial: StorageTrial) -> None:
    """The state of a machine may be 0 bytes long."""
    meta = snapshot(3, b"")
    await trial.write(append(1, 3))
    await trial.save(meta, b"", SaveSnapshot(meta))
    await trial.holds()
    await trial.holds_bytes(meta, b"")


async def a_large_snapshot_comes_back_whole(trial: StorageTrial) -> None:
    """Three megabytes in which no two blocks are equal."""
    data = b"".join(number.to_bytes(4, "big") for number in range(750_000))
    meta = snapshot(3, data)
    await trial.write(append(1, 3))
    await trial.save(meta, data, SaveSnapshot(meta))
    await trial.holds()
    await trial.holds_bytes(meta, data)


async def a_later_snapshot_replaces_the_earlier(trial: StorageTrial) -> None:
    """Only one snapshot is stored."""
    await saved_twice(trial)
    await trial.holds()
    await trial.holds_bytes(snapshot(6, NEW), NEW)


async def the_snapshot_before_can_be_read_to_its_end(trial: StorageTrial) -> None:
    """A transfer that began with it can finish, until one more snapshot is saved."""
    await saved_twice(trial)
    same("the earlier snapshot", await trial.chunks(snapshot(3, OLD), 5), OLD)


async def two_snapshots_of_one_place_are_told_apart(trial: StorageTrial) -> None:
    """Two snapshots at one index may differ in their bytes, for instance in their order."""
    first, second = snapshot(3, OLD), snapshot(3, NEW)
    await trial.write(append(1, 3))
    await trial.save(first, OLD, SaveSnapshot(first))
    await trial.save(second, NEW, SaveSnapshot(second))
    same("the earlier snapshot", await trial.chunks(first, 5), OLD)
    await trial.holds()
    await trial.holds_bytes(second, NEW)


async def a_staged_snapshot_does_not_count(trial: StorageTrial) -> None:
    """Staged bytes become the stored snapshot only by a written batch."""
    old = snapshot(3, OLD)
    await trial.write(append(1, 8))
    await trial.save(old, OLD, SaveSnapshot(old))
    await trial.storage.put_snapshot(snapshot(6, NEW), NEW)
    await trial.holds()
    await trial.holds_bytes(old, OLD)


async def a_snapshot_that_is_not_here_has_no_chunks(trial: StorageTrial) -> None:
    """``None`` makes the sender start again with the stored one."""
    await saved_twice(trial)
    for meta in (snapshot(4, OLD), snapshot(6, OLD)):
        same("an unknown snapshot's chunk", await trial.storage.read_chunk(meta, 0, 10), None)


async def a_chunk_beyond_the_end_is_empty(trial: StorageTrial) -> None:
    """A chunk that reaches beyond the end is shorter."""
    await saved_twice(trial)
    meta = snapshot(6, NEW)
    same("after the end", await trial.storage.read_chunk(meta, len(NEW), 10), b"")
    same("across the end", await trial.storage.read_chunk(meta, len(NEW) - 3, 10), NEW[-3:])


async def a_snapshot_without_its_bytes_is_refused(trial: StorageTrial) -> None:
    """Without staged bytes the state of the machine would be lost."""
    await trial.write(append(1, 8))
    await trial.refuses(SaveSnapshot(snapshot(5, OLD)), Purge(entry(5).id))
    await trial.holds()


async def a_snapshot_with_other_bytes_is_refused(trial: StorageTrial) -> None:
    """At the latest when the batch is written."""
    meta = snapshot(5, OLD)
    await trial.write(append(1, 8))
    try:
        await trial.storage.put_snapshot(meta, NEW)
        await trial.storage.write((SaveSnapshot(meta),))
    except StorageFailed:
        await trial.holds()
    else:
        broken("bytes with another checksum became the stored snapshot")


async def a_snapshot_that_leaves_a_gap_is_refused(trial: StorageTrial) -> None:
    """An older snapshot would leave a gap before the first entry of the log."""
    new, old = snapshot(6, NEW), snapshot(3, OLD)
    await trial.write(append(1, 8))
    await trial.save(new, NEW, SaveSnapshot(new), Purge(new.last))
    await trial.storage.put_snapshot(old, OLD)
    await trial.refuses(SaveSnapshot(old))
    await trial.holds()


async def a_snapshot_of_what_the_log_lacks_is_refused(trial: StorageTrial) -> None:
    """A machine cannot have applied more than its log: such a snapshot is of another disk."""
    meta = snapshot(9, NEW)
    await trial.write(append(1, 8))
    await trial.storage.put_snapshot(meta, NEW)
    await trial.refuses(SaveSnapshot(meta))
    await trial.holds()


async def an_arrived_snapshot_replaces_an_empty_log(trial: StorageTrial) -> None:
    """A new follower starts from a snapshot (§7)."""
    await installed(trial, 9)
    same("the log", (trial.expected.log.start, len(trial.expected.log)), (entry(9).id, 0))


async def an_arrived_snapshot_keeps_what_follows_it(trial: StorageTrial) -> None:
    """Later entries stay if the log holds the last entry it covers (Figure 13, rule 6)."""
    await trial.write(append(1, 10))
    await installed(trial, 4)
    same("the log", (trial.expected.log.start, len(trial.expected.log)), (entry(4).id, 6))


async def an_arrived_snapshot_of_another_history_empties_the_log(trial: StorageTrial) -> None:
    """If the log conflicts with it, the whole log is discarded (Figure 13, rule 7)."""
    await trial.write(append(1, 10))
    meta = snapshot(4, NEW, term=2)
    await trial.write(*arriving(meta, NEW, 7))
    await trial.write(InstallSnapshot(meta), append(5, 6, term=2))
    await trial.holds()


async def chunks_and_installation_may_share_a_batch(trial: StorageTrial) -> None:
    """Group commit may write all chunks of a snapshot in one batch."""
    meta = snapshot(9, NEW)
    await trial.write(SaveVote(Vote(1, 2, committed=True)), *arriving(meta, NEW, 10), InstallSnapshot(meta))
    await trial.holds()
    await trial.holds_bytes(meta, NEW)


async def an_empty_snapshot_can_arrive(trial: StorageTrial) -> None:
    """It comes as one chunk of 0 bytes."""
    meta = snapshot(9, b"")
    await trial.write(*arriving(meta, b"", 10), InstallSnapshot(meta))
    await trial.holds()
    await trial.holds_bytes(meta, b"")


async def a_chunk_at_zero_starts_over(trial: StorageTrial) -> None:
    """Another leader may send another snapshot: a chunk at offset 0 starts it."""
    old, new = snapshot(5, OLD), snapshot(9, NEW)
    await trial.write(*arriving(old, OLD, 6)[:-1])
    await trial.write(*arriving(new, NEW, 6), InstallSnapshot(new))
    await trial.holds()
    await trial.holds_bytes(new, NEW)


async def a_chunk_may_come_twice(trial: StorageTrial) -> None:
    """When a response is lost the leader sends the chunk again."""
    meta = snapshot(9, NEW)
    chunks = arriving(meta, NEW, 10)
    await trial.write(*chunks[:2])
    await trial.write(*chunks[1:], InstallSnapshot(meta))
    await trial.holds()
    await trial.holds_bytes(meta, NEW)


async def a_gap_between_chunks_is_refused(trial: StorageTrial) -> None:
    """The missing bytes never arrived."""
    meta = snapshot(9, NEW)
    await trial.refuses(WriteChunk(meta, 0, NEW[:5]), WriteChunk(meta, 8, NEW[8:]))
    await trial.holds()


async def an_unfinished_arrival_is_not_installed(trial: StorageTrial) -> None:
    """Log and snapshot stay as they were."""
    old, new = snapshot(3, OLD), snapshot(9, NEW)
    await trial.write(append(1, 5))
    await trial.save(old, OLD, SaveSnapshot(old), Purge(old.last))
    await trial.refuses(*arriving(new, NEW, 10)[:-1], InstallSnapshot(new))
    await trial.holds()
    await trial.holds_bytes(old, OLD)


async def a_corrupted_arrival_is_not_installed(trial: StorageTrial) -> None:
    """The checksum decides, not the length."""
    meta = snapshot(9, NEW)
    await trial.write(append(1, 5))
    await trial.refuses(*arriving(meta, NEW[::-1], 10), InstallSnapshot(meta))
    await trial.holds()


async def an_arrival_does_not_disturb_what_is_stored(trial: StorageTrial) -> None:
    """Until it is installed it can be abandoned at any time, also by a restart."""
    old, new = snapshot(3, OLD), snapshot(9, NEW)
    await trial.write(append(1, 5))
    await trial.save(old, OLD, SaveSnapshot(old))
    await trial.write(*arriving(new, NEW, 10))
    await trial.holds_bytes(old, OLD)
    await trial.holds()
    await trial.holds_bytes(old, OLD)


async def a_refused_batch_keeps_the_old_snapshot(trial: StorageTrial) -> None:
    """A snapshot is part of its batch, as any other command."""
    old, new = snapshot(3, OLD), snapshot(6, NEW)
    await trial.write(append(1, 8))
    await trial.save(old, OLD, SaveSnapshot(old))
    await trial.storage.put_snapshot(new, NEW)
    await trial.refuses(SaveSnapshot(new), Purge(new.last), append(20, 20))
    await trial.holds()
    await trial.holds_bytes(old, OLD)


async def a_snapshot_goes_from_one_storage_to_another(trial: StorageTrial) -> None:
    """Read in chunks here, written in chunks there: the same snapshot."""
    await saved_twice(trial)
    meta = snapshot(6, NEW)
    async with StorageTrial(trial.fresh) as follower:
        for offset in range(0, meta.size, 9):
            chunk = await trial.storage.read_chunk(meta, offset, 9)
            await follower.write(WriteChunk(meta, offset, chunk or b""))
        await follower.write(InstallSnapshot(meta))
        await follower.holds()
        await follower.holds_bytes(meta, NEW)


async def chunks_can_be_read_while_a_batch_is_written(trial: StorageTrial) -> None:
    """A leader sends to a slow follower and keeps writing."""
    await saved_twice(trial)
    reading = trial.chunks(snapshot(6, NEW), 4)
    data, _ = await asyncio.gather(reading, trial.write(append(9, 200)))
    same("the bytes", data, NEW)
    await trial.holds()


async def the_log_continues_after_an_installed_snapshot(trial: StorageTrial) -> None:
    """Append, truncate and purge work from the new beginning of the log."""
    await installed(trial, 9)
    await trial.write(append(10, 14, term=2), Truncate(12), Purge(ORIGIN))
    await trial.holds()
    await trial.refuses(append(15, 15, term=2))
    await trial.holds()


async def saved_twice(trial: StorageTrial) -> None:
    """Eight entries, a snapshot at 3, then one at 6 with the log purged."""
    old, new = snapshot(3, OLD), snapshot(6, NEW)
    await trial.write(append(1, 8))
    await trial.save(old, OLD, SaveSnapshot(old))
    await trial.save(new, NEW, SaveSnapshot(new), Purge(new.last))


async def installed(trial: StorageTrial, last: int) -> None:
    """A snapshot that arrived in chunks and was installed."""
    meta = snapshot(last, NEW)
    for chunk in arriving(meta, NEW, 10):
        await trial.write(chunk)
    await trial.write(InstallSnapshot(meta))
    await trial.holds_bytes(meta, NEW)
    await trial.holds()


SNAPSHOT_CASES = (
    a_saved_snapshot_survives_a_restart,
    a_snapshot_keeps_its_membership,
    an_empty_snapshot_is_a_snapshot,
    a_large_snapshot_comes_back_whole,
    a_later_snapshot_replaces_the_earlier,
    the_snapshot_before_can_be_read_to_its_end,
    two_snapshots_of_one_place_are_told_apart,
    a_staged_snapshot_does_not_count,
    a_snapshot_that_is_not_here_has_no_chunks,
    a_chunk_beyond_the_end_is_empty,
    a_snapshot_without_its_bytes_is_refused,
    a_snapshot_with_other_bytes_is_refused,
    a_snapshot_that_leaves_a_gap_is_refused,
    a_snapshot_of_what_the_log_lacks_is_refused,
    an_arrived_snapshot_replaces_an_empty_log,
    an_arrived_snapshot_keeps_what_follows_it,
    an_arrived_snapshot_of_another_history_empties_the_log,
    chunks_and_installation_may_share_a_batch,
    an_empty_snapshot_can_arrive,
    a_chunk_at_zero_starts_over,
    a_chunk_may_come_twice,
    a_gap_between_chunks_is_refused,
    an_unfinished_arrival_is_not_installed,
    a_corrupted_arrival_is_not_installed,
    an_arrival_does_not_disturb_what_is_stored,
    a_refused_batch_keeps_the_old_snapshot,
    a_snapshot_goes_from_one_storage_to_another,
    chunks_can_be_read_while_a_batch_is_written,
    the_log_continues_after_an_installed_snapshot,
)
