"""The Lab as a person meets it: in JupyterLab, in a browser, with mouse and keys; and as a page without a kernel.

Pictures of every stop are left in `artefacts/`, to be looked at.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Any

import nbformat
import pytest

from pyraft_lab import Config, Lab, Simulation
from pyraft_lab.lab.wire import ViewName

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "artefacts"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
NEAR = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "file:")
AXE = ROOT / ".cache/axe-core/axe.min.js"
CELLS = [
    "from pyraft_lab import Config, Lab, LocalCluster, Simulation, live_figure, viz\n\nLab(Simulation(seed=7))",
    """sim = Simulation(seed=7, config=Config(snapshot_chunk=64))
leader = sim.run_until(lambda s: s.leader)
sim.crash(4)
for value in range(12):
    sim.write({"op": "put", "key": f"key{value}", "value": value})
    sim.run(0.01)
sim.snapshot(1)
sim.run(0.05)
sim.purge(1, upto=12)
sim.restart(4)
sim.run_until(lambda s: s.nodes[4].state.incoming)
Lab(sim)""",
    "cluster = LocalCluster(3)\nawait cluster.__aenter__()\nleader = await cluster.wait_leader()\nLab(cluster)",
    "live_figure(cluster, viz.roles)",
]
SOON = 240_000
"""Milliseconds for anything to appear."""

pytestmark = [
    pytest.mark.timeout(900),  # a busy machine is slow, and no failure
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


class Visit:
    """A page, what it asked from elsewhere, and what it complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        page.context.route("**/*", self._gate)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._said)

    def _gate(self, route: Any) -> None:
        if route.request.url.startswith(NEAR):
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort()

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def picture(self, name: str) -> None:
        """Keep what is seen now."""
        PICTURES.mkdir(exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")


class Seat:
    """One Lab on a page, as its user sees it."""

    def __init__(self, page: Any, number: int = 0) -> None:
        self.page = page
        self.root = page.locator(".raftlab").nth(number)
        self.root.wait_for(timeout=SOON)

    @property
    def event(self) -> int:
        """The event it says it shows."""
        return int(self.root.locator(".rl-where").inner_text().split("event ")[1].split()[0])

    @property
    def places_of_controls(self) -> list[list[float]]:
        """Where each control of the bar is, and how large, from the bar's corner."""
        code = """(bar) => [...bar.querySelectorAll("button, input")].map((one) => {
            const [a, b] = [one.getBoundingClientRect(), bar.getBoundingClientRect()];
            return [a.x - b.x, a.y - b.y, a.width, a.height].map(Math.round);
        })"""
        places: list[list[float]] = self.root.locator(".rl-bar").evaluate(code)
        return places

    def button(self, words: str) -> Any:
        """A button by its words."""
        return self.root.get_by_role("button", name=words, exact=True).first

    def shows(self, words: str | re.Pattern[str]) -> None:
        """Wait until it says so somewhere."""
        self.root.get_by_text(words).first.wait_for(timeout=SOON)

    def wait_for_event(self, question: str) -> None:
        """Wait until the number of the event is ``question``, such as ``> 12``."""
        where = self.root.locator(".rl-where").element_handle()
        code = f"(where) => Number(/event (\\d+)/.exec(where.textContent)[1]) {question}"
        self.page.wait_for_function(code, arg=where, timeout=SOON)

    def step_to(self, words: str | re.Pattern[str]) -> None:
        """Step until it says so: what is said of one event only is passed over in play, where the machine is slow."""
        for _ in range(200):
            if self.root.get_by_text(words).first.is_visible():
                return
            before = self.event
            self.button("Step").click()
            self.wait_for_event(f"> {before}")
        raise AssertionError(f"{words} is never said")

    def scrub(self, part: float) -> None:
        """Drag the tape to a part of its width."""
        box = self.root.locator(".rl-tape svg[role=slider]").bounding_box()
        self.page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 20)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + part * box["width"], box["y"] + 20, steps=4)
        self.page.mouse.up()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    yield Visit(context.new_page())
    context.close()


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[str]:
    """A JupyterLab of its own, with one small notebook; its address."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "lab.ipynb")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    homes = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={tmp_path}"]
    settings = {"JUPYTER_ALLOW_INSECURE_WRITES": "1", "JUPYTER_CONFIG_PATH": str(ROOT / "pyraft_lab/lab/config")}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            command,
            env={**os.environ, **homes, **settings, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        yield f"http://127.0.0.1:{port}/lab/tree/lab.ipynb?reset"
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def open_notebook(page: Any, address: str) -> None:
    """Open it and run every cell."""
    for _ in range(60):  # until the server answers
        try:
            page.goto(address)
            break
        except sync_api.Error:
            page.wait_for_timeout(300)
    page.wait_for_selector(".jp-Notebook", timeout=SOON)
    ready = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    page.wait_for_function(ready, timeout=SOON)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def test_a_lab_in_jupyterlab_is_stepped_played_rewound_forked_and_crashed(visit: Visit, jupyter: str) -> None:
    page = visit.page
    open_notebook(page, jupyter)
    seat = Seat(page)
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    seat.root.scroll_into_view_if_needed()
    first, places = seat.event, seat.places_of_controls
    assert fits(seat), "the whole Lab is seen at once"
    seat.shows("n1 candidate")
    visit.picture("1-opened")

    seat.button("Step").focus()
    page.keyboard.press("Enter")  # in a notebook it would edit the cell
    seat.wait_for_event(f"== {first + 1}")
    seat.shows("n1 leader")
    visit.picture("2-stepped")

    seat.button("Play").click()
    seat.wait_for_event(f"> {first + 8}")
    visit.picture("3-playing")
    assert seat.places_of_controls == places, "the bar jumped when it began to play"
    seat.button("Pause").click()
    last = seat.event

    seat.root.focus()
    page.keyboard.press("Home")
    seat.wait_for_event("== 0")
    page.keyboard.press("End")
    seat.wait_for_event(f"== {last}")
    seat.scrub(0.93)
    seat.wait_for_event(f"< {last}")
    seat.root.focus()
    page.keyboard.press("n")
    page.keyboard.press("d")
    # the branch is not only known: the Lab has gone there, and will not go there again after the next click
    seat.root.locator("option:checked", has_text="dropped").first.wait_for(state="attached", timeout=SOON)
    visit.picture("4-dropped")
    assert seat.places_of_controls == places, "the bar jumped when a branch came"

    seat.button("Reset").click()
    seat.button("Step").click()
    seat.root.locator(".rl-node[aria-label*=leader]").first.wait_for(timeout=SOON)
    seat.root.focus()
    page.keyboard.press("1")
    page.keyboard.press("c")
    seat.root.locator("option", has_text="n1 crashed").first.wait_for(state="attached", timeout=SOON)
    seat.shows("n1 down")
    visit.picture("5-crashed")
    change_the_membership(visit, seat)
    see_a_snapshot_arrive(visit)
    see_live_ones(visit)
    beside_the_file_browser(visit, seat)
    assert (visit.elsewhere, visit.complaints) == ([], [])


def fits(seat: Seat) -> bool:
    """Whether the whole Lab is no higher than the part of the window that JupyterLab leaves to it."""
    height: float = seat.root.bounding_box()["height"]
    room: float = seat.page.locator(".jp-Notebook").first.bounding_box()["height"]
    return height < room


def change_the_membership(visit: Visit, seat: Seat) -> None:
    """With the keyboard; while both voter sets govern, each has its arcs and its tally."""
    seat.button("Reset").click()
    seat.root.locator("input[type=range]").fill("2")  # four times as fast
    seat.step_to(re.compile(r"everything up to entry \d+ is committed"))  # what a disk holds is told too
    seat.root.focus()
    visit.page.keyboard.press("m")
    for voter in ("n4", "n5"):
        seat.root.get_by_role("checkbox", name=voter).uncheck()
    visit.page.keyboard.press("Enter")
    seat.root.locator("option:checked", has_text="voters").first.wait_for(state="attached", timeout=SOON)
    seat.step_to("both sets must agree")  # the operator may have to ask another node first
    assert seat.root.locator(".rl-node .rl-arc").count() == 5 + 3
    assert seat.root.locator(".rl-set").all_inner_texts() == ["C-old", "C-new"]
    visit.picture("6-joint")


def see_a_snapshot_arrive(visit: Visit) -> None:
    """Part after part fills a bar in the log of the server that was away for too long."""
    seat = Seat(visit.page, 1)
    seat.root.scroll_into_view_if_needed()
    seat.shows("1 of 3")
    seat.root.focus()
    seat.root.locator("input[type=range]").fill("2")
    seat.step_to("2 of 3")
    visit.picture("7-snapshot")


LIVES = """() => [...document.querySelectorAll(".js-plotly-plot")].some(plot => {
    const texts = [...plot.querySelectorAll("text")].map(text => text.textContent)
    return texts.some(text => /leader \\d/.test(text)) && texts.some(text => /^\\d+$/.test(text) && Number(text) >= 2)
})"""
"""A figure names the leader, and its seconds have gone on since it was put there."""


def see_live_ones(visit: Visit) -> None:
    """The Lab of a live cluster goes on by itself, its messages wait when told; and so does the figure below it."""
    live = Seat(visit.page, 2)
    live.root.scroll_into_view_if_needed()
    live.wait_for_event(f"> {live.event}")
    visit.picture("8-live")
    visit.page.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
    visit.page.wait_for_function(LIVES, timeout=SOON)
    visit.picture("9-live-figure")
    live.root.scroll_into_view_if_needed()
    live.root.focus()
    visit.page.keyboard.press("b")
    live.shows("held: choose one")
    live.button("Freeze the timers too").wait_for(timeout=SOON)
    visit.page.keyboard.press("n")
    live.button("Deliver").wait_for(timeout=SOON)
    visit.picture("10-held")
    live.button("Hold messages").click()


def beside_the_file_browser(visit: Visit, seat: Seat) -> None:
    """In a window of 700 pixels it leaves less than half of them to the notebook."""
    visit.page.set_viewport_size({"width": 700, "height": 1000})
    visit.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    visit.page.wait_for_function("(lab) => lab.clientWidth < 440", arg=seat.root.element_handle(), timeout=SOON)
    seat.root.scroll_into_view_if_needed()
    visit.page.wait_for_function(TIGHT, arg=seat.root.element_handle(), timeout=SOON)
    assert is_cut(seat) == []
    visit.picture("16-beside-the-file-browser")


TIGHT = """(lab) => new Set([...lab.querySelectorAll(".rl-bar button")].map((one) => one.offsetTop)).size === 2"""
"""The buttons stand in two rows, for the ring and its headline need the rest."""


def is_cut(seat: Seat) -> list[str]:
    """The controls and words that reach out of the Lab, and the servers' names that meet another server or name."""
    code = """(lab) => {
        const all = (which) => [...lab.querySelectorAll(which)].filter((one) => one.getBoundingClientRect().width);
        const box = (one) => one.getBoundingClientRect();
        const edge = box(lab);
        const out = all("button, input, select, h3, .rl-label, .rl-sub, .rl-story")
            .filter((one) => box(one).left < edge.left - 1 || box(one).right > edge.right + 1);
        const full = all("button").filter((one) => one.scrollWidth > one.clientWidth + 1);
        const meets = (a, b) => {
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            return Math.min(wide, high) > 6; // a server is round, and a line of text has air above and below
        };
        const names = all(".rl-node .rl-label");
        const drawn = [...names, ...all(".rl-node .rl-body")];
        const met = names.filter((name) =>
            drawn.some((one) => one.parentNode !== name.parentNode && meets(box(name), box(one))));
        return [...out, ...full, ...met].map((one) => one.textContent);
    }"""
    cut: list[str] = seat.root.evaluate(code)
    return cut


