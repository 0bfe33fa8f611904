"""What every storage must do when a log is truncated at its end (§5.3) or purged at its beginning (§7)."""

from pyraft_lab.engine.commands import InstallSnapshot, Purge, SaveSnapshot, SaveVote, Truncate
from pyraft_lab.engine.types import ORIGIN, Index, Vote
from pyraft_lab.storage.trial import StorageTrial, append, arriving, entry, same, snapshot

DATA = b"the machine"


async def every_id_can_be_looked_up(trial: StorageTrial) -> None:
    """The id of every entry, and of the last purged one; ``None`` for every other index."""
    await purged(trial, 4)
    log = (await trial.holds()).log
    same("ids", [log.id_at(index) for index in (3, 4, 5, 10, 11)], [None, *(entry(at).id for at in (4, 5, 10)), None])


async def every_range_is_exact(trial: StorageTrial) -> None:
    """A slice holds the entries of its range that the log has, no others."""
    await purged(trial, 4)
    log = (await trial.holds()).log
    for first, stop in ((1, 12), (5, 6), (6, 9), (9, 99), (11, 12), (7, 7)):
        here = range(max(first, 5), min(stop, 11))
        same(f"range {first} to {stop}", log.slice(first, stop), tuple(entry(index) for index in here))


async def truncating_after_zero_empties_the_log(trial: StorageTrial) -> None:
    """A follower's whole log may conflict with the leader's (§5.3)."""
    await truncated(trial, 0)


async def truncating_in_the_middle_keeps_the_entries_before(trial: StorageTrial) -> None:
    """Entries up to the index stay, later ones are removed."""
    await truncated(trial, 5)


async def truncating_the_last_entry_removes_one(trial: StorageTrial) -> None:
    """Exactly one entry is removed."""
    await truncated(trial, 9)


async def truncating_after_the_end_changes_nothing(trial: StorageTrial) -> None:
    """There is nothing to remove, and that is no error."""
    await truncated(trial, 10)
    await truncated(trial, 99)


async def truncated_entries_never_come_back(trial: StorageTrial) -> None:
    """After a shorter new tail the old entries beyond it must not reappear."""
    await trial.write(append(1, 10))
    await trial.write(Truncate(4))
    await trial.write(append(5, 5, term=2))
    await trial.holds()


async def a_conflicting_tail_is_replaced_in_one_batch(trial: StorageTrial) -> None:
    """Truncation and the leader's entries are written in one batch (§5.3)."""
    await trial.write(append(1, 10))
    await trial.write(Truncate(4), append(5, 12, term=2), SaveVote(Vote(2, 2, committed=True)))
    await trial.holds()


async def a_tail_replaced_twice_is_the_last_one(trial: StorageTrial) -> None:
    """Two leaders in a row replace the tail within one batch: the last one counts."""
    await trial.write(append(1, 4))
    await trial.write(Truncate(2), append(3, 6, term=2), Truncate(3), append(4, 4, term=3))
    await trial.holds()


async def truncating_into_the_snapshot_is_refused(trial: StorageTrial) -> None:
    """What a snapshot covers is committed and must not be removed."""
    await purged(trial, 5)
    await trial.refuses(Truncate(4))
    await trial.holds()


async def truncating_what_a_snapshot_covers_is_refused(trial: StorageTrial) -> None:
    """Also while its entries are kept for slow followers."""
    meta = snapshot(6, DATA)
    await trial.write(append(1, 10))
    await trial.save(meta, DATA, SaveSnapshot(meta), Purge(entry(2).id))
    await trial.refuses(Truncate(5))
    await trial.write(Truncate(6))
    await trial.holds()


async def purging_keeps_the_last_purged_id(trial: StorageTrial) -> None:
    """The log keeps the id of the last purged entry: the next append is checked against it (§7)."""
    await purged(trial, 5)
    await trial.holds()


