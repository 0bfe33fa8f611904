"""A class in browser tabs: seats beside nodes in terminals, through an election, a partition and a joint change.

Three tabs by default; SEATS=30 says how many. `artefacts/seats.txt` says what each stage took: time, messages, memory.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pyraft_lab.engine.membership import AddVoters, ReplaceVoters
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import Fatal, PyraftError, Timeout
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.network import broker as brokers
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.runtime.metrics import Metrics, leader_of
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import ChangeMembership
from tests.commands import Start, commands
from tests.lite import site
from tests.network.test_access import needs_openssl, signed
from tests.terminal.test_session import order, say, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--renderer-process-limit=2",  # the tabs share compiled code
]
TABS = int(os.environ.get("SEATS", "3"))
SOON = float(os.environ.get("SOON", 240.0 + 30 * TABS))
"""Seconds for anything to happen: thirty tabs share the machine with the tests."""
ARTEFACTS = site.ROOT / "artefacts"
HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', { value: !!hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
}"""
"""A headless browser never hides a page by itself."""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.timeout(600 + 120 * TABS),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
psutil = pytest.importorskip("psutil", reason="psutil is not installed")
pytest.importorskip("websockets", reason="the embedded broker needs it for tabs")


class Watch:
    """What the room's nodes report, and requests to their leader."""

    def __init__(self, broker: str) -> None:
        self._thread = LoopThread("watch of a room")
        self._thread.start()
        self._stop = asyncio.Event()
        self._remote: Remote | None = None
        self._sent: Counter[str] = Counter()
        self._watching = self._thread.home.submit(self._connect(broker))
        self.until(lambda: self._remote is not None)

    async def _connect(self, broker: str) -> None:
        everything = MqttSession(MqttNetwork(broker, cluster="room7"), "watch", topics=["#"], deliver=self._count)
        async with everything, Remote.connect(broker, cluster="room7", timeout=60.0) as remote:
            self._remote = remote
            await self._stop.wait()

    def _count(self, topic: str, payload: bytes) -> None:
        kind = next(word for word in topic.split("/") if not word.isdigit())
        self._sent[kind] += 1
        self._sent["bytes"] += len(payload)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note what a part of the test takes."""
        before, began = self._sent.copy(), time.monotonic()
        yield
        took, sent = time.monotonic() - began, self._sent - before
        told = ", ".join(f"{kind} {sent[kind]:,}" for kind in sorted(sent))
        with (ARTEFACTS / "seats.txt").open("a") as notes:
            notes.write(f"{name} ({TABS} tabs): {took:.1f} s, {browser_memory():.0f} MB; {told}\n")

    def close(self) -> None:
        self._thread.home.call(self._stop.set)
        self._watching.result(60)
        self._thread.stop(Fatal("the watch is over"))

    @property
    def metrics(self) -> dict[NodeId, Metrics]:
        assert self._remote is not None
        return dict(self._remote.metrics)

    @property
    def leader(self) -> NodeId | None:
        return leader_of(self.metrics)

    @property
    def voters(self) -> set[NodeId]:
        """The voters of the committed membership; none while nobody leads, or while it is joint."""
        now = self.metrics.get(self.leader or 0)
        return set() if now is None or now.committed_membership.is_joint else set(now.committed_membership.voters)

    def until(self, fact: Callable[[], bool]) -> None:
        end = time.monotonic() + SOON
        while not fact():
            assert time.monotonic() < end, {} if self._remote is None else self.metrics
            time.sleep(0.05)

    def change(self, change: AddVoters | ReplaceVoters, *, retain: bool = False) -> None:
        """Change the membership; a room that changes it itself at the moment is asked again."""
        assert self._remote is not None
        remote, end = self._remote, time.monotonic() + SOON
        while True:
            try:
                self._wait(remote.ask_leader(ChangeMembership(change, retain), seconds=30))
            except (Timeout, PyraftError):
                assert time.monotonic() < end
                time.sleep(0.5)
            else:
                return

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._thread.home.submit(work).result(SOON)


def browser_memory() -> float:
    """Megabytes of the browser that this test started; what its processes share is counted once."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            total += process.memory_full_info().pss if "chrom" in process.name() else 0
    return total / 1e6


