"""What every storage must do with votes, appended entries and batches; the name of each case says it."""

import random

from pyraft_lab.engine.commands import Append, SaveVote, StorageCommand, Truncate
from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal, Payload
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.trial import StorageTrial, append, broken, entry, same


async def an_empty_storage_holds_nothing(trial: StorageTrial) -> None:
    """No vote, no log, no snapshot: the disk of a node that never ran."""
    same("an empty storage", await trial.restart(), Disk())


async def a_vote_survives_a_restart(trial: StorageTrial) -> None:
    """A node that forgets its vote may vote twice in a term, and then two leaders can be elected (§5.2)."""
    await trial.write(SaveVote(Vote(3, 2)))
    await trial.holds()


async def a_later_vote_replaces_the_earlier(trial: StorageTrial) -> None:
    """Only the last vote written is kept."""
    await trial.write(SaveVote(Vote(1, 1)), SaveVote(Vote(2, 2)))
    await trial.write(SaveVote(Vote(2, 2, committed=True)))
    await trial.holds()


async def a_term_without_a_vote_is_kept(trial: StorageTrial) -> None:
    """A node that saw a higher term and voted for nobody remembers the term."""
    await trial.write(SaveVote(Vote(9)))
    await trial.holds()


async def a_vote_and_a_log_do_not_disturb_each_other(trial: StorageTrial) -> None:
    """Neither is lost when the other is written."""
    await trial.write(append(1, 5))
    await trial.write(SaveVote(Vote(2, 3)))
    await trial.write(Truncate(3), append(4, 6, term=2))
    await trial.holds()


async def appended_entries_survive_a_restart(trial: StorageTrial) -> None:
    """What was acknowledged is there, in order, from the first to the last."""
    await trial.write(append(1, 10))
    await trial.holds()


async def many_batches_make_one_log(trial: StorageTrial) -> None:
    """Batches follow each other without a gap."""
    for index in range(1, 21):
        await trial.write(append(index, index))
    await trial.holds()


async def a_long_log_comes_back_whole(trial: StorageTrial) -> None:
    """A thousand entries, appended in uneven batches."""
    for first, last in ((1, 1), (2, 255), (256, 257), (258, 1000)):
        await trial.write(append(first, last))
    await trial.holds()


async def every_payload_comes_back_as_it_was(trial: StorageTrial) -> None:
    """Commands of any bytes and any length, no-ops, joint memberships with addresses."""
    joint = Membership(configs=(frozenset({1, 2, 3}), frozenset({3, 4})), nodes={4: "mqtt://four", 5: "Ω"}, retain=True)
    payloads: tuple[Payload, ...] = (
        Noop(),
        Normal(b""),
        Normal(bytes(range(256))),
        Normal(b"x" * 300_000),
        Configuration(joint),
    )
    await trial.write(Append(tuple(Entry(LogId(1, 1, at), one) for at, one in enumerate(payloads, start=1))))
    await trial.holds()


async def entries_keep_who_made_them(trial: StorageTrial) -> None:
    """Term and node of every entry: elections compare them (§5.4.1)."""
    ids = (LogId(1, 1, 1), LogId(1, 1, 2), LogId(2, 3, 3), LogId(5, 2, 4), LogId(5, 2, 5), LogId(6, 1, 6))
    await trial.write(Append(tuple(Entry(one, Noop()) for one in ids)))
    found = await trial.holds()
    same("the leaders' first entries", found.log.runs, (ids[0], ids[2], ids[3], ids[5]))


async def the_largest_numbers_fit(trial: StorageTrial) -> None:
    """Terms and node ids of 62 bits, as generated ids may have."""
    great = 2**62
    await trial.write(SaveVote(Vote(great, great)), Append((Entry(LogId(great, great, 1), Noop()),)))
    await trial.holds()


async def a_limited_read_is_never_empty(trial: StorageTrial) -> None:
    """A limit in bytes shortens a slice, but never below one entry."""
    await trial.write(append(1, 10))
    log = (await trial.holds()).log
    same("one entry", log.slice(4, 11, max_bytes=0), (entry(4),))
    same("two entries", log.slice(4, 11, max_bytes=7), (entry(4), entry(5)))


async def an_entry_after_a_gap_is_refused(trial: StorageTrial) -> None:
    """A log has no gaps: the Log Matching property relies on it (§5.3)."""
    await trial.write(append(1, 3))
    await trial.refuses(append(5, 6))
    await trial.holds()


async def a_first_entry_beyond_one_is_refused(trial: StorageTrial) -> None:
    """An empty log begins at index 1."""
    await trial.refuses(append(2, 2))
    await trial.holds()


async def an_entry_is_not_overwritten(trial: StorageTrial) -> None:
    """To replace an entry, the log must be truncated first."""
    await trial.write(append(1, 3))
    await trial.refuses(append(3, 4, term=2))
    await trial.holds()


