"""How a simulated cluster begins: who is in it, and what is on their disks before anything has happened."""

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
    """Who votes, who listens, and whether the disks hold a first membership."""

    voters: tuple[NodeId, ...]
    learners: tuple[NodeId, ...]
    initialize: bool

    @property
    def disk(self) -> Disk:
        """What is on every disk at first."""
        return first_disk(Membership.of(self.voters, learners=self.learners) if self.initialize else None)

    def without(self, gone: Iterable[NodeId]) -> "Bootstrap":
        """The same with fewer servers."""
        left = set(gone)
        voters, learners = ([one for one in part if one not in left] for part in self[:2])
        return Bootstrap(tuple(voters), tuple(learners), self.initialize)


def bootstrap(nodes: int | Iterable[NodeId], learners: int | Iterable[NodeId], *, initialize: bool) -> Bootstrap:
    """The beginning that a caller asked for; ``ConfigError`` where that makes no cluster."""
    voters = node_ids("nodes", nodes, after=0, least=1)
    listeners = node_ids("learners", learners, after=max(voters), least=0)
    if set(listeners) & set(voters):
        raise ConfigError("learners", listeners, f"a server votes or listens, not both; voters are {voters}")
    return Bootstrap(voters, listeners, initialize)


def node_ids(field: str, nodes: int | Iterable[NodeId], *, after: NodeId, least: int) -> tuple[NodeId, ...]:
    """Node ids as given, or so many counted on from ``after``; ``ConfigError`` where that makes no cluster."""
    if isinstance(nodes, Iterable) and not isinstance(nodes, str):
        return arguments.node_ids(field, nodes, least=least)
    count = arguments.integer(field, nodes, least, MAX_NODES, what="a set of node ids, or how many")
    return tuple(range(after + 1, after + 1 + count))


def first_disk(members: Membership | None) -> Disk:
    """What is on every disk before anything has happened: the first membership, or nothing."""
    if members is None:
        return Disk()
    return Disk(log=Log().append((Entry(LogId(0, 0, 1), Configuration(members)),)))
