"""Simulated clients: each runs the machine of `pyraft_lab.client`, as a live client does, in virtual time.

A client knows the nodes' ids, what they answered, and silence; it does not see who leads. A call to a named node is no
matter of that machine: that node is asked once.

::

    Invoke ──▶ step(client, Submit) ──▶ Ask ──▶ Reach its node ──▶ the engine ──▶ Replied, Failed ──▶ step(client, …)
               WakeClient ──▶ step(client, TimerFired)                                                  └▶ the call ends

A request reaches its node at once if its client sends it of its own accord (a call, a timer); one that follows an
answer takes the network's latency. Links between clients and nodes do not break: a node that is down refuses the
connection, and one that stands still is silent.
"""

from typing import Any, assert_never

from msgspec.structs import replace

from pyraft_lab.client.batches import CallId
from pyraft_lab.client.events import (
    Ask,
    CancelTimer,
    Command,
    Deliver,
    Event,
    Fail,
    Failed,
    Forget,
    NodesKnown,
    Replied,
    RetryTimer,
    SetTimer,
    Submit,
    TimerFired,
)
from pyraft_lab.client.events import Timer as ClientTimer
from pyraft_lab.client.machine import step
from pyraft_lab.client.requests import Operate, ReadMany, WriteBatch
from pyraft_lab.client.state import ClientCall as MachineCall
from pyraft_lab.client.state import ClientState, Limits, Operation, Session
from pyraft_lab.client.state import Read as MachineRead
from pyraft_lab.client.state import Write as MachineWrite
from pyraft_lab.client.timing import length
from pyraft_lab.command import encode
from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import BadCommand, NetworkFailed, PyraftError, UnknownNode
from pyraft_lab.sim.asked import Asked
from pyraft_lab.sim.conditions import SECOND, Micros, Purpose, chance, sample
from pyraft_lab.sim.serving import reply_to, serve
from pyraft_lab.sim.transition import Answered, Completed, Refused, Transition
from pyraft_lab.sim.world import (
    Call,
    Invoke,
    OpenCall,
    Query,
    Reach,
    SimulatedClient,
    WakeClient,
    World,
    Write,
)
from pyraft_lab.trace.record import Kind

LIMITS = Limits(batches=1 << 30, commands=1, read_requests=1 << 30, queries=1)
"""Every call is a request and an entry of its own, so that a learner finds each write in the log."""
FIRST_NODES = 1 << 16


# What happens to clients


def invoke(transition: Transition, call: Call) -> None:
    """Start a client's call."""
    if call.to is not None and call.to not in transition.nodes:
        raise UnknownNode(call.to, transition.nodes)
    transition.requests += 1
    started = OpenCall(id=transition.requests, call=call, began=transition.id)
    transition.calls = transition.calls.put(started.id, started)
    transition.acting = call.client
    transition.describe(Kind.CALL, detail=f"{_name(call.client)} waits with its call {started.id}: it knows no leader")
    if call.to is None:
        _happen(transition, call.client, Submit((_for_machine(started),)))
    else:
        _send(transition, Asked(id=started.id, client=call.client, request=-started.id, node=call.to,
                                message=call.request, call=started.id))  # fmt: skip


def wake(transition: Transition, client: int, timer: ClientTimer) -> None:
    """Fire a client's timer."""
    one = transition.clients[client]
    transition.clients = transition.clients.put(client, replace(one, timers=one.timers.without(timer)))
    transition.acting = client
    why = "has waited long enough" if isinstance(timer, RetryTimer) else "gets no answer in time"
    transition.describe(Kind.CALL, detail=f"{_name(client)} {why}")
    _happen(transition, client, TimerFired(timer))


def reach(transition: Transition, client: int, request: int) -> None:
    """Let a request reach its node."""
    asked = transition.asked.find(client, request)
    transition.describe(Kind.CALL, detail=f"{_name(client)} asks node {asked.node}")
    _reach(transition, asked)


