"""A Lab on a live cluster: its tape grows, orders are carried out now, mistakes are shown."""

import asyncio
import threading
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab import Lab, LocalCluster, PyraftError, Simulation, Trace
from pyraft_lab.lab.cluster import ClusterSession, FollowedSession, LiveSession
from pyraft_lab.lab.session import SimulationSession, TraceSession
from pyraft_lab.lab.wire import ChunkNews, Failure, GateNews, Go, TimelineNews
from pyraft_lab.network import broker
from pyraft_lab.network.gate import Held
from pyraft_lab.runtime.process import NodeOptions, serve

LIMIT = 10.0


def ask(session: LiveSession, **message: Any) -> list[Any]:
    return list(session.answer({"branch": "main", "event": 0, "time": 0.0, **message}))


def listening(lab: Lab) -> list[dict[str, Any]]:
    """Everything the Lab sends to its drawing from now on."""
    heard: list[dict[str, Any]] = []
    lab.send = heard.append
    return heard


async def test_the_tape_grows_with_the_cluster() -> None:
    async with LocalCluster(3) as cluster:
        session = ClusterSession(cluster)
        known = session.header().timelines[0].count
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        *chunks, news = session.grow()
    assert isinstance(news, TimelineNews)
    assert isinstance(chunks[-1], ChunkNews)
    timeline = news.timeline
    assert timeline.start == known
    assert timeline.count == known + len(timeline.times)
    assert chunks[-1].chunk.events[-1].id == timeline.count - 1
    assert any(mark.kind == "write" for mark in timeline.marks)


async def test_an_order_is_carried_out_now() -> None:
    async with LocalCluster(3) as cluster:
        leader = await cluster.wait_leader()
        session = ClusterSession(cluster)
        crash = {"type": "crash", "node": leader}
        *_, went = await in_thread(lambda: ask(session, do="act", order=crash))
        assert leader not in cluster.nodes
        assert isinstance(went, Go)
        assert not session.recording("main").view(went.event).servers[leader].up
        await in_thread(lambda: ask(session, do="act", order={"type": "restart", "node": leader}))
        assert leader in cluster.nodes


async def test_what_a_live_cluster_cannot_do_is_refused_in_words() -> None:
    async with LocalCluster(3) as cluster:
        session = ClusterSession(cluster)
        with pytest.raises(PyraftError, match="cannot do this to a live cluster"):
            ask(session, do="act", order={"type": "drift", "node": 1, "rate": 2.0})


async def test_messages_between_live_servers_are_held_and_let_pass_one_by_one() -> None:
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        session = ClusterSession(cluster)
        ask(session, do="act", order={"type": "hold"})
        await in_thread(lambda: cluster.gate.wait(timeout=LIMIT))
        ask(session, do="act", order={"type": "freeze"})
        waiting = session.gate()
        assert waiting.closed
        assert waiting.frozen
        first, *others = waiting.held
        ask(session, do="act", order={"type": "release", "message": first})
        assert first not in session.held()
        assert set(others) <= set(session.held())
        ask(session, do="act", order={"type": "open"})
        assert session.gate().held == ()


async def test_a_call_that_waits_for_the_gate_holds_nobody_up() -> None:
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        session = ClusterSession(cluster)
        for order in ({"type": "freeze"}, {"type": "hold"}, {"type": "write", "key": "x", "value": 1}):
            ask(session, do="act", order=order)
        await in_thread(lambda: cluster.gate.wait(lambda held: held.kind == "AppendRequest", timeout=LIMIT))
        ask(session, do="act", order={"type": "open"})
        ask(session, do="act", order={"type": "thaw"})
        assert await cluster.client.read("x") == 1


async def test_what_went_wrong_later_is_told_later() -> None:
    async with LocalCluster(1) as cluster:
        await cluster.wait_leader()
        session = ClusterSession(cluster)
        session.start(lambda: cluster.kill(7))
        told: list[str] = []
        while not told:
            told = [one.text for one in await in_thread(lambda: list(session.grow())) if isinstance(one, Failure)]
        assert told == ["there is no node 7; known are 1"]


@pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not installed")
async def test_a_cluster_that_is_followed_over_mqtt_is_watched_and_held() -> None:
    with broker.start() as running:
        stop = asyncio.Event()
        nodes = [asyncio.create_task(serve(seat(node, running.url), stop)) for node in (1, 2, 3)]
        trace = await in_thread(lambda: Trace.follow(running.url, "demo"))
        with trace:
            session = FollowedSession(trace)
            assert session.picture()
            while not any(mark.kind == "election" for mark in session.tape("main").marks):
                await in_thread(lambda: list(session.grow()))
            await in_thread(lambda: ask(session, do="act", order={"type": "hold"}))
            while not session.held():
                await in_thread(lambda: list(session.grow()))
            await in_thread(lambda: ask(session, do="act", order={"type": "open"}))
            with pytest.raises(PyraftError, match="ask its owner"):
                ask(session, do="act", order={"type": "crash", "node": 1})
        stop.set()
        await asyncio.wait(nodes)
    assert all(one.id < 2**31 for one in session.recording("main").trace.records)
    assert session.header().title == "cluster demo, followed over MQTT"


