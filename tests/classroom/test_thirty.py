"""A class of thirty: who asks for whom when many wait; thirty seats join, elect a leader and change their voters."""

import asyncio
from collections.abc import Iterable

import pytest

from pyraft_lab.classroom.bots import Bots
from pyraft_lab.classroom.seat import TURN, Newcomers, RoomAddress
from pyraft_lab.classroom.teacher_commands import TeacherCommands, carried_out
from pyraft_lab.engine.membership import AddLearners, AddVoters, Batch, Change, Membership, ReplaceVoters
from pyraft_lab.engine.types import LogId, NodeId
from pyraft_lab.network import broker
from pyraft_lab.runtime.metrics import Metrics, leader_of
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Playing, Room
from pyraft_lab.runtime.rpc import ChangeMembership

SEATS = 30
LONGEST = 240  # seconds for the whole test on a busy machine


def room_of(voters: int, *, learners: Iterable[NodeId] = (), new: Iterable[NodeId] = ()) -> Remote:
    """What a seat sees of a room whose node 1 leads; ``new`` nodes are up, with empty logs."""
    remote, members = Remote("here"), Membership.of(range(1, voters + 1), learners=learners)
    at = LogId(1, 1, 5)
    for node in members.nodes:
        remote.metrics[node] = Metrics(id=node, term=1, membership=members, committed_membership=members, last_log=at)
    remote.metrics |= {node: Metrics(id=node) for node in new}
    remote.players |= {node: Playing(by_hand=False) for node in remote.metrics}
    lead(remote, members)
    return remote


def lead(remote: Remote, members: Membership, *, committed: Membership | None = None, index: int = 5) -> None:
    """Node 1 leads with this membership; all nodes have the log."""
    at = LogId(1, 1, index)
    remote.metrics[1] = Metrics(
        id=1, term=1, role="leader", has_committed=True, last_log=at, membership=members, membership_id=at,
        committed_membership=committed or members, replication=dict.fromkeys(members.nodes, index),
    )  # fmt: skip


def asked(*changes: Change) -> ChangeMembership:
    return ChangeMembership(Batch(changes))


def test_the_first_of_those_who_wait_asks_for_all_and_the_others_only_if_nothing_happens() -> None:
    remote = room_of(3, new={4, 5, 6})
    first, last = Newcomers(remote, 4), Newcomers(remote, 6)
    all_come = asked(AddLearners(frozenset({4, 5, 6})))
    assert (first.change(now=0.0), last.change(now=0.0)) == (all_come, None)
    assert (last.change(now=1.9 * TURN), last.change(now=2 * TURN)) == (None, all_come)


def test_learners_that_have_the_log_become_voters_in_the_change_that_takes_others_in() -> None:
    remote = room_of(3, new={4, 5})
    first = Newcomers(remote, 4)
    first.change(now=0.0)
    lead(remote, Membership.of({1, 2, 3}, learners={4, 5}), index=6)
    remote.metrics[6] = Metrics(id=6)
    remote.players[6] = Playing(by_hand=False)
    assert first.change(now=1.0) == asked(AddLearners(frozenset({6})), AddVoters(frozenset({4, 5})))


def test_a_learner_that_does_not_wait_is_left_alone() -> None:
    remote = room_of(3, learners={4}, new={5, 6})
    del remote.players[6]  # a node of somebody else
    assert Newcomers(remote, 5).change(now=0.0) == asked(AddLearners(frozenset({5})))


def test_nobody_asks_while_a_change_is_going_on_or_without_a_leader() -> None:
    remote = room_of(3, learners={4}, new={5})
    seat, joint = Newcomers(remote, 5), Membership.of({1, 2, 3}, learners={4}).change({1, 2, 3, 4})
    lead(remote, joint, committed=Membership.of({1, 2, 3}, learners={4}))
    assert seat.change(now=0.0) is None
    lead(remote, joint)
    assert seat.change(now=0.0) is None
    del remote.metrics[1]
    assert seat.change(now=0.0) is None


@pytest.mark.timeout(LONGEST + 60)
async def test_thirty_seats_vote_elect_another_leader_and_change_their_voters_at_once() -> None:
    with broker.start() as its:
        async with asyncio.timeout(LONGEST), Remote.connect(its.url, cluster="thirty", timeout=30.0) as remote:
            bots = Bots(RoomAddress(broker=its.url, cluster="thirty", timeout=30.0), remote, seats=SEATS)
            commands = TeacherCommands(remote, bots, Room(pace=5.0), asyncio.Event())
            commands.publish()
            filling = asyncio.create_task(bots.run())
            everybody = frozenset(range(1, SEATS + 1))

            def leads() -> Metrics | None:
                leader = leader_of(remote.metrics)
                return None if leader is None else remote.metrics[leader]

            async def until_voters(wanted: frozenset[NodeId]) -> None:
                await remote.until(
                    lambda: (now := leads()) is not None and now.committed_membership.configs == (wanted,)
                )

            async def order(line: str) -> str:
                told, is_done = await carried_out(commands, line)
                assert is_done, told
                return told

            await until_voters(everybody)
            first = leads()
            assert first is not None
            assert first.last_log.index < 2 * SEATS, "fewer changes than seats"

            others = ",".join(str(node) for node in sorted(everybody - {first.id}))
            assert "not by" not in await order(f"partition {first.id} {others}")
            await remote.until(lambda: (now := leads()) is not None and now.id != first.id)
            await order("write x 1")
            await order("heal")
            await remote.until(lambda: remote.metrics[first.id].role == "follower")

            half = frozenset(range(1, SEATS // 2 + 1))
            await remote.change(ChangeMembership(ReplaceVoters(half), retain=True), seconds=LONGEST)
            await until_voters(half)
            await remote.change(ChangeMembership(ReplaceVoters(everybody)), seconds=LONGEST)
            await until_voters(everybody)
            filling.cancel()
            await bots.leave()
            assert not bots.nodes
