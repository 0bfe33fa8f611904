"""``act(world, action)``: the one way in which a world changes; a pure function, like Raft itself."""

from typing import NamedTuple, assert_never

from msgspec.structs import replace

from pyraft_lab.engine.events import Fire, Receive, SnapshotGone
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError, UnknownNode
from pyraft_lab.machine import Sessions
from pyraft_lab.sim.clients import attempt, deliver_outcomes, invoke
from pyraft_lab.sim.conditions import SECOND, Micros, Purpose, sample
from pyraft_lab.sim.links import links_between
from pyraft_lab.sim.server import SimulatedDriver
from pyraft_lab.sim.transition import Completed, Transition
from pyraft_lab.sim.world import (
    Action,
    Attempt,
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
    Release,
    Resume,
    SetDiskFault,
    Setting,
    SetWeather,
    Skew,
    SnapshotMissing,
    Start,
    Sync,
    Wipe,
    World,
)
from pyraft_lab.trace.record import Fate, Flight, Kind, Record, kind_of

_EMPTY = Disk()


class Applied(NamedTuple):
    """The world after an action, the record of it, and the calls it ended."""

    world: World
    record: Record
    ended: tuple[Completed, ...]


def apply(world: World, action: Action, now: Micros | None = None) -> Applied:
    """Let ``action`` happen, at ``now`` (not before the world's own time); the given world stays as it is.

    Raises ``PyraftError`` where the action makes no sense: an unknown node, a message that is not under way.
    """
    scene = Transition(world)
    scene.now = max(world.now, world.now if now is None else now)
    if isinstance(action, Pending):
        _pass(scene, action)
    else:
        _decide(scene, action)
    deliver_outcomes(scene)
    return Applied(scene.world_after(), scene.record(), tuple(scene.ended))


def new_node(setting: Setting, node: NodeId, disk: Disk = _EMPTY) -> Node:
    """A server that has not started yet, with this on its disk."""
    state = setting.engine.start(node, disk, setting.config)
    return Node(id=node, state=state, synced=disk, machine=Sessions.of(setting.machine()))


# What happens by itself


def _pass(scene: Transition, action: Pending) -> None:
    due = scene.unschedule(action)
    if due is None:
        raise PyraftError(f"{action} is not pending; what is, `pending` tells")
    scene.cause = due.cause
    match action:
        case Deliver(message):
            _deliver(scene, scene.flights.pop(message))
        case Attempt(call):
            attempt(scene, call)
        case FireTimer() | Sync() | Build() | SnapshotMissing() | GiveUp():
            _run_due(scene, action)
        case _:
            assert_never(action)


def _deliver(scene: Transition, flight: Flight) -> None:
    """It arrives, unless its link was cut or its receiver died meanwhile."""
    fate = _undelivered(scene, flight)
    kind = Kind.RECEIVE if fate is None else Kind.UNDELIVERED
    scene.describe(kind, flight.dst, peer=flight.src, message=flight.id, detail=fate or "")
    if fate is None:
        server = SimulatedDriver(scene, flight.dst)
        server.step(Receive(flight.src, flight.message), flight.id)
        scene.nodes[flight.dst] = server.value()


def _undelivered(scene: Transition, flight: Flight) -> Fate | None:
    if (flight.src, flight.dst) in scene.cuts:
        return Fate.CUT
    receiver = scene.nodes.get(flight.dst)
    return None if receiver is not None and receiver.up else Fate.DEAD


def _run_due(scene: Transition, action: FireTimer | Sync | Build | SnapshotMissing | GiveUp) -> None:
    """Something of a node's own is due: a timer, its disk, its machine, its wait for what became of its entries."""
    server = SimulatedDriver(scene, action.node)
    match action:
        case FireTimer(node, timer):
            scene.describe(Kind.TIMER, node)
            server.forget(timer)
            server.step(Fire(timer))
        case Sync(node):
            scene.describe(Kind.DISK if server.health.full else Kind.STORED, node)
            server.sync()
        case Build(node):
            scene.describe(Kind.SNAPSHOT, node)
            server.build()
        case SnapshotMissing(node, peer):
            scene.describe(Kind.SNAPSHOT, node, peer=peer)
            server.step(SnapshotGone(peer))
        case GiveUp(node):
            scene.describe(Kind.CALL, node, detail=f"node {node} gives up the writes of a leadership that has ended")
            server.give_up()
        case _:
            assert_never(action)
    scene.nodes[action.node] = server.value()


# What somebody decides


def _decide(scene: Transition, action: Decision) -> None:
    match action:
        case Invoke(call):
            invoke(scene, call)
        case Start() | Crash() | Wipe() | Notify():
            _change_node(scene, action)
        case Pause() | Resume() | Drift() | Skew() | SetDiskFault():
            _break_node(scene, action)
        case Cut() | Partition() | Heal() | Hold() | Release():
            _change_links(scene, action)
        case Drop() | Duplicate() | Delay():
            _change_message(scene, action)
        case Join(node):
            _join(scene, node)
        case SetWeather(weather):
            scene.weather = weather.validated()
            scene.describe(Kind.WEATHER, detail=weather.differences())
        case _:
            assert_never(action)


