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
    BadCommand,
    NetworkFailed,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PyraftError,
    QuorumNotEnough,
    UnknownNode,
)
from pyraft_lab.machine import Expired, Rejected, Value
from pyraft_lab.pending_requests import OperationDone, Outcome, ReadAllowed, RequestFailed, WriteApplied, to_error
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


def invoke(scene: Transition, call: Call) -> None:
    """A client begins a call."""
    if call.to is not None and call.to not in scene.nodes:
        raise UnknownNode(call.to, scene.nodes)
    scene.requests += 1
    serial = scene.clients[call.client] = scene.clients.get(call.client, 0) + 1
    since = max(node.state.committed for node in scene.nodes.values())
    waiting = OpenCall(id=scene.requests, call=call, serial=serial, began=scene.id, since=since)
    scene.calls[waiting.id] = waiting
    attempt(scene, scene.requests)


def attempt(scene: Transition, request: RequestId) -> None:
    """Ask the node the call is for, or the one last hinted at, or whoever leads."""
    waiting = scene.calls[request]
    call = waiting.call
    to = call.to or waiting.hint or scene.world.leader
    if to is None:
        _wait(scene, waiting, "finds no leader")
    elif not scene.nodes[to].up:
        _find_down(scene, waiting, to)
    elif scene.nodes[to].paused:
        _wait(scene, waiting, f"hears nothing from node {to}", ATTEMPT_TIMEOUT if call.to is None else PAUSE)
    else:
        due = scene.schedule(ATTEMPT_TIMEOUT, Attempt(request)) if call.to is None else None
        waiting = replace(waiting, at=to, tries=waiting.tries + 1, hint=None, due=due)
        scene.calls[request] = waiting
        _ask(scene, waiting, to)


def deliver_outcomes(scene: Transition) -> None:
    """What nodes have answered reaches the clients."""
    for node, outcome in scene.outcomes:
        waiting = scene.calls.get(outcome.request)
        if waiting is not None:
            _on_outcome(scene, waiting, node, outcome)
    for waiting in [one for one in scene.calls.values() if one.joint is not None]:
        _look_for_end(scene, waiting)


def _wait(scene: Transition, waiting: OpenCall, why: str, delay: Micros = PAUSE) -> None:
    due = scene.schedule(delay, Attempt(waiting.id))
    scene.calls[waiting.id] = replace(waiting, at=None, hint=None, due=due)
    scene.describe(Kind.CALL, detail=f"client {waiting.call.client} {why}")


def _find_down(scene: Transition, waiting: OpenCall, to: NodeId) -> None:
    if waiting.call.to is None:
        _wait(scene, waiting, f"finds node {to} down")
    else:
        scene.describe(Kind.CALL, detail=f"client {waiting.call.client} finds node {to} down")
        _end(scene, waiting, error=NetworkFailed(f"node {to}", "it is down"))


def _ask(scene: Transition, waiting: OpenCall, to: NodeId) -> None:
    wish = waiting.call.request
    if isinstance(wish, Query) and wish.policy == "local":
        scene.describe(Kind.READ, to, detail="local")
        _end(scene, waiting, value=scene.nodes[to].machine.query(wish.query))
        return
    event = _request(scene, waiting)
    scene.describe(kind_of(event), to)
    server = SimulatedDriver(scene, to)
    server.step(event)
    scene.nodes[to] = server.value()


def _request(scene: Transition, waiting: OpenCall) -> Request:
    """The wish as an event of the engine."""
    match waiting.call.request:
        case Write(command):
            return Propose(requests=(waiting.id,), payloads=(Normal(_sealed(scene, waiting, command)),))
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


def _sealed(scene: Transition, waiting: OpenCall, command: Any) -> bytes:
    """The command in its client's session: tried twice, it happens once."""
    client = waiting.call.client
    unanswered = min(one.serial for one in scene.calls.values() if one.call.client == client)
    return encode(command, client=client, serial=waiting.serial, done=unanswered - 1, since=waiting.since)


def _on_outcome(scene: Transition, waiting: OpenCall, node: NodeId, outcome: Outcome) -> None:
    match outcome:
        case WriteApplied(_, entry, answer):
            _on_applied(scene, waiting, node, entry, answer)
        case ReadAllowed():
            assert isinstance(waiting.call.request, Query), "only reads wait to read"
            value = scene.nodes[node].machine.query(waiting.call.request.query)
            _answer(scene, waiting, value if isinstance(value, Rejected) else Value(value))
        case OperationDone(_, note):
            _end(scene, waiting, value=note or None)
        case RequestFailed(_, failure) if waiting.at == node:
            _fail(scene, waiting, to_error(failure, node))
        case RequestFailed():
            pass  # an earlier try; the call waits elsewhere by now
        case _:
            assert_never(outcome)


def _on_applied(
    scene: Transition, waiting: OpenCall, node: NodeId, entry: Entry, answer: Value | Rejected | Expired
) -> None:
    """A joint membership is half the way where leaders end it by themselves: the change waits for its end."""
    if not isinstance(entry.payload, Configuration):
        _answer(scene, waiting, answer)
    elif entry.payload.membership.is_joint and scene.nodes[node].state.config.auto_leave:
        _forget(scene, waiting)
        scene.calls[waiting.id] = replace(waiting, at=None, due=None, joint=entry.index)
    else:
        _answer(scene, waiting, Value(entry.payload.membership))


def _look_for_end(scene: Transition, waiting: OpenCall) -> None:
    """Any node that knows a later uniform membership to be committed tells the client."""
    for node in scene.nodes.values():
        state = node.state
        known = state.committed_membership
        if state.membership_id_at(state.committed).index > (waiting.joint or 0) and not known.is_joint:
            _end(scene, waiting, value=known)
            return


def _answer(scene: Transition, waiting: OpenCall, answer: Value | Rejected | Expired) -> None:
    match answer:
        case Value(value):
            _end(scene, waiting, value=value)
        case Rejected(why):
            _end(scene, waiting, error=BadCommand(why))
        case Expired():
            _end(scene, waiting, error=OutcomeUnknown("its session has expired"))
        case _:
            assert_never(answer)


def _fail(scene: Transition, waiting: OpenCall, error: PyraftError) -> None:
    """Try again elsewhere where that is safe and wanted; else the caller has the error."""
    if waiting.call.to is not None or not _may_retry(waiting, error):
        _end(scene, waiting, error=error)
        return
    _forget(scene, waiting)
    hint = error.leader if isinstance(error, NotLeader) else None
    luck = scene.draw(Purpose.CLIENT, waiting.id, waiting.tries)
    delay = PAUSE if hint is None else sample(scene.weather.latency, luck)
    due = scene.schedule(delay, Attempt(waiting.id))
    scene.calls[waiting.id] = replace(waiting, at=None, hint=hint, due=due)


def _may_retry(waiting: OpenCall, error: PyraftError) -> bool:
    """Nothing happened, or a session makes sure that it happens once."""
    if isinstance(error, OutcomeUnknown):
        return isinstance(waiting.call.request, (Write, Query))
    return isinstance(error, (NotLeader, Overloaded, QuorumNotEnough))


def _end(scene: Transition, waiting: OpenCall, *, value: Any = None, error: PyraftError | None = None) -> None:
    _forget(scene, waiting)
    del scene.calls[waiting.id]
    scene.ended.append(Completed(request=waiting.id, began=waiting.began, value=value, error=error))


def _forget(scene: Transition, waiting: OpenCall) -> None:
    if waiting.due is not None:
        scene.cancel(waiting.due)
