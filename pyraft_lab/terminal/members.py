"""Remove nodes from a cluster by membership changes, and check that a majority remains."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from pyraft_lab.engine.membership import Membership, RemoveLearners, RemoveVoters
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import ChangeMembership
from pyraft_lab.terminal.link_faults import check_known, listed


class NotRemoved(PyraftError):
    """A node that cannot be removed; nothing was done."""

    def __init__(self, node: NodeId, why: str) -> None:
        self.node, self.why = node, why
        super().__init__(f"node {node} stays: {why}")


def membership_of(metrics: Mapping[NodeId, Metrics]) -> Membership:
    """The newest membership that any live node has."""
    newest = max(metrics.values(), key=lambda now: now.membership_id, default=None)
    return Membership() if newest is None else newest.membership


def missing_majority(voters: AbstractSet[NodeId], metrics: Mapping[NodeId, Metrics]) -> str:
    """Why these voters alone could not decide at present; empty if they could."""
    if not voters:
        return "there is no other voter, so all written data would be lost"
    heard = voters & metrics.keys()
    if Membership((frozenset(voters),)).is_quorum(heard):
        return ""
    return f"the voters left, {listed(voters)}, would have no majority: {listed(voters - heard)} not heard from"


async def remove(remote: Remote, node: NodeId, *, seconds: float) -> str:
    """Remove a learner or a voter; the new membership. ``NotRemoved`` if no majority would remain."""
    check_known(remote, [node])
    members = membership_of(remote.metrics)
    if node not in members.nodes:
        raise NotRemoved(node, "it is not a member; you may stop its process")
    if node not in members.voters:
        change: RemoveVoters | RemoveLearners = RemoveLearners(frozenset({node}))
    elif why := missing_majority(members.voters - {node}, remote.metrics):
        raise NotRemoved(node, why)
    else:
        change = RemoveVoters(frozenset({node}))
    changed = await remote.change(ChangeMembership(change), seconds=seconds)
    return str(changed.membership)