class Tab:
    """A page, and its node once it has joined."""

    def __init__(self, page: Any, link: str) -> None:
        self.page, self.node = page, 0
        page.set_default_timeout(1000 * SOON)
        page.goto(link)

    def join(self, name: str, *, looks: bool) -> "Tab":
        self.page.wait_for_function("!document.getElementById('take').disabled")
        if not looks:
            self.page.click("summary")
        self.page.fill("#name", name)
        self.page.click("#take")
        self.page.wait_for_function("/^You are node|again/.test(document.getElementById('status').textContent)")
        status = self.page.inner_text("#status")
        assert status.startswith("You are node"), status
        self.node = int(re.findall(r"\d+", status)[0])
        return self

    def says(self, part: str) -> None:
        """Wait until the seat's sheet has these words."""
        self.page.wait_for_function("part => document.getElementById('sheet').innerText.includes(part)", arg=part)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands whose logs nobody reads; a pipe for them would fill up, and stop them."""
    with commands(stderr=subprocess.DEVNULL) as begin:
        yield begin


@pytest.fixture
def pyodide() -> str:
    """The directory of Pyodide that the site was built with."""
    reason = site.why_not()
    if reason:
        pytest.skip(reason)
    return str(site.SITE / "static" / "pyodide")


@contextmanager
def browser(profile: Path, *flags: str) -> Iterator[Any]:
    """A browser with a new profile."""
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=[*FLAGS, *flags], viewport={"width": 1100, "height": 1200}
        )
        yield opened
        opened.close()


@pytest.fixture
def context(pyodide: str, tmp_path: Path) -> Iterator[Any]:  # noqa: ARG001 (it skips where there is none)
    with browser(tmp_path / "profile") as opened:
        yield opened


@dataclass
class Class:
    """A room with learners in tabs, and others in terminals; the last of these plays by hand."""

    teacher: "subprocess.Popen[str]"
    watch: Watch
    others: list[NodeId]
    tabs: list[Tab]

    @property
    def everybody(self) -> set[NodeId]:
        return {*self.others, *(tab.node for tab in self.tabs)}

    def until_all_vote(self) -> None:
        try:
            self.watch.until(lambda: self.watch.voters == self.everybody)
        except AssertionError:
            without = [tab for tab in self.tabs if tab.node not in self.watch.voters]
            told = {tab.node: [tab.page.inner_text(part) for part in ("#status", "#sheet")] for tab in without}
            raise AssertionError(f"voters are {self.watch.voters}, and not {told}") from None

    def transfer(self, node: NodeId) -> None:
        """The teacher makes this node the leader; a bot that leaves, or a change, may come between."""
        end = time.monotonic() + SOON
        while self.watch.leader != node:
            assert time.monotonic() < end
            order(self.teacher, f"transfer {node}")
            time.sleep(1)


def test_a_class_in_tabs_and_terminals_is_one_cluster(start: Start, context: Any, pyodide: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    teacher = start("teach", "room7", "--tabs", "--host", "127.0.0.1", "--seats", "3", "--pyodide", pyodide)
    link = until(teacher, "seats in browser tabs").rpartition(" ")[2]
    broker = json.loads(urllib.request.urlopen(f"{link}room.json").read())["broker"]
    until(teacher, "seats in a terminal")
    processes = [start("join", "room7", "--broker", broker, *more) for more in ((), (), ("--by-hand",))]
    others = [int(until(one, "you are node").rpartition(" ")[2]) for one in processes]
    marks: list[str] = []
    Thread(target=play, args=(processes[-1], marks), daemon=True).start()
    watch = Watch(broker)
    with watch.stage("all become voters"):
        tabs = [Tab(context.new_page(), link).join(f"learner {number}", looks=number == 0) for number in range(TABS)]
        room = Class(teacher, watch, others, tabs)
        room.until_all_vote()
    tabs[0].page.wait_for_selector("#lab svg[role]")
    tabs[0].page.screenshot(path=ARTEFACTS / "seat.png", full_page=True)
    assert order(teacher, "write y 1") == "y is 1, on a majority of disks"
    watch.until(lambda: bool(marks))
    with watch.stage("ten seconds at rest"):
        time.sleep(10)

    for stage in STAGES:
        with watch.stage(stage.__name__.replace("_", " ")):
            stage(room)

    for process in [*processes, teacher]:
        process.terminate()
        process.wait(SOON)
    assert teacher.returncode == 0
    watch.close()


def a_hidden_leader_makes_way(room: Class) -> None:
    tab = room.tabs[1]
    room.transfer(tab.node)
    tab.says("leader")
    tab.page.evaluate(HIDE, "hidden")
    room.watch.until(lambda: room.watch.leader not in {None, tab.node})
    tab.page.evaluate(HIDE, "")


def a_partition_heals(room: Class) -> None:
    """The larger part goes on without the leader, a tab; the smaller one catches up after ``heal``."""
    watch, alone = room.watch, room.tabs[0].node
    room.transfer(alone)
    smaller = {alone, room.others[-1]}
    larger = room.everybody - smaller
    told = order(room.teacher, f"partition {listed(smaller)} {listed(larger)}")
    assert "applied by" in told, told
    assert "not by" not in told, told
    watch.until(lambda: watch.leader in larger)
    assert order(room.teacher, "write x 1") == "x is 1, on a majority of disks"
    written = watch.metrics[watch.leader or 0].committed
    assert watch.metrics[alone].committed < written
    assert order(room.teacher, "heal").startswith("no link faults; applied by")
    watch.until(lambda: all(watch.metrics[node].committed >= written for node in room.everybody))


def a_joint_change_has_tabs_on_both_sides(room: Class) -> None:
    kept = room.everybody - {tab.node for tab in room.tabs[len(room.tabs) // 2 + 1 :]}
    room.watch.change(ReplaceVoters(frozenset(kept)), retain=True)
    room.watch.until(lambda: room.watch.voters == kept)
    room.tabs[-1].says("learner")
    room.watch.change(AddVoters(frozenset(room.everybody)))
    room.until_all_vote()


def a_reloaded_tab_is_new(room: Class) -> None:
    """Its disk is gone with its page, and so are its votes: under its old number it could vote twice."""
    before = room.everybody
    again = room.tabs[1]
    again.page.reload()
    assert again.join("learner again", looks=False).node > max(before)
    room.until_all_vote()


def a_leader_whose_tab_closes_is_succeeded_and_leaves(room: Class) -> None:
    """Nobody transfers anything: the others notice the silence, elect, and remove the node that is gone."""
    gone = room.tabs.pop()
    room.transfer(gone.node)
    gone.page.close()
    room.watch.until(lambda: room.watch.leader not in {None, gone.node})
    room.until_all_vote()


STAGES = (
    a_hidden_leader_makes_way,
    a_partition_heals,
    a_joint_change_has_tabs_on_both_sides,
    a_reloaded_tab_is_new,
    a_leader_whose_tab_closes_is_succeeded_and_leaves,
)


@needs_openssl
def test_a_tab_takes_its_seat_through_tls_if_its_browser_trusts_the_broker(
    start: Start, pyodide: str, tmp_path: Path
) -> None:
    trusted, server = signed(tmp_path, "authority"), signed(tmp_path, "server", by="authority")
    key = "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"
    pem = Path(server.certificate or "").read_text()
    digest = subprocess.run(key, shell=True, input=pem, capture_output=True, text=True, check=True).stdout.strip()
    with brokers.start(websocket_port=0, access_control=brokers.AccessControl(certificates=server)) as running:
        url = str(running.websocket_url)
        assert url.startswith("wss://")
        room = ("teach", "room7", "--tabs", "--host", "127.0.0.1", "--pyodide", pyodide, "--broker", url)
        link = until(start(*room, "--cafile", str(trusted.authority)), "seats in browser tabs").rpartition(" ")[2]
        with browser(tmp_path / "trusting", f"--ignore-certificate-errors-spki-list={digest}") as opened:
            Tab(opened.new_page(), link).join("ann", looks=False).says("leader")
        with browser(tmp_path / "other") as opened:
            tab = Tab(opened.new_page(), link)
            with pytest.raises(AssertionError, match="cannot be reached"):
                tab.join("eve", looks=False)


def play(learner: "subprocess.Popen[str]", marks: list[str]) -> None:
    """Give the first answer to every question, and collect the marks; until the learner leaves."""
    assert learner.stdout is not None
    before = ""
    for line in learner.stdout:
        if line.startswith("  ") and not before.strip():  # the first choice: an empty line divides it from the question
            say(learner, line.split()[0])
        marks += [line] if line[0] in "✓✗" else []
        before = line


def listed(nodes: set[NodeId]) -> str:
    return ",".join(map(str, sorted(nodes)))
