"""A teacher's orders: what they refuse, who obeyed, what a room would lose, and a screen that goes on meanwhile."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pyraft_lab.classroom.bots import Bots
from pyraft_lab.classroom.seat import RoomAddress
from pyraft_lab.classroom.teach import CommandQueue
from pyraft_lab.classroom.teacher_commands import TeacherCommands
from pyraft_lab.cli import main
from pyraft_lab.errors import PyraftError
from pyraft_lab.network import broker
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Playing, Room
from tests.commands import Start
from tests.terminal.test_session import order, say, until

ROOM = "room7"


@asynccontextmanager
async def room(url: str, *, seats: int = 0) -> AsyncIterator[TeacherCommands]:
    """A room with automatic nodes only, once they all vote."""
    place = RoomAddress(broker=url, cluster=ROOM)
    async with Remote.connect(url, cluster=ROOM) as remote, asyncio.timeout(60):
        staff = Bots(place, remote, seats=seats)
        looking = asyncio.create_task(staff.run())
        await remote.until(
            lambda: any(len(now.committed_membership.voters) == seats for now in remote.metrics.values()) or not seats
        )
        try:
            yield TeacherCommands(remote, staff, Room(), asyncio.Event())
        finally:
            looking.cancel()
            await staff.leave()


REFUSED = {
    "": "type a command: partition, cut",
    "prtition 1 2": "did you mean partition?",
    "delay nan 1": "'nan' is not a number",
    "delay 0.2 0.1": "give the shortest and the longest",
    "delay -1 2": "give the shortest and the longest",
    "delay 0 inf": "'inf' is not a number",
    "delay 1": "delay takes the shortest and the longest",
    "partition 99 1": "there is no node 99; known are 1",
    "partition 1 1": "node 1 is in two groups",
    "partition 1": "the group has every node",
    "partition": "partition takes groups of nodes",
    "partition x": "'x' is not a node",
    "cut 1 1": "a node has no link to itself",
    "cut 1 9": "there is no node 9",
    "cut 1": "cut takes two nodes, as 1 2, not '1'",
    "cut 1 2 3": "cut takes two nodes, as 1 2, not '1 2 3'",
    "loss 2": "'2' is not a share",
    "loss nan": "'nan' is not a number",
    "heal now": "heal takes no arguments",
    "hand 99": "there is no node 99",
    "hand 1": "node 1 is automatic",
    "back 99": "there is no node 99",
    "pace 0": "'0' is not a pace",
    "count maybe": "'maybe' must be on or off",
    "seats -1": "'-1' is not a number of seats",
    "seats 99": "'99' is not a number of seats",
    "seats 0": "node 1 would leave, and there is no other voter",
    "seats 0 please": "seats takes a number",
    "remove 9": "there is no node 9",
    "remove 1": "node 1 stays: there is no other voter",
    "write x": "write takes a key and a value",
    "write x NaN": "NaN is not a JSON number",
    "transfer 9": "there is no node 9",
}


async def test_an_order_that_makes_no_sense_changes_nothing_and_says_what_is_allowed() -> None:
    with broker.start() as its:
        async with room(its.url, seats=1) as orders:
            before = orders.room, orders.faults, orders.bots.seats
            told = {line: await refusal(orders, line) for line in REFUSED}
            assert {line: why for line, why in told.items() if REFUSED[line] not in why or "\n" in why} == {}
            assert (orders.room, orders.faults, orders.bots.seats) == before


async def refusal(orders: TeacherCommands, line: str) -> str:
    with pytest.raises(PyraftError) as refused:
        await orders.carry_out(line)
    return str(refused.value)


async def test_a_room_full_of_learners_needs_no_automatic_node_even_if_one_plays_by_hand() -> None:
    remote = Remote("teacher")
    remote.metrics = {node: Metrics(id=node) for node in (1, 2, 3, 4)}
    remote.players = {1: Playing(by_hand=True)}
    staff = Bots(RoomAddress(broker="mqtt://127.0.0.1", cluster=ROOM), remote, seats=3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await staff.run()
    assert staff.nodes == frozenset()


async def test_orders_about_links_say_who_obeys_them() -> None:
    with broker.start() as its:
        async with room(its.url, seats=2) as orders:
            assert await orders.carry_out("loss 0.01") == "loss 1%; applied by nodes 1, 2"
            assert await orders.carry_out("cut 1 2") == "1 → 2 cut, loss 1%; applied by nodes 1, 2"
            assert await orders.carry_out("heal") == "no link faults; applied by nodes 1, 2"


async def test_an_order_to_an_empty_room_waits_for_those_who_come() -> None:
    with broker.start() as its:
        async with room(its.url) as orders:
            assert await orders.carry_out("loss 0.1") == "loss 10%; no node is here yet; nodes that join will apply it"


async def test_an_order_that_takes_a_while_shows_and_can_be_cancelled() -> None:
    with broker.start() as its:
        async with room(its.url) as orders:
            queue = CommandQueue(orders)
            queue.start("write x 1")
            while not queue.running().plain:  # noqa: ASYNC110 (time is what it waits for)
                await asyncio.sleep(0.01)
            assert queue.running().plain.startswith("running: write x 1 (")
            queue.start("loss 0.1")  # others go on beside it
            await asyncio.sleep(0.01)
            assert queue.answer.plain.startswith("loss 10%")
            queue.start("cancel")
            assert queue.answer.plain.startswith("cancelled: write x 1")
            await asyncio.sleep(0.01)
            assert queue.running().plain == ""


def test_a_learner_who_is_taken_out_is_told_and_the_room_says_what_it_would_lose(start: Start) -> None:
    with broker.start() as its:
        teacher = start("teach", ROOM, "--broker", its.url, "--seats", "3")
        assert order(teacher, "write x 1") == "x is 1, on a majority of disks"
        learner = start("join", ROOM, "--broker", its.url)
        me = until(learner, "you are node").rpartition(" ")[2]
        while f"seat {me}" in (told := order(teacher, f"remove {me}")) or "stays" in told or "no node" in told:
            pass  # it is being taken in
        assert told.startswith("members are ") or "not committed yet" in told
        if not told.startswith("members are "):
            while not order(teacher, f"remove {me}").startswith(
                ("members are", f"node {me} stays: it is not", "there is no")
            ):
                pass
        assert learner.wait(60) == 1
        assert (
            learner.communicate()[1].splitlines()[-1].startswith(f"pyraft-lab: node {me} was removed from room {ROOM}")
        )
        assert "there is no other voter" in order(teacher, "seats 0")
        say(teacher, "quit")
        assert teacher.wait(60) == 0


def test_a_fault_that_nobody_obeys_is_no_success(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker.start() as its:
        client = ["client", "--broker", its.url, "--timeout", "60"]
        node = ["node", "--broker", its.url]
        start(*node, "--id", "1", "--data", str(tmp_path / "1"), "--init", "--peers", "1,2")
        second = start(*node, "--id", "2", "--data", str(tmp_path / "2"))
        assert main([*client, "put", "x", "1"]) == 0
        for act in (["partition", "1", "2"], ["loss", "0.5"], ["heal"]):
            assert main([*client, *act]) == 1
            assert "start nodes with --weather" in capsys.readouterr().err
        stopped(second, signal.SIGTERM, 0)
        start(*node, "--id", "2", "--data", str(tmp_path / "2"), "--weather")
        while not obeyed(client, capsys):
            pass
        assert main([*client, "partition", "1", "2"]) == 1
        assert "node 1 does not accept faults" in capsys.readouterr().err
        assert main([*client, "partition", "1", "9"]) == 1
        assert "there is no node 9; known are 1, 2" in capsys.readouterr().err
        assert main([*client, "heal"]) == 0
        assert "done; applied by node 2, not by node 1" in capsys.readouterr().out
        assert main([*client, "remove", "2"]) == 0


def obeyed(client: list[str], capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether somebody obeys by now."""
    done = main([*client, "--json", "loss", "0.01"]) == 0
    return done and '"obeyed": [2]' in capsys.readouterr().out


