"""Seats in browser tabs: the page and its link, the seat itself in a Python like a tab's, and tabs that close."""

import asyncio
import io
import json
import urllib.request
import zipfile
from pathlib import Path
from urllib.error import HTTPError

import pytest

from pyraft_lab.classroom import tabs
from pyraft_lab.classroom.bots import Bots
from pyraft_lab.classroom.pace import PACE, SLOWEST, PaceKeeper, keep_pace
from pyraft_lab.classroom.seat import RoomAddress
from pyraft_lab.classroom.teacher_commands import TeacherCommands
from pyraft_lab.classroom.web import SeatPage, library
from pyraft_lab.errors import ConfigError, NetworkFailed
from pyraft_lab.network import broker
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.room import Room
from tests.threadless import run_threadless

ROOM = """
from tests.page import RETAINED, SESSIONS, open_page
open_page()
import json
from pyraft_lab.classroom.tab import TabSeat

class Tab:
    def __init__(self, name, by_hand=False):
        self.now, self.labs = {}, []
        self.seat = TabSeat("ws://127.0.0.1:9001", "room7", self.show)
        self.player = self.seat._player
        self.refreshed, self.player.refreshed = self.player.refreshed, lambda late: None  # the machine may be busy
        self.task = asyncio.create_task(self.seat.join(name, by_hand))

    def show(self, text):
        told = json.loads(text)
        if told["type"] == "seat":
            self.now |= told
        else:
            self.labs.append(told)

async def until(fact):
    async with asyncio.timeout(300):
        while not fact():
            await asyncio.sleep(0.02)

def sheet(tab):
    return dict(map(tuple, tab.now.get("sheet", [])))

async def leader_and_follower():
    ann = Tab("ann")
    await until(lambda: sheet(ann).get("role") == "leader")
    bob = Tab("bob")
    await until(lambda: sheet(bob).get("members") == "{1,2}")
    return ann, bob

async def leave(*tabs):
    for tab in tabs:
        tab.seat.leave()
    await asyncio.wait([tab.task for tab in tabs])
"""


def told(script: str) -> list[str]:
    ended = run_threadless(ROOM + script)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_two_tabs_are_nodes_of_one_room_and_a_reloaded_one_takes_a_new_number() -> None:
    script = """
async def main():
    ann, bob = await leader_and_follower()
    print(ann.now["node"], bob.now["node"], sheet(bob)["role"])
    bob.seat.leave()
    await bob.task
    await until(lambda: sheet(ann).get("members") == "{1}")
    again = Tab("bob")
    await until(lambda: again.now.get("node"))
    print(again.now["node"], bob.now["over"])
    opened = next(one for one in ann.labs if one["type"] == "open")
    print(opened["told"]["header"]["title"], any(b"ann" in payload for payload in RETAINED.values()))
    await leave(ann, again)

asyncio.run(main())
"""
    assert told(script) == ["1 2 follower", "3 you have left the room", "cluster room7, followed over MQTT True"]


def test_a_hidden_tab_gives_its_leadership_away_and_stands_for_no_election() -> None:
    script = """
async def main():
    ann, bob = await leader_and_follower()
    ann.seat.hide(True)
    await until(lambda: sheet(bob).get("role") == "leader")
    print(ann.player.may_stand, sheet(bob)["role"])
    bob.seat.hide(True)
    await asyncio.sleep(1)
    print(sheet(bob)["role"], sheet(bob)["term"] == sheet(ann)["term"])
    ann.seat.hide(False)
    await until(lambda: sheet(ann).get("role") == "leader")
    print(ann.player.may_stand)
    await leave(bob, ann)

asyncio.run(main())
"""
    assert told(script) == ["False leader", "leader True", "True"]


def test_where_all_tabs_are_hidden_one_of_them_leads_nevertheless() -> None:
    script = """
async def main():
    tabs = [Tab(name) for name in ("ann", "bob", "eve")]
    await until(lambda: any(sheet(tab).get("role") == "leader" and sheet(tab)["members"] == "{1,2,3}" for tab in tabs))
    for tab in tabs:
        tab.seat.hide(True)
    await asyncio.sleep(0.5)
    leader = next(tab for tab in tabs if sheet(tab).get("role") == "leader")
    others = [tab for tab in tabs if tab is not leader]
    leader.task.cancel()
    await until(lambda: any(sheet(tab).get("role") == "leader" for tab in others))
    print([tab.player.may_stand for tab in others])
    await leave(*others)

asyncio.run(main())
"""
    assert told(script) == ["[False, False]"]


def test_a_tab_that_is_late_again_and_again_leaves_it_to_others_to_lead_until_it_is_on_time() -> None:
    script = """
async def main():
    ann, bob = await leader_and_follower()
    for late in (9.0, 9.0, 9.0, 0.0):
        ann.refreshed(late)
    print(ann.player.may_stand)
    ann.refreshed(9.0)
    print(ann.player.may_stand)
    await until(lambda: sheet(bob).get("role") == "leader")
    for _ in range(5):
        ann.refreshed(0.0)
    print(ann.player.may_stand)
    await leave(bob, ann)

asyncio.run(main())
"""
    assert told(script) == ["True", "False", "True"]


