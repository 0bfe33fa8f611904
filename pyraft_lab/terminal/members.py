"""Taking nodes out of a cluster by membership changes, and what is left of its majority then."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from pyraft_lab.engine.membership import Membership, RemoveLearners, RemoveVoters
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import ChangeMembership
from pyraft_lab.terminal.obedience import check_known, listed


class NotRemoved(PyraftError):
    """A node that cannot be taken out; nothing was done."""

    def __init__(self, node: NodeId, why: str) -> None:
        self.node, self.why = node, why
        super().__init__(f"node {node} stays: {why}")


def membership_of(metrics: Mapping[NodeId, Metrics]) -> Membership:
    """The newest that anybody who is up has heard of."""
    newest = max(metrics.values(), key=lambda now: now.membership_id, default=None)
    return Membership() if newest is None else newest.membership


def missing_majority(voters: AbstractSet[NodeId], metrics: Mapping[NodeId, Metrics]) -> str:
    """Why these voters alone could decide nothing at present; empty where they can."""
    if not voters:
        return "nobody else votes, so everything that was written would be gone"
    heard = voters & metrics.keys()
    if Membership((frozenset(voters),)).is_quorum(heard):
        return ""
    return f"the voters left, {listed(voters)}, would have no majority: {listed(voters - heard)} not heard of"


async def remove(remote: Remote, node: NodeId, *, seconds: float) -> str:
    """Take a learner or a voter out; the membership then. ``NotRemoved`` where that would end the majority."""
    check_known(remote, [node])
    members = membership_of(remote.metrics)
    if node not in members.nodes:
        raise NotRemoved(node, "it is not a member; its process may be stopped")
    if node not in members.voters:
        change: RemoveVoters | RemoveLearners = RemoveLearners(frozenset({node}))
    elif why := missing_majority(members.voters - {node}, remote.metrics):
        raise NotRemoved(node, why)
    else:
        change = RemoveVoters(frozenset({node}))
    return str(await remote.ask_leader(ChangeMembership(change), seconds=seconds))
