"""What a learner looks at: nodes and calls, read-only and always as they are now."""

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
    """Whoever knows how the world is now."""

    @property
    def world(self) -> World:
        """The world as it is now."""
        ...


class NodeView:
    """One server as it is now; keeps up as the simulation moves on."""

    def __init__(self, sim: HasWorld, node: NodeId) -> None:
        self._sim, self._id = sim, node

    def __repr__(self) -> str:
        if not self.up:
            return f"<node {self.id}: down>"
        return f"<node {self.id}: {self.role}, term {self.term}, commit {self.commit}, last {self.log.last}>"

    @property
    def node(self) -> Node:
        """The whole node as a value."""
        return self._sim.world.nodes[self._id]

    @property
    def id(self) -> NodeId:
        """Its id."""
        return self._id

    @property
    def up(self) -> bool:
        """Whether it runs (a paused one does)."""
        return self.node.up

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self.node.paused

    @property
    def state(self) -> RaftState:
        """Figure 2 of this server; of one that is down, as it was when it died."""
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
        """Whom it believes to lead."""
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
        """Its log, written or not yet synced."""
        return self.state.log

    @property
    def membership(self) -> Membership:
        """The membership it goes by."""
        return self.state.membership

    @property
    def machine(self) -> StateMachine:
        """Its state machine; only to look at."""
        return self.node.machine.machine

    @property
    def sessions(self) -> Sessions:
        """Its state machine behind the clients' sessions."""
        return self.node.machine

    @property
    def disk(self) -> Disk:
        """What its disk would hold after a loss of power now."""
        return self.node.synced


class Nodes(Mapping[NodeId, NodeView]):
    """All servers by id."""

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
    """A client's call: what it asked, when, and what came of it, once that is known.

    ``value`` is what the machine answered, ``error`` the reason where there is none; times are virtual seconds.
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
        """Whether it has returned."""
        return self.returned is not None

    @property
    def ok(self) -> bool:
        """Whether it has returned well."""
        return self.done and self.error is None

    def end(self, ended: Completed, record: Record) -> None:
        """It has returned."""
        self.ended, self.returned = record.id, record.time
        self.value, self.error = ended.value, ended.error

    def copy(self, events: EventId) -> "ClientCall":
        """The same call in another branch of time, as it was after so many events; one that had ended is shared."""
        if self.ended is not None and self.ended < events:
            return self
        twin = copy(self)
        twin.ended = twin.returned = twin.value = twin.error = None
        return twin