def _change_node(scene: Transition, action: Start | Crash | Wipe | Notify) -> None:
    _known(scene, action.node)
    server = SimulatedDriver(scene, action.node)
    match action:
        case Start(node):
            _demand(not server.up, f"node {node} is up already")
            scene.describe(Kind.RESTART if server.incarnation else Kind.BOOT, node)
            server.start()
        case Crash(node, torn):
            _demand(server.up, f"node {node} is down already")
            _demand(0 <= torn <= 1, f"a share of {torn} of the writes cannot survive")
            scene.describe(Kind.CRASH, node, detail=f"{torn:.0%} of the unsynced writes survive" if torn else "")
            server.stop(torn)
        case Wipe(node):
            _demand(not server.up, f"node {node} is up; crash it before its disk can be replaced")
            scene.describe(Kind.WIPE, node)
            server.wipe()
        case Notify(node, event):
            _demand(server.up and not server.paused, f"node {node} is not running")
            scene.describe(kind_of(event), node)
            server.step(event)
        case _:
            assert_never(action)
    scene.nodes[action.node] = server.value()


def _break_node(scene: Transition, action: Pause | Resume | Drift | Skew | SetDiskFault) -> None:
    _known(scene, action.node)
    server = SimulatedDriver(scene, action.node)
    match action:
        case Pause(node):
            _demand(server.up and not server.paused, f"node {node} is not running")
            scene.describe(Kind.PAUSE, node)
            server.paused = True
        case Resume(node, late):
            _demand(server.paused, f"node {node} is not paused")
            _demand(late >= 0, f"it cannot notice its timers {-late / SECOND:g} s too early")
            scene.describe(Kind.RESUME, node, detail=f"notices its timers {late / SECOND:g} s late" if late else "")
            server.resume(late)
        case Drift(node, rate):
            _demand(0 < rate < 1000, f"a clock cannot run at {rate} times its pace")
            scene.describe(Kind.DRIFT, node, detail=f"clock at {rate:g}")
            server.drift(rate)
        case Skew(node, by):
            scene.describe(Kind.DRIFT, node, detail=f"clock jumps by {by / SECOND:g} s")
            server.skew(by)
        case SetDiskFault(node, health):
            scene.describe(Kind.DISK, node, detail=f"disk {health.validated()}")
            server.set_disk_faults(health)
        case _:
            assert_never(action)
    scene.nodes[action.node] = server.value()


def _change_links(scene: Transition, action: Cut | Partition | Heal | Hold | Release) -> None:
    match action:
        case Cut(src, dst):
            _known(scene, src, dst)
            scene.cuts = scene.cuts | {(src, dst)}
            scene.describe(Kind.CUT, src, peer=dst)
        case Partition(groups, name):
            _known(scene, *(node for group in groups for node in group))
            scene.cuts = frozenset(links_between(groups, scene.nodes))
            sides = " | ".join("{" + ",".join(map(str, group)) + "}" for group in groups)
            scene.describe(Kind.PARTITION, detail=f"{sides} ({name})" if name else sides)
        case Heal(links):
            scene.cuts = scene.cuts.difference(links) if links else frozenset()
            scene.describe(Kind.HEAL, detail=" ".join(f"{src}→{dst}" for src, dst in links))
        case Hold():
            _demand(not scene.held, "the network is held already")
            scene.describe(Kind.PAUSE, detail="the network")
            scene.held = True
        case Release():
            _demand(scene.held, "the network is not held")
            scene.describe(Kind.RESUME, detail="the network")
            scene.held = False
        case _:
            assert_never(action)


def _change_message(scene: Transition, action: Drop | Duplicate | Delay) -> None:
    flight = scene.flights.get(action.message)
    if flight is None:
        raise PyraftError(f"message {action.message} is not under way; those that are: {sorted(scene.flights)}")
    match action:
        case Drop(message):
            scene.unschedule(Deliver(message))
            del scene.flights[message]
            scene.describe(Kind.DROP, flight.src, peer=flight.dst, message=message)
        case Duplicate(message):
            scene.describe(Kind.DUPLICATE, flight.src, peer=flight.dst, message=message)
            latency = scene.weather.on(flight.src, flight.dst).latency
            scene.copy(flight, sample(latency, scene.draw(Purpose.COPY, 0, scene.messages)))
        case Delay(message, by):
            _postpone(scene, flight, by)
            scene.describe(Kind.DELAY, flight.src, peer=flight.dst, message=message, detail=f"by {by / SECOND:g} s")
        case _:
            assert_never(action)


def _postpone(scene: Transition, flight: Flight, by: Micros) -> None:
    old = scene.unschedule(Deliver(flight.id))
    assert old is not None, "what flies is on the agenda"
    due = scene.schedule(old.time + by - scene.now, old.action, old.cause)
    scene.flights[flight.id] = replace(flight, due=due.time / SECOND)


def _join(scene: Transition, node: NodeId) -> None:
    _demand(node not in scene.nodes, f"there is a node {node} already")
    _demand(node > 0, f"{node} is no node id: they are counted from 1")
    scene.nodes[node] = new_node(scene.world.setting, node)
    scene.describe(Kind.JOIN, node)
    server = SimulatedDriver(scene, node)
    server.start()
    scene.nodes[node] = server.value()


def _known(scene: Transition, *nodes: NodeId) -> None:
    for node in nodes:
        if node not in scene.nodes:
            raise UnknownNode(node, scene.nodes)


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (it is the question)
    if not holds:
        raise PyraftError(otherwise)