async def purging_nothing_changes_nothing(trial: StorageTrial) -> None:
    """A purge up to 0, or up to what is purged already."""
    await purged(trial, 5)
    await trial.write(Purge(ORIGIN), Purge(entry(3).id), Purge(entry(5).id))
    await trial.holds()


async def purging_everything_leaves_an_empty_log_with_an_end(trial: StorageTrial) -> None:
    """The end of an empty log is the last purged id."""
    await purged(trial, 10)
    same("the end", (await trial.holds()).log.last, entry(10).id)


async def a_snapshot_beyond_the_end_leaves_an_empty_log(trial: StorageTrial) -> None:
    """An installed snapshot may be ahead of the log: the log then begins after it."""
    await overtaken(trial, 20)
    await trial.holds()


async def a_purged_log_continues_after_its_end(trial: StorageTrial) -> None:
    """The next entry after a purge of everything follows the last purged."""
    await overtaken(trial, 20)
    await trial.write(append(21, 23, term=2))
    await trial.holds()


async def a_purged_log_does_not_start_over(trial: StorageTrial) -> None:
    """An entry at a purged index, or after a gap, is refused."""
    await purged(trial, 10)
    await trial.refuses(append(1, 2))
    await trial.refuses(append(12, 12))
    await trial.holds()


async def purging_without_a_snapshot_is_refused(trial: StorageTrial) -> None:
    """Entries that no snapshot covers would be lost."""
    await trial.write(append(1, 5))
    await trial.refuses(Purge(entry(3).id))
    await trial.holds()


async def a_purged_log_can_be_truncated(trial: StorageTrial) -> None:
    """A log can be cut at both ends, until nothing is left."""
    await purged(trial, 4)
    await trial.write(Truncate(7))
    await trial.holds()
    await trial.write(Truncate(4), append(5, 6, term=2))
    await trial.holds()


async def many_restarts_change_nothing(trial: StorageTrial) -> None:
    """Opening a storage only reads."""
    await purged(trial, 4)
    for _ in range(3):
        await trial.holds()


async def truncated(trial: StorageTrial, after: Index) -> None:
    """Ten entries, truncated after an index."""
    await trial.write(append(len(trial.expected.log) + 1, 10))
    await trial.write(Truncate(after))
    same("the log's end", (await trial.holds()).log.last.index, min(after, 10))


async def purged(trial: StorageTrial, upto: Index) -> None:
    """Ten entries, a snapshot up to an index, and the log purged up to it."""
    meta = snapshot(upto, DATA)
    await trial.write(append(1, 10))
    await trial.save(meta, DATA, SaveSnapshot(meta), Purge(meta.last))


async def overtaken(trial: StorageTrial, last: Index) -> None:
    """Ten entries, and an installed snapshot whose last index may be beyond them."""
    meta = snapshot(last, DATA)
    await trial.write(append(1, 10))
    await trial.write(*arriving(meta, DATA, 4), InstallSnapshot(meta))


CUT_CASES = (
    every_id_can_be_looked_up,
    every_range_is_exact,
    truncating_after_zero_empties_the_log,
    truncating_in_the_middle_keeps_the_entries_before,
    truncating_the_last_entry_removes_one,
    truncating_after_the_end_changes_nothing,
    truncated_entries_never_come_back,
    a_conflicting_tail_is_replaced_in_one_batch,
    a_tail_replaced_twice_is_the_last_one,
    truncating_into_the_snapshot_is_refused,
    truncating_what_a_snapshot_covers_is_refused,
    purging_keeps_the_last_purged_id,
    purging_nothing_changes_nothing,
    purging_everything_leaves_an_empty_log_with_an_end,
    a_snapshot_beyond_the_end_leaves_an_empty_log,
    a_purged_log_continues_after_its_end,
    a_purged_log_does_not_start_over,
    purging_without_a_snapshot_is_refused,
    a_purged_log_can_be_truncated,
    many_restarts_change_nothing,
)
