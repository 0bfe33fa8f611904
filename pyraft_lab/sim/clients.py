"""Simulated clients: a call goes to whoever leads, follows hints, and is tried again in its session until answered.

A call to a node of its own choice is tried once, and waits for what that node says.
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
"""How long a client waits for an answer before it asks whoever leads then."""
PAUSE: Micros = 50_000
"""How long it waits where nobody leads."""


def invoke(transition: Transition, call: Call) -> None:
    """A client begins a call."""
    if call.to is not None and call.to not in transition.nodes:
        raise UnknownNode(call.to, transition.nodes)
    transition.requests += 1
    serial = transition.clients[call.client] = transition.clients.get(call.client, 0) + 1
    since = max(node.state.committed for node in transition.nodes.values())
    waiting = OpenCall(id=transition.requests, call=call, serial=serial, began=transition.id, since=since)
    transition.calls[waiting.id] = waiting
    attempt(transition, transition.requests)


def attempt(transition: Transition, request: RequestId) -> None:
    """Ask the node the call is for, or the one last hinted at, or whoever leads."""
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
    """What nodes have answered reaches the clients."""
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
    """The wish as an event of the engine."""
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
    """The command in its client's session: tried twice, it happens once."""
    client = waiting.call.client
    unanswered = min(one.serial for one in transition.calls.values() if one.call.client == client)
    return encode(command, client=client, serial=waiting.serial, done=unanswered - 1, since=waiting.since)


def _on_outcome(transition: Transition, waiting: OpenCall, node: NodeId, outcome: Outcome) -> None:
    match outcome:
        case WriteApplied(_, entry, answer):
            _on_applied(transition, waiting, node, entry, answer)
        case ReadAllowed():
            assert isinstance(waiting.call.request, Query), "only reads wait to read"
            value = transition.nodes[node].machine.query(waiting.call.request.query)
            _answer(transition, waiting, value if isinstance(value, Rejected) else Value(value))
        case OperationDone(_, note):
            _end(transition, waiting, value=note or None)
        case RequestFailed(_, failure) if waiting.at == node:
            _fail(transition, waiting, to_error(failure, node))
        case RequestFailed():
            pass  # an earlier try; the call waits elsewhere by now
        case _:
            assert_never(outcome)


def _on_applied(transition: Transition, waiting: OpenCall, node: NodeId, entry: Entry, answer: Answer) -> None:
    """A joint membership is half the way where leaders end it by themselves: the change waits for its end."""
    if not isinstance(entry.payload, Configuration):
        _answer(transition, waiting, answer)
    elif entry.payload.membership.is_joint and transition.nodes[node].state.config.auto_leave:
        _forget(transition, waiting)
        transition.calls[waiting.id] = replace(waiting, at=None, due=None, joint=entry.index)
    else:
        _answer(transition, waiting, Value(entry.payload.membership))


def _look_for_end(transition: Transition, waiting: OpenCall) -> None:
    """Any node that knows a later uniform membership to be committed tells the client."""
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
    """Try again elsewhere where that is safe and wanted; else the caller has the error."""
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
    """Nothing happened, or a session makes sure that it happens once."""
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
