"""What a learner may do to a cluster with a click: orders as they come from the drawing, checked and carried out."""

from abc import abstractmethod
from typing import Any, get_args

from msgspec import MsgspecError, Struct, convert

from pyraft_lab.engine.timers import ELECTION
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Expire
from pyraft_lab.trace.record import MessageId
from pyraft_lab.trace.words import server, servers, voters


class Given(Struct, frozen=True):
    """An order: it can be carried out, and told in a few words, by which a branch of time is called."""

    @abstractmethod
    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What was done."""

    def told(self, sim: Simulation) -> str:  # noqa: ARG002 (some need it)
        """What was done, as whoever knows the run would say it."""
        return self.words


# To a server


class Crash(Given, frozen=True, tag="crash"):
    """Kill a server."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.crash(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} crashed"


class Restart(Given, frozen=True, tag="restart"):
    """Start a dead one."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.restart(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} restarted"


class Pause(Given, frozen=True, tag="pause"):
    """Let a server stand still."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.pause(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} paused"


class Resume(Given, frozen=True, tag="resume"):
    """Let it go on."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.resume(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} went on"


class Drift(Given, frozen=True, tag="drift"):
    """Let its clock go wrong."""

    node: NodeId
    rate: float

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.drift(self.node, self.rate)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)}'s clock × {self.rate:g}"


class TimeOut(Given, frozen=True, tag="timeout"):
    """Let its election timer run out; a server without one is told to campaign."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        expires = Expire(self.node, ELECTION)
        if expires in sim.pending:
            sim.take(expires)
        else:
            sim.elect(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} timed out"


class TakeSnapshot(Given, frozen=True, tag="snapshot"):
    """Have it build a snapshot, and forget the entries that the snapshot covers."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.snapshot(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} snapshot"


class Transfer(Given, frozen=True, tag="transfer"):
    """Ask the leader to hand over to it."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.transfer(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} was to lead"


# To a message


class ToMessage(Given, frozen=True):
    """An order about one message."""

    message: MessageId

    def told(self, sim: Simulation) -> str:
        """What was done, and to whose message."""
        every = (flight for record in reversed(sim.trace.records) for flight in record.sent)
        flight = next((one for one in every if one.id == self.message), None)
        if flight is None:
            return self.words
        name = f"{server(flight.src)}'s {type(flight.message).__name__} to {server(flight.dst)}"
        return self.words.replace(f"message {self.message}", name)


class Drop(ToMessage, frozen=True, tag="drop"):
    """Lose a message that is under way."""

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.drop(self.message)

    @property
    def words(self) -> str:
        """What was done."""
        return f"message {self.message} dropped"


class Duplicate(ToMessage, frozen=True, tag="duplicate"):
    """Let it arrive twice."""

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.duplicate(self.message)

    @property
    def words(self) -> str:
        """What was done."""
        return f"message {self.message} doubled"


class Delay(ToMessage, frozen=True, tag="delay"):
    """Let it take longer."""

    seconds: float

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.delay(self.message, self.seconds)

    @property
    def words(self) -> str:
        """What was done."""
        return f"message {self.message} delayed"


# To links


class Cut(Given, frozen=True, tag="cut"):
    """Let nothing through between two servers, either way."""

    nodes: tuple[NodeId, NodeId]

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        one, other = self.nodes
        sim.cut(one, other)
        sim.cut(other, one)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{servers(self.nodes)} cut"


class Partition(Given, frozen=True, tag="partition"):
    """Separate these from all others."""

    nodes: tuple[NodeId, ...]

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.partition(self.nodes, set(sim.nodes) - set(self.nodes))

    @property
    def words(self) -> str:
        """What was done."""
        return f"{servers(self.nodes)} apart"


class Heal(Given, frozen=True, tag="heal"):
    """Make the network whole."""

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.heal()

    @property
    def words(self) -> str:
        """What was done."""
        return "network whole"


# As a client or an operator


class Write(Given, frozen=True, tag="write"):
    """A client writes a key; to one server, or to whoever leads."""

    key: str
    value: int | float | str
    node: NodeId | None = None

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.write({"op": "put", "key": self.key, "value": self.value}, to=self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"wrote {self.key}={self.value}"


class Read(Given, frozen=True, tag="read"):
    """A client reads a key."""

    key: str
    node: NodeId | None = None

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.read(self.key, to=self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"read {self.key}"


class AddLearner(Given, frozen=True, tag="learner"):
    """Start a new server that listens."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.add_learner(self.node)

    @property
    def words(self) -> str:
        """What was done."""
        return f"{server(self.node)} listens"


class ChangeMembership(Given, frozen=True, tag="membership"):
    """Let these be the voters."""

    nodes: tuple[NodeId, ...]

    def carry_out(self, sim: Simulation) -> None:
        """Do it now."""
        sim.change_membership(set(self.nodes))

    @property
    def words(self) -> str:
        """What was done."""
        return f"voters {voters(self.nodes)}"


OnServer = Crash | Restart | Pause | Resume | Drift | TimeOut | TakeSnapshot | Transfer
OnMessage = Drop | Duplicate | Delay
OnLinks = Cut | Partition | Heal
OfClients = Write | Read | AddLearner | ChangeMembership
Order = OnServer | OnMessage | OnLinks | OfClients
VERBS = tuple(str(kind.__struct_config__.tag) for kind in get_args(Order))
"""What the drawing may offer."""


def order(said: Any) -> Order:
    """The order in a message from the drawing; ``PyraftError`` where it makes no sense.

    >>> order({"type": "partition", "nodes": [1, 2]}).words
    'n1 and n2 apart'
    """
    try:
        found: Order = convert(said, Order)
    except MsgspecError as error:
        raise PyraftError(f"the order {said} makes no sense: {error}") from error
    return found
