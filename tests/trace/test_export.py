"""Records for other tools."""

import logging

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.trace.export import LogExporter, SpanExporter

CALM = Config(election_timeout=(0.3, 0.6))


async def test_changes_of_office_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="pyraft_lab.trace.export"):
        async with LocalCluster(3, config=CALM, observers=[LogExporter()]) as cluster:
            leader = await cluster.wait_leader()
    assert any(line.startswith(f"n{leader} leads term") for line in caplog.messages)
    assert not any("receive" in line for line in caplog.messages), "steps are for the level DEBUG"


async def test_a_write_is_one_trace_across_the_nodes() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    simple = pytest.importorskip("opentelemetry.sdk.trace.export")
    kept, provider = export.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(simple.SimpleSpanProcessor(kept))
    # An exporter for each node, as in processes of their own: they meet in one trace all the same.
    exporters = {node: SpanExporter(provider.get_tracer("test")) for node in (1, 2, 3)}
    async with LocalCluster(
        3, config=CALM, observers=[lambda record: exporters[record.node](record) if record.node else None]
    ) as cluster:
        await cluster.wait_leader()
        await cluster.client.write({"op": "put", "key": "x", "value": 1})
        for raft in cluster.nodes.values():
            await raft.wait(5).applied(cluster.metrics[await cluster.wait_leader()].last_log.index)
    traces: dict[int, set[int]] = {}
    spans = kept.get_finished_spans()
    assert all(span.start_time <= span.end_time for span in spans)
    stored = [span for span in spans if span.name.startswith("stored")]
    assert any(span.start_time < span.end_time for span in stored), "what the disk took shows"
    for span in spans:
        traces.setdefault(span.context.trace_id, set()).add(span.attributes["raft.node"])
    assert {1, 2, 3} in traces.values()