def test_a_page_plays_without_kernel_and_network(visit: Visit, tmp_path: Path) -> None:
    sim = Simulation(seed=7)
    sim.run_until(lambda s: s.leader)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.1)
    target = Lab(sim).to_html(tmp_path / "lab.html")
    visit.page.goto(target.as_uri())
    seat = Seat(visit.page)
    visit.page.keyboard.press("Tab")
    seat.root.focus()
    visit.page.keyboard.press("Home")
    seat.wait_for_event("== 0")
    seat.button("Play").click()
    seat.wait_for_event("> 5")
    seat.button("Pause").click()
    seat.scrub(0.8)
    seat.button("Step").click()
    visit.picture("11-page")
    say_why_nothing_happens(seat)
    assert (visit.elsewhere, visit.complaints) == ([], [])


def test_the_plain_view_plays_by_itself_stops_and_asks(visit: Visit, tmp_path: Path) -> None:
    sim = Simulation(nodes=3, seed=3, config=Config(pre_vote=False))
    lab = Lab(sim, view="ring", until=lambda one: one.leader, question="Which server leads now?")
    visit.page.set_viewport_size({"width": 1400, "height": 900})
    visit.page.goto(lab.to_html(tmp_path / "ring.html").as_uri())
    seat = Seat(visit.page)
    places = seat.places_of_controls
    seat.shows("It plays by itself")
    seat.shows("Which server leads now?")
    seat.shows("n2 leads term 1")
    seat.button("Play").wait_for(timeout=SOON)
    assert seat.places_of_controls == places
    visit.picture("13-plain")
    seen = seat.root.inner_text()
    assert not [word for word in ("§", "seed", "event ", "disk", "entry", "voters", "pre-vote") if word in seen]
    for words, panel in (("Logs", ".rl-logs"), ("Tape", ".rl-tape"), ("Inspector", ".rl-inspector")):
        assert not seat.root.locator(panel).is_visible()
        seat.button(words).click()
        assert seat.root.locator(panel).is_visible()
    assert seat.root.locator(".rl-digest:visible").count() == 0, "equal pictures of equal states come later"
    assert seat.places_of_controls == places
    visit.picture("14-plain-opened")
    assert (visit.elsewhere, visit.complaints) == ([], [])


