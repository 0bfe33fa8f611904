"""The teacher's settings in a full room: two paces, nodes played by hand, answers that count, a partition meanwhile.

``SEATS=30`` in the environment takes a whole class.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyraft_lab.classroom.bots import Bots
from pyraft_lab.classroom.seat import RoomAddress
from pyraft_lab.classroom.teacher_commands import TeacherCommands, carried_out
from pyraft_lab.engine.types import NodeId
from pyraft_lab.exercises.question import Question
from pyraft_lab.network import broker
from pyraft_lab.runtime.metrics import leader_of
from pyraft_lab.runtime.process import SLOW_NETWORK
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Room, slowed
from tests.classroom.learners import Learner, Script

SEATS = int(os.environ.get("SEATS", "7"))
HANDS = max(2, SEATS // 6)
PACE = max(2.0, SEATS / 6)
LONGEST = 240 + 10 * SEATS  # seconds for the whole test on a busy machine
HARMLESS = ("outdated", "lease", "log", "wait")
"""Wrong answers that only delay: a second vote or a commit too early would end the nodes that see it."""


def wrong_every_third_time(first: int) -> Script:
    def answer(before: int, asked: Question) -> str:
        words = [choice.answer for choice in asked.choices if choice.answer not in asked.right]
        wrong = [word for word in words if word in HARMLESS]
        return wrong[0] if wrong and before % 3 == first else min(asked.right)

    return answer


def lead(remote: Remote) -> NodeId | None:
    return leader_of(remote.metrics)


def voters(remote: Remote) -> frozenset[NodeId]:
    leader = lead(remote)
    return frozenset() if leader is None else remote.metrics[leader].committed_membership.voters


async def shown(learners: list[Learner], holds: Callable[[Learner], bool]) -> None:
    while not all(map(holds, learners)):  # noqa: ASYNC110 (players tell nobody that they change)
        await asyncio.sleep(0.02)


def runs_at(pace: float) -> Callable[[Learner], bool]:
    """Whether a seat shows this pace, and its node runs at it."""
    wanted = slowed(SLOW_NETWORK, SLOW_NETWORK, pace).election_timeout

    def holds(learner: Learner) -> bool:
        state = learner.player.state
        return learner.player.room.pace == pace and state is not None and state.config.election_timeout == wanted

    return holds


def nodes(learners: list[Learner]) -> str:
    return ",".join(str(learner.node) for learner in learners)


async def lesson(remote: Remote, commands: TeacherCommands, learners: list[Learner]) -> list[Learner]:
    """Slow the room, play by hand with answers that count, divide, change the pace, heal; those who played by hand."""

    async def order(line: str) -> None:
        told, is_done = await carried_out(commands, line)
        assert is_done, f"{line}: {told}"

    await order(f"pace {4 * PACE:g}")
    await shown(learners, runs_at(4 * PACE))
    await order("count on")
    await shown(learners, lambda learner: learner.player.room.for_real)
    by_hand = [learner for learner in learners if learner.node != await remote.leader()][:HANDS]
    await order(f"hand {nodes(by_hand)}")
    await remote.until(lambda: all(remote.players[learner.node].by_hand for learner in by_hand))
    for value in range(3):
        await order(f"write x {value}")
    await shown(by_hand, lambda learner: len(learner.player.marks) >= 3)

    first = await remote.leader()
    few = [learner for learner in learners if learner.node == first or learner in by_hand[: HANDS // 2]]
    await order(f"partition {nodes(few)} {nodes([learner for learner in learners if learner not in few])}")
    await order(f"pace {2 * PACE:g}")
    await shown(learners, runs_at(2 * PACE))
    away = {learner.node for learner in few}
    await remote.until(lambda: (leader := lead(remote)) is not None and leader not in away)
    await order("write x 3")
    await order("heal")
    await remote.until(lambda: remote.metrics[first].role != "leader")
    await order("count off")
    await order(f"back {nodes(by_hand)}")
    await shown(learners, lambda learner: not learner.player.by_hand)
    await order("write x 4")
    return by_hand


async def everybody_leaves(remote: Remote, learners: list[Learner], sitting: list["asyncio.Task[None]"]) -> None:
    for learner in learners:
        learner.stop.set()
    await asyncio.gather(*sitting)
    await remote.until(lambda: not remote.metrics)


@pytest.mark.timeout(LONGEST + 60)
async def test_every_seat_sees_the_settings_hands_are_marked_and_the_room_goes_on(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    with broker.start() as its:
        place = RoomAddress(broker=its.url, cluster="settings", timeout=30.0)
        async with asyncio.timeout(LONGEST), Remote.connect(its.url, cluster="settings", timeout=30.0) as remote:
            commands = TeacherCommands(remote, Bots(place, remote, seats=0), Room(pace=PACE), asyncio.Event())
            commands.publish()
            learners = [Learner(place, tmp_path / str(seat), wrong_every_third_time(seat % 2)) for seat in range(SEATS)]
            sitting = [asyncio.create_task(learner.sit()) for learner in learners]
            await remote.until(lambda: len(voters(remote)) == SEATS)

            by_hand = await lesson(remote, commands, learners)
            leader = await remote.leader()
            upto = remote.metrics[leader].committed
            await remote.until(lambda: all(now.applied.index >= upto for now in remote.metrics.values()))
            assert len(remote.metrics) == SEATS
            for learner in by_hand:
                given = [mark.right for mark in learner.player.marks]
                assert given == learner.meant
                assert {True, False} == set(given)
                assert all(mark.done for mark in learner.player.marks), "the answers counted"
            scores = {learner.node: (sum(learner.meant), len(learner.meant)) for learner in by_hand}
            await remote.until(
                lambda: {node: (remote.players[node].right, remote.players[node].given) for node in scores} == scores
            )
            await everybody_leaves(remote, learners, sitting)
    left = asyncio.all_tasks() - before
    assert not left or not (await asyncio.wait(left, timeout=30))[1]