async def a_gap_inside_a_batch_is_refused(trial: StorageTrial) -> None:
    """Indexes go up one by one within a batch as well."""
    await trial.refuses(Append((entry(1), entry(3))))
    await trial.holds()


async def memberships_are_found_again(trial: StorageTrial) -> None:
    """The last membership in the log is the effective one; their places are known after a restart (§6)."""
    first, second = (Configuration(Membership.of(voters)) for voters in ({1}, {1, 2, 3}))
    await trial.write(Append((Entry(LogId(0, 1, 1), first),)), append(2, 300))
    await trial.write(Append((Entry(LogId(1, 1, 301), second),)), append(302, 400))
    same("the places of memberships", (await trial.holds()).log.configs, (1, 301))


async def a_truncated_membership_is_forgotten(trial: StorageTrial) -> None:
    """The node uses the membership before it again (§6)."""
    one = Configuration(Membership.of({1, 2}))
    await trial.write(append(1, 3), Append((Entry(LogId(1, 1, 4), one),)))
    await trial.write(Truncate(3))
    same("the places of memberships", (await trial.holds()).log.configs, ())


async def an_empty_batch_changes_nothing(trial: StorageTrial) -> None:
    """A turn without storage commands is no error."""
    await trial.write(append(1, 2))
    await trial.write()
    await trial.holds()


async def a_refused_batch_writes_nothing(trial: StorageTrial) -> None:
    """All of a batch or none: neither the vote nor the entries before the command that failed."""
    await trial.write(SaveVote(Vote(1, 1)), append(1, 3))
    await trial.refuses(SaveVote(Vote(2, 2)), append(4, 5, term=2), append(9, 9, term=2))
    await trial.holds()


async def a_refused_replacement_keeps_the_old_tail(trial: StorageTrial) -> None:
    """No crash and no failure shows a truncated log without its new entries."""
    await trial.write(append(1, 6))
    await trial.refuses(Truncate(2), append(4, 6, term=2))
    await trial.holds()


async def after_a_failure_nothing_is_written_until_a_restart(trial: StorageTrial) -> None:
    """What a failed disk holds is unknown: a storage never goes on after a failure."""
    await trial.write(append(1, 2))
    for batch in ((append(9, 9),), (append(3, 3),)):
        try:
            await trial.storage.write(batch)
        except StorageFailed:
            continue
        broken(f"a write {'after a failure' if batch[0].entries[0].index == 3 else 'that leaves a gap'} was accepted")
    await trial.holds()


async def a_storage_may_be_closed_twice(trial: StorageTrial) -> None:
    """A second ``close`` does nothing."""
    await trial.write(append(1, 2))
    await trial.storage.close()
    await trial.storage.close()
    await trial.holds()


async def a_random_walk_ends_where_the_model_does(trial: StorageTrial) -> None:
    """Two hundred random batches with restarts between them: the same disk as the pure fold of commands."""
    chance = random.Random(7)
    for turn in range(200):
        await trial.write(*random_batch(chance, trial.expected))
        if turn % 20 == 19:
            await trial.holds()


def random_batch(chance: random.Random, disk: Disk) -> list[StorageCommand]:
    """Up to three commands that fit the disk, one after the other."""
    batch: list[StorageCommand] = []
    for _ in range(chance.randint(1, 3)):
        batch.append(random_command(chance, disk))
        disk = disk.after(batch[-1])
    return batch


def random_command(chance: random.Random, disk: Disk) -> StorageCommand:
    """A vote, a truncation, or (mostly) entries of this term or the next."""
    log, term = disk.log, max(disk.log.last.term, 1)
    match chance.randrange(6):
        case 0:
            return SaveVote(Vote(term + chance.randrange(2), chance.randint(1, 5), chance.random() < 0.5))
        case 1:
            return Truncate(chance.randint(log.start.index, log.last.index + 1))
        case _:
            first = log.last.index + 1
            return append(first, first + chance.randrange(12), term + chance.randrange(2))


LOG_CASES = (
    an_empty_storage_holds_nothing,
    a_vote_survives_a_restart,
    a_later_vote_replaces_the_earlier,
    a_term_without_a_vote_is_kept,
    a_vote_and_a_log_do_not_disturb_each_other,
    appended_entries_survive_a_restart,
    many_batches_make_one_log,
    a_long_log_comes_back_whole,
    every_payload_comes_back_as_it_was,
    entries_keep_who_made_them,
    the_largest_numbers_fit,
    a_limited_read_is_never_empty,
    an_entry_after_a_gap_is_refused,
    a_first_entry_beyond_one_is_refused,
    an_entry_is_not_overwritten,
    a_gap_inside_a_batch_is_refused,
    memberships_are_found_again,
    a_truncated_membership_is_forgotten,
    an_empty_batch_changes_nothing,
    a_refused_batch_writes_nothing,
    a_refused_replacement_keeps_the_old_tail,
    after_a_failure_nothing_is_written_until_a_restart,
    a_storage_may_be_closed_twice,
    a_random_walk_ends_where_the_model_does,
)