def stopped(process: "subprocess.Popen[str]", number: signal.Signals, code: int) -> None:
    process.send_signal(number)
    assert process.wait(30) == code


def test_a_broker_that_stands_still_is_said_within_the_deadline_and_stops_nobody_from_leaving(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker.start() as its:
        node = start("node", "--broker", its.url, "--id", "1", "--data", str(tmp_path / "1"), "--init")
        assert main(["client", "--broker", its.url, "--timeout", "60", "put", "x", "1"]) == 0
        paused(its, signal.SIGSTOP)
        try:
            for act in (["status"], ["get", "x"], ["loss", "0.1"]):
                assert main(["client", "--broker", its.url, "--timeout", "0.5", *act]) == 1
                assert "cannot be reached" in capsys.readouterr().err
            node.send_signal(signal.SIGTERM)
            stopped(node, signal.SIGTERM, 0)  # a second one is no other word
        finally:
            paused(its, signal.SIGCONT)


def paused(its: broker.Broker, number: signal.Signals) -> None:
    os.kill(its.pid, number)


def test_a_teacher_who_leaves_an_empty_room_clears_it_and_says_so(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker.start() as its:
        teacher = start("teach", ROOM, "--broker", its.url, "--seats", "1")
        assert order(teacher, "write x 1") == "x is 1, on a majority of disks"
        say(teacher, "quit")
        assert until(teacher, f"cleared messages of room {ROOM}: ").partition(": ")[2].split(", ").count("room") == 1
        assert teacher.wait(60) == 0
        assert main(["client", "--broker", its.url, "--cluster", ROOM, "clear"]) == 0
        assert capsys.readouterr().out.strip() == f"the broker keeps no messages of cluster {ROOM}"


def test_a_teacher_who_leaves_while_somebody_is_in_the_room_clears_nothing(start: Start, tmp_path: Path) -> None:
    with broker.start() as its:
        node = ["node", "--broker", its.url, "--cluster", ROOM, "--id", "1", "--data", str(tmp_path / "1"), "--init"]
        start(*node)
        client = ["client", "--broker", its.url, "--cluster", ROOM, "--timeout", "60"]
        assert main([*client, "put", "x", "1"]) == 0
        teacher = start("teach", ROOM, "--broker", its.url)
        say(teacher, "quit")
        told = until(teacher, f"nodes 1 are still in room {ROOM}; when they have left: pyraft-lab client ")
        assert told.endswith(f"--cluster {ROOM} --broker {its.url} clear {ROOM}")
        assert teacher.wait(60) == 0
        assert main([*client, "get", "x"]) == 0
