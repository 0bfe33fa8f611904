"""Live panels: they keep up, say what they show without a kernel, and end with the cluster."""

import threading
from typing import Any

import pytest

from pyraft_lab import LocalCluster, Simulation, Trace, live_log, live_metrics
from pyraft_lab.lab.panel import Panel

LIMIT = 60.0


class Stage:
    """Stands for a cluster that has ended."""

    is_running = False

    def __init__(self, sim: Simulation) -> None:
        self.trace = sim.trace


def run() -> Simulation:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.3)
    return sim


def ended(panel: Panel) -> Any:
    panel.join(LIMIT)
    assert not panel.is_live
    return panel


def test_a_log_tells_what_happened_and_counts_what_is_quiet() -> None:
    sim = run()
    log = ended(live_log(Stage(sim)))
    lines = log.shown["lines"]
    assert any("leader of term 1" in line["text"] or "leads term 1" in line["text"] for line in lines)
    assert any(line["quiet"] > 1 and line["text"].startswith(f"{line['quiet']} quiet steps") for line in lines)
    assert len([line for line in lines if not line["quiet"]]) + sum(line["quiet"] for line in lines) == len(sim.trace)


def test_a_log_keeps_the_newest_lines_and_says_how_many_it_let_go() -> None:
    whole = ended(live_log(Stage(run()))).shown["lines"]
    short = ended(live_log(Stage(run()), lines=5)).shown
    assert short["lines"] == whole[-5:]
    assert short["earlier"] == len(whole) - 5


def test_a_strip_shows_each_figure_with_its_unit() -> None:
    strip = ended(live_metrics(Stage(run())))
    shown = {cell["name"]: cell["value"] for cell in strip.shown["cells"]}
    assert list(shown) == ["leader", "throughput", "commit latency", "in flight", "servers"]
    assert shown["leader"] == f"n{strip.reading.leader}"
    assert shown["throughput"].endswith(" /s")
    assert shown["commit latency"].endswith(" ms")
    assert strip.shown["over"]


@pytest.mark.parametrize(("open_panel", "words"), [(live_log, "votes"), (live_metrics, "throughput")])
def test_without_a_kernel_it_is_text(open_panel: Any, words: str) -> None:
    panel = ended(open_panel(Stage(run())))
    data, _ = panel._repr_mimebundle_()
    assert words in data["text/html"]
    assert len(data["text/html"]) < 300_000
    assert data["text/plain"] == repr(panel)
    assert panel.story


def test_a_mistake_is_shown_in_the_panel() -> None:
    class Broken(Stage):
        @property
        def now(self) -> str:
            return "noon"

    strip = ended(live_metrics(Broken(run())))
    assert strip.shown["error"].startswith("TypeError")


async def test_panels_follow_a_live_cluster_and_end_with_it() -> None:
    async with LocalCluster(3) as cluster:
        await cluster.wait_leader()
        strip, log = live_metrics(cluster), live_log(cluster)
        seen = threading.Event()
        strip.observe(lambda change: seen.set() if change["new"]["cells"][2]["value"] != "—" else None, "shown")
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        assert seen.wait(LIMIT), "it goes on while this very thread waits"
        assert strip.is_live
        assert log.is_live
    for panel in (strip, log):
        ended(panel)
    assert strip.shown["over"]
    assert "x=1" in log.story
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("live ")] == []


async def test_a_closed_panel_is_not_kept_up_to_date() -> None:
    async with LocalCluster(1) as cluster:
        panel = live_log(cluster)
        panel.close()
        panel.join(LIMIT)
        assert not panel.is_live


def test_an_empty_cluster_has_nothing_to_tell() -> None:
    class Empty:
        is_running, trace = False, Trace()

    assert ended(live_log(Empty())).story == ""
    assert "nobody leads" in ended(live_metrics(Empty())).story
