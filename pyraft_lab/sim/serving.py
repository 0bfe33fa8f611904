"""A simulated node's side of clients: it carries out what `pyraft_lab.client.serving` decides.

:mod:`pyraft_lab.runtime.client_requests` does so at a live node.
"""

from collections.abc import Mapping
from typing import Any, assert_never

from pyraft_lab.client.requests import FindOutcome, OpenSession, Operate, ReadMany, WriteBatch
from pyraft_lab.client.serving import (
    BatchName,
    Decision,
    EnsureRead,
    ProposeBatch,
    WaitForBatch,
    decide,
    reply,
)
from pyraft_lab.command import encode
from pyraft_lab.engine.events import AllowRevert, ChangeMembership, Initialize, Propose, Read, TransferLeader
from pyraft_lab.engine.events import Request as EngineRequest
from pyraft_lab.engine.log import Configuration, Normal
from pyraft_lab.engine.types import RequestId
from pyraft_lab.errors import PyraftError
from pyraft_lab.machine import Rejected, Value
from pyraft_lab.pending_requests import (
    OperationDone,
    Outcome,
    ReadAllowed,
    RequestFailed,
    WriteApplied,
    is_last_step,
    to_error,
    value_of,
)
from pyraft_lab.sim.asked import Asked
from pyraft_lab.sim.server import SimulatedDriver
from pyraft_lab.sim.transition import Answered, Refused, Transition
from pyraft_lab.sim.world import (
    InitializeCluster,
    Node,
    PermitRevert,
    Query,
    Reconfigure,
    Request,
    TransferLeadership,
    Write,
)
from pyraft_lab.trace.record import Kind, kind_of


def serve(transition: Transition, asked: Asked) -> Answered | Refused | None:
    """Serve a request that reaches its node, which is up; ``None`` if its answer comes later."""
    node = transition.nodes[asked.node]
    if (query := _local(asked)) is not None:
        transition.describe(Kind.READ, asked.node, detail="local")
        return _valued(node.machine.query(query.query))
    todo, in_progress = _decision(transition, asked)
    shared = in_progress[todo.name] if isinstance(todo, WaitForBatch) else None
    transition.asked = transition.asked.arrived(asked, shared)
    if not isinstance(todo, WaitForBatch):
        event = _event(asked.id, todo)
        transition.describe(kind_of(event), asked.node, detail=_purpose(asked))
        server = SimulatedDriver(transition, asked.node)
        server.step(event)
        transition.nodes[asked.node] = server.value()
    return None


def reply_to(node: Node, asked: Asked, outcome: Outcome) -> Answered | Refused:
    """The answer to a request that its node has brought to an end."""
    match outcome:
        case RequestFailed(_, failure):
            return Refused(to_error(failure, node.id))
        case OperationDone(_, note):
            return Answered(note or None)
        case ReadAllowed(_, at):
            return _read(node, asked, at.index)
        case WriteApplied(_, entry, answer):
            if isinstance(entry.payload, Configuration):
                membership = entry.payload.membership
                return Answered(membership if is_last_step(membership, node.state.config) else entry)
            return _valued_answer(answer) if asked.call is not None else Answered(answer)
        case _:
            assert_never(outcome)


def _read(node: Node, asked: Asked, index: int) -> Answered | Refused:
    match asked.message:
        case OpenSession() | FindOutcome() | ReadMany() as request:
            return Answered(reply(request, index, query=node.machine.query, outcome=node.machine.outcome))
        case Query(query):
            return _valued(node.machine.query(query))
        case other:
            raise AssertionError(f"{other} is no read")


def _purpose(asked: Asked) -> str:
    """What a client's own question is for: its reads look like those of callers."""
    match asked.message:
        case OpenSession():
            return f"it begins the session of client {asked.client}"
        case FindOutcome():
            return f"client {asked.client} asks what became of its write"
        case _:
            return ""


def _valued(value: Any) -> Answered | Refused:
    return _valued_answer(value if isinstance(value, Rejected) else Value(value))


def _valued_answer(answer: Any) -> Answered | Refused:
    try:
        return Answered(value_of(answer))
    except PyraftError as error:
        return Refused(error)


def _local(asked: Asked) -> Query | None:
    message = asked.message.operation if isinstance(asked.message, Operate) else asked.message
    return message if isinstance(message, Query) and message.policy == "local" else None


def _decision(transition: Transition, asked: Asked) -> tuple[Decision | Request, Mapping[BatchName, RequestId]]:
    """What the node does about a request, and the batches it has in progress; an operator's request stays as it is."""
    match asked.message:
        case WriteBatch() | FindOutcome() as request:
            in_progress = transition.asked.in_progress(asked.node, (request.client, request.serial))
            return decide(request, in_progress), in_progress
        case OpenSession() | ReadMany() as request:
            return decide(request, ()), {}
        case Operate(operation):
            return operation, {}
        case wish:
            return wish, {}


def _event(id: RequestId, todo: ProposeBatch | EnsureRead | Request) -> EngineRequest:
    """A request as an event of the engine."""
    match todo:
        case ProposeBatch(_, data):
            return Propose(requests=(id,), payloads=(Normal(data),))
        case EnsureRead(policy):
            return Read((id,), policy)
        case wish:
            return _wish(id, wish)


def _wish(id: RequestId, wish: Request) -> EngineRequest:
    match wish:
        case Write(command):
            return Propose(requests=(id,), payloads=(Normal(encode(command)),))
        case Query(_, policy):
            return Read((id,), "lease" if policy == "lease" else "index")
        case Reconfigure(change, retain, guard):
            return ChangeMembership(request=id, change=change, retain=retain, guard=guard)
        case TransferLeadership(to):
            return TransferLeader(id, to)
        case InitializeCluster(membership):
            return Initialize(id, membership)
        case PermitRevert(peer):
            return AllowRevert(id, peer)
        case _:
            assert_never(wish)
