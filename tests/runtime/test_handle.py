"""The handle of a node in a live cluster: what operators and applications ask of it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Precondition
from pyraft_lab.engine.membership import AddLearners
from pyraft_lab.errors import ChangeInProgress, LearnerNotFound, NotLeader, PreconditionFailed, PyraftError
from pyraft_lab.machine import Counter
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.recorder import Recorder
from pyraft_lab.trace.trace import Trace

CALM = Config(election_timeout=(0.5, 1.0), learner_lag=0)
Three = tuple[LocalCluster, Raft, Raft, Raft]


@pytest.fixture
async def three() -> AsyncIterator[Three]:
    """A cluster that counts, its leader, and the other two."""
    async with LocalCluster(3, config=CALM, machine=Counter) as cluster:
        leader = await cluster.wait_leader(20)
        one, other = sorted({1, 2, 3} - {leader})
        yield cluster, cluster.raft(leader), cluster.raft(one), cluster.raft(other)


async def test_a_write_can_be_fired_and_forgotten(three: Three) -> None:
    _, leader, follower, _ = three
    at = leader.metrics.last_log.index
    await leader.client_write_ff(5)
    await follower.wait(20).applied(at + 1)
    assert await leader.read(None) == 5


async def test_only_the_leader_serves_and_the_others_name_it(three: Three) -> None:
    _, leader, follower, _ = three
    await follower.wait(20).leader(leader.id)
    for call in (follower.client_write(1), follower.read(None), follower.ensure_linearizable("lease")):
        with pytest.raises(NotLeader) as refused:
            await call
        assert refused.value.leader == leader.id


async def test_a_follower_may_be_read_where_the_leader_has_said_how_far(three: Three) -> None:
    _, leader, follower, _ = three
    await leader.client_write(7)
    at = await leader.ensure_linearizable()
    await follower.wait(20).applied(at.index)
    assert await follower.with_machine(lambda machine: machine.query(None)) == 7


async def test_a_leader_without_its_quorum_serves_no_read(three: Three) -> None:
    cluster, leader, follower, third = three
    assert await leader.read(None, policy="lease") == 0
    cluster.partition({leader.id}, {follower.id, third.id})
    with pytest.raises(PyraftError, match=r"quorum|not the leader|unknown"):
        await leader.read(None)
    with pytest.raises(PyraftError, match=r"quorum|not the leader|unknown"):
        await leader.read(None, policy="lease")


async def test_a_guarded_change_happens_only_as_things_stood(three: Three) -> None:
    _, leader, follower, _ = three
    now = leader.metrics
    for wrong in (
        Precondition(leader=(now.term + 1, leader.id)),
        Precondition(last=now.purged),
        Precondition(membership=now.purged),
    ):
        with pytest.raises(PreconditionFailed):
            await leader.change_membership({1, 2}, only_if=wrong)
    with pytest.raises(NotLeader):
        await follower.change_membership({1, 2}, only_if=Precondition(membership=now.purged))
    right = Precondition(leader=(now.term, leader.id), membership=now.membership_id)
    response = await leader.change_membership({leader.id, follower.id}, only_if=right)
    assert response.membership is not None
    assert response.membership.voters == {leader.id, follower.id}


async def test_who_leaves_stays_as_a_learner_if_that_is_wanted(three: Three) -> None:
    _, leader, follower, third = three
    await leader.change_membership({leader.id, follower.id}, retain=True)
    now = await leader.wait(20).voters({leader.id, follower.id})
    assert now.membership.learners == {third.id}
    await leader.change_membership({1, 2, 3})
    await leader.change_membership({leader.id, follower.id})
    assert leader.metrics.membership.learners == set()
    with pytest.raises(LearnerNotFound):
        await leader.change_membership({1, 2, 3})


async def test_one_change_at_a_time(three: Three) -> None:
    cluster, leader, follower, third = three
    cluster.partition({leader.id}, {follower.id, third.id})
    first = asyncio.create_task(leader.change_membership(AddLearners({9: "nowhere"})))
    await leader.wait(20).until(lambda now: 9 in now.membership.nodes or now.role != "leader")
    with pytest.raises((ChangeInProgress, NotLeader)):
        await leader.change_membership(AddLearners({8: "nowhere"}))
    cluster.heal()
    await asyncio.wait([first])


async def test_a_learner_is_waited_for(three: Three) -> None:
    cluster, leader, _, _ = three
    adding = asyncio.create_task(leader.add_learner(4))
    await leader.wait(20).until(lambda now: 4 in now.committed_membership.nodes)
    assert not adding.done(), "nobody of that id is there yet"
    await cluster.add_learner(4, blocking=False)
    await adding
    assert leader.metrics.replication[4] >= leader.metrics.membership_id.index


async def test_switches_stay_as_they_are_set(three: Three) -> None:
    cluster, leader, follower, third = three
    follower.runtime.elect(on=False)
    follower.runtime.pre_vote(on=False)
    follower.runtime.heartbeat(on=False)
    switched = await follower.with_state(lambda state: state.config)
    assert (switched.enable_elect, switched.pre_vote, switched.enable_heartbeat) == (False, False, False)
    await cluster.kill(leader.id)
    assert await cluster.wait_leader(20) == third.id, "the other one does not campaign"
    follower.runtime.elect(on=True)
    assert await follower.with_state(lambda state: state.config.enable_elect)


async def test_a_heartbeat_can_be_asked_for(three: Three) -> None:
    _, leader, _, _ = three
    leader.runtime.heartbeat(on=False)
    before = time.time()
    leader.trigger.heartbeat()
    await leader.wait(20).quorum_acked(before)


async def test_triggers_that_can_fail_say_so_when_awaited(three: Three) -> None:
    _, leader, follower, _ = three
    with pytest.raises(PyraftError, match="9"):
        await leader.trigger.transfer_leader(9)
    with pytest.raises(PyraftError, match="9"):
        await leader.trigger.allow_next_revert(9)
    with pytest.raises(NotLeader):
        await follower.trigger.transfer_leader(1)
    await leader.trigger.allow_next_revert(follower.id)


async def test_leadership_is_told_in_turn_through_handovers(three: Three) -> None:
    cluster, leader, follower, _ = three
    told: list[str] = []

    async def start(_: object) -> None:
        await asyncio.sleep(0)
        told.append("start")

    async def stop(_: object) -> None:
        await asyncio.sleep(0)
        told.append("stop")

    leader.on_leader_change(start, stop)
    for _ in range(2):
        await cluster.transfer(follower.id, timeout=20)
        await cluster.transfer(leader.id, timeout=20)
    await cluster.kill(leader.id)
    assert told == ["start", "stop"] * 3


async def test_founders_may_have_addresses() -> None:
    raft = Raft(1, config=CALM)
    await raft.start()
    await raft.initialize({1: "here:1", 2: "there:2"})
    assert dict(raft.metrics.membership.nodes) == {1: "here:1", 2: "there:2"}
    await raft.shutdown()


async def test_steps_can_be_sampled() -> None:
    everything, tenth = Trace(), Trace()
    for trace, sample in ((everything, 1), (tenth, 10)):
        raft = Raft(1, config=CALM, machine=Counter(), reporter=Recorder([trace], sample=sample))
        await raft.start()
        await raft.initialize({1})
        await raft.wait(20).role("leader")
        for _ in range(50):
            await raft.client_write(1)
        await raft.shutdown()
    assert 4 * len(tenth) < len(everything)
    assert {"boot", "initialize"} <= {record.kind for record in tenth.records}, "what changes a node's standing is told"
