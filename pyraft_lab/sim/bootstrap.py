"""How a simulated cluster starts: its members, and the contents of their disks before the first event."""

from collections.abc import Iterable
from typing import NamedTuple

from pyraft_lab import arguments
from pyraft_lab.arguments import MAX_NODES
from pyraft_lab.engine.log import Configuration, Entry, Log
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.state import Disk
from pyraft_lab.engine.types import LogId, NodeId
from pyraft_lab.errors import ConfigError


class Bootstrap(NamedTuple):
    """The voters, the learners, and whether the disks hold a first membership."""

    voters: tuple[NodeId, ...]
    learners: tuple[NodeId, ...]
    initialize: bool

    @property
    def disk(self) -> Disk:
        """The initial contents of every disk."""
        return first_disk(Membership.of(self.voters, learners=self.learners) if self.initialize else None)

    def without(self, gone: Iterable[NodeId]) -> "Bootstrap":
        """The same cluster without these servers."""
        left = set(gone)
        voters, learners = ([one for one in part if one not in left] for part in self[:2])
        return Bootstrap(tuple(voters), tuple(learners), self.initialize)


def bootstrap(nodes: int | Iterable[NodeId], learners: int | Iterable[NodeId], *, initialize: bool) -> Bootstrap:
    """The cluster that a caller asked for; raises ``ConfigError`` if it has no voters or a node is named twice."""
    voters = node_ids("nodes", nodes, after=0, least=1)
    listeners = node_ids("learners", learners, after=max(voters), least=0)
    if set(listeners) & set(voters):
        raise ConfigError("learners", listeners, f"a server is a voter or a learner, not both; voters are {voters}")
    return Bootstrap(voters, listeners, initialize)


def node_ids(field: str, nodes: int | Iterable[NodeId], *, after: NodeId, least: int) -> tuple[NodeId, ...]:
    """The given node ids, or as many as asked for after ``after``; raises ``ConfigError`` for other values."""
    if isinstance(nodes, Iterable) and not isinstance(nodes, str):
        return arguments.node_ids(field, nodes, least=least)
    count = arguments.integer(field, nodes, least, MAX_NODES, what="a set of node ids, or how many")
    return tuple(range(after + 1, after + 1 + count))


def first_disk(members: Membership | None) -> Disk:
    """The initial contents of every disk: the first membership, or nothing."""
    if members is None:
        return Disk()
    return Disk(log=Log().append((Entry(LogId(0, 0, 1), Configuration(members)),)))
