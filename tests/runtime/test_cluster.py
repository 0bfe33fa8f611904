import asyncio
import itertools
import threading
from pathlib import Path

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.membership import RemoveLearners
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import (
    BadCommand,
    ConfigError,
    NetworkFailed,
    NotLeader,
    PyraftError,
    Stopped,
    Timeout,
    UnknownNode,
)
from pyraft_lab.machine import Counter
from pyraft_lab.network import broker
from pyraft_lab.network.codec import Envelope
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.recorder import Level, Recorder
from pyraft_lab.trace.record import Flight, MessageId

CALM = Config(election_timeout=(0.6, 1.2), heartbeat_interval=0.1)
NETWORKS = ["memory", "mqtt"]


@pytest.mark.usefixtures("each_broker")
@pytest.mark.parametrize("network", NETWORKS)
async def test_a_cluster_keeps_what_it_acknowledged_when_its_leader_dies(network: str) -> None:
    async with LocalCluster(3, network=network, config=CALM) as cluster:
        leader = await cluster.wait_leader(20)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        await cluster.kill(leader)
        assert await cluster.wait_leader(20) != leader
        assert await cluster.client.read("x") == 1
        await cluster.client.write({"op": "put", "key": "x", "value": 2})
        await cluster.restart(leader)
        end = cluster.metrics[await cluster.wait_leader(20)].last_log.index
        await cluster.raft(leader).wait(20).applied(end)
        assert await cluster.raft(leader).with_machine(lambda machine: machine.query("x")) == 2


async def test_many_writes_are_answered_in_order() -> None:
    async with LocalCluster(3, machine=Counter, config=CALM) as cluster:
        assert await cluster.client.write_many([1] * 3000) == list(range(1, 3001))


async def test_a_minority_commits_nothing_and_catches_up_when_healed() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        old = await cluster.wait_leader(20)
        others = {1, 2, 3} - {old}
        cluster.partition({old}, others)
        await cluster.raft(old).wait(20).until(lambda now: now.role != "leader", "stepping down")
        assert await cluster.wait_leader(20) in others
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        assert cluster.metrics[old].committed < cluster.metrics[await cluster.wait_leader(20)].committed
        cluster.heal()
        await cluster.raft(old).wait(20).applied(cluster.metrics[await cluster.wait_leader(20)].last_log.index)


@pytest.mark.row("RD-16", "RD-02")
async def test_a_follower_that_waits_for_the_leaders_id_may_serve_the_read() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        leader = await cluster.wait_leader(20)
        follower = cluster.raft(leader % 3 + 1)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        at = await cluster.raft(leader).ensure_linearizable()
        await follower.wait(20).applied(at.index)
        assert await follower.with_machine(lambda machine: machine.query("x")) == 1
        with pytest.raises(NotLeader) as refused:
            await follower.ensure_linearizable()
        assert refused.value.leader == leader


async def test_a_learner_joins_and_becomes_a_voter() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        leader = await cluster.wait_leader(20)
        await cluster.add_learner(4)
        assert cluster.metrics[leader].membership.learners == {4}
        done = await cluster.change_membership({leader, 4})
        assert done.membership is not None
        assert done.membership.configs == (frozenset({leader, 4}),)


async def test_a_change_is_asked_again_while_its_leader_has_no_touch_with_the_quorum() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        leader = await cluster.wait_leader(20)
        for follower in {1, 2, 3} - {leader}:
            cluster.pause(follower)
        for number in itertools.count():  # until the lease is over
            try:
                async with asyncio.timeout(0.1):
                    await cluster.raft(leader).client_write({"op": "put", "key": "x", "value": number})
            except TimeoutError:
                continue
            except NotLeader:
                break
        change = asyncio.create_task(cluster.change_membership({leader}))
        await asyncio.sleep(0.2)
        assert not change.done()
        for follower in {1, 2, 3} - {leader}:
            cluster.resume(follower)
        done = await change
        assert done.membership is not None
        assert done.membership.configs == (frozenset({leader}),)


async def test_a_learner_that_never_answered_has_not_caught_up_however_short_the_log() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        leader = cluster.raft(await cluster.wait_leader(20))
        assert leader.metrics.last_log.index < CALM.learner_lag, "as few entries as nobody would wait for"
        adding = asyncio.create_task(leader.add_learner(4))
        await leader.wait(20).until(lambda now: 4 in now.committed_membership.nodes)
        await leader.write_blank()  # time enough for an answer that does not come
        assert not adding.done()
        await cluster.add_learner(4)
        await adding


async def test_who_waits_for_a_learner_is_let_go_when_it_is_removed() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        leader = cluster.raft(await cluster.wait_leader(20))
        adding = asyncio.create_task(leader.add_learner(4))
        await leader.wait(20).until(lambda now: 4 in now.committed_membership.nodes)
        await leader.change_membership(RemoveLearners(frozenset({4})))
        assert (await adding).membership is not None


async def test_leadership_can_be_handed_over() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        heir = {1, 2, 3}.difference({await cluster.wait_leader(20)}).pop()
        await cluster.transfer(heir)
        assert await cluster.wait_leader(20) == heir


async def test_a_cluster_may_be_used_from_several_loops() -> None:
    seen: list[object] = []
    async with LocalCluster(3, machine=Counter, config=CALM) as cluster:
        elsewhere = threading.Thread(target=lambda: seen.append(asyncio.run(cluster.client.write(1))))
        elsewhere.start()
        await asyncio.to_thread(elsewhere.join)
        assert seen == [1]
        assert await cluster.client.write(1) == 2


async def test_a_command_the_machine_refuses_is_the_callers_error() -> None:
    async with LocalCluster(1, config=CALM) as cluster:
        with pytest.raises(BadCommand, match="'put' needs 'value'"):
            await cluster.client.write({"op": "put", "key": "x"})


