"""Read-only views of nodes and calls; they always show the present state."""

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any, Protocol

from pyraft_lab.engine.log import Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Disk, RaftState
from pyraft_lab.engine.types import Index, NodeId, RequestId, Term, Vote
from pyraft_lab.errors import PyraftError, UnknownNode
from pyraft_lab.machine import Sessions, StateMachine
from pyraft_lab.sim.transition import Completed
from pyraft_lab.sim.world import Call, Node, World
from pyraft_lab.trace.record import EventId, Record


class HasWorld(Protocol):
    """An object with the present world, such as a simulation."""

    @property
    def world(self) -> World:
        """The present world."""
        ...


class NodeView:
    """A view of one server; it follows the simulation as time passes."""

    def __init__(self, sim: HasWorld, node: NodeId) -> None:
        self._sim, self._id = sim, node

    def __repr__(self) -> str:
        if not self.up:
            return f"<node {self.id}: down>"
        return f"<node {self.id}: {self.role}, term {self.term}, commit {self.commit}, last {self.log.last}>"

    @property
    def node(self) -> Node:
        """The present node as an immutable value."""
        return self._sim.world.nodes[self._id]

    @property
    def id(self) -> NodeId:
        """The node's id."""
        return self._id

    @property
    def up(self) -> bool:
        """Whether the node runs; true for a paused one too."""
        return self.node.up

    @property
    def paused(self) -> bool:
        """Whether it stands still: its clock runs, and what arrives waits."""
        return self.node.paused

    @property
    def state(self) -> RaftState:
        """The engine's state of this server (Figure 2); if it is down, as at the crash."""
        return self.node.state

    @property
    def role(self) -> str:
        """``follower``, ``learner``, ``precandidate``, ``candidate`` or ``leader``."""
        return self.state.role_name

    @property
    def term(self) -> Term:
        """currentTerm."""
        return self.state.term

    @property
    def vote(self) -> Vote:
        """currentTerm and votedFor."""
        return self.state.vote

    @property
    def leader(self) -> NodeId | None:
        """The leader this node knows; ``None`` if it knows none."""
        return self.state.leader or None

    @property
    def commit(self) -> Index:
        """commitIndex."""
        return self.state.committed

    @property
    def applied(self) -> Index:
        """lastApplied."""
        return self.state.applied

    @property
    def log(self) -> Log:
        """The node's log, including unsynced entries."""
        return self.state.log

    @property
    def membership(self) -> Membership:
        """The effective membership: the last in the node's log (§6)."""
        return self.state.membership

    @property
    def machine(self) -> StateMachine:
        """The node's state machine; for reading only."""
        return self.node.machine.machine

    @property
    def sessions(self) -> Sessions:
        """The node's state machine with the clients' sessions."""
        return self.node.machine

    @property
    def disk(self) -> Disk:
        """The disk's contents if the power failed now: only synced writes."""
        return self.node.synced


class Nodes(Mapping[NodeId, NodeView]):
    """All servers by id, as a read-only mapping; an unknown id raises ``UnknownNode``."""

    def __init__(self, sim: HasWorld) -> None:
        self._sim = sim

    def __getitem__(self, node: NodeId) -> NodeView:
        if node not in self._sim.world.nodes:
            raise UnknownNode(node, self._sim.world.nodes)
        return NodeView(self._sim, node)

    def __contains__(self, node: object) -> bool:
        return node in self._sim.world.nodes

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._sim.world.nodes)

    def __len__(self) -> int:
        return len(self._sim.world.nodes)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values()))


class ClientCall:
    """A client's call: its request, start time, and result once it is known.

    ``value`` is the machine's answer, ``error`` the reason if there is none; times are in virtual seconds.
    """

    def __init__(self, request: RequestId, call: Call, began: Record) -> None:
        self.request, self.call, self.began = request, call, began.id
        self.invoked = began.time
        self.ended: EventId | None = None
        self.returned: float | None = None
        self.value: Any = None
        self.error: PyraftError | None = None

    def __repr__(self) -> str:
        state = f"ok, {self.value!r}" if self.ok else f"failed: {self.error}" if self.done else "waiting"
        return f"<call {self.request} {self.call.request}: {state}>"

    @property
    def done(self) -> bool:
        """Whether the call has ended, with a value or an error."""
        return self.returned is not None

    @property
    def ok(self) -> bool:
        """Whether the call has ended with a value."""
        return self.done and self.error is None

    def end(self, ended: Completed, record: Record) -> None:
        """Set the result of the call."""
        self.ended, self.returned = record.id, record.time
        self.value, self.error = ended.value, ended.error

    def copy(self, events: EventId) -> "ClientCall":
        """The same call for a fork, as it was after ``events`` events; a completed call is shared."""
        if self.ended is not None and self.ended < events:
            return self
        twin = copy(self)
        twin.ended = twin.returned = twin.value = twin.error = None
        return twin
