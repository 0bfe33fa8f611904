"""The plan of TEACHING.md in a small room: a class joins at once, plays, is divided, and leaves at once."""

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pyraft_lab.classroom.bots import Bots
from pyraft_lab.classroom.seat import RoomAddress
from pyraft_lab.classroom.teacher_commands import TeacherCommands, carried_out
from pyraft_lab.engine.types import NodeId
from pyraft_lab.exercises.question import Question
from pyraft_lab.network import broker
from pyraft_lab.runtime.metrics import leader_of
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Playing, Room
from tests.classroom.learners import Learner, Script

CLASS = 5
LONGEST = 240  # seconds for the whole lesson on a busy machine


def wrong_at(number: int) -> Script:
    """Every answer is right, except one."""

    def answer(before: int, asked: Question) -> str:
        words = [choice.answer for choice in asked.choices]
        wrong = next((word for word in words if word not in asked.right), words[0])
        return wrong if before == number else min(asked.right)

    return answer


async def lesson(url: str, disks: Path) -> tuple[list[Learner], dict[str, str]]:
    """The whole plan; the seats, and what the room said to each command."""
    said, place = dict[str, str](), RoomAddress(broker=url, cluster="lesson")
    async with AsyncExitStack() as stack:
        remote = await stack.enter_async_context(Remote.connect(url, cluster="lesson"))
        bots = Bots(place, remote, seats=2)
        filling = asyncio.create_task(bots.run())
        commands = TeacherCommands(remote, bots, Room(), asyncio.Event())

        def voters() -> frozenset[NodeId]:
            leader = leader_of(remote.metrics)
            return frozenset() if leader is None else remote.metrics[leader].committed_membership.voters

        async def order(line: str) -> None:
            said[line], is_done = await carried_out(commands, line)
            assert is_done, f"{line}: {said[line]}"

        await remote.until(lambda: len(voters()) == 2)
        seats = [Learner(place, disks / str(number), wrong_at(number % 3)) for number in range(CLASS)]
        sitting = [asyncio.create_task(seat.sit()) for seat in seats]
        await remote.until(lambda: len(voters()) == CLASS and not bots.nodes)

        leader = leader_of(remote.metrics)
        assert leader is not None
        by_hand = next(seat for seat in seats if seat.node != leader)
        await order(f"hand {by_hand.node}")
        for value in range(3):
            await order(f"write x {value}")
        await remote.until(lambda: len(by_hand.player.marks) >= 2)
        away = {seat.node for seat in seats} - {leader, by_hand.node}
        few, many = ",".join(map(str, {leader, by_hand.node})), ",".join(map(str, away))
        await order(f"partition {few} {many}")
        await order("write x 4")
        await order("heal")
        await order(f"back {by_hand.node}")
        await remote.until(lambda: leader_of(remote.metrics) is not None)
        gone = next(seat for seat in seats if seat.node not in {leader_of(remote.metrics), by_hand.node})
        await order(f"remove {gone.node}")
        said["remove"] = said.pop(f"remove {gone.node}")
        commands.bots.seats = 0
        for seat in seats:
            seat.stop.set()
        ended = await asyncio.gather(*sitting, return_exceptions=True)
        assert sum(isinstance(one, BaseException) for one in ended) <= 1, "only who was removed is told so"
        filling.cancel()
        await bots.leave()
    return seats, said


async def test_of_two_who_choose_a_number_at_once_both_know_who_has_it() -> None:
    with broker.start() as its:
        async with Remote.connect(its.url, cluster="lesson") as one, Remote.connect(its.url, cluster="lesson") as other:
            for number in range(1, 21):
                one.publish_playing(number, Playing(by_hand=False))
                other.publish_playing(number, Playing(by_hand=True))
            await one.catch_up()
            await other.catch_up()
            await asyncio.wait_for(one.until(lambda: 20 in one.players and 20 in other.players), 60)
            places = [{one.place_of_player(number), other.place_of_player(number)} for number in range(1, 21)]
            assert places == [{0, 1}] * 20


async def test_a_class_plays_the_plan_of_a_lesson_and_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with broker.start() as its, caplog.at_level(logging.WARNING, "pyraft_lab"):
        async with asyncio.timeout(LONGEST):
            seats, said = await lesson(its.url, tmp_path)
    marks = [mark for seat in seats for mark in seat.player.marks]
    assert any(mark.right for mark in marks)
    assert said["write x 4"] == "x is 4, on a majority of disks"
    assert said["remove"].startswith("members are {"), said["remove"]
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if "without leaving" in line or "lost its log" in line] == []
