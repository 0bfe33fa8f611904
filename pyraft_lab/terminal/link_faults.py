"""Fault control from a shell or a teacher: check nodes and links, publish faults, and wait until they are applied."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError, UnknownNode
from pyraft_lab.network.faults import LinkFaults
from pyraft_lab.runtime.remote import Remote


class FaultsNotApplied(PyraftError):
    """Some nodes did not confirm in time that they applied the link faults."""

    def __init__(self, nodes: Iterable[NodeId], applied: Iterable[NodeId], seconds: float) -> None:
        self.nodes, self.applied = tuple(sorted(nodes)), tuple(sorted(applied))
        rest = f"; applied by {listed(self.applied)}" if self.applied else ""
        super().__init__(
            f"not applied within {seconds:g} s by {listed(self.nodes)}{rest}; "
            "check that they run, and that this account may teach"
        )


class NoNodeAcceptsFaults(PyraftError):
    """No live node accepts link faults."""

    def __init__(self, nodes: Iterable[NodeId] = ()) -> None:
        self.nodes = tuple(sorted(nodes))
        who = f"{listed(self.nodes)} {'do' if len(self.nodes) > 1 else 'does'} not accept faults" if self.nodes else ""
        super().__init__(f"{who or 'no node accepts faults'}; start nodes with --weather, or let them join a room")


async def impose(
    remote: Remote, faults: LinkFaults, *, seconds: float, is_over: Callable[[], bool] = lambda: False
) -> tuple[NodeId, ...]:
    """Apply link faults; the nodes that applied them, once all did, or ``is_over()`` (a later command).

    Raises ``FaultsNotApplied`` with the nodes that did not, after ``seconds``.
    """
    digest = remote.publish_faults(faults)

    def late() -> list[NodeId]:
        return [node for node, applied in remote.faults_applied.items() if applied != digest and node in remote.metrics]

    try:
        async with asyncio.timeout(seconds):
            await remote.until(lambda: is_over() or not late())
    except TimeoutError:
        raise FaultsNotApplied(late(), set(remote.faults_applied) - set(late()), seconds) from None
    return tuple(sorted(remote.faults_applied.keys() & remote.metrics.keys()))


def known_nodes(remote: Remote) -> frozenset[NodeId]:
    """The live nodes, and the members of the cluster."""
    return frozenset(node for now in remote.metrics.values() for node in (now.id, *now.membership.nodes))


def check_known(remote: Remote, nodes: Iterable[NodeId]) -> None:
    """Raise ``UnknownNode`` for a node that is neither up nor a member."""
    known = known_nodes(remote)
    for node in nodes:
        if node not in known:
            raise UnknownNode(node, known)


def groups_of(groups: Sequence[tuple[NodeId, ...]]) -> tuple[frozenset[NodeId], ...]:
    """The groups of a partition; raises ``ConfigError`` if a node is in two of them."""
    everybody = [node for group in groups for node in group]
    for place, node in enumerate(everybody):
        if node in everybody[:place]:
            raise ConfigError(
                "partition", " ".join(map(_side, groups)), f"node {node} is in two groups; keep it in one"
            )
    return tuple(map(frozenset, groups))


def check_divides(remote: Remote, groups: Sequence[frozenset[NodeId]]) -> None:
    """Raise ``ConfigError`` if one group holds every node, because that cuts nothing."""
    if len(groups) == 1 and known_nodes(remote) <= groups[0]:
        shown = _side(sorted(groups[0]))
        raise ConfigError("partition", shown, "the group has every node, so nothing is cut; leave a node out")


def listed(nodes: Iterable[NodeId]) -> str:
    """``node 3``, or ``nodes 1, 2, 4``."""
    numbers = sorted(nodes)
    return f"node{'s' if len(numbers) != 1 else ''} {', '.join(map(str, numbers)) or 'none'}"


def _side(group: Iterable[NodeId]) -> str:
    return ",".join(map(str, group))
