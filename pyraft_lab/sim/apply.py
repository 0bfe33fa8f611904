"""``apply(world, action)``: the only function that changes a world; pure, like the engine."""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.events import Event, Fire, Read, Receive, SnapshotGone
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError, UnknownNode
from pyraft_lab.machine import Sessions
from pyraft_lab.sim.clients import deliver_outcomes, invoke, reach, wake, would_ask
from pyraft_lab.sim.conditions import SECOND, Micros, Purpose, sample
from pyraft_lab.sim.links import links_between
from pyraft_lab.sim.server import SimulatedDriver
from pyraft_lab.sim.transition import Completed, Transition
from pyraft_lab.sim.world import (
    Action,
    Build,
    Crash,
    Cut,
    Decision,
    Delay,
    Deliver,
    Drift,
    Drop,
    Duplicate,
    FireTimer,
    GiveUp,
    Heal,
    Hold,
    Invoke,
    Join,
    Node,
    Notify,
    Partition,
    Pause,
    Pending,
    Reach,
    Release,
    Resume,
    SetDiskFault,
    Setting,
    SetWeather,
    Skew,
    SnapshotMissing,
    Start,
    Sync,
    WakeClient,
    Wipe,
    World,
)
from pyraft_lab.trace.record import Fate, Flight, Kind, Record, kind_of

_EMPTY = Disk()
ANY_CALL = Read(())
"""Represents any request of a client."""


class Applied(Struct, frozen=True, gc=False):
    """The world after an action, the record of it, and the client calls it completed."""

    world: World
    record: Record
    ended: tuple[Completed, ...]


def apply(world: World, action: Action, now: Micros | None = None) -> Applied:
    """Apply ``action`` at ``now`` (microseconds, default: the world's own time); the given world does not change.

    Raises ``PyraftError`` for an action that is not possible: an unknown node, a message that is not on its way.
    """
    transition = Transition(world)
    transition.start(max(world.now, world.now if now is None else now))
    if isinstance(action, Pending):
        _pass(transition, action)
    else:
        _decide(transition, action)
    deliver_outcomes(transition)
    return Applied(transition.world_after(), transition.record(), tuple(transition.ended))


def new_node(setting: Setting, node: NodeId, disk: Disk = _EMPTY) -> Node:
    """A server that has not started yet, with ``disk`` as its disk."""
    state = setting.engine.start(node, disk, setting.config)
    return Node(id=node, state=state, synced=disk, machine=Sessions.of(setting.machine()))


# What happens by itself


def _pass(transition: Transition, action: Pending) -> None:
    due = transition.unschedule(action)
    if due is None:
        raise PyraftError(f"{action} is not pending; `pending` lists the actions that are")
    transition.cause = due.cause
    match action:
        case Deliver(message):
            _deliver(transition, transition.flights.pop(message))
        case FireTimer() | Sync() | Build() | SnapshotMissing() | GiveUp():
            _run_due(transition, action)
        case Reach(client, request):
            reach(transition, client, request)
        case WakeClient(client, timer):
            wake(transition, client, timer)
        case _:
            assert_never(action)


def _deliver(transition: Transition, flight: Flight) -> None:
    """Deliver a message, unless its link was cut or its receiver crashed meanwhile."""
    fate = _undelivered(transition, flight)
    kind = Kind.RECEIVE if fate is None else Kind.UNDELIVERED
    transition.describe(kind, flight.dst, peer=flight.src, message=flight.id, detail=fate or "")
    if fate is None:
        server = SimulatedDriver(transition, flight.dst)
        server.step(Receive(flight.src, flight.message), flight.id)
        transition.nodes[flight.dst] = server.value()


def _undelivered(transition: Transition, flight: Flight) -> Fate | None:
    if (flight.src, flight.dst) in transition.cuts:
        return Fate.CUT
    receiver = transition.nodes.get(flight.dst)
    return None if receiver is not None and receiver.up else Fate.DEAD


