"""The actions of a learner on a cluster: orders from the drawing, checked and carried out."""

from abc import abstractmethod
from typing import Any, get_args

from msgspec import MsgspecError, Struct, convert

from pyraft_lab.engine.timers import ELECTION
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import FireTimer
from pyraft_lab.trace.record import MessageId
from pyraft_lab.trace.text import server, servers, voters


class Given(Struct, frozen=True):
    """An action; ``words`` describe it and name the branch that it starts."""

    @abstractmethod
    def carry_out(self, sim: Simulation) -> None:
        """Apply the order to the simulation at its present time; raises ``PyraftError`` if it is impossible."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """A short description of the action, such as ``"n1 crashed"``."""

    def summary_in(self, sim: Simulation) -> str:  # noqa: ARG002 (some need it)
        """The description with details from the run, such as a message's sender."""
        return self.summary


# To a server


class Crash(Given, frozen=True, tag="crash"):
    """Crash a server: what is not on its disk is lost."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        sim.crash(self.node)

    @property
    def summary(self) -> str:
        return f"{server(self.node)} crashed"


class Restart(Given, frozen=True, tag="restart"):
    """Restart a crashed server."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        sim.restart(self.node)

    @property
    def summary(self) -> str:
        return f"{server(self.node)} restarted"


class Pause(Given, frozen=True, tag="pause"):
    """Pause a server: it neither receives nor acts."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        sim.pause(self.node)

    @property
    def summary(self) -> str:
        return f"{server(self.node)} paused"


class Resume(Given, frozen=True, tag="resume"):
    """Resume a paused server."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        sim.resume(self.node)

    @property
    def summary(self) -> str:
        return f"{server(self.node)} resumed"


class Drift(Given, frozen=True, tag="drift"):
    """Let a server's clock run ``rate`` times as fast."""

    node: NodeId
    rate: float

    def carry_out(self, sim: Simulation) -> None:
        sim.drift(self.node, self.rate)

    @property
    def summary(self) -> str:
        return f"{server(self.node)}'s clock × {self.rate:g}"


class TimeOut(Given, frozen=True, tag="timeout"):
    """Fire a server's election timer; a server without one starts an election."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        expires = FireTimer(self.node, ELECTION)
        if expires in sim.pending:
            sim.take(expires)
        else:
            sim.elect(self.node)

    @property
    def summary(self) -> str:
        return f"{server(self.node)} timed out"


class TakeSnapshot(Given, frozen=True, tag="snapshot"):
    """Let a server build a snapshot and delete the entries that it covers."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        sim.snapshot(self.node)

    @property
    def summary(self) -> str:
        return f"{server(self.node)} snapshot"


class Transfer(Given, frozen=True, tag="transfer"):
    """Ask the leader to transfer leadership to a server."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        sim.transfer(self.node)

    @property
    def summary(self) -> str:
        return f"leadership to {server(self.node)}"


# To a message


class ToMessage(Given, frozen=True):
    """An order about one message."""

    message: MessageId

    def summary_in(self, sim: Simulation) -> str:
        """The description with the message's kind, sender and receiver instead of its number."""
        every = (flight for record in reversed(sim.trace.records) for flight in record.sent)
        flight = next((one for one in every if one.id == self.message), None)
        if flight is None:
            return self.summary
        name = f"{server(flight.src)}'s {type(flight.message).__name__} to {server(flight.dst)}"
        return self.summary.replace(f"message {self.message}", name)


class Drop(ToMessage, frozen=True, tag="drop"):
    """Drop a message that is on its way."""

    def carry_out(self, sim: Simulation) -> None:
        sim.drop(self.message)

    @property
    def summary(self) -> str:
        return f"message {self.message} dropped"


class Duplicate(ToMessage, frozen=True, tag="duplicate"):
    """Duplicate a message: it arrives twice."""

    def carry_out(self, sim: Simulation) -> None:
        sim.duplicate(self.message)

    @property
    def summary(self) -> str:
        return f"message {self.message} duplicated"


class Delay(ToMessage, frozen=True, tag="delay"):
    """Delay a message by ``seconds``."""

    seconds: float

    def carry_out(self, sim: Simulation) -> None:
        sim.delay(self.message, self.seconds)

    @property
    def summary(self) -> str:
        return f"message {self.message} delayed"


# To links


class Cut(Given, frozen=True, tag="cut"):
    """Cut the link between two servers, both ways."""

    nodes: tuple[NodeId, NodeId]

    def carry_out(self, sim: Simulation) -> None:
        one, other = self.nodes
        sim.cut(one, other)
        sim.cut(other, one)

    @property
    def summary(self) -> str:
        return f"{servers(self.nodes)} cut"


class Partition(Given, frozen=True, tag="partition"):
    """Isolate these servers, together, from all others."""

    nodes: tuple[NodeId, ...]

    def carry_out(self, sim: Simulation) -> None:
        sim.partition(self.nodes, set(sim.nodes) - set(self.nodes))

    @property
    def summary(self) -> str:
        return f"{servers(self.nodes)} isolated"


class Heal(Given, frozen=True, tag="heal"):
    """Heal the network: every link works again."""

    def carry_out(self, sim: Simulation) -> None:
        sim.heal()

    @property
    def summary(self) -> str:
        return "network healed"


# As a client or an operator


class Write(Given, frozen=True, tag="write"):
    """A client writes a key: at one server, or at the leader."""

    key: str
    value: int | float | str
    node: NodeId | None = None

    def carry_out(self, sim: Simulation) -> None:
        sim.write({"op": "put", "key": self.key, "value": self.value}, to=self.node)

    @property
    def summary(self) -> str:
        return f"wrote {self.key}={self.value}"


class Read(Given, frozen=True, tag="read"):
    """A client reads a key: at one server, or at the leader."""

    key: str
    node: NodeId | None = None

    def carry_out(self, sim: Simulation) -> None:
        sim.read(self.key, to=self.node)

    @property
    def summary(self) -> str:
        return f"read {self.key}"


class AddLearner(Given, frozen=True, tag="learner"):
    """Start a new server as a learner."""

    node: NodeId

    def carry_out(self, sim: Simulation) -> None:
        sim.add_learner(self.node)

    @property
    def summary(self) -> str:
        return f"learner {server(self.node)} added"


class ChangeMembership(Given, frozen=True, tag="membership"):
    """Change the membership: these are the voters."""

    nodes: tuple[NodeId, ...]

    def carry_out(self, sim: Simulation) -> None:
        sim.change_membership(set(self.nodes))

    @property
    def summary(self) -> str:
        return f"voters {voters(self.nodes)}"


OnServer = Crash | Restart | Pause | Resume | Drift | TimeOut | TakeSnapshot | Transfer
OnMessage = Drop | Duplicate | Delay
OnLinks = Cut | Partition | Heal
OfClients = Write | Read | AddLearner | ChangeMembership
UserAction = OnServer | OnMessage | OnLinks | OfClients
VERBS = tuple(str(kind.__struct_config__.tag) for kind in get_args(UserAction))
"""The actions that the drawing may offer."""


def parse_action(said: Any) -> UserAction:
    """Read an order from the drawing; raises ``PyraftError`` if it is malformed.

    >>> parse_action({"type": "partition", "nodes": [1, 2]}).summary
    'n1 and n2 isolated'
    """
    try:
        found: UserAction = convert(said, UserAction)
    except MsgspecError as error:
        raise PyraftError(f"invalid order {said}: {error}") from error
    return found
