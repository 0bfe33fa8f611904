"""A joint change explored to the end: two quorums keep what one would lose."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pyraft_lab.check.explore.bounds import Bounds
from pyraft_lab.check.explore.explorer import explore
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.membership import ChangeLike, Membership
from pyraft_lab.engine.rules import RAFT


def at_once(membership: Membership, change: ChangeLike, retain: bool) -> Membership:  # noqa: FBT001
    """The new voters alone decide, from one entry to the next."""
    joint = membership.change(change, retain)
    return replace(joint, configs=joint.configs[-1:])


@pytest.mark.row("FZ-05", "JC-13")
def test_no_order_of_events_breaks_a_joint_change() -> None:
    start = Membership.of({1}, learners={2, 3})
    report = explore(start, bounds=Bounds(timeouts=2, changes=({2, 3},)))
    assert report.exhausted
    assert not report.broken
    assert report.worlds > 10_000


@pytest.mark.row("FZ-05", "JC-13")
@pytest.mark.parametrize("change", [RAFT.next_membership, at_once])
def test_a_change_in_one_step_loses_what_was_committed(change: Callable[..., Membership]) -> None:
    bounds = Bounds(timeouts=2, changes=({1},), worlds=10_000)
    report = explore(3, engine=raft(replace(RAFT, next_membership=change)), bounds=bounds)
    assert report.broken == ("leader completeness" if change is at_once else "")
