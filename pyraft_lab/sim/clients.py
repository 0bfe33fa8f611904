"""Simulated clients: a call goes to the leader, follows hints, and is retried in its session until it is answered.

A call to a node that the client chose is tried once, and waits for that node's answer.
"""

from typing import Any, assert_never

from msgspec.structs import replace

from pyraft_lab.command import encode
from pyraft_lab.engine.events import AllowRevert, ChangeMembership, Initialize, Propose, Read, Request, TransferLeader
from pyraft_lab.engine.log import Configuration, Entry, Normal
from pyraft_lab.engine.types import NodeId, RequestId
from pyraft_lab.errors import (
    NetworkFailed,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PyraftError,
    QuorumNotEnough,
    UnknownNode,
)
from pyraft_lab.machine import Answer, Rejected, Value
from pyraft_lab.pending_requests import (
    OperationDone,
    Outcome,
    ReadAllowed,
    RequestFailed,
    WriteApplied,
    to_error,
    value_of,
)
from pyraft_lab.sim.conditions import Micros, Purpose, sample
from pyraft_lab.sim.server import SimulatedDriver
from pyraft_lab.sim.transition import Completed, Transition
from pyraft_lab.sim.world import (
    Attempt,
    Call,
    InitializeCluster,
    OpenCall,
    PermitRevert,
    Query,
    Reconfigure,
    TransferLeadership,
    Write,
)
from pyraft_lab.trace.record import Kind, kind_of

ATTEMPT_TIMEOUT: Micros = 1_000_000
"""How long a client waits for an answer before it asks the present leader, in microseconds."""
PAUSE: Micros = 50_000
"""How long it waits while there is no leader, in microseconds."""


def invoke(transition: Transition, call: Call) -> None:
    """Start a client's call."""
    if call.to is not None and call.to not in transition.nodes:
        raise UnknownNode(call.to, transition.nodes)
    transition.requests += 1
    serial = transition.clients[call.client] = transition.clients.get(call.client, 0) + 1
    since = max(node.state.committed for node in transition.nodes.values())
    waiting = OpenCall(id=transition.requests, call=call, serial=serial, began=transition.id, since=since)
    transition.calls[waiting.id] = waiting
    attempt(transition, transition.requests)


def attempt(transition: Transition, request: RequestId) -> None:
    """Send a call to its own node, to the node of the last hint, or to the leader."""
    waiting = transition.calls[request]
    call = waiting.call
    to = call.to or waiting.hint or transition.world.leader
    if to is None:
        _wait(transition, waiting, "finds no leader")
    elif not transition.nodes[to].up:
        _find_down(transition, waiting, to)
    elif transition.nodes[to].paused:
        _wait(transition, waiting, f"hears nothing from node {to}", ATTEMPT_TIMEOUT if call.to is None else PAUSE)
    else:
        due = transition.schedule(ATTEMPT_TIMEOUT, Attempt(request)) if call.to is None else None
        waiting = replace(waiting, at=to, tries=waiting.tries + 1, hint=None, due=due)
        transition.calls[request] = waiting
        _ask(transition, waiting, to)


def deliver_outcomes(transition: Transition) -> None:
    """Deliver the nodes' outcomes to the clients."""
    for node, outcome in transition.outcomes:
        waiting = transition.calls.get(outcome.request)
        if waiting is not None:
            _on_outcome(transition, waiting, node, outcome)
    for waiting in [one for one in transition.calls.values() if one.joint is not None]:
        _look_for_end(transition, waiting)


def _wait(transition: Transition, waiting: OpenCall, why: str, delay: Micros = PAUSE) -> None:
    due = transition.schedule(delay, Attempt(waiting.id))
    transition.calls[waiting.id] = replace(waiting, at=None, hint=None, due=due)
    transition.describe(Kind.CALL, detail=f"client {waiting.call.client} {why}")


def _find_down(transition: Transition, waiting: OpenCall, to: NodeId) -> None:
    if waiting.call.to is None:
        _wait(transition, waiting, f"finds node {to} down")
    else:
        transition.describe(Kind.CALL, detail=f"client {waiting.call.client} finds node {to} down")
        _end(transition, waiting, error=NetworkFailed(f"node {to}", "it is down"))


def _ask(transition: Transition, waiting: OpenCall, to: NodeId) -> None:
    request = waiting.call.request
    if isinstance(request, Query) and request.policy == "local":
        transition.describe(Kind.READ, to, detail="local")
        _end(transition, waiting, value=transition.nodes[to].machine.query(request.query))
        return
    event = _request(transition, waiting)
    transition.describe(kind_of(event), to)
    server = SimulatedDriver(transition, to)
    server.step(event)
    transition.nodes[to] = server.value()