def seat(node: int, url: str) -> NodeOptions:
    founders = (1, 2, 3) if node == 1 else ()
    return NodeOptions(id=node, broker=url, initial_voters=founders, accepts_faults=True)


async def test_a_lab_follows_while_a_cell_holds_the_loop_up() -> None:
    grown = threading.Event()
    async with LocalCluster(3) as cluster:
        lab = Lab(cluster)
        lab.send = lambda told: grown.set() if told["type"] == "timeline" else None
        assert grown.wait(LIMIT)
        lab.close()


async def test_when_the_cluster_ends_its_labs_say_so_and_leave_no_thread_behind() -> None:
    others = set(threading.enumerate())
    async with LocalCluster(3) as cluster:
        lab = Lab(cluster)
        heard = listening(lab)
    left = {thread for thread in set(threading.enumerate()) - others if thread.name == "live lab"}
    for thread in left:
        thread.join(LIMIT)
    assert [thread.is_alive() for thread in left] == [False]
    assert heard[-1]["header"]["can"] == ()
    assert "has ended" in heard[-1]["header"]["over"]
    lab._on_message(lab, {"do": "want", "branch": "main", "chunk": 0}, None)  # noqa: SLF001 (as the page does)
    lab._on_message(lab, {"do": "act", "branch": "main", "event": 0, "time": 0.0, "order": {"type": "heal"}}, None)  # noqa: SLF001
    await asyncio.sleep(0)
    assert [told["type"] for told in heard[-2:]] == ["chunk", "error"]
    assert lab.story


async def test_however_often_a_lab_is_made_one_thread_follows_the_cluster() -> None:
    async with LocalCluster(3) as cluster:
        labs = [Lab(cluster) for _ in range(20)]
        assert [thread.name for thread in threading.enumerate()].count("live lab") == 1
        answered = threading.Event()
        labs[0].send = lambda told: answered.set() if told["type"] == "header" else None
        labs[0]._on_message(labs[0], {"do": "hello"}, None)  # noqa: SLF001 (as the page does)
        assert await asyncio.to_thread(answered.wait, LIMIT)
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "live lab")
        for lab in labs:
            lab.close()
        await asyncio.to_thread(thread.join, LIMIT)
        assert not thread.is_alive(), "the last one ends it"
        again = Lab(cluster)
        assert [thread.name for thread in threading.enumerate()].count("live lab") == 1
        again.close()


def test_a_trace_with_gaps_is_shown_from_its_first_record_on() -> None:
    sim = Simulation(seed=7)
    sim.run(1.0)
    records = [replace(record, id=1000 + 3 * record.id) for record in sim.trace.records[20:90]]
    session = TraceSession(Trace(records))
    assert [event.id for event in session.recording("main").chunk(0).events] == list(range(64))


def test_any_mistake_is_shown_in_the_widget() -> None:
    lab = Lab(Simulation(seed=7))
    heard = listening(lab)
    lab._on_message(lab, {"do": "want", "branch": "main", "chunk": -999}, None)  # noqa: SLF001 (as the page does)
    assert heard[-1]["type"] == "error"


def test_a_broken_promise_is_a_mark_on_the_tape() -> None:
    sim = Simulation(seed=7)
    sim.always("nobody leads", lambda s: s.leader is None)
    session = SimulationSession(sim)
    list(session.answer({"do": "ahead", "branch": "main", "events": 200}))
    kinds = {mark.kind for mark in session.timeline("main").marks}
    assert {"election", "violation"} <= kinds


async def in_thread(act: Any) -> Any:
    """As the Lab's pulse does it: not on the loop of whoever made the cluster."""
    return await asyncio.to_thread(act)


async def test_only_held_messages_that_the_tape_knows_are_announced() -> None:
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        session = ClusterSession(cluster)
        for _ in range(20):
            list(session.grow())
            cluster.gate.close()
            await in_thread(lambda: cluster.gate.wait(timeout=LIMIT))
            for told in session.grow():
                if isinstance(told, GateNews):
                    film = session.recording("main")
                    assert set(told.held) <= set(film.view(len(film) - 1).flying)
            cluster.gate.open()
            await asyncio.sleep(0)


async def test_what_a_step_sends_is_recorded_before_it_leaves() -> None:
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        unknown: list[int] = []

        def picks(held: Held) -> bool:
            known = {flight.id for record in cluster.trace.records for flight in record.sent}
            if held.kind == "HeartbeatRequest" and held.id not in known:
                unknown.append(held.id)
            return held.kind == "HeartbeatRequest"

        cluster.gate.close(picks)
        await in_thread(lambda: cluster.gate.wait(timeout=LIMIT))
        cluster.gate.open()
    assert unknown == []
