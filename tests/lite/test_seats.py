"""Seats in real browser tabs: they join by the one link, are nodes of the room, and go when they are closed."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyraft_lab.runtime.metrics import leader_of
from pyraft_lab.runtime.remote import Remote
from tests.lite import site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SOON = 120_000
TABS = 3

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif("SEATS" not in os.environ, reason="SEATS=1 runs it: three tabs need a quiet machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.timeout(900),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("websockets", reason="the embedded broker needs it for tabs")


@pytest.fixture
def links() -> Iterator[list[str]]:
    """The page's link and the broker's URL, of a teacher with automatic nodes, which keep the majority."""
    reason = site.why_not()
    if reason:
        pytest.skip(reason)
    options = ["--tabs", "--host", "127.0.0.1", "--seats", "5", "--pyodide", str(site.SITE / "static" / "pyodide")]
    with subprocess.Popen(
        [sys.executable, "-m", "pyraft_lab", "teach", "room7", *options],
        cwd=site.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as teacher:  # fmt: skip
        assert teacher.stdout is not None
        link = next(found[0] for line in teacher.stdout if (found := re.findall(r"http://\S+", line)))
        yield [link]
        teacher.terminate()
        teacher.wait(60)


def members(broker: str, are: Callable[[set[int]], bool]) -> set[int]:
    """The members of the room, once they are as wanted."""

    async def look() -> set[int]:
        async with Remote.connect(broker, cluster="room7") as remote, asyncio.timeout(120):
            while True:
                leader = leader_of(remote.metrics)
                found = set() if leader is None else set(remote.metrics[leader].committed_membership.voters)
                if are(found):
                    return found
                await asyncio.sleep(0.1)

    return asyncio.run(look())


def take_seat(browser: Any, link: str, name: str) -> tuple[Any, int]:
    """A tab with a seat, and its node."""
    page = browser.new_context(viewport={"width": 1100, "height": 1200}).new_page()
    page.set_default_timeout(SOON)
    page.goto(link)
    page.wait_for_function("!document.getElementById('take').disabled")
    return page, join(page, name)


def join(page: Any, name: str) -> int:
    page.fill("#name", name)
    page.click("#take")
    page.wait_for_function("document.getElementById('status').textContent.startsWith('You are node')")
    return int(re.findall(r"\d+", page.inner_text("#status"))[0])


def test_tabs_are_nodes_of_the_room_and_go_when_they_are_closed(links: list[str]) -> None:
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tabs = [take_seat(browser, links[0], f"learner {number}") for number in range(TABS)]
        page, first = tabs[0]
        broker = page.evaluate("fetch('room.json').then((answer) => answer.json()).then((room) => room.broker)")
        nodes = {node for _, node in tabs}
        assert members_in_a_thread(broker, lambda found: nodes <= found) >= nodes
        page.wait_for_selector("#lab svg[role]")
        (site.ROOT / "artefacts").mkdir(exist_ok=True)
        page.screenshot(path=site.ROOT / "artefacts" / "seat.png", full_page=True)
        page.reload()
        page.wait_for_function("!document.getElementById('take').disabled")
        again = join(page, "learner 0")
        assert again not in nodes
        tabs[1][0].close()
        left = members_in_a_thread(broker, lambda found: again in found and not {first, tabs[1][1]} & found)
        assert tabs[2][1] in left
        browser.close()


def members_in_a_thread(broker: str, are: Callable[[set[int]], bool]) -> set[int]:
    """The same beside the browser's own event loop."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(members, broker, are).result()