def _request(transition: Transition, waiting: OpenCall) -> Request:
    """The call's request as an event of the engine."""
    match waiting.call.request:
        case Write(command):
            return Propose(requests=(waiting.id,), payloads=(Normal(_sealed(transition, waiting, command)),))
        case Query(_, policy):
            return Read((waiting.id,), "lease" if policy == "lease" else "index")
        case Reconfigure(change, retain, guard):
            return ChangeMembership(request=waiting.id, change=change, retain=retain, guard=guard)
        case TransferLeadership(to):
            return TransferLeader(waiting.id, to)
        case InitializeCluster(membership):
            return Initialize(waiting.id, membership)
        case PermitRevert(peer):
            return AllowRevert(waiting.id, peer)
        case _:
            assert_never(waiting.call.request)


def _sealed(transition: Transition, waiting: OpenCall, command: Any) -> bytes:
    """The command in its client's session: a retry is not applied a second time."""
    client = waiting.call.client
    unanswered = min(one.serial for one in transition.calls.values() if one.call.client == client)
    return encode(command, client=client, serial=waiting.serial, done=unanswered - 1, since=waiting.since)


def _on_outcome(transition: Transition, waiting: OpenCall, node: NodeId, outcome: Outcome) -> None:
    match outcome:
        case WriteApplied(_, entry, answer):
            _on_applied(transition, waiting, node, entry, answer)
        case ReadAllowed():
            assert isinstance(waiting.call.request, Query), "only reads wait for ReadAllowed"
            value = transition.nodes[node].machine.query(waiting.call.request.query)
            _answer(transition, waiting, value if isinstance(value, Rejected) else Value(value))
        case OperationDone(_, note):
            _end(transition, waiting, value=note or None)
        case RequestFailed(_, failure) if waiting.at == node:
            _fail(transition, waiting, to_error(failure, node))
        case RequestFailed():
            pass  # an earlier attempt; the call waits at another node now
        case _:
            assert_never(outcome)


def _on_applied(transition: Transition, waiting: OpenCall, node: NodeId, entry: Entry, answer: Answer) -> None:
    """Answer a change of membership; one that is still joint waits until its leader ends it (``auto_leave``)."""
    if not isinstance(entry.payload, Configuration):
        _answer(transition, waiting, answer)
    elif entry.payload.membership.is_joint and transition.nodes[node].state.config.auto_leave:
        _forget(transition, waiting)
        transition.calls[waiting.id] = replace(waiting, at=None, due=None, joint=entry.index)
    else:
        _answer(transition, waiting, Value(entry.payload.membership))


def _look_for_end(transition: Transition, waiting: OpenCall) -> None:
    """Answer the client once any node has committed a later uniform membership."""
    for node in transition.nodes.values():
        state = node.state
        known = state.committed_membership
        if state.membership_id_at(state.committed).index > (waiting.joint or 0) and not known.is_joint:
            _end(transition, waiting, value=known)
            return


def _answer(transition: Transition, waiting: OpenCall, answer: Answer) -> None:
    try:
        value = value_of(answer)
    except PyraftError as error:
        _end(transition, waiting, error=error)
    else:
        _end(transition, waiting, value=value)


def _fail(transition: Transition, waiting: OpenCall, error: PyraftError) -> None:
    """Retry at another node if that is safe and wanted; else return the error to the caller."""
    if waiting.call.to is not None or not _may_retry(waiting, error):
        _end(transition, waiting, error=error)
        return
    _forget(transition, waiting)
    hint = error.leader if isinstance(error, NotLeader) else None
    luck = transition.draw(Purpose.CLIENT, waiting.id, waiting.tries)
    delay = PAUSE if hint is None else sample(transition.weather.latency, luck)
    due = transition.schedule(delay, Attempt(waiting.id))
    transition.calls[waiting.id] = replace(waiting, at=None, hint=hint, due=due)


def _may_retry(waiting: OpenCall, error: PyraftError) -> bool:
    """Whether a retry is safe: nothing was appended, or a session applies the command only once."""
    if isinstance(error, OutcomeUnknown):
        return isinstance(waiting.call.request, (Write, Query))
    return isinstance(error, (NotLeader, Overloaded, QuorumNotEnough))


def _end(transition: Transition, waiting: OpenCall, *, value: Any = None, error: PyraftError | None = None) -> None:
    _forget(transition, waiting)
    del transition.calls[waiting.id]
    transition.ended.append(Completed(request=waiting.id, began=waiting.began, value=value, error=error))


def _forget(transition: Transition, waiting: OpenCall) -> None:
    if waiting.due is not None:
        transition.cancel(waiting.due)
