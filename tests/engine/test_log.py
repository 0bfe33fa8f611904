"""The log's corners; what it does in general is a property (test_properties.py)."""

import pytest

from pyraft_lab.engine.log import CHUNK, Entry, Log, Noop
from pyraft_lab.engine.types import LogId
from tests.engine.builders import entries, id_of, log


@pytest.mark.parametrize("upto", [0, 1, 2])
def test_what_is_purged_is_not_purged_again(upto: int) -> None:
    purged = log([1, 1, 1]).purge(id_of(2))
    assert purged.purge(id_of(upto)) is purged


@pytest.mark.parametrize("upto", [id_of(3), id_of(9, 4), id_of(2, (1, 7))])
def test_nothing_is_left_up_to_the_end_beyond_it_or_on_another_history(upto: LogId) -> None:
    left = log([1, 1, 1]).purge(upto)
    assert (len(left), left.start, left.last, list(left)) == (0, upto, upto, [])
    assert left.append(entries([5], upto.index + 1)).last == id_of(upto.index + 1, 5)


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_chunks_are_shared_between_a_log_and_what_grows_from_it(length: int) -> None:
    before = Log().append([Entry(LogId(1, 1, index), Noop()) for index in range(1, length + 1)])
    after = before.append(entries([1], length + 1))
    assert after.last.index == length + 1
    assert before.last.index == length
    whole = length // CHUNK
    assert all(a is b for a, b in zip(before.chunks[:whole], after.chunks[:whole], strict=True))


def test_only_what_is_here_can_be_looked_up() -> None:
    purged = log([1, 1, 1, 1]).purge(id_of(2))
    assert [purged.id_at(index) for index in range(6)] == [None, None, id_of(2), id_of(3), id_of(4), None]
    for index in (2, 5):
        with pytest.raises(AssertionError, match="only entries between"):
            purged.entry(index)


def test_a_log_has_no_gap_and_keeps_what_a_snapshot_covers() -> None:
    purged = log([1, 1, 1, 1]).purge(id_of(2))
    with pytest.raises(AssertionError, match="without a gap"):
        purged.append(entries([1], 6))
    with pytest.raises(AssertionError, match="never truncated"):
        purged.truncate(1)