@pytest.mark.row("CL-01")
async def test_a_client_gives_up_at_its_deadline() -> None:
    async with LocalCluster(3, config=CALM) as cluster:
        leader = await cluster.wait_leader(20)
        for node in {1, 2, 3} - {leader}:
            await cluster.kill(node)
        client = cluster.new_client(deadline=0.5)
        with pytest.raises(Timeout):
            await client.write({"op": "put", "key": "x", "value": 1})


async def test_a_closed_cluster_says_so() -> None:
    async with LocalCluster(1, config=CALM) as cluster:
        raft, client = cluster.raft(1), cluster.client
    with pytest.raises(Stopped):
        await raft.read("x")
    with pytest.raises(PyraftError, match="not running"):
        await client.read("x")


async def test_unknown_nodes_are_named() -> None:
    async with LocalCluster(1, config=CALM) as cluster:
        with pytest.raises(UnknownNode, match="no node 7"):
            await cluster.kill(7)
        with pytest.raises(UnknownNode, match="no node 7"):
            cluster.partition({7})
        with pytest.raises(UnknownNode, match="no node 7"):
            await cluster.restart(7)


def test_a_cluster_needs_a_node() -> None:
    with pytest.raises(ConfigError, match="nodes=0"):
        LocalCluster(0)


async def test_a_broker_that_is_not_there_is_named() -> None:
    url = f"mqtt://127.0.0.1:{broker.free_port()}"
    with pytest.raises(NetworkFailed, match=url):
        async with LocalCluster(3, network=url):
            pass


@pytest.mark.parametrize("network", NETWORKS)
async def test_a_live_cluster_leaves_the_same_frames_as_a_simulated_one(network: str) -> None:
    async with LocalCluster(3, network=network, config=CALM) as cluster:
        leader = await cluster.wait_leader(20)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        cluster.partition({leader}, {1, 2, 3} - {leader})
        await cluster.raft(leader).wait(20).until(lambda now: now.role != "leader", "stepping down")
        await cluster.kill(leader)
        await cluster.restart(leader)
    events, messages, entries = cluster.trace.events, cluster.trace.messages, cluster.trace.entries
    assert {"boot", "initialize", "propose", "stored", "partition", "crash", "restart"} <= set(events.kind)
    assert list(events.id) == list(range(len(events)))
    received = events[events.kind == "receive"]
    assert (received.cause < received.id).all(), "a message is caused before it is received"
    assert {"delivered", "cut"} <= set(messages.fate)
    assert not (messages[messages.dst == leader].fate == "flying").any(), "a dead node gets nothing any more"
    answers = messages[messages.kind == "VoteResponse"]
    assert set(messages.set_index("id").loc[answers.reply_to].kind) == {"VoteRequest"}
    put = entries[entries.kind == "normal"].iloc[0]
    assert put.appended <= put.stored <= put.committed <= put.applied


async def test_tracing_can_be_off() -> None:
    async with LocalCluster(1, config=CALM, trace=None) as cluster:
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        assert len(cluster.trace) == 0


async def test_a_cluster_goes_on_where_its_disks_stopped(tmp_path: Path) -> None:
    async with LocalCluster(3, storage=tmp_path, config=CALM) as cluster:
        await cluster.client.write({"op": "put", "key": "x", "value": "kept"})
    async with LocalCluster(3, storage=tmp_path, config=CALM) as cluster:
        assert await cluster.client.read("x") == "kept"


async def test_a_level_says_how_much_is_recorded() -> None:
    async with LocalCluster(3, config=CALM, level="protocol") as cluster:
        await cluster.wait_leader(20)
        before = len(cluster.trace)
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        assert len(cluster.trace) == before, "a write changes nobody's standing"
        cluster.level = "steps"
        await cluster.client.write({"op": "put", "key": "x", "value": 2})
        records = cluster.trace.records[before:]
        assert {"propose", "stored"} <= {record.kind for record in records}
        assert not any(record.sent for record in records)
        cluster.level = "off"
        count = len(cluster.trace)
        await cluster.client.write({"op": "put", "key": "x", "value": 3})
        assert len(cluster.trace) == count
        with pytest.raises(ConfigError, match="level"):
            cluster.level = "loud"  # type: ignore[assignment]


async def test_messages_that_are_lost_while_a_cluster_closes_kill_nobody() -> None:
    busy = Config(election_timeout=(0.6, 1.2), heartbeat_interval=0.002)
    for _ in range(5):
        async with LocalCluster(3, config=busy) as cluster:
            leader = await cluster.wait_leader(20)
            cluster.partition({leader}, {1, 2, 3} - {leader})
            rafts = dict(cluster.nodes)
        assert {type(raft.metrics.running) for raft in rafts.values()} == {Stopped}
        assert [record.id for record in cluster.trace.records] == list(range(len(cluster.trace)))


@pytest.mark.parametrize("level", ["protocol", "full"])
async def test_a_step_that_the_level_leaves_out_makes_no_record_of_its_messages(
    level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, flight = list[str](), Recorder.flight

    def count(self: Recorder, src: NodeId, dst: NodeId, envelope: Envelope, received: MessageId | None) -> Flight:
        made.append(type(envelope.message).__name__)
        return flight(self, src, dst, envelope, received)

    async with LocalCluster(3, config=CALM, level=level) as cluster:
        await cluster.wait_leader(20)
        cluster.freeze()  # an election would be recorded
        monkeypatch.setattr(Recorder, "flight", count)
        for number in range(20):
            await cluster.client.write({"op": "put", "key": "x", "value": number})
        monkeypatch.undo()
    assert ("AppendRequest" in made) is (level == "full")
