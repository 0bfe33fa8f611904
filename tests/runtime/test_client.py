"""A live client: nodes that vanish, callers that leave, many calls at once, and loops that end."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pyraft_lab import LocalCluster
from pyraft_lab.client.requests import FindOutcome, OpenSession, ReadMany, Request, WriteBatch
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import LogId, NodeId
from pyraft_lab.errors import BadCommand, Fatal, NotLeader, OutcomeUnknown, Overloaded, Timeout, UnknownNode
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.machine import Counter, Sessions
from pyraft_lab.runtime.client import Client
from pyraft_lab.session import Value

INCR = {"op": "incr", "key": "n"}


class Cluster:
    """A door to one machine; ``meet`` may raise or wait before a request is answered."""

    def __init__(self, meet: Callable[[NodeId, Request], Any] = lambda *_: None) -> None:
        self.up: list[NodeId] = [1]
        self.requests: list[tuple[NodeId, Request]] = []
        self.sessions = Sessions(Counter())
        self.log: list[bytes] = []
        self._meet = meet

    def nodes(self) -> Sequence[NodeId]:
        return tuple(self.up)

    def check(self, query: Any, /) -> None:
        if query == "bad":
            raise BadCommand("a bad query")

    async def ask(self, node: NodeId, request: Request, /) -> Any:
        self.requests.append((node, request))
        met = self._meet(node, request)
        if met is not None:
            await met
        match request:
            case OpenSession():
                return len(self.log)
            case WriteBatch(data):
                self.log.append(data)
                return self.sessions.apply(Entry(LogId(1, 1, len(self.log)), Normal(data)))
            case FindOutcome(client, serial):
                return self.sessions.outcome(client, serial)
            case ReadMany(queries):
                return tuple(Value(self.sessions.query(query)) for query in queries)

    def asked(self, kind: type) -> int:
        return sum(isinstance(request, kind) for _, request in self.requests)


async def test_a_node_that_is_killed_while_it_is_asked_is_passed_over() -> None:
    def vanish(node: NodeId, _request: Request) -> None:
        if node == 1:
            cluster.up = [2]
            raise UnknownNode(node, cluster.up)

    cluster = Cluster(vanish)
    client = Client(cluster)
    assert await client.read("x") == 0
    assert await client.write(5) == 5


async def test_calls_that_wait_together_are_one_question() -> None:
    cluster = Cluster()
    client = Client(cluster)
    await client.write(0)
    assert await asyncio.gather(*(client.write(1) for _ in range(500))) == list(range(1, 501))
    assert await asyncio.gather(*(client.read("x") for _ in range(500))) == [500] * 500
    assert cluster.asked(WriteBatch) == 2
    assert cluster.asked(ReadMany) == 1


async def test_a_long_batch_is_divided_and_keeps_its_order() -> None:
    cluster = Cluster()
    assert await Client(cluster).write_many([1] * 10_000) == list(range(1, 10_001))
    assert 2 < cluster.asked(WriteBatch) < 20
    assert await Client(cluster).write_many([]) == []


async def test_a_caller_that_leaves_withdraws_its_call_and_the_others_go_on() -> None:
    cluster = Cluster()
    cluster.up = []
    client = Client(cluster)
    leaver, stayer = asyncio.create_task(client.write(1)), asyncio.create_task(client.write(10))
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    cluster.up = [1]
    assert await stayer == 10


async def test_a_refused_command_does_not_fail_its_neighbours_in_the_batch() -> None:
    client = Client(Cluster())
    results = await asyncio.gather(*(client.write(value) for value in (1, "no number", 2)), return_exceptions=True)
    assert [results[0], results[2]] == [1, 3]
    assert isinstance(results[1], BadCommand)
    with pytest.raises(BadCommand, match="cannot add"):
        await client.write_many([1, "no number"])


async def test_a_deadline_says_what_was_tried_on_whom_and_whether_it_may_have_happened() -> None:
    def refuse(node: NodeId, _request: Request) -> None:
        raise NotLeader(None, "no leader is known", node=node)

    with pytest.raises(Timeout, match=r"node 1 refuses: no leader is known.*nothing changed") as caught:
        await Client(Cluster(refuse), deadline=0.1).write(1)
    assert not caught.value.may_have_happened
    assert (1, "node 1 refuses: no leader is known; try again later") in caught.value.tried


async def test_a_shorter_deadline_ends_its_call_before_those_that_began_earlier() -> None:
    client = Client(Cluster(lambda *_: asyncio.sleep(60)), deadline=50)
    patient = asyncio.create_task(client.write(1))
    await asyncio.sleep(0.01)
    client.deadline = 0.05
    with pytest.raises(Timeout, match=r"within 0\.05 s"):
        await asyncio.wait_for(client.write(2), 20)
    assert not patient.done()
    patient.cancel()


async def test_a_write_without_an_answer_is_asked_for_and_not_sent_again() -> None:
    def lose(_node: NodeId, request: Request) -> Any:
        return asyncio.sleep(60) if isinstance(request, WriteBatch) else None

    cluster = Cluster(lose)
    with pytest.raises(Timeout, match="it may have happened"):
        await Client(cluster, deadline=0.3, attempt=0.05).write(1)
    assert cluster.asked(FindOutcome) > 0


async def test_an_overloaded_node_is_asked_again() -> None:
    def overload(_node: NodeId, request: Request) -> None:
        if isinstance(request, WriteBatch) and cluster.asked(WriteBatch) < 3:
            raise Overloaded(9, 8, retry_after=0.01)

    cluster = Cluster(overload)
    assert await Client(cluster).write(1) == 1
    assert cluster.asked(FindOutcome) == 0, "nothing had happened"


async def test_a_command_above_the_limit_is_refused_before_anything_is_sent() -> None:
    cluster = Cluster()
    client = Client(cluster, max_bytes=100)
    for call in (client.write("x" * 200), client.write_many([1, "x" * 200])):
        with pytest.raises(BadCommand, match="max_bytes=100"):
            await call
    with pytest.raises(BadCommand, match="a bad query"):
        await client.read("bad")
    assert cluster.requests == []


async def test_a_bug_behind_the_door_reaches_the_caller() -> None:
    def stumble(_node: NodeId, _request: Request) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        await Client(Cluster(stumble)).read("x")


async def test_an_unknown_outcome_is_looked_for() -> None:
    def forget(_node: NodeId, request: Request) -> None:
        if isinstance(request, WriteBatch) and cluster.asked(WriteBatch) == 1:
            raise OutcomeUnknown("lost from sight")

    cluster = Cluster(forget)
    assert await Client(cluster).write(1) == 1
    assert (cluster.asked(FindOutcome), len(cluster.log)) == (1, 1)


def test_a_client_without_a_home_goes_on_in_the_next_loop() -> None:
    client = Client(Cluster())
    assert [asyncio.run(client.write(1)) for _ in range(3)] == [1, 2, 3]


async def test_the_first_call_of_a_client_without_a_home_is_of_its_one_session() -> None:
    cluster = Cluster()
    client = Client(cluster)
    id = client.id
    assert [await client.write(1), await client.write(1)] == [1, 2]
    assert (client.id, [*cluster.sessions.sessions], cluster.asked(OpenSession)) == (id, [id], 1)


def test_callers_of_many_threads_share_one_client() -> None:
    with LoopThread("home") as thread:
        client = Client(Cluster(), home=thread.home)
        seen: list[int] = []

        def write() -> None:
            async def all_of_mine() -> list[int]:
                return list(await asyncio.gather(*(client.write(1) for _ in range(50))))

            seen.extend(asyncio.run(all_of_mine()))

        callers = [threading.Thread(target=write) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert sorted(seen) == list(range(1, 201))


async def test_who_waits_when_the_home_ends_hears_of_it() -> None:
    thread = LoopThread("home")
    thread.start()
    cluster = Cluster()
    cluster.up = []
    client = Client(cluster, home=thread.home)
    waiting = asyncio.create_task(client.write(1))
    await asyncio.sleep(0.01)
    thread.stop(Fatal("closed"))
    with pytest.raises(Fatal, match="closed"):
        await waiting
    with pytest.raises(Fatal, match="closed"):
        await client.write(1)


async def test_calls_end_with_the_cluster_although_its_loop_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    class Ending(Cluster):
        has_ended = False

        def nodes(self) -> Sequence[NodeId]:
            if self.has_ended:
                raise Fatal("the cluster has ended")
            return ()

    cluster = Ending()
    with LoopThread("home") as thread:
        client = Client(cluster, home=thread.home)
        gone, waiting = (asyncio.create_task(client.write(1)) for _ in range(2))
        await asyncio.sleep(0.01)
        cluster.has_ended = True
        gone.cancel()
        with pytest.raises(Fatal, match="has ended"):
            await waiting
        with pytest.raises(Fatal, match="has ended"):
            await client.write(1)
    assert gone.cancelled()
    assert caplog.records == [], "no callback of the loop has failed"


async def test_a_session_that_the_cluster_forgot_is_opened_again() -> None:
    async with LocalCluster(1, machine=lambda: Sessions(Counter(), expiry=5)) as cluster:
        await cluster.wait_leader()
        idle, busy = cluster.client, cluster.new_client()
        assert await idle.write(1) == 1
        for _ in range(10):
            await busy.write(1)
        assert await idle.write(1) == 12


async def test_a_slow_commit_is_acknowledged_once_and_the_log_holds_it_once() -> None:
    async with LocalCluster(3) as cluster:
        leader = await cluster.wait_leader()
        client = Client(cluster._transport(), attempt=0.05, home=cluster._home)  # noqa: SLF001
        await client.write(INCR)
        before = cluster.metrics[leader].last_log.index
        cluster.freeze()
        writing = asyncio.create_task(client.write(INCR))
        await asyncio.sleep(0.5)
        cluster.thaw()
        assert await writing == 2
        assert cluster.metrics[leader].last_log.index <= before + 2, "the command, and a new leader's no-op"
