"""A Lab on a live cluster: its tape grows, orders are carried out now, mistakes are shown."""

import asyncio
import threading
from typing import Any

import pytest
from msgspec.structs import replace

from pyraft_lab import Lab, LocalCluster, PyraftError, Simulation, Trace
from pyraft_lab.lab.cluster import ClusterDesk
from pyraft_lab.lab.desk import SimulationDesk, TraceDesk

PATIENCE = 10.0


def ask(desk: ClusterDesk, **message: Any) -> list[Any]:
    return list(desk.answer({"branch": "main", "event": 0, "time": 0.0, **message}))


def listening(lab: Lab) -> list[dict[str, Any]]:
    """Everything the Lab sends to its drawing from now on."""
    heard: list[dict[str, Any]] = []
    lab.send = heard.append
    return heard


async def test_the_tape_grows_with_the_cluster() -> None:
    async with LocalCluster(3) as cluster:
        desk = ClusterDesk(cluster)
        known = desk.board()["strips"][0]["count"]
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        *reels, news = desk.grow()
    assert news["strip"]["from"] == known
    assert news["strip"]["count"] == known + len(news["strip"]["times"])
    assert reels[-1]["reel"]["events"][-1]["id"] == news["strip"]["count"] - 1
    assert any(kind == "write" for _, _, kind, _, _ in news["strip"]["marks"])


async def test_an_order_is_carried_out_now() -> None:
    async with LocalCluster(3) as cluster:
        leader = await cluster.wait_leader()
        desk = ClusterDesk(cluster)
        crash = {"type": "crash", "node": leader}
        *_, went = await in_thread(lambda: ask(desk, do="act", order=crash))
        assert leader not in cluster.nodes
        assert went["type"] == "go"
        assert not desk.film("main").moment(went["event"]).servers[leader].up
        await in_thread(lambda: ask(desk, do="act", order={"type": "restart", "node": leader}))
        assert leader in cluster.nodes


async def test_what_a_live_cluster_cannot_do_is_refused_in_words() -> None:
    async with LocalCluster(3) as cluster:
        desk = ClusterDesk(cluster)
        with pytest.raises(PyraftError, match="a live cluster does not do this"):
            ask(desk, do="act", order={"type": "drop", "message": 1})


async def test_a_lab_follows_while_a_cell_holds_the_loop_up() -> None:
    grown = threading.Event()
    async with LocalCluster(3) as cluster:
        lab = Lab(cluster)
        lab.send = lambda told: grown.set() if told["type"] == "strip" else None
        assert grown.wait(PATIENCE)
        lab.close()


def test_a_trace_with_gaps_is_shown_from_its_first_record_on() -> None:
    sim = Simulation(seed=7)
    sim.run(1.0)
    records = [replace(record, id=1000 + 3 * record.id) for record in sim.trace.records[20:90]]
    desk = TraceDesk(Trace(records))
    assert [event["id"] for event in desk.film("main").reel(0)["events"]] == list(range(64))


def test_any_mistake_is_shown_in_the_widget() -> None:
    lab = Lab(Simulation(seed=7))
    heard = listening(lab)
    lab._hear(lab, {"do": "want", "branch": "main", "reel": -999}, None)  # noqa: SLF001 (as the page does)
    assert heard[-1]["type"] == "error"


def test_a_broken_promise_is_a_mark_on_the_tape() -> None:
    sim = Simulation(seed=7)
    sim.always("nobody leads", lambda s: s.leader is None)
    desk = SimulationDesk(sim)
    list(desk.answer({"do": "ahead", "branch": "main", "events": 200}))
    kinds = {mark[2] for mark in desk.strip("main")["marks"]}
    assert {"election", "violation"} <= kinds


async def in_thread(act: Any) -> Any:
    """As the Lab's pulse does it: not on the loop of whoever made the cluster."""
    return await asyncio.to_thread(act)
