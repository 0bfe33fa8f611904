"""openraft's own suite for storages, case by case, and the promises here that ask for the same.

Its cases try a log store and a state machine together. Here a machine lives in memory and is made from snapshot and
log, so what is asked of a machine's membership is asked of the snapshot's; what only a machine does is in the named
tests of machines and of starting nodes.
"""

from msgspec import Struct


class Row(Struct, frozen=True, kw_only=True):
    """A case of theirs: ``promises`` of storages, ``tests`` of other rooms, or the reason why it does not apply."""

    name: str
    promises: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    reason: str = ""


def kept(name: str, *promises: str) -> Row:
    return Row(name=name, promises=promises)


def tested(name: str, *tests: str) -> Row:
    return Row(name=name, tests=tests)


RESTART, MACHINE = "tests/engine/test_restart.py", "tests/test_machine.py"
INCONSISTENT = f"{RESTART}::test_a_disk_that_raft_cannot_have_written_is_refused"

ROWS = (
    kept("last_membership_in_log_initial", "a node that never ran belongs to no cluster"),
    kept("last_membership_in_log", "the newest membership in the log governs"),
    kept(
        "last_membership_in_log_multi_step", "memberships are found again", "the newest membership in the log governs"
    ),
    kept("get_membership_initial", "a node that never ran belongs to no cluster"),
    kept("get_membership_from_log_and_empty_sm", "the newest membership in the log governs"),
    kept("get_membership_from_empty_log_and_sm", "the membership of a snapshot governs where the log has none"),
    kept("get_membership_from_log_le_sm_last_applied", "a membership that a snapshot covers stays in force"),
    kept("get_membership_from_log_gt_sm_last_applied_1", "a membership after a snapshot governs"),
    kept("get_membership_from_log_gt_sm_last_applied_2", "the newest membership in the log governs"),
    kept(
        "get_initial_state_without_init",
        "an empty storage holds nothing",
        "a node that never ran belongs to no cluster",
    ),
    kept(
        "get_initial_state_membership_from_empty_log_and_sm",
        "the membership of a snapshot governs where the log has none",
        "a snapshot keeps its membership",
    ),
    kept("get_initial_state_membership_from_sm_inlog_is_smaller", "a membership that a snapshot covers stays in force"),
    kept("get_initial_state_membership_from_log_insm_is_smaller", "a membership after a snapshot governs"),
    kept("get_initial_state_with_state", "a vote in the batch of a snapshot is kept"),
    kept("get_initial_state_last_log_gt_sm", "a vote in the batch of a snapshot is kept"),
    kept("get_initial_state_last_log_lt_sm", "a snapshot beyond the end leaves an empty log"),
    tested("get_initial_state_inverted_log_order", INCONSISTENT),
    tested("get_initial_state_conflict_at_same_index", INCONSISTENT),
    kept("get_initial_state_log_ids", "entries keep who made them", "leaders are known after every cut"),
    tested(
        "get_initial_state_re_apply_committed",
        f"{RESTART}::test_nothing_beyond_the_snapshot_is_applied_before_a_leader_says_so",
    ),
    kept("save_vote", "a vote survives a restart"),
    kept("get_log_entries", "every range is exact"),
    kept("limited_get_log_entries", "a limited read is never empty"),
    Row(
        name="leader_bounded_stream",
        reason="A leader sends from memory, which no other leader changes while it leads.",
    ),
    kept("entries_stream", "every range is exact"),
    kept("try_get_log_entry", "every id can be looked up", "every range is exact"),
    Row(
        name="log_reader_reads_new_entries",
        reason="A storage hands out its log once, at the start; there are no readers that could fall behind.",
    ),
    kept("initial_logs", "an empty storage holds nothing"),
    kept(
        "get_log_state",
        "appended entries survive a restart",
        "purging everything leaves an empty log with an end",
        "a snapshot beyond the end leaves an empty log",
    ),
    kept("get_log_id", "every id can be looked up"),
    kept("last_id_in_log", "appended entries survive a restart", "purging everything leaves an empty log with an end"),
    kept("last_applied_state", "a saved snapshot survives a restart", "a snapshot keeps its membership"),
    kept("purge_logs_upto_0", "purging nothing changes nothing"),
    kept("purge_logs_upto_5", "purging keeps the last purged id"),
    kept(
        "purge_logs_upto_20",
        "a snapshot beyond the end leaves an empty log",
        "a purged log continues after its end",
    ),
    kept("delete_logs_after_11", "truncating after the end changes nothing"),
    kept("delete_logs_after_5", "truncating in the middle keeps the entries before"),
    kept("delete_logs_after_0", "truncating after zero empties the log"),
    kept("delete_logs_after_none", "truncating after the end changes nothing"),
    kept("append_to_log", "many batches make one log", "an entry after a gap is refused"),
    kept("snapshot_meta", "a saved snapshot survives a restart", "a snapshot keeps its membership"),
    kept("snapshot_meta_optional", "an empty snapshot is a snapshot"),
    tested("apply_single", f"{MACHINE}::test_the_table_does_what_it_is_told"),
    tested("apply_multiple", f"{MACHINE}::test_the_table_does_what_it_is_told"),
    kept("transfer_snapshot", "a snapshot goes from one storage to another"),
)
