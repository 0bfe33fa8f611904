"""The hand-driven cluster itself: it elects, writes, loses and catches up."""

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.timers import retry
from tests.engine.builders import terms
from tests.engine.cluster import Cluster


def test_a_cluster_elects_and_writes() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(2)
    cluster.write("a", "b")
    cluster.run()
    assert all(cluster.nodes[id].machine == [b"a", b"b"] for id in (1, 2, 3))
    assert cluster.outcomes[2] == cluster[2].log.entry(3)


def test_a_node_that_was_down_catches_up_by_snapshot() -> None:
    cluster = Cluster(1, 2, 3, config=Config(snapshot_logs_since_last=4, keep_logs=0, snapshot_chunk=3))
    cluster.crash(3)
    cluster.elect(1)
    for request in range(1, 12):
        cluster.write(f"x{request}", first=request)
        cluster.run()
    assert cluster[1].log.start.index > 0
    cluster.restart(3)
    cluster.fire(1, retry(3))
    cluster.run()
    assert cluster.nodes[3].machine == cluster.nodes[1].machine
    assert terms(cluster[3]) == terms(cluster[1])[-len(cluster[3].log) :]
