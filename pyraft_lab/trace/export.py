"""Records for other tools: sentences for standard logging, and spans for OpenTelemetry.

>>> import logging
>>> raft = Raft(1, observers=[LogExporter()])  # doctest: +SKIP
INFO pyraft_lab.trace.export n1 leads term 2
"""

import logging
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pyraft_lab.engine.commands import Refuse
from pyraft_lab.engine.events import Propose, Receive
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.extras import needed
from pyraft_lab.trace import given
from pyraft_lab.trace.record import EventId, Kind, Record

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, SpanKind, Tracer

log = logging.getLogger(__name__)
FAULTS = frozenset(
    {
        *(Kind.CRASH, Kind.WIPE, Kind.PAUSE, Kind.RESUME, Kind.SILENT, Kind.HEARD),
        *(Kind.PARTITION, Kind.CUT, Kind.HEAL, Kind.DROP, Kind.DELAY, Kind.WEATHER),
    }
)
SINCE_1970 = 1e9
"""Seconds from which a record's time is taken for wall time: no cluster runs for thirty years."""
MAX_OPEN_SPANS = 10_000
"""The maximum number of events that are remembered as causes, and of writes that wait for their answer."""


class LogExporter:
    """Writes records to a logger: changes of role, membership and snapshot as ``INFO``, every step as ``DEBUG``."""

    def __init__(self, logger: logging.Logger = log) -> None:
        self._logger = logger

    def __call__(self, record: Record) -> None:
        """Log one record."""
        if record.step is not None:
            for news in notable(record.step):
                self._logger.info("n%s %s", record.node, news)
        elif record.kind in FAULTS:
            self._logger.info("%s", record)
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug("%s", record)


def notable(step: Step) -> Iterator[str]:
    """Changes of role, term, membership and snapshot in a step, in words; most steps have none."""
    before, after = step.before, step.after
    if role_and_term(before) != role_and_term(after):
        yield role_and_term(after)
    if before.membership != after.membership:
        yield f"has the membership {after.membership}"
    if before.snapshot_last != after.snapshot_last:
        yield f"keeps a snapshot of {after.snapshot_last}"


def role_and_term(state: RaftState) -> str:
    """Role and term in a few words."""
    if state.leader == state.id:
        return f"leads term {state.term}"
    if state.leader:
        return f"follows node {state.leader} in term {state.term}"
    return f"is a {state.role_name} in term {state.term}"


class SpanExporter:
    """One OpenTelemetry trace for each client's write, with a span for every step of any node that carried it on.

    Needs ``pip install "pyraft-lab[otel]"``; give it a tracer, or the global provider's is taken. Every message carries
    the id of what caused it, and a trace's id is made of its first event's: the spans of nodes in different
    processes meet in one trace without knowing of each other. A span lasts from the step that caused it, where this
    exporter saw that one, so the time a disk or a wire took shows.

    Writes that were proposed together share their steps, and still have a trace each, linked to that of the batch::

        write 7 on node 1 ──┐ link
                            ├─▶ propose on node 1 ── receive on node 2 ── stored on node 2 ── …
        write 8 on node 1 ──┘

    The span of a write (kind ``SERVER``) lasts from its proposal to the step that reports its answer; this needs the
    level ``full``. The arrival of a message has the kind ``CONSUMER``, every other step ``INTERNAL``.

    Spans carry wall time. ``start`` is the wall time of the trace's second 0, in seconds since 1970; by default the
    first record is taken to happen now, unless its time already is such a time.
    """

    def __init__(self, tracer: "Tracer | None" = None, *, start: float | None = None) -> None:
        with needed("opentelemetry"):
            from opentelemetry import trace

        given.seconds("start", start)
        self._start = start
        self._tracer = trace.get_tracer("pyraft_lab") if tracer is None else tracer
        self._roots: dict[EventId, EventId] = {}
        self._ends: dict[EventId, int] = {}
        self._writes: dict[tuple[NodeId, RequestId], Span] = {}

    @classmethod
    def for_service(
        cls, processor: "SpanProcessor", *, service: str = "pyraft-lab", start: float | None = None
    ) -> "SpanExporter":
        """An exporter whose spans go to ``processor`` and belong to the resource ``service.name`` = ``service``.

        Needs ``pip install "pyraft-lab[otel]"``; ``start`` as for the class.
        """
        with needed("opentelemetry"):
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider

        given.name("service", service)
        provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
        provider.add_span_processor(processor)
        return cls(provider.get_tracer("pyraft_lab"), start=start)

    def _wall_time(self, record: Record) -> int:
        """When a record happened, in nanoseconds since 1970."""
        if self._start is None:
            self._start = 0.0 if record.time >= SINCE_1970 else time.time() - record.time
        return int((self._start + record.time) * 1e9)

    def __call__(self, record: Record) -> None:
        """Make a span of a record, if it belongs to a write, and end the writes that it answers."""
        root = self._root(record)
        if root is not None:
            self._carry_on(record, root)
        for reply in record.replies:
            self._end(record.node, reply.request, self._wall_time(record), reply.error)
        for request in _refused(record):  # the call may go on at another node
            self._end(record.node, request, self._wall_time(record), "the node refused it")

    def _carry_on(self, record: Record, root: EventId) -> None:
        """One step of a write, or of a batch of them."""
        end = self._wall_time(record)
        start = min(self._ends.get(record.cause or 0, end), end)
        span = self._tracer.start_span(
            _name(record), context=_context(root), kind=_kind(record), start_time=start, attributes=_facts(record)
        )
        match record.step:
            case Step(event=Propose(requests=requests)):
                self._begin(record, requests, span)
            case _:
                pass
        span.end(end)
        self._remember(record.id, root, end)

    def _begin(self, record: Record, requests: Sequence[RequestId], batch: "Span") -> None:
        """Begin a span for every write: in the trace of its steps if it has them for itself, else in its own."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind

        alone = len(requests) == 1
        for request in requests:
            span = self._tracer.start_span(
                f"write {request} on node {record.node}",
                context=_context(record.id) if alone else Context(),
                kind=SpanKind.SERVER,
                links=() if alone else (Link(batch.get_span_context()),),
                start_time=self._wall_time(record),
                attributes={"raft.node": record.node, "raft.request": request},
            )
            if not alone:
                batch.add_link(span.get_span_context())
            self._end(
                record.node, request, self._wall_time(record), "the node forgot it"
            )  # in an earlier life of the node
            self._writes[record.node, request] = span
        while len(self._writes) > MAX_OPEN_SPANS:
            self._end(*next(iter(self._writes)), self._wall_time(record), "no answer was seen")

    def _end(self, node: NodeId, request: RequestId, end: int, error: str) -> None:
        """A write is over, if this is one."""
        from opentelemetry.trace import StatusCode

        span = self._writes.pop((node, request), None)
        if span is None:
            return
        if error:
            span.set_status(StatusCode.ERROR, error)
        span.end(end)

    def _remember(self, event: EventId, root: EventId, end: int) -> None:
        self._roots[event], self._ends[event] = root, end
        if len(self._roots) > MAX_OPEN_SPANS:
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


def _kind(record: Record) -> "SpanKind":
    from opentelemetry.trace import SpanKind

    return SpanKind.CONSUMER if record.kind is Kind.RECEIVE else SpanKind.INTERNAL


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


def _refused(record: Record) -> Iterator[RequestId]:
    """The requests that a step refuses."""
    for command in () if record.step is None else record.step.commands:
        if isinstance(command, Refuse):
            yield from command.requests