def _run_due(transition: Transition, action: FireTimer | Sync | Build | SnapshotMissing | GiveUp) -> None:
    """Run an action of a node that is due: a timer, a sync, a built snapshot, or the end of a wait for its writes."""
    server = SimulatedDriver(transition, action.node)
    match action:
        case FireTimer(node, timer):
            transition.describe(Kind.TIMER, node)
            server.forget(timer)
            server.step(Fire(timer))
        case Sync(node):
            transition.describe(Kind.DISK if server.health.full else Kind.STORED, node)
            server.sync()
        case Build(node):
            transition.describe(Kind.SNAPSHOT, node)
            server.build()
        case SnapshotMissing(node, peer):
            transition.describe(Kind.SNAPSHOT, node, peer=peer)
            server.step(SnapshotGone(peer))
        case GiveUp(node):
            transition.describe(
                Kind.CALL, node, detail=f"node {node} gives up the writes of a leadership that has ended"
            )
            server.give_up()
        case _:
            assert_never(action)
    transition.nodes[action.node] = server.value()


# External decisions


def _decide(transition: Transition, action: Decision) -> None:
    match action:
        case Invoke(call):
            invoke(transition, call)
        case Start() | Crash() | Wipe() | Notify():
            _change_node(transition, action)
        case Pause() | Resume() | Drift() | Skew() | SetDiskFault():
            _break_node(transition, action)
        case Cut() | Partition() | Heal() | Hold() | Release():
            _change_links(transition, action)
        case Drop() | Duplicate() | Delay():
            _change_message(transition, action)
        case Join(node):
            _join(transition, node)
        case SetWeather(weather):
            transition.weather = weather.validated()
            transition.describe(Kind.WEATHER, detail=weather.differences())
        case _:
            assert_never(action)


def _change_node(transition: Transition, action: Start | Crash | Wipe | Notify) -> None:
    _known(transition, action.node)
    server = SimulatedDriver(transition, action.node)
    match action:
        case Start(node):
            _demand(not server.up, f"node {node} is up already")
            transition.describe(Kind.RESTART if server.incarnation else Kind.BOOT, node)
            server.start()
        case Crash(node, torn):
            _demand(server.up, f"node {node} is down already")
            _demand(0 <= torn <= 1, f"a share of {torn} of the writes cannot survive")
            transition.describe(Kind.CRASH, node, detail=f"{torn:.0%} of the unsynced writes survive" if torn else "")
            server.stop(torn)
        case Wipe(node):
            _demand(not server.up, f"node {node} is up; crash it before its disk can be replaced")
            transition.describe(Kind.WIPE, node)
            server.wipe()
        case Notify(node, event):
            _demand(server.up and not server.paused, f"node {node} is not running")
            transition.describe(kind_of(event), node)
            server.step(event)
        case _:
            assert_never(action)
    transition.nodes[action.node] = server.value()


def _break_node(transition: Transition, action: Pause | Resume | Drift | Skew | SetDiskFault) -> None:
    _known(transition, action.node)
    server = SimulatedDriver(transition, action.node)
    match action:
        case Pause(node):
            _demand(server.up and not server.paused, f"node {node} is not running")
            transition.describe(Kind.PAUSE, node)
            server.paused = True
        case Resume(node, late):
            _demand(server.paused, f"node {node} is not paused")
            _demand(late >= 0, f"it cannot notice its timers {-late / SECOND:g} s too early")
            transition.describe(
                Kind.RESUME, node, detail=f"notices its timers {late / SECOND:g} s late" if late else ""
            )
            server.resume(late)
        case Drift(node, rate):
            _demand(0 < rate < 1000, f"a clock cannot run at {rate} times its pace")
            transition.describe(Kind.DRIFT, node, detail=f"clock at {rate:g}")
            server.drift(rate)
        case Skew(node, by):
            transition.describe(Kind.DRIFT, node, detail=f"clock jumps by {by / SECOND:g} s")
            server.skew(by)
        case SetDiskFault(node, health):
            transition.describe(Kind.DISK, node, detail=f"disk {health.validated()}")
            server.set_disk_faults(health)
        case _:
            assert_never(action)
    transition.nodes[action.node] = server.value()