def deliver_outcomes(transition: Transition) -> None:
    """Deliver the nodes' outcomes to the clients."""
    for node, outcome in transition.outcomes:
        for asked in transition.asked.waiting_for(node, outcome.request):
            _answer(transition, asked, reply_to(transition.nodes[node], asked, outcome))
    for asked, answer in transition.answers:
        _answer(transition, asked, answer)
    for waiting in transition.changes:
        _look_for_end(transition, transition.calls[waiting])


def would_ask(world: World, action: Invoke | WakeClient) -> NodeId | None:
    """The node that a client asks at once because of an action; ``None`` if it asks none."""
    if isinstance(action, Invoke):
        if action.call.to is not None:
            return action.call.to
        client = action.call.client
        event: Event = Submit((_for_machine(OpenCall(id=world.requests + 1, call=action.call, began=0)),))
    else:
        client, event = action.client, TimerFired(action.timer)
    state = _known(world.clients.get(client) or _new(world, client), tuple(world.nodes)).state
    return next((command.node for command in step(state, event).commands if isinstance(command, Ask)), None)


# A client's turn


def _happen(transition: Transition, client: int, event: Event) -> None:
    """Tell a client's machine of an event, and carry out what it asks for."""
    one = _known(transition.clients.get(client) or _new(transition.world, client), tuple(transition.nodes))
    done = step(one.state, event)
    transition.clients = transition.clients.put(client, replace(one, state=done.after))
    for command in done.commands:
        _carry_out(transition, client, command)


def _new(world: World, client: int) -> SimulatedClient:
    """A client that knows nothing yet; its own chance says which node it asks first."""
    first = int(chance(world.setting.seed, Purpose.CLIENT, client, 0) * FIRST_NODES)
    return SimulatedClient(state=ClientState(limits=LIMITS, session=Session(client), turn=first))


def _known(one: SimulatedClient, nodes: tuple[NodeId, ...]) -> SimulatedClient:
    return one if one.state.nodes == nodes else replace(one, state=step(one.state, NodesKnown(nodes)).after)


def _for_machine(started: OpenCall) -> MachineCall:
    match started.call.request:
        case Write(command):
            return MachineWrite(started.id, (encode(command),))
        case Query(query, policy) if policy != "local":
            return MachineRead(started.id, query, "lease" if policy == "lease" else "index")
        case other:
            return Operation(started.id, other, is_local=isinstance(other, Query))


def _carry_out(transition: Transition, client: int, command: Command) -> None:
    match command:
        case Ask():
            _send(transition, _asked(transition, client, command))
        case SetTimer():
            _set(transition, client, command)
        case CancelTimer(timer):
            _cancel(transition, client, timer)
        case Deliver():
            _deliver(transition, command)
        case Fail(call, error):
            assert isinstance(error, PyraftError), "a client fails calls with the library's errors"
            _end(transition, call, error=error)
        case Forget():
            pass  # the machine passes over answers that it no longer needs
        case _:
            assert_never(command)


def _set(transition: Transition, client: int, command: SetTimer) -> None:
    one = transition.clients[client]
    luck = transition.draw(Purpose.CLIENT, client, one.drawn + 1)
    due = transition.schedule(round(length(command, luck=luck) * SECOND), WakeClient(client, command.timer))
    timers = one.timers.put(command.timer, due)
    transition.clients = transition.clients.put(client, replace(one, timers=timers, drawn=one.drawn + 1))


def _cancel(transition: Transition, client: int, timer: ClientTimer) -> None:
    one = transition.clients[client]
    if timer in one.timers:
        transition.cancel(one.timers[timer])
        transition.clients = transition.clients.put(client, replace(one, timers=one.timers.without(timer)))


# Requests on their way


def _asked(transition: Transition, client: int, ask: Ask) -> Asked:
    """A machine's request for a call has the call's id, unless an earlier one still has it; others have ids below 0."""
    call = _call_of(transition.clients[client].state, ask)
    if call is not None and call in transition.calls and call not in transition.asked:
        id = call
    else:
        transition.own_requests += 1
        id = -transition.own_requests
    return Asked(id=id, client=client, request=ask.request, node=ask.node, message=ask.message)


