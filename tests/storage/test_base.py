"""What a batch makes of a disk."""

import pytest

from pyraft_lab.engine.commands import InstallSnapshot, Purge, SaveSnapshot, SaveVote, Truncate
from pyraft_lab.engine.log import Log
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import Vote
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import apply_commands, damage
from pyraft_lab.storage.trial import append, entry, snapshot

FULL = apply_commands(Disk(), [append(1, 10)])
SNAPSHOT = snapshot(5, b"machine")


def test_a_batch_is_the_fold_of_its_commands() -> None:
    disk = apply_commands(FULL, [SaveVote(Vote(2, 1)), Truncate(4), append(5, 6, term=2)])
    assert disk.vote == Vote(2, 1)
    assert tuple(disk.log) == (*append(1, 4).entries, *append(5, 6, term=2).entries)


def test_a_snapshot_of_the_same_batch_may_cover_what_is_purged() -> None:
    disk = apply_commands(FULL, [SaveSnapshot(SNAPSHOT), Purge(SNAPSHOT.last)])
    assert disk.log.start == entry(5).id


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (append(12, 13), "entry T1-N1.12 came where index 11 was due"),
        (Purge(entry(3).id), "no snapshot holds"),
        (SaveSnapshot(snapshot(11, b"")), "cannot have been built"),
    ],
)
def test_a_command_that_does_not_fit_is_refused_in_words(command: Purge, words: str) -> None:
    with pytest.raises(StorageFailed, match=words):
        apply_commands(FULL, [command])


@pytest.mark.parametrize(
    "command", [Truncate(4), SaveSnapshot(snapshot(4, b"")), InstallSnapshot(snapshot(4, b"")), Purge(entry(6).id)]
)
def test_nothing_may_leave_a_hole_after_the_snapshot(command: Truncate) -> None:
    disk = Disk(log=Log(start=entry(5).id, last=entry(5).id), snapshot=SNAPSHOT)
    with pytest.raises(StorageFailed):
        apply_commands(disk, [command])


def test_damage_is_named() -> None:
    assert damage(SNAPSHOT, b"machine") is None
    assert "has 4 bytes and should have 7" in str(damage(SNAPSHOT, b"mach"))
    assert "another checksum" in str(damage(SNAPSHOT, b"enihcam"))
