"""A cluster's membership: voter sets (two while joint), learners, addresses, and quorum arithmetic (§6)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property, reduce
from itertools import repeat
from typing import Literal, NoReturn, assert_never

from msgspec import Struct
from msgspec.structs import force_setattr

from pyraft_lab.arguments import LARGEST, addresses, node_id, node_ids, text, voters
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import ConfigError, EmptyMembership, LearnerNotFound

Voters = frozenset[NodeId]


class Addresses(dict[NodeId, str]):
    """An immutable, hashable map from node id to address, in order of ids; writing raises ``TypeError``."""

    def __init__(self, items: Mapping[NodeId, str] | Iterable[tuple[NodeId, str]] = ()) -> None:
        super().__init__(sorted(dict(items).items()))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[type["Addresses"], tuple[dict[NodeId, str]]]:
        return (Addresses, (dict(self),))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("Addresses cannot be changed; make a new one")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class AddVoters(Struct, frozen=True, tag=True, gc=False):
    """Promote learners (a set of ids), or add nodes and promote them in one change (a map id -> address).

    A set may name only learners (else ``LearnerNotFound``). A map skips that step, as in openraft: a new node votes
    before it has the log, and it may not be reachable. If a majority of the new voters cannot be reached, the cluster
    can commit nothing more, and cannot undo the change either. So add learners first, wait until they have the log, and
    never let voters that no node has reached replace all others.
    """

    voters: frozenset[NodeId] | dict[NodeId, str]


class RemoveVoters(Struct, frozen=True, tag=True, gc=False):
    """Remove these ids from the voter set; ids that are not in it are ignored."""

    voters: frozenset[NodeId]


class ReplaceVoters(Struct, frozen=True, tag=True, gc=False):
    """Make these the voters; a plain set of ids means the same."""

    voters: frozenset[NodeId]


class AddLearners(Struct, frozen=True, tag=True, gc=False):
    """Add nodes that receive the log and do not vote; known addresses stay."""

    learners: frozenset[NodeId] | dict[NodeId, str]


class RemoveLearners(Struct, frozen=True, tag=True, gc=False):
    """Remove these learners; a voter must leave the voter set first."""

    learners: frozenset[NodeId]


class SetNodes(Struct, frozen=True, tag=True, gc=False):
    """Set addresses and overwrite known ones; the voter sets do not change."""

    nodes: dict[NodeId, str]


class ReplaceNodes(Struct, frozen=True, tag=True, gc=False):
    """Replace all nodes and addresses; nodes not named are removed, so every voter must be named."""

    nodes: dict[NodeId, str]


class Batch(Struct, frozen=True, tag=True, gc=False):
    """Several changes, applied in order as one change."""

    changes: tuple["Change", ...]


NodeChange = AddLearners | RemoveLearners | SetNodes | ReplaceNodes
"""Changes of the node table that leave the voter sets as they are."""
Change = AddVoters | RemoveVoters | ReplaceVoters | NodeChange | Batch
ChangeLike = Change | AbstractSet[NodeId] | list[NodeId] | tuple[NodeId, ...]
VoteResult = Literal["won", "lost", "pending"]


class Membership(Struct, frozen=True, cache_hash=True, dict=True):
    """One voter set, or more while joint; ``nodes`` maps every member to its address, and non-voters are learners.

    A quorum is a majority of *every* set. ``retain`` says whether removed voters stay as learners when the joint
    membership ends. A node without a cluster has a membership without sets.

    >>> m = Membership.of({1, 2, 3}).change({3, 4, 5})  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    LearnerNotFound: node 4 is not a learner of this cluster …
    >>> m = Membership.of({1, 2, 3}, learners={4, 5}).change({3, 4, 5})
    >>> m.is_joint, m.is_quorum({1, 2, 3}), m.is_quorum({1, 3, 4})
    (True, False, True)
    """

    configs: tuple[Voters, ...] = ()
    nodes: Mapping[NodeId, str] = Addresses()
    retain: bool = False

    def __post_init__(self) -> None:
        configs = tuple(map(frozenset, self.configs))
        if not all(configs):
            raise EmptyMembership
        nodes = {node: "" for config in configs for node in config} | dict(self.nodes)
        for node, address in nodes.items():
            if type(node) is not int or not 0 < node <= LARGEST:
                node_id("node", node)
            text(f"nodes[{node}]", address)
        force_setattr(self, "configs", configs)
        force_setattr(self, "nodes", Addresses(nodes))

    @classmethod
    def of(cls, voters: Iterable[NodeId], *, learners: Iterable[NodeId] = ()) -> "Membership":
        """A uniform membership of these voters and learners, without addresses."""
        return cls(configs=(frozenset(voters),), nodes=dict.fromkeys(learners, ""))

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self.nodes)

    def __str__(self) -> str:
        sets = " + ".join("{" + ",".join(map(str, sorted(config))) + "}" for config in self.configs)
        learners = f" learners {','.join(map(str, sorted(self.learners)))}" if self.learners else ""
        return (sets or "nobody") + learners

    @cached_property
    def voters(self) -> Voters:
        """All voters: the union of the voter sets."""
        return frozenset[NodeId]().union(*self.configs)

    @property
    def learners(self) -> frozenset[NodeId]:
        """All nodes that vote in no set."""
        return frozenset(self.nodes) - self.voters

    @property
    def is_joint(self) -> bool:
        """Whether more than one voter set must agree (joint consensus, §6)."""
        return len(self.configs) > 1

    def is_quorum(self, ids: Iterable[NodeId]) -> bool:
        """Whether ``ids`` hold a majority of every voter set."""
        present = frozenset(ids)
        return bool(self.configs) and all(2 * len(present & config) > len(config) for config in self.configs)

    def committed_index(self, matched: Mapping[NodeId, int]) -> Index:
        """The largest index that a majority of every voter set holds; a node that is not in ``matched`` holds 0."""
        return min([_majority_index(config, matched) for config in self.configs], default=0)

    def vote_result(self, votes: Mapping[NodeId, bool]) -> VoteResult:
        """``"won"`` with a majority of every set, ``"lost"`` once a set cannot be won, else ``"pending"``."""
        if self.is_quorum(node for node, granted in votes.items() if granted):
            return "won"
        hopeful = self.voters - {node for node, granted in votes.items() if not granted}
        return "pending" if self.is_quorum(hopeful) else "lost"

    def change(self, change: ChangeLike, retain: bool = False) -> "Membership":  # noqa: FBT001, FBT002
        """The next membership on the way to ``change``: uniform if one step will do, else joint.

        One step will do when the wanted voter set is one of today's sets: only learners or addresses change, or a
        joint membership is left (openraft next_coherent). Raises ``EmptyMembership`` or ``LearnerNotFound``.
        """
        voters, nodes = _apply(as_change(change), self.configs[-1] if self.configs else frozenset(), dict(self.nodes))
        if not voters:
            raise EmptyMembership
        for node in sorted(voters - nodes.keys()):
            raise LearnerNotFound(node)
        configs = (voters,) if voters in self.configs or not self.configs else (self.configs[-1], voters)
        gone = frozenset() if retain else self.voters.difference(*configs)
        kept = {node: address for node, address in nodes.items() if node not in gone}
        return Membership(configs=configs, nodes=kept, retain=retain and len(configs) > 1)

    def leave(self) -> "Membership":
        """The uniform membership that ends a joint one: its last voter set."""
        return self.change(Batch(()), retain=self.retain)


def as_change(change: ChangeLike) -> Change:
    """A change as a value, checked; a plain collection of ids means ``ReplaceVoters``.

    Every change of a membership is checked here. Raises ``ConfigError`` for anything that is not a change, a node id
    or an address, and ``EmptyMembership`` if no voters would remain.
    """
    if isinstance(change, (set, frozenset, list, tuple, AbstractSet)):
        return ReplaceVoters(frozenset(voters("change", change)))
    if isinstance(change, Batch):
        return Batch(tuple(as_change(one) for one in _flat(change)))
    return _checked(change)


def _flat(batch: Batch) -> list[Change]:
    """The changes of a batch and of its nested batches, in order."""
    waiting, found = [*reversed(_listed(batch))], list[Change]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Batch):
            waiting.extend(reversed(_listed(one)))
        else:
            found.append(one)
    return found


def _listed(batch: Batch) -> Sequence[Change]:
    if not isinstance(batch.changes, (tuple, list)):
        raise ConfigError("changes", batch.changes, "must be a tuple of changes")
    return batch.changes


def _checked(change: Change) -> Change:
    match change:
        case AddVoters(ids):
            return AddVoters(addresses("voters", ids) if isinstance(ids, Mapping) else _ids("voters", ids))
        case AddLearners(ids):
            return AddLearners(addresses("learners", ids) if isinstance(ids, Mapping) else _ids("learners", ids))
        case RemoveVoters(ids) | ReplaceVoters(ids):
            return type(change)(_ids("voters", ids))
        case RemoveLearners(ids):
            return RemoveLearners(_ids("learners", ids))
        case SetNodes(table) | ReplaceNodes(table):
            return type(change)(addresses("nodes", table))
        case _:
            raise ConfigError("change", change, "must be a set of node ids, or a change such as AddVoters({4})")


def _ids(field: str, ids: object) -> Voters:
    return frozenset(node_ids(field, ids))


def _majority_index(config: Voters, matched: Mapping[NodeId, int]) -> Index:
    """The middle of the indexes sorted downwards: a majority holds at least that."""
    return sorted(map(matched.get, config, repeat(0)), reverse=True)[len(config) // 2]


def _apply(change: Change, voters: Voters, nodes: dict[NodeId, str]) -> tuple[Voters, dict[NodeId, str]]:
    """The voter set and the node table after ``change``."""
    match change:
        case AddVoters(added):
            known = {**_addresses(added), **nodes} if isinstance(added, dict) else nodes
            return voters.union(added), known
        case RemoveVoters(removed):
            return voters.difference(removed), nodes
        case ReplaceVoters(goal):
            return frozenset(goal), nodes
        case Batch(changes):
            return reduce(lambda so_far, one: _apply(one, *so_far), changes, (voters, nodes))
        case _:
            return voters, _table_after(change, nodes)


def _table_after(
    change: AddLearners | RemoveLearners | SetNodes | ReplaceNodes, nodes: dict[NodeId, str]
) -> dict[NodeId, str]:
    match change:
        case AddLearners(learners):
            return {**_addresses(learners), **nodes}
        case RemoveLearners(learners):
            return {node: address for node, address in nodes.items() if node not in learners}
        case SetNodes(table):
            return {**nodes, **table}
        case ReplaceNodes(table):
            return table
        case _:
            assert_never(change)


def _addresses(nodes: Iterable[NodeId] | dict[NodeId, str]) -> dict[NodeId, str]:
    return nodes if isinstance(nodes, dict) else dict.fromkeys(nodes, "")