@pytest.mark.parametrize("view", ["ring", "full"])
def test_the_lab_fits_a_page_of_700_pixels(visit: Visit, tmp_path: Path, view: ViewName) -> None:
    visit.page.set_viewport_size({"width": 700, "height": 900})
    visit.page.goto(Lab(Simulation(seed=7), view=view).to_html(tmp_path / "lab.html").as_uri())
    seat = Seat(visit.page)
    assert seat.root.bounding_box()["height"] < 800
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= 700
    broken = "(line) => getComputedStyle(line).wordBreak + getComputedStyle(line).overflowWrap"
    assert seat.root.locator(".rl-story").evaluate(broken) == "normalnormal", "a story does not break inside words"
    visit.picture(f"15-narrow-{view}")


@pytest.mark.parametrize("nodes", [3, 5, 7, 9])
def test_a_lab_of_a_third_of_a_window_is_not_cut(visit: Visit, tmp_path: Path, nodes: int) -> None:
    sim = Simulation(nodes=nodes, seed=7)
    sim.run_until(lambda s: s.leader)
    sim.run(0.1)
    visit.page.set_viewport_size({"width": 350, "height": 900})
    visit.page.goto(Lab(sim).to_html(tmp_path / "lab.html").as_uri())
    seat = Seat(visit.page)
    assert seat.root.evaluate(TIGHT)
    assert is_cut(seat) == []
    assert seat.root.bounding_box()["height"] < 800
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= 350
    visit.picture(f"17-a-third-{nodes}")


