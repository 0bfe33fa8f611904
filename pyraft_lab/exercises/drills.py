"""Runs and values that ask rules what random runs seldom ask: snapshots, leases, pre-votes, changes of every kind."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import SnapshotMeta
from pyraft_lab.engine.membership import (
    AddLearners,
    AddVoters,
    Batch,
    Membership,
    RemoveLearners,
    RemoveVoters,
    ReplaceVoters,
)
from pyraft_lab.engine.rules import Rules
from pyraft_lab.engine.state import Disk, Leader, Progress, RaftState, SendSnapshot
from pyraft_lab.engine.types import LogId
from pyraft_lab.sim.simulation import Simulation

SMALL = Config(snapshot_logs_since_last=8, keep_logs=2)
"""Snapshots after few entries."""
CROSSED = frozenset(
    {
        *("supersedes", "log_matches", "conflict_hint", "next_probe", "follower_commit", "is_snapshot_useful"),
        *("has_won", "answers_vote", "pre_vote_refusal"),
    }
)
"""Rules whose arguments of different situations make sense together."""


def drill(rules: Rules) -> None:
    """A cluster of five under these rules: writes, lease reads, snapshots, a lagging server, changes, a lost leader."""
    sim = Simulation(5, 11, rules=rules, config=SMALL, record=False, checks=(), learners={6})
    first = sim.run_until(lambda s: s.leader or 0)
    away = next(node for node in sim.nodes if node not in {first, 6})
    sim.partition({away})
    for value in range(12):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.read("x", policy="lease")
        sim.run(0.02)
    sim.heal()
    sim.run(0.3)
    sim.change_membership({1, 2, 3, 6}, retain=True)
    sim.run(0.2)
    sim.partition({sim.leader or first})
    sim.read("x", policy="lease")
    sim.run(0.6)
    sim.heal()
    sim.crash(sim.leader or first)
    sim.read("x")
    sim.run(0.5)


def handmade(rule: str) -> Iterator[tuple[Any, ...]]:
    """Arguments for rules about values that runs seldom show."""
    match rule:
        case "next_membership":
            yield from product(MEMBERSHIPS, CHANGES, (False, True))
        case "would_interrupt_transfer" | "purge_upto":
            yield from ((state,) for state in _sending())
        case "is_snapshot_due" | "purge_limit":
            yield from ((state,) for state in _applied())
        case _:
            return


MEMBERSHIPS = (
    Membership(configs=(frozenset({1, 2, 3}),)),
    Membership(configs=(frozenset({1, 2, 3}),), nodes={4: "", 5: ""}),
    Membership(configs=(frozenset({1, 2, 3}), frozenset({2, 3, 4})), nodes={5: ""}),
)
CHANGES = (
    ReplaceVoters(frozenset({1, 2, 4})),
    AddVoters(frozenset({4})),
    RemoveVoters(frozenset({1})),
    AddLearners(frozenset({6})),
    RemoveLearners(frozenset({5})),
    Batch(()),
)


def _sending() -> Iterator[RaftState]:
    """Leaders that send a snapshot: the stored one, an older one, or a stalled one."""
    metas = [SnapshotMeta(LogId(1, 1, index), MEMBERSHIPS[0], size=100) for index in (4, 8)]
    for sent, tries, offset in product(metas, (0, 5, 20), (0, 10)):
        progress = Progress(peer=2, next=1, since_round=0, state=SendSnapshot(sent, offset=offset, tries=tries))
        leader = Leader(noop=1, progress=(progress,))
        yield RaftState(id=1, role=leader, disk=Disk(snapshot=metas[1]), committed=9, applied=9)


def _applied() -> Iterator[RaftState]:
    """Servers that have applied a number of entries since their last snapshot, or their last attempt."""
    meta = SnapshotMeta(LogId(1, 1, 4), MEMBERSHIPS[0])
    for applied, attempted, limit in product((4, 11, 12, 13, 20), (0, 10), (8, None)):
        config = replace(SMALL, snapshot_logs_since_last=limit)
        yield RaftState(
            id=1, config=config, disk=Disk(snapshot=meta), committed=applied, applied=applied, attempted=attempted
        )
