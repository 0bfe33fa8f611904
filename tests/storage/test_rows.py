"""The promises of a storage that the behaviour table names, on every storage that comes with the package."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import pytest

from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.conformance import CASES, Case, check, name_of
from pyraft_lab.storage.memory import MemoryStorage
from pyraft_lab.storage.sqlite import SqliteStorage

CASE = {name_of(case): case for case in CASES}


def memory(_: Path) -> Callable[[], Storage]:
    disk = MemoryStorage()
    return lambda: disk


def sqlite(path: Path) -> Callable[[], Storage]:
    return partial(SqliteStorage, mkdtemp(dir=path))


@pytest.mark.parametrize("storage", [memory, sqlite])
@pytest.mark.parametrize(
    "promise",
    [
        pytest.param("an_empty_storage_holds_nothing", marks=pytest.mark.row("ST-01")),
        pytest.param("a_vote_survives_a_restart", marks=pytest.mark.row("ST-02")),
        pytest.param("a_later_vote_replaces_the_earlier", marks=pytest.mark.row("ST-02")),
        pytest.param("every_range_is_exact", marks=pytest.mark.row("ST-03")),
        pytest.param("a_limited_read_is_never_empty", marks=pytest.mark.row("ST-03")),
        pytest.param("truncating_after_zero_empties_the_log", marks=pytest.mark.row("ST-04")),
        pytest.param("truncating_in_the_middle_keeps_the_entries_before", marks=pytest.mark.row("ST-04")),
        pytest.param("truncating_the_last_entry_removes_one", marks=pytest.mark.row("ST-04")),
        pytest.param("truncating_after_the_end_changes_nothing", marks=pytest.mark.row("ST-04")),
        pytest.param("purging_nothing_changes_nothing", marks=pytest.mark.row("ST-05")),
        pytest.param("purging_keeps_the_last_purged_id", marks=pytest.mark.row("ST-05")),
        pytest.param("purging_everything_leaves_an_empty_log_with_an_end", marks=pytest.mark.row("ST-05", "ST-06")),
        pytest.param("a_purged_log_continues_after_its_end", marks=pytest.mark.row("ST-06")),
        pytest.param("a_purged_log_does_not_start_over", marks=pytest.mark.row("ST-06")),
        pytest.param("an_entry_after_a_gap_is_refused", marks=pytest.mark.row("ST-07")),
        pytest.param("memberships_are_found_again", marks=pytest.mark.row("ST-08")),
        pytest.param("a_snapshot_keeps_its_membership", marks=pytest.mark.row("ST-08", "ST-09")),
        pytest.param("a_truncated_membership_is_forgotten", marks=pytest.mark.row("ST-08")),
        pytest.param("a_saved_snapshot_survives_a_restart", marks=pytest.mark.row("ST-09")),
        pytest.param("every_id_can_be_looked_up", marks=pytest.mark.row("ST-10")),
        pytest.param("a_snapshot_goes_from_one_storage_to_another", marks=pytest.mark.row("ST-12")),
    ],
)
async def test_a_storage_keeps_its_promise(
    promise: str, storage: Callable[[Path], Callable[[], Storage]], tmp_path: Path
) -> None:
    case: Case = CASE[promise]
    await check(case, lambda: storage(tmp_path))