def _call_of(state: ClientState, ask: Ask) -> CallId | None:
    """The call that a request is for; ``None`` if it is the client's own, for its session."""
    match ask.message:
        case Operate():
            return state.operating[ask.request].call
        case ReadMany():
            return state.readings[ask.request].reads[0].call
        case WriteBatch():
            parts = state.batches.of_request(ask.request).parts
            return parts[0].call if parts else None
        case _:
            return None


def _send(transition: Transition, asked: Asked) -> None:
    """Send a request: it reaches its node now if it is the first of this action, and the network has none before it."""
    transition.asked = transition.asked.add(asked)
    client = transition.clients.get(asked.client)
    earlier = 0 if client is None else client.arrivals.get(asked.node, 0)
    is_first, transition.acting = transition.acting == asked.client, None
    is_silent = transition.nodes[asked.node].paused
    if is_first and earlier <= transition.now and not is_silent:
        _reach(transition, asked)
        return
    if is_first:
        then = "hears nothing from" if is_silent else "asks"
        transition.describe(Kind.CALL, detail=f"{_name(asked.client)} {then} node {asked.node}")
    transition.schedule(_arrival(transition, asked, earlier) - transition.now, Reach(asked.client, asked.request))


def _arrival(transition: Transition, asked: Asked, earlier: Micros) -> Micros:
    """When a request arrives: after all earlier ones of its client to this node, as on a connection."""
    client = transition.clients.get(asked.client)
    if client is None:
        return transition.now
    luck = transition.draw(Purpose.CLIENT, asked.client, client.drawn + 1)
    arrival = max(transition.now + sample(transition.weather.latency, luck), earlier)
    arrivals = {**client.arrivals, asked.node: arrival}
    changed = replace(client, drawn=client.drawn + 1, arrivals=arrivals)
    transition.clients = transition.clients.put(asked.client, changed)
    return arrival


def _reach(transition: Transition, asked: Asked) -> None:
    if not transition.nodes[asked.node].up:
        transition.describe(Kind.CALL, detail=f"{_name(asked.client)} finds n{asked.node} down")
        transition.answers.append((asked, Refused(NetworkFailed(f"node {asked.node}", "it is down"))))
    elif (answer := serve(transition, asked)) is not None:
        transition.answers.append((asked, answer))


# Answers


def _answer(transition: Transition, asked: Asked, answer: Answered | Refused) -> None:
    """A node's answer reaches the client."""
    transition.asked = transition.asked.without(asked)
    if asked.call is not None:
        error = answer.error if isinstance(answer, Refused) else None
        _finish(transition, asked.call, getattr(answer, "value", None), error)
    elif isinstance(answer, Refused):
        _happen(transition, asked.client, Failed(asked.request, answer.error))
    else:
        _happen(transition, asked.client, Replied(asked.request, answer.value))


def _deliver(transition: Transition, delivery: Deliver) -> None:
    for part in delivery.parts:
        why = delivery.rejection(part)
        _finish(transition, part.call, delivery.values[part.place], None if why is None else BadCommand(why))


def _finish(transition: Transition, call: CallId, value: Any, error: PyraftError | None) -> None:
    """End a call; a change of membership that is still joint waits until its leader ends it (``auto_leave``)."""
    if isinstance(value, Entry):
        transition.calls = transition.calls.put(call, replace(transition.calls[call], joint=value.index))
        transition.changes = (*transition.changes, call)
    else:
        _end(transition, call, value=value, error=error)


def _look_for_end(transition: Transition, waiting: OpenCall) -> None:
    """Answer the client once any node has committed a later uniform membership."""
    for node in transition.nodes.values():
        state = node.state
        known = state.committed_membership
        if state.membership_id_at(state.committed).index > (waiting.joint or 0) and not known.is_joint:
            _end(transition, waiting.id, value=known)
            return


def _end(transition: Transition, call: CallId, *, value: Any = None, error: PyraftError | None = None) -> None:
    ended = transition.calls[call]
    transition.calls = transition.calls.without(call)
    if ended.joint is not None:
        transition.changes = tuple(one for one in transition.changes if one != call)
    transition.ended.append(Completed(request=call, began=ended.began, value=value, error=error))


def _name(client: int) -> str:
    return "an operator" if client < 0 else f"client {client}"
