"""Records for other tools."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pyraft_lab.engine.commands import Command, NotLeading, Reason, Refuse
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Propose
from pyraft_lab.engine.log import Noop
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.errors import ConfigError
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.export import MAX_OPEN_SPANS, LogExporter, SpanExporter
from pyraft_lab.trace.record import Record, record_step

CALM = Config(election_timeout=(0.6, 1.2), heartbeat_interval=0.1)
PUT = {"op": "put", "key": "x", "value": 1}


async def test_changes_of_leadership_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="pyraft_lab.trace.export"):
        async with LocalCluster(3, config=CALM, observers=[LogExporter()]) as cluster:
            leader = await cluster.wait_leader(20)
    assert any(line.startswith(f"n{leader} leads term") for line in caplog.messages)
    assert not any("receive" in line for line in caplog.messages), "steps are for the level DEBUG"


Spans = Callable[[], Sequence[Any]]
Observed = tuple[Spans, Callable[[Record], None]]


@pytest.fixture
def observed() -> Observed:
    """The finished spans, and an exporter for each node, as in processes of their own: they meet all the same."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    simple = pytest.importorskip("opentelemetry.sdk.trace.export")
    kept, provider = export.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(simple.SimpleSpanProcessor(kept))
    exporters = {node: SpanExporter(provider.get_tracer("test")) for node in (1, 2, 3)}
    return kept.get_finished_spans, lambda record: exporters[record.node](record) if record.node else None


async def written_together(observer: Callable[[Record], None], commands: Sequence[object]) -> None:
    """Write these commands as one batch, until everybody has applied them and the leader has told of it."""
    async with LocalCluster(3, config=CALM, observers=[observer]) as cluster:
        leader = cluster.nodes[await cluster.wait_leader(20)]
        await asyncio.gather(leader.client_write_many(commands), return_exceptions=True)
        for raft in cluster.nodes.values():
            await raft.wait(20).applied(leader.metrics.last_log.index)
        await leader.write_blank()  # answers are told of with the next step


def traces(spans: Sequence[Any]) -> dict[int, set[int]]:
    """The nodes in each trace."""
    found: dict[int, set[int]] = {}
    for span in spans:
        found.setdefault(span.context.trace_id, set()).add(span.attributes["raft.node"])
    return found


def writes(spans: Sequence[Any]) -> list[Any]:
    """The spans from the proposal to the answer."""
    return [span for span in spans if span.name.startswith("write")]


async def test_a_write_is_one_trace_across_the_nodes(observed: Observed) -> None:
    spans, observer = observed
    await written_together(observer, [PUT])
    assert all(span.start_time <= span.end_time for span in spans())
    stored = [span for span in spans() if span.name.startswith("stored")]
    assert any(span.start_time < span.end_time for span in stored), "what the disk took shows"
    write = writes(spans())[0]
    assert traces(spans())[write.context.trace_id] == {1, 2, 3}
    assert (write.links, write.status.is_ok) == ((), True)
    assert write.start_time < write.end_time


async def test_writes_that_are_proposed_together_have_a_trace_each_and_share_the_batch_by_links(
    observed: Observed,
) -> None:
    spans, observer = observed
    await written_together(observer, [PUT, PUT])
    first, second = writes(spans())[:2]
    assert first.context.trace_id != second.context.trace_id
    assert first.parent is second.parent is None
    (link,) = {(link.context.trace_id, link.context.span_id) for span in (first, second) for link in span.links}
    assert traces(spans())[link[0]] == {1, 2, 3}, "and there are the steps of all nodes"
    batch = next(span for span in spans() if span.context.span_id == link[1])
    assert batch.name.startswith("propose")
    assert {back.context.span_id for back in batch.links} == {span.context.span_id for span in (first, second)}


async def test_a_write_that_fails_says_why_in_its_span(observed: Observed) -> None:
    spans, observer = observed
    await written_together(observer, [PUT, {"op": "increase the entropy"}])
    good, bad = writes(spans())[:2]
    assert good.status.is_ok
    assert "increase the entropy" in bad.status.description


def test_a_write_without_an_answer_ends_when_its_number_comes_again(observed: Observed) -> None:
    spans, observer = observed
    for life in range(2):
        observer(proposed(life, requests=(1, 2)))
    assert [span.status.description for span in writes(spans())] == ["the node forgot it"] * 2


def test_only_so_many_writes_are_remembered(observed: Observed) -> None:
    spans, observer = observed
    observer(proposed(1, requests=tuple(range(MAX_OPEN_SPANS + 1))))
    (span,) = writes(spans())
    assert (span.name, span.status.description) == ("write 0 on node 1", "no answer was seen")


def test_a_write_that_is_sent_again_to_another_node_has_a_span_that_ends_with_its_answer(observed: Observed) -> None:
    spans, observer = observed
    sim = Simulation(nodes=3, seed=1)
    old = sim.run_until(lambda s: s.leader or 0)
    first = sim.write(PUT, client=1)
    sim.run_until(lambda _: first.done)
    sim.crash(old)
    sim.run(2)
    sim.watch(observer)
    again = sim.write(PUT, client=1)
    sim.run_until(lambda _: again.done)
    (span,) = writes(spans())
    assert span.name == f"write {again.request} on node {sim.leader}"
    assert (sim.leader != old, span.status.description) == (True, None)


def test_a_write_that_a_node_refuses_is_over_there(observed: Observed) -> None:
    spans, observer = observed
    observer(proposed(1, (4,), Refuse((4,), NotLeading(2, Reason.NOT_LEADER))))
    (span,) = writes(spans())
    assert (span.name, span.status.description) == ("write 4 on node 1", "the node refused it")


def proposed(id: int, requests: tuple[int, ...], *commands: Command) -> Record:
    state = RaftState(id=1)
    event = Propose(requests=requests, payloads=(Noop(),) * len(requests))
    return record_step(Step(before=state, event=event, after=state, commands=commands), id=id, time=float(id))


def test_spans_carry_wall_time_a_service_and_kinds() -> None:
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    simple = pytest.importorskip("opentelemetry.sdk.trace.export")
    kept = export.InMemorySpanExporter()
    exporter = SpanExporter.for_service(simple.SimpleSpanProcessor(kept), service="bank", start=1_700_000_000.0)
    exporter(proposed(1, requests=(1,)))
    exporter(proposed(2, requests=(1,)))
    spans = kept.get_finished_spans()
    assert {span.resource.attributes["service.name"] for span in spans} == {"bank"}
    assert {(span.name.split()[0], span.kind.name) for span in spans} == {("propose", "INTERNAL"), ("write", "SERVER")}
    assert spans[0].end_time == 1_700_000_001 * 10**9


def test_a_trace_that_has_wall_time_keeps_it() -> None:
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    simple = pytest.importorskip("opentelemetry.sdk.trace.export")
    kept = export.InMemorySpanExporter()
    SpanExporter.for_service(simple.SimpleSpanProcessor(kept))(proposed(1_600_000_000, requests=(1,)))
    assert kept.get_finished_spans()[0].end_time == 1_600_000_000 * 10**9


def test_a_service_needs_a_name() -> None:
    pytest.importorskip("opentelemetry.sdk.trace")
    with pytest.raises(ConfigError, match="service"):
        SpanExporter.for_service(object(), service="")  # type: ignore[arg-type]
