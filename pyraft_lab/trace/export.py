"""Records for other tools: sentences for standard logging, and spans for OpenTelemetry.

>>> import logging
>>> raft = Raft(1, observers=[LogExporter()])  # doctest: +SKIP
INFO pyraft_lab.trace.export n1 leads term 2
"""

import logging
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pyraft_lab.engine.events import Propose, Receive
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.trace.recorder import EventId, Kind, Record

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)
FAULTS = frozenset(
    {Kind.CRASH, Kind.PARTITION, Kind.CUT, Kind.HEAL, Kind.DROP, Kind.WEATHER, Kind.PAUSE, Kind.RESUME, Kind.DELAY}
)
REMEMBERED = 10_000
"""Events that may still be causes."""


class LogExporter:
    """Tells a logger what happens: changes of role, membership and snapshot as ``INFO``, every step as ``DEBUG``."""

    def __init__(self, logger: logging.Logger = log) -> None:
        self._logger = logger

    def __call__(self, record: Record) -> None:
        """Log one record."""
        if record.step is not None:
            for news in news_of(record.step):
                self._logger.info("n%s %s", record.node, news)
        elif record.kind in FAULTS:
            self._logger.info("%s", record)
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug("%s", record)


def news_of(step: Step) -> Iterator[str]:
    """What an operator would want to know about a step, in words; mostly nothing."""
    before, after = step.before, step.after
    if standing(before) != standing(after):
        yield standing(after)
    if before.membership != after.membership:
        yield f"has the membership {after.membership}"
    if before.snapshot_last != after.snapshot_last:
        yield f"keeps a snapshot of {after.snapshot_last}"


def standing(state: RaftState) -> str:
    """Role and term in a few words."""
    role = type(state.role).__name__
    if role == "Leader":
        return f"leads term {state.term}"
    if state.leader:
        return f"follows node {state.leader} in term {state.term}"
    return f"is a {role.lower()} in term {state.term}"


class SpanExporter:
    """One OpenTelemetry trace for each proposed batch of writes, with a span for every step that carried it on.

    Needs ``pip install "pyraft-lab[otel]"``; give it a tracer, or the global provider's is taken. Every message carries
    the id of what caused it, and a trace's id is made of its first event's: the spans of nodes in different
    processes meet in one trace without knowing of each other. Writes that were proposed together share it. A span lasts
    from the step that caused it, where this exporter saw that one, so the time a disk or a wire took shows.
    """

    def __init__(self, tracer: "Tracer | None" = None) -> None:
        from opentelemetry import trace

        self._tracer = tracer or trace.get_tracer("pyraft_lab")
        self._roots: dict[EventId, EventId] = {}
        self._ends: dict[EventId, int] = {}

    def __call__(self, record: Record) -> None:
        """Make a span of a record, if it belongs to a write."""
        root = self._root(record)
        if root is None:
            return
        end = int(record.time * 1e9)
        start = min(self._ends.get(record.cause or 0, end), end)
        span = self._tracer.start_span(
            _name(record), context=_context(root), start_time=start, attributes=_facts(record)
        )
        span.end(end)
        self._remember(record.id, root, end)

    def _remember(self, event: EventId, root: EventId, end: int) -> None:
        self._roots[event], self._ends[event] = root, end
        if len(self._roots) > REMEMBERED:
            oldest = next(iter(self._roots))
            del self._roots[oldest], self._ends[oldest]

    def _root(self, record: Record) -> EventId | None:
        """The proposal that a step carries on."""
        match record.step:
            case None:
                return None
            case Step(event=Propose()):
                return record.id
            case Step(event=Receive(message=AppendRequest(entries=entries))) if entries:
                return self._roots.get(record.cause or 0, record.cause)
            case _:
                return self._roots.get(record.cause or 0)


def _context(root: EventId) -> "Context":
    """The place in a trace that every node computes alike."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    digest = blake2b(root.to_bytes(8, "big"), digest_size=24).digest()
    place = SpanContext(
        trace_id=int.from_bytes(digest[:16], "big"),
        span_id=int.from_bytes(digest[16:], "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(place))


def _name(record: Record) -> str:
    return f"{record.kind} on node {record.node}"


def _facts(record: Record) -> dict[str, Any]:
    assert record.step is not None, "asked of steps only"
    after = record.step.after
    return {
        "raft.node": record.node,
        "raft.term": after.term,
        "raft.commit": after.committed,
        "raft.last": after.log.last.index,
        "raft.event": record.id,
    }
