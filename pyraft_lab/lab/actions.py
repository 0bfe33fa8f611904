"""What a learner may do to a cluster with a click: orders as they come from the drawing, checked and carried out."""

from collections.abc import Iterable
from typing import Any, assert_never

from msgspec import Struct, ValidationError, convert

from pyraft_lab.engine.timers import ELECTION
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Expire
from pyraft_lab.trace.recorder import MessageId
from pyraft_lab.trace.words import server, servers, voters


class Crash(Struct, frozen=True, tag="crash"):
    """Kill a server."""

    node: NodeId


class Restart(Struct, frozen=True, tag="restart"):
    """Start a dead one."""

    node: NodeId


class Pause(Struct, frozen=True, tag="pause"):
    """Let a server stand still."""

    node: NodeId


class Resume(Struct, frozen=True, tag="resume"):
    """Let it go on."""

    node: NodeId


class TimeOut(Struct, frozen=True, tag="timeout"):
    """Let its election timer run out now."""

    node: NodeId


class TakeSnapshot(Struct, frozen=True, tag="snapshot"):
    """Have it build a snapshot."""

    node: NodeId


class Transfer(Struct, frozen=True, tag="transfer"):
    """Ask the leader to hand over to it."""

    node: NodeId


class Drift(Struct, frozen=True, tag="drift"):
    """Let its clock go wrong."""

    node: NodeId
    rate: float


class Drop(Struct, frozen=True, tag="drop"):
    """Lose a message that is under way."""

    message: MessageId


class Duplicate(Struct, frozen=True, tag="duplicate"):
    """Let it arrive twice."""

    message: MessageId


class Delay(Struct, frozen=True, tag="delay"):
    """Let it take longer."""

    message: MessageId
    seconds: float


class Cut(Struct, frozen=True, tag="cut"):
    """Let nothing through from one server to another, both ways."""

    nodes: tuple[NodeId, NodeId]


class Partition(Struct, frozen=True, tag="partition"):
    """Separate these from all others."""

    nodes: tuple[NodeId, ...]


class Heal(Struct, frozen=True, tag="heal"):
    """Make the network whole."""


class Write(Struct, frozen=True, tag="write"):
    """A client writes a key; to one server, or to whoever leads."""

    key: str
    value: int | float | str
    node: NodeId | None = None


class Read(Struct, frozen=True, tag="read"):
    """A client reads a key."""

    key: str
    node: NodeId | None = None


class AddLearner(Struct, frozen=True, tag="learner"):
    """Start a new server that listens."""

    node: NodeId


class ChangeMembership(Struct, frozen=True, tag="membership"):
    """Let these be the voters; who is unknown is added as a learner first."""

    nodes: tuple[NodeId, ...]


Order = (
    Crash
    | Restart
    | Pause
    | Resume
    | TimeOut
    | TakeSnapshot
    | Transfer
    | Drift
    | Drop
    | Duplicate
    | Delay
    | Cut
    | Partition
    | Heal
    | Write
    | Read
    | AddLearner
    | ChangeMembership
)


def order(said: Any) -> Order:
    """The order in a message from the drawing; ``PyraftError`` where it makes no sense."""
    try:
        found: Order = convert(said, Order, strict=False)
    except ValidationError as error:
        raise PyraftError(f"the order {said} makes no sense: {error}") from error
    return found


def carry_out(given: Order, sim: Simulation) -> None:
    """Do it now."""
    match given:
        case Crash() | Restart() | Pause() | Resume() | Drift():
            _break_server(given, sim)
        case TimeOut() | TakeSnapshot() | Transfer():
            _order_server(given, sim)
        case Drop() | Duplicate() | Delay():
            _to_message(given, sim)
        case Cut() | Partition() | Heal():
            _to_links(given, sim)
        case Write(key, value, node):
            sim.write({"op": "put", "key": key, "value": value}, to=node)
        case Read(key, node):
            sim.read(key, to=node)
        case AddLearner(node):
            sim.add_learner(node)
        case ChangeMembership(nodes):
            sim.change_membership(set(nodes))
        case _:
            assert_never(given)


def _break_server(given: Crash | Restart | Pause | Resume | Drift, sim: Simulation) -> None:
    match given:
        case Crash(node):
            sim.crash(node)
        case Restart(node):
            sim.restart(node)
        case Pause(node):
            sim.pause(node)
        case Resume(node):
            sim.resume(node)
        case Drift(node, rate):
            sim.drift(node, rate)
        case _:
            assert_never(given)


def _order_server(given: TimeOut | TakeSnapshot | Transfer, sim: Simulation) -> None:
    match given:
        case TimeOut(node):
            _time_out(sim, node)
        case TakeSnapshot(node):
            sim.snapshot(node)
        case Transfer(node):
            sim.transfer(node)
        case _:
            assert_never(given)


def _time_out(sim: Simulation, node: NodeId) -> None:
    """Its timer where one runs; a server without one is told to campaign."""
    expires = Expire(node, ELECTION)
    if expires in sim.pending:
        sim.take(expires)
    else:
        sim.elect(node)


def _to_message(given: Drop | Duplicate | Delay, sim: Simulation) -> None:
    match given:
        case Drop(message):
            sim.drop(message)
        case Duplicate(message):
            sim.duplicate(message)
        case Delay(message, seconds):
            sim.delay(message, seconds)
        case _:
            assert_never(given)


def _to_links(given: Cut | Partition | Heal, sim: Simulation) -> None:
    match given:
        case Cut((one, other)):
            sim.cut(one, other)
            sim.cut(other, one)
        case Partition(nodes):
            sim.partition(nodes, set(sim.nodes) - set(nodes))
        case Heal():
            sim.heal()
        case _:
            assert_never(given)


def words(given: Order) -> str:
    """The order in a few words: what a branch of time is called by.

    >>> words(Crash(1)), words(Partition((2, 1))), words(Write("x", 5))
    ('n1 crashed', 'n1 and n2 apart', 'wrote x=5')
    """
    match given:
        case Drop(message) | Duplicate(message) | Delay(message):
            return f"message {message} {_DONE[type(given)]}"
        case Cut(nodes) | Partition(nodes):
            return f"{servers(nodes)} apart"
        case Heal():
            return "network whole"
        case Write(key, value):
            return f"wrote {key}={value}"
        case Read(key):
            return f"read {key}"
        case ChangeMembership(nodes):
            return f"voters {voters(nodes)}"
        case _:
            return f"{server(given.node)} {_DONE[type(given)]}"


_DONE: dict[type, str] = {
    Crash: "crashed",
    Restart: "restarted",
    Pause: "paused",
    Resume: "went on",
    TimeOut: "timed out",
    TakeSnapshot: "snapshot",
    Transfer: "was to lead",
    Drift: "drifted",
    Drop: "dropped",
    Duplicate: "doubled",
    Delay: "delayed",
    AddLearner: "listens",
}


def known_verbs(kinds: Iterable[type] = Order.__args__) -> list[str]:
    """The verbs of all orders, for the drawing's menus."""
    return [kind.__struct_config__.tag for kind in kinds]  # type: ignore[attr-defined]
