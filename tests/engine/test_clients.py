"""What clients may conclude from an answer, and from none (dissertation §6.3)."""

import pytest

from pyraft_lab.engine.commands import NotLeading, Reason
from pyraft_lab.engine.log import Entry
from tests.engine.cluster import Cluster


@pytest.mark.row("CL-01")
@pytest.mark.parametrize("reaches", [False, True])
def test_a_write_whose_leader_died_may_have_happened_and_happens_once_at_most(*, reaches: bool) -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.write("x")
    cluster.run(lambda flight: not reaches or flight.src != 1, slow=[1])
    cluster.crash(1)
    if not reaches:
        cluster.lose()
    cluster.run()
    assert cluster.outcomes == {1: "unknown"}
    cluster.restart(1)
    cluster.elect(2)
    cluster.beat()
    cluster.retry()
    assert all(node.machine == ([b"x"] if reaches else []) for node in cluster.nodes.values())


@pytest.mark.row("CL-02")
def test_who_was_told_that_nobody_took_it_may_try_again_without_fear() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    turn = cluster.write("x", to=2)
    assert cluster.outcomes == {1: NotLeading(1, Reason.NOT_LEADER)}
    assert turn.after == turn.before
    cluster.write("x", to=1, first=2)
    cluster.run()
    assert isinstance(cluster.outcomes[2], Entry)
    assert all(node.machine == [b"x"] for node in cluster.nodes.values())
