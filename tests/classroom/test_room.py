"""The plan of TEACHING.md in a small room: a class joins at once, plays, is divided, and leaves at once."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pyraft_lab.classroom import seat
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


async def are_one_cluster(url: str, learners: Sequence[Learner], *, cluster: str) -> None:
    """Wait until all nodes of a class report one membership, in which all of them vote; they leave then."""
    async with Remote.connect(url, cluster=cluster, timeout=30.0) as remote:
        sitting = [asyncio.create_task(learner.sit()) for learner in learners]

        def found() -> set[frozenset[NodeId]]:
            return {frozenset(now.committed_membership.voters) for now in remote.metrics.values()}

        await remote.until(lambda: len(remote.metrics) == len(learners) and found() == {frozenset(remote.metrics)})
        for learner in learners:
            learner.stop.set()
        await asyncio.gather(*sitting)


async def test_a_class_that_comes_at_one_moment_into_an_empty_room_is_one_cluster(tmp_path: Path) -> None:
    """The report of the first is there before its node is: who comes in between must not initialize the room again."""
    with broker.start() as its:
        for number in range(6):
            place = RoomAddress(broker=its.url, cluster=f"room{number}", timeout=30.0)
            learners = [Learner(place, tmp_path / f"{number}-{seat}", wrong_at(-1)) for seat in range(CLASS)]
            async with asyncio.timeout(60):
                await are_one_cluster(its.url, learners, cluster=place.cluster)


async def test_a_player_of_an_earlier_lesson_keeps_nobody_from_initializing_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "ANSWER_TIMEOUT", 0.2)
    with broker.start() as its:
        place = RoomAddress(broker=its.url, cluster="room", timeout=30.0)
        async with Remote.connect(its.url, cluster="room") as gone:
            gone.publish_playing(1, Playing(by_hand=False))
            await gone.until(lambda: 1 in gone.players)
        async with asyncio.timeout(60):
            await are_one_cluster(its.url, [Learner(place, tmp_path, wrong_at(-1))], cluster="room")


async def test_of_two_who_initialize_one_room_the_second_takes_a_seat_in_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, both = list[NodeId](), asyncio.Event()

    async def is_first(_: Remote, me: NodeId) -> bool:
        asked.append(me)
        if len(asked) == 2:
            both.set()
        await both.wait()  # until both have chosen a seat
        return True

    monkeypatch.setattr(seat, "_is_first", is_first)
    with broker.start() as its:
        place = RoomAddress(broker=its.url, cluster="room", timeout=30.0)
        one, other = (Learner(place, tmp_path / name, wrong_at(-1)) for name in ("one", "other"))
        async with asyncio.timeout(60), Remote.connect(its.url, cluster="room") as remote:
            sitting = [asyncio.create_task(one.sit())]
            await remote.until(lambda: bool(remote.players))
            sitting.append(asyncio.create_task(other.sit()))
            await both.wait()
            await remote.until(lambda: {len(now.committed_membership.voters) for now in remote.metrics.values()} == {2})
            for learner in (one, other):
                learner.stop.set()
            await asyncio.gather(*sitting)
    assert max(one.node, other.node) > max(asked), "one of them took a new seat"


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