def _change_links(transition: Transition, action: Cut | Partition | Heal | Hold | Release) -> None:
    match action:
        case Cut(src, dst):
            _known(transition, src, dst)
            transition.cuts = transition.cuts | {(src, dst)}
            transition.describe(Kind.CUT, src, peer=dst)
        case Partition(groups, name):
            _known(transition, *(node for group in groups for node in group))
            transition.cuts = frozenset(links_between(groups, transition.nodes))
            sides = " | ".join("{" + ",".join(map(str, group)) + "}" for group in groups)
            transition.describe(Kind.PARTITION, detail=f"{sides} ({name})" if name else sides)
        case Heal(links):
            transition.cuts = transition.cuts.difference(links) if links else frozenset()
            transition.describe(Kind.HEAL, detail=" ".join(f"{src}→{dst}" for src, dst in links))
        case Hold():
            _demand(not transition.held, "the network is held already")
            transition.describe(Kind.PAUSE, detail="the network")
            transition.held = True
        case Release():
            _demand(transition.held, "the network is not held")
            transition.describe(Kind.RESUME, detail="the network")
            transition.held = False
        case _:
            assert_never(action)


def _change_message(transition: Transition, action: Drop | Duplicate | Delay) -> None:
    flight = transition.flights.get(action.message)
    if flight is None:
        raise PyraftError(f"message {action.message} is not on its way; those that are: {sorted(transition.flights)}")
    match action:
        case Drop(message):
            transition.unschedule(Deliver(message))
            del transition.flights[message]
            transition.describe(Kind.DROP, flight.src, peer=flight.dst, message=message)
        case Duplicate(message):
            transition.describe(Kind.DUPLICATE, flight.src, peer=flight.dst, message=message)
            latency = transition.weather.on(flight.src, flight.dst).latency
            transition.copy(flight, sample(latency, transition.draw(Purpose.COPY, 0, transition.messages)))
        case Delay(message, by):
            _postpone(transition, flight, by)
            transition.describe(
                Kind.DELAY, flight.src, peer=flight.dst, message=message, detail=f"by {by / SECOND:g} s"
            )
        case _:
            assert_never(action)


def _postpone(transition: Transition, flight: Flight, by: Micros) -> None:
    old = transition.unschedule(Deliver(flight.id))
    assert old is not None, "a message on its way is on the agenda"
    due = transition.schedule(old.time + by - transition.now, old.action, old.cause)
    transition.flights[flight.id] = replace(flight, due=due.time / SECOND)


def _join(transition: Transition, node: NodeId) -> None:
    _demand(node not in transition.nodes, f"there is a node {node} already")
    _demand(node > 0, f"{node} is not a node id: they start at 1")
    transition.nodes[node] = new_node(transition.world.setting, node)
    transition.describe(Kind.JOIN, node)
    server = SimulatedDriver(transition, node)
    server.start()
    transition.nodes[node] = server.value()


def _known(transition: Transition, *nodes: NodeId) -> None:
    for node in nodes:
        if node not in transition.nodes:
            raise UnknownNode(node, transition.nodes)


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (it is the question)
    if not holds:
        raise PyraftError(otherwise)


# Overdue timers: a paused server fires them before the events that depend on them


def fires_before(world: World, action: Action) -> FireTimer | None:
    """The timer that must fire before ``action``, or ``None``; after it fires there may be another.

    The rule is the engine's (:func:`~pyraft_lab.engine.rules.fires_first`); a live node uses the same one.
    """
    if not world.delayed:
        return None
    node, event = _event_for(world, action)
    server = world.nodes.get(node or 0)
    if server is None or server.paused:
        return None
    first = world.setting.engine.rules.fires_first(event, server.overdue)
    return FireTimer(server.id, first[0]) if first else None


def _event_for(world: World, action: Action) -> tuple[NodeId | None, Event]:
    """The node to which an action passes an event, and the event."""
    match action:
        case Deliver(message):
            flight = world.flights[message]
            return flight.dst, Receive(flight.src, flight.message)
        case Reach(client, request):
            return world.asked.find(client, request).node, ANY_CALL
        case Invoke() | WakeClient():
            return would_ask(world, action), ANY_CALL
        case Notify(node, event):
            return node, event
        case _:
            return None, ANY_CALL