@pytest.mark.parametrize("nodes", [9, 15, 33])
@pytest.mark.parametrize("width", [700, 1100])
def test_the_servers_of_a_whole_class_have_names_that_can_be_read(
    visit: Visit, tmp_path: Path, nodes: int, width: int
) -> None:
    sim = Simulation(nodes=nodes, seed=7)
    sim.run_until(lambda s: s.leader)
    sim.run(0.1)
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.page.goto(Lab(sim).to_html(tmp_path / "lab.html").as_uri())
    seat = Seat(visit.page)
    assert [one for one in is_cut(seat) if re.match(r"n\d", one)] == []
    visit.picture(f"18-a-class-{nodes}-{width}")


def say_why_nothing_happens(seat: Seat) -> None:
    """A key that finds nothing says so; the list of keys begins with its first line, however small the window is."""
    seat.root.focus()
    seat.page.keyboard.press("Home")
    seat.page.keyboard.press("n")
    seat.shows("no message is under way")
    seat.page.set_viewport_size({"width": 700, "height": 420})
    seat.page.keyboard.press("?")
    keys = seat.root.get_by_role("dialog", name="Keys")
    assert keys.evaluate("(list) => [list.scrollTop, list.getBoundingClientRect().top >= 0]") == [0, True]
    seat.page.keyboard.press("Escape")
    keys.wait_for(state="detached", timeout=SOON)


def test_a_notebook_made_into_a_page_plays_from_the_disk(visit: Visit, tmp_path: Path) -> None:
    """As editors and readers without a kernel show it: what a cell of the notebook says as HTML."""
    lab = Lab(Simulation(seed=7))
    target = tmp_path / "notebook.html"
    target.write_text(f"<!doctype html><meta charset='utf-8'><h1>A notebook</h1>{lab.player()}", encoding="utf-8")
    visit.page.goto(target.as_uri())
    seat = Seat(visit.page)
    shown = seat.event
    seat.button("Step").click()
    seat.wait_for_event(f"== {shown + 1}")
    seat.shows("n1 leader")
    seat.root.focus()
    visit.page.keyboard.press("Home")
    seat.button("Play").click()
    seat.wait_for_event("> 2")
    visit.picture("12-notebook-as-page")
    assert (visit.elsewhere, visit.complaints) == ([], [])


@pytest.mark.skipif(not AXE.exists(), reason="axe-core was not fetched: tests/axe-core does that, with npm")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_lab_has_no_barriers(browser: Any, tmp_path: Path, scheme: str) -> None:
    sim = Simulation(seed=7)
    sim.run_until(lambda s: s.leader)
    sim.crash(2)
    sim.run(0.1)
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(Lab(sim).to_html(tmp_path / "lab.html").as_uri())
    seat = Seat(page)
    seat.root.focus()
    page.keyboard.press("3")
    page.keyboard.press("?")
    page.add_script_tag(path=AXE)
    found = page.evaluate("() => axe.run(document.querySelector('.raftlab'))")
    context.close()
    assert {rule["id"] for rule in found["passes"]} > {"color-contrast", "button-name"}
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