def test_the_room_is_followed_only_while_the_learner_looks_at_it() -> None:
    script = """
async def main():
    ann = Tab("ann")
    opened = lambda: [one["type"] for one in ann.labs].count("open")
    await until(lambda: opened() == 1 and sheet(ann).get("role") == "leader")
    before = len(SESSIONS)
    ann.seat.look(False)
    await until(lambda: len(SESSIONS) == before - 1)
    ann.seat.look(True)
    await until(lambda: opened() == 2)
    print(len(SESSIONS) - before, sheet(ann)["role"])
    ann.seat.leave()
    await ann.task

asyncio.run(main())
"""
    assert told(script) == ["0 leader"]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read())


def test_the_page_names_the_broker_and_brings_the_library(tmp_path: Path) -> None:
    for name in ("pyodide.mjs", "pyodide-lock.json", "mqtt.esm.js"):
        (tmp_path / name).write_text("// here")
    (tmp_path.parent / "secret").write_text("not for the class")
    with SeatPage(host="127.0.0.1", port=0, room="room7", broker="ws://h:1/mqtt", pyodide=tmp_path) as page:
        here = f"http://127.0.0.1:{page.port}"
        assert b"A seat in the room" in get(f"{here}/")
        assert json.loads(get(f"{here}/room.json"))["broker"] == "ws://h:1/mqtt"
        assert get(f"{here}/pyodide/mqtt.esm.js") == b"// here"
        assert "pyraft_lab/classroom/tab.py" in zipfile.ZipFile(io.BytesIO(get(f"{here}/pyraft_lab.zip"))).namelist()
        for path in ("/pyodide/../secret", "/etc/passwd", "/pyodide/nothing", "/pyodide/"):
            with pytest.raises(HTTPError, match="404"):
                get(here + path)
        with pytest.raises(NetworkFailed, match="choose another --page-port"):
            SeatPage(host="127.0.0.1", port=page.port, room="room7", broker="ws://h:1/mqtt")


def test_a_directory_without_pyodide_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make lite"):
        SeatPage(host="127.0.0.1", port=0, room="room7", broker="ws://h:1/mqtt", pyodide=tmp_path)


def test_the_archive_holds_no_guide() -> None:
    assert not any("guide" in name for name in zipfile.ZipFile(io.BytesIO(library())).namelist())


def test_an_invitation_is_one_link_with_or_without_its_code() -> None:
    assert tabs.link_text("http://h:1/").splitlines()[-1] == "seats in browser tabs: http://h:1/"


def test_tabs_need_a_websocket() -> None:
    from contextlib import AsyncExitStack

    from pyraft_lab.classroom.teach import parser

    chosen = parser().parse_args(["room7", "--tabs", "--broker", "mqtt://127.0.0.1"])
    with pytest.raises(ConfigError, match="must be a WebSocket"):
        asyncio.run(tabs.open_page(AsyncExitStack(), chosen))


@pytest.mark.parametrize(
    ("options", "is_told"),
    [
        ([], True),
        (["--host", "192.0.2.7"], True),
        (["--host", "127.0.0.1"], False),
        (["--broker", "ws://h:9001/mqtt"], False),
    ],
)
def test_a_teacher_is_told_that_everybody_in_the_network_can_reach_the_room(
    options: list[str], *, is_told: bool
) -> None:
    from pyraft_lab.classroom.teach import parser

    warning = tabs.open_to_all(parser().parse_args(["room7", "--tabs", *options]))
    assert ("everybody in this network can read and change this room" in warning) is is_told
    assert warning.count("\n") == 0


def test_a_larger_room_is_slower() -> None:
    paces = [PaceKeeper(has_tabs=True).pace(members=members, term=1, now=0.0) for members in (0, 3, 10, 30, 99)]
    assert paces == [PACE, PACE, 10.0, 30.0, SLOWEST]


def test_a_room_that_loses_its_leaders_again_and_again_becomes_slower_and_one_that_changes_them_does_not() -> None:
    def last(seconds: float) -> float:
        keeper = PaceKeeper(has_tabs=True)
        return [keeper.pace(members=10, term=term, now=term * seconds) for term in (1, 2, 3, 4, 4)][-1]

    assert (last(5.0), last(60.0)) == (15.0, 10.0)


async def test_a_pace_that_the_teacher_sets_stays() -> None:
    with broker.start() as its:
        async with Remote.connect(its.url, cluster="room7") as remote:
            bots = Bots(RoomAddress(broker=its.url, cluster="room7"), remote, seats=0)
            commands = TeacherCommands(remote, bots, Room(pace=5.0), asyncio.Event())
            commands.adapt_pace(10.0)
            adapted = commands.room.pace
            await commands.carry_out("pace 20")
            commands.adapt_pace(30.0)
            await keep_pace(remote, commands, has_tabs=True)  # it ends
            assert (adapted, commands.room.pace) == (10.0, 20.0)
