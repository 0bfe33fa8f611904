"""A live cluster, walked message by message."""

import asyncio

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.network.gate import Held
from pyraft_lab.runtime.cluster import LocalCluster
from tests.runtime.test_cluster import NETWORKS

PLAIN = Config(election_timeout=(2.0, 4.0), pre_vote=False, vote_lease=False)
"""Nobody campaigns unasked, however slow this machine is just now."""


async def awaited(cluster: LocalCluster, kind: str, src: int, dst: int) -> Held:
    """The first message of this kind on this link before the gate."""
    return await asyncio.to_thread(
        cluster.gate.wait, lambda held: (held.kind, held.src, held.dst) == (kind, src, dst), timeout=10
    )


@pytest.mark.parametrize("network", NETWORKS)
async def test_an_election_can_be_walked_message_by_message(network: str) -> None:
    async with LocalCluster(3, network=network, config=PLAIN) as cluster:
        await cluster.client.write({"op": "put", "key": "x", "value": 0})
        old = await cluster.wait_leader()
        settled = cluster.metrics[old].last_log.index
        for node in (1, 2, 3):
            await cluster.raft(node).wait(10).applied(settled)
        new, third = sorted({1, 2, 3} - {old})
        cluster.freeze()
        cluster.gate.close()
        term = cluster.metrics[old].term + 1
        cluster.raft(new).trigger.elect()
        await cluster.raft(new).wait(10).role("candidate")
        cluster.gate.drop((await awaited(cluster, "VoteRequest", new, old)).id)
        cluster.gate.release((await awaited(cluster, "VoteRequest", new, third)).id)
        vote = await awaited(cluster, "VoteResponse", third, new)
        assert cluster.metrics[new].role == "candidate", "the vote is still before the gate"
        cluster.gate.release(vote.id)
        await cluster.raft(new).wait(10).role("leader")
        assert (cluster.metrics[new].term, cluster.metrics[old].term) == (term, term - 1)
        assert cluster.metrics[old].role == "leader", "the old one has not heard of it, and no time has passed for it"
        cluster.gate.open()
        cluster.thaw()
        await cluster.raft(old).wait(10).role("follower")
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
    fates = cluster.trace.messages
    assert set(fates[(fates.kind == "VoteRequest") & (fates.dst == old) & (fates.term == term)].fate) == {"dropped"}
