"""One scenario, three worlds: where timing does not decide, simulated and live clusters say the same to each other."""

from collections.abc import Mapping

import pandas as pd
import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from tests.runtime.test_cluster import NETWORKS

ON_REQUEST = Config(
    election_timeout=(10.0, 20.0),
    retry_timeout=30.0,
    retry_limit=30.0,
    enable_heartbeat=False,
    enable_elect=False,
    pre_vote=False,
    check_quorum=False,
    prompt_commit=False,
)
"""No timer has a say: what happens is what somebody asked for."""
WRITES = [{"op": "put", "key": "x", "value": value} for value in range(3)]
Said = Mapping[tuple[int, int], list[tuple[str, int]]]
"""What was said on each link, in order: the kinds of the messages, and how many entries they brought."""


def said(messages: pd.DataFrame) -> Said:
    sent = messages.sort_values(["sent", "id"], kind="stable")
    return {
        (int(str(src)), int(str(dst))): list(
            zip(link.kind.astype(str), link.entries.fillna(0).astype(int), strict=True)
        )
        for (src, dst), link in sent.groupby(["src", "dst"])
    }


def simulated() -> Said:
    """Found, write, hand over, write."""
    sim = Simulation(
        nodes=3, seed=1, config=ON_REQUEST, weather=Weather(latency=(0.001, 0.001), reorder=0), initialize=False
    )
    sim.initialize({1, 2, 3}, at=1)
    settle(sim, 1)
    for command in WRITES:
        sim.write(command, to=1)
        settle(sim, 1)
    sim.transfer(to=2)
    sim.run_until(lambda s: s.leader == 2)
    settle(sim, 2)
    sim.write(WRITES[0], to=2)
    settle(sim, 2)
    return said(sim.trace.messages)


def settle(sim: Simulation, leader: int) -> None:
    """Until all has been said."""
    sim.run(1.0)
    assert sim.leader == leader
    assert len({node.log.last for node in sim.nodes.values()}) == 1


async def live(network: str) -> Said:
    """The same."""
    async with LocalCluster(3, network=network, config=ON_REQUEST) as cluster:
        await told(cluster, 1)
        for command in WRITES:
            await cluster.raft(1).client_write(command)
            await told(cluster, 1)
        await cluster.transfer(2)
        await told(cluster, 2)
        await cluster.raft(2).client_write(WRITES[0])
        await told(cluster, 2)
        return said(cluster.trace.messages)


async def told(cluster: LocalCluster, leader: int) -> None:
    """Until the leader knows that all have all of it."""
    await (
        cluster.raft(leader)
        .wait(20)
        .until(
            lambda now: now.has_committed and {*now.replication.values()} == {now.last_log.index}, "everybody's answers"
        )
    )


@pytest.mark.parametrize("network", NETWORKS)
async def test_a_live_cluster_says_what_a_simulated_one_says(network: str) -> None:
    expected = simulated()
    assert len(expected) == 6
    assert ("AppendRequest", 1) in expected[1, 2]
    assert ("TimeoutNow", 0) in expected[1, 2]
    assert await live(network) == expected
