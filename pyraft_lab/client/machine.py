"""The client's ``step``: the node for each request, the time of each retry, and the result of each call.

A batch of writes is applied once (dissertation §6.3): it keeps its serial through all attempts, and after an attempt
without an answer the client asks for the outcome before it sends the commands again. Batches are applied in the order
of their serials: a node's state machine refuses a batch that arrives before its predecessor.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, assert_never

from msgspec.structs import replace

from pyraft_lab.client.batches import Batch, Batches, CallId, Part, RequestId
from pyraft_lab.client.events import (
    AttemptTimer,
    CancelTimer,
    Deliver,
    Event,
    Fail,
    Failed,
    Forget,
    GiveUp,
    NodesKnown,
    Replied,
    RetryTimer,
    Step,
    Submit,
    Timer,
    TimerFired,
)
from pyraft_lab.client.sending import Turn, ask_all, rest
from pyraft_lab.client.state import (
    MOST_EXPIRED,
    MOST_TRIED,
    ClientCall,
    ClientState,
    Operation,
    Read,
    Reading,
    Tried,
    Write,
)
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import (
    Fatal,
    NetworkFailed,
    NotInitialized,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PyraftError,
    QuorumNotEnough,
    Timeout,
    UnknownNode,
)
from pyraft_lab.immutable_map import ImmutableMap
from pyraft_lab.session import Answer, Batched, Expired, OutOfOrder, Rejected, Value

REFUSALS = (NotLeader, NotInitialized, Overloaded, QuorumNotEnough, UnknownNode)
"""Errors after which nothing has happened; another node, or the same one later, may succeed."""
UNCERTAIN = (OutcomeUnknown, NetworkFailed, Fatal, TimeoutError)
"""Errors after which it may have happened; the next attempt first asks for the outcome."""
TRIED_ONCE = (OutcomeUnknown, Fatal)
"""Errors after which an operation is not asked for again: it has no session that would carry it out once only."""
CANCELLED: CallId = 0
"""The call id of a read whose caller was cancelled."""


def step(state: ClientState, event: Event) -> Step:
    """The client after an event, and its commands for the driver, in order."""
    turn = Turn(state)
    match event:
        case Submit(calls):
            _submit(turn, calls)
        case NodesKnown(nodes):
            turn.know(nodes=nodes, leader=state.leader if state.leader in nodes else None)
        case Replied(request) | Failed(request):
            if request in state.asked:
                _on_end(turn, event)
        case TimerFired(timer):
            _on_timer(turn, timer)
        case GiveUp(calls, seconds):
            _give_up(turn, calls, seconds)
        case _:
            assert_never(event)
    ask_all(turn)
    return Step(turn.state, tuple(turn.commands))


def _submit(turn: Turn, calls: Sequence[ClientCall]) -> None:
    state = turn.state
    turn.know(
        writes=(*state.writes, *(call for call in calls if isinstance(call, Write))),
        reads=(*state.reads, *(call for call in calls if isinstance(call, Read))),
        operations=(*state.operations, *(call for call in calls if isinstance(call, Operation))),
    )


def _on_end(turn: Turn, event: Replied | Failed) -> None:
    match event:
        case Replied(request, reply):
            _on_reply(turn, request, reply)
        case Failed(request, error):
            _on_failure(turn, request, error)
        case _:
            assert_never(event)


def _on_timer(turn: Turn, timer: Timer) -> None:
    match timer:
        case RetryTimer():
            turn.know(is_resting=False)
        case AttemptTimer(request):
            if request in turn.state.asked:
                turn.tell(Forget(request))
                silent = {turn.state.asked[request]}
                turn.know(
                    silences=turn.state.silences + 1,
                    silent=turn.state.silent | silent,
                    skipped=turn.state.skipped - silent,
                )
                _on_failure(turn, request, Timeout("an answer", 0.0))
        case _:
            assert_never(timer)


# Replies


def _on_reply(turn: Turn, request: RequestId, reply: Any) -> None:
    node = _settle(turn, request)
    operation = turn.state.operating.get(request)
    is_from_leader = operation is None or not operation.is_local
    turn.know(leader=node if is_from_leader else turn.state.leader, failures=0, silences=0, tried=())
    turn.know(silent=turn.state.silent - {node})
    if operation is not None:
        turn.know(operating=turn.state.operating.without(request))
        turn.tell(Deliver((Part(operation.call, 0, 1, 0),), (reply,)))
    elif request == turn.state.opening:
        _on_opened(turn, reply)
    elif (reading := turn.state.readings.get(request)) is not None:
        _on_answers(turn, node, reading, reply)
    else:
        _on_outcome(turn, node, turn.state.batches.of_request(request), reply)


def _settle(turn: Turn, request: RequestId) -> NodeId:
    """Remove a request that has ended; returns the node that was asked."""
    node = turn.state.asked[request]
    turn.know(asked=turn.state.asked.without(request))
    turn.tell(CancelTimer(AttemptTimer(request)))
    return node


def _on_opened(turn: Turn, since: int) -> None:
    """Open the session; batches that the last session did not apply get new serials, in order."""
    session = turn.state.session
    batches = Batches.of(
        replace(batch, serial=serial, must_wait=False) for serial, batch in enumerate(turn.state.batches, session.next)
    )
    session = replace(session, since=since, next=session.next + len(batches), is_open=True)
    turn.know(session=session, batches=batches, opening=None)


def _on_answers(turn: Turn, node: NodeId, reading: Reading, answers: Sequence[Value | Rejected]) -> None:
    """Handle answers to the first queries of a request; the others did not fit into one reply."""
    if not 0 < len(answers) <= len(reading.reads):
        error = PyraftError(f"node {node} answered {len(reading.reads)} queries with {len(answers)} values")
        _put_back(turn, reading, ())
        _fail(turn, [read.call for read in reading.reads], error)
        return
    left = reading.reads[len(answers) :]
    _put_back(turn, reading, left)
    parts = tuple(Part(read.call, 0, 1, place) for place, read in enumerate(reading.reads[: len(answers)]))
    rejected = {place: one.why for place, one in enumerate(answers) if isinstance(one, Rejected)}
    values = [one.value if isinstance(one, Value) else None for one in answers]
    turn.tell(Deliver(parts, values, rejected))


def _on_outcome(turn: Turn, node: NodeId, batch: Batch, answer: Answer | None) -> None:
    match answer:
        case None:
            _change(turn, batch, request=None, is_uncertain=False)
        case OutOfOrder():
            _change(turn, batch, request=None, must_wait=True, sent=batch.sent - 1)
            if batch.serial == turn.state.batches.first:  # there is none before it: this node is wrong
                _turn_elsewhere(turn, node, PyraftError("out of order"))
        case Expired():
            _on_expired(turn, batch)
        case Value(value):
            _on_applied(turn, node, batch, [value], {})
        case Rejected(why):
            count = len(batch.commands)
            _on_applied(turn, node, batch, [None] * count, dict.fromkeys(range(count), why))
        case Batched(values, rejected):
            _on_applied(turn, node, batch, values, rejected)
        case _:
            assert_never(answer)


def _on_expired(turn: Turn, batch: Batch) -> None:
    """Handle a forgotten session: a batch sent once was not applied; for one sent twice the outcome is unknown."""
    session = turn.state.session
    turn.know(session=replace(session, is_open=False), expired=turn.state.expired + session.is_open)
    if batch.sent > 1:
        _end_batch(turn, batch, OutcomeUnknown("the session was forgotten, and the command was sent more than once"))
    elif turn.state.expired >= MOST_EXPIRED:
        _end_batch(turn, batch, PyraftError(
            f"{turn.state.expired} sessions in a row expired before a write was applied, so it was not applied: "
            "sessions expire faster than this client can use them; raise their expiry or lower the load"
        ))  # fmt: skip
    else:
        _change(turn, batch, request=None, sent=0)


def _end_batch(turn: Turn, batch: Batch, error: PyraftError) -> None:
    _remove(turn, batch)
    _fail(turn, [part.call for part in batch.parts], error)


def _on_applied(turn: Turn, node: NodeId, batch: Batch, values: Sequence[Any], rejected: dict[int, str]) -> None:
    _remove(turn, batch)
    turn.know(expired=0)
    for one in turn.state.batches.holding_back:
        turn.know(batches=turn.state.batches.put(replace(one, must_wait=False)))
    if len(values) == len(batch.commands):
        turn.tell(Deliver(batch.parts, values, rejected))
    else:
        error = PyraftError(f"node {node} answered {len(batch.commands)} commands with {len(values)} values")
        _fail(turn, [part.call for part in batch.parts], error)


# Failures


def _on_failure(turn: Turn, request: RequestId, error: Exception) -> None:
    node = _settle(turn, request)
    said = "no answer in time" if isinstance(error, Timeout) else str(error)
    if isinstance(error, REFUSALS):
        turn.know(silent=turn.state.silent - {node})
    turn.know(tried=(*turn.state.tried, Tried(node, said))[-MOST_TRIED:])
    is_final = request in turn.state.operating and isinstance(error, TRIED_ONCE)
    calls = _release(turn, request, is_uncertain=not isinstance(error, REFUSALS))
    if is_final or not isinstance(error, (*REFUSALS, *UNCERTAIN)):
        _fail(turn, calls, error)
    elif turn.state.leader in {node, None}:  # a refusal by an earlier leader changes nothing
        _turn_elsewhere(turn, node, error)


def _release(turn: Turn, request: RequestId, *, is_uncertain: bool) -> Sequence[CallId]:
    """Make the content of a request ready to be sent again; returns the calls it was for."""
    if request == turn.state.opening:
        turn.know(opening=None)
        return [write.call for write in turn.state.writes]
    if (operation := turn.state.operating.get(request)) is not None:
        again = replace(operation, is_uncertain=operation.is_uncertain or is_uncertain)
        operations = (again,) if operation.call != CANCELLED else ()
        turn.know(operations=(*operations, *turn.state.operations), operating=turn.state.operating.without(request))
        return [operation.call]
    if (reading := turn.state.readings.get(request)) is not None:
        _put_back(turn, reading, reading.reads)
        return [read.call for read in reading.reads]
    batch = turn.state.batches.of_request(request)
    if not batch.parts:
        _remove(turn, batch)
    elif batch.is_uncertain or is_uncertain:
        _change(turn, batch, request=None, is_uncertain=True)
    else:
        _change(turn, batch, request=None, sent=batch.sent - 1)
    return [part.call for part in batch.parts]


def _turn_elsewhere(turn: Turn, node: NodeId, error: Exception) -> None:
    """Follow a hint at once; without one, or if hints form a circle, wait for the election.

    A hint at a silent node is like none until the others had their turn, or ``MOST_TRIED`` of them: in a large cluster
    all others together take longer than most calls wait.
    """
    failures = turn.state.failures + 1
    turn.know(failures=failures)
    passed_over = turn.state.to_skip & {one.node for one in turn.state.tried}
    known = {*turn.state.nodes} - passed_over - {node}
    match error:
        case NotLeader(leader=hint) if hint in known and failures % 3:
            turn.know(leader=hint)
        case Overloaded(retry_after=seconds):
            rest(turn, at_least=seconds or 0.0)
        case _:
            turn.know(leader=None, turn=turn.state.turn + 1)
            _pass_over_silent(turn)
            rest(turn)


def _pass_over_silent(turn: Turn) -> None:
    """Let each node that gave no answer miss one turn: another attempt takes longer there than at the others."""
    nodes = turn.state.nodes
    while nodes and (node := nodes[turn.state.turn % len(nodes)]) in turn.state.to_skip:
        turn.know(turn=turn.state.turn + 1, skipped=turn.state.skipped | {node})


# Ends of calls


def _give_up(turn: Turn, calls: Iterable[CallId], seconds: float) -> None:
    """Fail these calls, saying for each whether it may have happened; send nothing more for them."""
    state, gone = turn.state, frozenset(calls)
    sent = _sent(state)
    writing = {write.call for write in state.writes} | {part.call for batch in state.batches for part in batch.parts}
    reading = {read.call for reading in state.readings.values() for read in reading.reads}
    reading |= {read.call for read in state.reads}
    operating = {one.call for one in (*state.operations, *state.operating.values())}
    tried = [(one.node, one.said) for one in state.tried] + [
        (state.asked[request], "") for request in sorted(state.asked)
    ]
    for call in sorted(gone & (writing | reading | operating)):
        what = "a write" if call in writing else "an operation" if call in operating else "a read"
        turn.tell(Fail(call, Timeout(what, seconds, tried=tried, may_have_happened=call in sent)))
    _drop(turn, gone)


def _sent(state: ClientState) -> set[CallId]:
    """The writes and operations that may have happened: one was sent and not refused, or applied in part already."""
    parts = [(part.call, part.start) for batch in state.batches for part in batch.parts]
    left = dict(sorted([*parts, *((write.call, write.start) for write in state.writes)], reverse=True))
    begun = {call for call, first in left.items() if first}
    begun |= {one.call for one in state.operations if one.is_uncertain}
    begun |= {one.call for one in state.operating.values()}
    return begun | {part.call for batch in state.batches if batch.sent for part in batch.parts}


def _fail(turn: Turn, calls: Iterable[CallId], error: Exception) -> None:
    ended = dict.fromkeys(call for call in calls if call != CANCELLED)
    for call in ended:
        turn.tell(Fail(call, error))
    _drop(turn, frozenset(ended))


def _drop(turn: Turn, gone: frozenset[CallId]) -> None:
    """Forget calls; a batch in progress stays until it ends, because its serial is used."""
    state = turn.state
    batches = (_without(batch, gone) for batch in state.batches)
    turn.know(
        writes=tuple(write for write in state.writes if write.call not in gone),
        reads=tuple(read for read in state.reads if read.call not in gone),
        batches=Batches.of(batch for batch in batches if batch.parts or batch.request is not None),
        readings=ImmutableMap.of({request: _without_reads(one, gone) for request, one in state.readings.items()}),
        operations=tuple(one for one in state.operations if one.call not in gone),
        operating=ImmutableMap.of(
            {
                request: replace(one, call=CANCELLED) if one.call in gone else one
                for request, one in state.operating.items()
            }
        ),
    )


def _without(batch: Batch, gone: frozenset[CallId]) -> Batch:
    """A batch without these calls; their commands stay only in one that was sent, because it may have been applied."""
    if not any(part.call in gone for part in batch.parts):
        return batch
    parts = tuple(part for part in batch.parts if part.call not in gone)
    if batch.sent:
        return replace(batch, parts=parts)
    commands = [command for part in parts for command in batch.commands[part.place : part.place + part.count]]
    places = accumulate((part.count for part in parts), initial=0)
    moved = tuple(replace(part, place=place) for part, place in zip(parts, places, strict=False))
    return replace(batch, parts=moved, commands=commands)


def _without_reads(reading: Reading, gone: frozenset[CallId]) -> Reading:
    reads = tuple(replace(read, call=CANCELLED) if read.call in gone else read for read in reading.reads)
    return replace(reading, reads=reads)


# Changes


def _change(turn: Turn, batch: Batch, **changes: Any) -> None:
    """Replace a batch; remove it if no call waits for it."""
    if not batch.parts:
        _remove(turn, batch)
        return
    turn.know(batches=turn.state.batches.without(batch.serial).put(replace(batch, **changes)))


def _remove(turn: Turn, batch: Batch) -> None:
    turn.know(batches=turn.state.batches.without(batch.serial))


def _put_back(turn: Turn, reading: Reading, left: Iterable[Read]) -> None:
    """Put unanswered queries first in the queue."""
    state = turn.state
    turn.know(
        readings=state.readings.without(reading.request),
        reads=(*(read for read in left if read.call != CANCELLED), *state.reads),
    )
