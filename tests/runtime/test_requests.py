"""Write calls are merged on their way into Raft; what becomes of each is as if it had come alone."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from pyraft_lab.engine.commands import Accepted, Refuse
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.log import Entry, Noop, Normal
from pyraft_lab.engine.membership import Batch
from pyraft_lab.engine.requests import room_for
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import BadCommand, Fatal, OutcomeUnknown, Overloaded, Stopped, Timeout
from pyraft_lab.pending_requests import WriteApplied
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.requests import Call, OpenRequests, merged
from pyraft_lab.runtime.virtual_time import run_virtually
from pyraft_lab.session import Value
from tests.engine.builders import EAGER, leader
from tests.parity.language import CONFIG

LIMIT = 100
calls = some.lists(some.lists(some.integers(0, 120), min_size=1, max_size=3), max_size=8)


def numbered(sizes: list[list[int]], state: RaftState) -> list[Call]:
    """One call for each list of sizes; of no bytes are no-ops, and some calls name the leadership."""
    made, first = list[Call](), 1
    for place, call in enumerate(sizes):
        payloads = [Normal(b"x" * size) if size else Noop() for size in call]
        expected_leader = (state.vote.term, state.vote.node) if place % 3 == 2 else None
        made.append(Call(range(first, first + len(call)), payloads, expected_leader))
        first += len(call)
    return made


def fates(state: RaftState, groups: list[list[Call]]) -> dict[int, bool]:
    """Which requests are accepted."""
    found = dict[int, bool]()
    for group in groups:
        for event in merged(group, room_for(state)):
            turn = step(state, event)
            state = turn.after
            found |= {one: True for told in turn.commands if isinstance(told, Accepted) for one in told.requests}
            found |= {one: False for told in turn.commands if isinstance(told, Refuse) for one in told.requests}
    return found


@given(sizes=calls, limit=some.sampled_from([None, LIMIT]))
def test_a_call_is_accepted_or_refused_as_if_it_had_come_alone(sizes: list[list[int]], limit: int | None) -> None:
    state = leader(1, [1], config=replace(EAGER, max_uncommitted_bytes=limit))
    made = numbered(sizes, state)
    ordered = [
        call
        for expected_leader in dict.fromkeys(call.leader for call in made)
        for call in made
        if call.leader == expected_leader
    ]
    assert fates(state, [made]) == fates(state, [[call] for call in ordered])


def test_without_a_limit_all_calls_are_one_event() -> None:
    state = leader(1, [1])
    assert len(merged(numbered([[1000], [0], [5]][:2], state), room_for(state))) == 1


def opened(deadline: float) -> OpenRequests:
    """The open requests of node 1, which nobody takes."""
    return OpenRequests(lambda: None, lambda _: None, node=1, deadline=deadline)


def applied(request: int) -> WriteApplied:
    """The outcome of a write."""
    return WriteApplied(request, Entry(LogId(1, 1, request), Noop()), Value(request))


def test_each_call_ends_at_its_own_deadline_and_its_requests_stay_open() -> None:
    async def calls() -> None:
        requests = opened(deadline=30.0)
        write, read = requests.write((Noop(),), None, "a write"), requests.read("index")
        unnamed = requests.write((Noop(),))
        await asyncio.sleep(20.0)
        later = requests.write((Noop(),), None, "a write")
        with pytest.raises(OutcomeUnknown, match="a write was not decided within 30 s"):
            await write
        with pytest.raises(Timeout, match="a read"):
            await read
        await asyncio.sleep(10.0)
        assert not later.done()
        assert len(requests) == 4, "what becomes of them is not known yet"
        requests.settle([applied(1), applied(3)])
        assert await unnamed == (applied(3),), "a call without a name has no deadline"
        with pytest.raises(OutcomeUnknown):
            await later

    run_virtually(calls())


async def test_a_batch_is_answered_when_none_of_its_writes_is_open_in_their_order() -> None:
    requests = opened(deadline=30.0)
    done = requests.write((Noop(), Noop(), Noop()))
    requests.settle([applied(3), applied(1)])
    assert not done.done()
    requests.settle([applied(2)])
    assert await done == [applied(1), applied(2), applied(3)]
    assert await requests.write(()) == (), "no writes are answered at once"


async def test_a_caller_that_gave_up_disturbs_nobody() -> None:
    requests = opened(deadline=30.0)
    gone, other = requests.write((Noop(),)), requests.write((Noop(),))
    gone.cancel()
    requests.settle([applied(1), applied(2)])
    assert await other == (applied(2),)
    assert len(requests) == 0


async def test_writes_that_wait_together_are_refused_one_by_one_beyond_the_limit() -> None:
    config = replace(CONFIG, max_uncommitted_bytes=1500, check_quorum=False, retry_limit=0.2)
    async with LocalCluster(3, config=config, level="off") as cluster:
        first = await cluster.wait_leader(timeout=10)
        for other in {1, 2, 3} - {first}:
            await cluster.kill(other)
        raft = cluster.raft(first)
        writes = [asyncio.create_task(raft.client_write({"op": "put", "key": "x", "value": "y" * 1000})) for _ in "ab"]
        with pytest.raises(Overloaded):
            await writes[1]
        assert not writes[0].done()
        await cluster.kill(first)
        with pytest.raises(Stopped) as caught:
            await writes[0]
        assert isinstance(caught.value.__cause__, OutcomeUnknown)


async def test_a_read_at_a_node_that_ends_leaves_nothing_in_doubt() -> None:
    async with LocalCluster(3, config=replace(CONFIG, check_quorum=False), level="off") as cluster:
        first = await cluster.wait_leader(timeout=10)
        for other in {1, 2, 3} - {first}:
            await cluster.kill(other)
        reading = asyncio.create_task(cluster.raft(first).read("x"))
        await asyncio.sleep(0)
        await cluster.kill(first)
        with pytest.raises(Fatal) as caught:
            await reading
        assert not isinstance(caught.value.__cause__, OutcomeUnknown)


async def test_a_change_returns_half_way_where_the_operator_ends_joint_memberships() -> None:
    config = replace(CONFIG, auto_leave=False)
    async with LocalCluster(3, config=config, level="off") as cluster:
        await cluster.wait_leader(timeout=10)
        await cluster.add_learner(4)
        half = await cluster.change_membership({1, 2, 3, 4} - {3})
        assert half.membership is not None
        assert half.membership.is_joint
        whole = await cluster.change_membership(Batch(()))
        assert whole.membership is not None
        assert whole.membership.configs == (frozenset({1, 2, 4}),)


async def test_the_trace_tells_a_batch_of_a_client_as_answered_and_a_rejected_command_by_its_reason() -> None:
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader(timeout=10)
        writes = [{"op": "put", "key": "x", "value": value} for value in range(9)]
        await asyncio.gather(*(cluster.client.write(write) for write in writes))
        with pytest.raises(BadCommand) as caught:
            await cluster.client.write({"op": "nonsense"})
        await cluster.client.write(writes[0])  # a reply is recorded with the next step of its node
        replies = [reply for record in cluster.trace.records for reply in record.replies]
    assert any(isinstance(reply.value, list) for reply in replies)
    errors = {reply.error for reply in replies if not reply.ok}
    assert {error for error in errors if "not the leader" not in error} == {str(caught.value)}
